//! What no definition in a backup may hold.

use memchr::{memchr, memchr_iter};

use super::lexer::{Open, StandardStrings, TokenKind};
use super::tokens::{Tokens, is_skipped};

/// Makes sure that psql takes `sql` for whole SQL statements and nothing else.
///
/// The definitions in a backup come from a server that may be hostile, through `pg_dump`, and stand in a script that
/// people feed to psql. `pg_dump` locks psql with `\restrict` and a random token against commands in them
/// (CVE-2025-8714); Backstay checks each definition with this function instead, which needs no token and no new psql.
///
/// What holds for text that passes, for psql 14 and later, where `standard_conforming_strings` is on (where that is not
/// certain, see [`depends_on_session`]); older ones differ in cutting `BEGIN ATOMIC` bodies, which no server of theirs
/// has:
/// - psql finds no command in it, and sends all of it;
/// - it leaves nothing open that would swallow what follows, and where the next text begins, a new statement begins;
/// - it makes psql read no rows out of the script;
/// - it neither begins nor ends a transaction, so that no later `SET` can fail in an aborted one;
/// - psql changes nothing in it through its own variables. A reference to one (`:name`, `:'name'`, `:"name"`) is also
///   what a slice `a[i:n]` holds, and psql leaves it as it is while no such variable is set. So it is refused where the
///   name may be psql's own, in capitals such as `LAST_ERROR_MESSAGE`, which a server can fill with commands, or
///   `keep_going`, which our own scripts ask for; variables that people set on their own cannot be known here. Words
///   with which an expression begins (`a[1:CASE …]`) are let pass: psql has no variables of such names. The test
///   `:{?name}`, which psql always replaces and which is nothing in SQL, is always refused.
///
/// Text without any statement (blank, or comments) passes. What psql and the servers of different versions read
/// differently is refused: an `E'…'` literal carried on in another line, a letter at once behind a number.
///
/// psql takes words named `begin` outside parentheses in the definition of a function for the start of a body; where
/// such a definition is refused with [`Open::Body`] it can still be written inside a `DO` block that executes it.
///
/// # Errors
/// The first hazard, with its line.
pub fn check_statements(sql: &[u8]) -> Result<(), ScriptHazard> {
    let hazard = |at: usize, kind| {
        Err(ScriptHazard {
            line: 1 + memchr_iter(b'\n', &sql[..at]).count() as u64,
            kind,
        })
    };
    if let Some(at) = memchr(0, sql) {
        return hazard(at, HazardKind::NulByte);
    }
    let mut tokens = Tokens::new(sql, StandardStrings::On);
    let mut in_statement = false;
    let mut begins = Begins::Statement;
    let mut escape_literal_end = None;
    let mut last = None;
    for token in tokens.by_ref() {
        let text = &sql[token.range.clone()];
        let at = token.range.start;
        match token.kind {
            TokenKind::Backslash => return hazard(at, HazardKind::Command),
            TokenKind::VariableTest => return hazard(at, HazardKind::Variable),
            TokenKind::Variable | TokenKind::QuotedVariable if may_be_set_by_psql(text) => {
                return hazard(at, HazardKind::Variable);
            }
            TokenKind::NumberJunk => return hazard(at, HazardKind::Ambiguous),
            TokenKind::Word => match begins {
                Begins::Nothing => {}
                _ if text.eq_ignore_ascii_case(b"copy") => return hazard(at, HazardKind::Copy),
                Begins::Inner if text.eq_ignore_ascii_case(b"end") => {}
                _ if is_one_of(text, &TRANSACTION_WORDS) => return hazard(at, HazardKind::Transaction),
                _ => {}
            },
            TokenKind::Literal | TokenKind::EscapeLiteral if !token.carried_on && text.starts_with(b"'") => {
                if let Some(end) = escape_literal_end
                    && sql[end..at].iter().any(|b| matches!(b, b'\n' | b'\r'))
                {
                    return hazard(at, HazardKind::Ambiguous);
                }
            }
            _ => {}
        }
        last = Some(token.kind);
        if is_skipped(token.kind) {
            continue;
        }
        in_statement = token.kind != TokenKind::StatementEnd;
        begins = match token.kind {
            TokenKind::StatementEnd => Begins::Statement,
            TokenKind::InnerSemicolon => Begins::Inner,
            _ => Begins::Nothing,
        };
        escape_literal_end = (token.kind == TokenKind::EscapeLiteral).then_some(token.range.end);
    }
    let open = tokens.lexer.open().or_else(|| {
        if in_statement {
            Some(Open::Statement)
        } else if last == Some(TokenKind::LineComment) && !sql.ends_with(b"\n") {
            Some(Open::LineComment)
        } else {
            None
        }
    });
    match open {
        Some(open) => hazard(sql.len(), HazardKind::Unfinished(open)),
        None => Ok(()),
    }
}

/// Whether psql may read `sql` differently under another `standard_conforming_strings` or `client_encoding`.
///
/// Both can change while a script runs: functions of a hostile database run during a restore (in checks, defaults,
/// indexes, event triggers) and can set them, and psql follows. With the first off, `'x\''; \! …'` ends early and the
/// command runs; in an encoding such as SJIS the byte behind a high one belongs to it, even a quote. Text of ASCII
/// without a backslash reads alike under all. Before any other statement, one by one as [`statements`] gives them, a
/// script must set both anew, in lines of their own, for psql looks at them where a line begins. That holds for `COPY`
/// statements with such names too.
#[must_use]
pub fn depends_on_session(sql: &[u8]) -> bool {
    sql.iter().any(|&b| b == b'\\' || !b.is_ascii())
}

/// Cuts text that [`check_statements`] lets pass into its statements, each with the blanks and comments before it;
/// together they are the text, but for blanks and comments behind the last.
pub fn statements(sql: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    Tokens::new(sql, StandardStrings::On)
        .filter(|token| token.kind == TokenKind::StatementEnd)
        .map(move |token| &sql[std::mem::replace(&mut start, token.range.end)..token.range.end])
}

/// Something in a definition that psql would not take for SQL, or not for all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct ScriptHazard {
    line: u64,
    kind: HazardKind,
}

impl ScriptHazard {
    /// The line, from 1; for what is unfinished the last.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> HazardKind {
        self.kind
    }
}

/// What psql would make of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HazardKind {
    /// psql loses what stands behind a NUL byte.
    #[error("a NUL byte")]
    NulByte,
    /// A backslash outside quotes.
    #[error("a backslash outside quotes, which psql takes for a command")]
    Command,
    /// A reference that psql would replace.
    #[error("a reference to a variable of psql")]
    Variable,
    /// A `COPY`: psql would read the following lines as rows. Also one that would not, for no definition has any.
    #[error("a COPY statement")]
    Copy,
    /// A command that begins or ends a transaction or savepoint.
    #[error("a transaction command")]
    Transaction,
    /// It reads differently in different versions.
    #[error("text that versions of PostgreSQL read differently")]
    Ambiguous,
    /// It ends in the middle.
    #[error("it ends too early: {0}")]
    Unfinished(Open),
}

/// What a word may begin where it stands.
#[derive(Clone, Copy)]
enum Begins {
    Statement,
    /// A statement of the body of a function; or of psql's idea of one, and a statement for the server.
    Inner,
    Nothing,
}

/// The first words of commands that begin or end a transaction or savepoint.
const TRANSACTION_WORDS: [&str; 8] = [
    "ABORT",
    "BEGIN",
    "COMMIT",
    "END",
    "RELEASE",
    "ROLLBACK",
    "SAVEPOINT",
    "START",
];

/// Words in capitals with which a server prints the beginning of an expression.
const EXPRESSION_WORDS: [&str; 33] = [
    "ARRAY",
    "CASE",
    "CAST",
    "COALESCE",
    "COLLATION",
    "CURRENT_DATE",
    "CURRENT_ROLE",
    "CURRENT_SCHEMA",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "EXISTS",
    "EXTRACT",
    "GREATEST",
    "GROUPING",
    "JSON",
    "JSON_ARRAY",
    "JSON_EXISTS",
    "JSON_OBJECT",
    "JSON_QUERY",
    "JSON_SCALAR",
    "JSON_SERIALIZE",
    "JSON_VALUE",
    "LEAST",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "NOT",
    "NULL",
    "NULLIF",
    "OVERLAY",
    "POSITION",
    "ROW",
    "SUBSTRING",
];

/// Whether a reference (`:name`, `:'name'`, `:"name"`) has a name that psql, or our own scripts, may set.
fn may_be_set_by_psql(reference: &[u8]) -> bool {
    let name = reference.strip_prefix(b":").unwrap_or(reference);
    let name = match name.first() {
        Some(b'\'' | b'"') => name.get(1..name.len() - 1).unwrap_or_default(),
        _ if is_one_of(name, &EXPRESSION_WORDS) => return false,
        _ => name,
    };
    name == b"keep_going"
        || name.first().is_some_and(u8::is_ascii_uppercase)
            && name
                .iter()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_')
}

fn is_one_of(word: &[u8], words: &[&str]) -> bool {
    words.iter().any(|other| word.eq_ignore_ascii_case(other.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{HazardKind, check_statements, depends_on_session, statements};
    use crate::script::Open;

    fn check(sql: &str, expected: Result<(), (u64, HazardKind)>) {
        let found = check_statements(sql.as_bytes()).map_err(|hazard| (hazard.line(), hazard.kind()));
        assert_eq!(found, expected, "{sql:?}");
    }

    #[test]
    fn lets_sql_pass() {
        for sql in [
            "",
            "\n \r\n",
            "-- *not* creating schema, since initdb creates it\n\n",
            "/* \\! ' */",
            "SELECT 1;",
            "SELECT 1;\n\nALTER TABLE t OWNER TO o; -- x\n",
            "COMMENT ON TABLE t IS '\\! rm -rf; $$ :{?x}';",
            "CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $_$\\restrict x\nBEGIN; ' $$ :USER $_$;",
            "CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN b THEN 1 END; SELECT 2; END;",
            "CREATE VIEW v AS SELECT E'\\\\!' AS \"\\\\x\", a.\"copy\", '1'::text, (a)[1:2], (a)[:2], (a)[i:n] FROM t;",
            "SELECT (a)[1:CASE WHEN true THEN 1 ELSE 2 END], (a)[:NULL::integer], (a)[1:'-1'::integer], (a)[:\"Name\"];",
            "SELECT f(x := 1), 1e5, 1.5e-7, 1..2, $1, a$1;",
            "SELECT 'a'\n'b\\';",
            "SELECT E'a', 'b\\';",
            "SELECT 'x\\''; \\! id';",
            "SELECT 1::TEXT, x::\"USER\";",
            "SELECT copy FROM \"copy\";",
            "SELECT :{?x;",
            "SELECT :{? x};",
        ] {
            check(sql, Ok(()));
        }
    }

    #[test]
    fn refuses_what_psql_would_act_on() {
        for (sql, line, kind) in [
            ("SELECT 1; \\! id", 1, HazardKind::Command),
            ("\\restrict x\nSELECT 1;", 1, HazardKind::Command),
            ("SELECT 1\n\\; SELECT 2;", 2, HazardKind::Command),
            ("SELECT E'x\\''; \\! id;", 1, HazardKind::Command),
            ("SELECT E'x'; \\! id ';", 1, HazardKind::Command),
            ("-- x\r\\! id\n", 1, HazardKind::Command),
            ("SELECT $a$ $b$ $a$ \\! id", 1, HazardKind::Command),
            ("SELECT a$b$ \\! id $b$;", 1, HazardKind::Command),
            ("/* /* */ */ \\! id */", 1, HazardKind::Command),
            ("SELECT \0 1;", 1, HazardKind::NulByte),
            ("SELECT 1;\n copy t FROM stdin;", 2, HazardKind::Copy),
            ("/* x */ COPY t TO stdout;", 1, HazardKind::Copy),
            ("CREATE FUNCTION begin(); COPY t FROM stdin; END;", 1, HazardKind::Copy),
            ("/* x */ begin;", 1, HazardKind::Transaction),
            ("SELECT 1;\nROLLBACK;", 2, HazardKind::Transaction),
            ("END;", 1, HazardKind::Transaction),
            (
                "CREATE FUNCTION begin(); START TRANSACTION; END;",
                1,
                HazardKind::Transaction,
            ),
            ("SELECT :{?x};", 1, HazardKind::Variable),
            ("SELECT :LAST_ERROR_MESSAGE;", 1, HazardKind::Variable),
            ("SELECT :'DBNAME';", 1, HazardKind::Variable),
            ("SELECT :\"USER\";", 1, HazardKind::Variable),
            ("SELECT x[1:keep_going];", 1, HazardKind::Variable),
            ("SELECT :::VERBOSITY;", 1, HazardKind::Variable),
            ("SELECT E'a'\n'b\\' \\! id ';", 2, HazardKind::Ambiguous),
            ("SELECT E'a' -- x\n -- y\n 'b';", 3, HazardKind::Ambiguous),
            ("SELECT 1e5$a$ \\! id $a$;", 1, HazardKind::Ambiguous),
            ("SELECT $1a;", 1, HazardKind::Ambiguous),
        ] {
            check(sql, Err((line, kind)));
        }
    }

    #[test]
    fn refuses_what_would_swallow_the_next_text() {
        for (sql, open) in [
            ("SELECT 1", Open::Statement),
            ("SELECT 1; SELECT", Open::Statement),
            ("SELECT 'a;", Open::Literal),
            ("SELECT U&'a;", Open::Literal),
            ("SELECT \"a;", Open::QuotedName),
            ("SELECT $$a;", Open::DollarLiteral),
            ("SELECT 1; /*", Open::BlockComment),
            ("SELECT 1; -- x", Open::LineComment),
            ("-- x", Open::LineComment),
            ("SELECT (1;", Open::Parenthesis),
            (
                "CREATE FUNCTION public.begin() RETURNS int LANGUAGE sql AS 'SELECT 1';",
                Open::Body,
            ),
        ] {
            check(sql, Err((1, HazardKind::Unfinished(open))));
        }
    }

    #[test]
    fn cuts_into_statements() {
        let sql = b"-- x\nSELECT ';'; /* ; */ CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; END;\n;\n-- y\n";
        let expected: [&[u8]; 3] = [
            b"-- x\nSELECT ';';",
            b" /* ; */ CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; END;",
            b"\n;",
        ];
        assert_eq!(statements(sql).collect::<Vec<_>>(), expected);
        assert_eq!(statements(b"-- x\n").count(), 0);
    }

    #[test]
    fn knows_what_reads_alike_in_every_session() {
        assert!(!depends_on_session(b"COMMENT ON TABLE t IS 'it''s';"));
        for sql in ["SELECT 'x\\''; \\! id';", "SELECT '\u{e9}';"] {
            assert!(depends_on_session(sql.as_bytes()), "{sql}");
        }
    }
}
