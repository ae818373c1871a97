//! Reading large objects.

use backstay_core::manifest::{LargeObjects, MemberContent};
use backstay_core::sql::literal_settings;
use backstay_core::{MemberEncoder, RowDigest, RowHasher};

use super::{MemberSink, SourceError};
use crate::wire::{WireConnection, WireError};

/// Bytes of an object per row of `pg_largeobject` (`LOBLKSIZE`).
const PIECE_BYTES: u64 = 2048;
/// Bytes put by one statement.
const STATEMENT_BYTES: usize = 512 << 10;
/// Statements after which a member ends.
const MEMBER_TEXT_BYTES: usize = 8 << 20;

/// How the content of large objects can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// From `pg_largeobject`, which superusers and members of `pg_read_all_data` may read.
    Table,
    /// By `lo_get`, object by object, where each may be read.
    Function,
}

/// The query that gives `(oid, piece, content)` for every piece there is, in order; `from` and `to` bound the oids.
fn pieces(access: Access) -> &'static str {
    match access {
        Access::Table => "SELECT loid, pageno, data FROM pg_catalog.pg_largeobject ORDER BY loid, pageno",
        Access::Function => {
            // A piece of an object that may only be read by its functions has no page numbers of its own.
            "SELECT m.oid, p.n, pg_catalog.lo_get(m.oid, p.n * 2048, 2048)
             FROM pg_catalog.pg_largeobject_metadata m,
                  LATERAL (SELECT pg_catalog.length(pg_catalog.lo_get(m.oid)) AS size) s,
                  LATERAL pg_catalog.generate_series(0::int8, (s.size - 1) / 2048) p (n)
             WHERE s.size > 0 ORDER BY m.oid, p.n"
        }
    }
}

/// Walks over every piece of every large object: `(oid, offset in bytes, hexadecimal digits)`. Objects come in order of
/// their oids; those without content do not come.
pub(crate) fn for_each_piece<E: From<WireError>>(
    connection: &mut WireConnection,
    access: Access,
    mut each: impl FnMut(u32, u64, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let sql = format!("COPY ({}) TO STDOUT", pieces(access));
    connection.copy_out(sql.as_bytes(), |row| {
        let mut columns = row[..row.len() - 1].split(|&byte| byte == b'\t');
        let mut column = || columns.next().unwrap_or_default();
        let number = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse::<u64>().ok());
        let oid = number(column()).and_then(|oid| u32::try_from(oid).ok());
        let page = number(column());
        // The text form of bytea is \x and digits; COPY doubles the backslash.
        let hex = column()
            .strip_prefix(b"\\\\x")
            .filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        match (oid, page, hex) {
            (Some(oid), Some(page), Some(hex)) => each(oid, page * PIECE_BYTES, hex),
            _ => Err(E::from(WireError::NotACopy)),
        }
    })?;
    Ok(())
}

/// Adds up the digest of large objects: a row for each piece that is not all zero and one for each object's size, so
/// that holes and zeros, which read the same, count the same.
#[derive(Clone, Debug)]
pub(crate) struct LargeObjectDigest {
    hasher: RowHasher,
    sum: RowDigest,
    bytes: u64,
    current: Option<(u32, u64)>,
}

impl LargeObjectDigest {
    pub(crate) fn new(hasher: RowHasher) -> Self {
        Self {
            hasher,
            sum: RowDigest::default(),
            bytes: 0,
            current: None,
        }
    }

    pub(crate) fn piece(&mut self, oid: u32, offset: u64, hex: &[u8]) {
        let end = offset + hex.len() as u64 / 2;
        match &mut self.current {
            Some((current, size)) if *current == oid => *size = end,
            _ => {
                self.end_object();
                self.current = Some((oid, end));
            }
        }
        if hex.iter().any(|&digit| digit != b'0') {
            // Zeros at the end of a piece are as good as their absence; the size stands in a row of its own.
            let digits = hex.len() - hex.iter().rev().take_while(|&&digit| digit == b'0').count();
            let mut row = format!("{oid}\t{}\t", offset / PIECE_BYTES).into_bytes();
            row.extend_from_slice(&hex[..digits.next_multiple_of(2).min(hex.len())]);
            self.hasher.add_row(&mut self.sum, &row);
        }
    }

    fn end_object(&mut self) {
        if let Some((oid, size)) = self.current.take() {
            self.hasher.add_row(&mut self.sum, format!("{oid}\t{size}").as_bytes());
            self.bytes += size;
        }
    }

    /// The digest when all pieces were added; `count` objects there are, with and without content.
    pub(crate) fn finish(mut self, count: u64) -> LargeObjects {
        self.end_object();
        LargeObjects {
            count,
            bytes: self.bytes,
            digest: self.sum,
        }
    }
}

/// Writes statements that make every large object with its content; holes stay holes.
pub(super) fn write(
    connection: &mut WireConnection,
    access: Access,
    encoding: &str,
    oids: &[u32],
    hasher: RowHasher,
    encoder: &mut MemberEncoder,
    sink: &mut dyn MemberSink,
) -> Result<LargeObjects, SourceError> {
    let mut writer = Writer {
        encoder,
        sink,
        head: literal_settings(encoding),
        text: Vec::new(),
        open: None,
        digest: LargeObjectDigest::new(hasher),
    };
    for oid in oids {
        writer
            .text
            .extend(format!("SELECT pg_catalog.lo_create('{oid}');\n").into_bytes());
        writer.flush_if_full()?;
    }
    for_each_piece(connection, access, |oid, offset, hex| writer.piece(oid, offset, hex))?;
    writer.close_statement();
    writer.flush()?;
    Ok(writer.digest.finish(oids.len() as u64))
}

struct Writer<'w> {
    encoder: &'w mut MemberEncoder,
    sink: &'w mut dyn MemberSink,
    /// The settings of literals, which each member begins with, since its statements have backslashes. Nothing in it runs
    /// a function of a user that could change them.
    head: Vec<u8>,
    text: Vec<u8>,
    /// The object whose statement is open, the offset at which it goes on, and the bytes in the statement.
    open: Option<(u32, u64, usize)>,
    digest: LargeObjectDigest,
}

impl Writer<'_> {
    fn piece(&mut self, oid: u32, offset: u64, hex: &[u8]) -> Result<(), SourceError> {
        self.digest.piece(oid, offset, hex);
        if hex.is_empty() {
            // The last page of an object that was made longer to a whole number of pages: it has no bytes, and the object
            // reaches up to it. The descriptor lives as long as the statement.
            self.close_statement();
            self.text.extend(
                format!("SELECT pg_catalog.lo_truncate64(pg_catalog.lo_open('{oid}', 131072), '{offset}');\n")
                    .into_bytes(),
            );
            return Ok(());
        }
        let goes_on = matches!(self.open, Some((open, next, bytes))
            if open == oid && next == offset && bytes < STATEMENT_BYTES);
        if !goes_on {
            self.close_statement();
            self.flush_if_full()?;
            self.text
                .extend(format!("SELECT pg_catalog.lo_put('{oid}', '{offset}', '\\x").into_bytes());
            self.open = Some((oid, offset, 0));
        }
        self.text.extend_from_slice(hex);
        if let Some((_, next, bytes)) = &mut self.open {
            *next += hex.len() as u64 / 2;
            *bytes += hex.len() / 2;
        }
        Ok(())
    }

    fn close_statement(&mut self) {
        if self.open.take().is_some() {
            self.text.extend_from_slice(b"');\n");
        }
    }

    fn flush_if_full(&mut self) -> Result<(), SourceError> {
        if self.text.len() >= MEMBER_TEXT_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), SourceError> {
        if !self.text.is_empty() {
            let member = self.encoder.encode(&[&self.head[..], &self.text].concat())?;
            self.text.clear();
            self.sink
                .append(member, MemberContent::LargeObjects)
                .map_err(SourceError::Sink)?;
        }
        Ok(())
    }
}
