//! Tasks for people and CI: `cargo xtask <task>`.
//!
//! It is a crate of its own because Cargo runs nothing else without a build script, and has no dependencies so that
//! `tidy` answers at once. Tasks that work on databases are in `xtask-database`, which this becomes. It may print.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "talking to people is its purpose"
)]

mod ci;
mod database;
mod files;
mod garage;
mod mutants;
mod postgres;
mod python;
mod run;
mod schema;
mod system;
mod test;
mod tidy;

use std::env;
use std::process::ExitCode;

use run::Failure;

const USAGE: &str = "\
usage: cargo xtask <task>

tasks:
  test [--with 17,18 | --all-versions] [--garage] [CARGO-TEST-ARGUMENTS]
         provides what the tests need (installs it when root with apt), then runs all tests, or those
         that the arguments name, on the PostgreSQL that is found and on those that are asked for, which
         are fetched (in CI 17 is; all are 13 to 18); with --garage also those on that object store, which
         is built from source
  demo   backs a sample database up on a server of its own, verifies it, restores it and compares
         (installs PostgreSQL when root with apt); leaves nothing behind
  bench [--scale F] [--jobs N] [--runs R] [--with-pg17] [--only WORD] [--json FILE] [--smoke]
         measures backups, restores and verifications beside pg_dump and its like
  backup [ARGUMENTS]
         the same as `backstay backup`, built first; for CI before a migration
  tidy   checks the rules of this workspace that the compiler does not know
  schema [--check]
         writes docs/backstay.schema.json, the JSON schema of backstay.toml, or looks whether it is of this version
  mutants [NAME...]
         breaks each rule of the format and the design in turn (xtask/mutants), in a copy of the code, and
         demands that its test fails; NAME is the beginning of a mutant's name; it takes an hour or so
  ci     fmt, tidy, clippy, doc, then test";

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let task = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let outcome = match (task.as_deref(), rest.as_slice()) {
        (Some("test"), rest) => test::Request::parse(rest).and_then(|request| request.run()),
        (Some("demo"), []) => database::demo(),
        (Some("bench"), rest) => database::bench(rest),
        (Some("backup"), rest) => database::backup(rest),
        (Some("tidy"), []) => tidy::run(),
        (Some("schema"), []) => schema::run(schema::Mode::Write),
        (Some("schema"), [check]) if check == "--check" => schema::run(schema::Mode::Check),
        (Some("mutants"), names) => mutants::run(names),
        (Some("ci"), []) => ci::run(),
        (Some("help" | "--help" | "-h"), _) => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(Failure::new(USAGE)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
