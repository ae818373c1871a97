use std::collections::BTreeMap;

use backstay::{BackupId, BackupSummary, Hold, Listing, ProofSummary, WhenMissing};
use jiff::Timestamp;
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Columns, Form, age, bytes, harmless, print_json, print_text, quoted, time};
use crate::settle::SettledList;

use super::hold::HeldJson;

/// Lists the backups of a store; costs one listing, and reads nothing but the records of what was ever held.
pub(crate) fn list(settled: &SettledList) -> Result<Exit, Failure> {
    let repository = settled.store.open(WhenMissing::Fail)?;
    let listing = repository.list()?;
    let now = Timestamp::now();
    let mut holds = BTreeMap::new();
    for backup in &listing.backups {
        // Only what was ever held is looked at.
        if backup.records.iter().any(|record| record.as_str().contains(".hold-")) {
            holds.insert(backup.id.clone(), repository.holds(&backup.id, now)?);
        }
    }
    let holds = Holds(holds);
    let location = repository.store().location();
    match settled.output.form {
        Form::Json => print_json(&json(&listing, &holds, &location))?,
        Form::Text => print_text(&text(&listing, &holds, &location, now))?,
    }
    Ok(Exit::Done)
}

/// The holds in force of what was ever held.
struct Holds(BTreeMap<BackupId, Vec<Hold>>);

impl Holds {
    fn of(&self, id: &BackupId) -> &[Hold] {
        self.0.get(id).map(Vec::as_slice).unwrap_or_default()
    }
}

fn text(listing: &Listing, holds: &Holds, location: &str, now: Timestamp) -> String {
    let mut text = String::new();
    for series in listing.backups.chunk_by(|a, b| a.id.prefix() == b.id.prefix()) {
        if let Some(first) = series.first() {
            text.push_str(&format!("{}\n{}", first.id.prefix(), table(series, holds, now)));
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

fn table(series: &[BackupSummary], holds: &Holds, now: Timestamp) -> Columns {
    let mut columns = Columns::default();
    let is_any_held = series.iter().any(|backup| !holds.of(&backup.id).is_empty());
    let held = |held: String| is_any_held.then_some(held);
    let heading = ["ID", "TIME", "AGE", "SIZE", "FILES", "CHECKSUM", "PROVEN"].map(str::to_owned);
    columns.row(heading.into_iter().chain(held("HELD".to_owned())));
    for backup in series {
        let why = holds
            .of(&backup.id)
            .iter()
            .map(|hold| hold.facts().to_string().replace('\n', " "));
        let why: Vec<String> = why.map(|why| harmless(why.trim_start_matches([' ', ':']))).collect();
        let cells = [
            backup.id.to_string(),
            time(backup.id.time()),
            age(now, backup.id.time()),
            bytes(backup.pack_bytes),
            backup.packs.len().to_string(),
            if backup.has_checksum { "yes" } else { "MISSING" }.to_owned(),
            proven(backup),
        ];
        columns.row(cells.into_iter().chain(held(why.join("; "))));
    }
    columns
}

/// How deeply and when it was last proven; of a later proof that failed, that one.
fn proven(backup: &BackupSummary) -> String {
    let proofs = backup.proofs();
    let Some(newest) = proofs.iter().find(|proof| proof.is_of_the_backup()) else {
        return "never".to_owned();
    };
    let failed = if newest.passed { "" } else { "FAILED " };
    format!("{failed}{} {}", newest.level, newest.at.strftime("%Y-%m-%d"))
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
    /// Newest first.
    proofs: Vec<ProofJson>,
    holds: Vec<HeldJson>,
}

#[derive(Serialize)]
struct ProofJson {
    at: String,
    level: String,
    passed: bool,
}

impl From<ProofSummary> for ProofJson {
    fn from(proof: ProofSummary) -> Self {
        Self {
            at: proof.at.to_string(),
            level: proof.level,
            passed: proof.passed,
        }
    }
}

fn json(listing: &Listing, holds: &Holds, location: &str) -> ListJson {
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
        proofs: backup.proofs().into_iter().map(ProofJson::from).collect(),
        holds: holds.of(&backup.id).iter().map(HeldJson::from).collect(),
    };
    ListJson {
        store: location.to_owned(),
        backups: listing.backups.iter().map(backup).collect(),
        adoptable: texts(&listing.adoptable),
        unfinished: listing.unfinished.iter().map(ToString::to_string).collect(),
    }
}
