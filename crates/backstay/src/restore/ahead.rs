use std::collections::{HashMap, HashSet, VecDeque};
use std::error::Error as StdError;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;

use backstay_postgres::MemberSource;

/// Reads that are under way at once: small members of a store that is far away come as quickly as they are loaded.
const READERS: usize = 8;
/// What may lie there read ahead.
const TEXT_BYTES_MAX: u64 = 32 << 20;

type Failure = Box<dyn StdError + Send + Sync>;

/// Members that are read before they are asked for, in the order in which they will be, so that nobody waits for a store.
pub(super) struct ReadAhead<S> {
    source: S,
    /// The length of each member's text.
    lengths: Vec<u64>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What nobody has begun to read yet.
    expected: VecDeque<usize>,
    reading: HashSet<usize>,
    read: HashMap<usize, Result<Vec<u8>, Failure>>,
    /// Bytes of text that are being read or lie there.
    held: u64,
    is_over: bool,
}

impl<S: MemberSource> ReadAhead<S> {
    pub(super) fn new(source: S, lengths: Vec<u64>) -> Self {
        Self {
            source,
            lengths,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Does something while members are read ahead.
    pub(super) fn with<'scope, 'env, R>(&'env self, scope: &'scope Scope<'scope, 'env>, work: impl FnOnce() -> R) -> R {
        struct Over<'a, S: MemberSource>(&'a ReadAhead<S>);
        impl<S: MemberSource> Drop for Over<'_, S> {
            fn drop(&mut self) {
                self.0.state().is_over = true;
                self.0.changed.notify_all();
            }
        }
        let _over = Over(self);
        for _ in 0..READERS {
            scope.spawn(|| self.read_ahead());
        }
        work()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn read_ahead(&self) {
        let mut state = self.state();
        while !state.is_over {
            let next = state.expected.front().copied();
            // One member may be longer than all that may lie there.
            let Some(member) =
                next.filter(|&member| state.held == 0 || state.held + self.length(member) <= TEXT_BYTES_MAX)
            else {
                state = self.wait(state);
                continue;
            };
            state.expected.pop_front();
            state.reading.insert(member);
            state.held += self.length(member);
            drop(state);
            let reading = Reading { ahead: self, member };
            let text = self.source.text(member);
            state = self.state();
            state.read.insert(member, text);
            drop(state);
            drop(reading);
            state = self.state();
        }
    }

    fn length(&self, member: usize) -> u64 {
        self.lengths.get(member).copied().unwrap_or(0)
    }
}

impl<S: MemberSource> MemberSource for ReadAhead<S> {
    fn expect(&self, members: &[usize]) {
        self.state().expected.extend(members);
        self.changed.notify_all();
    }

    fn text(&self, member: usize) -> Result<Vec<u8>, Failure> {
        let mut state = self.state();
        loop {
            if let Some(text) = state.read.remove(&member) {
                state.held -= self.length(member);
                self.changed.notify_all();
                return text;
            }
            if !state.reading.contains(&member) {
                break;
            }
            state = self.wait(state);
        }
        if let Some(place) = state.expected.iter().position(|&other| other == member) {
            state.expected.remove(place);
        }
        drop(state);
        self.source.text(member)
    }
}

/// A member that is being read; whoever waits for it goes on when it is dropped, also by a panic.
struct Reading<'a, S: MemberSource> {
    ahead: &'a ReadAhead<S>,
    member: usize,
}

impl<S: MemberSource> Drop for Reading<'_, S> {
    fn drop(&mut self) {
        self.ahead.state().reading.remove(&self.member);
        self.ahead.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    use std::sync::mpsc::{Sender, channel};
    use std::thread;

    use super::*;

    /// Texts of as many zeros as their number says, and how many were held at most by whoever reads ahead.
    #[derive(Default)]
    struct Texts {
        reads: AtomicUsize,
        unasked_bytes: AtomicU64,
        most_unasked_bytes: AtomicU64,
    }

    const FAILING: usize = 13;

    impl MemberSource for &Texts {
        fn text(&self, member: usize) -> Result<Vec<u8>, Failure> {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let unasked = self.unasked_bytes.fetch_add(length(member), Ordering::SeqCst) + length(member);
            self.most_unasked_bytes.fetch_max(unasked, Ordering::SeqCst);
            if member == FAILING {
                return Err("damaged".into());
            }
            Ok(vec![0; member])
        }
    }

    /// As if a member had that many MiB.
    fn length(member: usize) -> u64 {
        (member as u64) << 20
    }

    fn read_by(workers: usize, asked: &[usize], expected: &[usize]) -> Texts {
        let texts = Texts::default();
        let lengths = (0..64).map(length).collect();
        let ahead = ReadAhead::new(&texts, lengths);
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            ahead.with(scope, || {
                ahead.expect(expected);
                thread::scope(|scope| {
                    for _ in 0..workers {
                        scope.spawn(|| {
                            while let Some(&member) = asked.get(next.fetch_add(1, Ordering::SeqCst)) {
                                let text = ahead.text(member);
                                texts.unasked_bytes.fetch_sub(length(member), Ordering::SeqCst);
                                match text {
                                    Ok(text) => assert_eq!(text.len(), member),
                                    Err(error) => {
                                        assert_eq!((member, error.to_string().as_str()), (FAILING, "damaged"));
                                    }
                                }
                            }
                        });
                    }
                });
            });
        });
        texts
    }

    #[test]
    fn every_member_is_read_once_and_little_lies_there_ahead() {
        let members: Vec<usize> = (1..64).collect();
        for workers in [1, 3] {
            let texts = read_by(workers, &members, &members);
            assert_eq!(texts.reads.into_inner(), members.len());
            // Each worker may read one by itself; one that is longer than all that may lie there lies there alone.
            let bound = (63 * (workers as u64 + 1)) << 20;
            assert!(texts.most_unasked_bytes.into_inner() <= bound.max(TEXT_BYTES_MAX));
        }
    }

    #[test]
    fn what_was_not_expected_is_read_when_asked_for() {
        assert_eq!(read_by(2, &[5, 6, 7, 5], &[]).reads.into_inner(), 4);
        // And what is expected and never asked for holds up nothing.
        read_by(2, &[40, 41, 42], &[30, 31, 40, 41, 42]);
        read_by(1, &(1..30).rev().collect::<Vec<_>>(), &(1..30).collect::<Vec<_>>());
    }

    /// Its first call panics.
    struct Panicking(Mutex<Option<Sender<()>>>);

    impl MemberSource for Panicking {
        fn text(&self, _: usize) -> Result<Vec<u8>, Failure> {
            let first = self.0.lock().unwrap().take();
            if let Some(begun) = first {
                begun.send(()).unwrap();
                panic!("on purpose");
            }
            Err("asked again".into())
        }
    }

    #[test]
    fn a_panic_of_a_reader_is_told_and_nobody_waits_for_it() {
        let (begin, begun) = channel();
        let ahead = ReadAhead::new(Panicking(Mutex::new(Some(begin))), vec![1]);
        let whole = AssertUnwindSafe(|| {
            thread::scope(|scope| {
                ahead.with(scope, || {
                    ahead.expect(&[0]);
                    begun.recv().unwrap();
                    assert_eq!(ahead.text(0).unwrap_err().to_string(), "asked again");
                });
            });
        });
        assert!(catch_unwind(whole).is_err());
    }
}
