use std::io;
use std::sync::Arc;

use backstay_core::ObjectKey;
use backstay_core::seal::{SealError, SealedObject, Unsealer as _};
use backstay_core::store::{ErrorKind, MemoryStore, Store as _};
use backstay_encryption::Identities;
use backstay_testkit::{Fault, Faulty, Verb, When};

use crate::{bytes, open, pair, read, read_all, sealed};

const PIECE: usize = 64 << 10;
const TAG: usize = 16;

/// Where the payload begins, behind header and nonce.
fn payload(stored: &[u8], plain: usize) -> usize {
    let pieces = plain.div_ceil(PIECE).max(1);
    stored.len() - plain - pieces * TAG
}

#[test]
fn an_object_cut_off_at_any_byte_does_not_open() {
    let (sealer, identities) = pair();
    let plain = bytes(2 * PIECE);
    let stored = sealed(&sealer, &plain, PIECE);
    let start = payload(&stored, plain.len());
    // All of the header; of the payload, around the borders of pieces and some between.
    let between = (start..stored.len()).step_by(977);
    let borders = [1, 2].map(|piece| start + piece * (PIECE + TAG));
    let around = borders
        .into_iter()
        .flat_map(|at| at.saturating_sub(40)..(at + 40).min(stored.len()));
    for end in (0..start + 40).chain(between).chain(around) {
        assert!(
            open(&stored[..end], &identities).is_err(),
            "cut off at {end} of {}",
            stored.len()
        );
    }
    assert!(read_all(&stored, &identities).unwrap() == plain);
}

#[test]
fn something_behind_the_end_does_not_open() {
    let (sealer, identities) = pair();
    let plain = bytes(1000);
    let stored = sealed(&sealer, &plain, 1000);
    for more in [1, TAG, PIECE, PIECE + TAG, 2 * (PIECE + TAG)] {
        let longer = [stored.clone(), vec![0; more]].concat();
        assert!(read_all(&longer, &identities).is_err(), "{more}");
    }
}

#[test]
fn any_flipped_bit_is_told_and_no_wrong_byte_is_given() {
    let (sealer, identities) = pair();
    let plain = bytes(PIECE + 100);
    let stored = sealed(&sealer, &plain, PIECE);
    let start = payload(&stored, plain.len());
    for at in (0..start).chain((start..stored.len()).step_by(499)) {
        let mut damaged = stored.clone();
        damaged[at] ^= 1 << (at % 8);
        // The library puts a stanza that nobody knows into each header, which is covered by the header's MAC as well.
        assert!(
            read_all(&damaged, &identities).is_err(),
            "a bit of byte {at} (payload from {start})"
        );
    }
}

#[test]
fn pieces_that_were_moved_or_taken_from_another_object_are_told() {
    let (sealer, identities) = pair();
    let plain = bytes(4 * PIECE);
    let stored = sealed(&sealer, &plain, PIECE);
    let start = payload(&stored, plain.len());
    let piece = |n: usize| start + n * (PIECE + TAG)..start + (n + 1) * (PIECE + TAG);

    let mut swapped = stored.clone();
    let (first, second) = (stored[piece(0)].to_vec(), stored[piece(1)].to_vec());
    swapped[piece(0)].copy_from_slice(&second);
    swapped[piece(1)].copy_from_slice(&first);
    let mut repeated = stored.clone();
    repeated[piece(1)].copy_from_slice(&first);
    let without = [&stored[..piece(1).start], &stored[piece(1).end..]].concat();
    let other = sealed(&sealer, &plain, PIECE);
    let mut replayed = stored.clone();
    let from = payload(&other, plain.len());
    replayed[piece(2)].copy_from_slice(&other[from + 2 * (PIECE + TAG)..from + 3 * (PIECE + TAG)]);

    for (what, damaged) in [
        ("swapped", swapped),
        ("repeated", repeated),
        ("left out", without),
        ("replayed", replayed),
    ] {
        assert!(read_all(&damaged, &identities).is_err(), "{what}");
        // Nor when a range is read that begins in such a piece.
        if let Ok(unsealed) = open(&damaged, &identities) {
            let within = (PIECE + 5) as u64..(2 * PIECE + 10) as u64;
            assert!(read(&*unsealed, within).is_err(), "{what}, a range");
        }
    }
}

/// Opens it in a store that fails, and reads all of it and a part.
fn try_in(name: &str, stored: &[u8], identities: &Identities, when: When, fault: Fault) -> Result<(), String> {
    let store = MemoryStore::new();
    let key: ObjectKey = name.parse().unwrap();
    let mut writer = store.create(&key).unwrap();
    writer.append(stored).unwrap();
    writer.publish().unwrap();
    let faulty = Faulty::new(store).with_fault(when, fault);
    let object = SealedObject::new(Arc::new(faulty), &key).unwrap();
    let unsealed = identities.open(object).map_err(|error| match error {
        SealError::Store(_) | SealError::Io(_) => String::new(),
        other => format!("taken for something else: {other:?}"),
    })?;
    for range in [0..unsealed.bytes(), 1..unsealed.bytes() - 1] {
        read(&*unsealed, range).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => format!("taken for damage: {error:?}"),
            _ => String::new(),
        })?;
    }
    Ok(())
}

#[test]
fn a_failure_of_the_store_is_neither_damage_nor_a_wrong_key() {
    let (sealer, mut identities) = pair();
    let plain = bytes(3 * PIECE + 100);
    let mut objects = vec![("x.sql.gz.age", sealed(&sealer, &plain, PIECE))];
    #[cfg(feature = "openpgp")]
    {
        let passphrase = || backstay_encryption::Passphrase::new("correct horse battery staple".to_owned()).unwrap();
        let sealer = backstay_encryption::OpenPgpSealer::new(passphrase());
        objects.push(("x.sql.gz.gpg", sealed(&sealer, &plain, PIECE)));
        identities.add_passphrase(&passphrase());
    }
    for (name, stored) in objects {
        let mut failed = 0;
        for nth in 1..=6 {
            let at = [0, 1, 40, 300, PIECE as u64, 2 * PIECE as u64 + 17];
            let breaks = at.map(Fault::BreakAt);
            for fault in breaks.into_iter().chain([Fault::Error(ErrorKind::Transient)]) {
                match try_in(name, &stored, &identities, When::nth(Verb::Read, nth), fault) {
                    Ok(()) => {}
                    Err(wrong) => {
                        assert_eq!(wrong, "", "read {nth}: {fault:?}");
                        failed += 1;
                    }
                }
            }
        }
        assert!(failed >= 7, "{name}: {failed} failures");
    }
}
