use std::io::{self, Read};

use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest};

use super::{Command, CopyEnd, EndedBy, Event, Limits, Open, ReadError, ScriptReader, StandardStrings};

/// Gives the bytes a few at a time.
struct Trickle<'a> {
    bytes: &'a [u8],
    step: usize,
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.step.min(buffer.len()).min(self.bytes.len());
        buffer[..len].copy_from_slice(&self.bytes[..len]);
        self.bytes = &self.bytes[len..];
        Ok(len)
    }
}

/// The parts of a script in a short form: statements as they are, the rest marked; rows of one `COPY` joined.
fn parts(source: impl Read) -> Vec<String> {
    let mut reader = ScriptReader::new(source);
    let mut parts: Vec<String> = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    loop {
        match reader.next_event() {
            Ok(None) => return parts,
            Ok(Some(event)) => match event {
                Event::Comment(part) => parts.push(format!("comment {}", text(part.text))),
                Event::Statement(statement) => parts.push(match statement.ended_by {
                    EndedBy::Semicolon => text(statement.part.text),
                    EndedBy::Command => format!("unfinished {}", text(statement.part.text)),
                }),
                Event::Command(Command { name, arguments, .. }) => {
                    parts.push(format!("command {} [{}]", text(name), text(arguments)));
                }
                Event::CopyStart(copy) => parts.push(text(copy.part.text)),
                Event::CopyRows(rows) => match parts.last_mut() {
                    Some(last) if last.starts_with("rows ") => last.push_str(&text(rows.bytes)),
                    _ => parts.push(format!("rows {}", text(rows.bytes))),
                },
                Event::CopyEnd(CopyEnd { rows, bytes, line }) => parts.push(format!("end {rows} {bytes} line {line}")),
            },
            Err(error) => {
                parts.push(format!("error {error}"));
                assert!(matches!(reader.next_event(), Ok(None)), "an error comes once");
                return parts;
            }
        }
    }
}

fn check(script: &str, expected: &[&str]) {
    assert_eq!(parts(script.as_bytes()), expected, "{script:?}");
    let trickle = Trickle {
        bytes: script.as_bytes(),
        step: 1,
    };
    assert_eq!(parts(trickle), expected, "{script:?} byte by byte");
}

#[test]
fn splits_as_psql_does() {
    check("", &[]);
    check(" \n\t\r\n", &[]);
    check(";;", &[";", ";"]);
    check("SELECT 1;SELECT\n2 ;\n", &["SELECT 1;", "SELECT\n2 ;"]);
    for quoted in [
        "';'",
        "'it''s; '",
        "'a\\'",
        "E'a\\';'",
        "e'\\\\'",
        "E'a\\\n;'",
        "B'0;1'",
        "x'f;'",
        "N'a;'",
        "U&'\\;'",
        "u&\"a;\"",
        "\"a;\"\"b\"",
        "\"a\n;b\"",
        "'a' -- ;\n ';'",
        "$$;$$",
        "$$ $ ; $a$ ; $$",
        "$a$ $$ ; $b$ ; $a$",
        "$_é1$ ; $_é1$",
        "$a$ $x$a$",
        "$1$a$;$a$",
        "1$a$;$a$",
        "/* ; /* ' ; */ ; \" */ 1",
        "/*/*/;*/;*/ 1",
        "/**/ 1 -- ; '\n",
        "1 --;\r",
        "+/* ; */ 1",
        "(;)",
        "((;);)",
        "a[b:c]",
        ":'x;'",
        "é$a$",
    ] {
        let statement = format!("SELECT {quoted};");
        check(&format!("{statement} SELECT 2;\n"), &[&statement, "SELECT 2;"]);
    }
    // An identifier with dollar signs is no quote.
    check("SELECT a$1$;SELECT $1$;", &["SELECT a$1$;", "SELECT $1$;"]);
    check("SELECT 1e5$a$;SELECT 2;", &["SELECT 1e5$a$;", "SELECT 2;"]);
    // A literal carried on in another line begins anew for psql.
    check("SELECT E'a'\n'b\\';", &["SELECT E'a'\n'b\\';"]);
    check("SELECT E'a'\n\r'b\\';';", &["SELECT E'a'\n\r'b\\';';"]);
    // A closing parenthesis too many counts for nothing.
    check("SELECT ));SELECT (;);", &["SELECT ));", "SELECT (;);"]);
}

#[test]
fn keeps_bodies_of_functions_whole() {
    let body = "BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;";
    for head in [
        "CREATE FUNCTION f()",
        "create or replace procedure p()",
        "/* x */ CREATE -- y\n FUNCTION f(a int DEFAULT (1))",
    ] {
        let text = format!("{head} {body}");
        let start = text.find("CREATE").or(text.find("create")).unwrap();
        check(&format!("{text}\nSELECT 1;"), &[&text[start..], "SELECT 1;"]);
    }
    check(
        "CREATE VIEW function AS BEGIN; END;",
        &["CREATE VIEW function AS BEGIN;", "END;"],
    );
    check("BEGIN; COMMIT;", &["BEGIN;", "COMMIT;"]);
    check(
        "CREATE FUNCTION f(begin int); SELECT 1;",
        &["CREATE FUNCTION f(begin int);", "SELECT 1;"],
    );
}

#[test]
fn follows_standard_conforming_strings_from_the_next_line() {
    check(
        "SET standard_conforming_strings = off;\nSELECT '\\';';\nset session STANDARD_CONFORMING_STRINGS to 'on';\nSELECT '\\';",
        &[
            "SET standard_conforming_strings = off;",
            "SELECT '\\';';",
            "set session STANDARD_CONFORMING_STRINGS to 'on';",
            "SELECT '\\';",
        ],
    );
    check(
        "SET standard_conforming_strings = off; SELECT '\\';",
        &["SET standard_conforming_strings = off;", "SELECT '\\';"],
    );
    // The second quote ends a bit string, the third begins a literal of the other kind.
    check(
        "SET standard_conforming_strings = off;\nSELECT B'1''\\';';",
        &["SET standard_conforming_strings = off;", "SELECT B'1''\\';';"],
    );
    let mut reader = ScriptReader::new(&b"SET standard_conforming_strings = off;\nSELECT 1;"[..]);
    for expected in [StandardStrings::On, StandardStrings::Off] {
        match reader.next_event() {
            Ok(Some(Event::Statement(statement))) => assert_eq!(statement.standard_strings, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn tells_commands_and_comments() {
    check(
        "\\restrict aB1\n-- Name: x\r\nSELECT 1; -- behind\n\\connect \"a b\" \\\\ SELECT 2;\n\\! rm \\x\n\\unrestrict aB1",
        &[
            "command restrict [aB1]",
            "comment -- Name: x",
            "SELECT 1;",
            "comment -- behind",
            "command connect [\"a b\"]",
            "SELECT 2;",
            "command ! [rm \\x]",
            "command unrestrict [aB1]",
        ],
    );
    check(
        "SELECT 1 \\gexec\nSELECT 2;",
        &["unfinished SELECT 1 ", "command gexec []", "SELECT 2;"],
    );
    check("SELECT (\\g\n1;", &["unfinished SELECT (", "command g []", "1;"]);
    check("\\a\\t", &["command a []", "command t []"]);
    check("\\", &["command  []"]);
    check("\\.\n", &["command . []"]);
    check(
        "\\echo 'a\\'\\' b' c\\\\\nSELECT 1;",
        &["command echo ['a\\'\\' b' c]", "SELECT 1;"],
    );
    check(
        "\\if :{?keep_going}\n\\else\n\\set ON_ERROR_STOP on\n\\endif\n",
        &[
            "command if [:{?keep_going}]",
            "command else []",
            "command set [ON_ERROR_STOP on]",
            "command endif []",
        ],
    );
    check("SELECT /* -- */ 1 -- in it\n;", &["SELECT /* -- */ 1 -- in it\n;"]);
    check("\u{feff}SELECT 1;", &["SELECT 1;"]);
    check("\\copy t to stdout\n", &["command copy [t to stdout]"]);
    check(
        "\\copy t from stdin\n1\n",
        &["error line 1: a \\copy with its rows in the script"],
    );
}

#[test]
fn reads_rows() {
    check(
        "COPY t (a) FROM stdin;\n1\n\\\\.\n\\.x\n\\N\n\n;'\n\\.\nSELECT 1;",
        &[
            "COPY t (a) FROM stdin;",
            "rows 1\n\\\\.\n\\.x\n\\N\n\n;'\n",
            "end 6 17 line 8",
            "SELECT 1;",
        ],
    );
    check(
        "copy t from STDIN; -- x\n\\.\n",
        &["copy t from STDIN;", "end 0 0 line 2"],
    );
    check(
        "COPY t FROM stdin;\r\na\tb\r\n\\.\r\n;",
        &["COPY t FROM stdin;", "rows a\tb\r\n", "end 1 5 line 3", ";"],
    );
    for end in ["\\.", "\\.\r", "\\.\n", "\\.\r\n"] {
        check(
            &format!("COPY t FROM stdin;\n1\n{end}"),
            &["COPY t FROM stdin;", "rows 1\n", "end 1 2 line 3"],
        );
        check(
            &format!("COPY t FROM stdin;\n{end}"),
            &["COPY t FROM stdin;", "end 0 0 line 2"],
        );
    }
    check("COPY t TO stdout;\n1;", &["COPY t TO stdout;", "1;"]);
    check(
        "SELECT 'COPY t FROM stdin';\n1;",
        &["SELECT 'COPY t FROM stdin';", "1;"],
    );
    for unended in ["", "1", "1\n\\", "1\n\\.x", "1\n\\.\r\r", "1\n x\\."] {
        let found = parts(format!("\n\nCOPY t FROM stdin;\n{unended}").as_bytes());
        assert_eq!(
            found.last().unwrap(),
            "error line 3: the script ends in the rows of this COPY",
            "{unended:?}"
        );
    }
    check(
        "COPY t FROM stdin;",
        &[
            "COPY t FROM stdin;",
            "error line 1: the script ends in the rows of this COPY",
        ],
    );
    check(
        "\nCOPY t FROM stdin; SELECT 1;\n",
        &["error line 2: another statement behind COPY in one line"],
    );
    check("COPY t FROM stdin BINARY;\n", &["error line 1: a COPY of binary rows"]);
    check(
        "COPY t ('x') FROM stdin;\n",
        &["error line 1: a COPY that is not understood"],
    );
    check(
        "COPY t FROM stdin;\n1\n2\0\n\\.\n",
        &["COPY t FROM stdin;", "error line 3: a NUL byte"],
    );
}

#[test]
fn refuses_what_has_no_end() {
    for (script, line, open) in [
        ("SELECT 1;\nSELECT", 2, Open::Statement),
        ("SELECT 'a\n;", 1, Open::Literal),
        ("\nSELECT E'a\\'", 2, Open::Literal),
        ("SELECT \"a", 1, Open::QuotedName),
        ("SELECT $a$ $$", 1, Open::DollarLiteral),
        ("SELECT (1;", 1, Open::Parenthesis),
        (";\n\n/* /* */", 3, Open::BlockComment),
        ("CREATE FUNCTION begin() AS '';", 1, Open::Body),
    ] {
        let mut reader = ScriptReader::new(script.as_bytes());
        let error = loop {
            match reader.next_event() {
                Ok(event) => assert!(event.is_some(), "{script:?}"),
                Err(error) => break error,
            }
        };
        match error {
            ReadError::Unfinished { line: l, open: o } => assert_eq!((l, o), (line, open), "{script:?}"),
            other => panic!("{script:?}: {other}"),
        }
    }
    check("SELECT 1;\n\nSEL\0ECT 1;", &["SELECT 1;", "error line 3: a NUL byte"]);
}

#[test]
fn tells_places() {
    let script = b"\n /* x */ SELECT\n1;\n\n  COPY t FROM stdin;\n1\n2\n\\.\n-- y\n\\q z\n";
    let mut reader = ScriptReader::new(&script[..]);
    let mut places = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        match event {
            Event::Comment(part)
            | Event::Statement(super::Statement { part, .. })
            | Event::Command(Command { part, .. })
            | Event::CopyStart(super::CopyStart { part, .. }) => {
                let offset = usize::try_from(part.offset).unwrap();
                assert_eq!(&script[offset..offset + part.text.len()], part.text);
                assert_eq!(&script[offset - part.leading.len()..offset], part.leading);
                places.push(part.line);
            }
            Event::CopyRows(rows) => {
                assert_eq!((rows.bytes, rows.count, rows.offset), (&b"1\n2\n"[..], 2, 42));
                places.push(rows.line);
            }
            Event::CopyEnd(end) => places.push(end.line),
        }
    }
    assert_eq!(places, [2, 5, 6, 8, 9, 10]);
    assert_eq!(
        reader.offset(),
        script.len() as u64 - 1,
        "only the last newline is in no part"
    );
}

#[test]
fn holds_no_more_than_the_limits() {
    let limits = Limits {
        statement_bytes_max: 1000,
        row_bytes_max: 3 << 20,
    };
    let error_of = |script: &[u8], step| {
        let mut reader = ScriptReader::with_limits(Trickle { bytes: script, step }, limits);
        loop {
            match reader.next_event() {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => return Some(error.to_string()),
            }
        }
    };
    for step in [1, usize::MAX] {
        // With the newline that ends the line before.
        let statement = |len: usize| format!("SELECT 1;\n{};\n", " ".repeat(len - 2));
        assert_eq!(error_of(statement(1000).as_bytes(), step), None);
        assert_eq!(
            error_of(statement(1001).as_bytes(), step).as_deref(),
            Some("line 1: a statement is longer than 1000 bytes")
        );
    }
    for step in [100_000, usize::MAX] {
        let row = |len: usize| format!("COPY t FROM stdin;\n1\n{}\n\\.\n", "x".repeat(len));
        assert_eq!(error_of(row(3 << 20).as_bytes(), step), None);
        assert_eq!(
            error_of(row((3 << 20) + 1).as_bytes(), step).as_deref(),
            Some("line 3: a row is longer than 3145728 bytes")
        );
    }
}

/// The table of bounds in docs/format.md.
#[test]
fn the_limits_are_those_of_the_document() {
    let mib = 1 << 20;
    let Limits {
        statement_bytes_max,
        row_bytes_max,
    } = Limits::default();
    assert_eq!((statement_bytes_max, row_bytes_max), (256 * mib, 1025 * mib));
}

#[test]
fn reads_many_rows_in_blocks() {
    let rows = "\\.1\tsome text\n".repeat(300_000);
    let script = format!("COPY t FROM stdin;\n{rows}\\.\nSELECT 1;\n");
    for step in [777, 65_536, usize::MAX] {
        let bytes = script.as_bytes();
        let mut reader = ScriptReader::new(Trickle { bytes, step });
        let mut joined = Vec::new();
        let mut last = None;
        while let Some(event) = reader.next_event().unwrap() {
            match event {
                Event::CopyRows(block) => {
                    assert!(block.bytes.len() <= 1 << 20);
                    assert!(block.bytes.ends_with(b"\n"));
                    joined.extend_from_slice(block.bytes);
                }
                Event::CopyEnd(end) => last = Some((end.rows, end.bytes, end.line)),
                _ => {}
            }
        }
        assert!(joined == rows.as_bytes());
        assert_eq!(last, Some((300_000, rows.len() as u64, 300_002)));
    }
}

#[test]
fn a_failing_source_is_an_error() {
    struct Failing(u8);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1 => Err(io::ErrorKind::Interrupted.into()),
                2 => {
                    buffer[..10].copy_from_slice(b"SELECT 1;\n");
                    Ok(10)
                }
                _ => Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
    }
    assert_eq!(
        parts(Failing(0)),
        ["SELECT 1;", "error cannot read the script behind line 2"]
    );
}

/// Text with much of what matters to the lexer.
fn script_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => proptest::sample::select(vec![
            "'", "\"", "$$", "$a$", "E'", "U&\"", "\\", "\\.", "\n\\.\n", "--", "/*", "*/", "(", ")", ";", ";\n", "\n",
            "\r\n", " ", "a", "1e5", "$1", ":x", ":{?x}", "COPY t FROM stdin;\n", "CREATE FUNCTION f() BEGIN", "END",
            "SET standard_conforming_strings=off;\n", "\u{feff}", "é",
        ]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..4),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A statement whose only `;` outside quotes is its last byte.
fn statement() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z_][a-z0-9_$]{0,4}",
        "[0-9]{1,3}",
        "[-+*<>=!~]",
        "'([^'\0]|'')*'",
        "E'([^'\\\\\0]|''|\\\\[^\0])*'",
        "\"([^\"\0]|\"\")+\"",
        "\\$a\\$[^a\0]*\\$a\\$",
        "\\([a-z;]*\\)",
        "/\\*[^/*\0]*\\*/",
        "--[^\r\n\0]*\n",
    ];
    // The first word keeps each from beginning with a comment.
    (Just("SELECT".to_owned()), vec(piece, 0..12)).prop_map(|(first, pieces)| {
        let mut text = first;
        for piece in pieces {
            text.push(' ');
            text.push_str(&piece);
        }
        text + " ;"
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_are_read_alike_in_any_steps(script in script_like(), step in 1..9_usize) {
        let whole = parts(&script[..]);
        let trickled = parts(Trickle { bytes: &script, step });
        prop_assert_eq!(whole, trickled);
        let _ = super::check_statements(&script);
        let _ = super::Outline::read(ScriptReader::new(&script[..])).completeness();
    }

    #[test]
    fn the_parts_are_the_script(script in script_like()) {
        let mut reader = ScriptReader::new(&script[..]);
        let mut joined = Vec::new();
        let mut given_out = 0;
        while let Ok(Some(event)) = reader.next_event() {
            match &event {
                Event::Comment(part)
                | Event::Statement(super::Statement { part, .. })
                | Event::Command(Command { part, .. })
                | Event::CopyStart(super::CopyStart { part, .. }) => {
                    joined.extend_from_slice(part.leading);
                    prop_assert_eq!(joined.len() as u64, part.offset);
                    joined.extend_from_slice(part.text);
                }
                Event::CopyRows(rows) => {
                    prop_assert_eq!(joined.len() as u64, rows.offset);
                    joined.extend_from_slice(rows.bytes);
                }
                Event::CopyEnd(_) => {
                    let line = [&b"\\.\r\n"[..], b"\\.\n", b"\\.\r", b"\\."];
                    let line = line.iter().find(|line| script[joined.len()..].starts_with(line)).unwrap();
                    joined.extend_from_slice(line);
                }
            }
            let is_copy = matches!(event, Event::CopyStart(_));
            let offset = usize::try_from(reader.offset()).unwrap();
            if is_copy {
                // Blanks and a comment behind the statement.
                joined.extend_from_slice(&script[joined.len()..offset]);
            }
            given_out = offset;
        }
        prop_assert_eq!(&script[..given_out], &joined[..]);
    }

    #[test]
    fn quoted_pieces_are_not_split(statements in vec(statement(), 0..6)) {
        let script = statements.concat();
        prop_assert_eq!(parts(script.as_bytes()), statements);
    }
}
