//! The backups of a database in a store: over time, by what keeps them, and one by one.

use std::collections::BTreeMap;

use backstay::status::{BackupHistory, BackupManifest, DatabaseStatus, Series};
use backstay::{BackupId, RetentionDecision, plan_retention};
use jiff::Timestamp;
use maud::{Markup, html};

use crate::chart;
use crate::database::figure;
use crate::page::Report;
use crate::tier::Tier;
use crate::words::{bytes, number, time};

/// So many of the newest are seen at once.
const ROWS_OPEN: usize = 10;
/// More than that are told by month.
const ROWS_MAX: usize = 60;
/// More reasons than that are not told one by one.
const REASONS_MAX: usize = 3;

pub(crate) fn timeline(
    report: &Report<'_>,
    database: &DatabaseStatus,
    series: &Series,
    location: Option<&str>,
    (index, store): (usize, usize),
) -> Markup {
    let policy = report.policies.get(&database.prefix);
    let decisions = policy.map(|policy| plan_retention(&series.retention_facts(), policy, report.status.at));
    let decisions: Option<BTreeMap<BackupId, RetentionDecision>> = decisions.map(|decisions| {
        decisions
            .into_iter()
            .map(|decision| (decision.id.clone(), decision))
            .collect()
    });
    let tier = |backup: &BackupHistory| {
        let decision = decisions.as_ref()?.get(&backup.id)?;
        Some((Tier::of(&decision.reasons), decision))
    };
    let id = format!("timeline-{index}-{store}");
    let backups = || series.backups.iter();
    let times = |is: &dyn Fn(&BackupHistory) -> bool| -> Vec<Timestamp> {
        backups()
            .filter(|backup| is(backup))
            .map(|backup| backup.id.time())
            .collect()
    };
    let mut lanes: Vec<(&str, Vec<Timestamp>)> = match &decisions {
        None => vec![("backup", times(&|_| true))],
        Some(_) => Tier::ALL
            .into_iter()
            .map(|of| {
                (
                    of.name(),
                    times(&|backup| tier(backup).is_some_and(|(tier, _)| tier == of)),
                )
            })
            .collect(),
    };
    lanes.push((
        "proven",
        backups()
            .flat_map(|backup| &backup.proofs)
            .filter(|proof| proof.decides() && proof.passed)
            .map(|proof| proof.at)
            .collect(),
    ));
    lanes.push(("held", times(&|backup| !backup.holds.is_empty())));
    lanes.push(("drill", series.drills.iter().map(|drill| drill.said.at).collect()));
    lanes.retain(|(_, times)| !times.is_empty());
    let every = || lanes.iter().flat_map(|(_, times)| times);
    let svg = every().min().zip(every().max().max(Some(&report.status.at)));
    let svg = svg.and_then(|(from, to)| chart::lanes(&lanes, *from, *to));
    let told: Vec<String> = lanes
        .iter()
        .map(|(name, times)| format!("{} {name}", times.len()))
        .collect();
    let earlier = series.backups.len().saturating_sub(ROWS_MAX);
    html! {
        h3 { "Backups" @if let Some(location) = location { " in " (location) } }
        div.wide { (figure("By time, and by what keeps them", &format!("{}.", told.join(", ")), svg, &id)) }
        (table(database, decisions.is_some(), &html! {
            @for backup in series.backups.iter().rev().take(ROWS_OPEN) {
                (row(backup, tier(backup), report.status.at))
            }
        }))
        @if series.backups.len() > ROWS_OPEN {
            details {
                summary { (series.backups.len() - ROWS_OPEN) " earlier backups" }
                (table(database, decisions.is_some(), &html! {
                    @for backup in series.backups.iter().rev().take(ROWS_MAX).skip(ROWS_OPEN) {
                        (row(backup, tier(backup), report.status.at))
                    }
                    @for (month, (count, size)) in by_month(&series.backups[..earlier]).iter().rev() {
                        tr.month {
                            td { (month) }
                            td.number { (bytes(*size)) }
                            td colspan="4" { (count) @if *count == 1 { " backup" } @else { " backups" } " of that month" }
                        }
                    }
                }))
            }
        }
    }
}

fn table(database: &DatabaseStatus, has_tiers: bool, rows: &Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label={ "Backups of " (database.name) } {
            table {
                thead { tr {
                    th scope="col" { "Time" } th.number scope="col" { "Size" } th.number scope="col" { "Rows" }
                    th scope="col" { "Proof" }
                    @if has_tiers { th scope="col" { "Kept as" } }
                    th scope="col" { "Notes" }
                } }
                tbody { (rows) }
            }
        }
    }
}

fn row(backup: &BackupHistory, tier: Option<(Tier, &RetentionDecision)>, now: Timestamp) -> Markup {
    let proof = backup.proofs.iter().find(|proof| proof.is_of_the_backup());
    html! {
        tr {
            td.time title=(backup.id.to_string()) { (time(backup.id.time())) }
            td.number { (bytes(backup.needed_bytes())) }
            td.number { (backup.holdings().map_or("–".to_owned(), |holdings| number(holdings.rows))) }
            td.bad[proof.is_some_and(|proof| !proof.passed)] {
                @match proof {
                    Some(proof) => { (proof.level) @if !proof.passed { " failed" } " " span.muted { (time(proof.at)) } }
                    None => span.muted { "none" },
                }
            }
            @if let Some((tier, decision)) = tier {
                td title=(reasons(decision)) { span.tier.going[tier == Tier::Going] { (tier.name()) } }
            }
            td.text { (notes(backup, now).join("; ")) }
        }
    }
}

fn reasons(decision: &RetentionDecision) -> String {
    let reasons = decision.reasons.iter().take(REASONS_MAX).map(ToString::to_string);
    reasons.collect::<Vec<_>>().join("; ")
}

/// What is to be known of a backup beside its numbers.
fn notes(backup: &BackupHistory, now: Timestamp) -> Vec<String> {
    let mut notes = Vec::new();
    if backup.id.time() > now {
        notes.push("from the future".to_owned());
    }
    match &backup.manifest {
        BackupManifest::Refused(why) => notes.push(format!("unreadable: {why}")),
        BackupManifest::Read(facts) => {
            if !facts.is_whole {
                notes.push("lacks a pack".to_owned());
            }
            if facts.is_sealed {
                notes.push("encrypted".to_owned());
            }
            if facts.scope.is_part() {
                notes.push("a part of the database".to_owned());
            }
            notes.extend(facts.tags.iter().map(|tag| format!("#{tag}")));
        }
        BackupManifest::NotRead => {}
    }
    notes.extend(backup.holds.iter().map(|hold| format!("held{hold}")));
    notes
}

/// How many backups each month has, and their bytes.
fn by_month(backups: &[BackupHistory]) -> BTreeMap<String, (u64, u64)> {
    let mut months: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for backup in backups {
        let month = backup.id.time().strftime("%Y-%m").to_string();
        let (count, size) = months.entry(month).or_default();
        *count += 1;
        *size = size.saturating_add(backup.pack_bytes);
    }
    months
}
