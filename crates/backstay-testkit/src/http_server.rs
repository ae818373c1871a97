//! A tiny HTTP server that fails as a test tells it, for servers that answer as a service does.

mod message;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

pub use message::{Request, Response};

/// What goes wrong at a request.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "tests name them all")]
pub enum Fault {
    /// Nothing is done, and it is refused with that status and word.
    Refuse(u16, &'static str),
    /// Nothing is done, and that is the answer.
    Answer(Response),
    /// It is carried out, and the connection closed without an answer.
    LoseAnswer,
    /// The connection is closed after so many bytes of the request's body; nothing is done.
    ResetAfter(usize),
    /// It is carried out, and the answer's body is cut off after so many bytes.
    CutAnswer(usize),
}

#[derive(Debug)]
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

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    seen: Vec<Request>,
}

/// Answers requests.
type Answers = dyn Fn(&Request) -> Response + Send + Sync;
/// Says a refusal in the service's own form.
type Refuses = dyn Fn(u16, &str) -> Response + Send + Sync;

/// The server, on a free port of the loopback interface. It ends with the process: its threads wait for connections, which
/// costs nothing.
#[derive(Clone)]
pub struct HttpServer {
    endpoint: String,
    state: Arc<Mutex<State>>,
    answers: Arc<Answers>,
    refuses: Arc<Refuses>,
}

impl HttpServer {
    /// A server that answers by the first function, and by the second where a fault refuses.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn start(
        answers: impl Fn(&Request) -> Response + Send + Sync + 'static,
        refuses: impl Fn(u16, &str) -> Response + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::default(),
            answers: Arc::new(answers),
            refuses: Arc::new(refuses),
        };
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                thread::spawn(move || serving.serve(&stream));
            }
        });
        server
    }

    /// Its URL, without a slash at its end.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// Has a fault befall the first request of that method whose target has that text in it.
    pub fn fail(&self, method: &'static str, target: &'static str, fault: Fault) {
        self.fail_times(method, target, 0, 1, fault);
    }

    /// The same for some requests, after some that pass.
    ///
    /// # Panics
    /// Where a thread of the server panicked.
    pub fn fail_times(&self, method: &'static str, target: &'static str, skip: usize, times: usize, fault: Fault) {
        let rule = Rule {
            method,
            target,
            skip,
            times,
            fault,
        };
        self.state.lock().unwrap().rules.push(rule);
    }

    /// Forgets all faults.
    ///
    /// # Panics
    /// Where a thread of the server panicked.
    pub fn heal(&self) {
        self.state.lock().unwrap().rules.clear();
    }

    /// Whether every fault befell.
    ///
    /// # Panics
    /// Where one did not, with its name.
    pub fn assert_all_befell(&self) {
        let state = self.state.lock().unwrap();
        let left: Vec<_> = state.rules.iter().filter(|rule| rule.times > 0).collect();
        assert!(left.is_empty(), "never befell: {left:?}");
    }

    /// Requests so far of that method whose target has that text in it; of any method where none is named.
    ///
    /// # Panics
    /// Where a thread of the server panicked.
    #[must_use]
    pub fn seen(&self, method: &str, target: &str) -> Vec<Request> {
        let state = self.state.lock().unwrap();
        let fits =
            |request: &&Request| (method.is_empty() || request.method == method) && request.target.contains(target);
        state.seen.iter().filter(fits).cloned().collect()
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
            // What was cut off while it was sent is not carried out.
            if request.body.len() < length {
                self.state.lock().unwrap().seen.push(request);
                break;
            }
            let mut response = match &fault {
                Some(Fault::Refuse(status, code)) => (self.refuses)(*status, code),
                Some(Fault::Answer(response)) => response.clone(),
                _ => (self.answers)(&request),
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
        Some(rule.fault.clone())
    }
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServer")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// What a server lists: names that begin so and come after another one, in order. It looks at no others, because a bucket
/// that many cases share gets thousands.
pub fn listed<'m, V>(
    objects: &'m BTreeMap<String, V>,
    prefix: &str,
    after: &str,
) -> impl Iterator<Item = (&'m String, &'m V)> {
    let first = prefix.max(after).to_owned();
    let objects = objects.range(first..);
    let (prefix, after) = (prefix.to_owned(), after.to_owned());
    objects
        .skip_while(move |(name, _)| **name == after)
        .take_while(move |(name, _)| name.starts_with(&prefix))
}
