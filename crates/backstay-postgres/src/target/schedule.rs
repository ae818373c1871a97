use std::collections::{BTreeSet, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How a task uses a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    /// Beside others that share it: loading rows, building an index.
    Shared,
    /// Alone: altering it.
    Exclusive,
}

/// A piece of work with what must be done before it and which tables it uses.
#[derive(Debug)]
pub(super) struct Task<T> {
    pub(super) work: T,
    /// Tasks, by number, that must be done first.
    pub(super) after: Vec<usize>,
    /// Tables, by any number of the caller's, with the way they are used.
    pub(super) locks: Vec<(u32, Lock)>,
    /// Of several tasks that could run the one with the lowest rank runs first.
    pub(super) rank: u32,
}

/// Hands tasks to workers: each when what it waits for is done and nobody uses its tables otherwise.
///
/// The server would make them wait for each other, too; but then workers would wait instead of working, and statements
/// that lock two tables could wait for each other for ever.
#[derive(Debug)]
pub(super) struct Schedule<T> {
    tasks: Vec<Task<T>>,
    /// Tasks that wait for each.
    waiters: Vec<Vec<usize>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// How many unfinished tasks each waits for.
    missing: Vec<usize>,
    ready: BTreeSet<(u32, usize)>,
    running: usize,
    left: usize,
    /// Users of each table: how many share it, or `usize::MAX` for one alone.
    users: HashMap<u32, usize>,
    stopped: bool,
}

const ALONE: usize = usize::MAX;

impl<T> Schedule<T> {
    /// A schedule of tasks; a task that waits for itself or for one that waits for it never runs, and makes
    /// [`Schedule::next`] end with work left.
    pub(super) fn new(tasks: Vec<Task<T>>) -> Self {
        let mut waiters = vec![Vec::new(); tasks.len()];
        let mut missing = vec![0; tasks.len()];
        for (number, task) in tasks.iter().enumerate() {
            let first: BTreeSet<usize> = task
                .after
                .iter()
                .copied()
                .filter(|&before| before < tasks.len())
                .collect();
            missing[number] = first.len();
            for before in first {
                waiters[before].push(number);
            }
        }
        let ready = tasks
            .iter()
            .enumerate()
            .filter(|(n, _)| missing[*n] == 0)
            .map(|(n, task)| (task.rank, n))
            .collect();
        let left = tasks.len();
        let state = State {
            missing,
            ready,
            running: 0,
            left,
            users: HashMap::new(),
            stopped: false,
        };
        Self {
            tasks,
            waiters,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a task to do; `None` when there is none left, or no hope for one.
    pub(super) fn next(&self) -> Option<(usize, &T)> {
        let mut state = self.state();
        loop {
            if state.stopped || state.left == 0 {
                return None;
            }
            let found = state
                .ready
                .iter()
                .copied()
                .find(|&(_, number)| state.can_use(&self.tasks[number].locks));
            if let Some((rank, number)) = found {
                state.ready.remove(&(rank, number));
                state.running += 1;
                state.take(&self.tasks[number].locks);
                return Some((number, &self.tasks[number].work));
            }
            if state.running == 0 {
                // Nothing runs that could make anything ready: the tasks left wait for each other.
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that a task is done, well or badly.
    pub(super) fn done(&self, number: usize) {
        let mut state = self.state();
        state.running -= 1;
        state.left -= 1;
        state.give_back(&self.tasks[number].locks);
        for &waiter in &self.waiters[number] {
            state.missing[waiter] -= 1;
            if state.missing[waiter] == 0 {
                state.ready.insert((self.tasks[waiter].rank, waiter));
            }
        }
        self.changed.notify_all();
    }

    /// Makes every worker end.
    pub(super) fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }

    /// How many tasks were never done.
    pub(super) fn left(&self) -> usize {
        self.state().left
    }
}

impl State {
    fn can_use(&self, locks: &[(u32, Lock)]) -> bool {
        locks.iter().all(|(table, lock)| match (self.users.get(table), lock) {
            (None, _) => true,
            (Some(&users), Lock::Shared) => users != ALONE,
            (Some(_), Lock::Exclusive) => false,
        })
    }

    fn take(&mut self, locks: &[(u32, Lock)]) {
        for &(table, lock) in locks {
            let users = self.users.entry(table).or_insert(0);
            *users = if lock == Lock::Exclusive { ALONE } else { *users + 1 };
        }
    }

    fn give_back(&mut self, locks: &[(u32, Lock)]) {
        for &(table, lock) in locks {
            let Some(users) = self.users.get_mut(&table) else {
                continue;
            };
            if lock == Lock::Exclusive || *users <= 1 {
                self.users.remove(&table);
            } else {
                *users -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    fn task(after: &[usize], locks: &[(u32, Lock)], rank: u32) -> Task<()> {
        Task {
            work: (),
            after: after.to_vec(),
            locks: locks.to_vec(),
            rank,
        }
    }

    #[test]
    fn rank_and_locks_decide() {
        use Lock::{Exclusive, Shared};
        let schedule = Schedule::new(vec![
            task(&[], &[(1, Shared)], 5),
            task(&[], &[(1, Shared)], 1),
            task(&[], &[(1, Exclusive)], 0),
            task(&[2], &[], 0),
        ]);
        assert_eq!(schedule.next().unwrap().0, 2);
        schedule.done(2);
        assert_eq!(schedule.next().unwrap().0, 3);
        assert_eq!(schedule.next().unwrap().0, 1);
        assert_eq!(schedule.next().unwrap().0, 0);
        for number in [3, 1, 0] {
            schedule.done(number);
        }
        assert!(schedule.next().is_none());
    }

    #[test]
    fn circles_do_not_hang() {
        let schedule = Schedule::new(vec![task(&[1], &[], 0), task(&[0], &[], 0), task(&[], &[], 0)]);
        let (number, ()) = schedule.next().unwrap();
        schedule.done(number);
        assert!(schedule.next().is_none());
        assert_eq!(schedule.left(), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn everything_is_done_once_after_what_it_waits_for(
            specs in prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 0..3), 0u32..4, any::<bool>()), 0..40),
            workers in 1usize..4,
        ) {
            let tasks: Vec<Task<Vec<usize>>> = specs.iter().enumerate().map(|(number, (after, table, alone))| {
                let after: Vec<usize> =
                    if number == 0 { Vec::new() } else { after.iter().map(|index| index.index(number)).collect() };
                let lock = if *alone { Lock::Exclusive } else { Lock::Shared };
                Task { work: after.clone(), after, locks: vec![(*table, lock)], rank: *table }
            }).collect();
            let total = tasks.len();
            let schedule = Schedule::new(tasks);
            let log = Mutex::new(Vec::new());
            thread::scope(|scope| {
                for _ in 0..workers {
                    scope.spawn(|| while let Some((number, after)) = schedule.next() {
                        {
                            let mut log = log.lock().unwrap();
                            assert!(after.iter().all(|before| log.contains(before)));
                            log.push(number);
                        }
                        schedule.done(number);
                    });
                }
            });
            let mut log = log.into_inner().unwrap();
            log.sort_unstable();
            prop_assert_eq!(log, (0..total).collect::<Vec<_>>());
        }
    }
}
