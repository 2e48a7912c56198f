//! Reading: values, names, order, search, descriptions.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::{
    content,
    domain::Domain,
    refusal::{self, Outcome},
    store::{Row, Store},
    values::{answered, is_true, is_x2many, relation, type_of},
};
use crate::odoo::models::bundle;

/// Ids in a stored value: of a many2one one, of an x2many several.
pub(super) fn linked(value: &Value) -> impl Iterator<Item = i64> {
    let many = value.as_array().into_iter().flatten();
    value.as_i64().into_iter().chain(many.filter_map(Value::as_i64))
}

/// A field of a record, stored or computed; `Null` is empty.
pub(super) fn cell(store: &Store, model: &str, id: i64, name: &str) -> Value {
    if name == "id" {
        return json!(id);
    }
    let field = store.field(model, name).unwrap_or(&Value::Null);
    match (model, name) {
        (_, "display_name") | ("res.partner" | "ir.model.data", "complete_name") => {
            return json!(display_name(store, model, id));
        }
        ("res.partner", "company_type") => {
            return json!(if is_true(store.stored(model, id, "is_company")) {
                "company"
            } else {
                "person"
            });
        }
        ("res.partner", "commercial_partner_id") => return json!(commercial(store, id)),
        (_, "email_normalized") => return normalized_email(store, model, id),
        ("ir.model.data", "reference") => {
            let row = |field| store.stored(model, id, field);
            return json!(format!(
                "{},{}",
                row("model").as_str().unwrap_or_default(),
                row("res_id")
            ));
        }
        (content::ATTACHMENT, "datas" | "raw") => return content::get(store, model, id, name),
        _ if content::is_kept_apart(model, field) => return content::get(store, model, id, name),
        _ => {}
    }
    if type_of(field) == "one2many" {
        return owned(store, field, id);
    }
    let stored = store.stored(model, id, name);
    if stored.is_null() && !is_true(&field["store"]) {
        return through(store, model, id, field);
    }
    stored.clone()
}

fn owned(store: &Store, field: &Value, id: i64) -> Value {
    let Some(inverse) = field["relation_field"].as_str() else {
        return json!([]);
    };
    let own = json!(id);
    let rows = store
        .rows(relation(field))
        .filter(|(_, row)| row.get(inverse) == Some(&own));
    rows.map(|(other, _)| json!(other)).collect()
}

/// A related field that is not stored: `partner_id.email`.
fn through(store: &Store, model: &str, id: i64, field: &Value) -> Value {
    let Some((first, rest)) = field["related"].as_str().and_then(|path| path.split_once('.')) else {
        return Value::Null;
    };
    let Some(link) = store.field(model, first) else {
        return Value::Null;
    };
    let next = linked(store.stored(model, id, first)).next();
    // One step is enough for what people migrate; longer paths stay empty.
    next.filter(|_| !rest.contains('.'))
        .map_or(Value::Null, |other| cell(store, relation(link), other, rest))
}

fn normalized_email(store: &Store, model: &str, id: i64) -> Value {
    let field = if store.field(model, "email_from").is_some() {
        "email_from"
    } else {
        "email"
    };
    let email = store
        .stored(model, id, field)
        .as_str()
        .unwrap_or_default()
        .trim()
        .to_lowercase();
    if email.contains('@') { json!(email) } else { Value::Null }
}

/// The company a partner belongs to, or itself.
fn commercial(store: &Store, id: i64) -> i64 {
    let mut at = id;
    // Bounded, because a damaged table could hold a circle.
    for _ in 0..50 {
        let parent = store.stored("res.partner", at, "parent_id").as_i64();
        match parent {
            Some(parent) if !is_true(store.stored("res.partner", at, "is_company")) => at = parent,
            _ => break,
        }
    }
    at
}

/// What a record is called in other records.
pub(super) fn display_name(store: &Store, model: &str, id: i64) -> String {
    let text = |model: &str, id: i64, field: &str| store.stored(model, id, field).as_str().map(str::to_owned);
    let name = match model {
        "res.partner" => return partner_name(store, id),
        "res.users" => {
            return linked(store.stored(model, id, "partner_id"))
                .next()
                .map_or_else(String::new, |id| partner_name(store, id));
        }
        "ir.model.data" => {
            let part = |field| text(model, id, field).unwrap_or_default();
            return format!("{}.{}", part("module"), part("name"));
        }
        "ir.model.fields" => text(model, id, "field_description"),
        "ir.config_parameter" => text(model, id, "key"),
        "survey.survey" | "utm.campaign" => text(model, id, "title"),
        _ => text(model, id, "name").or_else(|| cell_name(store, model, id)),
    };
    name.unwrap_or_else(|| format!("{model},{id}"))
}

fn cell_name(store: &Store, model: &str, id: i64) -> Option<String> {
    let field = store.field(model, "name")?;
    through(store, model, id, field).as_str().map(str::to_owned)
}

fn partner_name(store: &Store, id: i64) -> String {
    let stored = |id: i64, field: &str| {
        store
            .stored("res.partner", id, field)
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let own = stored(id, "name");
    let is_company = |id: i64| is_true(store.stored("res.partner", id, "is_company"));
    let parent = store.stored("res.partner", id, "parent_id").as_i64();
    let of = commercial(store, id);
    let company = match parent {
        _ if is_company(id) => String::new(),
        Some(_) if is_company(of) => stored(of, "name"),
        Some(parent) if stored(id, "company_name").is_empty() => stored(parent, "name"),
        _ => stored(id, "company_name"),
    };
    if company.is_empty() {
        own
    } else {
        format!("{company}, {own}").trim_end_matches([' ', ',']).to_owned()
    }
}

/// A record as a client reads it. Records that are not there are left out, as Odoo does.
pub(super) fn read(store: &Store, model: &str, ids: &[i64], names: &[String], archived: bool) -> Outcome<Value> {
    for name in names {
        if store.field(model, name).is_none() {
            return Err(refusal::value(format!("Invalid field '{name}' on '{model}'")));
        }
    }
    let all: Vec<String>;
    let names = if names.is_empty() {
        all = store.fields(model).map(|(name, _)| name.clone()).collect();
        &all
    } else {
        names
    };
    for id in ids {
        for name in names {
            content::check_kept(store, model, *id, name)?;
        }
    }
    let there = ids.iter().filter(|id| store.row(model, **id).is_some());
    Ok(there
        .map(|id| Value::Object(record(store, model, *id, names, archived)))
        .collect())
}

fn record(store: &Store, model: &str, id: i64, names: &[String], archived: bool) -> Map<String, Value> {
    let mut record = Map::from_iter([("id".to_owned(), json!(id))]);
    for name in names {
        let field = store.field(model, name).unwrap_or(&Value::Null);
        let value = cell(store, model, id, name);
        let value = match type_of(field) {
            "many2one" => value.as_i64().map_or(Value::Null, |other| {
                json!([other, display_name(store, relation(field), other)])
            }),
            _ if is_x2many(field) => listed(store, relation(field), &value, archived),
            _ => value,
        };
        record.insert(name.clone(), answered(field, value));
    }
    record
}

/// Ids in the order of their model, without archived records unless they are asked for.
fn listed(store: &Store, model: &str, value: &Value, archived: bool) -> Value {
    let hides = !archived && store.field(model, "active").is_some();
    let shown = linked(value).filter(|id| !hides || is_true(store.stored(model, *id, "active")));
    let order = store
        .model(model)
        .and_then(|described| orders(store, model, &described.order))
        .unwrap_or_default();
    sorted(store, model, shown, &order)
        .into_iter()
        .map(Value::from)
        .collect()
}

/// What a search asks for.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub(super) domain: Option<Value>,
    pub(super) order: Option<String>,
    pub(super) offset: usize,
    pub(super) limit: Option<usize>,
    /// `active_test: false` in the context.
    pub(super) archived: bool,
}

/// Ids in order.
pub(super) fn search(store: &Store, model: &str, search: &Search) -> Outcome<Vec<i64>> {
    let described = store.model(model)?;
    let domain = Domain::parse(store, model, search.domain.as_ref().unwrap_or(&json!([])))?;
    let hides = !search.archived && store.field(model, "active").is_some() && !domain.mentions("active");
    let order = orders(store, model, search.order.as_deref().unwrap_or(&described.order))?;
    let shown = |row: &Row| !hides || row.get("active").is_some_and(is_true);
    let found = store
        .rows(model)
        .filter(|(id, row)| shown(row) && !content::hides(model, &domain, row) && domain.holds(store, model, *id))
        .map(|(id, _)| id);
    let page = sorted(store, model, found, &order).into_iter().skip(search.offset);
    Ok(page.take(search.limit.unwrap_or(usize::MAX)).collect())
}

fn sorted(store: &Store, model: &str, ids: impl Iterator<Item = i64>, order: &[(String, bool)]) -> Vec<i64> {
    let keys = |id| {
        order
            .iter()
            .map(|(field, _)| sort_key(store, model, id, field))
            .collect::<Vec<_>>()
    };
    let mut keyed: Vec<(Vec<Value>, i64)> = ids.map(|id| (keys(id), id)).collect();
    keyed.sort_by(|(a, _), (b, _)| compare(a, b, order));
    keyed.into_iter().map(|(_, id)| id).collect()
}

/// Field names with their direction (`true` is descending).
fn orders(store: &Store, model: &str, text: &str) -> Outcome<Vec<(String, bool)>> {
    let mut orders = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let mut words = part.split_whitespace();
        let field = words.next().unwrap_or_default().trim_matches('"');
        if store.field(model, field).is_none() {
            return Err(refusal::value(format!("Invalid field '{field}' on model '{model}'")));
        }
        orders.push((
            field.to_owned(),
            words.next().is_some_and(|way| way.eq_ignore_ascii_case("desc")),
        ));
    }
    Ok(orders)
}

fn sort_key(store: &Store, model: &str, id: i64, field: &str) -> Value {
    let value = cell(store, model, id, field);
    match store.field(model, field).map(|field| (type_of(field), relation(field))) {
        Some(("many2one", other)) => value
            .as_i64()
            .map_or(Value::Null, |id| json!(display_name(store, other, id))),
        Some(("boolean", _)) => json!(is_true(&value)),
        _ => value,
    }
}

/// As `PostgreSQL` sorts: empty is greater than all.
fn compare(a: &[Value], b: &[Value], order: &[(String, bool)]) -> Ordering {
    for ((a, b), (_, descending)) in a.iter().zip(b).zip(order) {
        let by_value = match (a, b) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) => Ordering::Greater,
            (_, Value::Null) => Ordering::Less,
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (a, b) => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        };
        if by_value.is_ne() {
            return if *descending { by_value.reverse() } else { by_value };
        }
    }
    Ordering::Equal
}

/// The answer of `fields_get`.
pub(super) fn fields_get(store: &Store, model: &str, only: Option<&[String]>, attributes: &[String]) -> Value {
    let wanted = store
        .fields(model)
        .filter(|(name, _)| only.is_none_or(|only| only.contains(name)));
    let described = wanted.map(|(name, field)| {
        let mut field = field.as_object().cloned().unwrap_or_default();
        for flag in ["required", "readonly", "store"] {
            field.entry(flag).or_insert(json!(false));
        }
        if !attributes.is_empty() {
            field.retain(|attribute, _| attributes.contains(attribute));
        }
        (name.clone(), Value::Object(field))
    });
    Value::Object(described.collect())
}

/// The answer of `default_get`.
pub(super) fn default_get(model: &str, fields: &[String]) -> Value {
    let defaults = bundle().models.get(model).map(|described| &described.defaults);
    let wanted = defaults.into_iter().flatten().filter(|(name, _)| fields.contains(name));
    Value::Object(wanted.map(|(name, value)| (name.clone(), value.clone())).collect())
}
