//! `garage`, a real object store that ignores conditions. Nobody hands out a program of it that could be fetched here, so it
//! is built from source, once.

use std::env;
use std::path::PathBuf;

use crate::run::{self, Failure, cargo};

/// Where the tests look for it.
pub(crate) const VARIABLE: &str = "BACKSTAY_TEST_GARAGE";
/// The tests that need it.
pub(crate) const TESTS: [&str; 5] = ["test", "--package", "backstay-store-s3", "--test", "garage"];

const VERSION: &str = "2.5.0";

/// Finds the program: the one that the variable names, else the one built before, else builds it.
pub(crate) fn find_or_install() -> Result<PathBuf, Failure> {
    if let Some(named) = env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        return Ok(named.into());
    }
    let folder = run::target().join(format!("garage-{VERSION}"));
    let program = folder.join("bin/garage");
    if program.is_file() {
        return Ok(program);
    }
    println!(
        "building garage {VERSION} into {}; this takes a quarter of an hour",
        folder.display()
    );
    // Unoptimised: it keeps a few small objects.
    let mut install = cargo();
    install.args([
        "install",
        "--locked",
        "--debug",
        "garage",
        "--version",
        VERSION,
        "--root",
    ]);
    run::run(install.arg(&folder)).map_err(|failure| {
        Failure::new(format!(
            "{failure}\nthe tests need garage {VERSION}; install it and name it in {VARIABLE}"
        ))
    })?;
    Ok(program)
}
