//! Backups and restores of real databases, end to end.

mod applications;
mod contents;
mod encodings;
mod globals;
mod hostile;
mod killed;
mod locks;
mod refusals;
mod restoring;
mod round_trip;
mod rules;
mod sabotage;
mod storm;
mod support;
mod verifying;
