//! What an Odoo's models look like: the bundled description of Odoo 19, or what a server says (`fields_get`).

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    conflict::Computed,
    rpc::{Rpc, RpcError},
    verify,
};
use crate::{args, mapping::TargetField, model::OdooValue};

/// The models of an Odoo, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Models {
    /// Model name to its description.
    pub models: BTreeMap<String, Model>,
    /// Technical names of installed modules (`crm`, `sale`).
    pub modules: Vec<String>,
}

/// One model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Label.
    #[serde(default)]
    pub label: String,
    /// Field name to its description.
    pub fields: BTreeMap<String, Field>,
}

/// One field, in the words of `fields_get`.
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are the independent attributes of fields_get"
)]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// `char`, `many2one`, … as Odoo's `type`.
    #[serde(rename = "type")]
    pub ttype: String,
    /// Label (`string`).
    #[serde(default, rename = "string")]
    pub label: String,
    /// Odoo refuses a record without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Cannot be written (computed, or kept by Odoo).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub readonly: bool,
    /// In the database: can be searched and read in bulk.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub store: bool,
    /// Odoo fills it at `create` when it is not sent (from `default_get`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_default: bool,
    /// What that is, of a boolean, a selection or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Model of the other side of a relation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relation: Option<String>,
    /// Field of the other side that a one2many is the inverse of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inverse: Option<String>,
    /// Options of a selection: value and label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selection: Vec<(String, String)>,
    /// Differs by language.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub translate: bool,
    /// The many2one to the record that it is kept in (`related`), where it is not the record's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<String>,
    /// Longest text (`size`), where there is a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    /// Digits behind the point that a float is rounded to (`digits`); without, it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<u32>,
    /// Fields of the record at whose change Odoo computes it anew, over what was written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub computed_from: Vec<String>,
}

impl Models {
    /// Of these fields of a model those that Odoo computes anew when others change. Of links and content, which are sent in
    /// part or by themselves, nothing.
    #[must_use]
    pub fn computed(&self, model: &str, fields: &[TargetField]) -> Arc<[Computed]> {
        let sent_whole = |field: &&TargetField| !matches!(field.ttype.as_str(), "many2many" | "one2many" | "binary");
        let computed = fields.iter().filter(sent_whole).filter_map(|field| {
            let from = &self.field(model, &field.name)?.computed_from;
            (!from.is_empty()).then(|| (field.name.clone(), from.clone()))
        });
        computed.collect()
    }

    /// What Odoo gives these fields of a model where nothing is sent, as it is read back. A boolean that it gives nothing is
    /// false; of others without a default, nothing.
    #[must_use]
    pub fn defaults(&self, model: &str, fields: &[TargetField]) -> Arc<BTreeMap<String, OdooValue>> {
        let defaults = fields.iter().filter_map(|target| {
            let given = self.field(model, &target.name).and_then(|field| field.default.as_ref());
            let value = match given {
                Some(json) => verify::decode(&target.ttype, json),
                None if target.ttype == "boolean" => OdooValue::Boolean(false),
                None => return None,
            };
            Some((target.name.clone(), value))
        });
        Arc::new(defaults.collect())
    }

    /// A model's field.
    #[must_use]
    pub fn field(&self, model: &str, field: &str) -> Option<&Field> {
        self.models.get(model)?.fields.get(field)
    }
}

/// Required, but made by Odoo itself at `create`: records that another one is built on, and what goes with them.
pub(super) const MADE_BY_ODOO: [(&str, &str); 12] = [
    ("crm.team", "alias_id"),
    ("crm.team", "alias_model_id"),
    ("hr.employee", "resource_id"),
    ("mail.mail", "mail_message_id"),
    ("mailing.mailing", "source_id"),
    ("product.document", "ir_attachment_id"),
    ("product.product", "product_tmpl_id"),
    ("project.project", "alias_id"),
    ("project.project", "alias_model_id"),
    ("res.company", "partner_id"),
    ("res.users", "partner_id"),
    // computed, of nothing that `depends` could tell
    ("sale.order.line", "customer_lead"),
];

/// Whether a model is a custom one, which a mapping may have to make first.
#[must_use]
pub fn is_custom(model: &str) -> bool {
    model.starts_with("x_")
}

/// Models whose `create` makes no external id, without a word: they are made by `load`.
#[must_use]
pub fn made_by_load(model: &str) -> bool {
    matches!(model, "crm.team" | "project.project")
}

/// Computed and required, but Odoo refuses the record all the same where the field is not sent.
const REQUIRED_THOUGH_COMPUTED: [(&str, &str); 2] = [("crm.lead", "name"), ("hr.employee", "name")];

/// Computed and shown as read-only, but kept as sent (measured).
const KEPT_THOUGH_COMPUTED: [(&str, &str); 3] = [
    ("crm.lead", "date_open"),
    ("crm.lead", "date_last_stage_update"),
    ("mail.activity", "date_done"),
];

/// Kept by Odoo: accepted in silence and ignored.
pub(super) const KEPT_BY_ODOO: [&str; 6] = [
    "id",
    "display_name",
    "create_uid",
    "create_date",
    "write_uid",
    "write_date",
];

/// The attributes of `fields_get` that a description is made of.
const ATTRIBUTES: [&str; 13] = [
    "type",
    "string",
    "required",
    "readonly",
    "store",
    "relation",
    "relation_field",
    "selection",
    "translate",
    "size",
    "digits",
    "related",
    "depends",
];

/// The bundled description as it lies in the file: what a server of version 19 said, and what it is born with.
#[derive(Debug, Deserialize)]
pub(super) struct Bundle {
    /// `19.0`.
    pub version: String,
    /// Technical names of its modules.
    pub modules: Vec<String>,
    /// Model name to what the server said of it.
    pub models: BTreeMap<String, Described>,
    /// Model name to the records of a fresh database, with `id`; an absent field is empty.
    pub seed: BTreeMap<String, Vec<Map<String, Value>>>,
}

/// What a server said of one model.
#[derive(Debug, Deserialize)]
pub(super) struct Described {
    /// Label.
    pub label: String,
    /// Id of the model in `ir.model`.
    pub id: i64,
    /// The order a search answers in, as Odoo writes it (`sequence, id desc`).
    pub order: String,
    /// The answer of `fields_get`.
    pub fields: Map<String, Value>,
    /// The answer of `default_get`.
    pub defaults: Map<String, Value>,
}

static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| {
    let json = zstd::decode_all(include_bytes!("odoo19.json.zst").as_slice()).expect("the bundled file is zstd");
    serde_json::from_slice(&json).expect("the bundled file is what describe.py wrote")
});

static MODELS: LazyLock<Models> = LazyLock::new(|| Models {
    models: BUNDLE
        .models
        .iter()
        .map(|(name, said)| (name.clone(), Model::of(name, &said.label, &said.fields, &said.defaults)))
        .collect(),
    modules: BUNDLE.modules.clone(),
});

/// The bundled file, read once.
pub(super) fn bundle() -> &'static Bundle {
    &BUNDLE
}

/// The models of Odoo 19 Community with the modules a CRM touches, as a fresh database describes them.
#[must_use]
pub fn bundled() -> &'static Models {
    &MODELS
}

/// What the server says of these models. A model it lacks is absent; modules are empty where the user may not read them.
///
/// # Errors
/// What the wire says, other than an unknown model.
pub async fn fetch(rpc: &dyn Rpc, names: impl IntoIterator<Item = &str>) -> Result<Models, RpcError> {
    let mut models = Models::default();
    for name in names {
        if let Some(model) = fetch_model(rpc, name).await? {
            models.models.insert(name.to_owned(), model);
        }
    }
    let installed = args!({"domain": [["state", "=", "installed"]], "fields": ["name"], "order": "name"});
    models.modules = match rpc.call("ir.module.module", "search_read", installed).await {
        Ok(rows) => names_of(&rows),
        Err(RpcError::Forbidden { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(models)
}

async fn fetch_model(rpc: &dyn Rpc, name: &str) -> Result<Option<Model>, RpcError> {
    let fields = match rpc.call(name, "fields_get", args!({"attributes": ATTRIBUTES})).await {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Err(not_as_expected("fields_get")),
        Err(RpcError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let wanted: Vec<&String> = fields
        .iter()
        .filter(|(field, raw)| may_default(field, raw))
        .map(|(field, _)| field)
        .collect();
    let defaults = match rpc.call(name, "default_get", args!({"fields": wanted})).await {
        Ok(Value::Object(defaults)) => defaults,
        Ok(_) => return Err(not_as_expected("default_get")),
        // Some models have defaults that only make sense in a context; they are as good as none.
        Err(RpcError::Rejected { .. }) => Map::new(),
        Err(error) => return Err(error),
    };
    // The label of a model lies in `ir.model`, which not everyone may read; nothing but messages would show it.
    Ok(Some(Model::of(name, name, &fields, &defaults)))
}

fn not_as_expected(method: &str) -> RpcError {
    RpcError::Unknown {
        message: format!("{method} did not answer with an object"),
    }
}

fn names_of(rows: &Value) -> Vec<String> {
    rows.as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| row["name"].as_str().map(str::to_owned))
        .collect()
}

/// The fields of the record itself that a stored field that can be written is computed from.
fn computed_from(raw: &Value) -> Vec<String> {
    let is = |attribute: &str| raw[attribute].as_bool().unwrap_or(false);
    if !is("store") || is("readonly") || raw["related"].is_string() {
        return Vec::new();
    }
    let depends = raw["depends"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let mut own: Vec<String> = depends
        .filter_map(|path| path.split('.').next())
        .map(str::to_owned)
        .collect();
    own.sort_unstable();
    own.dedup();
    own
}

fn may_default(field: &str, raw: &Value) -> bool {
    !KEPT_BY_ODOO.contains(&field)
        && !matches!(
            raw["type"].as_str(),
            Some("one2many" | "binary" | "properties_definition")
        )
}

impl Model {
    /// A model from the answers of `fields_get` and `default_get`.
    fn of(name: &str, label: &str, fields: &Map<String, Value>, defaults: &Map<String, Value>) -> Self {
        let fields = fields
            .iter()
            .map(|(field, raw)| (field.clone(), Field::of((name, field), raw, defaults.get(field))))
            .collect();
        Self {
            label: label.to_owned(),
            fields,
        }
    }
}

impl Field {
    fn of(name: (&str, &str), raw: &Value, default: Option<&Value>) -> Self {
        let is = |attribute: &str| raw[attribute].as_bool().unwrap_or(false);
        let text = |attribute: &str| raw[attribute].as_str().map(str::to_owned);
        let ttype = text("type").unwrap_or_default();
        Self {
            label: text("string").unwrap_or_default(),
            required: is("required") && refused_without(name, raw),
            readonly: is("readonly") && !writable(name, raw),
            store: is("store"),
            computed_from: computed_from(raw),
            // Odoo's `false` is an empty value everywhere but in a boolean.
            has_default: default
                .is_some_and(|value| ttype == "boolean" || !matches!(value, Value::Null | Value::Bool(false))),
            default: default
                .filter(|_| matches!(ttype.as_str(), "boolean" | "selection" | "integer" | "float"))
                .cloned(),
            relation: text("relation"),
            inverse: text("relation_field"),
            selection: raw["selection"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(option)
                .collect(),
            translate: !matches!(raw["translate"], Value::Null | Value::Bool(false)),
            through: text("related").and_then(|path| Some(path.split_once('.')?.0.to_owned())),
            size: raw["size"].as_i64(),
            digits: raw["digits"][1].as_u64().and_then(|digits| digits.try_into().ok()),
            ttype,
        }
    }
}

/// Whether Odoo refuses a record without a field it calls required.
fn refused_without(name: (&str, &str), raw: &Value) -> bool {
    let computes = is_set(&raw["depends"]) && !is_set(&raw["related"]);
    // lines are records of their own: Odoo asks for none, whatever it says
    raw["type"] != "one2many"
        && !MADE_BY_ODOO.contains(&name)
        && (!computes || REQUIRED_THOUGH_COMPUTED.contains(&name))
}

/// Whether Odoo keeps what is sent for a field it calls read-only: for plain columns that is a hint to its forms alone.
fn writable(name: (&str, &str), raw: &Value) -> bool {
    let plain = raw["store"].as_bool().unwrap_or(false) && !is_set(&raw["depends"]);
    (plain && !KEPT_BY_ODOO.contains(&name.1)) || KEPT_THOUGH_COMPUTED.contains(&name)
}

/// The server lists the fields something depends on; the bundled file only says that there are some.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::String(text) => !text.is_empty(),
        other => other.as_bool().unwrap_or(false),
    }
}

fn option(pair: &Value) -> Option<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Some((text(pair.get(0)?), text(pair.get(1)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_description_has_the_models_of_a_crm() {
        let models = bundled();
        for name in [
            "crm.lead",
            "res.partner",
            "crm.team",
            "res.users",
            "mailing.list",
            "sale.order",
            "ir.model.fields",
        ] {
            assert!(models.models.contains_key(name), "{name}");
        }
        assert!(models.modules.iter().any(|module| module == "crm"));
        assert_eq!(bundle().version, "19.0");
    }

    #[test]
    fn readonly_means_that_odoo_does_not_keep_what_is_sent() {
        for (model, field, readonly) in [
            ("crm.lead", "probability", false),
            ("crm.lead", "stage_id", false),
            ("crm.lead", "date_closed", false),
            ("crm.lead", "date_conversion", false),
            ("crm.lead", "date_open", false),
            ("crm.lead", "date_last_stage_update", false),
            ("crm.lead", "won_status", true),
            ("crm.lead", "create_date", true),
            ("crm.lead", "phone_sanitized", true),
            ("res.partner", "company_type", false),
            ("res.partner", "commercial_partner_id", true),
            ("res.partner", "id", true),
            ("res.partner", "image_128", true),
        ] {
            let found = bundled().field(model, field).expect("the field is described");
            assert_eq!(found.readonly, readonly, "{model}.{field}");
        }
    }

    #[test]
    fn required_means_that_odoo_refuses_the_record_without_it() {
        for (model, field, required, has_default) in [
            ("crm.lead", "name", true, false),
            ("crm.lead", "type", true, true),
            ("crm.lead", "user_id", false, true),
            ("crm.stage", "name", true, false),
            ("crm.team", "name", true, false),
            ("crm.team", "alias_id", false, false),
            ("res.users", "login", true, false),
            ("res.users", "partner_id", false, false),
            ("product.product", "name", true, false),
            ("sale.order", "partner_id", true, false),
            ("sale.order", "partner_invoice_id", false, false),
            ("res.partner", "active", false, true),
            ("res.partner", "ref", false, false),
        ] {
            let found = bundled().field(model, field).expect("the field is described");
            assert_eq!(
                (found.required, found.has_default),
                (required, has_default),
                "{model}.{field}"
            );
        }
    }

    #[test]
    fn a_field_tells_its_relation_and_its_options() {
        let models = bundled();
        assert_eq!(
            models.field("crm.lead", "tag_ids").and_then(|f| f.relation.as_deref()),
            Some("crm.tag")
        );
        let priority = &models.field("crm.lead", "priority").expect("described").selection;
        assert_eq!(priority.first(), Some(&("0".to_owned(), "Low".to_owned())));
        assert!(models.field("crm.stage", "name").expect("described").translate);
    }
}
