//! A section: a table whose keys are asked for by name.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::nearest::nearest;
use crate::place::At;
use crate::problem::{Problems, Shown};
use crate::value::Value;

/// What reading a value needs beside the value.
pub(crate) struct Context {
    pub(crate) problems: Problems,
    /// Where relative paths begin.
    pub(crate) folder: Arc<Path>,
    /// The variables that sections cannot do without.
    pub(crate) variables: BTreeSet<(String, String)>,
}

impl Context {
    /// Remembers that a section cannot do without a variable.
    pub(crate) fn needs(&mut self, found: &Found<'_>, variable: &str) {
        self.variables.insert((found.section.to_owned(), variable.to_owned()));
    }
}

/// A value, and what it is called in messages.
#[derive(Clone, Copy)]
pub(crate) struct Found<'f> {
    pub(crate) value: &'f Spanned<DeValue<'f>>,
    pub(crate) key: &'f str,
    /// Such as `database.kulti`.
    pub(crate) section: &'f str,
}

impl Found<'_> {
    pub(crate) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    /// `"jobs" in [database.kulti]`.
    pub(crate) fn name(&self) -> String {
        format!("{:?} in [{}]", self.key, self.section)
    }

    pub(crate) fn of_kind(&self) -> &'static str {
        match self.value.get_ref() {
            DeValue::String(_) => "text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }
}

/// The keys of a section as they are asked for. A section that is read tells of keys that nobody asked for; one that is
/// only described has no values.
pub(crate) struct Fields<'f> {
    reading: Option<Reading<'f>>,
    asked: Vec<Asked>,
}

struct Reading<'f> {
    table: &'f DeTable<'f>,
    section: &'f str,
    /// The name of the section, where it begins.
    span: Range<usize>,
    context: &'f mut Context,
}

struct Asked {
    key: &'static str,
    purpose: &'static str,
    schema: fn() -> Json,
    is_required: bool,
}

impl<'f> Fields<'f> {
    pub(crate) fn reading(
        table: &'f DeTable<'f>,
        section: &'f str,
        span: Range<usize>,
        context: &'f mut Context,
    ) -> Self {
        Self {
            reading: Some(Reading {
                table,
                section,
                span,
                context,
            }),
            asked: Vec::new(),
        }
    }

    pub(crate) fn describing() -> Self {
        Self {
            reading: None,
            asked: Vec::new(),
        }
    }

    /// The value of a key, if it is there and can be used. The purpose is for the schema, in a sentence.
    pub(crate) fn get<T: Value>(&mut self, key: &'static str, purpose: &'static str) -> Option<T> {
        self.asked.push(Asked {
            key,
            purpose,
            schema: T::schema,
            is_required: false,
        });
        let reading = self.reading.as_mut()?;
        let found = Found {
            value: reading.table.get(key)?,
            key,
            section: reading.section,
        };
        T::read(&found, reading.context)
    }

    /// The value of a key that must be there.
    pub(crate) fn require<T: Value>(&mut self, key: &'static str, purpose: &'static str) -> Option<T> {
        let value = self.get(key, purpose);
        if let Some(asked) = self.asked.last_mut() {
            asked.is_required = true;
        }
        if let Some(reading) = &mut self.reading
            && !reading.table.contains_key(key)
        {
            let message = format!("[{}] has no {key:?}", reading.section);
            reading.context.problems.add(reading.span.clone(), Shown::Key, message);
        }
        value
    }

    /// Tells what is wrong with a key that was read.
    pub(crate) fn refuse(&mut self, key: &str, why: impl Into<String>) {
        if let Some(reading) = &mut self.reading
            && let Some((key, _)) = reading.table.get_key_value(key)
        {
            let message = format!("{:?} in [{}] {}", key.get_ref(), reading.section, why.into());
            reading.context.problems.add(key.span(), Shown::Key, message);
        }
    }

    /// Tells what is wrong with the section as a whole.
    pub(crate) fn refuse_section(&mut self, why: &str) {
        if let Some(reading) = &mut self.reading {
            let message = format!("[{}] {why}", reading.section);
            reading.context.problems.add(reading.span.clone(), Shown::Key, message);
        }
    }

    /// Where a key stands, if it is there.
    pub(crate) fn at(&self, key: &str) -> Option<At> {
        let reading = self.reading.as_ref()?;
        let (key, _) = reading.table.get_key_value(key)?;
        Some(reading.context.problems.source().at(key.span().start))
    }

    /// The keys that were asked for.
    #[cfg(test)]
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.asked.iter().map(|asked| asked.key)
    }

    /// The keys that are there of those.
    pub(crate) fn present(&self, keys: &[&'static str]) -> Vec<&'static str> {
        let is_there = |key: &&&'static str| self.reading.as_ref().is_some_and(|r| r.table.contains_key(**key));
        keys.iter().filter(is_there).copied().collect()
    }

    /// Tells of the keys that nobody asked for.
    pub(crate) fn finish(self) {
        let Some(reading) = self.reading else { return };
        for (key, _) in reading.table {
            let name: &str = key.get_ref();
            if self.asked.iter().any(|asked| asked.key == name) {
                continue;
            }
            let mut message = format!("unknown key {} in [{}]", shown(name), reading.section);
            if let Some(nearest) = nearest(name, self.asked.iter().map(|asked| asked.key)) {
                message.push_str(&format!("; did you mean {nearest:?}?"));
            }
            reading.context.problems.add(key.span(), Shown::Key, message);
        }
    }

    /// The JSON schema of the section.
    pub(crate) fn into_schema(self) -> Json {
        let mut properties = Map::new();
        for asked in &self.asked {
            let mut schema = (asked.schema)();
            if let Json::Object(schema) = &mut schema {
                schema.insert("description".to_owned(), asked.purpose.into());
            }
            properties.insert(asked.key.to_owned(), schema);
        }
        let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
        let required: Vec<&str> = self.asked.iter().filter(|a| a.is_required).map(|a| a.key).collect();
        if let (Json::Object(schema), false) = (&mut schema, required.is_empty()) {
            schema.insert("required".to_owned(), required.into());
        }
        schema
    }
}

/// A key for messages.
pub(crate) fn shown(key: &str) -> String {
    const KEY_CHARS_MAX: usize = 60;
    match key.char_indices().nth(KEY_CHARS_MAX) {
        Some((end, _)) => format!("{:?}", format!("{}…", &key[..end])),
        None => format!("{key:?}"),
    }
}
