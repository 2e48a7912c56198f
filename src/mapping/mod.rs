//! The mapping language: parse, merge, compile, check, evaluate. Pure: no IO, no clock, no randomness.
//!
//! The way of a spec: [`document`] text → spec; [`catalogue`] + [`merge`] → [`Merged`]; [`compile`] → [`Compiled`] with
//! findings and, without an Error, a [`Mapping`]. The way of a record: [`Object::items`] (each, let, where, key), then
//! [`Object::map`] (fields) with the records found by [`Lookups`].

pub mod catalogue;
pub mod cel;
mod check;
pub mod commercial;
pub mod compare;
pub mod compile;
mod created;
pub mod discover;
pub mod document;
mod evaluate;
mod fields;
mod findings;
mod graph;
pub mod join;
mod lookups;
pub mod merge;
mod names;
pub mod nearest;
pub mod object;
pub mod path;
pub mod read;
mod rules;
mod samples;
pub mod scope;
mod standing;
#[cfg(test)]
mod testing;
mod yaml;

pub use object::{Destination, Document, Goes, InOdoo, Item, Mapping, Object};

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::mapping_spec::{
        Access, FieldType, Finding, MappingSpecSpec, OnConflict, OnMissing, OnNew, OnSourceDelete, Platform,
    },
    model::{Digest, Fetched, OdooModel, OdooValue, Record, Reference, Rejection, SourceKey},
    odoo::models::Models,
};

/// A spec with everything it extends merged in.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The whole spec; `extends`, `remove` are gone.
    pub spec: MappingSpecSpec,
    /// Digest of its canonical JSON: what people confirm.
    pub digest: Digest,
    /// The platform records come from.
    pub platform: Platform,
}

/// What compiling may look at.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// Odoo's models: the bundled description, or what the server said.
    pub models: &'a Models,
    /// Whether `models.modules` is what a server said; then `when` is evaluated and objects stand down.
    pub odoo_known: bool,
    /// What the source has. `None`: not looked yet, the platform's documented shapes stand in.
    pub source: Option<&'a BTreeMap<String, SourceShape>>,
}

/// What is known of a source object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceShape {
    /// Where it lies, for messages: `exports/contact.csv`.
    pub place: String,
    /// Field names.
    pub fields: Vec<String>,
    /// Up to 1,000 records: CEL is tried on them.
    pub samples: Vec<Record>,
    /// The fields that are custom: those a connector declares, of a file all; with what their values were seen to be.
    pub custom: Vec<discover::Candidate>,
    /// The values of every record were looked at.
    pub whole: bool,
    /// Rows that cannot be read, among those that were looked at, and what is wrong with the first.
    pub broken: Option<(i64, String)>,
}

/// What compiling gives.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Most severe first, then by path.
    pub findings: Vec<Finding>,
    /// The mapping; `None` where a finding is an Error.
    pub mapping: Option<Mapping>,
    /// The spec with the custom fields that were discovered; `None` where there were none.
    pub spec: Option<MappingSpecSpec>,
    /// Fields of each source object that nothing reads or ignores.
    pub unmapped: BTreeMap<String, Vec<String>>,
    /// Fields of each source object that some object reads.
    pub read: BTreeMap<String, BTreeSet<String>>,
    /// Rows that arrive one to one, of all rows.
    pub compatibility: (usize, usize),
    /// `A` to `D`; `None` while there is an Error.
    pub grade: Option<char>,
}

/// A destination field as the mapping writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetField {
    /// Name in the model.
    pub name: String,
    /// Odoo's type, such as `many2one`.
    pub ttype: String,
    /// Digits behind the point that a float is rounded to.
    pub digits: Option<u32>,
}

impl TargetField {
    /// A field that rounds nothing.
    #[must_use]
    pub fn new(name: &str, ttype: &str) -> Self {
        Self {
            name: name.to_owned(),
            ttype: ttype.to_owned(),
            digits: None,
        }
    }
}

/// The lines of a one2many field, as the mapping writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFields {
    /// The one2many field.
    pub field: String,
    /// Model of the lines.
    pub model: OdooModel,
    /// Every field of a line that it may write, once each.
    pub targets: Vec<TargetField>,
    /// Fields of a line that are compared at read-back only.
    pub checks: Vec<TargetField>,
}

impl LineFields {
    /// Every field of a line that the read-back looks at.
    #[must_use]
    pub fn read_back(&self) -> Vec<TargetField> {
        [self.targets.as_slice(), &self.checks].concat()
    }
}

/// A custom model to be made before its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomModel {
    /// Name, `x_…`.
    pub model: OdooModel,
    /// Label.
    pub label: String,
    /// What it is for.
    pub help: String,
    /// Groups, by external id, and what they may do.
    pub access: BTreeMap<String, Access>,
    /// External id of the menu below which it is found.
    pub menu: Option<String>,
}

/// A custom field to be made before data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomField {
    /// Model it belongs to.
    pub model: OdooModel,
    /// Name, `x_…`.
    pub name: String,
    /// Type.
    pub type_: FieldType,
    /// Label.
    pub label: String,
    /// Tooltip.
    pub help: String,
    /// Options of a Selection, value to label; empty where they are the distinct mapped values of the source.
    pub options: BTreeMap<String, String>,
    /// Model that a Many2one or a Many2many refers to.
    pub relation: Option<OdooModel>,
}

/// A lookup that an object does. Its place in [`Object::lookups`] is its number in [`Lookups::find`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupSpec {
    /// `to` of the field.
    pub field: String,
    /// Where it looks.
    pub target: LookupTarget,
    /// The field that leads on from the record found.
    pub take: Option<Take>,
}

/// A many2one field that leads on from a record that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// Model of the record found.
    pub model: OdooModel,
    /// Its field.
    pub field: String,
}

/// Where a lookup looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupTarget {
    /// A record of an object of the mapping.
    Object {
        /// The object.
        object: String,
        /// Path of its source, as text; `None`: its key.
        by: Option<String>,
    },
    /// A record of a model.
    Model {
        /// The model.
        model: OdooModel,
        /// The field; `id` means external id.
        by: String,
        /// Further fields, dotted ones too, in the order of the values given to [`Lookups::find`].
        within: Vec<String>,
    },
}

impl LookupTarget {
    /// Object of this spec, or model of Odoo.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Object { object, .. } => object,
            Self::Model { model, .. } => &model.0,
        }
    }
}

/// Finds records for values. Implementations normalise text with [`compare::normal`].
pub trait Lookups {
    /// The record for `value` by the lookup of that number: canonical text, or the escaped key where the target is an
    /// object without `by` (as [`Item::key`] has it). `within` has one entry per field of the target's `within`.
    fn find(&self, lookup: usize, value: &str, within: &[Option<String>]) -> Found;

    /// What became of the content that a record names; `None`: it was never asked for.
    fn content(&self, reference: &str) -> Option<Fetched>;

    /// Whether what is not found may still come: then a value with `onMissing: Defer` is left open.
    fn may_come(&self) -> bool {
        false
    }

    /// What a lookup without an `onMissing` of its own does where it goes to an object with `onNew: Hold`.
    fn owners(&self) -> OnMissing {
        OnMissing::Hold
    }
}

/// What a lookup found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The record.
    One(Reference),
    /// Nothing.
    None,
    /// Several, which are none.
    Several,
    /// A record of the object itself that comes later in this run: the record is tried again after it.
    Later,
    /// A record of this key that is held: it is to be in Odoo, and is not there yet.
    Held(SourceKey),
    /// The record that asks, as the first with this value: nothing is missing (a conversation hangs on its first message).
    Itself,
}

/// What became of a source record before its fields are looked at.
#[derive(Clone, Debug)]
pub enum Step {
    /// `where` refused it.
    Filtered,
    /// It cannot be used: no key, a failing expression.
    Rejected {
        /// Key, where there is one.
        key: Option<SourceKey>,
        /// Why.
        rejection: Rejection,
    },
    /// An item to map.
    Item(Item),
}

/// What mapping an item gave.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The values to write.
    Mapped(Mapped),
    /// It is refused.
    Rejected(Rejection),
    /// It needs a record of its own object that comes later.
    Later,
    /// It waits for these, which are not in Odoo; at least one.
    Held(Vec<Awaited>),
}

/// A record that is not in Odoo and that another waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// Object of this spec, or model of Odoo, that it is looked for in.
    pub object: String,
    /// Its key, where it is one of this spec that is held.
    pub key: Option<SourceKey>,
    /// Field and value that refer to it.
    pub why: Rejection,
}

/// The values of one record.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapped {
    /// Field name to value, in the order of the model's fields in the mapping. A field that is skipped is not there.
    pub values: Vec<(String, OdooValue)>,
    /// Values that are not written, only compared at read-back.
    pub checks: Vec<(String, OdooValue)>,
    /// Departures from the source that are allowed: emptied values, cut fractions, ambiguous lookups.
    pub notes: Vec<Rejection>,
    /// Fields left open until what they refer to is there; they are not among the values.
    pub deferred: Vec<String>,
    /// What emptied values wait for: they are filled when it is there.
    pub awaits: Vec<Awaited>,
}
