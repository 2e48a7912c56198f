//! The Odoo in memory against a real one: the same calls, the same answers.
//!
//! `odoo_parity.jsonl` holds the calls (a name, model, method, arguments), `odoo_parity.golden` the answers of a real Odoo
//! 19. Memory is held against it always, and so is the server at `ODOO_URL` when it is set, over each of its APIs (see
//! [`crate::real`]); with `UPDATE_GOLDEN=1` its answers over JSON-2 are written to it. What the calls make, they delete.

use std::{fmt::Write as _, path::PathBuf};

use crmferry::odoo::{
    memory::Memory,
    rpc::{Args, Rpc, RpcError},
};
use serde_json::{Value, json};

use crate::real;

const CALLS: &str = include_str!("odoo_parity.jsonl");

/// Stands in the calls for a prefix of its own in every run, so that runs on one server do not meet.
const PREFIX: &str = "zz~";

/// An id a call answered with. `$name0` in arguments stands for it, and the name for it in answers.
struct Known {
    name: String,
    model: String,
    id: i64,
    ours: bool,
}

/// Runs calls, remembers ids, and writes down the answers without what differs between databases.
struct Run<'a> {
    rpc: &'a dyn Rpc,
    prefix: String,
    known: Vec<Known>,
    log: String,
}

impl Run<'_> {
    async fn step(&mut self, name: &str, model: &str, method: &str, args: Value) {
        let Value::Object(args) = self.filled(args) else {
            panic!("the arguments of {name} are an object")
        };
        let answer = self.rpc.call(model, method, args).await;
        if let Ok(answer) = &answer {
            self.remember(name, model, method, answer);
        }
        let shown = match answer {
            Ok(answer) if method == "search_count" => answer.to_string(),
            Ok(answer) => self.shown(model, "id", answer).to_string(),
            // Sentences differ in detail; what a caller decides by must not.
            Err(RpcError::Rejected { name, .. }) => format!("Rejected {name}"),
            Err(RpcError::NotFound { .. }) => "NotFound".to_owned(),
            Err(RpcError::Missing { .. }) => "Missing".to_owned(),
            Err(RpcError::Forbidden { .. }) => "Forbidden".to_owned(),
            Err(other) => other.to_string(),
        };
        writeln!(self.log, "{name}: {model}.{method} => {shown}").expect("a String takes all");
    }

    fn remember(&mut self, name: &str, model: &str, method: &str, answer: &Value) {
        let ids = if method == "load" { &answer["ids"] } else { answer };
        let ours = matches!(method, "create" | "load");
        if !ours && (method, model) != ("search", "ir.model") {
            return;
        }
        for (number, id) in ids
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_i64)
            .enumerate()
        {
            self.known.push(Known {
                name: format!("${name}{number}"),
                model: model.to_owned(),
                id,
                ours,
            });
        }
    }

    /// Arguments with ids and the prefix of this run.
    fn filled(&self, value: Value) -> Value {
        match value {
            Value::String(text) if text.starts_with('$') => {
                let known = self.known.iter().rev().find(|known| known.name == text);
                // What was not made stays a text: the answer then differs, and the run still cleans up after itself.
                known.map_or_else(|| json!(text), |known| json!(known.id))
            }
            Value::String(text) => json!(text.replace(PREFIX, &self.prefix)),
            Value::Array(items) => items.into_iter().map(|item| self.filled(item)).collect(),
            Value::Object(fields) => {
                let filled = fields
                    .into_iter()
                    .map(|(key, value)| (key.replace(PREFIX, &self.prefix), self.filled(value)));
                Value::Object(filled.collect())
            }
            other => other,
        }
    }

    /// An answer with names for ids, without times of today.
    fn shown(&self, model: &str, key: &str, value: Value) -> Value {
        match value {
            Value::Number(number) => self
                .named(model, key, &number)
                .map_or(Value::Number(number), Value::String),
            Value::String(text) if text.len() == 19 && text.as_str() > "2026" && text.as_bytes()[10] == b' ' => {
                json!("<now>")
            }
            Value::String(text) => json!(text.replace(&self.prefix, PREFIX)),
            Value::Array(items) => items.into_iter().map(|item| self.shown(model, key, item)).collect(),
            Value::Object(fields) => self.shown_object(model, fields),
            other => other,
        }
    }

    fn shown_object(&self, model: &str, mut fields: Args) -> Value {
        // Help for people in front of a form.
        fields.remove("moreinfo");
        // A row of `ir.model.data` says itself whose id it holds.
        let owner = fields.get("model").and_then(Value::as_str).map(str::to_owned);
        let shown = fields.into_iter().map(|(key, value)| {
            let model = owner.as_deref().filter(|_| key == "res_id").unwrap_or(model);
            (key.replace(&self.prefix, PREFIX), self.shown(model, &key, value))
        });
        Value::Object(shown.collect())
    }

    fn named(&self, model: &str, key: &str, number: &serde_json::Number) -> Option<String> {
        let model = match key {
            "id" if model == "ir.model.data" => return Some("<id>".to_owned()),
            "id" | "ids" | "res_id" => model,
            "parent_id" | "child_ids" | "partner_id" | "commercial_partner_id" => "res.partner",
            "tag_ids" => "crm.tag",
            _ => return None,
        };
        let known = self
            .known
            .iter()
            .rev()
            .find(|known| known.model == model && number.as_i64() == Some(known.id));
        known.map(|known| known.name.clone())
    }

    async fn clean_up(&self) {
        for known in self.known.iter().rev().filter(|known| known.ours) {
            // Some were deleted by the calls themselves.
            let _ = self
                .rpc
                .call(
                    &known.model,
                    "unlink",
                    Args::from_iter([("ids".to_owned(), json!([known.id]))]),
                )
                .await;
        }
        for (model, field) in [
            ("res.partner", "name"),
            ("utm.source", "name"),
            ("ir.model.data", "module"),
        ] {
            let domain = json!([[field, "=like", format!("{}%", self.prefix)]]);
            let context = json!({"active_test": false});
            let args = Args::from_iter([("domain".to_owned(), domain), ("context".to_owned(), context)]);
            if let Ok(ids) = self.rpc.call(model, "search", args).await {
                let _ = self
                    .rpc
                    .call(model, "unlink", Args::from_iter([("ids".to_owned(), ids)]))
                    .await;
            }
        }
    }
}

async fn answers_of(rpc: &dyn Rpc, prefix: &str) -> String {
    let mut run = Run {
        rpc,
        prefix: prefix.to_owned(),
        known: Vec::new(),
        log: String::new(),
    };
    for line in CALLS.lines() {
        let (name, model, method, args): (String, String, String, Value) = serde_json::from_str(line).expect("a call");
        run.step(&name, &model, &method, args).await;
    }
    run.clean_up().await;
    run.log
}

fn golden() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/odoo_parity.golden"))
}

/// The lines that differ alone, because the whole would hide them.
fn assert_same(of: &str, answers: &str, golden: &str) {
    let pairs = answers
        .lines()
        .zip(golden.lines())
        .filter(|(answer, expected)| answer != expected);
    let differing: Vec<String> = pairs
        .map(|(answer, expected)| format!("got  {answer}\nreal {expected}"))
        .collect();
    assert!(
        differing.is_empty(),
        "{of} answers otherwise:\n{}",
        differing.join("\n")
    );
    assert_eq!(
        answers.lines().count(),
        golden.lines().count(),
        "{of} answers otherwise"
    );
}

/// The same over XML-RPC: Odoo refuses the same, and names the reason otherwise. A refusal by its own rules does not tell
/// which of them it was.
fn as_xml_rpc_tells_it(golden: &str) -> String {
    let told = golden.lines().map(|line| match line.split_once("Rejected ") {
        Some((call, name)) if name.starts_with("odoo.exceptions.") => {
            format!("{call}Rejected odoo.exceptions.UserError")
        }
        // what XML cannot carry is not even sent
        Some((call, _)) if call.starts_with("nul:") => format!("{call}Rejected NotXml"),
        // JSON-2 looks at the arguments itself
        Some((call, "werkzeug.exceptions.UnprocessableEntity")) => format!("{call}Rejected TypeError"),
        // JSON-2 names Python's own classes by their module, and a traceback does not
        Some((call, name)) => format!("{call}Rejected {}", name.trim_start_matches("builtins.")),
        None => line.to_owned(),
    });
    told.collect::<Vec<String>>().join("\n")
}

#[tokio::test]
async fn memory_answers_as_a_real_odoo_19_does() {
    if let Some(server) = real::server() {
        let real = answers_of(&*server.json2(), &format!("zzp{}_", std::process::id())).await;
        if std::env::var("UPDATE_GOLDEN").is_ok() {
            std::fs::write(golden(), &real).expect("written");
        }
        let golden = std::fs::read_to_string(golden()).expect("recorded");
        assert_same("the server", &real, &golden);
        let real = answers_of(&*server.xml_rpc(), &format!("zzx{}_", std::process::id())).await;
        assert_same("the server over XML-RPC", &real, &as_xml_rpc_tells_it(&golden));
    }
    let memory = answers_of(&Memory::new(), "zz_").await;
    assert_same("memory", &memory, &std::fs::read_to_string(golden()).expect("recorded"));
}
