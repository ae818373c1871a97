//! A store of one's own: objects in memory here, in whatever keeps bytes by name elsewhere.
//!
//! Publishing is the one step that must be atomic: the object is there whole, or not at all, and never replaces another.
#![expect(clippy::print_stdout, reason = "a program talks to people")]

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use backstay::{CancelToken, Leftover, ObjectKey, ObjectMeta, ObjectWriter, Silent, Store, check_store};
use backstay::{StoreError, StoreErrorKind};

type Objects = BTreeMap<ObjectKey, Vec<u8>>;
#[derive(Clone, Debug, Default)]
struct Shelf(Arc<Mutex<Objects>>);
struct Unpublished(Shelf, ObjectKey, Vec<u8>);

impl Shelf {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &ObjectKey) -> Result<Vec<u8>, StoreError> {
        let found = self.objects().get(key).cloned();
        found.ok_or_else(|| StoreError::new(StoreErrorKind::NotFound, "read", key.as_str()))
    }
}

fn meta(key: &ObjectKey, bytes: &[u8]) -> ObjectMeta {
    ObjectMeta {
        key: key.clone(),
        size: bytes.len() as u64,
        modified_unix_secs: 0,
    }
}

impl Store for Shelf {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, StoreError> {
        Ok(Box::new(Unpublished(self.clone(), key.clone(), Vec::new())))
    }
    fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, StoreError> {
        let bytes = self.get(key)?;
        let range = range.map_or(0..bytes.len(), |range| range.start as usize..range.end as usize);
        match bytes.get(range) {
            Some(bytes) => Ok(Box::new(Cursor::new(bytes.to_vec()))),
            None => Err(StoreError::new(StoreErrorKind::OutOfRange, "read", key.as_str())),
        }
    }
    fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError> {
        Ok(meta(key, &self.get(key)?))
    }
    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StoreError> {
        let objects = self.objects();
        let found = objects.iter().filter(|(key, _)| key.as_str().starts_with(prefix));
        Ok(found.map(|(key, bytes)| meta(key, bytes)).collect())
    }
    fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        self.objects().remove(key);
        Ok(())
    }
    fn list_leftovers(&self) -> Result<Vec<Leftover>, StoreError> {
        Ok(Vec::new()) // What a writer holds goes with it.
    }
    fn delete_leftover(&self, _leftover: &Leftover) -> Result<(), StoreError> {
        Ok(())
    }
    fn location(&self) -> String {
        "a shelf".to_owned()
    }
}

impl ObjectWriter for Unpublished {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.2.extend_from_slice(bytes);
        Ok(())
    }
    fn publish(self: Box<Self>) -> Result<ObjectMeta, StoreError> {
        let Self(shelf, key, bytes) = *self;
        let mut objects = shelf.objects();
        if objects.contains_key(&key) {
            return Err(StoreError::new(StoreErrorKind::AlreadyExists, "publish", key.as_str()));
        }
        let meta = meta(&key, &bytes);
        objects.insert(key, bytes);
        Ok(meta)
    }
}

/// Tries the store as `backstay store check` does.
pub(crate) fn main() -> Result<(), StoreError> {
    let begun = Instant::now();
    let check = check_store(&Shelf::default(), 1, &|| begun.elapsed(), &Silent, &CancelToken::new())?;
    println!("{check:#?}");
    assert!(check.is_sound(), "a promise is broken");
    Ok(())
}
