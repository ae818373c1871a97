use std::io::{self, Read};
use std::ops::Range;

use memchr::{memchr, memchr_iter, memmem, memrchr};

use super::copy::{CopyFormat, CopyTarget, expects_rows};
use super::error::ReadError;
use super::event::{Command, CopyEnd, CopyRows, CopyStart, EndedBy, Event, Part, Statement};
use super::lexer::{Lexer, Open, StandardStrings, TokenKind, is_blank};
use super::tokens::{Pieces, is_skipped};

const READ_BYTES: usize = 64 << 10;
const BLOCK_BYTES: usize = 1 << 20;
/// A buffer larger than this is given back once its long row or statement is over.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// What a [`ScriptReader`] refuses to hold in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair of limits")]
pub struct Limits {
    /// The longest statement, in bytes, with what stands before it and with the rest of the line that it ends in.
    pub statement_bytes_max: usize,
    /// The longest row, in bytes; for less than a block (1 MiB) it is not exact.
    pub row_bytes_max: usize,
}

impl Default for Limits {
    /// 256 MiB for a statement. For a row 1 GiB, the most that a server takes in one, and 1 MiB more.
    fn default() -> Self {
        Self {
            statement_bytes_max: 256 << 20,
            row_bytes_max: (1 << 30) + (1 << 20),
        }
    }
}

/// Reads a script of any length as psql would, in bounded memory.
///
/// The parts come in order, and together they are the script, but for blanks and comments behind a `COPY` in its line
/// and at the very end. psql learns from the server that rows follow a statement; here [`CopyTarget::of_statement`]
/// knows it. Of the settings that change how psql reads, `SET standard_conforming_strings` is followed.
///
/// Commands are told, never obeyed: not `\if` either, so both of its branches come. A statement that a command cuts off is
/// told as such, and what comes behind the command is read as a new statement.
#[derive(Debug)]
pub struct ScriptReader<R> {
    source: R,
    limits: Limits,
    /// `buffer[start..end]` was read and not given out yet.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    source_ended: bool,
    /// Of `start`.
    offset: u64,
    line: u64,
    /// Up to where the lexer has read, and where that line ends, if its end has been read.
    lexed: usize,
    line_end: Option<usize>,
    /// Where the statement begins that is being read.
    statement_start: Option<usize>,
    lexer: Lexer,
    /// The setting for the lines to come.
    standard_strings: StandardStrings,
    copy: Option<CopyState>,
    spent: bool,
}

#[derive(Clone, Copy, Debug)]
struct CopyState {
    line: u64,
    rows: u64,
    bytes: u64,
}

impl<R: Read> ScriptReader<R> {
    /// Reads plain text; for what may be compressed see [`open`](super::open).
    pub fn new(source: R) -> Self {
        Self::with_limits(source, Limits::default())
    }

    /// The same with limits of one's own.
    pub fn with_limits(source: R, limits: Limits) -> Self {
        Self {
            source,
            limits,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            source_ended: false,
            offset: 0,
            line: 1,
            lexed: 0,
            line_end: None,
            statement_start: None,
            lexer: Lexer::new(StandardStrings::On),
            standard_strings: StandardStrings::On,
            copy: None,
            spent: false,
        }
    }

    /// The next part; `None` at the end of a script that ends well.
    ///
    /// # Errors
    /// See [`ReadError`]. After an error there is no next part.
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, ReadError> {
        if self.spent {
            return Ok(None);
        }
        // The reader is spent unless the step says otherwise.
        self.spent = true;
        let step = match self.copy {
            Some(copy) => self.copy_step(copy)?,
            None => self.sql_step()?,
        };
        self.spent = matches!(step, Step::End);
        Ok(self.event(step))
    }

    /// How many bytes of the script have been given out.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Finds the next comment, statement or command.
    fn sql_step(&mut self) -> Result<Step, ReadError> {
        loop {
            let line_end = self.line_end()?;
            let Some(token) = self.lexer.next(&self.buffer[self.lexed..line_end], 0) else {
                if line_end == self.end {
                    return self.end_of_script();
                }
                self.lexed = line_end + 1;
                self.line_end = None;
                self.lexer.set_standard_strings(self.standard_strings);
                continue;
            };
            let at = self.lexed;
            let behind = at + token.end;
            if token.kind == TokenKind::Backslash {
                return match self.statement_start.take() {
                    Some(start) => {
                        self.lexer.reset();
                        let part = self.take(start..at, at);
                        Ok(Step::Statement(part, EndedBy::Command))
                    }
                    None => self.command(at, line_end),
                };
            }
            self.lexed = behind;
            if token.kind == TokenKind::LineComment && self.statement_start.is_none() {
                return Ok(Step::Comment(self.take(at..behind, behind)));
            }
            if !is_skipped(token.kind) {
                self.statement_start.get_or_insert(at);
            }
            if token.kind == TokenKind::StatementEnd {
                let start = self.statement_start.take().unwrap_or(at);
                return self.statement(start..behind, line_end);
            }
        }
    }

    /// Where the line ends that the lexer is in: at its newline, or where the script ends.
    fn line_end(&mut self) -> Result<usize, ReadError> {
        if let Some(line_end) = self.line_end {
            return Ok(line_end);
        }
        if self.offset == 0 && self.lexed == self.start {
            self.skip_byte_order_mark()?;
        }
        let mut searched = self.lexed - self.start;
        loop {
            let found = memchr(b'\n', &self.buffer[self.start + searched..self.end]);
            let line_end = found.map_or(self.end, |found| self.start + searched + found);
            if line_end - self.start > self.limits.statement_bytes_max {
                return Err(ReadError::StatementTooLong {
                    line: self.line,
                    bytes_max: self.limits.statement_bytes_max,
                });
            }
            if found.is_some() || self.source_ended {
                if let Some(at) = memchr(0, &self.buffer[self.lexed..line_end]) {
                    let line = self.line_of(self.lexed + at);
                    return Err(ReadError::NulByte { line });
                }
                self.line_end = Some(line_end);
                return Ok(line_end);
            }
            searched = self.end - self.start;
            self.read_more()?;
        }
    }

    /// psql ignores the mark that some editors put in front of UTF-8.
    fn skip_byte_order_mark(&mut self) -> Result<(), ReadError> {
        while self.end - self.start < 3 && !self.source_ended {
            self.read_more()?;
        }
        if self.buffer[self.start..self.end].starts_with(b"\xef\xbb\xbf") {
            self.lexed = self.start + 3;
        }
        Ok(())
    }

    fn statement(&mut self, range: Range<usize>, line_end: usize) -> Result<Step, ReadError> {
        let text = &self.buffer[range.clone()];
        if !expects_rows(text) {
            if let Some(setting) = standard_strings_set(text, self.lexer.standard_strings()) {
                self.standard_strings = setting;
            }
            let behind = range.end;
            return Ok(Step::Statement(self.take(range, behind), EndedBy::Semicolon));
        }
        let line = self.line_of(range.start);
        let target = CopyTarget::of_statement(text).ok_or(ReadError::UnknownCopy { line })?;
        if target.format == CopyFormat::Binary {
            return Err(ReadError::BinaryCopy { line });
        }
        // The rows begin in the next line, and only then would psql come to what stands here.
        let tail = self.buffer[range.end..line_end].trim_ascii();
        if !tail.is_empty() && !tail.starts_with(b"--") {
            return Err(ReadError::TextBehindCopy { line });
        }
        self.copy = Some(CopyState {
            line,
            rows: 0,
            bytes: 0,
        });
        let behind = (line_end + 1).min(self.end);
        Ok(Step::CopyStart(self.take(range, behind), target))
    }

    fn command(&mut self, at: usize, line_end: usize) -> Result<Step, ReadError> {
        let text = &self.buffer[at..line_end];
        let name_len = 1 + text[1..]
            .iter()
            .position(|&b| is_blank(b) || b == b'\\')
            .unwrap_or(text.len() - 1);
        let len = match &text[1..name_len] {
            // These take the whole line.
            b"!" | b"copy" | b"h" | b"help" | b"ef" | b"ev" | b"sf" | b"sv" => text.len(),
            _ => name_len + arguments_len(&text[name_len..]),
        };
        if &text[1..name_len] == b"copy" && copies_from_script(&text[name_len..len]) {
            return Err(ReadError::ClientCopy { line: self.line_of(at) });
        }
        // Two backslashes end a command and stand for nothing.
        let separator_len = if text[len..].starts_with(b"\\\\") { 2 } else { 0 };
        let len = len + separator_len;
        let part = self.take(at..at + len, at + len);
        Ok(Step::Command {
            part,
            name_len,
            separator_len,
        })
    }

    fn end_of_script(&mut self) -> Result<Step, ReadError> {
        let open = self.lexer.open().or(self.statement_start.map(|_| Open::Statement));
        let Some(open) = open else {
            return Ok(Step::End);
        };
        let rest = &self.buffer[self.start..self.end];
        let first = rest.iter().position(|&b| !is_blank(b)).unwrap_or(0);
        let began = self.statement_start.unwrap_or(self.start + first);
        Err(ReadError::Unfinished {
            line: self.line_of(began),
            open,
        })
    }

    /// Finds the next block of rows, or their end.
    fn copy_step(&mut self, mut copy: CopyState) -> Result<Step, ReadError> {
        let mut wanted = BLOCK_BYTES;
        let len = loop {
            while self.end - self.start < wanted && !self.source_ended {
                self.read_more()?;
            }
            let window_end = self.end.min(self.start + wanted);
            let unread = &self.buffer[self.start..window_end];
            let is_all = self.source_ended && window_end == self.end;
            match rows_len(unread, is_all) {
                Rows::Some(len) => break len,
                Rows::Terminator(len) => {
                    self.copy = None;
                    self.lexer.set_standard_strings(self.standard_strings);
                    let part = self.take(self.start..self.start + len, self.start + len);
                    return Ok(Step::CopyEnd(CopyEnd {
                        rows: copy.rows,
                        bytes: copy.bytes,
                        line: part.line,
                    }));
                }
                Rows::Unknown if is_all => return Err(ReadError::CopyNotEnded { line: copy.line }),
                Rows::Unknown => {}
            }
            if unread.len() > self.limits.row_bytes_max {
                return Err(self.row_too_long());
            }
            wanted = unread.len() * 2;
        };
        let rows = &self.buffer[self.start..self.start + len];
        if memchr(b'\n', rows).is_some_and(|at| at > self.limits.row_bytes_max) {
            return Err(self.row_too_long());
        }
        if let Some(at) = memchr(0, rows) {
            let line = self.line_of(self.start + at);
            return Err(ReadError::NulByte { line });
        }
        let part = self.take(self.start..self.start + len, self.start + len);
        let count = self.line - part.line;
        copy.rows += count;
        copy.bytes += len as u64;
        self.copy = Some(copy);
        Ok(Step::CopyRows(part, count))
    }

    fn row_too_long(&self) -> ReadError {
        ReadError::RowTooLong {
            line: self.line,
            bytes_max: self.limits.row_bytes_max,
        }
    }

    fn line_of(&self, at: usize) -> u64 {
        self.line + memchr_iter(b'\n', &self.buffer[self.start..at]).count() as u64
    }

    /// Gives out the bytes up to `behind`, of which `text` are the part and what is before them leads it.
    fn take(&mut self, text: Range<usize>, behind: usize) -> Place {
        let place = Place {
            leading: self.start..text.start,
            line: self.line_of(text.start),
            offset: self.offset + (text.start - self.start) as u64,
            text,
        };
        self.line = self.line_of(behind);
        self.offset += (behind - self.start) as u64;
        self.start = behind;
        self.lexed = behind;
        if self.line_end.is_some_and(|line_end| behind > line_end) || self.copy.is_some() {
            self.line_end = None;
        }
        place
    }

    fn read_more(&mut self) -> Result<(), ReadError> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.lexed -= self.start;
            self.statement_start = self.statement_start.map(|at| at - self.start);
            self.end -= self.start;
            self.start = 0;
        }
        let len_wanted = self.end + READ_BYTES;
        if self.buffer.len() > KEPT_BYTES_MAX && len_wanted < BLOCK_BYTES * 2 {
            self.buffer.truncate(len_wanted);
            self.buffer.shrink_to_fit();
        }
        if self.buffer.len() < len_wanted {
            let len_max = BLOCK_BYTES + self.limits.statement_bytes_max.max(self.limits.row_bytes_max);
            let len = len_wanted.max(len_max.min(self.buffer.len() * 2));
            self.buffer.resize(len, 0);
        }
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.source_ended = true,
                Ok(len) => self.end += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    let line = self.line_of(self.end);
                    return Err(ReadError::Source { line, source });
                }
            }
            return Ok(());
        }
    }

    fn event(&self, step: Step) -> Option<Event<'_>> {
        let part = |place: Place| Part {
            leading: &self.buffer[place.leading],
            text: &self.buffer[place.text],
            line: place.line,
            offset: place.offset,
        };
        Some(match step {
            Step::End => return None,
            Step::Comment(place) => Event::Comment(part(place)),
            Step::Statement(place, ended_by) => Event::Statement(Statement {
                part: part(place),
                ended_by,
                standard_strings: self.lexer.standard_strings(),
            }),
            Step::Command {
                part: place,
                name_len,
                separator_len,
            } => {
                let part = part(place);
                Event::Command(Command {
                    part,
                    name: &part.text[1..name_len],
                    arguments: part.text[name_len..part.text.len() - separator_len].trim_ascii(),
                })
            }
            Step::CopyStart(place, target) => Event::CopyStart(CopyStart {
                part: part(place),
                target,
            }),
            Step::CopyRows(place, count) => Event::CopyRows(CopyRows {
                bytes: &self.buffer[place.text],
                count,
                line: place.line,
                offset: place.offset,
            }),
            Step::CopyEnd(end) => Event::CopyEnd(end),
        })
    }
}

/// An event before its bytes are borrowed.
enum Step {
    Comment(Place),
    Statement(Place, EndedBy),
    Command {
        part: Place,
        name_len: usize,
        separator_len: usize,
    },
    CopyStart(Place, CopyTarget),
    CopyRows(Place, u64),
    CopyEnd(CopyEnd),
    End,
}

struct Place {
    leading: Range<usize>,
    text: Range<usize>,
    line: u64,
    offset: u64,
}

/// What the bytes behind a `COPY`, or behind one of its rows, begin with.
enum Rows {
    /// So many bytes of whole rows.
    Some(usize),
    /// The `\.` line, of so many bytes.
    Terminator(usize),
    /// More has to be read.
    Unknown,
}

fn rows_len(unread: &[u8], is_all: bool) -> Rows {
    match terminator_len(unread, is_all) {
        Some(0) => {}
        Some(len) => return Rows::Terminator(len),
        None => return Rows::Unknown,
    }
    let terminator =
        memmem::find_iter(unread, b"\n\\.").find(|at| terminator_len(&unread[at + 1..], is_all) != Some(0));
    match terminator.or_else(|| memrchr(b'\n', unread)) {
        Some(newline) => Rows::Some(newline + 1),
        None => Rows::Unknown,
    }
}

/// Length of the `\.` line that the bytes begin with, 0 if they do not; `None` where too few of them are there to tell.
fn terminator_len(bytes: &[u8], is_all: bool) -> Option<usize> {
    const LONGEST: &[u8] = b"\\.\r\n";
    for line in [LONGEST, b"\\.\n"] {
        if bytes.starts_with(line) {
            return Some(line.len());
        }
    }
    if !LONGEST.starts_with(bytes) {
        return Some(0);
    }
    match (is_all, bytes.len()) {
        (false, _) => None,
        // The last line of a script may lack its newline.
        (true, len @ 2..) => Some(len),
        (true, _) => Some(0),
    }
}

/// Length of the arguments of a command: up to a backslash outside quotes, or the end of the line.
fn arguments_len(text: &[u8]) -> usize {
    let mut quote = None;
    let mut escaped = false;
    for (at, &b) in text.iter().enumerate() {
        match quote {
            None if b == b'\\' => return at,
            None if matches!(b, b'\'' | b'"' | b'`') => quote = Some(b),
            Some(b'\'') if b == b'\\' && !escaped => {
                escaped = true;
                continue;
            }
            Some(open) if open == b && !escaped => quote = None,
            _ => {}
        }
        escaped = false;
    }
    text.len()
}

/// Whether a `\copy` with these arguments takes its rows from the lines behind it.
fn copies_from_script(arguments: &[u8]) -> bool {
    Pieces::new(arguments, StandardStrings::On).any(|piece| piece.is_word("stdin"))
}

/// The value that a statement gives to `standard_conforming_strings`, if it does.
fn standard_strings_set(statement: &[u8], current: StandardStrings) -> Option<StandardStrings> {
    let mut pieces = Pieces::new(statement, current).peekable();
    pieces.next_if(|piece| piece.is_word("set"))?;
    pieces.next_if(|piece| piece.is_word("session") || piece.is_word("local"));
    pieces.next_if(|piece| piece.is_word("standard_conforming_strings"))?;
    pieces.next_if(|piece| piece.is_symbol("=") || piece.is_word("to"))?;
    let value = pieces.next()?.text;
    let value = value.strip_prefix(b"'").unwrap_or(value);
    let value = value.strip_suffix(b"'").unwrap_or(value);
    let is_one_of = |words: [&str; 4]| words.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()));
    if is_one_of(["off", "false", "no", "0"]) {
        Some(StandardStrings::Off)
    } else if is_one_of(["on", "true", "yes", "1"]) || value.eq_ignore_ascii_case(b"default") {
        Some(StandardStrings::On)
    } else {
        None
    }
}
