use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::output::duration;

use super::say;
use super::stop::Stop;

const LOOK_AGAIN: Duration = Duration::from_millis(50);
const LINE_BYTES_MAX: u64 = 4 << 10;

/// How a piece of work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Well,
    /// With this exit status.
    Badly(u8),
    /// It was asked to end.
    Cancelled,
}

/// Runs this program with arguments, and says when it begins, what it complains of, and how it ended. It is a process of
/// a group of its own, so that a signal from a terminal reaches it through us, and not at once.
pub(super) fn step(who: &str, what: &str, arguments: &[&str], config: &Path, stop: &Stop) -> Ended {
    say(who, &format!("{what} begins"));
    let begun = Instant::now();
    let ended = match start(arguments, config) {
        Ok(mut child) => {
            let relayed = child.stderr.take().map(|stderr| {
                let who = who.to_owned();
                thread::spawn(move || relay(stderr, &who))
            });
            let status = wait(&mut child, stop);
            if let Some(relayed) = relayed {
                let _ = relayed.join();
            }
            status
        }
        Err(error) => Err(error),
    };
    let took = duration(begun.elapsed());
    match ended {
        Ok(status) if status.success() => {
            say(who, &format!("{what} is done, in {took}"));
            Ended::Well
        }
        Ok(_) if stop.cancellations() > 0 => {
            say(who, &format!("{what} was cancelled, after {took}"));
            Ended::Cancelled
        }
        Ok(status) => {
            say(who, &format!("{what} FAILED, after {took} ({status})"));
            Ended::Badly(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(70))
        }
        Err(error) => {
            say(who, &format!("{what} FAILED: it cannot be run: {error}"));
            Ended::Badly(70)
        }
    }
}

fn start(arguments: &[&str], config: &Path) -> io::Result<Child> {
    Command::new(this_program()?)
        .arg0("backstay")
        .arg("--config")
        .arg(config)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// This program, also where another version has taken its place since it was started.
fn this_program() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    if program.exists() {
        return Ok(program);
    }
    Ok(PathBuf::from("/proc/self/exe"))
}

/// Waits for its end, and asks for it as often as we are asked.
fn wait(child: &mut Child, stop: &Stop) -> io::Result<ExitStatus> {
    let mut asked = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        while asked < stop.cancellations() {
            asked += 1;
            // Who has ended meanwhile need not be asked.
            let _ = kill_process(Pid::from_child(child), Signal::TERM);
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Says what it complains of, each line by itself.
fn relay(stderr: impl Read, who: &str) {
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => say(who, &format!("| {}", String::from_utf8_lossy(&line).trim_end())),
        }
    }
}
