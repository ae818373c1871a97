use std::hash::{BuildHasher as _, RandomState};
use std::time::Instant;

use backstay::{StoreCheck, WhenMissing, check_store};
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output::{Columns, Form, Output, Voice, print_json, print_text};
use crate::progress;
use crate::settle::SettledStoreCheck;

/// Tries what a store promises, and says what it keeps.
pub(crate) fn check(settled: &SettledStoreCheck) -> Result<Exit, Failure> {
    let interrupt = Interrupt::watch()?;
    let repository = settled.store.open(WhenMissing::Fail)?;
    let store = &**repository.store();
    let begun = Instant::now();
    let shown = progress::for_output(settled.output);
    // The standard library's hasher is seeded at random.
    let token = RandomState::new().hash_one(std::process::id());
    let check = check_store(store, token, &|| begun.elapsed(), &*shown, interrupt.token());
    shown.clear();
    let check = check?;
    match settled.output {
        Output { form: Form::Json, .. } => print_json(&json(&check, store.location()))?,
        Output {
            voice: Voice::Normal, ..
        } => print_text(&text(&check))?,
        Output {
            voice: Voice::Quiet, ..
        } if !check.is_sound() => print_text(&text(&check))?,
        Output { .. } => {}
    }
    Ok(if interrupt.token().is_cancelled() {
        Exit::Cancelled
    } else if check.is_sound() {
        Exit::Done
    } else {
        Exit::Findings
    })
}

fn text(check: &StoreCheck) -> String {
    let mut columns = Columns::default();
    for seen in &check.promises {
        let result = if seen.is_kept { "kept" } else { "BROKEN" };
        columns.row([seen.promise, result, &seen.detail]);
    }
    for key in &check.left_behind {
        columns.row(["left behind", "BROKEN", key.as_str()]);
    }
    columns.to_string()
}

#[derive(Serialize)]
struct CheckJson<'c> {
    store: String,
    ok: bool,
    promises: Vec<PromiseJson<'c>>,
    left_behind: Vec<&'c str>,
}

#[derive(Serialize)]
struct PromiseJson<'c> {
    promise: &'c str,
    ok: bool,
    detail: &'c str,
}

fn json(check: &StoreCheck, store: String) -> CheckJson<'_> {
    let promises = check.promises.iter().map(|seen| PromiseJson {
        promise: seen.promise,
        ok: seen.is_kept,
        detail: &seen.detail,
    });
    CheckJson {
        store,
        ok: check.is_sound(),
        promises: promises.collect(),
        left_behind: check.left_behind.iter().map(backstay::ObjectKey::as_str).collect(),
    }
}
