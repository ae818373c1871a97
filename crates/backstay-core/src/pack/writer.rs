use crate::codec::{Codec, EncodedMember};
use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::seal::{SealError, Sealing};
use crate::store::{Error, ObjectWriter};

use super::Trailer;

/// Writes members one after another into an object and knows the digest of the whole.
#[must_use = "a pack that is not published is discarded"]
pub struct PackWriter {
    object: Box<dyn ObjectWriter>,
    sealing: Option<Box<dyn Sealing>>,
    sealed: Vec<u8>,
    /// Of what is stored.
    hasher: Sha256Hasher,
    stored_bytes: u64,
    bytes: u64,
    codec: Codec,
}

/// Why a pack could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WritePackError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// It could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// A pack that was published.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct FinishedPack {
    /// SHA-256 of all its stored bytes.
    pub sha256: Sha256Digest,
    /// Its length in the store, in bytes, as it was written.
    pub bytes: u64,
}

impl PackWriter {
    /// Begins a pack in a new object, sealed or in clear.
    pub fn new(object: Box<dyn ObjectWriter>, codec: Codec, sealing: Option<Box<dyn Sealing>>) -> Self {
        Self {
            object,
            sealing,
            sealed: Vec::new(),
            stored_bytes: 0,
            hasher: Sha256Hasher::new(),
            bytes: 0,
            codec,
        }
    }

    /// Bytes written so far, before they were sealed: the offset of the next member.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How long the object would be in the store if it ended behind so many bytes more.
    #[must_use]
    pub fn stored_bytes_with(&self, more: u64) -> u64 {
        let bytes = self.bytes.saturating_add(more);
        self.sealing
            .as_ref()
            .map_or(bytes, |sealing| sealing.stored_bytes(bytes))
    }

    /// Adds a member and gives its offset.
    ///
    /// # Errors
    /// Those of the store and of sealing; the writer is spent then.
    pub fn append(&mut self, member: &EncodedMember) -> Result<u64, WritePackError> {
        let offset = self.bytes;
        self.append_bytes(&member.stored)?;
        Ok(offset)
    }

    /// Adds the manifest member and the trailer and publishes the pack.
    ///
    /// # Errors
    /// Those of the store and of sealing; then nothing was published, unless the store lost its answer.
    pub fn finish(mut self, manifest: &EncodedMember) -> Result<FinishedPack, WritePackError> {
        self.append_bytes(&manifest.stored)?;
        let trailer = Trailer {
            codec: self.codec,
            manifest_stored_bytes: manifest.stored.len() as u64,
            manifest_text_bytes: manifest.text_bytes,
            manifest_sha256: manifest.sha256,
        };
        self.append_bytes(&trailer.encode())?;
        self.publish()
    }

    /// Publishes it as it is, as a volume that others follow.
    ///
    /// # Errors
    /// Those of the store and of sealing; then nothing was published, unless the store lost its answer.
    pub fn publish(mut self) -> Result<FinishedPack, WritePackError> {
        if let Some(sealing) = self.sealing.take() {
            let mut end = Vec::new();
            sealing.finish(&mut end)?;
            self.store(&end)?;
        }
        self.object.publish()?;
        Ok(FinishedPack {
            sha256: self.hasher.finish(),
            bytes: self.stored_bytes,
        })
    }

    fn append_bytes(&mut self, bytes: &[u8]) -> Result<(), WritePackError> {
        if let Some(sealing) = &mut self.sealing {
            let mut sealed = std::mem::take(&mut self.sealed);
            sealed.clear();
            sealing.seal(bytes, &mut sealed)?;
            self.store(&sealed)?;
            self.sealed = sealed;
        } else {
            self.store(bytes)?;
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn store(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.object.append(bytes)?;
        self.hasher.update(bytes);
        self.stored_bytes += bytes.len() as u64;
        Ok(())
    }
}
