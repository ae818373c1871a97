//! Rows of single tables, put beside the living ones.

use std::time::Instant;

use backstay::{Archive, BackupReader, Deed, Level, Outcome, Repository, RescuePlan, plan_rescue};
use serde::Serialize;

use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output::{Columns, Form, Voice, complain, count, duration, print_json, print_text};
use crate::progress;
use crate::select::open_archive;
use crate::settle::{Confirmation, RestoreMode, SettledRescue};

use super::super::log::note;
use super::super::remark_warnings;
use super::{RestoreRefused, check_sound, confirm};

/// Puts tables of a backup into a new schema of a database, and prints a script that copies their rows back.
pub(super) fn rescue(settled: &SettledRescue, environment: &Environment) -> Result<Exit, Failure> {
    remark_warnings(&settled.target, settled.output);
    let interrupt = Interrupt::watch()?;
    let archive = open_archive(&settled.backup)?;
    let reader = match &archive {
        Archive::Backup(reader) | Archive::Pack(reader) => reader,
        Archive::Sealed { manifest, .. } => {
            let recipients = manifest.recipients.clone();
            return Err(RestoreRefused::Sealed { recipients }.into());
        }
        Archive::Foreign { .. } => return Err(RestoreRefused::OnlyForBackups(vec!["--into-schema"]).into()),
    };
    let config = &settled.target.config;
    let shown = progress::for_output(settled.output);
    let plan = plan_rescue(reader, config, &settled.tables, &settled.schema)?;
    let level = match settled.mode {
        RestoreMode::Show => Level::Quick,
        RestoreMode::Restore(_) => Level::Standard,
    };
    check_sound(&archive, level, &settled.backup, environment, &*shown, &interrupt)?;
    let described = describe(reader, &plan);
    match (settled.mode, settled.output.form) {
        (RestoreMode::Show, Form::Json) => print_json(&json(&plan, true))?,
        (RestoreMode::Show, Form::Text) => print_text(&described)?,
        (RestoreMode::Restore(Confirmation::Ask), _) => complain(described.trim_end()),
        (RestoreMode::Restore(Confirmation::Given), _) => settled.output.remark(described.trim_end()),
    }
    match settled.mode {
        RestoreMode::Show => return Ok(Exit::Done),
        RestoreMode::Restore(Confirmation::Ask) => interrupt.while_asking(|| confirm::ask(&config.database))?,
        RestoreMode::Restore(Confirmation::Given) => {}
    }
    let begun = Instant::now();
    let rescued = backstay::rescue(reader, &plan, config, &*shown, interrupt.token());
    shown.clear();
    if matches!(archive, Archive::Backup(_)) {
        let outcome = if rescued.is_ok() {
            Outcome::Done
        } else {
            Outcome::Failed
        };
        let repository = Repository::new(reader.store().clone());
        let into = format!("tables into the schema {} of {}", plan.schema, plan.database);
        let id = &reader.manifest().id;
        note(
            &environment.witness(),
            &repository,
            Deed::Restore,
            outcome,
            Some(id),
            &into,
        );
    }
    rescued?;
    if settled.output.form == Form::Json {
        print_json(&json(&plan, false))?;
        return Ok(Exit::Done);
    }
    if settled.output.voice == Voice::Normal {
        complain(&format!(
            "{} with {}, each compared with the backup, {} in the schema {} of {}; nothing else was changed (took {})",
            count(plan.tables.len() as u64, "table", "tables"),
            count(plan.rows(), "row", "rows"),
            if plan.tables.len() == 1 { "is" } else { "are" },
            plan.schema,
            plan.database,
            duration(begun.elapsed())
        ));
        complain(
            "look at the rows; then run what follows by psql, with a WHERE where not all that are missing shall come back:",
        );
    }
    print_text(&String::from_utf8_lossy(&plan.copy_back))?;
    Ok(Exit::Done)
}

fn describe(reader: &BackupReader, plan: &RescuePlan) -> String {
    let manifest = reader.manifest();
    let mut text = format!(
        "backup     {} of database {}\n\
         taken      {} from PostgreSQL {}\n\
         target     the new schema {} of {} on PostgreSQL {} as {}\n\
         changes    nothing that is there\n",
        manifest.id,
        manifest.source.database,
        manifest.taken_at,
        manifest.source.server_version,
        plan.schema,
        plan.database,
        plan.server_version,
        plan.role
    );
    let mut columns = Columns::default();
    for table in &plan.tables {
        columns.row([table.name.clone(), count(table.rows, "row", "rows")]);
    }
    text.push_str(&columns.to_string());
    for warning in &plan.warnings {
        text.push_str(&format!("warning    {warning}\n"));
    }
    text
}

#[derive(Serialize)]
struct RescueJson<'p> {
    dry_run: bool,
    database: &'p str,
    schema: &'p str,
    tables: Vec<TableJson<'p>>,
    rows: u64,
    warnings: &'p [String],
    copy_back: String,
}

#[derive(Serialize)]
struct TableJson<'p> {
    table: &'p str,
    rows: u64,
}

fn json(plan: &RescuePlan, dry_run: bool) -> RescueJson<'_> {
    let tables = plan.tables.iter().map(|table| TableJson {
        table: &table.name,
        rows: table.rows,
    });
    RescueJson {
        dry_run,
        database: &plan.database,
        schema: &plan.schema,
        tables: tables.collect(),
        rows: plan.rows(),
        warnings: &plan.warnings,
        copy_back: String::from_utf8_lossy(&plan.copy_back).into_owned(),
    }
}
