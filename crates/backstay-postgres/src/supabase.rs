//! What is known of Supabase's hosts, in this one place: names, ports, root certificates.
//!
//! Sources: Supabase's documentation ("Connecting to your database", "Postgres SSL Enforcement"); the certificates are
//! those that its own command-line program carries.

use std::time::Duration;

use crate::cancel::CancelToken;
use crate::config::{ConnectionConfig, Endpoint, Host};
use crate::connect::ConnectErrorKind;
use crate::conninfo::{Resolved, Warning};
use crate::wire::WireConnection;

/// The port of sessions, at the direct host and at the pooler.
pub(crate) const SESSION_PORT: u16 = 5432;
/// The port of the pooler's transaction mode, at both.
const TRANSACTION_PORT: u16 = 6543;
/// How long the direct host is tried while the pooler is at hand.
const DIRECT_PATIENCE: Duration = Duration::from_secs(10);

/// The roots that certify Supabase's database servers and poolers, as PEM. Both are called "Supabase Root 2021 CA", and no
/// operating system has them.
///
/// | file | SHA-256 of the certificate | until |
/// |---|---|---|
/// | `prod-ca-2021.crt` | `807025AD50D4ED219D2C9C7D299C004F824EB00CF7F65AFEF607D07B72E6CAFA` | 2031-04-26 |
/// | `prod-ca-2025.crt` | `5F9B77951A7AA1303F9B58EEA9BFA89E358CFDC15F9786FF10D4930A722C9AE2` | 2035-09-01 |
pub(crate) const ROOTS: [&str; 2] = [
    include_str!("supabase/prod-ca-2021.crt"),
    include_str!("supabase/prod-ca-2025.crt"),
];

/// A TCP host's name as it is compared.
fn host_name(endpoint: &Endpoint) -> Option<String> {
    match &endpoint.host {
        Host::Tcp { name, .. } => Some(name.trim_end_matches('.').to_ascii_lowercase()),
        Host::Unix(_) => None,
    }
}

fn is_host(endpoint: &Endpoint) -> bool {
    host_name(endpoint).is_some_and(|name| name.ends_with(".supabase.co") || name.ends_with(".supabase.com"))
}

/// The reference in `db.REF.supabase.co`.
fn project_of_direct(name: &str) -> Option<&str> {
    name.strip_prefix("db.")?.strip_suffix(".supabase.co")
}

fn is_pooler(name: &str) -> bool {
    name.ends_with(".pooler.supabase.com")
}

/// Whether all of them are hosts of Supabase.
pub(crate) fn are_hosts(endpoints: &[Endpoint]) -> bool {
    !endpoints.is_empty() && endpoints.iter().all(is_host)
}

/// The endpoint that is Supabase's pooler in transaction mode.
pub(crate) fn transaction_pooler(endpoints: &[Endpoint]) -> Option<&Endpoint> {
    let mut endpoints = endpoints.iter();
    endpoints.find(|endpoint| is_host(endpoint) && endpoint.port == TRANSACTION_PORT)
}

impl ConnectionConfig {
    /// Whether the database is at Supabase, by the names of its hosts.
    #[must_use]
    pub fn is_at_supabase(&self) -> bool {
        are_hosts(&self.endpoints)
    }

    /// Tells whether an endpoint is Supabase's pooler in transaction mode, whose connections keep no session: neither
    /// settings nor an exported snapshot are safe there.
    #[must_use]
    pub fn looks_like_transaction_pooler(&self) -> bool {
        transaction_pooler(&self.endpoints).is_some()
    }

    /// The project at Supabase whose database that is: `db.REF.supabase.co`, or the user `NAME.REF` at its pooler.
    #[must_use]
    pub fn supabase_project(&self) -> Option<String> {
        self.endpoints.iter().find_map(|endpoint| {
            let name = host_name(endpoint)?;
            if let Some(project) = project_of_direct(&name) {
                return Some(project.to_owned());
            }
            let (_, project) = self.user.rsplit_once('.')?;
            is_pooler(&name).then(|| project.to_owned())
        })
    }

    /// Whether that is Supabase's pooler.
    pub(crate) fn is_supabase_pooler(&self) -> bool {
        self.endpoints.iter().filter_map(host_name).any(|name| is_pooler(&name))
    }
}

impl Resolved {
    /// Takes the [pooler](Self::pooler) where the direct host cannot be reached, which most networks without IPv6 cannot;
    /// a [`Warning`] says so.
    ///
    /// The direct host is given ten seconds. Any answer of it, a refusal too, means that it can be reached. Nothing is asked
    /// where there is no pooler to take.
    #[must_use]
    pub fn reachable(mut self, cancel: &CancelToken) -> Self {
        let Some(pooler) = self.pooler.take() else {
            return self;
        };
        let patience = self
            .config
            .connect_timeout
            .unwrap_or(DIRECT_PATIENCE)
            .min(DIRECT_PATIENCE);
        let direct = ConnectionConfig {
            connect_timeout: Some(patience),
            ..self.config.clone()
        };
        match WireConnection::connect(&direct, cancel) {
            Err(error)
                if matches!(
                    error.kind(),
                    ConnectErrorKind::Unreachable | ConnectErrorKind::NameNotFound | ConnectErrorKind::TimedOut
                ) =>
            {
                self.warnings.push(Warning::DirectHostUnreachable {
                    direct: direct.describe(),
                    pooler: pooler.describe(),
                });
                self.config = *pooler;
            }
            Ok(_) | Err(_) => {}
        }
        self
    }
}

#[cfg(test)]
mod tests;
