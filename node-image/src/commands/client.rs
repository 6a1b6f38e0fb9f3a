//! Commands of the family "client".

use super::Command;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[];
