use backstay_core::ObjectKey;
use backstay_core::store::{Error, ErrorKind, ObjectMeta, TEMPORARY_PREFIX};
use backstay_http::{Failure, Tries, random};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::answers::Info;
use crate::client::{Call, Client};
use crate::{delete, dialect};

/// Metadata by which a writer knows its own object again, whatever became of the answer.
const MARK: &str = "backstay-writer";
const DOING: &str = "publish";

/// An object that is about to appear: it is uploaded under a name of its own, and moved to the right one, which the service
/// does in one step and refuses where there is an object already.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) key: ObjectKey,
    /// The whole name in the end.
    name: String,
    /// The name until then, without the store's prefix.
    temporary: String,
    /// The same with the prefix.
    pub(crate) temporary_name: String,
    mark: String,
}

impl Publication {
    pub(crate) fn begin(client: &Client, key: &ObjectKey) -> Self {
        let mark = format!("{:016x}{:016x}", random(), random());
        let temporary = format!("{TEMPORARY_PREFIX}{mark}");
        Self {
            key: key.clone(),
            name: client.name(key.as_str()),
            temporary_name: client.name(&temporary),
            temporary,
            mark,
        }
    }

    /// What is said about the object.
    pub(crate) fn metadata(&self) -> String {
        json!({ MARK: self.mark }).to_string()
    }

    /// Uploads all of it in one request.
    pub(crate) fn upload(&self, client: &Client, bytes: &[u8]) -> Result<(), Error> {
        let path = client.path("", &self.temporary_name);
        let (outcome, tries) = client.tried(|| {
            let call = Call::new("POST", &path)
                .header("content-type", "application/octet-stream")
                .header("x-upsert", "false")
                .header("x-metadata", BASE64_STANDARD.encode(self.metadata()))
                .body(bytes);
            client.once(&call)
        });
        match outcome {
            Ok(_) => Ok(()),
            // An earlier try was carried out, and nobody else has that name. What is there is looked at before it is moved.
            Err(failure) if dialect::is_conflict(&failure) && tries.is_lost => Ok(()),
            Err(failure) => {
                let subject = client.subject(self.key.as_str());
                Err(dialect::given_up(failure, tries.count, "upload", &subject))
            }
        }
    }

    /// Moves what was uploaded to its name.
    pub(crate) fn publish(&self, client: &Client, size: u64) -> Result<ObjectMeta, Error> {
        let Some(uploaded) = client.look(&self.temporary_name)? else {
            let why = "what was uploaded is not there";
            return Err(self.error(client, ErrorKind::Transient).because(why));
        };
        self.check(client, &uploaded, size)?;
        let asked = json!({
            "bucketId": client.config().bucket,
            "sourceKey": self.temporary_name,
            "destinationKey": self.name,
        });
        let asked = asked.to_string();
        let (outcome, tries) = client.tried(|| client.once(&Call::new("POST", "/object/move").json(&asked)));
        self.settle(client, outcome.map(drop), tries, size)
    }

    /// Makes of how the move ended what became of the object.
    fn settle(
        &self,
        client: &Client,
        outcome: Result<(), Failure>,
        tries: Tries,
        size: u64,
    ) -> Result<ObjectMeta, Error> {
        let Err(failure) = outcome else {
            return self.confirm(client, size);
        };
        let is_taken = dialect::is_conflict(&failure);
        let is_gone = dialect::is_missing(&failure);
        // Otherwise an earlier try was carried out and its answer lost, or this one may have been.
        let is_settled = dialect::is_certain(&failure) && !tries.is_lost && !is_taken && !is_gone;
        if !is_settled {
            match client.look(&self.name) {
                Ok(Some(found)) => {
                    return match self.is_own(&found) {
                        Some(true) => self.check(client, &found, size),
                        Some(false) => Err(self.error(client, ErrorKind::AlreadyExists).because(failure)),
                        None => Err(self.of_nobody(client, failure)),
                    };
                }
                // A refusal whose cause is gone again, or cannot be looked at, tells nothing for certain.
                _ if is_taken => return Err(self.error(client, ErrorKind::Transient).because(failure)),
                Ok(None) if is_gone => {
                    let why = "what was uploaded was removed before it could be moved";
                    return Err(self.error(client, ErrorKind::Other).because(why));
                }
                _ => {}
            }
        }
        let subject = client.subject(self.key.as_str());
        Err(dialect::given_up(failure, tries.count, DOING, &subject))
    }

    /// The error where an object is there of which the service does not tell whose it is: another's, if ours was not moved.
    fn of_nobody(&self, client: &Client, failure: Failure) -> Error {
        match client.look(&self.temporary_name) {
            Ok(Some(_)) => self.error(client, ErrorKind::AlreadyExists).because(failure),
            _ => {
                let why = "an answer was lost, and the store does not tell whose object is there now";
                self.error(client, ErrorKind::Transient).because(why)
            }
        }
    }

    /// Looks at what the service says that it has moved.
    fn confirm(&self, client: &Client, size: u64) -> Result<ObjectMeta, Error> {
        let wrong = |why| Err(self.error(client, ErrorKind::Other).because(why));
        match client.look(&self.name)? {
            None => wrong("the service said that it was moved, and it is not there"),
            Some(found) if self.is_own(&found) == Some(false) => {
                wrong("the service said that it was moved, and another object is there")
            }
            Some(found) => self.check(client, &found, size),
        }
    }

    /// Whether an object bears this writer's mark; `None` where it bears none.
    fn is_own(&self, found: &Info) -> Option<bool> {
        found.metadata(MARK).map(|mark| mark == self.mark)
    }

    /// Whether the object is as long as what was written.
    fn check(&self, client: &Client, found: &Info, size: u64) -> Result<ObjectMeta, Error> {
        let read = |failure| dialect::failed(failure, DOING, &client.subject(self.key.as_str()));
        let found_size = found.size().map_err(read)?;
        if found_size != size {
            let why = format!("{size} bytes were written, but {found_size} are there");
            return Err(self.error(client, ErrorKind::Other).because(why));
        }
        Ok(ObjectMeta {
            key: self.key.clone(),
            size,
            modified_unix_secs: found.modified_unix_secs().map_err(read)?,
        })
    }

    /// Removes what was uploaded and not moved, once. What stays is a leftover, for `list_leftovers` to find.
    pub(crate) fn give_up(&self, client: &Client) {
        drop(delete::object(client, DOING, &self.temporary));
    }

    fn error(&self, client: &Client, kind: ErrorKind) -> Error {
        Error::new(kind, DOING, client.subject(self.key.as_str()))
    }
}
