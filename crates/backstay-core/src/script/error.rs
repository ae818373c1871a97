use std::io;

use super::lexer::Open;

/// Why a script cannot be read further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The source failed.
    #[error("cannot read the script behind line {line}")]
    Source {
        /// The last line of which something was read.
        line: u64,
        /// What the source said.
        source: io::Error,
    },
    /// The script ends in the middle of something.
    #[error("line {line}: the script ends in what begins here: {open}")]
    Unfinished {
        /// Where the statement or comment begins.
        line: u64,
        /// What is open.
        open: Open,
    },
    /// The script ends in the rows of a `COPY`: there is no `\.`.
    #[error("line {line}: the script ends in the rows of this COPY")]
    CopyNotEnded {
        /// Where the `COPY` begins.
        line: u64,
    },
    /// A statement, or the line that it ends in, is too long.
    #[error("line {line}: a statement is longer than {bytes_max} bytes")]
    StatementTooLong {
        /// Where the statement, or what stands before it, begins.
        line: u64,
        /// The limit.
        bytes_max: usize,
    },
    /// A row is too long.
    #[error("line {line}: a row is longer than {bytes_max} bytes")]
    RowTooLong {
        /// Where the row is.
        line: u64,
        /// The limit.
        bytes_max: usize,
    },
    /// Text has no such byte; a damaged file has.
    #[error("line {line}: a NUL byte")]
    NulByte {
        /// Where.
        line: u64,
    },
    /// Binary rows cannot stand in a script.
    #[error("line {line}: a COPY of binary rows")]
    BinaryCopy {
        /// Where the `COPY` begins.
        line: u64,
    },
    /// Rows follow, but not where they go could be understood.
    #[error("line {line}: a COPY that is not understood")]
    UnknownCopy {
        /// Where the `COPY` begins.
        line: u64,
    },
    /// psql would run what stands behind a `COPY` in its line only after the rows.
    #[error("line {line}: another statement behind COPY in one line")]
    TextBehindCopy {
        /// Where the `COPY` begins.
        line: u64,
    },
    /// The rows of a `\copy … from stdin` cannot be told from statements without running it.
    #[error("line {line}: a \\copy with its rows in the script")]
    ClientCopy {
        /// Where.
        line: u64,
    },
}
