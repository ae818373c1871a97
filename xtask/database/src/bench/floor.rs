use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use backstay::ConnectionConfig;
use backstay_postgres::connect_client;

use crate::failure::Failure;

/// Pages of one COPY, as Backstay reads them.
const CHUNK_PAGES: u64 = 512;

/// The tables with their pages, the largest first.
const TABLES: &str = "SELECT oid::regclass::text, pg_relation_size(oid) / 8192 FROM pg_class \
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC, 1";

/// What the server alone needs to turn all rows into text: nothing leaves it, and nothing is compressed.
///
/// `jobs` connections take chunks of pages, as a backup does.
pub(super) fn floor(config: &ConnectionConfig, jobs: usize) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let mut chunks = Vec::new();
    for row in connect_client(config)?.query(TABLES, &[])? {
        let (table, pages): (String, i64) = (row.get(0), row.get(1));
        chunks.extend(copies(&table, u64::try_from(pages).unwrap_or_default()));
    }
    let next = AtomicUsize::new(0);
    let work = || -> Result<(), Failure> {
        let mut client = connect_client(config)?;
        client.batch_execute("SET enable_seqscan = off; SET jit = off; BEGIN ISOLATION LEVEL REPEATABLE READ")?;
        while let Some(copy) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
            client.batch_execute(copy)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| Err(Failure::new("a worker panicked"))))
    })?;
    Ok(begun.elapsed())
}

/// One COPY for each chunk; the last has no upper bound.
fn copies(table: &str, pages: u64) -> impl Iterator<Item = String> {
    let count = pages.div_ceil(CHUNK_PAGES).max(1);
    (0..count).map(move |index| {
        let first = index * CHUNK_PAGES;
        let bound = if index + 1 < count {
            format!(" AND ctid < '({},0)'", first + CHUNK_PAGES)
        } else {
            String::new()
        };
        format!("COPY (SELECT * FROM ONLY {table} WHERE ctid >= '({first},0)'{bound}) TO '/dev/null'")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_a_table() {
        let check = |pages, expected: &[&str]| {
            let found: Vec<String> = copies("t", pages).collect();
            let expected: Vec<String> = expected
                .iter()
                .map(|condition| format!("COPY (SELECT * FROM ONLY t WHERE {condition}) TO '/dev/null'"))
                .collect();
            assert_eq!(found, expected);
        };
        check(0, &["ctid >= '(0,0)'"]);
        check(512, &["ctid >= '(0,0)'"]);
        check(513, &["ctid >= '(0,0)' AND ctid < '(512,0)'", "ctid >= '(512,0)'"]);
    }
}
