use serde_json::json;

use super::*;
use crate::mapping::{
    Compiled, World,
    compile::compile,
    testing::{merged, odoo, people, record, said},
};

fn formats() -> Formats {
    let spec = serde_json::from_value(json!({"dates": ["%d/%m/%Y"], "decimal": "Comma"})).unwrap();
    Formats::new(Some(&spec)).unwrap()
}

fn seen(values: &[Value]) -> Observed {
    let mut seen = Observed::default();
    for value in values {
        seen.observe(&formats(), value);
    }
    seen
}

#[test]
fn the_type_is_one_that_keeps_every_value() {
    use FieldType::{Boolean, Char, Date, DateTime, Float, Integer, Text};
    for (values, wanted) in [
        (vec![json!("12"), json!(""), json!("-3")], Some(Integer)),
        (vec![json!("12"), json!("1,5")], Some(Float)),
        (vec![json!(1), json!(2.5)], Some(Float)),
        (vec![json!("007"), json!("12")], Some(Char)),
        (vec![json!("11987654321")], Some(Char)),
        (vec![json!("0"), json!("1")], Some(Integer)),
        (vec![json!("0,5")], Some(Float)),
        (vec![json!("sim"), json!("não")], Some(Boolean)),
        (vec![json!(true), json!(false)], Some(Boolean)),
        (vec![json!("31/01/2020"), json!("2020-02-01")], Some(Date)),
        (vec![json!("31/01/2020"), json!("2020-02-01 10:00")], Some(DateTime)),
        (vec![json!("31/01/2020"), json!("soon")], Some(Char)),
        (vec![json!("x".repeat(257))], Some(Text)),
        (vec![json!("a\nb")], Some(Text)),
        (vec![json!(["a", "b"])], Some(Char)),
        (vec![json!({"a": 1})], None),
        (vec![json!([{"a": 1}])], None),
        (vec![json!("{\"a\": 1}")], None),
        (vec![json!(null)], Some(Char)),
    ] {
        assert_eq!(seen(&values).fitting(), wanted, "{values:?}");
    }
}

#[test]
fn what_the_source_declares_counts_as_far_as_it_goes() {
    let choice = |count: usize| DeclaredType::Choice((0..count).map(|n| (n.to_string(), format!("L{n}"))).collect());
    for (declared, values, wanted) in [
        (DeclaredType::Text, vec![json!("12")], Some(FieldType::Char)),
        (DeclaredType::LongText, vec![json!("12")], Some(FieldType::Text)),
        (DeclaredType::Number, vec![json!("12")], Some(FieldType::Integer)),
        (DeclaredType::Number, vec![json!("12,5")], Some(FieldType::Float)),
        (DeclaredType::Date, vec![json!("2020-01-01")], Some(FieldType::Date)),
        (
            DeclaredType::Date,
            vec![json!("2020-01-01T10:00:00Z")],
            Some(FieldType::DateTime),
        ),
        (DeclaredType::Checkbox, vec![json!("1")], Some(FieldType::Boolean)),
        (choice(2), vec![json!("1")], Some(FieldType::Selection)),
        (choice(201), vec![json!("1")], Some(FieldType::Char)),
        (DeclaredType::Choices, vec![json!(["a", "b"])], Some(FieldType::Char)),
        (DeclaredType::Json, vec![], None),
    ] {
        let field = Candidate {
            declared: DeclaredField {
                name: "f".into(),
                label: String::new(),
                kind: Some(declared.clone()),
            },
            seen: seen(&values),
        };
        assert_eq!(field.becomes(true).map(|create| create.type_), wanted, "{declared:?}");
    }
}

#[test]
fn what_was_seen_in_part_becomes_text_which_keeps_what_is_to_come() {
    for (values, wanted) in [
        (vec![json!("12"), json!(3)], Some(FieldType::Char)),
        (vec![json!("2020-01-01")], Some(FieldType::Char)),
        (vec![json!("x".repeat(300))], Some(FieldType::Text)),
        (vec![json!({"a": 1})], None),
    ] {
        let field = Candidate {
            seen: seen(&values),
            ..Candidate::default()
        };
        assert_eq!(field.becomes(false).map(|create| create.type_), wanted, "{values:?}");
    }
}

#[test]
fn names_become_what_odoo_takes() {
    for (name, wanted) in [
        ("Número da NF", "numero_da_nf"),
        ("Size (cm)", "size_cm"),
        ("  straße ", "strasse"),
        ("a__b", "a_b"),
        ("São\u{303}", "sao"),
        ("размер", &hex(&Sha256::digest("размер".as_bytes()))[..8]),
    ] {
        assert_eq!(slug(name), wanted, "{name}");
    }
}

fn compiled(lines: &str, fields: &[&str], records: &[Value]) -> Compiled {
    let models = odoo();
    let samples: Vec<Record> = records.iter().map(|value| record(value.clone())).collect();
    let mut seen = BTreeMap::new();
    for sample in &samples {
        observe(&mut seen, &formats(), sample);
    }
    let custom = fields.iter().map(|name| Candidate {
        declared: DeclaredField {
            name: (*name).to_owned(),
            ..DeclaredField::default()
        },
        seen: seen.remove(*name).unwrap_or_default(),
    });
    let custom = custom.collect();
    let shape = SourceShape {
        place: String::new(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        samples,
        custom,
        whole: true,
        broken: None,
    };
    let source = BTreeMap::from([("contact".to_owned(), shape)]);
    let world = World {
        models: &models,
        odoo_known: true,
        source: Some(&source),
    };
    compile(&merged(&people(lines)), world)
}

#[test]
fn every_field_that_nothing_names_becomes_a_custom_field_with_its_values() {
    let compiled = compiled(
        "source: {object: contact}\nkey: [id]\ndiscover: {prefix: x_pipz_}\nignore: [geo_*]\ndestination: {model: res.partner}\n\
         fields:\n- {to: name, from: name}\n- {to: state, constant: other}\n\
         - {to: x_pipz_plan, from: kind, create: {type: Char}}",
        &["id", "name", "kind", "Tamanho", "plan", "a b", "a-b", "geo_x", "raw"],
        &[
            json!({"id": 1, "name": "N", "Tamanho": "12", "plan": "gold", "a b": "x", "a-b": "z", "geo_x": 1, "raw": {"x": 1}}),
        ],
    );
    let all = said(&compiled.findings);
    let apart = |name: &str| format!("x_pipz_a_b_{}", &hex(&Sha256::digest(name.as_bytes()))[..8]);
    for wanted in [
        "Info Discovered objects[people].discover: 1 custom fields become integer: Tamanho → x_pipz_tamanho",
        "Warning Discovered objects[people].discover: custom fields with nested values, which no field of Odoo takes, are left behind: raw; map what is meant of them",
    ] {
        assert!(all.iter().any(|said| said == wanted), "{wanted}\n{all:#?}");
    }
    let mapping = compiled.mapping.unwrap();
    let custom: Vec<(&str, FieldType)> = mapping.objects[0]
        .custom_fields
        .iter()
        .map(|field| (field.name.as_str(), field.type_))
        .collect();
    let plan = format!("x_pipz_plan_{}", &hex(&Sha256::digest(b"plan"))[..8]);
    assert_eq!(
        custom,
        [
            ("x_pipz_plan", FieldType::Char),
            ("x_pipz_tamanho", FieldType::Integer),
            (plan.as_str(), FieldType::Char),
            (apart("a b").as_str(), FieldType::Char),
            (apart("a-b").as_str(), FieldType::Char),
        ]
    );
    let expanded = compiled.spec.unwrap();
    assert_eq!(expanded.objects.unwrap()[0].fields.as_ref().unwrap().len(), 7);
}
