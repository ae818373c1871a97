use std::fmt;

/// Where the mutants are, from the top.
pub(crate) const FOLDER: &str = "xtask/mutants";

/// A change that breaks one rule, and the tests that must see it.
///
/// A file of it begins with `Rule:` and the sentence with the place where it stands, and `Test:` and what `cargo test`
/// needs to run the tests, whose full names come last. A unified diff follows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mutant {
    /// Its path in the folder of mutants, without the ending.
    pub(crate) name: String,
    pub(crate) rule: String,
    pub(crate) test: Test,
    pub(crate) changes: Vec<Change>,
}

/// The tests that hold a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Test {
    /// What Cargo is told to build, such as `-p backstay-core --lib`.
    pub(crate) program: Vec<String>,
    /// Full names of tests in it; one that fails is enough.
    pub(crate) names: Vec<String>,
}

/// What becomes of one file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) path: String,
    hunks: Vec<Hunk>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Hunk {
    old: Vec<String>,
    new: Vec<String>,
}

impl Mutant {
    /// Reads a mutant; `path` is that in the folder of mutants.
    pub(crate) fn parse(path: &str, text: &str) -> Result<Self, String> {
        let name = path.strip_suffix(".diff").ok_or("its name does not end with .diff")?;
        let (head, diff) = text.split_once("\n--- ").ok_or("there is no diff in it")?;
        let field = |field: &str| {
            let mut found = head.lines().filter_map(|line| line.strip_prefix(field));
            let value = found.next().map(str::trim).filter(|value| !value.is_empty());
            value.ok_or(format!("there is no line that begins with {field}"))
        };
        let changes = diff.split("\n--- ").map(Change::parse).collect::<Result<_, _>>()?;
        Ok(Self {
            name: name.to_owned(),
            rule: field("Rule:")?.to_owned(),
            test: Test::parse(field("Test:")?)?,
            changes,
        })
    }
}

impl Test {
    fn parse(line: &str) -> Result<Self, String> {
        let mut program = Vec::new();
        let mut names = Vec::new();
        let mut words = line.split_whitespace().map(str::to_owned);
        while let Some(word) = words.next() {
            match word.as_str() {
                "-p" | "--bin" | "--test" => {
                    program.push(word);
                    program.extend(words.next());
                }
                "--lib" => program.push(word),
                _ => names.push(word),
            }
        }
        match (program.as_slice(), names.as_slice()) {
            ([package, _, _, ..], [_, ..]) if package == "-p" => Ok(Self { program, names }),
            _ => Err(format!(
                "{line:?} is not -p PACKAGE, --lib, --bin PROGRAM or --test PROGRAM, and names of tests"
            )),
        }
    }

    /// The package that has the tests.
    pub(crate) fn package(&self) -> &str {
        &self.program[1]
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.program.join(" "), self.names.join(" "))
    }
}

impl Change {
    /// Reads the part of a diff that begins behind `--- `.
    fn parse(diff: &str) -> Result<Self, String> {
        let mut lines = diff.lines();
        let old = lines.next().and_then(|line| line.strip_prefix("a/"));
        let new = lines.next().and_then(|line| line.strip_prefix("+++ b/"));
        let path = match (old, new) {
            (Some(old), Some(new)) if old == new => old.to_owned(),
            _ => return Err("a file of the diff has no path, or two".to_owned()),
        };
        let mut hunks: Vec<Hunk> = Vec::new();
        for line in lines {
            if line.starts_with("@@ ") {
                hunks.push(Hunk::default());
                continue;
            }
            let hunk = hunks.last_mut().ok_or("the diff has lines before the first @@")?;
            let (kind, line) = line.split_at_checked(1).unwrap_or((" ", ""));
            match kind {
                " " => {
                    hunk.old.push(line.to_owned());
                    hunk.new.push(line.to_owned());
                }
                "-" => hunk.old.push(line.to_owned()),
                "+" => hunk.new.push(line.to_owned()),
                _ => return Err(format!("{kind:?} begins no line of a diff")),
            }
        }
        let changes_nothing = |hunk: &Hunk| hunk.old.is_empty() || hunk.old == hunk.new;
        if hunks.is_empty() || hunks.iter().any(changes_nothing) {
            return Err(format!("it changes nothing in {path}"));
        }
        Ok(Self { path, hunks })
    }

    /// The text of the file with the change; numbers of lines do not matter, but what is changed must be there once.
    pub(crate) fn apply(&self, text: &str) -> Result<String, String> {
        let mut lines: Vec<&str> = text.split('\n').collect();
        for Hunk { old, new } in &self.hunks {
            let found: Vec<usize> = lines
                .windows(old.len())
                .enumerate()
                .filter_map(|(at, window)| (window == old.as_slice()).then_some(at))
                .collect();
            let &[at] = found.as_slice() else {
                let shown = old.iter().find(|line| !new.contains(line)).unwrap_or(&old[0]);
                let count = found.len();
                return Err(format!(
                    "what it changes is in {} {count} times: {}",
                    self.path,
                    shown.trim()
                ));
            };
            lines.splice(at..at + old.len(), new.iter().map(String::as_str));
        }
        Ok(lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Rule: one is one (docs/format.md, Numbers)
Test: -p numbers --test it one::is_one two

--- a/src/one.rs
+++ b/src/one.rs
@@ -1,3 +1,3 @@
 fn one() -> u32 {
-    1
+    2
 }
@@ -7,2 +7,1 @@
 // behind

-// it
--- a/src/two.rs
+++ b/src/two.rs
@@ -1,1 +1,1 @@
-two
+three
";

    #[test]
    fn a_mutant_is_a_rule_its_tests_and_a_diff() {
        let mutant = Mutant::parse("numbers/one.diff", TEXT).unwrap();
        assert_eq!(mutant.name, "numbers/one");
        assert_eq!(mutant.rule, "one is one (docs/format.md, Numbers)");
        assert_eq!(mutant.test.to_string(), "-p numbers --test it one::is_one two");
        assert_eq!(mutant.test.package(), "numbers");
        let before = "fn zero() {}\nfn one() -> u32 {\n    1\n}\n// behind\n\n// it\n";
        let after = "fn zero() {}\nfn one() -> u32 {\n    2\n}\n// behind\n\n";
        assert_eq!(mutant.changes[0].apply(before).as_deref(), Ok(after));
        assert_eq!(mutant.changes[1].apply("two\n").as_deref(), Ok("three\n"));
    }

    #[test]
    fn what_is_changed_must_be_there_once() {
        let change = &Mutant::parse("x.diff", TEXT).unwrap().changes[1];
        for (text, count) in [("", 0), ("a two\n", 0), ("two\ntwo\n", 2)] {
            let expected = format!("what it changes is in src/two.rs {count} times: two");
            assert_eq!(change.apply(text), Err(expected));
        }
    }

    #[test]
    fn other_texts_are_no_mutants() {
        for (old, new) in [
            ("Rule:", "Rules:"),
            ("Test:", "Tests:"),
            (" one::is_one two", ""),
            (" --test it", ""),
            ("-p numbers", "--lib --lib"),
            ("+++ b/src/one.rs", "+++ b/src/two.rs"),
            ("@@ -1,3 +1,3 @@\n", ""),
            ("+    2\n", "+    1\n"),
            (" }\n", "?}\n"),
        ] {
            let text = TEXT.replacen(old, new, 1);
            assert!(Mutant::parse("x.diff", &text).is_err(), "{old} as {new}");
        }
        assert!(Mutant::parse("x.patch", TEXT).is_err());
        assert!(Mutant::parse("x.diff", "Rule: a\nTest: -p a --lib b\n").is_err());
    }
}
