use backstay::{CheckOptions, Level};

use crate::args::{LevelArgument, VerifyArguments};
use crate::environment::Environment;
use crate::output::Output;

use super::{SettleError, SettledBackupName};

/// What `verify` is to do.
#[derive(Debug)]
pub(crate) struct SettledVerify {
    pub(crate) backup: SettledBackupName,
    /// Everything but the earlier backup, which is looked for when this one is known.
    pub(crate) options: CheckOptions,
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
        options.rules.require_tables = arguments.require_table;
        Ok(Self {
            backup: SettledBackupName::settle(arguments.backup, environment)?,
            options,
            output: arguments.output.into(),
        })
    }
}
