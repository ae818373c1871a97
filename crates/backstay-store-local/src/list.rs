use std::io;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ErrorKind, ObjectMeta};
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::folder::{Folder, Found, is_absence};
use crate::store::LocalStore;

/// Every object whose key begins with `prefix`, sorted.
pub(crate) fn objects(store: &LocalStore, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
    let mut objects = Vec::new();
    walk(store, prefix, |file| {
        if let Ok(key) = file.path.parse::<ObjectKey>() {
            objects.push(ObjectMeta {
                key,
                size: file.found.size,
                modified_unix_secs: file.found.modified_unix_secs,
            });
        }
        Ok(())
    })?;
    objects.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(objects)
}

/// A regular file that the walk met.
pub(crate) struct WalkedFile<'a> {
    pub(crate) folder: &'a Folder,
    /// Its path below the folder of the store.
    pub(crate) path: &'a str,
    pub(crate) name: &'a str,
    pub(crate) found: Found,
}

/// Shows every regular file whose path begins with `prefix` to `visit`, in no order. Names that are not UTF-8 are
/// skipped, as is what disappears meanwhile; what cannot be looked at is an error.
pub(crate) fn walk(
    store: &LocalStore,
    prefix: &str,
    mut visit: impl FnMut(&WalkedFile<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut folders = vec![String::new()];
    while let Some(folder_path) = folders.pop() {
        let failed = |source: io::Error| store.error("list", &folder_path, source);
        let folder = match store.root().descend(&folder_path) {
            Ok(folder) => folder,
            Err(source) if is_absence(&source) => continue,
            Err(source) if is_lost_and_found(&folder_path, &source) => continue,
            Err(source) => return Err(failed(source)),
        };
        let entries = match folder.entries() {
            Ok(entries) => entries,
            Err(source) if is_absence(&source) => continue,
            Err(source) => return Err(failed(source)),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                // Linux says so of a folder that was removed while it was open.
                Err(Errno::NOENT) => break,
                Err(errno) => return Err(failed(errno.into())),
            };
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if matches!(name, "." | "..") {
                continue;
            }
            let path = match folder_path.as_str() {
                "" => name.to_owned(),
                _ => format!("{folder_path}/{name}"),
            };
            let may_hold_matches = path.starts_with(prefix) || prefix.starts_with(&format!("{path}/"));
            if !may_hold_matches {
                continue;
            }
            let found = match folder.look_at(name) {
                Ok(found) => found,
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(store.error("list", &path, errno)),
            };
            match found.kind {
                // A folder whose path is no key holds no objects; this bounds the depth, too.
                FileType::Directory if path.parse::<ObjectKey>().is_ok() => folders.push(path),
                FileType::RegularFile if path.starts_with(prefix) => visit(&WalkedFile {
                    folder: &folder,
                    path: &path,
                    name,
                    found,
                })?,
                _ => {}
            }
        }
    }
    // A folder that was removed meanwhile looks like an empty one.
    if store.is_gone() {
        return Err(Error::new(
            ErrorKind::StoreMissing,
            "list",
            store.path().display().to_string(),
        ));
    }
    Ok(())
}

/// Whether it is the folder that the repair of a file system keeps for itself at the root of a disk; others than root may
/// not look into it, and no objects are in it.
fn is_lost_and_found(folder_path: &str, error: &io::Error) -> bool {
    folder_path == "lost+found" && error.kind() == io::ErrorKind::PermissionDenied
}
