//! Parts of backups, targets that are not empty, and foreign archives.

use std::fs::File;
use std::process::Stdio;

use backstay::{
    Atomicity, BackupReader, CancelToken, ForeignArchive, Keep, Parts, Prove, RestoreOptions, RestoreRefusal,
    RestoreReport, Silent, TargetError, TargetPolicy, WhenMissing,
};

use crate::support::{Cluster, assert_same, assert_same_part, back_up, checked, default_installation, open, restore};

const SHOP: &str = "
    CREATE SCHEMA app;
    CREATE TYPE app.state AS ENUM ('new', 'paid');
    CREATE TABLE app.customers (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
    CREATE TABLE app.orders (id serial PRIMARY KEY, customer int NOT NULL REFERENCES app.customers, state app.state);
    CREATE INDEX orders_state ON app.orders (state);
    CREATE TABLE public.log (at timestamptz, line text);
    CREATE VIEW app.paid AS SELECT * FROM app.orders WHERE state = 'paid';
    CREATE FUNCTION app.stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TRIGGER stamp BEFORE INSERT ON app.orders FOR EACH ROW EXECUTE FUNCTION app.stamp();
    ALTER TABLE app.customers ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON app.customers USING (name = current_user);
    COMMENT ON TABLE app.orders IS 'what was bought';
    GRANT SELECT ON app.orders TO PUBLIC;
    INSERT INTO app.customers (name) SELECT 'c' || i FROM generate_series(1, 100) i;
    INSERT INTO app.orders (customer, state) SELECT 1 + i % 100, 'new' FROM generate_series(1, 1000) i;
    INSERT INTO public.log SELECT now(), i::text FROM generate_series(1, 50) i;
    SELECT lo_from_bytea(4711, 'hello');
    -- One that ends with a hole of whole pages, one that begins with a hole, and one without content.
    SELECT lo_from_bytea(4712, 'x'); SELECT lo_truncate64(lo_open(4712, 131072), 8192);
    SELECT lo_create(4713); SELECT lo_put(4713, 100000, 'late'); SELECT lo_create(4714);";

fn shop() -> (Cluster, BackupReader) {
    let cluster = Cluster::start(&default_installation());
    cluster.create_database("shop");
    cluster.sql("shop", SHOP);
    let repository = cluster.repository("backups");
    let report = back_up(&cluster, "shop", &repository, |_| {}).unwrap();
    let backup = open(&repository, &report);
    (cluster, backup)
}

fn complete(report: Result<RestoreReport, TargetError>) -> RestoreReport {
    let report = report.unwrap();
    assert!(report.is_complete(), "{:#?}", report.failures);
    report
}

#[test]
fn one_table_comes_with_what_belongs_to_it() {
    let (cluster, backup) = shop();
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    options.selection.tables = vec!["app.orders".to_owned()];
    options.prove = Prove::Yes;
    complete(restore(&cluster, &backup, "part", &options));
    let part = |sql: &str| cluster.sql("part", sql);
    assert_eq!(part("SELECT count(*) FROM app.orders"), "1000");
    assert_eq!(
        part("SELECT to_regclass('app.customers') IS NULL AND to_regclass('log') IS NULL"),
        "t"
    );
    assert_eq!(part("SELECT count(*) FROM pg_indexes WHERE schemaname = 'app'"), "2");
    assert_eq!(part("SELECT count(*) FROM pg_trigger WHERE tgname = 'stamp'"), "1");
    assert_eq!(
        part("SELECT obj_description('app.orders'::regclass)"),
        "what was bought"
    );
    assert_eq!(
        part("SELECT has_table_privilege('public', 'app.orders', 'SELECT')"),
        "t"
    );
    assert_eq!(part("SELECT nextval('app.orders_id_seq')"), "1001");
    assert_eq!(
        part("SELECT count(*) FROM pg_constraint WHERE contype = 'f'"),
        "0",
        "its other table is not there"
    );
    // But for that, it is what pg_dump takes for this table; the sequence has gone on.
    cluster.sql("shop", "ALTER TABLE app.orders DROP CONSTRAINT orders_customer_fkey");
    cluster.sql("shop", "SELECT nextval('app.orders_id_seq')");
    assert_same_part(&cluster, "shop", "part", &["--table=app.orders"]);
}

#[test]
fn some_tables_are_what_pg_dump_takes_for_them() {
    let (cluster, backup) = shop();
    let cases: [(&str, &[&str], &[&str]); 4] = [
        (
            "both",
            &["app.customers", "app.orders"],
            &["--table=app.customers", "--table=app.orders"],
        ),
        ("pattern", &["app.*"], &["--table=app.*"]),
        ("view", &["app.orders", "app.paid"], &["--table=app.paid"]),
        ("log", &["log"], &["--table=public.log"]),
    ];
    for (copy, tables, part) in cases {
        for atomicity in [Atomicity::StepByStep, Atomicity::SingleTransaction] {
            let copy = format!("{copy}_{atomicity:?}").to_lowercase();
            let mut options = RestoreOptions::default();
            options.target = TargetPolicy::Create;
            options.atomicity = atomicity;
            options.selection.tables = tables.iter().map(|&table| table.to_owned()).collect();
            options.prove = Prove::Yes;
            complete(restore(&cluster, &backup, &copy, &options));
            assert_same_part(&cluster, "shop", &copy, part);
            let others = cluster.sql(&copy, "SELECT count(*) FROM pg_largeobject_metadata");
            assert_eq!(others, "0");
        }
    }
}

#[test]
fn one_schema_comes_whole() {
    let (cluster, backup) = shop();
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    options.selection.schemas = vec!["app".to_owned()];
    options.prove = Prove::Yes;
    complete(restore(&cluster, &backup, "part", &options));
    assert_same_part(&cluster, "shop", "part", &["--schema=app"]);
    assert_eq!(cluster.sql("part", "SELECT count(*) FROM app.paid"), "0");
    assert_eq!(
        cluster.sql("part", "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"),
        "1"
    );
    assert_eq!(cluster.sql("part", "SELECT to_regclass('log') IS NULL"), "t");
    options.selection.tables = vec!["nowhere".to_owned()];
    let refused = restore(&cluster, &backup, "other", &options);
    assert!(
        matches!(refused, Err(TargetError::Refused(RestoreRefusal::NoMatch { .. }))),
        "{refused:?}"
    );
    assert_eq!(
        cluster.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname = 'other'"),
        "0"
    );
}

#[test]
fn schema_and_rows_can_come_apart() {
    let (cluster, backup) = shop();
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    options.parts = Parts::Schema;
    complete(restore(&cluster, &backup, "apart", &options));
    assert_eq!(cluster.schema("apart"), cluster.schema("shop"));
    assert_eq!(cluster.sql("apart", "SELECT count(*) FROM app.orders"), "0");
    cluster.sql("postgres", "CREATE DATABASE customers TEMPLATE apart");
    options.target = TargetPolicy::Empty;
    options.parts = Parts::Data;
    options.prove = Prove::Yes;
    complete(restore(&cluster, &backup, "apart", &options));
    assert_same(&cluster, "shop", "apart");
    let mut only = options.clone();
    only.selection.tables = vec!["app.customers".to_owned()];
    complete(restore(&cluster, &backup, "customers", &only));
    assert_same_part(&cluster, "shop", "customers", &["--table=app.customers"]);
    assert_eq!(cluster.sql("customers", "SELECT count(*) FROM app.orders"), "0");
    assert_eq!(
        cluster.sql(
            "apart",
            "SELECT length(lo_get(4712)), length(lo_get(4713)), length(lo_get(4714))"
        ),
        "8192|100004|0"
    );
    let report = backstay::verify(
        &backstay::Archive::Backup(backup),
        &backstay::CheckOptions::default(),
        &Silent,
        &CancelToken::new(),
    )
    .unwrap();
    assert!(report.is_sound(), "{}", report.render());
}

#[test]
fn a_target_that_holds_something_is_refused() {
    let (cluster, backup) = shop();
    cluster.create_database("used");
    cluster.sql("used", "CREATE TABLE precious (x int)");
    let refused = restore(&cluster, &backup, "used", &RestoreOptions::default());
    assert!(
        matches!(
            refused,
            Err(TargetError::Refused(RestoreRefusal::NotEmpty { count: 1, .. }))
        ),
        "{refused:?}"
    );
    let refused = restore(&cluster, &backup, "missing", &RestoreOptions::default());
    assert!(
        matches!(refused, Err(TargetError::Refused(RestoreRefusal::Missing { .. }))),
        "{refused:?}"
    );
    let mut create = RestoreOptions::default();
    create.target = TargetPolicy::Create;
    let refused = restore(&cluster, &backup, "used", &create);
    assert!(
        matches!(refused, Err(TargetError::Refused(RestoreRefusal::Exists { .. }))),
        "{refused:?}"
    );
    assert_eq!(cluster.sql("used", "SELECT count(*) FROM precious"), "0");
}

#[test]
fn clean_replaces_what_the_backup_contains() {
    for atomicity in [Atomicity::SingleTransaction, Atomicity::StepByStep] {
        let (cluster, backup) = shop();
        cluster.sql(
            "shop",
            "DELETE FROM app.orders; DROP VIEW app.paid; CREATE TABLE public.mine AS SELECT 1 AS x;
             SELECT lo_from_bytea(12, 'mine')",
        );
        let mut options = RestoreOptions::default();
        options.target = TargetPolicy::Clean;
        options.atomicity = atomicity;
        options.prove = Prove::Yes;
        complete(restore(&cluster, &backup, "shop", &options));
        assert_eq!(cluster.sql("shop", "SELECT count(*) FROM app.orders"), "1000");
        assert_eq!(
            cluster.sql("shop", "SELECT x FROM public.mine"),
            "1",
            "what the backup does not have stays"
        );
        assert_eq!(cluster.sql("shop", "SELECT convert_from(lo_get(12), 'UTF8')"), "mine");
    }
}

#[test]
fn a_failing_single_transaction_changes_nothing() {
    let (cluster, backup) = shop();
    // Something of the target's own hangs on what would have to be dropped.
    cluster.sql(
        "shop",
        "CREATE TABLE public.mine (o int REFERENCES app.orders); INSERT INTO public.mine VALUES (1)",
    );
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Clean;
    options.atomicity = Atomicity::SingleTransaction;
    let failed = restore(&cluster, &backup, "shop", &options);
    assert!(matches!(failed, Err(TargetError::Clean { .. })), "{failed:?}");
    assert_eq!(cluster.sql("shop", "SELECT count(*) FROM app.orders"), "1000");

    // A key that the rows break, made while they were loaded.
    cluster.create_database("broken");
    cluster.sql(
        "broken",
        "CREATE DOMAIN public.unused AS int; DROP DOMAIN public.unused; CREATE SCHEMA other",
    );
    let refused = restore(&cluster, &backup, "broken", &RestoreOptions::default());
    assert!(matches!(refused, Err(TargetError::Refused(_))));
}

#[test]
fn a_restore_that_is_not_whole_says_so() {
    let cluster = Cluster::start(&default_installation());
    cluster.sql("postgres", "CREATE ROLE boss");
    cluster.create_database("shop");
    cluster.sql(
        "shop",
        "CREATE TABLE owned (x int); ALTER TABLE owned OWNER TO boss; INSERT INTO owned VALUES (1)",
    );
    let repository = cluster.repository("backups");
    let backup = open(&repository, &back_up(&cluster, "shop", &repository, |_| {}).unwrap());
    cluster.sql("shop", "DROP TABLE owned");
    cluster.sql("postgres", "DROP ROLE boss");
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    let plan = backstay::plan_restore(&backup, &cluster.config("copy"), &options).unwrap();
    assert!(
        plan.warnings.iter().any(|warning| warning.contains("boss")),
        "{:?}",
        plan.warnings
    );
    let report = restore(&cluster, &backup, "copy", &options).unwrap();
    assert!(!report.is_complete());
    assert_eq!(
        report.failures[0].sql_state.as_deref(),
        Some("42704"),
        "{:?}",
        report.failures
    );
    assert_eq!(
        cluster.sql("copy", "SELECT x FROM owned"),
        "1",
        "what could be restored is there"
    );
    options.owners = Keep::No;
    complete(restore(&cluster, &backup, "second", &options));
}

#[test]
fn the_old_scripts_archives_are_restored() {
    let (cluster, _) = shop();
    for (suffix, packer) in [("sql", None), ("sql.gz", Some("gzip")), ("sql.zst", Some("zstd"))] {
        let name = format!("old.{suffix}");
        let path = cluster.path(&name);
        let mut dump = cluster.client("pg_dump", "shop");
        match packer {
            None => drop(checked(dump.arg("-f").arg(&path))),
            Some(packer) => {
                let mut dump = dump.stdout(Stdio::piped()).spawn().unwrap();
                let mut pack = std::process::Command::new(packer);
                pack.arg("-c")
                    .stdin(dump.stdout.take().unwrap())
                    .stdout(File::create(&path).unwrap());
                checked(&mut pack);
                assert!(dump.wait().unwrap().success());
            }
        }
        let store = backstay::open_store(path.parent().unwrap().to_str().unwrap(), WhenMissing::Fail).unwrap();
        let archive = ForeignArchive::open(&*store, &name.parse().unwrap()).unwrap();
        assert_eq!(archive.encoding.as_deref(), Some("UTF8"));
        for (atomicity, word) in [
            (Atomicity::StepByStep, "steps"),
            (Atomicity::SingleTransaction, "single"),
        ] {
            let copy = format!("{word}_{}", suffix.replace('.', "_"));
            let config = cluster.config(&copy);
            let plan = archive.plan_restore(&config, TargetPolicy::Create, atomicity).unwrap();
            let report = complete(archive.restore(&*store, &plan, &config, &Silent, &CancelToken::new()));
            assert_eq!(report.rows, 1150);
            assert_same(&cluster, "shop", &copy);
        }
    }
}

#[test]
fn rows_of_a_foreign_copy_that_fails_are_never_statements() {
    let cluster = Cluster::start(&default_installation());
    let script = "CREATE TABLE t (x int);\nCOPY missing (x) FROM stdin;\nDROP TABLE t;\n\\.\nINSERT INTO t VALUES (7);\n\\! touch x\n";
    let report = restore_script(&cluster, "target", script, Atomicity::StepByStep).unwrap();
    assert_eq!(report.failures.len(), 2, "{:?}", report.failures);
    assert_eq!(cluster.sql("target", "SELECT x FROM t"), "7");
}

/// Restores a script of somebody else into a new database.
fn restore_script(
    cluster: &Cluster,
    database: &str,
    script: &str,
    atomicity: Atomicity,
) -> Result<RestoreReport, TargetError> {
    let name = format!("{database}.sql");
    std::fs::write(cluster.path(&name), script).unwrap();
    let store = backstay::open_store(cluster.path("").to_str().unwrap(), WhenMissing::Fail).unwrap();
    let archive = ForeignArchive::open(&*store, &name.parse().unwrap()).unwrap();
    let config = cluster.config(database);
    let plan = archive.plan_restore(&config, TargetPolicy::Create, atomicity).unwrap();
    archive.restore(&*store, &plan, &config, &Silent, &CancelToken::new())
}

const BOTH: [(Atomicity, &str); 2] = [
    (Atomicity::StepByStep, "steps"),
    (Atomicity::SingleTransaction, "single"),
];

#[test]
fn tables_that_a_foreign_archive_names_by_its_search_path_are_counted() {
    let cluster = Cluster::start(&default_installation());
    // As pg_dump wrote it until March 2018; both schemas have a table of one name.
    let script = "SET client_encoding = 'UTF8';\nCREATE SCHEMA app;\nSET search_path = app, pg_catalog;\n\
        CREATE TABLE users (x int);\nCREATE TABLE \"Ünly here\" (x int);\n\
        SET search_path = public, pg_catalog;\nCREATE TABLE users (x int);\n\
        CREATE TABLE parts (x int) PARTITION BY LIST (x);\nCREATE TABLE part PARTITION OF parts DEFAULT;\n\
        SET search_path = app, pg_catalog;\nCOPY users (x) FROM stdin;\n1\n2\n3\n\\.\n\
        COPY \"Ünly here\" (x) FROM stdin;\n1\n\\.\n\
        SET search_path = public, pg_catalog;\nCOPY users (x) FROM stdin;\n4\n\\.\n\
        COPY parts (x) FROM stdin;\n5\n\\.\nALTER TABLE app.users RENAME TO people;\n";
    for (atomicity, database) in BOTH {
        let report = complete(restore_script(&cluster, database, script, atomicity));
        assert_eq!((report.tables, report.rows), (4, 6), "{database}");
        let there = "SELECT (SELECT count(*) FROM app.people), (SELECT count(*) FROM public.users), \
            (SELECT count(*) FROM parts), (SELECT count(*) FROM app.\"Ünly here\")";
        assert_eq!(cluster.sql(database, there), "3|1|1|1", "{database}");
    }
    let losing = format!("{script}DELETE FROM app.people WHERE x = 1;\n");
    for (atomicity, database) in BOTH {
        let database = format!("losing_{database}");
        let report = restore_script(&cluster, &database, &losing, atomicity).unwrap();
        assert_eq!(report.failures.len(), 1, "{:?}", report.failures);
        let failure = &report.failures[0];
        assert_eq!(failure.what, "rows of \"users\"");
        assert_eq!(failure.error, "3 rows were loaded and 2 are there");
    }
}

#[test]
fn a_foreign_archive_whose_rows_cannot_be_counted_is_not_restored() {
    let cluster = Cluster::start(&default_installation());
    for (end, error) in [
        ("DROP TABLE t;", "1 rows were loaded and the table is no more"),
        ("CREATE ROLE nobody; SET ROLE nobody;", "permission denied for table t"),
    ] {
        let script = format!("CREATE TABLE t (x int);\nCOPY t (x) FROM stdin;\n1\n\\.\n{end}\n");
        for (atomicity, database) in BOTH {
            let database = format!("{}_{database}", &end[..4].to_lowercase());
            let script = script.replace("nobody", &format!("nobody_{database}"));
            let report = restore_script(&cluster, &database, &script, atomicity).unwrap();
            assert_eq!(report.failures.len(), 1, "{database}: {:?}", report.failures);
            assert!(report.failures[0].error.contains(error), "{:?}", report.failures);
        }
    }
}

/// What would make the end of the one transaction say nothing about what came before.
#[test]
fn a_foreign_archive_that_ends_the_one_transaction_is_refused() {
    let cluster = Cluster::start(&default_installation());
    for (number, end) in ["END;", "rollback;", "COMMIT AND CHAIN;", "/* a */ ABORT;"]
        .into_iter()
        .enumerate()
    {
        let script = format!("CREATE TABLE t (x int);\n{end}\nCREATE TABLE u (x int);\n");
        let database = format!("ended_{number}");
        let report = restore_script(&cluster, &database, &script, Atomicity::SingleTransaction).unwrap();
        assert_eq!(report.failures.len(), 1, "{end}: {:?}", report.failures);
        assert!(!report.is_complete());
        assert_eq!(cluster.sql(&database, "SELECT to_regclass('u')"), "", "{end}");
    }
}
