use std::fmt;
use std::str::FromStr;

use crate::digest::Sha256Digest;

/// How members are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third codec is a new format version, and every match must see it"
)]
pub enum Codec {
    /// One gzip member (RFC 1952) per member.
    Gzip,
    /// One zstd frame (RFC 8878) with checksum per member.
    Zstd,
}

impl Codec {
    /// The ending of a pack's name: `gz` or `zst`.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Gzip => "gz",
            Self::Zstd => "zst",
        }
    }

    /// The name in options and manifests: `gzip` or `zstd`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Codec {
    type Err = InvalidCompression;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "gzip" | "gz" => Ok(Self::Gzip),
            "zstd" | "zst" => Ok(Self::Zstd),
            _ => Err(InvalidCompression::Unknown(text.to_owned())),
        }
    }
}

/// A codec with its level.
///
/// ```
/// use backstay_core::Compression;
/// let compression: Compression = "zstd:3".parse()?;
/// assert_eq!(compression.to_string(), "zstd:3");
/// # Ok::<(), backstay_core::InvalidCompression>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    codec: Codec,
    level: i32,
}

impl Compression {
    /// The codec with its default level, 1.
    ///
    /// A backup is to end soon. What higher levels save is measured by `cargo xtask bench --compress`: on rows of an
    /// application gzip 6 makes a pack a tenth smaller than gzip 1 for three times the work, and zstd 3 none.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self { codec, level: 1 }
    }

    /// The codec with a level of 1 to 12 (gzip) or 1 to 19 (zstd).
    ///
    /// # Errors
    /// A level outside that range.
    pub fn with_level(codec: Codec, level: i32) -> Result<Self, InvalidCompression> {
        let max = match codec {
            Codec::Gzip => 12,
            Codec::Zstd => 19,
        };
        if (1..=max).contains(&level) {
            Ok(Self { codec, level })
        } else {
            Err(InvalidCompression::Level { codec, max })
        }
    }

    /// The codec.
    #[must_use]
    pub fn codec(self) -> Codec {
        self.codec
    }

    /// The level, in the codec's own numbers.
    #[must_use]
    pub fn level(self) -> i32 {
        self.level
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::new(Codec::Gzip)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.codec, self.level)
    }
}

impl FromStr for Compression {
    type Err = InvalidCompression;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None => Ok(Self::new(text.parse()?)),
            Some((codec, level)) => {
                let level = level
                    .parse()
                    .map_err(|_| InvalidCompression::Unknown(text.to_owned()))?;
                Self::with_level(codec.parse()?, level)
            }
        }
    }
}

/// A text that names no compression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCompression {
    /// Not of the form `gzip`, `zstd`, `gzip:LEVEL` or `zstd:LEVEL`.
    #[error("unknown compression {0:?} (known: gzip, zstd, each with an optional :LEVEL)")]
    Unknown(String),
    /// The level is out of range.
    #[error("the level of {codec} must be from 1 to {max}")]
    Level {
        /// The codec named.
        codec: Codec,
        /// Its highest level.
        max: i32,
    },
}

/// A compressed member with what the manifest says of it.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct EncodedMember {
    /// The bytes that are stored.
    pub stored: Vec<u8>,
    /// Their SHA-256.
    pub sha256: Sha256Digest,
    /// Length of the text that they decompress to, in bytes.
    pub text_bytes: u64,
}

/// Compresses members one by one; each worker has its own.
pub struct MemberEncoder {
    state: EncoderState,
}

enum EncoderState {
    Gzip(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl fmt::Debug for MemberEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberEncoder")
    }
}

impl MemberEncoder {
    /// An encoder; the same text gives the same bytes on every run of one program version.
    ///
    /// # Errors
    /// The codec refuses its own parameters or has no memory.
    pub fn new(compression: Compression) -> Result<Self, CodecError> {
        let state = match compression.codec {
            Codec::Gzip => {
                let level = libdeflater::CompressionLvl::new(compression.level).map_err(|_| CodecError::Encode {
                    detail: format!("level {}", compression.level),
                })?;
                EncoderState::Gzip(libdeflater::Compressor::new(level))
            }
            Codec::Zstd => {
                let refused = |e: std::io::Error| CodecError::Encode { detail: e.to_string() };
                let mut compressor = zstd::bulk::Compressor::new(compression.level).map_err(refused)?;
                compressor.include_checksum(true).map_err(refused)?;
                compressor.include_contentsize(true).map_err(refused)?;
                EncoderState::Zstd(compressor)
            }
        };
        Ok(Self { state })
    }

    /// Compresses one member.
    ///
    /// # Errors
    /// The text is longer than [`MEMBER_TEXT_BYTES_MAX`], so that nobody would read it again; the codec fails, which only
    /// a lack of memory should bring about.
    pub fn encode(&mut self, text: &[u8]) -> Result<EncodedMember, CodecError> {
        let text_bytes = text.len() as u64;
        if text_bytes > MEMBER_TEXT_BYTES_MAX {
            return Err(CodecError::TooLong { text_bytes });
        }
        let stored = match &mut self.state {
            EncoderState::Gzip(compressor) => {
                let mut stored = vec![0; compressor.gzip_compress_bound(text.len())];
                let length = compressor
                    .gzip_compress(text, &mut stored)
                    .map_err(|e| CodecError::Encode { detail: e.to_string() })?;
                stored.truncate(length);
                stored.shrink_to_fit();
                stored
            }
            EncoderState::Zstd(compressor) => {
                let mut stored = compressor
                    .compress(text)
                    .map_err(|e| CodecError::Encode { detail: e.to_string() })?;
                stored.shrink_to_fit();
                stored
            }
        };
        Ok(EncodedMember {
            sha256: Sha256Digest::of(&stored),
            stored,
            text_bytes,
        })
    }
}

/// The largest text of one member: one row of a little over 1 GiB, which is all that a server can send, and 16 MiB.
pub const MEMBER_TEXT_BYTES_MAX: u64 = (1 << 30) + (16 << 20);

/// Decompresses one member whose text has exactly `text_bytes` bytes.
///
/// # Errors
/// The bytes are no member of that codec, are damaged, or give a text of another length; `text_bytes` is above
/// [`MEMBER_TEXT_BYTES_MAX`]. Memory is never taken for more than `text_bytes`.
pub fn decode_member(codec: Codec, stored: &[u8], text_bytes: u64) -> Result<Vec<u8>, CodecError> {
    let length = usize::try_from(text_bytes)
        .ok()
        .filter(|_| text_bytes <= MEMBER_TEXT_BYTES_MAX)
        .ok_or(CodecError::TooLong { text_bytes })?;
    if stored.is_empty() {
        return Err(CodecError::Decode {
            codec,
            detail: "there are no bytes".to_owned(),
        });
    }
    let mut text = vec![0; length];
    let actual = match codec {
        Codec::Gzip => libdeflater::Decompressor::new()
            .gzip_decompress(stored, &mut text)
            .map_err(|e| CodecError::Decode {
                codec,
                detail: e.to_string(),
            })?,
        Codec::Zstd => zstd::bulk::Decompressor::new()
            .and_then(|mut decompressor| decompressor.decompress_to_buffer(stored, &mut text))
            .map_err(|e| CodecError::Decode {
                codec,
                detail: e.to_string(),
            })?,
    };
    if actual == length {
        if codec == Codec::Gzip && !ends_with_footer_of(stored, &text) {
            return Err(CodecError::Decode {
                codec,
                detail: "something stands behind its end".to_owned(),
            });
        }
        Ok(text)
    } else {
        Err(CodecError::Length {
            expected: text_bytes,
            actual: actual as u64,
        })
    }
}

/// Whether the bytes end with the checksum and length of that text (RFC 1952, 2.3.1). The decoder stops behind the first
/// member and says nothing of what follows, which other readers would take for more text.
fn ends_with_footer_of(stored: &[u8], text: &[u8]) -> bool {
    let footer = stored.last_chunk::<8>().map(|footer| {
        let number = |at: usize| u32::from_le_bytes([footer[at], footer[at + 1], footer[at + 2], footer[at + 3]]);
        (number(0), number(4))
    });
    footer == Some((libdeflater::crc32(text), text.len() as u32))
}

/// Why a member could not be compressed or decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The encoder failed.
    #[error("compression failed: {detail}")]
    Encode {
        /// What the codec said.
        detail: String,
    },
    /// The bytes are damaged or of another kind.
    #[error("not a whole {codec} member: {detail}")]
    Decode {
        /// The codec expected.
        codec: Codec,
        /// What it said.
        detail: String,
    },
    /// The text is shorter than recorded.
    #[error("the text has {actual} bytes where {expected} were recorded")]
    Length {
        /// Bytes recorded.
        expected: u64,
        /// Bytes found.
        actual: u64,
    },
    /// The recorded length is above the bound.
    #[error("a member of {text_bytes} bytes of text is over the limit")]
    TooLong {
        /// Bytes recorded.
        text_bytes: u64,
    },
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn compression_reads_and_shows_itself() {
        for (text, shown) in [
            ("gzip", "gzip:1"),
            ("zstd", "zstd:1"),
            ("gzip:6", "gzip:6"),
            ("zst:19", "zstd:19"),
        ] {
            assert_eq!(text.parse::<Compression>().unwrap().to_string(), shown);
        }
        for bad in ["", "lz4", "gzip:0", "gzip:13", "zstd:20", "zstd:x", "zstd:-5"] {
            assert!(bad.parse::<Compression>().is_err(), "{bad}");
        }
    }

    #[test]
    fn other_readers_read_concatenated_members() {
        let texts: [&[u8]; 3] = [b"one\n", b"", b"three\n"];
        let concatenated = |compression: Compression| {
            let mut encoder = MemberEncoder::new(compression).unwrap();
            texts
                .iter()
                .flat_map(|text| encoder.encode(text).unwrap().stored)
                .collect::<Vec<u8>>()
        };
        let mut plain = String::new();
        let gzip = concatenated(Compression::new(Codec::Gzip));
        flate2::read::MultiGzDecoder::new(&gzip[..])
            .read_to_string(&mut plain)
            .unwrap();
        assert_eq!(plain, "one\nthree\n");
        let zstd = concatenated(Compression::new(Codec::Zstd));
        assert_eq!(zstd::decode_all(&zstd[..]).unwrap(), b"one\nthree\n");
    }

    fn encoded(codec: Codec) -> Vec<u8> {
        let mut encoder = MemberEncoder::new(Compression::new(codec)).unwrap();
        encoder.encode(&b"SELECT 1;\n".repeat(100)).unwrap().stored
    }

    #[test]
    fn a_gzip_member_has_no_name_and_no_time() {
        // RFC 1952, 2.3: method deflate, no flags, and four bytes of time.
        assert_eq!(encoded(Codec::Gzip)[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_zstd_frame_has_a_checksum_and_states_its_content_size() {
        let frame = encoded(Codec::Zstd);
        // RFC 8878, 3.1.1.1.1: the third bit is the flag of the checksum; with the sixth, or one of the upper two, the
        // content size stands in the header.
        assert_ne!(frame[4] & 0b0000_0100, 0, "{:08b}", frame[4]);
        assert_eq!(zstd::zstd_safe::get_frame_content_size(&frame).unwrap(), Some(1000));
    }

    #[test]
    fn absurd_lengths_are_refused_without_taking_memory() {
        let member = MemberEncoder::new(Compression::default())
            .unwrap()
            .encode(b"x")
            .unwrap();
        let refused = decode_member(Codec::Gzip, &member.stored, u64::MAX);
        assert_eq!(refused, Err(CodecError::TooLong { text_bytes: u64::MAX }));
    }

    #[test]
    fn the_longest_text_is_the_longest_that_is_written() {
        let too_long = vec![0; usize::try_from(MEMBER_TEXT_BYTES_MAX).unwrap() + 1];
        let refused = MemberEncoder::new(Compression::default()).unwrap().encode(&too_long);
        let text_bytes = MEMBER_TEXT_BYTES_MAX + 1;
        assert_eq!(refused.unwrap_err(), CodecError::TooLong { text_bytes });
        // One byte less is a question of what the bytes hold, no longer of the bound.
        let refused = decode_member(Codec::Zstd, b"x", MEMBER_TEXT_BYTES_MAX).unwrap_err();
        assert!(matches!(refused, CodecError::Decode { .. }), "{refused}");
        let refused = decode_member(Codec::Zstd, b"x", text_bytes).unwrap_err();
        assert_eq!(refused, CodecError::TooLong { text_bytes });
    }

    #[test]
    fn nothing_may_stand_behind_a_member() {
        for codec in [Codec::Gzip, Codec::Zstd] {
            let mut encoder = MemberEncoder::new(Compression::new(codec)).unwrap();
            let member = encoder.encode(b"1\tone\n").unwrap();
            let second = encoder.encode(b"2\ttwo\n").unwrap();
            for behind in [&b"\0"[..], b"garbage behind", &second.stored] {
                let both = [&member.stored[..], behind].concat();
                assert!(decode_member(codec, &both, member.text_bytes).is_err(), "{codec}");
            }
        }
    }

    proptest! {
        #[test]
        fn members_come_back(text: Vec<u8>, zstd: bool, cut in 1usize..20) {
            let compression = Compression::new(if zstd { Codec::Zstd } else { Codec::Gzip });
            let codec = compression.codec();
            let member = MemberEncoder::new(compression).unwrap().encode(&text).unwrap();
            let decoded = decode_member(codec, &member.stored, member.text_bytes);
            prop_assert_eq!(decoded.as_deref(), Ok(&text[..]));
            prop_assert!(decode_member(codec, &member.stored, member.text_bytes + 1).is_err());
            if !text.is_empty() {
                prop_assert!(decode_member(codec, &member.stored, member.text_bytes - 1).is_err());
            }
            let short = &member.stored[..member.stored.len() - cut.min(member.stored.len())];
            prop_assert!(decode_member(codec, short, member.text_bytes).is_err());
        }
    }
}
