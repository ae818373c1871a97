//! Counting and digesting large objects from the statements that make them.

use std::collections::{BTreeMap, BTreeSet};

use backstay_core::manifest::{LargeObjects, Manifest};
use backstay_core::{RowDigest, RowHasher};

use crate::finding::Finding;

/// Bytes of an object per row of `pg_largeobject` (`LOBLKSIZE`), which the digest is defined by.
const PIECE_BYTES: u64 = 2048;
const PIECE_DIGITS: usize = 4096;

/// What the statements of some members with large objects make; members may come in any order.
#[derive(Debug, Default)]
pub(super) struct LargeObjectSum {
    created: BTreeSet<u32>,
    /// Where the content of each object that has any ends.
    ends: BTreeMap<u32, u64>,
    hasher: RowHasher,
    pieces: RowDigest,
    members: u64,
    /// Lines of no known form.
    unknown_lines: u64,
}

impl LargeObjectSum {
    /// Reads the text of a member: `lo_create`, `lo_put` and `lo_truncate64` statements, one in a line.
    pub(super) fn of(text: &[u8], hasher: RowHasher) -> Self {
        let mut sum = Self {
            members: 1,
            hasher,
            ..Self::default()
        };
        let is_setting = |line: &[u8]| {
            line == b"SET standard_conforming_strings = on;" || line.starts_with(b"SET client_encoding = '")
        };
        let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        for line in lines.skip_while(|line| is_setting(line)) {
            if sum.line(line).is_none() {
                sum.unknown_lines += 1;
            }
        }
        sum
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.created.extend(other.created);
        for (oid, end) in other.ends {
            let known = self.ends.entry(oid).or_default();
            *known = end.max(*known);
        }
        self.hasher = other.hasher;
        self.pieces.merge(&other.pieces);
        self.members += other.members;
        self.unknown_lines += other.unknown_lines;
    }

    /// Compares with what the manifest says of all of them.
    pub(super) fn check(self, manifest: &Manifest) -> Option<Finding> {
        use backstay_core::manifest::MemberContent;
        let members = manifest.members.iter();
        let expected_members = members
            .filter(|member| member.content == MemberContent::LargeObjects)
            .count();
        if self.members < expected_members as u64 {
            // A member that cannot be read is a finding of its own.
            return None;
        }
        let expected = manifest.large_objects.as_ref()?;
        let error = |message: &str| Finding::error("large-objects", "large objects", message);
        if self.unknown_lines > 0 {
            let finding = error("they are made by statements of another form than Backstay writes");
            return Some(finding.with("lines", self.unknown_lines));
        }
        let found = self.finish();
        if found == *expected {
            return None;
        }
        let shown = |objects: &LargeObjects| {
            let LargeObjects { count, bytes, digest } = objects;
            format!(
                "{count} with {bytes} bytes, {} digest rows, {}",
                digest.rows(),
                digest.sum_hex()
            )
        };
        let finding = error("the statements do not make the objects that were read");
        Some(finding.with("expected", shown(expected)).with("found", shown(&found)))
    }

    fn line(&mut self, line: &[u8]) -> Option<()> {
        if let Some(oid) = line
            .strip_prefix(b"SELECT pg_catalog.lo_create('")
            .and_then(|rest| rest.strip_suffix(b"');"))
        {
            self.created.insert(number(oid)?.try_into().ok()?);
            return Some(());
        }
        if let Some(arguments) = line
            .strip_prefix(b"SELECT pg_catalog.lo_truncate64(pg_catalog.lo_open('")
            .and_then(|rest| rest.strip_suffix(b"');"))
        {
            let mut arguments = arguments.splitn(2, |&byte| byte == b'\'');
            let oid = number(arguments.next()?)?.try_into().ok()?;
            let end = number(arguments.next()?.strip_prefix(b", 131072), '")?)?;
            let known = self.ends.entry(oid).or_default();
            *known = end.max(*known);
            return Some(());
        }
        let arguments = line.strip_prefix(b"SELECT pg_catalog.lo_put('")?.strip_suffix(b"');")?;
        let mut arguments = arguments.splitn(3, |&byte| byte == b',');
        let oid = number(arguments.next()?.strip_suffix(b"'")?)?.try_into().ok()?;
        let offset = number(arguments.next()?.strip_prefix(b" '")?.strip_suffix(b"'")?)?;
        let digits = arguments.next()?.strip_prefix(b" '\\x")?;
        let well_formed = digits.len() % 2 == 0 && digits.iter().all(u8::is_ascii_hexdigit);
        if !well_formed || offset % PIECE_BYTES != 0 {
            return None;
        }
        for (piece, digits) in (offset / PIECE_BYTES..).zip(digits.chunks(PIECE_DIGITS)) {
            self.piece(oid, piece, digits);
        }
        let end = offset.checked_add(digits.len() as u64 / 2)?;
        let known = self.ends.entry(oid).or_default();
        *known = end.max(*known);
        Some(())
    }

    /// Zeros at the end of a piece, and pieces of zeros, read the same as holes, so they do not count.
    fn piece(&mut self, oid: u32, piece: u64, digits: &[u8]) {
        let zeros = digits.iter().rev().take_while(|&&digit| digit == b'0').count();
        let significant = (digits.len() - zeros).next_multiple_of(2);
        if significant > 0 {
            let mut row = format!("{oid}\t{piece}\t").into_bytes();
            row.extend_from_slice(&digits[..significant]);
            self.hasher.add_row(&mut self.pieces, &row);
        }
    }

    fn finish(self) -> LargeObjects {
        let mut digest = self.pieces;
        for (oid, end) in &self.ends {
            self.hasher.add_row(&mut digest, format!("{oid}\t{end}").as_bytes());
        }
        LargeObjects {
            count: self.created.len() as u64,
            bytes: self.ends.values().sum(),
            digest,
        }
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use backstay_core::RowHasher;

    use super::LargeObjectSum;

    fn sum(text: &str) -> (u64, u64, u64, u64) {
        let sum = LargeObjectSum::of(text.as_bytes(), RowHasher::default());
        let unknown = sum.unknown_lines;
        let found = sum.finish();
        (found.count, found.bytes, found.digest.rows(), unknown)
    }

    #[test]
    fn reads_what_backups_hold() {
        let put =
            |oid: u32, offset: u64, hex: &str| format!("SELECT pg_catalog.lo_put('{oid}', '{offset}', '\\x{hex}');\n");
        let create = |oid: u32| format!("SELECT pg_catalog.lo_create('{oid}');\n");
        let long = "01".repeat(2049);
        for (text, expected) in [
            (String::new(), (0, 0, 0, 0)),
            (create(1) + &create(2), (2, 0, 0, 0)),
            (create(1) + &put(1, 0, "0102"), (1, 2, 2, 0)),
            (create(1) + &put(1, 0, &long), (1, 2049, 3, 0)),
            (create(1) + &put(1, 0, "0000"), (1, 2, 1, 0)),
            (create(1) + &put(1, 2048, "01") + &put(1, 0, "01"), (1, 2049, 3, 0)),
            (put(1, 5, "01"), (0, 0, 0, 1)),
            (put(1, 0, "012"), (0, 0, 0, 1)),
            ("SELECT 1;\n".to_owned(), (0, 0, 0, 1)),
            (put(1, 0, "01'); DROP TABLE t; --"), (0, 0, 0, 1)),
        ] {
            assert_eq!(sum(&text), expected, "{text}");
        }
    }

    #[test]
    fn order_of_members_does_not_matter() {
        let [a, b] = [
            &b"SELECT pg_catalog.lo_create('7');\nSELECT pg_catalog.lo_put('7', '0', '\\x01');\n"[..],
            b"SELECT pg_catalog.lo_put('7', '4096', '\\x0200');\n",
        ];
        let merged = |first: &[u8], second: &[u8]| {
            let mut sum = LargeObjectSum::of(first, RowHasher::default());
            sum.merge(LargeObjectSum::of(second, RowHasher::default()));
            sum.finish()
        };
        assert_eq!(merged(a, b), merged(b, a));
        assert_eq!(merged(a, b).bytes, 4098);
    }
}
