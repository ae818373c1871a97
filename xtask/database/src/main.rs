//! The tasks of `cargo xtask` that work on databases.
//!
//! A package of its own because it carries the whole library, for which `cargo xtask tidy` and its like should not
//! wait. `cargo xtask` finds or installs PostgreSQL first and then becomes this program. It may print.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "talking to people is its purpose"
)]

mod bench;
mod client;
mod demo;
mod failure;
mod interrupt;
mod progress;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use failure::Failure;

const USAGE: &str = "\
usage: xtask-database demo FOLDER-OF-POSTGRESQL-PROGRAMS
       xtask-database bench FOLDER-OF-POSTGRESQL-PROGRAMS BACKSTAY S3-SERVER [OPTIONS]";

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let task = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let outcome = match (task.as_deref(), rest.as_slice()) {
        (Some("demo"), [programs]) => demo::run(Path::new(programs)),
        (Some("bench"), [postgres, backstay, s3_server, options @ ..]) => {
            let programs = bench::Programs {
                postgres: Path::new(postgres),
                backstay: Path::new(backstay),
                s3_server: Path::new(s3_server),
            };
            bench::Options::parse(options).and_then(|options| bench::run(&programs, &options))
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
