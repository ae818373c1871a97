//! Members, packs, manifests, digests, codecs and the Store contract of Backstay.
//!
//! This crate does no I/O: it opens no file, socket or process and reads neither clock nor environment. It is a crate
//! of its own because its formats are the long-lived promise that all the others depend on.

mod codec;
mod digest;
mod id;
pub mod manifest;
pub mod pack;
pub mod repository;
pub mod retention;
pub mod script;
pub mod seal;
pub mod sql;
pub mod store;
mod tag;
mod text;

pub use codec::{
    Codec, CodecError, Compression, EncodedMember, InvalidCompression, MEMBER_TEXT_BYTES_MAX, MemberEncoder,
    decode_member,
};
pub use digest::{DigestKey, InvalidDigest, RowDigest, RowHasher, Sha256Digest, Sha256Hasher};
pub use id::{BackupId, InvalidBackupId, InvalidPrefix, Prefix};
pub use manifest::Manifest;
pub use repository::Repository;
pub use store::{InvalidObjectKey, ObjectKey};
pub use tag::{InvalidTag, Tag};
pub use text::DbText;
