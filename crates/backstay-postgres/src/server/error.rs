use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use thiserror::Error;

use super::account::Account;

/// Why a throw-away server could not be made, started or ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ThrowawayError {
    /// A folder does not hold the programs of a PostgreSQL server that runs here.
    #[error("{} is not the program folder of a PostgreSQL server: {reason}", bin.display())]
    NotAnInstallation {
        /// The folder.
        bin: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The caller is root, and the machine has no user that PostgreSQL could run as.
    #[error("cannot run PostgreSQL as root, and this machine has neither of the users {candidates}")]
    NoAccount {
        /// The names that were looked for.
        candidates: String,
    },
    /// The user that PostgreSQL runs as cannot reach the server's folder.
    #[error("user {account} cannot pass through {}", path.display())]
    NotTraversable {
        /// The folder that is in the way.
        path: PathBuf,
        /// The user.
        account: String,
    },
    /// Something could not be done to a file or folder.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was to be done, such as `open`.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A program could not be run.
    #[error("cannot run {}{}", program.display(), as_account(account.as_deref()))]
    NotRun {
        /// The program.
        program: PathBuf,
        /// The user that it should have run as, if not the caller.
        account: Option<String>,
        /// Why it failed.
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("{} failed ({status}): {output}", program.display())]
    ProgramFailed {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote.
        output: String,
    },
    /// No port of the loopback interface is free.
    #[error("cannot find a free port on the loopback interface")]
    NoPort(#[source] io::Error),
    /// The server ended before it took connections.
    #[error("the PostgreSQL server did not start ({status}): {log}")]
    NotStarted {
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// The server runs but took no connections in time.
    #[error("the PostgreSQL server was not ready after {} seconds: {log}", limit.as_secs())]
    NotReady {
        /// How long it was waited for.
        limit: Duration,
        /// The end of its log.
        log: String,
    },
    /// The server ended, but not well.
    #[error("the PostgreSQL server did not end well ({status}): {log}")]
    EndedBadly {
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// The server did not end when told to, and was killed.
    #[error("the PostgreSQL server did not stop within {} seconds and was killed", limit.as_secs())]
    NotStopped {
        /// How long it was waited for.
        limit: Duration,
    },
    /// A killed process is still there.
    #[error("process {pid} is still there after it was killed")]
    NotKilled {
        /// Its process id.
        pid: i32,
    },
    /// The end of a process cannot be waited for.
    #[error("cannot wait for the end of {what}")]
    Wait {
        /// The process.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A process is not one of the server's.
    #[error("process {pid} is not a backend of this server")]
    NotABackend {
        /// Its process id.
        pid: i32,
    },
}

impl ThrowawayError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(super) fn not_run(program: &Path, account: Option<&Account>, source: io::Error) -> Self {
        Self::NotRun {
            program: program.to_owned(),
            account: account.map(|account| account.name().to_owned()),
            source,
        }
    }

    /// Whether the server ended because another program listens on its port.
    ///
    /// The server reports the failure to bind as a warning of its own and ends because no address was left.
    pub(super) fn is_port_collision(&self) -> bool {
        matches!(self, Self::NotStarted { log, .. } if log.contains("could not create any TCP/IP sockets"))
    }
}

fn as_account(account: Option<&str>) -> String {
    account.map(|name| format!(" as user {name}")).unwrap_or_default()
}
