use std::path::{Path, PathBuf};
use std::process::Command;

use super::ThrowawayError;
use crate::SearchPath;

/// The programs of one PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    bin: PathBuf,
    major: u32,
    version: String,
}

impl Installation {
    /// Finds the newest; of several of one version, the one that comes first in `search`.
    #[must_use]
    pub fn find(search: &SearchPath) -> Option<Self> {
        Self::find_all(search).into_iter().next()
    }

    /// Finds the newest of one major version.
    #[must_use]
    pub fn find_major(search: &SearchPath, major: u32) -> Option<Self> {
        Self::find_all(search)
            .into_iter()
            .find(|installation| installation.major == major)
    }

    /// Finds all, newest first. Folders that hold no working server are passed over, links to one found before too.
    #[must_use]
    pub fn find_all(search: &SearchPath) -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        for folder in search.folders() {
            // `pg_ctl` and the like are often linked into `/usr/bin`; the server itself must lie in the folder.
            if let Ok(installation) = Self::at(folder)
                && !found.iter().any(|other| other.bin == installation.bin)
            {
                found.push(installation);
            }
        }
        // Stable, so the order of the search decides among equals.
        found.sort_by_key(|installation| std::cmp::Reverse(installation.version_numbers()));
        found
    }

    /// Takes the programs in one folder.
    ///
    /// # Errors
    /// If there is no `initdb` or `postgres` in it, or `postgres --version` fails or says nothing known.
    pub fn at(bin: &Path) -> Result<Self, ThrowawayError> {
        let refuse = |reason: String| ThrowawayError::NotAnInstallation {
            bin: bin.to_owned(),
            reason,
        };
        // Links are followed to the folder that its `share` and `lib` lie beside.
        let server = bin
            .join("postgres")
            .canonicalize()
            .map_err(|error| refuse(format!("no postgres: {error}")))?;
        let real = server.parent().unwrap_or(bin);
        if !real.join("initdb").exists() {
            return Err(refuse("no initdb".to_owned()));
        }
        let output = Command::new(&server)
            .arg("--version")
            .env_clear()
            .output()
            .map_err(|error| refuse(format!("postgres cannot be run: {error}")))?;
        let line = String::from_utf8_lossy(&output.stdout);
        let version =
            parse_version(&line).ok_or_else(|| refuse(format!("postgres --version says {:?}", line.trim())))?;
        let major = leading_number(version).ok_or_else(|| refuse(format!("unknown version {version:?}")))?;
        Ok(Self {
            bin: real.to_owned(),
            major,
            version: version.to_owned(),
        })
    }

    /// The folder of its programs.
    #[must_use]
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// Path of one of its programs, which need not exist: `psql` and `pg_dump` may come in another package.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// Major version, such as 17.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    /// Version as it states it, such as `17.6` or `18beta2`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Major version, whether it is a release, and minor: `18beta2` comes before `18.0` and after `17.9`.
    fn version_numbers(&self) -> (u32, bool, u32) {
        let minor = self
            .version
            .split_once('.')
            .and_then(|(_, minor)| leading_number(minor));
        (self.major, minor.is_some(), minor.unwrap_or(0))
    }
}

/// Takes the version out of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn parse_version(line: &str) -> Option<&str> {
    line.split_once("(PostgreSQL) ")?.1.split_ascii_whitespace().next()
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A folder whose `postgres` says `version`, as a shell script like those of unpacked packages.
    fn fake(parent: &Path, name: &str, version: &str) -> PathBuf {
        let bin = parent.join(name);
        fs::create_dir_all(&bin).expect("a folder");
        fs::write(bin.join("initdb"), "").expect("a file");
        let postgres = bin.join("postgres");
        fs::write(&postgres, format!("#!/bin/sh\necho '{version}'\n")).expect("a file");
        fs::set_permissions(&postgres, fs::Permissions::from_mode(0o755)).expect("a mode");
        bin.canonicalize().expect("a path")
    }

    #[test]
    fn versions_are_read_from_what_the_server_says() {
        let check = |line, expected| assert_eq!(parse_version(line), expected, "{line:?}");
        check("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some("15.18"));
        check("postgres (PostgreSQL) 18beta2\n", Some("18beta2"));
        check("postgres (PostgreSQL) \n", None);
        check("mysqld 8.0", None);
    }

    #[test]
    fn the_newest_comes_first_and_each_only_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let parent = folder.path();
        let old = fake(parent, "9.6", "postgres (PostgreSQL) 9.6.24");
        let beta = fake(parent, "beta", "postgres (PostgreSQL) 18beta2");
        let release = fake(parent, "18", "postgres (PostgreSQL) 18.0");
        let same = fake(parent, "same", "postgres (PostgreSQL) 18.0");
        let later = fake(parent, "17", "postgres (PostgreSQL) 17.10");
        let earlier = fake(parent, "17early", "postgres (PostgreSQL) 17.9");
        let linked = parent.join("linked");
        symlink(&release, &linked).expect("a link");

        let search = SearchPath::only(vec![old.clone(), earlier.clone(), beta.clone(), later.clone(), linked])
            .preferring([parent.join("absent"), release.clone(), same.clone()]);
        let found: Vec<PathBuf> = Installation::find_all(&search).into_iter().map(|i| i.bin).collect();
        assert_eq!(found, [release, same, beta, later.clone(), earlier, old]);
        let seventeen = Installation::find_major(&search, 17).expect("it is there");
        assert_eq!(
            (seventeen.bin(), seventeen.major(), seventeen.version()),
            (later.as_path(), 17, "17.10")
        );
        assert_eq!(Installation::find_major(&search, 16), None);
    }

    #[test]
    fn a_folder_without_a_working_server_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let check = |bin: &Path, expected: &str| {
            let message = Installation::at(bin).expect_err("it is no installation").to_string();
            assert!(message.contains(expected), "{message}");
        };
        check(&folder.path().join("absent"), "no postgres: ");
        check(
            &fake(folder.path(), "other", "a server 1.0"),
            "postgres --version says \"a server 1.0\"",
        );
        let partial = fake(folder.path(), "partial", "postgres (PostgreSQL) 17.1");
        fs::remove_file(partial.join("initdb")).expect("a removal");
        check(&partial, "no initdb");
    }
}
