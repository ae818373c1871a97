use backstay_core::BackupId;
use backstay_core::manifest::{Sidecar, Source};
use backstay_core::repository::Repository;

/// Whether a backup is of a certain database.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers must react to each")]
pub enum Origin {
    /// It is. Where a role may not ask for the number of the cluster, databases of one name are taken for one.
    Same,
    /// It is of a database with this name.
    OtherDatabase(String),
    /// It is of another cluster, or, where it is encrypted and no key is there, of another database of this one.
    OtherCluster,
    /// It is encrypted and says nothing, or it cannot be read.
    Unknown,
}

/// Tells whether a backup is of the database that `source` describes, of which the name and the cluster count.
#[must_use]
pub fn origin(repository: &Repository, id: &BackupId, source: &Source) -> Origin {
    let Ok(manifest) = repository.read_manifest(id) else {
        return match repository.read_sidecar(id) {
            Ok(Sidecar::Sealed(sealed)) => match (sealed.source, source.fingerprint(id)) {
                (Some(theirs), Some(ours)) if theirs == ours => Origin::Same,
                (Some(_), Some(_)) => Origin::OtherCluster,
                _ => Origin::Unknown,
            },
            _ => Origin::Unknown,
        };
    };
    let other = manifest.source;
    if other.database.to_lossy() != source.database.to_lossy() {
        return Origin::OtherDatabase(other.database.to_string());
    }
    if is_another(other.system_identifier, source.system_identifier) {
        Origin::OtherCluster
    } else {
        Origin::Same
    }
}

/// Whether both numbers of clusters are known and differ.
pub(crate) fn is_another(one: Option<u64>, other: Option<u64>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}
