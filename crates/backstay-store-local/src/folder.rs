use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::path::Arg;

/// A folder that is held open: what is done in it is done there, whatever happens to its path meanwhile.
///
/// No method follows a symbolic link.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    file: Arc<File>,
}

#[cfg(test)]
thread_local! {
    /// How often this thread has waited for names to reach the disk, which nothing else would tell a test.
    pub(crate) static SYNCS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// What a folder says of one name in it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) kind: FileType,
    pub(crate) size: u64,
    pub(crate) modified_unix_secs: i64,
    /// Device and inode: two names with the same are one file.
    pub(crate) identity: (u64, u64),
}

/// Whether a failure to open or look at something says that nothing is there: no such name, or something on the way to
/// it that is no folder or a symbolic link, or a name that nothing can have.
pub(crate) fn is_absence(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || is_one_of(error, &[Errno::NOTDIR, Errno::LOOP, Errno::NAMETOOLONG])
}

fn is_one_of(error: &io::Error, errnos: &[Errno]) -> bool {
    Errno::from_io_error(error).is_some_and(|errno| errnos.contains(&errno))
}

impl Found {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        Ok(Self::new(&rustix::fs::fstat(file)?))
    }

    // The widths of these fields differ between systems; none can be negative but times, and all fit.
    #[expect(clippy::unnecessary_cast, trivial_numeric_casts, reason = "needed on some systems")]
    fn new(stat: &rustix::fs::Stat) -> Self {
        Self {
            kind: FileType::from_raw_mode(stat.st_mode),
            size: stat.st_size as u64,
            modified_unix_secs: stat.st_mtime as i64,
            identity: (stat.st_dev as u64, stat.st_ino as u64),
        }
    }
}

impl Folder {
    pub(crate) fn new(file: Arc<File>) -> Self {
        Self { file }
    }

    /// Opens the folder that holds `path`, and gives the last part of the path.
    pub(crate) fn descend_to<'a>(&self, path: &'a str) -> io::Result<(Self, &'a str)> {
        match path.rsplit_once('/') {
            None => Ok((self.clone(), path)),
            Some((folders, name)) => Ok((self.descend(folders)?, name)),
        }
    }

    /// Opens a folder below; the empty path is this one.
    pub(crate) fn descend(&self, path: &str) -> io::Result<Self> {
        let mut folder = self.clone();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            folder = folder.open_folder(part)?;
        }
        Ok(folder)
    }

    /// Makes the folder `name`, unless there is something of that name.
    pub(crate) fn make_folder(&self, name: &str) -> io::Result<()> {
        match rustix::fs::mkdirat(&*self.file, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    pub(crate) fn open_folder(&self, name: &str) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&*self.file, name, flags, Mode::empty())?;
        Ok(Self::new(Arc::new(file.into())))
    }

    /// Opens a file for reading. It may be anything but a link: the caller has to look.
    pub(crate) fn open_file(&self, name: &str) -> io::Result<File> {
        // Without `NONBLOCK`, opening a named pipe would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&*self.file, name, flags, Mode::empty())?.into())
    }

    /// Makes a file that nobody else has, for writing.
    pub(crate) fn create_file(&self, name: &str) -> Result<File, Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&*self.file, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    pub(crate) fn look_at(&self, name: impl Arg) -> Result<Found, Errno> {
        let stat = rustix::fs::statat(&*self.file, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Found::new(&stat))
    }

    pub(crate) fn unlink(&self, name: &str) -> Result<(), Errno> {
        rustix::fs::unlinkat(&*self.file, name, AtFlags::empty())
    }

    /// The entries, as the operating system gives them.
    pub(crate) fn entries(&self) -> io::Result<rustix::fs::Dir> {
        Ok(rustix::fs::Dir::read_from(&*self.file)?)
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Waits until the disk has the names in this folder.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Self::sync_file(&self.file)
    }

    /// Like `PostgreSQL`'s `fsync_fname` (`src/common/file_utils.c`), accepts that some systems have no fsync for folders:
    /// they say so with `EBADF` or `EINVAL`.
    pub(crate) fn sync_file(folder: &File) -> io::Result<()> {
        #[cfg(test)]
        SYNCS.with(|syncs| syncs.set(syncs.get() + 1));
        match folder.sync_all() {
            Err(error) if is_one_of(&error, &[Errno::BADF, Errno::INVAL]) => Ok(()),
            result => result,
        }
    }
}
