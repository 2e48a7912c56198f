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
