//! An Odoo in memory: the JSON-2 semantics of Odoo 19 for the methods this product calls, traps included, so that a dry
//! run and a laptop walk the same ways as a real ferry. What it imitates was measured; `tests/it/odoo_parity.rs` holds it
//! against a real server.
//!
//! One call is one transaction: [`store`] keeps a journal and takes a failed call back.

mod content;
mod domain;
mod import;
mod lead;
mod partner;
mod read;
mod refusal;
mod rules;
mod store;
mod values;
mod write;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};

use self::{
    read::Search,
    refusal::Outcome,
    store::{Row, Store},
};
use super::{
    models::bundle,
    rpc::{Args, Rpc, RpcError},
};

/// The user that calls: the administrator.
const UID: i64 = 2;

/// Methods of every model, with the arguments they take; those before the bar are needed.
const METHODS: [(&str, &[&str], &[&str]); 16] = [
    ("create", &["vals_list"], &[]),
    ("write", &["vals"], &["ids"]),
    ("unlink", &[], &["ids"]),
    ("exists", &[], &["ids"]),
    ("read", &[], &["ids", "fields", "load"]),
    ("search", &["domain"], &["offset", "limit", "order"]),
    (
        "search_read",
        &[],
        &["domain", "fields", "offset", "limit", "order", "load"],
    ),
    ("search_count", &["domain"], &["limit"]),
    ("load", &["fields", "data"], &[]),
    ("fields_get", &[], &["allfields", "attributes"]),
    ("default_get", &["fields"], &[]),
    ("name_search", &[], &["name", "domain", "operator", "limit"]),
    ("has_access", &["operation"], &[]),
    ("check_access_rights", &["operation"], &["raise_exception"]),
    ("web_save_multi", &["vals_list", "specification"], &["ids"]),
    ("context_get", &[], &[]),
];

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// An Odoo in memory.
pub struct Memory {
    store: Mutex<Store>,
    clock: Clock,
}

/// The file of an Odoo in memory cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the file of the odoo in memory is damaged: {0}")]
pub struct Damaged(String);

impl fmt::Debug for Memory {
    // Records hold people's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// A fresh database with the records Odoo is born with.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(Timestamp::now))
    }

    /// A fresh database with another clock.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        let store = Store::seeded(&moment(clock()));
        Self {
            store: Mutex::new(store),
            clock,
        }
    }

    /// A call of another user's, such as a person who works in Odoo meanwhile.
    ///
    /// # Errors
    /// As Odoo refuses it.
    pub fn call_as(&self, uid: i64, model: &str, method: &str, args: &Args) -> Result<Value, RpcError> {
        let call = Call::new((self.clock)(), uid, args);
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = dispatch(&mut store, &call, model, method, args);
        store.end(answer.is_ok());
        answer
    }

    /// The database that [`Memory::save`] wrote.
    ///
    /// # Errors
    /// Where these are not its bytes.
    pub fn load(bytes: &[u8]) -> Result<Self, Damaged> {
        let json = zstd::decode_all(bytes).map_err(|error| Damaged(error.to_string()))?;
        let store: Store = serde_json::from_slice(&json).map_err(|error| Damaged(place_of(&error)))?;
        Ok(Self {
            store: Mutex::new(store.indexed()),
            clock: Arc::new(Timestamp::now),
        })
    }

    /// The whole database: JSON, compressed.
    ///
    /// # Panics
    /// Never: maps with text keys are JSON, and a `Vec` takes all.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let json = serde_json::to_vec(&*store).expect("maps with text keys are JSON");
        zstd::encode_all(json.as_slice(), 3).expect("a Vec takes all")
    }
}

/// Where a file is damaged; serde's own message quotes data.
fn place_of(error: &serde_json::Error) -> String {
    format!(
        "{:?} error at line {} column {}",
        error.classify(),
        error.line(),
        error.column()
    )
}

#[async_trait]
impl Rpc for Memory {
    async fn call(&self, model: &str, method: &str, args: Args) -> Result<Value, RpcError> {
        self.call_as(UID, model, method, &args)
    }

    async fn version(&self) -> Result<String, RpcError> {
        Ok(bundle().version.clone())
    }
}

/// What is the same for all that happens in one call.
struct Call {
    now: String,
    uid: i64,
    context: Row,
}

impl Call {
    fn new(now: Timestamp, uid: i64, args: &Args) -> Self {
        let context = args
            .get("context")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        Self {
            now: moment(now),
            uid,
            context,
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.context.get(key)?.as_str().filter(|text| !text.is_empty())
    }

    fn flag(&self, key: &str) -> bool {
        self.context.get(key).is_some_and(values::is_true)
    }

    /// Whether archived records are shown.
    fn archived(&self) -> bool {
        self.context
            .get("active_test")
            .is_some_and(|test| !values::is_true(test))
    }
}

/// As Odoo writes times: UTC, whole seconds.
fn moment(now: Timestamp) -> String {
    now.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn dispatch(store: &mut Store, call: &Call, model: &str, method: &str, args: &Args) -> Outcome<Value> {
    if method.starts_with('_') {
        let message = format!("Private methods (such as '{model}.{method}') cannot be called remotely.");
        return Err(RpcError::Forbidden { message });
    }
    store.model(model)?;
    if let Some(answer) = special(store, call, model, method, args) {
        return answer;
    }
    check_arguments(model, method, args)?;
    let arg = |name: &str| args.get(name).unwrap_or(&Value::Null);
    let ids = ids(arg("ids"))?;
    match method {
        "create" => write::create(store, call, model, arg("vals_list")).map(Value::from),
        "write" => write::write(store, call, model, &ids, arg("vals")),
        "unlink" => write::unlink(store, model, &ids),
        "web_save_multi" => save_multi(store, call, model, &ids, arg("vals_list")),
        "load" => import::load(store, call, model, &texts(arg("fields")), arg("data")),
        "exists" => Ok(ids.into_iter().filter(|id| store.row(model, *id).is_some()).collect()),
        "read" => read::read(store, model, &ids, &texts(arg("fields")), call.archived()),
        "search" => read::search(store, model, &search_of(call, args)).map(Value::from),
        "search_count" => {
            let search = Search {
                order: Some("id".to_owned()),
                ..search_of(call, args)
            };
            read::search(store, model, &search).map(|ids| json!(ids.len()))
        }
        "search_read" => {
            let found = read::search(store, model, &search_of(call, args))?;
            read::read(store, model, &found, &texts(arg("fields")), call.archived())
        }
        "fields_get" => {
            let only = arg("allfields").as_array().map(|_| texts(arg("allfields")));
            Ok(read::fields_get(
                store,
                model,
                only.as_deref(),
                &texts(arg("attributes")),
            ))
        }
        "default_get" => Ok(read::default_get(model, &texts(arg("fields")))),
        "name_search" => name_search(store, call, model, args),
        "check_access_rights" => Ok(Value::Null),
        "has_access" => Ok(json!(true)),
        _ => Ok(json!({"lang": "en_US", "tz": false, "uid": call.uid})),
    }
}

/// Methods of one model alone.
fn special(store: &mut Store, call: &Call, model: &str, method: &str, args: &Args) -> Option<Outcome<Value>> {
    let key = args.get("key").and_then(Value::as_str);
    let parameter = key.and_then(|key| {
        let mut rows = store.rows(model);
        rows.find(|(_, row)| row.get("key").and_then(Value::as_str) == Some(key))
            .map(|(id, _)| id)
    });
    match (model, method) {
        ("ir.config_parameter", "get_param") => {
            let value = parameter.map(|id| store.stored(model, id, "value").clone());
            Some(Ok(value
                .or_else(|| args.get("default").cloned())
                .unwrap_or(json!(false))))
        }
        ("ir.config_parameter", "set_param") => {
            let vals = json!({"key": key, "value": args.get("value")});
            Some(match parameter {
                Some(id) => write::write(store, call, model, &[id], &vals),
                None => write::create(store, call, model, &vals).map(|_| json!(true)),
            })
        }
        _ => None,
    }
}

fn check_arguments(model: &str, method: &str, args: &Args) -> Outcome<()> {
    let known = METHODS
        .iter()
        .find(|(name, ..)| *name == method && (method != "context_get" || model == "res.users"));
    let Some((_, needed, optional)) = known else {
        return Err(refusal::not_found(format!(
            "The method '{model}.{method}' does not exist"
        )));
    };
    if let Some(absent) = needed.iter().find(|name| !args.contains_key(**name)) {
        return Err(refusal::arguments(format!("missing a required argument: '{absent}'")));
    }
    let takes = |name: &str| name == "context" || name == "ids" || needed.contains(&name) || optional.contains(&name);
    match args.keys().find(|name| !takes(name)) {
        Some(extra) => Err(refusal::arguments(format!(
            "got an unexpected keyword argument '{extra}'"
        ))),
        None => Ok(()),
    }
}

fn ids(value: &Value) -> Outcome<Vec<i64>> {
    let one = value.as_i64().into_iter().map(Ok);
    let many = value.as_array().into_iter().flatten().map(|id| {
        let message = || format!("invalid input syntax for type integer: {id}");
        id.as_i64()
            .ok_or_else(|| refusal::database("InvalidTextRepresentation", message()))
    });
    one.chain(many).collect()
}

fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn search_of(call: &Call, args: &Args) -> Search {
    let count = |name: &str| {
        args.get(name)
            .and_then(Value::as_u64)
            .and_then(|count| usize::try_from(count).ok())
    };
    Search {
        domain: args.get("domain").filter(|domain| !domain.is_null()).cloned(),
        order: args
            .get("order")
            .and_then(Value::as_str)
            .filter(|order| !order.is_empty())
            .map(str::to_owned),
        offset: count("offset").unwrap_or(0),
        // No limit is what Odoo makes of 0.
        limit: count("limit").filter(|limit| *limit > 0),
        archived: call.archived(),
    }
}

fn save_multi(store: &mut Store, call: &Call, model: &str, ids: &[i64], vals_list: &Value) -> Outcome<Value> {
    let list = vals_list.as_array().map_or(&[][..], Vec::as_slice);
    if list.len() != ids.len() {
        return Err(refusal::value("Each record must have a corresponding vals entry."));
    }
    for (id, vals) in ids.iter().zip(list) {
        write::write(store, call, model, &[*id], vals)?;
    }
    Ok(ids.iter().map(|id| json!({"id": id})).collect())
}

fn name_search(store: &Store, call: &Call, model: &str, args: &Args) -> Outcome<Value> {
    let name = args.get("name").and_then(Value::as_str).unwrap_or_default();
    let operator = args.get("operator").and_then(Value::as_str).unwrap_or("ilike");
    let mut search = search_of(call, args);
    let limit = search.limit.take().unwrap_or(100);
    let found = read::search(store, model, &search)?;
    let names = found.into_iter().map(|id| (id, read::display_name(store, model, id)));
    let fits = |shown: &str| match operator {
        "=" => shown == name,
        _ => shown.to_lowercase().contains(&name.to_lowercase()),
    };
    Ok(names
        .filter(|(_, shown)| fits(shown))
        .take(limit)
        .map(|(id, shown)| json!([id, shown]))
        .collect())
}

#[cfg(test)]
mod tests;
