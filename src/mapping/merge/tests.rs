use super::*;
use crate::mapping::testing::{said, spec};

fn over(yaml: &str) -> MappingSpecSpec {
    let resolved = resolve(&spec(&format!("extends: pipz-to-odoo\n{yaml}")));
    resolved.unwrap_or_else(|findings| panic!("{findings:#?}")).spec
}

fn object<'a>(spec: &'a MappingSpecSpec, name: &str) -> &'a Object {
    spec.objects
        .iter()
        .flatten()
        .find(|object| object.name == name)
        .expect("the object is there")
}

fn field<'a>(object: &'a Object, id: &str) -> &'a Field {
    object
        .fields
        .iter()
        .flatten()
        .find(|field| field_id(field) == id)
        .expect("the field is there")
}

#[test]
fn an_entry_alone_is_itself_and_its_digest_is_stable() {
    let base = catalogue::entry("pipz-to-odoo").unwrap();
    assert_eq!(over(""), base);
    let digest = |yaml: &str| resolve(&spec(yaml)).unwrap().digest;
    assert_eq!(
        digest("extends: pipz-to-odoo"),
        digest("extends: pipz-to-odoo\nobjects: []")
    );
    assert_ne!(
        digest("extends: pipz-to-odoo"),
        digest("extends: pipz-to-odoo\nsource: {formats: {list: \";\"}}")
    );
}

#[test]
fn formats_are_replaced_one_by_one() {
    let formats = over("source: {formats: {timeZone: America/Recife}}")
        .source
        .unwrap()
        .formats
        .unwrap();
    assert_eq!(formats.time_zone.as_deref(), Some("America/Recife"));
    assert_eq!(formats.list.as_deref(), Some(","));
    assert!(formats.dates.is_some());
}

#[test]
fn named_things_merge_by_name_maps_by_key_and_the_rest_replaces() {
    let spec = over(
        "parameters: [{name: wonStage, value: m.s}]\nobjects:\n- name: contacts\n  let: {companyKey: record.company, more: '1'}\n  match: [email]\n  fields:\n  \
         - {to: lang, values: {en: en_GB, fr: fr_FR}}\n  - {to: type, constant: other}\n  - {to: tz, remove: true}\n  \
         - {to: x_b, from: b, create: {type: Char}}\n  - {to: x_a, from: a, create: {type: Char}}",
    );
    let won = spec
        .parameters
        .iter()
        .flatten()
        .find(|parameter| parameter.name == "wonStage")
        .unwrap();
    assert_eq!((won.value.as_deref(), won.type_.is_some()), (Some("m.s"), true));
    let contacts = object(&spec, "contacts");
    let lets = contacts.lets.as_ref().unwrap();
    assert_eq!(
        (lets["companyKey"].as_str(), lets["more"].as_str()),
        ("record.company", "1")
    );
    assert!(lets.contains_key("companyName"));
    assert_eq!(contacts.match_on.as_deref(), Some(&["email".to_owned()][..]));
    let values = field(contacts, "lang").values.as_ref().unwrap();
    assert_eq!(
        (values["en"].as_str(), values["fr"].as_str(), values["pt-br"].as_str()),
        ("en_GB", "fr_FR", "pt_BR")
    );
    assert_eq!(field(contacts, "lang").from.as_deref(), Some("language | idioma"));
    let type_ = field(contacts, "type");
    assert_eq!((type_.constant.as_deref(), &type_.cel), (Some("other"), &None));
    assert!(
        contacts
            .fields
            .iter()
            .flatten()
            .all(|field| field.to != "tz" && field.remove.is_none())
    );
    let last: Vec<String> = contacts.fields.iter().flatten().map(field_id).rev().take(2).collect();
    assert_eq!(last, ["x_b", "x_a"], "new ones follow in the order of their names");
}

#[test]
fn a_dropped_object_leaves_its_rows_and_new_objects_follow() {
    let spec = over(
        "objects:\n- {name: lostReasons, remove: true}\n- {name: zoo}\n- {name: ant}\n- {name: users, remove: true}",
    );
    let names: Vec<&str> = spec
        .objects
        .iter()
        .flatten()
        .map(|object| object.name.as_str())
        .collect();
    assert!(!names.contains(&"lostReasons"));
    assert_eq!(names[names.len() - 3..], ["automations", "ant", "zoo"]);
    let row = |name: &str| {
        spec.rows
            .iter()
            .flatten()
            .find(|row| row.name == name)
            .unwrap()
            .objects
            .clone()
            .unwrap()
    };
    assert_eq!(row("Deal"), ["deals"]);
    assert_eq!(row("User"), ["inactiveUsers"]);
}

#[test]
fn what_is_wrong_names_the_nearest() {
    for (yaml, wanted) in [
        (
            "extends: pipz-to-odo",
            "Error UnknownEntry extends: the catalogue has no entry pipz-to-odo; did you mean pipz-to-odoo?",
        ),
        (
            "objects: []",
            "Error Incomplete source.platform: the spec names no platform: say source.platform, or extend a catalogue entry",
        ),
        (
            "extends: pipz-to-odoo\nobjects: [{name: deal, remove: true}]",
            "Error UnknownObject objects[deal]: there is no deal in objects to remove; did you mean deals?",
        ),
        (
            "extends: pipz-to-odoo\nobjects: [{name: deals, fields: [{to: nam, remove: true}]}]",
            "Error UnknownField objects[deals].fields[nam]: there is no nam in objects[deals].fields to remove; did you mean name?",
        ),
        (
            "extends: pipz-to-odoo\nrows: [{name: Deals, remove: true}]",
            "Error UnknownRow rows[Deals]: there is no Deals in rows to remove; did you mean Deal?",
        ),
        (
            "extends: pipz-to-odoo\nparameters: [{name: wonStag, remove: true}]",
            "Error UnknownParameter parameters[wonStag]: there is no wonStag in parameters to remove; did you mean wonStage?",
        ),
    ] {
        let all = said(&resolve(&spec(yaml)).unwrap_err());
        assert!(all.iter().any(|said| said == wanted), "wanted {wanted}\ngot {all:#?}");
    }
}

#[test]
fn a_document_keeps_what_is_not_said_and_a_model_in_its_place_keeps_nothing() {
    let destination = |said: &str| {
        let spec = over(&format!("objects: [{{name: segments, destination: {said}}}]"));
        object(&spec, "segments").destination.clone().unwrap()
    };
    let renamed = destination("{create: {label: Segmentos}}");
    let create = renamed.create.unwrap();
    assert_eq!(
        (
            renamed.document.as_deref(),
            create.label.as_deref(),
            create.help.is_some()
        ),
        (Some("smart-segments"), Some("Segmentos"), true)
    );
    assert_eq!(
        destination("{model: ir.filters}"),
        Destination {
            model: Some("ir.filters".into()),
            ..Destination::default()
        }
    );
}

const ORDERS: &str = "objects:
- name: orders
  source: {object: order, join: [{name: lines, object: line, by: order_id}, {name: notes, object: note, by: order_id}]}
  fields:
  - {to: name, from: name}
  - {to: order_line, each: lines, key: [line.id], fields: [{to: name, from: line.name}, {to: price_unit, from: line.price}]}
";

fn laid(yaml: &str) -> (MappingSpecSpec, Vec<String>) {
    let mut findings = Findings::default();
    let merged = laid_over(
        spec(ORDERS),
        spec(&format!("extends: pipz-to-odoo\n{yaml}")),
        &mut findings,
    );
    (merged, said(&findings.sorted()))
}

#[test]
fn joins_and_the_fields_of_lines_merge_by_name_too() {
    let (merged, findings) = laid(
        "objects:\n- name: orders\n  source: {join: [{name: lines, where: record.n > 0}, {name: notes, remove: true}]}\n  fields:\n  \
         - {to: order_line, fields: [{to: price_unit, cel: '1.0'}, {to: name, remove: true}, {to: product_id, from: line.p}]}",
    );
    assert_eq!(findings, Vec::<String>::new());
    let orders = object(&merged, "orders");
    let joins = orders.source.as_ref().unwrap().join.as_ref().unwrap();
    assert_eq!(joins.len(), 1);
    assert_eq!(
        (joins[0].by.as_deref(), joins[0].filter.as_deref()),
        (Some("order_id"), Some("record.n > 0"))
    );
    let lines = field(orders, "order_line");
    assert_eq!(
        (lines.each.as_deref(), lines.key.as_deref()),
        (Some("lines"), Some(&["line.id".to_owned()][..]))
    );
    let fields = lines.fields.as_ref().unwrap();
    assert_eq!(
        fields.iter().map(|field| field.to.as_str()).collect::<Vec<_>>(),
        ["price_unit", "product_id"]
    );
    assert_eq!(
        (fields[0].cel.as_deref(), fields[0].from.as_deref()),
        (Some("1.0"), None)
    );
}

#[test]
fn each_and_another_source_replace_one_another() {
    let (merged, _) =
        laid("objects:\n- name: orders\n  fields:\n  - {to: order_line, from: other}\n  - {to: name, each: more}");
    let orders = object(&merged, "orders");
    let lines = field(orders, "order_line");
    assert_eq!(
        (lines.from.as_deref(), &lines.each, &lines.key, &lines.fields),
        (Some("other"), &None, &None, &None)
    );
    let name = field(orders, "name");
    assert_eq!((&name.from, name.each.as_deref()), (&None, Some("more")));
}
