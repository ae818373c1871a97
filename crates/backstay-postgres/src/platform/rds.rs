//! Amazon RDS and Aurora. "RDS" is the Amazon RDS User Guide.

use super::{Platform, Profile, Signs};

pub(super) static PROFILE: Profile = Profile {
    platform: Platform::Rds,
    // RDS, "Connecting to a DB instance running the PostgreSQL database engine"; in China .amazonaws.com.cn.
    hosts: &[".rds.amazonaws.com", ".rds.amazonaws.com.cn"],
    signs: Signs {
        roles: &["rdsadmin", "rds_superuser"],
        schemas: &[],
    },
    // RDS, "Understanding the rds_superuser role", "Understanding PostgreSQL roles and permissions": nobody else may change
    // them. The master user is a member of rds_superuser and no superuser: it may make roles and databases, and reads no
    // pg_authid, so that passwords of roles are not in a backup.
    roles: &[
        "rdsadmin",
        "rds_*",
        "rdstopmgr",
        "rdsrepladmin",
        "rdsproxyadmin",
        "rdswriteforwarduser",
        "pg_*",
    ],
    // What RDS adds are extensions (aws_commons, aws_s3, aws_lambda), which come with their schemas. rds_superuser may set
    // session_replication_role, but a plain restore into an empty database needs it not.
    ..Profile::BARE
};
