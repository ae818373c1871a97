use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::config::{ChannelBinding, ConnectionConfig, Endpoint, Host, Secret, SslMode};

mod account;
mod cluster;
mod error;
mod installation;
mod leftovers;
mod process;
mod watchdog;

pub use error::ThrowawayError;
pub use installation::Installation;
pub use leftovers::remove_leftovers;

use account::Account;
use cluster::LogTail;
use watchdog::Watchdog;

/// Names the folders of servers, so that what a killed program left is known again.
const FOLDER_PREFIX: &str = "backstay-server-";

/// Longest socket path that every system takes: macOS has 104 bytes with the final NUL, Linux 108.
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// How often another port is tried when somebody else was quicker to take the free one.
const PORT_ATTEMPTS: u32 = 8;

const POLL: Duration = Duration::from_millis(20);

/// How long a shutdown may take before every process of the server is killed.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(60);

/// How clients of a throw-away server prove who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a throw-away server needs no third way")]
pub enum Authentication {
    /// Not at all: whoever can reach the loopback interface is the superuser. For data that is no secret.
    Trust,
    /// By SCRAM-SHA-256 with the superuser's password, one line of text, over TCP and the socket alike.
    Scram(Secret),
}

/// Whether a server's data would survive a power failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a pair of opposites")]
pub enum Durability {
    /// `fsync` and `full_page_writes` are off. A killed server still loses nothing; a crashed machine loses all.
    Off,
    /// PostgreSQL's own defaults, for measurements.
    On,
}

/// How a throw-away server is to be.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "built by hand with `..ServerOptions::new(…)`, which takes new fields"
)]
pub struct ServerOptions {
    /// How clients prove who they are.
    pub authentication: Authentication,
    /// Whether the data would survive a power failure.
    pub durability: Durability,
    /// Name of the superuser, which is also the role of [`ThrowawayServer::connection_config`].
    pub superuser: String,
    /// Encoding of the databases, as `initdb --encoding` takes it.
    pub encoding: String,
    /// Locale of the databases, as `initdb --locale` takes it.
    pub locale: String,
    /// Further arguments of `initdb`, such as `--locale-provider=icu`.
    pub initdb_arguments: Vec<OsString>,
    /// Settings for `postgresql.conf`, name and plain value; they win over all others but port and socket folder.
    pub settings: Vec<(String, String)>,
    /// How long a server may take until it accepts connections.
    pub start_limit: Duration,
}

impl ServerOptions {
    /// A UTF-8 server with locale `C`, superuser `postgres`, no durability, and one minute to start.
    #[must_use]
    pub fn new(authentication: Authentication) -> Self {
        Self {
            authentication,
            durability: Durability::Off,
            superuser: "postgres".to_owned(),
            encoding: "UTF8".to_owned(),
            locale: "C".to_owned(),
            initdb_arguments: Vec::new(),
            settings: Vec::new(),
            start_limit: Duration::from_secs(60),
        }
    }
}

/// A PostgreSQL server of our own, for drills, demonstrations and tests; gone when it is dropped.
///
/// It listens on a free port of the loopback interface and on a Unix socket, and lives in a folder of its own. Its
/// programs get an empty environment, so nothing of the caller's leaks in. When the caller is root they run as the
/// user `postgres` (else `nobody`), because PostgreSQL refuses root.
///
/// Dropping it stops the server at once and removes the folder; [`stop`](Self::stop) does the same with an orderly
/// shutdown and tells whether it went well. If the program is killed instead, a watchdog process stops the server and
/// removes its data; whatever remains is removed by [`remove_leftovers`].
#[derive(Debug)]
pub struct ThrowawayServer {
    installation: Installation,
    options: ServerOptions,
    account: Option<Account>,
    port: u16,
    running: Option<Running>,
    folder: TempDir,
    // Held as long as this program lives: `remove_leftovers` spares a locked folder. Dropped after the folder.
    _lock: File,
}

#[derive(Debug)]
struct Running {
    postmaster: Child,
    // Dropped first on shutdown, so that it never outlives the process whose id it knows.
    watchdog: Watchdog,
}

/// What to tell the postmaster; see the PostgreSQL manual, "Shutting Down the Server".
#[derive(Clone, Copy)]
enum Shutdown {
    /// Ends all sessions, writes a checkpoint.
    Fast,
    /// Ends at once, without a checkpoint.
    Immediate,
}

impl ThrowawayServer {
    /// Makes a database cluster in a new folder below `parent`, starts its server and waits until it takes connections.
    ///
    /// `parent` must exist. When the caller is root, the right to pass through it (`o+x`) is given to everybody;
    /// the folders above it are left alone.
    ///
    /// # Errors
    /// If the folder cannot be made or passed through by the server's user, if `initdb` fails, or if the server ends
    /// or is not ready within [`ServerOptions::start_limit`]; the last lines that it wrote are part of the error.
    pub fn start(installation: &Installation, parent: &Path, options: &ServerOptions) -> Result<Self, ThrowawayError> {
        let account = Account::for_servers()?;
        let parent = parent.canonicalize().map_err(ThrowawayError::io("find", parent))?;
        if let Some(account) = &account {
            account.let_through(&parent)?;
        }
        let (folder, lock) = leftovers::create_locked(&parent)?;
        if let Some(account) = &account {
            account.own(folder.path())?;
        }
        cluster::initialise(installation, folder.path(), options, account.as_ref())?;
        let mut server = Self {
            installation: installation.clone(),
            options: options.clone(),
            account,
            port: 0,
            running: None,
            folder,
            _lock: lock,
        };
        server.launch_on_a_free_port()?;
        Ok(server)
    }

    /// Ends all sessions, shuts the server down in order and removes its folder.
    ///
    /// # Errors
    /// If the server did not end in time (it is killed then) or not well, or if the folder cannot be removed.
    pub fn stop(mut self) -> Result<(), ThrowawayError> {
        let ended = self.shut_down(Shutdown::Fast);
        let path = self.folder.path().to_owned();
        // Not left to the drop of the folder, which would keep the error for itself.
        let removed = std::fs::remove_dir_all(&path).map_err(ThrowawayError::io("remove", &path));
        ended.and(removed)
    }

    /// Kills every process of the server at once, as a power failure or the out-of-memory killer would.
    ///
    /// Afterwards the server is down; [`restart`](Self::restart) makes it recover.
    ///
    /// # Errors
    /// If the processes cannot be listed or have not gone after some seconds.
    pub fn crash(&mut self) -> Result<(), ThrowawayError> {
        match self.running.take() {
            Some(running) => running.kill(),
            None => Ok(()),
        }
    }

    /// Starts the server again on the same port and with the same data; one that runs is shut down in order before.
    ///
    /// # Errors
    /// As [`start`](Self::start), and if somebody else has taken the port meanwhile.
    pub fn restart(&mut self) -> Result<(), ThrowawayError> {
        self.shut_down(Shutdown::Fast)?;
        self.launch()
    }

    /// Kills one backend with `SIGKILL`, upon which the server ends all other sessions and recovers.
    ///
    /// # Errors
    /// If the process is not one of this server's.
    pub fn kill_backend(&self, pid: i32) -> Result<(), ThrowawayError> {
        let not_ours = || ThrowawayError::NotABackend { pid };
        let postmaster = self.postmaster_pid().ok_or_else(not_ours)?;
        let children = process::children_of(process::pid(postmaster).ok_or_else(not_ours)?)?;
        let victim = process::pid(pid)
            .filter(|pid| children.contains(pid))
            .ok_or_else(not_ours)?;
        rustix::process::kill_process(victim, Signal::KILL).map_err(|_| not_ours())
    }

    /// How to connect to one of its databases as the superuser, over TCP.
    #[must_use]
    pub fn connection_config(&self, database: &str) -> ConnectionConfig {
        let name = Ipv4Addr::LOCALHOST.to_string();
        self.connection_to(Host::Tcp { name, address: None }, database)
    }

    /// The same over the Unix socket; `None` where the folder's path is too long for one.
    #[must_use]
    pub fn socket_config(&self, database: &str) -> Option<ConnectionConfig> {
        self.socket_folder()
            .map(|folder| self.connection_to(Host::Unix(folder.to_owned()), database))
    }

    /// Folder of the Unix socket; `None` where its path is too long for one.
    #[must_use]
    pub fn socket_folder(&self) -> Option<&Path> {
        let longest = self.folder.path().as_os_str().as_bytes().len() + "/.s.PGSQL.65535".len();
        (longest <= SOCKET_PATH_BYTES_MAX).then(|| self.folder.path())
    }

    /// Port on the loopback interface.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Process id of the postmaster; `None` after [`crash`](Self::crash).
    #[must_use]
    pub fn postmaster_pid(&self) -> Option<i32> {
        self.running.as_ref()?.postmaster.id().try_into().ok()
    }

    /// The programs that it runs from.
    #[must_use]
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// The cluster's data folder (`PGDATA`).
    #[must_use]
    pub fn data_folder(&self) -> PathBuf {
        cluster::data_folder(self.folder.path())
    }

    /// The file with everything that the server has written.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        cluster::log_file(self.folder.path())
    }

    fn connection_to(&self, host: Host, database: &str) -> ConnectionConfig {
        ConnectionConfig {
            endpoints: vec![Endpoint { host, port: self.port }],
            user: self.options.superuser.clone(),
            password: match &self.options.authentication {
                Authentication::Trust => None,
                Authentication::Scram(password) => Some(password.clone()),
            },
            database: database.to_owned(),
            ssl_mode: SslMode::Disable,
            ssl_root_cert: None,
            ssl_client_cert: None,
            channel_binding: ChannelBinding::Disable,
            options: None,
            application_name: "backstay".to_owned(),
            connect_timeout: Some(Duration::from_secs(30)),
        }
    }

    /// The port is free when it is chosen, but not held: another program may take it before the server does.
    fn launch_on_a_free_port(&mut self) -> Result<(), ThrowawayError> {
        let mut attempt = 1;
        loop {
            self.port = free_port()?;
            match self.launch() {
                Err(error) if error.is_port_collision() && attempt < PORT_ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    fn launch(&mut self) -> Result<(), ThrowawayError> {
        let program = self.installation.program("postgres");
        let log_file = self.log_file();
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log_file)
            .map_err(ThrowawayError::io("open", &log_file))?;
        let log_start = log.metadata().map_err(ThrowawayError::io("examine", &log_file))?.len();
        let log_of_errors = log.try_clone().map_err(ThrowawayError::io("open", &log_file))?;
        let data_folder = self.data_folder();

        let mut command = process::command(&program, self.folder.path(), self.account.as_ref());
        command.arg("-D").arg(&data_folder).arg("-p").arg(self.port.to_string());
        command
            .arg("-k")
            .arg(self.socket_folder().map_or_else(OsString::new, Into::into));
        let mut postmaster = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(log_of_errors)
            .spawn()
            .map_err(|source| ThrowawayError::not_run(&program, self.account.as_ref(), source))?;
        let watchdog = match Watchdog::guard(postmaster.id(), self.folder.path(), self.account.as_ref()) {
            Ok(watchdog) => watchdog,
            Err(error) => {
                // Without a watchdog nobody would end it; the error matters more than how it dies.
                let _ = postmaster.kill();
                let _ = postmaster.wait();
                return Err(error);
            }
        };
        let running = self.running.insert(Running { postmaster, watchdog });

        let log = LogTail {
            file: &log_file,
            start: log_start,
        };
        let outcome = running.await_ready(&data_folder, self.options.start_limit, log);
        if outcome.is_err()
            && let Some(running) = self.running.take()
        {
            // The reason why it did not start is worth more than a failure to kill what is left of it.
            let _ = running.kill();
        }
        outcome
    }

    fn shut_down(&mut self, how: Shutdown) -> Result<(), ThrowawayError> {
        let Some(mut running) = self.running.take() else {
            return Ok(());
        };
        let signal = match how {
            Shutdown::Fast => Signal::INT,
            Shutdown::Immediate => Signal::QUIT,
        };
        running.signal(signal);
        for _ in 0..=polls(SHUTDOWN_LIMIT) {
            match running.postmaster.try_wait() {
                Ok(None) => std::thread::sleep(POLL),
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => {
                    return Err(ThrowawayError::EndedBadly {
                        status,
                        log: cluster::tail(&self.log_file(), 0),
                    });
                }
                Err(source) => {
                    return Err(ThrowawayError::Wait {
                        what: "postgres",
                        source,
                    });
                }
            }
        }
        running.kill()?;
        Err(ThrowawayError::NotStopped { limit: SHUTDOWN_LIMIT })
    }
}

impl Drop for ThrowawayServer {
    fn drop(&mut self) {
        // Nobody is left to hear of it; what cannot be stopped here is found by `remove_leftovers`.
        let _ = self.shut_down(Shutdown::Immediate);
    }
}

impl Running {
    fn await_ready(&mut self, data_folder: &Path, limit: Duration, log: LogTail<'_>) -> Result<(), ThrowawayError> {
        for _ in 0..=polls(limit) {
            match self.postmaster.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => {
                    return Err(ThrowawayError::NotStarted {
                        status,
                        log: log.read(),
                    });
                }
                Err(source) => {
                    return Err(ThrowawayError::Wait {
                        what: "postgres",
                        source,
                    });
                }
            }
            if cluster::is_ready(data_folder, self.postmaster.id()) {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
        Err(ThrowawayError::NotReady { limit, log: log.read() })
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.postmaster.id().try_into().ok().and_then(process::pid) {
            // It fails only for a process that has ended, which is what the signal is for.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Kills the postmaster and all its children. The postmaster is halted first: it would start new ones.
    fn kill(mut self) -> Result<(), ThrowawayError> {
        self.signal(Signal::STOP);
        let children = match i32::try_from(self.postmaster.id()).ok().and_then(process::pid) {
            Some(postmaster) => process::children_of(postmaster),
            None => Ok(Vec::new()),
        };
        for &child in children.as_deref().unwrap_or_default() {
            process::kill_with_group(child);
        }
        self.signal(Signal::KILL);
        self.postmaster.wait().map_err(|source| ThrowawayError::Wait {
            what: "postgres",
            source,
        })?;
        drop(self.watchdog);
        process::await_end(&children?)
    }
}

fn free_port() -> Result<u16, ThrowawayError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(ThrowawayError::NoPort)
}

/// How often to look within `limit`. Counted and not timed, so that no clock is read.
fn polls(limit: Duration) -> u128 {
    limit.as_millis() / POLL.as_millis()
}

#[cfg(test)]
pub(crate) mod tests;
