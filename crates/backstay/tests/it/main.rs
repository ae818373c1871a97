//! Backups and restores of real databases, end to end.

mod applications;
mod bytes;
mod globals;
mod restoring;
mod round_trip;
mod support;
mod verifying;
