//! Custom fields: collected from all objects, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    CustomModel,
    findings::{Findings, hint},
    merge::field_id,
};
use crate::{
    api::mapping_spec::{self as api, FieldType},
    model::OdooModel,
    odoo::models::{Field, Model, Models},
};

/// Longest name of a custom field or model.
const NAME_MAX: usize = 63;

/// Whether a custom field or model may have the name.
fn is_custom_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let rest = name.strip_prefix("x_").unwrap_or_default();
    !rest.is_empty() && rest.bytes().all(plain) && name.len() <= NAME_MAX
}

/// The models that are known, with those that the mapping makes and that are not there yet; none where there are none.
pub(super) fn with_models(spec: &api::MappingSpecSpec, models: &Models) -> Option<Models> {
    let made = spec
        .objects
        .iter()
        .flatten()
        .filter_map(|object| object.destination.as_ref());
    let made = made.filter(|to| to.create.is_some()).filter_map(|to| to.model.as_ref());
    let made: BTreeSet<&String> = made.filter(|model| !models.models.contains_key(*model)).collect();
    if made.is_empty() {
        return None;
    }
    let mut all = models.clone();
    for model in made {
        // as Odoo makes it: with a name, and what it keeps itself
        let field = |ttype: &str, readonly: bool| Field {
            ttype: ttype.to_owned(),
            store: true,
            readonly,
            ..Field::default()
        };
        let mut fields = BTreeMap::from([("x_name".to_owned(), field("char", false))]);
        for (name, ttype) in [
            ("create_date", "datetime"),
            ("write_date", "datetime"),
            ("display_name", "char"),
            ("id", "integer"),
        ] {
            fields.insert(name.to_owned(), field(ttype, true));
        }
        for name in ["create_uid", "write_uid"] {
            let relation = Some("res.users".to_owned());
            fields.insert(
                name.to_owned(),
                Field {
                    relation,
                    ..field("many2one", true)
                },
            );
        }
        all.models.insert(
            model.clone(),
            Model {
                label: String::new(),
                fields,
            },
        );
    }
    Some(all)
}

/// The custom model of an object, and what is wrong with it. What objects say of one model must agree.
pub(super) fn model(object: &api::Object, objects: &[&api::Object], findings: &mut Findings) -> Option<CustomModel> {
    let to = object.destination.as_ref()?;
    let (create, model) = (to.create.as_ref()?, to.model.as_ref()?);
    let path = format!("objects[{}].destination.create", object.name);
    if !is_custom_name(model) {
        let message = format!(
            "{model} is no name for a custom model: x_, then a to z, 0 to 9 and _, {NAME_MAX} characters at most"
        );
        findings.error("FieldClash", &path, message);
    }
    let others = objects
        .iter()
        .filter_map(|other| Some((&other.name, other.destination.as_ref()?)));
    let mut differing = others.filter(|(_, other)| {
        other.model.as_ref() == Some(model) && other.create.as_ref().is_some_and(|other| other != create)
    });
    if let Some((other, _)) = differing.next() {
        findings.error("FieldClash", &path, format!("{other} creates {model} in another way"));
    }
    Some(CustomModel {
        model: OdooModel(model.clone()),
        label: create.label.clone().unwrap_or_else(|| model.clone()),
        help: create.help.clone().unwrap_or_default(),
        access: create.access.clone().unwrap_or_default(),
        menu: create.menu.clone(),
    })
}

/// Custom fields of all objects, by model and name.
pub(super) type Created = BTreeMap<(String, String), CreatedField>;

/// A custom field as all its entries together describe it.
pub(super) struct CreatedField {
    pub type_: FieldType,
    pub label: String,
    pub help: String,
    pub options: BTreeMap<String, String>,
    pub relation: Option<String>,
    /// Where it was said first.
    path: String,
}

impl CreatedField {
    /// A selection whose options are the values of the source.
    pub fn collects(&self) -> bool {
        self.type_ == FieldType::Selection && self.options.is_empty()
    }
}

/// Collects the custom fields of all objects: entries of one field must agree, their options add up.
pub(super) fn collect(objects: &[&api::Object], models: &Models, findings: &mut Findings) -> Created {
    let mut created = Created::new();
    for object in objects {
        let destination = object.destination.as_ref();
        if destination.is_some_and(|to| to.document.is_some()) {
            continue;
        }
        let model = destination.and_then(|to| to.model.as_deref()).unwrap_or_default();
        for field in object.fields.iter().flatten() {
            let Some(create) = &field.create else { continue };
            let path = format!("objects[{}].fields[{}].create", object.name, field_id(field));
            check_create(field, create, model, models, &path, findings);
            let options = create.options.clone().unwrap_or_default();
            if let Some(known) = created.get_mut(&(model.to_owned(), field.to.clone())) {
                agree(known, create, options, &field.to, &path, findings);
            } else {
                let label = create.label.clone().unwrap_or_else(|| field.to.clone());
                let help = create.help.clone().unwrap_or_default();
                let type_ = create.type_;
                created.insert(
                    (model.to_owned(), field.to.clone()),
                    CreatedField {
                        type_,
                        label,
                        help,
                        options,
                        relation: create.relation.clone(),
                        path,
                    },
                );
            }
        }
    }
    created
}

fn agree(
    known: &mut CreatedField,
    create: &api::CreateField,
    options: BTreeMap<String, String>,
    to: &str,
    path: &str,
    findings: &mut Findings,
) {
    if known.type_ != create.type_ {
        let message = format!(
            "{to} is created as {:?} here and as {:?} in {}",
            create.type_, known.type_, known.path
        );
        findings.error("FieldClash", path, message);
    } else if known.relation != create.relation {
        let message = format!("{to} refers to another model here than in {}", known.path);
        findings.error("FieldClash", path, message);
    } else if known.options.is_empty() != options.is_empty() {
        let message = format!(
            "{to} has options in one of {path} and {}, and takes those of the source in the other",
            known.path
        );
        findings.error("FieldClash", path, message);
    }
    known.options.extend(options);
}

fn check_create(
    field: &api::Field,
    create: &api::CreateField,
    model: &str,
    models: &Models,
    path: &str,
    findings: &mut Findings,
) {
    let to = &field.to;
    if !is_custom_name(to) {
        let message =
            format!("{to} is no name for a custom field: x_, then a to z, 0 to 9 and _, {NAME_MAX} characters at most");
        findings.error("FieldClash", path, message);
    }
    let ttype = create.type_.ttype();
    if let Some(existing) = models.field(model, to).filter(|existing| existing.ttype != ttype) {
        let message = format!(
            "{model} has a field {to} already, of type {} and not {ttype}: take another name",
            existing.ttype
        );
        findings.error("FieldClash", path, message);
    }
    check_relation(field, create, model, models, path, findings);
    if create.options.is_some() && create.type_ != FieldType::Selection {
        findings.error(
            "TypeMismatch",
            path,
            format!("options are those of a Selection, and {to} is a {:?}", create.type_),
        );
    }
    let has_currency = || {
        ["currency_id", "x_currency_id", "company_currency"]
            .iter()
            .any(|name| models.field(model, name).is_some())
    };
    if create.type_ == FieldType::Monetary && models.models.contains_key(model) && !has_currency() {
        findings.error(
            "TypeMismatch",
            path,
            format!("{model} has no currency, which a Monetary field needs: create a Float"),
        );
    }
}

/// A relation must lead to a model that is there, and an existing field to the same one.
fn check_relation(
    field: &api::Field,
    create: &api::CreateField,
    model: &str,
    models: &Models,
    path: &str,
    findings: &mut Findings,
) {
    let to = &field.to;
    let refers = matches!(create.type_, FieldType::Many2one | FieldType::Many2many);
    match &create.relation {
        None if refers => {
            let message = format!("{to} is a {:?}: say relation, the model it refers to", create.type_);
            findings.error("Incomplete", path, message);
        }
        Some(_) if !refers => {
            let message = format!(
                "relation is that of a Many2one or Many2many, and {to} is a {:?}",
                create.type_
            );
            findings.error("TypeMismatch", path, message);
        }
        Some(relation) if !models.models.contains_key(relation) => {
            let near = hint(relation, models.models.keys().map(String::as_str));
            findings.error("UnknownModel", path, format!("Odoo has no model {relation}{near}"));
        }
        relation => {
            let existing = models.field(model, to).and_then(|existing| existing.relation.as_ref());
            if let Some(existing) = existing.filter(|existing| Some(*existing) != relation.as_ref()) {
                let message =
                    format!("{model} has a field {to} already, which refers to {existing}: take another name");
                findings.error("FieldClash", path, message);
            }
        }
    }
}
