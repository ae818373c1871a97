use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::Sandbox;

/// Rows enough that reading them takes a while.
const BULK: &str = "
    CREATE TABLE public.bulk (id int PRIMARY KEY, filler text);
    INSERT INTO public.bulk SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 120000) i;
";

/// Starts a backup and waits until it tells that a phase began; `None` waits for nothing.
pub(crate) fn start_until(sandbox: &Sandbox, phase: Option<&str>) -> Child {
    run_until(sandbox, &["backup", "--jobs", "1", "--compress", "gzip:9"], phase)
}

/// The same with any command.
pub(crate) fn run_until(sandbox: &Sandbox, arguments: &[&str], phase: Option<&str>) -> Child {
    let mut child = sandbox
        .backstay(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while let Some(phase) = phase {
        line.clear();
        let length = stderr.read_line(&mut line).unwrap();
        assert!(length > 0, "{arguments:?} ended before {phase}");
        if line.starts_with(phase) {
            break;
        }
    }
    // What it says further on must not block it.
    thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    child
}

pub(crate) const MOMENTS: [(Option<&str>, u64); 7] = [
    (None, 0),
    (Some("looking at"), 0),
    (Some("taking the snapshot"), 0),
    (Some("reading rows"), 0),
    (Some("reading rows"), 150),
    (Some("reading rows"), 400),
    (Some("publishing"), 0),
];

pub(crate) fn bulky() -> Sandbox {
    let sandbox = Sandbox::with_sample();
    sandbox.sql("kulti", BULK);
    sandbox
}

/// Whatever is in the store is whole, and the list tells what is there; gives the number of backups.
pub(crate) fn assert_sound(sandbox: &Sandbox) -> usize {
    let listed = sandbox.run(&["list", "--json"]);
    if listed.code != Some(0) {
        // It was killed before it made the folder.
        assert!(!sandbox.path("backups").exists(), "{listed:?}");
        return 0;
    }
    let files = sandbox.files("backups");
    let named = |ending: &str| -> Vec<&str> { files.iter().filter_map(|name| name.strip_suffix(ending)).collect() };
    let (manifests, packs) = (named(".manifest.json"), named(".sql.gz"));
    let texts = |list: &serde_json::Value, field: &str| -> Vec<String> {
        let items = list.as_array().unwrap().iter();
        let texts = items.map(|item| if field.is_empty() { item } else { &item[field] });
        texts.map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let listed = listed.json();
    let ids = texts(&listed["backups"], "id");
    assert_eq!(ids, manifests, "{files:?}");
    let adoptable = packs.iter().filter(|id| !manifests.contains(id));
    let adoptable: Vec<String> = adoptable.map(|id| format!("{id}.sql.gz")).collect();
    assert_eq!(texts(&listed["adoptable"], ""), adoptable, "{files:?}");
    for name in ids.iter().chain(&adoptable) {
        let path = format!("backups/{name}");
        sandbox.succeed(&["verify", if adoptable.contains(name) { &path } else { name }]);
    }
    ids.len()
}

#[test]
fn a_killed_backup_is_no_backup_or_a_whole_one() {
    let sandbox = bulky();
    let mut litter = 0;
    for (phase, millis) in MOMENTS {
        let before = assert_sound(&sandbox);
        let mut child = start_until(&sandbox, phase);
        thread::sleep(Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
        let after = assert_sound(&sandbox);
        assert!(
            after == before || after == before + 1,
            "{phase:?}: {before} became {after}"
        );
        let is_litter = |name: &&String| name.starts_with(".backstay-tmp-");
        litter += sandbox.files("backups").iter().filter(is_litter).count();
        // The id has the time to the second.
        thread::sleep(Duration::from_millis(1100));
        let next = sandbox.succeed(&["backup", "--json"]).json();
        assert_eq!(assert_sound(&sandbox), after + 1, "{phase:?}");
        let latest = sandbox.succeed(&["show", "latest", "--json"]).json();
        assert_eq!(latest["id"], next["id"], "{phase:?}");
        let kept = sandbox.succeed(&["prune", "--litter", "--json"]).json();
        assert_eq!(
            kept["temporary"],
            serde_json::json!([]),
            "litter may be of a backup that runs"
        );
        sandbox.succeed(&["prune", "--litter", "--grace", "0"]);
        let left = sandbox.files("backups");
        assert!(!left.iter().any(|name| name.starts_with('.')), "{left:?}");
        assert_eq!(assert_sound(&sandbox), after + 1, "{phase:?}: no backup is litter");
        if after > 1 {
            // To look through more of them takes its time and tells nothing new.
            std::fs::remove_dir_all(sandbox.path("backups")).unwrap();
        }
        thread::sleep(Duration::from_millis(1100));
    }
    assert!(
        litter >= 3,
        "the kills came at moments at which there was nothing to lose"
    );
}

/// What a killed restore leaves is either nothing or plainly a part; the backup stays whole, and it can be done again.
#[test]
fn a_killed_restore_can_be_done_again() {
    let sandbox = bulky();
    sandbox.succeed(&["backup"]);
    let files = sandbox.files("backups");
    let there = "SELECT count(*) FROM pg_database WHERE datname = 'copy'";
    for atomicity in [&[][..], &["--single-transaction"]] {
        for (phase, millis) in [
            (None, 0),
            (Some("restoring definitions"), 0),
            (Some("restoring rows"), 0),
            (Some("restoring rows"), 100),
            (Some("restoring what needs"), 0),
        ] {
            let create = [
                &["restore", "latest", "--to", "copy", "--create", "--yes", "copy"][..],
                atomicity,
            ]
            .concat();
            let mut child = run_until(&sandbox, &create, phase);
            thread::sleep(Duration::from_millis(millis));
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(sandbox.files("backups"), files, "{create:?} {phase:?}");
            let gone = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE datname = 'copy'";
            sandbox.sql("postgres", gone);
            if sandbox.sql("postgres", there) == "1" {
                // What is in the way is not dropped unasked; what is not there at all is.
                let again = sandbox.run(&create);
                assert_eq!(again.code, Some(7), "{again:?}");
                let made = sandbox.sql(
                    "copy",
                    "SELECT count(*) FROM pg_class WHERE relname IN ('users', 'bulk')",
                );
                if !atomicity.is_empty() {
                    assert!(made == "0" || made == "2", "{phase:?}: all or nothing, not {made}");
                }
                let clean = [
                    "restore",
                    "latest",
                    "--to",
                    "copy",
                    "--clean",
                    "--single-transaction",
                    "--yes",
                    "copy",
                ];
                sandbox.succeed(&clean);
            } else {
                sandbox.succeed(&create);
            }
            assert_eq!(sandbox.sql("copy", "SELECT count(*) FROM bulk"), "120000");
            assert_eq!(sandbox.sql("copy", "SELECT count(*) FROM app.orders"), "2000");
            sandbox.sql("postgres", "DROP DATABASE copy");
        }
    }
    assert_eq!(assert_sound(&sandbox), 1);
}
