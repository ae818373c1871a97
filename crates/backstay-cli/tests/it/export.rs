//! Exports by the sample configuration, and what belongs to a person.

use std::fs;
use std::process::Command;

use crate::support::{PASSWORD, Run, Sandbox};

/// A server with the tables of the sample application, and the sample configuration, changed as little as that needs.
fn application() -> Sandbox {
    let sandbox = Sandbox::start();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/sample/application.sql");
    sandbox.sql("kulti", &fs::read_to_string(sample).unwrap());
    let example = sandbox.succeed(&["config", "example"]).stdout;
    let port = format!("port = {}", sandbox.server.port());
    let text = example
        .replace("port = 5432", &port)
        .replace("user = \"app\"", "user = \"postgres\"")
        .replace("# subject-links", "subject-links");
    assert!(text.contains(&port) && text.contains("user = \"postgres\"") && text.contains("\nsubject-links"));
    sandbox.write("backstay.toml", &text);
    sandbox
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let mut command = sandbox.backstay_in_empty_environment(arguments);
    command.env("KULTI_HOST", "127.0.0.1").env("KULTI_PASSWORD", PASSWORD);
    Run::of(&mut command)
}

fn succeed(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let run = run(sandbox, arguments);
    assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
    run
}

/// A text without the times in names of exports.
fn without_times(text: &str) -> String {
    let mut parts = text.split("_export_");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        format!("{text}_export_[TIME]{}", &part["20250116_143022".len()..])
    })
}

/// What `psql` writes for a query of the sample configuration.
fn by_psql(sandbox: &Sandbox, name: &str) -> Vec<u8> {
    let text = fs::read_to_string(sandbox.path("backstay.toml")).unwrap();
    let section = text.split(&format!("name = \"{name}\"")).nth(1).unwrap();
    let query = section.split("\"\"\"").nth(1).unwrap().replace('\n', " ");
    let copy = format!("\\copy ({query}) TO STDOUT CSV HEADER");
    let output = sandbox
        .client("psql", "kulti")
        .args(["-Xq", "-c", &copy])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn the_sample_configuration_exports_the_sample_application() {
    let sandbox = application();
    let made = succeed(
        &sandbox,
        &["export-data", "users", "transactions", "sessions", "--json"],
    )
    .json();
    let rows: Vec<(&str, u64)> = made
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["rows"].as_u64().unwrap()))
        .collect();
    assert_eq!(rows, [("sessions", 40), ("transactions", 100), ("users", 20)]);
    let users = fs::read(sandbox.file_ending("backups/exports", ".csv")).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&users),
        String::from_utf8_lossy(&by_psql(&sandbox, "users"))
    );
    let jq = Command::new("sh")
        .args([
            "-c",
            "gunzip -c \"$1\" | jq -r '[.participants, .host, .price] | @csv' | sort | uniq -c | wc -l",
            "sh",
        ])
        .arg(sandbox.file_ending("backups/exports", ".jsonl.gz"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&jq.stdout).trim(), "40");
    let parquet = fs::read(sandbox.file_ending("backups/exports", ".parquet")).unwrap();
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    // Exports are no backups, and the log knows of both.
    let listed = succeed(&sandbox, &["list", "local", "--json"]).json();
    assert_eq!(listed["backups"].as_array().map(Vec::len), Some(0), "{listed}");
    let log = succeed(&sandbox, &["log", "local", "--json"]).json();
    assert_eq!(log.as_array().map(Vec::len), Some(3), "{log}");
    assert!(
        log.as_array().unwrap().iter().all(|entry| entry["deed"] == "export"),
        "{log}"
    );
    // Its own retention lets the first go, and that of those without any lets nothing go.
    let text = fs::read_to_string(sandbox.path("backstay.toml")).unwrap();
    let text = text.replace(
        "retention = { keep-daily = 7, keep-monthly = 12 }",
        "retention = { keep-last = 1 }",
    );
    sandbox.write("backstay.toml", &text);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let again = succeed(&sandbox, &["export-data", "--all"]);
    insta::assert_snapshot!(without_times(&sandbox.shown(&again)));
    let names = sandbox.files("backups/exports");
    let manifests = |name: &str| {
        let mut names = names.iter();
        names
            .by_ref()
            .filter(|file| file.starts_with(name) && file.ends_with(".manifest.json"))
            .count()
    };
    assert_eq!((manifests("users"), manifests("sessions")), (1, 2), "{names:?}");
}

#[test]
fn exports_that_cannot_be_made_are_told_and_the_others_are_made() {
    let sandbox = application();
    let text = fs::read_to_string(sandbox.path("backstay.toml")).unwrap();
    let key = sandbox.succeed(&["key", "new", "key.txt"]);
    let public = key
        .stdout
        .split_whitespace()
        .find(|word| word.starts_with("age1"))
        .unwrap();
    let more = format!(
        "\n[[export]]\nname = 'broken'\nquery = 'SELECT nothing FROM users'\n[[export]]\nname = 'sealed'\ntable = 'logins'\n\
         encrypt-to = ['{public}']\n"
    );
    sandbox.write("backstay.toml", &(text + &more));
    let shown = [
        run(&sandbox, &["export-data", "broken", "sealed"]),
        run(&sandbox, &["export-data", "brken"]),
        run(&sandbox, &["export-data", "--subject", "users.username=nobody"]),
        run(&sandbox, &["export-data", "--subject", "users.user_name=user_1"]),
        run(&sandbox, &["export-data", "--subject", "user_1"]),
    ];
    let shown: Vec<String> = shown.iter().map(|run| sandbox.shown(run)).collect();
    insta::assert_snapshot!(without_times(&shown.join("\n")));
    let age = Command::new("age")
        .args(["-d", "-i"])
        .arg(sandbox.path("key.txt"))
        .arg(sandbox.file_ending("backups/exports", ".csv.age"))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&age.stdout).lines().next(),
        Some("user_name,at"),
        "{}",
        String::from_utf8_lossy(&age.stderr)
    );
}

#[test]
fn what_belongs_to_a_person_is_shown_and_written() {
    let sandbox = application();
    let subject = ["export-data", "--subject", "users.username=user_1"];
    let dry = succeed(&sandbox, &[&subject[..], &["--dry-run"]].concat());
    insta::assert_snapshot!(sandbox.shown(&dry));
    assert!(!sandbox.path("backups").exists());
    let made = succeed(&sandbox, &[&subject[..], &["--store", "./portable", "--json"]].concat()).json();
    let tables = made["tables"].as_array().unwrap().len();
    let folder = fs::read_dir(sandbox.path("portable/exports"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let files = fs::read_dir(&folder).unwrap().count();
    assert_eq!(files, tables * 4 + 1);
    let users = fs::read_to_string(folder.join("public.users.csv")).unwrap();
    assert!(
        users.contains("user1@example.org") && !users.contains("user2@"),
        "{users}"
    );
    let sums = Command::new("sh")
        .args(["-c", "cd \"$1\" && sha256sum -c --quiet *.sha256", "sh"])
        .arg(&folder)
        .status()
        .unwrap();
    assert!(sums.success());
}

/// Databases `one` and `two`, and a configuration that has `one` only, encrypted.
fn two_databases() -> (Sandbox, String) {
    let sandbox = Sandbox::start();
    for name in ["one", "two"] {
        sandbox.sql("postgres", &format!("CREATE DATABASE {name}"));
        sandbox.sql(
            name,
            &format!(
                "CREATE TABLE people (id int PRIMARY KEY, of text); INSERT INTO people VALUES (1, 'row of {name}'); \
                 CREATE TABLE logins (who int); INSERT INTO logins VALUES (1)"
            ),
        );
    }
    let key = sandbox.succeed(&["key", "new", "key.txt"]).stdout;
    let public = key.split_whitespace().find(|word| word.starts_with("age1")).unwrap();
    let text = format!(
        "[store.local]\nurl = './backups'\n[database.one]\nurl = '{}'\nstore = 'local'\nencrypt-to = ['{public}']\nsubject-links = ['logins.who = people.id']\n\
         [[export]]\nname = 'unnamed'\ntable = 'people'\nretention = {{ keep-last = 1 }}\n\
         [[export]]\nname = 'named'\ndatabase = 'one'\ntable = 'people'\n\
         [[export]]\nname = 'clear'\nquery = 'SELECT 1 AS x'\nencrypt-to = []\n\
         [[export]]\nname = 'clear_named'\ndatabase = 'one'\nquery = 'SELECT 1 AS x'\nencrypt-to = []\n",
        sandbox.url("one"),
    );
    sandbox.write("backstay.toml", &text);
    (sandbox, text)
}

/// Runs the program where variables name the database `two`.
fn run_beside_two(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let mut command = sandbox.backstay_in_empty_environment(arguments);
    command
        .env("DATABASE_URL", sandbox.url("two"))
        .env("PGPASSWORD", PASSWORD);
    Run::of(&mut command)
}

fn opened(sandbox: &Sandbox, begin: &str) -> String {
    let files = sandbox.files("backups/exports");
    let file = files
        .iter()
        .find(|name| name.starts_with(begin) && name.ends_with(".csv.age"));
    let file = file.unwrap_or_else(|| panic!("{begin} in {files:?}"));
    let mut age = Command::new("age");
    age.args(["-d", "-i"]).arg(sandbox.path("key.txt"));
    let output = age.arg(sandbox.path("backups/exports").join(file)).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn exports_are_of_the_database_of_the_file_whatever_variables_name() {
    let (sandbox, _) = two_databases();
    // What a crash left long ago goes without any retention.
    let litter = sandbox.path("backups/exports/clear_export_20240101_000000.csv");
    fs::create_dir_all(litter.parent().unwrap()).unwrap();
    fs::write(&litter, "x").unwrap();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(8 * 24 * 3600);
    let file = fs::File::options().write(true).open(&litter).unwrap();
    file.set_modified(long_ago).unwrap();
    let made = run_beside_two(&sandbox, &["export-data", "--all"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(!litter.exists());
    for name in ["unnamed_", "named_"] {
        assert_eq!(opened(&sandbox, name), "id,of\n1,row of one\n");
    }
    // One database is read in one snapshot, whether it was named or is the only one.
    let files = sandbox.files("backups/exports");
    let contents = |name: &str| -> serde_json::Value {
        let file = files
            .iter()
            .find(|file| file.starts_with(name) && file.ends_with(".manifest.json"));
        let text = fs::read(sandbox.path("backups/exports").join(file.unwrap())).unwrap();
        serde_json::from_slice::<serde_json::Value>(&text).unwrap()["contents"].clone()
    };
    let (unnamed, named) = (contents("clear_export_"), contents("clear_named_"));
    assert_eq!(
        (&unnamed["database"], &named["database"]),
        (&"one".into(), &"one".into())
    );
    assert!(
        unnamed["snapshot"].is_string() && unnamed["snapshot"] == named["snapshot"],
        "{unnamed} {named}"
    );
    // What belongs to a person is of that database, with its links and its encryption.
    let made = run_beside_two(
        &sandbox,
        &["export-data", "--subject", "people.id=1", "--store", "./portable"],
    );
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.stdout.contains("public.logins  1 row"), "{}", made.stdout);
    let folder = fs::read_dir(sandbox.path("portable/exports"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    for file in fs::read_dir(folder.path()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(name.ends_with(".age") || name.ends_with(".age.sha256"), "{name}");
    }
}

#[test]
fn a_database_that_was_typed_is_encrypted_as_the_file_says_and_lets_no_export_go() {
    let (sandbox, text) = two_databases();
    let made = run_beside_two(&sandbox, &["export-data", "unnamed"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    // It is an old one.
    for file in sandbox.files("backups/exports") {
        let time = &file["unnamed_export_".len()..][.."20250116_143022".len()];
        let old = |text: &str| text.replace(time, "20240101_000000");
        let path = sandbox.path("backups/exports");
        if file.ends_with(".json") {
            let text = fs::read_to_string(path.join(&file)).unwrap();
            fs::write(path.join(&file), old(&text)).unwrap();
        }
        fs::rename(path.join(&file), path.join(old(&file))).unwrap();
    }
    let two = sandbox.url("two");
    let made = run_beside_two(&sandbox, &["export-data", "unnamed", "--from", &two, "--json"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert_eq!(made.json()[0]["removed"], serde_json::json!([]));
    let files = sandbox.files("backups/exports");
    let sealed = files.iter().filter(|name| name.ends_with(".csv.age")).count();
    assert_eq!(
        (sealed, files.iter().filter(|name| name.ends_with(".csv")).count()),
        (2, 0),
        "{files:?}"
    );
    // Where there are several, nobody knows which of them counts.
    let text = format!("{text}[database.three]\nurl = '{two}'\n");
    sandbox.write("backstay.toml", &text);
    let refused = [
        run_beside_two(&sandbox, &["export-data", "unnamed", "--from", &two]),
        run_beside_two(&sandbox, &["export-data", "--subject", "people.id=1", "--from", &two]),
        run_beside_two(&sandbox, &["export-data", "unnamed"]),
    ];
    let shown: Vec<String> = refused.iter().map(|run| sandbox.shown(run)).collect();
    insta::assert_snapshot!(shown.join("\n"));
    assert_eq!(sandbox.files("backups/exports"), files);
    let named = run_beside_two(&sandbox, &["export-data", "named", "--from", &two]);
    assert_eq!(named.code, Some(0), "{named:?}");
    assert_eq!(opened(&sandbox, "named_"), "id,of\n1,row of two\n");
}

#[test]
fn a_database_or_store_that_fails_spoils_no_other_export() {
    let (sandbox, text) = two_databases();
    let more = format!(
        "[database.gone]\nurl = '{}'\nstore = 'local'\n[store.broken]\nurl = './key.txt/below'\n\
         [[export]]\nname = 'lost'\ndatabase = 'gone'\ntable = 'people'\n\
         [[export]]\nname = 'lost_too'\ndatabase = 'gone'\ntable = 'people'\n\
         [[export]]\nname = 'misplaced'\ndatabase = 'one'\nstore = 'broken'\ntable = 'people'\n",
        sandbox.url("gone")
    );
    sandbox.write("backstay.toml", &(text + &more));
    let run = run_beside_two(&sandbox, &["export-data", "lost", "lost_too", "misplaced", "named"]);
    insta::assert_snapshot!(without_times(&sandbox.shown(&run)));
    assert_eq!(opened(&sandbox, "named_"), "id,of\n1,row of one\n");
}

#[test]
fn a_backup_is_accompanied_by_exports_in_its_snapshot() {
    let (sandbox, _) = two_databases();
    let arguments = [
        "backup",
        "--db",
        "one",
        "--export",
        "named",
        "--export",
        "clear_named",
        "--json",
    ];
    let made = run_beside_two(&sandbox, &arguments);
    assert_eq!(made.code, Some(0), "{made:?}");
    let exports = made.json()["exports"].clone();
    let names: Vec<_> = exports.as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["clear_named", "named"]);
    // Encrypted as the file says, each for itself.
    assert_eq!(opened(&sandbox, "named_"), "id,of\n1,row of one\n");
    let clear = sandbox
        .files("backups/exports")
        .into_iter()
        .find(|name| name.starts_with("clear_named_") && name.ends_with(".csv"));
    let clear = fs::read_to_string(sandbox.path("backups/exports").join(clear.unwrap())).unwrap();
    assert_eq!(clear, "x\n1\n");
}

#[test]
fn an_export_that_fails_spoils_no_backup_and_is_told() {
    let (sandbox, text) = two_databases();
    let more = format!(
        "[database.two]\nurl = '{}'\n[[export]]\nname = 'of_two'\ndatabase = 'two'\ntable = 'people'\n\
         [[export]]\nname = 'wrong'\ndatabase = 'one'\ntable = 'nothing'\n",
        sandbox.url("two")
    );
    sandbox.write("backstay.toml", &(text + &more));
    let backup = |exports: &[&str]| {
        let fixed = ["backup", "--db", "one", "--name", "b", "--quiet"];
        run_beside_two(&sandbox, &[&fixed[..], exports].concat())
    };
    let of_another = backup(&["--export", "of_two"]);
    assert_eq!(sandbox.files("backups").len(), 0);
    let failed = backup(&["--export", "wrong", "--export", "named"]);
    insta::assert_snapshot!(without_times(
        &[sandbox.shown(&of_another), sandbox.shown(&failed)].join("\n")
    ));
    assert_eq!(opened(&sandbox, "named_"), "id,of\n1,row of one\n");
    assert!(
        sandbox
            .files("backups")
            .iter()
            .any(|name| name.starts_with("b_backup_") && name.ends_with(".manifest.json"))
    );
}
