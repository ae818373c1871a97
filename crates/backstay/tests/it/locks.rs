//! What others do to the definitions while a backup is made: the right rows, a new attempt, or a clear failure.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use backstay::{
    BackupError, BackupReport, CancelToken, Phase, ProgressEvent, Repository, RestoreOptions, SnapshotError,
    SourceError, TargetPolicy,
};
use backstay_postgres::{PgDump, SchemaDumpOptions, Toc, connect_client, dump_schema};

use crate::sabotage::{
    assert_untouched, await_waiting, back_up_hooked, chain, connect, noting, scene, scene_since, scripted_pg_dump,
};
use crate::support::{Cluster, assert_same, open, restore};

/// A table of several chunks and two of one.
const TABLES: &str = "
    CREATE TABLE big (x int, t text) WITH (fillfactor = 10);
    INSERT INTO big SELECT i, md5(i::text) FROM generate_series(1, 30000) i;
    CREATE INDEX big_x ON big (x);
    CREATE TABLE small (x int PRIMARY KEY); INSERT INTO small SELECT generate_series(1, 50);
    CREATE TABLE nothing ();
    INSERT INTO nothing DEFAULT VALUES;
    CREATE SEQUENCE counter;
    SELECT setval('counter', 41);
    CREATE FUNCTION edition() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE VIEW seen AS SELECT x + edition() AS x FROM small;";

/// Keeps a copy of the database as it is now, to compare with.
fn copy(cluster: &Cluster, database: &str) -> String {
    let name = format!("{database}_before");
    cluster.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {database}"));
    name
}

fn restored(cluster: &Cluster, repository: &Repository, report: &BackupReport, database: &str) -> String {
    let name = format!("{database}_after");
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    options.prove = backstay::Prove::Yes;
    let report = restore(cluster, &open(repository, report), &name, &options).unwrap();
    assert!(report.is_complete(), "{:#?}", report.failures);
    name
}

#[test]
fn who_waits_for_our_locks_does_not_keep_workers_from_reading() {
    let database = "waiting_alter";
    let (cluster, repository) = scene(database, TABLES);
    let before = copy(&cluster, database);
    let started = AtomicBool::new(false);
    let notes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let hook = |event: &ProgressEvent<'_>| {
            noting(&notes)(event);
            let planned = matches!(event, ProgressEvent::Phase { phase: Phase::Rows, .. });
            if planned && !started.swap(true, Ordering::SeqCst) {
                for table in ["big", "small", "nothing"] {
                    let sql = format!("ALTER TABLE {table} ADD COLUMN added int DEFAULT 7");
                    let cluster = &cluster;
                    scope.spawn(move || cluster.sql(database, &sql));
                }
                await_waiting(&cluster, database, 3);
            }
        };
        let jobs = |options: &mut backstay::BackupOptions| options.source.jobs = 4;
        let report = back_up_hooked(&cluster, database, &repository, jobs, hook, &CancelToken::new()).unwrap();
        let after = restored(&cluster, &repository, &report, database);
        assert_same(&cluster, &before, &after);
    });
    assert_eq!(notes.into_inner().unwrap(), Vec::<String>::new(), "no second attempt");
    let added = cluster.sql(database, "SELECT count(added) FROM big");
    assert_eq!(added, "30000", "those who waited got their turn");
}

#[test]
fn pg_dump_does_not_wait_for_ever_behind_those_who_wait_for_us() {
    let database = "waiting_before_dump";
    let (cluster, repository) = scene(database, TABLES);
    let alter = r#"
        alter() { $psql -c "ALTER TABLE small ADD COLUMN added_$1 int" >$marks/$1.log 2>&1 & }
        waits() { [ "$($psql -c "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
                                 WHERE NOT granted AND datname = current_database()")" != 0 ]; }"#;
    // Once: the second attempt has it all, and the one who waited had their turn.
    let once = format!(
        "{alter}\nif mkdir $marks/once; then alter once; until waits; do sleep 0.02; done; fi; exec \"$real\" \"$@\""
    );
    let once = scripted_pg_dump(&cluster, "waiting_once", &once);
    let notes = Mutex::new(Vec::new());
    let with = |options: &mut backstay::BackupOptions| {
        options.pg_dump = Some(once);
        options.source.lock_wait = Duration::from_secs(1);
    };
    let report = back_up_hooked(
        &cluster,
        database,
        &repository,
        with,
        noting(&notes),
        &CancelToken::new(),
    )
    .unwrap();
    let notes = notes.into_inner().unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].contains("waits for an exclusive lock on public.small (ALTER TABLE small ADD COLUMN added_once int)"),
        "{notes:?}"
    );
    let after = restored(&cluster, &repository, &report, database);
    assert_same(&cluster, database, &after);

    // Always: a failure that names who it was.
    let always = format!("{alter}\nalter $$; until waits; do sleep 0.02; done; exec \"$real\" \"$@\"");
    let always = scripted_pg_dump(&cluster, "waiting_always", &always);
    let with = |options: &mut backstay::BackupOptions| {
        options.pg_dump = Some(always);
        options.source.lock_wait = Duration::from_millis(400);
    };
    let other = cluster.repository("waiting_always");
    let error = back_up_hooked(&cluster, database, &other, with, |_| {}, &CancelToken::new()).unwrap_err();
    assert!(
        matches!(
            error,
            BackupError::Source(SourceError::Snapshot(SnapshotError::Unstable { .. }))
        ),
        "{error:?}"
    );
    assert!(
        chain(&error).contains("ALTER TABLE small ADD COLUMN"),
        "{}",
        chain(&error)
    );
    assert_untouched(&other);
}

/// Why the stamp is compared: `pg_dump` writes a view of its snapshot with the names of now.
#[test]
fn pg_dump_reads_definitions_that_its_snapshot_does_not_have() {
    let database = "definition_of_now";
    let (cluster, _) = scene(database, TABLES);
    let config = cluster.config(database);
    let mut holder = connect_client(&config).unwrap();
    holder.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ").unwrap();
    let snapshot: String = holder.query_one("SELECT pg_export_snapshot()", &[]).unwrap().get(0);
    cluster.sql(database, "ALTER FUNCTION edition() RENAME TO issue");
    let program = PgDump::at(cluster.server.installation().program("pg_dump"), 13).unwrap();
    let options = SchemaDumpOptions {
        snapshot: Some(&snapshot),
        ..SchemaDumpOptions::default()
    };
    let dump = dump_schema(&program, &config.child_environment(), &options, &|| false).unwrap();
    let toc = Toc::parse(&dump).unwrap();
    let view = toc.entries.iter().find(|entry| entry.kind == b"VIEW").unwrap();
    let definition = String::from_utf8_lossy(&view.definition).into_owned();
    assert!(definition.contains("public.issue()"), "{definition}");
    let has = |tag: &[u8]| {
        toc.entries
            .iter()
            .any(|entry| entry.kind == b"FUNCTION" && entry.tag == tag)
    };
    assert!(
        has(b"edition()") && !has(b"issue()"),
        "the view calls a function that is not there"
    );
}

#[test]
fn a_definition_that_changes_under_pg_dump_is_read_again() {
    const BEFORE: &str = "if mkdir $marks/once; then $psql -c \"$change\"; fi; exec \"$real\" \"$@\"";
    const AFTER: &str = "\"$real\" \"$@\" || exit; if mkdir $marks/once; then $psql -c \"$change\"; fi";
    for (database, when, change, reason) in [
        (
            "function_changes",
            AFTER,
            "CREATE OR REPLACE FUNCTION edition() RETURNS int LANGUAGE sql AS 'SELECT 2'",
            "the definition of function public.edition() changed",
        ),
        (
            "function_renamed",
            BEFORE,
            "ALTER FUNCTION edition() RENAME TO issue",
            "the definition of function public.issue() changed",
        ),
        (
            "public_renamed",
            BEFORE,
            "ALTER SCHEMA public RENAME TO old; ALTER SCHEMA old RENAME TO public",
            "the definition of schema public changed",
        ),
        ("view_goes", BEFORE, "DROP VIEW seen", "something was dropped"),
        (
            "function_goes",
            AFTER,
            "DROP FUNCTION edition() CASCADE",
            "something was dropped",
        ),
        (
            "sequence_goes",
            BEFORE,
            "DROP SEQUENCE counter",
            "a sequence was dropped",
        ),
        (
            "comment_comes",
            BEFORE,
            "COMMENT ON VIEW seen IS 'pg_dump reads it in the snapshot'",
            "",
        ),
        ("table_comes", BEFORE, "CREATE TABLE more AS SELECT 1 AS x", ""),
    ] {
        let (cluster, repository) = scene(database, &TABLES.replace("30000", "30"));
        let script = format!("change=\"{change}\"\n{when}");
        let program = scripted_pg_dump(&cluster, &format!("{database}_dump"), &script);
        let before = cluster.schema(database);
        let notes = Mutex::new(Vec::new());
        let with = |options: &mut backstay::BackupOptions| options.pg_dump = Some(program);
        let result = back_up_hooked(
            &cluster,
            database,
            &repository,
            with,
            noting(&notes),
            &CancelToken::new(),
        );
        let report = result.unwrap_or_else(|error| panic!("{database}: {}", chain(&error)));
        let notes = notes.into_inner().unwrap();
        let expected = if reason.is_empty() {
            assert_eq!(notes, Vec::<String>::new(), "{database}");
            before
        } else {
            assert!(notes.len() == 1 && notes[0].contains(reason), "{database}: {notes:?}");
            cluster.schema(database)
        };
        let after = restored(&cluster, &repository, &report, database);
        assert_eq!(cluster.schema(&after), expected, "{database}");
    }
}

#[test]
fn definitions_that_never_rest_end_the_backup() {
    let database = "never_rests";
    let (cluster, repository) = scene(database, TABLES);
    let script = "\"$real\" \"$@\" || exit; $psql -c \"CREATE OR REPLACE FUNCTION edition() RETURNS int LANGUAGE sql AS 'SELECT $$'\"";
    let program = scripted_pg_dump(&cluster, "never_rests_dump", script);
    let with = |options: &mut backstay::BackupOptions| options.pg_dump = Some(program);
    let error = back_up_hooked(&cluster, database, &repository, with, |_| {}, &CancelToken::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no consistent snapshot in 5 attempts; in the last one the definition of function public.edition() changed"
    );
    assert_untouched(&repository);
}

#[test]
fn a_table_that_somebody_keeps_locked_fails_the_backup_by_name() {
    let database = "kept_locked";
    let (cluster, repository) = scene(database, TABLES);
    let mut other = connect(&cluster, database);
    other
        .execute(b"BEGIN; LOCK TABLE small IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    let with = |options: &mut backstay::BackupOptions| options.source.lock_wait = Duration::from_millis(500);
    let began = Instant::now();
    let error = back_up_hooked(&cluster, database, &repository, with, |_| {}, &CancelToken::new()).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let pid = other.backend_pid().unwrap();
    let expected = format!(
        "process {pid} of postgres has an exclusive lock on public.small (BEGIN; LOCK TABLE small IN ACCESS EXCLUSIVE MODE)"
    );
    assert!(chain(&error).contains(&expected), "{}", chain(&error));
    assert_untouched(&repository);
    other.close();
    back_up_hooked(&cluster, database, &repository, |_| {}, |_| {}, &CancelToken::new()).unwrap();
}

/// A query locks a table's indexes, too, and `REINDEX` waits for one worker's lock while another worker waits behind it.
/// When the first waits for the second's chunk the server sees no deadlock, so the wait has an end.
#[test]
fn an_index_that_somebody_waits_for_does_not_hold_the_backup_for_ever() {
    let database = "reindexing";
    // Chunks of one table at several workers.
    let (cluster, repository) = scene_since(14, database, TABLES);
    cluster.sql(
        database,
        "CREATE TABLE first (x int, t text) WITH (fillfactor = 10);
         INSERT INTO first SELECT i, md5(i::text) FROM generate_series(1, 40000) i",
    );
    for (lock_wait, ok) in [(Duration::from_secs(1), false), (Duration::from_secs(30), true)] {
        let (held, reindexed) = (AtomicBool::new(false), AtomicBool::new(false));
        let (free, freed) = (Mutex::new(false), Condvar::new());
        let result = thread::scope(|scope| {
            let hook = |event: &ProgressEvent<'_>| {
                let ProgressEvent::Advance { table: Some(table), .. } = event else {
                    return;
                };
                // One worker is kept at the first table until the other has the index of the second.
                if *table == "public.first" && !held.swap(true, Ordering::SeqCst) {
                    drop(freed.wait_while(free.lock().unwrap(), |free| !*free).unwrap());
                }
                if *table == "public.big" && !reindexed.swap(true, Ordering::SeqCst) {
                    let cluster = &cluster;
                    scope.spawn(move || cluster.sql(database, "REINDEX INDEX big_x"));
                    await_waiting(cluster, database, 1);
                    *free.lock().unwrap() = true;
                    freed.notify_all();
                    thread::sleep(Duration::from_secs(2));
                }
            };
            let with = |options: &mut backstay::BackupOptions| options.source.lock_wait = lock_wait;
            back_up_hooked(&cluster, database, &repository, with, hook, &CancelToken::new())
        });
        match result {
            Ok(_) => assert!(ok),
            Err(error) => {
                assert!(!ok, "{}", chain(&error));
                assert!(
                    chain(&error).contains("waits for an exclusive lock on public.big_x (REINDEX INDEX big_x)"),
                    "{}",
                    chain(&error)
                );
                assert_untouched(&repository);
            }
        }
    }
}

/// Two schemas with a table of the same name and columns in each; the names of the schemas can be exchanged.
const STAGES: &str = "
    CREATE SCHEMA live; CREATE SCHEMA staging;
    CREATE TABLE live.orders (x int, t text) WITH (fillfactor = 10);
    INSERT INTO live.orders SELECT i, 'live' FROM generate_series(1, 60000) i;
    CREATE TABLE staging.orders (x int, t text) WITH (fillfactor = 10);
    INSERT INTO staging.orders SELECT i, 'staging' FROM generate_series(1, 60000) i;
    CREATE TABLE public.orders (x int, t text);
    INSERT INTO public.orders VALUES (1, 'public');";

/// The exchange of a name with another one by way of a third.
fn exchange(one: &str, other: &str) -> String {
    format!(
        "BEGIN; ALTER SCHEMA {one} RENAME TO between; ALTER SCHEMA {other} RENAME TO {one};
         ALTER SCHEMA between RENAME TO {other}; COMMIT"
    )
}

/// Backs up with one connection and runs a statement at each of the given moments: 0 when the rows are to be read, then
/// when so many chunks were.
fn back_up_while(database: &str, moments: &[(usize, &str)]) -> (Result<BackupReport, BackupError>, Repository) {
    // Chunks of one table in several statements.
    let (cluster, repository) = scene_since(14, database, STAGES);
    let chunks = AtomicUsize::new(0);
    let hook = |event: &ProgressEvent<'_>| {
        let moment = match event {
            ProgressEvent::Phase { phase: Phase::Rows, .. } => 0,
            ProgressEvent::Advance { table: Some(_), .. } => chunks.fetch_add(1, Ordering::SeqCst) + 1,
            _ => return,
        };
        for (_, sql) in moments.iter().filter(|(at, _)| *at == moment) {
            cluster.sql(database, sql);
        }
    };
    let jobs = |options: &mut backstay::BackupOptions| options.source.jobs = 1;
    let result = back_up_hooked(&cluster, database, &repository, jobs, hook, &CancelToken::new());
    let chunks = chunks.into_inner();
    assert!(
        result.is_err() || chunks > 4,
        "{chunks} chunks are too few for this test"
    );
    (result, repository)
}

/// `ALTER SCHEMA … RENAME` waits for no lock on a table, and whatever is read by name is read by the names of now.
#[test]
fn schemas_that_exchange_their_names_while_rows_are_read_end_the_backup() {
    let (there, public) = (exchange("live", "staging"), exchange("public", "staging"));
    for (database, moments) in [
        ("exchanged_before", &[(0, &*there)][..]),
        ("exchanged_after", &[(1, &there)]),
        ("exchanged_public", &[(0, &public)]),
        // Before a table is locked, and back before all is over.
        ("exchanged_twice", &[(0, &there), (1, &there)]),
        // Between two chunks of one table, so that the table was locked under its own name.
        ("exchanged_between", &[(1, &there), (2, &there)]),
        // Away and back in the end, with nobody of that name meanwhile that is read.
        ("renamed_away", &[(0, "ALTER SCHEMA live RENAME TO gone")]),
    ] {
        let (result, repository) = back_up_while(database, moments);
        let error = result.expect_err(database);
        assert!(
            matches!(error, BackupError::Source(SourceError::Renamed { .. })),
            "{database}: {}",
            chain(&error)
        );
        assert_untouched(&repository);
    }
}

#[test]
fn a_table_of_another_schema_is_not_read_to_its_end() {
    let (result, _) = back_up_while("exchanged_early", &[(0, &exchange("live", "staging"))]);
    let error = chain(&result.unwrap_err());
    assert!(error.starts_with("what live.orders names changed"), "{error}");
}

#[test]
fn what_leaves_the_names_of_schemas_alone_does_not_end_the_backup() {
    let moments = [
        (
            0,
            "CREATE SCHEMA more; CREATE TABLE more.orders (x int, t text); GRANT SELECT ON live.orders TO PUBLIC",
        ),
        (
            1,
            "ALTER SCHEMA more RENAME TO others; DROP SCHEMA others CASCADE; CREATE INDEX ON live.orders (x)",
        ),
    ];
    let (result, _) = back_up_while("names_stay", &moments);
    result.unwrap_or_else(|error| panic!("{}", chain(&error)));
}
