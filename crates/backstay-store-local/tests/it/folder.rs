//! What a folder shows of objects, and what it does with files that are not its own.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{ErrorKind as IoKind, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use backstay_core::store::{ErrorKind, Leftover, Store as _};
use backstay_store_local::{Durability, LocalStore};
use backstay_testkit::conformance::PROMISES;
use rustix::fs::{CWD, FileType, FlockOperation, Mode};

use crate::{key, names, new_store, put};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn promises_hold_unsynced_too() {
    for (_, promise) in PROMISES {
        let (_folder, store) = new_store();
        promise(&store.with_durability(Durability::Unsynced));
    }
}

#[test]
fn an_object_is_a_file_of_its_name() {
    let (folder, store) = new_store();
    put(&store, "log/2026/x.json", b"{}").unwrap();
    assert_eq!(fs::read(folder.path().join("log/2026/x.json")).unwrap(), b"{}");
    assert_eq!(store.location(), folder.path().display().to_string());
}

#[test]
fn files_and_folders_are_private() {
    let (folder, _) = new_store();
    let store = LocalStore::create(folder.path().join("store")).unwrap();
    let mut writer = store.create(&key("log/2026/x")).unwrap();
    writer.append(b"secret").unwrap();
    let temporary = &store.list_leftovers().unwrap()[0].name;
    assert_eq!(mode(&store.path().join(temporary)), 0o600);
    writer.publish().unwrap();
    assert_eq!(mode(&store.path().join("log/2026/x")), 0o600);
    for made in ["", "log", "log/2026"] {
        assert_eq!(mode(&store.path().join(made)), 0o700, "{made:?}");
    }
}

#[test]
fn temporary_files_lie_beside_their_object() {
    let (_folder, store) = new_store();
    for (name, beside) in [("x", ""), ("log/2026/x", "log/2026/")] {
        let mut writer = store.create(&key(name)).unwrap();
        writer.append(b"123").unwrap();
        let leftovers = store.list_leftovers().unwrap();
        let [leftover] = leftovers.as_slice() else {
            panic!("one writer, but {leftovers:?}");
        };
        let expected = format!("{beside}.backstay-tmp-{}-", std::process::id());
        assert!(leftover.name.starts_with(&expected), "{leftover:?}");
        assert_eq!((leftover.size, leftover.in_use), (3, true));
    }
}

#[test]
fn age_is_the_time_of_the_file() {
    let (folder, store) = new_store();
    put(&store, "a", b"1").unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    File::open(folder.path().join("a")).unwrap().set_modified(time).unwrap();
    assert_eq!(store.head(&key("a")).unwrap().modified_unix_secs, 1_700_000_000);
    assert_eq!(store.list("").unwrap()[0].modified_unix_secs, 1_700_000_000);
}

#[test]
fn foreign_files_are_seen_only_if_they_can_be_objects() {
    let (folder, store) = new_store();
    let path = folder.path();
    fs::create_dir(path.join("sub")).unwrap();
    fs::create_dir(path.join(".backstay-tmp-folder")).unwrap();
    fs::create_dir(path.join("new\nline")).unwrap();
    for name in [
        "plain",
        "sub/plain",
        ".backstay-tmp-folder/x",
        "new\nline/x",
        "back\\slash",
        "sub/.backstay-tmp-1-2",
    ] {
        fs::write(path.join(name), b"x").unwrap();
    }
    fs::write(path.join(OsStr::from_bytes(b"latin1-\xe4")), b"x").unwrap();
    rustix::fs::mknodat(CWD, path.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert_eq!(names(&store), ["plain", "sub/plain"]);
    // Opening a pipe that nobody writes to would wait for ever.
    assert_eq!(
        store.read(&key("pipe"), None).err().unwrap().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(store.head(&key("pipe")).unwrap_err().kind(), ErrorKind::NotFound);
    store.delete(&key("pipe")).unwrap();
    assert!(path.join("pipe").exists());
    let leftovers = store.list_leftovers().unwrap();
    let found: Vec<_> = leftovers.iter().map(|leftover| leftover.name.as_str()).collect();
    assert_eq!(found, ["sub/.backstay-tmp-1-2"]);
}

#[test]
fn symbolic_links_lead_nowhere() {
    let (folder, store) = new_store();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("private"), b"x").unwrap();
    fs::write(elsewhere.path().join(".backstay-tmp-1-2"), b"x").unwrap();
    symlink(elsewhere.path().join("private"), folder.path().join("link")).unwrap();
    symlink(elsewhere.path(), folder.path().join("sub")).unwrap();
    symlink(".", folder.path().join("loop")).unwrap();
    assert!(names(&store).is_empty());
    assert_eq!(store.list("sub/").unwrap(), []);
    assert_eq!(store.list_leftovers().unwrap(), []);
    for name in ["link", "sub", "sub/private", "loop/link"] {
        assert_eq!(
            store.head(&key(name)).unwrap_err().kind(),
            ErrorKind::NotFound,
            "{name}"
        );
        assert_eq!(
            store.read(&key(name), None).err().unwrap().kind(),
            ErrorKind::NotFound,
            "{name}"
        );
        store.delete(&key(name)).unwrap();
    }
    let through = Leftover {
        name: "sub/.backstay-tmp-1-2".to_owned(),
        size: 1,
        modified_unix_secs: 0,
        key: None,
        in_use: false,
    };
    store.delete_leftover(&through).unwrap();
    for (name, kind) in [
        ("link", ErrorKind::AlreadyExists),
        ("sub", ErrorKind::AlreadyExists),
        ("sub/new", ErrorKind::UnsupportedKey),
    ] {
        assert_eq!(put(&store, name, b"y").unwrap_err().kind(), kind, "{name}");
    }
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 2);
    assert_eq!(fs::read(elsewhere.path().join("private")).unwrap(), b"x");
    // The way to the store itself may be a link.
    let through_link = LocalStore::open(folder.path().join("sub")).unwrap();
    assert_eq!(names(&through_link), ["private"]);
}

#[test]
fn a_reader_fails_where_the_file_was_cut() {
    let (folder, store) = new_store();
    put(&store, "a", &[7; 100_000]).unwrap();
    for range in [None, Some(10..100_000)] {
        fs::write(folder.path().join("a"), [7; 100_000]).unwrap();
        let mut reader = store.read(&key("a"), range).unwrap();
        File::options()
            .write(true)
            .open(folder.path().join("a"))
            .and_then(|file| file.set_len(50_000))
            .unwrap();
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), IoKind::UnexpectedEof);
    }
}

#[test]
fn abandoned_temporary_files_are_told_from_running_writers() {
    let (folder, store) = new_store();
    let mut writer = store.create(&key("running")).unwrap();
    writer.append(b"x").unwrap();
    fs::write(folder.path().join(".backstay-tmp-1-abandoned"), b"123").unwrap();
    let other = LocalStore::open(folder.path()).unwrap();
    for leftover in other.list_leftovers().unwrap() {
        let is_abandoned = leftover.name.ends_with("abandoned");
        assert_eq!(leftover.in_use, !is_abandoned);
        let deleted = other.delete_leftover(&leftover);
        assert_eq!(
            deleted.err().map(|error| error.kind()),
            (!is_abandoned).then_some(ErrorKind::InUse)
        );
    }
    assert_eq!(other.list_leftovers().unwrap().len(), 1);
    writer.publish().unwrap();
    assert_eq!(names(&store), ["running"]);
}

#[test]
fn cleaning_up_all_the_time_harms_no_writer() {
    let (folder, store) = new_store();
    let store = store.with_durability(Durability::Unsynced);
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let janitor = LocalStore::open(folder.path()).unwrap();
                while !is_done.load(Ordering::Relaxed) {
                    for leftover in janitor.list_leftovers().unwrap() {
                        // Not what the listing said counts, but what is so when it is deleted.
                        if let Err(error) = janitor.delete_leftover(&leftover) {
                            assert_eq!(error.kind(), ErrorKind::InUse, "{error}");
                        }
                    }
                }
            });
        }
        let results: Vec<_> = (0..3000)
            .map(|_| put(&store, "a", b"x").and_then(|meta| store.delete(&meta.key)))
            .collect();
        // The others must end before this thread may panic.
        is_done.store(true, Ordering::Relaxed);
        results.into_iter().for_each(|result| result.unwrap());
    });
}

#[test]
fn somebody_who_only_looks_is_no_writer() {
    let (folder, store) = new_store();
    let path = folder.path().join(".backstay-tmp-1-2");
    fs::write(&path, b"123").unwrap();
    let looker = File::open(&path).unwrap();
    rustix::fs::flock(&looker, FlockOperation::LockShared).unwrap();
    let leftover = store.list_leftovers().unwrap().remove(0);
    assert!(!leftover.in_use);
    store.delete_leftover(&leftover).unwrap();
    assert!(!path.exists());
}

#[test]
fn a_store_stays_with_its_folder() {
    let (folder, _) = new_store();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    let store = LocalStore::create(&old).unwrap();
    let mut writer = store.create(&key("a")).unwrap();
    writer.append(b"x").unwrap();
    fs::rename(&old, &new).unwrap();
    fs::create_dir(&old).unwrap();
    writer.publish().unwrap();
    assert_eq!(fs::metadata(new.join("a")).unwrap().size(), 1);
    assert_eq!(names(&store), ["a"]);
}
