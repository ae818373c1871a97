use std::collections::BTreeSet;
use std::sync::Arc;

use backstay_core::manifest::to_json;
use backstay_core::repository::{ReadBack, Removal, RepositoryError};
use backstay_core::store::Store;
use backstay_core::{Codec, Compression, ObjectKey, Repository};

use super::aftermath::Aftermath;
use super::failures::{Calls, failing};
use super::unbounded::Unbounded;
use super::written::{Written, put};
use crate::Faulty;

/// A removal during which one thing goes wrong, at any of its calls, leaves the backup whole or not there and every other
/// one as it was, also one whose manifest names a pack of the removed one; removing the litter ends it. A pack that no
/// manifest names goes then; one that can be adopted stays.
///
/// # Panics
/// Where it is otherwise.
pub fn a_removal_ends_or_can_be_ended<S: Store + Clone + 'static>(mut new_store: impl FnMut() -> S) {
    let mut new_store = || Unbounded(new_store());
    for packs in [Packs::Shared, Packs::Alone] {
        let history = History::new(packs);
        let sound = Arc::new(Faulty::new(history.written_to(new_store())));
        let removal = history.remove(sound.clone()).unwrap();
        history.assert_told(&removal);
        for failure in Calls::of(&sound).each() {
            let store = history.written_to(new_store());
            let told = history.remove(Arc::new(failing(store.clone(), &failure)));
            let what = format!("{packs:?} {failure:?}");
            let exists = Aftermath::new(Arc::new(store.clone()), &history.begun(), &what).has(&history.removed);
            assert!(told.is_err() || !exists, "{what}: it was said to be gone");
            history.assert_removal_ends(&store, &what);
        }
    }
}

/// Removing the litter of a removal that was cut off at any of its calls can be cut off at any of its own, and done
/// again.
///
/// # Panics
/// Where it cannot.
pub fn removing_litter_ends_or_can_be_repeated<S: Store + Clone + 'static>(mut new_store: impl FnMut() -> S) {
    let mut new_store = || Unbounded(new_store());
    for packs in [Packs::Shared, Packs::Alone] {
        let history = History::new(packs);
        let sound = Arc::new(Faulty::new(history.written_to(new_store())));
        history.remove(sound.clone()).unwrap();
        for cut in Calls::of(&sound).cuts() {
            let mut cut_off = || {
                let store = history.written_to(new_store());
                history.remove(Arc::new(failing(store.clone(), &cut))).unwrap_err();
                store
            };
            let sound = Arc::new(Faulty::new(cut_off()));
            remove_litter(sound.clone()).unwrap();
            // One item goes on where another failed, and there is one item, so it is enough to cut it off too.
            for failure in Calls::of(&sound).cuts() {
                let store = cut_off();
                // It ends well or it does not; what it leaves is what matters.
                drop(remove_litter(Arc::new(failing(store.clone(), &failure))));
                history.assert_removal_ends(&store, &format!("{packs:?} {cut:?}, then {failure:?}"));
            }
        }
    }
}

/// Removing the volumes of a writer that was cut off at any of its calls can be cut off at any of its own, and done again;
/// those that are whole stay.
///
/// # Panics
/// Where it is otherwise.
pub fn removing_volumes_ends_or_can_be_repeated<S: Store + Clone + 'static>(mut new_store: impl FnMut() -> S) {
    let backup = Written::in_volumes("kulti_backup_20250116_143022", Compression::new(Codec::Gzip));
    let sound = Arc::new(Faulty::new(new_store()));
    backup.write(sound.clone(), ReadBack::No).unwrap();
    for cut in Calls::of(&sound).cuts() {
        let mut cut_off = || {
            let store = new_store();
            drop(backup.write(Arc::new(failing(store.clone(), &cut)), ReadBack::No));
            store
        };
        let sound = Arc::new(Faulty::new(cut_off()));
        remove_litter(sound.clone()).unwrap();
        for failure in Calls::of(&sound).cuts() {
            let store = cut_off();
            let before = Repository::new(Arc::new(store.clone())).list().unwrap();
            drop(remove_litter(Arc::new(failing(store.clone(), &failure))));
            let what = format!("{cut:?}, then {failure:?}");
            let begun = [&backup];
            let aftermath = Aftermath::new(Arc::new(store), &begun, &what);
            aftermath.assert_litter_goes();
            let after = aftermath.assert_sound();
            assert_eq!(after.backups, before.backups, "{what}");
            assert_eq!(after.adoptable, before.adoptable, "{what}");
            if before.backups.is_empty() && before.adoptable.is_empty() {
                assert_eq!(aftermath.keys(), BTreeSet::new(), "{what}");
            }
        }
    }
}

fn remove_litter(store: Arc<dyn Store>) -> Result<(), RepositoryError> {
    let repository = Repository::new(store);
    let litter = repository.litter(i64::MAX, 0)?;
    repository.remove_litter(&litter)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packs {
    /// The later backup refers to a pack of the one that is removed.
    Shared,
    /// Each has its own.
    Alone,
}

/// What is in the store: a backup that is removed, a later one that may use its pack, and one that never got its
/// manifest. The last has a name that begins with the first one's and a dot.
struct History {
    packs: Packs,
    removed: Written,
    later: Written,
    adoptable: Written,
}

impl History {
    fn new(packs: Packs) -> Self {
        let compression = Compression::new(Codec::Gzip);
        Self {
            packs,
            removed: Written::new("kulti_backup_20250116_143022", compression),
            later: Written::new("kulti_backup_20250117_143022", compression),
            adoptable: Written::new("kulti_backup_20250116_143022.x_backup_20250118_143022", compression),
        }
    }

    fn begun(&self) -> [&Written; 3] {
        [&self.removed, &self.later, &self.adoptable]
    }

    fn written_to<S: Store + Clone + 'static>(&self, store: S) -> S {
        let shared: Arc<dyn Store> = Arc::new(store.clone());
        for backup in self.begun() {
            backup.write(Arc::clone(&shared), ReadBack::No).unwrap();
        }
        store.delete(&self.adoptable.key("manifest.json")).unwrap();
        if self.packs == Packs::Shared {
            self.share_the_pack(&shared);
        }
        store
    }

    /// Writes the later manifest as an incremental will: half of its members lie in the earlier pack. They are the same
    /// there, since both backups hold the same texts.
    fn share_the_pack(&self, store: &Arc<dyn Store>) {
        let repository = Repository::new(Arc::clone(store));
        let mut earlier = repository.read_manifest(self.removed.id()).unwrap();
        let mut manifest = repository.read_manifest(self.later.id()).unwrap();
        manifest.packs.append(&mut earlier.packs);
        for member in manifest.members.iter_mut().step_by(2) {
            member.pack = 1;
        }
        let key = self.later.key("manifest.json");
        store.delete(&key).unwrap();
        put(&**store, &key, &to_json(&manifest)).unwrap();
    }

    fn remove(&self, store: Arc<dyn Store>) -> Result<Removal, RepositoryError> {
        Repository::new(store).remove(self.removed.id(), self.later.id().time())
    }

    /// Asserts that a removal without faults told what it did.
    fn assert_told(&self, removal: &Removal) {
        let (manifest, pack) = (self.removed.key("manifest.json"), self.removed.pack_key());
        let checksum = self.removed.key("sql.gz.sha256");
        let (deleted, kept) = match self.packs {
            Packs::Shared => (vec![manifest], vec![pack]),
            Packs::Alone => (vec![manifest, pack, checksum], vec![]),
        };
        assert_eq!(removal.deleted, deleted);
        assert_eq!(removal.kept, kept);
    }

    /// Asserts that nothing but the removed backup suffered, and that the removal can be brought to its end.
    #[track_caller]
    fn assert_removal_ends<S: Store + Clone + 'static>(&self, store: &S, what: &str) {
        let shared: Arc<dyn Store> = Arc::new(store.clone());
        let begun = self.begun();
        let aftermath = Aftermath::new(Arc::clone(&shared), &begun, what);
        let existed = aftermath.has(&self.removed);
        assert!(aftermath.has(&self.later), "{what}");
        aftermath.assert_litter_goes();
        assert_eq!(aftermath.has(&self.removed), existed, "{what}");
        if existed {
            let mut keys = aftermath.keys().into_iter();
            assert!(!keys.any(|key| key.as_str().starts_with("tombstones/")), "{what}");
            self.remove(Arc::clone(&shared)).unwrap();
        }
        aftermath.assert_sound();
        let adoptable = [self.adoptable.pack_key(), self.adoptable.key("sql.gz.sha256")];
        let mut expected = BTreeSet::from(adoptable);
        if self.packs == Packs::Shared {
            assert!(aftermath.keys().contains(&self.removed.pack_key()), "{what}");
            Repository::new(shared)
                .remove(self.later.id(), self.later.id().time())
                .unwrap();
            aftermath.assert_litter_goes();
        } else {
            let suffixes = ["manifest.json", "sql.gz", "sql.gz.sha256"];
            expected.extend(suffixes.map(|suffix| self.later.key(suffix)));
        }
        let keys: BTreeSet<ObjectKey> = aftermath.keys();
        assert_eq!(keys, expected, "{what}");
    }
}
