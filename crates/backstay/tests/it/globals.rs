//! Roles of the cluster travel with a backup when asked for, and reach another cluster in two ways.

use std::process::Command;

use backstay::{GlobalsOption, Keep, RestoreOptions, TargetPolicy};

use crate::support::{Cluster, back_up, checked, default_installation, open};

#[test]
fn roles_come_along_when_asked_for() {
    let installation = default_installation();
    let source = Cluster::start(&installation);
    source.sql(
        "postgres",
        "CREATE ROLE \"app owner\" LOGIN PASSWORD 'hunter2'; CREATE ROLE reader; COMMENT ON ROLE reader IS E'reads\n\n-- nothing\nelse'; GRANT reader TO \"app owner\"",
    );
    source.create_database("app");
    source.sql("app", "CREATE TABLE t (x int); ALTER TABLE t OWNER TO \"app owner\"; GRANT SELECT ON t TO reader; INSERT INTO t VALUES (1); CREATE TABLE trap AS SELECT '--G CREATE ROLE evil SUPERUSER;' AS x");
    let repository = source.repository("backups");
    let report = back_up(&source, "app", &repository, |options| {
        options.globals = GlobalsOption::Included;
    })
    .unwrap();
    let backup = open(&repository, &report);
    let verifier = source.sql(
        "postgres",
        "SELECT rolpassword FROM pg_authid WHERE rolname = 'app owner'",
    );

    let target = Cluster::start(&installation);
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    options.globals = Keep::Yes;
    let config = target.config("app");
    let plan = backstay::plan_restore(&backup, &config, &options).unwrap();
    let done = backstay::restore(
        &backup,
        &plan,
        &config,
        &backstay::Silent,
        &backstay::CancelToken::new(),
    )
    .unwrap();
    assert!(done.is_complete(), "{:#?}", done.failures);
    assert_eq!(
        target.sql(
            "postgres",
            "SELECT rolpassword FROM pg_authid WHERE rolname = 'app owner'"
        ),
        verifier
    );
    assert_eq!(
        target.sql("app", "SELECT has_table_privilege('reader', 't', 'SELECT')"),
        "t"
    );

    // Without Backstay: psql passes over the roles, and one line of awk gets them out, but no row that looks alike.
    let other = Cluster::start(&installation);
    let pack = source.path("backups").join(report.published.pack.as_str());
    let roles = checked(
        Command::new("sh")
            .arg("-c")
            .arg("gunzip -c \"$0\" | awk \'!end && /^--G / {print substr($0, 5); on = 1; next} on {end = 1}\'")
            .arg(&pack),
    );
    std::fs::write(other.path("roles.sql"), roles.stdout).unwrap();
    drop(
        other
            .client("psql", "postgres")
            .args(["-Xq", "-f"])
            .arg(other.path("roles.sql"))
            .output()
            .unwrap(),
    );
    other.create_database("app");
    let restored = other.restore_by_psql("app", &pack);
    assert!(
        restored.status.success(),
        "{}",
        String::from_utf8_lossy(&restored.stderr)
    );
    assert_eq!(
        other.sql(
            "postgres",
            "SELECT rolpassword FROM pg_authid WHERE rolname = 'app owner'"
        ),
        verifier
    );
    for cluster in [&target, &other] {
        let comment = "SELECT shobj_description('reader'::regrole, 'pg_authid')";
        assert_eq!(cluster.sql("postgres", comment), "reads\n\n-- nothing\nelse");
        assert_eq!(
            cluster.sql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'evil'"),
            "0"
        );
    }
}
