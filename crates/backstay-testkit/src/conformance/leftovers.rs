use backstay_core::store::{ErrorKind, Leftover, Store};

use super::steps::{key, names, noise, put, whole};

#[track_caller]
fn leftovers(store: &dyn Store) -> Vec<Leftover> {
    store
        .list_leftovers()
        .unwrap_or_else(|error| panic!("leftovers cannot be listed: {error}"))
}

/// Promise 7: objects are no leftovers, what is being written is no object, and writers that ended in order leave nothing.
///
/// # Panics
/// Where the store breaks the promise.
pub fn leftovers_are_no_objects(store: &dyn Store) {
    for name in ["plain", "folder/deep"] {
        put(store, name, b"x");
        assert_eq!(leftovers(store), [], "an object is listed as a leftover");
    }
    let mut published = store.create(&key("folder/published")).unwrap();
    let mut dropped = store.create(&key("dropped")).unwrap();
    for writer in [&mut published, &mut dropped] {
        writer.append(&noise(100_000, 7)).unwrap();
    }
    assert_eq!(
        names(store, ""),
        ["folder/deep", "plain"],
        "something unpublished is listed"
    );
    published.publish().unwrap();
    drop(dropped);
    assert_eq!(leftovers(store), [], "writers that ended in order left something");
}

/// Promise 7: `delete_leftover` removes no object, whatever name it is given, and a leftover that is gone counts as
/// removed.
///
/// # Panics
/// Where the store breaks the promise.
pub fn deleting_a_leftover_spares_objects(store: &dyn Store) {
    put(store, "precious", b"1");
    put(store, "folder/precious", b"2");
    let names_tried = [
        "precious",
        "folder/precious",
        "/precious",
        "./precious",
        "folder/../precious",
        "folder//precious",
        "folder",
        "",
        ".",
        "..",
        "*",
    ];
    for name in names_tried {
        let no_leftover = Leftover {
            name: name.to_owned(),
            size: 1,
            modified_unix_secs: 0,
            key: None,
            in_use: false,
        };
        // Whether such a name is refused or counts as removed is the store's choice.
        let _ = store.delete_leftover(&no_leftover);
        assert_eq!(
            names(store, ""),
            ["folder/precious", "precious"],
            "the name {name:?} removed an object"
        );
    }
    let mut writer = store.create(&key("dropped")).unwrap();
    writer.append(b"x").unwrap();
    let while_writing = leftovers(store);
    drop(writer);
    for gone in while_writing {
        store.delete_leftover(&gone).unwrap();
    }
}

/// Promise 7: whoever removes what a running writer holds is refused as `InUse`, or makes the writer fail; the object is
/// never half there.
///
/// # Panics
/// Where the store breaks the promise.
pub fn running_writers_survive_or_fail_whole(store: &dyn Store) {
    let bytes = noise(200_000, 8);
    for name in ["plain", "folder/deep"] {
        let mut writer = store.create(&key(name)).unwrap();
        writer.append(&bytes[..100_000]).unwrap();
        let mut is_removed = false;
        for leftover in leftovers(store) {
            match store.delete_leftover(&leftover) {
                Ok(()) => {
                    assert!(!leftover.in_use, "{leftover:?} was in use and was removed");
                    is_removed = true;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::InUse, "it was refused otherwise: {error}"),
            }
        }
        let result = writer.append(&bytes[100_000..]).and_then(|()| writer.publish());
        assert!(
            result.is_ok() || is_removed,
            "the writer failed though nothing was removed"
        );
        if result.is_ok() {
            assert!(whole(store, name) == bytes, "the object is not whole");
        } else {
            assert!(
                !names(store, "").contains(&name.to_owned()),
                "a failed writer published"
            );
        }
    }
}
