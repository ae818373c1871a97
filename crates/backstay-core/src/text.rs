use std::borrow::Cow;
use std::fmt;

/// A text of a database in that database's own encoding: a name, a definition. Any bytes but NUL.
///
/// `Display` shows what is valid UTF-8 and a replacement character for the rest; nothing that is written or compared
/// goes through `Display`. In JSON it is a string by [`DbText::to_json`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DbText(Vec<u8>);

/// The first of 256 characters that stand for single bytes in JSON.
const BYTE_CHARACTERS: u32 = 0x10_FF00;

impl DbText {
    /// Wraps bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes themselves.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The text for a person, with a replacement character for what is no UTF-8.
    #[must_use]
    pub fn to_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The form that stands in JSON, from which [`DbText::from_json`] gives exactly these bytes again.
    ///
    /// Valid UTF-8 stands for itself. Every byte that is not part of valid UTF-8 becomes the private-use character
    /// `U+10FF00` + byte; the bytes of characters of that very range are written so too, which makes the form unique.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(self.0.len());
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if u32::from(c) < BYTE_CHARACTERS {
                    json.push(c);
                } else {
                    let mut buffer = [0; 4];
                    json.extend(c.encode_utf8(&mut buffer).bytes().map(byte_character));
                }
            }
            json.extend(chunk.invalid().iter().copied().map(byte_character));
        }
        json
    }

    /// The bytes of a text that [`DbText::to_json`] gave.
    #[must_use]
    pub fn from_json(json: &str) -> Self {
        let mut bytes = Vec::with_capacity(json.len());
        for c in json.chars() {
            match u32::from(c)
                .checked_sub(BYTE_CHARACTERS)
                .and_then(|byte| u8::try_from(byte).ok())
            {
                Some(byte) => bytes.push(byte),
                None => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
        Self(bytes)
    }
}

fn byte_character(byte: u8) -> char {
    char::from_u32(BYTE_CHARACTERS + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

impl fmt::Display for DbText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_lossy())
    }
}

impl fmt::Debug for DbText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_lossy())
    }
}

impl From<&str> for DbText {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<Vec<u8>> for DbText {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl PartialEq<str> for DbText {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::DbText;

    #[test]
    fn utf8_stands_for_itself() {
        assert_eq!(DbText::from("Täble \"x\"").to_json(), "Täble \"x\"");
        assert_eq!(DbText::new(*b"na\xefve").to_json(), "na\u{10FFEF}ve");
        assert_eq!(DbText::new(*b"na\xefve").to_string(), "na\u{FFFD}ve");
    }

    proptest! {
        #[test]
        fn json_gives_the_bytes_again(bytes: Vec<u8>) {
            let text = DbText::new(bytes);
            prop_assert_eq!(DbText::from_json(&text.to_json()), text);
        }

        #[test]
        fn also_for_the_characters_that_stand_for_bytes(text in "[a\u{10FEFF}-\u{10FFFF}é]{0,8}") {
            let text = DbText::from(text.as_str());
            prop_assert_eq!(DbText::from_json(&text.to_json()), text);
        }
    }
}
