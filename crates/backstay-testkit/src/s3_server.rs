use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// An S3 server (`s3s-fs`) in this process, on a free port of the loopback interface. It checks signatures and checksums,
/// keeps objects as files, and cannot list uploads. It ends with the value.
#[derive(Debug)]
pub struct S3Server {
    folder: TempDir,
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl S3Server {
    /// Its one bucket.
    pub const BUCKET: &str = "backups";
    /// The access key that it knows.
    pub const ACCESS_KEY: &str = "AKIDTESTKIT";
    /// The secret of that key; no output may ever have it.
    pub const SECRET_KEY: &str = "Sesam-4711-s3-hunter2";

    /// Makes another bucket. A listing looks at every file of one, so many cases take one each.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn create_bucket(&self, name: &str) {
        std::fs::create_dir(self.folder.path().join(name)).unwrap();
    }

    /// Starts it with an empty bucket.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(Self::BUCKET)).unwrap();
        let files = s3s_fs::FileSystem::new(folder.path()).unwrap();
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(Self::ACCESS_KEY, Self::SECRET_KEY));
        let service = builder.build();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(&listener, &service) => {}
                    _ = ended => {}
                }
            });
        });
        Self {
            folder,
            address,
            end: Some(end),
            thread: Some(thread),
        }
    }

    /// Its URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The folder of its bucket.
    #[must_use]
    pub fn bucket_folder(&self) -> PathBuf {
        self.folder.path().join(Self::BUCKET)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn serve(listener: &TcpListener, service: &S3Service) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        // Without it each answer waits for the client's kernel to confirm what came before.
        socket.set_nodelay(true).unwrap();
        let service = service.clone();
        tokio::spawn(async move {
            // A client that goes away is no failure of the server.
            drop(
                Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(socket), service)
                    .await,
            );
        });
    }
}
