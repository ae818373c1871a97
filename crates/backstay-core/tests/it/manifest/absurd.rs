use backstay_core::manifest::{Manifest, from_json, to_json};
use proptest::prelude::*;
use serde_json::Value;

use super::small::small_manifest;

/// Numbers at which arithmetic goes wrong.
const ABSURD: [u64; 9] = [
    0,
    1,
    u32::MAX as u64 - 1,
    u32::MAX as u64,
    u32::MAX as u64 + 1,
    i64::MAX as u64,
    i64::MAX as u64 + 1,
    u64::MAX - 1,
    u64::MAX,
];

/// Reads a manifest and does with it what needs no pack.
fn use_up(json: &Value) -> Option<Manifest> {
    let manifest = from_json(&serde_json::to_vec(json).unwrap()).ok()?;
    let _ = manifest.stored_bytes();
    let _ = manifest.text_bytes();
    let _ = manifest.row_count();
    for end in [0, 500, u64::MAX] {
        let _ = manifest.check_tiling(end);
    }
    assert_eq!(from_json(&to_json(&manifest)).as_ref(), Ok(&manifest));
    Some(manifest)
}

fn numbers(value: &Value, path: &str) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let below = |(name, value): (&String, &Value)| numbers(value, &format!("{path}/{name}"));
            fields.iter().flat_map(below).collect()
        }
        Value::Array(values) => {
            let below = |(index, value): (usize, &Value)| numbers(value, &format!("{path}/{index}"));
            values.iter().enumerate().flat_map(below).collect()
        }
        Value::Number(_) => vec![path.to_owned()],
        _ => Vec::new(),
    }
}

fn small_json() -> Value {
    serde_json::from_slice(&to_json(&small_manifest())).unwrap()
}

#[test]
fn no_number_makes_it_panic() {
    let json = small_json();
    let paths = numbers(&json, "");
    assert!(paths.len() > 90, "{}", paths.len());
    let mut read = 0;
    for path in &paths {
        for absurd in ABSURD {
            let mut changed = json.clone();
            *changed.pointer_mut(path).unwrap() = absurd.into();
            read += u32::from(use_up(&changed).is_some());
        }
        for other in [Value::from(-1), Value::from(0.5), Value::from(1e300), Value::Null] {
            let mut changed = json.clone();
            *changed.pointer_mut(path).unwrap() = other;
            use_up(&changed);
        }
    }
    assert!(read > 100, "{read}");
}

#[test]
fn sums_of_absurd_numbers_do_not_overflow() {
    let mut json = small_json();
    // Members in other packs may overlap, so that each of them may be as long as the pack.
    json["packs"][1]["bytes"] = u64::MAX.into();
    for member in json["members"].as_array_mut().unwrap() {
        member["pack"] = 1.into();
        member["offset"] = 0.into();
        member["stored_bytes"] = u64::MAX.into();
    }
    let manifest = use_up(&json).unwrap();
    assert_eq!(manifest.stored_bytes(), u64::MAX);
    let mut json = small_json();
    json["members"] = Vec::<Value>::new().into();
    json["entries"] = Vec::<Value>::new().into();
    for number in [0, 1] {
        let table = &mut json["tables"][number];
        for (field, value) in [
            ("rows", Value::from(0)),
            ("text_bytes", Value::from(0)),
            ("excluded", Value::Null),
        ] {
            table[field] = value;
        }
        table["row_digest"] = "0".repeat(32).into();
    }
    assert_eq!(use_up(&json).unwrap().row_count(), 0);
}

proptest! {
    #[test]
    fn no_pair_of_numbers_makes_it_panic(
        first: prop::sample::Index,
        second: prop::sample::Index,
        values in [prop::sample::select(&ABSURD[..]), prop::sample::select(&ABSURD[..])],
    ) {
        let mut json = small_json();
        let paths = numbers(&json, "");
        for (index, value) in [first, second].into_iter().zip(values) {
            let path: &String = index.get(&paths);
            *json.pointer_mut(path).unwrap() = value.into();
        }
        use_up(&json);
    }

    #[test]
    fn no_damaged_byte_makes_it_panic(place: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut json = to_json(&small_manifest());
        let at = place.index(json.len());
        json[at] = byte;
        let _ = from_json(&json);
        json.truncate(cut.index(json.len()));
        prop_assert!(from_json(&json).is_err());
    }

    #[test]
    fn no_text_makes_it_panic(json: Vec<u8>) {
        prop_assert!(from_json(&json).is_err());
    }
}
