use std::io::Read as _;
use std::sync::Arc;

use backstay_core::manifest::{
    MANIFEST_TEXT_BYTES_MAX, Pack, PackId, TableRows, manifest_from_member, manifest_member_text,
};
use backstay_core::pack::{PackError, PackWriter, Trailer, TrailerError, read_member};
use backstay_core::repository::{BackupReader, RepositoryError};
use backstay_core::store::{ErrorKind, MemoryStore, Store};
use backstay_core::{Codec, Compression, MemberEncoder, Repository, RowDigest, Sha256Digest, decode_member};
use proptest::prelude::*;

use super::{FIRST, id, key, put, sample};

/// The bytes of a written pack and its name.
fn pack(codec: Codec) -> (Vec<u8>, String) {
    let store = Arc::new(MemoryStore::new());
    let published = sample(FIRST, codec).publish(store.clone());
    let mut bytes = Vec::new();
    store
        .read(&published.pack, None)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    (bytes, published.pack.to_string())
}

/// Opens a store's only object as a pack and reads all its members.
fn read_alone(name: &str, bytes: &[u8]) -> Result<BackupReader, RepositoryError> {
    let store = MemoryStore::new();
    put(&store, name, bytes);
    let reader = BackupReader::open_pack(&Repository::new(Arc::new(store)), &key(name))?;
    for member in &reader.manifest().members {
        reader.text(member)?;
    }
    Ok(reader)
}

#[test]
fn a_pack_reads_alone_under_any_name() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let (bytes, name) = pack(codec);
        for name in [name.as_str(), "renamed.sql.gz", "a folder/and no ending"] {
            let reader = read_alone(name, &bytes).unwrap();
            let manifest = reader.manifest();
            assert_eq!(manifest.id, id(FIRST));
            assert_eq!(manifest.packs.len(), 1);
            assert_eq!(
                (manifest.packs[0].id, manifest.packs[0].bytes),
                (PackId::Own, bytes.len() as u64)
            );
            assert_eq!(reader.pack_of(&manifest.members[0]), key(name));
            assert_eq!(reader.pack_digest_agrees(0).unwrap(), None);
            for (_, member, block) in reader.row_members() {
                let text = reader.text(member).unwrap();
                let (_, rows) = BackupReader::split_rows(&text, block).unwrap();
                let mut digest = RowDigest::default();
                digest.add_lines(rows);
                assert_eq!(digest, block.digest);
            }
        }
    }
}

#[test]
fn the_manifests_in_the_pack_and_beside_it_are_one() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let store = Arc::new(MemoryStore::new());
        let published = sample(FIRST, codec).publish(store.clone());
        let beside = Repository::new(store.clone()).read_manifest(&id(FIRST)).unwrap();
        let mut within = BackupReader::open_pack(&Repository::new(store), &published.pack)
            .unwrap()
            .manifest()
            .clone();
        within.packs[0].id = PackId::Sha256(published.sha256);
        assert_eq!(within, beside);
        assert_eq!(beside, published.manifest);
    }
}

#[test]
fn what_is_no_pack_is_refused() {
    let (gzip, _) = pack(Codec::Gzip);
    let missing = |error: &PackError| matches!(error, PackError::Trailer(TrailerError::Missing));
    let mut other_text = MemberEncoder::new(Compression::default()).unwrap();
    let no_pack = other_text.encode(b"SELECT 1;\n").unwrap().stored;
    for (what, bytes) in [
        ("empty", &b""[..]),
        ("text", b"-- PostgreSQL database dump\n"),
        ("a gzip file", &no_pack),
        ("zeros", &[0; 4096]),
        ("a pack in another file's front", &[&gzip[..], &no_pack].concat()),
    ] {
        match read_alone("x.sql.gz", bytes) {
            Err(RepositoryError::Pack { key: found, source }) => {
                assert_eq!(found, key("x.sql.gz"));
                assert!(missing(&source), "{what}: {source:?}");
            }
            other => panic!("{what}: {other:?}"),
        }
    }
    let absent = BackupReader::open_pack(&Repository::new(Arc::new(MemoryStore::new())), &key("x")).unwrap_err();
    let RepositoryError::Pack {
        source: PackError::Store(error),
        ..
    } = absent
    else {
        panic!("{absent:?}");
    };
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_pack_behind_other_bytes_is_refused() {
    let (bytes, name) = pack(Codec::Zstd);
    for front in [&b"\0"[..], &bytes] {
        let error = read_alone(&name, &[front, &bytes].concat()).unwrap_err();
        let RepositoryError::Pack { source, .. } = &error else {
            panic!("{error:?}");
        };
        assert!(matches!(source, PackError::Tiling(_)), "{source:?}");
    }
}

#[test]
fn swapped_and_repeated_members_are_seen() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let (bytes, name) = pack(codec);
        let reader = read_alone(&name, &bytes).unwrap();
        let ranges: Vec<_> = reader
            .manifest()
            .members
            .iter()
            .map(|member| {
                let start = usize::try_from(member.offset).unwrap();
                start..start + usize::try_from(member.stored_bytes).unwrap()
            })
            .collect();
        for (index, first) in ranges.iter().enumerate() {
            for second in &ranges[index + 1..] {
                let (a, b) = (&bytes[first.clone()], &bytes[second.clone()]);
                let between = &bytes[first.end..second.start];
                let (front, end) = (&bytes[..first.start], &bytes[second.end..]);
                for changed in [
                    [front, b, between, a, end].concat(),
                    [front, a, between, a, end].concat(),
                    [front, a, between, b, a, end].concat(),
                    [front, between, b, end].concat(),
                ] {
                    assert!(
                        changed == bytes || read_alone(&name, &changed).is_err(),
                        "{first:?} {second:?}"
                    );
                }
            }
        }
    }
}

/// A pack of nothing but a manifest member of that text.
fn pack_of_manifest(text: &[u8], codec: Codec) -> Result<BackupReader, RepositoryError> {
    let store = Arc::new(MemoryStore::new());
    let name = key("x.sql.gz");
    let member = MemberEncoder::new(Compression::new(codec))
        .unwrap()
        .encode(text)
        .unwrap();
    let writer = PackWriter::new(store.create(&name).unwrap(), codec, None);
    writer.finish(&member).unwrap();
    BackupReader::open_pack(&Repository::new(store), &name)
}

#[test]
fn a_manifest_in_a_pack_must_be_of_that_pack_and_version() {
    let mut manifest = sample(FIRST, Codec::Gzip).manifest;
    for table in &mut manifest.tables {
        if let TableRows::Included { digest, text_bytes } = &mut table.rows {
            (*digest, *text_bytes) = (RowDigest::default(), 0);
        }
    }
    manifest.entries.clear();
    let text = String::from_utf8(manifest_member_text(&manifest)).unwrap();
    pack_of_manifest(text.as_bytes(), Codec::Gzip).unwrap();
    let newer = text.replacen("{\"format\":1,", "{\"format\":3,", 1);
    let check = |text: &str, codec, expected: &str| {
        let Err(RepositoryError::Pack { source, .. }) = pack_of_manifest(text.as_bytes(), codec) else {
            panic!("a pack with such a manifest can be opened: {expected}");
        };
        assert_eq!(source.to_string(), expected);
    };
    check(
        &newer,
        Codec::Gzip,
        "the manifest has format version 3, this program reads up to 2: use a newer Backstay",
    );
    check("-- x\n", Codec::Gzip, "the text is not a Backstay manifest");
    check(
        &text,
        Codec::Zstd,
        "the manifest is of a pack in gzip, and this one is in zstd",
    );
}

#[test]
fn the_manifest_in_a_pack_must_be_the_one_that_the_trailer_names() {
    let store = Arc::new(MemoryStore::new());
    let name = key("x.sql.gz");
    let text = manifest_member_text(&sample(FIRST, Codec::Gzip).manifest);
    let mut member = MemberEncoder::new(Compression::default())
        .unwrap()
        .encode(&text)
        .unwrap();
    // Another manifest, itself sound, as a hand could put it in the place of the first.
    member.sha256 = Sha256Digest::of(b"another");
    let writer = PackWriter::new(store.create(&name).unwrap(), Codec::Gzip, None);
    writer.finish(&member).unwrap();
    let refused = BackupReader::open_pack(&Repository::new(store), &name).unwrap_err();
    let RepositoryError::Pack { source, .. } = refused else {
        panic!("{refused:?}");
    };
    assert!(matches!(source, PackError::ManifestDigest), "{source:?}");
}

#[test]
fn a_trailer_that_promises_too_much_is_refused() {
    let (bytes, _) = pack(Codec::Zstd);
    let end = bytes.len() - usize::try_from(Trailer::bytes(Codec::Zstd)).unwrap();
    let sound = Trailer::decode(&bytes).unwrap();
    let refusal = |trailer: Trailer| {
        let changed = [&bytes[..end], &trailer.encode()].concat();
        match read_alone("x.sql.zst", &changed) {
            Err(RepositoryError::Pack { source, .. }) => source.to_string(),
            other => panic!("{other:?}"),
        }
    };
    for (stored, text) in [
        (end as u64 + 1, sound.manifest_text_bytes),
        (u64::MAX, sound.manifest_text_bytes),
        (sound.manifest_stored_bytes, MANIFEST_TEXT_BYTES_MAX + 1),
        (sound.manifest_stored_bytes, u64::MAX),
    ] {
        let trailer = Trailer {
            manifest_stored_bytes: stored,
            manifest_text_bytes: text,
            ..sound
        };
        assert_eq!(
            refusal(trailer),
            "the trailer at the end of the file is damaged",
            "{stored} {text}"
        );
    }
    // At the bound it is a question of what is there.
    let text_bytes = MANIFEST_TEXT_BYTES_MAX;
    let expected = format!(
        "the text has {} bytes where {text_bytes} were recorded",
        sound.manifest_text_bytes
    );
    let trailer = Trailer {
        manifest_text_bytes: text_bytes,
        ..sound
    };
    assert_eq!(refusal(trailer), expected);
}

#[test]
fn a_member_must_be_the_one_that_the_manifest_names() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let store = Arc::new(MemoryStore::new());
        let published = sample(FIRST, codec).publish(store.clone());
        let member = &published.manifest.members[3];
        read_member(&*store, &published.pack, &published.manifest, member).unwrap();
        // The bytes decompress, and are not those that were written.
        let mut other = member.clone();
        other.sha256 = Sha256Digest::of(b"another");
        let refused = read_member(&*store, &published.pack, &published.manifest, &other).unwrap_err();
        assert!(matches!(refused, PackError::MemberDigest), "{refused:?}");
    }
}

#[test]
fn the_embedded_manifest_calls_its_own_pack_self() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let (bytes, name) = pack(codec);
        let trailer = Trailer::decode(&bytes).unwrap();
        let end = bytes.len() - usize::try_from(Trailer::bytes(codec)).unwrap();
        let start = end - usize::try_from(trailer.manifest_stored_bytes).unwrap();
        let text = decode_member(codec, &bytes[start..end], trailer.manifest_text_bytes).unwrap();
        let own = Pack {
            id: PackId::Own,
            name,
            bytes: 0,
        };
        assert_eq!(manifest_from_member(&text).unwrap().packs, [own]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cut_flipped_or_longer_anywhere_is_seen(zstd: bool, place: prop::sample::Index, bit in 0..8u8, tail in prop::collection::vec(any::<u8>(), 1..90)) {
        let (bytes, name) = pack(if zstd { Codec::Zstd } else { Codec::Gzip });
        let at = place.index(bytes.len());
        prop_assert!(read_alone(&name, &bytes[..at]).is_err());
        prop_assert!(read_alone(&name, &bytes[at + 1..]).is_err());
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << bit;
        prop_assert!(read_alone(&name, &flipped).is_err());
        prop_assert!(read_alone(&name, &[&bytes[..], &tail].concat()).is_err());
        prop_assert!(read_alone(&name, &[&bytes[..at], &tail, &bytes[at..]].concat()).is_err());
    }
}
