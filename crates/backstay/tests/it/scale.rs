//! Databases of many things: tables, partitions, large objects; more of them than the server can lock.

use backstay::{Atomicity, BackupError, Inclusion, PreflightNeeds, Prove, RestoreOptions, TargetPolicy};

use crate::sabotage::{assert_untouched, chain, scene};
use crate::support::{Cluster, assert_same, back_up, checked, default_installation, open, programs, restore};

/// So few locks that some hundred tables are too many, as ten thousand are for a server as it is installed.
const FEW_LOCKS: &[(&str, &str)] = &[
    ("max_locks_per_transaction", "16"),
    ("max_connections", "25"),
    ("max_worker_processes", "0"),
    ("max_wal_senders", "0"),
    ("wal_level", "minimal"),
];

/// Makes tables in transactions of their own, since one transaction could not lock them all.
fn make_tables(cluster: &Cluster, database: &str, numbers: std::ops::Range<usize>) {
    let sql: String = numbers
        .map(|number| {
            format!("CREATE TABLE t{number} (x serial PRIMARY KEY, y text); INSERT INTO t{number} VALUES ({number});\n")
        })
        .collect();
    let file = cluster.path("tables.sql");
    std::fs::write(&file, sql).unwrap();
    checked(
        cluster
            .client("psql", database)
            .args(["-Xq", "-v", "ON_ERROR_STOP=1", "-f"])
            .arg(&file),
    );
}

#[test]
fn more_tables_than_the_server_can_lock_are_told_of() {
    let cluster = Cluster::start_as(&default_installation(), "postgres", FEW_LOCKS);
    let database = "many";
    cluster.create_database(database);
    let repository = cluster.repository("backups");
    make_tables(&cluster, database, 0..130);
    let report = back_up(&cluster, database, &repository, |_| {}).unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(report.findings, []);
    let backup = open(&repository, &report);
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    options.prove = Prove::Yes;
    let done = restore(&cluster, &backup, "in_steps", &options).unwrap();
    assert!(done.is_complete(), "{:#?}", (done.failures, done.proof));
    assert_same(&cluster, database, "in_steps");

    make_tables(&cluster, database, 130..800);
    let needs = PreflightNeeds {
        jobs: 1,
        programs: &programs(),
        pg_dump: None,
        whole_database: true,
        platform: backstay::PlatformChoice::Auto,
        large_objects: Inclusion::Included,
    };
    let found = backstay::preflight(&cluster.config(database), needs).unwrap().findings;
    let [warning] = &found[..] else {
        panic!("{found:?}");
    };
    assert!(
        warning.message.starts_with("1600 tables, views and sequences"),
        "{warning:?}"
    );
    let nowhere = cluster.repository("nowhere");
    let error = back_up(&cluster, database, &nowhere, |_| {}).unwrap_err();
    assert!(matches!(error, BackupError::Source(_)), "{error:?}");
    assert!(chain(&error).contains("max_locks_per_transaction"), "{}", chain(&error));
    assert_untouched(&nowhere);

    // The number that it is told to raise it to is enough.
    let hint = warning.hint.as_deref().unwrap();
    let number = hint.split(' ').find(|word| word.parse::<u32>().is_ok()).unwrap();
    cluster.sql(
        "postgres",
        &format!("ALTER SYSTEM SET max_locks_per_transaction = {number}"),
    );
    let mut cluster = cluster;
    cluster.server.crash().unwrap();
    cluster.server.restart().unwrap();
    let report = back_up(&cluster, database, &nowhere, |_| {}).unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(report.published.manifest.row_count(), 800);

    // All of it at once takes several locks for each table.
    options.atomicity = Atomicity::SingleTransaction;
    let done = restore(&cluster, &open(&nowhere, &report), "at_once", &options).unwrap();
    let [failure] = &done.failures[..] else {
        panic!("{done:?}");
    };
    assert!(failure.error.contains("max_locks_per_transaction"), "{failure:?}");
    assert_eq!(
        cluster.sql("at_once", "SELECT count(*) FROM pg_class WHERE relname LIKE 't1%'"),
        "0"
    );
}

#[test]
fn thousands_of_large_objects_and_hundreds_of_partitions_come_back() {
    let database = "scale";
    let (cluster, repository) = scene(
        database,
        "SELECT count(lo_from_bytea(100000 + i, convert_to(repeat(i::text, i % 50), 'UTF8'))) FROM generate_series(1, 3000) i;
         CREATE TABLE parted (x int PRIMARY KEY, y text) PARTITION BY RANGE (x);
         DO $$ BEGIN FOR i IN 0..299 LOOP
           EXECUTE format('CREATE TABLE part_%s PARTITION OF parted FOR VALUES FROM (%s) TO (%s)', i, i, i + 1);
         END LOOP; END $$;
         INSERT INTO parted SELECT i, i::text FROM generate_series(0, 299) i; CREATE INDEX ON parted (y)",
    );
    let report = back_up(&cluster, database, &repository, |_| {}).unwrap_or_else(|error| panic!("{}", chain(&error)));
    let backup = open(&repository, &report);
    assert_eq!(backup.manifest().large_objects.as_ref().unwrap().count, 3000);
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    options.prove = Prove::Yes;
    let done = restore(&cluster, &backup, "scale_copy", &options).unwrap();
    assert!(done.is_complete(), "{:#?}", (done.failures, done.proof));
    assert_same(&cluster, database, "scale_copy");
}
