use std::ops::Range;

use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::fields::{Context, Fields, Found};
use crate::place::At;
use crate::problem::Shown;
use crate::value::{Value, wrong};

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

/// Reads the name of a section, or a table with the keys of one in its place.
pub(crate) fn named_or_own<T>(
    found: &Found<'_>,
    context: &mut Context,
    section: &str,
    named: impl FnOnce(Reference) -> T,
    own: impl FnOnce(&mut Fields<'_>) -> T,
) -> Option<T> {
    match found.value.get_ref() {
        DeValue::String(_) => Reference::read(found, context).map(named),
        DeValue::Table(table) => {
            let place = format!("{}.{}", found.section, found.key);
            let mut fields = Fields::reading(table, &place, found.span(), context);
            let read = own(&mut fields);
            fields.finish();
            Some(read)
        }
        _ => {
            let expected = format!("the name of a [{section}] section, or a table");
            wrong(found, context, Shown::Value, &expected);
            None
        }
    }
}

/// The JSON schema of that.
pub(crate) fn named_or_own_schema(section: &str) -> Json {
    json!({ "anyOf": [Reference::schema(), { "$ref": format!("#/definitions/{section}") }] })
}
