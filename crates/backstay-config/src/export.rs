use backstay_core::{Compression, ObjectKey, Prefix};
use backstay_schedule::Cron;
use serde_json::{Value as Json, json};

use crate::database::Encryption;
use crate::fields::{Context, Fields, Found};
use crate::place::At;
use crate::reference::Reference;
use crate::retention::RetentionChoice;
use crate::text::Text;
use crate::value::{Value, parsed};

/// Rows for other programs, by name: `[[export]]`. What is `None` is left to the defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Export {
    /// What it is called, and the first part of the names of its files.
    pub name: Prefix,
    /// The database; without this the only one.
    pub database: Option<Reference>,
    /// What is in it.
    pub rows: ExportRows,
    /// How rows are written: `csv`, `jsonl` or `parquet`.
    pub format: &'static str,
    /// How they are compressed.
    pub compress: Option<ExportCompression>,
    /// The store that it goes to; without this that of the database.
    pub store: Option<Reference>,
    /// The folder in the store.
    pub folder: Option<ObjectKey>,
    /// To whom it is encrypted; without this as backups of the database are. To nobody where it is empty.
    pub encryption: Option<Encryption>,
    /// When it is made, in the time zone of its database.
    pub schedule: Option<Cron>,
    /// Which exports of this name are kept.
    pub retention: Option<RetentionChoice>,
    at: At,
}

/// What is in an export.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "all of a table, or what a query gives")]
pub enum ExportRows {
    /// All of a table or view.
    Table(Text),
    /// What a query gives.
    Query(Text),
}

/// How an export is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it is or it is not")]
pub enum ExportCompression {
    /// It is not.
    None,
    /// So.
    By(Compression),
}

impl Export {
    /// Where its section begins.
    #[must_use]
    pub fn at(&self) -> &At {
        &self.at
    }

    pub(crate) fn read(fields: &mut Fields<'_>, at: At) -> Option<Self> {
        let name = fields.require(
            "name",
            "What it is called, and the first part of the names of its files.",
        );
        let database = fields.get(
            "database",
            "The database that it is of: the name of a [database] section; the only one without this.",
        );
        let table: Option<Text> = fields.get("table", "A table or view, all of which is exported.");
        let query: Option<Text> = fields.get("query", "The query whose rows are exported: one statement that reads.");
        let rows = match (table, query) {
            (Some(table), None) => Some(ExportRows::Table(table)),
            (None, Some(query)) => Some(ExportRows::Query(query)),
            (Some(_), Some(_)) => {
                fields.refuse("query", "does not go with \"table\"");
                None
            }
            (None, None) => {
                if fields.present(&["table", "query"]).is_empty() {
                    fields.refuse_section("says of no rows: \"table\" or \"query\" is needed");
                }
                None
            }
        };
        let format = fields.get("format", "How rows are written; csv without this.");
        let compress = fields.get(
            "compress",
            "none, gzip or zstd, the last two with an optional level; none without this, and zstd for parquet.",
        );
        let store = fields.get("store", "The store that it goes to; that of the database without this.");
        let folder = fields.get(
            "prefix",
            "The folder in the store, apart from backups; exports without this.",
        );
        let encryption = Encryption {
            to: fields
                .get(
                    "encrypt-to",
                    "Encrypt to these public keys; as backups of the database without this, and to nobody with [].",
                )
                .unwrap_or_default(),
            to_file: fields
                .get("encrypt-to-file", "Encrypt to the public keys in these files.")
                .unwrap_or_default(),
            index_to: Vec::new(),
            passphrase: None,
            gpg: None,
        };
        let is_said = !fields.present(&["encrypt-to", "encrypt-to-file"]).is_empty();
        let schedule = fields.get(
            "schedule",
            "When backstay run makes it, as a cron expression in the time zone of the database.",
        );
        let retention = fields.get(
            "retention",
            "Which exports of this name are kept: the name of a [retention] section, or a table of its keys; all without this.",
        );
        Some(Self {
            name: name?,
            database,
            rows: rows?,
            format: format.map_or(FORMATS[0], |Format(name)| name),
            compress,
            store,
            folder: folder.map(|Folder(key)| key),
            encryption: is_said.then_some(encryption),
            schedule,
            retention,
            at,
        })
    }
}

/// The first counts where none is named.
const FORMATS: [&str; 3] = ["csv", "jsonl", "parquet"];

struct Format(&'static str);

impl Value for Format {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        parsed(found, context, "a format", |text| {
            let format = FORMATS.into_iter().find(|format| *format == text);
            format
                .map(Self)
                .ok_or_else(|| format!("must be one of {}", FORMATS.join(", ")))
        })
    }

    fn schema() -> Json {
        json!({ "enum": FORMATS })
    }
}

impl Value for ExportCompression {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        parsed(found, context, "none, gzip or zstd", |text| match text {
            "none" => Ok(Self::None),
            text => text.parse().map(Self::By),
        })
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^(none|(gzip|gz|zstd|zst)(:[0-9]+)?)$" })
    }
}

/// The beginnings of names that mean something else in a store.
const RESERVED: [&str; 4] = ["log", "intents", "tombstones", "backstay-check"];

struct Folder(ObjectKey);

impl Value for Folder {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        parsed(found, context, "a folder in a store", |text| {
            let key: ObjectKey = text.trim_end_matches('/').parse().map_err(|error| format!("{error}"))?;
            let first = key.as_str().split('/').next().unwrap_or_default();
            if RESERVED.contains(&first) {
                return Err(format!("{first:?} means something else in a store"));
            }
            Ok(Self(key))
        })
    }

    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

/// A column that refers to another although no foreign key says so: `TABLE.COLUMN = TABLE.COLUMN`.
pub(crate) struct Link(pub(crate) String);

impl Value for Link {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        parsed(found, context, "two columns", |text| {
            let is_column = |side: &str| side.trim().contains('.');
            match text.split_once('=') {
                Some((from, to)) if is_column(from) && is_column(to) && !to.contains('=') => Ok(Self(text.to_owned())),
                _ => Err("must be TABLE.COLUMN = TABLE.COLUMN, such as logins.name = users.name"),
            }
        })
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[^=]*[.][^=]*=[^=]*[.][^=]*$" })
    }
}
