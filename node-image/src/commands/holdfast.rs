//! Commands of the family "holdfast" on the client port.

use super::Command;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[];
