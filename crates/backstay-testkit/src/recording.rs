use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, Leftover, ObjectMeta, ObjectWriter, Store};

use crate::Verb;

/// A store that notes every call, so that a test can assert what something costs.
#[derive(Debug)]
pub struct Recording<S> {
    inner: S,
    calls: Calls,
}

/// One call, whether it succeeded or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "tests compare with literals")]
pub struct Call {
    /// What was asked.
    pub verb: Verb,
    /// The key, prefix or name that it was asked about; empty for [`Verb::ListLeftovers`].
    pub subject: String,
    /// Bytes of content that went through: those given to `append`, those that the reader of a `read` gave so far;
    /// 0 for all others.
    pub bytes: u64,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.verb, self.subject)?;
        match self.verb {
            Verb::Append | Verb::Read => write!(f, " {}", self.bytes),
            _ => Ok(()),
        }
    }
}

impl<S> Recording<S> {
    /// Begins to record.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            calls: Calls::default(),
        }
    }

    /// The calls so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.calls.0).iter().map(|call| lock(call).clone()).collect()
    }

    /// How many calls of one verb there were so far.
    #[must_use]
    pub fn calls_of(&self, verb: Verb) -> usize {
        lock(&self.calls.0)
            .iter()
            .filter(|call| lock(call).verb == verb)
            .count()
    }

    /// Forgets the calls so far. What readers that are still open give is not recorded any more.
    pub fn clear(&self) {
        lock(&self.calls.0).clear();
    }

    /// The store within, whose calls are not recorded.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

/// Each call is shared with its reader, so that clearing the list does not mix the bytes of an old reader into a new call.
#[derive(Clone, Debug, Default)]
struct Calls(Arc<Mutex<Vec<SharedCall>>>);

type SharedCall = Arc<Mutex<Call>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Calls {
    fn note(&self, verb: Verb, subject: &str, bytes: usize) -> SharedCall {
        let call = Arc::new(Mutex::new(Call {
            verb,
            subject: subject.to_owned(),
            bytes: bytes as u64,
        }));
        lock(&self.0).push(Arc::clone(&call));
        call
    }
}

#[deny(
    clippy::missing_trait_methods,
    reason = "a method that a wrapper inherits escapes it"
)]
impl<S: Store> Store for Recording<S> {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        self.calls.note(Verb::Create, key.as_str(), 0);
        Ok(Box::new(RecordingWriter {
            inner: self.inner.create(key)?,
            calls: self.calls.clone(),
            key: key.clone(),
        }))
    }

    fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, Error> {
        let call = self.calls.note(Verb::Read, key.as_str(), 0);
        Ok(Box::new(RecordingReader {
            inner: self.inner.read(key, range)?,
            call,
        }))
    }

    fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        self.calls.note(Verb::Head, key.as_str(), 0);
        self.inner.head(key)
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
        self.calls.note(Verb::List, prefix, 0);
        self.inner.list(prefix)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.calls.note(Verb::Delete, key.as_str(), 0);
        self.inner.delete(key)
    }

    fn list_leftovers(&self) -> Result<Vec<Leftover>, Error> {
        self.calls.note(Verb::ListLeftovers, "", 0);
        self.inner.list_leftovers()
    }

    fn delete_leftover(&self, leftover: &Leftover) -> Result<(), Error> {
        self.calls.note(Verb::DeleteLeftover, &leftover.name, 0);
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

struct RecordingWriter {
    inner: Box<dyn ObjectWriter>,
    calls: Calls,
    key: ObjectKey,
}

impl ObjectWriter for RecordingWriter {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.calls.note(Verb::Append, self.key.as_str(), bytes.len());
        self.inner.append(bytes)
    }

    fn publish(self: Box<Self>) -> Result<ObjectMeta, Error> {
        self.calls.note(Verb::Publish, self.key.as_str(), 0);
        self.inner.publish()
    }
}

struct RecordingReader {
    inner: Box<dyn Read + Send>,
    call: SharedCall,
}

impl Read for RecordingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        lock(&self.call).bytes += count as u64;
        Ok(count)
    }
}
