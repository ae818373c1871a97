//! What errors mean for the person in front of them: the exit status and what to type next, by type of error.

mod hints;

use std::error::Error;

use backstay::{
    BackupError, CatalogError, ConnectError, ConnectErrorKind, ConninfoError, FindProgramError, InvalidPattern,
    OpenStoreError, PackError, PreflightError, ProgramError, RepositoryError, ServerError, SessionError, SnapshotError,
    SourceError, StoreError, WireError,
};

use crate::environment::EnvironmentError;
use crate::exit::Exit;
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
    let mut next = Some(error);
    while let Some(error) = next {
        let error = unwrapped(error);
        exit = exit.or_else(|| class(error));
        let found = hints::of(error);
        if !found.is_empty() {
            advice = found;
        }
        next = error.source();
    }
    Advice {
        exit: exit.unwrap_or(Exit::Internal),
        hints: advice,
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
    Some(match error.downcast_ref::<BackupError>() {
        Some(BackupError::Preflight(inner)) => inner,
        Some(BackupError::Source(inner)) => inner,
        Some(BackupError::Repository(inner)) => inner,
        _ => match error.downcast_ref::<PreflightError>() {
            Some(PreflightError::Connect(inner)) => inner,
            Some(PreflightError::Catalog(inner)) => inner,
            _ => return inner_of_source(error),
        },
    })
}

fn inner_of_source<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    Some(match error.downcast_ref::<SourceError>() {
        Some(SourceError::Connect(inner)) => inner,
        Some(SourceError::Session(inner)) => inner,
        Some(SourceError::Snapshot(inner)) => inner,
        Some(SourceError::Catalog(inner)) => inner,
        Some(SourceError::Pattern(inner)) => inner,
        _ => match error.downcast_ref::<SnapshotError>() {
            Some(SnapshotError::Session(inner)) => inner,
            Some(SnapshotError::Catalog(inner)) => inner,
            _ => return inner_of_storage(error),
        },
    })
}

fn inner_of_storage<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    if let Some(RepositoryError::Store(inner)) = error.downcast_ref() {
        return Some(inner);
    }
    if let Some(WireError::Server(inner)) = error.downcast_ref() {
        return Some(&**inner);
    }
    Some(match error.downcast_ref::<PackError>() {
        Some(PackError::Trailer(inner)) => inner,
        Some(PackError::Manifest(inner)) => inner,
        _ => match error.downcast_ref::<SelectError>() {
            Some(SelectError::OpenStore(inner)) => inner,
            Some(SelectError::Store(inner)) => inner,
            Some(SelectError::Repository(inner)) => inner,
            _ => match error.downcast_ref::<SettleError>() {
                Some(SettleError::Source(inner)) => inner,
                Some(SettleError::Name(inner)) => inner,
                _ => return None,
            },
        },
    })
}

/// The exit status of an error that is not looked through; `None` for those of other crates and of causes.
fn class(error: &(dyn Error + 'static)) -> Option<Exit> {
    if let Some(error) = error.downcast_ref::<BackupError>() {
        return Some(match error {
            BackupError::Refused(_) | BackupError::ForeignPrefix { .. } => Exit::Refused,
            BackupError::Globals(_) => Exit::Configuration,
            BackupError::Cancelled => Exit::Cancelled,
            _ => Exit::Internal,
        });
    }
    if let Some(error) = error.downcast_ref::<SourceError>() {
        return Some(match error {
            SourceError::Sink(_) => Exit::Storage,
            SourceError::Codec(_) => Exit::Internal,
            SourceError::Cancelled => Exit::Cancelled,
            _ => Exit::Database,
        });
    }
    if let Some(error) = error.downcast_ref::<ConnectError>() {
        return Some(match error.kind() {
            ConnectErrorKind::Settings => Exit::Configuration,
            ConnectErrorKind::Cancelled => Exit::Cancelled,
            _ => Exit::Database,
        });
    }
    if let Some(error) = error.downcast_ref::<RepositoryError>() {
        return Some(match error {
            RepositoryError::Codec(_) => Exit::Internal,
            _ => Exit::Storage,
        });
    }
    if let Some(error) = error.downcast_ref::<OpenStoreError>() {
        return Some(match error {
            OpenStoreError::UnknownScheme { .. } => Exit::Configuration,
            _ => Exit::Storage,
        });
    }
    if let Some(error) = error.downcast_ref::<SelectError>() {
        return Some(match error {
            SelectError::Ambiguous { .. } | SelectError::FileName(_) => Exit::Usage,
            _ => Exit::Storage,
        });
    }
    let classes = [
        (is::<NameError>(error), Exit::Usage),
        (is::<SettleError>(error), Exit::Usage),
        (is::<InvalidPattern>(error), Exit::Usage),
        (is::<EnvironmentError>(error), Exit::Configuration),
        (is::<ConninfoError>(error), Exit::Configuration),
        (is::<FindProgramError>(error), Exit::Configuration),
        (is::<SnapshotError>(error), Exit::Database),
        (is::<SessionError>(error), Exit::Database),
        (is::<CatalogError>(error), Exit::Database),
        (is::<WireError>(error), Exit::Database),
        (is::<ServerError>(error), Exit::Database),
        (is::<ProgramError>(error), Exit::Database),
        (is::<StoreError>(error), Exit::Storage),
        (is::<PackError>(error), Exit::Storage),
        (is::<OutputError>(error), Exit::Storage),
    ];
    classes.iter().find(|(is, _)| *is).map(|&(_, exit)| exit)
}

fn is<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    error.is::<E>()
}
