//! What the design says of the snapshot, of workers and of a restore that loses rows, seen while they run.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use backstay::{Atomicity, CancelToken, Inclusion, Keep, Parts, ProgressEvent, RestoreOptions, TargetPolicy};

use crate::sabotage::{assert_untouched, await_waiting, back_up_hooked, chain, scene};
use crate::support::{back_up, open, restore};

use super::{backup_of, rows_of};

#[test]
fn what_comes_after_the_snapshot_is_not_in_the_backup() {
    let database = "later_rows";
    let (cluster, repository) = scene(database, "CREATE TABLE t AS SELECT generate_series(1, 3) AS x");
    let hook = |event: &ProgressEvent<'_>| {
        if let ProgressEvent::Phase {
            phase: backstay::Phase::Rows,
            ..
        } = event
        {
            cluster.sql(database, "INSERT INTO t VALUES (4)");
        }
    };
    let report = back_up_hooked(&cluster, database, &repository, |_| {}, hook, &CancelToken::new()).unwrap();
    assert_eq!(rows_of(&open(&repository, &report), "t")[0].lines().nth(4), Some("\\."));
    assert_eq!(cluster.sql(database, "SELECT count(*) FROM t"), "4");
}

#[test]
fn workers_hold_the_lock_of_one_table() {
    let database = "locks_of_workers";
    let (cluster, repository) = scene(
        database,
        "CREATE TABLE a AS SELECT 1; CREATE TABLE b AS SELECT 1; CREATE TABLE c AS SELECT 1",
    );
    // The holder has the locks of all of them.
    let sql = "SELECT string_agg(n::text, ' ' ORDER BY n) FROM (
                 SELECT count(*) AS n FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
                 WHERE c.oid >= 16384 AND c.relkind = 'r' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                 GROUP BY l.pid) locks";
    let seen = Mutex::new(Vec::new());
    let hook = |event: &ProgressEvent<'_>| {
        if let ProgressEvent::Advance { table: Some(_), .. } = event {
            seen.lock().unwrap().push(cluster.sql(database, sql));
        }
    };
    let with = |options: &mut backstay::BackupOptions| options.source.jobs = 1;
    back_up_hooked(&cluster, database, &repository, with, hook, &CancelToken::new()).unwrap();
    assert_eq!(seen.into_inner().unwrap(), ["1 3"; 3]);
}

#[test]
fn a_holder_that_is_lost_at_the_end_ends_the_backup() {
    let database = "lost_holder";
    let (cluster, repository) = scene(database, "CREATE TABLE t AS SELECT 1 AS x");
    let ended = AtomicBool::new(false);
    let hook = |event: &ProgressEvent<'_>| {
        if let ProgressEvent::Advance { table: Some(_), .. } = event {
            cluster.sql(
                database,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            );
            ended.store(true, Ordering::SeqCst);
        }
    };
    // Nothing but the end of its transaction is asked of the holder then.
    let with = |options: &mut backstay::BackupOptions| options.source.large_objects = Inclusion::Excluded;
    let error = back_up_hooked(&cluster, database, &repository, with, hook, &CancelToken::new()).unwrap_err();
    assert!(ended.into_inner());
    assert!(
        chain(&error).contains("keep the snapshot to the end"),
        "{}",
        chain(&error)
    );
    assert_untouched(&repository);
}

#[test]
fn a_restore_that_lost_rows_says_so() {
    let (cluster, backup) = backup_of("lossy", "CREATE TABLE t AS SELECT generate_series(1, 3) AS x");
    cluster.create_database("lossy_copy");
    cluster.sql(
        "lossy_copy",
        "CREATE TABLE t (x int);
         CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.x = 2 THEN RETURN NULL; END IF; RETURN NEW; END';
         CREATE TRIGGER lose BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION lose(); ALTER TABLE t ENABLE ALWAYS TRIGGER lose",
    );
    let mut options = RestoreOptions::default();
    options.parts = Parts::Data;
    options.owners = Keep::No;
    let report = restore(&cluster, &backup, "lossy_copy", &options).unwrap();
    assert!(!report.is_complete());
    assert!(
        report.failures[0].error.contains("it took 2 of 3 rows"),
        "{:?}",
        report.failures
    );
}

#[test]
fn a_restore_whose_rows_went_says_so() {
    let (cluster, repository) = scene(
        "eaten",
        "CREATE TABLE t AS SELECT generate_series(1, 3) AS x;
         CREATE FUNCTION eat() RETURNS int LANGUAGE sql AS 'DELETE FROM public.t WHERE x = 2 RETURNING x';
         CREATE MATERIALIZED VIEW m AS SELECT eat() AS x; INSERT INTO t VALUES (2)",
    );
    let report = back_up(&cluster, "eaten", &repository, |_| {}).unwrap();
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    let backup = open(&repository, &report);
    options.atomicity = Atomicity::SingleTransaction;
    let undone = restore(&cluster, &backup, "eaten_whole", &options);
    assert!(undone.is_err() || undone.is_ok_and(|report| !report.is_complete()));
    options.atomicity = Atomicity::StepByStep;
    let report = restore(&cluster, &backup, "eaten_copy", &options).unwrap();
    assert!(!report.is_complete());
    assert_eq!(
        report.failures[0].error, "3 rows were loaded and 2 are there",
        "{:?}",
        report.failures
    );
}

/// A wait that is longer than any of these tests takes, for those that must not wait at all.
const LONG: Duration = Duration::from_secs(120);

#[test]
fn a_worker_does_not_wait_for_a_lock() {
    let database = "no_wait";
    let (cluster, repository) = scene(database, "CREATE TABLE t AS SELECT 1 AS x");
    let started = AtomicBool::new(false);
    thread::scope(|scope| {
        let cancel = CancelToken::new();
        let hook = |event: &ProgressEvent<'_>| {
            let planned = matches!(
                event,
                ProgressEvent::Phase {
                    phase: backstay::Phase::Rows,
                    ..
                }
            );
            if planned && !started.swap(true, Ordering::SeqCst) {
                let cluster = &cluster;
                scope.spawn(move || cluster.sql(database, "ALTER TABLE t ADD COLUMN y int"));
                await_waiting(cluster, database, 1);
                let cancel = cancel.clone();
                thread::spawn(move || {
                    thread::sleep(Duration::from_secs(10));
                    cancel.cancel();
                });
            }
        };
        let with = |options: &mut backstay::BackupOptions| options.source.lock_wait = LONG;
        let made = back_up_hooked(&cluster, database, &repository, with, hook, &cancel);
        assert!(
            made.is_ok(),
            "it waited behind somebody who waits for the holder: {made:?}"
        );
    });
}
