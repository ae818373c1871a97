//! Real applications: one on the roles of a hosted platform, and a public sample database with its old archive.

use std::path::Path;

use backstay::{
    Archive, Atomicity, BackupOptions, CancelToken, CheckOptions, ConnectionConfig, ForeignArchive, Platform,
    PlatformChoice, Prove, Repository, RestoreOptions, Silent, TargetPolicy, WhenMissing,
};

use crate::support::{
    Cluster, assert_same, back_up, default_installation, installation_since, open, programs, restore, testdata,
};

/// The Kulti application on the roles, schemas and privileges of a hosted Supabase project, which begin with 15.
fn kulti(installation: &backstay_postgres::Installation) -> Cluster {
    let cluster = Cluster::start_as(installation, "supabase_admin", &[]);
    let none: [&str; 0] = [];
    cluster.sql("template1", "CREATE DATABASE kulti TEMPLATE template0");
    for file in ["10-platform.sql", "20-realtime.sql"] {
        // The platform speaks of the database as postgres; here it has the application's name.
        let text = std::fs::read_to_string(testdata("supabase").join(file)).unwrap();
        let text = text.replace("alter database postgres owner", "alter database kulti owner");
        std::fs::write(cluster.path(file), text).unwrap();
        cluster.sql_file("kulti", &cluster.path(file), &none);
    }
    for (file, more) in [("40-kulti.sql", &none[..]), ("41-kulti-data.sql", &["-v", "rows=300"])] {
        let text = std::fs::read_to_string(testdata("supabase").join(file)).unwrap();
        let text = text.replace("alter database postgres set", "alter database kulti set");
        std::fs::write(
            cluster.path(file),
            format!("SET SESSION AUTHORIZATION postgres;\n{text}"),
        )
        .unwrap();
        cluster.sql_file("kulti", &cluster.path(file), more);
    }
    cluster
}

#[test]
fn a_role_without_superpowers_backs_up_a_whole_supabase_project() {
    let cluster = kulti(&installation_since(15));
    let repository = cluster.repository("backups");
    let config = ConnectionConfig {
        user: "postgres".to_owned(),
        ..cluster.config("kulti")
    };
    assert_eq!(
        cluster.sql("kulti", "SELECT rolsuper FROM pg_roles WHERE rolname = 'postgres'"),
        "f"
    );
    let (now, mut options, cancel) = (jiff::Timestamp::now(), BackupOptions::default(), CancelToken::new());
    // All of it, as for a server of one's own.
    options.source.platform = PlatformChoice::Is(Platform::Plain);
    let report = backstay::back_up(&config, &repository, now, &programs(), &options, &Silent, &cancel).unwrap();
    assert_eq!(report.published.manifest.id.prefix().as_str(), "kulti");
    let backup = open(&repository, &report);
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    options.prove = Prove::Yes;
    let done = restore(&cluster, &backup, "copy", &options).unwrap();
    assert!(done.is_complete(), "{:#?}", (done.failures, done.proof));
    assert_same(&cluster, "kulti", "copy");
    // The settings of the database itself are part of a new database.
    assert_eq!(
        cluster.sql("copy", "SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE datname = 'copy'"),
        "{default_transaction_deferrable=off}"
    );
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen to be")]
fn the_public_sample_and_its_old_archive_come_back() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/real");
    if !folder.is_dir() {
        eprintln!(
            "skipped: {} is not there, and the data of others is not copied into the project",
            folder.display()
        );
        return;
    }
    let cluster = Cluster::start(&default_installation());
    let store = backstay::open_store(folder.to_str().unwrap(), WhenMissing::Fail).unwrap();
    let key = "pagila_backup_20260101_000000.sql.gz".parse().unwrap();
    let archive = Archive::open_file(&Repository::new(std::sync::Arc::clone(&store)), &key).unwrap();
    let report = backstay::verify(&archive, &CheckOptions::default(), &Silent, &CancelToken::new()).unwrap();
    assert!(
        report.is_sound() && report.counts.rows == Some(49_636),
        "{}",
        report.render()
    );

    let foreign = ForeignArchive::open(&*store, &key).unwrap();
    let config = cluster.config("pagila");
    let plan = foreign
        .plan_restore(&config, TargetPolicy::Create, Atomicity::StepByStep)
        .unwrap();
    let done = foreign
        .restore(&*store, &plan, &config, &Silent, &CancelToken::new())
        .unwrap();
    assert!(done.is_complete() && done.rows == 49_636, "{:#?}", done.failures);

    let repository = cluster.repository("backups");
    let backup = open(&repository, &back_up(&cluster, "pagila", &repository, |_| {}).unwrap());
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    options.prove = Prove::Yes;
    let done = restore(&cluster, &backup, "copy", &options).unwrap();
    assert!(done.is_complete(), "{:#?}", (done.failures, done.proof));
    assert_same(&cluster, "pagila", "copy");
}
