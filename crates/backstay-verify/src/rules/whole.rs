//! What is expected of a backup as a whole.

use backstay_core::Manifest;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Rules;
use crate::finding::Finding;

pub(super) fn check(manifest: &Manifest, rules: &Rules) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in &rules.extensions {
        let extensions = &manifest.source.extensions;
        if !extensions.iter().any(|extension| extension.name == **name) {
            let message = "the database does not have this extension";
            findings.push(Finding::error("missing-extension", name, message));
        }
    }
    if rules.encrypted && manifest.digest_key.is_none() {
        let message = "the backup is not encrypted, and it has to be";
        findings.push(Finding::error("not-encrypted", &manifest.id, message));
    }
    findings
}

/// The newest backup may be another than the one that is looked at.
pub(super) fn check_age(
    manifest: &Manifest,
    newest: Option<Timestamp>,
    rules: &Rules,
    now: Timestamp,
) -> Option<Finding> {
    let max = rules.age_max?;
    let newest = newest.unwrap_or(manifest.taken_at).max(manifest.taken_at);
    (now > max.after(newest, &TimeZone::UTC)).then(|| {
        let message = "the newest backup is older than it may be";
        Finding::error("backup-age", manifest.id.prefix(), message)
            .with("expected", format!("at most {max}"))
            .with("found", format!("taken {newest}"))
    })
}
