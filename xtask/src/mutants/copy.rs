use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Mutant;
use crate::files::files_below;
use crate::run::{self, Failure};

/// A copy of the workspace that mutants may change, in a folder with what is built of it.
pub(super) struct Copy {
    folder: PathBuf,
}

impl Copy {
    /// Brings the copy up to date; what is the same stays untouched, so that Cargo builds no more than it must.
    pub(super) fn of_the_workspace(folder: &Path) -> Result<Self, Failure> {
        let copy = Self {
            folder: folder.to_owned(),
        };
        let tree = copy.tree();
        fs::create_dir_all(&tree).map_err(|error| cannot("make", &tree, &error))?;
        let wanted: BTreeSet<String> = files_below(&run::root())?.into_iter().collect();
        for path in files_below(&tree)?.iter().filter(|path| !wanted.contains(*path)) {
            let path = tree.join(path);
            fs::remove_file(&path).map_err(|error| cannot("remove", &path, &error))?;
        }
        for path in &wanted {
            copy.refresh(path)?;
        }
        Ok(copy)
    }

    /// The folder that has the copy, and room for what is made of it.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The top folder of the copy.
    pub(super) fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// Carries the changes out; says why where the files are not as they should be, and changes none then.
    pub(super) fn change(&self, mutant: &Mutant) -> Result<Result<(), String>, Failure> {
        let mut texts = Vec::new();
        for change in &mutant.changes {
            let path = self.tree().join(&change.path);
            let text = match fs::read_to_string(&path) {
                Ok(text) => change.apply(&text),
                Err(error) => Err(format!("cannot read {}: {error}", change.path)),
            };
            match text {
                Ok(text) => texts.push((path, text)),
                Err(why) => return Ok(Err(why)),
            }
        }
        for (path, text) in texts {
            fs::write(&path, text).map_err(|error| cannot("write", &path, &error))?;
        }
        Ok(Ok(()))
    }

    /// Undoes the changes.
    pub(super) fn restore(&self, mutant: &Mutant) -> Result<(), Failure> {
        mutant.changes.iter().try_for_each(|change| self.refresh(&change.path))
    }

    fn refresh(&self, path: &str) -> Result<(), Failure> {
        let (from, to) = (run::root().join(path), self.tree().join(path));
        let copied = || {
            let bytes = fs::read(&from)?;
            if fs::read(&to).is_ok_and(|present| present == bytes) {
                return Ok(());
            }
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::copy(&from, &to).map(drop)
        };
        copied().map_err(|error| cannot("copy to", &to, &error))
    }
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot {what} {}: {error}", path.display()))
}
