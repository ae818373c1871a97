use std::error::Error as StdError;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "exit codes and rules of retention hang on these three"
)]
pub enum Severity {
    /// The backup, or a part of it, cannot be trusted to restore.
    Error,
    /// It restores, but somebody should look.
    Warning,
    /// Worth knowing.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// Something that a verification saw.
///
/// All texts are free of control characters, whatever names the database has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Which rule it broke: a stable id such as `member-digest`.
    pub rule: &'static str,
    /// What it is about: a pack, a member, a table.
    pub subject: String,
    /// What is the matter, as a lower-case fragment.
    pub message: String,
    /// What was seen, in the order in which it should be shown.
    pub evidence: Vec<Evidence>,
    /// Where among its like it belongs: the index of the member, of the table.
    pub(crate) place: usize,
}

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// What it is, such as `expected` or `found`.
    pub name: &'static str,
    /// Its value.
    pub value: String,
}

/// The rules that are broken where rows are lost.
const RULES_OF_LOSS: [&str; 7] = [
    "required-table",
    "required-table-empty",
    "few-rows",
    "table-shrank",
    "table-emptied",
    "table-vanished",
    "database-shrank",
];

impl Finding {
    /// Whether rows may be lost, so that earlier backups are worth more than the newest.
    #[must_use]
    pub fn tells_of_loss(&self) -> bool {
        self.severity < Severity::Note && RULES_OF_LOSS.contains(&self.rule)
    }

    /// One that nothing was seen of yet. Control characters of the texts are replaced.
    #[must_use]
    pub fn new(severity: Severity, rule: &'static str, subject: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self {
            severity,
            rule,
            subject: shown(subject),
            message: shown(message),
            evidence: Vec::new(),
            place: 0,
        }
    }

    pub(crate) fn error(rule: &'static str, subject: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self::new(Severity::Error, rule, subject, message)
    }

    pub(crate) fn warning(rule: &'static str, subject: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self::new(Severity::Warning, rule, subject, message)
    }

    pub(crate) fn note(rule: &'static str, subject: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self::new(Severity::Note, rule, subject, message)
    }

    /// The same, with one thing more that was seen.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.add(name, value);
        self
    }

    pub(crate) fn add(&mut self, name: &'static str, value: impl fmt::Display) {
        self.evidence.push(Evidence {
            name,
            value: shown(value),
        });
    }

    /// Adds an error with its causes.
    pub(crate) fn because(self, error: &(dyn StdError + 'static)) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            // Errors that are transparent say what their cause says.
            if !text.ends_with(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        self.with("cause", text)
    }

    pub(crate) fn at(mut self, place: usize) -> Self {
        self.place = place;
        self
    }
}

/// Names may hold anything, also what moves the cursor of a terminal.
fn shown(text: impl fmt::Display) -> String {
    text.to_string()
        .chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// Findings of several threads.
#[derive(Debug, Default)]
pub(crate) struct Findings(Mutex<Vec<Finding>>);

impl Findings {
    pub(crate) fn add(&self, finding: Finding) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
    }

    pub(crate) fn extend(&self, findings: impl IntoIterator<Item = Finding>) {
        // Collected first, because making them may take long.
        let findings: Vec<Finding> = findings.into_iter().collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(findings);
    }

    /// All of them, errors first; the order does not depend on which thread was faster.
    pub(crate) fn into_sorted(self) -> Vec<Finding> {
        let mut findings = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        findings.sort_by(|a, b| {
            let key = |finding: &Finding| (finding.severity, finding.rule, finding.place);
            key(a)
                .cmp(&key(b))
                .then_with(|| (&a.subject, &a.message).cmp(&(&b.subject, &b.message)))
        });
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::{Finding, Findings, Severity};

    #[test]
    fn findings_are_sorted_and_clean() {
        let findings = Findings::default();
        findings.add(Finding::note("b", "x", ""));
        findings.add(Finding::error("z", "y", "").at(10));
        findings.add(Finding::error("z", "x\u{1b}[2J", "").at(2));
        findings.add(Finding::warning("a", "x", ""));
        let sorted = findings.into_sorted();
        let order: Vec<_> = sorted
            .iter()
            .map(|f| (f.severity, f.rule, f.subject.as_str()))
            .collect();
        assert_eq!(
            order,
            [
                (Severity::Error, "z", "x\u{fffd}[2J"),
                (Severity::Error, "z", "y"),
                (Severity::Warning, "a", "x"),
                (Severity::Note, "b", "x"),
            ]
        );
    }

    #[test]
    fn causes_are_told_once() {
        let inner = backstay_core::store::Error::new(backstay_core::store::ErrorKind::Denied, "read", "p");
        let inner_text = inner.to_string();
        let finding = Finding::error("r", "s", "m").because(&crate::VerifyError::Store(inner));
        let expected = format!("cannot look at the backup: {inner_text}");
        assert_eq!(finding.evidence[0].value, expected);
    }
}
