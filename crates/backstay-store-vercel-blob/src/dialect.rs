use backstay_core::store::{Error, ErrorKind};
use backstay_http::{Failure, GivenUp};
use serde::Deserialize;

// The words of the service for what it refuses, as its own client knows them.
const MISSING: &str = "not_found";
const STORE_MISSING: &str = "store_not_found";
const PRECONDITION: &str = "precondition_failed";
const BAD_REQUEST: &str = "bad_request";
const TOO_LARGE: &str = "file_too_large";
const DENIED: [&str; 3] = ["forbidden", "store_suspended", "not_allowed"];
const TRANSIENT: [&str; 4] = [
    "rate_limited",
    "service_unavailable",
    "unknown_error",
    "internal_server_error",
];

#[derive(Deserialize)]
struct Refusal {
    error: Told,
}

#[derive(Deserialize)]
struct Told {
    code: Option<String>,
    message: Option<String>,
}

/// The word and the sentence in the body of a refusal; nothing where it is not the service that speaks.
pub(crate) fn words(body: &[u8]) -> (String, String) {
    match serde_json::from_slice(body) {
        Ok(Refusal { error }) => (error.code.unwrap_or_default(), error.message.unwrap_or_default()),
        Err(_) => (String::new(), String::new()),
    }
}

/// Whether another try may succeed. What was asked for may have been done all the same.
pub(crate) fn may_pass(failure: &Failure) -> bool {
    failure.is_transient(&TRANSIENT)
}

/// Whether what was asked for was certainly not done.
pub(crate) fn is_certain(failure: &Failure) -> bool {
    failure.is_definite(&TRANSIENT)
}

fn kind(failure: &Failure) -> ErrorKind {
    if may_pass(failure) {
        return ErrorKind::Transient;
    }
    match (failure.status(), failure.code()) {
        (_, MISSING) => ErrorKind::NotFound,
        (_, STORE_MISSING) => ErrorKind::StoreMissing,
        (_, TOO_LARGE) => ErrorKind::Full,
        (_, code) if DENIED.contains(&code) => ErrorKind::Denied,
        (401 | 403, _) => ErrorKind::Denied,
        (416, _) => ErrorKind::OutOfRange,
        _ => ErrorKind::Other,
    }
}

/// The last failure after so many tries as the error of a store.
pub(crate) fn given_up(failure: Failure, tries: u32, doing: &'static str, subject: &str) -> Error {
    GivenUp::error(kind(&failure), failure, tries, doing, subject)
}

/// Whether the service itself says that there is no such blob; a 404 of another sender does not.
pub(crate) fn is_missing(failure: &Failure) -> bool {
    failure.code() == MISSING
}

pub(crate) fn is_precondition(failure: &Failure) -> bool {
    failure.status() == 412 || failure.code() == PRECONDITION
}

/// Whether a write is refused because there is a blob of that name. The service has no word of its own for that, only a
/// sentence.
pub(crate) fn says_it_exists(failure: &Failure) -> bool {
    is_precondition(failure) || failure.status() == 409 || failure.message().contains("already exists")
}

/// Whether a write may be refused for that reason in other words.
pub(crate) fn may_say_it_exists(failure: &Failure) -> bool {
    says_it_exists(failure) || failure.code() == BAD_REQUEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_classed() {
        for (status, code, kind) in [
            (404, "not_found", ErrorKind::NotFound),
            (404, "", ErrorKind::Other),
            (404, "store_not_found", ErrorKind::StoreMissing),
            (403, "store_suspended", ErrorKind::Denied),
            (403, "forbidden", ErrorKind::Denied),
            (401, "", ErrorKind::Denied),
            (416, "", ErrorKind::OutOfRange),
            (400, "file_too_large", ErrorKind::Full),
            (400, "bad_request", ErrorKind::Other),
            (412, "precondition_failed", ErrorKind::Other),
            (301, "", ErrorKind::Other),
            (429, "rate_limited", ErrorKind::Transient),
            (503, "service_unavailable", ErrorKind::Transient),
            (400, "unknown_error", ErrorKind::Transient),
            (500, "internal_server_error", ErrorKind::Transient),
            (502, "", ErrorKind::Transient),
        ] {
            let body = format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#);
            let (found, message) = words(body.as_bytes());
            assert_eq!((found.as_str(), message.as_str()), (code, "m"));
            let failure = Failure::Refused {
                status,
                code: found,
                message,
                retry_after: None,
            };
            assert_eq!(super::kind(&failure), kind, "{status} {code}");
            assert_eq!(may_pass(&failure), kind == ErrorKind::Transient, "{status} {code}");
            assert_eq!(is_certain(&failure), kind != ErrorKind::Transient, "{status} {code}");
        }
        for none in [b"".as_slice(), b"<html>", b"null", b"{}", br#"{"error":"x"}"#] {
            assert_eq!(words(none), (String::new(), String::new()));
        }
    }
}
