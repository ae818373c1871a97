use std::io::{self, Read as _, Write as _};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::event::Event;

const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long what it complained about is waited for, once it has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
const COMPLAINT_BYTES_MAX: u64 = 16 << 10;

/// Runs a command with the event on its standard input and in variables. Whatever it prints goes nowhere; what it complains
/// about goes where our complaints go, by a pipe of ours: what it leaves running keeps nobody waiting who waits for our output.
pub(super) fn run(arguments: &[String], event: &Event, limits: &super::Limits) -> Result<(), String> {
    let Some((program, rest)) = arguments.split_first() else {
        return Err("the command is empty".to_owned());
    };
    let mut command = Command::new(program);
    command
        .args(rest)
        .env("BACKSTAY_EVENT", event.kind.to_string())
        .env("BACKSTAY_WORK", event.work.to_string())
        .env("BACKSTAY_DATABASE", event.database.as_deref().unwrap_or_default())
        .env("BACKSTAY_BACKUP", event.backup.as_deref().unwrap_or_default())
        .env("BACKSTAY_SUMMARY", event.summary())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    in_a_group_of_its_own(&mut command);
    let mut child = command
        .spawn()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // It fits into a pipe, and a program may not want to read it.
        let _ = stdin.write_all(format!("{}\n", event.json()).as_bytes());
    }
    let (said, heard) = mpsc::channel::<()>();
    if let Some(stderr) = child.stderr.take() {
        thread::spawn(move || {
            complain(stderr);
            drop(said);
        });
    }
    let ended = wait(&mut child, program, limits);
    let _ = heard.recv_timeout(LAST_WORDS);
    ended
}

fn wait(child: &mut Child, program: &str, limits: &super::Limits) -> Result<(), String> {
    let deadline = Instant::now() + limits.one;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("{program} failed ({status})")),
            Ok(None) if Instant::now() < deadline => thread::sleep(LOOK_AGAIN),
            Ok(None) => {
                end(child);
                let secs = limits.one.as_secs();
                return Err(format!("{program} was ended, because it took longer than {secs} s"));
            }
            Err(error) => return Err(format!("cannot wait for {program}: {error}")),
        }
    }
}

fn complain(mut stderr: ChildStderr) {
    // Who cannot be told is not told; the rest is taken, so that the command is not kept.
    let _ = io::copy(&mut (&mut stderr).take(COMPLAINT_BYTES_MAX), &mut io::stderr());
    let _ = io::copy(&mut stderr, &mut io::sink());
}

#[cfg(unix)]
fn in_a_group_of_its_own(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;

    command.process_group(0);
}

#[cfg(not(unix))]
fn in_a_group_of_its_own(_: &mut Command) {}

/// Ends a child with what it has started.
fn end(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}
