//! Commands of the family "info".

use super::Command;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[];
