//! What is written in any of TOML's ways is read as it was meant.

use std::fmt::Write as _;
use std::path::Path;

use backstay_config::{Config, Given};
use proptest::prelude::*;

/// What a section is to say; names and texts are what people may choose.
#[derive(Clone, Debug)]
struct Wanted {
    name: String,
    host: String,
    port: u16,
    password: Source,
    jobs: u16,
    globals: bool,
    tables: Vec<String>,
    keep_daily: u32,
}

#[derive(Clone, Debug)]
enum Source {
    Variable(String),
    Command(Vec<String>),
}

/// How it is written.
#[derive(Clone, Copy, Debug)]
enum Style {
    Header,
    Dotted,
    Inline,
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        "[A-Z_][A-Z0-9_]{0,8}".prop_map(Source::Variable),
        (prop::collection::vec("[^$]{0,10}", 1..4)).prop_map(Source::Command),
    ]
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let words = prop::collection::vec("[^$]{0,12}", 0..4);
    (
        "[A-Za-z0-9][A-Za-z0-9._-]{0,20}",
        "[^$]{1,20}",
        1_u16..,
        source(),
        1_u16..=64,
        any::<bool>(),
        words,
        1_u32..=1000,
    )
        .prop_map(
            |(name, host, port, password, jobs, globals, tables, keep_daily)| Wanted {
                name,
                host,
                port,
                password,
                jobs,
                globals,
                tables,
                keep_daily,
            },
        )
}

fn style() -> impl Strategy<Value = Style> {
    prop_oneof![Just(Style::Header), Just(Style::Dotted), Just(Style::Inline)]
}

/// A text as TOML, escaped as JSON escapes, of which TOML lacks the escaped slash alone, and the bare DEL.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text").replace('\u{7f}', "\\u007f")
}

fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

impl Wanted {
    fn entries(&self) -> Vec<(&'static str, String)> {
        let password = match &self.password {
            Source::Variable(name) => format!("{{ env = {} }}", quoted(name)),
            Source::Command(arguments) => format!("{{ command = {} }}", list(arguments)),
        };
        vec![
            ("host", quoted(&self.host)),
            ("port", self.port.to_string()),
            ("password", password),
            ("jobs", format!("0x{:x}", self.jobs)),
            ("globals", self.globals.to_string()),
            ("table", list(&self.tables)),
            ("retention", format!("{{ keep-daily = {} }}", self.keep_daily)),
        ]
    }

    fn write(&self, style: Style) -> String {
        let name = quoted(&self.name);
        let entries = self.entries();
        let mut text = String::new();
        match style {
            Style::Header => {
                let _ = writeln!(text, "[database.{name}]");
                for (key, value) in entries {
                    let _ = writeln!(text, "{key} = {value} # a comment");
                }
            }
            Style::Dotted => {
                for (key, value) in entries {
                    let _ = writeln!(text, "database . {name}.\"{key}\"={value}");
                }
            }
            Style::Inline => {
                let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key} = {value}")).collect();
                let _ = writeln!(text, "database = {{ {name} = {{ {} }} }}", entries.join(", "));
            }
        }
        text
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(wanted in wanted(), style in style()) {
        let text = wanted.write(style);
        let config = Config::parse(&text, Path::new("f")).map_err(|error| TestCaseError::fail(format!("{text}\n{error}")))?;
        let database = config.database(&wanted.name).expect("it has its name");
        let none = |_: &str| None;
        let shown = database.connection.resolve_without_secrets(&none).unwrap();
        let parts: Vec<(&str, &str)> = shown.parts.iter().map(|(key, value)| (*key, value.expose())).collect();
        let port = wanted.port.to_string();
        prop_assert_eq!(parts, vec![("host", wanted.host.as_str()), ("port", port.as_str())]);
        prop_assert_eq!(database.jobs, Some(wanted.jobs));
        prop_assert_eq!(database.globals, Some(wanted.globals));
        let tables = database.selection.table.iter().flatten().map(|text| text.literal().unwrap());
        prop_assert!(tables.eq(wanted.tables.iter().map(String::as_str)));
        let policy = config.retention_of(database).unwrap().policy(|_| None).unwrap();
        prop_assert_eq!(policy.keep_daily, wanted.keep_daily);
        let Some(Given::Secret(source)) = database.connection.password() else {
            return Err(TestCaseError::fail("there is no password"));
        };
        match (source, &wanted.password) {
            (backstay_config::SecretSource::Variable { name, .. }, Source::Variable(expected)) => {
                prop_assert_eq!(name, expected);
            }
            (backstay_config::SecretSource::Command { arguments, .. }, Source::Command(expected)) => {
                let arguments = arguments.iter().map(|text| text.literal().unwrap());
                prop_assert!(arguments.eq(expected.iter().map(String::as_str)));
            }
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        }
    }
}
