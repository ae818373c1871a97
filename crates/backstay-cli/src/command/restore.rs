mod confirm;
mod report;
mod rescue;
mod swap;

use std::time::Instant;

use backstay::excluded;
use backstay::manifest::Omission;
use backstay::{
    Archive, BackupOptions, BackupReader, CheckOptions, ConnectErrorKind, ConnectionConfig, Deed, ForeignArchive,
    ForeignPlan, Level, Outcome, Platform, Repository, RestorePlan, RestoreReport, Store, Swap, SwapError, TargetError,
    WhenMissing, find_project, plan_restore, plan_swap, swap_at, swap_databases,
};
use jiff::Timestamp;

use crate::args::RestoreArguments;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::keys::SealRequest;
use crate::output;
use crate::output::{Form, Output, Voice, bytes, complain, print_text};
use crate::progress::{self, Shown};
use crate::select::open_archive;
use crate::settle::{
    Confirmation, RestoreMode, SettledBackupName, SettledRescue, SettledRestore, SettledStore, SettledUndo, SwapOption,
    WayBack,
};

use super::backup::sealing;
use super::log::note;
use super::remark_warnings;
use super::verify::with_earlier;

/// Why a restore is not even begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreRefused {
    #[error("{subject} is not sound: verify found {errors} errors")]
    NotSound { subject: String, errors: usize },
    #[error("a plain dump can only be run as it is, so these do not go with it: {}", .0.join(", "))]
    OnlyForBackups(Vec<&'static str>),
    #[error("{typed:?} is not the name of the target database; nothing was done")]
    NotConfirmed { typed: String },
    #[error("the backup is encrypted, and no key was given (it is for: {})", .recipients.join(", "))]
    Sealed { recipients: Vec<String> },
    #[error("the backup is not all of its database, and {database} would be replaced by a part; not in it: {}", missing.join(", "))]
    Partial { database: String, missing: Vec<String> },
    #[error("the database {database} is all of a project of {platform}, which a database beside it cannot replace")]
    Project { database: String, platform: Platform },
    #[error("the backup of the target that was made first, {id}, is not sound; nothing was dropped")]
    SafetyBackup { id: String },
    #[error(
        "{} is restored and equal to the backup, and has not got the name {}",
        swap.replacement,
        swap.database
    )]
    NotSwapped {
        swap: Box<Swap>,
        #[source]
        source: SwapError,
    },
}

/// Does what `restore` was typed for.
pub(crate) fn restoring(mut arguments: RestoreArguments, environment: &Environment) -> Result<Exit, Failure> {
    if arguments.undo.is_some() {
        return swap::undo(&SettledUndo::settle(arguments, environment)?);
    }
    if let Some(schema) = arguments.into_schema.take() {
        let settled = SettledRescue::settle(arguments, schema, environment)?;
        return rescue::rescue(&settled, environment);
    }
    restore(&SettledRestore::settle(arguments, environment)?, environment)
}

/// Restores a backup into a database: looks, checks, asks, restores, tells.
fn restore(settled: &SettledRestore, environment: &Environment) -> Result<Exit, Failure> {
    remark_warnings(&settled.target, settled.output);
    let interrupt = Interrupt::watch()?;
    let archive = open_archive(&settled.backup)?;
    let database = &settled.target.config.database;
    if settled.swap != SwapOption::No {
        refuse_project(settled)?;
    }
    if settled.swap == SwapOption::Yes {
        refuse_partial(&archive, database)?;
    }
    let swap = match settled.swap {
        SwapOption::Yes | SwapOption::Partial => Some(swap_at(database, Timestamp::now())),
        SwapOption::No => None,
    };
    let run = Run {
        into: ConnectionConfig {
            database: swap.as_ref().map_or(database, |swap| &swap.replacement).clone(),
            ..settled.target.config.clone()
        },
        swap,
        settled,
        environment,
        interrupt,
        shown: progress::for_output(settled.output),
    };
    let exit = match &archive {
        Archive::Backup(reader) | Archive::Pack(reader) => run.restore(&archive, &Ours { reader, run: &run }),
        // Only `verify` takes one without a key.
        Archive::Sealed { manifest, .. } => {
            let recipients = manifest.recipients.clone();
            return Err(RestoreRefused::Sealed { recipients }.into());
        }
        Archive::Foreign { store, archive: dump } => {
            if !settled.only_for_backups.is_empty() {
                return Err(RestoreRefused::OnlyForBackups(settled.only_for_backups.clone()).into());
            }
            let foreign = Foreign {
                store: &**store,
                dump,
                run: &run,
            };
            run.restore(&archive, &foreign)
        }
    };
    run.shown.clear();
    exit
}

/// Refuses to replace what cannot be replaced: what is the platform's would be under the other name.
fn refuse_project(settled: &SettledRestore) -> Result<(), Failure> {
    let config = &settled.target.config;
    match find_project(config, settled.options.platform) {
        Err(TargetError::Connect(error)) if error.kind() == ConnectErrorKind::TransactionPooler => Err(error.into()),
        // A damaged database, which nobody can connect to, may be replaced; and what else is wrong is told later.
        Ok(None) | Err(TargetError::Connect(_)) => Ok(()),
        Ok(Some(found)) => Err(RestoreRefused::Project {
            database: config.database.clone(),
            platform: found.platform,
        }
        .into()),
        Err(error) => Err(error.into()),
    }
}

/// Refuses to replace a database by a backup from which something was excluded: the new one would be equal to the backup
/// and lack it.
fn refuse_partial(archive: &Archive, database: &str) -> Result<(), RestoreRefused> {
    let (Archive::Backup(reader) | Archive::Pack(reader)) = archive else {
        return Ok(());
    };
    let missing: Vec<String> = excluded(reader.manifest()).map(not_in_backup).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(RestoreRefused::Partial {
        database: database.to_owned(),
        missing,
    })
}

/// What the backup has not.
fn omissions(archive: &Archive) -> &[Omission] {
    match archive {
        Archive::Backup(reader) | Archive::Pack(reader) => &reader.manifest().omissions,
        Archive::Sealed { .. } | Archive::Foreign { .. } => &[],
    }
}

fn not_in_backup(omission: &Omission) -> String {
    format!("{} ({})", omission.subject, omission.reason)
}

/// What differs between a backup and a plain dump: planning and applying.
trait Restorable {
    type Plan;

    /// Looks at the target; changes nothing.
    fn plan(&self) -> Result<Self::Plan, TargetError>;

    /// The plan for people.
    fn describe(&self, plan: &Self::Plan) -> String;

    /// The plan for machines.
    fn plan_json(&self, plan: &Self::Plan) -> report::PlanJson;

    /// Carries a plan out.
    fn apply(&self, plan: &Self::Plan) -> Result<RestoreReport, TargetError>;
}

struct Run<'r> {
    settled: &'r SettledRestore,
    /// The database that is restored into.
    into: ConnectionConfig,
    /// How that gets the name of the target.
    swap: Option<Swap>,
    environment: &'r Environment,
    interrupt: Interrupt,
    shown: Box<dyn Shown>,
}

impl Run<'_> {
    fn restore<R: Restorable>(&self, archive: &Archive, restorable: &R) -> Result<Exit, Failure> {
        let Output { form, voice } = self.settled.output;
        // The target is looked at first, because that is quick and may be the end of it.
        let plan = restorable.plan()?;
        let swapping = match &self.swap {
            Some(swap) => swap::describe(swap, &plan_swap(&self.settled.target.config, swap)?),
            None => String::new(),
        };
        let described = || format!("{}{swapping}", restorable.describe(&plan));
        let level = match self.settled.mode {
            RestoreMode::Show => Level::Quick,
            RestoreMode::Restore(_) => Level::Standard,
        };
        self.verify(archive, level)?;
        match (self.settled.mode, form) {
            (RestoreMode::Show, Form::Json) => {
                output::print_json(&restorable.plan_json(&plan).with_swap(self.swap.as_ref()))?;
            }
            (RestoreMode::Show, Form::Text) => print_text(&described())?,
            (RestoreMode::Restore(Confirmation::Ask), _) => complain(described().trim_end()),
            (RestoreMode::Restore(Confirmation::Given), _) => {
                self.settled.output.remark(described().trim_end());
            }
        }
        let RestoreMode::Restore(confirmation) = self.settled.mode else {
            return Ok(Exit::Done);
        };
        if confirmation == Confirmation::Ask {
            let database = &self.settled.target.config.database;
            self.interrupt.while_asking(|| confirm::ask(database))?;
        }
        let safety = match &self.settled.way_back {
            WayBack::NotNeeded => None,
            WayBack::SafetyBackup(store) => Some(self.back_up_target(store)?),
        };
        // Checking and asking took their time: what was empty may not be so any more.
        let plan = restorable.plan()?;
        let begun = Instant::now();
        let applied = restorable.apply(&plan);
        self.shown.clear();
        let is_complete = applied.as_ref().is_ok_and(RestoreReport::is_complete);
        let swapped = match &self.swap {
            Some(swap) if is_complete => Some(self.swap(swap)),
            _ => None,
        };
        self.note(archive, is_complete && !matches!(swapped, Some(Err(_))));
        let outcome = report::Outcome {
            database: &self.into.database,
            report: applied?,
            took: begun.elapsed(),
            safety_backup: safety,
            swap: self.swap.as_ref(),
            not_in_backup: omissions(archive).iter().map(not_in_backup).collect(),
        };
        swapped.transpose()?;
        match (form, voice) {
            (Form::Json, _) => output::print_json(&outcome.json())?,
            (Form::Text, Voice::Normal) => print_text(&outcome.text())?,
            (Form::Text, Voice::Quiet) => {}
        }
        let exit = outcome.exit();
        if exit == Exit::Done {
            return Ok(exit);
        }
        if (form, voice) == (Form::Text, Voice::Quiet) {
            complain(outcome.text().trim_end());
        }
        Ok(exit)
    }

    /// Gives what was restored the name of the target.
    fn swap(&self, swap: &Swap) -> Result<(), RestoreRefused> {
        swap_databases(&self.settled.target.config, swap, self.interrupt.token()).map_err(|source| {
            RestoreRefused::NotSwapped {
                swap: Box::new(swap.clone()),
                source,
            }
        })
    }

    /// Notes beside a backup of a store that it was restored, and into which database.
    fn note(&self, archive: &Archive, is_done: bool) {
        let Archive::Backup(reader) = archive else { return };
        let repository = Repository::new(reader.store().clone());
        let outcome = if is_done { Outcome::Done } else { Outcome::Failed };
        let mut into = format!("into {}", self.settled.target.config.database);
        if let Some(swap) = &self.swap {
            into.push_str(&format!(" by way of {}; before: {}", swap.replacement, swap.kept));
        }
        let id = &reader.manifest().id;
        note(
            &self.environment.witness(),
            &repository,
            Deed::Restore,
            outcome,
            Some(id),
            &into,
        );
    }

    fn verify(&self, archive: &Archive, level: Level) -> Result<(), Failure> {
        let Self {
            settled,
            environment,
            interrupt,
            shown,
            ..
        } = self;
        check_sound(archive, level, &settled.backup, environment, &**shown, interrupt)
    }

    /// Makes and verifies a backup of the target; gives its id.
    fn back_up_target(&self, store: &SettledStore) -> Result<String, Failure> {
        // As variables say it, and readable with the keys at hand, because it is verified before anything is dropped.
        let seals = SealRequest::default().seals(&store.variables, self.environment.can_ask)?;
        let repository = sealing(store.open(WhenMissing::Create)?, seals);
        let repository = self.settled.backup.keys.give(repository)?;
        let mut options = BackupOptions::default();
        options.source.jobs = self.settled.options.jobs;
        let made = backstay::back_up(
            &self.settled.target.config,
            &repository,
            Timestamp::now(),
            &self.environment.programs,
            &options,
            &*self.shown,
            self.interrupt.token(),
        );
        self.shown.clear();
        let id = made?.published.manifest.id;
        let archive = Archive::open(&repository, &id)?;
        let mut check = CheckOptions::default();
        check.jobs = self.environment.processors;
        let report = backstay::verify(&archive, &check, &*self.shown, self.interrupt.token());
        self.shown.clear();
        if report?.is_sound() {
            self.settled
                .output
                .remark(&format!("backup of the target: {id} in {}", store.location));
            Ok(id.to_string())
        } else {
            Err(RestoreRefused::SafetyBackup { id: id.to_string() }.into())
        }
    }
}

/// Checks the whole archive; what is wrong with it goes to standard error.
fn check_sound(
    archive: &Archive,
    level: Level,
    backup: &SettledBackupName,
    environment: &Environment,
    shown: &dyn Shown,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let mut options = CheckOptions::default();
    options.level = level;
    options.jobs = environment.processors;
    // Who restores waits: the one before is enough to see that something is amiss.
    options.rules.history = 1;
    let options = with_earlier(options, archive, &backup.keys)?;
    let report = backstay::verify(archive, &options, shown, interrupt.token());
    shown.clear();
    let report = report?;
    if report.is_sound() {
        return Ok(());
    }
    complain(report.render().trim_end());
    Err(RestoreRefused::NotSound {
        errors: report.count(backstay::Severity::Error),
        subject: report.subject,
    }
    .into())
}

struct Ours<'r> {
    reader: &'r BackupReader,
    run: &'r Run<'r>,
}

impl Restorable for Ours<'_> {
    type Plan = RestorePlan;

    fn plan(&self) -> Result<RestorePlan, TargetError> {
        let settled = self.run.settled;
        plan_restore(self.reader, &self.run.into, &settled.options)
    }

    fn describe(&self, plan: &RestorePlan) -> String {
        let size = bytes(self.reader.manifest().stored_bytes());
        format!("size       {size}\n{plan}")
    }

    fn plan_json(&self, plan: &RestorePlan) -> report::PlanJson {
        report::PlanJson::of_backup(self.reader.manifest(), plan)
    }

    fn apply(&self, plan: &RestorePlan) -> Result<RestoreReport, TargetError> {
        let Run {
            into, interrupt, shown, ..
        } = self.run;
        backstay::restore(self.reader, plan, into, &**shown, interrupt.token())
    }
}

struct Foreign<'r> {
    store: &'r dyn Store,
    dump: &'r ForeignArchive,
    run: &'r Run<'r>,
}

impl Restorable for Foreign<'_> {
    type Plan = ForeignPlan;

    fn plan(&self) -> Result<ForeignPlan, TargetError> {
        let settled = self.run.settled;
        let options = &settled.options;
        self.dump
            .plan_restore(&self.run.into, options.target, options.atomicity)
    }

    fn describe(&self, plan: &ForeignPlan) -> String {
        let ForeignArchive { key, bytes, .. } = self.dump;
        format!("dump       {key}\nsize       {}\n{plan}", output::bytes(*bytes))
    }

    fn plan_json(&self, plan: &ForeignPlan) -> report::PlanJson {
        report::PlanJson::of_dump(self.dump, plan)
    }

    fn apply(&self, plan: &ForeignPlan) -> Result<RestoreReport, TargetError> {
        let Run {
            into, interrupt, shown, ..
        } = self.run;
        self.dump.restore(self.store, plan, into, &**shown, interrupt.token())
    }
}
