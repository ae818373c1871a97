use backstay_core::store::ErrorKind;

use crate::{Fault, Faulty, Verb, When};

/// What goes wrong in one run.
pub(super) type Failure = Vec<(When, Fault)>;

/// How many calls an operation makes when nothing goes wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calls {
    all: u64,
    creates: u64,
    reads: u64,
}

impl Calls {
    pub(super) fn of<S>(store: &Faulty<S>) -> Self {
        Self {
            all: store.calls(),
            creates: store.calls_of(Verb::Create),
            reads: store.calls_of(Verb::Read),
        }
    }

    /// Every call failing by itself and with all later ones, before and after it was carried out.
    pub(super) fn each(self) -> impl Iterator<Item = Failure> {
        (1..=self.all).flat_map(|n| {
            let error = Fault::Error(ErrorKind::Denied);
            let nth = When::nth_call(n);
            [
                vec![(nth, error)],
                vec![(nth, Fault::LoseAnswer)],
                // The end of the process, before the call and after it.
                vec![(nth.and_after(), error)],
                vec![(nth, Fault::LoseAnswer), (nth.and_after(), error)],
                // All that is asked is done, and nobody hears of it.
                vec![(nth.and_after(), Fault::LoseAnswer)],
            ]
        })
    }

    /// Every call being the first that is not carried out any more.
    pub(super) fn cuts(self) -> impl Iterator<Item = Failure> {
        (1..=self.all).map(|n| vec![(When::nth_call(n).and_after(), Fault::Error(ErrorKind::Denied))])
    }

    /// Every call losing its answer, and a later one failing.
    pub(super) fn pairs(self) -> impl Iterator<Item = Failure> {
        self.pairs_within(self.all)
    }

    /// The same with one of the next calls, which take back what the first one was for.
    pub(super) fn close_pairs(self) -> impl Iterator<Item = Failure> {
        self.pairs_within(4)
    }

    fn pairs_within(self, calls: u64) -> impl Iterator<Item = Failure> {
        (1..=self.all).flat_map(move |first| {
            (first + 1..=self.all.min(first + calls)).map(move |second| {
                vec![
                    (When::nth_call(first), Fault::LoseAnswer),
                    (When::nth_call(second), Fault::Error(ErrorKind::Transient)),
                ]
            })
        })
    }

    /// Every call losing its answer, and every read giving a wrong bit.
    pub(super) fn lies(self) -> impl Iterator<Item = Failure> {
        let flip = Fault::FlipBit { byte: 9, bit: 1 };
        (1..=self.all).flat_map(move |first| {
            (1..=self.reads).map(move |read| {
                vec![
                    (When::nth_call(first), Fault::LoseAnswer),
                    (When::nth(Verb::Read, read), flip),
                ]
            })
        })
    }

    /// Every object torn while it is written, and every read broken, short or wrong, at bytes up to `bytes_max`.
    pub(super) fn torn(self, bytes_max: u64) -> impl Iterator<Item = Failure> {
        let places = move || places(bytes_max);
        let tears = (1..=self.creates)
            .flat_map(move |nth| places().map(move |at| vec![(When::nth(Verb::Create, nth), Fault::TearAt(at))]));
        let reads = (1..=self.reads).flat_map(move |nth| {
            places().flat_map(move |at| {
                let flip = Fault::FlipBit {
                    byte: at,
                    bit: (at % 8) as u8,
                };
                [Fault::BreakAt(at), Fault::EndAt(at), flip].map(|fault| vec![(When::nth(Verb::Read, nth), fault)])
            })
        });
        tears.chain(reads)
    }

    /// Every object kept otherwise than it was written, at bytes up to `bytes_max`.
    pub(super) fn spoiled(self, bytes_max: u64) -> impl Iterator<Item = Failure> {
        (1..=self.creates).flat_map(move |nth| {
            places(bytes_max).flat_map(move |at| {
                let spoil = Fault::SpoilBit {
                    byte: at,
                    bit: (at % 8) as u8,
                };
                [Fault::DropFrom(at), spoil].map(|fault| vec![(When::nth(Verb::Create, nth), fault)])
            })
        })
    }
}

fn places(bytes_max: u64) -> impl Iterator<Item = u64> {
    // A prime, so that the places move along with whatever is regular in the bytes.
    (0..bytes_max).step_by(509).chain([bytes_max - 1, bytes_max])
}

/// The store with these faults.
pub(super) fn failing<S>(store: S, failure: &[(When, Fault)]) -> Faulty<S> {
    failure.iter().fold(Faulty::new(store), |store, (when, fault)| {
        store.with_fault(*when, *fault)
    })
}
