//! What the handle to the backups of a store promises, beside what it promises of failures.

mod begin;
mod copying;
mod listing;
mod packs;
mod records;
mod rekeying;
mod removal;
mod sharing;
mod stale;
mod volumes;

use std::sync::Arc;

use backstay_core::store::{MemoryStore, Store};
use backstay_core::{BackupId, Codec, Compression, MemberEncoder, Repository};
use backstay_testkit::fixtures::SampleBackup;
pub(crate) use backstay_testkit::objects::key;
use backstay_testkit::objects::names;
use jiff::Timestamp;

/// When backups are removed and held.
const NOW: &str = "2025-02-01T00:00:00Z";
const FIRST: &str = "kulti_backup_20250116_143022";
const SECOND: &str = "kulti_backup_20250117_143022";

pub(crate) fn id(text: &str) -> BackupId {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn sample(id: &str, codec: Codec) -> SampleBackup {
    SampleBackup::kulti(id, Compression::new(codec))
}

/// A store with one backup for each id.
fn store_with(ids: &[&str]) -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    for id in ids {
        sample(id, Codec::Gzip).publish(Arc::clone(&store));
    }
    store
}

pub(crate) fn put(store: &dyn Store, name: &str, bytes: &[u8]) {
    let mut writer = store.create(&key(name)).unwrap();
    writer.append(bytes).unwrap();
    writer.publish().unwrap();
}

/// Begins the sample and appends its members.
fn begin(store: &Arc<dyn Store>, sample: &SampleBackup) -> backstay_core::repository::PendingBackup {
    let repository = Repository::new(Arc::clone(store));
    let mut pending = repository.begin(&sample.manifest.id, sample.compression).unwrap();
    let mut encoder = MemberEncoder::new(sample.compression).unwrap();
    for (content, text) in &sample.members {
        pending.append(&encoder.encode(text).unwrap(), content.clone()).unwrap();
    }
    pending
}
