//! Whole backups over stores that fail at each of their calls. Ends of the process are seen in [`crate::crash`].

use std::fs;

use backstay_store_local::{Durability, LocalStore};
use backstay_testkit::crash_safety;
use tempfile::TempDir;

/// Gives a new, empty store at each call, in sub-folders of one that goes at the end.
fn new_stores() -> (TempDir, impl FnMut() -> LocalStore) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let mut count = 0;
    let new_store = move || {
        count += 1;
        let path = path.join(count.to_string());
        // The store's own way would wait for the disk.
        fs::create_dir(&path).unwrap();
        LocalStore::open(path).unwrap().with_durability(Durability::Unsynced)
    };
    (folder, new_store)
}

#[test]
fn a_backup_is_whole_or_not_there() {
    let (_folder, new_store) = new_stores();
    crash_safety::a_backup_is_whole_or_not_there(new_store);
}

#[test]
fn a_backup_in_volumes_is_whole_or_not_there() {
    let (_folder, new_store) = new_stores();
    crash_safety::a_backup_in_volumes_is_whole_or_not_there(new_store);
}

#[test]
fn two_failures_leave_no_half_backup() {
    let (_folder, new_store) = new_stores();
    crash_safety::two_failures_leave_no_half_backup(new_store);
}

#[test]
fn a_removal_ends_or_can_be_ended() {
    let (_folder, new_store) = new_stores();
    crash_safety::a_removal_ends_or_can_be_ended(new_store);
}

#[test]
fn removing_litter_ends_or_can_be_repeated() {
    let (_folder, new_store) = new_stores();
    crash_safety::removing_litter_ends_or_can_be_repeated(new_store);
}

#[test]
fn removing_volumes_ends_or_can_be_repeated() {
    let (_folder, new_store) = new_stores();
    crash_safety::removing_volumes_ends_or_can_be_repeated(new_store);
}

#[test]
fn spoiled_bytes_are_found_out() {
    let (_folder, new_store) = new_stores();
    crash_safety::spoiled_bytes_are_found_out(new_store);
}
