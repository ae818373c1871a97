use std::collections::BTreeSet;

use backstay_core::BackupId;
use backstay_core::retention::{
    Age, BackupFacts, HoldFacts, ProofState, RetentionAction, RetentionPolicy, RetentionReason, plan_retention,
};
use jiff::Timestamp;
use proptest::prelude::*;

use super::calendars::{sound, time, zone};

const NOW: &str = "2025-01-20T12:00";
const HOURS_MAX: i64 = 3 * 366 * 24;

fn facts() -> impl Strategy<Value = BackupFacts> {
    let proof = prop_oneof![
        4 => Just(ProofState::None),
        1 => Just(ProofState::Unread),
        1 => Just(ProofState::Proven),
    ];
    let rarely = || prop::bool::weighted(0.1);
    (
        -48..HOURS_MAX,
        any::<bool>(),
        proof,
        rarely(),
        rarely(),
        rarely(),
        rarely(),
        prop::option::of(-100i64..100),
        prop::option::weighted(0.3, 0u8..2),
    )
        .prop_map(
            |(hours_old, is_first, proof, is_held, is_unread, is_lacking, is_tagged, until, part)| {
                let now = time(NOW).as_second();
                let at = Timestamp::from_second(now - hours_old * 3600).unwrap();
                BackupFacts {
                    origin: None,
                    part: part.map(|part: u8| part.to_string()),
                    is_read: !is_unread,
                    is_whole: !is_unread && !is_lacking,
                    proof,
                    holds: is_held.then(HoldFacts::default).into_iter().collect(),
                    tags: is_tagged.then(|| "t".parse().unwrap()).into_iter().collect(),
                    keep_until: until.map(|hours| Timestamp::from_second(now + hours * 3600).unwrap()),
                    ..sound(if is_first { "a" } else { "b" }, at)
                }
            },
        )
}

fn backups() -> impl Strategy<Value = Vec<BackupFacts>> {
    prop::collection::vec(facts(), 0..60).prop_map(|mut all| {
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all.dedup_by(|a, b| a.id == b.id);
        all
    })
}

fn policies() -> impl Strategy<Value = RetentionPolicy> {
    let count = || prop_oneof![2 => Just(0u32), 3 => 1u32..8];
    let age = || prop::option::weighted(0.3, (1u32..400).prop_map(Age::days));
    let zones = prop::sample::select(vec!["berlin", "lord-howe", "kolkata", "midnight", "kiritimati"]);
    let counts = (count(), count(), count(), count(), count());
    (counts, age(), age(), any::<bool>(), zones).prop_map(|(counts, within, min_age, is_tag_kept, zone_name)| {
        let mut policy = RetentionPolicy::default();
        (
            policy.keep_last,
            policy.keep_daily,
            policy.keep_weekly,
            policy.keep_monthly,
            policy.keep_yearly,
        ) = counts;
        policy.keep_within = within;
        policy.min_age = min_age;
        policy.keep_tags = is_tag_kept.then(|| "t".parse().unwrap()).into_iter().collect();
        policy.time_zone = zone(zone_name);
        policy
    })
}

fn kept(backups: &[BackupFacts], policy: &RetentionPolicy) -> BTreeSet<BackupId> {
    let plan = plan_retention(backups, policy, time(NOW));
    let kept = plan
        .into_iter()
        .filter(|decision| decision.action == RetentionAction::Keep);
    kept.map(|decision| decision.id).collect()
}

fn newest<'f>(
    backups: &'f [BackupFacts],
    prefix: &str,
    condition: impl Fn(&BackupFacts) -> bool,
) -> Option<&'f BackupFacts> {
    let fitting = backups.iter().filter(|backup| backup.id.prefix().as_str() == prefix);
    fitting
        .filter(|backup| condition(backup))
        .max_by_key(|backup| backup.id.time())
}

proptest! {
    #[test]
    fn every_backup_is_decided_once_with_reasons_of_one_kind(backups in backups(), policy in policies()) {
        let plan = plan_retention(&backups, &policy, time(NOW));
        let ids: Vec<&BackupId> = plan.iter().map(|decision| &decision.id).collect();
        let expected: Vec<&BackupId> = backups.iter().map(|backup| &backup.id).collect();
        prop_assert_eq!(ids, expected);
        for decision in &plan {
            prop_assert!(!decision.reasons.is_empty());
            let lets_go = |reason: &RetentionReason| matches!(reason, RetentionReason::Expired { .. });
            let is_deleted = decision.action == RetentionAction::Delete;
            prop_assert!(decision.reasons.iter().all(|reason| lets_go(reason) == is_deleted));
        }
    }

    #[test]
    fn what_must_stay_stays(backups in backups(), policy in policies()) {
        let kept = kept(&backups, &policy);
        let now = time(NOW);
        let is_past = |backup: &BackupFacts| backup.id.time() <= now;
        let parts = [None, Some("0"), Some("1")];
        for (prefix, part) in ["a", "b"].into_iter().flat_map(|prefix| parts.map(|part| (prefix, part))) {
            let newest = |condition: &dyn Fn(&BackupFacts) -> bool| {
                newest(&backups, prefix, |backup| backup.part.as_deref() == part && condition(backup))
            };
            let musts = [
                newest(&|_| true),
                newest(&is_past),
                newest(&|backup| is_past(backup) && backup.is_whole),
                newest(&|backup| {
                    is_past(backup) && backup.is_whole && backup.proof == ProofState::Proven
                }),
            ];
            for must in musts.into_iter().flatten() {
                prop_assert!(kept.contains(&must.id), "{}", must.id);
            }
        }
        for backup in &backups {
            let must = !backup.holds.is_empty()
                || !backup.is_read
                || !is_past(backup)
                || backup.keep_until.is_some_and(|until| until > now);
            prop_assert!(!must || kept.contains(&backup.id), "{}", backup.id);
        }
        prop_assert!(!policy.is_empty() || kept.len() == backups.len());
    }

    #[test]
    fn the_order_of_the_facts_does_not_matter(
        (backups, shuffled) in backups().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        policy in policies(),
    ) {
        let now = time(NOW);
        prop_assert_eq!(plan_retention(&backups, &policy, now), plan_retention(&shuffled, &policy, now));
    }

    #[test]
    fn doing_it_twice_changes_nothing(backups in backups(), policy in policies()) {
        let kept_once = kept(&backups, &policy);
        let rest: Vec<BackupFacts> = backups.into_iter().filter(|backup| kept_once.contains(&backup.id)).collect();
        prop_assert_eq!(kept(&rest, &policy), kept_once);
    }

    #[test]
    fn another_database_changes_nothing(backups in backups(), policy in policies()) {
        let both = kept(&backups, &policy);
        let alone: Vec<BackupFacts> = backups.iter().filter(|b| b.id.prefix().as_str() == "a").cloned().collect();
        let both_of_a: BTreeSet<BackupId> = both.into_iter().filter(|id| id.prefix().as_str() == "a").collect();
        prop_assert_eq!(kept(&alone, &policy), both_of_a);
    }

    #[test]
    fn what_lacks_a_pack_costs_no_whole_backup_its_place(backups in backups(), policy in policies()) {
        let sound: Vec<BackupFacts> = backups.iter().filter(|backup| backup.is_whole).cloned().collect();
        // What is newest among all may not be so among the whole ones, and stays for that alone.
        let with = kept(&backups, &policy);
        for id in kept(&sound, &policy) {
            prop_assert!(with.contains(&id), "{id}");
        }
    }

    #[test]
    fn more_is_kept_where_more_is_asked_for(backups in backups(), policy in policies(), more in 1u32..5) {
        let mut generous = policy.clone();
        // An empty policy keeps everything, so a rule more would be a rule less.
        prop_assume!(!policy.is_empty());
        generous.keep_daily += more;
        generous.keep_last += more;
        let less = kept(&backups, &policy);
        prop_assert!(kept(&backups, &generous).is_superset(&less));
    }
}
