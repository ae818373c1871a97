use backstay_http::Retries;

use crate::key::ApiKey;

/// The longest object that is written unless another bound is named: the limit of the free plan is 50 MB, and a part of it
/// is left free, because no document says whose megabytes these are.
const OBJECT_BYTES_MAX: u64 = 49_000_000;

/// What a [`SupabaseStore`](crate::SupabaseStore) is to be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SupabaseConfig {
    /// Where the storage answers: the URL before `/object` and `/bucket`, as `https://REF.storage.supabase.co/storage/v1`.
    pub endpoint: String,
    /// A key that may do everything in the bucket.
    pub key: ApiKey,
    /// The bucket; it must exist, and should be a private one.
    pub bucket: String,
    /// What all keys begin with: nothing, or text that ends with `/`.
    pub prefix: String,
    /// The longest object that may be written; the bucket's own limit counts where it is lower.
    pub object_bytes_max: u64,
    /// Bytes that a writer collects before it sends the first: an object that ends within them is sent with its length, as
    /// documented; a longer one tells its length at its end.
    pub memory_bytes_max: usize,
    /// How often and how patiently something is tried.
    pub retries: Retries,
}

impl SupabaseConfig {
    /// A bucket of a project at Supabase, under its limit for objects on the free plan.
    #[must_use]
    pub fn new(project: &str, key: ApiKey, bucket: &str) -> Self {
        Self::at(format!("https://{project}.storage.supabase.co/storage/v1"), key, bucket)
    }

    /// A bucket where the storage of a project answers that is not at Supabase.
    #[must_use]
    pub fn at(endpoint: String, key: ApiKey, bucket: &str) -> Self {
        Self {
            endpoint,
            key,
            bucket: bucket.to_owned(),
            prefix: String::new(),
            object_bytes_max: OBJECT_BYTES_MAX,
            memory_bytes_max: 64 << 20,
            retries: Retries::default(),
        }
    }
}
