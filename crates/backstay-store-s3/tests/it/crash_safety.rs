//! Whole backups over a bucket whose store fails at each of its calls.

use backstay_store_s3::S3Store;
use backstay_testkit::crash_safety;

use crate::fake::{Fake, Traits};

/// Gives a new, empty store at each call: another prefix of one bucket.
fn new_stores() -> impl FnMut() -> S3Store {
    let fake = Fake::start(Traits::default());
    let mut count = 0;
    move || {
        count += 1;
        fake.store(&format!("{count}/"))
    }
}

#[test]
fn a_backup_is_whole_or_not_there() {
    crash_safety::a_backup_is_whole_or_not_there(new_stores());
}

#[test]
fn a_backup_in_volumes_is_whole_or_not_there() {
    crash_safety::a_backup_in_volumes_is_whole_or_not_there(new_stores());
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
fn removing_volumes_ends_or_can_be_repeated() {
    crash_safety::removing_volumes_ends_or_can_be_repeated(new_stores());
}

#[test]
fn spoiled_bytes_are_found_out() {
    crash_safety::spoiled_bytes_are_found_out(new_stores());
}
