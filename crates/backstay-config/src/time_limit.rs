use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::fields::{Context, Found};
use crate::value::{Value, parsed};

/// How long something may take: `90s`, `30min`, `1h`. `m` would be minutes to some and months to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a length of time and nothing else")]
pub struct TimeLimit(pub Duration);

/// A text that is not a [`TimeLimit`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is a number with s, min or h behind it")]
#[non_exhaustive]
pub struct InvalidTimeLimit;

impl FromStr for TimeLimit {
    type Err = InvalidTimeLimit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let seconds = match unit {
            "s" => 1,
            "min" => 60,
            "h" => 3600,
            _ => 0,
        };
        let number: Option<u64> = number.parse().ok();
        let seconds = number
            .and_then(|number| number.checked_mul(seconds))
            .filter(|seconds| *seconds > 0);
        seconds
            .map(|seconds| Self(Duration::from_secs(seconds)))
            .ok_or(InvalidTimeLimit)
    }
}

impl Value for TimeLimit {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        parsed(found, context, "a length of time", str::parse)
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[0-9]+(s|min|h)$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_their_unit() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("30min", Some(1800)),
            ("1h", Some(3600)),
            ("0h", None),
            ("1", None),
            ("1m", None),
            ("1.5h", None),
            ("-1h", None),
            ("h", None),
            ("", None),
            ("99999999999999999999h", None),
            ("9999999999999999h", None),
        ] {
            let limit = text.parse().ok().map(|TimeLimit(limit)| limit.as_secs());
            assert_eq!(limit, seconds, "{text}");
        }
    }
}
