use std::sync::OnceLock;

use backstay_core::store::{Error, ErrorKind};
use backstay_http::{Answer, Failure, Http, Tries};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::answers::{Bucket, Info, document};
use crate::config::SupabaseConfig;
use crate::dialect;

/// Longer names leave no room for what the service adds to them in its own bucket.
const NAME_BYTES_MAX: usize = 800;
/// The longest object that the service can move, which is a copy in one step to it.
const MOVED_BYTES_MAX: u64 = 5_000_000_000;

const SEGMENT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: AsciiSet = SEGMENT.remove(b'/');

/// Sends calls about one bucket, and tries again what may succeed.
#[derive(Debug)]
pub(crate) struct Client {
    config: SupabaseConfig,
    http: Http,
    /// URL without a slash at its end.
    base: String,
    /// The bucket's own limit for objects, once it could be asked for.
    bucket_limit: OnceLock<Option<u64>>,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    method: &'static str,
    /// What stands behind the base, encoded.
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<&'a [u8]>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: None,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
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
    pub(crate) fn new(config: SupabaseConfig) -> Result<Self, Error> {
        Ok(Self {
            base: usable(&config.endpoint)?,
            http: Http::new(None)?,
            config,
            bucket_limit: OnceLock::new(),
        })
    }

    /// The same for another bucket, with all of its names.
    pub(crate) fn for_bucket(&self, bucket: &str) -> Self {
        Self {
            config: SupabaseConfig {
                bucket: bucket.to_owned(),
                prefix: String::new(),
                ..self.config.clone()
            },
            http: self.http.clone(),
            base: self.base.clone(),
            bucket_limit: OnceLock::new(),
        }
    }

    pub(crate) fn config(&self) -> &SupabaseConfig {
        &self.config
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The whole name of an object or the beginning of several.
    pub(crate) fn name(&self, key: &str) -> String {
        format!("{}{key}", self.config.prefix)
    }

    /// What an object is called in messages.
    pub(crate) fn subject(&self, key: &str) -> String {
        format!("supabase://{}/{}{key}", self.config.bucket, self.config.prefix)
    }

    /// A path about an object by its whole name.
    pub(crate) fn path(&self, verb: &str, name: &str) -> String {
        let bucket = utf8_percent_encode(&self.config.bucket, &SEGMENT);
        format!("/object{verb}/{bucket}/{}", utf8_percent_encode(name, &PATH))
    }

    /// A path about the bucket.
    pub(crate) fn bucket_path(&self, verb: &str) -> String {
        format!("{verb}/{}", utf8_percent_encode(&self.config.bucket, &SEGMENT))
    }

    /// Whether the service can keep an object of that key.
    pub(crate) fn can_keep(&self, key: &str) -> bool {
        let name = self.name(key);
        name.len() <= NAME_BYTES_MAX && is_name(&name)
    }

    /// Sends a call once.
    pub(crate) fn once(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let mut headers = self.config.key.headers();
        headers.extend_from_slice(&call.headers);
        let url = format!("{}{}", self.base, call.path);
        dialect::succeeded(self.http.send(call.method, &url, &headers, call.body)?)
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

    /// What the service tells of an object, by its whole name; `None` where there is none, or no bucket.
    pub(crate) fn look(&self, name: &str) -> Result<Option<Info>, Error> {
        let subject = format!("supabase://{}/{name}", self.config.bucket);
        let path = self.path("/info", name);
        self.retried("look at", &subject, || {
            let found: Info = match self.once(&Call::new("GET", &path)) {
                Err(failure) if dialect::is_missing(&failure) || dialect::is_no_bucket(&failure) => return Ok(None),
                answer => document(answer?)?,
            };
            if found.name.as_ref().is_some_and(|found| found != name) {
                return Err(Failure::unusable("it is about another object than was asked for"));
            }
            Ok(Some(found))
        })
    }

    /// Fails where the bucket is not there.
    pub(crate) fn expect_bucket(&self, doing: &'static str) -> Result<Bucket, Error> {
        let path = self.bucket_path("/bucket");
        self.retried(doing, self.subject("").trim_end_matches('/'), || {
            document(self.once(&Call::new("GET", &path))?)
        })
    }

    /// The error for an object that is missing: of the object, or of the bucket where that is not there either.
    pub(crate) fn missing(&self, doing: &'static str, key: &str) -> Error {
        match self.expect_bucket(doing) {
            Ok(_) => Error::new(ErrorKind::NotFound, doing, self.subject(key)),
            Err(error) => error,
        }
    }

    /// The longest object that can be written, as far as that is known.
    pub(crate) fn object_bytes_max(&self) -> u64 {
        let asked = || self.expect_bucket("look at").map(|bucket| bucket.file_size_limit);
        let bucket_limit = match self.bucket_limit.get() {
            Some(limit) => *limit,
            None => match asked() {
                Ok(limit) => *self.bucket_limit.get_or_init(|| limit),
                // Whatever is wrong will be told when something is written.
                Err(_) => None,
            },
        };
        // Nought is no limit to the service.
        let bucket_limit = bucket_limit.filter(|limit| *limit > 0).unwrap_or(u64::MAX);
        self.config.object_bytes_max.min(MOVED_BYTES_MAX).min(bucket_limit)
    }
}

/// Whether the service takes that for a name: letters, digits, and what S3 takes without harm.
pub(crate) fn is_name(text: &str) -> bool {
    const OTHERS: &[u8] = b"_/!-.*'() &$@=;:+,?";
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || OTHERS.contains(&byte))
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
