use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use backstay_core::Sha256Digest;
use backstay_core::store::{Error, ErrorKind};
use backstay_http::{Answer, Failure, Http, Tries};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;

use crate::config::{Addressing, Checksums, S3Config};
use crate::credentials::{Credentials, CredentialsProvider};
use crate::failure::{Told as _, without_credentials, words};
use crate::sign::{Presigned, Signed, encoded_path, query};

/// Sends calls to one bucket: signs them, renews credentials, tries again what may succeed.
#[derive(Debug)]
pub(crate) struct Client {
    config: S3Config,
    http: Http,
    provider: Arc<dyn CredentialsProvider>,
    held: Mutex<Option<Credentials>>,
    place: Place,
    sends_checksums: AtomicBool,
    /// Whether the server refuses keys that exist, once that is known.
    pub(crate) honours_conditions: OnceLock<bool>,
}

/// Where the bucket is.
#[derive(Debug)]
struct Place {
    scheme: &'static str,
    host: String,
    /// Encoded, with the bucket where it stands in the path; without a slash at its end.
    path: String,
}

/// One request, not signed yet.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    method: &'static str,
    /// The whole name of an object; nothing for the bucket itself.
    name: Option<&'a str>,
    query: Vec<(&'static str, &'a str)>,
    headers: Vec<(&'static str, String)>,
    body: Option<&'a [u8]>,
    digest: Sha256Digest,
    /// Headers that not all servers take.
    checksum: Vec<(&'static str, String)>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: &'static str, name: Option<&'a str>) -> Self {
        Self {
            method,
            name,
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            digest: Sha256Digest::of(b""),
            checksum: Vec::new(),
        }
    }

    pub(crate) fn query(mut self, name: &'static str, value: &'a str) -> Self {
        self.query.push((name, value));
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

    /// With a body, which may be empty, and its digest.
    pub(crate) fn body(mut self, body: &'a [u8], digest: Sha256Digest) -> Self {
        self.body = Some(body);
        self.digest = digest;
        self
    }

    /// With the checksum of the body as a header of its own.
    pub(crate) fn checksummed(mut self) -> Self {
        let digest = BASE64_STANDARD.encode(self.digest.as_bytes());
        // The second says nothing more, and AWS wants it where an object is locked.
        self.checksum = vec![
            ("x-amz-checksum-sha256", digest),
            ("x-amz-sdk-checksum-algorithm", "SHA256".to_owned()),
        ];
        self
    }

    /// With the announcement that parts will have checksums.
    pub(crate) fn announcing_checksums(mut self) -> Self {
        self.checksum = vec![("x-amz-checksum-algorithm", "SHA256".to_owned())];
        self
    }
}

impl Client {
    pub(crate) fn new(config: S3Config, provider: Arc<dyn CredentialsProvider>) -> Result<Self, Error> {
        let http = Http::new(config.ca_file.as_deref())?;
        let place = Place::of(&config).ok_or_else(|| {
            Error::new(ErrorKind::Other, "use", config.endpoint.clone().unwrap_or_default())
                .because("an endpoint begins with https:// or http:// and has a host")
        })?;
        Ok(Self {
            sends_checksums: AtomicBool::new(config.checksums != Checksums::Omitted),
            config,
            http,
            provider,
            held: Mutex::new(None),
            place,
            honours_conditions: OnceLock::new(),
        })
    }

    pub(crate) fn config(&self) -> &S3Config {
        &self.config
    }

    pub(crate) fn sends_checksums(&self) -> bool {
        self.sends_checksums.load(Ordering::Relaxed)
    }

    /// The whole name of an object or the beginning of several.
    pub(crate) fn name(&self, key: &str) -> String {
        format!("{}{key}", self.config.prefix)
    }

    /// What an object is called in messages.
    pub(crate) fn subject(&self, key: &str) -> String {
        format!("s3://{}/{}{key}", self.config.bucket, self.config.prefix)
    }

    /// Sends a call once; once more where a header is refused that can be left out.
    pub(crate) fn once(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let checksum = if self.sends_checksums() {
            &call.checksum[..]
        } else {
            &[]
        };
        match self.authorised(call, checksum) {
            Err(failure)
                if !checksum.is_empty()
                    && self.config.checksums == Checksums::Automatic
                    && failure.may_mind_a_header() =>
            {
                let answer = self.authorised(call, &[])?;
                self.sends_checksums.store(false, Ordering::Relaxed);
                Ok(answer)
            }
            sent => sent,
        }
    }

    fn authorised(&self, call: &Call<'_>, checksum: &[(&'static str, String)]) -> Result<Answer, Failure> {
        let credentials = self.credentials()?;
        let failure = match self.send(call, checksum, &credentials) {
            Err(failure) => failure,
            sent => return sent,
        };
        // The answer to HEAD has no body that could say what is wrong.
        let may_be_expired =
            call.method == "HEAD" && credentials.session_token().is_some() && matches!(failure.status(), 400 | 403);
        if !failure.is_expired() && !may_be_expired {
            return Err(failure);
        }
        let renewed = self.renewed(&credentials)?;
        if renewed == credentials {
            return Err(failure);
        }
        self.send(call, checksum, &renewed)
    }

    fn send(
        &self,
        call: &Call<'_>,
        checksum: &[(&'static str, String)],
        credentials: &Credentials,
    ) -> Result<Answer, Failure> {
        let name = call.name.map(encoded_path).unwrap_or_default();
        let path = match (call.name, self.place.path.as_str()) {
            (None, "") => "/".to_owned(),
            (None, path) => path.to_owned(),
            (Some(_), path) => format!("{path}/{name}"),
        };
        let query = query(&call.query);
        let mut headers = call.headers.clone();
        headers.extend_from_slice(checksum);
        let signed = Signed {
            method: call.method,
            host: &self.place.host,
            path: &path,
            query: &query,
            headers: &headers,
            body: call.digest,
            region: &self.config.region,
            now: now(),
        };
        let added = signed.sign(credentials);
        headers.extend(added);
        let mut url = format!("{}://{}{path}", self.place.scheme, self.place.host);
        if !query.is_empty() {
            url.push('?');
            url.push_str(&query);
        }
        self.http.send(call.method, &url, &headers, call.body)?.succeeded(words)
    }

    /// A URL by which anybody can read an object for some time.
    pub(crate) fn presigned(&self, name: &str, expires_in: Duration) -> Result<String, Failure> {
        let credentials = self.credentials()?;
        let Place { scheme, host, path } = &self.place;
        let path = format!("{path}/{}", encoded_path(name));
        let presigned = Presigned {
            host,
            path: &path,
            region: &self.config.region,
            now: now(),
            expires_in,
        };
        Ok(format!("{scheme}://{host}{path}?{}", presigned.query(&credentials)))
    }

    fn credentials(&self) -> Result<Credentials, Failure> {
        // Others wait, so that one fetches for all.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(credentials) if credentials.are_fresh(now().as_second()) => Ok(credentials.clone()),
            _ => {
                let fetched = self.provider.fetch().map_err(without_credentials)?;
                *held = Some(fetched.clone());
                Ok(fetched)
            }
        }
    }

    /// Credentials other than those that were refused, which another thread may have fetched already.
    fn renewed(&self, refused: &Credentials) -> Result<Credentials, Failure> {
        {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            if held.as_ref() == Some(refused) {
                *held = None;
            }
        }
        self.credentials()
    }

    /// Tries until it succeeds, fails for good, or has failed too often. What is tried must be harmless to repeat.
    pub(crate) fn tried<T>(&self, attempt: impl FnMut() -> Result<T, Failure>) -> (Result<T, Failure>, Tries) {
        self.config.retries.tried(Failure::may_pass, attempt)
    }

    /// The same for what is only done or not done.
    pub(crate) fn retried<T>(
        &self,
        doing: &'static str,
        subject: &str,
        attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let (outcome, tries) = self.tried(attempt);
        outcome.map_err(|failure| failure.given_up(tries.count, doing, subject))
    }

    /// Removes an object; one that does not exist counts as removed.
    pub(crate) fn delete(&self, key: &str) -> Result<(), Error> {
        let (name, subject) = (self.name(key), self.subject(key));
        self.retried("delete", &subject, || {
            match self.once(&Call::new("DELETE", Some(&name))) {
                Err(failure) if !failure.is_missing() => Err(failure),
                _ => Ok(()),
            }
        })
    }
}

impl Place {
    fn of(config: &S3Config) -> Option<Self> {
        let aws = || format!("https://s3.{}.amazonaws.com", config.region);
        let endpoint = config.endpoint.clone().unwrap_or_else(aws);
        let (scheme, rest) = match endpoint.split_once("://")? {
            ("https", rest) => ("https", rest),
            ("http", rest) => ("http", rest),
            _ => return None,
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() || host.contains(['@', '?', '#']) {
            return None;
        }
        let path = path.trim_matches('/');
        let path = if path.is_empty() {
            String::new()
        } else {
            format!("/{path}")
        };
        // What is left out of the Host header must be left out of what is signed.
        let standard_port = if scheme == "https" { ":443" } else { ":80" };
        let host = host.strip_suffix(standard_port).unwrap_or(host);
        let bucket = &config.bucket;
        let is_virtual = match config.addressing {
            Addressing::Path => false,
            Addressing::VirtualHost => true,
            Addressing::Automatic => config.endpoint.is_none() && !bucket.contains('.'),
        };
        Some(if is_virtual {
            Self {
                scheme,
                host: format!("{bucket}.{host}"),
                path,
            }
        } else {
            Self {
                scheme,
                host: host.to_owned(),
                path: format!("{path}/{}", encoded_path(bucket)),
            }
        })
    }
}

/// The time that signatures bear; the one place where this crate reads a clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_second(i64::try_from(since.as_secs()).unwrap_or(0)).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_stands_where_it_belongs() {
        for (bucket, endpoint, addressing, host, path) in [
            ("b", None, Addressing::Automatic, "b.s3.us-east-1.amazonaws.com", ""),
            ("b.c", None, Addressing::Automatic, "s3.us-east-1.amazonaws.com", "/b.c"),
            ("b", None, Addressing::Path, "s3.us-east-1.amazonaws.com", "/b"),
            (
                "b",
                Some("http://127.0.0.1:9000/"),
                Addressing::Automatic,
                "127.0.0.1:9000",
                "/b",
            ),
            ("b", Some("https://x.y:443"), Addressing::VirtualHost, "b.x.y", ""),
            (
                "b",
                Some("https://x.y/storage/v1/s3"),
                Addressing::Automatic,
                "x.y",
                "/storage/v1/s3/b",
            ),
        ] {
            let mut config = S3Config::new(bucket);
            config.endpoint = endpoint.map(str::to_owned);
            config.addressing = addressing;
            let place = Place::of(&config).unwrap();
            assert_eq!(
                (place.host.as_str(), place.path.as_str()),
                (host, path),
                "{bucket} {endpoint:?}"
            );
        }
        for bad in ["127.0.0.1:9000", "ftp://x", "https://", "https://user:hunter2@x"] {
            let mut config = S3Config::new("b");
            config.endpoint = Some(bad.to_owned());
            assert!(Place::of(&config).is_none(), "{bad}");
        }
    }
}
