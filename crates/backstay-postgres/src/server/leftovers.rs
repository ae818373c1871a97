use std::fs::{self, File, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{FOLDER_PREFIX, ThrowawayError, cluster, process};

/// Ends and removes the throw-away servers in `parent` whose programs are gone, and says which folders went.
///
/// A server is spared as long as the program that started it lives, which is seen by a lock on its folder. A process
/// is ended only if the server's lock file names it and its command line names the server's folder. One that cannot be removed
/// does not keep the others.
///
/// # Errors
/// If `parent` cannot be listed, or servers in it cannot be ended or removed: then that of the first.
pub fn remove_leftovers(parent: &Path) -> Result<Vec<PathBuf>, ThrowawayError> {
    let parent = parent.canonicalize().map_err(ThrowawayError::io("find", parent))?;
    let _creation = lock_for_creation(&parent)?;
    let mut removed = Vec::new();
    let mut first_error = None;
    for entry in fs::read_dir(&parent).map_err(ThrowawayError::io("list", &parent))? {
        let entry = entry.map_err(ThrowawayError::io("list", &parent))?;
        let is_ours = entry.file_name().to_string_lossy().starts_with(FOLDER_PREFIX);
        let folder = entry.path();
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        match remove_dead(&folder) {
            Ok(Some(())) => removed.push(folder),
            Ok(None) => {}
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    first_error.map_or(Ok(removed), Err)
}

/// Removes a server and its folder; `None` where its program lives.
fn remove_dead(folder: &Path) -> Result<Option<()>, ThrowawayError> {
    let Some(_lock) = try_lock(folder)? else {
        return Ok(None);
    };
    end_server(&cluster::data_folder(folder))?;
    fs::remove_dir_all(folder).map_err(ThrowawayError::io("remove", folder))?;
    Ok(Some(()))
}

/// Makes a folder for a server and locks it; nobody sees it unlocked.
pub(super) fn create_locked(parent: &Path) -> Result<(TempDir, File), ThrowawayError> {
    let _creation = lock_for_creation(parent)?;
    let folder = tempfile::Builder::new()
        .prefix(FOLDER_PREFIX)
        // The log in it may show statements with data.
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .map_err(ThrowawayError::io("create a folder in", parent))?;
    let lock = File::open(folder.path()).map_err(ThrowawayError::io("open", folder.path()))?;
    lock.lock().map_err(ThrowawayError::io("lock", folder.path()))?;
    Ok((folder, lock))
}

/// Taken by who makes or removes folders in `parent`, for as long as that takes: a folder that is new and not locked
/// yet looks like a leftover.
fn lock_for_creation(parent: &Path) -> Result<File, ThrowawayError> {
    let lock = File::open(parent).map_err(ThrowawayError::io("open", parent))?;
    lock.lock().map_err(ThrowawayError::io("lock", parent))?;
    Ok(lock)
}

fn try_lock(folder: &Path) -> Result<Option<File>, ThrowawayError> {
    let file = match File::open(folder) {
        Ok(file) => file,
        // Its program has removed it meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ThrowawayError::io("open", folder)(source)),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(ThrowawayError::io("lock", folder)(source)),
    }
}

fn end_server(data_folder: &Path) -> Result<(), ThrowawayError> {
    let Some(postmaster) = cluster::noted_postmaster(data_folder).and_then(process::pid) else {
        return Ok(());
    };
    let is_its_server =
        process::command_line(postmaster).is_some_and(|line| line.contains(data_folder.to_string_lossy().as_ref()));
    if !is_its_server {
        return Ok(());
    }
    let children = process::children_of(postmaster)?;
    // It fails only for a process that has ended meanwhile.
    let _ = rustix::process::kill_process(postmaster, Signal::QUIT);
    if process::await_end(&[postmaster]).is_err() {
        process::kill_with_group(postmaster);
        for &child in &children {
            process::kill_with_group(child);
        }
        process::await_end(&[postmaster])?;
    }
    process::await_end(&children)
}
