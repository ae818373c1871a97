use std::path::PathBuf;
use std::time::Duration;

use backstay::{DrillOptions, Keep, Prefix, Resolved, resolve_source};
use backstay_config::{Database, TimeLimit};

use crate::args::{BackupNameArguments, DrillArguments, RulesArguments};
use crate::configuration;
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
    /// Everything but the rules and how long it may take, which are looked for when the backup is known.
    pub(crate) options: DrillOptions,
    pub(crate) rules: ConfiguredRules,
    typed_limit: Option<RecoveryLimit>,
    /// Those of databases, by the prefix of their backups.
    limits: Vec<(Prefix, RecoveryLimit)>,
    pub(crate) output: Output,
}

/// How long it may take to have a database back, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecoveryLimit {
    pub(crate) limit: Duration,
    pub(crate) by: String,
}

impl RecoveryLimit {
    /// What the section of a database says.
    pub(crate) fn of_section(name: &str, database: &Database) -> Option<Self> {
        let TimeLimit(limit) = database.rto?;
        let by = format!("rto of [database.{name}]");
        Some(Self { limit, by })
    }
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
        let limits = match &backup.name {
            BackupName::File(_) => Vec::new(),
            _ => limits(environment)?,
        };
        Ok(Self {
            backup,
            rules,
            typed_limit: arguments.rto.map(|TimeLimit(limit)| RecoveryLimit {
                limit,
                by: "--rto".to_owned(),
            }),
            limits,
            place,
            options,
            output: arguments.output.into(),
        })
    }

    /// How long a restore of such a backup may take: what was typed comes before the section of its database, as with `status`, and
    /// rules that were typed do, too. `None` where only the rules say it, if they do.
    pub(crate) fn limit_of(&self, prefix: &Prefix) -> Option<&RecoveryLimit> {
        let has_typed_rule = self.rules.named().is_some_and(|rules| rules.restored_within.is_some());
        let of_section = || self.limits.iter().find(|(known, _)| known == prefix);
        let of_section = || of_section().filter(|_| !has_typed_rule).map(|(_, limit)| limit);
        self.typed_limit.as_ref().or_else(of_section)
    }
}

/// What the sections of databases say, by the prefix of their backups.
fn limits(environment: &Environment) -> Result<Vec<(Prefix, RecoveryLimit)>, SettleError> {
    let loaded = environment.configuration.get()?;
    let sections = loaded.into_iter().flat_map(|loaded| loaded.config.databases());
    let limits = sections.filter_map(|(name, database)| {
        let limit = RecoveryLimit::of_section(name, database)?;
        Some((configuration::prefix(name, database), limit))
    });
    Ok(limits.collect())
}
