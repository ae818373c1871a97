//! What people and machines are given.

use backstay_core::Codec;
use backstay_verify::{Level, Origin};

use crate::support::{key, open, pack_key, published, read, replace, sample, verify};

/// The report on a backup with a wrong bit in a member and without `.sha256`.
fn damaged() -> backstay_verify::Report {
    let codec = Codec::Zstd;
    let (store, backup) = published(&sample(codec));
    store.delete(&key(&format!("{}.sha256", backup.pack))).unwrap();
    let mut bytes = read(&*store, &pack_key(codec));
    let at = backup.manifest.members[3].offset + 10;
    bytes[usize::try_from(at).unwrap()] ^= 1;
    replace(&*store, &pack_key(codec), &bytes);
    verify(&open(&store, Origin::Id, codec).unwrap(), Origin::Id, Level::Standard)
}

/// Sizes and digests change with the compressor; numbers of four to seven digits are taken for sizes.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_alphanumeric() {
            word.push(c);
            continue;
        }
        let is_digest = word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
        let is_number = word.len() > 3 && word.len() < 8 && word.bytes().all(|b| b.is_ascii_digit());
        out.push_str(match (is_digest, is_number) {
            (true, _) => "DIGEST",
            (_, true) => "N",
            _ => &word,
        });
        word.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}

#[test]
fn people_see_the_verdict_first() {
    insta::assert_snapshot!(without_numbers(&damaged().render()), @r"
    kulti_backup_20250116_N: NOT SOUND: 2 errors
      level standard: 8 tables, 16 members, 12 rows counted, N bytes read
      error   [member-digest] member 3 (rows of public.users): its bytes are not those that were written
                expected: DIGEST
                found: DIGEST
      error   [pack-digest] kulti_backup_20250116_N.sql.zst: its bytes are not those that were written
                expected: DIGEST
                found: DIGEST
      warning [checksum-missing] kulti_backup_20250116_N.sql.zst.sha256: it is not there, so sha256sum -c cannot check the pack
      note    [omission] rows of public.elsewhere: not in the backup: a foreign table: its rows are on another server
      not checked:
        - the volume of data against earlier backups: there is none to compare with
    ");
}

#[test]
fn machines_get_json() {
    let json: serde_json::Value = serde_json::from_str(&damaged().to_json()).unwrap();
    insta::assert_snapshot!(without_numbers(&serde_json::to_string_pretty(&json).unwrap()), @r#"
    {
      "counts": {
        "bytes_read": N,
        "errors": 2,
        "members": 16,
        "notes": 1,
        "rows": 12,
        "tables": 8,
        "warnings": 1
      },
      "findings": [
        {
          "evidence": {
            "expected": "DIGEST",
            "found": "DIGEST"
          },
          "message": "its bytes are not those that were written",
          "rule": "member-digest",
          "severity": "error",
          "subject": "member 3 (rows of public.users)"
        },
        {
          "evidence": {
            "expected": "DIGEST",
            "found": "DIGEST"
          },
          "message": "its bytes are not those that were written",
          "rule": "pack-digest",
          "severity": "error",
          "subject": "kulti_backup_20250116_N.sql.zst"
        },
        {
          "evidence": {},
          "message": "it is not there, so sha256sum -c cannot check the pack",
          "rule": "checksum-missing",
          "severity": "warning",
          "subject": "kulti_backup_20250116_N.sql.zst.sha256"
        },
        {
          "evidence": {},
          "message": "not in the backup: a foreign table: its rows are on another server",
          "rule": "omission",
          "severity": "note",
          "subject": "rows of public.elsewhere"
        }
      ],
      "kind": "backup",
      "level": "standard",
      "not_checked": [
        "the volume of data against earlier backups: there is none to compare with"
      ],
      "schema_version": 1,
      "sound": false,
      "subject": "kulti_backup_20250116_N"
    }
    "#);
}

#[test]
fn of_many_findings_alike_some_are_shown() {
    let mut sample = sample(Codec::Gzip);
    let omission = sample.manifest.omissions[0].clone();
    sample.manifest.omissions.resize(25, omission);
    let (store, _) = published(&sample);
    let report = verify(
        &open(&store, Origin::Id, Codec::Gzip).unwrap(),
        Origin::Id,
        Level::Quick,
    );
    let text = report.render();
    assert_eq!(text.matches("rows of public.elsewhere").count(), 20, "{text}");
    assert!(text.contains("[omission] and 5 more"), "{text}");
    assert_eq!(report.findings.len(), 25);
}
