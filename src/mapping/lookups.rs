//! Compiles lookups: into an object of the mapping, or into a model of Odoo.

use std::collections::BTreeMap;

use super::{
    LookupSpec, LookupTarget, Take,
    compile::{Compiler, Draft, Sees},
    created::Created,
    fields::Shape,
    findings::hint,
    graph::Need,
    path::Path,
    standing::stand_in,
};
use crate::{api::mapping_spec as api, model::OdooModel, odoo::models::Models};

/// A compiled lookup: one, or with `kind` one for each object that it may go to.
pub(super) struct Resolved {
    pub specs: Vec<LookupSpec>,
    /// With `kind`: the path to it, and the places in `specs` that each kind stands for.
    pub kinds: Option<(Path, Kinds)>,
    /// Paths of `within`.
    pub within: Vec<Path>,
    /// What it looks into, for messages.
    pub words: String,
}

/// The lookup; `None`, and a finding, where it cannot be done.
pub(super) fn lookup(
    compiler: &mut Compiler<'_>,
    draft: &mut Draft<'_>,
    entry: &api::Field,
    said: &api::Lookup,
    shape: &Shape,
    path: &str,
) -> Option<Resolved> {
    let path = format!("{path}.lookup");
    let place = draft.place(&path).to_owned();
    if said.model.is_none() && said.within.is_some() {
        let message = "within narrows a lookup into a model";
        compiler.findings.error("Incomplete", &path, message);
    }
    let mut within = Vec::new();
    for (field, from) in said.within.iter().flatten() {
        within.push(compiler.used_path(draft, from, &format!("{place}.within.{field}"), draft.sees())?);
    }
    let mut kinds = None;
    let (targets, mut words) = match (&said.object, &said.model, &said.kind) {
        (Some(object), None, None) => {
            let target = object_lookup(compiler, draft, entry, said, object, shape, &path)?;
            let by = said.by.iter().map(|by| format!(" by {by}"));
            (
                vec![target],
                std::iter::once(object.clone()).chain(by).collect::<String>(),
            )
        }
        (None, Some(model), None) => {
            let target = model_lookup(compiler, said, model, shape, &path)?;
            let by = said.by.as_deref().unwrap_or("name");
            (vec![target], format!("{model} by {by}"))
        }
        (None, None, Some(kind)) => {
            if said.by.is_some() {
                let message = "a lookup by kind goes by the key: by is for object and model";
                compiler.findings.error("Incomplete", &path, message);
            }
            let kind = compiler.used_path(draft, kind, &format!("{place}.kind"), draft.sees())?;
            let (targets, numbers) = kind_lookup(compiler, draft, entry, said, shape, &path)?;
            kinds = Some((kind, numbers));
            (targets, "the object of its kind".to_owned())
        }
        _ => {
            let message = "a lookup has exactly one of object, model, kind";
            compiler.findings.error("Incomplete", &path, message);
            return None;
        }
    };
    if let Some(take) = &said.take {
        words = format!("{words} with {take}");
    }
    let specs = targets.into_iter().map(|(target, model)| LookupSpec {
        field: entry.to.clone(),
        target,
        take: said.take.clone().map(|field| Take {
            model: OdooModel(model),
            field,
        }),
    });
    Some(Resolved {
        specs: specs.collect(),
        kinds,
        within,
        words,
    })
}

/// A target, and the model of the records found there.
type Target = (LookupTarget, String);

/// The places of the targets that each kind stands for.
type Kinds = BTreeMap<String, Vec<usize>>;

/// Every object whose records have a kind, as far as the field can refer to them.
fn kind_lookup(
    compiler: &mut Compiler<'_>,
    draft: &mut Draft<'_>,
    entry: &api::Field,
    said: &api::Lookup,
    shape: &Shape,
    path: &str,
) -> Option<(Vec<Target>, Kinds)> {
    let spec = compiler.spec;
    let kinds = |object: &api::Object| object.kinds.as_deref().unwrap_or_default().to_vec();
    let (mut targets, mut numbers) = (Vec::new(), Kinds::new());
    for object in spec.objects.iter().flatten().filter(|object| !kinds(object).is_empty()) {
        let Some(stands) = stand_in(compiler, &object.name) else {
            continue;
        };
        let records = |other: &&api::Object| other.name == stands && document(compiler, stands).is_none();
        let Some(stands) = spec.objects.iter().flatten().find(records) else {
            continue;
        };
        let reached = lands_on(compiler, model_of(stands), said.take.as_deref());
        if shape.relation.is_some() && reached.is_some() && shape.relation != reached {
            continue;
        }
        let target = object_lookup(compiler, draft, entry, said, &object.name, shape, path)?;
        for kind in kinds(object) {
            numbers.entry(kind).or_default().push(targets.len());
        }
        targets.push(target);
    }
    if targets.is_empty() {
        let message = "no object that the field can refer to has kinds: say kinds on those whose records are meant";
        compiler.findings.error("UnknownObject", path, message);
        return None;
    }
    Some((targets, numbers))
}

fn model_of(object: &api::Object) -> &str {
    object
        .destination
        .as_ref()
        .and_then(|to| to.model.as_deref())
        .unwrap_or_default()
}

/// The model of the record that a lookup ends at, as far as it is known.
fn lands_on(compiler: &Compiler<'_>, model: &str, take: Option<&str>) -> Option<String> {
    match take {
        None => Some(model.to_owned()).filter(|model| !model.is_empty()),
        Some(take) => compiler.world.models.field(model, take)?.relation.clone(),
    }
}

/// What is found must be what the field refers to, also where `take` leads on.
fn check_landing(
    compiler: &mut Compiler<'_>,
    said: &api::Lookup,
    (model, what): (&str, &str),
    shape: &Shape,
    path: &str,
) {
    if let Some(take) = &said.take
        && let Some(known) = compiler.world.models.models.get(model)
    {
        let place = format!("{path}.take");
        match known.fields.get(take) {
            None => {
                let near = hint(take, known.fields.keys().map(String::as_str));
                let message = format!("{model} has no field {take}{near}");
                compiler.findings.error("UnknownField", &place, message);
                return;
            }
            Some(field) if field.ttype != "many2one" => {
                let message = format!(
                    "{take} of {model} is a {}: take goes on through a many2one",
                    field.ttype
                );
                compiler.findings.error("TypeMismatch", &place, message);
                return;
            }
            Some(_) => {}
        }
    }
    let Some(reached) = lands_on(compiler, model, said.take.as_deref()) else {
        return;
    };
    if let Some(relation) = shape.relation.as_deref().filter(|relation| *relation != reached) {
        let what = match &said.take {
            None => what.to_owned(),
            Some(take) => format!("{take} of it leads to {reached}"),
        };
        let message = format!("the field refers to {relation}, and {what}");
        compiler.findings.error("TypeMismatch", path, message);
    }
}

fn object_lookup(
    compiler: &mut Compiler<'_>,
    draft: &mut Draft<'_>,
    entry: &api::Field,
    said: &api::Lookup,
    object: &str,
    shape: &Shape,
    path: &str,
) -> Option<Target> {
    if let Some(stands) = stand_in(compiler, object)
        && let Some(document) = document(compiler, stands)
    {
        let instead = if stands == object {
            ""
        } else {
            " stands down, and what takes its place"
        };
        let message = format!("{object}{instead} becomes the document {document}, not records: this entry is left out");
        compiler.findings.info("StandsDown", path, message);
        return None;
    }
    // what is left for a second pass needs no order
    let known = if entry.on_missing == Some(api::OnMissing::Defer) {
        compiler.knows(object, path)
    } else {
        compiler.need(draft, object, &Need::Lookup(path.to_owned()))
    };
    if !known {
        return None;
    }
    let Some(stands) = stand_in(compiler, object) else {
        let message = format!("{object} stands down, so this entry is left out");
        compiler.findings.info("StandsDown", path, message);
        return None;
    };
    if stands != object {
        let message = format!("{object} stands down: the lookup goes to {stands}");
        compiler.findings.info("StandsDown", path, message);
    }
    let (spec, object) = (compiler.spec, stands);
    let target = spec
        .objects
        .iter()
        .flatten()
        .find(|candidate| candidate.name == object)?;
    let model = model_of(target);
    check_landing(
        compiler,
        said,
        (model, &format!("{object} makes records of {model}")),
        shape,
        path,
    );
    if said.take.is_some() && object == draft.spec.name {
        let message = "take goes on from records that are in Odoo before the object is loaded, and its own are not";
        compiler
            .findings
            .error("TypeMismatch", &format!("{path}.take"), message);
    }
    if let Some(by) = &said.by {
        let each = target.source.as_ref().is_some_and(|source| source.each.is_some());
        compiler.path(by, &format!("{path}.by"), Sees::Record { each, line: false })?;
    }
    let target = LookupTarget::Object {
        object: object.to_owned(),
        by: said.by.clone(),
    };
    Some((target, model.to_owned()))
}

/// The document that an object becomes.
fn document<'a>(compiler: &Compiler<'a>, object: &str) -> Option<&'a str> {
    let objects = compiler.spec.objects.iter().flatten();
    let target = objects.into_iter().find(|candidate| candidate.name == object)?;
    target.destination.as_ref()?.document.as_deref()
}

fn model_lookup(
    compiler: &mut Compiler<'_>,
    said: &api::Lookup,
    model: &str,
    shape: &Shape,
    path: &str,
) -> Option<Target> {
    let models = compiler.world.models;
    if !models.models.contains_key(model) {
        let near = hint(model, models.models.keys().map(String::as_str));
        compiler
            .findings
            .error("UnknownModel", path, format!("Odoo has no model {model}{near}"));
        return None;
    }
    check_landing(compiler, said, (model, &format!("the lookup to {model}")), shape, path);
    let by = said.by.clone().unwrap_or_else(|| "name".into());
    let within: Vec<String> = said.within.iter().flatten().map(|(field, _)| field.clone()).collect();
    let walked = std::iter::once(&by).filter(|by| *by != "id").chain(&within);
    let mut good = true;
    for field in walked {
        if let Err(message) = walk(models, &compiler.created, model, field) {
            compiler.findings.error("UnknownField", path, message);
            good = false;
        }
    }
    let target = LookupTarget::Model {
        model: OdooModel(model.to_owned()),
        by,
        within,
    };
    good.then(|| (target, model.to_owned()))
}

/// Follows a dotted field through the models.
fn walk(models: &Models, created: &Created, model: &str, dotted: &str) -> Result<(), String> {
    let mut at = model;
    let steps: Vec<&str> = dotted.split('.').collect();
    for (place, name) in steps.iter().enumerate() {
        let Some(known) = models.models.get(at) else {
            // the description need not hold every model
            return Ok(());
        };
        let Some(field) = known.fields.get(*name) else {
            if place + 1 == steps.len() && created.contains_key(&(at.to_owned(), (*name).to_owned())) {
                return Ok(());
            }
            let made = created.keys().filter(|(model, _)| model == at).map(|(_, field)| field);
            let near = hint(name, known.fields.keys().chain(made).map(String::as_str));
            return Err(format!("{at} has no field {name}{near}"));
        };
        if place + 1 < steps.len() {
            at = field
                .relation
                .as_deref()
                .ok_or_else(|| format!("{name} of {at} leads to no other model"))?;
        }
    }
    Ok(())
}
