//! Swapping names, told to people; and swapping them back.

use backstay::{Swap, SwapState, plan_swap, swap_databases, undo_at};
use jiff::Timestamp;
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output::{Form, Voice, complain, count, print_json, print_text};
use crate::settle::{Confirmation, RestoreMode, SettledUndo};

use super::super::remark_warnings;
use super::confirm;

/// What a swap will do, as lines of a plan.
pub(super) fn describe(swap: &Swap, state: &SwapState) -> String {
    let Swap {
        database,
        replacement,
        kept,
        ..
    } = swap;
    let sessions = count(state.sessions, "session", "sessions");
    let mut text = format!(
        "then       if it is whole and equal: {database} becomes {kept}, {replacement} becomes {database}\n\
         kept       what was written to {database} after the backup is in {kept} alone\n\
         ends       {sessions} of {database} now, and all that begin until then\n"
    );
    for warning in &state.warnings {
        text.push_str(&format!("warning    {warning}\n"));
    }
    text
}

/// Swaps the names back that a restore swapped.
pub(super) fn undo(settled: &SettledUndo) -> Result<Exit, Failure> {
    remark_warnings(&settled.target, settled.output);
    let interrupt = Interrupt::watch()?;
    let config = &settled.target.config;
    let swap = undo_at(config, settled.kept.as_deref(), Timestamp::now())?;
    let state = plan_swap(config, &swap)?;
    let Swap {
        database,
        replacement,
        kept,
        ..
    } = &swap;
    let plan = format!(
        "swaps      {database} becomes {kept}, {replacement} becomes {database}\n\
         kept       what was written to {database} since the swap is in {kept} alone\n\
         ends       {} of {database} now, and all that begin until then\n",
        count(state.sessions, "session", "sessions")
    );
    match (settled.mode, settled.output.form) {
        (RestoreMode::Show, Form::Json) => print_json(&json(&swap, true))?,
        (RestoreMode::Show, Form::Text) => print_text(&plan)?,
        (RestoreMode::Restore(Confirmation::Ask), _) => complain(plan.trim_end()),
        (RestoreMode::Restore(Confirmation::Given), _) => settled.output.remark(plan.trim_end()),
    }
    match settled.mode {
        RestoreMode::Show => return Ok(Exit::Done),
        RestoreMode::Restore(Confirmation::Ask) => interrupt.while_asking(|| confirm::ask(database))?,
        RestoreMode::Restore(Confirmation::Given) => {}
    }
    swap_databases(config, &swap, interrupt.token())?;
    match (settled.output.form, settled.output.voice) {
        (Form::Json, _) => print_json(&json(&swap, false))?,
        (Form::Text, Voice::Normal) => print_text(&format!(
            "{database} is again what {replacement} was; what was there is kept as {kept}\n"
        ))?,
        (Form::Text, Voice::Quiet) => {}
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct UndoJson<'s> {
    dry_run: bool,
    database: &'s str,
    replacement: &'s str,
    kept: &'s str,
}

fn json(swap: &Swap, dry_run: bool) -> UndoJson<'_> {
    UndoJson {
        dry_run,
        database: &swap.database,
        replacement: &swap.replacement,
        kept: &swap.kept,
    }
}
