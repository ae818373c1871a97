use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::process;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ErrorKind, ObjectMeta, ObjectWriter, TEMPORARY_PREFIX};
use rustix::fs::{FileType, FlockOperation};
use rustix::io::Errno;

use crate::folder::{Folder, Found, is_absence};
use crate::place::place;
use crate::store::LocalStore;

/// An object that is being written to a temporary file beside its final place.
pub(crate) struct LocalWriter {
    store: LocalStore,
    key: ObjectKey,
    /// `None` once anything failed.
    pending: Option<PendingFile>,
}

impl LocalWriter {
    pub(crate) fn begin(store: &LocalStore, key: &ObjectKey) -> Result<Self, Error> {
        let mut folder = store.root();
        let mut rest = key.as_str();
        while let Some((part, below)) = rest.split_once('/') {
            let made = folder.make_folder(part).and_then(|()| {
                // Also a folder that is there already may have been made a moment ago by another process, so that its
                // name is not on the disk yet.
                if store.is_synced() { folder.sync() } else { Ok(()) }
            });
            made.map_err(|source| creation_error(store, "make the folders of", key, source))?;
            folder = match folder.open_folder(part) {
                Ok(below) => below,
                Err(source) if is_absence(&source) && !store.is_gone() => {
                    return Err(unsupported(store, "create", key, source));
                }
                Err(source) => return Err(creation_error(store, "create", key, source)),
            };
            rest = below;
        }
        // Only `publish` decides who wins a key, but asking here saves writing a backup in vain.
        match folder.look_at(rest) {
            Ok(found) => return Err(occupied(store, "create", key, &found)),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(creation_error(store, "create", key, errno.into())),
        }
        let pending = PendingFile::create_in(&folder)
            .map_err(|errno| creation_error(store, "create a temporary file for", key, errno.into()))?;
        Ok(Self {
            store: store.clone(),
            key: key.clone(),
            pending: Some(pending),
        })
    }

    fn spent(&self, doing: &'static str) -> Error {
        let subject = self.store.path().join(self.key.as_str()).display().to_string();
        Error::new(ErrorKind::Other, doing, subject).because("an earlier step of writing it failed")
    }

    fn failed(&self, doing: &'static str, source: impl Into<io::Error>) -> Error {
        creation_error(&self.store, doing, &self.key, source.into())
    }
}

impl ObjectWriter for LocalWriter {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut pending = self.pending.take().ok_or_else(|| self.spent("write to"))?;
        pending
            .file
            .write_all(bytes)
            .map_err(|source| self.failed("write to", source))?;
        pending.written += bytes.len() as u64;
        self.pending = Some(pending);
        Ok(())
    }

    fn publish(mut self: Box<Self>) -> Result<ObjectMeta, Error> {
        let doing = "publish";
        let mut pending = self.pending.take().ok_or_else(|| self.spent(doing))?;
        // After a failed fsync the kernel may count the lost pages as clean, so a second one proves nothing: there is no
        // second try. After a good one there is nothing left that `close` could report.
        if self.store.is_synced() {
            pending.file.sync_all().map_err(|source| self.failed("sync", source))?;
        }
        let found = Found::of(&pending.file).map_err(|source| self.failed(doing, source))?;
        if found.size != pending.written {
            let message = format!("{} bytes were written, but {} are there", pending.written, found.size);
            return Err(self.failed(doing, io::Error::other(message)));
        }
        let name = self.key.as_str().rsplit('/').next().unwrap_or_default();
        match place(&pending.folder, &pending.file, &pending.name, name) {
            Ok(()) => pending.is_placed = true,
            Err(Errno::EXIST) => {
                return Err(match pending.folder.look_at(name) {
                    Ok(found) => occupied(&self.store, doing, &self.key, &found),
                    Err(errno) => self.failed(doing, errno),
                });
            }
            Err(errno) => return Err(self.failed(doing, errno)),
        }
        if self.store.is_synced() {
            pending
                .folder
                .sync()
                .map_err(|source| self.failed("sync the folder of", source))?;
        }
        Ok(ObjectMeta {
            key: self.key.clone(),
            size: found.size,
            modified_unix_secs: found.modified_unix_secs,
        })
    }
}

/// A locked temporary file; dropping it removes it unless it was placed.
#[derive(Debug)]
struct PendingFile {
    folder: Folder,
    name: String,
    file: File,
    written: u64,
    is_placed: bool,
}

impl PendingFile {
    fn create_in(folder: &Folder) -> Result<Self, Errno> {
        loop {
            let name = temporary_name();
            let file = match folder.create_file(&name) {
                Ok(file) => file,
                Err(Errno::EXIST) => continue,
                Err(errno) => return Err(errno),
            };
            let pending = Self {
                folder: folder.clone(),
                name,
                file,
                written: 0,
                is_placed: false,
            };
            lock(&pending.file)?;
            // Whoever removes leftovers holds the lock while removing, so a file that still has a name now keeps it.
            if rustix::fs::fstat(&pending.file)?.st_nlink > 0 {
                return Ok(pending);
            }
        }
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if !self.is_placed {
            // Nothing more can be done here; what stays is listed as a leftover.
            let _ = self.folder.unlink(&self.name);
        }
    }
}

/// Waits for the exclusive lock: others hold a shared one for moments only.
fn lock(file: &File) -> Result<(), Errno> {
    loop {
        match rustix::fs::flock(file, FlockOperation::LockExclusive) {
            Err(Errno::INTR) => {}
            // Without locks, others take the file for abandoned; the documentation of the store says so.
            Err(Errno::NOSYS | Errno::NOTSUP | Errno::NOLCK | Errno::INVAL) => return Ok(()),
            locked => return locked,
        }
    }
}

fn temporary_name() -> String {
    // The keys of `RandomState` are random; a collision is refused by the creation of the file.
    let random = RandomState::new().hash_one(process::id());
    format!("{TEMPORARY_PREFIX}{}-{random:016x}", process::id())
}

/// What is missing for a new object is never the object.
fn creation_error(store: &LocalStore, doing: &'static str, key: &ObjectKey, source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::InvalidFilename {
        return unsupported(store, doing, key, source);
    }
    if is_absence(&source) && !store.is_gone() {
        let subject = store.path().join(key.as_str()).display().to_string();
        return Error::new(ErrorKind::Other, doing, subject).because(source);
    }
    store.error(doing, key.as_str(), source)
}

fn occupied(store: &LocalStore, doing: &'static str, key: &ObjectKey, found: &Found) -> Error {
    if found.kind == FileType::Directory {
        return unsupported(store, doing, key, Errno::ISDIR.into());
    }
    let subject = store.path().join(key.as_str()).display().to_string();
    Error::new(ErrorKind::AlreadyExists, doing, subject)
}

fn unsupported(store: &LocalStore, doing: &'static str, key: &ObjectKey, source: io::Error) -> Error {
    let subject = store.path().join(key.as_str()).display().to_string();
    Error::new(ErrorKind::UnsupportedKey, doing, subject).because(source)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{File, LocalWriter, ObjectWriter as _};
    use crate::folder::SYNCS;
    use crate::{Durability, LocalStore};
    use backstay_core::store::{ErrorKind, Store as _};

    #[test]
    fn a_full_disk_spends_the_writer_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path()).unwrap();
        let mut writer = Box::new(LocalWriter::begin(&store, &"a".parse().unwrap()).unwrap());
        writer.append(b"fits").unwrap();
        // From here on, the disk is full.
        writer.pending.as_mut().unwrap().file = File::options().write(true).open("/dev/full").unwrap();
        assert_eq!(writer.append(b"more").unwrap_err().kind(), ErrorKind::Full);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        assert_eq!(writer.append(b"more").unwrap_err().kind(), ErrorKind::Other);
        assert_eq!(writer.publish().unwrap_err().kind(), ErrorKind::Other);
        assert!(store.list("").unwrap().is_empty());
    }

    #[test]
    fn an_object_that_cannot_be_synced_is_not_published() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path()).unwrap();
        let mut writer = Box::new(LocalWriter::begin(&store, &"a".parse().unwrap()).unwrap());
        // A device is no file that could be synced.
        writer.pending.as_mut().unwrap().file = File::options().write(true).open("/dev/full").unwrap();
        assert!(writer.publish().is_err());
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn every_change_of_names_is_synced() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path()).unwrap();
        let syncs = |change: &dyn Fn()| {
            let before = SYNCS.get();
            change();
            SYNCS.get() - before
        };
        let publish = |name: &str| {
            let key = name.parse().unwrap();
            store.create(&key).unwrap().publish().unwrap();
        };
        assert_eq!(syncs(&|| publish("a")), 1);
        assert_eq!(
            syncs(&|| publish("log/a")),
            2,
            "the folder that was made, and the object in it"
        );
        assert_eq!(syncs(&|| store.delete(&"a".parse().unwrap()).unwrap()), 1);
        let unsynced = store.clone().with_durability(Durability::Unsynced);
        assert_eq!(
            syncs(&|| drop(unsynced.create(&"b".parse().unwrap()).unwrap().publish().unwrap())),
            0
        );
    }
}
