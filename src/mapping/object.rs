//! One compiled object: from a source record to items, from an item to values.

use std::{collections::BTreeSet, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    CustomField, CustomModel, LineFields, LookupSpec, LookupTarget, Lookups, Mapped, OnConflict, OnNew, OnSourceDelete,
    Outcome, Step, TargetField,
    cel::{Environment, Expression},
    commercial,
    evaluate::{Evaluation, Source, Stop, Target, reference},
    findings::shortened,
    join::Join,
    path::Path,
    read::{Formats, canonical_text, read},
    scope::{Each, Scope},
};
use crate::model::{OdooModel, OdooValue, Record, Rejection, SourceKey, Value, record::is_empty};

/// A compiled mapping: its objects in load order, those that stand down left out.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    /// Stable topological order.
    pub objects: Vec<Object>,
}

impl Mapping {
    /// An object.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.name == name)
    }

    /// The objects whose records go into Odoo.
    pub fn in_odoo(&self) -> impl Iterator<Item = InOdoo<'_>> {
        self.objects.iter().filter_map(Object::in_odoo)
    }
}

/// A compiled object.
#[derive(Clone, Debug)]
pub struct Object {
    /// Name in the mapping.
    pub name: String,
    /// What its records become.
    pub destination: Destination,
    /// Source object it reads.
    pub source_object: String,
    /// Path that orders its records, as text.
    pub order_by: Option<String>,
    /// What happens when nothing matched.
    pub on_new: OnNew,
    /// What happens to a record that the source no longer has.
    pub on_source_delete: OnSourceDelete,
    /// What happens to a value of a person's.
    pub on_conflict: OnConflict,
    /// Destination fields that recognise a record already in Odoo; tried in order.
    pub match_on: Vec<Vec<String>>,
    /// Destination fields on which records agree that are one; each entry by itself.
    pub dedupe: Vec<Vec<String>>,
    /// Every destination field it may write, once each.
    pub targets: Vec<TargetField>,
    /// Fields that are not written, only compared at read-back.
    pub checks: Vec<TargetField>,
    /// The one2many fields among them.
    pub lines: Vec<LineFields>,
    /// Every lookup it does; the place is its number.
    pub lookups: Vec<LookupSpec>,
    /// The custom model it creates.
    pub custom_model: Option<CustomModel>,
    /// Custom fields it creates.
    pub custom_fields: Vec<CustomField>,
    pub(super) plan: Arc<Plan>,
}

/// What the records of an object become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Records of a model of Odoo.
    Model(OdooModel),
    /// Rows of a document that is handed over.
    Document(Document),
}

/// A document that is handed over instead of records in Odoo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its name, as in its file's.
    pub name: String,
    /// Title that people see.
    pub label: String,
    /// What it is for, and what to do with it.
    pub help: Option<String>,
}

impl Document {
    /// Its file in the workspace.
    #[must_use]
    pub fn path(&self) -> String {
        format!("handover/{}.csv", self.name)
    }
}

/// The model, or the document's file: what tables show.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(model) => model.fmt(f),
            Self::Document(document) => f.write_str(&document.path()),
        }
    }
}

/// An object whose records go into Odoo, with their model. It is the object in all else.
#[derive(Clone, Copy, Debug)]
pub struct InOdoo<'a> {
    /// Model its records become.
    pub model: &'a OdooModel,
    object: &'a Object,
}

/// Where an object goes, with what that takes.
#[derive(Clone, Copy, Debug)]
pub enum Goes<'a> {
    /// Into Odoo.
    InOdoo(InOdoo<'a>),
    /// Into a document.
    Document(&'a Document),
}

impl std::ops::Deref for InOdoo<'_> {
    type Target = Object;

    fn deref(&self) -> &Object {
        self.object
    }
}

/// What evaluating needs, shared by every copy of an object and its items.
pub(super) struct Plan {
    pub object: String,
    pub env: Arc<Environment>,
    pub formats: Arc<Formats>,
    pub joins: Vec<Join>,
    pub each: Option<Path>,
    /// In the order they need each other.
    pub lets: Vec<(String, Expression)>,
    pub filter: Option<Expression>,
    pub key: Vec<KeyPart>,
    pub targets: Vec<Target>,
    /// A document without fields: every source field but those that are left behind on purpose.
    pub every_field_but: Option<Vec<String>>,
}

/// A part of the key.
#[derive(Debug)]
pub(super) struct KeyPart {
    pub path: Path,
    /// As in the spec.
    pub text: String,
    /// It names what `key([…])` gave: canonical already.
    pub canonical: bool,
}

/// Whether a part of a key names an id, by the last name of each of its alternatives.
fn is_id(part: &str) -> bool {
    const NAMES: [&str; 6] = ["id", "uuid", "guid", "code", "key", "number"];
    const ENDS: [&str; 5] = ["_id", "Id", "_uuid", "Uuid", "_guid"];
    part.split('|').all(|path| {
        let name = path.trim().rsplit('.').next().unwrap_or_default();
        NAMES.contains(&name.to_ascii_lowercase().as_str()) || ENDS.iter().any(|end| name.ends_with(end))
    })
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("object", &self.object)
            .finish_non_exhaustive()
    }
}

/// One item of a record: what becomes one record of the destination.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its key, escaped: the external id's tail.
    pub key: SourceKey,
    seen: Seen,
}

/// What paths and expressions see.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub record: Arc<Record>,
    pub lets: Record,
    pub each: Option<Element>,
    /// What the lets did not keep as it is.
    pub notes: Vec<Rejection>,
}

/// An element of `each`, its own: an item outlives the reading of its record.
#[derive(Clone, Debug)]
pub(super) struct Element {
    pub item: Value,
    pub parent: Value,
    pub index: i64,
}

impl Seen {
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            record: &self.record,
            lets: &self.lets,
            each: self.each.as_ref().map(|element| Each {
                item: &element.item,
                parent: &element.parent,
                index: element.index,
            }),
            line: None,
        }
    }
}

/// Where a record stands in the order of its object: numbers, then times and text, then those without a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Order {
    /// A number, as bits that sort as the number does.
    Number(i64),
    /// A point in time in UTC, or other text.
    Text(String),
    /// No value.
    Nothing,
}

impl Order {
    /// Bytes that sort as the places do.
    #[must_use]
    pub fn sorting_bytes(&self) -> Vec<u8> {
        match self {
            Self::Number(bits) => [&[0][..], &(bits.cast_unsigned() ^ (1 << 63)).to_be_bytes()].concat(),
            Self::Text(text) => [&[1][..], text.as_bytes(), &[0]].concat(),
            Self::Nothing => vec![2],
        }
    }
}

impl Item {
    pub(super) const fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Canonical text at a path of its source; `None` where it is empty. What indexes for `lookup: {object, by}` hold.
    #[must_use]
    pub fn text_at(&self, path: &Path) -> Option<String> {
        let value = path.resolve(&self.seen.scope());
        (!is_empty(Some(&value))).then(|| canonical_text(&value))
    }
}

/// Bits that sort as the number does.
#[expect(clippy::cast_possible_wrap, reason = "the bits are meant, not the number")]
fn sorting_bits(number: f64) -> i64 {
    let bits = (number + 0.0).to_bits() as i64;
    bits ^ (((bits >> 63).cast_unsigned()) >> 1).cast_signed()
}

impl Object {
    /// Where a record stands by a path. Dates and times are read as `formats` says.
    #[must_use]
    pub fn order_of(&self, record: &Record, path: &Path) -> Order {
        let lets = Record::new();
        let scope = Scope {
            record,
            lets: &lets,
            each: None,
            line: None,
        };
        let value = path.resolve(&scope);
        if is_empty(Some(&value)) {
            return Order::Nothing;
        }
        let text = canonical_text(&value);
        if let Some(number) = text.trim().parse::<f64>().ok().filter(|number| number.is_finite()) {
            return Order::Number(sorting_bits(number));
        }
        match read("datetime", &[], &self.plan.formats, &value) {
            Ok(done) => match done.value {
                OdooValue::DateTime(time) => Order::Text(time),
                _ => Order::Text(text),
            },
            Err(_) => Order::Text(text),
        }
    }

    /// Each, let, where, key: what one source record gives. The record is shared, not copied.
    #[must_use]
    pub fn items(&self, record: &Arc<Record>) -> Vec<Step> {
        match &self.plan.each {
            None => vec![self.step(record, None)],
            Some(each) => {
                let bare = Seen {
                    record: Arc::clone(record),
                    lets: Record::new(),
                    each: None,
                    notes: Vec::new(),
                };
                let elements = each.each(&bare.scope()).into_iter().map(|element| Element {
                    item: element.item.into_owned(),
                    parent: element.parent.into_owned(),
                    index: element.index,
                });
                elements.map(|element| self.step(record, Some(element))).collect()
            }
        }
    }

    fn step(&self, record: &Arc<Record>, each: Option<Element>) -> Step {
        let mut seen = Seen {
            record: Arc::clone(record),
            lets: Record::new(),
            each,
            notes: Vec::new(),
        };
        let plan = &self.plan;
        for (name, expression) in &plan.lets {
            match expression.evaluate_noting(&plan.env, &seen.scope()) {
                Ok((value, cut)) => {
                    seen.lets.insert(name.clone(), value);
                    seen.notes.extend(cut.map(|code| {
                        let message = format!("{}.let.{name}: the expression did not keep a value as it is", self.name);
                        Rejection::new(code, format!("let.{name}"), message)
                    }));
                }
                Err(message) => return self.failed(&seen, &format!("let.{name}"), expression, &message),
            }
        }
        if let Some(filter) = &plan.filter {
            match filter.condition(&plan.env, &seen.scope()) {
                Ok(true) => {}
                Ok(false) => return Step::Filtered,
                Err(message) => return self.failed(&seen, "where", filter, &message),
            }
        }
        match self.key(&seen.scope()) {
            Ok(key) => Step::Item(Item { key, seen }),
            Err(part) => Step::Rejected {
                key: None,
                rejection: Rejection::new("NoKey", part, format!("{}: the key has no value at {part}", self.name)),
            },
        }
    }

    fn failed(&self, seen: &Seen, field: &str, expression: &Expression, message: &str) -> Step {
        let message = format!(
            "{}.{field}: {message} in {}",
            self.name,
            shortened(expression.source(), 200)
        );
        Step::Rejected {
            key: self.key(&seen.scope()).ok(),
            rejection: Rejection::new("Expression", field, message),
        }
    }

    /// The key, or the part that is empty.
    pub(super) fn key(&self, scope: &Scope<'_>) -> Result<SourceKey, &str> {
        key_of(&self.plan.key, scope)
    }

    /// Where it goes.
    #[must_use]
    pub const fn goes(&self) -> Goes<'_> {
        match &self.destination {
            Destination::Model(model) => Goes::InOdoo(InOdoo { model, object: self }),
            Destination::Document(document) => Goes::Document(document),
        }
    }

    /// The object with its model, where its records go into Odoo.
    #[must_use]
    pub const fn in_odoo(&self) -> Option<InOdoo<'_>> {
        match self.goes() {
            Goes::InOdoo(object) => Some(object),
            Goes::Document(_) => None,
        }
    }

    /// The columns of a document, in order; `None` where they are the fields of the source, which [`Object::fields_of`] names.
    #[must_use]
    pub fn columns(&self) -> Option<Vec<String>> {
        let named = || self.targets.iter().map(|target| target.name.clone()).collect();
        self.plan.every_field_but.is_none().then(named)
    }

    /// The fields of a record that a document without fields takes: those of the source, joined rows are not.
    pub fn fields_of<'a>(&'a self, record: &'a Record) -> impl Iterator<Item = &'a str> {
        let ignored = self.plan.every_field_but.as_deref().unwrap_or_default();
        let names = record.keys().map(String::as_str);
        let element = self.has_each() && !record.contains_key(ELEMENT);
        let joined = |name: &str| self.plan.joins.iter().any(|join| join.name == name);
        names
            .filter(move |name| !joined(name) && !ignored.iter().any(|pattern| covers(pattern, name)))
            .chain(element.then_some(ELEMENT))
    }

    /// Every field as text, as a document without fields has it.
    fn every_field(&self, seen: &Seen) -> Outcome {
        let mut values = Vec::new();
        for name in self.fields_of(&seen.record) {
            let element = seen.each.as_ref().map(|element| &element.item);
            let value = seen.record.get(name).or(element).unwrap_or(&Value::Null);
            match read("text", &[], &self.plan.formats, value) {
                Ok(done) => values.push((name.to_owned(), done.value)),
                Err(unreadable) => {
                    let message = format!("{}.{name}: {}", self.name, unreadable.message);
                    return Outcome::Rejected(Rejection::new(unreadable.code, name, message));
                }
            }
        }
        Outcome::Mapped(Mapped {
            values,
            checks: Vec::new(),
            notes: seen.notes.clone(),
            deferred: Vec::new(),
            awaits: Vec::new(),
        })
    }

    /// Fields.
    #[must_use]
    pub fn map(&self, item: &Item, lookups: &dyn Lookups) -> Outcome {
        if self.plan.every_field_but.is_some() {
            return self.every_field(&item.seen);
        }
        let scope = item.seen.scope();
        let mut evaluation = Evaluation::new(&self.plan, &scope, lookups, &item.key);
        evaluation.notes.clone_from(&item.seen.notes);
        let mut values = Vec::with_capacity(self.plan.targets.len());
        let mut checks = Vec::new();
        for target in &self.plan.targets {
            match evaluation.target(target) {
                Ok(Some(value)) if target.check => checks.push((target.name.clone(), value)),
                Ok(Some(value)) => {
                    let companion = evaluation.companion(target, &value);
                    values.push((target.name.clone(), value));
                    values.extend(companion);
                }
                Ok(None) => {}
                Err(Stop::Rejected(rejection)) => return Outcome::Rejected(rejection),
                Err(Stop::Later) => return Outcome::Later,
            }
        }
        if evaluation.held > 0 {
            return Outcome::Held(evaluation.awaits);
        }
        if let Destination::Model(model) = &self.destination {
            commercial::note(&model.0, &values, &mut evaluation.notes);
        }
        Outcome::Mapped(Mapped {
            values,
            checks,
            notes: evaluation.notes,
            deferred: evaluation.deferred,
            awaits: evaluation.awaits,
        })
    }

    /// Whether it takes content.
    #[must_use]
    pub fn fetches(&self) -> bool {
        self.fetched_paths().next().is_some()
    }

    /// What names the content that an item takes, or may take where an earlier part has none.
    #[must_use]
    pub fn references(&self, item: &Item) -> Vec<String> {
        let scope = item.seen.scope();
        let named = self.fetched_paths().filter_map(|path| reference(&path.resolve(&scope)));
        named.collect()
    }

    fn fetched_paths(&self) -> impl Iterator<Item = &Path> {
        let parts = self.plan.targets.iter().flat_map(|target| &target.parts);
        parts.filter_map(|part| match &part.source {
            Source::Fetch(path) => Some(path),
            Source::Path(_) | Source::Cel(_) | Source::Constant(_) | Source::Lines(_) | Source::Nothing => None,
        })
    }

    /// Every field that the read-back looks at.
    #[must_use]
    pub fn read_back(&self) -> Vec<TargetField> {
        [self.targets.as_slice(), &self.checks].concat()
    }

    /// Whether its keys are ids, rather than values of the records themselves: a name, an address.
    #[must_use]
    pub fn has_ids_for_keys(&self) -> bool {
        self.plan.key.iter().all(|part| is_id(&part.text))
    }

    /// Whether its records refer to records of its own.
    #[must_use]
    pub fn is_self_referring(&self) -> bool {
        self.lookups
            .iter()
            .any(|lookup| matches!(&lookup.target, LookupTarget::Object { object, .. } if *object == self.name))
    }

    /// Whether values of its records may be filled in a second pass.
    #[must_use]
    pub fn defers(&self) -> bool {
        self.plan.targets.iter().any(Target::defers)
    }

    /// Whether one source record gives an item for every element of a list.
    #[must_use]
    pub fn has_each(&self) -> bool {
        self.plan.each.is_some()
    }

    /// Objects that its lookups go to, once each.
    #[must_use]
    pub fn lookup_objects(&self) -> BTreeSet<&str> {
        let targets = self.lookups.iter().map(|lookup| &lookup.target);
        targets
            .filter_map(|target| match target {
                LookupTarget::Object { object, .. } => Some(object.as_str()),
                LookupTarget::Model { .. } => None,
            })
            .collect()
    }

    /// Whether it creates Selection fields whose options are what the source has.
    #[must_use]
    pub fn collects_options(&self) -> bool {
        self.plan.targets.iter().any(|target| target.collects)
    }

    /// The values of Selection fields that are created without options: what the rehearsal collects as their options.
    pub fn options_met<'a>(&'a self, mapped: &'a Mapped) -> impl Iterator<Item = (&'a str, &'a str)> {
        let open = |name: &str| {
            self.plan
                .targets
                .iter()
                .any(|target| target.name == name && target.collects)
        };
        mapped.values.iter().filter_map(move |(name, value)| match value {
            OdooValue::Text(text) if open(name) => Some((name.as_str(), text.as_str())),
            _ => None,
        })
    }
}

/// Column of the element, in a document without fields over the elements of a list.
const ELEMENT: &str = "item";

/// Whether a name of `ignore` covers a field.
pub(super) fn covers(pattern: &str, field: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == field, |stem| field.starts_with(stem))
}

/// The key that parts give, or the part that is empty.
pub(super) fn key_of<'a>(parts: &'a [KeyPart], scope: &Scope<'_>) -> Result<SourceKey, &'a str> {
    let mut text = String::new();
    for (place, part) in parts.iter().enumerate() {
        let value = part.path.resolve(scope);
        if is_empty(Some(&value)) {
            return Err(&part.text);
        }
        if place > 0 {
            text.push_str("__");
        }
        text.push_str(&key_text(&value, part.canonical).0);
    }
    Ok(SourceKey(text))
}

/// The canonical key of a value; what `key([…])` gave is one already.
pub(super) fn key_text(value: &Value, canonical: bool) -> SourceKey {
    let text = canonical_text(value);
    if canonical
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    {
        SourceKey(text)
    } else {
        SourceKey::of_parts([text.as_str()])
    }
}

#[cfg(test)]
mod tests;
