//! Google Cloud SQL. "Cloud SQL" is its documentation for PostgreSQL.

use super::{Platform, Profile, Signs};

pub(super) static PROFILE: Profile = Profile {
    platform: Platform::CloudSql,
    // It is reached by addresses and by a proxy, which tell nothing.
    hosts: &[],
    signs: Signs {
        roles: &["cloudsqladmin", "cloudsqlsuperuser"],
        schemas: &[],
    },
    // Cloud SQL, "About PostgreSQL users and roles": the user postgres is a member of cloudsqlsuperuser, may make roles and
    // databases, is no superuser, and reads no pg_authid.
    roles: &["cloudsql*", "pg_*"],
    ..Profile::BARE
};
