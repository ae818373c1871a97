//! A PostgreSQL server for one test, reachable through a socket in its own folder only.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(super) struct Server {
    pub(super) bin: PathBuf,
    pub(super) major: u32,
    /// Has the socket, the data and the log.
    pub(super) folder: PathBuf,
    superuser: &'static str,
}

impl Server {
    pub(super) fn start(bin: &Path, superuser: &'static str) -> Self {
        let made = stdout(as_server(Path::new("mktemp")).args(["-d", "/tmp/backstay-archive-XXXXXXXX"]));
        let folder = PathBuf::from(String::from_utf8(made).unwrap().trim());
        let version = stdout(Command::new(bin.join("postgres")).arg("--version"));
        let version = String::from_utf8(version).unwrap();
        let number = version.split_once(") ").unwrap().1;
        let major = number
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap()
            .parse()
            .unwrap();
        // From here on dropping it removes the folder.
        let server = Self {
            bin: bin.to_owned(),
            major,
            folder,
            superuser,
        };
        let data = server.folder.join("data");
        let mut initdb = as_server(&bin.join("initdb"));
        initdb.args([
            "--auth=trust",
            "--locale=C",
            "--encoding=UTF8",
            "--no-sync",
            "--username",
            superuser,
        ]);
        stdout(initdb.arg("--pgdata").arg(&data));
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c fsync=off -c wal_level=logical -c password_encryption=scram-sha-256",
            server.folder.display()
        );
        let mut start = as_server(&bin.join("pg_ctl"));
        start
            .arg("--pgdata")
            .arg(&data)
            .arg("--log")
            .arg(server.folder.join("log"));
        // Its own standard output would stay open in the server.
        let status = start
            .args(["--wait", "--options", &options, "start"])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(
            status.success(),
            "{}",
            fs::read_to_string(server.folder.join("log")).unwrap_or_default()
        );
        server
    }

    /// Runs a script; the first error in it is a panic.
    pub(super) fn psql(&self, user: &str, database: &str, script: &[u8]) {
        let mut command = Command::new(self.bin.join("psql"));
        command.args([
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            "--set=rows=20",
            "--output=/dev/null",
        ]);
        command
            .arg("--host")
            .arg(&self.folder)
            .args(["--username", user, "--dbname", database]);
        command
            .env_remove("PGCLIENTENCODING")
            .env_remove("PGOPTIONS")
            .env_remove("PGPORT");
        pipe(&mut command, script);
    }

    pub(super) fn sql(&self, database: &str, statements: &str) {
        for statement in statements.split("; ") {
            self.psql(self.superuser, database, statement.as_bytes());
        }
    }

    /// An archive with whatever options.
    pub(super) fn pg_dump(&self, database: &str, options: &[&str]) -> Vec<u8> {
        let mut command = Command::new(self.bin.join("pg_dump"));
        command
            .arg("--host")
            .arg(&self.folder)
            .args(["--username", self.superuser, "--dbname", database]);
        stdout(command.env_remove("PGPORT").arg("--format=custom").args(options))
    }

    /// What `pg_restore` prints of these entries of an archive.
    pub(super) fn pg_restore(&self, archive: &[u8], dump_ids: impl Iterator<Item = i32>) -> Vec<u8> {
        let mut list = tempfile::NamedTempFile::new().unwrap();
        for id in dump_ids {
            writeln!(list, "{id};").unwrap();
        }
        let mut command = Command::new(self.bin.join("pg_restore"));
        pipe(command.arg("--file=-").arg("--use-list").arg(list.path()), archive)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stop = as_server(&self.bin.join("pg_ctl"));
        stop.arg("--pgdata")
            .arg(self.folder.join("data"))
            .args(["--mode=immediate", "stop"]);
        _ = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
        _ = fs::remove_dir_all(&self.folder);
    }
}

/// The server's programs refuse to run as root, who becomes the user that packages make for them.
fn as_server(program: &Path) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/tmp");
    command
}

fn stdout(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn pipe(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A program that fails does not read everything; its message says more than the broken pipe.
        scope.spawn(move || stdin.write_all(input));
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    })
}
