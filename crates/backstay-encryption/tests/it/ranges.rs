use std::sync::Arc;

use backstay_core::ObjectKey;
use backstay_core::seal::{ClearStore, Sealer as _};
use backstay_core::store::{ErrorKind, MemoryStore, Store};
use backstay_testkit::{Recording, Verb};
use proptest::prelude::*;

use crate::{bytes, open, pair, read, sealed};

const PIECE: usize = 64 << 10;

#[test]
fn every_range_around_the_borders_of_pieces_is_read() {
    let (sealer, identities) = pair();
    for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 7] {
        let plain = bytes(length);
        let unsealed = open(&sealed(&sealer, &plain, 1000), &identities).unwrap();
        assert_eq!(unsealed.bytes(), length as u64);
        let mut borders: Vec<usize> = [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE, length]
            .into_iter()
            .filter(|at| *at <= length)
            .collect();
        borders.sort_unstable();
        for (nth, start) in borders.iter().enumerate() {
            for end in &borders[nth..] {
                let found = read(&*unsealed, *start as u64..*end as u64).unwrap();
                assert!(found == plain[*start..*end], "{length}: {start}..{end}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_range_of_any_length_is_read(length in 0usize..400_000, piece in 1usize..200_000, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
        let (sealer, identities) = pair();
        let plain = bytes(length);
        let unsealed = open(&sealed(&sealer, &plain, piece), &identities).unwrap();
        let (a, b) = (a.index(length + 1), b.index(length + 1));
        let (start, end) = (a.min(b), a.max(b));
        prop_assert_eq!(read(&*unsealed, start as u64..end as u64).unwrap(), &plain[start..end]);
    }
}

#[test]
fn a_range_is_fetched_once_and_little_more_than_it() {
    let (sealer, identities) = pair();
    let plain = bytes(4 << 20);
    let stored = sealed(&sealer, &plain, 1 << 20);
    let recording = Arc::new(Recording::new(MemoryStore::new()));
    let key: ObjectKey = "x.sql.gz.age".parse().unwrap();
    let mut writer = recording.create(&key).unwrap();
    writer.append(&stored).unwrap();
    writer.publish().unwrap();
    let clear = ClearStore::new(recording.clone(), Arc::new(identities));

    assert_eq!(clear.head(&key).unwrap().size, plain.len() as u64);
    recording.clear();
    for (start, end) in [
        (1_000_000u64, 2_000_000u64),
        (3 * 65536, 3 * 65536 + 10),
        (0, 100),
        (4_000_000, 4 << 20),
    ] {
        let mut found = Vec::new();
        clear
            .read(&key, Some(start..end))
            .unwrap()
            .read_to_end(&mut found)
            .unwrap();
        assert!(found == plain[start as usize..end as usize], "{start}..{end}");
        let reads = recording.calls_of(Verb::Read);
        assert!(reads <= 1, "{start}..{end}: {reads} reads");
        recording.clear();
    }
    let refused = clear.read(&key, Some(0..(4 << 20) + 1)).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::OutOfRange);
}

#[test]
fn the_length_of_what_is_stored_is_known_before() {
    let (sealer, _) = pair();
    for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 7] {
        let mut sealing = sealer.begin().unwrap();
        let foretold = sealing.stored_bytes(length as u64);
        let mut stored = Vec::new();
        for piece in bytes(length).chunks(1000) {
            sealing.seal(piece, &mut stored).unwrap();
            assert_eq!(sealing.stored_bytes(length as u64), foretold);
        }
        sealing.finish(&mut stored).unwrap();
        assert_eq!(stored.len() as u64, foretold, "{length}");
    }
}
