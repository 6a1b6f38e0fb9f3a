//! Commands of the family "debug".

use super::Command;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[];
