//! The published JSON schema of `backstay.toml`, which the program writes.

use std::fs;

use crate::run::{Failure, cargo, root};

const FILE: &str = "docs/backstay.schema.json";

/// Whether the file is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    Check,
}

/// Writes the schema of this version, or fails where the published one is another.
pub(crate) fn run(mode: Mode) -> Result<(), Failure> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "backstay-cli", "--", "config", "schema"]);
    let output = command.stderr(std::process::Stdio::inherit()).output();
    let output = output.map_err(|error| Failure::new(format!("cannot run cargo: {error}")))?;
    if !output.status.success() {
        return Err(Failure::new(format!(
            "`backstay config schema` failed ({})",
            output.status
        )));
    }
    let path = root().join(FILE);
    if fs::read(&path).is_ok_and(|published| published == output.stdout) {
        println!("{FILE} is of this version");
        return Ok(());
    }
    match mode {
        Mode::Check => Err(Failure::new(format!("{FILE} is stale: run `cargo xtask schema`"))),
        Mode::Write => {
            fs::write(&path, &output.stdout).map_err(|error| Failure::new(format!("cannot write {FILE}: {error}")))?;
            println!("{FILE} written");
            Ok(())
        }
    }
}
