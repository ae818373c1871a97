//! A machine that sleeps, is restarted, crashes and has its clock set does exactly the work that it should.

use jiff::civil::Date;
use proptest::prelude::*;

use super::*;

const ZONES: [&str; 4] = ["Europe/Berlin", "America/New_York", "Africa/Cairo", "UTC"];

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn timetable(cron: &str, zone: &str) -> Timetable {
    Timetable {
        name: "kulti backup".to_owned(),
        cron: cron.parse().unwrap(),
        zone: TimeZone::get(zone).unwrap(),
        jitter: SignedDuration::ZERO,
        when_never: WhenNever::WhenDue,
    }
}

/// From when to when something is.
type Span = (Timestamp, Timestamp);

/// What happens to the machine.
#[derive(Clone, Debug, Default)]
struct Fate {
    asleep: Vec<Span>,
    /// When the process ends and another begins.
    restarts: Vec<Timestamp>,
    takes: SignedDuration,
}

/// A run that was begun.
#[derive(Clone, Copy, Debug)]
struct Begun {
    at: Timestamp,
    due: Timestamp,
    end: Timestamp,
    has_crashed: bool,
}

/// Lives through a time as the scheduler does, from a run on.
fn live(timetable: &Timetable, fate: &Fate, from: Timestamp, to: Timestamp) -> Vec<Begun> {
    let mut now = from;
    let mut past = Past {
        done: Some(vec![from]),
        tried: None,
        since: from,
    };
    let mut restarts = fate
        .restarts
        .iter()
        .copied()
        .filter(|at| *at > from)
        .collect::<Vec<_>>();
    restarts.sort();
    let mut begun = Vec::new();
    while now < to {
        if let Some((_, until)) = fate.asleep.iter().find(|(since, until)| *since <= now && now < *until) {
            now = *until;
            continue;
        }
        while restarts.first().is_some_and(|at| *at <= now) {
            restarts.remove(0);
            (past.tried, past.since) = (None, now);
        }
        match timetable.decide(now, &past) {
            Decision::Run(due) => {
                let crash = restarts.first().copied().filter(|at| *at < now + fate.takes);
                let end = crash.unwrap_or(now + fate.takes);
                begun.push(Begun {
                    at: now,
                    due,
                    end,
                    has_crashed: crash.is_some(),
                });
                past.tried = Some(now);
                if crash.is_none() {
                    past.done.as_mut().unwrap().push(now);
                }
                now = end.max(now + SignedDuration::from_secs(1));
            }
            Decision::Wait(until) => {
                assert!(until > now);
                let asleep = fate.asleep.iter().map(|(since, _)| *since).filter(|since| *since > now);
                let next = asleep.chain(restarts.first().copied()).chain([until]).min();
                now = next.unwrap();
            }
            Decision::Never => break,
        }
    }
    begun
}

#[test]
fn a_year_has_one_run_a_day_at_its_time_wherever_clocks_are_set() {
    for (zone, cron, at, moved) in [
        ("Europe/Berlin", "30 2 * * *", "02:30", Some(("2025-03-30", "03:00"))),
        ("America/New_York", "30 2 * * *", "02:30", Some(("2025-03-09", "03:00"))),
        ("America/New_York", "30 1 * * *", "01:30", None),
        ("Africa/Cairo", "0 0 * * *", "00:00", Some(("2025-04-25", "01:00"))),
        ("Africa/Cairo", "30 23 * * *", "23:30", None),
        ("UTC", "30 2 * * *", "02:30", None),
    ] {
        let timetable = timetable(cron, zone);
        let year = |year| {
            Date::constant(year, 1, 1)
                .to_zoned(timetable.zone.clone())
                .unwrap()
                .timestamp()
        };
        // It begins a second before the year, so that what is due with it counts.
        let from = year(2025) - SignedDuration::from_secs(1);
        let begun = live(&timetable, &Fate::default(), from, year(2026));
        let shown = |begun: &Begun| {
            begun
                .at
                .to_zoned(timetable.zone.clone())
                .strftime("%F %H:%M")
                .to_string()
        };
        let runs: Vec<String> = begun.iter().map(shown).collect();
        let days = Date::constant(2025, 1, 1).series(jiff::Span::new().days(1)).take(365);
        let expected: Vec<String> = days
            .map(|day| match moved {
                Some((date, time)) if date == day.to_string() => format!("{day} {time}"),
                _ => format!("{day} {at}"),
            })
            .collect();
        assert_eq!(runs, expected, "{zone} {cron}");
    }
}

#[test]
fn what_was_missed_in_a_long_sleep_is_made_up_for_by_one_run() {
    let timetable = timetable("30 2 * * *", "Europe/Berlin");
    let fate = Fate {
        asleep: vec![(time("2025-03-10T00:00:00Z"), time("2025-04-02T15:00:00Z"))],
        ..Fate::default()
    };
    let begun = live(
        &timetable,
        &fate,
        time("2025-03-08T00:00:00Z"),
        time("2025-04-04T00:00:00Z"),
    );
    let runs: Vec<(String, String)> = begun
        .iter()
        .map(|run| (run.at.to_string(), run.due.to_string()))
        .collect();
    let same = |time: &str| (time.to_owned(), time.to_owned());
    let expected = [
        same("2025-03-08T01:30:00Z"),
        same("2025-03-09T01:30:00Z"),
        ("2025-04-02T15:00:00Z".to_owned(), "2025-04-02T00:30:00Z".to_owned()),
        same("2025-04-03T00:30:00Z"),
    ];
    assert_eq!(runs, expected);
}

#[test]
fn a_run_that_lasts_beyond_the_next_is_followed_by_one() {
    let timetable = timetable("0 * * * *", "UTC");
    let fate = Fate {
        takes: SignedDuration::from_mins(150),
        ..Fate::default()
    };
    let begun = live(
        &timetable,
        &fate,
        time("2025-01-01T00:30:00Z"),
        time("2025-01-01T08:00:00Z"),
    );
    let runs: Vec<String> = begun.iter().map(|run| run.at.strftime("%H:%M").to_string()).collect();
    assert_eq!(runs, ["01:00", "03:30", "06:00"]);
}

#[test]
fn what_was_never_done_is_done_at_once_where_it_matters() {
    let now = time("2025-01-01T12:00:00Z");
    let mut timetable = timetable("30 2 * * *", "UTC");
    let next = Decision::Wait(time("2025-01-02T02:30:00Z"));
    let mut past = Past {
        done: Some(Vec::new()),
        tried: None,
        since: now,
    };
    assert_eq!(timetable.decide(now, &past), next);
    timetable.when_never = WhenNever::Now;
    assert_eq!(timetable.decide(now, &past), Decision::Run(now));
    // One that failed is not tried again before the next is due.
    past.tried = Some(now);
    assert_eq!(timetable.decide(now, &past), next);
    // Whoever cannot look into the store does not know that there is nothing.
    (past.done, past.tried) = (None, None);
    assert_eq!(timetable.decide(now, &past), next);
    past.since = time("2025-01-01T02:00:00Z");
    assert_eq!(
        timetable.decide(now, &past),
        Decision::Run(time("2025-01-01T02:30:00Z"))
    );
}

#[test]
fn a_clock_that_was_wrong_keeps_nothing_from_being_done() {
    let timetable = timetable("30 2 * * *", "UTC");
    let yesterday = time("2024-12-31T02:30:10Z");
    let mut past = Past {
        // The clock said 2099 for a while.
        done: Some(vec![time("2099-01-01T02:30:00Z"), yesterday]),
        tried: Some(time("2099-01-01T02:30:00Z")),
        since: time("2099-01-01T00:00:00Z"),
    };
    let now = time("2025-01-01T02:29:59Z");
    assert_eq!(
        timetable.decide(now, &past),
        Decision::Wait(time("2025-01-01T02:30:00Z"))
    );
    let due = time("2025-01-01T02:30:00Z");
    assert_eq!(timetable.decide(due, &past), Decision::Run(due));
    // Set back over a run: what is due again by the clock is done again, and once.
    past.done = Some(vec![yesterday, time("2025-01-01T02:30:05Z")]);
    let now = time("2025-01-01T01:40:00Z");
    assert_eq!(timetable.decide(now, &past), Decision::Wait(due));
    assert_eq!(timetable.decide(due, &past), Decision::Run(due));
    past.tried = Some(due);
    assert_eq!(
        timetable.decide(time("2025-01-01T02:30:10Z"), &past),
        Decision::Wait(time("2025-01-02T02:30:00Z"))
    );
}

#[test]
fn jitter_is_within_its_bound_and_always_the_same() {
    let mut one = timetable("30 2 * * *", "Europe/Berlin");
    one.jitter = SignedDuration::from_mins(10);
    let mut other = one.clone();
    other.name = "shop backup".to_owned();
    let (mut now, mut differs, mut latest) = (time("2025-01-01T00:00:00Z"), 0, 0);
    for _ in 0..100 {
        let due = one.cron.next_after(now, &one.zone).unwrap();
        let start = one.start_after(now).unwrap();
        assert_eq!(start, one.start_after(now).unwrap());
        let late = start.duration_since(due).as_secs();
        assert!((0..600).contains(&late), "{late}");
        latest = latest.max(late);
        differs += usize::from(start != other.start_after(now).unwrap());
        now = due;
    }
    assert!(latest > 400 && differs > 90, "{latest} {differs}");
    // It is due, and not yet begun; and not done again when it began late.
    let done = |at: &str| Past {
        done: Some(vec![time(at)]),
        ..Past::default()
    };
    let due = one.cron.next_after(time("2025-06-01T00:00:00Z"), &one.zone).unwrap();
    let start = one.start_after(time("2025-06-01T00:00:00Z")).unwrap();
    let past = done("2025-05-31T12:00:00Z");
    let before = start - SignedDuration::from_secs(1);
    assert_eq!(one.decide(before, &past), Decision::Wait(start));
    assert_eq!(one.decide(start, &past), Decision::Run(due));
    let past = done(&start.to_string());
    assert!(matches!(one.decide(start, &past), Decision::Wait(next) if next > due + SignedDuration::from_hours(23)));
}

fn spans() -> impl Strategy<Value = Vec<Span>> {
    let span = (0_i64..60 * 24 * 40, 1_i64..60 * 24 * 5).prop_map(|(from, minutes)| {
        let from = time("2025-03-01T00:00:00Z") + SignedDuration::from_mins(from);
        (from, from + SignedDuration::from_mins(minutes))
    });
    prop::collection::vec(span, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Between one due time and the next there is one run that ends well, if there is time for it: none is forgotten, and none is
    /// done twice.
    #[test]
    fn whatever_happens_each_due_time_has_its_run(
        zone in prop::sample::select(&ZONES),
        cron in prop::sample::select(vec!["30 2 * * *", "0 */6 * * *", "15 1,13 * * 1-5", "0 0 * * *", "45 23 1,15 * *"]),
        asleep in spans(),
        restarts in prop::collection::vec(0_i64..60 * 24 * 40, 0..4),
        takes in 0_i64..60 * 9,
    ) {
        let timetable = timetable(cron, zone);
        let (from, to) = (time("2025-03-01T00:00:00Z"), time("2025-04-10T00:00:00Z"));
        let fate = Fate {
            asleep,
            restarts: restarts.into_iter().map(|minutes| from + SignedDuration::from_mins(minutes)).collect(),
            takes: SignedDuration::from_mins(takes),
        };
        let begun = live(&timetable, &fate, from, to);
        for pair in begun.windows(2) {
            prop_assert!(pair[0].end <= pair[1].at, "{pair:?} overlap");
        }
        let mut due = timetable.cron.next_after(from, &timetable.zone).unwrap();
        while due < to {
            let next = timetable.cron.next_after(due, &timetable.zone).unwrap();
            let within: Vec<&Begun> = begun.iter().filter(|run| due <= run.at && run.at < next).collect();
            let good = within.iter().filter(|run| !run.has_crashed).count();
            prop_assert!(good <= 1, "{due}: {within:?}");
            prop_assert!(within.iter().all(|run| run.due == due), "{due}: {within:?}");
            // By the minute: was there one in which the machine could have begun?
            let mut minute = due;
            let mut is_free = false;
            while minute < next.min(to) && !is_free {
                let is_asleep = fate.asleep.iter().any(|(since, until)| *since <= minute && minute < *until);
                let is_busy = begun.iter().any(|run| run.at < due && minute < run.end);
                is_free = !is_asleep && !is_busy;
                minute += SignedDuration::from_mins(1);
            }
            // The last one may have been cut off by the end of the world.
            let has_crashed = within.last().is_some_and(|run| run.has_crashed);
            prop_assert!(!is_free || good == 1 || has_crashed, "{due}: {within:?} {fate:?}");
            prop_assert!(is_free || within.is_empty(), "{due}: {within:?} {fate:?}");
            due = next;
        }
    }
}
