use std::path::PathBuf;

use backstay::encryption::Recipient;
use backstay::{Age, Compression, PlatformChoice, Prefix, Resolved, Tag, Variables, resolve_described};
use backstay_config::{Database, Encryption, ResolvedConnection, Text};

use crate::keys::{NewPassphrase, SealRequest};

use super::{ConfigurationError, lookup};

/// What a database's section says of its backups, with variables in their places.
#[derive(Debug, Default)]
pub(crate) struct DatabaseOptions {
    pub(crate) prefix: Option<Prefix>,
    pub(crate) compression: Option<Compression>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) keep_at_least: Option<Age>,
    pub(crate) volume_size: Option<u64>,
    pub(crate) jobs: Option<u16>,
    pub(crate) read_back: Option<bool>,
    pub(crate) schema: Option<Vec<String>>,
    pub(crate) table: Option<Vec<String>>,
    pub(crate) exclude_schema: Option<Vec<String>>,
    pub(crate) exclude_table: Option<Vec<String>>,
    pub(crate) exclude_table_data: Option<Vec<String>>,
    pub(crate) large_objects: Option<bool>,
    pub(crate) unlogged_data: Option<bool>,
    pub(crate) globals: Option<bool>,
    pub(crate) platform: Option<PlatformChoice>,
    pub(crate) lock_wait: Option<u32>,
    pub(crate) pg_dump: Option<PathBuf>,
    pub(crate) seals: SealRequest,
}

/// The connection that a section describes.
pub(crate) fn source(database: &Database, variables: &Variables) -> Result<Resolved, ConfigurationError> {
    let connection = database.connection.resolve(&lookup(variables))?;
    settle(database, &connection, variables)
}

/// The same without secrets, to be shown; `None` where the whole of it is a secret.
pub(crate) fn source_without_secrets(
    database: &Database,
    variables: &Variables,
) -> Result<Option<Resolved>, ConfigurationError> {
    let connection = database.connection.resolve_without_secrets(&lookup(variables))?;
    if database.connection.url().is_some() && connection.url.is_none() {
        return Ok(None);
    }
    settle(database, &connection, variables).map(Some)
}

fn settle(
    database: &Database,
    connection: &ResolvedConnection,
    variables: &Variables,
) -> Result<Resolved, ConfigurationError> {
    let url = connection.url.as_ref().map(backstay_config::Secret::expose);
    let parts = connection.parts.iter().map(|(key, value)| (*key, value.expose()));
    resolve_described(url, parts, variables).map_err(|source| ConfigurationError::Connection {
        at: database.connection.at().to_string(),
        source,
    })
}

/// The first part of the names of a database's backups. What can name a section can name them.
pub(crate) fn prefix(name: &str, database: &Database) -> Prefix {
    let of_section = || Prefix::for_database(name);
    database.prefix.clone().unwrap_or_else(of_section)
}

/// The options of a section. A passphrase is fetched where `seals` is to be used.
pub(crate) fn options(
    name: &str,
    database: &Database,
    variables: &Variables,
) -> Result<DatabaseOptions, ConfigurationError> {
    let lookup = lookup(variables);
    let texts = |list: &Option<Vec<Text>>| -> Result<Option<Vec<String>>, ConfigurationError> {
        let list = list
            .as_ref()
            .map(|list| list.iter().map(|text| text.resolve(&lookup)).collect());
        Ok(list.transpose()?)
    };
    let path = database
        .pg_dump
        .as_ref()
        .map(|path| path.resolve(&lookup))
        .transpose()?;
    Ok(DatabaseOptions {
        prefix: Some(prefix(name, database)),
        compression: database.compress,
        tags: database.tag.clone(),
        keep_at_least: database.keep_at_least,
        volume_size: database.volume_size,
        jobs: database.jobs,
        read_back: database.read_back,
        schema: texts(&database.selection.schema)?,
        table: texts(&database.selection.table)?,
        exclude_schema: texts(&database.selection.exclude_schema)?,
        exclude_table: texts(&database.selection.exclude_table)?,
        exclude_table_data: texts(&database.selection.exclude_table_data)?,
        large_objects: database.large_objects,
        unlogged_data: database.unlogged_data,
        globals: database.globals,
        platform: database.platform.and_then(|platform| platform.word().parse().ok()),
        lock_wait: database.lock_wait,
        pg_dump: path,
        seals: seals(&database.encryption, variables)?,
    })
}

/// To whom backups are encrypted; where a passphrase is does not matter yet.
pub(crate) fn seals(encryption: &Encryption, variables: &Variables) -> Result<SealRequest, ConfigurationError> {
    let lookup = lookup(variables);
    let keys = |key: &'static str, list: &[Text]| -> Result<Vec<Recipient>, ConfigurationError> {
        let keys = list.iter().map(|text| {
            let parsed = text.resolve(&lookup)?.parse();
            parsed.map_err(|source| ConfigurationError::Recipient {
                at: text.at().to_string(),
                key,
                source,
            })
        });
        keys.collect()
    };
    let files = encryption.to_file.iter().map(|file| file.resolve(&lookup));
    Ok(SealRequest {
        recipients: keys("encrypt-to", &encryption.to)?,
        files: files.collect::<Result<_, _>>()?,
        passphrase: match (&encryption.passphrase, &encryption.gpg) {
            (Some(_), _) => Some(NewPassphrase::OfAge),
            (None, Some(_)) => Some(NewPassphrase::OfOpenPgp),
            (None, None) => None,
        },
        index: keys("index-to", &encryption.index_to)?,
    })
}
