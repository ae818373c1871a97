use backstay_core::repository::{checksum_line, parse_checksums};
use backstay_core::{RowDigest, Sha256Digest, Sha256Hasher};
use proptest::prelude::*;

proptest! {
    #[test]
    fn lines_of_checksums_read_as_written(entries in prop::collection::vec((any::<[u8; 32]>(), "[^\r\n\u{0}]{1,20}"), 0..5)) {
        let entries: Vec<(Sha256Digest, String)> = entries
            .into_iter()
            .map(|(digest, name)| (Sha256Digest::from_bytes(digest), name))
            .collect();
        let text: String = entries.iter().map(|(digest, name)| checksum_line(digest, name)).collect();
        prop_assert_eq!(parse_checksums(&text), Some(entries.clone()));
        let binary: String = entries.iter().map(|(digest, name)| format!("{digest} *{name}\r\n")).collect();
        prop_assert_eq!(parse_checksums(&binary), Some(entries));
    }

    #[test]
    fn any_text_is_checksums_or_none(text: String) {
        let _ = parse_checksums(&text);
    }

    #[test]
    fn sha256_reads_as_written_and_does_not_depend_on_pieces(bytes: Vec<u8>, cut: prop::sample::Index) {
        let whole = Sha256Digest::of(&bytes);
        prop_assert_eq!(whole.to_string().parse(), Ok(whole));
        let (front, end) = bytes.split_at(cut.index(bytes.len() + 1));
        let mut hasher = Sha256Hasher::new();
        hasher.update(front);
        hasher.update(end);
        prop_assert_eq!(hasher.finish(), whole);
    }

    #[test]
    fn row_digests_depend_on_rows_alone(rows in prop::collection::vec("[^\n]{0,6}", 0..12), cut: prop::sample::Index, turn: prop::sample::Index) {
        let text = |rows: &[String]| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
        let digest = |rows: &[String]| {
            let mut digest = RowDigest::default();
            digest.add_lines(text(rows).as_bytes());
            digest
        };
        let whole = digest(&rows);
        prop_assert_eq!(whole.rows(), rows.len() as u64);
        let (front, end) = rows.split_at(cut.index(rows.len() + 1));
        let mut merged = digest(front);
        merged.merge(&digest(end));
        prop_assert_eq!(merged, whole);
        let mut turned = rows.clone();
        turned.rotate_left(turn.index(rows.len() + 1));
        prop_assert_eq!(digest(&turned), whole);
        let mut one_by_one = RowDigest::default();
        for row in &rows {
            one_by_one.add_row(row.as_bytes());
        }
        prop_assert_eq!(one_by_one, whole);
        if let Some(changed) = turned.first_mut() {
            changed.push('x');
            prop_assert_ne!(digest(&turned), whole);
        }
    }
}
