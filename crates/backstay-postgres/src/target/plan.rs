//! What a restore will do, as a value that can be shown and then carried out.

use std::fmt;

use backstay_core::manifest::{Entry, Manifest, MemberContent, Stage, TableRows};

use super::inspect::TargetState;
use super::platform::{self, OnPlatform};
use super::select::Selected;
use crate::platform::Platform;

use super::{Atomicity, Keep, Parts, RestoreOptions, TargetPolicy};

/// A restore that was thought through and not begun.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RestorePlan {
    /// Name of the target database.
    pub database: String,
    /// What is there now.
    pub target: TargetState,
    /// How it will be restored.
    pub options: RestoreOptions,
    /// Rows that will be loaded.
    pub rows: u64,
    /// Bytes of COPY text that will be loaded.
    pub text_bytes: u64,
    /// Tables that will be loaded.
    pub tables: u64,
    /// Schema entries that will be restored.
    pub entries: u64,
    /// What should be known before.
    pub warnings: Vec<String>,
    pub(super) summary: Vec<String>,
    pub(super) selected: Selected,
    pub(super) on_platform: Option<OnPlatform>,
    /// Whether the roles of the backup are made where they are missing.
    pub(super) makes_roles: bool,
    pub(super) left_out: Option<String>,
}

/// Why a target is not restored into.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreRefusal {
    /// It holds something.
    #[error("the database {database} is not empty: it holds {count} objects ({})", objects.join(", "))]
    NotEmpty {
        /// The database.
        database: String,
        /// How many objects.
        count: u64,
        /// Some of them.
        objects: Vec<String>,
        /// The platform that it is a project of, beside which there is none.
        project: Option<Platform>,
    },
    /// It is the database that was backed up.
    #[error("the database {database} is the very one that was backed up")]
    IsSource {
        /// The database.
        database: String,
    },
    /// It has the name of the database that was backed up, and nothing tells whether it is that one.
    #[error("the database {database} may be the very one that was backed up: nothing tells which clusters they are of")]
    MayBeSource {
        /// The database.
        database: String,
    },
    /// Somebody has the lock of a drill that has just got its name, or that of a database which is to be lent for one.
    #[error("somebody has the lock of the drill {name}")]
    LockOfDrill {
        /// The drill, or the database.
        name: String,
    },
    /// It was lent for a drill and bears the mark of that no more, so nothing in it was removed.
    #[error("the database {database} does not bear the mark of the drill any more; nothing in it was removed")]
    MarkOfDrill {
        /// The database.
        database: String,
    },
    /// Each transaction gets another session, so settings reach others, and others' settings reach the restore.
    #[error("the connection goes through a pooler in transaction mode, which keeps no session")]
    TransactionPooler,
    /// It does not exist.
    #[error("the database {database} does not exist")]
    Missing {
        /// The database.
        database: String,
    },
    /// It exists and should have been made.
    #[error("the database {database} exists already")]
    Exists {
        /// The database.
        database: String,
    },
    /// Nothing of the backup matches.
    #[error("nothing in the backup matches {}", patterns.join(", "))]
    NoMatch {
        /// The patterns.
        patterns: Vec<String>,
    },
    /// A single transaction cannot do what was asked.
    #[error("{what} cannot be part of a single transaction")]
    NotInTransaction {
        /// What.
        what: &'static str,
    },
    /// What a foreign script would replace is not known.
    #[error("a foreign archive does not say what to drop, so it can only be restored into an empty or a new database")]
    CleanForeign,
    /// The platform is not the one that the backup was made on, and tables in its schemas are in the backup.
    #[error("the target is on {platform}, and the backup was not made by its rules")]
    OtherPlatform {
        /// The platform of the target.
        platform: Platform,
    },
    /// A database beside that of a project has nothing of the platform that the backup needs.
    #[error(
        "the backup is of a project of {platform}, and the database {database} would be made beside one, where nothing of {platform} is"
    )]
    BesideProject {
        /// The platform of both.
        platform: Platform,
        /// The database.
        database: String,
    },
    /// The target of a platform is of an older major version.
    #[error("the backup is of PostgreSQL {from}, and the target is the older {to}")]
    OlderTarget {
        /// Major version of the source.
        from: u32,
        /// Major version of the target.
        to: u32,
    },
    /// The role is not the one that owns applications on the platform.
    #[error("the role {role} may not act as {customer}, who owns what is restored")]
    NotCustomer {
        /// The role.
        role: String,
        /// Who would have to restore.
        customer: &'static str,
    },
    /// Triggers and foreign keys would act on the rows that are loaded.
    #[error(
        "the role {role} may not set session_replication_role, so triggers would act on the rows that are restored"
    )]
    MayNotBeReplica {
        /// The role.
        role: String,
    },
    /// The target has not the extensions.
    #[error("extensions of the backup cannot be installed at the target: {}", extensions.join(", "))]
    MissingExtensions {
        /// Which.
        extensions: Vec<String>,
    },
    /// Tables of the platform, or columns of them, that hold rows in the backup are not at the target.
    #[error("the target's {platform} has no {}, of which the backup has rows", tables.join(", "))]
    PlatformLacks {
        /// The platform.
        platform: Platform,
        /// The tables, with a column where only that is missing.
        tables: Vec<String>,
    },
    /// Tables of the platform cannot be given their rows.
    #[error("the role may not read and fill {} of the target's {platform}", tables.join(", "))]
    PlatformDenies {
        /// The platform.
        platform: Platform,
        /// The tables.
        tables: Vec<String>,
    },
    /// Rows of tables that the backup knows would not come back, and refer to rows that would be replaced.
    #[error("rows of {} would not come back, and refer to rows that would be replaced", tables.join(", "))]
    KeptRows {
        /// The tables, with quotes where they need them.
        tables: Vec<String>,
    },
    /// Its encoding cannot hold the backup's texts.
    #[error("the database {database} has the encoding {found}, and the backup is in {expected}")]
    Encoding {
        /// The database.
        database: String,
        /// Its encoding.
        found: String,
        /// The backup's.
        expected: String,
    },
}

pub(super) fn plan(
    manifest: &Manifest,
    database: &str,
    target: TargetState,
    options: &RestoreOptions,
) -> Result<RestorePlan, RestoreRefusal> {
    check_target(manifest, database, &target, options)?;
    let mut selected = options.selection.select(manifest);
    if !selected.unmatched.is_empty() {
        return Err(RestoreRefusal::NoMatch {
            patterns: selected.unmatched,
        });
    }
    let on_platform = match &target.platform {
        Some(found) => platform::settle(manifest, &target, found, &mut selected, options)?,
        None => None,
    };
    let left_out = match on_platform {
        Some(_) => None,
        None => platform::leave_own_extensions(manifest, &target.missing_extensions, &mut selected),
    };
    // Owner and grants of a large object come and go with the object, which is data.
    match options.parts {
        Parts::All => {}
        Parts::Schema => {
            selected.tables.clear();
            selected
                .entries
                .retain(|&index| !is_of_large_object(&manifest.entries[index]));
        }
        Parts::Data => selected
            .entries
            .retain(|&index| is_of_large_object(&manifest.entries[index])),
    }
    if options.privileges == Keep::No {
        selected
            .entries
            .retain(|&index| manifest.entries[index].stage != Stage::Privileges);
    }
    selected
        .tables
        .retain(|&index| matches!(manifest.tables[index].rows, TableRows::Included { .. }));
    let (mut rows, mut text_bytes, mut tables) = (0, 0, 0);
    for &index in &selected.tables {
        if let TableRows::Included {
            digest,
            text_bytes: bytes,
        } = &manifest.tables[index].rows
        {
            rows += digest.rows();
            text_bytes += bytes;
            tables += u64::from(manifest.tables[index].kind == backstay_core::manifest::TableKind::Table);
        }
    }
    let mut options = options.clone();
    if options.atomicity == Atomicity::Fitting {
        let limit = on_platform.as_ref().map_or(0, |on| on.profile.one_transaction_below);
        options.atomicity = match text_bytes < limit {
            true => Atomicity::SingleTransaction,
            false => Atomicity::StepByStep,
        };
    }
    let options = &options;
    let makes_roles = makes_roles(manifest, on_platform.as_ref(), options);
    let mut warnings = warnings(manifest, database, &target, options, makes_roles);
    warnings.extend(on_platform.iter().filter_map(OnPlatform::warning));
    Ok(RestorePlan {
        database: database.to_owned(),
        warnings,
        makes_roles,
        summary: summary(manifest, database, &target, options),
        options: options.clone(),
        rows,
        text_bytes,
        tables,
        entries: selected.entries.len() as u64,
        selected,
        on_platform,
        left_out,
        target,
    })
}

/// Refuses the database that was backed up. Where nothing tells whose the target is, its name decides.
pub(super) fn refuse_source(manifest: &Manifest, database: &str, target: &TargetState) -> Result<(), RestoreRefusal> {
    if target.database.is_none() || manifest.source.database != *database {
        return Ok(());
    }
    let database = database.to_owned();
    match (target.system_identifier, manifest.source.system_identifier) {
        (Some(one), Some(other)) if one != other => Ok(()),
        (Some(_), Some(_)) => Err(RestoreRefusal::IsSource { database }),
        _ => Err(RestoreRefusal::MayBeSource { database }),
    }
}

fn is_of_large_object(entry: &Entry) -> bool {
    matches!(entry.kind.as_str(), "LARGE OBJECT" | "ACL") && entry.name.as_bytes().starts_with(b"LARGE OBJECT ")
}

fn check_target(
    manifest: &Manifest,
    database: &str,
    target: &TargetState,
    options: &RestoreOptions,
) -> Result<(), RestoreRefusal> {
    let database = || database.to_owned();
    match (&target.database, options.target) {
        (None, TargetPolicy::Create) => {
            let of_backup = manifest.source.platform.as_ref().map(|of| of.name.as_str());
            if let Some(platform) = target.beside.filter(|beside| of_backup == Some(beside.word())) {
                return Err(RestoreRefusal::BesideProject {
                    platform,
                    database: database(),
                });
            }
        }
        (None, _) => return Err(RestoreRefusal::Missing { database: database() }),
        (Some(_), TargetPolicy::Create) => return Err(RestoreRefusal::Exists { database: database() }),
        (Some(found), policy) => {
            let fills = options.parts != Parts::Data;
            if policy == TargetPolicy::Empty && fills && found.object_count > 0 {
                let objects = found.objects.clone();
                let platform = target.platform.as_ref().map(|found| found.found.platform);
                return Err(RestoreRefusal::NotEmpty {
                    database: database(),
                    count: found.object_count,
                    objects,
                    project: platform.filter(|platform| platform.is_of_one_project()),
                });
            }
            // Whoever has no encoding of its own takes bytes as they are, and so gives no guarantee for others.
            let expected = &manifest.source.encoding;
            let foreign = found.encoding != *expected && (found.encoding == "SQL_ASCII" || expected == "SQL_ASCII");
            if foreign {
                let (found, expected) = (found.encoding.clone(), expected.clone());
                return Err(RestoreRefusal::Encoding {
                    database: database(),
                    found,
                    expected,
                });
            }
        }
    }
    Ok(())
}

/// Whether the roles of the backup are made where they are missing.
fn makes_roles(manifest: &Manifest, on_platform: Option<&OnPlatform>, options: &RestoreOptions) -> bool {
    let are_wanted = match on_platform {
        Some(on) => {
            // A restore of a part would bring back passwords and memberships that were changed since.
            let is_project = on.is_same_project && options.selection.is_whole();
            options.privileges == Keep::Yes && (options.globals == Keep::Yes || is_project)
        }
        None => options.globals == Keep::Yes,
    };
    are_wanted
        && manifest
            .members
            .iter()
            .any(|member| member.content == MemberContent::Globals)
}

fn warnings(
    manifest: &Manifest,
    database: &str,
    target: &TargetState,
    options: &RestoreOptions,
    makes_roles: bool,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let major = |number: u32| number / 10_000;
    let (from, to) = (
        major(manifest.source.server_version_num),
        major(target.server_version_num),
    );
    if to < from {
        warnings.push(format!(
            "the backup is of PostgreSQL {from}, the target is the older {to}: some of it may fail"
        ));
    }
    let gives_owners = options.owners == Keep::Yes && options.parts != Parts::Data;
    if gives_owners && !makes_roles && !target.missing_roles.is_empty() {
        warnings.push(format!(
            "roles that own something in the backup do not exist at the target: {}",
            target.missing_roles.join(", ")
        ));
    }
    if !target.missing_extensions.is_empty() && options.parts != Parts::Data {
        warnings.push(format!(
            "extensions of the backup cannot be installed at the target: {}",
            target.missing_extensions.join(", ")
        ));
    }
    let same_cluster =
        target.system_identifier.is_some() && target.system_identifier == manifest.source.system_identifier;
    if same_cluster && target.database.is_some() && manifest.source.database == *database {
        warnings.push("the target is the very database that was backed up".to_owned());
    }
    for omission in &manifest.omissions {
        warnings.push(format!("not in the backup: {} ({})", omission.subject, omission.reason));
    }
    let has_globals = manifest
        .members
        .iter()
        .any(|member| member.content == MemberContent::Globals);
    if options.globals == Keep::Yes && !has_globals {
        warnings.push("the backup holds no roles and tablespaces".to_owned());
    }
    warnings
}

fn summary(manifest: &Manifest, database: &str, target: &TargetState, options: &RestoreOptions) -> Vec<String> {
    let now = match &target.database {
        None => "does not exist; it will be created".to_owned(),
        Some(found) if found.object_count == 0 => "empty".to_owned(),
        Some(found) => format!("{} objects, about {} rows", found.object_count, found.estimated_rows),
    };
    let how = match (options.target, options.atomicity) {
        (TargetPolicy::Clean, Atomicity::SingleTransaction) => {
            "drop what the backup contains and restore it, in one transaction".to_owned()
        }
        (TargetPolicy::Clean, Atomicity::StepByStep | Atomicity::Fitting) => {
            format!(
                "drop what the backup contains, then restore with {} connections",
                options.jobs
            )
        }
        (_, Atomicity::SingleTransaction) => "in one transaction".to_owned(),
        (_, Atomicity::StepByStep | Atomicity::Fitting) => format!("with {} connections", options.jobs),
    };
    let mut lines = vec![
        format!("backup     {} of database {}", manifest.id, manifest.source.database),
        format!(
            "taken      {} from PostgreSQL {}",
            manifest.taken_at, manifest.source.server_version
        ),
        format!(
            "target     {database} on PostgreSQL {} as {}",
            target.server_version, target.role
        ),
        format!("there now  {now}"),
        format!("how        {how}"),
    ];
    if let Some(platform) = &target.platform {
        let found = &platform.found;
        lines.push(format!("platform   {} (found by {})", found.platform, found.by));
    }
    lines
}

impl fmt::Display for RestorePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.summary {
            writeln!(f, "{line}")?;
        }
        writeln!(
            f,
            "restores   {} tables with {} rows ({} bytes of text), {} definitions",
            self.tables, self.rows, self.text_bytes, self.entries
        )?;
        for warning in &self.warnings {
            writeln!(f, "warning    {warning}")?;
        }
        Ok(())
    }
}
