use std::path::PathBuf;
use std::time::Duration;

use backstay::{
    Age, BackupOptions, EarlierBackups, GlobalsOption, Inclusion, ReadBack, Resolved, RetentionPolicy, Rules,
    SourceOptions, Variables,
};
use backstay_config::Database;

use crate::args::BackupArguments;
use crate::configuration::{self, ConfigurationError, DatabaseOptions};
use crate::environment::Environment;
use crate::keys::{PASSPHRASE, SealRequest};
use crate::output::Output;

use super::chosen::{self, ChosenSource};
use super::encryption::settle_seals;
use super::export::{TypedExport, exports_of_backup};
use super::{RecoveryLimit, SettleError, SettledNamedExport, SettledStore, jobs};

/// How long to wait for the lock on a table where nobody says otherwise.
const LOCK_WAIT_SECS: u32 = 30;

/// What `backup` is to do.
#[derive(Debug)]
pub(crate) struct SettledBackup {
    pub(crate) source: Resolved,
    pub(crate) store: SettledStore,
    pub(crate) also: Vec<SettledStore>,
    pub(crate) options: BackupOptions,
    pub(crate) seals: SealRequest,
    /// Which earlier backups are kept; all of them where it is `None`.
    pub(crate) retention: Option<RetentionPolicy>,
    /// Whether it is restored at once, to see whether it can be.
    pub(crate) drill: bool,
    /// How long that may take, where not the rules say it.
    pub(crate) recovery_limit: Option<RecoveryLimit>,
    /// Exports that are made in its snapshot.
    pub(crate) exports: Vec<SettledNamedExport>,
    /// By which rules it is judged when it is made; by none where it is `None`.
    pub(crate) rules: Option<Rules>,
    /// The configuration, where variables name the database although it has some.
    pub(crate) passed_over: Option<PathBuf>,
    pub(crate) output: Output,
}

impl SettledBackup {
    pub(crate) fn settle(arguments: BackupArguments, environment: &Environment) -> Result<Self, SettleError> {
        let ChosenSource { source, section } = chosen::source(&arguments.from, environment)?;
        let database = section.map(|(_, database)| database);
        let file = match section {
            Some((name, database)) => configuration::options(name, database, &environment.variables)?,
            None => DatabaseOptions::default(),
        };
        let typed_store = arguments.store.clone().or_else(|| arguments.positional_store.clone());
        let mut store = SettledStore::settle_for(typed_store, database, environment)?
            .with_server_side_encryption(arguments.sse.as_deref())?;
        let also = further_stores(&arguments, &store, database, environment)?;
        let typed_seals = settle_seals(arguments.encrypt);
        let exports = match arguments.export.is_empty() {
            true => Vec::new(),
            false => {
                let typed = TypedExport {
                    store: None,
                    from: &arguments.from,
                    encrypt: &typed_seals,
                    no_prune: arguments.keep_all,
                };
                exports_of_backup(&arguments.export, section, &typed, environment)?
            }
        };
        let (seals, is_of_file) = merge_seals(typed_seals, file.seals);
        if let Some(database) = database.filter(|_| is_of_file && seals.passphrase.is_some()) {
            store.variables = with_passphrase(database, store.variables, &environment.variables)?;
        }
        let mut options = BackupOptions::default();
        options.source = source_options(arguments.jobs.or(file.jobs), environment);
        let secs = arguments.lock_wait.or(file.lock_wait).unwrap_or(LOCK_WAIT_SECS);
        options.source.lock_wait = Duration::from_secs(secs.into());
        let included = |is_excluded: Option<bool>, file: Option<bool>| {
            let is_included = is_excluded.map(|is_excluded| !is_excluded).or(file);
            inclusion(is_included.unwrap_or(true))
        };
        options.source.unlogged = included(arguments.no_unlogged_data, file.unlogged_data);
        options.source.large_objects = included(arguments.no_large_objects, file.large_objects);
        let list = |typed: Vec<String>, file: Option<Vec<String>>| match typed.is_empty() {
            true => file.unwrap_or_default(),
            false => typed,
        };
        let typed = arguments.selection;
        let selection = &mut options.source.selection;
        selection.schemas = list(typed.schema, file.schema);
        selection.tables = list(typed.table, file.table);
        selection.exclude_schemas = list(typed.exclude_schema, file.exclude_schema);
        selection.exclude_tables = list(typed.exclude_table, file.exclude_table);
        selection.exclude_data = list(typed.exclude_table_data, file.exclude_table_data);
        options.prefix = arguments.name.or(file.prefix);
        options.compression = arguments.compress.or(file.compression).unwrap_or_default();
        options.tags = if arguments.tag.is_empty() {
            file.tags
        } else {
            arguments.tag
        };
        options.keep_at_least = arguments.keep_at_least.or(file.keep_at_least);
        options.pg_dump = arguments.pg_dump.or(file.pg_dump);
        options.volume_bytes_max = arguments.volume_size.or(file.volume_size);
        if arguments.no_read_back.map(|is_not| !is_not).or(file.read_back) == Some(false) {
            options.read_back = ReadBack::No;
        }
        options.globals = match arguments.globals.or(file.globals) {
            Some(true) => GlobalsOption::Included,
            Some(false) => GlobalsOption::Excluded,
            None => GlobalsOption::ByPlatform,
        };
        options.source.platform = arguments.platform.or(file.platform).unwrap_or_default();
        if arguments.same_database {
            options.earlier = EarlierBackups::OfThisDatabase;
        }
        let by_variables = section.is_none() && arguments.from.from.is_none();
        let loaded = environment.configuration.get().ok().flatten().filter(|_| by_variables);
        let passed_over = loaded.filter(|loaded| loaded.config.databases().next().is_some());
        let rules = chosen::rules(&arguments.rules, database, environment)?;
        let checks = rules.iter().flat_map(Rules::checks_of_snapshot);
        options.checks = checks.cloned().collect();
        let retention = match (arguments.keep_days, database.filter(|_| !arguments.keep_all)) {
            (Some(days), _) => Some(keep_days(days)),
            (None, Some(database)) => chosen::retention(database, environment)?,
            (None, None) => None,
        };
        Ok(Self {
            source,
            store,
            also,
            options,
            seals,
            retention,
            drill: arguments.drill,
            recovery_limit: section.and_then(|(name, database)| RecoveryLimit::of_section(name, database)),
            exports,
            rules,
            passed_over: passed_over.map(|loaded| loaded.path.clone()),
            output: arguments.output.into(),
        })
    }
}

/// The stores that are to have the backup too: those that were typed, else those of the database.
fn further_stores(
    arguments: &BackupArguments,
    store: &SettledStore,
    database: Option<&Database>,
    environment: &Environment,
) -> Result<Vec<SettledStore>, SettleError> {
    let mut also: Vec<SettledStore> = Vec::new();
    let typed = arguments.also.iter().map(|typed| (typed.as_str(), true));
    let of_file = database
        .filter(|_| arguments.also.is_empty())
        .map(|database| &database.also);
    let of_file = of_file.into_iter().flatten().map(|reference| (reference.name(), false));
    for (name, is_typed) in typed.chain(of_file) {
        let mut other = SettledStore::settle(Some(name.to_owned()), environment)?;
        // Who wants one bucket encrypted wants no copy that is not.
        if other.is_bucket() {
            other = other.with_server_side_encryption(arguments.sse.as_deref())?;
        }
        // Where another store was typed, it may be one of those that the file has beside its own.
        if !is_typed && store.refuse_same(&other).is_err() {
            continue;
        }
        for known in [store].into_iter().chain(&also) {
            known.refuse_same(&other)?;
        }
        also.push(other);
    }
    Ok(also)
}

/// To whom backups are encrypted: as was typed, else as the file says. Tells whether it was the file.
pub(super) fn merge_seals(typed: SealRequest, file: SealRequest) -> (SealRequest, bool) {
    if typed.names_somebody() {
        return (typed, false);
    }
    let index = if typed.index.is_empty() {
        file.index
    } else {
        typed.index
    };
    (SealRequest { index, ..file }, true)
}

/// The variables of a store, with the passphrase of a database in them.
pub(super) fn with_passphrase(
    database: &Database,
    of_store: Variables,
    variables: &Variables,
) -> Result<Variables, SettleError> {
    let source = database
        .encryption
        .passphrase
        .as_ref()
        .or(database.encryption.gpg.as_ref());
    let Some(source) = source else {
        return Ok(of_store);
    };
    let secret = source.resolve(&configuration::lookup(variables));
    let secret = secret.map_err(ConfigurationError::from)?;
    Ok(of_store.with(PASSPHRASE, secret.expose()))
}

/// The policy of `--keep-days`.
fn keep_days(days: u32) -> RetentionPolicy {
    let mut policy = RetentionPolicy::default();
    policy.keep_within = Some(Age::days(days));
    policy
}

fn source_options(typed: Option<u16>, environment: &Environment) -> SourceOptions {
    let mut source = SourceOptions::default();
    source.jobs = jobs(typed, environment);
    source
}

fn inclusion(is_included: bool) -> Inclusion {
    if is_included {
        Inclusion::Included
    } else {
        Inclusion::Excluded
    }
}
