use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ErrorKind, Leftover, ObjectMeta, ObjectWriter, Store};
use backstay_http::{Answer, Failure, PartWriter};
use jiff::Timestamp;

use crate::client::{Call, Client};
use crate::config::{PartSizes, S3Config};
use crate::credentials::CredentialsProvider;
use crate::failure::Told as _;
use crate::parts::{PART_BYTES_MAX, PART_BYTES_MIN};
use crate::writer::S3Object;
use crate::{leftover, list, reader};

/// A bucket, or what is under a prefix of it, as a store.
///
/// - An object that fits into one part is sent with one request, which the server refuses where the key exists
///   (`If-None-Match: *`). A longer one is sent in parts, several at once, and appears when the server joins them, under the
///   same condition.
/// - Every object bears a mark of its writer as metadata. Where an answer was lost, the mark tells whose object is there.
///   It is looked at after every write, together with its length, and with the encryption and the lock that were asked
///   for: a store that takes such a wish and does not fulfil it makes `publish` fail.
/// - Not every server heeds the condition. Whether this one does is tried once, before the first object is written; see
///   [`S3Store::guarantees`].
/// - What is transient is tried again, with waits that grow; expired credentials are fetched anew. A reader goes on where
///   its connection broke, in the same object or not at all.
/// - Objects whose names are no [`ObjectKey`]s are not seen. In a bucket that keeps versions, deletion leaves the old one,
///   for the bucket's rules to remove.
/// - A leftover is an upload that was neither completed nor given up. Its age is that of its newest part, so a running
///   writer has a young one; removing it makes `publish` fail. A server that cannot list uploads shows none: there the
///   bucket needs a rule that ends them.
/// - A writer holds at most `memory_bytes_max` in parts that are sent, and one part that it fills.
///
/// Clones share connections and credentials.
#[derive(Clone, Debug)]
pub struct S3Store {
    client: Arc<Client>,
}

/// What a store can promise beyond what all promise, and what it cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Guarantees {
    /// Who decides between two writers of one key.
    pub create_only: CreateOnly,
}

/// Who decides between two writers of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CreateOnly {
    /// The server, in one step: promise 1 holds without limits.
    Atomic,
    /// The server ignores the condition, so the key is asked for just before it is written. Two writers that publish one
    /// key within the same moment may both succeed, and the later one's object is there. Names of backups bear the time
    /// to the second and their database, so this takes two backups of one database in one second.
    CheckedFirst,
}

impl S3Store {
    /// The store that the configuration describes. Nothing is asked of the server yet.
    ///
    /// # Errors
    /// The configuration cannot be used: no bucket, a prefix that no key can begin with, an endpoint that is no URL, parts
    /// of an impossible length, certificates that cannot be read.
    pub fn open(config: S3Config, credentials: Arc<dyn CredentialsProvider>) -> Result<Self, Error> {
        if let Some(why) = refusal(&config) {
            let subject = format!("s3://{}/{}", config.bucket, config.prefix);
            return Err(Error::new(ErrorKind::Other, "use", subject).because(why));
        }
        Ok(Self {
            client: Arc::new(Client::new(config, credentials)?),
        })
    }

    /// Tells what this server can promise; the first time, that is tried.
    ///
    /// # Errors
    /// Those of the store.
    pub fn guarantees(&self) -> Result<Guarantees, Error> {
        let create_only = if self.client.honours_conditions()? {
            CreateOnly::Atomic
        } else {
            CreateOnly::CheckedFirst
        };
        Ok(Guarantees { create_only })
    }

    /// An error that says "not found" as one of the store where the bucket is not there.
    fn told_apart(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::NotFound {
            return error;
        }
        // The answer to HEAD has no body that could tell the two apart.
        let (bucket, _) = self.client.tried(|| self.client.once(&Call::new("HEAD", None)));
        match bucket {
            Err(failure) if failure.status() == 404 => {
                Error::new(ErrorKind::StoreMissing, "open", self.location()).because(failure)
            }
            // Who may not look at the bucket may still use it.
            _ => error,
        }
    }
}

fn refusal(config: &S3Config) -> Option<&'static str> {
    if config.bucket.is_empty() || config.bucket.contains(['/', '?', '#']) {
        return Some("that is no name of a bucket");
    }
    if !config.prefix.is_empty() && format!("{}x", config.prefix).parse::<ObjectKey>().is_err() {
        return Some("the prefix has an empty, '.' or '..' part, or is too long");
    }
    if !config.prefix.is_empty() && !config.prefix.ends_with('/') {
        return Some("the prefix does not end with a slash");
    }
    if let PartSizes::Uniform(bytes) = config.parts
        && !(PART_BYTES_MIN..=PART_BYTES_MAX).contains(&bytes)
    {
        return Some("a part has 5 MiB to 5 GiB");
    }
    if let Some("GLACIER" | "DEEP_ARCHIVE") = config.storage_class.as_deref() {
        return Some("objects of that storage class cannot be read back");
    }
    None
}

/// When an object was written, as the answer to HEAD tells.
pub(crate) fn modified(answer: &Answer) -> Result<i64, Failure> {
    let text = answer
        .header("last-modified")
        .ok_or_else(|| Failure::unusable("it has no Last-Modified"))?;
    let parsed = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text);
    parsed
        .map(Timestamp::as_second)
        .map_err(|_| Failure::unusable("its Last-Modified is no time"))
}

/// A time in a document.
pub(crate) fn time(text: &str) -> Result<i64, Failure> {
    let time: Result<Timestamp, _> = text.parse();
    time.map(Timestamp::as_second)
        .map_err(|_| Failure::unusable(format!("{text:?} is no time")))
}

impl Store for S3Store {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        const NAME_BYTES_MAX: usize = 1024;
        if self.client.name(key.as_str()).len() > NAME_BYTES_MAX {
            let subject = self.client.subject(key.as_str());
            return Err(Error::new(ErrorKind::UnsupportedKey, "create", subject));
        }
        Ok(Box::new(PartWriter::new(S3Object::begin(&self.client, key))))
    }

    fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, Error> {
        match reader::open(&self.client, key.as_str(), range) {
            Ok(reader) => Ok(Box::new(reader)),
            Err(error) => Err(self.told_apart(error)),
        }
    }

    fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        let doing = "look at";
        let name = self.client.name(key.as_str());
        let subject = self.client.subject(key.as_str());
        let head = || self.client.once(&Call::new("HEAD", Some(&name)));
        let answer = self
            .client
            .retried(doing, &subject, head)
            .map_err(|error| self.told_apart(error))?;
        let failed = |failure: Failure| failure.into_error(doing, &subject);
        Ok(ObjectMeta {
            key: key.clone(),
            size: answer.number("content-length").map_err(failed)?,
            modified_unix_secs: modified(&answer).map_err(failed)?,
        })
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
        list::objects(&self.client, prefix)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.client.delete(key.as_str())
    }

    fn list_leftovers(&self) -> Result<Vec<Leftover>, Error> {
        leftover::list(&self.client)
    }

    fn delete_leftover(&self, leftover: &Leftover) -> Result<(), Error> {
        leftover::delete(&self.client, &leftover.name)
    }

    fn location(&self) -> String {
        self.client.subject("").trim_end_matches('/').to_owned()
    }

    fn signed_url(&self, key: &ObjectKey, expires_in: Duration) -> Result<Option<String>, Error> {
        /// What AWS takes, and others after it.
        const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
        let doing = "sign a URL for";
        let (name, subject) = (self.client.name(key.as_str()), self.client.subject(key.as_str()));
        if expires_in < Duration::from_secs(1) || expires_in > LONGEST {
            let error = Error::new(ErrorKind::Other, doing, subject);
            return Err(error.because("a URL is good for a second at least and seven days at most"));
        }
        let signed = || self.client.presigned(&name, expires_in);
        self.client.retried(doing, &subject, signed).map(Some)
    }
}
