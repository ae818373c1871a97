use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::output::duration;

use super::say;
use super::stop::Stop;

const LOOK_AGAIN: Duration = Duration::from_millis(50);
const LINE_BYTES_MAX: u64 = 4 << 10;
/// What it started may outlive it and keep its output open, and nobody waits longer than this for that.
const LAST_WORDS: Duration = Duration::from_secs(1);
const ANSWER_BYTES_MAX: u64 = 8 << 20;
/// The exit status of what did not come to one.
const NO_STATUS: u8 = 70;

/// How a piece of work ended, and what it printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Well(Vec<u8>),
    /// With this exit status.
    Badly(u8),
    /// It came to no exit status: it cannot be run, or something killed it.
    Lost(String),
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
                apart(move || relay(stderr, |line| say(&who, line)))
            });
            let printed = child.stdout.take().map(|stdout| apart(move || answer(stdout)));
            let status = wait(&mut child, stop);
            let printed = printed.and_then(|printed| printed.recv_timeout(LAST_WORDS).ok());
            if let Some(Err(RecvTimeoutError::Timeout)) = relayed.map(|relayed| relayed.recv_timeout(LAST_WORDS)) {
                say(who, &format!("{what} left a process behind, which is not waited for"));
            }
            status.map(|status| (status, printed.unwrap_or_default()))
        }
        Err(error) => Err(error),
    };
    let took = duration(begun.elapsed());
    match ended {
        Ok((status, printed)) if status.success() => {
            say(who, &format!("{what} is done, in {took}"));
            Ended::Well(printed)
        }
        Ok(_) if stop.cancellations() > 0 => {
            say(who, &format!("{what} was cancelled, after {took}"));
            Ended::Cancelled
        }
        Ok((status, _)) => {
            say(who, &format!("{what} FAILED, after {took} ({status})"));
            match status.code() {
                Some(code) => Ended::Badly(u8::try_from(code).unwrap_or(NO_STATUS)),
                None => Ended::Lost(status.to_string()),
            }
        }
        Err(error) => {
            say(who, &format!("{what} FAILED: it cannot be run: {error}"));
            Ended::Lost(format!("it cannot be run: {error}"))
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
        .stdout(Stdio::piped())
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

/// Does something on a thread that nobody has to wait for.
fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> mpsc::Receiver<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || {
        // Whoever does not wait any more does not listen.
        let _ = sender.send(work());
    });
    receiver
}

/// What it prints, as far as that is bounded.
fn answer(mut stdout: impl Read) -> Vec<u8> {
    let mut printed = Vec::new();
    // What cannot be read is missing in what was printed.
    let _ = (&mut stdout).take(ANSWER_BYTES_MAX).read_to_end(&mut printed);
    let _ = io::copy(&mut stdout, &mut io::sink());
    printed
}

/// Says what it complains of, each line by itself.
fn relay(stderr: impl Read, mut say: impl FnMut(&str)) {
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => say(&format!("| {}", String::from_utf8_lossy(&line).trim_end())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relayed(stderr: impl Read) -> Vec<String> {
        let mut lines = Vec::new();
        relay(stderr, |line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn each_line_is_said_by_itself_and_the_last_without_an_end_too() {
        let lines = relayed(&b"error: one\n  hint: two\r\n\nr\xe9sum\xe9"[..]);
        assert_eq!(lines, ["| error: one", "|   hint: two", "| ", "| r\u{fffd}sum\u{fffd}"]);
        assert_eq!(relayed(io::empty()), Vec::<String>::new());
    }

    #[test]
    fn a_line_without_an_end_is_said_in_parts_of_a_bounded_length() {
        let long = io::repeat(b'x').take(3 * LINE_BYTES_MAX + 1).chain(&b"\nend\n"[..]);
        let lengths: Vec<u64> = relayed(long).iter().map(|line| line.len() as u64 - 2).collect();
        assert_eq!(lengths, [LINE_BYTES_MAX, LINE_BYTES_MAX, LINE_BYTES_MAX, 1, 3]);
    }

    #[test]
    fn of_an_answer_that_is_too_long_the_rest_is_read_and_not_kept() {
        /// Counts what was read of it.
        struct Counted<'c, R>(R, &'c mut u64);

        impl<R: Read> Read for Counted<'_, R> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let read = self.0.read(buffer)?;
                *self.1 += read as u64;
                Ok(read)
            }
        }

        let mut count = 0;
        let long = io::repeat(b'x').take(ANSWER_BYTES_MAX + 70_000);
        let kept = answer(Counted(long, &mut count));
        // Whoever writes it is not kept waiting.
        assert_eq!(
            (kept.len() as u64, count),
            (ANSWER_BYTES_MAX, ANSWER_BYTES_MAX + 70_000)
        );
    }
}
