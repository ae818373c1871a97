//! A restored database gets the name of the one that it replaces, and gives it back.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use crate::support::{Run, Sandbox};

const SWAP: [&str; 6] = ["restore", "latest", "--to", "kulti", "--swap", "--yes"];

/// What belongs to the name: it must be the same before a swap and after it.
const OF_THE_NAME: &str = "
    SELECT pg_get_userbyid(datdba), datconnlimit, shobj_description(d.oid, 'pg_database'),
      (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM (
         SELECT grantee, privilege_type, is_grantable FROM aclexplode(datacl)) a),
      (SELECT string_agg(setrole::regrole || ' ' || setconfig::text, '; ' ORDER BY setrole) FROM pg_db_role_setting
         WHERE setdatabase = d.oid)
    FROM pg_database d WHERE datname = 'kulti'";

const PROPERTIES: &str = r#"
    CREATE ROLE "the owner" CREATEDB;
    CREATE ROLE reader LOGIN;
    CREATE ROLE writer;
    ALTER DATABASE kulti OWNER TO "the owner";
    ALTER DATABASE kulti CONNECTION LIMIT 90;
    COMMENT ON DATABASE kulti IS 'it''s the shop';
    ALTER DATABASE kulti SET search_path TO app, "$user", "a, b";
    ALTER DATABASE kulti SET shop.motto TO 'a = b';
    ALTER ROLE reader IN DATABASE kulti SET statement_timeout TO '7s';
    REVOKE ALL ON DATABASE kulti FROM PUBLIC;
    GRANT CONNECT ON DATABASE kulti TO reader;
    GRANT CREATE ON DATABASE kulti TO writer WITH GRANT OPTION"#;

fn databases(sandbox: &Sandbox) -> Vec<String> {
    let names = sandbox.sql(
        "postgres",
        "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1",
    );
    names.lines().map(str::to_owned).collect()
}

/// The one database whose name begins so.
fn called(sandbox: &Sandbox, begin: &str) -> String {
    let mut names = databases(sandbox);
    names.retain(|name| name.starts_with(begin));
    assert_eq!(names.len(), 1, "{begin}: {names:?}");
    names.remove(0)
}

fn orders(sandbox: &Sandbox, database: &str) -> String {
    sandbox.sql(database, "SELECT count(*) FROM app.orders")
}

/// A session that stays, and is ended with its process.
struct Session(Child);

impl Session {
    fn open(sandbox: &Sandbox, database: &str, sql: &str) -> Self {
        let mut command = sandbox.client("psql", database);
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1"]);
        for statement in sql.split(';') {
            command.args(["-c", statement]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("psql runs"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Waits until a query says `t`.
fn wait_for(sandbox: &Sandbox, query: &str) {
    while sandbox.sql("postgres", query) != "t" {
        thread::yield_now();
    }
}

#[test]
fn names_are_swapped_under_clients_that_come_back_and_then_swapped_again() {
    let sandbox = Sandbox::with_sample();
    sandbox.sql("postgres", PROPERTIES);
    sandbox.succeed(&["backup"]);
    // Since the backup the settings have changed, and those of now count.
    sandbox.sql("postgres", "ALTER DATABASE kulti SET shop.motto TO 'a = c'");
    sandbox.sql("kulti", "DELETE FROM app.orders WHERE id > 10");
    let before = sandbox.sql("postgres", OF_THE_NAME);
    let planned = ["restore", "latest", "--to", "kulti", "--swap", "--dry-run", "--json"];
    let planned = sandbox.succeed(&planned).json();
    assert_eq!(
        (&planned["becomes"], &planned["database_exists"]),
        (&"kulti".into(), &false.into())
    );
    let stays = Session::open(&sandbox, "kulti", "SELECT pg_sleep(600)");
    wait_for(
        &sandbox,
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'kulti'",
    );
    let (is_over, missed) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let mut client = sandbox.client("psql", "kulti");
                    let output = client.args(["-XAtqc", "SELECT 1"]).output().expect("psql runs");
                    let told = String::from_utf8_lossy(&output.stderr).into_owned();
                    // Who waited at the door is told that the database has gone; nobody may find the name missing.
                    let is_missed = told.contains("does not exist") && !told.contains("just been dropped or renamed");
                    missed.fetch_add(u32::from(is_missed), Ordering::Relaxed);
                }
            });
        }
        let run = sandbox.run(&[&SWAP[..], &["kulti"]].concat());
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(run.code, Some(0), "{run:?}");
        let kept = called(&sandbox, "kulti_before_");
        assert!(
            run.stdout
                .contains(&format!("kulti is restored; what was there is kept as {kept}")),
            "{run:?}"
        );
        assert!(
            run.stderr.contains(" of kulti now, and all that begin until then"),
            "{run:?}"
        );
    });
    assert_eq!(missed.into_inner(), 0);
    drop(stays);
    let kept = called(&sandbox, "kulti_before_");
    assert_eq!(orders(&sandbox, "kulti"), "2000");
    assert_eq!(orders(&sandbox, &kept), "10");
    assert_eq!(sandbox.sql("postgres", OF_THE_NAME), before);
    assert_eq!(databases(&sandbox), ["kulti", &kept, "postgres"]);

    let undo = ["restore", "--undo", "--to", "kulti"];
    let run = sandbox.run(&undo);
    assert_eq!(run.code, Some(2), "nobody said that it is meant: {run:?}");
    let planned = sandbox.succeed(&[&undo[..], &["--dry-run", "--json"]].concat()).json();
    assert_eq!(planned["replacement"], kept.as_str());
    let run = sandbox.succeed(&[&undo[..], &["--yes", "kulti"]].concat());
    let undone = called(&sandbox, "kulti_undone_");
    assert!(run.stdout.contains(&undone), "{run:?}");
    assert_eq!(orders(&sandbox, "kulti"), "10");
    assert_eq!(orders(&sandbox, &undone), "2000");
    assert_eq!(sandbox.sql("postgres", OF_THE_NAME), before);

    // Nothing is kept any more; what was undone can be named.
    let run = sandbox.run(&[&undo[..], &["--yes", "kulti"]].concat());
    assert_eq!(run.code, Some(7), "{run:?}");
    assert!(run.stderr.contains("hint: psql -l"), "{run:?}");
    let named = format!("--undo={undone}");
    sandbox.sql("postgres", "SELECT pg_sleep(1.1)");
    sandbox.succeed(&["restore", &named, "--to", "kulti", "--yes", "kulti", "-q"]);
    assert_eq!(orders(&sandbox, "kulti"), "2000");
}

#[test]
fn a_swap_that_is_killed_has_changed_no_name_and_the_next_one_works() {
    let sandbox = Sandbox::with_sample();
    sandbox.succeed(&["backup"]);
    sandbox.sql("kulti", "DELETE FROM app.orders");
    // Whoever changes the database itself keeps others from renaming it.
    let holder = Session::open(
        &sandbox,
        "postgres",
        "BEGIN; COMMENT ON DATABASE kulti IS 'x'; SELECT pg_sleep(600)",
    );
    let locks = "FROM pg_locks WHERE classid = 'pg_database'::regclass AND objid <> 0";
    wait_for(
        &sandbox,
        &format!("SELECT count(*) > 0 {locks} AND mode = 'ShareUpdateExclusiveLock'"),
    );
    let mut child = sandbox
        .backstay(&[&SWAP[..], &["kulti"]].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    wait_for(
        &sandbox,
        &format!("SELECT count(*) > 0 {locks} AND mode = 'AccessExclusiveLock' AND NOT granted"),
    );
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    drop(holder);
    sandbox.sql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%'
           AND pid <> pg_backend_pid()",
    );
    wait_for(&sandbox, &format!("SELECT count(*) = 0 {locks}"));
    let left = called(&sandbox, "kulti_new_");
    assert_eq!(databases(&sandbox), ["kulti", &left, "postgres"]);
    assert_eq!(orders(&sandbox, "kulti"), "0");
    // Names have the time to the second.
    let now = "to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD_HH24MISS')";
    wait_for(&sandbox, &format!("SELECT 'kulti_new_' || {now} > '{left}'"));
    sandbox.succeed(&[&SWAP[..], &["kulti"]].concat());
    assert_eq!(orders(&sandbox, "kulti"), "2000");
    assert_eq!(orders(&sandbox, &called(&sandbox, "kulti_before_")), "0");
}

#[test]
fn what_is_not_equal_to_the_backup_gets_no_name() {
    let sandbox = Sandbox::with_sample();
    sandbox.sql(
        "kulti",
        "CREATE ROLE owner_of_all; ALTER TABLE app.users OWNER TO owner_of_all",
    );
    sandbox.succeed(&["backup"]);
    sandbox.sql(
        "kulti",
        "REASSIGN OWNED BY owner_of_all TO postgres; DROP ROLE owner_of_all",
    );
    let run = sandbox.run(&[&SWAP[..], &["kulti"]].concat());
    assert_eq!(run.code, Some(6), "{run:?}");
    let left = called(&sandbox, "kulti_new_");
    assert!(
        run.stdout.contains(&format!("{left} is NOT WHOLE; kulti is as it was")),
        "{run:?}"
    );
    assert_eq!(databases(&sandbox), ["kulti", &left, "postgres"]);
}

#[test]
fn who_may_not_rename_is_told_so_before_anything_is_made() {
    let sandbox = Sandbox::with_sample();
    sandbox.sql(
        "postgres",
        "CREATE ROLE app LOGIN CREATEDB PASSWORD 'x'; CREATE ROLE own LOGIN PASSWORD 'x'",
    );
    sandbox.succeed(&["backup"]);
    let as_role = |role: &str| {
        let mut command: Command = sandbox.backstay(&[&SWAP[..], &["kulti"]].concat());
        Run::of(command.env("PGUSER", role).env("PGPASSWORD", "x"))
    };
    let run = as_role("app");
    assert_eq!(run.code, Some(7), "{run:?}");
    assert!(run.stderr.contains("it belongs to postgres"), "{run:?}");
    assert!(
        run.stderr
            .contains("hint: as a superuser: ALTER DATABASE \"kulti\" OWNER TO \"app\";"),
        "{run:?}"
    );
    sandbox.sql("postgres", "ALTER DATABASE kulti OWNER TO own");
    let run = as_role("own");
    assert_eq!(run.code, Some(7), "{run:?}");
    assert!(
        run.stderr
            .contains("hint: as a superuser: ALTER ROLE \"own\" CREATEDB;"),
        "{run:?}"
    );
    assert_eq!(databases(&sandbox), ["kulti", "postgres"]);
    let none = sandbox.run(&["restore", "latest", "--to", "none", "--swap", "--yes", "none"]);
    assert_eq!(none.code, Some(7), "{none:?}");
    assert!(none.stderr.contains("error: there is no database none"), "{none:?}");
}

#[test]
fn a_part_replaces_no_database_unless_that_is_accepted() {
    let sandbox = Sandbox::with_sample();
    let swap = [&SWAP[..], &["kulti"]].concat();
    for (options, missing) in [
        (
            &["--exclude-table-data", "app.orders"][..],
            "rows of app.orders (its rows were excluded)",
        ),
        (&["--no-large-objects"], "large objects ("),
        (
            &["--no-unlogged-data"],
            "rows of public.cache (unlogged tables were excluded)",
        ),
        (
            &["--exclude-table", "public.empty"],
            "(only a part of the database was selected)",
        ),
    ] {
        sandbox.succeed(&[&["backup", "--store", "part"], options].concat());
        let run = sandbox.run(&[&swap[..], &["--store", "part"]].concat());
        assert_eq!(run.code, Some(7), "{options:?}: {run:?}");
        assert!(run.stderr.contains(missing), "{options:?}: {run:?}");
        assert!(
            run.stderr.contains("hint: ") && run.stderr.contains("--accept-partial"),
            "{run:?}"
        );
        std::fs::remove_dir_all(sandbox.path("part")).expect("it is removed");
    }
    assert_eq!(databases(&sandbox), ["kulti", "postgres"]);

    sandbox.succeed(&["backup", "--exclude-table-data", "app.orders"]);
    let run = sandbox.run(&swap);
    assert_eq!(run.code, Some(7), "{run:?}");
    let accepted = [&swap[..], &["--accept-partial", "--json"]].concat();
    let outcome = sandbox.succeed(&accepted).json();
    assert_eq!(
        outcome["not_in_backup"],
        serde_json::json!(["rows of app.orders (its rows were excluded)"])
    );
    assert_eq!(orders(&sandbox, "kulti"), "0");
    sandbox.succeed(&["restore", "--undo", "--to", "kulti", "--yes", "kulti"]);
    let run = sandbox.succeed(&["restore", "latest", "--to", "beside", "--create", "--yes", "beside"]);
    assert!(
        run.stdout.contains("rows of app.orders (its rows were excluded)"),
        "{run:?}"
    );
}

/// What is told where somebody could not be cut off is one command, which works while clients come back.
#[test]
fn a_swap_that_somebody_kept_from_is_ended_by_what_is_told() {
    let sandbox = Sandbox::with_sample();
    sandbox.sql(
        "postgres",
        "CREATE ROLE app LOGIN CREATEDB PASSWORD 'x'; ALTER DATABASE kulti OWNER TO app; ALTER DATABASE kulti SET work_mem TO '5MB'",
    );
    sandbox.succeed(&["backup"]);
    sandbox.sql("kulti", "DELETE FROM app.orders WHERE id > 10");
    // An owner may not end the session of a superuser.
    let stays = Session::open(&sandbox, "kulti", "SELECT pg_sleep(600)");
    wait_for(
        &sandbox,
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'",
    );
    let swap = [&SWAP[..], &["kulti", "--no-owner", "--no-privileges"]].concat();
    let mut command = sandbox.backstay(&swap);
    let run = Run::of(command.env("PGUSER", "app").env("PGPASSWORD", "x"));
    assert_eq!(run.code, Some(4), "{run:?}");
    let told = run
        .stderr
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("backstay restore --undo="));
    let told = told.unwrap_or_else(|| panic!("{run:?}"));
    assert_eq!(orders(&sandbox, "kulti"), "10");
    drop(stays);
    sandbox.sql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'",
    );
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let mut client = sandbox.client("psql", "kulti");
                drop(client.args(["-XAtqc", "SELECT pg_sleep(0.2)"]).output());
            }
        });
        let mut words: Vec<&str> = told.split(' ').skip(1).collect();
        words.extend(["--yes", "kulti"]);
        let run = sandbox.run(&words);
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(run.code, Some(0), "{run:?}");
    });
    assert_eq!(orders(&sandbox, "kulti"), "2000");
    assert_eq!(orders(&sandbox, &called(&sandbox, "kulti_undone_")), "10");
    assert_eq!(sandbox.sql("kulti", "SHOW work_mem"), "5MB");
}
