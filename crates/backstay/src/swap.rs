use backstay_postgres::{ConnectionConfig, Swap, SwapError, SwapWay, database_names};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The longest name that PostgreSQL keeps, in bytes.
const NAME_BYTES_MAX: usize = 63;
/// `20250116_143022`.
const TIME_BYTES: usize = 15;

/// Why a swap cannot be undone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UndoError {
    /// The names cannot be read.
    #[error(transparent)]
    Swap(#[from] SwapError),
    /// No database has the name that a swap gives.
    #[error("no database has a name such as {pattern}, so there is nothing to go back to")]
    NothingKept {
        /// The name, with `TIME` for the time.
        pattern: String,
    },
}

/// The names of a swap: `kulti_new_20250116_143022` becomes `kulti`, and `kulti` becomes `kulti_before_20250116_143022`.
///
/// Of a name that has no room for that, the end is left out.
#[must_use]
pub fn swap_at(database: &str, now: Timestamp) -> Swap {
    Swap {
        replacement: name(database, "new", now),
        kept: name(database, "before", now),
        database: database.to_owned(),
        way: SwapWay::There,
    }
}

/// The way back: the database that the newest swap kept, or the one that is named, becomes `kulti` again, and `kulti`
/// becomes `kulti_undone_20250116_143022`.
///
/// # Errors
/// No name is given and none is found, or databases cannot be listed.
pub fn undo_at(config: &ConnectionConfig, named: Option<&str>, now: Timestamp) -> Result<Swap, UndoError> {
    let database = &config.database;
    let mut swap = swap_at(database, now);
    swap.kept = name(database, "undone", now);
    swap.way = SwapWay::Back;
    swap.replacement = match named {
        Some(named) => named.to_owned(),
        None => {
            let names = database_names(config, &swap)?;
            newest_kept(database, names).ok_or_else(|| UndoError::NothingKept {
                pattern: format!("{database}_before_TIME"),
            })?
        }
    };
    Ok(swap)
}

/// The name that the newest swap of a database gave. One that had to be cut may be another database's, and is no answer.
fn newest_kept(database: &str, names: Vec<String>) -> Option<String> {
    let is_time = |text: &str| {
        let is_right = |(at, byte): (usize, u8)| if at == 8 { byte == b'_' } else { byte.is_ascii_digit() };
        text.len() == TIME_BYTES && text.bytes().enumerate().all(is_right)
    };
    let kept = |name: &String| {
        let rest = name.strip_prefix(database)?.strip_prefix("_before_")?;
        is_time(rest).then(|| rest.to_owned())
    };
    names.into_iter().filter(|name| kept(name).is_some()).max()
}

fn name(database: &str, what: &str, now: Timestamp) -> String {
    let time = now.to_zoned(TimeZone::UTC).strftime("%Y%m%d_%H%M%S");
    let end = format!("_{what}_{time}");
    let room = database.floor_char_boundary(NAME_BYTES_MAX - end.len());
    format!("{}{end}", &database[..room])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_time_and_fit() {
        let now: Timestamp = "2025-01-16T14:30:22.9Z".parse().unwrap();
        let swap = swap_at("kulti", now);
        assert_eq!(swap.database, "kulti");
        assert_eq!(swap.replacement, "kulti_new_20250116_143022");
        assert_eq!(swap.kept, "kulti_before_20250116_143022");
        let long = format!("{}ü{}", "x".repeat(39), "y".repeat(20));
        let swap = swap_at(&long, now);
        assert_eq!(swap.kept, format!("{}_before_20250116_143022", "x".repeat(39)));
        assert!(swap.replacement.len() <= 63);
    }

    #[test]
    fn the_newest_that_a_swap_kept_is_found_and_nothing_else() {
        let newest = |names: &[&str]| newest_kept("kulti", names.iter().map(|&name| name.to_owned()).collect());
        for (names, expected) in [
            (&["kulti", "postgres"][..], None),
            (
                &["kulti_before_20250116_143022", "kulti_before_20240116_143022"],
                Some("kulti_before_20250116_143022"),
            ),
            (&["kulti_before_20250116", "kulti_before_20250116_14302x"], None),
            (&["kulti_undone_20250116_143022", "kulti_new_20250116_143022"], None),
            (
                &["kulti2_before_20250116_143022", "xkulti_before_20250116_143022"],
                None,
            ),
        ] {
            assert_eq!(newest(names).as_deref(), expected, "{names:?}");
        }
    }
}
