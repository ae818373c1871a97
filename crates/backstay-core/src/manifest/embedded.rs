use super::Manifest;
use super::v1::{ManifestError, from_json, to_json};

/// The largest text of a manifest, embedded or beside the pack, in bytes.
pub const MANIFEST_TEXT_BYTES_MAX: u64 = 512 << 20;

const FIRST_LINE: &str = "-- Backstay manifest: what follows is JSON behind two dashes, cut into lines anywhere.";
const LAST_LINE: &str = "-- End of the Backstay manifest.";
const LINE_BYTES: usize = 118;

/// The text of the member that ends a pack: the manifest as SQL comments.
#[must_use]
pub fn manifest_member_text(manifest: &Manifest) -> Vec<u8> {
    let json = to_json(manifest);
    let mut text = Vec::with_capacity(json.len() + json.len() / 32 + 256);
    text.extend_from_slice(FIRST_LINE.as_bytes());
    text.push(b'\n');
    // The JSON is ASCII without line feeds inside strings, so it may be cut at any byte; the line feed that ends it
    // is left away.
    for line in json.trim_ascii_end().chunks(LINE_BYTES) {
        text.extend_from_slice(b"--");
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text.extend_from_slice(LAST_LINE.as_bytes());
    text.push(b'\n');
    text
}

/// Reads the manifest from the text that [`manifest_member_text`] gave.
///
/// # Errors
/// The text is over [`MANIFEST_TEXT_BYTES_MAX`] or not of that form, or the JSON in it is refused by [`from_json`].
pub fn manifest_from_member(text: &[u8]) -> Result<Manifest, ManifestError> {
    if text.len() as u64 > MANIFEST_TEXT_BYTES_MAX {
        return Err(ManifestError::TooLong);
    }
    let not_embedded = ManifestError::NotEmbedded;
    let text = std::str::from_utf8(text).map_err(|_| not_embedded.clone())?;
    let body = text
        .strip_prefix(FIRST_LINE)
        .and_then(|text| text.strip_prefix('\n'))
        .and_then(|text| text.strip_suffix('\n'))
        .and_then(|text| text.strip_suffix(LAST_LINE))
        .ok_or_else(|| not_embedded.clone())?;
    let mut json = String::with_capacity(body.len());
    for line in body.lines() {
        json.push_str(line.strip_prefix("--").ok_or_else(|| not_embedded.clone())?);
    }
    from_json(json.as_bytes())
}
