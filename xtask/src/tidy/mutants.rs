use super::Finding;
use super::tree::Tree;
use crate::mutants::{FOLDER, Mutant};

/// Every mutant still changes code that is there, and names tests that are there.
pub(super) fn mutants_are_of_this_code(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files() {
        let Some(name) = file.path.strip_prefix(FOLDER).and_then(|rest| rest.strip_prefix('/')) else {
            continue;
        };
        let mut find = |message: String| findings.push(Finding::new(&file.path, 0, message));
        let mutant = match Mutant::parse(name, &file.text) {
            Ok(mutant) => mutant,
            Err(why) => {
                find(why);
                continue;
            }
        };
        for change in &mutant.changes {
            match tree.file(&change.path) {
                None => find(format!("there is no {}", change.path)),
                Some(code) => change.apply(&code.text).map_or_else(&mut find, drop),
            }
        }
        let folder = format!("crates/{}/", mutant.test.package());
        for test in &mutant.test.names {
            let definition = format!("fn {}(", test.rsplit("::").next().unwrap_or(test));
            let mut code = tree.rust_files().filter(|code| code.path.starts_with(&folder));
            if !code.any(|code| code.text.contains(&definition)) {
                find(format!("there is no test {test} in {folder}"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::expect;
    use super::*;

    #[test]
    fn a_mutant_that_fits_no_more_is_found() {
        const MUTANT: &str = "xtask/mutants/numbers/one.diff";
        const DIFF: &str = "Rule: one is one\nTest: -p numbers --lib tests::one_is_one\n\n\
                            --- a/crates/numbers/src/lib.rs\n+++ b/crates/numbers/src/lib.rs\n@@ -1 +1 @@\n-one\n+two\n";
        let check = |diff: &str, code: &str, expected: usize| {
            expect(
                mutants_are_of_this_code,
                &[(MUTANT, diff), ("crates/numbers/src/lib.rs", code)],
                &vec![(MUTANT, 0); expected],
            );
        };
        check(DIFF, "one\nfn one_is_one() {}\n", 0);
        check(DIFF, "three\nfn one_is_one() {}\n", 1);
        check(DIFF, "one\none\nfn one_is_one() {}\n", 1);
        check(DIFF, "one\nfn one_is() {}\n", 1);
        check("no mutant", "one\nfn one_is_one() {}\n", 1);
        check(&DIFF.replace("src/lib", "src/other"), "one\nfn one_is_one() {}\n", 1);
    }
}
