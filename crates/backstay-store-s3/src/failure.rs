//! What the words of S3 mean.

use backstay_core::store::{Error, ErrorKind};
use backstay_http::{Answer, Failure, GivenUp};

use crate::credentials::CredentialsError;
use crate::xml::{Element, XmlError};

/// What is read of an answer that is not an object.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

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

/// What a failure means here.
pub(crate) trait Told {
    /// Whether another try may succeed. What was asked for may have been done all the same.
    fn may_pass(&self) -> bool;
    /// Whether the credentials were good once.
    fn is_expired(&self) -> bool;
    /// Whether the server may have minded a header that not all of them know.
    fn may_mind_a_header(&self) -> bool;
    /// Whether the server does not have what was asked for.
    fn is_not_implemented(&self) -> bool;
    /// Whether there is no such object or upload.
    fn is_missing(&self) -> bool;
    /// Whether a condition was not met.
    fn is_precondition(&self) -> bool;
    /// Whether what was asked for was certainly not done.
    fn is_certain(&self) -> bool;
    /// Its class.
    fn kind(&self) -> ErrorKind;
    /// The same as the error of a store.
    fn into_error(self, doing: &'static str, subject: &str) -> Error;
    /// The same after so many tries.
    fn given_up(self, tries: u32, doing: &'static str, subject: &str) -> Error;
}

impl Told for Failure {
    fn may_pass(&self) -> bool {
        self.is_transient(&TRANSIENT)
    }

    fn is_expired(&self) -> bool {
        EXPIRED.contains(&self.code())
    }

    fn may_mind_a_header(&self) -> bool {
        matches!(self.status(), 400 | 501) && UNKNOWN_HEADER.contains(&self.code())
    }

    fn is_not_implemented(&self) -> bool {
        self.status() == 501 || self.code() == "NotImplemented"
    }

    fn is_missing(&self) -> bool {
        self.status() == 404 && self.code() != "NoSuchBucket"
    }

    fn is_precondition(&self) -> bool {
        self.status() == 412
    }

    fn is_certain(&self) -> bool {
        self.is_definite(&TRANSIENT)
    }

    fn kind(&self) -> ErrorKind {
        if self.may_pass() {
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
            Self::NotSent { .. } => ErrorKind::Denied,
            _ => ErrorKind::Other,
        }
    }

    fn into_error(self, doing: &'static str, subject: &str) -> Error {
        self.given_up(1, doing, subject)
    }

    fn given_up(self, tries: u32, doing: &'static str, subject: &str) -> Error {
        GivenUp::error(self.kind(), self, tries, doing, subject)
    }
}

/// No credentials, so no request.
pub(crate) fn without_credentials(error: CredentialsError) -> Failure {
    Failure::NotSent {
        what: "no credentials",
        is_transient: error.is_transient(),
        source: Box::new(error),
    }
}

/// The word and the sentence in the body of a refusal.
pub(crate) fn words(body: &[u8]) -> (String, String) {
    match Element::parse(body) {
        Ok(root) => words_of(&root),
        Err(_) => (String::new(), String::new()),
    }
}

fn words_of(root: &Element) -> (String, String) {
    let text = |name| root.text_of(name).unwrap_or_default().trim().to_owned();
    let mut message = text("Message");
    // A wrong region or endpoint is told of here.
    for name in ["Region", "Endpoint"] {
        if let Some(value) = root.text_of(name) {
            message.push_str(&format!(" ({}: {value})", name.to_lowercase()));
        }
    }
    (text("Code"), message)
}

/// The document in the body of an answer, whose root must have that name, or the one that some servers give it; an error
/// that comes with a good status is one too.
pub(crate) fn document(answer: Answer, name: &str) -> Result<Element, Failure> {
    let status = answer.status;
    let unreadable = |error: XmlError| Failure::unusable(error.to_string());
    let root = Element::parse(&answer.bytes(ANSWER_BYTES_MAX)?).map_err(unreadable)?;
    match root.name() {
        found if found == name => Ok(root),
        // moto lists parts so.
        found
            if found
                .strip_suffix("Response")
                .is_some_and(|stem| name.strip_suffix("Result") == Some(stem)) =>
        {
            Ok(root)
        }
        "Error" => {
            let (code, message) = words_of(&root);
            Err(Failure::Refused {
                status,
                code,
                message,
                retry_after: None,
            })
        }
        found => Err(Failure::unusable(format!("it is a {found} and no {name}"))),
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
                retry_after: None,
            };
            assert_eq!(failure.kind(), kind, "{status} {code}");
            assert_eq!(failure.may_pass(), kind == ErrorKind::Transient, "{status} {code}");
        }
    }
}
