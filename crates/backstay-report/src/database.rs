//! What the page says of one database.

use std::time::Duration;

use backstay::status::{DatabaseStatus, DrillSeen, PlaceStatus, Series, State};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, PreEscaped, html};

use crate::chart;
use crate::page::{Report, location, pill, pill_saying, problems};
use crate::timeline::timeline;
use crate::words::{age, bytes, duration, number, time, unit};

/// More drills than that are not listed.
const DRILLS_MAX: usize = 10;

pub(crate) fn section(report: &Report<'_>, database: &DatabaseStatus, index: usize) -> Markup {
    let status = report.status;
    let is_alone = database.places.len() == 1;
    let series = |place: &PlaceStatus| -> Option<&Series> {
        let history = report.stores.get(place.store)?.history.as_ref().ok()?;
        history.series.iter().find(|series| series.is_of(database))
    };
    let first = database.places.iter().find_map(series);
    let mut drills: Vec<&DrillSeen> = database
        .places
        .iter()
        .filter_map(series)
        .flat_map(|series| &series.drills)
        .collect();
    drills.sort_by_key(|drill| std::cmp::Reverse(drill.said.at));
    html! {
        section.card id={ "database-" (index) } aria-labelledby={ "heading-" (index) } {
            div.heading {
                h2 id={ "heading-" (index) } { (database.name) }
                (pill(database.state))
            }
            ul.problems {
                @for place in &database.places {
                    (problems((!is_alone).then(|| location(status, place.store)), &place.problems))
                }
                (problems(None, &database.problems))
            }
            (gauges(report, database))
            @if let Some(series) = first {
                div.charts {
                    (size_chart(series, index))
                    (row_chart(series, index))
                }
            }
            @for place in &database.places {
                @if let Some(series) = series(place) {
                    (timeline(report, database, series, (!is_alone).then(|| location(status, place.store)), (index, place.store)))
                }
            }
            (drill_history(&drills, database.limits.rto, index))
            @if !database.next_runs.is_empty() {
                h3 { "Next" }
                ul.plain { @for run in &database.next_runs { li { (run.what) ", " (time(run.at)) } } }
            }
        }
    }
}

/// How much of what is allowed is used.
fn gauges(report: &Report<'_>, database: &DatabaseStatus) -> Markup {
    let now = report.status.at;
    let limits = database.limits;
    // The worst of the stores that could be asked.
    let known = database.places.iter().filter(|place| place.state != State::Unknown);
    let newest = known
        .clone()
        .filter_map(|place| place.newest.as_ref())
        .min_by_key(|newest| newest.id.time());
    let lacks = known.clone().any(|place| place.newest.is_none());
    let newest = newest.filter(|_| !lacks).map(|newest| newest.id.time());
    let secs = |from: Timestamp| now.as_second().saturating_sub(from.as_second()) as f64;
    let allowed = |limit: backstay::Age| secs(limit.before(now, &TimeZone::UTC));
    let proven = database.proven.as_ref();
    let recovery = database.recovery.as_ref();
    let first = database.places.iter().find(|place| place.newest.is_some());
    let size = first.and_then(|place| place.newest.as_ref());
    let size = size.map(|newest| bytes(newest.own_bytes.saturating_add(newest.shared_bytes)));
    html! {
        div.gauges {
            (gauge(
                "Newest backup",
                &newest.map_or("none".to_owned(), |newest| age(now, newest)),
                &format!("may be {} old", limits.rpo),
                newest.map(|newest| secs(newest) / allowed(limits.rpo)),
            ))
            (gauge(
                "Newest proven",
                &proven.map_or("never".to_owned(), |proven| age(now, proven.id.time())),
                &format!("may be {} old", limits.proven_within),
                proven.map(|proven| secs(proven.id.time()) / allowed(limits.proven_within)),
            ))
            (gauge(
                "Recovery",
                &recovery.map_or("unknown".to_owned(), |recovery| duration(recovery.took)),
                &format!("may take {}", duration(limits.rto)),
                recovery.map(|recovery| recovery.took.as_secs_f64() / limits.rto.as_secs_f64()),
            ))
            div.gauge {
                p.label { "Size" }
                p.value { (size.unwrap_or_else(|| "–".to_owned())) }
                @match first.and_then(|place| place.trend) {
                    Some(trend) => p.muted { (format!("{:+} % on the {} before", trend.percent(), trend.backups)) },
                    None => p.muted { "nothing to compare with" },
                }
            }
        }
    }
}

/// A part of one is well, and more than one is not.
fn gauge(label: &str, value: &str, limit: &str, part: Option<f64>) -> Markup {
    let percent = part.map(|part| (part * 100.0).clamp(0.0, 100.0).round());
    let class = match part {
        None => "unknown",
        Some(part) if part > 1.0 => "bad",
        Some(part) if part > 0.8 => "warning",
        Some(_) => "good",
    };
    html! {
        div.gauge {
            p.label { (label) }
            p.value { (value) }
            div.bar role="meter" aria-label=(label) aria-valuemin="0" aria-valuemax="100"
                aria-valuenow=[percent] aria-valuetext={ (value) ", " (limit) } {
                span.(class) style={ "width:" (percent.unwrap_or(0.0)) "%" } {}
            }
            p.muted { (limit) }
        }
    }
}

fn size_chart(series: &Series, index: usize) -> Markup {
    let sizes: Vec<(Timestamp, u64)> = series
        .backups
        .iter()
        .map(|backup| (backup.id.time(), backup.needed_bytes()))
        .collect();
    let (unit, factor) = unit(sizes.iter().map(|(_, size)| *size).max().unwrap_or(0));
    let points: Vec<(Timestamp, f64)> = sizes
        .iter()
        .map(|(time, size)| (*time, *size as f64 / factor))
        .collect();
    let told = sizes
        .last()
        .map(|(_, last)| format!("The last of {} backups has {}.", sizes.len(), bytes(*last)));
    figure(
        &format!("Size in {unit}"),
        &told.unwrap_or_default(),
        chart::area(&points),
        &format!("size-{index}"),
    )
}

fn row_chart(series: &Series, index: usize) -> Markup {
    let rows = series
        .backups
        .iter()
        .filter_map(|backup| Some((backup.id.time(), backup.holdings()?.rows)));
    let rows: Vec<(Timestamp, u64)> = rows.collect();
    let points: Vec<(Timestamp, f64)> = rows.iter().map(|(time, rows)| (*time, *rows as f64)).collect();
    let told = rows
        .last()
        .map(|(_, last)| format!("The last backup that can be read has {} rows.", number(*last)));
    figure(
        "Rows",
        &told.unwrap_or_default(),
        chart::area(&points),
        &format!("rows-{index}"),
    )
}

/// A chart with what it says in words; its numbers stand in the table of backups.
pub(crate) fn figure(title: &str, told: &str, svg: Option<String>, id: &str) -> Markup {
    html! {
        figure {
            figcaption { (title) }
            @match svg {
                Some(svg) => (PreEscaped(described(&svg, title, told, id))),
                None => p.empty { "There is too little to draw. " (told) },
            }
        }
    }
}

/// Gives the picture a title and a description, which are read aloud in its place.
fn described(svg: &str, title: &str, told: &str, id: &str) -> String {
    let (_, inner) = svg.split_once('>').unwrap_or_default();
    let box_of = svg.split_once("viewBox=\"").and_then(|(_, rest)| rest.split_once('"'));
    let box_of = box_of.map_or("", |(numbers, _)| numbers);
    let head = html! {
        title id={ (id) "-title" } { (title) }
        desc id={ (id) "-desc" } { (told) " The numbers stand in the table of backups." }
    };
    format!(
        "<svg viewBox=\"{box_of}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">{}{inner}",
        head.into_string()
    )
}

fn drill_history(drills: &[&DrillSeen], limit: Duration, index: usize) -> Markup {
    if drills.is_empty() {
        return html! {};
    }
    let untold = drills.len().saturating_sub(DRILLS_MAX);
    html! {
        h3 id={ "drills-" (index) } { "Drills" }
        div.scroll tabindex="0" role="region" aria-labelledby={ "drills-" (index) } {
            table {
                thead { tr {
                    th scope="col" { "Held" } th scope="col" { "Backup" } th scope="col" { "Outcome" }
                    th.number scope="col" { "Recovery" } th scope="col" { "Where" } th.number scope="col" { "Errors" }
                } }
                tbody {
                    @for drill in drills.iter().take(DRILLS_MAX) {
                        tr {
                            td.time { (time(drill.said.at)) }
                            td { (drill.id.to_string()) }
                            td { @if drill.evidence.passed { (pill_saying(State::Good, "passed")) } @else { (pill_saying(State::Bad, "failed")) } }
                            td.number.bad[drill.evidence.recovery > limit] { (duration(drill.evidence.recovery)) }
                            td.text { (drill.evidence.place) ", PostgreSQL " (drill.evidence.server_version) }
                            td.number { (drill.evidence.findings.errors) }
                        }
                    }
                }
            }
        }
        @if untold > 0 { p.muted { "And " (untold) " earlier ones." } }
    }
}
