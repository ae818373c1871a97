use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A place in a file, for messages: `backstay.toml:12:5`.
#[derive(Clone, PartialEq, Eq)]
pub struct At {
    file: Arc<str>,
    line: usize,
    column: usize,
}

impl At {
    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The character of the line, counted from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Debug for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text whose bytes have places.
pub(crate) struct Source {
    file: Arc<str>,
    text: String,
}

impl Source {
    pub(crate) fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.into(),
            text: text.to_owned(),
        }
    }

    /// The place of a byte; one behind the end counts as the end.
    pub(crate) fn at(&self, offset: usize) -> At {
        let before = &self.text[..self.boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        At {
            file: Arc::clone(&self.file),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// The line that a byte is in, without its end, and where it begins.
    pub(crate) fn line(&self, offset: usize) -> (usize, &str) {
        let offset = self.boundary(offset);
        let start = self.text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let rest = &self.text[start..];
        let line = rest.split('\n').next().unwrap_or(rest);
        (start, line.strip_suffix('\r').unwrap_or(line))
    }

    /// The text of a range, as far as it is one.
    pub(crate) fn slice(&self, range: Range<usize>) -> &str {
        self.text.get(range).unwrap_or_default()
    }

    /// The nearest beginning of a character that is not behind that byte.
    fn boundary(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters_from_one() {
        let source = Source::new("f", "a\näöx\r\n\nb");
        for (needle, expected, line) in [("a", "f:1:1", "a"), ("x", "f:2:3", "äöx"), ("b", "f:4:1", "b")] {
            let offset = source.text.find(needle).unwrap();
            assert_eq!(source.at(offset).to_string(), expected);
            assert_eq!(source.line(offset).1, line);
        }
        assert_eq!(source.at(1000).to_string(), "f:4:2");
        // The second byte of a character is in that character.
        assert_eq!(source.at(3).to_string(), "f:2:1");
    }
}
