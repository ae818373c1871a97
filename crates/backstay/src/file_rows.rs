use backstay_core::DbText;
use backstay_core::manifest::TableRows;
use backstay_core::repository::{BackupReader, RepositoryError};
use backstay_storage_files::{FileName, FileRow};

/// The rows of `storage.objects` in a backup of a database; `None` where it has no such table, or not its rows.
///
/// # Errors
/// The backup cannot be read.
pub fn file_rows(backup: &BackupReader) -> Result<Option<Vec<FileRow>>, RepositoryError> {
    let is = |text: &DbText, expected: &str| text.as_bytes() == expected.as_bytes();
    let mut tables = backup.manifest().tables.iter();
    let Some(index) = tables.position(|table| is(&table.schema, "storage") && is(&table.name, "objects")) else {
        return Ok(None);
    };
    let table = &backup.manifest().tables[index];
    let column = |name: &str| table.columns.iter().position(|column| is(&column.name, name));
    let (Some(bucket), Some(name)) = (column("bucket_id"), column("name")) else {
        return Ok(None);
    };
    let version = column("version");
    if matches!(table.rows, TableRows::Excluded { .. }) {
        return Ok(None);
    }
    let mut rows = Vec::new();
    let members = backup
        .row_members()
        .filter(|(_, _, block)| block.table as usize == index);
    for (_, member, block) in members {
        let text = backup.text(member)?;
        let Some((_, lines)) = BackupReader::split_rows(&text, block) else {
            continue;
        };
        for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let fields: Vec<&[u8]> = line.split(|&byte| byte == b'\t').collect();
            let field = |index: usize| fields.get(index).and_then(|field| unescaped(field));
            if let (Some(bucket), Some(name)) = (field(bucket), field(name)) {
                rows.push(FileRow {
                    file: FileName { bucket, name },
                    version: version.and_then(field),
                });
            }
        }
    }
    Ok(Some(rows))
}

/// A field of COPY text; `None` for a null.
fn unescaped(field: &[u8]) -> Option<String> {
    if field == b"\\N" {
        return None;
    }
    let mut value = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(&byte) = bytes.next() {
        value.push(match byte {
            b'\\' => match bytes.next()? {
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 11,
                &other => other,
            },
            byte => byte,
        });
    }
    Some(String::from_utf8_lossy(&value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn fields_are_those_that_were_written() {
        for (field, expected) in [
            ("a/b.png", Some("a/b.png")),
            ("", Some("")),
            ("\\N", None),
            ("\\\\N", Some("\\N")),
            (
                "a\\tb\\nc\\rd\\be\\ff\\vg\\\\h",
                Some("a\tb\nc\rd\u{8}e\u{c}f\u{b}g\\h"),
            ),
            ("\u{e9}", Some("\u{e9}")),
        ] {
            assert_eq!(unescaped(field.as_bytes()).as_deref(), expected, "{field}");
        }
    }
}
