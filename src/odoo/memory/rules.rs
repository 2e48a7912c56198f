//! What one model does differently: names that are made unique, users with partners, custom fields. Partners and leads,
//! which do most, have modules of their own.

use serde_json::{Value, json};

use super::{
    Call, content, lead, partner,
    refusal::{self, Outcome},
    store::{Row, Store},
};
use crate::odoo::verify;

/// References that keep a record from being deleted, though they may be empty.
pub(super) fn holds_fast(owner: &str, link: &str) -> bool {
    matches!((owner, link), ("crm.lead", "stage_id" | "lost_reason_id"))
}

/// Completes the values of a record to be.
pub(super) fn before_create(store: &mut Store, call: &Call, model: &str, vals: &mut Row) -> Outcome<()> {
    complete_website(model, vals);
    match model {
        "crm.lead" => lead::before_create(store, call, vals),
        "res.partner" => partner::before_write(vals),
        "res.users" => {
            let company = vals.get("company_id").cloned().unwrap_or_else(|| json!(1));
            vals.entry("company_ids").or_insert_with(|| json!([[6, 0, [company]]]));
        }
        "utm.campaign" => campaign(store, vals),
        "utm.source" | "utm.medium" => make_unique(store, model, vals),
        content::ATTACHMENT => content::take(vals, true),
        "ir.model.data" => external_id(store, vals)?,
        "ir.model.fields" => custom_field(store, vals)?,
        "ir.model" => custom_model(store, vals)?,
        _ => {}
    }
    Ok(())
}

/// Does what follows from a new record. `sent` is what the client sent.
pub(super) fn after_create(store: &mut Store, call: &Call, model: &str, id: i64, sent: &Row) -> Outcome<()> {
    match model {
        "crm.lead" => lead::after_change(store, call, id, sent),
        "res.partner" => partner::after_create(store, call, id),
        "ir.model.fields" => {
            register(store, id);
            Ok(())
        }
        "ir.model" => {
            let name = store.stored(model, id, "model").as_str().unwrap_or_default().to_owned();
            store.set_model(&name);
            let named = json!({"name": "x_name", "field_description": "Name", "ttype": "char", "model_id": id});
            super::write::create(store, call, "ir.model.fields", &named).map(|_| ())
        }
        _ => Ok(()),
    }
}

/// Completes the values of a change.
pub(super) fn before_write(store: &mut Store, call: &Call, model: &str, id: i64, vals: &mut Row) -> Outcome<()> {
    complete_website(model, vals);
    match model {
        "crm.lead" => lead::before_write(store, call, id, vals),
        "res.partner" => partner::before_write(vals),
        content::ATTACHMENT => content::take(vals, false),
        "ir.model.data" if vals.contains_key("name") || vals.contains_key("module") => {
            let mut whole = store.row(model, id).cloned().unwrap_or_default();
            whole.extend(vals.clone());
            let same = store.named(&full_name(&whole)).is_some_and(|(known, ..)| known == id);
            if !same {
                external_id(store, &whole)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Does what follows from a change.
pub(super) fn after_write(store: &mut Store, call: &Call, model: &str, id: i64, sent: &Row) -> Outcome<()> {
    if sent.contains_key("parent_id") {
        check_parents(store, model, id)?;
    }
    match model {
        "crm.lead" => lead::after_change(store, call, id, sent),
        "res.partner" => partner::after_write(store, call, id, sent),
        _ => Ok(()),
    }
}

/// No contact and no tag is above itself. Other models are not asked.
fn check_parents(store: &Store, model: &str, id: i64) -> Outcome<()> {
    let refused = match model {
        "res.partner" => refusal::validation("You cannot create recursive Partner hierarchies."),
        "res.partner.category" => refusal::user("Recursion Detected."),
        _ => return Ok(()),
    };
    let mut above = store.stored(model, id, "parent_id").as_i64();
    while let Some(at) = above {
        if at == id {
            return Err(refused);
        }
        above = store.stored(model, at, "parent_id").as_i64();
    }
    Ok(())
}

/// Clears away what goes with the records.
pub(super) fn before_unlink(store: &mut Store, model: &str, ids: &[i64]) {
    if model == "ir.model" {
        // what is of the model goes with it
        for part in ["ir.model.access", "ir.model.fields"] {
            let of = |row: &Row| {
                row.get("model_id")
                    .and_then(Value::as_i64)
                    .is_some_and(|id| ids.contains(&id))
            };
            let parts: Vec<i64> = store.rows(part).filter(|(_, row)| of(row)).map(|(id, _)| id).collect();
            before_unlink(store, part, &parts);
            for id in parts {
                store.remove(part, id);
            }
        }
    }
    if model != "ir.model.fields" {
        return;
    }
    let options: Vec<i64> = store
        .rows("ir.model.fields.selection")
        .filter(|(_, row)| {
            row.get("field_id")
                .and_then(Value::as_i64)
                .is_some_and(|id| ids.contains(&id))
        })
        .map(|(id, _)| id)
        .collect();
    for option in options {
        store.remove("ir.model.fields.selection", option);
    }
    for id in ids {
        let text = |field| store.stored(model, *id, field).as_str().unwrap_or_default().to_owned();
        let (owner, field) = (text("model"), text("name"));
        let holders: Vec<i64> = store
            .rows(&owner)
            .filter(|(_, row)| row.contains_key(&field))
            .map(|(id, _)| id)
            .collect();
        for holder in holders {
            store.patch(&owner, holder, [(field.clone(), Value::Null)]);
        }
        store.set_custom(&owner, &field, None);
        let options: Vec<i64> = store
            .rows("ir.model.fields.selection")
            .filter(|(_, option)| option.get("field_id").and_then(Value::as_i64) == Some(*id))
            .map(|(option, _)| option)
            .collect();
        for option in options {
            store.remove("ir.model.fields.selection", option);
        }
    }
}

/// A website without a scheme gets one.
fn complete_website(model: &str, vals: &mut Row) {
    if let Some(Value::String(website)) = vals.get_mut("website")
        && verify::is_website(model, "website")
        && !website.is_empty()
    {
        *website = verify::with_scheme(website);
    }
}

fn full_name(vals: &Row) -> String {
    let part = |field: &str| vals.get(field).and_then(Value::as_str).unwrap_or_default();
    format!("{}.{}", part("module"), part("name"))
}

fn external_id(store: &Store, vals: &Row) -> Outcome<()> {
    let name = full_name(vals);
    if name.contains(' ') {
        return Err(refusal::validation(
            "The operation cannot be completed: External IDs cannot contain spaces",
        ));
    }
    if store.named(&name).is_none() {
        return Ok(());
    }
    let (module, name) = name.split_once('.').unwrap_or_default();
    Err(refusal::validation(format!(
        "The operation cannot be completed: duplicate key value violates unique constraint \
         \"ir_model_data_module_name_uniq_index\" DETAIL: Key (module, name)=({module}, {name}) already exists."
    )))
}

/// A campaign's name comes from its title, and the other way round.
fn campaign(store: &Store, vals: &mut Row) {
    let title = vals.get("title").filter(|title| title.is_string()).cloned();
    if let Some(title) = title {
        vals.entry("name").or_insert(title);
    } else if let Some(name) = vals.get("name").cloned() {
        vals.insert("title".to_owned(), name);
    }
    make_unique(store, "utm.campaign", vals);
}

/// A taken name gets a counter: `Fair [2]`.
fn make_unique(store: &Store, model: &str, vals: &mut Row) {
    let Some(name) = vals.get("name").and_then(Value::as_str).map(str::to_owned) else {
        return;
    };
    let taken = |name: &str| {
        store
            .rows(model)
            .any(|(_, row)| row.get("name").and_then(Value::as_str) == Some(name))
    };
    let numbered = (2..).map(|number| format!("{name} [{number}]"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken(name));
    vals.insert("name".to_owned(), json!(free));
}

fn custom_model(store: &Store, vals: &mut Row) -> Outcome<()> {
    let name = vals.get("model").and_then(Value::as_str).unwrap_or_default();
    if !name.starts_with("x_") {
        let message = "The operation cannot be completed: The model name must start with 'x_'.";
        return Err(refusal::validation(message));
    }
    if store.model(name).is_ok() {
        return Err(refusal::validation(format!(
            "The operation cannot be completed: Model {name} exists already."
        )));
    }
    vals.insert("state".to_owned(), json!("manual"));
    Ok(())
}

fn custom_field(store: &Store, vals: &mut Row) -> Outcome<()> {
    let name = vals.get("name").and_then(Value::as_str).unwrap_or_default();
    if !name.starts_with("x_") {
        return Err(refusal::validation(
            "The operation cannot be completed: Custom fields must have a name that starts with 'x_'!",
        ));
    }
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !plain || name.len() > 63 {
        return Err(refusal::validation(format!(
            "The field name \"{name}\" is not a valid column name."
        )));
    }
    let model = vals
        .get("model_id")
        .and_then(Value::as_i64)
        .map_or(&Value::Null, |id| store.stored("ir.model", id, "model"));
    vals.insert("model".to_owned(), model.clone());
    vals.insert("state".to_owned(), json!("manual"));
    vals.entry("store").or_insert(json!(true));
    Ok(())
}

/// Makes a custom field part of its model.
fn register(store: &mut Store, id: i64) {
    let get = |field| store.stored("ir.model.fields", id, field).clone();
    let text = |field| get(field).as_str().unwrap_or_default().to_owned();
    let options: Vec<Value> = store
        .rows("ir.model.fields.selection")
        .filter(|(_, row)| row.get("field_id") == Some(&json!(id)))
        .map(|(_, row)| json!([row.get("value"), row.get("name")]))
        .collect();
    let mut described = json!({"type": get("ttype"), "string": get("field_description"), "store": true});
    for (attribute, value) in [
        ("relation", get("relation")),
        ("relation_field", get("relation_field")),
        ("required", get("required")),
    ] {
        if !value.is_null() {
            described[attribute] = value;
        }
    }
    if text("ttype") == "selection" {
        described["selection"] = json!(options);
    }
    let (model, name) = (text("model"), text("name"));
    store.set_custom(&model, &name, Some(described));
}
