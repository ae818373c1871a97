use std::fs;

use crate::support::Sandbox;

#[test]
fn a_backup_is_verified_by_id_by_path_and_as_the_latest() {
    let sandbox = Sandbox::with_sample();
    let made = sandbox.succeed(&["backup", "--json"]).json();
    let id = made["id"].as_str().unwrap();
    let pack = format!("backups/{id}.sql.gz");
    let manifest = format!("backups/{id}.manifest.json");
    for (name, kind) in [
        ("latest", "backup"),
        (id, "backup"),
        (pack.as_str(), "pack"),
        (&manifest, "backup"),
    ] {
        for level in ["quick", "standard"] {
            let report = sandbox.succeed(&["verify", name, "--level", level, "--json"]).json();
            assert_eq!(
                (&report["sound"], &report["kind"]),
                (&true.into(), &kind.into()),
                "{name}"
            );
            assert_eq!(report["level"], level);
        }
    }
    let shown = sandbox.session(&[
        &["verify", "latest", "--require-table", "app.users"],
        &[
            "verify",
            "latest",
            "--require-table",
            "app.accounts",
            "--level",
            "quick",
        ],
        &["verify", &pack],
    ]);
    insta::assert_snapshot!(shown);
}

#[test]
fn damage_is_found() {
    let sandbox = Sandbox::with_sample();
    sandbox.succeed(&["backup"]);
    let pack = sandbox.file_ending("backups", ".sql.gz");
    let path = pack.to_str().unwrap();
    let whole = fs::read(&pack).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(&pack, &flipped).unwrap();
    for name in ["latest", path] {
        for level in ["quick", "standard"] {
            let run = sandbox.run(&["verify", name, "--level", level, "-q"]);
            assert_eq!(run.code, Some(1), "{name} {level}: {run:?}");
        }
        let run = sandbox.run(&["restore", name, "--to", "copy", "--create", "--yes", "copy"]);
        assert_eq!(run.code, Some(5), "{run:?}");
        assert!(run.stderr.contains("is not sound"), "{run:?}");
    }
    fs::write(&pack, &whole[..whole.len() - 1]).unwrap();
    let run = sandbox.run(&["verify", path, "--json"]);
    assert_eq!((run.code, &run.json()["sound"]), (Some(1), &false.into()), "{run:?}");
    assert_eq!(sandbox.run(&["verify", "latest"]).code, Some(1));
    assert_eq!(sandbox.run(&["show", path]).code, Some(5));
    assert_eq!(
        sandbox
            .run(&["restore", path, "--to", "copy", "--create", "--yes", "copy"])
            .code,
        Some(5)
    );
    fs::remove_file(&pack).unwrap();
    assert_eq!(sandbox.run(&["verify", "latest"]).code, Some(1));
    assert_eq!(
        sandbox.run(&["verify", path]).code,
        Some(5),
        "there is nothing to look at"
    );
    let databases = sandbox.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname = 'copy'");
    assert_eq!(databases, "0", "nothing was begun");
}

/// A backup whose manifest was lost is no backup, and its pack can be used by its path.
#[test]
fn a_pack_without_a_manifest_is_told_of() {
    let sandbox = Sandbox::with_sample();
    sandbox.succeed(&["backup"]);
    fs::remove_file(sandbox.file_ending("backups", ".manifest.json")).unwrap();
    fs::remove_file(sandbox.file_ending("backups", ".sha256")).unwrap();
    let pack = sandbox.file_ending("backups", ".sql.gz");
    let shown = sandbox.session(&[&["list"], &["prune", "--litter", "--grace", "0"], &["verify", "latest"]]);
    insta::assert_snapshot!(shown);
    let path = pack.to_str().unwrap();
    sandbox.succeed(&["verify", path]);
    sandbox.succeed(&["show", path]);
    sandbox.succeed(&["restore", path, "--to", "copy", "--create", "--prove", "--yes", "copy"]);
}

#[test]
fn a_plain_dump_is_verified_too() {
    let sandbox = Sandbox::with_sample();
    let dump = sandbox.client("pg_dump", "kulti").output().unwrap();
    assert!(dump.status.success());
    let text = String::from_utf8(dump.stdout).unwrap();
    sandbox.write("kulti.sql", &text);
    sandbox.write("cut.sql", &text[..text.len() / 2]);
    sandbox.write("other.sql", "PGDMP and what else");
    let shown = sandbox.session(&[
        &["verify", "kulti.sql"],
        &["verify", "kulti.sql", "--require-table", "app.accounts"],
        &["verify", "other.sql"],
        &["show", "kulti.sql"],
    ]);
    insta::assert_snapshot!(shown);
    assert_eq!(sandbox.run(&["verify", "cut.sql"]).code, Some(1));
}
