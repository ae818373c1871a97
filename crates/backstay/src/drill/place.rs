//! Where a drill restores into: made for it, and gone behind it.

use std::fmt;
use std::path::Path;

use backstay_core::Manifest;
use backstay_core::repository::BackupReader;
use backstay_postgres::{
    Authentication, CancelToken, ConnectionConfig, DatabaseOfDrill, Durability, Installation, Keep, Lent,
    RestoreFailure, RestoreOptions, RestorePlan, Secret, ServerOptions, TargetError, ThrowawayServer, plan_restore,
    refuse_source, remove_dead_drills, remove_leftovers, settle_endpoint, stand_in_for_tablespaces,
};

use super::{DrillError, DrillTarget, DrillTools, has_globals};
use crate::progress::{Phase, Progress, ProgressEvent};

/// Databases that every server has.
const EVERYWHERE: [&str; 3] = ["postgres", "template0", "template1"];

/// The place of a drill; dropping it removes it.
#[derive(Debug)]
pub(super) enum Place {
    Server {
        server: ThrowawayServer,
        config: ConnectionConfig,
        /// Major version of the server that was backed up.
        source_major: u32,
    },
    NewDatabase(DatabaseOfDrill),
    Database(DatabaseOfDrill),
}

impl Place {
    /// Removes what dead drills left, makes a place, and plans the restore there.
    pub(super) fn make(
        backup: &BackupReader,
        target: &DrillTarget,
        options: &RestoreOptions,
        tools: DrillTools<'_>,
    ) -> Result<(Self, RestorePlan), DrillError> {
        let manifest = backup.manifest();
        tools.progress.event(ProgressEvent::Phase {
            phase: Phase::PreparePlace,
            bytes_total: 0,
        });
        match target {
            DrillTarget::Throwaway { folder } => {
                let removed = remove_leftovers(folder).map(|folders| {
                    let shown = folders.iter().map(|folder| folder.display().to_string());
                    shown.collect()
                });
                tell_removed(tools.progress, removed);
                let place = Self::server(backup, folder, tools)?;
                let plan = plan_restore(manifest, place.config(), options)?;
                Ok((place, plan))
            }
            DrillTarget::NewDatabase(at) => {
                let at = &settle_endpoint(at, tools.cancel).map_err(TargetError::from)?;
                tell_removed(tools.progress, remove_dead_drills(at, Lent::No, tools.cancel));
                let made = DatabaseOfDrill::create(manifest, at, tools.cancel)?;
                let plan = plan_restore(manifest, made.config(), options)?;
                Ok((Self::NewDatabase(made), plan))
            }
            DrillTarget::Database(config) => {
                let config = &settle_endpoint(config, tools.cancel).map_err(TargetError::from)?;
                refuse_source(manifest, config)?;
                tell_removed(tools.progress, remove_dead_drills(config, Lent::Yes, tools.cancel));
                // It is planned while it is empty, and before anything is done to it.
                let plan = plan_restore(manifest, config, options)?;
                Ok((Self::Database(DatabaseOfDrill::lend(config, tools.cancel)?), plan))
            }
        }
    }

    fn server(backup: &BackupReader, folder: &Path, tools: DrillTools<'_>) -> Result<Self, DrillError> {
        let source = &backup.manifest().source;
        let major = source.server_version_num / 10_000;
        let all = Installation::find_all(tools.programs);
        // They come newest first, so the last that is new enough is the nearest; of those of one version the newest is wanted.
        let nearest = all
            .iter()
            .map(Installation::major)
            .filter(|&found| found >= major)
            .min();
        let installation = nearest.and_then(|nearest| all.iter().find(|found| found.major() == nearest));
        let installation = installation.ok_or_else(|| DrillError::NoServer {
            major,
            found: all.iter().map(|found| found.version().to_owned()).collect(),
        })?;
        // What is restored is as secret as the source.
        let password = format!("{:032x}", rand::random::<u128>());
        let mut options = ServerOptions::new(Authentication::Scram(Secret::new(password)));
        // Times are measured, so it is a server like others.
        options.durability = Durability::On;
        if has_globals(backup) {
            // They may give any role of theirs a password, so this one is none of theirs.
            options.superuser = "backstay_drill".to_owned();
        }
        let server = ThrowawayServer::start(installation, folder, &options).map_err(DrillError::Server)?;
        let name = source.database.to_string();
        let name = if EVERYWHERE.contains(&&*name) { "drill" } else { &name };
        Ok(Self::Server {
            config: server
                .socket_config(name)
                .unwrap_or_else(|| server.connection_config(name)),
            server,
            source_major: major,
        })
    }

    pub(super) fn config(&self) -> &ConnectionConfig {
        match self {
            Self::Server { config, .. } => config,
            Self::NewDatabase(database) | Self::Database(database) => database.config(),
        }
    }

    /// Whether the database gets the settings of the source.
    pub(super) fn has_settings(&self) -> Keep {
        match self {
            Self::Server { .. } | Self::NewDatabase(_) => Keep::Yes,
            Self::Database(_) => Keep::No,
        }
    }

    /// The schema in it that is the drill's own.
    pub(super) fn own_schema(&self) -> Option<&str> {
        match self {
            Self::Server { .. } => None,
            Self::NewDatabase(database) | Self::Database(database) => database.own_schema(),
        }
    }

    /// Major versions of the source and of the server, where the latter is newer.
    pub(super) fn newer(&self) -> Option<(u32, u32)> {
        match self {
            Self::Server {
                server, source_major, ..
            } => {
                let major = server.installation().major();
                (major > *source_major).then_some((*source_major, major))
            }
            _ => None,
        }
    }

    pub(super) fn stand_in_for_tablespaces(
        &self,
        manifest: &Manifest,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, TargetError> {
        match self {
            Self::Server { config, .. } => stand_in_for_tablespaces(manifest, config, cancel),
            _ => Ok(Vec::new()),
        }
    }

    /// Gives the database the settings of the source, where the restore has not done so.
    pub(super) fn apply_settings(
        &self,
        manifest: &Manifest,
        privileges: Keep,
    ) -> Result<Vec<RestoreFailure>, TargetError> {
        match self {
            Self::NewDatabase(database) => database.apply_settings(&manifest.source.settings, privileges),
            Self::Server { .. } | Self::Database(_) => Ok(Vec::new()),
        }
    }

    /// Makes sure that nobody takes the drill for dead.
    pub(super) fn hold(&mut self) -> Result<(), TargetError> {
        match self {
            Self::Server { .. } => Ok(()),
            Self::NewDatabase(database) | Self::Database(database) => database.hold(),
        }
    }

    /// Removes it; gives what could not be removed, and why.
    pub(super) fn remove(self) -> Option<String> {
        let what = self.to_string();
        let removed = match self {
            Self::Server { server, .. } => server.stop().map_err(|error| chain(&error)),
            Self::NewDatabase(database) | Self::Database(database) => database.remove().map_err(|error| chain(&error)),
        };
        removed.err().map(|why| format!("{what}: {why}"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { .. } => f.write_str("a server of its own"),
            Self::NewDatabase(database) => write!(f, "the new database {}", database.config().database),
            Self::Database(database) => write!(f, "the database {}", database.config().database),
        }
    }
}

/// Tells what dead drills had left. That it cannot be removed is no reason not to hold a drill.
fn tell_removed<E: std::error::Error + 'static>(progress: &dyn Progress, removed: Result<Vec<String>, E>) {
    let note = |text: String| progress.event(ProgressEvent::Note(&text));
    match removed {
        Ok(removed) => removed
            .into_iter()
            .for_each(|what| note(format!("removed what a drill had left that was killed: {what}"))),
        Err(error) => note(format!("what earlier drills left cannot be removed: {}", chain(&error))),
    }
}

/// An error with its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<String> = all.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}
