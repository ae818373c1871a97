use super::copy::CopyTarget;
use super::lexer::StandardStrings;

/// One part of a script, in the order of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A `-- …` comment outside statements.
    Comment(Part<'a>),
    /// A statement that brings no rows.
    Statement(Statement<'a>),
    /// A psql command.
    Command(Command<'a>),
    /// A `COPY … FROM stdin`; its rows follow.
    CopyStart(CopyStart<'a>),
    /// Some of the rows of a `COPY`, whole ones.
    CopyRows(CopyRows<'a>),
    /// The `\.` that ends the rows of a `COPY`.
    CopyEnd(CopyEnd),
}

/// A piece of a script and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part<'a> {
    /// Blanks, newlines and `/* … */` comments between the part before and this one.
    pub leading: &'a [u8],
    /// The piece itself, without a newline at its end.
    pub text: &'a [u8],
    /// The line of its first byte, from 1.
    pub line: u64,
    /// How many bytes of the script stand before `text`.
    pub offset: u64,
}

/// A statement as psql would send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statement<'a> {
    /// From its first word up to and with its `;`; comments in it stay.
    pub part: Part<'a>,
    /// What ended it.
    pub ended_by: EndedBy,
    /// How its plain literals have to be read; follows `SET standard_conforming_strings` in the script.
    pub standard_strings: StandardStrings,
}

/// What ends a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "psql knows no third way")]
pub enum EndedBy {
    /// Its `;`.
    Semicolon,
    /// A psql command behind it, such as `\gexec`, that does something with the text so far; it comes next.
    Command,
}

/// A psql command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Command<'a> {
    /// From its backslash to its end, which is that of the line or where another command begins.
    pub part: Part<'a>,
    /// The name behind the backslash; `.` for a `\.` outside rows.
    pub name: &'a [u8],
    /// What stands behind the name, as written, without blanks around it.
    pub arguments: &'a [u8],
}

/// The statement of a `COPY … FROM stdin`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyStart<'a> {
    /// From `COPY` up to and with its `;`.
    pub part: Part<'a>,
    /// Where the rows go.
    pub target: CopyTarget,
}

/// Rows of a `COPY`, as they are to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyRows<'a> {
    /// Whole lines, each with its newline; not empty. In CSV a row may have several lines and go on in the next block.
    pub bytes: &'a [u8],
    /// How many lines.
    pub count: u64,
    /// The line of the first one, from 1.
    pub line: u64,
    /// How many bytes of the script stand before them.
    pub offset: u64,
}

/// The end of the rows of a `COPY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyEnd {
    /// How many rows there were; lines in CSV.
    pub rows: u64,
    /// How many bytes they had.
    pub bytes: u64,
    /// The line of the `\.`, from 1.
    pub line: u64,
}
