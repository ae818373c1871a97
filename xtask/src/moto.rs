//! `moto`, an S3 server of Python's, in an environment of its own beneath `target/`.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::run::{self, Failure};
use crate::system;

/// Where the tests look for the server's program.
pub(crate) const VARIABLE: &str = "BACKSTAY_TEST_MOTO";
const VERSION: &str = "5.2.5";

/// Finds the server's program: the one that the variable names, else the one installed before, else installs it.
pub(crate) fn find_or_install() -> Result<PathBuf, Failure> {
    if let Some(named) = env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        return Ok(named.into());
    }
    let folder = run::target().join(format!("moto-{VERSION}"));
    let program = folder.join("bin/moto_server");
    // Scripts of an environment name its path, so it is made where it stays, and marked when it is whole.
    let mark = folder.join("is-whole");
    if mark.is_file() && program.is_file() {
        return Ok(program);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    }
    let need = "the tests need Python 3 with venv, for the S3 server moto";
    if !has_venv() {
        system::install(&["python3", "python3-venv"], need)?;
    }
    println!("installing moto {VERSION} into {}", folder.display());
    let install = || -> Result<(), Failure> {
        run::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let package = format!("moto[server,s3]=={VERSION}");
        run::run(Command::new(folder.join("bin/pip")).args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            &package,
        ]))
    };
    install().map_err(|failure| {
        Failure::new(format!(
            "{failure}\n{need}; or install it (pip install 'moto[server,s3]=={VERSION}') and name its moto_server in {VARIABLE}"
        ))
    })?;
    fs::write(&mark, "").map_err(|error| Failure::new(format!("{}: {error}", mark.display())))?;
    Ok(program)
}

fn has_venv() -> bool {
    // Debian's python3 has the module and lacks what it needs.
    let output = Command::new("python3").args(["-c", "import venv, ensurepip"]).output();
    output.is_ok_and(|output| output.status.success())
}
