//! What each command does with what was settled.

mod backup;
mod config;
mod copy;
mod doctor;
mod drill;
mod export;
mod hold;
mod key;
mod list;
mod log;
mod man;
mod notify;
mod prune;
mod recover;
mod rekey;
mod report;
mod restore;
mod run;
mod schedule;
mod show;
mod sign;
mod status;
mod storage_files;
mod store;
mod verify;

pub(crate) use backup::back_up;
pub(crate) use config::{check as config_check, example as config_example, json_schema as config_schema};
pub(crate) use copy::{AlsoError, copy};
pub(crate) use doctor::examine;
pub(crate) use drill::{DrillRefused, drill};
pub(crate) use export::export;
pub(crate) use hold::{hold, release};
pub(crate) use key::{KeyCommandError, key};
pub(crate) use list::list;
pub(crate) use log::log;
pub(crate) use man::manual_page;
pub(crate) use notify::notify;
pub(crate) use prune::prune;
pub(crate) use recover::{NoAnswer, recover};
pub(crate) use rekey::rekey;
pub(crate) use report::report;
pub(crate) use restore::{RestoreRefused, restoring};
pub(crate) use run::run;
pub(crate) use schedule::{ScheduleFileError, schedule};
pub(crate) use show::show;
pub(crate) use sign::{SignError, sign};
pub(crate) use status::status;
pub(crate) use storage_files::{
    NoProject, back_up as back_up_files, list as list_files, restore as restore_files, verify as verify_files,
};
pub(crate) use store::check as check_store;
pub(crate) use verify::verify;

use backstay::{PreflightFinding, Resolved};

use crate::output::Output;

/// Tells what was noticed while the connection was settled.
fn remark_warnings(source: &Resolved, output: Output) {
    for warning in &source.warnings {
        output.remark(&format!("warning: {warning}"));
    }
}

/// The lines for a finding.
fn finding_lines(finding: &PreflightFinding) -> String {
    let mut lines = format!("{}: {}", finding.severity, finding.message);
    if let Some(hint) = &finding.hint {
        lines.push_str(&format!("\n  hint: {hint}"));
    }
    lines
}
