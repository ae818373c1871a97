//! Which exports a store has, and which of them may go.

use std::collections::BTreeMap;
use std::io::Read as _;

use backstay_core::retention::{
    BackupFacts, ProofState, RetentionAction, RetentionDecision, RetentionPolicy, plan_retention,
};
use backstay_core::store::{Error, ObjectMeta, Store};
use backstay_core::{ObjectKey, Prefix};
use jiff::{SignedDuration, Timestamp};

use crate::error::ExportError;
use crate::id::ExportId;
use crate::manifest::{ExportManifest, MANIFEST_BYTES_MAX};
use crate::source::ExportSource;

/// For how long what has no manifest is taken for an export that is being written.
const LITTER_GRACE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The exports of one folder of a store.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ExportListing {
    /// Those that exist, by name and time.
    pub exports: Vec<ExportSummary>,
    /// Files whose manifest is not there: an export that is being written, or what a crash left.
    pub unfinished: Vec<ExportId>,
}

/// An export that exists.
#[derive(Debug)]
#[non_exhaustive]
pub struct ExportSummary {
    /// Its id.
    pub id: ExportId,
    /// What its manifest says, or why it cannot be read.
    pub manifest: Result<ExportManifest, ExportError>,
    /// Whether its file is there, with the right length.
    pub is_whole: bool,
    objects: Vec<ObjectMeta>,
}

/// What removing exports did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct PrunedExports {
    /// The plan; its ids are those of exports but for the word between name and time.
    pub decisions: Vec<RetentionDecision>,
    /// The exports that are gone.
    pub removed: Vec<ExportId>,
    /// What crashes left and is gone.
    pub litter: Vec<ExportId>,
}

/// Lists the exports in a folder of a store, or those of one name. Reads each manifest.
///
/// # Errors
/// Those of the store. A manifest that cannot be understood is told with its export.
pub fn list_exports(store: &dyn Store, folder: &ObjectKey, name: Option<&Prefix>) -> Result<ExportListing, Error> {
    let begin = format!("{folder}/");
    let mut objects: BTreeMap<ExportId, Vec<ObjectMeta>> = BTreeMap::new();
    for object in store.list(&begin)? {
        let of = object.key.as_str().strip_prefix(&begin).and_then(ExportId::of_object);
        if let Some((id, _)) = of
            && name.is_none_or(|name| id.name() == name)
        {
            objects.entry(id).or_default().push(object);
        }
    }
    let mut listing = ExportListing::default();
    for (id, objects) in objects {
        let manifest_key = format!("{begin}{id}.manifest.json");
        let Some(object) = objects.iter().find(|object| object.key.as_str() == manifest_key) else {
            listing.unfinished.push(id);
            continue;
        };
        let manifest = match read_small(store, &object.key)? {
            Some(json) => ExportManifest::parse(&id, &json),
            None => Err(ExportError::Manifest {
                id: id.clone(),
                why: format!("it is longer than {MANIFEST_BYTES_MAX} bytes"),
            }),
        };
        let is_whole = manifest.as_ref().is_ok_and(|manifest| {
            let key = format!("{begin}{}", manifest.file);
            objects
                .iter()
                .any(|object| object.key.as_str() == key && object.size == manifest.bytes)
        });
        listing.exports.push(ExportSummary {
            id,
            manifest,
            is_whole,
            objects,
        });
    }
    Ok(listing)
}

fn read_small(store: &dyn Store, key: &ObjectKey) -> Result<Option<Vec<u8>>, Error> {
    let mut bytes = Vec::new();
    store
        .read(key, None)?
        .take(MANIFEST_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::io("read", key.as_str(), error))?;
    Ok((bytes.len() as u64 <= MANIFEST_BYTES_MAX).then_some(bytes))
}

/// Plans which exports of one name a policy lets go, each database by itself where manifests say it; changes nothing. The newest
/// stays whatever the policy says, as with backups, and so does what cannot be read. What is of another database than `source`,
/// or may be because that is not known, stays and does not count.
///
/// # Errors
/// Those of the store.
pub fn plan_export_prune(
    store: &dyn Store,
    folder: &ObjectKey,
    name: &Prefix,
    policy: &RetentionPolicy,
    source: Option<&ExportSource>,
    now: Timestamp,
) -> Result<Vec<RetentionDecision>, Error> {
    Ok(plan(&list_exports(store, folder, Some(name))?, policy, source, now))
}

fn plan(
    listing: &ExportListing,
    policy: &RetentionPolicy,
    source: Option<&ExportSource>,
    now: Timestamp,
) -> Vec<RetentionDecision> {
    let facts: Vec<BackupFacts> = listing
        .exports
        .iter()
        .filter(|export| !is_foreign(export, source))
        .map(|export| BackupFacts {
            id: export.id.as_planned().clone(),
            // Exports of one name are of several databases where another one was typed; of sealed ones nobody knows.
            origin: database_of(export),
            part: None,
            is_read: export.manifest.is_ok(),
            is_whole: export.is_whole,
            proof: ProofState::None,
            holds: Vec::new(),
            tags: Vec::new(),
            keep_until: None,
        })
        .collect();
    plan_retention(&facts, policy, now)
}

/// Whether an export is of another database, as far as its manifest tells.
fn is_foreign(export: &ExportSummary, source: Option<&ExportSource>) -> bool {
    let theirs = export.manifest.as_ref().ok().and_then(|manifest| manifest.source);
    theirs.is_some_and(|theirs| source.is_none_or(|source| source.fingerprint(&export.id) != theirs))
}

fn database_of(export: &ExportSummary) -> Option<String> {
    let contents = export.manifest.as_ref().ok()?.contents.as_ref()?;
    Some(contents.database.clone())
}

/// Removes the exports of one name that a policy lets go, as [`plan_export_prune`] tells them, each beginning with its manifest, and files that had no manifest
/// for seven days.
///
/// # Errors
/// Those of the store; what went before is gone.
pub fn prune_exports(
    store: &dyn Store,
    folder: &ObjectKey,
    name: &Prefix,
    policy: &RetentionPolicy,
    source: Option<&ExportSource>,
    now: Timestamp,
) -> Result<PrunedExports, Error> {
    let listing = list_exports(store, folder, Some(name))?;
    let mut pruned = PrunedExports {
        decisions: plan(&listing, policy, source, now),
        ..PrunedExports::default()
    };
    for decision in &pruned.decisions {
        let export = listing
            .exports
            .iter()
            .find(|export| *export.id.as_planned() == decision.id);
        if let (RetentionAction::Delete, Some(export)) = (decision.action, export) {
            let manifest = format!("{folder}/{}.manifest.json", export.id);
            let (first, rest): (Vec<_>, Vec<_>) = export
                .objects
                .iter()
                .partition(|object| object.key.as_str() == manifest);
            for object in first.into_iter().chain(rest) {
                store.delete(&object.key)?;
            }
            pruned.removed.push(export.id.clone());
        }
    }
    for id in listing.unfinished {
        let objects = store.list(&format!("{folder}/{id}."))?;
        if !is_litter(&id, &objects, now) {
            continue;
        }
        for object in &objects {
            store.delete(&object.key)?;
        }
        pruned.litter.push(id);
    }
    Ok(pruned)
}

/// Whether nobody is writing these objects of an export any more, and none of them is a manifest that came meanwhile.
fn is_litter(id: &ExportId, objects: &[ObjectMeta], now: Timestamp) -> bool {
    let before = now.as_second().saturating_sub(LITTER_GRACE.as_secs());
    let is_finished = |object: &ObjectMeta| object.key.as_str().ends_with(".manifest.json");
    let is_young = |object: &ObjectMeta| object.modified_unix_secs > before;
    id.time().as_second() <= before && !objects.iter().any(|object| is_finished(object) || is_young(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_being_written_is_no_litter() {
        let id: ExportId = "a_export_20250116_143022".parse().unwrap();
        let made = id.time();
        let object = |ending: &str, at: Timestamp| ObjectMeta {
            key: format!("exports/{id}.{ending}").parse().unwrap(),
            size: 1,
            modified_unix_secs: at.as_second(),
        };
        let day = |number: i64| made + SignedDuration::from_hours(24 * number);
        for (objects, now, expected) in [
            (vec![object("csv", made)], day(7), true),
            (vec![object("csv", made)], day(7) - SignedDuration::from_secs(1), false),
            (vec![object("csv", made), object("csv.sha256", day(1))], day(7), false),
            (vec![object("csv", made), object("csv.sha256", day(1))], day(8), true),
            (vec![object("csv", made), object("manifest.json", made)], day(70), false),
        ] {
            assert_eq!(is_litter(&id, &objects, now), expected, "{objects:?} at {now}");
        }
    }
}
