//! Backups and restores of real databases, end to end.

mod applications;
mod checking;
mod contents;
mod copying;
mod encodings;
mod faults;
mod globals;
mod hostile;
mod killed;
mod locks;
mod losses;
mod pruning;
mod refusals;
mod rekeying;
mod restoring;
mod rights;
mod round_trip;
mod rules;
mod sabotage;
mod scale;
mod sealed;
mod settings;
mod storm;
mod support;
mod verifying;
mod volumes;
