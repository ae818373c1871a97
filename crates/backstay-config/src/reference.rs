use std::ops::Range;

use crate::place::At;

/// The name of another section.
#[derive(Clone, Debug)]
pub struct Reference {
    pub(crate) name: String,
    pub(crate) at: At,
    pub(crate) span: Range<usize>,
}

impl Reference {
    /// The name; a section has it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it stands.
    #[must_use]
    pub fn at(&self) -> &At {
        &self.at
    }
}
