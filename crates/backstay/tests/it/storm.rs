//! A backup while everybody writes: money moves between accounts and definitions come and go.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use backstay::{CancelToken, ProgressEvent, Prove, RestoreOptions, TargetPolicy};

use crate::sabotage::{back_up_hooked, chain, connect, noting};
use crate::support::{Cluster, default_installation, open, restore};

/// Wide rows that move to other pages when they change, rows with room that stay, and a table that is filled anew.
const BANK: &str = "
    CREATE TABLE moving (id int PRIMARY KEY, balance bigint NOT NULL, note text);
    ALTER TABLE moving ALTER note SET STORAGE PLAIN;
    INSERT INTO moving SELECT i, 1000, repeat(md5(i::text), 30) FROM generate_series(1, 60000) i;
    CREATE TABLE staying (id int PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 10);
    INSERT INTO staying SELECT i, 1000 FROM generate_series(1, 60000) i;
    CREATE TABLE emptied AS SELECT generate_series(1, 10) AS x;
    CREATE TABLE rewritten AS SELECT generate_series(1, 5000) AS x;
    CREATE VIEW total AS SELECT (SELECT sum(balance) FROM moving) + (SELECT sum(balance) FROM staying) AS sum;";

/// What one of the others does again and again. What has to wait for the backup gives up soon, or not at all.
const DISTURBANCES: [&str; 6] = [
    "SET lock_timeout = '100ms'; ALTER TABLE moving ADD COLUMN added int DEFAULT 1; ALTER TABLE moving DROP COLUMN added",
    "SET lock_timeout = '150ms'; BEGIN; TRUNCATE emptied; INSERT INTO emptied SELECT generate_series(1, 10); COMMIT",
    "SET lock_timeout = 0; CREATE TABLE passing (x serial PRIMARY KEY); INSERT INTO passing SELECT 1; DROP TABLE passing",
    "SET lock_timeout = '150ms'; ALTER TABLE rewritten ALTER x TYPE bigint; ALTER TABLE rewritten ALTER x TYPE int",
    "VACUUM staying",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS passing_index ON staying (balance)",
];

#[test]
fn the_sum_of_balances_is_right_whatever_happens_meanwhile() {
    let cluster = Cluster::start(&default_installation());
    let database = "bank";
    cluster.create_database(database);
    cluster.sql(database, BANK);
    let repository = cluster.repository("backups");
    let (calm, transfers, disturbed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (reports, notes) = thread::scope(|scope| {
        for seed in 1..4 {
            let (cluster, calm, transfers) = (&cluster, &calm, &transfers);
            scope.spawn(move || transfer(cluster, database, seed, calm, transfers));
        }
        for (index, sql) in DISTURBANCES.into_iter().enumerate() {
            let (cluster, calm, disturbed) = (&cluster, &calm, &disturbed);
            scope.spawn(move || {
                let mut connection = connect(cluster, database);
                while !calm.load(Ordering::Relaxed) {
                    for statement in sql.split("; ") {
                        disturbed.fetch_add(
                            u64::from(connection.execute(statement.as_bytes()).is_ok()),
                            Ordering::Relaxed,
                        );
                    }
                    drop(connection.execute(b"ROLLBACK"));
                    thread::sleep(std::time::Duration::from_millis(100 + 50 * index as u64));
                }
            });
        }
        let notes = Mutex::new(Vec::new());
        let mut reports = Vec::new();
        for compression in ["gzip", "zstd"] {
            let before = transfers.load(Ordering::Relaxed);
            let during = AtomicU64::new(0);
            let hook = |event: &ProgressEvent<'_>| {
                noting(&notes)(event);
                if let ProgressEvent::Advance { .. } = event {
                    during.fetch_max(transfers.load(Ordering::Relaxed) - before, Ordering::Relaxed);
                }
            };
            let with = |options: &mut backstay::BackupOptions| {
                options.source.jobs = 4;
                options.compression = compression.parse().unwrap();
            };
            let report = back_up_hooked(&cluster, database, &repository, with, hook, &CancelToken::new());
            reports.push((report, during.into_inner()));
            // The time in its name has seconds.
            thread::sleep(std::time::Duration::from_millis(1100));
        }
        calm.store(true, Ordering::Relaxed);
        (reports, notes.into_inner().unwrap())
    });
    assert!(disturbed.load(Ordering::Relaxed) > 20);
    for (number, (report, during)) in reports.into_iter().enumerate() {
        let report = report.unwrap_or_else(|error| panic!("{}\nafter {notes:#?}", chain(&error)));
        assert!(during > 10, "nobody wrote while rows were read");
        let backup = open(&repository, &report);
        let chunks = backup.manifest().members.iter().filter(|member| {
            matches!(&member.content, backstay::manifest::MemberContent::Rows(block) if block.chunk.end_page.is_some())
        });
        // Before 14 a server cannot scan a range of pages, so that a table is one chunk without an end.
        let expected = if cluster.server.installation().major() < 14 {
            0..1
        } else {
            12..usize::MAX
        };
        let chunks = chunks.count();
        assert!(expected.contains(&chunks), "{chunks}");
        let copy = format!("copy_{number}");
        let mut options = RestoreOptions::default();
        options.target = TargetPolicy::Create;
        options.prove = Prove::Yes;
        let restored = restore(&cluster, &backup, &copy, &options).unwrap();
        assert!(restored.is_complete(), "{:#?}", (restored.failures, restored.proof));
        let copied = |sql: &str| cluster.sql(&copy, sql);
        assert_eq!(copied("SELECT sum FROM total"), "120000000");
        assert_eq!(
            copied("SELECT count(DISTINCT id) || ' ' || count(*) FROM moving"),
            "60000 60000"
        );
        assert_eq!(
            copied("SELECT count(DISTINCT id) || ' ' || count(*) FROM staying"),
            "60000 60000"
        );
        assert_eq!(copied("SELECT count(*) FROM emptied"), "10");
        assert_eq!(copied("SELECT count(*) FROM rewritten"), "5000");
    }
}

/// Moves money to and fro until it is calm.
fn transfer(cluster: &Cluster, database: &str, seed: u64, calm: &AtomicBool, transfers: &AtomicU64) {
    let mut connection = connect(cluster, database);
    let mut random = seed;
    let mut next = move || {
        // Good enough to be somewhere else each time (Knuth's MMIX constants).
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        random >> 33
    };
    while !calm.load(Ordering::Relaxed) {
        let (from, to, amount) = (1 + next() % 60000, 1 + next() % 60000, next() % 50);
        let (source, target) = match next() % 4 {
            0 => ("moving", "moving"),
            1 => ("staying", "moving"),
            2 => ("moving", "staying"),
            _ => ("staying", "staying"),
        };
        let sql = format!(
            "BEGIN; UPDATE {source} SET balance = balance - {amount} WHERE id = {from};
             UPDATE {target} SET balance = balance + {amount} WHERE id = {to}; COMMIT"
        );
        match connection.execute(sql.as_bytes()) {
            Ok(_) => drop(transfers.fetch_add(1, Ordering::Relaxed)),
            // One of two that met.
            Err(_) => drop(connection.execute(b"ROLLBACK")),
        }
    }
}
