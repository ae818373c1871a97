//! What is wrong with a file is told with its place, all at once, and without what may be secret.

use std::path::Path;

use backstay_config::Config;

fn told(text: &str) -> String {
    let text = text.trim_start_matches('\n');
    let error = Config::parse(text, Path::new("backstay.toml")).expect_err("it has a mistake");
    error.to_string()
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_known_one() {
    insta::assert_snapshot!(told(
        r#"
[database.kulti]
url = "postgresql://localhost/kulti"
retentoin = "standard"
"#
    ));
}

#[test]
fn every_kind_of_mistake_has_its_place() {
    insta::assert_snapshot!(told(
        r#"
colour = "red"
notifications = []

[databse.kulti]
host = "localhost"

[database]
flat = 1

[database."no name"]
host = "localhost"

[database.nowhere]
user = "app"

[database.kulti]
url = "postgresql://localhost/kulti"
host = "localhost"
port = 65536
jobs = "four"
compress = "gzip:99"
volume-size = "15M"
prefix = "a/b"
read-back = "no"
globals = 1
lock-wait = 0
exclude-table = "audit"
table = ["a", 1]
also = ["ofsite", "offsite"]
store = "offsite"
"#
    ));
}

#[test]
fn mistakes_of_rules_have_their_places() {
    insta::assert_snapshot!(told(
        r#"
[database.kulti]
host = "localhost"
rules = "standrd"

[rules.standard]
max-table-los = 10
max-database-loss = 101
extension = "postgis"
encrypted = "yes"
table = "users"
severity = { table-shrunk = "error", table-grew = "bad" }

[rules.standard.sql.unpaid]
query = ""
expect = "as in backup"

[rules.standard.sql.both]
query = "SELECT 1"
expect = 1
expect-rows = { min = 2, max = 1 }

[rules.standard.sql.nothing]
query = "SELECT 1"

[[rules.standard.exempt]]
rule = "table-shrink"
reason = "why not"
until = 2025-02-28T10:00:00

[[rules.standard.exempt]]
rule = "table-shrank"
subject = "public.sessions"

[rules.other.table."public.users"]
min-row = 1
grant = { app = ["SELECT", "READ"] }
row-security = "yes"
"#
    ));
}

#[test]
fn sections_are_held_to_each_other() {
    insta::assert_snapshot!(told(
        r#"
[database.kulti]
host = "localhost"
retention = "standrd"
pg-dump = "~/bin/pg_dump"
encrypt-to = ["${KEY"]
encrypt-passphrase = { env = "PASSPHRASE" }
encrypt-gpg = { file = "x", env = "Y" }

[database.other]
host = "localhost"
password = {}
passfile = ""
retention = { keep-dayly = 7 }

[store.offsite]
url = "s3://bucket/prefix?region=eu-central-1"
region = "eu-central-1"
sse = "rot13"
project = "abc"
access-key-id = "id"

[store.nameless]
sse = "AES256"

[retention.standard]
keep-daily = -7
keep-within = "7 days"
keep-tag = ["pre migration"]
time-zone = 1
"#
    ));
}

#[test]
fn mistakes_of_grammar_are_told_by_themselves() {
    insta::assert_snapshot!(told(
        r#"
[database.kulti
host = "localhost"
port = 54 32
user = app
unknown = 1
user = "b"
password { env = "X" }
"#
    ));
}

#[test]
fn a_text_that_does_not_end_is_told() {
    insta::assert_snapshot!(told("[store.a]\nurl = \"hunter2\ncompress = 1\n"));
}

#[test]
fn a_name_that_is_there_twice_is_told() {
    insta::assert_snapshot!(told("[store.a]\nurl = \"a\"\n[store.a]\nurl = \"b\"\n"));
}

#[test]
fn marks_stand_below_what_is_meant() {
    insta::assert_snapshot!(told(
        "[store.\"ä\"]\nurl = \"a\"\n[store.b]\n\turl = 'a'\n\tüx = { a = 1 }\n"
    ));
}

#[test]
fn of_many_mistakes_the_first_are_told() {
    let mut text = "[store.a]\nurl = \"a\"\n".to_owned();
    for number in 0..25 {
        text.push_str(&format!("qqqqqqqq{number} = 1\n"));
    }
    let told = told(&text);
    assert!(told.starts_with("backstay.toml has 25 mistakes\n"), "{told}");
    assert!(
        told.contains("\"qqqqqqqq19\"") && !told.contains("\"qqqqqqqq20\""),
        "{told}"
    );
    assert!(told.ends_with("\nand 5 more"), "{told}");
}

#[test]
fn an_empty_file_says_nothing_and_is_no_mistake() {
    for text in ["", "# nothing\n", "[database]\n", "\u{feff}[store.a]\r\nurl = 'x'\r\n"] {
        Config::parse(text, Path::new("backstay.toml")).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    }
}

#[test]
fn mistakes_of_exports_have_their_places() {
    insta::assert_snapshot!(told(
        r#"
[database.kulti]
host = "localhost"
subject-links = ["logins.name = users.name", "logins = users"]

[[export]]
name = "users"
database = "kulty"
table = "users"
store = "offsite"
retention = "standard"

[[export]]
name = "users"
query = "SELECT 1"

[[export]]
name = "two"
table = "users"
query = "SELECT 1"

[[export]]
name = "other"
format = "xlsx"
compress = "lzma"
prefix = "log/exports"
schedule = "daily"
quary = "SELECT 1"

[[export]]
query = """
SELECT 1"""
"#
    ));
    insta::assert_snapshot!(told("[export.users]\ntable = 'users'\n"), @r#"
    backstay.toml:1:2: "export" has to be a list of sections: [[export]]
      1 | [export.users]
        |  ^^^^^^
    "#);
}

#[test]
fn mistakes_of_schedules_and_notifications_have_their_places() {
    insta::assert_snapshot!(told(
        r#"
[database.kulti]
host = "localhost"
schedule = "0 30 2 * * *"
drill-schedule = "0 0 31 2 *"
jitter-minutes = 0
notify = ["chatt"]

[[export]]
name = "users"
table = "users"
schedule = "0 0 */2 * MON"

[notification.nobody]
on = ["failure"]

[notification.chat]
slack = { env = "SLACK_URL" }
webhook = 'https://example.org/hunter2'
on = ["failures"]
about = ["backups"]

[notification.sign]
ping = "https://example.org/${hunter2"
on = ["success"]

[notification.mail]
email = { host = "mail.example.org", user = "app", tls = "maybe", from = "a@example.org", to = [], subject = "x" }

[notification.program]
command = []
ca-file = "a.pem"
"#
    ));
}
