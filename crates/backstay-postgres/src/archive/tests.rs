use proptest::prelude::*;

use super::*;

/// An archive of format 1.16, as `WriteHead` and `WriteToc` write it.
#[derive(Clone)]
struct Archive(Vec<u8>);

impl Archive {
    fn begin(minor: u8, entries: i64) -> Self {
        let mut archive = Self(b"PGDMP".to_vec());
        archive.0.extend([1, minor, 0, 4, 8, 1]);
        if minor >= 15 {
            archive.0.push(0);
        } else {
            archive.integer(-1);
        }
        for part in [59, 30, 14, 16, 0, 125, 0] {
            archive.integer(part);
        }
        for text in ["kulti", "15.18 (Debian)", "17.11"] {
            archive.string(Some(text.as_bytes()));
        }
        archive.integer(entries);
        archive
    }

    fn integer(&mut self, value: i64) {
        self.0.push(u8::from(value < 0));
        self.0.extend_from_slice(&(value.unsigned_abs() as u32).to_le_bytes());
    }

    fn string(&mut self, text: Option<&[u8]>) {
        self.integer(text.map_or(-1, |text| text.len() as i64));
        self.0.extend_from_slice(text.unwrap_or_default());
    }

    fn entry(&mut self, minor: u8, id: i64, kind: &str, definition: &[u8], drop: &[u8]) {
        self.integer(id);
        self.integer(0);
        self.string(Some(b"1259"));
        self.string(Some(b"4294967295"));
        self.string(Some(b"gr\xfc\xdfe"));
        self.string(Some(kind.as_bytes()));
        self.integer(2);
        self.string(Some(definition));
        self.string(Some(drop));
        self.string(None);
        self.string(Some(b"s"));
        self.string(Some(b""));
        if minor >= 14 {
            self.string(Some(b"heap"));
        }
        if minor >= 16 {
            self.integer(i64::from(b'r'));
        }
        self.string(Some(b"o'Brien"));
        self.string(Some(b"false"));
        self.string(Some(b"3"));
        self.string(Some(b"2147483647"));
        self.string(None);
        self.0.push(3);
        self.0.extend([0; 8]);
    }
}

fn sample(minor: u8) -> Vec<u8> {
    let mut archive = Archive::begin(minor, 3);
    archive.entry(minor, 1, "ENCODING", b"SET client_encoding = 'LATIN1';\n", b"");
    archive.entry(minor, 2, "TABLE", b"CREATE TABLE x ();\n", b"DROP TABLE x;\n");
    archive.entry(
        minor,
        7,
        "FUNCTION",
        b"CREATE FUNCTION f();\n",
        b"DROP FUNCTION s.f(integer);\n",
    );
    archive.0
}

fn printed(toc: &Toc) -> String {
    let text: Vec<u8> = toc.print().flat_map(|entry| entry.unwrap().text()).collect();
    text.escape_ascii()
        .to_string()
        .replace("\\n", "\n")
        .replace("\\'", "'")
        .replace("\\\"", "\"")
}

#[test]
fn every_supported_version_is_read() {
    for minor in 12..=16 {
        let toc = Toc::parse(&sample(minor)).unwrap();
        assert_eq!(toc.archive_version, (1, minor));
        assert_eq!(toc.database_name, b"kulti");
        assert_eq!(
            (toc.server_version.as_slice(), toc.dump_major()),
            (&b"15.18 (Debian)"[..], 17)
        );
        assert_eq!(toc.encoding(), Some(&b"LATIN1"[..]));
        let table = toc.entry(2).unwrap();
        assert_eq!(
            (table.table_oid, table.oid, table.section),
            (1259, u32::MAX, Section::PreData)
        );
        assert_eq!(table.tag, b"gr\xfc\xdfe");
        assert_eq!(table.table_access_method.is_some(), minor >= 14);
        assert_eq!(table.relkind, (minor >= 16).then_some(b'r'));
        assert_eq!(table.owner.as_deref(), Some(&b"o'Brien"[..]));
        assert_eq!(table.dependencies, [3, i32::MAX]);
    }
}

#[test]
fn an_archive_without_search_path_sets_it_for_each_schema() {
    let toc = Toc::parse(&sample(12)).unwrap();
    let expected = "SET search_path = s, pg_catalog;\n\nSET default_tablespace = '';\n\n\
        --\n-- Name: gr\\xfc\\xdfe; Type: TABLE; Schema: s; Owner: o'Brien\n--\n\n\
        CREATE TABLE x ();\n\n\nALTER TABLE s.\"gr\\xfc\\xdfe\" OWNER TO \"o'Brien\";\n\n\
        --\n-- Name: gr\\xfc\\xdfe; Type: FUNCTION; Schema: s; Owner: o'Brien\n--\n\n\
        CREATE FUNCTION f();\n\n\nALTER FUNCTION s.f(integer) OWNER TO \"o'Brien\";\n\n";
    assert_eq!(printed(&toc), expected);
}

#[test]
fn a_session_says_only_what_is_new() {
    let mut toc = Toc::parse(&sample(16)).unwrap();
    let mut table = toc.entries.remove(1);
    let mut session = Session::new(&toc);
    let first = session.prepare(&table);
    assert_eq!(first.escape_ascii().to_string().matches("SET ").count(), 3);
    assert_eq!(session.prepare(&table), b"");
    table.tablespace = Some(b"Fast".to_vec());
    table.table_access_method = None;
    assert_eq!(session.prepare(&table), b"SET default_tablespace = \"Fast\";\n\n");
}

#[test]
fn an_owner_that_cannot_be_set_is_an_error() {
    let mut archive = Archive::begin(16, 2);
    archive.entry(16, 1, "PROPERTY GRAPH", b"CREATE", b"DROP");
    archive.entry(16, 2, "FUNCTION", b"CREATE", b"drop it");
    let errors: Vec<_> = Toc::parse(&archive.0)
        .unwrap()
        .print()
        .map(Result::unwrap_err)
        .collect();
    let kind = "PROPERTY GRAPH".to_owned();
    assert_eq!(
        errors,
        [
            PrintError::UnknownOwnedKind { dump_id: 1, kind },
            PrintError::DropStatement { dump_id: 2 }
        ]
    );
}

#[test]
fn large_objects_share_one_entry() {
    let mut archive = Archive::begin(16, 3);
    archive.entry(16, 3, "BLOB METADATA", b"16400\n16401\n", b"SELECT lo_unlink()");
    archive.entry(
        16,
        4,
        "ACL",
        b"GRANT SELECT ON LARGE OBJECT 16400 TO \"a;LARGE OBJECT 1\";\n\nREVOKE ALL ON LARGE OBJECT 16400 FROM b;\n",
        b"",
    );
    archive.entry(16, 5, "ACL", b"GRANT ALL ON TABLE t TO b;", b"");
    let mut toc = Toc::parse(&archive.0).unwrap();
    toc.entries[1].tag = b"LARGE OBJECTS 16400..16401".to_vec();
    toc.entries[2].tag = b"LARGE OBJECTS 1..2".to_vec();
    let printed: Vec<_> = toc.print().collect();
    let definition = |at: usize| printed[at].as_ref().unwrap().definition.escape_ascii().to_string();
    assert_eq!(
        definition(0),
        r"SELECT pg_catalog.lo_create(\'16400\');\nSELECT pg_catalog.lo_create(\'16401\');\n\n"
    );
    assert_eq!(
        printed[0]
            .as_ref()
            .unwrap()
            .owner
            .as_ref()
            .unwrap()
            .escape_ascii()
            .to_string(),
        r#"ALTER LARGE OBJECT 16400 OWNER TO \"o\'Brien\";\nALTER LARGE OBJECT 16401 OWNER TO \"o\'Brien\";\n\n"#
    );
    assert_eq!(
        definition(1),
        r#"GRANT SELECT ON LARGE OBJECT 16400 TO \"a;LARGE OBJECT 1\";\nGRANT SELECT ON LARGE OBJECT 16401 TO \"a;LARGE OBJECT 1\";\n\nREVOKE ALL ON LARGE OBJECT 16400 FROM b;\nREVOKE ALL ON LARGE OBJECT 16401 FROM b;\n\n"#
    );
    assert_eq!(printed[2], Err(PrintError::LargeObjectAcl { dump_id: 5 }));
}

fn check_refused(archive: &[u8], expected: &str) {
    assert_eq!(Toc::parse(archive).unwrap_err().to_string(), expected);
}

#[test]
fn foreign_and_damaged_archives_are_refused() {
    check_refused(b"", "not an archive of pg_dump's custom format");
    check_refused(b"--\n-- PostgreSQL", "not an archive of pg_dump's custom format");
    let version = |major, minor| {
        let mut archive = sample(16);
        archive[5..7].copy_from_slice(&[major, minor]);
        archive
    };
    let supported = "is not supported (supported are 1.12 to 1.16, of pg_dump 10 to 18)";
    check_refused(&version(1, 17), &format!("archive format 1.17 {supported}"));
    check_refused(&version(1, 11), &format!("archive format 1.11 {supported}"));
    check_refused(&version(2, 14), &format!("archive format 2.14 {supported}"));

    let head = Archive::begin(16, 1);
    let end = head.0.len();
    check_refused(
        &head.0,
        &format!("archive ends at byte {end}, inside its table of contents"),
    );
    let with = |make: &dyn Fn(&mut Archive)| {
        let mut archive = head.clone();
        make(&mut archive);
        archive.0
    };
    let zero_id = with(&|archive| archive.entry(16, 0, "TABLE", b"", b""));
    check_refused(
        &zero_id,
        &format!("damaged archive: dump id out of range before byte {}", end + 5),
    );
    check_refused(
        &Archive::begin(16, -1).0,
        &format!("damaged archive: negative number of entries before byte {end}"),
    );
    let entries = i64::try_from(MAX_ARCHIVE_ENTRIES).unwrap();
    check_refused(
        &Archive::begin(16, entries + 1).0,
        &format!("damaged archive: more than 10 million entries before byte {end}"),
    );
    check_refused(
        &Archive::begin(16, entries).0,
        &format!("archive ends at byte {end}, inside its table of contents"),
    );
    let long = |length: i64| {
        with(&|archive| {
            for number in [1, 0, length] {
                archive.integer(number);
            }
        })
    };
    check_refused(
        &long(1 << 30),
        &format!("archive ends at byte {}, inside its table of contents", end + 15),
    );
    check_refused(
        &long((1 << 30) + 1),
        &format!("damaged archive: string longer than 1 GiB before byte {}", end + 15),
    );

    let mut twice = Archive::begin(16, 2);
    twice.entry(16, 1, "TABLE", b"", b"");
    twice.entry(16, 1, "TABLE", b"", b"");
    check_refused(
        &twice.0,
        &format!(
            "damaged archive: two entries with one dump id before byte {}",
            twice.0.len()
        ),
    );
    let zero_byte = with(&|archive| archive.entry(16, 1, "TA\0BLE", b"", b""));
    assert!(
        Toc::parse(&zero_byte)
            .unwrap_err()
            .to_string()
            .starts_with("damaged archive: zero byte in a string")
    );
}

#[test]
fn an_unreadable_stream_is_told_from_a_short_one() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("disk on fire"))
        }
    }
    let archive = sample(16);
    let error = Toc::read(archive[..100].chain(Broken)).unwrap_err();
    assert!(matches!(error, ReadArchiveError::Io { offset: 100, .. }), "{error:?}");
    assert_eq!(Toc::read(archive.as_slice()).unwrap(), Toc::parse(&archive).unwrap());
}

/// Reads and prints whatever it is; only a panic is wrong.
fn digest(archive: &[u8]) -> Option<usize> {
    let toc = Toc::parse(archive).ok()?;
    Some(toc.print().filter_map(Result::ok).map(|entry| entry.text().len()).sum())
}

#[test]
fn every_truncation_is_an_error() {
    for minor in [12, 15, 16] {
        let archive = sample(minor);
        assert!(digest(&archive).is_some_and(|length| length > 0));
        for length in 0..archive.len() {
            assert!(
                Toc::parse(&archive[..length]).is_err(),
                "{length} bytes of format 1.{minor}"
            );
        }
    }
}

proptest! {
    #[test]
    fn flipped_bits_never_panic(minor in 12u8..=16, flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8), 1..6)) {
        let mut archive = sample(minor);
        for (at, bit) in flips {
            let at = at.index(archive.len());
            archive[at] ^= 1u8 << bit;
        }
        digest(&archive);
    }

    #[test]
    fn noise_behind_a_header_never_panics(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut archive = Archive::begin(16, 5).0;
        archive.extend(noise);
        digest(&archive);
    }
}
