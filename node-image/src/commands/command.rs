//! Commands of the family "command".

use super::Command;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[];
