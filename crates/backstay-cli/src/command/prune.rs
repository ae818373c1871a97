use backstay::{Litter, LitterItem, WhenMissing};
use jiff::Timestamp;
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Form, Output, Voice, bytes, print_json, print_text};
use crate::settle::{PruneMode, SettledPrune};

/// Removes what crashes left, or only shows it.
pub(crate) fn prune(settled: &SettledPrune) -> Result<Exit, Failure> {
    let repository = settled.store.open(WhenMissing::Fail)?;
    let litter = repository.litter(Timestamp::now().as_second(), settled.grace_secs)?;
    if settled.mode == PruneMode::Remove {
        repository.remove_litter(&litter)?;
    }
    match settled.output {
        Output { form: Form::Json, .. } => print_json(&json(&litter, settled.mode))?,
        Output {
            voice: Voice::Normal, ..
        } => print_text(&text(&litter, settled.mode))?,
        Output {
            voice: Voice::Quiet, ..
        } => {}
    }
    Ok(Exit::Done)
}

fn text(litter: &Litter, mode: PruneMode) -> String {
    let verb = match mode {
        PruneMode::Show => "would remove",
        PruneMode::Remove => "removed",
    };
    let mut text = String::new();
    for item in &litter.items {
        text.push_str(&match item {
            LitterItem::Temporary(leftover) => {
                format!("{verb} the unpublished {} ({})\n", leftover.name, bytes(leftover.size))
            }
            LitterItem::HalfDeleted(id) => format!("{verb} what was left of {id}, whose deletion was begun\n"),
            LitterItem::HalfRekeyed { id, .. } => {
                format!("{verb} what was left of encrypting {id} anew\n")
            }
            LitterItem::HalfWritten { id, .. } => format!("{verb} what was left of writing the volumes of {id}\n"),
        });
    }
    if litter.items.is_empty() {
        text.push_str("no litter\n");
    }
    for key in &litter.adoptable {
        text.push_str(&format!("kept {key}, a pack without a manifest\n"));
    }
    text
}

#[derive(Serialize)]
struct PruneJson {
    removed: bool,
    temporary: Vec<TemporaryJson>,
    half_deleted: Vec<String>,
    half_rekeyed: Vec<String>,
    half_written: Vec<String>,
    adoptable: Vec<String>,
}

#[derive(Serialize)]
struct TemporaryJson {
    name: String,
    bytes: u64,
}

fn json(litter: &Litter, mode: PruneMode) -> PruneJson {
    let mut json = PruneJson {
        removed: mode == PruneMode::Remove,
        temporary: Vec::new(),
        half_deleted: Vec::new(),
        half_rekeyed: Vec::new(),
        half_written: Vec::new(),
        adoptable: litter.adoptable.iter().map(ToString::to_string).collect(),
    };
    for item in &litter.items {
        match item {
            LitterItem::Temporary(leftover) => json.temporary.push(TemporaryJson {
                name: leftover.name.clone(),
                bytes: leftover.size,
            }),
            LitterItem::HalfDeleted(id) => json.half_deleted.push(id.to_string()),
            LitterItem::HalfRekeyed { id, .. } => json.half_rekeyed.push(id.to_string()),
            LitterItem::HalfWritten { id, .. } => json.half_written.push(id.to_string()),
        }
    }
    json
}
