use backstay::{Age, BackupId, LogFilter, Prefix, RetentionPolicy, Witness};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::args::{HoldArguments, LogArguments, PlaceArguments, PolicyArguments, PruneArguments, ReleaseArguments};
use crate::configuration::{self, ConfigurationError};
use crate::environment::Environment;
use crate::output::Output;

use super::{SettleError, SettledStore, chosen};

/// What `prune` is to do.
#[derive(Debug)]
pub(crate) struct SettledPrune {
    pub(crate) store: SettledStore,
    /// `None` where only litter goes.
    pub(crate) policy: Option<RetentionPolicy>,
    pub(crate) prefix: Option<Prefix>,
    /// The grace time; `None` where litter stays.
    pub(crate) litter_grace_secs: Option<i64>,
    pub(crate) mode: PruneMode,
    pub(crate) output: Output,
}

/// Whether `prune` removes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PruneMode {
    Show,
    Remove,
}

/// What `hold` and `release` are to do.
#[derive(Debug)]
pub(crate) struct SettledHold {
    pub(crate) id: BackupId,
    pub(crate) reason: String,
    pub(crate) until: Option<Timestamp>,
    pub(crate) store: SettledStore,
    pub(crate) witness: Witness,
    pub(crate) output: Output,
}

/// What `log` is to do.
#[derive(Debug)]
pub(crate) struct SettledLog {
    pub(crate) store: SettledStore,
    pub(crate) filter: LogFilter,
    pub(crate) output: Output,
}

impl From<PolicyArguments> for RetentionPolicy {
    fn from(typed: PolicyArguments) -> Self {
        let mut policy = Self::default();
        policy.keep_last = typed.keep_last.unwrap_or_default();
        policy.keep_daily = typed.keep_daily.unwrap_or_default();
        policy.keep_weekly = typed.keep_weekly.unwrap_or_default();
        policy.keep_monthly = typed.keep_monthly.unwrap_or_default();
        policy.keep_yearly = typed.keep_yearly.unwrap_or_default();
        policy.keep_within = typed.keep_within.or(typed.keep_days.map(Age::days));
        policy.keep_tags = typed.keep_tag;
        policy.min_age = typed.min_age;
        policy.time_zone = typed.time_zone.unwrap_or(TimeZone::UTC);
        policy
    }
}

impl SettledPrune {
    pub(crate) fn settle(arguments: PruneArguments, environment: &Environment) -> Result<Self, SettleError> {
        let typed = RetentionPolicy::from(arguments.policy);
        let section = match &arguments.db {
            Some(name) => Some(environment.configuration.require()?.database(name)?),
            None => None,
        };
        let database = section.map(|(_, database)| database);
        let store = arguments.store.or(arguments.positional_store);
        let policy = match section {
            Some((name, database)) if typed.is_empty() => {
                let policy = chosen::retention(database, environment)?;
                Some(policy.ok_or_else(|| ConfigurationError::NoRetention { name: name.to_owned() })?)
            }
            _ => (!typed.is_empty()).then_some(typed),
        };
        Ok(Self {
            store: SettledStore::settle_for(store, database, environment)?,
            policy,
            // Other databases in the store are none of its business.
            prefix: match section {
                Some((name, database)) => Some(configuration::prefix(name, database)),
                None => arguments.name,
            },
            litter_grace_secs: arguments.litter.then_some(arguments.grace.into()),
            mode: if arguments.dry_run {
                PruneMode::Show
            } else {
                PruneMode::Remove
            },
            output: arguments.output.into(),
        })
    }
}

impl SettledHold {
    pub(crate) fn settle_hold(typed: HoldArguments, environment: &Environment) -> Result<Self, SettleError> {
        if typed.reason.trim().is_empty() {
            return Err(SettleError::ReasonEmpty);
        }
        Self::settle(typed.id, typed.reason, typed.until, typed.place, environment)
    }

    pub(crate) fn settle_release(typed: ReleaseArguments, environment: &Environment) -> Result<Self, SettleError> {
        Self::settle(typed.id, typed.reason, None, typed.place, environment)
    }

    fn settle(
        id: BackupId,
        reason: String,
        until: Option<Timestamp>,
        place: PlaceArguments,
        environment: &Environment,
    ) -> Result<Self, SettleError> {
        let mut witness = environment.witness();
        if let Some(actor) = place.actor {
            witness.who = actor;
        }
        Ok(Self {
            id,
            reason,
            until,
            store: SettledStore::settle(place.store, environment)?,
            witness,
            output: place.output.into(),
        })
    }
}

impl SettledLog {
    pub(crate) fn settle(typed: LogArguments, environment: &Environment) -> Result<Self, SettleError> {
        Ok(Self {
            store: SettledStore::settle(typed.store.or(typed.positional_store), environment)?,
            filter: LogFilter {
                id: typed.id,
                since: typed.since,
            },
            output: typed.output.into(),
        })
    }
}
