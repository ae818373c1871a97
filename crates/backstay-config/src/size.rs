use std::str::FromStr;

use serde_json::{Value as Json, json};

use crate::fields::{Context, Found};
use crate::value::{Value, parsed};

/// The length of a volume, in bytes.
pub(crate) struct VolumeSize(pub(crate) u64);

/// Less has no room for what a volume holds beside its rows.
const VOLUME_BYTES_MIN: u64 = 16 << 20;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidSize {
    #[error("a size is a number of bytes, or one with K, M or G behind it")]
    Grammar,
    #[error("a volume must have room for 16M")]
    TooSmall,
}

impl FromStr for VolumeSize {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, shift) = match text.chars().last() {
            Some('K') => (&text[..text.len() - 1], 10),
            Some('M') => (&text[..text.len() - 1], 20),
            Some('G') => (&text[..text.len() - 1], 30),
            _ => (text, 0),
        };
        let bytes = digits(number).and_then(|number| number.checked_mul(1 << shift));
        match bytes.ok_or(InvalidSize::Grammar)? {
            ..VOLUME_BYTES_MIN => Err(InvalidSize::TooSmall),
            bytes => Ok(Self(bytes)),
        }
    }
}

impl Value for VolumeSize {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        parsed(found, context, "a size", str::parse)
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[0-9]+[KMG]?$" })
    }
}

fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_volumes_are_read() {
        for (text, expected) in [
            ("16777216", Ok(16 << 20)),
            ("16384K", Ok(16 << 20)),
            ("40M", Ok(40 << 20)),
            ("2G", Ok(2 << 30)),
            ("15M", Err(InvalidSize::TooSmall)),
            ("+40M", Err(InvalidSize::Grammar)),
            ("40MB", Err(InvalidSize::Grammar)),
            ("", Err(InvalidSize::Grammar)),
            ("99999999999G", Err(InvalidSize::Grammar)),
        ] {
            assert_eq!(text.parse::<VolumeSize>().map(|size| size.0), expected, "{text}");
        }
    }
}
