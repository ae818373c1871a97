use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{RetentionPolicy, RetentionReason};
use crate::id::BackupId;
use crate::tag::Tag;

/// What a plan has to know of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "whoever plans must say each")]
pub struct BackupFacts {
    /// Its id, which has its time.
    pub id: BackupId,
    /// The database and the cluster that it is of, where its manifest tells that in clear.
    pub origin: Option<String>,
    /// Which part of its database it holds, in a word that is the same for the same part; `None` where it holds all, or does not
    /// tell.
    pub part: Option<String>,
    /// Whether its manifest could be read. The two last are unknown where it could not.
    pub is_read: bool,
    /// Whether every pack that it names is in the store, with the right length.
    pub is_whole: bool,
    /// Whether it was proven.
    pub proof: ProofState,
    /// The holds that are in force.
    pub holds: Vec<HoldFacts>,
    /// The tags that it was given.
    pub tags: Vec<Tag>,
    /// Until when it is to be kept at least.
    pub keep_until: Option<Timestamp>,
}

/// Whether a backup was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "yes, no, and who knows")]
pub enum ProofState {
    /// It was not.
    None,
    /// There is a record of it that cannot be read.
    Unread,
    /// It was: verified at standard level or deeper, without errors.
    Proven,
}

/// Who holds a backup, and why; nothing where that cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "who and why")]
pub struct HoldFacts {
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
}

impl fmt::Display for HoldFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.who.as_str(), self.why.as_str()) {
            ("", "") => Ok(()),
            (who, "") => write!(f, " by {who}"),
            ("", why) => write!(f, ": {why}"),
            (who, why) => write!(f, " by {who}: {why}"),
        }
    }
}

/// What a plan says of one backup, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionDecision {
    /// The backup.
    pub id: BackupId,
    /// What shall happen to it.
    pub action: RetentionAction,
    /// Whether it holds only a part of its database, and is planned among those of the same part.
    pub is_part: bool,
    /// Why; every reason that keeps it, or the one that lets it go.
    pub reasons: Vec<RetentionReason>,
}

/// What shall happen to a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a backup stays or goes")]
pub enum RetentionAction {
    /// It stays.
    Keep,
    /// It goes.
    Delete,
}

/// Plans what shall stay and what go at `now`; gives a decision for each backup, by prefix and then by time.
///
/// Each prefix is planned for by itself; where it has backups of several databases, each database; and where some hold only a
/// part, each part, since none of them can take the place of the whole. The order in which the facts are given does not
/// matter. Whatever the policy, a backup stays if it is the newest, the newest that is whole, the newest that was proven, held, unread, to be kept until later,
/// or from the future. Those from the future count for no rule, and what lacks a pack takes no place from what is whole.
///
/// Once a plan was carried out, the same policy at the same time lets nothing more go.
#[must_use]
pub fn plan_retention(backups: &[BackupFacts], policy: &RetentionPolicy, now: Timestamp) -> Vec<RetentionDecision> {
    let mut sorted: Vec<&BackupFacts> = backups.iter().collect();
    let series_of = |backup: &BackupFacts| {
        let prefix = backup.id.prefix().clone();
        (prefix, backup.origin.clone(), backup.part.clone())
    };
    sorted.sort_by_cached_key(|backup| (series_of(backup), backup.id.clone()));
    let mut decisions: Vec<RetentionDecision> = sorted
        .chunk_by(|a, b| series_of(a) == series_of(b))
        .flat_map(|series| Series::new(series, now).plan(policy, now))
        .collect();
    decisions.sort_by(|a, b| a.id.cmp(&b.id));
    decisions
}

/// The backups of one database, all of it or the same part, by time, and why they stay.
struct Series<'f> {
    backups: &'f [&'f BackupFacts],
    reasons: Vec<Vec<RetentionReason>>,
    /// Those that are not from the future, newest first.
    newest_first: Vec<usize>,
}

impl<'f> Series<'f> {
    fn new(backups: &'f [&'f BackupFacts], now: Timestamp) -> Self {
        let is_past = |index: &usize| backups[*index].id.time() <= now;
        Self {
            backups,
            reasons: vec![Vec::new(); backups.len()],
            newest_first: (0..backups.len()).rev().filter(is_past).collect(),
        }
    }

    fn plan(mut self, policy: &RetentionPolicy, now: Timestamp) -> Vec<RetentionDecision> {
        self.keep_the_newest();
        for index in 0..self.backups.len() {
            self.keep_for_itself(index, policy, now);
        }
        self.keep_by_rules(policy);
        let is_empty = policy.is_empty();
        let decided = self.backups.iter().zip(self.reasons).map(|(backup, mut reasons)| {
            if is_empty && reasons.is_empty() {
                reasons.push(RetentionReason::NoRules);
            }
            let action = if reasons.is_empty() {
                let age_secs = now.as_second().saturating_sub(backup.id.time().as_second());
                let age_days = u64::try_from(age_secs / SECONDS_PER_DAY).unwrap_or(0);
                reasons.push(RetentionReason::Expired { age_days });
                RetentionAction::Delete
            } else {
                RetentionAction::Keep
            };
            RetentionDecision {
                id: backup.id.clone(),
                action,
                is_part: backup.part.is_some(),
                reasons,
            }
        });
        decided.collect()
    }

    fn newest_that(&self, condition: impl Fn(&BackupFacts) -> bool) -> Option<usize> {
        let mut newest_first = self.newest_first.iter().copied();
        newest_first.find(|index| condition(self.backups[*index]))
    }

    fn keep_the_newest(&mut self) {
        let newest = self.newest_that(|_| true);
        let whole = self.newest_that(|backup| backup.is_whole);
        let proven = self.newest_that(|backup| backup.is_whole && backup.proof == ProofState::Proven);
        let perhaps = self.newest_that(|backup| backup.is_whole && backup.proof != ProofState::None);
        if let Some(index) = newest {
            self.reasons[index].push(RetentionReason::Newest);
        }
        if let Some(index) = whole.filter(|_| whole != newest) {
            self.reasons[index].push(RetentionReason::NewestWhole);
        }
        if let Some(index) = proven {
            self.reasons[index].push(RetentionReason::NewestProven);
        }
        if let Some(index) = perhaps.filter(|_| perhaps != proven) {
            self.reasons[index].push(RetentionReason::NewestPerhapsProven);
        }
    }

    /// Keeps what stays whatever the others are.
    fn keep_for_itself(&mut self, index: usize, policy: &RetentionPolicy, now: Timestamp) {
        let (backup, reasons) = (self.backups[index], &mut self.reasons[index]);
        let time = backup.id.time();
        reasons.extend(backup.holds.iter().cloned().map(RetentionReason::Held));
        if !backup.is_read {
            reasons.push(RetentionReason::Unread);
        }
        if time > now {
            reasons.push(RetentionReason::FromTheFuture);
        }
        if let Some(until) = backup.keep_until.filter(|until| *until > now) {
            reasons.push(RetentionReason::KeptUntil(until));
        }
        if let Some(min_age) = policy.min_age
            && (min_age.before(now, &policy.time_zone)..=now).contains(&time)
        {
            reasons.push(RetentionReason::Young { min_age });
        }
        let kept = |tag: &&Tag| policy.keep_tags.iter().any(|asked| tag.is_one_of(asked));
        reasons.extend(backup.tags.iter().filter(kept).cloned().map(RetentionReason::Tagged));
    }

    fn keep_by_rules(&mut self, policy: &RetentionPolicy) {
        let count = policy.keep_last;
        self.keep_newest_per(
            count,
            |backup, _| (backup.id.time(), RetentionReason::Last { count }),
            policy,
        );
        let whole = self.newest_that(|backup| backup.is_whole);
        if let (Some(age), Some(newest)) = (policy.keep_within, whole.or(self.newest_that(|_| true))) {
            let first = age.before(self.backups[newest].id.time(), &policy.time_zone);
            for index in self.newest_first.iter().copied() {
                if self.backups[index].id.time() >= first {
                    self.reasons[index].push(RetentionReason::Within(age));
                }
            }
        }
        self.keep_newest_per(policy.keep_daily, |_, day| (day, RetentionReason::Daily(day)), policy);
        let weekly = |_: &BackupFacts, day: Date| {
            let date = day.iso_week_date();
            let (year, week) = (date.year(), date.week());
            ((year, week), RetentionReason::Weekly { year, week })
        };
        self.keep_newest_per(policy.keep_weekly, weekly, policy);
        let monthly = |_: &BackupFacts, day: Date| {
            let (year, month) = (day.year(), day.month());
            ((year, month), RetentionReason::Monthly { year, month })
        };
        self.keep_newest_per(policy.keep_monthly, monthly, policy);
        let yearly = |_: &BackupFacts, day: Date| (day.year(), RetentionReason::Yearly { year: day.year() });
        self.keep_newest_per(policy.keep_yearly, yearly, policy);
    }

    /// Keeps the newest of each of so many periods that have one. A period is taken by what is whole: what is newer in it
    /// and lacks a pack stays beside that.
    fn keep_newest_per<P: Ord>(
        &mut self,
        count: u32,
        period: impl Fn(&BackupFacts, Date) -> (P, RetentionReason),
        policy: &RetentionPolicy,
    ) {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut taken = BTreeSet::new();
        for index in self.newest_first.iter().copied() {
            let backup = self.backups[index];
            let day = backup.id.time().to_zoned(policy.time_zone.clone()).date();
            let (period, reason) = period(backup, day);
            if taken.contains(&period) {
                continue;
            }
            if taken.len() == count {
                break;
            }
            self.reasons[index].push(reason);
            if backup.is_whole {
                taken.insert(period);
            }
        }
    }
}

const SECONDS_PER_DAY: i64 = 86_400;
