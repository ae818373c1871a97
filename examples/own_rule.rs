//! A rule of one's own: every table in `public` has row level security, and a policy.
//!
//! ```sh
//! cargo run -p backstay-examples --example own_rule -- ./backups
//! ```
//!
//! Where an API serves the schema `public` to everybody, as at Supabase, a table without that is open. Rules that are data
//! (`require-table`, `row-security`, `policy`) know tables by name; this one knows those too that somebody adds tomorrow.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to people")]

use std::process::ExitCode;
use std::sync::Arc;

use backstay::manifest::{RowSecurity, Table, TableKind};
use backstay::{
    Archive, BackupId, CancelToken, CheckOptions, Finding, Judged, Report, Repository, Rule, Severity, Silent,
    earlier_volumes,
};
use backstay_examples::{Failure, explain, repository};
use jiff::Timestamp;

/// What an API serves is closed to those whom no policy lets in.
#[derive(Debug)]
struct NothingIsOpen;

impl Rule for NothingIsOpen {
    fn judge(&self, backup: &Judged<'_>) -> Vec<Finding> {
        let is_served = |table: &&Table| table.schema == *"public" && table.kind != TableKind::Foreign;
        let served = backup.manifest.tables.iter().filter(is_served);
        let mut findings = Vec::new();
        for table in served {
            let name = table.display_name();
            if table.row_security == RowSecurity::Off {
                let message = "everybody whom the API lets in can read and write it";
                findings.push(Finding::new(Severity::Error, "open-table", name, message));
            } else if table.policies.is_empty() {
                let message = "it has no policy, so the API shows none of its rows";
                findings.push(Finding::new(Severity::Warning, "closed-table", name, message));
            }
        }
        findings
    }
}

/// Verifies a backup by that rule too.
pub(crate) fn verify(repository: &Repository, id: &BackupId) -> Result<Report, Failure> {
    let mut options = CheckOptions::default();
    options.custom = vec![Arc::new(NothingIsOpen)];
    options.earlier = earlier_volumes(repository, id, options.rules.history)?;
    options.now = Some(Timestamp::now());
    let archive = Archive::open(repository, id)?;
    Ok(backstay::verify(&archive, &options, &Silent, &CancelToken::new())?)
}

fn run() -> Result<Report, Failure> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "./backups".to_owned());
    let repository = repository(&folder)?;
    let listing = repository.list()?;
    let newest = listing.backups.iter().max_by_key(|backup| backup.id.time());
    verify(&repository, &newest.ok_or("there is no backup")?.id)
}

fn main() -> ExitCode {
    match run() {
        Ok(report) => {
            print!("{}", report.render());
            if report.is_sound() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("error: {}", explain(&*error));
            ExitCode::FAILURE
        }
    }
}
