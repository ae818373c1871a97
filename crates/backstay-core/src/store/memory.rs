use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Error, ErrorKind, Leftover, ObjectKey, ObjectMeta, ObjectWriter, Store};

/// A store in memory, for tests and for programs that hand a backup on by themselves.
///
/// It has no clock: every object counts as published at the Unix epoch. Its writers leave nothing behind, so it has no
/// leftovers.
#[derive(Clone, Default)]
pub struct MemoryStore {
    objects: Arc<Mutex<Objects>>,
    object_bytes_max: Option<u64>,
}

type Objects = BTreeMap<ObjectKey, Arc<Vec<u8>>>;

impl MemoryStore {
    /// An empty store; clones share its content.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, taking no object that is longer than that.
    #[must_use]
    pub fn with_object_bytes_max(self, bytes_max: u64) -> Self {
        Self {
            object_bytes_max: Some(bytes_max),
            ..self
        }
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn object(&self, doing: &'static str, key: &ObjectKey) -> Result<Arc<Vec<u8>>, Error> {
        self.objects()
            .get(key)
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::NotFound, doing, key.as_str()))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let objects = self.objects();
        let bytes: usize = objects.values().map(|object| object.len()).sum();
        f.debug_struct("MemoryStore")
            .field("objects", &objects.len())
            .field("bytes", &bytes)
            .finish()
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
        let within = usize::try_from(range.start)
            .ok()
            .zip(usize::try_from(range.end).ok())
            .filter(|&(start, end)| object.get(start..end).is_some());
        let Some((at, end)) = within else {
            return Err(Error::new(ErrorKind::OutOfRange, "read", key.as_str()));
        };
        Ok(Box::new(MemoryReader { object, at, end }))
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

    fn object_bytes_max(&self) -> Option<u64> {
        self.object_bytes_max
    }
}

struct MemoryReader {
    object: Arc<Vec<u8>>,
    at: usize,
    end: usize,
}

impl Read for MemoryReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (&self.object[self.at..self.end]).read(buffer)?;
        self.at += count;
        Ok(count)
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
        match self.store.object_bytes_max {
            Some(bytes_max) if self.bytes.len() as u64 > bytes_max => {
                Err(Error::new(ErrorKind::Other, "append to", self.key.as_str()))
            }
            _ => Ok(()),
        }
    }

    fn publish(self: Box<Self>) -> Result<ObjectMeta, Error> {
        let mut objects = self.store.objects();
        if objects.contains_key(&self.key) {
            return Err(Error::new(ErrorKind::AlreadyExists, "publish", self.key.as_str()));
        }
        let meta = meta(&self.key, &self.bytes);
        objects.insert(self.key, Arc::new(self.bytes));
        Ok(meta)
    }
}

#[cfg(test)]
mod tests {
    use super::{MemoryStore, Store as _};

    #[test]
    fn debug_output_shows_no_content() {
        let store = MemoryStore::new();
        let mut writer = store.create(&"a".parse().unwrap()).unwrap();
        writer.append(&[7; 1000]).unwrap();
        writer.publish().unwrap();
        assert_eq!(format!("{store:?}"), "MemoryStore { objects: 1, bytes: 1000 }");
    }
}
