//! Google Cloud SQL. "Cloud SQL" is its documentation for PostgreSQL.

use super::{Platform, Profile, Services, Signs};

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
    role_settings: &[],
    customer: None,
    schemas: &[],
    shared_schemas: &[],
    unread_schemas: &[],
    unread_rows: &[],
    rows: &[],
    rows_left: &[],
    own_extensions: &[],
    services: Services::None,
    loads_as_replica: false,
    one_transaction_below: 0,
    notify: None,
    kept_elsewhere: &[],
};
