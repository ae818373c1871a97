//! What a backup is expected to be, beyond being whole.

mod sql;

pub use sql::{Expectation, SqlCheck, SqlOutcome};
