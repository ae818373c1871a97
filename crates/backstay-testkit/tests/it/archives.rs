//! Backups in clear of every format version that ever was, in `testdata/archives`, read as a store and pack by pack.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backstay_core::manifest::{FORMAT_VERSION, Manifest, PackId, TableRows};
use backstay_core::repository::{BackupReader, parse_checksums};
use backstay_core::store::{MemoryStore, Store};
use backstay_core::{Codec, Repository, RowDigest, Sha256Digest};

use crate::key;

/// The versions that have backups in clear of their own; 2 brought sealed ones, which the tests of `backstay-encryption`
/// read.
const IN_CLEAR: [u32; 1] = [1];

fn archives() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/archives")).to_owned()
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// A store that holds the files of one version.
fn store_of(version: u32) -> Arc<dyn Store> {
    let folder = archives().join(format!("v{version}"));
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
    for version in IN_CLEAR {
        let store = store_of(version);
        let repository = Repository::new(Arc::clone(&store));
        let listing = repository.list().unwrap();
        assert!(listing.adoptable.is_empty());
        let mut codecs = Vec::new();
        for backup in &listing.backups {
            assert!(backup.has_checksum && backup.packs.len() == 1, "{}", backup.id);
            let reader = repository.open(&backup.id).unwrap();
            assert_is_the_sample(reader.manifest());
            assert_reads_whole(&reader);
            assert_eq!(reader.pack_digest_agrees(0).unwrap(), Some(true));

            let alone = BackupReader::open_pack(&repository, &backup.packs[0]).unwrap();
            assert_reads_whole(&alone);
            let mut within = alone.manifest().clone();
            within.packs[0].id = reader.manifest().packs[0].id;
            assert_eq!(within, *reader.manifest(), "{}", backup.id);
            codecs.push(reader.manifest().codec);
        }
        assert_eq!(codecs, [Codec::Gzip, Codec::Zstd], "version {version}");
    }
}

#[test]
fn no_archive_is_missing_or_unknown() {
    let versions = (1..=FORMAT_VERSION).map(|version| format!("v{version}"));
    let expected: BTreeSet<String> = versions.chain(["README.md".to_owned()]).collect();
    assert_eq!(names_in(&archives()), expected);
    for version in IN_CLEAR {
        let store = store_of(version);
        let names = names_in(&archives().join(format!("v{version}")));
        let repository = Repository::new(Arc::clone(&store));
        let mut expected = BTreeSet::new();
        for backup in repository.list().unwrap().backups {
            let pack = backup.packs[0].to_string();
            let sums = fs::read_to_string(archives().join(format!("v{version}/{pack}.sha256"))).unwrap();
            let stored = fs::read(archives().join(format!("v{version}/{pack}"))).unwrap();
            let digest = Sha256Digest::of(&stored);
            assert_eq!(parse_checksums(&sums), Some(vec![(digest, pack.clone())]));
            let manifest = repository.read_manifest(&backup.id).unwrap();
            assert_eq!(manifest.packs[0].id, PackId::Sha256(digest));
            expected.extend([format!("{}.manifest.json", backup.id), format!("{pack}.sha256"), pack]);
        }
        assert_eq!(names, expected, "version {version}");
    }
}
