/// Watches a verification; every method may be called from several threads.
pub trait VerifyObserver: Sync {
    /// So many bytes of the archive, of so many, have been checked; the total is 0 where it is not known.
    fn progress(&self, bytes_done: u64, bytes_total: u64);
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing to add")]
pub struct Silent;

impl VerifyObserver for Silent {
    fn progress(&self, _bytes_done: u64, _bytes_total: u64) {}
}
