//! Databases whose texts are not UTF-8, or are no text at all.

use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;

use backstay::{Prove, RestoreOptions, TargetPolicy};

use crate::sabotage::{chain, shared_cluster};
use crate::support::{Cluster, back_up, checked, open, prove, restore};

/// One of everything with a name, with `{}` where bytes above 127 go.
const SCHEMA: &str = r#"
    CREATE ROLE "role {db} {}";
    CREATE SCHEMA "s{}" AUTHORIZATION "role {db} {}";
    CREATE TYPE "s{}"."enum {}" AS ENUM ('a{}', 'b{}');
    CREATE FUNCTION "f{}"("p{}" text DEFAULT '{}') RETURNS text LANGUAGE sql AS $$ SELECT '{}' || $1 $$;
    CREATE TABLE "s{}"."t{}" (id int CONSTRAINT "pk{}" PRIMARY KEY, "c{}" text DEFAULT '{}', e "s{}"."enum {}",
        CHECK ("c{}" <> 'x{}'));
    ALTER TABLE "s{}"."t{}" OWNER TO "role {db} {}";
    INSERT INTO "s{}"."t{}" SELECT i, 'row{} ' || i, 'b{}' FROM generate_series(1, 2000) i;
    CREATE INDEX "i{}" ON "s{}"."t{}" (("c{}" || '{}'));
    COMMENT ON TABLE "s{}"."t{}" IS 'comment {}
    of two lines \{}';
    CREATE SEQUENCE "q{}"; SELECT setval('"q{}"', 77);
    CREATE VIEW "v{}" AS SELECT "c{}" AS "x{}" FROM "s{}"."t{}" WHERE "c{}" <> '{}';
    CREATE MATERIALIZED VIEW "m{}" AS SELECT count(*) AS "n{}" FROM "v{}";
    CREATE TRIGGER "tr{}" BEFORE UPDATE ON "s{}"."t{}" FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
    CREATE POLICY "p{}" ON "s{}"."t{}" TO "role {db} {}" USING ("c{}" <> '{}');
    GRANT SELECT ON "s{}"."t{}" TO "role {db} {}";
    SELECT lo_from_bytea(5, '\x00ff'); COMMENT ON LARGE OBJECT 5 IS 'lo {}'; ALTER LARGE OBJECT 5 OWNER TO "role {db} {}";
"#;

/// Runs SQL that is bytes in the database's own encoding.
fn run(cluster: &Cluster, database: &str, encoding: &str, sql: &[u8]) {
    let mut psql = cluster.client("psql", database);
    psql.args(["-Xq", "-v", "ON_ERROR_STOP=1"])
        .env("PGCLIENTENCODING", encoding);
    let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    psql.stdin.take().unwrap().write_all(sql).unwrap();
    assert!(psql.wait().unwrap().success());
}

/// Everything in a database as lines of bytes, in order of their text.
fn dump(cluster: &Cluster, database: &str, encoding: &str) -> Vec<Vec<u8>> {
    let output = checked(cluster.client("pg_dump", database).arg("--encoding").arg(encoding));
    let mut lines: Vec<Vec<u8>> = output.stdout.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    lines.retain(|line| !line.starts_with(b"\\restrict") && !line.starts_with(b"\\unrestrict"));
    lines.sort_unstable();
    lines
}

fn filled(database: &str, bytes: &[u8]) -> Vec<u8> {
    let schema = SCHEMA.replace("{db}", database);
    let parts: Vec<&[u8]> = schema.split("{}").map(str::as_bytes).collect();
    parts.join(bytes)
}

fn round_trip(database: &str, encoding: &str, bytes: &[u8]) {
    let cluster: Arc<Cluster> = shared_cluster();
    let create = |name: &str| {
        let sql =
            format!("CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'");
        cluster.sql("postgres", &sql);
    };
    create(database);
    run(&cluster, database, encoding, &filled(database, bytes));
    let repository = cluster.repository(&format!("store {encoding}"));
    let report = back_up(&cluster, database, &repository, |_| {}).unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(report.published.manifest.source.encoding, encoding);
    assert_eq!(report.published.manifest.source.database, *database);
    let backup = open(&repository, &report);
    let source = dump(&cluster, database, encoding);
    assert!(
        source
            .iter()
            .filter(|line| line.windows(bytes.len()).any(|found| found == bytes))
            .count()
            > 2000
    );

    let parallel = format!("{database} parallel");
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    options.prove = Prove::Yes;
    let restored = restore(&cluster, &backup, &parallel, &options).unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert!(restored.is_complete(), "{:#?}", (restored.failures, restored.proof));
    assert!(
        dump(&cluster, &parallel, encoding) == source,
        "parallel restore of {encoding}"
    );
    let of_copy = "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()";
    assert_eq!(cluster.sql(&parallel, of_copy), encoding);

    let by_psql = format!("{database} by psql");
    create(&by_psql);
    let pack = cluster
        .path(&format!("store {encoding}"))
        .join(report.published.pack.as_str());
    let output = cluster.restore_by_psql(&by_psql, &pack);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        dump(&cluster, &by_psql, encoding) == source,
        "psql restore of {encoding}"
    );
    assert!(prove(&cluster, &backup, &by_psql).is_equal());
}

#[test]
fn latin1_comes_back_byte_by_byte() {
    round_trip("latin one", "LATIN1", b"caf\xe9 \xa0\xff");
}

#[test]
fn bytes_that_are_no_text_come_back_byte_by_byte() {
    round_trip("no text", "SQL_ASCII", b"\xff\xfe\xe9\xc3");
}

#[test]
fn a_name_in_another_encoding_than_the_database_is_no_hindrance() {
    round_trip("d\u{e9}j\u{e0} vu", "LATIN9", b"\xa4 \xe9");
}

#[test]
fn utf8_in_a_database_that_checks_nothing_comes_back() {
    round_trip("utf8 unchecked", "SQL_ASCII", "\u{e9}\u{1f418}".as_bytes());
}

#[test]
fn wide_encodings_come_back() {
    round_trip("japanese", "EUC_JP", b"\xc6\xfc\xcb\xdc\xb8\xec");
}
