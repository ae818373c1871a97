//! From what a person typed, and an environment, to a settled [`ConnectionConfig`], with libpq's meanings.
//!
//! Sources: the PostgreSQL documentation, chapters "Connection Strings" (34.1.1), "Parameter Key Words", "Environment
//! Variables", "The Password File" and "The Connection Service File", and `src/interfaces/libpq/fe-connect.c` where
//! they are silent. The order of precedence is libpq's: the string, the service, the environment, the defaults.
//!
//! Where this differs from libpq, on purpose:
//!
//! * No message repeats a part of a connection string, since any part may belong to a password that was not escaped;
//!   a position is told instead. For the same reason a raw `@` in the host or the path of a URL is refused.
//! * A key that libpq knows and Backstay does not act on is ignored only where that is harmless (`keepalives`); one
//!   that would have made the connection safer or another one (`requirepeer`, `sslcrl`, `replication`) is refused.
//! * `target_session_attrs` is a choice where there are several hosts, which Backstay does not make: refused unless
//!   `any`. With one host it is only a check, which is not made: a [`Warning`].
//! * A few URL parameters of other clients (`pgbouncer=true`) are ignored with a [`Warning`].
//! * A password file that has different passwords for the hosts of one connection is refused: servers of one cluster
//!   share the role's password, so a line is missing or wrong.
//! * Connections to Supabase are verified unless `sslmode` says otherwise, by the platform's own root certificates unless
//!   `sslrootcert` names others; its transaction pooler is refused.
//! * A verified TLS connection without any root certificate, or a client key that others can read, is refused here
//!   and not only when connecting.

mod child_environment;
mod dotenv;
mod error;
mod keys;
mod passfile;
mod service_file;
mod settings;
mod settle;
mod small_file;
mod source;
mod text;
mod uri;
mod variables;

use std::fmt;
use std::path::PathBuf;

use crate::ConnectionConfig;

pub use child_environment::ChildEnvironment;
pub use dotenv::{DotenvError, DotenvProblem, parse_dotenv};
pub use error::{ConninfoError, Origin};
pub use source::{resolve_described, resolve_source};
pub use variables::Variables;

use settings::Settings;

/// A connection that was settled, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Resolved {
    /// What to connect to.
    pub config: ConnectionConfig,
    /// The pooler of the same database, for where the direct host cannot be [reached](Self::reachable).
    pub pooler: Option<Box<ConnectionConfig>>,
    /// Which rule chose it.
    pub source: Source,
    /// What the person should know.
    pub warnings: Vec<Warning>,
}

/// The rule that chose a connection; `Display` names it for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A connection string or database name given by the caller.
    Given,
    /// `DATABASE_URL`.
    DatabaseUrl,
    /// `SUPABASE_POOLER_URL`.
    SupabasePoolerUrl,
    /// `SUPABASE_PROJECT_REF` with `SUPABASE_DB_PASSWORD`.
    SupabaseProject,
    /// A description with a name, in a configuration.
    Configuration,
    /// The `PG*` variables, and libpq's defaults for those that are not set.
    Environment,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Given => "the given connection",
            Self::DatabaseUrl => "DATABASE_URL",
            Self::SupabasePoolerUrl => "SUPABASE_POOLER_URL",
            Self::SupabaseProject => "SUPABASE_PROJECT_REF",
            Self::Configuration => "the configuration",
            Self::Environment => "the PG* variables",
        })
    }
}

/// Something that did not prevent the connection from being settled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The password file can be read by others, and was therefore ignored.
    PassfileExposed(PathBuf),
    /// The password file is no plain file, and was therefore ignored.
    PassfileNotPlain(PathBuf),
    /// The password file exists but could not be read, and was therefore ignored.
    PassfileUnreadable(PathBuf),
    /// A URL parameter of another client was ignored.
    ForeignKey(&'static str),
    /// `target_session_attrs` names something that is not checked.
    SessionAttributesUnchecked,
    /// The default revocation list exists, and is not looked at.
    RevocationListUnused(PathBuf),
    /// A server at Supabase is not verified, because the TLS mode that is written asks for less.
    ServerUnverified,
    /// The session pooler was taken in place of the direct host.
    DirectHostUnreachable {
        /// `user@host:port/database` of the direct host.
        direct: String,
        /// The same of the pooler.
        pooler: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PassfileExposed(path) => write!(
                f,
                "password file {} has group or world access and is ignored; permissions should be u=rw (0600) or less",
                path.display()
            ),
            Self::PassfileNotPlain(path) => {
                write!(f, "password file {} is not a plain file and is ignored", path.display())
            }
            Self::PassfileUnreadable(path) => {
                write!(f, "password file {} cannot be read and is ignored", path.display())
            }
            Self::ForeignKey(key) => write!(f, "the URL parameter `{key}` is not PostgreSQL's and is ignored"),
            Self::SessionAttributesUnchecked => {
                f.write_str("target_session_attrs is not checked: the one host that is named is used as it is")
            }
            Self::RevocationListUnused(path) => {
                write!(f, "revocation lists are not supported: {} is ignored", path.display())
            }
            Self::ServerUnverified => f.write_str(
                "the server is not verified, because sslmode asks for less; without sslmode it is, by Supabase's own \
                 root certificates",
            ),
            Self::DirectHostUnreachable { direct, pooler } => write!(
                f,
                "{direct} cannot be reached, which needs IPv6; the session pooler {pooler} is used"
            ),
        }
    }
}

/// Settles a connection as libpq would: from a connection string (key/value or URL) or a bare database name, the
/// service file, the environment and the defaults.
///
/// It reads the password file, the service file and the names of the default certificate files, all found through
/// `variables`. An empty `connection` is the same as none.
///
/// ```
/// use backstay_postgres::{Variables, resolve};
///
/// // A program hands in `std::env::vars_os().collect()`.
/// let variables: Variables = [("PGPASSWORD", "secret"), ("PGCONNECT_TIMEOUT", "10")].into_iter().collect();
/// let resolved = resolve(Some("postgresql://ada@db.example.org/orders"), &variables)?;
/// assert_eq!(resolved.config.describe(), "ada@db.example.org:5432/orders");
/// # Ok::<(), backstay_postgres::ConninfoError>(())
/// ```
///
/// # Errors
/// Whatever is malformed, contradictory or not supported; see [`ConninfoError`]. No error shows a part of `connection`.
pub fn resolve(connection: Option<&str>, variables: &Variables) -> Result<Resolved, ConninfoError> {
    let mut request = Request::new(match connection {
        Some(_) => Source::Given,
        None => Source::Environment,
    });
    if let Some(connection) = connection {
        text::parse(connection, &Origin::ConnectionString, &mut request)?;
    }
    request.settle(variables)
}

/// What is known before the service, the environment and the defaults are asked.
struct Request {
    source: Source,
    settings: Settings,
    warnings: Vec<Warning>,
}

impl Request {
    fn new(source: Source) -> Self {
        Self {
            source,
            settings: Settings::default(),
            warnings: Vec::new(),
        }
    }

    fn settle(mut self, variables: &Variables) -> Result<Resolved, ConninfoError> {
        service_file::add(&mut self.settings, variables)?;
        self.settings.add_environment(variables);
        self.settings.refuse_unsupported()?;
        let config = settle::settle(&self.settings, variables, &mut self.warnings)?;
        Ok(Resolved {
            config,
            pooler: None,
            source: self.source,
            warnings: self.warnings,
        })
    }
}

#[cfg(test)]
mod tests;
