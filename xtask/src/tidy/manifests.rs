use std::collections::BTreeSet;

use super::Finding;
use super::tree::Tree;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The crates that a crate of ours may be built on; `None` for one that has no place yet.
fn allowed(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "backstay-core" => &[],
        "backstay-encryption" | "backstay-postgres" | "backstay-verify" | "backstay-testkit" | "backstay-fuzz" => {
            &["backstay-core"]
        }
        "backstay-http" => &["backstay-core"],
        "backstay-config" => &["backstay-core", "backstay-schedule", "backstay-verify"],
        "backstay-notify" => &["backstay-http"],
        "backstay-schedule" => &[],
        "backstay-export" => &["backstay-core", "backstay-postgres"],
        "backstay-storage-files" => &["backstay-core", "backstay-store-supabase"],
        name if name.starts_with("backstay-store-") => &["backstay-core", "backstay-http"],
        "backstay" => &[
            "backstay-core",
            "backstay-encryption",
            "backstay-export",
            "backstay-postgres",
            "backstay-verify",
            "backstay-storage-files",
            "backstay-store-*",
        ],
        "backstay-report" => &["backstay"],
        // What they need of the others they get through the library, as any service does.
        "backstay-cli" => &[
            "backstay",
            "backstay-config",
            "backstay-notify",
            "backstay-report",
            "backstay-schedule",
        ],
        "backstay-examples" => &["backstay"],
        // It waits for no database client to be compiled; what needs one has a package of its own.
        "xtask" => &[],
        "xtask-database" => &["backstay", "backstay-postgres"],
        _ => return None,
    })
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

/// Whether `to` can be reached from `from` along allowed arrows.
fn reaches(from: &str, to: &str) -> bool {
    allowed(from)
        .unwrap_or_default()
        .iter()
        .any(|pattern| matches(pattern, to) || reaches(pattern.trim_end_matches('*'), to))
}

/// Dependencies between our crates are those of ARCHITECTURE.md. Tests may also use the testkit, and whatever their
/// crate stands on by way of others; those of core, which the testkit stands on, neither.
pub(super) fn arrows_point_one_way(tree: &Tree) -> Vec<Finding> {
    let names: BTreeSet<&str> = tree
        .packages()
        .filter_map(|(_, file)| package_name(&file.text))
        .collect();
    let mut findings = Vec::new();
    for (_, file) in tree.packages() {
        let Some(name) = package_name(&file.text) else {
            findings.push(Finding::new(&file.path, 0, "the package has no name"));
            continue;
        };
        let Some(allowed) = allowed(name) else {
            let message = format!("{name} has no place among the crates: add it to xtask/src/tidy/manifests.rs");
            findings.push(Finding::new(&file.path, 0, message));
            continue;
        };
        for dependency in dependencies(&file.text) {
            let to = dependency.name;
            let of_tests = dependency.kind == Kind::Test
                && name != "backstay-core"
                && (to == "backstay-testkit" || reaches(name, to));
            if names.contains(to) && !of_tests && !allowed.iter().any(|pattern| matches(pattern, to)) {
                let message = format!("{name} must not depend on {to}");
                findings.push(Finding::new(&file.path, dependency.line, message));
            }
        }
    }
    findings
}

pub(super) fn every_crate_has_a_licence(tree: &Tree) -> Vec<Finding> {
    let has =
        |text: &str| entries(text).any(|e| e.section == "package" && matches!(e.key, "license" | "license.workspace"));
    tree.packages()
        .filter(|(_, file)| !has(&file.text))
        .map(|(_, file)| {
            Finding::new(
                &file.path,
                0,
                "the package names no licence: add `license.workspace = true`",
            )
        })
        .collect()
}

pub(super) fn every_crate_takes_the_shared_lints(tree: &Tree) -> Vec<Finding> {
    let takes = |text: &str| entries(text).any(|e| e.section == "lints" && e.key == "workspace" && e.value == "true");
    tree.packages()
        .filter(|(_, file)| !takes(&file.text))
        .map(|(_, file)| {
            Finding::new(
                &file.path,
                0,
                "the package has lints of its own: add `lints.workspace = true`",
            )
        })
        .collect()
}

/// A lock file written behind a mirror must not bind others to it.
pub(super) fn the_lock_file_names_one_registry(tree: &Tree) -> Vec<Finding> {
    let Some(file) = tree.file("Cargo.lock") else {
        return Vec::new();
    };
    entries(&file.text)
        .filter(|entry| entry.key == "source" && entry.value.trim_matches('"') != REGISTRY)
        .map(|entry| Finding::new(&file.path, entry.line, "a dependency from elsewhere than crates.io"))
        .collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Test,
}

struct Dependency<'a> {
    name: &'a str,
    kind: Kind,
    line: usize,
}

struct Entry<'a> {
    section: &'a str,
    key: &'a str,
    value: &'a str,
    line: usize,
}

/// Reads as much of TOML as manifests written by people use: headers, and entries of one line.
fn entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    let mut section = "";
    text.lines().enumerate().filter_map(move |(index, line)| {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            section = header
                .split(" #")
                .next()
                .unwrap_or(header)
                .trim()
                .trim_matches(['[', ']']);
            // A header stands for an entry too: `[dependencies.name]`.
            return Some(Entry {
                section,
                key: "",
                value: "",
                line: index + 1,
            });
        }
        let (key, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
        Some(Entry {
            section,
            key: key.trim(),
            value: value.split(" #").next().unwrap_or(value).trim(),
            line: index + 1,
        })
    })
}

fn package_name(text: &str) -> Option<&str> {
    entries(text)
        .find(|entry| entry.section == "package" && entry.key == "name")
        .map(|entry| entry.value.trim_matches('"'))
}

/// Lists dependencies of all kinds and targets. A renamed one is found by its `package`.
fn dependencies(text: &str) -> Vec<Dependency<'_>> {
    entries(text)
        .filter_map(|entry| {
            let (table, named_by_header) = match entry.section.rsplit_once("dependencies") {
                Some((before, "")) => (before, None),
                Some((before, after)) => (before, Some(after.strip_prefix('.')?)),
                None => return None,
            };
            let kind = if table.ends_with("dev-") {
                Kind::Test
            } else {
                Kind::Normal
            };
            let renamed = entry
                .value
                .split_once("package = \"")
                .and_then(|(_, rest)| rest.split('"').next());
            let name = match named_by_header {
                None if entry.key.is_empty() => return None,
                None => renamed.unwrap_or_else(|| entry.key.split('.').next().unwrap_or(entry.key)),
                Some(name) if entry.key.is_empty() => name,
                Some(_) if entry.key == "package" => entry.value.trim_matches('"'),
                Some(_) => return None,
            };
            Some(Dependency {
                name,
                kind,
                line: entry.line,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::expect;
    use super::*;

    fn manifest(name: &str, rest: &str) -> String {
        format!("[package]\nname = \"{name}\"\n{rest}")
    }

    fn check_arrow(from: &str, table: &str, expected: &[(&str, usize)]) {
        let core = manifest("backstay-core", "");
        let postgres = manifest("backstay-postgres", "");
        let testkit = manifest("backstay-testkit", "");
        let facade = manifest("backstay", "");
        let from = manifest(from, table);
        let mut files = vec![("a/Cargo.toml", from.as_str())];
        files.extend([
            ("crates/backstay-core/Cargo.toml", core.as_str()),
            ("crates/backstay-postgres/Cargo.toml", postgres.as_str()),
            ("crates/backstay-testkit/Cargo.toml", testkit.as_str()),
            ("crates/backstay/Cargo.toml", facade.as_str()),
        ]);
        expect(arrows_point_one_way, &files, expected);
    }

    #[test]
    fn arrows_that_are_drawn_are_allowed() {
        check_arrow(
            "backstay-postgres",
            "[dependencies]\nbackstay-core.workspace = true\nserde = \"1\"\n",
            &[],
        );
        check_arrow(
            "backstay-store-s3",
            "[dependencies]\nbackstay-core = { workspace = true }\n",
            &[],
        );
        check_arrow(
            "backstay-store-s3",
            "[dev-dependencies]\nbackstay-testkit.workspace = true\n",
            &[],
        );
        check_arrow("backstay-cli", "[dependencies]\nbackstay.workspace = true\n", &[]);
        check_arrow(
            "backstay-cli",
            "[dev-dependencies]\nbackstay-postgres.workspace = true\n",
            &[],
        );
    }

    #[test]
    fn arrows_that_are_not_drawn_are_found_in_every_form() {
        let at = |line| [("a/Cargo.toml", line)];
        check_arrow(
            "backstay-core",
            "[dependencies]\nbackstay-postgres.workspace = true\n",
            &at(4),
        );
        check_arrow(
            "backstay-core",
            "[dev-dependencies]\nbackstay-testkit.workspace = true\n",
            &at(4),
        );
        check_arrow(
            "backstay-verify",
            "[dependencies]\nserde = \"1\"\nbackstay-postgres = \"0.1\"\n",
            &at(5),
        );
        check_arrow(
            "backstay-verify",
            "[dev-dependencies]\nbackstay-postgres.workspace = true\n",
            &at(4),
        );
        check_arrow(
            "backstay-store-s3",
            "[dependencies.backstay-postgres]\nworkspace = true\n",
            &at(3),
        );
        check_arrow(
            "backstay-store-s3",
            "[dependencies.pg]\npackage = \"backstay-postgres\"\n",
            &at(4),
        );
        check_arrow(
            "backstay-store-s3",
            "[dependencies]\npg = { package = \"backstay-postgres\" }\n",
            &at(4),
        );
        check_arrow(
            "backstay-store-s3",
            "[build-dependencies]\nbackstay.workspace = true\n",
            &at(4),
        );
        check_arrow(
            "backstay-store-s3",
            "[target.'cfg(unix)'.dependencies]\nbackstay.workspace = true\n",
            &at(4),
        );
        check_arrow(
            "backstay-postgres",
            "[dependencies]\nbackstay-testkit.workspace = true\n",
            &at(4),
        );
        check_arrow(
            "backstay-cli",
            "[dependencies]\nbackstay-core.workspace = true\n",
            &at(4),
        );
    }

    #[test]
    fn a_crate_without_a_place_is_found() {
        check_arrow("backstay-utils", "", &[("a/Cargo.toml", 0)]);
    }

    #[test]
    fn licences_and_lints_are_asked_for() {
        let good = manifest("backstay", "license.workspace = true\n[lints]\nworkspace = true\n");
        let bad = manifest(
            "backstay",
            "[dependencies]\nlicense = \"1\"\n[lints.rust]\nworkspace = \"allow\"\n",
        );
        let files = [("a/Cargo.toml", good.as_str()), ("b/Cargo.toml", bad.as_str())];
        expect(every_crate_has_a_licence, &files, &[("b/Cargo.toml", 0)]);
        expect(every_crate_takes_the_shared_lints, &files, &[("b/Cargo.toml", 0)]);
    }

    #[test]
    fn a_mirror_in_the_lock_file_is_found() {
        let lock = format!("[[package]]\nsource = \"{REGISTRY}\"\n[[package]]\nsource = \"sparse+https://mirror/\"\n");
        expect(
            the_lock_file_names_one_registry,
            &[("Cargo.lock", &lock)],
            &[("Cargo.lock", 4)],
        );
    }
}
