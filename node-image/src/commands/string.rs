//! Commands of the family "string". (The store's owner fills this table.)

use super::Command;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[];
