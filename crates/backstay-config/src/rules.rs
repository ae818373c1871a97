use std::collections::BTreeMap;
use std::time::Duration;

use backstay_core::manifest::RowSecurity;
use backstay_verify::{Exemption, Expectation, RULES, Right, Rules, Severity, SqlCheck, TableRule};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::fields::{Context, Fields, Found, shown};
use crate::nearest::nearest;
use crate::problem::Shown;
use crate::reference::{Reference, named_or_own, named_or_own_schema};
use crate::value::{Value, Whole, is_name, parsed, wrong};

/// The rules of a database.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "they have a name or they have none")]
pub enum RulesChoice {
    /// Those that have a section.
    Named(Reference),
    /// Those of its own.
    Own(Box<Rules>),
}

pub(crate) fn read(fields: &mut Fields<'_>) -> Rules {
    let mut rules = Rules::default();
    let plain = |texts: Option<Vec<Plain>>| texts.unwrap_or_default().into_iter().map(|Plain(text)| text).collect();
    rules.require_tables = plain(fields.get(
        "require-table",
        "Tables that must be there with rows, as schema.table or table.",
    ));
    let percent = |value: Option<Percent>| value.and_then(|Whole(percent)| u8::try_from(percent).ok());
    if let Some(percent) = percent(fields.get(
        "max-table-loss",
        "The share of its rows, in percent, that a table may lose unnoticed; 50 without this.",
    )) {
        rules.table_loss_percent_max = percent;
    }
    if let Some(percent) = percent(fields.get("max-database-loss", "The same for the whole database; 30 without this."))
    {
        rules.database_loss_percent_max = percent;
    }
    if let Some(Whole(factor)) = fields.get::<Factor>(
        "max-growth",
        "How many times its rows a table, or the whole, may have unnoticed; 10 without this.",
    ) {
        rules.growth_factor_max = factor;
    }
    if let Some(Whole(count)) = fields.get::<Whole<1, 365>>(
        "history",
        "With how many earlier backups the volume is compared; 14 without this.",
    ) {
        rules.history = count as usize;
    }
    rules.extensions = plain(fields.get("extension", "Extensions that must be there."));
    rules.encrypted = fields
        .get("encrypted", "Whether backups must be encrypted.")
        .unwrap_or_default();
    rules.age_max = fields.get("max-age", "How old the newest backup may be: 26h, 2d.");
    rules.restored_within = fields
        .get(
            "restored-within-minutes",
            "Within how many minutes a drill must have restored a backup.",
        )
        .map(|Whole(minutes): Whole<1, 100_000>| Duration::from_secs(u64::from(minutes) * 60));
    let tables: Option<Named<TableRule>> = fields.get("table", "What is expected of single tables, by their names.");
    for (name, mut rule) in tables.into_iter().flat_map(|Named(tables)| tables) {
        rule.table = name;
        rules.tables.push(rule);
    }
    let checks: Option<Named<SqlCheck>> = fields.get("sql", "Queries for a database that was restored, by names.");
    for (name, mut check) in checks.into_iter().flat_map(|Named(checks)| checks) {
        check.name = name;
        rules.sql.push(check);
    }
    let severities: Option<Severities> = fields.get("severity", "Other severities than the usual ones, by rule.");
    rules.severities = severities.map(|Severities(words)| words).unwrap_or_default();
    rules.exemptions = fields
        .get("exempt", "What is let pass for a while, and why.")
        .unwrap_or_default();
    rules
}

type Percent = Whole<0, 100>;
type Factor = Whole<2, 1_000_000>;

/// A section within another, whose name is free.
pub(crate) trait Section: Sized {
    /// The name of its schema.
    const DEFINITION: &'static str;

    fn read(fields: &mut Fields<'_>) -> Option<Self>;
}

/// Sections by their names.
struct Named<T>(Vec<(String, T)>);

impl<T: Section> Value for Named<T> {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let DeValue::Table(table) = found.value.get_ref() else {
            wrong(found, context, Shown::Value, "a table");
            return None;
        };
        let mut named = Vec::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            let title = if is_name(name) { name.to_owned() } else { shown(name) };
            let section = format!("{}.{}.{title}", found.section, found.key);
            let DeValue::Table(table) = value.get_ref() else {
                let message = format!("[{section}] has to be a section");
                context.problems.add(key.span(), Shown::Key, message);
                continue;
            };
            let mut fields = Fields::reading(table, &section, key.span(), context);
            let read = T::read(&mut fields);
            fields.finish();
            named.extend(read.map(|read| (name.to_owned(), read)));
        }
        Some(Self(named))
    }

    fn schema() -> Json {
        json!({ "type": "object", "additionalProperties": { "$ref": format!("#/definitions/{}", T::DEFINITION) } })
    }
}

impl Section for TableRule {
    const DEFINITION: &'static str = "rules-table";

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let mut rule = Self::default();
        rule.rows_min = fields
            .get("min-rows", "It has at least so many rows.")
            .map(|Whole(rows): Whole<1, { u32::MAX }>| rows.into());
        rule.loss_percent_max = fields
            .get(
                "max-loss",
                "The share of its rows, in percent, that it may lose unnoticed.",
            )
            .and_then(|Whole(percent): Percent| u8::try_from(percent).ok());
        rule.growth_factor_max = fields
            .get("max-growth", "How many times its rows it may have unnoticed.")
            .map(|Whole(factor): Factor| factor);
        rule.row_security = fields
            .get("row-security", "enabled, or forced: for its owner too.")
            .map(|RowSecurityWord(word)| word);
        let plain = |texts: Option<Vec<Plain>>| texts.unwrap_or_default().into_iter().map(|Plain(text)| text).collect();
        rule.policies = plain(fields.get("policy", "Policies that it has."));
        rule.indexes = plain(fields.get("index", "Valid indexes that it has."));
        let mut rights = |key, purpose| {
            fields
                .get(key, purpose)
                .map(|Rights(rights)| rights)
                .unwrap_or_default()
        };
        rule.grants = rights(
            "grant",
            "Rights on it that roles must have: lists, by role; PUBLIC is everybody.",
        );
        rule.denied = rights("deny", "Rights on it that roles must not have.");
        Some(rule)
    }
}

impl Section for SqlCheck {
    const DEFINITION: &'static str = "rules-sql";

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let query: Option<Plain> = fields.require("query", "One SELECT, in which every name has its schema.");
        let expect: Option<Expected> = fields.get("expect", "The number that it gives, or \"as-in-backup\".");
        let rows: Option<ExpectedRows> = fields.get("expect-rows", "How many rows it gives, or { min = …, max = … }.");
        let severity: Option<Severity> = fields.get("severity", "error (without this), warning or note.");
        let is_said = fields.present(&["expect", "expect-rows"]);
        match is_said.len() {
            0 => fields.refuse_section("does not say what it has to give: \"expect\" or \"expect-rows\" is needed"),
            1 => {}
            _ => fields.refuse("expect-rows", "does not go with \"expect\""),
        }
        let expect = expect
            .map(|Expected(expect)| expect)
            .or(rows.map(|ExpectedRows(expect)| expect));
        let Plain(query) = query?;
        let mut check = Self::new("", query, expect?);
        check.severity = severity.unwrap_or(Severity::Error);
        Some(check)
    }
}

impl Section for Exemption {
    const DEFINITION: &'static str = "rules-exempt";

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let rule: Option<RuleName> = fields.require("rule", "The rule whose findings are let pass.");
        let subject: Option<Plain> = fields.get("subject", "What they are about, such as a table; all without this.");
        let reason: Option<Plain> = fields.require("reason", "Why.");
        let until: Option<LastDay> = fields.require("until", "The last day on which it counts, by UTC: 2025-12-31.");
        Some(Self {
            rule: rule?.0,
            subject: subject.map(|Plain(subject)| subject),
            reason: reason?.0,
            until: until?.0,
        })
    }
}

impl Value for Exemption {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let DeValue::Table(table) = found.value.get_ref() else {
            wrong(found, context, Shown::Value, "a list of tables");
            return None;
        };
        let section = format!("{}.{}", found.section, found.key);
        let mut fields = Fields::reading(table, &section, found.span(), context);
        let exemption = <Self as Section>::read(&mut fields);
        fields.finish();
        exemption
    }

    fn schema() -> Json {
        json!({ "$ref": format!("#/definitions/{}", Self::DEFINITION) })
    }
}

/// A text that is not empty, and has no variables.
struct Plain(String);

impl Value for Plain {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        parsed(found, context, "text", |text| match text.trim() {
            "" => Err("is empty"),
            _ => Ok(Self(text.to_owned())),
        })
    }

    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

/// One of several words, each with what it means.
fn word<T: Clone>(found: &Found<'_>, context: &mut Context, words: &[(&str, T)]) -> Option<T> {
    let known = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    parsed(found, context, &format!("one of {known}"), |text| {
        let meant = words.iter().find(|(word, _)| *word == text);
        meant
            .map(|(_, meant)| meant.clone())
            .ok_or_else(|| format!("must be one of {known}"))
    })
}

const SEVERITIES: [(&str, Severity); 3] = [
    ("error", Severity::Error),
    ("warning", Severity::Warning),
    ("note", Severity::Note),
];

impl Value for Severity {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        word(found, context, &SEVERITIES)
    }

    fn schema() -> Json {
        json!({ "enum": SEVERITIES.map(|(word, _)| word) })
    }
}

struct RowSecurityWord(RowSecurity);

const ROW_SECURITY: [(&str, RowSecurity); 2] = [("enabled", RowSecurity::Enabled), ("forced", RowSecurity::Forced)];

impl Value for RowSecurityWord {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        word(found, context, &ROW_SECURITY).map(Self)
    }

    fn schema() -> Json {
        json!({ "enum": ROW_SECURITY.map(|(word, _)| word) })
    }
}

struct RuleName(String);

impl Value for RuleName {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        parsed(found, context, "the name of a rule", |text| {
            let names = || RULES.iter().map(|(name, _)| *name);
            match (names().find(|name| *name == text), nearest(text, names())) {
                (Some(name), _) => Ok(Self(name.to_owned())),
                (None, Some(nearest)) => Err(format!("there is no rule {}; did you mean {nearest:?}?", shown(text))),
                (None, None) => Err(format!("there is no rule {}", shown(text))),
            }
        })
    }

    fn schema() -> Json {
        json!({ "enum": RULES.map(|(name, _)| name) })
    }
}

struct Severities(BTreeMap<String, Severity>);

impl Severities {
    fn of(fields: &mut Fields<'_>) -> Self {
        let words = RULES
            .iter()
            .filter_map(|(name, what)| Some(((*name).to_owned(), fields.get(name, what)?)));
        Self(words.collect())
    }
}

impl Value for Severities {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let DeValue::Table(table) = found.value.get_ref() else {
            wrong(found, context, Shown::Value, "a table");
            return None;
        };
        let section = format!("{}.{}", found.section, found.key);
        let mut fields = Fields::reading(table, &section, found.span(), context);
        let severities = Self::of(&mut fields);
        fields.finish();
        Some(severities)
    }

    fn schema() -> Json {
        let mut fields = Fields::describing();
        Self::of(&mut fields);
        fields.into_schema()
    }
}

/// The end of a day that is written as `2025-12-31`, with or without quotes.
struct LastDay(jiff::Timestamp);

impl Value for LastDay {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let text = match found.value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(date) => date.to_string(),
            _ => {
                wrong(found, context, Shown::Value, "a day such as 2025-12-31");
                return None;
            }
        };
        let is_day = text.len() == "2025-12-31".len();
        let day: Option<Date> = text.parse().ok().filter(|_| is_day);
        let end = day.and_then(|day| Some(day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp()));
        if end.is_none() {
            let message = format!("{} must be a day such as 2025-12-31", found.name());
            context.problems.add(found.span(), Shown::Value, message);
        }
        end.map(Self)
    }

    fn schema() -> Json {
        // Without quotes it is a date of TOML, which is text in JSON.
        json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" })
    }
}

/// Rights by role.
struct Rights(Vec<Right>);

const RIGHTS: [(&str, &str); 8] = [
    ("SELECT", "SELECT"),
    ("INSERT", "INSERT"),
    ("UPDATE", "UPDATE"),
    ("DELETE", "DELETE"),
    ("TRUNCATE", "TRUNCATE"),
    ("REFERENCES", "REFERENCES"),
    ("TRIGGER", "TRIGGER"),
    ("MAINTAIN", "MAINTAIN"),
];

struct RightWord(&'static str);

impl Value for RightWord {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        word(found, context, &RIGHTS).map(Self)
    }

    fn schema() -> Json {
        json!({ "enum": RIGHTS.map(|(word, _)| word) })
    }
}

impl Value for Rights {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let DeValue::Table(table) = found.value.get_ref() else {
            wrong(
                found,
                context,
                Shown::Value,
                "a table of lists, such as { app = [\"SELECT\"] }",
            );
            return None;
        };
        let section = format!("{}.{}", found.section, found.key);
        let mut rights = Vec::new();
        for (role, value) in table {
            let list: Option<Vec<RightWord>> = Value::read(
                &Found {
                    value,
                    key: role.get_ref(),
                    section: &section,
                },
                context,
            );
            rights.extend(list.into_iter().flatten().map(|RightWord(right)| Right {
                role: role.get_ref().to_string(),
                right: right.to_owned(),
            }));
        }
        Some(Self(rights))
    }

    fn schema() -> Json {
        json!({ "type": "object", "additionalProperties": Vec::<RightWord>::schema() })
    }
}

/// A number, or the word for the value of the backup.
struct Expected(Expectation);

const AS_IN_BACKUP: &str = "as-in-backup";

impl Value for Expected {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let expectation = match found.value.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .ok()
                .map(Expectation::Number),
            DeValue::String(word) if word == AS_IN_BACKUP => Some(Expectation::AsInBackup),
            _ => None,
        };
        if expectation.is_none() {
            let message = format!("{} must be a whole number or {AS_IN_BACKUP:?}", found.name());
            context.problems.add(found.span(), Shown::Value, message);
        }
        expectation.map(Self)
    }

    fn schema() -> Json {
        json!({ "anyOf": [{ "type": "integer" }, { "enum": [AS_IN_BACKUP] }] })
    }
}

/// A number of rows, or bounds of one.
struct ExpectedRows(Expectation);

type Rows = Whole<0, { u32::MAX }>;

impl Value for ExpectedRows {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let DeValue::Table(table) = found.value.get_ref() else {
            let Whole(rows) = Rows::read(found, context)?;
            return Some(Self(Expectation::Rows {
                min: rows.into(),
                max: Some(rows.into()),
            }));
        };
        let section = format!("{}.{}", found.section, found.key);
        let mut fields = Fields::reading(table, &section, found.span(), context);
        let min: Option<Rows> = fields.get("min", "");
        let max: Option<Rows> = fields.get("max", "");
        let min = min.map(|Whole(rows)| u64::from(rows));
        let max = max.map(|Whole(rows)| u64::from(rows));
        if fields.present(&["min", "max"]).is_empty() {
            fields.refuse_section("has no \"min\" and no \"max\"");
        } else if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            fields.refuse("min", "is more than \"max\"");
        }
        fields.finish();
        Some(Self(Expectation::Rows {
            min: min.unwrap_or(0),
            max,
        }))
    }

    fn schema() -> Json {
        json!({ "anyOf": [
            Rows::schema(),
            {
                "type": "object",
                "additionalProperties": false,
                "minProperties": 1,
                "properties": { "min": Rows::schema(), "max": Rows::schema() },
            },
        ] })
    }
}

impl Value for RulesChoice {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        named_or_own(found, context, "rules", Self::Named, |fields| {
            Self::Own(Box::new(read(fields)))
        })
    }

    fn schema() -> Json {
        named_or_own_schema("rules")
    }
}
