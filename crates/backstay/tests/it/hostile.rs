//! A server whose owner wants to run commands on the machine of whoever restores.

use std::path::Path;
use std::process::{Output, Stdio};

use backstay::{BackupError, RestoreOptions, SourceError, TargetPolicy};

use crate::sabotage::{chain, scene, scene_since};
use crate::support::{Cluster, assert_same, back_up, open, prove, restore};

/// Texts that are a command of psql wherever they are not inside what they were put in.
fn payloads(touched: &Path) -> Vec<String> {
    let touch = format!("\\! touch {}", touched.display());
    assert!(touch.len() < 40, "names have 63 bytes");
    vec![
        format!("\n{touch}\n"),
        format!("\r{touch}\r"),
        format!("\n\\.\n{touch}"),
        format!("';{touch} --"),
        format!("\";{touch} --"),
        format!("\\';{touch} --"),
        format!("$$;{touch}\n$_$"),
        format!("*/;{touch} /*"),
        format!("`touch {}`", touched.display()),
        format!("\u{2028}{touch}\u{85}"),
        ":\"USER\" :'HOST' :{?DBNAME} :x".to_owned(),
        "\\restrict x\n\\q\n\\if false\n".to_owned(),
    ]
}

fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Objects of every kind whose names, comments, bodies and rows are the payload.
fn objects(payload: &str, number: usize) -> String {
    let (n, l) = (name(payload), literal(payload));
    let s = format!("s{number}");
    let body = format!(
        "$body_{number}$BEGIN RETURN {l}; /* {} */ END$body_{number}$",
        payload.replace("*/", "* /").replace("/*", "/ *")
    );
    let mut sql = format!("CREATE SCHEMA {s}; SET search_path = {s};");
    for (create, kind) in [
        (
            format!("CREATE SCHEMA {}", name(&format!("{number}{payload}"))),
            format!("SCHEMA {}", name(&format!("{number}{payload}"))),
        ),
        (format!("CREATE TYPE {n} AS ENUM ({l})"), format!("TYPE {n}")),
        (
            format!("CREATE DOMAIN d AS text CONSTRAINT {n} CHECK (VALUE <> {l}) DEFAULT {l}"),
            "DOMAIN d".to_owned(),
        ),
        (format!("CREATE TYPE c AS ({n} text)"), format!("COLUMN c.{n}")),
        (
            format!("CREATE FUNCTION {n}({n} text DEFAULT {l}) RETURNS text LANGUAGE plpgsql AS {body}"),
            format!("FUNCTION {n}(text)"),
        ),
        (
            format!(
                "CREATE FUNCTION f() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT {l} AS {n}; SELECT CASE WHEN true THEN {l} END; END"
            ),
            "FUNCTION f()".to_owned(),
        ),
        (
            format!("CREATE SEQUENCE {}", name(&format!("q{payload}"))),
            format!("SEQUENCE {}", name(&format!("q{payload}"))),
        ),
        (
            format!("CREATE TABLE t (x int CONSTRAINT {n} PRIMARY KEY, {n} text DEFAULT {l}, CHECK ({n} <> 'z'))"),
            "TABLE t".to_owned(),
        ),
        (
            format!("CREATE TABLE {} (x int)", name(&format!("t{payload}"))),
            format!("TABLE {}", name(&format!("t{payload}"))),
        ),
        (
            format!("CREATE INDEX {} ON t ({n}, ({n} || {l}))", name(&format!("i{payload}"))),
            format!("INDEX {}", name(&format!("i{payload}"))),
        ),
        (
            format!("CREATE VIEW v AS SELECT {n}, {l}::text AS y FROM t WHERE {n} <> {l}"),
            "VIEW v".to_owned(),
        ),
        (
            format!("CREATE MATERIALIZED VIEW m AS SELECT {l}::text AS {n}"),
            "MATERIALIZED VIEW m".to_owned(),
        ),
        (
            format!("CREATE RULE {n} AS ON UPDATE TO v DO INSTEAD NOTIFY {n}, {l}"),
            format!("RULE {n} ON v"),
        ),
        (
            format!("CREATE POLICY {n} ON t USING ({n} <> {l})"),
            format!("POLICY {n} ON t"),
        ),
        (
            format!(
                "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER {n} BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION g({l})"
            ),
            format!("TRIGGER {n} ON t"),
        ),
        (
            format!("CREATE STATISTICS {n} ON x, {n} FROM t"),
            format!("STATISTICS {n}"),
        ),
    ] {
        sql.push_str(&format!("{create}; COMMENT ON {kind} IS {l};\n"));
    }
    sql.push_str(&format!("COMMENT ON COLUMN t.{n} IS {l};"));
    sql.push_str(&format!(
        "INSERT INTO t VALUES (1, {l}), (2, DEFAULT), (3, '\\.'), (4, '');"
    ));
    sql.push_str(&format!(
        "SELECT lo_create({}); COMMENT ON LARGE OBJECT {} IS {l};",
        100 + number,
        100 + number
    ));
    sql
}

fn psql(cluster: &Cluster, database: &str, pack: &Path, arguments: &[&str]) -> Output {
    let mut unpack = std::process::Command::new("gzip");
    let mut unpack = unpack.arg("-dc").arg(pack).stdout(Stdio::piped()).spawn().unwrap();
    let mut psql = cluster.client("psql", database);
    let output = psql
        .args(["-Xq"])
        .args(arguments)
        .stdin(unpack.stdout.take().unwrap())
        .output()
        .unwrap();
    unpack.wait().unwrap();
    output
}

#[test]
fn names_comments_bodies_and_rows_never_become_commands() {
    let touched = Path::new("/tmp/.backstay-hostile");
    assert!(!touched.exists());
    let database = "hostile\n\\! touch /tmp/.backstay-hostile\n";
    let (cluster, _) = scene_since(14, "hostile_template", "SELECT 1");
    let payloads = payloads(touched);
    let sql: String = payloads
        .iter()
        .enumerate()
        .map(|(number, text)| objects(text, number))
        .collect();
    let file = cluster.path("hostile.sql");
    std::fs::write(&file, sql).unwrap();
    cluster.sql_file::<&str>("hostile_template", &file, &[]);
    cluster.sql(
        "postgres",
        &format!("ALTER DATABASE hostile_template RENAME TO {}", name(database)),
    );
    cluster.sql(
        "postgres",
        &format!("COMMENT ON DATABASE {} IS {}", name(database), literal(&payloads[0])),
    );
    cluster.sql(
        "postgres",
        &format!(
            "ALTER DATABASE {} SET application_name = {}",
            name(database),
            literal(&payloads[0])
        ),
    );

    let repository = cluster.repository("hostile");
    let report = back_up(&cluster, database, &repository, |_| {}).unwrap_or_else(|error| panic!("{}", chain(&error)));
    let backup = open(&repository, &report);
    let pack = cluster.path("hostile").join(report.published.pack.as_str());
    cluster.create_database("hostile_psql");
    let output = psql(&cluster, "hostile_psql", &pack, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!touched.exists(), "a command was executed");
    assert_same(&cluster, database, "hostile_psql");
    assert!(prove(&cluster, &backup, "hostile_psql").is_equal());

    // With everything that one may say to psql, and by our own restore.
    cluster.create_database("hostile_keep_going");
    let output = psql(
        &cluster,
        "hostile_keep_going",
        &pack,
        &["-v", "keep_going=1", "-v", "x=1;", "-1"],
    );
    assert!(
        output.status.success() && !touched.exists(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_same(&cluster, database, "hostile_keep_going");
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    let restored = restore(&cluster, &backup, "hostile_restored", &options).unwrap();
    assert!(restored.is_complete(), "{:#?}", restored.failures);
    assert_same(&cluster, database, "hostile_restored");
    assert!(!touched.exists());

    // What people read shows no control characters.
    let id = &report.published.manifest.id;
    assert!(
        id.to_string()
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)),
        "{id}"
    );
}

/// Functions of the database run during a restore and change what literals mean to psql.
#[test]
fn a_function_that_changes_what_literals_mean_opens_no_way_out() {
    let touched = Path::new("/tmp/.backstay-literals");
    let attack = format!("E'\\\\\\'; \\\\! touch {} \\n--'", touched.display());
    let large_object = format!("SELECT lo_from_bytea(7, '\\x5c5c'); COMMENT ON LARGE OBJECT 7 IS {attack};");
    // The member of large objects sets what literals mean by itself, and would help those behind it.
    for (database, more) in [("literals", ""), ("literals_large", large_object.as_str())] {
        let (cluster, repository) = scene(
            database,
            &format!(
                "CREATE FUNCTION turn(x int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
                   PERFORM set_config('standard_conforming_strings', 'off', false);
                   PERFORM set_config('client_encoding', 'SJIS', false);
                   PERFORM set_config('search_path', 'public', false);
                   RETURN x; END $$;
                 CREATE TABLE t (x int CHECK (turn(x) > 0), y text); INSERT INTO t VALUES (1, {attack});
                 CREATE TABLE u (x int, y text DEFAULT {attack}); INSERT INTO u VALUES (2, {attack});
                 CREATE INDEX i ON u (turn(x)); COMMENT ON INDEX i IS {attack};
                 CREATE INDEX j ON u ((y || {attack}));
                 CREATE MATERIALIZED VIEW m AS SELECT turn(x), {attack}::text FROM t;
                 COMMENT ON MATERIALIZED VIEW m IS {attack};
                 {more}"
            ),
        );
        let report =
            back_up(&cluster, database, &repository, |_| {}).unwrap_or_else(|error| panic!("{}", chain(&error)));
        let pack = cluster.path(database).join(report.published.pack.as_str());
        let copy = format!("{database}_copy");
        cluster.create_database(&copy);
        let output = psql(&cluster, &copy, &pack, &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!touched.exists(), "a command was executed");
        assert_same(&cluster, database, &copy);
    }
}

/// Words that psql takes for the beginning of a body, and references to its own variables: refused by name, or right.
#[test]
fn what_psql_would_misread_is_refused_by_name() {
    for (number, (sql, refused)) in [
        (
            "CREATE TABLE t (\"begin\" int, \"end\" int);
             CREATE FUNCTION reads() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT t.\"begin\" FROM t; END",
            Some("the definition of FUNCTION reads() is not safe to write into a backup"),
        ),
        (
            "CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            Some("the definition of FUNCTION begin() is not safe to write into a backup"),
        ),
        (
            "CREATE TABLE t (a int[], \"USER\" int, CHECK (a[1:\"USER\"] IS NOT NULL))",
            Some("the definition of TABLE t is not safe to write into a backup"),
        ),
        (
            "CREATE TABLE t (a int[], n int); CREATE VIEW v AS SELECT a[1:n] AS x, a[:n] AS y, a[n:] AS z FROM t;
             CREATE FUNCTION nested(x int) RETURNS text LANGUAGE sql BEGIN ATOMIC
               SELECT CASE WHEN x > 0 THEN CASE x WHEN 1 THEN 'one' END ELSE 'less' END; SELECT 'end; begin' AS said; END;
             CREATE PROCEDURE twice() LANGUAGE sql BEGIN ATOMIC INSERT INTO t DEFAULT VALUES; DELETE FROM t; END",
            None,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let database = format!("misread_{number}");
        let (cluster, repository) = scene_since(14, &database, sql);
        match (back_up(&cluster, &database, &repository, |_| {}), refused) {
            (Ok(report), None) => {
                let pack = cluster.path(&database).join(report.published.pack.as_str());
                let copy = format!("{database}_copy");
                cluster.create_database(&copy);
                let output = psql(&cluster, &copy, &pack, &[]);
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                assert_same(&cluster, &database, &copy);
            }
            (Err(error @ BackupError::Source(SourceError::Hazard { .. })), Some(refused)) => {
                assert!(chain(&error).starts_with(refused), "{}", chain(&error));
            }
            (Ok(_), Some(refused)) => panic!("{database}: a backup, although {refused}"),
            (Err(error), _) => panic!("{database}: {}", chain(&error)),
        }
    }
}

/// After a COPY that fails psql would run the rows as SQL; the pack makes it stop.
#[test]
fn rows_of_a_copy_that_fails_are_not_run() {
    let database = "failed_copy";
    let (cluster, repository) = scene(
        database,
        "CREATE TABLE t (x text); INSERT INTO t VALUES ('DROP TABLE victim;'), ('\\! touch /tmp/.backstay-failed-copy')",
    );
    let report = back_up(&cluster, database, &repository, |_| {}).unwrap();
    let pack = cluster.path(database).join(report.published.pack.as_str());
    // In the target each new table gets another column, so that its COPY fails.
    let trap = "CREATE TABLE victim (x int);
        CREATE FUNCTION rename() RETURNS event_trigger LANGUAGE plpgsql AS
          'BEGIN ALTER TABLE public.t RENAME x TO y; END';
        CREATE EVENT TRIGGER rename ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION rename();";
    cluster.create_database("failed_copy_target");
    cluster.sql("failed_copy_target", trap);
    let output = psql(&cluster, "failed_copy_target", &pack, &[]);
    let messages = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{messages}");
    assert!(
        messages.contains("column \"x\" of relation \"t\" does not exist"),
        "{messages}"
    );
    assert_eq!(messages.matches("ERROR").count(), 1, "{messages}");
    assert_eq!(cluster.sql("failed_copy_target", "SELECT count(*) FROM victim"), "0");
    assert!(!Path::new("/tmp/.backstay-failed-copy").exists());
}

#[test]
fn keep_going_goes_on_behind_an_error() {
    let database = "keep_going";
    let (cluster, repository) = scene(
        database,
        "CREATE ROLE gone; CREATE TABLE a AS SELECT 1 AS x; ALTER TABLE a OWNER TO gone; CREATE TABLE b AS SELECT 2 AS x",
    );
    let report = back_up(&cluster, database, &repository, |_| {}).unwrap();
    let pack = cluster.path(database).join(report.published.pack.as_str());
    cluster.sql(database, "DROP OWNED BY gone; DROP ROLE gone");
    for (arguments, code, rows) in [(&[][..], Some(3), "f"), (&["-v", "keep_going=1"][..], Some(0), "t")] {
        let copy = format!("keep_going_{rows}");
        cluster.create_database(&copy);
        let output = psql(&cluster, &copy, &pack, arguments);
        let messages = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), code, "{messages}");
        assert!(messages.contains("role \"gone\" does not exist"), "{messages}");
        assert_eq!(cluster.sql(&copy, "SELECT to_regclass('b') IS NOT NULL"), rows);
        if rows == "t" {
            assert_eq!(cluster.sql(&copy, "SELECT (SELECT x FROM a) + (SELECT x FROM b)"), "3");
        }
    }
}
