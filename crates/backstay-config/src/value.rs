//! What the values of keys may be.

use std::marker::PhantomData;

use backstay_core::{Compression, Prefix};
use serde_json::{Value as Json, json};
use toml::de::{DeTable, DeValue};

use crate::fields::{Context, Fields, Found};
use crate::problem::Shown;
use crate::reference::Reference;
use crate::secret::{Given, SecretSource};
use crate::text::{PathText, Text, is_variable_name};

/// What a value is made of.
pub(crate) trait Value: Sized {
    /// Reads it; where it cannot be used, tells why and gives nothing.
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self>;

    /// What it may be, as a JSON schema.
    fn schema() -> Json;
}

/// Tells that a value is of another kind.
pub(crate) fn wrong(found: &Found<'_>, context: &mut Context, shown: Shown, expected: &str) {
    let message = format!("{} must be {expected}, and not {}", found.name(), found.of_kind());
    context.problems.add(found.span(), shown, message);
}

/// The characters of a text, or a message that it is none.
fn text_of<'f>(found: &Found<'f>, context: &mut Context, shown: Shown, expected: &str) -> Option<&'f str> {
    match found.value.get_ref() {
        DeValue::String(text) => Some(text),
        _ => {
            wrong(found, context, shown, expected);
            None
        }
    }
}

/// A text that follows a grammar and has no variables.
pub(crate) fn parsed<T, E: std::fmt::Display>(
    found: &Found<'_>,
    context: &mut Context,
    expected: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    let text = text_of(found, context, Shown::Value, expected)?;
    if text.contains("${") {
        let message = format!("{} takes no variables: {expected} has to stand there", found.name());
        context.problems.add(found.span(), Shown::Value, message);
        return None;
    }
    match parse(text) {
        Ok(value) => Some(value),
        Err(error) => {
            let message = format!("{}: {error}", found.name());
            context.problems.add(found.span(), Shown::Value, message);
            None
        }
    }
}

impl Value for bool {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        match found.value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                wrong(found, context, Shown::Value, "true or false");
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "type": "boolean" })
    }
}

/// A whole number within bounds.
pub(crate) struct Whole<const MIN: u32, const MAX: u32>(pub(crate) u32);

impl<const MIN: u32, const MAX: u32> Value for Whole<MIN, MAX> {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let expected = format!("a whole number from {MIN} to {MAX}");
        let DeValue::Integer(number) = found.value.get_ref() else {
            wrong(found, context, Shown::Value, &expected);
            return None;
        };
        let value = u32::from_str_radix(number.as_str(), number.radix()).ok();
        let value = value.filter(|value| (MIN..=MAX).contains(value));
        if value.is_none() {
            let message = format!("{} must be {expected}", found.name());
            context.problems.add(found.span(), Shown::Value, message);
        }
        value.map(Self)
    }

    fn schema() -> Json {
        json!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

impl Value for Text {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let text = text_of(found, context, Shown::Value, "text")?;
        template(text, found, context, Shown::Value)
    }

    fn schema() -> Json {
        json!({ "type": "string" })
    }
}

fn template(text: &str, found: &Found<'_>, context: &mut Context, shown: Shown) -> Option<Text> {
    let at = context.problems.source().at(found.span().start);
    match Text::parse(text, at) {
        Ok(text) => {
            for (name, _) in text.variables().filter(|(_, can_do_without)| !can_do_without) {
                context.needs(found, name);
            }
            Some(text)
        }
        Err(error) => {
            let message = format!("{}: {error}", found.name());
            context.problems.add(found.span(), shown, message);
            None
        }
    }
}

/// A port, or one for each of several hosts: `5432`, or `"5432,5433"`.
pub(crate) struct Port(pub(crate) Text);

impl Value for Port {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        if let DeValue::String(_) = found.value.get_ref() {
            return Text::read(found, context).map(Self);
        }
        let Whole(number) = Whole::<1, 65_535>::read(found, context)?;
        template(&number.to_string(), found, context, Shown::Value).map(Self)
    }

    fn schema() -> Json {
        json!({ "oneOf": [{ "type": "integer", "minimum": 1, "maximum": 65_535 }, { "type": "string" }] })
    }
}

impl Value for PathText {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let text = Text::read(found, context)?;
        path(text, found, context, Shown::Value)
    }

    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1, "pattern": "^[^~]" })
    }
}

fn path(text: Text, found: &Found<'_>, context: &mut Context, shown: Shown) -> Option<PathText> {
    let problem = match text.literal() {
        Some("") => "is an empty path",
        Some(literal) if literal.starts_with('~') => "is a path, in which ~ means nothing; write ${HOME}",
        _ => {
            return Some(PathText {
                text,
                folder: context.folder.clone(),
            });
        }
    };
    let message = format!("{} {problem}", found.name());
    context.problems.add(found.span(), shown, message);
    None
}

impl<T: Value> Value for Vec<T> {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let DeValue::Array(elements) = found.value.get_ref() else {
            wrong(found, context, Shown::Value, "a list");
            return None;
        };
        let elements = elements
            .iter()
            .map(|value| T::read(&Found { value, ..*found }, context));
        // All of them are looked at before one that is wrong counts.
        elements.collect::<Vec<_>>().into_iter().collect()
    }

    fn schema() -> Json {
        json!({ "type": "array", "items": T::schema() })
    }
}

impl Value for Prefix {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        parsed(found, context, "the first part of file names", str::parse)
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": NAME_PATTERN })
    }
}

/// What names of sections and prefixes of backups may be.
pub(crate) const NAME_PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";

/// Whether a section may be called so: as a prefix may be, since the name of a database is that of its backups.
#[must_use]
pub fn is_name(name: &str) -> bool {
    name.parse::<Prefix>().is_ok()
}

impl Value for Compression {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        parsed(found, context, "gzip or zstd, with an optional level", str::parse)
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^(gzip|gz|zstd|zst)(:[0-9]+)?$" })
    }
}

/// One of a few words.
pub(crate) trait Words {
    const WORDS: &'static [&'static str];
}

/// A text that is one of a few words.
pub(crate) struct Word<W: Words>(Text, PhantomData<W>);

impl<W: Words> Word<W> {
    pub(crate) fn into_text(self) -> Text {
        self.0
    }
}

impl<W: Words> Value for Word<W> {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let text = Text::read(found, context)?;
        if let Some(literal) = text.literal()
            && !W::WORDS.contains(&literal)
        {
            let message = format!("{} must be one of {}", found.name(), W::WORDS.join(", "));
            context.problems.add(found.span(), Shown::Value, message);
            return None;
        }
        Some(Self(text, PhantomData))
    }

    fn schema() -> Json {
        json!({ "anyOf": [{ "enum": W::WORDS }, { "type": "string", "pattern": r"\$\{" }] })
    }
}

impl Value for Reference {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let name = text_of(found, context, Shown::Value, "the name of a section")?;
        Some(Self {
            name: name.to_owned(),
            at: context.problems.source().at(found.span().start),
            span: found.span(),
        })
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": NAME_PATTERN })
    }
}

/// How a secret is named.
const SECRET: &str = r#"{ env = "NAME" }, { file = "PATH" } or { command = ["PROGRAM", …] }"#;

impl Value for SecretSource {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let DeValue::Table(table) = found.value.get_ref() else {
            let message = format!("{} does not stand here; say where it is with {SECRET}", found.name());
            context.problems.add(found.span(), Shown::Hidden, message);
            return None;
        };
        secret_source(found, table, context)
    }

    fn schema() -> Json {
        json!({ "allOf": [{ "$ref": "#/definitions/secret" }] })
    }
}

/// The schema of a table that names a secret.
pub(crate) fn secret_schema() -> Json {
    let one = |key: &str, value: Json| {
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": [key],
            "properties": { key: value },
        })
    };
    json!({ "oneOf": [
        one("env", json!({ "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" })),
        one("file", PathText::schema()),
        one("command", json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 })),
    ] })
}

fn secret_source(found: &Found<'_>, table: &DeTable<'_>, context: &mut Context) -> Option<SecretSource> {
    let section = format!("{}.{}", found.section, found.key);
    let before = context.problems.len();
    let mut fields = Fields::reading(table, &section, found.span(), context);
    let env: Option<VariableName> = fields.get("env", "");
    let file: Option<HiddenPath> = fields.get("file", "");
    let command: Option<Vec<HiddenText>> = fields.get("command", "");
    fields.finish();
    if context.problems.len() > before {
        return None;
    }
    let refuse = |context: &mut Context, why: &str| {
        let message = format!("{} {why}; say where it is with {SECRET}", found.name());
        context.problems.add(found.span(), Shown::Hidden, message);
        None
    };
    match (env, file, command) {
        (Some(VariableName(name)), None, None) => Some(SecretSource::Variable {
            name,
            at: context.problems.source().at(found.span().start),
        }),
        (None, Some(HiddenPath(path)), None) => Some(SecretSource::File(path)),
        (None, None, Some(arguments)) => {
            let Some(HiddenText(program)) = arguments.first().cloned() else {
                return refuse(context, "has an empty command");
            };
            Some(SecretSource::Command {
                program: PathText {
                    text: program,
                    folder: context.folder.clone(),
                },
                arguments: arguments.into_iter().map(|HiddenText(argument)| argument).collect(),
            })
        }
        (None, None, None) => refuse(context, "is nowhere"),
        _ => refuse(context, "is at several places"),
    }
}

/// The name of a variable; what is none is not shown, since it may be the secret.
struct VariableName(String);

impl Value for VariableName {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let name = text_of(found, context, Shown::Hidden, "the name of a variable")?;
        if is_variable_name(name) {
            context.needs(found, name);
            return Some(Self(name.to_owned()));
        }
        let message = format!("{} must be the name of a variable", found.name());
        context.problems.add(found.span(), Shown::Hidden, message);
        None
    }

    fn schema() -> Json {
        Json::Null
    }
}

/// A text that may be a secret by mistake.
#[derive(Clone)]
pub(crate) struct HiddenText(pub(crate) Text);

impl Value for HiddenText {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let text = text_of(found, context, Shown::Hidden, "text")?;
        template(text, found, context, Shown::Hidden).map(Self)
    }

    fn schema() -> Json {
        Json::Null
    }
}

/// A path that may be a secret by mistake.
struct HiddenPath(PathText);

impl Value for HiddenPath {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let HiddenText(text) = HiddenText::read(found, context)?;
        path(text, found, context, Shown::Hidden).map(Self)
    }

    fn schema() -> Json {
        Json::Null
    }
}

impl Value for Given {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        match found.value.get_ref() {
            DeValue::String(text) => template(text, found, context, Shown::Hidden).map(Self::Text),
            DeValue::Table(table) => secret_source(found, table, context).map(Self::Secret),
            _ => {
                wrong(found, context, Shown::Hidden, &format!("text, or {SECRET}"));
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [{ "type": "string" }, SecretSource::schema()] })
    }
}
