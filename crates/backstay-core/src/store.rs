//! The contract between Backstay and a place that keeps objects.

mod key;
mod memory;

use std::error::Error as StdError;
use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::time::Duration;

pub use key::{InvalidObjectKey, ObjectKey, TEMPORARY_PREFIX};
pub use memory::MemoryStore;

/// A place that keeps named, immutable objects: a folder, a bucket, memory.
///
/// What every implementation promises; the functions of the conformance suite in `backstay-testkit` name the promise
/// that each of them checks.
///
/// 1. **Create only.** An object is created once and never changed. [`ObjectWriter::publish`] under a key that
///    exists fails with [`ErrorKind::AlreadyExists`] and leaves the existing object as it was, also when writers race
///    for one key: exactly one wins, and `AlreadyExists` always means that this writer did not. A deleted key is free
///    again.
/// 2. **Nothing half-written.** Until `publish` is called, the object is neither listed nor readable under its key; it
///    then appears at once and whole, or not at all. A writer that is dropped, or whose `append` failed, publishes
///    nothing. When `publish` returned `Ok`, every method sees the object, and it stays through a crash of this process
///    and, where the store can promise it, of the machine. An error of `publish` other than `AlreadyExists` may be a
///    lost answer: the object is then there and whole, or not there, and [`Store::head`] tells which.
/// 3. **Reads see what was written.** `read` gives exactly the bytes of the range. A range that reaches past the end,
///    or that ends before it starts, fails with [`ErrorKind::OutOfRange`] before any byte is given; an empty range
///    within the object (its end included) gives no bytes. A reader that cannot give all that was promised fails; it
///    never just ends.
/// 4. **Complete, sorted lists.** `list` gives every published object whose key begins with the prefix, in byte order
///    of the keys, with its size; no temporary objects. A list that cannot be complete is an error.
/// 5. **Deletion is idempotent**, as durable as publishing, and touches no other key. Deleting a key that does not
///    exist succeeds.
/// 6. **Errors are classed** as [`ErrorKind`] says. A missing object is [`ErrorKind::NotFound`], never an empty one; a
///    missing store is [`ErrorKind::StoreMissing`], never an empty one. Every [`ObjectKey`] can be kept, or is refused
///    with [`ErrorKind::UnsupportedKey`] by `create` or `publish` and changes nothing: a folder refuses `a` beside
///    `a/b`, and parts that are too long for a file name.
/// 7. **Leftovers are no objects.** What an interrupted writer left behind shows only in `list_leftovers`, and
///    `delete_leftover` never removes an object, whatever name it is given. While a writer runs, what it holds is
///    either not listed, or refused to `delete_leftover` with [`ErrorKind::InUse`], or its removal makes `publish` fail.
/// 8. **Threads.** All methods may be called from several threads at once, and several writers may be open at once.
pub trait Store: Send + Sync + fmt::Debug {
    /// Begins a new object.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] and [`ErrorKind::UnsupportedKey`] may come already here where the store can tell
    /// cheaply.
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error>;

    /// Opens a range of bytes of an object; `None` is the whole.
    ///
    /// What the object does to an open reader when it is deleted is not promised: the reader goes on or fails.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::OutOfRange`] where the range ends behind the object's end or before its own
    /// start. The reader fails with [`std::io::ErrorKind::UnexpectedEof`] where the object turns out to be shorter.
    fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, Error>;

    /// Tells the size and age of one object.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error>;

    /// Lists every object whose key begins with `prefix` (any text, not only whole parts).
    ///
    /// # Errors
    /// Only those of the store itself; a prefix that nothing has gives an empty list.
    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Error>;

    /// Removes an object; one that does not exist counts as removed.
    ///
    /// # Errors
    /// Only those of the store itself.
    fn delete(&self, key: &ObjectKey) -> Result<(), Error>;

    /// Lists what interrupted writers left behind: names of temporary objects, in the form that
    /// [`Store::delete_leftover`] takes.
    ///
    /// # Errors
    /// Only those of the store itself.
    fn list_leftovers(&self) -> Result<Vec<Leftover>, Error>;

    /// Removes one leftover; one that does not exist counts as removed.
    ///
    /// # Errors
    /// [`ErrorKind::InUse`] where the store can tell that its writer still runs, as of now and not as of the listing;
    /// [`ErrorKind::UnsupportedKey`] for a name that no leftover of this store can have.
    fn delete_leftover(&self, leftover: &Leftover) -> Result<(), Error>;

    /// A name for messages: a path or URL without credentials.
    fn location(&self) -> String;

    /// The longest object that it takes, in bytes; `None` where there is no bound that a backup could meet. A longer pack
    /// is cut between members into volumes.
    fn object_bytes_max(&self) -> Option<u64> {
        None
    }

    /// A URL by which anybody can read an object until it expires; `None` where the store has no such thing. Whether the
    /// object exists is not asked.
    ///
    /// # Errors
    /// [`ErrorKind::Other`] where the store does not sign for so long; those of the store.
    fn signed_url(&self, key: &ObjectKey, expires_in: Duration) -> Result<Option<String>, Error> {
        let _ = (key, expires_in);
        Ok(None)
    }
}

/// An object that is being written; dropping it discards what was written.
#[must_use = "an object that is not published is discarded"]
pub trait ObjectWriter: Send {
    /// Adds bytes at the end.
    ///
    /// # Errors
    /// After an error the writer is spent: every further call fails, and nothing is published.
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error>;

    /// Makes the object durable and visible under its key.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] where the key exists by now; then nothing was changed. After any other error the
    /// object may be there, then whole (see promise 2 of [`Store`]).
    fn publish(self: Box<Self>) -> Result<ObjectMeta, Error>;
}

/// What a store tells of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "stores of other crates build it")]
pub struct ObjectMeta {
    /// Its name.
    pub key: ObjectKey,
    /// Its length in bytes.
    pub size: u64,
    /// When it was written or published, in seconds since the Unix epoch by the store's own clock; for age, never for
    /// identity.
    pub modified_unix_secs: i64,
}

/// Something that an interrupted writer left in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "stores of other crates build it")]
pub struct Leftover {
    /// The store's own name for it.
    pub name: String,
    /// The key that it was to get, where the store tells that, and others than Backstay may write there too.
    pub key: Option<ObjectKey>,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last written, in seconds since the Unix epoch by the store's own clock.
    pub modified_unix_secs: i64,
    /// Whether the store can tell that its writer still runs; `false` may also mean that it cannot tell.
    pub in_use: bool,
}

/// The few classes of failure that Backstay reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no object of that name; the store itself was there to ask.
    NotFound,
    /// The store itself is not there: the folder is gone, the bucket does not exist.
    StoreMissing,
    /// There is one already; it was not changed.
    AlreadyExists,
    /// This store cannot keep an object of that name.
    UnsupportedKey,
    /// Another writer holds it.
    InUse,
    /// The range reaches past the end of the object.
    OutOfRange,
    /// The store refuses: credentials, permissions, a read-only place.
    Denied,
    /// No room is left.
    Full,
    /// Worth another try: time-outs, interrupted connections, "slow down".
    Transient,
    /// Anything else.
    Other,
}

/// A failure of a store: what kind, about which object, because of what.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    doing: &'static str,
    subject: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure while `doing` (a verb such as `"read"`) `subject` (a key or path).
    pub fn new(kind: ErrorKind, doing: &'static str, subject: impl Into<String>) -> Self {
        Self {
            kind,
            doing,
            subject: subject.into(),
            source: None,
        }
    }

    /// The same with its cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The failure of an operation of the operating system on `subject`.
    pub fn io(doing: &'static str, subject: impl Into<String>, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match source.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::InvalidFilename => ErrorKind::UnsupportedKey,
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::Denied,
            Io::StorageFull | Io::QuotaExceeded => ErrorKind::Full,
            Io::Interrupted | Io::TimedOut | Io::ConnectionReset => ErrorKind::Transient,
            _ => ErrorKind::Other,
        };
        Self::new(kind, doing, subject).because(source)
    }

    /// Its class.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The key or path that it is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether another try may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind == ErrorKind::Transient
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { doing, subject, .. } = self;
        match self.kind {
            ErrorKind::NotFound => write!(f, "cannot {doing} {subject}: it does not exist"),
            ErrorKind::StoreMissing => write!(f, "cannot {doing} {subject}: the store does not exist"),
            ErrorKind::UnsupportedKey => write!(f, "cannot {doing} {subject}: the store cannot keep that name"),
            ErrorKind::InUse => write!(f, "cannot {doing} {subject}: it is in use"),
            ErrorKind::AlreadyExists => write!(f, "cannot {doing} {subject}: it exists already"),
            ErrorKind::OutOfRange => write!(f, "cannot {doing} {subject}: it is shorter than expected"),
            ErrorKind::Denied => write!(f, "cannot {doing} {subject}: access denied"),
            ErrorKind::Full => write!(f, "cannot {doing} {subject}: no space left"),
            ErrorKind::Transient | ErrorKind::Other => write!(f, "cannot {doing} {subject}"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_ref()
            .map(|source| &**source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::io;

    use super::{Error, ErrorKind};

    #[test]
    fn failures_of_the_operating_system_are_classed() {
        for (io_kind, kind) in [
            (io::ErrorKind::NotFound, ErrorKind::NotFound),
            (io::ErrorKind::AlreadyExists, ErrorKind::AlreadyExists),
            (io::ErrorKind::InvalidFilename, ErrorKind::UnsupportedKey),
            (io::ErrorKind::PermissionDenied, ErrorKind::Denied),
            (io::ErrorKind::ReadOnlyFilesystem, ErrorKind::Denied),
            (io::ErrorKind::StorageFull, ErrorKind::Full),
            (io::ErrorKind::QuotaExceeded, ErrorKind::Full),
            (io::ErrorKind::TimedOut, ErrorKind::Transient),
            (io::ErrorKind::InvalidData, ErrorKind::Other),
        ] {
            let error = Error::io("write", "a/b", io::Error::new(io_kind, "the cause"));
            assert_eq!(error.kind(), kind, "{io_kind:?}");
            assert_eq!(error.is_transient(), kind == ErrorKind::Transient);
            assert_eq!(error.source().unwrap().to_string(), "the cause");
            let message = error.to_string();
            assert!(
                message.starts_with("cannot write a/b") && !message.contains("the cause"),
                "{message}"
            );
        }
    }
}
