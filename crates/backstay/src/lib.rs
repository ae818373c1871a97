//! PostgreSQL backup and recovery: back up, verify, restore.
