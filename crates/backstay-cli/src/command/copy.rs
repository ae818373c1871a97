use backstay::{
    BackupId, CancelToken, Copied, CopyError, Deed, Outcome, ReadBack, Repository, WhenMissing, Witness, copy_backup,
    newest_per,
};
use serde::Serialize;

use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::notify::Watch;
use crate::output::{Form, Output, Voice, bytes, complain, print_json, print_text};
use crate::progress;
use crate::select::newest;
use crate::settle::{CopyWhich, SettledCopy, SettledStore};

use super::log::note;

/// Copies backups to another store, one after another. One that fails does not keep the others from being copied.
pub(crate) fn copy(settled: &SettledCopy, environment: &Environment, watch: &Watch<'_>) -> Result<Exit, Failure> {
    let witness = environment.witness();
    let interrupt = Interrupt::watch()?;
    let from = settled.from.open(WhenMissing::Fail)?;
    let ids = chosen(&settled.which, &from)?;
    let to = settled.to.open(WhenMissing::Create)?;
    for id in &ids {
        watch.of_prefix(id.prefix());
        watch.at(&to, id.prefix());
    }
    // A store that is down is told once, and not for each backup.
    to.list()?;
    let shown = progress::for_output(settled.output);
    let mut done = Vec::new();
    let mut exit = Exit::Done;
    for id in ids {
        let copied = copy_backup(&from, &to, &id, settled.read_back, &*shown, interrupt.token());
        shown.clear();
        match copied {
            Ok(copied) => {
                note_copy(&witness, &from, &to, &id);
                if settled.output.form == Form::Text && settled.output.voice == Voice::Normal {
                    print_text(&format!("{id}: {}\n", told(&copied)))?;
                }
                done.push(json(&id, Ok(&copied)));
            }
            Err(error @ CopyError::Cancelled) => return Err(error.into()),
            Err(error) => {
                let failure = Failure::from(error);
                complain(&failure.report());
                watch.because(&format!("{id}: {}", failure.in_one_line()));
                // The first to fail says with what.
                exit = if exit == Exit::Done { failure.exit() } else { exit };
                done.push(json(&id, Err(failure.in_one_line())));
            }
        }
    }
    match settled.output {
        Output { form: Form::Json, .. } => print_json(&CopyJson {
            from: from.store().location(),
            to: to.store().location(),
            backups: done,
        })?,
        Output {
            voice: Voice::Normal, ..
        } if done.is_empty() => print_text(&format!("no backups in {}\n", from.store().location()))?,
        Output { .. } => {}
    }
    Ok(exit)
}

/// Notes a copy in the store that has it now.
fn note_copy(witness: &Witness, from: &Repository, to: &Repository, id: &BackupId) {
    let detail = format!("from {}", from.store().location());
    note(witness, to, Deed::Copy, Outcome::Done, Some(id), &detail);
}

fn chosen(which: &CopyWhich, from: &Repository) -> Result<Vec<BackupId>, Failure> {
    Ok(match which {
        CopyWhich::Ids(ids) => ids.clone(),
        CopyWhich::Latest { database } => vec![newest(from, database.as_deref())?],
        CopyWhich::All => from.list()?.backups.into_iter().map(|backup| backup.id).collect(),
        CopyWhich::NewestPer(period) => newest_per(&from.list()?, *period),
    })
}

fn told(copied: &Copied) -> String {
    match (copied.written.len(), copied.present.len()) {
        (0, _) => "there already".to_owned(),
        (files, 0) => format!("copied, {files} files, {}", bytes(copied.bytes)),
        (files, _) => format!("completed, {files} files, {}", bytes(copied.bytes)),
    }
}

#[derive(Serialize)]
struct CopyJson {
    from: String,
    to: String,
    backups: Vec<BackupJson>,
}

#[derive(Serialize)]
struct BackupJson {
    id: String,
    ok: bool,
    bytes: u64,
    written: Vec<String>,
    present: Vec<String>,
    error: Option<String>,
}

fn json(id: &BackupId, outcome: Result<&Copied, String>) -> BackupJson {
    let texts = |keys: &[backstay::ObjectKey]| keys.iter().map(ToString::to_string).collect();
    let none = Copied::default();
    let copied = outcome.as_ref().map_or(&none, |copied| copied);
    BackupJson {
        id: id.to_string(),
        ok: outcome.is_ok(),
        bytes: copied.bytes,
        written: texts(&copied.written),
        present: texts(&copied.present),
        error: outcome.err(),
    }
}

/// A store that should have a new backup too.
#[derive(Serialize)]
pub(super) struct AlsoJson {
    pub(super) store: String,
    pub(super) ok: bool,
    pub(super) error: Option<String>,
}

/// Why another store has not got a new backup.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AlsoError {
    /// It had all of it before anything was copied.
    #[error("{location} had {id} already, so it is the same store")]
    SameStore { id: BackupId, location: String },
}

/// Copies a new backup to other stores, each by itself: where one fails it is told, and the others are served. Gives
/// what became of each, and the exit status.
pub(super) fn copy_to_others(
    made: &Repository,
    id: &BackupId,
    others: &[SettledStore],
    read_back: ReadBack,
    output: Output,
    witness: &Witness,
    cancel: &CancelToken,
) -> (Vec<AlsoJson>, Exit) {
    let mut exit = Exit::Done;
    let mut outcomes = Vec::new();
    for store in others {
        let shown = progress::for_output(output);
        let copied = store.open(WhenMissing::Create).map_err(Failure::from).and_then(|to| {
            let copied = copy_backup(made, &to, id, read_back, &*shown, cancel)?;
            if copied.written.is_empty() {
                let location = to.store().location();
                return Err(AlsoError::SameStore {
                    id: id.clone(),
                    location,
                }
                .into());
            }
            note_copy(witness, made, &to, id);
            Ok(to.store().location())
        });
        shown.clear();
        outcomes.push(match copied {
            Ok(location) => AlsoJson {
                store: location,
                ok: true,
                error: None,
            },
            Err(failure) => {
                complain(&failure.report());
                let first = made.store().location();
                complain(&format!(
                    "hint: {id} is in {first}; backstay copy brings it to the other store"
                ));
                exit = if cancel.is_cancelled() {
                    Exit::Cancelled
                } else {
                    Exit::Storage
                };
                AlsoJson {
                    store: store.shown(),
                    ok: false,
                    error: Some(failure.in_one_line()),
                }
            }
        });
    }
    (outcomes, exit)
}
