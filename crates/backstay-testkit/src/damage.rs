use std::fs;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use backstay_core::ObjectKey;
use backstay_core::store::Store;

/// What can happen to stored bytes.
///
/// Applying one panics where it would change nothing, so that no test passes because its damage was none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "tests go through all of them")]
pub enum Damage {
    /// It is gone.
    Delete,
    /// Only so many bytes are left.
    Truncate {
        /// The new length.
        length: usize,
    },
    /// One bit is wrong.
    FlipBit {
        /// Which byte.
        byte: usize,
        /// Which bit of it, 0 to 7 from the lowest.
        bit: u8,
    },
    /// Two pieces changed places; `first` ends where `second` starts, or before.
    Swap {
        /// The piece that came first.
        first: Range<usize>,
        /// The piece that came second.
        second: Range<usize>,
    },
    /// There is more behind the end.
    Extend {
        /// What was added.
        with: Vec<u8>,
    },
}

impl Damage {
    /// One of each kind and place that tends to matter: start, middle and end. Those that would not change `bytes` are
    /// left out; names are unique and fit for messages.
    #[must_use]
    pub fn matrix(bytes: &[u8]) -> Vec<(&'static str, Self)> {
        let length = bytes.len();
        let (middle, last) = (length / 2, length.saturating_sub(1));
        let quarter = length / 4;
        let all = [
            ("deleted", Self::Delete),
            ("emptied", Self::Truncate { length: 0 }),
            ("cut in the middle", Self::Truncate { length: middle }),
            ("cut by one byte", Self::Truncate { length: last }),
            ("first bit flipped", Self::FlipBit { byte: 0, bit: 7 }),
            ("middle bit flipped", Self::FlipBit { byte: middle, bit: 3 }),
            ("last bit flipped", Self::FlipBit { byte: last, bit: 0 }),
            (
                "pieces swapped",
                Self::Swap {
                    first: quarter..middle,
                    second: middle..middle + (middle - quarter),
                },
            ),
            ("extended by a zero", Self::Extend { with: vec![0] }),
            ("doubled", Self::Extend { with: bytes.to_vec() }),
        ];
        let changes = |damage: &Self| match damage {
            Self::Delete => true,
            Self::FlipBit { byte, .. } => *byte < length,
            _ => damage.changed(bytes).is_some_and(|changed| changed != bytes),
        };
        all.into_iter().filter(|(_, damage)| changes(damage)).collect()
    }

    /// The damaged bytes; `None` where nothing is left of the object.
    ///
    /// # Panics
    /// Where the damage lies outside of `bytes` or changes nothing.
    #[must_use]
    pub fn apply(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let changed = self.changed(bytes);
        assert!(changed.as_deref() != Some(bytes), "{self:?} changes nothing");
        changed
    }

    /// Damages an object by deleting it and creating another under its key.
    ///
    /// # Panics
    /// As [`apply`](Self::apply), and where the store fails.
    pub fn apply_to_object(&self, store: &dyn Store, key: &ObjectKey) {
        let mut bytes = Vec::new();
        store.read(key, None).unwrap().read_to_end(&mut bytes).unwrap();
        let damaged = self.apply(&bytes);
        store.delete(key).unwrap();
        if let Some(damaged) = damaged {
            let mut writer = store.create(key).unwrap();
            writer.append(&damaged).unwrap();
            writer.publish().unwrap();
        }
    }

    /// Damages a file in place.
    ///
    /// # Panics
    /// As [`apply`](Self::apply), and where the file cannot be read or written.
    pub fn apply_to_file(&self, path: &Path) {
        match self.apply(&fs::read(path).unwrap()) {
            Some(damaged) => fs::write(path, damaged).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
    }

    fn changed(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut changed = bytes.to_vec();
        match self {
            Self::Delete => return None,
            Self::Truncate { length } => {
                assert!(*length <= bytes.len(), "{self:?} of {} bytes", bytes.len());
                changed.truncate(*length);
            }
            Self::FlipBit { byte, bit } => changed[*byte] ^= 1 << bit,
            Self::Swap { first, second } => {
                changed.truncate(first.start);
                for piece in [second, &(first.end..second.start), first, &(second.end..bytes.len())] {
                    changed.extend_from_slice(&bytes[piece.clone()]);
                }
            }
            Self::Extend { with } => changed.extend_from_slice(with),
        }
        Some(changed)
    }
}
