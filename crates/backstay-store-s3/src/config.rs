use backstay_http::Retries;
use std::path::PathBuf;

use jiff::Timestamp;

/// What an [`S3Store`](crate::S3Store) is to be: where its bucket is, and how objects are written there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct S3Config {
    /// Name of the bucket, which must exist.
    pub bucket: String,
    /// What all keys begin with: nothing, or text that ends with `/`.
    pub prefix: String,
    /// Region that requests are signed for.
    pub region: String,
    /// `http://` or `https://`, host and port of another server than AWS's.
    pub endpoint: Option<String>,
    /// Where the bucket stands in a URL.
    pub addressing: Addressing,
    /// How the server is to encrypt objects; `None` leaves that to the bucket.
    pub encryption: Option<Encryption>,
    /// Storage class of objects, such as `STANDARD_IA`; `None` leaves that to the bucket.
    pub storage_class: Option<String>,
    /// What keeps objects from being deleted.
    pub lock: ObjectLock,
    /// Whether checksums are sent with what is uploaded.
    pub checksums: Checksums,
    /// Whether the server is trusted to refuse keys that exist.
    pub conditional_writes: ConditionalWrites,
    /// Lengths of the parts of large objects.
    pub parts: PartSizes,
    /// Bytes that the parts of one object may hold in memory while they are sent. One part is always sent, and one
    /// filled, however long they are.
    pub memory_bytes_max: u64,
    /// File with certificates (PEM) that are trusted instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// How often and how patiently something is tried.
    pub retries: Retries,
}

impl S3Config {
    /// The bucket of that name on AWS, in `us-east-1`, with the settings that are right for most.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: String::new(),
            region: "us-east-1".to_owned(),
            endpoint: None,
            addressing: Addressing::Automatic,
            encryption: None,
            storage_class: None,
            lock: ObjectLock::default(),
            checksums: Checksums::Automatic,
            conditional_writes: ConditionalWrites::Probed,
            parts: PartSizes::Growing,
            memory_bytes_max: 64 << 20,
            ca_file: None,
            retries: Retries::default(),
        }
    }
}

/// Where the bucket stands in a URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the protocol knows no third place")]
pub enum Addressing {
    /// In the host's name on AWS, in the path elsewhere and where the name has dots, which certificates do not cover.
    #[default]
    Automatic,
    /// In the path: `https://host/bucket/key`.
    Path,
    /// In the host's name: `https://bucket.host/key`.
    VirtualHost,
}

/// How the server encrypts objects. That it did is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encryption {
    /// With keys of the server's own (`AES256`).
    Aes256,
    /// With a key of KMS (`aws:kms`).
    Kms {
        /// Id or ARN of the key; `None` is the account's default.
        key: Option<String>,
    },
}

/// What keeps objects from being deleted. That it holds is read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectLock {
    /// A time until which they stay.
    pub retention: Option<Retention>,
    /// Whether they stay until the hold is released.
    pub legal_hold: LegalHold,
}

/// A time until which an object stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "both are needed, and there is no more")]
pub struct Retention {
    /// Who may shorten it.
    pub mode: LockMode,
    /// Until when.
    pub until: RetainUntil,
}

/// Who may shorten a retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "those of the protocol")]
pub enum LockMode {
    /// Whoever has the right to.
    Governance,
    /// Nobody.
    Compliance,
}

impl LockMode {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }
}

/// The end of a retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a date, or a distance from now")]
pub enum RetainUntil {
    /// That time.
    Date(Timestamp),
    /// So many days after an object is begun.
    Days(u32),
}

/// Whether objects are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum LegalHold {
    /// No.
    #[default]
    Off,
    /// Until the hold is released.
    On,
}

/// Whether checksums (`x-amz-checksum-sha256`) are sent with what is uploaded.
///
/// Whatever is chosen, the SHA-256 of what is sent is part of the signature, which most servers check too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "there is nothing between sending and not sending"
)]
pub enum Checksums {
    /// Yes, until the server refuses them.
    #[default]
    Automatic,
    /// Yes.
    Sent,
    /// No.
    Omitted,
}

/// Whether the server is trusted to refuse keys that exist (`If-None-Match: *`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "there is nothing between trusting and not trusting"
)]
pub enum ConditionalWrites {
    /// Tried once, before the first object is written. Costs three requests.
    #[default]
    Probed,
    /// Yes.
    Honoured,
    /// No: whether the key exists is asked before, which cannot decide a race.
    Ignored,
}

/// Lengths of the parts of large objects; the server takes 10,000 parts of at most 5 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartSizes {
    /// 8 MiB, doubled after each thousand parts, so that an object of 5 TB fits.
    #[default]
    Growing,
    /// All of one length in bytes, 5 MiB to 5 GiB, as R2 wants it. Limits an object to 10,000 times that.
    Uniform(u64),
}
