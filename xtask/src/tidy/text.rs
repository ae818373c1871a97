use super::Finding;
use super::tree::Tree;

// Each is written in two halves, so that this file does not break its own rules.
const UNDONE: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
];

const MACHINE_FOLDERS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Where package managers download from. The build must take the user's own settings, which may name a mirror.
const REGISTRIES: [&str; 11] = [
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("registry.", "npmjs.org"),
    concat!("registry.", "yarnpkg.com"),
    concat!("pypi.", "org"),
    concat!("files.", "pythonhosted.org"),
    concat!("proxy.", "golang.org"),
    concat!("deb.", "debian.org"),
    concat!("security.", "debian.org"),
    concat!("archive.", "ubuntu.com"),
    concat!("ghcr.", "io"),
];

pub(super) fn nothing_is_left_undone(tree: &Tree) -> Vec<Finding> {
    find(tree, &UNDONE, is_word, |mark| {
        format!("{mark}: do it now, or write an issue")
    })
}

pub(super) fn no_path_of_a_machine(tree: &Tree) -> Vec<Finding> {
    let is_absolute = |before: Option<char>, after: Option<char>| {
        // Part of a relative path, of a pattern, or of an address otherwise.
        let is_part = before.is_some_and(|c| c.is_alphanumeric() || ".-_~*}:/".contains(c));
        !is_part && after.is_some_and(|c| c.is_alphanumeric() || c == '.')
    };
    find(tree, &MACHINE_FOLDERS, is_absolute, |folder| {
        format!("a path below {folder} exists on one machine only")
    })
}

pub(super) fn no_host_of_a_registry(tree: &Tree) -> Vec<Finding> {
    find(tree, &REGISTRIES, is_word, |host| {
        format!("{host} may not be what a machine uses: leave it to its settings")
    })
}

fn is_word(before: Option<char>, after: Option<char>) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    !before.is_some_and(is_part) && !after.is_some_and(|c| c == '_' || c.is_alphanumeric())
}

/// Finds texts whose neighbours on both sides fit.
fn find(
    tree: &Tree,
    texts: &[&str],
    fits: fn(Option<char>, Option<char>) -> bool,
    message: impl Fn(&str) -> String,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| file.path != "Cargo.lock") {
        for (index, line) in file.text.lines().enumerate() {
            for text in texts {
                let found = line.match_indices(text).any(|(start, _)| {
                    let end = start + text.len();
                    // What follows an opening parenthesis does not matter.
                    let after = line[end..].chars().next().filter(|_| !text.ends_with('('));
                    fits(line[..start].chars().next_back(), after)
                });
                if found {
                    findings.push(Finding::new(&file.path, index + 1, message(text)));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::{Rule, expect};
    use super::*;

    fn check(rule: Rule, line: &str, expected: usize) {
        let places = vec![("a.md", 2); expected];
        expect(
            rule,
            &[("a.md", &format!("first\n{line}\n")), ("Cargo.lock", line)],
            &places,
        );
    }

    #[test]
    fn undone_work_is_found() {
        for mark in UNDONE {
            check(nothing_is_left_undone, &format!("// {mark}: later"), 1);
            check(nothing_is_left_undone, mark, 1);
        }
        check(nothing_is_left_undone, concat!("MASTO", "DONS and METHO", "DO"), 0);
        check(nothing_is_left_undone, "todo = \"warn\"", 0);
    }

    #[test]
    fn paths_of_machines_are_found() {
        for folder in MACHINE_FOLDERS {
            check(no_path_of_a_machine, &format!("see {folder}somebody/x"), 1);
            check(no_path_of_a_machine, &format!("\"{folder}.cargo\""), 1);
            check(
                no_path_of_a_machine,
                &format!("../frame{folder}x and ..{folder}x and https:/{folder}x"),
                0,
            );
            check(no_path_of_a_machine, &format!("{folder}<user>/"), 0);
        }
    }

    #[test]
    fn hosts_of_registries_are_found() {
        for host in REGISTRIES {
            check(no_host_of_a_registry, &format!("curl https://{host}/x"), 1);
            check(no_host_of_a_registry, &format!("my{host}"), 0);
        }
    }
}
