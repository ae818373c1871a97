use backstay::{Atomicity, Keep, Parts, Prove, Resolved, RestoreOptions, TargetPolicy, resolve_source};

use crate::args::{BackupNameArguments, RestoreArguments};
use crate::environment::Environment;
use crate::output::Output;

use super::{SettleError, SettledBackupName, SettledStore, jobs};

/// What `restore` is to do.
#[derive(Debug)]
pub(crate) struct SettledRestore {
    pub(crate) backup: SettledBackupName,
    pub(crate) target: Resolved,
    pub(crate) options: RestoreOptions,
    pub(crate) way_back: WayBack,
    /// Whether it is restored beside the target, which it then replaces.
    pub(crate) swap: SwapOption,
    pub(crate) mode: RestoreMode,
    /// Options, as typed, that a plain dump of another program does not allow.
    pub(crate) only_for_backups: Vec<&'static str>,
    pub(crate) output: Output,
}

/// Whether a restore replaces its target by swapping names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SwapOption {
    /// It restores into the target itself.
    No,
    /// It restores a whole backup into a new database, which then gets the name of the target.
    Yes,
    /// The same, of a backup from which something was excluded, too.
    Partial,
}

/// What `restore --into-schema` is to do.
#[derive(Debug)]
pub(crate) struct SettledRescue {
    pub(crate) backup: SettledBackupName,
    pub(crate) target: Resolved,
    pub(crate) tables: Vec<String>,
    pub(crate) schema: String,
    pub(crate) mode: RestoreMode,
    pub(crate) output: Output,
}

/// What `restore --undo` is to do.
#[derive(Debug)]
pub(crate) struct SettledUndo {
    pub(crate) target: Resolved,
    /// The database that is to have the name again; `None` for what the newest swap kept.
    pub(crate) kept: Option<String>,
    pub(crate) mode: RestoreMode,
    pub(crate) output: Output,
}

/// What there is to go back to if a restore over something goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WayBack {
    /// Nothing is dropped, or everything is undone, or the loss was accepted.
    NotNeeded,
    /// A backup of the target, to be made first.
    SafetyBackup(SettledStore),
}

/// Whether anything is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RestoreMode {
    /// The plan is shown, and that is all.
    Show,
    /// After the confirmation.
    Restore(Confirmation),
}

/// How the person says that the target is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirmation {
    /// The name was an argument already.
    Given,
    /// The name has to be typed.
    Ask,
}

impl SettledRestore {
    pub(crate) fn settle(mut arguments: RestoreArguments, environment: &Environment) -> Result<Self, SettleError> {
        let target = resolve_source(Some(&arguments.to), &environment.variables)?;
        let database = target.config.database.as_str();
        let mode = mode(&arguments, database, environment)?;
        let way_back = match &arguments.safety_backup {
            Some(store) => WayBack::SafetyBackup(SettledStore::settle(Some(store.clone()), environment)?),
            None => WayBack::NotNeeded,
        };
        Ok(Self {
            options: options(&arguments, environment),
            only_for_backups: only_for_backups(&arguments),
            swap: match (arguments.swap, arguments.accept_partial) {
                (false, _) => SwapOption::No,
                (true, false) => SwapOption::Yes,
                (true, true) => SwapOption::Partial,
            },
            mode,
            backup: backup(&mut arguments, environment)?,
            target,
            way_back,
            output: arguments.output.into(),
        })
    }
}

impl SettledRescue {
    /// `schema` is what `--into-schema` says.
    pub(crate) fn settle(
        mut arguments: RestoreArguments,
        schema: String,
        environment: &Environment,
    ) -> Result<Self, SettleError> {
        let target = resolve_source(Some(&arguments.to), &environment.variables)?;
        Ok(Self {
            mode: mode(&arguments, &target.config.database, environment)?,
            backup: backup(&mut arguments, environment)?,
            target,
            tables: arguments.table,
            schema,
            output: arguments.output.into(),
        })
    }
}

impl SettledUndo {
    pub(crate) fn settle(arguments: RestoreArguments, environment: &Environment) -> Result<Self, SettleError> {
        let target = resolve_source(Some(&arguments.to), &environment.variables)?;
        Ok(Self {
            mode: mode(&arguments, &target.config.database, environment)?,
            target,
            kept: arguments.undo.flatten(),
            output: arguments.output.into(),
        })
    }
}

/// Whether anything is done, and who says that the target is meant.
fn mode(arguments: &RestoreArguments, database: &str, environment: &Environment) -> Result<RestoreMode, SettleError> {
    let names = [("--yes", &arguments.yes), ("--accept-loss", &arguments.accept_loss)];
    for (option, given) in names {
        if let Some(given) = given.as_ref().filter(|given| *given != database) {
            return Err(SettleError::OtherDatabase {
                option,
                given: given.clone(),
                database: database.to_owned(),
            });
        }
    }
    match (arguments.dry_run, &arguments.yes) {
        (true, _) => Ok(RestoreMode::Show),
        (false, Some(_)) => Ok(RestoreMode::Restore(Confirmation::Given)),
        (false, None) if environment.can_ask || arguments.asks_any_input => Ok(RestoreMode::Restore(Confirmation::Ask)),
        (false, None) => Err(SettleError::NobodyToAsk {
            database: database.to_owned(),
        }),
    }
}

/// The backup that is meant; every restore but an undo has one.
fn backup(arguments: &mut RestoreArguments, environment: &Environment) -> Result<SettledBackupName, SettleError> {
    let named = BackupNameArguments {
        backup: arguments.backup.take().unwrap_or_default(),
        store: arguments.store.take(),
        database: arguments.database.take(),
        identity: std::mem::take(&mut arguments.identity),
    };
    SettledBackupName::settle(named, environment)
}

fn options(arguments: &RestoreArguments, environment: &Environment) -> RestoreOptions {
    let keep = |is_kept| if is_kept { Keep::Yes } else { Keep::No };
    let mut options = RestoreOptions::default();
    options.jobs = jobs(arguments.jobs, environment);
    options.target = match (arguments.create || arguments.swap, arguments.clean) {
        (true, _) => TargetPolicy::Create,
        (_, true) => TargetPolicy::Clean,
        _ => TargetPolicy::Empty,
    };
    options.atomicity = match (arguments.single_transaction, arguments.jobs) {
        (true, _) => Atomicity::SingleTransaction,
        (false, Some(_)) => Atomicity::StepByStep,
        (false, None) => Atomicity::Fitting,
    };
    options.platform = arguments.platform;
    options.programs = Some(environment.programs.clone());
    options.selection.tables.clone_from(&arguments.table);
    options.selection.schemas.clone_from(&arguments.schema);
    options.parts = match (arguments.schema_only, arguments.data_only) {
        (true, _) => Parts::Schema,
        (_, true) => Parts::Data,
        _ => Parts::All,
    };
    options.owners = keep(!arguments.no_owner);
    options.privileges = keep(!arguments.no_privileges);
    options.globals = keep(arguments.globals);
    options.prove = match arguments.prove || arguments.swap {
        true => Prove::Yes,
        false => Prove::No,
    };
    options
}

/// A dump without a manifest can only be run as it is.
fn only_for_backups(arguments: &RestoreArguments) -> Vec<&'static str> {
    let typed = [
        (arguments.swap, "--swap"),
        (arguments.clean, "--clean"),
        (!arguments.table.is_empty(), "--table"),
        (!arguments.schema.is_empty(), "--schema"),
        (arguments.data_only, "--data-only"),
        (arguments.schema_only, "--schema-only"),
        (arguments.no_owner, "--no-owner"),
        (arguments.no_privileges, "--no-privileges"),
        (arguments.globals, "--globals"),
        (arguments.prove, "--prove"),
        (arguments.jobs.is_some(), "--jobs"),
    ];
    typed
        .into_iter()
        .filter_map(|(is_typed, option)| is_typed.then_some(option))
        .collect()
}
