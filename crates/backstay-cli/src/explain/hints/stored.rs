//! What to do where a store, or what is kept in it, is not as it should be.

use backstay::encryption::IdentityError;
use backstay::manifest::ManifestError;
use backstay::seal::SealError;
use backstay::{OpenStoreError, PackError, RepositoryError, StoreError, StoreErrorKind, TrailerError};

use crate::keys::KeyError;

pub(super) const NEEDS_KEY: &str = "name a file with a secret key of a recipient: --identity FILE (or BACKSTAY_IDENTITY_FILE); for a passphrase: \
     BACKSTAY_PASSPHRASE; backstay verify looks at the stored bytes without any";
const DAMAGED: &str = "the file is not what was written: fetch it again from where it was copied, or take another \
                       backup (backstay list)";

pub(super) fn of_open_store(error: &OpenStoreError) -> Option<&'static str> {
    match error {
        OpenStoreError::UnknownScheme { scheme } if scheme.starts_with("postgres") => {
            Some("a database is named with --from (or --to), and a store is a folder or a bucket")
        }
        OpenStoreError::UnknownScheme { .. } => Some(
            "name a folder, such as ./backups, or s3://bucket/prefix, supabase://bucket/prefix, vercel-blob://prefix",
        ),
        OpenStoreError::Location { scheme: "supabase", .. } => Some(
            "a bucket of Supabase is named as supabase://bucket/prefix?project=REF, and a secret key is put into \
             SUPABASE_SECRET_KEY",
        ),
        OpenStoreError::Location {
            scheme: "vercel-blob", ..
        } => Some(
            "a store at Vercel is named as vercel-blob://prefix, and its token is put into BLOB_READ_WRITE_TOKEN (vercel \
             env pull writes it)",
        ),
        OpenStoreError::Location { .. } => Some("a bucket is named as s3://bucket/prefix?region=eu-central-1"),
        OpenStoreError::Open { .. } => Some("name a folder, such as ./backups"),
        _ => None,
    }
}

pub(super) fn of_store(error: &StoreError) -> Option<&'static str> {
    if error.subject().starts_with("s3://") {
        return of_bucket(error);
    }
    if error.subject().starts_with("supabase://") {
        return of_supabase(error);
    }
    if error.subject().starts_with("vercel-blob://") {
        return of_vercel_blob(error);
    }
    Some(match error.kind() {
        StoreErrorKind::StoreMissing => "name the folder of the backups with --store or BACKSTAY_STORE",
        StoreErrorKind::Denied => "does the folder belong to you, and may you write there? ls -ld tells",
        StoreErrorKind::Full => "free some space (df -h), or name another store; no backup was left half-written",
        StoreErrorKind::Transient => "try again",
        StoreErrorKind::InUse => "another backup is being written there: wait for its end",
        _ => return None,
    })
}

fn of_supabase(error: &StoreError) -> Option<&'static str> {
    Some(match error.kind() {
        StoreErrorKind::StoreMissing => "the bucket must exist: is it the right name and project?",
        StoreErrorKind::Denied => {
            "is the key in SUPABASE_SECRET_KEY (or SUPABASE_SERVICE_ROLE_KEY) a secret one of that project?"
        }
        StoreErrorKind::Full => {
            "the project or the bucket takes no longer objects: object-limit= in the location must not be above what the \
             settings of Storage allow; no backup was left half-written"
        }
        StoreErrorKind::Transient => "try again",
        _ => return None,
    })
}

fn of_vercel_blob(error: &StoreError) -> Option<&'static str> {
    Some(match error.kind() {
        StoreErrorKind::StoreMissing => {
            "the store must exist: the token in BLOB_READ_WRITE_TOKEN is of one that does not"
        }
        StoreErrorKind::Denied => {
            "is the token in BLOB_READ_WRITE_TOKEN a valid one, and the store not suspended? the dashboard tells"
        }
        StoreErrorKind::Transient => "try again",
        _ => return None,
    })
}

fn of_bucket(error: &StoreError) -> Option<&'static str> {
    Some(match error.kind() {
        StoreErrorKind::StoreMissing => "the bucket must exist: is it the right name, region and endpoint?",
        StoreErrorKind::Denied => {
            "credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, from a profile (AWS_PROFILE), or from the \
             machine; they must allow to list the bucket, and to get, put and delete objects and uploads"
        }
        StoreErrorKind::Full => {
            "the bucket has a limit: raise it, or name another store; no backup was left half-written"
        }
        StoreErrorKind::Transient => "try again",
        _ => return None,
    })
}

pub(super) fn of_repository(error: &RepositoryError) -> Option<&'static str> {
    Some(match error {
        RepositoryError::Exists { key, .. } if key.as_str().contains(".rekey") => {
            "it is being encrypted anew, or that was interrupted: if no other rekey runs, rekey --take-over ends it first"
        }
        RepositoryError::BeingRemoved { .. } => {
            "backstay prune --litter ends a removal that was interrupted more than a day ago; then try again"
        }
        RepositoryError::Held { .. } => "backstay release ends the hold",
        RepositoryError::PackGoing { .. } => "try again: the next backup does without it",
        RepositoryError::Exists { .. } => "an id has the time to the second: try again",
        RepositoryError::Manifest { .. } | RepositoryError::ForeignManifest { .. } => {
            "if its pack is whole, it can be opened by its path: backstay verify PATH"
        }
        RepositoryError::ReadBack { .. } => {
            "the disk or what is between does not keep what is written: back up to another store, and look at this one"
        }
        RepositoryError::Sealed { .. } => NEEDS_KEY,
        RepositoryError::NotSealed { .. } => "make the next one with --encrypt-to",
        RepositoryError::Pack { .. } | RepositoryError::NotLastVolume { last: None, .. } => DAMAGED,
        RepositoryError::VolumeTooSmall { .. } => {
            "a larger --volume-size holds it, or a store that takes longer objects"
        }
        RepositoryError::TooManyVolumes { .. } => "a larger --volume-size makes fewer of them",
        _ => return None,
    })
}

pub(super) fn of_pack(error: &PackError) -> Option<&'static str> {
    match error {
        PackError::Store(_) => None,
        _ => Some(DAMAGED),
    }
}

pub(super) fn of_trailer(error: &TrailerError) -> Option<&'static str> {
    match error {
        TrailerError::Missing => Some(
            "a plain dump made by pg_dump has no trailer, and backstay verify and restore take it; a backup has lost \
             its end: fetch it again, or take another one (backstay list)",
        ),
        TrailerError::Damaged => Some(DAMAGED),
        TrailerError::Version { .. } | _ => None,
    }
}

pub(super) fn of_manifest(error: &ManifestError) -> Option<&'static str> {
    match error {
        // It says so itself.
        ManifestError::Newer { .. } => Some("install a newer Backstay"),
        _ => None,
    }
}

pub(super) fn of_seal(error: &SealError) -> Option<&'static str> {
    Some(match error {
        SealError::NoKey { .. } => NEEDS_KEY,
        SealError::Passphrase => "try another one; BACKSTAY_PASSPHRASE and its kin win over what is typed",
        SealError::Damaged(_) => DAMAGED,
        _ => return None,
    })
}

pub(super) fn of_key(error: &KeyError) -> Option<&'static str> {
    Some(match error {
        KeyError::NobodyToAsk => {
            "name it in BACKSTAY_PASSPHRASE, BACKSTAY_PASSPHRASE_FILE or BACKSTAY_PASSPHRASE_COMMAND"
        }
        KeyError::Identity {
            source: IdentityError::PassphraseNeeded,
            ..
        }
        | KeyError::IdentityText {
            source: IdentityError::PassphraseNeeded,
        } => "name it in BACKSTAY_IDENTITY_PASSPHRASE, or run this where somebody can be asked",
        KeyError::NoRecipient => "name each key with --encrypt-to, or take --encrypt-passphrase",
        KeyError::PassphraseAndKeys => "encrypt to keys, or with a passphrase",
        _ => return None,
    })
}
