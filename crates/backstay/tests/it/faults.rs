//! Stores that fail, fill up or lie under whole backups and restores.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, thread};

use backstay::{
    Archive, Atomicity, BackupError, BackupOptions, BackupReport, CancelToken, CheckOptions, MemoryStore, Phase,
    ProgressEvent, Prove, Repository, RepositoryError, RestoreOptions, Silent, Store, StoreErrorKind, TargetPolicy,
};
use backstay_testkit::{Fault, Faulty, Verb, When};
use jiff::{SignedDuration, Timestamp};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use crate::sabotage::{assert_untouched, back_up_hooked, chain, scene};
use crate::support::{Cluster, programs, restore};

const TABLES: &str = "
    CREATE TABLE t (x int PRIMARY KEY, y text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 2000) i;
    CREATE TABLE u AS SELECT 1 AS x; SELECT lo_from_bytea(7, 'hello');";

/// Backs up so many seconds after a time that is always the same.
fn back_up_at(
    cluster: &Cluster,
    database: &str,
    store: Arc<dyn Store>,
    seconds: i64,
) -> Result<BackupReport, BackupError> {
    let now: Timestamp = "2025-01-16T14:30:22Z".parse().unwrap();
    let (config, options) = (cluster.config(database), BackupOptions::default());
    let now = now + SignedDuration::from_secs(seconds);
    let (repository, programs) = (Repository::new(store), programs());
    backstay::back_up(
        &config,
        &repository,
        now,
        &programs,
        &options,
        &Silent,
        &CancelToken::new(),
    )
}

/// How many backups a store lists, all of which are sound.
fn sound_backups(store: &Arc<dyn Store>, what: &str) -> usize {
    let repository = Repository::new(Arc::clone(store));
    let listed = repository.list().unwrap().backups;
    for backup in &listed {
        let archive =
            Archive::open(&repository, &backup.id).unwrap_or_else(|error| panic!("{what}: {}", chain(&error)));
        let report = backstay::verify(&archive, &CheckOptions::default(), &Silent, &CancelToken::new()).unwrap();
        assert!(report.is_sound(), "{what}: {}", report.render());
    }
    listed.len()
}

#[test]
fn a_store_that_fails_at_any_call_holds_no_backup_or_a_whole_one() {
    let database = "failing_store";
    let (cluster, _) = scene(database, TABLES);
    let sound = Arc::new(Faulty::new(MemoryStore::new()));
    back_up_at(&cluster, database, sound.clone(), 0).unwrap();
    let pack_bytes = sound
        .inner()
        .list("")
        .unwrap()
        .iter()
        .map(|object| object.size)
        .max()
        .unwrap();
    let calls = sound.calls();
    assert!(calls > 20, "{calls}");
    // A disk that is full from some call on, an answer that is lost, and each object cut or kept short in silence.
    let full = (1..=calls).map(|nth| (When::nth_call(nth).and_after(), Fault::Error(StoreErrorKind::Full)));
    let lost = (1..=calls)
        .step_by(3)
        .map(|nth| (When::nth_call(nth), Fault::LoseAnswer));
    let of_object = |nth, fault| (When::nth(Verb::Create, nth), fault);
    let torn = [0, 20, pack_bytes / 2, pack_bytes - 1].map(|at| of_object(1, Fault::TearAt(at)));
    let short = [1, 2, 3].map(|nth| of_object(nth, Fault::DropFrom(50)));
    assert_eq!(sound.calls_of(Verb::Create), 3);
    let mut failed = 0;
    for (number, (when, fault)) in full.chain(lost).chain(torn).chain(short).enumerate() {
        let what = format!("{when:?} {fault:?}");
        let inner = MemoryStore::new();
        let faulty = Arc::new(Faulty::new(inner.clone()).with_fault(when, fault));
        let store: Arc<dyn Store> = Arc::new(inner);
        let result = back_up_at(&cluster, database, faulty.clone(), 0);
        let exists = sound_backups(&store, &what) == 1;
        match &result {
            Ok(_) => assert!(exists, "{what}: a success without a backup"),
            Err(BackupError::Repository(RepositoryError::Unknown { .. })) => failed += 1,
            Err(error) => {
                failed += 1;
                assert!(!exists, "{what}: a backup, although {}", chain(error));
                assert!(store.list_leftovers().unwrap().is_empty(), "{what}");
            }
        }
        if number % 8 == 0 {
            faulty.heal();
            let next = back_up_at(&cluster, database, faulty, 1);
            assert!(next.is_ok(), "the one after {what}: {}", chain(&next.unwrap_err()));
            assert_eq!(sound_backups(&store, &what), 1 + usize::from(exists), "{what}");
        }
    }
    assert!(failed > 20, "{failed}");
}

#[test]
fn a_store_that_reads_wrong_gives_no_wrong_restore() {
    let database = "misread_store";
    let (cluster, _) = scene(database, TABLES);
    let store = MemoryStore::new();
    let id = back_up_at(&cluster, database, Arc::new(store.clone()), 0).unwrap();
    let id = id.published.manifest.id;
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    options.atomicity = Atomicity::SingleTransaction;
    options.prove = Prove::Yes;
    let restored_from = |faulty: Arc<Faulty<MemoryStore>>, copy: &str| {
        let backup = Repository::new(faulty).open(&id).map_err(|error| chain(&error))?;
        restore(&cluster, &backup, copy, &options).map_err(|error| chain(&error))
    };
    let sound = Arc::new(Faulty::new(store.clone()));
    assert!(restored_from(sound.clone(), "misread_not").unwrap().is_complete());
    let reads = sound.calls_of(Verb::Read);
    assert!(reads > 5, "{reads}");
    for nth in 1..=reads {
        let cut = [Fault::BreakAt(30), Fault::EndAt(30)][usize::from(nth % 2 == 0)];
        for fault in [cut, Fault::FlipBit { byte: 40, bit: 3 }] {
            let faulty = Faulty::new(store.clone()).with_fault(When::nth(Verb::Read, nth), fault);
            let copy = "misread_copy";
            let error = match restored_from(Arc::new(faulty), copy) {
                Err(error) => error,
                Ok(report) => panic!("read {nth}, {fault:?}: {report:?}"),
            };
            assert!(!error.is_empty());
            let exists = format!("SELECT count(*) FROM pg_database WHERE datname = '{copy}'");
            if cluster.sql("postgres", &exists) == "1" {
                let left = cluster.sql(copy, "SELECT to_regclass('t') IS NULL AND to_regclass('u') IS NULL");
                assert_eq!(left, "t", "read {nth}, {fault:?}: nothing or all of it");
                cluster.sql("postgres", &format!("DROP DATABASE {copy}"));
            }
        }
    }
}

#[test]
fn of_two_backups_at_the_same_second_one_is_made() {
    let database = "same_second";
    let (cluster, _) = scene(database, TABLES);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    back_up_at(&cluster, database, Arc::clone(&store), 0).unwrap();
    let again = back_up_at(&cluster, database, Arc::clone(&store), 0).unwrap_err();
    assert!(
        matches!(again, BackupError::Repository(RepositoryError::Exists { .. })),
        "{}",
        chain(&again)
    );
    assert_eq!(sound_backups(&store, "one after the other"), 1);
    for round in 1..4 {
        let results: Vec<_> = thread::scope(|scope| {
            let both = [(); 2].map(|()| scope.spawn(|| back_up_at(&cluster, database, Arc::clone(&store), round)));
            both.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let lost: Vec<&BackupError> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        let [lost] = lost[..] else {
            panic!("{results:?}");
        };
        assert!(
            matches!(lost, BackupError::Repository(RepositoryError::Exists { .. })),
            "{}",
            chain(lost)
        );
        assert_eq!(sound_backups(&store, "at once"), 1 + usize::try_from(round).unwrap());
        assert!(store.list_leftovers().unwrap().is_empty());
    }
}

/// Runs `test` in a thread that permissions bind, which they do not for root.
fn without_capabilities(test: impl FnOnce() + Send) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let none = CapabilitySet::empty();
            let none = CapabilitySets {
                effective: none,
                permitted: none,
                inheritable: none,
            };
            set_capabilities(None, none).unwrap();
            test();
        });
    });
}

fn permit(folder: &Path, mode: u32) {
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_folder_that_may_not_be_written_to_gets_no_backup_and_serves_again_later() {
    let database = "unwritable";
    let (cluster, repository) = scene(database, TABLES);
    let folder = cluster.path(database);
    let denied = |result: Result<BackupReport, BackupError>| match result {
        Err(BackupError::Repository(RepositoryError::Store(error))) => assert_eq!(error.kind(), StoreErrorKind::Denied),
        other => panic!("{other:?}"),
    };
    let made_with = |hook: &(dyn Fn(&ProgressEvent<'_>) + Sync)| {
        back_up_hooked(&cluster, database, &repository, |_| {}, hook, &CancelToken::new())
    };
    without_capabilities(|| {
        permit(&folder, 0o500);
        denied(made_with(&|_| {}));
        permit(&folder, 0o700);
        assert_untouched(&repository);

        // While it runs: what it had begun cannot even be removed, and is no backup all the same.
        let closed = AtomicUsize::new(0);
        denied(made_with(&|event| {
            if matches!(
                event,
                ProgressEvent::Phase {
                    phase: Phase::Publish,
                    ..
                }
            ) {
                closed.fetch_add(1, Ordering::SeqCst);
                permit(&folder, 0o500);
            }
        }));
        assert_eq!(closed.into_inner(), 1);
        permit(&folder, 0o700);
        assert!(repository.list().unwrap().backups.is_empty());
        made_with(&|_| {}).unwrap_or_else(|error| panic!("{}", chain(&error)));
    });
    assert_eq!(sound_backups(repository.store(), "after it was opened again"), 1);
}
