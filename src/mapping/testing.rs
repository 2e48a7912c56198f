//! What tests of the language share: specs from YAML, records from JSON, lookups from a table.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use super::{
    Compiled, Found, LookupSpec, LookupTarget, Lookups, Mapped, Merged, Object, Outcome, SourceShape, Step, World,
    compile::compile, document, document::Document, merge,
};
use crate::{
    api::mapping_spec::{Finding, MappingSpecSpec, OnMissing},
    model::{Content, Fetched, OdooValue, Record, Reference, Rejection, SourceKey, Value},
    odoo::models::{Field, Model, Models},
};

/// The spec of a mapping, from the YAML below `spec:`.
pub(super) fn spec(yaml: &str) -> MappingSpecSpec {
    let indented = indented(yaml);
    let text =
        format!("apiVersion: crmferry.io/v1alpha1\nkind: MappingSpec\nmetadata: {{name: test}}\nspec:\n{indented}");
    match document::parse(&text, "test")
        .unwrap_or_else(|findings| panic!("{findings:#?}"))
        .remove(0)
    {
        Document::MappingSpec(spec) => spec.spec,
        other => panic!("{other:?}"),
    }
}

fn indented(lines: &str) -> String {
    lines.lines().fold(String::new(), |all, line| all + "  " + line + "\n")
}

pub(super) fn merged(yaml: &str) -> Merged {
    merge::resolve(&spec(yaml)).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

/// A small Odoo.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn odoo() -> Models {
    let field = |ttype: &str| Field {
        ttype: ttype.into(),
        store: true,
        ..Field::default()
    };
    let to = |ttype: &str, relation: &str| Field {
        relation: Some(relation.into()),
        ..field(ttype)
    };
    let required = |field: Field, has_default: bool| Field {
        required: true,
        has_default,
        ..field
    };
    let kind = Field {
        selection: vec![("contact".into(), "Contact".into()), ("other".into(), "Other".into())],
        ..field("selection")
    };
    let computed = Field {
        readonly: true,
        ..field("char")
    };
    let short = Field {
        size: Some(5),
        ..field("char")
    };
    let model = |fields: Vec<(&str, Field)>| Model {
        label: String::new(),
        fields: fields
            .into_iter()
            .map(|(name, field)| (name.to_owned(), field))
            .collect(),
    };
    let models = [
        (
            "res.partner",
            model(vec![
                ("name", required(field("char"), false)),
                ("state", required(kind.clone(), true)),
                ("type", kind),
                ("email", field("char")),
                ("code", short),
                ("active", field("boolean")),
                ("color", field("integer")),
                ("credit", field("float")),
                ("birth", field("date")),
                ("seen", field("datetime")),
                ("comment", field("html")),
                ("city", field("char")),
                ("x_old", field("char")),
                ("create_date", computed.clone()),
                ("contact_address", computed),
                ("child_ids", to("one2many", "res.partner")),
                ("parent_id", to("many2one", "res.partner")),
                ("country_id", to("many2one", "res.country")),
                ("category_id", to("many2many", "res.partner.category")),
            ]),
        ),
        (
            "res.partner.category",
            model(vec![("name", required(field("char"), false))]),
        ),
        (
            "res.country",
            model(vec![
                ("name", field("char")),
                ("code", field("char")),
                ("state_ids", to("one2many", "res.country.state")),
            ]),
        ),
        (
            "mail.message",
            model(vec![
                ("body", field("html")),
                ("res_id", field("many2one_reference")),
                ("model", field("char")),
            ]),
        ),
        (
            "sale.order",
            model(vec![
                ("partner_id", required(to("many2one", "res.partner"), false)),
                (
                    "order_line",
                    Field {
                        inverse: Some("order_id".into()),
                        ..to("one2many", "sale.order.line")
                    },
                ),
                ("validity_date", field("date")),
                (
                    "amount_total",
                    Field {
                        readonly: true,
                        ..field("monetary")
                    },
                ),
            ]),
        ),
        (
            "sale.order.line",
            model(vec![
                ("order_id", required(to("many2one", "sale.order"), false)),
                ("name", required(field("char"), false)),
                ("price_unit", field("float")),
                ("product_id", to("many2one", "res.country")),
            ]),
        ),
        (
            "mail.activity",
            model(vec![
                ("res_id", field("many2one_reference")),
                ("res_model_id", required(to("many2one", "ir.model"), false)),
            ]),
        ),
        (
            "res.users",
            model(vec![
                ("login", required(field("char"), false)),
                ("partner_id", to("many2one", "res.partner")),
            ]),
        ),
    ];
    Models {
        models: models
            .into_iter()
            .map(|(name, model)| (name.to_owned(), model))
            .collect(),
        modules: vec!["base".into()],
    }
}

pub(super) fn compiled(yaml: &str) -> Compiled {
    let models = odoo();
    let world = World {
        models: &models,
        odoo_known: false,
        source: None,
    };
    compile(&merged(yaml), world)
}

/// Compiled against a source with these objects: fields, and samples.
pub(super) fn compiled_with(yaml: &str, source: &[(&str, &[&str], Value)]) -> Compiled {
    let models = odoo();
    let source: BTreeMap<String, SourceShape> = source
        .iter()
        .map(|(name, fields, samples)| {
            let shape = SourceShape {
                place: format!("exports/{name}.csv"),
                fields: fields.iter().map(|field| (*field).to_owned()).collect(),
                samples: samples
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|sample| record(sample.clone()))
                    .collect(),
                ..SourceShape::default()
            };
            ((*name).to_owned(), shape)
        })
        .collect();
    let world = World {
        models: &models,
        odoo_known: true,
        source: Some(&source),
    };
    compile(&merged(yaml), world)
}

/// An object named `people` that makes res.partner of `contact`, with these further lines; fields last.
pub(super) fn people(lines: &str) -> String {
    format!(
        "source: {{platform: Pipz, formats: {{dates: [\"%d/%m/%Y\"], list: \";\"}}}}\nobjects:\n- name: people\n{}",
        indented(lines)
    )
}

/// `people` with nothing but a source, a key, a destination and these fields (beside name).
pub(super) fn fields(lines: &[&str]) -> String {
    let fields = lines.iter().fold(String::new(), |all, line| all + "- " + line + "\n");
    people(&format!(
        "source: {{object: contact}}\nkey: [id]\ndestination: {{model: res.partner}}\nfields:\n- {{to: name, from: name}}\n{fields}"
    ))
}

pub(super) fn object(yaml: &str) -> Object {
    let compiled = compiled(yaml);
    let mapping = compiled.mapping.unwrap_or_else(|| panic!("{:#?}", compiled.findings));
    mapping.object("people").expect("the object is there").clone()
}

pub(super) fn record(value: Value) -> Record {
    match value {
        Value::Object(record) => record,
        other => panic!("{other} is no record"),
    }
}

/// Records by object or model: value (a key, where an object is looked up by key), id.
pub(super) struct Known<'a> {
    pub lookups: &'a [LookupSpec],
    pub records: &'a [(&'a str, &'a str, i64)],
}

impl Lookups for Known<'_> {
    /// Content is the name it has, `gone` is not there, and what begins with `un` was never asked for.
    fn content(&self, reference: &str) -> Option<Fetched> {
        match reference {
            "gone" => Some(Fetched::Refused {
                code: "NotThere".to_owned(),
                message: "gone is not there".to_owned(),
            }),
            unknown if unknown.starts_with("un") => None,
            name => Some(Fetched::Content(Content::of(name.as_bytes()))),
        }
    }

    fn find(&self, lookup: usize, value: &str, within: &[Option<String>]) -> Found {
        let mut place = match &self.lookups[lookup].target {
            LookupTarget::Object { object, .. } => object.clone(),
            LookupTarget::Model { model, .. } => model.0.clone(),
        };
        if let Some(take) = &self.lookups[lookup].take {
            place = format!("{place} with {}", take.field);
        }
        if value == "later" {
            return Found::Later;
        }
        if value == "held" {
            return Found::Held(SourceKey(value.into()));
        }
        let value = within
            .iter()
            .flatten()
            .fold(value.to_owned(), |value, narrower| format!("{value}/{narrower}"));
        let mut found = self
            .records
            .iter()
            .filter(|(of, known, _)| *of == place && *known == value);
        match (found.next(), found.next()) {
            (None, _) => Found::None,
            (Some((_, _, id)), None) => Found::One(Reference::Id(*id)),
            _ => Found::Several,
        }
    }

    fn may_come(&self) -> bool {
        self.records.contains(&MORE_TO_COME)
    }

    fn owners(&self) -> OnMissing {
        if self.records.contains(&EMPTY_OWNERS) {
            OnMissing::Empty
        } else {
            OnMissing::Hold
        }
    }
}

/// Among the records: others may still come.
pub(super) const MORE_TO_COME: (&str, &str, i64) = ("", "more", 0);

/// Among the records: what an unknown owner owns arrives without.
pub(super) const EMPTY_OWNERS: (&str, &str, i64) = ("", "owners", 0);

/// The one item of a record, mapped.
pub(super) fn map(object: &Object, source: Value, records: &[(&str, &str, i64)]) -> Outcome {
    match object.items(&Arc::new(record(source))).remove(0) {
        Step::Item(item) => object.map(
            &item,
            &Known {
                lookups: &object.lookups,
                records,
            },
        ),
        other => panic!("{other:?}"),
    }
}

pub(super) fn mapped(object: &Object, source: Value, records: &[(&str, &str, i64)]) -> Mapped {
    match map(object, source, records) {
        Outcome::Mapped(mapped) => mapped,
        other => panic!("{other:?}"),
    }
}

pub(super) fn rejected(object: &Object, source: Value, records: &[(&str, &str, i64)]) -> Rejection {
    match map(object, source, records) {
        Outcome::Rejected(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

/// A field's value as JSON: what is sent, `null` where the field is left alone.
pub(super) fn wire(mapped: &Mapped, field: &str) -> Value {
    let value = mapped
        .values
        .iter()
        .find(|(name, _)| name == field)
        .map(|(_, value)| value);
    value.map_or(Value::Null, |value| match value {
        OdooValue::Links(links) => json!(links.iter().map(Reference::id).collect::<Vec<_>>()),
        other => other.to_wire().expect("ids are known"),
    })
}

/// `Severity Code path: message` of every finding.
pub(super) fn said(findings: &[Finding]) -> Vec<String> {
    let line = |finding: &Finding| {
        format!(
            "{:?} {} {}: {}",
            finding.severity, finding.code, finding.path, finding.message
        )
    };
    findings.iter().map(line).collect()
}
