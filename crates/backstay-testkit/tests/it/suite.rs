//! The suite passes on good stores and fails on bad ones.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use backstay_core::store::{MemoryStore, Store};
use backstay_testkit::conformance::PROMISES;
use backstay_testkit::{Faulty, Recording};

use crate::bad::{BadStore, Defect};

/// The promises that a store breaks.
fn broken(new_store: impl Fn() -> Box<dyn Store>) -> BTreeSet<&'static str> {
    let breaks = |check: fn(&dyn Store)| {
        let store = new_store();
        catch_unwind(AssertUnwindSafe(|| check(&*store))).is_err()
    };
    let broken = PROMISES.iter().filter(|(_, check)| breaks(*check));
    broken.map(|(name, _)| *name).collect()
}

#[test]
fn wrappers_keep_every_promise() {
    assert_eq!(broken(|| Box::new(Faulty::new(MemoryStore::new()))), BTreeSet::new());
    assert_eq!(broken(|| Box::new(Recording::new(MemoryStore::new()))), BTreeSet::new());
    let nested = || Box::new(Recording::new(Faulty::new(Recording::new(MemoryStore::new())))) as Box<dyn Store>;
    assert_eq!(broken(nested), BTreeSet::new());
}

const CAUGHT: &[(Defect, &str)] = &[
    (Defect::OverwritesSilently, "create_only_refuses_an_existing_key"),
    (Defect::TakesTheSameBytesAgain, "create_only_refuses_an_existing_key"),
    (Defect::ChangesAndThenRefuses, "create_only_refuses_an_existing_key"),
    (Defect::RefusesAsOther, "create_only_refuses_an_existing_key"),
    (Defect::LooksOnlyAtCreate, "the_first_of_two_open_writers_wins"),
    (Defect::LooksAndThenWrites, "racing_writers_have_one_winner"),
    (Defect::BuriesDeletedKeys, "a_deleted_key_is_free_again"),
    (Defect::ShowsUnpublished, "unpublished_is_invisible"),
    (Defect::PublishesOnDrop, "dropped_writer_publishes_nothing"),
    (Defect::ListsLate, "published_is_seen_at_once"),
    (Defect::CutsLargePieces, "large_object_round_trip"),
    (Defect::LosesEmptyObjects, "empty_object"),
    (Defect::IncludesTheEndOfRanges, "range_reads"),
    (Defect::IgnoresTheStartOfRanges, "range_reads"),
    (Defect::GivesShortRanges, "range_past_end_is_refused"),
    (Defect::TakesReversedRanges, "range_past_end_is_refused"),
    (Defect::SharesOneCursor, "readers_are_independent"),
    (Defect::CutsLists, "list_is_sorted_and_complete"),
    (Defect::SortsByFolders, "list_is_sorted_and_complete"),
    (Defect::SortsBackwards, "list_is_sorted_and_complete"),
    (Defect::TakesPrefixesForFolders, "list_takes_any_prefix"),
    (Defect::ForgetsSizes, "sizes_agree_everywhere"),
    (Defect::DecodesKeys, "keys_with_odd_characters"),
    (Defect::HidesHiddenKeys, "keys_with_odd_characters"),
    (Defect::RefusesToDeleteTheMissing, "delete_is_idempotent"),
    (Defect::DeletesNothing, "delete_is_idempotent"),
    (Defect::DeletesByPrefix, "delete_touches_no_other_key"),
    (Defect::GivesEmptyForMissing, "missing_is_not_found"),
    (Defect::CallsMissingOther, "missing_is_not_found"),
    (
        Defect::ReplacesFilesByFolders,
        "keys_beside_folders_are_kept_or_refused",
    ),
    (Defect::CutsLongKeys, "long_keys_are_kept_or_refused"),
    (Defect::ListsTemporaries, "leftovers_are_no_objects"),
    (Defect::LeavesLitter, "leftovers_are_no_objects"),
    (Defect::CallsObjectsLeftovers, "leftovers_are_no_objects"),
    (Defect::DeletesObjectsAsLeftovers, "deleting_a_leftover_spares_objects"),
    (Defect::RobsRunningWriters, "running_writers_survive_or_fail_whole"),
    (Defect::LosesUpdates, "concurrent_use"),
    (Defect::SharesOneBuffer, "writers_are_independent"),
];

#[test]
fn the_bad_store_without_a_defect_is_good() {
    assert_eq!(broken(|| Box::new(BadStore::new(Defect::None))), BTreeSet::new());
}

#[test]
fn every_defect_is_caught_by_its_promise() {
    for &(defect, promise) in CAUGHT {
        let broken = broken(|| Box::new(BadStore::new(defect)));
        assert!(
            broken.contains(promise),
            "{defect:?} is not caught by {promise}, only by {broken:?}"
        );
    }
}

#[test]
fn every_promise_catches_a_defect() {
    let catching: BTreeSet<_> = CAUGHT.iter().map(|(_, promise)| *promise).collect();
    let all: BTreeSet<_> = PROMISES.iter().map(|(name, _)| *name).collect();
    assert_eq!(catching, all);
    assert_eq!(all.len(), PROMISES.len(), "a promise is listed twice");
}

#[test]
fn every_function_of_the_suite_is_listed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/conformance");
    let mut written = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in source.lines() {
            if let Some((name, _)) = line.strip_prefix("pub fn ").and_then(|rest| rest.split_once('(')) {
                written.insert(name.to_owned());
            }
        }
    }
    // It tries all of them, and is no promise itself.
    assert!(written.remove("assert_kept_over_bad_networks"));
    let listed: BTreeSet<_> = PROMISES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(listed, written);
}
