use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

/// Where packages put PostgreSQL's programs; `*` stands for one name. Debian and Ubuntu; the RPMs of the PostgreSQL
/// project; Homebrew on both kinds of Mac; Postgres.app; the installer of EDB; Alpine; a build from source.
const PACKAGE_FOLDERS: [&str; 10] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/opt/homebrew/opt/libpq/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/usr/local/opt/libpq/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/Library/PostgreSQL/*/bin",
    "/usr/libexec/postgresql*",
    "/usr/local/pgsql/bin",
];

/// Folders to look for PostgreSQL's programs in, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchPath {
    folders: Vec<PathBuf>,
}

impl SearchPath {
    /// The absolute folders of `path`, a value of the environment variable `PATH`, then those that packages use.
    #[must_use]
    pub fn with_usual_places(path: Option<&OsStr>) -> Self {
        // A relative folder would mean another one for each working directory.
        let of_path = path
            .into_iter()
            .flat_map(std::env::split_paths)
            .filter(|folder| folder.is_absolute());
        let of_packages = PACKAGE_FOLDERS.iter().flat_map(|pattern| expand(pattern));
        Self {
            folders: of_path.chain(of_packages).collect(),
        }
    }

    /// These folders and no others.
    #[must_use]
    pub fn only(folders: Vec<PathBuf>) -> Self {
        Self { folders }
    }

    /// The same with these folders before all others.
    #[must_use]
    pub fn preferring(mut self, folders: impl IntoIterator<Item = PathBuf>) -> Self {
        self.folders.splice(0..0, folders);
        self
    }

    /// The folders, in the order in which they are looked at.
    #[must_use]
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }
}

/// Lists the folders that a pattern with one `*` stands for, in order of their names.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![PathBuf::from(pattern)];
    };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = fs::read_dir(Path::new(parent)) else {
        return Vec::new();
    };
    let mut names: Vec<OsString> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name())
        .filter(|name| name.to_string_lossy().starts_with(prefix))
        .collect();
    names.sort_unstable();
    names
        .into_iter()
        .map(|name| {
            let mut path = Path::new(parent).join(name).into_os_string();
            path.push(after);
            PathBuf::from(path)
        })
        .filter(|path| path.is_dir())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_list_folders_in_order() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["pg-17/bin", "pg-15/bin", "pg-16/other", "else/bin"] {
            fs::create_dir_all(folder.path().join(name)).expect("a folder");
        }
        let pattern = format!("{}/pg-*/bin", folder.path().display());
        let expected: Vec<PathBuf> = ["pg-15/bin", "pg-17/bin"]
            .iter()
            .map(|n| folder.path().join(n))
            .collect();
        assert_eq!(expand(&pattern), expected);
        assert_eq!(expand("/absent-folder/*/bin"), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_relative_folder_is_not_searched() {
        let search = SearchPath::with_usual_places(Some(OsStr::new("/first:.:bin::/second")));
        assert_eq!(
            search.folders()[..2],
            [PathBuf::from("/first"), PathBuf::from("/second")]
        );
        assert!(search.folders().iter().all(|folder| folder.is_absolute()));
    }

    #[test]
    fn preferred_folders_come_first_in_their_order() {
        let folders = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let search = SearchPath::only(folders(&["/c"])).preferring(folders(&["/a", "/b"]));
        assert_eq!(search.folders(), folders(&["/a", "/b", "/c"]));
    }
}
