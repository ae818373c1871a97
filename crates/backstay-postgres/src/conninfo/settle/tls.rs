use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::conninfo::Warning;
use crate::conninfo::error::ConninfoError;
use crate::conninfo::settings::Settings;
use crate::conninfo::variables::Variables;
use crate::supabase;
use crate::{Endpoint, Host, RootCertificates, SslMode};

pub(super) struct Tls {
    pub(super) mode: SslMode,
    pub(super) root: Option<RootCertificates>,
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

/// Settles mode and certificates; the files of `~/.postgresql` are the defaults where they exist.
///
/// A server at Supabase is verified where no mode is written, against the roots that come with Backstay where no others
/// are named.
pub(super) fn settle(
    settings: &Settings,
    endpoints: &[Endpoint],
    variables: &Variables,
    warnings: &mut Vec<Warning>,
) -> Result<Tls, ConninfoError> {
    let named_root = settings.filled_text("sslrootcert")?.map(|root| match root {
        "system" => RootCertificates::System,
        path => RootCertificates::File(PathBuf::from(path)),
    });
    let at_supabase = supabase::are_hosts(endpoints);
    let default_mode = if at_supabase {
        SslMode::VerifyFull
    } else {
        SslMode::Prefer
    };
    let mode = mode(settings, default_mode, named_root.as_ref())?;
    // No TLS is spoken over a Unix-domain socket.
    let over_tcp = endpoints
        .iter()
        .any(|endpoint| matches!(endpoint.host, Host::Tcp { .. }));
    if mode == SslMode::Disable || !over_tcp {
        if at_supabase {
            warnings.push(Warning::ServerUnverified);
        }
        let (root, client) = (named_root, None);
        return Ok(Tls { mode, root, client });
    }
    let default_file = |name: &str| variables.in_home(".postgresql").map(|folder| folder.join(name));
    let existing_file = |name: &str| default_file(name).filter(|path| path.exists());
    let verifies = matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull);
    let root = match named_root {
        // The file in the home folder is for other servers.
        None if at_supabase && verifies => Some(RootCertificates::Supabase),
        None => existing_file("root.crt").map(RootCertificates::File),
        named => named,
    };
    // In these two the server is spoken to in plain text too, if it or somebody between asks for that.
    if at_supabase && (root.is_none() || matches!(mode, SslMode::Allow | SslMode::Prefer)) {
        warnings.push(Warning::ServerUnverified);
    }
    if root.is_none() && verifies {
        return Err(ConninfoError::NoRootCertificate);
    }
    if root.is_some() {
        warnings.extend(existing_file("root.crl").map(Warning::RevocationListUnused));
    }
    let client = if sends_client_certificate(settings)? {
        match settings.filled_text("sslcert")? {
            Some(path) => Some(PathBuf::from(path)),
            None => existing_file("postgresql.crt"),
        }
    } else {
        None
    };
    let client = match client {
        None => None,
        Some(certificate) => {
            let key = match settings.filled_text("sslkey")? {
                Some(path) => Some(PathBuf::from(path)),
                None => existing_file("postgresql.key"),
            };
            let Some(key) = key else {
                return Err(ConninfoError::NoClientKey { certificate });
            };
            check_key_permissions(&key)?;
            Some((certificate, key))
        }
    };
    Ok(Tls { mode, root, client })
}

fn mode(settings: &Settings, default_mode: SslMode, root: Option<&RootCertificates>) -> Result<SslMode, ConninfoError> {
    let Some(setting) = settings.get("sslmode") else {
        return Ok(match root {
            Some(RootCertificates::System) => SslMode::VerifyFull,
            _ => default_mode,
        });
    };
    let mode = match setting.bytes() {
        b"disable" => SslMode::Disable,
        b"allow" => SslMode::Allow,
        b"prefer" => SslMode::Prefer,
        b"require" => SslMode::Require,
        b"verify-ca" => SslMode::VerifyCa,
        b"verify-full" => SslMode::VerifyFull,
        _ => {
            let expected = "`disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`";
            return Err(setting.invalid("sslmode", expected));
        }
    };
    if root == Some(&RootCertificates::System) && mode != SslMode::VerifyFull {
        let origin = setting.origin.clone();
        return Err(ConninfoError::WeakSslMode { origin });
    }
    Ok(mode)
}

fn sends_client_certificate(settings: &Settings) -> Result<bool, ConninfoError> {
    let Some(setting) = settings.filled("sslcertmode") else {
        return Ok(true);
    };
    match setting.bytes() {
        b"allow" => Ok(true),
        b"disable" => Ok(false),
        b"require" => Err(ConninfoError::Unsupported {
            key: "sslcertmode",
            origin: setting.origin.clone(),
            reason: "whether the server asked for the certificate is not checked",
        }),
        _ => Err(setting.invalid("sslcertmode", "`disable` or `allow`")),
    }
}

/// Refuses a key that others can read, by libpq's rule. A key that does not exist is left to who opens it.
fn check_key_permissions(key: &Path) -> Result<(), ConninfoError> {
    let Ok(metadata) = fs::metadata(key) else {
        return Ok(());
    };
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.permissions().mode() & forbidden != 0 {
        let path = key.to_owned();
        return Err(ConninfoError::ClientKeyExposed { path });
    }
    Ok(())
}
