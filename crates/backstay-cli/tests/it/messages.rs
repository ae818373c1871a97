use std::net::TcpListener;
use std::thread;

use crate::support::{Run, Sandbox};

#[test]
fn troubles_that_everybody_meets() {
    let sandbox = Sandbox::with_sample();
    sandbox.sql("postgres", "CREATE ROLE reader LOGIN PASSWORD 'Sesam-4711-hunter2'");
    sandbox.write("file", "");
    let unused = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
        .to_string();
    let port = sandbox.server.port();
    let old = sandbox.script("old_pg_dump", "echo 'pg_dump (PostgreSQL) 9.6.24'");
    let refused = format!("postgres://postgres@127.0.0.1:{unused}/kulti");
    let wrong = format!("postgres://postgres:wrong@127.0.0.1:{port}/kulti");
    let missing = format!("postgres://postgres@127.0.0.1:{port}/kulit");
    let reader = format!("postgres://reader@127.0.0.1:{port}/kulti");
    let shown = sandbox.session(&[
        &["backup", "--from", &refused],
        &["backup", "--from", &wrong],
        &["backup", "--from", &missing],
        &["backup", "--from", &reader],
        &["doctor", "--from", &reader, "-q"],
        &["backup", "--pg-dump", &old],
        &["backup", "--pg-dump", "no/such/program"],
        &["backup", "file"],
        &["backup", "ftp://host/backups"],
        &["backup", &refused],
        &["backup", "--table", "app.accounts"],
        &["list", "nowhere"],
        &["verify", "kulti"],
        &["verify", "no/such/file.sql.gz"],
        &["verify", "kulti_backup_20250116_143022", "--store", "."],
        &["verify", "latest", "--store", "."],
        &["backup", "--jobs", "0"],
    ]);
    insta::assert_snapshot!(shown.replace(&unused, "[UNUSED]"));
    assert_eq!(sandbox.files("backups"), [""; 0], "no trouble left anything behind");
    let mut without = sandbox.backstay(&["backup"]);
    let run = Run::of(without.env_remove("PGPASSWORD"));
    insta::assert_snapshot!("no_password", sandbox.shown(&run));
    let run = Run::of(&mut sandbox.backstay_in_empty_environment(&["backup"]));
    insta::assert_snapshot!("nothing_configured", sandbox.shown(&run));
}

#[test]
fn a_second_database_gets_a_prefix_of_its_own() {
    let sandbox = Sandbox::with_sample();
    sandbox.succeed(&["backup", "--name", "ours"]);
    let other = sandbox.url("postgres");
    let shown = sandbox.session(&[
        &["backup", "--name", "ours", "--from", &other],
        &["backup", "--from", &other],
        &["verify", "latest"],
        &["list"],
        &["show", "latest", "--database", "x"],
    ]);
    insta::assert_snapshot!(shown);
    for database in ["ours", "kulti", "postgres"] {
        sandbox.succeed(&["verify", "latest", "--database", database]);
    }
}

#[test]
fn a_locked_table_is_named_with_who_holds_it() {
    let sandbox = Sandbox::with_sample();
    let blocker = thread::scope(|scope| {
        let locked = scope.spawn(|| sandbox.sql("kulti", "BEGIN; LOCK TABLE app.users; SELECT pg_sleep(8); COMMIT"));
        let waiting =
            "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'app.users'::regclass";
        while sandbox.sql("kulti", waiting) == "0" {
            thread::sleep(std::time::Duration::from_millis(50));
        }
        let run = sandbox.run(&["backup", "--lock-wait", "1"]);
        drop(locked.join());
        run
    });
    assert_eq!(blocker.code, Some(4), "{blocker:?}");
    for part in [
        "cannot lock the tables within 1s",
        "exclusive lock on app.users",
        "hint: ",
        "--lock-wait",
    ] {
        assert!(blocker.stderr.contains(part), "{part}: {blocker:?}");
    }
}

#[test]
fn a_transaction_pooler_is_refused_with_the_right_port() {
    let sandbox = Sandbox::start();
    let pooler = "postgresql://postgres.abc:hunter2@aws-0-eu-central-1.pooler.supabase.com:6543/postgres";
    let run = sandbox.run(&["backup", "--from", pooler]);
    let shown = sandbox.shown(&run);
    insta::assert_snapshot!(shown);
}
