use proptest::prelude::*;

use super::Series;

fn is_unusual(past: &[u64], now: u64) -> bool {
    Series::new(past.iter().copied()).unwrap().is_unusual(now)
}

/// The past is given as it went, so oldest first.
#[test]
fn what_is_unusual_is_told_and_what_varies_is_not() {
    for (what, past, now, expected) in [
        ("nothing is known", &[1000][..], 400, true),
        ("nearly nothing is known", &[1000, 10, 1000], 10, true),
        ("a stable table", &[1000, 1010, 990, 1000, 1005, 1000], 400, true),
        ("a growing table", &[1000, 1100, 1210, 1331, 1464, 1610], 1000, true),
        ("a queue", &[100, 4000, 20, 900, 5000, 60, 3000], 40, false),
        (
            "what varies, by a little more",
            &[1000, 500, 900, 400, 1100, 600, 1000],
            350,
            false,
        ),
        (
            "a queue that is empty now",
            &[100, 4000, 20, 900, 5000, 60, 3000],
            0,
            true,
        ),
        (
            "a queue that never was empty",
            &[1, 900, 3, 4000, 2, 700, 5, 3000, 4],
            0,
            true,
        ),
        ("a queue that often is", &[100, 0, 20, 0, 5000, 60], 0, false),
        ("emptied each week", &[7, 0, 2, 5, 9, 7, 8, 0, 2, 4, 7], 0, false),
        (
            "filled anew each week",
            &[700, 70, 200, 500, 900, 700, 800, 80, 250, 450, 700],
            70,
            false,
        ),
        (
            "the same, and more gone",
            &[700, 70, 200, 500, 900, 700, 800, 80, 250, 450, 700],
            1,
            true,
        ),
        ("emptied once before", &[7, 8, 0, 9, 9, 9], 0, true),
        ("growth", &[1000, 1010, 990, 1000, 1005, 1000], 20_000, true),
        (
            "growth of what varies",
            &[100, 9000, 200, 8000, 90, 7000, 80],
            9000,
            false,
        ),
        ("no change", &[5, 5, 5, 5, 5, 5], 5, false),
    ] {
        let newest_first: Vec<u64> = past.iter().rev().copied().collect();
        assert_eq!(is_unusual(&newest_first, now), expected, "{what}");
    }
}

#[test]
fn a_loss_is_one_on_the_nights_behind_it_too() {
    let before = |past: &[u64]| Series::new(past.iter().copied()).unwrap().before();
    for (past, expected) in [
        (&[1000][..], 1000),
        (&[10, 1000, 1000, 1000], 1000),
        (&[10, 10, 1000, 1000, 1000], 1000),
        (&[10, 10, 10, 1000, 1000], 10),
        (&[10, 1000], 10),
        (&[2000, 1500, 1000], 2000),
    ] {
        assert_eq!(before(past), expected, "{past:?}");
    }
}

proptest! {
    /// The same night, whatever else is true of it.
    #[test]
    fn a_mass_deletion_in_a_quiet_table_is_unusual(
        rows in 100_u64..1_000_000,
        noise in prop::collection::vec(95_u64..=105, 1..14),
        left_percent in 0_u64..50,
    ) {
        let past: Vec<u64> = noise.iter().map(|percent| rows * percent / 100).collect();
        prop_assert!(is_unusual(&past, rows * left_percent / 100));
    }

    #[test]
    fn an_emptied_table_is_unusual_however_much_it_varied(past in prop::collection::vec(1_u64..=u64::MAX, 1..20)) {
        prop_assert!(is_unusual(&past, 0));
    }

    /// What went up and down by a factor does so again.
    #[test]
    fn what_always_varies_is_not_unusual(low in 10_u64..100_000, factor in 3_u64..100, nights in 5_usize..20) {
        let past: Vec<u64> = (0..nights).map(|night| if night % 2 == 0 { low * factor } else { low }).collect();
        prop_assert!(!is_unusual(&past, low));
    }

    #[test]
    fn no_numbers_are_too_much(past in prop::collection::vec(any::<u64>(), 1..20), now in any::<u64>()) {
        let series = Series::new(past.iter().copied()).unwrap();
        prop_assert!(past.contains(&series.before()));
        series.is_unusual(now);
    }
}
