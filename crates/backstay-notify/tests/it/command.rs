use std::time::{Duration, Instant};

use backstay_notify::{Channel, deliver};

use crate::support::{failure, limits};

fn run(script: &str, limit: Duration) -> Result<(), String> {
    let arguments = ["sh", "-c", script, "hunter2", "a b; $(x)"].map(str::to_owned);
    let mut limits = limits();
    limits.one = limit;
    let outcome = deliver(&Channel::command(arguments.to_vec()).unwrap(), &failure(), &limits);
    outcome.map_err(|error| error.to_string())
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_command_gets_the_event_and_no_shell() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("got");
    let script = format!(
        "printf '%s|' \"$1\" \"$BACKSTAY_EVENT\" \"$BACKSTAY_DATABASE\" \"$BACKSTAY_SUMMARY\" > {0}; cat >> {0}",
        file.display()
    );
    run(&script, LONG).unwrap();
    let got = std::fs::read_to_string(file).unwrap();
    let (variables, json) = got.rsplit_once('|').unwrap();
    assert_eq!(variables, "a b; $(x)|failure|kulti|backup of kulti failed");
    assert_eq!(json, format!("{}\n", failure().json()));
}

#[test]
fn a_command_that_reads_nothing_or_fails_is_told_of() {
    run("exec 0<&-", LONG).unwrap();
    assert_eq!(run("exit 3", LONG).unwrap_err(), "sh failed (exit status: 3)");
    let nobody = Channel::command(vec!["no-such-program".to_owned(), "hunter2".to_owned()]);
    let error = deliver(&nobody.unwrap(), &failure(), &limits()).unwrap_err();
    assert!(error.to_string().starts_with("cannot run no-such-program"), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn a_command_that_does_not_end_is_ended_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let begun = Instant::now();
    let script = format!("sleep 600 & echo $! > {}; wait", file.display());
    let error = run(&script, Duration::from_millis(500)).unwrap_err();
    assert!(error.contains("was ended"), "{error}");
    assert!(begun.elapsed() < LONG);
    let child = std::fs::read_to_string(file).unwrap();
    // A zombie that nobody has waited for yet counts as gone; and who was killed takes a moment.
    loop {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") || state.contains(") X ") {
            return;
        }
        assert!(begun.elapsed() < LONG, "{state}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
