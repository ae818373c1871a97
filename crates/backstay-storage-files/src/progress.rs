use crate::listing::FileName;

/// What is done with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilesPhase {
    /// The service is asked which there are.
    List,
    /// They are read from the project, and stored.
    BackUp,
    /// They are written into a project, and read back.
    Restore,
    /// They are read from the store.
    Verify,
}

/// Is told how work on files goes on, and asked now and then whether it shall stop; from several threads. A closure that says
/// whether to stop is one that is not interested in the rest.
pub trait FilesProgress: Sync {
    /// Whether it shall stop.
    fn is_stopped(&self) -> bool;

    /// A phase begins, with so many bytes of files to get done; 0 where nobody knows.
    fn begins(&self, phase: FilesPhase, bytes: u64) {
        let _ = (phase, bytes);
    }

    /// Some of these bytes are done.
    fn advances(&self, file: &FileName, bytes: u64) {
        let _ = (file, bytes);
    }
}

impl<F: Fn() -> bool + Sync> FilesProgress for F {
    fn is_stopped(&self) -> bool {
        self()
    }
}
