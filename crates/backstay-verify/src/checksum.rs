//! What a `.sha256` beside an archive says of it.

use backstay_core::Sha256Digest;
use backstay_core::repository::{checksum_name, parse_checksums};

use crate::finding::{Finding, Severity};

/// How the name in a line of a `.sha256` must agree with the archive's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameMatch {
    /// As `sha256sum -c` in the archive's folder needs it; anything else is an error.
    Exact,
    /// Folders before the name do not count, nor does the lack of a name; another name is worth a warning, for archives
    /// are renamed and moved.
    Lenient,
}

/// Compares the text of a `.sha256` with the digest that an archive has; `None` where they agree.
pub(crate) fn check_checksum(text: &str, name: &str, digest: Sha256Digest, names: NameMatch) -> Option<Finding> {
    let Some(lines) = parse_checksums(text).filter(|lines| !lines.is_empty()) else {
        return Some(Finding::error(
            "checksum-form",
            checksum_name(name),
            "it is not a list of SHA-256 digests as sha256sum writes it",
        ));
    };
    let base = |name: &str| name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    let is_this = |line_name: &str| match names {
        NameMatch::Exact => line_name.strip_prefix("./").unwrap_or(line_name) == base(name),
        NameMatch::Lenient => base(line_name) == base(name) || line_name.is_empty() && lines.len() == 1,
    };
    let of_this: Vec<Sha256Digest> = lines
        .iter()
        .filter(|(_, line_name)| is_this(line_name))
        .map(|(digest, _)| *digest)
        .collect();
    if of_this.is_empty() {
        let listed = lines.iter().any(|(line, _)| *line == digest);
        let severity = if listed && names == NameMatch::Lenient {
            Severity::Warning
        } else {
            Severity::Error
        };
        let message = if listed {
            "it has the right digest under another name, so sha256sum -c fails"
        } else {
            "it has neither the name nor the digest of the archive"
        };
        let names: Vec<&str> = lines.iter().take(3).map(|(_, name)| name.as_str()).collect();
        return Some(
            Finding::new(severity, "checksum-name", checksum_name(name), message)
                .with("expected", base(name))
                .with("found", names.join(", ")),
        );
    }
    let other = of_this.into_iter().find(|line| *line != digest)?;
    Some(
        Finding::error(
            "checksum-digest",
            name,
            "its bytes are not those that the .sha256 beside it names",
        )
        .with("expected", other)
        .with("found", digest),
    )
}

#[cfg(test)]
mod tests {
    use backstay_core::Sha256Digest;

    use super::{NameMatch, check_checksum};

    fn check(text: &str, names: NameMatch, expected: &str) {
        let finding = check_checksum(text, "x.sql.gz", Sha256Digest::of(b"x"), names);
        let found = finding.map_or("agrees".to_owned(), |finding| {
            format!("{} {}", finding.severity, finding.rule)
        });
        assert_eq!(found, expected, "{text:?} {names:?}");
    }

    #[test]
    fn names_and_digests_must_agree() {
        let (right, wrong) = (Sha256Digest::of(b"x"), Sha256Digest::of(b"y"));
        for (text, exact, lenient) in [
            (format!("{right}  x.sql.gz\n"), "agrees", "agrees"),
            (format!("{right} *./x.sql.gz\r\n"), "agrees", "agrees"),
            (format!("{wrong}  a\n\n{right}  x.sql.gz\n"), "agrees", "agrees"),
            (format!("{right}  /backups/x.sql.gz\n"), "error checksum-name", "agrees"),
            (format!("{right}"), "error checksum-name", "agrees"),
            (
                format!("{right}  y.sql.gz\n"),
                "error checksum-name",
                "warning checksum-name",
            ),
            (
                format!("{wrong}  y.sql.gz\n"),
                "error checksum-name",
                "error checksum-name",
            ),
            (format!("{wrong}"), "error checksum-name", "error checksum-digest"),
            (
                format!("{wrong}  x.sql.gz\n"),
                "error checksum-digest",
                "error checksum-digest",
            ),
            (
                format!("{right}  x.sql.gz\n{wrong}  x.sql.gz\n"),
                "error checksum-digest",
                "error checksum-digest",
            ),
            (String::new(), "error checksum-form", "error checksum-form"),
            ("<html>".to_owned(), "error checksum-form", "error checksum-form"),
        ] {
            check(&text, NameMatch::Exact, exact);
            check(&text, NameMatch::Lenient, lenient);
        }
    }
}
