//! Uploads in pieces (TUS).

use backstay_core::store::{ErrorKind, Store as _};
use backstay_testkit::SupabaseTraits;
use backstay_testkit::http_server::{Fault, Response};

use crate::{Supabase, causes, noise, put, read};

const PIECE: usize = 6 << 20;

/// Writes an object in steps of an odd length; where `memory` is exceeded, its length is told at the end.
fn round_trip(server: &Supabase, name: &str, length: usize, memory: usize) {
    let bytes = noise(length);
    let store = server.store_with(|config| config.memory_bytes_max = memory);
    let mut writer = store.create(&crate::key(name)).unwrap();
    for step in bytes.chunks(1_000_003) {
        writer
            .append(step)
            .unwrap_or_else(|error| panic!("{name}: {}", causes(&error)));
    }
    writer
        .publish()
        .unwrap_or_else(|error| panic!("{name}: {}", causes(&error)));
    assert!(read(&store, name).unwrap() == bytes, "{name} came back changed");
    assert_eq!(server.uploads(), 0, "{name}");
    assert!(store.list_leftovers().unwrap().is_empty(), "{name}");
}

#[test]
fn objects_around_the_length_of_pieces_come_back() {
    let server = Supabase::start(SupabaseTraits::default());
    for length in [PIECE, PIECE + 1, 2 * PIECE] {
        for memory in [1 << 20, 64 << 20] {
            round_trip(&server, &format!("{length}-{memory}"), length, memory);
        }
    }
    let deferred = server.http.seen("POST", "/upload/resumable");
    assert!(
        deferred
            .iter()
            .any(|request| request.header("upload-defer-length").is_some())
    );
    assert!(deferred.iter().any(|request| request.header("upload-length").is_some()));
    for piece in server.http.seen("PATCH", "") {
        assert!(piece.body.len() <= PIECE && !piece.body.is_empty());
        // Whatever host the answer names, the key goes to the one that was configured.
        assert!(piece.header("host").unwrap().starts_with("127.0.0.1"));
    }
}

#[test]
fn a_piece_that_fails_is_sent_from_where_the_server_is() {
    let faults = [
        Fault::Refuse(503, "SlowDown"),
        Fault::Refuse(423, "ResourceLocked"),
        Fault::ResetAfter(0),
        Fault::ResetAfter(100_000),
        Fault::LoseAnswer,
        // As where an earlier piece arrives late.
        Fault::Answer(Response::new(409, "Upload-Offset conflict")),
    ];
    for fault in faults {
        for memory in [1 << 20, 64 << 20] {
            // The second piece is the short one at the end.
            for skip in 0..2 {
                let server = Supabase::start(SupabaseTraits::default());
                server.http.fail_times("PATCH", "", skip, 1, fault.clone());
                server.http.fail("HEAD", "", Fault::LoseAnswer);
                round_trip(&server, "a", PIECE + 5, memory);
                server.http.assert_all_befell();
            }
        }
    }
}

#[test]
fn a_piece_that_the_server_has_a_part_of_is_not_sent_twice() {
    for kept in [1, 5, PIECE - 1] {
        for memory in [1 << 20, 64 << 20] {
            let server = Supabase::start(SupabaseTraits {
                cuts_first_piece: kept,
                ..SupabaseTraits::default()
            });
            // Where the part ends in the middle of a piece, the next one begins there and is as long as any.
            round_trip(&server, "a", 2 * PIECE + 5, memory);
        }
    }
}

#[test]
fn a_lost_answer_to_the_last_piece_is_settled_by_looking() {
    for memory in [1 << 20, 64 << 20] {
        let server = Supabase::start(SupabaseTraits {
            forgets_uploads: true,
            ..SupabaseTraits::default()
        });
        server.http.fail_times("PATCH", "", 1, 1, Fault::LoseAnswer);
        round_trip(&server, "a", PIECE + 5, memory);
        server.http.assert_all_befell();
    }
}

#[test]
fn an_upload_that_is_gone_makes_the_writer_fail() {
    let server = Supabase::start(SupabaseTraits::default());
    let store = server.store_with(|config| config.memory_bytes_max = 1 << 20);
    let mut writer = store.create(&crate::key("a")).unwrap();
    writer.append(&noise(PIECE + 5)).unwrap();
    server.forget_uploads();
    let error = writer.publish().unwrap_err();
    assert_ne!(error.kind(), ErrorKind::AlreadyExists, "{}", causes(&error));
    assert!(server.names().is_empty());

    // The same where it is gone together with an answer: nobody believes that all of it is there.
    let mut writer = store.create(&crate::key("b")).unwrap();
    writer.append(&noise(PIECE + 5)).unwrap();
    server.http.fail("PATCH", "", Fault::ResetAfter(1));
    let gone = Response::new(404, "");
    server.http.fail("HEAD", "", Fault::Answer(gone));
    let error = writer.publish().unwrap_err();
    assert!(
        causes(&error).contains("what was uploaded is not there"),
        "{}",
        causes(&error)
    );
    assert!(server.names().is_empty());
}

#[test]
fn a_server_that_counts_wrongly_is_not_believed() {
    for offset in ["0", "5", "6291456", "99999999", "x"] {
        let server = Supabase::start(SupabaseTraits::default());
        let store = server.store("");
        // After the first piece it has lost that, has what was never sent, or takes nothing.
        let wrong = Response::new(204, "").header("upload-offset", offset);
        server
            .http
            .fail_times("PATCH", "", 1, usize::MAX, Fault::Answer(wrong.clone()));
        server.http.fail_times("HEAD", "", 0, usize::MAX, Fault::Answer(wrong));
        let error = put(&store, "a", &noise(PIECE + 5)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other, "{offset}: {}", causes(&error));
        assert!(server.names().is_empty(), "{offset}");
    }
}

#[test]
fn a_writer_that_is_dropped_ends_its_upload() {
    let server = Supabase::start(SupabaseTraits::default());
    let store = server.store_with(|config| config.memory_bytes_max = 1 << 20);
    let mut writer = store.create(&crate::key("a")).unwrap();
    writer.append(&noise(PIECE + 5)).unwrap();
    assert_eq!(server.uploads(), 1);
    drop(writer);
    assert_eq!(server.uploads(), 0);
    assert!(server.names().is_empty());
}

#[test]
fn an_object_that_is_too_long_is_refused_and_leaves_nothing() {
    let server = Supabase::start(SupabaseTraits {
        bucket_limit: 7 << 20,
        ..SupabaseTraits::default()
    });
    // The store's own bound, before anything is sent.
    let store = server.store_with(|config| config.object_bytes_max = 100);
    assert_eq!(store.object_bytes_max(), Some(100));
    let mut writer = store.create(&crate::key("a")).unwrap();
    let error = writer.append(&[0; 101]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full, "{}", causes(&error));
    assert!(causes(&error).contains("object-limit"), "{}", causes(&error));
    assert!(writer.publish().is_err());
    assert!(server.http.seen("POST", "").is_empty());
    // The bucket's.
    for memory in [1 << 20, 64 << 20] {
        let store = server.store_with(|config| config.memory_bytes_max = memory);
        assert_eq!(store.object_bytes_max(), Some(7 << 20));
        let written = store.create(&crate::key("a")).and_then(|mut writer| {
            writer.append(&noise(7 << 20))?;
            writer.append(&[0])?;
            writer.publish()
        });
        let error = written.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full, "{}", causes(&error));
        assert!(server.names().is_empty());
    }
    // What a bucket says that cannot be asked, nobody knows.
    let server = Supabase::start(SupabaseTraits::default());
    let store = server.store("");
    server.http.fail("GET", "/bucket/", Fault::Refuse(403, "Unauthorized"));
    assert_eq!(store.object_bytes_max(), Some(49_000_000));
    let raised = server.store_with(|config| config.object_bytes_max = u64::MAX);
    assert_eq!(
        raised.object_bytes_max(),
        Some(5_000_000_000),
        "the service moves no more"
    );
}
