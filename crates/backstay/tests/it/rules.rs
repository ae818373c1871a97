//! What docs/format.md says of the text of members and of the inventory, each seen in a small backup.

mod running;

use std::process::Command;
use std::thread;

use backstay::manifest::{MemberContent, Persistence, RowSecurity, Stage, Table, TableRows};
use backstay::{BackupReader, GlobalsOption, RestoreOptions, TargetPolicy};
use backstay_core::RowDigest;

use crate::sabotage::{assert_untouched, await_truth, chain, connect, scene};
use crate::support::{Cluster, back_up, open, prove, restore};

/// Backs a new database up, which `sql` makes.
fn backup_of(database: &str, sql: &str) -> (std::sync::Arc<Cluster>, BackupReader) {
    let (cluster, repository) = scene(database, sql);
    let report = back_up(&cluster, database, &repository, |_| {}).unwrap_or_else(|error| panic!("{}", chain(&error)));
    (cluster, open(&repository, &report))
}

/// The texts of the members of some kind.
fn texts(backup: &BackupReader, is: impl Fn(&MemberContent) -> bool) -> Vec<String> {
    let members = backup.manifest().members.iter().filter(|member| is(&member.content));
    members
        .map(|member| String::from_utf8(backup.text(member).unwrap()).unwrap())
        .collect()
}

fn table<'b>(backup: &'b BackupReader, name: &str) -> &'b Table {
    let mut found = backup
        .manifest()
        .tables
        .iter()
        .filter(|table| table.name.to_string() == name);
    found.next().unwrap_or_else(|| panic!("there is no table {name}"))
}

/// The texts of the members with the rows of a table.
fn rows_of(backup: &BackupReader, name: &str) -> Vec<String> {
    let tables = &backup.manifest().tables;
    let is = |content: &MemberContent| matches!(content, MemberContent::Rows(block) if tables[block.table as usize].name.to_string() == name);
    texts(backup, is)
}

fn row_count(table: &Table) -> Option<u64> {
    match &table.rows {
        TableRows::Included { digest, .. } => Some(digest.rows()),
        TableRows::Excluded { .. } => None,
    }
}

#[test]
fn the_order_is_that_of_psql() {
    let (cluster, repository) = scene(
        "order_of_psql",
        "CREATE FUNCTION fine(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
         CREATE TABLE a_small AS SELECT 1 AS x;
         CREATE TABLE b_large AS SELECT i AS x, md5(i::text) AS t FROM generate_series(1, 1000) i;
         CREATE TABLE c_checked (x int CHECK (fine(x)), t text);
         INSERT INTO c_checked SELECT i, md5(i::text) FROM generate_series(1, 3000) i;
         CREATE INDEX ON b_large (x); GRANT SELECT ON a_small TO PUBLIC; CREATE SEQUENCE s;
         CREATE MATERIALIZED VIEW m AS SELECT 1 AS x; SELECT lo_from_bytea(5, 'x');
         CREATE FUNCTION seen() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION seen()",
    );
    let with = |options: &mut backstay::BackupOptions| options.globals = GlobalsOption::Included;
    let report = back_up(&cluster, "order_of_psql", &repository, with).unwrap();
    let manifest = &report.published.manifest;
    let word = |content: &MemberContent| match content {
        MemberContent::Settings => "settings".to_owned(),
        MemberContent::Globals => "globals".to_owned(),
        MemberContent::Schema(Stage::PreData) => "pre-data".to_owned(),
        MemberContent::Rows(block) => format!("rows of {}", manifest.tables[block.table as usize].name),
        MemberContent::LargeObjects => "large objects".to_owned(),
        MemberContent::Sequences => "sequences".to_owned(),
        MemberContent::Schema(Stage::PostData) => "post-data".to_owned(),
        MemberContent::Schema(Stage::Privileges) => "privileges".to_owned(),
        MemberContent::Refreshes => "refreshes".to_owned(),
        MemberContent::Schema(Stage::Last) => "last".to_owned(),
    };
    let order: Vec<String> = manifest.members.iter().map(|member| word(&member.content)).collect();
    // The largest table first; one whose check calls a function of a user behind all others.
    let expected = [
        "settings",
        "globals",
        "pre-data",
        "rows of b_large",
        "rows of a_small",
        "rows of c_checked",
        "large objects",
        "sequences",
        "post-data",
        "privileges",
        "refreshes",
        "last",
    ];
    assert_eq!(order, expected);
    let last: Vec<bool> = manifest.tables.iter().map(|table| table.load_last).collect();
    assert_eq!(last, [false, false, true]);
}

#[test]
fn headers_name_what_can_be_loaded() {
    let (_cluster, backup) = backup_of(
        "headers",
        "CREATE TABLE columns (a int, gone int, g int GENERATED ALWAYS AS (a * 2) STORED, \"Q\"\"t\" text);
         ALTER TABLE columns DROP COLUMN gone; INSERT INTO columns (a, \"Q\"\"t\") VALUES (1, 'x'), (2, NULL);
         CREATE TABLE \"no columns\" (); INSERT INTO \"no columns\" DEFAULT VALUES;
         CREATE TABLE empty (x int)",
    );
    let expected = "COPY \"public\".\"columns\" (\"a\", \"Q\"\"t\") FROM stdin;\n1\tx\n2\t\\N\n\\.\n\n";
    assert_eq!(rows_of(&backup, "columns"), [expected]);
    assert_eq!(
        rows_of(&backup, "no columns"),
        ["COPY \"public\".\"no columns\" FROM stdin;\n\n\\.\n\n"]
    );
    assert_eq!(rows_of(&backup, "empty"), [""; 0]);
    assert_eq!(row_count(table(&backup, "empty")), Some(0));
}

/// More than 512 pages, so that it is read in two chunks.
const LARGE: &str = "(x int, t text) WITH (fillfactor = 10);
    INSERT INTO large SELECT i, md5(i::text) FROM generate_series(1, 10000) i;";

#[test]
fn rows_that_inherit_are_read_once() {
    let (_cluster, backup) = backup_of(
        "inherited",
        &format!(
            "CREATE TABLE large {LARGE} CREATE TABLE child () INHERITS (large); INSERT INTO child VALUES (0, 'x')"
        ),
    );
    assert_eq!(row_count(table(&backup, "large")), Some(10_000));
    assert_eq!(row_count(table(&backup, "child")), Some(1));
    if backup.manifest().source.server_version_num >= 140_000 {
        assert_eq!(rows_of(&backup, "large").len(), 2, "two chunks");
    }
}

#[test]
fn chunks_are_read_by_their_pages_alone() {
    let database = "by_pages";
    let (cluster, repository) = scene(database, &format!("CREATE TABLE large {LARGE}"));
    cluster.sql(database, "ALTER DATABASE by_pages SET enable_tidscan = off");
    let report = back_up(&cluster, database, &repository, |_| {}).unwrap();
    let scans = cluster.sql(
        database,
        "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'large'",
    );
    if report.published.manifest.source.server_version_num >= 140_000 {
        assert_eq!(scans, "0", "scans of the whole table");
    }
}

#[test]
fn rows_that_may_belong_elsewhere_go_through_the_root() {
    let parted = |name: &str, column: &str, key: &str| {
        format!(
            "CREATE TABLE {name} ({column}) PARTITION BY HASH ({key});
             CREATE TABLE {name}_leaf PARTITION OF {name} FOR VALUES WITH (MODULUS 1, REMAINDER 0);
             INSERT INTO {name} VALUES (DEFAULT);"
        )
    };
    let sql = [
        "CREATE TYPE mood AS ENUM ('sad', 'glad');
         CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
            .to_owned(),
        parted("by_enum", "x mood DEFAULT 'sad'", "x"),
        parted("by_enums", "x mood[] DEFAULT '{sad}'", "x"),
        parted("by_expression", "x int DEFAULT 1", "(x + 1)"),
        parted("by_collation", "x text COLLATE blind DEFAULT 'x'", "x"),
        parted("by_number", "x int DEFAULT 1", "x"),
    ];
    let (_cluster, backup) = backup_of("through_the_root", &sql.concat());
    let tables = &backup.manifest().tables;
    for (name, through) in [
        ("by_enum", true),
        ("by_enums", true),
        ("by_expression", true),
        ("by_collation", true),
        ("by_number", false),
    ] {
        let leaf = table(&backup, &format!("{name}_leaf"));
        let root = leaf.load_through.map(|root| tables[root as usize].name.to_string());
        assert_eq!(root.as_deref(), through.then_some(name));
        assert_eq!((row_count(leaf), row_count(table(&backup, name))), (Some(1), Some(0)));
        let target = root.unwrap_or(format!("{name}_leaf"));
        let texts = rows_of(&backup, &format!("{name}_leaf"));
        assert!(
            texts[0].starts_with(&format!("COPY \"public\".\"{target}\" (\"x\") FROM")),
            "{texts:?}"
        );
    }
}

#[test]
fn names_that_depend_on_the_session_have_its_settings_before_them() {
    let (_cluster, backup) = backup_of(
        "literals",
        "CREATE TABLE \"é\" (x int); INSERT INTO \"é\" VALUES (1);
         CREATE TABLE column_name (\"a\\b\" int); INSERT INTO column_name VALUES (1); CREATE TABLE plain AS SELECT 1;
         CREATE SEQUENCE a; CREATE SEQUENCE \"b\\\"; CREATE MATERIALIZED VIEW m AS SELECT 1; CREATE MATERIALIZED VIEW \"é m\" AS SELECT 1",
    );
    let settings = "SET standard_conforming_strings = on;\nSET client_encoding = 'UTF8';\n";
    for name in ["é", "column_name"] {
        let texts = rows_of(&backup, name);
        assert!(
            texts[0].starts_with(&format!("{settings}COPY \"public\".")),
            "{texts:?}"
        );
    }
    assert!(rows_of(&backup, "plain")[0].starts_with("COPY "));
    let sequences = texts(&backup, |content| *content == MemberContent::Sequences).concat();
    let expected = format!(
        "SELECT pg_catalog.setval('\"public\".\"a\"', 1, false);\n{settings}\
         SELECT pg_catalog.setval(E'\"public\".\"b\\\\\"', 1, false);\n"
    );
    assert_eq!(sequences, expected);
    let refreshes = texts(&backup, |content| *content == MemberContent::Refreshes).concat();
    let expected = format!("{settings}REFRESH MATERIALIZED VIEW \"public\".\"é m\";\n");
    assert!(refreshes.contains(&expected), "{refreshes}");
}

/// The row digest of one object, as the format has it.
fn digest_of_object(digest: &mut RowDigest, oid: u32, content: &[u8]) {
    for (number, piece) in content.chunks(2048).enumerate() {
        if let Some(last) = piece.iter().rposition(|byte| *byte != 0) {
            let hex: String = piece[..=last].iter().map(|byte| format!("{byte:02x}")).collect();
            digest.add_row(format!("{oid}\t{number}\t{hex}").as_bytes());
        }
    }
    if !content.is_empty() {
        digest.add_row(format!("{oid}\t{}", content.len()).as_bytes());
    }
}

#[test]
fn large_objects_are_pieces_and_holes() {
    let (_cluster, backup) = backup_of(
        "pieces",
        "SELECT lo_from_bytea(1, convert_to(repeat('a', 600 << 10), 'UTF8'));
         SELECT lo_create(2), lo_put(2, 0, 'x'), lo_put(2, 20480, 'y');
         SELECT lo_from_bytea(3, decode(repeat('00', 2048), 'hex')), lo_from_bytea(4, '\\x6100');
         SELECT lo_create(5), lo_truncate64(lo_open(5, 131072), 4096), lo_create(6)",
    );
    let text = texts(&backup, |content| *content == MemberContent::LargeObjects).concat();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("SET standard_conforming_strings = on;"));
    assert_eq!(lines.next(), Some("SET client_encoding = 'UTF8';"));
    // An even number of letters and of zeros is not shown.
    let shown: Vec<String> = lines
        .map(|line| line.replace("61", "a").replace("aa", "").replace("00", ""))
        .collect();
    let expected = [
        "SELECT pg_catalog.lo_create('1');",
        "SELECT pg_catalog.lo_create('2');",
        "SELECT pg_catalog.lo_create('3');",
        "SELECT pg_catalog.lo_create('4');",
        "SELECT pg_catalog.lo_create('5');",
        "SELECT pg_catalog.lo_create('6');",
        "SELECT pg_catalog.lo_put('1', '0', '\\x');",
        "SELECT pg_catalog.lo_put('1', '524288', '\\x');",
        // A hole is what was never written.
        "SELECT pg_catalog.lo_put('2', '0', '\\x78');",
        "SELECT pg_catalog.lo_put('2', '20480', '\\x79');",
        "SELECT pg_catalog.lo_put('3', '0', '\\x');",
        "SELECT pg_catalog.lo_put('4', '0', '\\xa');",
        "SELECT pg_catalog.lo_truncate64(pg_catalog.lo_open('5', 131072), '4096');",
    ];
    assert_eq!(shown, expected);
    let mut digest = RowDigest::default();
    let mut holed = vec![0; 20_481];
    (holed[0], holed[20_480]) = (b'x', b'y');
    for (oid, content) in [
        (1, vec![b'a'; 600 << 10]),
        (2, holed),
        (3, vec![0; 2048]),
        (4, vec![b'a', 0]),
        (5, vec![0; 4096]),
        (6, Vec::new()),
    ] {
        digest_of_object(&mut digest, oid, &content);
    }
    let found = backup.manifest().large_objects.clone().unwrap();
    assert_eq!((found.count, found.bytes), (6, (600 << 10) + 20_481 + 2048 + 2 + 4096));
    assert_eq!(found.digest, digest);
}

#[test]
fn sequences_are_never_too_small_for_the_rows() {
    let database = "sequence_values";
    let (cluster, repository) = scene(database, "CREATE TABLE counted (id serial, x int)");
    let mut other = connect(&cluster, database);
    other.execute(b"BEGIN; LOCK TABLE counted").unwrap();
    let report = thread::scope(|scope| {
        let made = scope.spawn(|| back_up(&cluster, database, &repository, |_| {}));
        // Measuring waits for a moment, too, before there is anything of a backup.
        let locking = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                         AND query LIKE 'LOCK TABLE ONLY%')";
        await_truth(&cluster, database, locking);
        other
            .execute(b"INSERT INTO counted (x) SELECT generate_series(1, 100); COMMIT")
            .unwrap();
        made.join().unwrap().unwrap()
    });
    let manifest = &report.published.manifest;
    assert_eq!(row_count(&manifest.tables[0]), Some(100));
    assert!(manifest.sequences[0].last_value >= 100 && manifest.sequences[0].is_called);
}

#[test]
fn views_are_refreshed_in_an_order_that_works() {
    let (_cluster, backup) = backup_of(
        "refreshed",
        "CREATE MATERIALIZED VIEW z AS SELECT 1 AS x; CREATE VIEW between AS SELECT x FROM z;
         CREATE MATERIALIZED VIEW a AS SELECT x FROM between; CREATE MATERIALIZED VIEW n AS SELECT 1 WITH NO DATA",
    );
    let text = texts(&backup, |content| *content == MemberContent::Refreshes).concat();
    let expected = "REFRESH MATERIALIZED VIEW \"public\".\"z\";\nREFRESH MATERIALIZED VIEW \"public\".\"a\";\n";
    assert_eq!(text, expected);
}

#[test]
fn settings_of_the_database_change_nothing() {
    let (cluster, repository) = scene(
        "settings_of_rows",
        "CREATE TABLE t (d date, i interval, b bytea, f float8, z timestamptz, m money);
         INSERT INTO t VALUES ('2025-01-16', '1 day 2 hours', '\\xff', 0.1::float8 + 0.2, '2025-01-16 12:00+00', 1.5)",
    );
    for setting in [
        "datestyle = 'German'",
        "intervalstyle = 'iso_8601'",
        "bytea_output = 'escape'",
        "extra_float_digits = -3",
        "timezone = 'Pacific/Chatham'",
        "search_path = 'nowhere'",
    ] {
        cluster.sql("postgres", &format!("ALTER DATABASE settings_of_rows SET {setting}"));
    }
    let report = back_up(&cluster, "settings_of_rows", &repository, |_| {});
    let report = report.unwrap_or_else(|error| panic!("{}", chain(&error)));
    let backup = open(&repository, &report);
    let expected = "2025-01-16\t1 day 02:00:00\t\\\\xff\t0.30000000000000004\t2025-01-16 12:00:00+00\t$1.50\n";
    let rows = rows_of(&backup, "t").concat();
    assert_eq!(rows.lines().nth(1), expected.lines().next());
}

#[test]
fn a_session_that_fires_no_triggers_makes_no_backup() {
    let (cluster, repository) = scene("replica", "CREATE TABLE t (x int)");
    cluster.sql(
        "postgres",
        "ALTER DATABASE replica SET session_replication_role = replica",
    );
    let error = back_up(&cluster, "replica", &repository, |_| {}).unwrap_err();
    assert!(
        chain(&error).contains("the setting session_replication_role is \"replica\" although it was set to \"origin\""),
        "{}",
        chain(&error)
    );
    assert_untouched(&repository);
}

#[test]
fn globals_that_psql_would_misread_end_the_backup() {
    let (cluster, repository) = scene("bad_globals", "CREATE TABLE t (x int)");
    let installation = cluster.server.installation();
    let folder = cluster.path("bad_globals_programs");
    std::fs::create_dir(&folder).unwrap();
    // Another process writes it, because a file that this one has open cannot be run while it starts a child.
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then exec '{}' --version; fi\nprintf 'CREATE ROLE x;\\n\\\\! id\\n'\n",
        installation.program("pg_dumpall").display()
    );
    let written = Command::new("/bin/sh")
        .args([
            "-c",
            r#"ln -s "$1" "$3/pg_dump" && printf %s "$2" > "$3/pg_dumpall" && chmod +x "$3/pg_dumpall""#,
            "sh",
        ])
        .args([
            installation.program("pg_dump").as_os_str(),
            script.as_ref(),
            folder.as_os_str(),
        ])
        .status();
    assert!(written.unwrap().success());
    let with = |options: &mut backstay::BackupOptions| {
        options.globals = GlobalsOption::Included;
        options.pg_dump = Some(folder.join("pg_dump"));
    };
    let error = back_up(&cluster, "bad_globals", &repository, with).unwrap_err();
    assert!(
        chain(&error).contains("a backslash outside quotes"),
        "{}",
        chain(&error)
    );
    assert_untouched(&repository);
}

#[test]
fn entries_say_where_their_parts_are() {
    let (cluster, repository) = scene("entries_parts", "CREATE TABLE owned (x int)");
    cluster.sql(
        "entries_parts",
        "CREATE ROLE entries_boss; ALTER TABLE owned OWNER TO entries_boss",
    );
    let report = back_up(&cluster, "entries_parts", &repository, |_| {}).unwrap();
    let backup = open(&repository, &report);
    let manifest = backup.manifest();
    let entry = manifest.entries.iter().find(|entry| entry.kind == "TABLE").unwrap();
    let sql = |span: Option<backstay::manifest::Span>| {
        let span = span.unwrap();
        let text = backup.text(&manifest.members[span.member as usize]).unwrap();
        String::from_utf8_lossy(backup.span(&text, span).unwrap())
            .trim()
            .to_owned()
    };
    assert_eq!(sql(entry.definition), "CREATE TABLE public.owned (\n    x integer\n);");
    assert_eq!(
        sql(entry.owner_statement),
        "ALTER TABLE public.owned OWNER TO entries_boss;"
    );
    assert_eq!(
        entry.owner.as_ref().map(ToString::to_string).as_deref(),
        Some("entries_boss")
    );
}

#[test]
fn the_inventory_is_that_of_the_database() {
    let (_cluster, backup) = backup_of(
        "inventory",
        "CREATE TABLE t (x int); CREATE POLICY b ON t; CREATE POLICY a ON t; CREATE POLICY c ON t;
         ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY;
         CREATE INDEX t_b ON t (x); CREATE INDEX t_a ON t (x); CREATE INDEX t_bad ON t (x); CREATE INDEX t_c ON t (x);
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_bad'::regclass;
         CREATE TABLE open (x int); ALTER TABLE open ENABLE ROW LEVEL SECURITY; CREATE UNLOGGED TABLE cache (x int);
         CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing;
         CREATE FOREIGN TABLE far (x int) SERVER elsewhere",
    );
    let names = |names: &[backstay::DbText]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let found = table(&backup, "t");
    assert_eq!(names(&found.policies), ["a", "b", "c"]);
    assert_eq!(names(&found.indexes), ["t_a", "t_b", "t_c"]);
    assert_eq!(found.row_security, RowSecurity::Forced);
    assert_eq!(table(&backup, "open").row_security, RowSecurity::Enabled);
    assert_eq!(table(&backup, "cache").row_security, RowSecurity::Off);
    assert_eq!(table(&backup, "cache").persistence, Persistence::Unlogged);
    assert_eq!(found.persistence, Persistence::Permanent);
    assert_eq!(row_count(table(&backup, "far")), None);
    let omissions = backup.manifest().omissions.iter();
    let omissions: Vec<String> = omissions
        .map(|omission| format!("{}: {}", omission.subject, omission.reason))
        .collect();
    let expected = [
        "rows of public.far: a foreign table: its rows are on another server",
        "index public.t_bad: it is invalid in the source",
    ];
    assert_eq!(omissions, expected);
}

#[test]
fn a_database_that_is_made_has_the_settings_of_the_source() {
    let (cluster, repository) = scene("set_up", "CREATE TABLE t (x int)");
    cluster.sql("postgres", "ALTER DATABASE set_up SET work_mem = '7MB'");
    let report = back_up(&cluster, "set_up", &repository, |_| {}).unwrap();
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    restore(&cluster, &open(&repository, &report), "set_up_too", &options).unwrap();
    assert_eq!(cluster.sql("set_up_too", "SHOW work_mem"), "7MB");
}

#[test]
fn a_proof_sees_another_value_in_a_row() {
    let (cluster, backup) = backup_of("proved", "CREATE TABLE t AS SELECT generate_series(1, 3) AS x");
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    restore(&cluster, &backup, "proved_copy", &options).unwrap();
    assert!(prove(&cluster, &backup, "proved_copy").is_equal());
    cluster.sql("proved_copy", "UPDATE t SET x = 4 WHERE x = 2");
    let proof = prove(&cluster, &backup, "proved_copy");
    assert!(
        !proof.is_equal() && proof.mismatches[0].what == "rows of public.t",
        "{proof:?}"
    );
}

#[test]
fn members_end_where_they_are_long_enough() {
    const MIB: usize = 1 << 20;
    let (_cluster, backup) = backup_of(
        "long_members",
        "CREATE TABLE t (x text); ALTER TABLE t ALTER x SET STORAGE EXTERNAL;
         INSERT INTO t SELECT repeat('x', 3 << 20) FROM generate_series(1, 4);
         DO $do$ BEGIN FOR i IN 1..3 LOOP
           EXECUTE format('CREATE FUNCTION f%s() RETURNS text LANGUAGE plpgsql AS %L', i, 'BEGIN /* ' || repeat('x', 3 << 20) || ' */ END');
         END LOOP; END $do$;
         SELECT lo_from_bytea(1, convert_to(repeat('x', 5 << 20), 'UTF8'))",
    );
    let mib = |text: &String| text.len().div_ceil(MIB);
    // The third row takes the text to 8 MiB, the second function to 4 MiB, the eighth statement to 8 MiB.
    let rows: Vec<usize> = rows_of(&backup, "t").iter().map(mib).collect();
    assert_eq!(rows, [10, 4]);
    let definitions = texts(&backup, |content| *content == MemberContent::Schema(Stage::PreData));
    assert_eq!(definitions.iter().map(mib).collect::<Vec<_>>(), [7, 4]);
    let objects = texts(&backup, |content| *content == MemberContent::LargeObjects);
    assert_eq!(objects.iter().map(mib).collect::<Vec<_>>(), [9, 3]);
    let puts = |text: &String| text.matches("lo_put").count();
    assert_eq!(objects.iter().map(puts).collect::<Vec<_>>(), [8, 2]);
}
