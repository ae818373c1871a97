//! A migration with a way back: back up, check the backup, migrate, and restore if the migration fails.
//!
//! ```sh
//! DATABASE_URL=postgresql://app@localhost/app cargo run -p backstay-examples --example migrate -- up.sql ./backups
//! ```
//!
//! A migration that is one transaction undoes itself. This is for those that are not: `CREATE INDEX CONCURRENTLY`,
//! updates in batches, tools that commit after each step. What was there before is dropped and restored in one
//! transaction. What the migration created besides stays; where it depends on something from before, nothing is
//! dropped, and the backup can be restored into a new database.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to people")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use backstay::{
    Archive, Atomicity, BackupId, BackupOptions, BackupReader, CancelToken, CheckOptions, ConnectionConfig, Repository,
    RestoreOptions, SearchPath, Silent, TargetPolicy,
};
use backstay_examples::{Failure, database, explain, programs, repository};

/// The migration failed, and the database is as it was before.
const EXIT_RESTORED: u8 = 1;
/// Nothing was migrated, or the database could not be restored.
const EXIT_FAILED: u8 = 2;

fn main() -> ExitCode {
    match run() {
        Ok(Outcome::Migrated { backup }) => {
            println!("migrated; the database of before is in {backup}");
            ExitCode::SUCCESS
        }
        Ok(Outcome::Restored { backup, cause }) => {
            eprintln!("the migration failed: {cause}");
            eprintln!("the database is again as it was before, from {backup}");
            EXIT_RESTORED.into()
        }
        Err(error) => {
            eprintln!("error: {}", explain(&*error));
            EXIT_FAILED.into()
        }
    }
}

fn run() -> Result<Outcome, Failure> {
    let mut arguments = std::env::args().skip(1);
    let migration = arguments.next().ok_or("usage: migrate MIGRATION.sql [STORE]")?;
    let folder = arguments.next().unwrap_or_else(|| "./backups".to_owned());
    migrate(&database()?, &repository(&folder)?, &programs(), Path::new(&migration))
}

/// How it ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Migrated { backup: BackupId },
    Restored { backup: BackupId, cause: Failure },
}

pub(crate) fn migrate(
    database: &ConnectionConfig,
    repository: &Repository,
    programs: &SearchPath,
    migration: &Path,
) -> Result<Outcome, Failure> {
    let cancel = CancelToken::new();
    let now = jiff::Timestamp::now();
    let options = BackupOptions::default();
    let made = backstay::back_up(database, repository, now, programs, &options, &Silent, &cancel)?;
    let backup = made.published.manifest.id;

    // A way back that was never looked at is none.
    let archive = Archive::open(repository, &backup)?;
    let report = backstay::verify(&archive, &CheckOptions::default(), &Silent, &cancel)?;
    if !report.is_sound() {
        return Err(report.render().into());
    }
    match run_sql(database, programs, migration) {
        Ok(()) => Ok(Outcome::Migrated { backup }),
        Err(cause) => {
            restore(&repository.open(&backup)?, database)
                .map_err(|error| format!("{cause}; and {backup} could not be restored: {}", explain(&*error)))?;
            Ok(Outcome::Restored { backup, cause })
        }
    }
}

/// Runs a file of SQL with psql, which gets the connection, and so the password, by its environment.
fn run_sql(database: &ConnectionConfig, programs: &SearchPath, file: &Path) -> Result<(), Failure> {
    let environment = database.child_environment();
    let mut command = Command::new(psql(programs)?);
    for name in environment.remove {
        command.env_remove(name);
    }
    let output = command
        .envs(environment.set)
        .args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file"])
        .arg(file)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim_end().into())
    }
}

fn psql(programs: &SearchPath) -> Result<PathBuf, Failure> {
    let mut candidates = programs.folders().iter().map(|folder| folder.join("psql"));
    candidates
        .find(|path| path.is_file())
        .ok_or_else(|| "psql is not installed".into())
}

/// Replaces what the backup holds by what it was, in one transaction, and compares every row afterwards.
fn restore(backup: &BackupReader, database: &ConnectionConfig) -> Result<(), Failure> {
    let cancel = CancelToken::new();
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Clean;
    options.atomicity = Atomicity::SingleTransaction;
    let plan = backstay::plan_restore(backup, database, &options)?;
    let report = backstay::restore(backup, &plan, database, &Silent, &cancel)?;
    if let Some(failure) = report.failures.first() {
        return Err(failure.to_string().into());
    }
    let proof = backstay::prove(backup, database, options.jobs, &Silent, &cancel)?;
    match proof.mismatches.first() {
        None => Ok(()),
        Some(different) => Err(format!("{} is not as it was", different.what).into()),
    }
}
