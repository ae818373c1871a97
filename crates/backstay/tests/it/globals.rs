//! Roles of the cluster travel with a backup when asked for, and reach another cluster in two ways.

use std::process::Command;

use backstay::{
    BackupOptions, CancelToken, ConnectionConfig, GlobalsOption, Keep, RestoreOptions, Silent, SourceError,
    TargetPolicy,
};

use crate::sabotage::{assert_untouched, chain, write_program};
use crate::support::{Cluster, back_up, checked, default_installation, open, programs};

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
    let done = backstay::restore(&backup, &plan, &config, &Silent, &CancelToken::new()).unwrap();
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

#[test]
fn passwords_are_left_out_only_where_they_may_not_be_read_and_that_is_told() {
    let cluster = Cluster::start(&default_installation());
    cluster.create_database("app");
    cluster.sql(
        "app",
        "CREATE TABLE t (x int); CREATE ROLE plain LOGIN PASSWORD 'hunter2'; GRANT SELECT ON t TO plain",
    );
    // A pg_dumpall that fails as one that lost its connection does, but for roles without passwords.
    let folder = cluster.path("programs");
    std::fs::create_dir(&folder).unwrap();
    for program in ["pg_dump", "pg_dumpall"] {
        let real = cluster.server.installation().program(program);
        let fails = "case \"$*\" in *--version*|*--no-role-passwords*) ;; *) echo 'connection lost' >&2; exit 1;; esac";
        let fails = if program == "pg_dumpall" { fails } else { "" };
        let text = format!("#!/bin/sh\n{fails}\nexec '{}' \"$@\"\n", real.display());
        write_program(&folder.join(program), &text);
    }
    let back_up = |user: &str, store: &str| {
        let repository = cluster.repository(store);
        let config = ConnectionConfig {
            user: user.to_owned(),
            ..cluster.config("app")
        };
        let mut options = BackupOptions::default();
        options.globals = GlobalsOption::Included;
        options.pg_dump = Some(folder.join("pg_dump"));
        let now = jiff::Timestamp::now();
        let result = backstay::back_up(
            &config,
            &repository,
            now,
            &programs(),
            &options,
            &Silent,
            &CancelToken::new(),
        );
        (result, repository)
    };
    let (result, repository) = back_up("postgres", "lost");
    let error = result.unwrap_err();
    assert!(
        matches!(error, backstay::BackupError::Source(SourceError::Globals(_))),
        "{error:?}"
    );
    assert!(chain(&error).contains("connection lost"), "{}", chain(&error));
    assert_untouched(&repository);
    let (result, _) = back_up("plain", "denied");
    let omissions = result.unwrap().published.manifest.omissions;
    let told: Vec<&str> = omissions.iter().map(|omission| omission.subject.as_str()).collect();
    assert_eq!(told, ["passwords of roles"]);
}
