//! Dates and times written as text.

use jiff::{
    civil::{Date, DateTime, Time},
    fmt::{strtime::BrokenDownTime, temporal::Pieces},
    tz::{TimeZone, TimeZoneDatabase},
};

use super::{Formats, Moment};

/// Years with fewer digits are a two-digit year read by a pattern for four.
const PATTERN_YEAR_MIN: i16 = 1000;

/// A time zone by its name, from the bundled database: the same everywhere.
pub(super) fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZoneDatabase::bundled()
        .get(name)
        .map_err(|_| format!("there is no time zone {name:?}; names are such as America/Sao_Paulo"))
}

/// Refuses a pattern that does not describe a whole date.
pub(super) fn check_pattern(pattern: &str) -> Result<(), String> {
    let sample = DateTime::constant(2024, 2, 29, 13, 45, 59, 0);
    let zoned = sample
        .to_zoned(TimeZone::UTC)
        .map_err(|_| "the sample is in range".to_owned())?;
    let text = BrokenDownTime::from(&zoned)
        .to_string(pattern)
        .map_err(|error| format!("formats.dates {pattern:?}: {error}"))?;
    match BrokenDownTime::parse(pattern, &text).and_then(|parsed| parsed.to_date()) {
        Ok(date) if date == sample.date() => Ok(()),
        _ => Err(format!(
            "formats.dates {pattern:?} does not describe a date; write such as %d/%m/%Y"
        )),
    }
}

/// What the text says; `None` where no format reads all of it.
pub(super) fn parse(text: &str, formats: &Formats) -> Option<Moment> {
    let text = text.trim();
    iso(text, &formats.zone).or_else(|| {
        let by = |pattern: &String| by_pattern(pattern, text, &formats.zone);
        formats.dates.iter().find_map(by)
    })
}

/// Whether text that reads as a time has the second 60: `23:59:60`, or `T235960`.
pub(super) fn has_leap_second(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |from: usize, to: usize| {
        bytes
            .get(from..to)
            .is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    text.match_indices("60").any(|(at, _)| {
        let ends = !bytes.get(at + 2).is_some_and(u8::is_ascii_digit);
        let mark = |back: usize| at.checked_sub(back).map(|place| bytes[place]);
        let apart = mark(1).is_some_and(|m| !m.is_ascii_digit() && mark(4) == Some(m)) && digits(at - 3, at - 1);
        let together = matches!(mark(5), Some(b'T' | b't')) && digits(at - 4, at);
        ends && (apart || together)
    })
}

/// The first instant of a day.
pub(super) fn midnight(day: Date, zone: &TimeZone) -> Option<jiff::Timestamp> {
    zone.to_ambiguous_timestamp(day.to_datetime(Time::midnight()))
        .compatible()
        .ok()
}

fn iso(text: &str, zone: &TimeZone) -> Option<Moment> {
    let pieces = Pieces::parse(text).ok()?;
    let date = in_range(pieces.date())?;
    let Some(time) = pieces.time() else {
        return Some(Moment::Day(date));
    };
    let at = date.to_datetime(time);
    match pieces.to_numeric_offset() {
        Some(offset) => instant(at, &TimeZone::fixed(offset), zone),
        None => match pieces.time_zone_annotation() {
            Some(_) => instant(at, &pieces.to_time_zone_with(&TimeZoneDatabase::bundled()).ok()??, zone),
            None => instant(at, zone, zone),
        },
    }
}

fn by_pattern(pattern: &str, text: &str, zone: &TimeZone) -> Option<Moment> {
    let parsed = BrokenDownTime::parse(pattern, text).ok()?;
    let date = in_range(parsed.to_date().ok()?).filter(|date| date.year() >= PATTERN_YEAR_MIN)?;
    if parsed.hour().is_none() {
        return Some(Moment::Day(date));
    }
    let at = date.to_datetime(parsed.to_time().ok()?);
    match parsed.offset() {
        Some(offset) => instant(at, &TimeZone::fixed(offset), zone),
        None => instant(at, zone, zone),
    }
}

/// The instant of a local time in `local`. A time that a clock change skips is the one after it, of a time that
/// happens twice the first is meant.
fn instant(at: DateTime, local: &TimeZone, zone: &TimeZone) -> Option<Moment> {
    let instant = local.to_ambiguous_timestamp(at).compatible().ok()?;
    Some(Moment::Instant(instant, in_range(zone.to_datetime(instant).date())?))
}

/// The years that Odoo has.
fn in_range(date: Date) -> Option<Date> {
    (1..=9999).contains(&date.year()).then_some(date)
}
