//! Neon. "Neon" is its documentation.

use super::{Platform, Profile, Services, Signs};

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
    role_settings: &[],
    customer: None,
    // Neon, "The neon extension": an extension with its schema, of the platform's compute.
    schemas: &["neon", "neon_migration"],
    shared_schemas: &[],
    unread_schemas: &[],
    unread_rows: &[],
    rows: &[],
    rows_left: &[],
    own_extensions: &["neon"],
    services: Services::None,
    loads_as_replica: false,
    one_transaction_below: 0,
    notify: None,
    kept_elsewhere: &[],
};
