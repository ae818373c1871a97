//! The program leads through a recovery.

use crate::support::{Run, Sandbox, fed};

/// Runs `recover` with answers in standard input.
fn answered(sandbox: &Sandbox, arguments: &[&str], answers: &str) -> Run {
    let mut command = sandbox.backstay(&[&["recover"], arguments].concat());
    Run::from(fed(&mut command, answers))
}

#[test]
fn the_three_things_that_happen_are_mended_by_answers_alone() {
    let sandbox = Sandbox::with_sample();
    sandbox.succeed(&["backup"]);
    sandbox.succeed(&["verify", "latest", "-q"]);
    let orders = |database: &str| sandbox.sql(database, "SELECT count(*) FROM app.orders");

    sandbox.sql("kulti", "DELETE FROM app.orders WHERE id > 10");
    // What cannot be understood is asked again.
    let answers = "\nhelp\nrows\nkulti\n7\n1\napp.orders\nkulti\n";
    let run = answered(&sandbox, &["--into-schema", "rescue_x"], answers);
    assert_eq!(run.code, Some(0), "{run:?}");
    let script = sandbox.sql("kulti", &run.stdout);
    assert_eq!((script.as_str(), orders("kulti").as_str()), ("", "2000"));
    sandbox.sql("kulti", "DROP SCHEMA rescue_x CASCADE");
    insta::assert_snapshot!(sandbox.shown(&run));

    sandbox.sql("kulti", "UPDATE app.orders SET sum = 0; DROP TABLE app.users CASCADE");
    let run = answered(&sandbox, &["--quiet"], "damage\nkulti\n1\nkulti\n");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(orders("kulti"), "2000");
    let kept = "SELECT count(*) FROM pg_database WHERE datname LIKE 'kulti\\_before\\_%'";
    assert_eq!(sandbox.sql("postgres", kept), "1");

    sandbox.sql("postgres", "DROP DATABASE kulti");
    let options = [
        "--what", "gone", "--to", "kulti", "--backup", "1", "--yes", "kulti", "--json",
    ];
    let run = answered(&sandbox, &options, "");
    assert_eq!(run.json()["proof"]["equal"], true, "{run:?}");
    assert_eq!(orders("kulti"), "2000");
}

#[test]
fn nothing_is_done_that_nobody_said() {
    let sandbox = Sandbox::with_sample();
    sandbox.succeed(&["backup"]);
    let damaged = ["--what", "damage", "--to", "kulti", "--backup", "1"];
    for (arguments, answers, code, told) in [
        (
            &[][..],
            "",
            2,
            "hint: answer in a line of standard input, or with --what",
        ),
        (&["--what", "gone"], "", 2, "or with --to"),
        (
            &["--what", "gone", "--to", "new", "--database", "kulti"],
            "",
            2,
            "or with --backup",
        ),
        // The backups of another database are none of this one.
        (
            &["--what", "gone", "--to", "new", "--backup", "1"],
            "",
            5,
            "hint: name one of them with --database NAME",
        ),
        (
            &["--what", "gone", "--to", "new", "--backup", "latest", "--yes", "new"],
            "",
            5,
            "hint: name one of them with --database NAME",
        ),
        (
            &["--what", "damage", "--to", "kulti", "--table", "app.orders"],
            "",
            2,
            "--table goes with lost rows only",
        ),
        (
            &["--to", "kulti", "--into-schema", "x"],
            "gone\n",
            2,
            "--into-schema goes with lost rows only",
        ),
        (
            &["--what", "rows", "--to", "kulti", "--backup", "latest"],
            "",
            2,
            "or with --table",
        ),
        (
            &["--what", "gone", "--to", "kulti", "--backup", "2"],
            "",
            2,
            "that number is not in the list",
        ),
        (
            &damaged,
            "yes\n",
            7,
            "\"yes\" is not the name of the target database; nothing was done",
        ),
        (&damaged, "", 7, "nothing was done"),
        (
            &["--what", "damage", "--to", "kulti", "--backup", "1", "--dry-run"],
            "",
            0,
            "this runs: backstay restore kulti_backup_",
        ),
        (
            &["--what", "gone", "--to", "kulti", "--backup", "1"],
            "kulti\n",
            7,
            "exists already",
        ),
        (
            &[
                "--what",
                "gone",
                "--to",
                "postgres://postgres:geheim@127.0.0.1:1/x",
                "--database",
                "kulti",
                "--backup",
                "latest",
            ],
            "",
            4,
            "restore latest --database kulti --to URL --create --globals --prove\n",
        ),
    ] {
        let run = answered(&sandbox, arguments, answers);
        assert_eq!(run.code, Some(code), "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(told), "{arguments:?}: {run:?}");
        assert!(!run.stderr.contains("geheim"), "{run:?}");
    }
    // A project of a platform is replaced by no other database, and a new one has its database already.
    sandbox.sql(
        "kulti",
        "CREATE ROLE supabase_admin; CREATE ROLE supabase_auth_admin; CREATE ROLE authenticator; CREATE ROLE anon;
         CREATE SCHEMA auth; CREATE SCHEMA storage",
    );
    let run = answered(&sandbox, &[&damaged[..], &["--dry-run"]].concat(), "");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        run.stderr
            .contains(" --to kulti --clean --single-transaction --prove\n"),
        "{run:?}"
    );
    let run = answered(
        &sandbox,
        &["--what", "gone", "--to", "kulti", "--backup", "1"],
        "kulti\n",
    );
    assert!(run.stderr.contains(" --to kulti --prove\n"), "{run:?}");
    let swap = ["restore", "latest", "--to", "kulti", "--swap", "--yes", "kulti"];
    let run = Run::of(&mut sandbox.backstay(&swap));
    assert_eq!(run.code, Some(7), "{run:?}");
    assert!(run.stderr.contains("is all of a project of Supabase"), "{run:?}");
    assert!(
        run.stderr
            .contains("--clean --single-transaction --prove in place of --swap"),
        "{run:?}"
    );
    let databases = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate";
    assert_eq!(sandbox.sql("postgres", databases), "kulti postgres");
}

#[test]
fn only_backups_of_the_database_are_shown_from_its_store_and_the_older_are_counted() {
    let sandbox = Sandbox::with_sample();
    sandbox.write(
        "backstay.toml",
        "[store.main]\nurl = \"./main\"\n[store.other]\nurl = \"./other\"\n\
         [database.kulti]\nurl = \"postgres:///kulti\"\nprefix = \"shop\"\nstore = \"main\"\n",
    );
    // A newer one of another database, and one that only bears the name of this one.
    let made = |database: &str, store: &str, name: &str| {
        let arguments = ["backup", "--from", database, "--store", store, "--name", name, "--json"];
        sandbox.succeed(&arguments).json()["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    sandbox.sql("postgres", "CREATE DATABASE elsewhere");
    let right = made("kulti", "./main", "shop");
    made("elsewhere", "./main", "elsewhere");
    made("elsewhere", "./other", "kulti");
    for backup in ["1", "latest"] {
        let arguments = ["--what", "damage", "--to", "kulti", "--backup", backup, "--dry-run"];
        let run = answered(&sandbox, &arguments, "");
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(run.stderr.contains("--store main"), "{run:?}");
        assert!(run.stdout.contains(&right), "{run:?}");
    }
    // Files that are named by hand do as well as ten backups.
    let folder = sandbox.path("main");
    for minute in 10..21 {
        for file in sandbox.files("main").iter().filter(|file| file.starts_with(&right)) {
            let ending = file.strip_prefix(&right).expect("it begins so");
            let old = folder.join(format!("shop_backup_20240101_00{minute}00{ending}"));
            std::fs::copy(folder.join(file), old).expect("a copy");
        }
    }
    let run = answered(&sandbox, &["--what", "damage", "--to", "kulti"], "");
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("and 2 older backups"), "{run:?}");
    let beyond = ["--what", "damage", "--to", "kulti", "--backup", "11", "--dry-run"];
    let run = answered(&sandbox, &beyond, "");
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(!run.stderr.contains("elsewhere"), "{run:?}");
}
