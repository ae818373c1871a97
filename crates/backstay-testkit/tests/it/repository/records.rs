use std::sync::Arc;

use backstay_core::Repository;
use backstay_core::repository::{
    Hold, LEVEL_QUICK, LEVEL_RULES, NotedFinding, NotedFindings, Proof, RepositoryError, Statement,
};
use backstay_core::retention::ProofState;
use backstay_core::store::MemoryStore;
use backstay_testkit::{Recording, Verb};
use jiff::{SignedDuration, Timestamp};

use super::{FIRST, SECOND, id, key, names, now, put, store_with};

fn said(why: &str) -> Statement {
    Statement {
        who: "ann".to_owned(),
        at: now(),
        why: why.to_owned(),
    }
}

fn in_force(repository: &Repository, at: Timestamp) -> Vec<Hold> {
    repository.holds(&id(FIRST), at).unwrap()
}

#[test]
fn nothing_removes_what_is_held() {
    let store = store_with(&[FIRST]);
    let before = names(&*store);
    let repository = Repository::new(Arc::clone(&store));
    let record = repository.hold(&id(FIRST), &said("case 12"), None).unwrap();
    assert_eq!(record.as_str(), format!("{FIRST}.hold-20250201_000000-0001.json"));
    let error = repository.remove(&id(FIRST), now()).unwrap_err();
    assert!(
        matches!(&error, RepositoryError::Held { hold, .. } if hold.why == "case 12"),
        "{error:?}"
    );
    assert_eq!(error.to_string(), format!("{FIRST} is held by ann: case 12"));
    // No tombstone stays either.
    assert_eq!(names(&*store).len(), before.len() + 1);
    assert_eq!(repository.release(&id(FIRST), &said("over")).unwrap().len(), 1);
    assert!(
        repository.release(&id(FIRST), &said("over")).unwrap().is_empty(),
        "it is released once"
    );
    repository.remove(&id(FIRST), now()).unwrap();
    assert_eq!(names(&*store), [""; 0]);
}

#[test]
fn a_release_ends_the_holds_that_it_names() {
    let repository = Repository::new(store_with(&[FIRST]));
    for why in ["first", "second"] {
        // Of one second: the number tells them apart.
        repository.hold(&id(FIRST), &said(why), None).unwrap();
    }
    assert_eq!(repository.release(&id(FIRST), &said("over")).unwrap().len(), 2);
    repository.hold(&id(FIRST), &said("third"), None).unwrap();
    let holds = in_force(&repository, now());
    let why: Vec<String> = holds.iter().map(|hold| hold.facts().why).collect();
    assert_eq!(why, ["third"]);
}

#[test]
fn a_hold_ends_by_itself_when_it_said_so() {
    let repository = Repository::new(store_with(&[FIRST]));
    let until = now() + SignedDuration::from_hours(1);
    repository.hold(&id(FIRST), &said("an hour"), Some(until)).unwrap();
    let before = until - SignedDuration::from_secs(1);
    assert_eq!(in_force(&repository, before).len(), 1);
    assert!(matches!(
        repository.remove(&id(FIRST), before),
        Err(RepositoryError::Held { .. })
    ));
    assert!(in_force(&repository, until).is_empty());
    repository.remove(&id(FIRST), until).unwrap();
}

#[test]
fn what_cannot_be_read_holds_and_releases_nothing() {
    for damage in [
        "",
        "{",
        r#"{"record":"proof","who":"","at":"2025-01-01T00:00:00Z","why":""}"#,
    ] {
        let store = store_with(&[FIRST]);
        let repository = Repository::new(Arc::clone(&store));
        put(&*store, &format!("{FIRST}.hold-x.json"), damage.as_bytes());
        let holds = in_force(&repository, now());
        assert!(
            matches!(&holds[..], [hold] if hold.said.is_none()),
            "{damage} {holds:?}"
        );
        put(&*store, &format!("{FIRST}.release-x.json"), damage.as_bytes());
        let error = repository.remove(&id(FIRST), now()).unwrap_err();
        assert_eq!(error.to_string(), format!("{FIRST} is held"));
        // By its name it can be released all the same.
        assert_eq!(repository.release(&id(FIRST), &said("over")).unwrap(), holds);
        repository.remove(&id(FIRST), now()).unwrap();
    }
}

#[test]
fn a_backup_that_is_not_there_or_being_removed_cannot_be_held() {
    let store = store_with(&[FIRST]);
    let repository = Repository::new(Arc::clone(&store));
    let before = names(&*store);
    assert!(
        repository
            .hold(&id(SECOND), &said("x"), None)
            .unwrap_err()
            .is_not_found()
    );
    assert!(repository.release(&id(SECOND), &said("x")).unwrap_err().is_not_found());
    assert_eq!(names(&*store), before);
    put(&*store, &format!("tombstones/{FIRST}.json"), b"");
    let error = repository.hold(&id(FIRST), &said("x"), None).unwrap_err();
    assert!(matches!(error, RepositoryError::BeingRemoved { .. }), "{error:?}");
    let error = repository.remove(&id(FIRST), now()).unwrap_err();
    assert!(matches!(error, RepositoryError::BeingRemoved { .. }), "{error:?}");
    // The record stays: if the removal was interrupted, it holds.
    assert_eq!(in_force(&repository, now()).len(), 1);
}

#[test]
fn the_newest_proof_decides() {
    let store = store_with(&[FIRST]);
    let repository = Repository::new(Arc::clone(&store));
    let state = || repository.pruning().facts(now()).unwrap()[0].proof;
    let note = |second: i64, level: &str, passed| {
        let mut at = said("");
        at.at += SignedDuration::from_secs(second);
        let proof = Proof {
            level: level.to_owned(),
            passed,
            findings: NotedFindings::default(),
        };
        repository.note_proof(&id(FIRST), &at, &proof).unwrap();
    };
    assert_eq!(state(), ProofState::None);
    note(0, "standard", false);
    assert_eq!(state(), ProofState::None, "it failed");
    note(1, LEVEL_RULES, true);
    note(1, LEVEL_QUICK, true);
    assert_eq!(state(), ProofState::None, "no row was looked at");
    note(2, "standard", true);
    assert_eq!(state(), ProofState::Proven);
    note(3, LEVEL_RULES, false);
    assert_eq!(state(), ProofState::Proven, "it can be restored all the same");
    note(3, LEVEL_QUICK, false);
    assert_eq!(state(), ProofState::None, "what is stored is damaged");
    note(4, "standard", true);
    note(5, LEVEL_QUICK, true);
    assert_eq!(state(), ProofState::Proven);
    note(6, "restore", false);
    assert_eq!(state(), ProofState::None, "what passed once has failed since");
    note(6, "standard", true);
    assert_eq!(state(), ProofState::None, "nobody knows which of them was the last");
    note(7, "deep", true);
    note(7, "restore", true);
    assert_eq!(state(), ProofState::Proven);
}

#[test]
fn proofs_that_cannot_be_read_decide_nothing() {
    for (passed, decided) in [(true, ProofState::Proven), (false, ProofState::None)] {
        let store = store_with(&[FIRST]);
        let repository = Repository::new(Arc::clone(&store));
        let state = || repository.pruning().facts(now()).unwrap()[0].proof;
        put(&*store, &format!("{FIRST}.proof-x.json"), b"{");
        put(&*store, &format!("{FIRST}.proof-0.json"), b"{");
        assert_eq!(state(), ProofState::Unread);
        let proof = Proof {
            level: "standard".to_owned(),
            passed,
            findings: NotedFindings::default(),
        };
        repository.note_proof(&id(FIRST), &said(""), &proof).unwrap();
        assert_eq!(state(), decided);
    }
}

#[test]
fn a_long_reason_is_refused() {
    let repository = Repository::new(store_with(&[FIRST]));
    let error = repository
        .hold(&id(FIRST), &said(&"x".repeat(64 << 10)), None)
        .unwrap_err();
    assert!(matches!(error, RepositoryError::TooLarge { .. }), "{error:?}");
    assert!(in_force(&repository, now()).is_empty());
}

#[test]
fn facts_tell_what_cannot_be_read_and_what_lacks_a_pack() {
    let third = "kulti_backup_20250118_143022";
    let store = store_with(&[FIRST, SECOND, third]);
    store.delete(&key(&format!("{FIRST}.sql.gz"))).unwrap();
    let manifest = key(&format!("{SECOND}.manifest.json"));
    store.delete(&manifest).unwrap();
    put(&*store, manifest.as_str(), b"{");
    let facts = Repository::new(store).pruning().facts(now()).unwrap();
    let told: Vec<(bool, bool)> = facts.iter().map(|backup| (backup.is_read, backup.is_whole)).collect();
    assert_eq!(told, [(true, false), (false, false), (true, true)]);
}

#[test]
fn planning_and_removing_read_each_manifest_once() {
    let ids: Vec<String> = (10..20).map(|day| format!("kulti_backup_202501{day}_143022")).collect();
    let store = MemoryStore::new();
    for id in &ids {
        super::sample(id, backstay_core::Codec::Gzip).publish(Arc::new(store.clone()));
    }
    let store = Arc::new(Recording::new(store));
    let repository = Repository::new(store.clone());
    let mut pruning = repository.pruning();
    assert_eq!(pruning.facts(now()).unwrap().len(), ids.len());
    assert_eq!((store.calls_of(Verb::List), store.calls_of(Verb::Read)), (1, ids.len()));
    for removed in &ids[..5] {
        pruning.remove(&id(removed), now()).unwrap();
    }
    assert_eq!(store.calls_of(Verb::Read), ids.len(), "none is read again");
}

#[test]
fn names_of_proofs_tell_what_listings_show() {
    let store = store_with(&[FIRST]);
    let repository = Repository::new(store.clone());
    let proof = |level: &str, passed| Proof {
        level: level.to_owned(),
        passed,
        findings: NotedFindings::default(),
    };
    for (level, passed, at) in [
        ("standard", true, "2025-01-17T00:00:00Z"),
        ("rules", true, "2025-01-18T00:00:00Z"),
        ("restore", false, "2025-01-19T00:00:00Z"),
        ("Deep look", true, "2025-01-20T00:00:00Z"),
        ("standard", true, "2025-01-17T00:00:00Z"),
    ] {
        let said = Statement {
            at: at.parse().unwrap(),
            ..said("")
        };
        repository.note_proof(&id(FIRST), &said, &proof(level, passed)).unwrap();
    }
    put(
        &*store,
        &format!("{FIRST}.proof-20250122_000000-standard-perhaps-0001.json"),
        b"{}",
    );
    put(&*store, &format!("{FIRST}.proof-20250122_000000.json"), b"{}");
    let listing = repository.list().unwrap();
    let proofs = listing.backups[0].proofs();
    let shown: Vec<String> = proofs
        .iter()
        .map(|proof| format!("{} {} {}", proof.at.strftime("%d"), proof.level, proof.passed))
        .collect();
    assert_eq!(
        shown,
        [
            "20 eeplook true",
            "19 restore false",
            "18 rules true",
            "17 standard true",
            "17 standard true"
        ]
    );
    assert!(!proofs[2].is_of_the_backup() && proofs[3].is_of_the_backup());
    // Those of the same second and level are two records.
    assert_eq!(listing.backups[0].records.len(), 7);
}

#[test]
fn the_newest_proof_is_read_with_its_findings() {
    let store = Arc::new(Recording::new(MemoryStore::new()));
    let repository = Repository::new(store.clone());
    put(&*store, &format!("{FIRST}.manifest.json"), b"{}");
    assert_eq!(repository.newest_proof(&id(FIRST)).unwrap(), None);
    let found = NotedFinding {
        severity: "warning".to_owned(),
        rule: "table-emptied".to_owned(),
        subject: "public.users".to_owned(),
        message: "the table had rows".to_owned(),
    };
    let older = Proof {
        level: "standard".to_owned(),
        passed: true,
        findings: NotedFindings::default(),
    };
    let newer = Proof {
        findings: NotedFindings {
            errors: 0,
            warnings: 1,
            notes: 2,
            first: vec![found],
        },
        ..older.clone()
    };
    repository.note_proof(&id(FIRST), &said(""), &older).unwrap();
    let mut later = said("");
    later.at += SignedDuration::from_secs(1);
    repository.note_proof(&id(FIRST), &later, &newer).unwrap();
    // What cannot be read is passed over.
    put(
        &*store,
        &format!("{FIRST}.proof-99991231_000000-standard-passed-0001.json"),
        b"{",
    );
    let before = store.calls_of(Verb::Read);
    let read = repository.newest_proof(&id(FIRST)).unwrap().unwrap();
    assert_eq!((read.proof, read.said), (newer, later));
    assert_eq!(store.calls_of(Verb::Read) - before, 2);
}
