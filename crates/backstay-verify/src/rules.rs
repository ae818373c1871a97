//! What a backup is expected to be, beyond being whole.

mod exemptions;
mod grants;
mod history;
mod sql;
mod tables;
mod volume;
mod whole;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use backstay_core::Manifest;
use backstay_core::manifest::RowSecurity;
use backstay_core::repository::BackupReader;
use backstay_core::retention::Age;
use jiff::Timestamp;

use crate::finding::{Finding, Severity};
use crate::inventory::{Partitions, check_required};
use crate::options::VerifyOptions;

pub use history::PastBackup;
pub use sql::{Expectation, SqlCheck, SqlOutcome};

use grants::Grants;

/// What a backup is expected to be. What is not said is not asked for, but for the bounds of loss and growth.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rules {
    /// Tables that must be there with their rows, as `schema.table` or `table`; a name without schema stands for the
    /// tables of that name in all schemas. Names are compared as the database has them, without quotes.
    pub require_tables: Vec<String>,
    /// A table that lost more than this share of its rows, in percent, is worth a warning, unless it often does.
    pub table_loss_percent_max: u8,
    /// The same for the whole database, of its rows or bytes.
    pub database_loss_percent_max: u8,
    /// A table, or the whole, with at least so many times the rows of before is worth a note, unless it often has.
    pub growth_factor_max: u32,
    /// With how many earlier backups the volume is compared at most.
    pub history: usize,
    /// What is expected of single tables.
    pub tables: Vec<TableRule>,
    /// Extensions that the backup must make.
    pub extensions: Vec<String>,
    /// Whether the backup must be encrypted.
    pub encrypted: bool,
    /// How old the newest backup may be.
    pub age_max: Option<Age>,
    /// Within which time a drill must have restored the backup.
    pub restored_within: Option<Duration>,
    /// Queries for a database that was restored.
    pub sql: Vec<SqlCheck>,
    /// Other severities than the usual ones, by rule; those of [`RULES`] can be changed.
    pub severities: BTreeMap<String, Severity>,
    /// What is let pass for a while.
    pub exemptions: Vec<Exemption>,
}

/// What is expected of one table, or of the tables of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableRule {
    /// Its name, as in [`Rules::require_tables`].
    pub table: String,
    /// It has at least so many rows.
    pub rows_min: Option<u64>,
    /// In place of [`Rules::table_loss_percent_max`].
    pub loss_percent_max: Option<u8>,
    /// In place of [`Rules::growth_factor_max`].
    pub growth_factor_max: Option<u32>,
    /// It has row level security; where this is [`RowSecurity::Forced`], for the owner too.
    pub row_security: Option<RowSecurity>,
    /// Policies that it has.
    pub policies: Vec<String>,
    /// Valid indexes that it has.
    pub indexes: Vec<String>,
    /// Rights on it that roles must have.
    pub grants: Vec<Right>,
    /// Rights on it that roles must not have.
    pub denied: Vec<Right>,
}

impl TableRule {
    /// The table must be there, and nothing else is asked of it yet.
    pub fn new(table: impl Into<String>) -> Self {
        Self {
            table: table.into(),
            ..Self::default()
        }
    }
}

/// A right of a role on a table, as the backup grants it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "whose right, and which")]
pub struct Right {
    /// The role; `PUBLIC` for everybody.
    pub role: String,
    /// Which right, such as `SELECT`.
    pub right: String,
}

/// Findings that are let pass for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what, why and until when")]
pub struct Exemption {
    /// The rule, one of [`RULES`].
    pub rule: String,
    /// What the finding is about, such as a table; `None` for all findings of the rule.
    pub subject: Option<String>,
    /// Why.
    pub reason: String,
    /// When it ends.
    pub until: Timestamp,
}

/// The rules whose severity can be changed, and from which there are exemptions, each with what it tells. What `verify`
/// finds damaged is not among them.
pub const RULES: [(&str, &str); 20] = [
    ("required-table", "A required table, or its rows, are not there."),
    ("required-table-empty", "A required table is empty."),
    ("unknown-table", "A rule is about a table that is not there."),
    ("few-rows", "A table has fewer rows than it must have."),
    ("table-shrank", "A table lost many rows."),
    ("table-emptied", "A table had rows, and has none."),
    ("table-vanished", "A table of an earlier backup is not there."),
    ("table-grew", "A table has many times its rows."),
    ("database-shrank", "The database lost many rows or bytes."),
    ("database-grew", "The database has many times its rows."),
    ("missing-row-security", "A table lacks row level security."),
    ("missing-policy", "A table lacks a policy."),
    ("missing-index", "A table lacks an index."),
    ("missing-extension", "An extension is not there."),
    ("missing-grant", "A role lacks a right."),
    ("forbidden-grant", "A role has a right that it must not have."),
    ("not-encrypted", "The backup is not encrypted."),
    ("backup-age", "The newest backup is too old."),
    ("restore-time", "A drill took too long."),
    ("sql-check", "A query gave something else in a drill."),
];

impl Default for Rules {
    /// Half of a table, 30 percent of the database, ten times the rows, as of 14 backups; and nothing else.
    fn default() -> Self {
        Self {
            require_tables: Vec::new(),
            table_loss_percent_max: 50,
            database_loss_percent_max: 30,
            growth_factor_max: 10,
            history: 14,
            tables: Vec::new(),
            extensions: Vec::new(),
            encrypted: false,
            age_max: None,
            restored_within: None,
            sql: Vec::new(),
            severities: BTreeMap::new(),
            exemptions: Vec::new(),
        }
    }
}

impl Rules {
    /// The queries whose values a backup keeps of its own snapshot.
    pub fn checks_of_snapshot(&self) -> impl Iterator<Item = &SqlCheck> {
        self.sql.iter().filter(|check| check.expect == Expectation::AsInBackup)
    }

    /// Tells whether a drill took too long, from its begin until the database could be used.
    #[must_use]
    pub fn judge_restore_time(&self, id: &backstay_core::BackupId, took: Duration) -> Option<Finding> {
        let max = self.restored_within.filter(|max| took > *max)?;
        let finding = Finding::error("restore-time", id, "to restore the backup took longer than it may");
        Some(
            finding
                .with("expected", format!("at most {} s", max.as_secs()))
                .with("found", format!("{} s", took.as_secs())),
        )
    }

    /// Gives findings of rules the severities that were asked for, lets those pass that are exempt at `now`, and tells of
    /// exemptions that have ended.
    #[must_use]
    pub fn settle(&self, findings: Vec<Finding>, now: Timestamp) -> Vec<Finding> {
        exemptions::settle(self, findings, now)
    }
}

/// A backup, and what a rule may look at beside it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Judged<'a> {
    /// What the backup is.
    pub manifest: &'a Manifest,
    /// Earlier backups of the same database, newest first.
    pub earlier: &'a [PastBackup],
    /// The time at which it is judged.
    pub now: Timestamp,
}

/// A rule that is no data: something of one's own that a backup is expected to be.
///
/// It sees the manifest and what earlier backups held, and opens nothing. Its findings can be made with
/// [`Finding::new`], under an id that is not one of [`RULES`].
pub trait Rule: fmt::Debug + Send + Sync {
    /// Looks at a backup, and gives what is wrong with it.
    fn judge(&self, backup: &Judged<'_>) -> Vec<Finding>;
}

/// Judges a backup by all rules, and tells what could not be.
pub(crate) fn judge(
    manifest: &Manifest,
    backup: Option<&BackupReader>,
    options: &VerifyOptions<'_>,
    not_checked: &mut Vec<String>,
) -> Vec<Finding> {
    let rules = options.rules;
    let mut findings = check_required(manifest, &rules.require_tables);
    let earlier = volume::of_same_database(manifest, options.earlier, &mut findings);
    let comparable = volume::of_same_part(manifest, earlier);
    if comparable.is_empty() {
        not_checked.push("the volume of data against earlier backups: there is none to compare with".to_owned());
    }
    findings.extend(volume::check(manifest, &comparable, rules));
    let needs_grants = |table: &TableRule| !table.grants.is_empty() || !table.denied.is_empty();
    let mut grants = None;
    if rules.tables.iter().any(needs_grants) {
        match backup.map(Grants::read) {
            Some(Ok(found)) => grants = Some(found),
            Some(Err(error)) => not_checked.push(format!("who has which rights: {error}")),
            None => not_checked.push("who has which rights: the backup cannot be opened here".to_owned()),
        }
    }
    let partitions = Partitions::of(manifest);
    for rule in &rules.tables {
        findings.extend(tables::check(manifest, rule, &partitions, grants.as_ref()));
    }
    findings.extend(whole::check(manifest, rules));
    let Some(now) = options.now else {
        if rules.age_max.is_some() || !rules.exemptions.is_empty() || !options.custom.is_empty() {
            not_checked.push("ages, exemptions and rules of one's own: the time was not given".to_owned());
        }
        return exemptions::with_severities(rules, findings);
    };
    findings.extend(whole::check_age(manifest, options.newest, rules, now));
    let judged = Judged { manifest, earlier, now };
    for rule in options.custom {
        findings.extend(rule.judge(&judged));
    }
    rules.settle(findings, now)
}
