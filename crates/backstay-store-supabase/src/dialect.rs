//! What the refusals of Supabase Storage mean. Most come with the status 400 and tell the true one in the body.

use std::time::Duration;

use backstay_core::store::{Error, ErrorKind};
use backstay_http::{Answer, Failure, GivenUp};
use serde::Deserialize;

/// Words for what another try may do better, whatever the status.
const TRANSIENT: [&str; 9] = [
    "ResourceLocked",
    "LockTimeout",
    "acquiring_lock_timeout",
    "DatabaseTimeout",
    "DatabaseConnectionLimit",
    "TransactionError",
    "SlowDown",
    "Aborted",
    "AbortedTerminate",
];
/// Words of the service itself for an object that is not there. Whatever stands before it says 404 in others.
const MISSING: [&str; 3] = ["not_found", "Not found", "NoSuchKey"];
const NO_BUCKET: [&str; 2] = ["Bucket not found", "NoSuchBucket"];
const INVALID_RANGE: [&str; 2] = ["invalid_range", "InvalidRange"];
/// A key that is none is a broken token to the service.
const DENIED: [&str; 3] = ["InvalidJWT", "InvalidSignature", "Unauthorized"];

/// A refusal, of which each part may be missing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    #[serde(rename = "statusCode")]
    status: Option<serde_json::Value>,
    code: Option<String>,
    error: Option<String>,
    message: Option<String>,
}

impl Refusal {
    /// The true status; it is a number, or one written as text.
    fn status(&self) -> Option<u16> {
        let status = match self.status.as_ref()? {
            serde_json::Value::String(text) => text.parse().ok()?,
            number => u16::try_from(number.as_u64()?).ok()?,
        };
        (400..600).contains(&status).then_some(status)
    }
}

/// The answer where it is a good one, and else a failure with the true status.
pub(crate) fn succeeded(answer: Answer) -> Result<Answer, Failure> {
    let mut said = Vec::new();
    let outcome = answer.succeeded(|body| {
        said = body.to_vec();
        (String::new(), String::new())
    });
    outcome.map_err(|failure| match failure {
        Failure::Refused {
            status, retry_after, ..
        } => refused(status, &said, retry_after),
        other => other,
    })
}

fn refused(status: u16, body: &[u8], retry_after: Option<Duration>) -> Failure {
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    // What TUS says is no JSON.
    let shown = || String::from_utf8_lossy(&body[..body.len().min(200)]).trim().to_owned();
    Failure::Refused {
        status: refusal.status().unwrap_or(status),
        message: refusal.message.clone().unwrap_or_else(shown),
        code: refusal.error.or(refusal.code).unwrap_or_default(),
        retry_after,
    }
}

/// Whether another try may succeed. What was asked for may have been done all the same.
pub(crate) fn may_pass(failure: &Failure) -> bool {
    // 423 is the lock of a request that broke, and 544 a database that took too long.
    failure.is_transient(&TRANSIENT) || matches!(failure.status(), 423 | 544)
}

/// Whether what was asked for was certainly not done.
pub(crate) fn is_certain(failure: &Failure) -> bool {
    failure.is_definite(&TRANSIENT) && !may_pass(failure)
}

/// Whether there is no such object.
pub(crate) fn is_missing(failure: &Failure) -> bool {
    failure.status() == 404 && MISSING.contains(&failure.code())
}

pub(crate) fn is_no_bucket(failure: &Failure) -> bool {
    failure.status() == 404 && (NO_BUCKET.contains(&failure.code()) || NO_BUCKET.contains(&failure.message()))
}

/// Whether there is an object of that name already, or an upload is elsewhere than was thought.
pub(crate) fn is_conflict(failure: &Failure) -> bool {
    failure.status() == 409 && !may_pass(failure)
}

fn kind(failure: &Failure) -> ErrorKind {
    if may_pass(failure) {
        return ErrorKind::Transient;
    }
    if is_no_bucket(failure) {
        return ErrorKind::StoreMissing;
    }
    match (failure.status(), failure.code()) {
        (_, code) if INVALID_RANGE.contains(&code) => ErrorKind::OutOfRange,
        (_, code) if DENIED.contains(&code) => ErrorKind::Denied,
        (_, "InvalidKey") => ErrorKind::UnsupportedKey,
        (401 | 403, _) => ErrorKind::Denied,
        (404, _) if is_missing(failure) => ErrorKind::NotFound,
        (413 | 507, _) => ErrorKind::Full,
        (416, _) => ErrorKind::OutOfRange,
        _ => ErrorKind::Other,
    }
}

/// The last failure after so many tries as the error of a store.
pub(crate) fn given_up(failure: Failure, tries: u32, doing: &'static str, subject: &str) -> Error {
    GivenUp::error(kind(&failure), failure, tries, doing, subject)
}

/// The same of something that was to be written where there was to be nothing.
pub(crate) fn given_up_writing(failure: Failure, tries: u32, doing: &'static str, subject: &str) -> Error {
    match is_conflict(&failure) {
        true => GivenUp::error(ErrorKind::AlreadyExists, failure, tries, doing, subject),
        false => given_up(failure, tries, doing, subject),
    }
}

/// The same after the only try.
pub(crate) fn failed(failure: Failure, doing: &'static str, subject: &str) -> Error {
    given_up(failure, 1, doing, subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_classed_by_the_status_in_their_body() {
        for (status, word, class) in [
            (404, "not_found", ErrorKind::NotFound),
            (404, "Bucket not found", ErrorKind::StoreMissing),
            (404, "Not Found", ErrorKind::Other),
            (409, "Duplicate", ErrorKind::Other),
            (409, "TransactionError", ErrorKind::Transient),
            (413, "Payload too large", ErrorKind::Full),
            (403, "Unauthorized", ErrorKind::Denied),
            (400, "InvalidJWT", ErrorKind::Denied),
            (400, "InvalidKey", ErrorKind::UnsupportedKey),
            (416, "InvalidRange", ErrorKind::OutOfRange),
            (503, "acquiring_lock_timeout", ErrorKind::Transient),
            (423, "ResourceLocked", ErrorKind::Transient),
            (544, "", ErrorKind::Transient),
        ] {
            for told in [format!("\"{status}\""), status.to_string()] {
                let body = format!(r#"{{"statusCode":{told},"error":"{word}","message":"m"}}"#);
                let failure = refused(400, body.as_bytes(), None);
                assert_eq!((failure.status(), failure.message()), (status, "m"), "{body}");
                assert_eq!(kind(&failure), class, "{body}");
                assert_eq!(may_pass(&failure), class == ErrorKind::Transient, "{body}");
                assert_eq!(is_certain(&failure), class != ErrorKind::Transient, "{body}");
            }
        }
        for odd in [
            "<html>",
            "",
            "null",
            "[]",
            r#"{"statusCode":"200"}"#,
            r#"{"statusCode":{}}"#,
        ] {
            let failure = refused(400, odd.as_bytes(), None);
            assert_eq!((failure.status(), kind(&failure)), (400, ErrorKind::Other), "{odd}");
        }
        // TUS has true statuses, and its words are no JSON.
        let locked = refused(423, b"the file is locked", None);
        assert_eq!(
            (kind(&locked), locked.message()),
            (ErrorKind::Transient, "the file is locked")
        );
        assert!(is_conflict(&refused(409, b"Upload-Offset conflict", None)));
    }
}
