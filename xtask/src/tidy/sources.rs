use super::Finding;
use super::rust_source::Code;
use super::tree::{File, Tree, crate_of_source};

const LINES_MAX: usize = 700;

/// What core must not name: the ways to files, sockets, processes, environment and clocks.
const IO: [&str; 9] = [
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::os",
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
];

const PRINTING: [&str; 5] = ["println!", "eprintln!", "print!", "eprint!", "dbg!"];

/// What may be used of `std::env`: pure functions on values, and the module's own name.
const HARMLESS: [&str; 3] = ["split_paths", "join_paths", "self"];

pub(super) fn core_does_no_io(tree: &Tree) -> Vec<Finding> {
    sources(tree, |name| name == "backstay-core")
        .flat_map(|(file, code)| {
            find(
                file,
                &IO,
                |path| code.lines_naming(path),
                |path| format!("core does no I/O, but this names {path}"),
            )
        })
        .collect()
}

pub(super) fn libraries_read_no_environment(tree: &Tree) -> Vec<Finding> {
    sources(tree, is_library)
        .flat_map(|(file, code)| {
            let uses = code.uses_of("env");
            let harmful = uses.into_iter().filter(|(_, name)| !HARMLESS.contains(name));
            let found = harmful.map(|(line, name)| {
                let message =
                    format!("libraries do not read the environment: take what env::{name} gives as an argument");
                Finding::new(&file.path, line, message)
            });
            found.collect::<Vec<_>>()
        })
        .collect()
}

pub(super) fn libraries_do_not_print(tree: &Tree) -> Vec<Finding> {
    sources(tree, is_library)
        .flat_map(|(file, code)| {
            find(
                file,
                &PRINTING,
                |name| code.lines_with(name),
                |name| format!("libraries do not print: {name}"),
            )
        })
        .collect()
}

pub(super) fn files_are_short(tree: &Tree) -> Vec<Finding> {
    tree.rust_files()
        .filter_map(|file| {
            let lines = file.text.lines().count();
            let message = || format!("{lines} lines are too many to hold one idea; at most {LINES_MAX}");
            (lines > LINES_MAX).then(|| Finding::new(&file.path, 0, message()))
        })
        .collect()
}

pub(super) fn modules_are_files_beside_their_folders(tree: &Tree) -> Vec<Finding> {
    tree.rust_files()
        .filter(|file| file.path.ends_with("/mod.rs"))
        .map(|file| {
            Finding::new(
                &file.path,
                0,
                "name the file after the module and put it beside the folder",
            )
        })
        .collect()
}

pub(super) fn no_test_is_ignored(tree: &Tree) -> Vec<Finding> {
    tree.rust_files()
        .flat_map(|file| {
            let code = Code::new(&file.text);
            find(
                file,
                &["ignore"],
                |word| attributes(&code, word),
                |_| {
                    "a test that is not run proves nothing: make it run, or say in its output that it could not"
                        .to_owned()
                },
            )
        })
        .collect()
}

pub(super) fn every_crate_says_what_it_is(tree: &Tree) -> Vec<Finding> {
    tree.packages()
        .filter_map(|(folder, manifest)| {
            let own = manifest
                .text
                .lines()
                .find_map(|line| line.trim().strip_prefix("path = \"")?.strip_suffix('"'));
            let candidates = [Some("src/lib.rs"), own, Some("src/main.rs")];
            let found = candidates
                .into_iter()
                .flatten()
                .find_map(|path| tree.file(&format!("{folder}/{path}")));
            match found {
                None => Some(Finding::new(
                    &manifest.path,
                    0,
                    "the package has neither library nor program",
                )),
                Some(file) if file.text.starts_with("//! ") => None,
                Some(file) => Some(Finding::new(
                    &file.path,
                    1,
                    "begin with a `//!` that says what the crate is for",
                )),
            }
        })
        .collect()
}

/// Each crate has one program of integration tests, and a file that it does not name is never compiled.
pub(super) fn every_test_file_is_run(tree: &Tree) -> Vec<Finding> {
    const FOLDER: &str = "/tests/it/";
    tree.rust_files()
        .filter_map(|file| {
            let (krate, name) = file.path.split_once(FOLDER)?;
            let module = name.strip_suffix(".rs")?;
            if module == "main" || module.contains('/') {
                return None;
            }
            let main = format!("{krate}{FOLDER}main.rs");
            let named = tree.file(&main).is_some_and(|file| {
                let code = Code::new(&file.text);
                !code.lines_with(&format!("mod {module};")).is_empty()
            });
            (!named).then(|| Finding::new(&file.path, 0, format!("{main} lacks `mod {module};`")))
        })
        .collect()
}

fn is_library(name: &str) -> bool {
    name != "backstay-cli"
}

/// The code of the crates chosen, without their tests.
fn sources(tree: &Tree, chosen: fn(&str) -> bool) -> impl Iterator<Item = (&File, Code)> {
    tree.rust_files()
        .filter(move |file| crate_of_source(&file.path).is_some_and(chosen))
        .filter(|file| !file.path.ends_with("/tests.rs") && !file.path.contains("/tests/"))
        .map(|file| (file, Code::new(&file.text).without_tests()))
}

fn find(
    file: &File,
    subjects: &[&str],
    lines: impl Fn(&str) -> Vec<usize>,
    message: impl Fn(&str) -> String,
) -> Vec<Finding> {
    let found = subjects.iter().flat_map(|subject| {
        let lines = lines(subject);
        lines
            .into_iter()
            .map(|line| Finding::new(&file.path, line, message(subject)))
    });
    found.collect()
}

/// Lines with an attribute of this name, plain, with a reason, or under a condition.
fn attributes(code: &Code, name: &str) -> Vec<usize> {
    let forms = [format!("#[{name}]"), format!("#[{name} "), format!(", {name})]")];
    forms.iter().flat_map(|form| code.lines_with(form)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::expect;
    use super::*;

    const CORE: &str = "crates/backstay-core/src/a.rs";
    const VERIFY: &str = "crates/backstay-verify/src/a.rs";

    #[test]
    fn io_in_core_is_found() {
        for source in [
            "use std::fs;",
            "use std::{io, net::TcpStream};",
            "std::process::exit(1)",
            "std::env::var(x)",
            "use std::os::unix::fs::FileExt;",
            "std::time::SystemTime::now()",
            "Instant::now()",
            "jiff::Timestamp::now()",
        ] {
            expect(core_does_no_io, &[(CORE, source)], &[(CORE, 1)]);
            expect(core_does_no_io, &[(VERIFY, source)], &[]);
        }
        expect(
            core_does_no_io,
            &[(CORE, "use std::io;\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}")],
            &[],
        );
        expect(
            core_does_no_io,
            &[("crates/backstay-core/src/a/tests.rs", "use std::fs;")],
            &[],
        );
        expect(
            core_does_no_io,
            &[("crates/backstay-core/tests/it/a.rs", "use std::fs;")],
            &[],
        );
    }

    #[test]
    fn reading_the_environment_in_a_library_is_found() {
        let source = "use std::{env, fs};\nenv::split_paths(value);\nstd::env::var(name);\nenv::args();";
        expect(
            libraries_read_no_environment,
            &[(VERIFY, source)],
            &[(VERIFY, 3), (VERIFY, 4)],
        );
        expect(
            libraries_read_no_environment,
            &[("crates/backstay-cli/src/a.rs", source)],
            &[],
        );
    }

    #[test]
    fn printing_in_a_library_is_found() {
        let source = "println!();\nlet a = 1;\neprint!();\ndbg!(a);";
        expect(
            libraries_do_not_print,
            &[(VERIFY, source)],
            &[(VERIFY, 1), (VERIFY, 3), (VERIFY, 4)],
        );
        expect(libraries_do_not_print, &[("xtask/src/a.rs", source)], &[]);
    }

    #[test]
    fn a_long_file_is_found() {
        let longest = "\n".repeat(LINES_MAX);
        let longer = "\n".repeat(LINES_MAX + 1);
        let files = [
            ("a.rs", longest.as_str()),
            ("b.rs", longer.as_str()),
            ("c.sql", longer.as_str()),
        ];
        expect(files_are_short, &files, &[("b.rs", 0)]);
    }

    #[test]
    fn a_module_in_the_old_place_is_found() {
        let files = [("a/src/b/mod.rs", ""), ("a/src/mod_b.rs", "")];
        expect(modules_are_files_beside_their_folders, &files, &[("a/src/b/mod.rs", 0)]);
    }

    #[test]
    fn an_ignored_test_is_found() {
        let source = "#[ignore]\n#[ignore = \"slow\"]\n#[cfg_attr(slow, ignore)]\nlet ignore = 1; // #[ignore]";
        expect(
            no_test_is_ignored,
            &[("a.rs", source)],
            &[("a.rs", 1), ("a.rs", 2), ("a.rs", 3)],
        );
    }

    #[test]
    fn a_crate_that_does_not_say_what_it_is_is_found() {
        let manifest = "[package]\nname = \"a\"\n";
        let own = "[package]\nname = \"a\"\n[lib]\npath = \"lib.rs\"\n";
        let files = [
            ("a/Cargo.toml", manifest),
            ("a/src/lib.rs", "//! Good.\n"),
            ("b/Cargo.toml", manifest),
            ("b/src/main.rs", "fn main() {}\n"),
            ("c/Cargo.toml", own),
            ("c/lib.rs", "\n//! Late.\n"),
            ("d/Cargo.toml", manifest),
        ];
        let expected = [("b/src/main.rs", 1), ("c/lib.rs", 1), ("d/Cargo.toml", 0)];
        expect(every_crate_says_what_it_is, &files, &expected);
    }

    #[test]
    fn a_test_file_that_is_not_compiled_is_found() {
        let files = [
            ("a/tests/it/main.rs", "mod b;\n// mod c;\nmod old_d;"),
            ("a/tests/it/b.rs", ""),
            ("a/tests/it/b/part.rs", ""),
            ("a/tests/it/c.rs", ""),
            ("a/tests/it/d.rs", ""),
            ("e/tests/it/f.rs", ""),
        ];
        let expected = [("a/tests/it/c.rs", 0), ("a/tests/it/d.rs", 0), ("e/tests/it/f.rs", 0)];
        expect(every_test_file_is_run, &files, &expected);
    }
}
