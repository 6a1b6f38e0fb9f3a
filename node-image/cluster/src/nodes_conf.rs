//! nodes.conf: what a node knows about its cluster across restarts.
//!
//! Not known here: disk.

/// The text is not a nodes.conf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read nodes.conf, line {line}: {reason}")]
pub struct Error {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}
