//! What was seen of commands and errors: INFO's commandstats and errorstats.
//!
//! Not known here: what the commands did.

use std::collections::BTreeMap;

use crate::commands::Command;

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
    /// By the command's number in the table; shorter than the table while later ones never ran.
    commands: Vec<Option<(&'static Command, CommandCount)>>,
    errors: BTreeMap<String, u64>,
    /// Where a number would go for which there is no place; there is none such.
    stray: Option<(&'static Command, CommandCount)>,
}

impl Observed {
    /// A command's numbers.
    pub fn of(&mut self, command: &'static Command) -> &mut CommandCount {
        if self.commands.len() <= command.place {
            self.commands.resize(command.place + 1, None);
        }
        let known = self.commands.get_mut(command.place);
        &mut known.unwrap_or(&mut self.stray).get_or_insert((command, CommandCount::default())).1
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

    /// All commands that were seen, as `name` or `container|name`, by container and name.
    pub fn commands(&self) -> Vec<(String, CommandCount)> {
        let mut seen: Vec<_> = self.commands.iter().flatten().collect();
        seen.sort_unstable_by_key(|(command, _)| (command.container, command.name));
        let name = |command: &Command| match command.container {
            "" => command.name.to_owned(),
            container => format!("{container}|{}", command.name),
        };
        seen.into_iter().map(|(command, count)| (name(command), *count)).collect()
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
