use crate::run::{self, Failure, become_program, cargo, root};
use crate::{postgres, system};

/// Becomes the demonstration.
pub(crate) fn demo() -> Result<(), Failure> {
    let programs = postgres::find_or_install("the demonstration")?;
    if !system::has_program("gunzip") {
        system::install(&["gzip"], "the demonstration needs gunzip")?;
    }
    run::run(cargo().args(["build", "--package", "xtask-database"]))?;
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "xtask-database", "--", "demo"]);
    Err(become_program(command.arg(programs)))
}

/// Becomes the comparison with what PostgreSQL brings along.
pub(crate) fn bench(arguments: &[String]) -> Result<(), Failure> {
    let programs = postgres::find_or_install("the comparison")?;
    for (program, package) in [("gunzip", "gzip"), ("sha256sum", "coreutils"), ("zstd", "zstd")] {
        if !system::has_program(program) {
            system::install(&[package], &format!("the comparison needs {program}"))?;
        }
    }
    // Only the program is measured; what starts it may be built as it is for tests.
    run::run(cargo().args(["build", "--package", "xtask-database"]))?;
    run::run(cargo().args(["build", "--release", "--package", "backstay-cli"]))?;
    run::run(cargo().args([
        "build",
        "--release",
        "--package",
        "backstay-testkit",
        "--features",
        "s3-server",
        "--example",
        "s3-server",
    ]))?;
    let mut command = cargo();
    command
        .current_dir(".")
        .args(["run", "--quiet", "--package", "xtask-database"]);
    command.arg("--manifest-path").arg(root().join("Cargo.toml"));
    command.args(["--", "bench"]).arg(programs);
    for program in ["backstay", "examples/s3-server"] {
        command.arg(run::target().join("release").join(program));
    }
    for argument in arguments {
        if argument == "--with-pg17" {
            command.arg("--clients").arg(postgres::fetch(17)?.bin);
        } else {
            command.arg(argument);
        }
    }
    Err(become_program(&mut command))
}

/// Becomes `backstay backup`, in the folder that the caller is in.
///
/// An optimised build: the rows of a real database go through it. It is built before it is run, and run quietly,
/// because Cargo would show the command line, and a connection string in it may hold a password.
pub(crate) fn backup(arguments: &[String]) -> Result<(), Failure> {
    let package = ["--release", "--package", "backstay-cli"];
    let mut build = cargo();
    // Standard output belongs to the program, whose `--json` somebody may read.
    build.arg("build").args(package);
    if !build.status().is_ok_and(|status| status.success()) {
        return Err(Failure::new("backstay cannot be built"));
    }
    let mut command = cargo();
    command.current_dir(".").args(["run", "--quiet"]).args(package);
    command.arg("--manifest-path").arg(root().join("Cargo.toml"));
    Err(become_program(command.args(["--", "backup"]).args(arguments)))
}
