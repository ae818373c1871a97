use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::{PASSWORD, Run, Sandbox, unpacked};

/// Every way to give a password; [`Run::of`] looks for it in everything that is printed.
fn ways(sandbox: &Sandbox, arguments: &[&str], option: &str) -> Vec<Command> {
    let port = sandbox.server.port();
    let url = format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/kulti");
    let pairs = format!("host=127.0.0.1 port={port} user=postgres dbname=kulti password='{PASSWORD}'");
    let with = |connection: &str| {
        let words = arguments.iter().chain([&option]);
        words
            .map(|word| (*word).to_owned())
            .chain([connection.to_owned()])
            .collect::<Vec<String>>()
    };
    let by_url = sandbox.backstay_in_empty_environment(&with(&url));
    let by_pairs = sandbox.backstay_in_empty_environment(&with(&pairs));
    let plain = format!("postgres://postgres@127.0.0.1:{port}/kulti");
    let mut by_variable = sandbox.backstay_in_empty_environment(&with(&plain));
    by_variable.env("PGPASSWORD", PASSWORD);
    let mut by_passfile = sandbox.backstay_in_empty_environment(&with(&plain));
    let passfile = sandbox.path("pass file");
    fs::write(&passfile, format!("127.0.0.1:{port}:*:postgres:{PASSWORD}\n")).unwrap();
    fs::set_permissions(&passfile, fs::Permissions::from_mode(0o600)).unwrap();
    by_passfile.env("PGPASSFILE", &passfile);
    vec![by_url, by_pairs, by_variable, by_passfile]
}

fn assert_not_in(path: &Path, bytes: &[u8]) {
    let found = bytes.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes());
    assert!(!found, "the password is in {}", path.display());
}

#[test]
fn no_password_is_printed_stored_or_handed_on_as_an_argument() {
    let sandbox = Sandbox::with_sample();
    let bin = sandbox.server.installation().bin().display().to_string();
    let seen = sandbox.argument("seen");
    // What any user of the machine could see of the children, and that they get the password all the same.
    let record = format!(
        "echo \"$0 $*\" >> '{seen}'; tr '\\0' ' ' < /proc/$$/cmdline >> '{seen}'; echo >> '{seen}'\n\
         case \"$1\" in --version) ;; *) test -n \"$PGPASSWORD$PGPASSFILE\" && echo given >> '{seen}';; esac\n\
         exec '{bin}'/\"$(basename \"$0\")\" \"$@\""
    );
    sandbox.script("pg_dump", &record);
    let pg_dump = sandbox.script("pg_dumpall", &record).replace("pg_dumpall", "pg_dump");
    let backup = ["backup", "--pg-dump", &pg_dump, "--globals", "--json"];
    for (index, mut command) in ways(&sandbox, &backup, "--from").into_iter().enumerate() {
        let store = format!("store{index}");
        let run = Run::of(command.arg(&store));
        assert_eq!(run.code, Some(0), "{run:?}");
        let log = sandbox.succeed(&["log", &store, "--json"]).stdout;
        assert!(log.contains("backup"), "{log}");
        assert_not_in(Path::new("the log"), log.as_bytes());
        for name in sandbox.files(&store) {
            let path = sandbox.path(&store).join(name);
            assert_not_in(&path, &fs::read(&path).unwrap());
            if path.extension().is_some_and(|extension| extension == "gz") {
                assert_not_in(&path, &unpacked(&path));
            }
        }
    }
    let seen = fs::read_to_string(seen).unwrap();
    assert_not_in(Path::new("the arguments of children"), seen.as_bytes());
    assert!(
        seen.contains("--schema-only") && seen.contains("--globals-only"),
        "{seen}"
    );
    assert_eq!(seen.lines().filter(|line| *line == "given").count(), 8, "{seen}");
    for command in &mut ways(&sandbox, &["doctor"], "--from") {
        assert_eq!(Run::of(command).code, Some(0));
    }
    let restore = [
        "restore",
        "latest",
        "--store",
        "store0",
        "--clean",
        "--accept-loss",
        "kulti",
        "--yes",
        "kulti",
        "--json",
    ];
    for command in &mut ways(&sandbox, &restore, "--to") {
        let run = Run::of(command);
        assert_eq!(run.code, Some(0), "{run:?}");
    }
    for arguments in [
        &["show", "latest", "--store", "store0", "--json"][..],
        &["show", "latest", "--store", "store0", "--tables"],
        &["list", "store0"],
    ] {
        Run::of(&mut sandbox.backstay_in_empty_environment(arguments));
    }
}

#[test]
fn no_password_is_in_any_complaint() {
    let sandbox = Sandbox::with_sample();
    let port = sandbox.server.port();
    let url = format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/nowhere");
    let stranger = format!("postgres://stranger:{PASSWORD}@127.0.0.1:{port}/kulti");
    let unreachable = format!("postgres://postgres:{PASSWORD}@127.0.0.1:1/kulti");
    let malformed = format!("postgres://postgres:{PASSWORD}@x@127.0.0.1:{port}/kulti?sslmode={PASSWORD}");
    let pairs = format!("host=127.0.0.1 password={PASSWORD} sslmode=x");
    let option = format!("--frm={url}");
    for arguments in [
        &["backup", "--from", &url][..],
        &["backup", "--from", &stranger],
        &["backup", "--from", &unreachable],
        &["backup", "--from", &malformed],
        &["backup", "--from", &pairs],
        &["backup", &url],
        &["backup", "--store", &pairs],
        &["backup", "a", &url],
        &["backup", "--name", &url],
        &["backup", "--compress", &url],
        &["backup", "--nmae", &url],
        &["backup", &option],
        &["backup", "--jobs", &pairs],
        &["doctor", &url],
        &["list", &url],
        &["verify", &url],
        &["verify", "latest", "--store", &url],
        &["show", &pairs],
        &["restore", &url, "--to", "x", "--yes", "x"],
        &["restore", "latest", "--to", &malformed, "--yes", "x"],
        &["restore", "latest", "--to", "x", "--yes", &url],
        &[&url],
    ] {
        let run = Run::of(&mut sandbox.backstay_in_empty_environment(arguments));
        assert_ne!(run.code, Some(0), "{arguments:?}");
        assert!(!run.stderr.is_empty(), "{arguments:?}");
    }
    for file in [".env", ".env.local"] {
        sandbox.write(file, &format!("DATABASE_URL='{url}\nPASSWORD {PASSWORD}"));
        let run = Run::of(&mut sandbox.backstay_in_empty_environment(&["backup"]));
        assert_eq!(run.code, Some(3), "{run:?}");
        fs::remove_file(sandbox.path(file)).unwrap();
    }
}
