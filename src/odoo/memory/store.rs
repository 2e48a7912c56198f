//! The tables, and the journal that makes a call one transaction.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::refusal::{self, Outcome};
use crate::odoo::models::{Described, bundle};

/// A record's stored fields; an absent field is empty. Many2one: the id; many2many: the ids.
pub(super) type Row = Map<String, Value>;

static CUSTOM: LazyLock<Described> = LazyLock::new(|| Described {
    label: String::new(),
    id: 0,
    order: "id".to_owned(),
    fields: Map::new(),
    defaults: Map::new(),
});

/// Records of one model, and the last id given out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Table {
    rows: BTreeMap<i64, Row>,
    last: i64,
}

/// All that is kept from one life to the next.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Store {
    tables: BTreeMap<String, Table>,
    /// Custom fields by model, in the words of `fields_get`.
    custom: BTreeMap<String, Map<String, Value>>,
    /// `module.name` to the id in `ir.model.data`.
    #[serde(skip)]
    names: HashMap<String, i64>,
    /// What the running call changed, for the case that it fails.
    #[serde(skip)]
    journal: Vec<Former>,
}

/// What was there before a change.
#[derive(Clone, Debug)]
enum Former {
    Row { model: String, id: i64, row: Option<Row> },
    Custom { model: String, fields: Map<String, Value> },
}

impl Store {
    /// A fresh database.
    pub(super) fn seeded(now: &str) -> Self {
        let mut store = Self::default();
        for (model, rows) in &bundle().seed {
            for row in rows {
                let mut row = row.clone();
                let id = row.remove("id").and_then(|id| id.as_i64()).unwrap_or_default();
                store.seed(model, id, row, now);
            }
        }
        for (name, described) in &bundle().models {
            let row = json!({"model": name, "name": described.label, "state": "base"});
            store.seed(
                "ir.model",
                described.id,
                row.as_object().cloned().unwrap_or_default(),
                now,
            );
        }
        for name in &bundle().modules {
            let id = store.next_id("ir.module.module");
            let row = json!({"name": name, "state": "installed"});
            store.seed(
                "ir.module.module",
                id,
                row.as_object().cloned().unwrap_or_default(),
                now,
            );
        }
        store.journal.clear();
        store
    }

    fn seed(&mut self, model: &str, id: i64, mut row: Row, now: &str) {
        for (field, value) in [("create_uid", json!(1)), ("write_uid", json!(1))] {
            row.insert(field.to_owned(), value);
        }
        for field in ["create_date", "write_date"] {
            row.insert(field.to_owned(), json!(now));
        }
        self.put(model, id, row);
    }

    /// Builds what is not kept in the file.
    pub(super) fn indexed(mut self) -> Self {
        let rows = self.tables.get("ir.model.data").map(|table| &table.rows);
        self.names = rows
            .into_iter()
            .flatten()
            .map(|(id, row)| (full_name(row), *id))
            .collect();
        self
    }

    /// Ends the transaction: what it changed stays, or goes.
    pub(super) fn end(&mut self, commit: bool) {
        let journal = std::mem::take(&mut self.journal);
        if commit {
            return;
        }
        for former in journal.into_iter().rev() {
            match former {
                Former::Row { model, id, row } => _ = self.replace(&model, id, row),
                Former::Custom { model, fields } => _ = self.custom.insert(model, fields),
            }
        }
    }

    fn replace(&mut self, model: &str, id: i64, row: Option<Row>) -> Option<Row> {
        let named = model == "ir.model.data";
        let new_name = row.as_ref().filter(|_| named).map(full_name);
        let table = self.tables.entry(model.to_owned()).or_default();
        let former = match row {
            Some(row) => table.rows.insert(id, row),
            None => table.rows.remove(&id),
        };
        table.last = table.last.max(id);
        if let Some(former) = former.as_ref().filter(|_| named) {
            self.names.remove(&full_name(former));
        }
        if let Some(name) = new_name {
            self.names.insert(name, id);
        }
        former
    }

    /// Writes a record whole.
    pub(super) fn put(&mut self, model: &str, id: i64, row: Row) {
        let former = self.replace(model, id, Some(row));
        self.journal.push(Former::Row {
            model: model.to_owned(),
            id,
            row: former,
        });
    }

    /// Removes a record.
    pub(super) fn remove(&mut self, model: &str, id: i64) {
        let former = self.replace(model, id, None);
        self.journal.push(Former::Row {
            model: model.to_owned(),
            id,
            row: former,
        });
    }

    /// Changes some fields of a record; an empty value takes the field away.
    pub(super) fn patch(&mut self, model: &str, id: i64, values: impl IntoIterator<Item = (String, Value)>) {
        let Some(mut row) = self.row(model, id).cloned() else {
            return;
        };
        for (field, value) in values {
            match value {
                Value::Null => row.remove(&field),
                value => row.insert(field, value),
            };
        }
        self.put(model, id, row);
    }

    /// The next free id. Like a sequence of `PostgreSQL`, it is not given back when the call fails.
    pub(super) fn next_id(&mut self, model: &str) -> i64 {
        let table = self.tables.entry(model.to_owned()).or_default();
        table.last += 1;
        table.last
    }

    pub(super) fn row(&self, model: &str, id: i64) -> Option<&Row> {
        self.tables.get(model)?.rows.get(&id)
    }

    pub(super) fn rows(&self, model: &str) -> impl Iterator<Item = (i64, &Row)> {
        self.tables
            .get(model)
            .into_iter()
            .flat_map(|table| table.rows.iter().map(|(id, row)| (*id, row)))
    }

    /// A field of a record as it is stored; empty where record or field is absent.
    pub(super) fn stored(&self, model: &str, id: i64, field: &str) -> &Value {
        self.row(model, id)
            .and_then(|row| row.get(field))
            .unwrap_or(&Value::Null)
    }

    /// Models that have records.
    pub(super) fn populated(&self) -> Vec<String> {
        self.tables
            .iter()
            .filter(|(_, table)| !table.rows.is_empty())
            .map(|(model, _)| model.clone())
            .collect()
    }

    /// The description of a model; of a custom one, whose fields are all custom, the least there is.
    pub(super) fn model(&self, name: &str) -> Outcome<&'static Described> {
        let custom = || self.custom.get(name)?.contains_key("id").then_some(&*CUSTOM);
        let found = bundle().models.get(name).or_else(custom);
        found.ok_or_else(|| refusal::not_found(format!("the model '{name}' does not exist")))
    }

    /// Gives a custom model the fields that Odoo keeps in every record.
    pub(super) fn set_model(&mut self, model: &str) {
        let kept = [
            ("id", "integer", ""),
            ("display_name", "char", ""),
            ("create_date", "datetime", ""),
            ("write_date", "datetime", ""),
            ("create_uid", "many2one", "res.users"),
            ("write_uid", "many2one", "res.users"),
        ];
        for (name, ttype, relation) in kept {
            let mut described = json!({"type": ttype, "string": name, "store": true, "readonly": true});
            if !relation.is_empty() {
                described["relation"] = json!(relation);
            }
            self.set_custom(model, name, Some(described));
        }
    }

    /// A field in the words of `fields_get`.
    pub(super) fn field(&self, model: &str, field: &str) -> Option<&Value> {
        let own = bundle()
            .models
            .get(model)
            .and_then(|described| described.fields.get(field));
        own.or_else(|| self.custom.get(model)?.get(field))
    }

    /// All fields of a model.
    pub(super) fn fields(&self, model: &str) -> impl Iterator<Item = (&String, &Value)> {
        let own = bundle()
            .models
            .get(model)
            .into_iter()
            .flat_map(|described| described.fields.iter());
        own.chain(self.custom.get(model).into_iter().flatten())
    }

    /// Adds a custom field, or takes it away with its values.
    pub(super) fn set_custom(&mut self, model: &str, field: &str, described: Option<Value>) {
        let fields = self.custom.entry(model.to_owned()).or_default();
        let former = fields.clone();
        match described {
            Some(described) => fields.insert(field.to_owned(), described),
            None => fields.remove(field),
        };
        self.journal.push(Former::Custom {
            model: model.to_owned(),
            fields: former,
        });
    }

    /// What an external id names: its row's id, model and record.
    pub(super) fn named(&self, name: &str) -> Option<(i64, &str, i64)> {
        let id = *self.names.get(name)?;
        let row = self.row("ir.model.data", id)?;
        Some((id, row.get("model")?.as_str()?, row.get("res_id")?.as_i64()?))
    }

    /// Names a record, or moves the name to it, in silence as Odoo does.
    pub(super) fn name_record(&mut self, name: &str, model: &str, res_id: i64, now: &str) {
        let (module, rest) = name.split_once('.').unwrap_or(("", name));
        let known = self.named(name).map(|(id, ..)| id);
        let row = json!({"module": module, "name": rest, "model": model, "res_id": res_id, "create_uid": 2,
            "create_date": now, "write_uid": 2, "write_date": now});
        let Value::Object(fields) = row else { return };
        if let Some(id) = known {
            self.patch("ir.model.data", id, fields);
        } else {
            let id = self.next_id("ir.model.data");
            self.put("ir.model.data", id, fields);
        }
    }
}

fn full_name(row: &Row) -> String {
    let part = |field: &str| row.get(field).and_then(Value::as_str).unwrap_or_default();
    format!("{}.{}", part("module"), part("name"))
}
