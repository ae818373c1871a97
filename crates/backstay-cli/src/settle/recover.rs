use crate::args::RecoverArguments;
use crate::environment::Environment;

use super::{SettleError, SettledStore};

/// What `recover` is told before it asks.
#[derive(Debug)]
pub(crate) struct SettledRecover {
    pub(crate) store: SettledStore,
    /// As typed: what is missing is asked for, and all of it goes to `restore`, which settles it.
    pub(crate) typed: RecoverArguments,
}

impl SettledRecover {
    pub(crate) fn settle(typed: RecoverArguments, environment: &Environment) -> Result<Self, SettleError> {
        Ok(Self {
            store: SettledStore::settle(typed.store.clone(), environment)?,
            typed,
        })
    }
}
