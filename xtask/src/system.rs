use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{self, Failure};

/// Finds a program in `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    // Servers of Debian's packages are where only root looks.
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

pub(crate) fn has_program(name: &str) -> bool {
    find_program(name).is_some()
}

/// Whether this is Debian itself, and not one of those made from it.
pub(crate) fn is_debian() -> bool {
    fs::read_to_string("/etc/os-release").is_ok_and(|text| text.lines().any(|line| line == "ID=debian"))
}

pub(crate) fn is_root() -> bool {
    // What a process may do is known to the kernel alone; `id` is in every system's base.
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout == b"0\n")
}

/// Installs packages of Debian when that is possible; else fails with what to do.
pub(crate) fn install(packages: &[&str], need: &str) -> Result<(), Failure> {
    if !has_program("apt-get") || !is_root() {
        let packages = packages.join(" ");
        return Err(Failure::new(format!(
            "{need}.\nOn Debian or Ubuntu: sudo apt-get install {packages}\n\
             On macOS: brew install {packages} (the server is called postgresql@17 there)\n\
             As root on Debian or Ubuntu this task installs them itself."
        )));
    }
    println!("{need}: installing {}", packages.join(", "));
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet");
        // A file of ours in /etc stays as it is.
        command.args(["-o", "Dpkg::Options::=--force-confold"]);
        command
    };
    run::run(apt().arg("update"))?;
    run::run(
        apt()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages),
    )
}

/// Whether every user can pass through all the folders of a path, as the user that runs a server must.
#[cfg(unix)]
pub(crate) fn is_open_to_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;

    path.ancestors()
        .filter_map(|folder| fs::metadata(folder).ok())
        .all(|metadata| metadata.permissions().mode() & 0o001 != 0)
}
