mod header;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use self::header::Header;
use super::copy::qualified_name;
use super::error::ReadError;
use super::event::{Command, Event, Statement};
use super::lexer::TokenKind;
use super::name::{Name, QualifiedName};
use super::reader::ScriptReader;
use super::tokens::Pieces;

/// The most entries, tables, extensions or commands that an outline keeps of each.
const KEPT_MAX: usize = 1 << 20;

/// What a script holds, such as a dump that `pg_dump | gzip` left: told from `pg_dump`'s comments, the rows behind `COPY`
/// and a few kinds of statements. Nothing is run.
///
/// Of more than 1,048,576 entries, tables, extensions or commands each, the rest is only counted.
#[derive(Debug, Default)]
pub struct Outline {
    server_version: Option<String>,
    dumper_version: Option<String>,
    dumps_begun: u64,
    dumps_complete: u64,
    entries: Vec<OutlineEntry>,
    tables: BTreeMap<QualifiedName, TableRows>,
    row_security: BTreeSet<QualifiedName>,
    extensions: BTreeSet<Name>,
    statement_count: u64,
    commands: Vec<OutlineCommand>,
    restricts: Restricts,
    left_out: u64,
    /// The schema and name of the comment read last, for scripts that leave schemas to `search_path`.
    last_entry: Option<QualifiedName>,
    copying: Option<QualifiedName>,
    error: Option<ReadError>,
}

/// An entry of `pg_dump`'s table of contents, from the comment before it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutlineEntry {
    /// Its kind in `pg_dump`'s words: `TABLE`, `INDEX`, `FK CONSTRAINT`, `ROW SECURITY`, `TABLE DATA`, …
    pub kind: String,
    /// The schema that it is in, if it is in one.
    pub schema: Option<Name>,
    /// Its name. A function has its argument types behind it; policies, triggers and constraints have the table's name
    /// and a space before theirs.
    pub name: Name,
    /// Its owner, if the dump tells owners.
    pub owner: Option<Name>,
    /// The line of the comment.
    pub line: u64,
}

/// The rows that a script brings for one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableRows {
    /// Rows behind `COPY` and in `VALUES` of `INSERT`; for CSV lines.
    pub rows: u64,
    /// Bytes of the rows behind `COPY` and of whole `INSERT` statements.
    pub bytes: u64,
}

/// A psql command in a script.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutlineCommand {
    /// Its name, without the backslash.
    pub name: Name,
    /// Where it is.
    pub line: u64,
}

/// Why a script may not be a whole dump.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Incomplete {
    /// `pg_dump`'s first comment is missing: the script is from something else, or its beginning is lost. Nothing then
    /// tells its end.
    #[error("not a dump of pg_dump: its first comment is missing")]
    NoHeader,
    /// `pg_dump`'s last comment is missing: the dump was cut off or never finished.
    #[error("the comment with which pg_dump ends is missing")]
    NoCompletionMarker,
    /// The script ends in the rows of a table.
    #[error("line {line}: the rows of {table} have no end")]
    CopyNotEnded {
        /// The table.
        table: QualifiedName,
        /// Where the `COPY` begins.
        line: u64,
    },
    /// The script ends in a statement or comment.
    #[error("line {line}: what begins here has no end")]
    StatementNotEnded {
        /// Where it begins.
        line: u64,
    },
    /// The script cannot be read to its end; [`Outline::error`] says why.
    #[error("the script cannot be read to its end")]
    Unreadable,
    /// A `\restrict` without its `\unrestrict`.
    #[error("line {line}: \\restrict without \\unrestrict")]
    RestrictNotEnded {
        /// Where the `\restrict` is.
        line: u64,
    },
    /// A `\unrestrict` without a `\restrict` of the same token before it.
    #[error("line {line}: \\unrestrict without its \\restrict")]
    UnrestrictMismatch {
        /// Where the `\unrestrict` is.
        line: u64,
    },
}

/// `\restrict` and `\unrestrict` as they come.
#[derive(Debug, Default)]
struct Restricts {
    pairs: u64,
    open: Option<(Vec<u8>, u64)>,
    problems: Vec<Incomplete>,
}

impl Outline {
    /// Reads a script to its end, or to where it cannot be read further: then [`Outline::error`] says why, and
    /// [`Outline::completeness`] has it too.
    pub fn read<R: Read>(mut reader: ScriptReader<R>) -> Self {
        let mut outline = Self::default();
        loop {
            match reader.next_event() {
                Ok(Some(event)) => outline.observe(&event),
                Ok(None) => return outline,
                Err(error) => {
                    outline.stop(error);
                    return outline;
                }
            }
        }
    }

    /// Takes note of the next part; for those who do something else with the parts at the same time.
    pub fn observe(&mut self, event: &Event<'_>) {
        match event {
            Event::Comment(part) => self.comment(part.text, part.line),
            Event::Statement(statement) => {
                self.statement_count += 1;
                self.statement(statement);
            }
            Event::Command(command) => self.command(command),
            Event::CopyStart(copy) => {
                self.statement_count += 1;
                let table = self.resolved(copy.target.table.clone());
                self.add_rows(table.clone(), TableRows::default());
                self.copying = Some(table);
            }
            Event::CopyRows(rows) => {
                if let Some(table) = self.copying.clone() {
                    let rows = TableRows {
                        rows: rows.count,
                        bytes: rows.bytes.len() as u64,
                    };
                    self.add_rows(table, rows);
                }
            }
            Event::CopyEnd(_) => self.copying = None,
        }
    }

    /// Takes note that the script cannot be read further.
    pub fn stop(&mut self, error: ReadError) {
        self.error = Some(error);
    }

    /// Why the script could not be read to its end.
    #[must_use]
    pub fn error(&self) -> Option<&ReadError> {
        self.error.as_ref()
    }

    /// The version of the server, as `pg_dump` wrote it; of several dumps the last.
    #[must_use]
    pub fn server_version(&self) -> Option<&str> {
        self.server_version.as_deref()
    }

    /// The version of `pg_dump`.
    #[must_use]
    pub fn dumper_version(&self) -> Option<&str> {
        self.dumper_version.as_deref()
    }

    /// The entries of `pg_dump`'s table of contents, in the order of the script.
    #[must_use]
    pub fn entries(&self) -> &[OutlineEntry] {
        &self.entries
    }

    /// The entries of one kind, in `pg_dump`'s words.
    pub fn entries_of(&self, kind: &str) -> impl Iterator<Item = &OutlineEntry> {
        self.entries.iter().filter(move |entry| entry.kind == kind)
    }

    /// The tables that the script brings rows for, or a `COPY` without any.
    #[must_use]
    pub fn tables(&self) -> &BTreeMap<QualifiedName, TableRows> {
        &self.tables
    }

    /// The tables for which the script enables row-level security.
    #[must_use]
    pub fn row_security(&self) -> &BTreeSet<QualifiedName> {
        &self.row_security
    }

    /// The extensions that the script creates.
    #[must_use]
    pub fn extensions(&self) -> &BTreeSet<Name> {
        &self.extensions
    }

    /// How many statements there are, `COPY` included.
    #[must_use]
    pub fn statement_count(&self) -> u64 {
        self.statement_count
    }

    /// The psql commands that a restore without psql does not run, in order: all but `\restrict` and `\unrestrict`.
    #[must_use]
    pub fn commands(&self) -> &[OutlineCommand] {
        &self.commands
    }

    /// How many pairs of `\restrict` and `\unrestrict` with equal tokens there are.
    #[must_use]
    pub fn restrict_pairs(&self) -> u64 {
        self.restricts.pairs
    }

    /// How many entries, tables, extensions and commands were beyond the limit and are missing here.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Whether every dump in the script (`pg_dumpall` writes several) ends with `pg_dump`'s last comment.
    #[must_use]
    pub fn is_marked_complete(&self) -> bool {
        self.dumps_begun > 0 && self.dumps_complete >= self.dumps_begun
    }

    /// What speaks against the script being a whole dump; nothing for a whole one.
    #[must_use]
    pub fn completeness(&self) -> Vec<Incomplete> {
        let mut problems = Vec::new();
        if self.dumps_begun == 0 {
            problems.push(Incomplete::NoHeader);
        } else if !self.is_marked_complete() {
            problems.push(Incomplete::NoCompletionMarker);
        }
        problems.extend(self.error.as_ref().map(|error| match (error, &self.copying) {
            (&ReadError::CopyNotEnded { line }, Some(table)) => Incomplete::CopyNotEnded {
                table: table.clone(),
                line,
            },
            (&ReadError::Unfinished { line, .. }, _) => Incomplete::StatementNotEnded { line },
            _ => Incomplete::Unreadable,
        }));
        problems.extend_from_slice(&self.restricts.problems);
        if let Some((_, line)) = self.restricts.open {
            problems.push(Incomplete::RestrictNotEnded { line });
        }
        problems
    }

    fn comment(&mut self, text: &[u8], line: u64) {
        match Header::parse(text, line) {
            None => {}
            Some(Header::Begin) => self.dumps_begun += 1,
            Some(Header::Complete) => self.dumps_complete += 1,
            Some(Header::ServerVersion(version)) => self.server_version = Some(version),
            Some(Header::DumperVersion(version)) => self.dumper_version = Some(version),
            Some(Header::Entry(entry)) => {
                self.last_entry = Some(QualifiedName {
                    schema: entry.schema.clone(),
                    name: entry.name.clone(),
                });
                if self.entries.len() < KEPT_MAX {
                    self.entries.push(entry);
                } else {
                    self.left_out += 1;
                }
            }
        }
    }

    fn command(&mut self, command: &Command<'_>) {
        let line = command.part.line;
        match command.name {
            b"restrict" => self.restricts.begin(command.arguments, line),
            b"unrestrict" => self.restricts.end(command.arguments, line),
            _ if self.commands.len() < KEPT_MAX => self.commands.push(OutlineCommand {
                name: Name::new(command.name),
                line,
            }),
            _ => self.left_out += 1,
        }
    }

    /// Understands the few statements that matter here.
    fn statement(&mut self, statement: &Statement<'_>) -> Option<()> {
        let text = statement.part.text;
        let mut pieces = Pieces::new(text, statement.standard_strings).peekable();
        let verb = pieces.next()?;
        let object = pieces.next()?;
        if verb.is_word("insert") && object.is_word("into") {
            let table = qualified_name(pieces.next()?, &mut pieces)?;
            let rows = TableRows {
                rows: inserted_rows(pieces),
                bytes: text.len() as u64,
            };
            let table = self.resolved(table);
            self.add_rows(table, rows);
        } else if verb.is_word("create") && object.is_word("extension") {
            skip_words(&mut pieces, &["if", "not", "exists"]);
            let name = Name::of(pieces.next()?)?;
            if self.extensions.len() < KEPT_MAX {
                self.extensions.insert(name);
            } else {
                self.left_out += 1;
            }
        } else if verb.is_word("alter") && object.is_word("table") {
            skip_words(&mut pieces, &["if", "exists", "only"]);
            let table = qualified_name(pieces.next()?, &mut pieces)?;
            for word in ["enable", "row", "level", "security"] {
                pieces.next_if(|piece| piece.is_word(word))?;
            }
            let table = self.resolved(table);
            if self.row_security.len() < KEPT_MAX {
                self.row_security.insert(table);
            } else {
                self.left_out += 1;
            }
        }
        Some(())
    }

    /// The table with its schema from the comment before it, where the statement has none.
    fn resolved(&self, table: QualifiedName) -> QualifiedName {
        match &self.last_entry {
            Some(entry) if table.schema.is_none() && entry.name == table.name => entry.clone(),
            _ => table,
        }
    }

    fn add_rows(&mut self, table: QualifiedName, more: TableRows) {
        if self.tables.len() >= KEPT_MAX && !self.tables.contains_key(&table) {
            self.left_out += 1;
            return;
        }
        let sum = self.tables.entry(table).or_default();
        sum.rows += more.rows;
        sum.bytes += more.bytes;
    }
}

impl Restricts {
    fn begin(&mut self, token: &[u8], line: u64) {
        if let Some((_, line)) = self.open.replace((token.to_vec(), line)) {
            self.problem(Incomplete::RestrictNotEnded { line });
        }
    }

    fn end(&mut self, token: &[u8], line: u64) {
        match self.open.take() {
            Some((open, _)) if open == token && !token.is_empty() => self.pairs += 1,
            open => {
                self.open = open;
                self.problem(Incomplete::UnrestrictMismatch { line });
            }
        }
    }

    fn problem(&mut self, problem: Incomplete) {
        const PROBLEMS_MAX: usize = 100;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }
}

fn skip_words<'a>(pieces: &mut std::iter::Peekable<Pieces<'a>>, words: &[&str]) {
    for word in words {
        pieces.next_if(|piece| piece.is_word(word));
    }
}

/// How many rows the rest of an `INSERT` has behind `VALUES`.
fn inserted_rows<'a>(pieces: impl Iterator<Item = super::tokens::Piece<'a>>) -> u64 {
    let mut depth = 0_usize;
    let mut rows = 0;
    let mut in_values = false;
    for piece in pieces {
        if piece.is_symbol("(") {
            if in_values && depth == 0 {
                rows += 1;
            }
            depth += 1;
        } else if piece.is_symbol(")") {
            depth = depth.saturating_sub(1);
        } else if depth == 0 && piece.kind == TokenKind::Word {
            if in_values || piece.is_word("default") {
                // `DEFAULT VALUES` is one row; a word behind the values is `ON CONFLICT` or `RETURNING`.
                return rows.max(u64::from(!in_values));
            }
            in_values = piece.is_word("values");
        }
    }
    rows
}
