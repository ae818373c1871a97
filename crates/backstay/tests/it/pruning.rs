//! Pruning that fails, or is killed, at every call to the store.

use std::sync::Arc;

use backstay::{
    BackupReader, Compression, MemoryStore, Repository, RetentionPolicy, Store, StoreErrorKind, Witness, prune,
};
use backstay_testkit::fixtures::SampleBackup;
use backstay_testkit::{Fault, Faulty, ToyKey, When};

const IDS: [&str; 4] = [
    "kulti_backup_20250101_020000",
    "kulti_backup_20250102_020000",
    "kulti_backup_20250103_020000",
    "other_backup_20240101_020000",
];

fn store() -> MemoryStore {
    let store = MemoryStore::new();
    for id in IDS {
        let compression: Compression = "gzip".parse().unwrap();
        SampleBackup::kulti(id, compression).publish(Arc::new(store.clone()));
    }
    store
}

fn witness() -> Witness {
    Witness {
        who: "ann".to_owned(),
        from: "db1".to_owned(),
        clock: || "2025-01-03T12:00:00Z".parse().unwrap(),
    }
}

fn last_one() -> RetentionPolicy {
    let mut policy = RetentionPolicy::default();
    policy.keep_last = 1;
    policy
}

/// Names of all objects but the log.
fn names(store: &dyn Store) -> Vec<String> {
    let listed = store.list("").unwrap().into_iter().map(|object| object.key.to_string());
    listed.filter(|name| !name.starts_with("log/")).collect()
}

fn is_whole(reader: &BackupReader) -> bool {
    let packs = 0..reader.manifest().packs.len();
    packs
        .into_iter()
        .all(|pack| reader.pack_digest_agrees(pack).unwrap() == Some(true))
}

#[test]
fn a_part_takes_no_place_from_the_whole() {
    for is_sealed in [false, true] {
        let store = MemoryStore::new();
        let repository = Repository::new(Arc::new(store.clone()));
        let key = ToyKey::new("key");
        for (id, left_out) in [
            ("kulti_backup_20250101_020000", None),
            ("kulti_backup_20250102_020000", None),
            ("kulti_backup_20250102_120000", Some("tables other than users")),
            ("kulti_backup_20250102_130000", Some("tables other than orders")),
            ("kulti_backup_20250102_140000", Some("tables other than users")),
        ] {
            let mut sample = SampleBackup::kulti(id, "gzip".parse().unwrap());
            sample.manifest.source.system_identifier = Some(7);
            sample.manifest.left_out = left_out.map(str::to_owned);
            if is_sealed {
                sample.publish_in(&repository.clone().with_seals(key.seals()));
            } else {
                sample.publish_in(&repository);
            }
        }
        // Whoever prunes has no key.
        let pruned = prune(&repository, &last_one(), None, &witness()).unwrap();
        let removed: Vec<String> = pruned.removed.iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(
            removed,
            ["kulti_backup_20250101_020000", "kulti_backup_20250102_120000"]
        );
    }
}

#[test]
fn whatever_fails_leaves_only_whole_backups_and_can_be_repeated() {
    let sound = Arc::new(Faulty::new(store()));
    let pruned = prune(&Repository::new(sound.clone()), &last_one(), None, &witness()).unwrap();
    assert_eq!(pruned.removed.len(), 2);
    let expected = names(sound.inner());
    let error = Fault::Error(StoreErrorKind::Denied);
    for call in 1..=sound.calls() {
        let nth = When::nth_call(call);
        for faults in [
            vec![(nth, error)],
            vec![(nth, Fault::LoseAnswer)],
            vec![(nth.and_after(), error)],
            vec![(nth, Fault::LoseAnswer), (nth.and_after(), error)],
            vec![(nth.and_after(), Fault::LoseAnswer)],
        ] {
            let store = store();
            let failing = faults.iter().fold(Faulty::new(store.clone()), |store, (when, fault)| {
                store.with_fault(*when, *fault)
            });
            // It is told or it is not; what it leaves is what matters.
            drop(prune(
                &Repository::new(Arc::new(failing)),
                &last_one(),
                None,
                &witness(),
            ));
            let repository = Repository::new(Arc::new(store.clone()));
            let listed = repository.list().unwrap().backups;
            for backup in &listed {
                assert!(
                    is_whole(&repository.open(&backup.id).unwrap()),
                    "{faults:?}: {}",
                    backup.id
                );
            }
            for kept in &IDS[2..] {
                assert!(
                    listed.iter().any(|backup| backup.id.to_string() == *kept),
                    "{faults:?}: {kept}"
                );
            }
            repository
                .remove_litter(&repository.litter(i64::MAX, 0).unwrap())
                .unwrap();
            let again = prune(&repository, &last_one(), None, &witness()).unwrap();
            assert!(again.removed.iter().all(|(_, removal)| removal.is_ok()), "{faults:?}");
            assert_eq!(names(&store), expected, "{faults:?}");
        }
    }
}

#[test]
fn a_log_that_cannot_be_written_spoils_no_deletion_and_is_told() {
    for call in 1..200 {
        let store = store();
        let when = When::nth_call(call);
        let failing = Faulty::new(store.clone()).with_fault(when, Fault::Error(StoreErrorKind::Denied));
        let Ok(pruned) = prune(&Repository::new(Arc::new(failing)), &last_one(), None, &witness()) else {
            continue;
        };
        if !pruned.unnoted.is_empty() {
            assert!(pruned.removed.iter().all(|(_, removal)| removal.is_ok()), "{call}");
            assert_eq!(pruned.removed.len(), 2);
            return;
        }
    }
    panic!("no call wrote the log");
}
