//! The store keeps its promises on a server that answers as Vercel does.

use backstay_store_vercel_blob::VercelBlobStore;
use backstay_testkit::{VercelTraits, conformance};

use crate::Vercel;

/// A private store, whose cache would show what was deleted or replaced.
fn store() -> VercelBlobStore {
    Vercel::start(VercelTraits::default()).store("p/")
}

#[test]
fn no_promise_is_left_out() {
    conformance::assert_every_promise_is_called(include_str!("promises.rs"));
}

#[test]
fn create_only_refuses_an_existing_key() {
    conformance::create_only_refuses_an_existing_key(&store());
}

#[test]
fn the_first_of_two_open_writers_wins() {
    conformance::the_first_of_two_open_writers_wins(&store());
}

#[test]
fn racing_writers_have_one_winner() {
    conformance::racing_writers_have_one_winner(&store());
}

#[test]
fn a_deleted_key_is_free_again() {
    conformance::a_deleted_key_is_free_again(&store());
}

#[test]
fn unpublished_is_invisible() {
    conformance::unpublished_is_invisible(&store());
}

#[test]
fn dropped_writer_publishes_nothing() {
    conformance::dropped_writer_publishes_nothing(&store());
}

#[test]
fn published_is_seen_at_once() {
    conformance::published_is_seen_at_once(&store());
}

#[test]
fn large_object_round_trip() {
    conformance::large_object_round_trip(&store());
}

#[test]
fn empty_object() {
    conformance::empty_object(&store());
}

#[test]
fn range_reads() {
    conformance::range_reads(&store());
}

#[test]
fn range_past_end_is_refused() {
    conformance::range_past_end_is_refused(&store());
}

#[test]
fn readers_are_independent() {
    conformance::readers_are_independent(&store());
}

#[test]
fn list_is_sorted_and_complete() {
    conformance::list_is_sorted_and_complete(&store());
}

#[test]
fn list_takes_any_prefix() {
    conformance::list_takes_any_prefix(&store());
}

#[test]
fn sizes_agree_everywhere() {
    conformance::sizes_agree_everywhere(&store());
}

#[test]
fn keys_with_odd_characters() {
    conformance::keys_with_odd_characters(&store());
}

#[test]
fn delete_is_idempotent() {
    conformance::delete_is_idempotent(&store());
}

#[test]
fn delete_touches_no_other_key() {
    conformance::delete_touches_no_other_key(&store());
}

#[test]
fn missing_is_not_found() {
    conformance::missing_is_not_found(&store());
}

#[test]
fn keys_beside_folders_are_kept_or_refused() {
    conformance::keys_beside_folders_are_kept_or_refused(&store());
}

#[test]
fn long_keys_are_kept_or_refused() {
    conformance::long_keys_are_kept_or_refused(&store());
}

#[test]
fn leftovers_are_no_objects() {
    conformance::leftovers_are_no_objects(&store());
}

#[test]
fn deleting_a_leftover_spares_objects() {
    conformance::deleting_a_leftover_spares_objects(&store());
}

#[test]
fn running_writers_survive_or_fail_whole() {
    conformance::running_writers_survive_or_fail_whole(&store());
}

#[test]
fn concurrent_use() {
    conformance::concurrent_use(&store());
}

#[test]
fn writers_are_independent() {
    conformance::writers_are_independent(&store());
}
