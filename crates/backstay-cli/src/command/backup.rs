use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backstay::export::{ExportOptions, ExportPlace, export_data_in_snapshot};

use backstay::manifest::{CheckOutcome, Table, TableKind, TableRows};
use backstay::{
    BackupError, BackupId, BackupOptions, BackupReport, CancelToken, CheckOptions, Deed, DrillOptions, DrillReport,
    EarlierBackups, Finding, InSnapshot, Manifest, Origin, Outcome, Platform, Prefix, PreflightFinding,
    PreflightSeverity, Report, Repository, RepositoryError, Resolved, RetentionPolicy, Rules, Seals, Severity,
    WhenMissing, Witness, earlier_volumes, origin, proof_of, supabase_project_of_store,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::keys::Keys;
use crate::notify::Watch;
use crate::output::{
    Columns, Form, Output, Voice, bytes, complain, count, duration, harmless, print_json, print_text, quoted,
};
use crate::progress;
use crate::settle::{SettledBackup, SettledNamedExport, SettledStore};

use super::copy::{AlsoJson, copy_to_others};
use super::drill::{DrillJson, NO_END, drill_at_once, json as drill_json, text as drill_text};
use super::export::{ExportJson, Results, Told, asked, open_all, tell};
use super::log::{complain_unnoted, note, note_without_backup};
use super::prune::tell_unremoved;
use super::{finding_lines, remark_warnings};

/// Backs a database up, then removes what may go.
pub(crate) fn back_up(settled: SettledBackup, environment: &Environment, watch: &Watch<'_>) -> Result<Exit, Failure> {
    let SettledBackup {
        source,
        store,
        also,
        mut options,
        seals,
        retention,
        drill,
        recovery_limit,
        exports,
        rules,
        passed_over,
        output,
    } = settled;
    remark_warnings(&source, output);
    if let Some(file) = passed_over {
        // It may be one that is to be encrypted.
        complain(&format!(
            "warning: the database is the one that DATABASE_URL or other variables name, so nothing that {} says of databases is \
             used; --db NAME takes one of them",
            file.display()
        ));
    }
    remark_one_project(&source, &store, output);
    let interrupt = Interrupt::watch()?;
    let begun = Instant::now();
    let seals = seals.seals(&store.variables, environment.can_ask)?;
    let is_sealed = seals.is_some();
    if is_sealed {
        watch.sealed();
    }
    let repository = sealing(store.open(WhenMissing::Create)?, seals);
    let of_database = || Prefix::for_database(&source.config.database);
    let prefix = options.prefix.clone().unwrap_or_else(of_database);
    watch.at(&repository, &prefix);
    // To see whose the earlier backups are; without, it is believed that the name is right.
    let repository = match Keys::of_variables(&store.variables).give(repository.clone()) {
        Ok(repository) => repository,
        Err(error) => {
            output.remark(&format!("warning: {error}; earlier backups cannot be looked at"));
            repository
        }
    };
    let mut exported = Told::default();
    let opened = open_all(&exports, environment, &mut exported);
    let results = read_beside(&opened, &mut options, interrupt.token());
    let shown = progress::for_output(output);
    let made = backstay::back_up(
        &source.config,
        &repository,
        Timestamp::now(),
        &environment.programs,
        &options,
        &*shown,
        interrupt.token(),
    );
    shown.clear();
    if let Some(results) = results.take() {
        tell(&opened, results, environment, &mut exported);
        exported.give_reason(watch);
    }
    let witness = environment.witness();
    let report = match made {
        Ok(report) => report,
        // Who stopped it knows.
        Err(error @ BackupError::Cancelled) => return Err(error.into()),
        Err(error) => {
            // The log is in clear, and a message may name what an encrypted backup holds.
            let why = match is_sealed {
                true => NO_END.to_owned(),
                false => error.to_string(),
            };
            note_without_backup(&witness, &repository, Deed::Backup, Outcome::Failed, &prefix, &why);
            return Err(error.into());
        }
    };
    note(
        &witness,
        &repository,
        Deed::Backup,
        Outcome::Done,
        Some(&report.published.manifest.id),
        "",
    );
    watch.of_backup(&report.published.manifest.id);
    // Notes are for `doctor`; what was left out is part of the report.
    let warnings = |finding: &&PreflightFinding| finding.severity > PreflightSeverity::Note;
    for finding in report.findings.iter().filter(warnings) {
        output.remark(&finding_lines(finding));
    }
    for line in unasked(&report.published.manifest) {
        output.remark(&line);
    }
    let judged = rules.clone().map(|rules| judge(&repository, &report, rules, &witness));
    if let Some(judged) = &judged {
        watch.found(&judged.findings);
    }
    let took = begun.elapsed();
    let id = &report.published.manifest.id;
    let (also, exit) = copy_to_others(
        &repository,
        id,
        &also,
        options.read_back,
        output,
        &witness,
        interrupt.token(),
    );
    let drilled = (drill && exit != Exit::Cancelled)
        .then(|| {
            let mut drill = DrillOptions::default();
            drill.jobs = options.source.jobs;
            drill.rules = rules.unwrap_or_default();
            drill.recovery_limit = recovery_limit.as_ref().map(|limit| limit.limit);
            drill_at_once(&repository, id, drill, output, environment, &interrupt)
        })
        .transpose();
    if let Some(lost) = also.iter().find(|other| !other.ok) {
        watch.because(&format!("{} has not got the backup", lost.store));
    }
    if let Ok(Some(drilled)) = &drilled {
        watch.found(&drilled.findings);
    }
    let is_sound = judged.as_ref().is_none_or(Report::is_sound);
    let has_passed = match &drilled {
        Ok(drilled) => drilled.as_ref().is_none_or(DrillReport::passed),
        Err(_) => false,
    };
    let tells_of_loss = judged
        .as_ref()
        .is_some_and(|judged| judged.findings.iter().any(Finding::tells_of_loss));
    let doubt = match (is_sound, has_passed, tells_of_loss) {
        (false, ..) => Some("the rules found errors"),
        (true, false, _) => Some("the drill did not pass"),
        (true, true, true) => Some("by the rules rows may be lost"),
        (true, true, false) => None,
    };
    let mut removed = Ok(Vec::new());
    // While nobody knows whether the new one is any good, the older ones stay.
    match (retention.filter(|_| exit != Exit::Cancelled), doubt) {
        (Some(policy), None) => {
            removed = remove_old(&repository, &report, &policy, options.earlier, &witness, output);
        }
        (Some(_), Some(what)) => {
            complain(&format!(
                "no older backup was removed, whatever the retention says: {what}"
            ));
        }
        (None, _) => {}
    }
    // The backup is told of first, whatever became of older ones.
    let known = removed.as_deref().unwrap_or_default();
    let limit = recovery_limit.as_ref();
    match output {
        Output { form: Form::Json, .. } => {
            let drilled = drilled.as_ref().ok().and_then(Option::as_ref);
            let drilled = drilled.map(|drilled| drill_json(drilled, limit));
            let json = json(&report, &repository, took, known, &also, judged.as_ref(), drilled);
            print_json(&BackupJson {
                exports: &exported.exports,
                doubt,
                ..json
            })?;
        }
        Output {
            voice: Voice::Normal, ..
        } => {
            print_text(&text(
                &report,
                &repository,
                &store,
                took,
                known,
                &also,
                &exported.exports,
            ))?;
            if let Ok(Some(drilled)) = &drilled {
                print_text(&drill_text(drilled, limit))?;
            }
        }
        Output {
            voice: Voice::Quiet, ..
        } => {
            if let Ok(Some(drilled)) = &drilled
                && !drilled.passed()
            {
                complain(drill_text(drilled, limit).trim_end());
            }
        }
    }
    removed?;
    drilled?;
    Ok(match exit {
        Exit::Done if !(is_sound && has_passed) => Exit::Findings,
        Exit::Done => exported.exit,
        exit => exit,
    })
}

/// What became of exports, when it is known.
#[derive(Clone, Default)]
struct Awaited(Arc<Mutex<Option<Results>>>);

impl Awaited {
    fn lock(&self) -> MutexGuard<'_, Option<Results>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Results> {
        self.lock().take()
    }
}

/// Has exports made in the snapshot of a backup.
fn read_beside(
    opened: &[(&SettledNamedExport, ExportPlace)],
    options: &mut BackupOptions,
    cancel: &CancelToken,
) -> Awaited {
    let awaited = Awaited::default();
    if opened.is_empty() {
        return awaited;
    }
    let mut export_options = ExportOptions::default();
    export_options.lock_wait = options.source.lock_wait;
    export_options.read_back = options.read_back;
    let (exports, cancel, results) = (asked(opened), cancel.clone(), awaited.clone());
    options.in_snapshot = Some(InSnapshot::new(move |config, snapshot| {
        let now = Timestamp::now();
        let made = export_data_in_snapshot(config, snapshot, &exports, now, &export_options, &cancel);
        *results.lock() = Some(made);
    }));
    awaited
}

/// What to say of queries that gave no value in the snapshot.
fn unasked(manifest: &Manifest) -> impl Iterator<Item = String> {
    manifest.check_values.iter().filter_map(|check| match &check.outcome {
        CheckOutcome::Value(_) => None,
        CheckOutcome::Failed(reason) => Some(format!(
            "warning: the query of the check {:?} gave no value to compare a restored database with: {reason}",
            check.name
        )),
    })
}

/// Judges a backup that was just made by the rules, tells of findings, and notes them beside it.
fn judge(repository: &Repository, report: &BackupReport, rules: Rules, witness: &Witness) -> Report {
    let manifest = &report.published.manifest;
    let mut options = CheckOptions::default();
    options.now = Some(Timestamp::now());
    match earlier_volumes(repository, &manifest.id, rules.history) {
        Ok(earlier) => options.earlier = earlier,
        Err(error) => complain(&format!(
            "warning: the earlier backups cannot be looked at: {}",
            Failure::from(error).in_one_line()
        )),
    }
    options.rules = rules;
    // Of an encrypted one only who has a key can read the grants.
    let judged = backstay::judge(manifest, repository.open(&manifest.id).ok().as_ref(), &options);
    for finding in judged
        .findings
        .iter()
        .filter(|finding| finding.severity < Severity::Note)
    {
        let Finding {
            severity,
            rule,
            subject,
            message,
            ..
        } = finding;
        // Who asked for rules must hear of it, also who wants no remarks.
        complain(&format!("{severity}: [{rule}] {subject}: {message}"));
    }
    // Who asked for rules must hear where they say nothing.
    for what in &judged.not_checked {
        complain(&format!("not judged: {what}"));
    }
    let proof = proof_of(&judged, manifest.digest_key.is_some());
    if let Err(error) = repository.note_proof(&manifest.id, &witness.statement(""), &proof) {
        let why = Failure::from(error).in_one_line();
        complain(&format!("warning: what the rules say is not noted: {why}"));
    }
    judged
}

/// Tells where the backups would be deleted together with what they are of.
fn remark_one_project(source: &Resolved, store: &SettledStore, output: Output) {
    if let Some(project) = source.config.supabase_project()
        && supabase_project_of_store(&store.location, &store.variables).as_ref() == Some(&project)
    {
        output.remark(&format!(
            "warning: the bucket belongs to the project of the database ({project}): whoever deletes the project deletes \
             these backups with it; keep others elsewhere"
        ));
    }
}

/// The repository that makes backups as they are to be.
pub(super) fn sealing(repository: Repository, seals: Option<Seals>) -> Repository {
    match seals {
        Some(seals) => repository.with_seals(seals),
        None => repository,
    }
}

/// Removes backups of the same prefix that the policy lets go, oldest first, if they are of the same database; gives their
/// ids.
fn remove_old(
    repository: &Repository,
    report: &BackupReport,
    policy: &RetentionPolicy,
    earlier: EarlierBackups,
    witness: &Witness,
    output: Output,
) -> Result<Vec<String>, Failure> {
    let Manifest { id, source, .. } = &report.published.manifest;
    let is_ours = |other: &BackupId| {
        if other.prefix() != id.prefix() {
            return false;
        }
        let whose = match origin(repository, other, source) {
            Origin::OtherDatabase(other) => format!("it is of the database {other}"),
            Origin::OtherCluster if earlier == EarlierBackups::AsTheySay => "it is of another cluster".to_owned(),
            Origin::Unknown if earlier == EarlierBackups::AsTheySay => "nothing tells whose it is".to_owned(),
            Origin::Same | Origin::OtherCluster | Origin::Unknown => return true,
        };
        output.remark(&format!("warning: {other} stays, however old it is: {whose}"));
        false
    };
    let pruned = backstay::prune_database(repository, policy, is_ours, witness)?;
    for error in pruned.unnoted {
        complain_unnoted(error);
    }
    let mut removed = Vec::new();
    for (id, removal) in pruned.removed {
        match removal {
            Ok(_) => removed.push(id.to_string()),
            Err(error @ RepositoryError::Held { .. }) => drop(tell_unremoved(&id, error)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(removed)
}

fn text(
    report: &BackupReport,
    repository: &Repository,
    store: &SettledStore,
    took: Duration,
    removed: &[String],
    also: &[AlsoJson],
    exported: &[ExportJson],
) -> String {
    let published = &report.published;
    let manifest = &published.manifest;
    let mut columns = Columns::default();
    columns.row(["file".to_owned(), file_of_how_many(report, repository)]);
    columns.row(["size".to_owned(), bytes(published.bytes)]);
    columns.row(["holds".to_owned(), holdings(manifest)]);
    if let Some(platform) = platform_text(manifest) {
        columns.row(["platform".to_owned(), platform]);
    }
    columns.row(["took".to_owned(), duration(took)]);
    for omission in &manifest.omissions {
        let subject = format!("{}: {}", omission.subject, omission.reason);
        columns.row(["left out".to_owned(), subject]);
    }
    for other in also {
        let missing = if other.ok { "" } else { "NOT in " };
        columns.row(["also".to_owned(), format!("{missing}{}", other.store)]);
    }
    for export in exported {
        columns.row(["export".to_owned(), export.in_words()]);
    }
    for id in removed {
        columns.row(["removed".to_owned(), id.clone()]);
    }
    let mut next = format!("backstay verify {}", manifest.id);
    if let Some(argument) = &store.argument {
        next.push_str(&format!(" --store {}", quoted(argument)));
    }
    format!("{}\n{columns}{}next: {next}\n", manifest.id, elsewhere(manifest))
}

/// `Supabase (found by …)`, where the backup was made by the rules of a platform.
pub(super) fn platform_text(manifest: &Manifest) -> Option<String> {
    let platform = manifest.source.platform.as_ref()?;
    let name = platform.name.parse::<Platform>();
    let name = name.map_or_else(|_| platform.name.clone(), |known| known.to_string());
    Some(format!("{name} (found by {})", harmless(&platform.found_by)))
}

/// What no backup of the database can have, and where to save it.
pub(super) fn elsewhere(manifest: &Manifest) -> String {
    let platform = manifest.source.platform.as_ref();
    let platform = platform.and_then(|platform| platform.name.parse::<Platform>().ok());
    let list = platform.map_or(&[][..], Platform::kept_elsewhere);
    if list.is_empty() {
        return String::new();
    }
    let mut columns = Columns::default();
    for kept in list {
        columns.row([kept.what, kept.how]);
    }
    format!("not in the database, so save it as well\n{columns}")
}

fn file(report: &BackupReport, repository: &Repository) -> String {
    format!("{}/{}", repository.store().location(), report.published.pack)
}

/// The file, or the last of the volumes.
fn file_of_how_many(report: &BackupReport, repository: &Repository) -> String {
    let file = file(report, repository);
    match report.published.manifest.packs.len() {
        0 | 1 => file,
        volumes => format!("{file}, the last of {volumes} volumes"),
    }
}

/// `3 tables with 1,000 rows, 2 large objects`.
pub(super) fn holdings(manifest: &Manifest) -> String {
    let tables = tables_with_rows(manifest);
    let mut text = format!(
        "{} with {}",
        count(tables, "table", "tables"),
        count(manifest.row_count(), "row", "rows")
    );
    if let Some(objects) = manifest.large_objects.as_ref().filter(|objects| objects.count > 0) {
        text.push_str(&format!(", {}", count(objects.count, "large object", "large objects")));
    }
    text
}

/// How many tables have their rows in the backup; a partitioned one has none of its own.
pub(super) fn tables_with_rows(manifest: &Manifest) -> u64 {
    let has_rows = |table: &&Table| table.kind == TableKind::Table && matches!(table.rows, TableRows::Included { .. });
    manifest.tables.iter().filter(has_rows).count() as u64
}

#[derive(Serialize)]
struct BackupJson<'r> {
    id: String,
    database: String,
    store: String,
    file: String,
    files: Vec<&'r str>,
    sha256: String,
    bytes: u64,
    text_bytes: u64,
    tables: u64,
    rows: u64,
    large_objects: Option<u64>,
    duration_secs: f64,
    /// The platform by whose rules it was made; missing where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'r str>,
    left_out: Vec<LeftOutJson<'r>>,
    findings: Vec<FindingJson<'r>>,
    /// What the rules found; missing where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<Vec<JudgedJson<'r>>>,
    /// What the rules could not be held against; missing where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_checked: Option<&'r [String]>,
    also: &'r [AlsoJson],
    drill: Option<DrillJson<'r>>,
    /// The exports that accompany it; missing where there are none.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    exports: &'r [ExportJson],
    removed: &'r [String],
    /// Why older backups are better kept, whatever a retention says; missing where nothing speaks against the new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    doubt: Option<&'static str>,
}

#[derive(Serialize)]
struct LeftOutJson<'r> {
    subject: &'r str,
    reason: &'r str,
}

#[derive(Serialize)]
pub(super) struct FindingJson<'r> {
    severity: String,
    message: &'r str,
    hint: Option<&'r str>,
}

#[derive(Serialize)]
struct JudgedJson<'r> {
    severity: String,
    rule: &'r str,
    subject: &'r str,
    message: &'r str,
}

impl<'r> From<&'r Finding> for JudgedJson<'r> {
    fn from(finding: &'r Finding) -> Self {
        Self {
            severity: finding.severity.to_string(),
            rule: finding.rule,
            subject: &finding.subject,
            message: &finding.message,
        }
    }
}

impl<'r> From<&'r PreflightFinding> for FindingJson<'r> {
    fn from(finding: &'r PreflightFinding) -> Self {
        Self {
            severity: finding.severity.to_string(),
            message: &finding.message,
            hint: finding.hint.as_deref(),
        }
    }
}

fn json<'r>(
    report: &'r BackupReport,
    repository: &Repository,
    took: Duration,
    removed: &'r [String],
    also: &'r [AlsoJson],
    judged: Option<&'r Report>,
    drilled: Option<DrillJson<'r>>,
) -> BackupJson<'r> {
    let published = &report.published;
    let manifest = &published.manifest;
    let omissions = manifest.omissions.iter();
    BackupJson {
        id: manifest.id.to_string(),
        database: manifest.source.database.to_string(),
        store: repository.store().location(),
        file: file(report, repository),
        files: manifest.packs.iter().map(|pack| pack.name.as_str()).collect(),
        sha256: published.sha256.to_string(),
        bytes: published.bytes,
        text_bytes: manifest.members.iter().map(|member| member.text_bytes).sum(),
        tables: tables_with_rows(manifest),
        rows: manifest.row_count(),
        large_objects: manifest.large_objects.as_ref().map(|objects| objects.count),
        duration_secs: took.as_secs_f64(),
        platform: manifest.source.platform.as_ref().map(|platform| platform.name.as_str()),
        left_out: omissions
            .map(|omission| LeftOutJson {
                subject: &omission.subject,
                reason: &omission.reason,
            })
            .collect(),
        findings: report.findings.iter().map(FindingJson::from).collect(),
        rules: judged.map(|judged| judged.findings.iter().map(JudgedJson::from).collect()),
        not_checked: judged.map(|judged| &judged.not_checked[..]),
        also,
        drill: drilled,
        exports: &[],
        doubt: None,
        removed,
    }
}
