//! SQL scripts as psql reads them: what may stand in one, and what one holds.
//!
//! psql cuts a script into statements and commands by rules of its own, before any server sees it. Where Backstay writes a
//! script, [`check_statements`] makes sure that what came from a server is SQL for psql too, and nothing else; where it
//! reads one that others wrote, [`ScriptReader`] gives its parts and [`Outline`] tells what is in it. All of it works on
//! bytes, for a script may be in any encoding.

mod check;
mod copy;
mod error;
mod event;
mod format;
mod lexer;
mod name;
mod outline;
mod reader;
mod tokens;

#[cfg(test)]
mod tests;

pub use check::{HazardKind, ScriptHazard, check_statements, depends_on_session, statements};
pub use copy::{CopyFormat, CopyTarget};
pub use error::ReadError;
pub use event::{Command, CopyEnd, CopyRows, CopyStart, EndedBy, Event, Part, Statement};
pub use format::{Format, OpenError, open};
pub use lexer::{Open, StandardStrings};
pub use name::{Name, QualifiedName};
pub use outline::{Incomplete, Outline, OutlineCommand, OutlineEntry, TableRows};
pub use reader::{Limits, ScriptReader};
