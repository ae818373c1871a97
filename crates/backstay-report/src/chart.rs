//! Charts as SVG that stands in the page. Colours are those of the light page; the style of the page has others for the dark.

use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use plotters::coord::ranged1d::{NoDefaultFormatting, ValueFormatter};
use plotters::prelude::{
    AreaSeries, ChartBuilder, Circle, IntoDrawingArea as _, IntoFont as _, PathElement, RGBColor, Ranged, SVGBackend,
};
use plotters::style::Color as _;

/// The colours of series, of axes and of labels; the style of the page names them again.
pub(crate) const ACCENT: RGBColor = RGBColor(0x25, 0x63, 0xEB);
pub(crate) const AXIS: RGBColor = RGBColor(0xD4, 0xD4, 0xD8);
pub(crate) const LABEL: RGBColor = RGBColor(0x52, 0x52, 0x5B);

/// Units of a chart, which the page scales.
const WIDTH: u32 = 440;
const HEIGHT: u32 = 180;
const LANE_HEIGHT: u32 = 30;
const FONT: &str = "sans-serif";
const FONT_SIZE: u32 = 13;
/// More points than that nobody can tell apart, and a page would grow with them.
const POINTS_MAX: usize = 240;

/// A number over time, from zero on; `None` where there are less than two points.
pub(crate) fn area(points: &[(Timestamp, f64)]) -> Option<String> {
    let points = thinned(points);
    let (first, last) = (points.first()?.0.as_second(), points.last()?.0.as_second());
    if first == last {
        return None;
    }
    let top = points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let top = if top > 0.0 { top * 1.1 } else { 1.0 };
    let mut svg = String::new();
    draw_area(&mut svg, &points, Days(first..last), top).ok()?;
    Some(svg)
}

/// Points in lanes over time, the first lane on top; `None` where there is nothing to show.
pub(crate) fn lanes(lanes: &[(&str, Vec<Timestamp>)], from: Timestamp, to: Timestamp) -> Option<String> {
    if lanes.is_empty() || from >= to {
        return None;
    }
    let mut svg = String::new();
    draw_lanes(&mut svg, lanes, Days(from.as_second()..to.as_second())).ok()?;
    Some(svg)
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw_area(svg: &mut String, points: &[(Timestamp, f64)], days: Days, top: f64) -> Drawn {
    let root = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
    let mut chart = ChartBuilder::on(&root)
        .margin(8)
        .margin_right(20)
        .x_label_area_size(26)
        .y_label_area_size(46)
        .build_cartesian_2d(days, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(plotters::style::TRANSPARENT)
        .bold_line_style(AXIS)
        .axis_style(AXIS)
        .y_labels(4)
        .x_labels(5)
        .y_label_formatter(&|value| short(*value))
        .label_style((FONT, FONT_SIZE).into_font().color(&LABEL))
        .draw()?;
    let line: Vec<(i64, f64)> = points.iter().map(|(time, value)| (time.as_second(), *value)).collect();
    let area = AreaSeries::new(line.iter().copied(), 0.0, ACCENT.mix(0.12));
    chart.draw_series(area.border_style(ACCENT.stroke_width(2)))?;
    if let Some(last) = line.last() {
        chart.draw_series([Circle::new(*last, 4, ACCENT.filled())])?;
    }
    root.present()?;
    Ok(())
}

fn draw_lanes(svg: &mut String, lanes: &[(&str, Vec<Timestamp>)], days: Days) -> Drawn {
    let count = u32::try_from(lanes.len())?;
    let root = SVGBackend::with_string(svg, (2 * WIDTH, LANE_HEIGHT * count + 40)).into_drawing_area();
    let rows = f64::from(count);
    let (first, last) = (days.0.start, days.0.end);
    let mut chart = ChartBuilder::on(&root)
        .margin(8)
        .margin_right(20)
        .x_label_area_size(26)
        .y_label_area_size(64)
        .build_cartesian_2d(days, 0.0..rows)?;
    chart
        .configure_mesh()
        .disable_mesh()
        .axis_style(AXIS)
        .x_labels(8)
        .y_labels(0)
        .label_style((FONT, FONT_SIZE).into_font().color(&LABEL))
        .draw()?;
    for (index, (name, times)) in lanes.iter().enumerate() {
        let middle = rows - index as f64 - 0.5;
        chart.draw_series([PathElement::new([(first, middle), (last, middle)], AXIS)])?;
        let style = (FONT, FONT_SIZE).into_font().color(&LABEL);
        let at = chart.backend_coord(&(first, middle));
        root.draw_text(name, &style, (8, at.1 - 7))?;
        let points = apart(times, last - first).into_iter();
        chart.draw_series(points.map(|time| Circle::new((time, middle), 5, ACCENT.filled())))?;
    }
    root.present()?;
    Ok(())
}

/// A label of an axis: `1500` is `1.5k`.
fn short(value: f64) -> String {
    let (number, unit) = match value {
        1e9.. => (value / 1e9, "G"),
        1e6.. => (value / 1e6, "M"),
        1e3.. => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{number:.1}");
    format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
}

/// At most so many points: of each stretch the last, and always the first.
fn thinned(points: &[(Timestamp, f64)]) -> Vec<(Timestamp, f64)> {
    let step = points.len().div_ceil(POINTS_MAX).max(1);
    let mut thinned: Vec<(Timestamp, f64)> = points.iter().rev().step_by(step).copied().collect();
    if let Some(first) = points.first().filter(|first| thinned.last() != Some(first)) {
        thinned.push(*first);
    }
    thinned.reverse();
    thinned
}

/// Times that do not lie upon each other in a chart.
fn apart(times: &[Timestamp], span: i64) -> Vec<i64> {
    let slot = (span / (2 * POINTS_MAX as i64)).max(1);
    let mut seconds: Vec<i64> = times.iter().map(|time| time.as_second()).collect();
    seconds.sort_unstable();
    seconds.dedup_by_key(|second| second.div_euclid(slot));
    seconds
}

/// Seconds since the Unix epoch, with ticks where days, months or years begin.
struct Days(Range<i64>);

impl Ranged for Days {
    type FormatOption = NoDefaultFormatting;
    type ValueType = i64;

    fn map(&self, value: &i64, limit: (i32, i32)) -> i32 {
        let span = (self.0.end - self.0.start).max(1) as f64;
        let part = (value - self.0.start) as f64 / span;
        limit.0 + (part * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: plotters::coord::ranged1d::KeyPointHint>(&self, hint: Hint) -> Vec<i64> {
        ticks(&self.0, hint.max_num_points().max(1))
    }

    fn range(&self) -> Range<i64> {
        self.0.clone()
    }
}

impl ValueFormatter<i64> for Days {
    fn format_ext(&self, value: &i64) -> String {
        let span_days = (self.0.end - self.0.start) / DAY;
        let form = match span_days {
            ..2 => "%H:%M",
            2..300 => "%-d %b",
            _ => "%b %Y",
        };
        Timestamp::from_second(*value).map_or_else(|_| String::new(), |time| time.strftime(form).to_string())
    }
}

const DAY: i64 = 86_400;

/// Beginnings of hours, days, months or years, as many as fit.
fn ticks(range: &Range<i64>, count_max: usize) -> Vec<i64> {
    for step in [3600, 6 * 3600, DAY, 2 * DAY, 7 * DAY, 14 * DAY] {
        let first = range.start.div_euclid(step) * step;
        let ticks = (0..)
            .map(|index| first + index * step)
            .take_while(|tick| *tick <= range.end);
        let ticks: Vec<i64> = ticks.filter(|tick| *tick >= range.start).take(count_max + 1).collect();
        if ticks.len() <= count_max {
            return ticks;
        }
    }
    for months in [1, 2, 3, 6, 12, 24, 60, 120] {
        let ticks: Vec<i64> = months_in(range, months).take(count_max + 1).collect();
        if ticks.len() <= count_max {
            return ticks;
        }
    }
    Vec::new()
}

/// Every so many months that begin in a range.
fn months_in(range: &Range<i64>, step: i32) -> impl Iterator<Item = i64> {
    let day = Timestamp::from_second(range.start).map(|time| time.to_zoned(TimeZone::UTC).date());
    let day = day.unwrap_or(Date::ZERO);
    let first = i32::from(day.year()) * 12 + i32::from(day.month()) - 1;
    let first = first.div_euclid(step) * step;
    let begin = |month: i32| -> Option<i64> {
        let year = i16::try_from(month.div_euclid(12)).ok()?;
        let day = Date::new(year, i8::try_from(month.rem_euclid(12) + 1).ok()?, 1).ok()?;
        Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
    };
    let (start, end) = (range.start, range.end);
    (0..)
        .map_while(move |index| begin(first + index * step))
        .take_while(move |tick| *tick <= end)
        .filter(move |tick| *tick >= start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn ticks_are_where_calendars_begin_something() {
        let check = |from: &str, to: &str, expected: &[&str]| {
            let range = at(from).as_second()..at(to).as_second();
            let days = Days(range.clone());
            let labels: Vec<String> = ticks(&range, 6).iter().map(|tick| days.format_ext(tick)).collect();
            assert_eq!(labels, expected);
        };
        check(
            "2025-03-01T01:30:00Z",
            "2025-03-01T05:00:00Z",
            &["02:00", "03:00", "04:00", "05:00"],
        );
        check(
            "2025-02-26T12:00:00Z",
            "2025-03-02T12:00:00Z",
            &["27 Feb", "28 Feb", "1 Mar", "2 Mar"],
        );
        check(
            "2025-01-15T00:00:00Z",
            "2025-05-10T00:00:00Z",
            &["1 Feb", "1 Mar", "1 Apr", "1 May"],
        );
        check(
            "2023-02-15T00:00:00Z",
            "2025-05-10T00:00:00Z",
            &["Jul 2023", "Jan 2024", "Jul 2024", "Jan 2025"],
        );
    }

    #[test]
    fn a_chart_does_not_grow_with_its_points() {
        let points = |count: i64| -> Vec<(Timestamp, f64)> {
            let day = |index: i64| Timestamp::from_second(1_700_000_000 + index * DAY).unwrap();
            (0..count).map(|index| (day(index), index as f64)).collect()
        };
        let long = area(&points(10_000)).unwrap();
        assert!(long.len() < 20_000, "{}", long.len());
        let times: Vec<Timestamp> = points(10_000).into_iter().map(|(time, _)| time).collect();
        let lanes = lanes(&[("daily", times.clone())], times[0], times[9999]).unwrap();
        assert!(lanes.len() < 80_000, "{}", lanes.len());
        let thin = thinned(&points(1000));
        assert_eq!((thin[0], thin[thin.len() - 1]), (points(1)[0], points(1000)[999]));
        assert!(area(&points(1)).is_none() && area(&[]).is_none());
    }
}
