use std::fs::File;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ErrorKind, Leftover, TEMPORARY_PREFIX};
use rustix::fs::{FileType, FlockOperation};
use rustix::io::Errno;

use crate::folder::is_absence;
use crate::list::walk;
use crate::store::LocalStore;

/// Every temporary file below the folder.
pub(crate) fn list(store: &LocalStore) -> Result<Vec<Leftover>, Error> {
    let mut leftovers = Vec::new();
    walk(store, "", |file| {
        if !file.name.starts_with(TEMPORARY_PREFIX) {
            return Ok(());
        }
        // A file that cannot be opened, such as another user's, does not tell.
        let in_use = file
            .folder
            .open_file(file.name)
            .is_ok_and(|file| lock_shared(&file) == Locked::ByWriter);
        leftovers.push(Leftover {
            name: file.path.to_owned(),
            size: file.found.size,
            modified_unix_secs: file.found.modified_unix_secs,
            key: None,
            in_use,
        });
        Ok(())
    })?;
    leftovers.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(leftovers)
}

/// Removes a temporary file whose writer is gone.
pub(crate) fn delete(store: &LocalStore, name: &str) -> Result<(), Error> {
    let doing = "delete the leftover";
    let error = |kind| Error::new(kind, doing, store.path().join(name).display().to_string());
    let absent = || match store.is_gone() {
        true => Err(error(ErrorKind::StoreMissing)),
        false => Ok(()),
    };
    if !is_temporary(name) {
        return Err(error(ErrorKind::UnsupportedKey));
    }
    let (folder, file_name) = match store.root().descend_to(name) {
        Ok(found) => found,
        Err(source) if is_absence(&source) => return absent(),
        Err(source) => return Err(store.error(doing, name, source)),
    };
    match folder.look_at(file_name) {
        Ok(found) if found.kind == FileType::RegularFile => {}
        Ok(_) => return Err(error(ErrorKind::UnsupportedKey)),
        Err(Errno::NOENT) => return absent(),
        Err(errno) => return Err(store.error(doing, name, errno)),
    }
    let file = match folder.open_file(file_name) {
        Ok(file) => file,
        Err(source) if is_absence(&source) => return absent(),
        Err(source) => return Err(store.error(doing, name, source)),
    };
    // The lock is held until the file is gone: a writer that made the file a moment ago waits for it, sees that its file
    // has no name any more, and makes another.
    if lock_shared(&file) == Locked::ByWriter {
        return Err(error(ErrorKind::InUse));
    }
    match folder.unlink(file_name) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(store.error(doing, name, errno)),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Locked {
    ByUs,
    ByWriter,
    /// The file system has no locks, so nobody can tell.
    Never,
}

/// Takes a shared lock, which writers exclude and other lookers do not.
fn lock_shared(file: &File) -> Locked {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Locked::ByUs,
        Err(Errno::WOULDBLOCK) => Locked::ByWriter,
        Err(_) => Locked::Never,
    }
}

/// Whether a leftover can have this name; no object can.
fn is_temporary(name: &str) -> bool {
    let (folders, file_name) = name
        .rsplit_once('/')
        .map_or(("", name), |(folders, name)| (folders, name));
    let is_below = !name.starts_with('/') && (folders.is_empty() || folders.parse::<ObjectKey>().is_ok());
    is_below && file_name.starts_with(TEMPORARY_PREFIX) && !file_name.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::is_temporary;

    #[test]
    fn names_of_leftovers_stay_below_the_folder_and_are_no_keys() {
        for (name, expected) in [
            (".backstay-tmp-1-2", true),
            ("log/2026/.backstay-tmp-1-2", true),
            ("a.sql.gz", false),
            ("log/a.json", false),
            ("", false),
            ("/.backstay-tmp-1", false),
            ("../.backstay-tmp-1", false),
            ("a/../.backstay-tmp-1", false),
            ("a//.backstay-tmp-1", false),
            (".backstay-tmp-1/../a", false),
            (".backstay-tmp-1/.backstay-tmp-2", false),
            (".backstay-tmp-1/", false),
        ] {
            assert_eq!(is_temporary(name), expected, "{name:?}");
        }
    }
}
