//! A PostgreSQL server as source and target of a backup; knows nothing of stores.
