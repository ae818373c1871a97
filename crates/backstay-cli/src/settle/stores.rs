use std::time::Duration;

use backstay::{BackupId, Period, ReadBack};

use crate::args::{CopyArguments, PeriodArgument, SignArguments, StoreCheckArguments, StoreCommand};
use crate::environment::Environment;
use crate::output::Output;
use crate::select::BackupName;

use super::{SettleError, SettledStore, chosen};

/// What `copy` is to do.
#[derive(Debug)]
pub(crate) struct SettledCopy {
    pub(crate) from: SettledStore,
    pub(crate) to: SettledStore,
    pub(crate) which: CopyWhich,
    pub(crate) read_back: ReadBack,
    pub(crate) output: Output,
}

/// Which backups are copied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CopyWhich {
    Latest { database: Option<String> },
    Ids(Vec<BackupId>),
    All,
    NewestPer(Period),
}

/// What `store check` is to do.
#[derive(Debug)]
pub(crate) struct SettledStoreCheck {
    pub(crate) store: SettledStore,
    pub(crate) output: Output,
}

/// What `sign` is to do.
#[derive(Debug)]
pub(crate) struct SettledSign {
    pub(crate) backup: BackupName,
    pub(crate) store: SettledStore,
    pub(crate) expires_in: Duration,
    pub(crate) output: Output,
}

impl SettledCopy {
    pub(crate) fn settle(typed: CopyArguments, environment: &Environment) -> Result<Self, SettleError> {
        let which = match (typed.all, typed.newest_per) {
            (true, _) => CopyWhich::All,
            (false, Some(period)) => CopyWhich::NewestPer(period.into()),
            (false, None) if typed.id.is_empty() => CopyWhich::Latest {
                database: typed.database,
            },
            (false, None) => CopyWhich::Ids(typed.id),
        };
        let from = SettledStore::settle(Some(typed.from), environment)?;
        let to = SettledStore::settle(Some(typed.to), environment)?;
        from.refuse_same(&to)?;
        Ok(Self {
            from,
            to,
            which,
            read_back: if typed.no_read_back {
                ReadBack::No
            } else {
                ReadBack::Yes
            },
            output: typed.output.into(),
        })
    }
}

impl From<PeriodArgument> for Period {
    fn from(typed: PeriodArgument) -> Self {
        match typed {
            PeriodArgument::Day => Self::Day,
            PeriodArgument::Week => Self::Week,
            PeriodArgument::Month => Self::Month,
            PeriodArgument::Year => Self::Year,
        }
    }
}

impl SettledStoreCheck {
    pub(crate) fn settle(command: StoreCommand, environment: &Environment) -> Result<Self, SettleError> {
        let StoreCommand::Check(StoreCheckArguments { store, output }) = command;
        Ok(Self {
            store: SettledStore::settle(store, environment)?,
            output: output.into(),
        })
    }
}

impl SettledSign {
    pub(crate) fn settle(typed: SignArguments, environment: &Environment) -> Result<Self, SettleError> {
        // URLs are of objects in a store, so no file is meant.
        let name = BackupName::settle(&typed.backup, typed.database, |_| None)?;
        let (backup, store) = chosen::in_store(name, typed.store, environment)?;
        Ok(Self {
            backup,
            store,
            expires_in: typed.expires,
            output: typed.output.into(),
        })
    }
}
