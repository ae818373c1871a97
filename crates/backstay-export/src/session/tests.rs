use backstay_postgres::{Authentication, Installation, SearchPath, ServerOptions, ThrowawayServer};

use super::*;

fn server() -> ThrowawayServer {
    let named = std::env::var_os("BACKSTAY_TEST_PG_BINS").unwrap_or_default();
    let first = std::env::split_paths(&named).find(|folder| !folder.as_os_str().is_empty());
    let installation = match first {
        Some(folder) => Installation::at(&folder).expect("BACKSTAY_TEST_PG_BINS names a folder without a server"),
        None => Installation::find(&SearchPath::with_usual_places(std::env::var_os("PATH").as_deref()))
            .expect("no PostgreSQL server found: run `cargo xtask test`"),
    };
    let options = ServerOptions::new(Authentication::Trust);
    ThrowawayServer::start(&installation, &std::env::temp_dir(), &options).expect("a server starts")
}

#[test]
fn rows_that_are_moved_while_the_snapshot_is_taken_are_not_lost() {
    let server = server();
    let config = server.connection_config("postgres");
    let cancel = CancelToken::new();
    let mut other = WireConnection::connect(&config, &cancel).unwrap();
    other
        .execute(b"CREATE TABLE a AS SELECT 1 AS x; CREATE TABLE b (x int)")
        .unwrap();
    let mut session = Session::connect(&config, &cancel).unwrap();
    let mut attempts = 0;
    let count = |connection: &mut WireConnection, sql: &str| -> String { one_value(connection, sql).unwrap().unwrap() };
    session
        .snapshot(&ExportOptions::default(), |connection| {
            attempts += 1;
            // The snapshot is there, and not every lock yet.
            count(connection, "SELECT 1");
            if attempts == 1 {
                other
                    .execute(b"BEGIN; TRUNCATE a; INSERT INTO b VALUES (1); COMMIT")
                    .unwrap();
            }
            count(
                connection,
                "SELECT count(*) FROM (SELECT x FROM a UNION ALL SELECT x FROM b LIMIT 0) x",
            );
            Ok(())
        })
        .unwrap();
    assert!(attempts > 1);
    let rows = "SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b)";
    assert_eq!(count(&mut session.connection, rows), "1");
    other.execute(b"SET lock_timeout = '50ms'").unwrap();
    assert!(other.execute(b"TRUNCATE b").is_err(), "it is locked");
}

#[test]
fn a_table_that_somebody_holds_is_told() {
    let server = server();
    let config = server.connection_config("postgres");
    let cancel = CancelToken::new();
    let mut other = WireConnection::connect(&config, &cancel).unwrap();
    other.execute(b"CREATE TABLE a ()").unwrap();
    other.execute(b"BEGIN; LOCK TABLE a IN ACCESS EXCLUSIVE MODE").unwrap();
    let mut session = Session::connect(&config, &cancel).unwrap();
    let options = ExportOptions {
        lock_wait: std::time::Duration::from_millis(50),
        ..ExportOptions::default()
    };
    let result = session.snapshot(&options, |connection| {
        connection
            .execute(b"SELECT FROM a LIMIT 0")
            .map(drop)
            .map_err(ExportError::wire("plan"))
    });
    assert!(matches!(result, Err(ExportError::Locked { .. })), "{result:?}");
}
