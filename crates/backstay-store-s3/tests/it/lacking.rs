//! Servers that lack something.

use backstay_core::store::{ErrorKind, Store as _};
use backstay_store_s3::{
    Checksums, ConditionalWrites, CreateOnly, Encryption, LegalHold, LockMode, PartSizes, RetainUntil, Retention,
};

use crate::fake::{Fake, Traits};
use crate::{causes, key, names, noise, put, read};

#[test]
fn a_listing_of_many_pages_is_whole() {
    let fake = Fake::start(Traits {
        page: 3,
        ..Traits::default()
    });
    let store = fake.store("p/");
    let mut expected: Vec<String> = (0..20).map(|number| format!("a+b &<{number}>")).collect();
    for name in &expected {
        put(&store, name, b"").unwrap();
    }
    fake.put("p/not ours/", b"");
    fake.put("q/elsewhere", b"");
    expected.sort();
    assert_eq!(names(&store), expected);
    assert_eq!(fake.seen("GET", "list-type").len(), 7);
}

#[test]
fn a_server_that_heeds_conditions_is_told_by_trying_once() {
    let fake = Fake::start(Traits::default());
    let store = fake.store_with(|config| config.conditional_writes = ConditionalWrites::Probed);
    put(&store, "a", b"first").unwrap();
    assert_eq!(
        put(&store, "a", b"second").unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    assert_eq!(store.guarantees().unwrap().create_only, CreateOnly::Atomic);
    assert_eq!(fake.seen("PUT", "probe").len(), 2);
    assert_eq!(store.list_leftovers().unwrap(), []);
    assert_eq!(read(&store, "a").unwrap(), b"first");
}

#[test]
fn where_conditions_are_ignored_or_refused_it_is_looked_before() {
    for traits in [
        Traits {
            ignores_conditions: true,
            ..Traits::default()
        },
        Traits {
            refuses_conditions: true,
            ..Traits::default()
        },
    ] {
        let fake = Fake::start(traits);
        let store = fake.store_with(|config| {
            config.conditional_writes = ConditionalWrites::Probed;
            config.parts = PartSizes::Uniform(5 << 20);
        });
        assert_eq!(store.guarantees().unwrap().create_only, CreateOnly::CheckedFirst);
        put(&store, "a", b"first").unwrap();
        assert_eq!(
            put(&store, "a", b"second").unwrap_err().kind(),
            ErrorKind::AlreadyExists
        );
        let large = noise(6 << 20);
        put(&store, "large", &large).unwrap();
        assert_eq!(
            put(&store, "large", &noise(7 << 20)).unwrap_err().kind(),
            ErrorKind::AlreadyExists
        );
        assert!(read(&store, "large").unwrap() == large);
        assert_eq!(read(&store, "a").unwrap(), b"first");
        assert_eq!(store.list_leftovers().unwrap(), []);
    }
}

#[test]
fn a_probe_that_stayed_is_a_leftover() {
    let fake = Fake::start(Traits::default());
    let store = fake.store_with(|config| config.conditional_writes = ConditionalWrites::Probed);
    fake.fail_times("DELETE", "probe", 0, 1, crate::fake::Fault::Refuse(403, "AccessDenied"));
    put(&store, "a", b"").unwrap();
    assert_eq!(names(&store), ["a"]);
    let left = store.list_leftovers().unwrap();
    assert_eq!(left.len(), 1);
    store.delete_leftover(&left[0]).unwrap();
    assert_eq!(store.list_leftovers().unwrap(), []);
}

#[test]
fn checksums_are_sent_until_they_are_refused() {
    let fake = Fake::start(Traits {
        refuses_checksums: true,
        ..Traits::default()
    });
    let parts = |config: &mut backstay_store_s3::S3Config| config.parts = PartSizes::Uniform(5 << 20);
    let store = fake.store_with(parts);
    put(&store, "a", b"x").unwrap();
    put(&store, "b", b"x").unwrap();
    let sums: Vec<bool> = fake
        .seen("PUT", "")
        .iter()
        .map(|put| put.header("x-amz-checksum-sha256").is_some())
        .collect();
    assert_eq!(sums, [true, false, false]);
    let bytes = noise(6 << 20);
    let fresh = fake.store_with(parts);
    put(&fresh, "large", &bytes).unwrap();
    assert!(read(&fresh, "large").unwrap() == bytes);

    let strict = fake.store_with(|config| config.checksums = Checksums::Sent);
    assert!(put(&strict, "c", b"x").is_err());
    let without = fake.store_with(|config| config.checksums = Checksums::Omitted);
    put(&without, "d", b"x").unwrap();
    assert_eq!(fake.seen("PUT", "/d").len(), 1);
}

#[test]
fn encryption_and_locks_are_asked_for_and_read_back() {
    let wishes: [fn(&mut backstay_store_s3::S3Config); 4] = [
        |config| config.encryption = Some(Encryption::Aes256),
        |config| {
            config.encryption = Some(Encryption::Kms {
                key: Some("key".to_owned()),
            });
        },
        |config| {
            config.lock.retention = Some(Retention {
                mode: LockMode::Compliance,
                until: RetainUntil::Days(30),
            });
        },
        |config| config.lock.legal_hold = LegalHold::On,
    ];
    for wish in wishes {
        for bytes in [noise(10), noise(6 << 20)] {
            let set = |config: &mut backstay_store_s3::S3Config| {
                config.parts = PartSizes::Uniform(5 << 20);
                wish(config);
            };
            let fake = Fake::start(Traits::default());
            put(&fake.store_with(set), "a", &bytes).unwrap();
            // One that takes the wish and forgets it.
            let fake = Fake::start(Traits {
                forgets_metadata: true,
                ..Traits::default()
            });
            let error = put(&fake.store_with(set), "a", &bytes).unwrap_err();
            assert!(causes(&error).contains("the store did not"), "{}", causes(&error));
        }
    }
    let fake = Fake::start(Traits::default());
    let store = fake.store_with(|config| config.storage_class = Some("STANDARD_IA".to_owned()));
    put(&store, "a", b"").unwrap();
    assert_eq!(
        fake.seen("PUT", "/a")[0].header("x-amz-storage-class"),
        Some("STANDARD_IA")
    );
    assert!(store.head(&key("a")).is_ok());
}
