//! The files that an application keeps in Supabase Storage, in all buckets of a project.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use backstay_core::store::{Error, ErrorKind};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use crate::answers::document;
use crate::client::{Call, Client};
use crate::config::SupabaseConfig;
use crate::reader::{self, Opened};
use crate::tus::{Existing, Length, PIECE_BYTES, Upload};
use crate::{dialect, list};

/// A bucket of a project, as the service tells it and takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "it is what the service's document has")]
pub struct FileBucket {
    /// Its id, by which everything else names it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether everybody may read it.
    #[serde(default, deserialize_with = "null_is_no")]
    pub public: bool,
    /// Its own limit for files, in bytes.
    #[serde(default)]
    pub file_size_limit: Option<u64>,
    /// The types that it takes; any where it is `None`.
    #[serde(default)]
    pub allowed_mime_types: Option<Vec<String>>,
}

/// In the service's database that may be null.
fn null_is_no<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(false))
}

/// A file as a listing tells it. Where all of this is as before, so is the file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedFile {
    /// Its path in the bucket.
    pub name: String,
    /// Id of its row in `storage.objects`.
    pub id: Option<String>,
    /// When it was last written, as the service says it.
    pub updated_at: Option<String>,
    /// The tag of its content.
    pub etag: Option<String>,
    /// Its length in bytes.
    pub size: Option<u64>,
}

/// What is told of a file beside its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "it is what the service takes with a file")]
pub struct FileAttributes {
    /// Its media type.
    pub content_type: Option<String>,
    /// How long it may be cached, such as `max-age=3600`.
    pub cache_control: Option<String>,
    /// What its writer said about it.
    pub metadata: Option<BTreeMap<String, serde_json::Value>>,
}

/// A file as the service describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileInfo {
    /// The version of its content; another one each time that it is written.
    pub version: Option<String>,
    /// The tag of its content.
    pub etag: Option<String>,
    /// Its length in bytes.
    pub size: Option<u64>,
    /// When it was last written.
    pub last_modified: Option<String>,
    /// The rest.
    pub attributes: FileAttributes,
}

/// What came of opening a file.
#[expect(clippy::exhaustive_enums, reason = "callers must react to each")]
pub enum OpenedFile {
    /// Its content: all of it, or an error.
    Content(Box<dyn Read + Send>),
    /// It has another length or another tag than was told.
    Changed,
    /// There is a row of it, or was, and no content.
    Missing,
}

/// The files of a project.
#[derive(Debug)]
pub struct ProjectFiles {
    client: Client,
}

impl ProjectFiles {
    /// Those of a project. Bucket and prefix of the settings mean nothing here.
    ///
    /// # Errors
    /// The endpoint cannot be one.
    pub fn new(config: SupabaseConfig) -> Result<Self, Error> {
        Ok(Self {
            client: Client::new(config)?,
        })
    }

    fn bucket(&self, bucket: &str) -> Arc<Client> {
        Arc::new(self.client.for_bucket(bucket))
    }

    /// All buckets, by id.
    ///
    /// # Errors
    /// Those of the service.
    pub fn buckets(&self) -> Result<Vec<FileBucket>, Error> {
        let mut buckets: Vec<FileBucket> = self.client.retried("list", "the buckets of the project", || {
            document(self.client.once(&Call::new("GET", "/bucket"))?)
        })?;
        buckets.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(buckets)
    }

    /// Makes a bucket.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`]; those of the service.
    pub fn create_bucket(&self, bucket: &FileBucket) -> Result<(), Error> {
        const DOING: &str = "create";
        let subject = format!("the bucket {}", bucket.id);
        let asked = serde_json::to_string(bucket)
            .map_err(|error| Error::new(ErrorKind::Other, DOING, &subject).because(error))?;
        let (outcome, tries) = self
            .client
            .tried(|| self.client.once(&Call::new("POST", "/bucket").json(&asked)));
        match outcome {
            Ok(_) => Ok(()),
            // An earlier try was carried out.
            Err(failure) if dialect::is_conflict(&failure) && tries.is_lost => Ok(()),
            Err(failure) if dialect::is_conflict(&failure) => {
                Err(Error::new(ErrorKind::AlreadyExists, DOING, &subject).because(failure))
            }
            Err(failure) => Err(dialect::given_up(failure, tries.count, DOING, &subject)),
        }
    }

    /// All files of a bucket, by name.
    ///
    /// # Errors
    /// Those of the service; a listing that cannot be complete is one.
    pub fn list(&self, bucket: &str) -> Result<Vec<ListedFile>, Error> {
        let client = self.bucket(bucket);
        let listed = list::all(&client, "", &format!("the files of {bucket}"))?;
        let mut files: Vec<ListedFile> = listed
            .into_iter()
            .map(|listed| {
                let (size, etag) = listed.metadata.map_or((None, None), |facts| (facts.size, facts.etag));
                ListedFile {
                    name: listed.name,
                    id: listed.id,
                    updated_at: listed.updated_at,
                    etag,
                    size,
                }
            })
            .collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        // A file that is moved between two pages may come on both.
        files.dedup_by(|a, b| a.name == b.name);
        Ok(files)
    }

    /// What the service tells of a file; `None` where there is none.
    ///
    /// # Errors
    /// Those of the service.
    pub fn info(&self, bucket: &str, name: &str) -> Result<Option<FileInfo>, Error> {
        let found = self.bucket(bucket).look(name)?;
        Ok(found.map(|info| FileInfo {
            version: info.version,
            etag: info.etag,
            size: info.size,
            last_modified: info.last_modified,
            attributes: FileAttributes {
                content_type: info.content_type,
                cache_control: info.cache_control,
                metadata: info.metadata,
            },
        }))
    }

    /// Opens a file whose length was told before, and its tag where it was.
    ///
    /// # Errors
    /// Those of the service. The reader fails where it cannot give so many bytes of one and the same version.
    pub fn open(&self, bucket: &str, name: &str, size: u64, etag: Option<&str>) -> Result<OpenedFile, Error> {
        Ok(match reader::open_whole(&self.bucket(bucket), name, size, etag)? {
            Opened::Object(content) => OpenedFile::Content(content),
            Opened::Changed => OpenedFile::Changed,
            Opened::Missing => OpenedFile::Missing,
        })
    }

    /// Writes a file: in one request, or in pieces where it is long.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] where there is one and it is not to be replaced, be it that an earlier try wrote it whose
    /// answer was lost; those of the service, and of the content, which must have exactly that length.
    pub fn upload(
        &self,
        bucket: &str,
        name: &str,
        attributes: &FileAttributes,
        size: u64,
        content: &mut dyn Read,
        existing: Existing,
    ) -> Result<(), Error> {
        const DOING: &str = "upload";
        let client = self.bucket(bucket);
        let subject = client.subject(name);
        let metadata = attributes.metadata.as_ref().map(|metadata| json!(metadata).to_string());
        let content_type = attributes.content_type.as_deref().unwrap_or("application/octet-stream");
        let mut read = |bytes: u64| -> Result<Vec<u8>, Error> {
            let mut piece = Vec::new();
            let copied = content.take(bytes).read_to_end(&mut piece);
            copied.map_err(|source| Error::io("read what is to be uploaded to", &subject, source))?;
            if piece.len() as u64 != bytes {
                return Err(Error::new(ErrorKind::Other, DOING, &subject).because("it is shorter than was told"));
            }
            Ok(piece)
        };
        if size <= PIECE_BYTES as u64 {
            let body = read(size)?;
            let path = client.path("", name);
            let (upsert, is_wanted) = existing.header();
            let (written, tries) = client.tried(|| {
                let mut call = Call::new("POST", &path)
                    .header("content-type", content_type)
                    .header(upsert, is_wanted)
                    .body(&body);
                if let Some(cache_control) = &attributes.cache_control {
                    call = call.header("cache-control", cache_control);
                }
                if let Some(metadata) = &metadata {
                    call = call.header("x-metadata", BASE64_STANDARD.encode(metadata));
                }
                client.once(&call).map(drop)
            });
            return written.map_err(|failure| dialect::given_up_writing(failure, tries.count, DOING, &subject));
        }
        // Here the service takes a number of seconds.
        let max_age = attributes.cache_control.as_deref();
        let max_age = max_age.map(|text| text.strip_prefix("max-age=").unwrap_or(text));
        let told: Vec<(&str, &str)> = [
            ("contentType", Some(content_type)),
            ("cacheControl", max_age),
            ("metadata", metadata.as_deref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
        let length = Length::Known(size);
        let mut upload = Upload::begin_as(&client, name, client.subject(name), length, &told, existing)?;
        let mut left = size;
        while left > 0 {
            let bytes = left.min(PIECE_BYTES as u64);
            upload.append(&read(bytes)?)?;
            left -= bytes;
        }
        upload.finish()
    }
}
