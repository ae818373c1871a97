use backstay::{BackupId, Deed, LogItem, Outcome, Prefix, Repository, WhenMissing, Witness};
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Columns, Form, complain, harmless, print_json, print_text, time};
use crate::settle::SettledLog;

/// Prints the log of a store, oldest first.
pub(crate) fn log(settled: &SettledLog) -> Result<Exit, Failure> {
    let repository = settled.store.open(WhenMissing::Fail)?;
    let items = repository.log(&settled.filter)?;
    match settled.output.form {
        Form::Json => print_json(&items.iter().map(json).collect::<Vec<_>>())?,
        Form::Text if items.is_empty() => print_text("nothing was noted\n")?,
        Form::Text => print_text(&text(&items))?,
    }
    Ok(Exit::Done)
}

/// Notes in a store what was done with its backups. Where that fails, it is told, and the deed stands.
pub(super) fn note(
    witness: &Witness,
    repository: &Repository,
    deed: Deed,
    outcome: Outcome,
    id: Option<&BackupId>,
    detail: &str,
) {
    if let Err(error) = witness.note(repository, deed, outcome, id, detail) {
        complain_unnoted(error);
    }
}

/// Notes what came of a deed without a backup, for those of that prefix.
pub(super) fn note_without_backup(
    witness: &Witness,
    repository: &Repository,
    deed: Deed,
    outcome: Outcome,
    prefix: &Prefix,
    detail: &str,
) {
    if let Err(error) = witness.note_without_backup(repository, deed, outcome, prefix, detail) {
        complain_unnoted(error);
    }
}

/// Tells that an entry of the log could not be written.
pub(super) fn complain_unnoted(error: backstay::RepositoryError) {
    let why = Failure::from(error).in_one_line();
    complain(&format!("warning: it is not in the log of the store: {why}"));
}

fn text(items: &[LogItem]) -> String {
    let mut columns = Columns::default();
    columns.row(["TIME", "WHO", "FROM", "WHAT", "OUTCOME", "BACKUP", "MORE"]);
    for item in items {
        match &item.entry {
            Some(entry) => columns.row([
                time(entry.at),
                one_line(&entry.who),
                one_line(&entry.from),
                entry.deed.to_string(),
                entry.outcome.to_string(),
                entry.id.as_ref().map(ToString::to_string).unwrap_or_default(),
                one_line(&entry.detail),
            ]),
            None => columns.row([format!("{} cannot be understood", item.key)]),
        }
    }
    columns.to_string()
}

/// What others wrote into the store, for a cell of a table.
fn one_line(text: &str) -> String {
    harmless(&text.replace('\n', " "))
}

#[derive(Serialize)]
struct LogJson {
    object: String,
    understood: bool,
    at: Option<String>,
    who: Option<String>,
    from: Option<String>,
    deed: Option<String>,
    outcome: Option<String>,
    id: Option<String>,
    detail: Option<String>,
}

fn json(item: &LogItem) -> LogJson {
    let entry = item.entry.as_ref();
    LogJson {
        object: item.key.to_string(),
        understood: entry.is_some(),
        at: entry.map(|entry| entry.at.to_string()),
        who: entry.map(|entry| entry.who.clone()),
        from: entry.map(|entry| entry.from.clone()),
        deed: entry.map(|entry| entry.deed.to_string()),
        outcome: entry.map(|entry| entry.outcome.to_string()),
        id: entry.and_then(|entry| entry.id.as_ref()).map(ToString::to_string),
        detail: entry.map(|entry| entry.detail.clone()),
    }
}
