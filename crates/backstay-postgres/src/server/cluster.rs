use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::account::Account;
use super::{Authentication, Durability, Installation, ServerOptions, ThrowawayError, process};
use crate::config::Secret;

/// How much of a log or of a program's output an error shows, from its end.
const TAIL_BYTES_MAX: u64 = 4096;

/// `postmaster.pid` has about ten short lines; what is longer is not one.
const PID_FILE_BYTES_MAX: u64 = 16 * 1024;

pub(super) fn data_folder(folder: &Path) -> PathBuf {
    folder.join("data")
}

pub(super) fn log_file(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

/// The part of a log that belongs to one start of the server.
#[derive(Clone, Copy)]
pub(super) struct LogTail<'a> {
    pub(super) file: &'a Path,
    pub(super) start: u64,
}

impl LogTail<'_> {
    pub(super) fn read(self) -> String {
        tail(self.file, self.start)
    }
}

/// Reads the end of a file, not reaching back before `start`. It is for messages, so a failure is told as text.
pub(super) fn tail(path: &Path, start: u64) -> String {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(start.max(length.saturating_sub(TAIL_BYTES_MAX))))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => String::from_utf8_lossy(&bytes).trim().to_owned(),
        Err(error) => {
            let error: std::io::Error = error;
            format!("(its log cannot be read: {error})")
        }
    }
}

/// Runs `initdb` and writes the settings.
pub(super) fn initialise(
    installation: &Installation,
    folder: &Path,
    options: &ServerOptions,
    account: Option<&Account>,
) -> Result<(), ThrowawayError> {
    let program = installation.program("initdb");
    let output_file = folder.join("initdb.log");
    let output = File::create(&output_file).map_err(ThrowawayError::io("create", &output_file))?;
    let output_of_errors = output.try_clone().map_err(ThrowawayError::io("open", &output_file))?;
    let data_folder = data_folder(folder);

    let mut command = process::command(&program, folder, account);
    command.arg("--pgdata").arg(&data_folder);
    command.arg("--username").arg(&options.superuser);
    command.arg("--encoding").arg(&options.encoding);
    command.arg("--locale").arg(&options.locale);
    command.arg("--no-sync");
    let password_file = match &options.authentication {
        Authentication::Trust => {
            command.arg("--auth=trust");
            None
        }
        Authentication::Scram(password) => {
            let path = write_password_file(folder, password, account)?;
            command.arg("--auth=scram-sha-256").arg("--pwfile").arg(&path);
            Some(path)
        }
    };
    command.args(&options.initdb_arguments);
    let status = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(output_of_errors)
        .status()
        .map_err(|source| ThrowawayError::not_run(&program, account, source))?;
    if let Some(path) = password_file {
        fs::remove_file(&path).map_err(ThrowawayError::io("remove", &path))?;
    }
    if !status.success() {
        let output = tail(&output_file, 0);
        return Err(ThrowawayError::ProgramFailed {
            program,
            status,
            output,
        });
    }
    append(&data_folder.join("postgresql.conf"), &configuration(options))
}

/// Whether the server says in its lock file that it takes connections.
///
/// The eighth line is the state since PostgreSQL 10 (`src/include/utils/pidfile.h`), and what `pg_ctl --wait` looks at.
/// The process id guards against the file of an earlier start.
pub(super) fn is_ready(data_folder: &Path, postmaster: u32) -> bool {
    let contents = read_pid_file(data_folder).unwrap_or_default();
    let mut lines = contents.lines();
    lines.next() == Some(postmaster.to_string().as_str()) && lines.nth(6).map(str::trim_end) == Some("ready")
}

/// Process id of the server that has or had the folder; `None` if none is noted.
pub(super) fn noted_postmaster(data_folder: &Path) -> Option<i32> {
    // A negative number is that of a stand-alone backend, which nobody starts here.
    read_pid_file(data_folder)?
        .lines()
        .next()?
        .parse()
        .ok()
        .filter(|pid| *pid > 1)
}

fn read_pid_file(data_folder: &Path) -> Option<String> {
    let mut contents = String::new();
    File::open(data_folder.join("postmaster.pid"))
        .ok()?
        .take(PID_FILE_BYTES_MAX)
        .read_to_string(&mut contents)
        .ok()?;
    Some(contents)
}

fn write_password_file(folder: &Path, password: &Secret, account: Option<&Account>) -> Result<PathBuf, ThrowawayError> {
    let path = folder.join("password");
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(ThrowawayError::io("create", &path))?;
    file.write_all(password.expose())
        .map_err(ThrowawayError::io("write", &path))?;
    if let Some(account) = account {
        account.own(&path)?;
    }
    Ok(path)
}

fn append(path: &Path, text: &str) -> Result<(), ThrowawayError> {
    File::options()
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(ThrowawayError::io("write", path))
}

fn configuration(options: &ServerOptions) -> String {
    let mut settings = vec![
        ("listen_addresses", "127.0.0.1"),
        // In files of the data folder: what a killed server leaves in /dev/shm would stay for ever, and containers
        // have little of it.
        ("dynamic_shared_memory_type", "mmap"),
        // Messages are read by programs, and the machine's own time zone must not show in results.
        ("lc_messages", "C"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
    ];
    match options.durability {
        Durability::Off => settings.extend([("fsync", "off"), ("full_page_writes", "off")]),
        Durability::On => {}
    }
    // The last of several entries with one name wins.
    let wanted = options
        .settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    settings
        .into_iter()
        .chain(wanted)
        .map(|(name, value)| format!("{name} = {}\n", quoted(value)))
        .collect()
}

/// Quotes a value for `postgresql.conf`, where both the quote and the backslash are special.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_folder_with(contents: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("postmaster.pid"), contents).expect("a small file");
        folder
    }

    #[test]
    fn a_server_is_ready_when_its_own_lock_file_says_so() {
        let check = |contents: &str, expected: bool| {
            let folder = data_folder_with(contents);
            assert_eq!(is_ready(folder.path(), 4711), expected, "{contents:?}");
        };
        check("4711\n/d\n1700000000\n5432\n/s\n127.0.0.1\n 12 34\nready   \n", true);
        check("4711\n/d\n1700000000\n5432\n/s\n127.0.0.1\n 12 34\nstarting\n", false);
        check("4711\n/d\n1700000000\n5432\n/s\n127.0.0.1\n", false);
        check("4712\n/d\n1700000000\n5432\n/s\n127.0.0.1\n 12 34\nready   \n", false);
        check("", false);
    }

    #[test]
    fn the_noted_process_is_a_server() {
        let check = |contents: &str, expected| {
            let folder = data_folder_with(contents);
            assert_eq!(noted_postmaster(folder.path()), expected, "{contents:?}");
        };
        check("4711\n/d\n", Some(4711));
        check("-4711\n/d\n", None);
        check("0\n", None);
        check("1\n", None);
        check("", None);
    }

    #[test]
    fn values_of_settings_are_quoted() {
        assert_eq!(quoted(r"a'b\c"), r"'a''b\\c'");
    }

    #[test]
    fn wanted_settings_come_last_so_that_they_win() {
        let mut options = ServerOptions::new(Authentication::Trust);
        options.settings = vec![("fsync".to_owned(), "on".to_owned())];
        let text = configuration(&options);
        assert!(text.find("fsync = 'off'") < text.find("fsync = 'on'"), "{text}");
        assert!(text.ends_with("fsync = 'on'\n"), "{text}");
    }

    #[test]
    fn a_tail_is_bounded_and_starts_where_told() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        fs::write(&path, format!("before\n{}end\n", "x".repeat(5000))).expect("a small file");
        assert_eq!(tail(&path, 0).len(), 4095, "the last newline is trimmed");
        fs::write(&path, "before\nafter\n").expect("a small file");
        assert_eq!(tail(&path, 7), "after");
        assert!(tail(&folder.path().join("absent"), 0).starts_with("(its log cannot be read: "));
    }
}
