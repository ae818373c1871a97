use backstay::{
    BackupId, Deed, Litter, LitterItem, Outcome, Pruned, Repository, RepositoryError, RetentionAction,
    RetentionDecision, RetentionPolicy, WhenMissing, plan_prune,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Columns, Form, Output, Voice, bytes, complain, harmless, print_json, print_text, time};
use crate::settle::{PruneMode, SettledPrune};

use super::log::{complain_unnoted, note};

/// Removes what crashes left and what the policy lets go, or only shows it.
pub(crate) fn prune(settled: &SettledPrune, environment: &Environment) -> Result<Exit, Failure> {
    let repository = settled.store.open(WhenMissing::Fail)?;
    // First, so that a removal that was cut off does not keep the policy from its backup.
    let litter = match settled.litter_grace_secs {
        None => None,
        Some(grace_secs) => Some(remove_litter(settled, &repository, grace_secs, environment)?),
    };
    let applied = match &settled.policy {
        None => None,
        Some(policy) => Some(apply(settled, policy, &repository, environment)?),
    };
    match settled.output {
        Output { form: Form::Json, .. } => print_json(&json(litter.as_ref(), applied.as_ref(), settled.mode))?,
        Output {
            voice: Voice::Normal, ..
        } => {
            let litter = litter.as_ref().map(|litter| text(litter, settled.mode));
            let table = applied.as_ref().map(|applied| table(&applied.decisions, settled.mode));
            print_text(&format!("{}{}", litter.unwrap_or_default(), table.unwrap_or_default()))?;
        }
        Output {
            voice: Voice::Quiet, ..
        } => {}
    }
    let mut exit = Exit::Done;
    for (id, removal) in applied.map(|applied| applied.removed).unwrap_or_default() {
        if let Err(error) = removal {
            exit = tell_unremoved(&id, error).unwrap_or(exit);
        }
    }
    Ok(exit)
}

fn remove_litter(
    settled: &SettledPrune,
    repository: &Repository,
    grace_secs: i64,
    environment: &Environment,
) -> Result<Litter, Failure> {
    let litter = repository.litter(Timestamp::now().as_second(), grace_secs)?;
    if settled.mode == PruneMode::Remove && !litter.items.is_empty() {
        let removed = repository.remove_litter(&litter);
        let outcome = if removed.is_ok() {
            Outcome::Done
        } else {
            Outcome::Failed
        };
        let things = litter.items.len().to_string();
        note(&environment.witness(), repository, Deed::Litter, outcome, None, &things);
        removed?;
    }
    Ok(litter)
}

/// Plans, and carries the plan out unless it is only to be shown.
fn apply(
    settled: &SettledPrune,
    policy: &RetentionPolicy,
    repository: &Repository,
    environment: &Environment,
) -> Result<Pruned, Failure> {
    let prefix = settled.prefix.as_ref();
    if settled.mode == PruneMode::Show {
        let mut shown = Pruned::default();
        shown.decisions = plan_prune(&mut repository.pruning(), policy, prefix, Timestamp::now())?;
        return Ok(shown);
    }
    let mut pruned = backstay::prune(repository, policy, prefix, &environment.witness())?;
    for error in pruned.unnoted.drain(..) {
        complain_unnoted(error);
    }
    Ok(pruned)
}

/// Tells why a backup was not removed; gives the exit status, nothing where it is as it should be.
pub(super) fn tell_unremoved(id: &BackupId, error: RepositoryError) -> Option<Exit> {
    let is_fine = matches!(error, RepositoryError::Held { .. }) || error.is_not_found();
    let failure = Failure::from(error);
    if is_fine {
        complain(&format!("{id} was not removed: {}", failure.in_one_line()));
        return None;
    }
    complain(&failure.report());
    Some(failure.exit())
}

fn table(decisions: &[RetentionDecision], mode: PruneMode) -> String {
    if decisions.is_empty() {
        return "no backups\n".to_owned();
    }
    let mut text = String::new();
    for series in decisions.chunk_by(|a, b| a.id.prefix() == b.id.prefix()) {
        let mut columns = Columns::default();
        columns.row(["ID", "TIME", "ACTION", "WHY"]);
        for decision in series {
            let action = match (decision.action, mode) {
                (RetentionAction::Keep, _) => "keep",
                (RetentionAction::Delete, PruneMode::Show) => "would remove",
                (RetentionAction::Delete, PruneMode::Remove) => "remove",
            };
            columns.row([
                decision.id.to_string(),
                time(decision.id.time()),
                action.to_owned(),
                why(decision),
            ]);
        }
        if let Some(first) = series.first() {
            text.push_str(&format!("{}\n{columns}", first.id.prefix()));
        }
    }
    let going = decisions
        .iter()
        .filter(|decision| decision.action == RetentionAction::Delete)
        .count();
    text.push_str(&format!("{going} of {} are let go\n", decisions.len()));
    text
}

fn why(decision: &RetentionDecision) -> String {
    let reasons = reasons(decision).join("; ");
    match decision.is_part {
        true => format!("{reasons} (of those that hold the same part of the database)"),
        false => reasons,
    }
}

/// Why, each in one line: holds have the words of those who hold.
fn reasons(decision: &RetentionDecision) -> Vec<String> {
    let reasons = decision.reasons.iter();
    reasons
        .map(|reason| harmless(&reason.to_string().replace('\n', " ")))
        .collect()
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
            LitterItem::HalfReused(id) => {
                format!("{verb} the intent of {id} to use packs of other backups\n")
            }
            LitterItem::Sweep(key) => format!("{verb} {key}, the mark of a deletion that did not end\n"),
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
    half_reused: Vec<String>,
    sweeps: Vec<String>,
    adoptable: Vec<String>,
    plan: Vec<DecisionJson>,
}

#[derive(Serialize)]
struct TemporaryJson {
    name: String,
    bytes: u64,
}

#[derive(Serialize)]
struct DecisionJson {
    id: String,
    action: &'static str,
    /// Whether it holds only a part of its database, and is planned among those of the same part.
    part: bool,
    reasons: Vec<String>,
    /// Whether it is gone; `null` where nothing was tried.
    removed: Option<bool>,
    error: Option<String>,
}

fn json(litter: Option<&Litter>, applied: Option<&Pruned>, mode: PruneMode) -> PruneJson {
    let adoptable = litter.map(|litter| &litter.adoptable[..]).unwrap_or_default();
    let mut json = PruneJson {
        removed: mode == PruneMode::Remove,
        temporary: Vec::new(),
        half_deleted: Vec::new(),
        half_rekeyed: Vec::new(),
        half_written: Vec::new(),
        half_reused: Vec::new(),
        sweeps: Vec::new(),
        adoptable: adoptable.iter().map(ToString::to_string).collect(),
        plan: applied.map(plan).unwrap_or_default(),
    };
    for item in litter.map(|litter| &litter.items[..]).unwrap_or_default() {
        match item {
            LitterItem::Temporary(leftover) => json.temporary.push(TemporaryJson {
                name: leftover.name.clone(),
                bytes: leftover.size,
            }),
            LitterItem::HalfDeleted(id) => json.half_deleted.push(id.to_string()),
            LitterItem::HalfRekeyed { id, .. } => json.half_rekeyed.push(id.to_string()),
            LitterItem::HalfWritten { id, .. } => json.half_written.push(id.to_string()),
            LitterItem::HalfReused(id) => json.half_reused.push(id.to_string()),
            LitterItem::Sweep(key) => json.sweeps.push(key.to_string()),
        }
    }
    json
}

fn plan(applied: &Pruned) -> Vec<DecisionJson> {
    let decision = |decision: &RetentionDecision| {
        let tried = applied
            .removed
            .iter()
            .find(|(id, _)| *id == decision.id)
            .map(|(_, removal)| removal);
        DecisionJson {
            id: decision.id.to_string(),
            action: match decision.action {
                RetentionAction::Keep => "keep",
                RetentionAction::Delete => "delete",
            },
            part: decision.is_part,
            reasons: decision.reasons.iter().map(ToString::to_string).collect(),
            removed: tried.map(Result::is_ok),
            error: tried
                .and_then(|removal| removal.as_ref().err())
                .map(ToString::to_string),
        }
    };
    applied.decisions.iter().map(decision).collect()
}
