//! What the exit status of the program says. Scripts depend on it, so changing one is a breaking change.

use std::process::ExitCode;

/// An exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// What was asked for was done.
    Done = 0,
    /// `verify`, `drill`, the rules by which a new backup is judged, `status`, `store check` or `notify test`
    /// looked, and found errors.
    Findings = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// The configuration is missing or wrong: no database named, a malformed URL, an unreadable `.env`.
    Configuration = 3,
    /// The database cannot be reached, read or written.
    Database = 4,
    /// The store cannot be used, or the backup is not in it, or is damaged.
    Storage = 5,
    /// The restore ended, and something is missing in the target, or was to be proven and could not be.
    Incomplete = 6,
    /// It would have been possible but not safe: the preflight, a target that is not empty, no confirmation.
    Refused = 7,
    /// A defect of the program.
    Internal = 70,
    /// Ctrl-C or SIGTERM.
    Cancelled = 130,
}

impl Exit {
    const ALL: [(Self, &str); 10] = [
        (Self::Done, "done"),
        (
            Self::Findings,
            "verify, drill, the rules of a backup, status, store check or notify test found errors",
        ),
        (Self::Usage, "wrong arguments"),
        (Self::Configuration, "configuration missing or wrong"),
        (Self::Database, "the database cannot be reached, read or written"),
        (Self::Storage, "the store or the backup in it cannot be used"),
        (
            Self::Incomplete,
            "the restore ended, and something is missing, or could not be proven",
        ),
        (Self::Refused, "refused, because it would not be safe"),
        (Self::Internal, "a defect of the program"),
        (Self::Cancelled, "cancelled"),
    ];

    /// The number.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// The one with that number; a defect where none has it.
    pub(crate) fn of_code(code: u8) -> Self {
        let mut all = Self::ALL.iter().map(|(exit, _)| *exit);
        all.find(|exit| exit.code() == code).unwrap_or(Self::Internal)
    }

    /// What it says, in a few words.
    pub(crate) fn meaning(self) -> &'static str {
        let found = Self::ALL.iter().find(|(exit, _)| *exit == self);
        found.map_or("", |(_, meaning)| meaning)
    }

    /// The table for help and manual page, without a heading.
    pub(crate) fn table() -> String {
        Self::ALL
            .iter()
            .map(|(exit, meaning)| format!("  {:>3}  {meaning}\n", exit.code()))
            .collect()
    }

    /// Number and meaning of each status.
    pub(crate) fn all() -> impl Iterator<Item = (u8, &'static str)> {
        Self::ALL.iter().map(|&(exit, meaning)| (exit.code(), meaning))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
