use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use siphasher::sip128::SipHasher24;
use xxhash_rust::xxh3::xxh3_128;
use zeroize::Zeroize as _;

use super::{InvalidDigest, RowDigest, Sha256Digest, hex_into};

/// The secret under which the digests of a sealed backup are computed, so that they confirm no guess of what is in it.
///
/// It stands in the sealed manifest. Bytes have HMAC-SHA-256 (RFC 2104) of the word `member` and their SHA-256; rows have
/// SipHash-2-4 with 128 bits (<https://cr.yp.to/siphash/siphash-20120918.pdf>) under the first 16 bytes of HMAC-SHA-256 of
/// the word `rows`.
#[derive(Clone, PartialEq, Eq)]
pub struct DigestKey([u8; 32]);

impl DigestKey {
    /// The key of these bytes, which should be random.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// How rows are hashed under it.
    #[must_use]
    pub fn row_hasher(&self) -> RowHasher {
        let mut key = [0; 16];
        key.copy_from_slice(&self.hmac(&[b"rows"])[..16]);
        RowHasher(Some(SipHasher24::new_with_key(&key)))
    }

    /// The keyed digest of bytes that have this SHA-256.
    #[must_use]
    pub fn of_bytes(&self, sha256: Sha256Digest) -> Sha256Digest {
        Sha256Digest::from_bytes(self.hmac(&[b"member", sha256.as_bytes()]))
    }

    /// The key as 64 hexadecimal digits, for a manifest that will be sealed.
    pub(crate) fn reveal(&self) -> String {
        Sha256Digest::from_bytes(self.0).to_string()
    }

    fn hmac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut block = [0; 64];
        block[..32].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        block.zeroize();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl Drop for DigestKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey")
    }
}

/// 64 hexadecimal digits.
impl FromStr for DigestKey {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex_into(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

/// The 128-bit hash that a [`RowDigest`] sums: XXH3, or a keyed one for a sealed backup.
#[derive(Clone, Copy, Default)]
pub struct RowHasher(Option<SipHasher24>);

impl fmt::Debug for RowHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "RowHasher(keyed)"
        } else {
            "RowHasher"
        })
    }
}

impl RowHasher {
    /// Whether there is a key.
    #[must_use]
    pub fn is_keyed(&self) -> bool {
        self.0.is_some()
    }

    /// The hash of a row, given without its line feed.
    #[must_use]
    pub fn hash(&self, row: &[u8]) -> u128 {
        match &self.0 {
            None => xxh3_128(row),
            Some(keyed) => keyed.hash(row).as_u128(),
        }
    }

    /// Adds one row, given without its line feed.
    pub fn add_row(&self, digest: &mut RowDigest, row: &[u8]) {
        digest.add_hash(self.hash(row));
    }

    /// Adds the rows of a text in which each ends with a line feed; a last line without one counts as a row.
    pub fn add_lines(&self, digest: &mut RowDigest, text: &[u8]) {
        let mut rest = text;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.add_row(digest, &rest[..end]);
            rest = &rest[end + 1..];
        }
        if !rest.is_empty() {
            self.add_row(digest, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_the_standards_siphash() {
        // The first vectors of vectors_128 in the authors' reference implementation: key 00 to 0f, message of n bytes 00, 01, …
        let key: [u8; 16] = std::array::from_fn(|index| index as u8);
        let hasher = RowHasher(Some(SipHasher24::new_with_key(&key)));
        let vectors = [
            "a3817f04ba25a8e66df67214c7550293",
            "da87c1d86b99af44347659119b22fc45",
            "8177228da4a45dc7fca38bdef60affe4",
        ];
        for (length, expected) in vectors.into_iter().enumerate() {
            let message: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let mut bytes = [0; 16];
            hex_into(expected, &mut bytes).unwrap();
            assert_eq!(hasher.hash(&message), u128::from_le_bytes(bytes), "{length}");
        }
    }

    #[test]
    fn bytes_have_the_standards_hmac() {
        // Computed with Python: hmac.new(bytes(range(32)), b"member" + sha256(b"x").digest(), "sha256").
        let key = DigestKey::from_bytes(std::array::from_fn(|index| index as u8));
        let found = key.of_bytes(Sha256Digest::of(b"x"));
        assert_eq!(
            found.to_string(),
            "ecd387a30b373e1e7195baf32f5b9ed02f07da5c99c659b4903131bb9656cae3"
        );
        assert_eq!(key.reveal().parse::<DigestKey>().unwrap(), key);
        assert_eq!(format!("{key:?}"), "DigestKey");
    }

    #[test]
    fn another_key_gives_other_digests() {
        let digest = |byte: u8, text: &[u8]| {
            let mut digest = RowDigest::default();
            DigestKey::from_bytes([byte; 32])
                .row_hasher()
                .add_lines(&mut digest, text);
            digest
        };
        assert_ne!(digest(1, b"1\tone\n"), digest(2, b"1\tone\n"));
        assert_eq!(digest(1, b"1\tone\n2\ttwo\n"), digest(1, b"2\ttwo\n1\tone\n"));
        let mut plain = RowDigest::default();
        plain.add_lines(b"1\tone\n");
        assert_ne!(digest(1, b"1\tone\n"), plain);
        let mut same = RowDigest::default();
        RowHasher::default().add_lines(&mut same, b"1\tone\n");
        assert_eq!(same, plain);
    }
}
