//! What `check_store` sees of stores that are sound and of stores that are not.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstay::{
    CancelToken, Leftover, MemoryStore, ObjectKey, ObjectMeta, ObjectWriter, Silent, Store, StoreCheck, StoreError,
    StoreErrorKind, check_store, open_store,
};
use backstay_testkit::{Fault, Faulty, When};

use bad::{BadStore, Defect};

#[path = "../../../backstay-testkit/tests/it/bad.rs"]
mod bad;

fn check(store: &dyn Store) -> Result<StoreCheck, StoreError> {
    let begun = Instant::now();
    check_store(store, 0xBAC2, &|| begun.elapsed(), &Silent, &CancelToken::new())
}

/// A store that takes no long objects, so that many can be tried in a short time; it may list more than was asked for.
#[derive(Debug)]
struct Small<S> {
    store: S,
    lists: Lists,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lists {
    AsAsked,
    Everything,
}

fn small<S>(store: S) -> Small<S> {
    Small {
        store,
        lists: Lists::AsAsked,
    }
}

impl<S: Store> Store for Small<S> {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, StoreError> {
        self.store.create(key)
    }
    fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, StoreError> {
        self.store.read(key, range)
    }
    fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError> {
        self.store.head(key)
    }
    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StoreError> {
        self.store.list(if self.lists == Lists::AsAsked { prefix } else { "" })
    }
    fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        self.store.delete(key)
    }
    fn list_leftovers(&self) -> Result<Vec<Leftover>, StoreError> {
        self.store.list_leftovers()
    }
    fn delete_leftover(&self, leftover: &Leftover) -> Result<(), StoreError> {
        self.store.delete_leftover(leftover)
    }
    fn location(&self) -> String {
        self.store.location()
    }
    fn object_bytes_max(&self) -> Option<u64> {
        Some(256 << 10)
    }
}

fn broken(check: &StoreCheck) -> Vec<&str> {
    let broken = check.promises.iter().filter(|seen| !seen.is_kept);
    broken.map(|seen| seen.promise).collect()
}

#[test]
fn sound_stores_keep_everything_and_are_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let local = open_store(folder.path().to_str().unwrap(), backstay::WhenMissing::Fail).unwrap();
    let stores: [Arc<dyn Store>; 3] = [
        Arc::new(MemoryStore::new()),
        local,
        Arc::new(MemoryStore::new().with_object_bytes_max(1 << 20)),
    ];
    for store in stores {
        let mut other = store
            .create(&"kulti_backup_20250116_143022.sql.gz".parse().unwrap())
            .unwrap();
        other.append(b"not ours").unwrap();
        other.publish().unwrap();
        let before = store.list("").unwrap();
        let seen = check(&*store).unwrap();
        assert!(seen.is_sound(), "{seen:#?}");
        assert_eq!(seen.promises.len(), 12);
        assert_eq!(store.list("").unwrap(), before);
        assert!(store.list_leftovers().unwrap().is_empty());
    }
}

/// What a check cannot see, or must not try on a store that others use.
const UNSEEN: [Defect; 4] = [
    Defect::CutsLists,
    Defect::HidesHiddenKeys,
    Defect::LeavesLitter,
    Defect::RobsRunningWriters,
];

#[test]
fn every_broken_promise_is_seen() {
    assert!(check(&small(BadStore::new(Defect::None))).unwrap().is_sound());
    for (defect, promise) in [
        (Defect::OverwritesSilently, "an object is created once and stays"),
        (Defect::TakesTheSameBytesAgain, "an object is created once and stays"),
        (Defect::ChangesAndThenRefuses, "an object is created once and stays"),
        (Defect::RefusesAsOther, "an object is created once and stays"),
        (Defect::LooksOnlyAtCreate, "an object is created once and stays"),
        (Defect::LooksAndThenWrites, "of racing writers one wins"),
        (Defect::BuriesDeletedKeys, "deletion is for good, and of one object"),
        (Defect::ShowsUnpublished, "nothing is seen before it is published"),
        (Defect::PublishesOnDrop, "nothing is seen before it is published"),
        (Defect::ListsLate, "published objects are seen at once"),
        (Defect::CutsLargePieces, "large objects come back whole"),
        (Defect::LosesEmptyObjects, "published objects are seen at once"),
        (Defect::IncludesTheEndOfRanges, "ranges are read exactly"),
        (Defect::IgnoresTheStartOfRanges, "ranges are read exactly"),
        (Defect::GivesShortRanges, "ranges are read exactly"),
        (Defect::TakesReversedRanges, "ranges are read exactly"),
        (Defect::SharesOneCursor, "ranges are read exactly"),
        (Defect::SortsByFolders, "lists are complete and sorted"),
        (Defect::SortsBackwards, "lists are complete and sorted"),
        (Defect::TakesPrefixesForFolders, "lists are complete and sorted"),
        (Defect::ForgetsSizes, "lists are complete and sorted"),
        (Defect::DecodesKeys, "lists are complete and sorted"),
        (
            Defect::RefusesToDeleteTheMissing,
            "deletion is for good, and of one object",
        ),
        (Defect::DeletesByPrefix, "deletion is for good, and of one object"),
        (Defect::DeletesNothing, "deletion is for good, and of one object"),
        (Defect::GivesEmptyForMissing, "what is missing is told as missing"),
        (Defect::CallsMissingOther, "what is missing is told as missing"),
        (Defect::ReplacesFilesByFolders, "each name is kept or refused"),
        (Defect::CutsLongKeys, "each name is kept or refused"),
        (Defect::ListsTemporaries, "nothing is seen before it is published"),
        (Defect::CallsObjectsLeftovers, "leftovers are no objects"),
        (Defect::DeletesObjectsAsLeftovers, "leftovers are no objects"),
        (Defect::LosesUpdates, "writers do not disturb each other"),
        (Defect::SharesOneBuffer, "writers do not disturb each other"),
    ] {
        assert!(!UNSEEN.contains(&defect));
        let store = BadStore::new(defect);
        let seen = check(&small(store.clone())).unwrap();
        assert!(broken(&seen).contains(&promise), "{defect:?}: {seen:#?}");
        let details = seen
            .promises
            .iter()
            .filter(|seen| !seen.is_kept)
            .map(|seen| &seen.detail);
        details.for_each(|detail| assert!(!detail.is_empty(), "{defect:?}"));
        match defect {
            Defect::DeletesNothing => assert!(!seen.left_behind.is_empty()),
            Defect::GivesEmptyForMissing => {}
            _ => assert!(store.list("").unwrap().is_empty(), "{defect:?}: {:?}", seen.left_behind),
        }
    }
}

#[test]
fn what_is_not_seen_is_known() {
    for defect in UNSEEN {
        let seen = check(&small(BadStore::new(defect))).unwrap();
        assert!(seen.is_sound(), "{defect:?} is seen by now: {seen:#?}");
    }
}

#[test]
fn a_store_that_fails_at_any_call_is_left_clean() {
    let sound = Faulty::new(small(MemoryStore::new()));
    check(&sound).unwrap();
    for n in (2..sound.calls()).step_by(7) {
        let store = MemoryStore::new();
        let faulty =
            Faulty::new(small(store.clone())).with_fault(When::nth_call(n), Fault::Error(StoreErrorKind::Transient));
        let seen = check(&faulty).unwrap();
        let left: Vec<ObjectKey> = store.list("").unwrap().into_iter().map(|object| object.key).collect();
        assert_eq!(left, seen.left_behind, "{n}");
        assert!(left.len() <= 1, "{n}: {left:?}");
    }
}

#[test]
fn a_store_that_cannot_be_listed_is_not_tried() {
    let store = MemoryStore::new();
    let faulty = Faulty::new(store).with_fault(When::nth_call(1), Fault::Error(StoreErrorKind::Denied));
    assert_eq!(check(&faulty).unwrap_err().kind(), StoreErrorKind::Denied);
    assert_eq!(faulty.calls(), 1);
}

#[test]
fn a_cancelled_check_tries_nothing_more() {
    let cancel = CancelToken::new();
    cancel.cancel();
    let store = MemoryStore::new();
    let seen = check_store(&store, 1, &|| Duration::ZERO, &Silent, &cancel).unwrap();
    assert!(seen.promises.is_empty() && store.list("").unwrap().is_empty());
}

#[test]
fn cleaning_up_believes_no_list() {
    let store = Small {
        store: MemoryStore::new(),
        lists: Lists::Everything,
    };
    let key: ObjectKey = "kulti_backup_20250116_143022.sql.gz".parse().unwrap();
    store.create(&key).unwrap().publish().unwrap();
    assert!(!check(&store).unwrap().is_sound());
    let left: Vec<ObjectKey> = store.list("").unwrap().into_iter().map(|object| object.key).collect();
    assert_eq!(left, [key]);
}
