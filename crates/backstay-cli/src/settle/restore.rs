use backstay::{Atomicity, Keep, Parts, Prove, Resolved, RestoreOptions, TargetPolicy, resolve_source};

use crate::args::RestoreArguments;
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
    pub(crate) mode: RestoreMode,
    /// Options, as typed, that a plain dump of another program does not allow.
    pub(crate) only_for_backups: Vec<&'static str>,
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
    pub(crate) fn settle(arguments: RestoreArguments, environment: &Environment) -> Result<Self, SettleError> {
        let target = resolve_source(Some(&arguments.to), &environment.variables)?;
        let database = target.config.database.as_str();
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
        let mode = match (arguments.dry_run, &arguments.yes) {
            (true, _) => RestoreMode::Show,
            (false, Some(_)) => RestoreMode::Restore(Confirmation::Given),
            (false, None) if environment.can_ask => RestoreMode::Restore(Confirmation::Ask),
            (false, None) => {
                return Err(SettleError::NobodyToAsk {
                    database: database.to_owned(),
                });
            }
        };
        let way_back = match &arguments.safety_backup {
            Some(store) => WayBack::SafetyBackup(SettledStore::settle(Some(store.clone()), environment)?),
            None => WayBack::NotNeeded,
        };
        Ok(Self {
            options: options(&arguments, environment),
            only_for_backups: only_for_backups(&arguments),
            backup: SettledBackupName::settle(arguments.backup, environment)?,
            target,
            way_back,
            mode,
            output: arguments.output.into(),
        })
    }
}

fn options(arguments: &RestoreArguments, environment: &Environment) -> RestoreOptions {
    let keep = |is_kept| if is_kept { Keep::Yes } else { Keep::No };
    let mut options = RestoreOptions::default();
    options.jobs = jobs(arguments.jobs, environment);
    options.target = match (arguments.create, arguments.clean) {
        (true, _) => TargetPolicy::Create,
        (_, true) => TargetPolicy::Clean,
        _ => TargetPolicy::Empty,
    };
    options.atomicity = match arguments.single_transaction {
        true => Atomicity::SingleTransaction,
        false => Atomicity::StepByStep,
    };
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
    options.prove = match arguments.prove {
        true => Prove::Yes,
        false => Prove::No,
    };
    options
}

/// A dump without a manifest can only be run as it is.
fn only_for_backups(arguments: &RestoreArguments) -> Vec<&'static str> {
    let typed = [
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
