use std::net::TcpListener;
use std::process::{Command, Stdio};
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

/// A server that says nothing: connecting to it waits, and nothing looks at the token meanwhile.
#[test]
fn a_second_signal_ends_the_program_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("postgres://postgres@127.0.0.1:{port}/kulti?sslmode=disable");
    let child = Command::new(env!("CARGO_BIN_EXE_backstay"))
        .args(["backup", "--from", &url])
        .env_clear()
        .current_dir(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (connection, _) = listener.accept().unwrap();
    let interrupt = || kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    interrupt();
    thread::sleep(Duration::from_millis(500));
    interrupt();
    let sent = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(sent.elapsed() < Duration::from_secs(5));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.ends_with("cancelling; once more to stop at once\n"), "{said}");
    drop(connection);
}
