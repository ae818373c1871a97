//! Exports of real databases, compared with what others make of the same rows.

mod contents;
mod failures;
mod listing;
mod parquet;
mod subject;
mod support;
