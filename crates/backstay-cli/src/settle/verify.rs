use backstay::{CheckOptions, Level};

use crate::args::{LevelArgument, RulesArguments, VerifyArguments};
use crate::environment::Environment;
use crate::output::Output;
use crate::select::BackupName;

use super::chosen::ConfiguredRules;
use super::{SettleError, SettledBackupName};

/// What `verify` is to do.
#[derive(Debug)]
pub(crate) struct SettledVerify {
    pub(crate) backup: SettledBackupName,
    /// Everything but the rules and the earlier backups, which are looked for when this one is known.
    pub(crate) options: CheckOptions,
    pub(crate) rules: ConfiguredRules,
    /// Tables that were typed, in place of those of the rules.
    pub(crate) require_tables: Vec<String>,
    pub(crate) output: Output,
}

impl SettledVerify {
    pub(crate) fn settle(arguments: VerifyArguments, environment: &Environment) -> Result<Self, SettleError> {
        let mut options = CheckOptions::default();
        options.level = match arguments.level {
            LevelArgument::Quick => Level::Quick,
            LevelArgument::Standard => Level::Standard,
        };
        options.jobs = arguments.jobs.map_or(environment.processors, usize::from);
        let backup = SettledBackupName::settle(arguments.backup, environment)?;
        // A file is looked at by itself, whatever the configuration says of databases.
        let rules = match (&backup.name, &arguments.rules) {
            (BackupName::File(_), RulesArguments { rules: None, .. }) => ConfiguredRules::default(),
            (_, typed) => ConfiguredRules::settle(typed, environment)?,
        };
        Ok(Self {
            backup,
            options,
            rules,
            require_tables: arguments.require_table,
            output: arguments.output.into(),
        })
    }
}
