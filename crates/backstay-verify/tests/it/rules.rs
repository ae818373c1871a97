//! What a backup is expected to hold.

use std::sync::Arc;

use backstay_core::manifest::{Chunk, RowSecurity, TableRows};
use backstay_core::{Codec, DbText, Manifest};
use backstay_testkit::fixtures::SampleBackup;
use backstay_verify::{Level, Origin, PastBackup, Report, Rules, Severity, Silent, VerifyOptions, verify_backup};

use crate::support::{finding, open, published, sample, seen};

fn verify(sample: &SampleBackup, rules: &Rules, previous: Option<&Manifest>) -> Report {
    let (store, _) = published(sample);
    let backup = open(&store, Origin::Id, Codec::Gzip).unwrap();
    let mut options = VerifyOptions::new(rules);
    options.level = Level::Quick;
    let earlier: Vec<PastBackup> = previous.map(PastBackup::of).into_iter().collect();
    options.earlier = &earlier;
    verify_backup(&backup, Origin::Id, &options, &Silent, &|| false).unwrap()
}

fn requiring(tables: &[&str]) -> Rules {
    let mut rules = Rules::default();
    rules.require_tables = tables.iter().map(|&table| table.to_owned()).collect();
    rules
}

#[test]
fn required_tables() {
    for (required, expected) in [
        ("users", [].as_slice()),
        ("public.users", &[]),
        ("public.colours", &[]),
        ("spatial_ref_sys", &[]),
        ("nothing yet", &["warning required-table-empty"]),
        ("public.nothing yet", &["warning required-table-empty"]),
        ("elsewhere", &["error required-table"]),
        ("invoices", &["error required-table"]),
        ("secret.users", &["error required-table"]),
        ("public", &["error required-table"]),
        ("publicXusers", &["error required-table"]),
        ("Users", &["error required-table"]),
        ("", &["error required-table"]),
    ] {
        let report = verify(&sample(Codec::Gzip), &requiring(&[required]), None);
        assert_eq!(seen(&report), expected, "{required}: {report}");
    }
    let both = requiring(&["users", "invoices"]);
    let report = verify(&sample(Codec::Gzip), &both, None);
    assert_eq!(finding(&report, "required-table").subject, "invoices");
}

#[test]
fn a_required_partitioned_table_needs_the_rows_of_its_partitions() {
    let required = requiring(&["colours"]);
    let mut sample = sample(Codec::Gzip);
    sample.remove_rows(4);
    let report = verify(&sample, &required, None);
    assert_eq!(seen(&report), ["warning required-table-empty"], "{report}");
    sample.manifest.tables[4].rows = TableRows::Excluded {
        reason: "its rows were excluded".to_owned(),
    };
    let report = verify(&sample, &required, None);
    let missing = finding(&report, "required-table");
    assert_eq!(missing.subject, "public.colours");
    assert_eq!(missing.evidence[0].value, "public.colours_0");
}

#[test]
fn a_name_without_schema_means_every_table_of_that_name() {
    let mut sample = sample(Codec::Gzip);
    sample.manifest.tables[5].name = DbText::from("users");
    sample.manifest.tables[5].schema = DbText::from("other");
    let report = verify(&sample, &requiring(&["users"]), None);
    assert_eq!(finding(&report, "required-table").subject, "other.users");
}

#[test]
fn tables_have_their_entries() {
    type Edit = fn(&mut SampleBackup);
    type Case<'c> = (&'c str, Box<dyn Fn(&mut SampleBackup)>, &'c [&'c str], &'c str);
    let without = |sample: &mut SampleBackup, kind: &str, name: &str| {
        let entries = &mut sample.manifest.entries;
        let before = entries.len();
        entries.retain(|entry| !(entry.kind == kind && entry.name == *name));
        assert_eq!(entries.len(), before - 1, "{kind} {name}");
    };
    let cases: [Case<'_>; 14] = [
        (
            "table",
            Box::new(move |s| without(s, "TABLE", "orders")),
            &["error table-definition"],
            "public.orders",
        ),
        (
            "foreign table",
            Box::new(move |s| without(s, "FOREIGN TABLE", "elsewhere")),
            &["error table-definition"],
            "public.elsewhere",
        ),
        (
            "row security",
            Box::new(move |s| without(s, "ROW SECURITY", "users")),
            &["error row-security"],
            "public.users",
        ),
        (
            "forced row security",
            Box::new((|s| s.manifest.tables[1].row_security = RowSecurity::Forced) as Edit),
            &["error row-security"],
            "public.orders",
        ),
        (
            "policy",
            Box::new(move |s| without(s, "POLICY", "users own rows")),
            &["error policy"],
            "public.users",
        ),
        (
            "another policy",
            Box::new((|s| s.manifest.tables[0].policies.push(DbText::from("admins"))) as Edit),
            &["error policy"],
            "public.users",
        ),
        (
            "the policy of another table",
            Box::new((|s| s.manifest.tables[1].policies.push(DbText::from("own rows"))) as Edit),
            &["error policy"],
            "public.orders",
        ),
        (
            "index",
            Box::new(move |s| without(s, "INDEX", "users_email_idx")),
            &["error index"],
            "public.users",
        ),
        (
            "key",
            Box::new(move |s| without(s, "CONSTRAINT", "orders orders_pkey")),
            &["error index"],
            "public.orders",
        ),
        (
            "index of a partition",
            Box::new(move |s| without(s, "INDEX", "colours_0_n_idx")),
            &["error index"],
            "public.colours_0",
        ),
        (
            "index of another schema",
            Box::new(
                (|s| {
                    let index = s
                        .manifest
                        .entries
                        .iter_mut()
                        .find(|entry| entry.name == *"users_email_idx")
                        .unwrap();
                    index.schema = Some(DbText::from("other"));
                }) as Edit,
            ),
            &["error index"],
            "public.users",
        ),
        (
            "an entry without SQL",
            Box::new(
                (|s| {
                    let policy = s
                        .manifest
                        .entries
                        .iter_mut()
                        .find(|entry| entry.kind == "POLICY")
                        .unwrap();
                    policy.definition = None;
                }) as Edit,
            ),
            &["error policy"],
            "public.users",
        ),
        (
            "extension, of a part of the database",
            Box::new(move |s| without(s, "EXTENSION", "postgis")),
            &["warning extension"],
            "postgis",
        ),
        (
            "extension",
            Box::new(move |s| {
                without(s, "EXTENSION", "postgis");
                s.manifest.omissions.clear();
            }),
            &["error extension"],
            "postgis",
        ),
    ];
    for (name, edit, expected, subject) in cases {
        let mut sample = sample(Codec::Gzip);
        edit(&mut sample);
        let report = verify(&sample, &Rules::default(), None);
        assert_eq!(seen(&report), expected, "{name}: {report}");
        assert_eq!(report.findings[0].subject, subject, "{name}");
    }
}

#[test]
fn volume_by_the_manifest_alone() {
    let mut sample = sample(Codec::Gzip);
    sample.manifest.tables[2].heap_bytes = 1 << 20;
    let report = verify(&sample, &Rules::default(), None);
    assert!(
        !report.findings.iter().any(|finding| finding.rule == "empty-but-large"),
        "{report}"
    );
    sample.manifest.tables[2].heap_bytes += 1;
    let report = verify(&sample, &Rules::default(), None);
    assert_eq!(finding(&report, "empty-but-large").subject, "public.nothing yet");
    assert_eq!(finding(&report, "empty-but-large").severity, Severity::Note);
    // Of a table of an extension only the rows are backed up that its condition tells.
    sample.manifest.tables[6].heap_bytes = 2 << 20;
    sample.remove_rows(6);
    let report = verify(&sample, &Rules::default(), None);
    let large = report
        .findings
        .iter()
        .filter(|finding| finding.rule == "empty-but-large");
    assert_eq!(large.count(), 1, "{report}");
    for table in [0, 1, 4, 7] {
        sample.remove_rows(table);
    }
    let report = verify(&sample, &Rules::default(), None);
    assert_eq!(seen(&report), ["warning no-rows"], "{report}");
}

/// The sample with so many rows in `nothing yet` as well.
fn with_rows(rows: usize) -> SampleBackup {
    let mut sample = sample(Codec::Gzip);
    if rows > 0 {
        sample.add_rows(2, Chunk::default(), &b"1\n".repeat(rows));
    }
    sample
}

#[test]
fn volume_against_an_earlier_backup() {
    let rules = Rules::default();
    for (before, now, expected) in [
        (0, 0, [].as_slice()),
        (100, 100, &[]),
        (100, 50, &["warning database-shrank"]),
        (100, 49, &["warning database-shrank", "warning table-shrank"]),
        (9, 4, &[]),
        (10, 4, &["warning table-shrank"]),
        (1, 0, &["warning table-emptied"]),
        (100, 0, &["warning database-shrank", "warning table-emptied"]),
        (0, 5000, &[]),
        (1, 999, &[]),
        (100, 1000, &["note table-grew"]),
        (101, 1000, &[]),
    ] {
        let previous = with_rows(before).manifest;
        let report = verify(&with_rows(now), &rules, Some(&previous));
        let mut found = seen(&report);
        let grew = report.findings.iter().filter(|finding| finding.rule == "table-grew");
        found.extend(grew.map(|finding| format!("{} {}", finding.severity, finding.rule)));
        assert_eq!(found, expected, "{before} rows, then {now}: {report}");
        assert!(!report.not_checked.iter().any(|check| check.contains("earlier backup")));
    }
}

#[test]
fn shares_can_be_chosen() {
    let previous = with_rows(100).manifest;
    let mut rules = Rules::default();
    rules.table_loss_percent_max = 0;
    rules.database_loss_percent_max = 100;
    let report = verify(&with_rows(99), &rules, Some(&previous));
    assert_eq!(seen(&report), ["warning table-shrank"], "{report}");
    rules.table_loss_percent_max = 100;
    rules.growth_factor_max = 2;
    let report = verify(&with_rows(2000), &rules, Some(&with_rows(1000).manifest));
    assert_eq!(finding(&report, "table-grew").severity, Severity::Note);
}

#[test]
fn tables_that_went_and_databases_that_changed() {
    let rules = Rules::default();
    let mut previous = sample(Codec::Gzip).manifest;
    previous.tables[2].name = DbText::from("gone");
    let report = verify(&sample(Codec::Gzip), &rules, Some(&previous));
    assert_eq!(seen(&report), ["warning table-vanished"], "{report}");
    assert_eq!(finding(&report, "table-vanished").subject, "public.gone");

    let previous = sample(Codec::Gzip).manifest;
    let mut excluded = sample(Codec::Gzip);
    excluded.remove_rows(0);
    excluded.manifest.tables[0].rows = TableRows::Excluded {
        reason: "its rows were excluded".to_owned(),
    };
    let report = verify(&excluded, &rules, Some(&previous));
    assert_eq!(finding(&report, "table-emptied").subject, "public.users", "{report}");

    let mut previous = sample(Codec::Gzip).manifest;
    previous.source.database = DbText::from("another");
    let report = verify(&sample(Codec::Gzip), &rules, Some(&previous));
    assert_eq!(seen(&report), ["warning other-database"], "{report}");
}

#[test]
fn omissions_are_told() {
    let (store, _) = published(&sample(Codec::Gzip));
    let backup = open(&Arc::clone(&store), Origin::Id, Codec::Gzip).unwrap();
    let report = crate::support::verify(&backup, Origin::Id, Level::Quick);
    let omission = finding(&report, "omission");
    assert_eq!(omission.severity, Severity::Note);
    assert_eq!(omission.subject, "rows of public.elsewhere");
}
