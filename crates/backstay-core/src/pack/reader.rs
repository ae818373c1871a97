use std::io::Read;
use std::ops::Range;

use crate::codec::{Codec, CodecError, decode_member};
use crate::digest::Sha256Digest;
use crate::manifest::{
    Inconsistency, MANIFEST_TEXT_BYTES_MAX, Manifest, ManifestError, Member, Pack, PackId, manifest_from_member,
};
use crate::store::{Error, ErrorKind, ObjectKey, Store};

use super::{TRAILER_BYTES_MAX, Trailer, TrailerError, VolumeName};

/// A pack opened by itself, without its sidecars.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct OpenPack {
    /// The manifest that the pack ends with; its own pack is called `self` and has the name and size found here.
    pub manifest: Manifest,
    /// Length of the pack in bytes.
    pub bytes: u64,
    /// Where the manifest member begins.
    pub manifest_offset: u64,
}

/// Opens a pack by its name alone: reads trailer and manifest, and checks that the members fill the rest of the file.
///
/// Rows are not read yet; that every byte is right shows only when each member is read with [`read_member`].
///
/// # Errors
/// The store fails; the file does not end with a whole trailer; the manifest is not what the trailer says, or is
/// refused, or does not account for every byte of the file.
pub fn open_pack(store: &dyn Store, key: &ObjectKey) -> Result<OpenPack, PackError> {
    let bytes = store.head(key)?.size;
    let end = read_range(store, key, bytes.saturating_sub(TRAILER_BYTES_MAX)..bytes)?;
    let trailer = Trailer::decode(&end)?;
    let stored = trailer.manifest_stored_bytes;
    let manifest_end = bytes - Trailer::bytes(trailer.codec);
    let too_long = stored > manifest_end || stored.max(trailer.manifest_text_bytes) > MANIFEST_TEXT_BYTES_MAX;
    if too_long {
        return Err(PackError::Trailer(TrailerError::Damaged));
    }
    let manifest_offset = manifest_end - stored;
    let member = read_range(store, key, manifest_offset..manifest_end)?;
    if Sha256Digest::of(&member) != trailer.manifest_sha256 {
        return Err(PackError::ManifestDigest);
    }
    let text = decode_member(trailer.codec, &member, trailer.manifest_text_bytes)?;
    let mut manifest = manifest_from_member(&text)?;
    if manifest.codec != trailer.codec {
        return Err(PackError::OtherCodec {
            pack: trailer.codec,
            manifest: manifest.codec,
        });
    }
    manifest.check_tiling(manifest_offset)?;
    if let Some(own) = manifest.packs.iter().position(|pack| pack.id == PackId::Own) {
        // A file may have been renamed since; what was opened is what is meant.
        rename_volumes(&mut manifest.packs, own, key);
        key.as_str().clone_into(&mut manifest.packs[own].name);
        manifest.packs[own].bytes = bytes;
    }
    Ok(OpenPack {
        manifest,
        bytes,
        manifest_offset,
    })
}

/// Gives the volumes before the own one the names that they have beside it, where it bears another than it was written
/// under.
fn rename_volumes(packs: &mut [Pack], own: usize, key: &ObjectKey) {
    let written = packs[own].name.clone();
    let (Some(written), Some(found)) = (VolumeName::of(&written), VolumeName::of(key.as_str())) else {
        return;
    };
    for pack in packs {
        let number = VolumeName::of(&pack.name)
            .filter(|volume| volume.is_beside(&written))
            .map(|volume| volume.number());
        if let Some(number) = number {
            pack.name = found.numbered(number).to_string();
        }
    }
}

/// Reads one member out of its pack, checks its digest, and decompresses it.
///
/// # Errors
/// The store fails; the bytes are not those that the manifest names; they do not decompress to the recorded length.
pub fn read_member(
    store: &dyn Store,
    pack: &ObjectKey,
    manifest: &Manifest,
    member: &Member,
) -> Result<Vec<u8>, PackError> {
    let end = member
        .offset
        .checked_add(member.stored_bytes)
        .ok_or(PackError::MemberDigest)?;
    let stored = read_range(store, pack, member.offset..end)?;
    if manifest.member_digest(&stored) != member.sha256 {
        return Err(PackError::MemberDigest);
    }
    Ok(decode_member(manifest.codec, &stored, member.text_bytes)?)
}

/// Reads a range of an object into memory; memory grows with what arrives, not with what was asked for.
fn read_range(store: &dyn Store, key: &ObjectKey, range: Range<u64>) -> Result<Vec<u8>, Error> {
    let length = range.end - range.start;
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(16 << 20)).unwrap_or(0));
    let reader = store.read(key, Some(range))?;
    reader
        .take(length)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io("read", key.as_str(), e))?;
    if bytes.len() as u64 == length {
        Ok(bytes)
    } else {
        Err(Error::new(ErrorKind::OutOfRange, "read", key.as_str()))
    }
}

/// Reads an object whose size is known.
pub(crate) fn read_whole(store: &dyn Store, key: &ObjectKey, size: u64) -> Result<Vec<u8>, Error> {
    read_range(store, key, 0..size)
}

/// Why a pack or a member could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] Error),
    /// The file's end is not a trailer.
    #[error(transparent)]
    Trailer(#[from] TrailerError),
    /// The manifest member's bytes are not those that the trailer names.
    #[error("the manifest in the pack is damaged: its SHA-256 differs")]
    ManifestDigest,
    /// The manifest is refused.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The members do not fill the file.
    #[error("the manifest does not account for the file")]
    Tiling(#[from] Inconsistency),
    /// The manifest speaks of another pack.
    #[error("the manifest is of a pack in {manifest}, and this one is in {pack}")]
    OtherCodec {
        /// How the pack ends.
        pack: Codec,
        /// What its manifest says.
        manifest: Codec,
    },
    /// A member's bytes are not those that the manifest names.
    #[error("the stored bytes are damaged: their SHA-256 differs")]
    MemberDigest,
    /// A member does not decompress.
    #[error(transparent)]
    Codec(#[from] CodecError),
}
