//! A spec laid over the catalogue entry it extends.
//!
//! Lists of named things merge by name, maps by key; everything else that is given replaces. What the entry has keeps its
//! order; new ones follow in the order of their names.

use std::collections::BTreeMap;

use super::{
    Merged, catalogue,
    findings::{Findings, hint},
};
use crate::{
    api::mapping_spec::{
        CreateDestination, Destination, Field, Finding, Formats, Join, LineField, MappingSpecSpec, Object,
        ObjectSource, Parameter, Row, SourcePlatform,
    },
    model::Digest,
};

/// The spec with its entry merged in.
///
/// # Errors
/// An entry that is not there, a `remove` of what is not there, no platform.
pub fn resolve(spec: &MappingSpecSpec) -> Result<Merged, Vec<Finding>> {
    let mut findings = Findings::default();
    let base = base(spec, &mut findings);
    let merged = laid_over(base, spec.clone(), &mut findings);
    let platform = merged.source.as_ref().and_then(|source| source.platform);
    if platform.is_none() {
        let message = "the spec names no platform: say source.platform, or extend a catalogue entry";
        findings.error("Incomplete", "source.platform", message);
    }
    match (platform, Digest::of_json(&merged)) {
        (Some(platform), Ok(digest)) if !findings.any_error() => Ok(Merged {
            spec: merged,
            digest,
            platform,
        }),
        _ => Err(findings.sorted()),
    }
}

fn base(spec: &MappingSpecSpec, findings: &mut Findings) -> MappingSpecSpec {
    let Some(name) = spec.extends.as_deref() else {
        return MappingSpecSpec::default();
    };
    catalogue::entry(name).unwrap_or_else(|| {
        let near = hint(name, catalogue::names().iter().copied());
        findings.error(
            "UnknownEntry",
            "extends",
            format!("the catalogue has no entry {name}{near}"),
        );
        MappingSpecSpec::default()
    })
}

fn laid_over(base: MappingSpecSpec, over: MappingSpecSpec, findings: &mut Findings) -> MappingSpecSpec {
    let dropped: Vec<String> = over
        .objects
        .iter()
        .flatten()
        .filter(|object| object.is_removed())
        .map(|object| object.name.clone())
        .collect();
    let extends = over.extends.is_some();
    let mut rows = list(base.rows, over.rows, extends, "rows", findings);
    for names in rows.iter_mut().flatten().filter_map(|row| row.objects.as_mut()) {
        names.retain(|name| !dropped.contains(name));
    }
    MappingSpecSpec {
        source: structs(base.source, over.source, source),
        extends: None,
        parameters: list(base.parameters, over.parameters, extends, "parameters", findings),
        rows,
        on_conflict: over.on_conflict.or(base.on_conflict),
        on_source_delete: over.on_source_delete.or(base.on_source_delete),
        objects: list(base.objects, over.objects, extends, "objects", findings),
    }
}

fn structs<T>(base: Option<T>, over: Option<T>, merge: impl FnOnce(T, T) -> T) -> Option<T> {
    match (base, over) {
        (Some(base), Some(over)) => Some(merge(base, over)),
        (base, over) => over.or(base),
    }
}

fn source(base: SourcePlatform, over: SourcePlatform) -> SourcePlatform {
    SourcePlatform {
        platform: over.platform.or(base.platform),
        formats: structs(base.formats, over.formats, |base, over| Formats {
            time_zone: over.time_zone.or(base.time_zone),
            dates: over.dates.or(base.dates),
            decimal: over.decimal.or(base.decimal),
            list: over.list.or(base.list),
        }),
    }
}

/// A model in place of a document, or the other way round, leaves nothing of what was there.
fn destination(base: Destination, over: Destination) -> Destination {
    let changes =
        (over.model.is_some() && base.document.is_some()) || (over.document.is_some() && base.model.is_some());
    if changes {
        return over;
    }
    Destination {
        model: over.model.or(base.model),
        document: over.document.or(base.document),
        create: structs(base.create, over.create, |base, over| CreateDestination {
            label: over.label.or(base.label),
            help: over.help.or(base.help),
            access: over.access.or(base.access),
            menu: over.menu.or(base.menu),
        }),
    }
}

fn maps(
    base: Option<BTreeMap<String, String>>,
    over: Option<BTreeMap<String, String>>,
) -> Option<BTreeMap<String, String>> {
    structs(base, over, |mut base, over| {
        base.extend(over);
        base
    })
}

/// An entry of a list that merges by name.
trait Named: Sized {
    /// Code of the finding that there is none to remove.
    const UNKNOWN: &'static str;
    /// What tells it from the others, as in paths.
    fn id(&self) -> String;
    fn is_removed(&self) -> bool;
    fn over(self, over: Self, path: &str, findings: &mut Findings) -> Self;
    /// As it is without a counterpart: `remove: true` of things in it has nothing to drop.
    fn alone(self, path: &str, findings: &mut Findings) -> Self;
}

fn list<T: Named>(
    base: Option<Vec<T>>,
    over: Option<Vec<T>>,
    extends: bool,
    path: &str,
    findings: &mut Findings,
) -> Option<Vec<T>> {
    if base.is_none() && over.is_none() {
        return None;
    }
    let mut merged: Vec<T> = base.unwrap_or_default();
    let known: Vec<String> = merged.iter().map(Named::id).collect();
    let mut new: Vec<T> = Vec::new();
    for entry in over.unwrap_or_default() {
        let id = entry.id();
        let place = format!("{path}[{id}]");
        match merged.iter().position(|candidate| candidate.id() == id) {
            Some(at) if entry.is_removed() => {
                merged.remove(at);
            }
            Some(at) => {
                let below = merged.remove(at);
                merged.insert(at, below.over(entry, &place, findings));
            }
            None if entry.is_removed() => {
                let near = hint(&id, known.iter().map(String::as_str));
                findings.error(
                    T::UNKNOWN,
                    &place,
                    format!("there is no {id} in {path} to remove{near}"),
                );
            }
            None => new.push(entry.alone(&place, findings)),
        }
    }
    if extends {
        new.sort_by_key(Named::id);
    }
    merged.extend(new);
    Some(merged)
}

/// `to`, with the part where there is one.
pub(super) fn field_id(field: &Field) -> String {
    if field.part.is_empty() {
        field.to.clone()
    } else {
        format!("{}/{}", field.to, field.part)
    }
}

impl Named for Parameter {
    const UNKNOWN: &'static str = "UnknownParameter";
    fn id(&self) -> String {
        self.name.clone()
    }
    fn is_removed(&self) -> bool {
        self.remove == Some(true)
    }
    fn over(self, over: Self, _: &str, _: &mut Findings) -> Self {
        Self {
            name: self.name,
            type_: over.type_.or(self.type_),
            value: over.value.or(self.value),
            entries: maps(self.entries, over.entries),
            description: over.description.or(self.description),
            remove: None,
        }
    }
    fn alone(self, _: &str, _: &mut Findings) -> Self {
        Self { remove: None, ..self }
    }
}

impl Named for Row {
    const UNKNOWN: &'static str = "UnknownRow";
    fn id(&self) -> String {
        self.name.clone()
    }
    fn is_removed(&self) -> bool {
        self.remove == Some(true)
    }
    fn over(self, over: Self, _: &str, _: &mut Findings) -> Self {
        Self {
            name: self.name,
            fidelity: over.fidelity.or(self.fidelity),
            objects: over.objects.or(self.objects),
            note: over.note.or(self.note),
            remove: None,
        }
    }
    fn alone(self, _: &str, _: &mut Findings) -> Self {
        Self { remove: None, ..self }
    }
}

impl Named for Object {
    const UNKNOWN: &'static str = "UnknownObject";
    fn id(&self) -> String {
        self.name.clone()
    }
    fn is_removed(&self) -> bool {
        self.remove == Some(true)
    }
    fn over(self, over: Self, path: &str, findings: &mut Findings) -> Self {
        Self {
            name: self.name,
            when: over.when.or(self.when),
            otherwise: over.otherwise.or(self.otherwise),
            source: structs(self.source, over.source, |base, over| ObjectSource {
                object: over.object.or(base.object),
                join: list(base.join, over.join, true, &format!("{path}.source.join"), findings),
                each: over.each.or(base.each),
                filter: over.filter.or(base.filter),
                order_by: over.order_by.or(base.order_by),
            }),
            lets: maps(self.lets, over.lets),
            key: over.key.or(self.key),
            kinds: over.kinds.or(self.kinds),
            match_on: over.match_on.or(self.match_on),
            dedupe: over.dedupe.or(self.dedupe),
            on_new: over.on_new.or(self.on_new),
            after: over.after.or(self.after),
            destination: structs(self.destination, over.destination, destination),
            discover: over.discover.or(self.discover),
            ignore: over.ignore.or(self.ignore),
            fields: list(self.fields, over.fields, true, &format!("{path}.fields"), findings),
            on_conflict: over.on_conflict.or(self.on_conflict),
            on_source_delete: over.on_source_delete.or(self.on_source_delete),
            remove: None,
        }
    }
    fn alone(self, path: &str, findings: &mut Findings) -> Self {
        Self {
            source: self.source.map(|source| ObjectSource {
                join: list(None, source.join, false, &format!("{path}.source.join"), findings),
                ..source
            }),
            fields: list(None, self.fields, false, &format!("{path}.fields"), findings),
            remove: None,
            ..self
        }
    }
}

impl Named for Join {
    const UNKNOWN: &'static str = "UnknownObject";
    fn id(&self) -> String {
        self.name.clone()
    }
    fn is_removed(&self) -> bool {
        self.remove == Some(true)
    }
    fn over(self, over: Self, _: &str, _: &mut Findings) -> Self {
        Self {
            name: self.name,
            object: over.object.or(self.object),
            by: over.by.or(self.by),
            equals: over.equals.or(self.equals),
            filter: over.filter.or(self.filter),
            order_by: over.order_by.or(self.order_by),
            remove: None,
        }
    }
    fn alone(self, _: &str, _: &mut Findings) -> Self {
        Self { remove: None, ..self }
    }
}

impl Named for Field {
    const UNKNOWN: &'static str = "UnknownField";
    fn id(&self) -> String {
        field_id(self)
    }
    fn is_removed(&self) -> bool {
        self.remove == Some(true)
    }
    fn over(self, over: Self, path: &str, findings: &mut Findings) -> Self {
        // a new source replaces the old one, whichever it was
        let sourced = over.from.is_some() || over.cel.is_some() || over.constant.is_some() || over.fetch.is_some();
        let (from, cel, constant, fetch, each) = if sourced || over.each.is_some() {
            (over.from, over.cel, over.constant, over.fetch, over.each)
        } else {
            (self.from, self.cel, self.constant, self.fetch, self.each)
        };
        // key and fields are those of the lines
        let (key, fields) = if sourced { (None, None) } else { (self.key, self.fields) };
        Self {
            to: self.to,
            part: self.part,
            from,
            cel,
            constant,
            fetch,
            each,
            key: over.key.or(key),
            fields: list(fields, over.fields, true, &format!("{path}.fields"), findings),
            values: maps(self.values, over.values),
            default: over.default.or(self.default),
            lookup: over.lookup.or(self.lookup),
            on_missing: over.on_missing.or(self.on_missing),
            on_empty: over.on_empty.or(self.on_empty),
            check: over.check.or(self.check),
            create: over.create.or(self.create),
            remove: None,
        }
    }
    fn alone(self, path: &str, findings: &mut Findings) -> Self {
        Self {
            fields: list(None, self.fields, false, &format!("{path}.fields"), findings),
            remove: None,
            ..self
        }
    }
}

/// A field of a line merges as a field does.
impl Named for LineField {
    const UNKNOWN: &'static str = Field::UNKNOWN;
    fn id(&self) -> String {
        field_id(&self.clone().into())
    }
    fn is_removed(&self) -> bool {
        self.remove == Some(true)
    }
    fn over(self, over: Self, path: &str, findings: &mut Findings) -> Self {
        Field::from(self).over(over.into(), path, findings).into()
    }
    fn alone(self, _: &str, _: &mut Findings) -> Self {
        Self { remove: None, ..self }
    }
}

#[cfg(test)]
mod tests;
