/// The known name that a person most likely meant, if any is near enough to be it.
///
/// ```
/// use backstay_config::nearest;
/// assert_eq!(nearest("retentoin", ["store", "retention"]), Some("retention"));
/// assert_eq!(nearest("colour", ["store", "retention"]), None);
/// ```
#[must_use]
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    /// Longer than any key; what is further off need not be compared.
    const COMPARED_CHARS_MAX: usize = 64;
    let fold = |name: &str| -> String {
        let chars = name.chars().take(COMPARED_CHARS_MAX);
        chars
            .map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() })
            .collect()
    };
    let name = fold(name);
    let far = name.chars().count().div_ceil(2);
    let distances = known.into_iter().map(|key| {
        let folded = fold(key);
        let begins_alike = name.len() > 2 && (folded.starts_with(&name) || name.starts_with(&folded));
        let distance = strsim::osa_distance(&name, &folded);
        (!begins_alike, distance, key)
    });
    let near = distances.filter(|(is_other, distance, _)| !is_other || *distance < far);
    near.min_by_key(|(is_other, distance, _)| (*is_other, *distance))
        .map(|(_, _, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_seen_and_other_words_are_not() {
        let known = [
            "url",
            "host",
            "password",
            "encrypt-to",
            "encrypt-to-file",
            "exclude-table",
            "sslmode",
        ];
        for (name, expected) in [
            ("pasword", Some("password")),
            ("Password", Some("password")),
            ("encrypt_to", Some("encrypt-to")),
            ("exclude-tables", Some("exclude-table")),
            ("ssl-mode", Some("sslmode")),
            ("uri", Some("url")),
            ("hots", Some("host")),
            ("color", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
