//! Commands of the family "persistence".

use super::Command;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[];
