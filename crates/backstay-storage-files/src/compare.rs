use std::collections::BTreeMap;

use crate::listing::{FileName, FilesListing};

/// A row of `storage.objects`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "callers build it of what they read")]
pub struct FileRow {
    /// Which file it is about.
    pub file: FileName,
    /// The version of its content.
    pub version: Option<String>,
}

/// How the rows of a database and the files of a backup go together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowsAndFiles {
    /// Rows whose files are not in the backup: after a restore of both, their downloads fail.
    pub missing: Vec<FileName>,
    /// Files in the backup that no row is about: uploaded later, or removed before.
    pub extra: Vec<FileName>,
    /// Files of another version than their row: written anew between the two backups.
    pub other_version: Vec<FileName>,
}

/// Compares the rows of a database with the files of a backup.
#[must_use]
pub fn compare_rows(rows: &[FileRow], listing: &FilesListing) -> RowsAndFiles {
    let mut files: BTreeMap<&FileName, Option<&String>> = listing
        .files
        .iter()
        .map(|entry| (&entry.file, entry.object_version.as_ref()))
        .collect();
    let mut found = RowsAndFiles::default();
    for row in rows {
        match files.remove(&row.file) {
            None => found.missing.push(row.file.clone()),
            Some(version) => {
                if let (Some(of_row), Some(of_file)) = (&row.version, version)
                    && of_row != of_file
                {
                    found.other_version.push(row.file.clone());
                }
            }
        }
    }
    found.extra = files.into_keys().cloned().collect();
    found.missing.sort();
    found.other_version.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::FileEntry;

    #[test]
    fn what_is_missing_what_is_extra_and_what_was_written_anew_is_told() {
        let file = |name: &str| FileName::new("b", name);
        let entry = |name: &str, version: &str| FileEntry {
            file: file(name),
            id: None,
            updated_at: None,
            etag: None,
            object_version: Some(version.to_owned()),
            size: 0,
            sha256: String::new(),
            attributes: backstay_store_supabase::FileAttributes::default(),
            parts: Vec::new(),
        };
        let row = |name: &str, version: Option<&str>| FileRow {
            file: file(name),
            version: version.map(str::to_owned),
        };
        let listing = FilesListing {
            files: vec![
                entry("both", "1"),
                entry("extra", "1"),
                entry("newer", "2"),
                entry("unknown", "1"),
            ],
            ..FilesListing::default()
        };
        let rows = [
            row("newer", Some("1")),
            row("missing", Some("1")),
            row("both", Some("1")),
            row("unknown", None),
        ];
        let expected = RowsAndFiles {
            missing: vec![file("missing")],
            extra: vec![file("extra")],
            other_version: vec![file("newer")],
        };
        assert_eq!(compare_rows(&rows, &listing), expected);
    }
}
