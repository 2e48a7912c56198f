//! What words of the mapping language make of records, from exports to an Odoo in memory and back.

use std::sync::Arc;

use crmferry::{
    api::phase_run::{ObjectReport, Step},
    args,
    odoo::rpc::Rpc,
};
use serde_json::{Value as Json, json};

use crate::steps::{Bench, sound};

pub(crate) async fn read(bench: &Bench, model: &str, domain: Json, fields: &[&str]) -> Vec<Json> {
    let rpc: Arc<dyn Rpc> = bench.memory.clone();
    let args = args!({"domain": domain, "fields": fields, "order": "id", "context": {"active_test": false}});
    let found = rpc.call(model, "search_read", args).await.unwrap();
    found.as_array().unwrap().clone()
}

/// The record of an external id.
pub(crate) async fn id_of(bench: &Bench, name: &str) -> Option<i64> {
    let domain = json!([["module", "=", "crmferry_pipz_acme"], ["name", "=", name]]);
    let found = read(bench, "ir.model.data", domain, &["res_id"]).await;
    found.first().and_then(|row| row["res_id"].as_i64())
}

pub(crate) fn report<'a>(reports: &'a [ObjectReport], name: &str) -> &'a ObjectReport {
    reports.iter().find(|report| report.name == name).unwrap()
}

pub(crate) fn counts(reports: &[ObjectReport], name: &str) -> (i64, i64, i64, i64) {
    let book = &report(reports, name).book;
    (book.created, book.updated, book.unchanged, book.deduplicated)
}

#[tokio::test]
async fn a_lookup_goes_by_a_field_that_the_mapping_makes_before_and_after_it_is_made() {
    let mut bench = Bench::new(json!({
        "source": {"platform": "Pipz"},
        "objects": [
          {"name": "companies", "source": {"object": "company"}, "key": ["id"], "destination": {"model": "res.partner"},
           "fields": [{"to": "name", "from": "name"}, {"to": "is_company", "constant": "true"},
                      {"to": "x_code", "from": "code", "create": {"type": "Integer"}}]},
          {"name": "deals", "source": {"object": "deal"}, "key": ["id"], "destination": {"model": "crm.lead"}, "after": ["companies"],
           "fields": [{"to": "name", "from": "name"},
                      {"to": "partner_id", "from": "company_code", "lookup": {"model": "res.partner", "by": "x_code"}}]},
          {"name": "contacts", "source": {"object": "contact"}, "key": ["id"], "destination": {"model": "res.partner"},
           "fields": [{"to": "name", "from": "name"}, {"to": "parent_id", "from": "company", "lookup": {"object": "companies"}}]},
          {"name": "talks", "source": {"object": "talk"}, "key": ["id"], "destination": {"model": "crm.lead"}, "after": ["contacts", "deals"],
           "fields": [{"to": "name", "from": "name"},
                      {"to": "partner_id", "from": "with", "lookup": {"model": "res.partner", "by": "name",
                                                                      "within": {"parent_id.x_code": "company_code"}}}]}]
    }));
    bench.export("company.csv", "id,name,code\n1,Acme,700\n2,Bom,800\n");
    bench.export("deal.csv", "id,name,company_code\n1,Proposal,800\n2,Lost,900\n");
    bench.export("contact.csv", "id,name,company\n1,Ana,1\n2,Ana,2\n");
    bench.export("talk.csv", "id,name,with,company_code\n1,Talk,Ana,700\n");
    let all = bench.all().await;
    sound(&all);
    let deals = &report(&all, "deals").book;
    assert_eq!((deals.created, deals.rejected), (1, 1));
    let bom = id_of(&bench, "companies_2").await.unwrap();
    let found = read(&bench, "crm.lead", json!([["name", "=", "Proposal"]]), &["partner_id"]).await;
    assert_eq!(found[0]["partner_id"][0], json!(bom));
    let ana = id_of(&bench, "contacts_1").await.unwrap();
    let found = read(&bench, "crm.lead", json!([["name", "=", "Talk"]]), &["partner_id"]).await;
    assert_eq!(found[0]["partner_id"][0], json!(ana));
}

const CAMPAIGNS: &str = r#"{
    "source": {"platform": "Pipz"},
    "objects": [
      {"name": "lists", "source": {"object": "list"}, "key": ["id"], "destination": {"model": "mailing.list"},
       "fields": [{"to": "name", "from": "name"}]},
      {"name": "campaigns", "source": {"object": "campaign"}, "key": ["id"], "match": ["x_name"],
       "destination": {"model": "x_pipz_campaign", "create": {"label": "Pipz campaign", "help": "As in Pipz",
          "access": {"base.group_user": "Read", "mass_mailing.group_mass_mailing_user": "Full"}, "menu": "mass_mailing.mass_mailing_menu_root"}},
       "fields": [
          {"to": "x_name", "from": "name", "onEmpty": "Reject", "create": {"type": "Char", "label": "Name"}},
          {"to": "x_lists", "from": "lists", "lookup": {"object": "lists"}, "create": {"type": "Many2many", "relation": "mailing.list"}},
          {"to": "x_first_list", "from": "lists.0", "lookup": {"object": "lists"}, "create": {"type": "Many2one", "relation": "mailing.list"}},
          {"to": "x_file", "from": "file", "create": {"type": "Binary"}}]}]
}"#;

#[tokio::test]
async fn a_custom_model_is_made_with_its_rights_menu_and_relations_and_filled() {
    let mut bench = Bench::new(serde_json::from_str(CAMPAIGNS).unwrap());
    bench.export("list.csv", "id,name\n1,News\n2,Offers\n");
    bench.export(
        "campaign.csv",
        "id,name,lists,file\n5,Launch,\"1,2\",hello\n6,Sale,2,\n",
    );
    let first = bench.all().await;
    sound(&first);
    assert_eq!(counts(&first, "campaigns"), (2, 0, 0, 0));
    let campaigns = read(
        &bench,
        "x_pipz_campaign",
        json!([]),
        &["x_name", "x_lists", "x_first_list", "x_file"],
    )
    .await;
    assert_eq!(campaigns[0]["x_lists"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&campaigns[0]["x_file"], &campaigns[1]["x_file"]),
        (&json!("aGVsbG8="), &json!(false))
    );
    let rights = read(&bench, "ir.model.access", json!([]), &["perm_read", "perm_unlink"]).await;
    assert_eq!(rights.len(), 3, "of the two groups and of administrators");
    let menus = read(
        &bench,
        "ir.ui.menu",
        json!([["name", "=", "Pipz campaign"]]),
        &["parent_id"],
    )
    .await;
    assert_eq!(menus.len(), 1);

    bench.run = 2;
    let second = bench.all().await;
    sound(&second);
    assert_eq!(counts(&second, "campaigns"), (0, 0, 2, 0));
    assert_eq!(read(&bench, "ir.model.access", json!([]), &["id"]).await.len(), 3);
    assert_eq!(
        read(&bench, "ir.ui.menu", json!([["name", "=", "Pipz campaign"]]), &["id"])
            .await
            .len(),
        1
    );
}

const NOTES: &str = r#"{
    "source": {"platform": "Pipz"},
    "objects": [
      {"name": "users", "source": {"object": "user"}, "key": ["id"], "match": ["login"], "destination": {"model": "res.users"},
       "fields": [{"to": "login", "from": "email"}, {"to": "name", "from": "email"}]},
      {"name": "contacts", "source": {"object": "contact"}, "key": ["id"], "kinds": ["Person"], "after": ["users"],
       "destination": {"model": "res.partner"}, "fields": [{"to": "name", "from": "name"}]},
      {"name": "deals", "source": {"object": "deal"}, "key": ["id"], "kinds": ["Deal"], "destination": {"model": "crm.lead"},
       "fields": [{"to": "name", "from": "name"}, {"to": "type", "constant": "opportunity"},
                  {"to": "won_status", "check": true, "constant": "pending"}]},
      {"name": "events", "source": {"object": "event", "orderBy": "at"}, "key": ["id"], "destination": {"model": "mail.message"},
       "fields": [{"to": "res_id", "from": "of", "lookup": {"kind": "kind"}}, {"to": "message_type", "constant": "comment"},
                  {"to": "body", "from": "text"}, {"to": "date", "from": "at"},
                  {"to": "author_id", "from": "by", "lookup": {"object": "users", "take": "partner_id"}, "onMissing": "Empty"}]}]
}"#;

#[tokio::test]
async fn history_hangs_on_records_of_any_kind_and_its_author_is_the_partner_of_a_user() {
    let mut bench = Bench::new(serde_json::from_str(NOTES).unwrap());
    bench.export("user.csv", "id,email\n7,ana@example.com\n");
    bench.export("contact.csv", "id,name\n10,Rui\n");
    bench.export("deal.csv", "id,name\n20,Big\n");
    bench.export(
        "event.csv",
        "id,of,kind,text,at,by\n1,10,Person,<p>a</p>,2026-01-02 10:00,7\n2,20,Deal,<p>b</p>,2026-01-01 10:00,9\n3,20,Robot,<p>c</p>,2026-01-03,7\n",
    );
    let reports = bench.all().await;
    sound(&reports);
    let book = &report(&reports, "events").book;
    assert_eq!((book.created, book.rejected), (2, 1));
    let ana = id_of(&bench, "users_7").await.unwrap();
    let partner = &read(&bench, "res.users", json!([["id", "=", ana]]), &["partner_id"]).await[0]["partner_id"][0];
    let messages = read(&bench, "mail.message", json!([]), &["model", "res_id", "author_id"]).await;
    assert_eq!(messages[0]["model"], json!("crm.lead"), "oldest first");
    assert_eq!(messages[0]["author_id"], json!(false));
    assert_eq!(messages[1]["model"], json!("res.partner"));
    assert_eq!(
        messages[1]["res_id"],
        json!(id_of(&bench, "contacts_10").await.unwrap())
    );
    assert_eq!(&messages[1]["author_id"][0], partner);
}

#[tokio::test]
async fn messages_keep_the_order_of_each_record_over_several_writers_and_threads_hang_on_their_first() {
    let mut bench = Bench::new(json!({"extends": "pipz-to-odoo"}));
    let odoo = &mut bench.migration.spec.destination.odoo;
    odoo.limits = serde_json::from_value(json!({"connections": 3})).unwrap();
    bench.export(
        "contact.csv",
        "id,name,email\n1,A,a@x.example\n2,B,b@x.example\n3,C,c@x.example\n4,D,d@x.example\n5,E,e@x.example\n",
    );
    // every fourth message begins a thread that the next ones of its contact belong to; the export is the newest first
    let event = |place: usize| {
        let (who, turn) = (place % 5 + 1, place / 5);
        let (hours, minutes) = (turn / 60, turn % 60);
        let thread = if turn % 4 == 3 {
            String::new()
        } else {
            format!("t{who}-{}", turn / 4)
        };
        let kind = if thread.is_empty() { "page_view" } else { "chat_message" };
        format!("e{place},{kind},{who},2025-01-01T{hours:02}:{minutes:02}:00,{turn},{thread}\n")
    };
    let rows: String = (0..1_500).rev().map(event).collect();
    // without a time it cannot arrive: its thread hangs on the next one
    let lost = "lost,chat_message,1,,first,t1-0\n";
    let head = "id,type,contact_id,occurred_at,title,conversation_id\n";
    bench.export("event.csv", &format!("{head}{rows}{lost}"));
    let reports = bench.all().await;
    sound(&reports);
    let book = &report(&reports, "events").book;
    assert_eq!((book.created, book.rejected), (1_500, 1));
    let fields = ["res_id", "date", "subject", "parent_id", "subtype_id", "author_id"];
    let messages = read(&bench, "mail.message", json!([["model", "=", "res.partner"]]), &fields).await;
    for who in 1..=5 {
        let partner = id_of(&bench, &format!("contacts_{who}")).await.unwrap();
        let mine: Vec<&Json> = messages.iter().filter(|row| row["res_id"] == json!(partner)).collect();
        let turns: Vec<usize> = mine
            .iter()
            .map(|row| row["subject"].as_str().unwrap().parse().unwrap())
            .collect();
        assert_eq!(turns, (0..300).collect::<Vec<_>>(), "contact {who}: by id as by time");
        for (turn, row) in mine.iter().enumerate() {
            let head = match turn % 4 {
                1 | 2 => mine[turn / 4 * 4]["id"].clone(),
                _ => json!(false),
            };
            let parent = row["parent_id"].get(0).cloned().unwrap_or(json!(false));
            assert_eq!(parent, head, "contact {who}, message {turn}");
            assert_eq!(row["author_id"][0], json!(partner));
        }
    }
    let noted = std::fs::read_to_string(bench.folder().join("results/events/noted.csv")).unwrap_or_default();
    assert!(!noted.contains("parent_id"), "a first message lacks nothing: {noted}");

    bench.run = 2;
    let again = bench.all().await;
    sound(&again);
    assert_eq!(counts(&again, "events"), (0, 0, 1_500, 0));
}

#[tokio::test]
async fn what_odoo_computes_otherwise_than_the_source_says_is_a_mismatch() {
    let wrong = NOTES.replace(r#""constant": "pending""#, r#""constant": "won""#);
    let mut bench = Bench::new(serde_json::from_str(&wrong).unwrap());
    bench.export("deal.csv", "id,name\n20,Big\n");
    let reports = bench.all().await;
    let verification = report(&reports, "deals").verification.unwrap();
    assert_eq!((verification.mismatched, verification.verified), (1, false));
}

const DISCOVERED: &str = r#"{
    "source": {"platform": "Pipz"},
    "objects": [{"name": "contacts", "source": {"object": "contact"}, "key": ["id"], "discover": {"prefix": "x_pipz_"},
                 "destination": {"model": "res.partner"}, "fields": [{"to": "name", "from": "name"}]}]
}"#;

#[tokio::test]
async fn fields_of_the_source_that_nothing_names_become_custom_fields() {
    let mut bench = Bench::new(serde_json::from_str(DISCOVERED).unwrap());
    bench.export(
        "contact.csv",
        "id,name,Tamanho,Nascimento,VIP,Código,raw\n1,Ana,12,2020-01-31,sim,007,\"{\"\"a\"\": 1}\"\n2,Rui,,,não,12,\n",
    );
    sound(&bench.all().await);
    let fields = ["x_pipz_tamanho", "x_pipz_nascimento", "x_pipz_vip", "x_pipz_codigo"];
    let people = read(&bench, "res.partner", json!([["name", "in", ["Ana", "Rui"]]]), &fields).await;
    let ana: Vec<&Json> = fields.iter().map(|field| &people[0][*field]).collect();
    assert_eq!(ana, [&json!(12), &json!("2020-01-31"), &json!(true), &json!("007")]);
    assert_eq!(people[1]["x_pipz_codigo"], json!("12"));
    let plan = bench
        .done(crmferry::api::phase_run::Step::Discover, None)
        .await
        .plan
        .unwrap();
    let said: Vec<&str> = plan
        .findings
        .iter()
        .filter(|finding| finding.code == "Discovered")
        .map(|finding| finding.message.as_str())
        .collect();
    assert!(
        said.iter()
            .any(|message| message.starts_with("1 custom fields become boolean: VIP → x_pipz_vip")),
        "{said:#?}"
    );
    assert!(
        said.iter().any(|message| message.contains("left behind: raw")),
        "{said:#?}"
    );
}

/// No value is dropped for the type that an earlier export gave its field, and nothing is asked of anybody.
#[tokio::test]
async fn a_field_that_was_discovered_and_whose_values_change_their_kind_keeps_them_all() {
    let mut bench = Bench::new(serde_json::from_str(DISCOVERED).unwrap());
    bench.export(
        "contact.csv",
        "id,name,Tamanho,Nascimento,Nota\n1,Ana,12,2020-01-31,boa\n",
    );
    sound(&bench.all().await);
    for run in 2..4 {
        bench.run = run;
        bench.export(
            "contact.csv",
            "id,name,Tamanho,Nascimento,Nota\n1,Ana,grande,2020-01-31T10:00:00Z,7\n",
        );
        let plan = bench.done(Step::Discover, None).await.plan.unwrap();
        let told: Vec<&str> = plan
            .findings
            .iter()
            .filter(|told| told.code == "Discovered")
            .map(|told| told.message.as_str())
            .collect();
        let is_told = told
            .iter()
            .any(|message| message.contains("does not take every value of Tamanho"));
        assert_eq!(is_told, run == 2, "it is told when it comes to that: {told:#?}");
        sound(&bench.all().await);
        let ana = read(&bench, "res.partner", json!([["name", "=", "Ana"]]), &[]).await;
        let values: Vec<&Json> = ana[0].as_object().unwrap().values().collect();
        for value in [json!("grande"), json!("2020-01-31 10:00:00"), json!("7")] {
            assert!(values.contains(&&value), "{value}: {ana:#?}");
        }
        assert_eq!(ana[0]["x_pipz_nota"], json!("7"), "text takes every value");
    }
    // what took them all goes on taking them, be they of the first kind again
    bench.run = 4;
    bench.export(
        "contact.csv",
        "id,name,Tamanho,Nascimento,Nota\n1,Ana,34,2020-01-31T10:00:00Z,7\n",
    );
    sound(&bench.all().await);
    let ana = read(&bench, "res.partner", json!([["name", "=", "Ana"]]), &[]).await;
    let values: Vec<&Json> = ana[0].as_object().unwrap().values().collect();
    assert!(
        values.contains(&&json!("34")) && !values.contains(&&json!("grande")),
        "{ana:#?}"
    );
}
