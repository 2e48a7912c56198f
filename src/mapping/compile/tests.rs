use serde_json::json;

use super::*;
use crate::mapping::testing::{compiled, compiled_with, fields, object, odoo, people, said};

#[test]
fn a_good_spec_has_nothing_said_about_it() {
    let compiled = compiled(&fields(&[]));
    assert_eq!(said(&compiled.findings), Vec::<String>::new());
    assert!(compiled.mapping.is_some());
}

/// Each check with the whole sentence it says, on a spec that has only this wrong.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_check_of_a_field_says_what_is_wrong_and_what_would_be_right() {
    let at = "objects[people].fields";
    for (line, wanted) in [
        (
            "{to: emial, from: a}",
            "Error UnknownField @[emial]: res.partner has no field emial; did you mean email?",
        ),
        (
            "{to: x_shoe_size, from: a}",
            "Error UnknownField @[x_shoe_size]: res.partner has no field x_shoe_size; create: {type: …} makes it",
        ),
        (
            "{to: create_date, from: a}",
            "Error NotWritable @[create_date]: create_date is kept by Odoo itself: create a field x_… for the value of the source",
        ),
        (
            "{to: contact_address, from: a}",
            "Error NotWritable @[contact_address]: contact_address is computed by Odoo and cannot be written",
        ),
        (
            "{to: child_ids, from: a}",
            "Error TypeMismatch @[child_ids]: child_ids is a one2many field: say each and fields, the lines it takes",
        ),
        (
            "{to: child_ids, each: a, fields: [{to: name, from: line.a}]}",
            "Error TypeMismatch @[child_ids]: the lines of child_ids are records of res.partner too: make them by an object of their own",
        ),
        (
            "{to: email, each: a, fields: [{to: name, from: line.a}]}",
            "Error TypeMismatch @[email]: email is a char field: lines go into a one2many",
        ),
        (
            "{to: email, cel: line.a}",
            "Error CelName @[email].cel: line is only there in lines of a one2many",
        ),
        (
            "{to: x_a, from: a, check: true, create: {type: Char}}",
            "Error Incomplete @[x_a].check: x_a is only compared: a field that is made must be written",
        ),
        (
            "{to: parent_id, from: a}",
            "Error TypeMismatch @[parent_id]: parent_id refers to res.partner: say lookup, how the record is found",
        ),
        (
            "{to: email, from: a, lookup: {object: people}}",
            "Error TypeMismatch @[email].lookup: email is a char field: a lookup gives a record",
        ),
        (
            "{to: email, fetch: a}",
            "Error TypeMismatch @[email].fetch: email is a char field: content goes into a binary field",
        ),
        (
            "{to: x_photo, fetch: a, default: b.png, create: {type: Binary}}",
            "Error Incomplete @[x_photo].fetch: x_photo takes content as it is: values and default have no meaning here",
        ),
        (
            "{to: country_id, from: a, lookup: {object: people}}",
            "Error TypeMismatch @[country_id].lookup: the field refers to res.country, and people makes records of res.partner",
        ),
        (
            "{to: country_id, from: a, lookup: {object: poeple}}",
            "Error UnknownObject @[country_id].lookup: there is no object poeple; did you mean people?",
        ),
        (
            "{to: country_id, from: a, lookup: {model: res.partner.category}}",
            "Error TypeMismatch @[country_id].lookup: the field refers to res.country, and the lookup to res.partner.category",
        ),
        (
            "{to: category_id, from: a, lookup: {model: res.users, by: login, take: partner_id}}",
            "Error TypeMismatch @[category_id].lookup: the field refers to res.partner.category, and partner_id of it leads to res.partner",
        ),
        (
            "{to: parent_id, from: a, lookup: {model: res.users, by: login, take: partner}}",
            "Error UnknownField @[parent_id].lookup.take: res.users has no field partner; did you mean partner_id?",
        ),
        (
            "{to: parent_id, from: a, lookup: {model: res.users, by: login, take: login}}",
            "Error TypeMismatch @[parent_id].lookup.take: login of res.users is a char: take goes on through a many2one",
        ),
        (
            "{to: parent_id, from: a, lookup: {object: people, take: parent_id}}",
            "Error TypeMismatch @[parent_id].lookup.take: take goes on from records that are in Odoo before the object is loaded, and its own are not",
        ),
        (
            "{to: parent_id, from: a, lookup: {kind: b}}",
            "Error UnknownObject @[parent_id].lookup: no object that the field can refer to has kinds: say kinds on those whose records are meant",
        ),
        (
            "{to: x_a, from: a, create: {type: Many2many, relation: res.country}}",
            "Error TypeMismatch @[x_a]: x_a refers to res.country: say lookup, how the record is found",
        ),
        (
            "{to: country_id, from: a, lookup: {model: res.contry}}",
            "Error UnknownModel @[country_id].lookup: Odoo has no model res.contry; did you mean res.country?",
        ),
        (
            "{to: country_id, from: a, lookup: {model: res.country, by: cod}}",
            "Error UnknownField @[country_id].lookup: res.country has no field cod; did you mean code?",
        ),
        (
            "{to: country_id, from: a, lookup: {model: res.country, within: {code.name: b}}}",
            "Error UnknownField @[country_id].lookup: code of res.country leads to no other model",
        ),
        (
            "{to: email, from: a, onMissing: Keep}",
            "Error Incomplete @[email].onMissing: onMissing: Keep keeps the text that values does not know: it needs values, and no lookup",
        ),
        (
            "{to: color, constant: red}",
            "Error TypeMismatch @[color].constant: color cannot take \"red\": \"red\" is not a number",
        ),
        (
            "{to: color, from: a, default: red}",
            "Error TypeMismatch @[color].default: color cannot take \"red\": \"red\" is not a number",
        ),
        (
            "{to: color, from: a, values: {b: red}}",
            "Error TypeMismatch @[color].values: color cannot take \"red\": \"red\" is not a number",
        ),
        (
            "{to: type, constant: othr}",
            "Error TypeMismatch @[type].constant: type cannot take \"othr\": \"othr\" is not an option; the nearest is other",
        ),
        (
            "{to: type, from: a, values: {b: othr}}",
            "Warning OptionUnavailable @[type].values: type cannot take \"othr\": \"othr\" is not an option; the nearest is other (in a fresh Odoo: discovery asks yours)",
        ),
        (
            "{to: email, from: a, onMissing: Defer}",
            "Error Incomplete @[email].onMissing: onMissing: Defer leaves a reference for a second pass: it needs a lookup",
        ),
        (
            "{to: parent_id, from: a, lookup: {object: peple}, onMissing: Defer}",
            "Error UnknownObject @[parent_id].lookup: there is no object peple; did you mean people?",
        ),
        ("{to: email, from: a..b}", "Error BadPath @[email].from: "),
        (
            "{to: email, from: item}",
            "Error BadPath @[email].from: item is only there with each; a field of that name is record.item",
        ),
        (
            "{to: email, from: line.a}",
            "Error BadPath @[email].from: line is only there in lines of a one2many; a field of that name is record.line",
        ),
        ("{to: email, cel: 'record.a +'}", "Error CelSyntax @[email].cel: "),
        (
            "{to: email, cel: item}",
            "Error CelName @[email].cel: item is only there with each",
        ),
        (
            "{to: email, cel: 'installed(\"crm\") ? \"a\" : \"b\"'}",
            "Error CelName @[email].cel: installed is only there in when",
        ),
        (
            "{to: email, cel: params.a}",
            "Error UnknownParameter @[email].cel: there is no parameter a",
        ),
        (
            "{to: color, cel: '\"red\"'}",
            "Error CelType @[color].cel: on a record without values: color cannot take \"red\": \"red\" is not a number",
        ),
        (
            "{to: X_new, from: a, create: {type: Char}}",
            "Error FieldClash @[X_new].create: X_new is no name for a custom field: x_, then a to z, 0 to 9 and _, 63 characters at most",
        ),
        (
            "{to: x_old, from: a, create: {type: Integer}}",
            "Error FieldClash @[x_old].create: res.partner has a field x_old already, of type char and not integer: take another name",
        ),
        (
            "{to: x_a, from: a, create: {type: Char, options: {b: B}}}",
            "Error TypeMismatch @[x_a].create: options are those of a Selection, and x_a is a Char",
        ),
        (
            "{to: x_a, from: a, create: {type: Monetary}}",
            "Error TypeMismatch @[x_a].create: res.partner has no currency, which a Monetary field needs: create a Float",
        ),
    ] {
        let wanted = wanted.replace('@', at);
        let all = said(&compiled(&fields(&[line])).findings);
        assert!(
            all.iter().any(|said| if wanted.ends_with(": ") {
                said.starts_with(&wanted) && said.len() > wanted.len()
            } else {
                *said == wanted
            }),
            "{line}\nwanted {wanted}\ngot {all:#?}"
        );
    }
}

#[test]
fn every_check_of_an_object_says_what_is_wrong_and_what_would_be_right() {
    let good = "destination: {model: res.partner}\nfields: [{to: name, from: name}]";
    let all_there = format!("source: {{object: contact}}\nkey: [id]\n{good}");
    for (lines, wanted) in [
        (format!("key: [id]\n{good}"), "Error Incomplete objects[people].source.object: people has no source: say source.object, the source object it reads"),
        (format!("source: {{object: contact}}\n{good}"), "Error Incomplete objects[people].key: people has no key: say key, the paths that identify a record"),
        ("source: {object: contact}\nkey: [id]\nfields: [{to: name, from: name}]".into(), "Error Incomplete objects[people].destination.model: people has no destination: say destination.model, the Odoo model its records become, or destination.document"),
        ("source: {object: contact}\nkey: [id]\ndestination: {model: res.partner}".into(), "Error Incomplete objects[people].fields: people has no fields: say what is written"),
        ("source: {object: contact}\nkey: [id]\ndestination: {model: res.parner}\nfields: [{to: name, from: name}]".into(), "Error UnknownModel objects[people].destination.model: Odoo has no model res.parner; did you mean res.partner?"),
        ("source: {object: contact}\nkey: [id]\ndestination: {model: res.partner}\nfields: [{to: email, from: email}]".into(), "Error RequiredMissing objects[people].fields: Odoo requires name of res.partner and gives no default: map it"),
        (format!("onNew: Reject\n{all_there}"), "Error Incomplete objects[people].match: people has no match: with onNew: Reject only records that match are taken"),
        (format!("match: [name+emial]\n{all_there}"), "Error MatchUnmapped objects[people].match: match names emial, which is not mapped"),
        (format!("after: [peple]\n{all_there}"), "Error UnknownObject objects[people].after: there is no object peple; did you mean people?"),
        (format!("when: record.a\n{all_there}"), "Error CelName objects[people].when: when sees params and installed(module), and record is of a record"),
        (format!("let: {{a: record.b, b: record.a}}\n{all_there}"), "Error Cycle objects[people].let: these lets need each other: a, b"),
        (format!("let: {{a-b: '1'}}\n{all_there}"), "Error CelName objects[people].let.a-b: a-b is no name that CEL can say"),
        (format!("let: {{a: '\"b\".c()'}}\n{all_there}"), "Error CelName objects[people].let.a: "),
        (format!("let: {{a: '1'}}\n{all_there}"), "Info Unused objects[people].let.a: nothing uses the let a"),
        (format!("source: {{object: contct}}\nkey: [id]\n{good}"), "Warning UnknownSource objects[people].source.object: Pipz has no source object contct by its documents; did you mean contact?"),
        (format!("source: {{object: contact, where: '1 + 1'}}\nkey: [id]\n{good}"), "Error CelType objects[people].source.where: on a record without values: "),
        (format!("source: {{object: contact, each: '.'}}\nkey: [id]\n{good}"), "Error BadPath objects[people].source.each: "),
        ("onSourceDelete: Archive\nsource: {object: contact}\nkey: [id]\ndestination: {model: mail.message}\nfields: [{to: body, from: a}]".into(), "Error UnknownField objects[people].onSourceDelete: mail.message has no field active: its records can be kept or unlinked, not archived"),
        ("source: {object: contact}\nkey: [id]\ndestination: {model: mail.message}\nfields: [{to: body, from: a}]".into(), "Error HistoryUnordered objects[people].source.orderBy: Odoo shows messages in the order they are made: say source.orderBy"),
        ("source: {object: contact}\nkey: [id]\ndestination: {model: res.partner}\nfields: [{to: name, from: name}, {to: city, from: city}, {to: parent_id, from: p, lookup: {object: people}}]".into(), "Warning Trap objects[people].fields[city]: below a company Odoo keeps one address for both: map type to other where the contact has its own"),
    ] {
        let all = said(&compiled(&people(&lines)).findings);
        assert!(all.iter().any(|said| if wanted.ends_with(": ") { said.starts_with(wanted) && said.len() > wanted.len() } else { said == wanted }), "{lines}\nwanted {wanted}\ngot {all:#?}");
    }
}

const PAIR: &str = "source: {platform: Pipz}
objects:
- name: one
  source: {object: contact}
  key: [id]
  destination: {model: res.partner}
  fields: [{to: name, from: name}ONE]
- name: two
  source: {object: company}
  key: [id]
  destination: {model: res.partner}
  TWO
";

fn pair(one: &str, two: &str) -> String {
    PAIR.replace("ONE", one).replace("TWO", two)
}

#[test]
fn checks_between_objects_name_both() {
    let to = |object: &str| format!(", {{to: parent_id, from: p, lookup: {{object: {object}}}}}");
    for (spec, wanted) in [
        (
            pair(
                &to("two"),
                "fields: [{to: name, from: name}, {to: parent_id, from: p, lookup: {object: one}}]",
            ),
            "Error Cycle objects[one]: these objects need each other: one needs two (objects[one].fields[parent_id].lookup), two needs one (objects[two].fields[parent_id].lookup); onMissing: Defer on one of the lookups leaves its value for a second pass",
        ),
        (
            pair("", "match: [name]\n  fields: [{to: name, from: name}]"),
            "Error OrderMissing objects[two].after: one and two both write res.partner, and two matches what is there: say which comes first, such as after: [one]",
        ),
        (
            pair(
                ", {to: x_a, from: a, create: {type: Char}}",
                "fields: [{to: name, from: name}, {to: x_a, from: a, create: {type: Float}}]",
            ),
            "Error FieldClash objects[two].fields[x_a].create: x_a is created as Float here and as Char in objects[one].fields[x_a].create",
        ),
        (
            pair(
                ", {to: parent_id, from: p, lookup: {model: res.partner}}",
                "fields: [{to: name, from: name}]",
            ),
            "Warning Ambiguous objects[one].fields[parent_id].lookup: one makes records of res.partner too, so name may name several: look it up in one",
        ),
    ] {
        let all = said(&compiled(&spec).findings);
        assert!(all.iter().any(|said| said == wanted), "wanted {wanted}\ngot {all:#?}");
    }
}

#[test]
fn objects_are_loaded_after_those_they_need_and_own_lookups_need_nothing() {
    let order = |spec: &str| {
        let compiled = compiled(spec);
        let mapping = compiled.mapping.unwrap_or_else(|| panic!("{:#?}", compiled.findings));
        mapping
            .objects
            .iter()
            .map(|object| object.name.clone())
            .collect::<Vec<_>>()
    };
    let needs_two = pair(
        ", {to: parent_id, from: p, lookup: {object: two}}",
        "fields: [{to: name, from: name}]",
    );
    assert_eq!(order(&needs_two), ["two", "one"]);
    let own = pair(
        ", {to: parent_id, from: p, lookup: {object: one}}",
        "fields: [{to: name, from: name}]",
    );
    assert_eq!(order(&own), ["one", "two"]);
    let deferred = pair(
        ", {to: parent_id, from: p, lookup: {object: two}, onMissing: Defer}",
        "fields: [{to: name, from: name}, {to: parent_id, from: p, lookup: {object: one}}]",
    );
    assert_eq!(
        order(&deferred),
        ["one", "two"],
        "what is left for a second pass needs no order"
    );
    let after = pair("", "match: [name]\n  after: [one]\n  fields: [{to: name, from: name}]");
    assert_eq!(order(&after), ["one", "two"]);
}

#[test]
fn parameters_rows_and_formats_are_checked() {
    let good = fields(&[]);
    for (head, wanted) in [
        (
            "parameters: [{name: a, type: Integer, value: x}]",
            "Error TypeMismatch parameters[a]: the parameter a is a Integer, and \"x\" is none",
        ),
        (
            "parameters: [{name: a, value: x}]",
            "Error Incomplete parameters[a]: the parameter a has no type: say String, Integer, Decimal, Boolean or Map",
        ),
        (
            "parameters: [{name: a, type: Map, value: x}]",
            "Error Incomplete parameters[a]: the parameter a is a Map: say entries, and no value",
        ),
        (
            "parameters: [{name: a, type: String, value: x}]",
            "Info Unused parameters[a]: nothing uses the parameter a",
        ),
        (
            "rows: [{name: A, fidelity: Lossy, objects: [peple]}]",
            "Error UnknownObject rows[A]: there is no object peple; did you mean people?",
        ),
        (
            "rows: [{name: A, objects: [people]}]",
            "Error Incomplete rows[A]: the row A has no fidelity: say one of OneToOne, OneToMany, Lossy, Inventory",
        ),
        (
            "rows: [{name: A, fidelity: Lossy}]",
            "Info Unused rows[A]: no object keeps the row A",
        ),
    ] {
        let all = said(&compiled(&format!("{head}\n{good}")).findings);
        assert!(all.iter().any(|said| said == wanted), "wanted {wanted}\ngot {all:#?}");
    }
    for formats in ["{timeZone: America/Sao_Palo}", "{dates: [\"%Q\"]}"] {
        let spec = fields(&[]).replace("{dates: [\"%d/%m/%Y\"], list: \";\"}", formats);
        let compiled = compiled(&spec);
        assert_eq!(
            compiled.findings[0].code, "BadFormat",
            "{formats}: {:?}",
            compiled.findings
        );
        assert!(compiled.mapping.is_none());
    }
}

#[test]
fn what_the_source_has_is_compared_with_what_the_spec_reads() {
    let spec = people(
        "source: {object: contact}\nlet: {city: record.town}\nkey: [id]\nignore: [geo_*, gone]\ndestination: {model: res.partner}\n\
         fields:\n- {to: name, from: name | nome}\n- {to: city, from: city}\n- {to: email, from: mail | e_mail}",
    );
    let compiled = compiled_with(
        &spec,
        &[(
            "contact",
            &["id", "nome", "city", "town", "geo_lat", "email", "score"],
            json!([]),
        )],
    );
    assert_eq!(
        said(&compiled.findings),
        [
            "Error HiddenField objects[people].let.city: the let city hides a source field of that name: call it another",
            "Warning UnmappedSource objects[people]: fields of contact that nothing maps or ignores: email, score",
            "Warning UnknownSource objects[people].fields[email].from: contact has no field mail, e_mail; did you mean email?",
            "Info Unused objects[people].ignore: contact has no field that ignore gone covers",
        ]
    );
    let elsewhere = compiled_with(&fields(&[]), &[("contacts", &[], json!([]))]);
    assert_eq!(
        said(&elsewhere.findings),
        [
            "Warning UnknownSource objects[people].source.object: the source has no object contact; did you mean contacts?: nothing of it moves, and what refers to it finds nothing; if there is an export of it, push it as contact.csv or contact.jsonl"
        ]
    );
}

#[test]
fn a_file_without_a_header_is_named_and_its_first_record_is_not() {
    let spec = people(
        "source: {object: contact}\nkey: [id]\ndestination: {model: res.partner}\nfields:\n- {to: name, from: nam}",
    );
    let record = ["17", "Ana Souza", "ana@acme.com.br", "name"];
    let compiled = compiled_with(&spec, &[("contact", &record, json!([]))]);
    let told = said(&compiled.findings);
    assert!(
        told.iter().any(|said| said.starts_with("Warning NoHeader objects[people].source.object: exports/contact.csv seems to have no header: 2 of the 4 names")),
        "{told:#?}"
    );
    assert!(
        told.iter().all(|said| !said.contains("Ana") && !said.contains("ana@")),
        "{told:#?}"
    );

    let odd = compiled_with(
        &spec,
        &[("contact", &["id", "nam", "2025", "fax", "bob@acme.com"], json!([]))],
    );
    assert_eq!(
        said(&odd.findings),
        [
            "Warning UnmappedSource objects[people]: fields of contact that nothing maps or ignores: fax, 2 that look like data"
        ]
    );
}

#[test]
fn samples_are_tried_and_only_counted() {
    let spec = people(
        "source: {object: contact}\nkey: [id]\ndestination: {model: res.partner}\nfields:\n- {to: name, from: name}\n\
         - {to: type, from: kind}\n- {to: state, from: kind, values: {other: other}, onMissing: Empty}\n\
         - {to: credit, cel: number(record.amount)}\n- {to: birth, from: born}",
    );
    let samples = json!([
        {"id": "1", "name": "A", "kind": "other", "amount": "1", "born": "2020-01-31"},
        {"id": "2", "name": "B", "kind": "secret", "amount": "secret", "born": "secret"},
        {"name": "C", "kind": "other"},
    ]);
    let compiled = compiled_with(
        &spec,
        &[("contact", &["id", "name", "kind", "amount", "born"], samples)],
    );
    let all = said(&compiled.findings);
    assert_eq!(
        all,
        [
            "Warning Unreadable objects[people].fields[birth]: 1 of 3 sampled records have a value that the field cannot take (Unreadable)",
            "Warning CelType objects[people].fields[credit]: the expression fails on 1 of 3 sampled records",
            "Warning ValuesIncomplete objects[people].fields[state].values: 1 of 3 sampled records have a value that is not in values",
            "Warning OptionUnavailable objects[people].fields[type]: 1 of 3 sampled records have a value that is no option of the field",
            "Warning NoKey objects[people].key: 1 of 3 sampled records have no value at id",
        ]
    );
    assert!(compiled.mapping.is_some());
}

#[test]
fn an_object_stands_down_only_once_the_odoo_is_known_and_entries_that_look_into_it_go_with_it() {
    let spec = pair(
        ", {to: parent_id, from: p, lookup: {object: two}}",
        "when: installed(\"crm\")\n  fields: [{to: name, from: name}]",
    );
    let names = |compiled: Compiled| {
        let mapping = compiled.mapping.unwrap_or_else(|| panic!("{:#?}", compiled.findings));
        mapping
            .objects
            .iter()
            .map(|object| (object.name.clone(), object.targets.len()))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(compiled(&spec)), [("two".into(), 1), ("one".into(), 2)]);
    let without = compiled_with(
        &spec,
        &[
            ("contact", &["id", "name", "p"], json!([])),
            ("company", &["id", "name"], json!([])),
        ],
    );
    assert!(said(&without.findings).contains(
        &"Info StandsDown objects[one].fields[parent_id].lookup: two stands down, so this entry is left out".to_owned()
    ));
    assert_eq!(names(without), [("one".into(), 1)]);
}

#[test]
fn compatibility_counts_rows_that_arrive_one_to_one_and_grades_them() {
    let good = fields(&[]);
    for (rows, wanted, grade) in [
        ("", (0, 0), None),
        ("{name: A, fidelity: OneToOne, objects: [people]}", (1, 1), Some('A')),
        (
            "{name: A, fidelity: OneToOne, objects: [people]}, {name: B, fidelity: Lossy, objects: [people]}",
            (1, 2),
            Some('B'),
        ),
        (
            "{name: A, fidelity: OneToOne}, {name: B, fidelity: Lossy, objects: [people]}",
            (0, 2),
            Some('D'),
        ),
    ] {
        let compiled = compiled(&format!("rows: [{rows}]\n{good}"));
        assert_eq!((compiled.compatibility, compiled.grade), (wanted, grade), "{rows}");
    }
    assert_eq!(
        compiled(&format!(
            "rows: [{{name: A, fidelity: OneToOne, objects: [gone]}}]\n{good}"
        ))
        .grade,
        None
    );
}

#[test]
fn a_row_that_the_source_has_nothing_for_is_not_kept() {
    let spec = format!(
        "rows: [{{name: A, fidelity: OneToOne, objects: [people]}}]\n{}",
        fields(&[])
    );
    let kept = |object: &str| compiled_with(&spec, &[(object, &["id"], json!([]))]).compatibility;
    assert_eq!((kept("contact"), kept("elsewhere")), ((1, 1), (0, 1)));
}

#[test]
fn findings_are_sorted_most_severe_first_and_bounded() {
    let long = "x".repeat(500);
    let compiled = compiled(&fields(&[
        "{to: email, cel: params.a}",
        &format!("{{to: city, from: {long}, lookup: {{object: {}}}}}", "o".repeat(60)),
    ]));
    let severities: Vec<_> = compiled.findings.iter().map(|finding| finding.severity).collect();
    assert!(severities.is_sorted());
    assert!(
        compiled
            .findings
            .iter()
            .all(|finding| finding.message.chars().count() <= 1024 && finding.path.len() <= 512)
    );
}

#[test]
fn custom_fields_are_told_with_all_their_options() {
    let spec = pair(
        ", {to: x_kind, from: a, create: {type: Selection, label: Kind, options: {a: A}}}",
        "fields: [{to: name, from: name}, {to: x_kind, from: a, create: {type: Selection, options: {b: B}}}]",
    );
    let compiled = compiled(&spec);
    let mapping = compiled.mapping.unwrap_or_else(|| panic!("{:#?}", compiled.findings));
    let field = &mapping.object("two").unwrap().custom_fields[0];
    assert_eq!((field.name.as_str(), field.label.as_str()), ("x_kind", "Kind"));
    assert_eq!(field.options.keys().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn the_object_tells_what_it_writes_looks_up_and_matches() {
    let people = object(&people(
        "source: {object: contact, orderBy: created}\nkey: [id]\nmatch: [email, name + city]\ndestination: {model: res.partner}\nfields:\n\
         - {to: name, from: name}\n- {to: email, from: email}\n- {to: city, from: city}\n- {to: type, constant: other}\n\
         - {to: parent_id, from: p, lookup: {object: people, by: email}}\n- {to: country_id, from: c, lookup: {model: res.country, by: code, within: {name: d}}}",
    ));
    assert_eq!(
        people.match_on,
        [vec!["email".to_owned()], vec!["name".into(), "city".into()]]
    );
    assert_eq!(people.order_by.as_deref(), Some("created"));
    assert!(people.is_self_referring());
    assert_eq!(people.lookups.len(), 2);
    assert_eq!(
        people
            .targets
            .iter()
            .map(|target| target.ttype.as_str())
            .collect::<Vec<_>>(),
        ["char", "char", "char", "selection", "many2one", "many2one"]
    );
    assert!(odoo().models.contains_key("res.partner"));
}

fn paper(lines: &str) -> String {
    let people = people(
        "source: {object: contact}\nkey: [id]\ndestination: {model: res.partner}\nfields:\n- {to: name, from: name}\n- {to: parent_id, from: deal, lookup: {object: deals}, onMissing: Empty}",
    );
    format!(
        "{people}- name: deals\n{}",
        lines.lines().fold(String::new(), |all, line| all + "  " + line + "\n")
    )
}

#[test]
fn a_document_needs_no_fields_and_what_looks_it_up_is_left_out() {
    let compiled = compiled(&paper(
        "source: {object: deal}\nkey: [id]\ndestination: {document: deals, create: {label: Deals, help: To be typed in}}",
    ));
    assert_eq!(
        said(&compiled.findings),
        [
            "Info StandsDown objects[people].fields[parent_id].lookup: deals becomes the document deals, not records: this entry is left out"
        ]
    );
    let mapping = compiled.mapping.unwrap();
    let deals = mapping.object("deals").unwrap();
    assert_eq!(
        (deals.destination.to_string().as_str(), deals.columns()),
        ("handover/deals.csv", None)
    );
    assert!(deals.in_odoo().is_none());
    assert_eq!(
        mapping
            .in_odoo()
            .map(|object| object.model.0.as_str())
            .collect::<Vec<_>>(),
        ["res.partner"]
    );
    assert_eq!(mapping.object("people").unwrap().targets.len(), 1);
}

#[test]
fn every_field_of_the_source_is_used_by_a_document_without_fields() {
    let compiled = compiled_with(
        &paper("source: {object: deal}\nkey: [id]\ndestination: {document: deals}\nignore: [secret*]"),
        &[
            ("contact", &["id", "name", "deal"], json!([])),
            (
                "deal",
                &["id", "amount", "secret1"],
                json!([{"id": 1, "amount": "\u{0}"}]),
            ),
        ],
    );
    let said = said(&compiled.findings);
    assert!(!said.iter().any(|said| said.contains("UnmappedSource")), "{said:#?}");
}

#[test]
fn what_a_document_cannot_have_is_refused() {
    for (lines, wanted) in [
        (
            "match: [name]",
            "Error TypeMismatch objects[deals].match: match is about records of Odoo, and deals becomes a document",
        ),
        (
            "dedupe: [a]",
            "Error TypeMismatch objects[deals].dedupe: dedupe is about records of Odoo, and deals becomes a document",
        ),
        (
            "discover: {prefix: x_}",
            "Error TypeMismatch objects[deals].discover: discover is about records of Odoo, and deals becomes a document",
        ),
        (
            "fields: [{to: a, from: a, check: true}]",
            "Error TypeMismatch objects[deals].fields[a].check: a is a column of a document: there is nothing to compare",
        ),
        (
            "fields: [{to: a, each: rows, fields: [{to: b, from: line.b}]}]",
            "Error TypeMismatch objects[deals].fields[a]: a is a text field: lines go into a one2many",
        ),
        (
            "onNew: Reject",
            "Error TypeMismatch objects[deals].onNew: onNew is about records of Odoo, and deals becomes a document",
        ),
        (
            "onConflict: KeepTheirs",
            "Error TypeMismatch objects[deals].onConflict: onConflict is about records of Odoo",
        ),
        (
            "fields: [{to: a, from: a, create: {type: Char}}]",
            "Error TypeMismatch objects[deals].fields[a].create: a is a column of a document: there is no field to create",
        ),
        (
            "fields: [{to: a, from: a, lookup: {object: people}}]",
            "Error TypeMismatch objects[deals].fields[a].lookup: a is a text field: a lookup gives a record",
        ),
    ] {
        let compiled = compiled(&paper(&format!(
            "source: {{object: deal}}\nkey: [id]\ndestination: {{document: deals}}\n{lines}"
        )));
        let said = said(&compiled.findings);
        assert!(said.iter().any(|said| said.starts_with(wanted)), "{said:#?}");
    }
    let nowhere = said(&compiled(&paper("source: {object: deal}\nkey: [id]\ndestination: {}")).findings);
    assert!(
        nowhere
            .iter()
            .any(|said| said.contains("Incomplete") && said.contains("or destination.document")),
        "{nowhere:#?}"
    );
    let twice = paper("source: {object: deal}\nkey: [id]\ndestination: {document: deals}")
        + "- name: more\n  source: {object: deal}\n  key: [id]\n  destination: {document: deals}\n";
    let said = said(&compiled(&twice).findings);
    assert!(
        said.contains(&"Error FieldClash objects[more].destination.document: deals writes the document deals already: call it another".to_owned()),
        "{said:#?}"
    );
}

#[test]
fn what_takes_the_place_of_an_object_runs_only_then_and_lookups_go_to_it() {
    let spec = pair(
        ", {to: parent_id, from: p, lookup: {object: two}}",
        "when: installed(\"crm\")\n  otherwise: three\n  fields: [{to: name, from: name}]\n\
         - name: three\n  source: {object: company}\n  key: [id]\n  match: [name]\n  destination: {model: res.partner}\n  \
         fields: [{to: name, from: name}]",
    );
    let names = |spec: &str, modules: &[&str]| {
        let mut models = odoo();
        models.modules = modules.iter().map(|module| (*module).to_owned()).collect();
        let world = World {
            models: &models,
            odoo_known: true,
            source: None,
        };
        let compiled = compile(&crate::mapping::testing::merged(spec), world);
        let mapping = compiled.mapping.unwrap_or_else(|| panic!("{:#?}", compiled.findings));
        let to = |object: &crate::mapping::Object| {
            let lookups: Vec<String> = object.lookup_objects().into_iter().map(str::to_owned).collect();
            format!("{} {}", object.name, lookups.join(","))
        };
        mapping.objects.iter().map(to).collect::<Vec<_>>()
    };
    // `one` and `three` both write res.partner, and `three` matches: they must be ordered, `two` and `three` not
    assert_eq!(names(&spec, &["crm"]), ["two ", "one two"]);
    assert_eq!(names(&spec, &[]), ["three ", "one three"]);
    let both: Vec<String> = compiled(&spec)
        .mapping
        .unwrap()
        .objects
        .iter()
        .map(|object| object.name.clone())
        .collect();
    assert_eq!(both, ["two", "three", "one"], "both outcomes are compiled");
}

#[test]
fn a_lookup_into_what_a_document_takes_the_place_of_is_left_out() {
    let paper = "when: installed(\"crm\")\n  otherwise: paper\n  kinds: [Two]\n  fields: [{to: name, from: name}]\n\
                 - name: paper\n  source: {object: company}\n  key: [id]\n  destination: {document: companies}";
    let spec = pair(
        ", {to: parent_id, from: p, lookup: {object: two}}, {to: parent_id, part: kind, from: p, lookup: {kind: k}}",
        &format!(
            "{paper}\n- name: three\n  source: {{object: company}}\n  key: [id]\n  kinds: [Three]\n  destination: {{model: res.partner}}\n  fields: [{{to: name, from: name}}]"
        ),
    );
    for (modules, lookups) in [(&["crm"][..], &["three", "two"][..]), (&[][..], &["three"][..])] {
        let mut models = odoo();
        models.modules = modules.iter().map(|module| (*module).to_owned()).collect();
        let world = World {
            models: &models,
            odoo_known: true,
            source: None,
        };
        let compiled = compile(&crate::mapping::testing::merged(&spec), world);
        let mapping = compiled.mapping.unwrap_or_else(|| panic!("{:#?}", compiled.findings));
        let found: Vec<&str> = mapping.object("one").unwrap().lookup_objects().into_iter().collect();
        assert_eq!(found, lookups);
        let told = "Info StandsDown objects[one].fields[parent_id].lookup: two stands down, and what takes its place becomes the document companies, not records: this entry is left out";
        assert_eq!(
            said(&compiled.findings).iter().any(|said| said == told),
            modules.is_empty()
        );
    }
}

#[test]
fn an_otherwise_that_cannot_be_is_told() {
    for (two, wanted) in [
        (
            "when: installed(\"crm\")\n  otherwise: thre\n  fields: [{to: name, from: name}]",
            "Error UnknownObject objects[two].otherwise: there is no object thre",
        ),
        (
            "when: installed(\"crm\")\n  otherwise: two\n  fields: [{to: name, from: name}]",
            "Error Cycle objects[two].otherwise: two would take its own place",
        ),
        (
            "otherwise: one\n  fields: [{to: name, from: name}]",
            "Info Unused objects[two].otherwise: two has no when and never stands down: one never runs",
        ),
    ] {
        let all = said(&compiled(&pair("", two)).findings);
        assert!(all.iter().any(|said| said.starts_with(wanted)), "{wanted}\n{all:#?}");
    }
}

#[test]
fn a_custom_model_is_known_before_it_is_made_with_its_fields_and_nothing_else() {
    let lines = "source: {object: contact}\nkey: [id]\ndestination: {model: x_pipz_campaign, create: {label: Campaigns, access: {base.group_user: Read}}}\n\
                 fields:\n- {to: x_name, from: name}\n- {to: x_sent, from: sent, create: {type: Integer, label: Sent}}";
    let object = object(&people(lines));
    let model = object.custom_model.unwrap();
    assert_eq!((model.label.as_str(), model.access.len()), ("Campaigns", 1));
    assert_eq!(object.custom_fields.len(), 1);
    let all = said(
        &compiled(&people(&lines.replace(
            "x_sent, from: sent, create: {type: Integer, label: Sent}",
            "x_sent, from: sent",
        )))
        .findings,
    );
    assert_eq!(
        all,
        [
            "Error UnknownField objects[people].fields[x_sent]: x_pipz_campaign has no field x_sent; create: {type: …} makes it"
        ]
    );
    let all = said(&compiled(&people(&lines.replace("x_pipz_campaign", "pipz.campaign"))).findings);
    assert!(
        all[0].starts_with(
            "Error FieldClash objects[people].destination.create: pipz.campaign is no name for a custom model"
        ),
        "{all:#?}"
    );
}
