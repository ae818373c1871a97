use std::fmt;
use std::str::FromStr;

/// A word that a backup was given when it was made: `pre-migration`, or with a value, `release=2025.3`.
///
/// Invariants: 1 to 64 of `A-Z a-z 0-9 . _ -`, and perhaps `=` and 1 to 64 of the same. It stands in clear also where the
/// backup is sealed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

const PART_BYTES_MAX: usize = 64;

impl Tag {
    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the tag is what was asked for: the same, or one with a value where only its name was said.
    #[must_use]
    pub fn is_one_of(&self, asked: &Self) -> bool {
        let name = self.0.split_once('=').map_or(&*self.0, |(name, _)| name);
        self == asked || name == asked.0
    }
}

fn is_part(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=PART_BYTES_MAX).contains(&text.len()) && text.chars().all(allowed)
}

impl FromStr for Tag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text
            .split_once('=')
            .map_or((text, None), |(name, value)| (name, Some(value)));
        if is_part(name) && value.is_none_or(is_part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTag { text: text.to_owned() })
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A text that cannot be a [`Tag`].
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text:?} cannot be a tag: use 1 to 64 letters, digits, '.', '_' or '-', and perhaps '=' and as many again")]
pub struct InvalidTag {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_words_with_or_without_a_value() {
        let long = "x".repeat(64);
        for good in ["pre-migration", "release=2025.3", "a", &long, &format!("{long}={long}")] {
            assert_eq!(good.parse::<Tag>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "=",
            "a=",
            "=a",
            "a b",
            "a=b=c",
            "ä",
            "a/b",
            "a\n",
            &format!("{long}x"),
        ] {
            assert!(bad.parse::<Tag>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_asks_for_every_value() {
        for (tag, asked, is_one) in [
            ("release", "release", true),
            ("release=2", "release", true),
            ("release=2", "release=2", true),
            ("release=2", "release=3", false),
            ("release", "release=2", false),
            ("releases=2", "release", false),
        ] {
            let (tag, asked): (Tag, Tag) = (tag.parse().unwrap(), asked.parse().unwrap());
            assert_eq!(tag.is_one_of(&asked), is_one, "{tag} {asked}");
        }
    }
}
