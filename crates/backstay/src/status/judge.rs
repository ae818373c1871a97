use std::collections::BTreeSet;

use backstay_core::Prefix;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::history::{BackupManifest, DrillSeen, Series};
use super::origins::SeriesOrigin;
use super::place::{self, counted, named, time, worst};
use super::verdict::{
    DatabaseStatus, Limits, PlaceStatus, Problem, ProvenBackup, Recovery, State, Status, StoreSeen, StoreStatus,
    Trouble, VolumeJudge, Watched,
};

/// By how much the clock of a store may be ahead, in seconds, before one of both counts as wrong.
const CLOCKS_APART_SECS_MAX: i64 = 300;

/// Watches every prefix that the stores have, each in those that have it or cannot be asked.
#[must_use]
pub fn watch_all(stores: &[StoreSeen], limits: Limits) -> Vec<Watched> {
    let prefixes: BTreeSet<&Prefix> = stores.iter().flat_map(series).map(|series| &series.prefix).collect();
    let watched = prefixes.into_iter().map(|prefix| {
        let may_have =
            |store: &StoreSeen| store.history.is_err() || series(store).any(|series| series.prefix == *prefix);
        let stores = stores.iter().enumerate().filter(|(_, store)| may_have(store));
        Watched {
            name: prefix.to_string(),
            prefix: prefix.clone(),
            stores: stores.map(|(index, _)| index).collect(),
            limits,
            volume: VolumeJudge::Status,
            is_part: false,
            next_runs: Vec::new(),
            files: None,
        }
    });
    watched.collect()
}

/// Judges what stores told of the databases that are watched.
#[must_use]
pub fn judge(stores: &[StoreSeen], watched: &[Watched], now: Timestamp) -> Status {
    let databases: Vec<DatabaseStatus> = watched
        .iter()
        .flat_map(|watched| databases(stores, watched, now))
        .collect();
    let is_watched = |prefix: &Prefix| watched.iter().any(|watched| watched.prefix == *prefix);
    let is_used = |index: usize| watched.iter().any(|watched| watched.stores.contains(&index));
    let stores: Vec<StoreStatus> = stores
        .iter()
        .enumerate()
        .map(|(index, seen)| store(seen, is_used(index), is_watched, now))
        .collect();
    let states = databases.iter().map(|database| database.state);
    Status {
        at: now,
        state: states
            .chain(stores.iter().map(|store| store.state))
            .max()
            .unwrap_or(State::Good),
        databases,
        stores,
    }
}

fn series(store: &StoreSeen) -> impl Iterator<Item = &Series> {
    store.history.iter().flat_map(|history| &history.series)
}

/// A database; several where its prefix has backups of several.
fn databases(stores: &[StoreSeen], watched: &Watched, now: Timestamp) -> Vec<DatabaseStatus> {
    let seen: Vec<(usize, &StoreSeen)> = watched
        .stores
        .iter()
        .filter_map(|index| Some((*index, stores.get(*index)?)))
        .collect();
    let of_prefix = |store| series(store).filter(|series| series.prefix == watched.prefix);
    let mut origins: Vec<Option<&SeriesOrigin>> = Vec::new();
    for series in seen.iter().flat_map(|(_, store)| of_prefix(*store)) {
        let origin = series.origin.as_ref();
        if !series.has_moved && !origins.iter().any(|known| are_one(*known, origin)) {
            origins.push(origin);
        }
    }
    let is_alone = origins.len() < 2;
    if origins.is_empty() {
        origins.push(None);
    }
    let databases = origins.into_iter().map(|origin| {
        let is_of_it = |series: &&Series| !series.has_moved && are_one(series.origin.as_ref(), origin);
        let mut all = seen.iter().flat_map(|(_, store)| of_prefix(*store).filter(is_of_it));
        let mut database = Database {
            watched,
            now,
            is_alone,
            takes_parts: watched.is_part || !all.any(|series| place::has_whole(series, now)),
            places: Vec::new(),
            series: Vec::new(),
        };
        for (index, store) in &seen {
            let place = match (&store.history, of_prefix(*store).find(is_of_it)) {
                (Err(why), _) => place::unreachable(*index, why),
                (Ok(_), None) => place::lacking(*index, watched),
                (Ok(_), Some(series)) => {
                    database.series.push((*index, series));
                    place::judge(*index, series, watched, database.takes_parts, now)
                }
            };
            database.places.push(place);
        }
        let moved: usize = seen
            .iter()
            .flat_map(|(_, store)| of_prefix(*store))
            .filter(|series| series.has_moved)
            .map(|series| series.backups.len())
            .sum();
        let name = match origin {
            Some(origin) if !is_alone => format!("{} ({origin})", watched.name),
            _ => watched.name.clone(),
        };
        database.status(name, origin.cloned(), moved)
    });
    databases.collect()
}

/// Whether both are of one database; where one does not tell, nothing speaks against it.
pub(super) fn are_one(one: Option<&SeriesOrigin>, other: Option<&SeriesOrigin>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is(other),
        _ => true,
    }
}

/// A database, and its backups in each store that could be asked and has any.
struct Database<'s> {
    watched: &'s Watched,
    now: Timestamp,
    is_alone: bool,
    /// Whether backups of a part count.
    takes_parts: bool,
    places: Vec<PlaceStatus>,
    series: Vec<(usize, &'s Series)>,
}

impl Database<'_> {
    fn status(self, name: String, origin: Option<SeriesOrigin>, moved: usize) -> DatabaseStatus {
        let proven = self
            .series
            .iter()
            .filter_map(|(index, series)| place::proven(*index, series, self.takes_parts, self.now));
        let proven = proven.max_by_key(|proven| proven.id.time());
        let drills = || self.series.iter().flat_map(|(_, series)| self.drills(series));
        let last_drill = drills().max_by_key(|drill| drill.said.at);
        let passed = drills()
            .filter(|drill| drill.evidence.passed)
            .max_by_key(|drill| drill.said.at);
        let recovery = passed.map(|drill| Recovery {
            took: drill.evidence.recovery,
            at: drill.said.at,
            id: drill.id.clone(),
        });
        let mut problems = Vec::new();
        problems.extend(self.unproven(proven.as_ref()));
        problems.extend(last_drill.and_then(failed_drill));
        problems.extend(self.recovery_problem(recovery.as_ref()));
        problems.extend(self.files_problem());
        let all = self.series.iter().flat_map(|(_, series)| &series.backups);
        let unread = all.filter(|backup| matches!(backup.manifest, BackupManifest::NotRead));
        let unread = unread.count();
        if !self.is_alone && unread > 0 {
            let message = format!(
                "the prefix has several databases, and of which of them {} here was not read; give each a prefix of its own",
                counted(unread, "older backup", "older backups")
            );
            problems.push(Problem::warning(Trouble::Unread, message));
        }
        if moved > 0 {
            let message = format!(
                "{} of before it moved to another cluster",
                counted(moved, "backup is", "backups are")
            );
            problems.push(Problem::note(Trouble::Moved, message));
        }
        let state = self.places.iter().map(|place| place.state).max();
        DatabaseStatus {
            name,
            watched: self.watched.name.clone(),
            prefix: self.watched.prefix.clone(),
            origin,
            state: state.unwrap_or(State::Good).max(worst(&problems)),
            limits: self.watched.limits,
            proven,
            recovery,
            last_drill: last_drill.cloned(),
            next_runs: self.watched.next_runs.clone(),
            problems,
            places: self.places,
        }
    }

    /// The drills that count: how soon a part is back says nothing of the whole.
    fn drills<'s>(&self, series: &'s Series) -> impl Iterator<Item = &'s DrillSeen> {
        let is_part = |drill: &DrillSeen| {
            let mut backups = series.backups.iter();
            backups.any(|backup| backup.id == drill.id && place::is_part(backup))
        };
        series
            .drills
            .iter()
            .filter(move |drill| self.takes_parts || !is_part(drill))
    }

    /// A database whose first backup is younger than the limit has time yet; the first there ever was, also where the
    /// retention keeps none for so long.
    fn unproven(&self, proven: Option<&ProvenBackup>) -> Option<Problem> {
        let within = self.watched.limits.proven_within;
        let past = self.series.iter().flat_map(|(_, series)| &series.backups);
        let deleted = self.series.iter().filter_map(|(_, series)| series.first_deleted);
        let times = past.map(|backup| backup.id.time()).chain(deleted);
        let first = times.filter(|time| *time <= self.now).min()?;
        let is_due = |since: Timestamp| since < within.before(self.now, &TimeZone::UTC);
        let message = match proven {
            None if !is_due(first) => {
                let message = format!("no backup was proven yet; one should be within {within} of the first");
                return Some(Problem::warning(Trouble::Unproven, message));
            }
            None => "no backup was proven".to_owned(),
            Some(proven) if is_due(proven.id.time()) => format!(
                "the newest backup that was proven is of {}, more than {within} ago",
                time(proven.id.time())
            ),
            Some(_) => return None,
        };
        Some(Problem::error(Trouble::Unproven, message))
    }

    /// Their limit is that of backups of the database, whose rows are about them.
    fn files_problem(&self) -> Option<Problem> {
        let rpo = self.watched.limits.rpo;
        let message = match self.watched.files.as_ref()? {
            Err(why) => {
                let message = format!("nobody knows when its files were saved: {why}");
                return Some(Problem::error(Trouble::Unreachable, message));
            }
            Ok(None) => "there is no backup of its files".to_owned(),
            Ok(Some(newest)) if *newest < rpo.before(self.now, &TimeZone::UTC) => {
                format!(
                    "the newest backup of its files is of {}, more than {rpo} ago",
                    time(*newest)
                )
            }
            Ok(Some(_)) => return None,
        };
        Some(Problem::error(Trouble::Files, message))
    }

    fn recovery_problem(&self, recovery: Option<&Recovery>) -> Option<Problem> {
        let limit = self.watched.limits.rto;
        match recovery {
            None if self.series.is_empty() => None,
            None => {
                let message = "how long a restore takes was never measured by a drill that passed";
                Some(Problem::warning(Trouble::NeverDrilled, message))
            }
            Some(recovery) if recovery.took > limit => {
                let message = format!(
                    "to have the database back took {} in the drill of {}, and may take {}",
                    duration(recovery.took),
                    time(recovery.at),
                    duration(limit)
                );
                Some(Problem::error(Trouble::Slow, message))
            }
            Some(_) => None,
        }
    }
}

fn failed_drill(drill: &DrillSeen) -> Option<Problem> {
    (!drill.evidence.passed).then(|| {
        let message = format!("the drill of {} with {} failed", time(drill.said.at), drill.id);
        Problem::error(Trouble::DrillFailed, message)
    })
}

/// `90 s`, `12 min`, `2 h 5 min`: whole units, since a limit is compared with it.
fn duration(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

fn store(seen: &StoreSeen, is_used: bool, is_watched: impl Fn(&Prefix) -> bool, now: Timestamp) -> StoreStatus {
    let mut status = StoreStatus {
        location: seen.location.clone(),
        state: State::Good,
        bytes: None,
        litter: None,
        problems: Vec::new(),
    };
    let mut problems = Vec::new();
    match &seen.history {
        Err(why) => {
            let message = format!("the store cannot be asked: {why}");
            problems.push(Problem::error(Trouble::Unreachable, message));
        }
        Ok(history) => {
            status.bytes = Some(history.bytes);
            status.litter = history.litter;
            if history.series.is_empty() && !is_used {
                problems.push(Problem::error(Trouble::NoBackup, "there is no backup in it"));
            }
            let ahead = history
                .youngest_unix_secs
                .map_or(0, |youngest| youngest.saturating_sub(now.as_second()));
            if ahead > CLOCKS_APART_SECS_MAX {
                let message = format!(
                    "something in it was written {} min after now: the clock of this machine or of the store is wrong, \
                     and ages with it",
                    ahead / 60
                );
                problems.push(Problem::error(Trouble::Clock, message));
            }
            match history.litter {
                Some(0) => {}
                Some(items) => {
                    let message = format!("crashes left {}", counted(items, "thing", "things"));
                    problems.push(Problem::warning(Trouble::Litter, message));
                }
                None => {
                    let message = "the store does not tell what interrupted writers left";
                    problems.push(Problem::note(Trouble::Litter, message));
                }
            }
            if !history.adoptable.is_empty() {
                let count = counted(history.adoptable.len(), "pack has", "packs have");
                let message = format!("{count} no manifest, such as {}", named(&history.adoptable));
                problems.push(Problem::warning(Trouble::Adoptable, message));
            }
            if !history.unfinished.is_empty() {
                let count = counted(history.unfinished.len(), "backup", "backups");
                let message = format!("{count} of which volumes are written still, or never will be whole");
                problems.push(Problem::note(Trouble::Unfinished, message));
            }
            let unwatched: BTreeSet<&Prefix> = series(seen)
                .map(|series| &series.prefix)
                .filter(|prefix| !is_watched(prefix))
                .collect();
            if !unwatched.is_empty() {
                let names: Vec<&str> = unwatched.iter().map(|prefix| prefix.as_str()).collect();
                let message = format!(
                    "it has backups that nobody watches, with the prefixes {}",
                    names.join(", ")
                );
                problems.push(Problem::note(Trouble::Unwatched, message));
            }
        }
    }
    status.state = worst(&problems);
    status.problems = problems;
    status
}
