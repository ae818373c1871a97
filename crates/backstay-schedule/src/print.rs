//! The same work, for schedulers of others. Nothing here is secret: secrets are named, and where they come from.

mod crontab;
mod github_actions;
mod kubernetes;
mod systemd;

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use crate::cron::Cron;

pub use crontab::crontab;
pub use github_actions::github_actions;
pub use kubernetes::kubernetes;
pub use systemd::systemd;

/// One kind of work on one database, and when it is done.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, each of which must be said")]
pub struct Unit {
    /// What it is called: lower-case letters, digits and `-`.
    pub name: String,
    /// What it does, such as `backup of kulti`.
    pub title: String,
    /// When.
    pub cron: Cron,
    /// By whose clock; UTC without a name.
    pub zone: (Option<String>, TimeZone),
    /// How much later it may begin.
    pub jitter: SignedDuration,
    /// The arguments of the program.
    pub arguments: Vec<String>,
    /// The variables that it needs, most of which hold secrets.
    pub variables: Vec<String>,
}

/// What all of them have in common.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, each of which must be said")]
pub struct Setting {
    /// The program.
    pub program: String,
    /// The configuration.
    pub config: String,
    /// The image that has the program.
    pub image: String,
}

/// A file for a scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a name and a text")]
pub struct PrintedFile {
    /// Its name.
    pub name: String,
    /// What stands in it.
    pub text: String,
}

/// Why a scheduler cannot do the work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrintError {
    /// It knows UTC alone, and the zone is now so far from it and now so.
    #[error(
        "GitHub Actions knows UTC alone, and the clocks of {zone} are set twice a year, so {title} would come an hour off"
    )]
    ClocksAreSet {
        /// What it is.
        title: String,
        /// The zone.
        zone: String,
    },
    /// It knows UTC alone, and the days are other days there.
    #[error("GitHub Actions knows UTC alone, and {cron} in {zone} cannot be said in it")]
    NotInUtc {
        /// The expression.
        cron: String,
        /// The zone.
        zone: String,
    },
}

impl Unit {
    fn zone_name(&self) -> &str {
        self.zone.0.as_deref().unwrap_or("UTC")
    }
}

/// The variables of all of them.
fn variables(units: &[Unit]) -> Vec<&str> {
    let mut names: Vec<&str> = units
        .iter()
        .flat_map(|unit| &unit.variables)
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A text in quotes, as JSON and YAML take it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
