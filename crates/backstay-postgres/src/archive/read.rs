//! Reading the header and the entries.

use std::collections::HashSet;
use std::io::{self, Read};

use super::{MAX_ARCHIVE_ENTRIES, MAX_ARCHIVE_STRING_BYTES, MAX_ARCHIVE_TOC_BYTES, Section, Toc, TocEntry};

const MAGIC: &[u8; 5] = b"PGDMP";
const CUSTOM_FORMAT: u8 = 1;
/// `pg_dump` 10 wrote 1.12, later 1.13; 18 writes 1.16.
const MINOR_VERSIONS: std::ops::RangeInclusive<u8> = 12..=16;

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadArchiveError {
    /// It does not begin as archives do.
    #[error("not an archive of pg_dump's custom format")]
    NotAnArchive,
    /// The format is older than `pg_dump` 10 or newer than this program knows.
    #[error("archive format {major}.{minor} is not supported (supported are 1.12 to 1.16, of pg_dump 10 to 18)")]
    UnsupportedVersion {
        /// First number.
        major: u8,
        /// Second number.
        minor: u8,
    },
    /// It ends before the table of contents does.
    #[error("archive ends at byte {offset}, inside its table of contents")]
    Truncated {
        /// Where it ends.
        offset: u64,
    },
    /// It says something that `pg_dump` never writes.
    #[error("damaged archive: {what} before byte {offset}")]
    Damaged {
        /// Where the reader was.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// It could not be read from where it is.
    #[error("cannot read archive at byte {offset}")]
    Io {
        /// Where the reader was.
        offset: u64,
        /// Why.
        source: io::Error,
    },
}

pub(super) fn read_toc(input: impl Read) -> Result<Toc, ReadArchiveError> {
    let mut reader = Reader {
        input: input.take(MAX_ARCHIVE_TOC_BYTES),
        offset: 0,
        minor: 0,
        int_bytes: 0,
        offset_bytes: 0,
    };
    let mut toc = reader.header()?;
    let count = reader.integer()?;
    let count = usize::try_from(count).map_err(|_| reader.damaged("negative number of entries"))?;
    if count > MAX_ARCHIVE_ENTRIES {
        return Err(reader.damaged("more than 10 million entries"));
    }
    let mut seen = HashSet::new();
    for _ in 0..count {
        let entry = reader.entry()?;
        if !seen.insert(entry.dump_id) {
            return Err(reader.damaged("two entries with one dump id"));
        }
        toc.entries.push(entry);
    }
    Ok(toc)
}

struct Reader<R> {
    input: io::Take<R>,
    offset: u64,
    minor: u8,
    int_bytes: u8,
    offset_bytes: u8,
}

impl<R: Read> Reader<R> {
    fn header(&mut self) -> Result<Toc, ReadArchiveError> {
        for &expected in MAGIC {
            match self.byte() {
                Ok(byte) if byte == expected => {}
                Ok(_) | Err(ReadArchiveError::Truncated { .. }) => return Err(ReadArchiveError::NotAnArchive),
                Err(error) => return Err(error),
            }
        }
        let (major, minor, _revision) = (self.byte()?, self.byte()?, self.byte()?);
        if major != 1 || !MINOR_VERSIONS.contains(&minor) {
            return Err(ReadArchiveError::UnsupportedVersion { major, minor });
        }
        self.minor = minor;
        self.int_bytes = self.byte()?;
        self.offset_bytes = self.byte()?;
        if !(1..=8).contains(&self.int_bytes) || !(1..=8).contains(&self.offset_bytes) {
            return Err(self.damaged("impossible size of an integer"));
        }
        if self.byte()? != CUSTOM_FORMAT {
            return Err(ReadArchiveError::NotAnArchive);
        }
        // How the data is compressed: an algorithm since 1.15, a level before. The table of contents never is.
        if self.minor >= 15 {
            self.byte()?;
        } else {
            self.integer()?;
        }
        // The local time of the dump, which nothing here depends on.
        for _ in 0..7 {
            self.integer()?;
        }
        Ok(Toc {
            archive_version: (major, minor),
            database_name: self.string()?.unwrap_or_default(),
            server_version: self.string()?.unwrap_or_default(),
            dump_version: self.string()?.unwrap_or_default(),
            entries: Vec::new(),
        })
    }

    fn entry(&mut self) -> Result<TocEntry, ReadArchiveError> {
        let dump_id = self.integer()?;
        let dump_id = match i32::try_from(dump_id) {
            Ok(id) if id > 0 => id,
            _ => return Err(self.damaged("dump id out of range")),
        };
        let has_data = self.integer()? != 0;
        let table_oid = self.number()?;
        let oid = self.number()?;
        let tag = self.string()?.unwrap_or_default();
        let kind = self.string()?.unwrap_or_default();
        let section = match self.integer()? {
            1 => Section::None,
            2 => Section::PreData,
            3 => Section::Data,
            4 => Section::PostData,
            _ => return Err(self.damaged("unknown section")),
        };
        let definition = self.string()?.unwrap_or_default();
        let drop_statement = self.string()?.unwrap_or_default();
        let copy_statement = self.string()?.unwrap_or_default();
        let namespace = self.string()?;
        let tablespace = self.string()?;
        let table_access_method = if self.minor >= 14 { self.string()? } else { None };
        let relkind = if self.minor >= 16 { self.relkind()? } else { None };
        let owner = self.string()?;
        let with_oids = self.string()?.as_deref() == Some(b"true");
        let mut dependencies = Vec::new();
        while let Some(text) = self.string()? {
            dependencies.push(self.parse(&text)?);
        }
        self.data_position()?;
        Ok(TocEntry {
            dump_id,
            has_data,
            table_oid,
            oid,
            tag,
            kind,
            section,
            definition,
            drop_statement,
            copy_statement,
            namespace,
            tablespace,
            table_access_method,
            relkind,
            owner,
            with_oids,
            dependencies,
        })
    }

    fn relkind(&mut self) -> Result<Option<u8>, ReadArchiveError> {
        match u8::try_from(self.integer()?) {
            Ok(0) => Ok(None),
            Ok(kind) => Ok(Some(kind)),
            Err(_) => Err(self.damaged("unknown relation kind")),
        }
    }

    /// `ReadOffset`: a flag and the position of the entry's data, which a reader of the schema skips.
    fn data_position(&mut self) -> Result<(), ReadArchiveError> {
        if !(1..=3).contains(&self.byte()?) {
            return Err(self.damaged("unexpected data offset flag"));
        }
        for _ in 0..self.offset_bytes {
            self.byte()?;
        }
        Ok(())
    }

    /// An OID, which archives have as text.
    fn number(&mut self) -> Result<u32, ReadArchiveError> {
        let text = self.string()?.unwrap_or_default();
        self.parse(&text)
    }

    fn parse<N: std::str::FromStr>(&self, text: &[u8]) -> Result<N, ReadArchiveError> {
        let number = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| self.damaged("not a number where one belongs"))
    }

    /// `ReadStr`: a length, below zero for none, and the bytes.
    fn string(&mut self) -> Result<Option<Vec<u8>>, ReadArchiveError> {
        let length = self.integer()?;
        if length < 0 {
            return Ok(None);
        }
        if length > MAX_ARCHIVE_STRING_BYTES as i64 {
            return Err(self.damaged("string longer than 1 GiB"));
        }
        let length = length.unsigned_abs();
        let mut bytes = Vec::new();
        // read_to_end grows with what arrives, so that a false length costs nothing.
        let read = self
            .input
            .by_ref()
            .take(length)
            .read_to_end(&mut bytes)
            .map_err(|source| self.io(source))?;
        self.offset += read as u64;
        if (read as u64) < length {
            return Err(self.ended());
        }
        // The strings are C strings to pg_dump; it would read another text than we.
        if memchr::memchr(0, &bytes).is_some() {
            return Err(self.damaged("zero byte in a string"));
        }
        bytes.shrink_to_fit();
        Ok(Some(bytes))
    }

    /// `ReadInt`: a sign byte and the magnitude, lowest byte first.
    fn integer(&mut self) -> Result<i64, ReadArchiveError> {
        let negative = self.byte()? != 0;
        let mut magnitude: u64 = 0;
        for place in 0..self.int_bytes {
            magnitude |= u64::from(self.byte()?) << (8 * place);
        }
        let value = i64::try_from(magnitude).map_err(|_| self.damaged("integer out of range"))?;
        Ok(if negative { -value } else { value })
    }

    fn byte(&mut self) -> Result<u8, ReadArchiveError> {
        let mut byte = [0];
        match self.input.read_exact(&mut byte) {
            Ok(()) => {
                self.offset += 1;
                Ok(byte[0])
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.ended()),
            Err(source) => Err(self.io(source)),
        }
    }

    fn ended(&self) -> ReadArchiveError {
        if self.input.limit() == 0 {
            return self.damaged("table of contents larger than 4 GiB");
        }
        ReadArchiveError::Truncated { offset: self.offset }
    }

    fn damaged(&self, what: &'static str) -> ReadArchiveError {
        ReadArchiveError::Damaged {
            offset: self.offset,
            what,
        }
    }

    fn io(&self, source: io::Error) -> ReadArchiveError {
        ReadArchiveError::Io {
            offset: self.offset,
            source,
        }
    }
}
