use std::fs;
use std::path::Path;

use crate::run::Failure;

/// What holds nothing written by people, at the top.
const PASSED_OVER: [&str; 3] = [".git", "target", "backups"];

/// Cargo marks what it builds in elsewhere by this file; a module may be called `target` too.
const CACHE_MARK: &str = "CACHEDIR.TAG";

/// The paths of the files below a folder that people wrote, sorted, with `/` between their parts.
pub(crate) fn files_below(top: &Path) -> Result<Vec<String>, Failure> {
    let mut files = Vec::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        let fail = |error| Failure::new(format!("cannot read {}: {error}", folder.display()));
        for entry in fs::read_dir(&folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let kind = entry.file_type().map_err(fail)?;
            let path = entry.path();
            // In a second worktree `.git` is a file.
            if folder == top && PASSED_OVER.iter().any(|&name| entry.file_name() == name) {
                continue;
            }
            if kind.is_dir() {
                if !path.join(CACHE_MARK).exists() {
                    folders.push(path);
                }
            } else if kind.is_file() {
                let path = path.strip_prefix(top).unwrap_or(&path);
                let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
                files.push(parts.join("/"));
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::{env, process};

    use super::*;

    #[test]
    fn what_is_built_is_passed_over_and_modules_called_target_are_not() {
        let top = env::temp_dir().join(format!("backstay-xtask-files-{}", process::id()));
        for path in [
            "src/target/a.rs",
            "target/CACHEDIR.TAG",
            "target/b.rs",
            ".git/c",
            "backups/d",
            "e",
        ] {
            let path = top.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = files_below(&top);
        fs::remove_dir_all(&top).unwrap();
        assert_eq!(found.unwrap(), ["e", "src/target/a.rs"]);
    }
}
