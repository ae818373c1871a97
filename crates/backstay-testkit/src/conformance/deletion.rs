use backstay_core::store::{ErrorKind, Store};

use super::steps::{assert_refused, key, names, put, whole};

/// Promise 5: a deleted object is gone for every method, and deleting it again, or what never was, succeeds.
///
/// # Panics
/// Where the store breaks the promise.
pub fn delete_is_idempotent(store: &dyn Store) {
    put(store, "folder/doomed", b"x");
    for _ in 0..3 {
        store.delete(&key("folder/doomed")).unwrap();
        assert_refused(
            store.head(&key("folder/doomed")),
            ErrorKind::NotFound,
            "looking at a deleted object",
        );
        assert_refused(
            store.read(&key("folder/doomed"), None),
            ErrorKind::NotFound,
            "reading a deleted object",
        );
        assert!(names(store, "").is_empty(), "a deleted object is listed");
    }
    store.delete(&key("never")).unwrap();
    store.delete(&key("never/was/there")).unwrap();
}

/// Promise 5: keys that begin like a deleted one, or lie below it, stay.
///
/// # Panics
/// Where the store breaks the promise.
pub fn delete_touches_no_other_key(store: &dyn Store) {
    let others = ["A.b", "a", "a.b.c", "a.bc", "b/c", "b/c.d", "bc"];
    for name in others {
        put(store, name, name.as_bytes());
    }
    put(store, "a.b", b"x");
    // There is no object `b`, only objects below it; `a/x` is below an object.
    for name in ["a.b", "b", "a/x", "*"] {
        store.delete(&key(name)).unwrap();
    }
    assert_eq!(names(store, ""), others);
    for name in others {
        assert_eq!(whole(store, name), name.as_bytes());
    }
}
