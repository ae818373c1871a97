use std::sync::Arc;

use backstay::{BackupId, Compression, Repository};
use backstay_testkit::fixtures::SampleBackup;
use serde_json::{Value, json};

use crate::support::Sandbox;

/// A folder with backups of these times.
fn with_backups(sandbox: &Sandbox, times: &[&str]) -> Repository {
    let repository = sandbox.repository("backups");
    for time in times {
        let compression: Compression = "gzip".parse().unwrap();
        SampleBackup::kulti(&format!("kulti_backup_{time}"), compression).publish(Arc::clone(repository.store()));
    }
    repository
}

const TIMES: [&str; 5] = [
    "20241230_020000",
    "20241231_020000",
    "20250101_020000",
    "20250101_140000",
    "20250102_020000",
];

fn ids(repository: &Repository) -> Vec<String> {
    let backups = repository.list().unwrap().backups.into_iter();
    backups
        .map(|backup| backup.id.to_string().replace("kulti_backup_", ""))
        .collect()
}

/// The same on every day.
fn without_ages(text: &str) -> String {
    let line = |line: &str| match line.split_once("keeps it, ") {
        Some((before, _)) => format!("{before}keeps it, [AGE]\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn a_plan_is_shown_and_then_carried_out() {
    let sandbox = Sandbox::start();
    let repository = with_backups(&sandbox, &TIMES);
    let policy = ["--keep-daily", "2", "--keep-yearly", "2"];
    let shown = sandbox.succeed(&[&["prune", "--dry-run"], &policy[..]].concat());
    insta::assert_snapshot!(without_ages(&shown.stdout));
    assert_eq!(ids(&repository), TIMES, "it only shows");
    let done = sandbox.succeed(&[&["prune", "--json"], &policy[..]].concat()).json();
    let plan = done["plan"].as_array().unwrap();
    let removed: Vec<&Value> = plan.iter().map(|decision| &decision["removed"]).collect();
    assert_eq!(
        removed,
        [&json!(true), &Value::Null, &json!(true), &Value::Null, &Value::Null],
        "{done}"
    );
    assert_eq!(ids(&repository), [TIMES[1], TIMES[3], TIMES[4]]);
    let log = sandbox.succeed(&["log", "--json"]).json();
    let said: Vec<[&str; 3]> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| ["deed", "outcome", "id"].map(|field| entry[field].as_str().unwrap()))
        .collect();
    let [first, second] = [TIMES[0], TIMES[2]].map(|time| format!("kulti_backup_{time}"));
    // Within one second the names sort by what was done and not by when.
    for expected in [&first, &second] {
        for outcome in ["begun", "done"] {
            assert!(said.contains(&["deletion", outcome, expected]), "{log}");
        }
    }
    assert_eq!(said.len(), 4);
    // Again: there is nothing more.
    let again = sandbox.succeed(&[&["prune"], &policy[..]].concat());
    assert!(again.stdout.contains("0 of 3 are let go"), "{}", again.stdout);
    sandbox.succeed(&["verify", "latest"]);
}

#[test]
fn what_is_held_stays_until_it_is_released() {
    let sandbox = Sandbox::start();
    let repository = with_backups(&sandbox, &TIMES[..2]);
    let held = format!("kulti_backup_{}", TIMES[0]);
    let refused = sandbox.run(&["hold", &held, "--reason", " "]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    let run = sandbox.succeed(&["hold", &held, "--reason", "case 12", "--as", "ann"]);
    assert_eq!(run.stdout, format!("{held} is held by ann\n"));
    let listed = sandbox.succeed(&["list"]);
    assert!(
        listed.stdout.contains("HELD") && listed.stdout.contains("by ann: case 12"),
        "{}",
        listed.stdout
    );
    let listed = sandbox.succeed(&["list", "--json"]).json();
    assert_eq!(listed["backups"][0]["holds"][0]["why"], "case 12");
    let pruned = sandbox.succeed(&["prune", "--keep-last", "1"]);
    assert!(pruned.stdout.contains("held by ann: case 12"), "{}", pruned.stdout);
    assert_eq!(ids(&repository).len(), 2);
    let run = sandbox.succeed(&["release", &held, "--as", "bob"]);
    assert_eq!(run.stdout, format!("{held} is not held any more by ann: case 12\n"));
    let run = sandbox.succeed(&["release", &held]);
    assert_eq!(run.stdout, format!("{held} was not held\n"));
    sandbox.succeed(&["prune", "--keep-last", "1"]);
    assert_eq!(ids(&repository), [TIMES[1]]);
    let missing = sandbox.run(&["hold", &held, "--reason", "case 12"]);
    assert_eq!(missing.code, Some(5), "{missing:?}");
    // A hold that ended by itself holds nothing.
    let other = format!("kulti_backup_{}", TIMES[1]);
    sandbox.succeed(&["hold", &other, "--reason", "case 13", "--until", "2025-12-31"]);
    let id: BackupId = other.parse().unwrap();
    assert!(repository.holds(&id, jiff::Timestamp::now()).unwrap().is_empty());
    assert!(
        !repository
            .holds(&id, "2025-12-31T23:59:59Z".parse().unwrap())
            .unwrap()
            .is_empty()
    );
    let log = sandbox.succeed(&["log", "--json", "--id", &held]).json();
    let deeds: Vec<&str> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["deed"].as_str().unwrap())
        .collect();
    assert!(
        ["hold", "release", "deletion"].iter().all(|deed| deeds.contains(deed)),
        "{log}"
    );
    let by_ann = log
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["deed"] == "hold")
        .unwrap();
    assert_eq!((&by_ann["who"], &by_ann["detail"]), (&json!("ann"), &json!("case 12")));
}

#[test]
fn a_backup_says_how_long_it_is_to_be_kept_and_what_was_done_with_it_is_noted() {
    let sandbox = Sandbox::with_sample();
    let made = sandbox.succeed(&[
        "backup",
        "--tag",
        "pre-migration",
        "--tag",
        "release=7",
        "--keep-at-least",
        "30d",
        "--json",
    ]);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let shown = sandbox.succeed(&["show", &id]).stdout;
    assert!(
        shown.contains("pre-migration, release=7") && shown.contains("keep until"),
        "{shown}"
    );
    sandbox.succeed(&["verify", &id]);
    sandbox.succeed(&[
        "restore",
        &id,
        "--to",
        &sandbox.url("again"),
        "--create",
        "--yes",
        "again",
    ]);
    let log = sandbox.succeed(&["log", "--json"]).json();
    for deed in ["backup", "verification", "restore"] {
        let entry = log.as_array().unwrap().iter().find(|entry| entry["deed"] == deed);
        assert_eq!(entry.unwrap()["outcome"], "done", "{log}");
    }
    let plan = sandbox
        .succeed(&["prune", "--keep-tag", "release", "--dry-run", "--json"])
        .json();
    let reasons: Vec<&str> = plan["plan"][0]["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r.as_str().unwrap())
        .collect();
    for expected in ["the newest", "the newest with a proof", "tagged release=7"] {
        assert!(reasons.contains(&expected), "{reasons:?}");
    }
    assert!(
        reasons.iter().any(|reason| reason.starts_with("to be kept until ")),
        "{reasons:?}"
    );
}

#[test]
fn a_policy_without_a_rule_is_refused() {
    let sandbox = Sandbox::start();
    let repository = with_backups(&sandbox, &TIMES);
    for arguments in [
        &["prune"][..],
        &["prune", "--min-age", "7d"],
        &["prune", "--keep-last", "0"],
        &["prune", "--keep-within", "7"],
        &["prune", "--keep-daily", "1", "--time-zone", "Nowhere/Land"],
    ] {
        let run = sandbox.run(arguments);
        assert_eq!(run.code, Some(2), "{arguments:?} {run:?}");
    }
    assert_eq!(ids(&repository), TIMES);
    // A zone decides: at two in the morning in UTC it is still the day before in New York.
    let zone = [
        "prune",
        "--dry-run",
        "--keep-daily",
        "1",
        "--time-zone",
        "America/New_York",
    ];
    let shown = sandbox.succeed(&zone).stdout;
    assert!(shown.contains("newest of the day 2025-01-01"), "{shown}");
}

#[test]
fn a_removal_that_was_interrupted_is_told_and_ended_as_litter() {
    let sandbox = Sandbox::start();
    let repository = with_backups(&sandbox, &TIMES[..2]);
    let tombstone = format!("tombstones/kulti_backup_{}.json", TIMES[0]);
    repository
        .store()
        .create(&tombstone.parse().unwrap())
        .unwrap()
        .publish()
        .unwrap();
    let run = sandbox.run(&["prune", "--keep-last", "1"]);
    assert_eq!(run.code, Some(5), "{run:?}");
    assert!(
        run.stderr.contains("is being removed") && run.stderr.contains("prune --litter"),
        "{run:?}"
    );
    let held = format!("kulti_backup_{}", TIMES[0]);
    let run = sandbox.run(&["hold", &held, "--reason", "case 12"]);
    assert!(
        run.code == Some(5) && run.stderr.contains("is being removed"),
        "{run:?}"
    );
    sandbox.succeed(&["release", &held]);
    sandbox.succeed(&["prune", "--litter", "--grace", "0", "--keep-last", "1"]);
    assert_eq!(ids(&repository), [TIMES[1]]);
}
