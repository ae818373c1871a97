use std::sync::Arc;
use std::time::{Duration, Instant};

use backstay::export::{
    Export, ExportError, ExportOptions, ExportPlace, PublishedExport, SubjectPlan, export_data, export_subject,
    plan_subject, prune_exports,
};
use backstay::{Deed, LogEntry, Outcome, Prefix, Repository, WhenMissing, Witness};
use jiff::Timestamp;
use serde::Serialize;

use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::notify::Watch;
use crate::output::{Columns, Form, Output, Voice, bytes, complain, count, duration, print_json, print_text};
use crate::settle::{
    ExportWhat, ExportsOfDatabase, SettledExport, SettledNamedExport, SettledPlace, SettledSubject, SubjectMode,
};

use super::drill::NO_END;
use super::log::{complain_unnoted, note, note_without_backup};
use super::remark_warnings;

/// Exports rows for other programs, or what belongs to a person.
pub(crate) fn export(settled: &SettledExport, environment: &Environment, watch: &Watch<'_>) -> Result<Exit, Failure> {
    let interrupt = Interrupt::watch()?;
    match &settled.what {
        ExportWhat::Named(groups) => {
            for group in groups {
                watch.of_section(group.section.as_deref());
                if group.exports.iter().any(|export| export.place.seals.names_somebody()) {
                    watch.sealed();
                }
            }
            export_named(groups, settled, environment, &interrupt, watch)
        }
        ExportWhat::Subject(subject) => export_person(subject, settled, environment, &interrupt),
    }
}

fn export_named(
    groups: &[ExportsOfDatabase],
    settled: &SettledExport,
    environment: &Environment,
    interrupt: &Interrupt,
    watch: &Watch<'_>,
) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let mut told = Told::default();
    for group in groups {
        if interrupt.token().is_cancelled() {
            told.fail(group.exports.iter(), &Failure::from(ExportError::Cancelled));
        } else {
            export_group(group, settled, environment, interrupt, watch, &mut told);
        }
    }
    told.give_reason(watch);
    match settled.output {
        Output { form: Form::Json, .. } => print_json(&told.exports)?,
        Output {
            voice: Voice::Normal, ..
        } => print_text(&text(&told.exports, begun.elapsed()))?,
        Output {
            voice: Voice::Quiet, ..
        } => {}
    }
    Ok(told.exit)
}

/// What became of exports, and the exit status of the first that failed.
pub(super) struct Told {
    pub(super) exports: Vec<ExportJson>,
    pub(super) exit: Exit,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            exports: Vec::new(),
            exit: Exit::Done,
        }
    }
}

impl Told {
    /// Says why, where one failed.
    pub(super) fn give_reason(&self, watch: &Watch<'_>) {
        let failed = self.exports.iter();
        if let Some((name, error)) = failed
            .into_iter()
            .find_map(|one| Some((&one.name, one.error.as_ref()?)))
        {
            watch.because(&format!("{name}: {error}"));
        }
    }

    /// Tells that exports failed together, and were not made.
    fn fail<'e>(&mut self, exports: impl Iterator<Item = &'e SettledNamedExport>, failure: &Failure) {
        let error = failure.in_one_line();
        let exports: Vec<ExportJson> = exports.map(|export| ExportJson::failed(export, &error)).collect();
        let names: Vec<&str> = exports.iter().map(|export| export.name.as_str()).collect();
        self.complain(&names.join(", "), failure);
        self.exports.extend(exports);
    }

    fn complain(&mut self, names: &str, failure: &Failure) {
        complain(&format!("export {names}: {}", failure.report()));
        if self.exit == Exit::Done {
            self.exit = failure.exit();
        }
    }
}

/// Makes the exports of one database. Whatever fails, the others are made.
fn export_group(
    group: &ExportsOfDatabase,
    settled: &SettledExport,
    environment: &Environment,
    interrupt: &Interrupt,
    watch: &Watch<'_>,
    told: &mut Told,
) {
    remark_warnings(&group.source, settled.output);
    let opened = open_all(&group.exports, environment, told);
    if opened.is_empty() {
        return;
    }
    for (export, place) in &opened {
        watch.at(&Repository::new(Arc::clone(&place.store)), &export.name);
    }
    let (config, now) = (&group.source.config, Timestamp::now());
    let results = export_data(config, &asked(&opened), now, &settled.options, interrupt.token());
    tell(&opened, results, environment, told);
}

/// Opens the stores of all, before rows are read for one of them; those of which that fails are told of.
pub(super) fn open_all<'e>(
    exports: &'e [SettledNamedExport],
    environment: &Environment,
    told: &mut Told,
) -> Vec<(&'e SettledNamedExport, ExportPlace)> {
    let mut opened = Vec::new();
    for export in exports {
        match open(&export.place, environment) {
            Ok(place) => opened.push((export, place)),
            Err(failure) => told.fail([export].into_iter(), &failure),
        }
    }
    opened
}

/// What became of exports that were read together.
pub(super) type Results = Result<Vec<(Prefix, Result<PublishedExport, ExportError>)>, ExportError>;

/// Tells and notes what became of exports, and removes older ones where there is a new one.
pub(super) fn tell(
    opened: &[(&SettledNamedExport, ExportPlace)],
    results: Results,
    environment: &Environment,
    told: &mut Told,
) {
    let witness = environment.witness();
    let log_failed = |export: &SettledNamedExport, place: &ExportPlace, detail: &str| {
        let repository = Repository::new(Arc::clone(&place.store));
        // The log is in clear, and a message may name what an encrypted export holds.
        let detail = if place.sealer.is_some() { NO_END } else { detail };
        let failed = Outcome::Failed;
        note_without_backup(&witness, &repository, Deed::Export, failed, &export.name, detail);
    };
    let results = match results {
        Ok(results) => results,
        Err(error) => {
            for (export, place) in opened {
                log_failed(export, place, &format!("{}: {error}", export.name));
            }
            return told.fail(opened.iter().map(|(export, _)| *export), &Failure::from(error));
        }
    };
    for ((export, place), (name, made)) in opened.iter().zip(results) {
        match made {
            Ok(made) => {
                log_made(&made, place, &witness);
                let mut one = ExportJson::made(&made, place);
                if let Err(error) = prune(export, &made, place, &witness, &mut one) {
                    told.complain(name.as_str(), &Failure::from(error));
                }
                told.exports.push(one);
            }
            Err(error) => {
                log_failed(export, place, &format!("{name}: {error}"));
                told.fail([*export].into_iter(), &Failure::from(error));
            }
        }
    }
}

/// Notes an export with what tells, to a scheduler, for which time and of which database it is.
fn log_made(made: &PublishedExport, place: &ExportPlace, witness: &Witness) {
    let manifest = &made.manifest;
    let entry = LogEntry {
        at: (witness.clock)(),
        who: witness.who.clone(),
        from: witness.from.clone(),
        deed: Deed::Export,
        outcome: Outcome::Done,
        id: None,
        prefix: Some(manifest.id.name().clone()),
        begun_at: Some(manifest.taken_at),
        source: manifest.source,
        detail: manifest.id.to_string(),
    };
    if let Err(error) = Repository::new(Arc::clone(&place.store)).note(&entry) {
        complain_unnoted(error);
    }
}

fn open(place: &SettledPlace, environment: &Environment) -> Result<ExportPlace, Failure> {
    let seals = place.seals.seals(&place.store.variables, environment.can_ask)?;
    let repository = place.store.open(WhenMissing::Create)?;
    Ok(ExportPlace {
        store: Arc::clone(repository.store()),
        folder: place.folder.clone(),
        sealer: seals.map(|seals| seals.packs),
    })
}

/// What is asked of the library.
pub(super) fn asked(opened: &[(&SettledNamedExport, ExportPlace)]) -> Vec<Export> {
    let asked = opened.iter().map(|(export, place)| Export {
        name: export.name.clone(),
        rows: export.rows.clone(),
        format: export.format,
        compression: export.compression,
        place: place.clone(),
    });
    asked.collect()
}

/// Removes older exports that their retention lets go, and what crashes left, once there is a new one.
fn prune(
    export: &SettledNamedExport,
    made: &PublishedExport,
    place: &ExportPlace,
    witness: &Witness,
    told: &mut ExportJson,
) -> Result<(), backstay::StoreError> {
    let Some(policy) = &export.retention else { return Ok(()) };
    let (store, source) = (&*place.store, made.source.as_ref());
    let pruned = prune_exports(store, &place.folder, &export.name, policy, source, (witness.clock)())?;
    let repository = Repository::new(Arc::clone(&place.store));
    for id in pruned.removed.iter().chain(&pruned.litter) {
        note(
            witness,
            &repository,
            Deed::Deletion,
            Outcome::Done,
            None,
            &format!("the export {id}"),
        );
        told.removed.push(id.to_string());
    }
    Ok(())
}

#[derive(Serialize)]
pub(super) struct ExportJson {
    name: String,
    id: Option<String>,
    file: Option<String>,
    format: &'static str,
    rows: Option<u64>,
    bytes: Option<u64>,
    sha256: Option<String>,
    removed: Vec<String>,
    error: Option<String>,
}

impl ExportJson {
    fn made(made: &PublishedExport, place: &ExportPlace) -> Self {
        let manifest = &made.manifest;
        Self {
            name: manifest.id.name().to_string(),
            id: Some(manifest.id.to_string()),
            file: Some(format!("{}/{}", place.store.location(), made.file.key)),
            format: manifest.format.name(),
            rows: Some(manifest.rows),
            bytes: Some(manifest.bytes),
            sha256: Some(manifest.sha256.to_string()),
            removed: Vec::new(),
            error: None,
        }
    }

    /// `users_20261130_021500 (12 rows)`.
    pub(super) fn in_words(&self) -> String {
        match (&self.id, self.rows) {
            (Some(id), Some(rows)) => format!("{id} ({})", count(rows, "row", "rows")),
            _ => format!("NOT MADE: {}", self.name),
        }
    }

    fn failed(export: &SettledNamedExport, error: &str) -> Self {
        Self {
            name: export.name.to_string(),
            id: None,
            file: None,
            format: export.format.name(),
            rows: None,
            bytes: None,
            sha256: None,
            removed: Vec::new(),
            error: Some(error.to_owned()),
        }
    }
}

fn text(told: &[ExportJson], took: Duration) -> String {
    let mut columns = Columns::default();
    columns.row(["EXPORT", "ROWS", "SIZE", "FILE"]);
    for one in told {
        let missing = || "NOT MADE".to_owned();
        columns.row([
            one.name.clone(),
            one.rows.map(|rows| count(rows, "row", "rows")).unwrap_or_default(),
            one.bytes.map(bytes).unwrap_or_default(),
            one.file.clone().unwrap_or_else(missing),
        ]);
    }
    let mut text = columns.to_string();
    for removed in told.iter().flat_map(|one| &one.removed) {
        text.push_str(&format!("removed {removed}\n"));
    }
    format!("{text}took {}\n", duration(took))
}

fn export_person(
    settled: &SettledSubject,
    of_all: &SettledExport,
    environment: &Environment,
    interrupt: &Interrupt,
) -> Result<Exit, Failure> {
    let SettledExport { options, output, .. } = of_all;
    remark_warnings(&settled.source, *output);
    let (plan, description) = match settled.mode {
        SubjectMode::Show => {
            let config = &settled.source.config;
            (
                plan_subject(config, &settled.subject, &settled.links, options, interrupt.token())?,
                None,
            )
        }
        SubjectMode::Write => {
            let (plan, description) = write(settled, options, environment, interrupt)?;
            (plan, Some(description))
        }
    };
    match output {
        Output { form: Form::Json, .. } => print_json(&subject_json(&plan, description.as_deref()))?,
        Output {
            voice: Voice::Normal, ..
        } => print_text(&subject_text(&plan, description.as_deref()))?,
        Output {
            voice: Voice::Quiet, ..
        } => {}
    }
    Ok(Exit::Done)
}

fn write(
    settled: &SettledSubject,
    options: &ExportOptions,
    environment: &Environment,
    interrupt: &Interrupt,
) -> Result<(SubjectPlan, String), Failure> {
    let place = open(&settled.place, environment)?;
    let made = export_subject(
        &settled.source.config,
        &settled.subject,
        &settled.links,
        &place,
        Timestamp::now(),
        options,
        interrupt.token(),
    );
    let witness = environment.witness();
    let repository = Repository::new(Arc::clone(&place.store));
    // Whose rows they are is nobody's business who reads the log.
    match made {
        Ok(made) => {
            let description = made.description.to_string();
            note(&witness, &repository, Deed::Export, Outcome::Done, None, &description);
            Ok((made.plan, format!("{}/{description}", place.store.location())))
        }
        Err(error) => {
            note(
                &witness,
                &repository,
                Deed::Export,
                Outcome::Failed,
                None,
                "what belongs to a person",
            );
            Err(error.into())
        }
    }
}

#[derive(Serialize)]
struct SubjectJson<'p> {
    description: Option<&'p str>,
    tables: Vec<SubjectTableJson<'p>>,
}

#[derive(Serialize)]
struct SubjectTableJson<'p> {
    table: &'p str,
    rows: u64,
    by: &'p [String],
}

fn subject_json<'p>(plan: &'p SubjectPlan, description: Option<&'p str>) -> SubjectJson<'p> {
    let tables = plan.tables.iter();
    SubjectJson {
        description,
        tables: tables
            .map(|table| SubjectTableJson {
                table: &table.table,
                rows: table.rows,
                by: &table.by,
            })
            .collect(),
    }
}

fn subject_text(plan: &SubjectPlan, description: Option<&str>) -> String {
    let mut columns = Columns::default();
    columns.row(["TABLE", "ROWS", "BY"]);
    for table in &plan.tables {
        let by = if table.by.is_empty() {
            "the row that was named".to_owned()
        } else {
            table.by.join("; ")
        };
        columns.row([table.table.clone(), count(table.rows, "row", "rows"), by]);
    }
    match description {
        Some(description) => format!("{columns}described in {description}\n"),
        None => format!("{columns}nothing was written\n"),
    }
}
