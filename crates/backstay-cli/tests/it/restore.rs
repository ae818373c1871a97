use std::process::Command;

use crate::support::{PASSWORD, Run, Sandbox};

fn rows(sandbox: &Sandbox, database: &str) -> String {
    sandbox.sql(
        database,
        "SELECT (SELECT count(*) FROM app.users) || ' ' || (SELECT sum(sum) FROM app.orders) || ' '
           || (SELECT count(*) FROM pg_largeobject_metadata)",
    )
}

#[test]
fn a_backup_comes_back() {
    let sandbox = Sandbox::with_sample();
    sandbox.succeed(&["backup"]);
    let shown = sandbox.session(&[
        &["restore", "latest", "--to", "copy"],
        &["restore", "latest", "--to", "copy", "--yes", "kulti"],
        &["restore", "latest", "--to", "copy", "--yes", "copy"],
        &[
            "restore",
            "latest",
            "--to",
            "copy",
            "--create",
            "--jobs",
            "2",
            "--dry-run",
        ],
        &[
            "restore", "latest", "--to", "copy", "--create", "--jobs", "2", "--prove", "--yes", "copy",
        ],
        &["restore", "latest", "--to", "copy", "--yes", "copy"],
        &["restore", "latest", "--to", "copy", "--create", "--yes", "copy"],
    ]);
    insta::assert_snapshot!(shown);
    assert_eq!(rows(&sandbox, "copy"), rows(&sandbox, "kulti"));
}

#[test]
fn machines_are_told_what_was_done() {
    let sandbox = Sandbox::with_sample();
    sandbox.succeed(&["backup"]);
    let to = ["restore", "latest", "--to", "copy", "--create", "--json"];
    let planned = sandbox.succeed(&[&to[..], &["--dry-run"]].concat()).json();
    assert_eq!(
        (&planned["rows"], &planned["database_exists"]),
        (&3002.into(), &false.into())
    );
    let done = sandbox
        .succeed(&[&to[..], &["--prove", "--yes", "copy"]].concat())
        .json();
    assert_eq!((&done["complete"], &done["rows"]), (&true.into(), &3002.into()));
    assert_eq!(done["proof"]["equal"], true);
}

#[test]
fn what_is_there_is_dropped_only_with_a_way_back() {
    let sandbox = Sandbox::with_sample();
    sandbox.succeed(&["backup"]);
    let to = ["restore", "latest", "--to", "kulti", "--yes", "kulti"];
    let change = "DELETE FROM app.orders; INSERT INTO app.users (name) VALUES ('new')";
    let before = rows(&sandbox, "kulti");
    assert_eq!(sandbox.run(&[&to[..], &["--clean"]].concat()).code, Some(2));
    for way_back in [
        &["--clean", "--single-transaction"][..],
        &["--clean", "--accept-loss", "kulti"],
        &["--clean", "--safety-backup", "safe", "--json"],
    ] {
        sandbox.sql("kulti", change);
        let run = sandbox.succeed(&[&to[..], way_back].concat());
        assert_eq!(rows(&sandbox, "kulti"), before, "{way_back:?}");
        if way_back.contains(&"safe") {
            let id = run.json()["safety_backup"].as_str().unwrap().to_owned();
            let safe = [
                "restore", &id, "--store", "safe", "--to", "old", "--create", "--yes", "old",
            ];
            sandbox.succeed(&safe);
            assert_eq!(sandbox.sql("old", "SELECT count(*) FROM app.orders"), "0");
        }
    }
}

#[test]
fn a_part_comes_back() {
    let sandbox = Sandbox::with_sample();
    sandbox.succeed(&["backup"]);
    sandbox.sql("postgres", "CREATE DATABASE part");
    sandbox.succeed(&[
        "restore",
        "latest",
        "--to",
        "part",
        "--table",
        "app.users",
        "--yes",
        "part",
    ]);
    let tables = "SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relkind = 'r' AND oid > 16384";
    assert_eq!(sandbox.sql("part", tables), "users");
    let run = sandbox.run(&[
        "restore",
        "latest",
        "--to",
        "part",
        "--table",
        "app.nothing",
        "--data-only",
        "--yes",
        "part",
    ]);
    assert_eq!(run.code, Some(2), "{run:?}");
    sandbox.sql("part", "TRUNCATE app.users");
    sandbox.succeed(&[
        "restore",
        "latest",
        "--to",
        "part",
        "--table",
        "app.users",
        "--data-only",
        "--yes",
        "part",
    ]);
    assert_eq!(sandbox.sql("part", "SELECT count(*) FROM app.users"), "1000");
}

#[test]
fn what_is_missing_is_told_and_is_no_success() {
    let sandbox = Sandbox::with_sample();
    sandbox.sql(
        "kulti",
        "CREATE ROLE owner_of_all; CREATE TABLE public.owned (id int); ALTER TABLE public.owned OWNER TO owner_of_all",
    );
    sandbox.succeed(&["backup"]);
    sandbox.sql("kulti", "DROP TABLE public.owned; DROP ROLE owner_of_all");
    let to = [
        "restore", "latest", "--to", "copy", "--create", "--jobs", "2", "--yes", "copy",
    ];
    let run = sandbox.run(&to);
    insta::assert_snapshot!(sandbox.shown(&run));
    let quiet = ["restore", "latest", "--to", "quiet", "--create", "--yes", "quiet", "-q"];
    let run = sandbox.run(&quiet);
    assert_eq!((run.code, run.stdout.as_str()), (Some(6), ""));
    assert!(run.stderr.contains("owner_of_all"), "{run:?}");
    let without = [
        "restore",
        "latest",
        "--to",
        "mine",
        "--create",
        "--yes",
        "mine",
        "--no-owner",
        "--json",
    ];
    assert_eq!(sandbox.succeed(&without).json()["complete"], true);
}

#[test]
fn a_plain_dump_comes_back_too() {
    let sandbox = Sandbox::with_sample();
    let file = sandbox.argument("kulti.sql.gz");
    let dumped = sandbox
        .client("pg_dump", "kulti")
        .args(["--compress=6", "-f", &file])
        .status();
    assert!(dumped.unwrap().success());
    let to = ["restore", "kulti.sql.gz", "--to", "copy", "--yes", "copy"];
    let create = [&to[..], &["--create"]].concat();
    // How many statements the dump has depends on the version of pg_dump.
    let done = sandbox.succeed(&[&create[..], &["--json"]].concat()).json();
    assert_eq!((&done["complete"], &done["rows"]), (&true.into(), &3002.into()));
    assert_eq!(rows(&sandbox, "copy"), rows(&sandbox, "kulti"));
    let prove = [&create[..], &["--prove"]].concat();
    let shown = sandbox.session(&[
        &prove,
        &to,
        &create,
        &["restore", "kulti.sql.gz", "--to", "new", "--create", "--dry-run"],
    ]);
    insta::assert_snapshot!(shown);
}

/// The name is asked for on a terminal, which `script` gives the program.
#[cfg(target_os = "linux")]
#[test]
fn the_name_of_the_target_is_asked_for() {
    let sandbox = Sandbox::with_sample();
    sandbox.succeed(&["backup"]);
    let typed = |answer: &str| {
        let program = env!("CARGO_BIN_EXE_backstay");
        let line = format!("{program} restore latest --to copy --create");
        let mut command = Command::new("script");
        command
            .args(["-qec", &line, "/dev/null"])
            .envs([
                ("PGHOST", "127.0.0.1"),
                ("PGUSER", "postgres"),
                ("PGPASSWORD", PASSWORD),
                ("TERM", "dumb"),
            ])
            .env("PGPORT", sandbox.server.port().to_string())
            .current_dir(sandbox.path(""));
        Run::from(crate::support::fed(&mut command, answer))
    };
    let run = typed("yes\n");
    assert_eq!(run.code, Some(7), "{run:?}");
    assert!(
        run.stdout.contains("does not exist; it will be created"),
        "the plan comes first: {run:?}"
    );
    let run = typed("copy\n");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("copy is restored"), "{run:?}");
}
