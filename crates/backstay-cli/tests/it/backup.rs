use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use backstay::{Compression, Prefix};
use backstay_testkit::fixtures::SampleBackup;
use jiff::{SignedDuration, Timestamp};

use crate::support::{Run, Sandbox, unpacked};

#[test]
fn a_backup_is_made_listed_and_shown() {
    let sandbox = Sandbox::with_sample();
    let shown = sandbox.session(&[
        &["list"],
        &["doctor"],
        &["backup"],
        &["list"],
        &["show", "latest"],
        &["prune", "--litter", "--dry-run"],
        &["backup", "my store", "--name", "x", "-q"],
        &["show", "latest", "--store", "my store", "--tables"],
    ]);
    insta::assert_snapshot!(shown);
    let manifest = sandbox.file_ending("backups", ".manifest.json");
    let shown = sandbox.succeed(&["show", "latest", "--json"]);
    assert_eq!(shown.stdout.as_bytes(), std::fs::read(manifest).unwrap());
    let pack = sandbox.file_ending("backups", ".sql.gz");
    let shown = sandbox.succeed(&["show", pack.to_str().unwrap(), "--json"]);
    assert_eq!(shown.json()["source"]["database"], "kulti");
}

#[test]
fn machines_get_one_json_object() {
    let sandbox = Sandbox::with_sample();
    let made = sandbox
        .succeed(&["backup", "--json", "--compress", "zstd:1", "--no-unlogged-data"])
        .json();
    let id = made["id"].as_str().unwrap();
    assert!(id.starts_with("kulti_backup_"), "{made}");
    assert_eq!(made["tables"], 3);
    assert_eq!(made["rows"], 3000);
    assert_eq!(made["large_objects"], 1);
    assert_eq!(made["left_out"][0]["subject"], "rows of public.cache");
    let pack = sandbox.file_ending("backups", ".sql.zst");
    assert_eq!(
        sandbox.path(made["file"].as_str().unwrap()).canonicalize().unwrap(),
        pack
    );
    assert_eq!(made["bytes"], std::fs::metadata(&pack).unwrap().len());
    let listed = sandbox.succeed(&["list", "--json"]).json();
    assert_eq!(listed["backups"][0]["id"], id);
    assert_eq!(listed["backups"][0]["has_checksum"], true);
    assert_eq!(listed["adoptable"], serde_json::json!([]));
    let doctor = sandbox.succeed(&["doctor", "--json"]).json();
    assert_eq!((&doctor["ready"], &doctor["role"]), (&true.into(), &"postgres".into()));
    let pruned = sandbox.succeed(&["prune", "--litter", "--json"]).json();
    assert_eq!(pruned["temporary"], serde_json::json!([]));
}

#[test]
fn silence_is_silence() {
    let sandbox = Sandbox::with_sample();
    for arguments in [
        &["backup", "-q"][..],
        &["doctor", "-q"],
        &["verify", "latest", "-q"],
        &["restore", "latest", "--to", "copy", "--create", "--yes", "copy", "-q"],
        &["prune", "--litter", "-q"],
    ] {
        let run = sandbox.succeed(arguments);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""), "{arguments:?}");
    }
}

#[test]
fn a_part_of_a_database_says_what_it_lacks() {
    let sandbox = Sandbox::with_sample();
    let made = sandbox
        .succeed(&[
            "backup",
            "-n",
            "app",
            "--exclude-table-data",
            "app.orders",
            "--no-large-objects",
            "--json",
        ])
        .json();
    assert_eq!(
        (&made["rows"], &made["large_objects"]),
        (&1000.into(), &serde_json::Value::Null)
    );
    let subjects: Vec<&str> = made["left_out"]
        .as_array()
        .unwrap()
        .iter()
        .map(|omission| omission["subject"].as_str().unwrap())
        .collect();
    assert!(subjects.contains(&"rows of app.orders"), "{subjects:?}");
    let pack = unpacked(&sandbox.file_ending("backups", ".sql.gz"));
    let text = String::from_utf8_lossy(&pack);
    for (table, has_rows) in [
        ("\"app\".\"users\"", true),
        ("\"app\".\"orders\"", false),
        ("\"cache\"", false),
    ] {
        assert_eq!(text.contains(&format!("COPY {table}")), has_rows, "{table}");
    }
    assert!(text.contains("CREATE TABLE app.orders") && !text.contains("cache"));
}

#[test]
fn roles_are_part_of_it_on_demand() {
    let sandbox = Sandbox::with_sample();
    sandbox.sql("postgres", "CREATE ROLE somebody_else");
    sandbox.succeed(&["backup", "--globals"]);
    let pack = unpacked(&sandbox.file_ending("backups", ".sql.gz"));
    assert!(String::from_utf8_lossy(&pack).contains("CREATE ROLE somebody_else"));
}

/// The file's variables count where the environment has none.
#[test]
fn files_in_the_working_folder_name_the_database() {
    let sandbox = Sandbox::with_sample();
    let url = |database: &str| {
        let password = crate::support::PASSWORD;
        sandbox
            .url(database)
            .replace("postgres@", &format!("postgres:{password}@"))
    };
    sandbox.write(".env", &format!("DATABASE_URL={}\nUNRELATED='x\ny'\n", url("postgres")));
    let database = |command: &mut Command| Run::of(command).json()["database"].clone();
    let doctor = ["doctor", "--json"];
    assert_eq!(
        database(&mut sandbox.backstay_in_empty_environment(&doctor)),
        "postgres"
    );
    sandbox.write(
        ".env.local",
        &format!("DATABASE_URL={}\nBACKSTAY_STORE=elsewhere", url("kulti")),
    );
    assert_eq!(database(&mut sandbox.backstay_in_empty_environment(&doctor)), "kulti");
    let mut command = sandbox.backstay_in_empty_environment(&doctor);
    assert_eq!(database(command.env("DATABASE_URL", url("template1"))), "template1");
    let made = Run::of(&mut sandbox.backstay_in_empty_environment(&["backup", "--json"])).json();
    assert_eq!(made["store"], "elsewhere");
    sandbox.write(".env", "a line without a name");
    let run = Run::of(&mut sandbox.backstay_in_empty_environment(&doctor));
    insta::assert_snapshot!(sandbox.shown(&run));
}

#[test]
fn old_backups_go_only_on_demand_and_never_the_held() {
    let sandbox = Sandbox::with_sample();
    let repository = sandbox.repository("backups");
    let now = Timestamp::now();
    let id = |prefix: &str, days: i64| {
        let prefix: Prefix = prefix.parse().unwrap();
        backstay::BackupId::new(prefix, now - SignedDuration::from_hours(24 * days)).to_string()
    };
    let ids = [id("kulti", 30), id("kulti", 20), id("kulti", 3), id("other", 30)];
    for id in &ids {
        SampleBackup::kulti(id, Compression::default()).publish(Arc::clone(repository.store()));
    }
    sandbox.write(&format!("backups/{}.hold-court.json", ids[0]), "{}");
    sandbox.succeed(&["backup"]);
    let listed = || {
        let listing = sandbox.repository("backups").list().unwrap();
        listing
            .backups
            .iter()
            .map(|backup| backup.id.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(listed().len(), 5, "nothing goes by itself");
    // The id has the time to the second.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let run = sandbox.succeed(&["backup", "--keep-days", "7", "--json"]).json();
    assert_eq!(run["removed"], serde_json::json!([ids[1]]));
    let left = listed();
    for (index, stays) in [(0, true), (1, false), (2, true), (3, true)] {
        assert_eq!(left.contains(&ids[index]), stays, "{}", ids[index]);
    }
    assert!(!sandbox.files("backups").iter().any(|name| name.starts_with(&ids[1])));
}

#[test]
fn a_reader_that_goes_is_no_error() {
    let sandbox = Sandbox::start();
    for arguments in [&["man"][..], &["completions", "bash"], &["--help"], &["doctor"]] {
        let mut child = sandbox
            .backstay(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let status = child.wait().unwrap();
        assert_eq!((status.code(), stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn completions_are_for_every_shell() {
    let sandbox = Sandbox::start();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = sandbox.succeed(&["completions", shell]).stdout;
        assert!(script.contains("keep-days"), "{shell}");
    }
}
