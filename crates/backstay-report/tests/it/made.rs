//! Histories that are made up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backstay::manifest::Scope;
use backstay::status::{
    BackupHistory, BackupManifest, DrillSeen, Holdings, Limits, ManifestFacts, Series, StoreHistory, StoreSeen,
    VolumeJudge, Watched, judge, watch_all,
};
use backstay::{
    BackupId, Deed, DrillEvidence, HoldFacts, LogEntry, LogItem, MemoryStore, NotedFindings, Outcome, Prefix,
    ProofState, ProofSummary, Repository, RetentionPolicy, Statement, Store as _,
};
use backstay_report::{Report, StoreLog, page};
use jiff::{SignedDuration, Timestamp};

pub(crate) fn now() -> Timestamp {
    "2025-03-10T12:00:00Z".parse().unwrap()
}

pub(crate) fn hours_ago(hours: i64) -> Timestamp {
    now().checked_sub(SignedDuration::from_hours(hours)).unwrap()
}

pub(crate) fn backup(prefix: &str, hours: i64, bytes: u64) -> BackupHistory {
    let prefix: Prefix = prefix.parse().unwrap();
    BackupHistory {
        id: BackupId::new(prefix, hours_ago(hours)),
        pack_bytes: bytes,
        manifest: BackupManifest::Read(ManifestFacts {
            is_whole: true,
            shared_bytes: 0,
            is_sealed: false,
            scope: Scope::All,
            tags: Vec::new(),
            keep_until: None,
            holdings: Some(Holdings {
                tables: 42,
                rows: bytes / 97,
                text_bytes: bytes * 4,
            }),
        }),
        proof: ProofState::None,
        proofs: Vec::new(),
        holds: Vec::new(),
        noted: None,
    }
}

pub(crate) fn proven(mut backup: BackupHistory, level: &str) -> BackupHistory {
    backup.proof = ProofState::Proven;
    let at = backup.id.time().checked_add(SignedDuration::from_hours(2)).unwrap();
    backup.proofs = proofs(at, level);
    backup
}

/// Only a listing gives such a thing, so one is asked.
fn proofs(at: Timestamp, level: &str) -> Vec<ProofSummary> {
    let store = MemoryStore::new();
    let id = "a_backup_20250101_000000";
    let at = at.strftime("%Y%m%d_%H%M%S");
    for name in [
        format!("{id}.manifest.json"),
        format!("{id}.proof-{at}-{level}-passed-0001.json"),
    ] {
        store.create(&name.parse().unwrap()).unwrap().publish().unwrap();
    }
    Repository::new(Arc::new(store)).list().unwrap().backups[0].proofs()
}

pub(crate) fn drill(of: &BackupHistory, passed: bool, took_secs: u64) -> DrillSeen {
    DrillSeen {
        id: of.id.clone(),
        said: Statement {
            who: "ann".to_owned(),
            at: of.id.time().checked_add(SignedDuration::from_hours(3)).unwrap(),
            why: String::new(),
        },
        evidence: DrillEvidence {
            passed,
            place: "a server of its own".to_owned(),
            server_version: "17.4".to_owned(),
            phases: Vec::new(),
            recovery: Duration::from_secs(took_secs),
            recovery_limit: None,
            holdings: None,
            findings: NotedFindings::default(),
            not_checked: Vec::new(),
        },
    }
}

pub(crate) fn series(backups: Vec<BackupHistory>, drills: Vec<DrillSeen>) -> Series {
    Series {
        prefix: backups[0].id.prefix().clone(),
        origin: None,
        has_moved: false,
        first_deleted: None,
        backups,
        drills,
    }
}

pub(crate) fn store(location: &str, series: Vec<Series>) -> StoreSeen {
    StoreSeen {
        location: location.to_owned(),
        history: Ok(StoreHistory {
            bytes: 5 << 30,
            youngest_unix_secs: Some(hours_ago(1).as_second()),
            litter: Some(0),
            adoptable: Vec::new(),
            unfinished: Vec::new(),
            series,
        }),
    }
}

/// The page about all that these stores have.
pub(crate) fn page_about(stores: &[StoreSeen], logs: &[StoreLog]) -> String {
    let watched = watch_all(stores, Limits::default());
    page_of(stores, &watched, logs)
}

pub(crate) fn page_of(stores: &[StoreSeen], watched: &[Watched], logs: &[StoreLog]) -> String {
    let mut policy = RetentionPolicy::default();
    (policy.keep_last, policy.keep_daily, policy.keep_weekly) = (3, 7, 4);
    (policy.keep_monthly, policy.keep_yearly) = (12, 3);
    let policies: BTreeMap<Prefix, RetentionPolicy> = watched
        .iter()
        .map(|watched| (watched.prefix.clone(), policy.clone()))
        .collect();
    page(&Report {
        status: &judge(stores, watched, now()),
        stores,
        policies: &policies,
        logs,
    })
}

/// A store as it is after two years of nightly backups that were pruned.
fn pruned(prefix: &str, bytes: u64) -> Series {
    let hours = (0..8).map(|night| 10 + 24 * night);
    let weeks = (2..6).map(|week| 10 + 24 * 7 * week);
    let months = (2..13).map(|month| 10 + 24 * 30 * month);
    let mut hours: Vec<i64> = hours.chain(weeks).chain(months).chain([24 * 430, 24 * 700]).collect();
    hours.sort_unstable();
    hours.reverse();
    let backups = hours.iter().enumerate().map(|(index, &hours)| {
        let grown = bytes + bytes * index as u64 / 20 + (index as u64 * 7919 % 11) * bytes / 150;
        let backup = backup(prefix, hours, grown);
        if index % 3 == 0 || hours == 10 {
            proven(backup, "standard")
        } else {
            backup
        }
    });
    let mut backups: Vec<BackupHistory> = backups.collect();
    let drilled = [2, 5, 9, 14, 20];
    let drills = drilled
        .iter()
        .rev()
        .map(|&index| drill(&backups[index], index != 9, 1300 + 67 * index as u64));
    let drills = drills.collect();
    backups[4].holds = vec![HoldFacts {
        who: "ann".to_owned(),
        why: "audit of 2024".to_owned(),
    }];
    if let BackupManifest::Read(facts) = &mut backups[15].manifest {
        facts.tags = vec!["pre-migration".parse().unwrap()];
    }
    series(backups, drills)
}

/// Some databases, of which one is well, one late and in two stores, one encrypted.
pub(crate) fn fleet() -> String {
    let mut late = pruned("shop", 90 << 20);
    late.backups.truncate(late.backups.len() - 4);
    let mut copies = late.clone();
    copies.backups.drain(..6);
    copies.drills.clear();
    let mut sealed = pruned("vault", 3 << 30);
    for backup in &mut sealed.backups {
        if let BackupManifest::Read(facts) = &mut backup.manifest {
            facts.is_sealed = true;
            facts.holdings = None;
        }
    }
    let stores = [
        store("/var/backups/prod", vec![pruned("kulti", 700 << 20), late, sealed]),
        store("s3://my-backups/prod", vec![copies]),
        StoreSeen {
            location: "s3://elsewhere/prod".to_owned(),
            history: Err("cannot list s3://elsewhere/prod: access denied".to_owned()),
        },
    ];
    let watch = |name: &str, stores: Vec<usize>| Watched {
        name: name.to_owned(),
        prefix: name.parse().unwrap(),
        stores,
        limits: Limits::default(),
        volume: VolumeJudge::Status,
        is_part: false,
        next_runs: Vec::new(),
        files: None,
    };
    let watched = [
        watch("kulti", vec![0]),
        watch("shop", vec![0, 1]),
        watch("vault", vec![0, 2]),
    ];
    let entry = |hours: i64, deed: Deed, outcome: Outcome| LogItem {
        key: "log/2025/03/x.json".parse().unwrap(),
        entry: Some(LogEntry {
            at: hours_ago(hours),
            who: "cron".to_owned(),
            from: "db1".to_owned(),
            prefix: None,
            begun_at: None,
            source: None,
            deed,
            outcome,
            id: Some(BackupId::new("kulti".parse().unwrap(), hours_ago(hours))),
            detail: String::new(),
        }),
    };
    let items = vec![
        entry(34, Deed::Backup, Outcome::Done),
        entry(10, Deed::Backup, Outcome::Done),
        entry(9, Deed::Verification, Outcome::Done),
        entry(8, Deed::Copy, Outcome::Failed),
    ];
    page_of(&stores, &watched, &[StoreLog { store: 0, items }])
}
