use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use backstay::{CancelToken, ConnectionConfig};
use backstay_postgres::Installation;

use crate::failure::Failure;

/// How often a child is looked at.
const POLL: Duration = Duration::from_millis(20);

/// How much of what a failed program wrote is shown, from its end.
const COMPLAINT_BYTES_MAX: usize = 4096;

/// One of PostgreSQL's client programs, with the connection in its environment.
pub(crate) fn client(program: impl AsRef<Path>, config: &ConnectionConfig) -> Command {
    let mut command = Command::new(program.as_ref());
    connect(&mut command, config);
    command
}

/// Makes a program, or those that it starts, connect as configured.
pub(crate) fn connect(command: &mut Command, config: &ConnectionConfig) {
    let environment = config.child_environment();
    for name in environment.remove {
        command.env_remove(name);
    }
    command.envs(environment.set).stdin(Stdio::null());
}

/// Runs statements and gives what `psql -At` prints.
pub(crate) fn query(
    installation: &Installation,
    config: &ConnectionConfig,
    sql: &str,
    cancel: &CancelToken,
) -> Result<String, Failure> {
    let mut psql = client(installation.program("psql"), config);
    psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql]);
    let printed = output(&mut psql, cancel)?;
    Ok(String::from_utf8_lossy(&printed).trim_end().to_owned())
}

/// Runs a program that must succeed, and gives what it prints.
pub(crate) fn output(command: &mut Command, cancel: &CancelToken) -> Result<Vec<u8>, Failure> {
    let name = name(command);
    let mut child = spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let printed = child.stdout.take().map(drain);
    let complaints = child.stderr.take().map(drain);
    let status = wait(&mut child, cancel)?;
    check(&name, status, complaints)?;
    Ok(printed.map(joined).unwrap_or_default())
}

/// Runs two programs, the second of which reads what the first prints; both must succeed.
pub(crate) fn pipe(first: &mut Command, second: &mut Command, cancel: &CancelToken) -> Result<(), Failure> {
    let names = [name(first), name(second)];
    let mut producer = spawn(first.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let complaints = producer.stderr.take().map(drain);
    second.stdin(producer.stdout.take().map_or_else(Stdio::null, Stdio::from));
    let consumed = output(second, cancel);
    // The pipe's reading end is open in `second` too, and a writer would wait for it.
    second.stdin(Stdio::null());
    let status = wait(&mut producer, cancel)?;
    // Where the second program stopped early the first one dies of it: the second one's complaint is the cause.
    consumed?;
    check(&names.join(" | "), status, complaints)
}

/// The program's name, for messages.
pub(crate) fn name(command: &Command) -> String {
    let program = Path::new(command.get_program());
    program
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn spawn(command: &mut Command) -> Result<Child, Failure> {
    let name = name(command);
    command.spawn().map_err(Failure::to(format!("run {name}")))
}

/// Waits for a child, and kills it when that is wished.
fn wait(child: &mut Child, cancel: &CancelToken) -> Result<ExitStatus, Failure> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if cancel.is_cancelled() {
            child.kill()?;
        }
        thread::sleep(POLL);
    }
}

fn check(name: &str, status: ExitStatus, complaints: Option<JoinHandle<Vec<u8>>>) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    Err(complaint(name, status, &complaints.map(joined).unwrap_or_default()))
}

/// What to say of a program that failed and wrote `complaints`.
pub(crate) fn complaint(name: &str, status: ExitStatus, complaints: &[u8]) -> Failure {
    let shown = &complaints[complaints.len().saturating_sub(COMPLAINT_BYTES_MAX)..];
    Failure::new(format!(
        "{name} failed ({status}): {}",
        String::from_utf8_lossy(shown).trim()
    ))
}

/// Reads on a thread, so that the child never waits for a reader. A read error looks like the end: the child's status
/// tells whether it went well.
pub(crate) fn drain(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        drop(from.read_to_end(&mut bytes));
        bytes
    })
}

pub(crate) fn joined(reader: JoinHandle<Vec<u8>>) -> Vec<u8> {
    reader.join().unwrap_or_default()
}
