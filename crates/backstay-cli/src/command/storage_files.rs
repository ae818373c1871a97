use backstay::storage_files::{
    FileName, FileRow, FilesBackup, FilesBackupOptions, FilesBackupReport, FilesError, FilesId, FilesListing,
    FilesPhase, FilesProgress, FilesRepository, FilesRestoreReport, Incomplete, ProjectFiles, RowsAndFiles,
    SupabaseUrl, SupabaseVariables, back_up_files, compare_rows, restore_files, verify_files,
};
use backstay::{
    Archive, CancelToken, Deed, Outcome, Phase, ProgressEvent, Repository, Variables, WhenMissing, file_rows,
};
use jiff::Timestamp;
use serde::Serialize;

use super::log::note_without_backup;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::keys::Keys;
use crate::notify::Watch;
use crate::output::{Form, Output, Voice, bytes, complain, count, harmless, print_json, print_text};
use crate::progress::{self, Shown};
use crate::select::{SelectError, open_archive};
use crate::settle::{
    FilesName, SettledBackupName, SettledFilesBackup, SettledFilesList, SettledFilesRestore, SettledFilesVerify,
    SettledStore,
};

/// Shows how it goes on, and stops when it is asked to.
struct Watched<'w> {
    shown: Box<dyn Shown>,
    stop: &'w CancelToken,
}

impl<'w> Watched<'w> {
    fn of(output: Output, interrupt: &'w Interrupt) -> Self {
        Self {
            shown: progress::for_output(output),
            stop: interrupt.token(),
        }
    }
}

impl FilesProgress for Watched<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    fn begins(&self, phase: FilesPhase, bytes: u64) {
        let phase = match phase {
            FilesPhase::BackUp => Phase::ReadFiles,
            FilesPhase::Restore => Phase::WriteFiles,
            FilesPhase::Verify => Phase::VerifyFiles,
            _ => Phase::ListFiles,
        };
        self.shown.event(ProgressEvent::Phase {
            phase,
            bytes_total: bytes,
        });
    }

    fn advances(&self, file: &FileName, bytes: u64) {
        let file = file.to_string();
        self.shown.event(ProgressEvent::Advance {
            bytes,
            table: Some(&file),
        });
    }
}

/// Names that one message lists.
const NAMES_MAX: usize = 20;

/// Nothing says which project is meant, or with which key it is spoken to.
#[derive(Debug, thiserror::Error)]
#[error("the files of the project cannot be reached")]
pub(crate) struct NoProject(#[source] Incomplete);

/// Saves the files of a project.
pub(crate) fn back_up(
    settled: &SettledFilesBackup,
    environment: &Environment,
    watch: &Watch<'_>,
) -> Result<Exit, Failure> {
    let interrupt = Interrupt::watch()?;
    if settled.seals.names_somebody() {
        watch.sealed();
    }
    let variables = of_supabase(&settled.variables);
    let config = settled.project.config(&variables).map_err(NoProject)?;
    let named = settled.name.clone().or_else(|| settled.project.label(&variables));
    let prefix = named.unwrap_or_default();
    let project = ProjectFiles::new(config)?;
    let rows = match rows(settled.rows.as_ref()) {
        // A machine that makes backups need not be able to read them.
        Err(failure) if failure.lacks_key() => {
            let why = failure.in_one_line();
            complain(&format!(
                "warning: files are not compared with rows of the database: {why}"
            ));
            None
        }
        rows => rows?,
    };
    let repository = settled.store.open(WhenMissing::Create)?;
    let mut files = files_of(&settled.keys, &repository)?;
    if let Some(seals) = settled.seals.seals(&settled.store.variables, environment.can_ask)? {
        files = files.with_sealer(seals.packs);
    }
    if let Ok(prefix) = FilesId::new(&prefix, Timestamp::now()).prefix().parse() {
        watch.at(&repository, &prefix);
    }
    let mut options = FilesBackupOptions::new(&prefix, Timestamp::now());
    options.jobs = settled.jobs;
    let watched = Watched::of(settled.output, &interrupt);
    let report = back_up_files(&project, &files, &options, &watched);
    watched.shown.clear();
    note(environment, &repository, &FilesId::new(&prefix, options.time), &report);
    let report = report?;
    let compared = rows.map(|rows| compare_rows(&rows, &report.listing));
    tell_of(&report.listing, compared.as_ref());
    for bucket in &report.gone_buckets {
        complain(&format!(
            "bucket gone: the backup before this one had {}",
            harmless(bucket)
        ));
    }
    if let Some(earlier) = report.shrank() {
        complain(&format!(
            "fewer files: the backup before this one, {}, had {} in {}",
            earlier.id,
            count(earlier.files, "file", "files"),
            count(earlier.buckets, "bucket", "buckets")
        ));
    }
    for file in &report.vanished {
        settled
            .output
            .remark(&format!("removed while it was to be read: {}", shown(file)));
    }
    match settled.output {
        Output { form: Form::Json, .. } => print_json(&backup_json(&report, compared.as_ref(), settled))?,
        Output {
            voice: Voice::Normal, ..
        } => print_text(&backup_text(&report))?,
        Output { .. } => {}
    }
    let doubts = doubts(&report, compared.as_ref());
    if doubts.is_empty() {
        return Ok(Exit::Done);
    }
    watch.because(&doubts.join("; "));
    Ok(Exit::Findings)
}

/// Writes files into a project.
pub(crate) fn restore(settled: &SettledFilesRestore, environment: &Environment) -> Result<Exit, Failure> {
    let interrupt = Interrupt::watch()?;
    let project = project_to_write(&settled.project, &environment.variables)?;
    let (files, backup) = open(&settled.backup, &settled.store, &settled.keys)?;
    settled.output.remark(&format!("writing the files of {}", backup.id));
    let watched = Watched::of(settled.output, &interrupt);
    let report = restore_files(&files, &backup, &project, &settled.options, &watched);
    watched.shown.clear();
    let report = report?;
    for bucket in &report.buckets_differing {
        complain(&format!(
            "warning: the bucket {} is there and has other settings than in the backup; they were left alone",
            harmless(bucket)
        ));
    }
    let lists = [
        (
            "left alone, since it is there with other content (--replace replaces it)",
            &report.kept,
        ),
        (
            "written, and its type, caching or metadata are others",
            &report.attributes_differing,
        ),
        ("not in the backup, which knows its row only", &report.without_file),
    ];
    for (what, names) in lists {
        complain_of(what, names);
    }
    for (file, why) in &report.failed {
        complain(&format!("not written: {}: {}", shown(file), harmless(why)));
    }
    match settled.output {
        Output { form: Form::Json, .. } => print_json(&restore_json(&report, &backup))?,
        Output {
            voice: Voice::Normal, ..
        } => print_text(&restore_text(&report, &backup))?,
        Output { .. } => {}
    }
    Ok(if report.is_complete() {
        Exit::Done
    } else {
        Exit::Incomplete
    })
}

/// Reads all of a backup of files.
pub(crate) fn verify(settled: &SettledFilesVerify) -> Result<Exit, Failure> {
    let interrupt = Interrupt::watch()?;
    let (files, backup) = open(&settled.backup, &settled.store, &settled.keys)?;
    let rows = rows(settled.rows.as_ref())?;
    let watched = Watched::of(settled.output, &interrupt);
    let seen = verify_files(&files, &backup, &watched);
    watched.shown.clear();
    let seen = seen?;
    let compared = match rows {
        Some(rows) => {
            let listing = files.listing(&backup)?;
            let compared = compare_rows(&rows, &listing);
            tell_of(&listing, Some(&compared));
            Some(compared)
        }
        None => None,
    };
    for finding in &seen.findings {
        let file = finding.file.as_ref().map(|file| format!("{}: ", shown(file)));
        complain(&format!(
            "error: {}{}",
            file.unwrap_or_default(),
            harmless(&finding.message)
        ));
    }
    let is_sound = seen.is_sound() && compared.as_ref().is_none_or(|found| found.missing.is_empty());
    match settled.output {
        Output { form: Form::Json, .. } => print_json(&VerifyJson {
            id: backup.id.as_str(),
            ok: is_sound,
            files: seen.files,
            sealed_objects: seen.sealed_objects,
            findings: seen.findings.iter().map(|finding| finding.message.clone()).collect(),
            rows: compared.as_ref().map(rows_json),
        })?,
        Output {
            voice: Voice::Normal, ..
        } => {
            let what = match seen.sealed_objects {
                0 => count(seen.files, "file read", "files read"),
                objects => format!(
                    "{}, whose content no key at hand opens",
                    count(objects, "stored object read", "stored objects read")
                ),
            };
            let verdict = if is_sound { "sound" } else { "NOT SOUND" };
            print_text(&format!("{} is {verdict}: {what}\n", backup.id))?;
        }
        Output { .. } => {}
    }
    Ok(if is_sound { Exit::Done } else { Exit::Findings })
}

/// Lists the backups of files in a store.
pub(crate) fn list(settled: &SettledFilesList) -> Result<Exit, Failure> {
    let repository = settled.store.open(WhenMissing::Fail)?;
    let ids = FilesRepository::new(repository.store().clone()).list()?;
    match settled.output {
        Output { form: Form::Json, .. } => print_json(&ids.iter().map(ToString::to_string).collect::<Vec<_>>())?,
        Output { .. } if ids.is_empty() => {
            print_text(&format!("no backups of files in {}\n", settled.store.shown()))?;
        }
        Output { .. } => print_text(&ids.iter().map(|id| format!("{id}\n")).collect::<String>())?,
    }
    Ok(Exit::Done)
}

/// Why a backup may not be what it should be, without a name of a file: they are encrypted where the backup is.
fn doubts(report: &FilesBackupReport, compared: Option<&RowsAndFiles>) -> Vec<String> {
    let counted =
        |number: usize, why: &str| (number > 0).then(|| format!("{} {why}", count(number as u64, "file", "files")));
    let gone = report.gone_buckets.len();
    let all = [
        counted(report.listing.without_file.len(), "without content in the project"),
        counted(
            compared.map_or(0, |found| found.missing.len()),
            "missing that the database has a row of",
        ),
        (gone > 0).then(|| format!("{} gone", count(gone as u64, "bucket", "buckets"))),
        report
            .shrank()
            .map(|earlier| format!("fewer than half of the {} files before", earlier.files)),
    ];
    all.into_iter().flatten().collect()
}

/// Notes in the store what became of a backup.
fn note(
    environment: &Environment,
    repository: &Repository,
    id: &FilesId,
    report: &Result<FilesBackupReport, FilesError>,
) {
    let outcome = match report {
        Ok(_) => Outcome::Done,
        // Why may name a file, and the log is in clear.
        Err(_) => Outcome::Failed,
    };
    if let Ok(prefix) = id.prefix().parse() {
        note_without_backup(
            &environment.witness(),
            repository,
            Deed::Files,
            outcome,
            &prefix,
            id.as_str(),
        );
    }
}

fn of_supabase(variables: &Variables) -> SupabaseVariables {
    variables.texts().collect()
}

/// The project that is written to: as typed, with the key of the variables and nothing else of them.
fn project_to_write(project: &SupabaseUrl, variables: &Variables) -> Result<ProjectFiles, Failure> {
    Ok(ProjectFiles::new(
        project.config(&of_supabase(variables)).map_err(NoProject)?,
    )?)
}

/// The files of a repository, with what opens them.
fn files_of(keys: &Keys, repository: &Repository) -> Result<FilesRepository, Failure> {
    let files = FilesRepository::new(repository.store().clone());
    Ok(match keys.unsealer()? {
        Some(unsealer) => files.with_unsealer(unsealer),
        None => files,
    })
}

fn open(name: &FilesName, store: &SettledStore, keys: &Keys) -> Result<(FilesRepository, FilesBackup), Failure> {
    let files = files_of(keys, &store.open(WhenMissing::Fail)?)?;
    let id = match name {
        FilesName::Latest => files.latest(None)?,
        FilesName::Id(id) => id.clone(),
    };
    let backup = files.open(&id)?;
    Ok((files, backup))
}

/// The rows of `storage.objects` in a backup of the database.
fn rows(backup: Option<&SettledBackupName>) -> Result<Option<Vec<FileRow>>, Failure> {
    let Some(backup) = backup else { return Ok(None) };
    let rows = match open_archive(backup)? {
        Archive::Backup(reader) | Archive::Pack(reader) => file_rows(&reader)?,
        _ => None,
    };
    rows.map(Some).ok_or_else(|| Failure::from(SelectError::NoFileRows))
}

/// A file's name for messages.
fn shown(file: &FileName) -> String {
    harmless(&file.to_string())
}

fn complain_of(what: &str, names: &[FileName]) {
    for file in names.iter().take(NAMES_MAX) {
        complain(&format!("{what}: {}", shown(file)));
    }
    if names.len() > NAMES_MAX {
        complain(&format!("{what}: and {} more", names.len() - NAMES_MAX));
    }
}

/// Tells what does not go together.
fn tell_of(listing: &FilesListing, compared: Option<&RowsAndFiles>) {
    complain_of("no content in the project", &listing.without_file);
    if let Some(compared) = compared {
        complain_of("missing: the database has a row, the backup no file", &compared.missing);
        complain_of("extra: the database has no row", &compared.extra);
        complain_of("another version than the row in the database", &compared.other_version);
    }
}

fn backup_text(report: &FilesBackupReport) -> String {
    let manifest = &report.backup.manifest;
    format!(
        "{}\n  {} in {}, {}; {} unchanged\n",
        report.backup.id,
        count(manifest.files, "file", "files"),
        count(manifest.buckets, "bucket", "buckets"),
        bytes(manifest.bytes),
        report.unchanged,
    )
}

fn restore_text(report: &FilesRestoreReport, backup: &FilesBackup) -> String {
    format!(
        "{} {}\n  {} written ({}), {} there already\n",
        backup.id,
        if report.is_complete() {
            "is restored"
        } else {
            "is NOT COMPLETELY restored"
        },
        count(report.written, "file", "files"),
        bytes(report.written_bytes),
        report.same,
    )
}

#[derive(Serialize)]
struct BackupJson<'r> {
    id: &'r str,
    store: String,
    buckets: u64,
    files: u64,
    bytes: u64,
    unchanged: u64,
    without_file: &'r [FileName],
    vanished: &'r [FileName],
    gone_buckets: &'r [String],
    /// What the backup before this one had, where this one has less than half of its files.
    shrank_from: Option<u64>,
    rows: Option<RowsJson<'r>>,
}

#[derive(Serialize)]
struct RowsJson<'r> {
    missing: &'r [FileName],
    extra: &'r [FileName],
    other_version: &'r [FileName],
}

#[derive(Serialize)]
struct RestoreJson<'r> {
    id: &'r str,
    complete: bool,
    written: u64,
    written_bytes: u64,
    same: u64,
    buckets_made: &'r [String],
    kept: &'r [FileName],
    failed: Vec<&'r FileName>,
    without_file: &'r [FileName],
}

#[derive(Serialize)]
struct VerifyJson<'r> {
    id: &'r str,
    ok: bool,
    files: u64,
    sealed_objects: u64,
    findings: Vec<String>,
    rows: Option<RowsJson<'r>>,
}

fn rows_json(found: &RowsAndFiles) -> RowsJson<'_> {
    RowsJson {
        missing: &found.missing,
        extra: &found.extra,
        other_version: &found.other_version,
    }
}

fn backup_json<'r>(
    report: &'r FilesBackupReport,
    compared: Option<&'r RowsAndFiles>,
    settled: &SettledFilesBackup,
) -> BackupJson<'r> {
    let manifest = &report.backup.manifest;
    BackupJson {
        id: report.backup.id.as_str(),
        store: settled.store.shown(),
        buckets: manifest.buckets,
        files: manifest.files,
        bytes: manifest.bytes,
        unchanged: report.unchanged,
        without_file: &report.listing.without_file,
        vanished: &report.vanished,
        gone_buckets: &report.gone_buckets,
        shrank_from: report.shrank().map(|earlier| earlier.files),
        rows: compared.map(rows_json),
    }
}

fn restore_json<'r>(report: &'r FilesRestoreReport, backup: &'r FilesBackup) -> RestoreJson<'r> {
    RestoreJson {
        id: backup.id.as_str(),
        complete: report.is_complete(),
        written: report.written,
        written_bytes: report.written_bytes,
        same: report.same,
        buckets_made: &report.buckets_made,
        kept: &report.kept,
        failed: report.failed.iter().map(|(file, _)| file).collect(),
        without_file: &report.without_file,
    }
}
