//! The connection parameters of libpq (through PostgreSQL 18), their variables, and what Backstay does with each.

/// A connection parameter.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) variable: Option<&'static str>,
    pub(super) treatment: Treatment,
}

pub(super) enum Treatment {
    /// Backstay acts on it.
    Used,
    /// Backstay does not act on it, and nobody is worse off.
    Ignored,
    /// Only these values (and the empty one) ask for nothing that Backstay does not do.
    Only {
        accepted: &'static [&'static str],
        reason: &'static str,
    },
}

use Treatment::{Ignored, Only, Used};

const fn key(name: &'static str, variable: &'static str, treatment: Treatment) -> Key {
    Key {
        name,
        variable: Some(variable),
        treatment,
    }
}

const fn key_without_variable(name: &'static str, treatment: Treatment) -> Key {
    Key {
        name,
        variable: None,
        treatment,
    }
}

const fn refused(reason: &'static str) -> Treatment {
    Only { accepted: &[], reason }
}

/// Every key that a connection string may have.
pub(super) const KEYS: &[Key] = &[
    // `PGSERVICE` is looked at before the other variables, so it is not listed as this key's variable.
    key_without_variable("service", Used),
    key("user", "PGUSER", Used),
    key("password", "PGPASSWORD", Used),
    key("passfile", "PGPASSFILE", Used),
    key("channel_binding", "PGCHANNELBINDING", Used),
    key("connect_timeout", "PGCONNECT_TIMEOUT", Used),
    key("dbname", "PGDATABASE", Used),
    key("host", "PGHOST", Used),
    key("hostaddr", "PGHOSTADDR", Used),
    key("port", "PGPORT", Used),
    key("options", "PGOPTIONS", Used),
    key("application_name", "PGAPPNAME", Used),
    key_without_variable("fallback_application_name", Used),
    key("sslmode", "PGSSLMODE", Used),
    key("sslrootcert", "PGSSLROOTCERT", Used),
    key("sslcert", "PGSSLCERT", Used),
    key("sslkey", "PGSSLKEY", Used),
    key("sslcertmode", "PGSSLCERTMODE", Used),
    key("target_session_attrs", "PGTARGETSESSIONATTRS", Used),
    // The encoding, the order of hosts and the watch over idle sockets are Backstay's own affair.
    key("client_encoding", "PGCLIENTENCODING", Ignored),
    key("load_balance_hosts", "PGLOADBALANCEHOSTS", Ignored),
    key_without_variable("keepalives", Ignored),
    key_without_variable("keepalives_idle", Ignored),
    key_without_variable("keepalives_interval", Ignored),
    key_without_variable("keepalives_count", Ignored),
    key_without_variable("tcp_user_timeout", Ignored),
    // What follows would only have been tried, or would have made the connection weaker.
    key("sslcompression", "PGSSLCOMPRESSION", Ignored),
    key("sslnegotiation", "PGSSLNEGOTIATION", Ignored),
    key("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", Ignored),
    key("max_protocol_version", "PGMAXPROTOCOLVERSION", Ignored),
    key_without_variable("sslkeylogfile", Ignored),
    key("krbsrvname", "PGKRBSRVNAME", Ignored),
    key("gsslib", "PGGSSLIB", Ignored),
    key("gssdelegation", "PGGSSDELEGATION", Ignored),
    key(
        "gssencmode",
        "PGGSSENCMODE",
        Only {
            accepted: &["disable", "prefer"],
            reason: "connections cannot be encrypted with GSSAPI",
        },
    ),
    key(
        "ssl_min_protocol_version",
        "PGSSLMINPROTOCOLVERSION",
        Only {
            accepted: &["TLSv1", "TLSv1.1", "TLSv1.2"],
            reason: "TLS 1.2 cannot be ruled out",
        },
    ),
    key(
        "min_protocol_version",
        "PGMINPROTOCOLVERSION",
        Only {
            accepted: &["3.0"],
            reason: "protocol 3.0 is what is spoken",
        },
    ),
    key(
        "sslsni",
        "PGSSLSNI",
        Only {
            accepted: &["1"],
            reason: "the host name is always sent",
        },
    ),
    key_without_variable(
        "replication",
        Only {
            accepted: &["false", "off", "no", "0"],
            reason: "a backup needs an ordinary connection",
        },
    ),
    key(
        "requirepeer",
        "PGREQUIREPEER",
        refused("the owner of the server is not checked"),
    ),
    key(
        "require_auth",
        "PGREQUIREAUTH",
        refused("the way of authentication is not checked"),
    ),
    key("sslcrl", "PGSSLCRL", refused("revocation lists are not looked at")),
    key(
        "sslcrldir",
        "PGSSLCRLDIR",
        refused("revocation lists are not looked at"),
    ),
    key_without_variable("sslpassword", refused("the client's private key must not be encrypted")),
    key_without_variable("scram_client_key", refused("SCRAM needs the password")),
    key_without_variable("scram_server_key", refused("SCRAM needs the password")),
    key_without_variable("oauth_issuer", refused("OAuth is not spoken")),
    key_without_variable("oauth_client_id", refused("OAuth is not spoken")),
    key_without_variable("oauth_client_secret", refused("OAuth is not spoken")),
    key_without_variable("oauth_scope", refused("OAuth is not spoken")),
];

/// URL parameters that other clients invented, and that say nothing about how to reach the server.
pub(super) const FOREIGN_KEYS: &[&str] = &[
    "connection_limit",
    "pgbouncer",
    "pool_timeout",
    "schema",
    "statement_cache_size",
    "supa",
];

/// The key of that name; names are case-sensitive.
pub(super) fn find(name: &[u8]) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name.as_bytes() == name)
}

/// The known key that is most like this: one that begins as it does before others, then by the fewest changes.
pub(super) fn nearest(name: &[u8]) -> &'static str {
    /// Longer than any key; what is further off need not be compared.
    const COMPARED_BYTES_MAX: usize = 64;
    let name = &name[..name.len().min(COMPARED_BYTES_MAX)];
    let unlikeness = |key: &&Key| {
        let key = key.name.as_bytes();
        let begins_alike = name.starts_with(key) || key.starts_with(name);
        (!begins_alike, edit_distance(name, key))
    };
    KEYS.iter().min_by_key(unlikeness).map_or("host", |key| key.name)
}

/// How many bytes must be inserted, removed, replaced or swapped with their neighbour (optimal string alignment).
fn edit_distance(from: &[u8], to: &[u8]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = last[j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(before_last[j - 2] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_named() {
        let check = |name: &str, expected: &str| assert_eq!(nearest(name.as_bytes()), expected, "{name}");
        check("hots", "host");
        check("hostname", "host");
        check("db", "dbname");
        check("database", "dbname");
        check("pasword", "password");
        check("ssl_mode", "sslmode");
        check("sslRootCert", "sslrootcert");
        check("username", "user");
        check("conect_timeout", "connect_timeout");
        check("hosts", "host");
        check("hostaddress", "hostaddr");
        check("pass", "password");
        check("", "user");
    }
}
