//! Reading a script, part by part.

use std::collections::BTreeMap;
use std::io::Read;

use backstay_core::script::{CopyTarget, Event, Outline, QualifiedName, ScriptReader};

use super::raw::Raw;
use crate::error::VerifyError;
use crate::observer::VerifyObserver;

/// The comments around what `pg_dump` writes (`src/bin/pg_dump/pg_backup_archiver.c`, `RestoreArchive`).
const END_MARK: &[u8] = b"-- PostgreSQL database dump complete";
const START_MARK: &[u8] = b"-- PostgreSQL database dump";

/// The most partitions that are kept; of more the rows do not count for their parents.
const PARTITIONS_MAX: usize = 1 << 20;

/// What a script holds.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) outline: Outline,
    /// Bytes of text up to the end, or to where it could not be read further.
    pub(super) text_bytes: u64,
    /// The line of the first statement behind the mark at the end.
    pub(super) statement_behind_end: Option<u64>,
    /// The partitioned table that each partition is attached to.
    parents: BTreeMap<QualifiedName, QualifiedName>,
}

/// Who watches, and may stop.
pub(super) struct Watch<'a> {
    pub(super) observer: &'a dyn VerifyObserver,
    pub(super) cancel: &'a (dyn Fn() -> bool + Sync),
    pub(super) bytes_total: u64,
}

impl Script {
    /// Reads a script to its end, or to where it cannot be read further; then the outline has the error.
    pub(super) fn read(text: Box<dyn Read + Send>, raw: &Raw, watch: &Watch<'_>) -> Result<Self, VerifyError> {
        let mut script = Self::default();
        let mut reader = ScriptReader::new(text);
        let mut bytes_told = 0;
        let mut ended = false;
        watch.observer.progress(0, watch.bytes_total);
        loop {
            if raw.bytes() != bytes_told {
                bytes_told = raw.bytes();
                watch.observer.progress(bytes_told, watch.bytes_total);
                if (watch.cancel)() {
                    return Err(VerifyError::Cancelled);
                }
            }
            let event = match reader.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => {
                    script.outline.stop(error);
                    break;
                }
            };
            let mut behind_end = None;
            match &event {
                Event::Comment(comment) if comment.text == END_MARK => ended = true,
                Event::Comment(comment) if comment.text == START_MARK => ended = false,
                Event::Statement(statement) => {
                    behind_end = Some(statement.part.line);
                    script.attach(statement.part.text);
                }
                Event::CopyStart(copy) => behind_end = Some(copy.part.line),
                _ => {}
            }
            if ended {
                script.statement_behind_end = script.statement_behind_end.or(behind_end);
            }
            script.outline.observe(&event);
        }
        script.text_bytes = reader.offset();
        Ok(script)
    }

    /// A table and the partitioned tables that it is a partition of, at every level.
    pub(super) fn with_parents<'s>(&'s self, table: &'s QualifiedName) -> impl Iterator<Item = &'s QualifiedName> {
        // A hostile script may attach tables in a circle.
        std::iter::successors(Some(table), |table| self.parents.get(table)).take(64)
    }

    /// Understands `ALTER TABLE ONLY parent ATTACH PARTITION child …`, as `pg_dump` writes it.
    fn attach(&mut self, statement: &[u8]) -> Option<()> {
        const MIDDLE: &[u8] = b" ATTACH PARTITION ";
        let rest = statement.strip_prefix(b"ALTER TABLE ONLY ")?;
        let middle = rest.windows(MIDDLE.len()).position(|window| window == MIDDLE)?;
        let parent = table_name(&rest[..middle])?;
        let child = &rest[middle + MIDDLE.len()..];
        // Behind the name stand the bounds, which no table name of pg_dump can hold but in quotes.
        let child = [&b" FOR VALUES "[..], b" DEFAULT;"]
            .iter()
            .filter_map(|bounds| child.windows(bounds.len()).position(|window| window == *bounds))
            .find_map(|end| table_name(&child[..end]))?;
        if self.parents.len() < PARTITIONS_MAX {
            self.parents.insert(child, parent);
        }
        Some(())
    }
}

/// The table that a text names: it is one where `COPY` would take it for one.
fn table_name(text: &[u8]) -> Option<QualifiedName> {
    let target = CopyTarget::of_statement(&[b"COPY ", text, b" FROM stdin;"].concat())?;
    target.columns.is_none().then_some(target.table)
}

#[cfg(test)]
mod tests {
    use super::{Script, table_name};

    fn check(statement: &str, expected: Option<(&str, &str)>) {
        let mut script = Script::default();
        script.attach(statement.as_bytes());
        let found = script.parents.pop_first();
        let found = found.map(|(child, parent)| (child.to_string(), parent.to_string()));
        let expected = expected.map(|(child, parent)| (child.to_owned(), parent.to_owned()));
        assert_eq!(found, expected, "{statement}");
    }

    #[test]
    fn partitions_are_understood() {
        for (statement, expected) in [
            (
                "ALTER TABLE ONLY public.p ATTACH PARTITION public.c FOR VALUES FROM (1) TO (2);",
                Some(("public.c", "public.p")),
            ),
            (
                "ALTER TABLE ONLY public.p ATTACH PARTITION x.c DEFAULT;",
                Some(("x.c", "public.p")),
            ),
            (
                "ALTER TABLE ONLY \"P 1\".\"p\"\"\" ATTACH PARTITION \"a b\".\"c FOR\" FOR VALUES IN ('x');",
                Some(("a b.c FOR", "P 1.p\"")),
            ),
            ("ALTER TABLE ONLY public.p ATTACH PARTITION public.c", None),
            ("ALTER TABLE ONLY public.p ADD CONSTRAINT c PRIMARY KEY (id);", None),
            ("CREATE TABLE c PARTITION OF p FOR VALUES IN (1);", None),
        ] {
            check(statement, expected);
        }
    }

    #[test]
    fn a_circle_ends() {
        let mut script = Script::default();
        script.attach(b"ALTER TABLE ONLY a ATTACH PARTITION b DEFAULT;");
        script.attach(b"ALTER TABLE ONLY b ATTACH PARTITION a DEFAULT;");
        assert_eq!(script.with_parents(&table_name(b"a").unwrap()).count(), 64);
    }
}
