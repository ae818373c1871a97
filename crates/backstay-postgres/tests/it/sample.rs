// The sample database of `testdata/sample` loads, and what its README says of `pg_dump | psql` is so.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use backstay_postgres::{Authentication, Installation, ServerOptions, ThrowawayServer};

use crate::server::installations;

/// Settings that shape what `pg_dump` prints and that the sample sets on its own database.
const EQUAL_SETTINGS: &str = "-c standard_conforming_strings=on -c timezone=UTC -c bytea_output=hex";

fn sample(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata/sample")
        .join(file)
}

fn command(server: &ThrowawayServer, program: &str, database: &str) -> Command {
    let mut command = Command::new(server.installation().program(program));
    command
        .args(["--host=127.0.0.1", "--username=postgres", "--port"])
        .arg(server.port().to_string())
        .args(["--dbname", database])
        .env("PGOPTIONS", EQUAL_SETTINGS);
    command
}

fn psql(server: &ThrowawayServer, database: &str, arguments: &[&str]) {
    let mut command = command(server, "psql", database);
    let output = command
        .args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"])
        .args(arguments)
        .output()
        .expect("psql runs");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "psql {arguments:?}: {messages}");
}

fn load(server: &ThrowawayServer, database: &str, file: &str) {
    let path = sample(file);
    psql(server, database, &["--file", path.to_str().expect("a path in UTF-8")]);
}

/// A plain dump without the token that differs each time.
fn dump(server: &ThrowawayServer, database: &str, arguments: &[&str]) -> Vec<u8> {
    let mut command = command(server, "pg_dump", database);
    let output = command.args(arguments).output().expect("pg_dump runs");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "pg_dump: {messages}");
    let lines = output.stdout.split_inclusive(|&byte| byte == b'\n');
    lines
        .filter(|line| !line.starts_with(b"\\restrict") && !line.starts_with(b"\\unrestrict"))
        .flatten()
        .copied()
        .collect()
}

/// Loads a dump as psql does without `ON_ERROR_STOP`, and gives the errors.
fn restore(server: &ThrowawayServer, database: &str, dump: Vec<u8>) -> Vec<String> {
    psql(
        server,
        "postgres",
        &["--command", &format!("create database {database} template template0")],
    );
    let mut child = command(server, "psql", database)
        .args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql runs");
    let mut input = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut input, &dump));
    let output = child.wait_with_output().expect("psql ends");
    writer.join().expect("the writer ends").expect("psql reads everything");
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    let errors = messages.lines().filter_map(|line| line.strip_prefix("ERROR:  "));
    errors.map(str::to_owned).collect()
}

/// The first server of 15 or later that has client programs of its own version beside it: what `pg_dump` writes of an
/// older server is for newer ones.
fn installation() -> Installation {
    let mut found = installations().into_iter();
    let fitting = found.find(|installation| {
        let client = Command::new(installation.program("pg_dump")).arg("--version").output();
        let version = format!("pg_dump (PostgreSQL) {}", installation.version());
        installation.major() >= 15 && client.is_ok_and(|output| output.stdout.starts_with(version.as_bytes()))
    });
    fitting.expect("PostgreSQL 15 or later is needed: run `cargo xtask test`")
}

fn start(installation: &Installation) -> (tempfile::TempDir, ThrowawayServer) {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let options = ServerOptions::new(Authentication::Trust);
    let server = ThrowawayServer::start(installation, parent.path(), &options).expect("the server starts");
    (parent, server)
}

fn sorted_lines(dump: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = dump.split(|&byte| byte == b'\n').collect();
    lines.sort_unstable();
    lines
}

#[test]
fn one_of_everything_survives_pg_dump() {
    let installation = installation();
    let (_parent, server) = start(&installation);
    psql(
        &server,
        "postgres",
        &["--command", "create database source template template0"],
    );
    load(&server, "source", "one-of-everything.sql");
    let before = dump(&server, "source", &[]);
    assert_eq!(restore(&server, "copy", before.clone()), Vec::<String>::new());

    let schema = |database| String::from_utf8(dump(&server, database, &["--schema-only"])).expect("UTF-8");
    assert!(
        schema("source") == schema("copy"),
        "the schemas differ in {}",
        installation.version()
    );
    // Sorted, since rows of hash partitions by an enum move between the leaves.
    let after = dump(&server, "copy", &[]);
    assert!(
        sorted_lines(&before) == sorted_lines(&after),
        "the rows differ in {}",
        installation.version()
    );
}

#[test]
fn what_changes_in_a_round_trip_is_restored_without_errors() {
    let installation = installation();
    let (_parent, server) = start(&installation);
    psql(
        &server,
        "postgres",
        &["--command", "create database source template template0"],
    );
    load(&server, "source", "one-of-everything.sql");
    load(&server, "source", "changes-in-a-round-trip.sql");
    let schema = |database| dump(&server, database, &["--schema-only"]);
    assert_eq!(
        restore(&server, "copy", dump(&server, "source", &[])),
        Vec::<String>::new()
    );
    assert!(
        schema("source") != schema("copy"),
        "nothing changes in {}",
        installation.version()
    );
    // After that it is stable, so a copy made by pg_dump is what another copy can be compared with.
    assert_eq!(
        restore(&server, "again", dump(&server, "copy", &[])),
        Vec::<String>::new()
    );
    assert!(
        schema("copy") == schema("again"),
        "it changes again in {}",
        installation.version()
    );
}

#[test]
fn what_does_not_round_trip_fails_as_is_said() {
    let installation = installation();
    let (_parent, server) = start(&installation);
    psql(
        &server,
        "postgres",
        &["--command", "create database source template template0"],
    );
    load(&server, "source", "one-of-everything.sql");
    load(&server, "source", "does-not-round-trip.sql");
    let errors = restore(&server, "copy", dump(&server, "source", &[]));
    for expected in [
        "relation \"check_c_items\" violates check constraint",
        "function path_helper(integer) does not exist",
        "trigger \"on_root\" for table \"leaf_of_triggered\" does not exist",
        "permission denied for table not_for_owner",
        "language \"borrowed_language\" does not exist",
    ] {
        let found = errors.iter().any(|error| error.contains(expected));
        assert!(found, "{expected} is not among {errors:#?}");
    }
}
