//! Looking at a backup that Backstay made.

mod large_objects;
mod scan;
mod sealed;
mod sidecars;
mod structure;
mod text;

use backstay_core::Sha256Digest;
use backstay_core::manifest::{Manifest, Pack, PackId};
use backstay_core::repository::BackupReader;
use backstay_core::store::{ErrorKind, ObjectKey, Store};

pub use self::sealed::verify_sealed;

use self::scan::Scan;
use crate::error::VerifyError;
use crate::finding::{Finding, Findings};
use crate::inventory;
use crate::observer::VerifyObserver;
use crate::options::{Level, Origin, VerifyOptions};
use crate::report::{Counts, Report, SubjectKind};
use crate::rules;

/// Looks at a backup: at its packs and what is beside them, at each member, and at what the manifest lists.
///
/// Each pack is read once, from start to end, and its members are checked by [`VerifyOptions::jobs`] threads meanwhile.
/// One bad object never keeps the others from being checked.
///
/// ```
/// use std::sync::Arc;
///
/// use backstay_core::{Compression, Repository, store::MemoryStore};
/// use backstay_testkit::fixtures::SampleBackup;
/// use backstay_verify::{Origin, Rules, Silent, VerifyOptions, verify_backup};
///
/// let store = Arc::new(MemoryStore::new());
/// let sample = SampleBackup::kulti("kulti_backup_20250116_143022", Compression::default());
/// sample.publish(store.clone());
///
/// let backup = Repository::new(store).open(&"kulti_backup_20250116_143022".parse()?)?;
/// let mut rules = Rules::default();
/// rules.require_tables.push("public.users".to_owned());
/// let report = verify_backup(&backup, Origin::Id, &VerifyOptions::new(&rules), &Silent, &|| false)?;
/// assert!(report.is_sound(), "{}", report.render());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The store is gone, the system gives no thread, or `cancel` became true. All else is in the report.
pub fn verify_backup(
    backup: &BackupReader,
    origin: Origin,
    options: &VerifyOptions<'_>,
    observer: &dyn VerifyObserver,
    cancel: &(dyn Fn() -> bool + Sync),
) -> Result<Report, VerifyError> {
    let manifest = backup.manifest();
    let findings = Findings::default();
    let mut not_checked = Vec::new();

    findings.extend(structure::check(manifest));
    findings.extend(inventory::check(manifest));
    findings.extend(rules::judge(manifest, Some(backup), options, &mut not_checked));
    if !options.rules.sql.is_empty() || options.rules.restored_within.is_some() {
        not_checked.push("queries and the time to restore: they are for a drill, and nothing was restored".to_owned());
    }

    let packs = look_at_packs(&**backup.store(), &manifest.packs, origin, &findings)?;
    sidecars::check_manifest(backup, origin, &packs, &findings, &mut not_checked);
    let checksums = sidecars::read_checksums(&**backup.store(), origin, &packs, &findings, &mut not_checked);

    if options.level < Level::Standard {
        not_checked.push(
            "what the members hold: level quick decompresses nothing, so no row was counted and no statement read"
                .to_owned(),
        );
    }
    let scan = Scan::new(backup, options.level, &findings, observer, cancel);
    let scanned = scan.run(&packs, options.jobs.max(1))?;
    for ((pack, checksums), digest) in packs.iter().zip(&checksums).zip(scanned.digests) {
        if let Some(digest) = digest {
            findings.extend(check_pack_digest(&manifest.packs, pack, digest));
            findings.extend(checksums.as_ref().and_then(|checksums| checksums.check(pack, digest)));
        }
    }
    Ok(Report {
        subject: match origin {
            Origin::Id => manifest.id.to_string(),
            Origin::Pack => own_pack(manifest, &packs).map_or_else(String::new, |pack| pack.key.to_string()),
        },
        kind: match origin {
            Origin::Id => SubjectKind::Backup,
            Origin::Pack => SubjectKind::Pack,
        },
        level: options.level,
        counts: Counts {
            tables: manifest.tables.len() as u64,
            members: scanned.members,
            rows: (options.level >= Level::Standard).then_some(scanned.rows),
            bytes_read: scanned.bytes_read,
        },
        findings: findings.into_sorted(),
        not_checked,
    })
}

/// Judges a backup by the rules alone, as its manifest tells what it is: for one that was just made.
///
/// Where there are rules about grants, these are read of the backup, if it can be opened.
#[must_use]
pub fn judge_backup(manifest: &Manifest, backup: Option<&BackupReader>, options: &VerifyOptions<'_>) -> Report {
    let mut not_checked = Vec::new();
    let findings = Findings::default();
    findings.extend(rules::judge(manifest, backup, options, &mut not_checked));
    Report {
        subject: manifest.id.to_string(),
        kind: SubjectKind::Backup,
        level: Level::Rules,
        counts: Counts {
            tables: manifest.tables.len() as u64,
            ..Counts::default()
        },
        findings: findings.into_sorted(),
        not_checked,
    }
}

/// A pack as the store has it.
#[derive(Debug)]
struct PackState {
    /// Its index in the manifest.
    index: usize,
    key: ObjectKey,
    /// Its length in the store; `None` where it is not there or cannot be looked at.
    bytes: Option<u64>,
}

/// Asks the store for every pack and compares sizes.
fn look_at_packs(
    store: &dyn Store,
    packs: &[Pack],
    origin: Origin,
    findings: &Findings,
) -> Result<Vec<PackState>, VerifyError> {
    let mut states = Vec::new();
    for (index, pack) in packs.iter().enumerate() {
        let Ok(key) = pack.name.parse::<ObjectKey>() else {
            // A manifest with such a name is refused when it is read.
            continue;
        };
        let bytes = match store.head(&key) {
            Ok(meta) => Some(meta.size),
            Err(error) if error.kind() == ErrorKind::StoreMissing => return Err(VerifyError::Store(error)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                findings.add(Finding::error("pack-missing", &key, "the pack is not there").at(index));
                None
            }
            Err(error) => {
                let finding = Finding::error("pack-read", &key, "the pack cannot be read");
                findings.add(finding.because(&error).at(index));
                None
            }
        };
        if let Some(found) = bytes.filter(|&found| found != pack.bytes) {
            findings.add(
                Finding::error("pack-size", &key, "the pack has another size than it had")
                    .with("expected", format!("{} bytes", pack.bytes))
                    .with("found", format!("{found} bytes"))
                    .at(index),
            );
        }
        if origin == Origin::Id && pack.id == PackId::Own {
            let message = "the manifest beside the pack does not name the pack's digest";
            findings.add(Finding::error("pack-id", &key, message).at(index));
        }
        states.push(PackState { index, key, bytes });
    }
    Ok(states)
}

/// The pack that the manifest itself stands in, for one that was opened by its name.
fn own_pack<'p>(manifest: &Manifest, packs: &'p [PackState]) -> Option<&'p PackState> {
    packs.iter().rfind(|pack| manifest.packs[pack.index].id == PackId::Own)
}

fn check_pack_digest(packs: &[Pack], pack: &PackState, found: Sha256Digest) -> Option<Finding> {
    match packs[pack.index].id {
        PackId::Sha256(expected) if expected != found => Some(
            Finding::error("pack-digest", &pack.key, "its bytes are not those that were written")
                .with("expected", expected)
                .with("found", found)
                .at(pack.index),
        ),
        PackId::Sha256(_) | PackId::Own => None,
    }
}

/// What a member is, for people.
fn member_name(manifest: &Manifest, index: usize) -> String {
    use backstay_core::manifest::{MemberContent, Stage};
    let what = match manifest.members.get(index).map(|member| &member.content) {
        None => "not there".to_owned(),
        Some(MemberContent::Settings) => "settings".to_owned(),
        Some(MemberContent::Globals) => "roles and tablespaces".to_owned(),
        Some(MemberContent::Schema(Stage::PreData)) => "definitions before the rows".to_owned(),
        Some(MemberContent::Schema(Stage::PostData)) => "definitions behind the rows".to_owned(),
        Some(MemberContent::Schema(Stage::Privileges)) => "privileges".to_owned(),
        Some(MemberContent::Schema(Stage::Last)) => "definitions at the end".to_owned(),
        Some(MemberContent::LargeObjects) => "large objects".to_owned(),
        Some(MemberContent::Sequences) => "sequences".to_owned(),
        Some(MemberContent::Refreshes) => "refreshes".to_owned(),
        Some(MemberContent::Rows(block)) => match manifest.tables.get(block.table as usize) {
            Some(table) => format!("rows of {}", table.display_name()),
            None => "rows".to_owned(),
        },
    };
    format!("member {index} ({what})")
}
