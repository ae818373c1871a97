//! What a repository takes for litter in a folder.

use std::fs::{self, File};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backstay_core::Repository;
use backstay_core::repository::LitterItem;
use backstay_core::store::Store;

use crate::{key, new_store};

#[test]
fn litter_is_old_and_of_nobody() {
    let (folder, store) = new_store();
    for (name, unix_secs) in [("old", 1000), ("young", 1001)] {
        let path = folder.path().join(format!(".backstay-tmp-1-{name}"));
        fs::write(&path, b"x").unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(unix_secs);
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(time)
            .unwrap();
    }
    let mut running = store.create(&key("running")).unwrap();
    running.append(b"x").unwrap();
    let repository = Repository::new(Arc::new(store));
    let names = |now_unix_secs, grace_secs| {
        let litter = repository.litter(now_unix_secs, grace_secs).unwrap();
        let name = |item| match item {
            LitterItem::Temporary(leftover) => leftover.name,
            LitterItem::Sweep(key) => panic!("{key}"),
            LitterItem::HalfDeleted(id)
            | LitterItem::HalfRekeyed { id, .. }
            | LitterItem::HalfReused(id)
            | LitterItem::HalfWritten { id, .. } => id.to_string(),
        };
        litter.items.into_iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(names(1999, 1000), [""; 0]);
    assert_eq!(names(2000, 1000), [".backstay-tmp-1-old"]);
    assert_eq!(names(2001, 1000), [".backstay-tmp-1-old", ".backstay-tmp-1-young"]);
    // However old, what somebody writes is no litter.
    assert_eq!(names(i64::MAX, 0), [".backstay-tmp-1-old", ".backstay-tmp-1-young"]);
    repository
        .remove_litter(&repository.litter(i64::MAX, 0).unwrap())
        .unwrap();
    running.publish().unwrap();
    assert_eq!(repository.store().list("").unwrap().len(), 1);
}

#[test]
fn what_is_sealed_anew_is_as_old_as_its_newest_object() {
    let (folder, store) = new_store();
    let id = "kulti_backup_20250116_143022";
    let week = 7 * 24 * 3600;
    for (name, unix_secs) in [
        (format!("{id}.manifest.json"), 900),
        (format!("{id}.sql.gz.age"), 900),
        (format!("intents/{id}.rekey-begun.json"), 1000),
        (format!("{id}.key2.sql.gz.age"), 5000),
    ] {
        store.create(&key(&name)).unwrap().publish().unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(unix_secs);
        let file = File::options().write(true).open(folder.path().join(&name)).unwrap();
        file.set_modified(time).unwrap();
    }
    let repository = Repository::new(Arc::new(store));
    for (now, grace, items) in [
        (1000 + week, 3600, 0),
        (4999 + week, 3600, 0),
        (5000 + week, 3600, 1),
        (5000 + week, week + 1, 0),
    ] {
        let found = repository.litter(now, grace).unwrap().items;
        assert_eq!(found.len(), items, "{now} {grace}: {found:?}");
    }
}
