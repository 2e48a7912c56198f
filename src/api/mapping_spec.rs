//! `MappingSpec`: what the records of a source become in Odoo. What each word means is in `docs/mapping.md`.
//!
//! Everything that a spec with `extends` may leave out is an `Option`, so that "not said" and "said to be empty" differ.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the records of a source become in Odoo.
#[expect(clippy::duplicated_attributes, reason = "each printer column has a type of its own")]
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "crmferry.io",
    version = "v1alpha1",
    kind = "MappingSpec",
    namespaced,
    category = "crmferry",
    status = "MappingSpecStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "What the records of a source become in Odoo, field by field.",
    printcolumn(name = "Source", type_ = "string", json_path = ".status.platform"),
    printcolumn(name = "Objects", type_ = "integer", json_path = ".status.objects"),
    printcolumn(name = "Compatibility", type_ = "string", json_path = ".status.compatibility"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MappingSpecSpec {
    /// The platform the records come from, and how its text is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourcePlatform>,
    /// Name of a catalogue entry that this spec is laid over; `crmferry catalogue` lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub extends: Option<String>,
    /// Values that CEL sees as `params.NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub parameters: Option<Vec<Parameter>>,
    /// What was promised, and which objects keep it: the table that people sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub rows: Option<Vec<Row>>,
    /// What happens to a value that a person changed in Odoo, for objects that say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<OnConflict>,
    /// What happens in Odoo to a record deleted in the source, for objects that say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_source_delete: Option<OnSourceDelete>,
    /// The objects: each makes records of one Odoo model, or one document, from one source object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub objects: Option<Vec<Object>>,
}

/// The platform the records come from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourcePlatform {
    /// The platform; inherited with `extends`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// How text is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formats: Option<Formats>,
}

/// A platform that records come from.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Platform {
    /// Pipz Automation.
    Pipz,
}

impl Platform {
    /// The word in external ids.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pipz => "pipz",
        }
    }
}

/// How text of the source is read.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Formats {
    /// Time zone of times that name none, such as `America/Sao_Paulo`. UTC where not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub time_zone: Option<String>,
    /// Patterns of dates and times, tried in this order after ISO 8601, such as `%d/%m/%Y`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 63)))]
    pub dates: Option<Vec<String>>,
    /// The decimal mark where a number is ambiguous, such as 1.234. Point where not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<Decimal>,
    /// What separates the values of a list written as text. A comma where not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8))]
    pub list: Option<String>,
}

/// A decimal mark.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Decimal {
    /// 1234.5
    Point,
    /// 1234,5
    Comma,
}

/// A value that CEL sees as `params.NAME`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameter {
    /// Name in CEL.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// Type of the value.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<ParameterType>,
    /// The value, as text; read as `type` says. Not for a Map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// The entries of a Map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 200))]
    pub entries: Option<BTreeMap<String, String>>,
    /// What the parameter is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// With `extends`: drops it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove: Option<bool>,
}

/// Type of a parameter.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum ParameterType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Decimal,
    /// `"true"` or `"false"`.
    Boolean,
    /// Text to text, in `entries`.
    Map,
}

/// A promise, and the objects that keep it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Row {
    /// What people call it, such as `Deal`.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// How faithfully it arrives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fidelity: Option<Fidelity>,
    /// Objects that keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub objects: Option<Vec<String>>,
    /// What is lost or different.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub note: Option<String>,
    /// With `extends`: drops it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove: Option<bool>,
}

/// How faithfully a row arrives.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Fidelity {
    /// A record becomes a record with all its fields.
    OneToOne,
    /// A record becomes several.
    OneToMany,
    /// Something is lost; the note says what.
    Lossy,
    /// Handed over in writing.
    Inventory,
}

/// What happens to a value that a person changed in Odoo, or that an adopted record had.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OnConflict {
    /// Their value stays; only what is empty is filled.
    #[default]
    KeepTheirs,
    /// The source's value is written; the former one is kept in the workspace, below `undo/`.
    Overwrite,
    /// As `KeepTheirs`, and the gate `cutover` stays shut until a person accepts the conflicts or changes this policy.
    Report,
}

/// What happens in Odoo to a record that the source no longer has.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OnSourceDelete {
    /// It stays, and is listed.
    #[default]
    Keep,
    /// It is archived (the model has a field `active`).
    Archive,
    /// It is removed if this migration made it, nobody changed it since, and nothing refers to it; else it stays.
    Unlink,
}

/// One object: records of one Odoo model, or one document, made from one source object.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Object {
    /// Name; part of every external id, so another name means other records.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z][A-Za-z0-9]*$"))]
    pub name: String,
    /// CEL over parameters and the Odoo found, such as `installed("crm")`; false: the object stands down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub when: Option<String>,
    /// Object that takes its place where it stands down, also in lookups; runs only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub otherwise: Option<String>,
    /// Where its records come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ObjectSource>,
    /// Named CEL values, computed once a record; each becomes `record.NAME`.
    #[serde(rename = "let", default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 30))]
    pub lets: Option<BTreeMap<String, String>>,
    /// Paths to the source key; several make one composite key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 512)))]
    pub key: Option<Vec<String>>,
    /// What polymorphic references call this object, such as `Deal`: `lookup: {kind: …}` finds its records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub kinds: Option<Vec<String>>,
    /// Destination fields (`a`, or `a+b`) by which a record already in Odoo is recognised and adopted; tried in order.
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 512)))]
    pub match_on: Option<Vec<String>>,
    /// Destination fields (`a`, or `a+b`) on which source records agree that are one: the first is written, the others lead to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 512)))]
    pub dedupe: Option<Vec<String>>,
    /// What happens when nothing matched. Create where not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_new: Option<OnNew>,
    /// Objects that must be loaded before, where no lookup shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub after: Option<Vec<String>>,
    /// What its records become.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<Destination>,
    /// Custom fields of the source become custom fields of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discover: Option<Discover>,
    /// Source fields left behind on purpose; `geo_*` names several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500), inner(length(min = 1, max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub ignore: Option<Vec<String>>,
    /// The values of the destination. A document without fields gets every source field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["to".into(), "part".into()]))]
    pub fields: Option<Vec<Field>>,
    /// What happens to a value that a person changed in Odoo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<OnConflict>,
    /// What happens in Odoo to a record deleted in the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_source_delete: Option<OnSourceDelete>,
    /// With `extends`: drops the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove: Option<bool>,
}

/// How custom fields of the source become custom fields of the model.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Discover {
    /// What their names begin with, such as `x_pipz_`.
    #[schemars(length(min = 2, max = 30), regex(pattern = r"^x_[a-z0-9_]*$"))]
    pub prefix: String,
}

/// Where records of an object come from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectSource {
    /// Source object, as the connector names it; the stem of an export file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub object: Option<String>,
    /// Rows of other source objects, put on the record as lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub join: Option<Vec<Join>>,
    /// Path to a list: one item for each of its elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub each: Option<String>,
    /// CEL; a record it refuses is counted as filtered.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub filter: Option<String>,
    /// Path that orders the records. As read where not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub order_by: Option<String>,
}

/// Rows of another source object, or of the same, put on the record as a list.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Join {
    /// Name of the list: the rows are `record.NAME`.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// Source object that has the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub object: Option<String>,
    /// Path, in a row, to what it is found by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub by: Option<String>,
    /// Path, in the record, to the value that `by` must have. The record's key where not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub equals: Option<String>,
    /// CEL, in which `record` is the row; a row it refuses is left out.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub filter: Option<String>,
    /// Path, in a row, that orders the rows. As read where not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub order_by: Option<String>,
    /// With `extends`: drops it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove: Option<bool>,
}

/// What happens when a record has no counterpart in Odoo.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OnNew {
    /// It is created.
    #[default]
    Create,
    /// It is held, and tried again, until somebody makes it in Odoo.
    Hold,
    /// It is rejected: only records that Odoo has are wanted.
    Reject,
}

/// What records become: records of an Odoo model, or rows of a document that is handed over.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("!(has(self.model) && has(self.document))").message("a destination has at most one of model, document"))]
#[x_kube(validation = Rule::new("!has(self.document) || !has(self.create) || !(has(self.create.access) || has(self.create.menu))")
    .message("access and menu are those of a custom model"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Destination {
    /// Odoo model, such as `res.partner`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub model: Option<String>,
    /// Document that is handed over instead: `handover/<document>.csv` in the workspace, and a section of the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z][a-z0-9-]*$"))]
    pub document: Option<String>,
    /// Makes the model as a custom one, `x_…`, before any record is sent; what a document is called and what it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<CreateDestination>,
}

/// A custom model that is made before any record is sent, or how a document is introduced.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateDestination {
    /// Label that people see. The name of the model or the document where not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub label: Option<String>,
    /// What it is for, and what to do with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub help: Option<String>,
    /// Groups of users, by external id such as `base.group_user`, and what they may do. Administrators may do all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 20))]
    pub access: Option<BTreeMap<String, Access>>,
    /// Menu, by external id such as `crm.crm_menu_root`, below which people find the records. No menu where not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub menu: Option<String>,
}

/// What a group may do with the records of a custom model.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Access {
    /// See them.
    Read,
    /// See, make, change and delete them.
    Full,
}

/// One value of the destination and where it comes from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("(has(self.from) ? 1 : 0) + (has(self.cel) ? 1 : 0) + (has(self.constant) ? 1 : 0) + (has(self.fetch) ? 1 : 0) + (has(self.each) ? 1 : 0) <= 1")
    .message("a field has at most one of from, cel, constant, fetch, each"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Field {
    /// Field of the Odoo model; column of the document.
    #[schemars(length(min = 1, max = 128))]
    pub to: String,
    /// Tells several entries with the same `to` apart; the first part with a value wins, many2many parts unite.
    #[serde(default)]
    #[schemars(length(max = 63))]
    pub part: String,
    /// Path to the value in the source, with alternatives: `amount | value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub from: Option<String>,
    /// CEL expression that gives the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub cel: Option<String>,
    /// A fixed value, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub constant: Option<String>,
    /// Path to what names content: a file of the export folder (`files/contract.pdf`), a link (http, https), or an id that the
    /// source resolves. Its bytes fill a binary field, such as `datas` of ir.attachment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub fetch: Option<String>,
    /// Path to a list: one line of the one2many for each of its elements, sent with the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub each: Option<String>,
    /// Paths to what tells the lines of a record apart. Their place where not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 512)))]
    pub key: Option<Vec<String>>,
    /// The values of a line; `line` is the element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 60))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["to".into(), "part".into()]))]
    pub fields: Option<Vec<LineField>>,
    /// The source's words to Odoo's; `""` is empty, `"*"` is any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 500))]
    pub values: Option<BTreeMap<String, String>>,
    /// In place of an empty value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub default: Option<String>,
    /// From the value to a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup: Option<Lookup>,
    /// What a value without counterpart does. Reject where not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_missing: Option<OnMissing>,
    /// What an empty value does. Clear where not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_empty: Option<OnEmpty>,
    /// Not written, only compared at read-back: what Odoo computes itself, such as a total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<bool>,
    /// Makes `to` as a custom field before any record is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<CreateField>,
    /// With `extends`: drops the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove: Option<bool>,
}

/// One value of a line and where it comes from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("(has(self.from) ? 1 : 0) + (has(self.cel) ? 1 : 0) + (has(self.constant) ? 1 : 0) <= 1")
    .message("a field has at most one of from, cel, constant"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LineField {
    /// Field of the line's model.
    #[schemars(length(min = 1, max = 128))]
    pub to: String,
    /// Tells several entries with the same `to` apart; the first part with a value wins, many2many parts unite.
    #[serde(default)]
    #[schemars(length(max = 63))]
    pub part: String,
    /// Path to the value in the source, with alternatives: `line.amount | line.value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub from: Option<String>,
    /// CEL expression that gives the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub cel: Option<String>,
    /// A fixed value, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub constant: Option<String>,
    /// The source's words to Odoo's; `""` is empty, `"*"` is any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 500))]
    pub values: Option<BTreeMap<String, String>>,
    /// In place of an empty value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub default: Option<String>,
    /// From the value to a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup: Option<Lookup>,
    /// What a value without counterpart does. Reject where not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_missing: Option<OnMissing>,
    /// What an empty value does. Clear where not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_empty: Option<OnEmpty>,
    /// Not written, only compared at read-back: what Odoo computes itself, such as a total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<bool>,
    /// With `extends`: drops the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove: Option<bool>,
}

impl From<LineField> for Field {
    fn from(line: LineField) -> Self {
        Self {
            to: line.to,
            part: line.part,
            from: line.from,
            cel: line.cel,
            constant: line.constant,
            values: line.values,
            default: line.default,
            lookup: line.lookup,
            on_missing: line.on_missing,
            on_empty: line.on_empty,
            check: line.check,
            remove: line.remove,
            ..Self::default()
        }
    }
}

impl From<Field> for LineField {
    fn from(field: Field) -> Self {
        Self {
            to: field.to,
            part: field.part,
            from: field.from,
            cel: field.cel,
            constant: field.constant,
            values: field.values,
            default: field.default,
            lookup: field.lookup,
            on_missing: field.on_missing,
            on_empty: field.on_empty,
            check: field.check,
            remove: field.remove,
        }
    }
}

/// From a value to a record: of this spec, of any of several objects, or of an Odoo model.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("(has(self.object) ? 1 : 0) + (has(self.model) ? 1 : 0) + (has(self.kind) ? 1 : 0) == 1")
    .message("a lookup has exactly one of object, model, kind"))]
#[x_kube(validation = Rule::new("!has(self.within) || has(self.model)").message("within narrows a lookup into a model"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lookup {
    /// Object of this spec: the record with this key, or with this value at `by`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub object: Option<String>,
    /// Odoo model: the record that has this value in the field `by`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub model: Option<String>,
    /// Path to the kind of the record referred to: the object whose `kinds` lists the value there, the record with this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub kind: Option<String>,
    /// With `object`, a path of its source (its key where not said); with `model`, a field (`name` where not said; `id` means external id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub by: Option<String>,
    /// Further fields of the model, dotted ones too, that must equal values at paths of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 8))]
    pub within: Option<BTreeMap<String, String>>,
    /// Goes on from the record found: the record that this many2one field of it names, such as `partner_id` of a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub take: Option<String>,
}

/// What a value without counterpart does: not in the map, not found, not an option, not readable as the type.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OnMissing {
    /// Rejects the record.
    #[default]
    Reject,
    /// Leaves the field empty, counted and listed.
    Empty,
    /// Keeps the source's text (a value map without lookup).
    Keep,
    /// Writes the record without the value, and fills it once every object is there (a lookup).
    Defer,
    /// Holds the record until what it refers to is in Odoo (a lookup).
    Hold,
}

/// What an empty value does.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OnEmpty {
    /// Writes the emptiness, so that no default of Odoo slips in.
    #[default]
    Clear,
    /// Leaves the field alone.
    Skip,
    /// Rejects the record.
    Reject,
}

/// A custom field that is made before any record is sent.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("has(self.relation) == (self.type in ['Many2one', 'Many2many'])")
    .message("relation is the model that a Many2one or a Many2many refers to"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateField {
    /// Type of the field.
    #[serde(rename = "type")]
    pub type_: FieldType,
    /// Label that people see. The field's name where not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub label: Option<String>,
    /// Tooltip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub help: Option<String>,
    /// Options of a Selection, value to label. The distinct values of the source where not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 300))]
    pub options: Option<BTreeMap<String, String>>,
    /// Odoo model that a Many2one or a Many2many refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub relation: Option<String>,
}

/// Type of a custom field.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum FieldType {
    /// One line of text.
    Char,
    /// Text.
    Text,
    /// HTML.
    Html,
    /// A whole number of 32 bits.
    Integer,
    /// A number.
    Float,
    /// An amount in the record's currency.
    Monetary,
    /// Yes or no.
    Boolean,
    /// A day.
    Date,
    /// A point in time.
    DateTime,
    /// One of several options.
    Selection,
    /// A link to one record of the model `relation`.
    Many2one,
    /// Links to records of the model `relation`.
    Many2many,
    /// Content.
    Binary,
}

impl FieldType {
    /// Odoo's name of the type (`ir.model.fields.ttype`).
    #[must_use]
    pub const fn ttype(self) -> &'static str {
        match self {
            Self::Char => "char",
            Self::Text => "text",
            Self::Html => "html",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Monetary => "monetary",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Selection => "selection",
            Self::Many2one => "many2one",
            Self::Many2many => "many2many",
            Self::Binary => "binary",
        }
    }
}

/// What the operator found in the spec.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MappingSpecStatus {
    /// Generation this status was computed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Standard conditions: Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// `sha256:<hex>` of the merged spec: what people confirm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub digest: Option<String>,
    /// Platform of the merged spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub platform: Option<String>,
    /// Number of objects of the merged spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub objects: Option<i64>,
    /// Rows that arrive one to one, of all rows: `7 of 12`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub compatibility: Option<String>,
    /// A from 80 %, B from 50 %, C from 25 %, D below; none while there is an Error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1))]
    pub grade: Option<String>,
    /// What compiling has to say, most severe first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub findings: Vec<Finding>,
}

/// Something that compiling or discovery has to say.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// A closed word, such as `UnknownField`.
    #[schemars(length(max = 63))]
    pub code: String,
    /// Where, such as `objects[deals].fields[stage_id/name].values`; empty for the whole.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub path: String,
    /// What is wrong and what would be right.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// How much a finding matters.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
pub enum Severity {
    /// Stops.
    Error,
    /// Shown at the gate.
    Warning,
    /// In the report.
    Info,
}
