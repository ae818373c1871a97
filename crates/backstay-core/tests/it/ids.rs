use backstay_core::repository::{ObjectRole, object_role};
use backstay_core::{BackupId, ObjectKey, Prefix};
use jiff::Timestamp;
use proptest::prelude::*;

#[test]
fn an_id_is_a_file_name_at_every_bound() {
    let longest = "x".repeat(128);
    for (prefix, expected) in [
        ("a", true),
        ("0", true),
        (longest.as_str(), true),
        ("", false),
        ("-a", false),
        (".a", false),
        ("_a", false),
        ("a b", false),
        ("ä", false),
        ("a/b", false),
        (&format!("{longest}x"), false),
    ] {
        assert_eq!(prefix.parse::<Prefix>().is_ok(), expected, "{prefix}");
        let id = format!("{prefix}_backup_20250116_143022");
        assert_eq!(id.parse::<BackupId>().is_ok(), expected, "{id}");
    }
}

#[test]
fn every_time_makes_an_id_that_reads_as_itself() {
    let prefix: Prefix = "a".parse().unwrap();
    for (time, expected) in [
        (Timestamp::MIN, "a_backup_00000101_000000"),
        (
            Timestamp::from_second(-62_167_219_201).unwrap(),
            "a_backup_00000101_000000",
        ),
        (
            Timestamp::from_second(-62_167_219_200).unwrap(),
            "a_backup_00000101_000000",
        ),
        (Timestamp::from_second(-1).unwrap(), "a_backup_19691231_235959"),
        (Timestamp::UNIX_EPOCH, "a_backup_19700101_000000"),
        (Timestamp::MAX, "a_backup_99991230_220000"),
    ] {
        let id = BackupId::new(prefix.clone(), time);
        assert_eq!(id.to_string(), expected);
        assert_eq!(expected.parse::<BackupId>().unwrap(), id);
    }
}

fn prefix() -> impl Strategy<Value = Prefix> {
    let odd = "[a-c][a-c._-]{0,8}_backup_20250116_143022[.a-c_-]{0,12}";
    prop_oneof!["[A-Za-z0-9][A-Za-z0-9._-]{0,127}", odd].prop_map(|text| text.parse().unwrap())
}

proptest! {
    #[test]
    fn ids_read_as_themselves_and_sort_by_prefix_and_time(
        prefixes in [prefix(), prefix()],
        seconds in [-62_167_219_200i64..253_402_207_200, -62_167_219_200i64..253_402_207_200],
    ) {
        let id = |n: usize| BackupId::new(prefixes[n].clone(), Timestamp::from_second(seconds[n]).unwrap());
        prop_assert_eq!(id(0).to_string().parse::<BackupId>().unwrap(), id(0));
        let expected = prefixes[0].as_str().cmp(prefixes[1].as_str()).then(seconds[0].cmp(&seconds[1]));
        prop_assert_eq!(id(0).cmp(&id(1)), expected);
        prop_assert_eq!(id(0) == id(1), id(0).to_string() == id(1).to_string());
    }

    #[test]
    fn names_lead_back_to_their_id(
        prefix in prefix(),
        seconds in 0i64..4_000_000_000,
        volume in 1u32..100_000,
        incremental: bool,
        zstd: bool,
    ) {
        let id = BackupId::new(prefix, Timestamp::from_second(seconds).unwrap());
        let incremental = if incremental { "incr." } else { "" };
        let extension = if zstd { "zst" } else { "gz" };
        for pack in [format!("{incremental}sql.{extension}"), format!("{incremental}vol{volume:04}.sql.{extension}")] {
            for (suffix, role) in [
                (pack.clone(), ObjectRole::Pack),
                (format!("{pack}.sha256"), ObjectRole::Checksum),
                ("manifest.json".to_owned(), ObjectRole::Manifest),
                ("proof-20250116_143022.json".to_owned(), ObjectRole::Record),
            ] {
                let key: ObjectKey = format!("{id}.{suffix}").parse().unwrap();
                prop_assert_eq!(object_role(&key), Some((id.clone(), role)));
            }
        }
    }

    #[test]
    fn what_reads_as_an_id_shows_itself_so(text in "[a-z0-9._-]{0,4}(_backup_)?[0-9_+-]{0,17}") {
        if let Ok(id) = text.parse::<BackupId>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn any_key_has_a_role_or_none(text in "[a-z]{0,3}(_backup_[0-9é_]{13,17}){0,2}[.a-z0-9-]{0,24}") {
        if let Ok(key) = text.parse::<ObjectKey>()
            && let Some((id, _)) = object_role(&key)
        {
            let beginning = format!("{id}.");
            prop_assert!(key.as_str().starts_with(&beginning));
        }
    }
}
