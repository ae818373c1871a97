//! A server in a temporary folder, for these tests only.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Seek};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use backstay_postgres::{ChannelBinding, ConnectionConfig, Endpoint, Host, SslMode};
use tempfile::TempDir;

use crate::server::installations;

/// A running server; dropping it stops and removes it.
pub(super) struct Server {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
}

impl Server {
    /// Starts one with these lines as its `pg_hba.conf`.
    pub(super) fn start(access: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Self {
            folder,
            programs: installations()[0].bin().to_owned(),
            port: TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port(),
        };
        server.own("");
        let data = server.folder();
        run(server
            .program("initdb")
            .args(["--no-sync", "-E", "UTF8", "--locale=C", "-U", "postgres", "-D"])
            .arg(data));
        fs::write(server.folder().join("pg_hba.conf"), access).unwrap();
        server.control("start", "");
        server
    }

    /// Starts it again with other settings.
    pub(super) fn restart(&self, settings: &str) {
        self.control("restart", settings);
    }

    /// Its data folder, where its socket is, too.
    pub(super) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// How to reach it as its owner.
    pub(super) fn config(&self) -> ConnectionConfig {
        config(self.port)
    }

    /// Gives a file of its folder to the user that it runs as.
    pub(super) fn own(&self, name: &str) {
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(self.folder().join(name)));
        }
    }

    fn control(&self, verb: &str, settings: &str) {
        let folder = self.folder();
        let mut all = format!("port={}\nfsync=off\nlisten_addresses='127.0.0.1'\n", self.port);
        writeln!(all, "unix_socket_directories='{}'\n{settings}", folder.display()).unwrap();
        fs::write(folder.join("postgresql.auto.conf"), all).unwrap();
        self.own("postgresql.auto.conf");
        let log = folder.join("log");
        let mut command = self.program("pg_ctl");
        command
            .args(["-w", "-m", "fast", "-l"])
            .arg(&log)
            .arg("-D")
            .arg(folder)
            .arg(verb);
        if let Err(said) = try_run(&mut command) {
            panic!("{said}\n{}", fs::read_to_string(&log).unwrap_or_default());
        }
    }

    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        // The server refuses to run as root.
        if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self
            .program("pg_ctl")
            .args(["-w", "-m", "immediate", "stop", "-D"])
            .arg(self.folder())
            .output();
    }
}

/// How to reach a server on a port of this machine.
pub(super) fn config(port: u16) -> ConnectionConfig {
    ConnectionConfig {
        endpoints: vec![Endpoint {
            host: Host::Tcp {
                name: "127.0.0.1".to_owned(),
                address: None,
            },
            port,
        }],
        user: "postgres".to_owned(),
        password: None,
        database: "postgres".to_owned(),
        ssl_mode: SslMode::Prefer,
        ssl_root_cert: None,
        ssl_client_cert: None,
        channel_binding: ChannelBinding::Prefer,
        options: None,
        application_name: "backstay test".to_owned(),
        connect_timeout: Some(Duration::from_secs(30)),
    }
}

/// Runs `openssl` in a folder.
pub(super) fn openssl(folder: &Path, arguments: &str) {
    run(Command::new("openssl").args(arguments.split(' ')).current_dir(folder));
}

fn run(command: &mut Command) {
    try_run(command).unwrap_or_else(|said| panic!("{said}"));
}

fn try_run(command: &mut Command) -> Result<(), String> {
    let mut file = tempfile::tempfile().unwrap();
    // A file and no pipe: the server keeps what `pg_ctl` was given open.
    command
        .stdout(file.try_clone().unwrap())
        .stderr(file.try_clone().unwrap());
    // The server's user may not be allowed into the folder of the tests.
    if command.get_current_dir().is_none() {
        command.current_dir("/");
    }
    let status = command.status().unwrap();
    let mut said = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut said).unwrap();
    match status.success() {
        true => Ok(()),
        false => Err(format!("{command:?} failed: {said}")),
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
