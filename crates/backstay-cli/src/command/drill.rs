mod report;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use backstay::{
    Archive, BackupReader, Deed, DrillError, DrillOptions, DrillReport, DrillTarget, DrillTools, Outcome, Repository,
    Witness, note_drill,
};

use jiff::Timestamp;

use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::notify::Watch;
use crate::output::{Form, Output, Voice, complain, count, print_json, print_text};
use crate::progress;
use crate::select::open_archive;
use crate::settle::{DrillPlace, SettledDrill};

use super::log::note;
use super::{RestoreRefused, remark_warnings};

pub(super) use report::{DrillJson, json, text};

/// What the log tells of a failure with an encrypted backup.
pub(super) const NO_END: &str = "it did not come to its end";

/// Why a drill is not even begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DrillRefused {
    #[error("a plain dump does not say what it holds, so a drill has nothing to compare with")]
    PlainDump,
    #[error("cannot make {}, the folder for servers of drills", path.display())]
    Folder { path: PathBuf, source: io::Error },
    /// Others could put there what they like.
    #[error("{} is not a folder of this user alone", path.display())]
    ForeignFolder { path: PathBuf },
}

/// Restores a backup where nothing else is, examines it, and tells.
pub(crate) fn drill(settled: &SettledDrill, environment: &Environment, watch: &Watch<'_>) -> Result<Exit, Failure> {
    let interrupt = Interrupt::watch()?;
    let archive = open_archive(&settled.backup)?;
    let id = match &archive {
        Archive::Backup(reader) | Archive::Pack(reader) => &reader.manifest().id,
        Archive::Sealed { manifest, .. } => {
            let recipients = manifest.recipients.clone();
            return Err(RestoreRefused::Sealed { recipients }.into());
        }
        Archive::Foreign { .. } => return Err(DrillRefused::PlainDump.into()),
    };
    if let Archive::Backup(reader) = &archive {
        watch.of_backup(id);
        watch.at(&Repository::new(reader.store().clone()), id.prefix());
        if reader.manifest().digest_key.is_some() {
            watch.sealed();
        }
    }
    let target = match &settled.place {
        DrillPlace::Throwaway(folder) => throwaway(folder.as_deref())?,
        DrillPlace::NewDatabase(at) => {
            remark_warnings(at, settled.output);
            DrillTarget::NewDatabase(at.config.clone())
        }
        DrillPlace::Database(target) => {
            remark_warnings(target, settled.output);
            DrillTarget::Database(target.config.clone())
        }
    };
    let mut options = settled.options.clone();
    options.now = Some(Timestamp::now());
    if let Some(rules) = settled.rules.of(id.prefix()) {
        options.rules = rules.clone();
    }
    let limit = settled.limit_of(id.prefix());
    options.recovery_limit = limit.map(|limit| limit.limit);
    let report = run(&archive, &target, &options, settled.output, environment, &interrupt)?;
    watch.found(&report.findings);
    match (settled.output.form, settled.output.voice) {
        (Form::Json, _) => print_json(&json(&report, limit))?,
        (Form::Text, Voice::Normal) => print_text(&text(&report, limit))?,
        (Form::Text, Voice::Quiet) if !report.passed() => complain(text(&report, limit).trim_end()),
        (Form::Text, Voice::Quiet) => {}
    }
    Ok(if report.passed() { Exit::Done } else { Exit::Findings })
}

/// Holds the drill of a backup that was just made, on a server of its own.
pub(super) fn drill_at_once(
    repository: &Repository,
    id: &backstay::BackupId,
    mut options: DrillOptions,
    output: Output,
    environment: &Environment,
    interrupt: &Interrupt,
) -> Result<DrillReport, Failure> {
    let archive = Archive::open(repository, id)?;
    options.now = Some(Timestamp::now());
    let target = throwaway(None)?;
    run(&archive, &target, &options, output, environment, interrupt)
}

fn run(
    archive: &Archive,
    target: &DrillTarget,
    options: &DrillOptions,
    output: Output,
    environment: &Environment,
    interrupt: &Interrupt,
) -> Result<DrillReport, Failure> {
    let shown = progress::for_output(output);
    let begun = Instant::now();
    let done = backstay::drill(
        archive,
        target,
        options,
        DrillTools {
            programs: &environment.programs,
            stopwatch: &|| begun.elapsed(),
            progress: &*shown,
            cancel: interrupt.token(),
        },
    );
    shown.clear();
    // A file that was opened by itself has no store for evidence.
    if let Archive::Backup(reader) = archive {
        note_down(&environment.witness(), reader, &done);
    }
    let report = done?;
    if let Some(left) = &report.left {
        complain(&format!(
            "warning: this could not be removed; the next drill there tries again: {left}"
        ));
    }
    Ok(report)
}

/// Notes beside a backup of a store what came of its drill, and in the log that there was one.
fn note_down(witness: &Witness, backup: &BackupReader, done: &Result<DrillReport, DrillError>) {
    let (outcome, detail) = match done {
        Ok(report) if report.passed() => (
            Outcome::Done,
            format!("recovery in {:.1} s", report.times.recovery().as_secs_f64()),
        ),
        Ok(report) => (
            Outcome::Failed,
            count(report.count(backstay::Severity::Error), "error", "errors"),
        ),
        // Who stopped it knows.
        Err(DrillError::Cancelled) => return,
        // A message may name what an encrypted backup holds.
        Err(_) if backup.manifest().digest_key.is_some() => (Outcome::Failed, NO_END.to_owned()),
        Err(error) => (Outcome::Failed, error.to_string()),
    };
    let repository = &Repository::new(backup.store().clone());
    let id = &backup.manifest().id;
    note(witness, repository, Deed::Drill, outcome, Some(id), &detail);
    if let Ok(report) = done
        && let Err(error) = note_drill(repository, report, witness)
    {
        let why = Failure::from(error).in_one_line();
        complain(&format!(
            "warning: the evidence of the drill is not in the store: {why}"
        ));
    }
}

/// A server of its own, below the folder that was named, or one of the user that others cannot put anything into.
fn throwaway(folder: Option<&Path>) -> Result<DrillTarget, DrillRefused> {
    let folder = match folder {
        Some(folder) => folder.to_owned(),
        None => std::env::temp_dir().join(format!("backstay-drill-{}", rustix::process::geteuid().as_raw())),
    };
    let failed = |source| DrillRefused::Folder {
        path: folder.clone(),
        source,
    };
    match fs::DirBuilder::new().mode(0o711).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let found = fs::symlink_metadata(&folder).map_err(failed)?;
    let is_own = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0;
    if !is_own {
        return Err(DrillRefused::ForeignFolder { path: folder });
    }
    Ok(DrillTarget::Throwaway { folder })
}
