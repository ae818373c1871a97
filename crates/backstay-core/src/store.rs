//! The contract between Backstay and a place that keeps objects.

mod key;
mod memory;

use std::error::Error as StdError;
use std::fmt;
use std::io::Read;
use std::ops::Range;

pub use key::{InvalidObjectKey, ObjectKey, TEMPORARY_PREFIX};
pub use memory::MemoryStore;

/// A place that keeps named, immutable objects: a folder, a bucket, memory.
///
/// What every implementation promises (the conformance suite of `backstay-testkit` has one function per promise):
///
/// 1. **Create only.** An object is created once and never changed. [`ObjectWriter::publish`] under a key that
///    exists fails with [`ErrorKind::AlreadyExists`] and leaves the existing object as it was, also when two writers
///    race for one key: exactly one wins.
/// 2. **Nothing half-written.** Before `publish` returns `Ok` the object is neither listed nor readable under its key.
///    A writer that is dropped, or that failed once, publishes nothing. After `publish` returned `Ok` the object is
///    whole, and stays so through a crash of this process or, where the store can promise it, of the machine.
/// 3. **Reads see what was written.** `read` gives exactly the bytes of the range; a range that reaches past the end
///    fails with [`ErrorKind::OutOfRange`] instead of giving fewer bytes.
/// 4. **Complete, sorted lists.** `list` gives every published object whose key begins with the prefix, in byte order
///    of the keys, with its size; no temporary objects.
/// 5. **Deletion is idempotent.** Deleting a key that does not exist succeeds.
/// 6. **Errors are classed** as [`ErrorKind`] says; a missing object is [`ErrorKind::NotFound`], never an empty one.
///
/// All methods may be called from several threads at once.
pub trait Store: Send + Sync + fmt::Debug {
    /// Begins a new object.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] may come already here where the store can tell cheaply.
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error>;

    /// Opens a range of bytes of an object; `None` is the whole.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::OutOfRange`] where the range ends behind the object's end.
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
    /// Only those of the store itself.
    fn delete_leftover(&self, leftover: &Leftover) -> Result<(), Error>;

    /// A name for messages: a path or URL without credentials.
    fn location(&self) -> String;
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
    /// [`ErrorKind::AlreadyExists`] where the key exists by now; then nothing was changed.
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
    /// When it was published, in seconds since the Unix epoch by the store's own clock; for age, never for identity.
    pub modified_unix_secs: i64,
}

/// Something that an interrupted writer left in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "stores of other crates build it")]
pub struct Leftover {
    /// The store's own name for it.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last written, in seconds since the Unix epoch by the store's own clock.
    pub modified_unix_secs: i64,
    /// Whether the store can tell that its writer still runs.
    pub in_use: bool,
}

/// The few classes of failure that Backstay reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no object of that name.
    NotFound,
    /// There is one already; it was not changed.
    AlreadyExists,
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
