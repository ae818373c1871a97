//! Whatever fails, there is no export or a whole one.

use std::sync::Arc;

use backstay_core::Sha256Digest;
use backstay_core::store::{ErrorKind, MemoryStore};
use backstay_export::{Export, ExportError, ExportFormat, ExportOptions, export_data_in_snapshot, list_exports};
use backstay_postgres::{CancelToken, WireConnection};
use backstay_testkit::{Fault, Faulty, Interleaved, ToyKey, Verb, When, objects};

use crate::support::{Database, NOW, export, place};

const ROWS: &str = "SELECT i, md5(i::text) FROM generate_series(1, 3000) i";

/// How many exports a store has; each has its file, and that is what its manifest says.
fn whole_exports(store: &MemoryStore, what: &str) -> usize {
    let listing = list_exports(store, &objects::key("exports"), None).unwrap();
    for export in &listing.exports {
        let manifest = export.manifest.as_ref().unwrap();
        assert!(export.is_whole, "{what}");
        let file = objects::read(store, &format!("exports/{}", manifest.file)).unwrap();
        assert_eq!(Sha256Digest::of(&file), manifest.sha256, "{what}");
        assert_eq!(manifest.rows, 3000, "{what}");
    }
    listing.exports.len()
}

#[test]
fn a_store_that_fails_at_any_call_holds_no_export_or_a_whole_one() {
    let database = Database::create("failing_store", "");
    let run = |faulty: Arc<Faulty<MemoryStore>>| {
        let mut place = place(MemoryStore::new());
        place.store = faulty;
        place.sealer = Some(ToyKey::new("ann").seals().packs);
        let export = Export {
            compression: Some("gzip".parse().unwrap()),
            ..export("rows", ROWS, ExportFormat::Csv, &place)
        };
        database.export(&[export]).remove(0)
    };
    let sound = Arc::new(Faulty::new(MemoryStore::new()));
    let file = run(Arc::clone(&sound)).unwrap().file;
    let calls = sound.calls();
    assert!(calls > 10, "{calls}");
    assert_eq!(sound.calls_of(Verb::Create), 3);
    let full = (1..=calls).map(|nth| (When::nth_call(nth).and_after(), Fault::Error(ErrorKind::Full)));
    let once = (1..=calls).map(|nth| (When::nth_call(nth), Fault::Error(ErrorKind::Transient)));
    let lost = (1..=calls).map(|nth| (When::nth_call(nth), Fault::LoseAnswer));
    let of_object = |nth, fault| (When::nth(Verb::Create, nth), fault);
    let torn = [0, 20, file.bytes / 2, file.bytes - 1].map(|at| of_object(1, Fault::TearAt(at)));
    let short = [1, 2, 3].map(|nth| of_object(nth, Fault::DropFrom(50)));
    let spoilt = [1, 2, 3].map(|nth| of_object(nth, Fault::SpoilBit { byte: 40, bit: 3 }));
    let (mut failed, mut unknown) = (0, 0);
    for (when, fault) in full.chain(once).chain(lost).chain(torn).chain(short).chain(spoilt) {
        let what = format!("{when:?} {fault:?}");
        let inner = MemoryStore::new();
        let result = run(Arc::new(Faulty::new(inner.clone()).with_fault(when, fault)));
        let exists = whole_exports(&inner, &what) == 1;
        match result {
            Ok(_) => assert!(exists, "{what}: a success without an export"),
            Err(ExportError::Unknown { .. }) => unknown += 1,
            Err(error) => {
                failed += 1;
                assert!(!exists, "{what}: an export, although {error}");
            }
        }
    }
    assert!(failed > 15, "{failed}");
    assert!(unknown < 8, "{unknown}");
}

#[test]
fn a_server_that_fails_among_rows_publishes_nothing() {
    let database = Database::create(
        "failing_server",
        "CREATE TABLE t AS SELECT i FROM generate_series(1, 100000) i",
    );
    let store = MemoryStore::new();
    let place = place(store.clone());
    let formats = [ExportFormat::Csv, ExportFormat::JsonLines, ExportFormat::Parquet];
    // The server ends the session itself, in the middle of the rows.
    let end = "SELECT i, CASE WHEN i = 90000 THEN pg_terminate_backend(pg_backend_pid()) END AS x FROM t";
    for (format, query) in formats
        .map(|format| (format, "SELECT 1 / (90000 - i) AS x FROM t"))
        .into_iter()
        .chain(formats.map(|format| (format, end)))
    {
        let failed = database.export(&[export("rows", query, format, &place)]).remove(0);
        assert!(matches!(failed, Err(ExportError::Wire { .. })), "{format}: {failed:?}");
        assert!(objects::names(&store).is_empty(), "{format}");
    }
    let cancel = CancelToken::new();
    cancel.cancel();
    assert!(
        database
            .export_cancellable(&[export("rows", ROWS, ExportFormat::Csv, &place)], &cancel)
            .is_err()
    );
    assert!(objects::names(&store).is_empty());
}

#[test]
fn whoever_cancels_is_told_what_was_made_before() {
    let database = Database::create("cancelled", "");
    let asked = ["a", "b", "c"];
    // It is cancelled when the file is read again, when the manifest is published, and when the second begins.
    for (call, made_before) in [(3, 0), (6, 1), (8, 1)] {
        let store = MemoryStore::new();
        let cancel = CancelToken::new();
        let token = cancel.clone();
        let place = place(Interleaved::new(store.clone(), call, move || token.cancel()));
        let made = database.export_cancellable(
            &asked.map(|name| export(name, ROWS, ExportFormat::Csv, &place)),
            &cancel,
        );
        let made = made.unwrap();
        assert_eq!(made.len(), asked.len(), "{call}");
        for (index, made) in made.iter().enumerate() {
            match made {
                Ok(_) => assert!(index < made_before, "{call}"),
                Err(ExportError::Cancelled) => assert!(index >= made_before, "{call}"),
                Err(error) => panic!("{call}: {error:?}"),
            }
        }
        assert_eq!(whole_exports(&store, "cancelled"), made_before, "{call}");
    }
    // It is not said that nothing was left where nobody knows that.
    let store = MemoryStore::new();
    let cancel = CancelToken::new();
    let token = cancel.clone();
    let faulty = Faulty::new(store.clone())
        .with_fault(When::nth(Verb::Publish, 3), Fault::LoseAnswer)
        .with_fault(When::nth(Verb::Read, 3).and_after(), Fault::Error(ErrorKind::Transient));
    let place = place(Interleaved::new(faulty, 6, move || token.cancel()));
    let made = database.export_cancellable(
        &asked.map(|name| export(name, ROWS, ExportFormat::Csv, &place)),
        &cancel,
    );
    let made = made.unwrap();
    assert!(matches!(made[0], Err(ExportError::Unknown { .. })), "{:?}", made[0]);
    assert!(matches!(
        made[1..],
        [Err(ExportError::Cancelled), Err(ExportError::Cancelled)]
    ));
    assert_eq!(whole_exports(&store, "unknown"), 1);
}

#[test]
fn an_id_that_is_taken_is_refused_and_left_as_it_was() {
    let database = Database::create("taken", "");
    let store = MemoryStore::new();
    let place = place(store.clone());
    let first = database
        .export(&[export("rows", ROWS, ExportFormat::Csv, &place)])
        .remove(0)
        .unwrap();
    let again = database
        .export(&[export("rows", "SELECT 1", ExportFormat::JsonLines, &place)])
        .remove(0);
    assert!(matches!(again, Err(ExportError::Exists { .. })), "{again:?}");
    assert_eq!(whole_exports(&store, "taken"), 1);
    // Another writer of the same second, who publishes first.
    let other = MemoryStore::new();
    let (theirs, key) = (other.clone(), first.file.key.clone());
    let raced = Interleaved::new(other.clone(), 2, move || {
        objects::put(&theirs, key.as_str(), b"theirs").unwrap();
    });
    let raced = database
        .export(&[export("rows", ROWS, ExportFormat::Csv, &crate::support::place(raced))])
        .remove(0);
    assert!(matches!(raced, Err(ExportError::Exists { .. })), "{raced:?}");
    assert_eq!(objects::read(&other, first.file.key.as_str()).unwrap(), b"theirs");
    assert_eq!(objects::names(&other).len(), 1);
}

#[test]
fn all_exports_of_a_call_see_one_snapshot_and_locked_tables() {
    let database = Database::create(
        "snapshot",
        "CREATE TABLE t AS SELECT 1 AS x; CREATE VIEW v AS SELECT x FROM t; CREATE TABLE u (x int)",
    );
    let store = MemoryStore::new();
    // Before the first export is written, another session changes rows, and tries to empty the table.
    let config = database.config();
    let intruder = Interleaved::new(store.clone(), 1, move || {
        let mut other = WireConnection::connect(&config, &CancelToken::new()).unwrap();
        other
            .execute(b"INSERT INTO t VALUES (2); INSERT INTO u VALUES (2)")
            .unwrap();
        other.execute(b"SET lock_timeout = '50ms'").unwrap();
        assert!(other.execute(b"TRUNCATE t").is_err(), "the table is locked");
        assert!(
            other.execute(b"ALTER TABLE u ALTER x TYPE int8").is_err(),
            "the table is locked"
        );
    });
    let place = place(intruder);
    let made = database.export(&[
        export("first", "SELECT count(*) FROM v", ExportFormat::Csv, &place),
        export("second", "SELECT count(*) FROM t", ExportFormat::Csv, &place),
        export("third", "SELECT count(*) FROM u", ExportFormat::Csv, &place),
    ]);
    let counts: Vec<Vec<u8>> = made
        .into_iter()
        .map(|made| objects::read(&store, made.unwrap().file.key.as_str()).unwrap())
        .collect();
    assert_eq!(counts, [b"count\n1\n", b"count\n1\n", b"count\n0\n"]);
    assert_eq!(database.sql("SELECT count(*) FROM t"), "2");
}

#[test]
fn a_table_that_is_replaced_between_snapshot_and_lock_is_refused() {
    let database = Database::create(
        "replaced",
        "CREATE TABLE emptied AS SELECT 1 AS x; CREATE TABLE remade AS SELECT 1 AS x; CREATE TABLE kept (x text); \
         INSERT INTO kept SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000) i; \
         CREATE FUNCTION count_of(name text) RETURNS text LANGUAGE plpgsql AS $$ \
         DECLARE n text; BEGIN EXECUTE 'SELECT md5(string_agg(x::text, $1)) FROM ' || name INTO n USING ','; RETURN n; END $$",
    );
    let store = MemoryStore::new();
    let config = database.config();
    let intruder = Interleaved::new(store.clone(), 1, move || {
        let mut other = WireConnection::connect(&config, &CancelToken::new()).unwrap();
        other
            .execute(b"TRUNCATE emptied; DROP TABLE remade; CREATE TABLE remade AS SELECT 2 AS x; CREATE INDEX ON kept (md5(x))")
            .unwrap();
    });
    let place = place(intruder);
    let query = |name: &str| format!("SELECT count_of('{name}') AS n");
    let made = database.export(&[
        export("emptied", &query("emptied"), ExportFormat::Csv, &place),
        export("remade", &query("remade"), ExportFormat::JsonLines, &place),
        export("kept", &query("kept"), ExportFormat::Parquet, &place),
    ]);
    assert!(
        matches!(&made[0], Err(ExportError::Replaced { table }) if table == "emptied"),
        "{:?}",
        made[0]
    );
    assert!(matches!(&made[1], Err(ExportError::Replaced { .. })), "{:?}", made[1]);
    assert!(made[2].is_ok(), "{:?}", made[2]);
    assert!(
        objects::names(&store)
            .iter()
            .all(|name| name.starts_with("exports/kept_"))
    );
}

#[test]
fn a_snapshot_that_somebody_holds_is_read_as_it_was() {
    let database = Database::create(
        "held",
        "CREATE TABLE t AS SELECT 1 AS x; CREATE TABLE emptied AS SELECT 1 AS x",
    );
    let (config, cancel) = (database.config(), CancelToken::new());
    let connect = || WireConnection::connect(&config, &cancel).unwrap();
    let mut holder = connect();
    holder.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ").unwrap();
    let exported = holder.query(b"SELECT pg_export_snapshot()").unwrap();
    let snapshot = String::from_utf8(exported[0].get(0).unwrap().to_vec()).unwrap();
    connect()
        .execute(b"INSERT INTO t VALUES (2); TRUNCATE emptied")
        .unwrap();

    let store = MemoryStore::new();
    let place = place(store.clone());
    let exports = [
        export("emptied", "SELECT * FROM emptied", ExportFormat::Csv, &place),
        export("whole", "SELECT * FROM t", ExportFormat::Csv, &place),
    ];
    let (now, options) = (NOW.parse().unwrap(), ExportOptions::default());
    let made = export_data_in_snapshot(&config, &snapshot, &exports, now, &options, &cancel).unwrap();
    // Whoever holds the snapshot has not locked it.
    assert!(matches!(&made[0].1, Err(ExportError::Replaced { table }) if table == "emptied"));
    let whole = made[1].1.as_ref().unwrap();
    assert_eq!(objects::read(&store, whole.file.key.as_str()).unwrap(), b"x\n1\n");

    holder.execute(b"COMMIT").unwrap();
    let gone = export_data_in_snapshot(&config, &snapshot, &exports, now, &options, &cancel);
    assert!(matches!(gone, Err(ExportError::Wire { .. })), "{gone:?}");
}
