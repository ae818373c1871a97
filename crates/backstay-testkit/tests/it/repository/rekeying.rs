use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backstay_core::manifest::Sidecar;
use backstay_core::repository::{LitterItem, RepositoryError};
use backstay_core::store::{ErrorKind, MemoryStore, Store};
use backstay_core::{Codec, Repository};
use backstay_testkit::{Damage, Fault, Faulty, Interleaved, ToyKey, When};

use super::{FIRST, SECOND, id, key, names, put, sample};

const SEVEN_DAYS: i64 = 7 * 24 * 3600;

fn intent(suffix: &str) -> String {
    format!("intents/{FIRST}.{suffix}.json")
}

fn has(store: &MemoryStore, name: &str) -> bool {
    store.head(&key(name)).is_ok()
}

/// A store with the backup sealed to the key `old`, and no other.
fn sealed() -> MemoryStore {
    let store = MemoryStore::new();
    let repository = Repository::new(Arc::new(store.clone())).with_seals(ToyKey::new("old").seals());
    sample(FIRST, Codec::Gzip).publish_in(&repository);
    store
}

fn rekey(store: Arc<dyn Store>) -> Result<(), RepositoryError> {
    let repository = Repository::new(store).with_unsealer(Arc::new(ToyKey::new("old")));
    repository.rekey(&id(FIRST), &ToyKey::new("new").seals()).map(drop)
}

/// What a process leaves that seals the backup anew and is killed as soon as that is so.
fn killed_when(is: impl Fn(&MemoryStore) -> bool) -> MemoryStore {
    for call in 1.. {
        let store = sealed();
        let killed = When::nth_call(call).and_after();
        let ended = rekey(Arc::new(
            Faulty::new(store.clone()).with_fault(killed, Fault::Error(ErrorKind::Denied)),
        ));
        if is(&store) {
            return store;
        }
        assert!(ended.is_err(), "it was never so");
    }
    unreachable!("calls have an end");
}

/// All new objects are written, and the second intent is not.
fn begun() -> MemoryStore {
    killed_when(|store| has(store, &format!("{FIRST}.key2.index.json.gz.age")))
}

/// The second intent is written, and the old manifest stands.
fn intended() -> MemoryStore {
    killed_when(|store| has(store, &intent("rekey")))
}

/// The old manifest is deleted, and the new one is not there.
fn between() -> MemoryStore {
    killed_when(|store| !has(store, &format!("{FIRST}.manifest.json")))
}

fn half_rekeyed() -> LitterItem {
    LitterItem::HalfRekeyed {
        id: id(FIRST),
        end_begun: false,
    }
}

fn remove_litter(store: &MemoryStore) -> Result<(), RepositoryError> {
    let repository = Repository::new(Arc::new(store.clone()));
    let litter = repository.litter(SEVEN_DAYS, 0).unwrap();
    repository.remove_litter(&litter)
}

fn opens(store: &MemoryStore, key: &'static str) -> bool {
    let repository = Repository::new(Arc::new(store.clone())).with_unsealer(Arc::new(ToyKey::new(key)));
    repository.open(&id(FIRST)).is_ok()
}

#[test]
fn what_was_begun_is_litter_after_seven_days_and_a_lost_manifest_at_once() {
    for (store, age, key) in [
        (begun(), SEVEN_DAYS, "old"),
        (intended(), SEVEN_DAYS, "new"),
        (between(), 3600, "new"),
    ] {
        let repository = Repository::new(Arc::new(store.clone()));
        assert_eq!(repository.litter(age - 1, 3600).unwrap().items, []);
        let litter = repository.litter(age, 3600).unwrap();
        assert_eq!(litter.items, [half_rekeyed()]);
        assert_eq!(litter.adoptable, []);
        repository.remove_litter(&litter).unwrap();
        assert!(opens(&store, key), "{:?}", names(&store));
        assert_eq!(names(&store).len(), 4);
    }
}

#[test]
fn the_next_call_ends_what_another_cannot_be_about_to_do() {
    let store = between();
    // With the old key nothing is left to seal anew.
    rekey(Arc::new(store.clone())).unwrap_err();
    assert!(opens(&store, "new"));
    assert_eq!(names(&store).len(), 4);
    for store in [begun(), intended()] {
        let before = names(&store);
        let refused = rekey(Arc::new(store.clone())).unwrap_err();
        assert!(
            matches!(&refused, RepositoryError::Exists { key, .. } if key.as_str().starts_with("intents/")),
            "{refused:?}"
        );
        assert_eq!(names(&store), before);
        assert!(opens(&store, "old"));
    }
}

#[test]
fn who_knows_that_it_was_killed_need_not_wait() {
    for (store, key) in [(begun(), "old"), (intended(), "new"), (between(), "new")] {
        let repository = Repository::new(Arc::new(store.clone()));
        for is_ending in [false, true] {
            if is_ending {
                put(&store, &intent("rekey-removal"), b"{}\n");
            }
            assert!(repository.take_over_rekeying(&id(FIRST)).unwrap());
            assert!(opens(&store, key), "{:?}", names(&store));
            assert_eq!(names(&store).len(), 4);
        }
        assert!(!repository.take_over_rekeying(&id(FIRST)).unwrap());
    }
}

#[test]
fn who_was_taken_for_killed_loses_nothing() {
    let total = (1..).find(|&call| {
        let store = sealed();
        let others = store.clone();
        let others = move || drop(Repository::new(Arc::new(others.clone())).take_over_rekeying(&id(FIRST)));
        let called = Arc::new(AtomicBool::new(false));
        let calls = Arc::clone(&called);
        let take_over = move || {
            calls.store(true, Ordering::Relaxed);
            others();
        };
        let told = rekey(Arc::new(Interleaved::new(store.clone(), call, take_over)));
        let is_new = opens(&store, "new");
        assert!(is_new || opens(&store, "old"), "call {call}: {:?}", names(&store));
        assert!(is_new || told.is_err(), "call {call}: {told:?}");
        !called.load(Ordering::Relaxed)
    });
    assert!(total.unwrap() > 10);
}

#[test]
fn a_tombstone_takes_along_what_was_begun() {
    for (store, has_manifest) in [(begun(), true), (intended(), true), (between(), false)] {
        let manifest = key(&format!("{FIRST}.manifest.json"));
        assert_eq!(has(&store, manifest.as_str()), has_manifest);
        store.delete(&manifest).unwrap();
        put(&store, &format!("tombstones/{FIRST}.json"), b"");
        let litter = Repository::new(Arc::new(store.clone())).litter(SEVEN_DAYS, 0).unwrap();
        assert_eq!(litter.items, [LitterItem::HalfDeleted(id(FIRST))]);
        remove_litter(&store).unwrap();
        assert_eq!(names(&store), [""; 0]);
    }
}

#[test]
fn a_backup_that_is_being_removed_is_not_sealed_anew() {
    for store in [sealed(), between()] {
        put(&store, &format!("tombstones/{FIRST}.json"), b"");
        let before = names(&store);
        let refused = rekey(Arc::new(store.clone())).unwrap_err();
        assert!(
            matches!(&refused, RepositoryError::Exists { key, .. } if key.as_str().starts_with("tombstones/")),
            "{refused:?}"
        );
        assert_eq!(names(&store), before);
    }
}

#[test]
fn nothing_older_goes_where_a_removal_began_before_the_new_manifest_was_there() {
    let manifest = key(&format!("{FIRST}.manifest.json"));
    for call in 1.. {
        let store = sealed();
        let others = store.clone();
        let has_begun = Arc::new(AtomicBool::new(false));
        let begins = Arc::clone(&has_begun);
        let removal = move || {
            let sidecar = Repository::new(Arc::new(others.clone())).read_sidecar(&id(FIRST));
            let is_new = |sidecar: Sidecar| sidecar.packs().iter().all(|pack| pack.name.contains(".key2."));
            if sidecar.is_ok_and(is_new) {
                put(&others, &format!("tombstones/{FIRST}.json"), b"");
                begins.store(true, Ordering::Relaxed);
            }
        };
        let told = rekey(Arc::new(Interleaved::new(store.clone(), call, removal)));
        if has_begun.load(Ordering::Relaxed) {
            let told = told.unwrap_err();
            assert!(
                matches!(&told, RepositoryError::Exists { key, .. } if key.as_str().starts_with("tombstones/")),
                "{told:?}"
            );
            assert!(store.head(&manifest).is_ok());
            assert!(has(&store, &format!("{FIRST}.sql.gz.age")));
            return;
        }
        told.unwrap();
    }
}

#[test]
fn a_second_intent_without_its_packs_is_taken_back() {
    let pack = key(&format!("{FIRST}.key2.sql.gz.age"));
    let harms: [fn(&MemoryStore, &backstay_core::ObjectKey); 3] = [
        |store, pack| store.delete(pack).unwrap(),
        |store, pack| Damage::Truncate { length: 100 }.apply_to_object(store, pack),
        |store, pack| Damage::FlipBit { byte: 50, bit: 1 }.apply_to_object(store, pack),
    ];
    for harm in harms {
        let store = intended();
        harm(&store, &pack);
        remove_litter(&store).unwrap();
        assert_eq!(names(&store), names(&sealed()));
        assert!(opens(&store, "old"));

        // Where the old manifest is gone, nothing that could help goes.
        let store = between();
        harm(&store, &pack);
        let before = names(&store);
        remove_litter(&store).unwrap_err();
        assert_eq!(names(&store), before);
    }
}

#[test]
fn nothing_goes_where_the_old_packs_are_not_whole_either() {
    let store = begun();
    store.delete(&key(&format!("{FIRST}.sql.gz.age"))).unwrap();
    let before = names(&store);
    assert!(remove_litter(&store).unwrap_err().is_not_found());
    assert_eq!(names(&store), before);
}

#[test]
fn a_second_intent_alone_says_nothing() {
    let store = intended();
    store.delete(&key(&intent("rekey-begun"))).unwrap();
    remove_litter(&store).unwrap();
    assert_eq!(names(&store), names(&sealed()));
    assert!(opens(&store, "old"));
}

#[test]
fn what_somebody_ends_is_left_to_them_for_seven_days() {
    let store = between();
    let repository = Repository::new(Arc::new(store.clone()));
    let litter = repository.litter(SEVEN_DAYS, 0).unwrap();
    put(&store, &intent("rekey-removal"), b"{}\n");
    let before = names(&store);
    repository.remove_litter(&litter).unwrap();
    let refused = rekey(Arc::new(store.clone())).unwrap_err();
    assert!(
        matches!(&refused, RepositoryError::Exists { key, .. } if key.as_str() == intent("rekey-removal")),
        "{refused:?}"
    );
    assert_eq!(names(&store), before);
    remove_litter(&store).unwrap();
    assert!(opens(&store, "new"));
    assert_eq!(names(&store).len(), 4);
}

#[test]
fn objects_of_two_sealings_are_litter_without_an_intent_too() {
    let store = begun();
    store.delete(&key(&intent("rekey-begun"))).unwrap();
    remove_litter(&store).unwrap();
    assert_eq!(names(&store), names(&sealed()));
}

#[test]
fn the_rest_of_the_litter_goes_where_some_of_it_cannot() {
    let store = between();
    store.delete(&key(&format!("{FIRST}.key2.sql.gz.age"))).unwrap();
    sample(SECOND, Codec::Gzip).publish(Arc::new(store.clone()));
    store.delete(&key(&format!("{SECOND}.manifest.json"))).unwrap();
    put(&store, &format!("tombstones/{SECOND}.json"), b"");
    assert!(remove_litter(&store).unwrap_err().is_not_found());
    assert!(
        names(&store).iter().all(|name| !name.contains(SECOND)),
        "{:?}",
        names(&store)
    );

    // Of several, all are told.
    let other = store.list("").unwrap().into_iter().map(|object| object.key);
    for from in other {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut store.read(&from, None).unwrap(), &mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes).replace(FIRST, SECOND);
        put(&store, &from.as_str().replace(FIRST, SECOND), text.as_bytes());
    }
    let error = remove_litter(&store).unwrap_err();
    assert!(
        matches!(&error, RepositoryError::Several { errors } if errors.len() == 2),
        "{error:?}"
    );
    for id in [FIRST, SECOND] {
        let expected = format!("cannot look at {id}.key2.sql.gz.age: it does not exist");
        assert!(error.to_string().contains(&expected), "{error}");
    }
}
