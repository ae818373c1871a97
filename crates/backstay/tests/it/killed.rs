//! Everything that can die in the middle of a backup or a restore dies: afterwards there is no backup or a whole one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use backstay::manifest::TableRows;
use backstay::{
    Atomicity, BackupError, BackupReport, CancelToken, CheckOptions, Phase, ProgressEvent, Repository, RestoreOptions,
    TargetError, TargetPolicy,
};
use backstay_testkit::tcp_proxy::TcpProxy;

use crate::sabotage::{
    Hook, assert_untouched, await_truth, back_up_hooked, chain, connect, scene, scripted_pg_dump, terminate, through,
};
use crate::support::{Cluster, default_installation, open, programs, restore};

/// A table of several chunks, more tables for servers on which that is one, and one of everything that is read after the
/// rows.
const TABLES: &str = "
    CREATE TABLE big (x int PRIMARY KEY, t text) WITH (fillfactor = 10);
    INSERT INTO big SELECT i, md5(i::text) FROM generate_series(1, 30000) i;
    CREATE TABLE small AS SELECT generate_series(1, 50) AS x;
    SELECT 1 AS x INTO few_1; SELECT 1 AS x INTO few_2; SELECT 1 AS x INTO few_3; SELECT 1 AS x INTO few_4;
    CREATE SEQUENCE counter;
    SELECT lo_from_bytea(4711, 'hello');
    CREATE MATERIALIZED VIEW summed AS SELECT sum(x) FROM big;";

/// A moment of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Begin(Phase),
    /// After so many chunks.
    Chunk(usize),
}

const MOMENTS: [Moment; 6] = [
    Moment::Begin(Phase::Preflight),
    Moment::Begin(Phase::Schema),
    Moment::Begin(Phase::Rows),
    Moment::Chunk(1),
    Moment::Chunk(4),
    Moment::Begin(Phase::Publish),
];

/// Does something once, when the moment has come.
fn at(moment: Moment, act: impl Fn() + Sync) -> impl Fn(&ProgressEvent<'_>) + Sync {
    let (chunks, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    move |event| {
        let come = match event {
            ProgressEvent::Phase { phase, .. } => moment == Moment::Begin(*phase),
            ProgressEvent::Advance { .. } => moment == Moment::Chunk(chunks.fetch_add(1, Ordering::SeqCst) + 1),
            _ => false,
        };
        if come && !done.swap(true, Ordering::SeqCst) {
            act();
        }
    }
}

/// After what happened there is no backup, or, where the database was no longer needed, a whole one.
fn assert_none_or_whole(moment: Moment, result: &Result<BackupReport, BackupError>, repository: &Repository) {
    match result {
        Err(error) => {
            assert_untouched(repository);
            assert!(!chain(error).is_empty());
        }
        Ok(report) => {
            assert_eq!(
                moment,
                Moment::Begin(Phase::Publish),
                "a backup although its source was gone"
            );
            let archive = backstay::Archive::open(repository, &report.published.manifest.id).unwrap();
            let options = CheckOptions::default();
            let checked = backstay::verify(&archive, &options, &backstay::Silent, &CancelToken::new()).unwrap();
            assert!(checked.is_sound(), "{}", checked.render());
        }
    }
}

/// The next backup is as good as if nothing had happened.
fn assert_next_works(cluster: &Cluster, database: &str, repository: &Repository) {
    let before = repository.list().unwrap().backups.len();
    if before > 0 {
        // The time in its name has seconds.
        thread::sleep(Duration::from_millis(1100));
    }
    let report = back_up_hooked(cluster, database, repository, |_| {}, |_| {}, &CancelToken::new());
    let report = report.unwrap_or_else(|error| panic!("{}", chain(&error)));
    let backup = open(repository, &report);
    let rows = backup.manifest().tables.iter().map(|table| match &table.rows {
        TableRows::Included { digest, .. } => digest.rows(),
        TableRows::Excluded { .. } => 0,
    });
    assert_eq!(rows.sum::<u64>(), 30054);
    assert_eq!(repository.list().unwrap().backups.len(), before + 1);
}

#[test]
fn cancelled_at_any_moment_there_is_nothing() {
    let database = "cancelled";
    let (cluster, _) = scene(database, TABLES);
    for (number, moment) in MOMENTS.into_iter().enumerate() {
        let repository = cluster.repository(&format!("cancelled_{number}"));
        let cancel = CancelToken::new();
        let hook = at(moment, || cancel.cancel());
        let result = back_up_hooked(&cluster, database, &repository, |_| {}, hook, &cancel);
        assert_none_or_whole(moment, &result, &repository);
        if let Err(error) = result {
            assert!(matches!(error, BackupError::Cancelled), "{moment:?}: {error:?}");
        }
    }
    let sessions = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'cancelled' AND pid <> pg_backend_pid()";
    await_truth(&cluster, database, sessions);
    assert_next_works(&cluster, database, &cluster.repository("cancelled_0"));
}

#[test]
fn a_lost_session_at_any_moment_ends_the_backup() {
    let database = "lost_sessions";
    let (cluster, _) = scene(database, TABLES);
    // The first with a snapshot is its holder: it was there before the workers. One without is about to leave.
    for (victim, which) in [("holder", "ASC LIMIT 1"), ("worker", "DESC LIMIT 1"), ("all", "ASC")] {
        for moment in [Moment::Begin(Phase::Rows), Moment::Chunk(1), Moment::Chunk(4)] {
            let name = format!("lost_{victim}_{moment:?}").replace(['(', ')'], "_");
            let repository = cluster.repository(&name);
            let act = || {
                let pids = format!(
                    "SELECT pid FROM pg_stat_activity WHERE datname = '{database}' AND backend_xmin IS NOT NULL \
                     ORDER BY backend_start {which}"
                );
                terminate(&cluster, &pids);
            };
            let with = |options: &mut backstay::BackupOptions| options.source.jobs = 4;
            let began = Instant::now();
            let result = back_up_hooked(
                &cluster,
                database,
                &repository,
                with,
                at(moment, act),
                &CancelToken::new(),
            );
            // Where the last one of the sessions had nothing more to do, it is not missed.
            if victim == "worker" && result.is_ok() {
                assert_ne!(moment, Moment::Begin(Phase::Rows));
                assert_next_works(&cluster, database, &repository);
                continue;
            }
            assert!(result.is_err(), "{name}");
            assert_none_or_whole(moment, &result, &repository);
            assert!(
                began.elapsed() < Duration::from_secs(15),
                "{name} took {:?}",
                began.elapsed()
            );
        }
    }
    assert_next_works(&cluster, database, &cluster.repository("lost_holder_Chunk_1_"));
}

#[test]
fn a_server_that_crashes_at_any_moment_ends_the_backup() {
    let cluster = Cluster::start(&default_installation());
    let database = "crashing";
    cluster.create_database(database);
    cluster.sql(database, TABLES);
    for (number, moment) in MOMENTS.into_iter().skip(1).enumerate() {
        let repository = cluster.repository(&format!("crashing_{number}"));
        // The server ends its oldest session last, so when this one is gone, all are.
        let witness = Mutex::new(connect(&cluster, database));
        let act = || {
            // Killed without a chance to say good-bye; the server ends all other sessions and recovers.
            let mut victim = connect(&cluster, database);
            cluster
                .server
                .kill_backend(victim.backend_pid().unwrap().try_into().unwrap())
                .unwrap();
            assert!(victim.query(b"SELECT 1").is_err());
            // It notices in its own time, and takes new connections until then.
            let began = Instant::now();
            while witness.lock().unwrap().query(b"SELECT 1").is_ok() {
                assert!(began.elapsed() < Duration::from_secs(30), "the server notices");
                thread::sleep(Duration::from_millis(1));
            }
        };
        let result = back_up_hooked(
            &cluster,
            database,
            &repository,
            |_| {},
            at(moment, act),
            &CancelToken::new(),
        );
        let began = Instant::now();
        while backstay_postgres::connect_client(&cluster.config(database)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "the server recovers");
            thread::sleep(Duration::from_millis(50));
        }
        // A crash before the first connection of the backup, or between two, may be over by the next one.
        if moment == Moment::Begin(Phase::Schema) && result.is_ok() {
            continue;
        }
        assert_none_or_whole(moment, &result, &repository);
    }
    assert_next_works(&cluster, database, &cluster.repository("crashing_1"));
}

#[test]
fn a_server_that_goes_at_any_moment_ends_the_backup() {
    let cluster = Mutex::new(Cluster::start(&default_installation()));
    let database = "going";
    let (config, folder) = {
        let cluster = cluster.lock().unwrap();
        cluster.create_database(database);
        cluster.sql(database, TABLES);
        (cluster.config(database), cluster.path(""))
    };
    for (number, moment) in MOMENTS.into_iter().enumerate() {
        let location = folder.join(format!("going_{number}"));
        let store = backstay::open_store(location.to_str().unwrap(), backstay::WhenMissing::Create).unwrap();
        let repository = Repository::new(store);
        let act = || cluster.lock().unwrap().server.crash().unwrap();
        let result = backstay::back_up(
            &config,
            &repository,
            jiff::Timestamp::now(),
            &programs(),
            &backstay::BackupOptions::default(),
            &Hook(at(moment, act)),
            &CancelToken::new(),
        );
        assert_none_or_whole(moment, &result, &repository);
        cluster.lock().unwrap().server.restart().unwrap();
    }
    let cluster = cluster.into_inner().unwrap();
    assert_next_works(&cluster, database, &cluster.repository("going_0"));
}

#[test]
fn a_network_that_drops_connections_at_any_moment_ends_the_backup() {
    let database = "cut_off";
    let (cluster, _) = scene(database, TABLES);
    let cable = TcpProxy::to_port(cluster.server.port());
    for (number, moment) in MOMENTS.into_iter().skip(2).enumerate() {
        let repository = cluster.repository(&format!("cut_off_{number}"));
        let result = backstay::back_up(
            &through(&cable, cluster.config(database)),
            &repository,
            jiff::Timestamp::now(),
            &programs(),
            &backstay::BackupOptions::default(),
            &Hook(at(moment, || cable.cut())),
            &CancelToken::new(),
        );
        assert_none_or_whole(moment, &result, &repository);
    }
    assert_next_works(&cluster, database, &cluster.repository("cut_off_0"));
}

#[test]
fn a_pg_dump_that_fails_in_any_way_ends_the_backup() {
    let database = "failing_dump";
    let (cluster, repository) = scene(database, TABLES);
    for (name, script, expected) in [
        ("at_once", "exit 1", "ended with exit status 1"),
        (
            "says_why",
            "echo 'pg_dump: error: no way' >&2; exit 3",
            "exit status 3: pg_dump: error: no way",
        ),
        ("nothing", "exit 0", "cannot understand the output of pg_dump"),
        ("garbage", "seq 10000", "cannot understand the output of pg_dump"),
        (
            "fails_after_all",
            "\"$real\" \"$@\"; exit 1",
            "ended with exit status 1",
        ),
        (
            "fails_in_the_middle",
            "\"$real\" \"$@\" | head -c 1000; exit 1",
            "ended with exit status 1",
        ),
        (
            "cut_5",
            "\"$real\" \"$@\" | head -c 5",
            "cannot understand the output of pg_dump",
        ),
        (
            "cut_300",
            "\"$real\" \"$@\" | head -c 300",
            "cannot understand the output of pg_dump",
        ),
        (
            "cut_half",
            "\"$real\" \"$@\" | head -c -1000",
            "cannot understand the output of pg_dump",
        ),
        (
            "cut_last",
            "\"$real\" \"$@\" | head -c -1",
            "cannot understand the output of pg_dump",
        ),
        ("killed", "\"$real\" \"$@\"; kill -9 $$", "signal 9"),
        ("crashes", "kill -SEGV $$", "signal 11"),
        // Another database, in which there is nothing.
        (
            "elsewhere",
            "PGDATABASE=postgres \"$real\" --schema-only -Fc",
            "in the snapshot and not in the output of pg_dump",
        ),
    ] {
        let program = scripted_pg_dump(&cluster, &format!("{database}_{name}"), script);
        let with = |options: &mut backstay::BackupOptions| options.pg_dump = Some(program);
        let result = back_up_hooked(&cluster, database, &repository, with, |_| {}, &CancelToken::new());
        let Err(error) = result else {
            panic!("{name}: a backup");
        };
        assert!(chain(&error).contains(expected), "{name}: {}", chain(&error));
        assert_untouched(&repository);
    }
    // One that does not end until it is told to.
    let hanging = scripted_pg_dump(&cluster, "hanging_dump", "echo PGDMP; touch $marks/begun; sleep 1000");
    let cancel = CancelToken::new();
    let began = Instant::now();
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            let begun = cluster.path("hanging_dump.marks/begun");
            while !begun.exists() {
                thread::sleep(Duration::from_millis(10));
            }
            cancel.cancel();
        });
        let with = |options: &mut backstay::BackupOptions| options.pg_dump = Some(hanging);
        back_up_hooked(&cluster, database, &repository, with, |_| {}, &cancel).unwrap_err()
    });
    assert!(matches!(error, BackupError::Cancelled), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_untouched(&repository);
    assert_next_works(&cluster, database, &repository);
}

#[test]
fn a_panic_of_the_callers_observer_ends_the_backup() {
    let database = "panicking";
    let (cluster, repository) = scene(database, TABLES);
    for moment in [
        Moment::Begin(Phase::Schema),
        Moment::Begin(Phase::Rows),
        Moment::Chunk(1),
    ] {
        let hook = at(moment, || panic!("the observer's own"));
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let with = |options: &mut backstay::BackupOptions| options.source.jobs = 4;
            drop(back_up_hooked(
                &cluster,
                database,
                &repository,
                with,
                hook,
                &CancelToken::new(),
            ));
        }));
        assert!(ended.is_err(), "{moment:?}");
        assert_untouched(&repository);
    }
    assert_next_works(&cluster, database, &repository);
}

#[test]
fn a_restore_that_is_broken_off_never_says_that_it_is_complete() {
    let database = "broken_restore";
    let (cluster, repository) = scene(database, TABLES);
    let report = back_up_hooked(&cluster, database, &repository, |_| {}, |_| {}, &CancelToken::new()).unwrap();
    let backup = open(&repository, &report);
    let moments = [
        Moment::Begin(Phase::PreData),
        Moment::Begin(Phase::Restore),
        Moment::Chunk(1),
        Moment::Chunk(3),
        Moment::Begin(Phase::Prove),
    ];
    for atomicity in [Atomicity::StepByStep, Atomicity::SingleTransaction] {
        for (number, moment) in moments.into_iter().enumerate() {
            for how in ["cancel", "terminate"] {
                let copy = format!("broken_{how}_{atomicity:?}_{number}").to_lowercase();
                let mut options = RestoreOptions::default();
                options.target = TargetPolicy::Create;
                options.atomicity = atomicity;
                options.prove = backstay::Prove::Yes;
                let config = cluster.config(&copy);
                let plan = backstay::plan_restore(&backup, &config, &options).unwrap();
                let cancel = CancelToken::new();
                let happened = AtomicBool::new(false);
                let hook = at(moment, || {
                    match how {
                        "cancel" => cancel.cancel(),
                        _ => {
                            let pids = format!("SELECT pid FROM pg_stat_activity WHERE datname = '{copy}'");
                            if terminate(&cluster, &pids) == 0 {
                                return;
                            }
                        }
                    }
                    happened.store(true, Ordering::SeqCst);
                });
                let result = backstay::restore(&backup, &plan, &config, &Hook(hook), &cancel);
                let missing = |sql: &str| cluster.sql(&copy, sql) != "30000";
                match &result {
                    Ok(report) if report.is_complete() => {
                        // Sessions that were idle are opened anew for the proof.
                        let idle = how == "terminate" && moment == Moment::Begin(Phase::Prove);
                        assert!(idle || !happened.into_inner(), "{copy}: {report:?}");
                        assert!(!missing("SELECT count(*) FROM big"), "{copy}");
                    }
                    Ok(report) => assert!(!report.failures.is_empty() || report.proof.is_some(), "{copy}"),
                    Err(TargetError::Cancelled) => assert_eq!(how, "cancel", "{copy}"),
                    Err(error) => assert_eq!(how, "terminate", "{copy}: {}", chain(error)),
                }
                let exists = format!("SELECT count(*) FROM pg_database WHERE datname = '{copy}'");
                let before_the_end = moment != Moment::Begin(Phase::Prove);
                if atomicity == Atomicity::SingleTransaction
                    && before_the_end
                    && !matches!(&result, Ok(report) if report.is_complete())
                    && cluster.sql("postgres", &exists) == "1"
                {
                    let left = cluster.sql(&copy, "SELECT to_regclass('big') IS NULL");
                    assert_eq!(left, "t", "{copy}: all or nothing");
                }
            }
        }
    }
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    assert!(
        restore(&cluster, &backup, "broken_not", &options)
            .unwrap()
            .is_complete()
    );
}
