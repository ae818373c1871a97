//! What of a platform `pg_dump` does not tell: which triggers and policies on its tables are the application's, and what
//! stands in tables that a backup does not read.

use std::collections::{BTreeMap, HashSet};

use backstay_core::DbText;
use backstay_core::manifest::{Omission, Stage};
use backstay_core::sql::{quote_identifier, quote_literal, quote_qualified};
use postgres::Transaction;

use super::Inclusion;
use super::omissions::{CHANGING_SCHEMA, JOB_OF_PLATFORM, ONLY_SEALED};
use crate::catalog::{CatalogError, Reading as _, rows};
use crate::platform::{Profile, Services};

/// Kinds of entries that are none of `pg_dump`'s. They do nothing in a database that has not what they call.
pub(crate) const OWN_KINDS: &[&str] = &[CRON_JOB, "VAULT SECRET", "PLATFORM POLICY", PLATFORM_GRANT];
/// The kind of a job of `pg_cron`.
pub(crate) const CRON_JOB: &str = "CRON JOB";
/// The kind of a right on what is the platform's.
pub(crate) const PLATFORM_GRANT: &str = "PLATFORM GRANT";

/// What the application has on a platform.
#[derive(Debug, Default)]
pub(crate) struct OnPlatform {
    /// Triggers and policies on tables of the platform, by catalog and OID.
    pub(super) guests: HashSet<(u32, u32)>,
    /// Entries that `pg_dump` has not.
    pub(crate) entries: Vec<OwnEntry>,
    pub(super) omissions: Vec<Omission>,
}

/// An entry that `pg_dump` has not.
#[derive(Debug)]
pub(crate) struct OwnEntry {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// The role that must be there, and be acted as.
    pub(super) owner: Option<DbText>,
    pub(super) stage: Stage,
    pub(super) definition: Vec<u8>,
    pub(super) drop_statement: Option<Vec<u8>>,
}

impl OnPlatform {
    /// Reads it, in the snapshot of the transaction; secrets where they are wanted.
    pub(crate) fn read(
        transaction: &mut Transaction<'_>,
        profile: &Profile,
        secrets: Inclusion,
    ) -> Result<Self, CatalogError> {
        let mut on = Self {
            guests: guests(transaction, profile)?,
            ..Self::default()
        };
        for schema in profile.unread_schemas {
            on.omissions.push(Omission {
                subject: format!("tables of the schema {schema}"),
                reason: CHANGING_SCHEMA.to_owned(),
            });
        }
        on.entries.extend(policies(transaction, profile)?);
        let rights = rights(transaction, profile)?;
        on.entries.extend(rights.iter().map(Right::entry));
        if profile.services == Services::Supabase {
            jobs(transaction, profile, &mut on)?;
            on.secrets(transaction, secrets)?;
        }
        Ok(on)
    }

    /// Reads what a backup of a part must know.
    pub(super) fn guests_alone(transaction: &mut Transaction<'_>, profile: &Profile) -> Result<Self, CatalogError> {
        Ok(Self {
            guests: guests(transaction, profile)?,
            ..Self::default()
        })
    }

    fn secrets(&mut self, transaction: &mut Transaction<'_>, secrets: Inclusion) -> Result<(), CatalogError> {
        if !is_there(transaction, "vault.decrypted_secrets")? {
            return Ok(());
        }
        if secrets == Inclusion::Excluded {
            let count = transaction
                .query_one("SELECT count(*) FROM vault.secrets", &[])
                .and_then(|row| row.try_get::<_, i64>(0))
                .reading("the secrets of the vault")?;
            if count > 0 {
                self.omissions.push(Omission {
                    subject: format!("{count} secrets of the vault"),
                    reason: ONLY_SEALED.to_owned(),
                });
            }
            return Ok(());
        }
        let found = rows(
            transaction,
            "the secrets of the vault",
            "SELECT convert_to(name, getdatabaseencoding()), convert_to(description, getdatabaseencoding()),
                    convert_to(decrypted_secret, getdatabaseencoding())
             FROM vault.decrypted_secrets ORDER BY name, id",
            |row| {
                let text = |column| row.try_get::<_, Option<Vec<u8>>>(column);
                Ok([text(0)?, text(1)?, text(2)?])
            },
        )?;
        for (secret, number) in found.iter().zip(1..) {
            let [name, description, secret] = secret.each_ref().map(Option::as_deref);
            self.entries.extend(secret_entry(name, description, secret, number));
        }
        Ok(())
    }
}

/// What makes a secret, or gives the one of its name its value again.
fn secret_entry(
    name: Option<&[u8]>,
    description: Option<&[u8]>,
    secret: Option<&[u8]>,
    number: u32,
) -> Option<OwnEntry> {
    let secret = quote_literal(secret?);
    let told = name.map(lossy);
    let description = quote_literal(description.unwrap_or_default());
    let body = match name {
        Some(name) => {
            let name = quote_literal(name);
            joined(&[
                b"IF EXISTS (SELECT FROM vault.secrets WHERE secrets.name = ",
                &name,
                b") THEN PERFORM vault.update_secret((SELECT s.id FROM vault.secrets s WHERE s.name = ",
                &name,
                b"), ",
                &secret,
                b", ",
                &name,
                b", ",
                &description,
                b"); ELSE PERFORM vault.create_secret(",
                &secret,
                b", ",
                &name,
                b", ",
                &description,
                b"); END IF;",
            ])
        }
        None => joined(&[
            b"IF NOT EXISTS (SELECT FROM vault.decrypted_secrets d WHERE d.name IS NULL AND d.decrypted_secret = ",
            &secret,
            b") THEN PERFORM vault.create_secret(",
            &secret,
            b", NULL, ",
            &description,
            b"); END IF;",
        ]),
    };
    Some(OwnEntry {
        kind: "VAULT SECRET",
        name: told.unwrap_or_else(|| format!("without a name, {number}")),
        owner: None,
        stage: Stage::PostData,
        definition: where_function(b"vault", b"create_secret", &body),
        drop_statement: None,
    })
}

/// Triggers that call no function of the platform, and all policies: who runs the platform makes none.
fn guests(transaction: &mut Transaction<'_>, profile: &Profile) -> Result<HashSet<(u32, u32)>, CatalogError> {
    let found = rows(
        transaction,
        "what stands on tables of the platform",
        "SELECT t.tableoid, t.oid, convert_to(n.nspname, getdatabaseencoding())
         FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
         WHERE NOT t.tgisinternal AND p.pronamespace <> n.oid
         UNION ALL SELECT p.tableoid, p.oid, convert_to(n.nspname, getdatabaseencoding())
         FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace",
        |row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get::<_, Vec<u8>>(2)?)),
    )?;
    let found = found.into_iter();
    let on_platform = found.filter(|(_, _, schema)| profile.owns_schema(schema));
    Ok(on_platform.map(|(catalog, oid, _)| (catalog, oid)).collect())
}

/// Policies on tables that are not read.
fn policies(transaction: &mut Transaction<'_>, profile: &Profile) -> Result<Vec<OwnEntry>, CatalogError> {
    let found = rows(
        transaction,
        "the policies on tables of the platform",
        "SELECT convert_to(n.nspname, getdatabaseencoding()), convert_to(c.relname, getdatabaseencoding()),
                convert_to(p.polname, getdatabaseencoding()),
                convert_to(format('AS %s FOR %s TO %s%s%s;', CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                    CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                    (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(r)) END, ', ')
                     FROM unnest(p.polroles) r),
                    ' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',
                    ' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')'), getdatabaseencoding())
         FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ORDER BY 1, 2, 3",
        |row| {
            let text = |column| row.try_get::<_, Vec<u8>>(column);
            Ok((text(0)?, text(1)?, text(2)?, text(3)?))
        },
    )?;
    let unread = found.into_iter().filter(|(schema, ..)| profile.leaves_schema(schema));
    let entry = |(schema, table, name, rest): (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>)| {
        let relation = quote_qualified(&schema, &table);
        let policy = quote_identifier(&name);
        let body = joined(&[
            b"IF pg_catalog.to_regclass(",
            &quote_literal(&relation),
            b") IS NOT NULL THEN CREATE POLICY ",
            &policy,
            b" ON ",
            &relation,
            b" ",
            &rest,
            b" END IF;",
        ]);
        OwnEntry {
            kind: "PLATFORM POLICY",
            name: format!("{}.{} {}", lossy(&schema), lossy(&table), lossy(&name)),
            owner: None,
            stage: Stage::PostData,
            definition: block(&body),
            drop_statement: Some(joined(&[b"DROP POLICY IF EXISTS ", &policy, b" ON ", &relation, b";"])),
        }
    };
    Ok(unread.map(entry).collect())
}

/// Rights on what is the platform's that the application gave or has: all of its own roles; of the platform's roles and of
/// everybody those on single columns, which the platform gives to nobody, and those that its customer gave.
///
/// Who may act as the owner of a table gives rights on it in the owner's name. What was given so to a role of the platform
/// cannot be told from what the platform gave.
pub(crate) fn rights(transaction: &mut Transaction<'_>, profile: &Profile) -> Result<Vec<Right>, CatalogError> {
    let found = rows(
        transaction,
        "the rights on what is the platform's",
        "SELECT convert_to(o.schema, getdatabaseencoding()), convert_to(o.kind || ' ' || o.name, getdatabaseencoding()),
                a.privilege_type || coalesce(' (' || quote_ident(o.columnname) || ')', ''),
                convert_to(CASE a.grantee WHEN 0 THEN '' ELSE pg_catalog.pg_get_userbyid(a.grantee)::text END, getdatabaseencoding()),
                a.is_grantable, o.columnname IS NOT NULL, convert_to(pg_catalog.pg_get_userbyid(a.grantor), getdatabaseencoding()),
                convert_to(pg_catalog.pg_get_userbyid(o.owner), getdatabaseencoding()), pg_catalog.pg_has_role(a.grantor, 'USAGE')
         FROM (SELECT n.nspname AS schema, 'SCHEMA' AS kind, quote_ident(n.nspname) AS name, NULL::name AS columnname, n.nspowner AS owner,
                 n.nspacl AS acl FROM pg_catalog.pg_namespace n
               UNION ALL SELECT n.nspname, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                 format('%I.%I', n.nspname, c.relname), NULL, c.relowner, c.relacl
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               UNION ALL SELECT n.nspname, 'TABLE', format('%I.%I', n.nspname, c.relname), t.attname, c.relowner, t.attacl
               FROM pg_catalog.pg_attribute t JOIN pg_catalog.pg_class c ON c.oid = t.attrelid
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.attisdropped
               UNION ALL SELECT n.nspname, 'TYPE', format('%I.%I', n.nspname, t.typname), NULL, t.typowner, t.typacl
               FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
               UNION ALL SELECT n.nspname, 'ROUTINE', p.oid::pg_catalog.regprocedure::text, NULL, p.proowner, p.proacl
               FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace) o,
              LATERAL pg_catalog.aclexplode(o.acl) a
         ORDER BY 2, 4, 3",
        |row| {
            let bytes = |column| row.try_get::<_, Vec<u8>>(column);
            Ok(Right {
                schema: bytes(0)?,
                object: bytes(1)?,
                right: row.try_get(2)?,
                role: bytes(3)?,
                is_grantable: row.try_get(4)?,
                is_of_column: row.try_get(5)?,
                grantor: bytes(6)?,
                owner: bytes(7)?,
                may_be_revoked: row.try_get(8)?,
            })
        },
    )?;
    let is_customer = |role: &[u8]| profile.customer.is_some_and(|customer| customer.as_bytes() == role);
    let is_of_application = |right: &Right| {
        let is_foreign_role = right.role.is_empty() || profile.is_reserved(&right.role);
        // What the customer owns is the application's, and `pg_dump` tells the rights on it.
        profile.has_objects_in(&right.schema)
            && !profile.leaves_schema(&right.schema)
            && !is_customer(&right.owner)
            && right.role != right.owner
            && (!is_foreign_role
                || is_customer(&right.grantor)
                || right.is_of_column && profile.brings_rows(&right.schema, b""))
    };
    // The same right may have been given by two.
    let mut rights: BTreeMap<String, Right> = BTreeMap::new();
    for right in found.into_iter().filter(is_of_application) {
        let is_grantable = right.is_grantable;
        let known = rights.entry(right.without_option()).or_insert(right);
        known.is_grantable |= is_grantable;
    }
    Ok(rights.into_values().collect())
}

/// A right on something that is the platform's.
#[derive(Debug)]
pub(crate) struct Right {
    schema: Vec<u8>,
    /// Its kind and its name in quotes.
    object: Vec<u8>,
    /// With the column, where it is on one.
    right: String,
    /// Empty for everybody.
    role: Vec<u8>,
    is_grantable: bool,
    is_of_column: bool,
    grantor: Vec<u8>,
    owner: Vec<u8>,
    /// Whether this role may act as the one that gave it.
    pub(crate) may_be_revoked: bool,
}

impl Right {
    /// As its entry is called: `SELECT ON TABLE auth.users TO app`, and perhaps `WITH GRANT OPTION`.
    pub(crate) fn name(&self) -> String {
        let option = if self.is_grantable { " WITH GRANT OPTION" } else { "" };
        format!("{}{option}", self.without_option())
    }

    fn without_option(&self) -> String {
        let role = match &*self.role {
            b"" => "PUBLIC".to_owned(),
            role => lossy(role),
        };
        format!("{} ON {} TO {role}", self.right, lossy(&self.object))
    }

    /// What takes it away, with what others were given by virtue of it.
    pub(crate) fn revocation(&self) -> Vec<u8> {
        let role = self.quoted_role();
        joined(&[
            b"REVOKE ",
            self.right.as_bytes(),
            b" ON ",
            &self.object,
            b" FROM ",
            &role,
            b" CASCADE;",
        ])
    }

    fn entry(&self) -> OwnEntry {
        let option: &[u8] = match self.is_grantable {
            true => b" WITH GRANT OPTION;\n",
            false => b";\n",
        };
        let role = self.quoted_role();
        OwnEntry {
            kind: PLATFORM_GRANT,
            name: self.name(),
            owner: None,
            stage: Stage::Privileges,
            definition: joined(&[
                b"GRANT ",
                self.right.as_bytes(),
                b" ON ",
                &self.object,
                b" TO ",
                &role,
                option,
            ]),
            drop_statement: None,
        }
    }

    fn quoted_role(&self) -> Vec<u8> {
        match &*self.role {
            b"" => b"PUBLIC".to_vec(),
            role => quote_identifier(role),
        }
    }
}

/// The jobs of `pg_cron` in this database. Each is run by a role, which alone may make it; those of the platform's roles nobody
/// else can make. Without a name, several may be alike.
fn jobs(transaction: &mut Transaction<'_>, profile: &Profile, on: &mut OnPlatform) -> Result<(), CatalogError> {
    if !is_there(transaction, "cron.job")? {
        return Ok(());
    }
    let found = rows(
        transaction,
        "the jobs of pg_cron",
        "SELECT convert_to(to_jsonb(j) ->> 'jobname', getdatabaseencoding()), convert_to(j.schedule, getdatabaseencoding()),
                convert_to(j.command, getdatabaseencoding()), count(*), count(*) FILTER (WHERE j.active),
                convert_to(j.username, getdatabaseencoding()),
                left(encode(sha256(convert_to(j.command, getdatabaseencoding())), 'hex'), 8)
         FROM cron.job j WHERE j.database = current_database()
         GROUP BY to_jsonb(j) ->> 'jobname', j.schedule, j.command, j.username ORDER BY 1, 6, 2, 3",
        |row| {
            Ok(Job {
                name: row.try_get(0)?,
                schedule: row.try_get(1)?,
                command: row.try_get(2)?,
                count: row.try_get(3)?,
                active: row.try_get(4)?,
                role: row.try_get(5)?,
                digest: row.try_get(6)?,
            })
        },
    )?;
    for job in found {
        if profile.is_foreign_owner(&job.role) {
            on.omissions.push(Omission {
                subject: format!("job {}", job.told(profile)),
                reason: JOB_OF_PLATFORM.to_owned(),
            });
        } else {
            on.entries.push(job.entry(profile));
        }
    }
    Ok(())
}

struct Job {
    name: Option<Vec<u8>>,
    schedule: Vec<u8>,
    command: Vec<u8>,
    /// How many are alike, and how many of them are active.
    count: i64,
    active: i64,
    role: Vec<u8>,
    /// Tells commands apart that are not to be shown: there may be a secret in them.
    digest: String,
}

impl Job {
    /// The role to act as, where it is another one than whoever restores.
    fn other_role(&self, profile: &Profile) -> Option<&[u8]> {
        let is_customers = profile
            .customer
            .is_some_and(|customer| customer.as_bytes() == self.role);
        (!is_customers).then_some(&*self.role)
    }

    fn told(&self, profile: &Profile) -> String {
        // The number of a job is another one in another database.
        let name = match (&self.name, self.count) {
            (Some(name), _) => lossy(name),
            (None, 1) => format!("without a name, at {} ({})", lossy(&self.schedule), self.digest),
            (None, count) => format!(
                "without a name, at {} ({}, {count} of them)",
                lossy(&self.schedule),
                self.digest
            ),
        };
        match self.other_role(profile) {
            Some(role) => format!("{name} of {}", lossy(role)),
            None => name,
        }
    }

    fn entry(&self, profile: &Profile) -> OwnEntry {
        let (schedule, command) = (quote_literal(&self.schedule), quote_literal(&self.command));
        let (count, active) = (self.count.to_string(), self.active.to_string());
        let which = match &self.name {
            Some(name) => joined(&[b"j.jobname = ", &quote_literal(name)]),
            None => joined(&[
                b"j.jobname IS NULL AND j.schedule = ",
                &schedule,
                b" AND j.command = ",
                &command,
            ]),
        };
        let which = joined(&[&which, b" AND j.username = current_user"]);
        let mut body = match &self.name {
            // A name that is there gets the schedule and the command.
            Some(name) => joined(&[
                b"PERFORM cron.schedule(",
                &quote_literal(name),
                b", ",
                &schedule,
                b", ",
                &command,
                b");",
            ]),
            None => joined(&[
                b"FOR i IN (SELECT count(*) FROM cron.job j WHERE ",
                &which,
                b") + 1 .. ",
                count.as_bytes(),
                b" LOOP PERFORM cron.schedule(",
                &schedule,
                b", ",
                &command,
                b"); END LOOP;",
            ]),
        };
        // Those that are as they should be are not touched: who may make a job may not always switch it.
        body.extend(joined(&[
            b" PERFORM cron.alter_job(k.jobid, active := NOT k.active)
             FROM (SELECT j.jobid, j.active, row_number() OVER (ORDER BY j.active DESC, j.jobid) AS i FROM cron.job j WHERE ",
            &which,
            b") k WHERE k.i <= ",
            count.as_bytes(),
            b" AND k.active <> (k.i <= ",
            active.as_bytes(),
            b");",
        ]));
        if let Some(role) = self.other_role(profile) {
            let role = quote_identifier(role);
            body = joined(&[b"SET LOCAL ROLE ", &role, b"; ", &body, b" RESET ROLE;"]);
        }
        // Each role sees its own jobs, by a policy.
        body = joined(&[
            b"DECLARE was text := current_setting('row_security'); BEGIN SET LOCAL row_security = on; ",
            &body,
            b" PERFORM set_config('row_security', was, true); END;",
        ]);
        OwnEntry {
            kind: CRON_JOB,
            name: self.told(profile),
            owner: self.other_role(profile).map(|role| DbText::new(role.to_vec())),
            stage: Stage::Last,
            definition: where_function(b"cron", b"schedule", &body),
            drop_statement: None,
        }
    }
}

fn is_there(transaction: &mut Transaction<'_>, relation: &str) -> Result<bool, CatalogError> {
    transaction
        .query_one("SELECT pg_catalog.to_regclass($1) IS NOT NULL", &[&relation])
        .and_then(|row| row.try_get(0))
        .reading("the extensions of the platform")
}

/// Statements that are passed over where the database has not that function.
fn where_function(schema: &[u8], name: &[u8], body: &[u8]) -> Vec<u8> {
    block(&joined(&[
        b"IF EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ",
        &quote_literal(schema),
        b" AND p.proname = ",
        &quote_literal(name),
        b") THEN ",
        body,
        b" END IF;",
    ]))
}

fn block(body: &[u8]) -> Vec<u8> {
    let body = joined(&[b"BEGIN ", body, b" END"]);
    joined(&[b"DO ", &quote_literal(&body), b";\n"])
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
