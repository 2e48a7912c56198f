//! One test's corner of an Odoo: what it makes there has external ids of its own and goes with it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use crmferry::{
    args,
    mapping::TargetField,
    model::{ExternalId, OdooModel, OdooValue, SourceKey},
    odoo::{
        memory::Memory,
        rpc::{Args, Rpc},
        upsert::{Done, Op, Write, Writer, Written},
    },
};
use serde_json::Value as Json;

use crate::real;

/// The Odoos to try: the one in memory, and the real one where there is one, over each of its APIs.
pub(crate) fn odoos() -> Vec<Arc<dyn Rpc>> {
    let mut all: Vec<Arc<dyn Rpc>> = vec![Arc::new(Memory::new())];
    if let Some(server) = real::server() {
        all.extend([server.json2(), server.xml_rpc()]);
    }
    all
}

/// A name that no other test uses.
pub(crate) fn unique(name: &str) -> String {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("{name}{nanos}")
}

pub(crate) fn fields(list: &[(&str, &str)]) -> Vec<TargetField> {
    let field = |(name, ttype): &(&str, &str)| TargetField::new(name, ttype);
    list.iter().map(field).collect()
}

pub(crate) fn text(text: &str) -> OdooValue {
    OdooValue::Text(text.to_owned())
}

pub(crate) fn values(list: &[(&str, OdooValue)]) -> Vec<(String, OdooValue)> {
    list.iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

/// One test's corner of the server: its own external ids, swept away at the end.
pub(crate) struct Corner {
    pub(crate) rpc: Arc<dyn Rpc>,
    pub(crate) module: String,
}

impl Corner {
    pub(crate) fn new(rpc: Arc<dyn Rpc>) -> Self {
        Self {
            rpc,
            module: unique("crmferry_test_"),
        }
    }

    pub(crate) async fn write(&self, object: &str, model: &str, ops: Vec<(&str, Op)>) -> Done {
        let batch = ops.into_iter().map(|(key, op)| {
            let key = SourceKey(key.to_owned());
            Write {
                external_id: ExternalId::of(&self.module, object, &key),
                key,
                op,
            }
        });
        let writer = Writer::new(self.rpc.clone(), OdooModel(model.to_owned()), self.module.clone());
        writer.write(batch.collect(), &|| true).await.unwrap()
    }

    pub(crate) async fn create(&self, object: &str, model: &str, list: &[(&str, OdooValue)]) -> i64 {
        let done = self.write(object, model, vec![("1", Op::Create(values(list)))]).await;
        let Written::Created(id) = done[0].1 else {
            panic!("{done:?}")
        };
        id
    }

    pub(crate) async fn call(&self, model: &str, method: &str, args: Args) -> Json {
        self.rpc.call(model, method, args).await.unwrap()
    }

    /// Takes away what has an external id of this corner; leads before teams before partners.
    pub(crate) async fn leave(self) {
        let args = args!({"domain": [["module", "=", self.module]], "fields": ["model", "res_id"]});
        let found = self.call("ir.model.data", "search_read", args).await;
        let mut by_model: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for row in found.as_array().unwrap() {
            by_model
                .entry(row["model"].as_str().unwrap())
                .or_default()
                .push(row["res_id"].as_i64().unwrap());
        }
        for (model, ids) in by_model {
            self.call(model, "unlink", args!({"ids": ids, "context": {"active_test": false}}))
                .await;
        }
    }
}
