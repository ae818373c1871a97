//! What speaks against a backup is said before anything is written.

use backstay::{BackupError, BackupOptions, CancelToken, ConnectionConfig, Repository, SearchPath, Silent};

use crate::support::{Cluster, default_installation, programs};

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
         GRANT pg_read_all_data TO hidden, alone; ALTER ROLE alone BYPASSRLS; ALTER ROLE unable BYPASSRLS; ALTER ROLE blind BYPASSRLS;
         CREATE TABLE secret (x int); ALTER TABLE secret ENABLE ROW LEVEL SECURITY; INSERT INTO secret VALUES (1);
         GRANT SELECT ON secret TO blind; SELECT lo_from_bytea(1, 'x')",
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
