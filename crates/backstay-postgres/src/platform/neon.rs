//! Neon. "Neon" is its documentation.

use super::{Platform, Profile, Signs};

pub(super) static PROFILE: Profile = Profile {
    platform: Platform::Neon,
    // Neon, "Connect from any application".
    hosts: &[".neon.tech"],
    signs: Signs {
        roles: &["cloud_admin", "neon_superuser"],
        schemas: &[],
    },
    // Neon, "Manage roles": cloud_admin and neon_superuser are its own; the owner of a database is a member of the latter, may
    // make roles and databases, and is no superuser.
    roles: &["cloud_admin", "neon_superuser", "neon_service", "pg_*"],
    // Neon, "The neon extension": an extension with its schema, of the platform's compute.
    schemas: &["neon", "neon_migration"],
    own_extensions: &["neon"],
    ..Profile::BARE
};
