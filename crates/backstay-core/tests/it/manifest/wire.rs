use backstay_core::Sha256Digest;
use backstay_core::manifest::{
    FORMAT_VERSION, Manifest, ManifestError, Scope, from_json, manifest_from_member, manifest_member_text, to_json,
};
use serde_json::Value;

use super::small::small_manifest;

fn value(manifest: &Manifest) -> Value {
    serde_json::from_slice(&to_json(manifest)).unwrap()
}

fn read(value: &Value) -> Result<Manifest, ManifestError> {
    from_json(&serde_json::to_vec(value).unwrap())
}

/// A change here is a change of the format: of `docs/format.md`, of `FORMAT_VERSION` once a version is released, and of
/// what `testdata/archives` holds.
#[test]
fn the_format_is_as_it_was() {
    let json = String::from_utf8(to_json(&small_manifest())).unwrap();
    let (line, rest) = json.split_once('\n').unwrap();
    assert_eq!(rest, "", "it is one line");
    insta::assert_snapshot!("manifest_line", line);
    let fields = serde_json::to_string_pretty(&value(&small_manifest())).unwrap();
    insta::assert_snapshot!("manifest_fields", fields);
}

#[test]
fn the_embedded_form_is_as_it_was() {
    let mut manifest = small_manifest();
    manifest.tables.clear();
    manifest.members.clear();
    manifest.entries.clear();
    insta::assert_snapshot!(
        "manifest_member",
        String::from_utf8(manifest_member_text(&manifest)).unwrap()
    );
}

#[test]
fn embedded_lines_are_short_comments_in_ascii() {
    let mut manifest = small_manifest();
    manifest.writer = "é\u{10ffff}\n\\. \\! \u{7f}".repeat(100);
    let text = manifest_member_text(&manifest);
    assert!(text.is_ascii() && text.ends_with(b"\n"));
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        assert!(line.starts_with(b"--") && line.len() <= 121, "{}", line.escape_ascii());
        let inner = &line[..line.len() - 1];
        assert!(
            inner.iter().all(|byte| (b' '..0x7f).contains(byte)),
            "{}",
            line.escape_ascii()
        );
    }
    assert_eq!(manifest_from_member(&text), Ok(manifest));
}

#[test]
fn what_is_no_embedded_manifest_is_refused() {
    let text = String::from_utf8(manifest_member_text(&small_manifest())).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let without = |index: usize| [&lines[..index], &lines[index + 1..]].concat().concat();
    for bad in [
        String::new(),
        "--\n".to_owned(),
        lines[0].to_owned(),
        without(0),
        without(lines.len() - 1),
        text.trim_end().to_owned(),
        format!("{text}--\n"),
        format!(" {text}"),
        text.replacen("\n--", "\n-", 2),
    ] {
        assert_eq!(
            manifest_from_member(bad.as_bytes()),
            Err(ManifestError::NotEmbedded),
            "{bad}"
        );
    }
    for index in 1..lines.len() - 1 {
        // What is left may be JSON by chance, but never the same.
        assert_ne!(
            manifest_from_member(without(index).as_bytes()),
            Ok(small_manifest()),
            "line {index}"
        );
    }
    assert_eq!(
        manifest_from_member(&[text.as_bytes(), b"\xff"].concat()),
        Err(ManifestError::NotEmbedded)
    );
}

#[test]
fn unknown_fields_are_passed_over() {
    let mut json = value(&small_manifest());
    let added = add_to_every_object(&mut json);
    assert!(added > 30, "{added}");
    assert_eq!(read(&json), Ok(small_manifest()));
}

fn add_to_every_object(value: &mut Value) -> u32 {
    match value {
        Value::Object(fields) => {
            let within: u32 = fields.values_mut().map(add_to_every_object).sum();
            fields.insert("of a later program".to_owned(), serde_json::json!({ "a": [1, null] }));
            within + 1
        }
        Value::Array(values) => values.iter_mut().map(add_to_every_object).sum(),
        _ => 0,
    }
}

/// A field that is missing is refused, except where nothing is a value too.
#[test]
fn missing_fields_are_refused() {
    let json = value(&small_manifest());
    let mut optional = Vec::new();
    for path in paths_of_fields(&json, "") {
        let mut without = json.clone();
        let (object, field) = path.rsplit_once('/').unwrap();
        without
            .pointer_mut(object)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(field)
            .unwrap();
        if read(&without).is_ok() {
            let generic: Vec<&str> = path.split('/').filter(|part| part.parse::<u32>().is_err()).collect();
            optional.push(generic.join("/"));
        }
    }
    optional.sort_unstable();
    optional.dedup();
    insta::assert_snapshot!("manifest_optional_fields", optional.join("\n"));
}

fn paths_of_fields(value: &Value, path: &str) -> Vec<String> {
    let below = |(name, value): (String, &Value)| {
        let path = format!("{path}/{name}");
        let mut paths = paths_of_fields(value, &path);
        if value.is_null() || !path.ends_with(|c: char| c.is_ascii_digit()) {
            paths.push(path);
        }
        paths
    };
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), value))
            .flat_map(below)
            .collect(),
        Value::Array(values) => values
            .iter()
            .enumerate()
            .map(|(i, value)| (i.to_string(), value))
            .flat_map(below)
            .collect(),
        _ => Vec::new(),
    }
}

#[test]
fn other_versions_are_refused_by_name() {
    let mut json = value(&small_manifest());
    for (version, expected) in [
        (0, ManifestError::Unknown { found: 0 }),
        (
            FORMAT_VERSION + 1,
            ManifestError::Newer {
                found: FORMAT_VERSION + 1,
            },
        ),
        (u32::MAX, ManifestError::Newer { found: u32::MAX }),
    ] {
        json["format"] = version.into();
        // Whatever else a later version holds.
        json["codec"] = serde_json::json!({ "name": "zstd" });
        assert_eq!(read(&json), Err(expected));
    }
    let newer = ManifestError::Newer { found: 3 };
    assert_eq!(
        newer.to_string(),
        "the manifest has format version 3, this program reads up to 2: use a newer Backstay"
    );
}

#[test]
fn values_of_another_kind_are_refused() {
    for (path, bad, expected) in [
        ("/id", "kulti", "an invalid id: kulti"),
        ("/kind", "incremental", "an invalid kind of backup: incremental"),
        ("/codec", "lz4", "an invalid codec: lz4"),
        ("/tables/0/kind", "view", "an invalid kind of table: view"),
        (
            "/tables/0/persistence",
            "temporary",
            "an invalid persistence: temporary",
        ),
        ("/tables/0/row_security", "on", "an invalid row security: on"),
        ("/tables/0/row_digest", "00", "an invalid row digest: 00"),
        (
            "/tables/0/excluded",
            "both",
            "an invalid statement of rows of the table: orders_1",
        ),
        ("/entries/0/stage", "data", "an invalid stage: data"),
        ("/entries/0/key_index", "half", "an invalid key of the entry: orders_1"),
        ("/packs/1/id", "other", "an invalid pack id: other"),
        ("/members/0/sha256", "0", "an invalid SHA-256: 0"),
        (
            "/members/0/content",
            "pictures",
            "an invalid content of a member: pictures",
        ),
        ("/members/0/content", "rows", "an invalid content of a member: rows"),
        (
            "/members/2/content",
            "settings",
            "an invalid content of a member: settings",
        ),
    ] {
        let mut json = value(&small_manifest());
        *json.pointer_mut(path).unwrap() = bad.into();
        let error = read(&json).expect_err(path);
        assert_eq!(error.to_string(), format!("the manifest has {expected}"));
    }
}

#[test]
fn messages_quote_no_more_than_they_need() {
    let long = "x".repeat(1 << 20);
    for path in ["/id", "/codec", "/tables/0/oid", "/packs/0/id"] {
        let mut json = value(&small_manifest());
        *json.pointer_mut(path).unwrap() = long.clone().into();
        let message = read(&json).expect_err(path).to_string();
        assert!(message.len() < 300, "{path}: {} bytes", message.len());
    }
}

#[test]
fn what_was_left_out_is_a_digest_in_clear() {
    let mut manifest = small_manifest();
    manifest.id = "kulti_backup_20250116_143022".parse().unwrap();
    manifest.left_out = Some("tables audit_log".to_owned());
    manifest.source.system_identifier = Some(7);
    manifest.source.database = "kulti".into();
    // What anybody computes by docs/format.md.
    let digest = |text: &[u8]| Scope::Part(Sha256Digest::of(text).to_string());
    assert_eq!(manifest.scope_in_clear(), digest(b"7\nkulti\ntables audit_log"));
    manifest.id = "kulti_backup_20250117_143022".parse().unwrap();
    assert_eq!(manifest.scope_in_clear(), digest(b"7\nkulti\ntables audit_log"));
    manifest.source.system_identifier = None;
    assert_eq!(
        manifest.scope_in_clear(),
        digest(b"kulti_backup_20250117_143022\ntables audit_log")
    );
    manifest.left_out = None;
    assert_eq!((manifest.scope(), manifest.scope_in_clear()), (Scope::All, Scope::All));
}
