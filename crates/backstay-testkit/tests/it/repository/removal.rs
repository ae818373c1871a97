use std::sync::Arc;

use backstay_core::manifest::{PackId, to_json};
use backstay_core::repository::LitterItem;
use backstay_core::store::MemoryStore;
use backstay_core::{Codec, Repository};
use backstay_testkit::{Damage, Recording};

use super::{FIRST, SECOND, id, key, names, now, put, sample, store_with};

const THIRD: &str = "kulti_backup_20250118_143022";

#[test]
fn what_is_no_backup_is_not_removed() {
    let store = store_with(&[FIRST, SECOND]);
    store.delete(&key(&format!("{FIRST}.manifest.json"))).unwrap();
    let before = names(&*store);
    let repository = Repository::new(Arc::clone(&store));
    for id in [id(FIRST), id(THIRD)] {
        assert!(repository.remove(&id, now()).unwrap_err().is_not_found(), "{id}");
    }
    assert_eq!(names(&*store), before);
}

#[test]
fn no_pack_goes_while_a_manifest_cannot_be_read() {
    let damages = [
        Damage::Truncate { length: 0 },
        Damage::Truncate { length: 100 },
        Damage::FlipBit { byte: 0, bit: 0 },
    ];
    for damage in damages {
        let store = store_with(&[FIRST, SECOND, THIRD]);
        damage.apply_to_object(&*store, &key(&format!("{THIRD}.manifest.json")));
        let repository = Repository::new(Arc::clone(&store));
        let pack = key(&format!("{FIRST}.sql.gz"));
        let removal = repository.remove(&id(FIRST), now()).unwrap();
        assert_eq!(removal.kept, std::slice::from_ref(&pack));
        assert_eq!(removal.deleted, [key(&format!("{FIRST}.manifest.json"))]);
        let litter = repository.litter(i64::MAX, 0).unwrap();
        assert_eq!(litter.items, [LitterItem::HalfDeleted(id(FIRST))]);
        assert!(litter.adoptable.is_empty());
        repository.remove_litter(&litter).unwrap();
        assert!(names(&*store).contains(&pack.to_string()));
        // The damaged backup itself can be removed, and then nothing hinders the rest.
        repository.remove(&id(THIRD), now()).unwrap();
        repository
            .remove_litter(&repository.litter(i64::MAX, 0).unwrap())
            .unwrap();
        let suffixes = ["manifest.json", "sql.gz", "sql.gz.sha256"];
        assert_eq!(names(&*store), suffixes.map(|suffix| format!("{SECOND}.{suffix}")));
    }
}

#[test]
fn a_pack_stays_until_the_last_manifest_that_names_it_is_gone() {
    let store = store_with(&[FIRST, SECOND, THIRD]);
    let repository = Repository::new(Arc::clone(&store));
    let base = repository.read_manifest(&id(FIRST)).unwrap();
    for later in [SECOND, THIRD] {
        // An incremental of which nothing changed: all its members lie in the first pack.
        let mut manifest = repository.read_manifest(&id(later)).unwrap();
        manifest.packs.clone_from(&base.packs);
        manifest.members.clone_from(&base.members);
        let name = format!("{later}.manifest.json");
        store.delete(&key(&name)).unwrap();
        put(&*store, &name, &to_json(&manifest));
    }
    put(&*store, &format!("{FIRST}.proof-1.json"), b"{}");
    let pack = format!("{FIRST}.sql.gz");
    assert_eq!(repository.remove(&id(FIRST), now()).unwrap().kept, [key(&pack)]);
    for later in [SECOND, THIRD] {
        assert!(names(&*store).contains(&pack));
        let reader = repository.open(&id(later)).unwrap();
        assert!(matches!(reader.manifest().packs[..], [ref pack] if pack.id != PackId::Own));
        assert_eq!(reader.pack_digest_agrees(0).unwrap(), Some(true));
        let removal = repository.remove(&id(later), now()).unwrap();
        // Their own packs were named by nobody.
        assert!(removal.deleted.contains(&key(&format!("{later}.sql.gz"))));
        repository
            .remove_litter(&repository.litter(i64::MAX, 0).unwrap())
            .unwrap();
    }
    assert_eq!(names(&*store), [""; 0]);
}

#[test]
fn a_removal_goes_through_tombstone_manifest_and_packs() {
    let store = MemoryStore::new();
    sample(FIRST, Codec::Gzip).publish(Arc::new(store.clone()));
    put(&store, &format!("{FIRST}.proof-1.json"), b"{}");
    let store = Arc::new(Recording::new(store));
    Repository::new(store.clone()).remove(&id(FIRST), now()).unwrap();
    let changes: Vec<String> = store
        .calls()
        .iter()
        .map(ToString::to_string)
        .filter(|call| call.starts_with("publish") || call.starts_with("delete"))
        .collect();
    let expected = [
        r#"publish "tombstones/kulti_backup_20250116_143022.json""#,
        r#"delete "kulti_backup_20250116_143022.manifest.json""#,
        r#"publish "tombstones/kulti_backup_20250116_143022.packs-0001.json""#,
        r#"delete "kulti_backup_20250116_143022.sql.gz""#,
        r#"delete "tombstones/kulti_backup_20250116_143022.packs-0001.json""#,
        r#"delete "kulti_backup_20250116_143022.proof-1.json""#,
        r#"delete "kulti_backup_20250116_143022.sql.gz.sha256""#,
        r#"delete "kulti_backup_20250116_143022.manifest.json""#,
        r#"delete "tombstones/kulti_backup_20250116_143022.json""#,
    ];
    assert_eq!(changes, expected);
}
