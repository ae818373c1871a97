//! Backups and restores of real databases, end to end.

mod round_trip;
mod support;
