//! What members say is read as psql reads it, and compared with what was read from the server.

use std::sync::Arc;

use backstay_core::manifest::{Chunk, MemberContent, Stage, TableKind};
use backstay_core::repository::ReadBack;
use backstay_core::store::{MemoryStore, Store};
use backstay_core::{Codec, EncodedMember, MemberEncoder, Repository, Sha256Digest};
use backstay_testkit::fixtures::SampleBackup;
use backstay_verify::{Level, Origin};

use crate::support::{finding, open, sample, seen, verify, verify_sample};

type Edit = fn(&mut SampleBackup);

fn check(cases: &[(&str, Edit, &[&str])]) {
    for (name, edit, expected) in cases {
        for codec in [Codec::Gzip, Codec::Zstd] {
            let mut sample = sample(codec);
            edit(&mut sample);
            let report = verify_sample(&sample);
            assert_eq!(seen(&report), *expected, "{name}:\n{report}");
        }
    }
}

/// Replaces a piece in the text of a member by one of the same length.
fn replace(sample: &mut SampleBackup, member: usize, old: &str, new: &str) {
    assert_eq!(old.len(), new.len(), "spans and lengths stay as they are");
    change(sample, member, old, new);
}

fn change(sample: &mut SampleBackup, member: usize, old: &str, new: &str) {
    let text = String::from_utf8(sample.members[member].1.clone()).unwrap();
    assert!(text.contains(old), "{old:?} is not in {text:?}");
    sample.members[member].1 = text.replacen(old, new, 1).into_bytes();
}

fn rows_of(table: u32) -> impl Fn(&MemberContent) -> bool {
    move |content| matches!(content, MemberContent::Rows(block) if block.table == table)
}

fn stage(stage: Stage) -> impl Fn(&MemberContent) -> bool {
    move |content| *content == MemberContent::Schema(stage)
}

/// Changes the rows of a table.
fn change_rows(sample: &mut SampleBackup, table: u32, old: &str, new: &str) {
    let member = sample.member(rows_of(table));
    replace(sample, member, old, new);
}

/// Changes what stands before the rows of a table.
fn change_header(sample: &mut SampleBackup, table: u32, old: &str, new: &str) {
    let member = sample.member(rows_of(table));
    change(sample, member, old, new);
    if let MemberContent::Rows(block) = &mut sample.members[member].0 {
        block.header_bytes += u32::try_from(new.len()).unwrap();
        block.header_bytes -= u32::try_from(old.len()).unwrap();
    }
}

#[test]
fn rows() {
    check(&[
        (
            "another value",
            |s| change_rows(s, 0, "anna@", "hans@"),
            &["error row-digest"],
        ),
        (
            "two rows made one",
            |s| change_rows(s, 0, ".org\n2", ".org 2"),
            &["error row-count"],
        ),
        (
            "a row that ends the rows",
            |s| s.add_rows(2, Chunk::default(), b"1\n\\.\nDROP TABLE public.users;\n"),
            &["error rows-form"],
        ),
        (
            "no end",
            |s| change_rows(s, 0, "\\.\n\n", "\\,\n\n"),
            &["error rows-form"],
        ),
    ]);
}

#[test]
fn headers_of_rows() {
    const REFUSED: &[&str] = &["error rows-form"];
    check(&[
        (
            "another table",
            |s| change_header(s, 0, "\"users\"", "\"user\""),
            REFUSED,
        ),
        (
            "another schema",
            |s| change_header(s, 0, "\"public\"", "\"secret\""),
            REFUSED,
        ),
        ("no schema", |s| change_header(s, 0, "\"public\".", ""), REFUSED),
        (
            "columns in another order",
            |s| change_header(s, 0, "\"id\", \"email\"", "\"email\", \"id\""),
            REFUSED,
        ),
        (
            "fewer columns",
            |s| change_header(s, 0, "\"id\", \"email\"", "\"id\""),
            REFUSED,
        ),
        (
            "columns not said",
            |s| change_header(s, 0, " (\"id\", \"email\")", ""),
            REFUSED,
        ),
        (
            "columns where there are none",
            |s| change_header(s, 7, " FROM", " (\"id\") FROM"),
            REFUSED,
        ),
        (
            "the partition in place of its root",
            |s| change_header(s, 4, "\"colours\"", "\"colours_0\""),
            REFUSED,
        ),
        (
            "a statement before COPY",
            |s| change_header(s, 0, "COPY", "SELECT 1; COPY"),
            REFUSED,
        ),
        (
            "a command before COPY",
            |s| change_header(s, 0, "COPY", "\\echo\nCOPY"),
            REFUSED,
        ),
        (
            "the session set anew before COPY",
            |s| {
                let settings = "SET standard_conforming_strings = on;\nSET client_encoding = 'UTF8';\nCOPY";
                change_header(s, 0, "COPY", settings);
            },
            &[],
        ),
        (
            "another encoding set before COPY",
            |s| change_header(s, 0, "COPY", "SET client_encoding = 'SJIS';\nCOPY"),
            REFUSED,
        ),
        ("no COPY", |s| change_header(s, 0, "COPY", "COPE"), REFUSED),
        (
            "CSV",
            |s| change_header(s, 0, " FROM stdin;", " FROM stdin CSV FROM stdin;"),
            REFUSED,
        ),
        (
            "a comment behind COPY",
            |s| change_header(s, 0, " FROM stdin;", " FROM stdin; -- FROM stdin;"),
            REFUSED,
        ),
        (
            "a header that reaches into the rows",
            |s| {
                s.add_rows(2, Chunk::default(), b"1\n");
                change_header(s, 2, "1\n\\.", "x FROM stdin;\n1\n\\.");
            },
            REFUSED,
        ),
    ]);
}

#[test]
fn rows_hold_no_nul() {
    let mut sample = sample(Codec::Gzip);
    sample.add_rows(2, Chunk::default(), b"1\ta\0b\n");
    let report = verify_sample(&sample);
    assert!(finding(&report, "rows-form").message.contains("NUL byte"), "{report}");
}

#[test]
fn statements() {
    check(&[
        (
            "a command between the entries",
            |s| replace(s, 2, "-- Name: users;", "\\! echo user ;;"),
            &["error statements"],
        ),
        (
            "a command in an entry",
            |s| {
                replace(s, 2, "CREATE TABLE public.users (id", "\\! createdb public users --id");
            },
            &["error entry-statements"],
        ),
        (
            "a literal that is left open",
            |s| replace(s, 2, "text);", "'text;"),
            &["error entry-statements"],
        ),
        (
            "an entry that ends too early",
            |s| s.manifest.entries[1].definition.as_mut().unwrap().length -= 4,
            &["error entry-statements", "error statements"],
        ),
        (
            "a command behind the last entry",
            |s| {
                let member = s.member(stage(Stage::Last));
                s.members[member].1.extend_from_slice(b"\\! id\n");
            },
            &["error statements"],
        ),
        (
            "a statement of no entry",
            |s| drop(s.manifest.entries.remove(0)),
            &["error statements", "warning extension"],
        ),
        (
            "settings and comments between the entries",
            |s| {
                let old = "-- Name: users; Type: TABLE\n--\n\n";
                let new = format!("{:\n<1$}", "/* x */ SET x = 'y';", old.len());
                replace(s, 2, old, &new);
            },
            &[],
        ),
        (
            "a COPY behind the rows",
            |s| {
                let member = s.member(stage(Stage::Last));
                replace(s, member, "CREATE EVENT", "COPY t FROM ");
            },
            &["error entry-statements"],
        ),
        (
            "a command among the sequences",
            |s| {
                let member = s.member(|content| *content == MemberContent::Sequences);
                change(s, member, "SELECT", "\\gexec\nSELECT");
            },
            &["error statements"],
        ),
        (
            "a command among the refreshes",
            |s| {
                let member = s.member(|content| *content == MemberContent::Refreshes);
                change(s, member, ";\n", " \\g\n");
            },
            &["error statements"],
        ),
        (
            "large objects of another content",
            |s| {
                let member = s.member(|content| *content == MemberContent::LargeObjects);
                change(s, member, "cafe", "cafd");
            },
            &["error large-objects"],
        ),
        (
            "a large object that is not made",
            |s| {
                let member = s.member(|content| *content == MemberContent::LargeObjects);
                change(s, member, "SELECT pg_catalog.lo_create('200');\n", "");
            },
            &["error large-objects"],
        ),
        (
            "something else among the large objects",
            |s| {
                let member = s.member(|content| *content == MemberContent::LargeObjects);
                change(
                    s,
                    member,
                    "SELECT pg_catalog.lo_create('200');\n",
                    "DROP TABLE public.users;\n",
                );
            },
            &["error large-objects"],
        ),
        (
            "roles that would be made here",
            |s| change(s, 1, "--G ", ""),
            &["error globals"],
        ),
        (
            "roles behind another kind of line end",
            |s| change(s, 1, "app;", "app;\rDROP ROLE x;"),
            &["error globals"],
        ),
        (
            "a comment that goes on",
            |s| change(s, 1, "app;\n", "app;"),
            &["error globals"],
        ),
    ]);
}

#[test]
fn settings() {
    check(&[
        (
            "nothing that stops at errors",
            |s| change(s, 0, "\\set ON_ERROR_STOP on", ""),
            &["error settings"],
        ),
        (
            "a comment of another version",
            |s| change(s, 0, "A backup", "One backup"),
            &["warning settings"],
        ),
        (
            "another setting",
            |s| change(s, 0, "'statement_timeout', '0'", "'work_mem', '1GB'"),
            &["warning settings"],
        ),
        (
            "another encoding",
            |s| change(s, 0, "'UTF8'", "'LATIN1'"),
            &["error settings"],
        ),
        (
            "another reading of literals",
            |s| {
                change(
                    s,
                    0,
                    "SET standard_conforming_strings = on",
                    "SET standard_conforming_strings = off",
                );
            },
            &["error settings"],
        ),
        (
            "a command",
            |s| change(s, 0, "SET client", "\\! id\nSET client"),
            &["error statements", "warning settings"],
        ),
    ]);
}

#[test]
fn structure() {
    check(&[
        ("settings not first", |s| s.members.swap(0, 1), &["error member-order"]),
        ("no settings", |s| s.remove(0), &["error member-order"]),
        (
            "settings twice at the beginning",
            |s| {
                let settings = s.members[0].clone();
                s.insert(1, settings.0, settings.1);
            },
            &["error member-order"],
        ),
        (
            "settings again",
            |s| {
                let settings = s.members[0].clone();
                s.push(settings.0, settings.1);
            },
            &["error member-order"],
        ),
        (
            "sequences before large objects",
            |s| {
                let member = s.member(|content| *content == MemberContent::Sequences);
                s.members.swap(member - 1, member);
            },
            &["error member-order"],
        ),
        (
            "a part of a chunk that is missing",
            |s| {
                let member = s.member(rows_of(1)) + 1;
                if let MemberContent::Rows(block) = &mut s.members[member].0 {
                    block.chunk.part = 2;
                }
            },
            &["error chunk-overlap"],
        ),
        (
            "pages that are there twice",
            |s| {
                let member = s.member(rows_of(1)) + 2;
                if let MemberContent::Rows(block) = &mut s.members[member].0 {
                    block.chunk.first_page = 511;
                }
            },
            &["error chunk-overlap"],
        ),
        (
            "a chunk without rows in between",
            |s| {
                let member = s.member(rows_of(1)) + 2;
                if let MemberContent::Rows(block) = &mut s.members[member].0 {
                    block.chunk.first_page = 1024;
                }
            },
            &[],
        ),
        (
            "sequences that nothing sets",
            |s| s.manifest.sequences.clear(),
            &["error inventory-member"],
        ),
        (
            "a refresh too many",
            |s| s.manifest.refreshes.clear(),
            &["error inventory-member"],
        ),
        (
            "large objects that were left out",
            |s| s.manifest.large_objects = None,
            &["error inventory-member"],
        ),
        (
            "an entry of another stage",
            |s| s.manifest.entries[1].stage = Stage::PostData,
            &["error entry-stage"],
        ),
        (
            "two entries with one text",
            |s| s.manifest.entries[2].definition = s.manifest.entries[1].definition,
            &["error entry-overlap", "error statements"],
        ),
        (
            "rows of a partitioned table",
            |s| s.manifest.tables[1].kind = TableKind::Partitioned,
            &["error table-kind"],
        ),
    ]);
}

#[test]
fn a_member_that_does_not_unpack_is_seen() {
    for (name, break_it) in [
        (
            "no member",
            (|member| member.stored = b"not compressed".to_vec()) as fn(&mut EncodedMember),
        ),
        ("shorter text", |member| member.text_bytes += 1),
    ] {
        let sample = sample(Codec::Zstd);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let repository = Repository::new(Arc::clone(&store));
        let mut pending = repository.begin(&sample.manifest.id, sample.compression).unwrap();
        let mut encoder = MemberEncoder::new(sample.compression).unwrap();
        for (content, text) in &sample.members {
            let mut member = encoder.encode(text).unwrap();
            if *content == MemberContent::Refreshes {
                break_it(&mut member);
                member.sha256 = Sha256Digest::of(&member.stored);
            }
            pending.append(&member, content.clone()).unwrap();
        }
        pending.finish(sample.manifest.clone(), ReadBack::No).unwrap();
        let backup = open(&store, Origin::Id, Codec::Zstd).unwrap();
        let report = verify(&backup, Origin::Id, Level::Standard);
        assert_eq!(seen(&report), ["error member-text"], "{name}: {report}");
        assert!(
            verify(&backup, Origin::Id, Level::Quick).is_sound(),
            "{name}: its bytes are those that were written"
        );
    }
}
