//! Custom fields: collected from all objects, and what is wrong with them.

use std::collections::BTreeMap;

use super::{findings::Findings, merge::field_id};
use crate::{
    api::mapping_spec::{self as api, FieldType},
    odoo::models::Models,
};

/// Longest name of a custom field.
const NAME_MAX: usize = 63;

/// Custom fields of all objects, by model and name.
pub(super) type Created = BTreeMap<(String, String), CreatedField>;

/// A custom field as all its entries together describe it.
pub(super) struct CreatedField {
    pub type_: FieldType,
    pub label: String,
    pub help: String,
    pub options: BTreeMap<String, String>,
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
    let good = to.strip_prefix("x_").is_some_and(|rest| {
        !rest.is_empty()
            && rest
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    });
    if !good || to.len() > NAME_MAX {
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
