//! Backups that are sealed: what can be had with a key, what without, and that nothing else stands in clear.

use std::collections::BTreeSet;
use std::sync::Arc;

use backstay::encryption::{AgeSealer, Identities, SecretKey};
use backstay::seal::{SealError, Unsealer};
use backstay::{
    Archive, CancelToken, CheckOptions, Compression, MemoryStore, ObjectKey, OpenArchiveError, Report, Repository,
    RepositoryError, Seals, Severity, Silent, Store, verify,
};
use backstay_testkit::fixtures::SampleBackup;

const ID: &str = "kulti_backup_20250116_143022";

struct Sealed {
    store: Arc<dyn Store>,
    key: SecretKey,
    host: SecretKey,
}

impl Sealed {
    fn publish(compression: &str) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let (key, host) = (SecretKey::generate(), SecretKey::generate());
        let seals = Seals {
            packs: Arc::new(AgeSealer::to_keys([key.recipient()]).unwrap()),
            index: Arc::new(AgeSealer::to_keys([key.recipient(), host.recipient()]).unwrap()),
        };
        let compression: Compression = compression.parse().unwrap();
        let repository = Repository::new(Arc::clone(&store)).with_seals(seals);
        SampleBackup::kulti(ID, compression).publish_in(&repository);
        Self { store, key, host }
    }

    fn with(&self, key: &SecretKey) -> Repository {
        let mut identities = Identities::new();
        identities.add_key(key);
        let identities: Arc<dyn Unsealer> = Arc::new(identities);
        Repository::new(Arc::clone(&self.store)).with_unsealer(identities)
    }

    fn bytes(&self, suffix: &str) -> Vec<u8> {
        let key: ObjectKey = format!("{ID}.{suffix}").parse().unwrap();
        let mut bytes = Vec::new();
        self.store.read(&key, None).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn replace(&self, suffix: &str, bytes: &[u8]) {
        let key: ObjectKey = format!("{ID}.{suffix}").parse().unwrap();
        self.store.delete(&key).unwrap();
        let mut object = self.store.create(&key).unwrap();
        object.append(bytes).unwrap();
        object.publish().unwrap();
    }
}

fn check(archive: &Archive) -> Report {
    verify(archive, &CheckOptions::default(), &Silent, &CancelToken::new()).unwrap()
}

fn open(repository: &Repository) -> Result<Archive, OpenArchiveError> {
    Archive::open(repository, &ID.parse().unwrap())
}

#[test]
fn whoever_has_the_key_reads_all_of_it_by_id_and_by_name() {
    for (compression, pack) in [("gzip", "sql.gz.age"), ("zstd", "sql.zst.age")] {
        let sealed = Sealed::publish(compression);
        let repository = sealed.with(&sealed.key);
        let listed = sealed.store.list("").unwrap();
        let names: Vec<_> = listed
            .iter()
            .map(|object| object.key.as_str()[ID.len() + 1..].to_owned())
            .collect();
        let checksum = format!("{pack}.sha256");
        assert_eq!(names, ["index.json.gz.age", "manifest.json", pack, &checksum]);

        let archive = open(&repository).unwrap();
        let report = check(&archive);
        assert!(report.is_sound(), "{}", report.render());
        let in_clear = Arc::new(MemoryStore::new());
        let plain = SampleBackup::kulti(ID, compression.parse().unwrap()).publish(in_clear);
        assert_eq!(report.counts.rows, Some(plain.manifest.row_count()));

        let key = format!("{ID}.{pack}").parse().unwrap();
        let by_name = check(&Archive::open_file(&repository, &key).unwrap());
        assert!(by_name.is_sound(), "{}", by_name.render());
        assert_eq!(by_name.counts.rows, report.counts.rows);
        assert!(repository.list().unwrap().adoptable.is_empty());
    }
}

#[test]
fn without_a_key_the_stored_bytes_are_verified_and_nothing_else_can_be_had() {
    let sealed = Sealed::publish("gzip");
    let keyless = Repository::new(Arc::clone(&sealed.store));
    let id = ID.parse().unwrap();
    assert!(matches!(
        open(&keyless),
        Err(OpenArchiveError::Repository(RepositoryError::Sealed { .. }))
    ));
    assert!(matches!(
        keyless.read_manifest(&id),
        Err(RepositoryError::Sealed { .. })
    ));

    let archive = Archive::open_even_sealed(&keyless, &id).unwrap();
    let report = check(&archive);
    assert!(report.is_sound(), "{}", report.render());
    assert!(report.not_checked[0].contains("encrypted"), "{:?}", report.not_checked);

    let mut damaged = sealed.bytes("sql.gz.age");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    sealed.replace("sql.gz.age", &damaged);
    let report = check(&Archive::open_even_sealed(&keyless, &id).unwrap());
    let rules: Vec<_> = report.findings.iter().map(|finding| finding.rule).collect();
    assert_eq!(rules, ["checksum-digest", "pack-digest"], "{}", report.render());
    assert!(!report.is_sound());
}

#[test]
fn a_key_that_is_not_meant_opens_nothing() {
    let sealed = Sealed::publish("gzip");
    let stranger = SecretKey::generate();
    let refused = open(&sealed.with(&stranger)).unwrap_err();
    assert!(is_no_key(&refused), "{refused:?}");

    // The host's key opens the index and no pack.
    let of_host = sealed.with(&sealed.host);
    let manifest = of_host.read_manifest(&ID.parse().unwrap()).unwrap();
    assert_eq!(manifest.source.database.to_string(), "kulti");
    assert!(is_no_key(&open(&of_host).unwrap_err()));
}

fn is_no_key(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(SealError::NoKey { .. }) = error.downcast_ref() {
            return true;
        }
        next = error.source();
    }
    false
}

#[test]
fn nothing_but_what_the_format_names_stands_in_clear() {
    let sealed = Sealed::publish("gzip");
    let sidecar: serde_json::Value = serde_json::from_slice(&sealed.bytes("manifest.json")).unwrap();
    let keys: BTreeSet<&str> = sidecar.as_object().unwrap().keys().map(String::as_str).collect();
    let named = ["format", "id", "kind", "packs", "sealed", "taken_at", "writer"];
    assert_eq!(keys, BTreeSet::from(named));
    let keys: BTreeSet<&str> = sidecar["packs"][0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys, BTreeSet::from(["bytes", "id", "name"]));
    let keys: BTreeSet<&str> = sidecar["sealed"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys, BTreeSet::from(["method", "recipients", "scope"]));

    // No name, statement or row, in no object.
    for object in sealed.store.list("").unwrap() {
        let bytes = sealed.bytes(&object.key.as_str()[ID.len() + 1..]);
        for secret in ["anna@example.org", "orders", "CREATE TABLE", "public"] {
            let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there, "{secret} stands in {}", object.key);
        }
    }
}

#[test]
fn digests_of_a_sealed_backup_confirm_no_guess() {
    let sealed = Sealed::publish("gzip");
    let keyed = sealed.with(&sealed.key).read_manifest(&ID.parse().unwrap()).unwrap();
    let plain = SampleBackup::kulti(ID, Compression::default()).publish(Arc::new(MemoryStore::new()));
    assert_eq!(keyed.members.len(), plain.manifest.members.len());
    for (keyed, plain) in keyed.members.iter().zip(&plain.manifest.members) {
        assert_eq!(keyed.stored_bytes, plain.stored_bytes);
        assert_ne!(keyed.sha256, plain.sha256);
    }
    let digests = |manifest: &backstay::Manifest| -> Vec<String> {
        let rows = manifest.tables.iter().filter_map(|table| match &table.rows {
            backstay::manifest::TableRows::Included { digest, .. } if digest.rows() > 0 => Some(digest.sum_hex()),
            _ => None,
        });
        rows.collect()
    };
    let (keyed, plain) = (digests(&keyed), digests(&plain.manifest));
    assert!(!plain.is_empty() && keyed.iter().all(|digest| !plain.contains(digest)));
    // Nor do two backups of one content have one digest.
    let again = Sealed::publish("gzip");
    let other = again.with(&again.key).read_manifest(&ID.parse().unwrap()).unwrap();
    assert!(digests(&other).iter().all(|digest| !keyed.contains(digest)));
}

#[test]
fn damage_anywhere_in_a_sealed_backup_is_told_before_a_row_is_read() {
    let sealed = Sealed::publish("gzip");
    let pack = sealed.bytes("sql.gz.age");
    let repository = sealed.with(&sealed.key);
    for at in (0..pack.len()).step_by(311) {
        let mut damaged = pack.clone();
        damaged[at] ^= 4;
        sealed.replace("sql.gz.age", &damaged);
        let outcome = open(&repository);
        assert!(
            outcome.is_err() || !check(&outcome.unwrap()).is_sound(),
            "a bit of byte {at}"
        );
        sealed.replace("sql.gz.age", &pack[..at]);
        assert!(open(&repository).is_err(), "cut off at {at}");
    }
    // A whole pack of another backup, to the same key, under this one's name.
    let other = Sealed::publish("gzip");
    sealed.replace("sql.gz.age", &other.bytes("sql.gz.age"));
    assert!(open(&repository).is_err(), "a pack to another key");
    sealed.replace("sql.gz.age", &pack);
    assert!(check(&open(&repository).unwrap()).is_sound());
}

#[test]
fn a_sealed_backup_is_removed_without_a_key_and_leaves_nothing() {
    let sealed = Sealed::publish("gzip");
    let keyless = Repository::new(Arc::clone(&sealed.store));
    let removal = keyless
        .remove(&ID.parse().unwrap(), jiff::Timestamp::UNIX_EPOCH)
        .unwrap();
    assert!(removal.kept.is_empty(), "{removal:?}");
    assert!(sealed.store.list("").unwrap().is_empty());
}

#[test]
fn each_volume_is_sealed_by_itself_and_keeps_the_bound() {
    const BYTES_MAX: u64 = 9000;
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (key, host) = (SecretKey::generate(), SecretKey::generate());
    let of_host = host.recipient();
    let seals = |key: &SecretKey| Seals {
        packs: Arc::new(AgeSealer::to_keys([key.recipient()]).unwrap()),
        index: Arc::new(AgeSealer::to_keys([key.recipient(), of_host.clone()]).unwrap()),
    };
    let repository = Repository::new(Arc::clone(&store)).with_volume_bytes_max(Some(BYTES_MAX));
    let sample = SampleBackup::kulti(ID, Compression::default()).with_bulk(6, 5000);
    let published = sample.publish_in(&repository.with_seals(seals(&key)));
    let sizes: Vec<u64> = published.manifest.packs.iter().map(|pack| pack.bytes).collect();
    assert!(
        sizes.len() > 2 && sizes.iter().all(|size| *size <= BYTES_MAX),
        "{sizes:?}"
    );
    let sealed = Sealed { store, key, host };
    let id = ID.parse().unwrap();

    let check_all = |key: &SecretKey| {
        let repository = sealed.with(key);
        let last = repository.list().unwrap().backups[0].packs.last().cloned().unwrap();
        for archive in [
            open(&repository).unwrap(),
            Archive::open_file(&repository, &last).unwrap(),
            Archive::open_even_sealed(&Repository::new(Arc::clone(&sealed.store)), &id).unwrap(),
        ] {
            let report = check(&archive);
            let is_sound =
                report.is_sound() && report.findings.iter().all(|finding| finding.severity == Severity::Note);
            assert!(is_sound, "{}", report.render());
        }
        assert_eq!(
            repository.read_manifest(&id).unwrap(),
            *open(&repository).unwrap().backup().unwrap().manifest()
        );
    };
    check_all(&sealed.key);
    let first = published.manifest.packs[0].name.parse().unwrap();
    assert!(matches!(
        Archive::open_file(&sealed.with(&sealed.key), &first),
        Err(OpenArchiveError::Repository(RepositoryError::NotLastVolume {
            last: Some(_),
            ..
        }))
    ));

    let other = SecretKey::generate();
    sealed.with(&sealed.key).rekey(&id, &seals(&other)).unwrap();
    check_all(&other);
    let names: Vec<String> = sealed
        .store
        .list("")
        .unwrap()
        .iter()
        .map(|object| object.key.to_string())
        .collect();
    let is_new = |name: &String| name.contains(".key2.") || name.ends_with(".manifest.json");
    assert!(names.iter().all(is_new), "{names:?}");
    assert!(names.contains(&format!("{ID}.key2.sql.gz.age.sha256")), "{names:?}");
    assert_eq!(names.len(), sizes.len() + 3);
}
