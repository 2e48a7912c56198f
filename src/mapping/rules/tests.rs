use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{mapping::read::Formats, odoo::models};

/// Shapes of the three platforms, as the catalogue names them.
const PIPZ: &[(&str, &str)] = &[("children", "rules")];
const ALTCRAFT: &[(&str, &str)] = &[
    ("children", "queries | child"),
    ("operator", "condition"),
    ("field", "name"),
    ("comparator", "operator"),
];
const PEGA: &[(&str, &str)] = &[
    ("children", "filterConditions"),
    ("operator", "logic"),
    ("field", "lhs.field"),
    ("value", "rhs.value"),
];

fn shape(keys: &[(&str, &str)]) -> Shape {
    let keys: Vec<_> = keys
        .iter()
        .map(|(key, path)| ((*key).to_owned(), (*path).to_owned()))
        .collect();
    Shape::new(&keys, ",").unwrap()
}

#[test]
fn trees_of_all_platforms_become_one_shape() {
    for (keys, source, wanted) in [
        (
            PIPZ,
            json!({"operator": "and", "rules": [
                {"field": "city", "comparator": "equals", "value": "Recife"},
                {"operator": "OR", "rules": [
                    {"field": "score", "comparator": "gt", "value": 50},
                    {"field": "tags", "comparator": "contains", "value": ["vip", "novo"]}]},
                {"operator": "not", "rules": [{"field": "email", "comparator": "is_empty"}]}]}),
            json!({"op": "AND", "of": [
                {"field": "city", "is": "equals", "value": "Recife"},
                {"op": "OR", "of": [
                    {"field": "score", "is": "gt", "value": 50},
                    {"field": "tags", "is": "contains", "value": ["vip", "novo"]}]},
                {"op": "NOT", "of": [{"field": "email", "is": "is_empty", "value": null}]}]}),
        ),
        // a cell of a CSV file
        (
            PIPZ,
            json!("[{\"field\": \"city\", \"comparator\": \"equals\", \"value\": \"Recife\"}]"),
            json!({"op": "AND", "of": [{"field": "city", "is": "equals", "value": "Recife"}]}),
        ),
        (
            ALTCRAFT,
            json!([{"condition": "or", "limit": 0, "list_id": 1, "percent_from": 0, "percent_to": 99, "queries": [
                {"child": [], "compo": "domaingroup", "condition": "", "name": "email", "operator": "equal", "type": "email",
                 "value": [{"name": "domaingroup", "value": "Yahoo! (US)"}]},
                {"name": "event", "operator": "is", "value": "open", "condition": "and",
                 "child": [{"name": "days", "operator": "less", "value": 30}]}]}]),
            json!({"op": "AND", "of": [{"op": "OR", "of": [
                {"field": "email", "is": "equal", "value": [{"name": "domaingroup", "value": "Yahoo! (US)"}]},
                {"op": "AND", "of": [
                    {"field": "event", "is": "is", "value": "open"},
                    {"op": "AND", "of": [{"field": "days", "is": "less", "value": 30}]}]}]}]}),
        ),
        // a map that only names its conditions; how they belong together is an expression that nobody guesses at
        (
            PEGA,
            json!({"filterConditions": {
                "F1": {"lhs": {"field": "pxUpdateDateTime"}, "comparator": "GTE", "rhs": {"value": "2026-01-01T00:00:00.000Z"}},
                "F2": {"lhs": {"field": "pyStatusWork"}, "comparator": "EQ", "rhs": {"value": "Open"}}}}),
            json!({"op": "AND", "of": [
                {"field": "pxUpdateDateTime", "is": "GTE", "value": "2026-01-01T00:00:00.000Z"},
                {"field": "pyStatusWork", "is": "EQ", "value": "Open"}]}),
        ),
        (
            PEGA,
            json!({"logic": "F1 AND NOT F2", "filterConditions": {"F1": {"lhs": {"field": "a"}, "comparator": "EQ"}}}),
            json!({"field": null, "is": "F1 AND NOT F2", "value": [{"lhs": {"field": "a"}, "comparator": "EQ"}]}),
        ),
        // what cannot be read stays
        (
            PIPZ,
            json!({"operator": "or", "rules": []}),
            json!({"field": null, "is": null, "value": {"operator": "or", "rules": []}}),
        ),
        (PIPZ, json!(7), json!({"field": null, "is": null, "value": 7})),
        (PIPZ, json!("vip"), json!({"field": null, "is": null, "value": "vip"})),
    ] {
        assert_eq!(tree(source.clone(), &shape(keys)), wanted, "{source}");
    }
}

#[test]
fn a_wrong_shape_is_refused() {
    for (keys, part) in [
        ([("child", "rules")], "another key than children"),
        ([("children", "a..b")], "children of the shape is no path"),
    ] {
        let keys = keys.map(|(key, path)| (key.to_owned(), path.to_owned()));
        let error = Shape::new(&keys, ",").unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn an_outline_is_indented_and_leaves_nothing_out() {
    let tree = json!({"op": "AND", "of": [
        {"field": "city", "is": "equals", "value": "Recife"},
        {"op": "OR", "of": [{"field": "tags", "is": "in", "value": ["vip", "a\nb"]}, {"op": "NOT", "of": []}]},
        {"field": null, "is": "F1 AND F2", "value": [{"a": 1}]}]});
    let wanted = "all of\n  city equals Recife\n  any of\n    tags in vip, a b\n    a group without conditions\n  F1 AND F2 {\"a\":1}";
    assert_eq!(outline(&tree), wanted);
    assert_eq!(outline(&json!("x")), "x");
    assert_eq!(outline(&json!({"name": "x"})), "{\"name\":\"x\"}");
}

fn domains() -> (Domains, Formats) {
    let spec = crate::mapping::testing::spec(
        "
source: {platform: Pipz, formats: {timeZone: America/Sao_Paulo, dates: [\"%d/%m/%Y\"], decimal: Comma}}
objects:
- name: tags
  source: {object: contact, each: tags}
  key: [item]
  destination: {model: res.partner.category}
  fields: [{to: name, from: item}]
- name: users
  source: {object: user}
  key: [id]
  destination: {model: res.users}
  fields: [{to: login, from: email | mail}]
- name: contacts
  source: {object: contact}
  key: [id]
  destination: {model: res.partner}
  fields:
  - {to: name, from: name | nome}
  - {to: city, from: city}
  - {to: email, from: email}
  - {to: color, from: color}
  - {to: phone, from: mobile, default: none}
  - {to: x_gender, from: gender, values: {m: male, f: female, w: female}, create: {type: Selection, options: {male: M, female: F}}}
  - {to: lang, from: language, values: {pt-br: pt_BR, en: en_US, \"*\": \"\"}}
  - {to: x_kept, from: kind, values: {a: A}, onMissing: Keep, create: {type: Char}}
  - {to: x_optin, from: optin, create: {type: Boolean}}
  - {to: x_spent, from: spent, create: {type: Float}}
  - {to: x_born, from: born, create: {type: Date}}
  - {to: x_seen, from: seen, create: {type: DateTime}}
  - {to: comment, from: notes}
  - {to: category_id, from: tags, lookup: {object: tags}}
  - {to: country_id, from: country, lookup: {model: res.country, by: code}}
  - {to: user_id, from: owner_id, lookup: {object: users}}
  - {to: user_id, part: mail, from: owner, lookup: {object: users, by: email}}
  - {to: function, cel: record.job}
- name: paper
  source: {object: deal}
  key: [id]
  destination: {}
",
    );
    let formats = Formats::new(spec.source.as_ref().unwrap().formats.as_ref()).unwrap();
    (Domains::new(&spec, models::bundled(), &BTreeMap::new()), formats)
}

fn said(tree: &Value) -> Value {
    let (domains, formats) = domains();
    domains.say(Some(tree), "contacts", &formats).unwrap()
}

/// One condition: the domain, or why it cannot be said.
fn condition(field: &str, is: &str, value: &Value) -> String {
    let said = said(&json!({"field": field, "is": is, "value": value}));
    match said["domain"].as_str() {
        Some(domain) => domain.to_owned(),
        None => said["missing"][0].as_str().unwrap().to_owned(),
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_condition_becomes_one_of_odoo() {
    for (field, is, value, wanted) in [
        ("city", "equals", json!("Recife"), "[('city', '=', \"Recife\")]"),
        (
            "City",
            "==",
            json!("O'Neill \"x\""),
            "[('city', '=', \"O'Neill \\\"x\\\"\")]",
        ),
        (
            "nome",
            "is_not",
            json!("x"),
            "nome is_not x: name takes it only where name is not there",
        ),
        ("name", "is_not", json!("Ana"), "[('name', '!=', \"Ana\")]"),
        ("city", "in", json!(["a", "b"]), "[('city', 'in', [\"a\", \"b\"])]"),
        (
            "city",
            "NOT_IN",
            json!(["a", "b"]),
            "[('city', 'not in', [\"a\", \"b\"])]",
        ),
        (
            "email",
            "contains",
            json!("50%_\\"),
            "[('email', 'ilike', \"50\\\\%\\\\_\\\\\\\\\")]",
        ),
        (
            "email",
            "does not contain",
            json!("x"),
            "[('email', 'not ilike', \"x\")]",
        ),
        ("email", "starts_with", json!("ana"), "[('email', '=ilike', \"ana%\")]"),
        (
            "email",
            "NOT_ENDS_WITH",
            json!("x"),
            "['!', ('email', '=ilike', \"%x\")]",
        ),
        ("email", "is_empty", Value::Null, "[('email', '=', False)]"),
        ("email", "IS_NOT_NULL", Value::Null, "[('email', '!=', False)]"),
        ("color", ">=", json!("3"), "[('color', '>=', 3)]"),
        (
            "color",
            "equal",
            json!(2.5),
            "color equal 2.5: color cannot hold its value",
        ),
        (
            "color",
            "is_empty",
            Value::Null,
            "color is_empty: color is never empty in Odoo",
        ),
        ("spent", "less_than", json!("1.234,5"), "[('x_spent', '<', 1234.5)]"),
        (
            "spent",
            "between",
            json!([1, 2.5]),
            "[('x_spent', '>=', 1.0), ('x_spent', '<=', 2.5)]",
        ),
        (
            "spent",
            "equals",
            json!("0.12345678901234567890"),
            "spent equals 0.12345678901234567890: x_spent cannot hold its value",
        ),
        ("optin", "equals", json!("sim"), "[('x_optin', '=', True)]"),
        ("optin", "is_false", Value::Null, "[('x_optin', '!=', True)]"),
        (
            "optin",
            "is_empty",
            Value::Null,
            "optin is_empty: x_optin is never empty in Odoo",
        ),
        (
            "born",
            "after",
            json!("31/01/2020"),
            "[('x_born', '>', \"2020-01-31\")]",
        ),
        (
            "seen",
            "after",
            json!("31/01/2020"),
            "[('x_seen', '>=', \"2020-02-01 03:00:00\")]",
        ),
        (
            "seen",
            "LTE",
            json!("2020-01-31"),
            "[('x_seen', '<', \"2020-02-01 03:00:00\")]",
        ),
        (
            "seen",
            "before",
            json!("2020-01-31T10:00:00Z"),
            "[('x_seen', '<', \"2020-01-31 10:00:00\")]",
        ),
        (
            "seen",
            "equals",
            json!("2020-01-31"),
            "['&', ('x_seen', '>=', \"2020-01-31 03:00:00\"), ('x_seen', '<', \"2020-02-01 03:00:00\")]",
        ),
        ("gender", "equals", json!("m"), "[('x_gender', '=', \"male\")]"),
        (
            "gender",
            "equals",
            json!("f"),
            "gender equals f: in x_gender other values became the same",
        ),
        ("gender", "in", json!(["f", "w"]), "[('x_gender', '=', \"female\")]"),
        (
            "gender",
            "equals",
            json!("x"),
            "gender equals x: x_gender does not keep this value",
        ),
        (
            "gender",
            "contains",
            json!("m"),
            "gender contains m: the values of x_gender were replaced",
        ),
        ("language", "equals", json!("en"), "[('lang', '=', \"en_US\")]"),
        // an option that this Odoo does not have, so that no record can have it
        (
            "language",
            "equals",
            json!("pt-br"),
            "language equals pt-br: lang cannot hold its value",
        ),
        (
            "language",
            "equals",
            json!("fr"),
            "language equals fr: lang does not keep this value",
        ),
        ("kind", "equals", json!("a"), "[('x_kept', '=', \"A\")]"),
        ("kind", "equals", json!("b"), "[('x_kept', '=', \"b\")]"),
        (
            "mobile",
            "is_empty",
            Value::Null,
            "mobile is_empty: in phone an empty value became another",
        ),
        (
            "notes",
            "equals",
            json!("x"),
            "notes equals x: comment is not compared whole",
        ),
        ("notes", "contains", json!("x"), "[('comment', 'ilike', \"x\")]"),
        ("tags", "contains", json!("vip"), "[('category_id.name', '=', \"vip\")]"),
        (
            "tags",
            "not_contains",
            json!("vip"),
            "['!', ('category_id.name', '=', \"vip\")]",
        ),
        (
            "tags",
            "in",
            json!(["vip", "novo"]),
            "[('category_id.name', 'in', [\"vip\", \"novo\"])]",
        ),
        ("tags", "is_empty", Value::Null, "[('category_id', '=', False)]"),
        ("tags", "is_not_empty", Value::Null, "[('category_id', '!=', False)]"),
        ("country", "equals", json!("BR"), "[('country_id.code', '=', \"BR\")]"),
        ("owner", "equals", json!("a@b.c"), "[('user_id.login', '=', \"a@b.c\")]"),
        (
            "owner_id",
            "equals",
            json!(2),
            "owner_id equals 2: no field of Odoo has what user_id is looked up by",
        ),
        ("job", "equals", json!("x"), "job equals x: no field is mapped from job"),
        (
            "city",
            "in_last_days",
            json!(7),
            "city in_last_days 7: Odoo has no counterpart of in_last_days",
        ),
        ("city", "gt", json!("a"), "city gt a: city has no order in Odoo"),
        ("city", "equals", Value::Null, "city equals: it has no value"),
        (
            "city",
            "equals",
            json!([{"a": 1}]),
            "city equals {\"a\":1}: its value is neither one nor a list",
        ),
        ("city", "", json!("x"), "city x: it has no comparator"),
    ] {
        assert_eq!(condition(field, is, &value), wanted, "{field} {is} {value}");
    }
}

#[test]
fn a_domain_is_whole_or_it_is_not_there() {
    let tree = json!({"op": "AND", "of": [
        {"field": "city", "is": "equals", "value": "Recife"},
        {"op": "OR", "of": [
            {"field": "tags", "is": "contains", "value": "vip"},
            {"field": "spent", "is": "gt", "value": 10},
            {"op": "NOT", "of": [{"field": "email", "is": "is_empty"}, {"field": "optin", "is": "is_true"}]}]}]});
    let wanted = "[('city', '=', \"Recife\"), '|', '|', ('category_id.name', '=', \"vip\"), ('x_spent', '>', 10.0), \
                  '!', '|', ('email', '=', False), ('x_optin', '=', True)]";
    assert_eq!(said(&tree), json!({"domain": wanted, "missing": []}));
    let partly = json!({"op": "OR", "of": [
        {"field": "city", "is": "equals", "value": "Recife"}, {"field": "opens", "is": "gt", "value": 3}, {"op": "AND", "of": []}]});
    assert_eq!(
        said(&partly),
        json!({"domain": null, "missing": ["opens gt 3: no field is mapped from opens", "a group without conditions"]})
    );
}

#[test]
fn a_domain_is_of_its_object_alone_where_constants_tell_objects_apart() {
    let spec = crate::mapping::testing::spec(
        "
source: {platform: Pipz}
objects:
- name: companies
  destination: {model: res.partner}
  fields: [{to: city, from: city}, {to: is_company, constant: \"true\"}, {to: lang, constant: pt_BR}]
- name: contacts
  destination: {model: res.partner}
  fields:
  - {to: city, from: city}
  - {to: is_company, constant: \"false\"}
  - {to: lang, constant: pt_BR}
  - {to: type, from: kind}
  - {to: type, part: else, constant: contact}
- name: addresses
  destination: {model: res.partner}
  fields: [{to: city, from: city}, {to: type, constant: other}]
- name: deals
  destination: {model: crm.lead}
  fields: [{to: city, from: city}, {to: type, constant: opportunity}]
",
    );
    let domains = Domains::new(&spec, models::bundled(), &BTreeMap::new());
    let formats = Formats::new(None).unwrap();
    let city = json!({"field": "city", "is": "in", "value": "Recife"});
    let any = json!({"op": "OR", "of": [city, city]});
    let all = json!({"op": "AND", "of": [city]});
    for (object, tree, wanted) in [
        (
            "companies",
            &city,
            "[('is_company', '=', True), ('city', '=', \"Recife\")]",
        ),
        (
            "contacts",
            &all,
            "[('is_company', '=', False), ('city', '=', \"Recife\")]",
        ),
        (
            "contacts",
            &any,
            "[('is_company', '=', False), '|', ('city', '=', \"Recife\"), ('city', '=', \"Recife\")]",
        ),
        ("addresses", &city, "[('city', '=', \"Recife\")]"),
        ("deals", &city, "[('city', '=', \"Recife\")]"),
    ] {
        let said = domains.say(Some(tree), object, &formats).unwrap();
        assert_eq!(said["domain"], json!(wanted), "{object}");
    }
}

#[test]
fn what_a_reference_leads_to_is_not_said_where_it_has_no_one_name() {
    let spec = crate::mapping::testing::spec(
        "
source: {platform: Pipz}
objects:
- name: users
  source: {object: user}
  key: [email]
  kinds: [User]
  destination: {model: res.users}
  fields: [{to: login, from: email}, {to: name, from: name, check: true}]
- name: tags
  otherwise: paper
  source: {object: tag}
  key: [name]
  destination: {model: res.partner.category}
  fields: [{to: name, from: name}]
- name: paper
  source: {object: tag}
  key: [name]
  destination: {document: tags}
- name: contacts
  source: {object: contact}
  key: [id]
  destination: {model: res.partner}
  fields:
  - {to: user_id, from: owner, lookup: {object: users}}
  - {to: parent_id, part: buyer, from: buyer, lookup: {kind: buyer_type}}
  - {to: parent_id, from: manager, lookup: {object: users, take: partner_id}}
  - {to: category_id, from: tags, lookup: {object: tags}}
  - {to: function, from: job, check: true}
",
    );
    let formats = Formats::new(None).unwrap();
    let said = |standing: &[(&str, bool)], field: &str| {
        let domains = Domains::new(&spec, models::bundled(), &standing.iter().copied().collect());
        let tree = json!({"field": field, "is": "equals", "value": "x"});
        let said = domains.say(Some(&tree), "contacts", &formats).unwrap();
        match said["domain"].as_str() {
            Some(domain) => domain.to_owned(),
            None => said["missing"][0].as_str().unwrap().to_owned(),
        }
    };
    let nameless = |field: &str, to: &str| format!("{field} equals x: no field of Odoo has what {to} is looked up by");
    assert_eq!(said(&[], "owner"), "[('user_id.login', '=', \"x\")]");
    assert_eq!(said(&[("users", false)], "owner"), nameless("owner", "user_id"));
    assert_eq!(said(&[("contacts", false)], "owner"), "contacts stands down");
    for (field, to) in [
        ("buyer", "parent_id"),
        ("manager", "parent_id"),
        ("tags", "category_id"),
    ] {
        assert_eq!(said(&[], field), nameless(field, to));
    }
    assert_eq!(said(&[], "job"), "job equals x: no field is mapped from job");
}

#[test]
fn a_domain_is_of_an_object_with_a_model() {
    let (domains, formats) = domains();
    for (object, part) in [
        (
            "contactz",
            "there is no object of this name; there are contacts, paper, tags, users",
        ),
        ("paper", "becomes no model"),
    ] {
        let error = domains.say(None, object, &formats).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(domains.say(None, "contacts", &formats), Ok(Value::Null));
}

fn anything() -> impl Strategy<Value = Value> {
    let word = || {
        prop::sample::select(vec![
            "city",
            "rules",
            "equals",
            "and",
            "not",
            "tags",
            "5",
            "2020-01-31",
            "",
            "é\n%",
        ])
    };
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "rules",
        "operator",
        "field",
        "comparator",
        "value",
        "op",
        "of",
        "is",
        "x",
    ]);
    leaf.prop_recursive(8, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|entries| entries
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

fn nodes(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(nodes).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(nodes).sum::<usize>(),
        _ => 1,
    }
}

/// Whether it is `{op, of}` of such or `{field, is, value}`, and how deep.
fn depth(tree: &Value) -> usize {
    let keys: Vec<&str> = tree.as_object().unwrap().keys().map(String::as_str).collect();
    if keys == ["field", "is", "value"] {
        return 0;
    }
    assert_eq!(keys, ["of", "op"]);
    assert!(["AND", "OR", "NOT"].contains(&tree["op"].as_str().unwrap()));
    let parts = tree["of"].as_array().unwrap();
    1 + parts.iter().map(depth).max().unwrap_or(0)
}

proptest! {
    #[test]
    fn whatever_the_source_has_becomes_a_tree_an_outline_and_a_domain_or_its_lack(source in anything()) {
        let read = tree(source.clone(), &shape(PIPZ));
        prop_assert!(depth(&read) <= DEPTH_MAX);
        prop_assert!(nodes(&read) <= 12 * nodes(&source) + 12, "{} of {}", nodes(&read), nodes(&source));
        outline(&read);
        // trees that nobody made with tree() are told too
        outline(&source);
        for tree in [&read, &source] {
            let said = said(tree);
            let missing = said["missing"].as_array().unwrap();
            prop_assert_eq!(said["domain"].is_null(), !missing.is_empty());
        }
    }
}

#[test]
fn what_lies_too_deep_is_kept_as_text() {
    let mut node = json!({"field": "city", "comparator": "equals", "value": "deepest"});
    for _ in 0..100 {
        node = json!({"operator": "or", "rules": [node]});
    }
    let read = tree(node, &shape(PIPZ));
    assert_eq!(depth(&read), DEPTH_MAX);
    assert!(outline(&read).contains("deepest"));
    assert!(said(&read)["domain"].is_null());
}
