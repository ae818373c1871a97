//! The JSON schema takes what the program takes, as far as a schema can know.

use std::path::Path;

use backstay_config::{Config, EXAMPLE, schema};
use jsonschema::Validator;
use serde_json::Value as Json;

/// What `cargo xtask schema` writes.
const PUBLISHED: &str = include_str!("../../../../docs/backstay.schema.json");

fn validator() -> Validator {
    jsonschema::validator_for(&schema()).expect("it is a schema")
}

fn json(text: &str) -> Json {
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    serde_json::to_value(table).expect("all of it is JSON")
}

#[test]
fn the_published_schema_is_of_this_version() {
    let published: Json = serde_json::from_str(PUBLISHED).expect("it is JSON");
    assert!(
        published == schema(),
        "docs/backstay.schema.json is stale: run `cargo xtask schema`"
    );
}

#[test]
fn the_schema_takes_the_example() {
    let validator = validator();
    let errors: Vec<String> = validator
        .iter_errors(&json(EXAMPLE))
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn the_schema_refuses_what_the_program_refuses() {
    let validator = validator();
    for bad in [
        "colour = 1",
        "[databse.a]\nhost = 'h'",
        "[database]\na = 1",
        "[database.'a b']\nhost = 'h'",
        "[database.a]\nhost = 'h'\nhots = 'h'",
        "[database.a]\nhost = 1",
        "[database.a]\nhost = 'h'\nport = 0",
        "[database.a]\nhost = 'h'\njobs = 65",
        "[database.a]\nhost = 'h'\njobs = '4'",
        "[database.a]\nhost = 'h'\nread-back = 'yes'",
        "[database.a]\nhost = 'h'\npassword = 'hunter2'",
        "[database.a]\nhost = 'h'\npassword = {}",
        "[database.a]\nhost = 'h'\npassword = { evn = 'A' }",
        "[database.a]\nhost = 'h'\npassword = { env = 'A', file = 'b' }",
        "[database.a]\nhost = 'h'\npassword = { env = 'A B' }",
        "[database.a]\nhost = 'h'\npassword = { command = [] }",
        "[database.a]\nhost = 'h'\npassword = { command = 'pass' }",
        "[database.a]\nhost = 'h'\ncompress = 'lzma'",
        "[database.a]\nhost = 'h'\nvolume-size = '40MB'",
        "[database.a]\nhost = 'h'\nprefix = 'a/b'",
        "[database.a]\nhost = 'h'\npg-dump = '~/pg_dump'",
        "[database.a]\nhost = 'h'\ntable = 'a'",
        "[database.a]\nhost = 'h'\nretention = { keep = 1 }",
        "[store.a]",
        "[store.a]\nurl = 's3://b'\nsse = 'rot13'",
        "[store.a]\nurl = 's3://b'\nlegal-hold = 'on'",
        "[store.a]\nurl = 's3://b'\nsecret-access-key = 'hunter2'",
        "[retention.a]\nkeep-daily = -1",
        "[retention.a]\nkeep-daily = 0",
        "[retention.a]\nkeep-within = '7 days'",
        "[retention.a]\nmin-age = ''",
        "[retention.a]\nkeep-tag = 'a'",
        "[notification.a]\nping = 1",
        "[notification.a]\nslack = { evn = 'A' }",
        "[notification.a]\nwebhook = 'https://h'\non = ['failures']",
        "[notification.a]\nemail = { host = 'h', from = 'f' }",
        "[notification.a]\nemail = { host = 'h', from = 'f', to = ['t'], password = 'hunter2' }",
        "[notification.a]\ncommand = []",
        "[database.a]\nhost = 'h'\nschedule = 'daily'",
        "[database.a]\nhost = 'h'\njitter-minutes = 721",
        "[rules.a]\nmax-table-loss = 101",
        "[rules.a]\nhistory = 0",
        "[rules.a]\nmax-growth = 1",
        "[rules.a]\nrestored-within-minutes = '1h'",
        "[rules.a.table.t]\nrow-security = 'on'",
        "[rules.a.table.t]\ngrant = { app = 'SELECT' }",
        "[rules.a.table.t]\ndeny = { app = ['READ'] }",
        "[rules.a.sql.q]\nexpect = 0",
        "[rules.a.sql.q]\nquery = 'SELECT 1'\nexpect = 'null'",
        "[rules.a.sql.q]\nquery = 'SELECT 1'\nexpect-rows = { }",
        "[rules.a]\nseverity = { table-shrank = 'fatal' }",
        "[rules.a]\nseverity = { member-digest = 'note' }",
        "[[rules.a.exempt]]\nrule = 'table-shrank'\nreason = 'x'",
        "[[rules.a.exempt]]\nrule = 'member-digest'\nreason = 'x'\nuntil = '2025-12-31'",
        "[[rules.a.exempt]]\nrule = 'table-shrank'\nreason = 'x'\nuntil = 'never'",
        "[database.a]\nhost = 'h'\nrules = 1",
        "[export]\nname = 'a'\ntable = 't'",
        "[[export]]\ntable = 't'",
        "[[export]]\nname = 'a'\ntable = 't'\nformat = 'xlsx'",
        "[[export]]\nname = 'a'\ntable = 't'\ncompress = 'lzma'",
        "[[export]]\nname = 'a'\ntable = 't'\nschedule = 'daily'",
        "[[export]]\nname = 'a'\ntable = 't'\nquarry = 'q'",
        "[database.a]\nhost = 'h'\nsubject-links = ['a = b']",
    ] {
        assert!(!validator.is_valid(&json(bad)), "the schema takes {bad}");
        assert!(Config::parse(bad, Path::new("f")).is_err(), "the program takes {bad}");
    }
}

#[test]
fn the_schema_takes_values_of_every_form() {
    let validator = validator();
    for good in [
        "[database.a]\nhost = 'h'\nport = 1\nretention = 'r'\n[retention.r]\nkeep-within = '1y6m'",
        "[database.a]\nhost = 'h'\nport = '1,2'\nretention = { keep-last = 1 }",
        "[database.a]\nurl = { command = ['a', 'b'] }\npassword = { file = 'x' }",
        "[database.a]\nurl = '${URL}'\ncompress = 'zst:3'\nvolume-size = '16777216'",
        "[database.a]\nhost = 'h'\nsubject-links = ['a.b = c.d']\n[[export]]\nname = 'x'\ntable = 't'\nschedule = '*/5 2 * * MON-FRI'",
        "[[export]]\nname = 'x'\nquery = 'SELECT 1'\nformat = 'parquet'\ncompress = 'none'\nencrypt-to = []",
        "[store.a]\nurl = '${URL}'\nsse = '${SSE}'\naccess-key-id = 'a'\nsecret-access-key = { env = 'B' }",
        "[database.a]\nhost = 'h'\nrules = 'r'\n[rules.r]\nmax-age = '26h'\n[[rules.r.exempt]]\nrule = 'table-shrank'\n\
         subject = 't'\nreason = 'x'\nuntil = '2025-12-31'",
        "[database.a]\nhost = 'h'\nrules = { encrypted = true, table = { t = { deny = { PUBLIC = ['SELECT'] } } } }",
        "[rules.a.sql.q]\nquery = 'SELECT 1'\nexpect-rows = { min = 1 }\nseverity = 'note'",
        "[store.a]\nurl = 's3://b'\naccess-key-id = { env = 'A' }\nsecret-access-key = { env = 'B' }\nlegal-hold = true",
    ] {
        let errors: Vec<String> = validator
            .iter_errors(&json(good))
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{good}: {errors:?}");
        Config::parse(good, Path::new("f")).unwrap_or_else(|error| panic!("{good}: {error}"));
    }
}
