use backstay_core::repository::{Deed, Outcome, Pruning, Removal, Repository, RepositoryError};
use backstay_core::retention::{RetentionAction, RetentionDecision, RetentionPolicy, plan_retention};
use backstay_core::store::Error;
use backstay_core::{BackupId, Prefix};
use jiff::Timestamp;

use crate::witness::Witness;

/// What pruning did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Pruned {
    /// The plan.
    pub decisions: Vec<RetentionDecision>,
    /// What became of those that it lets go, in their order. After a failure of the store the rest is not tried.
    pub removed: Vec<(BackupId, Result<Removal, RepositoryError>)>,
    /// Why entries of the log could not be written.
    pub unnoted: Vec<RepositoryError>,
}

/// Plans what a policy lets go of all backups, or of those with one prefix; changes nothing.
///
/// # Errors
/// Those of the store. What cannot be read stays, and the plan says so.
pub fn plan_prune(
    pruning: &mut Pruning<'_>,
    policy: &RetentionPolicy,
    prefix: Option<&Prefix>,
    now: Timestamp,
) -> Result<Vec<RetentionDecision>, Error> {
    let mut facts = pruning.facts(now)?;
    facts.retain(|backup| prefix.is_none_or(|prefix| backup.id.prefix() == prefix));
    Ok(plan_retention(&facts, policy, now))
}

/// Removes what a policy lets go of all backups, or of those with one prefix. Each is noted in the log before it begins and
/// when it ended.
///
/// A backup that somebody holds since it was planned for stays, and so does one that another removes.
///
/// # Errors
/// Those of the store while it is planned. Later ones are told in [`Pruned::removed`].
pub fn prune(
    repository: &Repository,
    policy: &RetentionPolicy,
    prefix: Option<&Prefix>,
    witness: &Witness,
) -> Result<Pruned, Error> {
    let mut pruning = repository.pruning();
    let decisions = plan_prune(&mut pruning, policy, prefix, (witness.clock)())?;
    Ok(carry_out(repository, pruning, decisions, witness))
}

/// The same of the backups of one database, whatever they say of their cluster; the others are as if they were not there.
///
/// # Errors
/// Those of [`prune`].
pub fn prune_database(
    repository: &Repository,
    policy: &RetentionPolicy,
    is_of_it: impl Fn(&BackupId) -> bool,
    witness: &Witness,
) -> Result<Pruned, Error> {
    let mut pruning = repository.pruning();
    let now = (witness.clock)();
    let mut facts = pruning.facts(now)?;
    facts.retain(|backup| is_of_it(&backup.id));
    for backup in &mut facts {
        backup.origin = None;
    }
    let decisions = plan_retention(&facts, policy, now);
    Ok(carry_out(repository, pruning, decisions, witness))
}

fn carry_out(
    repository: &Repository,
    mut pruning: Pruning<'_>,
    decisions: Vec<RetentionDecision>,
    witness: &Witness,
) -> Pruned {
    let mut pruned = Pruned {
        decisions,
        ..Pruned::default()
    };
    let going = pruned
        .decisions
        .iter()
        .filter(|decision| decision.action == RetentionAction::Delete);
    for decision in going {
        let id = &decision.id;
        let reasons: Vec<String> = decision.reasons.iter().map(ToString::to_string).collect();
        let mut note = |outcome, detail: &str| {
            let noted = witness.note(repository, Deed::Deletion, outcome, Some(id), detail);
            pruned.unnoted.extend(noted.err());
        };
        note(Outcome::Begun, &reasons.join("; "));
        let removal = pruning.remove(id, (witness.clock)());
        match &removal {
            Ok(_) => note(Outcome::Done, ""),
            Err(error) => note(Outcome::Failed, &error.to_string()),
        }
        let is_end = matches!(&removal, Err(error) if !concerns_one(error));
        pruned.removed.push((id.clone(), removal));
        if is_end {
            break;
        }
    }
    pruned
}

/// Whether an error says nothing of the other backups.
fn concerns_one(error: &RepositoryError) -> bool {
    let is_kept = matches!(
        error,
        RepositoryError::Held { .. } | RepositoryError::BeingRemoved { .. }
    );
    is_kept || error.is_not_found()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backstay_core::repository::LogFilter;
    use backstay_core::retention::RetentionReason;
    use backstay_core::store::{MemoryStore, Store};

    use super::*;

    fn witness() -> Witness {
        Witness {
            who: "ann".to_owned(),
            from: "db1".to_owned(),
            clock: || "2025-02-01T00:00:00Z".parse().unwrap(),
        }
    }

    fn put(store: &MemoryStore, name: &str, bytes: &[u8]) {
        let mut object = store.create(&name.parse().unwrap()).unwrap();
        object.append(bytes).unwrap();
        object.publish().unwrap();
    }

    const SEALED: &str = r#"{"format":2,"writer":"w","id":"ID","kind":"full","taken_at":"2025-01-01T00:00:00Z","sealed":{"method":"age","recipients":[]},"packs":[{"id":"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881","name":"ID.sql.gz.age","bytes":1}]}"#;

    fn store_with(ids: &[&str]) -> (MemoryStore, Repository) {
        let store = MemoryStore::new();
        for id in ids {
            put(&store, &format!("{id}.sql.gz.age"), b"x");
            put(
                &store,
                &format!("{id}.manifest.json"),
                SEALED.replace("ID", id).as_bytes(),
            );
        }
        (store.clone(), Repository::new(Arc::new(store)))
    }

    fn last(count: u32) -> RetentionPolicy {
        let mut policy = RetentionPolicy::default();
        policy.keep_last = count;
        policy
    }

    #[test]
    fn what_goes_is_noted_before_and_after() {
        let ids = [
            "a_backup_20250101_000000",
            "a_backup_20250102_000000",
            "b_backup_20250101_000000",
        ];
        let (store, repository) = store_with(&ids);
        let pruned = prune(&repository, &last(1), None, &witness()).unwrap();
        let removed: Vec<String> = pruned.removed.iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(removed, [ids[0]]);
        assert!(pruned.unnoted.is_empty());
        assert_eq!(repository.list().unwrap().backups.len(), 2);
        let log = repository.log(&LogFilter::default()).unwrap();
        let outcomes: Vec<Outcome> = log.iter().map(|item| item.entry.as_ref().unwrap().outcome).collect();
        assert_eq!(outcomes, [Outcome::Begun, Outcome::Done]);
        assert_eq!(log[0].entry.as_ref().unwrap().detail, "no rule keeps it, 31 days old");
        // Again: nothing more goes.
        assert!(
            prune(&repository, &last(1), None, &witness())
                .unwrap()
                .removed
                .is_empty()
        );
        // The log is no litter and no backup.
        let litter = repository.litter(i64::MAX, 0).unwrap();
        assert!(litter.items.is_empty() && litter.adoptable.is_empty(), "{litter:?}");
        assert!(store.head(&log[0].key).is_ok());
    }

    #[test]
    fn one_prefix_alone_can_be_pruned() {
        let ids = [
            "a_backup_20250101_000000",
            "a_backup_20250102_000000",
            "b_backup_20250101_000000",
            "b_backup_20250102_000000",
        ];
        let (_, repository) = store_with(&ids);
        let pruned = prune(&repository, &last(1), Some(&"b".parse().unwrap()), &witness()).unwrap();
        assert_eq!(pruned.decisions.len(), 2);
        assert_eq!(pruned.removed.len(), 1);
        assert_eq!(repository.list().unwrap().backups.len(), 3);
    }

    #[test]
    fn a_removal_that_another_began_keeps_the_others_from_nothing() {
        let ids = [
            "a_backup_20250101_000000",
            "a_backup_20250102_000000",
            "a_backup_20250103_000000",
        ];
        let (store, repository) = store_with(&ids);
        put(&store, "tombstones/a_backup_20250101_000000.json", b"");
        let pruned = prune(&repository, &last(1), None, &witness()).unwrap();
        assert!(matches!(pruned.removed[0].1, Err(RepositoryError::BeingRemoved { .. })));
        assert!(pruned.removed[1].1.is_ok());
        let log = repository
            .log(&LogFilter {
                id: Some(ids[0].parse().unwrap()),
                since: None,
            })
            .unwrap();
        assert_eq!(log[1].entry.as_ref().unwrap().outcome, Outcome::Failed);
    }

    #[test]
    fn a_hold_keeps_what_the_policy_lets_go_until_it_is_released() {
        let ids = ["a_backup_20250101_000000", "a_backup_20250102_000000"];
        let (_, repository) = store_with(&ids);
        let id: BackupId = ids[0].parse().unwrap();
        repository.hold(&id, &witness().statement("case 12"), None).unwrap();
        let pruned = prune(&repository, &last(1), None, &witness()).unwrap();
        assert!(pruned.removed.is_empty());
        let reasons = &pruned.decisions[0].reasons;
        assert!(
            matches!(&reasons[..], [RetentionReason::Held(hold)] if hold.why == "case 12"),
            "{reasons:?}"
        );
        repository.release(&id, &witness().statement("over")).unwrap();
        assert_eq!(prune(&repository, &last(1), None, &witness()).unwrap().removed.len(), 1);
    }
}
