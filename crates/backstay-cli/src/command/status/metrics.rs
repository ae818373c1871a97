//! The text format of Prometheus, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use backstay::status::{DatabaseStatus, State, Status};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Metrics in base units. Where something is unknown, its line is missing: a rule with `absent` tells of that.
pub(super) fn of(status: &Status) -> String {
    let mut metrics = Metrics::default();
    metrics.add(
        "status_timestamp_seconds",
        "When all this was looked at.",
        &[],
        status.at.as_second(),
    );
    let names = names(status);
    for (store, name) in status.stores.iter().zip(&names) {
        let labels = [("store", name.as_str())];
        let is_up = i64::from(store.state != State::Unknown);
        metrics.add("store_up", "Whether the store could be asked.", &labels, is_up);
        metrics.add_known(
            "store_bytes",
            "Bytes of all objects in the store.",
            &labels,
            store.bytes,
        );
        metrics.add_known(
            "store_litter_items",
            "Things that crashes left in the store.",
            &labels,
            store.litter,
        );
        for problem in &store.problems {
            let (trouble, severity) = (problem.trouble.as_str(), problem.severity.to_string());
            let labels = [("store", name.as_str()), ("trouble", trouble), ("severity", &severity)];
            metrics.add("store_problem", PROBLEM, &labels, 1);
        }
    }
    for database in &status.databases {
        add_database(&mut metrics, status, &names, database);
    }
    metrics.text()
}

const PROBLEM: &str = "1 for each thing that is amiss.";

/// What each store is called: as it is shown, with its number from 1 where others are shown alike.
fn names(status: &Status) -> Vec<String> {
    let stores = &status.stores;
    let is_shared = |location: &str| stores.iter().filter(|other| other.location == location).count() > 1;
    let names = stores
        .iter()
        .enumerate()
        .map(|(index, store)| match is_shared(&store.location) {
            true => format!("{} ({})", store.location, index + 1),
            false => store.location.clone(),
        });
    names.collect()
}

fn add_database(metrics: &mut Metrics, status: &Status, names: &[String], database: &DatabaseStatus) {
    let name = ("database", database.name.as_str());
    for state in [State::Good, State::Warning, State::Bad, State::Unknown] {
        let labels = [name, ("state", state.as_str())];
        let is_it = i64::from(database.state == state);
        metrics.add(
            "database_state",
            "1 for the state that the database is in.",
            &labels,
            is_it,
        );
    }
    let limits = database.limits;
    let seconds = |limit: backstay::Age| secs_since(status.at, limit.before(status.at, &TimeZone::UTC));
    metrics.add(
        "rpo_seconds",
        "How old the newest backup may be.",
        &[name],
        seconds(limits.rpo),
    );
    let rto = limits.rto.as_secs_f64();
    metrics.add(
        "rto_seconds",
        "How long it may take to have the database back.",
        &[name],
        rto,
    );
    let within = seconds(limits.proven_within);
    metrics.add(
        "proven_within_seconds",
        "How old the newest backup that was proven may be.",
        &[name],
        within,
    );
    let proven = database.proven.as_ref();
    let taken = proven.map(|proven| proven.id.time().as_second());
    metrics.add_known(
        "newest_proven_backup_timestamp_seconds",
        "When the newest backup that was proven was taken.",
        &[name],
        taken,
    );
    let at = proven.map(|proven| proven.at.as_second());
    metrics.add_known("newest_proof_timestamp_seconds", "When that was proven.", &[name], at);
    let recovery = database.recovery.as_ref().map(|recovery| recovery.took.as_secs_f64());
    metrics.add_known(
        "recovery_seconds",
        "How long a restore took in the last drill that passed.",
        &[name],
        recovery,
    );
    let drill = database.last_drill.as_ref();
    let at = drill.map(|drill| drill.said.at.as_second());
    metrics.add_known(
        "last_drill_timestamp_seconds",
        "When the last drill was held.",
        &[name],
        at,
    );
    let passed = drill.map(|drill| i64::from(drill.evidence.passed));
    metrics.add_known("last_drill_passed", "Whether it passed.", &[name], passed);
    for run in &database.next_runs {
        let labels = [name, ("run", run.what.as_str())];
        metrics.add(
            "next_run_timestamp_seconds",
            "When something is to be done next.",
            &labels,
            run.at.as_second(),
        );
    }
    for problem in &database.problems {
        let (trouble, severity) = (problem.trouble.as_str(), problem.severity.to_string());
        let labels = [name, ("store", ""), ("trouble", trouble), ("severity", &severity)];
        metrics.add("database_problem", PROBLEM, &labels, 1);
    }
    for place in &database.places {
        let store = names.get(place.store).map_or("", String::as_str);
        let labels = [name, ("store", store)];
        for problem in &place.problems {
            let (trouble, severity) = (problem.trouble.as_str(), problem.severity.to_string());
            let labels = [name, ("store", store), ("trouble", trouble), ("severity", &severity)];
            metrics.add("database_problem", PROBLEM, &labels, 1);
        }
        if place.state == State::Unknown {
            continue;
        }
        metrics.add("backups", "Backups in the store.", &labels, place.backups);
        metrics.add("backup_bytes", "Bytes of all of them.", &labels, place.pack_bytes);
        metrics.add("held_backups", "Backups that are held.", &labels, place.held.len());
        let newest = place.newest.as_ref();
        let taken = newest.map(|newest| newest.id.time().as_second());
        metrics.add_known(
            "newest_backup_timestamp_seconds",
            "When the newest backup that can be used was taken.",
            &labels,
            taken,
        );
        let own = newest.map(|newest| newest.own_bytes);
        metrics.add_known("newest_backup_own_bytes", "Bytes of its own packs.", &labels, own);
        let shared = newest.map(|newest| newest.shared_bytes);
        metrics.add_known(
            "newest_backup_shared_bytes",
            "Bytes of packs that it shares.",
            &labels,
            shared,
        );
        let rows = newest.and_then(|newest| newest.holdings).map(|holdings| holdings.rows);
        metrics.add_known("newest_backup_rows", "Rows in it, where it can be read.", &labels, rows);
    }
}

fn secs_since(now: Timestamp, then: Timestamp) -> i64 {
    now.as_second().saturating_sub(then.as_second())
}

/// Gauges, each with all of its samples, which have to stand together.
#[derive(Default)]
struct Metrics(BTreeMap<&'static str, (&'static str, BTreeMap<String, String>)>);

impl Metrics {
    /// Adds a sample. One that is there with the same labels says the same.
    fn add(&mut self, name: &'static str, help: &'static str, labels: &[(&str, &str)], value: impl Display) {
        let (_, samples) = self.0.entry(name).or_insert_with(|| (help, BTreeMap::new()));
        let labels = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)));
        let labels: Vec<String> = labels.collect();
        samples.insert(labels.join(","), value.to_string());
    }

    fn add_known(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: Option<impl Display>,
    ) {
        if let Some(value) = value {
            self.add(name, help, labels, value);
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, (help, samples)) in &self.0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP backstay_{name} {help}\n# TYPE backstay_{name} gauge");
            for (labels, value) in samples {
                let _ = match labels.as_str() {
                    "" => writeln!(text, "backstay_{name} {value}"),
                    labels => writeln!(text, "backstay_{name}{{{labels}}} {value}"),
                };
            }
        }
        text
    }
}

/// A value of a label, between its quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use backstay::status::{StoreSeen, judge};

    #[test]
    fn stores_that_are_shown_alike_are_told_apart() {
        let seen = |location: &str| StoreSeen {
            location: location.to_owned(),
            history: Err("nobody answers".to_owned()),
        };
        let status = judge(
            &[seen("s3://a"), seen("s3://b"), seen("s3://a")],
            &[],
            jiff::Timestamp::UNIX_EPOCH,
        );
        let text = super::of(&status);
        for name in ["s3://a (1)", "s3://b", "s3://a (3)"] {
            assert!(
                text.contains(&format!("backstay_store_up{{store=\"{name}\"}} 0\n")),
                "{text}"
            );
        }
    }
}
