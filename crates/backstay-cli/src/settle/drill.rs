use std::path::PathBuf;

use backstay::{DrillOptions, Keep, Resolved, resolve_source};
use backstay_config::TimeLimit;

use crate::args::{BackupNameArguments, DrillArguments, RulesArguments};
use crate::environment::Environment;
use crate::output::Output;
use crate::select::BackupName;

use super::chosen::ConfiguredRules;
use super::{SettleError, SettledBackupName, jobs};

/// What `drill` is to do.
#[derive(Debug)]
pub(crate) struct SettledDrill {
    pub(crate) backup: SettledBackupName,
    pub(crate) place: DrillPlace,
    /// Everything but the rules, which are looked for when the backup is known.
    pub(crate) options: DrillOptions,
    pub(crate) rules: ConfiguredRules,
    pub(crate) output: Output,
}

/// Where a drill restores into.
#[derive(Debug)]
pub(crate) enum DrillPlace {
    /// A server that is started for it, with its folder in this one; that of the user where it is `None`.
    Throwaway(Option<PathBuf>),
    /// A database that is made for it there.
    NewDatabase(Resolved),
    /// A database that is there.
    Database(Resolved),
}

impl SettledDrill {
    pub(crate) fn settle(arguments: DrillArguments, environment: &Environment) -> Result<Self, SettleError> {
        let place = match &arguments.to {
            None => DrillPlace::Throwaway(arguments.work_folder),
            Some(to) => {
                let target = resolve_source(Some(to), &environment.variables)?;
                match arguments.create {
                    true => DrillPlace::NewDatabase(target),
                    false => DrillPlace::Database(target),
                }
            }
        };
        let keep = |is_left_out| if is_left_out { Keep::No } else { Keep::Yes };
        let mut options = DrillOptions::default();
        options.jobs = jobs(arguments.jobs, environment);
        options.owners = keep(arguments.no_owner);
        options.privileges = keep(arguments.no_privileges);
        options.recovery_limit = arguments.rto.map(|TimeLimit(limit)| limit);
        let backup = BackupNameArguments {
            backup: arguments.backup,
            store: arguments.store,
            database: arguments.database,
            identity: arguments.identity,
        };
        let backup = SettledBackupName::settle(backup, environment)?;
        // A file is looked at by itself, whatever the configuration says of databases.
        let rules = match (&backup.name, &arguments.rules) {
            (BackupName::File(_), RulesArguments { rules: None, .. }) => ConfiguredRules::default(),
            (_, typed) => ConfiguredRules::settle(typed, environment)?,
        };
        Ok(Self {
            backup,
            rules,
            place,
            options,
            output: arguments.output.into(),
        })
    }
}
