//! Nights on which everything goes wrong: afterwards there is no backup or a whole one, and the next one works.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use backstay::Prefix;
use backstay_testkit::fixtures::SampleBackup;
use jiff::{SignedDuration, Timestamp};

use crate::crash::assert_sound;
use crate::support::{PASSWORD, Run, Sandbox};

#[test]
fn two_programs_at_once_make_a_backup_each_or_one_says_why_not() {
    let sandbox = Sandbox::with_sample();
    let mut made = 0;
    for _ in 0..4 {
        let both = [(); 2].map(|()| {
            let mut command = sandbox.backstay(&["backup", "-q"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        });
        let runs = both.map(|child| Run::from(child.wait_with_output().unwrap()));
        let good = runs.iter().filter(|run| run.code == Some(0)).count();
        assert!(good > 0, "{runs:?}");
        for lost in runs.iter().filter(|run| run.code != Some(0)) {
            assert_eq!(lost.code, Some(5), "{lost:?}");
            assert!(lost.stderr.contains("exists already"), "{lost:?}");
            assert!(
                lost.stderr
                    .contains("hint: an id has the time to the second: try again"),
                "{lost:?}"
            );
        }
        made += good;
        assert_eq!(assert_sound(&sandbox), made);
        assert_eq!(
            sandbox.files("backups").len(),
            3 * made,
            "nothing but backups of three files"
        );
        // The id has the time to the second.
        thread::sleep(Duration::from_millis(1100));
    }
}

#[test]
fn nothing_old_goes_while_new_backups_fail() {
    let sandbox = Sandbox::with_sample();
    let repository = sandbox.repository("backups");
    let prefix: Prefix = "kulti".parse().unwrap();
    for days in [40, 30, 20] {
        let time = Timestamp::now() - SignedDuration::from_hours(24 * days);
        let id = backstay::BackupId::new(prefix.clone(), time).to_string();
        SampleBackup::kulti(&id, backstay::Compression::default()).publish(Arc::clone(repository.store()));
    }
    let before = sandbox.files("backups");
    let half = sandbox.script(
        "half",
        r#"[ "$1" = --version ] && exec pg_dump --version; pg_dump "$@" | head -c 300"#,
    );
    let late = sandbox.script(
        "late",
        r#"[ "$1" = --version ] && exec pg_dump --version; pg_dump "$@"; exit 1"#,
    );
    let gone = "postgres://postgres@127.0.0.1:1/kulti";
    for broken in [
        &["--pg-dump", &half][..],
        &["--pg-dump", &late],
        &["--from", gone],
        &["--table", "app.nothing"],
    ] {
        let run = sandbox.run(&[&["backup", "--keep-days", "1"], broken].concat());
        assert!(run.code.is_some_and(|code| code != 0), "{broken:?}: {run:?}");
        assert_eq!(sandbox.files("backups"), before, "{broken:?}");
    }
    // A backup of another database is no reason to let these go, either.
    sandbox.succeed(&["backup", "--keep-days", "1", "--from", &sandbox.url("postgres")]);
    assert_eq!(repository.list().unwrap().backups.len(), 4);
    sandbox.succeed(&["backup", "--keep-days", "1"]);
    let left = repository.list().unwrap().backups;
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(
        left.iter()
            .all(|backup| Timestamp::now().duration_since(backup.id.time()).as_hours() < 1)
    );
}

/// How a small disk can be had that goes with the process which uses it: a mount that nobody else sees.
#[cfg(target_os = "linux")]
fn private_mounts() -> Option<&'static [&'static str]> {
    const WAYS: [&[&str]; 2] = [&["--mount"], &["--map-root-user", "--mount"]];
    WAYS.into_iter().find(|way| {
        let mut command = Command::new("unshare");
        command
            .args(*way)
            .args(["mount", "-t", "tmpfs", "-o", "size=64k", "none", "/mnt"]);
        command.output().is_ok_and(|output| output.status.success())
    })
}

#[cfg(target_os = "linux")]
const ON_A_SMALL_DISK: &str = r#"
    step() { echo "== $1"; shift; "$@" 2>&1; echo "status $?"; ls -A small; sleep 1.1; }
    mkdir small && mount -t tmpfs -o size=400k none small || exit 99
    step first "$program" backup small --exclude-table-data noise
    step fills "$program" backup small
    step listed "$program" list small
    head -c 1000000 /dev/zero > small/ballast 2>/dev/null
    step filled "$program" backup small --exclude-table-data noise
    rm small/ballast
    step next "$program" backup small --exclude-table-data noise
    step sound "$program" verify latest --store small
"#;

#[cfg(target_os = "linux")]
#[test]
#[expect(clippy::print_stderr, reason = "what cannot be tried must be seen to be left out")]
fn a_full_disk_gets_no_half_backup_and_serves_again_with_room() {
    let sandbox = Sandbox::with_sample();
    sandbox.sql(
        "kulti",
        "CREATE TABLE public.noise AS SELECT i, md5(i::text) || md5((-i)::text) AS x FROM generate_series(1, 20000) i",
    );
    let Some(way) = private_mounts() else {
        eprintln!(
            "left out: this user may mount nothing (unshare --mount, unshare --map-root-user --mount); a full disk is \
             tried with stores that fail alone (faults.rs of the crate backstay)"
        );
        return;
    };
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("unshare");
    command
        .args(way)
        .args(["sh", "-c", ON_A_SMALL_DISK])
        .envs([("PGHOST", "127.0.0.1"), ("PGUSER", "postgres"), ("PGDATABASE", "kulti")])
        .envs([("PGPASSWORD", PASSWORD), ("program", env!("CARGO_BIN_EXE_backstay"))])
        .env("PGPORT", sandbox.server.port().to_string())
        .env(
            "PATH",
            format!("{}:{path}", sandbox.server.installation().bin().display()),
        )
        .current_dir(sandbox.path(""));
    let run = Run::of(&mut command);
    let steps: Vec<&str> = run.stdout.split("== ").skip(1).collect();
    let names = ["first", "fills", "listed", "filled", "next", "sound"];
    assert_eq!(steps.len(), names.len(), "{run:?}");
    // The number of backups that there are after each step, and how it ended.
    for ((step, name), (status, backups)) in
        steps
            .iter()
            .zip(names)
            .zip([(0, 1), (5, 1), (0, 1), (5, 1), (0, 2), (0, 2)])
    {
        assert!(step.starts_with(name), "{run:?}");
        assert!(step.contains(&format!("\nstatus {status}\n")), "{step}");
        let (_, files) = step.split_once("\nstatus ").unwrap();
        let files: Vec<&str> = files.lines().skip(1).collect();
        let is_of_backup = |file: &&str| !matches!(*file, "ballast" | "log") && !file.contains(".proof-");
        let files: Vec<&str> = files.into_iter().filter(is_of_backup).collect();
        assert_eq!(files.len(), 3 * backups, "{step}");
        if status == 5 {
            assert!(step.contains("no space") || step.contains("No space"), "{step}");
            assert!(step.contains("\nhint: free some space"), "{step}");
        }
    }
    assert_eq!(steps[2].matches("kulti_backup_").count(), 1 + 3, "{}", steps[2]);
}
