//! The value of a field: source → values → default → lookup, or reading as the field's type → onEmpty.

use std::{borrow::Cow, collections::HashMap};

use super::{
    Found, Lookups,
    cel::Expression,
    findings::shortened,
    object::{Plan, key_text},
    path::{Path, as_list},
    read::{canonical_text, read},
    scope::Scope,
};
use crate::{
    api::mapping_spec::{OnEmpty, OnMissing},
    model::{OdooValue, Reference, Rejection, Value, record::is_empty},
};

/// Longest piece of a value that a message quotes, in characters.
const QUOTED_MAX: usize = 200;

/// A destination field.
#[derive(Debug)]
pub(super) struct Target {
    pub name: String,
    pub ttype: String,
    /// Options of a selection.
    pub options: Vec<(String, String)>,
    /// A selection made without options: every value is one.
    pub collects: bool,
    /// Longest text.
    pub size: Option<usize>,
    /// At least one.
    pub parts: Vec<Part>,
}

/// One entry that feeds a field.
#[derive(Debug)]
pub(super) struct Part {
    /// `to`, with the part where there is one.
    pub label: String,
    pub source: Source,
    pub values: Option<Values>,
    pub default: Option<Value>,
    pub lookup: Option<Lookup>,
    pub on_missing: OnMissing,
    pub on_empty: OnEmpty,
}

#[derive(Debug)]
pub(super) enum Source {
    Path(Path),
    Cel(Expression),
    Constant(Value),
    /// The field is emptied.
    Nothing,
}

/// A value map.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub known: HashMap<String, Value>,
    /// `*`.
    pub any_other: Option<Value>,
}

#[derive(Debug)]
pub(super) struct Lookup {
    /// Place in the object's lookups.
    pub number: usize,
    /// What it looks into, for messages: `stages`, `crm.stage by name`.
    pub words: String,
    /// It wants a key of an object.
    pub by_key: bool,
    /// The value is what `key([…])` gave.
    pub canonical: bool,
    pub within: Vec<Path>,
}

/// Why an item gives no values.
#[derive(Debug)]
pub(super) enum Stop {
    Rejected(Rejection),
    Later,
}

/// One item being mapped.
pub(super) struct Evaluation<'a> {
    plan: &'a Plan,
    scope: &'a Scope<'a>,
    lookups: &'a dyn Lookups,
    /// Departures that are allowed.
    pub notes: Vec<Rejection>,
}

impl<'a> Evaluation<'a> {
    pub fn new(plan: &'a Plan, scope: &'a Scope<'a>, lookups: &'a dyn Lookups) -> Self {
        Self {
            plan,
            scope,
            lookups,
            notes: Vec::new(),
        }
    }

    /// The value of a field; `None`: it is left alone.
    pub fn target(&mut self, target: &Target) -> Result<Option<OdooValue>, Stop> {
        let value = if target.ttype == "many2many" {
            self.union(target)?
        } else {
            self.first(target)?
        };
        if value.is_some() {
            return Ok(value);
        }
        let Some(last) = target.parts.last() else {
            return Ok(None);
        };
        match last.on_empty {
            OnEmpty::Skip => Ok(None),
            OnEmpty::Reject => {
                let message = format!("{}.{}: there is no value", self.plan.object, last.label);
                Err(Stop::Rejected(Rejection::new("Empty", last.label.as_str(), message)))
            }
            OnEmpty::Clear => Ok(Some(match target.ttype.as_str() {
                "integer" | "float" | "monetary" if target.name.starts_with("x_") => {
                    self.note(last, "ZeroForEmpty", "Odoo has no empty number: it shows 0");
                    OdooValue::Empty
                }
                "boolean" => OdooValue::Boolean(false),
                "many2many" => OdooValue::Links(Vec::new()),
                _ => OdooValue::Empty,
            })),
        }
    }

    /// The first part with a value. What an earlier part could not find stays noted: the value is another one now.
    fn first(&mut self, target: &Target) -> Result<Option<OdooValue>, Stop> {
        for part in &target.parts {
            if let Some(value) = self.single(target, part)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// One entry alone, as checks try it.
    pub fn part(&mut self, target: &Target, part: &Part) -> Result<(), Stop> {
        if target.ttype == "many2many" {
            return self.links(part).map(|_| ());
        }
        self.single(target, part).map(|_| ())
    }

    fn union(&mut self, target: &Target) -> Result<Option<OdooValue>, Stop> {
        let mut links: Vec<Reference> = Vec::new();
        for part in &target.parts {
            links.extend(self.links(part)?);
        }
        links.sort_unstable();
        links.dedup();
        Ok((!links.is_empty()).then_some(OdooValue::Links(links)))
    }

    fn links(&mut self, part: &Part) -> Result<Vec<Reference>, Stop> {
        let separator = self.plan.formats.list();
        let value = self.source(part)?;
        let mut texts = self.through_values(part, as_list(&value, separator))?;
        if texts.is_empty()
            && let Some(default) = &part.default
        {
            texts = as_list(default, separator);
        }
        let mut links = Vec::with_capacity(texts.len());
        for text in texts {
            links.extend(self.find(part, &text)?);
        }
        Ok(links)
    }

    fn single(&mut self, target: &Target, part: &Part) -> Result<Option<OdooValue>, Stop> {
        let mut value = self.source(part)?;
        if part.values.is_some() {
            value = match value.into_owned() {
                Value::Array(list) => Cow::Owned(Value::Array(self.through_values(part, list)?)),
                one => Cow::Owned(self.through_values(part, vec![one])?.pop().unwrap_or(Value::Null)),
            };
        }
        if is_empty(Some(&value)) {
            match &part.default {
                Some(default) if !is_empty(Some(default)) => value = Cow::Borrowed(default),
                _ => return Ok(None),
            }
        }
        if part.lookup.is_some() {
            return Ok(self.find(part, &value)?.map(OdooValue::Link));
        }
        self.read(target, part, &value)
    }

    fn source<'b>(&mut self, part: &'b Part) -> Result<Cow<'b, Value>, Stop>
    where
        'a: 'b,
    {
        Ok(match &part.source {
            Source::Path(path) => path.resolve(self.scope),
            Source::Constant(value) => Cow::Borrowed(value),
            Source::Nothing => Cow::Owned(Value::Null),
            Source::Cel(expression) => match expression.evaluate_noting(&self.plan.env, self.scope) {
                Ok((value, cut)) => {
                    if let Some(code) = cut {
                        self.note(part, code, "the expression did not keep a value as it is");
                    }
                    Cow::Owned(value)
                }
                Err(message) => {
                    let message = format!(
                        "{}.{}: {message} in {}",
                        self.plan.object,
                        part.label,
                        shortened(expression.source(), QUOTED_MAX)
                    );
                    return Err(Stop::Rejected(Rejection::new(
                        "Expression",
                        part.label.as_str(),
                        message,
                    )));
                }
            },
        })
    }

    /// Each value through the map; those that end up empty are left out.
    fn through_values(&mut self, part: &Part, list: Vec<Value>) -> Result<Vec<Value>, Stop> {
        let Some(values) = &part.values else {
            return Ok(list.into_iter().filter(|value| !is_empty(Some(value))).collect());
        };
        let mut mapped = Vec::with_capacity(list.len());
        for value in list {
            if is_empty(Some(&value)) {
                continue;
            }
            let to = values
                .known
                .get(canonical_text(&value).as_str())
                .or(values.any_other.as_ref());
            match to {
                Some(to) if is_empty(Some(to)) => {}
                Some(to) => mapped.push(to.clone()),
                // the lookup decides, or the text is kept as the author said
                None if part.lookup.is_some() || part.on_missing == OnMissing::Keep => mapped.push(value),
                None => self.missing(part, "NotInMap", &format!("{} is not in values", quoted(&value)))?,
            }
        }
        Ok(mapped)
    }

    fn find(&mut self, part: &Part, value: &Value) -> Result<Option<Reference>, Stop> {
        let Some(lookup) = &part.lookup else { return Ok(None) };
        let text = if lookup.by_key {
            key_text(value, lookup.canonical).0
        } else {
            canonical_text(value)
        };
        let within: Vec<Option<String>> = lookup
            .within
            .iter()
            .map(|path| {
                let value = path.resolve(self.scope);
                (!is_empty(Some(&value))).then(|| canonical_text(&value))
            })
            .collect();
        match self.lookups.find(lookup.number, &text, &within) {
            Found::One(reference) => Ok(Some(reference)),
            Found::Later => Err(Stop::Later),
            Found::None => {
                self.missing(
                    part,
                    "NotFound",
                    &format!("{} is not in {}", quoted(value), lookup.words),
                )?;
                Ok(None)
            }
            Found::Several => {
                self.missing(
                    part,
                    "Ambiguous",
                    &format!("{} is there several times in {}", quoted(value), lookup.words),
                )?;
                Ok(None)
            }
        }
    }

    fn read(&mut self, target: &Target, part: &Part, value: &Value) -> Result<Option<OdooValue>, Stop> {
        let done = match read(&target.ttype, &target.options, &self.plan.formats, value) {
            Ok(done) => done,
            Err(unreadable) => {
                self.missing(part, unreadable.code, &unreadable.message)?;
                return Ok(None);
            }
        };
        if let (Some(size), OdooValue::Text(text)) = (target.size, &done.value)
            && text.chars().count() > size
        {
            self.missing(
                part,
                "TooLong",
                &format!("{} has more than {size} characters", quoted(value)),
            )?;
            return Ok(None);
        }
        if let Some(note) = done.note {
            self.note(part, note.code, &note.message);
        }
        Ok(Some(done.value))
    }

    /// A value without counterpart: rejects, or is emptied, noted.
    fn missing(&mut self, part: &Part, code: &str, message: &str) -> Result<(), Stop> {
        if part.on_missing == OnMissing::Empty {
            self.note(part, code, message);
            return Ok(());
        }
        let message = format!("{}.{}: {message}", self.plan.object, part.label);
        Err(Stop::Rejected(Rejection::new(code, part.label.as_str(), message)))
    }

    fn note(&mut self, part: &Part, code: &str, message: &str) {
        let message = format!("{}.{}: {message}", self.plan.object, part.label);
        self.notes.push(Rejection::new(code, part.label.as_str(), message));
    }
}

fn quoted(value: &Value) -> String {
    format!("{:?}", shortened(&canonical_text(value), QUOTED_MAX))
}

#[cfg(test)]
mod tests;
