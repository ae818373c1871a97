//! Which database and which store are meant, where both may have a name in the configuration.

use backstay::{CancelToken, ConninfoError, Prefix, Resolved, RetentionPolicy, Rules, resolve_source};
use backstay_config::{Database, is_name};
use jiff::tz::TimeZone;

use crate::args::{FromArguments, RulesArguments};
use crate::configuration::{self, ConfigurationError};
use crate::environment::Environment;
use crate::select::{BackupName, looks_like_a_connection};

use super::{DEFAULT_STORE, SettleError, SettledStore};

/// A database, and what the configuration says of it.
pub(super) struct ChosenSource<'e> {
    pub(super) source: Resolved,
    pub(super) section: Option<(&'e str, &'e Database)>,
}

/// The database that was named, else the one that variables name, else the only one of the configuration.
pub(super) fn source<'e>(
    arguments: &FromArguments,
    environment: &'e Environment,
) -> Result<ChosenSource<'e>, SettleError> {
    let described = |section: (&'e str, &'e Database)| -> Result<ChosenSource<'e>, SettleError> {
        Ok(ChosenSource {
            source: configuration::source(section.1, &environment.variables)?,
            section: Some(section),
        })
    };
    if let Some(name) = &arguments.db {
        return described(environment.configuration.require()?.database(name)?);
    }
    match resolve_source(arguments.from.as_deref(), &environment.variables) {
        Err(ConninfoError::NothingConfigured) => match environment.configuration.get()? {
            Some(loaded) => match loaded.only_database()? {
                Some(section) => described(section),
                None => Err(ConninfoError::NothingConfigured.into()),
            },
            None => Err(ConninfoError::NothingConfigured.into()),
        },
        settled => Ok(ChosenSource {
            // Only a connection tells whether this machine reaches the direct host.
            source: settled?.reachable(&CancelToken::new()),
            section: None,
        }),
    }
}

/// The name of the section that [`source`] takes, also where nothing of it can be had.
pub(crate) fn section_name(arguments: &FromArguments, environment: &Environment) -> Option<String> {
    if arguments.db.is_some() {
        return arguments.db.clone();
    }
    match resolve_source(arguments.from.as_deref(), &environment.variables) {
        Err(ConninfoError::NothingConfigured) => {
            let (name, _) = environment.configuration.get().ok()??.only_database().ok()??;
            Some(name.to_owned())
        }
        _ => None,
    }
}

/// A backup and the store that it is in. A database that the configuration has is found by the prefix that its section says,
/// and in its store.
pub(super) fn in_store(
    name: BackupName,
    store: Option<String>,
    environment: &Environment,
) -> Result<(BackupName, SettledStore), SettleError> {
    let is_told = store.as_deref().is_some_and(|store| !is_name(store));
    let database = match &name {
        // Who says where the store is needs no file, which may have mistakes.
        BackupName::Latest { database: Some(name) } if !is_told => match environment.configuration.get()? {
            Some(loaded) => loaded.config.database(name),
            None => None,
        },
        _ => None,
    };
    let store = match database {
        Some(_) => SettledStore::settle_for(store, database, environment)?,
        None => SettledStore::settle(store, environment)?,
    };
    let name = match database.and_then(|database| database.prefix.as_ref()) {
        Some(prefix) => BackupName::Latest {
            database: Some(prefix.to_string()),
        },
        None => name,
    };
    Ok((name, store))
}

/// The store of a database that the configuration has, by its name; nothing where a variable says another one.
pub(super) fn store_name(database: &str, environment: &Environment) -> Result<Option<String>, SettleError> {
    if environment.get("BACKSTAY_STORE").is_some() {
        return Ok(None);
    }
    let Some(loaded) = environment.configuration.get()? else {
        return Ok(None);
    };
    let reference = loaded.config.database(database).and_then(|found| found.store.as_ref());
    Ok(reference.map(|reference| reference.name().to_owned()))
}

/// Which backups of a database the configuration keeps; nothing where it says nothing.
pub(super) fn retention(
    database: &Database,
    environment: &Environment,
) -> Result<Option<RetentionPolicy>, ConfigurationError> {
    let Some(loaded) = environment.configuration.get()? else {
        return Ok(None);
    };
    let retention = loaded.config.retention_of(database);
    let policy = retention.map(|retention| retention.policy(|name| TimeZone::get(name).ok()));
    Ok(policy.transpose()?)
}

/// The rules of the configuration.
#[derive(Debug, Default)]
pub(crate) struct ConfiguredRules {
    /// Those that were named.
    named: Option<Rules>,
    /// Those of each database, by the prefix of its backups.
    of_databases: Vec<(String, Rules)>,
}

impl ConfiguredRules {
    pub(super) fn settle(typed: &RulesArguments, environment: &Environment) -> Result<Self, ConfigurationError> {
        if typed.no_rules {
            return Ok(Self::default());
        }
        if let Some(name) = &typed.rules {
            let named = environment.configuration.require()?.rules(name)?.clone();
            return Ok(Self {
                named: Some(named),
                ..Self::default()
            });
        }
        let Some(loaded) = environment.configuration.get()? else {
            return Ok(Self::default());
        };
        let of_databases = loaded.config.databases().filter_map(|(name, database)| {
            let rules = loaded.config.rules_of(database)?.clone();
            Some((configuration::prefix(name, database).to_string(), rules))
        });
        Ok(Self {
            named: None,
            of_databases: of_databases.collect(),
        })
    }

    /// Those that were named.
    pub(crate) fn named(&self) -> Option<&Rules> {
        self.named.as_ref()
    }

    /// The rules for backups with that prefix.
    pub(crate) fn of(&self, prefix: &Prefix) -> Option<&Rules> {
        let of_database = || self.of_databases.iter().find(|(known, _)| known == prefix.as_str());
        self.named.as_ref().or_else(|| of_database().map(|(_, rules)| rules))
    }
}

/// The rules by which backups of a database are judged; `None` where there are none.
pub(super) fn rules(
    typed: &RulesArguments,
    database: Option<&Database>,
    environment: &Environment,
) -> Result<Option<Rules>, ConfigurationError> {
    if typed.no_rules {
        return Ok(None);
    }
    if let Some(name) = &typed.rules {
        return Ok(Some(environment.configuration.require()?.rules(name)?.clone()));
    }
    let (Some(database), Some(loaded)) = (database, environment.configuration.get()?) else {
        return Ok(None);
    };
    Ok(loaded.config.rules_of(database).cloned())
}

impl SettledStore {
    /// The store that was typed, else that of `BACKSTAY_STORE`, else that of a database, else the only one of the
    /// configuration, else the default.
    pub(super) fn settle_for(
        typed: Option<String>,
        database: Option<&Database>,
        environment: &Environment,
    ) -> Result<Self, SettleError> {
        let variable = environment.get("BACKSTAY_STORE");
        let argument = typed.filter(|typed| Some(typed) != variable.as_ref());
        if let Some(text) = argument.as_ref().or(variable.as_ref()) {
            return Self::of_text(text, argument.clone(), environment);
        }
        if let Some(reference) = database.and_then(|database| database.store.as_ref()) {
            return Self::of_name(reference.name(), environment);
        }
        let only = match environment.configuration.get()? {
            Some(loaded) => loaded.only_store()?,
            None => None,
        };
        match only {
            Some((_, store)) => Self::of_section(store, None, environment),
            None => Ok(Self::unnamed(environment)),
        }
    }

    /// The default, whatever the configuration says.
    pub(super) fn unnamed(environment: &Environment) -> Self {
        Self {
            location: DEFAULT_STORE.to_owned(),
            argument: None,
            variables: environment.variables.clone(),
        }
    }

    /// The store of that name, which the configuration has.
    pub(super) fn of_name(name: &str, environment: &Environment) -> Result<Self, SettleError> {
        Self::of_text(name, Some(name.to_owned()), environment)
    }

    /// A name in the configuration, a path or a URL.
    fn of_text(text: &str, argument: Option<String>, environment: &Environment) -> Result<Self, SettleError> {
        if text.trim().is_empty() {
            return Err(SettleError::StoreEmpty);
        }
        if looks_like_a_connection(text) {
            return Err(SettleError::StoreIsConnection);
        }
        // What cannot be a name does not need the file, which may have mistakes.
        if is_name(text)
            && let Some(loaded) = environment.configuration.get()?
            && let Some(store) = loaded.store(text)
        {
            return Self::of_section(store, argument, environment);
        }
        Ok(Self {
            location: text.to_owned(),
            argument,
            variables: environment.variables.clone(),
        })
    }

    fn of_section(
        store: &backstay_config::Store,
        argument: Option<String>,
        environment: &Environment,
    ) -> Result<Self, SettleError> {
        let lookup = configuration::lookup(&environment.variables);
        let resolved = store.resolve(&lookup).map_err(ConfigurationError::from)?;
        let location = resolved.location.clone();
        if looks_like_a_connection(&location) {
            return Err(SettleError::StoreIsConnection);
        }
        Ok(Self {
            location,
            argument,
            variables: configuration::variables_for(resolved, &environment.variables),
        })
    }
}
