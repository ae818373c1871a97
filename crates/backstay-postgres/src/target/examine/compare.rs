use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use backstay_core::DbText;

use super::entry_name;
use crate::source::Definition;

/// Something that is different in a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// What kind of thing.
    pub kind: DifferenceKind,
    /// Which, for people.
    pub what: String,
    /// What the backup says; `None` where it has none.
    pub expected: Option<String>,
    /// What is there; `None` where nothing is.
    pub found: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.expected, &self.found) {
            (Some(expected), Some(found)) => write!(f, "{}: {expected} in the backup, {found} here", self.what),
            (Some(_), None) => write!(f, "{}: in the backup, and not here", self.what),
            (None, _) => write!(f, "{}: here, and not in the backup", self.what),
        }
    }
}

/// What can be different in a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DifferenceKind {
    /// A table is not there.
    Table,
    /// The columns of a table.
    Columns,
    /// Row level security of a table.
    RowSecurity,
    /// A policy of a table.
    Policy,
    /// An index of a table.
    Index,
    /// An extension is not there, or in another schema.
    Extension,
    /// An extension has another version.
    ExtensionVersion,
    /// A setting of the database.
    Setting,
    /// Any other definition.
    Definition,
}

/// Whether the text of definitions says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statements {
    Compared,
    /// They were written by programs of different versions.
    Ignored,
}

/// The bytes of a definition that a difference shows.
const SHOWN_BYTES: usize = 400;

/// Kinds whose presence the catalogs tell already. They tell that of indexes of tables too, but not of materialized views.
const TOLD: &[&str] = &["POLICY", "EXTENSION"];

type Name<'d> = (&'d str, Option<&'d [u8]>, &'d [u8]);

/// What is different between two lists of definitions. Several of one name are compared as a set. That one of the `told` indexes
/// (schema and name) is on one side only is known already.
pub(super) fn compare(
    expected: &[Definition],
    found: &[Definition],
    statements: Statements,
    told: &BTreeSet<(DbText, DbText)>,
) -> Vec<Difference> {
    let mut names: BTreeMap<Name<'_>, (Vec<&Definition>, Vec<&Definition>)> = BTreeMap::new();
    for definition in expected {
        names.entry(name(definition)).or_default().0.push(definition);
    }
    for definition in found {
        names.entry(name(definition)).or_default().1.push(definition);
    }
    let mut differences = Vec::new();
    for ((kind, ..), (expected, found)) in names {
        let (mut left, mut right): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (texts(&expected), texts(&found));
        let same_number = left.len() == right.len();
        if (same_number && statements == Statements::Ignored) || left == right {
            continue;
        }
        let is_presence = left.is_empty() || right.is_empty();
        let of = expected.first().or(found.first());
        let is_told_index = |definition: &Definition| {
            let schema = definition.schema.clone();
            kind == "INDEX" && schema.is_some_and(|schema| told.contains(&(schema, definition.name.clone())))
        };
        if is_presence && (TOLD.contains(&kind) || of.is_some_and(|definition| is_told_index(definition)))
            || is_told_table(kind, &left, &right)
        {
            continue;
        }
        left.retain(|text| match right.iter().position(|other| other == text) {
            Some(same) => {
                right.remove(same);
                false
            }
            None => true,
        });
        differences.extend(of.map(|definition| Difference {
            kind: match kind {
                "POLICY" => DifferenceKind::Policy,
                "ROW SECURITY" => DifferenceKind::RowSecurity,
                "INDEX" => DifferenceKind::Index,
                _ => DifferenceKind::Definition,
            },
            what: entry_name(kind, definition.schema.as_ref(), &definition.name),
            expected: in_clear(kind, &left),
            found: in_clear(kind, &right),
        }));
    }
    differences
}

/// A table that is not there, or a switch of row level security, is told by the catalogs.
fn is_told_table(kind: &str, expected: &[Vec<u8>], found: &[Vec<u8>]) -> bool {
    match kind {
        "TABLE" => found.is_empty(),
        "ROW SECURITY" => expected.len() != found.len(),
        _ => false,
    }
}

fn name(definition: &Definition) -> Name<'_> {
    (
        &definition.kind,
        definition.schema.as_ref().map(DbText::as_bytes),
        definition.name.as_bytes(),
    )
}

fn texts(definitions: &[&Definition]) -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = definitions
        .iter()
        .map(|definition| match definition.kind.as_str() {
            "ACL" | "DEFAULT ACL" => in_any_order(&definition.sql),
            _ => [&definition.sql[..], &definition.owner].concat(),
        })
        .collect();
    texts.sort_unstable();
    texts
}

/// Grants, sorted: the order in which a server lists them is that in which they were given. What stands between `SET SESSION
/// AUTHORIZATION` and `RESET` stays together, for it tells who gave them.
fn in_any_order(sql: &[u8]) -> Vec<u8> {
    let mut grants: Vec<Vec<u8>> = Vec::new();
    let mut is_open = false;
    for line in sql.split_inclusive(|&byte| byte == b'\n') {
        match grants.last_mut().filter(|_| is_open) {
            Some(grant) => grant.extend_from_slice(line),
            None => grants.push(line.to_vec()),
        }
        is_open = match line.starts_with(b"SET SESSION AUTHORIZATION ") {
            true => true,
            false => is_open && !line.starts_with(b"RESET SESSION AUTHORIZATION"),
        };
    }
    grants.sort_unstable();
    grants.concat()
}

fn in_clear(kind: &str, texts: &[Vec<u8>]) -> Option<String> {
    match kind {
        "VAULT SECRET" => (!texts.is_empty()).then(|| "a secret".to_owned()),
        _ => shown(texts),
    }
}

fn shown(texts: &[Vec<u8>]) -> Option<String> {
    if texts.is_empty() {
        return None;
    }
    let text = String::from_utf8_lossy(&texts.concat()).trim().to_owned();
    let end = text.char_indices().map(|(at, _)| at).find(|&at| at >= SHOWN_BYTES);
    Some(match end {
        Some(end) => format!("{}…", &text[..end]),
        // An entry without statements, such as that of a grant that is none.
        None if text.is_empty() => "there".to_owned(),
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use backstay_core::manifest::Stage;

    use super::*;

    fn definition(kind: &str, name: &str, sql: &str) -> Definition {
        Definition {
            kind: kind.to_owned(),
            schema: Some(DbText::from("public")),
            name: DbText::from(name),
            stage: Stage::PreData,
            sql: sql.as_bytes().to_vec(),
            owner: Vec::new(),
        }
    }

    fn compared(expected: &[(&str, &str, &str)], found: &[(&str, &str, &str)], statements: Statements) -> Vec<String> {
        let all = |list: &[(&str, &str, &str)]| -> Vec<Definition> {
            list.iter()
                .map(|(kind, name, sql)| definition(kind, name, sql))
                .collect()
        };
        let told = BTreeSet::from([(DbText::from("public"), DbText::from("told"))]);
        let differences = compare(&all(expected), &all(found), statements, &told);
        let tell = |d: Difference| {
            format!(
                "{}: {} / {}",
                d.what,
                d.expected.unwrap_or_default(),
                d.found.unwrap_or_default()
            )
        };
        differences.into_iter().map(tell).collect()
    }

    #[test]
    fn what_is_there_on_one_side_only_and_what_reads_otherwise_is_told() {
        let view = ("VIEW", "v", "CREATE VIEW v");
        let other = ("VIEW", "v", "CREATE OTHER VIEW v");
        for (expected, found, by_text, by_name) in [
            (vec![view], vec![view], vec![], vec![]),
            (
                vec![view],
                vec![],
                vec!["VIEW public.v: CREATE VIEW v / "],
                vec!["VIEW public.v: CREATE VIEW v / "],
            ),
            (
                vec![],
                vec![view],
                vec!["VIEW public.v:  / CREATE VIEW v"],
                vec!["VIEW public.v:  / CREATE VIEW v"],
            ),
            (
                vec![view],
                vec![other],
                vec!["VIEW public.v: CREATE VIEW v / CREATE OTHER VIEW v"],
                vec![],
            ),
            // Order does not matter, and of several only those that differ are shown.
            (vec![view, other], vec![other, view], vec![], vec![]),
            (
                vec![view, other],
                vec![view],
                vec!["VIEW public.v: CREATE OTHER VIEW v / "],
                vec!["VIEW public.v: CREATE OTHER VIEW v / "],
            ),
            // The catalogs tell these.
            (vec![("POLICY", "t p", "x")], vec![], vec![], vec![]),
            (vec![("TABLE", "t", "x")], vec![], vec![], vec![]),
            (vec![("INDEX", "told", "x")], vec![], vec![], vec![]),
            (
                vec![("INDEX", "i", "x")],
                vec![],
                vec!["INDEX public.i: x / "],
                vec!["INDEX public.i: x / "],
            ),
            (
                vec![("POLICY", "t p", "x")],
                vec![("POLICY", "t p", "y")],
                vec!["POLICY public.t p: x / y"],
                vec![],
            ),
        ] {
            assert_eq!(
                compared(&expected, &found, Statements::Compared),
                by_text,
                "{expected:?} {found:?}"
            );
            assert_eq!(
                compared(&expected, &found, Statements::Ignored),
                by_name,
                "{expected:?} {found:?}"
            );
        }
    }

    #[test]
    fn long_definitions_are_cut() {
        let long = "é".repeat(1000);
        let shown = shown(&[long.into_bytes()]).unwrap();
        assert_eq!(shown, format!("{}…", "é".repeat(200)));
    }
}
