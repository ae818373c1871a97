use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ErrorKind, Leftover, ObjectMeta, ObjectWriter, Store};
use rustix::fs::{FileType, OFlags};

use crate::folder::{Folder, is_absence};
use crate::leftover;
use crate::list;
use crate::reader::RangeReader;
use crate::writer::LocalWriter;

/// A folder whose files are the objects of a store.
///
/// The key of an object is its path below the folder: `log/x.json` is the file `x.json` in the sub-folder `log`. An
/// object is written under a temporary name in the folder of its final one, synced, and then renamed without ever
/// replacing a file; with [`Durability::Synced`] it survives a loss of power once it is published, as far as the disk
/// keeps what it acknowledged.
///
/// - What counts as an object: a regular file whose path is an [`ObjectKey`]. Other names (not UTF-8, control
///   characters, temporary ones) and other kinds of files are not seen. Symbolic links below the folder are never
///   followed, neither for listing nor for reading or writing, so nothing outside the folder is touched; a link
///   occupies its name all the same. `path` itself may lead through links.
/// - Backups are private: files are made with mode 0600 and folders with 0700, less what the umask takes.
/// - Sub-folders are made as keys need them, and stay when they become empty.
/// - The folder is opened once and held, so a store goes on in the folder that it began in, even when another one takes
///   its path; a disk stays busy until the store is dropped. Clones share it.
/// - Where the file system folds letter case or normalises Unicode, keys that it takes for one are one.
/// - A running writer holds a lock (`flock`) on its temporary file, so that other processes can tell it from one that
///   crashed. File systems without such locks cannot tell: there every leftover looks abandoned, and its age must
///   decide.
/// - Times are the modification times of the files.
#[derive(Clone, Debug)]
pub struct LocalStore {
    root: Arc<File>,
    path: PathBuf,
    durability: Durability,
}

/// What a [`LocalStore`] waits for before it calls a change done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "there is nothing between waiting for the disk and not waiting"
)]
pub enum Durability {
    /// The disk has the bytes and the names.
    #[default]
    Synced,
    /// The operating system has them: a change survives the end of the process, not that of the machine. For tests.
    Unsynced,
}

impl LocalStore {
    /// Opens an existing folder.
    ///
    /// # Errors
    /// [`ErrorKind::StoreMissing`] where there is nothing at `path`; [`ErrorKind::Denied`]; [`ErrorKind::Other`] where it
    /// is no folder.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => {
                Error::new(ErrorKind::StoreMissing, "open", path.display().to_string()).because(source)
            }
            _ => Error::io("open", path.display().to_string(), source),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).map_err(|errno| failed(errno.into()))?;
        Ok(Self {
            root: Arc::new(root.into()),
            path,
            durability: Durability::Synced,
        })
    }

    /// Makes a new folder, durably, and opens it; its parent must exist, since a missing one may be a disk that is not
    /// mounted.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] where there is anything at `path`; [`ErrorKind::StoreMissing`] where its parent is
    /// missing; [`ErrorKind::Denied`].
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let subject = path.display().to_string();
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => {
                    Error::new(ErrorKind::StoreMissing, "make the folder", &subject).because(source)
                }
                _ => Error::io("make the folder", &subject, source),
            })?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(parent)
            .and_then(|parent| Folder::sync_file(&parent))
            .map_err(|source| Error::io("sync", parent.display().to_string(), source))?;
        Self::open(path)
    }

    /// The same store with another durability.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The path that the store was opened with.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn root(&self) -> Folder {
        Folder::new(Arc::clone(&self.root))
    }

    pub(crate) fn is_synced(&self) -> bool {
        self.durability == Durability::Synced
    }

    /// The failure of `doing` something to `name`, a path below the folder. It tells an object that is missing from a
    /// folder that is.
    pub(crate) fn error(&self, doing: &'static str, name: &str, source: impl Into<io::Error>) -> Error {
        let subject = self.path.join(name).display().to_string();
        let source = source.into();
        if is_absence(&source) {
            let kind = if self.is_gone() {
                ErrorKind::StoreMissing
            } else {
                ErrorKind::NotFound
            };
            return Error::new(kind, doing, subject).because(source);
        }
        Error::io(doing, subject, source)
    }

    /// Whether the folder itself was removed; then nothing can be told of what is in it.
    pub(crate) fn is_gone(&self) -> bool {
        self.root.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    fn open_object(&self, doing: &'static str, key: &ObjectKey) -> Result<(File, fs::Metadata), Error> {
        let failed = |source| self.error(doing, key.as_str(), source);
        let (folder, name) = self.root().descend_to(key.as_str()).map_err(failed)?;
        let file = folder.open_file(name).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(io::ErrorKind::NotFound.into()));
        }
        Ok((file, metadata))
    }
}

impl Store for LocalStore {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        Ok(Box::new(LocalWriter::begin(self, key)?))
    }

    fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, Error> {
        let doing = "read";
        let (mut file, metadata) = self.open_object(doing, key)?;
        let range = range.unwrap_or(0..metadata.len());
        if range.start > range.end || range.end > metadata.len() {
            let subject = self.path.join(key.as_str()).display().to_string();
            return Err(Error::new(ErrorKind::OutOfRange, doing, subject));
        }
        file.seek(SeekFrom::Start(range.start))
            .map_err(|source| self.error(doing, key.as_str(), source))?;
        Ok(Box::new(RangeReader::new(file, range.end - range.start)))
    }

    fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        let failed = |source: io::Error| self.error("look at", key.as_str(), source);
        let (folder, name) = self.root().descend_to(key.as_str()).map_err(failed)?;
        let found = folder.look_at(name).map_err(|errno| failed(errno.into()))?;
        if found.kind != FileType::RegularFile {
            return Err(failed(io::ErrorKind::NotFound.into()));
        }
        Ok(ObjectMeta {
            key: key.clone(),
            size: found.size,
            modified_unix_secs: found.modified_unix_secs,
        })
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
        list::objects(self, prefix)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        let failed = |source: io::Error| self.error("delete", key.as_str(), source);
        let absent = |source: io::Error| {
            let error = failed(source);
            match error.kind() {
                ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            }
        };
        let (folder, name) = match self.root().descend_to(key.as_str()) {
            Ok(found) => found,
            Err(source) => return absent(source),
        };
        // A folder or a link of that name is no object, so the object does not exist and the other thing stays.
        match folder.look_at(name) {
            Ok(found) if found.kind == FileType::RegularFile => {}
            Ok(_) => return Ok(()),
            Err(errno) => return absent(errno.into()),
        }
        match folder.unlink(name) {
            Err(errno) if errno != rustix::io::Errno::NOENT => return Err(failed(errno.into())),
            // Where another process was faster, its deletion may not be durable yet, and our `Ok` says that it is.
            _ => {}
        }
        if self.is_synced() {
            folder.sync().map_err(failed)?;
        }
        Ok(())
    }

    fn list_leftovers(&self) -> Result<Vec<Leftover>, Error> {
        leftover::list(self)
    }

    fn delete_leftover(&self, leftover: &Leftover) -> Result<(), Error> {
        leftover::delete(self, &leftover.name)
    }

    fn location(&self) -> String {
        self.path.display().to_string()
    }
}
