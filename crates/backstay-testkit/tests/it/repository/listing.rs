use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use backstay_core::manifest::{FORMAT_VERSION, MANIFEST_TEXT_BYTES_MAX, ManifestError};
use backstay_core::repository::RepositoryError;
use backstay_core::store::{Error, ErrorKind, Leftover, MemoryStore, ObjectMeta, ObjectWriter, Store};
use backstay_core::{BackupId, ObjectKey, Prefix, Repository};
use backstay_testkit::{Recording, Verb};
use jiff::Timestamp;

use super::{FIRST, SECOND, id, key, put, store_with};

#[test]
fn listing_a_thousand_backups_costs_one_list_and_no_read() {
    let store = MemoryStore::new();
    let prefix: Prefix = "kulti".parse().unwrap();
    let ids: Vec<BackupId> = (0..1000)
        .map(|day| {
            BackupId::new(
                prefix.clone(),
                Timestamp::from_second(1_700_000_000 + day * 86_400).unwrap(),
            )
        })
        .collect();
    for id in ids.iter().rev() {
        for suffix in [
            "sql.gz",
            "sql.gz.sha256",
            "manifest.json",
            "proof-20250117_000000-standard-passed-0001.json",
        ] {
            put(&store, &format!("{id}.{suffix}"), b"1234567");
        }
    }
    let store = Arc::new(Recording::new(store));
    let listing = Repository::new(store.clone()).list().unwrap();
    let calls: Vec<String> = store.calls().iter().map(ToString::to_string).collect();
    assert_eq!(calls, [r#"list """#]);
    assert!(listing.backups.iter().map(|backup| &backup.id).eq(&ids), "by time");
    assert!(listing.adoptable.is_empty());
    for backup in &listing.backups {
        assert_eq!((backup.pack_bytes, backup.manifest_bytes), (7, 7));
        assert!(backup.has_checksum);
        assert_eq!((backup.packs.len(), backup.records.len()), (1, 1));
        let proof = &backup.proofs()[0];
        assert_eq!(
            (proof.at.to_string(), proof.level.as_str(), proof.passed),
            ("2025-01-17T00:00:00Z".to_owned(), "standard", true)
        );
    }
}

#[test]
fn opening_a_backup_reads_its_manifest_and_nothing_else() {
    let store = MemoryStore::new();
    let sample = super::sample(FIRST, backstay_core::Codec::Gzip);
    sample.publish(Arc::new(store.clone()));
    let store = Arc::new(Recording::new(store));
    let reader = Repository::new(store.clone()).open(&id(FIRST)).unwrap();
    assert_eq!((store.calls().len(), store.calls_of(Verb::Read)), (2, 1));
    store.clear();
    reader.text(&reader.manifest().members[3]).unwrap();
    let calls = store.calls();
    let stored = reader.manifest().members[3].stored_bytes;
    assert_eq!((calls.len(), calls[0].bytes), (1, stored), "{calls:?}");
}

#[test]
fn packs_without_a_manifest_can_be_adopted() {
    let store = store_with(&[FIRST, SECOND]);
    store.delete(&key(&format!("{FIRST}.manifest.json"))).unwrap();
    put(&*store, "notes.txt", b"x");
    put(&*store, &format!("{FIRST}.proof-1.json"), b"x");
    let listing = Repository::new(store).list().unwrap();
    assert_eq!(listing.adoptable, [key(&format!("{FIRST}.sql.gz"))]);
    let ids: Vec<&BackupId> = listing.backups.iter().map(|backup| &backup.id).collect();
    assert_eq!(ids, [&id(SECOND)]);
}

#[test]
fn what_is_no_manifest_of_that_backup_is_refused() {
    let foreign = {
        let store = store_with(&[SECOND]);
        let mut json = String::new();
        let mut reader = store.read(&key(&format!("{SECOND}.manifest.json")), None).unwrap();
        reader.read_to_string(&mut json).unwrap();
        json
    };
    let newer = foreign.replacen(
        "\"format\":1,",
        &format!("\"format\":{},\"unheard\":of,", FORMAT_VERSION + 1).replace("of", "[\"of\"]"),
        1,
    );
    let check = |json: &str, expected: &str| {
        let store = MemoryStore::new();
        put(&store, &format!("{FIRST}.manifest.json"), json.as_bytes());
        let error = Repository::new(Arc::new(store)).open(&id(FIRST)).unwrap_err();
        let cause = std::error::Error::source(&error).map_or(String::new(), |source| format!(": {source}"));
        assert_eq!(format!("{error}{cause}"), expected);
        assert!(!error.is_not_found());
    };
    check(
        &foreign,
        "kulti_backup_20250116_143022.manifest.json is the manifest of another backup, kulti_backup_20250117_143022",
    );
    check(
        &newer,
        "kulti_backup_20250116_143022.manifest.json cannot be used: the manifest has format version 3, this program \
         reads up to 2: use a newer Backstay",
    );
    check(
        "",
        "kulti_backup_20250116_143022.manifest.json cannot be used: the manifest cannot be read: EOF while parsing a \
         value at line 1 column 0",
    );
    let missing = Repository::new(Arc::new(MemoryStore::new()))
        .open(&id(FIRST))
        .unwrap_err();
    assert!(missing.is_not_found());
}

#[test]
fn a_manifest_is_not_read_beyond_its_bound() {
    for (size, expected) in [(MANIFEST_TEXT_BYTES_MAX, false), (MANIFEST_TEXT_BYTES_MAX + 1, true)] {
        let inner = MemoryStore::new();
        put(&inner, &format!("{FIRST}.manifest.json"), b"{}");
        let store = Arc::new(Recording::new(Larger { inner, size }));
        let error = Repository::new(store.clone()).open(&id(FIRST)).unwrap_err();
        match error {
            RepositoryError::TooLarge { bytes, bytes_max, .. } if expected => {
                assert_eq!((bytes, bytes_max), (size, MANIFEST_TEXT_BYTES_MAX));
                assert_eq!(store.calls_of(Verb::Read), 0);
            }
            // The store has not as many bytes as it said.
            RepositoryError::Store(error) if !expected => assert_eq!(error.kind(), ErrorKind::OutOfRange),
            other => panic!("{size}: {other:?}"),
        }
    }
    let too_long = vec![b' '; usize::try_from(MANIFEST_TEXT_BYTES_MAX).unwrap() + 1];
    assert_eq!(
        backstay_core::manifest::from_json(&too_long),
        Err(ManifestError::TooLong)
    );
    assert_eq!(
        backstay_core::manifest::manifest_from_member(&too_long),
        Err(ManifestError::TooLong)
    );
}

/// A store that says of all objects that they are larger than they are.
#[derive(Debug)]
struct Larger {
    inner: MemoryStore,
    size: u64,
}

impl Store for Larger {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        self.inner.create(key)
    }

    fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, Error> {
        self.inner.read(key, range)
    }

    fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        let size = self.size;
        Ok(ObjectMeta {
            size,
            ..self.inner.head(key)?
        })
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
        let size = self.size;
        let listed = self.inner.list(prefix)?;
        Ok(listed.into_iter().map(|object| ObjectMeta { size, ..object }).collect())
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.inner.delete(key)
    }

    fn list_leftovers(&self) -> Result<Vec<Leftover>, Error> {
        self.inner.list_leftovers()
    }

    fn delete_leftover(&self, leftover: &Leftover) -> Result<(), Error> {
        self.inner.delete_leftover(leftover)
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

#[test]
fn absurd_sizes_do_no_harm() {
    let inner = MemoryStore::new();
    for suffix in ["manifest.json", "vol0001.sql.gz", "vol0002.sql.gz"] {
        put(&inner, &format!("{FIRST}.{suffix}"), b"x");
    }
    let store = Larger { inner, size: u64::MAX };
    let listing = Repository::new(Arc::new(store)).list().unwrap();
    assert_eq!(listing.backups[0].pack_bytes, u64::MAX);
}
