//! What is read of a store, and what it costs.

use std::sync::Arc;
use std::time::Duration;

use backstay::manifest::Scope;
use backstay::status::{BackupManifest, Depth, Limits, StoreHistory, StoreSeen, judge, look, watch_all};
use backstay::{
    BackupId, Compression, Deed, DrillEvidence, DrillHoldings, LogEntry, MemoryStore, NotedFindings, Outcome, Proof,
    ProofState, Repository, Statement,
};
use backstay_testkit::fixtures::SampleBackup;
use backstay_testkit::objects::{names, put};
use backstay_testkit::{Recording, ToyKey, Verb};
use jiff::{SignedDuration, Timestamp};

use super::shown;

fn now() -> Timestamp {
    "2025-03-10T12:00:00Z".parse().unwrap()
}

fn days_ago(days: i64) -> Timestamp {
    now().checked_sub(SignedDuration::from_hours(24 * days + 10)).unwrap()
}

fn id(days: i64) -> BackupId {
    BackupId::new("kulti".parse().unwrap(), days_ago(days))
}

fn sample(days: i64) -> SampleBackup {
    SampleBackup::kulti(&id(days).to_string(), Compression::default())
}

fn said(days: i64) -> Statement {
    Statement {
        who: "ann".to_owned(),
        at: days_ago(days),
        why: "case 12".to_owned(),
    }
}

fn proof(level: &str, passed: bool) -> Proof {
    Proof {
        level: level.to_owned(),
        passed,
        findings: NotedFindings::default(),
    }
}

fn evidence(passed: bool) -> DrillEvidence {
    DrillEvidence {
        passed,
        place: "a server of its own".to_owned(),
        server_version: "17.1".to_owned(),
        phases: Vec::new(),
        recovery: Duration::from_secs(90),
        recovery_limit: None,
        holdings: Some(DrillHoldings {
            tables: 3,
            rows: 15,
            definitions: 9,
        }),
        findings: NotedFindings::default(),
        not_checked: Vec::new(),
    }
}

fn status_of(history: StoreHistory) -> String {
    let stores = [StoreSeen {
        location: "memory".to_owned(),
        history: Ok(history),
    }];
    let watched = watch_all(&stores, Limits::default());
    shown(&judge(&stores, &watched, now()))
}

/// A thousand backups of a thousand days, of which the manifest of one stands for all.
fn thousand() -> MemoryStore {
    let store = MemoryStore::new();
    sample(0).publish(Arc::new(store.clone()));
    let newest = id(0).to_string();
    let manifest = backstay_testkit::objects::read(&store, &format!("{newest}.manifest.json")).unwrap();
    let manifest = String::from_utf8(manifest).unwrap();
    let pack = backstay_testkit::objects::read(&store, &format!("{newest}.sql.gz")).unwrap();
    for days in 1..1000 {
        let id = id(days);
        put(&store, &format!("{id}.sql.gz"), &pack).unwrap();
        let manifest = manifest.replace(&newest, &id.to_string());
        put(&store, &format!("{id}.manifest.json"), manifest.as_bytes()).unwrap();
    }
    let repository = Repository::new(Arc::new(store.clone()));
    for days in [40, 400] {
        repository
            .note_proof(&id(days), &said(days), &proof("standard", true))
            .unwrap();
    }
    repository.note_proof(&id(0), &said(0), &proof("rules", true)).unwrap();
    repository.note_drill(&id(600), &said(600), &evidence(true)).unwrap();
    repository.hold(&id(700), &said(700), None).unwrap();
    store
}

#[test]
fn a_thousand_backups_cost_one_listing_and_few_reads() {
    let store = Arc::new(Recording::new(thousand()));
    let history = look(&Repository::new(store.clone()), Depth::Newest, now()).unwrap();
    assert_eq!(store.calls_of(Verb::List), 1);
    assert_eq!(store.calls_of(Verb::ListLeftovers), 1);
    // 14 manifests, and 16 that are older; the proof of the newest, twice; a proof that is older, a hold, and twice a drill, each
    // with the manifest of its backup.
    assert_eq!(
        store.calls_of(Verb::Read),
        14 + 16 + 2 + (2 + 2 + 3),
        "{:?}",
        store.calls()
    );
    assert_eq!(store.calls_of(Verb::Head), store.calls_of(Verb::Read));
    let series = &history.series[0];
    assert_eq!(series.backups.len(), 1000);
    let newest = series.backups.last().unwrap();
    assert!(newest.facts().unwrap().is_whole && newest.holdings().unwrap().rows > 0);
    assert!(matches!(series.backups[1].manifest, BackupManifest::NotRead));
    insta::assert_snapshot!(status_of(history));
    // All of it, where all is asked for.
    store.clear();
    let all = look(&Repository::new(store.clone()), Depth::All, now()).unwrap();
    assert!(all.series[0].backups.iter().all(|backup| backup.facts().is_some()));
    assert_eq!(store.calls_of(Verb::List), 1);
}

#[test]
fn what_a_store_tells_is_understood() {
    let store = MemoryStore::new();
    let repository = Repository::new(Arc::new(store.clone()));
    for days in [0, 1, 2] {
        sample(days).publish(Arc::new(store.clone()));
    }
    // Its name says that it passed, and it says itself that it did not.
    repository.note_proof(&id(0), &said(0), &proof("deep", false)).unwrap();
    let failed = names(&store)
        .into_iter()
        .find(|name| name.contains("-deep-failed-"))
        .unwrap();
    let lie = backstay_testkit::objects::read(&store, &failed).unwrap();
    put(&store, &failed.replace("failed", "passed"), &lie).unwrap();
    backstay::Store::delete(&store, &failed.parse().unwrap()).unwrap();
    repository
        .note_proof(&id(1), &said(0), &proof("standard", true))
        .unwrap();
    repository.note_drill(&id(1), &said(0), &evidence(false)).unwrap();
    repository.note_drill(&id(2), &said(2), &evidence(true)).unwrap();
    repository.hold(&id(2), &said(1), None).unwrap();
    // A pack that is shorter than it was.
    let pack = format!("{}.sql.gz", id(2));
    backstay::Store::delete(&store, &pack.parse().unwrap()).unwrap();
    put(&store, &pack, b"x").unwrap();
    // A manifest that is none, a pack without one, and one of another day to come.
    put(&store, &format!("{}.manifest.json", id(3)), b"{").unwrap();
    put(&store, &format!("{}.sql.gz", id(4)), b"x").unwrap();
    sample(-3).publish(Arc::new(store.clone()));
    let history = look(&repository, Depth::Newest, now()).unwrap();
    let proofs: Vec<ProofState> = history.series[0].backups.iter().map(|backup| backup.proof).collect();
    assert_eq!(proofs[2..4], [ProofState::Proven, ProofState::None]);
    insta::assert_snapshot!(status_of(history));
}

#[test]
fn an_encrypted_backup_is_told_by_what_stands_in_clear() {
    let store = MemoryStore::new();
    let plain = Repository::new(Arc::new(store.clone()));
    sample(1).publish(Arc::new(store.clone()));
    let key = ToyKey::new("key");
    sample(0).publish_in(&plain.clone().with_seals(key.seals()));
    let history = look(&plain, Depth::Newest, now()).unwrap();
    // The fingerprint says that it is of the same database, so there is one.
    assert_eq!(history.series.len(), 1);
    let facts = history.series[0].backups[1].facts().unwrap();
    assert!(facts.is_sealed && facts.is_whole && facts.holdings.is_none());
    assert_eq!(facts.scope, Scope::All);
    let opened = plain.with_unsealer(Arc::new(key));
    let history = look(&opened, Depth::Newest, now()).unwrap();
    assert!(history.series[0].backups[1].holdings().is_some());
}

#[test]
fn databases_of_one_prefix_are_told_apart() {
    let of_cluster = |days: i64, cluster: u64, database: &str| {
        let mut sample = sample(days);
        sample.manifest.source.system_identifier = Some(cluster);
        sample.manifest.source.database = database.into();
        sample
    };
    let look_at = |samples: &[SampleBackup]| {
        let store = MemoryStore::new();
        for sample in samples {
            sample.publish(Arc::new(store.clone()));
        }
        let history = look(&Repository::new(Arc::new(store)), Depth::Newest, now()).unwrap();
        let series = history.series.iter();
        series
            .map(|series| (series.backups.len(), series.has_moved))
            .collect::<Vec<_>>()
    };
    let moved = [
        of_cluster(3, 1, "kulti"),
        of_cluster(2, 1, "kulti"),
        of_cluster(1, 2, "kulti"),
    ];
    assert_eq!(look_at(&moved), [(1, false), (2, true)]);
    let both = [
        of_cluster(3, 1, "kulti"),
        of_cluster(2, 2, "kulti"),
        of_cluster(1, 1, "kulti"),
    ];
    assert_eq!(look_at(&both), [(2, false), (1, false)]);
    // One that is called otherwise has not moved.
    let renamed = [of_cluster(2, 1, "shop"), of_cluster(1, 2, "kulti")];
    assert_eq!(look_at(&renamed), [(1, false), (1, false)]);
}

#[test]
fn a_dead_database_does_not_vanish_behind_another_of_its_prefix() {
    let store = MemoryStore::new();
    let shared = Arc::new(store.clone());
    for days in 0..60 {
        let mut sample = sample(days);
        let is_dead = days > 20 && days % 2 == 1;
        sample.manifest.source.system_identifier = Some(1);
        sample.manifest.source.database = if is_dead { "shop" } else { "kulti" }.into();
        sample.publish(shared.clone());
    }
    let repository = Repository::new(shared);
    // Of those that are not looked at: what was proven and tried is not of the one that lives.
    for days in [37, 57] {
        repository
            .note_proof(&id(days), &said(days), &proof("standard", true))
            .unwrap();
    }
    repository.note_drill(&id(53), &said(53), &evidence(true)).unwrap();
    let history = look(&repository, Depth::Newest, now()).unwrap();
    let known = |series: &backstay::status::Series| series.origin.as_ref().unwrap().database.to_string();
    let databases: Vec<(String, usize)> = history
        .series
        .iter()
        .map(|series| (known(series), series.drills.len()))
        .collect();
    assert_eq!(databases, [("kulti".to_owned(), 0), ("shop".to_owned(), 1)]);
    let told = status_of(history);
    assert!(
        told.contains("kulti (kulti of cluster 1) bad, proven: never, recovery: unknown"),
        "{told}"
    );
    assert!(
        told.contains("kulti (shop of cluster 1) bad, proven: kulti_backup_"),
        "{told}"
    );
    assert!(
        told.contains("error late: ") && told.contains("warning unread: "),
        "{told}"
    );
}

#[test]
fn backups_that_are_deleted_are_known_by_the_log() {
    let store = MemoryStore::new();
    let repository = Repository::new(Arc::new(store.clone()));
    for days in [0, 1] {
        sample(days).publish(Arc::new(store.clone()));
    }
    let other = BackupId::new("other".parse().unwrap(), days_ago(90));
    for (deed, outcome, id) in [
        (Deed::Backup, Outcome::Done, id(1)),
        (Deed::Deletion, Outcome::Done, id(30)),
        (Deed::Backup, Outcome::Done, id(40)),
        (Deed::Backup, Outcome::Begun, id(50)),
        (Deed::Backup, Outcome::Failed, id(60)),
        (Deed::Deletion, Outcome::Done, other),
    ] {
        let entry = LogEntry {
            at: now(),
            who: "ann".to_owned(),
            from: "host".to_owned(),
            deed,
            outcome,
            id: Some(id),
            prefix: None,
            begun_at: None,
            source: None,
            detail: String::new(),
        };
        repository.note(&entry).unwrap();
    }
    let history = look(&repository, Depth::Newest, now()).unwrap();
    assert_eq!(history.series[0].first_deleted, Some(id(40).time()));
    let told = status_of(history);
    assert!(told.contains("error unproven: no backup was proven\n"), "{told}");
}

#[test]
fn a_store_that_fails_tells_nothing() {
    use backstay::StoreErrorKind;
    use backstay_testkit::{Fault, Faulty, When};

    let plain = MemoryStore::new();
    sample(0).publish(Arc::new(plain.clone()));
    for verb in [Verb::List, Verb::Read] {
        let faulty = Faulty::new(plain.clone());
        let faulty = faulty.with_fault(When::nth(verb, 1), Fault::Error(StoreErrorKind::Transient));
        let looked = look(&Repository::new(Arc::new(faulty)), Depth::Newest, now());
        assert!(looked.is_err(), "{verb}");
    }
    // Without the right to list what interrupted writers left, the rest is told.
    let denied = Fault::Error(StoreErrorKind::Denied);
    let faulty = Faulty::new(plain).with_fault(When::nth(Verb::ListLeftovers, 1), denied);
    let history = look(&Repository::new(Arc::new(faulty)), Depth::Newest, now()).unwrap();
    assert_eq!((history.litter, history.series.len()), (None, 1));
}
