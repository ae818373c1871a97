//! CSV and JSON Lines hold what the server says, byte by byte.

use std::io::Read as _;

use backstay_core::seal::{SealedObject, Unsealer as _};
use backstay_core::store::MemoryStore;
use backstay_core::{ObjectKey, Sha256Digest};
use backstay_export::{Export, ExportError, ExportFormat, ExportRows};
use backstay_testkit::{ToyKey, objects};

use crate::support::{Database, export, piped, place, read};

/// Values that are hard to write: line ends, quotes, delimiters, NULL beside empty text, what a COPY must not end at, numbers
/// beyond any double.
const ROWS: &str = r#"
    CREATE SEQUENCE numbers;
    CREATE TABLE hard (id int, t text, n numeric, f float8, b bytea, at timestamptz, j json, a text[]);
    INSERT INTO hard VALUES
        (1, E'a\nb\r\n"c",\td\\', 12345678901234567890.123456789012345678901234567890, 0.1, '\x00ff', '2024-03-31 02:30+01', E'{"a":\n 1,\n "a": 2}', '{a,NULL,"x,y"}'),
        (2, '', 'NaN', 'NaN', '', 'infinity', 'null', '{}'),
        (3, NULL, NULL, '-Infinity', NULL, NULL, NULL, NULL),
        (4, '\.', 0, 5e-324, '\x5c', '0044-03-15 12:00 BC', '"é末"', '{{1,2},{3,4}}'),
        (5, 'é末', -0.00, 1e300, '\x0a', '2024-01-01 00:00:00.000001+00', '[1e400]', '{"\\"}');
    ALTER ROLE postgres SET DateStyle = 'German, DMY';
    ALTER ROLE postgres SET bytea_output = 'escape';
    ALTER ROLE postgres SET TimeZone = 'Europe/Berlin';
    ALTER ROLE postgres SET extra_float_digits = -5;
"#;
const QUERY: &str = "SELECT * FROM hard ORDER BY id";

#[test]
fn csv_is_what_psql_writes() {
    let database = Database::create("csv", ROWS);
    let store = MemoryStore::new();
    let place = place(store.clone());
    let many = "SELECT i, md5(i::text) AS \"a \"\"b\" FROM generate_series(1, 200000) i";
    let queries = [
        QUERY,
        many,
        "SELECT * FROM hard WHERE false",
        "SELECT 1 AS a, 2 AS a",
        "TABLE hard -- with a comment",
        "SELECT FROM hard",
        "VALUES (E'\\\\.')",
    ];
    let names: Vec<String> = (0..queries.len()).map(|number| format!("q{number}")).collect();
    let exports: Vec<Export> = queries
        .iter()
        .zip(&names)
        .map(|(query, name)| export(name, query, ExportFormat::Csv, &place))
        .collect();
    for (query, made) in queries.iter().zip(database.export(&exports)) {
        let made = made.unwrap_or_else(|error| panic!("{query}: {error:?}"));
        let copy = format!(
            "\\copy ({}) TO STDOUT CSV HEADER",
            query.trim_end_matches("-- with a comment")
        );
        let expected = database.psql(&["-c", &copy]);
        let found = read(&store, &made.file.key);
        assert!(found == expected, "{query}: {}", String::from_utf8_lossy(&found));
        let count = database.sql(&format!("SELECT count(*) FROM ({query}\n) x"));
        assert_eq!(made.manifest.rows.to_string(), count, "{query}");
        assert_eq!(made.manifest.sha256, Sha256Digest::of(&found));
    }
}

#[test]
fn json_lines_keep_every_digit_whatever_the_role_has_set() {
    let database = Database::create("json_lines", ROWS);
    let store = MemoryStore::new();
    let made = database.export(&[export(
        "j",
        &format!("{QUERY};"),
        ExportFormat::JsonLines,
        &place(store.clone()),
    )]);
    let made = made.into_iter().next().unwrap().unwrap();
    assert_eq!(made.manifest.rows, 5);
    let text = String::from_utf8(read(&store, &made.file.key)).unwrap();
    let expected = [
        r#"{"id":1,"t":"a\nb\r\n\"c\",\td\\","n":12345678901234567890.123456789012345678901234567890,"f":0.1,"b":"\\x00ff","at":"2024-03-31T03:30:00+02:00","j":{"a":  1,  "a": 2},"a":["a",null,"x,y"]}"#,
        r#"{"id":2,"t":"","n":"NaN","f":"NaN","b":"\\x","at":"infinity","j":null,"a":[]}"#,
        r#"{"id":3,"t":null,"n":null,"f":"-Infinity","b":null,"at":null,"j":null,"a":null}"#,
        r#"{"id":4,"t":"\\.","n":0,"f":5e-324,"b":"\\x5c","at":"0044-03-15T12:53:28+00:53:28 BC","j":"é末","a":[["1","2"],["3","4"]]}"#,
        r#"{"id":5,"t":"é末","n":0.00,"f":1e+300,"b":"\\x0a","at":"2024-01-01T01:00:00.000001+01:00","j":[1e400],"a":["\\"]}"#,
    ];
    let lines: Vec<&str> = text.lines().collect();
    for (line, expected) in lines.iter().zip(expected) {
        if !expected.contains(" BC") {
            assert_eq!(*line, expected);
        }
    }
    assert_eq!(lines.len(), expected.len());
    let ids = piped("jq", &["-c", ".id"], text.as_bytes());
    assert_eq!(ids, b"1\n2\n3\n4\n5\n");
    let of_jq = piped("jq", &["-j", "select(.id == 1) | .t"], text.as_bytes());
    assert_eq!(of_jq, b"a\nb\r\n\"c\",\td\\");
}

#[test]
fn files_are_opened_by_others() {
    let database = Database::create("opened", ROWS);
    let store = MemoryStore::new();
    let folder = tempfile::tempdir().unwrap();
    let mut sealed = place(store.clone());
    sealed.sealer = Some(ToyKey::new("ann").seals().packs);
    let clear = place(store.clone());
    let many = "SELECT i, repeat(md5(i::text), 10) FROM generate_series(1, 40000) i";
    let compressed = |name: &str, compression: &str, place| Export {
        compression: Some(compression.parse().unwrap()),
        ..export(name, many, ExportFormat::Csv, place)
    };
    let exports = [
        compressed("gz", "gzip", &clear),
        compressed("zst", "zstd:3", &clear),
        compressed("both", "gzip", &sealed),
        Export {
            compression: Some("gzip".parse().unwrap()),
            ..export("none", "SELECT 1 AS x WHERE false", ExportFormat::JsonLines, &clear)
        },
        Export {
            rows: ExportRows::Table("HARD".to_owned()),
            ..export("table", "", ExportFormat::Csv, &clear)
        },
    ];
    let made: Vec<_> = database
        .export(&exports)
        .into_iter()
        .map(|made| made.unwrap())
        .collect();
    let names: Vec<String> = objects::names(&store);
    for name in &names {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, read(&store, &name.parse::<ObjectKey>().unwrap())).unwrap();
    }
    let shell = |script: &str| {
        piped(
            "sh",
            &["-euc", &format!("cd '{}'\n{script}", folder.path().display())],
            b"",
        )
    };
    let expected = database.psql(&["-c", &format!("\\copy ({many}) TO STDOUT CSV HEADER")]);
    let time = "export_20250116_143022";
    assert!(shell(&format!("gunzip -c exports/gz_{time}.csv.gz")) == expected);
    assert!(shell(&format!("zstd -dcq exports/zst_{time}.csv.zst")) == expected);
    let both = format!("exports/both_{time}.csv.gz.age");
    let object = SealedObject::new(std::sync::Arc::new(store.clone()), &objects::key(&both)).unwrap();
    let opened = ToyKey::new("ann").open(object).unwrap();
    let mut clear = Vec::new();
    opened.read(0..opened.bytes()).unwrap().read_to_end(&mut clear).unwrap();
    assert!(piped("gunzip", &["-c"], &clear) == expected);
    assert_eq!(shell(&format!("gunzip -c exports/none_{time}.jsonl.gz")), b"");
    let table = database.psql(&["-c", "\\copy (SELECT * FROM hard) TO STDOUT CSV HEADER"]);
    assert!(shell(&format!("cat exports/table_{time}.csv")) == table);
    let sums = shell("cd exports; sha256sum -c *.sha256");
    assert_eq!(String::from_utf8_lossy(&sums).matches(": OK").count(), exports.len());
    // Nothing of what is sealed stands in clear beside it.
    let manifest = String::from_utf8(read(
        &store,
        &format!("exports/both_{time}.manifest.json").parse().unwrap(),
    ))
    .unwrap();
    for secret in ["md5", "generate_series", "opened", "repeat"] {
        assert!(!manifest.contains(secret), "{manifest}");
    }
    assert!(manifest.contains("\"rows\": 40000"), "{manifest}");
    let manifest = String::from_utf8(read(
        &store,
        &format!("exports/gz_{time}.manifest.json").parse().unwrap(),
    ))
    .unwrap();
    assert!(manifest.contains("generate_series"), "{manifest}");
    assert_eq!(made[0].manifest.rows, 40_000);
}

#[test]
fn what_a_format_cannot_tell_is_refused_and_the_others_are_made() {
    let database = Database::create("refused", ROWS);
    let store = MemoryStore::new();
    let place = place(store.clone());
    let parquet = |name, query| export(name, query, ExportFormat::Parquet, &place);
    let made = database.export(&[
        export("same", "SELECT 1 AS a, 2 AS a", ExportFormat::JsonLines, &place),
        parquet("none", "SELECT FROM hard"),
        parquet("infinite", "SELECT at FROM hard WHERE id <= 2 ORDER BY id"),
        parquet("nan", "SELECT n::numeric(38,2) FROM hard WHERE id = 2"),
        parquet("dimensions", "SELECT a FROM hard WHERE id = 4"),
        export("syntax", "SELEC 1", ExportFormat::Csv, &place),
        export("two", "SELECT 1; SELECT 2", ExportFormat::Csv, &place),
        export("writes", "SELECT nextval('numbers')", ExportFormat::Csv, &place),
        export(
            "late",
            "SELECT 1 / (50000 - i) AS x FROM generate_series(1, 60000) i",
            ExportFormat::Csv,
            &place,
        ),
        Export {
            rows: ExportRows::Table("nowhere".to_owned()),
            ..export("nowhere", "", ExportFormat::Csv, &place)
        },
        export("good", QUERY, ExportFormat::Csv, &place),
    ]);
    let told: Vec<String> = made
        .iter()
        .map(|made| match made {
            Ok(made) => made.manifest.id.to_string(),
            Err(error) => {
                let source = std::error::Error::source(error).map(|source| format!(": {source}"));
                format!("{error}{}", source.unwrap_or_default())
            }
        })
        .collect();
    let begins = [
        "two columns of the rows are called \"a\", which jsonl cannot tell apart",
        "the rows have no columns, and parquet needs one",
        "row 2 has in column \"at\" an infinite time, which Parquet has no place for",
        "row 1 has in column \"n\" a numeric that is no number",
        "row 1 has in column \"a\" an array of several dimensions",
    ];
    for (told, begin) in told.iter().zip(begins) {
        assert!(told.starts_with(begin), "{told}");
    }
    assert!(matches!(made[5], Err(ExportError::Wire { .. })), "{}", told[5]);
    assert!(matches!(made[6], Err(ExportError::Wire { .. })), "{}", told[6]);
    assert!(matches!(made[7], Err(ExportError::Wire { .. })), "{}", told[7]);
    assert!(matches!(made[9], Err(ExportError::Wire { .. })), "{}", told[9]);
    assert!(made[8].is_err(), "{}", told[8]);
    assert!(made[10].is_ok(), "{}", told[10]);
    let names = objects::names(&store);
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(
        names.iter().all(|name| name.starts_with("exports/good_export_")),
        "{names:?}"
    );
    assert_eq!(database.sql("SELECT count(*) FROM hard"), "5");
}

#[test]
fn rows_that_are_hidden_from_the_role_make_it_fail() {
    let database = Database::create(
        "hidden",
        "CREATE TABLE t AS SELECT 1 AS x; ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON t USING (false); \
         CREATE ROLE hidden_reader LOGIN; GRANT SELECT ON t TO hidden_reader",
    );
    let store = MemoryStore::new();
    let mut config = database.config();
    config.user = "hidden_reader".to_owned();
    let exports = [export("t", "SELECT * FROM t", ExportFormat::Csv, &place(store.clone()))];
    let now = crate::support::NOW.parse().unwrap();
    let made = backstay_export::export_data(&config, &exports, now, &Default::default(), &Default::default()).unwrap();
    assert!(matches!(made[0].1, Err(ExportError::Wire { .. })), "{made:?}");
    assert!(objects::names(&store).is_empty());
}
