use std::error::Error;
use std::fmt::Display;

use backstay::{ConninfoError, Exemption, Rules};
use backstay_config::{
    Config, Database, EXAMPLE, Export, ExportRows, Given, Notification, NotificationChannel, ResolveError, Retention,
    RetentionChoice, RulesChoice, SecretSource, Store, TimeLimit, schema,
};
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::configuration::{self, ConfigurationError, lookup};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Columns, Form, Output, Voice, complain, duration, print, print_json, print_text};

/// Writes a configuration with a comment on everything.
pub(crate) fn example() -> Result<Exit, Failure> {
    print(EXAMPLE.as_bytes())?;
    Ok(Exit::Done)
}

/// Writes the JSON schema.
pub(crate) fn json_schema() -> Result<Exit, Failure> {
    print_json(&schema())?;
    Ok(Exit::Done)
}

/// Reads the configuration and tells what was understood. What this machine lacks now is told, and is no mistake of the file.
pub(crate) fn check(output: Output, environment: &Environment) -> Result<Exit, Failure> {
    let loaded = environment.configuration.require()?;
    let check = Check::of(&loaded.config, environment);
    let report = Report {
        file: loaded.path.display().to_string(),
        databases: check.databases,
        stores: check.stores,
        retentions: check.retentions,
        rules: check.rules,
        exports: check.exports,
        notifications: check.notifications,
        mistakes: check.mistakes,
    };
    match output {
        Output { form: Form::Json, .. } => print_json(&report)?,
        Output {
            voice: Voice::Normal, ..
        } => print_text(&report.text())?,
        Output {
            voice: Voice::Quiet, ..
        } => {}
    }
    for mistake in &report.mistakes {
        complain(&format!("error: {mistake}"));
    }
    Ok(if report.mistakes.is_empty() {
        Exit::Done
    } else {
        Exit::Configuration
    })
}

#[derive(Serialize)]
struct Report {
    file: String,
    databases: Vec<Section>,
    stores: Vec<Section>,
    retentions: Vec<Section>,
    rules: Vec<Section>,
    exports: Vec<Section>,
    notifications: Vec<Section>,
    mistakes: Vec<String>,
}

/// A section, and what was understood of it.
#[derive(Serialize)]
struct Section {
    name: String,
    entries: Vec<Entry>,
}

/// What a key comes to.
#[derive(Serialize)]
struct Entry {
    key: &'static str,
    /// What it is, or where it comes from; of a secret the latter only.
    value: Option<String>,
    /// Why it cannot be had now.
    missing: Option<String>,
    warning: Option<String>,
}

impl Report {
    fn text(&self) -> String {
        let mut text = format!("{}\n", self.file);
        let kinds = [
            ("database", &self.databases),
            ("store", &self.stores),
            ("retention", &self.retentions),
            ("rules", &self.rules),
            ("export", &self.exports),
            ("notification", &self.notifications),
        ];
        for (kind, sections) in kinds {
            for section in sections {
                let mut columns = Columns::default();
                for entry in &section.entries {
                    let missing = entry.missing.as_ref().map(|why| format!("MISSING: {why}"));
                    let warning = entry.warning.as_ref().map(|why| format!("warning: {why}"));
                    let parts: Vec<String> = [entry.value.clone(), missing, warning].into_iter().flatten().collect();
                    columns.row([entry.key.to_owned(), parts.join("; ")]);
                }
                let header = match kind {
                    "export" => format!("[[export]] {}", section.name),
                    kind => format!("[{kind}.{}]", section.name),
                };
                text.push_str(&format!("{header}\n{columns}"));
            }
        }
        text
    }
}

struct Check<'e> {
    environment: &'e Environment,
    databases: Vec<Section>,
    stores: Vec<Section>,
    retentions: Vec<Section>,
    rules: Vec<Section>,
    exports: Vec<Section>,
    notifications: Vec<Section>,
    mistakes: Vec<String>,
}

impl<'e> Check<'e> {
    fn of(config: &Config, environment: &'e Environment) -> Self {
        let mut check = Self {
            environment,
            databases: Vec::new(),
            stores: Vec::new(),
            retentions: Vec::new(),
            rules: Vec::new(),
            exports: Vec::new(),
            notifications: Vec::new(),
            mistakes: Vec::new(),
        };
        for (name, database) in config.databases() {
            let entries = check.database(name, database);
            check.databases.push(section(name, entries));
        }
        for (name, store) in config.stores() {
            let entries = check.store(store);
            check.stores.push(section(name, entries));
        }
        for (name, retention) in config.retentions() {
            let entries = check.retention(retention);
            check.retentions.push(section(name, entries));
        }
        for (name, rules) in config.all_rules() {
            check.rules.push(section(name, rules_entries(rules)));
        }
        for (name, export) in config.exports() {
            let entries = check.export(export);
            check.exports.push(section(name, entries));
        }
        for (name, notification) in config.notifications() {
            let entries = check.notification(notification);
            check.notifications.push(section(name, entries));
        }
        check
    }

    /// What is told where; a URL is as good as a password, so of one it is told only where it comes from.
    fn notification(&mut self, notification: &Notification) -> Vec<Entry> {
        let mut entries = Vec::new();
        match &notification.channel {
            NotificationChannel::Webhook(given) => entries.push(self.hidden("webhook", given)),
            NotificationChannel::Slack(given) => entries.push(self.hidden("slack", given)),
            NotificationChannel::Ping(given) => entries.push(self.hidden("ping", given)),
            NotificationChannel::Email(account) => {
                for (key, text) in account.to.iter().map(|to| ("to", to)).chain([("host", &account.host)]) {
                    entries.push(match text.resolve(&lookup(&self.environment.variables)) {
                        Ok(value) => entry(key, value),
                        Err(error) => missing(key, None, error),
                    });
                }
                let password = account.password.as_ref();
                entries.extend(password.map(|source| self.secret("password", source)));
            }
            NotificationChannel::Command { program, .. } => {
                entries.push(match program.text().resolve(&lookup(&self.environment.variables)) {
                    Ok(program) => entry("command", program),
                    Err(error) => missing("command", None, error),
                });
            }
        }
        let words = [("on", &notification.on), ("about", &notification.about)];
        let words = words
            .into_iter()
            .filter_map(|(key, words)| Some(entry(key, words.as_ref()?.join(", "))));
        entries.extend(words);
        entries
    }

    /// A value that is not shown even where it stands in the file.
    fn hidden(&mut self, key: &'static str, given: &Given) -> Entry {
        match given {
            Given::Secret(source) => self.secret(key, source),
            Given::Text(text) => match text.resolve(&lookup(&self.environment.variables)) {
                Ok(_) => entry(key, "stands in the file"),
                Err(error) => missing(key, None, error),
            },
        }
    }

    fn export(&mut self, export: &Export) -> Vec<Entry> {
        let lookup = lookup(&self.environment.variables);
        let (key, text) = match &export.rows {
            ExportRows::Table(table) => ("table", table),
            ExportRows::Query(query) => ("query", query),
        };
        let mut entries = Vec::new();
        match text.resolve(&lookup) {
            Ok(text) => entries.push(entry(key, text.split_whitespace().collect::<Vec<_>>().join(" "))),
            Err(error) => entries.extend(self.fault(key, error.into())),
        }
        let name =
            |reference: &Option<backstay_config::Reference>| reference.as_ref().map(|name| name.name().to_owned());
        let given = [
            ("database", name(&export.database)),
            ("format", Some(export.format.to_owned())),
            ("store", name(&export.store)),
            ("prefix", export.folder.as_ref().map(ToString::to_string)),
            ("schedule", export.schedule.as_ref().map(ToString::to_string)),
        ];
        entries.extend(given.into_iter().filter_map(|(key, value)| Some(entry(key, value?))));
        if let Some(RetentionChoice::Own(retention)) = &export.retention {
            entries.extend(self.retention(retention));
        }
        entries
    }

    fn database(&mut self, name: &str, database: &Database) -> Vec<Entry> {
        let variables = &self.environment.variables;
        let mut entries = Vec::new();
        match configuration::source_without_secrets(database, variables) {
            Ok(Some(resolved)) => entries.push(entry("connection", resolved.config.describe())),
            Ok(None) => {}
            Err(error) => entries.extend(self.fault("connection", error)),
        }
        let given = [
            ("url", database.connection.url()),
            ("password", database.connection.password()),
        ];
        for (key, given) in given {
            if let Some(Given::Secret(source)) = given {
                entries.push(self.secret(key, source));
            }
        }
        if let Some(store) = &database.store {
            entries.push(entry("store", store.name()));
        }
        for store in &database.also {
            entries.push(entry("also", store.name()));
        }
        let limits = [
            ("rpo", database.rpo.map(|rpo| rpo.to_string())),
            ("rto", database.rto.map(|TimeLimit(rto)| duration(rto))),
            ("proven-within", database.proven_within.map(|within| within.to_string())),
        ];
        entries.extend(limits.into_iter().filter_map(|(key, value)| Some(entry(key, value?))));
        match configuration::options(name, database, variables) {
            Ok(options) => {
                entries.extend(options.prefix.map(|prefix| entry("prefix", prefix)));
                let keys = options.seals.recipients.len() + options.seals.files.len();
                if keys > 0 {
                    let shown = options.seals.recipients.iter().map(ToString::to_string);
                    let files = options.seals.files.iter().map(|file| file.display().to_string());
                    let shown: Vec<String> = shown.chain(files).collect();
                    entries.push(entry("encrypted to", shown.join(", ")));
                }
            }
            Err(error) => entries.extend(self.fault("options", error)),
        }
        let passphrases = [
            ("encrypt-passphrase", &database.encryption.passphrase),
            ("encrypt-gpg", &database.encryption.gpg),
        ];
        for (key, source) in passphrases {
            entries.extend(source.as_ref().map(|source| self.secret(key, source)));
        }
        if let Some(files) = &database.storage_files {
            entries.push(match files.project.resolve(&lookup(variables)) {
                Ok(project) => entry("storage-files", project),
                Err(error) => missing("storage-files", None, error),
            });
            entries.extend(
                files
                    .key
                    .as_ref()
                    .map(|source| self.secret("storage-files-key", source)),
            );
        }
        match &database.retention {
            Some(RetentionChoice::Named(reference)) => entries.push(entry("retention", reference.name())),
            Some(RetentionChoice::Own(retention)) => entries.extend(self.retention(retention)),
            None => {}
        }
        let schedule = &database.schedule;
        let zone = schedule.zone_name().unwrap_or("UTC");
        let crons = [("schedule", &schedule.backup), ("drill-schedule", &schedule.drill)];
        let crons = crons
            .into_iter()
            .filter_map(|(key, cron)| Some(entry(key, format!("{} {zone}", cron.as_ref()?))));
        entries.extend(crons);
        if let Err(error) = schedule.zone(|name| TimeZone::get(name).ok()) {
            entries.extend(self.fault("time-zone", error.into()));
        }
        let notified = database.notify.iter();
        entries.extend(notified.map(|notification| entry("notify", notification.name())));
        match &database.rules {
            Some(RulesChoice::Named(reference)) => entries.push(entry("rules", reference.name())),
            Some(RulesChoice::Own(rules)) => entries.extend(rules_entries(rules)),
            None => {}
        }
        entries
    }

    fn store(&mut self, store: &Store) -> Vec<Entry> {
        let mut entries = Vec::new();
        match store.location(&lookup(&self.environment.variables)) {
            Ok(location) => entries.push(entry("location", location.split('?').next().unwrap_or_default())),
            Err(error) => entries.extend(self.fault("location", error.into())),
        }
        for (key, given) in store.credentials() {
            entries.push(match given {
                Given::Secret(source) => self.secret(key, source),
                Given::Text(text) => match text.resolve(&lookup(&self.environment.variables)) {
                    Ok(value) => entry(key, value),
                    Err(error) => missing(key, None, error),
                },
            });
        }
        entries
    }

    fn retention(&mut self, retention: &Retention) -> Vec<Entry> {
        let policy = match retention.policy(|name| TimeZone::get(name).ok()) {
            Ok(policy) => policy,
            Err(error) => return self.fault("time-zone", error.into()).into_iter().collect(),
        };
        let mut entries = Vec::new();
        let counts = [
            ("keep-last", policy.keep_last),
            ("keep-daily", policy.keep_daily),
            ("keep-weekly", policy.keep_weekly),
            ("keep-monthly", policy.keep_monthly),
            ("keep-yearly", policy.keep_yearly),
        ];
        entries.extend(
            counts
                .iter()
                .filter(|(_, count)| *count > 0)
                .map(|(key, count)| entry(key, count)),
        );
        entries.extend(policy.keep_within.map(|age| entry("keep-within", age)));
        entries.extend(policy.keep_tags.iter().map(|tag| entry("keep-tag", tag)));
        entries.extend(policy.min_age.map(|age| entry("min-age", age)));
        entries.push(entry("time-zone", retention.time_zone().unwrap_or("UTC")));
        if policy.is_empty() {
            entries.push(Entry {
                warning: Some("there is no rule, so everything stays".to_owned()),
                ..entry("keeps", "everything")
            });
        }
        entries
    }

    fn secret(&mut self, key: &'static str, source: &SecretSource) -> Entry {
        let from = origin(source);
        match source.look(&lookup(&self.environment.variables)) {
            Ok(warning) => Entry {
                warning: warning.map(|warning| warning.to_string()),
                ..entry(key, from)
            },
            Err(error) => missing(key, Some(from), error),
        }
    }

    /// What this machine lacks is an entry; what no machine could make right is a mistake.
    fn fault(&mut self, key: &'static str, error: ConfigurationError) -> Option<Entry> {
        if is_of_the_machine(&error) {
            return Some(missing(key, None, error));
        }
        self.mistakes.push(Failure::from(error).in_one_line());
        None
    }
}

fn rules_entries(rules: &Rules) -> Vec<Entry> {
    let mut entries = Vec::new();
    entries.extend(rules.require_tables.iter().map(|table| entry("require-table", table)));
    entries.push(entry("max-table-loss", format!("{} %", rules.table_loss_percent_max)));
    entries.push(entry(
        "max-database-loss",
        format!("{} %", rules.database_loss_percent_max),
    ));
    entries.push(entry("max-growth", format!("{} times", rules.growth_factor_max)));
    entries.push(entry("history", format!("{} backups", rules.history)));
    entries.extend(rules.extensions.iter().map(|extension| entry("extension", extension)));
    entries.extend(rules.encrypted.then(|| entry("encrypted", true)));
    entries.extend(rules.age_max.map(|age| entry("max-age", age)));
    let within = rules.restored_within.map(|within| within.as_secs() / 60);
    entries.extend(within.map(|minutes| entry("restored-within-minutes", minutes)));
    entries.extend(rules.tables.iter().map(|table| entry("table", &table.table)));
    entries.extend(rules.sql.iter().map(|check| entry("sql", &check.name)));
    let severities = rules.severities.iter();
    entries.extend(severities.map(|(rule, severity)| entry("severity", format!("{rule} = {severity}"))));
    for exemption in &rules.exemptions {
        let Exemption {
            rule,
            subject,
            reason,
            until,
        } = exemption;
        let subject = subject
            .as_ref()
            .map(|subject| format!(" of {subject}"))
            .unwrap_or_default();
        entries.push(entry("exempt", format!("{rule}{subject} until {until}: {reason}")));
    }
    entries
}

fn is_of_the_machine(error: &ConfigurationError) -> bool {
    match error {
        ConfigurationError::Resolve(error) => {
            matches!(error, ResolveError::Variable { .. } | ResolveError::File { .. })
        }
        ConfigurationError::Connection { source, .. } => matches!(
            source,
            ConninfoError::NoUser
                | ConninfoError::NoRootCertificate
                | ConninfoError::NoClientKey { .. }
                | ConninfoError::ClientKeyExposed { .. }
                | ConninfoError::PassfileDisagrees { .. }
                | ConninfoError::ServiceNotFound { .. }
                | ConninfoError::ServiceFile { .. }
        ),
        _ => false,
    }
}

fn section(name: &str, entries: Vec<Entry>) -> Section {
    Section {
        name: name.to_owned(),
        entries,
    }
}

fn entry(key: &'static str, value: impl Display) -> Entry {
    Entry {
        key,
        value: Some(value.to_string()),
        missing: None,
        warning: None,
    }
}

fn missing(key: &'static str, value: Option<String>, error: impl Error + 'static) -> Entry {
    Entry {
        key,
        value,
        missing: Some(Failure::from(error).in_one_line()),
        warning: None,
    }
}

/// Where a secret comes from; of a command the program only.
fn origin(source: &SecretSource) -> String {
    match source {
        SecretSource::Variable { name, .. } => format!("the variable {name}"),
        SecretSource::File(path) => format!("the file {}", path.text().literal().unwrap_or("that variables name")),
        SecretSource::Command { program, .. } => {
            format!(
                "the command {}",
                program.text().literal().unwrap_or("that variables name")
            )
        }
        _ => "elsewhere".to_owned(),
    }
}
