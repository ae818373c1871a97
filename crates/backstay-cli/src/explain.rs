//! What errors mean for the person in front of them: the exit status and what to type next, by type of error.

mod hints;

use std::error::Error;

use backstay::export::ExportError;
use backstay::manifest::ManifestError;
use backstay::seal::SealError;
use backstay::storage_files::FilesError;
use backstay::{
    BackupError, CatalogError, ClaimError, ConnectError, ConnectErrorKind, ConninfoError, CopyError, DrillError,
    FindProgramError, ForeignError, InvalidPattern, OpenArchiveError, OpenStoreError, PackError, PreflightError,
    ProgramError, RepositoryError, RescueError, RestoreRefusal, ServerError, SessionError, SnapshotError, SourceError,
    StoreError, SwapError, TargetError, TrailerError, UndoError, VerifyError, WireError,
};

use backstay_config::{ConfigError, ResolveError};
use backstay_schedule::PrintError;

use crate::command::{
    AlsoError, DrillRefused, KeyCommandError, NoAnswer, NoProject, RestoreRefused, ScheduleFileError, SignError,
};
use crate::configuration::ConfigurationError;
use crate::environment::EnvironmentError;
use crate::exit::Exit;
use crate::file::WriteFileError;
use crate::keys::KeyError;
use crate::notify::NotificationError;
use crate::output::OutputError;
use crate::select::{NameError, SelectError};
use crate::settle::SettleError;

/// What an error means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    pub(crate) exit: Exit,
    pub(crate) hints: Vec<String>,
}

/// Goes through an error and its causes: the first that has a class gives the exit status, the last that has hints
/// gives those, because the deepest cause is the most precise.
pub(crate) fn advise(error: &(dyn Error + 'static)) -> Advice {
    let mut exit = None;
    let mut advice = Vec::new();
    let mut finally = None;
    let mut side = Side::Source;
    let mut next = Some(error);
    while let Some(error) = next {
        finally = finally.or_else(|| hints::finally(error));
        if error.is::<DrillError>() {
            side = Side::Drill;
        } else if (error.is::<TargetError>() || error.is::<SwapError>() || error.is::<RescueError>())
            && side != Side::Drill
        {
            side = Side::Target;
        }
        if error.is::<ExportError>() {
            side = Side::Export;
        }
        let error = unwrapped(error);
        exit = exit.or_else(|| class(error));
        let found = hints::of(error, side);
        if !found.is_empty() {
            advice = found;
        }
        // Where nobody knows what was done, looking comes before everything that a deeper cause advises.
        let is_doubt = matches!(error.downcast_ref(), Some(SwapError::Unknown { .. }))
            || matches!(error.downcast_ref(), Some(RescueError::Unknown { .. }));
        next = error.source().filter(|_| !is_doubt);
    }
    advice.extend(finally);
    Advice {
        exit: exit.unwrap_or(Exit::Internal),
        hints: advice,
    }
}

/// Which end of an operation a server is: what helps against one and the same error is not the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// It is read.
    Source,
    /// It is written.
    Target,
    /// It is written by a drill.
    Drill,
    /// Some rows of it are read for others.
    Export,
}

/// Whether an archive that cannot be opened is so damaged, or so much something else, that this is what a verification
/// has to say of it.
pub(crate) fn is_finding(error: &OpenArchiveError) -> bool {
    match error {
        OpenArchiveError::Repository(RepositoryError::Manifest { source, .. }) => {
            !matches!(source, ManifestError::Newer { .. })
        }
        OpenArchiveError::Repository(RepositoryError::Pack { source, .. }) => !matches!(
            source,
            PackError::Store(_)
                | PackError::Trailer(TrailerError::Version { .. })
                | PackError::Manifest(ManifestError::Newer { .. })
        ),
        OpenArchiveError::Repository(error) => matches!(
            error,
            RepositoryError::ForeignManifest { .. }
                | RepositoryError::TooLarge { .. }
                | RepositoryError::NotLastVolume { last: None, .. }
        ),
        OpenArchiveError::Foreign(error) => matches!(error, ForeignError::Open(_) | ForeignError::Read(_)),
        _ => false,
    }
}

/// Looks through errors that only stand for another one and have its message (`#[error(transparent)]`).
pub(crate) fn unwrapped<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    let mut error = error;
    while let Some(inner) = inner(error) {
        error = inner;
    }
    error
}

fn inner<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    None.or_else(|| error.downcast_ref().and_then(inner_of_backup))
        .or_else(|| error.downcast_ref().and_then(inner_of_preflight))
        .or_else(|| error.downcast_ref().and_then(inner_of_source))
        .or_else(|| error.downcast_ref().and_then(inner_of_snapshot))
        .or_else(|| error.downcast_ref().and_then(inner_of_target))
        .or_else(|| error.downcast_ref().and_then(inner_of_drill))
        .or_else(|| error.downcast_ref().and_then(inner_of_swap))
        .or_else(|| error.downcast_ref().and_then(inner_of_undo))
        .or_else(|| error.downcast_ref().and_then(inner_of_rescue))
        .or_else(|| error.downcast_ref().and_then(inner_of_claim))
        .or_else(|| error.downcast_ref().and_then(inner_of_wire))
        .or_else(|| error.downcast_ref().and_then(inner_of_repository))
        .or_else(|| error.downcast_ref::<Box<RepositoryError>>().map(|boxed| &**boxed as _))
        .or_else(|| error.downcast_ref::<Box<TargetError>>().map(|boxed| &**boxed as _))
        .or_else(|| error.downcast_ref().and_then(inner_of_pack))
        .or_else(|| error.downcast_ref().and_then(inner_of_open_archive))
        .or_else(|| error.downcast_ref().and_then(inner_of_foreign))
        .or_else(|| error.downcast_ref().and_then(inner_of_select))
        .or_else(|| error.downcast_ref().and_then(inner_of_export))
        .or_else(|| error.downcast_ref().and_then(inner_of_files))
        .or_else(|| error.downcast_ref().and_then(inner_of_settle))
        .or_else(|| error.downcast_ref().and_then(inner_of_configuration))
}

fn inner_of_backup(error: &BackupError) -> Option<&(dyn Error + 'static)> {
    match error {
        BackupError::Preflight(inner) => Some(inner),
        BackupError::Source(inner) => Some(inner),
        BackupError::Repository(inner) => Some(inner),
        _ => None,
    }
}

fn inner_of_preflight(error: &PreflightError) -> Option<&(dyn Error + 'static)> {
    match error {
        PreflightError::Connect(inner) => Some(inner),
        PreflightError::Catalog(inner) => Some(inner),
        _ => None,
    }
}

fn inner_of_source(error: &SourceError) -> Option<&(dyn Error + 'static)> {
    match error {
        SourceError::Connect(inner) => Some(inner),
        SourceError::Session(inner) => Some(inner),
        SourceError::Snapshot(inner) => Some(inner),
        SourceError::Catalog(inner) => Some(inner),
        SourceError::Pattern(inner) => Some(inner),
        _ => None,
    }
}

fn inner_of_snapshot(error: &SnapshotError) -> Option<&(dyn Error + 'static)> {
    match error {
        SnapshotError::Session(inner) => Some(inner),
        SnapshotError::Catalog(inner) => Some(inner),
        _ => None,
    }
}

fn inner_of_target(error: &TargetError) -> Option<&(dyn Error + 'static)> {
    match error {
        TargetError::Connect(inner) => Some(inner),
        TargetError::Session(inner) => Some(inner),
        TargetError::Catalog(inner) => Some(inner),
        TargetError::Refused(inner) => Some(inner),
        _ => None,
    }
}

fn inner_of_drill(error: &DrillError) -> Option<&(dyn Error + 'static)> {
    match error {
        DrillError::Verify(inner) => Some(inner),
        DrillError::Target(inner) => Some(inner),
        _ => None,
    }
}

fn inner_of_swap(error: &SwapError) -> Option<&(dyn Error + 'static)> {
    match error {
        SwapError::Connect(inner) => Some(inner),
        SwapError::Session(inner) => Some(inner),
        _ => None,
    }
}

fn inner_of_undo(error: &UndoError) -> Option<&(dyn Error + 'static)> {
    match error {
        UndoError::Swap(inner) => Some(inner),
        _ => None,
    }
}

fn inner_of_rescue(error: &RescueError) -> Option<&(dyn Error + 'static)> {
    match error {
        RescueError::Connect(inner) => Some(inner),
        RescueError::Session(inner) => Some(inner),
        _ => None,
    }
}

fn inner_of_claim(error: &ClaimError) -> Option<&(dyn Error + 'static)> {
    match error {
        ClaimError::Connect(inner) => Some(inner),
        ClaimError::Session(inner) => Some(inner),
        _ => None,
    }
}

fn inner_of_wire(error: &WireError) -> Option<&(dyn Error + 'static)> {
    match error {
        WireError::Server(inner) => Some(&**inner),
        _ => None,
    }
}

fn inner_of_repository(error: &RepositoryError) -> Option<&(dyn Error + 'static)> {
    match error {
        RepositoryError::Store(inner) => Some(inner),
        _ => None,
    }
}

fn inner_of_pack(error: &PackError) -> Option<&(dyn Error + 'static)> {
    match error {
        PackError::Trailer(inner) => Some(inner),
        PackError::Manifest(inner) => Some(inner),
        _ => None,
    }
}

fn inner_of_open_archive(error: &OpenArchiveError) -> Option<&(dyn Error + 'static)> {
    match error {
        OpenArchiveError::Repository(inner) => Some(inner),
        OpenArchiveError::Foreign(inner) => Some(inner),
        _ => None,
    }
}

fn inner_of_foreign(error: &ForeignError) -> Option<&(dyn Error + 'static)> {
    match error {
        ForeignError::Store(inner) => Some(inner),
        _ => None,
    }
}

fn inner_of_select(error: &SelectError) -> Option<&(dyn Error + 'static)> {
    match error {
        SelectError::Key(inner) => Some(inner),
        SelectError::OpenStore(inner) => Some(inner),
        SelectError::Store(inner) => Some(inner),
        SelectError::Archive(inner) => Some(inner),
        _ => None,
    }
}

fn inner_of_export(error: &ExportError) -> Option<&(dyn Error + 'static)> {
    match error {
        ExportError::Connect(inner) => Some(inner),
        ExportError::Seal(inner) => Some(inner),
        ExportError::Store(inner) => Some(inner),
        _ => None,
    }
}

fn inner_of_files(error: &FilesError) -> Option<&(dyn Error + 'static)> {
    match error {
        FilesError::Store(inner) => Some(inner),
        _ => None,
    }
}

fn inner_of_settle(error: &SettleError) -> Option<&(dyn Error + 'static)> {
    match error {
        SettleError::Source(inner) => Some(inner),
        SettleError::Name(inner) => Some(inner),
        SettleError::Configuration(inner) => Some(inner),
        _ => None,
    }
}

fn inner_of_configuration(error: &ConfigurationError) -> Option<&(dyn Error + 'static)> {
    match error {
        ConfigurationError::Mistakes(inner) => Some(inner),
        ConfigurationError::Resolve(inner) => Some(inner),
        _ => None,
    }
}

/// The exit status of an error that is not looked through; `None` for those of other crates.
fn class(error: &(dyn Error + 'static)) -> Option<Exit> {
    None.or_else(|| error.downcast_ref().map(class_of_backup))
        .or_else(|| error.downcast_ref().map(class_of_source))
        .or_else(|| error.downcast_ref().and_then(class_of_target))
        .or_else(|| error.downcast_ref().map(class_of_refusal))
        .or_else(|| error.downcast_ref().map(class_of_drill))
        .or_else(|| error.downcast_ref().map(class_of_drill_refusal))
        .or_else(|| error.downcast_ref().map(class_of_swap))
        .or_else(|| error.downcast_ref().map(class_of_undo))
        .or_else(|| error.downcast_ref().map(class_of_rescue))
        .or_else(|| error.downcast_ref().map(class_of_connect))
        .or_else(|| error.downcast_ref().map(class_of_repository))
        .or_else(|| error.downcast_ref().map(class_of_copy))
        .or_else(|| error.downcast_ref().map(class_of_open_store))
        .or_else(|| error.downcast_ref().map(class_of_verify))
        .or_else(|| error.downcast_ref().map(class_of_select))
        .or_else(|| error.downcast_ref().map(class_of_settle))
        .or_else(|| error.downcast_ref().map(class_of_configuration))
        .or_else(|| error.downcast_ref().map(class_of_restore))
        .or_else(|| error.downcast_ref().map(class_of_export))
        .or_else(|| error.downcast_ref().map(class_of_notification))
        .or_else(|| error.downcast_ref().map(class_of_files))
        .or_else(|| class_by_type(error))
}

fn class_of_backup(error: &BackupError) -> Exit {
    match error {
        BackupError::Refused(_) | BackupError::ForeignPrefix { .. } | BackupError::ForeignCluster { .. } => {
            Exit::Refused
        }
        BackupError::Globals(_) => Exit::Configuration,
        BackupError::Cancelled => Exit::Cancelled,
        _ => Exit::Internal,
    }
}

fn class_of_source(error: &SourceError) -> Exit {
    match error {
        SourceError::Sink(_) | SourceError::SinkRows { .. } => Exit::Storage,
        SourceError::Codec(_) => Exit::Internal,
        SourceError::Cancelled => Exit::Cancelled,
        _ => Exit::Database,
    }
}

fn class_of_target(error: &TargetError) -> Option<Exit> {
    match error {
        TargetError::Backup(_) => Some(Exit::Storage),
        TargetError::Cancelled => Some(Exit::Cancelled),
        // It is what stopped the restore that says it.
        TargetError::StillLent { .. } => None,
        _ => Some(Exit::Database),
    }
}

fn class_of_refusal(error: &RestoreRefusal) -> Exit {
    match error {
        RestoreRefusal::NoMatch { .. } | RestoreRefusal::NotInTransaction { .. } => Exit::Usage,
        _ => Exit::Refused,
    }
}

fn class_of_drill(error: &DrillError) -> Exit {
    match error {
        DrillError::NotReadable => Exit::Usage,
        DrillError::NoServer { .. } => Exit::Configuration,
        DrillError::Cancelled => Exit::Cancelled,
        _ => Exit::Database,
    }
}

fn class_of_swap(error: &SwapError) -> Exit {
    match error {
        SwapError::Missing { .. }
        | SwapError::Taken { .. }
        | SwapError::Template { .. }
        | SwapError::Rights { .. }
        | SwapError::Prepared { .. } => Exit::Refused,
        SwapError::Cancelled => Exit::Cancelled,
        _ => Exit::Database,
    }
}

fn class_of_drill_refusal(error: &DrillRefused) -> Exit {
    match error {
        DrillRefused::PlainDump => Exit::Usage,
        DrillRefused::Folder { .. } => Exit::Configuration,
        DrillRefused::ForeignFolder { .. } => Exit::Refused,
    }
}

fn class_of_undo(error: &UndoError) -> Exit {
    match error {
        UndoError::NothingKept { .. } => Exit::Refused,
        _ => Exit::Database,
    }
}

fn class_of_rescue(error: &RescueError) -> Exit {
    match error {
        RescueError::NoMatch { .. } | RescueError::SchemaName { .. } => Exit::Usage,
        RescueError::Backup(_) | RescueError::NoRows { .. } => Exit::Storage,
        RescueError::SameName { .. }
        | RescueError::SchemaExists { .. }
        | RescueError::Rights { .. }
        | RescueError::Types { .. }
        | RescueError::Encoding { .. } => Exit::Refused,
        RescueError::Cancelled => Exit::Cancelled,
        _ => Exit::Database,
    }
}

fn class_of_connect(error: &ConnectError) -> Exit {
    match error.kind() {
        ConnectErrorKind::Settings => Exit::Configuration,
        ConnectErrorKind::TransactionPooler => Exit::Refused,
        ConnectErrorKind::Cancelled => Exit::Cancelled,
        _ => Exit::Database,
    }
}

fn class_of_repository(error: &RepositoryError) -> Exit {
    match error {
        RepositoryError::Codec(_) => Exit::Internal,
        RepositoryError::Held { .. } => Exit::Refused,
        _ => Exit::Storage,
    }
}

fn class_of_copy(error: &CopyError) -> Exit {
    match error {
        CopyError::Cancelled => Exit::Cancelled,
        _ => Exit::Storage,
    }
}

fn class_of_open_store(error: &OpenStoreError) -> Exit {
    match error {
        OpenStoreError::UnknownScheme { .. } | OpenStoreError::Location { .. } => Exit::Configuration,
        _ => Exit::Storage,
    }
}

fn class_of_verify(error: &VerifyError) -> Exit {
    match error {
        VerifyError::Thread(_) => Exit::Internal,
        VerifyError::Cancelled => Exit::Cancelled,
        _ => Exit::Storage,
    }
}

fn class_of_select(error: &SelectError) -> Exit {
    match error {
        SelectError::Ambiguous { .. } | SelectError::FileName(_) => Exit::Usage,
        _ => Exit::Storage,
    }
}

fn class_of_settle(error: &SettleError) -> Exit {
    match error {
        SettleError::OtherDatabase { .. } => Exit::Refused,
        SettleError::NoExports
        | SettleError::WhichSection
        | SettleError::ForeignExport { .. }
        | SettleError::NothingScheduled
        | SettleError::NobodyToTell
        | SettleError::NoSchedule { .. } => Exit::Configuration,
        _ => Exit::Usage,
    }
}

fn class_of_configuration(error: &ConfigurationError) -> Exit {
    match error {
        ConfigurationError::Unknown { .. }
        | ConfigurationError::UnknownExport { .. }
        | ConfigurationError::Several { .. } => Exit::Usage,
        _ => Exit::Configuration,
    }
}

fn class_of_restore(error: &RestoreRefused) -> Exit {
    match error {
        RestoreRefused::NotSound { .. } | RestoreRefused::Sealed { .. } => Exit::Storage,
        RestoreRefused::OnlyForBackups(_) => Exit::Usage,
        RestoreRefused::NotConfirmed { .. }
        | RestoreRefused::Project { .. }
        | RestoreRefused::Partial { .. }
        | RestoreRefused::SafetyBackup { .. } => Exit::Refused,
        RestoreRefused::NotSwapped { source, .. } => class_of_swap(source),
    }
}

fn class_of_export(error: &ExportError) -> Exit {
    match error {
        ExportError::Exists { .. }
        | ExportError::ReadBack { .. }
        | ExportError::TooLong { .. }
        | ExportError::Key(_)
        | ExportError::Manifest { .. }
        | ExportError::Unknown { .. } => Exit::Storage,
        ExportError::NoSubject { .. }
        | ExportError::SeveralSubjects { .. }
        | ExportError::SubjectAdds { .. }
        | ExportError::NoSuchColumn { .. } => Exit::Usage,
        ExportError::Cancelled => Exit::Cancelled,
        ExportError::Codec(_) | ExportError::Parquet(_) => Exit::Internal,
        _ => Exit::Database,
    }
}

fn class_of_notification(error: &NotificationError) -> Exit {
    match error {
        NotificationError::Invalid { .. } | NotificationError::Resolve { .. } => Exit::Configuration,
        NotificationError::Undelivered { .. } => Exit::Findings,
    }
}

fn class_of_files(error: &FilesError) -> Exit {
    match error {
        FilesError::Cancelled => Exit::Cancelled,
        FilesError::Document(_) => Exit::Internal,
        FilesError::Several(_) | FilesError::NoBucket(_) => Exit::Usage,
        _ => Exit::Storage,
    }
}

fn class_by_type(error: &(dyn Error + 'static)) -> Option<Exit> {
    let classes = [
        (error.is::<NameError>(), Exit::Usage),
        (error.is::<NoAnswer>(), Exit::Usage),
        (error.is::<KeyError>(), Exit::Configuration),
        (error.is::<KeyCommandError>(), Exit::Configuration),
        (error.is::<SealError>(), Exit::Storage),
        (error.is::<AlsoError>(), Exit::Storage),
        (error.is::<SignError>(), Exit::Storage),
        (error.is::<ScheduleFileError>(), Exit::Storage),
        (error.is::<PrintError>(), Exit::Refused),
        (error.is::<InvalidPattern>(), Exit::Usage),
        (error.is::<EnvironmentError>(), Exit::Configuration),
        (error.is::<ConfigError>(), Exit::Configuration),
        (error.is::<ResolveError>(), Exit::Configuration),
        (error.is::<ConninfoError>(), Exit::Configuration),
        (error.is::<NoProject>(), Exit::Configuration),
        (error.is::<FindProgramError>(), Exit::Configuration),
        (error.is::<SnapshotError>(), Exit::Database),
        (error.is::<SessionError>(), Exit::Database),
        (error.is::<CatalogError>(), Exit::Database),
        (error.is::<ClaimError>(), Exit::Database),
        (error.is::<WireError>(), Exit::Database),
        (error.is::<ServerError>(), Exit::Database),
        (error.is::<ProgramError>(), Exit::Database),
        (error.is::<StoreError>(), Exit::Storage),
        (error.is::<PackError>(), Exit::Storage),
        (error.is::<TrailerError>(), Exit::Storage),
        (error.is::<ManifestError>(), Exit::Storage),
        (error.is::<ForeignError>(), Exit::Storage),
        (error.is::<OutputError>(), Exit::Storage),
        (error.is::<WriteFileError>(), Exit::Configuration),
    ];
    classes.iter().find(|(is, _)| *is).map(|&(_, exit)| exit)
}

#[cfg(test)]
mod tests;
