//! When work on backups is due: cron expressions in time zones, what was missed, and the same for other schedulers.
//!
//! It is a crate of its own because the configuration checks expressions by it, and because all of it is pure: it reads no
//! clock, no file and no store. A [`Timetable`] decides from what time it is and from what was done what is to be done now.

mod cron;
mod print;
mod timetable;

pub use cron::{Cron, InvalidCron};
pub use print::{PrintError, PrintedFile, Setting, Unit, crontab, github_actions, kubernetes, systemd};
pub use timetable::{Decision, Past, Timetable, WhenNever};
