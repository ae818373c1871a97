use std::borrow::Cow;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ErrorKind, Leftover, ObjectMeta, ObjectWriter, Store};

use crate::Verb;

/// A store that fails on purpose, by a schedule and never by chance.
///
/// It counts the calls that it gets, those of its writers too. A test runs once without faults, asks
/// [`calls`](Self::calls) how many there were, and then runs once for each of them with that call failing:
///
/// ```
/// use backstay_core::store::{ErrorKind, MemoryStore, Store};
/// use backstay_testkit::{Fault, Faulty, When};
///
/// fn run(store: &dyn Store) -> Result<(), backstay_core::store::Error> {
///     let mut writer = store.create(&"a".parse().unwrap())?;
///     writer.append(b"bytes")?;
///     writer.publish().map(drop)
/// }
///
/// let sound = Faulty::new(MemoryStore::new());
/// run(&sound).unwrap();
/// for n in 1..=sound.calls() {
///     let store = MemoryStore::new();
///     let faulty = Faulty::new(store.clone()).with_fault(When::nth_call(n).and_after(), Fault::Error(ErrorKind::Other));
///     assert!(run(&faulty).is_err());
///     assert!(store.list("").unwrap().is_empty());
/// }
/// ```
///
/// Without faults it is its inner store.
#[derive(Debug)]
pub struct Faulty<S> {
    inner: S,
    schedule: Arc<Mutex<Schedule>>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "tests go through all of them")]
pub enum Fault {
    /// The call does nothing and fails. Of a writer, the call also spends it.
    Error(ErrorKind),
    /// The call is carried out, and then fails as [`ErrorKind::Transient`]: the answer was lost.
    LoseAnswer,
    /// The writer of this [`Verb::Create`] takes so many bytes; the `append` that would go past them writes those that
    /// fit, fails as [`ErrorKind::Full`] and spends the writer.
    TearAt(u64),
    /// The writer of this [`Verb::Create`] keeps so many bytes, drops those behind them, and says that all is well: what
    /// the contract forbids and a careful caller notices all the same.
    DropFrom(u64),
    /// The writer of this [`Verb::Create`] keeps one bit of one byte wrong, and says that all is well.
    SpoilBit {
        /// Which byte of the object.
        byte: u64,
        /// Which bit of it, 0 to 7 from the lowest.
        bit: u8,
    },
    /// The reader of this [`Verb::Read`] gives so many bytes and then fails.
    BreakAt(u64),
    /// The reader of this [`Verb::Read`] gives so many bytes and then ends as if they were all: what the contract
    /// forbids and a careful caller notices all the same.
    EndAt(u64),
    /// The reader of this [`Verb::Read`] gives one bit of one byte wrong. The byte is counted from the start of the
    /// range, the bit from the lowest.
    FlipBit {
        /// Which byte of what is read.
        byte: u64,
        /// Which bit of it, 0 to 7.
        bit: u8,
    },
}

/// Which call a [`Fault`] befalls; once, unless [`and_after`](Self::and_after) says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    verb: Option<Verb>,
    nth: u64,
    is_lasting: bool,
}

impl When {
    /// The n-th call of any verb; the first is 1.
    #[must_use]
    pub fn nth_call(n: u64) -> Self {
        Self {
            verb: None,
            nth: n,
            is_lasting: false,
        }
    }

    /// The n-th call of one verb; the first is 1.
    #[must_use]
    pub fn nth(verb: Verb, n: u64) -> Self {
        Self {
            verb: Some(verb),
            ..Self::nth_call(n)
        }
    }

    /// That call and every later one: the store stays broken. With [`When::nth_call`] and [`Fault::Error`] this is what
    /// the end of the process looks like to the store.
    #[must_use]
    pub fn and_after(self) -> Self {
        Self {
            is_lasting: true,
            ..self
        }
    }
}

impl<S> Faulty<S> {
    /// A store without faults, that counts.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            schedule: Arc::default(),
        }
    }

    /// The same with one more fault; of several that befall one call, the first added counts.
    ///
    /// # Panics
    /// Where `when` may be a call of a verb that the fault does not apply to, or the 0th one.
    #[must_use]
    pub fn with_fault(self, when: When, fault: Fault) -> Self {
        let needed = match fault {
            Fault::Error(_) | Fault::LoseAnswer => None,
            Fault::TearAt(_) | Fault::DropFrom(_) | Fault::SpoilBit { .. } => Some(Verb::Create),
            Fault::BreakAt(_) | Fault::EndAt(_) | Fault::FlipBit { .. } => Some(Verb::Read),
        };
        assert!(
            needed.is_none() || when.verb == needed,
            "{fault:?} never befalls {when:?}"
        );
        assert!(when.nth > 0, "calls are counted from 1");
        lock(&self.schedule).faults.push((when, fault));
        self
    }

    /// Removes all faults; what is spent stays spent.
    pub fn heal(&self) {
        lock(&self.schedule).faults.clear();
    }

    /// How many calls there were.
    #[must_use]
    pub fn calls(&self) -> u64 {
        lock(&self.schedule).calls.len() as u64
    }

    /// How many calls of one verb there were.
    #[must_use]
    pub fn calls_of(&self, verb: Verb) -> u64 {
        lock(&self.schedule).calls_of(verb)
    }

    /// The store within, which never fails on purpose.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

#[derive(Debug, Default)]
struct Schedule {
    faults: Vec<(When, Fault)>,
    calls: Vec<Verb>,
}

impl Schedule {
    fn calls_of(&self, verb: Verb) -> u64 {
        self.calls.iter().filter(|called| **called == verb).count() as u64
    }
}

fn lock(schedule: &Mutex<Schedule>) -> MutexGuard<'_, Schedule> {
    schedule.lock().unwrap_or_else(PoisonError::into_inner)
}

fn injected(kind: ErrorKind, doing: &'static str, subject: &str) -> Error {
    Error::new(kind, doing, subject).because("injected by a test")
}

/// Counts a call, and does what the schedule says around it. Faults of readers and writers are left to the caller.
fn call<T>(
    schedule: &Mutex<Schedule>,
    verb: Verb,
    doing: &'static str,
    subject: &str,
    carry_out: impl FnOnce(Option<Fault>) -> Result<T, Error>,
) -> Result<T, Error> {
    let fault = {
        let mut schedule = lock(schedule);
        schedule.calls.push(verb);
        let (total, of_verb) = (schedule.calls.len() as u64, schedule.calls_of(verb));
        let befalls = |when: &When| {
            let count = match when.verb {
                None => total,
                Some(wanted) if wanted == verb => of_verb,
                Some(_) => return false,
            };
            count == when.nth || (when.is_lasting && count > when.nth)
        };
        schedule
            .faults
            .iter()
            .find(|(when, _)| befalls(when))
            .map(|(_, fault)| *fault)
    };
    match fault {
        Some(Fault::Error(kind)) => Err(injected(kind, doing, subject)),
        Some(Fault::LoseAnswer) => {
            carry_out(None)?;
            Err(injected(ErrorKind::Transient, doing, subject))
        }
        other => carry_out(other),
    }
}

#[deny(
    clippy::missing_trait_methods,
    reason = "a method that a wrapper inherits escapes it"
)]
impl<S: Store> Store for Faulty<S> {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        call(&self.schedule, Verb::Create, "create", key.as_str(), |fault| {
            Ok(Box::new(FaultyWriter {
                inner: Some(self.inner.create(key)?),
                schedule: Arc::clone(&self.schedule),
                key: key.clone(),
                fault,
                taken: 0,
            }) as Box<dyn ObjectWriter>)
        })
    }

    fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, Error> {
        call(&self.schedule, Verb::Read, "read", key.as_str(), |fault| {
            let inner = self.inner.read(key, range)?;
            Ok(match fault {
                None => inner,
                Some(fault) => Box::new(FaultyReader { inner, fault, given: 0 }),
            })
        })
    }

    fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        call(&self.schedule, Verb::Head, "look at", key.as_str(), |_| {
            self.inner.head(key)
        })
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
        call(&self.schedule, Verb::List, "list", prefix, |_| self.inner.list(prefix))
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        call(&self.schedule, Verb::Delete, "delete", key.as_str(), |_| {
            self.inner.delete(key)
        })
    }

    fn list_leftovers(&self) -> Result<Vec<Leftover>, Error> {
        call(
            &self.schedule,
            Verb::ListLeftovers,
            "list the leftovers of",
            &self.location(),
            |_| self.inner.list_leftovers(),
        )
    }

    fn delete_leftover(&self, leftover: &Leftover) -> Result<(), Error> {
        call(
            &self.schedule,
            Verb::DeleteLeftover,
            "delete the leftover",
            &leftover.name,
            |_| self.inner.delete_leftover(leftover),
        )
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn object_bytes_max(&self) -> Option<u64> {
        self.inner.object_bytes_max()
    }

    fn signed_url(&self, key: &ObjectKey, expires_in: Duration) -> Result<Option<String>, Error> {
        self.inner.signed_url(key, expires_in)
    }
}

struct FaultyWriter {
    /// `None` once anything failed.
    inner: Option<Box<dyn ObjectWriter>>,
    schedule: Arc<Mutex<Schedule>>,
    key: ObjectKey,
    fault: Option<Fault>,
    /// Bytes that it was given so far.
    taken: u64,
}

impl ObjectWriter for FaultyWriter {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Self { key, fault, taken, .. } = self;
        let inner = self.inner.take();
        self.inner = Some(call(&self.schedule, Verb::Append, "write to", key.as_str(), |_| {
            let mut inner = inner.ok_or_else(|| spent("write to", key))?;
            let (kept, outcome) = kept(bytes, *taken, *fault, key);
            inner.append(&kept)?;
            outcome?;
            *taken += bytes.len() as u64;
            Ok(inner)
        })?);
        Ok(())
    }

    fn publish(self: Box<Self>) -> Result<ObjectMeta, Error> {
        let Self {
            inner, schedule, key, ..
        } = *self;
        call(&schedule, Verb::Publish, "publish", key.as_str(), |_| {
            inner.ok_or_else(|| spent("publish", &key))?.publish()
        })
    }
}

/// What a writer with this fault keeps of the bytes that it is given behind those `taken` before, and what it says.
fn kept<'b>(bytes: &'b [u8], taken: u64, fault: Option<Fault>, key: &ObjectKey) -> (Cow<'b, [u8]>, Result<(), Error>) {
    let upto = |end: u64| {
        let room = usize::try_from(end.saturating_sub(taken)).unwrap_or(usize::MAX);
        &bytes[..bytes.len().min(room)]
    };
    match fault {
        Some(Fault::TearAt(end)) if upto(end).len() < bytes.len() => {
            let full = injected(ErrorKind::Full, "write to", key.as_str());
            (upto(end).into(), Err(full))
        }
        Some(Fault::DropFrom(end)) => (upto(end).into(), Ok(())),
        Some(Fault::SpoilBit { byte, bit }) => {
            let mut kept = bytes.to_vec();
            flip(&mut kept, taken, byte, bit);
            (kept.into(), Ok(()))
        }
        _ => (bytes.into(), Ok(())),
    }
}

/// Flips a bit of the byte that is the `byte`th of all, if it is among these, of which the first is the `start`th.
fn flip(bytes: &mut [u8], start: u64, byte: u64, bit: u8) {
    let index = byte.checked_sub(start).and_then(|index| usize::try_from(index).ok());
    if let Some(hit) = index.and_then(|index| bytes.get_mut(index)) {
        *hit ^= 1 << bit;
    }
}

fn spent(doing: &'static str, key: &ObjectKey) -> Error {
    Error::new(ErrorKind::Other, doing, key.as_str()).because("an earlier step of writing it failed")
}

struct FaultyReader {
    inner: Box<dyn Read + Send>,
    fault: Fault,
    given: u64,
}

impl Read for FaultyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut wanted = buffer.len();
        if let Fault::BreakAt(at) | Fault::EndAt(at) = self.fault {
            let left = at - self.given;
            wanted = usize::try_from(left).map_or(wanted, |left| wanted.min(left));
            if left == 0 && !buffer.is_empty() {
                return match self.fault {
                    Fault::BreakAt(_) => Err(io::Error::new(io::ErrorKind::ConnectionReset, "injected by a test")),
                    _ => Ok(0),
                };
            }
        }
        let count = self.inner.read(&mut buffer[..wanted])?;
        if let Fault::FlipBit { byte, bit } = self.fault {
            flip(&mut buffer[..count], self.given, byte, bit);
        }
        self.given += count as u64;
        Ok(count)
    }
}
