mod json;

use std::fmt;

use crate::finding::{Finding, Severity};
use crate::options::Level;

/// What a verification saw.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The id of the backup, or the name of the archive.
    pub subject: String,
    /// What kind of thing it is.
    pub kind: SubjectKind,
    /// How deep it was looked at.
    pub level: Level,
    /// How much was looked at.
    pub counts: Counts,
    /// What was found, errors first.
    pub findings: Vec<Finding>,
    /// Checks that were not made, each with why, in plain words.
    pub not_checked: Vec<String>,
}

/// What was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubjectKind {
    /// A backup of a store.
    Backup,
    /// A pack by itself.
    Pack,
    /// A dump that something else made.
    Foreign,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Tables that the backup knows of.
    pub tables: u64,
    /// Members that were read; 0 for a foreign archive, which has none.
    pub members: u64,
    /// Rows that were counted in the text; `None` where no text was read.
    pub rows: Option<u64>,
    /// Bytes read from the store.
    pub bytes_read: u64,
}

/// Of findings of one rule and severity a text for people shows so many.
const SHOWN_PER_RULE: usize = 20;

impl Report {
    /// Whether nothing speaks against restoring it: there is no error.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.count(Severity::Error) == 0
    }

    /// How many findings of a severity there are.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    }

    /// The report for people, as lines; of many findings alike it shows the first 20 and how many there are.
    #[must_use]
    pub fn render(&self) -> String {
        self.to_string()
    }

    /// The report for machines: one line of JSON, of which `schema_version` tells the form.
    #[must_use]
    pub fn to_json(&self) -> String {
        json::to_json(self)
    }

    fn write_counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            tables,
            members,
            rows,
            bytes_read,
        } = self.counts;
        match self.kind {
            SubjectKind::Foreign => write!(f, "  dump of another program: {tables} tables")?,
            SubjectKind::Backup | SubjectKind::Pack => {
                write!(f, "  level {}: {tables} tables, {members} members", self.level)?;
            }
        }
        if let Some(rows) = rows {
            write!(f, ", {rows} rows counted")?;
        }
        writeln!(f, ", {bytes_read} bytes read")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.count(Severity::Error);
        let warnings = self.count(Severity::Warning);
        let verdict = match (errors, warnings) {
            (0, 0) => "sound".to_owned(),
            (0, warnings) => format!("sound, with {warnings} warning{}", plural(warnings)),
            (errors, _) => format!("NOT SOUND: {errors} error{}", plural(errors)),
        };
        writeln!(f, "{}: {verdict}", self.subject)?;
        self.write_counts(f)?;
        f.write_str(&finding_lines(&self.findings, ""))?;
        if !self.not_checked.is_empty() {
            writeln!(f, "  not checked:")?;
            for check in &self.not_checked {
                writeln!(f, "    - {check}")?;
            }
        }
        Ok(())
    }
}

/// Findings as lines for people. Of one rule and severity only the first are shown; `elsewhere` is said behind how many more
/// there are.
#[must_use]
pub fn finding_lines(findings: &[Finding], elsewhere: &str) -> String {
    let mut text = String::new();
    let alike = |a: &Finding, b: &Finding| a.rule == b.rule && a.severity == b.severity;
    for group in findings.chunk_by(alike) {
        for finding in group.iter().take(SHOWN_PER_RULE) {
            let Finding {
                severity,
                rule,
                subject,
                message,
                evidence,
                ..
            } = finding;
            text.push_str(&format!("  {severity:7} [{rule}] {subject}: {message}\n"));
            for evidence in evidence {
                text.push_str(&format!("            {}: {}\n", evidence.name, evidence.value));
            }
        }
        let more = group.len().saturating_sub(SHOWN_PER_RULE);
        if let (1.., Some(Finding { severity, rule, .. })) = (more, group.first()) {
            text.push_str(&format!("  {severity:7} [{rule}] and {more} more{elsewhere}\n"));
        }
    }
    text
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
