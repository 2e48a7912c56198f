//! Compiles the fields of an object: what each entry reads, what the field of the model takes, what is looked up where.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    CustomField, LookupSpec, LookupTarget, TargetField,
    compile::{Compiler, Draft},
    created::{Created, CreatedField},
    evaluate::{Lookup, Part, Source, Target, Values},
    findings::hint,
    lookups::lookup,
    merge::field_id,
    names,
    read::{canonical_text, read},
};
use crate::{
    api::mapping_spec::{self as api, OnEmpty, OnMissing, OnNew},
    model::{OdooModel, Value, record::is_empty},
    odoo::models::Field,
};

/// Types of fields that can be written.
const WRITABLE: [&str; 12] = [
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
];
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
    pub lookups: Vec<LookupSpec>,
    pub custom: Vec<CustomField>,
}

/// What a field of the destination takes.
#[derive(Clone)]
pub(super) struct Shape {
    ttype: String,
    pub relation: Option<String>,
    options: Vec<(String, String)>,
    collects: bool,
    size: Option<usize>,
    required: bool,
    has_default: bool,
}

/// Compiles every entry of the object.
pub(super) fn compile<'a>(compiler: &mut Compiler<'a>, draft: &mut Draft<'a>, created: &Created) -> Fields {
    let mut fields = Fields::default();
    let model_known = compiler.world.models.models.contains_key(draft.model);
    if !model_known && !draft.model.is_empty() {
        let near = hint(draft.model, compiler.world.models.models.keys().map(String::as_str));
        let path = format!("{}.destination.model", draft.path);
        compiler.findings.error(
            "UnknownModel",
            &path,
            format!("Odoo has no model {}{near}", draft.model),
        );
    }
    for entry in draft.spec.fields.iter().flatten() {
        let path = format!("{}.fields[{}]", draft.path, field_id(entry));
        let Some(shape) = shape(compiler, draft, entry, created, &path) else {
            continue;
        };
        let Some(part) = part(compiler, draft, entry, &shape, &mut fields.lookups, &path) else {
            continue;
        };
        if let Some(target) = fields.plans.iter_mut().find(|target| target.name == entry.to) {
            target.parts.push(part);
        } else {
            fields.targets.push(TargetField {
                name: entry.to.clone(),
                ttype: shape.ttype.clone(),
            });
            fields.plans.push(Target {
                name: entry.to.clone(),
                ttype: shape.ttype,
                options: shape.options,
                collects: shape.collects,
                size: shape.size,
                parts: vec![part],
            });
        }
    }
    fields.custom = custom(draft, created);
    if model_known {
        required(compiler, draft);
    }
    fields
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
            })
        })
        .collect()
}

/// What the field takes; `None`, and a finding, where it cannot be written.
fn shape(
    compiler: &mut Compiler<'_>,
    draft: &Draft<'_>,
    entry: &api::Field,
    created: &Created,
    path: &str,
) -> Option<Shape> {
    if draft.document.is_some() {
        if entry.create.is_some() {
            let message = format!("{} is a column of a document: there is no field to create", entry.to);
            compiler
                .findings
                .error("TypeMismatch", &format!("{path}.create"), message);
        }
        return Some(Shape::column());
    }
    let model = compiler.world.models.models.get(draft.model)?;
    let made = created.get(&(draft.model.to_owned(), entry.to.clone()));
    let problem = match (model.fields.get(&entry.to), made) {
        (Some(field), made) => match unwritable(&entry.to, field) {
            None => return Some(Shape::existing(field, made)),
            Some(problem) => problem,
        },
        (None, Some(made)) => return Some(Shape::made(made)),
        (None, None) => {
            let made = created.keys().filter(|(of, _)| of == draft.model);
            let known = model.fields.keys().chain(made.map(|(_, name)| name));
            let near = hint(&entry.to, known.map(String::as_str));
            let made = if entry.to.starts_with("x_") {
                "; create: {type: …} makes it"
            } else {
                ""
            };
            (
                "UnknownField",
                format!("{} has no field {}{near}{made}", draft.model, entry.to),
            )
        }
    };
    compiler.findings.error(problem.0, path, problem.1);
    None
}

/// Why a field cannot be written.
fn unwritable(name: &str, field: &Field) -> Option<(&'static str, String)> {
    if KEPT_BY_ODOO.contains(&name) {
        let message = format!("{name} is kept by Odoo itself: create a field x_… for the value of the source");
        return Some(("NotWritable", message));
    }
    if field.readonly {
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
    /// A column of a document: text.
    fn column() -> Self {
        Self {
            ttype: "text".into(),
            relation: None,
            options: Vec::new(),
            collects: false,
            size: None,
            required: false,
            has_default: false,
        }
    }

    fn made(made: &CreatedField) -> Self {
        Self {
            ttype: made.type_.ttype().to_owned(),
            relation: None,
            collects: made.collects(),
            options: made.options.clone().into_iter().collect(),
            size: None,
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
            required: field.required && field.ttype != "boolean",
            has_default: field.has_default,
        }
    }
}

fn part<'a>(
    compiler: &mut Compiler<'a>,
    draft: &mut Draft<'a>,
    entry: &'a api::Field,
    shape: &Shape,
    lookups: &mut Vec<LookupSpec>,
    path: &str,
) -> Option<Part> {
    let source = source(compiler, draft, entry, path)?;
    let gives_key = match &source {
        Source::Path(from) => draft.gives_key(from),
        Source::Cel(expression) => names::calls_key(expression.source()),
        Source::Constant(_) | Source::Nothing => false,
    };
    check_reference(compiler, entry, shape, &source, path);
    let on_missing = entry.on_missing.unwrap_or_default();
    if on_missing == OnMissing::Keep && (entry.values.is_none() || entry.lookup.is_some()) {
        let message = "onMissing: Keep keeps the text that values does not know: it needs values, and no lookup";
        compiler
            .findings
            .error("Incomplete", &format!("{path}.onMissing"), message);
    }
    let lookup = match &entry.lookup {
        None => None,
        Some(said) => {
            let (spec, within) = lookup(compiler, draft, entry, said, shape, path)?;
            let words = match &spec.target {
                LookupTarget::Object { object, by: None } => object.clone(),
                LookupTarget::Object { object, by: Some(by) } => format!("{object} by {by}"),
                LookupTarget::Model { model, by, .. } => format!("{model} by {by}"),
            };
            let by_key = matches!(spec.target, LookupTarget::Object { by: None, .. });
            lookups.push(spec);
            Some(Lookup {
                number: lookups.len() - 1,
                words,
                by_key,
                canonical: gives_key,
                within,
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

/// What Odoo requires is rejected when it is empty, unless Odoo fills it and that was asked for.
fn on_empty(entry: &api::Field, shape: &Shape) -> OnEmpty {
    let said = entry.on_empty.unwrap_or_default();
    if shape.required && !(shape.has_default && said == OnEmpty::Skip) {
        OnEmpty::Reject
    } else {
        said
    }
}

fn source<'a>(compiler: &mut Compiler<'a>, draft: &mut Draft<'a>, entry: &'a api::Field, path: &str) -> Option<Source> {
    let place = |word: &str| format!("fields[{}].{word}", field_id(entry));
    match (&entry.from, &entry.cel, &entry.constant) {
        (None, None, None) => Some(Source::Nothing),
        (Some(from), None, None) => compiler
            .used_path(draft, from, &place("from"), draft.each)
            .map(Source::Path),
        (None, Some(cel), None) => compiler.used_expression(draft, cel, &place("cel")).map(Source::Cel),
        (None, None, Some(constant)) => Some(Source::Constant(cell(constant))),
        _ => {
            let message = format!("{} has two sources: say one of from, cel, constant", field_id(entry));
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
    let refers = matches!(shape.ttype.as_str(), "many2one" | "many2many");
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

/// Constants, defaults and mapped values must be readable as the field's type.
fn constants(compiler: &mut Compiler<'_>, entry: &api::Field, part: &Part, shape: &Shape, path: &str) {
    if part.lookup.is_some() || shape.collects || matches!(shape.ttype.as_str(), "many2one" | "many2many") {
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
    if shape.ttype == "selection" {
        compiler
            .findings
            .warning("OptionUnavailable", &path, format!("{} cannot take {all}", entry.to));
    } else {
        compiler
            .findings
            .error("TypeMismatch", &path, format!("{} cannot take {all}", entry.to));
    }
}

/// Fields that Odoo requires and does not fill must be mapped, where records are created.
fn required(compiler: &mut Compiler<'_>, draft: &Draft<'_>) {
    if draft.spec.on_new == Some(OnNew::Reject) {
        return;
    }
    let Some(model) = compiler.world.models.models.get(draft.model) else {
        return;
    };
    for (name, field) in &model.fields {
        let filled = field.has_default || field.readonly || field.ttype == "boolean";
        let mapped = draft.spec.fields.iter().flatten().any(|entry| entry.to == *name);
        if field.required && !filled && !mapped {
            let message = format!("Odoo requires {name} of {} and gives no default: map it", draft.model);
            compiler
                .findings
                .error("RequiredMissing", &format!("{}.fields", draft.path), message);
        }
    }
}
