use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStringExt;
use std::process::Command;

use tempfile::TempPath;

use crate::supabase::ROOTS;
use crate::{ChannelBinding, ConnectionConfig, Endpoint, Host, RootCertificates, SslMode};

/// Every variable by which libpq (through PostgreSQL 18) or its programs can be told something else, old ones as well.
const VARIABLES: &[&str] = &[
    "PGAPPNAME",
    "PGAUTHTYPE",
    "PGCHANNELBINDING",
    "PGCLIENTENCODING",
    "PGCONNECT_TIMEOUT",
    "PGDATABASE",
    "PGDATESTYLE",
    "PGGEQO",
    "PGGSSDELEGATION",
    "PGGSSENCMODE",
    "PGGSSLIB",
    "PGHOST",
    "PGHOSTADDR",
    "PGKRBSRVNAME",
    "PGLOADBALANCEHOSTS",
    "PGLOCALEDIR",
    "PGMAXPROTOCOLVERSION",
    "PGMINPROTOCOLVERSION",
    "PGOAUTHDEBUG",
    "PGOPTIONS",
    "PGPASSFILE",
    "PGPASSWORD",
    "PGPORT",
    "PGREALM",
    "PGREQUIREAUTH",
    "PGREQUIREPEER",
    "PGREQUIRESSL",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSSLCERT",
    "PGSSLCERTMODE",
    "PGSSLCOMPRESSION",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLKEY",
    "PGSSLMAXPROTOCOLVERSION",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLMODE",
    "PGSSLNEGOTIATION",
    "PGSSLROOTCERT",
    "PGSSLSNI",
    "PGSYSCONFDIR",
    "PGTARGETSESSIONATTRS",
    "PGTTY",
    "PGTZ",
    "PGUSER",
    "PG_COLOR",
    "PG_COLORS",
];

/// What a child process (`pg_dump`, `psql`) must find in its environment to connect as configured.
///
/// The two lists have no name in common, and together they hold every variable that libpq listens to. `Debug` shows no
/// password.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildEnvironment {
    /// Variables to set, with their values.
    pub set: Vec<(OsString, OsString)>,
    /// Variables that the child must not inherit.
    pub remove: Vec<OsString>,
    /// Root certificates that must be in a file first, as PEM.
    roots: &'static [&'static str],
}

impl fmt::Debug for ChildEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, value): &(OsString, OsString)| {
            let value = if name == "PGPASSWORD" {
                "***".into()
            } else {
                value.clone()
            };
            (name.clone(), value)
        };
        f.debug_struct("ChildEnvironment")
            .field("set", &self.set.iter().map(shown).collect::<Vec<_>>())
            .field("remove", &self.remove)
            .finish()
    }
}

impl ChildEnvironment {
    /// Gives the variables to a child that is about to be started; the file, if there is one, must outlive the child.
    ///
    /// # Errors
    /// The file of the root certificates cannot be written.
    pub(crate) fn apply(&self, command: &mut Command) -> io::Result<Option<TempPath>> {
        for name in &self.remove {
            command.env_remove(name);
        }
        for (name, value) in &self.set {
            command.env(name, value);
        }
        if self.roots.is_empty() {
            return Ok(None);
        }
        let mut file = tempfile::Builder::new()
            .prefix("backstay-roots-")
            .suffix(".crt")
            .tempfile()?;
        for pem in self.roots {
            file.write_all(pem.as_bytes())?;
        }
        let path = file.into_temp_path();
        command.env("PGSSLROOTCERT", &path);
        Ok(Some(path))
    }
}

impl ConnectionConfig {
    /// The variables that make a child process of libpq's family connect as this configuration says.
    ///
    /// Several endpoints become libpq's comma-separated lists, so the child may reach another one than this process
    /// did: who needs the same server (for a snapshot, say) leaves only that one in `endpoints` first.
    /// [`RootCertificates::System`] needs a child with the libpq of PostgreSQL 16 or newer. Those of
    /// [`RootCertificates::Supabase`] are in none of the variables: [`dump_schema`](crate::dump_schema) and
    /// [`dump_globals`](crate::dump_globals) write them to a file for their child.
    #[must_use]
    pub fn child_environment(&self) -> ChildEnvironment {
        let mut set: Vec<(OsString, OsString)> = Vec::new();
        let mut add = |name: &str, value: OsString| set.push((name.into(), value));
        add("PGHOST", joined(&self.endpoints, host_name));
        if self.endpoints.iter().any(|endpoint| !host_address(endpoint).is_empty()) {
            add("PGHOSTADDR", joined(&self.endpoints, host_address));
        }
        add(
            "PGPORT",
            joined(&self.endpoints, |endpoint| endpoint.port.to_string().into()),
        );
        add("PGUSER", self.user.clone().into());
        add("PGDATABASE", self.database.clone().into());
        if let Some(password) = &self.password {
            add("PGPASSWORD", OsString::from_vec(password.expose().to_vec()));
        }
        add("PGSSLMODE", ssl_mode(self.ssl_mode).into());
        match &self.ssl_root_cert {
            Some(RootCertificates::File(path)) => add("PGSSLROOTCERT", path.into()),
            Some(RootCertificates::System) => add("PGSSLROOTCERT", "system".into()),
            Some(RootCertificates::Supabase) | None => {}
        }
        if let Some((certificate, key)) = &self.ssl_client_cert {
            add("PGSSLCERT", certificate.into());
            add("PGSSLKEY", key.into());
        } else {
            // Or the child would offer the certificate of ~/.postgresql where `sslcertmode` forbade it.
            add("PGSSLCERTMODE", "disable".into());
        }
        add("PGCHANNELBINDING", channel_binding(self.channel_binding).into());
        // Backstay does not speak it, and a ticket at hand would make the child try.
        add("PGGSSENCMODE", "disable".into());
        if let Some(options) = &self.options {
            add("PGOPTIONS", options.into());
        }
        add("PGAPPNAME", self.application_name.clone().into());
        if let Some(timeout) = self.connect_timeout {
            // Rounded up: zero would mean to wait for ever.
            let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
            add(
                "PGCONNECT_TIMEOUT",
                seconds.max(1).min(i32::MAX as u64).to_string().into(),
            );
        }
        let is_set = |name: &str| set.iter().any(|(other, _)| other == name);
        let remove = VARIABLES
            .iter()
            .filter(|name| !is_set(name))
            .map(OsString::from)
            .collect();
        let roots: &[&str] = match self.ssl_root_cert {
            Some(RootCertificates::Supabase) => &ROOTS,
            _ => &[],
        };
        ChildEnvironment { set, remove, roots }
    }
}

fn joined(endpoints: &[Endpoint], part: impl Fn(&Endpoint) -> OsString) -> OsString {
    let parts: Vec<OsString> = endpoints.iter().map(part).collect();
    parts.join(OsStr::new(","))
}

fn host_name(endpoint: &Endpoint) -> OsString {
    match &endpoint.host {
        Host::Tcp { name, .. } => name.into(),
        Host::Unix(folder) => folder.into(),
    }
}

fn host_address(endpoint: &Endpoint) -> OsString {
    match &endpoint.host {
        Host::Tcp { address, .. } => address.as_deref().unwrap_or_default().into(),
        Host::Unix(_) => OsString::new(),
    }
}

fn ssl_mode(mode: SslMode) -> &'static str {
    match mode {
        SslMode::Disable => "disable",
        SslMode::Allow => "allow",
        SslMode::Prefer => "prefer",
        SslMode::Require => "require",
        SslMode::VerifyCa => "verify-ca",
        SslMode::VerifyFull => "verify-full",
    }
}

fn channel_binding(binding: ChannelBinding) -> &'static str {
    match binding {
        ChannelBinding::Disable => "disable",
        ChannelBinding::Prefer => "prefer",
        ChannelBinding::Require => "require",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::conninfo::keys::KEYS;
    use crate::conninfo::{Variables, resolve};

    fn config(connection: &str) -> ConnectionConfig {
        let variables: Variables = [("HOME", "/nonexistent")].into_iter().collect();
        resolve(Some(connection), &variables).unwrap().config
    }

    #[track_caller]
    fn check(config: &ConnectionConfig, expected: &[(&str, &str)]) {
        let set = config.child_environment().set;
        let set: Vec<_> = set
            .iter()
            .map(|(name, value)| (name.to_str().unwrap(), value.to_str().unwrap()))
            .collect();
        assert_eq!(set, expected);
    }

    #[test]
    fn what_is_set() {
        check(
            &config("host=/sock user=u dbname=d"),
            &[
                ("PGHOST", "/sock"),
                ("PGPORT", "5432"),
                ("PGUSER", "u"),
                ("PGDATABASE", "d"),
                ("PGSSLMODE", "prefer"),
                ("PGSSLCERTMODE", "disable"),
                ("PGCHANNELBINDING", "prefer"),
                ("PGGSSENCMODE", "disable"),
                ("PGAPPNAME", "backstay"),
            ],
        );
        let mut all = config(
            "host=a,b hostaddr=,::1 port=1,2 user=u dbname=d password=p sslmode=verify-full sslrootcert=/r sslcert=/c \
             sslkey=/k channel_binding=require options='-c x=y' application_name=n",
        );
        all.connect_timeout = Some(Duration::from_millis(1001));
        check(
            &all,
            &[
                ("PGHOST", "a,b"),
                ("PGHOSTADDR", ",::1"),
                ("PGPORT", "1,2"),
                ("PGUSER", "u"),
                ("PGDATABASE", "d"),
                ("PGPASSWORD", "p"),
                ("PGSSLMODE", "verify-full"),
                ("PGSSLROOTCERT", "/r"),
                ("PGSSLCERT", "/c"),
                ("PGSSLKEY", "/k"),
                ("PGCHANNELBINDING", "require"),
                ("PGGSSENCMODE", "disable"),
                ("PGOPTIONS", "-c x=y"),
                ("PGAPPNAME", "n"),
                ("PGCONNECT_TIMEOUT", "2"),
            ],
        );
    }

    #[test]
    fn no_timeout_becomes_libpqs_zero_which_waits_for_ever() {
        let mut config = config("host=h user=u");
        config.connect_timeout = Some(Duration::ZERO);
        let set = config.child_environment().set;
        assert!(set.contains(&("PGCONNECT_TIMEOUT".into(), "1".into())));
    }

    #[test]
    fn every_variable_is_either_set_or_removed() {
        let environment = config("host=h user=u password=p").child_environment();
        let set: BTreeSet<_> = environment.set.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        let removed: BTreeSet<_> = environment.remove.iter().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(set.intersection(&removed).next(), None);
        let files = ["PGSERVICE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGREQUIRESSL"];
        for name in KEYS.iter().filter_map(|key| key.variable).chain(files) {
            assert!(set.contains(name) || removed.contains(name), "{name}");
        }
        assert!(removed.contains("PGPASSFILE") && removed.contains("PGHOSTADDR"));
    }
}
