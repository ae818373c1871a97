use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// What the server asks of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "tests name them all")]
pub enum SmtpTls {
    /// Nothing.
    None,
    /// `STARTTLS` before anything else.
    StartTls,
    /// TLS from the begin.
    Implicit,
}

/// aiosmtpd, a mail server of Python's, on a free port of the loopback interface. It ends when it is dropped.
#[derive(Debug)]
pub struct SmtpServer {
    child: Child,
    lines: BufReader<ChildStdout>,
    folder: TempDir,
    port: u16,
}

impl SmtpServer {
    /// Starts one. Who logs in must do so with that name and password; the first mails are refused with these codes. The
    /// program is the Python that is named, by the variable `BACKSTAY_TEST_SMTP` of the test.
    ///
    /// # Panics
    /// Where it does not start, with what to do.
    #[must_use]
    pub fn start(named: Option<OsString>, tls: SmtpTls, login: Option<(&str, &str)>, refuse: &[u16]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        write_certificate(&certificate, &key);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = json!({
            "port": port,
            "tls": match tls {
                SmtpTls::None => "none",
                SmtpTls::StartTls => "starttls",
                SmtpTls::Implicit => "implicit",
            },
            "certificate": certificate,
            "key": key,
            "login": login.map(|(user, password)| [user, password]),
            "refuse": refuse,
        });
        let program = named.unwrap_or_else(|| "python3".into());
        let child = Command::new(&program)
            .args([
                "-W",
                "ignore",
                "-c",
                include_str!("smtp_server/serve.py"),
                &settings.to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let help = "run `cargo xtask test`, or: pip install aiosmtpd==1.4.6";
        let mut child = child.unwrap_or_else(|error| panic!("{}: {error}; {help}", program.display()));
        let lines = BufReader::new(child.stdout.take().expect("its output"));
        let mut server = Self {
            child,
            lines,
            folder,
            port,
        };
        let told = server.told();
        assert_eq!(told["port"], port, "aiosmtpd does not start; {help}");
        server
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate that it shows, which nobody else vouches for.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// Waits for what it tells next: a mail (`from`, `to`, `text`, `tls`, `user`), or that it `refused` one.
    ///
    /// # Panics
    /// Where it ends.
    pub fn told(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("its output can be read");
        serde_json::from_str(&line).unwrap_or_default()
    }

    /// Ends it, and gives what it told and nobody asked for.
    ///
    /// # Panics
    /// Where its output cannot be read.
    pub fn end(mut self) -> Vec<String> {
        drop(self.child.stdin.take());
        let lines = (&mut self.lines).lines();
        lines.map(|line| line.expect("its output can be read")).collect()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One that names this machine and vouches for itself.
fn write_certificate(certificate: &Path, key: &Path) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args([
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .output();
    let made = made.unwrap_or_else(|error| panic!("openssl: {error}; on Debian: apt-get install openssl"));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
