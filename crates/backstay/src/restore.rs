use std::error::Error as StdError;
use std::thread;

use backstay_core::repository::BackupReader;
use backstay_postgres::{
    CancelToken, ConnectionConfig, MemberSource, ProofReport, RescueError, RescuePlan, RestoreEvent, RestoreObserver,
    RestoreOptions, RestorePhase, RestorePlan, RestoreReport, TargetError,
};

use crate::progress::{Phase, Progress, ProgressEvent};

mod ahead;

use ahead::ReadAhead;

/// Looks at the target and decides what a restore of the backup there will do; changes nothing.
///
/// # Errors
/// The target cannot be reached, or may not be restored into.
pub fn plan_restore(
    backup: &BackupReader,
    target: &ConnectionConfig,
    options: &RestoreOptions,
) -> Result<RestorePlan, TargetError> {
    backstay_postgres::plan_restore(backup.manifest(), target, options)
}

/// Carries out a plan.
///
/// The caller has verified the backup before (a restore checks every member against its digest before it uses it, but
/// would find damage only half-way).
///
/// # Errors
/// Only what keeps the restore from going on. Whether everything was restored is [`RestoreReport::is_complete`].
pub fn restore(
    backup: &BackupReader,
    plan: &RestorePlan,
    target: &ConnectionConfig,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<RestoreReport, TargetError> {
    let observer = Observer(progress);
    let target = &backstay_postgres::settle_endpoint(target, cancel)?;
    reading_ahead(backup, |source| {
        backstay_postgres::apply_restore(plan, backup.manifest(), source, target, &observer, cancel)
    })
}

/// Looks at a database and decides how tables of the backup can stand beside its own, in a schema that is made; changes
/// nothing.
///
/// # Errors
/// The database cannot be reached, or cannot take them.
pub fn plan_rescue(
    backup: &BackupReader,
    target: &ConnectionConfig,
    tables: &[String],
    schema: &str,
) -> Result<RescuePlan, RescueError> {
    backstay_postgres::plan_rescue(backup.manifest(), target, tables, schema)
}

/// Puts tables of the backup beside those of a database, all or nothing, with every row compared.
///
/// # Errors
/// Whatever keeps them from being there whole; nothing was changed then.
pub fn rescue(
    backup: &BackupReader,
    plan: &RescuePlan,
    target: &ConnectionConfig,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<(), RescueError> {
    let observer = Observer(progress);
    backstay_postgres::apply_rescue(plan, backup.manifest(), &Source(backup), target, &observer, cancel)
}

/// Compares a database with a backup, row by row: tables, sequences and large objects.
///
/// # Errors
/// Only what keeps it from looking; what is different stands in the report.
pub fn prove(
    backup: &BackupReader,
    target: &ConnectionConfig,
    jobs: usize,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<ProofReport, TargetError> {
    progress.event(ProgressEvent::Phase {
        phase: Phase::Prove,
        bytes_total: backup.manifest().text_bytes(),
    });
    backstay_postgres::prove_copy(backup.manifest(), target, jobs, &Observer(progress), cancel)
}

/// Does something with the members of a backup, which are read before they are asked for.
pub(crate) fn reading_ahead<R>(backup: &BackupReader, work: impl FnOnce(&dyn MemberSource) -> R) -> R {
    let lengths = backup.manifest().members.iter().map(|member| member.text_bytes);
    let ahead = ReadAhead::new(Source(backup), lengths.collect());
    thread::scope(|scope| ahead.with(scope, || work(&ahead)))
}

pub(crate) struct Source<'b>(pub(crate) &'b BackupReader);

impl MemberSource for Source<'_> {
    fn text(&self, member: usize) -> Result<Vec<u8>, Box<dyn StdError + Send + Sync>> {
        Ok(self.0.text(&self.0.manifest().members[member])?)
    }
}

pub(crate) struct Observer<'p>(pub(crate) &'p dyn Progress);

impl RestoreObserver for Observer<'_> {
    fn event(&self, event: RestoreEvent<'_>) {
        match event {
            RestoreEvent::Phase { phase, bytes } => {
                let phase = match phase {
                    RestorePhase::PreData => Phase::PreData,
                    RestorePhase::PostData => Phase::PostData,
                    RestorePhase::Check => Phase::Prove,
                    _ => Phase::Restore,
                };
                self.0.event(ProgressEvent::Phase {
                    phase,
                    bytes_total: bytes,
                });
            }
            RestoreEvent::Rows { table, text_bytes } => {
                self.0.event(ProgressEvent::Advance {
                    bytes: text_bytes,
                    table: Some(table),
                });
            }
            _ => {}
        }
    }
}
