//! Compiles the fields of an object: what each entry reads, what the field of the model takes, what is looked up where.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    CustomField, LineFields, LookupSpec, LookupTarget, TargetField,
    compile::{Compiler, Draft},
    created::{Created, CreatedField},
    evaluate::{Companion, Lines, Lookup, Part, Place, Source, Target, Values},
    findings::hint,
    lookups::lookup,
    merge::field_id,
    names,
    object::KeyPart,
    read::{canonical_text, read},
};
use crate::{
    api::mapping_spec::{self as api, OnEmpty, OnMissing, OnNew},
    model::{OdooModel, Value, record::is_empty},
    odoo::models::Field,
};

/// Types of fields that can be written.
const WRITABLE: [&str; 15] = [
    "char",
    "text",
    "html",
    "integer",
    "float",
    "monetary",
    "boolean",
    "date",
    "datetime",
    "selection",
    "many2one",
    "many2many",
    "many2one_reference",
    "one2many",
    "binary",
];
/// Fields beside a `many2one_reference` that may hold its model, in the order they are looked for.
const COMPANIONS: [&str; 3] = ["res_model_id", "res_model", "model"];
/// Read-only for people, and taken from who sends them.
const WRITABLE_ALL_THE_SAME: [(&str, &str); 2] = [("ir.attachment", "mimetype"), ("product.document", "mimetype")];
/// Kept by Odoo itself: sent values are ignored without a word.
const KEPT_BY_ODOO: [&str; 7] = [
    "id",
    "create_date",
    "create_uid",
    "write_date",
    "write_uid",
    "display_name",
    "__last_update",
];

/// What compiling the fields of an object gives.
#[derive(Default)]
pub(super) struct Fields {
    pub plans: Vec<Target>,
    pub targets: Vec<TargetField>,
    pub checks: Vec<TargetField>,
    pub lines: Vec<LineFields>,
    pub lookups: Vec<LookupSpec>,
    pub custom: Vec<CustomField>,
}

/// What a field of the destination takes.
#[derive(Clone)]
pub(super) struct Shape {
    ttype: String,
    pub relation: Option<String>,
    inverse: Option<String>,
    options: Vec<(String, String)>,
    collects: bool,
    size: Option<usize>,
    digits: Option<u32>,
    required: bool,
    has_default: bool,
}

/// Compiles every entry of the object.
pub(super) fn compile<'a>(compiler: &mut Compiler<'a>, draft: &mut Draft<'a>) -> Fields {
    let mut fields = Fields::default();
    let model_known = compiler.world.models.models.contains_key(draft.model);
    if !model_known && !draft.model.is_empty() {
        let near = hint(draft.model, compiler.world.models.models.keys().map(String::as_str));
        let path = format!("{}.destination.model", draft.path);
        if draft.spec.when.is_some() && !compiler.world.odoo_known {
            // it may stand down: which apps there are is known once somebody has looked
            let message = format!(
                "{} is not in Odoo Community: looked at once Odoo is known{near}",
                draft.model
            );
            compiler.findings.warning("UnknownModel", &path, message);
        } else {
            let message = format!("Odoo has no model {}{near}", draft.model);
            compiler.findings.error("UnknownModel", &path, message);
        }
    }
    let path = draft.path.clone();
    let said: Vec<&api::Field> = draft.spec.fields.iter().flatten().collect();
    entries(compiler, draft, draft.model, &said, &mut fields, &path);
    fields.custom = custom(draft, &compiler.created);
    // only what is created must have all that Odoo requires
    if model_known && draft.spec.on_new.unwrap_or_default() == OnNew::Create {
        required(compiler, draft.model, None, &said, &fields.targets, &path);
    }
    fields
}

/// The entries of an object, or of its lines: `model` is whose fields they fill.
fn entries<'a>(
    compiler: &mut Compiler<'a>,
    draft: &mut Draft<'a>,
    model: &str,
    said: &[&api::Field],
    fields: &mut Fields,
    path: &str,
) {
    for entry in said {
        let path = format!("{path}.fields[{}]", field_id(entry));
        let shape = if draft.document.is_some() {
            Some(column(compiler, entry, &path))
        } else {
            shape(compiler, model, entry, &path)
        };
        let Some(shape) = shape else { continue };
        let of_lines = entry.each.is_some() || entry.key.is_some() || entry.fields.is_some();
        let part = if shape.ttype == "one2many" || of_lines {
            lines(compiler, draft, entry, &shape, fields, &path)
        } else {
            part(compiler, draft, entry, &shape, &mut fields.lookups, &path)
        };
        let Some(part) = part else { continue };
        let check = entry.check == Some(true);
        if check && entry.create.is_some() {
            let message = format!("{} is only compared: a field that is made must be written", entry.to);
            compiler.findings.error("Incomplete", &format!("{path}.check"), message);
        }
        if let Some(target) = fields.plans.iter_mut().find(|target| target.name == entry.to) {
            if target.check != check {
                let message = format!("{} is written by one entry and only compared by another", entry.to);
                compiler.findings.error("FieldClash", &format!("{path}.check"), message);
            }
            target.parts.push(part);
        } else {
            let field = TargetField {
                digits: shape.digits,
                ..TargetField::new(&entry.to, &shape.ttype)
            };
            if check {
                fields.checks.push(field);
            } else {
                fields.targets.push(field);
            }
            fields.plans.push(Target {
                name: entry.to.clone(),
                ttype: shape.ttype,
                options: shape.options,
                collects: shape.collects,
                size: shape.size,
                check,
                companion: None,
                parts: vec![part],
            });
        }
    }
    companions(compiler, model, said, fields, path);
}

/// Lines of a one2many.
fn lines<'a>(
    compiler: &mut Compiler<'a>,
    draft: &mut Draft<'a>,
    entry: &api::Field,
    shape: &Shape,
    fields: &mut Fields,
    path: &str,
) -> Option<Part> {
    let model = line_model(compiler, draft, entry, shape, path)?;
    let place = draft.place(path).to_owned();
    let each = compiler.used_path(draft, entry.each.as_deref()?, &format!("{place}.each"), draft.sees())?;
    let said: Vec<api::Field> = entry.fields.iter().flatten().cloned().map(Into::into).collect();
    let said: Vec<&api::Field> = said.iter().collect();
    draft.in_line = true;
    let mut key = Vec::new();
    for text in entry.key.iter().flatten() {
        if let Some(path) = compiler.used_path(draft, text, &format!("{place}.key"), draft.sees()) {
            let canonical = draft.gives_key(&path);
            key.push(KeyPart {
                path,
                text: text.clone(),
                canonical,
            });
        }
    }
    let mut inner = Fields {
        lookups: std::mem::take(&mut fields.lookups),
        ..Fields::default()
    };
    entries(compiler, draft, &model, &said, &mut inner, path);
    draft.in_line = false;
    fields.lookups = inner.lookups;
    for part in inner.plans.iter_mut().flat_map(|target| &mut target.parts) {
        part.label = format!("{}.{}", field_id(entry), part.label);
    }
    required(compiler, &model, shape.inverse.as_deref(), &said, &inner.targets, path);
    match fields.lines.iter_mut().find(|lines| lines.field == entry.to) {
        Some(lines) => {
            let new = inner
                .targets
                .into_iter()
                .filter(|target| !lines.targets.contains(target));
            let new: Vec<TargetField> = new.collect();
            lines.targets.extend(new);
            let new = inner.checks.into_iter().filter(|target| !lines.checks.contains(target));
            let new: Vec<TargetField> = new.collect();
            lines.checks.extend(new);
        }
        None => fields.lines.push(LineFields {
            field: entry.to.clone(),
            model: OdooModel(model),
            targets: inner.targets,
            checks: inner.checks,
        }),
    }
    Some(Part {
        label: field_id(entry),
        source: Source::Lines(Lines {
            part: entry.part.clone(),
            each,
            key,
            targets: inner.plans,
        }),
        values: None,
        default: None,
        lookup: None,
        on_missing: None,
        on_empty: on_empty(entry, shape),
    })
}

/// The model of the lines; `None`, and a finding, where there can be none.
fn line_model(
    compiler: &mut Compiler<'_>,
    draft: &Draft<'_>,
    entry: &api::Field,
    shape: &Shape,
    path: &str,
) -> Option<String> {
    let to = &entry.to;
    let mapped = entry.values.is_some() || entry.default.is_some() || entry.lookup.is_some() || entry.create.is_some();
    let relation = shape.relation.clone().unwrap_or_default();
    let (code, message) = if shape.ttype != "one2many" {
        (
            "TypeMismatch",
            format!("{to} is a {} field: lines go into a one2many", shape.ttype),
        )
    } else if entry.each.is_none() || entry.fields.as_deref().unwrap_or_default().is_empty() {
        (
            "TypeMismatch",
            format!("{to} is a one2many field: say each and fields, the lines it takes"),
        )
    } else if mapped || entry.on_missing.is_some() {
        (
            "Incomplete",
            format!("{to} takes lines: values, default, lookup, onMissing and create belong to their fields"),
        )
    } else if relation == draft.model {
        let message = format!("the lines of {to} are records of {relation} too: make them by an object of their own");
        ("TypeMismatch", message)
    } else if !compiler.world.models.models.contains_key(&relation) {
        (
            "UnknownModel",
            format!("Odoo has no model {relation}, of which the lines of {to} are"),
        )
    } else {
        return Some(relation);
    };
    compiler.findings.error(code, path, message);
    None
}

/// Beside each `many2one_reference`, the field that says of which model the record is.
fn companions(compiler: &mut Compiler<'_>, model: &str, said: &[&api::Field], fields: &mut Fields, path: &str) {
    let owner = model;
    let Some(model) = compiler.world.models.models.get(model) else {
        return;
    };
    let references = |target: &&mut Target| target.ttype == "many2one_reference" && !target.check;
    for target in fields.plans.iter_mut().filter(references) {
        let place = format!("{path}.fields[{}]", target.name);
        let writable = |name: &&str| model.fields.get(*name).is_some_and(|field| !field.readonly);
        let Some(name) = COMPANIONS.into_iter().find(writable) else {
            let message = format!("{owner} has no field that holds the model of {}", target.name);
            compiler.findings.error("TypeMismatch", &place, message);
            continue;
        };
        if said.iter().any(|entry| entry.to == name) {
            let message = format!(
                "{name} is filled with the model that {} refers to: leave its entry out",
                target.name
            );
            compiler
                .findings
                .error("FieldClash", &format!("{path}.fields[{name}]"), message);
            continue;
        }
        let ttype = model.fields[name].ttype.clone();
        let lookup = (ttype == "many2one").then(|| {
            fields.lookups.push(LookupSpec {
                field: name.to_owned(),
                target: LookupTarget::Model {
                    model: OdooModel("ir.model".into()),
                    by: "model".into(),
                    within: Vec::new(),
                },
                take: None,
            });
            fields.lookups.len() - 1
        });
        let numbers = target
            .parts
            .iter()
            .filter_map(|part| part.lookup.as_ref())
            .flat_map(Lookup::numbers);
        let models = numbers.filter_map(|number| Some((number, landing(compiler, &fields.lookups[number])?)));
        target.companion = Some(Companion {
            name: name.to_owned(),
            lookup,
            models: models.collect(),
        });
        fields.targets.push(TargetField::new(name, &ttype));
    }
}

/// Model of the records that a lookup gives.
fn landing(compiler: &Compiler<'_>, lookup: &LookupSpec) -> Option<String> {
    if let Some(take) = &lookup.take {
        return compiler
            .world
            .models
            .field(&take.model.0, &take.field)?
            .relation
            .clone();
    }
    match &lookup.target {
        LookupTarget::Model { model, .. } => Some(model.0.clone()),
        LookupTarget::Object { object, .. } => {
            let mut objects = compiler.spec.objects.iter().flatten();
            let target = objects.find(|candidate| candidate.name == *object)?;
            target.destination.as_ref()?.model.clone()
        }
    }
}

fn custom(draft: &Draft<'_>, created: &Created) -> Vec<CustomField> {
    let mut names = BTreeSet::new();
    let entries = draft
        .spec
        .fields
        .iter()
        .flatten()
        .filter(|entry| entry.create.is_some());
    entries
        .filter(|entry| names.insert(entry.to.as_str()))
        .filter_map(|entry| {
            let field = created.get(&(draft.model.to_owned(), entry.to.clone()))?;
            Some(CustomField {
                model: OdooModel(draft.model.to_owned()),
                name: entry.to.clone(),
                type_: field.type_,
                label: field.label.clone(),
                help: field.help.clone(),
                options: field.options.clone(),
                relation: field.relation.clone().map(OdooModel),
            })
        })
        .collect()
}

/// What a column of a document takes: text, and none of what is a field's of Odoo.
fn column(compiler: &mut Compiler<'_>, entry: &api::Field, path: &str) -> Shape {
    for (word, said, why) in [
        ("create", entry.create.is_some(), "there is no field to create"),
        ("check", entry.check.is_some(), "there is nothing to compare"),
    ] {
        if said {
            let message = format!("{} is a column of a document: {why}", entry.to);
            let place = format!("{path}.{word}");
            compiler.findings.error("TypeMismatch", &place, message);
        }
    }
    Shape {
        ttype: "text".into(),
        relation: None,
        inverse: None,
        options: Vec::new(),
        collects: false,
        size: None,
        digits: None,
        required: false,
        has_default: false,
    }
}

/// What the field takes; `None`, and a finding, where it cannot be written.
fn shape(compiler: &mut Compiler<'_>, model: &str, entry: &api::Field, path: &str) -> Option<Shape> {
    let known = compiler.world.models.models.get(model)?;
    let created = Arc::clone(&compiler.created);
    let made = created.get(&(model.to_owned(), entry.to.clone()));
    let problem = match (known.fields.get(&entry.to), made) {
        (Some(field), made) => match unwritable(model, entry, field) {
            None => return Some(Shape::existing(field, made)),
            Some(problem) => problem,
        },
        (None, Some(made)) => return Some(Shape::made(made)),
        (None, None) => {
            let made = created.keys().filter(|(of, _)| of == model);
            let names = known.fields.keys().chain(made.map(|(_, name)| name));
            let near = hint(&entry.to, names.map(String::as_str));
            let made = if entry.to.starts_with("x_") {
                "; create: {type: …} makes it"
            } else {
                ""
            };
            ("UnknownField", format!("{model} has no field {}{near}{made}", entry.to))
        }
    };
    compiler.findings.error(problem.0, path, problem.1);
    None
}

/// Why a field cannot be written.
fn unwritable(model: &str, entry: &api::Field, field: &Field) -> Option<(&'static str, String)> {
    let name = entry.to.as_str();
    let written = entry.check != Some(true);
    if written && KEPT_BY_ODOO.contains(&name) {
        let message = format!("{name} is kept by Odoo itself: create a field x_… for the value of the source");
        return Some(("NotWritable", message));
    }
    let all_the_same = WRITABLE_ALL_THE_SAME.contains(&(model, name));
    if written && field.readonly && !all_the_same {
        return Some((
            "NotWritable",
            format!("{name} is computed by Odoo and cannot be written"),
        ));
    }
    let ttype = &field.ttype;
    (!WRITABLE.contains(&ttype.as_str())).then(|| {
        (
            "TypeMismatch",
            format!("{name} is a {ttype} field, which a mapping cannot write"),
        )
    })
}

impl Shape {
    fn made(made: &CreatedField) -> Self {
        Self {
            ttype: made.type_.ttype().to_owned(),
            relation: made.relation.clone(),
            inverse: None,
            collects: made.collects(),
            options: made.options.clone().into_iter().collect(),
            size: None,
            digits: None,
            required: false,
            has_default: false,
        }
    }

    fn existing(field: &Field, made: Option<&CreatedField>) -> Self {
        let mut options = field.selection.clone();
        options.extend(made.iter().flat_map(|made| made.options.clone()));
        Self {
            ttype: field.ttype.clone(),
            relation: field.relation.clone(),
            inverse: field.inverse.clone(),
            collects: made.is_some_and(CreatedField::collects),
            // where the options are those of the source, reading takes any
            options: if made.is_some_and(CreatedField::collects) {
                Vec::new()
            } else {
                options
            },
            size: field
                .size
                .and_then(|size| usize::try_from(size).ok())
                .filter(|size| *size > 0),
            digits: field.digits,
            required: field.required && field.ttype != "boolean",
            has_default: field.has_default,
        }
    }
}

fn part(
    compiler: &mut Compiler<'_>,
    draft: &mut Draft<'_>,
    entry: &api::Field,
    shape: &Shape,
    lookups: &mut Vec<LookupSpec>,
    path: &str,
) -> Option<Part> {
    let source = source(compiler, draft, entry, path)?;
    let gives_key = match &source {
        Source::Path(from) => draft.gives_key(from),
        Source::Cel(expression) => names::calls_key(expression.source()),
        Source::Constant(_) | Source::Fetch(_) | Source::Lines(_) | Source::Nothing => false,
    };
    check_reference(compiler, entry, shape, &source, path);
    check_content(compiler, draft, entry, shape, path);
    let on_missing = entry.on_missing;
    if on_missing == Some(OnMissing::Keep) && (entry.values.is_none() || entry.lookup.is_some()) {
        let message = "onMissing: Keep keeps the text that values does not know: it needs values, and no lookup";
        compiler
            .findings
            .error("Incomplete", &format!("{path}.onMissing"), message);
    }
    if on_missing == Some(OnMissing::Defer) {
        deferrable(compiler, entry, shape, path);
    }
    if on_missing == Some(OnMissing::Hold) && entry.lookup.is_none() {
        let message = "onMissing: Hold waits for a record: it needs a lookup";
        compiler
            .findings
            .error("Incomplete", &format!("{path}.onMissing"), message);
    }
    let lookup = match &entry.lookup {
        None => None,
        Some(said) => {
            let found = lookup(compiler, draft, entry, said, shape, path)?;
            let first = lookups.len();
            let place = match found.kinds {
                None => Place::One(first),
                Some((path, kinds)) => Place::Kind {
                    path,
                    numbers: kinds
                        .into_iter()
                        .map(|(kind, places)| (kind, places.into_iter().map(|place| first + place).collect()))
                        .collect(),
                },
            };
            let targets: Vec<String> = found.specs.iter().map(|spec| spec.target.name().to_owned()).collect();
            let mut objects = compiler.spec.objects.iter().flatten();
            let owners = objects.any(|object| object.on_new == Some(OnNew::Hold) && targets.contains(&object.name));
            lookups.extend(found.specs);
            Some(Lookup {
                place,
                words: found.words,
                targets: (first..).zip(targets).collect(),
                owners,
                by_key: said.by.is_none() && said.model.is_none(),
                canonical: gives_key,
                within: found.within,
            })
        }
    };
    let part = Part {
        label: field_id(entry),
        source,
        values: entry.values.as_ref().map(values),
        default: entry.default.as_deref().map(cell),
        lookup,
        on_missing,
        on_empty: on_empty(entry, shape),
    };
    constants(compiler, entry, &part, shape, path);
    Some(part)
}

/// What is filled in a second pass must refer to something, and Odoo must take the record without it.
fn deferrable(compiler: &mut Compiler<'_>, entry: &api::Field, shape: &Shape, path: &str) {
    let path = format!("{path}.onMissing");
    if entry.lookup.is_none() {
        let message = "onMissing: Defer leaves a reference for a second pass: it needs a lookup";
        compiler.findings.error("Incomplete", &path, message);
    }
    if shape.required {
        let message = format!("Odoo requires {}: it cannot be left for a second pass", entry.to);
        compiler.findings.error("RequiredMissing", &path, message);
    }
}

/// What Odoo requires is rejected when it is empty, unless Odoo fills it and that was asked for.
fn on_empty(entry: &api::Field, shape: &Shape) -> OnEmpty {
    let said = entry.on_empty.unwrap_or_default();
    if shape.required && entry.check != Some(true) && !(shape.has_default && said == OnEmpty::Skip) {
        OnEmpty::Reject
    } else {
        said
    }
}

fn source(compiler: &mut Compiler<'_>, draft: &mut Draft<'_>, entry: &api::Field, path: &str) -> Option<Source> {
    let inside = draft.place(path).to_owned();
    let place = |word: &str| format!("{inside}.{word}");
    match (&entry.from, &entry.cel, &entry.constant, &entry.fetch) {
        (None, None, None, None) => Some(Source::Nothing),
        (Some(from), None, None, None) => compiler
            .used_path(draft, from, &place("from"), draft.sees())
            .map(Source::Path),
        (None, Some(cel), None, None) => compiler.used_expression(draft, cel, &place("cel")).map(Source::Cel),
        (None, None, Some(constant), None) => Some(Source::Constant(cell(constant))),
        (None, None, None, Some(fetch)) => compiler
            .used_path(draft, fetch, &place("fetch"), draft.sees())
            .map(Source::Fetch),
        _ => {
            let message = format!(
                "{} has two sources: say one of from, cel, constant, fetch",
                field_id(entry)
            );
            compiler.findings.error("Incomplete", path, message);
            None
        }
    }
}

/// Text of the spec as a cell of a CSV file: text, unless it is a JSON list or map.
fn cell(text: &str) -> Value {
    if text.trim_start().starts_with(['[', '{'])
        && let Ok(value) = serde_json::from_str::<Value>(text)
    {
        return value;
    }
    Value::from(text)
}

fn values(said: &BTreeMap<String, String>) -> Values {
    let mut values = Values::default();
    for (from, to) in said {
        if from == "*" {
            values.any_other = Some(cell(to));
        } else {
            values.known.insert(from.clone(), cell(to));
        }
    }
    values
}

fn check_reference(compiler: &mut Compiler<'_>, entry: &api::Field, shape: &Shape, source: &Source, path: &str) {
    let refers = matches!(shape.ttype.as_str(), "many2one" | "many2many" | "many2one_reference");
    let empties = matches!(source, Source::Nothing) && entry.default.is_none();
    if refers && entry.lookup.is_none() && !empties {
        let relation = shape.relation.as_deref().unwrap_or("a model");
        let message = format!("{} refers to {relation}: say lookup, how the record is found", entry.to);
        compiler.findings.error("TypeMismatch", path, message);
    }
    if !refers && entry.lookup.is_some() {
        let message = format!("{} is a {} field: a lookup gives a record", entry.to, shape.ttype);
        compiler
            .findings
            .error("TypeMismatch", &format!("{path}.lookup"), message);
    }
}

/// Content goes into a binary field, as it is.
fn check_content(compiler: &mut Compiler<'_>, draft: &Draft<'_>, entry: &api::Field, shape: &Shape, path: &str) {
    if entry.fetch.is_none() {
        return;
    }
    let path = format!("{path}.fetch");
    if draft.document.is_some() {
        let message = format!("{} is a column of a document, which takes no content", entry.to);
        compiler.findings.error("TypeMismatch", &path, message);
    } else if shape.ttype != "binary" {
        let message = format!(
            "{} is a {} field: content goes into a binary field",
            entry.to, shape.ttype
        );
        compiler.findings.error("TypeMismatch", &path, message);
    }
    if entry.values.is_some() || entry.default.is_some() {
        let message = format!(
            "{} takes content as it is: values and default have no meaning here",
            entry.to
        );
        compiler.findings.error("Incomplete", &path, message);
    }
}

/// Constants, defaults and mapped values must be readable as the field's type.
fn constants(compiler: &mut Compiler<'_>, entry: &api::Field, part: &Part, shape: &Shape, path: &str) {
    if part.lookup.is_some() || shape.collects || shape.ttype.starts_with("many2") {
        return;
    }
    let formats = std::sync::Arc::clone(&compiler.formats);
    let unreadable = |value: &Value| {
        if is_empty(Some(value)) {
            return None;
        }
        read(&shape.ttype, &shape.options, &formats, value)
            .err()
            .map(|error| format!("{:?}: {}", canonical_text(value), error.message))
    };
    if let Source::Constant(value) = &part.source
        && part.values.is_none()
        && let Some(message) = unreadable(value)
    {
        compiler.findings.error(
            "TypeMismatch",
            &format!("{path}.constant"),
            format!("{} cannot take {message}", entry.to),
        );
    }
    if let Some(message) = part.default.as_ref().and_then(unreadable) {
        compiler.findings.error(
            "TypeMismatch",
            &format!("{path}.default"),
            format!("{} cannot take {message}", entry.to),
        );
    }
    let mapped: Vec<&Value> = part
        .values
        .iter()
        .flat_map(|values| values.known.values().chain(&values.any_other))
        .collect();
    let wrong: BTreeSet<String> = mapped.into_iter().filter_map(unreadable).collect();
    if wrong.is_empty() {
        return;
    }
    let all = wrong.into_iter().collect::<Vec<_>>().join("; ");
    let path = format!("{path}.values");
    let of_a_fresh_one = if compiler.world.odoo_known {
        ""
    } else {
        " (in a fresh Odoo: discovery asks yours)"
    };
    if shape.ttype == "selection" {
        compiler.findings.warning(
            "OptionUnavailable",
            &path,
            format!("{} cannot take {all}{}", entry.to, of_a_fresh_one),
        );
    } else {
        compiler
            .findings
            .error("TypeMismatch", &path, format!("{} cannot take {all}", entry.to));
    }
}

/// Fields that Odoo requires and does not fill must be mapped, where records are created. `inverse` is filled by Odoo.
fn required(
    compiler: &mut Compiler<'_>,
    model: &str,
    inverse: Option<&str>,
    said: &[&api::Field],
    targets: &[TargetField],
    path: &str,
) {
    let Some(known) = compiler.world.models.models.get(model) else {
        return;
    };
    for (name, field) in &known.fields {
        let filled = field.has_default || field.readonly || field.ttype == "boolean" || inverse == Some(name);
        let mapped = |name: &str| {
            let written = |entry: &&&api::Field| entry.check != Some(true);
            said.iter().filter(written).any(|entry| entry.to == *name)
                || targets.iter().any(|target| target.name == *name)
        };
        let has_it = field.through.as_deref().is_some_and(mapped);
        if field.required && !filled && !has_it && !mapped(name) {
            let message = format!("Odoo requires {name} of {model} and gives no default: map it");
            compiler
                .findings
                .error("RequiredMissing", &format!("{path}.fields"), message);
        }
    }
}
