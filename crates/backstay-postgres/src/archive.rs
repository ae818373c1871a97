//! The table of contents that `pg_dump --format=custom` writes.
//!
//! Format and rules of printing are those of PostgreSQL's `src/bin/pg_dump/pg_backup_archiver.c`,
//! `pg_backup_custom.c` and `pg_backup_db.c`. Names and statements are bytes in the encoding that the dump was
//! made in; nothing here asks for UTF-8.

mod identifier;
mod large_object;
mod owner;
mod print;
mod read;
#[cfg(test)]
mod tests;

use std::io::Read;

pub use print::{PrintError, PrintedEntry, Printer, RestorePass, Session};
pub use read::ReadArchiveError;

/// Longest string that is read, in bytes; PostgreSQL itself makes no longer text.
pub const MAX_ARCHIVE_STRING_BYTES: usize = 1 << 30;

/// Most entries that are read.
pub const MAX_ARCHIVE_ENTRIES: usize = 10_000_000;

/// Most bytes of header and table of contents that are read, together.
pub const MAX_ARCHIVE_TOC_BYTES: u64 = 4 << 30;

/// A table of contents, in the order in which `pg_dump` sorted it: what an entry needs stands before it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Toc {
    /// Version of the archive format, such as `(1, 16)`.
    pub archive_version: (u8, u8),
    /// Version text of the server that was dumped, such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub server_version: Vec<u8>,
    /// Version text of the `pg_dump` that wrote the archive.
    pub dump_version: Vec<u8>,
    /// Name of the database that was dumped.
    pub database_name: Vec<u8>,
    /// What is in the archive; no two have the same dump id.
    pub entries: Vec<TocEntry>,
}

/// One object, or one property of an object, in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TocEntry {
    /// Number of the entry in its archive, 1 or more.
    pub dump_id: i32,
    /// Whether data follows the table of contents for this entry (never in a schema-only archive).
    pub has_data: bool,
    /// OID of the catalog that has the object; 0 where there is none.
    pub table_oid: u32,
    /// OID of the object in that catalog; 0 where there is none.
    pub oid: u32,
    /// Name of the object, as `pg_dump` writes it for people: `t`, `f(integer)`, `TABLE t`.
    pub tag: Vec<u8>,
    /// What it is, in `pg_dump`'s words: `TABLE`, `FK CONSTRAINT`, `ACL`.
    pub kind: Vec<u8>,
    /// When it is restored.
    pub section: Section,
    /// Statements that create it; empty where there are none.
    pub definition: Vec<u8>,
    /// Statement that drops it; empty where it is not dropped on its own.
    pub drop_statement: Vec<u8>,
    /// `COPY` statement of table data; empty elsewhere.
    pub copy_statement: Vec<u8>,
    /// Schema of the object.
    pub namespace: Option<Vec<u8>>,
    /// Tablespace; empty for the database's own, `None` for what is not stored.
    pub tablespace: Option<Vec<u8>>,
    /// Table access method, of tables and materialized views.
    pub table_access_method: Option<Vec<u8>>,
    /// `pg_class.relkind`, where the archive tells (format 1.16, `pg_dump` 17).
    pub relkind: Option<u8>,
    /// Role that owns it; empty for what has no owner of its own.
    pub owner: Option<Vec<u8>>,
    /// Whether it is a table `WITH OIDS`, which PostgreSQL 12 and newer cannot make.
    pub with_oids: bool,
    /// Dump ids that must be restored before this; may name ids that are not in the archive.
    pub dependencies: Vec<i32>,
}

/// When an entry is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the list is the archive format's")]
pub enum Section {
    /// With the object that it belongs to: comments, privileges, security labels.
    None,
    /// Before the rows.
    PreData,
    /// The rows.
    Data,
    /// After the rows: indexes, constraints, triggers, rules.
    PostData,
}

impl Toc {
    /// Reads the table of contents at the beginning of an archive in memory; what follows it is not looked at.
    ///
    /// # Errors
    /// [`ReadArchiveError`] tells a foreign, too new, cut or damaged archive apart.
    pub fn parse(archive: &[u8]) -> Result<Self, ReadArchiveError> {
        read::read_toc(archive)
    }

    /// Reads the table of contents at the beginning of a stream, byte by byte: hand in something buffered.
    ///
    /// Nothing is allocated before its bytes arrived, whatever length the archive claims.
    ///
    /// # Errors
    /// As [`Toc::parse`], and [`ReadArchiveError::Io`].
    pub fn read(archive: impl Read) -> Result<Self, ReadArchiveError> {
        read::read_toc(archive)
    }

    /// Prints the entries as `pg_restore --file=-` of the version that dumped them does, in that order, one at a time.
    ///
    /// The settings at the head (`ENCODING`, `STDSTRINGS`, `SEARCHPATH`) and what `pg_restore` prints only with
    /// `--create` ([`TocEntry::is_of_database`]) are not among them, nor is any data. The same archive gives the same
    /// bytes at any time.
    #[must_use]
    pub fn print(&self) -> Printer<'_> {
        Printer::new(self)
    }

    /// Statement that chooses the encoding of all the bytes in the archive: `SET client_encoding = 'UTF8';` and a line
    /// end.
    #[must_use]
    pub fn encoding_statement(&self) -> Option<&[u8]> {
        self.setting(b"ENCODING")
    }

    /// Name of the encoding of all the bytes in the archive, such as `UTF8`, `LATIN1` or `SQL_ASCII`.
    #[must_use]
    pub fn encoding(&self) -> Option<&[u8]> {
        self.encoding_statement()?.split(|&byte| byte == b'\'').nth(1)
    }

    /// Statement that chooses how backslashes in string literals of the archive are read.
    #[must_use]
    pub fn standard_strings_statement(&self) -> Option<&[u8]> {
        self.setting(b"STDSTRINGS")
    }

    /// Statement that chooses the search path that the definitions were written for; archives before format 1.13 have
    /// none, and each entry's [`Session`] sets one.
    #[must_use]
    pub fn search_path_statement(&self) -> Option<&[u8]> {
        self.setting(b"SEARCHPATH")
    }

    /// Major version of the `pg_dump` that wrote the archive; 0 where its text has no number.
    #[must_use]
    pub fn dump_major(&self) -> u32 {
        let digits = self.dump_version.iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, |major: u32, digit| {
            major.saturating_mul(10).saturating_add(u32::from(digit - b'0'))
        })
    }

    /// The entry with this dump id.
    #[must_use]
    pub fn entry(&self, dump_id: i32) -> Option<&TocEntry> {
        self.entries.iter().find(|entry| entry.dump_id == dump_id)
    }

    fn setting(&self, kind: &[u8]) -> Option<&[u8]> {
        // pg_restore lets a later one replace an earlier one.
        self.entries
            .iter()
            .rev()
            .find(|entry| entry.kind == kind)
            .map(|entry| entry.definition.as_slice())
    }
}

impl TocEntry {
    /// Whether it is a setting for the whole restore instead of an object.
    #[must_use]
    pub fn is_setting(&self) -> bool {
        matches!(self.kind.as_slice(), b"ENCODING" | b"STDSTRINGS" | b"SEARCHPATH")
    }

    /// Whether it makes or changes the database itself, which only `pg_restore --create` does.
    #[must_use]
    pub fn is_of_database(&self) -> bool {
        match self.kind.as_slice() {
            b"DATABASE" | b"DATABASE PROPERTIES" => true,
            b"ACL" | b"COMMENT" | b"SECURITY LABEL" => self.tag.starts_with(b"DATABASE "),
            _ => false,
        }
    }

    /// The pass of a restore that it belongs to; all of one pass are restored before any of the next.
    #[must_use]
    pub fn restore_pass(&self) -> RestorePass {
        RestorePass::of(self)
    }

    /// Whether it is a partitioned table, as far as the archive tells (format 1.16).
    pub(crate) fn is_partitioned_table(&self) -> bool {
        self.relkind == Some(b'p')
    }
}
