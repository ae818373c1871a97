use backstay_verify::{Exemption, SqlCheck, TableRule};
use serde_json::{Value as Json, json};

use crate::database::Database;
use crate::export::Export;
use crate::fields::Fields;
use crate::notification::{EmailAccount, Notification};
use crate::place::Source;
use crate::retention::Retention;
use crate::rules::{self, Section};
use crate::store::Store;
use crate::value::{NAME_PATTERN, secret_schema};

/// The JSON schema (draft 7) of the file, for editors. What it takes is not always a configuration: it does not know which
/// names there are, nor which keys go together.
#[must_use]
pub fn schema() -> Json {
    let section = |read: &dyn Fn(&mut Fields<'_>)| {
        let mut fields = Fields::describing();
        read(&mut fields);
        fields.into_schema()
    };
    let named = |definition: &str, description: &str| {
        json!({
            "type": "object",
            "description": description,
            "propertyNames": { "pattern": NAME_PATTERN },
            "additionalProperties": { "$ref": format!("#/definitions/{definition}") },
        })
    };
    let nowhere = Source::new("", "").at(0);
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "backstay.toml",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "database": named("database", "Databases, and how backups of each are made."),
            "store": named("store", "Places for backups."),
            "retention": named("retention", "Which backups are kept."),
            "rules": named("rules", "What backups are expected to be."),
            "notification": named("notification", "Who is told what happens."),
            "export": {
                "type": "array",
                "description": "Rows for other programs.",
                "items": { "$ref": "#/definitions/export" },
            },
        },
        "definitions": {
            "database": section(&|fields| { Database::read(fields, nowhere.clone()); }),
            "store": section(&|fields| { Store::read(fields); }),
            "export": section(&|fields| { Export::read(fields, nowhere.clone()); }),
            "secret": secret_schema(),
            "retention": section(&|fields| { Retention::read(fields); }),
            "rules": section(&|fields| { rules::read(fields); }),
            "notification": section(&|fields| { Notification::read(fields); }),
            "notification-email": section(&|fields| { EmailAccount::read_fields(fields); }),
            "rules-table": section(&|fields| { TableRule::read(fields); }),
            "rules-sql": section(&|fields| { SqlCheck::read(fields); }),
            "rules-exempt": section(&|fields| { <Exemption as Section>::read(fields); }),
        },
    })
}
