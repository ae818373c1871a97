use backstay_core::store::{ErrorKind, Store};

use super::steps::{assert_refused, key, names, put, try_put, whole};

/// Promise 6: what is not there is `NotFound`, also where something begins like it or lies above or below it.
///
/// # Panics
/// Where the store breaks the promise.
pub fn missing_is_not_found(store: &dyn Store) {
    put(store, "folder/there", b"x");
    put(store, "file", b"x");
    let long = "x".repeat(900);
    for name in [
        "missing",
        "missing/deep",
        "folder",
        "folder/the",
        "folder/there2",
        "folder/there/below",
        "file/below",
        "fil",
        long.as_str(),
    ] {
        let what = format!("{name:?}, which is not there,");
        assert_refused(store.head(&key(name)), ErrorKind::NotFound, &what);
        assert_refused(store.read(&key(name), None), ErrorKind::NotFound, &what);
        assert_refused(store.read(&key(name), Some(0..0)), ErrorKind::NotFound, &what);
    }
}

/// Promise 6: `a` beside `a/b` is kept, or refused as `UnsupportedKey` without harm, in either order.
///
/// # Panics
/// Where the store breaks the promise.
pub fn keys_beside_folders_are_kept_or_refused(store: &dyn Store) {
    for (first, second) in [("a", "a/b"), ("c/d", "c"), ("e", "e/f/g"), ("h/i/j", "h/i")] {
        put(store, first, first.as_bytes());
        assert_kept_or_refused(store, second);
        assert_eq!(
            whole(store, first),
            first.as_bytes(),
            "{first:?} was harmed by {second:?}"
        );
        assert!(
            names(store, "").contains(&first.to_owned()),
            "{first:?} was harmed by {second:?}"
        );
        store.delete(&key(second)).unwrap();
        assert_eq!(
            whole(store, first),
            first.as_bytes(),
            "{first:?} was deleted with {second:?}"
        );
        store.delete(&key(first)).unwrap();
    }
}

/// Promise 6: the longest keys are kept, or refused as `UnsupportedKey`.
///
/// # Panics
/// Where the store breaks the promise.
pub fn long_keys_are_kept_or_refused(store: &dyn Store) {
    let many_parts = "p/".repeat(449) + "pp";
    for name in [
        "x".repeat(255),
        "x".repeat(256),
        "y".repeat(900),
        "ä".repeat(450),
        many_parts,
    ] {
        assert_kept_or_refused(store, &name);
    }
}

fn assert_kept_or_refused(store: &dyn Store, name: &str) {
    match try_put(store, name, name.as_bytes()) {
        Ok(meta) => {
            assert_eq!(meta.key, key(name));
            assert_eq!(whole(store, name), name.as_bytes());
            assert!(names(store, "").contains(&name.to_owned()), "{name:?} is not listed");
        }
        Err(error) => {
            assert_eq!(
                error.kind(),
                ErrorKind::UnsupportedKey,
                "{name:?} was refused otherwise: {error}"
            );
            assert_refused(store.head(&key(name)), ErrorKind::NotFound, "looking at a refused key");
            assert!(
                !names(store, "").contains(&name.to_owned()),
                "{name:?} was refused and is listed"
            );
        }
    }
}
