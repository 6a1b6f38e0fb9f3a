//! What was seen of commands and errors: INFO's commandstats and errorstats.
//!
//! Not known here: what the commands did.

use std::collections::BTreeMap;

/// How many kinds of errors are kept apart; a client can invent codes, memory must not follow.
const ERROR_KINDS_MAX: usize = 128;

/// One command's numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct CommandCount {
    /// Times it ran.
    pub calls: u64,
    /// Microseconds in all.
    pub micros: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it ran and gave an error.
    pub failed: u64,
}

/// Numbers of all commands and errors.
#[derive(Debug, Default)]
pub struct Observed {
    commands: BTreeMap<&'static str, BTreeMap<&'static str, CommandCount>>,
    errors: BTreeMap<String, u64>,
}

impl Observed {
    /// A command's numbers; `container` is empty for those that are no subcommand.
    pub fn of(&mut self, container: &'static str, name: &'static str) -> &mut CommandCount {
        self.commands.entry(container).or_default().entry(name).or_default()
    }

    /// An error reply, by its text.
    pub fn error(&mut self, text: &str) {
        let code = text.split(' ').next().unwrap_or("ERR");
        if let Some(count) = self.errors.get_mut(code) {
            *count += 1;
        } else if self.errors.len() < ERROR_KINDS_MAX {
            self.errors.insert(code.to_owned(), 1);
        }
    }

    /// All commands that were seen, as `name` or `container|name`.
    pub fn commands(&self) -> Vec<(String, CommandCount)> {
        let mut all = Vec::new();
        for (container, commands) in &self.commands {
            for (name, count) in commands {
                let name = match *container {
                    "" => (*name).to_owned(),
                    container => format!("{container}|{name}"),
                };
                all.push((name, *count));
            }
        }
        all
    }

    /// All error codes that were seen.
    pub fn errors(&self) -> impl Iterator<Item = (&str, u64)> {
        self.errors.iter().map(|(code, count)| (code.as_str(), *count))
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&mut self) {
        *self = Observed::default();
    }
}
