use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ErrorKind, Leftover, ObjectMeta, ObjectWriter, Store};

use crate::client::{Client, is_name};
use crate::config::SupabaseConfig;
use crate::writer::SupabaseWriter;
use crate::{delete, list, reader, sign};

/// A bucket of Supabase Storage, or what is under a prefix of it, as a store.
///
/// - The service knows no conditional writes. So an object is uploaded under a name of its own (`.backstay-tmp-…`), looked
///   at, and moved to the right one; the service does that in one step, and refuses it where there is an object.
/// - Every object bears a mark of its writer as metadata. Where the answer to the move was lost, the mark tells whose object
///   is there.
/// - An object of up to 6 MiB is sent with one request, a longer one in pieces of that length (TUS), one after another. Where
///   a piece fails, the server is asked how much it has, and the upload goes on from there.
/// - Objects are bounded by the project's plan; [`Store::object_bytes_max`] tells the configured bound or the bucket's own,
///   whichever is lower. What the service can move has 5 GB at most.
/// - Names have letters and digits of ASCII and some other characters (`_/!-.*'() &$@=;:+,?`); other keys are refused.
/// - Reads go to the `authenticated` path, and objects never change, so no cache in front of it has anything else.
/// - What is transient is tried again, with waits that grow. A reader goes on where its connection broke, in the same object
///   or not at all.
/// - A leftover is an object that was uploaded and not moved. Uploads that nobody ends are not seen, and are forgotten by the
///   service after a day.
/// - A writer holds at most `memory_bytes_max`, and a piece.
///
/// Clones share connections.
#[derive(Clone, Debug)]
pub struct SupabaseStore {
    client: Arc<Client>,
}

impl SupabaseStore {
    /// The store that the configuration describes. Nothing is asked of the service yet.
    ///
    /// # Errors
    /// The configuration cannot be used: no bucket, a prefix that no key can begin with, an endpoint that is no URL.
    pub fn open(config: SupabaseConfig) -> Result<Self, Error> {
        if let Some(why) = refusal(&config) {
            let subject = format!("supabase://{}/{}", config.bucket, config.prefix);
            return Err(Error::new(ErrorKind::Other, "use", subject).because(why));
        }
        Ok(Self {
            client: Arc::new(Client::new(config)?),
        })
    }
}

fn refusal(config: &SupabaseConfig) -> Option<&'static str> {
    if config.bucket.is_empty() || config.bucket.contains('/') || !is_name(&config.bucket) {
        return Some("that is no name of a bucket");
    }
    if !config.prefix.is_empty() && format!("{}x", config.prefix).parse::<ObjectKey>().is_err() {
        return Some("the prefix has an empty, '.' or '..' part, or is too long");
    }
    if !is_name(&config.prefix) {
        return Some("the prefix has a character that the service does not take");
    }
    if !config.prefix.is_empty() && !config.prefix.ends_with('/') {
        return Some("the prefix does not end with a slash");
    }
    None
}

impl Store for SupabaseStore {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        if !self.client.can_keep(key.as_str()) {
            let subject = self.client.subject(key.as_str());
            return Err(Error::new(ErrorKind::UnsupportedKey, "create", subject));
        }
        Ok(Box::new(SupabaseWriter::begin(&self.client, key)))
    }

    fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, Error> {
        reader::open(&self.client, key.as_str(), range)
    }

    fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        let doing = "look at";
        let client = &self.client;
        let found = match client.can_keep(key.as_str()) {
            true => client.look(&client.name(key.as_str()))?,
            false => None,
        };
        let found = found.ok_or_else(|| client.missing(doing, key.as_str()))?;
        let read = |failure| crate::dialect::failed(failure, doing, &client.subject(key.as_str()));
        Ok(ObjectMeta {
            key: key.clone(),
            size: found.size().map_err(read)?,
            modified_unix_secs: found.modified_unix_secs().map_err(read)?,
        })
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
        list::objects(&self.client, prefix)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        delete::object(&self.client, "delete", key.as_str())
    }

    fn list_leftovers(&self) -> Result<Vec<Leftover>, Error> {
        list::leftovers(&self.client)
    }

    fn delete_leftover(&self, leftover: &Leftover) -> Result<(), Error> {
        delete::leftover(&self.client, &leftover.name)
    }

    fn location(&self) -> String {
        self.client.subject("").trim_end_matches('/').to_owned()
    }

    fn object_bytes_max(&self) -> Option<u64> {
        Some(self.client.object_bytes_max())
    }

    fn signed_url(&self, key: &ObjectKey, expires_in: Duration) -> Result<Option<String>, Error> {
        sign::signed_url(&self.client, key, expires_in).map(Some)
    }
}
