//! What the configuration says of when work is done.

use std::fmt;

use backstay_config::{Database, Export};
use backstay_schedule::{Timetable, WhenNever};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::configuration::{ConfigurationError, Loaded};

/// One kind of scheduled work on a database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Job {
    /// A backup is made and verified, and old ones are removed.
    Backup,
    /// The newest is restored to see whether it can be.
    Drill,
    /// The export of that name is made.
    Export(String),
}

/// All scheduled work on a database.
pub(crate) struct Work<'l> {
    /// The database as the configuration calls it.
    pub(crate) name: &'l str,
    pub(crate) database: &'l Database,
    pub(crate) jobs: Vec<(Job, Timetable)>,
}

/// When something is done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NextRun {
    /// The database as the configuration calls it.
    pub(crate) database: String,
    pub(crate) job: Job,
    /// When it begins, with its jitter.
    pub(crate) at: Timestamp,
}

impl Job {
    /// The name of the export, if it is one.
    pub(crate) fn export(&self) -> Option<&str> {
        match self {
            Self::Export(name) => Some(name),
            Self::Backup | Self::Drill => None,
        }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backup => f.write_str("backup"),
            Self::Drill => f.write_str("drill"),
            Self::Export(name) => write!(f, "export {name}"),
        }
    }
}

/// The scheduled work on each database that has some, by name.
pub(crate) fn work(loaded: &Loaded) -> Result<Vec<Work<'_>>, ConfigurationError> {
    let mut all = Vec::new();
    for (name, database) in loaded.config.databases() {
        let zone = database.schedule.zone(|zone| TimeZone::get(zone).ok())?;
        let timetable = |job: &Job, cron: &backstay_schedule::Cron| Timetable {
            name: format!("{name} {job}"),
            cron: cron.clone(),
            zone: zone.clone(),
            jitter: database.schedule.jitter,
            // A database without any backup should not stay so.
            when_never: match job {
                Job::Backup => WhenNever::Now,
                Job::Drill | Job::Export(_) => WhenNever::WhenDue,
            },
        };
        let exports = exports_of(name, loaded)?;
        let exports = exports.map(|(export, found)| (Job::Export(export.to_owned()), found.schedule.as_ref()));
        let crons = [
            (Job::Backup, database.schedule.backup.as_ref()),
            (Job::Drill, database.schedule.drill.as_ref()),
        ];
        let crons = crons.into_iter().chain(exports);
        let jobs: Vec<(Job, Timetable)> = crons
            .filter_map(|(job, cron)| {
                let timetable = timetable(&job, cron?);
                Some((job, timetable))
            })
            .collect();
        if !jobs.is_empty() {
            all.push(Work { name, database, jobs });
        }
    }
    Ok(all)
}

/// The exports of a database: those that name it, and those that name none where it is the only one.
pub(crate) fn exports_of<'l>(
    database: &'l str,
    loaded: &'l Loaded,
) -> Result<impl Iterator<Item = (&'l str, &'l Export)>, ConfigurationError> {
    let is_scheduled = |export: &Export| export.database.is_none() && export.schedule.is_some();
    let needs_only = loaded.config.exports().any(|(_, export)| is_scheduled(export));
    let only = match loaded.only_database() {
        // Of several databases nobody knows which is meant.
        Err(error) if needs_only => return Err(error),
        only => only.ok().flatten(),
    };
    let is_only = only.is_some_and(|(only, _)| only == database);
    Ok(loaded
        .config
        .exports()
        .filter(move |(_, export)| match &export.database {
            Some(reference) => reference.name() == database,
            None => is_only,
        }))
}

/// When each kind of scheduled work is done next after that time, if all is done whenever it is due; the soonest first.
pub(crate) fn next_runs(loaded: &Loaded, now: Timestamp) -> Result<Vec<NextRun>, ConfigurationError> {
    let mut next = Vec::new();
    for work in work(loaded)? {
        for (job, timetable) in &work.jobs {
            next.extend(timetable.start_after(now).map(|at| NextRun {
                database: work.name.to_owned(),
                job: job.clone(),
                at,
            }));
        }
    }
    next.sort_by_key(|run| run.at);
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Configuration;

    fn next(text: &str) -> Result<Vec<String>, ConfigurationError> {
        let configuration = Configuration::of_text(text);
        let loaded = configuration.require().unwrap();
        let runs = next_runs(loaded, "2025-03-29T12:00:00Z".parse().unwrap())?;
        Ok(runs
            .iter()
            .map(|run| format!("{} {} {}", run.database, run.job, run.at))
            .collect())
    }

    const EXPORT: &str = "[[export]]\nname = 'users'\ntable = 'users'\nschedule = '0 3 * * *'\n";

    #[test]
    fn what_comes_next_is_told_in_order_and_by_the_clock_of_the_database() {
        let database = "[database.kulti]\nhost = 'h'\nschedule = '30 2 * * *'\ndrill-schedule = '0 4 * * SUN'\n\
                        time-zone = 'Europe/Berlin'\n[database.idle]\nhost = 'h'\n";
        // Of an export that names no database nobody knows of which it is, unless there is but one.
        assert!(next(&format!("{database}{EXPORT}")).is_err());
        let named = EXPORT.replace("table", "database = 'kulti'\ntable");
        let expected = [
            "kulti backup 2025-03-30T01:00:00Z",
            "kulti export users 2025-03-30T01:00:00Z",
            "kulti drill 2025-03-30T02:00:00Z",
        ];
        assert_eq!(next(&format!("{database}{named}")).unwrap(), expected);
        let alone = format!("[database.kulti]\nhost = 'h'\n{EXPORT}");
        assert_eq!(next(&alone).unwrap(), ["kulti export users 2025-03-30T03:00:00Z"]);
        let nowhere = "[database.kulti]\nhost = 'h'\nschedule = '0 3 * * *'\ntime-zone = 'Europe/Berlon'\n";
        assert!(next(nowhere).is_err());
    }
}
