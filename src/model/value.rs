//! A value as Odoo has it: what the mapping produces, what the loader sends and what the read-back compares.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{content::Content, ids::ExternalId};

/// A value of a field of an Odoo record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OdooValue {
    /// No value: `false` on the wire (a boolean is never empty).
    Empty,
    /// char, text, html, selection.
    Text(String),
    /// integer.
    Integer(i64),
    /// float, monetary.
    Float(f64),
    /// boolean.
    Boolean(bool),
    /// date, `YYYY-MM-DD`.
    Date(String),
    /// datetime in UTC, `YYYY-MM-DD HH:MM:SS`.
    DateTime(String),
    /// binary: what it is; the bytes are elsewhere.
    Content(Content),
    /// many2one.
    Link(Reference),
    /// many2many: a set, sorted.
    Links(Vec<Reference>),
    /// one2many: lines that travel with their record.
    Lines(Vec<Line>),
}

/// A line of a one2many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Name of its external id.
    pub name: String,
    /// Its values.
    pub values: Vec<(String, OdooValue)>,
    /// Values that are compared at read-back only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<(String, OdooValue)>,
}

/// A record that a value points to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reference {
    /// A record in Odoo.
    Id(i64),
    /// A record that this run will make (rehearsal only): never sent.
    Pending(ExternalId),
}

impl OdooValue {
    /// The value in a `create`; `None` while it points to a record that is not there yet, and of content, whose bytes are not
    /// here.
    #[must_use]
    pub fn to_wire(&self) -> Option<Json> {
        Some(match self {
            Self::Empty => Json::Bool(false),
            Self::Text(text) | Self::Date(text) | Self::DateTime(text) => Json::from(text.as_str()),
            Self::Integer(number) => Json::from(*number),
            Self::Float(number) => Json::from(*number),
            Self::Boolean(yes) => Json::from(*yes),
            Self::Content(_) => return None,
            Self::Link(reference) => Json::from(reference.id()?),
            Self::Links(references) => {
                let ids = references.iter().map(Reference::id).collect::<Option<Vec<_>>>()?;
                Json::from(vec![Json::from(vec![Json::from(6), Json::from(0), Json::from(ids)])])
            }
            Self::Lines(lines) => lines.iter().map(Line::to_wire).collect::<Option<Vec<_>>>()?.into(),
        })
    }
}

impl Line {
    /// The command that makes the line, with its external id; `None` while it points to a record that is not there yet.
    #[must_use]
    pub fn to_wire(&self) -> Option<Json> {
        let mut values = serde_json::Map::from_iter([("id".to_owned(), Json::from(self.name.as_str()))]);
        for (field, value) in &self.values {
            values.insert(field.clone(), value.to_wire()?);
        }
        Some(Json::from(vec![Json::from(0), Json::from(0), Json::Object(values)]))
    }
}

impl Reference {
    /// The id in Odoo, if there is one yet.
    #[must_use]
    pub const fn id(&self) -> Option<i64> {
        match self {
            Self::Id(id) => Some(*id),
            Self::Pending(_) => None,
        }
    }
}
