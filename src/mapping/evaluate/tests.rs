use serde_json::json;

use crate::{
    mapping::{
        Awaited, Outcome,
        testing::{EMPTY_OWNERS, MORE_TO_COME, fields, map, mapped, object, people, rejected, wire},
    },
    model::{Content, OdooValue},
};

const NONE: &[(&str, &str, i64)] = &[];

#[test]
fn a_value_goes_through_values_default_and_reading() {
    for (line, source, wanted) in [
        ("{to: email, from: a | b}", json!({"b": "x"}), json!("x")),
        ("{to: email, from: a}", json!({"a": " "}), json!(false)),
        ("{to: email, from: a}", json!({"a": [1, 2]}), json!("1, 2")),
        ("{to: email, constant: \"12\"}", json!({}), json!("12")),
        ("{to: email}", json!({}), json!(false)),
        ("{to: color, constant: \"12\"}", json!({}), json!(12)),
        ("{to: active, from: a}", json!({"a": "sim"}), json!(true)),
        ("{to: active, from: a}", json!({}), json!(false)),
        ("{to: birth, from: a}", json!({"a": "31/01/2020"}), json!("2020-01-31")),
        (
            "{to: email, from: a, values: {x: w, \"*\": z}}",
            json!({"a": "x"}),
            json!("w"),
        ),
        (
            "{to: email, from: a, values: {x: w, \"*\": z}}",
            json!({"a": "q"}),
            json!("z"),
        ),
        (
            "{to: email, from: a, values: {x: w, \"*\": z}}",
            json!({}),
            json!(false),
        ),
        (
            "{to: email, from: a, values: {x: \"\"}, default: d}",
            json!({"a": "x"}),
            json!("d"),
        ),
        (
            "{to: email, from: a, values: {\"1\": one}}",
            json!({"a": 1.0}),
            json!("one"),
        ),
        (
            "{to: email, from: a, values: {x: w}, default: d}",
            json!({}),
            json!("d"),
        ),
        (
            "{to: email, from: a, values: {x: w}, onMissing: Keep}",
            json!({"a": "q"}),
            json!("q"),
        ),
        (
            "{to: email, from: a, values: {x: X, w: \"\", z: Z}}",
            json!({"a": ["x", "w", "z"]}),
            json!("X, Z"),
        ),
        ("{to: email, cel: 'record.a + \"!\"'}", json!({"a": "x"}), json!("x!")),
        ("{to: email, cel: record.a}", json!({}), json!(false)),
        ("{to: email, from: a, onEmpty: Skip}", json!({}), json!(null)),
        ("{to: email, from: a, onEmpty: Skip}", json!({"a": "x"}), json!("x")),
        ("{to: state, from: a, onEmpty: Skip}", json!({}), json!(null)),
    ] {
        let mut source = source;
        source["id"] = json!(1);
        source["name"] = json!("N");
        let object = object(&fields(
            &[line, "{to: state, from: none, onEmpty: Skip}"][..if line.contains("to: state") { 1 } else { 2 }],
        ));
        let mapped = mapped(&object, source.clone(), NONE);
        let field = line.trim_start_matches("{to: ").split([',', '}']).next().unwrap();
        assert_eq!(wire(&mapped, field), wanted, "{line} on {source}");
        assert!(mapped.notes.is_empty(), "{line}: {:?}", mapped.notes);
    }
}

#[test]
fn a_value_without_counterpart_does_what_on_missing_says_and_names_the_place() {
    let known = [
        ("people", "a_40x", 7),
        ("res.country", "BR", 1),
        ("res.country", "two", 2),
        ("res.country", "two", 3),
    ];
    for (line, source, code, message) in [
        (
            "{to: email, from: a, values: {x: w}",
            json!({"a": "q"}),
            "NotInMap",
            "people.email: \"q\" is not in values",
        ),
        (
            "{to: color, from: a",
            json!({"a": "q"}),
            "Unreadable",
            "people.color: \"q\" is not a number",
        ),
        (
            "{to: type, from: a",
            json!({"a": "othr"}),
            "NotAnOption",
            "people.type: \"othr\" is not an option; the nearest is other",
        ),
        (
            "{to: code, from: a",
            json!({"a": "longer"}),
            "TooLong",
            "people.code: \"longer\" has more than 5 characters",
        ),
        (
            "{to: parent_id, part: p, from: a, lookup: {object: people}",
            json!({"a": "q"}),
            "NotFound",
            "people.parent_id/p: \"q\" is not in people",
        ),
        (
            "{to: country_id, from: a, lookup: {model: res.country, by: code}",
            json!({"a": "XX"}),
            "NotFound",
            "people.country_id: \"XX\" is not in res.country by code",
        ),
        (
            "{to: country_id, from: a, lookup: {model: res.country}",
            json!({"a": "two"}),
            "Ambiguous",
            "people.country_id: \"two\" is there several times in res.country by name",
        ),
        (
            "{to: country_id, from: a, values: {x: BR}, lookup: {model: res.country}",
            json!({"a": "q"}),
            "NotFound",
            "people.country_id: \"q\" is not in res.country by name",
        ),
    ] {
        let mut source = source;
        source["id"] = json!(1);
        source["name"] = json!("N");
        let of = |ending: &str| object(&fields(&[&format!("{line}{ending}"), "{to: state, onEmpty: Skip}"]));
        let rejection = rejected(&of("}"), source.clone(), &known);
        assert_eq!(
            (rejection.code.as_str(), rejection.message.as_str()),
            (code, message),
            "{line}"
        );
        let emptied = mapped(&of(", onMissing: Empty}"), source.clone(), &known);
        let field = line.trim_start_matches("{to: ").split(',').next().unwrap();
        assert_eq!(wire(&emptied, field), json!(false), "{line}");
        assert_eq!(
            emptied
                .notes
                .iter()
                .map(|note| note.message.as_str())
                .collect::<Vec<_>>(),
            [message]
        );
        let refused = rejected(&of(", onMissing: Empty, onEmpty: Reject}"), source, &known);
        assert_eq!(refused.code, "Empty", "{line}");
    }
}

#[test]
fn what_odoo_requires_is_rejected_when_it_is_empty() {
    let plain = object(&fields(&["{to: state, from: state}"]));
    assert_eq!(
        rejected(&plain, json!({"id": 1, "state": "other"}), NONE).message,
        "people.name: there is no value"
    );
    let refused = rejected(&plain, json!({"id": 1, "name": "N"}), NONE);
    assert_eq!((refused.code.as_str(), refused.field.as_str()), ("Empty", "state"));
    let skipping = object(&fields(&["{to: state, from: state, onEmpty: Skip}"]));
    assert_eq!(
        wire(&mapped(&skipping, json!({"id": 1, "name": "N"}), NONE), "state"),
        json!(null)
    );
}

#[test]
fn the_first_part_with_a_value_counts_and_what_was_not_found_before_it_stays_noted() {
    let object = object(&fields(&[
        "{to: state, onEmpty: Skip}",
        "{to: parent_id, from: a, lookup: {object: people}, onMissing: Empty}",
        "{to: parent_id, part: b, from: b, lookup: {object: people}, onMissing: Empty}",
        "{to: parent_id, part: c, cel: 'int(record.c)', lookup: {object: people}, onEmpty: Skip}",
    ]));
    let known = [("people", "one", 1), ("people", "two", 2)];
    for (source, wanted, notes) in [
        (json!({"a": "one", "b": "two", "c": "broken"}), json!(1), 0),
        (json!({"a": "gone", "b": "two"}), json!(2), 1),
        (json!({"a": "gone", "b": "gone"}), json!(null), 2),
        (json!({}), json!(null), 0),
    ] {
        let mut source = source;
        source["id"] = json!(9);
        source["name"] = json!("N");
        let mapped = mapped(&object, source.clone(), &known);
        assert_eq!(
            (wire(&mapped, "parent_id"), mapped.notes.len()),
            (wanted, notes),
            "{source}"
        );
    }
    let failing = rejected(&object, json!({"id": 9, "name": "N", "c": "broken"}), &known);
    assert_eq!(
        (failing.code.as_str(), failing.field.as_str()),
        ("Expression", "parent_id/c")
    );
    assert!(!failing.message.contains("broken"), "{}", failing.message);
}

#[test]
fn a_many2many_unites_its_parts_and_splits_text() {
    let object = object(&fields(&[
        "{to: state, onEmpty: Skip}",
        "{to: category_id, from: tags, values: {old: new, none: \"\"}, lookup: {model: res.partner.category}, onMissing: Empty}",
        "{to: category_id, part: kind, from: kind, default: plain, lookup: {model: res.partner.category}, onMissing: Empty}",
    ]));
    let known = [
        ("res.partner.category", "a", 3),
        ("res.partner.category", "new", 1),
        ("res.partner.category", "plain", 2),
    ];
    for (source, wanted, notes) in [
        (json!({"tags": "a; old;none;a"}), json!([1, 2, 3]), 0),
        (json!({"tags": ["a", "gone"], "kind": "a"}), json!([3]), 1),
        (json!({"kind": "gone"}), json!([]), 1),
    ] {
        let mut source = source;
        source["id"] = json!(9);
        source["name"] = json!("N");
        let mapped = mapped(&object, source.clone(), &known);
        assert_eq!(
            (wire(&mapped, "category_id"), mapped.notes.len()),
            (wanted, notes),
            "{source}"
        );
    }
}

#[test]
fn a_value_that_may_still_come_is_left_open_and_one_that_does_not_is_emptied_and_noted() {
    let object = object(&fields(&[
        "{to: state, onEmpty: Skip}",
        "{to: parent_id, from: a, lookup: {object: people}, onMissing: Defer}",
        "{to: parent_id, part: b, from: b, lookup: {object: people}, onMissing: Empty}",
        "{to: category_id, from: tags, lookup: {model: res.partner.category}, onMissing: Defer}",
    ]));
    assert!(object.defers());
    let source = json!({"id": 9, "name": "N", "a": "gone", "b": "two", "tags": "x; gone"});
    let there = [("people", "two", 2), ("res.partner.category", "x", 7)];
    let end = mapped(&object, source.clone(), &there);
    assert_eq!(
        (wire(&end, "parent_id"), wire(&end, "category_id")),
        (json!(2), json!([7]))
    );
    assert_eq!((end.notes.len(), end.deferred.len()), (2, 0));
    let now = mapped(&object, source, &[there[0], there[1], MORE_TO_COME]);
    assert_eq!(
        wire(&now, "parent_id"),
        json!(null),
        "a later part does not have its say before"
    );
    assert_eq!(wire(&now, "category_id"), json!([7]));
    assert_eq!(now.deferred, ["parent_id", "category_id"]);
    assert!(now.notes.is_empty());
}

#[test]
fn a_record_waits_for_what_is_not_in_odoo_where_the_mapping_or_the_migration_says_so() {
    let owners = "- name: owners\n  source: {object: user}\n  key: [id]\n  match: [name]\n  onNew: Hold\n  \
                  destination: {model: res.partner}\n  fields: [{to: name, from: name}, {to: state, onEmpty: Skip}]";
    // an owner is: not found, or found to be held; what is said of it, and what the Migration says
    for (said, value, migration, wanted) in [
        ("", "gone", "Hold", "held owners -"),
        ("", "held", "Hold", "held owners held"),
        ("", "gone", "Empty", "emptied owners -"),
        ("", "held", "Empty", "emptied owners held"),
        (", onMissing: Hold", "gone", "Empty", "held owners -"),
        (", onMissing: Empty", "held", "Hold", "emptied owners held"),
        (", onMissing: Reject", "held", "Hold", "rejected Held"),
        (", onMissing: Reject", "gone", "Empty", "rejected NotFound"),
    ] {
        let text = people(&format!(
            "source: {{object: contact}}\nkey: [id]\nafter: [owners]\ndestination: {{model: res.partner}}\nfields:\n\
             - {{to: name, from: name}}\n- {{to: state, onEmpty: Skip}}\n\
             - {{to: parent_id, from: a, lookup: {{object: owners}}{said}}}\n\
             - {{to: parent_id, part: later, from: b, lookup: {{object: owners}}, onMissing: Empty}}"
        ));
        let object = object(&format!("{text}\n{owners}"));
        let records: &[_] = if migration == "Empty" {
            &[EMPTY_OWNERS, ("owners", "two", 2)]
        } else {
            &[("owners", "two", 2)]
        };
        let source = json!({"id": 9, "name": "N", "a": value, "b": "two"});
        let told = |awaits: &[Awaited]| {
            let awaited = &awaits[0];
            assert_eq!(awaits.len(), 1);
            format!("{} {}", awaited.object, awaited.key.as_ref().map_or("-", |key| &key.0))
        };
        let got = match map(&object, source, records) {
            Outcome::Held(awaits) => format!("held {}", told(&awaits)),
            Outcome::Mapped(mapped) => {
                assert_eq!(
                    (wire(&mapped, "parent_id"), mapped.notes.len()),
                    (json!(2), 1),
                    "a later part has its say"
                );
                format!("emptied {}", told(&mapped.awaits))
            }
            Outcome::Rejected(why) => format!("rejected {}", why.code),
            Outcome::Later => "later".into(),
        };
        assert_eq!(got, wanted, "{said} {value} {migration}");
    }
}

#[test]
fn a_record_that_waits_for_a_held_one_is_held_too_and_one_that_is_not_there_at_all_rejects_it() {
    let object = object(&fields(&[
        "{to: state, onEmpty: Skip}",
        "{to: parent_id, from: a, lookup: {object: people}}",
    ]));
    let of = |value: &str| map(&object, json!({"id": 9, "name": "N", "a": value}), NONE);
    assert!(matches!(of("held"), Outcome::Held(awaits) if awaits[0].key.is_some()));
    assert!(matches!(of("gone"), Outcome::Rejected(why) if why.code == "NotFound"));
}

#[test]
fn lookups_get_keys_escaped_narrowers_and_may_find_a_later_record() {
    let object = object(&people(
        "source: {object: contact}\nlet: {pair: 'key([record.a, record.b])'}\nkey: [pair]\ndestination: {model: res.partner}\nfields:\n\
         - {to: name, from: name}\n- {to: state, onEmpty: Skip}\n- {to: parent_id, from: a, lookup: {object: people}, onMissing: Empty}\n\
         - {to: parent_id, part: pair, from: pair, lookup: {object: people}, onMissing: Empty}\n\
         - {to: country_id, from: c, lookup: {model: res.country, by: code, within: {name: d}}, onMissing: Empty}",
    ));
    let known = [
        ("people", "x_20y__z", 1),
        ("people", "only_20a", 2),
        ("res.country", "BR/Brasil", 3),
    ];
    let mapped = mapped(
        &object,
        json!({"name": "N", "a": "x y", "b": "z", "c": "BR", "d": "Brasil"}),
        &known,
    );
    assert_eq!(
        (wire(&mapped, "parent_id"), wire(&mapped, "country_id")),
        (json!(1), json!(3))
    );
    let other = crate::mapping::testing::mapped(&object, json!({"name": "N", "a": "only a", "b": "z"}), &known);
    assert_eq!(wire(&other, "parent_id"), json!(2));
    assert!(matches!(
        map(&object, json!({"name": "N", "a": "later", "b": "z"}), &known),
        Outcome::Later
    ));
}

/// Two objects with kinds, and history that refers to either.
fn history(model: &str, fields: &str) -> crate::mapping::Object {
    object(&format!(
        "{}- name: users\n  source: {{object: user}}\n  key: [id]\n  kinds: [User, Agent]\n  destination: {{model: res.users}}\n  \
         fields:\n  - {{to: login, from: email}}\n\
         - name: companies\n  source: {{object: company}}\n  key: [id]\n  kinds: [Company]\n  after: [users]\n  \
         destination: {{model: res.partner}}\n  fields:\n  - {{to: name, from: name}}\n  - {{to: state, constant: other}}\n",
        people(&format!(
            "source: {{object: event, orderBy: at}}\nkey: [id]\ndestination: {{model: {model}}}\nfields:\n{fields}"
        ))
    ))
}

#[test]
fn a_reference_of_a_kind_finds_the_record_in_the_object_of_that_kind_and_names_its_model() {
    let known = [
        ("users", "7", 70),
        ("companies", "7", 700),
        ("ir.model", "res.users", 9),
        ("ir.model", "res.partner", 8),
    ];
    let line = "- {to: res_id, from: ref, lookup: {kind: type}, onMissing: Empty}";
    for (model, source, id, companion, note) in [
        (
            "mail.message",
            json!({"id": 1, "ref": 7, "type": "Agent"}),
            json!(70),
            json!("res.users"),
            None,
        ),
        (
            "mail.message",
            json!({"id": 1, "ref": 7, "type": "Company"}),
            json!(700),
            json!("res.partner"),
            None,
        ),
        (
            "mail.message",
            json!({"id": 1, "ref": 7, "type": "Deal"}),
            json!(false),
            json!(false),
            Some("NotFound"),
        ),
        (
            "mail.message",
            json!({"id": 1, "ref": 8, "type": "User"}),
            json!(false),
            json!(false),
            Some("NotFound"),
        ),
        (
            "mail.message",
            json!({"id": 1, "type": "User"}),
            json!(false),
            json!(false),
            None,
        ),
        (
            "mail.activity",
            json!({"id": 1, "ref": 7, "type": "Company"}),
            json!(700),
            json!(8),
            None,
        ),
        (
            "mail.activity",
            json!({"id": 1, "ref": 7, "type": "User"}),
            json!(70),
            json!(9),
            None,
        ),
    ] {
        let object = history(model, line);
        let mapped = mapped(&object, source.clone(), &known);
        let beside = if model == "mail.message" {
            "model"
        } else {
            "res_model_id"
        };
        assert_eq!(
            (wire(&mapped, "res_id"), wire(&mapped, beside)),
            (id, companion),
            "{model} {source}"
        );
        assert_eq!(
            mapped.notes.first().map(|note| note.code.as_str()),
            note,
            "{model} {source}"
        );
    }
}

#[test]
fn take_goes_on_from_the_record_found() {
    let yaml = format!(
        "{}- name: users\n  source: {{object: user}}\n  key: [id]\n  destination: {{model: res.users}}\n  \
         fields:\n  - {{to: login, from: email}}\n",
        fields(&[
            "{to: parent_id, from: owner, lookup: {object: users, take: partner_id}, onMissing: Empty}",
            "{to: state, from: none, onEmpty: Skip}",
        ])
    );
    let known = [("users", "7", 70), ("users with partner_id", "7", 71)];
    let mapped = mapped(&object(&yaml), json!({"id": 1, "name": "N", "owner": 7}), &known);
    assert_eq!(wire(&mapped, "parent_id"), json!(71));
}

#[test]
fn text_is_content_as_it_is_and_base64_says_so() {
    let object = object(&fields(&[
        "{to: x_file, from: file, create: {type: Binary}, onMissing: Empty}",
        "{to: state, from: none, onEmpty: Skip}",
    ]));
    for (file, wanted, note) in [
        (json!("hi"), json!("aGk="), None),
        (json!("aGk="), json!("YUdrPQ=="), None),
        (json!({"a": [1, null]}), json!("eyJhIjpbMSxudWxsXX0="), None),
        (json!("data:;base64,aGk="), json!("aGk="), None),
        (json!("data:image/png;base64,aG\nk=\n"), json!("aGk="), None),
        (json!("data: aGk="), json!("ZGF0YTogYUdrPQ=="), None),
        (json!("data:;base64,aGk"), json!(false), Some("Unreadable")),
        (json!("data:;base64,a%k="), json!(false), Some("Unreadable")),
        (json!("data:;base64,a==="), json!(false), Some("Unreadable")),
    ] {
        let mapped = mapped(&object, json!({"id": 1, "name": "N", "file": file}), NONE);
        assert_eq!(wire(&mapped, "x_file"), wanted, "{file}");
        assert_eq!(mapped.notes.first().map(|note| note.code.as_str()), note, "{file}");
    }
}

#[test]
fn fetched_content_is_the_value_and_what_cannot_be_had_is_without_counterpart() {
    let with = |on_missing: &str| {
        object(&fields(&[
            &format!("{{to: x_photo, fetch: photo | file, create: {{type: Binary}}, onMissing: {on_missing}}}"),
            "{to: state, from: none, onEmpty: Skip}",
        ]))
    };
    let record = |file: serde_json::Value| json!({"id": 1, "name": "N", "file": file});
    let object = with("Empty");
    for (file, wanted, note) in [
        (json!("a.png"), OdooValue::Content(Content::of(b"a.png")), None),
        (json!(42), OdooValue::Content(Content::of(b"42")), None),
        (json!(["a.png"]), OdooValue::Content(Content::of(b"a.png")), None),
        (json!(["a.png", "b.png"]), OdooValue::Empty, Some("Unreadable")),
        (json!({"url": "a.png"}), OdooValue::Empty, Some("Unreadable")),
        (json!("gone"), OdooValue::Empty, Some("NotThere")),
        (json!("unknown"), OdooValue::Empty, Some("NotFetched")),
        (json!(" "), OdooValue::Empty, None),
    ] {
        let mapped = mapped(&object, record(file.clone()), NONE);
        let found = mapped.values.iter().find(|(name, _)| name == "x_photo");
        assert_eq!(found.map(|(_, value)| value), Some(&wanted), "{file}");
        assert_eq!(mapped.notes.first().map(|note| note.code.as_str()), note, "{file}");
    }
    let rejection = rejected(&with("Reject"), record(json!("gone")), NONE);
    assert_eq!(
        (rejection.code.as_str(), rejection.field.as_str()),
        ("NotThere", "x_photo")
    );
}

/// An order with its lines.
fn order(lines: &str) -> crate::mapping::Object {
    object(&people(&format!(
        "source: {{object: deal}}\nkey: [id]\ndestination: {{model: sale.order}}\nfields:\n\
         - {{to: partner_id, from: who, lookup: {{model: res.partner}}}}\n- {{to: validity_date}}\n{lines}"
    )))
}

const LINES: &str = "- to: order_line
  each: items
  key: [line.sku]
  fields:
  - {to: name, from: line.label, onEmpty: Reject}
  - {to: price_unit, cel: number(line.price) * 2.0}
  - {to: product_id, from: line.sku, lookup: {model: res.country, by: code}, onMissing: Empty}
- to: order_line
  part: delivery
  each: delivery
  fields: [{to: name, cel: 'line.by + \" \" + string(index)'}]
";

#[test]
fn lines_are_made_of_the_elements_of_each_part_with_names_of_their_own() {
    let source = json!({"id": 1, "who": "A", "items": [{"sku": "s 1", "label": "One", "price": "2"}, {"sku": "s2", "label": "Two"}],
                        "delivery": [{"by": "post"}]});
    let known = [("res.partner", "A", 5), ("res.country", "s2", 9)];
    let mapped = mapped(&order(LINES), source, &known);
    assert_eq!(
        wire(&mapped, "order_line"),
        json!([
            [0, 0, {"id": "people_1_order_line__s_201", "name": "One", "price_unit": 4.0, "product_id": false}],
            [0, 0, {"id": "people_1_order_line__s2", "name": "Two", "price_unit": false, "product_id": 9}],
            [0, 0, {"id": "people_1_order_line_delivery_0", "name": "post 0"}],
        ])
    );
    assert_eq!(mapped.notes.len(), 1);
}

#[test]
fn what_rejects_a_line_rejects_its_record() {
    let known = [("res.partner", "A", 5)];
    for (items, code, field) in [
        (
            json!([{"sku": "a", "label": "A"}, {"sku": "b"}]),
            "Empty",
            "order_line.name",
        ),
        (json!([{"label": "A"}]), "NoKey", "order_line"),
        (
            json!([{"sku": "a", "label": "A"}, {"sku": "a", "label": "B"}]),
            "DuplicateLine",
            "order_line",
        ),
        (
            json!([{"sku": "a", "label": "A", "price": "x"}]),
            "Expression",
            "order_line.price_unit",
        ),
    ] {
        let why = rejected(&order(LINES), json!({"id": 1, "who": "A", "items": items}), &known);
        assert_eq!((why.code.as_str(), why.field.as_str()), (code, field), "{items}");
    }
}

#[test]
fn no_lines_take_them_away_or_leave_them() {
    let known = [("res.partner", "A", 5)];
    let lines = |on_empty: &str| {
        LINES
            .split("- to: order_line\n  part")
            .next()
            .unwrap()
            .replace("  each", &format!("  {on_empty}\n  each"))
    };
    for (on_empty, wanted) in [("onEmpty: Clear", json!([])), ("onEmpty: Skip", json!(null))] {
        let mapped = mapped(&order(&lines(on_empty)), json!({"id": 1, "who": "A"}), &known);
        assert_eq!(wire(&mapped, "order_line"), wanted);
    }
}

#[test]
fn a_check_is_not_written_and_may_be_what_odoo_computes() {
    let object = order("- {to: amount_total, check: true, cel: number(record.total)}\n");
    let mapped = mapped(
        &object,
        json!({"id": 1, "who": "A", "total": "12.5"}),
        &[("res.partner", "A", 5)],
    );
    assert_eq!(wire(&mapped, "amount_total"), json!(null));
    assert_eq!(
        mapped.checks,
        [("amount_total".to_owned(), crate::model::OdooValue::Float(12.5))]
    );
    assert!(object.targets.iter().all(|target| target.name != "amount_total"));
    assert_eq!(object.checks[0].ttype, "monetary");
}
