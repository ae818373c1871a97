use backstay::{BackupId, Deed, Outcome, Repository, WhenMissing};
use serde::Serialize;

use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::keys::KeyError;
use crate::output::{Form, Output, Voice, print_json, print_text};
use crate::select::{SelectError, id_of};
use crate::settle::{RekeyWhich, SettledRekey};

use super::log::note;

#[derive(Serialize)]
struct RekeyJson {
    id: String,
    recipients: Vec<String>,
    removed: Vec<String>,
}

/// Encrypts backups anew, one after another.
pub(crate) fn rekey(settled: &SettledRekey, environment: &Environment) -> Result<Exit, Failure> {
    let witness = environment.witness();
    let repository = settled.keys.give(settled.store.open(WhenMissing::Fail)?)?;
    let seals = settled.seals.seals(&settled.store.variables, settled.keys.can_ask)?;
    let seals = seals.ok_or(KeyError::NoRecipient)?;
    let mut done = Vec::new();
    for id in chosen(settled, &repository)? {
        let taken_over = if settled.take_over {
            repository.take_over_rekeying(&id)
        } else {
            Ok(false)
        };
        let rekeyed = match taken_over.and_then(|_| repository.rekey(&id, &seals)) {
            Ok(rekeyed) => rekeyed,
            Err(error) if error.is_not_found() && !is_there(&repository, &id)? => {
                let location = repository.store().location();
                return Err(SelectError::NoSuchId { id, location }.into());
            }
            Err(error) => {
                note(
                    &witness,
                    &repository,
                    Deed::Rekey,
                    Outcome::Failed,
                    Some(&id),
                    &error.to_string(),
                );
                return Err(error.into());
            }
        };
        let recipients = rekeyed.manifest.recipients;
        note(
            &witness,
            &repository,
            Deed::Rekey,
            Outcome::Done,
            Some(&id),
            &recipients.join(", "),
        );
        if settled.output.form == Form::Text && settled.output.voice == Voice::Normal {
            print_text(&format!("{id} is for: {}\n", recipients.join(", ")))?;
        }
        done.push(RekeyJson {
            id: id.to_string(),
            recipients,
            removed: rekeyed.removed.iter().map(ToString::to_string).collect(),
        });
    }
    match settled.output {
        Output { form: Form::Json, .. } => print_json(&done)?,
        Output { voice, .. } if voice == Voice::Normal && done.is_empty() => print_text("no encrypted backups\n")?,
        Output { .. } => {}
    }
    Ok(Exit::Done)
}

/// The backups that are meant; of all of them those that are encrypted. One that is named need not be there: it is not while
/// its manifest is replaced, and where that was interrupted, this goes on from it.
fn chosen(settled: &SettledRekey, repository: &Repository) -> Result<Vec<BackupId>, Failure> {
    match &settled.which {
        RekeyWhich::One(name) => Ok(vec![id_of(name, repository)?]),
        RekeyWhich::All => {
            let mut ids = Vec::new();
            for backup in repository.list()?.backups {
                if repository.read_sidecar(&backup.id)?.is_sealed() {
                    ids.push(backup.id);
                }
            }
            Ok(ids)
        }
    }
}

fn is_there(repository: &Repository, id: &BackupId) -> Result<bool, Failure> {
    Ok(repository.list()?.backups.iter().any(|backup| backup.id == *id))
}
