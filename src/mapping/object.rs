//! One compiled object: from a source record to items, from an item to values.

use super::{CustomField, LookupSpec, Lookups, OnNew, Outcome, Step, TargetField};
use crate::model::{OdooModel, Record, SourceKey};

/// A compiled mapping: its objects in load order, those that stand down left out.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    /// Stable topological order.
    pub objects: Vec<Object>,
}

/// A compiled object.
#[derive(Clone, Debug)]
pub struct Object {
    /// Name in the mapping.
    pub name: String,
    /// Model its records become.
    pub model: OdooModel,
    /// Source object it reads.
    pub source_object: String,
    /// Path that orders its records, as text.
    pub order_by: Option<String>,
    /// What happens when nothing matched.
    pub on_new: OnNew,
    /// Destination fields that recognise a record already in Odoo; tried in order.
    pub match_on: Vec<Vec<String>>,
    /// Every destination field it may write, once each.
    pub targets: Vec<TargetField>,
    /// Every lookup it does; the place is its number.
    pub lookups: Vec<LookupSpec>,
    /// Custom fields it creates.
    pub custom_fields: Vec<CustomField>,
}

/// One item of a record: what becomes one record of the destination.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its key, escaped: the external id's tail.
    pub key: SourceKey,
}

impl Object {
    /// Each, let, where, key: what one source record gives.
    #[must_use]
    pub fn items(&self, _record: &Record) -> Vec<Step> {
        Vec::new()
    }

    /// Fields.
    #[must_use]
    pub fn map(&self, _item: &Item, _lookups: &dyn Lookups) -> Outcome {
        Outcome::Later
    }
}
