//! Requests that fail, each in one way.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::Mutex;

use backstay_core::store::{ErrorKind, Store as _};
use backstay_store_s3::{Credentials, CredentialsError, CredentialsProvider, S3Store};

use crate::fake::{self, Fake, Fault, Traits};
use crate::{causes, config, key, names, noise, put, read};

/// What a server answers when it can do no better at the moment.
const TRANSIENT: [Fault; 5] = [
    Fault::Refuse(503, "SlowDown"),
    Fault::Refuse(500, "InternalError"),
    Fault::Refuse(400, "RequestTimeout"),
    Fault::ResetAfter(3),
    Fault::LoseAnswer,
];

#[test]
fn what_is_transient_is_tried_again() {
    for fault in TRANSIENT {
        // The answer to HEAD has no body that could name a status of 400 transient.
        let is_named = matches!(fault, Fault::Refuse(400, _));
        for method in ["PUT", "HEAD", "GET"]
            .into_iter()
            .filter(|method| !is_named || *method != "HEAD")
        {
            let fake = Fake::start(Traits::default());
            let store = fake.store("p/");
            fake.fail_times(method, "", 0, 2, fault.clone());
            let published = put(&store, "a", b"bytes").unwrap();
            assert_eq!(read(&store, "a").unwrap(), b"bytes", "{method} {fault:?}");
            assert_eq!(store.head(&key("a")).unwrap(), published);
            fake.assert_all_befell();
        }
    }
    let fake = Fake::start(Traits::default());
    let store = fake.store("p/");
    put(&store, "a", b"").unwrap();
    fake.fail("GET", "list-type", Fault::Refuse(503, "SlowDown"));
    fake.fail("GET", "list-type", Fault::CutAnswer(40));
    fake.fail("DELETE", "/a", Fault::LoseAnswer);
    assert_eq!(names(&store), ["a"]);
    store.delete(&key("a")).unwrap();
    fake.assert_all_befell();
}

#[test]
fn what_is_not_transient_is_tried_once() {
    for (status, code, kind) in [
        (403, "AccessDenied", ErrorKind::Denied),
        (403, "SignatureDoesNotMatch", ErrorKind::Denied),
        (400, "InvalidBucketName", ErrorKind::Other),
        (301, "PermanentRedirect", ErrorKind::Other),
        (507, "QuotaExceeded", ErrorKind::Full),
        (501, "Whatever", ErrorKind::Other),
    ] {
        let fake = Fake::start(Traits::default());
        let store = fake.store("");
        fake.fail("PUT", "", Fault::Refuse(status, code));
        let error = put(&store, "a", b"").unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(causes(&error).contains(code), "{}", causes(&error));
        assert_eq!(fake.seen("PUT", "").len(), 1, "{status} {code}");
    }
}

#[test]
fn trying_ends_and_says_how_often_it_was_tried() {
    let fake = Fake::start(Traits::default());
    let store = fake.store("");
    fake.fail_times("PUT", "", 0, usize::MAX, Fault::Refuse(503, "SlowDown"));
    let error = put(&store, "a", b"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(
        causes(&error).contains("4 tries failed: the server answered 503 SlowDown"),
        "{}",
        causes(&error)
    );
    assert_eq!(fake.seen("PUT", "").len(), 4);
    assert!(names(&store).is_empty());
}

#[test]
fn a_lost_answer_and_then_a_refusal_is_settled_by_looking() {
    let fake = Fake::start(Traits::default());
    let store = fake.store("");
    fake.fail("PUT", "/a", Fault::LoseAnswer);
    put(&store, "a", b"own").unwrap();
    assert_eq!(
        fake.seen("PUT", "/a").len(),
        2,
        "the second one was refused, because the first was carried out"
    );

    // Another's object was there, and stays, also where the bytes are the same.
    for bytes in [b"own".as_slice(), b"other"] {
        let other = fake.store("");
        put(&other, "b", bytes).unwrap();
        fake.fail("PUT", "/b", Fault::LoseAnswer);
        let error = put(&store, "b", b"own").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{}", causes(&error));
        assert_eq!(read(&store, "b").unwrap(), bytes);
        store.delete(&key("b")).unwrap();
    }

    // All answers are lost.
    fake.fail_times("PUT", "/c", 0, 4, Fault::LoseAnswer);
    put(&store, "c", b"own").unwrap();
    fake.assert_all_befell();
}

#[test]
fn whose_object_it_is_is_not_guessed() {
    let fake = Fake::start(Traits {
        forgets_metadata: true,
        ..Traits::default()
    });
    let store = fake.store("");
    fake.fail("PUT", "/a", Fault::LoseAnswer);
    let error = put(&store, "a", b"own").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{}", causes(&error));
    // Without a lost answer there is nothing to guess.
    put(&store, "b", b"own").unwrap();
    assert_eq!(put(&store, "b", b"own").unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[test]
fn a_reader_goes_on_where_its_connection_broke() {
    let bytes = noise(300_000);
    for range in [None, Some(1000..250_000)] {
        let fake = Fake::start(Traits::default());
        let store = fake.store("");
        put(&store, "a", &bytes).unwrap();
        for cut in [0, 1, 70_000] {
            fake.fail("GET", "/a", Fault::CutAnswer(cut));
        }
        fake.fail_times("GET", "/a", 0, 2, Fault::Refuse(503, "SlowDown"));
        let expected = range.clone().map_or(bytes.as_slice(), |range| {
            &bytes[range.start as usize..range.end as usize]
        });
        let mut found = Vec::new();
        store.read(&key("a"), range).unwrap().read_to_end(&mut found).unwrap();
        assert!(found == expected, "{} bytes came", found.len());
        fake.assert_all_befell();
    }
}

#[test]
fn a_reader_never_just_ends() {
    let bytes = noise(100_000);
    let fake = Fake::start(Traits::default());
    let store = fake.store("");
    put(&store, "a", &bytes).unwrap();
    // Each try dies without a byte.
    fake.fail("GET", "/a", Fault::CutAnswer(500));
    fake.fail_times("GET", "/a", 0, usize::MAX, Fault::CutAnswer(0));
    let mut found = Vec::new();
    let error = store
        .read(&key("a"), None)
        .unwrap()
        .read_to_end(&mut found)
        .unwrap_err();
    assert!(found.len() <= 500, "{} bytes came: {error}", found.len());
}

#[test]
fn a_reader_does_not_go_on_in_another_object() {
    let fake = Fake::start(Traits::default());
    let store = fake.store("");
    put(&store, "a", &noise(100_000)).unwrap();
    fake.fail("GET", "/a", Fault::CutAnswer(500));
    let mut reader = store.read(&key("a"), None).unwrap();
    fake.put("a", &[7; 100_000]);
    let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}");
}

/// Gives another token at each time.
#[derive(Debug)]
struct Tokens(Mutex<u32>);

impl CredentialsProvider for Tokens {
    fn fetch(&self) -> Result<Credentials, CredentialsError> {
        let mut count = self.0.lock().unwrap();
        *count += 1;
        Ok(Credentials::new(fake::ACCESS_KEY, "secret").with_session_token(count.to_string()))
    }
}

#[test]
fn expired_credentials_are_fetched_anew() {
    let fake = Fake::start(Traits::default());
    let tokens = Arc::new(Tokens(Mutex::new(0)));
    let store = S3Store::open(config(fake::BUCKET, &fake.endpoint()), tokens.clone()).unwrap();
    fake.take_only_token("1");
    put(&store, "a", b"").unwrap();
    fake.take_only_token("2");
    put(&store, "b", b"").unwrap();
    fake.take_only_token("3");
    // The answer to HEAD cannot say that they expired.
    store.head(&key("b")).unwrap();
    assert_eq!(*tokens.0.lock().unwrap(), 3);
    fake.take_only_token("nobody's");
    assert_eq!(put(&store, "c", b"").unwrap_err().kind(), ErrorKind::Other);
    // In the middle of a large object.
    let mut writer = store.create(&key("large")).unwrap();
    fake.take_only_token(&(*tokens.0.lock().unwrap() + 1).to_string());
    writer.append(&noise(9 << 20)).unwrap();
    fake.take_only_token(&(*tokens.0.lock().unwrap() + 1).to_string());
    writer.append(&noise(9 << 20)).unwrap();
    writer.publish().unwrap();
}

#[test]
fn a_missing_bucket_is_told_from_a_missing_object() {
    let fake = Fake::start(Traits::default());
    let store = fake.store_with(|config| "nowhere".clone_into(&mut config.bucket));
    assert_eq!(store.head(&key("a")).unwrap_err().kind(), ErrorKind::StoreMissing);
    assert_eq!(store.list("").unwrap_err().kind(), ErrorKind::StoreMissing);
    assert_eq!(store.list_leftovers().unwrap_err().kind(), ErrorKind::StoreMissing);
    assert_eq!(store.delete(&key("a")).unwrap_err().kind(), ErrorKind::StoreMissing);
    assert_eq!(put(&store, "a", b"").unwrap_err().kind(), ErrorKind::StoreMissing);
    assert_eq!(
        store.read(&key("a"), None).map(drop).unwrap_err().kind(),
        ErrorKind::StoreMissing
    );
    assert_eq!(fake.store("").head(&key("a")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn no_error_shows_a_secret() {
    let mut config = config("b", "http://127.0.0.1:1");
    config.retries.tries = 1;
    let credentials = Credentials::new("id", "hunter2").with_session_token("hunter3");
    let provider = Arc::new(backstay_store_s3::StaticCredentials::new(credentials));
    let store = S3Store::open(config, provider).unwrap();
    let error = store.list("").unwrap_err();
    let shown = format!("{} {error:?} {store:?} {}", causes(&error), store.location());
    assert!(!shown.contains("hunter"), "{shown}");
}
