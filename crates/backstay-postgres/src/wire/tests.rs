//! Servers that misbehave: each test scripts one on a loopback socket.

mod fake;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use fake::{COPY_OUT, Fake, READY, SESSION, error, frame, row, rows};

use super::*;
use crate::config::{ChannelBinding, SslMode};
use crate::connect::{ConnectErrorKind, connect_client};

fn open(fake: &Fake) -> WireConnection {
    WireConnection::connect(&fake.config(), &CancelToken::new()).expect("the script lets everybody in")
}

/// Runs a COPY against a server that answers with `script` and closes.
fn copy_out(script: &[u8]) -> (Result<u64, WireError>, Vec<u8>, WireConnection) {
    let fake = Fake::answering(script);
    let mut connection = open(&fake);
    let mut received = Vec::new();
    let result = connection.copy_out(b"COPY t TO STDOUT", |row| {
        received.extend_from_slice(row);
        Ok::<_, WireError>(())
    });
    (result, received, connection)
}

fn good_copy() -> Vec<u8> {
    [
        COPY_OUT,
        &rows(&[b"1\ta\n", b"2\tb\n"]),
        &frame(b'c', b""),
        &frame(b'C', b"COPY 2\0"),
        READY,
    ]
    .concat()
}

#[test]
fn a_connection_may_be_given_to_a_worker() {
    fn check<T: Send>() {}
    check::<WireConnection>();
    check::<WireError>();
    check::<ConnectError>();
}

#[test]
fn a_good_copy_is_taken() {
    let (result, received, connection) = copy_out(&good_copy());
    assert_eq!(result.unwrap(), 2);
    assert_eq!(received, b"1\ta\n2\tb\n");
    assert!(!connection.is_broken());
}

#[test]
fn a_row_that_could_become_a_command_fails_the_copy() {
    for (bad, fault) in [
        (&b"1\n\\! rm\n"[..], RowFault::NotOneLine),
        (b"1\n\n", RowFault::NotOneLine),
        (b"no end", RowFault::NotOneLine),
        (b"", RowFault::NotOneLine),
        (b"\\.\n", RowFault::EndMarker),
        (b"\\.\r\n", RowFault::EndMarker),
        (b"a\rb\n", RowFault::CarriageReturn),
        (b"a\0b\n", RowFault::Nul),
    ] {
        let script = [
            COPY_OUT,
            &rows(&[b"good\n", bad, b"good\n"]),
            &frame(b'c', b""),
            &frame(b'C', b"COPY 3\0"),
            READY,
        ]
        .concat();
        let (result, received, connection) = copy_out(&script);
        match result {
            Err(WireError::BadRow {
                row: 2, fault: found, ..
            }) if found == fault => {}
            other => panic!("{}: {other:?}", bad.escape_ascii()),
        }
        assert_eq!(received, b"good\n");
        assert!(connection.is_broken());
    }
}

#[test]
fn a_wrong_number_of_rows_fails_the_copy() {
    for tag in [&b"COPY 1\0"[..], b"COPY 3\0", b"COPY\0", b"SELECT 2\0", b"\0"] {
        let script = [
            COPY_OUT,
            &rows(&[b"1\n", b"2\n"]),
            &frame(b'c', b""),
            &frame(b'C', tag),
            READY,
        ]
        .concat();
        let (result, _, connection) = copy_out(&script);
        assert!(
            matches!(result, Err(WireError::RowCount { received: 2, .. })),
            "{}: {result:?}",
            tag.escape_ascii()
        );
        assert!(connection.is_broken());
    }
}

#[test]
fn a_copy_that_is_cut_anywhere_fails() {
    let script = good_copy();
    for end in 0..script.len() {
        let (result, _, connection) = copy_out(&script[..end]);
        assert!(
            matches!(result, Err(WireError::ConnectionLost { .. })),
            "{end}: {result:?}"
        );
        assert!(connection.is_broken());
    }
}

#[test]
fn what_the_protocol_does_not_allow_fails_the_copy() {
    let done = [frame(b'c', b""), frame(b'C', b"COPY 1\0"), READY.to_vec()].concat();
    for (name, script) in [
        ("a row before the start", [&row(b"1\n"), COPY_OUT].concat()),
        ("a second start", [COPY_OUT, COPY_OUT].concat()),
        ("binary", frame(b'H', &[1, 0, 1, 0, 1])),
        ("a binary column", frame(b'H', &[0, 0, 1, 0, 1])),
        (
            "completion without end",
            [COPY_OUT, &row(b"1\n"), &frame(b'C', b"COPY 1\0"), READY].concat(),
        ),
        (
            "a row after the end",
            [COPY_OUT, &frame(b'c', b""), &row(b"1\n"), &done].concat(),
        ),
        (
            "a row after completion",
            [COPY_OUT, &row(b"1\n"), &done[..done.len() - READY.len()], &row(b"2\n")].concat(),
        ),
        ("an unknown message", [COPY_OUT, &frame(b'?', b"")].concat()),
        ("a length below 4", [COPY_OUT, b"d\0\0\0\x03"].concat()),
        ("a length of 2 GiB", [COPY_OUT, b"d\x7f\xff\xff\xff"].concat()),
        ("a negative length", [COPY_OUT, b"d\xff\xff\xff\xff"].concat()),
        ("a long message of a short kind", [COPY_OUT, b"c\x10\0\0\0"].concat()),
        (
            "a status that is none",
            [
                COPY_OUT,
                &frame(b'c', b""),
                &frame(b'C', b"COPY 0\0"),
                &frame(b'Z', b"?"),
            ]
            .concat(),
        ),
        (
            "a parameter without value",
            [COPY_OUT, &frame(b'S', b"name\0")].concat(),
        ),
    ] {
        let (result, _, connection) = copy_out(&script);
        assert!(matches!(result, Err(WireError::Protocol { .. })), "{name}: {result:?}");
        assert!(connection.is_broken(), "{name}");
    }
}

#[test]
fn an_error_after_some_rows_fails_the_copy_and_leaves_the_connection_usable() {
    let script = [COPY_OUT, &row(b"1\n"), &error("ERROR", "22P02", "broken row"), READY].concat();
    let (result, received, connection) = copy_out(&script);
    let failure = result.unwrap_err();
    assert_eq!(failure.server_error().unwrap().message(), "broken row");
    assert_eq!(received, b"1\n");
    assert!(!connection.is_broken());
}

#[test]
fn a_fatal_error_is_told_rather_than_the_lost_connection() {
    for script in [
        [COPY_OUT, &row(b"1\n"), &error("FATAL", "57P01", "terminating")].concat(),
        error("FATAL", "57P01", "terminating"),
    ] {
        let (result, _, connection) = copy_out(&script);
        let failure = result.unwrap_err();
        assert_eq!(failure.server_error().unwrap().code(), SqlState::ADMIN_SHUTDOWN);
        assert!(connection.is_broken());
    }
}

#[test]
fn an_error_of_the_sink_closes_the_connection() {
    let fake = Fake::answering(&good_copy());
    let mut connection = open(&fake);
    let result = connection.copy_out(b"COPY t TO STDOUT", |_| Err(WireError::TooLong));
    assert!(matches!(result, Err(WireError::TooLong)));
    assert!(connection.is_broken());
    assert!(matches!(connection.execute(b"SELECT 1"), Err(WireError::Broken { .. })));
}

#[test]
fn only_the_newest_notices_are_kept() {
    let mut script = Vec::new();
    for number in 0..250 {
        script.extend(frame(b'N', format!("SNOTICE\0C00000\0M{number}\0\0").as_bytes()));
    }
    script.extend(frame(b'C', b"DO\0"));
    script.extend_from_slice(READY);
    let fake = Fake::answering(&script);
    let mut connection = open(&fake);
    assert_eq!(connection.execute(b"DO $$ $$").unwrap().as_str(), "DO");
    let notices = connection.take_notices();
    assert_eq!(notices.len(), 100);
    assert_eq!(notices[0].message(), "150");
    assert!(connection.take_notices().is_empty());
}

#[test]
fn a_start_that_is_cut_anywhere_fails() {
    for end in 0..SESSION.len() {
        let fake = Fake::greeting(&SESSION[..end]);
        let failure = WireConnection::connect(&fake.config(), &CancelToken::new()).unwrap_err();
        assert_eq!(failure.kind(), ConnectErrorKind::Lost, "{end}: {failure:?}");
    }
}

#[test]
fn a_server_gets_the_password_only_in_the_agreed_way() {
    use ConnectErrorKind::{Authentication, NoPassword, Protocol};
    let cleartext = frame(b'R', &[0, 0, 0, 3]);
    let md5 = frame(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]);
    let scram = frame(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
    let ok = frame(b'R', &[0; 4]);
    for (name, script, binding, password, kind, answers) in [
        (
            "plain, bound",
            cleartext.clone(),
            ChannelBinding::Require,
            true,
            Authentication,
            false,
        ),
        (
            "md5, bound",
            md5.clone(),
            ChannelBinding::Require,
            true,
            Authentication,
            false,
        ),
        (
            "scram, bound",
            scram.clone(),
            ChannelBinding::Require,
            true,
            Authentication,
            false,
        ),
        (
            "trust, bound",
            ok.clone(),
            ChannelBinding::Require,
            true,
            Authentication,
            false,
        ),
        (
            "no password",
            cleartext.clone(),
            ChannelBinding::Prefer,
            false,
            NoPassword,
            false,
        ),
        (
            "no password for md5",
            md5.clone(),
            ChannelBinding::Prefer,
            false,
            NoPassword,
            false,
        ),
        (
            "no password for scram",
            scram.clone(),
            ChannelBinding::Prefer,
            false,
            NoPassword,
            false,
        ),
        (
            "twice",
            [md5, cleartext.clone()].concat(),
            ChannelBinding::Prefer,
            true,
            Protocol,
            true,
        ),
        (
            "plain after scram",
            [scram.clone(), cleartext].concat(),
            ChannelBinding::Prefer,
            true,
            Protocol,
            true,
        ),
        (
            "no proof",
            [scram, ok].concat(),
            ChannelBinding::Prefer,
            true,
            Protocol,
            true,
        ),
        (
            "bound without TLS",
            frame(b'R', b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0\0"),
            ChannelBinding::Prefer,
            true,
            Protocol,
            false,
        ),
        (
            "unknown",
            frame(b'R', b"\0\0\0\x0aNEW\0\0"),
            ChannelBinding::Prefer,
            true,
            Authentication,
            false,
        ),
        (
            "cut list",
            frame(b'R', b"\0\0\0\x0aSCRAM-SHA-256"),
            ChannelBinding::Prefer,
            true,
            Protocol,
            false,
        ),
        (
            "gss",
            frame(b'R', &[0, 0, 0, 7]),
            ChannelBinding::Prefer,
            true,
            Authentication,
            false,
        ),
    ] {
        let fake = Fake::greeting(&script);
        let mut config = fake.config();
        config.channel_binding = binding;
        if !password {
            config.password = None;
        }
        let failure = WireConnection::connect(&config, &CancelToken::new()).unwrap_err();
        assert_eq!(failure.kind(), kind, "{name}: {failure:?}");
        let heard = fake.heard();
        assert_eq!(!heard.is_empty(), answers, "{name}: {}", heard.escape_ascii());
        assert!(!heard.windows(6).any(|window| window == b"secret"), "{name}");
        assert!(!format!("{failure:?}").contains("secret"), "{name}");
    }
}

#[test]
fn both_clients_tell_failures_of_the_start_alike() {
    use ConnectErrorKind::{DatabaseMissing, Denied, NoPassword, NotAccepting, TooManyConnections};
    for (script, kind) in [
        (error("FATAL", "28P01", "m"), Denied),
        (error("FATAL", "28000", "m"), Denied),
        (error("FATAL", "3D000", "m"), DatabaseMissing),
        (error("FATAL", "53300", "m"), TooManyConnections),
        (error("FATAL", "57P03", "m"), NotAccepting),
        (frame(b'R', &[0, 0, 0, 3]), NoPassword),
        (frame(b'R', &[0, 0, 0, 7]), ConnectErrorKind::Authentication),
        (frame(b'?', b""), ConnectErrorKind::Protocol),
        (Vec::new(), ConnectErrorKind::Lost),
    ] {
        let config = || {
            let mut config = Fake::greeting(&script).config();
            config.password = None;
            config
        };
        let ours = WireConnection::connect(&config(), &CancelToken::new()).unwrap_err();
        assert_eq!(ours.kind(), kind, "{ours:?}");
        let theirs = connect_client(&config()).err().unwrap();
        assert_eq!(theirs.kind(), kind, "{theirs:?}");
        assert_eq!(ours.sql_state(), theirs.sql_state());
    }
}

#[test]
fn required_tls_is_not_done_without() {
    for (answer, kind) in [
        (&b"N"[..], ConnectErrorKind::Tls),
        (b"E\0\0\0\x08Mno\0\0", ConnectErrorKind::Protocol),
        (b"Sinjected plain text", ConnectErrorKind::Tls),
        (b"", ConnectErrorKind::Lost),
    ] {
        let fake = Fake::answering_tls(answer);
        let mut config = fake.config();
        config.ssl_mode = SslMode::Require;
        let failure = WireConnection::connect(&config, &CancelToken::new()).unwrap_err();
        assert_eq!(failure.kind(), kind, "{}: {failure:?}", answer.escape_ascii());
    }
    let mut config = Fake::answering_tls(b"N").config();
    config.ssl_mode = SslMode::Require;
    assert_eq!(connect_client(&config).err().unwrap().kind(), ConnectErrorKind::Tls);
}

#[test]
fn a_silent_server_is_waited_for_until_the_limit() {
    let fake = Fake::silent();
    let mut config = fake.config();
    config.connect_timeout = Some(Duration::from_millis(300));
    let begun = Instant::now();
    let ours = WireConnection::connect(&config, &CancelToken::new()).unwrap_err();
    assert_eq!(ours.kind(), ConnectErrorKind::TimedOut);
    let theirs = connect_client(&config).err().unwrap();
    assert_eq!(theirs.kind(), ConnectErrorKind::TimedOut);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn cancelling_ends_the_wait_for_a_session() {
    let fake = Fake::silent();
    let cancel = CancelToken::new();
    let canceller = cancel.clone();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        canceller.cancel();
    });
    let failure = WireConnection::connect(&fake.config(), &cancel).unwrap_err();
    assert_eq!(failure.kind(), ConnectErrorKind::Cancelled);
}

#[test]
fn cancelling_sends_the_key_to_the_server() {
    let fake = Fake::hanging();
    let cancel = CancelToken::new();
    let mut connection = WireConnection::connect(&fake.config(), &cancel).unwrap();
    assert_eq!(connection.backend_pid(), Some(42));
    let canceller = cancel.clone();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        canceller.cancel();
    });
    let begun = Instant::now();
    assert!(matches!(connection.execute(b"SELECT 1"), Err(WireError::Cancelled)));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(connection.is_broken());
    assert_eq!(fake.heard(), b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x2akey!");
}

#[test]
fn the_next_endpoint_is_tried_only_where_that_may_help() {
    let good = Fake::answering(b"").config();
    let starting = Fake::greeting(&error("FATAL", "57P03", "starting")).config();
    let denied = Fake::greeting(&error("FATAL", "28P01", "no")).config();
    let mut config = starting;
    config.endpoints.extend(good.endpoints.clone());
    assert!(WireConnection::connect(&config, &CancelToken::new()).is_ok());
    let mut config = denied;
    config.endpoints.extend(good.endpoints);
    let failure = WireConnection::connect(&config, &CancelToken::new()).unwrap_err();
    assert_eq!(failure.kind(), ConnectErrorKind::Denied);
}

#[test]
fn rows_are_sent_to_a_server_that_talks_before_it_listens() {
    let fake = Fake::talkative(32 << 20);
    let mut connection = open(&fake);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut copy = connection.copy_in(b"COPY t FROM STDIN").unwrap();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        for _ in 0..32 << 10 {
            copy.send(&line).unwrap();
        }
        sender.send(copy.finish().unwrap()).unwrap();
    });
    let rows = receiver
        .recv_timeout(Duration::from_secs(60))
        .expect("both sides wait for each other");
    assert_eq!(rows, 32 << 10);
}

#[test]
fn a_copy_that_is_dropped_closes_the_connection() {
    let fake = Fake::answering(&frame(b'G', &[0, 0, 0]));
    let mut connection = open(&fake);
    let mut copy = connection.copy_in(b"COPY t FROM STDIN").unwrap();
    copy.send(b"1\n").unwrap();
    drop(copy);
    assert!(connection.is_broken());
    drop(connection);
    let heard = fake.heard();
    assert!(!heard.contains(&b'c'), "{}", heard.escape_ascii());
}

#[test]
fn a_commit_that_keeps_nothing_is_an_error() {
    // What a server answers when a statement of the transaction failed, and when there was no transaction.
    for (before, said, kept) in [
        (b'T', "COMMIT", true),
        (b'T', "ROLLBACK", false),
        (b'E', "ROLLBACK", false),
        (b'E', "COMMIT", false),
        (b'I', "COMMIT", false),
    ] {
        let begun = [frame(b'C', b"BEGIN\0"), frame(b'Z', &[before])].concat();
        let ended = [frame(b'C', format!("{said}\0").as_bytes()), READY.to_vec()].concat();
        let fake = Fake::answering_each(&[&begun, &ended]);
        let mut connection = open(&fake);
        connection.execute(b"BEGIN").unwrap();
        match connection.commit() {
            Ok(()) => assert!(kept, "{before:?} {said}"),
            Err(WireError::NotCommitted { said: found, .. }) => assert!(!kept && found == said, "{before:?} {said}"),
            Err(error) => panic!("{error}"),
        }
        assert!(!connection.is_broken());
    }
}
