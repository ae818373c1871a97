//! Printing entries as `pg_restore` does (`RestoreArchive`, `_tocEntryRequired`, `_tocEntryRestorePass` and
//! `_printTocEntry` of `pg_backup_archiver.c`).

use super::identifier::{push_identifier, push_qualified};
use super::{Section, Toc, TocEntry, large_object, owner};

/// An entry as text, in the pieces that a restore may want to leave out or to do on its own.
///
/// `session`, `header`, `definition`, `owner` and `access_method`, one after another, are what `pg_restore` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrintedEntry {
    /// The entry in its [`Toc`].
    pub dump_id: i32,
    /// When it is restored.
    pub pass: RestorePass,
    /// `SET` statements that differ from what the entries printed before left behind; a restore over several
    /// connections keeps a [`Session`] for each instead.
    pub session: Vec<u8>,
    /// Comment that names the entry, one line whatever is in the names.
    pub header: Vec<u8>,
    /// Statements that create it.
    pub definition: Vec<u8>,
    /// Statements that give it to its owner.
    pub owner: Option<Vec<u8>>,
    /// Statement that sets the access method of a partitioned table (`pg_dump` 17 and newer).
    pub access_method: Option<Vec<u8>>,
}

impl PrintedEntry {
    /// All pieces, in the order in which they are printed.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let always = [&self.session, &self.header, &self.definition].into_iter();
        always.chain(&self.owner).chain(&self.access_method).map(Vec::as_slice)
    }

    /// All pieces as one text.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        self.pieces().flatten().copied().collect()
    }
}

/// When an entry is restored; all of one pass are restored before any of the next.
///
/// Privileges wait for the rows, since an owner may have revoked her own right to insert; event triggers wait for
/// everything, so that they cannot interfere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the list is pg_restore's")]
pub enum RestorePass {
    /// Everything else, in the order of the archive.
    Main,
    /// Privileges and default privileges.
    Acl,
    /// Event triggers with their comments, and what fills or describes materialized views.
    PostAcl,
}

impl RestorePass {
    pub(super) fn of(entry: &TocEntry) -> Self {
        match entry.kind.as_slice() {
            b"ACL" | b"ACL LANGUAGE" | b"DEFAULT ACL" => Self::Acl,
            b"EVENT TRIGGER" | b"MATERIALIZED VIEW DATA" => Self::PostAcl,
            b"COMMENT" if entry.tag.starts_with(b"EVENT TRIGGER ") => Self::PostAcl,
            // Those of the statistics after the rows may be of materialized views (pg_dump 18).
            b"STATISTICS DATA" if entry.section == Section::PostData => Self::PostAcl,
            _ => Self::Main,
        }
    }

    fn next(self) -> Option<Self> {
        match self {
            Self::Main => Some(Self::Acl),
            Self::Acl => Some(Self::PostAcl),
            Self::PostAcl => None,
        }
    }
}

/// Why an entry cannot be printed; only damaged archives, and those of an unknown `pg_dump`, have such entries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrintError {
    /// It has an owner, and nobody knows how objects of this kind get one.
    #[error("entry {dump_id} of the archive: no way is known to set the owner of {kind}")]
    UnknownOwnedKind {
        /// The entry.
        dump_id: i32,
        /// What it is.
        kind: String,
    },
    /// Its drop statement, which names it, does not begin with `DROP `.
    #[error("entry {dump_id} of the archive: its drop statement does not name it")]
    DropStatement {
        /// The entry.
        dump_id: i32,
    },
    /// It is the privileges of large objects that are not in the archive, or in no known form.
    #[error("entry {dump_id} of the archive: privileges of unknown large objects")]
    LargeObjectAcl {
        /// The entry.
        dump_id: i32,
    },
}

/// What one connection has been told: it avoids saying again what already holds.
///
/// A new one holds for a session to which only the settings at the head of the archive were sent.
#[derive(Clone, Debug)]
pub struct Session {
    major: u32,
    fixed_search_path: bool,
    search_path: Option<Vec<u8>>,
    tablespace: Option<Vec<u8>>,
    table_access_method: Option<Vec<u8>>,
}

impl Session {
    /// A session at its beginning, for entries of this archive.
    #[must_use]
    pub fn new(toc: &Toc) -> Self {
        Self {
            major: toc.dump_major(),
            fixed_search_path: toc.search_path_statement().is_some(),
            search_path: None,
            tablespace: None,
            table_access_method: None,
        }
    }

    /// Prints the `SET` statements that the entry needs in this session, and takes them as run; often none.
    pub fn prepare(&mut self, entry: &TocEntry) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(schema) = entry.namespace.as_ref().filter(|schema| !schema.is_empty())
            && !self.fixed_search_path
            && changes(&mut self.search_path, schema)
        {
            out.extend_from_slice(b"SET search_path = ");
            push_identifier(&mut out, schema, self.major);
            if schema != b"pg_catalog" {
                out.extend_from_slice(b", pg_catalog");
            }
            out.extend_from_slice(b";\n\n");
        }
        if let Some(tablespace) = &entry.tablespace
            && changes(&mut self.tablespace, tablespace)
        {
            out.extend_from_slice(b"SET default_tablespace = ");
            if tablespace.is_empty() {
                out.extend_from_slice(b"''");
            } else {
                push_identifier(&mut out, tablespace, self.major);
            }
            out.extend_from_slice(b";\n\n");
        }
        if let Some(method) = &entry.table_access_method
            && !entry.is_partitioned_table()
            && changes(&mut self.table_access_method, method)
        {
            out.extend_from_slice(b"SET default_table_access_method = ");
            push_identifier(&mut out, method, self.major);
            out.extend_from_slice(b";\n\n");
        }
        out
    }
}

fn changes(current: &mut Option<Vec<u8>>, wanted: &[u8]) -> bool {
    if current.as_deref() == Some(wanted) {
        return false;
    }
    *current = Some(wanted.to_vec());
    true
}

/// Entries of an archive as text, pass by pass; made by [`Toc::print`].
#[derive(Debug)]
pub struct Printer<'a> {
    toc: &'a Toc,
    major: u32,
    session: Session,
    pass: RestorePass,
    rest: std::slice::Iter<'a, TocEntry>,
}

impl<'a> Printer<'a> {
    pub(super) fn new(toc: &'a Toc) -> Self {
        Self {
            toc,
            major: toc.dump_major(),
            session: Session::new(toc),
            pass: RestorePass::Main,
            rest: toc.entries.iter(),
        }
    }

    fn print(&mut self, entry: &TocEntry) -> Result<PrintedEntry, PrintError> {
        Ok(PrintedEntry {
            dump_id: entry.dump_id,
            pass: self.pass,
            session: self.session.prepare(entry),
            header: header(entry),
            definition: definition(self.toc, entry)?,
            owner: owner::statement(entry, self.major)?,
            access_method: access_method(entry, self.major),
        })
    }
}

impl Iterator for Printer<'_> {
    type Item = Result<PrintedEntry, PrintError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self
                .rest
                .find(|entry| entry.restore_pass() == self.pass && is_printed(entry))
            {
                return Some(self.print(entry));
            }
            self.pass = self.pass.next()?;
            self.rest = self.toc.entries.iter();
        }
    }
}

/// `_tocEntryRequired` without options: whether there is anything to print but data.
fn is_printed(entry: &TocEntry) -> bool {
    let describes_data = entry.definition.starts_with(b"-- load via partition root ");
    !entry.definition.is_empty() && !describes_data && !entry.is_setting() && !entry.is_of_database()
}

fn header(entry: &TocEntry) -> Vec<u8> {
    let mut out = b"--\n-- ".to_vec();
    if entry.kind == b"STATISTICS DATA" {
        out.extend_from_slice(b"Statistics for ");
    }
    out.extend_from_slice(b"Name: ");
    push_line(&mut out, &entry.tag);
    out.extend_from_slice(b"; Type: ");
    push_line(&mut out, &entry.kind);
    out.extend_from_slice(b"; Schema: ");
    push_line(&mut out, entry.namespace.as_deref().unwrap_or(b"-"));
    out.extend_from_slice(b"; Owner: ");
    push_line(&mut out, entry.owner.as_deref().unwrap_or(b"-"));
    if let Some(tablespace) = entry.tablespace.as_ref().filter(|tablespace| !tablespace.is_empty()) {
        out.extend_from_slice(b"; Tablespace: ");
        push_line(&mut out, tablespace);
    }
    out.extend_from_slice(b"\n--\n\n");
    out
}

/// `sanitize_line`: a name cannot end the comment that it stands in.
fn push_line(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(
        text.iter()
            .map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }),
    );
}

fn definition(toc: &Toc, entry: &TocEntry) -> Result<Vec<u8>, PrintError> {
    if entry.kind == b"BLOB METADATA" {
        return Ok(large_object::for_each(
            &entry.definition,
            b"SELECT pg_catalog.lo_create('",
            b"')",
        ));
    }
    if entry.kind == b"ACL" && entry.tag.starts_with(b"LARGE OBJECTS") {
        return large_object::acl(toc, entry).ok_or(PrintError::LargeObjectAcl { dump_id: entry.dump_id });
    }
    let mut out = entry.definition.clone();
    if !out.is_empty() {
        out.extend_from_slice(b"\n\n");
    }
    Ok(out)
}

fn access_method(entry: &TocEntry, major: u32) -> Option<Vec<u8>> {
    let method = entry
        .table_access_method
        .as_ref()
        .filter(|_| entry.is_partitioned_table())?;
    let mut out = b"ALTER TABLE ".to_vec();
    push_qualified(&mut out, entry.namespace.as_deref(), &entry.tag, major);
    out.extend_from_slice(b" SET ACCESS METHOD ");
    push_identifier(&mut out, method, major);
    out.extend_from_slice(b";\n\n");
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::push_line;

    #[test]
    fn a_name_does_not_end_the_comment_that_it_stands_in() {
        let mut line = Vec::new();
        push_line(&mut line, b"a\n\\! b\r\\! c");
        assert_eq!(line, b"a \\! b \\! c");
    }
}
