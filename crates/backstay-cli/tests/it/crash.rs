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
    let mut child = sandbox
        .backstay(&["backup", "--jobs", "1", "--compress", "gzip:9"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while let Some(phase) = phase {
        line.clear();
        let length = stderr.read_line(&mut line).unwrap();
        assert!(length > 0, "the backup ended before {phase}");
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

/// Whatever is in the store is whole.
pub(crate) fn assert_sound(sandbox: &Sandbox) -> usize {
    let listed = sandbox.run(&["list", "--json"]);
    if listed.code != Some(0) {
        // It was killed before it made the folder.
        assert!(!sandbox.path("backups").exists(), "{listed:?}");
        return 0;
    }
    let backups = listed.json()["backups"].as_array().unwrap().clone();
    for backup in &backups {
        sandbox.succeed(&["verify", backup["id"].as_str().unwrap()]);
    }
    backups.len()
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
        sandbox.succeed(&["verify", next["id"].as_str().unwrap()]);
        let kept = sandbox.succeed(&["prune", "--litter", "--json"]).json();
        assert_eq!(
            kept["temporary"],
            serde_json::json!([]),
            "litter may be of a backup that runs"
        );
        sandbox.succeed(&["prune", "--litter", "--grace", "0"]);
        let left = sandbox.files("backups");
        assert!(!left.iter().any(|name| name.starts_with('.')), "{left:?}");
        thread::sleep(Duration::from_millis(1100));
    }
    assert!(
        litter >= 3,
        "the kills came at moments at which there was nothing to lose"
    );
}
