//! Questions in SQL. They are asked elsewhere, since nothing here knows a server; what they gave is judged here.

use backstay_core::Sha256Digest;
use backstay_core::manifest::{CheckOutcome, CheckValue};

use crate::finding::{Finding, Severity};

/// A value of more bytes is not kept beside a backup.
const VALUE_BYTES_MAX: usize = 1_000;

/// The longest reason of a failure that is kept beside a backup, in characters.
const REASON_CHARS_MAX: usize = 200;

/// The rule that its findings bear.
const RULE: &str = "sql-check";

/// A query, and what it has to give in a database that was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqlCheck {
    /// What it is called.
    pub name: String,
    /// One `SELECT`, in which every name has its schema.
    pub query: String,
    /// What it has to give.
    pub expect: Expectation,
    /// What it means when it gives something else, or cannot be asked.
    pub severity: Severity,
}

/// What a query has to give.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever asks must know each")]
pub enum Expectation {
    /// One value, this number.
    Number(i64),
    /// So many rows.
    Rows {
        /// At least so many.
        min: u64,
        /// At most so many; `None` for any number.
        max: Option<u64>,
    },
    /// The value that the same query gave in the backup's own snapshot.
    AsInBackup,
}

/// What a query gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever asks says one of these")]
pub enum SqlOutcome {
    /// One row of one column: its text as the server writes it, `None` for a null.
    Value(Option<String>),
    /// So many rows, of which there is no one value.
    Rows(u64),
    /// Nothing, for the reason given.
    Failed(String),
}

impl SqlCheck {
    /// A check whose failure is an error.
    pub fn new(name: impl Into<String>, query: impl Into<String>, expect: Expectation) -> Self {
        Self {
            name: name.into(),
            query: query.into(),
            expect,
            severity: Severity::Error,
        }
    }

    /// Tells what is wrong with what the query gave in a restored database; `None` where nothing is. `taken` is what the
    /// backup has of its own snapshot ([`Manifest::check_values`](backstay_core::Manifest)), all of it.
    #[must_use]
    pub fn judge(&self, outcome: &SqlOutcome, taken: &[CheckValue]) -> Option<Finding> {
        let found = match outcome {
            SqlOutcome::Failed(reason) => {
                return Some(self.finding("the query failed").with("cause", reason));
            }
            SqlOutcome::Value(value) => shown(value.as_deref()),
            SqlOutcome::Rows(rows) => format!("{rows} rows"),
        };
        let (message, expected) = match &self.expect {
            Expectation::Number(number) => {
                let is_it = matches!(outcome, SqlOutcome::Value(Some(text)) if is_number(text, *number));
                (!is_it).then(|| ("the query gave another value", number.to_string()))
            }
            Expectation::Rows { min, max } => {
                let rows = outcome.rows();
                let is_within = rows >= *min && max.is_none_or(|max| rows <= max);
                if !is_within {
                    let finding = self.finding("the query gave another number of rows");
                    let expected = match max {
                        Some(max) if max == min => format!("{min}"),
                        Some(max) => format!("{min} to {max}"),
                        None => format!("at least {min}"),
                    };
                    return Some(finding.with("expected", expected).with("found", rows));
                }
                None
            }
            Expectation::AsInBackup => match self.value_in(taken) {
                Err(why) => {
                    // Nothing is known to be wrong, and nothing was compared either.
                    let severity = self.severity.max(Severity::Warning);
                    let message = "the backup has no value of this query to compare with";
                    return Some(Finding::new(severity, RULE, &self.name, message).with("cause", why));
                }
                Ok(value) => (*outcome != SqlOutcome::Value(value.clone())).then(|| {
                    (
                        "the query gave another value than in the backup",
                        shown(value.as_deref()),
                    )
                }),
            },
        }?;
        Some(self.finding(message).with("expected", expected).with("found", found))
    }

    /// What a backup keeps of what the query gave in its snapshot: one value that is not too long, or why there is none.
    #[must_use]
    pub fn value_to_keep(&self, outcome: SqlOutcome) -> CheckValue {
        let outcome = match outcome {
            SqlOutcome::Value(Some(text)) if text.len() > VALUE_BYTES_MAX => {
                CheckOutcome::Failed(format!("its value has more than {VALUE_BYTES_MAX} bytes"))
            }
            SqlOutcome::Value(value) => CheckOutcome::Value(value),
            SqlOutcome::Rows(rows) => CheckOutcome::Failed(format!("it gave no one value (rows: {rows})")),
            SqlOutcome::Failed(reason) => CheckOutcome::Failed(reason.chars().take(REASON_CHARS_MAX).collect()),
        };
        CheckValue {
            name: self.name.clone(),
            query: self.digest(),
            outcome,
        }
    }

    /// The value in the backup, or why there is none.
    fn value_in<'t>(&self, taken: &'t [CheckValue]) -> Result<&'t Option<String>, String> {
        let Some(found) = taken.iter().find(|value| value.name == self.name) else {
            return Err("the query was not asked when the backup was made".to_owned());
        };
        if found.query != self.digest() {
            return Err("another query of this name was asked when the backup was made".to_owned());
        }
        match &found.outcome {
            CheckOutcome::Value(value) => Ok(value),
            CheckOutcome::Failed(reason) => Err(format!("it failed when the backup was made: {reason}")),
        }
    }

    fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(self.query.as_bytes())
    }

    fn finding(&self, message: &str) -> Finding {
        Finding::new(self.severity, RULE, &self.name, message)
    }
}

impl SqlOutcome {
    /// How many rows it gave.
    fn rows(&self) -> u64 {
        match self {
            Self::Value(_) => 1,
            Self::Rows(rows) => *rows,
            Self::Failed(_) => 0,
        }
    }
}

fn shown(value: Option<&str>) -> String {
    value.map_or_else(|| "null".to_owned(), ToOwned::to_owned)
}

/// Whether a server means that number: it writes sums of `numeric` with the digits behind the point that their type has.
fn is_number(text: &str, number: i64) -> bool {
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole,
        Some(_) => return false,
        None => text,
    };
    whole.parse() == Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> SqlOutcome {
        SqlOutcome::Value(Some(text.to_owned()))
    }

    fn judged(expect: Expectation, outcome: &SqlOutcome, taken: &[CheckValue]) -> String {
        let check = SqlCheck::new("unpaid", "SELECT 1", expect);
        check.judge(outcome, taken).map_or_else(
            || "agrees".to_owned(),
            |finding| {
                let evidence = finding.evidence.iter().map(|e| format!("{}={}", e.name, e.value));
                let evidence: Vec<String> = evidence.collect();
                format!("{} {} ({})", finding.severity, finding.message, evidence.join(", "))
            },
        )
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        for (text, number, expected) in [
            ("0", 0, true),
            ("0.00", 0, true),
            ("-0.0", 0, true),
            ("-7", -7, true),
            ("7", -7, false),
            ("0.01", 0, false),
            ("9223372036854775807", i64::MAX, true),
            ("9223372036854775808", i64::MAX, false),
            ("", 0, false),
            (".0", 0, false),
            ("f", 0, false),
        ] {
            assert_eq!(is_number(text, number), expected, "{text} {number}");
        }
        assert_eq!(judged(Expectation::Number(0), &value("0"), &[]), "agrees");
        for (outcome, expected) in [
            (value("3"), "error the query gave another value (expected=0, found=3)"),
            (
                SqlOutcome::Value(None),
                "error the query gave another value (expected=0, found=null)",
            ),
            (
                SqlOutcome::Rows(0),
                "error the query gave another value (expected=0, found=0 rows)",
            ),
            (
                SqlOutcome::Failed("no such table".to_owned()),
                "error the query failed (cause=no such table)",
            ),
        ] {
            assert_eq!(judged(Expectation::Number(0), &outcome, &[]), expected);
        }
    }

    #[test]
    fn rows_are_counted() {
        let wrong = "error the query gave another number of rows";
        for (min, max, outcome, expected) in [
            (1, Some(1), value("x"), "agrees".to_owned()),
            (1, Some(1), SqlOutcome::Value(None), "agrees".to_owned()),
            (0, Some(0), SqlOutcome::Rows(0), "agrees".to_owned()),
            (
                0,
                Some(0),
                SqlOutcome::Rows(2),
                format!("{wrong} (expected=0, found=2)"),
            ),
            (2, Some(4), SqlOutcome::Rows(4), "agrees".to_owned()),
            (
                2,
                Some(4),
                SqlOutcome::Rows(5),
                format!("{wrong} (expected=2 to 4, found=5)"),
            ),
            (2, Some(4), value("9"), format!("{wrong} (expected=2 to 4, found=1)")),
            (2, None, SqlOutcome::Rows(u64::MAX), "agrees".to_owned()),
            (
                2,
                None,
                SqlOutcome::Rows(0),
                format!("{wrong} (expected=at least 2, found=0)"),
            ),
            (
                0,
                None,
                SqlOutcome::Failed("gone".to_owned()),
                "error the query failed (cause=gone)".to_owned(),
            ),
        ] {
            assert_eq!(
                judged(Expectation::Rows { min, max }, &outcome, &[]),
                expected,
                "{min} {max:?}"
            );
        }
    }

    #[test]
    fn values_are_compared_with_those_of_the_backup() {
        let check = |query: &str| SqlCheck::new("unpaid", query, Expectation::AsInBackup);
        let taken = |query: &str, outcome| [check(query).value_to_keep(outcome)];
        let none = "warning the backup has no value of this query to compare with";
        let other = "error the query gave another value than in the backup";
        for (taken, outcome, expected) in [
            (taken("SELECT 1", value("15")), value("15"), "agrees".to_owned()),
            (
                taken("SELECT 1", SqlOutcome::Value(None)),
                SqlOutcome::Value(None),
                "agrees".to_owned(),
            ),
            (
                taken("SELECT 1", value("15")),
                value("14"),
                format!("{other} (expected=15, found=14)"),
            ),
            (
                taken("SELECT 1", value("")),
                SqlOutcome::Value(None),
                format!("{other} (expected=, found=null)"),
            ),
            (
                taken("SELECT 1", value("1")),
                SqlOutcome::Rows(2),
                format!("{other} (expected=1, found=2 rows)"),
            ),
            (
                taken("SELECT 2", value("15")),
                value("15"),
                format!("{none} (cause=another query of this name was asked when the backup was made)"),
            ),
            (
                taken("SELECT 1", SqlOutcome::Rows(2)),
                SqlOutcome::Rows(2),
                format!("{none} (cause=it failed when the backup was made: it gave no one value (rows: 2))"),
            ),
            (
                taken("SELECT 1", value(&"é".repeat(501))),
                value("1"),
                format!("{none} (cause=it failed when the backup was made: its value has more than 1000 bytes)"),
            ),
        ] {
            assert_eq!(judged(Expectation::AsInBackup, &outcome, &taken), expected);
        }
        assert_eq!(
            judged(Expectation::AsInBackup, &value("1"), &[]),
            format!("{none} (cause=the query was not asked when the backup was made)")
        );
        let kept = check("x").value_to_keep(value(&"é".repeat(500)));
        assert_eq!(kept.outcome, CheckOutcome::Value(Some("é".repeat(500))));
        let kept = check("x").value_to_keep(SqlOutcome::Failed("é".repeat(500)));
        assert_eq!(kept.outcome, CheckOutcome::Failed("é".repeat(200)));
    }
}
