//! Commands of the family "config".

use super::Command;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[];
