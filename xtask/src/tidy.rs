use crate::run::{self, Failure};

mod documents;
mod manifests;
mod mutants;
mod rust_source;
mod sources;
mod text;
mod tree;

use tree::Tree;

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// Counted from one; 0 where the file as a whole is meant.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

type Rule = fn(&Tree) -> Vec<Finding>;

/// Every rule; each is a pure function, so that a test can show it a tree that breaks it.
const RULES: &[Rule] = &[
    manifests::arrows_point_one_way,
    manifests::every_crate_has_a_licence,
    manifests::every_crate_takes_the_shared_lints,
    manifests::the_lock_file_names_one_registry,
    sources::core_does_no_io,
    sources::libraries_read_no_environment,
    sources::libraries_do_not_print,
    sources::files_are_short,
    sources::modules_are_files_beside_their_folders,
    sources::no_test_is_ignored,
    sources::every_crate_says_what_it_is,
    sources::every_test_file_is_run,
    text::nothing_is_left_undone,
    text::no_path_of_a_machine,
    text::no_host_of_a_registry,
    documents::links_lead_somewhere,
    documents::the_format_document_is_of_this_version,
    mutants::mutants_are_of_this_code,
];

/// Checks the rules of this workspace that neither the compiler nor Clippy knows.
pub(crate) fn run() -> Result<(), Failure> {
    let tree = Tree::load(&run::root())?;
    let findings = check(&tree);
    if findings.is_empty() {
        println!(
            "tidy: {} files, {} rules, nothing found",
            tree.files().len(),
            RULES.len()
        );
        return Ok(());
    }
    let lines: Vec<String> = findings
        .iter()
        .map(|finding| match finding.line {
            0 => format!("{}: {}", finding.path, finding.message),
            line => format!("{}:{line}: {}", finding.path, finding.message),
        })
        .collect();
    Err(Failure::new(format!(
        "{}\ntidy: {} findings",
        lines.join("\n"),
        lines.len()
    )))
}

fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(tree)).collect();
    findings.sort();
    findings
}

/// Applies a rule to a few small files and compares where it finds something.
#[cfg(test)]
fn expect(rule: Rule, files: &[(&str, &str)], expected: &[(&str, usize)]) {
    let findings = rule(&Tree::of(files));
    let mut places: Vec<(&str, usize)> = findings.iter().map(|f| (f.path.as_str(), f.line)).collect();
    places.sort_unstable();
    assert_eq!(places, expected, "{findings:?}");
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_workspace_is_tidy() {
        if let Err(findings) = super::run() {
            panic!("\n{findings}");
        }
    }
}
