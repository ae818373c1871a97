use backstay::{BackupSummary, Listing, WhenMissing};
use jiff::Timestamp;
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Columns, Form, age, bytes, print_json, print_text, quoted, time};
use crate::settle::SettledList;

/// Lists the backups of a store; costs one listing and reads none of them.
pub(crate) fn list(settled: &SettledList) -> Result<Exit, Failure> {
    let repository = settled.store.open(WhenMissing::Fail)?;
    let listing = repository.list()?;
    let location = repository.store().location();
    match settled.output.form {
        Form::Json => print_json(&json(&listing, &location))?,
        Form::Text => print_text(&text(&listing, &location, Timestamp::now()))?,
    }
    Ok(Exit::Done)
}

fn text(listing: &Listing, location: &str, now: Timestamp) -> String {
    let mut text = String::new();
    for series in listing.backups.chunk_by(|a, b| a.id.prefix() == b.id.prefix()) {
        if let Some(first) = series.first() {
            text.push_str(&format!("{}\n{}", first.id.prefix(), table(series, now)));
        }
    }
    if listing.backups.is_empty() {
        text.push_str(&format!("no backups in {location}\n"));
    }
    if !listing.adoptable.is_empty() {
        text.push_str("packs without a manifest, which are no backups (yet):\n");
        for key in &listing.adoptable {
            text.push_str(&format!("  {key}\n"));
        }
        let hint = if location.contains("://") {
            "hint: a pack that is whole can be fetched, and then verified and restored by its path\n".to_owned()
        } else {
            let first = format!("{location}/{}", listing.adoptable[0]);
            let first = quoted(&first);
            format!("hint: a pack that is whole can be verified and restored by its path: backstay verify {first}\n")
        };
        text.push_str(&hint);
    }
    if !listing.unfinished.is_empty() {
        text.push_str("backups whose volumes are still being written, or will never be whole:\n");
        for id in &listing.unfinished {
            text.push_str(&format!("  {id}\n"));
        }
        text.push_str("hint: backstay prune --litter removes those to which nothing was added for seven days\n");
    }
    text
}

fn table(series: &[BackupSummary], now: Timestamp) -> Columns {
    let mut columns = Columns::default();
    columns.row(["ID", "TIME", "AGE", "SIZE", "FILES", "CHECKSUM"]);
    for backup in series {
        columns.row([
            backup.id.to_string(),
            time(backup.id.time()),
            age(now, backup.id.time()),
            bytes(backup.pack_bytes),
            backup.packs.len().to_string(),
            if backup.has_checksum { "yes" } else { "MISSING" }.to_owned(),
        ]);
    }
    columns
}

#[derive(Serialize)]
struct ListJson {
    store: String,
    backups: Vec<BackupJson>,
    adoptable: Vec<String>,
    unfinished: Vec<String>,
}

#[derive(Serialize)]
struct BackupJson {
    id: String,
    prefix: String,
    time: String,
    pack_bytes: u64,
    manifest_bytes: u64,
    packs: Vec<String>,
    has_checksum: bool,
    records: Vec<String>,
}

fn json(listing: &Listing, location: &str) -> ListJson {
    let texts = |keys: &[backstay::ObjectKey]| keys.iter().map(ToString::to_string).collect();
    let backup = |backup: &BackupSummary| BackupJson {
        id: backup.id.to_string(),
        prefix: backup.id.prefix().to_string(),
        time: backup.id.time().to_string(),
        pack_bytes: backup.pack_bytes,
        manifest_bytes: backup.manifest_bytes,
        packs: texts(&backup.packs),
        has_checksum: backup.has_checksum,
        records: texts(&backup.records),
    };
    ListJson {
        store: location.to_owned(),
        backups: listing.backups.iter().map(backup).collect(),
        adoptable: texts(&listing.adoptable),
        unfinished: listing.unfinished.iter().map(ToString::to_string).collect(),
    }
}
