use backstay_core::ObjectKey;
use backstay_core::store::{Error, ErrorKind, ObjectMeta};
use backstay_http::{Answer, Failure, Tries, random};
use jiff::{Timestamp, ToSpan as _};

use crate::client::{Call, Client, now};
use crate::config::{Encryption, LegalHold, ObjectLock, RetainUntil, S3Config};
use crate::failure::Told as _;
use crate::store::modified;

/// Metadata by which a writer knows its own object again, whatever became of the answer.
const MARK: &str = "x-amz-meta-backstay-writer";
const ENCRYPTION: &str = "x-amz-server-side-encryption";
const ENCRYPTION_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const LOCK_MODE: &str = "x-amz-object-lock-mode";
const LOCK_UNTIL: &str = "x-amz-object-lock-retain-until-date";
const LEGAL_HOLD: &str = "x-amz-object-lock-legal-hold";

const DOING: &str = "publish";

/// An object that is about to appear: its name, and what must be true of it then.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) key: ObjectKey,
    pub(crate) name: String,
    mark: String,
    retain_until: Option<Timestamp>,
}

impl Publication {
    pub(crate) fn begin(client: &Client, key: &ObjectKey) -> Self {
        Self {
            key: key.clone(),
            name: client.name(key.as_str()),
            mark: format!("{:016x}{:016x}", random(), random()),
            retain_until: client.config().lock.retain_until(now()),
        }
    }

    /// The headers that an object is begun with.
    pub(crate) fn headers(&self, config: &S3Config) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("content-type", "application/octet-stream".to_owned()),
            (MARK, self.mark.clone()),
        ];
        match &config.encryption {
            None => {}
            Some(Encryption::Aes256) => headers.push((ENCRYPTION, "AES256".to_owned())),
            Some(Encryption::Kms { key }) => {
                headers.push((ENCRYPTION, "aws:kms".to_owned()));
                headers.extend(key.iter().map(|key| (ENCRYPTION_KEY, key.clone())));
            }
        }
        if let Some(class) = &config.storage_class {
            headers.push(("x-amz-storage-class", class.clone()));
        }
        if let (Some(retention), Some(until)) = (config.lock.retention, self.retain_until) {
            headers.push((LOCK_MODE, retention.mode.as_str().to_owned()));
            headers.push((LOCK_UNTIL, until.to_string()));
        }
        if config.lock.legal_hold == LegalHold::On {
            headers.push((LEGAL_HOLD, "ON".to_owned()));
        }
        headers
    }

    /// Fails where the key exists already; asked before writing where the server does not tell while it writes, and
    /// before a large object is completed.
    pub(crate) fn refuse_existing(&self, client: &Client) -> Result<(), Error> {
        match self.look(client)? {
            None => Ok(()),
            Some(_) => Err(self.error(client, ErrorKind::AlreadyExists)),
        }
    }

    /// Makes of how the last request ended what became of the object. `Ok` holds the tag that the server gave it.
    pub(crate) fn settle(
        &self,
        client: &Client,
        outcome: Result<Option<String>, Failure>,
        tries: Tries,
        size: u64,
    ) -> Result<ObjectMeta, Error> {
        let failure = match outcome {
            Ok(tag) => return self.confirm(client, tag.as_deref(), size),
            Err(failure) => failure,
        };
        if matches!(failure, Failure::Altered) {
            self.withdraw(client)?;
            return Err(self.error(client, ErrorKind::Other).because(failure));
        }
        let is_refused = failure.is_precondition();
        if is_refused && !tries.is_lost {
            return Err(self.error(client, ErrorKind::AlreadyExists).because(failure));
        }
        // Either an earlier try was carried out and its answer lost, or this one may have been.
        if tries.is_lost || !failure.is_certain() {
            match self.look(client) {
                Ok(Some(found)) => match self.is_own(&found) {
                    Some(true) => return self.check(client, &found, None, size),
                    Some(false) => return Err(self.error(client, ErrorKind::AlreadyExists).because(failure)),
                    None => {
                        let why = "an answer was lost, and the store does not tell whose object is there now";
                        return Err(self.error(client, ErrorKind::Transient).because(why));
                    }
                },
                // A refusal whose cause is gone again tells nothing for certain.
                Ok(None) if is_refused => return Err(self.error(client, ErrorKind::Transient).because(failure)),
                Ok(None) | Err(_) => {}
            }
        }
        let subject = client.subject(self.key.as_str());
        Err(failure.given_up(tries.count, DOING, &subject))
    }

    /// Removes what stands there, if it is this writer's: the server has made something else of it than was sent.
    fn withdraw(&self, client: &Client) -> Result<(), Error> {
        match self.look(client)? {
            Some(found) if self.is_own(&found) == Some(true) => client.delete(self.key.as_str()),
            _ => Ok(()),
        }
    }

    /// Looks at what the server says that it has written.
    fn confirm(&self, client: &Client, tag: Option<&str>, size: u64) -> Result<ObjectMeta, Error> {
        let Some(found) = self.look(client)? else {
            let why = "the server said that it was written, and it is not there";
            return Err(self.error(client, ErrorKind::Other).because(why));
        };
        if self.is_own(&found) == Some(false) {
            let why = "another writer replaced it at the same time";
            return Err(self.error(client, ErrorKind::AlreadyExists).because(why));
        }
        self.check(client, &found, tag, size)
    }

    fn look(&self, client: &Client) -> Result<Option<Answer>, Error> {
        let subject = client.subject(self.key.as_str());
        client.retried("look at", &subject, || {
            match client.once(&Call::new("HEAD", Some(&self.name))) {
                Ok(answer) => Ok(Some(answer)),
                Err(failure) if failure.is_missing() => Ok(None),
                Err(failure) => Err(failure),
            }
        })
    }

    /// Whether an object bears this writer's mark; `None` where it bears none.
    fn is_own(&self, found: &Answer) -> Option<bool> {
        found.header(MARK).map(|mark| mark == self.mark)
    }

    /// Whether the object is what was written, and is kept as was asked for.
    fn check(&self, client: &Client, found: &Answer, tag: Option<&str>, size: u64) -> Result<ObjectMeta, Error> {
        let failed = |failure: Failure| failure.into_error(DOING, &client.subject(self.key.as_str()));
        let there = found.number("content-length").map_err(failed)?;
        if there != size {
            let why = format!("{size} bytes were written, but {there} are there");
            return Err(self.error(client, ErrorKind::Other).because(why));
        }
        if let (Some(tag), Some(there)) = (tag, found.header("etag"))
            && tag.trim_matches('"') != there.trim_matches('"')
        {
            let why = "another object is there than the one that was written";
            return Err(self.error(client, ErrorKind::Other).because(why));
        }
        if let Some(why) = self.broken_promise(client.config(), found) {
            return Err(self.error(client, ErrorKind::Other).because(why));
        }
        Ok(ObjectMeta {
            key: self.key.clone(),
            size,
            modified_unix_secs: modified(found).map_err(failed)?,
        })
    }

    /// What was asked for and is not so.
    fn broken_promise(&self, config: &S3Config, found: &Answer) -> Option<&'static str> {
        let is_encrypted = match &config.encryption {
            None => true,
            Some(Encryption::Aes256) => found.header(ENCRYPTION) == Some("AES256"),
            Some(Encryption::Kms { key }) => {
                let is_of_key = |key: &String| {
                    found
                        .header(ENCRYPTION_KEY)
                        .is_some_and(|used| used.ends_with(key.as_str()))
                };
                found.header(ENCRYPTION) == Some("aws:kms") && key.as_ref().is_none_or(is_of_key)
            }
        };
        if !is_encrypted {
            return Some("the store did not encrypt it as it was asked to");
        }
        if let (Some(retention), Some(until)) = (config.lock.retention, self.retain_until) {
            let kept: Option<Timestamp> = found.header(LOCK_UNTIL).and_then(|time| time.parse().ok());
            let is_kept = kept.is_some_and(|kept| kept.as_second() >= until.as_second());
            if !is_kept || found.header(LOCK_MODE) != Some(retention.mode.as_str()) {
                return Some("the store did not lock it as it was asked to");
            }
        }
        if config.lock.legal_hold == LegalHold::On && found.header(LEGAL_HOLD) != Some("ON") {
            return Some("the store did not put a legal hold on it");
        }
        None
    }

    fn error(&self, client: &Client, kind: ErrorKind) -> Error {
        Error::new(kind, DOING, client.subject(self.key.as_str()))
    }
}

impl ObjectLock {
    fn retain_until(&self, now: Timestamp) -> Option<Timestamp> {
        Some(match self.retention?.until {
            RetainUntil::Date(date) => date,
            RetainUntil::Days(days) => now
                .checked_add((i64::from(days) * 24).hours())
                .unwrap_or(Timestamp::MAX),
        })
    }
}
