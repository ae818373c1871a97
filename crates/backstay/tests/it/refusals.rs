//! What speaks against a backup is said before anything is written.

use backstay::{BackupError, BackupOptions, CancelToken, ConnectionConfig, Repository, SearchPath, Silent};

use crate::sabotage::write_program;
use crate::support::{Cluster, back_up, default_installation, programs};

fn refused(cluster: &Cluster, config: &ConnectionConfig, repository: &Repository, programs: &SearchPath) -> String {
    let (now, options, cancel) = (jiff::Timestamp::now(), BackupOptions::default(), CancelToken::new());
    let error = backstay::back_up(config, repository, now, programs, &options, &Silent, &cancel).unwrap_err();
    assert!(matches!(error, BackupError::Refused(_)), "{error}");
    assert_eq!(repository.store().list("").unwrap().len(), 0, "something was written");
    assert_eq!(std::fs::read_dir(cluster.path("backups")).unwrap().count(), 0);
    error.to_string()
}

#[test]
fn a_role_that_cannot_see_everything_makes_no_backup() {
    let cluster = Cluster::start(&default_installation());
    cluster.create_database("app");
    cluster.sql(
        "app",
        "CREATE ROLE hidden LOGIN; CREATE ROLE unable LOGIN; CREATE ROLE blind LOGIN; CREATE ROLE alone LOGIN CONNECTION LIMIT 2;
         ALTER ROLE alone BYPASSRLS; ALTER ROLE unable BYPASSRLS; ALTER ROLE blind BYPASSRLS;
         CREATE TABLE secret (x int); ALTER TABLE secret ENABLE ROW LEVEL SECURITY; INSERT INTO secret VALUES (1);
         GRANT SELECT ON secret TO hidden, blind, alone; SELECT lo_from_bytea(1, 'x');
         GRANT SELECT ON LARGE OBJECT 1 TO hidden, alone",
    );
    let repository = cluster.repository("backups");
    let as_role = |role: &str| ConnectionConfig {
        user: role.to_owned(),
        ..cluster.config("app")
    };
    for (role, expected) in [
        ("hidden", "row level security hides rows from hidden in public.secret"),
        ("unable", "unable may not read public.secret"),
        ("blind", "blind may not read every large object"),
        ("alone", "connections left"),
    ] {
        let message = refused(&cluster, &as_role(role), &repository, &programs());
        assert!(message.contains(expected), "{role}: {message}");
    }
    let nowhere = SearchPath::only(Vec::new());
    let message = refused(&cluster, &cluster.config("app"), &repository, &nowhere);
    assert!(message.contains("no pg_dump"), "{message}");
}

#[test]
fn a_newer_pg_dump_whose_definitions_the_server_would_not_understand_is_warned_of() {
    let cluster = Cluster::start(&default_installation());
    cluster.create_database("app");
    cluster.sql(
        "app",
        "CREATE TABLE parent (x int, y int NOT NULL); CREATE TABLE child (PRIMARY KEY (x)) INHERITS (parent);
         CREATE TABLE plain () INHERITS (parent)",
    );
    let newer = cluster.path("pg_dump");
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'pg_dump (PostgreSQL) 99.1'; else exec '{}' \"$@\"; fi\n",
        cluster.server.installation().program("pg_dump").display()
    );
    write_program(&newer, &text);
    for (pg_dump, is_newer) in [(None, false), (Some(newer), true)] {
        let repository = cluster.repository(&format!("backups_{is_newer}"));
        let report = back_up(&cluster, "app", &repository, |options| options.pg_dump = pg_dump).unwrap();
        let found = report
            .findings
            .iter()
            .any(|finding| finding.message.contains("defines public.child in words") && finding.hint.is_some());
        let expected = is_newer && cluster.server.installation().major() < 18;
        assert_eq!(found, expected, "{:?}", report.findings);
    }
}
