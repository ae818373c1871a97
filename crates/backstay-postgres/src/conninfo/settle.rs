//! From settings to a [`ConnectionConfig`], as `pqConnectOptions2` of libpq does.

mod endpoints;
mod tls;

use std::time::Duration;

use super::Warning;
use super::error::ConninfoError;
use super::passfile::Passfile;
use super::settings::Settings;
use super::text::begins_with_scheme;
use super::variables::Variables;
use crate::supabase;
use crate::{ChannelBinding, ConnectionConfig, Endpoint, Secret};

/// What vendors show in place of a password.
pub(super) const PLACEHOLDER_PASSWORD: &[u8] = b"[YOUR-PASSWORD]";

pub(super) fn settle(
    settings: &Settings,
    variables: &Variables,
    warnings: &mut Vec<Warning>,
) -> Result<ConnectionConfig, ConninfoError> {
    let endpoints = endpoints::settle(settings)?;
    if let Some(endpoint) = supabase::transaction_pooler(&endpoints) {
        let mut session = endpoint.clone();
        session.port = supabase::SESSION_PORT;
        return Err(ConninfoError::TransactionPooler {
            endpoint: endpoint.to_string(),
            session: session.to_string(),
        });
    }
    let user = match settings.filled_text("user")? {
        Some(user) => user.to_owned(),
        None => variables.os_user().ok_or(ConninfoError::NoUser)?.to_owned(),
    };
    let database = database(settings)?.unwrap_or(&user).to_owned();
    let password = password(settings, &endpoints, &database, &user, variables, warnings)?;
    check_session_attributes(settings, &endpoints, warnings)?;
    let tls = tls::settle(settings, &endpoints, variables, warnings)?;
    let application_name = match settings.filled_text("application_name")? {
        Some(name) => name,
        None => settings.filled_text("fallback_application_name")?.unwrap_or("backstay"),
    };
    Ok(ConnectionConfig {
        user,
        password,
        database,
        ssl_mode: tls.mode,
        ssl_root_cert: tls.root,
        ssl_client_cert: tls.client,
        channel_binding: channel_binding(settings)?,
        options: settings.filled_text("options")?.map(str::to_owned),
        application_name: application_name.to_owned(),
        connect_timeout: connect_timeout(settings)?,
        endpoints,
    })
}

/// The database, if one is named. libpq would take a URL in `PGDATABASE` for a name, and show it with its password.
fn database(settings: &Settings) -> Result<Option<&str>, ConninfoError> {
    let Some(setting) = settings.filled("dbname") else {
        return Ok(None);
    };
    let name = setting.text("dbname")?;
    if begins_with_scheme(name) {
        let origin = setting.origin.clone();
        return Err(ConninfoError::NotPostgres { origin });
    }
    Ok(Some(name))
}

fn password(
    settings: &Settings,
    endpoints: &[Endpoint],
    database: &str,
    user: &str,
    variables: &Variables,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Secret>, ConninfoError> {
    if let Some(setting) = settings.filled("password") {
        if setting.bytes() == PLACEHOLDER_PASSWORD {
            let origin = setting.origin.clone();
            return Err(ConninfoError::PlaceholderPassword { origin });
        }
        return Ok(Some(Secret::new(setting.bytes())));
    }
    let path = match settings.filled_text("passfile")? {
        Some(path) => Some(path.into()),
        None => variables.in_home(".pgpass"),
    };
    let Some(passfile) = path.and_then(|path| Passfile::read(&path, warnings)) else {
        return Ok(None);
    };
    let mut passwords = endpoints
        .iter()
        .map(|endpoint| passfile.password(endpoint, database, user));
    let first = passwords.next().flatten();
    if passwords.any(|password| password != first) {
        let path = passfile.path().to_owned();
        return Err(ConninfoError::PassfileDisagrees { path });
    }
    Ok(first)
}

fn check_session_attributes(
    settings: &Settings,
    endpoints: &[Endpoint],
    warnings: &mut Vec<Warning>,
) -> Result<(), ConninfoError> {
    let Some(setting) = settings.get("target_session_attrs") else {
        return Ok(());
    };
    match setting.bytes() {
        b"any" => {}
        b"read-write" | b"read-only" | b"primary" | b"standby" | b"prefer-standby" if endpoints.len() == 1 => {
            warnings.push(Warning::SessionAttributesUnchecked);
        }
        b"read-write" | b"read-only" | b"primary" | b"standby" | b"prefer-standby" => {
            return Err(ConninfoError::Unsupported {
                key: "target_session_attrs",
                origin: setting.origin.clone(),
                reason: "the first host that answers is used; name the one host that is meant",
            });
        }
        _ => {
            let expected = "`any`, `read-write`, `read-only`, `primary`, `standby` or `prefer-standby`";
            return Err(setting.invalid("target_session_attrs", expected));
        }
    }
    Ok(())
}

fn channel_binding(settings: &Settings) -> Result<ChannelBinding, ConninfoError> {
    let Some(setting) = settings.get("channel_binding") else {
        return Ok(ChannelBinding::Prefer);
    };
    match setting.bytes() {
        b"disable" => Ok(ChannelBinding::Disable),
        b"prefer" => Ok(ChannelBinding::Prefer),
        b"require" => Ok(ChannelBinding::Require),
        _ => Err(setting.invalid("channel_binding", "`disable`, `prefer` or `require`")),
    }
}

/// Zero and less wait for ever.
fn connect_timeout(settings: &Settings) -> Result<Option<Duration>, ConninfoError> {
    let Some(setting) = settings.get("connect_timeout") else {
        return Ok(None);
    };
    let seconds = setting.text("connect_timeout")?.trim_ascii().parse::<i32>();
    let seconds = seconds.map_err(|_| setting.invalid("connect_timeout", "a whole number of seconds"))?;
    Ok(u64::try_from(seconds)
        .ok()
        .filter(|&seconds| seconds > 0)
        .map(Duration::from_secs))
}
