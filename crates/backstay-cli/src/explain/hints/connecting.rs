//! What to do where there is no connection.

use backstay::{ConnectError, ConnectErrorKind, ConninfoError};

use super::SESSION_POOLER;

const PASSWORD: &str = "put the password into PGPASSWORD, into DATABASE_URL in .env.local, or into ~/.pgpass with \
                        mode 0600";

pub(super) fn of_connect(error: &ConnectError) -> Option<&'static str> {
    if let Some(hint) = of_connect_to_supabase(error) {
        return Some(hint);
    }
    Some(match error.kind() {
        ConnectErrorKind::Unreachable => {
            "is the server running, and are host and port right? pg_isready -h HOST -p PORT tells"
        }
        ConnectErrorKind::NameNotFound => "is the host name spelled right?",
        ConnectErrorKind::TimedOut => "are host and port right, and does a firewall let this machine through?",
        ConnectErrorKind::Tls => {
            "sslmode says how much TLS is asked for, sslrootcert=FILE (or system) which authority is trusted"
        }
        ConnectErrorKind::Denied => {
            "check user and password; the password is taken from the connection, PGPASSWORD or ~/.pgpass"
        }
        ConnectErrorKind::NoPassword => PASSWORD,
        ConnectErrorKind::DatabaseMissing => "is its name spelled right? psql -l lists the databases of a server",
        ConnectErrorKind::TooManyConnections => "try again when fewer clients are connected, or with fewer --jobs",
        ConnectErrorKind::TransactionPooler => SESSION_POOLER,
        ConnectErrorKind::NotAccepting => "try again when the server has started",
        ConnectErrorKind::Lost => "try again; the server's log may tell why the connection was closed",
        ConnectErrorKind::Protocol => "is it a PostgreSQL server that listens on that port?",
        _ => return None,
    })
}

/// What is particular about the hosts of Supabase.
fn of_connect_to_supabase(error: &ConnectError) -> Option<&'static str> {
    let (user, place) = error.server().split_once('@')?;
    let host = place.rsplit_once(':')?.0.to_ascii_lowercase();
    let is_pooler = host.ends_with(".pooler.supabase.com");
    if host.starts_with("db.") && host.ends_with(".supabase.com") {
        return Some("the direct host of a project at Supabase is db.REF.supabase.co, without an m at the end");
    }
    let is_direct = host.starts_with("db.") && host.ends_with(".supabase.co");
    if !is_pooler && !is_direct {
        return None;
    }
    match error.kind() {
        ConnectErrorKind::Unreachable | ConnectErrorKind::TimedOut | ConnectErrorKind::NameNotFound if is_direct => {
            Some(
                "a direct connection to Supabase needs IPv6, and a project that is not paused: without IPv6 put the URL \
                 of the session pooler (port 5432; the dashboard shows it under Connect, Session pooler) into \
                 SUPABASE_POOLER_URL",
            )
        }
        ConnectErrorKind::NameNotFound => Some(
            "number and region in the pooler's host name cannot be guessed: the dashboard shows it under Connect, \
             Session pooler",
        ),
        ConnectErrorKind::Tls => Some(
            "the certificate is not one of Supabase's that this program knows; if they have a new one, download it from \
             the dashboard (Database, Settings, SSL) and name it with sslrootcert=FILE",
        ),
        ConnectErrorKind::Denied if is_direct && user.contains('.') => {
            Some("at the direct host the user has no reference of the project behind it: postgres")
        }
        ConnectErrorKind::Denied | ConnectErrorKind::Other if is_pooler && !user.contains('.') => {
            Some("at the pooler the user has the reference of the project behind it: postgres.REF")
        }
        _ => None,
    }
}

pub(super) fn of_conninfo(error: &ConninfoError) -> Option<&'static str> {
    Some(match error {
        ConninfoError::NotPostgres { .. } => "such as postgresql://user@host:5432/database",
        ConninfoError::Syntax { .. } => {
            "write special characters of a password as %XX (@ as %40, / as %2F), or keep the password in PGPASSWORD"
        }
        ConninfoError::NoRootCertificate => "name the file of the authority, with sslrootcert=FILE or PGSSLROOTCERT",
        ConninfoError::NoUser => "name the user in the connection, or set PGUSER",
        ConninfoError::EmptyConnection => "is the variable that you meant set?",
        ConninfoError::PlaceholderPassword { .. } => {
            "put the password of the database there, or set SUPABASE_DB_PASSWORD"
        }
        ConninfoError::TransactionPooler { .. } => {
            "the dashboard shows the URL of the session pooler under Connect, Session pooler"
        }
        ConninfoError::ProjectsDiffer => {
            "unset the one that is not meant; the project of a store may stand in its URL: supabase://BUCKET?project=REF"
        }
        ConninfoError::NothingConfigured => "such as: backstay backup --from postgresql://user@host:5432/database",
        _ => return None,
    })
}
