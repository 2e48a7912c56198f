//! JSON Lines: decoded bytes in, items out. Pure; chunk boundaries never change the result.
//!
//! A line is one JSON object. A name that is there twice, a text over 1 MiB or with a NUL character reject the line.
//! A number that neither a 64-bit integer nor a double can hold exactly is kept as the text it was written as.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::window::{CELL_MAX, RECORD_MAX, STEP, Window, line_end};
use super::{Step, broken};
use crate::model::{Record, Value, number::is_same_number};
use crate::source::Item;

/// A JSON Lines file being read.
#[derive(Debug)]
pub struct JsonLines {
    place: String,
    window: Window,
    /// Bytes of the line known to hold no line end.
    read: usize,
    /// The first line must be an object, or the file is not line-wise.
    strict: bool,
}

impl JsonLines {
    /// A file, called `place` in messages. `strict`: a first line that is no JSON object makes the file unusable (a
    /// `.json` file may be one document).
    #[must_use]
    pub fn new(place: String, strict: bool) -> Self {
        Self {
            place,
            window: Window::default(),
            read: 0,
            strict,
        }
    }

    /// Where the next bytes go.
    pub fn window(&mut self) -> &mut Window {
        &mut self.window
    }

    /// The next item.
    ///
    /// # Errors
    /// With a sentence, when the file is not line-wise.
    pub fn step(&mut self) -> Result<Step, String> {
        loop {
            if self.read == 0 && !self.window.seek() {
                return Ok(if self.window.ended() { Step::End } else { Step::More });
            }
            let number = self.window.line();
            let outcome = match self.scan() {
                Scan::More => return Ok(Step::More),
                Scan::Excess(why) => {
                    self.window.give_up_line();
                    Err(why.to_owned())
                }
                Scan::Line(length) => {
                    let line = &self.window.rest()[..length];
                    let parsed = (!line.trim_ascii().is_empty()).then(|| parse(line));
                    self.window.pass(length, 0);
                    let Some(parsed) = parsed else {
                        self.read = 0;
                        continue;
                    };
                    parsed
                }
            };
            self.read = 0;
            let strict = std::mem::take(&mut self.strict);
            return match outcome {
                Ok(record) => Ok(Step::Item(Item::Record(record))),
                Err(why) if strict => Err(format!(
                    "one JSON object a line is expected, as in JSON Lines, and line {number} is none: {why}"
                )),
                Err(why) => Ok(Step::Item(broken(&self.place, number, &why))),
            };
        }
    }

    /// Looks for the end of the line.
    fn scan(&mut self) -> Scan {
        loop {
            let check = (self.read / STEP + 1) * STEP;
            let rest = self.window.rest();
            let fresh = &rest[self.read..rest.len().min(check)];
            if let Some(end) = line_end(fresh) {
                return Scan::Line(self.read + end);
            }
            self.read += fresh.len();
            if self.read < check {
                return if self.window.ended() {
                    Scan::Line(self.read)
                } else {
                    Scan::More
                };
            }
            if let Some(why) = excess(&rest[..self.read]) {
                return Scan::Excess(why);
            }
        }
    }
}

enum Scan {
    More,
    Line(usize),
    Excess(&'static str),
}

/// What makes a line too long to be read to its end.
fn excess(line: &[u8]) -> Option<&'static str> {
    // more than 1 MiB without a quote is inside of one text, or no JSON
    let tail = line.len().checked_sub(CELL_MAX + 1).map(|start| &line[start..]);
    if tail.is_some_and(|tail| !tail.contains(&b'"')) {
        return Some("a text is over 1 MiB");
    }
    (line.len() > RECORD_MAX).then_some("the record is over 4 MiB")
}

/// Reads one record.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub fn parse(line: &[u8]) -> Result<Record, String> {
    if line.contains(&0) {
        return Err("a NUL byte".into());
    }
    let text = std::str::from_utf8(line).map_err(|_| "the line is not valid in the encoding of the file".to_owned())?;
    let text = keep_numbers(text);
    let mut json = serde_json::Deserializer::from_str(&text);
    let value = Exact
        .deserialize(&mut json)
        .and_then(|value| json.end().map(|()| value));
    match value {
        Ok(Value::Object(record)) => Ok(record),
        Ok(_) => Err("the line is JSON, but no object".into()),
        Err(error) => Err(unplaced(&error)),
    }
}

/// The error without its place in a text of one line.
fn unplaced(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    format!("{what}, at byte {}", error.column())
}

/// Puts quotes around each number that would be altered by reading it.
fn keep_numbers(line: &str) -> Cow<'_, str> {
    let bytes = line.as_bytes();
    let (mut kept, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = after_text(bytes, at + 1),
            b'-' | b'0'..=b'9' => {
                let part_of_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let length = bytes[at..].iter().take_while(|byte| part_of_number(byte)).count();
                let number = &line[at..at + length];
                if is_altered(number) {
                    kept.push_str(&line[copied..at]);
                    kept.push('"');
                    kept.push_str(number);
                    kept.push('"');
                    copied = at + length;
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(line);
    }
    kept.push_str(&line[copied..]);
    Cow::Owned(kept)
}

/// The place after the quote that closes the text that begins at `at`.
fn after_text(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// True for a number that would not be the same after reading. What is no number is left to the parser.
fn is_altered(number: &str) -> bool {
    // up to 15 digits are safe in a double
    if number.len() <= 15 && !number.contains(['e', 'E']) {
        return false;
    }
    match serde_json::from_str::<serde_json::Number>(number) {
        Err(_) => is_number(number),
        Ok(read) => !is_same_number(number, &read.to_string()),
    }
}

/// True for a number that JSON allows but that no double can hold, such as `1e999`.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let canonical = !unsigned.starts_with('0') || !unsigned[1..].starts_with(|next: char| next.is_ascii_digit());
    let dotted = unsigned
        .split_once('.')
        .is_none_or(|(_, after)| after.starts_with(|next: char| next.is_ascii_digit()));
    canonical && dotted && unsigned.starts_with(|first: char| first.is_ascii_digit()) && text.parse::<f64>().is_ok()
}

/// Odoo refuses a NUL character in a text.
fn without_nul<E: serde::de::Error>(value: &Value, what: &str) -> Result<(), E> {
    match value {
        Value::String(text) if text.contains('\0') => Err(E::custom(format_args!("{what} holds a NUL character"))),
        _ => Ok(()),
    }
}

/// Reads a JSON value as [`Value`] does, but refuses what that would lose.
#[derive(Clone, Copy)]
struct Exact;

impl<'de> DeserializeSeed<'de> for Exact {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Exact {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        if value.len() > CELL_MAX {
            return Err(E::custom("a text is over 1 MiB"));
        }
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            without_nul(&value, "a text")?;
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut record = Record::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(self)?;
            without_nul(&value, &name)?;
            if record.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the name {name:?} is there twice")));
            }
            record.insert(name, value);
        }
        Ok(Value::Object(record))
    }
}
