use backstay_core::manifest::{
    CheckOutcome, CheckValue, Chunk, Column, DatabaseSetting, Entry, Extension, KeyConstraint, LargeObjects, Manifest,
    Member, MemberContent, Omission, Pack, PackId, Persistence, ROWS_FOOTER, Refresh, RowBlock, RowSecurity, Sequence,
    SnapshotFacts, Source, Span, Stage, Table, TableKind, TableRows,
};
use backstay_core::{Codec, DbText, RowDigest, Sha256Digest};

/// A manifest that uses every field and every kind, and no more than that.
pub(super) fn small_manifest() -> Manifest {
    let base = Sha256Digest::of(b"the base");
    Manifest {
        writer: "backstay 0.1.0".to_owned(),
        id: "kulti_backup_20250116_143022".parse().unwrap(),
        taken_at: "2025-01-16T14:30:22.123456Z".parse().unwrap(),
        tags: vec!["pre-migration".parse().unwrap(), "release=2025.1".parse().unwrap()],
        keep_until: Some("2025-02-15T14:30:22Z".parse().unwrap()),
        codec: Codec::Zstd,
        digest_key: None,
        source: source(),
        tables: tables(),
        sequences: vec![Sequence {
            schema: DbText::from("public"),
            name: DbText::from("orders_id_seq"),
            last_value: i64::MIN,
            is_called: true,
        }],
        large_objects: Some(LargeObjects {
            count: 1,
            bytes: 3,
            digest: RowDigest::new(2, 5),
        }),
        entries: entries(),
        refreshes: vec![Refresh {
            schema: DbText::from("public"),
            name: DbText::from("totals"),
        }],
        omissions: vec![Omission {
            subject: "rows of public.elsewhere".to_owned(),
            reason: "a foreign table".to_owned(),
        }],
        left_out: Some("tables audit_log".to_owned()),
        check_values: vec![
            CheckValue {
                name: "unpaid".to_owned(),
                query: Sha256Digest::of(b"SELECT count(*) FROM public.orders"),
                outcome: CheckOutcome::Value(Some("15".to_owned())),
            },
            CheckValue {
                name: "last order".to_owned(),
                query: Sha256Digest::of(b"SELECT max(placed_at) FROM public.orders"),
                outcome: CheckOutcome::Value(None),
            },
            CheckValue {
                name: "broken".to_owned(),
                query: Sha256Digest::of(b"SELECT 1/0"),
                outcome: CheckOutcome::Failed("division by zero".to_owned()),
            },
        ],
        packs: vec![
            Pack {
                id: PackId::Own,
                name: "kulti_backup_20250116_143022.incr.sql.zst".to_owned(),
                bytes: 0,
            },
            Pack {
                id: PackId::Sha256(base),
                name: "kulti_backup_20250115_143022.sql.zst".to_owned(),
                bytes: 5000,
            },
        ],
        members: members(),
    }
}

fn source() -> Source {
    Source {
        server_version_num: 150_018,
        server_version: "15.18 (Debian 15.18-0+deb12u1)".to_owned(),
        pg_dump_version: "17.2".to_owned(),
        system_identifier: Some(7_320_280_665_284_567_118),
        database: DbText::from("kulti"),
        owner: DbText::new(*b"B\xf6rge"),
        encoding: "LATIN1".to_owned(),
        collate: "de_DE".to_owned(),
        ctype: "de_DE".to_owned(),
        locale_provider: "icu".to_owned(),
        provider_locale: Some("de-DE".to_owned()),
        icu_rules: Some("&a < b".to_owned()),
        settings: vec![DatabaseSetting {
            role: Some(DbText::from("app")),
            name: DbText::from("search_path"),
            value: DbText::from("\"$user\", public"),
        }],
        extensions: vec![Extension {
            name: DbText::from("postgis"),
            schema: DbText::from("public"),
            version: "3.3.2".to_owned(),
        }],
        database_bytes: Some(8_000_000_000),
        snapshot: SnapshotFacts {
            wal_insert_lsn: Some("16/B374D848".to_owned()),
            timeline: Some(1),
            postmaster_start_unix_micros: Some(1_737_000_000_000_000),
            xmax: Some(4_294_967_300),
        },
        platform: None,
    }
}

fn tables() -> Vec<Table> {
    let table = |name: &str, kind, rows| Table {
        oid: 16_384,
        schema: DbText::from("public"),
        name: DbText::from(name),
        kind,
        persistence: Persistence::Permanent,
        columns: vec![Column {
            name: DbText::from("naïve \"x\"\n"),
            data_type: DbText::from("numeric(8,2)"),
        }],
        row_security: RowSecurity::Off,
        policies: Vec::new(),
        indexes: Vec::new(),
        load_through: None,
        load_last: false,
        heap_bytes: 8192,
        chunk_pages: None,
        filter: None,
        rows,
    };
    let excluded = || TableRows::Excluded {
        reason: "a foreign table".to_owned(),
    };
    vec![
        Table {
            row_security: RowSecurity::Forced,
            policies: vec![DbText::from("own rows")],
            indexes: vec![DbText::from("orders_pkey")],
            load_through: Some(1),
            load_last: true,
            chunk_pages: Some(512),
            filter: Some(DbText::from("WHERE true")),
            ..table(
                "orders_1",
                TableKind::Table,
                TableRows::Included {
                    digest: RowDigest::new(3, 9),
                    text_bytes: 60,
                },
            )
        },
        Table {
            row_security: RowSecurity::Enabled,
            ..table("orders", TableKind::Partitioned, excluded())
        },
        Table {
            persistence: Persistence::Unlogged,
            ..table("elsewhere", TableKind::Foreign, excluded())
        },
    ]
}

fn entries() -> Vec<Entry> {
    let span = |offset, length| Span {
        member: 1,
        offset,
        length,
    };
    let entry = |id, kind: &str, stage| Entry {
        id,
        kind: kind.to_owned(),
        schema: None,
        name: DbText::from("orders_1"),
        owner: None,
        stage,
        dependencies: Vec::new(),
        drop_statement: None,
        tablespace: None,
        access_method: None,
        definition: None,
        owner_statement: None,
        access_method_statement: None,
        key: None,
    };
    vec![
        Entry {
            schema: Some(DbText::from("public")),
            owner: Some(DbText::from("app")),
            dependencies: vec![-1, 7],
            drop_statement: Some(DbText::from("DROP TABLE public.orders_1;")),
            tablespace: Some(DbText::from("fast")),
            access_method: Some(DbText::from("heap")),
            definition: Some(span(0, 60)),
            owner_statement: Some(span(60, 30)),
            access_method_statement: Some(span(90, 10)),
            ..entry(1, "TABLE", Stage::PreData)
        },
        Entry {
            key: Some(KeyConstraint {
                index_definition: DbText::from("CREATE UNIQUE INDEX …"),
                attach_statement: DbText::from("ALTER TABLE …"),
            }),
            ..entry(2, "CONSTRAINT", Stage::PostData)
        },
        entry(3, "ACL", Stage::Privileges),
        entry(4, "EVENT TRIGGER", Stage::Last),
    ]
}

fn members() -> Vec<Member> {
    let digest = Sha256Digest::of(b"a member");
    let rows = |rows, sum, chunk| {
        let block = RowBlock {
            table: 0,
            header_bytes: 20,
            digest: RowDigest::new(rows, sum),
            chunk,
        };
        (MemberContent::Rows(block), 20 + 30 + ROWS_FOOTER.len() as u64)
    };
    let first = Chunk {
        first_page: 0,
        end_page: Some(512),
        part: 0,
    };
    let contents = [
        (MemberContent::Settings, 100),
        (MemberContent::Schema(Stage::PreData), 100),
        rows(1, 4, Chunk { part: 1, ..first }),
        (MemberContent::LargeObjects, 100),
        (MemberContent::Sequences, 100),
        (MemberContent::Refreshes, 100),
        (MemberContent::Globals, 100),
        (MemberContent::Schema(Stage::PostData), 100),
        (MemberContent::Schema(Stage::Privileges), 100),
        (MemberContent::Schema(Stage::Last), 100),
    ];
    let own = contents
        .into_iter()
        .zip(0..)
        .map(|((content, text_bytes), number)| Member {
            pack: 0,
            offset: number * 50,
            stored_bytes: 50,
            text_bytes,
            sha256: digest,
            content,
        });
    let last = Chunk {
        first_page: 512,
        end_page: None,
        part: 0,
    };
    let (content, text_bytes) = rows(2, 5, last);
    let reused = Member {
        pack: 1,
        offset: 4000,
        stored_bytes: 1000,
        text_bytes,
        sha256: digest,
        content,
    };
    own.chain([reused]).collect()
}
