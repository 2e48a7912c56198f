//! Contacts: the address that a child of type `contact` shares with its company, whether one wants it or not.

use serde_json::{Value, json};

use super::{
    Call,
    refusal::{self, Outcome},
    store::{Row, Store},
    values::is_true,
    write::touch,
};

const MODEL: &str = "res.partner";

/// What an address consists of.
pub(super) const ADDRESS: [&str; 6] = ["street", "street2", "zip", "city", "state_id", "country_id"];

/// What a company decides for its people.
const COMMERCIAL: [&str; 3] = ["vat", "company_registry", "industry_id"];

/// `company_type` is the other face of `is_company`.
pub(super) fn before_write(vals: &mut Row) {
    if let Some(kind) = vals.remove("company_type") {
        vals.insert("is_company".to_owned(), json!(kind == "company"));
    }
}

pub(super) fn after_create(store: &mut Store, call: &Call, id: i64) -> Outcome<()> {
    check_name(store, id)?;
    if call.flag("_partners_skip_fields_sync") {
        return Ok(());
    }
    let Some(parent) = parent_of(store, id) else {
        return Ok(());
    };
    if !is_true(store.stored(MODEL, id, "is_company")) {
        copy(store, call, parent, id, &COMMERCIAL);
    }
    if shares_address(store, id) {
        share_with_parent(store, call, id, parent);
    }
    Ok(())
}

pub(super) fn after_write(store: &mut Store, call: &Call, id: i64, sent: &Row) -> Outcome<()> {
    check_name(store, id)?;
    let moved = ADDRESS.iter().any(|field| sent.contains_key(*field));
    let parent = parent_of(store, id).filter(|_| shares_address(store, id));
    match parent {
        // The parent's address wins, even over one sent in the same call, and whatever the context says.
        Some(parent) if sent.contains_key("parent_id") => share_with_parent(store, call, id, parent),
        Some(parent) if moved => {
            copy(store, call, id, parent, &ADDRESS);
            share_with_children(store, call, parent);
        }
        None if moved => share_with_children(store, call, id),
        _ => {}
    }
    Ok(())
}

fn check_name(store: &Store, id: i64) -> Outcome<()> {
    let named = store.stored(MODEL, id, "name").is_string();
    if named || store.stored(MODEL, id, "type") != &json!("contact") {
        return Ok(());
    }
    Err(refusal::validation(
        "The operation cannot be completed: Contacts require a name",
    ))
}

fn parent_of(store: &Store, id: i64) -> Option<i64> {
    store.stored(MODEL, id, "parent_id").as_i64()
}

fn shares_address(store: &Store, id: i64) -> bool {
    store.stored(MODEL, id, "type") == &json!("contact")
}

fn has_address(store: &Store, id: i64) -> bool {
    ADDRESS.iter().any(|field| is_true(store.stored(MODEL, id, field)))
}

/// Down, where the parent has an address; up, where only the child has one.
fn share_with_parent(store: &mut Store, call: &Call, id: i64, parent: i64) {
    if has_address(store, parent) {
        copy(store, call, parent, id, &ADDRESS);
        share_with_children(store, call, id);
    } else if has_address(store, id) {
        copy(store, call, id, parent, &ADDRESS);
        share_with_children(store, call, parent);
    }
}

fn share_with_children(store: &mut Store, call: &Call, id: i64) {
    let own = json!(id);
    let children: Vec<i64> = store
        .rows(MODEL)
        .filter(|(child, row)| *child != id && row.get("parent_id") == Some(&own) && shares_address(store, *child))
        .map(|(child, _)| child)
        .collect();
    for child in children {
        if copy(store, call, id, child, &ADDRESS) {
            share_with_children(store, call, child);
        }
    }
}

/// Copies fields from one partner to another; says whether that changed it.
fn copy(store: &mut Store, call: &Call, from: i64, to: i64, fields: &[&str]) -> bool {
    let differs = |field: &&&str| store.stored(MODEL, from, field) != store.stored(MODEL, to, field);
    let changed: Vec<(String, Value)> = fields
        .iter()
        .filter(differs)
        .map(|field| ((*field).to_owned(), store.stored(MODEL, from, field).clone()))
        .collect();
    if changed.is_empty() {
        return false;
    }
    store.patch(MODEL, to, changed);
    touch(store, call, MODEL, to);
    true
}
