use backstay_core::manifest::{
    Inconsistency, Manifest, ManifestError, MemberContent, PackId, RowBlock, TableRows, from_json, to_json,
};
use backstay_core::{RowDigest, Sha256Digest};

use super::small::small_manifest;

/// Checks what a changed manifest is refused for; nothing where it is not.
#[track_caller]
fn check(change: impl FnOnce(&mut Manifest), expected: &str) {
    let mut manifest = small_manifest();
    change(&mut manifest);
    let found = manifest.check_consistency();
    assert_eq!(
        found.as_ref().err().map_or(String::new(), ToString::to_string),
        expected
    );
    // What is read is checked by the same rules.
    let read = from_json(&to_json(&manifest));
    assert_eq!(read, found.map(|()| manifest).map_err(ManifestError::Inconsistent));
}

fn block(manifest: &mut Manifest, member: usize) -> &mut RowBlock {
    match &mut manifest.members[member].content {
        MemberContent::Rows(block) => block,
        other => panic!("{other:?}"),
    }
}

/// The member with one row, in the own pack, and that with two, in the other.
const ONE_ROW: usize = 2;
const TWO_ROWS: usize = 10;

#[test]
fn the_small_manifest_agrees_with_itself() {
    check(|_| {}, "");
}

#[test]
fn references_lead_somewhere() {
    check(
        |m| m.members[3].pack = 2,
        "member 3 refers to pack 2, which is not there",
    );
    check(
        |m| block(m, ONE_ROW).table = 3,
        "member 2 refers to table 3, which is not there",
    );
    check(
        |m| m.entries[0].definition.as_mut().unwrap().member = 11,
        "entry 0 refers to member 11, which is not there",
    );
    check(
        |m| m.tables[0].load_through = Some(u32::MAX),
        "table 0 refers to table 4294967295, which is not there",
    );
}

#[test]
fn ranges_lie_within_what_they_are_of() {
    let member = |n| format!("member {n} has an impossible size or position");
    check(|m| m.members[TWO_ROWS].offset = 4001, &member(TWO_ROWS));
    check(|m| m.packs[1].bytes = 4999, &member(TWO_ROWS));
    check(|m| m.members[0].stored_bytes = 0, &member(0));
    // The own pack's length is not known; the end of the member must be a number all the same.
    check(|m| m.members[0].offset = u64::MAX - 50, "");
    check(|m| m.members[0].offset = u64::MAX - 49, &member(0));
    let entry = "entry 0 has an impossible size or position";
    check(|m| m.entries[0].definition.as_mut().unwrap().length = 100, "");
    check(|m| m.entries[0].definition.as_mut().unwrap().length = 101, entry);
    check(
        |m| m.entries[0].owner_statement.as_mut().unwrap().offset = u64::MAX,
        entry,
    );
    check(
        |m| m.entries[0].access_method_statement.as_mut().unwrap().offset = 91,
        entry,
    );
    check(|m| m.entries[0].definition.as_mut().unwrap().member = 0, entry);
    for name in ["", "../x", "/etc/passwd", "a\nb", ".backstay-tmp-1"] {
        check(
            |m| m.packs[1].name = name.to_owned(),
            "pack 1 has an impossible size or position",
        );
    }
}

#[test]
fn a_member_has_room_for_its_rows() {
    let refused = "member 2 has an impossible size or position";
    let rows = "the members of table public.orders_1 hold other rows than the table is said to have";
    // Thirty line feeds at least, and there are thirty bytes.
    check(|m| block(m, ONE_ROW).digest = RowDigest::new(30, 4), rows);
    check(|m| block(m, ONE_ROW).digest = RowDigest::new(31, 4), refused);
    check(|m| block(m, ONE_ROW).digest = RowDigest::new(u64::MAX, 4), refused);
    check(|m| block(m, ONE_ROW).header_bytes = u32::MAX, refused);
    check(|m| m.members[ONE_ROW].text_bytes = 24, refused);
    check(|m| m.members[ONE_ROW].text_bytes = 25, rows);
    check(|m| m.members[ONE_ROW].text_bytes = 0, refused);
}

#[test]
fn rows_add_up() {
    let rows = "the members of table public.orders_1 hold other rows than the table is said to have";
    let included = |manifest: &mut Manifest, rows, sum, bytes| {
        manifest.tables[0].rows = TableRows::Included {
            digest: RowDigest::new(rows, sum),
            text_bytes: bytes,
        };
    };
    check(|m| included(m, 3, 9, 60), "");
    check(|m| included(m, 4, 9, 60), rows);
    check(|m| included(m, 3, 8, 60), rows);
    check(|m| included(m, 3, 9, 61), rows);
    check(|m| m.members.truncate(TWO_ROWS), rows);
    let excluded = |reason: &str| TableRows::Excluded {
        reason: reason.to_owned(),
    };
    check(|m| m.tables[0].rows = excluded("by a filter"), rows);
    // A table without rows needs no member.
    let empty = |m: &mut Manifest| {
        m.tables[1].rows = TableRows::Included {
            digest: RowDigest::default(),
            text_bytes: 0,
        };
    };
    check(empty, "");
    check(
        |m| {
            block(m, ONE_ROW).digest = RowDigest::new(1, u128::MAX);
            included(m, 3, 4, 60);
        },
        "",
    );
}

#[test]
fn sums_that_no_number_holds_are_refused() {
    let huge = |manifest: &mut Manifest, rows| {
        for member in [ONE_ROW, TWO_ROWS] {
            manifest.members[member].text_bytes = u64::MAX;
            block(manifest, member).digest = RowDigest::new(rows, 0);
        }
    };
    let refused = "member 10 has an impossible size or position";
    check(|m| huge(m, u64::MAX - 24), refused);
    check(|m| huge(m, 1), refused);
}

#[test]
fn nothing_is_there_twice() {
    check(|m| m.entries[3].id = 1, "entry 3 is there twice");
    check(|m| m.packs[1].name = m.packs[0].name.clone(), "pack 1 is there twice");
    check(
        |m| {
            // Only one pack can be the one that the manifest stands in, and the other's members would go unchecked.
            m.packs[1].id = PackId::Own;
        },
        "pack 1 is there twice",
    );
    // Volumes of equal rows have equal bytes.
    let mut manifest = small_manifest();
    manifest.packs[0].id = PackId::Sha256(Sha256Digest::of(b"the base"));
    manifest.packs[0].bytes = 5000;
    assert_eq!(manifest.check_consistency(), Ok(()));
}

#[test]
fn the_members_of_the_own_pack_fill_it() {
    let check = |change: fn(&mut Manifest), end, expected: Result<(), u64>| {
        let mut manifest = small_manifest();
        change(&mut manifest);
        let expected = expected.map_err(|offset| Inconsistency::Tiling { offset });
        assert_eq!(manifest.check_tiling(end), expected);
    };
    check(|_| {}, 500, Ok(()));
    check(|_| {}, 499, Err(500));
    check(|_| {}, 501, Err(500));
    check(|m| m.members.reverse(), 500, Ok(()));
    check(|m| m.members[4].offset = 199, 500, Err(150 + 50));
    check(|m| m.members[4].stored_bytes = 51, 500, Err(251));
    check(|m| m.members[4].stored_bytes = u64::MAX, 500, Err(200));
    check(|m| m.members.rotate_left(1), 500, Ok(()));
    check(|m| m.members = m.members.split_off(1), 500, Err(0));
    // A manifest without members of its own accounts for an empty front.
    let without: fn(&mut Manifest) = |m| m.members.retain(|member| member.pack == 1);
    check(without, 0, Ok(()));
    check(without, 1, Err(0));
    let message = Inconsistency::Tiling { offset: 7 }.to_string();
    assert_eq!(message, "the pack's bytes from 7 on belong to no member, or to two");
}
