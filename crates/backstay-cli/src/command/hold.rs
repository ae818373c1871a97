use backstay::{Deed, Hold, HoldFacts, Outcome, WhenMissing};
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Form, Output, Voice, print_json, print_text, time};
use crate::settle::SettledHold;

use super::log::note;

/// Holds a backup, so that nothing removes it.
pub(crate) fn hold(settled: &SettledHold) -> Result<Exit, Failure> {
    let repository = settled.store.open(WhenMissing::Fail)?;
    let id = &settled.id;
    let said = settled.witness.statement(&settled.reason);
    let held = repository.hold(id, &said, settled.until);
    let outcome = if held.is_ok() { Outcome::Done } else { Outcome::Failed };
    note(
        &settled.witness,
        &repository,
        Deed::Hold,
        outcome,
        Some(id),
        &settled.reason,
    );
    let record = held?;
    match settled.output {
        Output { form: Form::Json, .. } => print_json(&HoldJson {
            id: id.to_string(),
            record: record.to_string(),
            who: said.who,
            until: settled.until.map(|until| until.to_string()),
        })?,
        Output {
            voice: Voice::Normal, ..
        } => {
            let until = settled
                .until
                .map(|until| format!(" until {}", time(until)))
                .unwrap_or_default();
            print_text(&format!("{id} is held by {}{until}\n", said.who))?;
        }
        Output {
            voice: Voice::Quiet, ..
        } => {}
    }
    Ok(Exit::Done)
}

/// Ends the holds of a backup.
pub(crate) fn release(settled: &SettledHold) -> Result<Exit, Failure> {
    let repository = settled.store.open(WhenMissing::Fail)?;
    let id = &settled.id;
    let released = repository.release(id, &settled.witness.statement(&settled.reason));
    let outcome = if released.is_ok() {
        Outcome::Done
    } else {
        Outcome::Failed
    };
    note(
        &settled.witness,
        &repository,
        Deed::Release,
        outcome,
        Some(id),
        &settled.reason,
    );
    let released = released?;
    match settled.output {
        Output { form: Form::Json, .. } => print_json(&ReleaseJson {
            id: id.to_string(),
            released: released.iter().map(HeldJson::from).collect(),
        })?,
        Output {
            voice: Voice::Normal, ..
        } => {
            let mut text = String::new();
            for hold in &released {
                text.push_str(&format!("{id} is not held any more{}\n", since(&hold.facts())));
            }
            if released.is_empty() {
                text.push_str(&format!("{id} was not held\n"));
            }
            print_text(&text)?;
        }
        Output {
            voice: Voice::Quiet, ..
        } => {}
    }
    Ok(Exit::Done)
}

fn since(hold: &HoldFacts) -> String {
    hold.to_string().replace('\n', " ")
}

#[derive(Serialize)]
struct HoldJson {
    id: String,
    record: String,
    who: String,
    until: Option<String>,
}

#[derive(Serialize)]
struct ReleaseJson {
    id: String,
    released: Vec<HeldJson>,
}

/// A hold that is, or was, in force.
#[derive(Serialize)]
pub(super) struct HeldJson {
    record: String,
    who: Option<String>,
    at: Option<String>,
    why: Option<String>,
    until: Option<String>,
}

impl From<&Hold> for HeldJson {
    fn from(hold: &Hold) -> Self {
        let said = hold.said.as_ref();
        Self {
            record: hold.key.to_string(),
            who: said.map(|said| said.who.clone()),
            at: said.map(|said| said.at.to_string()),
            why: said.map(|said| said.why.clone()),
            until: hold.until.map(|until| until.to_string()),
        }
    }
}
