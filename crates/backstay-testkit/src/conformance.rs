//! What every [`Store`] promises, as functions that panic where a store breaks its promise.
//!
//! Each function checks one promise of the documentation of [`Store`], whose number is in its own, and wants an empty
//! store to itself. A backend calls each by name in its tests and passes its list of calls to
//! [`assert_every_promise_is_called`]; a wrapper may go through [`PROMISES`].

mod create_only;
mod deletion;
mod errors;
mod half_written;
mod leftovers;
mod lists;
mod network;
mod reads;
mod steps;
mod threads;

use backstay_core::store::Store;

pub use create_only::{
    a_deleted_key_is_free_again, create_only_refuses_an_existing_key, racing_writers_have_one_winner,
    the_first_of_two_open_writers_wins,
};
pub use deletion::{delete_is_idempotent, delete_touches_no_other_key};
pub use errors::{keys_beside_folders_are_kept_or_refused, long_keys_are_kept_or_refused, missing_is_not_found};
pub use half_written::{
    dropped_writer_publishes_nothing, empty_object, large_object_round_trip, published_is_seen_at_once,
    unpublished_is_invisible,
};
pub use leftovers::{
    deleting_a_leftover_spares_objects, leftovers_are_no_objects, running_writers_survive_or_fail_whole,
};
pub use lists::{
    ODD_KEYS, keys_with_odd_characters, list_is_sorted_and_complete, list_takes_any_prefix, sizes_agree_everywhere,
};
pub use network::assert_kept_over_bad_networks;
pub use reads::{range_past_end_is_refused, range_reads, readers_are_independent};
pub use threads::{concurrent_use, writers_are_independent};

/// One promise: the name of its function, and the function.
pub type Promise = (&'static str, fn(&dyn Store));

macro_rules! promises {
    ($($name:ident,)*) => { &[$((stringify!($name), $name as fn(&dyn Store)),)*] };
}

/// Every function of the suite.
pub const PROMISES: &[Promise] = promises![
    create_only_refuses_an_existing_key,
    the_first_of_two_open_writers_wins,
    racing_writers_have_one_winner,
    a_deleted_key_is_free_again,
    unpublished_is_invisible,
    dropped_writer_publishes_nothing,
    published_is_seen_at_once,
    large_object_round_trip,
    empty_object,
    range_reads,
    range_past_end_is_refused,
    readers_are_independent,
    list_is_sorted_and_complete,
    list_takes_any_prefix,
    sizes_agree_everywhere,
    keys_with_odd_characters,
    delete_is_idempotent,
    delete_touches_no_other_key,
    missing_is_not_found,
    keys_beside_folders_are_kept_or_refused,
    long_keys_are_kept_or_refused,
    leftovers_are_no_objects,
    deleting_a_leftover_spares_objects,
    running_writers_survive_or_fail_whole,
    concurrent_use,
    writers_are_independent,
];

/// Checks that a store keeps all odd keys; for those that have no reason to refuse one.
///
/// # Panics
/// Where one is refused.
pub fn assert_no_odd_key_is_refused(store: &dyn Store) {
    for name in ODD_KEYS {
        assert!(steps::is_kept(store, name, b""), "{name:?} is refused");
    }
}

/// Checks that the source of a backend's test, given as text (`include_str!`), has a test for each promise that calls
/// the promise's function.
///
/// # Panics
/// Where one is missing, with its name.
pub fn assert_every_promise_is_called(source: &str) {
    for (name, _) in PROMISES {
        let test = format!("#[test]\nfn {name}() {{");
        let call = format!("conformance::{name}(");
        assert!(
            source.contains(&test) && source.contains(&call),
            "the promise {name} is not tested"
        );
    }
}
