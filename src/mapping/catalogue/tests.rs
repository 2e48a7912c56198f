use serde_json::json;

use super::*;
use crate::{
    api::mapping_spec::Severity,
    mapping::{
        Compiled, Object, Outcome, Step, World,
        compile::compile,
        merge,
        testing::{EMPTY_OWNERS, map, mapped, rejected, wire},
    },
    model::Value,
    odoo::models,
};

fn compiled(name: &str) -> Compiled {
    let spec = MappingSpecSpec {
        extends: Some(name.into()),
        ..MappingSpecSpec::default()
    };
    let merged = merge::resolve(&spec).unwrap();
    let world = World {
        models: models::bundled(),
        odoo_known: false,
        source: None,
    };
    compile(&merged, world)
}

#[test]
fn every_entry_parses_under_its_name() {
    for name in names() {
        let parsed = document::parse(text(name).unwrap(), name).unwrap_or_else(|findings| panic!("{findings:#?}"));
        assert!(matches!(&parsed[..], [Document::MappingSpec(spec)] if spec.metadata.name.as_deref() == Some(name)));
        assert!(entry(name).is_some());
    }
    assert!(entry("pipz").is_none());
}

#[test]
fn every_entry_compiles_without_an_error() {
    for name in names() {
        let compiled = compiled(name);
        let errors: Vec<_> = compiled
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
        assert!(compiled.mapping.is_some());
    }
}

#[test]
fn entries_of_other_platforms_can_be_said() {
    for (platform, text) in [
        (
            "Altcraft",
            include_str!("../../../tests/fixtures/entries/altcraft-to-odoo.yaml"),
        ),
        (
            "Pega",
            include_str!("../../../tests/fixtures/entries/pega-to-odoo.yaml"),
        ),
    ] {
        let ours = text.replace(&format!("platform: {platform}"), "platform: Pipz");
        let parsed = document::parse(&ours, platform).unwrap_or_else(|findings| panic!("{findings:#?}"));
        let [Document::MappingSpec(spec)] = &parsed[..] else {
            panic!("{platform} has one MappingSpec");
        };
        let compiled = compile(
            &merge::resolve(&spec.spec).unwrap(),
            World {
                models: models::bundled(),
                odoo_known: false,
                source: None,
            },
        );
        let errors: Vec<_> = compiled
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .collect();
        assert!(errors.is_empty(), "{platform}: {errors:#?}");
        assert!(compiled.mapping.is_some());
    }
}

fn pipz(object: &str) -> Object {
    compiled("pipz-to-odoo")
        .mapping
        .unwrap()
        .object(object)
        .unwrap()
        .clone()
}

#[test]
fn the_entry_loads_what_others_need_first_and_grades_itself() {
    let compiled = compiled("pipz-to-odoo");
    let mapping = compiled.mapping.unwrap();
    let place = |name: &str| mapping.objects.iter().position(|object| object.name == name).unwrap();
    for (later, earlier) in [
        ("deals", "contacts"),
        ("deals", "wonStages"),
        ("deals", "dealTags"),
        ("contacts", "namedCompanies"),
        ("namedCompanies", "companies"),
        ("namedStages", "namedTeams"),
        ("namedTeams", "teams"),
        ("stages", "teams"),
    ] {
        assert!(place(later) > place(earlier), "{later} after {earlier}");
    }
    assert_eq!((compiled.compatibility, compiled.grade), ((7, 12), Some('B')));
}

#[test]
fn a_word_that_the_entry_does_not_have_is_told_with_the_nearest_it_has() {
    for (over, wanted) in [
        (
            r#"{"name": "contats", "fields": [{"to": "name", "from": "nome"}]}"#,
            "the source object it reads; did you mean contacts?",
        ),
        (
            r#"{"name": "contacts", "source": {"join": [{"name": "rows", "object": "evnt", "by": "contact_id"}]}}"#,
            "Pipz has no source object evnt by its documents; did you mean event?",
        ),
        (
            r#"{"name": "deals", "fields": [{"to": "tag_ids", "from": "tags", "lookup": {"model": "crm.lead", "by": "x_pipz_dealid"}}]}"#,
            "did you mean x_pipz_deal_id?",
        ),
    ] {
        let spec = MappingSpecSpec {
            extends: Some("pipz-to-odoo".into()),
            objects: Some(vec![serde_json::from_str(over).unwrap()]),
            ..MappingSpecSpec::default()
        };
        let compiled = compile(
            &merge::resolve(&spec).unwrap(),
            World {
                models: models::bundled(),
                odoo_known: false,
                source: None,
            },
        );
        let said = |finding: &crate::api::mapping_spec::Finding| finding.message.contains(wanted);
        assert!(compiled.findings.iter().any(said), "{wanted}: {:#?}", compiled.findings);
    }
}

#[test]
fn without_the_app_for_mailings_campaigns_and_lists_are_handed_over_in_writing_and_opt_outs_kept() {
    let spec = MappingSpecSpec {
        extends: Some("pipz-to-odoo".into()),
        ..MappingSpecSpec::default()
    };
    let merged = merge::resolve(&spec).unwrap();
    let names = |models: &models::Models| {
        let world = World {
            models,
            odoo_known: true,
            source: None,
        };
        let compiled = compile(&merged, world);
        let mapping = compiled.mapping.unwrap_or_else(|| panic!("{:#?}", compiled.findings));
        let names = mapping.objects.iter().map(|object| object.name.clone());
        names.collect::<Vec<String>>()
    };
    let with = names(models::bundled());
    let mut bare = models::bundled().clone();
    bare.modules.retain(|module| module != "mass_mailing");
    bare.models.retain(|model, _| !model.starts_with("mailing."));
    let without = names(&bare);
    for name in ["campaigns", "lists", "listContacts"] {
        let written = format!("{name}InWriting");
        assert!(with.iter().any(|object| object == name), "{with:?}");
        assert!(!with.contains(&written), "{with:?}");
        assert!(without.contains(&written), "{without:?}");
        assert!(!without.iter().any(|object| object == name), "{without:?}");
    }
    assert!(without.iter().any(|object| object == "optOuts"), "{without:?}");
}

#[test]
fn a_message_says_when_what_and_who_and_names_no_one_falsely() {
    let events = pipz("events");
    let said = |source: Value| {
        let message = mapped(&events, source, KNOWN);
        json!(
            ["date", "message_type", "subtype_id", "author_id", "email_from", "body"]
                .map(|field| wire(&message, field))
        )
    };
    let base = json!({"id": 1, "contact_id": 7, "occurred_at": "2025-03-01T09:00:00", "type": "Chat_Message", "message": "a < b", "url": "https://x.example"});
    let with = |more: Value| {
        let mut source = base.clone();
        for (name, value) in more.as_object().unwrap() {
            source[name] = value.clone();
        }
        said(source)
    };
    let body = "<p>a &lt; b<br/>https://x.example</p>";
    let at = "2025-03-01 12:00:00";
    assert_eq!(with(json!({})), json!([at, "comment", 61, 70, false, body]));
    assert_eq!(with(json!({"agent_id": "5"}))[3], json!(500), "the agent's partner");
    let unknown = with(json!({"agent_id": "99", "agent_email": "robo@fora.example"}));
    assert_eq!(
        unknown,
        json!([at, "comment", 61, false, "robo@fora.example", body]),
        "an agent whom nobody knows is not the contact"
    );
    assert_eq!(with(json!({"type": null}))[2], json!(62), "a note");
    assert_eq!(with(json!({"type": "nps"}))[1], json!("notification"));
    for (more, field) in [
        (json!({"contact_id": "404"}), "res_id"),
        (json!({"contact_id": null}), "res_id/email"),
        (json!({"occurred_at": null}), "date"),
    ] {
        let mut source = base.clone();
        for (name, value) in more.as_object().unwrap() {
            source[name] = value.clone();
        }
        assert_eq!(rejected(&events, source, KNOWN).field, field);
    }
}

/// Records that a Pipz export and an Odoo have, by object or model.
const KNOWN: &[(&str, &str, i64)] = &[
    ("stages", "2", 20),
    ("wonStages", "9", 90),
    ("namedStages", "Vendas__Proposta", 30),
    ("crm.stage", "crm.stage_lead4", 4),
    ("crm.stage", "crm.stage_lead1", 1),
    ("teams", "1", 11),
    ("namedTeams", "Vendas", 12),
    ("users", "5", 50),
    ("users", "ana@acme.com", 51),
    ("contacts", "7", 70),
    ("companies", "3", 33),
    ("namedCompanies", "acme_20ltda", 34),
    ("dealTags", "vip", 1),
    ("dealTags", "novo", 2),
    ("lostReasons", "Pre_C3_A7o", 8),
    ("eventKinds", "chat_5Fmessage", 61),
    ("eventKinds", "nps", 63),
    ("mail.message.subtype", "mail.mt_note", 62),
    ("users with partner_id", "5", 500),
];

#[test]
fn deals_end_where_odoo_accepts_them() {
    let deals = pipz("deals");
    for (source, wanted) in [
        (
            json!({"status": "won", "stage_id": "2", "probability": "50"}),
            json!([4, 100.0, true]),
        ),
        (json!({"status": "Ganho", "stage_id": "9"}), json!([90, 100.0, true])),
        (json!({"status": "won"}), json!([4, 100.0, true])),
        (
            json!({"status": "lost", "stage_id": "9", "probability": "80"}),
            json!([1, 0.0, false]),
        ),
        (json!({"status": "Perdida", "stage_id": "2"}), json!([20, 0.0, false])),
        (
            json!({"status": "lost", "pipeline": "Vendas", "stage": "Proposta"}),
            json!([30, 0.0, false]),
        ),
        (
            json!({"status": "open", "stage_id": "2", "probability": "12,5"}),
            json!([20, 12.5, true]),
        ),
        (json!({"stage_id": "2"}), json!([20, null, true])),
        (json!({"stage_id": "9"}), json!([1, null, true])),
        (json!({"Situação": "GANHA"}), json!([4, 100.0, true])),
    ] {
        let mut source: Value = source;
        source["id"] = json!("1");
        source["name"] = json!("Negócio");
        let mapped = mapped(&deals, source.clone(), KNOWN);
        assert_eq!(
            json!([
                wire(&mapped, "stage_id"),
                wire(&mapped, "probability"),
                wire(&mapped, "active")
            ]),
            wanted,
            "{source}"
        );
    }
}

#[test]
fn a_deal_keeps_what_refers_to_others_and_counts_what_is_not_there() {
    let deals = pipz("deals");
    let deal = mapped(
        &deals,
        json!({"id": 1, "name": "Negócio", "amount": "1.234,50", "contact_id": 7, "pipeline_id": "1", "stage_id": "2", "owner_id": "99",
            "owner_email": "ana@acme.com", "tags": "vip, novo", "status": "lost", "lost_reason": "Preço", "creation_date": "31/01/2020",
            "description": "a < b"}),
        &[KNOWN, &[EMPTY_OWNERS]].concat(),
    );
    for (field, wanted) in [
        ("expected_revenue", json!(1234.5)),
        ("partner_id", json!(70)),
        ("team_id", json!(11)),
        ("user_id", json!(51)),
        ("tag_ids", json!([1, 2])),
        ("lost_reason_id", json!(8)),
        ("x_pipz_created", json!("2020-01-31 03:00:00")),
        ("x_pipz_deal_id", json!("1")),
    ] {
        assert_eq!(wire(&deal, field), wanted, "{field}");
    }
    assert_eq!(
        deal.notes.iter().map(|note| note.message.as_str()).collect::<Vec<_>>(),
        ["deals.user_id: \"99\" is not in users"]
    );
    let without = json!({"id": 1, "name": "N", "owner_id": "99"});
    let unowned = mapped(&deals, without.clone(), &[KNOWN, &[EMPTY_OWNERS]].concat());
    assert_eq!((wire(&unowned, "user_id"), unowned.notes.len()), (json!(false), 1));
    assert!(
        matches!(map(&deals, without, KNOWN), Outcome::Held(_)),
        "unless it waits for its owner"
    );
    let bad = rejected(
        &deals,
        json!({"id": 1, "name": "N", "expected_close_date": "31/02/2020"}),
        KNOWN,
    );
    assert_eq!((bad.code.as_str(), bad.field.as_str()), ("Unreadable", "date_deadline"));
}

#[test]
fn a_contact_finds_its_company_by_id_or_by_name_and_keeps_its_own_address() {
    let contacts = pipz("contacts");
    for (source, wanted) in [
        (
            json!({"company_id": "3", "company": "Acme Ltda"}),
            json!([33, "contact"]),
        ),
        (json!({"company": " ACME Ltda", "city": "Recife"}), json!([34, "other"])),
        (json!({"city": "Recife"}), json!([false, "contact"])),
    ] {
        let mut source: Value = source;
        source["id"] = json!("1");
        source["nome"] = json!("José 🚀");
        let mapped = mapped(&contacts, source.clone(), KNOWN);
        assert_eq!(
            json!([wire(&mapped, "parent_id"), wire(&mapped, "type")]),
            wanted,
            "{source}"
        );
        assert_eq!(wire(&mapped, "name"), json!("José 🚀"));
    }
}

/// A row of a document: what each column of it has.
fn row(object: &str, source: Value) -> Value {
    let mapped = mapped(&pipz(object), source, KNOWN);
    let names: Vec<String> = mapped.values.iter().map(|(name, _)| name.clone()).collect();
    names
        .into_iter()
        .map(|name| (name.clone(), wire(&mapped, &name)))
        .collect()
}

#[test]
fn a_segment_is_told_whole_and_given_as_a_filter_where_odoo_can_say_it() {
    let rule =
        |field: &str, comparator: &str, value: Value| json!({"field": field, "comparator": comparator, "value": value});
    let said = row(
        "segments",
        json!({"id": 1, "name": "VIP", "count": 3, "rules": {"operator": "and", "rules": [
            rule("city_name", "equals", json!("Recife")), rule("tags", "contains", json!("vip")),
            rule("creation_date", "on_or_after", json!("01/01/2026"))]}}),
    );
    assert_eq!(
        said,
        json!({"name": "VIP", "members": "3",
            "definition": "all of\n  city_name equals Recife\n  tags contains vip\n  creation_date on_or_after 01/01/2026",
            "odooDomain": "[('is_company', '=', False), ('city', '=', \"Recife\"), ('category_id.name', '=', \"vip\"), ('x_pipz_created', '>=', \"2026-01-01 03:00:00\")]",
            "notExpressible": false, "advice": "Contacts, Filters, Custom filter: paste the domain and save it"})
    );
    let unsaid = row(
        "segments",
        json!({"id": 1, "regras": {"operador": "ou", "regras": [
            {"campo": "bounces", "comparador": "gt", "valor": 1}, {"campo": "language", "comparador": "igual", "valor": "pt"}]}}),
    );
    assert_eq!(unsaid["odooDomain"], json!(false));
    assert_eq!(
        unsaid["notExpressible"],
        json!("bounces gt 1: no field is mapped from bounces\nlanguage igual pt: in lang other values became the same")
    );
    assert_eq!(row("segments", json!({"id": 1}))["definition"], json!(false));
}

#[test]
fn an_automation_is_told_with_what_to_build_instead() {
    let told = row(
        "automations",
        json!({"id": 1, "name": "Perda", "status": "active", "trigger": {"type": "deal_lost"},
            "conditions": [{"field": "amount", "comparator": "gt", "value": 5}], "actions": [{"type": "wait"}, {"type": "email", "name": "x"}]}),
    );
    assert_eq!(
        told,
        json!({"name": "Perda", "status": "active", "trigger": "deal_lost", "conditions": "all of\n  amount gt 5", "actions": "wait\nemail: x",
            "advice": "Server action (ir.actions.server) started by an automation rule; e-mails through a mail.template"})
    );
    let bare = row("automations", json!({"id": 1}));
    assert_eq!(
        bare["advice"],
        json!("Find out what starts it, then an automation rule")
    );
    assert_eq!(keys("stageTriggers", json!({"id": 1, "name": "x"})), ["filtered"]);
    assert_eq!(keys("stageTriggers", json!({"id": 1, "triggers": "[{}]"})), ["1"]);
}

/// Keys that each object makes of a record.
fn keys(object: &str, source: Value) -> Vec<String> {
    let Value::Object(record) = source else {
        panic!("a record is a map")
    };
    let line = |step| match step {
        Step::Item(item) => item.key.0,
        Step::Filtered => "filtered".to_owned(),
        Step::Rejected { rejection, .. } => rejection.to_string(),
    };
    pipz(object)
        .items(&std::sync::Arc::new(record))
        .into_iter()
        .map(line)
        .collect()
}

#[test]
fn each_object_takes_the_records_that_are_its_own() {
    for (object, source, wanted) in [
        (
            "contactTags",
            json!({"id": 1, "tags": "vip, novo"}),
            vec!["vip", "novo"],
        ),
        ("contactTags", json!({"id": 1}), vec![]),
        (
            "namedCompanies",
            json!({"id": 1, "empresa": "Acme Ltda"}),
            vec!["acme_20ltda"],
        ),
        (
            "namedCompanies",
            json!({"id": 1, "company": "Acme", "company_id": 3}),
            vec!["filtered"],
        ),
        ("namedCompanies", json!({"id": 1}), vec!["filtered"]),
        (
            "stages",
            json!({"id": 1, "name": "Ganho", "type": "won"}),
            vec!["filtered"],
        ),
        ("wonStages", json!({"id": 1, "name": "Ganho", "type": "Won"}), vec!["1"]),
        ("stages", json!({"id": 1, "name": "Won"}), vec!["1"]),
        (
            "wonStages",
            json!({"id": 1, "name": "Won", "is_won": "não"}),
            vec!["filtered"],
        ),
        (
            "namedStages",
            json!({"id": 1, "stage": "Proposta"}),
            vec!["-__Proposta"],
        ),
        (
            "namedStages",
            json!({"id": 1, "stage": "Proposta", "stage_id": 2}),
            vec!["filtered"],
        ),
        ("namedTeams", json!({"id": 1, "Funil": "Vendas"}), vec!["Vendas"]),
        ("lostReasons", json!({"id": 1}), vec!["filtered"]),
        (
            "lostReasons",
            json!({"id": 1, "Motivo da perda": "Preço"}),
            vec!["Pre_C3_A7o"],
        ),
    ] {
        assert_eq!(keys(object, source.clone()), wanted, "{object} of {source}");
    }
}
