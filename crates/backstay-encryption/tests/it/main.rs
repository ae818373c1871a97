//! What is sealed is opened by those it is for and by nobody else, and every change of it is told.

mod archives;
mod damage;
#[cfg(feature = "openpgp")]
mod gpg;
mod programs;
mod ranges;
mod whom;

use std::io::Read as _;
use std::sync::Arc;

use backstay_core::ObjectKey;
use backstay_core::seal::{SealError, SealedObject, Sealer, Unsealed, Unsealer as _};
use backstay_core::store::{MemoryStore, Store};
use backstay_encryption::{AgeSealer, Identities, SecretKey};

/// Seals bytes given in pieces of that length.
fn sealed(sealer: &dyn Sealer, bytes: &[u8], piece: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut sealing = sealer.begin().unwrap();
    for piece in bytes.chunks(piece) {
        sealing.seal(piece, &mut out).unwrap();
    }
    sealing.finish(&mut out).unwrap();
    out
}

fn object(stored: &[u8]) -> SealedObject {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let key: ObjectKey = "x.sql.gz.age".parse().unwrap();
    let mut writer = store.create(&key).unwrap();
    writer.append(stored).unwrap();
    writer.publish().unwrap();
    SealedObject::new(store, &key).unwrap()
}

fn open(stored: &[u8], identities: &Identities) -> Result<Arc<dyn Unsealed>, SealError> {
    identities.open(object(stored))
}

fn read(unsealed: &dyn Unsealed, range: std::ops::Range<u64>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    unsealed
        .read(range)
        .map_err(std::io::Error::other)?
        .read_to_end(&mut bytes)
        .map(|_| bytes)
}

/// All of it.
fn read_all(stored: &[u8], identities: &Identities) -> Result<Vec<u8>, SealError> {
    let unsealed = open(stored, identities)?;
    read(&*unsealed, 0..unsealed.bytes()).map_err(SealError::Io)
}

/// A key, a sealer to it, and what opens it.
fn pair() -> (AgeSealer, Identities) {
    let key = SecretKey::generate();
    let mut identities = Identities::new();
    identities.add_key(&key);
    (AgeSealer::to_keys([key.recipient()]).unwrap(), identities)
}

/// Bytes of which no two pieces are alike.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index / 251 + index % 251) as u8).collect()
}
