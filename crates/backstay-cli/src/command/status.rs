//! How databases and their backups are doing.

mod alarms;
mod json;
mod metrics;
mod text;

use backstay::status::{
    Depth, FilesSeen, Limits, ScheduledRun, State, Status, StoreSeen, Watched, judge, look, watch_all,
};
use backstay::storage_files::{FilesId, FilesRepository};
use backstay::{Repository, WhenMissing};
use jiff::Timestamp;

use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::file::write_whole;
use crate::notify::tell_alarms;
use crate::output::{Voice, complain, print, print_json, print_text};
use crate::settle::{SettledStatus, SettledWatch, StatusForm, WatchedSection, WatchedStore};

/// Tells how databases and their backups are doing.
pub(crate) fn status(settled: SettledStatus, environment: &Environment) -> Result<Exit, Failure> {
    let now = Timestamp::now();
    let looked = Looked::at(settled.watch, Depth::Newest, now);
    let status = looked.judge(now);
    // Where nobody can read the rest, somebody is told all the same.
    if settled.notify {
        tell_alarms(alarms::of(&status), environment);
    }
    match &settled.form {
        StatusForm::Json => print_json(&json::of(&status))?,
        StatusForm::Metrics => print(metrics::of(&status).as_bytes())?,
        StatusForm::Textfile(file) => write_whole(file, metrics::of(&status).as_bytes())?,
        StatusForm::Text if settled.output.voice == Voice::Quiet => {
            for line in text::errors(&status) {
                complain(&line);
            }
        }
        StatusForm::Text => print_text(&text::of(&status))?,
    }
    Ok(looked.exit(&status))
}

/// What the stores told.
pub(super) struct Looked {
    pub(super) stores: Vec<StoreSeen>,
    /// Those that could be asked, with their indexes.
    pub(super) repositories: Vec<(usize, Repository)>,
    pub(super) watched: Vec<Watched>,
    /// What the first that could not be asked makes of the exit status.
    unreachable: Option<Exit>,
}

impl Looked {
    /// Looks at each store once. Of one that cannot be asked it is told why.
    pub(super) fn at(watch: SettledWatch, depth: Depth, now: Timestamp) -> Self {
        let keys = watch.keys;
        let mut unreachable = None;
        let mut stores = Vec::new();
        let mut repositories = Vec::new();
        for WatchedStore { shown, store } in watch.stores {
            let history = store.map_err(Failure::from).and_then(|store| {
                let repository = keys.give(store.open(WhenMissing::Fail)?)?;
                let history = look(&repository, depth, now)?;
                repositories.push((stores.len(), repository));
                Ok(history)
            });
            let history = history.map_err(|failure| {
                complain(&failure.report());
                unreachable.get_or_insert(failure.exit());
                failure.in_one_line()
            });
            stores.push(StoreSeen {
                location: shown,
                history,
            });
        }
        let files = |section: &WatchedSection| {
            let label = section.files.as_ref()?;
            // Where its store cannot be asked, that is told.
            let first = section.stores.first()?;
            let (_, repository) = repositories.iter().find(|(index, _)| index == first)?;
            Some(label.clone().and_then(|label| newest_files(repository, &label, now)))
        };
        let watched = match watch.databases {
            Some(databases) => {
                let databases = databases.into_iter();
                databases
                    .map(|section| watched(files(&section), section, now))
                    .collect()
            }
            None => found(&stores, &watch.known, watch.limits, files, now),
        };
        Self {
            stores,
            repositories,
            watched,
            unreachable,
        }
    }

    pub(super) fn judge(&self, now: Timestamp) -> Status {
        judge(&self.stores, &self.watched, now)
    }

    pub(super) fn exit(&self, status: &Status) -> Exit {
        match (self.unreachable, status.state) {
            (Some(exit), _) => exit,
            (None, State::Unknown) => Exit::Storage,
            (None, State::Bad) => Exit::Findings,
            (None, State::Good | State::Warning) => Exit::Done,
        }
    }
}

/// When the newest backup of the files of a project was made.
fn newest_files(repository: &Repository, label: &str, now: Timestamp) -> FilesSeen {
    let prefix = FilesId::new(label, now);
    let ids = FilesRepository::new(repository.store().clone()).list();
    let ids = ids.map_err(|error| Failure::from(error).in_one_line())?;
    let ids = ids.iter().filter(|id| id.prefix() == prefix.prefix());
    Ok(ids.filter_map(FilesId::taken).filter(|taken| *taken <= now).max())
}

/// A database of the configuration.
fn watched(files: Option<FilesSeen>, section: WatchedSection, now: Timestamp) -> Watched {
    let WatchedSection { schedules, zone, .. } = &section;
    let next = schedules.iter().filter_map(|(what, cron)| {
        Some(ScheduledRun {
            what: what.clone(),
            at: cron.next_after(now, zone)?,
        })
    });
    let next_runs = next.collect();
    Watched {
        name: section.name,
        prefix: section.prefix,
        stores: section.stores,
        limits: section.limits,
        volume: section.volume,
        is_part: section.is_part,
        next_runs,
        files,
    }
}

/// Every database that the stores have. Of those whose prefix the configuration has it is expected what stands there.
fn found(
    stores: &[StoreSeen],
    known: &[WatchedSection],
    limits: Limits,
    files: impl Fn(&WatchedSection) -> Option<FilesSeen>,
    now: Timestamp,
) -> Vec<Watched> {
    let mut found = watch_all(stores, limits);
    for database in &mut found {
        if let Some(section) = known.iter().find(|section| section.prefix == database.prefix) {
            let section = WatchedSection {
                stores: std::mem::take(&mut database.stores),
                ..section.clone()
            };
            *database = watched(files(&section), section, now);
        }
    }
    found
}
