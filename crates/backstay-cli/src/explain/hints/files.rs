//! What to do where files of a project are not backed up or restored.

use backstay::storage_files::FilesError;

use crate::command::NoProject;

pub(super) fn of_files(error: &FilesError) -> Option<&'static str> {
    Some(match error {
        FilesError::Several(_) => "name the backup by its id; backstay storage-files list tells which there are",
        FilesError::NotFound(_) | FilesError::Empty => "backstay storage-files list tells which there are",
        FilesError::NoBucket(_) => {
            "name buckets by their ids, as they are in the dashboard of the project; leave --bucket out for all"
        }
        FilesError::Exists(_) => "its name has the time to the second: try again",
        FilesError::TooMany { .. } => "keep some of the buckets in another project",
        FilesError::KeepsChanging(_) => "try again when nobody writes it all the time",
        FilesError::Damaged { .. } => {
            "backstay storage-files verify tells all that is damaged; delete a damaged object below storage-files/objects/ and back up \
             again: files whose content is gone are read anew"
        }
        FilesError::Newer { .. } => "use the newest Backstay",
        FilesError::Service(_) | FilesError::Read { .. } => {
            "is the project running, and is the key in SUPABASE_SECRET_KEY a secret one of that project?"
        }
        _ => return None,
    })
}

pub(super) fn of_no_project(_: &NoProject) -> Option<&'static str> {
    Some(
        "name the project with --project REF or SUPABASE_PROJECT_REF, or with --endpoint URL where it is not at Supabase; put a \
         secret key of it (dashboard: Project Settings, API Keys) into SUPABASE_SECRET_KEY",
    )
}
