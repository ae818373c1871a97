//! All rows that belong to one person.
//!
//! What belongs to a person follows from the foreign keys. The row that was named does. A table whose primary key, or a
//! unique key without NULL, refers to the table of persons says more of the same persons, one row each: a *table of persons* as well.
//! A row of another table that refers to the person's row in a table of persons belongs to the person. So does a row that
//! refers to one of these, and so on, unless it names another person itself: an answer of somebody else to a comment of the person
//! is not the person's. What the person's rows refer to, such as a product that was ordered, is not theirs.

mod graph;
mod search;
mod write;

use std::fmt;
use std::str::FromStr;

use backstay_postgres::{CancelToken, ConnectionConfig};
use jiff::Timestamp;

use crate::error::ExportError;
use crate::output::ExportFile;
use crate::request::{ExportOptions, ExportPlace};
use crate::session::{Session, refuse_replaced};
use graph::Graph;
use search::Found;

/// The row of a person: a table, and what some of its columns are.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject {
    /// Table and column as they are written in SQL, and the value.
    conditions: Vec<(String, String)>,
}

impl Subject {
    /// A row by one or several conditions, each `TABLE.COLUMN=VALUE`, all of one table.
    ///
    /// # Errors
    /// There is none, or one is of another form.
    pub fn parse<'t>(conditions: impl IntoIterator<Item = &'t str>) -> Result<Self, InvalidSubject> {
        let conditions: Vec<_> = conditions
            .into_iter()
            .map(|text| {
                let (column, value) = text.split_once('=').ok_or(InvalidSubject)?;
                let column = column.trim();
                column
                    .contains('.')
                    .then(|| (column.to_owned(), value.to_owned()))
                    .ok_or(InvalidSubject)
            })
            .collect::<Result<_, _>>()?;
        if conditions.is_empty() {
            return Err(InvalidSubject);
        }
        Ok(Self { conditions })
    }
}

/// The value may tell who a person is, so it is not shown.
impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.conditions.iter().map(|(column, _)| column);
        f.debug_list().entries(columns).finish()
    }
}

/// A text that names no row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a subject is named as TABLE.COLUMN=VALUE, such as users.id=42")]
#[expect(clippy::exhaustive_structs, reason = "there is no more to tell")]
pub struct InvalidSubject;

/// A column that refers to another although no foreign key says so: `logins.user_name = users.name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectLink {
    from: String,
    to: String,
}

impl FromStr for SubjectLink {
    type Err = InvalidSubjectLink;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (from, to) = text.split_once('=').ok_or(InvalidSubjectLink)?;
        let (from, to) = (from.trim(), to.trim());
        if !from.contains('.') || !to.contains('.') || to.contains('=') {
            return Err(InvalidSubjectLink);
        }
        Ok(Self {
            from: from.to_owned(),
            to: to.to_owned(),
        })
    }
}

impl fmt::Display for SubjectLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.from, self.to)
    }
}

/// A text that names no two columns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a column that refers to another is named as TABLE.COLUMN = TABLE.COLUMN, such as logins.name = users.name")]
#[expect(clippy::exhaustive_structs, reason = "there is no more to tell")]
pub struct InvalidSubjectLink;

/// Which rows belong to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubjectPlan {
    /// The tables that have some, by name.
    pub tables: Vec<SubjectTable>,
}

/// The rows of one table that belong to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubjectTable {
    /// Schema and table, quoted where SQL needs that.
    pub table: String,
    /// How many.
    pub rows: u64,
    /// How they were found: `orders.user_id = users.id`; nothing for the row that was named.
    pub by: Vec<String>,
}

/// The rows of a person in files.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SubjectExport {
    /// What is in it.
    pub plan: SubjectPlan,
    /// The files of rows: for each table one of CSV and one of JSON.
    pub files: Vec<ExportFile>,
    /// What describes them, and makes the export one: it was written last.
    pub description: backstay_core::ObjectKey,
}

/// Finds the rows that belong to a person, and writes nothing.
///
/// # Errors
/// See [`ExportError`].
pub fn plan_subject(
    source: &ConnectionConfig,
    subject: &Subject,
    links: &[SubjectLink],
    options: &ExportOptions,
    cancel: &CancelToken,
) -> Result<SubjectPlan, ExportError> {
    let mut session = Session::connect(source, cancel)?;
    let (graph, found) = find(&mut session, subject, links, options)?;
    session.connection.close();
    Ok(found.plan(&graph))
}

/// Writes the rows that belong to a person, of one snapshot, into a folder `subject_export_TIME` at `place`: each table as CSV and as
/// JSON, and `description.json`, which tells what they are and is written last.
///
/// # Errors
/// See [`ExportError`]. The export does not exist then, unless it is [`ExportError::Unknown`].
pub fn export_subject(
    source: &ConnectionConfig,
    subject: &Subject,
    links: &[SubjectLink],
    place: &ExportPlace,
    now: Timestamp,
    options: &ExportOptions,
    cancel: &CancelToken,
) -> Result<SubjectExport, ExportError> {
    let mut session = Session::connect(source, cancel)?;
    let (graph, found) = find(&mut session, subject, links, options)?;
    let written = write::write(&mut session.connection, &graph, &found, place, now, options, cancel);
    session.connection.close();
    written.map_err(|error| error.or_cancelled(cancel))
}

fn find(
    session: &mut Session,
    subject: &Subject,
    links: &[SubjectLink],
    options: &ExportOptions,
) -> Result<(Graph, Found), ExportError> {
    let graph = session.snapshot(options, |connection| Graph::read(connection, subject, links))?;
    let found = search::search(&mut session.connection, &graph)?;
    refuse_replaced(&mut session.connection)?;
    Ok((graph, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_and_links_are_columns() {
        let subject = Subject::parse(["users.id=a=b", "users.x="]).unwrap();
        let expected = [("users.id", "a=b"), ("users.x", "")];
        assert_eq!(
            subject.conditions,
            expected.map(|(column, value)| (column.to_owned(), value.to_owned()))
        );
        assert!(!format!("{subject:?}").contains("a=b"));
        for text in ["", "users", "users.id", "id=1"] {
            assert!(Subject::parse([text]).is_err(), "{text}");
        }
        assert!(Subject::parse([]).is_err());
        let link: SubjectLink = "a.b=c.d.e".parse().unwrap();
        assert_eq!(link.to_string(), "a.b = c.d.e");
        for text in ["", "a.b", "a.b=c", "a=b.c", "a.b=c.d=e.f"] {
            assert!(text.parse::<SubjectLink>().is_err(), "{text}");
        }
    }
}
