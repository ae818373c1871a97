use std::fs;
use std::path::Path;

use crate::files::files_below;
use crate::run::Failure;

/// A text file and its path from the top, with `/` between its parts.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

/// The text files of the workspace, in the order of their paths.
#[derive(Debug)]
pub(super) struct Tree(Vec<File>);

impl Tree {
    /// Reads all files that are UTF-8 text; the others are fixtures, about which there are no rules.
    pub(super) fn load(root: &Path) -> Result<Self, Failure> {
        let paths = files_below(root)?;
        let file = |path: String| {
            let text = fs::read_to_string(root.join(&path)).ok()?;
            Some(File { path, text })
        };
        Ok(Self(paths.into_iter().filter_map(file).collect()))
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let file = |&(path, text): &(&str, &str)| File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        Self(files.iter().map(file).collect())
    }

    pub(super) fn files(&self) -> &[File] {
        &self.0
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.0.iter().find(|file| file.path == path)
    }

    pub(super) fn rust_files(&self) -> impl Iterator<Item = &File> {
        self.0.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// The folders that hold a package, with their manifests.
    pub(super) fn packages(&self) -> impl Iterator<Item = (&str, &File)> {
        self.0.iter().filter_map(|file| {
            let folder = file.path.strip_suffix("/Cargo.toml")?;
            file.text
                .lines()
                .any(|line| line.trim() == "[package]")
                .then_some((folder, file))
        })
    }
}

/// The crate whose `src` a file lies in, for those under `crates/`.
pub(super) fn crate_of_source(path: &str) -> Option<&str> {
    let (name, rest) = path.strip_prefix("crates/")?.split_once('/')?;
    rest.starts_with("src/").then_some(name)
}
