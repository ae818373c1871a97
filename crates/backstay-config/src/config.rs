use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use backstay_verify::Rules;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::database::Database;
use crate::export::Export;
use crate::fields::{Context, Fields, shown};
use crate::nearest::nearest;
use crate::notification::Notification;
use crate::place::Source;
use crate::problem::{ConfigError, Problems, Shown};
use crate::reference::Reference;
use crate::retention::{Retention, RetentionChoice};
use crate::rules::{self, RulesChoice};
use crate::store::Store;
use crate::value::is_name;

/// What the file is called.
pub const FILE_NAME: &str = "backstay.toml";
/// A file with a comment on everything.
pub const EXAMPLE: &str = include_str!("example.toml");

/// What stands in a file: databases, stores, retentions, rules, exports and notifications by their names. Names that sections
/// name exist.
#[derive(Clone, Debug, Default)]
pub struct Config {
    databases: BTreeMap<String, Database>,
    stores: BTreeMap<String, Store>,
    retentions: BTreeMap<String, Retention>,
    rules: BTreeMap<String, Rules>,
    exports: BTreeMap<String, Export>,
    notifications: BTreeMap<String, Notification>,
    variables: BTreeSet<(String, String)>,
}

const SECTIONS: [&str; 6] = ["database", "store", "retention", "rules", EXPORT, "notification"];
/// The one that is a list: a name stands in each, beside what it is.
const EXPORT: &str = "export";

impl Config {
    /// Reads a text. The path of the file is for messages, and relative paths in the text begin in its folder.
    ///
    /// # Errors
    /// All mistakes that the text has; of grammar alone, where there are such.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let name = file.display().to_string();
        let folder = file.parent().unwrap_or(Path::new(""));
        let folder = if folder == Path::new(".") {
            Path::new("")
        } else {
            folder
        };
        let mut context = Context {
            problems: Problems::new(Source::new(&name, text)),
            folder: folder.into(),
            variables: BTreeSet::new(),
        };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            // Errors of the end of the text may have no place.
            let span = error.span().unwrap_or(text.len()..text.len());
            context.problems.add(span, Shown::Grammar, error.message());
        }
        let mut config = Self::default();
        if errors.is_empty() {
            config.read(table.get_ref(), &mut context);
            config.check_references(table.get_ref(), &mut context.problems);
            config.variables = std::mem::take(&mut context.variables);
        }
        context.problems.unless(&name, config)
    }

    /// The database of that name.
    #[must_use]
    pub fn database(&self, name: &str) -> Option<&Database> {
        self.databases.get(name)
    }

    /// The store of that name.
    #[must_use]
    pub fn store(&self, name: &str) -> Option<&Store> {
        self.stores.get(name)
    }

    /// The retention of that name.
    #[must_use]
    pub fn retention(&self, name: &str) -> Option<&Retention> {
        self.retentions.get(name)
    }

    /// The export of that name.
    #[must_use]
    pub fn export(&self, name: &str) -> Option<&Export> {
        self.exports.get(name)
    }

    /// The notification of that name.
    #[must_use]
    pub fn notification(&self, name: &str) -> Option<&Notification> {
        self.notifications.get(name)
    }

    /// The retention of a database.
    #[must_use]
    pub fn retention_of<'c>(&'c self, database: &'c Database) -> Option<&'c Retention> {
        self.chosen(database.retention.as_ref()?)
    }

    /// The retention of an export.
    #[must_use]
    pub fn retention_of_export<'c>(&'c self, export: &'c Export) -> Option<&'c Retention> {
        self.chosen(export.retention.as_ref()?)
    }

    fn chosen<'c>(&'c self, choice: &'c RetentionChoice) -> Option<&'c Retention> {
        match choice {
            RetentionChoice::Named(reference) => self.retention(reference.name()),
            RetentionChoice::Own(retention) => Some(retention),
        }
    }

    /// The rules of that name.
    #[must_use]
    pub fn rules(&self, name: &str) -> Option<&Rules> {
        self.rules.get(name)
    }

    /// The rules of a database.
    #[must_use]
    pub fn rules_of<'c>(&'c self, database: &'c Database) -> Option<&'c Rules> {
        match database.rules.as_ref()? {
            RulesChoice::Named(reference) => self.rules(reference.name()),
            RulesChoice::Own(rules) => Some(rules),
        }
    }

    /// All rules, by name.
    pub fn all_rules(&self) -> impl Iterator<Item = (&str, &Rules)> {
        self.rules.iter().map(|(name, rules)| (name.as_str(), rules))
    }

    /// The names of variables that a section cannot do without, such as `database.kulti`; all `export` sections count as one.
    #[must_use]
    pub fn variables_of(&self, section: &str) -> BTreeSet<&str> {
        let is_of_section = |of: &str| {
            let rest = of.strip_prefix(section);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let variables = self.variables.iter().filter(|(of, _)| is_of_section(of));
        variables.map(|(_, name)| name.as_str()).collect()
    }

    /// All databases, by name.
    pub fn databases(&self) -> impl Iterator<Item = (&str, &Database)> {
        self.databases.iter().map(|(name, database)| (name.as_str(), database))
    }

    /// All stores, by name.
    pub fn stores(&self) -> impl Iterator<Item = (&str, &Store)> {
        self.stores.iter().map(|(name, store)| (name.as_str(), store))
    }

    /// All retentions, by name.
    pub fn retentions(&self) -> impl Iterator<Item = (&str, &Retention)> {
        self.retentions
            .iter()
            .map(|(name, retention)| (name.as_str(), retention))
    }

    /// All exports, by name.
    pub fn exports(&self) -> impl Iterator<Item = (&str, &Export)> {
        self.exports.iter().map(|(name, export)| (name.as_str(), export))
    }

    /// All notifications, by name.
    pub fn notifications(&self) -> impl Iterator<Item = (&str, &Notification)> {
        self.notifications
            .iter()
            .map(|(name, notification)| (name.as_str(), notification))
    }

    fn read(&mut self, table: &DeTable<'_>, context: &mut Context) {
        for (key, value) in table {
            let kind: &str = key.get_ref();
            if !SECTIONS.contains(&kind) {
                let mut message = format!("unknown section {}", shown(kind));
                if let Some(nearest) = nearest(kind, SECTIONS) {
                    message.push_str(&format!("; did you mean {nearest:?}?"));
                }
                context.problems.add(key.span(), Shown::Key, message);
                continue;
            }
            if kind == EXPORT {
                self.read_exports(key.span(), value, context);
                continue;
            }
            let DeValue::Table(named) = value.get_ref() else {
                context.problems.add(
                    key.span(),
                    Shown::Key,
                    format!("{kind:?} has to be a section with a name: [{kind}.NAME]"),
                );
                continue;
            };
            for (name_key, value) in named {
                let name: &str = name_key.get_ref();
                let DeValue::Table(section) = value.get_ref() else {
                    let message = format!("{} in [{kind}] has to be a section: [{kind}.NAME]", shown(name));
                    context.problems.add(name_key.span(), Shown::Key, message);
                    continue;
                };
                if !is_name(name) {
                    let message = format!(
                        "{} cannot be a name: use 1 to 128 letters, digits, '.', '_' or '-', and begin with a letter or digit",
                        shown(name)
                    );
                    context.problems.add(name_key.span(), Shown::Key, message);
                    continue;
                }
                let at = context.problems.source().at(name_key.span().start);
                let title = format!("{kind}.{name}");
                let mut fields = Fields::reading(section, &title, name_key.span(), context);
                match kind {
                    "database" => {
                        let database = Database::read(&mut fields, at);
                        self.databases.insert(name.to_owned(), database);
                    }
                    "store" => {
                        let store = Store::read(&mut fields);
                        self.stores.extend(store.map(|store| (name.to_owned(), store)));
                    }
                    "notification" => {
                        let read = Notification::read(&mut fields);
                        self.notifications.extend(read.map(|read| (name.to_owned(), read)));
                    }
                    "rules" => {
                        let rules = rules::read(&mut fields);
                        self.rules.insert(name.to_owned(), rules);
                    }
                    _ => {
                        let retention = Retention::read(&mut fields);
                        self.retentions.insert(name.to_owned(), retention);
                    }
                }
                fields.finish();
            }
        }
    }

    fn read_exports(&mut self, key: Range<usize>, value: &Spanned<DeValue<'_>>, context: &mut Context) {
        let DeValue::Array(sections) = value.get_ref() else {
            context
                .problems
                .add(key, Shown::Key, "\"export\" has to be a list of sections: [[export]]");
            return;
        };
        for section in sections {
            let DeValue::Table(table) = section.get_ref() else {
                context.problems.add(
                    key.clone(),
                    Shown::Key,
                    "\"export\" has to be a list of sections: [[export]]",
                );
                continue;
            };
            // A header has its line; what is behind it belongs to the section.
            let begin = section.span().start;
            let at = context.problems.source().at(begin);
            let mut fields = Fields::reading(table, EXPORT, begin..begin, context);
            let export = Export::read(&mut fields, at);
            if let Some(export) = export {
                let name = export.name.as_str().to_owned();
                match self.exports.entry(name) {
                    Entry::Vacant(place) => {
                        place.insert(export);
                    }
                    Entry::Occupied(_) => fields.refuse("name", "is that of another export, too"),
                }
            }
            fields.finish();
        }
    }

    /// Tells of names of sections that do not exist, and of a store that is named twice.
    fn check_references(&self, table: &DeTable<'_>, problems: &mut Problems) {
        // Also those that could not be read, of which enough is said already.
        let known = |kind: &str| -> Vec<&str> {
            let section = table.get(kind).and_then(|section| section.get_ref().as_table());
            let names = section.into_iter().flat_map(|section| section.keys());
            names.map(|name| &**name.get_ref()).collect()
        };
        let (databases, stores) = (known("database"), known("store"));
        let (retentions, rules) = (known("retention"), known("rules"));
        let notifications = known("notification");
        for export in self.exports.values() {
            if let Some(database) = &export.database {
                check(database, "database", &databases, problems);
            }
            if let Some(store) = &export.store {
                check(store, "store", &stores, problems);
            }
            if let Some(RetentionChoice::Named(reference)) = &export.retention {
                check(reference, "retention", &retentions, problems);
            }
        }
        for database in self.databases.values() {
            for store in database.store.iter().chain(&database.also) {
                check(store, "store", &stores, problems);
            }
            for notification in &database.notify {
                check(notification, "notification", &notifications, problems);
            }
            let mut named: Vec<&str> = Vec::new();
            for store in database.store.iter().chain(&database.also) {
                if named.contains(&store.name()) {
                    let message = format!(
                        "the store {:?} is named twice, and a copy in the same store is none",
                        store.name()
                    );
                    problems.add(store.span.clone(), Shown::Value, message);
                }
                named.push(store.name());
            }
            if let Some(RetentionChoice::Named(reference)) = &database.retention {
                check(reference, "retention", &retentions, problems);
            }
            if let Some(RulesChoice::Named(reference)) = &database.rules {
                check(reference, "rules", &rules, problems);
            }
        }
    }
}

fn check(reference: &Reference, kind: &str, known: &[&str], problems: &mut Problems) {
    if known.contains(&reference.name()) {
        return;
    }
    let mut message = format!("there is no [{kind}.{}]", reference.name());
    if let Some(nearest) = nearest(reference.name(), known.iter().copied()) {
        message.push_str(&format!("; did you mean {nearest:?}?"));
    }
    problems.add(reference.span.clone(), Shown::Value, message);
}
