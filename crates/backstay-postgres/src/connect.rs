//! Opens connections of both kinds from the same settings, with the same meanings and the same errors.

mod dial;
mod error;

use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_postgres_rustls::MakeRustlsConnect;

pub(crate) use dial::{Address, dial};
pub(crate) use error::Failure;
pub use error::{ConnectError, ConnectErrorKind};

use crate::cancel::CancelToken;
use crate::config::{ChannelBinding, ConnectionConfig, Endpoint, Host, SslMode};
use crate::tls;
use crate::wire::{FAREWELL, TICK};

/// How TLS is to be used at one address.
#[derive(Clone)]
pub(crate) struct TlsPlan {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
    /// Whether a server without TLS is refused.
    pub(crate) required: bool,
}

/// One try at one address.
pub(crate) struct Attempt<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) address: &'a Address,
    /// `None` for plain text.
    pub(crate) tls: Option<&'a TlsPlan>,
    /// `user@host:port/database`, for messages.
    pub(crate) server: &'a str,
}

/// Leaves of several endpoints only the first that can be connected to, so that every connection and every child reaches
/// the same server: a snapshot is known to one server alone. One that has not got the database, which may be about to be
/// made, was reached.
///
/// # Errors
/// None of them can be connected to; the error is the last one's.
pub fn settle_endpoint(config: &ConnectionConfig, cancel: &CancelToken) -> Result<ConnectionConfig, ConnectError> {
    if config.endpoints.len() < 2 {
        return Ok(config.clone());
    }
    let mut last = None;
    for endpoint in &config.endpoints {
        let alone = ConnectionConfig {
            endpoints: vec![endpoint.clone()],
            ..config.clone()
        };
        match crate::wire::WireConnection::connect(&alone, cancel) {
            Ok(connection) => {
                connection.close();
                return Ok(alone);
            }
            Err(error) if error.kind() == ConnectErrorKind::DatabaseMissing => return Ok(alone),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error),
        None => Ok(config.clone()),
    }
}

/// Opens a connection for catalog queries, with the client of the `postgres` crate.
///
/// It sets `client_encoding` to UTF8, so a database whose names are not in its own encoding gives errors there.
///
/// # Errors
/// Of the endpoint that was tried last; its [kind](ConnectError::kind) says what to do.
pub fn connect_client(config: &ConnectionConfig) -> Result<CatalogClient, ConnectError> {
    let cancel = CancelToken::new();
    try_each(config, &cancel, |attempt| {
        let settings = client_settings(config, attempt);
        let connector = attempt
            .tls
            .map(|tls| MakeRustlsConnect::new(ClientConfig::clone(&tls.client)));
        // The client's own limit ends when the socket is open; this one covers authentication, too.
        dial::interruptible(config.connect_timeout, &cancel, move || match connector {
            Some(connector) => settings.connect(connector),
            None => settings.connect(postgres::NoTls),
        })?
        .map_err(|error| Failure::of_client(error, config))
    })
    .map(|client| CatalogClient { client: Some(client) })
}

/// A client of the `postgres` crate, whose session is emptied (`DISCARD ALL`) when it is dropped, for two seconds at most: a
/// pooler may give it to somebody else, who would find in it what was set here.
pub struct CatalogClient {
    /// Taken when it is dropped, and not before.
    client: Option<postgres::Client>,
}

const TAKEN: &str = "the client is there until it is dropped";

impl Deref for CatalogClient {
    type Target = postgres::Client;

    fn deref(&self) -> &postgres::Client {
        self.client.as_ref().expect(TAKEN)
    }
}

impl DerefMut for CatalogClient {
    fn deref_mut(&mut self) -> &mut postgres::Client {
        self.client.as_mut().expect(TAKEN)
    }
}

impl Drop for CatalogClient {
    fn drop(&mut self) {
        let Some(mut client) = self.client.take().filter(|client| !client.is_closed()) else {
            return;
        };
        // Whether the server hears it does not matter any more: if not, the pooler sees a session that is not idle, and
        // gives it to nobody.
        let empty = move || drop(client.batch_execute("DISCARD ALL"));
        let _ = dial::interruptible(Some(FAREWELL), &CancelToken::new(), empty);
    }
}

/// Tries the addresses of the endpoints in order until one opens, or fails in a way that would be the same elsewhere.
///
/// Like libpq, a server that may be spoken to in plain text and refuses TLS, or refuses the session under TLS, is
/// tried again without.
pub(crate) fn try_each<T>(
    config: &ConnectionConfig,
    cancel: &CancelToken,
    mut open: impl FnMut(&Attempt<'_>) -> Result<T, Failure>,
) -> Result<T, ConnectError> {
    let mut last = None;
    for endpoint in &config.endpoints {
        let server = server_label(config, endpoint);
        let failure = match try_endpoint(config, endpoint, &server, cancel, &mut open) {
            Ok(connection) => return Ok(connection),
            Err(failure) => failure,
        };
        let is_final = failure.is_final();
        last = Some(ConnectError::new(server, failure));
        if is_final {
            break;
        }
    }
    Err(last.unwrap_or_else(|| {
        let failure = Failure::new(ConnectErrorKind::Settings).because("no host is given");
        ConnectError::new(format!("{}@/{}", config.user, config.database), failure)
    }))
}

fn try_endpoint<T>(
    config: &ConnectionConfig,
    endpoint: &Endpoint,
    server: &str,
    cancel: &CancelToken,
    open: &mut impl FnMut(&Attempt<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let client = match endpoint.host {
        // The server offers no TLS there, and libpq ignores all that is said about it.
        Host::Unix(_) => None,
        Host::Tcp { .. } => {
            tls::client_config(config).map_err(|error| Failure::new(ConnectErrorKind::Settings).because(error))?
        }
    };
    let mut last = Failure::new(ConnectErrorKind::NameNotFound);
    for address in dial::addresses(endpoint, config.connect_timeout, cancel)? {
        let plan = match (&client, &endpoint.host, &address) {
            (Some(client), Host::Tcp { name, .. }, Address::Tcp(address)) => {
                Some(tls_plan(config, client, name, address.ip())?)
            }
            _ => None,
        };
        let mut attempt = Attempt {
            endpoint,
            address: &address,
            tls: plan.as_ref(),
            server,
        };
        let mut result = open(&attempt);
        if let Err(failure) = &result
            && may_go_plain(config, &attempt)
            && failure.may_be_due_to_tls()
        {
            attempt.tls = None;
            // Where that fails as well the first failure says more.
            result = open(&attempt).or(result);
        }
        match result {
            Ok(connection) => return Ok(connection),
            Err(failure) if failure.is_final() => return Err(failure),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

fn tls_plan(
    config: &ConnectionConfig,
    client: &Arc<ClientConfig>,
    name: &str,
    address: IpAddr,
) -> Result<TlsPlan, Failure> {
    let name = tls::server_name(config.ssl_mode, name, address)
        .ok_or_else(|| Failure::new(ConnectErrorKind::Tls).because("no certificate can be for a host of this name"))?;
    Ok(TlsPlan {
        client: Arc::clone(client),
        name,
        required: !matches!(config.ssl_mode, SslMode::Allow | SslMode::Prefer),
    })
}

fn may_go_plain(config: &ConnectionConfig, attempt: &Attempt<'_>) -> bool {
    attempt.tls.is_some_and(|tls| !tls.required) && config.channel_binding != ChannelBinding::Require
}

/// `user@host:port/database`, which is what messages call a server.
fn server_label(config: &ConnectionConfig, endpoint: &Endpoint) -> String {
    let host = match &endpoint.host {
        Host::Tcp { name, .. } if name.contains(':') => format!("[{name}]"),
        Host::Tcp { name, .. } => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    };
    format!("{}@{host}:{}/{}", config.user, endpoint.port, config.database)
}

fn client_settings(config: &ConnectionConfig, attempt: &Attempt<'_>) -> postgres::Config {
    let mut settings = postgres::Config::new();
    settings
        .user(&config.user)
        .dbname(&config.database)
        .application_name(&config.application_name)
        .port(attempt.endpoint.port)
        .keepalives_idle(Duration::from_secs(60))
        .ssl_mode(match attempt.tls {
            None => postgres::config::SslMode::Disable,
            Some(tls) if tls.required => postgres::config::SslMode::Require,
            Some(_) => postgres::config::SslMode::Prefer,
        })
        .channel_binding(match config.channel_binding {
            ChannelBinding::Disable => postgres::config::ChannelBinding::Disable,
            ChannelBinding::Prefer => postgres::config::ChannelBinding::Prefer,
            ChannelBinding::Require => postgres::config::ChannelBinding::Require,
        });
    match (attempt.address, &attempt.endpoint.host) {
        (Address::Tcp(address), _) => {
            settings.hostaddr(address.ip());
            match attempt.tls {
                Some(tls) => settings.host(&tls.name.to_str()),
                None => settings.host(&address.ip().to_string()),
            };
        }
        (Address::Unix(_), Host::Unix(folder)) => {
            settings.host_path(folder);
        }
        (Address::Unix(path), Host::Tcp { .. }) => {
            settings.host_path(path);
        }
    }
    if let Some(password) = &config.password {
        settings.password(password.expose());
    }
    if let Some(options) = &config.options {
        settings.options(options);
    }
    settings
}
