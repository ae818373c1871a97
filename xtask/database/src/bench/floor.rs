use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use backstay::ConnectionConfig;
use backstay_postgres::connect_client;

use super::data::Filling;
use crate::failure::Failure;

/// Pages of one COPY, as Backstay reads them.
const CHUNK_PAGES: u64 = 512;

/// The tables with their pages, the largest first.
const TABLES: &str = "SELECT oid::regclass::text, pg_relation_size(oid) / 8192 FROM pg_class \
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC, 1";

/// What the server alone needs to turn all rows into text: nothing leaves it, and nothing is compressed.
///
/// `jobs` connections take chunks of pages, as a backup does.
pub(super) fn backup(config: &ConnectionConfig, jobs: usize) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let copies: Vec<String> = chunks(config)?
        .into_iter()
        .map(|chunk| format!("COPY ({}) TO '/dev/null'", chunk.select))
        .collect();
    together(config, jobs, &copies)?;
    Ok(begun.elapsed())
}

/// Files of the server with the rows of a database.
pub(super) struct Export {
    /// The statements that read them.
    copies: Vec<String>,
}

impl Export {
    /// Leaves each chunk in a file of the server, beside its data.
    pub(super) fn of(config: &ConnectionConfig, jobs: usize) -> Result<Self, Failure> {
        let folder: String = connect_client(config)?.query_one("SHOW data_directory", &[])?.get(0);
        let (mut writes, mut copies) = (Vec::new(), Vec::new());
        for (number, Chunk { table, select }) in chunks(config)?.into_iter().enumerate() {
            let file = format!("'{folder}/bench-{number}.copy'");
            writes.push(format!("COPY ({select}) TO {file}"));
            copies.push(format!("COPY {table} FROM {file}"));
        }
        together(config, jobs, &writes)?;
        Ok(Self { copies })
    }

    /// What the server alone needs to fill a database whose tables are there: it reads its own files, then builds the
    /// same indexes and keys that a restore does.
    pub(super) fn restore(&self, filling: &Filling<'_>, jobs: usize) -> Result<Duration, Failure> {
        let begun = Instant::now();
        together(&filling.config, jobs, &self.copies)?;
        filling.keys()?;
        Ok(begun.elapsed())
    }
}

/// Runs statements with several connections.
fn together(config: &ConnectionConfig, jobs: usize, statements: &[String]) -> Result<(), Failure> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<(), Failure> {
        let mut client = connect_client(config)?;
        client.batch_execute("SET enable_seqscan = off; SET jit = off; SET synchronous_commit = off")?;
        while let Some(statement) = statements.get(next.fetch_add(1, Ordering::Relaxed)) {
            client.batch_execute(statement)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| Err(Failure::new("a worker panicked"))))
    })
}

#[derive(Debug, PartialEq, Eq)]
struct Chunk {
    table: String,
    select: String,
}

/// The chunks of all tables, the largest table first.
fn chunks(config: &ConnectionConfig) -> Result<Vec<Chunk>, Failure> {
    let mut chunks = Vec::new();
    for row in connect_client(config)?.query(TABLES, &[])? {
        let (table, pages): (String, i64) = (row.get(0), row.get(1));
        chunks.extend(chunks_of(&table, u64::try_from(pages).unwrap_or_default()));
    }
    Ok(chunks)
}

/// The last chunk has no upper bound.
fn chunks_of(table: &str, pages: u64) -> impl Iterator<Item = Chunk> {
    let count = pages.div_ceil(CHUNK_PAGES).max(1);
    (0..count).map(move |index| {
        let first = index * CHUNK_PAGES;
        let bound = if index + 1 < count {
            format!(" AND ctid < '({},0)'", first + CHUNK_PAGES)
        } else {
            String::new()
        };
        Chunk {
            table: table.to_owned(),
            select: format!("SELECT * FROM ONLY {table} WHERE ctid >= '({first},0)'{bound}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_a_table() {
        let check = |pages, expected: &[&str]| {
            let found: Vec<String> = chunks_of("t", pages).map(|chunk| chunk.select).collect();
            let expected: Vec<String> = expected
                .iter()
                .map(|condition| format!("SELECT * FROM ONLY t WHERE {condition}"))
                .collect();
            assert_eq!(found, expected);
        };
        check(0, &["ctid >= '(0,0)'"]);
        check(512, &["ctid >= '(0,0)'"]);
        check(513, &["ctid >= '(0,0)' AND ctid < '(512,0)'", "ctid >= '(512,0)'"]);
    }
}
