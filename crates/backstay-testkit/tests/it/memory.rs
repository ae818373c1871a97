//! The store in memory keeps its promises.

use backstay_core::store::MemoryStore;
use backstay_testkit::conformance;

#[test]
fn no_promise_is_left_out() {
    conformance::assert_every_promise_is_called(include_str!("memory.rs"));
}

#[test]
fn create_only_refuses_an_existing_key() {
    conformance::create_only_refuses_an_existing_key(&MemoryStore::new());
}

#[test]
fn the_first_of_two_open_writers_wins() {
    conformance::the_first_of_two_open_writers_wins(&MemoryStore::new());
}

#[test]
fn racing_writers_have_one_winner() {
    conformance::racing_writers_have_one_winner(&MemoryStore::new());
}

#[test]
fn a_deleted_key_is_free_again() {
    conformance::a_deleted_key_is_free_again(&MemoryStore::new());
}

#[test]
fn unpublished_is_invisible() {
    conformance::unpublished_is_invisible(&MemoryStore::new());
}

#[test]
fn dropped_writer_publishes_nothing() {
    conformance::dropped_writer_publishes_nothing(&MemoryStore::new());
}

#[test]
fn published_is_seen_at_once() {
    conformance::published_is_seen_at_once(&MemoryStore::new());
}

#[test]
fn large_object_round_trip() {
    conformance::large_object_round_trip(&MemoryStore::new());
}

#[test]
fn empty_object() {
    conformance::empty_object(&MemoryStore::new());
}

#[test]
fn range_reads() {
    conformance::range_reads(&MemoryStore::new());
}

#[test]
fn range_past_end_is_refused() {
    conformance::range_past_end_is_refused(&MemoryStore::new());
}

#[test]
fn readers_are_independent() {
    conformance::readers_are_independent(&MemoryStore::new());
}

#[test]
fn list_is_sorted_and_complete() {
    conformance::list_is_sorted_and_complete(&MemoryStore::new());
}

#[test]
fn list_takes_any_prefix() {
    conformance::list_takes_any_prefix(&MemoryStore::new());
}

#[test]
fn sizes_agree_everywhere() {
    conformance::sizes_agree_everywhere(&MemoryStore::new());
}

#[test]
fn keys_with_odd_characters() {
    conformance::keys_with_odd_characters(&MemoryStore::new());
    conformance::assert_no_odd_key_is_refused(&MemoryStore::new());
}

#[test]
fn delete_is_idempotent() {
    conformance::delete_is_idempotent(&MemoryStore::new());
}

#[test]
fn delete_touches_no_other_key() {
    conformance::delete_touches_no_other_key(&MemoryStore::new());
}

#[test]
fn missing_is_not_found() {
    conformance::missing_is_not_found(&MemoryStore::new());
}

#[test]
fn keys_beside_folders_are_kept_or_refused() {
    conformance::keys_beside_folders_are_kept_or_refused(&MemoryStore::new());
}

#[test]
fn long_keys_are_kept_or_refused() {
    conformance::long_keys_are_kept_or_refused(&MemoryStore::new());
}

#[test]
fn leftovers_are_no_objects() {
    conformance::leftovers_are_no_objects(&MemoryStore::new());
}

#[test]
fn deleting_a_leftover_spares_objects() {
    conformance::deleting_a_leftover_spares_objects(&MemoryStore::new());
}

#[test]
fn running_writers_survive_or_fail_whole() {
    conformance::running_writers_survive_or_fail_whole(&MemoryStore::new());
}

#[test]
fn concurrent_use() {
    conformance::concurrent_use(&MemoryStore::new());
}

#[test]
fn writers_are_independent() {
    conformance::writers_are_independent(&MemoryStore::new());
}
