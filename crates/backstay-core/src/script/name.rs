use std::fmt;

use super::lexer::TokenKind;
use super::tokens::Piece;

/// An identifier as a server knows it, in the encoding of the script: bytes, without quotes, folded to lower case where
/// it was not quoted.
///
/// `Display` is for people: what is not UTF-8 and control characters are replaced.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Vec<u8>);

impl Name {
    /// Takes the bytes as they are.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes of the name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name that a word or a quoted name of a statement means; the escapes of `U&"…"` are left as they are.
    pub(super) fn of(piece: Piece<'_>) -> Option<Self> {
        match piece.kind {
            TokenKind::Word => Some(Self(piece.text.to_ascii_lowercase())),
            TokenKind::QuotedName => {
                let inner = piece.text.strip_suffix(b"\"")?;
                let inner = inner.strip_prefix(b"\"").or_else(|| inner.get(3..))?;
                let mut name = Vec::with_capacity(inner.len());
                let mut quoted = false;
                for &b in inner {
                    quoted = b == b'"' && !quoted;
                    if !quoted {
                        name.push(b);
                    }
                }
                Some(Self(name))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in String::from_utf8_lossy(&self.0).chars() {
            let shown = if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
            write!(f, "{shown}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// A table by its schema, where the script says it, and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair")]
pub struct QualifiedName {
    /// The schema; `None` means that `search_path` decides.
    pub schema: Option<Name>,
    /// The name in it.
    pub name: Name,
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}
