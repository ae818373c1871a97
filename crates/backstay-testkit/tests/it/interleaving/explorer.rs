use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use backstay_core::store::{MemoryStore, Store};

use super::replay::{Answer, Objects, Replay};

/// What a process does with the store, from its start to its end; the same whenever the store answers the same.
pub(super) struct Actor {
    run: Box<dyn Fn(Arc<dyn Store>) -> Told>,
    /// The backup of which nobody else looks at anything but manifest and intents.
    own: Option<&'static str>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Told {
    Done,
    Refused(String),
}

impl Actor {
    pub(super) fn new(run: impl Fn(Arc<dyn Store>) -> Told + 'static) -> Self {
        Self {
            run: Box::new(run),
            own: None,
        }
    }

    pub(super) fn with_own(self, own: &'static str) -> Self {
        Self { own: Some(own), ..self }
    }
}

/// What has happened so far: the objects, and what each actor was answered.
#[derive(Clone)]
struct State {
    objects: Objects,
    actors: Vec<Progress>,
}

#[derive(Clone, Default)]
struct Progress {
    answers: Vec<(String, Answer)>,
    told: Option<Told>,
}

impl State {
    /// Two hashes, so that no two of millions of states are taken for one.
    fn digest(&self) -> (u64, u64) {
        let digest = |seed: u8| {
            let mut hasher = DefaultHasher::new();
            seed.hash(&mut hasher);
            self.objects.hash(&mut hasher);
            for actor in &self.actors {
                actor.answers.hash(&mut hasher);
            }
            hasher.finish()
        };
        (digest(0), digest(1))
    }
}

/// Runs the actors in every order of their steps, from what is in the store, and shows each state in which somebody has come to an end to
/// `check`.
///
/// A step is one call to the store that another actor could notice. An actor is run from its beginning for each of its
/// steps: it is given the answers that it had, then one that is new.
pub(super) fn explore(store: &MemoryStore, actors: &[Actor], mut check: impl FnMut(&MemoryStore, &[Option<Told>])) {
    let start = State {
        objects: Objects::of(store),
        actors: actors.iter().map(|_| Progress::default()).collect(),
    };
    let mut seen = HashSet::from([start.digest()]);
    let mut open = vec![start];
    while let Some(state) = open.pop() {
        let told: Vec<Option<Told>> = state.actors.iter().map(|actor| actor.told.clone()).collect();
        if told.iter().any(Option::is_some) {
            check(&state.objects.to_store(), &told);
        }
        for (index, actor) in actors.iter().enumerate() {
            if state.actors[index].told.is_some() {
                continue;
            }
            let replay = Arc::new(Replay::new(&state.objects, &state.actors[index].answers, actor.own));
            let told = (actor.run)(replay.clone());
            let mut next = state.clone();
            next.objects = replay.objects();
            next.actors[index] = Progress {
                answers: replay.answers(),
                told: (!replay.is_stopped()).then_some(told),
            };
            if seen.insert(next.digest()) {
                open.push(next);
            }
        }
    }
    assert!(seen.len() > 50, "only {} states: nothing was explored", seen.len());
}
