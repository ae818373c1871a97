//! Why talking to the server ended, before it is known what that means for the caller.

use std::io;

/// The end of a conversation.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The cancel token was used.
    Cancelled,
    /// The deadline passed.
    TimedOut,
    /// The network or the server went away, or TLS failed.
    Lost(io::Error),
    /// The server said what the protocol does not allow.
    Violation(String),
}

impl Fault {
    /// A message that must not come `here`.
    pub(super) fn unexpected(tag: u8, here: &str) -> Self {
        Self::Violation(format!("message '{}' {here}", tag.escape_ascii()))
    }

    /// A message whose content does not add up.
    pub(super) fn malformed(tag: u8) -> Self {
        Self::Violation(format!("malformed message '{}'", tag.escape_ascii()))
    }
}
