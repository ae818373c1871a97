use backstay_core::manifest::{from_json, manifest_from_member, manifest_member_text, to_json};
use proptest::prelude::*;

use super::arbitrary::manifest;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_manifest_gives_itself_again(manifest in manifest()) {
        let json = to_json(&manifest);
        prop_assert_eq!(json.iter().filter(|&&byte| byte == b'\n').count(), 1);
        prop_assert!(json.is_ascii());
        prop_assert_eq!(from_json(&json), Ok(manifest.clone()));
        let text = manifest_member_text(&manifest);
        prop_assert_eq!(manifest_from_member(&text), Ok(manifest));
        prop_assert_eq!(to_json(&manifest_from_member(&text).unwrap()), json);
    }
}
