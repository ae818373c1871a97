use backstay_core::manifest::{
    CheckOutcome, CheckValue, Chunk, Column, DatabaseSetting, Entry, Extension, KeyConstraint, LargeObjects, Manifest,
    Member, MemberContent, Omission, Pack, PackId, Persistence, ROWS_FOOTER, Refresh, RowBlock, RowSecurity, Sequence,
    SnapshotFacts, Source, SourcePlatform, Span, Stage, Table, TableKind, TableRows,
};
use backstay_core::{BackupId, Codec, DbText, Prefix, RowDigest, Sha256Digest};
use jiff::Timestamp;
use prop::collection::vec;
use prop::option;
use prop::sample::{Index, select};
use proptest::prelude::*;

/// Any manifest that agrees with itself.
pub(super) fn manifest() -> impl Strategy<Value = Manifest> {
    let head = (
        any::<String>(),
        id(),
        time(),
        vec("[a-z0-9.-]{1,8}(=[A-Z_]{1,8})?", 0..3),
        option::of(time()),
        select(vec![Codec::Gzip, Codec::Zstd]),
        source(),
    );
    let lists = (
        vec(sequence(), 0..3),
        option::of(large_objects()),
        vec(name().prop_map(|(schema, name)| Refresh { schema, name }), 0..3),
        (vec(omission(), 0..3), any::<Option<String>>()),
        vec(check_value(), 0..3),
    );
    let parts = (
        vec(table(), 0..5),
        vec(other_pack(), 0..3),
        vec(member(), 0..9),
        vec(entry(), 0..5),
    );
    (head, lists, parts).prop_map(|(head, lists, (tables, packs, members, entries))| {
        let (writer, id, taken_at, tags, keep_until, codec, source) = head;
        let (sequences, large_objects, refreshes, (omissions, left_out), check_values) = lists;
        let mut manifest = Manifest {
            writer,
            id,
            taken_at,
            tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
            keep_until,
            codec,
            digest_key: None,
            source,
            tables,
            sequences,
            large_objects,
            entries,
            refreshes,
            omissions,
            left_out,
            check_values,
            packs,
            members,
        };
        make_consistent(&mut manifest);
        manifest
    })
}

/// Bends what was drawn until it agrees: numbers that refer to something are taken modulo what there is.
fn make_consistent(manifest: &mut Manifest) {
    for (index, pack) in manifest.packs.iter_mut().enumerate() {
        pack.name = format!("{index}{}", pack.name);
    }
    let own = Pack {
        id: PackId::Own,
        name: "own.sql.gz".to_owned(),
        bytes: 0,
    };
    manifest.packs.insert(0, own);
    let mut own_bytes = 0;
    let mut sums = vec![(RowDigest::default(), 0); manifest.tables.len()];
    for member in &mut manifest.members {
        member.pack %= u32::try_from(manifest.packs.len()).unwrap();
        let pack = &mut manifest.packs[member.pack as usize];
        if member.pack == 0 {
            member.offset = own_bytes;
            own_bytes += member.stored_bytes;
        } else {
            pack.bytes = pack.bytes.max(member.offset + member.stored_bytes);
        }
        if let MemberContent::Rows(block) = &mut member.content {
            if sums.is_empty() {
                member.content = MemberContent::Settings;
                continue;
            }
            block.table %= u32::try_from(sums.len()).unwrap();
            let (sum, bytes) = &mut sums[block.table as usize];
            sum.merge(&block.digest);
            let rows_bytes = block.digest.rows() + member.text_bytes;
            *bytes += rows_bytes;
            member.text_bytes = u64::from(block.header_bytes) + rows_bytes + ROWS_FOOTER.len() as u64;
        }
    }
    let tables = u32::try_from(manifest.tables.len()).unwrap();
    for (table, (digest, text_bytes)) in manifest.tables.iter_mut().zip(sums) {
        table.load_through = table.load_through.map(|root| root % tables);
        if digest != RowDigest::default() || text_bytes > 0 || matches!(table.rows, TableRows::Included { .. }) {
            table.rows = TableRows::Included { digest, text_bytes };
        }
    }
    let schema: Vec<(u32, u64)> = (0..)
        .zip(&manifest.members)
        .filter(|(_, member)| matches!(member.content, MemberContent::Schema(_)))
        .map(|(index, member)| (index, member.text_bytes))
        .collect();
    for (id, entry) in (-2..).zip(&mut manifest.entries) {
        entry.id = id;
        for span in [
            &mut entry.definition,
            &mut entry.owner_statement,
            &mut entry.access_method_statement,
        ] {
            *span = span.filter(|_| !schema.is_empty()).map(|drawn| {
                let (member, text_bytes) = schema[drawn.member as usize % schema.len()];
                let offset = drawn.offset % (text_bytes + 1);
                Span {
                    member,
                    offset,
                    length: drawn.length % (text_bytes - offset + 1),
                }
            });
        }
    }
}

/// Bytes in no encoding, or text with what JSON, SQL and psql make something of.
fn text() -> impl Strategy<Value = DbText> {
    prop_oneof![
        "[a-z_]{0,12}".prop_map(|text| DbText::from(text.as_str())),
        any::<String>().prop_map(|text| DbText::from(text.as_str())),
        vec(any::<u8>(), 0..12).prop_map(DbText::new),
        "[\"\\\\\n\t\u{0}\u{7f}\u{10ff00}\u{10ffff}\u{fffd}é-]{0,8}".prop_map(|text| DbText::from(text.as_str())),
    ]
}

fn name() -> impl Strategy<Value = (DbText, DbText)> {
    (text(), text())
}

fn id() -> impl Strategy<Value = BackupId> {
    ("[A-Za-z0-9][A-Za-z0-9._-]{0,40}", 0i64..253_402_300_800).prop_map(|(prefix, seconds)| {
        BackupId::new(
            prefix.parse::<Prefix>().unwrap(),
            Timestamp::from_second(seconds).unwrap(),
        )
    })
}

fn time() -> impl Strategy<Value = Timestamp> {
    (-62_167_219_200i64..253_402_207_200, 0..1_000_000_000)
        .prop_map(|(seconds, nanoseconds)| Timestamp::new(seconds, nanoseconds).unwrap())
}

fn source() -> impl Strategy<Value = Source> {
    let server = (any::<u32>(), any::<String>(), any::<String>(), any::<Option<u64>>());
    let database = (
        name(),
        any::<[String; 4]>(),
        any::<[Option<String>; 2]>(),
        any::<Option<u64>>(),
    );
    let setting = (option::of(text()), name()).prop_map(|(role, (name, value))| DatabaseSetting { role, name, value });
    let extension = (name(), any::<String>()).prop_map(|((name, schema), version)| Extension { name, schema, version });
    let snapshot = (
        any::<Option<String>>(),
        any::<Option<u32>>(),
        any::<Option<i64>>(),
        any::<Option<u64>>(),
    );
    let platform = (any::<String>(), any::<String>(), vec(any::<i32>(), 0..3));
    let platform = option::of(platform.prop_map(|(name, found_by, guests)| SourcePlatform { name, found_by, guests }));
    (
        server,
        database,
        vec(setting, 0..3),
        vec(extension, 0..3),
        snapshot,
        platform,
    )
        .prop_map(|(server, database, settings, extensions, snapshot, platform)| {
            let (server_version_num, server_version, pg_dump_version, system_identifier) = server;
            let ((name, owner), words, provider, database_bytes) = database;
            let [encoding, collate, ctype, locale_provider] = words;
            let [provider_locale, icu_rules] = provider;
            let (wal_insert_lsn, timeline, postmaster_start_unix_micros, xmax) = snapshot;
            Source {
                server_version_num,
                server_version,
                pg_dump_version,
                system_identifier,
                database: name,
                owner,
                encoding,
                collate,
                ctype,
                locale_provider,
                provider_locale,
                icu_rules,
                settings,
                extensions,
                database_bytes,
                snapshot: SnapshotFacts {
                    wal_insert_lsn,
                    timeline,
                    postmaster_start_unix_micros,
                    xmax,
                },
                platform,
            }
        })
}

fn sequence() -> impl Strategy<Value = Sequence> {
    (name(), any::<i64>(), any::<bool>()).prop_map(|((schema, name), last_value, is_called)| Sequence {
        schema,
        name,
        last_value,
        is_called,
    })
}

fn large_objects() -> impl Strategy<Value = LargeObjects> {
    (any::<[u64; 3]>(), any::<u128>()).prop_map(|([count, bytes, rows], sum)| LargeObjects {
        count,
        bytes,
        digest: RowDigest::new(rows, sum),
    })
}

fn omission() -> impl Strategy<Value = Omission> {
    any::<(String, String)>().prop_map(|(subject, reason)| Omission { subject, reason })
}

fn check_value() -> impl Strategy<Value = CheckValue> {
    let outcome = prop_oneof![
        any::<Option<String>>().prop_map(CheckOutcome::Value),
        any::<String>().prop_map(CheckOutcome::Failed),
    ];
    (any::<(String, [u8; 32])>(), outcome).prop_map(|((name, query), outcome)| CheckValue {
        name,
        query: Sha256Digest::from_bytes(query),
        outcome,
    })
}

fn table() -> impl Strategy<Value = Table> {
    let kind = select(vec![TableKind::Table, TableKind::Partitioned, TableKind::Foreign]);
    let persistence = select(vec![Persistence::Permanent, Persistence::Unlogged]);
    let row_security = select(vec![RowSecurity::Off, RowSecurity::Enabled, RowSecurity::Forced]);
    let column = name().prop_map(|(name, data_type)| Column { name, data_type });
    let kinds = (kind, persistence, row_security, any::<bool>());
    let lists = (
        vec(column, 0..4),
        vec(text(), 0..3),
        vec(text(), 0..3),
        option::of(text()),
    );
    let numbers = any::<(u32, Option<u32>, u64, Option<u32>)>();
    (name(), kinds, lists, numbers, any::<Option<String>>()).prop_map(|(name, kinds, lists, numbers, excluded)| {
        let (kind, persistence, row_security, load_last) = kinds;
        let (columns, policies, indexes, filter) = lists;
        let (oid, load_through, heap_bytes, chunk_pages) = numbers;
        Table {
            oid,
            schema: name.0,
            name: name.1,
            kind,
            persistence,
            columns,
            row_security,
            policies,
            indexes,
            load_through,
            load_last,
            heap_bytes,
            chunk_pages,
            filter,
            rows: match excluded {
                Some(reason) => TableRows::Excluded { reason },
                None => TableRows::Included {
                    digest: RowDigest::default(),
                    text_bytes: 0,
                },
            },
        }
    })
}

fn other_pack() -> impl Strategy<Value = Pack> {
    (any::<[u8; 32]>(), "[a-zé ./]{0,20}x", 0..u64::MAX).prop_map(|(digest, name, bytes)| Pack {
        id: PackId::Sha256(Sha256Digest::from_bytes(digest)),
        // Two slashes or a part of dots would make no key.
        name: name.replace(['/', '.'], "-"),
        bytes,
    })
}

fn stage() -> impl Strategy<Value = Stage> {
    select(vec![Stage::PreData, Stage::PostData, Stage::Privileges, Stage::Last])
}

/// Numbers of which a few can be added without an overflow.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..100u64, 0..1u64 << 60]
}

fn member() -> impl Strategy<Value = Member> {
    let chunk = any::<(u32, Option<u32>, u32)>().prop_map(|(first_page, end_page, part)| Chunk {
        first_page,
        end_page,
        part,
    });
    let block = (any::<u32>(), any::<u32>(), number(), any::<u128>(), chunk);
    let content = prop_oneof![
        select(vec![
            MemberContent::Settings,
            MemberContent::LargeObjects,
            MemberContent::Sequences,
            MemberContent::Refreshes,
            MemberContent::Globals,
        ]),
        stage().prop_map(MemberContent::Schema),
        block.prop_map(|(table, header_bytes, rows, sum, chunk)| {
            MemberContent::Rows(RowBlock {
                table,
                header_bytes,
                digest: RowDigest::new(rows, sum),
                chunk,
            })
        }),
    ];
    (
        any::<u32>(),
        number(),
        1..1u64 << 40,
        number(),
        any::<[u8; 32]>(),
        content,
    )
        .prop_map(|(pack, offset, stored_bytes, text_bytes, digest, content)| Member {
            pack,
            offset,
            stored_bytes,
            text_bytes,
            sha256: Sha256Digest::from_bytes(digest),
            content,
        })
}

fn entry() -> impl Strategy<Value = Entry> {
    let span = (any::<Index>(), any::<u64>(), any::<u64>()).prop_map(|(member, offset, length)| Span {
        member: u32::try_from(member.index(1000)).unwrap(),
        offset,
        length,
    });
    let key = name().prop_map(|(index_definition, attach_statement)| KeyConstraint {
        index_definition,
        attach_statement,
    });
    let texts = vec(option::of(text()), 5);
    let spans = vec(option::of(span), 3);
    let rest = (
        any::<String>(),
        text(),
        stage(),
        vec(any::<i32>(), 0..4),
        option::of(key),
    );
    (texts, spans, rest).prop_map(|(mut texts, mut spans, (kind, name, stage, dependencies, key))| {
        let mut next_text = || texts.pop().flatten();
        let mut next_span = || spans.pop().flatten();
        Entry {
            id: 0,
            kind,
            schema: next_text(),
            name,
            owner: next_text(),
            stage,
            dependencies,
            drop_statement: next_text(),
            tablespace: next_text(),
            access_method: next_text(),
            definition: next_span(),
            owner_statement: next_span(),
            access_method_statement: next_span(),
            key,
        }
    })
}
