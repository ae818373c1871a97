use std::sync::Arc;

use backstay_core::store::{MemoryStore, ObjectKey, Store};
use backstay_storage_files::{FilesBackupReport, FilesRepository, verify_files};

use crate::support::{back_up, memory, project};

fn verified(repository: &FilesRepository, report: &FilesBackupReport) -> Vec<String> {
    let opened = repository.open(&report.backup.id).unwrap();
    let seen = verify_files(repository, &opened, &|| false).unwrap();
    let shown = |finding: &backstay_storage_files::FilesFinding| {
        let file = finding.file.as_ref().map(|file| format!("{file}: "));
        format!("{}{}", file.unwrap_or_default(), finding.message)
    };
    assert_eq!(seen.is_sound(), seen.findings.is_empty());
    seen.findings.iter().map(shown).collect()
}

/// Puts other bytes in the place of an object.
fn replace(store: &Arc<MemoryStore>, key: &ObjectKey, bytes: &[u8]) {
    store.delete(key).unwrap();
    let mut writer = store.create(key).unwrap();
    writer.append(bytes).unwrap();
    writer.publish().unwrap();
}

#[test]
fn every_byte_counts() {
    let (server, (store, repository)) = (project(), memory());
    let report = back_up(&server, &repository, 0).unwrap();
    assert_eq!(verified(&repository, &report), Vec::<String>::new());
    let objects = store.list("storage-files/objects/").unwrap();
    assert_eq!(objects.len(), 4);
    for meta in objects {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut store.read(&meta.key, None).unwrap(), &mut bytes).unwrap();
        let mut flipped = bytes.clone();
        flipped[0] ^= 1;
        replace(&store, &meta.key, &flipped);
        assert!(!verified(&repository, &report).is_empty(), "{}", meta.key);
        store.delete(&meta.key).unwrap();
        assert!(!verified(&repository, &report).is_empty(), "{}", meta.key);
        let mut writer = store.create(&meta.key).unwrap();
        writer.append(&bytes).unwrap();
        writer.publish().unwrap();
    }
    assert_eq!(verified(&repository, &report), Vec::<String>::new());
    let checksums: ObjectKey = format!("storage-files/{}.sha256", report.backup.id).parse().unwrap();
    replace(&store, &checksums, b"");
    assert!(repository.open(&report.backup.id).is_err());
}
