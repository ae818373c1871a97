use backstay::{Archive, CheckOptions, OpenArchiveError, Report, Repository, previous_manifest};
use serde::Serialize;

use crate::exit::Exit;
use crate::explain::is_finding;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::keys::Keys;
use crate::output::{Form, Output, OutputError, Voice, print, print_json, print_text};
use crate::progress;
use crate::select::{SelectError, open_archive_even_sealed};
use crate::settle::SettledVerify;

/// Checks a backup and tells what was found.
pub(crate) fn verify(settled: &SettledVerify) -> Result<Exit, Failure> {
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
    tell(&report, settled.output)?;
    Ok(if report.is_sound() { Exit::Done } else { Exit::Findings })
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
