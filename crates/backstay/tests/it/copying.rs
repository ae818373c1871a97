//! Copies of sealed backups between kinds of stores; what copying does else is tried in the testkit.

use std::io::Read as _;
use std::sync::{Arc, Mutex};

use backstay::encryption::{AgeSealer, Identities, SecretKey};
use backstay::{
    BackupId, CancelToken, CheckOptions, Compression, MemoryStore, Phase, Progress, ProgressEvent, ReadBack,
    Repository, Seals, Silent, Store, WhenMissing, copy_backup, open_store,
};
use backstay_testkit::fixtures::SampleBackup;

const ID: &str = "kulti_backup_20250116_143022";

fn id() -> BackupId {
    ID.parse().unwrap()
}

fn sealed(key: &SecretKey) -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let sealer = Arc::new(AgeSealer::to_keys([key.recipient()]).unwrap());
    let seals = Seals {
        packs: sealer.clone(),
        index: sealer,
    };
    let repository = Repository::new(Arc::clone(&store))
        .with_seals(seals)
        .with_volume_bytes_max(Some(6000));
    SampleBackup::kulti(ID, Compression::default())
        .with_bulk(3, 5000)
        .publish_in(&repository);
    store
}

fn objects(store: &dyn Store) -> Vec<(String, Vec<u8>)> {
    let listed = store.list("").unwrap();
    let read = |object: &backstay::ObjectMeta| {
        let mut bytes = Vec::new();
        store.read(&object.key, None).unwrap().read_to_end(&mut bytes).unwrap();
        (object.key.to_string(), bytes)
    };
    listed.iter().map(read).collect()
}

#[test]
fn a_sealed_backup_is_copied_without_a_key_and_opens_with_it() {
    let key = SecretKey::generate();
    let store = sealed(&key);
    let folder = tempfile::tempdir().unwrap();
    let local = open_store(folder.path().to_str().unwrap(), WhenMissing::Fail).unwrap();
    let (from, to) = (Repository::new(Arc::clone(&store)), Repository::new(Arc::clone(&local)));
    let copied = copy_backup(&from, &to, &id(), ReadBack::Yes, &Silent, &CancelToken::new()).unwrap();
    assert!(
        copied
            .written
            .iter()
            .any(|key| key.as_str().ends_with(".index.json.gz.age"))
    );
    assert_eq!(objects(&*store), objects(&*local));

    let mut identities = Identities::new();
    identities.add_key(&key);
    let opened = backstay::Archive::open(&to.with_unsealer(Arc::new(identities)), &id()).unwrap();
    let report = backstay::verify(&opened, &CheckOptions::default(), &Silent, &CancelToken::new()).unwrap();
    assert!(report.is_sound(), "{report:?}");
}

#[test]
fn a_backup_that_was_sealed_anew_is_copied_as_it_is_now() {
    let (old, new) = (SecretKey::generate(), SecretKey::generate());
    let store = sealed(&old);
    let mut identities = Identities::new();
    identities.add_key(&old);
    let sealer = Arc::new(AgeSealer::to_keys([new.recipient()]).unwrap());
    let seals = Seals {
        packs: sealer.clone(),
        index: sealer,
    };
    let with_key = Repository::new(Arc::clone(&store)).with_unsealer(Arc::new(identities));
    let to: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let copy = |to: &Arc<dyn Store>| {
        let to = Repository::new(Arc::clone(to));
        copy_backup(&with_key, &to, &id(), ReadBack::Yes, &Silent, &CancelToken::new())
    };
    let early: Arc<dyn Store> = Arc::new(MemoryStore::new());
    copy(&early).unwrap();
    with_key.rekey(&id(), &seals).unwrap();
    copy(&to).unwrap();
    assert_eq!(objects(&*store), objects(&*to));
    // The copy from before is another backup by now, and stays as it is.
    let before = objects(&*early);
    let error = copy(&early).unwrap_err();
    assert!(matches!(error, backstay::CopyError::Taken { .. }), "{error:?}");
    assert_eq!(objects(&*early), before);
}

#[test]
fn progress_comes_to_what_was_planned() {
    #[derive(Default)]
    struct Counted(Mutex<(u64, u64)>);
    impl Progress for Counted {
        fn event(&self, event: ProgressEvent<'_>) {
            let mut counted = self.0.lock().unwrap();
            match event {
                ProgressEvent::Phase {
                    phase: Phase::Copy,
                    bytes_total,
                } => counted.0 += bytes_total,
                ProgressEvent::Advance { bytes, .. } => counted.1 += bytes,
                _ => {}
            }
        }
    }
    let from = Repository::new(sealed(&SecretKey::generate()));
    let to = Repository::new(Arc::new(MemoryStore::new()));
    for _ in ["written", "there already"] {
        let counted = Counted::default();
        copy_backup(&from, &to, &id(), ReadBack::Yes, &counted, &CancelToken::new()).unwrap();
        let (planned, done) = *counted.0.lock().unwrap();
        assert!(planned > 10_000 && planned == done, "{planned} {done}");
    }
}
