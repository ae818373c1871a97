//! An S3 server in memory that does as it is told: it fails at the request that a test names, in the way that it names,
//! and lacks what servers lack. It keeps any key and decides races in one step.

mod bucket;
mod message;

use std::collections::BTreeMap;
use std::io::{BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use bucket::Bucket;
pub(crate) use message::Request;
use message::{Response, refusal};

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

/// What goes wrong at a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It is refused with that status and code.
    Refuse(u16, &'static str),
    /// It is carried out, and the connection closed without an answer.
    LoseAnswer,
    /// The connection is closed after so many bytes of the request's body; nothing is done.
    ResetAfter(usize),
    /// Nothing is done, and the answer is 200 with an error in it.
    ErrorInside(&'static str),
    /// The answer's body is cut off after so many bytes.
    CutAnswer(usize),
}

struct Rule {
    method: &'static str,
    /// What the target must have in it.
    target: &'static str,
    /// Requests that pass before.
    skip: usize,
    /// How often it befalls.
    times: usize,
    fault: Fault,
}

#[derive(Default)]
struct State {
    bucket: Bucket,
    rules: Vec<Rule>,
    seen: Vec<Request>,
    /// The one session token that is taken; `None` takes requests without.
    token: Option<String>,
}

/// The server. It ends with the process: its threads wait for connections, which costs nothing.
#[derive(Clone)]
pub(crate) struct Fake {
    endpoint: String,
    traits: Traits,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub(crate) fn start(traits: Traits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            traits,
            state: Arc::default(),
        };
        let server = fake.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                thread::spawn(move || server.serve(&stream));
            }
        });
        fake
    }

    pub(crate) fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// Has a fault befall the first request of that method whose target has that text in it.
    pub(crate) fn fail(&self, method: &'static str, target: &'static str, fault: Fault) {
        self.fail_times(method, target, 0, 1, fault);
    }

    /// The same for some requests, after some that pass.
    pub(crate) fn fail_times(
        &self,
        method: &'static str,
        target: &'static str,
        skip: usize,
        times: usize,
        fault: Fault,
    ) {
        let rule = Rule {
            method,
            target,
            skip,
            times,
            fault,
        };
        self.state.lock().unwrap().rules.push(rule);
    }

    /// Takes no other session token from now on.
    pub(crate) fn take_only_token(&self, token: &str) {
        self.state.lock().unwrap().token = Some(token.to_owned());
    }

    /// Whether every fault befell.
    pub(crate) fn assert_all_befell(&self) {
        let state = self.state.lock().unwrap();
        let left: Vec<_> = state
            .rules
            .iter()
            .filter(|rule| rule.times > 0)
            .map(|rule| rule.fault)
            .collect();
        assert!(left.is_empty(), "never befell: {left:?}");
    }

    /// Requests so far of that method whose target has that text in it.
    pub(crate) fn seen(&self, method: &str, target: &str) -> Vec<Request> {
        let state = self.state.lock().unwrap();
        let fits = |request: &&Request| request.method == method && request.target.contains(target);
        state.seen.iter().filter(fits).cloned().collect()
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

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some((mut request, length)) = Request::read_head(&mut reader) {
            let fault = self.fault_of(&request);
            if let Some(Fault::ResetAfter(bytes)) = fault {
                request.read_body(&mut reader, bytes.min(length));
                self.state.lock().unwrap().seen.push(request);
                break;
            }
            request.read_body(&mut reader, length);
            let mut response = match fault {
                Some(Fault::Refuse(status, code)) => refusal(status, code),
                Some(Fault::ErrorInside(code)) => refusal(200, code),
                _ => self.answer(&request),
            };
            let is_head = request.method == "HEAD";
            self.state.lock().unwrap().seen.push(request);
            match fault {
                Some(Fault::LoseAnswer) => break,
                Some(Fault::CutAnswer(bytes)) => {
                    response.cut = Some(bytes);
                    drop((&*stream).write_all(&response.bytes(is_head)));
                    break;
                }
                _ => {}
            }
            if (&*stream).write_all(&response.bytes(is_head)).is_err() {
                break;
            }
        }
        drop(stream.shutdown(Shutdown::Both));
    }

    fn fault_of(&self, request: &Request) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        let fits =
            |rule: &&mut Rule| rule.times > 0 && rule.method == request.method && request.target.contains(rule.target);
        let rule = state.rules.iter_mut().find(fits)?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.times -= 1;
        Some(rule.fault)
    }

    fn answer(&self, request: &Request) -> Response {
        let mut state = self.state.lock().unwrap();
        let is_ours = request
            .header("authorization")
            .is_some_and(|value| value.contains(ACCESS_KEY));
        if !is_ours {
            return refusal(403, "InvalidAccessKeyId");
        }
        if state.token.is_some() && request.header("x-amz-security-token") != state.token.as_deref() {
            return refusal(400, "ExpiredToken");
        }
        if request.header("x-amz-content-sha256") != Some(message::sha256(&request.body).as_str()) {
            return refusal(400, "XAmzContentSHA256Mismatch");
        }
        let has_checksum = request.headers.keys().any(|name| name.starts_with("x-amz-checksum-"));
        if self.traits.refuses_checksums && has_checksum {
            return refusal(501, "NotImplemented");
        }
        if self.traits.refuses_conditions && request.header("if-none-match").is_some() {
            return refusal(501, "NotImplemented");
        }
        state.bucket.answer(request, self.traits)
    }
}
