//! Reading the text of members as psql would.

use backstay_core::RowDigest;
use backstay_core::manifest::{Manifest, MemberContent, RowBlock, Span, Table};
use backstay_core::repository::BackupReader;
use backstay_core::script::{CopyFormat, CopyTarget, Event, ScriptHazard, ScriptReader, check_statements};
use backstay_core::sql::{STOP_ON_ERROR, quote_literal, settings_text};

use super::member_name;
use crate::finding::{Finding, Severity};

/// What was seen in the text of one member.
#[derive(Debug, Default)]
pub(super) struct CheckedText {
    pub(super) rows: u64,
    pub(super) findings: Vec<Finding>,
}

/// Checks the text of a member; `spans` are the places in it that entries name, with the index of the entry.
pub(super) fn check(manifest: &Manifest, index: usize, text: &[u8], spans: &[(usize, Span)]) -> CheckedText {
    let mut check = Check {
        manifest,
        index,
        checked: CheckedText::default(),
    };
    match &manifest.members[index].content {
        MemberContent::Settings => check.settings(text),
        MemberContent::Globals => check.globals(text),
        MemberContent::Schema(_) => check.schema(text, spans),
        MemberContent::Rows(block) => check.rows(block, text),
        MemberContent::LargeObjects | MemberContent::Sequences | MemberContent::Refreshes => check.statements(text),
    }
    check.checked
}

struct Check<'a> {
    manifest: &'a Manifest,
    index: usize,
    checked: CheckedText,
}

impl Check<'_> {
    fn report(&mut self, severity: Severity, rule: &'static str, message: &str) -> &mut Finding {
        let subject = member_name(self.manifest, self.index);
        self.add(Finding::new(severity, rule, subject, message).at(self.index))
    }

    fn add(&mut self, finding: Finding) -> &mut Finding {
        let findings = &mut self.checked.findings;
        findings.push(finding);
        let last = findings.len() - 1;
        &mut findings[last]
    }

    fn error(&mut self, rule: &'static str, message: &str) -> &mut Finding {
        self.report(Severity::Error, rule, message)
    }

    fn statements(&mut self, text: &[u8]) {
        if let Err(hazard) = check_statements(text) {
            let finding = self.error("statements", "psql would not take it for statements alone");
            add_hazard(finding, &hazard);
        }
    }

    /// Settings that another version wrote differ from ours, which is harmless as long as they make psql stop at an
    /// error, say how the rest is to be read, and hold nothing but statements.
    fn settings(&mut self, text: &[u8]) {
        let encoding = &self.manifest.source.encoding;
        if text == settings_text(encoding) {
            return;
        }
        let Some(statements) = text.strip_prefix(STOP_ON_ERROR.as_bytes()) else {
            self.error(
                "settings",
                "it does not begin with the lines that make psql stop at an error",
            );
            return;
        };
        self.statements(statements);
        let has_line = |wanted: &[u8]| statements.split(|&byte| byte == b'\n').any(|line| line == wanted);
        if reading_settings(encoding).iter().all(|setting| has_line(setting)) {
            let message = "they are not those that this version writes; another version may have written them";
            self.report(Severity::Warning, "settings", message);
        } else {
            self.error(
                "settings",
                "they do not set the encoding and the reading of literals that the rest needs",
            );
        }
    }

    fn globals(&mut self, text: &[u8]) {
        let is_comment = |line: &[u8]| line.is_empty() || line.starts_with(b"--");
        let all_lines = text.split(|&byte| matches!(byte, b'\n' | b'\r')).all(is_comment);
        if !all_lines || text.last().is_some_and(|&byte| byte != b'\n') {
            self.error(
                "globals",
                "it holds more than comments, which psql would run in this database",
            );
        }
    }

    /// A parallel restore runs each entry by itself, psql the whole with what stands between the entries. Text that
    /// passes [`check_statements`] passes in a row too, so the pieces are looked at one by one.
    fn schema(&mut self, text: &[u8], spans: &[(usize, Span)]) {
        let mut spans = spans.to_vec();
        spans.sort_by_key(|(entry, span)| (span.offset, *entry));
        let mut end = 0;
        for (entry, span) in spans {
            let range = usize::try_from(span.offset).ok().zip(usize::try_from(span.length).ok());
            let sql = range.and_then(|(start, length)| Some((start, text.get(start..start.checked_add(length)?)?)));
            let Some((start, sql)) = sql else {
                self.entry_error(entry, "its SQL is not in the member");
                continue;
            };
            // Entries that overlap are a finding of their own.
            self.between(text.get(end..start).unwrap_or_default());
            end = end.max(start + sql.len());
            if let Err(hazard) = check_statements(sql) {
                add_hazard(
                    self.entry_error(entry, "its SQL is not whole statements alone"),
                    &hazard,
                );
            }
        }
        self.between(&text[end..]);
    }

    /// Between the entries stand comments, and settings that a parallel restore makes by itself.
    fn between(&mut self, text: &[u8]) {
        let is_comment = |line: &[u8]| line.is_empty() || line.starts_with(b"--");
        if text.split(|&byte| matches!(byte, b'\n' | b'\r')).all(is_comment) && text.last().is_none_or(|&b| b == b'\n')
        {
            return;
        }
        self.statements(text);
        let mut reader = ScriptReader::new(text);
        while let Ok(Some(event)) = reader.next_event() {
            match event {
                Event::Comment(_) => {}
                Event::Statement(statement) if statement.part.text.starts_with(b"SET ") => {}
                _ => {
                    self.error("statements", "a statement in it belongs to no entry");
                    return;
                }
            }
        }
    }

    fn entry_error(&mut self, entry: usize, message: &str) -> &mut Finding {
        let subject = self.manifest.entries.get(entry).map_or_else(String::new, |entry| {
            let schema = entry
                .schema
                .as_ref()
                .map(|schema| format!("{schema}."))
                .unwrap_or_default();
            format!("{} {schema}{}", entry.kind, entry.name)
        });
        self.add(Finding::error("entry-statements", subject, message).at(entry))
    }

    fn rows(&mut self, block: &RowBlock, text: &[u8]) {
        let Some((header, rows)) = BackupReader::split_rows(text, block) else {
            self.error("rows-form", "it is not a COPY statement with rows and their end");
            return;
        };
        let mut found = RowDigest::default();
        self.manifest.row_hasher().add_lines(&mut found, rows);
        self.checked.rows = found.rows();
        if found.rows() != block.digest.rows() {
            let finding = self.error(
                "row-count",
                "it has another number of rows than were read from the server",
            );
            finding.add("expected", block.digest.rows());
            finding.add("found", found.rows());
        } else if found != block.digest {
            let finding = self.error("row-digest", "its rows are not those that were read from the server");
            finding.add("expected", block.digest.sum_hex());
            finding.add("found", found.sum_hex());
        }
        if let Err(problem) = self.read_as_psql(block, text, header.len(), rows.len()) {
            self.error("rows-form", &problem);
        }
    }

    /// Reads the member as psql does: one COPY into this table, whose rows begin and end where the manifest says.
    fn read_as_psql(
        &self,
        block: &RowBlock,
        text: &[u8],
        header_bytes: usize,
        rows_bytes: usize,
    ) -> Result<(), String> {
        let settings = reading_settings(&self.manifest.source.encoding);
        let mut reader = ScriptReader::new(text);
        let mut header_end = None;
        let mut ended = false;
        let mut bytes = 0;
        while let Some(event) = reader.next_event().map_err(|error| error.to_string())? {
            match event {
                Event::CopyStart(copy) if header_end.is_none() => {
                    if !self.is_target(block, &copy.target) {
                        return Err("its COPY statement is not for the table and columns that it should be".to_owned());
                    }
                    header_end = Some(copy.part.offset + copy.part.text.len() as u64 + 1);
                }
                Event::CopyRows(rows) if !ended => bytes += rows.bytes.len(),
                Event::CopyEnd(_) if !ended => ended = true,
                // A name that reads differently in another session has these before it.
                Event::Statement(statement)
                    if header_end.is_none() && settings.iter().any(|s| s == statement.part.text) => {}
                _ => return Err("it holds more than one COPY with its rows".to_owned()),
            }
        }
        if header_end == Some(header_bytes as u64) && ended && bytes == rows_bytes {
            Ok(())
        } else {
            Err("psql would find the beginning or the end of its rows elsewhere".to_owned())
        }
    }

    fn is_target(&self, block: &RowBlock, target: &CopyTarget) -> bool {
        let tables = &self.manifest.tables;
        let Some(table) = tables.get(block.table as usize) else {
            return false;
        };
        let root = table.load_through.and_then(|root| tables.get(root as usize));
        let Table { schema, name, .. } = root.unwrap_or(table);
        let named = target.table.name.as_bytes() == name.as_bytes()
            && target
                .table
                .schema
                .as_ref()
                .is_some_and(|target| target.as_bytes() == schema.as_bytes());
        let columns = target.columns.as_deref().unwrap_or_default();
        let same_columns = columns.len() == table.columns.len()
            && columns
                .iter()
                .zip(&table.columns)
                .all(|(target, column)| target.as_bytes() == column.name.as_bytes());
        named && same_columns && target.format == CopyFormat::Text
    }
}

/// The statements that decide how psql and the server read the rest.
fn reading_settings(encoding: &str) -> [Vec<u8>; 2] {
    [
        [b"SET client_encoding = ", &quote_literal(encoding.as_bytes())[..], b";"].concat(),
        b"SET standard_conforming_strings = on;".to_vec(),
    ]
}

fn add_hazard(finding: &mut Finding, hazard: &ScriptHazard) {
    finding.add("line", hazard.line());
    finding.add("holds", hazard.kind());
}
