//! What makes stored objects unreadable to whoever has no key. This is the contract; `backstay-encryption` fulfils it.

mod clear;

use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

pub use clear::ClearStore;

use crate::digest::DigestKey;
use crate::store::{Error, ObjectKey, Store};

/// How an object is sealed, told by the end of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a third method is a new format version")]
pub enum SealMethod {
    /// An age file, version 1 (<https://c2sp.org/age>).
    Age,
    /// An `OpenPGP` message encrypted with a passphrase (RFC 4880).
    OpenPgp,
}

impl SealMethod {
    /// What the names of objects end with, after a dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::OpenPgp => "gpg",
        }
    }

    /// How an object of that name is sealed; `None` for one that is in clear.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Age, Self::OpenPgp].into_iter().find(|method| {
            let stem = name.strip_suffix(method.extension());
            stem.is_some_and(|stem| stem.ends_with('.'))
        })
    }
}

impl fmt::Display for SealMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Age => "age",
            Self::OpenPgp => "OpenPGP",
        })
    }
}

/// Seals objects to those who may open them. It needs no secret where they have keys.
pub trait Sealer: Send + Sync + fmt::Debug {
    /// How it seals.
    fn method(&self) -> SealMethod;

    /// Who can open what it seals, for people and for the manifest: public keys, or the word `passphrase`.
    fn recipients(&self) -> Vec<String>;

    /// A new random key for the digests of one backup.
    fn new_digest_key(&self) -> DigestKey;

    /// Begins to seal one object, with a key of its own.
    ///
    /// # Errors
    /// The recipients do not go together.
    fn begin(&self) -> Result<Box<dyn Sealing>, SealError>;
}

/// One object that is being sealed.
pub trait Sealing: Send {
    /// Takes the next bytes and appends to `out` what is to be stored by now.
    ///
    /// # Errors
    /// Sealing failed; the object cannot be finished then.
    fn seal(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), SealError>;

    /// The greatest length that the object can have in the store when so many bytes are in it.
    fn stored_bytes(&self, bytes: u64) -> u64;

    /// Appends the end. An object without it is told as cut off when it is opened.
    ///
    /// # Errors
    /// Sealing failed.
    fn finish(self: Box<Self>, out: &mut Vec<u8>) -> Result<(), SealError>;
}

/// Opens sealed objects with the keys that it holds.
pub trait Unsealer: Send + Sync + fmt::Debug {
    /// Opens an object for reading anywhere in it. Its length is proven by what is sealed, so one that was cut off is told
    /// here.
    ///
    /// # Errors
    /// No key opens it; it is damaged, or not sealed in a way that this can open; the store fails.
    fn open(&self, object: SealedObject) -> Result<Arc<dyn Unsealed>, SealError>;
}

/// A sealed object that is open.
pub trait Unsealed: Send + Sync {
    /// Length of what is in it, in bytes.
    fn bytes(&self) -> u64;

    /// Opens a range of what is in it; the range must lie within. The reader gives no byte that was not sealed so, and
    /// fails where it cannot give all.
    ///
    /// # Errors
    /// The store fails.
    fn read(&self, range: Range<u64>) -> Result<Box<dyn Read + Send>, SealError>;
}

/// The stored bytes of a sealed object.
#[derive(Clone, Debug)]
pub struct SealedObject {
    store: Arc<dyn Store>,
    key: ObjectKey,
    bytes: u64,
}

impl SealedObject {
    /// An object of a store.
    ///
    /// # Errors
    /// Those of the store, which is asked for its length.
    pub fn new(store: Arc<dyn Store>, key: &ObjectKey) -> Result<Self, Error> {
        let bytes = store.head(key)?.size;
        Ok(Self {
            store,
            key: key.clone(),
            bytes,
        })
    }

    /// Its name.
    #[must_use]
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// How many bytes are stored.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Opens a range of the stored bytes.
    ///
    /// # Errors
    /// Those of the store.
    pub fn read(&self, range: Range<u64>) -> Result<Box<dyn Read + Send>, Error> {
        self.store.read(&self.key, Some(range))
    }
}

/// Why something could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// None of the keys at hand opens it.
    #[error("no key at hand opens it (it is for: {})", stated(.recipients))]
    NoKey {
        /// What it states of those who can, such as kinds of keys; never a secret.
        recipients: Vec<String>,
    },
    /// The passphrase is not the one that it was sealed with.
    #[error("the passphrase is wrong")]
    Passphrase,
    /// It was changed, cut off, or damaged.
    #[error("the encrypted bytes are damaged: {0}")]
    Damaged(String),
    /// It is of a kind that cannot be opened here.
    #[error("it cannot be opened: {0}")]
    Unsupported(String),
    /// It could not be sealed.
    #[error("it cannot be encrypted: {0}")]
    Seal(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// Reading or writing failed.
    #[error("reading it failed")]
    Io(#[source] std::io::Error),
}

fn stated(recipients: &[String]) -> String {
    if recipients.is_empty() {
        "nobody that it names".to_owned()
    } else {
        recipients.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_how_an_object_is_sealed() {
        for (name, method) in [
            ("a.sql.gz.age", Some(SealMethod::Age)),
            ("a.sql.gz.gpg", Some(SealMethod::OpenPgp)),
            ("a.sql.gz", None),
            ("a.image", None),
            ("age", None),
        ] {
            assert_eq!(SealMethod::of_name(name), method, "{name}");
        }
    }
}
