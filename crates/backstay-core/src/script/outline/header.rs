//! The comments that `pg_dump` and `pg_dumpall` write around what they dump.

use memchr::memmem;

use super::OutlineEntry;
use crate::script::name::Name;

/// What a comment line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// A dump of a database or of a cluster begins.
    Begin,
    /// It is complete.
    Complete,
    /// The version of the server.
    ServerVersion(String),
    /// The version of `pg_dump`.
    DumperVersion(String),
    /// An entry of its table of contents.
    Entry(OutlineEntry),
}

impl Header {
    /// Understands a comment, as of `src/bin/pg_dump/pg_backup_archiver.c` (`_printTocEntry`) and `pg_dumpall.c`.
    pub(super) fn parse(comment: &[u8], line: u64) -> Option<Self> {
        let text = comment.strip_prefix(b"-- ")?;
        let version = |text: &[u8]| String::from_utf8_lossy(text.trim_ascii()).into_owned();
        match text {
            b"PostgreSQL database dump" | b"PostgreSQL database cluster dump" => Some(Self::Begin),
            b"PostgreSQL database dump complete" | b"PostgreSQL database cluster dump complete" => Some(Self::Complete),
            _ => {
                if let Some(text) = text.strip_prefix(b"Dumped from database version ") {
                    Some(Self::ServerVersion(version(text)))
                } else if let Some(text) = text.strip_prefix(b"Dumped by pg_dump version ") {
                    Some(Self::DumperVersion(version(text)))
                } else {
                    let text = text.strip_prefix(b"Data for ").unwrap_or(text);
                    entry(text.strip_prefix(b"Name: ")?, line).map(Self::Entry)
                }
            }
        }
    }
}

/// Reads `NAME; Type: KIND; Schema: SCHEMA; Owner: OWNER`, from behind, for a name may hold anything but newlines.
fn entry(text: &[u8], line: u64) -> Option<OutlineEntry> {
    let (text, owner) = split_last(text, b"; Owner: ")?;
    let (text, schema) = split_last(text, b"; Schema: ")?;
    let (name, kind) = split_last(text, b"; Type: ")?;
    let owner = split_last(owner, b"; Tablespace: ").map_or(owner, |(owner, _)| owner);
    let unless_dash = |text: &[u8]| (!text.is_empty() && text != b"-").then(|| Name::new(text));
    Some(OutlineEntry {
        kind: String::from_utf8_lossy(kind).into_owned(),
        schema: unless_dash(schema),
        name: Name::new(name),
        owner: unless_dash(owner),
        line,
    })
}

fn split_last<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memmem::rfind(text, separator)?;
    Some((&text[..at], &text[at + separator.len()..]))
}

#[cfg(test)]
mod tests {
    use super::Header;

    #[test]
    fn understands_entries() {
        let check = |comment: &str, expected: Option<&str>| {
            let found = Header::parse(comment.as_bytes(), 7).map(|header| match header {
                Header::Entry(entry) => {
                    format!("{:?} {:?} {:?} {:?}", entry.kind, entry.schema, entry.name, entry.owner)
                }
                other => format!("{other:?}"),
            });
            assert_eq!(found.as_deref(), expected, "{comment}");
        };
        check(
            "-- Name: film; Type: TABLE; Schema: public; Owner: postgres",
            Some(r#""TABLE" Some("public") "film" Some("postgres")"#),
        );
        check(
            "-- Data for Name: a; Type: b; Type: TABLE DATA; Schema: s; Owner: o; Tablespace: ",
            Some(r#""TABLE DATA" Some("s") "a; Type: b" Some("o")"#),
        );
        check(
            "-- Name: f(integer, text); Type: FUNCTION; Schema: -; Owner: -",
            Some(r#""FUNCTION" None "f(integer, text)" None"#),
        );
        check("-- PostgreSQL database dump", Some("Begin"));
        check("-- PostgreSQL database cluster dump complete", Some("Complete"));
        check(
            "-- Dumped from database version 9.6.24",
            Some(r#"ServerVersion("9.6.24")"#),
        );
        check(
            "-- Dumped by pg_dump version 15.18 (Debian)",
            Some(r#"DumperVersion("15.18 (Debian)")"#),
        );
        for other in [
            "--",
            "-- *not* creating schema",
            "-- Name: x",
            "-- Name: x; Type: T; Owner: o",
            "--Name: x",
        ] {
            check(other, None);
        }
    }
}
