use std::sync::Arc;

use backstay_core::seal::{SealError, SealedObject, Unsealed, Unsealer};
use backstay_core::store::{MemoryStore, Store};
use backstay_storage_files::{ExistingFiles, FilesError, FilesRepository, verify_files};
use backstay_testkit::{SupabaseProject, ToyKey};

use crate::support::{back_up, project, restore};

#[test]
fn sealed_files_come_back() {
    let server = project();
    server.put("documents", "secret name", b"a secret of some length");
    let store = Arc::new(MemoryStore::new());
    let blind = FilesRepository::new(Arc::clone(&store) as Arc<dyn Store>).with_sealer(Arc::new(ToyKey::new("ours")));
    let sighted = blind.clone().with_unsealer(Arc::new(ToyKey::new("ours")));
    let first = back_up(&server, &sighted, 0).unwrap();
    assert_eq!(first.backup.manifest.sealed.as_deref(), Some("age"));
    let objects = store.list("storage-files/objects/").unwrap();
    assert!(objects.iter().all(|meta| meta.key.as_str().ends_with(".age")));
    // Whoever has no key reads all files anew, and can compare stored bytes.
    let second = back_up(&server, &sighted, 1).unwrap();
    assert_eq!(second.unchanged, 6);
    let third = back_up(&server, &blind, 2).unwrap();
    assert_eq!((third.unchanged, third.base.clone()), (0, None));
    let seen = verify_files(&blind, &third.backup, &|| false).unwrap();
    assert_eq!((seen.files, seen.is_sound()), (0, true));
    assert_eq!(seen.sealed_objects, third.backup.objects.len() as u64);
    assert!(matches!(blind.listing(&third.backup), Err(FilesError::Seal { .. })));
    let seen = verify_files(&sighted, &third.backup, &|| false).unwrap();
    assert_eq!((seen.files, seen.is_sound()), (6, true));
    let other = SupabaseProject::start();
    assert!(restore(&other, &sighted, &second, ExistingFiles::Keep).is_complete());
    // What is in clear is no base for what is to be sealed.
    let clear = FilesRepository::new(Arc::clone(&store) as Arc<dyn Store>).with_unsealer(Arc::new(ToyKey::new("ours")));
    let fourth = back_up(&server, &clear, 3).unwrap();
    assert_eq!((fourth.unchanged, fourth.base), (0, None));
}

/// Has the key `new`, and the old one for what was sealed before.
#[derive(Debug)]
struct OldAndNew;

impl Unsealer for OldAndNew {
    fn open(&self, object: SealedObject) -> Result<Arc<dyn Unsealed>, SealError> {
        match ToyKey::new("old").open(object.clone()) {
            Err(SealError::NoKey { .. }) => ToyKey::new("new").open(object),
            opened => opened,
        }
    }
}

#[test]
fn a_backup_for_a_new_key_holds_nothing_that_only_the_old_one_opens() {
    // One passphrase cannot be told from another.
    for (old, new) in [("old", "new"), ("passphrase", "passphrase")] {
        let server = project();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let before = FilesRepository::new(Arc::clone(&store)).with_sealer(Arc::new(ToyKey::new(old)));
        let after = FilesRepository::new(Arc::clone(&store)).with_sealer(Arc::new(ToyKey::new(new)));
        let (before, after) = match old == new {
            true => (
                before.with_unsealer(Arc::new(ToyKey::new(old))),
                after.with_unsealer(Arc::new(ToyKey::new(new))),
            ),
            false => (
                before.with_unsealer(Arc::new(OldAndNew)),
                after.with_unsealer(Arc::new(OldAndNew)),
            ),
        };
        back_up(&server, &before, 0).unwrap();
        let report = back_up(&server, &after, 1).unwrap();
        assert_eq!((report.unchanged, report.base.clone()), (0, None), "{old}");
        let only_new = FilesRepository::new(store).with_unsealer(Arc::new(ToyKey::new(new)));
        let other = SupabaseProject::start();
        assert!(restore(&other, &only_new, &report, ExistingFiles::Keep).is_complete());
    }
}
