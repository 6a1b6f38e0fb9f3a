//! Commands of the family "server".

use super::Command;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[];
