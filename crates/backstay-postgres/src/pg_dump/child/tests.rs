use std::cell::Cell;
use std::time::Instant;

use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

fn run(script: &str) -> Result<Vec<u8>, ProgramError> {
    output(shell(script), 1 << 20, &|| false)
}

#[test]
fn output_of_a_program_that_ends_well_is_whole() {
    let length = 300_000;
    let output = run(&format!(
        "head -c {length} /dev/zero; echo warning >&2; exec >&-; sleep 0.2"
    ))
    .unwrap();
    assert_eq!(output.len(), length);
}

#[test]
fn output_of_a_program_that_fails_is_dropped() {
    let error = run("echo half of it; printf 'pg_dump: error: no\\033[2J such\\nthing\\n' >&2; exit 3").unwrap_err();
    let expected = "/bin/sh ended with exit status 3: pg_dump: error: no [2J such\nthing";
    assert_eq!(error.to_string(), expected);
    assert_eq!(
        run("exit 1").unwrap_err().to_string(),
        "/bin/sh ended with exit status 1"
    );
}

#[test]
fn a_signal_is_told_from_a_failure() {
    let error = run("echo half of it; echo why >&2; kill -TERM $$").unwrap_err();
    assert!(
        matches!(&error, ProgramError::Killed { signal: 15, stderr, .. } if stderr == "why"),
        "{error:?}"
    );
}

#[test]
fn a_program_that_does_not_exist_is_named() {
    let error = output(Command::new("/nonexistent/pg_dump"), 1, &|| false).unwrap_err();
    assert_eq!(error.to_string(), "cannot start /nonexistent/pg_dump");
    assert!(matches!(error, ProgramError::Start { source, .. } if source.kind() == io::ErrorKind::NotFound));
}

#[test]
fn flooded_standard_error_neither_blocks_nor_grows() {
    let error = run("head -c 5000000 /dev/zero | tr '\\0' x >&2; echo; echo the end >&2; exit 1").unwrap_err();
    let ProgramError::Failed { stderr, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(
        stderr.len() <= STDERR_BYTES && stderr.ends_with("xthe end"),
        "{} bytes",
        stderr.len()
    );
}

#[test]
fn output_has_a_limit() {
    let at = |limit| output(shell("head -c 100000 /dev/zero"), limit, &|| false);
    assert_eq!(at(100_000).unwrap().len(), 100_000);
    let error = at(99_999).unwrap_err();
    assert_eq!(error.to_string(), "/bin/sh wrote more than 99999 bytes");
}

/// Cancels the script at the third question and checks that it, and what it started, are gone soon.
fn check_cancelled(script: &str) {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script = script.replace("PIDS", pids.to_str().unwrap());
    let asked = Cell::new(0);
    let started = Instant::now();
    let cancelled = || {
        // Only once the script has got to the point where it hangs.
        if std::fs::read_to_string(&pids).is_ok_and(|pids| pids.lines().count() == 2) {
            asked.set(asked.get() + 1);
        }
        asked.get() >= 3
    };
    let error = output(shell(&script), 1 << 20, &cancelled).unwrap_err();
    assert!(matches!(error, ProgramError::Cancelled { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    for pid in std::fs::read_to_string(&pids).unwrap().lines() {
        let alive = || {
            let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
            rustix::process::test_kill_process(pid).is_ok() && !is_zombie(pid.as_raw_nonzero().get())
        };
        let killed = Instant::now();
        while alive() {
            assert!(
                killed.elapsed() < Duration::from_secs(5),
                "process {pid} is still there"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// An orphan that was killed may wait for a lazy first process to take note.
fn is_zombie(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

#[test]
fn a_hanging_program_is_ended_with_its_children() {
    check_cancelled("echo $$ >> PIDS; sleep 60 & echo $! >> PIDS; wait");
}

#[test]
fn a_program_that_hangs_after_closing_its_output_is_ended() {
    check_cancelled("exec >&- 2>&-; echo $$ >> PIDS; sleep 60 & echo $! >> PIDS; wait");
}

#[test]
fn a_program_that_writes_without_end_can_be_cancelled() {
    let asked = Cell::new(0);
    let cancelled = || {
        asked.set(asked.get() + 1);
        asked.get() > 10
    };
    let error = output(shell("exec cat /dev/zero"), u64::MAX, &cancelled).unwrap_err();
    assert!(matches!(error, ProgramError::Cancelled { .. }), "{error:?}");
}

#[test]
fn a_process_left_behind_does_not_hold_up_the_error() {
    let started = Instant::now();
    let error = run("sleep 30 >&- & echo why >&2; exit 1").unwrap_err();
    assert!(matches!(error, ProgramError::Failed { status: 1, .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(15));
}
