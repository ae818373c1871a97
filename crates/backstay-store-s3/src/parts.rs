use crate::config::PartSizes;

/// Parts that one object may have.
pub(crate) const PARTS_MAX: u64 = 10_000;
pub(crate) const PART_BYTES_MIN: u64 = 5 << 20;
pub(crate) const PART_BYTES_MAX: u64 = 5 << 30;

const FIRST: u64 = 8 << 20;
const DOUBLED_AFTER: u64 = 1000;

impl PartSizes {
    /// The length of a part; the first is number 1.
    pub(crate) fn bytes(self, number: u64) -> u64 {
        match self {
            Self::Growing => FIRST << (number.saturating_sub(1) / DOUBLED_AFTER).min(9),
            Self::Uniform(bytes) => bytes.clamp(PART_BYTES_MIN, PART_BYTES_MAX),
        }
    }

    /// How many parts of that number's length may be sent at once.
    pub(crate) fn at_once(self, number: u64, memory_bytes_max: u64) -> usize {
        let fitting = memory_bytes_max / self.bytes(number);
        usize::try_from(fitting.clamp(1, 16)).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_growing_parts_reach_five_terabytes() {
        let lengths = (1..=PARTS_MAX).map(|number| PartSizes::Growing.bytes(number));
        assert!(
            lengths
                .clone()
                .all(|bytes| (PART_BYTES_MIN..=PART_BYTES_MAX).contains(&bytes))
        );
        assert!(lengths.sum::<u64>() >= 5 << 40);
    }

    #[test]
    fn memory_bounds_how_many_parts_are_sent_at_once() {
        for (number, at_once) in [(1, 8), (1000, 8), (1001, 4), (4001, 1), (10_000, 1)] {
            assert_eq!(PartSizes::Growing.at_once(number, 64 << 20), at_once, "{number}");
        }
        assert_eq!(PartSizes::Uniform(1).bytes(7), PART_BYTES_MIN);
        assert_eq!(PartSizes::Uniform(PART_BYTES_MIN).at_once(1, 0), 1);
    }
}
