//! The node's configuration: one value, read from a file, the command line and CONFIG SET.
//!
//! [`table`] says once what there is; [`file`] reads and rewrites redis.conf's format. A [`Config`]
//! is immutable once published: the core makes a new one for each CONFIG SET, and every thread
//! sees the newest through [`crate::shared::Shared`]. Not known here: what a directive brings
//! about, except for secrets, which are read from the files that the directives name.

pub mod file;
pub mod kinds;
pub mod table;

use std::path::PathBuf;

pub use kinds::Kind;
pub use table::{Directive, Name, TABLE};

/// When a change of a directive takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// CONFIG SET changes it at once.
    Live,
    /// Only a start reads it.
    Start,
    /// CONFIG SET changes it at once, under `enable-protected-configs`.
    Protected,
}

/// The value of one directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number, a number of bytes, a yes or a no (1 or 0).
    Number(i64),
    /// Text in its canonical form.
    Text(String),
}

/// Hard bytes, soft bytes, seconds over the soft ones.
type OutputLimit = (usize, usize, u64);

#[derive(Debug, Clone, Default)]
struct OutputLimits {
    normal: OutputLimit,
    replica: OutputLimit,
    pubsub: OutputLimit,
}

/// A whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    values: Vec<Value>,
    /// `client-output-buffer-limit` as numbers, since every batch of requests asks for it.
    output_limits: OutputLimits,
    /// `user` lines: a name and its rules.
    pub users: Vec<Vec<String>>,
    /// The file it was read from, absolute.
    pub path: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        let values = TABLE.iter().map(|directive| directive.kind.default_value(directive.default));
        let mut config = Config {
            values: values.collect(),
            output_limits: OutputLimits::default(),
            users: Vec::new(),
            path: None,
        };
        config.read_output_limits();
        config
    }
}

impl Config {
    fn value(&self, name: Name) -> Option<&Value> {
        self.values.get(name as usize)
    }

    /// A number, also of bytes or milliseconds.
    pub fn int(&self, name: Name) -> i64 {
        match self.value(name) {
            Some(Value::Number(number)) => *number,
            _ => 0,
        }
    }

    /// A number that is never negative.
    pub fn size(&self, name: Name) -> usize {
        usize::try_from(self.int(name)).unwrap_or(0)
    }

    /// A yes or a no.
    pub fn yes(&self, name: Name) -> bool {
        self.int(name) != 0
    }

    /// A text, or the chosen word of an enumeration.
    pub fn text(&self, name: Name) -> &str {
        match self.value(name) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// Sets a directive from its words; the error says what is wrong, without the name.
    pub fn set(&mut self, directive: &Directive, words: &[&str]) -> Result<(), String> {
        let before = self.value(directive.id).cloned().unwrap_or(Value::Number(0));
        let value = directive.kind.parse(words, &before)?;
        if let Some(place) = self.values.get_mut(directive.id as usize) {
            *place = value;
        }
        if directive.id == Name::ClientOutputBufferLimit {
            self.read_output_limits();
        }
        Ok(())
    }

    /// A directive's value as CONFIG GET shows it.
    pub fn shown(&self, directive: &Directive) -> String {
        match self.value(directive.id) {
            Some(value) => directive.kind.show(value),
            None => String::new(),
        }
    }

    /// True when the directive has its default value.
    pub fn is_default(&self, directive: &Directive) -> bool {
        self.value(directive.id) == Some(&directive.kind.default_value(directive.default))
    }

    /// The port that the bus listens on: `cluster-port`, or the client port (the TLS port
    /// when there is no other) plus 10000.
    pub fn bus_port(&self) -> u16 {
        let client_port = match self.int(Name::Port) {
            0 => self.int(Name::TlsPort),
            port => port,
        };
        let port = match self.int(Name::ClusterPort) {
            0 => client_port + 10000,
            port => port,
        };
        u16::try_from(port).unwrap_or(0)
    }

    /// True in cluster mode.
    pub fn cluster_enabled(&self) -> bool {
        self.yes(Name::ClusterEnabled)
    }

    /// `save` as (seconds, changes) pairs.
    pub fn save_points(&self) -> Vec<(u64, u64)> {
        let numbers: Vec<u64> =
            self.text(Name::Save).split_whitespace().filter_map(|word| word.parse().ok()).collect();
        numbers.chunks_exact(2).filter_map(|p| Some((*p.first()?, *p.get(1)?))).collect()
    }

    /// Output buffer limits of a class of clients (`normal`, `slave`, `pubsub`): hard bytes,
    /// soft bytes, seconds over the soft ones; 0 is none.
    pub fn output_limit(&self, class: &str) -> OutputLimit {
        match class {
            "normal" => self.output_limits.normal,
            "slave" => self.output_limits.replica,
            "pubsub" => self.output_limits.pubsub,
            _ => (0, 0, 0),
        }
    }

    fn read_output_limits(&mut self) {
        let mut limits = OutputLimits::default();
        let text = self.text(Name::ClientOutputBufferLimit);
        let words: Vec<&str> = text.split_whitespace().collect();
        for group in words.chunks_exact(4) {
            let [class, hard, soft, seconds] = group else { continue };
            let number = |word: &str| word.parse().unwrap_or(0_usize);
            let limit = (number(hard), number(soft), number(seconds) as u64);
            match *class {
                "normal" => limits.normal = limit,
                "slave" => limits.replica = limit,
                "pubsub" => limits.pubsub = limit,
                _ => {}
            }
        }
        self.output_limits = limits;
    }
}

#[cfg(test)]
mod tests;
