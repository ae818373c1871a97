//! What is let pass for a while, and how much findings matter to those who wrote the rules.

use jiff::Timestamp;

use super::{Exemption, Rules};
use crate::finding::{Finding, Severity};

pub(super) fn settle(rules: &Rules, findings: Vec<Finding>, now: Timestamp) -> Vec<Finding> {
    let mut findings = with_severities(rules, findings);
    for finding in &mut findings {
        let exemption = rules.exemptions.iter().find(|exemption| exemption.covers(finding, now));
        if let Some(Exemption { reason, until, .. }) = exemption {
            finding.severity = Severity::Note;
            finding.add("let pass", format!("until {until}: {reason}"));
        }
    }
    for exemption in rules.exemptions.iter().filter(|exemption| exemption.until <= now) {
        let Exemption {
            rule,
            subject,
            reason,
            until,
        } = exemption;
        let subject = subject
            .as_ref()
            .map_or_else(|| rule.clone(), |subject| format!("{rule} {subject}"));
        let message = "an exemption has ended, and lets nothing pass any more";
        let finding = Finding::warning("exemption-ended", subject, message);
        findings.push(finding.with("until", until).with("reason", reason));
    }
    findings
}

pub(super) fn with_severities(rules: &Rules, mut findings: Vec<Finding>) -> Vec<Finding> {
    for finding in &mut findings {
        if let Some(severity) = rules.severities.get(finding.rule) {
            finding.severity = *severity;
        }
    }
    findings
}

impl Exemption {
    fn covers(&self, finding: &Finding, now: Timestamp) -> bool {
        let is_subject = |subject: &String| {
            let schema = finding.subject.strip_suffix(subject.as_str());
            schema.is_some_and(|schema| schema.is_empty() || schema.ends_with('.'))
        };
        now < self.until && self.rule == finding.rule && self.subject.as_ref().is_none_or(is_subject)
    }
}
