//! Commands of the family "migrate" on the client port.

use super::Command;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[];
