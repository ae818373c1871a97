use serde::{Deserialize, Serialize};

use super::{ManifestError, invalid, text};
use crate::manifest::{DatabaseSetting, Extension, SnapshotFacts, Source, SourcePlatform};
use crate::text::DbText;

#[derive(Serialize, Deserialize)]
pub(super) struct SourceJson {
    pub(super) server_version_num: u32,
    pub(super) server_version: String,
    pub(super) pg_dump_version: String,
    pub(super) system_identifier: Option<String>,
    pub(super) database: String,
    pub(super) owner: String,
    pub(super) encoding: String,
    pub(super) collate: String,
    pub(super) ctype: String,
    pub(super) locale_provider: String,
    pub(super) provider_locale: Option<String>,
    pub(super) icu_rules: Option<String>,
    pub(super) settings: Vec<SettingJson>,
    pub(super) extensions: Vec<ExtensionJson>,
    pub(super) database_bytes: Option<u64>,
    pub(super) snapshot: SnapshotJson,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<PlatformJson>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct PlatformJson {
    pub(super) name: String,
    pub(super) found_by: String,
    pub(super) guests: Vec<i32>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct SnapshotJson {
    pub(super) wal_insert_lsn: Option<String>,
    pub(super) timeline: Option<u32>,
    pub(super) postmaster_start_unix_micros: Option<i64>,
    pub(super) xmax: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct SettingJson {
    pub(super) role: Option<String>,
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ExtensionJson {
    pub(super) name: String,
    pub(super) schema: String,
    pub(super) version: String,
}

impl From<&Source> for SourceJson {
    fn from(s: &Source) -> Self {
        Self {
            server_version_num: s.server_version_num,
            server_version: s.server_version.clone(),
            pg_dump_version: s.pg_dump_version.clone(),
            system_identifier: s.system_identifier.map(|id| id.to_string()),
            database: s.database.to_json(),
            owner: s.owner.to_json(),
            encoding: s.encoding.clone(),
            collate: s.collate.clone(),
            ctype: s.ctype.clone(),
            locale_provider: s.locale_provider.clone(),
            provider_locale: s.provider_locale.clone(),
            icu_rules: s.icu_rules.clone(),
            settings: s
                .settings
                .iter()
                .map(|setting| SettingJson {
                    role: setting.role.as_ref().map(DbText::to_json),
                    name: setting.name.to_json(),
                    value: setting.value.to_json(),
                })
                .collect(),
            extensions: s
                .extensions
                .iter()
                .map(|e| ExtensionJson {
                    name: e.name.to_json(),
                    schema: e.schema.to_json(),
                    version: e.version.clone(),
                })
                .collect(),
            database_bytes: s.database_bytes,
            snapshot: SnapshotJson {
                wal_insert_lsn: s.snapshot.wal_insert_lsn.clone(),
                timeline: s.snapshot.timeline,
                postmaster_start_unix_micros: s.snapshot.postmaster_start_unix_micros,
                xmax: s.snapshot.xmax.map(|xmax| xmax.to_string()),
            },
            platform: s.platform.as_ref().map(|platform| PlatformJson {
                name: platform.name.clone(),
                found_by: platform.found_by.clone(),
                guests: platform.guests.clone(),
            }),
        }
    }
}

impl TryFrom<SourceJson> for Source {
    type Error = ManifestError;

    fn try_from(s: SourceJson) -> Result<Self, ManifestError> {
        Ok(Self {
            server_version_num: s.server_version_num,
            server_version: s.server_version,
            pg_dump_version: s.pg_dump_version,
            system_identifier: s.system_identifier.as_deref().map(wide).transpose()?,
            database: text(&s.database),
            owner: text(&s.owner),
            encoding: s.encoding,
            collate: s.collate,
            ctype: s.ctype,
            locale_provider: s.locale_provider,
            provider_locale: s.provider_locale,
            icu_rules: s.icu_rules,
            settings: s
                .settings
                .into_iter()
                .map(|setting| DatabaseSetting {
                    role: setting.role.as_deref().map(text),
                    name: text(&setting.name),
                    value: text(&setting.value),
                })
                .collect(),
            extensions: s
                .extensions
                .into_iter()
                .map(|e| Extension {
                    name: text(&e.name),
                    schema: text(&e.schema),
                    version: e.version,
                })
                .collect(),
            database_bytes: s.database_bytes,
            snapshot: SnapshotFacts {
                wal_insert_lsn: s.snapshot.wal_insert_lsn,
                timeline: s.snapshot.timeline,
                postmaster_start_unix_micros: s.snapshot.postmaster_start_unix_micros,
                xmax: s.snapshot.xmax.as_deref().map(wide).transpose()?,
            },
            platform: s.platform.map(|platform| SourcePlatform {
                name: platform.name,
                found_by: platform.found_by,
                guests: platform.guests,
            }),
        })
    }
}

/// Reads a number of 64 bits, which stands as a string because many readers of JSON know no integers above 2⁵³.
fn wide(number: &str) -> Result<u64, ManifestError> {
    number.parse().map_err(|_| invalid("number", number))
}
