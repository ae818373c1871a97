//! Running a program whose exit status is part of its output.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

/// Bytes of the end of standard error that an error keeps.
const STDERR_BYTES: usize = 16 << 10;
/// How often `cancelled` is asked while the child says nothing.
const POLL: Duration = Duration::from_millis(100);
/// How long a child that has ended is waited for to let go of its standard error, which a process it left behind may
/// hold for ever.
const STDERR_GRACE: Duration = Duration::from_secs(1);

/// Why there is no output of a program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// It could not be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its output could not be read, or its end not be awaited.
    #[error("cannot read from {}", program.display())]
    Read {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended with an exit status that is not 0.
    #[error("{} ended with exit status {status}{}", program.display(), Said(stderr))]
    Failed {
        /// The program.
        program: PathBuf,
        /// Its exit status.
        status: i32,
        /// The end of what it wrote to standard error, without control characters.
        stderr: String,
    },
    /// A signal ended it.
    #[error("{} was ended by signal {signal}{}", program.display(), Said(stderr))]
    Killed {
        /// The program.
        program: PathBuf,
        /// The signal.
        signal: i32,
        /// The end of what it wrote to standard error, without control characters.
        stderr: String,
    },
    /// It wrote more than is kept in memory.
    #[error("{} wrote more than {limit} bytes", program.display())]
    TooLarge {
        /// The program.
        program: PathBuf,
        /// The most that is kept.
        limit: u64,
    },
    /// The caller wanted no more of it.
    #[error("{} was cancelled", program.display())]
    Cancelled {
        /// The program.
        program: PathBuf,
    },
}

struct Said<'a>(&'a str);

impl std::fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.0)
        }
    }
}

/// Runs the program and returns what it wrote to standard output, if it then ended with status 0.
///
/// It has no standard input, and a process group of its own: keys pressed at the terminal do not reach it, and
/// nothing that it started outlives a cancellation.
pub(super) fn output(command: Command, limit: u64, cancelled: &dyn Fn() -> bool) -> Result<Vec<u8>, ProgramError> {
    let mut running = Running::start(command)?;
    let collected = running.collect(limit, cancelled)?;
    let status = running.wait(cancelled)?;
    running.settle(status)?;
    Ok(collected)
}

/// A child; dropping it ends it and everything in its process group.
struct Running {
    program: PathBuf,
    child: Child,
    ended: bool,
    chunks: Receiver<io::Result<Vec<u8>>>,
    stderr: Receiver<Vec<u8>>,
}

impl Running {
    fn start(mut command: Command) -> Result<Self, ProgramError> {
        let program = Path::new(command.get_program()).to_owned();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(source) => return Err(ProgramError::Start { program, source }),
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        // From here on dropping it ends the child, whatever fails.
        let (chunk_sender, chunks) = mpsc::sync_channel(16);
        let (tail_sender, tail) = mpsc::sync_channel(1);
        let running = Self {
            program,
            child,
            ended: false,
            chunks,
            stderr: tail,
        };
        let threads = [
            thread::Builder::new()
                .name("pg_dump output".into())
                .spawn(move || forward(stdout, &chunk_sender)),
            thread::Builder::new()
                .name("pg_dump messages".into())
                .spawn(move || drain(stderr, &tail_sender)),
        ];
        for thread in threads {
            thread.map_err(|source| running.unreadable(source))?;
        }
        Ok(running)
    }

    fn collect(&mut self, limit: u64, cancelled: &dyn Fn() -> bool) -> Result<Vec<u8>, ProgramError> {
        let mut collected = Vec::new();
        loop {
            if cancelled() {
                return Err(self.cancelled());
            }
            match self.chunks.recv_timeout(POLL) {
                Ok(Ok(chunk)) => {
                    if (collected.len() + chunk.len()) as u64 > limit {
                        return Err(ProgramError::TooLarge {
                            program: self.program.clone(),
                            limit,
                        });
                    }
                    collected.extend_from_slice(&chunk);
                }
                Ok(Err(source)) => return Err(self.unreadable(source)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(collected),
            }
        }
    }

    /// Waits for the end of a child that has closed its output, which need not be the same moment.
    fn wait(&mut self, cancelled: &dyn Fn() -> bool) -> Result<ExitStatus, ProgramError> {
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = self.child.try_wait().map_err(|source| self.unreadable(source))? {
                self.ended = true;
                return Ok(status);
            }
            if cancelled() {
                return Err(self.cancelled());
            }
            thread::sleep(pause);
            pause = POLL.min(pause * 2);
        }
    }

    fn settle(&self, status: ExitStatus) -> Result<(), ProgramError> {
        if status.success() {
            return Ok(());
        }
        let stderr = self.stderr.recv_timeout(STDERR_GRACE).unwrap_or_default();
        let (program, stderr) = (self.program.clone(), readable(&stderr));
        Err(match (status.code(), status.signal()) {
            (Some(status), _) => ProgramError::Failed {
                program,
                status,
                stderr,
            },
            (None, signal) => ProgramError::Killed {
                program,
                signal: signal.unwrap_or_default(),
                stderr,
            },
        })
    }

    fn unreadable(&self, source: io::Error) -> ProgramError {
        ProgramError::Read {
            program: self.program.clone(),
            source,
        }
    }

    fn cancelled(&self) -> ProgramError {
        ProgramError::Cancelled {
            program: self.program.clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // Until it is waited for, its number cannot become another process's, nor its group's.
        let group = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(group) = group {
            _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Sends on what the child writes, until it ends or nobody listens.
fn forward(stdout: Option<impl Read>, chunks: &SyncSender<io::Result<Vec<u8>>>) {
    let Some(mut stdout) = stdout else { return };
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = match stdout.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => Ok(buffer[..length].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let last = read.is_err();
        if chunks.send(read).is_err() || last {
            return;
        }
    }
}

/// Reads all of standard error, so that the child never waits for us, and keeps the end.
fn drain(stderr: Option<impl Read>, tail: &SyncSender<Vec<u8>>) {
    let mut kept = VecDeque::new();
    if let Some(mut stderr) = stderr {
        let mut buffer = [0; 4 << 10];
        loop {
            match stderr.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => {
                    kept.extend(&buffer[..length]);
                    kept.drain(..kept.len().saturating_sub(STDERR_BYTES));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
    }
    _ = tail.send(kept.into());
}

/// Text for a message: line ends stay, other control characters (a server may have put them there) do not.
fn readable(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.trim()
        .chars()
        .map(|c| if c.is_control() && c != '\n' { ' ' } else { c })
        .collect()
}
