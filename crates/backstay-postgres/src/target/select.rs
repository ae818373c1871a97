//! Which entries and tables of a backup are restored when only a part is wanted.

use std::collections::{HashMap, HashSet};

use backstay_core::manifest::{Entry, Manifest};

/// A part of a backup. With neither tables nor schemas it is the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreSelection {
    /// Tables as `schema.table` or `table`; `*` and `?` stand for any characters and any character.
    pub tables: Vec<String>,
    /// Schemas, with everything in them.
    pub schemas: Vec<String>,
}

/// What a selection comes to.
#[derive(Clone, Debug, Default)]
pub(super) struct Selected {
    /// Indexes of the entries to restore.
    pub(super) entries: HashSet<usize>,
    /// Indexes of the tables whose rows are restored.
    pub(super) tables: HashSet<usize>,
    /// Patterns that nothing matches.
    pub(super) unmatched: Vec<String>,
}

/// Kinds whose entries stand for themselves: they are restored when selected or needed, and never only because they
/// need something that is restored.
const OBJECTS: &[&str] = &[
    "TABLE",
    "FOREIGN TABLE",
    "VIEW",
    "MATERIALIZED VIEW",
    "SCHEMA",
    "EXTENSION",
    "PUBLICATION",
];

/// Kinds that belong to the tables they depend on.
const ATTACHED: &[&str] = &[
    "ACL",
    "CHECK CONSTRAINT",
    "COMMENT",
    "CONSTRAINT",
    "DEFAULT",
    "FK CONSTRAINT",
    "INDEX",
    "INDEX ATTACH",
    "POLICY",
    "ROW SECURITY",
    "RULE",
    "SECURITY LABEL",
    "SEQUENCE",
    "SEQUENCE OWNED BY",
    "STATISTICS",
    "TABLE ATTACH",
    "TRIGGER",
];

impl RestoreSelection {
    /// Whether nothing is left out.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.tables.is_empty() && self.schemas.is_empty()
    }

    pub(super) fn select(&self, manifest: &Manifest) -> Selected {
        if self.is_whole() {
            return Selected {
                entries: (0..manifest.entries.len()).collect(),
                tables: (0..manifest.tables.len()).collect(),
                unmatched: Vec::new(),
            };
        }
        let mut selected = Selected::default();
        let mut matched: HashSet<&str> = HashSet::new();
        for (index, table) in manifest.tables.iter().enumerate() {
            let (schema, name) = (table.schema.to_lossy(), table.name.to_lossy());
            let hits = self
                .tables
                .iter()
                .filter(|pattern| names_table(pattern, &schema, &name));
            let hits = hits.chain(self.schemas.iter().filter(|pattern| glob(pattern, &schema)));
            for pattern in hits {
                matched.insert(pattern);
                selected.tables.insert(index);
            }
        }
        for (index, entry) in manifest.entries.iter().enumerate() {
            let schema = entry.schema.as_ref().map(|schema| schema.to_lossy());
            let name = entry.name.to_lossy();
            let of_schema = |pattern: &&String| match &schema {
                Some(schema) => glob(pattern, schema),
                None => entry.kind == "SCHEMA" && glob(pattern, &name),
            };
            let is_table = OBJECTS[..4].contains(&entry.kind.as_str());
            let of_table = |pattern: &&String| {
                is_table
                    && schema
                        .as_ref()
                        .is_some_and(|schema| names_table(pattern, schema, &name))
            };
            let hits: Vec<&String> = self
                .schemas
                .iter()
                .filter(of_schema)
                .chain(self.tables.iter().filter(of_table))
                .collect();
            if !hits.is_empty() {
                selected.entries.insert(index);
                matched.extend(hits.iter().map(|pattern| pattern.as_str()));
            }
        }
        close(&manifest.entries, &mut selected.entries);
        let patterns = self.tables.iter().chain(&self.schemas);
        selected.unmatched = patterns
            .filter(|pattern| !matched.contains(pattern.as_str()))
            .cloned()
            .collect();
        selected
    }
}

/// Adds what the chosen entries need, and what belongs to them and needs nothing that is left out.
fn close(entries: &[Entry], chosen: &mut HashSet<usize>) {
    let by_id: HashMap<i32, usize> = entries
        .iter()
        .enumerate()
        .map(|(index, entry)| (entry.id, index))
        .collect();
    let by_schema: HashMap<&[u8], usize> = entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.kind == "SCHEMA")
        .map(|(index, entry)| (entry.name.as_bytes(), index))
        .collect();
    loop {
        let before = chosen.len();
        let mut stack: Vec<usize> = chosen.iter().copied().collect();
        while let Some(index) = stack.pop() {
            let entry = &entries[index];
            let schema = entry
                .schema
                .as_ref()
                .and_then(|schema| by_schema.get(schema.as_bytes()))
                .copied();
            let needed = entry.dependencies.iter().filter_map(|id| by_id.get(id).copied());
            for needed in needed.chain(schema) {
                let is_relation = OBJECTS[..4].contains(&entries[needed].kind.as_str());
                // A view needs its tables; a table does not need the one that it refers to or inherits from, which is
                // for the person to choose.
                if (!is_relation || entry.kind.ends_with("VIEW")) && chosen.insert(needed) {
                    stack.push(needed);
                }
            }
        }
        for (index, entry) in entries.iter().enumerate() {
            if chosen.contains(&index) || !ATTACHED.contains(&entry.kind.as_str()) {
                continue;
            }
            let mut needed = entry.dependencies.iter().filter_map(|id| by_id.get(id));
            let belongs = needed.clone().any(|needed| chosen.contains(needed));
            let whole =
                needed.all(|needed| chosen.contains(needed) || !OBJECTS.contains(&entries[*needed].kind.as_str()));
            if belongs && whole {
                chosen.insert(index);
            }
        }
        if chosen.len() == before {
            return;
        }
    }
}

fn names_table(pattern: &str, schema: &str, name: &str) -> bool {
    match pattern.split_once('.') {
        Some((of_schema, of_name)) => glob(of_schema, schema) && glob(of_name, name) || glob(pattern, name),
        None => glob(pattern, name),
    }
}

/// Whether a text is as a pattern with `*` and `?` says.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) && pattern[p] != '*' {
            p += 1;
            t += 1;
        } else if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
        } else if let Some((at, from)) = star {
            p = at + 1;
            t = from + 1;
            star = Some((at, from + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::{glob, names_table};

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("users", "users", true),
            ("users", "user", false),
            ("u*", "users", true),
            ("*s", "users", true),
            ("u?ers", "users", true),
            ("*", "", true),
            ("?", "", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
            ("ü*", "über", true),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
        assert!(names_table("public.users", "public", "users"));
        assert!(names_table("a.b", "x", "a.b"));
        assert!(!names_table("app.users", "public", "users"));
    }
}
