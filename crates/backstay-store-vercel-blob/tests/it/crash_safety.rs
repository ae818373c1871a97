//! Whole backups over a store that fails at each of its calls.

use backstay_store_vercel_blob::VercelBlobStore;
use backstay_testkit::{VercelTraits, crash_safety};

use crate::Vercel;

/// Gives a new, empty store at each call: another prefix of one.
fn new_stores() -> impl FnMut() -> VercelBlobStore {
    let vercel = Vercel::start(VercelTraits::default());
    let mut count = 0;
    move || {
        count += 1;
        vercel.store(&format!("{count}/"))
    }
}

#[test]
fn a_backup_is_whole_or_not_there() {
    crash_safety::a_backup_is_whole_or_not_there(new_stores());
}

#[test]
fn two_failures_leave_no_half_backup() {
    crash_safety::two_failures_leave_no_half_backup(new_stores());
}

#[test]
fn a_removal_ends_or_can_be_ended() {
    crash_safety::a_removal_ends_or_can_be_ended(new_stores());
}

#[test]
fn removing_litter_ends_or_can_be_repeated() {
    crash_safety::removing_litter_ends_or_can_be_repeated(new_stores());
}

#[test]
fn spoiled_bytes_are_found_out() {
    crash_safety::spoiled_bytes_are_found_out(new_stores());
}
