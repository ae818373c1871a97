use std::io::Read;
use std::sync::Arc;

use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::manifest::{Manifest, Member, MemberContent, PackId, ROWS_FOOTER, RowBlock, Span};
use crate::pack::{PackError, TrailerError, VolumeName, open_pack, read_member};
use crate::seal::SealMethod;
use crate::store::{Error, ErrorKind, ObjectKey, Store};

use super::{Repository, RepositoryError, names};

/// A backup that can be read: its manifest and the store that holds its packs.
#[derive(Clone, Debug)]
pub struct BackupReader {
    store: Arc<dyn Store>,
    /// The store in which sealed packs are read in clear.
    clear: Arc<dyn Store>,
    manifest: Arc<Manifest>,
}

impl BackupReader {
    pub(super) fn new(store: Arc<dyn Store>, clear: Arc<dyn Store>, manifest: Manifest) -> Self {
        Self {
            store,
            clear,
            manifest: Arc::new(manifest),
        }
    }

    /// Opens a pack by its name alone, without a manifest beside it. A sealed one is opened with the repository's keys.
    ///
    /// # Errors
    /// The pack cannot be read or is damaged, see [`open_pack`]; [`RepositoryError::Sealed`].
    pub fn open_pack(repository: &Repository, key: &ObjectKey) -> Result<Self, RepositoryError> {
        let clear = repository.clear_for(key, &[])?;
        let pack = open_pack(&*clear, key).map_err(|source| match source {
            PackError::Trailer(TrailerError::Missing) => not_last_volume(repository.store(), key, source),
            source => RepositoryError::Pack {
                key: key.clone(),
                source,
            },
        })?;
        let mut manifest = pack.manifest;
        if let Some(own) = manifest.packs.iter_mut().find(|pack| pack.id == PackId::Own) {
            // Of a sealed one, more is stored than is in it.
            own.bytes = repository.store().head(key)?.size;
        }
        if names::generation(&manifest.id, key.as_str()) > names::FIRST_GENERATION {
            forget_first_sealing(&**repository.store(), &mut manifest)?;
        }
        Ok(Self::new(Arc::clone(repository.store()), clear, manifest))
    }

    /// Whether its packs are sealed.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.manifest
            .packs
            .iter()
            .any(|pack| SealMethod::of_name(&pack.name).is_some())
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The store in which sealed packs are read in clear, by the same names.
    #[must_use]
    pub fn clear_store(&self) -> &Arc<dyn Store> {
        &self.clear
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The name of the pack that a member lies in.
    #[must_use]
    pub fn pack_of(&self, member: &Member) -> ObjectKey {
        // A manifest was checked when it was read: the index is there and the name is a key.
        ObjectKey::from_valid(self.manifest.packs[member.pack as usize].name.clone())
    }

    /// Reads, checks and decompresses one member.
    ///
    /// # Errors
    /// Those of [`read_member`], with the name of the pack.
    pub fn text(&self, member: &Member) -> Result<Vec<u8>, RepositoryError> {
        let key = self.pack_of(member);
        read_member(&*self.clear, &key, &self.manifest, member).map_err(|source| RepositoryError::Pack { key, source })
    }

    /// The SQL in a span of a schema member whose text is given.
    #[must_use]
    pub fn span<'t>(&self, text: &'t [u8], span: Span) -> Option<&'t [u8]> {
        let start = usize::try_from(span.offset).ok()?;
        let length = usize::try_from(span.length).ok()?;
        text.get(start..start.checked_add(length)?)
    }

    /// Splits the text of a member with rows into the COPY statement and the rows; `None` where it is not of that form.
    #[must_use]
    pub fn split_rows<'t>(text: &'t [u8], block: &RowBlock) -> Option<(&'t [u8], &'t [u8])> {
        let (header, rest) = text.split_at_checked(block.header_bytes as usize)?;
        let rows = rest.strip_suffix(ROWS_FOOTER)?;
        let whole = header.ends_with(b" FROM stdin;\n") && (rows.is_empty() || rows.ends_with(b"\n"));
        whole.then_some((header, rows))
    }

    /// The members with rows, with their place in the list of members.
    pub fn row_members(&self) -> impl Iterator<Item = (usize, &Member, &RowBlock)> {
        self.manifest
            .members
            .iter()
            .enumerate()
            .filter_map(|(index, member)| match &member.content {
                MemberContent::Rows(block) => Some((index, member, block)),
                _ => None,
            })
    }

    /// Hashes a whole pack and compares it with its id; `None` for the pack that a manifest alone cannot know.
    ///
    /// # Errors
    /// The store fails, or gives fewer bytes than it said.
    pub fn pack_digest_agrees(&self, pack: usize) -> Result<Option<bool>, Error> {
        let pack = &self.manifest.packs[pack];
        let PackId::Sha256(expected) = pack.id else {
            return Ok(None);
        };
        let key = ObjectKey::from_valid(pack.name.clone());
        Ok(Some(object_digest(&*self.store, &key)? == expected))
    }
}

/// Leaves out what a pack that was sealed anew says of the volumes before it: how they were stored first. What is in them has
/// digests of its own.
fn forget_first_sealing(store: &dyn Store, manifest: &mut Manifest) -> Result<(), Error> {
    for pack in manifest.packs.iter_mut().filter(|pack| pack.id != PackId::Own) {
        if SealMethod::of_name(&pack.name).is_some() {
            pack.id = PackId::Own;
            pack.bytes = match store.head(&ObjectKey::from_valid(pack.name.clone())) {
                Ok(meta) => meta.size,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
        }
    }
    Ok(())
}

/// Why an object without a trailer cannot be opened: a volume that others follow never had one.
fn not_last_volume(store: &Arc<dyn Store>, key: &ObjectKey, source: PackError) -> RepositoryError {
    let failed = |source| RepositoryError::Pack {
        key: key.clone(),
        source,
    };
    let Some(volume) = VolumeName::of(key.as_str()) else {
        return failed(source);
    };
    let beside = match store.list(volume.stem()) {
        Ok(objects) => objects,
        Err(error) => return failed(error.into()),
    };
    let numbers = beside.iter().filter_map(|object| {
        let other = VolumeName::of(object.key.as_str()).filter(|other| other.is_beside(&volume))?;
        (other.number() > volume.number()).then_some(other.number())
    });
    let last = numbers.max().map(|number| volume.numbered(number).to_string());
    RepositoryError::NotLastVolume {
        key: key.clone(),
        last: last.map(ObjectKey::from_valid),
    }
}

/// The SHA-256 of a whole object, read in pieces.
pub(super) fn object_digest(store: &dyn Store, key: &ObjectKey) -> Result<Sha256Digest, Error> {
    let mut reader = store.read(key, None)?;
    let mut hasher = Sha256Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(length) => hasher.update(&buffer[..length]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io("read", key.as_str(), e)),
        }
    }
}
