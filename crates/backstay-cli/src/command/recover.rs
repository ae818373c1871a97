//! Leads through a recovery: what happened, which backup, and then `restore`.

use std::io::{self, BufRead, Read as _, Write as _};

use backstay::manifest::Scope;
use backstay::{
    BackupSummary, PlatformChoice, Repository, RepositoryError, TargetError, WhenMissing, find_project, resolve_source,
};
use clap::ValueEnum as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::args::{HappenedArgument, RestoreArguments};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Columns, Output, age, bytes, complain, count, harmless, quoted, time};
use crate::select::{BackupName, all_of, looks_like_a_connection};
use crate::settle::SettledRecover;

use super::restoring;

/// More than any answer has.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// Backups that are shown.
const BACKUPS_SHOWN: usize = 10;

const HAPPENED: &str = "what happened?\n  \
    rows    rows were deleted or overwritten, and the rest is good\n  \
    damage  the database is damaged, or a migration spoilt it\n  \
    gone    the database, or the server, is gone";

/// A question that nobody answered.
#[derive(Debug, thiserror::Error)]
#[error("nobody answered: {question}")]
pub(crate) struct NoAnswer {
    pub(crate) question: &'static str,
    /// The option that answers it.
    pub(crate) option: &'static str,
}

/// Asks for what was not typed, shows the command that comes of it, and runs that.
pub(crate) fn recover(settled: SettledRecover, environment: &Environment) -> Result<Exit, Failure> {
    let typed = &settled.typed;
    let happened = match typed.what {
        Some(happened) => happened,
        None => {
            complain(HAPPENED);
            ask("rows, damage or gone", "--what", |answer| {
                HappenedArgument::from_str(answer, true).map_err(|_| "one of the three words")
            })?
        }
    };
    SettledRecover::check(typed, happened)?;
    let to = match typed.to.clone() {
        Some(to) => to,
        None => ask("which database (its name, or a URL)", "--to", |answer| {
            Ok(answer.to_owned())
        })?,
    };
    let database = match &typed.database {
        Some(database) => database.clone(),
        None => resolve_source(Some(&to), &environment.variables)?.config.database,
    };
    let (latest, store) = settled.latest(&database, environment)?;
    let backup = match &typed.backup {
        Some(backup) if backup.parse::<usize>().is_err() => backup.clone(),
        backup => {
            let repository = latest.keys.give(latest.store.open(WhenMissing::Fail)?)?;
            let found = match &latest.name {
                BackupName::Latest { database: Some(prefix) } => all_of(&repository, prefix)?,
                _ => all_of(&repository, &database)?,
            };
            if backup.is_none() || environment.can_ask {
                complain(&table(&repository, &found)?);
            }
            match backup {
                Some(number) => pick(&found, number).map_err(|_| NoAnswer {
                    question: "that number is not in the list",
                    option: "--backup",
                })?,
                None => ask("which backup (its number, or an id)", "--backup", |answer| {
                    pick(&found, answer)
                })?,
            }
        }
    };
    let typed = settled.typed;
    let mut restore = RestoreArguments {
        database: (backup == "latest").then_some(database),
        backup: Some(backup),
        store,
        identity: typed.identity,
        to,
        dry_run: typed.dry_run,
        yes: typed.yes,
        output: typed.output,
        asks_any_input: true,
        ..RestoreArguments::default()
    };
    let is_project = || -> Result<bool, Failure> {
        let config = resolve_source(Some(&restore.to), &environment.variables)?.config;
        match find_project(&config, PlatformChoice::Auto) {
            Ok(found) => Ok(found.is_some()),
            // Whoever restores meets it again, or it is what happened.
            Err(TargetError::Connect(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    };
    match happened {
        HappenedArgument::Rows => {
            restore.table = typed.table;
            if restore.table.is_empty() {
                restore.table = ask(
                    "which tables (schema.table, with blanks between)",
                    "--table",
                    |answer| Ok(answer.split_whitespace().map(str::to_owned).collect()),
                )?;
            }
            restore.into_schema = Some(typed.into_schema.unwrap_or_else(rescue_schema));
        }
        // What is the platform's stays, and is not in another database.
        HappenedArgument::Damage if is_project()? => {
            restore.clean = true;
            restore.single_transaction = true;
            restore.prove = true;
        }
        HappenedArgument::Damage => restore.swap = true,
        // A new one, whose database the platform has made.
        HappenedArgument::Gone if is_project()? => restore.prove = true,
        HappenedArgument::Gone => {
            restore.create = true;
            restore.globals = true;
            restore.prove = true;
        }
    }
    Output::from(restore.output).remark(&format!("this runs: {}", command_line(&restore)));
    restoring(restore, environment)
}

fn rescue_schema() -> String {
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    format!("rescue_{}", now.strftime("%Y%m%d_%H%M%S"))
}

fn table(repository: &Repository, backups: &[BackupSummary]) -> Result<String, Failure> {
    let now = Timestamp::now();
    let mut columns = Columns::default();
    columns.row(["", "ID", "TIME", "AGE", "SIZE", "PROVEN", "LEFT OUT"]);
    for (index, backup) in backups.iter().take(BACKUPS_SHOWN).enumerate() {
        columns.row([
            (index + 1).to_string(),
            backup.id.to_string(),
            time(backup.id.time()),
            age(now, backup.id.time()),
            bytes(backup.pack_bytes),
            proven(backup).to_owned(),
            left_out(repository, backup)?,
        ]);
    }
    let location = repository.store().location();
    let mut text = format!("the newest backups in {location}; take the newest from before it happened:\n{columns}");
    let older = backups.len().saturating_sub(BACKUPS_SHOWN) as u64;
    if older > 0 {
        text.push_str(&format!(
            "and {}: backstay list shows all, and each can be named by its id",
            count(older, "older backup", "older backups")
        ));
    }
    Ok(text.trim_end().to_owned())
}

/// What the newest look at a backup came to, by the names of its proofs.
fn proven(backup: &BackupSummary) -> &'static str {
    let proofs = backup.proofs();
    match proofs.iter().find(|proof| proof.is_of_the_backup()) {
        Some(proof) if !proof.passed => "FAILED",
        Some(proof) if proof.decides() => "yes",
        Some(_) | None => "not yet",
    }
}

/// What was to be left out of a backup.
fn left_out(repository: &Repository, backup: &BackupSummary) -> Result<String, Failure> {
    let sidecar = match repository.read_sidecar(&backup.id) {
        Ok(sidecar) => sidecar,
        Err(error @ RepositoryError::Store(_)) if !error.is_not_found() => return Err(error.into()),
        Err(_) => return Ok("its manifest cannot be read".to_owned()),
    };
    Ok(match sidecar.scope() {
        Scope::All => "nothing".to_owned(),
        Scope::Part(_) if sidecar.is_sealed() => "something; it is encrypted".to_owned(),
        Scope::Part(left_out) => harmless(&left_out),
        Scope::Unknown => "unknown; it is encrypted".to_owned(),
    })
}

/// The backup that a number of the list means; everything else is for `restore` to understand.
fn pick(backups: &[BackupSummary], answer: &str) -> Result<String, &'static str> {
    let Ok(number) = answer.parse::<usize>() else {
        return Ok(answer.to_owned());
    };
    let mut shown = backups.iter().take(BACKUPS_SHOWN);
    let found = number.checked_sub(1).and_then(|index| shown.nth(index));
    Ok(found.ok_or("a number of the list, or an id")?.id.to_string())
}

/// Asks until there is an answer that can be understood; an empty line is none.
fn ask<T>(
    question: &'static str,
    option: &'static str,
    understand: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<T, Failure> {
    loop {
        let mut stderr = io::stderr();
        write!(stderr, "{question}: ")?;
        stderr.flush()?;
        let mut line = Vec::new();
        let length = io::stdin().lock().take(ANSWER_BYTES_MAX).read_until(b'\n', &mut line)?;
        if length == 0 {
            complain("");
            return Err(NoAnswer { question, option }.into());
        }
        let answer = String::from_utf8_lossy(&line).trim().to_owned();
        if answer.is_empty() {
            continue;
        }
        match understand(&answer) {
            Ok(understood) => return Ok(understood),
            Err(expected) => complain(&format!("{answer:?} is not {expected}")),
        }
    }
}

/// The command that does the same.
fn command_line(restore: &RestoreArguments) -> String {
    let mut words = vec!["backstay restore".to_owned()];
    let mut option = |name: &str, value: &str| words.push(format!("{name}{}", quoted(value)));
    option("", restore.backup.as_deref().unwrap_or_default());
    if let Some(store) = &restore.store {
        option("--store ", store);
    }
    if let Some(database) = &restore.database {
        option("--database ", database);
    }
    for identity in &restore.identity.identity {
        option("--identity ", &identity.to_string_lossy());
    }
    for table in &restore.table {
        option("--table ", table);
    }
    if let Some(schema) = &restore.into_schema {
        option("--into-schema ", schema);
    }
    // A connection may have a password in it.
    let to = if looks_like_a_connection(&restore.to) {
        "URL"
    } else {
        &restore.to
    };
    option("--to ", to);
    let flags = [
        (restore.swap, "--swap"),
        (restore.clean, "--clean"),
        (restore.single_transaction, "--single-transaction"),
        (restore.create, "--create"),
        (restore.globals, "--globals"),
        (restore.prove, "--prove"),
    ];
    let flags = flags.into_iter().filter(|(is_set, _)| *is_set);
    words.extend(flags.map(|(_, flag)| flag.to_owned()));
    harmless(&words.join(" "))
}
