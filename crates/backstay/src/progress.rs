/// Is told how an operation goes on; called from several threads.
///
/// Every method has a silent default by way of [`Silent`]; implement it to show a bar or to feed metrics.
pub trait Progress: Sync {
    /// Something happened.
    fn event(&self, event: ProgressEvent<'_>);
}

/// What a [`Progress`] is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ProgressEvent<'e> {
    /// A phase begins, with the bytes of work in it where they are known.
    Phase {
        /// Which.
        phase: Phase,
        /// Bytes to get done; 0 where nobody knows.
        bytes_total: u64,
    },
    /// Some of the bytes of the phase are done.
    Advance {
        /// How many.
        bytes: u64,
        /// The table they belong to, for people.
        table: Option<&'e str>,
    },
    /// Something worth a line.
    Note(&'e str),
}

/// The phases of all operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Looking at the server.
    Preflight,
    /// Taking the snapshot and reading the schema.
    Schema,
    /// Reading rows.
    Rows,
    /// Publishing, and reading what was written.
    Publish,
    /// Copying a backup to another store.
    Copy,
    /// Trying what a store promises.
    CheckStore,
    /// Checking a backup.
    Verify,
    /// Restoring definitions before the rows.
    PreData,
    /// Restoring rows and what waits for them.
    Restore,
    /// Restoring what needs all rows: triggers, policies, grants, views.
    PostData,
    /// Proving that the copy is equal.
    Prove,
    /// Making the place of a drill.
    PreparePlace,
    /// Comparing definitions, and asking what should hold.
    Examine,
    /// Looking which files a project has.
    ListFiles,
    /// Reading the files of a project.
    ReadFiles,
    /// Writing files into a project.
    WriteFiles,
    /// Checking a backup of files.
    VerifyFiles,
}

/// A [`Progress`] that says nothing.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit")]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _event: ProgressEvent<'_>) {}
}
