//! Commands of the family "replication".

use super::Command;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[];
