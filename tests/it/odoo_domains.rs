//! Domains that rule trees become: Odoo takes them, and they find the records that the rules mean. Against the Odoo in
//! memory, and against the server at `ODOO_URL` when it is set.

use std::sync::Arc;

use crmferry::{
    api::mapping_spec::FieldType,
    args,
    mapping::{
        CustomField, Found, Lookups, Object, Outcome, Step, World,
        compile::compile,
        document::{self, Document},
        merge,
    },
    model::{OdooModel, OdooValue},
    odoo::{models, rpc::Rpc, schema},
};
use serde_json::{Value, json};

use crate::corner::{odoos, unique};

/// Contacts as a source may have them, and segments of them; fields of our own bear a suffix, so that tests do not meet.
const MAPPING: &str = r#"
apiVersion: crmferry.io/v1alpha1
kind: MappingSpec
metadata: {name: segments}
spec:
  source: {platform: Pipz, formats: {timeZone: America/Sao_Paulo, dates: ["%d/%m/%Y"]}}
  objects:
  - name: tags
    source: {object: contact, each: tags}
    key: [item]
    destination: {model: res.partner.category}
    fields: [{to: name, from: item}]
  - name: companies
    source: {object: company}
    key: [id]
    destination: {model: res.partner}
    fields: [{to: name, from: name}, {to: ref, from: id}]
  - name: contacts
    source: {object: contact}
    key: [id]
    destination: {model: res.partner}
    fields:
    - {to: name, from: name}
    - {to: email, from: email}
    - {to: city, from: city}
    - {to: color, from: color}
    - {to: type, from: kind, values: {person: contact, address: other}}
    - {to: comment, from: notes}
    - {to: partner_latitude, from: latitude}
    - {to: category_id, from: tags, lookup: {object: tags}}
    - {to: parent_id, from: company_id, lookup: {object: companies}}
    - {to: country_id, from: country, lookup: {model: res.country, by: code}}
    - {to: x_test_day_SUFFIX, from: born, create: {type: Date}}
    - {to: x_test_at_SUFFIX, from: seen, create: {type: DateTime}}
    - {to: x_test_yes_SUFFIX, from: optin, create: {type: Boolean}}
  - name: segments
    source: {object: segment}
    let:
      logic: 'tree(record.rules, {"children": "rules"})'
      filter: domain(record.logic, "contacts")
    key: [id]
    destination: {document: segments}
    fields: [{to: domain, from: filter.domain}, {to: missing, from: filter.missing}]
"#;

struct Nothing;

impl Lookups for Nothing {
    fn content(&self, _: &str) -> Option<crmferry::model::Fetched> {
        None
    }

    fn find(&self, _: usize, _: &str, _: &[Option<String>]) -> Found {
        Found::None
    }
}

fn segments(suffix: &str) -> Object {
    let text = MAPPING.replace("SUFFIX", suffix);
    let Document::MappingSpec(spec) = document::parse(&text, "test").unwrap().remove(0) else {
        panic!("it is a mapping")
    };
    let merged = merge::resolve(&spec.spec).unwrap();
    let world = World {
        models: models::bundled(),
        odoo_known: false,
        source: None,
    };
    let compiled = compile(&merged, world);
    let mapping = compiled.mapping.unwrap_or_else(|| panic!("{:#?}", compiled.findings));
    mapping.object("segments").unwrap().clone()
}

/// What the document says of a segment: its domain, or what is missing.
fn said(segments: &Object, rules: &Value) -> Result<String, String> {
    let Value::Object(record) = json!({"id": 1, "rules": rules}) else {
        panic!("a record is a map")
    };
    let Step::Item(item) = segments.items(&Arc::new(record)).remove(0) else {
        panic!("{rules}")
    };
    let Outcome::Mapped(mapped) = segments.map(&item, &Nothing) else {
        panic!("{rules}")
    };
    let text = |place: usize| match &mapped.values[place].1 {
        OdooValue::Text(text) => Some(text.clone()),
        _ => None,
    };
    text(0).ok_or_else(|| text(1).unwrap_or_default())
}

/// A domain as Odoo writes it, as JSON.
fn parsed(domain: &str) -> Value {
    let mut json = String::new();
    let (mut quoted, mut escaped) = (false, false);
    for character in domain.chars() {
        match (quoted, character) {
            (true, '"') if !escaped => quoted = false,
            (false, '"') => quoted = true,
            _ => {}
        }
        escaped = quoted && character == '\\' && !escaped;
        json.push(match (quoted, character) {
            (false, '(') => '[',
            (false, ')') => ']',
            (false, '\'') => '"',
            (_, other) => other,
        });
    }
    let json = json.replace(", True]", ", true]").replace(", False]", ", false]");
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{domain}: {error}"))
}

#[tokio::test]
async fn a_domain_finds_what_the_rules_mean() {
    for rpc in odoos() {
        finds(rpc).await;
    }
}

async fn made(rpc: &dyn Rpc, model: &str, values: Value) -> i64 {
    let made = rpc.call(model, "create", args!({"vals_list": [values]})).await.unwrap();
    made[0].as_i64().unwrap()
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn finds(rpc: Arc<dyn Rpc>) {
    let suffix = unique("");
    let field = |name: &str, type_| CustomField {
        model: OdooModel("res.partner".into()),
        name: format!("x_test_{name}_{suffix}"),
        type_,
        label: name.to_owned(),
        help: String::new(),
        options: std::collections::BTreeMap::new(),
        relation: None,
    };
    let custom = [
        field("day", FieldType::Date),
        field("at", FieldType::DateTime),
        field("yes", FieldType::Boolean),
    ];
    schema::ensure(&*rpc, &custom).await.unwrap();
    let vip = format!("vip{suffix}");
    let tag = made(&*rpc, "res.partner.category", json!({"name": vip})).await;
    let company = made(
        &*rpc,
        "res.partner",
        json!({"name": "Firma", "ref": format!("C{suffix}")}),
    )
    .await;
    let country = rpc
        .call("res.country", "search", args!({"domain": [["code", "=", "BR"]]}))
        .await
        .unwrap()[0]
        .clone();
    let (day, at, yes) = (&custom[0].name, &custom[1].name, &custom[2].name);
    let people = [
        json!({"name": format!("A {suffix}"), "city": "Recife", "email": "a_1@x.example", "color": 3, "partner_latitude": 1.5, "category_id": [[6, 0, [tag]]],
               "parent_id": company, "country_id": country, day: "2020-01-31", at: "2020-02-01 02:59:59", yes: true, "comment": "<p>100% real</p>"}),
        json!({"name": format!("B {suffix}"), "city": "Belém", "email": "ab1@x.example", "color": 7, "type": "other", day: "2020-02-01", at: "2020-02-01 03:00:00"}),
        json!({"name": format!("C {suffix}"), "city": false, "email": false}),
    ];
    let mut ids = Vec::new();
    for person in people {
        ids.push(made(&*rpc, "res.partner", person).await);
    }

    let segments = segments(&suffix);
    let rule = |field: &str, is: &str, value: Value| json!({"field": field, "comparator": is, "value": value});
    let ours = rule("name", "ends_with", json!(format!(" {suffix}")));
    for (rules, wanted) in [
        (rule("city", "equals", json!("Recife")), "A"),
        (rule("city", "not_equals", json!("Recife")), "BC"),
        (rule("city", "in", json!(["Recife", "Belém"])), "AB"),
        (rule("city", "not_in", json!(["Recife"])), "BC"),
        (rule("city", "is_empty", Value::Null), "C"),
        (rule("city", "is_not_empty", Value::Null), "AB"),
        (rule("email", "contains", json!("A_1")), "A"),
        (rule("email", "not_contains", json!("a_1")), "BC"),
        (rule("email", "starts_with", json!("a")), "AB"),
        (rule("notes", "contains", json!("100% r")), "A"),
        (rule("color", "gt", json!(3)), "B"),
        (rule("color", "between", json!([3, 7])), "AB"),
        (rule("kind", "equals", json!("address")), "B"),
        (rule("latitude", "gt", json!("1")), "A"),
        (rule("tags", "contains", json!(vip)), "A"),
        (rule("tags", "not_contains", json!(vip)), "BC"),
        (rule("tags", "is_empty", Value::Null), "BC"),
        (rule("company_id", "equals", json!(format!("C{suffix}"))), "A"),
        (rule("company_id", "not_equals", json!(format!("C{suffix}"))), "BC"),
        (rule("company_id", "is_not_empty", Value::Null), "A"),
        (rule("country", "in", json!(["BR", "PT"])), "A"),
        (rule("born", "before", json!("01/02/2020")), "A"),
        (rule("seen", "equals", json!("31/01/2020")), "A"),
        (rule("seen", "on_or_after", json!("01/02/2020")), "B"),
        (rule("seen", "before", json!("2020-02-01T03:00:00Z")), "A"),
        (rule("optin", "is_true", Value::Null), "A"),
        (rule("optin", "equals", json!("não")), "BC"),
        (
            json!({"operator": "or", "rules": [rule("city", "equals", json!("Recife")), rule("color", "equals", json!(7)), rule("color", "equals", json!(8))]}),
            "AB",
        ),
        (
            json!({"operator": "none", "rules": [rule("city", "equals", json!("Recife")), rule("color", "equals", json!(7))]}),
            "C",
        ),
        (
            json!({"operator": "not", "rules": [{"operator": "and", "rules": [rule("city", "equals", json!("Recife")), rule("color", "equals", json!(7))]}]}),
            "ABC",
        ),
    ] {
        let whole = json!({"operator": "and", "rules": [ours, rules]});
        let domain = said(&segments, &whole).unwrap_or_else(|missing| panic!("{missing}"));
        let json = parsed(&domain);
        let found = rpc
            .call("res.partner", "search", args!({"domain": json, "order": "id"}))
            .await
            .unwrap_or_else(|error| panic!("{domain}: {error}"));
        let names: String = ids
            .iter()
            .zip("ABC".chars())
            .filter(|(id, _)| found.as_array().unwrap().contains(&json!(id)))
            .map(|(_, name)| name)
            .collect();
        assert_eq!(names, wanted, "{domain}");
        let count = rpc
            .call("res.partner", "search_count", args!({"domain": json}))
            .await
            .unwrap();
        assert_eq!(count, json!(wanted.len()), "{domain}");
    }

    rpc.call("res.partner", "unlink", args!({"ids": ids})).await.unwrap();
    rpc.call("res.partner", "unlink", args!({"ids": [company]}))
        .await
        .unwrap();
    rpc.call("res.partner.category", "unlink", args!({"ids": [tag]}))
        .await
        .unwrap();
    let fields = json!([
        ["model", "=", "res.partner"],
        ["name", "in", custom.map(|field| field.name)]
    ]);
    let fields = rpc
        .call("ir.model.fields", "search", args!({"domain": fields}))
        .await
        .unwrap();
    rpc.call("ir.model.fields", "unlink", args!({"ids": fields}))
        .await
        .unwrap();
}
