//! The data connection and the catalog client against a real server.

mod ask;
mod copy;
mod server;
mod tls;

use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use backstay_postgres::{
    CancelToken, ChannelBinding, ConnectError, ConnectErrorKind, ConnectionConfig, Endpoint, Host, Secret, SqlState,
    TransactionStatus, WireConnection, WireError, connect_client,
};
use server::Server;

fn connect(config: &ConnectionConfig) -> WireConnection {
    WireConnection::connect(config, &CancelToken::new()).expect("can connect")
}

/// Connects with both clients and gives the kind of failure on which they agree.
fn both(name: &str, config: &ConnectionConfig) -> Option<ConnectErrorKind> {
    let ours = WireConnection::connect(config, &CancelToken::new());
    let theirs = connect_client(config);
    if let Ok(mut theirs) = connect_client(config) {
        theirs.simple_query("SELECT 1").expect("the session works");
    }
    let ours = ours.map(|mut connection| connection.execute(b"SELECT 1").map(drop).expect("the session works"));
    let (ours, theirs) = (ours.err(), theirs.err());
    assert_eq!(
        ours.as_ref().map(ConnectError::kind),
        theirs.as_ref().map(ConnectError::kind),
        "{name}: {ours:?} {theirs:?}"
    );
    ours.as_ref().map(ConnectError::kind)
}

#[test]
fn every_method_of_authentication_works_or_is_refused_for_what_it_is() {
    let server = Server::start(
        "local all postgres trust\nlocal all scram scram-sha-256\n\
         host all postgres 127.0.0.1/32 trust\nhost all scram 127.0.0.1/32 scram-sha-256\n\
         host all md5 127.0.0.1/32 md5\nhost all clear 127.0.0.1/32 password\n",
    );
    connect(&server.config())
        .execute(
            b"SET password_encryption = 'scram-sha-256'; CREATE ROLE scram LOGIN PASSWORD 'pass word'; SET password_encryption = md5; \
              CREATE ROLE md5 LOGIN PASSWORD 'pass word'; CREATE ROLE clear LOGIN PASSWORD 'pass word';",
        )
        .unwrap();
    let unix = Host::Unix(server.folder());
    let tcp = || server.config().endpoints[0].host.clone();
    for (name, host, user, password, database, expected) in [
        ("trust", tcp(), "postgres", None, "postgres", None),
        ("trust on a socket", unix.clone(), "postgres", None, "postgres", None),
        ("scram", tcp(), "scram", Some("pass word"), "postgres", None),
        (
            "scram on a socket",
            unix.clone(),
            "scram",
            Some("pass word"),
            "postgres",
            None,
        ),
        ("md5", tcp(), "md5", Some("pass word"), "postgres", None),
        ("cleartext", tcp(), "clear", Some("pass word"), "postgres", None),
        (
            "wrong scram",
            tcp(),
            "scram",
            Some("wrong"),
            "postgres",
            Some(ConnectErrorKind::Denied),
        ),
        (
            "wrong md5",
            tcp(),
            "md5",
            Some("wrong"),
            "postgres",
            Some(ConnectErrorKind::Denied),
        ),
        (
            "no password",
            tcp(),
            "scram",
            None,
            "postgres",
            Some(ConnectErrorKind::NoPassword),
        ),
        (
            "no password for md5",
            tcp(),
            "md5",
            None,
            "postgres",
            Some(ConnectErrorKind::NoPassword),
        ),
        (
            "no entry",
            tcp(),
            "nobody",
            None,
            "postgres",
            Some(ConnectErrorKind::Denied),
        ),
        (
            "no database",
            tcp(),
            "postgres",
            None,
            "nowhere",
            Some(ConnectErrorKind::DatabaseMissing),
        ),
    ] {
        let mut config = server.config();
        config.endpoints[0].host = host;
        config.user = user.to_owned();
        config.password = password.map(Secret::new);
        config.database = database.to_owned();
        assert_eq!(both(name, &config), expected, "{name}");
        if expected.is_none() {
            config.channel_binding = ChannelBinding::Require;
            assert_eq!(
                both(name, &config),
                Some(ConnectErrorKind::Authentication),
                "{name}, bound"
            );
        }
    }
}

#[test]
fn what_does_not_answer_is_told_from_what_has_no_name() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (host, expected) in [
        (
            Host::Unix(PathBuf::from("no/such/folder")),
            ConnectErrorKind::Unreachable,
        ),
        (tcp("127.0.0.1", None), ConnectErrorKind::Unreachable),
        (tcp("no-such-host.invalid", None), ConnectErrorKind::NameNotFound),
    ] {
        let mut config = server::config(unused);
        config.endpoints[0].host = host.clone();
        assert_eq!(both("", &config), Some(expected), "{host:?}");
    }
}

fn tcp(name: &str, address: Option<&str>) -> Host {
    Host::Tcp {
        name: name.to_owned(),
        address: address.map(str::to_owned),
    }
}

fn cancels_a_sleep(config: &ConnectionConfig) {
    let cancel = CancelToken::new();
    let mut connection = WireConnection::connect(config, &cancel).unwrap();
    let pid = connection.backend_pid().unwrap();
    let canceller = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        cancel.cancel();
        Instant::now()
    });
    let result = connection.execute(b"SELECT pg_sleep(60)");
    let waited = canceller.join().unwrap().elapsed();
    assert!(matches!(result, Err(WireError::Cancelled)), "{result:?}");
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    assert!(connection.is_broken());
    // The server gives up as well, and does not sleep on for a client that left.
    let mut other = connect(config);
    let gone = format!("SELECT FROM pg_stat_activity WHERE pid = {pid}");
    let limit = Instant::now() + Duration::from_secs(10);
    while !other.query(gone.as_bytes()).unwrap().is_empty() {
        assert!(Instant::now() < limit, "the server still runs the statement");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn statements_and_results_are_bytes() {
    let server = Server::start("host all all 127.0.0.1/32 trust\n");
    connect(&server.config())
        .execute(b"CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
        .unwrap();
    let mut config = server.config();
    config.database = "latin".to_owned();
    config.options = Some("-c work_mem=5MB".to_owned());
    let mut connection = connect(&config);
    assert_eq!(connection.server_parameter("server_encoding"), Some("LATIN1"));
    assert_eq!(connection.server_parameter("client_encoding"), Some("LATIN1"));
    assert_eq!(connection.server_parameter("application_name"), Some("backstay test"));
    let rows = connection
        .query(b"SELECT 'caf\xe9', NULL, '', current_setting('work_mem'); SELECT 2")
        .unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].len(), 4);
    assert_eq!(rows[0].get(0), Some(&b"caf\xe9"[..]));
    assert_eq!(rows[0].get(1), None);
    assert_eq!(rows[0].get(2), Some(&b""[..]));
    assert_eq!(rows[0].get(3), Some(&b"5MB"[..]));
    assert_eq!(rows[1].get(0), Some(&b"2"[..]));
    let error = connection.execute(b"SELECT 1; SELECT \"\xe9\"").unwrap_err();
    let error = error.server_error().unwrap();
    assert_eq!(error.code(), SqlState::new(b"42703").unwrap());
    assert!(error.field(b'M').unwrap().contains(&0xe9));
    assert_eq!(error.position(), Some(18));
    assert!(matches!(connection.execute(b"SELECT '\0'"), Err(WireError::NulInSql)));

    assert_eq!(connection.execute(b"").unwrap().as_str(), "");
    assert_eq!(connection.execute(b"BEGIN").unwrap().as_str(), "BEGIN");
    assert_eq!(connection.transaction_status(), TransactionStatus::Open);
    connection.execute(b"SELECT 1/0").unwrap_err();
    assert_eq!(connection.transaction_status(), TransactionStatus::Failed);
    connection.execute(b"ROLLBACK").unwrap();
    assert_eq!(connection.transaction_status(), TransactionStatus::Idle);
    connection
        .execute(b"SET client_encoding = UTF8; DO $$ BEGIN RAISE WARNING 'w'; END $$")
        .unwrap();
    assert_eq!(connection.server_parameter("client_encoding"), Some("UTF8"));
    let notices = connection.take_notices();
    assert_eq!(notices.len(), 1);
    assert_eq!((&*notices[0].severity(), &*notices[0].message()), ("WARNING", "w"));
    connection.close();
}

#[test]
fn endpoints_are_tried_in_order() {
    let server = Server::start("host all all 127.0.0.1/32 trust\n");
    let mut config = server.config();
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    config.endpoints.insert(
        0,
        Endpoint {
            host: tcp("127.0.0.1", None),
            port: unused,
        },
    );
    assert_eq!(both("second", &config), None);
}
