use std::collections::HashMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::codec::Codec;
use crate::digest::Sha256Digest;
use crate::id::BackupId;
use crate::manifest::SealedManifest;
use crate::pack::{VolumeName, volume_name};
use crate::seal::SealMethod;
use crate::store::ObjectKey;

/// What an object of a backup is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a new role is a new format version")]
pub enum ObjectRole {
    /// `ID.manifest.json`.
    Manifest,
    /// `ID.sql.gz`, `ID.sql.zst`, `ID.incr.sql.gz`, `ID.vol0001.sql.gz`, …
    Pack,
    /// The name of a pack and `.sha256`.
    Checksum,
    /// `ID.index.json.gz.age`: what is needed to compare a sealed backup with a later one.
    Index,
    /// `ID.KIND-….json`: a proof, a hold, a release, a drill.
    Record,
}

/// Tells which backup an object belongs to and what it is; `None` for everything that is not of a backup.
#[must_use]
pub fn object_role(key: &ObjectKey) -> Option<(BackupId, ObjectRole)> {
    let name = key.as_str();
    // The prefix of an id may have dots, so the stem ends where the time does.
    let middle = name.rfind("_backup_")?;
    let stem_end = middle + "_backup_".len() + 15;
    let id = name.get(..stem_end)?.parse().ok()?;
    let rest = name.get(stem_end..)?.strip_prefix('.')?;
    let role = if rest == "manifest.json" {
        ObjectRole::Manifest
    } else if let Some(pack) = rest.strip_suffix(".sha256") {
        is_pack(pack).then_some(ObjectRole::Checksum)?
    } else if is_pack(rest) {
        ObjectRole::Pack
    } else if is_index(rest) {
        ObjectRole::Index
    } else {
        let record = rest.strip_suffix(".json")?;
        ["proof-", "hold-", "release-", "drill-"]
            .iter()
            .any(|kind| record.starts_with(kind))
            .then_some(ObjectRole::Record)?
    };
    Some((id, role))
}

fn is_pack(rest: &str) -> bool {
    let rest = without_generation(rest).1;
    let seal = SealMethod::of_name(rest);
    let rest = seal.map_or(rest, |method| &rest[..rest.len() - method.extension().len() - 1]);
    let rest = rest.strip_prefix("incr.").unwrap_or(rest);
    let rest = match rest.strip_prefix("vol") {
        Some(volume) => match volume.split_once('.') {
            Some((digits, rest)) if digits.len() >= 4 && digits.bytes().all(|b| b.is_ascii_digit()) => rest,
            _ => return false,
        },
        None => rest,
    };
    matches!(rest, "sql.gz" | "sql.zst")
}

/// The name that an id's objects have. An id has no character that a key may not have.
fn key(id: &BackupId, suffix: &str) -> ObjectKey {
    ObjectKey::from_valid(format!("{id}{suffix}"))
}

pub(super) fn manifest_key(id: &BackupId) -> ObjectKey {
    key(id, ".manifest.json")
}

pub(super) fn pack_key(id: &BackupId, codec: Codec, seal: Option<SealMethod>) -> ObjectKey {
    let seal = seal
        .map(|method| format!(".{}", method.extension()))
        .unwrap_or_default();
    key(id, &format!(".sql.{}{seal}", codec.extension()))
}

/// The name of a volume of a backup.
pub(super) fn volume_key(whole: &ObjectKey, number: u32) -> ObjectKey {
    ObjectKey::from_valid(volume_name(whole.as_str(), number))
}

/// The name of the `.sha256` of a pack, which for all volumes of one is that of the whole.
#[must_use]
pub fn checksum_name(pack: &str) -> String {
    let whole = VolumeName::of(pack).map_or_else(|| pack.to_owned(), |volume| volume.whole());
    format!("{whole}.sha256")
}

pub(super) fn checksum_key(pack: &ObjectKey) -> ObjectKey {
    ObjectKey::from_valid(checksum_name(pack.as_str()))
}

/// The packs, but of volumes of one whole only the last.
pub(super) fn without_earlier_volumes(packs: Vec<ObjectKey>) -> Vec<ObjectKey> {
    let mut last: HashMap<String, u32> = HashMap::new();
    for volume in packs.iter().filter_map(|pack| VolumeName::of(pack.as_str())) {
        let number = last.entry(volume.whole()).or_default();
        *number = volume.number().max(*number);
    }
    let is_last = |pack: &ObjectKey| {
        VolumeName::of(pack.as_str()).is_none_or(|volume| last.get(&volume.whole()) == Some(&volume.number()))
    };
    packs.into_iter().filter(is_last).collect()
}

const INDEX: &str = "index.json.gz";

fn is_index(rest: &str) -> bool {
    let rest = without_generation(rest).1;
    SealMethod::of_name(rest).is_some_and(|method| rest.len() == INDEX.len() + 1 + method.extension().len())
        && rest.starts_with(INDEX)
}

/// The name of the index of a backup that is being made.
pub(super) fn index_key(id: &BackupId, method: SealMethod) -> ObjectKey {
    key(id, &format!(".{INDEX}.{}", method.extension()))
}

/// The name of the index beside the packs that a manifest names.
pub(super) fn index_beside(sealed: &SealedManifest) -> ObjectKey {
    let index = index_key(&sealed.id, sealed.method);
    match sealed.packs.first().map(|pack| generation(&sealed.id, &pack.name)) {
        Some(generation) if generation > FIRST_GENERATION => {
            rekeyed(&sealed.id, index.as_str(), generation, sealed.method)
        }
        _ => index,
    }
}

/// How often a backup was sealed: what has no `keyN` in its name was sealed once.
pub(super) const FIRST_GENERATION: u32 = 1;

/// Takes `keyN.` from the beginning of what follows an id and a dot.
fn without_generation(rest: &str) -> (u32, &str) {
    let found = rest.strip_prefix("key").and_then(|rest| {
        let (digits, rest) = rest.split_once('.')?;
        let generation: u32 = digits.parse().ok()?;
        (generation > FIRST_GENERATION && digits == generation.to_string()).then_some((generation, rest))
    });
    found.unwrap_or((FIRST_GENERATION, rest))
}

fn behind_id<'n>(id: &BackupId, name: &'n str) -> &'n str {
    name.get(id.to_string().len() + 1..).unwrap_or_default()
}

/// The number in the `keyN` of an object of that backup.
pub(super) fn generation(id: &BackupId, name: &str) -> u32 {
    without_generation(behind_id(id, name)).0
}

/// The name of an object of that backup when it is sealed anew.
pub(super) fn rekeyed(id: &BackupId, name: &str, generation: u32, method: SealMethod) -> ObjectKey {
    let (_, rest) = without_generation(behind_id(id, name));
    let stem = SealMethod::of_name(rest).map_or(rest, |old| &rest[..rest.len() - old.extension().len() - 1]);
    key(id, &format!(".key{generation}.{stem}.{}", method.extension()))
}

/// Whether an object is sealed, or the `.sha256` of one that is.
pub(super) fn is_sealed_part(key: &ObjectKey) -> bool {
    let name = key.as_str();
    SealMethod::of_name(name.strip_suffix(".sha256").unwrap_or(name)).is_some()
}

/// Where the log is.
pub(super) const LOG: &str = "log/";

pub(super) const INTENTS: &str = "intents/";

/// The intent to put another manifest beside a backup that was sealed anew.
pub(super) fn rekey_key(id: &BackupId) -> ObjectKey {
    ObjectKey::from_valid(format!("{INTENTS}{id}.rekey.json"))
}

/// The intent to seal a backup anew.
pub(super) fn rekey_begun_key(id: &BackupId) -> ObjectKey {
    ObjectKey::from_valid(format!("{INTENTS}{id}.rekey-begun.json"))
}

/// The intent to end what somebody began of sealing a backup anew.
pub(super) fn rekey_removal_key(id: &BackupId) -> ObjectKey {
    ObjectKey::from_valid(format!("{INTENTS}{id}.rekey-removal.json"))
}

/// The intent to publish volumes.
pub(super) fn volumes_key(id: &BackupId) -> ObjectKey {
    ObjectKey::from_valid(format!("{INTENTS}{id}.volumes.json"))
}

/// The intent to publish the last volume, which has that number.
pub(super) fn last_volume_key(id: &BackupId, number: u32) -> ObjectKey {
    ObjectKey::from_valid(format!("{INTENTS}{id}.volumes-{number:04}.json"))
}

/// The intent to remove volumes whose writer did not come to the end.
pub(super) fn volumes_removal_key(id: &BackupId) -> ObjectKey {
    ObjectKey::from_valid(format!("{INTENTS}{id}.volumes-removal.json"))
}

/// The intent to name packs of other backups.
pub(super) fn uses_key(id: &BackupId) -> ObjectKey {
    ObjectKey::from_valid(format!("{INTENTS}{id}{USES}"))
}

const USES: &str = ".uses.json";

/// The backup that is going to name packs of others, by its intent.
pub(super) fn uses_id(key: &ObjectKey) -> Option<BackupId> {
    key.as_str().strip_prefix(INTENTS)?.strip_suffix(USES)?.parse().ok()
}

/// What is intended with the volumes of a backup; in the order in which intents are taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum VolumesIntent {
    /// To publish them.
    Write,
    /// To publish the last one, which has that number.
    WriteLast(u32),
    /// To remove them, unless they are whole.
    Remove,
}

/// The backup that an intent about volumes is of, and which it is.
pub(super) fn volumes_intent(key: &ObjectKey) -> Option<(BackupId, VolumesIntent)> {
    let name = key.as_str().strip_prefix(INTENTS)?.strip_suffix(".json")?;
    let (id, rest) = name.rsplit_once(".volumes")?;
    let intent = match rest.strip_prefix('-') {
        Some("removal") => VolumesIntent::Remove,
        Some(number) => VolumesIntent::WriteLast(number.parse().ok()?),
        None if rest.is_empty() => VolumesIntent::Write,
        None => return None,
    };
    Some((id.parse().ok()?, intent))
}

/// Whether an intent of any kind is about that backup.
pub(super) fn is_intent_of(key: &ObjectKey, id: &BackupId) -> bool {
    rekey_intent(key).is_some_and(|(found, _)| found == *id)
        || uses_id(key).as_ref() == Some(id)
        || volumes_intent(key).is_some_and(|(found, _)| found == *id)
}

/// What is intended with a backup that is sealed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RekeyIntent {
    /// To write new packs.
    Begin,
    /// To put another manifest beside them.
    Replace,
    /// To end what somebody else began.
    End,
}

/// The backup that an intent to seal anew is of, and which it is.
pub(super) fn rekey_intent(key: &ObjectKey) -> Option<(BackupId, RekeyIntent)> {
    let name = key.as_str().strip_prefix(INTENTS)?.strip_suffix(".json")?;
    let (id, rest) = name.rsplit_once(".rekey")?;
    let intent = match rest {
        "" => RekeyIntent::Replace,
        "-begun" => RekeyIntent::Begin,
        "-removal" => RekeyIntent::End,
        _ => return None,
    };
    Some((id.parse().ok()?, intent))
}

pub(super) fn tombstone_key(id: &BackupId) -> ObjectKey {
    ObjectKey::from_valid(format!("tombstones/{id}.json"))
}

pub(super) const TOMBSTONES: &str = "tombstones/";

pub(super) fn tombstone_id(key: &ObjectKey) -> Option<BackupId> {
    key.as_str()
        .strip_prefix(TOMBSTONES)?
        .strip_suffix(".json")?
        .parse()
        .ok()
}

/// Whether only Backstay gives an object such a name. A bucket may be others' too.
pub(super) fn is_own(key: &ObjectKey) -> bool {
    let name = key.as_str();
    object_role(key).is_some() || [INTENTS, TOMBSTONES].iter().any(|folder| name.starts_with(folder))
}

/// What the marks of those begin with who are about to delete packs of that backup.
pub(super) fn sweeps_of(id: &BackupId) -> String {
    format!("{TOMBSTONES}{id}{SWEEP}")
}

const SWEEP: &str = ".packs-";

/// The mark of one of them.
pub(super) fn sweep_key(id: &BackupId, number: u32) -> ObjectKey {
    ObjectKey::from_valid(format!("{}{number:04}.json", sweeps_of(id)))
}

pub(super) fn is_sweep(key: &ObjectKey) -> bool {
    let behind = key
        .as_str()
        .strip_prefix(TOMBSTONES)
        .and_then(|name| name.rsplit_once(SWEEP));
    behind.is_some_and(|(id, _)| id.parse::<BackupId>().is_ok())
}

/// The name of a record; of several of one second the number tells them apart.
pub(super) fn record_key(id: &BackupId, kind: &str, at: &str, number: u32) -> ObjectKey {
    key(id, &format!(".{kind}-{at}-{number:04}.json"))
}

/// The name of a proof, which tells what a listing shows of it.
pub(super) fn proof_key(id: &BackupId, at: &str, level: &str, passed: bool, number: u32) -> ObjectKey {
    let level: String = level.chars().filter(char::is_ascii_lowercase).collect();
    let outcome = if passed { PASSED } else { FAILED };
    key(id, &format!(".proof-{at}-{level}-{outcome}-{number:04}.json"))
}

const PASSED: &str = "passed";
const FAILED: &str = "failed";

/// What the name of a proof tells: when, how deep, and whether it passed.
pub(super) fn proof_of_name(key: &ObjectKey) -> Option<(Timestamp, String, bool)> {
    let (id, role) = object_role(key)?;
    let name = behind_id(&id, key.as_str()).strip_prefix("proof-")?;
    let mut parts = name.split('-');
    let at = DateTime::strptime("%Y%m%d_%H%M%S", parts.next()?).ok()?;
    let level = parts.next()?;
    let passed = match parts.next()? {
        PASSED => true,
        FAILED => false,
        _ => return None,
    };
    let at = at.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let is_word = !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_lowercase());
    (role == ObjectRole::Record && is_word).then(|| (at, level.to_owned(), passed))
}

/// When a drill was held, by the name of its record.
pub(super) fn drill_time(key: &ObjectKey) -> Option<Timestamp> {
    let (id, role) = object_role(key)?;
    let (at, _number) = behind_id(&id, key.as_str()).strip_prefix("drill-")?.split_once('-')?;
    let at = DateTime::strptime("%Y%m%d_%H%M%S", at)
        .ok()?
        .to_zoned(TimeZone::UTC)
        .ok()?;
    (role == ObjectRole::Record).then(|| at.timestamp())
}

/// What a record is: `hold`, `release`, `proof`, `drill`.
pub(super) fn record_kind(key: &ObjectKey) -> Option<&str> {
    let (id, role) = object_role(key)?;
    let (kind, _) = behind_id(&id, key.as_str()).split_once('-')?;
    (role == ObjectRole::Record).then_some(kind)
}

/// The line that `sha256sum` writes and checks: digest, two spaces, name.
#[must_use]
pub fn checksum_line(digest: &Sha256Digest, name: &str) -> String {
    format!("{digest}  {name}\n")
}

/// Reads a file of `sha256sum` lines, in text (two spaces) or binary (space and asterisk) form; `None` where a line is
/// of neither form.
#[must_use]
pub fn parse_checksums(text: &str) -> Option<Vec<(Sha256Digest, String)>> {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let (digest, name) = line.split_at_checked(64)?;
            let name = name.strip_prefix("  ").or_else(|| name.strip_prefix(" *"));
            // The old scripts left the bare digest now and then.
            let name = if line.len() == 64 {
                ""
            } else {
                name?.trim_end_matches('\r')
            };
            Some((digest.to_lowercase().parse().ok()?, name.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_objects_are() {
        let id = "kulti_backup_20250116_143022";
        for (suffix, role) in [
            (".manifest.json", Some(ObjectRole::Manifest)),
            (".sql.gz", Some(ObjectRole::Pack)),
            (".sql.zst", Some(ObjectRole::Pack)),
            (".incr.sql.gz", Some(ObjectRole::Pack)),
            (".vol0001.sql.gz", Some(ObjectRole::Pack)),
            (".sql.gz.sha256", Some(ObjectRole::Checksum)),
            (".sql.gz.age", Some(ObjectRole::Pack)),
            (".vol0001.sql.zst.gpg", Some(ObjectRole::Pack)),
            (".sql.gz.age.sha256", Some(ObjectRole::Checksum)),
            (".sql.gz.age.age", None),
            (".index.json.gz.age", Some(ObjectRole::Index)),
            (".index.json.gz", None),
            (".key2.index.json.gz.age", Some(ObjectRole::Index)),
            (".key2.sql.gz.age", Some(ObjectRole::Pack)),
            (".key10.vol0001.sql.gz.age.sha256", Some(ObjectRole::Checksum)),
            (".key1.sql.gz.age", None),
            (".key02.sql.gz.age", None),
            (".key2.manifest.json", None),
            (".proof-20250117_000000.json", Some(ObjectRole::Record)),
            (".hold-x.json", Some(ObjectRole::Record)),
            (".drill-20250117_000000-0001.json", Some(ObjectRole::Record)),
            ("", None),
            (".sql", None),
            (".vol1.sql.gz", None),
            (".manifest.json.bak", None),
            (".other-x.json", None),
        ] {
            let key: ObjectKey = format!("{id}{suffix}").parse().unwrap();
            assert_eq!(object_role(&key), role.map(|role| (id.parse().unwrap(), role)), "{key}");
        }
        let nested: ObjectKey = format!("tombstones/{id}.manifest.json").parse().unwrap();
        assert_eq!(object_role(&nested), None);
    }

    #[test]
    fn checksums_of_both_forms_are_read() {
        let digest = Sha256Digest::of(b"x");
        let line = checksum_line(&digest, "a b.sql.gz");
        assert_eq!(
            line,
            "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881  a b.sql.gz\n"
        );
        assert_eq!(parse_checksums(&line), Some(vec![(digest, "a b.sql.gz".to_owned())]));
        assert_eq!(
            parse_checksums(&format!("{digest} *b\r\n")),
            Some(vec![(digest, "b".to_owned())])
        );
        assert_eq!(
            parse_checksums(&digest.to_string()),
            Some(vec![(digest, String::new())])
        );
        assert_eq!(parse_checksums("xyz  a"), None);
        assert_eq!(parse_checksums(&format!("{digest}a")), None);
    }
}
