use std::time::{SystemTime, UNIX_EPOCH};

use backstay_core::store::{Error, ErrorKind};
use backstay_http::{Answer, Failure, Http, Tries};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

use crate::answers::{Blob, expect_pathname};
use crate::config::{Access, VercelBlobConfig};
use crate::dialect;

/// The version of the API that this crate speaks.
const API_VERSION: &str = "12";
/// What is read of an answer that is not a blob.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: AsciiSet = UNRESERVED.remove(b'/');

/// Sends calls to one store, and tries again what may succeed.
#[derive(Debug)]
pub(crate) struct Client {
    config: VercelBlobConfig,
    http: Http,
    /// URL of the API, without a slash at its end.
    api: String,
    /// URL beneath which blobs are read, without a slash at its end.
    reads: String,
}

/// One request to the API.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    method: &'static str,
    /// What stands behind the API's URL, with its query.
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Option<&'a [u8]>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: &'static str, path: &'static str) -> Self {
        Self {
            method,
            target: path.to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    pub(crate) fn query(mut self, name: &'static str, value: &str) -> Self {
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(name);
        self.target.push('=');
        self.target.push_str(&encoded(value));
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn headers(mut self, headers: &[(&'static str, String)]) -> Self {
        self.headers.extend_from_slice(headers);
        self
    }

    /// With a body, which may be empty.
    pub(crate) fn body(mut self, body: &'a [u8]) -> Self {
        self.body = Some(body);
        self
    }

    /// With a body of JSON.
    pub(crate) fn json(self, body: &'a str) -> Self {
        self.header("content-type", "application/json").body(body.as_bytes())
    }
}

impl Client {
    pub(crate) fn new(config: VercelBlobConfig) -> Result<Self, Error> {
        let reads = config.read_endpoint.clone().unwrap_or_else(|| {
            let store = config.token.store().to_ascii_lowercase();
            format!("https://{store}.{}.blob.vercel-storage.com", config.access.as_str())
        });
        Ok(Self {
            api: usable(&config.endpoint)?,
            reads: usable(&reads)?,
            http: Http::new(None)?,
            config,
        })
    }

    pub(crate) fn config(&self) -> &VercelBlobConfig {
        &self.config
    }

    /// The whole name of an object or the beginning of several.
    pub(crate) fn name(&self, key: &str) -> String {
        format!("{}{key}", self.config.prefix)
    }

    /// What an object is called in messages.
    pub(crate) fn subject(&self, key: &str) -> String {
        format!("vercel-blob://{}{key}", self.config.prefix)
    }

    /// The URL that a whole name is read at, without a query.
    pub(crate) fn read_url(&self, name: &str) -> String {
        format!("{}/{}", self.reads, utf8_percent_encode(name, &PATH))
    }

    /// Sends a call once and gives what the answer tells.
    pub(crate) fn once<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, Failure> {
        let mut headers = vec![
            ("authorization", self.config.token.bearer()),
            ("x-api-version", API_VERSION.to_owned()),
            ("x-vercel-blob-store-id", self.config.token.store().to_owned()),
        ];
        headers.extend_from_slice(&call.headers);
        let url = format!("{}{}", self.api, call.target);
        let answer = self.http.send(call.method, &url, &headers, call.body)?;
        let bytes = answer.succeeded(dialect::words)?.bytes(ANSWER_BYTES_MAX)?;
        serde_json::from_slice(&bytes).map_err(|error| Failure::unusable(error.to_string()))
    }

    /// Reads a range of a blob, or fails as an answer to that fails.
    pub(crate) fn fetch(&self, name: &str, start: u64, end: u64) -> Result<Answer, Failure> {
        let mut url = self.read_url(name);
        let mut headers = vec![
            ("range", format!("bytes={start}-{}", end - 1)),
            // Packed bytes have other ranges, and only what is not packed has a strong tag.
            ("accept-encoding", "identity".to_owned()),
        ];
        if self.config.access == Access::Private {
            // The service takes this from private blobs only; whatever is public goes through its cache.
            url.push_str("?cache=0");
            headers.push(("authorization", self.config.token.bearer()));
        }
        self.http.send("GET", &url, &headers, None)?.succeeded(dialect::words)
    }

    /// Tries until it succeeds, fails for good, or has failed too often.
    pub(crate) fn tried<T>(&self, attempt: impl FnMut() -> Result<T, Failure>) -> (Result<T, Failure>, Tries) {
        self.config.retries.tried(dialect::may_pass, attempt)
    }

    /// The same for what is only done or not done.
    pub(crate) fn retried<T>(
        &self,
        doing: &'static str,
        subject: &str,
        attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let (outcome, tries) = self.tried(attempt);
        outcome.map_err(|failure| dialect::given_up(failure, tries.count, doing, subject))
    }

    /// What the service itself, and no cache, tells of an object; `None` where there is none.
    pub(crate) fn look(&self, key: &str) -> Result<Option<Blob>, Error> {
        self.retried("look at", &self.subject(key), || self.look_once(key))
    }

    pub(crate) fn look_once(&self, key: &str) -> Result<Option<Blob>, Failure> {
        let name = self.name(key);
        match self.once::<Blob>(&Call::new("GET", "").query("url", &name)) {
            Err(failure) if dialect::is_missing(&failure) => Ok(None),
            Err(failure) => Err(failure),
            Ok(found) => {
                expect_pathname(&found.pathname, &name)?;
                Ok(Some(found))
            }
        }
    }
}

/// Encodes a value of a query or a header.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, &UNRESERVED).to_string()
}

fn usable(endpoint: &str) -> Result<String, Error> {
    let host = endpoint
        .strip_prefix("https://")
        .or_else(|| endpoint.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with('/') && !host.contains(['@', '?', '#']) => {
            Ok(endpoint.trim_end_matches('/').to_owned())
        }
        // It is not repeated, since a password may stand in it.
        _ => Err(Error::new(ErrorKind::Other, "use", "the endpoint")
            .because("an endpoint begins with https:// or http://, and has a host and no credentials")),
    }
}

/// Milliseconds since the Unix epoch; the one place where this crate reads a clock.
pub(crate) fn now_unix_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
