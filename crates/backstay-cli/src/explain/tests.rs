use std::path::PathBuf;

use backstay::manifest::ManifestError;
use backstay::{Platform, RepositoryError, StoreErrorKind, SwapWay, TrailerError, Variables, WhenMissing};

use super::*;
use crate::failure::Failure;

/// What a person sees of a failure.
fn shown(error: impl Error + 'static) -> String {
    let failure = Failure::from(error);
    format!("{}\n[exit {}]\n", failure.report(), failure.exit().code())
}

fn store(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, "write", "/srv/backups/x.sql.gz").because(std::io::Error::other("as the system says"))
}

fn pack(source: impl Into<PackError>) -> SelectError {
    SelectError::Archive(OpenArchiveError::Repository(RepositoryError::Pack {
        key: "a.sql.gz".parse().unwrap(),
        source: source.into(),
    }))
}

fn conninfo(text: &str) -> SettleError {
    let variables: Variables = [("HOME", "/nowhere")].into_iter().collect();
    SettleError::Source(backstay::resolve_source(Some(text), &variables).unwrap_err())
}

#[test]
fn connections() {
    let texts = [
        "",
        "mysql://u@h/d",
        "postgres://u:p@ss@h/d",
        "postgres://h/d",
        "postgres://u@h/d?sslmode=verify-full",
        "postgres://u@h/d?sslmode=sure",
    ];
    let mut all: Vec<String> = texts.iter().map(|text| shown(conninfo(text))).collect();
    let nothing = backstay::resolve_source(None, &std::iter::empty::<(&str, &str)>().collect());
    all.push(shown(SettleError::Source(nothing.unwrap_err())));
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn databases() {
    let table = "public.users".to_owned();
    let all = [
        shown(BackupError::Source(SourceError::Denied { what: table.clone() })),
        shown(BackupError::Source(SourceError::Renamed {
            what: "the schema live".to_owned(),
        })),
        shown(BackupError::Source(SourceError::Snapshot(SnapshotError::Unstable {
            last: "a table was dropped".to_owned(),
        }))),
        shown(BackupError::Source(SourceError::Session(SessionError::NotTaken {
            name: "datestyle".to_owned(),
            expected: "ISO".to_owned(),
            found: "SQL".to_owned(),
        }))),
        shown(BackupError::Source(SourceError::Pattern(InvalidPattern::NoMatch {
            pattern: table,
        }))),
        shown(BackupError::Source(SourceError::Wire {
            doing: "read from the server",
            source: WireError::ConnectionLost {
                server: "u@h:5432/d".to_owned(),
                source: std::io::Error::other("as the system says"),
            },
        })),
        shown(BackupError::Globals(FindProgramError::NotFound {
            program: "pg_dumpall",
            at_least_major: 17,
            found: Vec::new(),
        })),
        shown(BackupError::ForeignPrefix {
            prefix: "kulti".parse().unwrap(),
            other: "other".to_owned(),
            database: "kulti".to_owned(),
        }),
        shown(BackupError::ForeignCluster {
            prefix: "kulti".parse().unwrap(),
            database: "kulti".to_owned(),
        }),
        shown(BackupError::Cancelled),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn recoveries() {
    let swap = backstay::swap_at("kulti", "2025-01-16T14:30:22Z".parse().unwrap());
    let database = "kulti".to_owned();
    let lost = || WireError::ConnectionLost {
        server: "u@h:5432/postgres".to_owned(),
        source: std::io::Error::other("as the system says"),
    };
    let rights = |way| SwapError::Rights {
        role: "app".to_owned(),
        database: "kulti".to_owned(),
        lacks: "it belongs to postgres".to_owned(),
        grant: "ALTER DATABASE \"kulti\" OWNER TO \"app\"".to_owned(),
        way,
    };
    let in_use = SwapError::InUse {
        sessions: vec!["12 (postgres, psql)".to_owned()],
        source: lost(),
    };
    let all = [
        shown(SwapError::Missing {
            database: database.clone(),
        }),
        shown(SwapError::Taken {
            database: database.clone(),
        }),
        shown(rights(SwapWay::There)),
        shown(SwapError::Prepared {
            database: database.clone(),
            transactions: vec!["a".to_owned(), "b".to_owned()],
        }),
        shown(SwapError::Unknown {
            database: database.clone(),
            source: lost(),
        }),
        shown(RestoreRefused::NotSwapped {
            swap: Box::new(swap.clone()),
            source: in_use,
        }),
        shown(RestoreRefused::NotSwapped {
            swap: Box::new(swap.clone()),
            source: SwapError::Properties {
                database: database.clone(),
                replacement: swap.replacement.clone(),
                what: vec!["different: setting log_statement=ddl".to_owned()],
            },
        }),
        shown(RestoreRefused::NotSwapped {
            swap: Box::new(swap),
            source: SwapError::Unknown {
                database: database.clone(),
                source: lost(),
            },
        }),
        shown(UndoError::NothingKept {
            pattern: "kulti_before_TIME".to_owned(),
        }),
        shown(UndoError::Swap(rights(SwapWay::Back))),
        shown(RescueError::SchemaExists {
            schema: "rescue".to_owned(),
            database: database.clone(),
        }),
        shown(RescueError::Unknown {
            schema: "rescue".to_owned(),
            database: database.clone(),
            source: lost(),
        }),
        shown(RescueError::SameName {
            first: "a.users".to_owned(),
            second: "b.users".to_owned(),
        }),
        shown(RescueError::Types {
            database,
            columns: vec!["app.orders.state (app.state)".to_owned()],
        }),
        shown(NoAnswer {
            question: "which database (its name, or a URL)",
            option: "--to",
        }),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn stores() {
    let kinds = [
        StoreErrorKind::StoreMissing,
        StoreErrorKind::Denied,
        StoreErrorKind::Full,
        StoreErrorKind::Transient,
        StoreErrorKind::Other,
    ];
    let mut all: Vec<String> = kinds
        .into_iter()
        .map(|kind| shown(BackupError::Repository(RepositoryError::Store(store(kind)))))
        .collect();
    for location in [
        "ftp://host/x",
        "s3://bucket?regoin=x",
        "postgres://u@h/d",
        "/nowhere/at/all",
    ] {
        all.push(shown(backstay::open_store(location, WhenMissing::Fail).unwrap_err()));
    }
    let id = "kulti_backup_20250116_143022".parse().unwrap();
    let key = "kulti_backup_20250116_143022.sql.gz".parse().unwrap();
    all.push(shown(BackupError::Repository(RepositoryError::Exists { id, key })));
    let key = "kulti_backup_20250116_143022.sql.gz".parse().unwrap();
    all.push(shown(BackupError::Repository(RepositoryError::ReadBack { key })));
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn backups() {
    let newer = ManifestError::Newer { found: 9 };
    let all = [
        shown(pack(PackError::MemberDigest)),
        shown(pack(TrailerError::Missing)),
        shown(pack(newer.clone())),
        shown(pack(store(StoreErrorKind::Denied))),
        shown(OpenArchiveError::Repository(RepositoryError::Manifest {
            key: "a.manifest.json".parse().unwrap(),
            source: newer,
        })),
        shown(OpenArchiveError::Repository(RepositoryError::Manifest {
            key: "a.manifest.json".parse().unwrap(),
            source: ManifestError::NotEmbedded,
        })),
        shown(SelectError::NoSuchId {
            id: "kulti_backup_20250116_143022".parse().unwrap(),
            location: "./backups".to_owned(),
        }),
        shown(SelectError::NoSuchFile(PathBuf::from("a/b.sql.gz"))),
        shown(SelectError::Ambiguous {
            location: "./backups".to_owned(),
            known: vec!["a".to_owned(), "b".to_owned()],
        }),
        shown(SettleError::Name(NameError::Unknown("kulti".to_owned()))),
        shown(SettleError::Name(NameError::Connection)),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn restores() {
    let database = || "copy".to_owned();
    let refused = |refusal: RestoreRefusal| shown(TargetError::Refused(refusal));
    let all = [
        refused(RestoreRefusal::NotEmpty {
            database: database(),
            count: 2,
            objects: vec!["public.a".to_owned(), "public.b".to_owned()],
            project: None,
        }),
        refused(RestoreRefusal::NotEmpty {
            database: "postgres".to_owned(),
            count: 1,
            objects: vec!["public.users".to_owned()],
            project: Some(Platform::Supabase),
        }),
        refused(RestoreRefusal::Missing { database: database() }),
        refused(RestoreRefusal::Exists { database: database() }),
        refused(RestoreRefusal::NoMatch {
            patterns: vec!["x".to_owned()],
        }),
        refused(RestoreRefusal::CleanForeign),
        refused(RestoreRefusal::OtherPlatform {
            platform: Platform::Supabase,
        }),
        refused(RestoreRefusal::BesideProject {
            platform: Platform::Supabase,
            database: database(),
        }),
        refused(RestoreRefusal::OlderTarget { from: 17, to: 15 }),
        refused(RestoreRefusal::NotCustomer {
            role: "app".to_owned(),
            customer: "postgres",
        }),
        refused(RestoreRefusal::MayNotBeReplica { role: "app".to_owned() }),
        refused(RestoreRefusal::MissingExtensions {
            extensions: vec!["postgis".to_owned()],
        }),
        refused(RestoreRefusal::PlatformLacks {
            platform: Platform::Supabase,
            tables: vec!["auth.sessions".to_owned(), "storage.objects (version)".to_owned()],
        }),
        refused(RestoreRefusal::PlatformDenies {
            platform: Platform::Supabase,
            tables: vec!["auth.users".to_owned()],
        }),
        refused(RestoreRefusal::KeptRows {
            tables: vec!["auth.sessions".to_owned()],
        }),
        shown(TargetError::Cancelled),
        shown(TargetError::StillLent {
            role: "postgres".to_owned(),
            statements: vec!["REVOKE \"kulti_owner\" FROM CURRENT_USER;".to_owned()],
            source: Box::new(TargetError::Cancelled),
        }),
        shown(TargetError::StillLent {
            role: "postgres".to_owned(),
            statements: vec!["REVOKE \"kulti_owner\" FROM CURRENT_USER;".to_owned()],
            source: Box::new(TargetError::Backup(Box::new(store(StoreErrorKind::Denied)))),
        }),
        shown(TargetError::Backup(Box::new(store(StoreErrorKind::Denied)))),
        shown(RestoreRefused::NotSound {
            subject: "kulti_backup_20250116_143022".to_owned(),
            errors: 3,
        }),
        shown(RestoreRefused::Project {
            database: database(),
            platform: Platform::Supabase,
        }),
        shown(RestoreRefused::OnlyForBackups(vec!["--clean", "--prove"])),
        shown(RestoreRefused::NotConfirmed {
            typed: "yes".to_owned(),
        }),
        shown(SettleError::NobodyToAsk { database: database() }),
        shown(SettleError::OtherDatabase {
            option: "--yes",
            given: "kulti".to_owned(),
            database: database(),
        }),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn an_unknown_error_is_a_defect() {
    assert_eq!(advise(&std::io::Error::other("x")).exit, Exit::Internal);
}

#[test]
fn damage_is_told_from_a_store_that_fails() {
    let of = |error: SelectError| match error {
        SelectError::Archive(error) => is_finding(&error),
        other => panic!("{other}"),
    };
    assert!(of(pack(PackError::MemberDigest)));
    assert!(of(pack(TrailerError::Missing)));
    assert!(!of(pack(TrailerError::Version { found: 9 })));
    assert!(!of(pack(ManifestError::Newer { found: 9 })));
    assert!(!of(pack(store(StoreErrorKind::Denied))));
}
