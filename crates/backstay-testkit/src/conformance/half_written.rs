use backstay_core::store::{ErrorKind, Store};

use super::steps::{assert_refused, key, names, noise, put, try_put, whole};

#[track_caller]
fn assert_invisible(store: &dyn Store, name: &str) {
    assert_refused(
        store.head(&key(name)),
        ErrorKind::NotFound,
        "looking at an unpublished object",
    );
    assert_refused(
        store.read(&key(name), None),
        ErrorKind::NotFound,
        "reading an unpublished object",
    );
    assert!(names(store, "").is_empty(), "an unpublished object is listed");
}

/// Promise 2: an object that is being written can neither be listed, looked at nor read.
///
/// # Panics
/// Where the store breaks the promise.
pub fn unpublished_is_invisible(store: &dyn Store) {
    for name in ["plain", "in/a/folder"] {
        let mut writer = store.create(&key(name)).unwrap();
        assert_invisible(store, name);
        writer.append(&noise(300_000, 1)).unwrap();
        assert_invisible(store, name);
        writer.publish().unwrap();
        assert_eq!(names(store, ""), [name]);
        store.delete(&key(name)).unwrap();
    }
}

/// Promise 2: a writer that is dropped publishes nothing, and its key stays free.
///
/// # Panics
/// Where the store breaks the promise.
pub fn dropped_writer_publishes_nothing(store: &dyn Store) {
    for name in ["plain", "in/a/folder"] {
        for bytes in [0, 300_000] {
            let mut writer = store.create(&key(name)).unwrap();
            writer.append(&noise(bytes, 2)).unwrap();
            drop(writer);
            assert_invisible(store, name);
        }
        put(store, name, b"new");
        assert_eq!(whole(store, name), b"new");
        store.delete(&key(name)).unwrap();
    }
}

/// Promise 2: what `publish` returned `Ok` for is there for every method at once.
///
/// # Panics
/// Where the store breaks the promise.
pub fn published_is_seen_at_once(store: &dyn Store) {
    for number in 0..20 {
        let name = format!("seen/{number:02}");
        let meta = put(store, &name, name.as_bytes());
        assert_eq!(meta.key, key(&name));
        assert!(
            names(store, "").contains(&name),
            "{name} is not listed after its publication"
        );
        assert!(
            store.head(&meta.key).is_ok(),
            "{name} cannot be looked at after its publication"
        );
        assert_eq!(whole(store, &name), name.as_bytes());
    }
}

/// Promise 2: an object of several MiB, appended in pieces of odd sizes, comes back byte for byte.
///
/// # Panics
/// Where the store breaks the promise.
pub fn large_object_round_trip(store: &dyn Store) {
    let bytes = noise(7 * 1024 * 1024 + 13, 3);
    let mut writer = store.create(&key("large")).unwrap();
    let mut rest = bytes.as_slice();
    for size in [1, 0, 65_535, 65_537, 1, 3_000_001, 8191].into_iter().cycle() {
        let (piece, others) = rest.split_at(rest.len().min(size));
        writer.append(piece).unwrap();
        rest = others;
        if rest.is_empty() {
            break;
        }
    }
    let meta = writer.publish().unwrap();
    assert_eq!(meta.size, bytes.len() as u64);
    // Comparing with `assert_eq` would print all of it.
    assert!(whole(store, "large") == bytes, "the object came back changed");
}

/// Promise 2: an object without bytes is an object, whether `append` was called or not.
///
/// # Panics
/// Where the store breaks the promise.
pub fn empty_object(store: &dyn Store) {
    assert_eq!(put(store, "empty", b"").size, 0);
    assert_eq!(store.create(&key("untouched")).unwrap().publish().unwrap().size, 0);
    for name in ["empty", "untouched"] {
        assert_eq!(store.head(&key(name)).unwrap().size, 0);
        assert_eq!(whole(store, name), b"");
        assert_refused(
            try_put(store, name, b""),
            ErrorKind::AlreadyExists,
            "writing an empty object again",
        );
    }
    assert_eq!(names(store, ""), ["empty", "untouched"]);
}
