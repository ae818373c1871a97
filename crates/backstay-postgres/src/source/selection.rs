//! Which schemas and tables are read, by psql's patterns.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

use postgres::Transaction;

use crate::catalog::{CatalogError, Reading};
use crate::pg_dump::SchemaDumpOptions;

use super::SourceError;

/// Patterns as psql and `pg_dump` know them (psql documentation, "Patterns"): `*`, `?`, quotes, a dot between schema
/// and table. With none of them the whole database is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selection {
    /// Only these schemas.
    pub schemas: Vec<String>,
    /// All but these schemas.
    pub exclude_schemas: Vec<String>,
    /// Only these tables.
    pub tables: Vec<String>,
    /// All but these tables.
    pub exclude_tables: Vec<String>,
    /// Of these tables the definition, but no rows.
    pub exclude_data: Vec<String>,
}

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPattern {
    /// It names more than schema and table, or has an open quote.
    #[error("{pattern:?} is not a pattern of a table (such as audit_log or app.log_*)")]
    Form {
        /// The pattern.
        pattern: String,
    },
    /// Nothing matches it.
    #[error("no table matches {pattern:?}")]
    NoMatch {
        /// The pattern.
        pattern: String,
    },
}

impl Selection {
    /// Whether nothing but rows is left out.
    #[must_use]
    pub fn is_whole_database(&self) -> bool {
        self.schemas.is_empty()
            && self.exclude_schemas.is_empty()
            && self.tables.is_empty()
            && self.exclude_tables.is_empty()
    }

    pub(super) fn dump_options<'s>(
        &self,
        snapshot: &'s str,
        encoding: &'s str,
        lock_wait: Duration,
    ) -> SchemaDumpOptions<'s> {
        let texts = |patterns: &[String]| patterns.iter().map(OsString::from).collect();
        SchemaDumpOptions {
            snapshot: Some(snapshot),
            encoding: Some(encoding),
            lock_wait_timeout: Some(lock_wait),
            schemas: texts(&self.schemas),
            exclude_schemas: texts(&self.exclude_schemas),
            tables: texts(&self.tables),
            exclude_tables: texts(&self.exclude_tables),
            // A pattern that matches nothing is a mistake that nobody should find out on the day of the restore.
            extra: vec![OsString::from("--strict-names")],
        }
    }

    /// The tables whose rows are excluded. Patterns without a schema are looked up along the role's usual search path,
    /// as `pg_dump` does.
    pub(super) fn excluded_data(
        &self,
        transaction: &mut Transaction<'_>,
        usual_search_path: &str,
    ) -> Result<HashSet<u32>, SourceError> {
        let mut found = HashSet::new();
        if self.exclude_data.is_empty() {
            return Ok(found);
        }
        let what = "the tables whose rows are excluded";
        set_search_path(transaction, usual_search_path)?;
        for pattern in &self.exclude_data {
            let (schema, table) = regular_expressions(pattern).ok_or_else(|| InvalidPattern::Form {
                pattern: pattern.clone(),
            })?;
            let rows = transaction
                .query(
                    "WITH RECURSIVE named AS (
                       SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                       WHERE c.relkind IN ('r', 'p', 'f')
                         AND c.relname OPERATOR(pg_catalog.~) $1 COLLATE pg_catalog.\"default\"
                         AND CASE WHEN $2::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid)
                                  ELSE n.nspname OPERATOR(pg_catalog.~) $2 COLLATE pg_catalog.\"default\" END),
                     below AS (
                       SELECT oid FROM named
                       UNION SELECT i.inhrelid FROM below JOIN pg_catalog.pg_inherits i ON i.inhparent = below.oid
                         JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition)
                     SELECT oid FROM below",
                    &[&table, &schema],
                )
                .reading(what)?;
            if rows.is_empty() {
                return Err(InvalidPattern::NoMatch {
                    pattern: pattern.clone(),
                }
                .into());
            }
            for row in rows {
                found.insert(row.try_get(0).reading(what)?);
            }
        }
        set_search_path(transaction, "")?;
        Ok(found)
    }
}

fn set_search_path(transaction: &mut Transaction<'_>, value: &str) -> Result<(), CatalogError> {
    transaction
        .execute("SELECT pg_catalog.set_config('search_path', $1, true)", &[&value])
        .map(drop)
        .reading("search_path")
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("schemas other than", &self.schemas),
            ("schemas", &self.exclude_schemas),
            ("tables other than", &self.tables),
            ("tables", &self.exclude_tables),
        ];
        let mut first = true;
        for (word, patterns) in parts.into_iter().filter(|(_, patterns)| !patterns.is_empty()) {
            let separator = if first { "" } else { "; " };
            write!(f, "{separator}{word} {}", patterns.join(", "))?;
            first = false;
        }
        Ok(())
    }
}

/// The regular expressions of a pattern: for the schema, where one is named, and for the table. After
/// `patternToSQLRegex` of PostgreSQL's `src/fe_utils/string_utils.c`.
fn regular_expressions(pattern: &str) -> Option<(Option<String>, String)> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        let part = parts.last_mut()?;
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                part.push('"');
            }
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            '*' if !quoted => part.push_str(".*"),
            '?' if !quoted => part.push('.'),
            '$' => part.push_str("\\$"),
            c if quoted && "|*+?()[]{}.^\\".contains(c) => {
                part.push('\\');
                part.push(c);
            }
            c if quoted => part.push(c),
            c => part.extend(c.to_lowercase()),
        }
    }
    let anchored = |part: String| format!("^({part})$");
    let mut parts = parts.into_iter().map(anchored);
    match (quoted, parts.len()) {
        (false, 1) => Some((None, parts.next()?)),
        (false, 2) => Some((parts.next(), parts.next()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::regular_expressions;

    #[test]
    fn patterns_are_psqls() {
        for (pattern, schema, table) in [
            ("Users", None, "^(users)$"),
            ("app.log_*", Some("^(app)$"), "^(log_.*)$"),
            ("\"App\".\"a.b*\"", Some("^(App)$"), "^(a\\.b\\*)$"),
            ("t?", None, "^(t.)$"),
            ("\"a\"\"b\"", None, "^(a\"b)$"),
            ("a$b", None, "^(a\\$b)$"),
            ("(a|b)", None, "^((a|b))$"),
        ] {
            let expected = Some((schema.map(str::to_owned), table.to_owned()));
            assert_eq!(regular_expressions(pattern), expected, "{pattern}");
        }
        for bad in ["a.b.c", "\"a"] {
            assert_eq!(regular_expressions(bad), None, "{bad}");
        }
    }
}
