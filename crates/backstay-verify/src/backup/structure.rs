//! What the lists of a manifest must look like, beyond what the format itself asks for.

use std::cmp::Ordering;
use std::collections::HashMap;

use backstay_core::manifest::{Chunk, Manifest, Member, MemberContent, Span, Stage, TableKind, TableRows};
use backstay_core::pack::VolumeName;

use super::member_name;
use crate::finding::Finding;

pub(super) fn check(manifest: &Manifest) -> Vec<Finding> {
    let mut findings = Vec::new();
    check_order(manifest, &mut findings);
    check_chunks(manifest, &mut findings);
    check_inventory_has_members(manifest, &mut findings);
    check_spans(manifest, &mut findings);
    findings
}

/// Where a member stands in the order in which psql has to read them.
fn rank(content: &MemberContent) -> u8 {
    match content {
        MemberContent::Settings => 0,
        MemberContent::Globals => 1,
        MemberContent::Schema(Stage::PreData) => 2,
        MemberContent::Rows(_) => 3,
        MemberContent::LargeObjects => 4,
        MemberContent::Sequences => 5,
        MemberContent::Schema(Stage::PostData) => 6,
        MemberContent::Schema(Stage::Privileges) => 7,
        MemberContent::Refreshes => 8,
        MemberContent::Schema(Stage::Last) => 9,
    }
}

/// Settings come first and once, then each kind in its turn. In a backup of one pack the members lie in the order of the
/// list, for psql reads the file, and so in volumes, one after another; one that reuses members of other packs may find
/// them anywhere.
fn check_order(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let mut wrong = |index: usize, message: &str| {
        findings.push(Finding::error("member-order", member_name(manifest, index), message).at(index));
    };
    let settings = |content: &MemberContent| matches!(content, MemberContent::Settings);
    if !manifest.members.first().is_some_and(|member| settings(&member.content)) {
        wrong(0, "the backup does not begin with the settings");
    }
    for (index, pair) in manifest.members.windows(2).enumerate() {
        let (before, after) = (&pair[0], &pair[1]);
        if rank(&after.content) < rank(&before.content) || settings(&after.content) {
            wrong(
                index + 1,
                "it comes too late: what stands before it needs it, or must come after it",
            );
        } else if lies_before(manifest, after, before) {
            wrong(index + 1, "it lies before the member that has to be read before it");
        }
    }
}

/// Whether a member lies in the same pack, or in volumes of the same whole, before the end of another one.
fn lies_before(manifest: &Manifest, member: &Member, other: &Member) -> bool {
    let volume = |member: &Member| {
        let pack = manifest.packs.get(member.pack as usize)?;
        VolumeName::of(&pack.name)
    };
    let order = match (volume(member), volume(other)) {
        (Some(volume), Some(other)) if volume.is_beside(&other) => volume.number().cmp(&other.number()),
        _ if manifest.packs.len() == 1 => Ordering::Equal,
        _ => return false,
    };
    let is_before_end = member.offset < other.offset.saturating_add(other.stored_bytes);
    order == Ordering::Less || order == Ordering::Equal && is_before_end
}

/// The chunks of a table do not overlap, and the parts of a chunk are all there but perhaps the last ones. A chunk
/// without rows has no member, so gaps between chunks say nothing.
fn check_chunks(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let mut by_table: HashMap<u32, Vec<(Chunk, usize)>> = HashMap::new();
    for (index, member) in manifest.members.iter().enumerate() {
        if let MemberContent::Rows(block) = &member.content {
            by_table.entry(block.table).or_default().push((block.chunk, index));
        }
    }
    for mut chunks in by_table.into_values() {
        chunks.sort_by_key(|(chunk, index)| (chunk.first_page, chunk.part, *index));
        let mut before: Option<Chunk> = None;
        for (chunk, index) in chunks {
            let follows = match before {
                Some(before) if before.first_page == chunk.first_page => {
                    chunk.end_page == before.end_page && before.part.checked_add(1) == Some(chunk.part)
                }
                Some(before) => chunk.part == 0 && before.end_page.is_some_and(|end| end <= chunk.first_page),
                None => chunk.part == 0,
            };
            let empty = chunk.end_page.is_some_and(|end| end <= chunk.first_page);
            if !follows || empty {
                let message = "rows of these pages are there twice, or a part of them is missing";
                findings.push(
                    Finding::error("chunk-overlap", member_name(manifest, index), message)
                        .with("first page", chunk.first_page)
                        .with("part", chunk.part)
                        .at(index),
                );
            }
            before = Some(chunk);
        }
    }
}

/// What the inventory counts must have a member that brings it.
fn check_inventory_has_members(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let has = |is: &dyn Fn(&MemberContent) -> bool| manifest.members.iter().any(|member| is(&member.content));
    let large_objects = manifest.large_objects.as_ref().is_some_and(|objects| objects.count > 0);
    let needs = [
        (
            "large objects",
            large_objects,
            has(&|content| matches!(content, MemberContent::LargeObjects)),
        ),
        (
            "sequences",
            !manifest.sequences.is_empty(),
            has(&|content| matches!(content, MemberContent::Sequences)),
        ),
        (
            "materialized views",
            !manifest.refreshes.is_empty(),
            has(&|content| matches!(content, MemberContent::Refreshes)),
        ),
    ];
    for (what, listed, present) in needs {
        if listed != present {
            let message = if listed {
                "the manifest lists them, and no member brings them"
            } else {
                "a member brings them, and the manifest lists none"
            };
            findings.push(Finding::error("inventory-member", what, message));
        }
    }
    for (index, table) in manifest.tables.iter().enumerate() {
        let rows = match &table.rows {
            TableRows::Included { digest, .. } => digest.rows(),
            TableRows::Excluded { .. } => 0,
        };
        if rows > 0 && table.kind != TableKind::Table {
            let message = "it has no rows of its own, and the backup has some for it";
            findings.push(Finding::error("table-kind", table.display_name(), message).at(index));
        }
    }
}

/// The SQL of an entry stands in a member of its stage, and no two entries share any.
fn check_spans(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let mut spans: Vec<(Span, usize)> = Vec::new();
    for (index, entry) in manifest.entries.iter().enumerate() {
        let all = [entry.definition, entry.owner_statement, entry.access_method_statement];
        for span in all.into_iter().flatten() {
            let content = manifest.members.get(span.member as usize).map(|member| &member.content);
            if content != Some(&MemberContent::Schema(entry.stage)) {
                let subject = format!("{} {}", entry.kind, entry.name);
                findings.push(Finding::error("entry-stage", subject, "its SQL stands in another stage").at(index));
            }
            spans.push((span, index));
        }
    }
    spans.sort_by_key(|(span, index)| (span.member, span.offset, *index));
    for pair in spans.windows(2) {
        let ((before, _), (after, index)) = (pair[0], pair[1]);
        if before.member == after.member && before.offset.saturating_add(before.length) > after.offset {
            let entry = &manifest.entries[index];
            let subject = format!("{} {}", entry.kind, entry.name);
            findings.push(Finding::error("entry-overlap", subject, "its SQL belongs to another entry too").at(index));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backstay_core::Compression;
    use backstay_core::manifest::{Manifest, Pack, PackId};
    use backstay_core::store::MemoryStore;
    use backstay_testkit::fixtures::SampleBackup;

    use super::check;

    fn seen(manifest: &Manifest) -> Vec<&'static str> {
        check(manifest).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn a_file_holds_its_members_in_the_order_of_the_list() {
        let sample = SampleBackup::kulti("kulti_backup_20250116_143022", Compression::default());
        let mut manifest = sample.publish(Arc::new(MemoryStore::new())).manifest;
        assert_eq!(seen(&manifest), [""; 0]);
        // Two members with rows of one table, so that nothing but their places in the pack is out of order.
        let (one, other) = (manifest.members[4].offset, manifest.members[6].offset);
        manifest.members[4].offset = other;
        manifest.members[6].offset = one;
        assert_eq!(seen(&manifest), ["member-order"; 2]);
        // With members in several packs, psql reads none of them.
        manifest.packs.push(Pack {
            id: PackId::Own,
            name: "other.sql.gz".to_owned(),
            bytes: 0,
        });
        assert_eq!(seen(&manifest), [""; 0]);
    }
}
