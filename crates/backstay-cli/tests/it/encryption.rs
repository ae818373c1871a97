//! Encrypted backups, from the key to the restored database.

use std::process::Command;

use crate::support::{Run, Sandbox};

struct Encrypted {
    sandbox: Sandbox,
    public: String,
}

impl Encrypted {
    /// A sandbox with a secret key in `key.txt`.
    fn start() -> Self {
        let sandbox = Sandbox::with_sample();
        let made = Run::of(&mut sandbox.backstay(&["key", "new", "key.txt"]));
        assert_eq!(made.code, Some(0), "{made:?}");
        let public = made.stdout.lines().next().unwrap().to_owned();
        assert!(public.starts_with("age1"), "{made:?}");
        Self { sandbox, public }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.sandbox.run(arguments)
    }

    fn succeed(&self, arguments: &[&str]) -> Run {
        self.sandbox.succeed(arguments)
    }

    /// The rows of the sample as text.
    fn rows(&self, database: &str) -> String {
        self.sandbox.sql(
            database,
            "SELECT string_agg(o::text, ',' ORDER BY id) FROM app.orders o",
        )
    }

    fn databases(&self) -> String {
        self.sandbox.sql(
            "postgres",
            "SELECT string_agg(datname, ' ' ORDER BY 1) FROM pg_database",
        )
    }
}

#[test]
fn an_encrypted_backup_comes_back_with_its_key_and_with_programs_of_others() {
    let program = Encrypted::start();
    let made = program
        .succeed(&["backup", "--encrypt-to", &program.public, "--json"])
        .json();
    let id = made["id"].as_str().unwrap();
    let names = program.sandbox.files("backups");
    let suffixes = ["index.json.gz.age", "manifest.json", "sql.gz.age", "sql.gz.age.sha256"];
    assert_eq!(names, suffixes.map(|suffix| format!("{id}.{suffix}")));

    let listed = program.succeed(&["list"]);
    assert!(listed.stdout.contains(id), "{listed:?}");
    let keyless = program.succeed(&["verify", "latest"]);
    assert!(keyless.stdout.contains("it is encrypted"), "{keyless:?}");
    let whole = program.succeed(&["verify", "latest", "--identity", "key.txt"]);
    assert!(!whole.stdout.contains("it is encrypted"), "{whole:?}");
    let shown = program.succeed(&["show", id, "-i", "key.txt"]);
    assert!(shown.stdout.contains("app.orders"), "{shown:?}");
    let checked = program.succeed(&["key", "check", "-i", "key.txt"]);
    assert!(checked.stderr.contains("alone can open it"), "{checked:?}");

    let target = program.sandbox.url("copy");
    program.succeed(&[
        "restore", id, "-i", "key.txt", "--to", &target, "--create", "--prove", "--yes", "copy",
    ]);
    assert_eq!(program.rows("copy"), program.rows("kulti"));
    // By its path, with the key in a variable.
    let pack = program.sandbox.file_ending("backups", ".sql.gz.age");
    let secret = std::fs::read_to_string(program.sandbox.path("key.txt")).unwrap();
    let by_path = Run::of(
        program
            .sandbox
            .backstay(&["verify", pack.to_str().unwrap()])
            .env("BACKSTAY_IDENTITY", &secret),
    );
    assert_eq!(by_path.code, Some(0), "{by_path:?}");

    // With age, gunzip and psql alone.
    program.sandbox.sql("postgres", "CREATE DATABASE by_others");
    let decrypted = Command::new("/bin/sh")
        .args(["-c", "age -d -i key.txt backups/*.sql.gz.age | gunzip > all.sql"])
        .current_dir(program.sandbox.path(""))
        .status();
    assert!(decrypted.unwrap().success(), "age is in Debian's package age");
    let mut psql = program.sandbox.client("psql", "by_others");
    psql.args([
        "-Xq",
        "-v",
        "ON_ERROR_STOP=1",
        "-f",
        &program.sandbox.argument("all.sql"),
    ]);
    let output = psql.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(program.rows("by_others"), program.rows("kulti"));
}

#[test]
fn without_the_right_key_nothing_reaches_a_database() {
    let program = Encrypted::start();
    program.succeed(&["backup", "--encrypt-to", &program.public]);
    program.succeed(&["key", "new", "other.txt"]);
    let before = program.databases();
    let target = program.sandbox.url("copy");
    let restore = ["restore", "latest", "--to", &target, "--create", "--yes", "copy"];
    for (more, expected) in [
        (&[][..], "no key was given"),
        (&["-i", "other.txt"], "no key at hand opens it"),
    ] {
        let refused = program.run(&[&restore[..], more].concat());
        assert_eq!(refused.code, Some(5), "{refused:?}");
        assert!(refused.stderr.contains(expected), "{refused:?}");
        assert!(refused.stderr.contains("--identity FILE"), "{refused:?}");
    }
    let missing = program.run(&[&restore[..], &["-i", "nowhere.txt"]].concat());
    assert_eq!(missing.code, Some(3), "{missing:?}");

    // Damage in the middle, and a lost end.
    let pack = program.sandbox.file_ending("backups", ".sql.gz.age");
    let bytes = std::fs::read(&pack).unwrap();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    for damaged in [&flipped[..], &bytes[..bytes.len() - 1], &bytes[..bytes.len() / 2]] {
        std::fs::write(&pack, damaged).unwrap();
        let refused = program.run(&[&restore[..], &["-i", "key.txt"]].concat());
        assert_eq!(refused.code, Some(5), "{refused:?}");
        assert_eq!(program.run(&["verify", "latest"]).code, Some(1));
    }
    assert_eq!(program.databases(), before);
}

#[test]
fn backups_are_encrypted_anew_to_exactly_those_who_are_named() {
    let program = Encrypted::start();
    program.succeed(&["backup", "--encrypt-to", &program.public]);
    let made = program.succeed(&["key", "new", "other.txt"]);
    let other = made.stdout.lines().next().unwrap();
    let nobody = program.run(&["rekey", "latest", "-i", "key.txt"]);
    assert_eq!(nobody.code, Some(3), "{nobody:?}");
    let done = program.succeed(&["rekey", "latest", "-i", "key.txt", "--encrypt-to", other]);
    assert!(
        done.stdout.contains(other) && !done.stdout.contains(&program.public),
        "{done:?}"
    );
    assert_eq!(program.run(&["verify", "latest", "-i", "key.txt"]).code, Some(5));
    program.succeed(&["verify", "latest", "-i", "other.txt"]);

    // Another was killed when it had begun.
    let pack = program.sandbox.file_ending("backups", ".sql.gz.age");
    let id = pack
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .split('.')
        .next()
        .unwrap()
        .to_owned();
    std::fs::create_dir_all(program.sandbox.path("backups/intents")).unwrap();
    program
        .sandbox
        .write(&format!("backups/intents/{id}.rekey-begun.json"), "{\"mark\":\"0\"}\n");
    let again = ["rekey", &id, "-i", "other.txt", "--encrypt-to", other];
    let refused = program.run(&again);
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert!(refused.stderr.contains("rekey --take-over"), "{refused:?}");
    program.succeed(&[&again[..], &["--take-over"]].concat());
    let nothing = program.run(&[
        "rekey",
        "app_backup_20200101_000000",
        "-i",
        "other.txt",
        "--encrypt-to",
        other,
    ]);
    assert_eq!(nothing.code, Some(5), "{nothing:?}");
    assert!(
        nothing.stderr.contains("there is no backup app_backup_20200101_000000"),
        "{nothing:?}"
    );
    let all = [
        "rekey",
        "--all",
        "-i",
        "other.txt",
        "--encrypt-to",
        other,
        "--encrypt-to",
        &program.public,
    ];
    program.succeed(&all);
    let target = program.sandbox.url("copy");
    program.succeed(&[
        "restore", "latest", "-i", "key.txt", "--to", &target, "--create", "--prove", "--yes", "copy",
    ]);
    let sums = Command::new("/bin/sh")
        .args(["-c", "cd backups && sha256sum -c *.sha256"])
        .current_dir(program.sandbox.path(""))
        .status();
    assert!(sums.unwrap().success());
    assert!(program.succeed(&["prune", "--litter"]).stdout.contains("no litter"));
}

#[test]
fn a_passphrase_comes_from_a_variable_a_file_or_a_command() {
    let program = Encrypted::start();
    let secret = "correct horse battery staple";
    program.sandbox.write("passphrase", &format!("{secret}\n"));
    let with = |arguments: &[&str], name: &str, value: &str| {
        let run = Run::of(program.sandbox.backstay(arguments).env(name, value));
        assert!(!format!("{run:?}").contains("horse"), "{run:?}");
        run
    };
    let made = with(&["backup", "--encrypt-passphrase"], "BACKSTAY_PASSPHRASE", secret);
    assert_eq!(made.code, Some(0), "{made:?}");
    let verify = ["verify", "latest"];
    for (name, value) in [
        ("BACKSTAY_PASSPHRASE_FILE", "passphrase"),
        ("BACKSTAY_PASSPHRASE_COMMAND", "cat passphrase"),
    ] {
        let verified = with(&verify, name, value);
        assert_eq!(verified.code, Some(0), "{verified:?}");
        assert!(!verified.stdout.contains("it is encrypted"), "{verified:?}");
    }
    let wrong = with(&verify, "BACKSTAY_PASSPHRASE", "hunter2");
    assert_eq!(wrong.code, Some(5), "{wrong:?}");
    assert!(
        wrong.stderr.contains("the passphrase is wrong") && !wrong.stderr.contains("hunter2"),
        "{wrong:?}"
    );
    let nobody = program.run(&["backup", "--encrypt-passphrase"]);
    assert_eq!(nobody.code, Some(3), "{nobody:?}");
    assert!(nobody.stderr.contains("BACKSTAY_PASSPHRASE"), "{nobody:?}");
    let failing = with(&verify, "BACKSTAY_PASSPHRASE_COMMAND", "exit 3");
    assert_eq!(failing.code, Some(3), "{failing:?}");
}

#[test]
fn a_backup_for_gpg_is_opened_by_gpg_and_comes_back() {
    let program = Encrypted::start();
    let with = |arguments: &[&str]| {
        let run = Run::of(
            program
                .sandbox
                .backstay(arguments)
                .env("BACKSTAY_PASSPHRASE", "correct horse"),
        );
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
        run
    };
    with(&["backup", "--encrypt-gpg"]);
    let names = program.sandbox.files("backups");
    assert!(names.iter().any(|name| name.ends_with(".sql.gz.gpg")), "{names:?}");
    assert!(
        program
            .succeed(&["verify", "latest"])
            .stdout
            .contains("it is encrypted")
    );
    assert!(!with(&["verify", "latest"]).stdout.contains("it is encrypted"));
    let target = program.sandbox.url("copy");
    with(&[
        "restore", "latest", "--to", &target, "--create", "--prove", "--yes", "copy",
    ]);
    assert_eq!(program.rows("copy"), program.rows("kulti"));

    // And what gpg made of a plain dump is verified and restored.
    let line = "gpg --batch --quiet --pinentry-mode loopback --passphrase 'correct horse' --decrypt backups/*.sql.gz.gpg | gunzip > all.sql
        pg_dump --no-owner kulti > plain.sql
        gpg --batch --quiet --pinentry-mode loopback --passphrase 'correct horse' --symmetric --cipher-algo AES256 plain.sql";
    let mut shell = program.sandbox.client("psql", "kulti");
    let variables: Vec<_> = shell
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    let path = format!(
        "{}:/usr/bin:/bin",
        program.sandbox.server.installation().bin().display()
    );
    shell = Command::new("/bin/sh");
    let done = shell
        .args(["-euc", line])
        .envs(variables)
        .env("PATH", path)
        .env("GNUPGHOME", program.sandbox.path(""))
        .current_dir(program.sandbox.path(""))
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}; gpg is in Debian's package gnupg",
        String::from_utf8_lossy(&done.stderr)
    );
    let text = std::fs::read_to_string(program.sandbox.path("all.sql")).unwrap();
    assert!(text.contains("COPY \"app\".\"orders\""));
    with(&["verify", "plain.sql.gpg"]);
    let target = program.sandbox.url("from_gpg");
    with(&[
        "restore",
        "plain.sql.gpg",
        "--to",
        &target,
        "--create",
        "--yes",
        "from_gpg",
    ]);
    assert_eq!(program.rows("from_gpg"), program.rows("kulti"));
}

#[test]
fn a_secret_key_in_the_wrong_place_is_refused_and_not_repeated() {
    let program = Encrypted::start();
    let file = std::fs::read_to_string(program.sandbox.path("key.txt")).unwrap();
    let secret = file.lines().last().unwrap();
    let typed = program.run(&["backup", "--encrypt-to", secret]);
    assert_eq!(typed.code, Some(2), "{typed:?}");
    let variable = Run::of(program.sandbox.backstay(&["backup"]).env("BACKSTAY_ENCRYPT_TO", secret));
    assert_eq!(variable.code, Some(3), "{variable:?}");
    for run in [typed, variable] {
        assert!(run.stderr.contains("secret key"), "{run:?}");
        assert!(!format!("{run:?}").contains(secret), "{run:?}");
    }
    assert!(program.sandbox.files("backups").is_empty());
}

#[test]
fn a_host_with_its_own_key_compares_backups_and_cannot_read_them() {
    let program = Encrypted::start();
    let host = program.succeed(&["key", "new", "host.txt"]);
    let host = host.stdout.lines().next().unwrap();
    program.succeed(&["backup", "--encrypt-to", &program.public, "--index-to", host]);
    let refused = program.run(&["verify", "latest", "-i", "host.txt"]);
    assert_eq!(refused.code, Some(5), "{refused:?}");
    // The prefix is that of another database: the host's key is enough to see it.
    program.sandbox.sql("postgres", "CREATE DATABASE other");
    let other = program.sandbox.url("other");
    let foreign = Run::of(
        program
            .sandbox
            .backstay(&[
                "backup",
                "--from",
                &other,
                "--name",
                "kulti",
                "--encrypt-to",
                &program.public,
            ])
            .env("BACKSTAY_IDENTITY_FILE", "host.txt"),
    );
    assert_eq!(foreign.code, Some(7), "{foreign:?}");
}
