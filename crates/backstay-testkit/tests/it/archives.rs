//! Backups in clear of every format version that ever was, in `testdata/archives`, read as a store and pack by pack.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backstay_core::manifest::{FORMAT_VERSION, Manifest, PackId, TableRows};
use backstay_core::repository::{BackupReader, checksum_name, parse_checksums};
use backstay_core::store::{MemoryStore, Store};
use backstay_core::{Codec, Repository, RowDigest, Sha256Digest};

use crate::key;

/// The folders with backups in clear. Version 2 brought volumes, and sealed backups, which the tests of
/// `backstay-encryption` read.
const IN_CLEAR: [&str; 2] = ["v1", "v2-volumes"];

fn archives() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/archives")).to_owned()
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// A store that holds the files of one folder.
fn store_of(folder: &str) -> Arc<dyn Store> {
    let folder = archives().join(folder);
    let store = MemoryStore::new();
    for name in names_in(&folder) {
        let mut writer = store.create(&key(&name)).unwrap();
        writer.append(&fs::read(folder.join(&name)).unwrap()).unwrap();
        writer.publish().unwrap();
    }
    Arc::new(store)
}

/// Reads all members and counts the rows again.
#[track_caller]
fn assert_reads_whole(reader: &BackupReader) {
    let manifest = reader.manifest();
    let mut sums = vec![(RowDigest::default(), 0); manifest.tables.len()];
    for member in &manifest.members {
        reader.text(member).unwrap();
    }
    for (_, member, block) in reader.row_members() {
        let text = reader.text(member).unwrap();
        let (statement, rows) = BackupReader::split_rows(&text, block).unwrap();
        assert!(statement.starts_with(b"COPY "));
        let mut digest = RowDigest::default();
        digest.add_lines(rows);
        assert_eq!(digest, block.digest);
        let (sum, bytes) = &mut sums[block.table as usize];
        sum.merge(&digest);
        *bytes += rows.len() as u64;
    }
    for (table, (digest, text_bytes)) in manifest.tables.iter().zip(sums) {
        match &table.rows {
            TableRows::Excluded { .. } => assert_eq!(text_bytes, 0, "{}", table.display_name()),
            rows @ TableRows::Included { .. } => assert_eq!(
                *rows,
                TableRows::Included { digest, text_bytes },
                "{}",
                table.display_name()
            ),
        }
    }
    for entry in &manifest.entries {
        for span in [entry.definition, entry.owner_statement].into_iter().flatten() {
            let text = reader.text(&manifest.members[span.member as usize]).unwrap();
            let sql = reader.span(&text, span).unwrap();
            assert!(sql.ends_with(b";\n\n"), "{}: {}", entry.name, sql.escape_ascii());
        }
    }
}

/// What has to be in the sample of every version.
#[track_caller]
fn assert_is_the_sample(manifest: &Manifest) {
    assert_eq!(manifest.source.database.as_bytes(), b"kulti");
    assert_eq!((manifest.row_count(), manifest.text_bytes()), (15, 123));
    assert!(manifest.tables.len() >= 8 && manifest.entries.len() >= 18);
    assert_eq!(manifest.large_objects.as_ref().map(|objects| objects.count), Some(2));
}

#[test]
fn archives_of_every_version_and_codec_are_read() {
    for folder in IN_CLEAR {
        let store = store_of(folder);
        let repository = Repository::new(Arc::clone(&store));
        let listing = repository.list().unwrap();
        assert!(listing.adoptable.is_empty());
        let mut codecs = Vec::new();
        for backup in &listing.backups {
            let is_cut = folder.ends_with("-volumes");
            assert!(
                backup.has_checksum && is_cut == (backup.packs.len() > 1),
                "{}",
                backup.id
            );
            let reader = repository.open(&backup.id).unwrap();
            assert_is_the_sample(reader.manifest());
            assert_reads_whole(&reader);
            for pack in 0..backup.packs.len() {
                assert_eq!(reader.pack_digest_agrees(pack).unwrap(), Some(true));
            }

            let alone = BackupReader::open_pack(&repository, backup.packs.last().unwrap()).unwrap();
            assert_reads_whole(&alone);
            let mut within = alone.manifest().clone();
            within.packs.pop();
            within.packs.extend(reader.manifest().packs.last().cloned());
            assert_eq!(within, *reader.manifest(), "{}", backup.id);
            codecs.push(reader.manifest().codec);
        }
        assert_eq!(codecs, [Codec::Gzip, Codec::Zstd], "{folder}");
    }
}

#[test]
fn no_archive_is_missing_or_unknown() {
    let versions = (1..=FORMAT_VERSION).map(|version| format!("v{version}"));
    let expected: BTreeSet<String> = versions
        .chain(["README.md".to_owned(), "v2-volumes".to_owned()])
        .collect();
    assert_eq!(names_in(&archives()), expected);
    for folder in IN_CLEAR {
        let store = store_of(folder);
        let names = names_in(&archives().join(folder));
        let repository = Repository::new(Arc::clone(&store));
        let mut expected = BTreeSet::new();
        for backup in repository.list().unwrap().backups {
            let manifest = repository.read_manifest(&backup.id).unwrap();
            let checksum = checksum_name(&manifest.packs[0].name);
            let sums = fs::read_to_string(archives().join(folder).join(&checksum)).unwrap();
            let mut lines = Vec::new();
            for pack in &manifest.packs {
                let stored = fs::read(archives().join(folder).join(&pack.name)).unwrap();
                let digest = Sha256Digest::of(&stored);
                assert_eq!(pack.id, PackId::Sha256(digest));
                lines.push((digest, pack.name.clone()));
                expected.insert(pack.name.clone());
            }
            assert_eq!(parse_checksums(&sums), Some(lines));
            expected.extend([format!("{}.manifest.json", backup.id), checksum]);
        }
        assert_eq!(names, expected, "{folder}");
    }
}
