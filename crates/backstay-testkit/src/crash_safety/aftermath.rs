use std::collections::BTreeSet;
use std::sync::Arc;

use backstay_core::pack::VolumeName;
use backstay_core::repository::{BackupReader, Listing, ObjectRole, RepositoryError, checksum_name, object_role};
use backstay_core::store::Store;
use backstay_core::{BackupId, ObjectKey, Repository};

use super::written::Written;

/// A store as the next process finds it.
pub(super) struct Aftermath<'a> {
    store: Arc<dyn Store>,
    /// All backups that were ever begun in it.
    begun: &'a [&'a Written],
    /// What happened, for messages.
    what: &'a str,
}

impl<'a> Aftermath<'a> {
    pub(super) fn new(store: Arc<dyn Store>, begun: &'a [&'a Written], what: &'a str) -> Self {
        Self { store, begun, what }
    }

    pub(super) fn repository(&self) -> Repository {
        Repository::new(Arc::clone(&self.store))
    }

    /// Whether the listing has the backup.
    pub(super) fn has(&self, backup: &Written) -> bool {
        let listing = self.repository().list().unwrap();
        listing.backups.iter().any(|listed| listed.id == *backup.id())
    }

    pub(super) fn keys(&self) -> BTreeSet<ObjectKey> {
        let listed = self.store.list("").unwrap();
        listed.into_iter().map(|object| object.key).collect()
    }

    /// Asserts that every backup that is listed reads whole, that every pack does so by itself, and that nothing of a
    /// backup stands about that no later step would find.
    #[track_caller]
    pub(super) fn assert_sound(&self) -> Listing {
        let what = self.what;
        let listing = self.repository().list().unwrap();
        for listed in &listing.backups {
            let backup = self.begun.iter().find(|backup| *backup.id() == listed.id);
            let Some(backup) = backup else {
                panic!("{what}: {} was never begun", listed.id)
            };
            match self.repository().open(&listed.id) {
                Ok(reader) => backup.assert_reads_whole(&reader, what),
                Err(error) => panic!("{what}: {} is listed and cannot be opened: {error:?}", listed.id),
            }
        }
        let keys = self.keys();
        for key in &keys {
            match object_role(key) {
                // Of volumes the last can be opened, and the others are known for what they are.
                Some((id, ObjectRole::Pack)) if VolumeName::of(key.as_str()).is_some() => {
                    self.assert_volume_is_known(key, &id, &listing);
                }
                Some((id, ObjectRole::Pack)) => {
                    let backup = self.begun.iter().find(|backup| *backup.id() == id).unwrap();
                    match BackupReader::open_pack(&Repository::new(Arc::clone(&self.store)), key) {
                        Ok(reader) => backup.assert_reads_whole(&reader, what),
                        Err(error) => panic!("{what}: {key} stands there half-written: {error:?}"),
                    }
                }
                Some((id, ObjectRole::Checksum)) => {
                    let tombstone: ObjectKey = format!("tombstones/{id}.json").parse().unwrap();
                    let is_pack = |pack: &&ObjectKey| checksum_name(pack.as_str()) == key.as_str();
                    let is_found = keys.iter().any(|pack| is_pack(&pack)) || keys.contains(&tombstone);
                    assert!(is_found, "{what}: {key} stands there without its pack");
                }
                _ => {}
            }
        }
        listing
    }

    /// Asserts that volumes read whole by the last one that is there, or that something tells why not.
    #[track_caller]
    fn assert_volume_is_known(&self, key: &ObjectKey, id: &BackupId, listing: &Listing) {
        let what = self.what;
        let volume = VolumeName::of(key.as_str()).unwrap();
        let keys = self.keys();
        let of_this = keys.iter().filter_map(|key| VolumeName::of(key.as_str()));
        let last = of_this
            .filter(|other| other.is_beside(&volume))
            .map(|other| other.number());
        let last: ObjectKey = volume.numbered(last.max().unwrap()).to_string().parse().unwrap();
        let backup = self.begun.iter().find(|backup| backup.id() == id).unwrap();
        if last != *key {
            return;
        }
        let tombstone: ObjectKey = format!("tombstones/{id}.json").parse().unwrap();
        let is_litter = listing.unfinished.contains(id) || keys.contains(&tombstone);
        match BackupReader::open_pack(&self.repository(), &last) {
            Ok(reader) => {
                backup.assert_reads_whole(&reader, what);
                assert!(!listing.unfinished.contains(id), "{what}: {last} is whole");
            }
            Err(error) => assert!(is_litter, "{what}: {key} stands there and nothing tells why: {error:?}"),
        }
    }

    /// Removes the litter and asserts that this took neither a backup nor a pack that can be adopted, and left nothing
    /// that is neither.
    #[track_caller]
    pub(super) fn assert_litter_goes(&self) {
        let before = self.assert_sound();
        let repository = self.repository();
        let litter = repository.litter(i64::MAX, 0).unwrap();
        for key in &litter.adoptable {
            assert!(before.adoptable.contains(key), "{}: {key}", self.what);
        }
        repository.remove_litter(&litter).unwrap();
        let after = self.assert_sound();
        assert_eq!(after.backups.len(), before.backups.len(), "{}", self.what);
        for key in &litter.adoptable {
            assert!(after.adoptable.contains(key), "{}: {key} was removed", self.what);
        }
        assert!(self.store.list_leftovers().unwrap().is_empty(), "{}", self.what);
        assert_eq!(after.unfinished, [], "{}", self.what);
        let intents = self.store.list("intents/").unwrap();
        assert!(intents.is_empty(), "{}: {intents:?}", self.what);
    }

    /// Asserts that what was told of a backup is true: `Ok` only of one that exists, an error only of one that does not,
    /// unless the error says that it does not know.
    #[track_caller]
    pub(super) fn assert_told_truly<T>(&self, backup: &Written, told: &Result<T, RepositoryError>) {
        match (told, self.has(backup)) {
            (Ok(_), true) | (Err(RepositoryError::Unknown { .. }), _) | (Err(_), false) => {}
            (Ok(_), false) => panic!("{}: it was said to be finished, and is not there", self.what),
            (Err(error), true) => panic!("{}: it is there, and was said to have failed: {error:?}", self.what),
        }
    }
}
