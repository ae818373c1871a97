mod connecting;
mod files;
mod stored;

use std::error::Error;

use backstay::export::ExportError;
use backstay::{
    BackupError, CatalogError, DrillError, FindProgramError, InvalidPattern, ProgramError, RescueError, RestoreRefusal,
    ServerError, SessionError, SnapshotError, SourceError, SwapError, SwapWay, TargetError, UndoError, WireError,
};
use backstay_schedule::PrintError;

use connecting::{of_connect, of_conninfo};
use files::{of_files, of_no_project};
use stored::{NEEDS_KEY, of_key, of_manifest, of_open_store, of_pack, of_repository, of_seal, of_store, of_trailer};

use super::Side;
use crate::command::{DrillRefused, NoAnswer, RestoreRefused};
use crate::configuration::ConfigurationError;
use crate::environment::EnvironmentError;
use crate::notify::NotificationError;
use crate::output::quoted;
use crate::select::{NameError, SelectError};
use crate::settle::SettleError;

const GRANT: &str = "as a superuser: GRANT pg_read_all_data TO the role; or leave out what it may not read, with \
                     --exclude-table";
const SESSION_POOLER: &str = "use the pooler's session mode (port 5432 on Supabase) or the direct host";
const PATTERN: &str = "patterns are psql's: lower case unless in double quotes, schema.table, * and ?";
const LOCKS_SETTING: &str = "max_locks_per_transaction";
const LOCKS: &str = "raise max_locks_per_transaction at the server, which must be restarted then (backstay doctor tells \
                     to what): every table is locked twice, by the keeper of the snapshot and by pg_dump";

/// What to do about an error, by its type; nothing for those that say so themselves or that nobody can help.
pub(super) fn of(error: &(dyn Error + 'static), side: Side) -> Vec<String> {
    if let Some(error) = error.downcast_ref() {
        return of_configuration(error).into_iter().collect();
    }
    if let Some(BackupError::Refused(found)) = error.downcast_ref() {
        return found.refusals().filter_map(|finding| finding.hint.clone()).collect();
    }
    if let Some(error) = error.downcast_ref::<FindProgramError>() {
        return error.advice().into_iter().collect();
    }
    if let Some(error) = error.downcast_ref::<DrillError>() {
        return of_drill(error).into_iter().collect();
    }
    if let Some(error) = error.downcast_ref() {
        return of_swap(error);
    }
    if let Some(error) = error.downcast_ref() {
        return of_rescue(error).into_iter().collect();
    }
    if let Some(NoAnswer { option, .. }) = error.downcast_ref() {
        return vec![format!("answer in a line of standard input, or with {option}")];
    }
    let hint = None
        .or_else(|| error.downcast_ref().and_then(of_undo))
        .or_else(|| error.downcast_ref().and_then(of_backup))
        .or_else(|| error.downcast_ref().and_then(of_connect))
        .or_else(|| error.downcast_ref().and_then(of_conninfo))
        .or_else(|| error.downcast_ref().and_then(of_source))
        .or_else(|| error.downcast_ref().and_then(of_snapshot))
        .or_else(|| error.downcast_ref().and_then(of_session))
        .or_else(|| error.downcast_ref().and_then(|error| of_refusal(error, side)))
        .or_else(|| error.downcast_ref().and_then(of_drill_refusal))
        .or_else(|| error.downcast_ref().and_then(of_restore))
        .or_else(|| error.downcast_ref().and_then(|error| of_catalog(error, side)))
        .or_else(|| error.downcast_ref().and_then(of_wire))
        .or_else(|| error.downcast_ref().and_then(|error| of_server(error, side)))
        .or_else(|| error.downcast_ref().and_then(of_program))
        .or_else(|| error.downcast_ref().and_then(of_pattern))
        .or_else(|| error.downcast_ref().and_then(of_open_store))
        .or_else(|| error.downcast_ref().and_then(of_store))
        .or_else(|| error.downcast_ref().and_then(of_export))
        .or_else(|| error.downcast_ref().and_then(of_files))
        .or_else(|| error.downcast_ref().and_then(of_no_project))
        .or_else(|| error.downcast_ref().and_then(of_repository))
        .or_else(|| error.downcast_ref().and_then(of_pack))
        .or_else(|| error.downcast_ref().and_then(of_trailer))
        .or_else(|| error.downcast_ref().and_then(of_manifest))
        .or_else(|| error.downcast_ref().and_then(of_select))
        .or_else(|| error.downcast_ref().and_then(of_name))
        .or_else(|| error.downcast_ref().and_then(of_settle))
        .or_else(|| error.downcast_ref().and_then(of_seal))
        .or_else(|| error.downcast_ref().and_then(of_key))
        .or_else(|| error.downcast_ref().and_then(of_notification))
        .or_else(|| error.downcast_ref().and_then(of_print))
        .or_else(|| error.downcast_ref().and_then(of_environment));
    hint.map(str::to_owned).into_iter().collect()
}

fn of_backup(error: &BackupError) -> Option<&'static str> {
    match error {
        BackupError::ForeignPrefix { .. } => {
            Some("give the backups of this database a prefix of their own with --name")
        }
        BackupError::ForeignCluster { .. } => Some(
            "give the backups of this database a prefix of their own with --name; if it is the same database, which has \
             moved by an upgrade or a restore, say so once with --same-database",
        ),
        _ => None,
    }
}

fn of_print(error: &PrintError) -> Option<&'static str> {
    match error {
        PrintError::ClocksAreSet { .. } => Some(
            "leave time-zone out of the section, so that the schedule is one of UTC; or let another scheduler do it",
        ),
        _ => Some("write the schedule in UTC, without time-zone; or let another scheduler do it"),
    }
}

fn of_notification(error: &NotificationError) -> Option<&'static str> {
    match error {
        NotificationError::Undelivered { .. } => {
            Some("look at the section in backstay.toml, and whether this machine may connect to there")
        }
        NotificationError::Invalid { .. } => {
            Some("correct the section in backstay.toml; docs/configuration.md has examples")
        }
        NotificationError::Resolve { .. } => None,
    }
}

fn of_source(error: &SourceError) -> Option<&'static str> {
    match error {
        SourceError::Denied { .. } => Some(GRANT),
        SourceError::Disagreement { .. } => {
            Some("try again when nobody changes definitions, such as after a migration")
        }
        SourceError::Renamed { .. } => {
            Some("try again when nobody renames schemas, or changes owner or rights of one, such as after a deployment")
        }
        _ => None,
    }
}

fn of_snapshot(error: &SnapshotError) -> Option<&'static str> {
    match error {
        SnapshotError::Locked { .. } => Some("try again when that has ended, or wait longer with --lock-wait SECS"),
        SnapshotError::Unstable { .. } => Some("try again when nobody changes definitions, such as after a migration"),
        _ => None,
    }
}

fn of_session(error: &SessionError) -> Option<&'static str> {
    match error {
        SessionError::NotTaken { .. } => Some(
            "something between here and the server drops settings: connect to the server itself, or to a pooler in \
             session mode",
        ),
        SessionError::Wire(_) | _ => None,
    }
}

fn of_drill(error: &DrillError) -> Option<String> {
    match error {
        DrillError::NoServer { major, .. } => Some(format!(
            "install the package postgresql-{major} (Debian, Ubuntu), postgresql{major}-server (Red Hat and relatives) or \
             postgresql@{major} (Homebrew), or a newer one; or name a server that runs: --to URL --create"
        )),
        DrillError::Server(_) => {
            Some("is there room below --work-folder? Or name a server that runs: --to URL --create".to_owned())
        }
        _ => None,
    }
}

fn of_drill_refusal(error: &DrillRefused) -> Option<&'static str> {
    Some(match error {
        DrillRefused::PlainDump => "restore it into a new database, and look at it: backstay restore",
        DrillRefused::Folder { .. } => "name another one with --work-folder",
        DrillRefused::ForeignFolder { .. } => {
            "name a folder that belongs to you and that nobody else may write into, with --work-folder"
        }
    })
}

fn of_refusal(error: &RestoreRefusal, side: Side) -> Option<&'static str> {
    if side == Side::Drill {
        return Some(match error {
            RestoreRefusal::Encoding { .. }
            | RestoreRefusal::NotEmpty { .. }
            | RestoreRefusal::IsSource { .. }
            | RestoreRefusal::MayBeSource { .. } => {
                "have a database made for the drill with --create, or name one that is empty and made for drills"
            }
            RestoreRefusal::TransactionPooler => SESSION_POOLER,
            RestoreRefusal::Missing { .. } => "make it, or have one made for the drill with --create",
            RestoreRefusal::LockOfDrill { .. } => {
                "another drill has it: wait for its end, or have a database made for this one with --create"
            }
            _ => return None,
        });
    }
    Some(match error {
        RestoreRefusal::NotEmpty { project: Some(_), .. } => {
            "restore into a new project, or over what is there, all or nothing: --clean --single-transaction --prove"
        }
        RestoreRefusal::NotEmpty { .. } => {
            "restore into a new database with --create, or drop what the backup contains with --clean"
        }
        RestoreRefusal::Missing { .. } => "make it with --create",
        RestoreRefusal::TransactionPooler => SESSION_POOLER,
        RestoreRefusal::Exists { .. } => "leave --create away if it is empty, or name another database",
        RestoreRefusal::NoMatch { .. } => "backstay show --tables lists what the backup holds",
        RestoreRefusal::OtherPlatform { .. } => {
            "make the backup again with --platform, or restore it into a server of your own with --platform plain"
        }
        RestoreRefusal::BesideProject { .. } => {
            "restore into the database of a new project: leave --create away and name that database; or over what is there: \
             --clean --single-transaction --prove"
        }
        RestoreRefusal::OlderTarget { .. } => "upgrade the target, or make one of the same version or a newer one",
        RestoreRefusal::NotCustomer { .. } => "connect as that role",
        RestoreRefusal::MayNotBeReplica { .. } => {
            "connect as the role that the platform gives to the project's owner, and not through a pooler of transactions"
        }
        RestoreRefusal::MissingExtensions { .. } => {
            "enable them for the target, or drop them at the source and back up again"
        }
        RestoreRefusal::PlatformLacks { .. } => {
            "the target's services are older than the source's: restart or upgrade the target's project, and try again"
        }
        RestoreRefusal::PlatformDenies { .. } => "connect as the role that the platform gives to the project's owner",
        RestoreRefusal::KeptRows { .. } => {
            "if these rows may go, empty the tables yourself with TRUNCATE, all in one statement, and try again; or \
             restore into a new project"
        }
        RestoreRefusal::CleanForeign => "restore it into a new database with --create",
        RestoreRefusal::Encoding { .. } => "make a database with the encoding of the backup with --create",
        _ => return None,
    })
}

fn of_swap(error: &SwapError) -> Vec<String> {
    let hint = match error {
        SwapError::Missing { .. } => "psql -l lists the databases; one that is gone is restored with --create",
        SwapError::Taken { .. } => "its name has the time to the second: try again",
        SwapError::Template { .. } => "restore into another database, with --create",
        SwapError::Rights { grant, way, .. } => {
            let mut hints = vec![format!("as a superuser: {grant};")];
            if *way == SwapWay::There {
                hints.push(
                    "or restore over what is there, all or nothing: --clean --single-transaction in place of --swap"
                        .to_owned(),
                );
            }
            return hints;
        }
        SwapError::Prepared { .. } => "end each, connected to that database: COMMIT PREPARED or ROLLBACK PREPARED",
        _ => return Vec::new(),
    };
    vec![hint.to_owned()]
}

/// What to do in the end, whatever has to be mended before: what to type where everything is restored and the names could not
/// be swapped.
pub(super) fn finally(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(SwapError::Unknown { .. }) = error.downcast_ref() {
        return Some(
            "look with psql -l which database has the name, before anything else; none was dropped".to_owned(),
        );
    }
    if let Some(RescueError::Unknown { .. }) = error.downcast_ref() {
        return Some(
            "look with \\dn in psql whether the schema is there: if it is, all of it is, and was compared".to_owned(),
        );
    }
    if let Some(TargetError::StillLent { role, statements, .. }) = error.downcast_ref() {
        return Some(format!(
            "restore once more, or run these statements as {role}: until then it may do what the owners may\n{}",
            statements.join("\n")
        ));
    }
    let Some(RestoreRefused::NotSwapped { swap, source }) = error.downcast_ref() else {
        return None;
    };
    let (database, replacement) = (&swap.database, &swap.replacement);
    match source {
        SwapError::Unknown { .. } => None,
        SwapError::InUse { .. } | SwapError::Rename { .. } => Some(format!(
            "nothing is lost, and no name has changed; {replacement} has already got what belongs to the name. When what is told \
             above is mended, this ends the swap (with the same --to):\n\
             backstay restore --undo={} --to {}\n\
             {database} is then kept as {database}_undone_TIME",
            quoted(replacement),
            quoted(database)
        )),
        _ => Some(format!(
            "nothing is lost, and no name has changed; {replacement} may be without the owner, rights and settings of \
             {database}, so do not rename it by hand: when what is told above is mended, drop it and restore again"
        )),
    }
}

fn of_rescue(error: &RescueError) -> Option<String> {
    let hint = match error {
        RescueError::NoMatch { .. } => "backstay show --tables lists what the backup holds",
        RescueError::NoRows { .. } => "take another backup (backstay list), or name other tables or single partitions",
        RescueError::SameName { .. } => "restore one after the other, as schema.table, into two schemas",
        RescueError::SchemaName { .. } => "such as --into-schema rescue_orders",
        RescueError::SchemaExists { .. } => "name another one; nothing is ever restored over what is there",
        RescueError::Rights { grant, .. } => return Some(format!("as the owner of the database: {grant};")),
        RescueError::Types { .. } | RescueError::Encoding { .. } => {
            "restore the table into a new database, with --create in place of --into-schema"
        }
        RescueError::Different { .. } => "is there a type whose text has changed since? restore it into a new database",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn of_undo(error: &UndoError) -> Option<&'static str> {
    match error {
        UndoError::NothingKept { .. } => {
            Some("psql -l lists the databases; name the one to go back to with --undo=NAME")
        }
        _ => None,
    }
}

fn of_restore(error: &RestoreRefused) -> Option<&'static str> {
    match error {
        RestoreRefused::NotSound { .. } => Some("take another backup: backstay list shows what there is"),
        RestoreRefused::Sealed { .. } => Some(NEEDS_KEY),
        RestoreRefused::OnlyForBackups(_) | RestoreRefused::NotConfirmed { .. } | RestoreRefused::NotSwapped { .. } => {
            None
        }
        RestoreRefused::Project { .. } => {
            Some("restore over what is there, all or nothing: --clean --single-transaction --prove in place of --swap")
        }
        RestoreRefused::Partial { .. } => Some(
            "take another backup, or restore it beside the database, with --create and another name; --accept-partial \
             swaps, and what is missing stays in the old database alone",
        ),
        RestoreRefused::SafetyBackup { .. } => Some("look at the disk of that store, and name another one"),
    }
}

fn of_catalog(error: &CatalogError, side: Side) -> Option<&'static str> {
    let error = error.cause().as_db_error()?;
    of_locks(error.hint(), side).or_else(|| of_sql_state(error.code().code(), side))
}

fn of_wire(error: &WireError) -> Option<&'static str> {
    match error {
        WireError::ConnectionLost { .. } => Some("try again; the server's log may tell why the connection was closed"),
        _ => None,
    }
}

fn of_server(error: &ServerError, side: Side) -> Option<&'static str> {
    of_locks(error.hint().as_deref(), side).or_else(|| of_sql_state(&error.code().to_string(), side))
}

/// The server calls a lack of locks a lack of memory; only its own hint tells, whatever its language.
fn of_locks(advice: Option<&str>, side: Side) -> Option<&'static str> {
    advice.filter(|advice| advice.contains(LOCKS_SETTING))?;
    Some(match side {
        Side::Source | Side::Export => LOCKS,
        Side::Target | Side::Drill => {
            "raise max_locks_per_transaction at the server, which must be restarted then; or restore into a new \
             database, without --clean and --single-transaction, which lock everything at once"
        }
    })
}

/// By PostgreSQL's own codes (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn of_sql_state(code: &str, side: Side) -> Option<&'static str> {
    Some(match code {
        "42501" if side != Side::Source => {
            "restore as a superuser or as the owner of the database (for --create: a role with CREATEDB); \
             --no-owner and --no-privileges leave out what only others may do"
        }
        "42501" if side == Side::Export => {
            "as a superuser: GRANT pg_read_all_data TO the role, and where row security would hide rows from it, ALTER \
             ROLE … BYPASSRLS; an export without those rows would look whole"
        }
        "42501" => GRANT,
        "53100" => "the disk of the database server is full: free some space there",
        "53200" => "the database server is out of memory: try again with fewer --jobs",
        "53300" => "try again when fewer clients are connected, or with fewer --jobs",
        "55P03" => "somebody has locked a table: try again when that has ended, or wait longer with --lock-wait SECS",
        "57P01" | "57P02" => "the server was shut down, or an administrator ended the session: try again",
        "57P03" => "try again when the server has started",
        "42P04" | "42P06" | "42P07" | "42710" | "42723" => {
            "the target is not empty: restore into a new database with --create, or see --clean"
        }
        _ => return None,
    })
}

fn of_program(error: &ProgramError) -> Option<&'static str> {
    match error {
        // The words are pg_dump's own; in another language they stand for themselves.
        ProgramError::Failed { stderr, .. } if stderr.contains("no matching ") => Some(PATTERN),
        ProgramError::Failed { stderr, .. } if stderr.contains(LOCKS_SETTING) => Some(LOCKS),
        _ => None,
    }
}

fn of_pattern(error: &InvalidPattern) -> Option<&'static str> {
    match error {
        InvalidPattern::NoMatch { .. } => Some(PATTERN),
        _ => None,
    }
}

fn of_select(error: &SelectError) -> Option<&'static str> {
    Some(match error {
        SelectError::NoSuchId { .. } => "backstay list shows what is there; --store names another store",
        SelectError::Empty { .. } => "make one with: backstay backup; --store names another store",
        SelectError::NoSuchDatabase { .. } | SelectError::Ambiguous { .. } => "name one of them with --database NAME",
        SelectError::FileName(_) => "rename the file",
        SelectError::Sealed { .. } => NEEDS_KEY,
        SelectError::PlainDump { .. } => "backstay verify reads it to its end and tells what it found",
        _ => return None,
    })
}

fn of_name(error: &NameError) -> Option<&'static str> {
    match error {
        NameError::Connection => Some("a database is named with --from or --to"),
        NameError::Unknown(_) => Some("backstay list shows the ids of what is in the store"),
        NameError::Folder(_) => Some("name a file in it, or the folder with --store and a backup by its id or latest"),
        NameError::DatabaseWithoutLatest => None,
    }
}

fn of_settle(error: &SettleError) -> Option<&'static str> {
    match error {
        SettleError::StoreIsConnection => Some("a database is named with --from"),
        SettleError::NothingScheduled | SettleError::NoSchedule { .. } => {
            Some("say when in its section: schedule = \"30 2 * * *\"; or do it now with --now backup")
        }
        SettleError::NoExports => Some("backstay config example shows some"),
        SettleError::NobodyToTell => Some(
            "say whom in its section: notify = [\"NAME\"], and how in [notification.NAME]: backstay config example",
        ),
        SettleError::ForeignExport { .. } => Some("make it by itself: backstay export-data NAME"),
        SettleError::WhichSection => {
            Some("name it with --db in place of --from; or say to whom with --encrypt-to, or in [[export]]")
        }
        SettleError::NobodyToAsk { .. } => Some("say it as an argument: --yes NAME"),
        _ => None,
    }
}

fn of_export(error: &ExportError) -> Option<&'static str> {
    Some(match error {
        ExportError::SameColumn { .. } => "give each column of the query a name of its own, with AS",
        ExportError::Value { .. } => {
            "cast the column to text in the query, or leave such rows out of it; csv and jsonl have a place for every value"
        }
        ExportError::NoColumn { .. } => "take csv or jsonl",
        ExportError::Exists { .. } => "names have the time to the second: try again",
        ExportError::ReadBack { .. } => {
            "try again; backstay store check looks whether the store keeps what it is given"
        }
        ExportError::TooLong { .. } => {
            "exports are not cut into volumes: compress it, export fewer rows in several queries, or take another store"
        }
        ExportError::Unknown { .. } => "look for it when the store can be reached: its sums tell whether it is whole",
        ExportError::Unstable { .. } | ExportError::Replaced { .. } => {
            "try again when no tables are created, dropped or replaced"
        }
        ExportError::SnapshotLost => "try again without the one that failed",
        ExportError::SeveralSubjects { .. } => {
            "name one row: by its key, or by more conditions (--subject may be repeated)"
        }
        ExportError::SubjectAdds { .. } => "name the row of that other table: its key has the same value",
        ExportError::TooManyRows { .. } => "is it a person? a row that many others refer to may be one of a list",
        ExportError::Malformed { .. } => "exports are in UTF-8; of a database in no encoding, cast the column to bytea",
        _ => return None,
    })
}

fn of_environment(error: &EnvironmentError) -> Option<&'static str> {
    match error {
        EnvironmentError::Syntax { .. } => Some("a line of the file is NAME=value, a comment after #, or empty"),
        _ => None,
    }
}

fn of_configuration(error: &ConfigurationError) -> Option<String> {
    let hint = match error {
        ConfigurationError::Unknown {
            nearest: Some(near), ..
        } => return Some(format!("did you mean {near}?")),
        ConfigurationError::UnknownExport {
            nearest: Some(near), ..
        } => return Some(format!("did you mean {near}?")),
        ConfigurationError::Several { kind: "database", .. } => {
            "name one with --db NAME, or another database with --from"
        }
        ConfigurationError::Several { .. } => {
            "name one with --store NAME; a path is told from a name by a slash, as in ./backups"
        }
        ConfigurationError::Exposed { .. } => {
            "take that right away with chmod o-w FILE; or name the file with --config, if you trust what is in it"
        }
        ConfigurationError::Nowhere(_) => "backstay config example > backstay.toml makes one to begin with",
        ConfigurationError::NoRetention { .. } => {
            "say it there with retention = \"NAME\", or type rules such as --keep-daily 7"
        }
        ConfigurationError::Recipient { .. } => "a public key begins with age1, ssh-ed25519 or ssh-rsa",
        _ => return None,
    };
    Some(hint.to_owned())
}
