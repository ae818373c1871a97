use std::io::Read as _;
use std::sync::Arc;

use backstay_core::repository::{BackupReader, PublishedBackup, RepositoryError};
use backstay_core::store::{MemoryStore, Store};
use backstay_core::{Codec, Compression, ObjectKey, Repository};
use backstay_testkit::fixtures::SampleBackup;
use backstay_verify::{Finding, Level, Origin, Report, Rules, Severity, Silent, VerifyOptions, verify_backup};

pub(crate) const ID: &str = "kulti_backup_20250116_143022";

pub(crate) fn sample(codec: Codec) -> SampleBackup {
    SampleBackup::kulti(ID, Compression::new(codec))
}

/// A store that holds the backup.
pub(crate) fn published(sample: &SampleBackup) -> (Arc<dyn Store>, PublishedBackup) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let published = sample.publish(Arc::clone(&store));
    (store, published)
}

pub(crate) fn key(name: &str) -> ObjectKey {
    name.parse().unwrap()
}

pub(crate) fn pack_key(codec: Codec) -> ObjectKey {
    key(&format!("{ID}.sql.{}", codec.extension()))
}

pub(crate) fn read(store: &dyn Store, key: &ObjectKey) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.read(key, None).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

pub(crate) fn replace(store: &dyn Store, key: &ObjectKey, bytes: &[u8]) {
    store.delete(key).unwrap();
    let mut writer = store.create(key).unwrap();
    writer.append(bytes).unwrap();
    writer.publish().unwrap();
}

pub(crate) fn open(store: &Arc<dyn Store>, origin: Origin, codec: Codec) -> Result<BackupReader, RepositoryError> {
    match origin {
        Origin::Id => Repository::new(Arc::clone(store)).open(&ID.parse().unwrap()),
        Origin::Pack => BackupReader::open_pack(&Repository::new(Arc::clone(store)), &pack_key(codec)),
    }
}

pub(crate) fn verify(backup: &BackupReader, origin: Origin, level: Level) -> Report {
    let rules = Rules::default();
    let mut options = VerifyOptions::new(&rules);
    options.level = level;
    verify_backup(backup, origin, &options, &Silent, &|| false).unwrap()
}

/// Publishes and verifies by id at level standard.
pub(crate) fn verify_sample(sample: &SampleBackup) -> Report {
    let (store, _) = published(sample);
    let backup = open(&store, Origin::Id, sample.compression.codec()).unwrap();
    verify(&backup, Origin::Id, Level::Standard)
}

/// `error member-digest` and so on, without repetitions and without the notes that every sample gives.
pub(crate) fn seen(report: &Report) -> Vec<String> {
    let mut seen: Vec<String> = report
        .findings
        .iter()
        .filter(|finding| finding.severity != Severity::Note)
        .map(|finding| format!("{} {}", finding.severity, finding.rule))
        .collect();
    seen.dedup();
    seen
}

pub(crate) fn finding<'r>(report: &'r Report, rule: &str) -> &'r Finding {
    let found = report.findings.iter().find(|finding| finding.rule == rule);
    found.unwrap_or_else(|| panic!("no {rule} in\n{report}"))
}
