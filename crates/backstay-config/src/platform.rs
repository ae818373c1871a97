use serde_json::{Value as Json, json};

use crate::fields::{Context, Found};
use crate::value::{Value, parsed};

const WORDS: [&str; 6] = ["auto", "plain", "supabase", "rds", "neon", "cloudsql"];

/// The word for a hosted platform, or `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlatformWord(&'static str);

impl PlatformWord {
    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.0
    }
}

impl Value for PlatformWord {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        parsed(found, context, "a platform", |text| {
            let word = WORDS.into_iter().find(|word| *word == text);
            word.map(Self)
                .ok_or_else(|| format!("must be one of {}", WORDS.join(", ")))
        })
    }

    fn schema() -> Json {
        json!({ "enum": WORDS })
    }
}
