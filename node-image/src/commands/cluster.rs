//! Commands of the family "cluster" on the client port.

use super::Command;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[];
