use crate::codec::Codec;
use crate::digest::Sha256Digest;

/// The fixed-size end of a pack: it says where the manifest member is and what its bytes must be.
///
/// In a gzip pack it is an empty gzip member (RFC 1952) whose header has one extra subfield (2.3.1.1) `BS`; in a zstd
/// pack it is a skippable frame (RFC 8878, 3.1.2) with the magic number `0x184D2A5B`. Other readers pass over both.
///
/// The 64 bytes inside, integers little-endian: `BACKSTAY`, version (u16), codec (u8: 1 gzip, 2 zstd), 0 (u8), stored
/// length of the manifest member (u64), length of its text (u64), SHA-256 of its stored bytes (32 bytes), and the
/// first four bytes of the SHA-256 of the 60 before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a plain record; another content is another version"
)]
pub struct Trailer {
    /// The pack's codec.
    pub codec: Codec,
    /// Length of the manifest member in the pack; the member ends where the trailer begins.
    pub manifest_stored_bytes: u64,
    /// Length of the manifest member's text.
    pub manifest_text_bytes: u64,
    /// SHA-256 of the manifest member's stored bytes.
    pub manifest_sha256: Sha256Digest,
}

const MAGIC: &[u8; 8] = b"BACKSTAY";
const VERSION: u16 = 1;
const PAYLOAD_BYTES: usize = 64;
/// Member header with FEXTRA, no time, unknown system; length of the extra field; subfield `BS` and its length.
const GZIP_HEAD: [u8; 16] = [
    0x1f,
    0x8b,
    8,
    4,
    0,
    0,
    0,
    0,
    0,
    255,
    PAYLOAD_BYTES as u8 + 4,
    0,
    b'B',
    b'S',
    PAYLOAD_BYTES as u8,
    0,
];
/// An empty final block, the CRC-32 and the length of nothing.
const GZIP_TAIL: [u8; 10] = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const ZSTD_HEAD: [u8; 8] = [0x5b, 0x2a, 0x4d, 0x18, PAYLOAD_BYTES as u8, 0, 0, 0];

/// Bytes to read from the end of a pack of unknown codec to have its trailer.
pub const TRAILER_BYTES_MAX: u64 = (GZIP_HEAD.len() + PAYLOAD_BYTES + GZIP_TAIL.len()) as u64;

impl Trailer {
    /// The length of the trailer of a pack of that codec.
    #[must_use]
    pub fn bytes(codec: Codec) -> u64 {
        match codec {
            Codec::Gzip => TRAILER_BYTES_MAX,
            Codec::Zstd => (ZSTD_HEAD.len() + PAYLOAD_BYTES) as u64,
        }
    }

    /// The bytes that end the pack.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(PAYLOAD_BYTES);
        payload.extend_from_slice(MAGIC);
        payload.extend_from_slice(&VERSION.to_le_bytes());
        payload.push(codec_number(self.codec));
        payload.push(0);
        payload.extend_from_slice(&self.manifest_stored_bytes.to_le_bytes());
        payload.extend_from_slice(&self.manifest_text_bytes.to_le_bytes());
        payload.extend_from_slice(self.manifest_sha256.as_bytes());
        let check = Sha256Digest::of(&payload);
        payload.extend_from_slice(&check.as_bytes()[..4]);
        match self.codec {
            Codec::Gzip => [&GZIP_HEAD[..], &payload, &GZIP_TAIL].concat(),
            Codec::Zstd => [&ZSTD_HEAD[..], &payload].concat(),
        }
    }

    /// Reads the trailer from the last bytes of a pack, at least [`Trailer::bytes`] of them.
    ///
    /// # Errors
    /// There is no trailer at the very end, it is damaged, or a newer program wrote it.
    pub fn decode(end: &[u8]) -> Result<Self, TrailerError> {
        let found = [Codec::Gzip, Codec::Zstd].into_iter().find_map(|codec| {
            let (head, tail): (&[u8], &[u8]) = match codec {
                Codec::Gzip => (&GZIP_HEAD, &GZIP_TAIL),
                Codec::Zstd => (&ZSTD_HEAD, &[]),
            };
            let length = usize::try_from(Self::bytes(codec)).ok()?;
            let bytes = end.get(end.len().checked_sub(length)?..)?;
            bytes
                .strip_prefix(head)?
                .strip_suffix(tail)
                .map(|payload| (codec, payload))
        });
        let (codec, payload) = found.ok_or(TrailerError::Missing)?;
        let (body, check) = payload.split_at(PAYLOAD_BYTES - 4);
        if &body[..8] != MAGIC {
            return Err(TrailerError::Missing);
        }
        if Sha256Digest::of(body).as_bytes()[..4] != *check {
            return Err(TrailerError::Damaged);
        }
        let version = u16::from_le_bytes([body[8], body[9]]);
        if version != VERSION {
            return Err(TrailerError::Version { found: version });
        }
        if body[10] != codec_number(codec) || body[11] != 0 {
            return Err(TrailerError::Damaged);
        }
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&body[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let mut digest = [0; 32];
        digest.copy_from_slice(&body[28..60]);
        Ok(Self {
            codec,
            manifest_stored_bytes: number(12),
            manifest_text_bytes: number(20),
            manifest_sha256: Sha256Digest::from_bytes(digest),
        })
    }
}

fn codec_number(codec: Codec) -> u8 {
    match codec {
        Codec::Gzip => 1,
        Codec::Zstd => 2,
    }
}

/// Why the end of a file is not a trailer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrailerError {
    /// The file does not end with one.
    #[error("the file does not end with Backstay's trailer: it is cut short, or longer than it was, or not a pack")]
    Missing,
    /// Its bytes do not agree with each other.
    #[error("the trailer at the end of the file is damaged")]
    Damaged,
    /// A newer program wrote it.
    #[error("the trailer has version {found}, this program reads {VERSION}: use a newer Backstay")]
    Version {
        /// The version found.
        found: u16,
    },
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    fn trailer(codec: Codec) -> Trailer {
        Trailer {
            codec,
            manifest_stored_bytes: 1234,
            manifest_text_bytes: 56789,
            manifest_sha256: Sha256Digest::of(b"manifest"),
        }
    }

    #[test]
    fn other_readers_pass_over_it() {
        let gzip = trailer(Codec::Gzip).encode();
        assert_eq!(gzip.len() as u64, Trailer::bytes(Codec::Gzip));
        let mut text = Vec::new();
        flate2::read::MultiGzDecoder::new(&gzip[..])
            .read_to_end(&mut text)
            .unwrap();
        assert_eq!(text, b"");
        let zstd = trailer(Codec::Zstd).encode();
        assert_eq!(zstd.len() as u64, Trailer::bytes(Codec::Zstd));
        assert_eq!(zstd::decode_all(&zstd[..]).unwrap(), b"");
    }

    /// The table in docs/format.md.
    #[test]
    fn its_bytes_are_those_of_the_document() {
        let payload = |codec: u8| {
            let mut bytes = b"BACKSTAY\x01\x00".to_vec();
            bytes.extend_from_slice(&[codec, 0]);
            bytes.extend_from_slice(&[0xd2, 0x04, 0, 0, 0, 0, 0, 0]);
            bytes.extend_from_slice(&[0xd5, 0xdd, 0, 0, 0, 0, 0, 0]);
            bytes.extend_from_slice(Sha256Digest::of(b"manifest").as_bytes());
            bytes.extend_from_slice(&Sha256Digest::of(&bytes).as_bytes()[..4]);
            bytes
        };
        let head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x44\0BS\x40\0";
        let gzip = [&head[..], &payload(1), b"\x03\0\0\0\0\0\0\0\0\0"].concat();
        let zstd = [&b"\x5b\x2a\x4d\x18\x40\0\0\0"[..], &payload(2)].concat();
        for (codec, bytes) in [(Codec::Gzip, gzip), (Codec::Zstd, zstd)] {
            assert_eq!(trailer(codec).encode(), bytes, "{codec}");
            assert_eq!(Trailer::decode(&bytes), Ok(trailer(codec)), "{codec}");
        }
    }

    #[test]
    fn what_its_check_agrees_with_and_the_document_does_not_is_refused() {
        for (at, expected) in [
            (0, TrailerError::Missing),
            (10, TrailerError::Damaged),
            (11, TrailerError::Damaged),
        ] {
            let mut bytes = trailer(Codec::Zstd).encode();
            bytes[8 + at] ^= 3;
            let check = Sha256Digest::of(&bytes[8..68]);
            bytes[68..].copy_from_slice(&check.as_bytes()[..4]);
            assert_eq!(Trailer::decode(&bytes), Err(expected), "{at}");
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut payload = trailer(Codec::Zstd).encode();
        payload[8 + 8] = 2;
        let check = Sha256Digest::of(&payload[8..68]);
        payload[68..].copy_from_slice(&check.as_bytes()[..4]);
        assert_eq!(Trailer::decode(&payload), Err(TrailerError::Version { found: 2 }));
    }

    proptest! {
        #[test]
        fn comes_back_from_the_end_of_any_bytes(before: Vec<u8>, gzip: bool, stored: u64, text: u64) {
            let codec = if gzip { Codec::Gzip } else { Codec::Zstd };
            let trailer = Trailer { manifest_stored_bytes: stored, manifest_text_bytes: text, ..trailer(codec) };
            let bytes = [before, trailer.encode()].concat();
            prop_assert_eq!(Trailer::decode(&bytes), Ok(trailer));
            prop_assert!(Trailer::decode(&bytes[..bytes.len() - 1]).is_err());
            prop_assert!(Trailer::decode(&[&bytes[..], b"\0"].concat()).is_err());
        }

        #[test]
        fn any_flipped_bit_is_seen(gzip: bool, bit in 0usize..72 * 8) {
            let mut bytes = trailer(if gzip { Codec::Gzip } else { Codec::Zstd }).encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Trailer::decode(&bytes).is_err());
        }

        #[test]
        fn any_bytes_do_no_harm(bytes: Vec<u8>) {
            prop_assert!(Trailer::decode(&bytes).is_err());
        }
    }
}
