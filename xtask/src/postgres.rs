use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{self, Failure};
use crate::system;

/// What a folder of PostgreSQL's programs must hold: server and client.
const PROGRAMS: [&str; 5] = ["postgres", "initdb", "psql", "pg_dump", "pg_restore"];

/// Where packages put each version into a folder of its own; as in `Installation` of backstay-postgres, which is not
/// used here because `tidy` should not wait for a database client to be compiled.
const PACKAGE_FOLDERS: [(&str, &str); 5] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr", "bin"), // /usr/pgsql-17/bin of the RPMs
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "bin"),
];

/// Debian reads it when a server package is installed.
const CLUSTER_CONFIGURATION: &str = "/etc/postgresql-common/createcluster.conf";

/// Finds the programs of PostgreSQL, and installs them first where there are none and it is possible.
///
/// `who` needs them, for the message that says what to install.
pub(crate) fn find_or_install(who: &str) -> Result<PathBuf, Failure> {
    if let Some(bin) = find() {
        return Ok(bin);
    }
    let packages = ["postgresql", "postgresql-contrib"];
    let need = format!("{who} needs PostgreSQL: server, client programs and contrib modules");
    if system::has_program("apt-get") && system::is_root() {
        forbid_a_cluster()?;
    }
    system::install(&packages, &need)?;
    find().ok_or_else(|| Failure::new("PostgreSQL was installed, but its programs are not where they should be"))
}

/// Unpacks PostgreSQL 17 of Debian into a folder, unless it is there already, and gives the folder of its programs.
pub(crate) fn fetch_17() -> Result<PathBuf, Failure> {
    let target = run::target();
    // Root's servers run as another user, who must be able to reach the programs.
    let folder = if system::is_root() && !system::is_open_to_all(&target) {
        env::temp_dir().join("backstay-pg17")
    } else {
        target.join("pg17")
    };
    let bin = folder.join("usr/lib/postgresql/17/bin");
    if !works(&bin) {
        let mut script = Command::new("bash");
        script.arg(run::root().join("xtask/debian-suite-postgres.sh"));
        run::run(script.args(["trixie", "17"]).arg(&folder))?;
    }
    if works(&bin) {
        add_sample_extension(&run::root(), &folder.join("usr/share/postgresql/17/extension"))?;
        Ok(bin)
    } else {
        Err(Failure::new(format!(
            "PostgreSQL 17 in {} does not run",
            folder.display()
        )))
    }
}

/// Puts the sample's extension with configuration tables where the fetched server finds it; no contrib module has any.
fn add_sample_extension(root: &Path, folder: &Path) -> Result<(), Failure> {
    let source = root.join("testdata/sample/extension");
    let copy = || -> std::io::Result<()> {
        for entry in fs::read_dir(&source)? {
            let entry = entry?;
            fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
        Ok(())
    };
    copy().map_err(|error| {
        Failure::new(format!(
            "cannot copy {} to {}: {error}",
            source.display(),
            folder.display()
        ))
    })
}

/// Keeps the server package from creating and starting a database cluster of its own.
fn forbid_a_cluster() -> Result<(), Failure> {
    let path = Path::new(CLUSTER_CONFIGURATION);
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let present = match fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            other => other?,
        };
        fs::write(path, without_a_cluster(&present))
    };
    write().map_err(|error| Failure::new(format!("cannot write {CLUSTER_CONFIGURATION}: {error}")))?;
    println!("{CLUSTER_CONFIGURATION} now says that packages shall not create a cluster");
    Ok(())
}

/// Changes the one setting and keeps the rest of the file.
fn without_a_cluster(present: &str) -> String {
    let mut lines: Vec<&str> = present
        .lines()
        .filter(|line| !line.trim_start().starts_with("create_main_cluster"))
        .collect();
    lines.push("create_main_cluster = false");
    lines.join("\n") + "\n"
}

fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let of_path: Vec<PathBuf> = env::split_paths(&path).collect();
    let of_packages = PACKAGE_FOLDERS.iter().flat_map(|&(parent, bin)| {
        let mut folders: Vec<PathBuf> = fs::read_dir(parent)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path().join(bin)))
            .collect();
        folders.sort_unstable();
        folders.reverse();
        folders
    });
    of_path.into_iter().chain(of_packages).find(|bin| is_complete(bin))
}

fn is_complete(bin: &Path) -> bool {
    PROGRAMS.iter().all(|program| bin.join(program).is_file())
}

fn works(bin: &Path) -> bool {
    is_complete(bin)
        && Command::new(bin.join("postgres"))
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_told_not_to_create_a_cluster() {
        assert_eq!(without_a_cluster(""), "create_main_cluster = false\n");
        let present = "# a comment\ncreate_main_cluster = true\nssl = on\n";
        assert_eq!(
            without_a_cluster(present),
            "# a comment\nssl = on\ncreate_main_cluster = false\n"
        );
    }
}
