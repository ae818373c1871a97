use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The connection string that the caller gave.
    ConnectionString,
    /// An environment variable.
    Variable(&'static str),
    /// A line of a service file, counted from 1.
    ServiceFile {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// What a configuration says of the connection.
    Configuration,
    /// A rule of Backstay or a default.
    Rule,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectionString => f.write_str("the connection string"),
            Self::Variable(name) => f.write_str(name),
            Self::ServiceFile { path, line } => write!(f, "line {line} of {}", path.display()),
            Self::Configuration => f.write_str("the configuration"),
            Self::Rule => f.write_str("the defaults"),
        }
    }
}

/// A connection that cannot be settled.
///
/// Neither `Display` nor `Debug` repeats what stood in a connection string: of a malformed one any part may belong to
/// the password. Positions are counted in bytes from 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConninfoError {
    /// A URL of something else, or a URL without its beginning.
    #[error("{origin} is not a PostgreSQL connection: a URL begins with postgresql:// or postgres://")]
    NotPostgres {
        /// Where it was written.
        origin: Origin,
    },
    /// The text does not follow its grammar.
    #[error("{problem}, at character {position} of {origin}")]
    Syntax {
        /// Where it was written.
        origin: Origin,
        /// The byte where it was noticed.
        position: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// No such key.
    #[error("unknown key at character {position} of {origin}; the nearest known key is `{nearest}`")]
    UnknownKey {
        /// Where it was written.
        origin: Origin,
        /// Where the key begins.
        position: usize,
        /// The known key that is most like it.
        nearest: &'static str,
    },
    /// A value that the key does not take.
    #[error("invalid value of `{key}` from {origin}: {expected} is expected")]
    InvalidValue {
        /// The key.
        key: &'static str,
        /// Where it was written.
        origin: Origin,
        /// What it takes.
        expected: &'static str,
    },
    /// A known key, or a value of it, that Backstay does not act on and must not ignore.
    #[error("`{key}` from {origin} is not supported: {reason}")]
    Unsupported {
        /// The key.
        key: &'static str,
        /// Where it was written.
        origin: Origin,
        /// Why it is not ignored.
        reason: &'static str,
    },
    /// `host` and `hostaddr` list different numbers of places.
    #[error("{hosts} host names do not match {addresses} hostaddr values")]
    HostCount {
        /// Elements of `host`.
        hosts: usize,
        /// Elements of `hostaddr`.
        addresses: usize,
    },
    /// `port` lists neither one port nor one for each host.
    #[error("{ports} port numbers do not match {hosts} hosts")]
    PortCount {
        /// Elements of `port`.
        ports: usize,
        /// Hosts.
        hosts: usize,
    },
    /// Any of thousands of public authorities would be believed for any host name.
    #[error("sslrootcert=system needs sslmode=verify-full, and {origin} asks for less")]
    WeakSslMode {
        /// Where the mode was written.
        origin: Origin,
    },
    /// Verification is asked for, and there is nothing to verify with.
    #[error(
        "the server's certificate cannot be verified: no sslrootcert is given (a file, or `system`) and there is no \
         ~/.postgresql/root.crt"
    )]
    NoRootCertificate,
    /// There is a client certificate without its key.
    #[error("client certificate {} has no private key: name it with sslkey", certificate.display())]
    NoClientKey {
        /// The certificate.
        certificate: PathBuf,
    },
    /// The client's private key can be read by others.
    #[error(
        "private key file {} has group or world access; it must be u=rw (0600) or less, or u=rw,g=r (0640) or less if \
         owned by root", path.display()
    )]
    ClientKeyExposed {
        /// The key.
        path: PathBuf,
    },
    /// Neither a user nor the operating system's user name is known.
    #[error("no user is given, and neither USER nor LOGNAME is set")]
    NoUser,
    /// The password file gives the hosts of one connection different passwords, or only some of them one.
    #[error("password file {} does not have the same password for all hosts of the connection", path.display())]
    PassfileDisagrees {
        /// The file.
        path: PathBuf,
    },
    /// No service file has the service.
    #[error("definition of service \"{service}\" not found")]
    ServiceNotFound {
        /// Its name.
        service: String,
    },
    /// A service file exists, or was named, and cannot be read.
    #[error("cannot read service file {}", path.display())]
    ServiceFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The password is still the text that stands for it in the vendor's example.
    #[error("{origin} still has a placeholder where the password belongs")]
    PlaceholderPassword {
        /// Where it was written.
        origin: Origin,
    },
    /// The port is that of Supabase's transaction pooler, which gives each transaction another session.
    #[error("{endpoint} is Supabase's pooler in transaction mode, which keeps no session: use {session} instead")]
    TransactionPooler {
        /// Host and port that were named.
        endpoint: String,
        /// Those of sessions.
        session: String,
    },
    /// The variables name two projects.
    #[error("SUPABASE_PROJECT_REF and SUPABASE_POOLER_URL are of different projects")]
    ProjectsDiffer,
    /// `SUPABASE_PROJECT_REF` is not the reference of a project.
    #[error("SUPABASE_PROJECT_REF is not a project reference: letters and digits are expected")]
    InvalidProjectRef,
    /// A connection was given, and it is empty: most likely a variable that is not set.
    #[error("the given connection is empty")]
    EmptyConnection,
    /// Nothing says where the database is.
    #[error(
        "no database is named: give a connection, or set DATABASE_URL, SUPABASE_POOLER_URL (with \
         SUPABASE_DB_PASSWORD), SUPABASE_PROJECT_REF and SUPABASE_DB_PASSWORD, or PGHOST, PGDATABASE and the other PG* \
         variables"
    )]
    NothingConfigured,
}
