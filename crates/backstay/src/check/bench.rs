use std::collections::BTreeSet;
use std::error::Error as _;
use std::io::Read as _;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backstay_core::store::{Error, ErrorKind, ObjectKey, Store};

/// A promise that was not kept, and what happened.
pub(super) struct Broken(pub(super) String);

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self(told(&error))
    }
}

/// An error with its causes, in one line.
pub(super) fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

pub(super) fn broken<T>(why: impl Into<String>) -> Result<T, Broken> {
    Err(Broken(why.into()))
}

/// A store, and what was written to it.
pub(super) struct Bench<'s> {
    pub(super) store: &'s dyn Store,
    pub(super) elapsed: &'s (dyn Fn() -> Duration + Sync),
    prefix: String,
    folder: String,
    keys: Mutex<BTreeSet<ObjectKey>>,
}

impl<'s> Bench<'s> {
    pub(super) fn new(store: &'s dyn Store, token: u64, elapsed: &'s (dyn Fn() -> Duration + Sync)) -> Self {
        Self {
            store,
            elapsed,
            prefix: format!("backstay-check-{token:016x}-"),
            folder: format!("backstay-check/{token:016x}-"),
            keys: Mutex::default(),
        }
    }

    /// What most keys begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A key for this check, remembered so that its object is removed.
    pub(super) fn key(&self, name: &str) -> Result<ObjectKey, Broken> {
        self.remembered(&format!("{}{name}", self.prefix))
    }

    /// The same in a folder, which is always the same one, since not every store forgets folders that are empty.
    pub(super) fn key_in_folder(&self, name: &str) -> Result<ObjectKey, Broken> {
        self.remembered(&format!("{}{name}", self.folder))
    }

    fn remembered(&self, name: &str) -> Result<ObjectKey, Broken> {
        let key: ObjectKey = name.parse().map_err(|error| Broken(format!("{error}")))?;
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.clone());
        Ok(key)
    }

    pub(super) fn put(&self, key: &ObjectKey, bytes: &[u8]) -> Result<(), Error> {
        let mut object = self.store.create(key)?;
        object.append(bytes)?;
        object.publish().map(drop)
    }

    pub(super) fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let mut reader = self.store.read(key, range)?;
        let read = reader.read_to_end(&mut bytes);
        read.map_err(|error| Error::io("read", key.as_str(), error))?;
        Ok(bytes)
    }

    /// Names of what is listed under a prefix, which all must have, without what all keys of this check begin with.
    pub(super) fn names(&self, prefix: &str) -> Result<Vec<String>, Broken> {
        let prefix = format!("{}{prefix}", self.prefix);
        let mut names = Vec::new();
        for object in self.store.list(&prefix)? {
            if !object.key.as_str().starts_with(&prefix) {
                return broken(format!("a list of what begins with {prefix} has {}", object.key));
            }
            names.push(object.key.as_str()[self.prefix.len()..].to_owned());
        }
        Ok(names)
    }

    /// The object is not there, in all ways to look for it.
    pub(super) fn expect_absent(&self, key: &ObjectKey, name: &str, what: &str) -> Result<(), Broken> {
        expect_kind(self.store.head(key), ErrorKind::NotFound, &format!("looking at {what}"))?;
        let read = self.read(key, None);
        expect_kind(read, ErrorKind::NotFound, &format!("reading {what}"))?;
        if self.names("")?.iter().any(|listed| listed == name) {
            return broken(format!("{what} is listed"));
        }
        Ok(())
    }

    /// The object is there with these bytes, in all ways to look for it.
    pub(super) fn expect_present(&self, key: &ObjectKey, name: &str, bytes: &[u8]) -> Result<(), Broken> {
        let size = self.store.head(key)?.size;
        if size != bytes.len() as u64 {
            return broken(format!("an object of {} bytes is said to have {size}", bytes.len()));
        }
        if self.read(key, None)? != bytes {
            return broken("an object reads differently from what was written");
        }
        if !self.names("")?.iter().any(|listed| listed == name) {
            return broken("an object that was published is not listed");
        }
        Ok(())
    }

    /// Removes everything; gives what stays.
    pub(super) fn clean_up(self) -> Vec<ObjectKey> {
        let mut keys = self.keys.into_inner().unwrap_or_else(PoisonError::into_inner);
        for prefix in [&self.prefix, &self.folder] {
            let listed = self.store.list(prefix).unwrap_or_default().into_iter();
            // A list that is wrong must not lead to what is not ours.
            keys.extend(
                listed
                    .map(|object| object.key)
                    .filter(|key| key.as_str().starts_with(prefix.as_str())),
            );
        }
        let stays = |key: &ObjectKey| {
            let is_gone = |error: &Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnsupportedKey);
            let deleted = self.store.delete(key);
            match self.store.head(key) {
                Ok(_) => true,
                Err(error) => deleted.is_err() && !is_gone(&error),
            }
        };
        keys.into_iter().filter(stays).collect()
    }
}

/// Something was refused, and as it should be.
pub(super) fn expect_kind<T>(result: Result<T, Error>, kind: ErrorKind, what: &str) -> Result<(), Broken> {
    match result {
        Ok(_) => broken(format!("{what} succeeds")),
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => broken(format!("{what} does not fail as {kind:?}: {}", told(&error))),
    }
}
