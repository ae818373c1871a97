//! What is asked of a source, and what it gives.

use std::error::Error as StdError;
use std::time::Duration;

use backstay_core::manifest::{Entry, LargeObjects, MemberContent, Omission, Refresh, Sequence, Source, Table};
use backstay_core::{EncodedMember, RowHasher};

use super::Selection;
use crate::ask::Answer;
use crate::pg_dump::PgDumpall;
use crate::platform::PlatformChoice;

/// How long one question of a rule may take where nobody says otherwise.
const QUERY_LIMIT: Duration = Duration::from_secs(60);

/// What is read, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SourceOptions {
    /// Connections that read rows at the same time.
    pub jobs: usize,
    /// How long a table's lock is waited for.
    pub lock_wait: Duration,
    /// Which schemas and tables.
    pub selection: Selection,
    /// Whether the rows of unlogged tables are read.
    pub unlogged: Inclusion,
    /// Whether large objects are read.
    pub large_objects: Inclusion,
    /// Whether roles and tablespaces of the cluster are added.
    pub globals: Globals,
    /// By the rules of which platform.
    pub platform: PlatformChoice,
    /// Whether secrets that a platform keeps encrypted are read in clear.
    pub secrets: Inclusion,
    /// How rows are hashed for their digests.
    pub row_hasher: RowHasher,
    /// Queries whose answers in the snapshot are wanted, each one `SELECT` as for [`ask`](crate::ask).
    pub queries: Vec<String>,
    /// How long each of them may take.
    pub query_limit: Duration,
}

/// Whether something is part of the backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum Inclusion {
    /// It is.
    Included,
    /// It is not, and the manifest says so.
    Excluded,
}

/// Whether roles and tablespaces are part of the backup.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum Globals {
    /// They are not.
    Excluded,
    /// They are, read by this program.
    Included(PgDumpall),
}

impl Default for SourceOptions {
    /// Everything of the database, with two connections.
    fn default() -> Self {
        Self {
            jobs: 2,
            lock_wait: Duration::from_secs(30),
            selection: Selection::default(),
            unlogged: Inclusion::Included,
            large_objects: Inclusion::Included,
            globals: Globals::Excluded,
            platform: PlatformChoice::Auto,
            secrets: Inclusion::Excluded,
            row_hasher: RowHasher::default(),
            queries: Vec::new(),
            query_limit: QUERY_LIMIT,
        }
    }
}

impl SourceOptions {
    /// What is to be left out of the backup, in words that are the same where the same was asked for; `None` where all is read.
    #[must_use]
    pub fn left_out(&self) -> Option<String> {
        let mut words = Vec::new();
        // The order in which patterns stand says nothing.
        let mut selection = self.selection.clone();
        for patterns in [
            &mut selection.schemas,
            &mut selection.exclude_schemas,
            &mut selection.tables,
            &mut selection.exclude_tables,
            &mut selection.exclude_data,
        ] {
            patterns.sort();
        }
        if !selection.is_whole_database() {
            words.push(selection.to_string());
        } else if self.large_objects == Inclusion::Excluded {
            words.push("large objects".to_owned());
        }
        if !selection.exclude_data.is_empty() {
            words.push(format!("rows of {}", selection.exclude_data.join(", ")));
        }
        if self.unlogged == Inclusion::Excluded {
            words.push("rows of unlogged tables".to_owned());
        }
        (!words.is_empty()).then(|| words.join("; "))
    }
}

/// Where members go, in the order in which they come.
pub trait MemberSink {
    /// Takes a member and gives its index among all members.
    ///
    /// # Errors
    /// Any; the backup ends with it.
    fn append(&mut self, member: EncodedMember, content: MemberContent)
    -> Result<u32, Box<dyn StdError + Send + Sync>>;
}

/// Is told how a backup goes on; called from several threads.
pub trait SourceObserver: Sync {
    /// Something happened.
    fn event(&self, event: SourceEvent<'_>);

    /// Reads more in the snapshot, of the name given, by connections of its own. Called once, when all rows were read; the
    /// snapshot is held until it returns.
    fn in_snapshot(&self, _snapshot: &str) {}
}

/// What an observer is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SourceEvent<'e> {
    /// The snapshot could not be used because of the reason given, and is taken anew.
    Retry {
        /// What changed.
        reason: &'e str,
    },
    /// The snapshot is taken and the schema is read.
    Planned {
        /// Tables whose rows will be read.
        tables: usize,
        /// Bytes that they have on the server.
        heap_bytes: u64,
    },
    /// A member with rows was made.
    Rows {
        /// How many.
        rows: u64,
        /// Bytes of COPY text.
        text_bytes: u64,
        /// Bytes compressed.
        stored_bytes: u64,
    },
    /// A chunk was read.
    ChunkRead {
        /// Its table, for people.
        table: &'e str,
        /// The bytes on the server that this stands for.
        heap_bytes: u64,
    },
}

/// What was read of a database, beside its members.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DatabaseImage {
    /// Facts about server, database and snapshot.
    pub source: Source,
    /// Tables.
    pub tables: Vec<Table>,
    /// Sequences.
    pub sequences: Vec<Sequence>,
    /// Large objects.
    pub large_objects: Option<LargeObjects>,
    /// Schema entries.
    pub entries: Vec<Entry>,
    /// Materialized views to refresh.
    pub refreshes: Vec<Refresh>,
    /// What is missing.
    pub omissions: Vec<Omission>,
    /// What the queries gave, in their order.
    pub answers: Vec<Answer>,
}
