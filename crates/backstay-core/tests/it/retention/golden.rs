use backstay_core::retention::{RetentionAction, plan_retention};

use super::calendars::{calendar, policy, time};

/// The golden file has what stays and why, and what goes, newest first.
fn check(name: &str, backups: &str, rules: &str, now: &str) {
    let policy = policy(rules);
    let mut text = format!(
        "policy: {}\nnow:    {now}\n\n",
        if rules.is_empty() { "(no rules)" } else { rules }
    );
    for decision in plan_retention(&calendar(backups), &policy, time(now)).iter().rev() {
        let action = match decision.action {
            RetentionAction::Keep => "keep  ",
            RetentionAction::Delete => "delete",
        };
        let reasons: Vec<String> = decision.reasons.iter().map(ToString::to_string).collect();
        let local = decision.id.time().to_zoned(policy.time_zone.clone());
        let local = local.strftime("%a %Y-%m-%d %H:%M");
        let prefix = decision.id.prefix();
        text.push_str(&format!("{action} {prefix} {local}  {}\n", reasons.join("; ")));
    }
    insta::with_settings!({ snapshot_path => "../snapshots/retention", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, text);
    });
}

/// A backup every night at two, from before a leap day to a turn of the year.
const NIGHTS: &str = "a every 24h from 2024-12-01T02:00 to 2025-01-20T02:00";
const NOW: &str = "2025-01-20T12:00";

#[test]
fn rules_by_themselves() {
    check(
        "no-rules",
        "a every 24h from 2025-01-17T02:00 to 2025-01-20T02:00",
        "",
        NOW,
    );
    check("last-1", NIGHTS, "last=1", NOW);
    check("last-3", NIGHTS, "last=3", NOW);
    check("daily-7", NIGHTS, "daily=7", NOW);
    check("weekly-4", NIGHTS, "weekly=4", NOW);
    check("monthly-2", NIGHTS, "monthly=2", NOW);
    check("yearly-2", NIGHTS, "yearly=2", NOW);
    check("within-7d", NIGHTS, "within=7d", NOW);
    check("within-1m", NIGHTS, "within=1m", NOW);
    check("within-36h", NIGHTS, "within=36h", NOW);
    // It keeps, and lets nothing go by itself.
    check(
        "min-age-alone",
        "a every 24h from 2025-01-17T02:00 to 2025-01-20T02:00",
        "min-age=1d",
        NOW,
    );
}

#[test]
fn rules_together() {
    check("last-and-daily", NIGHTS, "last=2 daily=5", NOW);
    check("daily-weekly-monthly", NIGHTS, "daily=7 weekly=4 monthly=12", NOW);
    check("all-counts", NIGHTS, "last=1 daily=2 weekly=2 monthly=2 yearly=2", NOW);
    check("min-age-over-last", NIGHTS, "last=1 min-age=3d", NOW);
    check(
        "more-than-there-is",
        "a every 24h from 2025-01-17T02:00 to 2025-01-20T02:00",
        "daily=4000000000",
        NOW,
    );
}

/// What the first user keeps: 7 nights, 30 days of weeks, 12 months; before changes for 30 days; a legal hold.
const FIRST_USER: &str = "
    a every 24h from 2023-11-01T02:00 to 2024-03-01T02:00
    a 2023-11-20T11:00 held=case-12
    a 2024-01-20T11:00 tag=pre-change until=2024-02-19T11:00
    a 2024-02-10T11:00 tag=pre-change until=2024-03-11T11:00
    a 2024-02-11T02:30 proven";

#[test]
fn the_first_user() {
    check(
        "first-user",
        FIRST_USER,
        "daily=7 weekly=5 monthly=12",
        "2024-03-01T12:00",
    );
    check(
        "first-user-by-tag",
        FIRST_USER,
        "daily=1 tag=pre-change",
        "2024-03-01T12:00",
    );
}

#[test]
fn several_a_day() {
    let hours = "a every 6h from 2025-01-17T03:00 to 2025-01-20T03:00";
    check("newest-of-each-day", hours, "daily=3", NOW);
    // The evening in Europe is the next day in India.
    check("newest-of-each-day-in-kolkata", hours, "daily=3 zone=kolkata", NOW);
    check(
        "newest-of-each-day-in-kiritimati",
        hours,
        "daily=3 zone=kiritimati",
        NOW,
    );
}

#[test]
fn parts_of_a_database() {
    // Each noon one table, each evening another; what is whole goes by its own days, and stays the newest of its kind.
    let parts = "
        a every 24h from 2025-01-14T02:00 to 2025-01-18T02:00
        a 2025-01-16T12:00 part=orders proven
        a 2025-01-17T12:00 part=orders
        a 2025-01-18T12:00 part=orders
        a 2025-01-18T18:00 part=users
        a 2025-01-17T18:00 part=users";
    check("parts-last-1", parts, "last=1", NOW);
    check("parts-daily-2", parts, "daily=2", NOW);
}

#[test]
fn leap_days() {
    let around = "
        a every 24h from 2024-02-26T02:00 to 2024-03-02T02:00
        a 2023-02-28T02:00
        a 2023-03-01T02:00";
    check("leap-day-daily", around, "daily=3", "2024-03-02T12:00");
    check("leap-day-monthly", around, "monthly=3", "2024-03-02T12:00");
    // A year before the leap day is 28 February.
    let leap = "
        a 2024-02-29T12:00
        a 2023-02-28T12:00
        a 2023-02-28T11:59";
    check("leap-day-within-1y", leap, "within=1y", "2024-02-29T12:00");
    check("leap-day-within-12m", leap, "within=12m", "2024-02-29T12:00");
}

#[test]
fn summer_time() {
    let spring = "a every 1h from 2025-03-29T21:00 to 2025-03-30T23:00";
    check("berlin-in-spring", spring, "daily=3 zone=berlin", "2025-03-31T00:00");
    // One day before noon is noon, 23 hours before.
    check(
        "berlin-in-spring-within-1d",
        spring,
        "within=1d zone=berlin",
        "2025-03-31T00:00",
    );
    check(
        "berlin-in-spring-within-24h",
        spring,
        "within=24h zone=berlin",
        "2025-03-31T00:00",
    );
    let autumn = "a every 1h from 2025-10-25T20:00 to 2025-10-26T23:00";
    check("berlin-in-autumn", autumn, "daily=3 zone=berlin", "2025-10-27T00:00");
    check(
        "berlin-in-autumn-within-1d",
        autumn,
        "within=1d zone=berlin",
        "2025-10-27T00:00",
    );
    let october = "a every 1h from 2025-10-04T12:00 to 2025-10-05T15:00";
    check(
        "lord-howe-in-spring",
        october,
        "daily=3 zone=lord-howe",
        "2025-10-05T16:00",
    );
    let april = "a every 1h from 2025-04-05T12:00 to 2025-04-06T15:00";
    check(
        "lord-howe-in-autumn",
        april,
        "daily=3 zone=lord-howe",
        "2025-04-06T16:00",
    );
    check(
        "lord-howe-in-autumn-within-1d",
        april,
        "within=1d zone=lord-howe",
        "2025-04-06T16:00",
    );
    // The 26th begins, goes back into the 25th, and begins again: it is one day.
    let twice = "
        a 2025-10-25T21:50
        a 2025-10-25T22:10
        a 2025-10-25T22:40
        a 2025-10-25T23:30";
    check(
        "a-midnight-that-is-there-twice",
        twice,
        "daily=2 zone=midnight",
        "2025-10-26T12:00",
    );
}

#[test]
fn turns_of_the_year() {
    // 2020 ended with week 53, which has the first days of 2021; 2024 ended within week 1 of 2025.
    let week_53 = "a every 24h from 2020-12-24T02:00 to 2021-01-12T02:00";
    check("week-53", week_53, "weekly=4", "2021-01-12T12:00");
    let week_1 = "a every 24h from 2024-12-20T02:00 to 2025-01-07T02:00";
    check("week-1", week_1, "weekly=3", "2025-01-07T12:00");
    // New Year is at eleven in the evening of UTC.
    let evening = "a every 1h from 2024-12-31T20:00 to 2025-01-01T01:00";
    check("new-year", evening, "yearly=2", "2025-01-01T02:00");
    check(
        "new-year-in-berlin",
        evening,
        "yearly=2 zone=berlin",
        "2025-01-01T02:00",
    );
}

#[test]
fn gaps() {
    let gap = "
        a every 24h from 2024-06-01T02:00 to 2024-06-10T02:00
        a every 24h from 2024-12-24T02:00 to 2024-12-26T02:00";
    // Nothing goes because nothing was made: periods without backups do not count.
    check("gap-daily", gap, "daily=7", NOW);
    check("gap-weekly-monthly", gap, "weekly=3 monthly=3", NOW);
    check("gap-within", gap, "within=7d", NOW);
}

#[test]
fn what_is_special() {
    let special = "
        a 2025-01-01T02:00 held=case-12
        a 2025-01-02T02:00 proven
        a 2025-01-03T02:00 proven
        a 2025-01-04T02:00 perhaps-proven
        a 2025-01-05T02:00 unread
        a 2025-01-06T02:00 tag=release=7
        a 2025-01-07T02:00 tag=pre-migration
        a 2025-01-08T02:00 until=2025-01-20T12:00
        a 2025-01-09T02:00 until=2025-01-20T12:01
        a 2025-01-10T02:00
        a 2025-01-11T02:00 lacking proven
        a 2025-01-12T02:00 lacking";
    check("special-last-1", special, "last=1", NOW);
    check("special-tags", special, "tag=release:7 tag=pre-migration", NOW);
    check("special-tag-of-any-value", special, "tag=release", NOW);
    // What lacks a pack takes no place of the last two.
    check("special-last-2", special, "last=2", NOW);
    let day = "
        a 2025-01-19T02:00
        a 2025-01-19T08:00
        a 2025-01-19T14:00 lacking
        a 2025-01-18T02:00
        a 2025-01-17T02:00";
    check("special-day", day, "daily=2", NOW);
}

#[test]
fn clocks_that_are_wrong() {
    let ahead = "
        a every 24h from 2025-01-10T02:00 to 2025-01-20T02:00
        a 2026-06-01T02:00
        a 2026-06-02T02:00 proven";
    // Those from the future stay, and no rule counts them: else the real ones would go.
    check("future-last", ahead, "last=2", NOW);
    check("future-within", ahead, "within=3d", NOW);
    // The clock of the machine that prunes went back.
    check(
        "clock-went-back",
        "a every 24h from 2025-01-10T02:00 to 2025-01-20T02:00",
        "last=1",
        "2020-01-01",
    );
}

#[test]
fn two_databases() {
    let two = "
        a every 24h from 2025-01-15T02:00 to 2025-01-20T02:00
        a.b every 24h from 2024-01-15T02:00 to 2024-01-17T02:00
        b 2020-01-01T00:00";
    check("two-databases", two, "daily=2", NOW);
}
