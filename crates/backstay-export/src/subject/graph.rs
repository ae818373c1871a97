//! Tables, and what refers to what.

use std::collections::{BTreeMap, BTreeSet};

use backstay_core::sql::quote_literal;
use backstay_postgres::{Row, WireConnection};

use super::{Subject, SubjectLink};
use crate::error::ExportError;

/// The tables that can have rows of the person, and the ways to them.
pub(super) struct Graph {
    tables: BTreeMap<u32, Table>,
    edges: Vec<Edge>,
    /// The roots of the tables that say of each person one thing.
    persons: BTreeSet<u32>,
    /// The table that was named, and the condition for its row.
    pub(super) subject: u32,
    pub(super) condition: String,
}

/// A table, or a partition of one.
pub(super) struct Table {
    /// Schema and name, quoted where SQL needs that.
    pub(super) name: String,
    is_partitioned: bool,
    /// The table that it is a partition of.
    parent: Option<u32>,
}

/// Columns of one table that refer to columns of another.
pub(super) struct Edge {
    from: u32,
    to: u32,
    columns: Vec<EdgeColumn>,
    /// Whether each row that is referred to has but one of these.
    is_one_to_one: bool,
    /// Whether it is one row with that which it refers to: the primary key refers.
    is_of_primary_key: bool,
}

struct EdgeColumn {
    from: String,
    to: String,
    operator: String,
}

const CANNOT: &str = "read what refers to what";

fn text(row: &Row, column: usize) -> String {
    String::from_utf8_lossy(row.get(column).unwrap_or_default()).into_owned()
}

fn oid(row: &Row, column: usize) -> u32 {
    text(row, column).parse().unwrap_or(0)
}

impl Graph {
    /// Reads it, and locks every table that it will lead to.
    pub(super) fn read(
        connection: &mut WireConnection,
        subject: &Subject,
        links: &[SubjectLink],
    ) -> Result<Self, ExportError> {
        let tables = tables(connection)?;
        let mut graph = Self {
            edges: foreign_keys(connection)?,
            tables,
            persons: BTreeSet::new(),
            subject: 0,
            condition: String::new(),
        };
        for link in links {
            let (from, from_column) = graph.column(connection, &link.from)?;
            let (to, to_column) = graph.column(connection, &link.to)?;
            graph.edges.push(Edge {
                from,
                to,
                columns: vec![EdgeColumn {
                    from: from_column,
                    to: to_column,
                    operator: "=".to_owned(),
                }],
                is_one_to_one: false,
                is_of_primary_key: false,
            });
        }
        let mut conditions = Vec::new();
        for (path, value) in &subject.conditions {
            let (table, column) = graph.column(connection, path)?;
            if graph.subject != 0 && graph.subject != table {
                return Err(ExportError::NoSuchColumn {
                    subject: graph.name(graph.subject).to_owned(),
                    column: path.clone(),
                });
            }
            graph.subject = table;
            let literal = String::from_utf8_lossy(&quote_literal(value.as_bytes())).into_owned();
            conditions.push(format!("t.{column} = {literal}"));
        }
        graph.condition = conditions.join(" AND ");
        graph.find_persons();
        if let Some(to) = graph.adds_to() {
            return Err(ExportError::SubjectAdds {
                table: graph.name(graph.subject).to_owned(),
                to: graph.name(to).to_owned(),
            });
        }
        for table in graph.reachable() {
            let sql = format!("SELECT FROM {} LIMIT 0", graph.name(table));
            connection
                .execute(sql.as_bytes())
                .map_err(ExportError::wire(format!("read {}", graph.name(table))))?;
        }
        Ok(graph)
    }

    pub(super) fn name(&self, table: u32) -> &str {
        self.tables.get(&table).map_or("?", |table| table.name.as_str())
    }

    /// What stands behind FROM for a table: rows of tables that inherit from it are not its own, those of partitions are.
    pub(super) fn readable(&self, table: u32) -> String {
        match self.tables.get(&table) {
            Some(found) if !found.is_partitioned => format!("ONLY {}", found.name),
            _ => self.name(table).to_owned(),
        }
    }

    /// The table itself, and those that it is a partition of, outwards.
    fn ancestry(&self, table: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(Some(table), |table| self.tables.get(table)?.parent)
    }

    /// The table that a partition is of in the end.
    pub(super) fn root(&self, table: u32) -> u32 {
        self.ancestry(table).last().unwrap_or(table)
    }

    pub(super) fn is_of_persons(&self, table: u32) -> bool {
        self.persons.contains(&self.root(table))
    }

    /// The edges by which rows of other tables refer to rows that are stored in this one, if they may be followed.
    pub(super) fn edges_to(&self, stored: u32) -> impl Iterator<Item = &Edge> {
        let ancestry: Vec<u32> = self.ancestry(stored).collect();
        self.edges
            .iter()
            .filter(move |edge| ancestry.contains(&edge.to) && self.may_be_followed(edge))
    }

    /// A row in a table of persons is somebody: only what makes it one of these leads to it.
    fn may_be_followed(&self, edge: &Edge) -> bool {
        !self.is_of_persons(edge.from) || self.defines(edge)
    }

    fn defines(&self, edge: &Edge) -> bool {
        edge.is_one_to_one && self.is_of_persons(edge.to) && self.root(edge.from) != self.root(edge.to)
    }

    fn find_persons(&mut self) {
        let mut persons = BTreeSet::from([self.root(self.subject)]);
        loop {
            let more: Vec<u32> = self
                .edges
                .iter()
                .filter(|edge| edge.is_one_to_one && persons.contains(&self.root(edge.to)))
                .map(|edge| self.root(edge.from))
                .filter(|root| !persons.contains(root))
                .collect();
            if more.is_empty() {
                break;
            }
            persons.extend(more);
        }
        self.persons = persons;
    }

    /// The table that the subject's only adds to, if there is one. What refers to a row there is not found from here, and a
    /// row that names another person there would not be seen to be that one's.
    fn adds_to(&self) -> Option<u32> {
        let subject = self.root(self.subject);
        self.edges
            .iter()
            .filter(|edge| edge.is_one_to_one && edge.is_of_primary_key && self.root(edge.from) == subject)
            .map(|edge| self.root(edge.to))
            .find(|root| !self.persons.contains(root))
    }

    /// The tables that edges lead to, beginning at the subject.
    fn reachable(&self) -> BTreeSet<u32> {
        let mut found = BTreeSet::from([self.subject]);
        let mut next = vec![self.subject];
        while let Some(table) = next.pop() {
            let root = self.root(table);
            let edges = self
                .edges
                .iter()
                .filter(|edge| self.root(edge.to) == root && self.may_be_followed(edge));
            for edge in edges {
                if found.insert(edge.from) {
                    next.push(edge.from);
                }
            }
        }
        found
    }

    /// The query for the rows that refer by an edge to those rows of a table.
    pub(super) fn referring(&self, edge: &Edge, stored: u32, ctids: &str) -> String {
        let mut sql = format!(
            "SELECT c.tableoid, c.ctid FROM {} c WHERE EXISTS (SELECT FROM ONLY {} p WHERE p.ctid = ANY ('{ctids}'::tid[])",
            self.readable(edge.from),
            self.name(stored),
        );
        for column in &edge.columns {
            sql.push_str(&format!(" AND p.{} {} c.{}", column.to, column.operator, column.from));
        }
        sql.push(')');
        if !self.is_of_persons(stored) {
            // What names another person is that person's; what names this one is found by that.
            let ancestry: Vec<u32> = self.ancestry(edge.from).collect();
            let naming = self
                .edges
                .iter()
                .filter(|other| ancestry.contains(&other.from) && self.is_of_persons(other.to));
            for other in naming {
                let nulls: Vec<String> = other
                    .columns
                    .iter()
                    .map(|column| format!("c.{} IS NULL", column.from))
                    .collect();
                sql.push_str(&format!(" AND ({})", nulls.join(" OR ")));
            }
        }
        sql
    }

    /// For people: `orders.user_id = users.id`.
    pub(super) fn describe(&self, edge: &Edge) -> String {
        let side = |table: u32, columns: Vec<&str>| match columns[..] {
            [column] => format!("{}.{column}", self.name(table)),
            _ => format!("{}.({})", self.name(table), columns.join(", ")),
        };
        format!(
            "{} = {}",
            side(
                edge.from,
                edge.columns.iter().map(|column| column.from.as_str()).collect()
            ),
            side(edge.to, edge.columns.iter().map(|column| column.to.as_str()).collect()),
        )
    }

    /// A table and a column of it, quoted, by what a person wrote.
    fn column(&self, connection: &mut WireConnection, path: &str) -> Result<(u32, String), ExportError> {
        let literal = String::from_utf8_lossy(&quote_literal(path.as_bytes())).into_owned();
        let doing = || ExportError::wire(format!("find the column {path}"));
        let rows = connection
            .query(
                format!(
                    "SELECT a.attrelid, pg_catalog.quote_ident(a.attname) \
                     FROM (SELECT pg_catalog.parse_ident({literal}) AS parts) p \
                     CROSS JOIN LATERAL (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(part), '.' ORDER BY place) AS name \
                     FROM pg_catalog.unnest(parts[:pg_catalog.cardinality(parts) - 1]) WITH ORDINALITY u (part, place)) t \
                     JOIN pg_catalog.pg_attribute a ON a.attrelid = t.name::pg_catalog.regclass \
                     AND a.attname = parts[pg_catalog.cardinality(parts)] AND a.attnum > 0 AND NOT a.attisdropped"
                )
                .as_bytes(),
            )
            .map_err(doing())?;
        let found = rows.first().map(|row| (oid(row, 0), text(row, 1)));
        found
            .filter(|(table, _)| self.tables.contains_key(table))
            .ok_or_else(|| {
                let (table, column) = path.rsplit_once('.').unwrap_or(("", path));
                ExportError::NoSuchColumn {
                    subject: table.to_owned(),
                    column: column.to_owned(),
                }
            })
    }
}

fn tables(connection: &mut WireConnection) -> Result<BTreeMap<u32, Table>, ExportError> {
    let rows = connection
        .query(
            b"SELECT c.oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), c.relkind = 'p', \
              (SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid AND c.relispartition) \
              FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
              WHERE c.relkind IN ('r', 'p')",
        )
        .map_err(ExportError::wire(CANNOT))?;
    let table = |row: &Row| Table {
        name: text(row, 1),
        is_partitioned: row.get(2) == Some(b"t"),
        parent: row.get(3).map(|_| oid(row, 3)),
    };
    Ok(rows.iter().map(|row| (oid(row, 0), table(row))).collect())
}

/// All foreign keys but those that partitions have from the table that they are of.
fn foreign_keys(connection: &mut WireConnection) -> Result<Vec<Edge>, ExportError> {
    let rows = connection
        .query(
            b"SELECT f.oid, f.conrelid, f.confrelid, pg_catalog.quote_ident(a.attname), pg_catalog.quote_ident(b.attname), \
              'OPERATOR(' || pg_catalog.quote_ident(n.nspname) || '.' || o.oprname || ')', \
              EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = f.conrelid AND i.indisunique \
              AND i.indpred IS NULL AND i.indexprs IS NULL \
              AND (i.indisprimary OR NOT EXISTS (SELECT FROM pg_catalog.pg_index p \
              WHERE p.indrelid = f.conrelid AND p.indisprimary AND p.indkey::pg_catalog.int2[] <@ ANY \
              (SELECT g.conkey FROM pg_catalog.pg_constraint g WHERE g.conrelid = f.conrelid AND g.contype = 'f'))) \
              AND (i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1] <@ f.conkey \
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute u WHERE u.attrelid = f.conrelid \
              AND u.attnum = ANY (f.conkey) AND NOT u.attnotnull)), \
              EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = f.conrelid AND i.indisprimary \
              AND (i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1] <@ f.conkey) \
              FROM pg_catalog.pg_constraint f \
              CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(f.conkey), pg_catalog.unnest(f.confkey), \
              pg_catalog.unnest(f.conpfeqop)) WITH ORDINALITY k (ck, pk, op, place) \
              JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.ck \
              JOIN pg_catalog.pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = k.pk \
              JOIN pg_catalog.pg_operator o ON o.oid = k.op JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace \
              WHERE f.contype = 'f' AND f.conparentid = 0 ORDER BY f.oid, k.place",
        )
        .map_err(ExportError::wire(CANNOT))?;
    let mut edges: Vec<Edge> = Vec::new();
    for key in rows.chunk_by(|a, b| a.get(0) == b.get(0)) {
        edges.extend(key.first().map(|first| {
            Edge {
                from: oid(first, 1),
                to: oid(first, 2),
                columns: key
                    .iter()
                    .map(|row| EdgeColumn {
                        from: text(row, 3),
                        to: text(row, 4),
                        operator: text(row, 5),
                    })
                    .collect(),
                is_one_to_one: first.get(6) == Some(b"t"),
                is_of_primary_key: first.get(7) == Some(b"t"),
            }
        }));
    }
    Ok(edges)
}
