use std::collections::VecDeque;
use std::io;
use std::thread::{self, JoinHandle};

/// Parts of a large object on their way, each on a thread of its own; what they gave comes in their order. Dropping it waits
/// for all of them, because a part that arrives after the end would keep its bytes, and cost, without being seen.
#[derive(Debug)]
pub struct InFlight<T, E> {
    done: Vec<T>,
    on_the_way: VecDeque<JoinHandle<Result<T, E>>>,
}

impl<T, E> Default for InFlight<T, E> {
    fn default() -> Self {
        Self {
            done: Vec::new(),
            on_the_way: VecDeque::new(),
        }
    }
}

impl<T: Send + 'static, E: Send + 'static> InFlight<T, E> {
    /// How many parts were begun.
    #[must_use]
    pub fn begun(&self) -> usize {
        self.done.len() + self.on_the_way.len()
    }

    /// What the parts that arrived gave, in order.
    #[must_use]
    pub fn arrived(&self) -> &[T] {
        &self.done
    }

    /// Begins a part; waits first while `at_once` are on their way. `unstarted` makes an error of a thread that could not be
    /// started or that panicked.
    ///
    /// # Errors
    /// That of the earliest part that failed, or of the thread.
    pub fn send(
        &mut self,
        at_once: usize,
        unstarted: impl Fn(io::Error) -> E,
        part: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<(), E> {
        while self.on_the_way.len() >= at_once.max(1) {
            self.await_one(&unstarted)?;
        }
        let thread = thread::Builder::new()
            .name("part".to_owned())
            .spawn(part)
            .map_err(unstarted)?;
        self.on_the_way.push_back(thread);
        Ok(())
    }

    /// Waits for all parts.
    ///
    /// # Errors
    /// That of the earliest part that failed.
    pub fn await_all(&mut self, unstarted: impl Fn(io::Error) -> E) -> Result<(), E> {
        while !self.on_the_way.is_empty() {
            self.await_one(&unstarted)?;
        }
        Ok(())
    }

    fn await_one(&mut self, unstarted: &impl Fn(io::Error) -> E) -> Result<(), E> {
        let Some(thread) = self.on_the_way.pop_front() else {
            return Ok(());
        };
        let joined = thread
            .join()
            .map_err(|_| unstarted(io::Error::other("a thread panicked")));
        self.done.push(joined??);
        Ok(())
    }
}

impl<T, E> Drop for InFlight<T, E> {
    fn drop(&mut self) {
        for thread in self.on_the_way.drain(..) {
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_more_are_on_their_way_than_fit_and_their_order_is_kept() {
        let flying = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let mut parts = InFlight::<usize, String>::default();
        for number in 0..20 {
            let (flying, most) = (Arc::clone(&flying), Arc::clone(&most));
            parts
                .send(
                    3,
                    |error| error.to_string(),
                    move || {
                        let now = flying.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(u64::try_from(number % 3).unwrap_or(0)));
                        flying.fetch_sub(1, Ordering::SeqCst);
                        Ok(number)
                    },
                )
                .unwrap();
        }
        assert_eq!(parts.begun(), 20);
        parts.await_all(|error| error.to_string()).unwrap();
        assert!(parts.arrived().iter().copied().eq(0..20));
        assert!(most.load(Ordering::SeqCst) <= 3);
    }

    #[test]
    fn a_part_that_fails_is_told_and_a_panic_too() {
        let mut parts = InFlight::<(), String>::default();
        let thread = |error: io::Error| format!("thread: {error}");
        parts.send(2, thread, || Err("no".to_owned())).unwrap();
        assert_eq!(parts.await_all(thread), Err("no".to_owned()));
        parts.send(2, thread, || panic!("on purpose")).unwrap();
        assert_eq!(parts.await_all(thread), Err("thread: a thread panicked".to_owned()));
    }
}
