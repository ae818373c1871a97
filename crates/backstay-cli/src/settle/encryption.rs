use std::path::PathBuf;

use crate::args::{EncryptArguments, IdentityArguments, KeyCheckArguments, KeyCommand, RekeyArguments};
use crate::environment::Environment;
use crate::keys::{Keys, NewPassphrase, SealRequest};
use crate::output::Output;
use crate::select::BackupName;

use super::{SettleError, SettledBackupName, SettledStore, chosen};

/// What `key` is to do.
#[derive(Debug)]
pub(crate) enum SettledKey {
    New { file: PathBuf },
    Check(SettledKeyCheck),
}

/// What `key check` is to do.
#[derive(Debug)]
pub(crate) struct SettledKeyCheck {
    pub(crate) backup: SettledBackupName,
    pub(crate) output: Output,
}

/// What `rekey` is to do.
#[derive(Debug)]
pub(crate) struct SettledRekey {
    pub(crate) which: RekeyWhich,
    pub(crate) take_over: bool,
    pub(crate) store: SettledStore,
    pub(crate) keys: Keys,
    pub(crate) seals: SealRequest,
    pub(crate) output: Output,
}

/// Which backups are encrypted anew.
#[derive(Debug)]
pub(crate) enum RekeyWhich {
    One(BackupName),
    All,
}

impl SettledRekey {
    pub(crate) fn settle(typed: RekeyArguments, environment: &Environment) -> Result<Self, SettleError> {
        let keys = settle_keys(typed.identity, environment);
        let (which, store) = match typed.backup {
            None => (RekeyWhich::All, SettledStore::settle(typed.store, environment)?),
            Some(text) => {
                // A backup is encrypted anew in its store, so no file is meant.
                let name = BackupName::settle(&text, typed.database, |_| None)?;
                let (name, store) = chosen::in_store(name, typed.store, environment)?;
                (RekeyWhich::One(name), store)
            }
        };
        Ok(Self {
            which,
            take_over: typed.take_over,
            store,
            keys,
            seals: settle_seals(typed.encrypt),
            output: typed.output.into(),
        })
    }
}

impl SettledKey {
    pub(crate) fn settle(command: KeyCommand, environment: &Environment) -> Result<Self, SettleError> {
        match command {
            KeyCommand::New { file } => Ok(Self::New { file }),
            KeyCommand::Check(typed) => {
                let KeyCheckArguments {
                    store,
                    database,
                    identity,
                    output,
                } = typed;
                let (name, store) = chosen::in_store(BackupName::Latest { database }, store, environment)?;
                Ok(Self::Check(SettledKeyCheck {
                    backup: SettledBackupName {
                        name,
                        store,
                        keys: settle_keys(identity, environment),
                    },
                    output: output.into(),
                }))
            }
        }
    }
}

pub(super) fn settle_seals(typed: EncryptArguments) -> SealRequest {
    SealRequest {
        recipients: typed.encrypt_to,
        files: typed.encrypt_to_file,
        passphrase: match (typed.encrypt_passphrase, typed.encrypt_gpg) {
            (true, _) => Some(NewPassphrase::OfAge),
            (false, true) => Some(NewPassphrase::OfOpenPgp),
            (false, false) => None,
        },
        index: typed.index_to,
    }
}

pub(super) fn settle_keys(typed: IdentityArguments, environment: &Environment) -> Keys {
    Keys {
        files: typed.identity,
        variables: environment.variables.clone(),
        can_ask: environment.can_ask,
    }
}
