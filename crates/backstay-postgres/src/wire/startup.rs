//! From a socket to a session: TLS, the start-up message, authentication
//! (<https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP>).

use std::time::{Duration, Instant};

use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{self, ScramSha256};

use super::WireConnection;
use super::channel::{Channel, Frame};
use super::fault::Fault;
use super::message::{self, BackendKey, TransactionStatus, split_text};
use super::server_error::ServerError;
use super::socket::Socket;
use super::transport::Transport;
use crate::cancel::CancelToken;
use crate::config::{ChannelBinding, ConnectionConfig};
use crate::connect::{Address, Attempt, ConnectErrorKind, Failure, TlsPlan, dial};
use crate::tls::server_end_point;

/// How long a cancel request may take; whoever cancels does not want to wait.
const CANCEL_LIMIT: Duration = Duration::from_secs(2);

/// The way to the server, for a cancel request.
pub(super) struct Route {
    address: Address,
    /// `None` where the connection is in plain text.
    tls: Option<TlsPlan>,
}

impl Route {
    /// Asks the server to stop what the session does, and waits until it has passed that on.
    ///
    /// It is a request: nothing tells whether it was heard
    /// (<https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS>).
    pub(super) fn request_cancel(&self, key: BackendKey) {
        let deadline = Instant::now() + CANCEL_LIMIT;
        let Ok(socket) = Socket::open(&self.address, Some(CANCEL_LIMIT)) else {
            return;
        };
        let mut transport = Transport::new(socket, CancelToken::new(), Some(deadline));
        if let Some(tls) = &self.tls {
            // What went encrypted is not cancelled in plain text: the key would be there for others to use.
            if !matches!(negotiate_tls(&mut transport, tls), Ok(true)) {
                return;
            }
        }
        if send(&mut transport, &message::cancel_request(key)).is_ok() {
            // The server closes when it has signalled the session.
            let _ = transport.read(&mut [0]);
        }
    }
}

/// Opens a session at one address.
pub(super) fn establish(
    config: &ConnectionConfig,
    attempt: &Attempt<'_>,
    cancel: &CancelToken,
) -> Result<WireConnection, Failure> {
    let deadline = config.connect_timeout.map(|limit| Instant::now() + limit);
    let socket = dial(attempt.address, config.connect_timeout, cancel)?;
    let mut transport = Transport::new(socket, cancel.clone(), deadline);
    let tls = match attempt.tls {
        Some(tls) if negotiate_tls(&mut transport, tls)? => Some(tls.clone()),
        _ => None,
    };
    let mut channel = Channel::new(transport);
    let mut parameters = vec![("user", config.user.as_str()), ("database", config.database.as_str())];
    if !config.application_name.is_empty() {
        parameters.push(("application_name", &config.application_name));
    }
    if let Some(options) = &config.options {
        parameters.push(("options", options));
    }
    let startup = message::startup(&parameters).ok_or_else(|| {
        Failure::new(ConnectErrorKind::Settings).because("a user, database or option has a NUL character")
    })?;
    channel.send(&startup)?;
    authenticate(&mut channel, config)?;
    let (key, status) = read_session(&mut channel)?;
    channel.establish();
    Ok(WireConnection {
        channel,
        route: Route {
            address: attempt.address.clone(),
            tls,
        },
        server: attempt.server.to_owned(),
        key,
        status,
        broken: false,
        discards: false,
        outgoing: Vec::new(),
    })
}

/// Asks for TLS and goes over to it; `false` where the server has none and none is insisted on.
fn negotiate_tls(transport: &mut Transport, tls: &TlsPlan) -> Result<bool, Failure> {
    send(transport, &message::ssl_request())?;
    // One byte and no more: what somebody injected behind it must reach the TLS library, which refuses it.
    let mut answer = [0];
    transport.read(&mut answer)?;
    match answer {
        [b'S'] => {
            transport
                .start_tls(tls.client.clone(), tls.name.clone())
                .map_err(|fault| match fault {
                    Fault::Lost(error) => Failure::new(ConnectErrorKind::Tls).because(error),
                    fault => fault.into(),
                })?;
            Ok(true)
        }
        [b'N'] if tls.required => Err(Failure::new(ConnectErrorKind::Tls).because("the server does not offer TLS")),
        [b'N'] => Ok(false),
        // An error message at this point may be anybody's and is not shown (CVE-2024-10977).
        [answer] => Err(Fault::unexpected(answer, "in answer to the request for TLS").into()),
    }
}

fn send(transport: &mut Transport, mut bytes: &[u8]) -> Result<(), Fault> {
    while !bytes.is_empty() || transport.has_unsent() {
        let sent = transport.write(bytes)?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

/// Does what the server asks for until it is content, within what the settings allow.
fn authenticate(channel: &mut Channel, config: &ConnectionConfig) -> Result<(), Failure> {
    let mut answered = false;
    let mut bound = false;
    loop {
        let (request, body) = receive_authentication(channel)?;
        if request == 0 {
            if config.channel_binding == ChannelBinding::Require && !bound {
                return Err(binding_missing());
            }
            return Ok(());
        }
        if answered {
            // Else a server could ask for the same password in a form that gives it away.
            return Err(Fault::Violation("a second request for a password".to_owned()).into());
        }
        answered = true;
        let password = || match &config.password {
            Some(password) => Ok(password.expose()),
            None => Err(Failure::new(ConnectErrorKind::NoPassword)),
        };
        if matches!(request, 3 | 5) && config.channel_binding == ChannelBinding::Require {
            return Err(binding_missing());
        }
        match request {
            3 => send_password(channel, &[password()?, b"\0"])?,
            5 => {
                let salt = <[u8; 4]>::try_from(body.as_slice()).map_err(|_| Fault::malformed(b'R'))?;
                let hash = md5_hash(config.user.as_bytes(), password()?, salt);
                send_password(channel, &[hash.as_bytes(), b"\0"])?;
            }
            10 => bound = authenticate_sasl(channel, &body, password()?, config.channel_binding)?,
            _ => {
                let name = match request {
                    2 => "Kerberos V5",
                    7 | 8 => "GSSAPI",
                    9 => "SSPI",
                    _ => "an unknown kind of",
                };
                return Err(Failure::new(ConnectErrorKind::Authentication).because(format!(
                    "the server asks for {name} authentication, which is not supported"
                )));
            }
        }
    }
}

/// Proves the knowledge of the password by SCRAM-SHA-256 (RFC 5802, RFC 7677), has the server prove it too, and tells
/// whether both were bound to the TLS channel.
fn authenticate_sasl(
    channel: &mut Channel,
    offer: &[u8],
    password: &[u8],
    binding: ChannelBinding,
) -> Result<bool, Failure> {
    let offered = parse_mechanisms(offer).ok_or_else(|| Fault::malformed(b'R'))?;
    let plain = offered.contains(&sasl::SCRAM_SHA_256.as_bytes());
    let plus = offered.contains(&sasl::SCRAM_SHA_256_PLUS.as_bytes());
    if plus && !channel.transport.is_encrypted() {
        return Err(Fault::Violation("an offer of SCRAM-SHA-256-PLUS without TLS".to_owned()).into());
    }
    let end_point = match binding {
        ChannelBinding::Disable => None,
        ChannelBinding::Prefer | ChannelBinding::Require => {
            channel.transport.peer_certificate().and_then(server_end_point)
        }
    };
    let (mechanism, with) = match end_point {
        Some(end_point) if plus => (
            sasl::SCRAM_SHA_256_PLUS,
            sasl::ChannelBinding::tls_server_end_point(end_point),
        ),
        _ if binding == ChannelBinding::Require => return Err(binding_missing()),
        _ if !plain => {
            return Err(Failure::new(ConnectErrorKind::Authentication)
                .because("the server offers no SASL mechanism that is supported"));
        }
        // Says that we could bind, so that the server notices if somebody hid its offer.
        Some(_) => (sasl::SCRAM_SHA_256, sasl::ChannelBinding::unrequested()),
        None => (sasl::SCRAM_SHA_256, sasl::ChannelBinding::unsupported()),
    };
    let distrusted = |error| Failure::new(ConnectErrorKind::Authentication).because(error);
    let mut scram = ScramSha256::new(password, with);
    let length = u32::try_from(scram.message().len()).map_err(|_| Fault::malformed(b'p'))?;
    send_password(
        channel,
        &[mechanism.as_bytes(), b"\0", &length.to_be_bytes(), scram.message()],
    )?;
    scram.update(&receive_sasl(channel, 11)?).map_err(distrusted)?;
    send_password(channel, &[scram.message()])?;
    scram.finish(&receive_sasl(channel, 12)?).map_err(distrusted)?;
    Ok(mechanism == sasl::SCRAM_SHA_256_PLUS)
}

/// The names in an `AuthenticationSASL` message: each ends with a NUL, the list with another.
fn parse_mechanisms(mut offer: &[u8]) -> Option<Vec<&[u8]>> {
    let mut names = Vec::new();
    loop {
        let (name, rest) = split_text(offer)?;
        if name.is_empty() {
            return rest.is_empty().then_some(names);
        }
        names.push(name);
        offer = rest;
    }
}

fn binding_missing() -> Failure {
    Failure::new(ConnectErrorKind::Authentication)
        .because("channel binding is required, but the server does not authenticate with it")
}

fn receive_sasl(channel: &mut Channel, expected: u32) -> Result<Vec<u8>, Failure> {
    match receive_authentication(channel)? {
        (request, body) if request == expected => Ok(body),
        (request, _) => {
            Err(Fault::Violation(format!("authentication message {request} in the middle of SCRAM")).into())
        }
    }
}

fn receive_authentication(channel: &mut Channel) -> Result<(u32, Vec<u8>), Failure> {
    match channel.receive()? {
        Frame { tag: b'R', body } => {
            let (request, body) = body.split_first_chunk().ok_or_else(|| Fault::malformed(b'R'))?;
            Ok((u32::from_be_bytes(*request), body.to_vec()))
        }
        Frame { tag: b'E', body } => Err(ServerError::parse(body).into()),
        Frame { tag, .. } => Err(Fault::unexpected(tag, "before the end of authentication").into()),
    }
}

fn send_password(channel: &mut Channel, parts: &[&[u8]]) -> Result<(), Failure> {
    let mut out = Vec::new();
    message::frame(&mut out, b'p', parts)
        .ok_or_else(|| Failure::new(ConnectErrorKind::Settings).because("the password is too long for the protocol"))?;
    Ok(channel.send(&out)?)
}

/// Reads what the server tells of the new session.
fn read_session(channel: &mut Channel) -> Result<(Option<BackendKey>, TransactionStatus), Failure> {
    let mut key = None;
    loop {
        match channel.receive()? {
            Frame { tag: b'K', body } => key = Some(message::parse_backend_key(body)?),
            Frame { tag: b'Z', body } => return Ok((key, message::parse_ready(body)?)),
            Frame { tag: b'E', body } => return Err(ServerError::parse(body).into()),
            Frame { tag, .. } => return Err(Fault::unexpected(tag, "before the session is ready").into()),
        }
    }
}
