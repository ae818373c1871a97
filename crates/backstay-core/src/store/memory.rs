use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Error, ErrorKind, Leftover, ObjectKey, ObjectMeta, ObjectWriter, Store};

/// A store in memory, for tests and for programs that hand a backup on by themselves.
///
/// It has no clock: every object counts as published at the Unix epoch.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    objects: Arc<Mutex<BTreeMap<ObjectKey, Arc<[u8]>>>>,
}

impl MemoryStore {
    /// An empty store; clones share its content.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn objects(&self) -> std::sync::MutexGuard<'_, BTreeMap<ObjectKey, Arc<[u8]>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn object(&self, doing: &'static str, key: &ObjectKey) -> Result<Arc<[u8]>, Error> {
        self.objects()
            .get(key)
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::NotFound, doing, key.as_str()))
    }
}

fn meta(key: &ObjectKey, bytes: &[u8]) -> ObjectMeta {
    ObjectMeta {
        key: key.clone(),
        size: bytes.len() as u64,
        modified_unix_secs: 0,
    }
}

impl Store for MemoryStore {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        Ok(Box::new(MemoryWriter {
            store: self.clone(),
            key: key.clone(),
            bytes: Vec::new(),
        }))
    }

    fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, Error> {
        let object = self.object("read", key)?;
        let range = range.unwrap_or(0..object.len() as u64);
        let bytes = usize::try_from(range.start)
            .ok()
            .zip(usize::try_from(range.end).ok())
            .and_then(|(start, end)| object.get(start..end))
            .ok_or_else(|| Error::new(ErrorKind::OutOfRange, "read", key.as_str()))?;
        Ok(Box::new(Cursor::new(bytes.to_vec())))
    }

    fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        Ok(meta(key, &self.object("look at", key)?))
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
        let objects = self.objects();
        let found = objects.iter().filter(|(key, _)| key.as_str().starts_with(prefix));
        Ok(found.map(|(key, bytes)| meta(key, bytes)).collect())
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.objects().remove(key);
        Ok(())
    }

    fn list_leftovers(&self) -> Result<Vec<Leftover>, Error> {
        Ok(Vec::new())
    }

    fn delete_leftover(&self, _leftover: &Leftover) -> Result<(), Error> {
        Ok(())
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}

struct MemoryWriter {
    store: MemoryStore,
    key: ObjectKey,
    bytes: Vec<u8>,
}

impl ObjectWriter for MemoryWriter {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn publish(self: Box<Self>) -> Result<ObjectMeta, Error> {
        let mut objects = self.store.objects();
        if objects.contains_key(&self.key) {
            return Err(Error::new(ErrorKind::AlreadyExists, "publish", self.key.as_str()));
        }
        let meta = meta(&self.key, &self.bytes);
        objects.insert(self.key.clone(), self.bytes.into());
        Ok(meta)
    }
}
