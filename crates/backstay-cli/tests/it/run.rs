//! The scheduler: what is due is done once, alone, and ends in order.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;

use backstay::{CancelToken, Claim, Compression, LogFilter};
use backstay_testkit::fixtures::SampleBackup;
use backstay_testkit::http_server::{HttpServer, Request, Response};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{PASSWORD, Run, Sandbox};

/// Ids have the time to the second.
fn one_second() {
    std::thread::sleep(std::time::Duration::from_millis(1100));
}

/// Publishes a backup that is whole, as if it had been made then.
fn publish(sandbox: &Sandbox, time: Timestamp) {
    let id = format!("shop_backup_{}", time.to_zoned(TimeZone::UTC).strftime("%Y%m%d_%H%M%S"));
    let repository = sandbox.repository("near");
    SampleBackup::kulti(&id, Compression::default()).publish(Arc::clone(repository.store()));
}

/// Locks a table until the process is killed.
fn lock_users(sandbox: &Sandbox) -> Child {
    let block = "BEGIN; LOCK TABLE app.users; SELECT pg_sleep(600)";
    let psql = std::process::Command::new(sandbox.server.installation().bin().join("psql"))
        .args(["-d", &sandbox.url("kulti"), "-c", block])
        .env("PGPASSWORD", PASSWORD)
        .stdout(Stdio::null())
        .spawn()
        .expect("psql runs");
    while sandbox.sql(
        "kulti",
        "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'app.users'::regclass",
    ) == "0"
    {
        std::thread::yield_now();
    }
    psql
}

/// Minutes that never come while a test runs would be a bound of time; a yearly schedule is due once, for want of a backup.
const NEVER: &str = "schedule = '0 0 29 2 *'";

fn file(sandbox: &Sandbox, more: &str) -> String {
    let port = sandbox.server.port();
    format!(
        "[database.shop]\nhost = '127.0.0.1'\nport = {port}\nuser = 'postgres'\ndbname = 'kulti'\n\
         password = {{ file = 'secret' }}\nstore = 'near'\nretention = {{ keep-last = 1 }}\n{more}\n\
         [store.near]\nurl = 'near'\n"
    )
}

fn sandbox(more: &str) -> Sandbox {
    let sandbox = Sandbox::with_sample();
    sandbox.write("secret", PASSWORD);
    sandbox.write("backstay.toml", &file(&sandbox, more));
    sandbox
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    Run::of(&mut sandbox.backstay_in_empty_environment(arguments))
}

/// What was said, without times and durations.
fn said(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let (_, line) = line.split_once("Z ").unwrap_or_else(|| panic!("no time: {line}"));
        let line = line.split(", in ").next().unwrap_or_default();
        line.split(", after ").next().unwrap_or_default().to_owned()
    };
    text.lines().map(line).collect()
}

fn backups(sandbox: &Sandbox) -> usize {
    let files = sandbox.files("near");
    files.iter().filter(|name| name.ends_with(".manifest.json")).count()
}

#[test]
fn what_is_due_is_done_once_and_what_is_asked_for_again() {
    let more = format!("{NEVER}\n[[export]]\nname = 'users'\ntable = 'app.users'");
    let sandbox = sandbox(&more);
    let first = run(&sandbox, &["run", "--once"]);
    assert_eq!(first.code, Some(0), "{first:?}");
    let done = [
        "shop: backup begins",
        "shop: backup is done",
        "shop: verify begins",
        "shop: verify is done",
        "shop: prune begins",
        "shop: prune is done",
    ];
    assert_eq!(said(&first.stdout), done);
    assert_eq!(backups(&sandbox), 1);
    let second = run(&sandbox, &["run", "--once"]);
    assert_eq!(
        (second.code, said(&second.stdout)),
        (Some(0), vec!["shop: nothing is due".to_owned()])
    );
    // The older one goes behind the verification, by the retention.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let now = run(&sandbox, &["run", "--now", "backup", "--db", "shop"]);
    assert_eq!(
        (now.code, said(&now.stdout)),
        (Some(0), done.map(str::to_owned).to_vec())
    );
    assert_eq!(backups(&sandbox), 1);
    let export = run(&sandbox, &["run", "--now", "export", "--db", "shop"]);
    assert_eq!(
        (export.code, said(&export.stdout)),
        (
            Some(0),
            ["shop: export begins", "shop: export is done"]
                .map(str::to_owned)
                .to_vec()
        )
    );
}

#[test]
fn whoever_holds_the_lock_works_alone_and_loses_it_with_the_connection() {
    let sandbox = sandbox(NEVER);
    let config = sandbox.server.connection_config("kulti");
    let claim = Claim::take(&config, &CancelToken::new())
        .unwrap()
        .expect("nobody has it");
    assert!(Claim::take(&config, &CancelToken::new()).unwrap().is_none());
    let refused = run(&sandbox, &["run", "--once"]);
    assert_eq!(refused.code, Some(7), "{refused:?}");
    assert_eq!(
        said(&refused.stdout),
        ["shop: skipped: another run works on the database"]
    );
    assert_eq!(backups(&sandbox), 0);
    // A transaction without a snapshot keeps nothing from being vacuumed.
    let horizon = "SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_xmin IS NOT NULL";
    assert_eq!(sandbox.sql("kulti", horizon), "0");
    // Who is asked to work now waits for its turn.
    let (mut child, mut lines) = start(&sandbox, &["--now", "backup", "--db", "shop"]);
    wait_for(&mut lines, "waiting: another run works on the database");
    assert_eq!(backups(&sandbox), 0);
    // As if it had been killed: nobody gives it back.
    sandbox.sql(
        "kulti",
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'",
    );
    let mut claim = claim;
    assert!(!claim.is_held());
    wait_for(&mut lines, "prune is done");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(backups(&sandbox), 1);
    Claim::take(&config, &CancelToken::new())
        .unwrap()
        .expect("it was given back")
        .release();
}

#[test]
fn one_database_that_fails_stops_no_other() {
    let sandbox = sandbox(NEVER);
    let broken = file(&sandbox, NEVER)
        .replace("database.shop", "database.broken")
        .replace("'kulti'", "'nowhere'");
    let broken = broken.split("[store.near]").next().expect("a section");
    let text = format!("{broken}{}", file(&sandbox, NEVER));
    sandbox.write("backstay.toml", &text);
    let run = run(&sandbox, &["run", "--once"]);
    assert_eq!(run.code, Some(4), "{run:?}");
    let said = said(&run.stdout);
    assert!(said.contains(&"broken: backup FAILED".to_owned()), "{said:?}");
    assert!(
        said.iter().any(|line| line.starts_with("broken: | error: ")),
        "{said:?}"
    );
    assert!(said.contains(&"shop: backup is done".to_owned()), "{said:?}");
    // It stays without verification and without removal of older ones.
    assert!(!said.contains(&"broken: verify begins".to_owned()), "{said:?}");
}

/// A scheduler that runs until it is asked to stop.
fn start(sandbox: &Sandbox, arguments: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut command = sandbox.backstay_in_empty_environment(&[&["run"], arguments].concat());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let stdout = BufReader::new(child.stdout.take().expect("its output"));
    (child, stdout)
}

/// Waits for a line that ends so.
fn wait_for(lines: &mut BufReader<ChildStdout>, ending: &str) {
    let mut seen = String::new();
    loop {
        let begin = seen.len();
        assert_ne!(lines.read_line(&mut seen).expect("text"), 0, "no {ending:?} in {seen}");
        let line = &seen[begin..];
        if line.trim_end().ends_with(ending) || line.contains(&format!("{ending}, ")) {
            return;
        }
    }
}

#[test]
fn a_new_version_in_its_place_does_not_stop_it() {
    let sandbox = sandbox(NEVER);
    let (program, new) = (sandbox.argument("backstay"), sandbox.argument("new"));
    // A process of its own writes it, as in `Sandbox::script`.
    let copied = std::process::Command::new("cp")
        .args([env!("CARGO_BIN_EXE_backstay"), &program])
        .status();
    assert!(copied.expect("cp runs").success());
    // The lock keeps it waiting until the other version is there.
    let config = sandbox.server.connection_config("kulti");
    let claim = Claim::take(&config, &CancelToken::new())
        .unwrap()
        .expect("nobody has it");
    let mut child = std::process::Command::new(&program)
        .args(["run", "--now", "backup", "--db", "shop"])
        .env_clear()
        .envs(
            sandbox
                .backstay_in_empty_environment(&["run"])
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(sandbox.path(""))
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output"));
    wait_for(&mut lines, "waiting: another run works on the database");
    std::fs::write(&new, "no program").unwrap();
    std::fs::rename(&new, &program).unwrap();
    claim.release();
    wait_for(&mut lines, "prune is done");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn it_ends_in_order_when_it_is_asked_to() {
    let sandbox = sandbox(NEVER);
    // Nothing was ever made, so it begins with a backup; then it waits.
    let (mut child, mut lines) = start(&sandbox, &[]);
    wait_for(&mut lines, "prune is done");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    wait_for(&mut lines, "stopped");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(backups(&sandbox), 1);
    // One that is under way is cancelled when its time is over, and leaves nothing.
    let mut psql = lock_users(&sandbox);
    let (mut child, mut lines) = start(&sandbox, &["--now", "backup", "--db", "shop", "--grace", "0"]);
    wait_for(&mut lines, "backup begins");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    wait_for(&mut lines, "backup was cancelled");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(backups(&sandbox), 1);
    psql.kill().unwrap();
    psql.wait().unwrap();
}

#[test]
fn a_backup_that_is_too_old_is_told_of() {
    let answer = |_: &Request| Response::new(200, "ok");
    let server = HttpServer::start(answer, |status, word| Response::new(status, word));
    let sandbox = sandbox(NEVER);
    publish(&sandbox, "2020-01-01T00:00:00Z".parse().unwrap());
    let more = format!(
        "notify = ['hook']\nrules = {{ max-age = '26h' }}\ndrill-{NEVER}\n{NEVER}\n\
         [notification.hook]\nwebhook = '{}/hook'",
        server.endpoint()
    );
    let text = file(&sandbox, &more).replace("2 *'\n\n", "2 *'\n");
    // The lock is taken, so that no new one is made meanwhile.
    let config = sandbox.server.connection_config("kulti");
    let claim = Claim::take(&config, &CancelToken::new())
        .unwrap()
        .expect("nobody has it");
    sandbox.write("backstay.toml", &text);
    let (mut child, mut lines) = start(&sandbox, &[]);
    let mut line = String::new();
    while !line.contains("MISSED") {
        line.clear();
        assert_ne!(lines.read_line(&mut line).expect("text"), 0, "it ended");
    }
    assert!(line.trim_end().ends_with("and max-age is 26h"), "{line}");
    wait_for(&mut lines, "skipped: another run works on the database");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let told = server.seen("POST", "/hook");
    let body: serde_json::Value = serde_json::from_slice(&told[0].body).expect("JSON");
    assert_eq!(
        (body["event"].as_str(), body["database"].as_str()),
        (Some("missed"), Some("shop"))
    );
    claim.release();
}

#[test]
fn a_step_that_hangs_does_not_silence_it() {
    let sandbox = sandbox("");
    // The export is due, and hangs; then the newest backup gets too old.
    publish(&sandbox, "2020-01-01T00:00:00Z".parse().unwrap());
    publish(&sandbox, Timestamp::now() - SignedDuration::from_secs(3600 - 5));
    let more = format!("rpo = '1h'\n{NEVER}\n[[export]]\nname = 'users'\ntable = 'app.users'\n{NEVER}");
    sandbox.write("backstay.toml", &file(&sandbox, &more));
    let mut psql = lock_users(&sandbox);
    let (mut child, mut lines) = start(&sandbox, &["--grace", "0"]);
    // Where the machine is slow, it is too old already.
    let mut unseen = vec!["export begins", "and rpo is 1h"];
    while !unseen.is_empty() {
        let mut line = String::new();
        assert_ne!(lines.read_line(&mut line).expect("text"), 0, "it ended");
        unseen.retain(|ending| !line.trim_end().ends_with(ending));
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    wait_for(&mut lines, "export was cancelled");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    psql.kill().unwrap();
    psql.wait().unwrap();
}

#[test]
fn a_backup_that_nobody_verified_is_verified() {
    let sandbox = sandbox(NEVER);
    let keep_all = ["backup", "--db", "shop", "--keep-all", "--quiet"];
    assert_eq!(run(&sandbox, &keep_all).code, Some(0));
    one_second();
    assert_eq!(run(&sandbox, &keep_all).code, Some(0));
    let once = run(&sandbox, &["run", "--once"]);
    assert_eq!(once.code, Some(0), "{once:?}");
    let lines = said(&once.stdout);
    assert!(lines[0].ends_with(" is not verified yet"), "{lines:?}");
    let done = [
        "shop: verify begins",
        "shop: verify is done",
        "shop: prune begins",
        "shop: prune is done",
    ];
    assert_eq!(lines[1..], done);
    assert_eq!(backups(&sandbox), 1);
    assert_eq!(
        said(&run(&sandbox, &["run", "--once"]).stdout),
        ["shop: nothing is due"]
    );
}

#[test]
fn a_backup_that_is_damaged_removes_nothing() {
    let sandbox = sandbox(NEVER);
    let keep_all = ["backup", "--db", "shop", "--keep-all", "--quiet"];
    assert_eq!(run(&sandbox, &keep_all).code, Some(0));
    one_second();
    assert_eq!(run(&sandbox, &keep_all).code, Some(0));
    let files = sandbox.files("near");
    let pack = files
        .iter()
        .filter(|name| name.ends_with(".sql.gz"))
        .max()
        .expect("a pack");
    let pack = sandbox.path("near").join(pack);
    let mut bytes = std::fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    let once = run(&sandbox, &["run", "--once"]);
    assert_eq!(once.code, Some(1), "{once:?}");
    assert_eq!(
        said(&once.stdout).last().map(String::as_str),
        Some("shop: verify FAILED")
    );
    assert_eq!(backups(&sandbox), 2);
    // That it is damaged is on record, so it is not looked at again and again.
    assert_eq!(
        said(&run(&sandbox, &["run", "--once"]).stdout),
        ["shop: nothing is due"]
    );
}

#[test]
fn a_part_is_not_the_backup_that_is_due() {
    let sandbox = sandbox(NEVER);
    let part = [
        "backup",
        "--db",
        "shop",
        "--keep-all",
        "--table",
        "app.users",
        "--quiet",
    ];
    assert_eq!(run(&sandbox, &part).code, Some(0));
    one_second();
    let once = run(&sandbox, &["run", "--once"]);
    assert_eq!(once.code, Some(0), "{once:?}");
    assert_eq!(said(&once.stdout)[0], "shop: backup begins");
    // A part that is younger than it hides it neither.
    one_second();
    assert_eq!(run(&sandbox, &part).code, Some(0));
    assert_eq!(
        said(&run(&sandbox, &["run", "--once"]).stdout),
        ["shop: nothing is due"]
    );
    // Where the section means a part, it counts.
    sandbox.write(
        "backstay.toml",
        &file(&sandbox, &format!("table = ['app.users']\n{NEVER}")),
    );
    let once = run(&sandbox, &["run", "--once"]);
    assert!(said(&once.stdout)[0].ends_with(" is not verified yet"), "{once:?}");
}

#[test]
fn what_is_not_proven_removes_nothing() {
    let sandbox = sandbox(NEVER);
    let keep_all = ["backup", "--db", "shop", "--keep-all", "--quiet"];
    assert_eq!(run(&sandbox, &["run", "--once"]).code, Some(0));
    // Two that are proven, of which one could go, and one that is not.
    for count in [2, 3] {
        one_second();
        assert_eq!(run(&sandbox, &keep_all).code, Some(0));
        assert_eq!(backups(&sandbox), count);
        if count == 2 {
            assert_eq!(
                run(&sandbox, &["verify", "latest", "--database", "shop", "--quiet"]).code,
                Some(0)
            );
        }
    }
    // The rules find something about the next one.
    let rules = format!("rules = {{ require-table = ['public.nothing'] }}\n{NEVER}");
    sandbox.write("backstay.toml", &file(&sandbox, &rules));
    one_second();
    let failed = run(&sandbox, &["run", "--now", "backup", "--db", "shop"]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert_eq!(
        said(&failed.stdout).last().map(String::as_str),
        Some("shop: backup FAILED")
    );
    assert_eq!(backups(&sandbox), 4);
    sandbox.write("backstay.toml", &file(&sandbox, NEVER));
    one_second();
    assert_eq!(run(&sandbox, &["run", "--now", "backup", "--db", "shop"]).code, Some(0));
    assert_eq!(backups(&sandbox), 1);
}

/// As if a backup had been made then.
fn redate(sandbox: &Sandbox, time: &str) {
    for name in sandbox.files("near") {
        let Some((_, rest)) = name.split_once("_backup_") else {
            continue;
        };
        let other = format!("shop_backup_{time}{}", &rest[15..]);
        std::fs::rename(sandbox.path("near").join(&name), sandbox.path("near").join(other)).unwrap();
    }
}

#[test]
fn what_was_never_done_counts_from_the_oldest_backup() {
    let sandbox = sandbox("");
    assert_eq!(run(&sandbox, &["backup", "--db", "shop", "--quiet"]).code, Some(0));
    let export = format!("\n[[export]]\nname = 'users'\ntable = 'app.users'\n{NEVER}");
    sandbox.write("backstay.toml", &file(&sandbox, &export));
    let nothing = vec!["shop: nothing is due".to_owned()];
    assert_eq!(said(&run(&sandbox, &["run", "--once"]).stdout), nothing);
    // There was a 29th of February since.
    redate(&sandbox, "20200101_000000");
    let once = run(&sandbox, &["run", "--once"]);
    assert_eq!(once.code, Some(0), "{once:?}");
    assert_eq!(said(&once.stdout), ["shop: export begins", "shop: export is done"]);
    assert_eq!(said(&run(&sandbox, &["run", "--once"]).stdout), nothing);
}

#[test]
fn an_export_counts_for_its_own_database_from_when_it_was_begun() {
    let export = format!("\n[[export]]\nname = 'users'\ntable = 'app.users'\n{NEVER}");
    let sandbox = sandbox(&export);
    let made = ["shop: export begins", "shop: export is done"];
    let nothing = ["shop: nothing is due"];
    let once = |config: &str| said(&run(&sandbox, &["--config", config, "run", "--once"]).stdout);
    // No backup will ever come, from which a first one could count.
    assert_eq!(once("backstay.toml"), made);
    assert_eq!(once("backstay.toml"), nothing);
    // An export of that name is there, and it is of another database.
    let other = file(&sandbox, &export.replace("app.users", "pg_catalog.pg_am"));
    sandbox.write("other.toml", &other.replace("'kulti'", "'postgres'"));
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(once("other.toml"), made);
    assert_eq!(once("other.toml"), nothing);
    assert_eq!(once("backstay.toml"), nothing);
    // One that ended today and was begun in 2020 is not that of the 29th of February since.
    let near = sandbox.repository("near");
    let entries = near.log(&LogFilter::default()).unwrap();
    let mut own = entries[0].entry.clone().expect("understood");
    assert!(own.source.is_some() && own.begun_at.is_some(), "{own:?}");
    std::fs::remove_dir_all(sandbox.path("near/log")).unwrap();
    own.begun_at = own.begun_at.map(|_| "2020-03-01T00:00:00Z".parse().unwrap());
    own.source = None;
    near.note(&own).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(once("backstay.toml"), made);
    assert_eq!(once("backstay.toml"), nothing);
}

#[test]
fn a_backup_of_a_wrong_clock_is_not_taken_for_the_new_one() {
    let sandbox = sandbox(NEVER);
    assert_eq!(run(&sandbox, &["backup", "--db", "shop", "--quiet"]).code, Some(0));
    // What has another name than it says does not verify.
    redate(&sandbox, "20990101_000000");
    let now = run(&sandbox, &["run", "--now", "backup", "--db", "shop"]);
    assert_eq!(now.code, Some(7), "{now:?}");
    let lines = said(&now.stdout);
    assert_eq!(
        lines[..4],
        [
            "shop: backup begins",
            "shop: backup is done",
            "shop: verify begins",
            "shop: verify is done"
        ]
    );
    assert!(lines[4].contains("dated in the future"), "{lines:?}");
    assert_eq!(backups(&sandbox), 2);
}

#[test]
fn what_a_child_cannot_tell_is_told_and_what_a_command_leaves_behind_is_not_waited_for() {
    let answer = |_: &Request| Response::new(200, "ok");
    let server = HttpServer::start(answer, |status, word| Response::new(status, word));
    let sandbox = sandbox("");
    let stay = "while ! test -e ended; do sleep 0.1; done &";
    let more = format!(
        "notify = ['hook', 'own']\n[notification.hook]\nwebhook = '{}/hook'\n\
         [notification.own]\ncommand = ['sh', '-c', '{stay}']\non = ['success']",
        server.endpoint()
    );
    sandbox.write("backstay.toml", &file(&sandbox, &more));
    let (mut child, mut lines) = start(&sandbox, &["--now", "backup", "--db", "shop"]);
    wait_for(&mut lines, "prune is done");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    sandbox.write("ended", "");
    // The configuration gets a mistake while it waits for the lock.
    let config = sandbox.server.connection_config("kulti");
    let claim = Claim::take(&config, &CancelToken::new())
        .unwrap()
        .expect("nobody has it");
    let (mut child, mut lines) = start(&sandbox, &["--now", "backup", "--db", "shop"]);
    wait_for(&mut lines, "waiting: another run works on the database");
    sandbox.write("backstay.toml", "[database.shop");
    claim.release();
    wait_for(&mut lines, "(exit status: 3)");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    let told = server.seen("POST", "/hook");
    let body: serde_json::Value = serde_json::from_slice(&told[0].body).expect("JSON");
    assert_eq!(
        (body["event"].as_str(), body["work"].as_str()),
        (Some("failure"), Some("backup"))
    );
}
