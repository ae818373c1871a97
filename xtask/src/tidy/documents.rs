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

/// What a document links to is there: a file of this workspace, a heading of a document.
pub(super) fn links_lead_somewhere(tree: &Tree) -> Vec<Finding> {
    let documents = tree.files().iter().filter(|file| file.path.ends_with(".md"));
    let mut findings = Vec::new();
    for document in documents {
        for (number, line) in (1..).zip(document.text.lines()) {
            let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            for link in links.filter(|link| !link.contains(':')) {
                let (path, heading) = link.split_once('#').unwrap_or((link, ""));
                let path = match path {
                    "" => document.path.clone(),
                    path => beside(&document.path, path),
                };
                let message = match tree.file(&path) {
                    None => format!("there is no {path}"),
                    Some(file) if heading.is_empty() || has_heading(&file.text, heading) => continue,
                    Some(_) => format!("{path} has no heading #{heading}"),
                };
                findings.push(Finding::new(&document.path, number, message));
            }
        }
    }
    findings
}

/// The path, from the top, of what a link in that document names.
fn beside(document: &str, link: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Whether a document has a heading of that name, as it stands in links: lower case, hyphens for blanks, no punctuation.
fn has_heading(document: &str, name: &str) -> bool {
    let headings = document.lines().filter(|line| line.starts_with('#'));
    let mut names = headings.map(|line| {
        let text = line.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
    });
    names.any(|found| found == name)
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

    #[test]
    fn a_link_into_nothing_is_found() {
        let page = "# A page\n\n## 1. To do: `now`\n";
        let check = |link: &str, expected: usize| {
            let text = format!("first\nsee [it]({link}), and [the web](https://example.org/x)\n");
            expect(
                links_lead_somewhere,
                &[("docs/a.md", &text), ("docs/page.md", page), ("README.md", "# Top\n")],
                &vec![("docs/a.md", 2); expected],
            );
        };
        for good in [
            "page.md",
            "./page.md#a-page",
            "page.md#1-to-do-now",
            "../README.md#top",
            "mailto:x@example.org",
        ] {
            check(good, 0);
        }
        for bad in ["README.md", "../page.md", "page.md#top", "#nothing", "pages/"] {
            check(bad, 1);
        }
    }
}
