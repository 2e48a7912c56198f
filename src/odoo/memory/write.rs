//! `create`, `write`, `unlink`: what holds for every model. What holds for one is in [`super::rules`].

use serde_json::{Map, Value, json};

use super::{
    Call, content,
    read::linked,
    refusal::{self, Outcome},
    rules,
    store::{Row, Store},
    values::{Command, column, commands, is_x2many, relation, type_of},
};
use crate::odoo::models::{KEPT_BY_ODOO, MADE_BY_ODOO, bundled};

/// Fields with one value for all records that have it.
const UNIQUE: [(&str, &[&str], &str); 9] = [
    ("crm.tag", &["name"], "Tag name already exists!"),
    ("project.tags", &["name"], "A tag with the same name already exists."),
    ("ir.config_parameter", &["key"], "Key must be unique."),
    (
        "ir.model.fields",
        &["name", "model"],
        "Field names must be unique per model.",
    ),
    ("res.country", &["code"], "The code of the country must be unique!"),
    (
        "res.country.state",
        &["country_id", "code"],
        "The code of the state must be unique by country!",
    ),
    ("res.currency", &["name"], "The currency code must be unique!"),
    ("res.lang", &["code"], "The code of the language must be unique!"),
    (
        "res.users",
        &["login"],
        "You can not have two users with the same login!",
    ),
];

/// Models whose `create` gives an `id` to the alias they make instead of to themselves.
const NAMES_ITS_ALIAS: [&str; 2] = ["crm.team", "project.project"];

/// Creates records; `id` in the values, with `_import_current_module` in the context, names them.
pub(super) fn create(store: &mut Store, call: &Call, model: &str, vals_list: &Value) -> Outcome<Vec<i64>> {
    let one;
    let list = match vals_list {
        Value::Array(list) => list,
        other => {
            one = [other.clone()];
            one.as_slice()
        }
    };
    let mut ids = Vec::with_capacity(list.len());
    for vals in list {
        let vals = vals
            .as_object()
            .ok_or_else(|| refusal::value("create() takes a list of dictionaries"))?;
        ids.push(create_one(store, call, model, vals.clone())?);
    }
    Ok(ids)
}

fn create_one(store: &mut Store, call: &Call, model: &str, mut vals: Row) -> Outcome<i64> {
    let name = vals.remove("id").and_then(|id| external_id(call, &id));
    let id = insert(store, call, model, vals)?;
    let Some(name) = name else { return Ok(id) };
    if name.contains(' ') {
        return Err(refusal::validation(
            "The operation cannot be completed: External IDs cannot contain spaces",
        ));
    }
    if NAMES_ITS_ALIAS.contains(&model) {
        let alias = store.stored(model, id, "alias_id").as_i64().unwrap_or_default();
        store.name_record(&name, "mail.alias", alias, &call.now);
    } else {
        store.name_record(&name, model, id, &call.now);
    }
    Ok(id)
}

fn external_id(call: &Call, id: &Value) -> Option<String> {
    let id = id.as_str().filter(|id| !id.is_empty())?;
    match call.text("_import_current_module") {
        _ if id.contains('.') => Some(id.to_owned()),
        Some(module) => Some(format!("{module}.{id}")),
        // Without a module the name goes nowhere, in silence.
        None => None,
    }
}

/// Creates a record without an external id.
pub(super) fn insert(store: &mut Store, call: &Call, model: &str, mut vals: Row) -> Outcome<i64> {
    check_names(store, model, &vals)?;
    vals.retain(|name, _| !KEPT_BY_ODOO.contains(&name.as_str()));
    let sent = vals.clone();
    add_defaults(store, model, &mut vals);
    rules::before_create(store, call, model, &mut vals)?;
    let id = store.next_id(model);
    let mut row = Row::new();
    for (field, value) in [("create_date", json!(call.now)), ("write_date", json!(call.now))] {
        row.insert(field.to_owned(), value);
    }
    for field in ["create_uid", "write_uid"] {
        row.insert(field.to_owned(), json!(call.uid));
    }
    make_parts(store, call, model, &vals, &mut row)?;
    store.put(model, id, row);
    apply(store, call, model, id, vals)?;
    check_required(store, model, id)?;
    check_unique(store, model, id)?;
    rules::after_create(store, call, model, id, &sent)?;
    Ok(id)
}

fn check_names(store: &Store, model: &str, vals: &Row) -> Outcome<()> {
    store.model(model)?;
    match vals.keys().find(|name| store.field(model, name).is_none()) {
        Some(name) => Err(refusal::value(format!("Invalid field '{name}' in '{model}'"))),
        None => Ok(()),
    }
}

fn add_defaults(store: &Store, model: &str, vals: &mut Row) {
    let Ok(described) = store.model(model) else { return };
    for (name, value) in &described.defaults {
        let Some(field) = store.field(model, name) else {
            continue;
        };
        // Times of the day the description was made, and references to what is not seeded, mean nothing here.
        let dead = match type_of(field) {
            "date" | "datetime" | "many2many" => true,
            "many2one" => value
                .as_i64()
                .is_some_and(|id| store.row(relation(field), id).is_none()),
            _ => field["related"].is_string() || field["store"] != json!(true),
        };
        if !dead && !vals.contains_key(name) {
            vals.insert(name.clone(), value.clone());
        }
    }
}

/// The records this one is built on: a user's partner, a team's alias.
fn make_parts(store: &mut Store, call: &Call, model: &str, vals: &Row, row: &mut Row) -> Outcome<()> {
    for (_, link) in MADE_BY_ODOO.iter().filter(|(owner, _)| *owner == model) {
        let Some(field) = store.field(model, link).filter(|field| field["store"] == json!(true)) else {
            continue;
        };
        if vals.get(*link).is_some_and(|value| value.as_i64().is_some()) {
            continue;
        }
        let part = relation(field).to_owned();
        let prefix = format!("{link}.");
        let inherited: Row = vals
            .iter()
            .filter_map(|(name, value)| {
                let there = store.field(model, name)?["related"].as_str()?.strip_prefix(&prefix)?;
                Some((there.to_owned(), value.clone()))
            })
            .collect();
        let id = if part == "mail.alias" {
            let id = store.next_id(&part);
            store.put(&part, id, Map::from_iter([("alias_name".to_owned(), json!(null))]));
            id
        } else {
            insert(store, call, &part, inherited)?
        };
        row.insert((*link).to_owned(), json!(id));
    }
    Ok(())
}

/// Writes values to a record that is there: columns, related records, x2many commands.
fn apply(store: &mut Store, call: &Call, model: &str, id: i64, vals: Row) -> Outcome<()> {
    let mut columns = Vec::with_capacity(vals.len());
    let mut lists = Vec::new();
    for (name, value) in vals {
        let field = store.field(model, &name).cloned().unwrap_or_default();
        if content::is_kept_apart(model, &field) {
            content::set(store, call, (model, id, &name), value);
        } else if is_x2many(&field) {
            lists.push((name, field, value));
        } else if field["store"] == json!(true) {
            columns.push((name.clone(), column(store, (model, &name), &field, value)?));
        } else if let Some((link, there)) = field["related"].as_str().and_then(|path| path.split_once('.')) {
            // What the field shows is kept by the other record.
            let other = linked(store.stored(model, id, link)).next();
            let part = store.field(model, link).map(relation).unwrap_or_default().to_owned();
            if let Some(other) = other
                && store
                    .field(&part, there)
                    .is_some_and(|field| content::is_kept_apart(&part, field))
            {
                content::set(store, call, (&part, other, there), value);
            } else if let Some(other) = other {
                let kept = column(store, (model, &name), &field, value)?;
                store.patch(&part, other, [(there.to_owned(), kept)]);
            }
        }
    }
    store.patch(model, id, columns);
    for (name, field, value) in lists {
        for command in commands(model, &name, &value)? {
            change_list(store, call, (model, id, &name), &field, command)?;
        }
    }
    Ok(())
}

fn change_list(
    store: &mut Store,
    call: &Call,
    (model, id, name): (&str, i64, &str),
    field: &Value,
    command: Command,
) -> Outcome<()> {
    let other = relation(field).to_owned();
    let inverse = field["relation_field"]
        .as_str()
        .filter(|_| type_of(field) == "one2many")
        .map(str::to_owned);
    let now: Vec<i64> = linked(&super::read::cell(store, model, id, name)).collect();
    let after = match command {
        Command::Create(vals) => {
            let mut vals = vals.as_object().cloned().unwrap_or_default();
            if let Some(inverse) = &inverse {
                vals.insert(inverse.clone(), json!(id));
            }
            [now, vec![create_one(store, call, &other, vals)?]].concat()
        }
        Command::Update(item, vals) => {
            write(store, call, &other, &[item], &vals)?;
            now
        }
        Command::Delete(item) => {
            unlink(store, &other, &[item])?;
            now.into_iter().filter(|known| *known != item).collect()
        }
        Command::Unlink(item) => now.into_iter().filter(|known| *known != item).collect(),
        Command::Link(item) if now.contains(&item) => now,
        Command::Link(item) => [now, vec![item]].concat(),
        Command::Clear => Vec::new(),
        Command::Set(items) => items,
    };
    let known = store.model(&other).is_ok();
    if let Some(absent) = after.iter().find(|item| known && store.row(&other, **item).is_none()) {
        return Err(refusal::missing(&other, *absent));
    }
    let Some(inverse) = inverse else {
        let sorted: std::collections::BTreeSet<i64> = after.into_iter().collect();
        let list = if sorted.is_empty() { Value::Null } else { json!(sorted) };
        store.patch(model, id, [(name.to_owned(), list)]);
        return Ok(());
    };
    let before: Vec<i64> = linked(&super::read::cell(store, model, id, name)).collect();
    for gone in before.iter().filter(|item| !after.contains(item)) {
        store.patch(&other, *gone, [(inverse.clone(), Value::Null)]);
    }
    for item in &after {
        store.patch(&other, *item, [(inverse.clone(), json!(id))]);
    }
    Ok(())
}

/// Changes records. Without ids it does nothing and says `true`, as Odoo does.
pub(super) fn write(store: &mut Store, call: &Call, model: &str, ids: &[i64], vals: &Value) -> Outcome<Value> {
    let vals = vals.as_object().cloned().unwrap_or_default();
    check_names(store, model, &vals)?;
    for id in ids {
        if store.row(model, *id).is_none() {
            return Err(refusal::missing(model, *id));
        }
        let mut vals = vals.clone();
        vals.retain(|name, _| !KEPT_BY_ODOO.contains(&name.as_str()));
        rules::before_write(store, call, model, *id, &mut vals)?;
        let sent = vals.clone();
        apply(store, call, model, *id, vals)?;
        touch(store, call, model, *id);
        check_required(store, model, *id)?;
        check_unique(store, model, *id)?;
        rules::after_write(store, call, model, *id, &sent)?;
    }
    Ok(json!(true))
}

/// Sets who wrote last, and when.
pub(super) fn touch(store: &mut Store, call: &Call, model: &str, id: i64) {
    store.patch(
        model,
        id,
        [
            ("write_date".to_owned(), json!(call.now)),
            ("write_uid".to_owned(), json!(call.uid)),
        ],
    );
}

fn check_required(store: &Store, model: &str, id: i64) -> Outcome<()> {
    let Some(described) = bundled().models.get(model) else {
        return Ok(());
    };
    let Some(row) = store.row(model, id) else { return Ok(()) };
    let needed = |field: &crate::odoo::models::Field| {
        field.required
            && field.store
            && !matches!(
                field.ttype.as_str(),
                "one2many" | "many2many" | "boolean" | "integer" | "float"
            )
    };
    let absent = described
        .fields
        .iter()
        .find(|(name, field)| needed(field) && !row.contains_key(name.as_str()));
    let Some((name, field)) = absent else { return Ok(()) };
    Err(refusal::validation(format!(
        "The operation cannot be completed: Missing required value for the field '{}' ({name}). Model: '{}' ({model}) - \
         create/update: a mandatory field is not set - delete: another model requires the record being deleted, you can \
         archive it instead",
        field.label,
        store.model(model)?.label,
    )))
}

fn check_unique(store: &Store, model: &str, id: i64) -> Outcome<()> {
    for (_, fields, message) in UNIQUE.iter().filter(|(unique, ..)| *unique == model) {
        let own: Vec<&Value> = fields.iter().map(|field| store.stored(model, id, field)).collect();
        let same = |row: &Row| {
            fields
                .iter()
                .zip(&own)
                .all(|(field, own)| row.get(*field) == Some(*own))
        };
        if store.rows(model).any(|(other, row)| other != id && same(row)) {
            return Err(refusal::validation(format!(
                "The operation cannot be completed: {message}"
            )));
        }
    }
    Ok(())
}

/// Deletes records with their external ids. References to them are emptied, or hold them fast where they are required.
pub(super) fn unlink(store: &mut Store, model: &str, ids: &[i64]) -> Outcome<Value> {
    store.model(model)?;
    if let Some(absent) = ids.iter().find(|id| store.row(model, **id).is_none()) {
        return Err(refusal::missing(model, *absent));
    }
    rules::before_unlink(store, model, ids);
    let attachments = content::of_records(store, model, ids);
    if !attachments.is_empty() {
        unlink(store, content::ATTACHMENT, &attachments)?;
    }
    for id in ids {
        store.remove(model, *id);
    }
    release(store, model, ids)?;
    let names: Vec<i64> = store
        .rows("ir.model.data")
        .filter(|(_, row)| row.get("model").and_then(Value::as_str) == Some(model))
        .filter(|(_, row)| {
            row.get("res_id")
                .and_then(Value::as_i64)
                .is_some_and(|id| ids.contains(&id))
        })
        .map(|(id, _)| id)
        .collect();
    for name in names {
        store.remove("ir.model.data", name);
    }
    Ok(json!(true))
}

fn release(store: &mut Store, model: &str, ids: &[i64]) -> Outcome<()> {
    let points =
        |field: &Value| relation(field) == model && field["store"] == json!(true) && type_of(field) != "one2many";
    for owner in store.populated() {
        let links: Vec<String> = store
            .fields(&owner)
            .filter(|(name, field)| points(field) && !KEPT_BY_ODOO.contains(&name.as_str()))
            .map(|(name, _)| name.clone())
            .collect();
        for link in links {
            let held: Vec<(i64, Value)> = store
                .rows(&owner)
                .filter_map(|(id, row)| Some((id, row.get(&link)?)))
                .filter(|(_, value)| linked(value).any(|id| ids.contains(&id)))
                .map(|(id, value)| (id, value.clone()))
                .collect();
            let fast =
                rules::holds_fast(&owner, &link) || bundled().field(&owner, &link).is_some_and(|field| field.required);
            let fast = fast || MADE_BY_ODOO.contains(&(owner.as_str(), link.as_str()));
            if fast && !held.is_empty() {
                return Err(refusal::referenced(&owner, &link));
            }
            for (id, value) in held {
                let left: Vec<i64> = linked(&value).filter(|id| !ids.contains(id)).collect();
                let value = if value.is_array() && !left.is_empty() {
                    json!(left)
                } else {
                    Value::Null
                };
                store.patch(&owner, id, [(link.clone(), value)]);
            }
        }
    }
    Ok(())
}
