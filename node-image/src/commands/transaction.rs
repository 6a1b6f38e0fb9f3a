//! Commands of the family "transaction".

use super::Command;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[];
