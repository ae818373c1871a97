use backstay_core::ObjectKey;
use backstay_core::store::{Error, ErrorKind, ObjectMeta};
use backstay_http::{Failure, Tries, random};

use crate::answers::{Blob, Written, expect_pathname, is_same_tag};
use crate::client::Client;
use crate::dialect;

/// A parameter of the content type by which a writer knows its own object again, whatever became of the answer. It is the
/// one text of a writer's own that the service keeps and tells.
const MARK: &str = "backstay-writer=";
const DOING: &str = "publish";

/// An object that is about to appear: its name, and the mark of its writer.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) key: ObjectKey,
    pub(crate) name: String,
    mark: String,
}

impl Publication {
    pub(crate) fn begin(client: &Client, key: &ObjectKey) -> Self {
        Self {
            key: key.clone(),
            name: client.name(key.as_str()),
            mark: format!("{MARK}{:016x}{:016x}", random(), random()),
        }
    }

    /// The headers of every request that writes it.
    pub(crate) fn headers(&self, client: &Client) -> Vec<(&'static str, String)> {
        vec![
            ("x-vercel-blob-access", client.config().access.as_str().to_owned()),
            ("x-content-type", format!("application/octet-stream; {}", self.mark)),
            ("x-add-random-suffix", "0".to_owned()),
            ("x-allow-overwrite", "0".to_owned()),
            // The shortest that there is: nothing is read through a cache that can be passed by.
            ("x-cache-control-max-age", "60".to_owned()),
        ]
    }

    /// Makes of how the last request ended what became of the object.
    pub(crate) fn settle(
        &self,
        client: &Client,
        outcome: Result<Written, Failure>,
        tries: Tries,
        size: u64,
    ) -> Result<ObjectMeta, Error> {
        let failure = match outcome {
            Ok(written) => return self.confirm(client, &written, size),
            Err(failure) => failure,
        };
        let is_taken = dialect::says_it_exists(&failure);
        if is_taken && !tries.is_lost {
            return Err(self.error(client, ErrorKind::AlreadyExists).because(failure));
        }
        // Either an earlier try was carried out and its answer lost, or this one may have been; or it was refused with a
        // word that does not say why.
        let is_refused = !tries.is_lost && dialect::is_certain(&failure);
        if !is_refused || dialect::may_say_it_exists(&failure) {
            match client.look(self.key.as_str()) {
                Ok(Some(found)) => match self.is_own(&found) {
                    Some(true) => return self.check(client, &found, None, size),
                    // Objects appear whole and never change, so one of another length is another's.
                    None if !is_refused && found.size == size => {
                        let why = "an answer was lost, and the store does not tell whose object is there now";
                        return Err(self.error(client, ErrorKind::Transient).because(why));
                    }
                    Some(false) | None => return Err(self.error(client, ErrorKind::AlreadyExists).because(failure)),
                },
                // A refusal whose cause is gone again tells nothing for certain.
                Ok(None) if is_taken => return Err(self.error(client, ErrorKind::Transient).because(failure)),
                Ok(None) | Err(_) => {}
            }
        }
        let subject = client.subject(self.key.as_str());
        Err(dialect::given_up(failure, tries.count, DOING, &subject))
    }

    /// Looks at what the service says that it has written.
    fn confirm(&self, client: &Client, written: &Written, size: u64) -> Result<ObjectMeta, Error> {
        expect_pathname(&written.pathname, &self.name).map_err(|failure| self.failed(client, failure))?;
        let Some(found) = client.look(self.key.as_str())? else {
            let why = "the service said that it was written, and it is not there";
            return Err(self.error(client, ErrorKind::Other).because(why));
        };
        if self.is_own(&found) == Some(false) {
            let why = "another writer replaced it at the same time";
            return Err(self.error(client, ErrorKind::AlreadyExists).because(why));
        }
        self.check(client, &found, Some(&written.etag), size)
    }

    /// Whether an object bears this writer's mark; `None` where it bears none.
    fn is_own(&self, found: &Blob) -> Option<bool> {
        let told = found.content_type.as_deref().unwrap_or_default();
        told.contains(MARK).then(|| told.contains(&self.mark))
    }

    /// Whether the object is what was written.
    fn check(&self, client: &Client, found: &Blob, tag: Option<&str>, size: u64) -> Result<ObjectMeta, Error> {
        if found.size != size {
            let why = format!("{size} bytes were written, but {} are there", found.size);
            return Err(self.error(client, ErrorKind::Other).because(why));
        }
        if tag.is_some_and(|tag| !is_same_tag(tag, &found.etag)) {
            let why = "another object is there than the one that was written";
            return Err(self.error(client, ErrorKind::Other).because(why));
        }
        Ok(ObjectMeta {
            key: self.key.clone(),
            size,
            modified_unix_secs: found.modified_unix_secs(),
        })
    }

    fn failed(&self, client: &Client, failure: Failure) -> Error {
        self.error(client, ErrorKind::Other).because(failure)
    }

    fn error(&self, client: &Client, kind: ErrorKind) -> Error {
        Error::new(kind, DOING, client.subject(self.key.as_str()))
    }
}
