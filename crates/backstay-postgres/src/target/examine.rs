//! Examining a copy: whether it has the definitions of a backup, and whether what they promise holds in it.

mod compare;
mod keys;

use std::collections::hash_map::{Entry, HashMap};
use std::collections::{BTreeSet, HashSet};
use std::fmt;

use backstay_core::DbText;
use backstay_core::manifest::{
    Column, Extension, INVALID_INDEX, Manifest, PART_OF_DATABASE, RowSecurity, Source, Span, Stage, Table, TableKind,
};

use super::apply::has_secrets;
use super::{Keep, MemberSource, TargetError, entry_name};
use crate::CancelToken;
use crate::catalog::{self, Reading as _, Relation, RelationKind};
use crate::config::ConnectionConfig;
use crate::connect::connect_client;
use crate::pg_dump::PgDump;
use crate::platform::Profile;
use crate::session;
use crate::source::{Definition, Inclusion, OWN_KINDS, profile_of, read_definitions};
use crate::wire::WireConnection;

pub use compare::{Difference, DifferenceKind};
use compare::{Statements, compare};
pub use keys::{ForeignKey, ForeignKeyState};

/// How a copy is examined.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExamineOptions {
    /// Whether the copy was given the owners of the backup.
    pub owners: Keep,
    /// Whether it was given the grants.
    pub privileges: Keep,
    /// Whether it was given the settings of the database.
    pub settings: Keep,
    /// What reads its definitions; without, only what the catalogs tell is compared.
    pub pg_dump: Option<PgDump>,
    /// A schema in it that is none of the backup's.
    pub ignored_schema: Option<String>,
    /// The part of the backup that a platform was given; `None` for the whole.
    pub(super) scope: Option<Scope>,
}

/// What of a backup the application has on a platform.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) profile: &'static Profile,
    /// Indexes of the entries.
    pub(super) entries: HashSet<usize>,
}

impl Default for ExamineOptions {
    /// Everything was given to it; no `pg_dump`.
    fn default() -> Self {
        Self {
            owners: Keep::Yes,
            privileges: Keep::Yes,
            settings: Keep::Yes,
            pg_dump: None,
            ignored_schema: None,
            scope: None,
        }
    }
}

/// How far definitions were compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every match must see a new one")]
pub enum DefinitionsCompared {
    /// Not as `pg_dump` writes them; [`Examination::not_compared`] says why.
    #[default]
    Not,
    /// Which there are, but not their text, which versions write differently.
    Names,
    /// Word by word.
    Text,
}

/// What was seen in a copy.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Examination {
    /// Definitions that were compared.
    pub definitions: u64,
    /// How far they were.
    pub compared: DefinitionsCompared,
    /// What is different from the backup.
    pub differences: Vec<Difference>,
    /// Foreign keys, with the rows that they should not allow.
    pub foreign_keys: Vec<ForeignKey>,
    /// Indexes that are not valid, in the copy or, by what the backup says, in its source.
    pub invalid_indexes: Vec<String>,
    /// Indexes of partitioned tables that lack the index of a partition, as those that were made `ON ONLY` the table.
    pub partial_indexes: Vec<String>,
    /// What was not compared, and why, in plain words.
    pub not_compared: Vec<String>,
}

/// Examines a copy of a backup that nobody else changes: definitions, foreign keys, indexes. Changes nothing.
///
/// # Errors
/// Only what keeps it from looking; what is different stands in the result.
pub fn examine_copy(
    manifest: &Manifest,
    source: &dyn MemberSource,
    config: &ConnectionConfig,
    options: &ExamineOptions,
    cancel: &CancelToken,
) -> Result<Examination, TargetError> {
    super::on_a_thread(|| match examine_here(manifest, source, config, options, cancel) {
        Err(_) if cancel.is_cancelled() => Err(TargetError::Cancelled),
        examined => examined,
    })
}

/// The same, on a thread that no runtime knows.
pub(super) fn examine_here(
    manifest: &Manifest,
    source: &dyn MemberSource,
    config: &ConnectionConfig,
    options: &ExamineOptions,
    cancel: &CancelToken,
) -> Result<Examination, TargetError> {
    let examining = Examining {
        manifest,
        source,
        config,
        options,
        cancel,
        seen: Examination::default(),
        told_indexes: BTreeSet::new(),
    };
    examining.run()
}

impl Examination {
    /// Whether nothing is different and no key is violated.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        let is_violated =
            |key: &ForeignKey| key.state == ForeignKeyState::Valid && key.orphans.as_ref().is_ok_and(|&rows| rows > 0);
        self.differences.is_empty() && !self.foreign_keys.iter().any(is_violated)
    }
}

struct Examining<'e> {
    manifest: &'e Manifest,
    source: &'e dyn MemberSource,
    config: &'e ConnectionConfig,
    options: &'e ExamineOptions,
    cancel: &'e CancelToken,
    seen: Examination,
    /// Indexes of tables, by schema and name, that one side has and the other has not.
    told_indexes: BTreeSet<(DbText, DbText)>,
}

impl Examining<'_> {
    fn run(mut self) -> Result<Examination, TargetError> {
        let facts = self.catalogs()?;
        self.definitions(facts.server_version_num)?;
        let mut connection = WireConnection::connect(self.config, self.cancel)?;
        session::prepare(&mut connection, &self.manifest.source.encoding, &[])?;
        self.seen.foreign_keys = keys::check(&mut connection, facts.server_version_num, &mut self.seen.not_compared)?;
        connection.close();
        Ok(self.seen)
    }

    /// Whether the backup has only a part of its database.
    fn is_part(&self) -> bool {
        let omissions = &self.manifest.omissions;
        omissions.iter().any(|omission| omission.reason == PART_OF_DATABASE)
    }

    /// Compares what the catalogs tell with what stands in the manifest: this goes between all versions of servers.
    fn catalogs(&mut self) -> Result<Source, TargetError> {
        let mut client = connect_client(self.config)?;
        let what = "the catalogs of the copy";
        session::prepare_client(&mut client).reading(what)?;
        let mut transaction = client.build_transaction().read_only(true).start().reading(what)?;
        let facts = catalog::read_facts(&mut transaction)?;
        let relations = catalog::read_relations(&mut transaction, facts.server_version_num)?;
        let columns = catalog::read_columns(&mut transaction, facts.server_version_num)?;
        let unusable = catalog::unusable_indexes(&mut transaction)?;
        transaction.rollback().reading(what)?;
        for (index, is_of_partitioned) in unusable {
            match is_of_partitioned {
                true => self.seen.partial_indexes.push(index),
                false => self.seen.invalid_indexes.push(index),
            }
        }
        let scope = self.options.scope.as_ref();
        let of_source = profile_of(&self.manifest.source);
        for table in &self.manifest.tables {
            // The platform makes its tables as it likes, and what was not restored is not there.
            if scope.is_some_and(|scope| scope.profile.owns_schema(table.schema.as_bytes())) {
                continue;
            }
            // It comes with an extension that only the platform may have.
            if of_source.is_some_and(|profile| profile.leaves_rows(table.schema.as_bytes(), table.name.as_bytes())) {
                continue;
            }
            let relation = relations.iter().find(|relation| is_relation(table, relation));
            let Some(relation) = relation else {
                self.differ(
                    DifferenceKind::Table,
                    table.display_name(),
                    Some("a table"),
                    None::<&str>,
                );
                let indexes = table.indexes.iter().cloned();
                self.told_indexes
                    .extend(indexes.map(|index| (table.schema.clone(), index)));
                continue;
            };
            self.table(table, relation);
            let found = columns.get(&relation.oid).cloned().unwrap_or_default();
            if found != table.columns {
                let list = |columns: &[Column]| {
                    let columns = columns
                        .iter()
                        .map(|column| format!("{} {}", column.name, column.data_type));
                    columns.collect::<Vec<_>>().join(", ")
                };
                let (expected, found) = (list(&table.columns), list(&found));
                self.differ(
                    DifferenceKind::Columns,
                    table.display_name(),
                    Some(expected),
                    Some(found),
                );
            }
        }
        // A backup of a part tells the extensions of the whole.
        if !self.is_part() {
            self.extensions(&facts.extensions);
        }
        if self.options.settings == Keep::Yes {
            self.settings(&facts);
        }
        let omitted = self.manifest.omissions.iter();
        let omitted = omitted.filter(|omission| omission.reason == INVALID_INDEX);
        self.seen
            .invalid_indexes
            .extend(omitted.map(|omission| format!("{} of the source", omission.subject)));
        Ok(facts)
    }

    fn table(&mut self, table: &Table, found: &Relation) {
        let name = table.display_name();
        if found.row_security != table.row_security {
            let (expected, found) = (security(table.row_security), security(found.row_security));
            self.differ(DifferenceKind::RowSecurity, name.clone(), Some(expected), Some(found));
        }
        self.names(DifferenceKind::Policy, &name, &table.policies, &found.policies);
        self.names(DifferenceKind::Index, &name, &table.indexes, &found.indexes);
        let (of_backup, of_copy) = (sorted(&table.indexes), sorted(&found.indexes));
        let told = of_backup.symmetric_difference(&of_copy);
        self.told_indexes
            .extend(told.map(|&index| (table.schema.clone(), index.clone())));
    }

    /// Tells of names of one kind that only one side has.
    fn names(&mut self, kind: DifferenceKind, table: &str, expected: &[DbText], found: &[DbText]) {
        let (of_backup, of_copy) = (sorted(expected), sorted(found));
        for name in of_backup.symmetric_difference(&of_copy) {
            let is_missing = of_backup.contains(name);
            let side = |is_there: bool| is_there.then_some("there");
            self.differ(kind, format!("{name} on {table}"), side(is_missing), side(!is_missing));
        }
    }

    fn extensions(&mut self, found: &[Extension]) {
        for extension in &self.manifest.source.extensions {
            let there = found.iter().find(|other| other.name == extension.name);
            let is_own = profile_of(&self.manifest.source)
                .is_some_and(|profile| profile.own_extensions.contains(&&*extension.name.to_lossy()));
            let kind = match there {
                None if is_own && self.options.scope.is_none() => {
                    let why = format!("extension {}: only its platform has it", extension.name);
                    self.seen.not_compared.push(why);
                    continue;
                }
                None => DifferenceKind::Extension,
                Some(other) if other.schema != extension.schema => DifferenceKind::Extension,
                Some(other) if other.version != extension.version => DifferenceKind::ExtensionVersion,
                Some(_) => continue,
            };
            let describe = |e: &Extension| format!("version {} in schema {}", e.version, e.schema);
            self.differ(
                kind,
                extension.name.to_string(),
                Some(describe(extension)),
                there.map(describe),
            );
        }
    }

    fn settings(&mut self, facts: &Source) {
        let of = |source: &Source| -> BTreeSet<(String, String)> {
            let settings = source
                .settings
                .iter()
                .filter(|setting| setting.role.is_none() || self.options.privileges == Keep::Yes);
            let named = settings.map(|setting| {
                let whose = setting
                    .role
                    .as_ref()
                    .map(|role| format!(" of role {role}"))
                    .unwrap_or_default();
                (format!("{}{whose}", setting.name), setting.value.to_string())
            });
            named.collect()
        };
        let (expected, found) = (of(&self.manifest.source), of(facts));
        let names: BTreeSet<&String> = expected.symmetric_difference(&found).map(|(name, _)| name).collect();
        for name in names {
            let value = |of: &BTreeSet<(String, String)>| of.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
            self.differ(DifferenceKind::Setting, name.clone(), value(&expected), value(&found));
        }
    }

    /// Compares definitions as `pg_dump` writes them.
    fn definitions(&mut self, server_version_num: u32) -> Result<(), TargetError> {
        let Some(pg_dump) = &self.options.pg_dump else {
            let why = "definitions as pg_dump writes them: no pg_dump was found for this server";
            self.seen.not_compared.push(why.to_owned());
            return Ok(());
        };
        let secrets = match has_secrets(&self.manifest.entries) {
            true => Inclusion::Included,
            false => Inclusion::Excluded,
        };
        let of = self.options.scope.as_ref().map(|scope| (scope.profile, secrets));
        let found = read_definitions(self.config, pg_dump, of, self.cancel)
            .map_err(|error| TargetError::Definitions(Box::new(error)))?;
        let source = &self.manifest.source;
        let dump_major = source
            .pg_dump_version
            .split('.')
            .next()
            .and_then(|major| major.parse().ok());
        let is_alike = source.server_version_num / 10_000 == server_version_num / 10_000
            && dump_major == Some(pg_dump.version.major);
        let statements = if is_alike {
            Statements::Compared
        } else {
            Statements::Ignored
        };
        self.seen.compared = match statements {
            Statements::Compared => DefinitionsCompared::Text,
            Statements::Ignored => DefinitionsCompared::Names,
        };
        if statements == Statements::Ignored {
            self.seen.not_compared.push(
                "the text of definitions: the backup was made with another major version of PostgreSQL or pg_dump, \
                 which write it differently; it was compared which there are"
                    .to_owned(),
            );
        }
        let mut expected = self.of_backup()?;
        expected.retain(|definition| self.is_given(definition));
        let ignored = self.options.ignored_schema.as_deref().map(str::as_bytes);
        let is_ignored = |d: &Definition| {
            d.kind == "SCHEMA" && Some(d.name.as_bytes()) == ignored
                || d.kind == "COMMENT" && ignored.is_some_and(|name| is_comment_on(d, name))
        };
        let mut found = found;
        found.retain(|definition| self.is_given(definition) && !is_ignored(definition));
        let adopted = self.adopted();
        for definition in expected.iter_mut().chain(&mut found) {
            let name = (definition.kind.as_str(), definition.schema.as_ref(), &definition.name);
            let is_adopted = adopted.contains(&name);
            if self.options.owners == Keep::No || is_adopted {
                definition.owner.clear();
            }
            // Who owns it now needs not be granted anything.
            if let Some(scope) = self
                .options
                .scope
                .as_ref()
                .filter(|_| is_adopted && definition.kind == "ACL")
            {
                let to_owner = format!(" TO {};", scope.profile.customer.unwrap_or_default());
                let lines = definition.sql.split_inclusive(|&byte| byte == b'\n');
                let others = lines.filter(|line| !line.trim_ascii_end().ends_with(to_owner.as_bytes()));
                definition.sql = others.flatten().copied().collect();
            }
        }
        self.seen.definitions = expected.len() as u64;
        let mut differences = compare(&expected, &found, statements, &self.told_indexes);
        // A part of a database needs things around it that are not in the backup.
        if self.is_part() {
            differences.retain(|difference| difference.expected.is_some());
        }
        self.seen.differences.extend(differences);
        Ok(())
    }

    /// What a role of a platform owns in the backup, which nobody can give it.
    fn adopted(&self) -> HashSet<(&str, Option<&DbText>, &DbText)> {
        let Some(scope) = &self.options.scope else {
            return HashSet::new();
        };
        let is_foreign = |owner: &DbText| scope.profile.is_foreign_owner(owner.as_bytes());
        let entries = self.manifest.entries.iter();
        entries
            .filter(|entry| entry.owner.as_ref().is_some_and(is_foreign))
            .map(|entry| (entry.kind.as_str(), entry.schema.as_ref(), &entry.name))
            .collect()
    }

    fn is_given(&self, definition: &Definition) -> bool {
        definition.stage != Stage::Privileges || self.options.privileges == Keep::Yes
    }

    /// The definitions in the backup.
    fn of_backup(&self) -> Result<Vec<Definition>, TargetError> {
        let mut texts = HashMap::new();
        let mut sql = |span: Option<Span>| -> Result<Vec<u8>, TargetError> {
            let Some(span) = span else { return Ok(Vec::new()) };
            let text: &Vec<u8> = match texts.entry(span.member) {
                Entry::Occupied(text) => text.into_mut(),
                Entry::Vacant(free) => {
                    free.insert(self.source.text(span.member as usize).map_err(TargetError::Backup)?)
                }
            };
            super::part_of(text, span).map(<[u8]>::to_vec)
        };
        let mut definitions = Vec::new();
        for (index, entry) in self.manifest.entries.iter().enumerate() {
            let is_there = match &self.options.scope {
                Some(scope) => scope.entries.contains(&index),
                // What calls a platform did nothing elsewhere.
                None => !OWN_KINDS.contains(&entry.kind.as_str()),
            };
            if !is_there {
                continue;
            }
            definitions.push(Definition {
                kind: entry.kind.clone(),
                schema: entry.schema.clone(),
                name: entry.name.clone(),
                stage: entry.stage,
                sql: [sql(entry.definition)?, sql(entry.access_method_statement)?].concat(),
                owner: sql(entry.owner_statement)?,
            });
        }
        Ok(definitions)
    }

    fn differ(
        &mut self,
        kind: DifferenceKind,
        what: String,
        expected: Option<impl fmt::Display>,
        found: Option<impl fmt::Display>,
    ) {
        self.seen.differences.push(Difference {
            kind,
            what,
            expected: expected.map(|text| text.to_string()),
            found: found.map(|text| text.to_string()),
        });
    }
}

fn sorted(names: &[DbText]) -> BTreeSet<&DbText> {
    names.iter().collect()
}

fn is_relation(table: &Table, relation: &Relation) -> bool {
    let kind = match table.kind {
        TableKind::Table => RelationKind::Table,
        TableKind::Partitioned => RelationKind::Partitioned,
        TableKind::Foreign => RelationKind::Foreign,
    };
    relation.kind == kind && relation.schema == table.schema && relation.name == table.name
}

fn is_comment_on(definition: &Definition, schema: &[u8]) -> bool {
    definition.name.as_bytes().strip_prefix(b"SCHEMA ") == Some(schema)
}

fn security(security: RowSecurity) -> &'static str {
    match security {
        RowSecurity::Off => "off",
        RowSecurity::Enabled => "enabled",
        RowSecurity::Forced => "forced",
    }
}
