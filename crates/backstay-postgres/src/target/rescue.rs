//! Putting the rows of single tables beside the living ones, into a new schema, for rows to be copied back by hand.
//!
//! Nothing that is there is changed, and nothing new acts: the tables have columns and rows alone. They are unlogged, so
//! that no publication for all tables sends them to a subscriber. Everything is one transaction.

mod copy_back;
mod doubt;
mod select;

use std::error::Error as StdError;

use backstay_core::manifest::{Manifest, MemberContent, ROWS_FOOTER, Table, TableRows};
use backstay_core::sql::{quote_identifier, quote_literal, quote_qualified};
use backstay_core::{DbText, RowDigest};

use super::{MemberSource, RestoreEvent, RestoreObserver, RestorePhase, on_a_thread};
use crate::CancelToken;
use crate::config::ConnectionConfig;
use crate::connect::{ConnectError, settle_endpoint};
use crate::pooling::connect_to_session;
use crate::session::{self, SessionError};
use crate::wire::{WireConnection, WireError};

/// The longest name that the server keeps, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// A rescue that was thought through and not begun.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RescuePlan {
    /// Name of the database.
    pub database: String,
    /// The schema that is made.
    pub schema: String,
    /// `server_version` of the database.
    pub server_version: String,
    /// The role that is connected.
    pub role: String,
    /// The tables that are made.
    pub tables: Vec<RescuedTable>,
    /// What should be known before.
    pub warnings: Vec<String>,
    /// A script for psql that copies every row back which is missing.
    pub copy_back: Vec<u8>,
}

impl RescuePlan {
    /// Rows that will be there.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }
}

/// A table that is rescued.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RescuedTable {
    /// Its name in the backup, for people.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Its index in the manifest.
    index: usize,
    /// The partitioned table that is made too and that it belongs to, as an index in the manifest.
    root: Option<usize>,
}

/// Why rows were not rescued. Nothing was changed, but for [`RescueError::Unknown`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RescueError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The session is not fit.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The server refuses, or the connection is lost.
    #[error("cannot {doing}; nothing was changed")]
    Wire {
        /// What.
        doing: String,
        /// Why.
        source: WireError,
    },
    /// Nothing of the backup matches.
    #[error("no table in the backup matches {}", patterns.join(", "))]
    NoMatch {
        /// The patterns.
        patterns: Vec<String>,
    },
    /// The backup has the table and not its rows.
    #[error("the rows of {table} are not in the backup: {reason}")]
    NoRows {
        /// Which.
        table: String,
        /// Why.
        reason: String,
    },
    /// Two tables would have one name.
    #[error("{first} and {second} would be one table in the schema")]
    SameName {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// No schema can have that name.
    #[error("{schema:?} cannot be the name of the schema: {why}")]
    SchemaName {
        /// The name.
        schema: String,
        /// Why.
        why: &'static str,
    },
    /// The schema is there already.
    #[error("there is a schema {schema} in {database} already")]
    SchemaExists {
        /// The schema.
        schema: String,
        /// The database.
        database: String,
    },
    /// The role may make no schema.
    #[error("the role {role} may not make a schema in {database}")]
    Rights {
        /// The role.
        role: String,
        /// The database.
        database: String,
        /// The statement by which the owner gives it.
        grant: String,
    },
    /// Types of columns are not there any more.
    #[error("the database {database} has not the types of {}", columns.join(", "))]
    Types {
        /// The database.
        database: String,
        /// Table, column and type.
        columns: Vec<String>,
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
    /// What was loaded is not what the backup has.
    #[error(
        "the rows of {table} are not those of the backup (expected {expected}, found {found}); nothing was changed"
    )]
    Different {
        /// Which.
        table: String,
        /// Rows and digest of the backup.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A part of the backup cannot be read.
    #[error("cannot read the backup; nothing was changed")]
    Backup(#[source] Box<dyn StdError + Send + Sync>),
    /// The connection was lost at the end, and nobody could be asked what became of it.
    #[error("it is not known whether the schema {schema} was made in {database}; nothing else was changed")]
    Unknown {
        /// The schema.
        schema: String,
        /// The database.
        database: String,
        /// Why.
        source: WireError,
    },
    /// It was asked to stop.
    #[error("cancelled; nothing was changed")]
    Cancelled,
}

/// Looks at a database and decides how tables of a backup can stand beside its own.
///
/// Tables are named as for [`super::RestoreSelection`]; a partitioned one comes with its partitions.
///
/// # Errors
/// The database cannot be looked at, or it is refused: see [`RescueError`].
pub fn plan_rescue(
    manifest: &Manifest,
    config: &ConnectionConfig,
    tables: &[String],
    schema: &str,
) -> Result<RescuePlan, RescueError> {
    on_a_thread(|| {
        check_name(schema)?;
        let selected = select::select(manifest, tables)?;
        let mut connection = connect_to_session(config, &CancelToken::new())?;
        prepare(&mut connection, manifest)?;
        let facts = look(&mut connection, manifest, config, schema)?;
        check_types(&mut connection, manifest, config, &selected)?;
        let mut warnings = warnings(manifest, &selected);
        let copy_back = copy_back::script(&mut connection, manifest, &selected, schema, &mut warnings)?;
        connection.close();
        Ok(RescuePlan {
            database: config.database.clone(),
            schema: schema.to_owned(),
            server_version: facts.server_version,
            role: facts.role,
            warnings,
            tables: selected,
            copy_back,
        })
    })
}

/// Carries out a plan that was made for the same backup and database, and compares every row before it is kept.
///
/// # Errors
/// See [`RescueError`]; nothing was changed then, but for [`RescueError::Unknown`].
pub fn apply_rescue(
    plan: &RescuePlan,
    manifest: &Manifest,
    source: &dyn MemberSource,
    config: &ConnectionConfig,
    observer: &dyn RestoreObserver,
    cancel: &CancelToken,
) -> Result<(), RescueError> {
    // Of several hosts, who looks what became of it must reach the same.
    let config = &settle_endpoint(config, cancel)?;
    on_a_thread(|| {
        let rescue = Rescue {
            plan,
            manifest,
            source,
            config,
            observer,
        };
        match connect(manifest, config, cancel).and_then(|connection| rescue.run(connection)) {
            Err(error) if cancel.is_cancelled() && !matches!(error, RescueError::Unknown { .. }) => {
                Err(RescueError::Cancelled)
            }
            other => other,
        }
    })
}

fn check_name(schema: &str) -> Result<(), RescueError> {
    let why = match schema {
        "" => "it is empty",
        _ if schema.len() > NAME_BYTES_MAX => "it has more than 63 bytes",
        _ if schema.starts_with("pg_") => "names that begin with pg_ are the server's own",
        _ => return Ok(()),
    };
    Err(RescueError::SchemaName {
        schema: schema.to_owned(),
        why,
    })
}

fn connect(
    manifest: &Manifest,
    config: &ConnectionConfig,
    cancel: &CancelToken,
) -> Result<WireConnection, RescueError> {
    let mut connection = WireConnection::connect(config, cancel)?;
    prepare(&mut connection, manifest)?;
    Ok(connection)
}

fn prepare(connection: &mut WireConnection, manifest: &Manifest) -> Result<(), SessionError> {
    session::prepare(connection, &manifest.source.encoding, &[])
}

struct Facts {
    server_version: String,
    role: String,
}

fn look(
    connection: &mut WireConnection,
    manifest: &Manifest,
    config: &ConnectionConfig,
    schema: &str,
) -> Result<Facts, RescueError> {
    let mut sql = b"SELECT current_setting('server_version'), current_user, getdatabaseencoding(), \
                    has_database_privilege(current_database(), 'CREATE'), quote_ident(current_database()), \
                    quote_ident(current_user), EXISTS (SELECT FROM pg_namespace WHERE nspname = "
        .to_vec();
    sql.extend(quote_literal(schema.as_bytes()));
    sql.push(b')');
    let rows = query(connection, &sql, "look at the database")?;
    let text = |column| {
        let found = rows.first().and_then(|row| row.get(column));
        String::from_utf8_lossy(found.unwrap_or_default()).into_owned()
    };
    let database = || config.database.clone();
    let (found, expected) = (text(2), &manifest.source.encoding);
    // Whoever has no encoding of its own takes bytes as they are, and so gives no guarantee for others.
    if found != *expected && (found == "SQL_ASCII" || expected == "SQL_ASCII") {
        return Err(RescueError::Encoding {
            database: database(),
            found,
            expected: expected.clone(),
        });
    }
    if text(6) != "f" {
        return Err(RescueError::SchemaExists {
            schema: schema.to_owned(),
            database: database(),
        });
    }
    if text(3) != "t" {
        return Err(RescueError::Rights {
            role: text(1),
            database: database(),
            grant: format!("GRANT CREATE ON DATABASE {} TO {}", text(4), text(5)),
        });
    }
    Ok(Facts {
        server_version: text(0),
        role: text(1),
    })
}

/// Fails where a column has a type that the database does not know. So the text of a type is one, too, whatever the server
/// that was backed up called it.
fn check_types(
    connection: &mut WireConnection,
    manifest: &Manifest,
    config: &ConnectionConfig,
    tables: &[RescuedTable],
) -> Result<(), RescueError> {
    let mut unknown = Vec::new();
    let mut known: Vec<&DbText> = Vec::new();
    for table in tables {
        for column in &manifest.tables[table.index].columns {
            if known.contains(&&column.data_type) {
                continue;
            }
            let sql = [
                b"SELECT to_regtype(".to_vec(),
                quote_literal(column.data_type.as_bytes()),
                b")".to_vec(),
            ]
            .concat();
            // A text that is no name of a type is an error on some versions.
            let found = match connection.query(&sql) {
                Ok(rows) => rows.first().is_some_and(|row| row.get(0).is_some()),
                Err(error) if error.server_error().is_some() => false,
                Err(source) => {
                    return Err(RescueError::Wire {
                        doing: "look for types".to_owned(),
                        source,
                    });
                }
            };
            if found {
                known.push(&column.data_type);
            } else {
                unknown.push(format!("{}.{} ({})", table.name, column.name, column.data_type));
            }
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    Err(RescueError::Types {
        database: config.database.clone(),
        columns: unknown,
    })
}

fn warnings(manifest: &Manifest, tables: &[RescuedTable]) -> Vec<String> {
    let empty = tables.iter().filter(|table| {
        let is_root = matches!(
            manifest.tables[table.index].kind,
            backstay_core::manifest::TableKind::Partitioned
        );
        is_root && !tables.iter().any(|other| other.root == Some(table.index))
    });
    empty
        .map(|table| format!("{} is partitioned, and the backup has no partition of it", table.name))
        .collect()
}

struct Rescue<'r> {
    plan: &'r RescuePlan,
    manifest: &'r Manifest,
    source: &'r dyn MemberSource,
    config: &'r ConnectionConfig,
    observer: &'r dyn RestoreObserver,
}

impl Rescue<'_> {
    /// Dropping the connection undoes what was not committed.
    fn run(&self, mut connection: WireConnection) -> Result<(), RescueError> {
        execute(&mut connection, b"BEGIN", "begin")?;
        self.make_schema(&mut connection)?;
        for table in &self.plan.tables {
            let doing = format!("make a table for {}", table.name);
            execute(&mut connection, &self.create_table(table), &doing)?;
        }
        self.load(&mut connection)?;
        self.observer.event(RestoreEvent::Phase {
            phase: RestorePhase::Check,
            bytes: self.text_bytes(),
        });
        for table in &self.plan.tables {
            self.compare(&mut connection, table)?;
        }
        let made = self.schema_made(&mut connection)?;
        if let Err(error) = connection.commit() {
            drop(connection);
            return self.settle_doubt(made.as_deref(), error);
        }
        connection.close();
        Ok(())
    }

    /// Makes the schema, into which nobody may look but its owner, whatever `ALTER DEFAULT PRIVILEGES` says: the tables have
    /// no policies.
    fn make_schema(&self, connection: &mut WireConnection) -> Result<(), RescueError> {
        let schema = quote_identifier(self.plan.schema.as_bytes());
        let doing = "make the schema";
        execute(connection, &[b"CREATE SCHEMA ", &schema[..]].concat(), doing)?;
        let mut given = b"SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' \
                          ELSE quote_ident(pg_get_userbyid(a.grantee)) END \
                          FROM pg_namespace n, aclexplode(n.nspacl) a WHERE a.grantee <> n.nspowner AND n.nspname = "
            .to_vec();
        given.extend(quote_literal(self.plan.schema.as_bytes()));
        for row in query(connection, &given, doing)? {
            let role = row.get(0).unwrap_or_default();
            let revoke = [b"REVOKE ALL ON SCHEMA ", &schema[..], b" FROM ", role, b" CASCADE"].concat();
            execute(connection, &revoke, doing)?;
        }
        Ok(())
    }

    fn table(&self, table: &RescuedTable) -> &Table {
        &self.manifest.tables[table.index]
    }

    /// The quoted name of what is made for a table.
    fn name(&self, index: usize) -> Vec<u8> {
        quote_qualified(self.plan.schema.as_bytes(), self.manifest.tables[index].name.as_bytes())
    }

    fn create_table(&self, table: &RescuedTable) -> Vec<u8> {
        let columns = self.table(table).columns.iter();
        let columns: Vec<Vec<u8>> = columns
            .map(|column| {
                [
                    &quote_identifier(column.name.as_bytes()),
                    &b" "[..],
                    column.data_type.as_bytes(),
                    // A comment in a type ends here.
                    b"\n",
                ]
                .concat()
            })
            .collect();
        let mut sql = b"CREATE UNLOGGED TABLE ".to_vec();
        sql.extend(self.name(table.index));
        sql.extend_from_slice(b" (");
        sql.extend(columns.join(&b", "[..]));
        sql.push(b')');
        if let Some(root) = table.root {
            // All rows are seen through the root, and those of one partition can be told and compared.
            sql.extend_from_slice(b" INHERITS (");
            sql.extend(self.name(root));
            sql.push(b')');
        }
        sql
    }

    fn text_bytes(&self) -> u64 {
        let tables = self.plan.tables.iter().map(|table| &self.table(table).rows);
        tables
            .map(|rows| match rows {
                TableRows::Included { text_bytes, .. } => *text_bytes,
                TableRows::Excluded { .. } => 0,
            })
            .sum()
    }

    fn load(&self, connection: &mut WireConnection) -> Result<(), RescueError> {
        self.observer.event(RestoreEvent::Phase {
            phase: RestorePhase::Data,
            bytes: self.text_bytes(),
        });
        for (member, content) in self.manifest.members.iter().enumerate() {
            let MemberContent::Rows(block) = &content.content else {
                continue;
            };
            let Some(table) = self
                .plan
                .tables
                .iter()
                .find(|table| table.index == block.table as usize)
            else {
                continue;
            };
            let text = self.source.text(member).map_err(RescueError::Backup)?;
            let behind = text.split_at_checked(block.header_bytes as usize).map(|(_, rest)| rest);
            let Some(rows) = behind.and_then(|rest| rest.strip_suffix(ROWS_FOOTER)) else {
                return Err(RescueError::Backup("a member with rows is not of its form".into()));
            };
            let copy = [
                b"COPY ".to_vec(),
                self.name(table.index),
                self.columns(table, b" (", b")"),
                b" FROM STDIN".to_vec(),
            ];
            let loaded = connection.copy_in(&copy.concat()).and_then(|mut sink| {
                sink.send(rows)?;
                sink.finish()
            });
            loaded.map_err(|source| RescueError::Wire {
                doing: format!("load the rows of {}", table.name),
                source,
            })?;
            self.observer.event(RestoreEvent::Rows {
                table: &table.name,
                text_bytes: rows.len() as u64,
            });
        }
        Ok(())
    }

    /// The columns of a table in the order of its rows in the backup; nothing where there is none.
    fn columns(&self, table: &RescuedTable, before: &[u8], behind: &[u8]) -> Vec<u8> {
        let columns = self.table(table).columns.iter();
        let columns: Vec<Vec<u8>> = columns.map(|column| quote_identifier(column.name.as_bytes())).collect();
        if columns.is_empty() {
            return Vec::new();
        }
        [before, &columns.join(&b", "[..]), behind].concat()
    }

    /// Reads what was loaded and compares its digest with that of the backup.
    fn compare(&self, connection: &mut WireConnection, table: &RescuedTable) -> Result<(), RescueError> {
        let TableRows::Included {
            digest: expected,
            text_bytes,
        } = &self.table(table).rows
        else {
            return Ok(());
        };
        let copy = [
            b"COPY (SELECT ".to_vec(),
            self.columns(table, b"", b""),
            b" FROM ONLY ".to_vec(),
            self.name(table.index),
            b") TO STDOUT".to_vec(),
        ];
        let hasher = self.manifest.row_hasher();
        let mut found = RowDigest::default();
        let read = connection.copy_out(&copy.concat(), |row| {
            hasher.add_row(&mut found, &row[..row.len() - 1]);
            Ok::<(), WireError>(())
        });
        read.map_err(|source| RescueError::Wire {
            doing: format!("read the rows of {}", table.name),
            source,
        })?;
        self.observer.event(RestoreEvent::Rows {
            table: &table.name,
            text_bytes: *text_bytes,
        });
        if found == *expected {
            return Ok(());
        }
        let describe = |digest: &RowDigest| format!("{} rows, digest {}", digest.rows(), digest.sum_hex());
        Err(RescueError::Different {
            table: table.name.clone(),
            expected: describe(expected),
            found: describe(&found),
        })
    }
}

fn query(connection: &mut WireConnection, sql: &[u8], doing: &str) -> Result<Vec<crate::wire::Row>, RescueError> {
    connection.query(sql).map_err(|source| RescueError::Wire {
        doing: doing.to_owned(),
        source,
    })
}

fn execute(connection: &mut WireConnection, sql: &[u8], doing: &str) -> Result<(), RescueError> {
    let done = connection.execute(sql).map(drop);
    done.map_err(|source| RescueError::Wire {
        doing: doing.to_owned(),
        source,
    })
}
