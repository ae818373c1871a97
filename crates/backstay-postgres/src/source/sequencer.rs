use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Brings what several workers produce into one fixed order within bounded memory.
///
/// Work is numbered; the consumer gets all items of number 0, then of number 1, and so on. A worker that is ahead waits
/// when too much is kept for later; the worker that the consumer waits for is held up only by the consumer, so there is
/// no deadlock.
#[derive(Debug)]
pub(super) struct Sequencer<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    total: usize,
    weight_max: usize,
}

#[derive(Debug)]
struct State<T> {
    head: usize,
    queues: BTreeMap<usize, Queue<T>>,
    weight: usize,
    stopped: bool,
}

#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<(usize, T)>,
    finished: bool,
}

/// The sequencer was stopped, so there is no use in going on.
#[derive(Debug)]
pub(super) struct Stopped;

/// Items of the number that is next, kept while the consumer works.
const HEAD_ITEMS_MAX: usize = 4;

impl<T> Sequencer<T> {
    /// A sequencer for `total` numbers that keeps items of up to `weight_max` for later.
    pub(super) fn new(total: usize, weight_max: usize) -> Self {
        let state = State {
            head: 0,
            queues: BTreeMap::new(),
            weight: 0,
            stopped: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            total,
            weight_max,
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands in an item of a number; waits while there is no room.
    pub(super) fn push(&self, number: usize, weight: usize, item: T) -> Result<(), Stopped> {
        let mut state = self.state();
        loop {
            if state.stopped {
                return Err(Stopped);
            }
            let kept = state.queues.get(&number).map_or(0, |queue| queue.items.len());
            let room = if number == state.head {
                kept < HEAD_ITEMS_MAX
            } else {
                state.weight + weight <= self.weight_max || state.weight == 0
            };
            if room {
                break;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.weight += weight;
        state.queue(number).items.push_back((weight, item));
        self.changed.notify_all();
        Ok(())
    }

    /// Waits until a number is the one that the consumer waits for.
    pub(super) fn await_turn(&self, number: usize) -> Result<(), Stopped> {
        let mut state = self.state();
        loop {
            if state.stopped {
                return Err(Stopped);
            }
            if number == state.head {
                return Ok(());
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that a number has no more items.
    pub(super) fn finish(&self, number: usize) {
        self.state().queue(number).finished = true;
        self.changed.notify_all();
    }

    /// Makes everybody stop.
    pub(super) fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }

    /// Waits for the next item in order; `None` when all numbers are finished.
    pub(super) fn pop(&self) -> Result<Option<T>, Stopped> {
        let mut state = self.state();
        loop {
            if state.stopped {
                return Err(Stopped);
            }
            let head = state.head;
            if head == self.total {
                return Ok(None);
            }
            let queue = state.queue(head);
            if let Some((weight, item)) = queue.items.pop_front() {
                state.weight -= weight;
                self.changed.notify_all();
                return Ok(Some(item));
            }
            if queue.finished {
                state.queues.remove(&head);
                state.head += 1;
                self.changed.notify_all();
                continue;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> State<T> {
    fn queue(&mut self, number: usize) -> &mut Queue<T> {
        self.queues.entry(number).or_insert_with(|| Queue {
            items: VecDeque::new(),
            finished: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn items_come_in_order(sizes in prop::collection::vec(0usize..9, 0..40), workers in 1usize..5, weight_max in 1usize..20) {
            let sequencer = Sequencer::new(sizes.len(), weight_max);
            let next = AtomicUsize::new(0);
            let got = thread::scope(|scope| {
                for _ in 0..workers {
                    scope.spawn(|| loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(&size) = sizes.get(number) else { return };
                        for item in 0..size {
                            sequencer.push(number, 1 + item, (number, item)).unwrap();
                        }
                        sequencer.finish(number);
                    });
                }
                let mut got = Vec::new();
                while let Some(item) = sequencer.pop().unwrap() {
                    got.push(item);
                }
                got
            });
            let expected: Vec<_> =
                sizes.iter().enumerate().flat_map(|(number, &size)| (0..size).map(move |item| (number, item))).collect();
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn a_turn_comes_when_everything_before_is_consumed() {
        let sequencer = Sequencer::new(3, 100);
        let (come, at) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                sequencer.await_turn(2).unwrap();
                come.store(at.load(Ordering::SeqCst), Ordering::SeqCst);
                sequencer.finish(2);
            });
            thread::sleep(std::time::Duration::from_millis(20));
            for number in 0..2 {
                sequencer.push(number, 1, ()).unwrap();
                sequencer.finish(number);
            }
            while sequencer.pop().unwrap().is_some() {
                at.fetch_add(1, Ordering::SeqCst);
                thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        assert_eq!(come.into_inner(), 2);
    }

    #[test]
    fn stopping_wakes_everybody() {
        let sequencer = Sequencer::new(3, 1);
        sequencer.push(1, 1, ()).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| sequencer.push(2, 1, ()).is_err());
            let consumer = scope.spawn(|| sequencer.pop().is_err());
            let in_line = scope.spawn(|| sequencer.await_turn(2).is_err());
            thread::sleep(std::time::Duration::from_millis(20));
            sequencer.stop();
            assert!(waiting.join().unwrap() && consumer.join().unwrap() && in_line.join().unwrap());
        });
    }
}
