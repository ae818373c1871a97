use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::{Error, ErrorKind, Leftover, ObjectKey, ObjectMeta, ObjectWriter, Store};

use super::{SealError, SealMethod, SealedObject, Unsealed, Unsealer};

/// A store in which sealed objects are read as what is in them: `read` and `head` of a name that ends with `.age` or `.gpg`
/// give the bytes and the length in clear. Everything else is the store's own: `list` tells stored lengths, and what is
/// created is stored as it is.
///
/// An object is opened once, which may take a second where a passphrase is stretched, and kept open.
pub struct ClearStore {
    store: Arc<dyn Store>,
    unsealer: Arc<dyn Unsealer>,
    open: Mutex<HashMap<ObjectKey, Arc<dyn Unsealed>>>,
}

impl fmt::Debug for ClearStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClearStore")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl ClearStore {
    /// The same store, with the keys to what is sealed in it.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, unsealer: Arc<dyn Unsealer>) -> Self {
        Self {
            store,
            unsealer,
            open: Mutex::default(),
        }
    }

    fn unsealed(&self, key: &ObjectKey) -> Result<Arc<dyn Unsealed>, Error> {
        // Others wait, so that a passphrase is stretched once.
        let mut open = self.lock();
        if let Some(unsealed) = open.get(key) {
            return Ok(Arc::clone(unsealed));
        }
        let object = SealedObject::new(Arc::clone(&self.store), key)?;
        let unsealed = self.unsealer.open(object).map_err(|error| as_store_error(error, key))?;
        open.insert(key.clone(), Arc::clone(&unsealed));
        Ok(unsealed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectKey, Arc<dyn Unsealed>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn as_store_error(error: SealError, key: &ObjectKey) -> Error {
    match error {
        SealError::Store(error) => error,
        SealError::Io(source) => Error::io("decrypt", key.as_str(), source),
        other => Error::new(ErrorKind::Other, "decrypt", key.as_str()).because(other),
    }
}

impl Store for ClearStore {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        self.store.create(key)
    }

    fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, Error> {
        if SealMethod::of_name(key.as_str()).is_none() {
            return self.store.read(key, range);
        }
        let unsealed = self.unsealed(key)?;
        let range = range.unwrap_or(0..unsealed.bytes());
        if range.start > range.end || range.end > unsealed.bytes() {
            return Err(Error::new(ErrorKind::OutOfRange, "read", key.as_str()));
        }
        unsealed.read(range).map_err(|error| as_store_error(error, key))
    }

    fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        let meta = self.store.head(key)?;
        if SealMethod::of_name(key.as_str()).is_none() {
            return Ok(meta);
        }
        let size = self.unsealed(key)?.bytes();
        Ok(ObjectMeta { size, ..meta })
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
        self.store.list(prefix)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.lock().remove(key);
        self.store.delete(key)
    }

    fn list_leftovers(&self) -> Result<Vec<Leftover>, Error> {
        self.store.list_leftovers()
    }

    fn delete_leftover(&self, leftover: &Leftover) -> Result<(), Error> {
        self.store.delete_leftover(leftover)
    }

    fn location(&self) -> String {
        self.store.location()
    }

    fn object_bytes_max(&self) -> Option<u64> {
        self.store.object_bytes_max()
    }

    fn signed_url(&self, key: &ObjectKey, expires_in: Duration) -> Result<Option<String>, Error> {
        self.store.signed_url(key, expires_in)
    }
}
