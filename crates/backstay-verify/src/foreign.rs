//! Looking at a plain dump that something else made.

mod raw;
mod rules;
mod script;

use std::io::Read;

use backstay_core::script::{OpenError, Outline, open};

use self::raw::Raw;
use self::script::{Script, Watch};
use crate::checksum::{NameMatch, check_checksum};
use crate::error::VerifyError;
use crate::finding::{Finding, Findings};
use crate::observer::VerifyObserver;
use crate::options::Level;
use crate::report::{Counts, Report, SubjectKind};
use crate::rules::Rules;

/// A dump to be looked at, with what stands beside it.
#[expect(clippy::exhaustive_structs, reason = "callers build it")]
pub struct ForeignArchive {
    /// Name of the file, as a `.sha256` has it.
    pub name: String,
    /// Its bytes as they are stored: plain SQL, gzip or zstd.
    pub reader: Box<dyn Read + Send>,
    /// Its length in bytes, where it is known; for progress.
    pub bytes_total: Option<u64>,
    /// The text of the `.sha256` beside it.
    pub checksum: Option<String>,
}

impl std::fmt::Debug for ForeignArchive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForeignArchive")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a dump without an inventory cannot show.
const NOT_CHECKED: [&str; 5] = [
    "the rows against what the server had: the archive records neither their number nor a digest",
    "single parts of the archive: it is one stream, and only the digest of the whole can be known",
    "whether every index, policy and extension of the database is there: the archive has no list of them",
    "the volume of data against an earlier backup: the archive has no manifest to compare",
    "the statements themselves: they were read as psql reads them, and nothing was run",
];

/// Reads a dump to its end, once: hashes what is stored, unpacks it, and reads the SQL as psql would. Memory is bounded
/// by the longest statement or row.
///
/// ```
/// use backstay_verify::{ForeignArchive, Rules, Silent, verify_foreign};
///
/// let archive = ForeignArchive {
///     name: "old.sql".to_owned(),
///     reader: Box::new(&b"-- PostgreSQL database dump\n\nCREATE TABLE t (x integer);\n"[..]),
///     bytes_total: None,
///     checksum: None,
/// };
/// let (report, _outline) = verify_foreign(archive, &Rules::default(), &Silent, &|| false)?;
/// assert!(!report.is_sound(), "the comment at its end is missing");
/// # Ok::<(), backstay_verify::VerifyError>(())
/// ```
///
/// # Errors
/// Its first bytes cannot be read, or `cancel` became true. All else is in the report.
pub fn verify_foreign(
    archive: ForeignArchive,
    rules: &Rules,
    observer: &dyn VerifyObserver,
    cancel: &(dyn Fn() -> bool + Sync),
) -> Result<(Report, Outline), VerifyError> {
    let ForeignArchive {
        name,
        reader,
        bytes_total,
        checksum,
    } = archive;
    let findings = Findings::default();
    let raw = Raw::new(reader);
    let watch = Watch {
        observer,
        cancel,
        bytes_total: bytes_total.unwrap_or(0),
    };
    let script = match open(raw.reader()) {
        Ok((_, text)) => {
            let script = Script::read(text, &raw, &watch)?;
            rules::check(&script, &raw, rules, &name, &findings);
            script
        }
        Err(OpenError::Source(source)) => return Err(VerifyError::Read { subject: name, source }),
        Err(error) => {
            findings.add(Finding::error("not-a-script", &name, error));
            Script::default()
        }
    };
    // What was not unpacked is hashed all the same.
    let whole = raw.drain(|bytes_done| {
        observer.progress(bytes_done, bytes_total.unwrap_or(bytes_done));
        cancel()
    });
    if cancel() {
        return Err(VerifyError::Cancelled);
    }
    let digest = match whole {
        Ok(digest) => Some(digest),
        Err(error) => {
            findings.add(
                Finding::error("archive-read", &name, "the archive cannot be read to its end")
                    .with("after", format!("{} bytes", raw.bytes()))
                    .because(&error),
            );
            None
        }
    };
    match (checksum, digest) {
        (None, _) => findings.add(Finding::note(
            "checksum-missing",
            &name,
            "there is no .sha256 beside it",
        )),
        (Some(text), Some(digest)) => match check_checksum(&text, &name, digest, NameMatch::Lenient) {
            None => findings
                .add(Finding::note("checksum-agrees", &name, "the .sha256 beside it agrees").with("digest", digest)),
            Some(finding) => findings.add(finding),
        },
        (Some(_), None) => {}
    }
    let outline = script.outline;
    let report = Report {
        subject: name,
        kind: SubjectKind::Foreign,
        level: Level::Standard,
        counts: Counts {
            tables: outline.tables().len() as u64,
            members: 0,
            rows: Some(outline.tables().values().map(|rows| rows.rows).sum()),
            bytes_read: raw.bytes(),
        },
        findings: findings.into_sorted(),
        not_checked: NOT_CHECKED.map(str::to_owned).to_vec(),
    };
    Ok((report, outline))
}
