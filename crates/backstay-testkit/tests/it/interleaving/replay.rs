use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ErrorKind, Leftover, MemoryStore, ObjectMeta, ObjectWriter, Store};

/// The objects of a store, as a value.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Objects(BTreeMap<String, Bytes>);

/// What an object holds, hashed once.
#[derive(Clone, Debug)]
pub(super) struct Bytes {
    all: Arc<Vec<u8>>,
    digest: u64,
}

impl Bytes {
    fn new(all: Vec<u8>) -> Self {
        let mut hasher = DefaultHasher::new();
        all.hash(&mut hasher);
        Self {
            digest: hasher.finish(),
            all: Arc::new(all),
        }
    }

    fn length(&self) -> u64 {
        self.all.len() as u64
    }
}

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl Objects {
    pub(super) fn of(store: &MemoryStore) -> Self {
        let listed = store.list("").unwrap();
        let object = |object: ObjectMeta| {
            let mut bytes = Vec::new();
            store.read(&object.key, None).unwrap().read_to_end(&mut bytes).unwrap();
            (object.key.to_string(), Bytes::new(bytes))
        };
        Self(listed.into_iter().map(object).collect())
    }

    pub(super) fn to_store(&self) -> MemoryStore {
        let store = MemoryStore::new();
        for (name, bytes) in &self.0 {
            crate::repository::put(&store, name, &bytes.all);
        }
        store
    }

    fn answer(&mut self, call: &Call<'_>) -> Answer {
        match call {
            Call::Publish(key, _) if self.0.contains_key(*key) => Answer::Error(ErrorKind::AlreadyExists),
            Call::Publish(key, bytes) => {
                self.0.insert((*key).to_owned(), bytes.clone());
                Answer::Size(bytes.length())
            }
            Call::Read(key) => self.0.get(*key).map_or(MISSING, |bytes| Answer::Bytes(bytes.clone())),
            Call::Head(key) => self.0.get(*key).map_or(MISSING, |bytes| Answer::Size(bytes.length())),
            Call::List(prefix) => {
                let listed = self.0.iter().filter(|(name, _)| name.starts_with(prefix));
                Answer::List(listed.map(|(name, bytes)| (name.clone(), bytes.length())).collect())
            }
            Call::Delete(key) => {
                self.0.remove(*key);
                Answer::Done
            }
        }
    }
}

const MISSING: Answer = Answer::Error(ErrorKind::NotFound);

#[derive(Debug)]
enum Call<'c> {
    Publish(&'c str, Bytes),
    Read(&'c str),
    Head(&'c str),
    List(&'c str),
    Delete(&'c str),
}

impl Call<'_> {
    fn subject(&self) -> &str {
        match self {
            Self::Publish(key, _) | Self::Read(key) | Self::Head(key) | Self::Delete(key) => key,
            Self::List(prefix) => prefix,
        }
    }
}

/// What the store answered to a call.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Done,
    Size(u64),
    Bytes(Bytes),
    List(Vec<(String, u64)>),
    Error(ErrorKind),
}

impl Hash for Answer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Done => 0.hash(state),
            Self::Size(size) => (1, size).hash(state),
            Self::Bytes(bytes) => (2, bytes).hash(state),
            Self::List(listed) => (3, listed).hash(state),
            Self::Error(kind) => (4, format!("{kind:?}")).hash(state),
        }
    }
}

/// A store that gives the answers that were given before, carries out one step more, and then stops whoever calls it.
#[derive(Debug)]
pub(super) struct Replay {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// What nobody else looks at: calls about it are part of the step before.
    own: Option<&'static str>,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    objects: Objects,
    answers: Vec<(String, Answer)>,
    /// How many of the answers were given again.
    position: usize,
    has_stepped: bool,
    is_stopped: bool,
}

impl Replay {
    pub(super) fn new(objects: &Objects, answers: &[(String, Answer)], own: Option<&'static str>) -> Self {
        let now = Mutex::new(Now {
            objects: objects.clone(),
            answers: answers.to_vec(),
            position: 0,
            has_stepped: false,
            is_stopped: false,
        });
        Self {
            inner: Arc::new(Inner { own, now }),
        }
    }

    pub(super) fn objects(&self) -> Objects {
        self.inner.now.lock().unwrap().objects.clone()
    }

    pub(super) fn answers(&self) -> Vec<(String, Answer)> {
        self.inner.now.lock().unwrap().answers.clone()
    }

    /// Whether the actor wanted to do more than it was let.
    pub(super) fn is_stopped(&self) -> bool {
        self.inner.now.lock().unwrap().is_stopped
    }
}

impl Inner {
    fn call(&self, doing: &'static str, call: &Call<'_>) -> Result<Answer, Error> {
        let mut now = self.now.lock().unwrap();
        let now = &mut *now;
        let asked = format!("{doing} {}", call.subject());
        let answer = if let Some((before, answer)) = now.answers.get(now.position) {
            assert_eq!(asked, *before, "an actor must do the same again");
            answer.clone()
        } else {
            if now.is_stopped || (now.has_stepped && !self.is_private(call)) {
                now.is_stopped = true;
                return Err(Error::new(ErrorKind::Other, doing, call.subject()));
            }
            now.has_stepped |= !self.is_private(call);
            let answer = now.objects.answer(call);
            now.answers.push((asked, answer.clone()));
            answer
        };
        now.position += 1;
        match answer {
            Answer::Error(kind) => Err(Error::new(kind, doing, call.subject())),
            answer => Ok(answer),
        }
    }

    /// Manifests and intents are seen by others; what else is about a backup that is being written is not.
    fn is_private(&self, call: &Call<'_>) -> bool {
        let subject = call.subject();
        let is_own = self.own.is_some_and(|own| subject.contains(own));
        let is_seen = subject.starts_with("intents/") || subject.ends_with(".manifest.json");
        is_own && (!is_seen || matches!(call, Call::Read(_)))
    }
}

fn meta(key: &str, size: u64) -> ObjectMeta {
    ObjectMeta {
        key: key.parse().unwrap(),
        size,
        modified_unix_secs: 0,
    }
}

impl Store for Replay {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        Ok(Box::new(ReplayWriter {
            inner: Arc::clone(&self.inner),
            key: key.to_string(),
            bytes: Vec::new(),
        }))
    }

    fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, Error> {
        match self.inner.call("read", &Call::Read(key.as_str()))? {
            Answer::Bytes(bytes) => {
                let range = range.unwrap_or(0..bytes.length());
                let piece =
                    bytes.all[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].to_vec();
                Ok(Box::new(io::Cursor::new(piece)))
            }
            answer => panic!("{key} was read, and {answer:?} was the answer"),
        }
    }

    fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        match self.inner.call("look at", &Call::Head(key.as_str()))? {
            Answer::Size(size) => Ok(meta(key.as_str(), size)),
            answer => panic!("{key} was looked at, and {answer:?} was the answer"),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
        match self.inner.call("list", &Call::List(prefix))? {
            Answer::List(listed) => Ok(listed.iter().map(|(name, size)| meta(name, *size)).collect()),
            answer => panic!("{prefix} was listed, and {answer:?} was the answer"),
        }
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.inner.call("delete", &Call::Delete(key.as_str())).map(drop)
    }

    fn list_leftovers(&self) -> Result<Vec<Leftover>, Error> {
        Ok(Vec::new())
    }

    fn delete_leftover(&self, _leftover: &Leftover) -> Result<(), Error> {
        Ok(())
    }

    fn location(&self) -> String {
        "replay".to_owned()
    }
}

struct ReplayWriter {
    inner: Arc<Inner>,
    key: String,
    bytes: Vec<u8>,
}

impl ObjectWriter for ReplayWriter {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn publish(self: Box<Self>) -> Result<ObjectMeta, Error> {
        let Self { inner, key, bytes } = *self;
        match inner.call("publish", &Call::Publish(&key, Bytes::new(bytes)))? {
            Answer::Size(size) => Ok(meta(&key, size)),
            answer => panic!("{key} was published, and {answer:?} was the answer"),
        }
    }
}
