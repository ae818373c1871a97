use std::io;
use std::path::PathBuf;

use crate::place::At;

/// How variables are looked up: by their name; one that is empty or no text counts as not set.
pub type Lookup<'l> = &'l dyn Fn(&str) -> Option<String>;

/// A value that stands in the file, and cannot be had now. No message repeats a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// A variable is not there.
    #[error("{at}: the variable {name} is not set")]
    Variable {
        /// Where it is named.
        at: At,
        /// Its name.
        name: String,
    },
    /// A file with a secret cannot be read.
    #[error("{at}: cannot read the secret in {}", path.display())]
    File {
        /// Where it is named.
        at: At,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A command that is to print a secret cannot be run.
    #[error("{at}: cannot run {program}")]
    Command {
        /// Where it is named.
        at: At,
        /// The program, without its arguments.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A command that is to print a secret failed.
    #[error("{at}: {program} failed ({status})")]
    CommandFailed {
        /// Where it is named.
        at: At,
        /// The program, without its arguments.
        program: String,
        /// How it ended.
        status: String,
    },
    /// There is nothing in the file, or nothing was printed.
    #[error("{at}: the secret from {origin} is {problem}")]
    Unusable {
        /// Where it is named.
        at: At,
        /// The file or the program.
        origin: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The machine knows no such time zone.
    #[error("{at}: there is no time zone {name:?}")]
    TimeZone {
        /// Where it is named.
        at: At,
        /// Its name.
        name: String,
    },
    /// Two settings contradict each other, once variables are in their places.
    #[error("{at}: {problem}")]
    Contradiction {
        /// Where the second one stands.
        at: At,
        /// What is wrong.
        problem: String,
    },
}

/// The value of a variable, unless it is empty.
pub(crate) fn filled(lookup: Lookup<'_>, name: &str) -> Option<String> {
    lookup(name).filter(|value| !value.is_empty())
}
