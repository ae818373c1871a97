//! What makes a backup credible: rules, findings and the report.
//!
//! [`verify_backup`] looks at a backup that Backstay made, [`verify_foreign`] at a plain dump that something else left.
//! Both give a [`Report`] of [`Finding`]s; they fail only where they could not look. This is a crate of its own because
//! its results are what people stake their data on: it depends on the format alone, opens nothing by itself, and knows
//! neither clock nor server.

mod backup;
mod checksum;
mod error;
mod finding;
mod foreign;
mod inventory;
mod observer;
mod options;
mod report;
mod rules;

pub use backup::{judge_backup, verify_backup, verify_sealed};
pub use error::VerifyError;
pub use finding::{Evidence, Finding, Severity};
pub use foreign::{ForeignArchive, verify_foreign};
pub use observer::{Silent, VerifyObserver};
pub use options::{Level, Origin, VerifyOptions};
pub use report::{Counts, Report, SubjectKind, finding_lines};
pub use rules::{
    Exemption, Expectation, Judged, PastBackup, RULES, Right, Rule, Rules, SqlCheck, SqlOutcome, TableRule,
};
