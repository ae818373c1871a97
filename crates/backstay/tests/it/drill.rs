//! Drills on real servers: what passes, what must not, and what is left behind.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use backstay::{
    Archive, BackupReader, CancelToken, Drill, DrillError, DrillOptions, DrillReport, DrillTarget, DrillTools,
    Expectation, GlobalsOption, Repository, RestoreRefusal, Severity, Silent, SqlCheck, TargetError, Witness, drill,
    note_drill,
};
use backstay_postgres::{Lent, remove_dead_drills};
use jiff::Timestamp;

use crate::sabotage::await_truth;
use crate::support::{Cluster, back_up, default_installation, open, programs, testdata};

const SOURCE: &str = "
    CREATE SCHEMA app;
    CREATE TABLE app.users (id int PRIMARY KEY, name text NOT NULL);
    CREATE INDEX users_name ON app.users (name);
    ALTER TABLE app.users ENABLE ROW LEVEL SECURITY;
    CREATE POLICY everybody ON app.users USING (true);
    INSERT INTO app.users SELECT i, 'user ' || i FROM generate_series(1, 50) i;
    CREATE TABLE app.orders (id bigserial PRIMARY KEY, user_id int CONSTRAINT orders_user REFERENCES app.users, at int);
    INSERT INTO app.orders (user_id) SELECT i FROM generate_series(1, 50) i;
    INSERT INTO app.orders (user_id) VALUES (NULL);
    CREATE VIEW app.names AS SELECT name FROM app.users;
    CREATE MATERIALIZED VIEW app.kept AS SELECT name FROM app.users;
    CREATE INDEX kept_name ON app.kept (name);
    CREATE TABLE app.parts (a int, b int, FOREIGN KEY (a) REFERENCES app.users) PARTITION BY RANGE (b);
    CREATE TABLE app.part PARTITION OF app.parts FOR VALUES FROM (0) TO (10);
    INSERT INTO app.parts VALUES (1, 1);
    SELECT lo_from_bytea(4242, 'a large object');
";

/// A server with a database that has something of everything that a drill looks at, and a backup of it.
struct Stage {
    cluster: Cluster,
    repository: Repository,
    backup: BackupReader,
}

impl Stage {
    fn new() -> Self {
        Self::with("")
    }

    fn with(more: &str) -> Self {
        let cluster = Cluster::start(&default_installation());
        cluster.create_database("source");
        cluster.sql("source", &format!("{SOURCE}{more}"));
        cluster.sql("source", "ALTER DATABASE source SET work_mem = '5MB'");
        let repository = cluster.repository("backups");
        let backup = open(&repository, &back_up(&cluster, "source", &repository, |_| {}).unwrap());
        Self {
            cluster,
            repository,
            backup,
        }
    }

    fn new_database(&self) -> DrillTarget {
        DrillTarget::NewDatabase(self.cluster.config("postgres"))
    }

    fn databases(&self) -> String {
        let sql =
            "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datname !~ '^(template|postgres)'";
        self.cluster.sql("postgres", sql)
    }

    /// Runs a drill, with a fault planted into what was restored.
    fn drill_with(&self, target: &DrillTarget, options: &DrillOptions, fault: &str) -> DrillReport {
        with_tools(|tools| {
            let archive = Archive::Backup(self.backup.clone());
            let mut drill = Drill::begin(&archive, target, options, tools)?;
            drill.fetch()?;
            drill.restore()?;
            if !fault.is_empty() {
                let database = drill.config().database.clone();
                self.cluster.sql(&database, fault);
            }
            drill.examine()?;
            Ok::<_, DrillError>(drill.end())
        })
        .unwrap()
    }
}

fn with_tools<T>(work: impl FnOnce(DrillTools<'_>) -> T) -> T {
    let begun = Instant::now();
    work(DrillTools {
        programs: &programs(),
        stopwatch: &|| begun.elapsed(),
        progress: &Silent,
        cancel: &CancelToken::new(),
    })
}

fn rehearse(backup: &BackupReader, target: &DrillTarget, options: &DrillOptions) -> Result<DrillReport, DrillError> {
    with_tools(|tools| drill(&Archive::Backup(backup.clone()), target, options, tools))
}

/// Severity, rule and subject of each finding, but notes.
fn told(report: &DrillReport) -> Vec<String> {
    let findings = report
        .findings
        .iter()
        .filter(|finding| finding.severity != Severity::Note);
    findings
        .map(|f| format!("{} {} {}", f.severity, f.rule, f.subject))
        .collect()
}

fn witness() -> Witness {
    Witness {
        who: "a test".to_owned(),
        from: "here".to_owned(),
        clock: Timestamp::now,
    }
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn a_good_backup_passes_on_a_server_of_its_own() {
    let cluster = Cluster::start(&default_installation());
    cluster.create_database("source");
    cluster.sql_file("source", &testdata("sample/one-of-everything.sql"), &["-v", "rows=300"]);
    cluster.sql("source", "DROP INDEX public.invalid_index");
    // `pg_dump` does not say of which version an extension was, so another one comes back, which a drill would tell.
    cluster.sql("source", "ALTER EXTENSION pgcrypto UPDATE");
    let repository = cluster.repository("backups");
    let backup = open(&repository, &back_up(&cluster, "source", &repository, |_| {}).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let target = DrillTarget::Throwaway {
        folder: folder.path().to_owned(),
    };
    let report = rehearse(&backup, &target, &DrillOptions::default()).unwrap();
    let mut expected = vec![
        "warning foreign-key no_such_tree on public.key_not_valid",
        "warning invalid-index index public.part_eu_at",
        "warning invalid-index index public.part_only",
    ];
    let mut not_checked = Vec::new();
    // Older servers have neither keys that are not enforced nor keys of periods.
    if cluster.server.installation().major() >= 18 {
        expected.insert(1, "warning foreign-key not_enforced on public.key_not_valid");
        not_checked.push("foreign key temporal_source_id_during_fkey on public.temporal_source: it compares periods");
    }
    assert_eq!(told(&report), expected, "{:#?}", report.findings);
    assert_eq!(report.not_checked, not_checked);
    assert!(report.passed() && report.left.is_none(), "{report:#?}");
    assert!(report.definitions_compared > 100, "{}", report.definitions_compared);
    let times = report.times;
    for took in [
        times.fetch,
        times.pre_data,
        times.data,
        times.post_data,
        times.prove,
        times.examine,
    ] {
        assert!(took > Duration::ZERO, "{times:?}");
    }
    assert!(is_empty(folder.path()));

    note_drill(&repository, &report, &witness()).unwrap();
    let (said, evidence) = repository.drills(&report.id).unwrap().pop().unwrap();
    assert_eq!(said.who, "a test");
    assert!(evidence.passed && evidence.holdings.is_some_and(|holdings| holdings.rows > 1000));
}

/// The globals of a backup name folders of the source, and give its superuser a password.
#[test]
fn roles_come_with_the_backup_and_folders_of_the_source_are_left_alone() {
    let cluster = Cluster::start(&default_installation());
    let elsewhere = cluster.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    // Everything of a server belongs to the user that it runs as.
    let owner = std::fs::metadata(cluster.server.data_folder()).unwrap();
    std::os::unix::fs::chown(&elsewhere, Some(owner.uid()), Some(owner.gid())).unwrap();
    let passable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(cluster.path(""), passable).unwrap();
    let location = elsewhere.display();
    cluster.sql("postgres", &format!("CREATE TABLESPACE slow LOCATION '{location}'"));
    cluster.sql("postgres", "ALTER ROLE postgres PASSWORD 'of the source'");
    cluster.sql("postgres", "CREATE ROLE keeper BYPASSRLS");
    cluster.create_database("source");
    cluster.sql(
        "source",
        "CREATE TABLE t (a int) TABLESPACE slow; ALTER TABLE t OWNER TO keeper; INSERT INTO t VALUES (1)",
    );
    let repository = cluster.repository("backups");
    let made = back_up(&cluster, "source", &repository, |options| {
        options.globals = GlobalsOption::Included;
    });
    let backup = open(&repository, &made.unwrap());
    let listed = || std::fs::read_dir(&elsewhere).unwrap().count();
    let before = listed();
    let folder = tempfile::tempdir().unwrap();
    let target = DrillTarget::Throwaway {
        folder: folder.path().to_owned(),
    };
    let report = rehearse(&backup, &target, &DrillOptions::default()).unwrap();
    assert_eq!(told(&report), Vec::<String>::new(), "{:#?}", report.findings);
    let made_up = report.findings.iter().filter(|finding| finding.rule == "stand-in");
    let made_up: Vec<&str> = made_up.map(|finding| finding.subject.as_str()).collect();
    assert_eq!(made_up, ["tablespace slow"], "roles are in the backup");
    assert_eq!(listed(), before);
}

#[test]
fn each_fault_has_its_finding() {
    let stage = Stage::new();
    for (fault, expected) in [
        ("", &[][..]),
        (
            "UPDATE app.users SET name = 'x' WHERE id = 7",
            &["error rows rows of app.users"],
        ),
        (
            "DROP POLICY everybody ON app.users",
            &["error policy everybody on app.users"],
        ),
        (
            "ALTER POLICY everybody ON app.users USING (id > 1)",
            &["error policy POLICY app.users everybody"],
        ),
        (
            "ALTER TABLE app.users DISABLE ROW LEVEL SECURITY",
            &["error row-security app.users"],
        ),
        (
            "ALTER TABLE app.users FORCE ROW LEVEL SECURITY",
            &["error definition TABLE app.users", "error row-security app.users"],
        ),
        (
            "SELECT setval('app.orders_id_seq', 3)",
            &["error sequence sequence app.orders_id_seq"],
        ),
        ("DROP EXTENSION plpgsql", &["error extension plpgsql"]),
        (
            "SET session_replication_role = replica; UPDATE app.orders SET user_id = 99 WHERE id = 1",
            &[
                "error foreign-key orders_user on app.orders",
                "error rows rows of app.orders",
            ],
        ),
        (
            "SET session_replication_role = replica; UPDATE app.parts SET a = 99",
            &[
                "error foreign-key parts_a_fkey on app.parts",
                "error rows rows of app.part",
            ],
        ),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.users_name'::regclass",
            &[
                "error index users_name on app.users",
                "error invalid-index index app.users_name",
            ],
        ),
        ("DROP INDEX app.users_name", &["error index users_name on app.users"]),
        ("DROP INDEX app.kept_name", &["error index INDEX app.kept_name"]),
        (
            "CREATE OR REPLACE VIEW app.names AS SELECT name || '' AS name FROM app.users",
            &["error definition VIEW app.names"],
        ),
        (
            "GRANT SELECT ON app.users TO PUBLIC",
            &["error definition ACL app.TABLE users"],
        ),
        (
            "SELECT lo_unlink(4242)",
            &[
                "error definition LARGE OBJECT LARGE OBJECT 4242",
                "error large-objects large objects",
            ],
        ),
        (
            "ALTER TABLE app.orders DROP COLUMN at",
            &[
                "error columns app.orders",
                "error definition TABLE app.orders",
                "error rows rows of app.orders",
            ],
        ),
    ] {
        let report = stage.drill_with(&stage.new_database(), &DrillOptions::default(), fault);
        assert_eq!(told(&report), expected, "{fault}: {:#?}", report.findings);
        assert_eq!(report.passed(), expected.is_empty(), "{fault}");
    }
    assert_eq!(stage.databases(), "source", "nothing is left");
}

#[test]
fn what_is_broken_in_the_source_is_found() {
    let stage = Stage::with(
        "
        SET session_replication_role = replica;
        UPDATE app.orders SET user_id = 99 WHERE id = 1;
        ALTER TABLE app.orders ADD CONSTRAINT later FOREIGN KEY (at) REFERENCES app.users NOT VALID;
        UPDATE app.orders SET at = 77 WHERE id = 2;
        UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.users_name'::regclass;
    ",
    );
    let report = rehearse(&stage.backup, &stage.new_database(), &DrillOptions::default()).unwrap();
    let expected = [
        "error foreign-key FK CONSTRAINT app.orders orders_user",
        "error invalid-index index app.users_name of the source",
        "warning foreign-key later on app.orders",
    ];
    assert_eq!(told(&report), expected, "{:#?}", report.findings);
    assert!(!report.passed());
    note_drill(&stage.repository, &report, &witness()).unwrap();
    let (_, evidence) = stage.repository.drills(&report.id).unwrap().pop().unwrap();
    assert_eq!(
        (evidence.passed, evidence.findings.errors, evidence.findings.first.len()),
        (false, 2, 3)
    );
}

#[test]
fn queries_and_times_are_judged() {
    let stage = Stage::new();
    let mut options = DrillOptions::default();
    options.recovery_limit = Some(Duration::ZERO);
    options.rules.sql = vec![
        SqlCheck::new("users", "SELECT count(*) FROM app.users", Expectation::Number(50)),
        SqlCheck::new("orders", "SELECT count(*) FROM app.orders", Expectation::Number(7)),
        SqlCheck::new(
            "writes",
            "INSERT INTO app.users VALUES (99, 'x') RETURNING 1",
            Expectation::Number(1),
        ),
        SqlCheck::new(
            "slow",
            "SELECT pg_catalog.pg_sleep(60)",
            Expectation::Rows { min: 0, max: None },
        ),
    ];
    options.check_limit = Duration::from_millis(50);
    let report = rehearse(&stage.backup, &stage.new_database(), &options).unwrap();
    let expected = [
        format!("error restore-time {}", report.id),
        "error sql-check orders".to_owned(),
        "error sql-check writes".to_owned(),
        "error sql-check slow".to_owned(),
    ];
    assert_eq!(told(&report), expected, "{:#?}", report.findings);
}

#[test]
fn a_database_that_was_lent_is_empty_again() {
    let stage = Stage::with(
        "CREATE EXTENSION IF NOT EXISTS plpgsql;
         CREATE PUBLICATION all_of_it FOR ALL TABLES;
         CREATE FUNCTION public.f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE EVENT TRIGGER on_ddl ON ddl_command_end EXECUTE FUNCTION public.f();
         CREATE FOREIGN DATA WRAPPER elsewhere;
         CREATE TYPE public.t AS ENUM ('a');
         CREATE SUBSCRIPTION of_another CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p
           WITH (connect = false, slot_name = 'real_slot');
         ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
         ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
         ALTER DEFAULT PRIVILEGES REVOKE ALL ON TYPES FROM PUBLIC, postgres;
         ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO PUBLIC;
         ALTER DEFAULT PRIVILEGES REVOKE UPDATE ON SEQUENCES FROM postgres;",
    );
    stage.cluster.create_database("lent");
    let target = DrillTarget::Database(stage.cluster.config("lent"));
    let before = stage.cluster.schema("lent");
    for _ in 0..2 {
        let report = rehearse(&stage.backup, &target, &DrillOptions::default()).unwrap();
        assert_eq!(told(&report), Vec::<String>::new(), "{:#?}", report.findings);
        assert_eq!(report.left, None);
        assert_eq!(stage.cluster.schema("lent"), before);
    }
    // A database that was made goes with its subscription.
    let report = rehearse(&stage.backup, &stage.new_database(), &DrillOptions::default()).unwrap();
    assert_eq!((told(&report), report.left), (Vec::new(), None));
    assert_eq!(stage.databases(), "lent source");
    let slots = "SELECT count(*) FROM pg_subscription";
    assert_eq!(stage.cluster.sql("postgres", slots), "1", "that of the source stays");
}

#[test]
fn the_source_and_what_holds_anything_are_refused() {
    let stage = Stage::new();
    let refused = |database: &str| {
        let target = DrillTarget::Database(stage.cluster.config(database));
        match rehearse(&stage.backup, &target, &DrillOptions::default()) {
            Err(DrillError::Target(TargetError::Refused(refusal))) => refusal,
            other => panic!("{other:?}"),
        }
    };
    let before = stage.cluster.schema("source");
    assert!(matches!(refused("source"), RestoreRefusal::IsSource { .. }));
    assert_eq!(stage.cluster.schema("source"), before);
    // Even if everything in it is lost, it is the source.
    stage.cluster.sql("postgres", "ALTER DATABASE source RENAME TO other");
    stage.cluster.create_database("source");
    assert!(matches!(refused("source"), RestoreRefusal::IsSource { .. }));
    assert!(matches!(refused("other"), RestoreRefusal::NotEmpty { .. }));
    assert!(matches!(refused("missing"), RestoreRefusal::Missing { .. }));
    assert_eq!(stage.cluster.schema("other"), before);
}

/// What is emptied behind a drill must have been empty, whoever looks.
#[test]
fn whatever_would_be_removed_behind_it_is_refused() {
    let stage = Stage::new();
    let cluster = &stage.cluster;
    cluster.sql("postgres", "CREATE ROLE tester LOGIN");
    for (holds, named) in [
        (
            "CREATE EXTENSION fuzzystrmatch SCHEMA pg_catalog",
            "extension fuzzystrmatch",
        ),
        ("CREATE PUBLICATION p", "publication p"),
        (
            "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false, slot_name = NONE)",
            "subscription s",
        ),
        (
            "CREATE FOREIGN DATA WRAPPER elsewhere",
            "foreign-data wrapper elsewhere",
        ),
        ("CREATE CAST (int AS inet) WITH INOUT", "cast from integer to inet"),
        ("CREATE LANGUAGE mine HANDLER plpgsql_call_handler", "language mine"),
        (
            "CREATE ACCESS METHOD mine TYPE INDEX HANDLER bthandler",
            "access method mine",
        ),
        ("CREATE COLLATION public.mine FROM \"C\"", "collation public.mine"),
        (
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC",
            "default privileges on new relations belonging to role postgres in schema public",
        ),
        (
            "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
            "default privileges on new functions belonging to role postgres",
        ),
        (
            "CREATE TEXT SEARCH CONFIGURATION public.mine (COPY = simple)",
            "text search configuration public.mine",
        ),
    ] {
        cluster.sql("postgres", "DROP DATABASE IF EXISTS lent WITH (FORCE)");
        cluster.sql("postgres", "CREATE DATABASE lent OWNER tester TEMPLATE template0");
        cluster.sql("lent", holds);
        let before = cluster.schema("lent");
        let mut config = cluster.config("lent");
        "tester".clone_into(&mut config.user);
        match rehearse(&stage.backup, &DrillTarget::Database(config), &DrillOptions::default()) {
            Err(DrillError::Target(TargetError::Refused(RestoreRefusal::NotEmpty { objects, .. }))) => {
                assert_eq!(objects, [named], "{holds}");
            }
            other => panic!("{holds}: {other:?}"),
        }
        assert_eq!(cluster.schema("lent"), before, "{holds}");
        // It would keep the database from being dropped.
        cluster.sql("lent", "DROP SUBSCRIPTION IF EXISTS s");
    }
}

/// Ends the sessions that hold advisory locks, and waits until the locks are gone; gives how many there were.
fn end_holders_of_locks(cluster: &Cluster) -> String {
    let locks = "FROM pg_locks WHERE locktype = 'advisory'";
    let ended = cluster.sql(
        "postgres",
        &format!("SELECT count(pg_terminate_backend(pid)) FROM (SELECT DISTINCT pid {locks}) l"),
    );
    await_truth(cluster, "postgres", &format!("SELECT NOT EXISTS (SELECT {locks})"));
    ended
}

#[test]
fn what_dead_drills_left_goes_and_nothing_else() {
    let stage = Stage::new();
    let cluster = &stage.cluster;
    let options = DrillOptions::default();
    // Names that only look like those of drills; one even has the comment of another.
    for name in ["backstay_drill_00000000_20250116143022", "backstay_drill_notes"] {
        cluster.create_database(name);
    }
    cluster.create_database("lent");
    let lent = DrillTarget::Database(cluster.config("lent"));
    with_tools(|tools| {
        let archive = Archive::Backup(stage.backup.clone());
        let mut of_server = Drill::begin(&archive, &stage.new_database(), &options, tools).unwrap();
        of_server.restore().unwrap();
        let mine = of_server.config().database.clone();
        let comment = format!("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{mine}'");
        let comment = cluster.sql("postgres", &comment);
        assert!(comment.starts_with("made by Backstay"), "{comment}");
        let copied = format!("COMMENT ON DATABASE backstay_drill_00000000_20250116143022 IS '{comment}'");
        cluster.sql("postgres", &copied);
        let mut in_database = Drill::begin(&archive, &lent, &options, tools).unwrap();
        in_database.restore().unwrap();
        let all = format!("backstay_drill_00000000_20250116143022 {mine} backstay_drill_notes lent source");
        let sorted = |text: &str| {
            let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            words.sort();
            words
        };

        // They run, so they are spared, and nobody is lent what another one has.
        rehearse(&stage.backup, &stage.new_database(), &options).unwrap();
        assert_eq!(sorted(&stage.databases()), sorted(&all));
        let refused = rehearse(&stage.backup, &lent, &options);
        assert!(
            matches!(
                refused,
                Err(DrillError::Target(TargetError::Refused(
                    RestoreRefusal::NotEmpty { .. }
                )))
            ),
            "{refused:?}"
        );
        assert_eq!(cluster.sql("lent", "SELECT count(*) FROM app.users"), "50");

        // Their connections end, as those of a program that was killed do.
        assert_eq!(end_holders_of_locks(cluster), "2");
        // So does one between making its database and marking it.
        cluster.sql(
            "postgres",
            "CREATE DATABASE backstay_drill_00000001_20250116143022 ALLOW_CONNECTIONS false",
        );
        rehearse(&stage.backup, &stage.new_database(), &options).unwrap();
        let rest = "backstay_drill_00000000_20250116143022 backstay_drill_notes lent source";
        assert_eq!(sorted(&stage.databases()), sorted(rest));
        let report = rehearse(&stage.backup, &lent, &options).unwrap();
        assert_eq!(told(&report), Vec::<String>::new());
        assert_eq!(
            cluster.sql("lent", "SELECT count(*) FROM pg_namespace WHERE nspname ~ 'drill|app'"),
            "0"
        );
    });
}

/// A drill that lost its lock does not empty what somebody else has by now.
#[test]
fn who_has_no_mark_and_no_lock_removes_nothing() {
    let stage = Stage::new();
    let cluster = &stage.cluster;
    cluster.create_database("lent");
    let lent = DrillTarget::Database(cluster.config("lent"));
    let options = DrillOptions::default();
    with_tools(|tools| {
        let archive = Archive::Backup(stage.backup.clone());
        let mut first = Drill::begin(&archive, &lent, &options, tools).unwrap();
        first.restore().unwrap();
        // Its connection ends, another drill takes the rest for dead, and has the database while the first ends.
        assert_eq!(end_holders_of_locks(cluster), "1");
        rehearse(&stage.backup, &lent, &options).unwrap();
        cluster.sql("lent", "CREATE TABLE public.of_somebody (a int)");
        let report = first.end();
        let left = report.left.unwrap();
        assert!(left.contains("does not bear the mark of the drill any more"), "{left}");
        let tables = "SELECT string_agg(relname, ' ') FROM pg_class WHERE relkind = 'r' AND oid >= 16384";
        assert_eq!(cluster.sql("lent", tables), "of_somebody");
    });
}

#[test]
fn a_leftover_that_cannot_be_removed_does_not_keep_the_others() {
    let stage = Stage::new();
    let cluster = &stage.cluster;
    cluster.sql("postgres", "CREATE ROLE tester LOGIN CREATEDB; CREATE ROLE other");
    for (number, owner) in [(1, "other"), (2, "tester"), (3, "tester")] {
        let name = format!("backstay_drill_0000000{number}_20250116143022");
        let make = format!("CREATE DATABASE {name} OWNER {owner} ALLOW_CONNECTIONS false");
        cluster.sql("postgres", &make);
    }
    // A template cannot be dropped.
    let name = "backstay_drill_00000002_20250116143022";
    cluster.sql("postgres", &format!("ALTER DATABASE {name} IS_TEMPLATE true"));
    let mut config = cluster.config("postgres");
    "tester".clone_into(&mut config.user);
    let removed = remove_dead_drills(&config, Lent::No, &CancelToken::new());
    let error = removed.unwrap_err();
    assert!(error.to_string().contains("drop the database of a drill"), "{error}");
    let left = "backstay_drill_00000001_20250116143022 backstay_drill_00000002_20250116143022 source";
    assert_eq!(stage.databases(), left);
}

#[test]
fn a_damaged_backup_fails_before_anything_is_restored() {
    let stage = Stage::new();
    let pack = stage
        .cluster
        .path("backups")
        .join(&stage.backup.manifest().packs[0].name);
    let mut bytes = std::fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    let report = rehearse(&stage.backup, &stage.new_database(), &DrillOptions::default()).unwrap();
    assert!(!report.passed() && report.restored.is_none(), "{report:#?}");
    assert!(report.count(Severity::Error) > 0);
    assert_eq!(stage.databases(), "source");
}
