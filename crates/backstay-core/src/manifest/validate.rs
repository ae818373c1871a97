use std::collections::{HashMap, HashSet};

use super::{Manifest, MemberContent, Pack, PackId, ROWS_FOOTER, Span, TableRows};
use crate::digest::RowDigest;
use crate::id::BackupId;
use crate::pack::VolumeName;
use crate::store::ObjectKey;

/// A manifest whose parts contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Inconsistency {
    /// Something refers to an index or id that the manifest does not have.
    #[error("{what} {index} refers to {target}, which is not there")]
    Reference {
        /// What refers.
        what: &'static str,
        /// Which of them.
        index: usize,
        /// To what.
        target: String,
    },
    /// A range reaches past the end of what it is in, or a number is impossible.
    #[error("{what} {index} has an impossible size or position")]
    Range {
        /// What has it.
        what: &'static str,
        /// Which of them.
        index: usize,
    },
    /// Two things share what only one may have.
    #[error("{what} {index} is there twice")]
    Twice {
        /// What it is.
        what: &'static str,
        /// Which of them.
        index: usize,
    },
    /// The rows of a table's members do not add up to the table's.
    #[error("the members of table {table} hold other rows than the table is said to have")]
    Rows {
        /// Which table.
        table: String,
    },
    /// The volumes of the backup are not all there, or not in order.
    #[error("the volumes of the backup are not all there and in order: {pack} stands in the wrong place")]
    Volumes {
        /// Name of the first that is wrong.
        pack: String,
    },
    /// The members of the manifest's own pack leave a gap or overlap.
    #[error("the pack's bytes from {offset} on belong to no member, or to two")]
    Tiling {
        /// Where.
        offset: u64,
    },
}

impl Manifest {
    /// Checks everything that can be checked without reading a pack: references, ranges, sums.
    ///
    /// # Errors
    /// The first contradiction found.
    pub fn check_consistency(&self) -> Result<(), Inconsistency> {
        self.check_packs()?;
        self.check_members()?;
        self.check_entries()?;
        self.check_tables()
    }

    /// Checks that the members which lie in the manifest's own pack fill its first `end` bytes without a gap, and those in
    /// the volumes before it fill these.
    ///
    /// # Errors
    /// [`Inconsistency::Tiling`] with the first byte where they do not; [`Inconsistency::Volumes`] where the own pack is
    /// not the last of all volumes.
    pub fn check_tiling(&self, end: u64) -> Result<(), Inconsistency> {
        let Some(own) = self.packs.iter().position(|pack| pack.id == PackId::Own) else {
            return self.check_pack_tiling(usize::MAX, Some(end));
        };
        self.check_pack_tiling(own, Some(end))?;
        let Some(volume) = VolumeName::of(&self.packs[own].name) else {
            return Ok(());
        };
        let mut earlier = 0;
        for (index, pack) in self.packs.iter().enumerate() {
            let is_beside = VolumeName::of(&pack.name).is_some_and(|other| other.is_beside(&volume));
            if is_beside && index != own {
                // Of a sealed pack, more is stored than is in it.
                let end = self.digest_key.is_none().then_some(pack.bytes);
                self.check_pack_tiling(index, end)?;
                earlier += 1;
            }
        }
        // That the numbers up to the last are there was checked before.
        if volume.number() == earlier + 1 {
            Ok(())
        } else {
            Err(Inconsistency::Volumes {
                pack: self.packs[own].name.clone(),
            })
        }
    }

    /// Checks that the members in one pack follow each other from its start on, up to `end` if that is known.
    fn check_pack_tiling(&self, pack: usize, end: Option<u64>) -> Result<(), Inconsistency> {
        let mut ranges: Vec<(u64, u64)> = self
            .members
            .iter()
            .filter(|member| member.pack as usize == pack)
            .map(|member| (member.offset, member.stored_bytes))
            .collect();
        ranges.sort_unstable();
        let mut offset = 0;
        for (start, length) in ranges {
            if start != offset {
                return Err(Inconsistency::Tiling { offset });
            }
            offset = start
                .checked_add(length)
                .ok_or(Inconsistency::Tiling { offset: start })?;
        }
        if end.is_none_or(|end| offset == end) {
            Ok(())
        } else {
            Err(Inconsistency::Tiling { offset })
        }
    }

    fn check_packs(&self) -> Result<(), Inconsistency> {
        let mut names = HashSet::new();
        let mut has_own = false;
        for (index, pack) in self.packs.iter().enumerate() {
            // A manifest may come from a hand that wants other files read.
            if pack.name.parse::<ObjectKey>().is_err() {
                return Err(Inconsistency::Range { what: "pack", index });
            }
            // Volumes of equal rows have equal bytes, and so equal ids.
            let is_own = pack.id == PackId::Own;
            if !names.insert(&pack.name) || (is_own && has_own) {
                return Err(Inconsistency::Twice { what: "pack", index });
            }
            has_own |= is_own;
        }
        match misplaced_volume(&self.packs, &self.id) {
            None => Ok(()),
            Some(pack) => Err(Inconsistency::Volumes {
                pack: pack.name.clone(),
            }),
        }
    }

    fn check_members(&self) -> Result<(), Inconsistency> {
        for (index, member) in self.members.iter().enumerate() {
            let Some(pack) = self.packs.get(member.pack as usize) else {
                return Err(reference("member", index, "pack", member.pack.into()));
            };
            let end = member.offset.checked_add(member.stored_bytes);
            let fits = end.is_some_and(|end| pack.id == PackId::Own || end <= pack.bytes);
            if !fits || member.stored_bytes == 0 {
                return Err(Inconsistency::Range { what: "member", index });
            }
            if let MemberContent::Rows(block) = &member.content {
                if block.table as usize >= self.tables.len() {
                    return Err(reference("member", index, "table", block.table.into()));
                }
                // Every row has at least its line feed.
                let frame = u64::from(block.header_bytes) + ROWS_FOOTER.len() as u64;
                let rows_bytes = member.text_bytes.checked_sub(frame);
                if rows_bytes.is_none_or(|bytes| bytes < block.digest.rows()) {
                    return Err(Inconsistency::Range { what: "member", index });
                }
            }
        }
        Ok(())
    }

    fn check_entries(&self) -> Result<(), Inconsistency> {
        let mut ids = HashSet::new();
        for (index, entry) in self.entries.iter().enumerate() {
            if !ids.insert(entry.id) {
                return Err(Inconsistency::Twice { what: "entry", index });
            }
            let spans = [entry.definition, entry.owner_statement, entry.access_method_statement];
            for span in spans.into_iter().flatten() {
                self.check_span(index, span)?;
            }
        }
        Ok(())
    }

    fn check_span(&self, index: usize, span: Span) -> Result<(), Inconsistency> {
        let Some(member) = self.members.get(span.member as usize) else {
            return Err(reference("entry", index, "member", span.member.into()));
        };
        let inside = span
            .offset
            .checked_add(span.length)
            .is_some_and(|end| end <= member.text_bytes);
        if inside && matches!(member.content, MemberContent::Schema(_)) {
            Ok(())
        } else {
            Err(Inconsistency::Range { what: "entry", index })
        }
    }

    fn check_tables(&self) -> Result<(), Inconsistency> {
        let mut sums = vec![(RowDigest::default(), 0u64, false); self.tables.len()];
        for (index, member) in self.members.iter().enumerate() {
            if let MemberContent::Rows(block) = &member.content
                && let Some((sum, bytes, seen)) = sums.get_mut(block.table as usize)
            {
                let Some(rows) = sum.rows().checked_add(block.digest.rows()) else {
                    return Err(Inconsistency::Range { what: "member", index });
                };
                *sum = RowDigest::new(rows, sum.sum().wrapping_add(block.digest.sum()));
                let text = member.text_bytes - u64::from(block.header_bytes) - ROWS_FOOTER.len() as u64;
                let Some(text_bytes) = bytes.checked_add(text) else {
                    return Err(Inconsistency::Range { what: "member", index });
                };
                *bytes = text_bytes;
                *seen = true;
            }
        }
        for (index, (table, (sum, bytes, seen))) in self.tables.iter().zip(sums).enumerate() {
            let agrees = match &table.rows {
                TableRows::Included { digest, text_bytes } => *digest == sum && *text_bytes == bytes,
                TableRows::Excluded { .. } => !seen,
            };
            if !agrees {
                return Err(Inconsistency::Rows {
                    table: table.display_name(),
                });
            }
            if let Some(root) = table.load_through
                && root as usize >= self.tables.len()
            {
                return Err(reference("table", index, "table", root.into()));
            }
        }
        Ok(())
    }
}

/// The first volume of the backup itself that does not stand where its number says; of another backup's volumes, some may
/// not be needed.
pub(super) fn misplaced_volume<'p>(packs: &'p [Pack], id: &BackupId) -> Option<&'p Pack> {
    let stem = format!("{id}.");
    let mut numbers: HashMap<String, u32> = HashMap::new();
    packs.iter().filter(|pack| pack.name.starts_with(&stem)).find(|pack| {
        VolumeName::of(&pack.name).is_some_and(|volume| {
            let number = numbers.entry(volume.whole()).or_default();
            *number += 1;
            *number != volume.number()
        })
    })
}

fn reference(what: &'static str, index: usize, target: &str, number: u64) -> Inconsistency {
    Inconsistency::Reference {
        what,
        index,
        target: format!("{target} {number}"),
    }
}
