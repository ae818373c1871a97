//! Queries of rules: their values in the backup's own snapshot, compared with a restored database.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backstay::manifest::CheckOutcome;
use backstay::{
    CancelToken, Expectation, Phase, ProgressEvent, RestoreOptions, Severity, SqlCheck, TargetPolicy, ask_checks,
};

use crate::sabotage::{back_up_hooked, scene};
use crate::support::{open, restore};

#[test]
fn questions_see_the_snapshot() {
    let database = "questions";
    let tables = "CREATE TABLE t AS SELECT generate_series(1, 100) AS x;";
    let (cluster, repository) = scene(database, tables);
    let check = |name: &str, query: &str| SqlCheck::new(name, query, Expectation::AsInBackup);
    let checks = [
        check("sum", "SELECT sum(x) FROM public.t"),
        check("unqualified", "SELECT sum(x) FROM t"),
        check("destroyer", "DELETE FROM public.t RETURNING x"),
        check("endless", "SELECT pg_catalog.pg_sleep(600)"),
        check("count", "SELECT count(*) FROM public.t"),
    ];
    let is_changed = AtomicBool::new(false);
    let hook = |event: &ProgressEvent<'_>| {
        let has_begun = matches!(event, ProgressEvent::Phase { phase: Phase::Rows, .. });
        if has_begun && !is_changed.swap(true, Ordering::SeqCst) {
            cluster.sql(database, "DELETE FROM t WHERE x > 10");
        }
    };
    let options = |options: &mut backstay::BackupOptions| {
        options.checks = checks.to_vec();
        options.source.query_limit = Duration::from_millis(500);
    };
    let report = back_up_hooked(&cluster, database, &repository, options, hook, &CancelToken::new()).unwrap();
    assert!(is_changed.load(Ordering::SeqCst));
    let manifest = &report.published.manifest;
    let told: Vec<String> = manifest
        .check_values
        .iter()
        .map(|value| match &value.outcome {
            CheckOutcome::Value(text) => format!("{} = {}", value.name, text.clone().unwrap_or_default()),
            CheckOutcome::Failed(_) => format!("{} failed", value.name),
        })
        .collect();
    assert_eq!(
        told,
        [
            "sum = 5050",
            "unqualified failed",
            "destroyer failed",
            "endless failed",
            "count = 100"
        ]
    );
    // The manifest that is read has them too.
    assert_eq!(
        repository.read_manifest(&manifest.id).unwrap().check_values,
        manifest.check_values
    );

    let restored = "questions_restored";
    let mut target = RestoreOptions::default();
    target.target = TargetPolicy::Create;
    assert!(
        restore(&cluster, &open(&repository, &report), restored, &target)
            .unwrap()
            .is_complete()
    );
    let judge = |database: &str| -> Vec<(Severity, String)> {
        let asked = [checks[0].clone(), checks[1].clone(), checks[4].clone()];
        let limit = Duration::from_secs(60);
        let outcomes = ask_checks(&cluster.config(database), &asked, limit, &CancelToken::new());
        let pairs = asked.iter().zip(&outcomes);
        pairs
            .filter_map(|(check, outcome)| check.judge(outcome, &manifest.check_values))
            .map(|finding| (finding.severity, finding.subject))
            .collect()
    };
    let failed = (Severity::Error, "unqualified".to_owned());
    assert_eq!(judge(restored), std::slice::from_ref(&failed));
    let other = |name: &str| (Severity::Error, name.to_owned());
    assert_eq!(judge(database), [other("sum"), failed, other("count")]);
}
