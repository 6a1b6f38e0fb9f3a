//! What can be wrong with a rule of ACL SETUSER, a `user` line or the ACL file.
//!
//! The texts are those that clients and suites know.

/// A rule that cannot be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// No rule begins like this.
    #[error("Syntax error")]
    Syntax,
    /// No command, subcommand or category has this name.
    #[error("Unknown command or category name in ACL")]
    UnknownCommand,
    /// `+container|sub|argument`.
    #[error("Allowing first-arg of a subcommand is not supported")]
    FirstOfSubcommand,
    /// A pattern although all keys are allowed.
    #[error(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not \
         have any effect. Try 'resetkeys' to start with an empty list of patterns"
    )]
    AllKeysAlready,
    /// A channel although all are allowed.
    #[error(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does \
         not have any effect. Try 'resetchannels' to start with an empty list of channels"
    )]
    AllChannelsAlready,
    /// A hash that is none.
    #[error(
        "The password hash must be exactly 64 characters and contain only lowercase hexadecimal \
         characters"
    )]
    BadHash,
    /// A password to remove that the user does not have.
    #[error("The password you are trying to remove from the user does not exist")]
    NoSuchPassword,
}
