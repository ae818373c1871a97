//! Which statements bring rows with them.

use std::iter::Peekable;

use super::lexer::StandardStrings;
use super::name::{Name, QualifiedName};
use super::tokens::{Piece, Pieces};

/// How the rows behind a `COPY … FROM stdin` are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CopyFormat {
    /// The server's own text format.
    #[default]
    Text,
    /// Comma-separated values.
    Csv,
    /// Binary, which no script can hold.
    Binary,
}

/// Where the rows behind a `COPY … FROM stdin` go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyTarget {
    /// The table.
    pub table: QualifiedName,
    /// The columns as listed; `None` where there is no list.
    pub columns: Option<Vec<Name>>,
    /// How the rows are written.
    pub format: CopyFormat,
}

impl CopyTarget {
    /// Understands a statement if it is a `COPY … FROM stdin`, in any of the syntaxes that servers since 7.3 take:
    /// with options in parentheses, with options as words, with `BINARY` in front and `WITH OIDS` before `FROM`.
    ///
    /// The check is not the server's grammar: it is tolerant of what comes behind `stdin`. A name written as `U&"…"`
    /// keeps its escapes.
    #[must_use]
    pub fn of_statement(statement: &[u8]) -> Option<Self> {
        // A COPY has literals only where the server takes options, and those decide nothing here but the format.
        let mut pieces = Pieces::new(statement, StandardStrings::On).peekable();
        pieces.next_if(|piece| piece.is_word("copy"))?;
        let mut format = CopyFormat::Text;
        let mut name = pieces.next()?;
        if name.is_word("binary") && !pieces.peek()?.is_symbol(".") && !pieces.peek()?.is_word("from") {
            format = CopyFormat::Binary;
            name = pieces.next()?;
        }
        let table = qualified_name(name, &mut pieces)?;
        let columns = match pieces.next_if(|piece| piece.is_symbol("(")) {
            Some(_) => Some(column_list(&mut pieces)?),
            None => None,
        };
        if pieces.next_if(|piece| piece.is_word("with")).is_some() {
            pieces.next_if(|piece| piece.is_word("oids"))?;
        }
        pieces.next_if(|piece| piece.is_word("from"))?;
        // The grammar takes either word in either direction.
        pieces.next_if(|piece| piece.is_word("stdin") || piece.is_word("stdout"))?;
        if let Some(option) = format_option(&mut pieces) {
            format = option;
        }
        Some(Self { table, columns, format })
    }
}

/// The name that begins with `first`; of three parts, catalog, schema and table, the first says nothing.
pub(super) fn qualified_name<'a>(
    first: Piece<'a>,
    pieces: &mut Peekable<impl Iterator<Item = Piece<'a>>>,
) -> Option<QualifiedName> {
    let mut schema = None;
    let mut name = Name::of(first)?;
    while pieces.next_if(|piece| piece.is_symbol(".")).is_some() {
        schema = Some(name);
        name = Name::of(pieces.next()?)?;
    }
    Some(QualifiedName { schema, name })
}

/// Whether the server would wait for rows after this statement, understood by [`CopyTarget::of_statement`] or not.
pub(super) fn expects_rows(statement: &[u8]) -> bool {
    let mut pieces = Pieces::new(statement, StandardStrings::On);
    if !pieces.next().is_some_and(|piece| piece.is_word("copy")) {
        return false;
    }
    let mut depth = 0_usize;
    let mut behind_from = false;
    for piece in pieces {
        if behind_from && (piece.is_word("stdin") || piece.is_word("stdout")) {
            return true;
        }
        behind_from = depth == 0 && piece.is_word("from");
        if piece.is_symbol("(") {
            depth += 1;
        } else if piece.is_symbol(")") {
            depth = depth.saturating_sub(1);
        }
    }
    false
}

/// The format that the options behind `stdin` ask for: `(FORMAT csv, …)`, or words as before version 9.0.
fn format_option<'a>(pieces: &mut Peekable<impl Iterator<Item = Piece<'a>>>) -> Option<CopyFormat> {
    pieces.next_if(|piece| piece.is_word("with"));
    if !pieces.peek()?.is_symbol("(") {
        return pieces.find_map(|piece| format_word(piece.text));
    }
    let mut depth = 0_usize;
    let mut option_begins = false;
    while let Some(piece) = pieces.next() {
        if option_begins && depth == 1 && piece.is_word("format") {
            let value = pieces.next()?.text;
            // It may be a word, a literal or a quoted name.
            let unquoted = value.get(1..value.len().saturating_sub(1)).unwrap_or_default();
            return format_word(value).or_else(|| format_word(unquoted));
        }
        if piece.is_symbol("(") {
            depth += 1;
        } else if piece.is_symbol(")") {
            depth = depth.saturating_sub(1);
        }
        option_begins = piece.is_symbol("(") || piece.is_symbol(",");
    }
    None
}

fn format_word(word: &[u8]) -> Option<CopyFormat> {
    if word.eq_ignore_ascii_case(b"csv") {
        Some(CopyFormat::Csv)
    } else if word.eq_ignore_ascii_case(b"binary") {
        Some(CopyFormat::Binary)
    } else {
        None
    }
}

fn column_list<'a>(pieces: &mut impl Iterator<Item = Piece<'a>>) -> Option<Vec<Name>> {
    let mut columns = Vec::new();
    loop {
        let piece = pieces.next()?;
        if piece.is_symbol(")") {
            return Some(columns);
        }
        if !piece.is_symbol(",") {
            columns.push(Name::of(piece)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CopyTarget, expects_rows};

    fn check(statement: &str, expected: &str) {
        let target = CopyTarget::of_statement(statement.as_bytes()).unwrap();
        let columns = target
            .columns
            .map_or("all".to_owned(), |columns| format!("{columns:?}"));
        let table = target.table;
        let found = format!("{:?} {:?} {columns} {:?}", table.schema, table.name, target.format);
        assert_eq!(found, expected, "{statement}");
        assert!(expects_rows(statement.as_bytes()), "{statement}");
    }

    #[test]
    fn understands_every_syntax() {
        for (statement, expected) in [
            (
                "COPY public.film (film_id, title) FROM stdin;",
                r#"Some("public") "film" ["film_id", "title"] Text"#,
            ),
            ("copy T From /* x */ StdIn", r#"None "t" all Text"#),
            ("COPY public.t  FROM stdin;", r#"Some("public") "t" all Text"#),
            ("COPY t () FROM stdin;", r#"None "t" [] Text"#),
            (
                r#"COPY "A ""b"".c"."d;" ("X, y", Z) FROM stdin;"#,
                r#"Some("A "b".c") "d;" ["X, y", "z"] Text"#,
            ),
            ("COPY db.s.t FROM stdin;", r#"Some("s") "t" all Text"#),
            ("COPY \"a\nb\" FROM stdin;", "None \"a\u{fffd}b\" all Text"),
            ("COPY U&\"a\" FROM stdin;", r#"None "a" all Text"#),
            ("COPY binary FROM stdin;", r#"None "binary" all Text"#),
            ("COPY binary.t FROM stdin;", r#"Some("binary") "t" all Text"#),
            ("COPY BINARY t FROM stdin;", r#"None "t" all Binary"#),
            ("COPY t WITH OIDS FROM stdin;", r#"None "t" all Text"#),
            ("COPY t FROM stdin WITH NULL AS 'csv';", r#"None "t" all Text"#),
            ("COPY t FROM stdin DELIMITERS '|' CSV HEADER;", r#"None "t" all Csv"#),
            ("COPY t FROM stdin WITH (FORMAT 'csv', HEADER);", r#"None "t" all Csv"#),
            (
                "COPY t FROM stdin (FORCE_NULL (format, binary), format BINARY)",
                r#"None "t" all Binary"#,
            ),
            ("COPY t FROM stdin (FORMAT text, NULL 'binary')", r#"None "t" all Text"#),
        ] {
            check(statement, expected);
        }
    }

    #[test]
    fn tells_who_brings_rows() {
        for (statement, expected) in [
            ("COPY t TO stdout;", false),
            ("COPY t FROM 'stdin';", false),
            ("COPY t FROM PROGRAM 'x';", false),
            ("COPY (SELECT 1 FROM stdin) TO stdout;", false),
            ("SELECT copy FROM stdin;", false),
            ("COPY", false),
            ("COPY t FROM STDOUT;", true),
            // Not understood, but rows would follow.
            ("COPY t (1) FROM stdin;", true),
            ("COPY U&\"a!0041\" UESCAPE '!' FROM stdin;", true),
        ] {
            assert_eq!(expects_rows(statement.as_bytes()), expected, "{statement}");
        }
        assert_eq!(CopyTarget::of_statement(b"COPY t (1) FROM stdin;"), None);
        assert_eq!(CopyTarget::of_statement(b"COPY t FROM 'f';"), None);
    }
}
