use std::ffi::OsStr;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// `garage`, a real object store that takes conditions and ignores them, on free ports of the loopback interface. It
/// checks signatures and checksums. It ends, and its files go, when it is dropped.
#[derive(Debug)]
pub struct GarageServer {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl GarageServer {
    /// Its one bucket.
    pub const BUCKET: &str = "backups";
    /// Its region.
    pub const REGION: &str = "garage";
    /// The access key that it knows; it takes no other form.
    pub const ACCESS_KEY: &str = "GK471147114711471147114711";
    /// The secret of that key.
    pub const SECRET_KEY: &str = "4711471147114711471147114711471147114711471147114711471147114711";

    /// Starts it with an empty bucket.
    ///
    /// # Panics
    /// Where it does not start, with what to do.
    #[must_use]
    pub fn start(program: &OsStr) -> Self {
        let free_port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (port, rpc_port) = (free_port(), free_port());
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "metadata_dir = {:?}\ndata_dir = {:?}\ndb_engine = \"sqlite\"\nreplication_factor = 1\n\
             rpc_bind_addr = \"127.0.0.1:{rpc_port}\"\nrpc_secret = \"{}\"\n\
             [s3_api]\napi_bind_addr = \"127.0.0.1:{port}\"\ns3_region = \"{}\"\n",
            path("meta"),
            path("data"),
            "0".repeat(64),
            Self::REGION,
        );
        fs::write(folder.path().join("garage.toml"), config).unwrap();
        let child = Command::new(program)
            .arg("-c")
            .arg(path("garage.toml"))
            .args(["server", "--single-node", "--default-bucket"])
            .env("GARAGE_DEFAULT_ACCESS_KEY", Self::ACCESS_KEY)
            .env("GARAGE_DEFAULT_SECRET_KEY", Self::SECRET_KEY)
            .env("GARAGE_DEFAULT_BUCKET", Self::BUCKET)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn();
        let child = child.unwrap_or_else(|error| {
            panic!(
                "{}: {error}; run `cargo xtask test --garage`, or: cargo install --locked garage --version 2.5.0",
                program.display()
            )
        });
        let server = Self { child, port, folder };
        server.await_listening();
        server
    }

    /// It listens when it has made its bucket.
    fn await_listening(&self) {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "garage does not listen: {}",
                self.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Its URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for GarageServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
