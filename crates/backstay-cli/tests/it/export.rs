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
