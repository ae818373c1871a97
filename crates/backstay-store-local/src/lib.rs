//! A folder as a store of backups.
