//! Rows to the server, and what a row from the server must be.

use memchr::memchr3;

use super::channel::Frame;
use super::error::{RowFault, WireError};
use super::fault::Fault;
use super::frame::HEADER_BYTES;
use super::message::{CommandTag, seal};
use super::server_error::ServerError;
use super::{Kind, WireConnection};

/// How much is collected before it is sent as one message.
const CHUNK_BYTES: usize = 64 * 1024;

/// Checks that a `CopyData` message is exactly one row: one line, and not a line that ends the data.
///
/// COPY escapes line feeds, carriage returns and backslashes of values, so no true row fails.
#[inline]
pub(super) fn check_row(row: &[u8]) -> Result<(), RowFault> {
    match memchr3(b'\n', b'\r', 0, row) {
        Some(at) if row[at] == b'\n' && at + 1 == row.len() => match row {
            b"\\.\n" => Err(RowFault::EndMarker),
            _ => Ok(()),
        },
        Some(at) if row[at] == b'\r' && row.starts_with(b"\\.\r") => Err(RowFault::EndMarker),
        Some(at) if row[at] == b'\r' => Err(RowFault::CarriageReturn),
        Some(at) if row[at] == 0 => Err(RowFault::Nul),
        _ => Err(RowFault::NotOneLine),
    }
}

/// Whether CSV begins with the names of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum CsvHeader {
    /// It does.
    Present,
    /// It does not.
    Absent,
}

/// A `COPY … FROM STDIN` that is being fed.
///
/// Dropping it without [`Self::finish`] closes the connection, and the server keeps none of the rows.
#[must_use = "rows of a COPY that is not finished are not kept"]
pub struct CopyIn<'a> {
    connection: &'a mut WireConnection,
    over: bool,
}

impl<'a> CopyIn<'a> {
    /// Takes over a connection that is in the middle of a COPY.
    pub(super) fn new(connection: &'a mut WireConnection) -> Self {
        connection.outgoing.clear();
        connection.outgoing.extend_from_slice(&[b'd', 0, 0, 0, 0]);
        Self {
            connection,
            over: false,
        }
    }

    /// Adds bytes; they need not be whole rows.
    ///
    /// # Errors
    /// The server's error as soon as it is known, which may be some calls after the row at fault; then the connection
    /// may be used on, but the COPY is over. Everything else closes the connection.
    pub fn send(&mut self, mut data: &[u8]) -> Result<(), WireError> {
        if self.over {
            return Err(WireError::CopyEnded);
        }
        while !data.is_empty() {
            let room = HEADER_BYTES + CHUNK_BYTES - self.connection.outgoing.len();
            let (now, later) = data.split_at(room.min(data.len()));
            self.connection.outgoing.extend_from_slice(now);
            data = later;
            if self.connection.outgoing.len() == HEADER_BYTES + CHUNK_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Ends the COPY and gives the number of rows that the server took.
    ///
    /// # Errors
    /// Whatever the server has against the rows; it keeps none of them.
    pub fn finish(mut self) -> Result<u64, WireError> {
        if self.over {
            return Err(WireError::CopyEnded);
        }
        self.flush()?;
        self.connection.put(b'c', &[])?;
        let tag = self.conclude()?;
        tag.rows().ok_or_else(|| {
            let tag = tag.as_str();
            self.connection
                .fail(Fault::Violation(format!("a COPY that ended with {tag:?}")), None)
        })
    }

    /// Gives the COPY up; the server keeps none of the rows, and the connection may be used on.
    ///
    /// # Errors
    /// Those of the connection itself, which is closed then.
    pub fn abort(mut self) -> Result<(), WireError> {
        if self.over {
            return Ok(());
        }
        self.connection.put(b'f', &[b"given up\0"])?;
        match self.conclude() {
            Ok(_) => Err(self
                .connection
                .fail(Fault::Violation("success of a COPY that was given up".to_owned()), None)),
            Err(WireError::Server(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sends what was collected, and looks whether the server has given up meanwhile.
    fn flush(&mut self) -> Result<(), WireError> {
        let connection = &mut *self.connection;
        let mut outgoing = std::mem::take(&mut connection.outgoing);
        // Cannot fail: a chunk is short.
        let sealed = seal(&mut outgoing).ok_or(WireError::TooLong);
        let answered = sealed.and_then(|()| {
            let sent = match outgoing.len() {
                HEADER_BYTES => Ok(()),
                _ => connection.channel.send(&outgoing),
            };
            sent.and_then(|()| connection.channel.take_in())
                .map_err(|fault| connection.fail(fault, None))
        });
        outgoing.truncate(HEADER_BYTES);
        connection.outgoing = outgoing;
        if answered? {
            // The server answers before the end only to refuse. What it still gets of this COPY it ignores.
            let tag = self.conclude()?;
            let tag = tag.as_str();
            return Err(self
                .connection
                .fail(Fault::Violation(format!("a COPY that ended early with {tag:?}")), None));
        }
        Ok(())
    }

    /// Reads the server's verdict.
    fn conclude(&mut self) -> Result<CommandTag, WireError> {
        self.over = true;
        self.connection.read_verdict()
    }
}

impl Drop for CopyIn<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.connection.break_off();
        }
    }
}

impl WireConnection {
    /// Runs a `COPY … TO STDOUT` in text format and hands every row to `on_row`, with its line feed.
    ///
    /// Each row is exactly one line, without carriage return or NUL, and none is `\.`: whatever the server sends, the
    /// lines can stand in a script. The rows are borrowed from the receive buffer. Gives the number of rows, which is
    /// also the server's.
    ///
    /// # Errors
    /// The server may fail after some rows: those that `on_row` got are to be thrown away then. An error of `on_row`,
    /// as every error but the server's, closes the connection.
    pub fn copy_out<E: From<WireError>>(
        &mut self,
        sql: &[u8],
        mut on_row: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<u64, E> {
        let server = self.server.clone();
        let mut rows = 0;
        self.copy_out_lines(sql, CsvHeader::Absent, |body| {
            rows += 1;
            if let Err(fault) = check_row(body) {
                let server = server.clone();
                return Err(WireError::BadRow {
                    server,
                    row: rows,
                    fault,
                }
                .into());
            }
            on_row(body)
        })
    }

    /// Runs a `COPY … TO STDOUT` in CSV format and hands its bytes to `on_bytes`: with the names of columns as first line
    /// if the statement says `HEADER`. A message of the server is a line of the file, which may have line ends in it.
    /// Gives the number of rows, which is also the server's, without that of the header.
    ///
    /// # Errors
    /// Those of [`Self::copy_out`], but for what a row may be.
    pub fn copy_out_csv<E: From<WireError>>(
        &mut self,
        sql: &[u8],
        header: CsvHeader,
        on_bytes: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<u64, E> {
        self.copy_out_lines(sql, header, on_bytes)
    }

    fn copy_out_lines<E: From<WireError>>(
        &mut self,
        sql: &[u8],
        header: CsvHeader,
        mut on_row: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<u64, E> {
        self.start(sql)?;
        self.read_start(Kind::Out)?;
        let mut rows = 0;
        let mut header_comes = header == CsvHeader::Present;
        loop {
            match self.channel.receive() {
                Ok(Frame { tag: b'd', body }) => {
                    rows += u64::from(!header_comes);
                    header_comes = false;
                    if let Err(error) = on_row(body) {
                        self.break_off();
                        return Err(error);
                    }
                }
                Ok(Frame { tag: b'c', .. }) => break,
                Ok(Frame { tag: b'E', body }) => {
                    let error = ServerError::parse(body);
                    return Err(self.refused(error).into());
                }
                Ok(Frame { tag, .. }) => {
                    return Err(self.fail(Fault::unexpected(tag, "among rows"), None).into());
                }
                Err(fault) => return Err(self.fail(fault, None).into()),
            }
        }
        let tag = self.read_verdict()?;
        if tag.rows() != Some(rows) || header_comes || !tag.as_str().starts_with("COPY ") {
            self.break_off();
            return Err(WireError::RowCount {
                server: self.server.clone(),
                received: rows,
                said: format!("{:?}", tag.as_str()),
            }
            .into());
        }
        Ok(rows)
    }

    /// Begins a `COPY … FROM STDIN` in text format.
    ///
    /// # Errors
    /// The server's refusal; [`WireError::NotACopy`] for another statement, which was carried out.
    pub fn copy_in(&mut self, sql: &[u8]) -> Result<CopyIn<'_>, WireError> {
        self.start(sql)?;
        self.read_start(Kind::In)?;
        Ok(CopyIn::new(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_line() {
        for (row, expected) in [
            (&b"1\tab\n"[..], Ok(())),
            (b"\n", Ok(())),
            (b"\\N\n", Ok(())),
            (b"\\\\.\n", Ok(())),
            (b"\\.x\n", Ok(())),
            (b"x\\.\n", Ok(())),
            (b"\\r\\n\n", Ok(())),
            (b"", Err(RowFault::NotOneLine)),
            (b"1\tab", Err(RowFault::NotOneLine)),
            (b"1\n2\n", Err(RowFault::NotOneLine)),
            (b"1\n\n", Err(RowFault::NotOneLine)),
            (b"\n\\.\n", Err(RowFault::NotOneLine)),
            (b"1\n2", Err(RowFault::NotOneLine)),
            (b"1\r\n", Err(RowFault::CarriageReturn)),
            (b"1\r2\n", Err(RowFault::CarriageReturn)),
            (b"\\.\n", Err(RowFault::EndMarker)),
            (b"\\.\r\n", Err(RowFault::EndMarker)),
            (b"\\.\r", Err(RowFault::EndMarker)),
            (b"\\.", Err(RowFault::NotOneLine)),
            (b"1\x002\n", Err(RowFault::Nul)),
            (b"\0\n", Err(RowFault::Nul)),
        ] {
            assert_eq!(check_row(row), expected, "{}", row.escape_ascii());
        }
    }
}
