use std::path::PathBuf;
use std::time::Duration;

use crate::args::{JobArgument, RunArguments};
use crate::configuration::ConfigurationError;
use crate::environment::Environment;
use crate::schedule;

use super::{SettleError, SettledStore};

/// What `run` is to do.
#[derive(Debug)]
pub(crate) struct SettledRun {
    /// The databases, by name.
    pub(crate) databases: Vec<String>,
    pub(crate) mode: RunMode,
    pub(crate) grace: Duration,
    pub(crate) at_once: usize,
    /// The configuration, for the processes that do the work.
    pub(crate) config: PathBuf,
}

/// When `run` works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunMode {
    /// Whenever something is due, until it is asked to stop.
    Always,
    /// What is due now.
    Once,
    /// That, whether it is due or not; of exports those with these names, or all.
    Now(JobArgument, Vec<String>),
}

impl SettledRun {
    pub(crate) fn settle(typed: RunArguments, environment: &Environment) -> Result<Self, SettleError> {
        let loaded = environment.configuration.require().map_err(SettleError::from)?;
        for name in &typed.db {
            loaded.database(name)?;
        }
        for name in &typed.export {
            loaded.export(name)?;
        }
        let mode = match (typed.now, typed.once) {
            (Some(job), _) => RunMode::Now(job, typed.export),
            (None, true) => RunMode::Once,
            (None, false) => RunMode::Always,
        };
        let mut databases = typed.db;
        if databases.is_empty() {
            let scheduled = schedule::work(loaded)?;
            databases = scheduled.iter().map(|work| work.name.to_owned()).collect();
        }
        databases.sort_unstable();
        databases.dedup();
        let is_scheduled = |name: &String| -> Result<bool, ConfigurationError> {
            Ok(schedule::work(loaded)?.iter().any(|work| work.name == name))
        };
        if !matches!(mode, RunMode::Now(..)) {
            for name in &databases {
                if !is_scheduled(name)? {
                    return Err(SettleError::NoSchedule { name: name.clone() });
                }
            }
        }
        if databases.is_empty() {
            return Err(SettleError::NothingScheduled);
        }
        Ok(Self {
            databases,
            mode,
            grace: Duration::from_secs(typed.grace.into()),
            at_once: typed.at_once.into(),
            config: loaded.path.clone(),
        })
    }
}

/// The store of backups of a database of the configuration.
pub(crate) fn store_of(name: &str, environment: &Environment) -> Result<SettledStore, SettleError> {
    let (_, database) = environment.configuration.require()?.database(name)?;
    SettledStore::settle_for(None, Some(database), environment)
}

/// The store of an export of the configuration, of that database.
pub(crate) fn store_of_export(
    export: &str,
    database: &str,
    environment: &Environment,
) -> Result<SettledStore, SettleError> {
    let loaded = environment.configuration.require()?;
    match &loaded.export(export)?.store {
        Some(reference) => SettledStore::of_name(reference.name(), environment),
        None => store_of(database, environment),
    }
}
