//! The sealed backups of format version 2 in `testdata/archives`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use backstay_core::manifest::TableRows;
use backstay_core::repository::{BackupReader, RepositoryError};
use backstay_core::store::{MemoryStore, Store};
use backstay_core::{Codec, Repository, RowDigest};
use backstay_encryption::Identities;

/// A store that holds the files, and the file of identities, which is no object.
fn archives() -> (Arc<dyn Store>, Vec<u8>) {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/archives/v2"));
    let store = MemoryStore::new();
    let mut identity = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name == "identity.txt" {
            identity = bytes;
            continue;
        }
        let mut writer = store.create(&name.parse().unwrap()).unwrap();
        writer.append(&bytes).unwrap();
        writer.publish().unwrap();
    }
    (Arc::new(store), identity)
}

#[test]
fn sealed_archives_of_the_first_version_that_had_them_are_read() {
    let (store, file) = archives();
    let keyless = Repository::new(Arc::clone(&store));
    let mut identities = Identities::new();
    identities.add_file(&file, None).unwrap();
    let repository = keyless.clone().with_unsealer(Arc::new(identities));
    let mut codecs = Vec::new();
    for backup in repository.list().unwrap().backups {
        assert!(matches!(keyless.open(&backup.id), Err(RepositoryError::Sealed { .. })));
        let reader = repository.open(&backup.id).unwrap();
        let manifest = reader.manifest();
        assert_eq!((manifest.row_count(), manifest.text_bytes()), (15, 123));
        assert_eq!(repository.read_manifest(&backup.id).unwrap(), *manifest, "the index");
        assert_eq!(reader.pack_digest_agrees(0).unwrap(), Some(true));
        let mut sums = vec![RowDigest::default(); manifest.tables.len()];
        for member in &manifest.members {
            reader.text(member).unwrap();
        }
        for (_, member, block) in reader.row_members() {
            let text = reader.text(member).unwrap();
            let (_, rows) = BackupReader::split_rows(&text, block).unwrap();
            manifest.row_hasher().add_lines(&mut sums[block.table as usize], rows);
        }
        for (table, sum) in manifest.tables.iter().zip(sums) {
            if let TableRows::Included { digest, .. } = &table.rows {
                assert_eq!(*digest, sum, "{}", table.display_name());
            }
        }
        codecs.push(manifest.codec);
    }
    assert_eq!(codecs, [Codec::Gzip, Codec::Zstd]);
}

#[test]
fn no_sealed_archive_is_missing_or_unknown() {
    let (store, _) = archives();
    let names: BTreeSet<String> = store
        .list("")
        .unwrap()
        .iter()
        .map(|object| object.key.to_string())
        .collect();
    let of = |id: &str, pack: &str| {
        let names = [pack, &format!("{pack}.sha256"), "manifest.json", "index.json.gz.age"];
        names.map(|name| format!("{id}_backup_20250116_143022.{name}"))
    };
    let expected = [of("gzip", "sql.gz.age"), of("zstd", "sql.zst.age")].concat();
    assert_eq!(names, BTreeSet::from_iter(expected));
}
