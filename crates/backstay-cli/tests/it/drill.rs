//! `backstay drill`: its report, its evidence, what it refuses, and what is left when it is killed.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::crash::run_until;
use crate::support::{PASSWORD, Run, Sandbox};

/// Things that never come to an end anywhere but in the source: rows of a table that is loaded last, and a view.
const SNARES: &str = "
    CREATE FUNCTION public.ends(what text) RETURNS boolean LANGUAGE plpgsql AS $$
      BEGIN
        IF current_database() <> 'kulti' OR current_setting('port') <> '[PORT]' THEN PERFORM pg_sleep(3600); END IF;
        RETURN true;
      END $$;
";
const IN_ROWS: &str = "
    CREATE TABLE public.snare (a int CHECK (public.ends('rows')));
    INSERT INTO public.snare VALUES (1);
";
const IN_VIEW: &str = "CREATE MATERIALIZED VIEW public.snare AS SELECT public.ends('view')";

fn databases(sandbox: &Sandbox) -> String {
    sandbox.sql(
        "postgres",
        "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate",
    )
}

/// The names of what is in the folder of drills.
fn left_in(sandbox: &Sandbox, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(sandbox.path(folder)).into_iter().flatten();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Processes whose command line names a folder.
fn processes_of(folder: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(folder)).collect()
}

#[test]
fn a_drill_passes_and_is_a_proof() {
    let sandbox = Sandbox::with_sample();
    sandbox.succeed(&["backup"]);
    let run = sandbox.succeed(&["drill", "--work-folder", "work", "--jobs", "2", "--rto", "1h"]);
    insta::assert_snapshot!(sandbox.shown(&run));
    assert_eq!(left_in(&sandbox, "work"), Vec::<String>::new());

    let evidence = sandbox.file_ending("backups", "-0001.json");
    let evidence: serde_json::Value = serde_json::from_slice(&std::fs::read(evidence).unwrap()).unwrap();
    assert_eq!(evidence["record"], "drill");
    assert_eq!(
        (&evidence["passed"], &evidence["findings"]["errors"]),
        (&true.into(), &0.into())
    );
    assert_eq!(evidence["recovery_limit_millis"], 3_600_000);
    assert_eq!(evidence["holdings"]["rows"], 3002);
    let log = sandbox.succeed(&["log", "--json"]).json();
    let last = &log.as_array().unwrap().last().unwrap();
    assert_eq!((&last["deed"], &last["outcome"]), (&"drill".into(), &"done".into()));
    // A file by itself, without a store around it, is as good.
    std::fs::create_dir(sandbox.path("alone")).unwrap();
    let pack = sandbox.file_ending("backups", ".sql.gz");
    let alone = format!("alone/{}", pack.file_name().unwrap().to_str().unwrap());
    std::fs::copy(&pack, sandbox.path(&alone)).unwrap();
    sandbox.succeed(&["drill", &alone, "--to", "postgres", "--create"]);
    assert_eq!(sandbox.files("alone").len(), 1);

    // It is a proof, so it stays when what is newer has none.
    sandbox.succeed(&["backup"]);
    let plan = sandbox
        .succeed(&["prune", "--keep-last", "1", "--dry-run", "--json"])
        .json();
    let actions: Vec<_> = plan["plan"]
        .as_array()
        .unwrap()
        .iter()
        .map(|decision| &decision["action"])
        .collect();
    assert_eq!(actions, ["keep", "keep"]);
}

#[test]
fn a_drill_fails_with_what_was_found() {
    let sandbox = Sandbox::with_sample();
    sandbox.sql(
        "kulti",
        "SET session_replication_role = replica; UPDATE app.orders SET user_id = 0 WHERE id = 1;
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.users_name'::regclass",
    );
    let run = sandbox.run(&["backup", "--drill", "--keep-days", "1", "--json"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(run.json()["drill"]["passed"], false);
    let unremoved = "no older backup was removed, whatever the retention says: the drill did not pass";
    assert!(run.stderr.contains(unremoved), "{run:?}");
    // Who wants to hear errors only hears which.
    let run = sandbox.run(&["backup", "elsewhere", "--drill", "--quiet"]);
    assert_eq!((run.code, &*run.stdout), (Some(1), ""), "{run:?}");
    assert!(run.stderr.contains("orders_user"), "{run:?}");
    let run = sandbox.run(&["drill", "--to", &sandbox.url("postgres"), "--create", "--jobs", "2"]);
    insta::assert_snapshot!(sandbox.shown(&run).replace(&own_name(&run), "backstay_drill_[NAME]"));
    assert_eq!(databases(&sandbox), "kulti postgres");
    let log = sandbox.succeed(&["log", "--json"]).json();
    let last = &log.as_array().unwrap().last().unwrap();
    assert_eq!((&last["deed"], &last["outcome"]), (&"drill".into(), &"failed".into()));
}

/// The name of the database that a drill made.
fn own_name(run: &Run) -> String {
    let begin = run.stdout.find("backstay_drill_").expect("a name");
    let name = run.stdout[begin..].split(',').next().unwrap();
    name.to_owned()
}

#[test]
fn what_is_not_for_drills_is_refused() {
    let sandbox = Sandbox::with_sample();
    sandbox.succeed(&["backup"]);
    sandbox.sql("postgres", "CREATE DATABASE full_of_data");
    sandbox.sql("full_of_data", "CREATE TABLE precious (a int)");
    std::fs::create_dir(sandbox.path("open")).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(sandbox.path("open"), open).unwrap();
    let shown = sandbox.session(&[
        &["drill", "--to", "kulti"],
        &["drill", "--to", "full_of_data"],
        &["drill", "--to", "missing"],
        &["drill", "--create"],
        &["drill", "--rto", "1m"],
        &["drill", "--work-folder", "open"],
        &["drill", "nobody_backup_20250116_143022"],
    ]);
    insta::assert_snapshot!(shown);
    assert_eq!(databases(&sandbox), "full_of_data kulti postgres");
}

#[test]
fn evidence_of_an_encrypted_backup_tells_nothing_of_it() {
    let sandbox = Sandbox::with_sample();
    sandbox.sql(
        "kulti",
        "SET session_replication_role = replica; UPDATE app.orders SET user_id = 0 WHERE id = 1",
    );
    let run = |arguments: &[&str]| {
        let mut command = sandbox.backstay(arguments);
        Run::of(command.env("BACKSTAY_PASSPHRASE", "correct horse"))
    };
    let made = run(&["backup", "--encrypt-passphrase"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let run = run(&["drill", "--to", "postgres", "--create", "--json"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stdout.contains("orders"), "whoever has the key is told: {run:?}");
    let evidence = std::fs::read_to_string(sandbox.file_ending("backups", "-0001.json")).unwrap();
    assert!(evidence.contains("\"passed\":false"), "{evidence}");
    for hidden in ["orders", "user_id", "kulti\"", "3002", "2000", "first", "holdings"] {
        assert!(!evidence.contains(hidden), "{hidden}: {evidence}");
    }
    let log = sandbox.succeed(&["log"]);
    assert!(!log.stdout.contains("orders"), "{log:?}");
}

/// Starts a drill, and sends it a signal when it tells that a phase began; gives its exit status.
fn signal_in(sandbox: &Sandbox, arguments: &[&str], phase: &str, signal: Signal) -> Option<i32> {
    let mut child = run_until(sandbox, arguments, Some(phase));
    kill_process(Pid::from_child(&child), signal).unwrap();
    child.wait().unwrap().code()
}

/// A watchdog may still be about to see that its server is gone.
fn await_the_end_of(work: &str, moment: &str) {
    let begun = Instant::now();
    loop {
        let left = processes_of(work);
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{moment}: {left:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_drill_that_is_killed_leaves_nothing_behind_the_next() {
    let sandbox = Sandbox::with_sample();
    let snares = SNARES.replace("[PORT]", &sandbox.server.port().to_string());
    sandbox.sql("kulti", &snares);
    sandbox.succeed(&["backup", "--name", "good"]);
    sandbox.sql("kulti", IN_ROWS);
    sandbox.succeed(&["backup", "--name", "rows"]);
    sandbox.sql("kulti", "DROP TABLE public.snare");
    sandbox.sql("kulti", IN_VIEW);
    sandbox.succeed(&["backup", "--name", "view"]);
    sandbox.sql("postgres", "CREATE DATABASE lent");
    let work = sandbox.argument("work");
    let places = [
        &["--work-folder", "work"][..],
        &["--to", "postgres", "--create"],
        &["--to", "lent"],
    ];
    let assert_clean = |moment: &str| {
        assert_eq!(databases(&sandbox), "kulti lent postgres", "{moment}");
        assert_eq!(left_in(&sandbox, "work"), Vec::<String>::new(), "{moment}");
        await_the_end_of(&work, moment);
        let left = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^(app|backstay)'";
        assert_eq!(sandbox.sql("lent", left), "0", "{moment}");
    };
    for place in places {
        let drill = |database| [&["drill", "--database", database], place].concat();
        for (backup, phase) in [
            ("good", "making the place"),
            ("rows", "restoring rows"),
            ("view", "restoring what needs"),
            ("good", "examining"),
        ] {
            assert_eq!(signal_in(&sandbox, &drill(backup), phase, Signal::KILL), None);
            sandbox.succeed(&drill("good"));
            assert_clean(&format!("{place:?} {phase}"));
        }
        // Who is asked to stop cleans up at once.
        let interrupted = signal_in(&sandbox, &drill("rows"), "restoring rows", Signal::TERM);
        assert_eq!(interrupted, Some(130));
        assert_clean(&format!("{place:?} interrupted"));
    }
}

#[test]
fn queries_of_the_configuration_are_asked() {
    let sandbox = Sandbox::with_sample();
    sandbox.write("secret", PASSWORD);
    let port = sandbox.server.port();
    sandbox.write(
        "backstay.toml",
        &format!(
            "[database.shop]\nhost = '127.0.0.1'\nport = {port}\nuser = 'postgres'\ndbname = 'kulti'\n\
             password = {{ file = 'secret' }}\nrules = 'shop'\n\
             [rules.shop.sql.revenue]\nquery = 'SELECT sum(sum) FROM app.orders'\nexpect = 'as-in-backup'\n\
             [rules.shop.sql.users]\nquery = 'SELECT count(*) FROM app.users'\nexpect = 7\n"
        ),
    );
    sandbox.succeed(&["backup", "--db", "shop"]);
    let drill = ["drill", "--database", "shop", "--to", "postgres", "--create", "--json"];
    let run = sandbox.run(&drill);
    assert_eq!(run.code, Some(1), "{run:?}");
    let report = run.json();
    let errors = report["findings"].as_array().unwrap().iter();
    let errors = errors.filter(|finding| finding["severity"] == "error");
    let errors: Vec<_> = errors.map(|finding| (&finding["rule"], &finding["subject"])).collect();
    assert_eq!(errors, [(&"sql-check".into(), &"users".into())]);
    sandbox.succeed(&[&drill[..], &["--no-rules"]].concat());
}
