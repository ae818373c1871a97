//! Telling the platform by host, roles and schemas.

use super::{PROFILES, Platform, PlatformChoice, Profile};
use crate::catalog::{CatalogError, Reading as _};
use crate::config::{ConnectionConfig, Host};

/// A platform with what it was told by.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FoundPlatform {
    /// Which.
    pub platform: Platform,
    /// What it was told by, for people: `its roles and schemas`.
    pub by: String,
}

/// Finds the platform of a database; `None` where it is a plain one.
///
/// What is in the database decides: a name of a host tells nothing of a database beside the platform's own, and a proxy has
/// another one.
pub(crate) fn find(
    client: &mut postgres::Client,
    config: &ConnectionConfig,
    choice: PlatformChoice,
) -> Result<Option<FoundPlatform>, CatalogError> {
    match choice {
        PlatformChoice::Is(Platform::Plain) => return Ok(None),
        PlatformChoice::Is(platform) => {
            return Ok(Some(FoundPlatform {
                platform,
                by: "the option --platform".to_owned(),
            }));
        }
        PlatformChoice::Auto => {}
    }
    let what = "the roles and schemas of platforms";
    for profile in PROFILES {
        let signs = &profile.signs;
        let is_there: bool = client
            .query_one(
                "SELECT ARRAY(SELECT rolname::text FROM pg_catalog.pg_roles) OPERATOR(pg_catalog.@>) $1::text[]
                    AND ARRAY(SELECT nspname::text FROM pg_catalog.pg_namespace) OPERATOR(pg_catalog.@>) $2::text[]",
                &[&signs.roles, &signs.schemas],
            )
            .and_then(|row| row.try_get(0))
            .reading(what)?;
        if is_there {
            let by = match has_host(profile, config) {
                true => "its host name, roles and schemas",
                false => "its roles and schemas",
            };
            return Ok(Some(FoundPlatform {
                platform: profile.platform,
                by: by.to_owned(),
            }));
        }
    }
    Ok(None)
}

fn has_host(profile: &Profile, config: &ConnectionConfig) -> bool {
    config.endpoints.iter().any(|endpoint| match &endpoint.host {
        Host::Tcp { name, .. } => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            profile.hosts.iter().any(|end| name.ends_with(end))
        }
        Host::Unix(_) => false,
    })
}
