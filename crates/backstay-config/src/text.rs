use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::place::At;
use crate::resolve::{Lookup, ResolveError, filled};

/// A text in which `${NAME}` stands for a variable, and `${NAME:-text}` for one with a text in its place.
///
/// What a variable holds is taken as it is; `$${` is a `${` that means nothing. `Debug` and `Display` show names only.
#[derive(Clone)]
pub struct Text {
    parts: Vec<Part>,
    at: At,
}

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable { name: String, otherwise: Option<String> },
}

/// Why a text with variables cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidText {
    #[error("${{ has no }} behind it; write $${{ for the characters themselves")]
    Open,
    #[error("a variable is named as in ${{NAME}} or ${{NAME:-text}}; write $${{ for the characters themselves")]
    Name,
}

impl Text {
    pub(crate) fn parse(text: &str, at: At) -> Result<Self, InvalidText> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(found) = rest.find("${") {
            if rest[..found].ends_with('$') {
                literal.push_str(&rest[..found - 1]);
                literal.push_str("${");
                rest = &rest[found + 2..];
                continue;
            }
            literal.push_str(&rest[..found]);
            let (inside, after) = rest[found + 2..].split_once('}').ok_or(InvalidText::Open)?;
            let (name, otherwise) = match inside.split_once(":-") {
                Some((name, otherwise)) => (name, Some(otherwise.to_owned())),
                None => (inside, None),
            };
            if !is_variable_name(name) {
                return Err(InvalidText::Name);
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Variable {
                name: name.to_owned(),
                otherwise,
            });
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts, at })
    }

    /// A text without variables.
    pub(crate) fn of_literal(text: String, at: At) -> Self {
        Self {
            parts: vec![Part::Literal(text)],
            at,
        }
    }

    /// The text with variables in their places.
    ///
    /// # Errors
    /// A variable that has no other text is not set.
    pub fn resolve(&self, lookup: Lookup<'_>) -> Result<String, ResolveError> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Variable { name, otherwise } => {
                    let value = filled(lookup, name).or_else(|| otherwise.clone());
                    text.push_str(&value.ok_or_else(|| ResolveError::Variable {
                        at: self.at.clone(),
                        name: name.clone(),
                    })?);
                }
            }
        }
        Ok(text)
    }

    /// The text, if it names no variable.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(literal)] => Some(literal),
            _ => None,
        }
    }

    /// The variables that it names, each with whether it can do without.
    pub fn variables(&self) -> impl Iterator<Item = (&str, bool)> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Variable { name, otherwise } => Some((name.as_str(), otherwise.is_some())),
        })
    }

    /// Where it stands.
    #[must_use]
    pub fn at(&self) -> &At {
        &self.at
    }
}

/// Shows the names of variables, and not what stands beside them: a password may be part of a URL.
impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for part in &self.parts {
            match part {
                Part::Literal(_) => list.entry(&format_args!("…")),
                Part::Variable { name, .. } => list.entry(&format_args!("${{{name}}}")),
            };
        }
        list.finish()
    }
}

/// The path of a file; a relative one begins in the folder of the configuration.
#[derive(Clone, Debug)]
pub struct PathText {
    pub(crate) text: Text,
    pub(crate) folder: Arc<Path>,
}

impl PathText {
    /// The path with variables in their places.
    ///
    /// # Errors
    /// A variable is not set.
    pub fn resolve(&self, lookup: Lookup<'_>) -> Result<PathBuf, ResolveError> {
        // An absolute path replaces the folder, and a folder without a name adds nothing.
        Ok(self.folder.join(self.text.resolve(lookup)?))
    }

    /// The path as it stands in the file.
    #[must_use]
    pub fn text(&self) -> &Text {
        &self.text
    }
}

/// Whether a variable can have that name.
pub(crate) fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Source;

    fn text(text: &str) -> Result<Text, InvalidText> {
        Text::parse(text, Source::new("f", "").at(0))
    }

    #[test]
    fn variables_take_their_places_and_are_not_read_again() {
        let lookup = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "AGAIN" => Some("${A}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (written, expected) in [
            ("", Some("")),
            ("plain $ and $A", Some("plain $ and $A")),
            ("x${A}y${A}", Some("xaya")),
            ("${AGAIN}", Some("${A}")),
            ("$${A}", Some("${A}")),
            ("$$${A}", Some("$${A}")),
            ("${NONE:-b}", Some("b")),
            ("${NONE:-}", Some("")),
            ("${EMPTY:-b}", Some("b")),
            ("${A:-b}", Some("a")),
            ("${NONE}", None),
            ("${EMPTY}", None),
        ] {
            assert_eq!(
                text(written).unwrap().resolve(&lookup).ok().as_deref(),
                expected,
                "{written}"
            );
        }
    }

    #[test]
    fn what_names_no_variable_is_refused() {
        for (written, expected) in [
            ("${A", InvalidText::Open),
            ("${", InvalidText::Open),
            ("${}", InvalidText::Name),
            ("${1}", InvalidText::Name),
            ("${A B}", InvalidText::Name),
            ("${A-b}", InvalidText::Name),
        ] {
            assert_eq!(text(written).unwrap_err(), expected, "{written}");
        }
    }

    #[test]
    fn only_names_are_shown() {
        assert_eq!(format!("{:?}", text("hunter2${A}").unwrap()), "[…, ${A}]");
    }
}
