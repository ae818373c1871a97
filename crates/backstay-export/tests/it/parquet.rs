//! Parquet, read again by `DuckDB` and compared value by value with what `psql` writes.

use std::process::Command;

use backstay_core::store::MemoryStore;
use backstay_export::{Export, ExportFormat};

use crate::support::{Database, export, place, python_with_duckdb, read};

const TABLE: &str = r#"
    CREATE TYPE mood AS ENUM ('fine', 'so "so"');
    CREATE DOMAIN cents AS numeric(12,2) CHECK (value >= 0);
    CREATE DOMAIN cents_again AS cents;
    CREATE TABLE every (
        b bool, i2 int2, i4 int4, i8 int8, o oid, f4 float4, f8 float8, n numeric(20,8), n0 numeric(38), free numeric,
        c cents_again, t text, v varchar(40), m mood, x bytea, d date, ts timestamp, tz timestamptz, u uuid,
        j json, jb jsonb, ia int4[], ta text[], na numeric(5,1)[], da date[], ca cents[], iv interval, ip inet, p point,
        "odd ""name"", ключ" int);
    INSERT INTO every SELECT i % 2 = 0, i - 100, i * 1000003, i * 1000000007::int8 * 977, 4294967295 - i, i / 7.0, i * 1e-300, i / 3.0,
        -i * 10::numeric ^ 34, i::numeric / 3, i / 9.0, E'é\t"' || i || E'\n\\', 'v' || i, (ARRAY['fine', 'so "so"'])[1 + i % 2]::mood,
        sha256(i::text::bytea), date '0001-01-01' + i * 5003, timestamp '1900-01-01' + i * interval '1 day 1.000001 s',
        timestamptz '1850-01-01' + i * interval '3 days 7.5 s', md5(i::text)::uuid, json_build_object('i', i), jsonb_build_object('k', i),
        ARRAY[i, NULL, -i], ARRAY['a,b', '', NULL, '"q"', E'\\', 'NULL', '{}'], ARRAY[i / 10.0], ARRAY[date '2024-02-29' + i], '{0.10,NULL}',
        i * interval '1 mon 2 s', '10.0.0.1', point(i, 0.1), i
    FROM generate_series(0, 199) i;
    INSERT INTO every (ia, ta) VALUES ('{}', NULL);
    INSERT INTO every DEFAULT VALUES;
    INSERT INTO every (f4, f8, d, tz, ts) VALUES ('NaN', 'NaN', '4713-01-01 BC', '0044-03-15 12:00:00+00 BC', '9999-12-31 23:59:59.999999'),
        ('-Infinity', 'Infinity', '0001-12-31 BC', '2024-03-31 01:30:00+00', '0001-01-01');
    ALTER ROLE postgres SET TimeZone = 'Europe/Berlin';
    ALTER ROLE postgres SET DateStyle = 'SQL, DMY';
    ALTER ROLE postgres SET bytea_output = 'escape';
"#;

/// Times are compared as numbers, because Python has no years before 1; every other value by its text, a list by those of its
/// elements. What the server's side of each column is stands in `OF_SERVER`.
const COMPARE: &str = r#"
import csv, decimal, json, sys, duckdb
path, truth = sys.argv[1:3]
con = duckdb.connect()
types = {row[0]: row[1] for row in con.execute("DESCRIBE SELECT * FROM read_parquet(?)", [path]).fetchall()}
def text(name, of):
    q = '"' + name.replace('"', '""') + '"'
    if of == "DATE": return f"date_diff('day', DATE '1970-01-01', {q})"
    if of.startswith("TIMESTAMP"): return f"epoch_us({q})"
    if of == "BLOB": return f"hex({q})"
    return q
columns = ", ".join(text(name, of) for name, of in types.items())
found = con.execute(f"SELECT {columns} FROM read_parquet(?)", [path]).fetchall()
expected = [json.loads(line, parse_float=decimal.Decimal, parse_int=decimal.Decimal) for line in open(truth, encoding="utf-8")]
assert len(found) == len(expected), (len(found), len(expected))
def same(a, b, of):
    if a is None or b is None: return a is b
    if of == "FLOAT" or of == "DOUBLE":
        import struct
        b = float(b)
        if of == "FLOAT": b = struct.unpack("f", struct.pack("f", b))[0]
        return a == b or (a != a and b != b)
    if isinstance(a, list): return len(a) == len(b) and all(same(x, y, of) for x, y in zip(a, b))
    if isinstance(a, bool): return a == b
    if isinstance(a, (int, decimal.Decimal)): return decimal.Decimal(a) == b
    if hasattr(a, "isoformat"): a = a.isoformat()
    if of == "JSON": return json.loads(a) == json.loads(b)
    return str(a) == str(b)
decimal.getcontext().prec = 60
compared = 0
for number, (got, want) in enumerate(zip(found, expected)):
    assert len(got) == len(want) == len(types), (got, want)
    for (name, of), value in zip(types.items(), got):
        assert same(value, want[name], of), (number, name, of, value, want[name])
        compared += 1
groups = con.execute("SELECT count(DISTINCT row_group_id) FROM parquet_metadata(?)", [path]).fetchone()[0]
print(json.dumps({"types": types, "rows": len(found), "compared": compared, "groups": groups}))
"#;

/// Compares a file with the rows of a query of the server, each row as JSON.
fn compare(database: &Database, parquet: &[u8], truth: &str) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("rows.parquet"), parquet).unwrap();
    std::fs::write(path("compare.py"), COMPARE).unwrap();
    let psql = database.psql(&[
        "-c",
        "SET bytea_output = hex",
        "-c",
        "SET extra_float_digits = 3",
        "-c",
        truth,
    ]);
    std::fs::write(path("truth.jsonl"), psql).unwrap();
    let python = python_with_duckdb();
    let output = Command::new(&python)
        .args([path("compare.py"), path("rows.parquet"), path("truth.jsonl")])
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    assert!(
        output.status.success(),
        "{} (run `cargo xtask test`, or: pip install duckdb==2.0.1, and name its python3 in BACKSTAY_TEST_DUCKDB)",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_type_is_read_by_others_as_it_was() {
    let database = Database::create("parquet", TABLE);
    let store = MemoryStore::new();
    let place = place(store.clone());
    let compressed = |name: &str, query: &str, compression: Option<&str>| Export {
        compression: compression.map(|compression| compression.parse().unwrap()),
        ..export(name, query, ExportFormat::Parquet, &place)
    };
    // Some 60 MB of text, so several row groups.
    let long = "SELECT i AS n, repeat(md5(i::text), 40) AS t, ARRAY[i, i + 1] AS a FROM generate_series(1, 45000) i";
    let exports = [
        compressed("plain", "SELECT * FROM every", None),
        compressed("zstd", "SELECT * FROM every", Some("zstd:3")),
        compressed("gzip", "SELECT * FROM every WHERE false", Some("gzip")),
        compressed("long", long, Some("zstd")),
    ];
    let files: Vec<Vec<u8>> = database
        .export(&exports)
        .into_iter()
        .map(|made| read(&store, &made.unwrap().file.key))
        .collect();
    // Of times what DuckDB gives, of bytea the digits, of others the value or its text.
    let truth = r#"
        SELECT json_build_object('b', b, 'i2', i2, 'i4', i4, 'i8', i8, 'o', o::int8, 'f4', f4, 'f8', f8, 'n', n, 'n0', n0,
            'free', free::text, 'c', c, 't', t, 'v', v, 'm', m, 'x', upper(encode(x, 'hex')), 'd', d - date '1970-01-01',
            'ts', (extract(epoch FROM ts) * 1000000)::numeric(30), 'tz', (extract(epoch FROM tz) * 1000000)::numeric(30), 'u', u,
            'j', j::text, 'jb', jb::text, 'ia', ia, 'ta', ta, 'na', na, 'da', da, 'ca', ca,
            'iv', iv::text, 'ip', host(ip), 'p', p::text, 'odd "name", ключ', "odd ""name"", ключ") FROM every"#;
    for file in &files[..2] {
        let told = compare(&database, file, truth);
        assert_eq!(told["rows"], 204);
        assert_eq!(told["compared"], 204 * 30);
        let expected = [
            ("b", "BOOLEAN"),
            ("i2", "SMALLINT"),
            ("i4", "INTEGER"),
            ("i8", "BIGINT"),
            ("o", "BIGINT"),
            ("f4", "FLOAT"),
            ("f8", "DOUBLE"),
            ("n", "DECIMAL(20,8)"),
            ("n0", "DECIMAL(38,0)"),
            ("free", "VARCHAR"),
            ("c", "DECIMAL(12,2)"),
            ("t", "VARCHAR"),
            ("m", "VARCHAR"),
            ("x", "BLOB"),
            ("d", "DATE"),
            ("ts", "TIMESTAMP"),
            ("tz", "TIMESTAMP WITH TIME ZONE"),
            ("u", "UUID"),
            ("j", "JSON"),
            ("jb", "JSON"),
            ("ia", "INTEGER[]"),
            ("ta", "VARCHAR[]"),
            ("na", "DECIMAL(5,1)[]"),
            ("da", "DATE[]"),
            ("ca", "DECIMAL(12,2)[]"),
            ("iv", "VARCHAR"),
        ];
        for (column, of) in expected {
            assert_eq!(told["types"][column], of, "{column}");
        }
    }
    assert!(files[1].len() < files[0].len());
    let told = compare(&database, &files[2], "SELECT row_to_json(every) FROM every WHERE false");
    assert_eq!(
        (&told["rows"], &told["types"]["n"]),
        (&0.into(), &"DECIMAL(20,8)".into())
    );
    let told = compare(&database, &files[3], &format!("SELECT row_to_json(x) FROM ({long}) x"));
    assert_eq!(told["rows"], 45_000);
    assert!(told["groups"].as_u64().unwrap() >= 3, "{told}");
}
