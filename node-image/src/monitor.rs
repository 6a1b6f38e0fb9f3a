//! MONITOR: clients that see every command that runs.
//!
//! A line a command, in the order in which they ran; administration is left out, and so are the
//! secrets within requests. Costs nothing while nobody looks. Not known here: which commands are
//! secret (`latency::redacted`).

use std::fmt::Write as _;

use crate::clients::ClientId;
use crate::commands::{Command, Flags};
use crate::core::Core;

/// Where a line says that a command came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A client, by its address.
    Client(ClientId),
    /// A script or a function.
    Script,
}

impl Core {
    /// Shows a command that has run to everybody who looks.
    pub fn show_to_monitors(
        &mut self,
        source: Source,
        db: usize,
        command: &Command,
        args: &[&[u8]],
    ) {
        let hidden = command.flags.has(Flags::SKIP_MONITOR) || command.flags.has(Flags::ADMIN);
        if !hidden {
            self.show_in_any_case(source, db, command, args);
        }
    }

    /// Shows a command whatever its flags say: a script is shown before its commands are.
    pub fn show_in_any_case(
        &mut self,
        source: Source,
        db: usize,
        command: &Command,
        args: &[&[u8]],
    ) {
        if self.monitors.is_empty() {
            return;
        }
        let from = match source {
            Source::Script => "lua",
            Source::Client(id) => self.clients.get(id).map_or("", |c| c.address.as_str()),
        };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.unwrap_or_default();
        let mut line = format!("+{}.{:06} [{db} {from}]", now.as_secs(), now.subsec_micros());
        for arg in crate::latency::redacted(command, args) {
            line.push(' ');
            quote(&mut line, arg);
        }
        line.push_str("\r\n");
        for id in self.monitors.clone() {
            self.push(id, line.as_bytes());
            crate::event_loop::check_output_size(self, id);
        }
    }

    /// The client looks no longer.
    pub fn stop_monitoring(&mut self, id: ClientId) {
        self.monitors.retain(|monitor| *monitor != id);
    }
}

/// An argument in quotes, what cannot be seen as escapes.
fn quote(line: &mut String, arg: &[u8]) {
    line.push('"');
    for byte in arg {
        match byte {
            b'\\' => line.push_str("\\\\"),
            b'"' => line.push_str("\\\""),
            b'\n' => line.push_str("\\n"),
            b'\r' => line.push_str("\\r"),
            b'\t' => line.push_str("\\t"),
            0x07 => line.push_str("\\a"),
            0x08 => line.push_str("\\b"),
            b' '..=b'~' => line.push(char::from(*byte)),
            other => {
                let _ = write!(line, "\\x{other:02x}");
            }
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_argument_can_break_out_of_its_line() {
        let mut line = String::new();
        quote(&mut line, b"a\"b\\c\r\n\x00\xff ~");
        assert_eq!(line, r#""a\"b\\c\r\n\x00\xff ~""#);
    }
}
