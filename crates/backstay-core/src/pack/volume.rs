use std::fmt;

/// How many volumes a backup may have, so that their names are in order where they are sorted.
pub const VOLUMES_MAX: u32 = 9999;

const MARK: &str = ".vol";

/// The name of a volume: that of the whole pack, with a number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeName<'n> {
    before: &'n str,
    number: u32,
    after: &'n str,
}

impl<'n> VolumeName<'n> {
    /// Takes the name of a volume apart; `None` for every other name.
    #[must_use]
    pub fn of(name: &'n str) -> Option<Self> {
        let (before, rest) = name.split_at(name.rfind(MARK)?);
        let rest = rest.strip_prefix(MARK)?;
        let (digits, after) = rest.split_at(rest.find('.')?);
        let number: u32 = digits.parse().ok()?;
        let is_canonical = (1..=VOLUMES_MAX).contains(&number) && digits == format!("{number:04}");
        let clear = after.strip_suffix(".age").or_else(|| after.strip_suffix(".gpg"));
        let is_pack = matches!(clear.unwrap_or(after), ".sql.gz" | ".sql.zst");
        (is_canonical && is_pack).then_some(Self { before, number, after })
    }

    /// The name that the pack would have if it were not cut.
    #[must_use]
    pub fn whole(&self) -> String {
        format!("{}{}", self.before, self.after)
    }

    /// What stands before the number, in the names of all volumes of one whole.
    #[must_use]
    pub fn stem(&self) -> &'n str {
        self.before
    }

    /// Its number, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The volume of the same whole with another number.
    #[must_use]
    pub fn numbered(self, number: u32) -> Self {
        Self { number, ..self }
    }

    /// Whether both are of one whole.
    #[must_use]
    pub fn is_beside(&self, other: &VolumeName<'_>) -> bool {
        self.before == other.before && self.after == other.after
    }
}

impl fmt::Display for VolumeName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{MARK}{:04}{}", self.before, self.number, self.after)
    }
}

/// The name of the volume of that whole with that number; `whole` as it is where it is no name of a pack.
#[must_use]
pub(crate) fn volume_name(whole: &str, number: u32) -> String {
    match whole.rfind(".sql.") {
        Some(at) => format!("{}{MARK}{number:04}{}", &whole[..at], &whole[at..]),
        None => whole.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_volumes_are_taken_apart_and_put_together() {
        for (name, whole, number) in [
            ("a_backup_1.vol0001.sql.gz", "a_backup_1.sql.gz", 1),
            ("a.vol0002.sql.zst.age", "a.sql.zst.age", 2),
            ("a.key2.vol9999.sql.gz.age", "a.key2.sql.gz.age", 9999),
            ("x/a.vol0001.b.vol0010.sql.gz.gpg", "x/a.vol0001.b.sql.gz.gpg", 10),
        ] {
            let volume = VolumeName::of(name).unwrap();
            assert_eq!((volume.whole().as_str(), volume.number()), (whole, number), "{name}");
            assert_eq!(volume.to_string(), name);
            assert_eq!(volume_name(whole, number), name);
        }
    }

    #[test]
    fn other_names_are_no_volumes() {
        for name in [
            "a.sql.gz",
            "a.vol1.sql.gz",
            "a.vol0000.sql.gz",
            "a.vol10000.sql.gz",
            "a.vol00001.sql.gz",
            "a.vol+001.sql.gz",
            "a.vol0001.sql",
            "a.vol0001.sql.gz.sha256",
            "a.vol0001",
            "avol0001.sql.gz",
        ] {
            assert_eq!(VolumeName::of(name), None, "{name}");
        }
    }
}
