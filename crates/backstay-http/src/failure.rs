use std::error::Error as StdError;
use std::time::Duration;

use backstay_core::store::{Error, ErrorKind};

/// Why one request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The server refused.
    #[error("the server answered {status} {code}{}", told(.message))]
    Refused {
        /// The status.
        status: u16,
        /// The server's own word, such as `NoSuchKey`; empty where it said none.
        code: String,
        /// Its sentence; empty where it said none.
        message: String,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// Nothing that is an answer came.
    #[error("the server did not answer")]
    Connection(#[source] ureq::Error),
    /// The answer broke off.
    #[error("the answer broke off")]
    Broken(#[source] std::io::Error),
    /// The answer is not one that can be used.
    #[error("the answer cannot be understood: {0}")]
    Unusable(String),
    /// What is so now will not stay so.
    #[error("{0}")]
    Passing(&'static str),
    /// What the server keeps is something else than what was sent.
    #[error("what it keeps is not what was sent: the checksums differ")]
    Altered,
    /// No request was sent, because something that it needs could not be had.
    #[error("{what}")]
    NotSent {
        /// What is lacking.
        what: &'static str,
        /// Whether another try may have it.
        is_transient: bool,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// No thread could be started.
    #[error("{0}")]
    Thread(std::io::Error),
}

fn told(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

impl Failure {
    /// An answer that cannot be understood, and why.
    pub fn unusable(why: impl Into<String>) -> Self {
        Self::Unusable(why.into())
    }

    /// The server's own word; empty where it said none.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            _ => "",
        }
    }

    /// The server's sentence; empty where it said none.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Refused { message, .. } => message,
            _ => "",
        }
    }

    /// The status of a refusal; 0 for everything else.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Refused { status, .. } => *status,
            _ => 0,
        }
    }

    /// How long the server asks to wait before another try.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether another try may succeed, by the status, or because the server's word is one of those. What was asked for
    /// may have been done all the same.
    #[must_use]
    pub fn is_transient(&self, words: &[&str]) -> bool {
        match self {
            Self::Refused { status, code, .. } => {
                // 501 says that it never will.
                matches!(status, 408 | 429 | 500 | 502..=504) || words.contains(&code.as_str())
            }
            Self::Connection(error) => matches!(
                error,
                ureq::Error::Io(_)
                    | ureq::Error::Timeout(_)
                    | ureq::Error::HostNotFound
                    | ureq::Error::ConnectionFailed
                    | ureq::Error::Protocol(_)
            ),
            Self::Broken(_) | Self::Passing(_) => true,
            Self::NotSent { is_transient, .. } => *is_transient,
            Self::Unusable(_) | Self::Altered | Self::Thread(_) => false,
        }
    }

    /// Whether what was asked for was certainly not done; `words` as for [`Failure::is_transient`].
    #[must_use]
    pub fn is_definite(&self, words: &[&str]) -> bool {
        match self {
            Self::Refused { status, .. } => (300..500).contains(status) && !self.is_transient(words),
            Self::NotSent { .. } | Self::Thread(_) => true,
            Self::Connection(_) | Self::Broken(_) | Self::Unusable(_) | Self::Passing(_) | Self::Altered => false,
        }
    }
}

/// A failure after so many tries.
#[derive(Debug, thiserror::Error)]
#[error("{tries} tries failed")]
pub struct GivenUp {
    tries: u32,
    source: Failure,
}

impl GivenUp {
    /// The last failure as the error of a store, with the number of tries where there was more than one.
    #[must_use]
    pub fn error(kind: ErrorKind, failure: Failure, tries: u32, doing: &'static str, subject: &str) -> Error {
        let error = Error::new(kind, doing, subject);
        if tries < 2 {
            error.because(failure)
        } else {
            error.because(Self { tries, source: failure })
        }
    }
}
