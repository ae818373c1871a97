use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::fields::Fields;
use crate::place::At;
use crate::resolve::{Lookup, ResolveError};
use crate::secret::{Given, Secret, SecretSource};
use crate::text::{PathText, Text};
use crate::value::{Whole, Word, Words};

/// A place for backups: `[store.NAME]`.
#[derive(Clone, Debug)]
pub struct Store {
    url: PathText,
    settings: Vec<Setting>,
    credentials: Vec<Credential>,
}

/// What is written behind the `?` of a URL.
#[derive(Clone, Debug)]
struct Setting {
    key: &'static str,
    value: Text,
    /// For a path, where a relative one begins.
    path: Option<PathText>,
}

/// What takes the place of a variable.
#[derive(Clone, Debug)]
struct Credential {
    key: &'static str,
    at: At,
    value: Given,
}

/// A store with its secrets, to be opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResolvedStore {
    /// Path or URL, with all settings.
    pub location: String,
    /// Variables that are to be as said here for this store, by name; an empty one is to count as not set.
    pub variables: Vec<(&'static str, Secret)>,
}

/// The kinds of stores that a key goes with, by the beginnings of their URLs.
type Kinds = &'static [&'static str];

const S3: Kinds = &["s3"];
const SUPABASE: Kinds = &["supabase"];
const VERCEL: Kinds = &["vercel-blob"];

/// Settings of URLs, and keys of credentials.
const KINDS: &[(&str, Kinds)] = &[
    ("region", S3),
    ("endpoint", &["s3", "supabase", "vercel-blob"]),
    ("path-style", S3),
    ("sse", S3),
    ("sse-kms-key", S3),
    ("storage-class", S3),
    ("lock", S3),
    ("lock-days", S3),
    ("lock-until", S3),
    ("legal-hold", S3),
    ("checksums", S3),
    ("conditional", S3),
    ("part-size", &["s3", "vercel-blob"]),
    ("ca-file", S3),
    ("project", SUPABASE),
    ("object-limit", SUPABASE),
    ("store", VERCEL),
    ("access", VERCEL),
    ("read-endpoint", VERCEL),
    ("access-key-id", S3),
    ("secret-access-key", S3),
    ("session-token", S3),
    ("profile", S3),
    ("secret-key", SUPABASE),
    ("token", VERCEL),
];

/// Which variables a credential sets, and which it takes away, because they would go with another one.
const VARIABLES: &[(&str, &str, &[&str])] = &[
    (
        "access-key-id",
        "AWS_ACCESS_KEY_ID",
        &["AWS_SESSION_TOKEN", "AWS_PROFILE"],
    ),
    ("secret-access-key", "AWS_SECRET_ACCESS_KEY", &[]),
    ("session-token", "AWS_SESSION_TOKEN", &[]),
    (
        "profile",
        "AWS_PROFILE",
        &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
    ),
    ("secret-key", "SUPABASE_SECRET_KEY", &["SUPABASE_SERVICE_ROLE_KEY"]),
    ("token", "BLOB_READ_WRITE_TOKEN", &[]),
];

/// Values of settings that a URL need not have escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b':')
    .remove(b'/');

impl Store {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let url = fields.require(
            "url",
            "Where it is: a folder, or s3://bucket/prefix, supabase://bucket/prefix, vercel-blob://prefix.",
        );
        let settings = settings(fields);
        let credentials = credentials(fields);
        if let [given] = fields.present(&["access-key-id", "secret-access-key"])[..] {
            fields.refuse(
                given,
                "goes with both or none of \"access-key-id\" and \"secret-access-key\"",
            );
        }
        if let [_, other] = fields.present(&["profile", "access-key-id"])[..] {
            fields.refuse(other, "does not go with \"profile\"");
        }
        let store = Self {
            url: url?,
            settings,
            credentials,
        };
        if let Some(literal) = store.url.text().literal() {
            for (key, _, why) in store.contradictions(literal) {
                fields.refuse(key, why);
            }
        }
        Some(store)
    }

    /// Path or URL and secrets, with variables in their places.
    ///
    /// # Errors
    /// A variable is not set, a secret cannot be had, or the URL and a setting contradict each other.
    pub fn resolve(&self, lookup: Lookup<'_>) -> Result<ResolvedStore, ResolveError> {
        let location = self.location(lookup)?;
        let mut variables: Vec<(&'static str, Secret)> = Vec::new();
        let mut set = |name: &'static str, value: Secret| {
            variables.retain(|(known, _)| *known != name);
            variables.push((name, value));
        };
        // What is taken away comes first, since another credential may set it.
        let known = |credential: &&Credential| VARIABLES.iter().find(|(key, ..)| *key == credential.key);
        for (_, _, unset) in self.credentials.iter().filter_map(|credential| known(&credential)) {
            for name in *unset {
                set(name, String::new().into());
            }
        }
        for credential in &self.credentials {
            if let Some((_, name, _)) = known(&credential) {
                set(name, credential.value.resolve(lookup)?);
            }
        }
        Ok(ResolvedStore { location, variables })
    }

    /// Path or URL with all settings, for which no secret is needed.
    ///
    /// # Errors
    /// A variable is not set, or the URL and a setting contradict each other.
    pub fn location(&self, lookup: Lookup<'_>) -> Result<String, ResolveError> {
        let mut location = self.url.text().resolve(lookup)?;
        if let Some((key, at, why)) = self.contradictions(&location).into_iter().next() {
            return Err(ResolveError::Contradiction {
                at: at.clone(),
                problem: format!("{key:?} {why}"),
            });
        }
        match location.split_once(':') {
            Some(("file", path)) => {
                location = format!("file:{}", self.in_folder(path.strip_prefix("//").unwrap_or(path)));
            }
            Some((scheme, _)) if is_scheme(scheme) => {}
            _ => location = self.in_folder(&location),
        }
        for setting in &self.settings {
            let value = match &setting.path {
                Some(path) => path.resolve(lookup)?.to_string_lossy().into_owned(),
                None => setting.value.resolve(lookup)?,
            };
            let separator = if location.contains('?') { '&' } else { '?' };
            let value = utf8_percent_encode(&value, ESCAPED);
            location.push_str(&format!("{separator}{}={value}", setting.key));
        }
        Ok(location)
    }

    /// The credentials, each by its key.
    pub fn credentials(&self) -> impl Iterator<Item = (&'static str, &Given)> {
        self.credentials
            .iter()
            .map(|credential| (credential.key, &credential.value))
    }

    /// Where its URL stands.
    #[must_use]
    pub fn at(&self) -> &At {
        self.url.text().at()
    }

    fn in_folder(&self, path: &str) -> String {
        if self.url.folder.as_os_str().is_empty() {
            return path.to_owned();
        }
        self.url.folder.join(Path::new(path)).to_string_lossy().into_owned()
    }

    /// Keys that do not go with a URL, each with why.
    fn contradictions(&self, url: &str) -> Vec<(&'static str, &At, String)> {
        let scheme = match url.split_once(':') {
            Some((scheme, _)) if is_scheme(scheme) => scheme,
            _ => "file",
        };
        let settings = url.split_once('?').map_or("", |(_, settings)| settings);
        let in_url = |key: &str| {
            settings
                .split('&')
                .any(|setting| setting.split('=').next() == Some(key))
        };
        let of_settings = self.settings.iter().map(|setting| (setting.key, setting.value.at()));
        let of_credentials = self
            .credentials
            .iter()
            .map(|credential| (credential.key, &credential.at));
        let mut found = Vec::new();
        for (key, at) in of_settings.chain(of_credentials) {
            let kinds = KINDS
                .iter()
                .find(|(known, _)| *known == key)
                .map_or(&[][..], |(_, kinds)| kinds);
            if in_url(key) {
                found.push((key, at, "stands in the URL too".to_owned()));
            } else if !kinds.contains(&scheme) {
                let kinds: Vec<String> = kinds.iter().map(|kind| format!("{kind}://")).collect();
                found.push((key, at, format!("goes with {} only", kinds.join(", "))));
            }
        }
        found
    }
}

fn is_scheme(text: &str) -> bool {
    text.len() > 1 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) && !text.starts_with('.')
}

macro_rules! words {
    ($name:ident: $($word:literal),+) => {
        struct $name;
        impl Words for $name {
            const WORDS: &'static [&'static str] = &[$($word),+];
        }
    };
}

words!(Encryption: "AES256", "aws:kms");
words!(Lock: "governance", "compliance");
words!(Switch: "auto", "on", "off");
words!(Access: "private", "public");

fn settings(fields: &mut Fields<'_>) -> Vec<Setting> {
    let mut reader = Settings {
        fields,
        settings: Vec::new(),
    };
    reader.text("region", "The region of a bucket.");
    reader.text("endpoint", "URL of another server than the service's own.");
    reader.boolean(
        "path-style",
        ["false", "true"],
        "Whether the bucket stands in the path of URLs.",
    );
    reader.word::<Encryption>("sse", "How the server encrypts what it keeps.");
    reader.text("sse-kms-key", "Id or ARN of the key for sse = \"aws:kms\".");
    reader.text("storage-class", "Storage class of objects, such as STANDARD_IA.");
    reader.word::<Lock>(
        "lock",
        "Keeps objects from being deleted; with lock-days or lock-until.",
    );
    reader.days("lock-days", "So many days from when an object is begun.");
    reader.text("lock-until", "Until then, such as 2030-01-01T00:00:00Z.");
    reader.boolean(
        "legal-hold",
        ["off", "on"],
        "Whether objects are held until the hold is released.",
    );
    reader.word::<Switch>("checksums", "Whether checksums are sent with what is uploaded.");
    reader.word::<Switch>("conditional", "Whether the server refuses keys that exist.");
    reader.text("part-size", "Parts of one length, such as 64MiB.");
    reader.path(
        "ca-file",
        "File with certificates (PEM) that are trusted instead of the public ones.",
    );
    reader.text("project", "Reference of a project at Supabase.");
    reader.text(
        "object-limit",
        "The longest object at Supabase, such as 1GB; 49 MB without this.",
    );
    reader.text("store", "Id of a store at Vercel; a token of another one is refused.");
    reader.word::<Access>("access", "What a store at Vercel is; private without this.");
    reader.text("read-endpoint", "URL beneath which blobs are read.");
    reader.settings
}

struct Settings<'r, 'f> {
    fields: &'r mut Fields<'f>,
    settings: Vec<Setting>,
}

impl Settings<'_, '_> {
    fn add(&mut self, key: &'static str, value: Option<Text>) {
        self.settings
            .extend(value.map(|value| Setting { key, value, path: None }));
    }

    fn add_literal(&mut self, key: &'static str, value: Option<String>) {
        let at = self.fields.at(key);
        self.add(key, value.zip(at).map(|(value, at)| Text::of_literal(value, at)));
    }

    fn text(&mut self, key: &'static str, purpose: &'static str) {
        let value = self.fields.get(key, purpose);
        self.add(key, value);
    }

    fn word<W: Words>(&mut self, key: &'static str, purpose: &'static str) {
        let value = self.fields.get(key, purpose).map(|word: Word<W>| word.into_text());
        self.add(key, value);
    }

    fn boolean(&mut self, key: &'static str, words: [&str; 2], purpose: &'static str) {
        let value = self
            .fields
            .get(key, purpose)
            .map(|is: bool| words[usize::from(is)].to_owned());
        self.add_literal(key, value);
    }

    fn days(&mut self, key: &'static str, purpose: &'static str) {
        let value = self
            .fields
            .get(key, purpose)
            .map(|Whole(days): Whole<1, 36_500>| days.to_string());
        self.add_literal(key, value);
    }

    fn path(&mut self, key: &'static str, purpose: &'static str) {
        let path: Option<PathText> = self.fields.get(key, purpose);
        self.settings.extend(path.map(|path| Setting {
            key,
            value: path.text().clone(),
            path: Some(path),
        }));
    }
}

fn credentials(fields: &mut Fields<'_>) -> Vec<Credential> {
    let mut credentials = Vec::new();
    let mut add = |fields: &Fields<'_>, key: &'static str, value: Option<Given>| {
        let found = value.zip(fields.at(key));
        credentials.extend(found.map(|(value, at)| Credential { key, at, value }));
    };
    let id = fields.get(
        "access-key-id",
        "Id of an access key, for buckets that speak the S3 protocol.",
    );
    add(fields, "access-key-id", id);
    let secret = |fields: &mut Fields<'_>, key, purpose| {
        let source: Option<SecretSource> = fields.get(key, purpose);
        source.map(Given::Secret)
    };
    let key = secret(fields, "secret-access-key", "Where the secret of the access key is.");
    add(fields, "secret-access-key", key);
    let token = secret(
        fields,
        "session-token",
        "Where the session token is that goes with the access key.",
    );
    add(fields, "session-token", token);
    let profile: Option<Text> = fields.get("profile", "A profile of AWS's own files.");
    add(fields, "profile", profile.map(Given::Text));
    let key = secret(
        fields,
        "secret-key",
        "Where a secret key of the project at Supabase is.",
    );
    add(fields, "secret-key", key);
    let token = secret(fields, "token", "Where the token of the store at Vercel is.");
    add(fields, "token", token);
    credentials
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_says_which_stores_it_goes_with() {
        let mut fields = Fields::describing();
        Store::read(&mut fields);
        let mut asked: Vec<&str> = fields.keys().filter(|key| *key != "url").collect();
        let mut known: Vec<&str> = KINDS.iter().map(|(key, _)| *key).collect();
        asked.sort_unstable();
        known.sort_unstable();
        assert_eq!(asked, known);
        for (key, ..) in VARIABLES {
            assert!(known.contains(key), "{key}");
        }
    }
}
