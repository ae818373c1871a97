use std::collections::BTreeMap;

use backstay_core::retention::Age;
use backstay_core::{Compression, Prefix, Tag};

use crate::export::Link;
use crate::fields::Fields;
use crate::place::At;
use crate::platform::PlatformWord;
use crate::reference::Reference;
use crate::resolve::{Lookup, ResolveError};
use crate::retention::RetentionChoice;
use crate::rules::RulesChoice;
use crate::schedule::Schedule;
use crate::secret::{Given, Secret, SecretSource};
use crate::size::VolumeSize;
use crate::text::{PathText, Text};
use crate::time_limit::TimeLimit;
use crate::value::{Port, Whole};

/// A database, and how backups of it are made: `[database.NAME]`. What is `None` is left to the defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Database {
    /// How to get there.
    pub connection: Connection,
    /// First part of the names of files; the name of the section without this.
    pub prefix: Option<Prefix>,
    /// The store of its backups.
    pub store: Option<Reference>,
    /// Stores that have its backups too.
    pub also: Vec<Reference>,
    /// How its backups are compressed.
    pub compress: Option<Compression>,
    /// The words that each of its backups is given.
    pub tag: Vec<Tag>,
    /// For how long no policy of retention lets a backup go.
    pub keep_at_least: Option<Age>,
    /// The longest volume, in bytes.
    pub volume_size: Option<u64>,
    /// Connections that read at the same time.
    pub jobs: Option<u16>,
    /// Whether a backup is read again after it was written.
    pub read_back: Option<bool>,
    /// Which schemas and tables.
    pub selection: Selection,
    /// Whether large objects are in the backup.
    pub large_objects: Option<bool>,
    /// Whether the rows of unlogged tables are.
    pub unlogged_data: Option<bool>,
    /// Whether roles and tablespaces of the cluster are.
    pub globals: Option<bool>,
    /// By the rules of which hosted platform they are made: `auto`, or the word for one.
    pub platform: Option<PlatformWord>,
    /// Seconds to wait for the lock on a table.
    pub lock_wait: Option<u32>,
    /// The `pg_dump` to use.
    pub pg_dump: Option<PathText>,
    /// To whom its backups are encrypted.
    pub encryption: Encryption,
    /// Which of its backups are kept.
    pub retention: Option<RetentionChoice>,
    /// What its backups are expected to be.
    pub rules: Option<RulesChoice>,
    /// When `backstay run` works on it.
    pub schedule: Schedule,
    /// Who is told what happens with its backups.
    pub notify: Vec<Reference>,
    /// How old the newest backup may be.
    pub rpo: Option<Age>,
    /// How long it may take to have the database back.
    pub rto: Option<TimeLimit>,
    /// How old the newest backup that was proven may be.
    pub proven_within: Option<Age>,
    /// Columns that refer to others although no foreign key says so, `TABLE.COLUMN = TABLE.COLUMN`.
    pub subject_links: Vec<String>,
    /// The files of its project, where they are saved too.
    pub storage_files: Option<StorageFiles>,
}

/// The files that a project of Supabase keeps beside its database.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StorageFiles {
    /// Reference of the project, or its URL where it is not at Supabase.
    pub project: Text,
    /// Where a secret key of the project is; in `SUPABASE_SECRET_KEY` without this.
    pub key: Option<SecretSource>,
}

impl StorageFiles {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let project = fields.get(
            "storage-files",
            "Reference, or URL, of the Supabase project whose files `backstay run` saves after each backup.",
        );
        let key = fields.get("storage-files-key", "Where a secret key of that project is.");
        if fields.present(&["storage-files"]).is_empty() && !fields.present(&["storage-files-key"]).is_empty() {
            fields.refuse("storage-files-key", "goes with \"storage-files\" alone");
        }
        project.map(|project| Self { project, key })
    }
}

/// Which schemas and tables, by psql's patterns; `None` where the key is not there.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Selection {
    /// Only these schemas.
    pub schema: Option<Vec<Text>>,
    /// Only these tables.
    pub table: Option<Vec<Text>>,
    /// Not these schemas.
    pub exclude_schema: Option<Vec<Text>>,
    /// Not these tables.
    pub exclude_table: Option<Vec<Text>>,
    /// Of these tables the definition only.
    pub exclude_table_data: Option<Vec<Text>>,
}

impl Database {
    /// Whether its backups are to hold only a part of it.
    #[must_use]
    pub fn leaves_something_out(&self) -> bool {
        let selection = &self.selection;
        let patterns = [
            &selection.schema,
            &selection.table,
            &selection.exclude_schema,
            &selection.exclude_table,
            &selection.exclude_table_data,
        ];
        patterns.into_iter().flatten().any(|patterns| !patterns.is_empty())
            || self.large_objects == Some(false)
            || self.unlogged_data == Some(false)
    }
}

/// To whom backups are encrypted: to keys, or with one passphrase.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Encryption {
    /// Public keys.
    pub to: Vec<Text>,
    /// Files of public keys.
    pub to_file: Vec<PathText>,
    /// Public keys that read what later backups are compared with, and no pack.
    pub index_to: Vec<Text>,
    /// A passphrase, for age.
    pub passphrase: Option<SecretSource>,
    /// A passphrase, as `gpg --symmetric` takes one.
    pub gpg: Option<SecretSource>,
}

impl Encryption {
    /// Whether anything is said about it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.to.is_empty()
            && self.to_file.is_empty()
            && self.index_to.is_empty()
            && self.passphrase.is_none()
            && self.gpg.is_none()
    }
}

/// How to get to a database: by a URL, or by libpq's keys.
#[derive(Clone, Debug)]
pub struct Connection {
    at: At,
    url: Option<Given>,
    parts: BTreeMap<&'static str, Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Given(Given),
    Path(PathText),
}

/// A connection with its secrets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResolvedConnection {
    /// A URL or key/value pairs.
    pub url: Option<Secret>,
    /// Values by libpq's keys, beside the URL or in its place.
    pub parts: Vec<(&'static str, Secret)>,
}

impl Connection {
    /// What it says, with variables and secrets in their places.
    ///
    /// # Errors
    /// A variable is not set, or a secret cannot be had.
    pub fn resolve(&self, lookup: Lookup<'_>) -> Result<ResolvedConnection, ResolveError> {
        self.resolve_those(lookup, |_| true)
    }

    /// The same without what is secret, for showing it; `url` is missing if it is one.
    ///
    /// # Errors
    /// A variable is not set.
    pub fn resolve_without_secrets(&self, lookup: Lookup<'_>) -> Result<ResolvedConnection, ResolveError> {
        self.resolve_those(lookup, |given| matches!(given, Given::Text(_)))
    }

    fn resolve_those(
        &self,
        lookup: Lookup<'_>,
        is_wanted: impl Fn(&Given) -> bool,
    ) -> Result<ResolvedConnection, ResolveError> {
        let url = self.url.as_ref().filter(|url| is_wanted(url));
        let url = url.map(|url| url.resolve(lookup)).transpose()?;
        let mut parts = Vec::new();
        for (key, part) in &self.parts {
            let value = match part {
                Part::Given(given) if !is_wanted(given) => continue,
                Part::Given(given) => given.resolve(lookup)?,
                Part::Path(path) if path.text().literal() == Some("system") => "system".to_owned().into(),
                Part::Path(path) => path.resolve(lookup)?.to_string_lossy().into_owned().into(),
            };
            parts.push((*key, value));
        }
        Ok(ResolvedConnection { url, parts })
    }

    /// Where its section begins.
    #[must_use]
    pub fn at(&self) -> &At {
        &self.at
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> Option<&Given> {
        self.url.as_ref()
    }

    /// The password.
    #[must_use]
    pub fn password(&self) -> Option<&Given> {
        match self.parts.get("password")? {
            Part::Given(given) => Some(given),
            Part::Path(_) => None,
        }
    }

    fn read(fields: &mut Fields<'_>, at: At) -> Self {
        let url = fields.get(
            "url",
            "The connection as a URL or key=value pairs, or where it is; without a password in it, if you can.",
        );
        let mut parts = BTreeMap::new();
        let mut add = |key, part: Option<Part>| parts.extend(part.map(|part| (key, part)));
        let text = |value: Option<Text>| value.map(|text| Part::Given(Given::Text(text)));
        let path = |value: Option<PathText>| value.map(Part::Path);
        let secret = |value: Option<SecretSource>| value.map(|source| Part::Given(Given::Secret(source)));
        add("host", text(fields.get("host", "Host, or the folder of its socket.")));
        add(
            "hostaddr",
            text(fields.get("hostaddr", "Address that is connected to, without looking the host up.")),
        );
        let port = fields.get("port", "Port; 5432 without this.").map(|Port(text)| text);
        add("port", text(port));
        add(
            "dbname",
            text(fields.get("dbname", "Name of the database on the server; the user's without this.")),
        );
        add("user", text(fields.get("user", "Who connects.")));
        add("password", secret(fields.get("password", "Where the password is.")));
        add(
            "passfile",
            path(fields.get("passfile", "A file of passwords; ~/.pgpass without this.")),
        );
        add("service", text(fields.get("service", "A section of pg_service.conf.")));
        add(
            "sslmode",
            text(fields.get(
                "sslmode",
                "How much TLS is asked for: disable, allow, prefer, require, verify-ca, verify-full.",
            )),
        );
        add(
            "sslrootcert",
            path(fields.get("sslrootcert", "File of trusted authorities, or system.")),
        );
        add("sslcert", path(fields.get("sslcert", "The client's certificate.")));
        add(
            "sslkey",
            path(fields.get("sslkey", "The key of the client's certificate.")),
        );
        add(
            "channel_binding",
            text(fields.get("channel_binding", "disable, prefer or require.")),
        );
        let timeout = fields.get("connect_timeout", "Seconds to wait for a connection.");
        let timeout = timeout.and_then(|Whole(seconds): Whole<1, 86_400>| {
            let at = fields.at("connect_timeout")?;
            Some(Text::of_literal(seconds.to_string(), at))
        });
        add("connect_timeout", text(timeout));
        add(
            "options",
            text(fields.get("options", "Options for the server, such as -c statement_timeout=0.")),
        );
        add(
            "application_name",
            text(fields.get("application_name", "What the server calls the connection.")),
        );
        if !fields.present(&["url"]).is_empty() {
            for key in fields.present(&["host", "hostaddr", "port", "dbname", "user", "service"]) {
                fields.refuse(key, "does not go with \"url\", which says it");
            }
        } else if fields.present(&["host", "hostaddr", "dbname", "service"]).is_empty() {
            fields.refuse_section("says of no database: \"url\", \"host\", \"dbname\" or \"service\" is needed");
        }
        Self { at, url, parts }
    }
}

impl Database {
    pub(crate) fn read(fields: &mut Fields<'_>, at: At) -> Self {
        let connection = Connection::read(fields, at);
        let database = Self {
            connection,
            prefix: fields.get(
                "prefix",
                "First part of the names of files; the name of the section without this.",
            ),
            store: fields.get("store", "The store of its backups: the name of a [store] section."),
            also: fields
                .get("also", "Stores that are to have its backups too.")
                .unwrap_or_default(),
            compress: fields.get("compress", "gzip or zstd, each with an optional level, such as zstd:3."),
            tag: fields
                .get(
                    "tag",
                    "Words to know its backups by, such as nightly or release=7; they are not encrypted.",
                )
                .unwrap_or_default(),
            keep_at_least: fields.get(
                "keep-at-least",
                "Let no policy remove a backup before it is older than this.",
            ),
            volume_size: fields
                .get(
                    "volume-size",
                    "Cut a backup into volumes of at most so much, at least 16M.",
                )
                .map(|VolumeSize(bytes)| bytes),
            jobs: fields
                .get("jobs", "Connections that read at the same time.")
                .and_then(|Whole(jobs): Whole<1, 64>| u16::try_from(jobs).ok()),
            read_back: fields.get(
                "read-back",
                "Whether a backup is read again after it was written; true without this.",
            ),
            selection: Selection {
                schema: fields.get("schema", "Only schemas that match one of these patterns of psql's."),
                table: fields.get("table", "Only tables that match."),
                exclude_schema: fields.get("exclude-schema", "Leave out schemas that match."),
                exclude_table: fields.get("exclude-table", "Leave out tables that match."),
                exclude_table_data: fields.get("exclude-table-data", "Leave out the rows of tables that match."),
            },
            large_objects: fields.get(
                "large-objects",
                "Whether large objects are in the backup; true without this.",
            ),
            unlogged_data: fields.get(
                "unlogged-data",
                "Whether rows of unlogged tables are in the backup; true without this.",
            ),
            globals: fields.get(
                "globals",
                "Whether roles and tablespaces of the cluster are in the backup; without this, roles are where the database is a \
                 Supabase project.",
            ),
            platform: fields.get(
                "platform",
                "By the rules of which hosted platform backups are made; auto, by what is found there, without this.",
            ),
            lock_wait: fields
                .get("lock-wait", "Seconds to wait for the lock on a table; 30 without this.")
                .map(|Whole(seconds): Whole<1, 86_400>| seconds),
            pg_dump: fields.get("pg-dump", "The pg_dump to use; the best that is found without this."),
            encryption: Encryption {
                to: fields
                    .get(
                        "encrypt-to",
                        "Encrypt to these public keys: age1…, ssh-ed25519 … or ssh-rsa ….",
                    )
                    .unwrap_or_default(),
                to_file: fields
                    .get(
                        "encrypt-to-file",
                        "Encrypt to the public keys in these files, one in a line.",
                    )
                    .unwrap_or_default(),
                index_to: fields
                    .get(
                        "index-to",
                        "Public keys that read what later backups are compared with, and no pack.",
                    )
                    .unwrap_or_default(),
                passphrase: fields.get("encrypt-passphrase", "Encrypt with a passphrase, and where it is."),
                gpg: fields.get(
                    "encrypt-gpg",
                    "Encrypt with a passphrase as gpg --symmetric does, and where it is.",
                ),
            },
            retention: fields.get(
                "retention",
                "Which backups are kept: the name of a [retention] section, or a table of its keys.",
            ),
            rules: fields.get(
                "rules",
                "What backups are expected to be: the name of a [rules] section, or a table of its keys.",
            ),
            schedule: Schedule::read(fields),
            notify: fields
                .get(
                    "notify",
                    "Who is told what happens with its backups: names of [notification] sections.",
                )
                .unwrap_or_default(),
            rpo: fields.get(
                "rpo",
                "How old the newest backup may be, for `backstay status`; what the rules say, or 24h, without this.",
            ),
            rto: fields.get(
                "rto",
                "How long it may take to have the database back, for `backstay status` and drills: 90s, 30min, 1h; without this what the rules say, or for `status` 1h.",
            ),
            proven_within: fields.get(
                "proven-within",
                "How old the newest backup that was proven may be; 8d without this.",
            ),
            subject_links: fields
                .get(
                    "subject-links",
                    "Columns that tell whose a row is although no foreign key does: TABLE.COLUMN = TABLE.COLUMN.",
                )
                .map(|links: Vec<Link>| links.into_iter().map(|Link(text)| text).collect())
                .unwrap_or_default(),
            storage_files: StorageFiles::read(fields),
        };
        let alone = fields.present(&["encrypt-gpg", "encrypt-passphrase"]);
        if let [passphrase, ..] = alone[..] {
            for key in fields.present(&["encrypt-to", "encrypt-to-file", "index-to"]) {
                fields.refuse(key, format!("does not go with {passphrase:?}"));
            }
            if let [first, second] = alone[..] {
                fields.refuse(second, format!("does not go with {first:?}"));
            }
        }
        database
    }
}
