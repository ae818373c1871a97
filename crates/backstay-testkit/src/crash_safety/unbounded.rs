use std::io::Read;
use std::ops::Range;
use std::time::Duration;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, Leftover, ObjectMeta, ObjectWriter, Store};

/// A store that tells no bound for its objects, so that packs are named as where there is none.
#[derive(Clone, Debug)]
pub(super) struct Unbounded<S>(pub(super) S);

#[deny(
    clippy::missing_trait_methods,
    reason = "a method that a wrapper inherits escapes it"
)]
impl<S: Store> Store for Unbounded<S> {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        self.0.create(key)
    }

    fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, Error> {
        self.0.read(key, range)
    }

    fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        self.0.head(key)
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
        self.0.list(prefix)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.0.delete(key)
    }

    fn list_leftovers(&self) -> Result<Vec<Leftover>, Error> {
        self.0.list_leftovers()
    }

    fn delete_leftover(&self, leftover: &Leftover) -> Result<(), Error> {
        self.0.delete_leftover(leftover)
    }

    fn location(&self) -> String {
        self.0.location()
    }

    fn object_bytes_max(&self) -> Option<u64> {
        None
    }

    fn signed_url(&self, key: &ObjectKey, expires_in: Duration) -> Result<Option<String>, Error> {
        self.0.signed_url(key, expires_in)
    }
}
