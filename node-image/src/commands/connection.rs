//! Commands of the family "connection".

use super::Command;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[];
