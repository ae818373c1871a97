//! Roles and databases whose settings change what a session reads, what its SQL means, and how long it may take.

use std::thread;

use backstay::{
    Atomicity, BackupOptions, BackupReader, CancelToken, ConnectionConfig, Prove, RestoreOptions, Silent, TargetPolicy,
};

use crate::sabotage::{await_truth, chain, scripted_pg_dump};
use crate::support::{Cluster, assert_same, checked, default_installation, open, programs, testdata};

/// What a role or a database may have set; the last are those of PostgreSQL 14 and 17.
const SETTINGS: &[(&str, &str)] = &[
    ("statement_timeout", "500ms"),
    ("lock_timeout", "100ms"),
    ("idle_in_transaction_session_timeout", "500ms"),
    ("search_path", "trap, pg_catalog"),
    ("datestyle", "SQL, DMY"),
    ("intervalstyle", "sql_standard"),
    ("bytea_output", "escape"),
    ("extra_float_digits", "-10"),
    ("timezone", "Pacific/Chatham"),
    ("lc_monetary", "C.UTF-8"),
    ("xmloption", "document"),
    ("xmlbinary", "hex"),
    ("client_encoding", "LATIN1"),
    ("standard_conforming_strings", "off"),
    ("backslash_quote", "on"),
    ("array_nulls", "off"),
    ("transform_null_equals", "on"),
    ("quote_all_identifiers", "on"),
    ("row_security", "on"),
    ("check_function_bodies", "on"),
    ("default_transaction_isolation", "serializable"),
    ("default_transaction_deferrable", "on"),
    ("default_transaction_read_only", "on"),
    ("enable_tidscan", "off"),
    ("enable_seqscan", "on"),
    ("jit", "on"),
    ("client_min_messages", "debug1"),
    ("idle_session_timeout", "500ms"),
    ("transaction_timeout", "500ms"),
];

/// Functions by the names of the system's own, which must never be called by way of the search path.
const TRAP: &str = "
    CREATE SCHEMA trap;
    CREATE FUNCTION trap.trapped() RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE ''a function of the database was called''; END';
    CREATE FUNCTION trap.current_setting(text) RETURNS text LANGUAGE sql AS 'SELECT trap.trapped()';
    CREATE FUNCTION trap.current_setting(text, boolean) RETURNS text LANGUAGE sql AS 'SELECT trap.trapped()';
    CREATE FUNCTION trap.getdatabaseencoding() RETURNS name LANGUAGE sql AS 'SELECT trap.trapped()::name';
    CREATE FUNCTION trap.convert_to(text, name) RETURNS bytea LANGUAGE sql AS 'SELECT trap.trapped()::bytea';
    CREATE FUNCTION trap.has_table_privilege(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT trap.trapped()::boolean';
    CREATE FUNCTION trap.format_type(oid, int) RETURNS text LANGUAGE sql AS 'SELECT trap.trapped()';
    CREATE FUNCTION trap.lower(text) RETURNS text LANGUAGE sql AS 'SELECT trap.trapped()';
    CREATE FUNCTION trap.same(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT trap.trapped()::boolean';
    CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.same);";

/// Sets everything on the role or database that `of` names.
fn set_all(cluster: &Cluster, of: &str) {
    let known = cluster.sql("postgres", "SELECT string_agg(lower(name), ' ') FROM pg_settings");
    for (name, value) in SETTINGS
        .iter()
        .filter(|(name, _)| known.split(' ').any(|known| known == *name))
    {
        let value = match *name {
            "search_path" => (*value).to_owned(),
            _ => format!("'{value}'"),
        };
        cluster.sql("postgres", &format!("ALTER {of} SET {name} = {value}"));
    }
}

fn as_awkward(cluster: &Cluster, database: &str) -> ConnectionConfig {
    ConnectionConfig {
        user: "awkward".to_owned(),
        ..cluster.config(database)
    }
}

fn restored(cluster: &Cluster, backup: &BackupReader, database: &str, target: TargetPolicy, atomicity: Atomicity) {
    let config = as_awkward(cluster, database);
    let mut options = RestoreOptions::default();
    (options.target, options.atomicity, options.prove) = (target, atomicity, Prove::Yes);
    let plan = backstay::plan_restore(backup, &config, &options).unwrap_or_else(|error| panic!("{}", chain(&error)));
    let report = backstay::restore(backup, &plan, &config, &Silent, &CancelToken::new());
    let report = report.unwrap_or_else(|error| panic!("{database}: {}", chain(&error)));
    assert!(
        report.is_complete(),
        "{database}: {:#?}",
        (report.failures, report.proof)
    );
}

#[test]
fn no_setting_of_a_role_or_a_database_changes_what_is_read_or_restored() {
    let cluster = Cluster::start(&default_installation());
    cluster.create_database("source");
    cluster.sql("postgres", "CREATE ROLE awkward SUPERUSER LOGIN");
    // Whoever restores owns the extensions, so it is the same role that makes them.
    let mut load = cluster.client("psql", "source");
    load.env("PGUSER", "awkward")
        .args(["-Xq", "-v", "ON_ERROR_STOP=1", "-v", "rows=100", "-f"]);
    checked(load.arg(testdata("sample/one-of-everything.sql")));
    cluster.sql("source", TRAP);
    set_all(&cluster, "ROLE awkward");
    cluster.sql(
        "postgres",
        r#"ALTER ROLE "sample owner" IN DATABASE source SET search_path = 'it''s "quoted"', '$user', '';
           ALTER ROLE awkward IN DATABASE source SET "sample.setting" = E'two\nlines'"#,
    );
    let settings = "SELECT setrole::regrole, unnest(setconfig) FROM pg_db_role_setting
        WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1, 2";

    // A lock that somebody has for longer than any of the time-outs, and a pg_dump that takes its time.
    let slow = scripted_pg_dump(&cluster, "slow_dump", "sleep 1; exec \"$real\" \"$@\"");
    let repository = cluster.repository("backups");
    let report = thread::scope(|scope| {
        const LOCK: &str = "SET search_path = public; SET statement_timeout = 0;
            BEGIN; LOCK TABLE value_texts; SELECT pg_sleep(2.8); COMMIT";
        scope.spawn(|| cluster.sql("source", LOCK));
        let locked = "SELECT count(*) > 0 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND locktype = 'relation'";
        await_truth(&cluster, "source", locked);
        let mut options = BackupOptions::default();
        options.pg_dump = Some(slow);
        let (config, now) = (as_awkward(&cluster, "source"), jiff::Timestamp::now());
        backstay::back_up(
            &config,
            &repository,
            now,
            &programs(),
            &options,
            &Silent,
            &CancelToken::new(),
        )
    });
    let report = report.unwrap_or_else(|error| panic!("{}", chain(&error)));
    let backup = open(&repository, &report);

    restored(
        &cluster,
        &backup,
        "created",
        TargetPolicy::Create,
        Atomicity::StepByStep,
    );
    assert_same(&cluster, "source", "created");
    assert_eq!(cluster.sql("created", settings), cluster.sql("source", settings));

    // Targets that have all that set themselves.
    for (database, atomicity) in [
        ("in_steps", Atomicity::StepByStep),
        ("at_once", Atomicity::SingleTransaction),
    ] {
        cluster.create_database(database);
        cluster.sql(database, TRAP);
        set_all(&cluster, &format!("DATABASE {database}"));
        restored(&cluster, &backup, database, TargetPolicy::Clean, atomicity);
        // Those who compare would stumble over them.
        cluster.sql("postgres", &format!("ALTER DATABASE {database} RESET ALL"));
        assert_same(&cluster, "source", database);
    }
    cluster.create_database("by_psql");
    set_all(&cluster, "DATABASE by_psql");
    let pack = cluster.path("backups").join(report.published.pack.as_str());
    let unpacked = cluster.path("pack.sql");
    let script = format!("gzip -dc '{}' > '{}'", pack.display(), unpacked.display());
    checked(std::process::Command::new("sh").args(["-c", &script]));
    let mut psql = cluster.client("psql", "by_psql");
    checked(psql.env("PGUSER", "awkward").args(["-Xqf"]).arg(&unpacked));
    cluster.sql("postgres", "ALTER DATABASE by_psql RESET ALL");
    assert_same(&cluster, "source", "by_psql");
}
