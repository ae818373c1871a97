//! An S3 server in memory that does as it is told: it fails at the request that a test names, in the way that it names,
//! and lacks what servers lack. It keeps any key and decides races in one step.

mod bucket;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use backstay_core::Sha256Digest;
pub(crate) use backstay_testkit::http_server::Fault;
use backstay_testkit::http_server::{HttpServer, Request, Response};

use bucket::Bucket;

pub(crate) const BUCKET: &str = "fake";
pub(crate) const ACCESS_KEY: &str = "AKIDFAKE";

/// What a server lacks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traits {
    /// Entries of a page of a listing; 0 is a thousand.
    pub(crate) page: usize,
    /// `If-None-Match` is taken and ignored.
    pub(crate) ignores_conditions: bool,
    /// `If-None-Match` is answered with 501.
    pub(crate) refuses_conditions: bool,
    /// Checksum headers are answered with 501.
    pub(crate) refuses_checksums: bool,
    /// The first byte of each part is kept as another one, without a word but for the checksum of the whole.
    pub(crate) damages_parts: bool,
    /// Metadata is taken and forgotten, also that of encryption and locks.
    pub(crate) forgets_metadata: bool,
}

#[derive(Default)]
struct State {
    bucket: Bucket,
    traits: Traits,
    /// The one session token that is taken; `None` takes requests without.
    token: Option<String>,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Fake {
    http: HttpServer,
    state: Arc<Mutex<State>>,
}

impl Deref for Fake {
    type Target = HttpServer;

    fn deref(&self) -> &HttpServer {
        &self.http
    }
}

impl Fake {
    pub(crate) fn start(traits: Traits) -> Self {
        let state = Arc::new(Mutex::new(State {
            traits,
            ..State::default()
        }));
        let answering = Arc::clone(&state);
        let answer = move |request: &Request| answering.lock().unwrap().answer(request);
        Self {
            http: HttpServer::start(answer, refusal),
            state,
        }
    }

    /// Takes no other session token from now on.
    pub(crate) fn take_only_token(&self, token: &str) {
        self.state.lock().unwrap().token = Some(token.to_owned());
    }

    /// Bytes of an object, by its whole name.
    pub(crate) fn object(&self, name: &str) -> Option<Vec<u8>> {
        self.state.lock().unwrap().bucket.bytes(name)
    }

    /// Puts an object there that no store of ours wrote.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        self.state
            .lock()
            .unwrap()
            .bucket
            .put(name, bytes.to_vec(), BTreeMap::new());
    }

    /// Open uploads.
    pub(crate) fn uploads(&self) -> usize {
        self.state.lock().unwrap().bucket.uploads()
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Response {
        let is_ours = request
            .header("authorization")
            .is_some_and(|value| value.contains(ACCESS_KEY));
        if !is_ours {
            return refusal(403, "InvalidAccessKeyId");
        }
        if self.token.is_some() && request.header("x-amz-security-token") != self.token.as_deref() {
            return refusal(400, "ExpiredToken");
        }
        if request.header("x-amz-content-sha256") != Some(sha256(&request.body).as_str()) {
            return refusal(400, "XAmzContentSHA256Mismatch");
        }
        let has_checksum = request.headers.keys().any(|name| name.starts_with("x-amz-checksum-"));
        if self.traits.refuses_checksums && has_checksum {
            return refusal(501, "NotImplemented");
        }
        if self.traits.refuses_conditions && request.header("if-none-match").is_some() {
            return refusal(501, "NotImplemented");
        }
        self.bucket.answer(request, self.traits)
    }
}

/// A refusal, or an error that comes with a good status.
pub(crate) fn refusal(status: u16, code: &str) -> Response {
    let body = format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>as told</Message></Error>");
    Response::new(status, body)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256Digest::of(bytes).to_string()
}
