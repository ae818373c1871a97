use std::fs;

use backstay_core::store::{MemoryStore, Store as _};
use backstay_testkit::Damage;

use crate::{key, put, whole};

#[test]
fn each_damage_does_what_it_says() {
    for (damage, expected) in [
        (Damage::Delete, None),
        (Damage::Truncate { length: 0 }, Some("")),
        (Damage::Truncate { length: 5 }, Some("01234")),
        (Damage::FlipBit { byte: 0, bit: 0 }, Some("1123456789")),
        (Damage::FlipBit { byte: 9, bit: 3 }, Some("0123456781")),
        (
            Damage::Swap {
                first: 1..3,
                second: 5..9,
            },
            Some("0567834129"),
        ),
        (
            Damage::Swap {
                first: 0..5,
                second: 5..10,
            },
            Some("5678901234"),
        ),
        (Damage::Extend { with: b"x".to_vec() }, Some("0123456789x")),
    ] {
        let expected = expected.map(|text| text.as_bytes().to_vec());
        assert_eq!(damage.apply(b"0123456789"), expected, "{damage:?}");

        let store = MemoryStore::new();
        put(&store, "a", [b"01234", b"56789"]).unwrap();
        damage.apply_to_object(&store, &key("a"));
        match &expected {
            Some(expected) => assert_eq!(whole(&store, "a"), *expected),
            None => assert!(store.list("").unwrap().is_empty()),
        }

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, b"0123456789").unwrap();
        damage.apply_to_file(&path);
        assert_eq!(fs::read(&path).ok(), expected);
    }
}

#[test]
fn the_matrix_always_changes_something() {
    let bytes: Vec<u8> = (0..=255).collect();
    for (length, cases) in [(0, 2), (1, 9), (2, 10), (4, 10), (5, 10), (256, 10)] {
        let bytes = &bytes[..length];
        let matrix = Damage::matrix(bytes);
        assert_eq!(matrix.len(), cases, "{length} bytes: {matrix:?}");
        for (_, damage) in matrix {
            assert_ne!(damage.apply(bytes).as_deref(), Some(bytes), "{damage:?}");
        }
    }
}

#[test]
#[should_panic(expected = "changes nothing")]
fn damage_that_changes_nothing_is_refused() {
    drop(
        Damage::Swap {
            first: 0..1,
            second: 1..2,
        }
        .apply(b"aa"),
    );
}
