//! The store at Vercel: its promises, failing servers, large objects, what others see, and the token.

mod access;
mod crash_safety;
mod faults;
mod large;
mod listing;
mod network;
mod promises;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use backstay_store_vercel_blob::{Retries, VercelBlobConfig, VercelBlobStore};
use backstay_testkit::http_server::{Fault, Response};
use backstay_testkit::objects::{causes, key, names, noise, put, read};
use backstay_testkit::{VercelBlobServer, VercelTraits};

/// A server, and stores on it that do not wait long.
struct Vercel(VercelBlobServer);

impl Vercel {
    fn start(traits: VercelTraits) -> Self {
        Self(VercelBlobServer::start(traits))
    }

    fn store(&self, prefix: &str) -> VercelBlobStore {
        self.store_with(|config| prefix.clone_into(&mut config.prefix))
    }

    fn store_with(&self, set: impl FnOnce(&mut VercelBlobConfig)) -> VercelBlobStore {
        let mut config = self.config(VercelBlobServer::TOKEN);
        set(&mut config);
        VercelBlobStore::open(config).unwrap()
    }

    /// Has the next such request answered with that.
    fn answer(&self, method: &'static str, target: &'static str, status: u16, body: &str) {
        self.http
            .fail(method, target, Fault::Answer(Response::new(status, body)));
    }

    fn config(&self, token: &str) -> VercelBlobConfig {
        let mut config = VercelBlobConfig::new(token.parse().unwrap());
        config.endpoint = self.0.endpoint();
        config.read_endpoint = Some(self.0.read_endpoint());
        config.retries = Retries {
            tries: 4,
            first_wait: Duration::from_millis(1),
        };
        config
    }
}

impl std::ops::Deref for Vercel {
    type Target = VercelBlobServer;

    fn deref(&self) -> &VercelBlobServer {
        &self.0
    }
}

/// What anybody without a token gets at a URL: the status and the body.
fn get(url: &str) -> (u16, Vec<u8>) {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: {host}\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, bytes[end + 4..].to_vec())
}
