use std::cell::Cell;
use std::sync::Arc;

use backstay::{Compression, MemoryStore, Store};
use backstay_testkit::fixtures::SampleBackup;

use super::*;

fn settle(text: &str, database: Option<&str>) -> Result<BackupName, NameError> {
    BackupName::settle(text, database.map(str::to_owned), |path| match path.to_str() {
        Some("here.sql.gz" | "latest" | "kulti_backup_20250116_143022") => Some(PathKind::File),
        Some("backups") => Some(PathKind::Folder),
        _ => None,
    })
}

#[test]
fn names_are_paths_or_ids_or_latest() {
    let id = |text: &str| BackupName::Id(text.parse().unwrap());
    let file = |text: &str| BackupName::File(PathBuf::from(text));
    for (text, expected) in [
        ("latest", BackupName::Latest { database: None }),
        ("here.sql.gz", file("here.sql.gz")),
        ("./latest", file("./latest")),
        ("not/there.sql.gz", file("not/there.sql.gz")),
        // A file of that name is nearer than the store.
        ("kulti_backup_20250116_143022", file("kulti_backup_20250116_143022")),
        ("kulti_backup_20250117_143022", id("kulti_backup_20250117_143022")),
        (
            "kulti_backup_20250117_143022.sql.gz",
            id("kulti_backup_20250117_143022"),
        ),
        (
            "kulti_backup_20250117_143022.manifest.json",
            id("kulti_backup_20250117_143022"),
        ),
    ] {
        assert_eq!(settle(text, None).unwrap(), expected, "{text}");
    }
    let database = Some("kulti".to_owned());
    assert_eq!(
        settle("latest", Some("kulti")).unwrap(),
        BackupName::Latest { database }
    );
    for (text, database, expected) in [
        ("backups", None, "Folder"),
        ("kulti", None, "Unknown"),
        ("", None, "Unknown"),
        ("here.sql.gz", Some("x"), "DatabaseWithoutLatest"),
        ("postgres://u:hunter2@h/d", None, "Connection"),
        ("host=h password=hunter2", None, "Connection"),
    ] {
        let error = settle(text, database).unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{text}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}");
    }
}

/// A store with a backup of each id, all of the database `kulti` unless another one is named.
fn repository(backups: &[(&str, &str)]) -> Repository {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    for (id, database) in backups {
        let mut sample = SampleBackup::kulti(id, Compression::default());
        sample.manifest.source.database = backstay::DbText::new(*database);
        sample.publish(Arc::clone(&store));
    }
    Repository::new(store)
}

fn check(backups: &[(&str, &str)], database: Option<&str>, expected: &str) {
    let repository = repository(backups);
    let listing = repository.list().unwrap();
    let found = latest(&listing, database, "the store", |id| repository.read_manifest(id));
    let found = found.map_or_else(|error| error.to_string(), |id| id.to_string());
    assert_eq!(found, expected, "{database:?}");
}

#[test]
fn latest_is_the_newest_of_one_database() {
    let one = [
        ("a_backup_20250101_000000", "kulti"),
        ("a_backup_20250102_000000", "kulti"),
    ];
    check(&one, None, "a_backup_20250102_000000");
    check(&one, Some("a"), "a_backup_20250102_000000");
    check(&one, Some("kulti"), "a_backup_20250102_000000");
    check(
        &one,
        Some("x"),
        "there is no backup of x in the store (there are backups of a)",
    );
    check(&[], None, "there is no backup in the store");
    check(&[], Some("x"), "there is no backup in the store");
}

#[test]
fn several_databases_must_be_told_apart() {
    let several = [
        ("a_backup_20250103_000000", "kulti"),
        ("b_backup_20250102_000000", "other"),
        ("kulti_backup_20250101_000000", "third"),
        ("z_backup_20250104_000000", "other"),
    ];
    check(
        &several,
        None,
        "the store has backups of several databases: a, b, kulti, z",
    );
    check(&several, Some("a"), "a_backup_20250103_000000");
    // A prefix is nearer than the name of a database.
    check(&several, Some("kulti"), "kulti_backup_20250101_000000");
    check(&several, Some("other"), "z_backup_20250104_000000");
    check(
        &several,
        Some("x"),
        "there is no backup of x in the store (there are backups of a, b, kulti, z)",
    );
}

#[test]
fn no_manifest_is_read_where_names_suffice() {
    let repository = repository(&[("a_backup_20250101_000000", "kulti"), ("b_backup_20250101_000000", "x")]);
    let listing = repository.list().unwrap();
    let reads = Cell::new(0);
    let read = |id: &BackupId| {
        reads.set(reads.get() + 1);
        repository.read_manifest(id)
    };
    assert!(latest(&listing, Some("b"), "s", read).is_ok());
    assert_eq!(reads.get(), 0);
    assert!(latest(&listing, Some("x"), "s", read).is_ok());
    assert_eq!(reads.get(), 2);
}
