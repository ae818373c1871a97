use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::crash::{MOMENTS, assert_sound, bulky, start_until};

#[test]
fn an_interrupted_backup_leaves_nothing() {
    let sandbox = bulky();
    let mut cancelled = 0;
    for signal in [Signal::INT, Signal::TERM] {
        // Before the first line there may be nobody who listens to signals.
        for (phase, millis) in MOMENTS.into_iter().filter(|(phase, _)| phase.is_some()) {
            let before = sandbox.files("backups");
            let count = assert_sound(&sandbox);
            let mut child = start_until(&sandbox, phase);
            thread::sleep(Duration::from_millis(millis));
            let sent = Instant::now();
            kill_process(Pid::from_child(&child), signal).unwrap();
            let code = child.wait().unwrap().code();
            assert!(
                sent.elapsed() < Duration::from_secs(20),
                "{phase:?} took {:?}",
                sent.elapsed()
            );
            match code {
                Some(130) => {
                    cancelled += 1;
                    assert_eq!(sandbox.files("backups"), before, "{phase:?}");
                }
                // It came too late to keep the backup from being published.
                Some(0) => assert_eq!(assert_sound(&sandbox), count + 1, "{phase:?}"),
                other => panic!("{phase:?}: {other:?}"),
            }
            thread::sleep(Duration::from_millis(1100));
        }
    }
    assert!(cancelled >= 8, "only {cancelled} were cancelled");
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'kulti' AND pid <> pg_backend_pid()";
    assert_eq!(sandbox.sql("kulti", sessions), "0");
}

#[test]
fn a_second_signal_ends_the_program_at_once() {
    let sandbox = bulky();
    // It does not listen: pg_dump's end is waited for with a child that ignores everything but the kill.
    let slow = sandbox.script(
        "pg_dump",
        &format!(
            "case \"$1\" in --version) exec '{}/pg_dump' --version;; *) exec sleep 600;; esac",
            sandbox.server.installation().bin().display()
        ),
    );
    let mut child = sandbox.backstay(&["backup", "-q", "--pg-dump", &slow]).spawn().unwrap();
    thread::sleep(Duration::from_millis(1500));
    let sent = Instant::now();
    for _ in 0..2 {
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(sent.elapsed() < Duration::from_secs(5));
}
