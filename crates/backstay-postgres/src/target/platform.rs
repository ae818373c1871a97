//! A target that is on a hosted platform: what is there already, what may not be done, and what is done otherwise.

use std::collections::{BTreeSet, HashSet};

use backstay_core::DbText;
use backstay_core::manifest::{DatabaseSetting, Entry, Manifest, PART_OF_DATABASE, Table, TableRows};
use backstay_core::sql::quote_qualified;

use super::plan::RestoreRefusal;
use super::select::Selected;
use super::{Keep, Parts, RestoreOptions, TargetPolicy, entry_name};
use crate::catalog::{self, CatalogError, Reading as _, rows};
use crate::platform::{FoundPlatform, Profile};
use crate::source::{PLATFORM_GRANT, is_of_application, profile_of, rights};

/// Names that a message lists.
const NAMES_MAX: usize = 8;

/// What a platform has at the target.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TargetPlatform {
    /// Which, and what it was told by.
    pub found: FoundPlatform,
    /// Whether the role may act as the one that owns the application.
    is_customer: bool,
    /// Whether it may say that triggers and keys do not act.
    may_be_replica: bool,
    tables: Vec<TargetTable>,
    publications: Vec<DbText>,
    settings: Vec<DatabaseSetting>,
    /// Rights of the application on what is the platform's that may be taken away: how their entries are called, and how.
    rights: Vec<(String, Vec<u8>)>,
    /// Tables in which extensions keep what users configure, and whose rows the role may not replace.
    fixed_configuration: Vec<(DbText, DbText)>,
}

/// A table in a schema of the platform.
#[derive(Clone, Debug)]
struct TargetTable {
    schema: DbText,
    name: DbText,
    /// Those that rows can be given to.
    columns: Vec<DbText>,
    /// Whether the role may insert rows, and see whether there are any.
    may_fill: bool,
    has_rows: bool,
    /// Tables that it refers to.
    refers_to: Vec<(DbText, DbText)>,
}

/// What a restore into a platform does otherwise than one into a server of one's own.
#[derive(Clone, Debug)]
pub(super) struct OnPlatform {
    pub(super) profile: &'static Profile,
    /// Whether all of a project of the platform is restored into one: then its roles, default privileges and settings come too. A
    /// backup of a part has not what is on the platform, and must not take it away.
    pub(super) is_same_project: bool,
    /// Entries that the platform has made already: they are there.
    pub(super) there: HashSet<usize>,
    /// Sequences that are the platform's.
    pub(super) left_sequences: HashSet<usize>,
    /// Tables of the platform whose rows are removed before the restore.
    pub(super) emptied: Vec<Vec<u8>>,
    /// Those among them that the backup has not: their rows do not come back.
    pub(super) lost: Vec<Vec<u8>>,
    /// Rights on what is the platform's that the backup has not, each with the statement that takes it away.
    pub(super) revocations: Vec<(String, Vec<u8>)>,
    /// Settings of the database that the target has not.
    pub(super) settings: Vec<DatabaseSetting>,
    /// What is left out, for people.
    pub(super) left_out: Vec<String>,
}

impl TargetPlatform {
    /// Looks at a database that exists.
    pub(super) fn look(
        client: &mut postgres::Client,
        found: FoundPlatform,
        profile: &Profile,
        server_version_num: u32,
    ) -> Result<Self, CatalogError> {
        let what = "the rights at the target";
        let customer = profile.customer.unwrap_or_default();
        let is_customer = client
            .query_one(
                "SELECT $1 = '' OR EXISTS (SELECT FROM pg_catalog.pg_roles r
                   WHERE r.rolname::text = $1 AND pg_catalog.pg_has_role(r.oid, 'USAGE'))",
                &[&customer],
            )
            .and_then(|row| row.try_get(0))
            .reading(what)?;
        let may_be_replica = may_be_replica(client).reading(what)?;
        let mut transaction = client.transaction().reading(what)?;
        let facts = catalog::read_facts(&mut transaction)?;
        let columns = catalog::read_columns(&mut transaction, server_version_num)?;
        let references = rows(
            &mut transaction,
            "the keys of the platform",
            "SELECT k.conrelid, convert_to(n.nspname, getdatabaseencoding()), convert_to(c.relname, getdatabaseencoding())
             FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.confrelid
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE k.contype = 'f'",
            |row| Ok((row.try_get::<_, u32>(0)?, (text(row, 1)?, text(row, 2)?))),
        )?;
        let found_tables: Vec<(u32, DbText, DbText, bool, bool)> = rows(
            &mut transaction,
            "the tables of the platform",
            "SELECT c.oid, convert_to(n.nspname, getdatabaseencoding()), convert_to(c.relname, getdatabaseencoding()),
                    pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'INSERT')
                      AND pg_catalog.has_table_privilege(c.oid, 'SELECT'),
                    EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE c.oid = ANY (e.extconfig))
                      AND NOT (pg_catalog.has_table_privilege(c.oid, 'INSERT') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
                        AND pg_catalog.has_table_privilege(c.oid, 'DELETE'))
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p')",
            |row| Ok((row.try_get::<_, u32>(0)?, text(row, 1)?, text(row, 2)?, row.try_get(3)?, row.try_get(4)?)),
        )?;
        let (mut tables, mut fixed_configuration) = (Vec::new(), Vec::new());
        for (oid, schema, name, may_fill, is_fixed) in found_tables {
            if is_fixed {
                fixed_configuration.push((schema.clone(), name.clone()));
            }
            if !profile.owns_schema(schema.as_bytes()) {
                continue;
            }
            let has_rows = if may_fill && profile.brings_rows(schema.as_bytes(), name.as_bytes()) {
                let quoted = quote_qualified(schema.as_bytes(), name.as_bytes());
                let sql = format!("SELECT EXISTS (SELECT FROM {})", String::from_utf8_lossy(&quoted));
                let row = transaction.query_one(&sql, &[]);
                row.and_then(|row| row.try_get(0)).reading("the rows of the platform")?
            } else {
                false
            };
            let columns = columns.get(&oid).into_iter().flatten();
            tables.push(TargetTable {
                columns: columns.map(|column| column.name.clone()).collect(),
                refers_to: references
                    .iter()
                    .filter(|(of, _)| *of == oid)
                    .map(|(_, to)| to.clone())
                    .collect(),
                schema,
                name,
                may_fill,
                has_rows,
            });
        }
        let publications = rows(
            &mut transaction,
            "the publications",
            "SELECT convert_to(pubname, getdatabaseencoding()) FROM pg_catalog.pg_publication",
            |row| text(row, 0),
        )?;
        let rights = rights(&mut transaction, profile)?;
        let rights = rights.iter().filter(|right| right.may_be_revoked);
        let rights = rights.map(|right| (right.name(), right.revocation())).collect();
        transaction.rollback().reading(what)?;
        Ok(Self {
            found,
            is_customer,
            may_be_replica,
            tables,
            publications,
            settings: facts.settings,
            rights,
            fixed_configuration,
        })
    }

    /// Tables of the platform that hold rows which a restore would bring: `rows of auth.users`.
    pub(super) fn occupied(&self) -> impl Iterator<Item = String> {
        let tables = self.tables.iter().filter(|table| table.has_rows);
        tables.map(|table| format!("rows of {}.{}", table.schema, table.name))
    }

    fn table(&self, of: &Table) -> Option<&TargetTable> {
        self.tables
            .iter()
            .find(|table| table.schema == of.schema && table.name == of.name)
    }
}

impl OnPlatform {
    /// What is lost by the restore, to be known before.
    pub(super) fn warning(&self) -> Option<String> {
        let names: Vec<String> = self
            .lost
            .iter()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        (!names.is_empty()).then(|| {
            format!(
                "rows of tables that the backup has not are removed, for they refer to rows that are replaced: {}",
                names.join(", ")
            )
        })
    }
}

/// Tries it, because what a platform allows beyond PostgreSQL's own rights no catalog tells.
fn may_be_replica(client: &mut postgres::Client) -> Result<bool, postgres::Error> {
    let mut transaction = client.transaction()?;
    let set = transaction.batch_execute("SET LOCAL session_replication_role = replica");
    transaction.rollback()?;
    match set {
        Ok(()) => Ok(true),
        Err(error) if error.as_db_error().is_some() => Ok(false),
        Err(error) => Err(error),
    }
}

fn text(row: &postgres::Row, column: usize) -> Result<DbText, postgres::Error> {
    row.try_get::<_, Vec<u8>>(column).map(DbText::new)
}

/// Leaves to the platform what is the platform's, and refuses what would lose something.
pub(super) fn settle(
    manifest: &Manifest,
    target: &super::TargetState,
    platform: &TargetPlatform,
    selected: &mut Selected,
    options: &RestoreOptions,
) -> Result<Option<OnPlatform>, RestoreRefusal> {
    let Some(profile) = platform.found.platform.profile() else {
        return Ok(None);
    };
    let name = platform.found.platform;
    let of_backup = manifest.source.platform.as_ref();
    let is_same = of_backup.is_some_and(|of| of.name == name.word());
    if !is_same
        && manifest
            .tables
            .iter()
            .any(|table| profile.owns_schema(table.schema.as_bytes()))
    {
        return Err(RestoreRefusal::OtherPlatform { platform: name });
    }
    if profile.loads_as_replica {
        refuse(manifest, target, platform, selected)?;
    }
    let guests = of_backup.map_or(&[][..], |of| &of.guests);
    let mut on = OnPlatform {
        profile,
        is_same_project: is_same && profile.is_of_one_project() && !is_part(manifest),
        there: HashSet::new(),
        left_sequences: HashSet::new(),
        emptied: Vec::new(),
        lost: Vec::new(),
        revocations: Vec::new(),
        settings: Vec::new(),
        left_out: Vec::new(),
    };
    let entries = &manifest.entries;
    let mut unmade = BTreeSet::new();
    selected.entries.retain(|&index| {
        let is_kept = is_of_application(&entries[index], profile, guests);
        if !is_kept && is_customers(&entries[index], profile) {
            unmade.insert(describe(&entries[index]));
        }
        is_kept
    });
    if !unmade.is_empty() {
        let names: Vec<String> = unmade.into_iter().collect();
        on.left_out.push(format!(
            "in schemas where only {name} may make anything: {}",
            list(&names)
        ));
    }
    let adopted: Vec<String> = selected
        .entries
        .iter()
        .map(|&index| &entries[index])
        .filter(|entry| entry.owner_statement.is_some())
        .filter(|entry| {
            entry
                .owner
                .as_ref()
                .is_some_and(|owner| profile.is_foreign_owner(owner.as_bytes()))
        })
        .map(describe)
        .collect();
    if !adopted.is_empty() && options.owners == Keep::Yes {
        on.left_out.push(format!(
            "the owner of {}, which is a role of {name}: {} owns it instead",
            list(&adopted),
            target.role
        ));
    }
    on.there = (selected.entries.iter().copied())
        .filter(|&index| entries[index].kind == "PUBLICATION" && platform.publications.contains(&entries[index].name))
        .filter(|&index| options.target != TargetPolicy::Clean || is_platforms_publication(&entries[index]))
        .collect();
    selected.tables.retain(|&index| {
        let Table { schema, name, .. } = &manifest.tables[index];
        !profile.owns_schema(schema.as_bytes()) || profile.brings_rows(schema.as_bytes(), name.as_bytes())
    });
    // An extension of the platform's stays, with the rows of its own.
    let mut fixed = Vec::new();
    selected.tables.retain(|&index| {
        let table = &manifest.tables[index];
        let is_fixed = |(schema, name): &(DbText, DbText)| *schema == table.schema && *name == table.name;
        let is_kept = table.filter.is_none() || !platform.fixed_configuration.iter().any(is_fixed);
        if !is_kept && matches!(&table.rows, TableRows::Included { digest, .. } if digest.rows() > 0) {
            fixed.push(table.display_name());
        }
        is_kept
    });
    if !fixed.is_empty() {
        let (role, tables) = (&target.role, list(&fixed));
        on.left_out.push(format!(
            "rows of tables of extensions, which the role {role} may not replace: {tables}"
        ));
    }
    on.left_sequences = (manifest.sequences.iter().enumerate())
        .filter(|(_, of)| profile.owns_schema(of.schema.as_bytes()))
        .filter(|(_, of)| !profile.brings_rows(of.schema.as_bytes(), of.name.as_bytes()))
        .map(|(index, _)| index)
        .collect();
    let has_right = |name: &str| {
        let entries = selected.entries.iter().map(|&index| &entries[index]);
        entries
            .into_iter()
            .any(|entry| entry.kind == PLATFORM_GRANT && entry.name.to_lossy() == name)
    };
    let rights = platform.rights.iter().filter(|(name, _)| !has_right(name));
    let revocation = |(name, sql): &(String, Vec<u8>)| (format!("REVOKE {name}"), sql.clone());
    on.revocations = rights.map(revocation).collect();
    check_tables(manifest, platform, profile, selected)?;
    if options.target == TargetPolicy::Clean && options.parts == Parts::All {
        empty(manifest, platform, profile, selected, &mut on)?;
    }
    if on.is_same_project && options.selection.is_whole() && options.parts != Parts::Data {
        let settings = manifest.source.settings.iter();
        on.settings = settings
            .filter(|setting| !platform.settings.contains(setting))
            .cloned()
            .collect();
    }
    Ok(Some(on))
}

/// Whether schemas or tables were left out of a backup.
fn is_part(manifest: &Manifest) -> bool {
    let mut omissions = manifest.omissions.iter();
    omissions.any(|omission| omission.reason == PART_OF_DATABASE)
}

/// Leaves out, for a server that is not on the platform of the backup, the extensions that are the platform's own and that the
/// server has not; gives what to say of it.
pub(super) fn leave_own_extensions(manifest: &Manifest, missing: &[String], selected: &mut Selected) -> Option<String> {
    let profile = profile_of(&manifest.source)?;
    // Here they are among the rights that `pg_dump` tells.
    selected
        .entries
        .retain(|&index| manifest.entries[index].kind != PLATFORM_GRANT);
    let is_own = |name: &str| profile.own_extensions.contains(&name) && missing.iter().any(|other| other == name);
    let mut left = BTreeSet::new();
    selected.entries.retain(|&index| {
        let entry = &manifest.entries[index];
        let name = entry.name.to_lossy();
        let of = match entry.kind.as_str() {
            "EXTENSION" => Some(&*name),
            "COMMENT" => name.strip_prefix("EXTENSION "),
            _ => None,
        };
        let is_left = of.is_some_and(is_own);
        left.extend(of.filter(|_| is_left).map(str::to_owned));
        !is_left
    });
    let left: Vec<String> = left.into_iter().collect();
    (!left.is_empty()).then(|| {
        format!(
            "extensions of {} that are not here: {}",
            profile.platform,
            left.join(", ")
        )
    })
}

/// Whether an entry in a schema of the platform was made by the owner of the application.
fn is_customers(entry: &Entry, profile: &Profile) -> bool {
    let is_own = entry
        .owner
        .as_ref()
        .is_some_and(|owner| Some(owner.as_bytes()) == profile.customer.map(str::as_bytes));
    let is_in_schema = entry
        .schema
        .as_ref()
        .is_some_and(|schema| profile.owns_schema(schema.as_bytes()));
    is_own && is_in_schema && !matches!(entry.kind.as_str(), "ACL" | "COMMENT" | "DEFAULT ACL")
}

/// Whether the platform makes it in every new project, and needs it: it is neither made nor dropped.
pub(super) fn is_platforms_publication(entry: &Entry) -> bool {
    entry.kind == "PUBLICATION" && entry.name.as_bytes().starts_with(b"supabase_")
}

/// Refuses a target that cannot take the backup whole.
fn refuse(
    manifest: &Manifest,
    target: &super::TargetState,
    platform: &TargetPlatform,
    selected: &Selected,
) -> Result<(), RestoreRefusal> {
    let major = |number: u32| number / 10_000;
    let (from, to) = (
        major(manifest.source.server_version_num),
        major(target.server_version_num),
    );
    if to < from {
        return Err(RestoreRefusal::OlderTarget { from, to });
    }
    let role = || target.role.clone();
    if !platform.is_customer {
        return Err(RestoreRefusal::NotCustomer {
            role: role(),
            customer: platform
                .found
                .platform
                .profile()
                .and_then(|profile| profile.customer)
                .unwrap_or_default(),
        });
    }
    if !platform.may_be_replica {
        return Err(RestoreRefusal::MayNotBeReplica { role: role() });
    }
    let is_wanted = |name: &&String| {
        let entries = selected.entries.iter().map(|&index| &manifest.entries[index]);
        entries
            .into_iter()
            .any(|entry| entry.kind == "EXTENSION" && entry.name.to_lossy() == name.as_str())
    };
    let missing: Vec<String> = target.missing_extensions.iter().filter(is_wanted).cloned().collect();
    if !missing.is_empty() {
        return Err(RestoreRefusal::MissingExtensions { extensions: missing });
    }
    Ok(())
}

/// Refuses a target whose tables of the platform cannot take the rows; one that has more columns can.
fn check_tables(
    manifest: &Manifest,
    platform: &TargetPlatform,
    profile: &Profile,
    selected: &Selected,
) -> Result<(), RestoreRefusal> {
    let (mut missing, mut denied) = (Vec::new(), Vec::new());
    for &index in &selected.tables {
        let table = &manifest.tables[index];
        let has_rows = matches!(&table.rows, TableRows::Included { digest, .. } if digest.rows() > 0);
        if !has_rows || !profile.owns_schema(table.schema.as_bytes()) {
            continue;
        }
        let name = table.display_name();
        let Some(found) = platform.table(table) else {
            missing.push(name);
            continue;
        };
        let columns = table.columns.iter().map(|column| &column.name);
        missing.extend(
            columns
                .filter(|column| !found.columns.contains(column))
                .map(|column| format!("{name} ({column})")),
        );
        if !found.may_fill {
            denied.push(name);
        }
    }
    missing.sort();
    denied.sort();
    let platform = platform.found.platform;
    match (missing.is_empty(), denied.is_empty()) {
        (false, _) => Err(RestoreRefusal::PlatformLacks {
            platform,
            tables: missing,
        }),
        (true, false) => Err(RestoreRefusal::PlatformDenies {
            platform,
            tables: denied,
        }),
        (true, true) => Ok(()),
    }
}

/// Finds the tables whose rows are replaced, and those that refer to them: one statement empties all. What is the platform's
/// alone, and tables that it has got since the backup, go with what they refer to. Rows that the backup was told to leave
/// nobody could bring back, so whoever left them decides.
fn empty(
    manifest: &Manifest,
    platform: &TargetPlatform,
    profile: &Profile,
    selected: &Selected,
    on: &mut OnPlatform,
) -> Result<(), RestoreRefusal> {
    let is = |of: &Table, table: &TargetTable| of.schema == table.schema && of.name == table.name;
    let is_replaced = |table: &&TargetTable| {
        let mut of_backup = selected.tables.iter().map(|&index| &manifest.tables[index]);
        of_backup.any(|of| matches!(of.rows, TableRows::Included { .. }) && is(of, table))
    };
    let mut tables: Vec<&TargetTable> = platform.tables.iter().filter(is_replaced).collect();
    let mut next = 0;
    while let Some(&to) = tables.get(next) {
        next += 1;
        let refers = |table: &&TargetTable| {
            let mut to_it = table
                .refers_to
                .iter()
                .filter(|(schema, name)| (schema, name) == (&to.schema, &to.name));
            to_it.next().is_some() && !tables.iter().any(|known| std::ptr::eq(*known, *table))
        };
        let more: Vec<&TargetTable> = platform.tables.iter().filter(refers).collect();
        tables.extend(more);
    }
    let mut kept = Vec::new();
    for table in tables {
        let quoted = quote_qualified(table.schema.as_bytes(), table.name.as_bytes());
        let is_kept = profile.brings_rows(table.schema.as_bytes(), table.name.as_bytes()) && !is_replaced(&table);
        // What may not be read may have rows.
        if is_kept && (table.has_rows || !table.may_fill) {
            match manifest.tables.iter().any(|of| is(of, table)) {
                true => kept.push(String::from_utf8_lossy(&quoted).into_owned()),
                false => on.lost.push(quoted.clone()),
            }
        }
        on.emptied.push(quoted);
    }
    match kept.is_empty() {
        true => Ok(()),
        false => Err(RestoreRefusal::KeptRows { tables: kept }),
    }
}

fn describe(entry: &Entry) -> String {
    entry_name(&entry.kind, entry.schema.as_ref(), &entry.name)
}

pub(super) fn list(names: &[String]) -> String {
    let shown = names[..names.len().min(NAMES_MAX)].join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
