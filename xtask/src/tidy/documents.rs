use super::Finding;
use super::tree::Tree;

const DOCUMENT: &str = "docs/format.md";

/// The document of the format says which version it describes, and that is the one that the code writes.
pub(super) fn the_format_document_is_of_this_version(tree: &Tree) -> Vec<Finding> {
    let core = tree
        .rust_files()
        .filter(|file| file.path.starts_with("crates/backstay-core/src/"));
    let versions = core.filter_map(|file| Some((file, format_version(&file.text)?)));
    versions
        .filter_map(|(file, version)| match tree.file(DOCUMENT) {
            None => Some(Finding::new(
                &file.path,
                0,
                format!("there is a FORMAT_VERSION and no {DOCUMENT}"),
            )),
            Some(document) if mentions(&document.text, version) => None,
            Some(document) => {
                let message = format!(
                    "it does not say \"version {version}\", which is the FORMAT_VERSION of {}",
                    file.path
                );
                Some(Finding::new(&document.path, 0, message))
            }
        })
        .collect()
}

/// Reads `const FORMAT_VERSION: u32 = 1;`.
fn format_version(source: &str) -> Option<&str> {
    let (_, rest) = source.split_once("const FORMAT_VERSION:")?;
    let (_, value) = rest.split_once('=')?;
    Some(value.split(';').next()?.trim())
}

fn mentions(document: &str, version: &str) -> bool {
    let plain: String = document.chars().filter(|c| !"*`_:".contains(*c)).collect();
    let plain = plain.to_lowercase();
    let mut found = plain
        .match_indices("version ")
        .map(|(start, found)| &plain[start + found.len()..]);
    found.any(|rest| {
        rest.strip_prefix(version)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::super::expect;
    use super::*;

    #[test]
    fn a_document_of_another_version_is_found() {
        const SOURCE: &str = "crates/backstay-core/src/manifest.rs";
        let code = "/// The version.\npub const FORMAT_VERSION: u32 = 2;\n";
        let check = |document: &str, expected: &[(&str, usize)]| {
            expect(
                the_format_document_is_of_this_version,
                &[(SOURCE, code), (DOCUMENT, document)],
                expected,
            );
        };
        check("This is format version 2.", &[]);
        check("Format **Version**: `2`\n", &[]);
        check("version 1", &[(DOCUMENT, 0)]);
        check("version 20", &[(DOCUMENT, 0)]);
        expect(
            the_format_document_is_of_this_version,
            &[(SOURCE, code)],
            &[(SOURCE, 0)],
        );
        expect(the_format_document_is_of_this_version, &[(SOURCE, "")], &[]);
    }
}
