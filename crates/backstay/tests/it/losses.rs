//! A restore that loses rows or keys is never called complete, whichever way it goes.

use backstay::{
    Atomicity, CancelToken, ConnectionConfig, ForeignArchive, Parts, Prove, RestoreOptions, Silent, TargetPolicy,
    WhenMissing,
};

use crate::sabotage::{chain, scene};
use crate::support::{Cluster, back_up, checked, default_installation, open, restore, testdata};

/// Foreign keys, as many as a tool is known to have lost 75 of.
const KEYS: usize = 115;
const BROKEN: usize = 75;
/// Rows, as many as a tool is known to have restored 5,349 of.
const ROWS: u64 = 10_275;

/// Tables with a foreign key each, of which 75 do not hold: somebody loaded rows with triggers switched off.
fn tables() -> String {
    let mut sql =
        "CREATE TABLE parent AS SELECT generate_series(1, 40) AS id; ALTER TABLE parent ADD PRIMARY KEY (id);\n"
            .to_owned();
    for number in 0..KEYS {
        sql.push_str(&format!(
            "CREATE TABLE child_{number} (id int, parent int CONSTRAINT key_{number} REFERENCES parent);
             INSERT INTO child_{number} SELECT i, 1 + i % 40 FROM generate_series(1, 89) i;\n"
        ));
    }
    sql.push_str("SET session_replication_role = replica;\n");
    for number in 0..BROKEN {
        sql.push_str(&format!("UPDATE child_{number} SET parent = 99 WHERE id = 50;\n"));
    }
    sql
}

#[test]
fn keys_that_do_not_hold_are_named_one_by_one() {
    let database = "lost_keys";
    let (cluster, repository) = scene(database, &tables());
    let report = back_up(&cluster, database, &repository, |_| {}).unwrap();
    let backup = open(&repository, &report);
    assert_eq!(backup.manifest().row_count(), ROWS);
    let rows = |copy: &str| {
        let all: Vec<String> = (0..KEYS)
            .map(|number| format!("SELECT id FROM child_{number}"))
            .collect();
        let all = format!("SELECT count(*) + 40 FROM ({}) s", all.join(" UNION ALL "));
        cluster.sql(copy, &all).parse::<u64>().unwrap()
    };
    let keys = "SELECT count(*) FROM pg_constraint WHERE contype = 'f'";
    let left = (KEYS - BROKEN).to_string();

    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    options.prove = Prove::Yes;
    let done = restore(&cluster, &backup, "lost_keys_steps", &options).unwrap();
    assert!(!done.is_complete());
    let mut named: Vec<&str> = done.failures.iter().map(|failure| failure.what.as_str()).collect();
    named.sort_unstable();
    let mut expected: Vec<String> = (0..BROKEN)
        .map(|number| format!("FK CONSTRAINT public.child_{number} key_{number}"))
        .collect();
    expected.sort_unstable();
    assert_eq!(named, expected);
    assert!(
        done.failures
            .iter()
            .all(|failure| failure.sql_state.as_deref() == Some("23503"))
    );
    assert!(done.proof.unwrap().is_equal(), "the rows are those of the source");
    assert_eq!(
        (rows("lost_keys_steps"), cluster.sql("lost_keys_steps", keys)),
        (ROWS, left.clone())
    );

    options.atomicity = Atomicity::SingleTransaction;
    let done = restore(&cluster, &backup, "lost_keys_at_once", &options).unwrap();
    assert!(!done.is_complete() && done.failures.len() == 1, "{:#?}", done.failures);
    let nothing = cluster.sql(
        "lost_keys_at_once",
        "SELECT count(*) FROM pg_class WHERE relname LIKE 'child%'",
    );
    assert_eq!(nothing, "0");

    let pack = cluster.path(database).join(report.published.pack.as_str());
    cluster.create_database("lost_keys_psql");
    let output = cluster.restore_by_psql("lost_keys_psql", &pack);
    assert_eq!(
        output.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let dump = cluster.path("lost_keys.sql");
    checked(cluster.client("pg_dump", database).arg("-f").arg(&dump));
    let store = backstay::open_store(cluster.path("").to_str().unwrap(), WhenMissing::Fail).unwrap();
    let archive = ForeignArchive::open(&*store, &"lost_keys.sql".parse().unwrap()).unwrap();
    let config = cluster.config("lost_keys_dump");
    let plan = archive
        .plan_restore(&config, TargetPolicy::Create, Atomicity::StepByStep)
        .unwrap();
    let done = archive
        .restore(&*store, &plan, &config, &Silent, &CancelToken::new())
        .unwrap();
    assert!(!done.is_complete());
    assert_eq!((done.rows, done.failures.len()), (ROWS, BROKEN), "{:#?}", done.failures);
    assert_eq!(
        (rows("lost_keys_dump"), cluster.sql("lost_keys_dump", keys)),
        (ROWS, left)
    );
}

/// Triggers of the target that nothing switches off: one that drops rows, one that doubles them, one that changes them.
#[test]
fn rows_that_the_target_drops_doubles_or_changes_are_missed() {
    let database = "lost_rows";
    let (cluster, repository) = scene(
        database,
        "CREATE TABLE t (x int, y text); INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 10275) i",
    );
    let backup = open(&repository, &back_up(&cluster, database, &repository, |_| {}).unwrap());
    for (name, body) in [
        ("dropping", "IF new.x % 2 = 0 THEN RETURN NULL; END IF; RETURN new;"),
        (
            "doubling",
            "IF pg_trigger_depth() = 1 AND new.x % 2 = 0 THEN INSERT INTO public.t VALUES (new.x, new.y); END IF; RETURN new;",
        ),
        ("changing", "IF new.x = 7 THEN new.y := 'another'; END IF; RETURN new;"),
    ] {
        let copy = format!("lost_rows_{name}");
        let mut options = RestoreOptions::default();
        options.target = TargetPolicy::Create;
        options.parts = Parts::Schema;
        assert!(restore(&cluster, &backup, &copy, &options).unwrap().is_complete());
        cluster.sql(
            &copy,
            &format!(
                "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
                 CREATE TRIGGER meddle BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION meddle();
                 ALTER TABLE t ENABLE ALWAYS TRIGGER meddle"
            ),
        );
        options.target = TargetPolicy::Empty;
        options.parts = Parts::Data;
        options.prove = Prove::Yes;
        let done = restore(&cluster, &backup, &copy, &options).unwrap_or_else(|error| panic!("{}", chain(&error)));
        assert!(!done.is_complete(), "{name}: {done:?}");
        if name == "dropping" {
            assert!(
                done.failures[0].error.contains("it took 5138 of 10275 rows"),
                "{:?}",
                done.failures
            );
        }
    }
}

/// An ordinary role cannot switch the target's triggers off, and must be told so: they may change what is loaded.
#[test]
fn triggers_that_could_not_be_switched_off_are_told_of() {
    let database = "acting_triggers";
    let (cluster, repository) = scene(database, "CREATE TABLE t (x int); INSERT INTO t VALUES (1), (2)");
    let backup = open(&repository, &back_up(&cluster, database, &repository, |_| {}).unwrap());
    cluster.sql(
        database,
        "CREATE ROLE loader LOGIN; TRUNCATE t; GRANT SELECT, INSERT ON t TO loader;
         CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.x = 3; RETURN new; END';
         CREATE TRIGGER meddle BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION meddle()",
    );
    let mut options = RestoreOptions::default();
    options.parts = Parts::Data;
    for (role, rows, told) in [("postgres", "1 2", false), ("loader", "3 3", true)] {
        let config = ConnectionConfig {
            user: role.to_owned(),
            ..cluster.config(database)
        };
        let plan = backstay::plan_restore(&backup, &config, &options).unwrap();
        let done = backstay::restore(&backup, &plan, &config, &Silent, &CancelToken::new()).unwrap();
        assert_eq!(
            cluster.sql(database, "SELECT string_agg(x::text, ' ' ORDER BY x) FROM t"),
            rows
        );
        let found = done
            .left_out
            .iter()
            .any(|what| what.contains("session_replication_role"));
        assert_eq!(found, told, "{role}: {:?}", done.left_out);
        cluster.sql(database, "TRUNCATE t");
    }
}

/// What `pg_dump | psql` itself loses of a database: what we bring back, and the rest is told.
#[test]
fn what_pg_dump_loses_comes_back_or_is_told_of() {
    let cluster = Cluster::start(&default_installation());
    cluster.create_database("source");
    for file in [
        "one-of-everything.sql",
        "changes-in-a-round-trip.sql",
        "does-not-round-trip.sql",
    ] {
        cluster.sql_file("source", &testdata("sample").join(file), &["-v", "rows=100"]);
    }
    let repository = cluster.repository("backups");
    let backup = open(&repository, &back_up(&cluster, "source", &repository, |_| {}).unwrap());
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    options.prove = Prove::Yes;
    let done = restore(&cluster, &backup, "copy", &options).unwrap();
    let mut failed: Vec<&str> = done.failures.iter().map(|failure| failure.what.as_str()).collect();
    failed.sort_unstable();
    let mut expected = vec![
        "INDEX public.path_index",
        "MATERIALIZED VIEW DATA public.owner_without_right",
        "PROCEDURAL LANGUAGE borrowed_language",
        "TRIGGER public.leaf_of_triggered on_root",
        "rows of public.path_generated",
    ];
    if cluster.server.installation().major() < 17 {
        expected.insert(2, "MATERIALIZED VIEW DATA public.path_matview");
    }
    assert_eq!(failed, expected);
    // Rows in leaves that depend on the numbers of an enum, and those whose check reads another table, come back.
    let mismatches = done.proof.unwrap().mismatches;
    let different: Vec<&str> = mismatches.iter().map(|mismatch| mismatch.what.as_str()).collect();
    assert_eq!(different, ["rows of public.path_generated"]);
    let omissions = backup.manifest().omissions.iter();
    let mut indexes = omissions.filter(|omission| omission.subject.starts_with("index "));
    assert!(indexes.any(|omission| omission.subject == "index public.invalid_and_lost"));
}
