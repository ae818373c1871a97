use backstay_core::store::MemoryStore;
use backstay_testkit::crash_safety;

#[test]
fn a_backup_is_whole_or_not_there() {
    crash_safety::a_backup_is_whole_or_not_there(MemoryStore::new);
}

#[test]
fn a_backup_in_volumes_is_whole_or_not_there() {
    crash_safety::a_backup_in_volumes_is_whole_or_not_there(MemoryStore::new);
}

#[test]
fn two_failures_leave_no_half_backup() {
    crash_safety::two_failures_leave_no_half_backup(MemoryStore::new);
}

#[test]
fn a_removal_ends_or_can_be_ended() {
    crash_safety::a_removal_ends_or_can_be_ended(MemoryStore::new);
}

#[test]
fn removing_litter_ends_or_can_be_repeated() {
    crash_safety::removing_litter_ends_or_can_be_repeated(MemoryStore::new);
}

#[test]
fn removing_volumes_ends_or_can_be_repeated() {
    crash_safety::removing_volumes_ends_or_can_be_repeated(MemoryStore::new);
}

#[test]
fn spoiled_bytes_are_found_out() {
    crash_safety::spoiled_bytes_are_found_out(MemoryStore::new);
}

#[test]
fn a_rekeying_leaves_the_old_or_the_new() {
    crash_safety::a_rekeying_leaves_the_old_or_the_new(MemoryStore::new);
}

#[test]
fn ending_a_rekeying_can_be_repeated() {
    crash_safety::ending_a_rekeying_can_be_repeated(MemoryStore::new);
}

#[test]
fn others_beside_a_rekeying_leave_it_whole() {
    crash_safety::others_beside_a_rekeying_leave_it_whole();
}
