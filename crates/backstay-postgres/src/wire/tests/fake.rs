//! A server that follows a script.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::config::{ChannelBinding, ConnectionConfig, Endpoint, Host, Secret, SslMode};

/// How long the script waits for a client to do something.
const PATIENCE: Duration = Duration::from_secs(20);

/// What lets a client in: success, two parameters, a key, readiness.
pub(super) const SESSION: &[u8] = b"R\0\0\0\x08\0\0\0\0\
    S\0\0\0\x18server_version\x0015.0\0\
    S\0\0\0\x19client_encoding\0UTF8\0\
    K\0\0\0\x0c\0\0\0\x2akey!\
    Z\0\0\0\x05I";

pub(super) const READY: &[u8] = b"Z\0\0\0\x05I";

/// The start of a COPY of two text columns.
pub(super) const COPY_OUT: &[u8] = b"H\0\0\0\x0b\0\0\x02\0\0\0\0";

pub(super) fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag], &length[..], body].concat()
}

pub(super) fn row(text: &[u8]) -> Vec<u8> {
    frame(b'd', text)
}

pub(super) fn rows(texts: &[&[u8]]) -> Vec<u8> {
    texts.iter().flat_map(|text| row(text)).collect()
}

pub(super) fn error(severity: &str, code: &str, message: &str) -> Vec<u8> {
    let body = format!("S{severity}\0V{severity}\0C{code}\0M{message}\0\0");
    frame(b'E', body.as_bytes())
}

/// The server, on a thread that ends with the script.
pub(super) struct Fake {
    address: SocketAddr,
    script: JoinHandle<io::Result<Vec<u8>>>,
}

impl Fake {
    /// Lets the client in, answers its first statement with `script`, and closes.
    pub(super) fn answering(script: &[u8]) -> Self {
        let script = script.to_vec();
        Self::start(move |listener| {
            let mut client = accept_session(listener)?;
            read_frame(&mut client)?;
            client.write_all(&script)?;
            listen_to_the_end(client)
        })
    }

    /// Lets the client in, answers each of its statements with the next of `answers`, and closes.
    pub(super) fn answering_each(answers: &[&[u8]]) -> Self {
        let answers: Vec<Vec<u8>> = answers.iter().map(|answer| answer.to_vec()).collect();
        Self::start(move |listener| {
            let mut client = accept_session(listener)?;
            for answer in answers {
                read_frame(&mut client)?;
                client.write_all(&answer)?;
            }
            listen_to_the_end(client)
        })
    }

    /// Answers the start-up message with `script`, and closes.
    pub(super) fn greeting(script: &[u8]) -> Self {
        let script = script.to_vec();
        Self::start(move |listener| {
            let mut client = accept(listener)?;
            read_untagged(&mut client)?;
            client.write_all(&script)?;
            listen_to_the_end(client)
        })
    }

    /// Answers a request for TLS with `answer`, and closes.
    pub(super) fn answering_tls(answer: &[u8]) -> Self {
        let answer = answer.to_vec();
        Self::start(move |listener| {
            let mut client = accept(listener)?;
            assert_eq!(read_untagged(&mut client)?, b"\x04\xd2\x16\x2f");
            client.write_all(&answer)?;
            listen_to_the_end(client)
        })
    }

    /// Accepts and says nothing, twice.
    pub(super) fn silent() -> Self {
        Self::start(|listener| {
            for _ in 0..2 {
                let mut client = accept(listener)?;
                client.read_to_end(&mut Vec::new())?;
            }
            Ok(Vec::new())
        })
    }

    /// Lets the client in, never answers, and hears what the next connection says.
    pub(super) fn hanging() -> Self {
        Self::start(|listener| {
            let _client = accept_session(listener)?;
            let mut canceller = accept(listener)?;
            let mut heard = vec![0; 16];
            canceller.read_exact(&mut heard)?;
            Ok(heard)
        })
    }

    /// Begins a COPY into it by `bytes` of notices, and reads only after them.
    pub(super) fn talkative(bytes: usize) -> Self {
        Self::start(move |listener| {
            let mut client = accept_session(listener)?;
            read_frame(&mut client)?;
            client.write_all(&frame(b'G', &[0, 0, 0]))?;
            let notice = frame(b'N', format!("SNOTICE\0M{}\0\0", "x".repeat(1000)).as_bytes());
            for _ in 0..bytes / notice.len() {
                client.write_all(&notice)?;
            }
            let mut lines = 0;
            while let (b'd', body) = read_frame(&mut client)? {
                lines += body.iter().filter(|byte| **byte == b'\n').count();
            }
            client.write_all(&frame(b'C', format!("COPY {lines}\0").as_bytes()))?;
            client.write_all(READY)?;
            listen_to_the_end(client)
        })
    }

    /// The settings that lead to it.
    pub(super) fn config(&self) -> ConnectionConfig {
        ConnectionConfig {
            endpoints: vec![Endpoint {
                host: Host::Tcp {
                    name: "127.0.0.1".to_owned(),
                    address: None,
                },
                port: self.address.port(),
            }],
            user: "me".to_owned(),
            password: Some(Secret::new("secret")),
            database: "shop".to_owned(),
            ssl_mode: SslMode::Disable,
            ssl_root_cert: None,
            ssl_client_cert: None,
            channel_binding: ChannelBinding::Prefer,
            options: None,
            application_name: "backstay".to_owned(),
            connect_timeout: Some(PATIENCE),
        }
    }

    /// What the client said last, once the script is over.
    pub(super) fn heard(self) -> Vec<u8> {
        self.script.join().unwrap().unwrap()
    }

    fn start(script: impl FnOnce(&TcpListener) -> io::Result<Vec<u8>> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let script = thread::spawn(move || script(&listener));
        Self { address, script }
    }
}

/// Waits for a client, but not for ever: a test that waits for the script must end.
fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let limit = Instant::now() + PATIENCE;
    listener.set_nonblocking(true)?;
    loop {
        match listener.accept() {
            Ok((client, _)) => {
                client.set_nonblocking(false)?;
                client.set_read_timeout(Some(PATIENCE))?;
                return Ok(client);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < limit => {
                thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(error),
        }
    }
}

fn accept_session(listener: &TcpListener) -> io::Result<TcpStream> {
    let mut client = accept(listener)?;
    read_untagged(&mut client)?;
    client.write_all(SESSION)?;
    Ok(client)
}

/// Ends our direction only, so that the client reads the end and no reset.
fn listen_to_the_end(mut client: TcpStream) -> io::Result<Vec<u8>> {
    client.shutdown(Shutdown::Write)?;
    let mut heard = Vec::new();
    client.read_to_end(&mut heard)?;
    Ok(heard)
}

/// Reads a message without a kind.
fn read_untagged(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    client.read_exact(&mut body)?;
    Ok(body)
}

fn read_frame(client: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut tag = [0];
    client.read_exact(&mut tag)?;
    Ok((tag[0], read_untagged(client)?))
}
