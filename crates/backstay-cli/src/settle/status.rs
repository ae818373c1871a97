use std::collections::BTreeMap;
use std::path::PathBuf;

use backstay::status::{Limits, VolumeJudge};
use backstay::{Prefix, RetentionPolicy};
use backstay_config::{Database, TimeLimit};
use backstay_schedule::Cron;
use jiff::tz::TimeZone;

use crate::args::{ReportArguments, StatusArguments, WatchArguments};
use crate::configuration::{self, ConfigurationError, Loaded};
use crate::environment::Environment;
use crate::keys::Keys;
use crate::output::{Form, Output, Voice};
use crate::schedule::exports_of;

use super::encryption::settle_keys;
use super::storage_files::label;
use super::{SettleError, SettledStore, chosen};

/// What `status` is to do.
#[derive(Debug)]
pub(crate) struct SettledStatus {
    pub(crate) watch: SettledWatch,
    pub(crate) form: StatusForm,
    /// Whether the notifications of databases are told what is amiss.
    pub(crate) notify: bool,
    pub(crate) output: Output,
}

/// What `report` is to do.
#[derive(Debug)]
pub(crate) struct SettledReport {
    pub(crate) watch: SettledWatch,
    /// The file; `None` for standard output.
    pub(crate) file: Option<PathBuf>,
    /// Which backups are kept, by prefix, as far as the configuration says.
    pub(crate) policies: BTreeMap<Prefix, RetentionPolicy>,
    pub(crate) voice: Voice,
}

/// How a status is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StatusForm {
    Text,
    Json,
    /// Metrics on standard output.
    Metrics,
    /// Metrics in a file.
    Textfile(PathBuf),
}

/// Which databases are looked at, where, and what is expected of them.
#[derive(Debug)]
pub(crate) struct SettledWatch {
    /// Each once.
    pub(crate) stores: Vec<WatchedStore>,
    /// The databases that are meant; `None` for all that the stores have.
    pub(crate) databases: Option<Vec<WatchedSection>>,
    /// What the configuration says of prefixes, for databases that are found.
    pub(crate) known: Vec<WatchedSection>,
    /// What is expected of those of which it says nothing.
    pub(crate) limits: Limits,
    pub(crate) keys: Keys,
}

/// A store that is looked at.
#[derive(Debug)]
pub(crate) struct WatchedStore {
    /// Its name, for messages.
    pub(crate) shown: String,
    /// One that cannot even be settled spoils no other.
    pub(crate) store: Result<SettledStore, SettleError>,
}

/// A database of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct WatchedSection {
    pub(crate) name: String,
    pub(crate) prefix: Prefix,
    /// By index; empty where it does not matter.
    pub(crate) stores: Vec<usize>,
    pub(crate) limits: Limits,
    pub(crate) volume: VolumeJudge,
    pub(crate) is_part: bool,
    /// What `backstay run` does with it, by whose clock.
    pub(crate) schedules: Vec<(String, Cron)>,
    pub(crate) zone: TimeZone,
    /// What backups of its project's files are called after, where these are to be saved; or why nobody knows.
    pub(crate) files: Option<Result<String, String>>,
}

impl SettledStatus {
    pub(crate) fn settle(arguments: StatusArguments, environment: &Environment) -> Result<Self, SettleError> {
        let output: Output = arguments.output.into();
        let watch = SettledWatch::settle(&arguments.watch, environment)?;
        if arguments.notify {
            let loaded = environment.configuration.require()?;
            let watched = watch.databases.as_ref().unwrap_or(&watch.known);
            let sections = watched
                .iter()
                .filter_map(|section| loaded.config.database(&section.name));
            if sections.into_iter().all(|database| database.notify.is_empty()) {
                return Err(SettleError::NobodyToTell);
            }
        }
        Ok(Self {
            watch,
            notify: arguments.notify,
            form: match (arguments.textfile, arguments.prometheus, output.form) {
                (Some(file), ..) => StatusForm::Textfile(file),
                (None, true, _) => StatusForm::Metrics,
                (None, false, Form::Json) => StatusForm::Json,
                (None, false, Form::Text) => StatusForm::Text,
            },
            output,
        })
    }
}

impl SettledReport {
    pub(crate) fn settle(arguments: ReportArguments, environment: &Environment) -> Result<Self, SettleError> {
        let mut policies = BTreeMap::new();
        if let Some(loaded) = environment.configuration.get()? {
            for (name, database) in loaded.config.databases() {
                if let Some(policy) = chosen::retention(database, environment)? {
                    policies.insert(configuration::prefix(name, database), policy);
                }
            }
        }
        Ok(Self {
            watch: SettledWatch::settle(&arguments.watch, environment)?,
            file: (arguments.html.as_os_str() != "-").then_some(arguments.html),
            policies,
            voice: match arguments.quiet {
                true => Voice::Quiet,
                false => Voice::Normal,
            },
        })
    }
}

impl SettledWatch {
    fn settle(arguments: &WatchArguments, environment: &Environment) -> Result<Self, SettleError> {
        let typed = arguments.store.clone().or(arguments.positional_store.clone());
        let loaded = match arguments.db.is_empty() {
            true => environment.configuration.get()?,
            false => Some(environment.configuration.require()?),
        };
        let mut watch = Self {
            stores: Vec::new(),
            databases: None,
            known: Vec::new(),
            limits: limits(arguments, None, Limits::default()),
            // Monitoring asks nobody for a passphrase.
            keys: Keys {
                can_ask: false,
                ..settle_keys(arguments.identity.clone(), environment)
            },
        };
        let Some(loaded) = loaded else {
            watch.add(Ok(SettledStore::settle(typed, environment)?), "");
            return Ok(watch);
        };
        for (name, database) in loaded.config.databases() {
            watch
                .known
                .push(section(name, database, loaded, arguments, environment)?);
        }
        if arguments.db.is_empty() && (typed.is_some() || watch.known.is_empty()) {
            watch.add(Ok(SettledStore::settle(typed, environment)?), "");
            return Ok(watch);
        }
        let mut databases: Vec<WatchedSection> = Vec::new();
        let chosen: Vec<&str> = match arguments.db.is_empty() {
            true => loaded.config.databases().map(|(name, _)| name).collect(),
            false => arguments.db.iter().map(String::as_str).collect(),
        };
        for name in chosen {
            let (name, database) = loaded.database(name)?;
            if databases.iter().any(|known| known.name == name) {
                continue;
            }
            let mut section = section(name, database, loaded, arguments, environment)?;
            let first = SettledStore::settle_for(typed.clone(), Some(database), environment);
            let shown = database.store.as_ref().map_or("the store", |store| store.name());
            section.stores.push(watch.add(first, shown));
            for also in database.also.iter().filter(|_| typed.is_none()) {
                let index = watch.add(SettledStore::of_name(also.name(), environment), also.name());
                // A variable may say that both are one.
                if !section.stores.contains(&index) {
                    section.stores.push(index);
                }
            }
            databases.push(section);
        }
        watch.databases = Some(databases);
        Ok(watch)
    }

    /// Adds a store, unless it is there already; gives its index.
    fn add(&mut self, store: Result<SettledStore, SettleError>, name: &str) -> usize {
        let shown = store.as_ref().map_or_else(|_| name.to_owned(), SettledStore::shown);
        let is_it = |known: &WatchedStore| match (&known.store, &store) {
            (Ok(known), Ok(store)) => (&known.location, &known.variables) == (&store.location, &store.variables),
            (Err(_), Err(_)) => known.shown == shown,
            _ => false,
        };
        if let Some(index) = self.stores.iter().position(is_it) {
            return index;
        }
        self.stores.push(WatchedStore { shown, store });
        self.stores.len() - 1
    }
}

fn section(
    name: &str,
    database: &Database,
    loaded: &Loaded,
    arguments: &WatchArguments,
    environment: &Environment,
) -> Result<WatchedSection, ConfigurationError> {
    let rules = loaded.config.rules_of(database);
    let mut usual = Limits::default();
    if let Some(rules) = rules {
        usual.rpo = rules.age_max.unwrap_or(usual.rpo);
        usual.rto = rules.restored_within.unwrap_or(usual.rto);
    }
    let of = |what: &str, cron: &Option<Cron>| cron.clone().map(|cron| (what.to_owned(), cron));
    let backup = of("backup", &database.schedule.backup).into_iter();
    let drill = of("drill", &database.schedule.drill);
    let exports =
        exports_of(name, loaded)?.filter_map(|(export, found)| of(&format!("export {export}"), &found.schedule));
    Ok(WatchedSection {
        name: name.to_owned(),
        prefix: configuration::prefix(name, database),
        stores: Vec::new(),
        limits: limits(arguments, Some(database), usual),
        volume: match rules {
            Some(_) => VolumeJudge::Rules,
            None => VolumeJudge::Status,
        },
        is_part: database.leaves_something_out(),
        schedules: backup.chain(drill).chain(exports).collect(),
        zone: database.schedule.zone(|name| TimeZone::get(name).ok())?,
        files: database.storage_files.as_ref().map(|files| label(files, environment)),
    })
}

/// What was typed comes before the keys of a section, and those before its rules.
fn limits(arguments: &WatchArguments, database: Option<&Database>, usual: Limits) -> Limits {
    let rto = arguments.rto.or(database.and_then(|database| database.rto));
    Limits {
        rpo: arguments
            .rpo
            .or(database.and_then(|database| database.rpo))
            .unwrap_or(usual.rpo),
        rto: rto.map_or(usual.rto, |TimeLimit(limit)| limit),
        proven_within: arguments
            .proven_within
            .or(database.and_then(|database| database.proven_within))
            .unwrap_or(usual.proven_within),
    }
}
