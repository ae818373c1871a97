use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, Leftover, ObjectMeta, ObjectWriter, Store};

/// A store that others use before a certain call: whoever has it stands still for as long as they are about it.
///
/// Only calls count that others can notice, or that notice others: not `create`, and of writers only `publish`.
#[derive(Debug)]
pub struct Interleaved<S> {
    inner: S,
    others: Arc<Others>,
}

struct Others {
    nth: u64,
    /// How many calls there were, and what the others do.
    state: Mutex<(u64, Option<Act>)>,
}

type Act = Box<dyn FnOnce() + Send>;

impl fmt::Debug for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Others").field("nth", &self.nth).finish_non_exhaustive()
    }
}

impl Others {
    fn call(&self) {
        let others = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 += 1;
            if state.0 == self.nth { state.1.take() } else { None }
        };
        if let Some(others) = others {
            others();
        }
    }
}

impl<S> Interleaved<S> {
    /// The store, which `others` use right before the n-th call; the first is 1.
    pub fn new(inner: S, nth: u64, others: impl FnOnce() + Send + 'static) -> Self {
        let state = Mutex::new((0, Some(Box::new(others) as _)));
        Self {
            inner,
            others: Arc::new(Others { nth, state }),
        }
    }

    /// How many calls there were.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.others.state.lock().unwrap_or_else(PoisonError::into_inner).0
    }
}

#[deny(
    clippy::missing_trait_methods,
    reason = "a method that a wrapper inherits escapes it"
)]
impl<S: Store> Store for Interleaved<S> {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        Ok(Box::new(InterleavedWriter {
            inner: self.inner.create(key)?,
            others: Arc::clone(&self.others),
        }))
    }

    fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, Error> {
        self.others.call();
        self.inner.read(key, range)
    }

    fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        self.others.call();
        self.inner.head(key)
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
        self.others.call();
        self.inner.list(prefix)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.others.call();
        self.inner.delete(key)
    }

    fn list_leftovers(&self) -> Result<Vec<Leftover>, Error> {
        self.others.call();
        self.inner.list_leftovers()
    }

    fn delete_leftover(&self, leftover: &Leftover) -> Result<(), Error> {
        self.others.call();
        self.inner.delete_leftover(leftover)
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn object_bytes_max(&self) -> Option<u64> {
        self.inner.object_bytes_max()
    }

    fn signed_url(&self, key: &ObjectKey, expires_in: Duration) -> Result<Option<String>, Error> {
        self.inner.signed_url(key, expires_in)
    }
}

struct InterleavedWriter {
    inner: Box<dyn ObjectWriter>,
    others: Arc<Others>,
}

impl ObjectWriter for InterleavedWriter {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.inner.append(bytes)
    }

    fn publish(self: Box<Self>) -> Result<ObjectMeta, Error> {
        self.others.call();
        self.inner.publish()
    }
}
