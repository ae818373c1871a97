mod keyed;

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

pub use keyed::{DigestKey, RowHasher};

/// A SHA-256 digest (FIPS 180-4), shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256Digest([u8; 32]);

impl Sha256Digest {
    /// The digest of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest whose 32 bytes are given.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex_into(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

/// Computes a [`Sha256Digest`] from pieces.
#[derive(Clone, Default)]
pub struct Sha256Hasher(Sha256);

impl fmt::Debug for Sha256Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256Hasher")
    }
}

impl Sha256Hasher {
    /// A hasher of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes added.
    #[must_use]
    pub fn finish(self) -> Sha256Digest {
        Sha256Digest(self.0.finalize().into())
    }
}

/// How many rows there are and the wrapping sum of a 128-bit hash of each.
///
/// The hash is XXH3-128 with seed 0 (<https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>) of the row's
/// COPY text without its line feed, or the keyed one of a [`RowHasher`]. The sum does not depend on the order of rows, and equal rows count as often as
/// they are there, so two tables with one digest hold the same rows. It proves faithful copies; it does not withstand
/// somebody who makes up rows on purpose, against whom the SHA-256 of each member stands.
///
/// ```
/// use backstay_core::RowDigest;
/// let mut here = RowDigest::default();
/// here.add_row(b"1\tone");
/// here.add_row(b"2\ttwo");
/// let mut there = RowDigest::default();
/// there.add_lines(b"2\ttwo\n1\tone\n");
/// assert_eq!(here, there);
/// there.add_row(b"2\ttwo");
/// assert_ne!(here, there);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowDigest {
    rows: u64,
    sum: u128,
}

impl RowDigest {
    /// The digest with the given parts.
    #[must_use]
    pub fn new(rows: u64, sum: u128) -> Self {
        Self { rows, sum }
    }

    /// How many rows were added.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The wrapping sum of the rows' hashes.
    #[must_use]
    pub fn sum(&self) -> u128 {
        self.sum
    }

    /// Adds one row, given without its line feed, hashed without a key.
    pub fn add_row(&mut self, row: &[u8]) {
        RowHasher::default().add_row(self, row);
    }

    /// Adds the rows of a text in which each ends with a line feed; a last line without one counts as a row.
    pub fn add_lines(&mut self, text: &[u8]) {
        RowHasher::default().add_lines(self, text);
    }

    fn add_hash(&mut self, hash: u128) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hash);
    }

    /// Adds the rows that another digest counted; the number, which a manifest may state at will, stays at its greatest.
    pub fn merge(&mut self, other: &Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// The sum as 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn sum_hex(&self) -> String {
        format!("{:032x}", self.sum)
    }
}

/// Reads the sum of a [`RowDigest`] from 32 hexadecimal digits.
pub(crate) fn parse_sum(text: &str) -> Result<u128, InvalidDigest> {
    let mut bytes = [0; 16];
    hex_into(text, &mut bytes)?;
    Ok(u128::from_be_bytes(bytes))
}

fn hex_into(text: &str, bytes: &mut [u8]) -> Result<(), InvalidDigest> {
    let invalid = || InvalidDigest {
        digits: bytes.len() * 2,
    };
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    if text.len() != bytes.len() * 2 {
        return Err(invalid());
    }
    let error = invalid();
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        match (digit(pair[0]), digit(pair[1])) {
            (Some(high), Some(low)) => *byte = high << 4 | low,
            _ => return Err(error),
        }
    }
    Ok(())
}

/// A text that is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a digest of {digits} lower-case hexadecimal digits")]
pub struct InvalidDigest {
    digits: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_is_the_standards() {
        // The example of FIPS 180-4.
        let abc = Sha256Digest::of(b"abc");
        assert_eq!(
            abc.to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(abc.to_string().parse(), Ok(abc));
        let mut pieces = Sha256Hasher::new();
        pieces.update(b"a");
        pieces.update(b"bc");
        assert_eq!(pieces.finish(), abc);
    }

    #[test]
    fn other_texts_are_no_digests() {
        let good = Sha256Digest::of(b"").to_string();
        for bad in [
            "",
            "00",
            &good[1..],
            &good.to_uppercase(),
            &format!("{good}0"),
            &"é".repeat(32),
        ] {
            assert!(bad.parse::<Sha256Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn row_hash_is_the_specifications() {
        // XXH3-128 of the empty input, seed 0, from the test vectors of xxHash.
        let mut digest = RowDigest::default();
        digest.add_row(b"");
        assert_eq!(digest.sum_hex(), "99aa06d3014798d86001c324468d497f");
        assert_eq!(parse_sum(&digest.sum_hex()), Ok(digest.sum()));
    }

    #[test]
    fn digest_counts_duplicates_and_ignores_order() {
        let digest = |text: &[u8]| {
            let mut digest = RowDigest::default();
            digest.add_lines(text);
            digest
        };
        assert_eq!(digest(b"a\nb\n"), digest(b"b\na\n"));
        assert_ne!(digest(b"a\nb\n"), digest(b"a\na\nb\n"));
        assert_ne!(digest(b"a\na\n"), digest(b"b\nb\n"));
        assert_eq!(digest(b"a\nb").rows(), 2);
        assert_eq!(digest(b"\n\n").rows(), 2);
        let mut merged = digest(b"a\n");
        merged.merge(&digest(b"b\n"));
        assert_eq!(merged, digest(b"a\nb\n"));
    }
}
