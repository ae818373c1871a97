use std::io::Read as _;

use backstay_core::store::{ErrorKind, MemoryStore, Store};
use backstay_testkit::objects::names;
use backstay_testkit::{Fault, Faulty, Verb, When};

use crate::{key, put, whole};

#[test]
fn every_call_of_a_run_can_fail() {
    let run = |store: &dyn Store| {
        put(store, "a", [b"1", b"2"])?;
        put(store, "b", [b"3", b"4"])?;
        store.head(&key("a"))?;
        store.list("")?;
        store.read(&key("a"), None)?;
        store.delete(&key("a"))?;
        store.list_leftovers().map(drop)
    };
    let sound = Faulty::new(MemoryStore::new());
    run(&sound).unwrap();
    assert_eq!(sound.calls(), 13);
    assert_eq!(sound.calls_of(Verb::Append), 4);
    let expected: [&[&str]; 13] = [
        &[],
        &[],
        &[],
        &[],
        &["a"],
        &["a"],
        &["a"],
        &["a"],
        &["a", "b"],
        &["a", "b"],
        &["a", "b"],
        &["a", "b"],
        &["b"],
    ];
    for (n, expected) in (1..).zip(expected) {
        for when in [When::nth_call(n), When::nth_call(n).and_after()] {
            let memory = MemoryStore::new();
            let faulty = Faulty::new(memory.clone()).with_fault(when, Fault::Error(ErrorKind::Denied));
            assert_eq!(run(&faulty).unwrap_err().kind(), ErrorKind::Denied, "call {n}");
            assert_eq!(faulty.calls(), n);
            assert_eq!(names(&memory), expected, "call {n}");
        }
    }
    let beyond = Faulty::new(MemoryStore::new()).with_fault(When::nth_call(14), Fault::LoseAnswer);
    run(&beyond).unwrap();
}

#[test]
fn a_fault_strikes_once_or_for_ever() {
    let once = When::nth(Verb::Head, 2);
    for (when, expected) in [
        (once, [true, false, true, true]),
        (once.and_after(), [true, false, false, false]),
    ] {
        let store = Faulty::new(MemoryStore::new()).with_fault(when, Fault::Error(ErrorKind::Transient));
        put(&store, "a", [b"", b""]).unwrap();
        assert_eq!([(); 4].map(|()| store.head(&key("a")).is_ok()), expected);
        store.heal();
        assert!(store.head(&key("a")).is_ok());
    }
}

#[test]
fn the_answer_of_a_publication_can_be_lost() {
    let store = Faulty::new(MemoryStore::new()).with_fault(When::nth(Verb::Publish, 1), Fault::LoseAnswer);
    let error = put(&store, "a", [b"12", b"34"]).unwrap_err();
    assert!(error.is_transient());
    assert_eq!(whole(&store, "a"), b"1234");
}

#[test]
fn a_torn_or_failed_append_spends_the_writer() {
    for (k, kept) in [(0, 0), (1, 0), (3, 0), (4, 0), (5, 0), (6, 6), (7, 6)] {
        let store = Faulty::new(MemoryStore::new()).with_fault(When::nth(Verb::Create, 1), Fault::TearAt(k));
        let mut writer = store.create(&key("a")).unwrap();
        let results = [writer.append(b"123"), writer.append(b"456")];
        let published = writer.publish();
        let error = results.into_iter().find_map(Result::err);
        assert_eq!(error.is_some(), kept == 0, "torn at {k}");
        assert!(error.is_none_or(|error| error.kind() == ErrorKind::Full));
        assert_eq!(published.is_ok(), kept == 6, "torn at {k}");
        assert_eq!(names(&store).len(), usize::from(kept == 6), "torn at {k}");
    }
    let fault = Fault::Error(ErrorKind::Other);
    let store = Faulty::new(MemoryStore::new()).with_fault(When::nth(Verb::Append, 1), fault);
    let mut writer = store.create(&key("a")).unwrap();
    writer.append(b"1").unwrap_err();
    writer.append(b"2").unwrap_err();
    writer.publish().unwrap_err();
    assert!(names(&store).is_empty());
}

#[test]
fn reads_can_break_end_or_lie() {
    let read = |fault, size| {
        let store = Faulty::new(MemoryStore::new()).with_fault(When::nth(Verb::Read, 1), fault);
        put(&store, "a", [b"01234", b"56789"]).unwrap();
        let mut reader = store.read(&key("a"), Some(1..9)).unwrap();
        let mut bytes = Vec::new();
        let mut piece = vec![0; size];
        let result = loop {
            match reader.read(&mut piece) {
                Ok(0) => break Ok(()),
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
                Err(error) => break Err(error.kind()),
            }
        };
        assert_eq!(whole(&store, "a"), b"0123456789", "only the first read is struck");
        (String::from_utf8(bytes).unwrap(), result.is_ok())
    };
    for size in [1, 3, 100] {
        assert_eq!(read(Fault::BreakAt(0), size), (String::new(), false));
        assert_eq!(read(Fault::BreakAt(4), size), ("1234".to_owned(), false));
        assert_eq!(read(Fault::EndAt(4), size), ("1234".to_owned(), true));
        assert_eq!(read(Fault::EndAt(90), size), ("12345678".to_owned(), true));
        assert_eq!(
            read(Fault::FlipBit { byte: 0, bit: 0 }, size),
            ("02345678".to_owned(), true)
        );
        assert_eq!(
            read(Fault::FlipBit { byte: 5, bit: 1 }, size),
            ("12345478".to_owned(), true)
        );
        assert_eq!(
            read(Fault::FlipBit { byte: 8, bit: 1 }, size),
            ("12345678".to_owned(), true)
        );
    }
}

#[test]
fn a_writer_can_keep_other_bytes_and_say_nothing() {
    let keep = |fault| {
        let store = Faulty::new(MemoryStore::new()).with_fault(When::nth(Verb::Create, 1), fault);
        put(&store, "a", [b"012", b"345"]).unwrap();
        put(&store, "b", [b"012", b"345"]).unwrap();
        assert_eq!(whole(&store, "b"), b"012345", "only the first writer is struck");
        String::from_utf8(whole(&store, "a")).unwrap()
    };
    for (end, kept) in [
        (0, ""),
        (2, "01"),
        (3, "012"),
        (4, "0123"),
        (6, "012345"),
        (9, "012345"),
    ] {
        assert_eq!(keep(Fault::DropFrom(end)), kept);
    }
    for (byte, kept) in [
        (0, "112345"),
        (2, "013345"),
        (3, "012245"),
        (5, "012344"),
        (6, "012345"),
    ] {
        assert_eq!(keep(Fault::SpoilBit { byte, bit: 0 }), kept);
    }
}

#[test]
#[should_panic(expected = "never befalls")]
fn a_fault_that_cannot_strike_is_refused() {
    drop(Faulty::new(MemoryStore::new()).with_fault(When::nth(Verb::List, 1), Fault::TearAt(1)));
}
