//! Volumes: that they are sound together, and what is seen where one of them is not as it was.

use std::sync::Arc;

use backstay_core::pack::VolumeName;
use backstay_core::repository::{BackupReader, PublishedBackup};
use backstay_core::store::{MemoryStore, Store};
use backstay_core::{Codec, ObjectKey, Repository};
use backstay_verify::{Level, Origin};

use crate::support::{ID, key, read, replace, sample, seen, verify};

fn published(codec: Codec) -> (Arc<dyn Store>, PublishedBackup) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let repository = Repository::new(Arc::clone(&store)).with_volume_bytes_max(Some(6000));
    let published = sample(codec).with_bulk(4, 5000).publish_in(&repository);
    assert!(published.manifest.packs.len() >= 3);
    (store, published)
}

fn volume(published: &PublishedBackup, number: usize) -> ObjectKey {
    key(&published.manifest.packs[number - 1].name)
}

/// What is seen by id, and by the name of the last volume.
fn outcomes(store: &Arc<dyn Store>, published: &PublishedBackup) -> [Vec<String>; 2] {
    let repository = Repository::new(Arc::clone(store));
    let by_id = repository.open(&ID.parse().unwrap());
    let by_name = BackupReader::open_pack(&repository, &published.pack);
    [(by_id, Origin::Id), (by_name, Origin::Pack)].map(|(opened, origin)| match opened {
        Ok(reader) => seen(&verify(&reader, origin, Level::Standard)),
        Err(_) => vec!["does not open".to_owned()],
    })
}

#[track_caller]
fn check(harm: impl Fn(&dyn Store, &PublishedBackup), by_id: &[&str], by_name: &[&str]) {
    let (store, published) = published(Codec::Gzip);
    harm(&*store, &published);
    assert_eq!(outcomes(&store, &published), [by_id, by_name]);
}

#[test]
fn whole_volumes_are_sound() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let (store, published) = published(codec);
        let nothing: [Vec<String>; 2] = Default::default();
        assert_eq!(outcomes(&store, &published), nothing);
        let reader = Repository::new(Arc::clone(&store)).open(&ID.parse().unwrap()).unwrap();
        let report = verify(&reader, Origin::Id, Level::Standard);
        assert_eq!(report.counts.bytes_read, published.bytes);
        assert_eq!(report.counts.rows, Some(published.manifest.row_count()));
    }
}

#[test]
fn a_volume_that_is_missing_is_seen() {
    let first = |store: &dyn Store, published: &PublishedBackup| store.delete(&volume(published, 1)).unwrap();
    check(first, &["error pack-missing"], &["error pack-missing"]);
    let last = |store: &dyn Store, published: &PublishedBackup| store.delete(&published.pack).unwrap();
    check(last, &["error pack-missing"], &["does not open"]);
}

#[test]
fn a_volume_that_was_cut_off_or_made_longer_is_seen() {
    let cut = |store: &dyn Store, published: &PublishedBackup| {
        let key = volume(published, 2);
        let bytes = read(store, &key);
        replace(store, &key, &bytes[..bytes.len() - 1]);
    };
    let seen = &[
        "error checksum-digest",
        "error member-missing",
        "error pack-digest",
        "error pack-size",
    ];
    check(cut, seen, seen);
    let longer = |store: &dyn Store, published: &PublishedBackup| {
        let key = volume(published, 2);
        let bytes = read(store, &key);
        replace(store, &key, &[&bytes[..], b"x"].concat());
    };
    let seen = &["error checksum-digest", "error pack-digest", "error pack-size"];
    check(longer, seen, seen);
}

#[test]
fn volumes_that_were_swapped_are_seen() {
    let swap = |store: &dyn Store, published: &PublishedBackup| {
        let (first, second) = (volume(published, 1), volume(published, 2));
        let bytes = (read(store, &first), read(store, &second));
        replace(store, &first, &bytes.1);
        replace(store, &second, &bytes.0);
    };
    let (store, published) = published(Codec::Gzip);
    swap(&*store, &published);
    for seen in outcomes(&store, &published) {
        for rule in ["error member-digest", "error pack-digest", "error checksum-digest"] {
            assert!(seen.iter().any(|seen| seen == rule), "{rule}: {seen:?}");
        }
    }
}

#[test]
fn a_volume_of_another_backup_is_seen() {
    let (other, of_other) = published(Codec::Gzip);
    // Other rows, and so other bytes, at the same places.
    let longer: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let repository = Repository::new(Arc::clone(&longer)).with_volume_bytes_max(Some(6000));
    let of_longer = sample(Codec::Gzip).with_bulk(4, 5100).publish_in(&repository);
    let foreign = read(&*longer, &volume(&of_longer, 2));
    replace(&*other, &volume(&of_other, 2), &foreign);
    for seen in outcomes(&other, &of_other) {
        for rule in ["error pack-digest", "error checksum-digest"] {
            assert!(seen.iter().any(|seen| seen == rule), "{rule}: {seen:?}");
        }
        assert!(seen.iter().any(|seen| seen.starts_with("error member-")), "{seen:?}");
    }
    // The last one of another backup brings another manifest.
    let (store, published) = published(Codec::Gzip);
    replace(&*store, &published.pack, &read(&*longer, &of_longer.pack));
    let [by_id, _] = outcomes(&store, &published);
    assert!(by_id.contains(&"error embedded-manifest".to_owned()), "{by_id:?}");
}

#[test]
fn one_list_of_digests_stands_for_all_volumes() {
    let checksum = |published: &PublishedBackup| {
        let whole = VolumeName::of(published.pack.as_str()).unwrap().whole();
        key(&format!("{whole}.sha256"))
    };
    let delete = |store: &dyn Store, published: &PublishedBackup| store.delete(&checksum(published)).unwrap();
    check(delete, &["warning checksum-missing"], &[]);
    let shorten = |store: &dyn Store, published: &PublishedBackup| {
        let text = String::from_utf8(read(store, &checksum(published))).unwrap();
        let (_, rest) = text.split_once('\n').unwrap();
        replace(store, &checksum(published), rest.as_bytes());
    };
    check(shorten, &["error checksum-name"], &["error checksum-name"]);
}

#[test]
fn members_in_volumes_are_in_order() {
    let (store, published) = published(Codec::Gzip);
    let repository = Repository::new(Arc::clone(&store));
    let mut manifest = repository.read_manifest(&ID.parse().unwrap()).unwrap();
    let rows: Vec<usize> = (0..manifest.members.len())
        .filter(|&index| manifest.members[index].text_bytes > 5000)
        .collect();
    // Both are rows of one table, so that nothing but their places is wrong.
    manifest.members.swap(rows[0], rows[rows.len() - 1]);
    let beside = key(&format!("{ID}.manifest.json"));
    replace(&*store, &beside, &backstay_core::manifest::to_json(&manifest));
    let [by_id, by_name] = outcomes(&store, &published);
    assert_eq!(by_id, ["error embedded-manifest", "error member-order"]);
    assert_eq!(by_name, ["warning sidecar-manifest"]);
}
