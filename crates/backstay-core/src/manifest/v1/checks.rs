use serde::{Deserialize, Serialize};

use super::{ManifestError, invalid};
use crate::manifest::{CheckOutcome, CheckValue};

#[derive(Serialize, Deserialize)]
pub(super) struct CheckValueJson {
    name: String,
    query: String,
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<&CheckValue> for CheckValueJson {
    fn from(check: &CheckValue) -> Self {
        let (value, error) = match &check.outcome {
            CheckOutcome::Value(value) => (value.clone(), None),
            CheckOutcome::Failed(reason) => (None, Some(reason.clone())),
        };
        Self {
            name: check.name.clone(),
            query: check.query.to_string(),
            value,
            error,
        }
    }
}

impl TryFrom<CheckValueJson> for CheckValue {
    type Error = ManifestError;

    fn try_from(check: CheckValueJson) -> Result<Self, ManifestError> {
        Ok(Self {
            name: check.name,
            query: check.query.parse().map_err(|_| invalid("query digest", &check.query))?,
            outcome: check
                .error
                .map_or(CheckOutcome::Value(check.value), CheckOutcome::Failed),
        })
    }
}
