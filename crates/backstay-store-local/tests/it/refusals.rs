//! What the store says when it cannot.

use std::error::Error as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use backstay_core::store::{Error, ErrorKind, Leftover, Store as _};
use backstay_store_local::LocalStore;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use crate::{key, names, new_store, put};

fn kind<T>(result: Result<T, Error>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn a_folder_must_exist_to_be_opened_and_must_not_to_be_created() {
    let (folder, _) = new_store();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let missing = folder.path().join("missing");
    assert_eq!(kind(LocalStore::open(&missing)), Some(ErrorKind::StoreMissing));
    assert_eq!(kind(LocalStore::open(&file)), Some(ErrorKind::Other));
    assert_eq!(
        kind(LocalStore::create(missing.join("deeper"))),
        Some(ErrorKind::StoreMissing)
    );
    assert_eq!(kind(LocalStore::create(&file)), Some(ErrorKind::AlreadyExists));
    assert_eq!(kind(LocalStore::create(folder.path())), Some(ErrorKind::AlreadyExists));
    LocalStore::create(&missing).unwrap();
    LocalStore::open(&missing).unwrap();
}

#[test]
fn errors_name_the_path_and_keep_their_cause_apart() {
    let (folder, store) = new_store();
    let error = store.head(&key("log/missing")).unwrap_err();
    let path = folder.path().join("log/missing");
    assert_eq!(error.subject(), path.display().to_string());
    assert_eq!(
        error.to_string(),
        format!("cannot look at {}: it does not exist", path.display())
    );
    assert!(error.source().unwrap().to_string().contains("os error"));
}

#[test]
fn a_folder_that_vanished_is_not_an_empty_store() {
    let (folder, _) = new_store();
    let path = folder.path().join("store");
    let store = LocalStore::create(&path).unwrap();
    put(&store, "a", b"x").unwrap();
    let mut writer = store.create(&key("b")).unwrap();
    let mut deep_writer = store.create(&key("log/b")).unwrap();
    for writer in [&mut writer, &mut deep_writer] {
        writer.append(b"x").unwrap();
    }
    let leftover = Leftover {
        name: ".backstay-tmp-1-2".to_owned(),
        size: 0,
        modified_unix_secs: 0,
        key: None,
        in_use: false,
    };
    fs::remove_dir_all(&path).unwrap();
    for (what, kind) in [
        ("create", kind(store.create(&key("c")))),
        ("create in a folder", kind(store.create(&key("log/c")))),
        ("publish", kind(writer.publish())),
        ("publish in a folder", kind(deep_writer.publish())),
        ("read", kind(store.read(&key("a"), None))),
        ("head", kind(store.head(&key("a")))),
        ("head in a folder", kind(store.head(&key("log/a")))),
        ("list", kind(store.list(""))),
        ("list in a folder", kind(store.list("log/"))),
        ("delete", kind(store.delete(&key("a")))),
        ("delete in a folder", kind(store.delete(&key("log/a")))),
        ("list_leftovers", kind(store.list_leftovers())),
        ("delete_leftover", kind(store.delete_leftover(&leftover))),
    ] {
        assert_eq!(kind, Some(ErrorKind::StoreMissing), "{what}");
    }
}

#[test]
fn a_writer_whose_file_was_taken_away_fails() {
    let (folder, store) = new_store();
    for name in ["a", "log/a"] {
        let mut writer = store.create(&key(name)).unwrap();
        writer.append(b"x").unwrap();
        let temporary = store.list_leftovers().unwrap().remove(0);
        fs::remove_file(folder.path().join(&temporary.name)).unwrap();
        assert_eq!(kind(writer.publish()), Some(ErrorKind::Other), "{name}");
        assert!(names(&store).is_empty());
    }
}

#[test]
fn a_writer_whose_file_was_changed_fails() {
    let (folder, store) = new_store();
    let mut writer = store.create(&key("a")).unwrap();
    writer.append(b"12345").unwrap();
    let temporary = store.list_leftovers().unwrap().remove(0);
    fs::write(folder.path().join(&temporary.name), b"123").unwrap();
    let error = writer.publish().unwrap_err();
    assert_eq!(
        error.source().unwrap().to_string(),
        "5 bytes were written, but 3 are there"
    );
    assert!(names(&store).is_empty());
    assert_eq!(store.list_leftovers().unwrap(), []);
}

#[test]
fn names_that_are_too_long_are_refused_before_anything_is_written() {
    let (_folder, store) = new_store();
    let long = "x".repeat(256);
    for name in [long.clone(), format!("log/{long}"), format!("{long}/x")] {
        assert_eq!(kind(store.create(&key(&name))), Some(ErrorKind::UnsupportedKey));
        assert_eq!(kind(store.head(&key(&name))), Some(ErrorKind::NotFound));
        store.delete(&key(&name)).unwrap();
    }
}

#[test]
fn a_folder_that_takes_the_name_meanwhile_is_no_object() {
    let (folder, store) = new_store();
    fs::create_dir(folder.path().join("a")).unwrap();
    assert_eq!(kind(store.create(&key("a"))), Some(ErrorKind::UnsupportedKey));
    let mut writer = store.create(&key("b")).unwrap();
    writer.append(b"x").unwrap();
    fs::create_dir(folder.path().join("b")).unwrap();
    assert_eq!(kind(writer.publish()), Some(ErrorKind::UnsupportedKey));
    assert_eq!(store.list_leftovers().unwrap(), []);
}

/// Runs `test` in a thread that permissions bind, which they do not for root.
fn without_capabilities(test: impl FnOnce() + Send) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let none = CapabilitySet::empty();
            let none = CapabilitySets {
                effective: none,
                permitted: none,
                inheritable: none,
            };
            set_capabilities(None, none).unwrap();
            test();
        });
    });
}

#[test]
fn folders_without_permission_deny() {
    let (folder, store) = new_store();
    put(&store, "a", b"x").unwrap();
    put(&store, "log/a", b"x").unwrap();
    put(&store, "lost+found/a", b"x").unwrap();
    let set = |name: &str, mode| {
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    without_capabilities(|| {
        set("", 0o500);
        assert_eq!(kind(put(&store, "b", b"x")), Some(ErrorKind::Denied));
        assert_eq!(kind(store.delete(&key("a"))), Some(ErrorKind::Denied));
        assert_eq!(
            kind(LocalStore::create(folder.path().join("new"))),
            Some(ErrorKind::Denied)
        );
        assert_eq!(names(&store), ["a", "log/a", "lost+found/a"]);
        set("", 0o700);

        set("a", 0o000);
        assert_eq!(kind(store.read(&key("a"), None)), Some(ErrorKind::Denied));

        // A disk's own folder must not keep everybody but root from using the disk.
        set("lost+found", 0o000);
        assert_eq!(names(&store), ["a", "log/a"]);
        // Any other folder that cannot be looked into makes the list incomplete.
        set("log", 0o000);
        assert_eq!(kind(store.list("")), Some(ErrorKind::Denied));
        assert_eq!(kind(store.list_leftovers()), Some(ErrorKind::Denied));
        assert_eq!(store.list("a").unwrap().len(), 1);
    });
    // So that the folder can be removed.
    for name in ["log", "lost+found"] {
        set(name, 0o700);
    }
}
