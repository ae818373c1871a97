use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::Serialize;

const REASON_CHARS_MAX: usize = 2_000;
const FINDING_CHARS_MAX: usize = 300;
const FINDINGS_MAX: usize = 20;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// Work begins.
    Start,
    /// It ended well.
    Success,
    /// It did not.
    Failure,
    /// It ended well, and the last time it did not.
    Recovery,
    /// There is no backup that is young enough.
    Missed,
    /// A backup is there, and rules found something about it.
    Alarm,
    /// Somebody wants to see whether messages arrive.
    Test,
}

/// Which work it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Work {
    /// A backup is made.
    Backup,
    /// One is verified.
    Verify,
    /// One is restored to see whether it can be.
    Drill,
    /// Old ones are removed.
    Prune,
    /// They are copied to another store.
    Copy,
    /// Rows are exported.
    Export,
    /// The files of a project are saved.
    Files,
}

const KINDS: [(EventKind, &str); 7] = [
    (EventKind::Start, "start"),
    (EventKind::Success, "success"),
    (EventKind::Failure, "failure"),
    (EventKind::Recovery, "recovery"),
    (EventKind::Missed, "missed"),
    (EventKind::Alarm, "alarm"),
    (EventKind::Test, "test"),
];

const WORK: [(Work, &str); 7] = [
    (Work::Backup, "backup"),
    (Work::Verify, "verify"),
    (Work::Drill, "drill"),
    (Work::Prune, "prune"),
    (Work::Copy, "copy"),
    (Work::Export, "export"),
    (Work::Files, "storage-files"),
];

/// A word that names no kind of event, or no work.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{word:?} is no word of notifications")]
pub struct UnknownWord {
    word: String,
}

fn word<T: PartialEq + Copy>(words: &[(T, &'static str)], value: T) -> &'static str {
    let found = words.iter().find(|(known, _)| *known == value);
    found.map_or("unknown", |(_, word)| word)
}

fn known<T: Copy>(words: &[(T, &'static str)], text: &str) -> Result<T, UnknownWord> {
    let found = words.iter().find(|(_, word)| *word == text);
    found
        .map(|(value, _)| *value)
        .ok_or_else(|| UnknownWord { word: text.to_owned() })
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(word(&KINDS, *self))
    }
}

impl FromStr for EventKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        known(&KINDS, text)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(word(&WORK, *self))
    }
}

impl FromStr for Work {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        known(&WORK, text)
    }
}

/// What happened. Nothing in it may be secret.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "whoever tells must say each")]
pub struct Event {
    /// What kind of thing.
    pub kind: EventKind,
    /// With which work.
    pub work: Work,
    /// The database as the configuration calls it; `None` in a test.
    pub database: Option<String>,
    /// When.
    pub at: Timestamp,
    /// The name of the machine.
    pub host: String,
    /// The store, as far as it was known.
    pub store: Option<String>,
    /// The id of the backup, where there is one.
    pub backup: Option<String>,
    /// Why, or what else there is to say.
    pub reason: Option<String>,
    /// What was found, each in a line; only the first twenty are told.
    pub findings: Vec<String>,
}

/// What programs get.
#[derive(Serialize)]
struct EventJson<'e> {
    schema_version: u32,
    event: String,
    work: String,
    database: Option<&'e str>,
    at: String,
    host: &'e str,
    store: Option<&'e str>,
    backup: Option<&'e str>,
    summary: String,
    reason: Option<String>,
    findings: Vec<String>,
    more_findings: usize,
}

impl Event {
    /// What happened in a line, such as `backup of kulti failed`.
    #[must_use]
    pub fn summary(&self) -> String {
        let what = match &self.database {
            Some(database) => format!("{} of {database}", self.work),
            None => "work on backups".to_owned(),
        };
        match self.kind {
            EventKind::Start => format!("{what} begins"),
            EventKind::Success => format!("{what} succeeded"),
            EventKind::Failure => format!("{what} failed"),
            EventKind::Recovery => format!("{what} succeeded again"),
            EventKind::Missed => format!("{what} was missed"),
            EventKind::Alarm => format!("{what} raised an alarm"),
            EventKind::Test => "test of a notification".to_owned(),
        }
    }

    /// The same with all that is known, in lines for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.summary());
        let lines = [
            ("why", self.shown_reason()),
            ("backup", self.backup.clone()),
            ("store", self.store.clone()),
            ("host", Some(self.host.clone())),
            ("time", Some(self.at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())),
        ];
        for (label, value) in lines {
            if let Some(value) = value {
                text.push_str(&format!("{label:<7} {value}\n"));
            }
        }
        if !self.findings.is_empty() {
            text.push_str("\nfound:\n");
        }
        for finding in self.shown_findings() {
            text.push_str(&format!("- {finding}\n"));
        }
        if self.more_findings() > 0 {
            text.push_str(&format!("and {} more\n", self.more_findings()));
        }
        text
    }

    /// The same for programs: one JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        let json = EventJson {
            schema_version: 1,
            event: self.kind.to_string(),
            work: self.work.to_string(),
            database: self.database.as_deref(),
            at: self.at.to_string(),
            host: &self.host,
            store: self.store.as_deref(),
            backup: self.backup.as_deref(),
            summary: self.summary(),
            reason: self.shown_reason(),
            findings: self.shown_findings(),
            more_findings: self.more_findings(),
        };
        // Texts and numbers always are JSON.
        serde_json::to_string(&json).unwrap_or_default()
    }

    /// The message as Slack takes it, and what is like Slack.
    pub(crate) fn slack_json(&self) -> String {
        let text = self.text();
        let (summary, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let message = format!("*{}*\n{}", escaped(summary), escaped(rest.trim()));
        serde_json::json!({ "text": message }).to_string()
    }

    fn shown_reason(&self) -> Option<String> {
        self.reason.as_deref().map(|reason| in_a_line(reason, REASON_CHARS_MAX))
    }

    fn shown_findings(&self) -> Vec<String> {
        let first = self.findings.iter().take(FINDINGS_MAX);
        first.map(|finding| in_a_line(finding, FINDING_CHARS_MAX)).collect()
    }

    fn more_findings(&self) -> usize {
        self.findings.len().saturating_sub(FINDINGS_MAX)
    }
}

/// What comes from databases and servers, without what could command a terminal or a mail.
fn in_a_line(text: &str, chars_max: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.chars().take(chars_max).map(clean).collect();
    if text.chars().nth(chars_max).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn event(kind: EventKind) -> Event {
        Event {
            kind,
            work: Work::Backup,
            database: Some("kulti".to_owned()),
            at: "2025-01-16T14:30:22Z".parse().unwrap(),
            host: "db1".to_owned(),
            store: Some("s3://my-backups/prod".to_owned()),
            backup: Some("kulti_backup_20250116_143022".to_owned()),
            reason: None,
            findings: Vec::new(),
        }
    }

    #[test]
    fn words_read_and_show_themselves() {
        for (kind, word) in KINDS {
            assert_eq!((kind.to_string().as_str(), word.parse().unwrap()), (word, kind));
        }
        for (work, word) in WORK {
            assert_eq!((work.to_string().as_str(), word.parse().unwrap()), (word, work));
        }
        assert!("failures".parse::<EventKind>().is_err());
    }

    #[test]
    fn every_kind_has_its_message() {
        let summaries: Vec<String> = KINDS.iter().map(|(kind, _)| event(*kind).summary()).collect();
        insta::assert_snapshot!(summaries.join("\n"), @r"
        backup of kulti begins
        backup of kulti succeeded
        backup of kulti failed
        backup of kulti succeeded again
        backup of kulti was missed
        backup of kulti raised an alarm
        test of a notification
        ");
    }

    #[test]
    fn a_message_says_what_is_known_and_commands_nobody() {
        let mut failure = event(EventKind::Failure);
        failure.backup = None;
        failure.reason = Some("cannot connect\r\nBcc: everybody@example.org \u{1b}[2J".to_owned());
        insta::assert_snapshot!(failure.text().escape_debug().to_string().replace("\\n", "\n"), @r"
        backup of kulti failed

        why     cannot connect  Bcc: everybody@example.org  [2J
        store   s3://my-backups/prod
        host    db1
        time    2025-01-16 14:30:22 UTC
        ");
    }

    #[test]
    fn an_alarm_tells_the_first_findings() {
        let mut alarm = event(EventKind::Alarm);
        alarm.findings = (1..=22)
            .map(|n| {
                format!(
                    "warning: [table-shrank] t{n} <a&b>: {}",
                    "x".repeat(if n == 2 { 400 } else { 1 })
                )
            })
            .collect();
        let text = alarm.text();
        assert!(
            text.contains("- warning: [table-shrank] t20") && !text.contains("t21"),
            "{text}"
        );
        assert!(text.contains("x…\n") && text.ends_with("and 2 more\n"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&alarm.json()).unwrap();
        assert_eq!(json["more_findings"], 2);
        assert_eq!(json["findings"].as_array().unwrap().len(), 20);
        let slack: serde_json::Value = serde_json::from_str(&alarm.slack_json()).unwrap();
        let slack = slack["text"].as_str().unwrap();
        assert!(slack.starts_with("*backup of kulti raised an alarm*\n"), "{slack}");
        assert!(slack.contains("t1 &lt;a&amp;b&gt;: x"), "{slack}");
    }

    #[test]
    fn programs_get_all_fields() {
        insta::assert_snapshot!(event(EventKind::Success).json(), @r#"{"schema_version":1,"event":"success","work":"backup","database":"kulti","at":"2025-01-16T14:30:22Z","host":"db1","store":"s3://my-backups/prod","backup":"kulti_backup_20250116_143022","summary":"backup of kulti succeeded","reason":null,"findings":[],"more_findings":0}"#);
    }
}
