use std::ffi::{OsStr, OsString};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

const AUTHORIZATION: &str = "Authorization: AWS4-HMAC-SHA256 \
    Credential=AKIDMOTO/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00\r\n";

/// `moto`, an S3 server of Python's, on a free port of the loopback interface. It keeps what others ignore (encryption,
/// storage classes, locks) and lists uploads; it looks at no signature. It ends when it is dropped.
#[derive(Debug)]
pub struct MotoServer {
    child: Child,
    port: u16,
}

impl MotoServer {
    /// An access key; it takes any.
    pub const ACCESS_KEY: &str = "AKIDMOTO";
    /// A secret; it takes any.
    pub const SECRET_KEY: &str = "Sesam-4711-moto-hunter2";

    /// One for all tests that run at the same time in this process. The program is the one that is named, by the variable
    /// `BACKSTAY_TEST_MOTO` of the test, else `moto_server` in `PATH`.
    ///
    /// # Panics
    /// Where it does not start, with what to do.
    #[must_use]
    pub fn shared(named: Option<OsString>) -> Arc<Self> {
        static RUNNING: Mutex<Weak<MotoServer>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(moto) = running.upgrade() {
            return moto;
        }
        let program = named.unwrap_or_else(|| "moto_server".into());
        let moto = Arc::new(Self::start(&program));
        *running = Arc::downgrade(&moto);
        moto
    }

    fn start(program: &OsStr) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.unwrap_or_else(|error| {
            panic!(
                "{}: {error}; run `cargo xtask test`, or: pip install 'moto[server,s3]==5.2.5'",
                program.display()
            )
        });
        let moto = Self { child, port };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "moto does not listen");
            thread::sleep(Duration::from_millis(50));
        }
        moto
    }

    /// Its URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Makes a bucket, which can lock objects.
    ///
    /// # Panics
    /// Where it is not made.
    pub fn create_bucket(&self, name: &str) {
        let made = self.ask("PUT", &format!("/{name}"), "x-amz-bucket-object-lock-enabled: true\r\n");
        assert!(made.starts_with("http/1.1 200"), "{made}");
    }

    /// Sends a request without a body, and gives the answer's head in lower case.
    ///
    /// # Panics
    /// Where none comes.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str, header: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{AUTHORIZATION}{header}Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split("\r\n\r\n").next().unwrap().to_lowercase()
    }
}

impl Drop for MotoServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
