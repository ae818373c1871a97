//! The program `backstay`: arguments, configuration, progress, messages and exit codes around the library.
//!
//! It is a crate of its own because it alone may read the environment and the clock, and print.

mod app;
mod args;
mod command;
mod configuration;
mod environment;
mod exit;
mod explain;
mod failure;
mod file;
mod interrupt;
mod keys;
mod notify;
mod output;
mod progress;
mod schedule;
mod select;
mod settle;

fn main() -> std::process::ExitCode {
    app::run().into()
}
