use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use backstay_postgres::{
    Authentication, ConnectionConfig, Durability, Host, Installation, SearchPath, Secret, ServerOptions,
    ThrowawayError, ThrowawayServer, remove_leftovers,
};
use postgres::{Client, NoTls};
use tempfile::TempDir;

/// Set for a copy of this test program that shall hold a server until it is killed.
const HOLD_IN: &str = "BACKSTAY_TEST_HOLD_IN";

/// The servers that `cargo xtask test` names, the one to test on first; then all others of this machine.
pub(crate) fn installations() -> Vec<Installation> {
    let named = std::env::var_os("BACKSTAY_TEST_PG_BINS").unwrap_or_default();
    let mut found: Vec<Installation> = std::env::split_paths(&named)
        .filter(|folder| folder.is_absolute())
        .map(|folder| Installation::at(&folder).expect("BACKSTAY_TEST_PG_BINS names a folder without a server"))
        .collect();
    let path = std::env::var_os("PATH");
    for other in Installation::find_all(&SearchPath::with_usual_places(path.as_deref())) {
        if !found.contains(&other) {
            found.push(other);
        }
    }
    assert!(!found.is_empty(), "PostgreSQL is needed: run `cargo xtask test`");
    found
}

/// The first that is at least of this version, for tests of what older ones do not have.
pub(crate) fn installation_since(major: u32) -> Installation {
    let fitting = installations().into_iter().find(|found| found.major() >= major);
    fitting.unwrap_or_else(|| panic!("PostgreSQL {major} or later is needed: run `cargo xtask test`"))
}

fn trusting() -> ServerOptions {
    ServerOptions::new(Authentication::Trust)
}

fn parent_folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn start(parent: &TempDir, options: &ServerOptions) -> ThrowawayServer {
    ThrowawayServer::start(&installations()[0], parent.path(), options).expect("the server starts")
}

fn connect(config: &ConnectionConfig) -> Result<Client, postgres::Error> {
    let mut client = postgres::Config::new();
    for endpoint in &config.endpoints {
        match &endpoint.host {
            Host::Tcp { name, .. } => client.host(name),
            Host::Unix(folder) => client.host_path(folder),
        };
        client.port(endpoint.port);
    }
    if let Some(password) = &config.password {
        client.password(password.expose());
    }
    client.user(&config.user).dbname(&config.database).connect(NoTls)
}

fn show(client: &mut Client, setting: &str) -> String {
    client
        .query_one(&format!("show {setting}"), &[])
        .expect("a setting")
        .get(0)
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("a folder").next().is_none()
}

/// Whether a process is there; one that has ended and waits to be reaped is not.
fn is_running(pid: i32) -> bool {
    let output = Command::new("ps")
        .args(["-o", "state=", "-p", &pid.to_string()])
        .output();
    let state = output.expect("ps runs").stdout;
    !state.is_empty() && state[0] != b'Z'
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..600 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} did not happen");
}

#[test]
fn every_installation_serves_and_leaves_nothing() {
    for installation in installations() {
        let parent = parent_folder();
        let server = ThrowawayServer::start(&installation, parent.path(), &trusting()).expect("the server starts");
        let pid = server.postmaster_pid().expect("it runs");
        let mut client = connect(&server.connection_config("postgres")).expect("a connection over TCP");
        assert!(show(&mut client, "server_version").starts_with(installation.version()));
        assert_eq!(show(&mut client, "fsync"), "off");
        assert_eq!(show(&mut client, "server_encoding"), "UTF8");
        let over_socket = server.socket_config("postgres").expect("the path is short");
        connect(&over_socket).expect("a connection over the socket");

        server.stop().expect("an orderly end");
        assert!(is_empty(parent.path()), "{}", installation.version());
        assert!(!is_running(pid), "{}", installation.version());
    }
}

#[test]
fn a_private_folder_is_opened_for_passing_through_only() {
    let parent = parent_folder();
    fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o700)).expect("a mode");
    let server = start(&parent, &trusting());
    connect(&server.connection_config("postgres")).expect("a connection");
    let mode = |path: &Path| fs::metadata(path).expect("a folder").permissions().mode() & 0o077;
    assert_eq!(mode(parent.path()) & !0o011, 0, "nobody else may list it");
    assert_eq!(mode(server.data_folder().parent().expect("a folder")), 0);
}

#[test]
fn dropping_a_server_leaves_nothing() {
    let parent = parent_folder();
    let server = start(&parent, &trusting());
    let pid = server.postmaster_pid().expect("it runs");
    let _client = connect(&server.connection_config("postgres")).expect("a connection");
    drop(server);
    assert!(is_empty(parent.path()));
    assert!(!is_running(pid));
}

#[test]
fn only_the_password_opens_a_server_with_scram() {
    let parent = parent_folder();
    let password = "schwer zu 'raten' \\ π";
    let server = start(
        &parent,
        &ServerOptions::new(Authentication::Scram(Secret::new(password))),
    );
    let right = server.connection_config("postgres");
    connect(&right).expect("the right password");
    for mut wrong in [right, server.socket_config("postgres").expect("the path is short")] {
        wrong.password = Some(Secret::new("guess"));
        let error = connect(&wrong).err().expect("the wrong password");
        assert_eq!(error.code().map(postgres::error::SqlState::code), Some("28P01"));
    }
    assert!(!format!("{server:?}").contains("raten"));
    let around = server.data_folder();
    assert!(!around.parent().expect("a folder").join("password").exists());
}

#[test]
fn options_shape_the_cluster() {
    let parent = parent_folder();
    let server = start(
        &parent,
        &ServerOptions {
            superuser: "a super-user".to_owned(),
            encoding: "LATIN1".to_owned(),
            durability: Durability::On,
            initdb_arguments: vec!["--data-checksums".into()],
            settings: vec![("application_name".to_owned(), r"it's \ here".to_owned())],
            ..trusting()
        },
    );
    let mut client = connect(&server.connection_config("template1")).expect("a connection");
    for (setting, expected) in [
        ("server_encoding", "LATIN1"),
        ("lc_collate", "C"),
        ("fsync", "on"),
        ("data_checksums", "on"),
        ("is_superuser", "on"),
    ] {
        // `lc_collate` is no longer a setting since PostgreSQL 16.
        if setting == "lc_collate" && server.installation().major() >= 16 {
            continue;
        }
        assert_eq!(show(&mut client, setting), expected, "{setting}");
    }
    let row = client.query_one(
        "select current_user::text, reset_val from pg_settings where name = 'application_name'",
        &[],
    );
    let row = row.expect("a row");
    assert_eq!(row.get::<_, String>(0), "a super-user");
    assert_eq!(row.get::<_, String>(1), r"it's \ here");
}

#[test]
fn a_killed_backend_ends_its_session_and_the_server_recovers() {
    let parent = parent_folder();
    let server = start(&parent, &trusting());
    let config = server.connection_config("postgres");
    let mut client = connect(&config).expect("a connection");
    let backend: i32 = client.query_one("select pg_backend_pid()", &[]).expect("a row").get(0);
    for foreign in [0, -backend, 1, i32::try_from(std::process::id()).expect("a process id")] {
        let error = server.kill_backend(foreign).expect_err("it is no backend");
        assert!(
            matches!(error, ThrowawayError::NotABackend { pid } if pid == foreign),
            "{error}"
        );
    }
    server.kill_backend(backend).expect("it is a backend");
    client.simple_query("select 1").expect_err("the session has ended");
    eventually("recovery", || connect(&config).is_ok());
}

#[test]
fn what_was_committed_survives_a_crash() {
    let parent = parent_folder();
    let mut server = start(&parent, &trusting());
    let pid = server.postmaster_pid().expect("it runs");
    let config = server.connection_config("postgres");
    let mut client = connect(&config).expect("a connection");
    client
        .batch_execute("create table kept as select generate_series(1, 1000) as n")
        .expect("a table");
    server.crash().expect("it was running");
    assert_eq!(server.postmaster_pid(), None);
    assert!(!is_running(pid));
    client.simple_query("select 1").expect_err("the session has ended");
    server.crash().expect("nothing to do the second time");

    server.restart().expect("it recovers");
    let mut client = connect(&config).expect("a connection on the same port");
    let rows: i64 = client
        .query_one("select count(*) from kept", &[])
        .expect("a row")
        .get(0);
    assert_eq!(rows, 1000);
    let log = fs::read_to_string(server.log_file()).expect("a log");
    assert!(log.contains("database system was not properly shut down"), "{log}");

    let before = server.postmaster_pid();
    server.restart().expect("it restarts in order too");
    assert_ne!(server.postmaster_pid(), before);
    server.stop().expect("an orderly end");
    assert!(is_empty(parent.path()));
}

#[test]
fn a_failed_start_tells_why_and_leaves_nothing() {
    let parent = parent_folder();
    let check = |options: ServerOptions, expected: &str| {
        let error = ThrowawayServer::start(&installations()[0], parent.path(), &options).expect_err("it cannot start");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(is_empty(parent.path()));
    };
    let setting = |name: &str, value: &str| ServerOptions {
        settings: vec![(name.to_owned(), value.to_owned())],
        ..trusting()
    };
    check(
        setting("shared_buffers", "much"),
        "invalid value for parameter \"shared_buffers\"",
    );
    check(
        ServerOptions {
            encoding: "KLINGON".to_owned(),
            ..trusting()
        },
        "\"KLINGON\" is not a valid server encoding name",
    );
    check(
        ServerOptions {
            start_limit: Duration::ZERO,
            ..trusting()
        },
        "was not ready after 0 seconds",
    );
    let error = ThrowawayServer::start(&installations()[0], &parent.path().join("absent"), &trusting());
    assert!(
        matches!(error, Err(ThrowawayError::Io { action: "find", .. })),
        "{error:?}"
    );
}

#[test]
fn a_folder_too_deep_for_a_socket_does_without() {
    let parent = parent_folder();
    let deep = parent.path().join("d".repeat(100));
    fs::create_dir(&deep).expect("a folder");
    let server = ThrowawayServer::start(&installations()[0], &deep, &trusting()).expect("the server starts");
    assert_eq!(server.socket_folder(), None);
    assert_eq!(server.socket_config("postgres"), None);
    connect(&server.connection_config("postgres")).expect("a connection over TCP");
}

#[test]
fn a_program_that_is_killed_takes_its_server_with_it() {
    let parent = parent_folder();
    let mut holder = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "server::a_copy_of_this_program_holds_a_server",
            "--nocapture",
        ])
        .env(HOLD_IN, parent.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a copy of this program");
    let output = BufReader::new(holder.stdout.take().expect("a pipe"));
    let postmaster: i32 = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("postmaster ")?.1.trim().parse().ok())
        .expect("the server's process id");
    assert!(is_running(postmaster));
    assert_eq!(remove_leftovers(parent.path()).expect("a look"), Vec::<PathBuf>::new());

    holder.kill().expect("it runs");
    holder.wait().expect("its end");
    eventually("the end of the server", || !is_running(postmaster));
    assert_eq!(remove_leftovers(parent.path()).expect("a removal").len(), 1);
    assert!(is_empty(parent.path()));
}

/// Not a test by itself: the part of the copy that the test above starts and kills.
#[test]
fn a_copy_of_this_program_holds_a_server() {
    let Some(folder) = std::env::var_os(HOLD_IN) else {
        return;
    };
    let server = ThrowawayServer::start(&installations()[0], Path::new(&folder), &trusting()).expect("it starts");
    #[expect(clippy::print_stdout, reason = "the other half of the test reads it")]
    {
        println!("\npostmaster {}", server.postmaster_pid().expect("it runs"));
    }
    std::thread::sleep(Duration::from_secs(600));
}
