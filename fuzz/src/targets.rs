//! One function for each target: it takes any bytes, and panics where what must hold of them does not.
//!
//! The stable tests of `backstay-core` include this file and give it the inputs in `fuzz/corpus`.

use std::io::{self, Read};
use std::sync::Arc;

use backstay_core::Repository;
use backstay_core::manifest::{
    Chunk, Manifest, ROWS_FOOTER, RowBlock, from_json, manifest_from_member, manifest_member_text, to_json,
};
use backstay_core::pack::{PackWriter, Trailer, open_pack};
use backstay_core::repository::BackupReader;
use backstay_core::script::{
    EndedBy, Event, Limits, Outline, ScriptReader, check_statements, depends_on_session, statements,
};
use backstay_core::store::{MemoryStore, Store};
use backstay_core::{Codec, Compression, DbText, MemberEncoder, ObjectKey, RowDigest};

/// A target: it panics on an input of which what must hold does not.
pub type Target = fn(&[u8]);

/// Every target with the name of its folder in the corpus.
pub const TARGETS: [(&str, Target); 4] = [
    ("manifest", manifest),
    ("pack", pack),
    ("copy_text", copy_text),
    ("script", script),
];

/// A manifest, beside a pack or in one: it is refused, or it gives itself again and its numbers can be added.
pub fn manifest(input: &[u8]) {
    for read in [from_json(input), manifest_from_member(input)] {
        match read {
            Ok(manifest) => assert_can_be_used(&manifest),
            // A message is for people.
            Err(error) => assert!(error.to_string().len() < 4096 + input.len()),
        }
    }
    if let Ok(text) = std::str::from_utf8(input) {
        let text = DbText::from_json(text);
        assert_eq!(DbText::from_json(&text.to_json()), text);
    }
}

fn assert_can_be_used(manifest: &Manifest) {
    let json = to_json(manifest);
    assert!(json.is_ascii());
    assert_eq!(from_json(&json).as_ref(), Ok(manifest));
    let text = manifest_member_text(manifest);
    assert_eq!(manifest_from_member(&text).as_ref(), Ok(manifest));
    let sums = [manifest.stored_bytes(), manifest.text_bytes(), manifest.row_count()];
    for end in sums.into_iter().chain([0, u64::MAX]) {
        let _ = manifest.check_tiling(end);
    }
}

/// A pack opened by itself. The first byte says whether the rest is the whole object, or what stands before a sound
/// trailer: members and the text of the manifest, which the fuzzer would not come to otherwise.
pub fn pack(input: &[u8]) {
    let Some((&form, rest)) = input.split_first() else {
        return;
    };
    let codec = if form & 2 == 0 { Codec::Gzip } else { Codec::Zstd };
    let store = Arc::new(MemoryStore::new());
    let Ok(key) = "pack".parse::<ObjectKey>() else {
        return;
    };
    if form & 1 == 0 {
        let _ = Trailer::decode(rest);
        put(&*store, &key, rest);
    } else {
        let members_bytes = usize::from(form >> 2).min(rest.len());
        put_with_trailer(&store, &key, codec, rest.split_at(members_bytes));
    }
    let Ok(opened) = open_pack(&*store, &key) else {
        return;
    };
    assert!(opened.manifest_offset < opened.bytes);
    assert_eq!(opened.manifest.check_tiling(opened.manifest_offset), Ok(()));
    let Ok(reader) = BackupReader::open_pack(&Repository::new(store), &key) else {
        panic!("what was opened once can be opened again");
    };
    assert_eq!(*reader.manifest(), opened.manifest);
    for member in &reader.manifest().members {
        // The bound of a member's text is the server's, and more than a fuzzer has.
        if member.text_bytes < 1 << 20
            && let Ok(text) = reader.text(member)
        {
            assert_eq!(text.len() as u64, member.text_bytes);
        }
    }
}

fn put(store: &dyn Store, key: &ObjectKey, bytes: &[u8]) {
    let written = store.create(key).and_then(|mut object| {
        object.append(bytes)?;
        object.publish()
    });
    assert!(written.is_ok(), "memory never fails");
}

fn put_with_trailer(store: &Arc<MemoryStore>, key: &ObjectKey, codec: Codec, (members, text): (&[u8], &[u8])) {
    let encode = |text: &[u8]| MemberEncoder::new(Compression::new(codec)).and_then(|mut encoder| encoder.encode(text));
    let (Ok(mut member), Ok(text), Ok(object)) = (encode(members), encode(text), store.create(key)) else {
        panic!("neither codec nor memory fails on small inputs");
    };
    // Bytes that are no member at all are a case too.
    if members.first().is_some_and(|&byte| byte % 2 == 0) {
        member.stored = members.to_vec();
    }
    let mut pack = PackWriter::new(object, codec, None);
    let written = pack.append(&member).and_then(|_| pack.finish(&text));
    assert!(written.is_ok(), "memory never fails");
}

/// The text of a member with rows: cut into statement, rows and end, hashed row by row, and read as psql reads it.
pub fn copy_text(input: &[u8]) {
    let (head, text) = input.split_at(input.len().min(2));
    let header_bytes = head.iter().fold(0, |number, &byte| number << 8 | u32::from(byte));
    let block = RowBlock {
        table: 0,
        header_bytes,
        digest: RowDigest::default(),
        chunk: Chunk::default(),
    };
    if let Some((statement, rows)) = BackupReader::split_rows(text, &block) {
        assert_eq!([statement, rows, ROWS_FOOTER].concat(), text);
        assert_eq!(statement.len(), header_bytes as usize);
    }
    assert_hashed_row_by_row(text);
    assert_read_as_psql_does(text);
}

fn assert_hashed_row_by_row(text: &[u8]) {
    let mut digest = RowDigest::default();
    digest.add_lines(text);
    let lines = text.strip_suffix(b"\n").unwrap_or(text).split(|&byte| byte == b'\n');
    let mut expected = RowDigest::default();
    if !text.is_empty() {
        lines.for_each(|line| expected.add_row(line));
    }
    assert_eq!(digest, expected);
    if let Some(middle) = text.iter().position(|&byte| byte == b'\n') {
        let mut pieces = RowDigest::default();
        pieces.add_lines(&text[..=middle]);
        let mut rest = RowDigest::default();
        rest.add_lines(&text[middle + 1..]);
        pieces.merge(&rest);
        assert_eq!(pieces, digest);
    }
}

/// Rows as they stand in a pack come back from the reader of scripts, unless one of them ends the block.
fn assert_read_as_psql_does(text: &[u8]) {
    let rows = match text.iter().rposition(|&byte| byte == b'\n') {
        Some(end) => &text[..=end],
        None => b"",
    };
    let ends_block = |line: &[u8]| line.trim_ascii_end() == b"\\.";
    if rows.contains(&0) || rows.split(|&byte| byte == b'\n').any(ends_block) {
        return;
    }
    let member = [&b"COPY \"t\" (\"a\") FROM stdin;\n"[..], rows, ROWS_FOOTER].concat();
    let mut reader = ScriptReader::new(&member[..]);
    let (mut found, mut told) = (Vec::new(), None);
    loop {
        match reader.next_event() {
            Ok(None) => break,
            Ok(Some(Event::CopyStart(_))) => {}
            Ok(Some(Event::CopyRows(block))) => found.extend_from_slice(block.bytes),
            Ok(Some(Event::CopyEnd(end))) => told = Some((end.rows, end.bytes)),
            other => panic!("{other:?}"),
        }
    }
    let mut digest = RowDigest::default();
    digest.add_lines(rows);
    assert!(found == rows, "the rows come back as they are");
    assert_eq!(told, Some((digest.rows(), rows.len() as u64)));
}

/// A script of others: read in one piece as byte by byte, within its limits; and what may stand in a pack as a
/// definition is nothing but whole statements when it is read.
pub fn script(input: &[u8]) {
    let whole = events(input, Limits::default());
    let slow = events(OneByOne(input), Limits::default());
    assert_eq!(whole, slow);
    let limits = Limits {
        statement_bytes_max: 16,
        row_bytes_max: 16,
    };
    let _ = events(input, limits);
    let outline = Outline::read(ScriptReader::new(input));
    let _ = outline.completeness();
    if check_statements(input).is_ok() {
        assert_are_statements(input);
    }
    if input.len() < 1 << 16 {
        unpack(input.to_vec());
    }
}

fn assert_are_statements(sql: &[u8]) {
    let parts: Vec<&[u8]> = statements(sql).collect();
    assert!(sql.starts_with(&parts.concat()));
    for part in &parts {
        assert_eq!(check_statements(part), Ok(()), "{}", part.escape_ascii());
        assert!(depends_on_session(sql) || !depends_on_session(part));
    }
    if sql.to_ascii_lowercase().windows(9).any(|text| text == b"standard_") {
        // It may set `standard_conforming_strings`, after which literals end elsewhere.
        return;
    }
    // It does not stand at the start of a script, where psql passes over a byte order mark.
    let script = [b"--\n", sql].concat();
    let events = events(&script[..], Limits::default());
    for event in &events {
        let is_harmless = event.starts_with("comment ") || event.starts_with("statement ");
        assert!(is_harmless, "{event} in {}", sql.escape_ascii());
    }
    let count = events.iter().filter(|event| event.starts_with("statement ")).count();
    assert_eq!(count, parts.len(), "{}", sql.escape_ascii());
}

fn unpack(packed: Vec<u8>) {
    if let Ok((_, reader)) = backstay_core::script::open(io::Cursor::new(packed)) {
        // A small input can hold much; how much is for the caller to bound.
        let _ = io::copy(&mut reader.take(1 << 20), &mut io::sink());
    }
}

/// What a script consists of, in a form to compare; rows that were given out in several blocks are joined.
fn events(source: impl Read, limits: Limits) -> Vec<String> {
    let mut reader = ScriptReader::with_limits(source, limits);
    let mut events: Vec<String> = Vec::new();
    loop {
        let event = match reader.next_event() {
            Ok(None) => return events,
            Err(error) => {
                events.push(format!("error {error}"));
                assert!(matches!(reader.next_event(), Ok(None)), "an error comes once");
                return events;
            }
            Ok(Some(event)) => event,
        };
        let shown = match event {
            Event::Comment(part) => format!("comment {}", part.text.escape_ascii()),
            Event::Statement(statement) => {
                let kind = match statement.ended_by {
                    EndedBy::Semicolon => "statement",
                    EndedBy::Command => "unfinished",
                };
                format!("{kind} {}", statement.part.text.escape_ascii())
            }
            Event::Command(command) => format!("command {}", command.part.text.escape_ascii()),
            Event::CopyStart(copy) => format!("copy {}", copy.part.text.escape_ascii()),
            Event::CopyRows(rows) => {
                let shown = rows.bytes.escape_ascii().to_string();
                match events.last_mut() {
                    Some(last) if last.starts_with("rows ") => {
                        last.push_str(&shown);
                        continue;
                    }
                    _ => format!("rows {shown}"),
                }
            }
            Event::CopyEnd(end) => format!("end {} {}", end.rows, end.bytes),
            other => format!("{other:?}"),
        };
        events.push(shown);
    }
}

/// Gives its bytes one by one.
struct OneByOne<'a>(&'a [u8]);

impl Read for OneByOne<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(1);
        self.0.read(&mut buffer[..length])
    }
}
