//! The store in a folder keeps its promises, synced as it is by default.

use backstay_testkit::conformance;

use crate::new_store;

#[test]
fn no_promise_is_left_out() {
    conformance::assert_every_promise_is_called(include_str!("promises.rs"));
}

#[test]
fn create_only_refuses_an_existing_key() {
    let (_folder, store) = new_store();
    conformance::create_only_refuses_an_existing_key(&store);
}

#[test]
fn the_first_of_two_open_writers_wins() {
    let (_folder, store) = new_store();
    conformance::the_first_of_two_open_writers_wins(&store);
}

#[test]
fn racing_writers_have_one_winner() {
    let (_folder, store) = new_store();
    conformance::racing_writers_have_one_winner(&store);
}

#[test]
fn a_deleted_key_is_free_again() {
    let (_folder, store) = new_store();
    conformance::a_deleted_key_is_free_again(&store);
}

#[test]
fn unpublished_is_invisible() {
    let (_folder, store) = new_store();
    conformance::unpublished_is_invisible(&store);
}

#[test]
fn dropped_writer_publishes_nothing() {
    let (_folder, store) = new_store();
    conformance::dropped_writer_publishes_nothing(&store);
}

#[test]
fn published_is_seen_at_once() {
    let (_folder, store) = new_store();
    conformance::published_is_seen_at_once(&store);
}

#[test]
fn large_object_round_trip() {
    let (_folder, store) = new_store();
    conformance::large_object_round_trip(&store);
}

#[test]
fn empty_object() {
    let (_folder, store) = new_store();
    conformance::empty_object(&store);
}

#[test]
fn range_reads() {
    let (_folder, store) = new_store();
    conformance::range_reads(&store);
}

#[test]
fn range_past_end_is_refused() {
    let (_folder, store) = new_store();
    conformance::range_past_end_is_refused(&store);
}

#[test]
fn readers_are_independent() {
    let (_folder, store) = new_store();
    conformance::readers_are_independent(&store);
}

#[test]
fn list_is_sorted_and_complete() {
    let (_folder, store) = new_store();
    conformance::list_is_sorted_and_complete(&store);
}

#[test]
fn list_takes_any_prefix() {
    let (_folder, store) = new_store();
    conformance::list_takes_any_prefix(&store);
}

#[test]
fn sizes_agree_everywhere() {
    let (_folder, store) = new_store();
    conformance::sizes_agree_everywhere(&store);
}

#[test]
fn keys_with_odd_characters() {
    let (_folder, store) = new_store();
    conformance::keys_with_odd_characters(&store);
    conformance::assert_no_odd_key_is_refused(&store);
}

#[test]
fn delete_is_idempotent() {
    let (_folder, store) = new_store();
    conformance::delete_is_idempotent(&store);
}

#[test]
fn delete_touches_no_other_key() {
    let (_folder, store) = new_store();
    conformance::delete_touches_no_other_key(&store);
}

#[test]
fn missing_is_not_found() {
    let (_folder, store) = new_store();
    conformance::missing_is_not_found(&store);
}

#[test]
fn keys_beside_folders_are_kept_or_refused() {
    let (_folder, store) = new_store();
    conformance::keys_beside_folders_are_kept_or_refused(&store);
}

#[test]
fn long_keys_are_kept_or_refused() {
    let (_folder, store) = new_store();
    conformance::long_keys_are_kept_or_refused(&store);
}

#[test]
fn leftovers_are_no_objects() {
    let (_folder, store) = new_store();
    conformance::leftovers_are_no_objects(&store);
}

#[test]
fn deleting_a_leftover_spares_objects() {
    let (_folder, store) = new_store();
    conformance::deleting_a_leftover_spares_objects(&store);
}

#[test]
fn running_writers_survive_or_fail_whole() {
    let (_folder, store) = new_store();
    conformance::running_writers_survive_or_fail_whole(&store);
}

#[test]
fn concurrent_use() {
    let (_folder, store) = new_store();
    conformance::concurrent_use(&store);
}

#[test]
fn writers_are_independent() {
    let (_folder, store) = new_store();
    conformance::writers_are_independent(&store);
}
