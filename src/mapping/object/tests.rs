use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::mapping::{
    Found,
    testing::{fields, mapped, object, people, record},
};

fn steps(object: &Object, source: Value) -> Vec<String> {
    let line = |step: Step| match step {
        Step::Item(item) => item.key.0,
        Step::Filtered => "filtered".into(),
        Step::Rejected { key, rejection } => {
            format!("{} {}", rejection.code, key.map_or_else(|| "-".into(), |key| key.0))
        }
    };
    object.items(&Arc::new(record(source))).into_iter().map(line).collect()
}

fn with(head: &str) -> Object {
    object(&people(&format!(
        "{head}\ndestination: {{model: res.partner}}\nfields: [{{to: name, from: name}}]"
    )))
}

#[test]
fn a_record_is_filtered_rejected_or_becomes_items_with_keys() {
    for (head, source, wanted) in [
        (
            "source: {object: contact}\nkey: [id | nr]",
            json!({"nr": 4711.0}),
            vec!["4711"],
        ),
        (
            "source: {object: contact}\nkey: [a, b]",
            json!({"a": "x y", "b": "ã"}),
            vec!["x_20y___C3_A3"],
        ),
        (
            "source: {object: contact}\nkey: [a, b]",
            json!({"a": "x", "b": " "}),
            vec!["NoKey -"],
        ),
        (
            "source: {object: contact, where: record.a == 1}\nkey: [a]",
            json!({"a": 1}),
            vec!["1"],
        ),
        (
            "source: {object: contact, where: record.a == 1}\nkey: [a]",
            json!({"a": 2}),
            vec!["filtered"],
        ),
        (
            "source: {object: contact, where: record.a > 1}\nkey: [id]",
            json!({"id": 1}),
            vec!["filtered"],
        ),
        (
            "source: {object: contact, where: number(record.a) > 1.0}\nkey: [id]",
            json!({"id": 1, "a": "x"}),
            vec!["Expression 1"],
        ),
        (
            "source: {object: contact}\nlet: {b: 'record.c + \"!\"', c: lower(record.a)}\nkey: [b]",
            json!({"a": "X"}),
            vec!["x_21"],
        ),
        (
            "source: {object: contact, each: tags}\nkey: [item]",
            json!({"tags": "a; b;;a"}),
            vec!["a", "b", "a"],
        ),
        (
            "source: {object: contact, each: tags}\nkey: [id, index]",
            json!({"id": 7, "tags": ["a", "b"]}),
            vec!["7__0", "7__1"],
        ),
        (
            "source: {object: contact, each: tags}\nkey: [item]",
            json!({"id": 7}),
            vec![],
        ),
        (
            "source: {object: contact, each: map}\nkey: [item.key, item.value]",
            json!({"map": {"a": 1}}),
            vec!["a__1"],
        ),
        (
            "source: {object: contact, each: q.options}\nkey: [parent.id, item.id]",
            json!({"q": [{"id": 1, "options": [{"id": "x"}, {"id": "y"}]}, {"id": 2, "options": [{"id": "z"}]}]}),
            vec!["1__x", "1__y", "2__z"],
        ),
        (
            "source: {object: contact, each: tags, where: item != \"b\"}\nkey: [item]",
            json!({"tags": ["a", "b"]}),
            vec!["a", "filtered"],
        ),
        (
            "source: {object: contact}\nlet: {both: 'key([record.a, record.b])'}\nkey: [both]",
            json!({"a": "x y", "b": "z"}),
            vec!["x_20y__z"],
        ),
        (
            "source: {object: contact}\nlet: {both: 'key([record.a, record.b])'}\nkey: [both]",
            json!({"a": "x y"}),
            vec!["NoKey -"],
        ),
        (
            "source: {object: contact}\nlet: {one: '\"fixed\"'}\nkey: [one]",
            json!({"a": "x"}),
            vec!["fixed"],
        ),
    ] {
        assert_eq!(steps(&with(head), source.clone()), wanted, "{head} on {source}");
    }
}

#[test]
fn records_are_ordered_by_number_then_time_then_text_then_nothing() {
    let object = with("source: {object: contact}\nkey: [id]");
    let path = Path::parse("at").unwrap();
    let order = |at: Value| object.order_of(&record(json!({"id": 1, "at": at})), &path);
    let sorted = [
        json!(-2),
        json!("-1.5"),
        json!(0),
        json!("9"),
        json!("10"),
        json!("31/12/2019"),
        json!("2020-01-31"),
        json!("01/02/2020"),
        json!("z"),
        json!(null),
    ];
    let orders: Vec<Order> = sorted.iter().cloned().map(order).collect();
    assert!(orders.windows(2).all(|pair| pair[0] < pair[1]), "{orders:?}");
}

#[test]
fn an_item_tells_the_text_at_a_path() {
    let object = with("source: {object: contact}\nlet: {low: lower(record.email)}\nkey: [id]");
    let Step::Item(item) = object
        .items(&Arc::new(record(json!({"id": 1, "email": "A@B"}))))
        .remove(0)
    else {
        panic!()
    };
    for (path, wanted) in [
        ("email", Some("A@B")),
        ("low", Some("a@b")),
        ("id", Some("1")),
        ("phone", None),
    ] {
        assert_eq!(item.text_at(&Path::parse(path).unwrap()).as_deref(), wanted, "{path}");
    }
}

#[test]
fn a_selection_made_without_options_takes_what_it_meets_and_tells_it() {
    let object = object(&fields(&[
        "{to: state, onEmpty: Skip}",
        "{to: x_open, from: a, create: {type: Selection}}",
        "{to: x_closed, from: b, create: {type: Selection, options: {b: B}}}",
    ]));
    let mapped = mapped(&object, json!({"id": 1, "name": "N", "a": "Olá", "b": "b"}), &[]);
    assert_eq!(object.options_met(&mapped).collect::<Vec<_>>(), [("x_open", "Olá")]);
}

/// Finds by the length of the value: everything can happen.
struct Whatever;

impl Lookups for Whatever {
    fn find(&self, lookup: usize, value: &str, _: &[Option<String>]) -> Found {
        match (lookup + value.len()) % 4 {
            0 => Found::None,
            1 => Found::Several,
            2 if value.len() > 6 => Found::Later,
            _ => Found::One(crate::model::Reference::Id(1)),
        }
    }

    fn content(&self, reference: &str) -> Option<crate::model::Fetched> {
        reference
            .len()
            .is_multiple_of(2)
            .then(|| crate::model::Fetched::Content(crate::model::Content::default()))
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[0-9]{1,2}/[0-9]{1,2}/[0-9]{2,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-e]|id|name|tags", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// An object with fields of every type.
fn everything(each: bool) -> &'static Object {
    static BOTH: LazyLock<[Object; 2]> = LazyLock::new(|| {
        [
            "source: {object: contact}\nkey: [id]",
            "source: {object: contact, each: tags | a.b}\nkey: [id | item]",
        ]
        .map(|head| {
            object(&people(&format!(
                "{head}\nlet: {{l: 'first([record.a, record.b])', k: 'key([record.a, record.c])'}}\n\
            destination: {{model: res.partner}}\nfields:\n\
            - {{to: name, from: name | id}}\n- {{to: state, from: a, values: {{x: other}}, onMissing: Empty, onEmpty: Skip}}\n\
            - {{to: color, from: b, onMissing: Empty}}\n- {{to: credit, from: c.0 | d, onMissing: Empty}}\n- {{to: birth, from: e | a.b, onMissing: Empty}}\n\
            - {{to: seen, from: a, onMissing: Empty}}\n- {{to: active, from: b, onMissing: Empty}}\n- {{to: email, cel: 'record.l + \"x\"'}}\n\
            - {{to: parent_id, from: k, lookup: {{object: people}}, onMissing: Empty}}\n\
            - {{to: category_id, from: tags, lookup: {{model: res.partner.category}}, onMissing: Empty}}"
            )))
        })
    });
    &BOTH[usize::from(each)]
}

proptest! {
    #[test]
    fn mapping_never_panics_and_gives_the_same_twice(
        source in prop::collection::btree_map("[a-e]|id|name|tags", json_value(), 0..9),
        each in any::<bool>(),
    ) {
        let object = everything(each);
        let record = Arc::new(source.into_iter().collect::<Record>());
        let run = || -> Vec<String> {
            let line = |step| match step {
                Step::Item(item) => format!("{:?} {:?}", item.key, object.map(&item, &Whatever)),
                other => format!("{other:?}"),
            };
            object.items(&record).into_iter().map(line).collect()
        };
        prop_assert_eq!(run(), run());
    }
}

#[test]
fn a_key_is_an_id_where_every_name_it_may_stand_under_says_so() {
    for (part, id) in [
        ("id", true),
        ("id | deal_id", true),
        ("record.contact.uuid", true),
        ("dealId", true),
        ("Code", true),
        ("email", false),
        ("id | email", false),
        ("item", false),
        ("companyKey", false),
        ("paid", false),
        ("id.name", false),
        ("", false),
    ] {
        assert_eq!(is_id(part), id, "{part:?}");
    }
}
