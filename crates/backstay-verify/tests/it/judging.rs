//! Rules as data, against backups with planted faults.

use backstay_core::manifest::{Omission, PART_OF_DATABASE, RowSecurity, TableRows};
use backstay_core::repository::BackupReader;
use backstay_core::{Codec, DbText};
use backstay_testkit::fixtures::SampleBackup;
use backstay_verify::{
    Exemption, Finding, Judged, Level, Origin, PastBackup, RULES, Report, Right, Rule, Rules, Severity, TableRule,
    VerifyOptions, judge_backup,
};
use jiff::Timestamp;

use crate::support::{open, published, sample, seen};

const NOW: &str = "2025-01-17T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn opened(sample: &SampleBackup) -> BackupReader {
    let (store, _) = published(sample);
    open(&store, Origin::Id, Codec::Gzip).unwrap()
}

/// Judges at a time, without what every sample gives.
fn judge(sample: &SampleBackup, rules: &Rules, earlier: &[PastBackup]) -> Report {
    let backup = opened(sample);
    let mut options = VerifyOptions::new(rules);
    options.earlier = earlier;
    options.now = Some(now());
    judge_backup(backup.manifest(), Some(&backup), &options)
}

fn right(role: &str, right: &str) -> Right {
    Right {
        role: role.to_owned(),
        right: right.to_owned(),
    }
}

/// What the sample is.
fn rules() -> Rules {
    let mut users = TableRule::new("public.users");
    users.rows_min = Some(1);
    users.row_security = Some(RowSecurity::Enabled);
    users.policies = vec!["own rows".to_owned()];
    users.indexes = vec!["users_email_idx".to_owned()];
    users.grants = vec![right("reader", "SELECT")];
    users.denied = vec![right("PUBLIC", "SELECT"), right("reader", "DELETE")];
    let mut rules = Rules::default();
    rules.require_tables = vec!["users".to_owned()];
    rules.tables = vec![users];
    rules.extensions = vec!["postgis".to_owned()];
    rules.age_max = Some("2d".parse().unwrap());
    rules
}

#[test]
fn a_backup_that_is_as_it_should_be_has_no_finding() {
    let report = judge(
        &sample(Codec::Gzip),
        &rules(),
        &[PastBackup::of(&sample(Codec::Gzip).manifest)],
    );
    assert_eq!(report.findings, [], "{report}");
    assert_eq!(report.level, Level::Rules);
}

#[test]
fn planted_faults_are_found() {
    let mut rules = rules();
    rules.require_tables.push("invoices".to_owned());
    rules.tables.push(TableRule::new("public.invoices"));
    rules.tables[0].rows_min = Some(1_000);
    rules.tables[0].row_security = Some(RowSecurity::Forced);
    rules.tables[0].policies.push("admins".to_owned());
    rules.tables[0].indexes.push("users_name_idx".to_owned());
    rules.tables[0].grants.push(right("app", "SELECT"));
    rules.tables[0].denied.push(right("reader", "SELECT"));
    rules.extensions.push("pgcrypto".to_owned());
    rules.encrypted = true;
    rules.age_max = Some("12h".parse().unwrap());
    let mut before = sample(Codec::Gzip);
    before.add_rows(2, backstay_core::manifest::Chunk::default(), &b"1\n".repeat(500));
    before.manifest.tables[1].name = DbText::from("gone");
    let report = judge(&sample(Codec::Gzip), &rules, &[PastBackup::of(&before.manifest)]);
    insta::assert_snapshot!(report.render());
}

#[test]
fn a_rule_about_forced_row_security_is_not_met_by_less() {
    for (asked, is, expected) in [
        (RowSecurity::Enabled, RowSecurity::Off, false),
        (RowSecurity::Enabled, RowSecurity::Enabled, true),
        (RowSecurity::Enabled, RowSecurity::Forced, true),
        (RowSecurity::Forced, RowSecurity::Off, false),
        (RowSecurity::Forced, RowSecurity::Enabled, false),
        (RowSecurity::Forced, RowSecurity::Forced, true),
    ] {
        let mut sample = sample(Codec::Gzip);
        sample.manifest.tables[0].row_security = is;
        let mut rule = TableRule::new("users");
        rule.row_security = Some(asked);
        let mut rules = Rules::default();
        rules.tables = vec![rule];
        let report = judge(&sample, &rules, &[]);
        let is_met = !report
            .findings
            .iter()
            .any(|finding| finding.rule == "missing-row-security");
        assert_eq!(is_met, expected, "{asked:?} {is:?}: {report}");
    }
}

/// A sample with so many rows in `nothing yet`.
fn with_rows(rows: usize) -> SampleBackup {
    let mut sample = sample(Codec::Gzip);
    if rows > 0 {
        sample.add_rows(2, backstay_core::manifest::Chunk::default(), &b"1\n".repeat(rows));
    }
    sample
}

/// The findings about the table, where the earlier backups had so many rows, oldest first.
fn volume_findings(past: &[usize], now: usize, rules: &Rules) -> Vec<String> {
    let earlier: Vec<PastBackup> = past
        .iter()
        .rev()
        .map(|rows| PastBackup::of(&with_rows(*rows).manifest))
        .collect();
    let report = judge(&with_rows(now), rules, &earlier);
    let about = report
        .findings
        .iter()
        .filter(|finding| finding.subject == "public.nothing yet");
    about
        .map(|finding| format!("{} {}", finding.severity, finding.rule))
        .collect()
}

#[test]
fn a_mass_deletion_is_told_the_same_night_and_what_varies_is_not() {
    let rules = Rules::default();
    let (stable, varies) = ([1000, 1010, 990, 1000, 1005], [100, 4000, 20, 900, 5000, 60, 3000]);
    let shrank = &["warning table-shrank"][..];
    for (past, now, expected) in [
        (&stable[..], 400, shrank),
        (&stable, 0, &["warning table-emptied"]),
        (&stable, 600, &[]),
        (&varies, 40, &[]),
        (&varies, 0, &["warning table-emptied"]),
        // Nor is it forgotten on the next one.
        (&[1000, 1010, 990, 1000, 10], 10, shrank),
        // A table that grew is not held to what it was.
        (&[100, 200, 400, 800, 1600], 500, shrank),
        (&stable, 20_000, &["note table-grew"]),
    ] {
        assert_eq!(volume_findings(past, now, &rules), expected, "{past:?} {now}");
    }
    let mut only_the_last = Rules::default();
    only_the_last.history = 1;
    assert!(volume_findings(&[1000, 1010, 990, 1000, 10], 10, &only_the_last).is_empty());
}

#[test]
fn tables_have_bounds_of_their_own() {
    let mut rule = TableRule::new("nothing yet");
    rule.loss_percent_max = Some(100);
    rule.growth_factor_max = Some(2);
    let mut rules = Rules::default();
    rules.tables = vec![rule];
    assert!(volume_findings(&[1000], 0, &rules).is_empty());
    assert_eq!(volume_findings(&[1000], 2000, &rules), ["note table-grew"]);
    rules.tables[0].loss_percent_max = Some(5);
    assert_eq!(volume_findings(&[1000], 900, &rules), ["warning table-shrank"]);
}

#[test]
fn severities_and_exemptions() {
    let earlier = [PastBackup::of(&with_rows(1000).manifest)];
    let mut rules = Rules::default();
    rules.database_loss_percent_max = 100;
    let told = |rules: &Rules| {
        let report = judge(&with_rows(0), rules, &earlier);
        let told = report
            .findings
            .iter()
            .map(|f| format!("{} {} {}", f.severity, f.rule, f.subject));
        (report.is_sound(), told.collect::<Vec<_>>())
    };
    let emptied = "table-emptied public.nothing yet";
    assert_eq!(told(&rules), (true, vec![format!("warning {emptied}")]));
    rules.severities.insert("table-emptied".to_owned(), Severity::Error);
    assert_eq!(told(&rules), (false, vec![format!("error {emptied}")]));
    let exemption = |rule: &str, subject: Option<&str>, until: &str| Exemption {
        rule: rule.to_owned(),
        subject: subject.map(str::to_owned),
        reason: "cleaned up".to_owned(),
        until: until.parse().unwrap(),
    };
    let later = "2025-01-17T12:00:01Z";
    for (exempt, expected) in [
        (exemption("table-emptied", Some("public.nothing yet"), later), "note"),
        (exemption("table-emptied", Some("nothing yet"), later), "note"),
        (exemption("table-emptied", None, later), "note"),
        (exemption("table-emptied", Some("yet"), later), "error"),
        (exemption("table-emptied", Some("users"), later), "error"),
        (exemption("table-shrank", None, later), "error"),
        (exemption("table-emptied", None, NOW), "error"),
    ] {
        let has_ended = exempt.until <= now();
        rules.exemptions = vec![exempt.clone()];
        let (_, told) = told(&rules);
        let mut all = vec![format!("{expected} {emptied}")];
        all.extend(has_ended.then(|| "warning exemption-ended table-emptied".to_owned()));
        assert_eq!(told, all, "{exempt:?}");
    }
    // Who gives no time gets no exemption, and is told.
    rules.exemptions = vec![exemption("table-emptied", None, later)];
    let backup = opened(&with_rows(0));
    let mut options = VerifyOptions::new(&rules);
    options.earlier = &earlier;
    let report = judge_backup(backup.manifest(), None, &options);
    assert_eq!(seen(&report), ["error table-emptied"], "{report}");
    assert!(
        report.not_checked.iter().any(|check| check.contains("exemptions")),
        "{report}"
    );
}

#[test]
fn damage_is_never_let_pass() {
    let mut sample = sample(Codec::Gzip);
    sample.manifest.entries.retain(|entry| entry.kind != "POLICY");
    let backup = opened(&sample);
    let mut rules = Rules::default();
    rules.severities.insert("policy".to_owned(), Severity::Note);
    rules.exemptions = vec![Exemption {
        rule: "policy".to_owned(),
        subject: None,
        reason: "no".to_owned(),
        until: Timestamp::MAX,
    }];
    let mut options = VerifyOptions::new(&rules);
    options.now = Some(now());
    let report =
        backstay_verify::verify_backup(&backup, Origin::Id, &options, &backstay_verify::Silent, &|| false).unwrap();
    assert_eq!(seen(&report), ["error policy", "error statements"], "{report}");
}

#[test]
fn the_newest_backup_may_be_another() {
    let backup = opened(&sample(Codec::Gzip));
    let mut rules = Rules::default();
    rules.age_max = Some("1d".parse().unwrap());
    let is_old = |now: &str, newest: Option<&str>| {
        let mut options = VerifyOptions::new(&rules);
        options.now = Some(now.parse().unwrap());
        options.newest = newest.map(|newest| newest.parse().unwrap());
        let report = judge_backup(backup.manifest(), None, &options);
        report.findings.iter().any(|finding| finding.rule == "backup-age")
    };
    let taken = backup.manifest().taken_at;
    assert!(!is_old(
        &(taken + jiff::SignedDuration::from_hours(24)).to_string(),
        None
    ));
    assert!(is_old(
        &(taken + jiff::SignedDuration::from_secs(86_401)).to_string(),
        None
    ));
    assert!(is_old("2025-02-01T00:00:00Z", Some("2025-01-30T23:00:00Z")));
    assert!(!is_old("2025-02-01T00:00:00Z", Some("2025-01-31T01:00:00Z")));
}

#[test]
fn a_restore_may_take_so_long() {
    let mut rules = Rules::default();
    let id = "kulti_backup_20250116_143022".parse().unwrap();
    let secs = std::time::Duration::from_secs;
    assert_eq!(rules.judge_restore_time(&id, secs(1_000_000)), None);
    rules.restored_within = Some(secs(3600));
    assert_eq!(rules.judge_restore_time(&id, secs(3600)), None);
    let late = rules.judge_restore_time(&id, secs(3601)).unwrap();
    assert_eq!((late.rule, late.severity), ("restore-time", Severity::Error));
}

#[derive(Debug)]
struct NoForeignTables;

impl Rule for NoForeignTables {
    fn judge(&self, backup: &Judged<'_>) -> Vec<Finding> {
        let is_foreign =
            |table: &&backstay_core::manifest::Table| table.kind == backstay_core::manifest::TableKind::Foreign;
        let foreign = backup.manifest.tables.iter().filter(is_foreign);
        foreign
            .map(|table| Finding::new(Severity::Warning, "foreign-table", table.display_name(), "not here\n"))
            .collect()
    }
}

#[test]
fn rules_of_ones_own_are_judged() {
    let backup = opened(&sample(Codec::Gzip));
    let rules = Rules::default();
    let custom: [std::sync::Arc<dyn Rule>; 1] = [std::sync::Arc::new(NoForeignTables)];
    let mut options = VerifyOptions::new(&rules);
    options.custom = &custom;
    options.now = Some(now());
    let report = judge_backup(backup.manifest(), None, &options);
    assert_eq!(seen(&report), ["warning foreign-table"], "{report}");
    assert_eq!(report.findings[0].message, "not here\u{fffd}");
}

/// What can be exempt is what rules tell.
#[test]
fn every_rule_has_a_name_of_its_own() {
    let mut names: Vec<&str> = RULES.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RULES.len());
}

/// A sample with so many rows in each partition of `colours`.
fn with_partitions(partitions: &[(&str, usize)]) -> SampleBackup {
    let mut sample = sample(Codec::Gzip);
    sample.remove_rows(4);
    let attach = sample
        .manifest
        .entries
        .iter()
        .position(|entry| entry.kind == "TABLE ATTACH");
    let attach = sample.manifest.entries.remove(attach.unwrap());
    let leaf = sample.manifest.tables.remove(4);
    for (name, rows) in partitions {
        let name = DbText::from(*name);
        let index = u32::try_from(sample.manifest.tables.len()).unwrap();
        sample.manifest.tables.push(backstay_core::manifest::Table {
            name: name.clone(),
            ..leaf.clone()
        });
        let mut attach = attach.clone();
        attach.name = name;
        sample.manifest.entries.push(attach);
        let TableRows::Included { digest, text_bytes } = &mut sample.manifest.tables[index as usize].rows else {
            panic!("a partition has rows");
        };
        digest.add_lines(&b"red\t1\n".repeat(*rows));
        *text_bytes = digest.rows() * 6;
    }
    sample
}

/// What is told against earlier backups, newest first, of manifests that nobody need publish.
fn told_of_volumes(now: &SampleBackup, earlier: &[SampleBackup], rules: &Rules) -> Vec<String> {
    let earlier: Vec<PastBackup> = earlier.iter().map(|past| PastBackup::of(&past.manifest)).collect();
    let mut options = VerifyOptions::new(rules);
    options.earlier = &earlier;
    let report = judge_backup(&now.manifest, None, &options);
    let findings = report.findings.iter();
    findings
        .map(|finding| format!("{} {}", finding.rule, finding.subject))
        .collect()
}

#[test]
fn partitions_are_judged_together() {
    let mut rule = TableRule::new("colours");
    rule.loss_percent_max = Some(10);
    let mut rules = Rules::default();
    rules.tables = vec![rule];
    let before = [with_partitions(&[
        ("monday", 100),
        ("tuesday", 100),
        ("wednesday", 100),
    ])];
    for (now, expected) in [
        // Less than half of each, which none of them would tell.
        (
            &[("monday", 60), ("tuesday", 60), ("wednesday", 60)][..],
            &["database-shrank kulti", "table-shrank public.colours"][..],
        ),
        // They come and go.
        (&[("tuesday", 100), ("wednesday", 100), ("thursday", 95)], &[]),
        // One that went and was not replaced.
        (
            &[("tuesday", 100), ("wednesday", 100)],
            &["database-shrank kulti", "table-shrank public.colours"],
        ),
    ] {
        assert_eq!(
            told_of_volumes(&with_partitions(now), &before, &rules),
            expected,
            "{now:?}"
        );
    }
    let past = PastBackup::of(&before[0].manifest);
    let rows = |name: &str| past.rows(&DbText::from("public"), &DbText::from(name));
    assert_eq!(
        (rows("colours"), rows("monday"), rows("none")),
        (Some(300), Some(100), None)
    );
    // With the table itself all of it is gone.
    let mut gone = with_partitions(&[]);
    gone.manifest.tables.remove(3);
    let told = told_of_volumes(&gone, &before, &Rules::default());
    assert!(told.contains(&"table-vanished public.colours".to_owned()), "{told:?}");
    assert!(told.contains(&"table-vanished public.monday".to_owned()), "{told:?}");
}

#[test]
fn backups_of_a_part_are_compared_with_their_like() {
    let part = |mut sample: SampleBackup, subject: &str| {
        sample.manifest.omissions.push(Omission {
            subject: subject.to_owned(),
            reason: PART_OF_DATABASE.to_owned(),
        });
        sample
    };
    let rules = Rules::default();
    let small = || {
        let mut small = with_rows(0);
        small.manifest.tables.truncate(2);
        small
    };
    let (whole, emptied) = (with_rows(1000), with_rows(0));
    // A part before it hides nothing.
    let told = ["database-shrank kulti", "table-emptied public.nothing yet"];
    let earlier = [part(small(), "table users"), whole.clone()];
    assert_eq!(told_of_volumes(&emptied, &earlier, &rules), told);
    // Nor does a part show a loss against the whole, or another part.
    let earlier = [whole.clone(), part(whole.clone(), "schema public")];
    assert!(told_of_volumes(&part(small(), "table users"), &earlier, &rules).is_empty());
    // But against the same part.
    let earlier = [part(whole.clone(), "schema public")];
    assert_eq!(told_of_volumes(&part(emptied, "schema public"), &earlier, &rules), told);
}

/// A table that is gone is told on the next nights, too, until that is usual.
#[test]
fn tables_of_the_whole_history_are_looked_for() {
    let with = || sample(Codec::Gzip);
    let without = || {
        let mut without = sample(Codec::Gzip);
        without.manifest.tables.pop();
        without
    };
    let told = |earlier: &[SampleBackup]| told_of_volumes(&without(), earlier, &Rules::default());
    let vanished = ["table-vanished public.bare"];
    assert_eq!(told(&[with(), without(), without()]), vanished);
    assert_eq!(told(&[without(), with(), with()]), vanished);
    assert!(told(&[without(), without(), with()]).is_empty());
}
