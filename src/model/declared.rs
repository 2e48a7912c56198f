//! Custom fields, as a source declares them.

use serde::{Deserialize, Serialize};

/// A custom field that the source declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredField {
    /// Its name in the records.
    pub name: String,
    /// What people see; the name where the source has no label.
    pub label: String,
    /// Its type, where the source tells. Else the values do.
    pub kind: Option<DeclaredType>,
}

/// Types of custom fields, as sources have them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeclaredType {
    /// A line of text.
    Text,
    /// Text of several lines.
    LongText,
    /// A number, whole or not.
    Number,
    /// A date.
    Date,
    /// A date with a time.
    DateTime,
    /// Yes or no.
    Checkbox,
    /// One of these: value and label. None are listed where the source does not tell them.
    Choice(Vec<(String, String)>),
    /// Several of several options.
    Choices,
    /// Nested data.
    Json,
}
