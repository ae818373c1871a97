//! Looking at a sealed backup without a key: at its stored bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backstay_core::manifest::SealedManifest;
use backstay_core::store::Store;

use super::{check_pack_digest, look_at_packs, scan, sidecars};
use crate::error::VerifyError;
use crate::finding::Findings;
use crate::observer::VerifyObserver;
use crate::options::{Level, Origin};
use crate::report::{Counts, Report, SubjectKind};

/// Looks at the stored bytes of a sealed backup, for which nobody needs a key: every pack is there, whole, and has its
/// digest. The report says that nobody looked inside.
///
/// # Errors
/// The store is gone, or `cancel` became true. All else is in the report.
pub fn verify_sealed(
    store: &Arc<dyn Store>,
    sealed: &SealedManifest,
    observer: &dyn VerifyObserver,
    cancel: &(dyn Fn() -> bool + Sync),
) -> Result<Report, VerifyError> {
    let findings = Findings::default();
    let packs = look_at_packs(&**store, &sealed.packs, Origin::Id, &findings)?;
    let mut not_checked =
        vec!["what is in it: it is encrypted, and without a key only its stored bytes can be looked at".to_owned()];
    let checksums = sidecars::read_checksums(&**store, Origin::Id, &packs, &findings, &mut not_checked);
    let total = packs.iter().filter_map(|pack| pack.bytes).sum();
    let done = AtomicU64::new(0);
    let advance = |bytes: u64| {
        let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        observer.progress(done, total);
        cancel()
    };
    for (pack, checksums) in packs.iter().zip(&checksums) {
        if pack.bytes.is_none() {
            continue;
        }
        if let Some(digest) = scan::digest_of(&**store, pack, &findings, &advance)? {
            findings.extend(check_pack_digest(&sealed.packs, pack, digest));
            findings.extend(checksums.as_ref().and_then(|checksums| checksums.check(pack, digest)));
        }
    }
    Ok(Report {
        subject: sealed.id.to_string(),
        kind: SubjectKind::Backup,
        level: Level::Quick,
        counts: Counts {
            bytes_read: done.into_inner(),
            ..Counts::default()
        },
        findings: findings.into_sorted(),
        not_checked,
    })
}
