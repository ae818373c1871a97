use std::fmt::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

/// A password or another value that no message, log or `Debug` output may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps the value.
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self(value.into())
    }

    /// The value itself; to be handed to a server or a child's environment, never to a message.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "libpq knows no third way")]
pub enum Host {
    /// A name or address; `address`, where given (`hostaddr`), is connected to, and `name` is what the certificate
    /// must say.
    Tcp {
        /// Host name, or the address again where only `hostaddr` was given.
        name: String,
        /// Numeric address that replaces the look-up of the name.
        address: Option<String>,
    },
    /// The folder of a Unix-domain socket.
    Unix(PathBuf),
}

/// One place to try to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair")]
pub struct Endpoint {
    /// Host name, address or socket folder.
    pub host: Host,
    /// Port; for a socket part of its file name.
    pub port: u16,
}

/// How much TLS is asked for, with libpq's meanings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the list is libpq's")]
pub enum SslMode {
    /// Never.
    Disable,
    /// Only if the server insists (treated like `Prefer`, which is never weaker).
    Allow,
    /// If the server can; nothing is verified.
    Prefer,
    /// Always; nothing is verified unless a root certificate is given, then its chain.
    Require,
    /// Always, and the chain must end in a trusted root.
    VerifyCa,
    /// Always, chain and host name.
    VerifyFull,
}

/// Where trusted root certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "who connects must know each")]
pub enum RootCertificates {
    /// A PEM file.
    File(PathBuf),
    /// The operating system's (`sslrootcert=system`).
    System,
    /// Those of Supabase, which come with Backstay.
    Supabase,
}

/// Whether SCRAM must be bound to the TLS channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the list is libpq's")]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where both sides can.
    Prefer,
    /// Or fail.
    Require,
}

/// Everything needed to connect to one database, settled: no default is left to be looked up.
///
/// `Debug` shows no password.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "tests and drills build it by hand; a new field must be thought of there"
)]
pub struct ConnectionConfig {
    /// Places to try, in order; never empty.
    pub endpoints: Vec<Endpoint>,
    /// Role to connect as.
    pub user: String,
    /// Password, if there is one.
    pub password: Option<Secret>,
    /// Database to connect to.
    pub database: String,
    /// How much TLS.
    pub ssl_mode: SslMode,
    /// Trusted roots; `None` means none were named.
    pub ssl_root_cert: Option<RootCertificates>,
    /// Client certificate (PEM file) and key.
    pub ssl_client_cert: Option<(PathBuf, PathBuf)>,
    /// Binding of SCRAM to TLS.
    pub channel_binding: ChannelBinding,
    /// Command-line options for the server's session (`options=-c …`).
    pub options: Option<String>,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
    /// Limit for each attempt to connect; `None` waits as long as the operating system does.
    pub connect_timeout: Option<Duration>,
}

impl ConnectionConfig {
    /// `user@host:port/database`, for messages: no password, and no control characters.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = format!("{}@", self.user);
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(text, "{comma}{endpoint}");
        }
        text.push('/');
        text.push_str(&self.database);
        text.replace(char::is_control, "\u{fffd}")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Tcp { name, .. } if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            Host::Tcp { name, .. } => write!(f, "{name}:{}", self.port),
            Host::Unix(folder) => write!(f, "{}:{}", folder.display(), self.port),
        }
    }
}
