use std::io::Read as _;

use backstay_core::store::{ErrorKind, Store};

use super::steps::{assert_refused, key, noise, put, range, whole};

const BYTES: usize = 100_003;

/// Promise 3: a range gives exactly its bytes; an empty one within the object gives none.
///
/// # Panics
/// Where the store breaks the promise.
pub fn range_reads(store: &dyn Store) {
    let bytes = noise(BYTES, 4);
    put(store, "ranged", &bytes);
    let ranges = [
        (0, BYTES),
        (0, 1),
        (BYTES - 1, BYTES),
        (1, 2),
        (4095, 4097),
        (10_000, 90_000),
        (0, 0),
        (500, 500),
        (BYTES, BYTES),
    ];
    for (start, end) in ranges {
        let read = range(store, "ranged", start as u64..end as u64);
        assert!(
            read == bytes[start..end],
            "the range {start}..{end} gave {} wrong bytes",
            read.len()
        );
    }
    assert!(whole(store, "ranged") == bytes, "the whole came back changed");
}

/// Promise 3: a range that reaches past the end, or ends before it starts, is refused before a byte is given.
///
/// # Panics
/// Where the store breaks the promise.
pub fn range_past_end_is_refused(store: &dyn Store) {
    put(store, "short", b"0123456789");
    put(store, "empty", b"");
    #[expect(clippy::reversed_empty_ranges, reason = "a store is asked for it all the same")]
    let ranges = [
        0..11,
        9..11,
        10..11,
        11..11,
        11..12,
        0..u64::MAX,
        u64::MAX..u64::MAX,
        5..4,
        10..0,
    ];
    for range in ranges {
        let what = format!("reading {range:?} of 10 bytes");
        assert_refused(store.read(&key("short"), Some(range)), ErrorKind::OutOfRange, &what);
    }
    assert_refused(
        store.read(&key("empty"), Some(0..1)),
        ErrorKind::OutOfRange,
        "reading a byte of an empty object",
    );
}

/// Promise 3: two readers of one object do not move each other.
///
/// # Panics
/// Where the store breaks the promise.
pub fn readers_are_independent(store: &dyn Store) {
    let bytes = noise(BYTES, 5);
    put(store, "shared", &bytes);
    let mut first = store.read(&key("shared"), None).unwrap();
    let mut second = store.read(&key("shared"), Some(50_000..60_000)).unwrap();
    let mut half = vec![0; 40_000];
    first.read_exact(&mut half).unwrap();
    let mut middle = Vec::new();
    second.read_to_end(&mut middle).unwrap();
    first.read_to_end(&mut half).unwrap();
    assert!(half == bytes, "the first reader gave other bytes");
    assert!(middle == bytes[50_000..60_000], "the second reader gave other bytes");
}
