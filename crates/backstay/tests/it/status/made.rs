//! Histories that are made up, each with what is amiss in it.

use std::time::Duration;

use backstay::manifest::Scope;
use backstay::status::{
    BackupHistory, BackupManifest, DrillSeen, FilesSeen, Holdings, Limits, ManifestFacts, Series, SeriesOrigin, State,
    Status, StoreHistory, StoreSeen, VolumeJudge, Watched, judge, watch_all,
};
use backstay::{BackupId, DrillEvidence, HoldFacts, NotedFindings, Prefix, ProofState, Statement};
use jiff::{SignedDuration, Timestamp};

use super::shown;

/// Noon.
fn now() -> Timestamp {
    "2025-03-10T12:00:00Z".parse().unwrap()
}

fn prefix() -> Prefix {
    "kulti".parse().unwrap()
}

fn hours_ago(hours: i64) -> Timestamp {
    now().checked_sub(SignedDuration::from_hours(hours)).unwrap()
}

/// A backup with nothing amiss.
fn backup(hours: i64) -> BackupHistory {
    BackupHistory {
        id: BackupId::new(prefix(), hours_ago(hours)),
        pack_bytes: 1000,
        manifest: BackupManifest::Read(ManifestFacts {
            is_whole: true,
            shared_bytes: 0,
            is_sealed: false,
            scope: Scope::All,
            tags: Vec::new(),
            keep_until: None,
            holdings: Some(Holdings {
                tables: 3,
                rows: 100,
                text_bytes: 10_000,
            }),
        }),
        proof: ProofState::None,
        proofs: Vec::new(),
        holds: Vec::new(),
        noted: None,
    }
}

/// A backup that differs in something.
fn changed(mut backup: BackupHistory, change: impl FnOnce(&mut BackupHistory)) -> BackupHistory {
    change(&mut backup);
    backup
}

fn with_facts(backup: BackupHistory, change: impl FnOnce(&mut ManifestFacts)) -> BackupHistory {
    changed(backup, |backup| match &mut backup.manifest {
        BackupManifest::Read(facts) => change(facts),
        BackupManifest::NotRead | BackupManifest::Refused(_) => panic!("it was not read"),
    })
}

fn holding(text_bytes: u64, backup: BackupHistory) -> BackupHistory {
    with_facts(backup, |facts| facts.holdings.as_mut().unwrap().text_bytes = text_bytes)
}

fn in_part(hours: i64) -> BackupHistory {
    with_facts(backup(hours), |facts| {
        facts.scope = Scope::Part("tables other than orders".to_owned());
    })
}

fn drill(hours: i64, of: &BackupHistory, passed: bool, took_secs: u64) -> DrillSeen {
    DrillSeen {
        id: of.id.clone(),
        said: Statement {
            who: "ann".to_owned(),
            at: hours_ago(hours),
            why: String::new(),
        },
        evidence: DrillEvidence {
            passed,
            place: "a server".to_owned(),
            server_version: "17.1".to_owned(),
            phases: Vec::new(),
            recovery: Duration::from_secs(took_secs),
            recovery_limit: None,
            holdings: None,
            findings: NotedFindings::default(),
            not_checked: Vec::new(),
        },
    }
}

fn series(backups: Vec<BackupHistory>, drills: Vec<DrillSeen>) -> Series {
    Series {
        prefix: prefix(),
        origin: None,
        has_moved: false,
        first_deleted: None,
        backups,
        drills,
    }
}

fn store(series: Vec<Series>) -> StoreSeen {
    StoreSeen {
        location: "./backups".to_owned(),
        history: Ok(StoreHistory {
            bytes: 5000,
            youngest_unix_secs: Some(hours_ago(1).as_second()),
            litter: Some(0),
            adoptable: Vec::new(),
            unfinished: Vec::new(),
            series,
        }),
    }
}

fn gone(location: &str) -> StoreSeen {
    StoreSeen {
        location: location.to_owned(),
        history: Err("the disk is not there".to_owned()),
    }
}

fn watched(stores: &[StoreSeen]) -> Watched {
    Watched {
        name: "kulti".to_owned(),
        prefix: prefix(),
        stores: (0..stores.len()).collect(),
        limits: Limits::default(),
        volume: VolumeJudge::Status,
        is_part: false,
        next_runs: Vec::new(),
        files: None,
    }
}

fn status(stores: &[StoreSeen]) -> Status {
    judge(stores, &[watched(stores)], now())
}

fn proven(hours: i64) -> BackupHistory {
    changed(backup(hours), |backup| {
        let at = backup.id.time();
        backup.proof = ProofState::Proven;
        backup.proofs = proofs(at, "standard", true);
    })
}

/// Only a listing gives such a thing, so one is asked.
fn proofs(at: Timestamp, level: &str, passed: bool) -> Vec<backstay::ProofSummary> {
    use std::sync::Arc;

    let store = Arc::new(backstay::MemoryStore::new());
    let id = "a_backup_20250101_000000";
    let outcome = if passed { "passed" } else { "failed" };
    let record = format!(
        "{id}.proof-{}-{level}-{outcome}-0001.json",
        at.strftime("%Y%m%d_%H%M%S")
    );
    for name in [format!("{id}.manifest.json"), record] {
        backstay_testkit::objects::put(&*store, &name, b"x").unwrap();
    }
    backstay::Repository::new(store).list().unwrap().backups[0].proofs()
}

/// Four nights, each with a backup, the last of them proven and tried.
fn good() -> Vec<StoreSeen> {
    let backups = vec![backup(82), backup(58), backup(34), proven(10)];
    let drills = vec![drill(5, &backups[3], true, 600)];
    vec![store(vec![series(backups, drills)])]
}

/// The same with other backups, and the same drill.
fn with(backups: Vec<BackupHistory>) -> Vec<StoreSeen> {
    let drills = backups.last().map(|last| drill(5, last, true, 600));
    vec![store(vec![series(backups, drills.into_iter().collect())])]
}

fn origin(cluster: u64) -> Option<SeriesOrigin> {
    Some(SeriesOrigin {
        database: "kulti".into(),
        cluster: Some(cluster),
    })
}

#[test]
fn each_history_is_judged() {
    let refused = |hours| {
        changed(backup(hours), |backup| {
            backup.manifest = BackupManifest::Refused("it is cut off".to_owned());
        })
    };
    let lacking = |hours| with_facts(backup(hours), |facts| facts.is_whole = false);
    let sealed = |hours| {
        with_facts(proven(hours), |facts| {
            facts.is_sealed = true;
            facts.holdings = None;
        })
    };
    let sealed_before = |hours| with_facts(sealed(hours), |facts| facts.scope = Scope::Unknown);
    let held = changed(proven(10), |backup| {
        backup.holds = vec![HoldFacts {
            who: "ann".to_owned(),
            why: "case 12".to_owned(),
        }];
    });
    let failed = changed(proven(10), |backup| {
        backup.proof = ProofState::None;
        backup.proofs = proofs(hours_ago(2), "deep", false);
    });
    let ahead = {
        let mut stores = good();
        stores[0].history.as_mut().unwrap().youngest_unix_secs = Some(now().as_second() + 7200);
        stores
    };
    let slow = {
        let backups = vec![proven(10)];
        let drills = vec![drill(5, &backups[0], true, 7200)];
        vec![store(vec![series(backups, drills)])]
    };
    let drill_failed = {
        let backups = vec![proven(10)];
        let drills = vec![drill(5, &backups[0], false, 7200), drill(50, &backups[0], true, 60)];
        vec![store(vec![series(backups, drills)])]
    };
    let proven_part = |hours| {
        with_facts(proven(hours), |facts| {
            facts.scope = Scope::Part("tables other than orders".to_owned());
        })
    };
    let part_drilled = {
        let backups = vec![proven(12), proven_part(10)];
        let drills = vec![drill(5, &backups[1], true, 1), drill(50, &backups[0], true, 7200)];
        series(backups, drills)
    };
    let littered = {
        let mut stores = good();
        let history = stores[0].history.as_mut().unwrap();
        history.litter = Some(3);
        history.adoptable = vec!["kulti_backup_20250301_000000.sql.gz".parse().unwrap()];
        history.unfinished = vec!["kulti_backup_20250302_000000".parse().unwrap()];
        stores
    };
    let moved = {
        let old = Series {
            origin: origin(1),
            has_moved: true,
            ..series(vec![backup(82)], Vec::new())
        };
        let new = Series {
            origin: origin(2),
            ..series(vec![proven(10)], Vec::new())
        };
        vec![store(vec![new, old])]
    };
    let two = {
        let one = Series {
            origin: origin(1),
            ..series(vec![backup(82)], Vec::new())
        };
        let other = Series {
            origin: origin(2),
            ..series(vec![backup(90), proven(10)], Vec::new())
        };
        vec![store(vec![other, one])]
    };
    let mut text = String::new();
    for (name, stores) in [
        ("good", good()),
        ("no backup", vec![store(Vec::new())]),
        ("late", with(vec![backup(82), proven(34)])),
        (
            "shrinking",
            with(vec![
                holding(9000, backup(82)),
                backup(58),
                backup(34),
                holding(4499, proven(10)),
            ]),
        ),
        (
            "growing",
            with(vec![backup(82), backup(58), backup(34), holding(90_000, proven(10))]),
        ),
        ("unproven", with(vec![backup(300), backup(34), backup(10)])),
        ("unproven, and new", with(vec![backup(34), backup(10)])),
        ("proven long ago", with(vec![proven(300), backup(34), backup(10)])),
        ("failed since", with(vec![proven(34), failed])),
        ("a backup from the future", with(vec![proven(10), backup(-3)])),
        ("clock set back", with(vec![backup(-30), backup(-3)])),
        ("the clock of the store is ahead", ahead),
        ("store unreachable", vec![gone("s3://bucket")]),
        ("one of two stores unreachable", both(good(), vec![gone("s3://bucket")])),
        ("a copy is late", both(good(), with(vec![backup(82), backup(58)]))),
        ("held", with(vec![held])),
        ("the newest is a part", with(vec![proven(34), in_part(10)])),
        ("a part is proven", with(vec![backup(300), backup(34), proven_part(10)])),
        ("a part is drilled", vec![store(vec![part_drilled])]),
        (
            "a copy is a proven part",
            both(with(vec![backup(10)]), with(vec![proven_part(10)])),
        ),
        ("all are parts", with(vec![in_part(34), in_part(10)])),
        ("encrypted, without a key", with(vec![sealed(34), sealed(10)])),
        (
            "encrypted before that told what is in it",
            with(vec![sealed(34), sealed_before(10)]),
        ),
        ("unreadable manifests", with(vec![proven(34), refused(20), refused(10)])),
        ("none can be used", with(vec![lacking(34), refused(10)])),
        ("a pack is lost", with(vec![proven(34), lacking(10)])),
        ("a slow restore", slow),
        ("a drill failed", drill_failed),
        ("never drilled", vec![store(vec![series(vec![proven(10)], Vec::new())])]),
        ("litter", littered),
        ("moved to another cluster", moved),
        ("two databases of one prefix", two),
    ] {
        text.push_str(&format!("== {name}: {}\n", shown(&status(&stores))));
    }
    insta::assert_snapshot!(text);
}

fn both(mut one: Vec<StoreSeen>, other: Vec<StoreSeen>) -> Vec<StoreSeen> {
    one.extend(other);
    one
}

#[test]
fn a_retention_that_is_shorter_than_the_limit_gives_no_time_for_ever() {
    let mut stores = with(vec![backup(34), backup(10)]);
    assert_eq!(status(&stores).state, State::Warning);
    for (hours, state) in [(8 * 24, State::Warning), (8 * 24 + 1, State::Bad), (-5, State::Warning)] {
        stores[0].history.as_mut().unwrap().series[0].first_deleted = Some(hours_ago(hours));
        assert_eq!(status(&stores).state, state, "{hours}");
    }
}

#[test]
fn limits_are_met_to_the_second() {
    let mut stores = with(vec![proven(24)]);
    assert_eq!(status(&stores).state, State::Good);
    let later = now().checked_add(SignedDuration::from_secs(1)).unwrap();
    assert_eq!(judge(&stores, &[watched(&stores)], later).state, State::Bad);
    // The recovery time may be as long as it may be.
    stores = with(vec![proven(10)]);
    let mut database = watched(&stores);
    for (rto_secs, state) in [(600, State::Good), (599, State::Bad)] {
        database.limits.rto = Duration::from_secs(rto_secs);
        assert_eq!(judge(&stores, std::slice::from_ref(&database), now()).state, state);
    }
}

#[test]
fn rules_judge_the_volume_where_there_are_any() {
    let stores = with(vec![backup(82), backup(58), backup(34), holding(1, proven(10))]);
    let mut database = watched(&stores);
    assert_eq!(judge(&stores, std::slice::from_ref(&database), now()).state, State::Bad);
    database.volume = VolumeJudge::Rules;
    assert_eq!(judge(&stores, &[database], now()).state, State::Good);
}

#[test]
fn what_is_meant_to_be_a_part_counts() {
    let in_part = with_facts(proven(10), |facts| {
        facts.scope = Scope::Part("tables other than orders".to_owned());
    });
    // Nor is it compared with what held all.
    let in_part = holding(10, in_part);
    let stores = with(vec![backup(106), backup(82), backup(58), in_part]);
    let mut database = watched(&stores);
    assert_eq!(judge(&stores, std::slice::from_ref(&database), now()).state, State::Bad);
    database.is_part = true;
    assert_eq!(judge(&stores, &[database], now()).state, State::Good);
}

#[test]
fn a_store_without_backups_is_not_good() {
    let stores = [store(Vec::new())];
    let watched = watch_all(&stores, Limits::default());
    assert!(watched.is_empty());
    insta::assert_snapshot!(shown(&judge(&stores, &watched, now())));
}

#[test]
fn every_prefix_is_watched_where_it_is() {
    let mut other = series(vec![backup(10)], Vec::new());
    other.prefix = "other".parse().unwrap();
    let stores = [
        store(vec![series(vec![backup(10)], Vec::new()), other]),
        store(vec![series(vec![backup(10)], Vec::new())]),
        gone("s3://bucket"),
    ];
    let watched = watch_all(&stores, Limits::default());
    let found: Vec<(&str, &[usize])> = watched
        .iter()
        .map(|found| (found.name.as_str(), &found.stores[..]))
        .collect();
    assert_eq!(found, [("kulti", &[0, 1, 2][..]), ("other", &[0, 2])]);
    // And what nobody watches is told.
    let told = shown(&judge(&stores, &watched[..1], now()));
    assert!(told.contains("nobody watches, with the prefixes other"), "{told}");
}

#[test]
fn files_of_a_project_are_as_young_as_its_backups() {
    let told = |files: FilesSeen| {
        let stores = good();
        let watched = Watched {
            files: Some(files),
            ..watched(&stores)
        };
        let status = judge(&stores, &[watched], now());
        let problems = status.databases[0].problems.iter();
        let told = problems.map(|problem| format!("{}: {}", problem.trouble.as_str(), problem.message));
        (status.state, told.collect::<Vec<_>>().join("\n"))
    };
    let (state, message) = told(Ok(None));
    assert_eq!(
        (state, &*message),
        (State::Bad, "storage-files: there is no backup of its files")
    );
    assert_eq!(told(Ok(Some(hours_ago(24)))), (State::Good, String::new()));
    let second_more = hours_ago(24).checked_sub(SignedDuration::from_secs(1)).unwrap();
    let (state, message) = told(Ok(Some(second_more)));
    assert_eq!(state, State::Bad);
    assert!(message.ends_with(", more than 24h ago"), "{message}");
    let (state, message) = told(Err("the variable X is not set".to_owned()));
    assert_eq!(state, State::Unknown);
    assert!(
        message.ends_with("nobody knows when its files were saved: the variable X is not set"),
        "{message}"
    );
}
