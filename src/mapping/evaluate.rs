//! The value of a field: source → values → default → lookup, or reading as the field's type → onEmpty.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use super::{
    Awaited, Found, Lookups,
    cel::Expression,
    findings::shortened,
    object::{KeyPart, Plan, key_of, key_text},
    path::{Path, as_list},
    read::{canonical_text, read},
    scope::{Each, Scope},
};
use crate::{
    api::mapping_spec::{OnEmpty, OnMissing},
    model::{ExternalId, Fetched, Line, OdooValue, Reference, Rejection, SourceKey, Value, record::is_empty},
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
    /// Not written, only compared at read-back.
    pub check: bool,
    /// The field that holds the model of a `many2one_reference`.
    pub companion: Option<Companion>,
    /// At least one.
    pub parts: Vec<Part>,
}

impl Target {
    /// Whether its value, or one of its lines', may be left for a second pass.
    pub fn defers(&self) -> bool {
        self.parts.iter().any(|part| {
            let lines = matches!(&part.source, Source::Lines(lines) if lines.targets.iter().any(Self::defers));
            lines || part.on_missing == Some(OnMissing::Defer)
        })
    }
}

/// The field beside a `many2one_reference` that says of which model the record is.
#[derive(Debug)]
pub(super) struct Companion {
    pub name: String,
    /// Place in the object's lookups of the one into `ir.model`, where the companion is a link.
    pub lookup: Option<usize>,
    /// Model of the records that a lookup of that number finds.
    pub models: BTreeMap<usize, String>,
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
    /// As said.
    pub on_missing: Option<OnMissing>,
    pub on_empty: OnEmpty,
}

#[derive(Debug)]
pub(super) enum Source {
    Path(Path),
    Cel(Expression),
    Constant(Value),
    /// Content, by the name at the path.
    Fetch(Path),
    /// Lines of a one2many.
    Lines(Lines),
    /// The field is emptied.
    Nothing,
}

/// The lines of a one2many: one for each element.
#[derive(Debug)]
pub(super) struct Lines {
    pub part: String,
    pub each: Path,
    /// None: their place.
    pub key: Vec<KeyPart>,
    pub targets: Vec<Target>,
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
    pub place: Place,
    /// What it looks into, for messages: `stages`, `crm.stage by name`.
    pub words: String,
    /// Object or model of each of its numbers.
    pub targets: BTreeMap<usize, String>,
    /// One of them is an object with `onNew: Hold`.
    pub owners: bool,
    /// It wants a key of an object.
    pub by_key: bool,
    /// The value is what `key([…])` gave.
    pub canonical: bool,
    pub within: Vec<Path>,
}

/// Which of the object's lookups it is, by number.
#[derive(Debug)]
pub(super) enum Place {
    One(usize),
    /// Those of the kind at the path.
    Kind {
        path: Path,
        numbers: BTreeMap<String, Vec<usize>>,
    },
}

impl Lookup {
    /// Every one of the object's lookups that it may be.
    pub fn numbers(&self) -> Vec<usize> {
        match &self.place {
            Place::One(number) => vec![*number],
            Place::Kind { numbers, .. } => numbers.values().flatten().copied().collect(),
        }
    }
}

/// A record, and the number of the lookup that found it.
type FoundBy = (Reference, usize);

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
    /// Key of the item.
    key: &'a SourceKey,
    /// Departures that are allowed.
    pub notes: Vec<Rejection>,
    /// Fields left open: what they refer to may still come.
    pub deferred: Vec<String>,
    /// What is not in Odoo and is waited for.
    pub awaits: Vec<Awaited>,
    /// How many of those the record itself waits for.
    pub held: usize,
    /// The lookup that found the last single record.
    found_by: Option<usize>,
}

impl<'a> Evaluation<'a> {
    pub fn new(plan: &'a Plan, scope: &'a Scope<'a>, lookups: &'a dyn Lookups, key: &'a SourceKey) -> Self {
        Self {
            plan,
            scope,
            lookups,
            key,
            notes: Vec::new(),
            deferred: Vec::new(),
            awaits: Vec::new(),
            held: 0,
            found_by: None,
        }
    }

    /// The value of the companion of a field that was just evaluated.
    pub fn companion(&self, target: &Target, value: &OdooValue) -> Option<(String, OdooValue)> {
        let companion = target.companion.as_ref()?;
        let model = self
            .found_by
            .filter(|_| matches!(value, OdooValue::Link(_)))
            .and_then(|number| companion.models.get(&number));
        let value = match (model, companion.lookup) {
            (None, _) => OdooValue::Empty,
            (Some(model), None) => OdooValue::Text(model.clone()),
            // every model that has records is in ir.model
            (Some(model), Some(lookup)) => match self.lookups.find(lookup, model, &[]) {
                Found::One(reference) => OdooValue::Link(reference),
                Found::None | Found::Several | Found::Later | Found::Itself | Found::Held(_) => OdooValue::Empty,
            },
        };
        Some((companion.name.clone(), value))
    }

    /// The value of a field; `None`: it is left alone.
    pub fn target(&mut self, target: &Target) -> Result<Option<OdooValue>, Stop> {
        let open = self.left_open();
        let value = match target.ttype.as_str() {
            "many2many" => self.union(target)?,
            "one2many" => self.lines(target)?,
            _ => self.first(target)?,
        };
        if value.is_some() || self.left_open() > open {
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
                "one2many" => OdooValue::Lines(Vec::new()),
                _ => OdooValue::Empty,
            })),
        }
    }

    /// The first part with a value. What an earlier part could not find stays noted: the value is another one now. Where
    /// it may still come, later parts must not have their say before.
    fn first(&mut self, target: &Target) -> Result<Option<OdooValue>, Stop> {
        let open = self.left_open();
        for part in &target.parts {
            let value = self.single(target, part)?;
            if value.is_some() || self.left_open() > open {
                return Ok(value);
            }
        }
        Ok(None)
    }

    /// How many values are open: left for a second pass, or waited for with the whole record.
    const fn left_open(&self) -> usize {
        self.deferred.len() + self.held
    }

    /// One entry alone, as checks try it.
    pub fn part(&mut self, target: &Target, part: &Part) -> Result<(), Stop> {
        match (target.ttype.as_str(), &part.source) {
            ("many2many", _) => self.links(part).map(|_| ()),
            (_, Source::Lines(lines)) => self.lines_of(target, lines, &mut Vec::new()),
            _ => self.single(target, part).map(|_| ()),
        }
    }

    fn lines(&mut self, target: &Target) -> Result<Option<OdooValue>, Stop> {
        let mut all = Vec::new();
        for part in &target.parts {
            if let Source::Lines(lines) = &part.source {
                self.lines_of(target, lines, &mut all)?;
            }
        }
        Ok((!all.is_empty()).then_some(OdooValue::Lines(all)))
    }

    /// The lines of one part. What rejects a line rejects its record.
    fn lines_of(&mut self, target: &Target, lines: &Lines, all: &mut Vec<Line>) -> Result<(), Stop> {
        for (place, element) in lines.each.each(self.scope).iter().enumerate() {
            let scope = Scope {
                line: Some(Each {
                    item: &element.item,
                    parent: &element.parent,
                    index: element.index,
                }),
                ..*self.scope
            };
            let mut line = Evaluation::new(self.plan, &scope, self.lookups, self.key);
            let name = line.line_name(target, lines, place)?;
            if all.iter().any(|other| other.name == name) {
                let message = format!("{}.{}: two lines have one key", self.plan.object, target.name);
                return Err(Stop::Rejected(Rejection::new(
                    "DuplicateLine",
                    target.name.as_str(),
                    message,
                )));
            }
            let mut values = Vec::with_capacity(lines.targets.len());
            let mut checks = Vec::new();
            for target in &lines.targets {
                let value = line.target(target)?;
                if target.check {
                    checks.extend(value.map(|value| (target.name.clone(), value)));
                } else if let Some(value) = value {
                    let companion = line.companion(target, &value);
                    values.push((target.name.clone(), value));
                    values.extend(companion);
                }
            }
            self.notes.append(&mut line.notes);
            self.deferred.append(&mut line.deferred);
            self.awaits.append(&mut line.awaits);
            self.held += line.held;
            all.push(Line { name, values, checks });
        }
        Ok(())
    }

    /// Name of a line's external id: its record's, its field and part, its key.
    fn line_name(&self, target: &Target, lines: &Lines, place: usize) -> Result<String, Stop> {
        let key = if lines.key.is_empty() {
            place.to_string()
        } else {
            let key = key_of(&lines.key, self.scope).map_err(|part| {
                let message = format!(
                    "{}.{}: the key of a line has no value at {part}",
                    self.plan.object, target.name
                );
                Stop::Rejected(Rejection::new("NoKey", target.name.as_str(), message))
            })?;
            key.0
        };
        let tail = SourceKey(format!("{}_{}_{}_{key}", self.key, target.name, lines.part));
        Ok(ExternalId::of("", &self.plan.object, &tail).name)
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
            links.extend(self.find(part, &text)?.map(|(reference, _)| reference));
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
            let found = self.find(part, &value)?;
            self.found_by = found.as_ref().map(|(_, number)| *number);
            return Ok(found.map(|(reference, _)| OdooValue::Link(reference)));
        }
        if matches!(part.source, Source::Fetch(_)) {
            return self.fetched(part, &value);
        }
        self.read(target, part, &value)
    }

    /// The content that a value names.
    fn fetched(&mut self, part: &Part, value: &Value) -> Result<Option<OdooValue>, Stop> {
        let Some(reference) = reference(value) else {
            self.missing(
                part,
                "Unreadable",
                &format!("{} names no single content", quoted(value)),
            )?;
            return Ok(None);
        };
        match self.lookups.content(&reference) {
            Some(Fetched::Content(content)) => return Ok(Some(OdooValue::Content(content))),
            Some(Fetched::Refused { code, message }) => self.missing(part, &code, &message)?,
            None => self.missing(part, "NotFetched", &format!("{} was not fetched", quoted(value)))?,
        }
        Ok(None)
    }

    fn source<'b>(&mut self, part: &'b Part) -> Result<Cow<'b, Value>, Stop>
    where
        'a: 'b,
    {
        Ok(match &part.source {
            Source::Path(path) | Source::Fetch(path) => path.resolve(self.scope),
            Source::Constant(value) => Cow::Borrowed(value),
            Source::Lines(_) | Source::Nothing => Cow::Owned(Value::Null),
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
                None if part.lookup.is_some() || part.on_missing == Some(OnMissing::Keep) => mapped.push(value),
                None => self.missing(part, "NotInMap", &format!("{} is not in values", quoted(&value)))?,
            }
        }
        Ok(mapped)
    }

    fn find(&mut self, part: &Part, value: &Value) -> Result<Option<FoundBy>, Stop> {
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
        let numbers = match &lookup.place {
            Place::One(number) => std::slice::from_ref(number),
            Place::Kind { path, numbers } => {
                let kind = canonical_text(&path.resolve(self.scope));
                let Some(numbers) = numbers.get(&kind) else {
                    let message = format!(
                        "{:?} is no kind of record that it may refer to",
                        shortened(&kind, QUOTED_MAX)
                    );
                    self.missing(part, "NotFound", &message)?;
                    return Ok(None);
                };
                numbers
            }
        };
        let (mut several, mut held) = (false, None);
        for number in numbers {
            match self.lookups.find(*number, &text, &within) {
                Found::One(reference) => return Ok(Some((reference, *number))),
                Found::Later => return Err(Stop::Later),
                Found::Itself => return Ok(None),
                Found::Several => several = true,
                Found::Held(key) => held = held.or(Some((*number, key))),
                Found::None => {}
            }
        }
        let (code, message) = if several {
            ("Ambiguous", "is there several times in")
        } else if held.is_some() {
            ("Held", "is not in Odoo yet, and held in")
        } else {
            ("NotFound", "is not in")
        };
        let message = format!("{} {message} {}", quoted(value), lookup.words);
        let number = held.as_ref().map(|(number, _)| number).or_else(|| numbers.first());
        let object = number.and_then(|number| lookup.targets.get(number));
        let awaited = Awaited {
            object: object.cloned().unwrap_or_default(),
            why: self.rejection(part, code, &message),
            key: held.map(|(_, key)| key),
        };
        self.absent(part, lookup.owners, awaited)?;
        Ok(None)
    }

    /// A record that is looked for and is not there: as `missing`, or it is waited for.
    fn absent(&mut self, part: &Part, owners: bool, awaited: Awaited) -> Result<(), Stop> {
        let unsaid = || match (owners, &awaited.key) {
            (true, _) => self.lookups.owners(),
            // it is no verdict on this record that another is not made yet
            (false, Some(_)) => OnMissing::Hold,
            (false, None) => OnMissing::Reject,
        };
        match part.on_missing.unwrap_or_else(unsaid) {
            OnMissing::Defer if self.lookups.may_come() => self.deferred.push(part.label.clone()),
            OnMissing::Empty | OnMissing::Defer => {
                self.notes.push(awaited.why.clone());
                if owners || awaited.key.is_some() {
                    self.awaits.push(awaited);
                }
            }
            OnMissing::Hold => {
                self.held += 1;
                self.awaits.push(awaited);
            }
            OnMissing::Reject | OnMissing::Keep => return Err(Stop::Rejected(awaited.why)),
        }
        Ok(())
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

    /// A value without counterpart: rejects, is emptied and noted, or is left open. What no record can be is not waited for.
    fn missing(&mut self, part: &Part, code: &str, message: &str) -> Result<(), Stop> {
        match part.on_missing.unwrap_or_default() {
            OnMissing::Defer if self.lookups.may_come() => self.deferred.push(part.label.clone()),
            OnMissing::Empty | OnMissing::Defer => self.note(part, code, message),
            OnMissing::Reject | OnMissing::Keep | OnMissing::Hold => {
                return Err(Stop::Rejected(self.rejection(part, code, message)));
            }
        }
        Ok(())
    }

    fn rejection(&self, part: &Part, code: &str, message: &str) -> Rejection {
        let message = format!("{}.{}: {message}", self.plan.object, part.label);
        Rejection::new(code, part.label.as_str(), message)
    }

    fn note(&mut self, part: &Part, code: &str, message: &str) {
        let note = self.rejection(part, code, message);
        self.notes.push(note);
    }
}

/// What names content in a value: text or a number.
pub(super) fn reference(value: &Value) -> Option<String> {
    let single = match value {
        Value::Array(list) if list.len() == 1 => &list[0],
        single => single,
    };
    let text = matches!(single, Value::String(_) | Value::Number(_)).then(|| canonical_text(single))?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn quoted(value: &Value) -> String {
    format!("{:?}", shortened(&canonical_text(value), QUOTED_MAX))
}

#[cfg(test)]
mod tests;
