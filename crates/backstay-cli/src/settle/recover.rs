use crate::args::{BackupNameArguments, HappenedArgument, RecoverArguments};
use crate::environment::Environment;

use super::{SettleError, SettledBackupName, chosen};

/// What `recover` is told before it asks: as typed. What is missing is asked for, and all of it goes to `restore`, which
/// settles it.
#[derive(Debug)]
pub(crate) struct SettledRecover {
    pub(crate) typed: RecoverArguments,
}

impl SettledRecover {
    pub(crate) fn settle(typed: RecoverArguments) -> Result<Self, SettleError> {
        if let Some(happened) = typed.what {
            Self::check(&typed, happened)?;
        }
        Ok(Self { typed })
    }

    /// Refuses options that do not go with what happened.
    pub(crate) fn check(typed: &RecoverArguments, happened: HappenedArgument) -> Result<(), SettleError> {
        let option = match (typed.table.is_empty(), &typed.into_schema) {
            _ if happened == HappenedArgument::Rows => return Ok(()),
            (false, _) => "--table",
            (_, Some(_)) => "--into-schema",
            (true, None) => return Ok(()),
        };
        Err(SettleError::OnlyForRows { option })
    }

    /// The newest backup of a database, as `latest` means it, and the store as `restore` must be told it.
    pub(crate) fn latest(
        &self,
        database: &str,
        environment: &Environment,
    ) -> Result<(SettledBackupName, Option<String>), SettleError> {
        let store = match &self.typed.store {
            None => chosen::store_name(database, environment)?,
            typed => typed.clone(),
        };
        let named = BackupNameArguments {
            backup: "latest".to_owned(),
            store: store.clone(),
            database: Some(database.to_owned()),
            identity: self.typed.identity.clone(),
        };
        Ok((SettledBackupName::settle(named, environment)?, store))
    }
}
