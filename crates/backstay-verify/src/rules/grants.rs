//! Who has which rights on tables, as a backup grants them. Rights by way of other roles are not in a backup of one
//! database, so they are not seen.

use std::collections::{BTreeMap, BTreeSet};

use backstay_core::manifest::{Manifest, Table};
use backstay_core::repository::{BackupReader, RepositoryError};
use backstay_core::script::statements;

/// What a right on everything is made of; `MAINTAIN` came with PostgreSQL 17.
const ALL: [&str; 8] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "TRUNCATE",
    "REFERENCES",
    "TRIGGER",
    "MAINTAIN",
];

/// Who everybody is.
const PUBLIC: &str = "PUBLIC";

/// Schema and name of a table.
type TableName = (Vec<u8>, Vec<u8>);

/// The rights of roles on tables and their columns, without those that owners have by themselves.
#[derive(Debug, Default)]
pub(super) struct Grants {
    tables: BTreeMap<TableName, Rights>,
    columns: BTreeMap<TableName, Rights>,
}

#[derive(Debug, Default)]
struct Rights {
    granted: BTreeSet<(String, String)>,
    /// What was taken from a role that had it without a grant: the owner.
    revoked: BTreeSet<(String, String)>,
}

impl Grants {
    /// Reads the entries with grants.
    pub(super) fn read(backup: &BackupReader) -> Result<Self, RepositoryError> {
        let manifest = backup.manifest();
        let mut grants = Self::default();
        let mut texts: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for entry in manifest.entries.iter().filter(|entry| entry.kind == "ACL") {
            let (Some(span), Some(schema)) = (entry.definition, &entry.schema) else {
                continue;
            };
            // `TABLE users`, or `COLUMN users.email`.
            let name = entry.name.as_bytes();
            let Some((kind, name)) = split_at_space(name) else {
                continue;
            };
            let text = match texts.entry(span.member) {
                std::collections::btree_map::Entry::Occupied(text) => text.into_mut(),
                std::collections::btree_map::Entry::Vacant(place) => {
                    let Some(member) = manifest.members.get(span.member as usize) else {
                        continue;
                    };
                    place.insert(backup.text(member)?)
                }
            };
            let sql = backup.span(text, span).unwrap_or_default();
            match kind {
                b"TABLE" => grants
                    .tables
                    .entry(table_name(schema.as_bytes(), name))
                    .or_default()
                    .run(sql),
                b"COLUMN" => {
                    // Both may have a point in their names; only one of the tables is there.
                    let of = manifest.tables.iter().filter(|table| table.schema == *schema);
                    let is_of = |table: &&Table| {
                        let rest = name.strip_prefix(table.name.as_bytes());
                        rest.is_some_and(|rest| rest.starts_with(b"."))
                    };
                    for table in of.filter(is_of) {
                        let key = table_name(schema.as_bytes(), table.name.as_bytes());
                        grants.columns.entry(key).or_default().run(sql);
                    }
                }
                _ => {}
            }
        }
        Ok(grants)
    }

    /// Whether a role has a right on a whole table: granted to it or to everybody, or because it owns the table.
    pub(super) fn has(&self, manifest: &Manifest, table: &Table, role: &str, right: &str) -> bool {
        let rights = self.tables.get(&key(table));
        let right = right.to_uppercase();
        let granted = rights.is_some_and(|rights| rights.has(role, &right));
        let is_owner = manifest.entries.iter().any(|entry| {
            entry.schema.as_ref() == Some(&table.schema)
                && entry.name == table.name
                && matches!(&*entry.kind, "TABLE" | "FOREIGN TABLE")
                && entry.owner.as_ref().is_some_and(|owner| *owner == *role)
        });
        let lost = rights.is_some_and(|rights| rights.revoked.contains(&(role.to_owned(), right.clone())));
        granted || (is_owner && !lost)
    }

    /// Whether a role has a right on some column of a table.
    pub(super) fn has_on_column(&self, table: &Table, role: &str, right: &str) -> bool {
        let rights = self.columns.get(&key(table));
        rights.is_some_and(|rights| rights.has(role, &right.to_uppercase()))
    }
}

impl Rights {
    fn has(&self, role: &str, right: &str) -> bool {
        [role, PUBLIC]
            .iter()
            .any(|role| self.granted.contains(&((*role).to_owned(), right.to_owned())))
    }

    /// Follows `GRANT … TO …` and `REVOKE … FROM …` as `pg_dump` writes them.
    fn run(&mut self, sql: &[u8]) {
        for statement in statements(sql) {
            let words = words(&String::from_utf8_lossy(statement));
            let is_grant = match words.first().map(String::as_str) {
                Some("GRANT") => true,
                Some("REVOKE") => false,
                _ => continue,
            };
            let behind = if is_grant { "TO" } else { "FROM" };
            let on = words.iter().position(|word| word == "ON");
            let to = words.iter().rposition(|word| word == behind);
            let (Some(on), Some(role)) = (on, to.and_then(|to| words.get(to + 1))) else {
                continue;
            };
            let role = unquoted(role);
            for right in rights(&words[1..on]) {
                let right = (role.clone(), right);
                if is_grant {
                    self.revoked.remove(&right);
                    self.granted.insert(right);
                } else {
                    self.granted.remove(&right);
                    self.revoked.insert(right);
                }
            }
        }
    }
}

fn key(table: &Table) -> TableName {
    table_name(table.schema.as_bytes(), table.name.as_bytes())
}

fn table_name(schema: &[u8], name: &[u8]) -> TableName {
    (schema.to_owned(), name.to_owned())
}

fn split_at_space(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = name.iter().position(|byte| *byte == b' ')?;
    Some((&name[..at], &name[at + 1..]))
}

/// The rights in a list of words, of which those in parentheses are columns.
fn rights(words: &[String]) -> Vec<String> {
    let mut depth = 0;
    let mut rights = Vec::new();
    for word in words {
        match word.as_str() {
            "(" => depth += 1,
            ")" => depth -= 1,
            "ALL" if depth == 0 => rights.extend(ALL.map(str::to_owned)),
            "," | "PRIVILEGES" | "GRANT" | "OPTION" | "FOR" => {}
            right if depth == 0 => rights.push(right.to_uppercase()),
            _ => {}
        }
    }
    rights
}

/// Words, quoted names with their quotes, and marks.
fn words(sql: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = sql.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => {
                // Two quotes within stand for one.
                let mut end = 1;
                loop {
                    match rest[end..].find('"') {
                        Some(quote) if rest[end + quote + 1..].starts_with('"') => end += quote + 2,
                        Some(quote) => break end + quote + 1,
                        None => break rest.len(),
                    }
                }
            }
            '(' | ')' | ',' | ';' | '.' => 1,
            _ => rest
                .find(|c: char| c.is_whitespace() || "(),;.\"".contains(c))
                .unwrap_or(rest.len()),
        };
        words.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    words
}

fn unquoted(word: &str) -> String {
    let quoted = word.strip_prefix('"').and_then(|word| word.strip_suffix('"'));
    quoted.map_or_else(|| word.to_owned(), |quoted| quoted.replace("\"\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql: &str, expected: &[&str]) {
        let mut rights = Rights::default();
        rights.run(sql.as_bytes());
        let found: Vec<String> = rights
            .granted
            .iter()
            .map(|(role, right)| format!("{role} {right}"))
            .collect();
        assert_eq!(found, expected, "{sql}");
    }

    #[test]
    fn grants_are_followed() {
        check("GRANT SELECT ON TABLE public.users TO app;", &["app SELECT"]);
        check(
            "GRANT SELECT,INSERT ON TABLE public.users TO app WITH GRANT OPTION;",
            &["app INSERT", "app SELECT"],
        );
        check(
            "GRANT SELECT(id), UPDATE(\"SELECT\",b) ON TABLE s.t TO app;",
            &["app SELECT", "app UPDATE"],
        );
        check(
            "GRANT SELECT ON TABLE s.\"a TO b\" TO \"the \"\"app\"\" TO\";",
            &["the \"app\" TO SELECT"],
        );
        check("GRANT SELECT ON TABLE s.t TO PUBLIC;", &["PUBLIC SELECT"]);
        check(
            "REVOKE ALL ON TABLE s.t FROM owner;\nGRANT SELECT ON TABLE s.t TO owner;\n",
            &["owner SELECT"],
        );
        check(
            "GRANT ALL ON TABLE s.t TO app;\nREVOKE DELETE ON TABLE s.t FROM app;",
            &[
                "app INSERT",
                "app MAINTAIN",
                "app REFERENCES",
                "app SELECT",
                "app TRIGGER",
                "app TRUNCATE",
                "app UPDATE",
            ],
        );
        check(
            "SET SESSION AUTHORIZATION other;\nGRANT SELECT ON TABLE s.t TO app;\nRESET SESSION AUTHORIZATION;",
            &["app SELECT"],
        );
        check("", &[]);
        check("GRANT", &[]);
        check("GRANT \"", &[]);
    }
}
