use crate::codec::Codec;
use crate::digest::Sha256Digest;
use crate::id::BackupId;
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
    /// `ID.KIND-….json`: a proof, a hold, a release.
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
    } else if SealMethod::of_name(rest).is_some_and(|method| rest == index_suffix(method)) {
        ObjectRole::Index
    } else {
        let record = rest.strip_suffix(".json")?;
        ["proof-", "hold-", "release-"]
            .iter()
            .any(|kind| record.starts_with(kind))
            .then_some(ObjectRole::Record)?
    };
    Some((id, role))
}

fn is_pack(rest: &str) -> bool {
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

/// The name of the `.sha256` of a pack.
pub(super) fn checksum_key(pack: &ObjectKey) -> ObjectKey {
    ObjectKey::from_valid(format!("{pack}.sha256"))
}

fn index_suffix(method: SealMethod) -> String {
    format!("index.json.gz.{}", method.extension())
}

pub(super) fn index_key(id: &BackupId, method: SealMethod) -> ObjectKey {
    key(id, &format!(".{}", index_suffix(method)))
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
            (".proof-20250117_000000.json", Some(ObjectRole::Record)),
            (".hold-x.json", Some(ObjectRole::Record)),
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
