use std::io::{self, Cursor, Read};

use flate2::read::MultiGzDecoder;

/// How the bytes of a script are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Not at all.
    Plain,
    /// One gzip member or several (RFC 1952).
    Gzip,
    /// One zstd frame or several (RFC 8878).
    Zstd,
}

/// What other tools leave under the name of a backup, by their first bytes.
const NO_SCRIPTS: [(&[u8], &str); 8] = [
    (b"PGDMP", "an archive of pg_dump's custom format"),
    (b"age-encryption.org/", "encrypted with age"),
    (b"-----BEGIN PGP MESSAGE-----", "encrypted with OpenPGP"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"BZh", "compressed with bzip2"),
    (b"\x04\x22\x4d\x18", "compressed with lz4"),
    (b"PK\x03\x04", "a zip archive"),
];

/// The longest of the above.
const HEAD_BYTES: usize = 32;

/// Finds out by the first bytes how a script is packed, and unpacks it on the way.
///
/// The reader that comes back fails, and does not end, where a gzip member or zstd frame is cut off or damaged, and
/// where something stands behind them that is neither. A file cut off exactly between two members cannot be told here;
/// [`Outline::completeness`](super::Outline::completeness) tells it.
///
/// # Errors
/// Where `reader` fails, and where the first bytes are those of something that is no script.
pub fn open(mut reader: impl Read + Send + 'static) -> Result<(Format, Box<dyn Read + Send>), OpenError> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    reader
        .by_ref()
        .take(HEAD_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(OpenError::Source)?;
    if let Some((_, what)) = NO_SCRIPTS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(OpenError::NoScript { what });
    }
    let is_gzip = head.starts_with(b"\x1f\x8b");
    let is_zstd = head.starts_with(b"\x28\xb5\x2f\xfd")
        // A skippable frame may come first.
        || matches!(head[..], [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
    let whole = Cursor::new(head).chain(reader);
    if is_gzip {
        Ok((Format::Gzip, Box::new(MultiGzDecoder::new(whole))))
    } else if is_zstd {
        let decoder = zstd::Decoder::new(whole).map_err(OpenError::Source)?;
        Ok((Format::Zstd, Box::new(decoder)))
    } else {
        Ok((Format::Plain, Box::new(whole)))
    }
}

/// Why a script cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Its first bytes cannot be read.
    #[error("cannot read the beginning of the script")]
    Source(#[source] io::Error),
    /// It is something else.
    #[error("not a plain, gzip or zstd script but {what}")]
    NoScript {
        /// What it seems to be.
        what: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read, Write};

    use super::{Format, OpenError, open};

    const SQL: &[u8] = b"SELECT 1;\n-- and so on\n";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 3).unwrap()
    }

    fn read(packed: Vec<u8>) -> (Format, std::io::Result<Vec<u8>>) {
        let (format, mut reader) = open(Cursor::new(packed)).unwrap();
        let mut bytes = Vec::new();
        let result = reader.read_to_end(&mut bytes).map(|_| bytes);
        (format, result)
    }

    #[test]
    fn unpacks_each_format() {
        let skippable = [&b"\x5a\x2a\x4d\x18\x03\0\0\0abc"[..], &zstd(SQL)].concat();
        for (packed, expected_format, expected) in [
            (SQL.to_vec(), Format::Plain, SQL.to_vec()),
            (Vec::new(), Format::Plain, Vec::new()),
            (b"x".to_vec(), Format::Plain, b"x".to_vec()),
            (gzip(SQL), Format::Gzip, SQL.to_vec()),
            ([gzip(SQL), gzip(b""), gzip(SQL)].concat(), Format::Gzip, SQL.repeat(2)),
            (zstd(SQL), Format::Zstd, SQL.to_vec()),
            ([zstd(SQL), zstd(b""), zstd(SQL)].concat(), Format::Zstd, SQL.repeat(2)),
            (skippable, Format::Zstd, SQL.to_vec()),
        ] {
            let (format, bytes) = read(packed);
            assert_eq!((format, bytes.unwrap()), (expected_format, expected));
        }
    }

    #[test]
    fn refuses_every_truncation() {
        for packed in [gzip(SQL), zstd(SQL)] {
            for len in 4..packed.len() {
                assert!(read(packed[..len].to_vec()).1.is_err(), "{len} of {}", packed.len());
            }
        }
    }

    #[test]
    fn refuses_garbage_behind_and_damage_within() {
        for packed in [gzip(SQL), zstd(SQL)] {
            for garbage in [
                &b"\0"[..],
                b"x",
                b"\x1f",
                b"\x28\xb5",
                b"garbage behind the end",
                &[0; 512],
            ] {
                let packed = [&packed, garbage].concat();
                assert!(read(packed).1.is_err(), "{garbage:x?}");
            }
        }
        // zstd frames have a checksum only where the writer asked for one.
        let packed = gzip(SQL);
        let mut damaged = packed.clone();
        damaged[packed.len() - 6] ^= 1;
        assert!(read(damaged).1.is_err());
    }

    #[test]
    fn names_what_is_no_script() {
        for (head, expected) in [
            (&b"PGDMP\x01\x0e"[..], "an archive of pg_dump's custom format"),
            (b"\xff\xfeS\0E\0", "UTF-16 text"),
            (b"age-encryption.org/v1\n", "encrypted with age"),
        ] {
            match open(head) {
                Err(OpenError::NoScript { what }) => assert_eq!(what, expected),
                _ => panic!("{expected}"),
            }
        }
    }
}
