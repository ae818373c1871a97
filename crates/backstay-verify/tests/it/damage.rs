//! Everything that can happen to stored bytes is seen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use backstay_core::manifest::{Manifest, PackId, to_json};
use backstay_core::repository::{PublishedBackup, checksum_line};
use backstay_core::store::{ErrorKind, MemoryStore, Store};
use backstay_core::{Codec, Sha256Digest};
use backstay_testkit::{Call, Damage, Fault, Faulty, Recording, Verb, When};
use backstay_verify::{
    Level, Origin, Report, Rules, Silent, VerifyError, VerifyObserver, VerifyOptions, verify_backup,
};
use proptest::prelude::*;

use crate::support::{ID, finding, key, open, pack_key, published, read, replace, sample, seen, verify};

const LEVELS: [Level; 2] = [Level::Quick, Level::Standard];
const CODECS: [Codec; 2] = [Codec::Gzip, Codec::Zstd];
const ORIGINS: [Origin; 2] = [Origin::Id, Origin::Pack];

/// What is seen after damage: rules, or that the backup does not open.
fn outcome(store: &Arc<dyn Store>, origin: Origin, codec: Codec, level: Level) -> Vec<String> {
    match open(store, origin, codec) {
        Err(_) => vec!["does not open".to_owned()],
        Ok(backup) => seen(&verify(&backup, origin, level)),
    }
}

fn damaged(object: &str, damage: &Damage, codec: Codec) -> Arc<dyn Store> {
    let (store, _) = published(&sample(codec));
    damage.apply_to_object(&*store, &key(object));
    store
}

#[test]
fn a_whole_backup_is_sound() {
    for codec in CODECS {
        let (store, _) = published(&sample(codec));
        for (origin, level) in ORIGINS
            .into_iter()
            .flat_map(|origin| LEVELS.map(|level| (origin, level)))
        {
            let backup = open(&store, origin, codec).unwrap();
            let report = verify(&backup, origin, level);
            assert!(report.is_sound(), "{report}");
            assert_eq!(seen(&report), [""; 0], "{report}");
            assert_eq!(report.counts.members, 16);
            assert_eq!(report.counts.rows, (level == Level::Standard).then_some(15));
            assert_eq!(report.counts.bytes_read, read(&*store, &pack_key(codec)).len() as u64);
        }
    }
}

/// For each object and each kind of damage: what is seen by id at both levels, and by the pack's name at both levels.
/// Where the bytes of the compressor decide what is hit, `|` stands between what may be seen.
#[test]
fn damage_matrix() {
    const CUT: &str = "error embedded-manifest, error pack-digest, error pack-size, error checksum-digest";
    const NO_OPEN: &str = "does not open";
    const SOUND: &str = "";
    // A digit that is none, or another one.
    const DIGIT: &str = "error checksum-form | error checksum-digest";
    let pack: &[(&str, &str, &str)] = &[
        ("deleted", "error pack-missing", NO_OPEN),
        (
            "emptied",
            "error embedded-manifest, error member-missing, error pack-digest, error pack-size, error checksum-digest",
            NO_OPEN,
        ),
        // Of so small a backup the manifest is the larger half.
        ("cut in the middle", CUT, NO_OPEN),
        ("cut by one byte", CUT, NO_OPEN),
        (
            "first bit flipped",
            "error member-digest, error pack-digest, error checksum-digest",
            "error member-digest, error checksum-digest",
        ),
        (
            "middle bit flipped",
            "error embedded-manifest, error pack-digest, error checksum-digest",
            NO_OPEN,
        ),
        (
            "last bit flipped",
            "error embedded-manifest, error pack-digest, error checksum-digest",
            NO_OPEN,
        ),
        (
            "pieces swapped",
            "error embedded-manifest, error member-digest, error pack-digest, error checksum-digest",
            NO_OPEN,
        ),
        ("extended by a zero", CUT, NO_OPEN),
        ("doubled", CUT, NO_OPEN),
    ];
    let checksum: &[(&str, &str, &str)] = &[
        ("deleted", "warning checksum-missing", SOUND),
        ("emptied", "error checksum-form", "error checksum-form"),
        ("cut in the middle", "error checksum-form", "error checksum-form"),
        ("cut by one byte", SOUND, SOUND),
        ("first bit flipped", "error checksum-form", "error checksum-form"),
        ("middle bit flipped", DIGIT, DIGIT),
        ("last bit flipped", "error checksum-name", "warning checksum-name"),
        ("pieces swapped", DIGIT, DIGIT),
        ("extended by a zero", "error checksum-form", "error checksum-form"),
        ("doubled", SOUND, SOUND),
    ];
    let manifest: &[(&str, &str, &str)] = &[
        ("deleted", NO_OPEN, SOUND),
        ("emptied", NO_OPEN, "warning sidecar-manifest"),
        ("cut in the middle", NO_OPEN, "warning sidecar-manifest"),
        ("cut by one byte", "warning manifest-form", "warning manifest-form"),
        ("first bit flipped", NO_OPEN, "warning sidecar-manifest"),
        // Perhaps the name of a field that may be missing.
        (
            "middle bit flipped",
            "does not open | error embedded-manifest | warning manifest-form",
            "warning sidecar-manifest | warning manifest-form",
        ),
        ("last bit flipped", NO_OPEN, "warning sidecar-manifest"),
        ("pieces swapped", NO_OPEN, "warning sidecar-manifest"),
        ("extended by a zero", NO_OPEN, "warning sidecar-manifest"),
        ("doubled", NO_OPEN, "warning sidecar-manifest"),
    ];
    let mut wrong = Vec::new();
    for codec in CODECS {
        let (store, _) = published(&sample(codec));
        let pack_name = pack_key(codec).to_string();
        for (object, expectations) in [
            (pack_name.clone(), pack),
            (format!("{pack_name}.sha256"), checksum),
            (format!("{ID}.manifest.json"), manifest),
        ] {
            let matrix = Damage::matrix(&read(&*store, &key(&object)));
            assert_eq!(matrix.len(), expectations.len(), "{object}");
            for ((name, damage), (expected_name, by_id, by_pack)) in matrix.iter().zip(expectations) {
                assert_eq!(name, expected_name);
                let store = damaged(&object, damage, codec);
                for (origin, level) in ORIGINS
                    .into_iter()
                    .flat_map(|origin| LEVELS.map(|level| (origin, level)))
                {
                    let expected = if origin == Origin::Id { by_id } else { by_pack };
                    let sorted = |text: &str| {
                        let mut rules: Vec<String> = text.split(", ").map(|rule| rule.trim().to_owned()).collect();
                        rules.retain(|rule| !rule.is_empty());
                        rules.sort_unstable();
                        rules
                    };
                    let mut found = outcome(&store, origin, codec, level);
                    found.sort_unstable();
                    if !expected.split('|').any(|expected| sorted(expected) == found) {
                        wrong.push(format!(
                            "{codec} {object} {name} {origin:?} {level}: {found:?}, not {expected:?}"
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn members_that_are_left_are_checked() {
    for codec in CODECS {
        let (store, backup) = published(&sample(codec));
        // Behind the fourth member and a half; and the second has another bit.
        let member = &backup.manifest.members[4];
        let length = usize::try_from(member.offset + member.stored_bytes / 2).unwrap();
        let mut bytes = read(&*store, &pack_key(codec));
        bytes.truncate(length);
        bytes[usize::try_from(backup.manifest.members[1].offset).unwrap() + 12] ^= 1;
        replace(&*store, &pack_key(codec), &bytes);
        let opened = open(&store, Origin::Id, codec).unwrap();
        let report = verify(&opened, Origin::Id, Level::Standard);
        let of = |rule: &str| report.findings.iter().filter(|finding| finding.rule == rule).count();
        assert_eq!((of("member-digest"), of("member-missing")), (1, 12), "{report}");
        assert_eq!(report.counts.members, 4);
        assert_eq!(report.counts.rows, Some(3), "those of the third member");
        assert_eq!(
            finding(&report, "member-digest").subject,
            "member 1 (roles and tablespaces)"
        );
    }
}

#[test]
fn a_checksum_is_not_read_beyond_its_bound() {
    let (store, backup) = published(&sample(Codec::Gzip));
    let name = key(&format!("{}.sha256", backup.pack));
    let line = checksum_line(&backup.sha256, backup.pack.as_str());
    for (length, expected) in [(1 << 20, &[][..]), ((1 << 20) + 1, &["error checksum-form"])] {
        // Lines without anything are passed over.
        let text = format!("{line}{}", "\n".repeat(length - line.len()));
        replace(&*store, &name, text.as_bytes());
        let opened = open(&store, Origin::Id, Codec::Gzip).unwrap();
        let report = verify(&opened, Origin::Id, Level::Quick);
        assert_eq!(seen(&report), expected, "{length}: {report}");
    }
}

#[test]
fn a_manifest_that_was_changed_is_not_the_packs() {
    type Edit = fn(&mut Manifest);
    let edits: [(&str, Edit, &str); 7] = [
        ("writer", |m| m.writer.push('x'), "writer"),
        ("omissions", |m| m.omissions.clear(), "omissions"),
        ("source", |m| m.source.server_version.push('x'), "source"),
        ("sequences", |m| m.sequences[0].last_value += 1, "sequences"),
        ("policies", |m| m.tables[0].policies.clear(), "tables"),
        ("entries", |m| m.entries.truncate(1), "entries"),
        (
            "member's digest",
            |m| m.members[0].sha256 = Sha256Digest::of(b""),
            "members",
        ),
    ];
    for (name, edit, different) in edits {
        let (store, backup) = published(&sample(Codec::Gzip));
        let mut manifest = backup.manifest;
        edit(&mut manifest);
        replace(&*store, &key(&format!("{ID}.manifest.json")), &to_json(&manifest));
        let opened = open(&store, Origin::Id, Codec::Gzip).unwrap();
        let report = verify(&opened, Origin::Id, Level::Quick);
        assert_eq!(
            finding(&report, "embedded-manifest").evidence[0].value,
            different,
            "{name}"
        );
        let opened = open(&store, Origin::Pack, Codec::Gzip).unwrap();
        let report = verify(&opened, Origin::Pack, Level::Quick);
        assert_eq!(seen(&report), ["warning sidecar-manifest"], "{name}");
    }
}

#[test]
fn a_manifest_that_names_no_digest_proves_nothing() {
    let (store, backup) = published(&sample(Codec::Gzip));
    let mut manifest = backup.manifest;
    manifest.packs[0].id = PackId::Own;
    replace(&*store, &key(&format!("{ID}.manifest.json")), &to_json(&manifest));
    let opened = open(&store, Origin::Id, Codec::Gzip).unwrap();
    let report = verify(&opened, Origin::Id, Level::Quick);
    assert_eq!(seen(&report), ["error pack-id"], "{report}");
}

#[test]
fn a_pack_that_replaced_another_is_seen() {
    // Another whole backup under the name of this one, with a .sha256 that fits.
    let (store, _) = published(&sample(Codec::Gzip));
    let mut other = sample(Codec::Gzip);
    other.manifest.omissions.clear();
    let (other_store, other) = published(&other);
    replace(&*store, &other.pack, &read(&*other_store, &other.pack));
    let line = checksum_line(&other.sha256, other.pack.as_str());
    replace(&*store, &key(&format!("{}.sha256", other.pack)), line.as_bytes());
    let opened = open(&store, Origin::Id, Codec::Gzip).unwrap();
    let report = verify(&opened, Origin::Id, Level::Quick);
    assert!(seen(&report).contains(&"error pack-digest".to_owned()), "{report}");
    assert!(
        seen(&report).contains(&"error embedded-manifest".to_owned()),
        "{report}"
    );
}

#[test]
fn a_pack_alone_is_enough() {
    let (store, backup) = published(&sample(Codec::Zstd));
    store.delete(&key(&format!("{}.sha256", backup.pack))).unwrap();
    store.delete(&key(&format!("{ID}.manifest.json"))).unwrap();
    let opened = open(&store, Origin::Pack, Codec::Zstd).unwrap();
    let report = verify(&opened, Origin::Pack, Level::Standard);
    assert!(report.is_sound(), "{report}");
    let missing = report
        .findings
        .iter()
        .filter(|finding| finding.rule == "sidecar-missing");
    assert_eq!(missing.count(), 2, "{report}");
    assert!(
        report
            .not_checked
            .iter()
            .any(|check| check.starts_with("the digest of the whole pack"))
    );
}

fn in_memory(codec: Codec) -> MemoryStore {
    let store = MemoryStore::new();
    sample(codec).publish(Arc::new(store.clone()));
    store
}

/// What a verification by id at level standard asks of a store.
fn calls(store: MemoryStore) -> Vec<Call> {
    let recording = Arc::new(Recording::new(store));
    let store: Arc<dyn Store> = Arc::clone(&recording) as Arc<dyn Store>;
    let backup = open(&store, Origin::Id, Codec::Gzip).unwrap();
    recording.clear();
    verify(&backup, Origin::Id, Level::Standard);
    recording.calls()
}

#[test]
fn a_pack_is_read_once() {
    let store = in_memory(Codec::Gzip);
    let pack = pack_key(Codec::Gzip);
    let length = read(&store, &pack).len() as u64;
    let of_pack: Vec<u64> = calls(store)
        .iter()
        .filter(|call| call.verb == Verb::Read && call.subject == pack.as_str())
        .map(|call| call.bytes)
        .collect();
    // Trailer, manifest, and then everything.
    assert_eq!(of_pack.len(), 3);
    assert_eq!(of_pack[2], length);
}

/// Calls that opening a backup takes: the size of the manifest, and the manifest.
const OPENING_CALLS: u64 = 2;

/// Verifies a whole backup in a store with one fault.
fn with_fault(when: When, fault: Fault) -> Result<Report, VerifyError> {
    let store: Arc<dyn Store> = Arc::new(Faulty::new(in_memory(Codec::Gzip)).with_fault(when, fault));
    let backup = open(&store, Origin::Id, Codec::Gzip).unwrap();
    let rules = Rules::default();
    verify_backup(&backup, Origin::Id, &VerifyOptions::new(&rules), &Silent, &|| false)
}

#[test]
fn a_store_that_fails_is_a_finding() {
    let total = calls(in_memory(Codec::Gzip)).len() as u64;
    for n in OPENING_CALLS + 1..=OPENING_CALLS + total {
        let report = with_fault(When::nth_call(n), Fault::Error(ErrorKind::Other)).unwrap();
        assert!(!report.is_sound(), "call {n} failed:\n{report}");
        assert_eq!(
            report.counts.members,
            if n == OPENING_CALLS + 1 { 0 } else { 16 },
            "call {n}"
        );
    }
    let gone = with_fault(When::nth_call(OPENING_CALLS + 1), Fault::Error(ErrorKind::StoreMissing));
    assert!(matches!(gone, Err(VerifyError::Store(_))), "{gone:?}");
}

#[test]
fn what_a_broken_pack_still_gives_is_checked() {
    let (_, backup) = published(&sample(Codec::Gzip));
    let total = calls(in_memory(Codec::Gzip));
    let reads = total.iter().filter(|call| call.verb == Verb::Read).count() as u64;
    // Its stream is the last read, and opening took one.
    let stream = When::nth(Verb::Read, 1 + reads);
    for at in [0, 1, 1000, backup.bytes - 1] {
        for fault in [Fault::BreakAt(at), Fault::EndAt(at)] {
            let report = with_fault(stream, fault).unwrap();
            assert_eq!(report.counts.members, 16, "{fault:?}");
            assert!(!report.is_sound(), "{fault:?}: {report}");
            let expected = match fault {
                Fault::EndAt(at) if at == backup.bytes - 1 => ["error checksum-digest", "error pack-digest"].as_slice(),
                _ => &["error pack-read"],
            };
            assert_eq!(seen(&report), expected, "{fault:?}");
        }
        let flip = Fault::FlipBit { byte: at, bit: 3 };
        let report = with_fault(stream, flip).unwrap();
        assert!(
            seen(&report).contains(&"error pack-digest".to_owned()),
            "{flip:?}: {report}"
        );
    }
}

#[test]
fn it_stops_when_asked_and_tells_how_far_it_is() {
    #[derive(Default)]
    struct Watch {
        calls: AtomicU64,
        done: AtomicU64,
        total: AtomicU64,
    }
    impl VerifyObserver for Watch {
        fn progress(&self, bytes_done: u64, bytes_total: u64) {
            self.calls.fetch_add(1, Ordering::SeqCst);
            self.done.fetch_max(bytes_done, Ordering::SeqCst);
            self.total.store(bytes_total, Ordering::SeqCst);
        }
    }
    let (store, published) = published(&sample(Codec::Gzip));
    let backup = open(&store, Origin::Id, Codec::Gzip).unwrap();
    let rules = Rules::default();
    let mut options = VerifyOptions::new(&rules);
    options.jobs = 0;
    let watch = Watch::default();
    verify_backup(&backup, Origin::Id, &options, &watch, &|| false).unwrap();
    let all_calls = watch.calls.load(Ordering::SeqCst);
    assert_eq!(watch.done.load(Ordering::SeqCst), published.bytes);
    assert_eq!(watch.total.load(Ordering::SeqCst), published.bytes);
    for stop_after in 0..all_calls {
        let watch = Watch::default();
        let stop = || watch.calls.load(Ordering::SeqCst) > stop_after;
        let stopped = verify_backup(&backup, Origin::Id, &options, &watch, &stop);
        assert!(
            matches!(stopped, Err(VerifyError::Cancelled)),
            "{stop_after}: {stopped:?}"
        );
    }
}

/// A whole backup, made once for all cases.
fn whole(codec: Codec) -> &'static (MemoryStore, PublishedBackup) {
    static GZIP: LazyLock<(MemoryStore, PublishedBackup)> = LazyLock::new(|| make(Codec::Gzip));
    static ZSTD: LazyLock<(MemoryStore, PublishedBackup)> = LazyLock::new(|| make(Codec::Zstd));
    fn make(codec: Codec) -> (MemoryStore, PublishedBackup) {
        let store = MemoryStore::new();
        let published = sample(codec).publish(Arc::new(store.clone()));
        (store, published)
    }
    match codec {
        Codec::Gzip => &GZIP,
        Codec::Zstd => &ZSTD,
    }
}

fn whole_pack(codec: Codec) -> Vec<u8> {
    read(&whole(codec).0, &pack_key(codec))
}

/// Whether a backup with these bytes as its pack is refused or found unsound, by its id and by its pack alone.
fn is_detected(bytes: &[u8], codec: Codec, level: Level) -> bool {
    let alone: Arc<dyn Store> = Arc::new(MemoryStore::new());
    replace(&*alone, &pack_key(codec), bytes);
    let by_pack = open(&alone, Origin::Pack, codec).map(|backup| verify(&backup, Origin::Pack, level).is_sound());
    let beside: Arc<dyn Store> = Arc::new(MemoryStore::new());
    for object in whole(codec).0.list("").unwrap() {
        replace(&*beside, &object.key, &read(&whole(codec).0, &object.key));
    }
    replace(&*beside, &pack_key(codec), bytes);
    let by_id = verify(&open(&beside, Origin::Id, codec).unwrap(), Origin::Id, level);
    !by_id.is_sound() && !by_pack.is_ok_and(|sound| sound)
}

fn case() -> impl Strategy<Value = (Codec, Level)> {
    (
        prop_oneof![Just(Codec::Gzip), Just(Codec::Zstd)],
        prop_oneof![Just(Level::Quick), Just(Level::Standard)],
    )
}

proptest! {
    #[test]
    fn a_pack_cut_anywhere_is_seen((codec, level) in case(), at: prop::sample::Index) {
        let bytes = whole_pack(codec);
        prop_assert!(is_detected(&bytes[..at.index(bytes.len())], codec, level));
    }

    #[test]
    fn any_flipped_bit_is_seen((codec, level) in case(), at: prop::sample::Index, bit in 0u8..8) {
        let bytes = whole_pack(codec);
        let damage = Damage::FlipBit { byte: at.index(bytes.len()), bit };
        prop_assert!(is_detected(&damage.apply(&bytes).unwrap(), codec, level));
    }

    #[test]
    fn members_that_changed_places_are_seen(
        (codec, level) in case(), one: prop::sample::Index, other: prop::sample::Index,
    ) {
        let bytes = whole_pack(codec);
        let members = &whole(codec).1.manifest.members;
        let (one, other) = (one.index(members.len()), other.index(members.len()));
        prop_assume!(one != other);
        let range = |index: usize| {
            let start = usize::try_from(members[index].offset).unwrap();
            start..start + usize::try_from(members[index].stored_bytes).unwrap()
        };
        let (first, second) = (range(one.min(other)), range(one.max(other)));
        let swap = Damage::Swap { first: first.clone(), second: second.clone() };
        prop_assert!(is_detected(&swap.apply(&bytes).unwrap(), codec, level));
        // Once more, in between, and in place of another.
        let repeated = [&bytes[..first.end], &bytes[first.clone()], &bytes[first.end..]].concat();
        prop_assert!(is_detected(&repeated, codec, level));
        let replaced = [&bytes[..second.start], &bytes[first], &bytes[second.end..]].concat();
        prop_assert!(is_detected(&replaced, codec, level));
    }
}
