use std::collections::BTreeMap;

use backstay::status::{DatabaseStatus, Problem, State, Status, StoreSeen, StoreStatus};
use backstay::{LogEntry, LogItem, Outcome, Prefix, RetentionPolicy, Severity};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::database;
use crate::style::STYLE;
use crate::words::{age, bytes, duration, time};

/// More entries of logs than that are not shown.
const DEEDS_MAX: usize = 40;

/// What a page is made of.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "whoever asks for a page must say each")]
pub struct Report<'r> {
    /// How everything is doing.
    pub status: &'r Status,
    /// What the stores told, all of it ([`Depth::All`](backstay::status::Depth::All)), in the order of the status.
    pub stores: &'r [StoreSeen],
    /// Which backups are kept, by prefix, where that is known.
    pub policies: &'r BTreeMap<Prefix, RetentionPolicy>,
    /// What was done lately.
    pub logs: &'r [StoreLog],
}

/// What was done lately with the backups of a store.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a store and its log")]
pub struct StoreLog {
    /// The store, by its index.
    pub store: usize,
    /// Entries of its log, oldest first.
    pub items: Vec<LogItem>,
}

/// The page, as a text of HTML. Its length does not grow with the number of backups but for a line each month.
#[must_use]
pub fn page(report: &Report<'_>) -> String {
    let status = report.status;
    let title = "Backups";
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                // A browser that is told nothing asks for an icon.
                link rel="icon" href="data:,";
                title { (title) " · " (headline(status)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    div {
                        h1 { (title) }
                        p.muted { "As of " time datetime=(status.at.to_string()) { (time(status.at)) " UTC" } }
                    }
                    p.overall { (pill(status.state)) " " (headline(status)) }
                }
                main {
                    (overview(report))
                    @for (index, found) in status.databases.iter().enumerate() {
                        (database::section(report, found, index))
                    }
                    (stores(status))
                    (deeds(report))
                }
                footer.muted { "Made by Backstay. Times are in UTC." }
            }
        }
    };
    page.into_string()
}

fn headline(status: &Status) -> String {
    let count = |state: State| {
        status
            .databases
            .iter()
            .filter(|database| database.state == state)
            .count()
    };
    let databases = match status.databases.len() {
        1 => "1 database".to_owned(),
        several => format!("{several} databases"),
    };
    let bad = count(State::Bad);
    let unknown = count(State::Unknown);
    match (status.state, bad, unknown) {
        (State::Good, ..) => format!("{databases}, nothing is amiss"),
        (State::Warning, ..) => format!("{databases}, with warnings"),
        (_, 0, 0) => format!("{databases}, and a store needs somebody"),
        (_, bad, 0) => format!("{bad} of {databases} in trouble"),
        (_, 0, unknown) => format!("{unknown} of {databases} not known"),
        (_, bad, unknown) => format!("{bad} of {databases} in trouble, {unknown} not known"),
    }
}

/// The state of something, told by a word, a mark and a colour.
pub(crate) fn pill(state: State) -> Markup {
    pill_saying(state, state.as_str())
}

/// The same with another word.
pub(crate) fn pill_saying(state: State, word: &str) -> Markup {
    let (class, mark) = match state {
        State::Good => ("good", "✓"),
        State::Warning => ("warning", "!"),
        State::Bad => ("bad", "✕"),
        State::Unknown => ("unknown", "?"),
    };
    html! { span.pill.(class) { span aria-hidden="true" { (mark) } " " (word) } }
}

/// What is amiss, each in a line.
pub(crate) fn problems(about: Option<&str>, problems: &[Problem]) -> Markup {
    html! {
        @for problem in problems {
            @let class = match problem.severity {
                Severity::Error => "bad",
                Severity::Warning => "warning",
                Severity::Note => "note",
            };
            li.(class) {
                span.severity { (problem.severity.to_string()) }
                span {
                    @if let Some(about) = about { span.muted { (about) ": " } }
                    (problem.message)
                }
            }
        }
    }
}

fn overview(report: &Report<'_>) -> Markup {
    let status = report.status;
    if status.databases.is_empty() {
        return html! { section.card { h2 { "Databases" } p.empty { "There are no backups." } } };
    }
    html! {
        section.card aria-labelledby="overview" {
            h2 id="overview" { "Databases" }
            div.scroll tabindex="0" role="region" aria-labelledby="overview" {
                table {
                    thead { tr {
                        th scope="col" { "Database" } th scope="col" { "State" } th scope="col" { "Newest" }
                        th scope="col" { "Proven" } th scope="col" { "Recovery" } th.number scope="col" { "Size" }
                        th.number scope="col" { "Backups" } th.number scope="col" { "Stored" }
                    } }
                    tbody {
                        @for (index, found) in status.databases.iter().enumerate() { (row(status, found, index)) }
                    }
                }
            }
        }
    }
}

fn row(status: &Status, found: &DatabaseStatus, index: usize) -> Markup {
    let newest = found
        .places
        .iter()
        .filter_map(|place| place.newest.as_ref())
        .max_by_key(|newest| newest.id.time());
    let stored = found
        .places
        .iter()
        .fold(0_u64, |sum, place| sum.saturating_add(place.pack_bytes));
    let backups: u64 = found.places.iter().map(|place| place.backups).sum();
    html! {
        tr {
            th scope="row" { a href={ "#database-" (index) } { (found.name) } }
            td { (pill(found.state)) }
            td { (newest.map_or("none".to_owned(), |newest| age(status.at, newest.id.time()))) }
            td { (found.proven.as_ref().map_or("never".to_owned(), |proven| age(status.at, proven.id.time()))) }
            td { (found.recovery.as_ref().map_or("unknown".to_owned(), |recovery| duration(recovery.took))) }
            td.number { (newest.map_or("–".to_owned(), |newest| bytes(newest.own_bytes.saturating_add(newest.shared_bytes)))) }
            td.number { (backups) }
            td.number { (bytes(stored)) }
        }
    }
}

fn stores(status: &Status) -> Markup {
    let all = |store: &StoreStatus| -> Markup {
        html! {
            tr {
                th.text scope="row" { (store.location) }
                td { (pill(store.state)) }
                td.number { (store.bytes.map_or("?".to_owned(), bytes)) }
                td.number { (store.litter.map_or("?".to_owned(), |items| items.to_string())) }
            }
        }
    };
    html! {
        section.card aria-labelledby="stores" {
            h2 id="stores" { "Stores" }
            ul.problems { @for store in &status.stores { (problems(Some(&store.location), &store.problems)) } }
            div.scroll tabindex="0" role="region" aria-labelledby="stores" {
                table {
                    thead { tr {
                        th scope="col" { "Store" } th scope="col" { "State" } th.number scope="col" { "All that is in it" }
                        th.number scope="col" { "Litter" }
                    } }
                    tbody { @for store in &status.stores { (all(store)) } }
                }
            }
        }
    }
}

/// What was done lately, newest first.
fn deeds(report: &Report<'_>) -> Markup {
    let mut entries: Vec<_> = report
        .logs
        .iter()
        .flat_map(|log| {
            log.items
                .iter()
                .filter_map(move |item| Some((log.store, item.entry.as_ref()?)))
        })
        .collect();
    entries.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.at));
    let untold = entries.len().saturating_sub(DEEDS_MAX);
    entries.truncate(DEEDS_MAX);
    if entries.is_empty() {
        return html! {};
    }
    html! {
        section.card aria-labelledby="deeds" {
            h2 id="deeds" { "What was done" }
            div.scroll tabindex="0" role="region" aria-labelledby="deeds" {
                table {
                    thead { tr {
                        th scope="col" { "Time" } th scope="col" { "What" } th scope="col" { "Outcome" }
                        th scope="col" { "Backup" } th scope="col" { "Who" } th scope="col" { "Store" }
                    } }
                    tbody {
                        @for (store, entry) in &entries {
                            tr {
                                td.time { (time(entry.at)) }
                                td { (entry.deed.to_string()) }
                                td.bad[entry.outcome == Outcome::Failed] { (entry.outcome.to_string()) }
                                td { (subject(entry)) }
                                td { (entry.who) " on " (entry.from) }
                                td { (location(report.status, *store)) }
                            }
                        }
                    }
                }
            }
            @if untold > 0 { p.muted { "And " (untold) " more, which " code { "backstay log" } " tells." } }
        }
    }
}

/// The backup that it was done with, or the first part of the name that one would have had.
fn subject(entry: &LogEntry) -> String {
    let prefix = || entry.prefix.as_ref().map(ToString::to_string);
    entry
        .id
        .as_ref()
        .map(ToString::to_string)
        .or_else(prefix)
        .unwrap_or_default()
}

pub(crate) fn location(status: &Status, store: usize) -> &str {
    status.stores.get(store).map_or("", |store| store.location.as_str())
}
