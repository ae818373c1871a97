use backstay::{
    Archive, CheckOptions, Deed, Finding, Level, OpenArchiveError, Outcome, Report, Repository, Rules, Severity,
    Witness, earlier_volumes, finding_lines, proof_of,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::environment::Environment;
use crate::exit::Exit;
use crate::explain::is_finding;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::keys::Keys;
use crate::notify::Watch;
use crate::output::{Form, Output, OutputError, Voice, complain, print, print_json, print_text};
use crate::progress;
use crate::select::{SelectError, open_archive_even_sealed};
use crate::settle::SettledVerify;

use super::log::note;

/// Checks a backup and tells what was found.
pub(crate) fn verify(settled: &SettledVerify, environment: &Environment, watch: &Watch<'_>) -> Result<Exit, Failure> {
    let interrupt = Interrupt::watch()?;
    let archive = match open_archive_even_sealed(&settled.backup) {
        Err(SelectError::Archive(error)) if is_finding(&error) => return tell_of_damage(error, settled.output),
        opened => opened?,
    };
    tell_watch(&archive, watch);
    let mut options = settled.options.clone();
    if let Some(rules) = rules_of(settled, &archive) {
        options.rules = rules.clone();
    }
    if !settled.require_tables.is_empty() {
        options.rules.require_tables.clone_from(&settled.require_tables);
    }
    let options = with_earlier(options, &archive, &settled.backup.keys)?;
    let shown = progress::for_output(settled.output);
    let verified = backstay::verify(&archive, &options, &*shown, interrupt.token());
    shown.clear();
    let report = verified?;
    watch.found(&report.findings);
    note_verification(&archive, &report, options.level, &environment.witness());
    tell(&report, settled.output)?;
    Ok(if report.is_sound() { Exit::Done } else { Exit::Findings })
}

/// Whoever is told of it hears of backups in stores, and not of files.
fn tell_watch(archive: &Archive, watch: &Watch<'_>) {
    match archive {
        Archive::Backup(reader) => {
            watch.of_backup(&reader.manifest().id);
            watch.at(&Repository::new(reader.store().clone()), reader.manifest().id.prefix());
            if reader.is_sealed() {
                watch.sealed();
            }
        }
        Archive::Sealed { manifest, .. } => {
            watch.of_backup(&manifest.id);
            watch.sealed();
        }
        Archive::Pack(_) | Archive::Foreign { .. } => {}
    }
}

/// The rules of the database whose backup it is.
fn rules_of<'s>(settled: &'s SettledVerify, archive: &Archive) -> Option<&'s Rules> {
    let id = match archive {
        Archive::Backup(reader) | Archive::Pack(reader) => &reader.manifest().id,
        Archive::Sealed { manifest, .. } => &manifest.id,
        Archive::Foreign { .. } => return settled.rules.named(),
    };
    settled.rules.of(id.prefix())
}

/// Notes beside a backup of a store what was seen of it, and, where all of it was looked at, as its proof. A file that was opened by
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
    if level >= Level::Standard {
        let proof = proof_of(report, reader.is_sealed());
        if let Err(error) = repository.note_proof(id, &witness.statement(""), &proof) {
            let why = Failure::from(error).in_one_line();
            complain(&format!("warning: the proof is not noted: {why}"));
        }
    }
}

/// Adds the time, and the backups before that one, to compare with; a file that was opened by itself has none.
pub(super) fn with_earlier(mut options: CheckOptions, archive: &Archive, keys: &Keys) -> Result<CheckOptions, Failure> {
    options.now = Some(Timestamp::now());
    if let Archive::Backup(reader) = archive {
        let repository = keys.give(Repository::new(reader.store().clone()))?;
        options.earlier = earlier_volumes(&repository, &reader.manifest().id, options.rules.history)?;
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
        } => {
            // Who wants to read nothing must hear of these all the same.
            let is_told = |finding: &&Finding| finding.severity < Severity::Note;
            let told: Vec<Finding> = report.findings.iter().filter(is_told).cloned().collect();
            if !told.is_empty() {
                complain(finding_lines(&told, "without --quiet").trim_end());
            }
            Ok(())
        }
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
