use std::sync::Arc;

use backstay_core::repository::{BackupReader, PublishedBackup, ReadBack, RepositoryError};
use backstay_core::store::{Error, Store};
use backstay_core::{BackupId, Compression, EncodedMember, MemberEncoder, ObjectKey, Repository};

use crate::fixtures::SampleBackup;

/// A backup that is written again and again: what it must hold, and its members, compressed once.
pub(super) struct Written {
    sample: SampleBackup,
    volume_bytes_max: Option<u64>,
    encoded: Vec<EncodedMember>,
}

impl Written {
    pub(super) fn new(id: &str, compression: Compression) -> Self {
        Self::of(SampleBackup::kulti(id, compression))
    }

    fn of(sample: SampleBackup) -> Self {
        let compression = sample.compression;
        let mut encoder = MemberEncoder::new(compression).unwrap();
        let encoded = sample
            .members
            .iter()
            .map(|(_, text)| encoder.encode(text).unwrap())
            .collect();
        Self {
            sample,
            volume_bytes_max: None,
            encoded,
        }
    }

    /// The same and more, in three volumes.
    pub(super) fn in_volumes(id: &str, compression: Compression) -> Self {
        Self {
            volume_bytes_max: Some(5000),
            ..Self::of(SampleBackup::kulti(id, compression).with_bulk(2, 6000))
        }
    }

    /// The same with a pack of more than 60 kB.
    pub(super) fn with_bulk(id: &str, compression: Compression) -> Self {
        Self::of(SampleBackup::kulti(id, compression).with_bulk(2, 60_000))
    }

    pub(super) fn id(&self) -> &BackupId {
        &self.sample.manifest.id
    }

    pub(super) fn key(&self, suffix: &str) -> ObjectKey {
        format!("{}.{suffix}", self.id()).parse().unwrap()
    }

    pub(super) fn pack_key(&self) -> ObjectKey {
        self.key(&format!("sql.{}", self.sample.compression.codec().extension()))
    }

    /// Writes the backup, and fails as the store fails.
    pub(super) fn write(&self, store: Arc<dyn Store>, read_back: ReadBack) -> Result<PublishedBackup, RepositoryError> {
        let repository = Repository::new(store).with_volume_bytes_max(self.volume_bytes_max);
        let mut pending = repository.begin(self.id(), self.sample.compression)?;
        for ((content, _), member) in self.sample.members.iter().zip(&self.encoded) {
            pending.append(member, content.clone())?;
        }
        pending.finish(self.sample.manifest.clone(), read_back)
    }

    /// Asserts that the reader gives what was to be written, word for word.
    #[track_caller]
    pub(super) fn assert_reads_whole(&self, reader: &BackupReader, what: &str) {
        let manifest = reader.manifest();
        let mut said = self.sample.manifest.clone();
        said.packs.clone_from(&manifest.packs);
        said.members.clone_from(&manifest.members);
        assert_eq!(*manifest, said, "{what}: the manifest says something else");
        assert_eq!(manifest.members.len(), self.sample.members.len(), "{what}");
        for (member, (content, text)) in manifest.members.iter().zip(&self.sample.members) {
            assert_eq!(member.content, *content, "{what}");
            match reader.text(member) {
                Ok(found) => assert!(found == *text, "{what}: a member of {content:?} has another text"),
                Err(error) => panic!("{what}: a member of {content:?}: {error:?}"),
            }
        }
        for pack in 0..manifest.packs.len() {
            let agrees = reader.pack_digest_agrees(pack).unwrap();
            assert_ne!(agrees, Some(false), "{what}: {}", manifest.packs[pack].name);
        }
    }
}

/// Creates an object of these bytes.
pub(super) fn put(store: &dyn Store, key: &ObjectKey, bytes: &[u8]) -> Result<(), Error> {
    let mut writer = store.create(key)?;
    writer.append(bytes)?;
    writer.publish().map(drop)
}
