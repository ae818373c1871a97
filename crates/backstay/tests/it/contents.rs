//! What is in a backup: the same bytes for the same database, the part that was asked for, and a list of what is not.

use std::collections::BTreeSet;
use std::fs;

use backstay::manifest::TableRows;
use backstay::{
    BackupError, BackupOptions, BackupReader, CancelToken, GlobalsOption, Inclusion, RestoreOptions, SourceError,
};

use crate::sabotage::{assert_untouched, back_up_hooked, chain, scene};
use crate::support::{Cluster, back_up, default_installation, installation_since, open, restore, testdata};

#[test]
fn the_same_database_gives_the_same_bytes() {
    let cluster = Cluster::start(&default_installation());
    cluster.create_database("source");
    cluster.sql_file("source", &testdata("sample/one-of-everything.sql"), &["-v", "rows=300"]);
    cluster.sql(
        "source",
        "CREATE TABLE chunked (x int, t text) WITH (fillfactor = 10);
         INSERT INTO chunked SELECT i, md5(i::text) FROM generate_series(1, 60000) i;
         CREATE TABLE wide (x text); ALTER TABLE wide ALTER x SET STORAGE EXTERNAL;
         INSERT INTO wide SELECT repeat(md5(i::text), 60000) FROM generate_series(1, 12) i",
    );
    for compression in ["gzip", "zstd"] {
        let mut packs = Vec::new();
        for jobs in [1, 4] {
            let store = format!("{compression}_{jobs}");
            let repository = cluster.repository(&store);
            let with = |options: &mut BackupOptions| {
                options.compression = compression.parse().unwrap();
                options.source.jobs = jobs;
                options.globals = GlobalsOption::Included;
            };
            let report = back_up(&cluster, "source", &repository, with).unwrap();
            let members = &report.published.manifest.members;
            assert!(members.len() > 60, "{}", members.len());
            let end = members
                .iter()
                .map(|member| member.offset + member.stored_bytes)
                .max()
                .unwrap();
            let mut bytes = fs::read(cluster.path(&store).join(report.published.pack.as_str())).unwrap();
            assert!((bytes.len() as u64) > end, "the manifest follows");
            bytes.truncate(usize::try_from(end).unwrap());
            packs.push(bytes);
        }
        assert!(packs[0] == packs[1], "{compression} with one job and with four");
    }
}

const PARTS: &str = "
    CREATE SCHEMA app; CREATE SCHEMA log; CREATE SCHEMA \"Odd.Schema\";
    CREATE TABLE app.users (id serial PRIMARY KEY, name text); INSERT INTO app.users (name) VALUES ('a'), ('b');
    CREATE TABLE app.orders (id int, who int REFERENCES app.users); INSERT INTO app.orders VALUES (1, 1);
    CREATE TABLE log.y2024 (x int); INSERT INTO log.y2024 VALUES (1);
    CREATE TABLE log.y2025 (x int); INSERT INTO log.y2025 VALUES (1), (2);
    CREATE TABLE \"Odd.Schema\".\"Odd.Table\" (x int); INSERT INTO \"Odd.Schema\".\"Odd.Table\" VALUES (1);
    CREATE TABLE parted (x int) PARTITION BY RANGE (x);
    CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10);
    CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (10) TO (20);
    INSERT INTO parted SELECT generate_series(0, 19);
    CREATE UNLOGGED TABLE cache (x int); INSERT INTO cache VALUES (1);
    CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing;
    CREATE FOREIGN TABLE far (x int) SERVER elsewhere;
    CREATE FUNCTION public.helper() RETURNS int LANGUAGE sql AS 'SELECT 1';
    SELECT lo_from_bytea(5, 'x');";

/// The tables with rows, with `name:count`.
fn rows(backup: &BackupReader) -> BTreeSet<String> {
    let tables = backup.manifest().tables.iter();
    tables
        .filter_map(|table| match &table.rows {
            TableRows::Included { digest, .. } if digest.rows() > 0 => {
                Some(format!("{}:{}", table.name, digest.rows()))
            }
            _ => None,
        })
        .collect()
}

fn names(backup: &BackupReader) -> BTreeSet<String> {
    backup
        .manifest()
        .tables
        .iter()
        .map(|table| table.name.to_string())
        .collect()
}

fn omissions(backup: &BackupReader) -> Vec<String> {
    let omissions = backup.manifest().omissions.iter();
    omissions
        .map(|omission| format!("{}: {}", omission.subject, omission.reason))
        .collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
#[expect(clippy::type_complexity, reason = "a table of cases")]
fn a_selection_takes_its_part_and_says_what_is_missing() {
    let (cluster, _) = scene("parts", PARTS);
    let all = [
        "cache",
        "far",
        "orders",
        "Odd.Table",
        "parted",
        "parted_high",
        "parted_low",
        "users",
        "y2024",
        "y2025",
    ];
    let all_rows = [
        "cache:1",
        "orders:1",
        "Odd.Table:1",
        "parted_high:10",
        "parted_low:10",
        "users:2",
        "y2024:1",
        "y2025:2",
    ];
    let without =
        |left_out: &[&str], of: &[&str]| set(&of.iter().copied().filter(|n| !left_out.contains(n)).collect::<Vec<_>>());
    type With = fn(&mut BackupOptions);
    const FAR: &str = "rows of public.far: a foreign table: its rows are on another server";
    const LARGE: &str = "large objects: they were excluded or only a part of the database was selected";
    let cases: [(&str, With, BTreeSet<String>, BTreeSet<String>, &[&str]); 11] = [
        ("everything", |_| {}, set(&all), set(&all_rows), &[FAR]),
        (
            "schema",
            |options| options.source.selection.schemas = vec!["app".to_owned(), "\"Odd.Schema\"".to_owned()],
            set(&["orders", "users", "Odd.Table"]),
            set(&["orders:1", "users:2", "Odd.Table:1"]),
            &[
                LARGE,
                "schemas other than app, \"Odd.Schema\": only a part of the database was selected",
            ],
        ),
        (
            "exclude_schema",
            |options| options.source.selection.exclude_schemas = vec!["l*".to_owned()],
            without(&["y2024", "y2025"], &all),
            without(&["y2024:1", "y2025:2"], &all_rows),
            &[FAR, LARGE, "schemas l*: only a part of the database was selected"],
        ),
        (
            "table",
            |options| options.source.selection.tables = vec!["log.y*5".to_owned(), "app.users".to_owned()],
            set(&["users", "y2025"]),
            set(&["users:2", "y2025:2"]),
            &[
                LARGE,
                "tables other than log.y*5, app.users: only a part of the database was selected",
            ],
        ),
        (
            "exclude_table",
            |options| options.source.selection.exclude_tables = vec!["app.orders".to_owned(), "parted_?igh".to_owned()],
            without(&["orders", "parted_high"], &all),
            without(&["orders:1", "parted_high:10"], &all_rows),
            &[
                FAR,
                LARGE,
                "tables app.orders, parted_?igh: only a part of the database was selected",
            ],
        ),
        (
            "exclude_data",
            |options| {
                options.source.selection.exclude_data =
                    vec!["log.*".to_owned(), "USERS".to_owned(), "*.users".to_owned()];
            },
            BTreeSet::new(),
            BTreeSet::new(),
            &[],
        ),
        (
            "exclude_data_of_a_tree",
            |options| {
                options.source.selection.exclude_data =
                    vec!["parted".to_owned(), "\"Odd.Schema\".\"Odd.Table\"".to_owned()];
            },
            set(&all),
            without(&["parted_low:10", "parted_high:10", "Odd.Table:1"], &all_rows),
            &[
                "rows of Odd.Schema.Odd.Table: its rows were excluded",
                FAR,
                "rows of public.parted_high: its rows were excluded",
                "rows of public.parted_low: its rows were excluded",
            ],
        ),
        (
            "large_objects",
            |options| options.source.large_objects = Inclusion::Excluded,
            set(&all),
            set(&all_rows),
            &[FAR, LARGE],
        ),
        (
            "unlogged",
            |options| options.source.unlogged = Inclusion::Excluded,
            set(&all),
            without(&["cache:1"], &all_rows),
            &["rows of public.cache: unlogged tables were excluded", FAR],
        ),
        (
            "no_match",
            |options| options.source.selection.tables = vec!["app.users".to_owned(), "app.gone".to_owned()],
            BTreeSet::new(),
            BTreeSet::new(),
            &["no matching tables were found for pattern \"app.gone\""],
        ),
        (
            "no_match_of_data",
            |options| options.source.selection.exclude_data = vec!["app.users".to_owned(), "app.gone".to_owned()],
            BTreeSet::new(),
            BTreeSet::new(),
            &["no table matches \"app.gone\""],
        ),
    ];
    let mut left_out = String::new();
    for (name, with, tables, with_rows, expected) in cases {
        let repository = cluster.repository(&format!("parts_{name}"));
        let result = back_up_hooked(&cluster, "parts", &repository, with, |_| {}, &CancelToken::new());
        if tables.is_empty() {
            let error = result.map(|_| name).expect_err("nothing matches");
            let expected = expected.first().copied().unwrap_or("no table matches \"USERS\"");
            assert!(chain(&error).contains(expected), "{name}: {}", chain(&error));
            assert!(
                matches!(
                    error,
                    BackupError::Source(SourceError::Pattern(_) | SourceError::PgDump(_))
                ),
                "{error:?}"
            );
            assert_untouched(&repository);
            continue;
        }
        let report = result.unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
        let backup = open(&repository, &report);
        assert_eq!(names(&backup), tables, "{name}");
        assert_eq!(rows(&backup), with_rows, "{name}");
        assert_eq!(omissions(&backup), expected, "{name}");
        left_out.push_str(&format!("{name}: {:?}\n", backup.manifest().left_out));
        let large_objects = backup.manifest().large_objects.as_ref().map(|objects| objects.count);
        assert_eq!(large_objects, (!expected.contains(&LARGE)).then_some(1), "{name}");
        let pack = cluster
            .path(&format!("parts_{name}"))
            .join(report.published.pack.as_str());
        if name.starts_with("exclude_data") || ["everything", "large_objects", "unlogged"].contains(&name) {
            let copy = format!("parts_of_{name}");
            cluster.create_database(&copy);
            let output = cluster.restore_by_psql(&copy, &pack);
            assert!(
                output.status.success(),
                "{name}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert_eq!(cluster.schema(&copy), cluster.schema("parts"), "{name}");
        }
    }
    insta::assert_snapshot!("left_out", left_out);
}

/// `pg_dump` of 18 adds tables and schemas to publications that it was told to leave out.
#[test]
fn what_is_left_out_is_published_by_nobody() {
    let installation = installation_since(15);
    let cluster = Cluster::start(&installation);
    for database in ["published", "by_backstay", "by_psql"] {
        cluster.create_database(database);
    }
    cluster.sql(
        "published",
        "CREATE SCHEMA kept; CREATE SCHEMA \"left out\";
         CREATE TABLE kept.t (x int); CREATE TABLE kept.\"no t\" (x int); CREATE TABLE \"left out\".t (x int);
         CREATE PUBLICATION one FOR TABLE kept.t, kept.\"no t\", \"left out\".t;
         CREATE PUBLICATION all_of_it FOR TABLES IN SCHEMA kept, public, \"left out\"",
    );
    let repository = cluster.repository("backups");
    let report = back_up(&cluster, "published", &repository, |options| {
        options.source.selection.exclude_schemas = vec!["\"left out\"".to_owned()];
        options.source.selection.exclude_tables = vec!["kept.\"no t\"".to_owned()];
    });
    let report = report.unwrap();
    let restored = restore(
        &cluster,
        &open(&repository, &report),
        "by_backstay",
        &RestoreOptions::default(),
    );
    let restored = restored.unwrap();
    assert!(restored.is_complete(), "{:#?}", restored.failures);
    let output = cluster.restore_by_psql("by_psql", &cluster.path("backups").join(report.published.pack.as_str()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for database in ["by_backstay", "by_psql"] {
        let published = "SELECT pubname, string_agg(tablename, ' ') FROM pg_publication_tables GROUP BY 1 ORDER BY 1";
        assert_eq!(cluster.sql(database, published), "all_of_it|t\none|t", "{database}");
        let schemas = "SELECT string_agg(pnnspid::regnamespace::text, ' ' ORDER BY pnnspid::regnamespace::text) FROM pg_publication_namespace";
        assert_eq!(cluster.sql(database, schemas), "kept public", "{database}");
    }
}
