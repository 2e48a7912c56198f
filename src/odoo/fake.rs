//! The least of an Odoo, with faults on demand: for tests of what stands above the wire.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
};

use async_trait::async_trait;
use serde_json::{Map, Value as Json, json};

use super::rpc::{Args, Rpc, RpcError};

/// What goes wrong with a call.
pub(super) enum Fault {
    /// It is not carried out.
    Before(RpcError),
    /// It is carried out, and the answer is lost.
    After(RpcError),
}

pub(super) fn lost() -> RpcError {
    RpcError::Unknown {
        message: "timeout after 120 s".to_owned(),
    }
}

/// Records by model. A record named `bad` is refused, one named `poison` is never answered.
#[derive(Default)]
pub(super) struct Fake {
    tables: Mutex<Tables>,
    faults: Mutex<BTreeMap<String, VecDeque<Fault>>>,
    /// `model.method` and arguments of every call.
    pub calls: Mutex<Vec<(String, Args)>>,
    /// The server has no `web_save_multi`.
    pub old: bool,
}

impl Fake {
    /// The next calls of `model.method` go wrong in this way.
    pub fn fail(&self, method: &str, faults: impl IntoIterator<Item = Fault>) {
        self.faults
            .lock()
            .unwrap()
            .entry(method.to_owned())
            .or_default()
            .extend(faults);
    }

    /// Puts a record in.
    pub fn put(&self, model: &str, record: &Json) -> i64 {
        let mut tables = self.tables.lock().unwrap();
        insert(&mut tables, model, record.as_object().unwrap().clone())
    }

    /// All records of a model.
    pub fn all(&self, model: &str) -> Vec<Map<String, Json>> {
        self.tables
            .lock()
            .unwrap()
            .get(model)
            .map(|table| table.values().cloned().collect())
            .unwrap_or_default()
    }

    /// How often a method was called.
    pub fn count(&self, method: &str) -> usize {
        self.calls
            .lock()
            .unwrap()
            .iter()
            .filter(|(called, _)| called == method)
            .count()
    }

    fn carry_out(&self, model: &str, method: &str, args: &Args) -> Result<Json, RpcError> {
        let mut tables = self.tables.lock().unwrap();
        match method {
            "create" => create(&mut tables, model, args),
            "search" | "search_read" => Ok(search(&tables, model, method == "search", args)),
            "web_save_multi" if self.old => Err(missing("no such method")),
            "web_save_multi" => write(&mut tables, model, args, |place| &args["vals_list"][place]),
            "write" => write(&mut tables, model, args, |_| &args["vals"]),
            "unlink" => unlink(&mut tables, model, &ids(args)),
            "context_get" => Ok(json!({"uid": 2, "lang": "en_US"})),
            _ => Err(missing("no such method")),
        }
    }
}

type Tables = BTreeMap<String, BTreeMap<i64, Map<String, Json>>>;

fn insert(tables: &mut Tables, model: &str, mut record: Map<String, Json>) -> i64 {
    let id = i64::try_from(tables.values().map(BTreeMap::len).sum::<usize>()).unwrap() + 101;
    let id = tables
        .values()
        .flat_map(|table| table.keys())
        .max()
        .map_or(id, |last| last + 1);
    record.insert("id".to_owned(), json!(id));
    for (field, value) in [
        ("create_uid", json!(2)),
        ("write_uid", json!(2)),
        ("write_date", json!("2026-01-01 00:00:00")),
    ] {
        record.entry(field).or_insert(value);
    }
    tables.entry(model.to_owned()).or_default().insert(id, record);
    id
}

fn create(tables: &mut Tables, model: &str, args: &Args) -> Result<Json, RpcError> {
    let records: Vec<Map<String, Json>> = args["vals_list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record.as_object().unwrap().clone())
        .collect();
    for record in &records {
        match record.get("name").and_then(Json::as_str) {
            Some("bad") => return Err(refused("bad is bad")),
            Some("dangling") => return Err(gone("record does not exist")),
            Some("poison") => return Err(lost()),
            _ => {}
        }
        let same = |other: &Map<String, Json>| other["key"] == record["key"];
        if model == "ir.config_parameter" && tables.get(model).is_some_and(|table| table.values().any(same)) {
            return Err(refused("Key must be unique."));
        }
    }
    let module = args
        .get("context")
        .and_then(|context| context.get("_import_current_module"))
        .cloned();
    let mut made = Vec::new();
    for mut record in records {
        let name = record.remove("id");
        let id = insert(tables, model, record);
        if let (Some(module), Some(name)) = (&module, name) {
            let name = json!({"module": module, "name": name, "model": model, "res_id": id, "noupdate": false});
            insert(tables, "ir.model.data", name.as_object().unwrap().clone());
        }
        made.push(id);
    }
    Ok(json!(made))
}

fn write<'a>(
    tables: &mut Tables,
    model: &str,
    args: &Args,
    values: impl Fn(usize) -> &'a Json,
) -> Result<Json, RpcError> {
    let table = tables.entry(model.to_owned()).or_default();
    for (place, id) in ids(args).into_iter().enumerate() {
        let values = values(place).as_object().unwrap();
        if values.get("name") == Some(&json!("bad")) {
            return Err(refused("bad is bad"));
        }
        let before = table.get(&id).cloned().ok_or_else(|| gone("record does not exist"))?;
        table.insert(id, before.into_iter().chain(values.clone()).collect());
    }
    Ok(json!(true))
}

fn unlink(tables: &mut Tables, model: &str, ids: &[i64]) -> Result<Json, RpcError> {
    for id in ids {
        let table = tables.entry(model.to_owned()).or_default();
        let record = table.remove(id).ok_or_else(|| gone("record does not exist"))?;
        if record.get("kept") == Some(&json!(true)) {
            table.insert(*id, record);
            return Err(refused("it is used"));
        }
    }
    if let Some(names) = tables.get_mut("ir.model.data") {
        names.retain(|_, name| name["model"] != json!(model) || !ids.contains(&name["res_id"].as_i64().unwrap()));
    }
    Ok(json!(true))
}

fn search(tables: &Tables, model: &str, only_ids: bool, args: &Args) -> Json {
    let matches = |record: &Map<String, Json>| {
        args["domain"]
            .as_array()
            .unwrap()
            .iter()
            .all(|term| holds(term, record))
    };
    let mut found: Vec<&Map<String, Json>> = tables
        .get(model)
        .into_iter()
        .flat_map(BTreeMap::values)
        .filter(|record| matches(record))
        .collect();
    if args.get("order") == Some(&json!("id desc")) {
        found.reverse();
    }
    let limit = args.get("limit").and_then(Json::as_u64).unwrap_or(u64::MAX);
    let found = found.into_iter().take(usize::try_from(limit).unwrap());
    if only_ids {
        found.map(|record| record["id"].clone()).collect()
    } else {
        found.cloned().map(Json::Object).collect()
    }
}

fn holds(term: &Json, record: &Map<String, Json>) -> bool {
    let (value, wanted) = (record.get(term[0].as_str().unwrap()).unwrap_or(&Json::Null), &term[2]);
    match term[1].as_str().unwrap() {
        "=" => value == wanted,
        "in" => wanted.as_array().unwrap().contains(value),
        ">" => value.as_i64() > wanted.as_i64(),
        "=like" => value
            .as_str()
            .unwrap()
            .starts_with(wanted.as_str().unwrap().trim_end_matches('%')),
        other => panic!("{other}"),
    }
}

fn missing(message: &str) -> RpcError {
    RpcError::NotFound {
        message: message.to_owned(),
    }
}

fn gone(message: &str) -> RpcError {
    RpcError::Missing {
        message: message.to_owned(),
    }
}

fn refused(message: &str) -> RpcError {
    RpcError::Rejected {
        name: "odoo.exceptions.ValidationError".to_owned(),
        message: message.to_owned(),
    }
}

fn ids(args: &Args) -> Vec<i64> {
    args["ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_i64().unwrap())
        .collect()
}

#[async_trait]
impl Rpc for Fake {
    async fn call(&self, model: &str, method: &str, args: Args) -> Result<Json, RpcError> {
        let called = format!("{model}.{method}");
        self.calls.lock().unwrap().push((called.clone(), args.clone()));
        let fault = self
            .faults
            .lock()
            .unwrap()
            .get_mut(&called)
            .and_then(VecDeque::pop_front);
        match fault {
            Some(Fault::Before(error)) => Err(error),
            Some(Fault::After(error)) => self.carry_out(model, method, &args).and(Err(error)),
            None => self.carry_out(model, method, &args),
        }
    }

    async fn version(&self) -> Result<String, RpcError> {
        Ok("fake".to_owned())
    }
}
