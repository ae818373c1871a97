//! Rows out and in, and how that ends badly.

use std::io::Write;

use backstay_postgres::{CancelToken, ConnectionConfig, ServerError, SqlState, WireConnection, WireError};

use super::server::Server;
use super::{cancels_a_sleep, connect};

#[test]
fn rows_go_out_and_in() {
    let server = Server::start("host all all 127.0.0.1/32 trust\n");
    let config = server.config();
    let mut connection = connect(&config);

    // Many rows, each the one that is expected.
    let mut expected = Vec::new();
    let mut number = 0u64;
    let sql = b"COPY (SELECT g, 'row ' || g, NULL, E'a\\\\b\\n\\r\\t' FROM generate_series(1, 300000) g) TO STDOUT";
    let rows = connection
        .copy_out(sql, |row| {
            number += 1;
            expected.clear();
            writeln!(expected, "{number}\trow {number}\t\\N\ta\\\\b\\n\\r\\t").unwrap();
            assert_eq!(row, expected);
            Ok::<_, WireError>(())
        })
        .unwrap();
    assert_eq!((rows, number), (300_000, 300_000));

    // One row of 100 MB, and what follows it.
    let mut sizes = Vec::new();
    connection
        .copy_out(b"COPY (VALUES (repeat('x', 100000000)), ('y')) TO STDOUT", |row| {
            sizes.push(row.len());
            Ok::<_, WireError>(())
        })
        .unwrap();
    assert_eq!(sizes, [100_000_001, 2]);

    // Out, in, and out again.
    connection
        .execute(
            b"CREATE TABLE a AS SELECT g, repeat(md5(g::text), g % 40) AS t FROM generate_series(1, 20000) g; \
              CREATE TABLE b (LIKE a); CREATE TABLE c ()",
        )
        .unwrap();
    let first = read(&mut connection, b"COPY (TABLE a ORDER BY g) TO STDOUT");
    let mut copy = connection.copy_in(b"COPY b FROM STDIN").unwrap();
    for piece in first.chunks(7919) {
        copy.send(piece).unwrap();
    }
    assert_eq!(copy.finish().unwrap(), 20_000);
    assert!(read(&mut connection, b"COPY (TABLE b ORDER BY g) TO STDOUT") == first);
    assert_eq!(connection.copy_in(b"COPY b FROM STDIN").unwrap().finish().unwrap(), 0);
    assert_eq!(read(&mut connection, b"COPY c TO STDOUT"), b"");

    refusals_leave_the_connection_usable(&mut connection);
    what_is_not_finished_is_not_kept(&config);
    the_end_of_a_session_is_told(&config);
    cancels_a_sleep(&config);
    cancels_rows(&config);
}

fn read(connection: &mut WireConnection, sql: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    connection
        .copy_out(sql, |row| {
            all.extend_from_slice(row);
            Ok::<_, WireError>(())
        })
        .unwrap();
    all
}

fn refusals_leave_the_connection_usable(connection: &mut WireConnection) {
    let mut rows = 0;
    let error = connection
        .copy_out(
            b"COPY (SELECT 1 / (50000 - g) FROM generate_series(1, 100000) g) TO STDOUT",
            |_| {
                rows += 1;
                Ok::<_, WireError>(())
            },
        )
        .unwrap_err();
    assert_eq!(error.server_error().unwrap().message(), "division by zero");
    assert!(rows > 0);
    for sql in [&b"SELECT 1"[..], b"", b"CREATE TEMPORARY TABLE x (); DROP TABLE x"] {
        let nothing = connection.copy_out(sql, |_| Ok::<_, WireError>(()));
        assert!(matches!(nothing, Err(WireError::NotACopy)), "{nothing:?}");
    }
    let error = connection.copy_in(b"COPY nowhere FROM STDIN").err().unwrap();
    assert_eq!(error.server_error().unwrap().code(), SqlState::UNDEFINED_TABLE);

    // A bad row at the end shows in `finish`, one at the beginning soon in `send`.
    let mut copy = connection.copy_in(b"COPY b FROM STDIN").unwrap();
    copy.send(b"1\ta\nnot a number\tb\n").unwrap();
    let error = copy.finish().unwrap_err();
    assert_eq!(
        error
            .server_error()
            .unwrap()
            .context()
            .as_deref()
            .unwrap_or_default()
            .lines()
            .next(),
        Some("COPY b, line 2, column g: \"not a number\"")
    );
    let mut copy = connection.copy_in(b"COPY b FROM STDIN").unwrap();
    copy.send(b"not a number\tb\n").unwrap();
    let line = [&[b'1'; 5][..], b"\t", &[b'x'; 1000], b"\n"].concat();
    let told = (0..200_000).find_map(|sent| copy.send(&line).err().map(|error| (sent, error)));
    let (sent, error) = told.expect("200 MB are sent to a server that has refused long ago");
    assert!(error.server_error().is_some(), "{sent}: {error:?}");
    assert!(matches!(copy.send(&line), Err(WireError::CopyEnded)));
    assert!(matches!(copy.finish(), Err(WireError::CopyEnded)));

    let mut copy = connection.copy_in(b"COPY b FROM STDIN").unwrap();
    copy.send(b"1\ta\n").unwrap();
    copy.abort().unwrap();
    assert!(!connection.is_broken());
    let rows = connection.query(b"SELECT count(*) FROM b").unwrap();
    assert_eq!(rows[0].get(0), Some(&b"20000"[..]));
}

fn what_is_not_finished_is_not_kept(config: &ConnectionConfig) {
    let mut connection = connect(config);
    let mut copy = connection.copy_in(b"COPY b FROM STDIN").unwrap();
    copy.send(&b"1\ta\n".repeat(100_000)).unwrap();
    drop(copy);
    assert!(connection.is_broken());
    assert!(matches!(connection.query(b"SELECT 1"), Err(WireError::Broken { .. })));
    let mut other = connect(config);
    // Waits for the lock of the COPY, so that the server has made up its mind.
    other.execute(b"BEGIN; LOCK TABLE b; COMMIT").unwrap();
    let rows = other.query(b"SELECT count(*) FROM b").unwrap();
    assert_eq!(rows[0].get(0), Some(&b"20000"[..]));
}

fn the_end_of_a_session_is_told(config: &ConnectionConfig) {
    let mut connection = connect(config);
    let pid = connection.backend_pid().unwrap();
    let mut copy = connection.copy_in(b"COPY b FROM STDIN").unwrap();
    let terminate = format!("SELECT pg_terminate_backend({pid})");
    connect(config).execute(terminate.as_bytes()).unwrap();
    let error = (0..1000)
        .find_map(|_| copy.send(&b"1\ta\n".repeat(20_000)).err())
        .unwrap();
    assert_eq!(
        error.server_error().map(ServerError::code),
        Some(SqlState::ADMIN_SHUTDOWN),
        "{error:?}"
    );
    drop(copy);
    assert!(connection.is_broken());
}

fn cancels_rows(config: &ConnectionConfig) {
    let cancel = CancelToken::new();
    let mut connection = WireConnection::connect(config, &cancel).unwrap();
    let mut rows = 0u64;
    let result = connection.copy_out(b"COPY (SELECT generate_series(1, 1000000000)) TO STDOUT", |_| {
        rows += 1;
        if rows == 100_000 {
            cancel.cancel();
        }
        Ok::<_, WireError>(())
    });
    assert!(matches!(result, Err(WireError::Cancelled)), "{result:?}");
    assert!(rows < 1_000_000, "{rows} rows");
}
