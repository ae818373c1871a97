//! A small backup that holds one of everything, made without a server, for tests to publish, to change and to damage.

use std::sync::Arc;

use backstay_core::manifest::{
    Chunk, Column, Entry, Extension, LargeObjects, Manifest, MemberContent, Omission, Persistence, ROWS_FOOTER,
    Refresh, RowBlock, RowSecurity, Sequence, Source, Span, Stage, Table, TableKind, TableRows,
};
use backstay_core::repository::{BackupReader, PublishedBackup, ReadBack};
use backstay_core::sql::{quote_identifier, quote_qualified, settings_text};
use backstay_core::store::Store;
use backstay_core::{BackupId, Compression, DbText, MemberEncoder, Repository, RowDigest, RowHasher};

/// A backup before it is written: change what a test needs changed, then [`publish`](Self::publish) it.
///
/// The members that the manifest lists come from [`members`](Self::members), in that order; the manifest's own lists of
/// packs and members are ignored. What the manifest says of rows is not computed again, so that text and manifest can be
/// made to disagree.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests change every part of it")]
pub struct SampleBackup {
    /// How it will be compressed.
    pub compression: Compression,
    /// What it will say of itself.
    pub manifest: Manifest,
    /// Its texts with what each is.
    pub members: Vec<(MemberContent, Vec<u8>)>,
}

impl SampleBackup {
    /// The database `kulti`, with ordinary, chunked, partitioned, foreign and extension tables, keys, indexes, policies,
    /// large objects, sequences, a materialized view, grants, an event trigger and globals.
    ///
    /// # Panics
    /// Never, unless this fixture is broken.
    #[must_use]
    pub fn kulti(id: &str, compression: Compression) -> Self {
        let id: BackupId = id.parse().unwrap();
        let mut sample = Self {
            compression,
            manifest: manifest(id, compression),
            members: Vec::new(),
        };
        sample.push(MemberContent::Settings, settings_text("UTF8"));
        let globals = b"-- Roles and tablespaces of the cluster; psql passes over them.\n--G CREATE ROLE app;\n";
        sample.push(MemberContent::Globals, globals.to_vec());
        sample.add_schema(Stage::PreData, PRE_DATA);
        sample.add_rows(0, Chunk::default(), b"1\tanna@example.org\n2\t\\N\n3\tit's \\\\.\n");
        let first = Chunk {
            end_page: Some(512),
            ..Chunk::default()
        };
        sample.add_rows(1, first, b"10\t1\t9.50\n11\t1\t0.10\n12\t2\t7.00\n");
        sample.add_rows(1, Chunk { part: 1, ..first }, b"13\t3\t1.00\n");
        let last = Chunk {
            first_page: 512,
            end_page: None,
            part: 0,
        };
        sample.add_rows(1, last, b"14\t2\t3.25\n15\t2\t3.25\n");
        sample.add_rows(4, Chunk::default(), b"red\t1\nblue\t2\n");
        sample.add_rows(6, Chunk::default(), b"4326\tWGS 84\n");
        sample.add_rows(7, Chunk::default(), b"\n\n\n");
        sample.push(MemberContent::LargeObjects, LARGE_OBJECTS.as_bytes().to_vec());
        let sequences = b"SELECT pg_catalog.setval('\"public\".\"orders_id_seq\"', 15, true);\n".to_vec();
        sample.push(MemberContent::Sequences, sequences);
        sample.add_schema(Stage::PostData, POST_DATA);
        sample.add_schema(Stage::Privileges, PRIVILEGES);
        let refresh = b"REFRESH MATERIALIZED VIEW \"public\".\"totals\";\n".to_vec();
        sample.push(MemberContent::Refreshes, refresh);
        sample.add_schema(Stage::Last, LAST);
        sample
    }

    /// The same with so many members more, each of rows with so many bytes that cannot be compressed to much less than half.
    ///
    /// # Panics
    /// Where it has no table for them any more.
    #[must_use]
    pub fn with_bulk(mut self, members: u32, bytes: usize) -> Self {
        let mut state = 1_u64;
        for member in 0..members {
            let mut rows = Vec::new();
            while rows.len() < bytes {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                rows.extend_from_slice(format!("{state:016x}\n").as_bytes());
            }
            let chunk = Chunk {
                first_page: member * 8,
                end_page: Some(member * 8 + 8),
                part: 0,
            };
            self.add_rows(2, chunk, &rows);
        }
        self
    }

    /// Adds a member at the end.
    pub fn push(&mut self, content: MemberContent, text: Vec<u8>) {
        self.members.push((content, text));
    }

    /// Puts a member before the one of that index.
    ///
    /// # Panics
    /// Where the index is beyond the end.
    pub fn insert(&mut self, index: usize, content: MemberContent, text: Vec<u8>) {
        self.members.insert(index, (content, text));
        self.renumber(|member| if member as usize >= index { member + 1 } else { member });
    }

    /// Takes a member out; entries whose SQL it held are left without.
    ///
    /// # Panics
    /// Where there is no such member.
    pub fn remove(&mut self, index: usize) {
        self.members.remove(index);
        for entry in &mut self.manifest.entries {
            for span in [&mut entry.definition, &mut entry.owner_statement] {
                span.take_if(|span| span.member as usize == index);
            }
        }
        self.renumber(|member| if member as usize > index { member - 1 } else { member });
    }

    /// Adds a member with rows, each ended by a line feed, behind those there are, and counts them in the manifest.
    ///
    /// # Panics
    /// Where there is no such table, or it is said to have no rows in the backup.
    pub fn add_rows(&mut self, table: u32, chunk: Chunk, rows: &[u8]) {
        let header = copy_statement(&self.manifest, table);
        let mut added = RowDigest::default();
        added.add_lines(rows);
        let TableRows::Included { digest, text_bytes } = &mut self.manifest.tables[table as usize].rows else {
            panic!("table {table} has no rows in the backup");
        };
        digest.merge(&added);
        *text_bytes += rows.len() as u64;
        let block = RowBlock {
            table,
            header_bytes: u32::try_from(header.len()).unwrap(),
            digest: added,
            chunk,
        };
        let comes_before = |content: &MemberContent| {
            matches!(
                content,
                MemberContent::Settings
                    | MemberContent::Globals
                    | MemberContent::Schema(Stage::PreData)
                    | MemberContent::Rows(_)
            )
        };
        let behind = self.members.iter().position(|(content, _)| !comes_before(content));
        let text = [&header, rows, ROWS_FOOTER].concat();
        self.insert(behind.unwrap_or(self.members.len()), MemberContent::Rows(block), text);
    }

    /// Takes the rows of a table out of the backup, as if it had been empty.
    ///
    /// # Panics
    /// Where there is no such table.
    pub fn remove_rows(&mut self, table: u32) {
        let is_its = |content: &MemberContent| matches!(content, MemberContent::Rows(block) if block.table == table);
        while let Some(index) = self.members.iter().position(|(content, _)| is_its(content)) {
            self.remove(index);
        }
        self.manifest.tables[table as usize].rows = TableRows::Included {
            digest: RowDigest::default(),
            text_bytes: 0,
        };
    }

    /// The index of the first member of which `is` is true.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn member(&self, is: impl Fn(&MemberContent) -> bool) -> usize {
        self.members.iter().position(|(content, _)| is(content)).unwrap()
    }

    /// Writes the backup with `.sha256` and manifest.
    ///
    /// # Panics
    /// Where the store fails or refuses it.
    pub fn publish(&self, store: Arc<dyn Store>) -> PublishedBackup {
        self.publish_in(&Repository::new(store))
    }

    /// The same in a repository that may seal it; digests of rows are then keyed.
    ///
    /// # Panics
    /// Where the store fails or refuses it.
    pub fn publish_in(&self, repository: &Repository) -> PublishedBackup {
        let mut pending = repository.begin(&self.manifest.id, self.compression).unwrap();
        let mut encoder = MemberEncoder::new(self.compression).unwrap();
        let mut manifest = self.manifest.clone();
        let hasher = pending.row_hasher();
        if hasher.is_keyed() {
            self.key_digests(&mut manifest, hasher);
        }
        for (content, text) in &self.members {
            let mut content = content.clone();
            if let MemberContent::Rows(block) = &mut content
                && hasher.is_keyed()
            {
                block.digest = rows_digest(hasher, text, block);
            }
            pending.append(&encoder.encode(text).unwrap(), content).unwrap();
        }
        pending.finish(manifest, ReadBack::Yes).unwrap()
    }

    /// Computes the digests of tables and large objects anew.
    fn key_digests(&self, manifest: &mut Manifest, hasher: RowHasher) {
        let mut sums = vec![RowDigest::default(); manifest.tables.len()];
        for (content, text) in &self.members {
            if let MemberContent::Rows(block) = content {
                sums[block.table as usize].merge(&rows_digest(hasher, text, block));
            }
        }
        for (table, sum) in manifest.tables.iter_mut().zip(sums) {
            if let TableRows::Included { digest, .. } = &mut table.rows {
                *digest = sum;
            }
        }
        if let Some(objects) = &mut manifest.large_objects {
            objects.digest = large_objects(hasher);
        }
    }

    fn renumber(&mut self, new: impl Fn(u32) -> u32) {
        for entry in &mut self.manifest.entries {
            for span in [&mut entry.definition, &mut entry.owner_statement]
                .into_iter()
                .flatten()
            {
                span.member = new(span.member);
            }
        }
    }

    /// The ids of the entries that make these tables.
    fn tables_of(&self, names: &[&str]) -> Vec<i32> {
        let entries = self.manifest.entries.iter();
        let tables = entries.filter(|entry| entry.kind == "TABLE" && names.iter().any(|name| entry.name == **name));
        tables.map(|entry| entry.id).collect()
    }

    fn add_schema(&mut self, stage: Stage, entries: &[SampleEntry]) {
        let member = u32::try_from(self.members.len()).unwrap();
        let mut text = Vec::new();
        for &(kind, name, sql, owner_statement) in entries {
            let schema = (!matches!(kind, "EXTENSION" | "EVENT TRIGGER")).then(|| DbText::from("public"));
            text.extend_from_slice(format!("--\n-- Name: {name}; Type: {kind}\n--\n\n").as_bytes());
            let mut span = |sql: &str| {
                let offset = text.len() as u64;
                text.extend_from_slice(sql.as_bytes());
                text.extend_from_slice(b"\n\n");
                let length = text.len() as u64 - offset;
                Span { member, offset, length }
            };
            let entry = Entry {
                id: i32::try_from(self.manifest.entries.len()).unwrap() + 1,
                kind: kind.to_owned(),
                schema,
                name: DbText::from(name),
                owner: Some(DbText::from("app")),
                stage,
                dependencies: if kind == "TABLE ATTACH" {
                    self.tables_of(&["colours", name])
                } else {
                    Vec::new()
                },
                drop_statement: None,
                tablespace: None,
                access_method: None,
                definition: Some(span(sql)),
                owner_statement: (!owner_statement.is_empty()).then(|| span(owner_statement)),
                access_method_statement: None,
                key: None,
            };
            self.manifest.entries.push(entry);
        }
        self.push(MemberContent::Schema(stage), text);
    }
}

/// The line that begins a member with rows of a table.
///
/// # Panics
/// Where there is no such table.
#[must_use]
pub fn copy_statement(manifest: &Manifest, table: u32) -> Vec<u8> {
    let table = &manifest.tables[table as usize];
    let target = table.load_through.map_or(table, |root| &manifest.tables[root as usize]);
    let columns: Vec<Vec<u8>> = table
        .columns
        .iter()
        .map(|column| quote_identifier(column.name.as_bytes()))
        .collect();
    let mut statement = b"COPY ".to_vec();
    statement.extend(quote_qualified(target.schema.as_bytes(), target.name.as_bytes()));
    if !columns.is_empty() {
        statement.extend_from_slice(b" (");
        statement.extend(columns.join(&b", "[..]));
        statement.push(b')');
    }
    statement.extend_from_slice(b" FROM stdin;\n");
    statement
}

/// Kind, name, definition and owner statement.
type SampleEntry = (&'static str, &'static str, &'static str, &'static str);

const PRE_DATA: &[SampleEntry] = &[
    (
        "EXTENSION",
        "postgis",
        "CREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA public;",
        "",
    ),
    (
        "TABLE",
        "users",
        "CREATE TABLE public.users (id integer NOT NULL, email text);",
        "ALTER TABLE public.users OWNER TO app;",
    ),
    (
        "TABLE",
        "orders",
        "CREATE TABLE public.orders (id integer NOT NULL, user_id integer, amount numeric);",
        "ALTER TABLE public.orders OWNER TO app;",
    ),
    (
        "TABLE",
        "nothing yet",
        "CREATE TABLE public.\"nothing yet\" (x integer);",
        "",
    ),
    (
        "TABLE",
        "colours",
        "CREATE TABLE public.colours (colour public.colour, n integer) PARTITION BY HASH (colour);",
        "",
    ),
    (
        "TABLE",
        "colours_0",
        "CREATE TABLE public.colours_0 (colour public.colour, n integer);",
        "",
    ),
    (
        "TABLE ATTACH",
        "colours_0",
        "ALTER TABLE ONLY public.colours ATTACH PARTITION public.colours_0 FOR VALUES WITH (modulus 1, remainder 0);",
        "",
    ),
    (
        "FOREIGN TABLE",
        "elsewhere",
        "CREATE FOREIGN TABLE public.elsewhere (x integer) SERVER other;",
        "",
    ),
    ("TABLE", "bare", "CREATE TABLE public.bare ();", ""),
];

const POST_DATA: &[SampleEntry] = &[
    (
        "CONSTRAINT",
        "users users_pkey",
        "ALTER TABLE ONLY public.users ADD CONSTRAINT users_pkey PRIMARY KEY (id);",
        "",
    ),
    (
        "INDEX",
        "users_email_idx",
        "CREATE INDEX users_email_idx ON public.users USING btree (email);",
        "",
    ),
    (
        "CONSTRAINT",
        "orders orders_pkey",
        "ALTER TABLE ONLY public.orders ADD CONSTRAINT orders_pkey PRIMARY KEY (id);",
        "",
    ),
    (
        "INDEX",
        "colours_n_idx",
        "CREATE INDEX colours_n_idx ON ONLY public.colours USING btree (n);",
        "",
    ),
    (
        "INDEX",
        "colours_0_n_idx",
        "CREATE INDEX colours_0_n_idx ON public.colours_0 USING btree (n);",
        "",
    ),
    (
        "INDEX ATTACH",
        "colours_0_n_idx",
        "ALTER INDEX public.colours_n_idx ATTACH PARTITION public.colours_0_n_idx;",
        "",
    ),
    (
        "ROW SECURITY",
        "users",
        "ALTER TABLE public.users ENABLE ROW LEVEL SECURITY;",
        "",
    ),
    (
        "POLICY",
        "users own rows",
        "CREATE POLICY \"own rows\" ON public.users USING ((email = CURRENT_USER));",
        "",
    ),
];

const PRIVILEGES: &[SampleEntry] = &[(
    "ACL",
    "TABLE users",
    "GRANT SELECT ON TABLE public.users TO reader;",
    "",
)];

const LAST: &[SampleEntry] = &[(
    "EVENT TRIGGER",
    "watch",
    "CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION public.watch();",
    "",
)];

/// Object 100 has a hole, object 200 is empty.
const LARGE_OBJECTS: &str = "SELECT pg_catalog.lo_create('100');\n\
    SELECT pg_catalog.lo_create('200');\n\
    SELECT pg_catalog.lo_put('100', '0', '\\xcafe00');\n\
    SELECT pg_catalog.lo_put('100', '6144', '\\x0102');\n";

fn rows_digest(hasher: RowHasher, text: &[u8], block: &RowBlock) -> RowDigest {
    let mut digest = RowDigest::default();
    let (_, rows) = BackupReader::split_rows(text, block).unwrap();
    hasher.add_lines(&mut digest, rows);
    digest
}

/// The digest of what those statements make.
fn large_objects(hasher: RowHasher) -> RowDigest {
    let mut digest = RowDigest::default();
    hasher.add_lines(&mut digest, b"100\t0\tcafe\n100\t3\t0102\n100\t6146\n");
    digest
}

fn manifest(id: BackupId, compression: Compression) -> Manifest {
    Manifest {
        writer: "backstay testkit".to_owned(),
        taken_at: id.time(),
        tags: Vec::new(),
        keep_until: None,
        id,
        codec: compression.codec(),
        digest_key: None,
        source: Source {
            server_version_num: 150_018,
            server_version: "15.18".to_owned(),
            pg_dump_version: "15.18".to_owned(),
            database: DbText::from("kulti"),
            owner: DbText::from("app"),
            encoding: "UTF8".to_owned(),
            extensions: vec![extension("plpgsql", "pg_catalog"), extension("postgis", "public")],
            ..Source::default()
        },
        tables: tables(),
        sequences: vec![Sequence {
            schema: DbText::from("public"),
            name: DbText::from("orders_id_seq"),
            last_value: 15,
            is_called: true,
        }],
        large_objects: Some(LargeObjects {
            count: 2,
            bytes: 6146,
            digest: large_objects(RowHasher::default()),
        }),
        entries: Vec::new(),
        refreshes: vec![Refresh {
            schema: DbText::from("public"),
            name: DbText::from("totals"),
        }],
        omissions: vec![Omission {
            subject: "rows of public.elsewhere".to_owned(),
            reason: "a foreign table: its rows are on another server".to_owned(),
        }],
        left_out: None,
        check_values: Vec::new(),
        packs: Vec::new(),
        members: Vec::new(),
    }
}

fn extension(name: &str, schema: &str) -> Extension {
    Extension {
        name: DbText::from(name),
        schema: DbText::from(schema),
        version: "1.0".to_owned(),
    }
}

fn tables() -> Vec<Table> {
    let table = |name: &str, columns: &[&str]| Table {
        oid: 16_384,
        schema: DbText::from("public"),
        name: DbText::from(name),
        kind: TableKind::Table,
        persistence: Persistence::Permanent,
        columns: columns
            .iter()
            .map(|&name| Column {
                name: DbText::from(name),
                data_type: DbText::from("text"),
            })
            .collect(),
        row_security: RowSecurity::Off,
        policies: Vec::new(),
        indexes: Vec::new(),
        load_through: None,
        load_last: false,
        heap_bytes: 8192,
        chunk_pages: None,
        filter: None,
        rows: TableRows::Included {
            digest: RowDigest::default(),
            text_bytes: 0,
        },
    };
    let names = |names: &[&str]| names.iter().map(|&name| DbText::from(name)).collect();
    vec![
        Table {
            row_security: RowSecurity::Enabled,
            policies: names(&["own rows"]),
            indexes: names(&["users_email_idx", "users_pkey"]),
            ..table("users", &["id", "email"])
        },
        Table {
            indexes: names(&["orders_pkey"]),
            chunk_pages: Some(512),
            ..table("orders", &["id", "user_id", "amount"])
        },
        table("nothing yet", &["x"]),
        Table {
            kind: TableKind::Partitioned,
            indexes: names(&["colours_n_idx"]),
            ..table("colours", &["colour", "n"])
        },
        Table {
            indexes: names(&["colours_0_n_idx"]),
            load_through: Some(3),
            ..table("colours_0", &["colour", "n"])
        },
        Table {
            kind: TableKind::Foreign,
            rows: TableRows::Excluded {
                reason: "a foreign table: its rows are on another server".to_owned(),
            },
            ..table("elsewhere", &["x"])
        },
        Table {
            filter: Some(DbText::default()),
            indexes: names(&["spatial_ref_sys_pkey"]),
            ..table("spatial_ref_sys", &["srid", "name"])
        },
        table("bare", &[]),
    ]
}
