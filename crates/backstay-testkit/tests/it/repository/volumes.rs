use std::collections::HashSet;
use std::io::{Cursor, Read as _};
use std::sync::Arc;

use backstay_core::manifest::{Chunk, Manifest, PackId};
use backstay_core::pack::VolumeName;
use backstay_core::repository::{
    BackupReader, LitterItem, PublishedBackup, ReadBack, RepositoryError, parse_checksums,
};
use backstay_core::store::{ErrorKind, MemoryStore, Store};
use backstay_core::{Codec, MemberEncoder, Repository, Sha256Digest, script};
use backstay_testkit::fixtures::SampleBackup;
use backstay_testkit::{Fault, Faulty, Verb, When};
use proptest::prelude::*;

use super::{FIRST, SECOND, id, key, names, put};

/// Room for the manifest of the sample and for each of its members, and not for all of them.
const BYTES_MAX: u64 = 6000;
/// Longer than seven days.
const LATER: i64 = 8 * 24 * 3600;

fn sample(id: &str, codec: Codec) -> SampleBackup {
    super::sample(id, codec).with_bulk(8, 5000)
}

fn bytes_of(store: &dyn Store, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.read(&key(name), None).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn in_volumes(store: &Arc<dyn Store>, bytes_max: u64) -> Repository {
    Repository::new(Arc::clone(store)).with_volume_bytes_max(Some(bytes_max))
}

fn published_with(bulk: usize, codec: Codec, bytes_max: u64) -> (Arc<dyn Store>, PublishedBackup) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let sample = super::sample(FIRST, codec).with_bulk(2, bulk);
    let published = sample.publish_in(&in_volumes(&store, bytes_max));
    (store, published)
}

/// A store with the sample in volumes.
fn published(codec: Codec) -> (Arc<dyn Store>, PublishedBackup) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let published = sample(FIRST, codec).publish_in(&in_volumes(&store, BYTES_MAX));
    (store, published)
}

#[track_caller]
fn assert_reads_whole(reader: &BackupReader, sample: &SampleBackup) {
    let manifest = reader.manifest();
    assert_eq!(manifest.members.len(), sample.members.len());
    for (member, (content, text)) in manifest.members.iter().zip(&sample.members) {
        assert_eq!(member.content, *content);
        assert!(reader.text(member).unwrap() == *text, "{content:?}");
    }
}

/// What `gunzip` or `zstd -d` makes of it.
fn decompressed(stored: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let (_, mut script) = script::open(Box::new(Cursor::new(stored.to_vec()))).unwrap();
    script.read_to_end(&mut text).unwrap();
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_volume_keeps_the_bound_and_together_they_are_the_whole(
        bytes_max in 1500_u64..12_000,
        members in 0_u32..8,
        bytes in 1_usize..12_000,
        is_zstd in any::<bool>(),
    ) {
        let codec = if is_zstd { Codec::Zstd } else { Codec::Gzip };
        let sample = super::sample(FIRST, codec).with_bulk(members, bytes);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let repository = in_volumes(&store, bytes_max);
        let mut pending = repository.begin(&sample.manifest.id, sample.compression).unwrap();
        let mut encoder = MemberEncoder::new(sample.compression).unwrap();
        let mut longest = 0;
        let mut appended = Ok(0);
        for (content, text) in &sample.members {
            let member = encoder.encode(text).unwrap();
            longest = longest.max(member.stored.len() as u64);
            if appended.is_ok() {
                appended = pending.append(&member, content.clone());
            }
        }
        prop_assert_eq!(appended.is_err(), longest > bytes_max);
        let finished = pending.finish(sample.manifest.clone(), ReadBack::Yes);
        let published = match (appended, finished) {
            (Ok(_), Ok(published)) => published,
            (Ok(_), Err(RepositoryError::VolumeTooSmall { what, bytes, bytes_max: bound })) => {
                prop_assert_eq!((what.as_str(), bound), ("the manifest", bytes_max));
                prop_assert!(bytes > bytes_max);
                prop_assert_eq!(names(&*store), [""; 0]);
                return Ok(());
            }
            (Err(RepositoryError::VolumeTooSmall { bytes, .. }), Err(_)) => {
                prop_assert_eq!(bytes > bytes_max, true);
                prop_assert_eq!(names(&*store), [""; 0]);
                return Ok(());
            }
            other => panic!("{other:?}"),
        };

        let mut whole = Vec::new();
        let mut lines = Vec::new();
        for (index, pack) in published.manifest.packs.iter().enumerate() {
            let volume = VolumeName::of(&pack.name).unwrap();
            prop_assert_eq!(volume.number() as usize, index + 1);
            let bytes = bytes_of(&*store, &pack.name);
            prop_assert!(bytes.len() as u64 <= bytes_max);
            prop_assert_eq!(bytes.len() as u64, pack.bytes);
            prop_assert_eq!(PackId::Sha256(Sha256Digest::of(&bytes)), pack.id);
            decompressed(&bytes);
            lines.push((Sha256Digest::of(&bytes), pack.name.clone()));
            whole.extend(bytes);
        }
        let extension = codec.extension();
        let checksums = bytes_of(&*store, &format!("{FIRST}.sql.{extension}.sha256"));
        prop_assert_eq!(parse_checksums(std::str::from_utf8(&checksums).unwrap()), Some(lines));
        let script: Vec<u8> = sample.members.iter().flat_map(|(_, text)| text.clone()).collect();
        prop_assert!(decompressed(&whole).starts_with(&script));
        prop_assert_eq!(published.bytes, whole.len() as u64);

        assert_reads_whole(&repository.open(&id(FIRST)).unwrap(), &sample);
        let alone = BackupReader::open_pack(&repository, &published.pack).unwrap();
        assert_reads_whole(&alone, &sample);
        prop_assert_eq!(names(&*store).len(), published.manifest.packs.len() + 2);
    }
}

#[test]
fn a_store_that_bounds_objects_gets_volumes() {
    let sample = super::sample(FIRST, Codec::Gzip).with_bulk(40, 5000);
    // The lesser of the two bounds counts.
    for volume_bytes_max in [None, Some(1 << 20), Some(20_000)] {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new().with_object_bytes_max(40_000));
        let repository = Repository::new(Arc::clone(&store)).with_volume_bytes_max(volume_bytes_max);
        let packs = sample.publish_in(&repository).manifest.packs;
        let longest = packs.iter().map(|pack| pack.bytes).max().unwrap();
        if volume_bytes_max == Some(20_000) {
            assert!(longest <= 20_000, "{longest}");
        } else {
            assert!(longest > 30_000, "{longest}");
        }
        let json = bytes_of(&*store, &format!("{FIRST}.manifest.json"));
        assert!(json.starts_with(b"{\"format\":2,"));
        let listing = Repository::new(store).list().unwrap();
        assert_eq!(
            listing.backups[0].pack_bytes,
            packs.iter().map(|pack| pack.bytes).sum::<u64>()
        );
        assert!(listing.backups[0].has_checksum && listing.adoptable.is_empty() && listing.unfinished.is_empty());
    }
}

#[test]
fn a_store_that_cannot_take_the_manifest_gets_nothing() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new().with_object_bytes_max(BYTES_MAX));
    let sample = sample(FIRST, Codec::Gzip);
    let mut pending = Repository::new(Arc::clone(&store))
        .begin(&sample.manifest.id, sample.compression)
        .unwrap();
    let mut encoder = MemberEncoder::new(sample.compression).unwrap();
    for (content, text) in &sample.members {
        pending.append(&encoder.encode(text).unwrap(), content.clone()).unwrap();
    }
    let error = pending.finish(sample.manifest.clone(), ReadBack::Yes).unwrap_err();
    assert!(
        error.to_string().starts_with("the manifest beside the volumes takes "),
        "{error}"
    );
    assert_eq!(names(&*store), [""; 0]);
}

#[test]
fn a_manifest_that_does_not_fit_behind_the_members_gets_a_volume_of_its_own() {
    let (store, published) = published_with(3000, Codec::Gzip, 4600);
    let last = published.manifest.packs.len() - 1;
    let packs: Vec<usize> = published
        .manifest
        .members
        .iter()
        .map(|member| member.pack as usize)
        .collect();
    assert_eq!(packs.iter().max(), Some(&(last - 1)), "{packs:?}");
    let reader = BackupReader::open_pack(&Repository::new(store), &published.pack).unwrap();
    assert_reads_whole(&reader, &super::sample(FIRST, Codec::Gzip).with_bulk(2, 3000));
}

#[test]
fn with_a_bound_even_a_single_volume_bears_a_number() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    sample(FIRST, Codec::Gzip).publish_in(&in_volumes(&store, 1 << 20));
    let name = format!("{FIRST}.vol0001.sql.gz");
    let expected = [
        format!("{FIRST}.manifest.json"),
        format!("{FIRST}.sql.gz.sha256"),
        name.clone(),
    ];
    assert_eq!(names(&*store), expected);
    let plain: Arc<dyn Store> = Arc::new(MemoryStore::new());
    sample(FIRST, Codec::Gzip).publish(Arc::clone(&plain));
    let members_end = |store: &Arc<dyn Store>, name: &str| {
        let members = Repository::new(Arc::clone(store))
            .read_manifest(&id(FIRST))
            .unwrap()
            .members;
        let end = members
            .last()
            .map(|member| member.offset + member.stored_bytes)
            .unwrap();
        bytes_of(&**store, name)[..usize::try_from(end).unwrap()].to_vec()
    };
    assert_eq!(
        members_end(&store, &name),
        members_end(&plain, &format!("{FIRST}.sql.gz"))
    );
}

#[test]
fn a_volume_that_is_not_the_last_names_the_one_to_open() {
    let (store, published) = published(Codec::Gzip);
    let repository = Repository::new(Arc::clone(&store));
    let packs = &published.manifest.packs;
    for pack in &packs[..packs.len() - 1] {
        let error = BackupReader::open_pack(&repository, &key(&pack.name)).unwrap_err();
        let expected = format!(
            "{} does not end with a manifest: it is one of several volumes; open the last one, {}",
            pack.name, published.pack
        );
        assert_eq!(error.to_string(), expected);
    }
    store.delete(&published.pack).unwrap();
    let behind = &packs[packs.len() - 2].name;
    let error = BackupReader::open_pack(&repository, &key(behind)).unwrap_err();
    assert!(
        matches!(error, RepositoryError::NotLastVolume { last: None, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("the volumes behind it are not there"),
        "{error}"
    );
}

#[test]
fn volumes_that_were_renamed_together_are_found() {
    let (store, published) = published(Codec::Zstd);
    let moved: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut last = String::new();
    for pack in &published.manifest.packs {
        last = format!("moved/{}", pack.name.replace(FIRST, "other"));
        put(&*moved, &last, &bytes_of(&*store, &pack.name));
    }
    let reader = BackupReader::open_pack(&Repository::new(moved), &key(&last)).unwrap();
    assert_reads_whole(&reader, &sample(FIRST, Codec::Zstd));
}

/// Publishes some volumes and goes as a killed process does.
fn killed(store: &Arc<dyn Store>) {
    let sample = sample(FIRST, Codec::Gzip);
    let mut pending = in_volumes(store, BYTES_MAX)
        .begin(&sample.manifest.id, sample.compression)
        .unwrap();
    let mut encoder = MemberEncoder::new(sample.compression).unwrap();
    for (content, text) in &sample.members {
        pending.append(&encoder.encode(text).unwrap(), content.clone()).unwrap();
    }
    let _abandoned = std::mem::ManuallyDrop::new(pending);
}

#[test]
fn a_writer_that_gives_up_takes_its_volumes_back() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let sample = sample(FIRST, Codec::Gzip);
    let mut pending = in_volumes(&store, BYTES_MAX)
        .begin(&sample.manifest.id, sample.compression)
        .unwrap();
    let mut encoder = MemberEncoder::new(sample.compression).unwrap();
    for (content, text) in &sample.members {
        pending.append(&encoder.encode(text).unwrap(), content.clone()).unwrap();
    }
    assert!(names(&*store).len() > 2, "{:?}", names(&*store));
    drop(pending);
    assert_eq!(names(&*store), [""; 0]);
}

#[test]
fn what_a_killed_writer_left_is_litter_after_seven_days_and_no_adoptable_pack() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    killed(&store);
    // Another backup whose name begins with the first one's and a dot.
    let other = format!("{FIRST}.x_backup_20250118_143022");
    sample(&other, Codec::Gzip).publish_in(&in_volumes(&store, BYTES_MAX));
    let repository = Repository::new(Arc::clone(&store));
    let listing = repository.list().unwrap();
    assert_eq!((listing.unfinished, listing.adoptable), (vec![id(FIRST)], vec![]));
    assert!(listing.backups.iter().all(|backup| backup.id == id(&other)));
    assert!(matches!(
        repository.begin(&id(FIRST), sample(FIRST, Codec::Gzip).compression),
        Err(RepositoryError::Exists { .. })
    ));

    for (now, grace) in [(LATER - 2 * 24 * 3600, 0), (LATER, LATER + 1)] {
        assert_eq!(repository.litter(now, grace).unwrap().items, [], "{now} {grace}");
    }
    let litter = repository.litter(LATER, 0).unwrap();
    assert_eq!(litter.items, [half_written(false)]);
    repository.remove_litter(&litter).unwrap();
    let left = names(&*store);
    assert!(left.iter().all(|name| name.starts_with(&other)), "{left:?}");
    assert!(repository.open(&id(&other)).is_ok());
}

/// A store with whole volumes whose writer was killed before the manifest.
fn whole() -> (Arc<dyn Store>, PublishedBackup) {
    let (store, published) = published(Codec::Gzip);
    let volumes = published.manifest.packs.len();
    put(&*store, &format!("intents/{FIRST}.volumes.json"), b"{}\n");
    put(&*store, &format!("intents/{FIRST}.volumes-{volumes:04}.json"), b"{}\n");
    store.delete(&key(&format!("{FIRST}.manifest.json"))).unwrap();
    (store, published)
}

fn half_written(removal_begun: bool) -> LitterItem {
    LitterItem::HalfWritten {
        id: id(FIRST),
        removal_begun,
    }
}

#[test]
fn whole_volumes_stay_although_their_intents_do() {
    let (store, published) = whole();
    let volumes = published.manifest.packs.len();
    let repository = Repository::new(Arc::clone(&store));
    let listing = repository.list().unwrap();
    assert_eq!(
        (listing.unfinished, listing.adoptable),
        (vec![], vec![published.pack.clone()])
    );
    let litter = repository.litter(LATER, 0).unwrap();
    assert_eq!(litter.items, [half_written(false)]);
    repository.remove_litter(&litter).unwrap();
    assert_eq!(names(&*store).len(), volumes + 1);
    assert_eq!(repository.litter(LATER, 0).unwrap().items, []);
    let reader = BackupReader::open_pack(&repository, &published.pack).unwrap();
    assert_reads_whole(&reader, &sample(FIRST, Codec::Gzip));
}

#[test]
fn volumes_that_became_whole_since_they_were_listed_stay() {
    let (store, published) = whole();
    let repository = Repository::new(Arc::clone(&store));
    let last = bytes_of(&*store, published.pack.as_str());
    for ends in [false, true] {
        store.delete(&published.pack).unwrap();
        let litter = repository.litter(LATER, 0).unwrap();
        assert_eq!(litter.items, [half_written(false)]);
        put(&*store, published.pack.as_str(), &last);
        if ends {
            // Their writer, or another who removes litter, takes the intents back.
            for intent in store.list("intents/").unwrap() {
                store.delete(&intent.key).unwrap();
            }
        }
        repository.remove_litter(&litter).unwrap();
        assert_eq!(names(&*store).len(), published.manifest.packs.len() + 1, "{ends}");
        if !ends {
            put(&*store, &format!("intents/{FIRST}.volumes.json"), b"{}\n");
        }
    }
}

#[test]
fn volumes_that_another_removes_are_left_to_it_for_seven_days() {
    let removal = format!("intents/{FIRST}.volumes-removal.json");
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    killed(&store);
    let repository = Repository::new(Arc::clone(&store));
    let litter = repository.litter(LATER, 0).unwrap();
    put(&*store, &removal, b"{}\n");
    let before = names(&*store);
    repository.remove_litter(&litter).unwrap();
    assert_eq!(names(&*store), before);
    assert_eq!(repository.litter(LATER - 2 * 24 * 3600, 0).unwrap().items, []);
    let litter = repository.litter(LATER, 0).unwrap();
    assert_eq!(litter.items, [half_written(true)]);
    repository.remove_litter(&litter).unwrap();
    assert_eq!(names(&*store), [""; 0]);

    // Whoever was cut off may not have looked at them.
    let (store, published) = whole();
    put(&*store, &removal, b"{}\n");
    let repository = Repository::new(Arc::clone(&store));
    assert_eq!(repository.list().unwrap().adoptable, [published.pack]);
    let litter = repository.litter(LATER, 0).unwrap();
    assert_eq!(litter.items, [half_written(true)]);
    repository.remove_litter(&litter).unwrap();
    assert_eq!(names(&*store).len(), published.manifest.packs.len() + 1);
}

#[test]
fn a_writer_whose_volumes_are_removed_as_litter_makes_no_backup() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let sample = sample(FIRST, Codec::Gzip);
    let intent = format!("intents/{FIRST}.volumes-removal.json");
    let tombstone = format!("tombstones/{FIRST}.json");
    for what in ["intent", "tombstone", "volume"] {
        let mut pending = in_volumes(&store, BYTES_MAX)
            .begin(&sample.manifest.id, sample.compression)
            .unwrap();
        let mut encoder = MemberEncoder::new(sample.compression).unwrap();
        for (content, text) in &sample.members {
            pending.append(&encoder.encode(text).unwrap(), content.clone()).unwrap();
        }
        match what {
            "intent" => put(&*store, &intent, b""),
            "tombstone" => put(&*store, &tombstone, b""),
            _ => store.delete(&key(&format!("{FIRST}.vol0001.sql.gz"))).unwrap(),
        }
        let error = pending.finish(sample.manifest.clone(), ReadBack::No).unwrap_err();
        match (what, &error) {
            ("intent", RepositoryError::Exists { key: found, .. }) => assert_eq!(*found, key(&intent)),
            ("tombstone", RepositoryError::Exists { key: found, .. }) => assert_eq!(*found, key(&tombstone)),
            ("volume", error) => assert!(error.is_not_found(), "{error:?}"),
            _ => panic!("{what}: {error:?}"),
        }
        for other in [&intent, &tombstone] {
            store.delete(&key(other)).unwrap();
        }
        assert_eq!(names(&*store), [""; 0], "{what}");
    }
}

#[test]
fn two_writers_of_one_id_do_not_take_each_other_s_volumes() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let sample = sample(FIRST, Codec::Gzip);
    let mut slower = in_volumes(&store, BYTES_MAX)
        .begin(&sample.manifest.id, sample.compression)
        .unwrap();
    sample.publish_in(&in_volumes(&store, BYTES_MAX));
    let mut encoder = MemberEncoder::new(sample.compression).unwrap();
    let mut error = None;
    for (content, text) in &sample.members {
        error = slower.append(&encoder.encode(text).unwrap(), content.clone()).err();
        if error.is_some() {
            break;
        }
    }
    assert!(matches!(error, Some(RepositoryError::Exists { .. })), "{error:?}");
    drop(slower);
    assert_reads_whole(&Repository::new(store).open(&id(FIRST)).unwrap(), &sample);
}

#[test]
fn an_only_volume_of_another_writer_of_that_second_stays_where_the_store_loses_its_answer() {
    let store = MemoryStore::new();
    let other: Arc<dyn Store> = Arc::new(store.clone());
    // The first that is published is the intent.
    let losing = Faulty::new(store).with_fault(When::nth(Verb::Publish, 2), Fault::Error(ErrorKind::Transient));
    let sample = sample(FIRST, Codec::Gzip);
    let mut slower = in_volumes(&(Arc::new(losing) as Arc<dyn Store>), BYTES_MAX)
        .begin(&sample.manifest.id, sample.compression)
        .unwrap();
    super::sample(FIRST, Codec::Gzip).publish_in(&in_volumes(&other, 1 << 20));
    let mut encoder = MemberEncoder::new(sample.compression).unwrap();
    let appended: Result<Vec<u32>, RepositoryError> = sample
        .members
        .iter()
        .map(|(content, text)| slower.append(&encoder.encode(text).unwrap(), content.clone()))
        .collect();
    appended.unwrap_err();
    drop(slower);
    let reader = Repository::new(Arc::clone(&other)).open(&id(FIRST)).unwrap();
    assert_reads_whole(&reader, &super::sample(FIRST, Codec::Gzip));
}

#[test]
fn volumes_of_equal_rows_are_a_backup() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut sample = super::sample(FIRST, Codec::Gzip);
    let rows: Vec<u8> = (0..3000_u32)
        .flat_map(|row| format!("{:08x}\n", row.wrapping_mul(2_654_435_761)).into_bytes())
        .collect();
    for member in 0..3 {
        let chunk = Chunk {
            first_page: member * 8,
            end_page: Some(member * 8 + 8),
            part: 0,
        };
        sample.add_rows(2, chunk, &rows);
    }
    let mut encoder = MemberEncoder::new(sample.compression).unwrap();
    let longest = sample
        .members
        .iter()
        .map(|(_, text)| encoder.encode(text).unwrap().stored.len());
    let bytes_max = longest.max().unwrap() as u64 + 100;
    let published = sample.publish_in(&in_volumes(&store, bytes_max));
    let ids: HashSet<PackId> = published.manifest.packs.iter().map(|pack| pack.id).collect();
    assert!(
        ids.len() < published.manifest.packs.len(),
        "{:?}",
        published.manifest.packs
    );
    assert_reads_whole(&Repository::new(store).open(&id(FIRST)).unwrap(), &sample);
}

#[test]
fn after_an_error_nothing_can_be_added_or_finished() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let sample = sample(FIRST, Codec::Gzip);
    let mut pending = in_volumes(&store, 1000)
        .begin(&sample.manifest.id, sample.compression)
        .unwrap();
    let mut encoder = MemberEncoder::new(sample.compression).unwrap();
    let (content, text) = &sample.members[0];
    let short = encoder.encode(text).unwrap();
    let is_long = |(_, text): &&(_, Vec<u8>)| text.len() > 5000;
    let (rows, text) = sample.members.iter().find(is_long).unwrap();
    let long = encoder.encode(text).unwrap();
    pending.append(&short, content.clone()).unwrap();
    let error = pending.append(&long, rows.clone()).unwrap_err();
    assert!(
        error.to_string().starts_with("a block of 295 rows takes ")
            && error
                .to_string()
                .ends_with(" bytes, more than the 1000 that a volume may have"),
        "{error}"
    );
    assert!(pending.append(&short, content.clone()).is_err());
    let error = pending.finish(sample.manifest.clone(), ReadBack::Yes).unwrap_err();
    assert!(
        matches!(&error, RepositoryError::Store(error) if error.kind() == ErrorKind::Other),
        "{error:?}"
    );
    assert_eq!(names(&*store), [""; 0]);
}

#[test]
fn a_removed_backup_takes_its_volumes_and_intents_along() {
    let (store, published) = published(Codec::Gzip);
    sample(SECOND, Codec::Gzip).publish(Arc::clone(&store));
    put(&*store, &format!("intents/{FIRST}.volumes-0003.json"), b"{}\n");
    put(&*store, &format!("intents/{FIRST}.rekey-begun.json"), b"{}\n");
    let repository = Repository::new(Arc::clone(&store));
    let removal = repository.remove(&id(FIRST)).unwrap();
    assert_eq!(removal.deleted.len(), published.manifest.packs.len() + 2);
    let left = names(&*store);
    assert!(left.iter().all(|name| name.starts_with(SECOND)), "{left:?}");
    assert_eq!(repository.litter(LATER, 0).unwrap().items, []);
}

#[test]
fn the_volumes_before_the_last_hold_members_and_nothing_else() {
    let (_, published) = published(Codec::Gzip);
    let mut manifest = published.manifest;
    let last = manifest.packs.len() - 1;
    manifest.packs[last].id = PackId::Own;
    let ends = manifest.members.iter().filter(|member| member.pack as usize == last);
    let end = ends
        .map(|member| member.offset + member.stored_bytes)
        .max()
        .unwrap_or(0);
    assert_eq!(manifest.check_tiling(end), Ok(()));
    let check = |harm: &dyn Fn(&mut Manifest), expected: &str| {
        let mut manifest = manifest.clone();
        harm(&mut manifest);
        let error = manifest.check_tiling(end).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&|m| m.packs[0].bytes += 1, "belong to no member");
    check(&|m| m.members[1].offset += 1, "belong to no member");
    check(&|m| m.packs[0].name = "other".to_owned(), "are not all there");
    assert_eq!(manifest.check_consistency(), Ok(()));
    manifest.packs.swap(0, 1);
    let error = manifest.check_consistency().unwrap_err().to_string();
    assert!(error.contains("stands in the wrong place"), "{error}");
}
