//! Several stores: copies, further stores of a backup, and what a store promises.

use std::path::Path;
use std::sync::Arc;

use backstay::{Compression, Repository, WhenMissing, open_store};
use backstay_testkit::fixtures::SampleBackup;

use crate::support::Sandbox;

/// Puts a backup of the fixture into a folder.
fn publish(sandbox: &Sandbox, folder: &str, id: &str) {
    let store = open_store(&sandbox.argument(folder), WhenMissing::Create).unwrap();
    SampleBackup::kulti(id, Compression::default()).publish_in(&Repository::new(Arc::clone(&store)));
}

fn same(a: &Path, b: &Path) -> bool {
    std::fs::read(a).unwrap() == std::fs::read(b).unwrap()
}

#[test]
fn backups_are_copied_and_what_is_there_is_not_copied_again() {
    let sandbox = Sandbox::start();
    for id in [
        "kulti_backup_20250116_143022",
        "kulti_backup_20250117_143022",
        "kulti_backup_20250201_143022",
    ] {
        publish(&sandbox, "a", id);
    }
    insta::assert_snapshot!(sandbox.session(&[
        &["copy", "a", "b"],
        &["copy", "a", "b", "--newest-per", "month"],
        &["copy", "a", "b", "--all", "--no-read-back"],
        &["copy", "a", "b", "--id", "kulti_backup_20250118_143022"],
        &["copy", "a", "a/"],
        &["copy", "b", "c", "--all", "--quiet"],
    ]));
    assert_eq!(sandbox.files("a"), sandbox.files("c"));
    for name in sandbox.files("a") {
        assert!(
            same(&sandbox.path("a").join(&name), &sandbox.path("c").join(&name)),
            "{name}"
        );
    }
    sandbox.succeed(&["verify", "latest", "--store", "c"]);
}

#[test]
fn one_that_cannot_be_copied_does_not_keep_the_others() {
    let sandbox = Sandbox::start();
    for id in ["kulti_backup_20250116_143022", "kulti_backup_20250117_143022"] {
        publish(&sandbox, "a", id);
    }
    let pack = sandbox.path("a/kulti_backup_20250116_143022.sql.gz");
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[500] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    let run = sandbox.run(&["copy", "a", "b", "--all", "--json"]);
    assert_eq!(run.code, Some(5), "{run:?}");
    assert!(run.stderr.contains("is not what its manifest says"), "{run:?}");
    let told = run.json();
    assert_eq!(told["backups"][0]["ok"], false);
    let error = told["backups"][0]["error"].as_str().unwrap();
    assert!(error.contains("kulti_backup_20250116_143022.sql.gz"), "{error}");
    assert_eq!(told["backups"][1]["ok"], true);
    assert_eq!(told["backups"][1]["written"].as_array().unwrap().len(), 3);
    let files = sandbox.files("b");
    assert!(
        files
            .iter()
            .all(|name| name.starts_with("kulti_backup_20250117_143022.")),
        "{files:?}"
    );
    assert_eq!(files.len(), 3);
}

#[test]
fn a_store_that_is_down_does_not_spoil_the_others() {
    let sandbox = Sandbox::with_sample();
    sandbox.write("file", "no folder");
    let arguments = [
        "backup",
        "a",
        "--also",
        "file",
        "--also",
        "b",
        "--also",
        "missing/folder",
    ];
    let run = sandbox.run(&[&arguments[..], &["--json", "--keep-days", "1"]].concat());
    assert_eq!(run.code, Some(5), "{run:?}");
    let told = run.json();
    let id = told["id"].as_str().unwrap();
    let outcomes: Vec<(&str, bool)> = told["also"]
        .as_array()
        .unwrap()
        .iter()
        .map(|other| (other["store"].as_str().unwrap(), other["ok"].as_bool().unwrap()))
        .collect();
    assert_eq!(outcomes, [("file", false), ("b", true), ("missing/folder", false)]);
    assert!(told["also"][0]["error"].is_string() && told["also"][1]["error"].is_null());
    assert!(run.stderr.contains(&format!("{id} is in a; backstay copy")), "{run:?}");
    assert_eq!(sandbox.files("a"), sandbox.files("b"));
    for store in ["a", "b"] {
        sandbox.succeed(&["verify", id, "--store", store]);
    }
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let text = sandbox.succeed(&["backup", "a", "--also", "b"]);
    assert!(text.stdout.contains("also") && !text.stdout.contains("NOT"), "{text:?}");
}

#[test]
fn the_same_store_under_another_name_is_no_second_one() {
    let sandbox = Sandbox::with_sample();
    let path = sandbox.argument("a");
    for also in ["a", "a/", "file:a"] {
        let run = sandbox.run(&["backup", "a", "--also", also]);
        assert_eq!(run.code, Some(2), "{run:?}");
    }
    assert!(sandbox.files("a").is_empty());
    let run = sandbox.run(&["backup", "a", "--also", &path]);
    assert_eq!(run.code, Some(5), "{run:?}");
    assert!(run.stderr.contains("so it is the same store"), "{run:?}");
    assert!(run.stdout.contains("NOT in"), "{run:?}");
    assert_eq!(sandbox.files("a").len(), 3);
}

#[test]
fn a_folder_keeps_what_a_store_promises() {
    let sandbox = Sandbox::start();
    publish(&sandbox, "a", "kulti_backup_20250116_143022");
    let before = sandbox.files("a");
    let missing = sandbox.run(&["store", "check", "nowhere"]);
    assert_eq!(missing.code, Some(5), "{missing:?}");
    let checked = sandbox.succeed(&["store", "check", "a"]);
    assert_eq!(checked.stdout.lines().count(), 12, "{checked:?}");
    assert!(checked.stdout.lines().all(|line| line.contains(" kept")), "{checked:?}");
    assert!(checked.stdout.contains("20 MiB, written at "), "{checked:?}");
    let told = sandbox.succeed(&["store", "check", "a", "--json"]).json();
    assert_eq!((&told["ok"], &told["store"]), (&true.into(), &"a".into()));
    let mut after = sandbox.files("a");
    after.retain(|name| name != "backstay-check");
    assert_eq!(after, before);
    assert!(sandbox.files("a/backstay-check").is_empty());
    let quiet = sandbox.succeed(&["store", "check", "a", "--quiet"]);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    let signed = sandbox.run(&["sign", "latest", "--store", "a"]);
    assert_eq!(signed.code, Some(5), "{signed:?}");
    assert!(signed.stderr.contains("a makes no signed URLs"), "{signed:?}");
}
