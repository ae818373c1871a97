use backstay_core::store::{Error, ErrorKind};

use crate::credentials::CredentialsError;
use crate::xml::XmlError;

/// Why one request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server refused.
    #[error("the server answered {status} {code}{}", told(.message))]
    Refused {
        status: u16,
        /// S3's own word, such as `NoSuchKey`; empty where it said none.
        code: String,
        message: String,
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
    /// What the server keeps is something else than what was sent.
    #[error("what it keeps is not what was sent: the checksums differ")]
    Altered,
    #[error("the answer cannot be understood")]
    Xml(#[from] XmlError),
    #[error("no credentials")]
    Credentials(#[from] CredentialsError),
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

/// Words of S3 for what another try may do better, whatever the status.
const TRANSIENT: [&str; 12] = [
    "SlowDown",
    "InternalError",
    "ServiceUnavailable",
    "RequestTimeout",
    "RequestTimeoutException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "OperationAborted",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "BadDigest",
];

const EXPIRED: [&str; 4] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
    "RequestExpired",
];

const FULL: [&str; 4] = [
    "QuotaExceeded",
    "XMinioStorageFull",
    "InsufficientCapacity",
    "EntityTooLarge",
];

/// Words for a header that the server does not take.
const UNKNOWN_HEADER: [&str; 5] = [
    "NotImplemented",
    "InvalidArgument",
    "InvalidRequest",
    "UnsupportedArgument",
    "UnsupportedHeader",
];

impl Failure {
    pub(crate) fn unusable(why: impl Into<String>) -> Self {
        Self::Unusable(why.into())
    }

    fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            _ => "",
        }
    }

    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Refused { status, .. } => *status,
            _ => 0,
        }
    }

    /// Whether another try may succeed. What was asked for may have been done all the same.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Refused { status, code, .. } => {
                // 501 says that it never will.
                matches!(status, 408 | 429 | 500 | 502..=504) || TRANSIENT.contains(&code.as_str())
            }
            Self::Connection(error) => matches!(
                error,
                ureq::Error::Io(_)
                    | ureq::Error::Timeout(_)
                    | ureq::Error::HostNotFound
                    | ureq::Error::ConnectionFailed
                    | ureq::Error::Protocol(_)
            ),
            Self::Broken(_) => true,
            Self::Credentials(error) => error.is_transient(),
            Self::Unusable(_) | Self::Altered | Self::Xml(_) | Self::Thread(_) => false,
        }
    }

    pub(crate) fn is_expired(&self) -> bool {
        EXPIRED.contains(&self.code())
    }

    /// Whether the server may have minded a header that not all of them know.
    pub(crate) fn may_mind_a_header(&self) -> bool {
        matches!(self.status(), 400 | 501) && UNKNOWN_HEADER.contains(&self.code())
    }

    pub(crate) fn is_not_implemented(&self) -> bool {
        self.status() == 501 || self.code() == "NotImplemented"
    }

    pub(crate) fn is_missing(&self) -> bool {
        self.status() == 404 && self.code() != "NoSuchBucket"
    }

    pub(crate) fn is_precondition(&self) -> bool {
        self.status() == 412
    }

    /// Whether what was asked for was certainly not done.
    pub(crate) fn is_definite(&self) -> bool {
        match self {
            Self::Refused { status, .. } => (300..500).contains(status) && !self.is_transient(),
            Self::Credentials(_) | Self::Thread(_) => true,
            Self::Connection(_) | Self::Broken(_) | Self::Unusable(_) | Self::Altered | Self::Xml(_) => false,
        }
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        if self.is_transient() {
            return ErrorKind::Transient;
        }
        match self {
            Self::Refused { status, code, .. } => match (status, code.as_str()) {
                (_, "NoSuchBucket") => ErrorKind::StoreMissing,
                (_, "NoSuchUpload") => ErrorKind::Other,
                (_, "KeyTooLongError" | "KeyTooLong") => ErrorKind::UnsupportedKey,
                (507, _) => ErrorKind::Full,
                (_, code) if FULL.contains(&code) => ErrorKind::Full,
                (401 | 403, _) => ErrorKind::Denied,
                (404, _) => ErrorKind::NotFound,
                (416, _) => ErrorKind::OutOfRange,
                _ => ErrorKind::Other,
            },
            Self::Credentials(_) => ErrorKind::Denied,
            _ => ErrorKind::Other,
        }
    }

    /// The same as the error of a store.
    pub(crate) fn into_error(self, doing: &'static str, subject: &str) -> Error {
        Error::new(self.kind(), doing, subject).because(self)
    }
}

/// A failure after so many tries.
#[derive(Debug, thiserror::Error)]
#[error("{tries} tries failed")]
pub(crate) struct GivenUp {
    tries: u32,
    source: Failure,
}

impl GivenUp {
    /// The last failure, with the number of tries where there was more than one.
    pub(crate) fn error(failure: Failure, tries: u32, doing: &'static str, subject: &str) -> Error {
        if tries < 2 {
            return failure.into_error(doing, subject);
        }
        Error::new(failure.kind(), doing, subject).because(Self { tries, source: failure })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_classed() {
        for (status, code, kind) in [
            (404, "NoSuchKey", ErrorKind::NotFound),
            (404, "", ErrorKind::NotFound),
            (404, "NoSuchBucket", ErrorKind::StoreMissing),
            (404, "NoSuchUpload", ErrorKind::Other),
            (403, "AccessDenied", ErrorKind::Denied),
            (403, "SignatureDoesNotMatch", ErrorKind::Denied),
            (401, "", ErrorKind::Denied),
            (416, "InvalidRange", ErrorKind::OutOfRange),
            (400, "KeyTooLongError", ErrorKind::UnsupportedKey),
            (507, "", ErrorKind::Full),
            (503, "SlowDown", ErrorKind::Transient),
            (503, "", ErrorKind::Transient),
            (500, "InternalError", ErrorKind::Transient),
            (200, "InternalError", ErrorKind::Transient),
            (429, "", ErrorKind::Transient),
            (400, "RequestTimeout", ErrorKind::Transient),
            (409, "ConditionalRequestConflict", ErrorKind::Transient),
            (501, "NotImplemented", ErrorKind::Other),
            (301, "PermanentRedirect", ErrorKind::Other),
            (400, "InvalidArgument", ErrorKind::Other),
        ] {
            let failure = Failure::Refused {
                status,
                code: code.to_owned(),
                message: String::new(),
            };
            assert_eq!(failure.kind(), kind, "{status} {code}");
            assert_eq!(failure.is_transient(), kind == ErrorKind::Transient, "{status} {code}");
        }
    }
}
