//! Why a backup is kept, in a word.

use backstay::RetentionReason;

/// What keeps a backup, the longest-lived rule first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    Yearly,
    Monthly,
    Weekly,
    Daily,
    Recent,
    /// For a reason of its own: a hold, a tag, a date, a proof.
    Special,
    /// No rule keeps it.
    Going,
}

impl Tier {
    pub(crate) const ALL: [Self; 7] = [
        Self::Yearly,
        Self::Monthly,
        Self::Weekly,
        Self::Daily,
        Self::Recent,
        Self::Special,
        Self::Going,
    ];

    /// That of the reason that keeps it longest.
    pub(crate) fn of(reasons: &[RetentionReason]) -> Self {
        reasons.iter().map(of_reason).min().unwrap_or(Self::Special)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Yearly => "yearly",
            Self::Monthly => "monthly",
            Self::Weekly => "weekly",
            Self::Daily => "daily",
            Self::Recent => "recent",
            Self::Special => "kept",
            Self::Going => "to go",
        }
    }
}

fn of_reason(reason: &RetentionReason) -> Tier {
    match reason {
        RetentionReason::Yearly { .. } => Tier::Yearly,
        RetentionReason::Monthly { .. } => Tier::Monthly,
        RetentionReason::Weekly { .. } => Tier::Weekly,
        RetentionReason::Daily(_) => Tier::Daily,
        RetentionReason::Last { .. } | RetentionReason::Within(_) | RetentionReason::Young { .. } => Tier::Recent,
        RetentionReason::Expired { .. } => Tier::Going,
        _ => Tier::Special,
    }
}
