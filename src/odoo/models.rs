//! What an Odoo's models look like: the bundled description of Odoo 19, or what a server says (`fields_get`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The models of an Odoo, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Models {
    /// Model name to its description.
    pub models: BTreeMap<String, Model>,
    /// Technical names of installed modules (`crm`, `sale`).
    pub modules: Vec<String>,
}

/// One model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Label.
    #[serde(default)]
    pub label: String,
    /// Field name to its description.
    pub fields: BTreeMap<String, Field>,
}

/// One field, in the words of `fields_get`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// `char`, `many2one`, … as Odoo's `type`.
    #[serde(rename = "type")]
    pub ttype: String,
    /// Label (`string`).
    #[serde(default, rename = "string")]
    pub label: String,
    /// Odoo refuses a record without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Cannot be written (computed, or kept by Odoo).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub readonly: bool,
    /// In the database: can be searched and read in bulk.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub store: bool,
    /// Odoo fills it at `create` when it is not sent (from `default_get`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_default: bool,
    /// Model of the other side of a relation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relation: Option<String>,
    /// Options of a selection: value and label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selection: Vec<(String, String)>,
    /// Differs by language.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub translate: bool,
    /// Longest text (`size`), where there is a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
}

impl Models {
    /// A model's field.
    #[must_use]
    pub fn field(&self, model: &str, field: &str) -> Option<&Field> {
        self.models.get(model)?.fields.get(field)
    }
}
