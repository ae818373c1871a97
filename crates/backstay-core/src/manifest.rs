//! What a backup is: facts, inventory, members. `docs/format.md` tells each field.
#![expect(
    clippy::exhaustive_structs,
    reason = "plain records; the wire format in `v1` is what is versioned"
)]

mod embedded;
mod sealed;
mod v1;
mod validate;

use jiff::Timestamp;

pub use embedded::{MANIFEST_TEXT_BYTES_MAX, manifest_from_member, manifest_member_text};
pub use sealed::{SealedManifest, Sidecar, sidecar_from_json};
pub use v1::{ManifestError, from_json, to_json};
pub use validate::Inconsistency;

use crate::codec::Codec;
use crate::digest::{DigestKey, RowDigest, RowHasher, Sha256Digest};
use crate::id::BackupId;
use crate::pack::VolumeName;
use crate::tag::Tag;
use crate::text::DbText;

/// The newest version of the format that this program reads. It writes the lowest that can say what a backup is.
pub const FORMAT_VERSION: u32 = 2;

/// What a backup is and where its parts are.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Program and version that wrote it.
    pub writer: String,
    /// The backup's id.
    pub id: BackupId,
    /// When the snapshot was taken, by the clock of the machine that made the backup.
    pub taken_at: Timestamp,
    /// The words that it was given, for people and for policies of retention.
    pub tags: Vec<Tag>,
    /// Until when it is to be kept at least; what deletes by age must heed it.
    pub keep_until: Option<Timestamp>,
    /// How members are compressed.
    pub codec: Codec,
    /// The key of digests of members and rows, where the backup is sealed.
    pub digest_key: Option<DigestKey>,
    /// Facts about the server, the database and the snapshot.
    pub source: Source,
    /// Every table, with its rows where the backup holds them.
    pub tables: Vec<Table>,
    /// Sequences with their values.
    pub sequences: Vec<Sequence>,
    /// The large objects; `None` where they were left out.
    pub large_objects: Option<LargeObjects>,
    /// The entries of the schema, in the order of `pg_dump`.
    pub entries: Vec<Entry>,
    /// Materialized views to refresh, in the order in which that works.
    pub refreshes: Vec<Refresh>,
    /// What the backup does not hold although the database does.
    pub omissions: Vec<Omission>,
    /// What was to be left out, in the words of who asked for it; `None` where the backup was to hold all.
    pub left_out: Option<String>,
    /// What queries gave in the snapshot, for comparing a restored database with.
    pub check_values: Vec<CheckValue>,
    /// The packs that hold the members.
    pub packs: Vec<Pack>,
    /// The members, in the order in which `psql` would read them.
    pub members: Vec<Member>,
}

/// Whether a backup was to hold all of its database.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "yes, no, and who knows")]
pub enum Scope {
    /// It was.
    All,
    /// Something was left out. Backups of one database have the same word here where the same was left out.
    Part(String),
    /// It is sealed, and what stands in clear does not tell.
    Unknown,
}

impl Scope {
    /// Whether it is known that something was left out.
    #[must_use]
    pub fn is_part(&self) -> bool {
        matches!(self, Self::Part(_))
    }

    /// The word for the part, where it is known that something was left out.
    #[must_use]
    pub fn into_part(self) -> Option<String> {
        match self {
            Self::Part(part) => Some(part),
            Self::All | Self::Unknown => None,
        }
    }
}

impl Manifest {
    /// Whether it was to hold all of its database.
    #[must_use]
    pub fn scope(&self) -> Scope {
        // Those before this was written down tell of selections alone.
        let is_part = |omission: &&Omission| omission.reason == PART_OF_DATABASE;
        let before = || Some(self.omissions.iter().find(is_part)?.subject.clone());
        self.left_out.clone().or_else(before).map_or(Scope::All, Scope::Part)
    }

    /// The same for who may not read what was left out: the word is a digest. Nobody but who knows the cluster can compute it,
    /// so where that is unknown, each backup has another.
    #[must_use]
    pub fn scope_in_clear(&self) -> Scope {
        let Some(left_out) = &self.left_out else {
            return Scope::All;
        };
        let of = match self.source.system_identifier {
            Some(cluster) => format!("{cluster}\n{}", self.source.database.to_lossy()),
            None => self.id.to_string(),
        };
        Scope::Part(Sha256Digest::of(format!("{of}\n{left_out}").as_bytes()).to_string())
    }
}

/// Facts about the server, the database and the snapshot.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Source {
    /// `server_version_num`, such as 150018.
    pub server_version_num: u32,
    /// `server_version`, such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub server_version: String,
    /// Version of the `pg_dump` that gave the schema.
    pub pg_dump_version: String,
    /// `system_identifier` of the cluster, where it may be read.
    pub system_identifier: Option<u64>,
    /// Name of the database.
    pub database: DbText,
    /// Owner of the database.
    pub owner: DbText,
    /// Encoding, such as `UTF8`.
    pub encoding: String,
    /// `LC_COLLATE` of the database.
    pub collate: String,
    /// `LC_CTYPE` of the database.
    pub ctype: String,
    /// Provider of its default collation: `libc`, `icu` or `builtin`.
    pub locale_provider: String,
    /// Locale of the provider, where it is not libc.
    pub provider_locale: Option<String>,
    /// ICU rules, where there are any.
    pub icu_rules: Option<String>,
    /// `ALTER DATABASE … SET` and `ALTER ROLE … IN DATABASE … SET`.
    pub settings: Vec<DatabaseSetting>,
    /// Extensions with schema and version.
    pub extensions: Vec<Extension>,
    /// Size of the database on the server in bytes, by `pg_database_size`, where it may be asked.
    pub database_bytes: Option<u64>,
    /// The state of the server that the snapshot saw.
    pub snapshot: SnapshotFacts,
    /// The hosted platform whose rules the backup was made by; `None` for a server that is the database's owner's.
    pub platform: Option<SourcePlatform>,
}

/// A hosted platform, which has schemas and roles of its own in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePlatform {
    /// The word for it, such as `supabase`.
    pub name: String,
    /// What it was told by, for people.
    pub found_by: String,
    /// Ids of entries that are the application's although they belong to tables of the platform: triggers, policies.
    pub guests: Vec<i32>,
}

impl Source {
    /// Tells whether two backups are of one database of one cluster to whoever knows which, and neither of them to anybody
    /// else; `None` where the cluster is not known. It is another one for each id.
    #[must_use]
    pub fn fingerprint(&self, id: &BackupId) -> Option<Sha256Digest> {
        let cluster = self.system_identifier?;
        let text = format!("{id}\n{cluster}\n{}", self.database.to_lossy());
        Some(Sha256Digest::of(text.as_bytes()))
    }
}

/// What an incremental must compare before it believes that a chunk did not change.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SnapshotFacts {
    /// `pg_current_wal_insert_lsn()` after the snapshot, as the server writes it.
    pub wal_insert_lsn: Option<String>,
    /// Timeline, where it may be asked.
    pub timeline: Option<u32>,
    /// `pg_postmaster_start_time()` in microseconds since the Unix epoch.
    pub postmaster_start_unix_micros: Option<i64>,
    /// Next transaction id of the snapshot with its epoch (`pg_snapshot_xmax`).
    pub xmax: Option<u64>,
}

/// A setting stored for the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSetting {
    /// The role it is for; `None` for all.
    pub role: Option<DbText>,
    /// Name of the setting.
    pub name: DbText,
    /// Its value.
    pub value: DbText,
}

/// An installed extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Name.
    pub name: DbText,
    /// Schema it was installed into.
    pub schema: DbText,
    /// Version.
    pub version: String,
}

/// A table and, where the backup has them, its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its OID in the source.
    pub oid: u32,
    /// Schema.
    pub schema: DbText,
    /// Name.
    pub name: DbText,
    /// What kind of relation.
    pub kind: TableKind,
    /// Whether rows survive a crash of the server.
    pub persistence: Persistence,
    /// The columns that are copied, in the order of the COPY text.
    pub columns: Vec<Column>,
    /// Row level security.
    pub row_security: RowSecurity,
    /// Policies on it, by name, sorted.
    pub policies: Vec<DbText>,
    /// Indexes on it, by name, sorted.
    pub indexes: Vec<DbText>,
    /// For the partition root through which its rows are loaded: its index in the list of tables.
    pub load_through: Option<u32>,
    /// Whether its rows are loaded after those of all other tables, because its checks call functions that may read them.
    pub load_last: bool,
    /// Bytes of its main fork and its TOAST table when the backup was taken.
    pub heap_bytes: u64,
    /// Pages per chunk; `None` for a table read as one chunk.
    pub chunk_pages: Option<u32>,
    /// The condition of an extension's configuration table; empty for none.
    pub filter: Option<DbText>,
    /// Whether and which rows are in the backup.
    pub rows: TableRows,
}

/// Kinds of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a new kind is a new format version")]
pub enum TableKind {
    /// An ordinary table, also a leaf partition.
    Table,
    /// A partitioned table; it has no rows of its own.
    Partitioned,
    /// A foreign table; its rows live elsewhere.
    Foreign,
}

/// Kinds of persistence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a new kind is a new format version")]
pub enum Persistence {
    /// Logged.
    Permanent,
    /// Emptied by a crash of the server.
    Unlogged,
}

/// Row level security of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a new kind is a new format version")]
pub enum RowSecurity {
    /// Not enabled.
    Off,
    /// Enabled for all but the owner.
    Enabled,
    /// Enabled for the owner too.
    Forced,
}

/// A column that is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: DbText,
    /// Type as `format_type` gives it.
    pub data_type: DbText,
}

/// The rows of a table in a backup.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a new kind is a new format version")]
pub enum TableRows {
    /// All of them.
    Included {
        /// Their number and digest.
        digest: RowDigest,
        /// Bytes of COPY text, line feeds included.
        text_bytes: u64,
    },
    /// None, for the reason given.
    Excluded {
        /// Why.
        reason: String,
    },
}

/// A sequence with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Schema.
    pub schema: DbText,
    /// Name.
    pub name: DbText,
    /// `last_value`.
    pub last_value: i64,
    /// `is_called`.
    pub is_called: bool,
}

/// The large objects of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LargeObjects {
    /// How many there are.
    pub count: u64,
    /// Bytes that they hold together.
    pub bytes: u64,
    /// Digest over one row per object and one per 2,048-byte piece that is not all zero: `oid TAB piece TAB hex`, and
    /// `oid TAB size`.
    pub digest: RowDigest,
}

/// A materialized view that was populated in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// Schema.
    pub schema: DbText,
    /// Name.
    pub name: DbText,
}

/// Something that the database has and the backup has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Omission {
    /// What it is, for people.
    pub subject: String,
    /// Why it is missing.
    pub reason: String,
}

/// What a query of a rule gave in the snapshot of the backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckValue {
    /// Name of the check.
    pub name: String,
    /// SHA-256 of the query, so that what another query gave is not compared with it.
    pub query: Sha256Digest,
    /// What it gave.
    pub outcome: CheckOutcome,
}

/// What came of asking for a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is a value or there is none")]
pub enum CheckOutcome {
    /// One value, as the server writes it; `None` for a null.
    Value(Option<String>),
    /// None, for the reason given.
    Failed(String),
}

/// The reason of the omission that says which part of its database a backup has.
pub const PART_OF_DATABASE: &str = "only a part of the database was selected";

/// The reason of the omission of an index that is not valid.
pub const INVALID_INDEX: &str = "it is invalid in the source";

/// One entry of the schema: an object, a comment, a grant.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The id that dependencies name.
    pub id: i32,
    /// `pg_dump`'s word for the kind, such as `TABLE` or `FK CONSTRAINT`.
    pub kind: String,
    /// Schema.
    pub schema: Option<DbText>,
    /// `pg_dump`'s name of the entry.
    pub name: DbText,
    /// Owner.
    pub owner: Option<DbText>,
    /// When it is restored.
    pub stage: Stage,
    /// Ids of the entries that must be restored before it; some may not exist.
    pub dependencies: Vec<i32>,
    /// The statement that drops it, for `--clean`.
    pub drop_statement: Option<DbText>,
    /// `default_tablespace` under which it is created, where that matters.
    pub tablespace: Option<DbText>,
    /// `default_table_access_method` under which it is created, where that matters.
    pub access_method: Option<DbText>,
    /// Where its SQL is; `None` where it has none of its own.
    pub definition: Option<Span>,
    /// Where its `ALTER … OWNER TO` is.
    pub owner_statement: Option<Span>,
    /// Where the statement is that sets the access method of a partitioned table.
    pub access_method_statement: Option<Span>,
    /// How to build a key through its index.
    pub key: Option<KeyConstraint>,
}

/// When an entry is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "a new stage is a new format version")]
pub enum Stage {
    /// Before any row.
    PreData,
    /// When the rows are there.
    PostData,
    /// Grants, after all of that.
    Privileges,
    /// After the grants: event triggers.
    Last,
}

/// A primary key or unique constraint that can take over a finished index (`ADD CONSTRAINT … USING INDEX`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyConstraint {
    /// `pg_get_indexdef`.
    pub index_definition: DbText,
    /// The statement that makes the finished index the constraint's.
    pub attach_statement: DbText,
}

/// A part of a member's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Index in the list of members.
    pub member: u32,
    /// First byte of the text.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
}

/// A file or object made of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// Which pack.
    pub id: PackId,
    /// Name of the object in the store.
    pub name: String,
    /// Length in bytes; 0 for the pack that the manifest itself stands in, which cannot know.
    pub bytes: u64,
}

/// How a manifest names a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a third way is a new format version")]
pub enum PackId {
    /// The pack that this very manifest stands in.
    Own,
    /// The pack whose bytes have this SHA-256.
    Sha256(Sha256Digest),
}

/// A piece of SQL, compressed on its own, in a pack.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Index in the list of packs.
    pub pack: u32,
    /// First byte in the pack.
    pub offset: u64,
    /// Length in the pack in bytes.
    pub stored_bytes: u64,
    /// Length of the text in bytes.
    pub text_bytes: u64,
    /// SHA-256 of the stored bytes; see [`Manifest::member_digest`] for a sealed backup.
    pub sha256: Sha256Digest,
    /// What the text is.
    pub content: MemberContent,
}

/// What the text of a member is.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a new kind is a new format version")]
pub enum MemberContent {
    /// The session's settings.
    Settings,
    /// Definitions; the entries say which.
    Schema(Stage),
    /// One `COPY … FROM stdin` block.
    Rows(RowBlock),
    /// Statements that make large objects.
    LargeObjects,
    /// Statements that set sequences.
    Sequences,
    /// Statements that refresh materialized views.
    Refreshes,
    /// Roles and tablespaces, as comments that `psql` passes over.
    Globals,
}

/// The rows in one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowBlock {
    /// Index in the list of tables.
    pub table: u32,
    /// Bytes of text before the first row: the COPY statement with its line feed.
    pub header_bytes: u32,
    /// Number and digest of the rows.
    pub digest: RowDigest,
    /// Which chunk of the table the rows are from, and which part of it.
    pub chunk: Chunk,
}

/// What follows the rows in a member: the end mark and an empty line.
pub const ROWS_FOOTER: &[u8] = b"\\.\n\n";

/// A range of heap pages of a table, or a part of what one gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Chunk {
    /// First page.
    pub first_page: u32,
    /// Page behind the last; `None` for the last chunk, which has no upper bound.
    pub end_page: Option<u32>,
    /// 0 for the first member of the chunk, 1 for the next, …
    pub part: u32,
}

impl Manifest {
    /// How rows are hashed for their digests.
    #[must_use]
    pub fn row_hasher(&self) -> RowHasher {
        self.digest_key.as_ref().map(DigestKey::row_hasher).unwrap_or_default()
    }

    /// The digest of a member with these stored bytes.
    #[must_use]
    pub fn member_digest(&self, stored: &[u8]) -> Sha256Digest {
        keyed(self.digest_key.as_ref(), Sha256Digest::of(stored))
    }

    /// Whether a pack of it is cut into volumes.
    #[must_use]
    pub fn has_volumes(&self) -> bool {
        self.packs.iter().any(|pack| VolumeName::of(&pack.name).is_some())
    }

    /// Bytes of all members in their packs.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        total(self.members.iter().map(|member| member.stored_bytes))
    }

    /// Bytes of COPY text of all tables.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        total(self.tables.iter().map(|table| match &table.rows {
            TableRows::Included { text_bytes, .. } => *text_bytes,
            TableRows::Excluded { .. } => 0,
        }))
    }

    /// Rows of all tables.
    #[must_use]
    pub fn row_count(&self) -> u64 {
        total(self.tables.iter().map(|table| match &table.rows {
            TableRows::Included { digest, .. } => digest.rows(),
            TableRows::Excluded { .. } => 0,
        }))
    }
}

/// The digest that stands in a manifest for bytes of that SHA-256.
pub(crate) fn keyed(key: Option<&DigestKey>, sha256: Sha256Digest) -> Sha256Digest {
    key.map_or(sha256, |key| key.of_bytes(sha256))
}

/// A sum that a manifest with absurd numbers cannot make overflow: members in packs of other backups may overlap.
fn total(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

impl Table {
    /// `schema.name` for people.
    #[must_use]
    pub fn display_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}
