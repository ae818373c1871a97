//! Looking at a plain dump that something else made.

mod raw;

use std::io::Read;

use backstay_core::script::{
    Event, Incomplete, Name, OpenError, Outline, QualifiedName, ReadError, ScriptReader, open,
};

use self::raw::Raw;
use crate::checksum::{NameMatch, check_checksum};
use crate::error::VerifyError;
use crate::finding::{Finding, Findings};
use crate::inventory::is_meant;
use crate::observer::VerifyObserver;
use crate::options::{Level, Rules};
use crate::report::{Counts, Report, SubjectKind};

/// A dump to be looked at, with what stands beside it.
#[expect(clippy::exhaustive_structs, reason = "callers build it")]
pub struct ForeignArchive {
    /// Name of the file, as a `.sha256` has it.
    pub name: String,
    /// Its bytes as they are stored: plain SQL, gzip or zstd.
    pub reader: Box<dyn Read + Send>,
    /// Its length in bytes, where it is known; for progress.
    pub bytes_total: Option<u64>,
    /// The text of the `.sha256` beside it.
    pub checksum: Option<String>,
}

impl std::fmt::Debug for ForeignArchive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForeignArchive")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a dump without an inventory cannot show.
const NOT_CHECKED: [&str; 5] = [
    "the rows against what the server had: the archive records neither their number nor a digest",
    "single parts of the archive: it is one stream, and only the digest of the whole can be known",
    "whether every index, policy and extension of the database is there: the archive has no list of them",
    "the volume of data against an earlier backup: the archive has no manifest to compare",
    "the statements themselves: they were read as psql reads them, and nothing was run",
];

const END_MARK: &[u8] = b"-- PostgreSQL database dump complete";
const START_MARK: &[u8] = b"-- PostgreSQL database dump";

/// Reads a dump to its end, once: hashes what is stored, unpacks it, and reads the SQL as psql would. Memory is bounded
/// by the longest statement or row.
///
/// # Errors
/// Its first bytes cannot be read, or `cancel` became true. All else is in the report.
pub fn verify_foreign(
    archive: ForeignArchive,
    rules: &Rules,
    observer: &dyn VerifyObserver,
    cancel: &(dyn Fn() -> bool + Sync),
) -> Result<(Report, Outline), VerifyError> {
    let ForeignArchive {
        name,
        reader,
        bytes_total,
        checksum,
    } = archive;
    let findings = Findings::default();
    let raw = Raw::new(reader);
    let outline = match open(raw.reader()) {
        Ok((_, text)) => read_script(text, &raw, &name, &findings, bytes_total.unwrap_or(0), observer, cancel)?,
        Err(OpenError::Source(source)) => return Err(VerifyError::Read { subject: name, source }),
        Err(error) => {
            findings.add(Finding::error("not-a-script", &name, error));
            Outline::default()
        }
    };
    // What was not unpacked is hashed all the same.
    let whole = raw.drain(|bytes_done| {
        observer.progress(bytes_done, bytes_total.unwrap_or(bytes_done));
        cancel()
    });
    if cancel() {
        return Err(VerifyError::Cancelled);
    }
    let digest = match whole {
        Ok(digest) => Some(digest),
        Err(error) => {
            findings.add(
                Finding::error("archive-read", &name, "the archive cannot be read to its end")
                    .with("after", format!("{} bytes", raw.bytes()))
                    .because(&error),
            );
            None
        }
    };
    match (checksum, digest) {
        (None, _) => findings.add(Finding::note(
            "checksum-missing",
            &name,
            "there is no .sha256 beside it",
        )),
        (Some(text), Some(digest)) => match check_checksum(&text, &name, digest, NameMatch::Lenient) {
            None => findings
                .add(Finding::note("checksum-agrees", &name, "the .sha256 beside it agrees").with("digest", digest)),
            Some(finding) => findings.add(finding),
        },
        (Some(_), None) => {}
    }
    check_tables(&outline, rules, &name, &findings);
    let report = Report {
        subject: name,
        kind: SubjectKind::Foreign,
        level: Level::Standard,
        counts: Counts {
            tables: outline.tables().len() as u64,
            members: 0,
            rows: Some(outline.tables().values().map(|rows| rows.rows).sum()),
            bytes_read: raw.bytes(),
        },
        findings: findings.into_sorted(),
        not_checked: NOT_CHECKED.map(str::to_owned).to_vec(),
    };
    Ok((report, outline))
}

fn read_script(
    text: Box<dyn Read + Send>,
    raw: &Raw,
    name: &str,
    findings: &Findings,
    bytes_total: u64,
    observer: &dyn VerifyObserver,
    cancel: &(dyn Fn() -> bool + Sync),
) -> Result<Outline, VerifyError> {
    let mut outline = Outline::default();
    let mut reader = ScriptReader::new(text);
    let mut bytes_told = 0;
    let mut ended = false;
    let mut behind_end: Option<u64> = None;
    observer.progress(0, bytes_total);
    loop {
        if raw.bytes() != bytes_told {
            bytes_told = raw.bytes();
            observer.progress(bytes_told, bytes_total);
            if cancel() {
                return Err(VerifyError::Cancelled);
            }
        }
        let event = match reader.next_event() {
            Ok(Some(event)) => event,
            Ok(None) => break,
            Err(error) => {
                report_read_error(&error, reader.offset(), raw, name, findings);
                outline.stop(error);
                break;
            }
        };
        match &event {
            Event::Comment(comment) if comment.text == END_MARK => ended = true,
            Event::Comment(comment) if comment.text == START_MARK => ended = false,
            Event::Statement(statement) if ended => {
                behind_end.get_or_insert(statement.part.line);
            }
            Event::CopyStart(copy) if ended => {
                behind_end.get_or_insert(copy.part.line);
            }
            _ => {}
        }
        outline.observe(&event);
    }
    if let Some(line) = behind_end {
        let message = "statements stand behind the comment with which pg_dump ends";
        findings.add(Finding::warning("text-behind-end", name, message).with("line", line));
    }
    check_completeness(&outline, name, findings);
    Ok(outline)
}

/// Tells a failing decompression, which means a damaged archive, from a script that psql would not read either.
fn report_read_error(error: &ReadError, text_bytes: u64, raw: &Raw, name: &str, findings: &Findings) {
    let finding = match error {
        ReadError::Source { .. } if !raw.failed() => {
            let message = "it cannot be unpacked to its end: it is cut off, damaged, or followed by something else";
            Finding::error("decompression", name, message)
        }
        // That the source itself failed is told when its rest is read.
        ReadError::Source { .. } => return,
        _ => Finding::error("script", name, "the script cannot be read further"),
    };
    findings.add(finding.because(error).with(
        "behind",
        format!("{text_bytes} bytes of text, {} bytes of the archive", raw.bytes()),
    ));
}

fn check_completeness(outline: &Outline, name: &str, findings: &Findings) {
    if outline.statement_count() == 0 && outline.error().is_none() {
        findings.add(Finding::error("empty-script", name, "there is no statement in it"));
    }
    for problem in outline.completeness() {
        let finding = match &problem {
            Incomplete::NoHeader if outline.entries().is_empty() => {
                let message = "it is not from pg_dump, so whether it is whole cannot be told";
                Finding::warning("no-header", name, message)
            }
            Incomplete::NoHeader => Finding::error(
                "no-header",
                name,
                "its beginning is lost: pg_dump's first comment is missing",
            ),
            Incomplete::NoCompletionMarker => Finding::error("no-completion-marker", name, &problem),
            // The error itself has been reported.
            Incomplete::Unreadable => continue,
            _ => Finding::error("incomplete", name, &problem),
        };
        findings.add(finding);
    }
    // Many alike, such as the \connect lines of pg_dumpall, are one finding.
    let mut seen: Vec<(&Name, u64, u64)> = Vec::new();
    for command in outline.commands() {
        match seen.iter_mut().find(|(known, ..)| **known == command.name) {
            Some((.., count)) => *count += 1,
            None => seen.push((&command.name, command.line, 1)),
        }
    }
    for (command, line, count) in seen {
        let message = format!("a restore by Backstay does not run psql's command \\{command}");
        findings.add(
            Finding::warning("psql-command", name, message)
                .with("first line", line)
                .with("times", count),
        );
    }
    if outline.left_out() > 0 {
        let message = format!("it holds {} entries more than were looked at", outline.left_out());
        findings.add(Finding::warning("left-out", name, message));
    }
}

fn check_tables(outline: &Outline, rules: &Rules, name: &str, findings: &Findings) {
    for required in &rules.require_tables {
        findings.extend(check_required(outline, required));
    }
    if outline.error().is_some() {
        // What is missing may stand where nothing can be read.
        return;
    }
    let rows: u64 = outline.tables().values().map(|rows| rows.rows).sum();
    if rows == 0 {
        findings.add(Finding::warning("no-rows", name, "it brings no row of any table"));
    }
    let policy_is_of = |table: &QualifiedName, schema: Option<&Name>, policy: &Name| {
        let rest = policy.as_bytes().strip_prefix(table.name.as_bytes());
        schema == table.schema.as_ref() && rest.is_some_and(|rest| rest.starts_with(b" "))
    };
    for table in outline.row_security() {
        let has_policy = outline
            .entries_of("POLICY")
            .any(|policy| policy_is_of(table, policy.schema.as_ref(), &policy.name));
        if !has_policy {
            let message = "it enables row level security, and has no policy: only the owner will see rows";
            findings.add(Finding::warning("policy", table, message));
        }
    }
    for policy in outline.entries_of("POLICY") {
        let enabled = outline
            .row_security()
            .iter()
            .any(|table| policy_is_of(table, policy.schema.as_ref(), &policy.name));
        if !enabled {
            let message = "it has a policy, and does not enable row level security for its table";
            findings.add(Finding::warning("row-security", &policy.name, message).with("line", policy.line));
        }
    }
}

fn check_required(outline: &Outline, required: &str) -> Vec<Finding> {
    let meant = |table: &QualifiedName| {
        is_meant(
            required,
            table.schema.as_ref().map(Name::as_bytes),
            table.name.as_bytes(),
        )
    };
    let with_data: Vec<_> = outline.tables().iter().filter(|(table, _)| meant(table)).collect();
    if with_data.is_empty() {
        let defined = outline.entries_of("TABLE").any(|entry| {
            is_meant(
                required,
                entry.schema.as_ref().map(Name::as_bytes),
                entry.name.as_bytes(),
            )
        });
        let message = match (defined, outline.error()) {
            (_, Some(_)) => "what can be read of the archive does not have the rows of this table",
            (true, None) => "it has this table, but not its rows",
            (false, None) => "it does not have this table",
        };
        return vec![Finding::error("required-table", required, message)];
    }
    let empty = with_data.into_iter().filter(|(_, rows)| rows.rows == 0);
    empty
        .map(|(table, _)| Finding::warning("required-table-empty", table, "this table is required, and it is empty"))
        .collect()
}
