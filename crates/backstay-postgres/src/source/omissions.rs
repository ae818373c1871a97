//! What the reasons of omissions mean.

use backstay_core::manifest::{INVALID_INDEX, Manifest, Omission};

/// The reason of the omission of a foreign table's rows.
pub(super) const FOREIGN_TABLE: &str = "a foreign table: its rows are on another server";
/// The reason of the omission of the passwords of roles.
pub(super) const NO_PASSWORDS: &str = "the role that makes the backup may not read pg_authid";

/// The reason of the omission of a platform's schema.
pub(super) const CHANGING_SCHEMA: &str = "the platform makes and drops tables in it at any time";
/// The reason of the omission of rows that belong to a platform.
pub(super) const ROWS_OF_PLATFORM: &str = "rows of the platform, which no other database can be given";
/// The reason of the omission of a job.
pub(super) const JOB_OF_PLATFORM: &str = "a role of the platform runs it, which nobody else can act as";
/// The reason of the omission of secrets.
pub(super) const ONLY_SEALED: &str = "they are only put into a backup that is encrypted";

/// What was excluded from a backup, so that a database that is restored from it is a part of its source. What no backup of
/// that database could have is not among it.
pub fn excluded(manifest: &Manifest) -> impl Iterator<Item = &Omission> {
    let of_itself = [
        INVALID_INDEX,
        FOREIGN_TABLE,
        NO_PASSWORDS,
        CHANGING_SCHEMA,
        ROWS_OF_PLATFORM,
        JOB_OF_PLATFORM,
    ];
    let omissions = manifest.omissions.iter();
    omissions.filter(move |omission| !of_itself.contains(&omission.reason.as_str()))
}
