use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backstay_core::store::{Error, ErrorKind};
use ureq::http::{HeaderMap, Request};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use crate::failure::Failure;

/// What is read of a refusal.
const REFUSAL_BYTES_MAX: u64 = 64 << 10;
const CA_BYTES_MAX: u64 = 8 << 20;

/// How long something may take.
#[derive(Clone, Copy, Debug)]
struct Times {
    connect: Duration,
    /// Until an answer begins: completing a large object takes its time.
    answer: Duration,
    /// A reader goes on where this cut it off, so it is no bound for a whole object.
    body: Duration,
    /// Of sending, beside what the length allows.
    send: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(300),
            body: Duration::from_secs(120),
            send: Duration::from_secs(60),
        }
    }
}

/// Slower than this, an upload is given up and tried again.
const SEND_BYTES_PER_SEC: u64 = 16 << 10;

/// One HTTP client with its connections. Redirects are not followed, because a signature holds for one host, and no
/// proxy is taken from the environment.
#[derive(Clone, Debug)]
pub struct Http {
    agent: Agent,
    times: Times,
}

/// The status, the headers and the body of an answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    headers: HeaderMap,
    body: Body,
}

impl Http {
    /// A client that trusts the certificates of a file, or the public ones.
    ///
    /// # Errors
    /// The file cannot be read, or has no certificate.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, Error> {
        Self::with_times(ca_file, Times::default(), None)
    }

    /// The same for short messages: a request, with its answer and all before it, takes so long at most.
    ///
    /// # Errors
    /// As of [`Http::new`].
    pub fn within(time: Duration, ca_file: Option<&Path>) -> Result<Self, Error> {
        Self::with_times(ca_file, Times::default(), Some(time))
    }

    fn with_times(ca_file: Option<&Path>, times: Times, whole: Option<Duration>) -> Result<Self, Error> {
        let roots = match ca_file {
            None => RootCerts::WebPki,
            Some(path) => RootCerts::Specific(Arc::new(certificates(path)?)),
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("backstay/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .max_idle_connections_per_host(16)
            .timeout_global(whole)
            .timeout_connect(Some(times.connect))
            .timeout_recv_response(Some(times.answer))
            .timeout_recv_body(Some(times.body))
            .build();
        Ok(Self {
            agent: Agent::new_with_config(config),
            times,
        })
    }

    /// Sends a request and gives the answer, whatever its status.
    ///
    /// # Errors
    /// No answer came.
    pub fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&'static str, String)],
        body: Option<&[u8]>,
    ) -> Result<Answer, Failure> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let invalid = |error: ureq::http::Error| Failure::Connection(ureq::Error::Http(error));
        let answer = match body {
            None => self.agent.run(request.body(()).map_err(invalid)?),
            Some(bytes) => {
                let time = self.times.send + Duration::from_secs(bytes.len() as u64 / SEND_BYTES_PER_SEC);
                let request = self.agent.configure_request(request.body(bytes).map_err(invalid)?);
                self.agent.run(request.timeout_send_body(Some(time)).build())
            }
        };
        let (parts, body) = answer.map_err(Failure::Connection)?.into_parts();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        })
    }
}

impl Answer {
    /// The value of a header; nothing where it is no text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The value of a header that is a number.
    ///
    /// # Errors
    /// There is none.
    pub fn number(&self, name: &str) -> Result<u64, Failure> {
        let number = self.header(name).and_then(|value| value.parse().ok());
        number.ok_or_else(|| Failure::unusable(format!("it has no {name}")))
    }

    /// The answer as a failure where its status is one; `told` finds the server's word and its sentence in the body.
    ///
    /// # Errors
    /// [`Failure::Refused`]; [`Failure::Broken`] where the refusal broke off, since its status alone may not tell what is
    /// refused.
    pub fn succeeded(self, told: impl FnOnce(&[u8]) -> (String, String)) -> Result<Self, Failure> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let status = self.status;
        let retry_after = self.header("retry-after").and_then(|secs| secs.trim().parse().ok());
        let body = match self.bytes(REFUSAL_BYTES_MAX) {
            Err(failure @ Failure::Broken(_)) => return Err(failure),
            body => body.unwrap_or_default(),
        };
        let (code, message) = told(&body);
        Err(Failure::Refused {
            status,
            code,
            message,
            retry_after: retry_after.map(Duration::from_secs),
        })
    }

    /// The whole body.
    ///
    /// # Errors
    /// It broke off, or is longer than that.
    pub fn bytes(self, bytes_max: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let mut reader = self.into_reader().take(bytes_max + 1);
        reader.read_to_end(&mut bytes).map_err(Failure::Broken)?;
        if bytes.len() as u64 > bytes_max {
            return Err(Failure::unusable(format!("it is longer than {bytes_max} bytes")));
        }
        Ok(bytes)
    }

    /// The body as a stream without a bound of its own.
    pub fn into_reader(self) -> impl Read + Send + use<> {
        self.body.into_with_config().limit(u64::MAX).reader()
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Error> {
    let subject = path.display().to_string();
    let doing = "read the certificates in";
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(CA_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|source| Error::io(doing, &subject, source))?;
    let mut found = Vec::new();
    for item in parse_pem(&bytes) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(source) => return Err(Error::new(ErrorKind::Other, doing, &subject).because(source)),
        }
    }
    if found.is_empty() {
        return Err(Error::new(ErrorKind::Other, doing, &subject).because("there is none in it"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
