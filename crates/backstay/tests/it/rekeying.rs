//! Sealing backups anew: who opens them afterwards, and what every crash leaves.

use std::sync::Arc;

use backstay::encryption::{AgeSealer, Identities, Recipient, SecretKey};
use backstay::{BackupId, Compression, MemoryStore, Repository, RepositoryError, Seals, Store, StoreErrorKind};
use backstay_testkit::fixtures::SampleBackup;
use backstay_testkit::{Fault, Faulty, When};

const ID: &str = "kulti_backup_20250116_143022";

fn id() -> BackupId {
    ID.parse().unwrap()
}

fn seals(recipients: impl IntoIterator<Item = Recipient>) -> Seals {
    let sealer = Arc::new(AgeSealer::to_keys(recipients).unwrap());
    Seals {
        packs: sealer.clone(),
        index: sealer,
    }
}

fn with(store: &Arc<dyn Store>, key: &SecretKey) -> Repository {
    let mut identities = Identities::new();
    identities.add_key(key);
    Repository::new(Arc::clone(store)).with_unsealer(Arc::new(identities))
}

fn sample() -> SampleBackup {
    SampleBackup::kulti(ID, Compression::default())
}

/// A store with the sample sealed to that key.
fn sealed(key: &SecretKey) -> MemoryStore {
    let store = MemoryStore::new();
    let repository = Repository::new(Arc::new(store.clone())).with_seals(seals([key.recipient()]));
    sample().publish_in(&repository);
    store
}

/// Whether the key opens the backup and all its members.
fn opens(store: &Arc<dyn Store>, key: &SecretKey) -> bool {
    let Ok(reader) = with(store, key).open(&id()) else {
        return false;
    };
    reader
        .manifest()
        .members
        .iter()
        .for_each(|member| drop(reader.text(member).unwrap()));
    with(store, key).read_manifest(&id()).unwrap() == *reader.manifest()
}

fn names(store: &dyn Store) -> Vec<String> {
    store
        .list("")
        .unwrap()
        .iter()
        .map(|object| object.key.to_string())
        .collect()
}

#[test]
fn whoever_is_named_opens_it_and_whoever_is_not_does_not() {
    let (old, new, third) = (SecretKey::generate(), SecretKey::generate(), SecretKey::generate());
    let store: Arc<dyn Store> = Arc::new(sealed(&old));
    let before = with(&store, &old).open(&id()).unwrap().manifest().members.clone();
    let done = with(&store, &old)
        .rekey(&id(), &seals([new.recipient(), third.recipient()]))
        .unwrap();
    assert_eq!(
        done.manifest.recipients,
        [new.recipient().to_string(), third.recipient().to_string()]
    );
    assert_eq!(done.removed.len(), 3, "{:?}", done.removed);
    assert!(opens(&store, &new) && opens(&store, &third) && !opens(&store, &old));
    assert_eq!(with(&store, &new).open(&id()).unwrap().manifest().members, before);
    let expected = [
        "key2.index.json.gz.age",
        "key2.sql.gz.age",
        "key2.sql.gz.age.sha256",
        "manifest.json",
    ];
    assert_eq!(names(&*store), expected.map(|name| format!("{ID}.{name}")));

    // And again, to the first one.
    with(&store, &third).rekey(&id(), &seals([old.recipient()])).unwrap();
    assert!(opens(&store, &old) && !opens(&store, &new));
    assert!(names(&*store)[0].contains(".key3."), "{:?}", names(&*store));
    let listed = Repository::new(Arc::clone(&store)).list().unwrap();
    assert_eq!((listed.backups.len(), listed.adoptable.len()), (1, 0));
    Repository::new(Arc::clone(&store))
        .remove(&id(), jiff::Timestamp::UNIX_EPOCH)
        .unwrap();
    assert!(names(&*store).is_empty(), "{:?}", names(&*store));
}

#[test]
fn what_cannot_be_sealed_anew_stays_as_it_is() {
    let (old, new) = (SecretKey::generate(), SecretKey::generate());
    let store: Arc<dyn Store> = Arc::new(sealed(&old));
    let before = names(&*store);
    assert!(with(&store, &new).rekey(&id(), &seals([new.recipient()])).is_err());
    assert_eq!(names(&*store), before);
    assert!(opens(&store, &old));

    let clear: Arc<dyn Store> = Arc::new(MemoryStore::new());
    sample().publish(Arc::clone(&clear));
    let refused = with(&clear, &old).rekey(&id(), &seals([new.recipient()]));
    assert!(matches!(refused, Err(RepositoryError::NotSealed { .. })), "{refused:?}");
}

#[test]
fn at_every_failure_it_is_whole_and_the_rest_can_be_ended() {
    let (old, new) = (SecretKey::generate(), SecretKey::generate());
    let to = seals([new.recipient()]);
    let counting = Arc::new(Faulty::new(sealed(&old)));
    let watched: Arc<dyn Store> = counting.clone();
    with(&watched, &old).rekey(&id(), &to).unwrap();
    let calls = counting.calls();
    assert!(calls > 30, "{calls}");

    let mut forward = 0u64;
    for call in 1..=calls {
        let once = When::nth_call(call);
        let error = Fault::Error(StoreErrorKind::Other);
        // The last is what a killed process looks like to the store.
        for (when, fault) in [(once, error), (once, Fault::LoseAnswer), (once.and_after(), error)] {
            let store = sealed(&old);
            let faulty: Arc<dyn Store> = Arc::new(Faulty::new(store.clone()).with_fault(when, fault));
            let outcome = with(&faulty, &old).rekey(&id(), &to);
            let what = format!("{fault:?} at {when:?}: {outcome:?}");
            let store: Arc<dyn Store> = Arc::new(store);
            // A backup that has lost its manifest for the moment gets it back.
            let repository = Repository::new(Arc::clone(&store));
            let litter = repository.litter(i64::MAX, 0).unwrap();
            repository.remove_litter(&litter).unwrap();
            let is_new = opens(&store, &new);
            assert!(is_new != opens(&store, &old), "{what}");
            assert!(is_new || outcome.is_err(), "{what}");
            forward += u64::from(is_new);
            let left = names(&*store);
            assert_eq!(left.len(), 4, "{what}: {left:?}");
            // And nothing stands in the way of the next try.
            let key = if is_new { &new } else { &old };
            with(&store, key).rekey(&id(), &to).unwrap();
            assert!(opens(&store, &new), "{what}");
        }
    }
    assert!(forward > 0 && forward < 3 * calls, "{forward}");
}
