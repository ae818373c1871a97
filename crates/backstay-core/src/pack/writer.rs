use crate::codec::{Codec, EncodedMember};
use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::store::{Error, ObjectMeta, ObjectWriter};

use super::Trailer;

/// Writes members one after another into an object and knows the digest of the whole.
#[must_use = "a pack that is not published is discarded"]
pub struct PackWriter {
    object: Box<dyn ObjectWriter>,
    hasher: Sha256Hasher,
    bytes: u64,
    codec: Codec,
}

/// A pack that was published.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct FinishedPack {
    /// What the store says of it.
    pub meta: ObjectMeta,
    /// SHA-256 of all its bytes.
    pub sha256: Sha256Digest,
    /// Its length in bytes as it was written.
    pub bytes: u64,
}

impl PackWriter {
    /// Begins a pack in a new object.
    pub fn new(object: Box<dyn ObjectWriter>, codec: Codec) -> Self {
        Self {
            object,
            hasher: Sha256Hasher::new(),
            bytes: 0,
            codec,
        }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a member and gives its offset.
    ///
    /// # Errors
    /// Those of the store; the writer is spent then.
    pub fn append(&mut self, member: &EncodedMember) -> Result<u64, Error> {
        let offset = self.bytes;
        self.append_bytes(&member.stored)?;
        Ok(offset)
    }

    /// Adds the manifest member and the trailer and publishes the pack.
    ///
    /// # Errors
    /// Those of the store; then nothing was published, unless the store lost its answer.
    pub fn finish(mut self, manifest: &EncodedMember) -> Result<FinishedPack, Error> {
        self.append_bytes(&manifest.stored)?;
        let trailer = Trailer {
            codec: self.codec,
            manifest_stored_bytes: manifest.stored.len() as u64,
            manifest_text_bytes: manifest.text_bytes,
            manifest_sha256: manifest.sha256,
        };
        self.append_bytes(&trailer.encode())?;
        let meta = self.object.publish()?;
        Ok(FinishedPack {
            meta,
            sha256: self.hasher.finish(),
            bytes: self.bytes,
        })
    }

    fn append_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.object.append(bytes)?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}
