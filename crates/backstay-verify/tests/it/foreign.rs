//! Plain dumps of other programs.

use std::io::{self, Cursor, Read};

use backstay_core::{Codec, Compression, MemberEncoder, Sha256Digest};
use backstay_verify::{ForeignArchive, Report, Rules, Silent, VerifyError, verify_foreign};
use proptest::prelude::*;

use crate::support::{finding, seen};

const NAME: &str = "kulti_backup_20250116_143022.sql.gz";

/// As `pg_dump` writes it.
const DUMP: &str = "\
--
-- PostgreSQL database dump
--

\\restrict abcdef

-- Dumped from database version 15.18
-- Dumped by pg_dump version 15.18

SET statement_timeout = 0;
SET standard_conforming_strings = on;

--
-- Name: users; Type: TABLE; Schema: public; Owner: app
--

CREATE TABLE public.users (
    id integer NOT NULL
);

--
-- Name: nothing; Type: TABLE; Schema: public; Owner: app
--

CREATE TABLE public.nothing (id integer);

--
-- Name: bare; Type: TABLE; Schema: public; Owner: app
--

CREATE TABLE public.bare (id integer);

--
-- Data for Name: users; Type: TABLE DATA; Schema: public; Owner: app
--

COPY public.users (id) FROM stdin;
1
2
3
\\.


--
-- Data for Name: nothing; Type: TABLE DATA; Schema: public; Owner: app
--

COPY public.nothing (id) FROM stdin;
\\.


--
-- Name: users own; Type: POLICY; Schema: public; Owner: app
--

CREATE POLICY own ON public.users USING (true);

--
-- Name: users; Type: ROW SECURITY; Schema: public; Owner: app
--

ALTER TABLE public.users ENABLE ROW LEVEL SECURITY;

--
-- PostgreSQL database dump complete
--

\\unrestrict abcdef

";

fn packed(codec: Codec, text: &str) -> Vec<u8> {
    let mut encoder = MemberEncoder::new(Compression::new(codec)).unwrap();
    encoder.encode(text.as_bytes()).unwrap().stored
}

fn archive(bytes: impl Into<Vec<u8>>, checksum: Option<&str>) -> ForeignArchive {
    let bytes = bytes.into();
    ForeignArchive {
        name: NAME.to_owned(),
        bytes_total: Some(bytes.len() as u64),
        reader: Box::new(Cursor::new(bytes)),
        checksum: checksum.map(str::to_owned),
    }
}

fn verify_with(archive: ForeignArchive, rules: &Rules) -> Report {
    verify_foreign(archive, rules, &Silent, &|| false).unwrap().0
}

fn verify(bytes: impl Into<Vec<u8>>) -> Report {
    verify_with(archive(bytes, None), &Rules::default())
}

#[test]
fn a_whole_dump_is_sound() {
    for bytes in [
        DUMP.as_bytes().to_vec(),
        packed(Codec::Gzip, DUMP),
        packed(Codec::Zstd, DUMP),
        [packed(Codec::Gzip, &DUMP[..300]), packed(Codec::Gzip, &DUMP[300..])].concat(),
    ] {
        let length = bytes.len() as u64;
        let (report, outline) = verify_foreign(archive(bytes, None), &Rules::default(), &Silent, &|| false).unwrap();
        assert_eq!(seen(&report), [""; 0], "{report}");
        assert_eq!(report.counts.tables, 2);
        assert_eq!(report.counts.rows, Some(3));
        assert_eq!(report.counts.bytes_read, length);
        assert_eq!(report.findings.len(), 1, "only that there is no .sha256: {report}");
        assert_eq!(outline.server_version(), Some("15.18"));
        assert!(report.not_checked.len() > 3);
    }
}

#[test]
fn scripts() {
    let without = |piece: &str| {
        assert!(DUMP.contains(piece), "{piece}");
        DUMP.replacen(piece, "", 1)
    };
    let end_mark = "-- PostgreSQL database dump complete\n";
    let cases: [(&str, String, &[&str]); 18] = [
        ("no mark at the end", without(end_mark), &["error no-completion-marker"]),
        (
            "no mark at the start",
            without("-- PostgreSQL database dump\n"),
            &["error no-header"],
        ),
        (
            "not of pg_dump",
            "SELECT 1;\nINSERT INTO t VALUES (1);\n".to_owned(),
            &["warning no-header"],
        ),
        (
            "empty",
            String::new(),
            &["error empty-script", "warning no-header", "warning no-rows"],
        ),
        (
            "only comments",
            "-- PostgreSQL database dump\n-- PostgreSQL database dump complete\n".to_owned(),
            &["error empty-script", "warning no-rows"],
        ),
        (
            "cut in the rows",
            DUMP[..DUMP.find("2\n3\n").unwrap()].to_owned(),
            &["error incomplete", "error no-completion-marker", "error script"],
        ),
        (
            "cut in a statement",
            DUMP[..DUMP.find(" NOT NULL").unwrap()].to_owned(),
            &["error incomplete", "error no-completion-marker", "error script"],
        ),
        (
            "no end of \\restrict",
            without("\\unrestrict abcdef\n"),
            &["error incomplete"],
        ),
        (
            "another end of \\restrict",
            DUMP.replacen("\\unrestrict abc", "\\unrestrict abx", 1),
            &["error incomplete"],
        ),
        (
            "a NUL byte",
            DUMP.replacen("1\n2\n", "1\0\n2\n", 1),
            &["error incomplete", "error no-completion-marker", "error script"],
        ),
        (
            "a statement behind the end",
            format!("{DUMP}DROP TABLE public.users;\n"),
            &["warning text-behind-end"],
        ),
        (
            "rows behind the end",
            format!("{DUMP}COPY public.users (id) FROM stdin;\n4\n\\.\n"),
            &["warning text-behind-end"],
        ),
        (
            "words behind the end",
            format!("{DUMP}and so on"),
            &["error incomplete", "error script"],
        ),
        ("two dumps", format!("{DUMP}{DUMP}"), &[]),
        (
            "a command",
            DUMP.replacen("SET statement", "\\connect other\nSET statement", 1),
            &["warning psql-command"],
        ),
        ("no rows", DUMP.replacen("1\n2\n3\n", "", 1), &["warning no-rows"]),
        (
            "no policy",
            without("-- Name: users own; Type: POLICY; Schema: public; Owner: app\n"),
            &["warning policy"],
        ),
        (
            "no row security",
            without("ALTER TABLE public.users ENABLE ROW LEVEL SECURITY;\n"),
            &["warning row-security"],
        ),
    ];
    let mut wrong = Vec::new();
    for (name, text, expected) in cases {
        for bytes in [
            text.as_bytes().to_vec(),
            packed(Codec::Gzip, &text),
            packed(Codec::Zstd, &text),
        ] {
            let report = verify(bytes);
            let mut found = seen(&report);
            found.sort_unstable();
            if found != expected {
                wrong.push(format!("{name}: {found:?}, not {expected:?}\n{report}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn commands_are_counted() {
    let text = DUMP.replacen("SET statement", "\\connect a\n\\connect b\n\\! id\nSET statement", 1);
    let report = verify(text);
    let commands: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.rule == "psql-command")
        .collect();
    assert_eq!(commands.len(), 2, "{report}");
    assert!(commands[1].message.ends_with("\\connect"));
    assert_eq!(commands[1].evidence[1].value, "2");
}

#[test]
fn required_tables_have_rows() {
    for (required, expected) in [
        ("users", [].as_slice()),
        ("public.users", &[]),
        ("nothing", &["warning required-table-empty"]),
        ("public.bare", &["error required-table"]),
        ("invoices", &["error required-table"]),
    ] {
        let mut rules = Rules::default();
        rules.require_tables = vec![required.to_owned()];
        let report = verify_with(archive(packed(Codec::Gzip, DUMP), None), &rules);
        assert_eq!(seen(&report), expected, "{required}: {report}");
    }
    let mut rules = Rules::default();
    rules.require_tables = vec!["public.bare".to_owned()];
    let message = |text: &str| {
        let report = verify_with(archive(text, None), &rules);
        finding(&report, "required-table").message.clone()
    };
    assert_eq!(message(DUMP), "it has this table, but not its rows");
    let cut = &DUMP[..DUMP.find("2\n3\n").unwrap()];
    assert_eq!(
        message(cut),
        "what can be read of the archive does not have the rows of this table"
    );
}

#[test]
fn a_required_partitioned_table_has_the_rows_of_its_partitions() {
    let attach = "ALTER TABLE ONLY public.bare ATTACH PARTITION public.users FOR VALUES IN (1);\n";
    let text = DUMP.replacen("--\n-- Data for", &format!("{attach}\n--\n-- Data for"), 1);
    let mut rules = Rules::default();
    rules.require_tables = vec!["bare".to_owned()];
    assert_eq!(seen(&verify_with(archive(text.clone(), None), &rules)), [""; 0]);
    let empty = text.replacen("1\n2\n3\n", "", 1);
    let report = verify_with(archive(empty, None), &rules);
    assert_eq!(finding(&report, "required-table-empty").subject, "public.bare");
}

#[test]
fn checksums() {
    let bytes = packed(Codec::Gzip, DUMP);
    let digest = Sha256Digest::of(&bytes);
    let other = Sha256Digest::of(b"");
    for (text, expected) in [
        (format!("{digest}  {NAME}\n"), "note checksum-agrees"),
        (format!("{digest}  /var/backups/{NAME}\n"), "note checksum-agrees"),
        (digest.to_string(), "note checksum-agrees"),
        (format!("{digest}  other.sql.gz\n"), "warning checksum-name"),
        (format!("{other}  {NAME}\n"), "error checksum-digest"),
        ("x".to_owned(), "error checksum-form"),
    ] {
        let report = verify_with(archive(bytes.clone(), Some(&text)), &Rules::default());
        let found = &report.findings[0];
        assert_eq!(
            format!("{} {}", found.severity, found.rule),
            expected,
            "{text}: {report}"
        );
        assert_eq!(report.findings.len(), 1, "{report}");
    }
    // The digest is that of all bytes also where not all could be unpacked.
    let damaged = [&bytes[..], b"garbage"].concat();
    let line = format!("{}  {NAME}\n", Sha256Digest::of(&damaged));
    let report = verify_with(archive(damaged, Some(&line)), &Rules::default());
    assert_eq!(finding(&report, "checksum-agrees").evidence.len(), 1, "{report}");
    assert!(!report.is_sound());
}

#[test]
fn damaged_streams() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let bytes = packed(codec, DUMP);
        let report = verify([&bytes[..], b"garbage"].concat());
        assert!(
            finding(&report, "decompression").message.contains("damaged"),
            "{report}"
        );
        let report = verify(&bytes[..bytes.len() - 1]);
        assert!(
            finding(&report, "decompression").evidence[1]
                .value
                .contains("bytes of text"),
            "{report}"
        );
    }
    let report = verify(&b"PGDMP\x01\x0f"[..]);
    let message = &finding(&report, "not-a-script").message;
    assert!(message.ends_with("an archive of pg_dump's custom format"), "{message}");
}

/// Fails once, after so many bytes.
struct Broken {
    bytes: Cursor<Vec<u8>>,
    fail_at: Option<u64>,
}

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(fail_at) = self.fail_at else {
            return self.bytes.read(buffer);
        };
        let left = fail_at - self.bytes.position();
        if left == 0 {
            self.fail_at = None;
            return Err(io::Error::other("the disk is broken"));
        }
        self.bytes.by_ref().take(left).read(buffer)
    }
}

#[test]
fn a_source_that_fails_is_told_from_a_damaged_archive() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let bytes = packed(codec, DUMP);
        let broken_at = |at| ForeignArchive {
            reader: Box::new(Broken {
                bytes: Cursor::new(bytes.clone()),
                fail_at: Some(at),
            }),
            ..archive("", Some("x"))
        };
        let report = verify_with(broken_at(100), &Rules::default());
        let finding = finding(&report, "archive-read");
        assert_eq!(finding.evidence[1].value, "the disk is broken", "{report}");
        assert!(!seen(&report).contains(&"error decompression".to_owned()), "{report}");
        assert!(
            !seen(&report).contains(&"error checksum-form".to_owned()),
            "there is no digest to compare: {report}"
        );
        let nothing = verify_foreign(broken_at(0), &Rules::default(), &Silent, &|| false);
        assert!(matches!(nothing, Err(VerifyError::Read { .. })), "{nothing:?}");
    }
}

#[test]
fn it_stops_when_asked() {
    let stopped = verify_foreign(archive(DUMP, None), &Rules::default(), &Silent, &|| true);
    assert!(matches!(stopped, Err(VerifyError::Cancelled)));
}

proptest! {
    #[test]
    fn a_dump_cut_anywhere_is_seen(which in 0usize..3, at: prop::sample::Index) {
        let bytes = match which {
            0 => packed(Codec::Gzip, DUMP),
            1 => packed(Codec::Zstd, DUMP),
            // Behind its mark a plain dump has `\unrestrict` and blanks.
            _ => DUMP.trim_ascii_end().as_bytes().to_vec(),
        };
        let report = verify(&bytes[..at.index(bytes.len())]);
        prop_assert!(!report.is_sound(), "{}", report);
    }

    #[test]
    fn any_bytes_do_no_harm(bytes: Vec<u8>, start in 0usize..3) {
        let starts: [&[u8]; 3] = [b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b""];
        verify([starts[start], &bytes].concat());
    }
}
