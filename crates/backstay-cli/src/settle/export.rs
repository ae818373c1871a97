use std::collections::BTreeMap;
use std::time::Duration;

use backstay::export::{ExportFormat, ExportOptions, ExportRows, Subject, SubjectLink};
use backstay::{Compression, ObjectKey, Prefix, Resolved, RetentionPolicy};
use backstay_config::{Database, Export, ExportCompression};
use jiff::tz::TimeZone;

use crate::args::{ExportArguments, FromArguments};
use crate::configuration::{self, ConfigurationError, Loaded};
use crate::environment::Environment;
use crate::keys::SealRequest;
use crate::output::Output;

use super::backup::{merge_seals, with_passphrase};
use super::chosen::{self, ChosenSource};
use super::encryption::settle_seals;
use super::{SettleError, SettledStore};

/// The folder of exports in a store where nobody says otherwise.
const FOLDER: &str = "exports";

/// What `export-data` is to do.
#[derive(Debug)]
pub(crate) struct SettledExport {
    pub(crate) what: ExportWhat,
    pub(crate) options: ExportOptions,
    pub(crate) output: Output,
}

#[derive(Debug)]
pub(crate) enum ExportWhat {
    /// Exports of the configuration, by database.
    Named(Vec<ExportsOfDatabase>),
    /// What belongs to a person.
    Subject(Box<SettledSubject>),
}

/// Exports that are read in one snapshot.
#[derive(Debug)]
pub(crate) struct ExportsOfDatabase {
    /// The database in the configuration.
    pub(crate) section: Option<String>,
    pub(crate) source: Resolved,
    pub(crate) exports: Vec<SettledNamedExport>,
}

/// An export of the configuration, whose store is not opened yet.
#[derive(Debug)]
pub(crate) struct SettledNamedExport {
    pub(crate) name: Prefix,
    pub(crate) rows: ExportRows,
    pub(crate) format: ExportFormat,
    pub(crate) compression: Option<Compression>,
    pub(crate) place: SettledPlace,
    /// Which older ones are kept; where it is `None`, nothing is removed, not even what crashes left.
    pub(crate) retention: Option<RetentionPolicy>,
}

/// A person, and where what belongs to it goes.
#[derive(Debug)]
pub(crate) struct SettledSubject {
    pub(crate) source: Resolved,
    pub(crate) subject: Subject,
    pub(crate) links: Vec<SubjectLink>,
    pub(crate) place: SettledPlace,
    pub(crate) mode: SubjectMode,
}

/// Whether the rows of a person are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubjectMode {
    Show,
    Write,
}

/// A folder in a store, and to whom what goes there is encrypted.
#[derive(Debug)]
pub(crate) struct SettledPlace {
    pub(crate) store: SettledStore,
    pub(crate) folder: ObjectKey,
    pub(crate) seals: SealRequest,
}

impl SettledExport {
    pub(crate) fn settle(mut arguments: ExportArguments, environment: &Environment) -> Result<Self, SettleError> {
        let mut options = ExportOptions::default();
        if let Some(secs) = arguments.lock_wait {
            options.lock_wait = Duration::from_secs(secs.into());
        }
        let encrypt = settle_seals(std::mem::take(&mut arguments.encrypt));
        let output = arguments.output.into();
        let what = if arguments.subject.is_empty() {
            ExportWhat::Named(named(&arguments, &encrypt, environment)?)
        } else {
            ExportWhat::Subject(Box::new(subject(&arguments, encrypt, environment)?))
        };
        Ok(Self { what, options, output })
    }
}

fn subject(
    arguments: &ExportArguments,
    encrypt: SealRequest,
    environment: &Environment,
) -> Result<SettledSubject, SettleError> {
    let subject = Subject::parse(arguments.subject.iter().map(String::as_str))?;
    let loaded = environment.configuration.get()?;
    let from = FromArguments {
        from: arguments.from.from.clone(),
        db: database_of(None, &arguments.from, loaded)?,
    };
    let ChosenSource { source, section } = chosen::source(&from, environment)?;
    let of_source = section.map(|(_, database)| database);
    let store = SettledStore::settle_for(arguments.store.clone(), of_source, environment)?;
    let database = described_by(None, of_source, loaded);
    let says_more = |database: &Database| {
        !database.subject_links.is_empty() || (is_encrypted(database) && !encrypt.names_somebody())
    };
    if database.is_none() && has_any(loaded, says_more) {
        return Err(SettleError::WhichSection);
    }
    let links = database.map(|database| &database.subject_links);
    let links = links.into_iter().flatten().map(|text| text.parse());
    Ok(SettledSubject {
        source,
        subject,
        links: links.collect::<Result<_, _>>()?,
        place: place(store, folder(None)?, encrypt, None, database, environment)?,
        mode: if arguments.dry_run {
            SubjectMode::Show
        } else {
            SubjectMode::Write
        },
    })
}

/// What is typed of exports that are named.
pub(super) struct TypedExport<'a> {
    pub(super) store: Option<&'a str>,
    pub(super) from: &'a FromArguments,
    pub(super) encrypt: &'a SealRequest,
    pub(super) no_prune: bool,
}

/// The exports that accompany a backup of the database that is named in the file so, or of one that was typed.
pub(super) fn exports_of_backup(
    names: &[String],
    section: Option<(&str, &Database)>,
    typed: &TypedExport<'_>,
    environment: &Environment,
) -> Result<Vec<SettledNamedExport>, SettleError> {
    let loaded = environment.configuration.require()?;
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    let exports = names.iter().map(|name| {
        let export = loaded.export(name)?;
        if let (Some((backed_up, _)), Some(own)) = (section, own_database(Some(export), Some(loaded))?)
            && own != backed_up
        {
            return Err(SettleError::ForeignExport {
                export: name.clone(),
                database: own,
            });
        }
        one(
            export,
            section.map(|(_, database)| database),
            typed,
            loaded,
            environment,
        )
    });
    exports.collect()
}

fn named(
    arguments: &ExportArguments,
    encrypt: &SealRequest,
    environment: &Environment,
) -> Result<Vec<ExportsOfDatabase>, SettleError> {
    let loaded = environment.configuration.require()?;
    let chosen: Vec<&Export> = if arguments.all {
        loaded.config.exports().map(|(_, export)| export).collect()
    } else {
        let mut names = arguments.names.clone();
        names.sort_unstable();
        names.dedup();
        names.iter().map(|name| loaded.export(name)).collect::<Result<_, _>>()?
    };
    if chosen.is_empty() {
        return Err(SettleError::NoExports);
    }
    let mut by_database: BTreeMap<Option<String>, Vec<&Export>> = BTreeMap::new();
    for export in chosen {
        let database = database_of(Some(export), &arguments.from, Some(loaded))?;
        by_database.entry(database).or_default().push(export);
    }
    let groups = by_database.into_iter().map(|(db, exports)| {
        let from = FromArguments {
            from: arguments.from.from.clone(),
            db,
        };
        let ChosenSource { source, section } = chosen::source(&from, environment)?;
        let of_file = section.map(|(_, database)| database);
        let exports = exports.into_iter();
        let typed = TypedExport {
            store: arguments.store.as_deref(),
            from: &arguments.from,
            encrypt,
            no_prune: arguments.no_prune,
        };
        let exports = exports.map(|export| one(export, of_file, &typed, loaded, environment));
        Ok(ExportsOfDatabase {
            section: section.map(|(name, _)| name.to_owned()),
            source,
            exports: exports.collect::<Result<_, SettleError>>()?,
        })
    });
    groups.collect()
}

/// The databases of the configuration that exports are of, also where nothing of them can be had.
pub(crate) fn export_sections(arguments: &ExportArguments, environment: &Environment) -> Vec<String> {
    let Ok(Some(loaded)) = environment.configuration.get() else {
        return Vec::new();
    };
    let chosen = loaded.config.exports();
    let chosen = chosen.filter(|(name, _)| arguments.all || arguments.names.iter().any(|typed| typed == name));
    let databases = chosen.map(|(_, export)| database_of(Some(export), &arguments.from, Some(loaded)));
    databases.filter_map(|database| database.ok()?).collect()
}

/// The name of the database in the file: that which was typed, else that of the export, else the only one. What variables name
/// counts only where the file has none: the file says to whom its exports are encrypted. `None` with `--from`.
fn database_of(
    export: Option<&Export>,
    typed: &FromArguments,
    loaded: Option<&Loaded>,
) -> Result<Option<String>, SettleError> {
    // Whoever names a database means it for all exports.
    if typed.from.is_some() || typed.db.is_some() {
        return Ok(typed.db.clone());
    }
    own_database(export, loaded)
}

/// The name of the database of the file that an export is of, whatever was typed.
fn own_database(export: Option<&Export>, loaded: Option<&Loaded>) -> Result<Option<String>, SettleError> {
    if let Some(reference) = export.and_then(|export| export.database.as_ref()) {
        return Ok(Some(reference.name().to_owned()));
    }
    let only = match loaded {
        Some(loaded) => loaded.only_database()?,
        None => None,
    };
    Ok(only.map(|(name, _)| name.to_owned()))
}

/// The section that says how rows of a database are encrypted and what refers to whom, also where the database was typed.
fn described_by<'l>(
    export: Option<&Export>,
    of_source: Option<&'l Database>,
    loaded: Option<&'l Loaded>,
) -> Option<&'l Database> {
    let of_export = || loaded?.config.database(export?.database.as_ref()?.name());
    let only = || loaded?.only_database().ok().flatten();
    of_source
        .or_else(of_export)
        .or_else(|| only().map(|(_, database)| database))
}

fn has_any(loaded: Option<&Loaded>, is_such: impl Fn(&Database) -> bool) -> bool {
    let mut databases = loaded.into_iter().flat_map(|loaded| loaded.config.databases());
    databases.any(|(_, database)| is_such(database))
}

fn is_encrypted(database: &Database) -> bool {
    let encryption = &database.encryption;
    !encryption.to.is_empty()
        || !encryption.to_file.is_empty()
        || encryption.passphrase.is_some()
        || encryption.gpg.is_some()
}

fn one(
    export: &Export,
    of_source: Option<&Database>,
    typed: &TypedExport<'_>,
    loaded: &Loaded,
    environment: &Environment,
) -> Result<SettledNamedExport, SettleError> {
    let encrypt = typed.encrypt;
    let lookup = configuration::lookup(&environment.variables);
    let resolve = |text: &backstay_config::Text| text.resolve(&lookup).map_err(ConfigurationError::from);
    let format: ExportFormat = export.format.parse()?;
    let of_export = export.store.as_ref().map(|reference| reference.name().to_owned());
    let store = SettledStore::settle_for(typed.store.map(str::to_owned).or(of_export), of_source, environment)?;
    let database = described_by(Some(export), of_source, Some(loaded));
    if database.is_none()
        && export.encryption.is_none()
        && !encrypt.names_somebody()
        && has_any(Some(loaded), is_encrypted)
    {
        return Err(SettleError::WhichSection);
    }
    let is_of_another = match (&typed.from.from, &typed.from.db) {
        (Some(_), _) => true,
        (None, Some(named)) => own_database(Some(export), Some(loaded)).ok().flatten().as_ref() != Some(named),
        (None, None) => false,
    };
    let retention = loaded.config.retention_of_export(export);
    let policy = retention.map(|retention| retention.policy(|name| TimeZone::get(name).ok()));
    // Without any rule all of them are kept.
    let policy = policy
        .transpose()
        .map_err(ConfigurationError::from)?
        .unwrap_or_default();
    Ok(SettledNamedExport {
        name: export.name.clone(),
        rows: match &export.rows {
            backstay_config::ExportRows::Table(table) => ExportRows::Table(resolve(table)?),
            backstay_config::ExportRows::Query(query) => ExportRows::Query(resolve(query)?),
        },
        format,
        compression: match export.compress {
            Some(ExportCompression::By(compression)) => Some(compression),
            Some(ExportCompression::None) => None,
            // Everybody who reads Parquet reads it so.
            None if format == ExportFormat::Parquet => Some(Compression::new(backstay::Codec::Zstd)),
            None => None,
        },
        place: place(
            store,
            folder(export.folder.as_ref())?,
            encrypt.clone(),
            Some(export),
            database,
            environment,
        )?,
        // Where another database was typed, earlier exports are not of that.
        retention: (!typed.no_prune && !is_of_another).then_some(policy),
    })
}

/// A place, encrypted to whom was typed, else as the export says, else as backups of the database are: what is in one would
/// otherwise stand in clear in the other.
fn place(
    mut store: SettledStore,
    folder: ObjectKey,
    typed: SealRequest,
    export: Option<&Export>,
    database: Option<&Database>,
    environment: &Environment,
) -> Result<SettledPlace, SettleError> {
    let of_export = export.and_then(|export| export.encryption.as_ref());
    let of_database = database.map(|database| &database.encryption);
    let of_file = match of_export.or(of_database) {
        Some(encryption) => configuration::seals(encryption, &environment.variables)?,
        None => SealRequest::default(),
    };
    let (seals, is_of_file) = merge_seals(typed, of_file);
    if let Some(database) = database.filter(|_| is_of_file && of_export.is_none() && seals.passphrase.is_some()) {
        store.variables = with_passphrase(database, store.variables, &environment.variables)?;
    }
    // An export has no index.
    let seals = SealRequest {
        index: Vec::new(),
        ..seals
    };
    Ok(SettledPlace { store, folder, seals })
}

fn folder(named: Option<&ObjectKey>) -> Result<ObjectKey, SettleError> {
    match named {
        Some(folder) => Ok(folder.clone()),
        None => Ok(FOLDER.parse()?),
    }
}
