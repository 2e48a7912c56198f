//! A source record as it came, and why one could not be used.

use serde::{Deserialize, Serialize};

/// A value of a source record. CSV cells are strings; JSON Lines values are what they are.
pub type Value = serde_json::Value;

/// A source record: field name to value.
pub type Record = serde_json::Map<String, Value>;

/// Why one record could not be used. Goes into `results/<object>/rejected.csv` and, counted, into reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code} {field}: {message}")]
pub struct Rejection {
    /// A closed word, such as `NotFound`, `Unreadable`, `Empty`, `BrokenLine`.
    pub code: String,
    /// Destination field (with `/part`), source column, or file the matter is about; may be empty.
    pub field: String,
    /// What is wrong and where. May quote the value: it goes to the results files only, never to a log or a status.
    pub message: String,
}

impl Rejection {
    /// A rejection.
    pub fn new(code: impl Into<String>, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            field: field.into(),
            message: message.into(),
        }
    }
}

/// Longest name of a field that is taken for one.
const NAME_MAX: usize = 100;

/// Whether what should be the name of a field is rather a value: an e-mail address, a link, a number, date or phone, an
/// identifier, or a long text. A file without a header has people's data for names, which then must not be shown.
#[must_use]
pub fn looks_like_data(name: &str) -> bool {
    let name = name.trim();
    let digits = name.chars().filter(char::is_ascii_digit).count();
    let letters = name.chars().filter(|letter| letter.is_alphabetic()).count();
    let dated = || {
        let day: String = name
            .chars()
            .take(10)
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        matches!(day.as_str(), "0000-00-00" | "00/00/0000" | "00.00.0000")
    };
    let identifier = || name.len() == 36 && name.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    let address = || {
        name.split_once('@')
            .is_some_and(|(user, host)| !user.is_empty() && host.contains('.'))
    };
    (digits > 0 && letters == 0)
        || dated()
        || identifier()
        || address()
        || name.contains("://")
        || name.chars().count() > NAME_MAX
}

/// The one notion of empty: absent (None), null, blank text, an empty list or map.
#[must_use]
pub fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.trim().is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Bool(_) | Value::Number(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_place_of_a_name_is_told_from_a_name() {
        for value in [
            "ana@acme.com.br",
            "4711",
            "1.234,50",
            "-3",
            "2026-03-01",
            "2026-03-01T10:00:00Z",
            "31/12/2025 10:00 h",
            "+55 (11) 99999-0000",
            "123.456.789-09",
            "https://acme.example/x",
            "9f1c2b3a-0000-4abc-8def-001122334455",
            &"word ".repeat(30),
        ] {
            assert!(looks_like_data(value), "{value}");
        }
        for name in [
            "id",
            "e-mail",
            "Data de criação",
            "address2",
            "x_1",
            "@type",
            "utm_source",
            "% open",
            "24h",
            "",
        ] {
            assert!(!looks_like_data(name), "{name}");
        }
    }
}
