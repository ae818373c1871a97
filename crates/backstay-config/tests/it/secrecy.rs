//! No mistake shows a secret, wherever it stands and whatever else is wrong.

use std::path::Path;

use backstay_config::{Config, EXAMPLE};
use proptest::prelude::*;
use toml::de::DeTable;

const SECRET: &str = "hunter2";

/// A file with the secret in every place where a person might have written one.
const FULL: &str = r#"
[database.a]
url = "postgresql://app:hunter2@localhost/kulti"
password = "hunter2"
options = 'plain'

[database.b]
host = "localhost"
password = { file = "x", hunter = "hunter2" }
pasword = "hunter2"
passfile = 4711

[database.c]
url = { command = ["pass", "hunter2", "show"] }
password = """
first
hunter2
k = hunter2"""
encrypt-passphrase = { env = "${hunter2" }

[store.s]
url = 's3://id:hunter2@bucket'
secret-access-key = 'hunter2'
session-token = { command = ["x", 1, "hunter2"], env = "A" }
token = ["hunter2"]
secret_key = 'hunter2' # hunter2

[notification.n]
webhook = "https://hunter2@example.org/hunter2"
slack = 'hunter2${'
command = ["tell", "hunter2", "${hunter2"]
email = { host = "h", from = "f", to = ["t"], user = "u", password = "hunter2" }
"#;

fn check(text: &str) -> Result<(), TestCaseError> {
    let file = Path::new("f");
    let shown = match Config::parse(text, file) {
        Ok(config) => format!("{config:?}"),
        Err(error) => format!("{error}\n{error:?}"),
    };
    prop_assert!(!shown.contains(SECRET), "{text}\n---\n{shown}");
    Ok(())
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown() {
    check(FULL).unwrap();
    check(&FULL.replace("[\"tell\", ", "[\"tell\"\n, ")).unwrap();
    let error = Config::parse(FULL, Path::new("f")).unwrap_err();
    insta::assert_snapshot!(error.to_string());
}

/// Whether a key has the secret in it.
fn has_key(table: &DeTable<'_>) -> bool {
    table
        .iter()
        .any(|(key, value)| key.get_ref().contains(SECRET) || value.get_ref().as_table().is_some_and(has_key))
}

/// An edit of a text: at a place, some characters go and others come.
fn edit(text: &str, place: prop::sample::Index, gone: usize, come: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = place.index(chars.len());
    let behind = chars.get(at + gone..).unwrap_or_default();
    chars[..at]
        .iter()
        .copied()
        .chain(come.chars())
        .chain(behind.iter().copied())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_slip_anywhere_shows_no_secret(
        place in any::<prop::sample::Index>(),
        gone in 0_usize..3,
        come in prop::sample::select(vec!["", "\"", "'", "=", "[", "]", "{", "}", "\n", "\\", "$", "#", "\"\"\"", "x"]),
    ) {
        let text = edit(FULL, place, gone, come);
        // A slip may make a key of the secret, and keys are told.
        prop_assume!(!DeTable::parse(&text).is_ok_and(|table| has_key(table.get_ref())));
        check(&text)?;
    }

    #[test]
    fn a_slip_anywhere_is_told_with_a_place_that_exists(
        place in any::<prop::sample::Index>(),
        gone in 0_usize..3,
        come in "[\\PC\n]{0,3}",
    ) {
        let text = edit(EXAMPLE, place, gone, &come);
        if let Err(error) = Config::parse(&text, Path::new("f")) {
            let lines = text.split('\n').count();
            for problem in error.problems() {
                prop_assert!((1..=lines).contains(&problem.at().line()));
                let line = text.split('\n').nth(problem.at().line() - 1).unwrap_or_default();
                prop_assert!((1..=line.chars().count() + 1).contains(&problem.at().column()));
            }
        }
    }
}
