//! Which objects take part in a run: `when`, and `otherwise` in the place of one that stands down.

use std::collections::BTreeMap;

use super::{
    compile::{Compiler, Sees},
    findings::hint,
    samples,
};
use crate::api::mapping_spec::{self as api, MappingSpecSpec};

/// Objects by name; false: stands down. As long as the Odoo is not known, every object takes part, so that both outcomes
/// are compiled.
pub(super) fn standing<'a>(compiler: &mut Compiler<'a>) -> BTreeMap<&'a str, bool> {
    let objects = compiler.spec.objects.as_deref().unwrap_or_default();
    let mut holds = BTreeMap::new();
    for object in objects {
        holds.insert(object.name.as_str(), when(compiler, object));
        check(compiler, object);
    }
    if compiler.world.odoo_known {
        let stands = |name: &str| holds[name] && is_wanted(objects, &holds, name, objects.len());
        objects
            .iter()
            .map(|object| (object.name.as_str(), stands(&object.name)))
            .collect()
    } else {
        holds
    }
}

/// An `otherwise` is wanted only where the object that names it would be and stands down; any other always.
fn is_wanted(objects: &[api::Object], holds: &BTreeMap<&str, bool>, name: &str, steps: usize) -> bool {
    let mut heads = objects
        .iter()
        .filter(|head| head.otherwise.as_deref() == Some(name))
        .peekable();
    // a circle, which is told as an Error, would not end
    let Some(steps) = steps.checked_sub(1) else {
        return false;
    };
    heads.peek().is_none()
        || heads.any(|head| !holds[head.name.as_str()] && is_wanted(objects, holds, &head.name, steps))
}

/// Whether `when` holds. As long as the Odoo is not known, it does.
fn when(compiler: &mut Compiler<'_>, object: &api::Object) -> bool {
    let Some(text) = &object.when else { return true };
    let path = format!("objects[{}].when", object.name);
    let Some(expression) = compiler.expression(text, &path, Sees::Run) else {
        return true;
    };
    if !compiler.world.odoo_known {
        return true;
    }
    let seen = samples::nothing(false);
    match expression.condition(&compiler.env, &seen.scope()) {
        Ok(stays) => stays,
        Err(message) => {
            compiler.findings.error("CelType", &path, message);
            true
        }
    }
}

fn check(compiler: &mut Compiler<'_>, object: &api::Object) {
    let Some(name) = &object.otherwise else { return };
    let objects = compiler.spec.objects.as_deref().unwrap_or_default();
    let path = format!("objects[{}].otherwise", object.name);
    if !objects.iter().any(|other| other.name == *name) {
        let near = hint(name, objects.iter().map(|other| other.name.as_str()));
        let message = format!("there is no object {name}{near}");
        compiler.findings.error("UnknownObject", &path, message);
    } else if chain(compiler.spec, name).any(|other| other == object.name) {
        let message = format!("{} would take its own place", object.name);
        compiler.findings.error("Cycle", &path, message);
    } else if object.when.is_none() {
        let message = format!("{} has no when and never stands down: {name} never runs", object.name);
        compiler.findings.info("Unused", &path, message);
    }
}

/// An object and those that take its place, one after the other.
pub(super) fn chain<'a>(spec: &'a MappingSpecSpec, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let objects = spec.objects.as_deref().unwrap_or_default();
    let named = |name: &str| objects.iter().find(|object| object.name == name);
    let next = move |object: &&'a api::Object| named(object.otherwise.as_deref()?);
    let chain = std::iter::successors(named(name), next).take(objects.len());
    chain.map(|object| object.name.as_str())
}

/// Whether the two never run together: one takes the place of the other.
pub(super) fn exclude_each_other(spec: &MappingSpecSpec, one: &str, other: &str) -> bool {
    chain(spec, one).any(|name| name == other) || chain(spec, other).any(|name| name == one)
}

/// The object that records of this name come from in this run; `None` where it stands down and nothing takes its place.
pub(super) fn stand_in<'a>(compiler: &Compiler<'a>, name: &str) -> Option<&'a str> {
    let mut names = chain(compiler.spec, name);
    names.find(|name| compiler.standing.get(name) != Some(&false))
}
