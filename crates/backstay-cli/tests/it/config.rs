//! The file `backstay.toml`, from being found to the backup that it describes.

use std::process::Command;

use crate::support::{PASSWORD, Run, Sandbox};

/// A database that is reached with nothing but what the file says, in two stores.
fn file(sandbox: &Sandbox, more: &str) -> String {
    format!(
        "[database.shop]\nhost = '127.0.0.1'\nport = {}\nuser = 'postgres'\ndbname = 'kulti'\n\
         password = {{ file = 'secret' }}\nstore = 'near'\nalso = ['far']\n{more}\n\
         [store.near]\nurl = 'near'\n[store.far]\nurl = 'far'\n",
        sandbox.server.port()
    )
}

/// The program with no variables of the server.
fn run(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    Run::of(&mut sandbox.backstay_in_empty_environment(arguments))
}

fn succeed(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let run = run(sandbox, arguments);
    assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
    run
}

/// The first id in a store.
fn only_backup(sandbox: &Sandbox, store: &str) -> String {
    let names = sandbox.file_ending(store, ".manifest.json");
    let name = names.file_name().expect("a name").to_str().expect("text");
    name.trim_end_matches(".manifest.json").to_owned()
}

#[test]
fn a_backup_is_made_verified_and_restored_by_names() {
    let sandbox = Sandbox::with_sample();
    sandbox.write("secret", &format!("{PASSWORD}\n"));
    let more = "compress = 'zstd'\nexclude-table-data = ['app.orders']\nretention = { keep-last = 1 }";
    sandbox.write("backstay.toml", &file(&sandbox, more));
    let made = succeed(&sandbox, &["backup"]);
    assert!(made.stdout.contains("next: backstay verify shop_backup_"), "{made:?}");
    assert!(made.stdout.contains("--store near"), "{made:?}");
    let id = only_backup(&sandbox, "near");
    assert!(id.starts_with("shop_backup_"), "{id}");
    assert_eq!(only_backup(&sandbox, "far"), id);
    sandbox.file_ending("near", ".sql.zst");
    let shown = succeed(&sandbox, &["show", "latest", "--database", "shop", "--tables"]);
    assert!(shown.stdout.contains("app.orders"), "{shown:?}");
    for arguments in [
        &["list", "--store", "far", "--json"][..],
        &["list", "near", "--json"],
        &["list", "--json", "--config", "backstay.toml", "near"],
    ] {
        let listed = succeed(&sandbox, arguments).json();
        assert_eq!(listed["backups"][0]["id"], id.as_str());
    }
    // Of what the file keeps, the second backup makes the first one go, in the first store alone.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let again = succeed(&sandbox, &["backup", "--db", "shop", "--json"]).json();
    assert_eq!(again["removed"], serde_json::json!([id]));
    let ids = |store: &str| {
        let names = sandbox.files(store);
        names.iter().filter(|name| name.ends_with(".manifest.json")).count()
    };
    assert_eq!((ids("near"), ids("far")), (1, 2));
    // The store that has copies is pruned by the same rules when somebody says so.
    let pruned = succeed(&sandbox, &["prune", "far", "--db", "shop", "--dry-run"]);
    assert!(pruned.stdout.contains("1 of 2 are let go"), "{pruned:?}");
    succeed(&sandbox, &["prune", "far", "--db", "shop", "--quiet"]);
    assert_eq!((ids("near"), ids("far")), (1, 1));
    succeed(&sandbox, &["verify", "latest", "--database", "shop", "--quiet"]);
    let id = only_backup(&sandbox, "far");
    succeed(&sandbox, &["verify", &id, "--store", "far", "--quiet"]);
    let to = ["--to", "kulti_again", "--create", "--yes", "kulti_again"];
    let restored = Run::of(
        &mut sandbox.backstay(&[&["restore", "latest", "--database", "shop", "--store", "far"], &to[..]].concat()),
    );
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert_eq!(sandbox.sql("kulti_again", "SELECT count(*) FROM app.users"), "1000");
    assert_eq!(sandbox.sql("kulti_again", "SELECT count(*) FROM app.orders"), "0");
    succeed(&sandbox, &["prune", "far", "--litter"]);
}

#[test]
fn options_come_before_variables_and_those_before_the_file() {
    let sandbox = Sandbox::with_sample();
    sandbox.write("secret", PASSWORD);
    sandbox.write("backstay.toml", &file(&sandbox, ""));
    sandbox.sql("postgres", "CREATE DATABASE other");
    let backup = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = sandbox.backstay_in_empty_environment(&[&["backup", "--json"], arguments].concat());
        let run = Run::of(command.envs(variables.iter().copied()));
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
        let json = run.json();
        let text = |key: &str| json[key].as_str().expect("text").to_owned();
        std::thread::sleep(std::time::Duration::from_millis(1100));
        (
            text("database"),
            text("store").rsplit('/').next().expect("a name").to_owned(),
        )
    };
    let told = |database: &str, store: &str| (database.to_owned(), store.to_owned());
    let url = format!(
        "postgres://postgres:{PASSWORD}@127.0.0.1:{}/other",
        sandbox.server.port()
    );
    let elsewhere = [
        ("PGHOST", "127.0.0.1"),
        ("PGPORT", "1"),
        ("PGDATABASE", "other"),
        ("PGUSER", "nobody"),
    ];
    assert_eq!(backup(&[], &[]), told("kulti", "near"));
    assert_eq!(backup(&["--db", "shop"], &elsewhere), told("kulti", "near"));
    assert_eq!(
        backup(&["--db", "shop"], &[("DATABASE_URL", &url)]),
        told("kulti", "near")
    );
    assert_eq!(backup(&[], &[("BACKSTAY_STORE", "third")]), told("kulti", "third"));
    assert_eq!(
        backup(&["fourth"], &[("BACKSTAY_STORE", "third")]),
        told("kulti", "fourth")
    );
    // What a variable names is not what the file describes, and the file has two stores.
    assert_eq!(backup(&["far"], &[("DATABASE_URL", &url)]), told("other", "far"));
    let run = Run::of(
        sandbox
            .backstay_in_empty_environment(&["backup"])
            .env("DATABASE_URL", &url),
    );
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("several of [store]: far, near"), "{run:?}");
}

#[test]
fn the_file_is_found_here_or_at_the_user_or_where_it_is_named() {
    let sandbox = Sandbox::start();
    let check = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = sandbox.backstay_in_empty_environment(&[&["config", "check", "--json"], arguments].concat());
        let run = Run::of(command.envs(variables.iter().copied()));
        match run.code {
            Some(0) => run.json()["stores"][0]["name"].as_str().map(str::to_owned),
            code => {
                assert_eq!(code, Some(3), "{run:?}");
                None
            }
        }
    };
    let write = |path: &str, name: &str| sandbox.write(path, &format!("[store.{name}]\nurl = 'x'\n"));
    assert_eq!(check(&[], &[]), None);
    std::fs::create_dir_all(sandbox.path(".config/backstay")).expect("a folder");
    write(".config/backstay/backstay.toml", "home");
    assert_eq!(check(&[], &[]).as_deref(), Some("home"));
    std::fs::create_dir_all(sandbox.path("xdg/backstay")).expect("a folder");
    write("xdg/backstay/backstay.toml", "xdg");
    let xdg = sandbox.argument("xdg");
    assert_eq!(check(&[], &[("XDG_CONFIG_HOME", &xdg)]).as_deref(), Some("xdg"));
    write("backstay.toml", "here");
    assert_eq!(check(&[], &[("XDG_CONFIG_HOME", &xdg)]).as_deref(), Some("here"));
    write("variable.toml", "variable");
    let variable = [("BACKSTAY_CONFIG", "variable.toml")];
    assert_eq!(check(&[], &variable).as_deref(), Some("variable"));
    write("typed.toml", "typed");
    assert_eq!(check(&["--config", "typed.toml"], &variable).as_deref(), Some("typed"));
    assert_eq!(check(&["--config", "none.toml"], &variable), None);
    // From `.env` too, as the program's other variables.
    sandbox.write(".env", "BACKSTAY_CONFIG=variable.toml\n");
    assert_eq!(check(&[], &[]).as_deref(), Some("variable"));
}

#[test]
fn a_check_tells_what_was_understood_and_no_secret() {
    let sandbox = Sandbox::start();
    sandbox.write("secret", PASSWORD);
    Command::new("chmod")
        .arg("644")
        .arg(sandbox.path("secret"))
        .status()
        .expect("chmod runs");
    let more = "encrypt-passphrase = { env = 'PASSPHRASE' }\nretention = 'r'";
    let rest = "[store.s]\nurl = 's3://b/p'\nregion = '${REGION}'\naccess-key-id = '${KEY_ID:-id}'\n\
                secret-access-key = { command = ['no-such-program', 'show'] }\n\
                [retention.r]\nkeep-daily = 7\nkeep-within = '2d'\n[retention.all]\n\
                [database.url]\nurl = 'postgresql://app@db.example.org/x?sslmode=require'\npassword = { env = 'PASSPHRASE' }\n";
    sandbox.write("backstay.toml", &format!("{}{rest}", file(&sandbox, more)));
    let shown = run(&sandbox, &["config", "check"]);
    insta::assert_snapshot!(sandbox.shown(&shown));
    assert_eq!(run(&sandbox, &["config", "check", "--quiet"]).stdout, "");
    let known = Run::of(
        sandbox
            .backstay_in_empty_environment(&["config", "check"])
            .env("PASSPHRASE", PASSWORD),
    );
    assert!(
        known.code == Some(0) && !known.stdout.contains("PASSPHRASE is not set"),
        "{known:?}"
    );
    sandbox.write(
        "backstay.toml",
        "[database.a]\nhost = 'h'\nuser = 'u'\nsslmode = 'sure'\n[database.b]\nhost = 'h'\nencrypt-to = ['age1']\n\
         [store.s]\nurl = '${B:-s3://b?region=r}'\nregion = 'r'\n[retention.r]\ntime-zone = 'Mars/Olympus'\n",
    );
    let wrong = run(&sandbox, &["config", "check"]);
    insta::assert_snapshot!(sandbox.shown(&wrong));
    sandbox.write("backstay.toml", "[database.shop]\nhots = 'h'\n[store.s]\nurl = 1\n");
    let wrong = run(&sandbox, &["config", "check"]);
    insta::assert_snapshot!(sandbox.shown(&wrong));
}

#[test]
fn the_example_passes_the_check_and_the_schema_is_the_published_one() {
    let sandbox = Sandbox::start();
    let example = succeed(&sandbox, &["config", "example"]).stdout;
    sandbox.write("backstay.toml", &example);
    succeed(&sandbox, &["config", "check"]);
    let schema = succeed(&sandbox, &["config", "schema"]);
    let published = include_str!("../../../../docs/backstay.schema.json");
    assert!(
        schema.stdout == published,
        "docs/backstay.schema.json is stale: run `cargo xtask schema`"
    );
}

#[test]
fn a_secret_that_cannot_be_had_ends_the_run_before_anything() {
    let sandbox = Sandbox::with_sample();
    let fetched = sandbox.script("fetch", &format!("test \"$1\" = shop || exit 3\necho {PASSWORD}"));
    for (secret, expected) in [
        (format!("{{ command = ['{fetched}', 'shop'] }}"), None),
        ("{ command = ['./fetch', 'shop'] }".to_owned(), None),
        (
            format!("{{ command = ['{fetched}', 'x'] }}"),
            Some("failed (exit status: 3)"),
        ),
        (
            "{ file = 'nowhere' }".to_owned(),
            Some("cannot read the secret in nowhere"),
        ),
        (
            "{ env = 'NOTHING' }".to_owned(),
            Some("the variable NOTHING is not set"),
        ),
        ("{ env = 'EMPTY' }".to_owned(), Some("the variable EMPTY is not set")),
    ] {
        let text = file(&sandbox, "").replace("{ file = 'secret' }", &secret);
        sandbox.write("backstay.toml", &text);
        let run = Run::of(sandbox.backstay_in_empty_environment(&["backup"]).env("EMPTY", ""));
        match expected {
            None => {
                assert_eq!(run.code, Some(0), "{secret}: {run:?}");
                std::fs::remove_dir_all(sandbox.path("near")).expect("it is there");
                std::fs::remove_dir_all(sandbox.path("far")).expect("it is there");
            }
            Some(expected) => {
                assert_eq!(run.code, Some(3), "{secret}: {run:?}");
                assert!(
                    run.stderr.contains("backstay.toml:6:") && run.stderr.contains(expected),
                    "{run:?}"
                );
                assert!(sandbox.files("near").is_empty());
            }
        }
    }
}

#[test]
fn a_backup_is_encrypted_as_the_file_says() {
    let sandbox = Sandbox::with_sample();
    sandbox.write("secret", PASSWORD);
    sandbox.write("passphrase", PASSWORD);
    sandbox.write(
        "backstay.toml",
        &file(&sandbox, "encrypt-passphrase = { file = 'passphrase' }"),
    );
    succeed(&sandbox, &["backup"]);
    sandbox.file_ending("near", ".sql.gz.age");
    let id = only_backup_of_any(&sandbox, "near");
    let verified = Run::of(
        sandbox
            .backstay_in_empty_environment(&["verify", &id, "--store", "near", "--json"])
            .env("BACKSTAY_PASSPHRASE", PASSWORD),
    );
    assert_eq!(verified.code, Some(0), "{verified:?}");
    // What is typed replaces what the file says, wholly.
    succeed(&sandbox, &["key", "new", "restore.key"]);
    let key = std::fs::read_to_string(sandbox.path("restore.key")).expect("text");
    let public = key
        .split_whitespace()
        .find(|word| word.starts_with("age1"))
        .expect("a public key");
    std::fs::remove_dir_all(sandbox.path("near")).expect("it is there");
    succeed(&sandbox, &["backup", "--also", "third", "--encrypt-to", public]);
    let id = only_backup_of_any(&sandbox, "near");
    let verified = run(
        &sandbox,
        &["verify", &id, "--store", "near", "--identity", "restore.key", "--json"],
    );
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

/// The id of the one backup of a store, whatever ends the name of its manifest.
fn only_backup_of_any(sandbox: &Sandbox, store: &str) -> String {
    let names = sandbox.files(store);
    let mut ids: Vec<&str> = names.iter().filter_map(|name| name.split('.').next()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{names:?}");
    ids[0].to_owned()
}

#[test]
fn who_is_led_past_the_sections_by_variables_is_told() {
    let sandbox = Sandbox::with_sample();
    let port = sandbox.server.port();
    let text = format!(
        "[database.shop]\nhost = '127.0.0.1'\nport = {port}\nuser = 'postgres'\ndbname = 'kulti'\nencrypt-to = \
         ['age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p']\n"
    );
    sandbox.write("backstay.toml", &text);
    let told = "of databases is used; --db NAME takes one of them";
    let passed = sandbox.run(&["backup", "--quiet"]);
    assert!(passed.code == Some(0) && passed.stderr.contains(told), "{passed:?}");
    let typed = sandbox.run(&[
        "backup",
        "--quiet",
        "--from",
        &sandbox.url("kulti"),
        "--store",
        "./other",
    ]);
    assert!(typed.code == Some(0) && !typed.stderr.contains(told), "{typed:?}");
}
