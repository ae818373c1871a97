//! Listings that are older than the store: what they name may be gone, and what is new may not be named yet.

use std::io::Read;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use backstay_core::repository::{LitterItem, ReadBack, RepositoryError};
use backstay_core::store::{Error, ErrorKind, Leftover, MemoryStore, ObjectMeta, ObjectWriter, Store};
use backstay_core::{BackupId, Codec, Compression, MemberEncoder, ObjectKey, Repository};
use backstay_testkit::fixtures::SampleBackup;

use super::{FIRST, SECOND, begin, id, key, names, now, put, sample};

const THIRD: &str = "kulti_backup_20250118_143022";

/// A store whose listings are those of a moment that has passed; all else is as it is now.
#[derive(Debug)]
struct Stale {
    inner: MemoryStore,
    then: Mutex<(Vec<ObjectMeta>, Vec<Leftover>)>,
}

impl Stale {
    /// A store with backups of those ids, whose listings stay what they are now.
    fn with(ids: &[&str]) -> Arc<Self> {
        let inner = MemoryStore::new();
        for id in ids {
            sample(id, Codec::Gzip).publish(Arc::new(inner.clone()));
        }
        let stale = Self {
            inner,
            then: Mutex::default(),
        };
        stale.catch_up();
        Arc::new(stale)
    }

    fn catch_up(&self) {
        let now = (self.inner.list("").unwrap(), self.inner.list_leftovers().unwrap());
        *self.then.lock().unwrap() = now;
    }

    /// The store as it is.
    fn now(&self) -> Repository {
        Repository::new(Arc::new(self.inner.clone()))
    }
}

impl Store for Stale {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        self.inner.create(key)
    }

    fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, Error> {
        self.inner.read(key, range)
    }

    fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        self.inner.head(key)
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
        let mut listed = self.then.lock().unwrap().0.clone();
        listed.retain(|object| object.key.as_str().starts_with(prefix));
        Ok(listed)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.inner.delete(key)
    }

    fn list_leftovers(&self) -> Result<Vec<Leftover>, Error> {
        Ok(self.then.lock().unwrap().1.clone())
    }

    fn delete_leftover(&self, leftover: &Leftover) -> Result<(), Error> {
        self.inner.delete_leftover(leftover)
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

fn ids(repository: &Repository) -> Vec<BackupId> {
    let listing = repository.list().unwrap();
    listing.backups.into_iter().map(|backup| backup.id).collect()
}

/// Removes all litter that is seen, of whatever age, and tells what it was.
fn remove_litter(repository: &Repository) -> Vec<LitterItem> {
    let litter = repository.litter(i64::MAX, 0).unwrap();
    repository.remove_litter(&litter).unwrap();
    litter.items
}

#[track_caller]
fn assert_whole(repository: &Repository, text: &str) {
    let reader = repository.open(&id(text)).unwrap();
    for member in &reader.manifest().members {
        reader.text(member).unwrap();
    }
}

#[test]
fn a_backup_that_is_listed_and_gone_is_told_as_missing() {
    let store = Stale::with(&[FIRST, SECOND]);
    store.now().remove(&id(FIRST), now()).unwrap();
    let repository = Repository::new(store.clone());
    assert_eq!(ids(&repository), [id(FIRST), id(SECOND)]);
    assert!(repository.open(&id(FIRST)).unwrap_err().is_not_found());
    assert!(repository.remove(&id(FIRST), now()).unwrap_err().is_not_found());
    assert_eq!(remove_litter(&repository), []);
    assert_whole(&repository, SECOND);
    store.catch_up();
    assert_eq!(ids(&repository), [id(SECOND)]);
}

#[test]
fn an_object_that_vanishes_while_it_is_read_fails_the_reader_and_nothing_else() {
    let store = Stale::with(&[FIRST, SECOND]);
    let repository = Repository::new(store.clone());
    let reader = repository.open(&id(FIRST)).unwrap();
    store.now().remove(&id(FIRST), now()).unwrap();
    for member in &reader.manifest().members {
        assert!(reader.text(member).is_err());
    }
    assert_whole(&repository, SECOND);
}

#[test]
fn a_backup_that_is_not_listed_yet_is_neither_replaced_nor_litter() {
    let store = Stale::with(&[FIRST]);
    let now = Arc::new(store.inner.clone());
    sample(SECOND, Codec::Gzip).publish(now);
    let repository = Repository::new(store.clone());
    assert_eq!(ids(&repository), [id(FIRST)]);
    // It can be opened by its name all the same.
    assert_whole(&repository, SECOND);
    // Whoever writes another one of that name is refused at the end, and removes nothing that is not his.
    for codec in [Codec::Gzip, Codec::Zstd] {
        let store: Arc<dyn Store> = store.clone();
        let other = sample(SECOND, codec);
        match begin(&store, &other).finish(other.manifest.clone(), ReadBack::Yes) {
            Err(RepositoryError::Exists { .. }) => {}
            Err(RepositoryError::Store(error)) => assert_eq!(error.kind(), ErrorKind::AlreadyExists),
            other => panic!("{other:?}"),
        }
        assert_whole(&repository, SECOND);
    }
    assert_eq!(remove_litter(&repository), []);
    sample(THIRD, Codec::Gzip).publish(store.clone());
    for text in [FIRST, SECOND, THIRD] {
        assert_whole(&store.now(), text);
    }
    store.catch_up();
    assert_eq!(ids(&repository), [id(FIRST), id(SECOND), id(THIRD)]);
}

/// Of a backup that is new, a listing may have some of the objects: those that were written last are missing, or those
/// that were written first.
#[test]
fn a_backup_of_which_a_listing_has_some_objects_is_not_litter() {
    for missing in ["sql.gz", "sql.gz.sha256", "manifest.json"] {
        let store = Stale::with(&[FIRST, SECOND]);
        let hidden = key(&format!("{SECOND}.{missing}"));
        store.then.lock().unwrap().0.retain(|object| object.key != hidden);
        let repository = Repository::new(store.clone());
        let litter = repository.litter(i64::MAX, 0).unwrap();
        assert_eq!(litter.items, [], "{missing}");
        repository.remove_litter(&litter).unwrap();
        assert!(
            repository.begin(&id(SECOND), Compression::new(Codec::Gzip)).is_err(),
            "{missing}"
        );
        assert_whole(&store.now(), SECOND);
        store.catch_up();
        assert_eq!(ids(&repository), [id(FIRST), id(SECOND)]);
    }
}

#[test]
fn a_backup_that_is_not_listed_yet_is_removed_when_it_is() {
    let store = Stale::with(&[FIRST]);
    sample(SECOND, Codec::Gzip).publish(Arc::new(store.inner.clone()));
    let repository = Repository::new(store.clone());
    // What it shares with others is judged by the listing.
    assert!(repository.remove(&id(SECOND), now()).unwrap_err().is_not_found());
    assert_whole(&store.now(), SECOND);
    store.catch_up();
    repository.remove(&id(SECOND), now()).unwrap();
    assert_whole(&store.now(), FIRST);
    let left = names(&store.inner);
    assert!(!left.iter().any(|name| name.starts_with(SECOND)), "{left:?}");
}

/// A tombstone that is gone is listed, and one that is there is not.
#[test]
fn an_old_listing_of_tombstones_ends_no_backup() {
    let store = Stale::with(&[FIRST, SECOND]);
    let tombstone = format!("tombstones/{FIRST}.json");
    put(&store.inner, &tombstone, b"");
    store.catch_up();
    store.inner.delete(&key(&tombstone)).unwrap();
    let repository = Repository::new(store.clone());
    assert_eq!(remove_litter(&repository), [LitterItem::HalfDeleted(id(FIRST))]);
    assert_whole(&store.now(), FIRST);
    assert_whole(&store.now(), SECOND);
}

/// A backup in volumes came to its end: its intents are gone, and the listing still has them and lacks its manifest.
#[test]
fn an_old_listing_of_volumes_makes_no_litter_of_a_backup() {
    let store = Stale::with(&[]);
    let sample = SampleBackup::kulti(FIRST, Compression::new(Codec::Gzip)).with_bulk(2, 6000);
    let writing = Repository::new(Arc::new(store.inner.clone())).with_volume_bytes_max(Some(5000));
    let mut pending = writing.begin(&sample.manifest.id, sample.compression).unwrap();
    let mut encoder = MemberEncoder::new(sample.compression).unwrap();
    for (content, text) in &sample.members {
        pending.append(&encoder.encode(text).unwrap(), content.clone()).unwrap();
    }
    store.catch_up();
    let listed = store.list("").unwrap();
    assert!(
        listed.iter().any(|object| object.key.as_str().starts_with("intents/")),
        "{listed:?}"
    );
    pending.finish(sample.manifest.clone(), ReadBack::Yes).unwrap();
    let repository = Repository::new(store.clone());
    assert_ne!(remove_litter(&repository), [], "the listing calls it unfinished");
    assert_whole(&store.now(), FIRST);
    assert_eq!(
        store.head(&key(&format!("{SECOND}.manifest.json"))).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}
