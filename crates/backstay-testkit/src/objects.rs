//! Writing, reading and naming the objects of a store, for tests that look at what it says.
#![expect(clippy::missing_panics_doc, reason = "what a test did not mean to happen ends it")]

use std::io::{self, Read as _};

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ObjectMeta, Store};

/// A key, which must be one.
#[must_use]
#[track_caller]
pub fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

/// Writes an object in one piece.
///
/// # Errors
/// Those of the store.
pub fn put(store: &dyn Store, name: &str, bytes: &[u8]) -> Result<ObjectMeta, Error> {
    let mut writer = store.create(&key(name))?;
    writer.append(bytes)?;
    writer.publish()
}

/// Reads all of an object that can be opened.
///
/// # Errors
/// Those of its reader.
#[track_caller]
pub fn read(store: &dyn Store, name: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    store.read(&key(name), None).unwrap().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The names of all objects, as they are listed.
#[must_use]
#[track_caller]
pub fn names(store: &dyn Store) -> Vec<String> {
    let listed = store.list("").unwrap();
    listed.into_iter().map(|meta| meta.key.to_string()).collect()
}

/// Bytes that no two places share for long, so that a shifted or swapped piece shows.
#[must_use]
pub fn noise(count: usize) -> Vec<u8> {
    seeded_noise(count, 7)
}

/// The same, other bytes for each seed.
pub(crate) fn seeded_noise(count: usize, seed: u64) -> Vec<u8> {
    // A linear congruential generator with the constants of Knuth's MMIX.
    let mut state = seed;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// The causes of an error, in one line.
#[must_use]
pub fn causes(error: &Error) -> String {
    let first: &dyn std::error::Error = error;
    let chain = std::iter::successors(Some(first), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
