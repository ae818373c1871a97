mod files;
mod precedence;
mod refusals;
mod round_trips;
mod secrets;
mod sources;
mod strings;

use std::path::Path;

use super::{Resolved, Variables, resolve};
use crate::{ChannelBinding, ConnectionConfig, Host, RootCertificates, SslMode};

/// An environment without files: no home that exists, no system-wide services.
fn variables(more: &[(&str, &str)]) -> Variables {
    with_home(Path::new("/nonexistent"), more)
}

fn with_home(home: &Path, more: &[(&str, &str)]) -> Variables {
    let home = home.to_str().unwrap();
    let base = [("HOME", home), ("PGSYSCONFDIR", "/nonexistent"), ("USER", "me")];
    base.iter().chain(more).copied().collect()
}

fn resolved(connection: &str, more: &[(&str, &str)]) -> Resolved {
    resolve(Some(connection), &variables(more)).unwrap_or_else(|error| panic!("{connection}: {error}"))
}

/// Everything that differs from `host=h` and the defaults, in one line.
fn shown(config: &ConnectionConfig) -> String {
    let mut text = config.describe();
    let mut add = |name: &str, value: String| text.push_str(&format!(" {name}={value}"));
    for endpoint in &config.endpoints {
        if let Host::Tcp {
            address: Some(address), ..
        } = &endpoint.host
        {
            add("address", address.clone());
        }
    }
    if let Some(password) = &config.password {
        add("password", String::from_utf8_lossy(password.expose()).into_owned());
    }
    if config.ssl_mode != SslMode::Prefer {
        add("ssl", format!("{:?}", config.ssl_mode));
    }
    match &config.ssl_root_cert {
        Some(RootCertificates::System) => add("root", "system".to_owned()),
        Some(RootCertificates::Supabase) => add("root", "supabase".to_owned()),
        Some(RootCertificates::File(path)) => add("root", path.display().to_string()),
        None => {}
    }
    if let Some((certificate, key)) = &config.ssl_client_cert {
        add("client", format!("{},{}", certificate.display(), key.display()));
    }
    if config.channel_binding != ChannelBinding::Prefer {
        add("binding", format!("{:?}", config.channel_binding));
    }
    if let Some(options) = &config.options {
        add("options", options.clone());
    }
    if config.application_name != "backstay" {
        add("name", config.application_name.clone());
    }
    if let Some(timeout) = config.connect_timeout {
        add("timeout", format!("{timeout:?}"));
    }
    text
}
