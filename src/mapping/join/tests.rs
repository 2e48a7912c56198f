use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::{
    mapping::{
        Object, Outcome, Step,
        testing::{Known, compiled, compiled_with, object, people, record, said, wire},
    },
    model::Value,
};

fn joining(join: &str, fields: &str) -> String {
    people(&format!(
        "source: {{object: contact, join: [{join}]}}\nkey: [id]\ndestination: {{model: res.partner}}\nfields:\n\
         - {{to: name, from: name}}\n- {{to: state, from: none, onEmpty: Skip}}\n{fields}"
    ))
}

/// A record with what it finds of these rows, mapped.
fn mapped(object: &Object, source: Value, rows: &[Value]) -> Result<crate::mapping::Mapped, Rejection> {
    let mut joined = record(source);
    for join in object.joins() {
        let mut all: Vec<Row> = rows
            .iter()
            .filter_map(|row| object.row(join, record(row.clone())))
            .collect();
        all.sort_by_key(|row| row.order.sorting_bytes());
        let text = Object::rows_text(join, &joined);
        let found = all.into_iter().filter(|row| Some(&row.text) == text.as_ref());
        object.put_rows(join, &mut joined, found.map(|row| row.value).collect())?;
    }
    let Step::Item(item) = object.items(&Arc::new(joined)).remove(0) else {
        panic!("no item")
    };
    let nothing = Known {
        lookups: &object.lookups,
        records: &[],
    };
    match object.map(&item, &nothing) {
        Outcome::Mapped(mapped) => Ok(mapped),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_rows_that_agree_as_text_come_in_order_and_are_a_list_of_the_record() {
    let rows = [
        json!({"contact": 1, "n": "b", "at": "10/01/2020", "amount": 5}),
        json!({"contact": "1", "n": "a", "at": "2020-01-09", "amount": 1}),
        json!({"contact": 1.0, "n": "c", "amount": 2}),
        json!({"contact": 2, "n": "x"}),
        json!({"n": "nobody's"}),
        json!({"contact": 1, "n": "left out", "amount": 0}),
    ];
    let join = "{name: rows, object: event, by: contact, where: record.amount > 0, orderBy: at}";
    let object = object(&joining(
        join,
        "- {to: email, from: rows.n}\n- {to: color, cel: size(record.rows)}\n- {to: city, from: rows.0.n}",
    ));
    for (id, names, size, first) in [
        (json!(1), json!("a, b, c"), json!(3), json!("a")),
        (json!("1"), json!("a, b, c"), json!(3), json!("a")),
        (json!(2), json!(false), json!(0), json!(false)),
    ] {
        let mapped = mapped(&object, json!({"id": id, "name": "N"}), &rows).unwrap();
        assert_eq!(
            (wire(&mapped, "email"), wire(&mapped, "color"), wire(&mapped, "city")),
            (names, size, first)
        );
    }
}

#[test]
fn a_join_serves_many_to_one_and_the_rest_of_ones_own_group() {
    let form = object(&joining(
        "{name: form, object: form, by: id, equals: form_id}",
        "- {to: email, from: form.0.title}",
    ));
    let rows = [
        json!({"id": 7, "title": "Feedback"}),
        json!({"id": 8, "title": "Other"}),
    ];
    let one = mapped(&form, json!({"id": 1, "name": "N", "form_id": "7"}), &rows).unwrap();
    assert_eq!(wire(&one, "email"), json!("Feedback"));
    let siblings = object(&joining(
        "{name: siblings, object: contact, by: group, equals: group}",
        "- {to: email, from: siblings.id}",
    ));
    let rows = [
        json!({"id": 1, "group": "g"}),
        json!({"id": 2, "group": "g"}),
        json!({"id": 3, "group": "h"}),
    ];
    let one = mapped(&siblings, json!({"id": 1, "name": "N", "group": "g"}), &rows).unwrap();
    assert_eq!(wire(&one, "email"), json!("1, 2"));
}

#[test]
fn too_many_rows_or_a_failing_condition_reject_the_record() {
    let object = object(&joining(
        "{name: rows, object: event, by: contact, where: 'record.n + 1 > 0'}",
        "- {to: email, from: rows.n}",
    ));
    let rows = |count: usize| vec![json!({"contact": 1, "n": 1}); count];
    let source = json!({"id": 1, "name": "N"});
    assert!(mapped(&object, source.clone(), &rows(ROWS_MAX)).is_ok());
    let why = mapped(&object, source.clone(), &rows(ROWS_MAX + 1)).unwrap_err();
    assert_eq!((why.code.as_str(), why.field.as_str()), ("TooManyRows", "rows"));
    let why = mapped(&object, source.clone(), &[json!({"contact": 1, "n": "x"})]).unwrap_err();
    assert_eq!((why.code.as_str(), why.field.as_str()), ("Expression", "rows"));
    assert!(
        mapped(
            &object,
            json!({"id": 2, "name": "N"}),
            &[json!({"contact": 1, "n": "x"})]
        )
        .is_ok()
    );
    assert_eq!(
        object.bare_key(&record(source)),
        Some(crate::model::SourceKey("1".into()))
    );
}

#[test]
fn places_sort_as_bytes_as_they_do_as_places() {
    let number =
        |object: &Object, value: Value| object.order_of(&record(json!({"at": value})), &Path::parse("at").unwrap());
    let object = object(&joining("", ""));
    let places: Vec<Order> = [
        json!(-3),
        json!(-0.5),
        json!(0),
        json!(2),
        json!(10),
        json!("2020-01-01"),
        json!("a"),
        json!("ab"),
        json!(null),
    ]
    .into_iter()
    .map(|value| number(&object, value))
    .collect();
    let mut sorted = places.clone();
    sorted.sort_by_key(Order::sorting_bytes);
    assert_eq!(sorted, places);
}

#[test]
fn every_check_of_a_join_says_what_is_wrong() {
    let at = "objects[people].source.join[rows]";
    for (join, more, wanted) in [
        (
            "{name: rows, object: event}",
            "",
            "Error Incomplete @: the join rows needs object, whose rows, and by, what they are found by",
        ),
        ("{name: rows, object: event, by: '.'}", "", "Error BadPath @.by: "),
        (
            "{name: rows, object: event, by: contact, where: item.a}",
            "",
            "Error CelName @.where: item is only there with each",
        ),
        (
            "{name: rows, object: event, by: contact, where: '1 + 1'}",
            "",
            "Error CelType @.where: on a record without values: ",
        ),
        (
            "{name: rows, object: event, by: contact, equals: big}",
            "let: {big: '1'}\n",
            "Error BadPath @.equals: rows are joined before lets are computed, and big is a let: name a source field",
        ),
        (
            "{name: rows, object: event, by: contact}",
            "let: {rows: '1'}\n",
            "Error HiddenField @: the join rows and the let rows have one name: call one another",
        ),
    ] {
        let yaml = joining(join, "").replace(
            "  key: [id]",
            &format!("  {more}{}key: [id]", if more.is_empty() { "" } else { "  " }),
        );
        let all = said(&compiled(&yaml).findings);
        let wanted = wanted.replace('@', at);
        assert!(
            all.iter().any(|said| said.starts_with(&wanted)),
            "{yaml}\nwanted {wanted}\ngot {all:#?}"
        );
    }
    let composite = joining("{name: rows, object: event, by: contact}", "").replace("key: [id]", "key: [id, name]");
    assert!(said(&compiled(&composite).findings)[0].starts_with(
        "Error Incomplete objects[people].source.join[rows].equals: the key is not one field of the source: say equals"
    ));
}

#[test]
fn what_a_join_reads_is_held_against_the_source() {
    let yaml = joining(
        "{name: rows, object: event, by: contcat}, {name: lines, object: evnt, by: contact}",
        "- {to: email, from: rows.n}",
    );
    let sources: &[(&str, &[&str], Value)] = &[
        ("contact", &["id", "name", "none", "lines"], json!([])),
        ("event", &["contact", "n"], json!([])),
    ];
    let all = said(&compiled_with(&yaml, sources).findings);
    for wanted in [
        "Error HiddenField objects[people].source.join[lines]: the join lines hides a source field of that name: call it another",
        "Warning UnknownSource objects[people].source.join[lines].by: the source has no object evnt; did you mean event?: the join gives no rows",
        "Warning UnknownSource objects[people].source.join[rows].by: event has no field contcat; did you mean contact?",
    ] {
        assert!(all.iter().any(|said| said == wanted), "{wanted}\n{all:#?}");
    }
}
