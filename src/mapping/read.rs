//! Reading: from a value of the source to a value of a field. Nothing is coerced in silence: what a field cannot take
//! is [`Unreadable`], what is cut is a [`Note`].

mod number;
mod time;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{compare::canonical_float, nearest::nearest};
use crate::{
    api::mapping_spec::{self, Decimal},
    model::{OdooValue, Value, digest::canonical_json, number::holds, record::is_empty},
};

/// How text of the source is read.
#[derive(Clone, Debug)]
pub struct Formats {
    zone: TimeZone,
    dates: Vec<String>,
    decimal: Decimal,
    list: String,
}

/// A value that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadValue {
    /// The value.
    pub value: OdooValue,
    /// What was lost in reading it and may be.
    pub note: Option<Note>,
}

/// An allowed departure from the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// A closed word: `FractionCut`, `DigitsCut`, `LeapSecond`.
    pub code: &'static str,
    /// What was cut.
    pub message: String,
}

/// A value that a field cannot take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unreadable {
    /// A closed word: `Unreadable`, `NotAnOption`.
    pub code: &'static str,
    /// Why. Quotes the value: for the results files only.
    pub message: String,
}

/// A moment or a day, as text of the source says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A day without a time.
    Day(Date),
    /// An instant, and its day in the formats' time zone.
    Instant(Timestamp, Date),
}

impl Formats {
    /// The formats of a spec; those of an empty one where there is none.
    ///
    /// # Errors
    /// When the time zone does not exist or a pattern does not describe a date.
    pub fn new(spec: Option<&mapping_spec::Formats>) -> Result<Self, String> {
        let default = mapping_spec::Formats::default();
        let spec = spec.unwrap_or(&default);
        let dates = spec.dates.clone().unwrap_or_default();
        dates.iter().try_for_each(|pattern| time::check_pattern(pattern))?;
        Ok(Self {
            zone: spec.time_zone.as_deref().map_or(Ok(TimeZone::UTC), time::zone)?,
            dates,
            decimal: spec.decimal.unwrap_or(Decimal::Point),
            list: spec.list.clone().unwrap_or_else(|| ",".to_owned()),
        })
    }

    /// What separates the values of a list written as text.
    #[must_use]
    pub fn list(&self) -> &str {
        &self.list
    }
}

/// Reads a value as a field of Odoo's type `ttype` takes it; an empty one is [`OdooValue::Empty`] in every type.
/// `options` are those of a selection, value and label; none means that any is taken.
///
/// # Errors
/// When the field cannot take the value.
pub fn read(
    ttype: &str,
    options: &[(String, String)],
    formats: &Formats,
    value: &Value,
) -> Result<ReadValue, Unreadable> {
    if is_empty(Some(value)) {
        return Ok(OdooValue::Empty.into());
    }
    match ttype {
        "char" | "text" | "html" => text(value).map(Into::into),
        "binary" => content(value).map(Into::into),
        "integer" => integer(formats, value).map(Into::into),
        "float" | "monetary" => number(formats, value).map(|number| ReadValue {
            value: OdooValue::Float(number.value),
            note: number.note(value),
        }),
        "boolean" => yes(value).map(|yes| OdooValue::Boolean(yes).into()),
        "date" => date(formats, value).map(|date| OdooValue::Date(date.to_string()).into()),
        "datetime" => datetime(formats, value).and_then(|at| seconds(at, value)),
        "selection" => option(options, value).map(Into::into),
        "many2one" | "many2many" | "many2one_reference" | "one2many" | "reference" => Err(unreadable(
            value,
            &format!("a {ttype} takes records, which only a lookup finds"),
        )),
        other => Err(unreadable(value, &format!("fields of type {other} are not written"))),
    }
}

/// Canonical text of a value, as keys and joins use it: 12.0 is `12`, a list is joined with `, `, a map is JSON.
#[must_use]
pub fn canonical_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => canonical_float(float),
            _ => number.to_string(),
        },
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let texts: Vec<String> = list
                .iter()
                .filter(|item| !is_empty(Some(item)))
                .map(|item| match item {
                    Value::Array(_) | Value::Object(_) => json_text(item),
                    single => canonical_text(single),
                })
                .collect();
            texts.join(", ")
        }
        Value::Object(_) => json_text(value),
    }
}

/// A number that was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    /// The nearest that a double holds.
    pub value: f64,
    /// It has all digits of what was read.
    pub exact: bool,
}

impl Number {
    fn note(self, value: &Value) -> Option<Note> {
        (!self.exact).then(|| Note {
            code: DIGITS_CUT,
            message: format!("{} has more digits than a number keeps", quoted(value)),
        })
    }
}

/// The word for a number of which not all digits were kept.
pub const DIGITS_CUT: &str = "DigitsCut";
/// The word for a second 60, which becomes 59.
pub const LEAP_SECOND: &str = "LeapSecond";

/// A number. Text may have either mark; `formats.decimal` decides where `1.234` is ambiguous.
///
/// # Errors
/// When the value is no number.
pub fn number(formats: &Formats, value: &Value) -> Result<Number, Unreadable> {
    match value {
        Value::Number(number) => number.as_f64().map(|read| (read, holds(read, &number.to_string()))),
        Value::String(text) => number::parse(text, formats.decimal),
        _ => None,
    }
    .filter(|(number, _)| number.is_finite())
    .map(|(value, exact)| Number { value, exact })
    .ok_or_else(|| unreadable(value, "is not a number"))
}

/// The day of a value: of a time, its day in the formats' time zone.
///
/// # Errors
/// When the value is no date or time.
pub fn date(formats: &Formats, value: &Value) -> Result<Date, Unreadable> {
    Ok(match moment(formats, value)? {
        Moment::Day(day) | Moment::Instant(_, day) => day,
    })
}

/// Whether a time has the second 60, which no clock of ours has: it is read as 59.
#[must_use]
pub fn has_leap_second(value: &Value) -> bool {
    value.as_str().is_some_and(time::has_leap_second)
}

/// The instant of a value: of a day, its midnight in the formats' time zone.
///
/// # Errors
/// When the value is no date or time.
pub fn datetime(formats: &Formats, value: &Value) -> Result<Timestamp, Unreadable> {
    match moment(formats, value)? {
        Moment::Instant(instant, _) => Ok(instant),
        Moment::Day(day) => time::midnight(day, &formats.zone).ok_or_else(|| unreadable(value, "is out of range")),
    }
}

/// Yes or no, in the words of the reading table, without case.
///
/// # Errors
/// When the value is none of them.
pub fn yes(value: &Value) -> Result<bool, Unreadable> {
    let word = match value {
        Value::Bool(yes) => return Ok(*yes),
        Value::Number(_) => canonical_text(value),
        Value::String(text) => text.trim().to_lowercase(),
        _ => String::new(),
    };
    match word.as_str() {
        "true" | "1" | "yes" | "y" | "on" | "sim" | "да" => Ok(true),
        // the accent may be a character of its own
        "false" | "0" | "no" | "n" | "off" | "não" | "na\u{303}o" | "нет" => Ok(false),
        _ => Err(unreadable(
            value,
            "is neither yes nor no (true false 1 0 yes no y n on off sim não да нет)",
        )),
    }
}

pub(super) fn moment(formats: &Formats, value: &Value) -> Result<Moment, Unreadable> {
    value
        .as_str()
        .and_then(|text| time::parse(text, formats))
        .ok_or_else(|| unreadable(value, "is no date or time by ISO 8601 or formats.dates"))
}

fn text(value: &Value) -> Result<OdooValue, Unreadable> {
    let text = canonical_text(value);
    if text.contains('\0') {
        return Err(unreadable(value, "holds a NUL character, which Odoo refuses"));
    }
    Ok(OdooValue::Text(text))
}

/// Text is content as it is, in UTF-8; content that a text can only carry in base64 says so, as `data:image/png;base64,…`.
/// Odoo takes what is no base64 in silence; line ends, which carry nothing, are left out as Odoo does.
fn content(value: &Value) -> Result<OdooValue, Unreadable> {
    let text = canonical_text(value);
    let Some((_, body)) = text.strip_prefix("data:").and_then(|url| url.split_once(";base64,")) else {
        return Ok(OdooValue::Text(STANDARD.encode(text)));
    };
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    if STANDARD.decode(&body).is_err() {
        return Err(Unreadable {
            code: "Unreadable",
            message: "the content is not base64".to_owned(),
        });
    }
    Ok(OdooValue::Text(body))
}

fn integer(formats: &Formats, value: &Value) -> Result<OdooValue, Unreadable> {
    let Number { value: number, exact } = number(formats, value)?;
    if number < f64::from(i32::MIN) || number > f64::from(i32::MAX) {
        return Err(unreadable(value, "is beyond the 32 bits of an integer field"));
    }
    // within 32 bits only digits behind the mark can get lost
    if number.fract() != 0.0 || !exact {
        return Err(unreadable(value, "is not a whole number"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and within 32 bits")]
    Ok(OdooValue::Integer(number as i64))
}

fn option(options: &[(String, String)], value: &Value) -> Result<OdooValue, Unreadable> {
    let text = canonical_text(value);
    if options.is_empty() || options.iter().any(|(option, _)| *option == text) {
        return Ok(OdooValue::Text(text));
    }
    let names = || options.iter().map(|(option, _)| option.as_str());
    let hint = nearest(&text, names()).map_or_else(
        || format!("options are {}", names().take(10).collect::<Vec<_>>().join(", ")),
        |nearest| format!("the nearest is {nearest}"),
    );
    Err(Unreadable {
        code: "NotAnOption",
        message: format!("{} is not an option; {hint}", quoted(value)),
    })
}

/// A datetime as Odoo takes it: in UTC, whole seconds.
fn seconds(instant: Timestamp, value: &Value) -> Result<ReadValue, Unreadable> {
    let utc = instant.to_zoned(TimeZone::UTC).datetime();
    if !(1..=9999).contains(&utc.year()) {
        return Err(unreadable(value, "is out of range"));
    }
    let note = if has_leap_second(value) {
        Some(Note {
            code: LEAP_SECOND,
            message: format!("the second 60 of {} becomes 59", quoted(value)),
        })
    } else {
        (utc.subsec_nanosecond() != 0).then(|| Note {
            code: "FractionCut",
            message: format!("the fraction of a second of {} is cut", quoted(value)),
        })
    };
    let text = format!("{} {}", utc.date(), utc.strftime("%H:%M:%S"));
    Ok(ReadValue {
        value: OdooValue::DateTime(text),
        note,
    })
}

fn json_text(value: &Value) -> String {
    canonical_json(value).expect("a JSON value has JSON text")
}

fn unreadable(value: &Value, why: &str) -> Unreadable {
    Unreadable {
        code: "Unreadable",
        message: format!("{} {why}", quoted(value)),
    }
}

/// The value for a sentence, shortened.
fn quoted(value: &Value) -> String {
    const LONGEST: usize = 80;
    let text = match value {
        Value::String(text) => text.clone(),
        other => json_text(other),
    };
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

impl From<OdooValue> for ReadValue {
    fn from(value: OdooValue) -> Self {
        Self { value, note: None }
    }
}

#[cfg(test)]
mod tests;
