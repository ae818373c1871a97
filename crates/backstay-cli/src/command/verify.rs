use backstay::{
    Archive, CheckOptions, Deed, Level, OpenArchiveError, Outcome, Proof, Report, Repository, Witness,
    previous_manifest,
};
use serde::Serialize;

use crate::environment::Environment;
use crate::exit::Exit;
use crate::explain::is_finding;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::keys::Keys;
use crate::output::{Form, Output, OutputError, Voice, complain, print, print_json, print_text};
use crate::progress;
use crate::select::{SelectError, open_archive_even_sealed};
use crate::settle::SettledVerify;

use super::log::note;

/// Checks a backup and tells what was found.
pub(crate) fn verify(settled: &SettledVerify, environment: &Environment) -> Result<Exit, Failure> {
    let interrupt = Interrupt::watch()?;
    let archive = match open_archive_even_sealed(&settled.backup) {
        Err(SelectError::Archive(error)) if is_finding(&error) => return tell_of_damage(error, settled.output),
        opened => opened?,
    };
    let options = with_previous(&settled.options, &archive, &settled.backup.keys)?;
    let shown = progress::for_output(settled.output);
    let verified = backstay::verify(&archive, &options, &*shown, interrupt.token());
    shown.clear();
    let report = verified?;
    note_verification(&archive, &report, options.level, &environment.witness());
    tell(&report, settled.output)?;
    Ok(if report.is_sound() { Exit::Done } else { Exit::Findings })
}

/// Notes beside a backup of a store what was seen of it, and, where that proves it, the proof. A file that was opened by
/// itself has no store.
fn note_verification(archive: &Archive, report: &Report, level: Level, witness: &Witness) {
    let Archive::Backup(reader) = archive else { return };
    let repository = Repository::new(reader.store().clone());
    let id = &reader.manifest().id;
    let outcome = if report.is_sound() {
        Outcome::Done
    } else {
        Outcome::Failed
    };
    note(
        witness,
        &repository,
        Deed::Verification,
        outcome,
        Some(id),
        &level.to_string(),
    );
    if report.is_sound() && level >= Level::Standard {
        let proof = Proof {
            level: level.to_string(),
            passed: true,
        };
        if let Err(error) = repository.note_proof(id, &witness.statement(""), &proof) {
            let why = Failure::from(error).in_one_line();
            complain(&format!("warning: the proof is not noted: {why}"));
        }
    }
}

/// Adds the backup before that one, to compare with; a file that was opened by itself has none.
pub(super) fn with_previous(options: &CheckOptions, archive: &Archive, keys: &Keys) -> Result<CheckOptions, Failure> {
    let mut options = options.clone();
    if let Archive::Backup(reader) = archive {
        let repository = keys.give(Repository::new(reader.store().clone()))?;
        options.previous = previous_manifest(&repository, &reader.manifest().id)?;
    }
    Ok(options)
}

fn tell(report: &Report, output: Output) -> Result<(), OutputError> {
    match output {
        Output { form: Form::Json, .. } => print(format!("{}\n", report.to_json()).as_bytes()),
        Output {
            voice: Voice::Normal, ..
        } => print_text(&report.render()),
        Output {
            voice: Voice::Quiet, ..
        } => Ok(()),
    }
}

/// A backup too damaged to be opened is a finding like others.
fn tell_of_damage(error: OpenArchiveError, output: Output) -> Result<Exit, Failure> {
    let failure = Failure::from(error);
    if output.form == Form::Json {
        print_json(&UnopenedJson {
            schema_version: 1,
            sound: false,
            error: failure.report(),
        })?;
    }
    Err(failure.with_exit(Exit::Findings))
}

/// What stands in place of a report that could not be made.
#[derive(Serialize)]
struct UnopenedJson {
    schema_version: u32,
    sound: bool,
    error: String,
}
