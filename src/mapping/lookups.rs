//! Compiles lookups: into an object of the mapping, or into a model of Odoo.

use super::{
    LookupSpec, LookupTarget,
    compile::{Compiler, Draft},
    fields::Shape,
    findings::hint,
    graph::Need,
    merge::field_id,
    path::Path,
};
use crate::{api::mapping_spec as api, model::OdooModel, odoo::models::Models};

/// The lookup, and the paths of its `within`; `None`, and a finding, where it cannot be done.
pub(super) fn lookup(
    compiler: &mut Compiler<'_>,
    draft: &mut Draft<'_>,
    entry: &api::Field,
    said: &api::Lookup,
    shape: &Shape,
    path: &str,
) -> Option<(LookupSpec, Vec<Path>)> {
    let path = format!("{path}.lookup");
    let target = match (&said.object, &said.model) {
        (Some(object), None) => object_lookup(compiler, draft, said, object, shape, &path)?,
        (None, Some(model)) => model_lookup(compiler, said, model, shape, &path)?,
        _ => {
            compiler
                .findings
                .error("Incomplete", &path, "a lookup has exactly one of object, model");
            return None;
        }
    };
    if said.object.is_some() && said.within.is_some() {
        compiler
            .findings
            .error("Incomplete", &path, "within narrows a lookup into a model");
    }
    let mut within = Vec::new();
    for (field, from) in said.within.iter().flatten() {
        let place = format!("fields[{}].lookup.within.{field}", field_id(entry));
        within.push(compiler.used_path(draft, from, &place, draft.each)?);
    }
    let spec = LookupSpec {
        field: entry.to.clone(),
        target,
    };
    Some((spec, within))
}

fn object_lookup(
    compiler: &mut Compiler<'_>,
    draft: &mut Draft<'_>,
    said: &api::Lookup,
    object: &str,
    shape: &Shape,
    path: &str,
) -> Option<LookupTarget> {
    if compiler.standing.get(object) == Some(&false) {
        let message = format!("{object} stands down, so this entry is left out");
        compiler.findings.info("StandsDown", path, message);
        return None;
    }
    if let Some(document) = document(compiler, object) {
        let message = format!("{object} becomes the document {document}, not records: this entry is left out");
        compiler.findings.info("StandsDown", path, message);
        return None;
    }
    if !compiler.need(draft, object, Need::Lookup(path.to_owned())) {
        return None;
    }
    let target = compiler
        .spec
        .objects
        .iter()
        .flatten()
        .find(|candidate| candidate.name == object)?;
    let model = target
        .destination
        .as_ref()
        .and_then(|to| to.model.as_deref())
        .unwrap_or_default();
    if let Some(relation) = shape
        .relation
        .as_deref()
        .filter(|relation| *relation != model && !model.is_empty())
    {
        let message = format!("the field refers to {relation}, and {object} makes records of {model}");
        compiler.findings.error("TypeMismatch", path, message);
    }
    if let Some(by) = &said.by {
        let each = target.source.as_ref().is_some_and(|source| source.each.is_some());
        compiler.path(by, &format!("{path}.by"), each)?;
    }
    Some(LookupTarget::Object {
        object: object.to_owned(),
        by: said.by.clone(),
    })
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
) -> Option<LookupTarget> {
    let models = compiler.world.models;
    if !models.models.contains_key(model) {
        let near = hint(model, models.models.keys().map(String::as_str));
        compiler
            .findings
            .error("UnknownModel", path, format!("Odoo has no model {model}{near}"));
        return None;
    }
    if let Some(relation) = shape.relation.as_deref().filter(|relation| *relation != model) {
        compiler.findings.error(
            "TypeMismatch",
            path,
            format!("the field refers to {relation}, and the lookup to {model}"),
        );
    }
    let by = said.by.clone().unwrap_or_else(|| "name".into());
    let within: Vec<String> = said.within.iter().flatten().map(|(field, _)| field.clone()).collect();
    let walked = std::iter::once(&by).filter(|by| *by != "id").chain(&within);
    let mut good = true;
    for field in walked {
        if let Err(message) = walk(models, model, field) {
            compiler.findings.error("UnknownField", path, message);
            good = false;
        }
    }
    good.then(|| LookupTarget::Model {
        model: OdooModel(model.to_owned()),
        by,
        within,
    })
}

/// Follows a dotted field through the models.
fn walk(models: &Models, model: &str, dotted: &str) -> Result<(), String> {
    let mut at = model;
    let steps: Vec<&str> = dotted.split('.').collect();
    for (place, name) in steps.iter().enumerate() {
        let Some(known) = models.models.get(at) else {
            // the description need not hold every model
            return Ok(());
        };
        let Some(field) = known.fields.get(*name) else {
            let near = hint(name, known.fields.keys().map(String::as_str));
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
