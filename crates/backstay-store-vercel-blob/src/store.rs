use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ErrorKind, Leftover, ObjectMeta, ObjectWriter, Store};
use backstay_http::PartWriter;

use crate::client::Client;
use crate::config::{Access, VercelBlobConfig};
use crate::multipart::{PART_BYTES_MAX, PART_BYTES_MIN, PARTS_MAX};
use crate::writer::VercelBlob;
use crate::{list, reader, sign};

/// The longest pathname. The service counts characters and keeps bytes, so bytes are counted.
const NAME_BYTES_MAX: usize = 950;
/// The longest blob, as documented.
const BLOB_BYTES_MAX: u64 = 5_000_000_000_000;

/// A store at Vercel Blob, or what is under a prefix of it, as a store.
///
/// - An object that fits into one part is sent with one request, a longer one in parts of one length, several at once. The
///   service refuses either where the name exists.
/// - The content type bears a mark of the writer. Where an answer was lost, the mark tells whose object is there; where
///   the service should not tell it, `publish` fails rather than guess. Every object is looked at after it was written.
/// - A private store is read past the cache in front of it, so what was deleted or written a moment ago is seen as it is.
///   The cache of a public one cannot be passed by: there each reading asks the service for the object's tag first, and
///   what the cache has of another object is an error ([`ErrorKind::Transient`]) until it is too old, after a minute. Only
///   a key that was deleted and written again meets this.
/// - Everybody can read a public store. Its URLs do not expire, so none is signed.
/// - What is transient is tried again, with waits that grow, or that the service asks for. A reader goes on where its
///   connection broke, in the same object or not at all.
/// - An object is deleted under the condition that it is the one that was looked at.
/// - The service can neither list nor end uploads that nobody completes: what a crash leaves of a large object is not seen
///   by [`Store::list_leftovers`], and is the service's to remove.
/// - The length of parts is chosen before that of the object is known, and there are 10,000 at most:
///   [`Store::object_bytes_max`] follows from it.
/// - A writer holds at most `memory_bytes_max` in parts that are sent, and one part that it fills.
///
/// Clones share connections.
#[derive(Clone, Debug)]
pub struct VercelBlobStore {
    client: Arc<Client>,
}

impl VercelBlobStore {
    /// The store that the configuration describes. Nothing is asked of the service yet.
    ///
    /// # Errors
    /// The configuration cannot be used: a prefix that no key can begin with, an endpoint that is no URL, parts of an
    /// impossible length.
    pub fn open(config: VercelBlobConfig) -> Result<Self, Error> {
        if let Some(why) = refusal(&config) {
            let subject = format!("vercel-blob://{}", config.prefix);
            return Err(Error::new(ErrorKind::Other, "use", subject).because(why));
        }
        Ok(Self {
            client: Arc::new(Client::new(config)?),
        })
    }
}

fn refusal(config: &VercelBlobConfig) -> Option<&'static str> {
    if !config.prefix.is_empty() && format!("{}x", config.prefix).parse::<ObjectKey>().is_err() {
        return Some("the prefix has an empty, '.' or '..' part, or is too long");
    }
    if !config.prefix.is_empty() && !config.prefix.ends_with('/') {
        return Some("the prefix does not end with a slash");
    }
    if !(PART_BYTES_MIN..=PART_BYTES_MAX).contains(&config.part_bytes) {
        return Some("a part has 5 MiB to 5 GiB");
    }
    None
}

impl Store for VercelBlobStore {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        if self.client.name(key.as_str()).len() > NAME_BYTES_MAX {
            let subject = self.client.subject(key.as_str());
            return Err(Error::new(ErrorKind::UnsupportedKey, "create", subject));
        }
        Ok(Box::new(PartWriter::new(VercelBlob::begin(&self.client, key))))
    }

    fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, Error> {
        reader::open(&self.client, key, range)
    }

    fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        let found = self.client.look(key.as_str())?;
        let missing = || Error::new(ErrorKind::NotFound, "look at", self.client.subject(key.as_str()));
        let found = found.ok_or_else(missing)?;
        Ok(ObjectMeta {
            key: key.clone(),
            size: found.size,
            modified_unix_secs: found.modified_unix_secs(),
        })
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
        list::objects(&self.client, prefix)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.client.delete(key.as_str())
    }

    fn list_leftovers(&self) -> Result<Vec<Leftover>, Error> {
        // There is no call that would list them, but a store that is missing must not look as if it had none.
        list::probe(&self.client).map(|()| Vec::new())
    }

    fn delete_leftover(&self, leftover: &Leftover) -> Result<(), Error> {
        let subject = self.client.subject(&leftover.name);
        Err(Error::new(ErrorKind::UnsupportedKey, "delete the leftover", subject))
    }

    fn location(&self) -> String {
        self.client.subject("").trim_end_matches('/').to_owned()
    }

    fn object_bytes_max(&self) -> Option<u64> {
        Some((PARTS_MAX * self.client.config().part_bytes).min(BLOB_BYTES_MAX))
    }

    fn signed_url(&self, key: &ObjectKey, expires_in: Duration) -> Result<Option<String>, Error> {
        match self.client.config().access {
            Access::Private => sign::signed_url(&self.client, key, expires_in).map(Some),
            Access::Public => Ok(None),
        }
    }
}
