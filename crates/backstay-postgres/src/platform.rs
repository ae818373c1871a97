//! Hosted platforms: what in a database is the platform's, and what of the application stands on it.
//!
//! A profile is data. Whoever backs up or restores asks it, so that what is known of a platform stands in one place.

mod cloudsql;
mod find;
mod neon;
mod rds;
pub(crate) mod roles;
mod supabase;

use std::fmt;
use std::str::FromStr;

pub use find::FoundPlatform;
pub(crate) use find::find;

/// Who runs the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "each has a profile")]
pub enum Platform {
    /// Nobody but the owner of the database: no schema and no role is somebody else's.
    Plain,
    /// Supabase.
    Supabase,
    /// Amazon RDS and Aurora.
    Rds,
    /// Neon.
    Neon,
    /// Google Cloud SQL.
    CloudSql,
}

/// By the rules of which platform a database is backed up or restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it is told or looked for")]
pub enum PlatformChoice {
    /// Of the one that host, roles and schemas tell.
    #[default]
    Auto,
    /// Of this one.
    Is(Platform),
}

/// Something that the application needs and that is not in its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptElsewhere {
    /// What.
    pub what: &'static str,
    /// Where it can be saved.
    pub how: &'static str,
}

/// A word that names no platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is no platform (auto, plain, supabase, rds, neon or cloudsql)")]
#[non_exhaustive]
pub struct UnknownPlatform {
    /// The word.
    pub word: String,
}

/// What is known of a platform. In names `*` at the end stands for any characters.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) platform: Platform,
    /// Ends of names of its hosts.
    pub(super) hosts: &'static [&'static str],
    /// Roles and schemas that are all there where it runs the server.
    pub(super) signs: Signs,
    /// Roles that are the platform's to make and change.
    pub(super) roles: &'static [&'static str],
    /// Their settings that others may change.
    pub(super) role_settings: &'static [&'static str],
    /// The one of them whose objects are the application's, and which restores them.
    pub(crate) customer: Option<&'static str>,
    /// Schemas in which nobody else may make anything.
    pub(super) schemas: &'static [&'static str],
    /// Schemas that others may use, too: in them the owner tells whose an object is.
    pub(super) shared_schemas: &'static [&'static str],
    /// Schemas that are neither locked nor read, because the platform drops tables in them at any time.
    pub(crate) unread_schemas: &'static [&'static str],
    /// Tables and sequences whose content is never read: others cannot be given it.
    pub(super) unread_rows: &'static [&'static str],
    /// Tables of the platform whose rows the application needs: `schema.table`.
    pub(super) rows: &'static [&'static str],
    /// Those among them that are the platform's alone.
    pub(super) rows_left: &'static [&'static str],
    /// Extensions that hardly any other server has, and that nothing of the application needs to be restored.
    pub(crate) own_extensions: &'static [&'static str],
    /// What of the cluster and the services comes along.
    pub(crate) services: Services,
    /// Whether rows are loaded without triggers and keys acting, which the platform lets its role say.
    pub(crate) loads_as_replica: bool,
    /// Bytes of text of rows below which a restore is one transaction where nobody says otherwise.
    pub(crate) one_transaction_below: u64,
    /// What is said to its services behind a restore.
    pub(crate) notify: Option<&'static str>,
    /// The table whose rows are each about a file that is not in the database.
    pub(crate) rows_of_files: Option<&'static str>,
    pub(super) kept_elsewhere: &'static [KeptElsewhere],
}

impl Profile {
    /// One of which nothing is known.
    const BARE: Self = Self {
        platform: Platform::Plain,
        hosts: &[],
        signs: Signs {
            roles: &[],
            schemas: &[],
        },
        roles: &[],
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
        rows_of_files: None,
        kept_elsewhere: &[],
    };
}

#[derive(Debug)]
pub(super) struct Signs {
    pub(super) roles: &'static [&'static str],
    pub(super) schemas: &'static [&'static str],
}

/// Whether a platform has what a backup reads by other ways than `pg_dump`'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Services {
    None,
    /// Roles, jobs of `pg_cron` and secrets of the vault.
    Supabase,
}

static PROFILES: [&Profile; 4] = [&supabase::PROFILE, &rds::PROFILE, &neon::PROFILE, &cloudsql::PROFILE];

impl Platform {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Supabase => "supabase",
            Self::Rds => "rds",
            Self::Neon => "neon",
            Self::CloudSql => "cloudsql",
        }
    }

    /// What the application needs and a backup of its database cannot have.
    #[must_use]
    pub fn kept_elsewhere(self) -> &'static [KeptElsewhere] {
        self.profile().map_or(&[], |profile| profile.kept_elsewhere)
    }

    /// Whether a database on it is all of a project, so that none beside it can take its place.
    pub(crate) fn is_of_one_project(self) -> bool {
        self.profile().is_some_and(Profile::is_of_one_project)
    }

    /// The profile; a plain server has none.
    pub(crate) fn profile(self) -> Option<&'static Profile> {
        PROFILES.into_iter().find(|profile| profile.platform == self)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plain => "plain PostgreSQL",
            Self::Supabase => "Supabase",
            Self::Rds => "Amazon RDS",
            Self::Neon => "Neon",
            Self::CloudSql => "Google Cloud SQL",
        })
    }
}

impl FromStr for Platform {
    type Err = UnknownPlatform;

    fn from_str(word: &str) -> Result<Self, UnknownPlatform> {
        let all = [Self::Plain, Self::Supabase, Self::Rds, Self::Neon, Self::CloudSql];
        let found = all.into_iter().find(|platform| platform.word() == word);
        found.ok_or_else(|| UnknownPlatform { word: word.to_owned() })
    }
}

impl FromStr for PlatformChoice {
    type Err = UnknownPlatform;

    fn from_str(word: &str) -> Result<Self, UnknownPlatform> {
        match word {
            "auto" => Ok(Self::Auto),
            word => word.parse().map(Self::Is),
        }
    }
}

/// One entry of a schema, as far as it tells whose it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described<'d> {
    pub(crate) kind: &'d str,
    pub(crate) schema: Option<&'d [u8]>,
    pub(crate) name: &'d [u8],
    pub(crate) owner: Option<&'d [u8]>,
    /// Whether it was seen to be the application's although it stands on a table of the platform.
    pub(crate) is_guest: bool,
}

impl Profile {
    /// Whether a database is all of a project: then its roles, default privileges and settings belong to it.
    pub(crate) fn is_of_one_project(&self) -> bool {
        self.services == Services::Supabase
    }

    /// Whether a role is the platform's.
    pub(crate) fn is_reserved(&self, role: &[u8]) -> bool {
        is_one_of(self.roles, role)
    }

    /// Whether it is a role of the platform in whose name the application owns nothing.
    pub(crate) fn is_foreign_owner(&self, role: &[u8]) -> bool {
        self.is_reserved(role) && self.customer.is_none_or(|customer| customer.as_bytes() != role)
    }

    /// Whether a setting of its roles may be changed.
    pub(crate) fn lets_set(&self, setting: &[u8]) -> bool {
        is_one_of(self.role_settings, setting)
    }

    /// Whether only the platform makes anything in a schema.
    pub(crate) fn owns_schema(&self, schema: &[u8]) -> bool {
        is_one_of(self.schemas, schema)
    }

    /// Whether anything in a schema is the platform's.
    pub(crate) fn has_objects_in(&self, schema: &[u8]) -> bool {
        self.owns_schema(schema) || is_one_of(self.shared_schemas, schema)
    }

    /// Whether tables of a schema are left alone.
    pub(crate) fn leaves_schema(&self, schema: &[u8]) -> bool {
        is_one_of(self.unread_schemas, schema)
    }

    /// Whether rows of a table are never read.
    pub(crate) fn leaves_rows(&self, schema: &[u8], table: &[u8]) -> bool {
        is_one_of(self.unread_rows, &[schema, b".", table].concat())
    }

    /// Whether rows of a table of the platform, or the value of a sequence, come along.
    pub(crate) fn brings_rows(&self, schema: &[u8], table: &[u8]) -> bool {
        let name = [schema, b".", table].concat();
        is_one_of(self.rows, &name) && !is_one_of(self.rows_left, &name)
    }

    /// Whether a restore into the platform makes an entry; what it does not make is there.
    pub(crate) fn is_of_application(&self, entry: Described<'_>) -> bool {
        let Described {
            kind,
            schema,
            name,
            owner,
            is_guest,
        } = entry;
        if is_guest {
            return true;
        }
        let is_foreign = owner.is_some_and(|owner| self.is_foreign_owner(owner));
        // Whose default privileges they are decides, wherever they hold.
        if kind == "DEFAULT ACL" {
            return !is_foreign;
        }
        let of_schema = match (kind, name.strip_prefix(b"SCHEMA ")) {
            ("SCHEMA", _) => Some(name),
            ("ACL" | "COMMENT" | "SECURITY LABEL", Some(of)) => Some(of),
            _ => None,
        };
        if let Some(schema) = of_schema {
            return !self.has_objects_in(schema);
        }
        match schema {
            Some(schema) if self.owns_schema(schema) => false,
            Some(schema) if is_one_of(self.shared_schemas, schema) => !is_foreign,
            // An object in a schema of the application is the application's, whoever the dashboard let own it.
            Some(_) => true,
            // A comment on an extension is its owner's to change, and comes with it.
            None if kind == "COMMENT" && name.starts_with(b"EXTENSION ") => false,
            None if kind == "EXTENSION" => true,
            None => !is_foreign,
        }
    }
}

/// Whether a name is one of those, by their beginnings where they end in `*`.
fn is_one_of(names: &[&str], name: &[u8]) -> bool {
    names.iter().any(|known| match known.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning.as_bytes()),
        None => name == known.as_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'d>(kind: &'d str, schema: Option<&'d str>, name: &'d str, owner: &'d str) -> Described<'d> {
        Described {
            kind,
            schema: schema.map(str::as_bytes),
            name: name.as_bytes(),
            owner: Some(owner.as_bytes()),
            is_guest: false,
        }
    }

    #[test]
    fn whose_an_entry_is() {
        let profile = Platform::Supabase.profile().unwrap();
        let of_application = |entry| profile.is_of_application(entry);
        for (kind, schema, name, owner, expected) in [
            ("TABLE", Some("public"), "users", "postgres", true),
            ("TABLE", Some("public"), "old", "supabase_admin", true),
            ("TABLE", Some("auth"), "users", "supabase_auth_admin", false),
            ("POLICY", Some("storage"), "objects mine", "postgres", false),
            ("SCHEMA", None, "auth", "supabase_admin", false),
            ("ACL", None, "SCHEMA auth", "supabase_admin", false),
            ("ACL", None, "SCHEMA public", "pg_database_owner", true),
            ("SCHEMA", None, "extensions", "postgres", false),
            ("SCHEMA", None, "supabase_migrations", "postgres", true),
            (
                "FUNCTION",
                Some("extensions"),
                "pgrst_ddl_watch()",
                "supabase_admin",
                false,
            ),
            ("FUNCTION", Some("extensions"), "mine()", "postgres", true),
            ("PUBLICATION", None, "supabase_realtime", "postgres", true),
            (
                "PUBLICATION",
                None,
                "supabase_realtime_messages_publication",
                "supabase_admin",
                false,
            ),
            ("EXTENSION", None, "pgcrypto", "", true),
            ("COMMENT", None, "EXTENSION pgcrypto", "", false),
            (
                "DEFAULT ACL",
                Some("public"),
                "DEFAULT PRIVILEGES FOR TABLES",
                "postgres",
                true,
            ),
            (
                "DEFAULT ACL",
                Some("public"),
                "DEFAULT PRIVILEGES FOR TABLES",
                "supabase_admin",
                false,
            ),
            (
                "DEFAULT ACL",
                Some("storage"),
                "DEFAULT PRIVILEGES FOR TABLES",
                "postgres",
                true,
            ),
            ("EVENT TRIGGER", None, "mine", "postgres", true),
            ("EVENT TRIGGER", None, "pgrst_ddl_watch", "supabase_admin", false),
        ] {
            assert_eq!(
                of_application(entry(kind, schema, name, owner)),
                expected,
                "{kind} {name}"
            );
        }
        let guest = Described {
            is_guest: true,
            ..entry(
                "TRIGGER",
                Some("auth"),
                "users on_auth_user_created",
                "supabase_auth_admin",
            )
        };
        assert!(of_application(guest));
    }

    #[test]
    fn which_rows_come_along() {
        let profile = Platform::Supabase.profile().unwrap();
        for (schema, table, expected) in [
            ("auth", "users", true),
            ("auth", "schema_migrations", false),
            ("storage", "objects", true),
            ("storage", "migrations", false),
            ("storage", "s3_multipart_uploads_parts", false),
            ("supabase_functions", "hooks", false),
        ] {
            assert_eq!(
                profile.brings_rows(schema.as_bytes(), table.as_bytes()),
                expected,
                "{schema}.{table}"
            );
        }
        assert!(profile.leaves_rows(b"vault", b"secrets") && profile.leaves_rows(b"cron", b"job"));
    }

    #[test]
    fn words_name_platforms() {
        for platform in [
            Platform::Plain,
            Platform::Supabase,
            Platform::Rds,
            Platform::Neon,
            Platform::CloudSql,
        ] {
            assert_eq!(platform.word().parse(), Ok(PlatformChoice::Is(platform)));
        }
        assert_eq!("auto".parse(), Ok(PlatformChoice::Auto));
        assert!("heroku".parse::<PlatformChoice>().is_err());
    }
}
