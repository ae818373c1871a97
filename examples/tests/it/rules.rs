use backstay::{BackupOptions, CancelToken, Silent, back_up};
use jiff::Timestamp;

use crate::own_rule::verify;
use crate::support::Shop;

#[test]
fn a_rule_of_ones_own_is_judged_with_the_others() {
    let shop = Shop::open();
    shop.sql(
        "ALTER TABLE product ENABLE ROW LEVEL SECURITY; CREATE POLICY readers ON product USING (true);
         CREATE TABLE vault (id int); ALTER TABLE vault ENABLE ROW LEVEL SECURITY;",
    );
    let repository = shop.repository();
    let made = back_up(
        &shop.database(),
        &repository,
        Timestamp::now(),
        &shop.programs(),
        &BackupOptions::default(),
        &Silent,
        &CancelToken::new(),
    );
    let report = verify(&repository, &made.unwrap().published.manifest.id).unwrap();
    let findings: Vec<(&str, &str)> = report.findings.iter().map(|f| (f.rule, f.subject.as_str())).collect();
    assert_eq!(
        findings,
        [("open-table", "public.sale"), ("closed-table", "public.vault")],
        "{report}"
    );
    assert!(!report.is_sound());
    let lines = include_str!("../../own_rule.rs").lines().count();
    assert!(lines < 100, "{lines}");
}
