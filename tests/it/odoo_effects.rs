//! What Odoo does beside what it is asked for: values that it sets over what is sent, copies to other records, or reads
//! otherwise; and what people wrote in between.

use std::{collections::BTreeMap, fmt::Write as _};

use crmferry::{api::phase_run::ObjectReport, args};
use serde_json::{Value as Json, json};

use crate::{
    policies::benches,
    steps::{Bench, sound},
};

/// A field of the same name in the source.
pub fn same(names: &[&str]) -> Vec<Json> {
    names.iter().map(|name| json!({"to": name, "from": name})).collect()
}

pub fn of(objects: &[Json]) -> Json {
    json!({"source": {"platform": "Pipz"}, "objects": objects})
}

/// An object of partners, matched by e-mail.
pub fn partners(name: &str, fields: &[Json]) -> Json {
    json!({"name": name, "source": {"object": name}, "key": ["id"], "match": ["email"],
           "destination": {"model": "res.partner"}, "fields": fields})
}

pub fn with(mut fields: Vec<Json>, more: &[Json]) -> Vec<Json> {
    fields.extend_from_slice(more);
    fields
}

pub async fn read(bench: &Bench, model: &str, name: &str, field: &str) -> Json {
    let args = args!({"domain": [["name", "=", name]], "fields": [field], "context": {"active_test": false}});
    let rows = bench.call(model, "search_read", args).await;
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{name}: {rows}");
    rows[0][field].clone()
}

pub async fn edit(bench: &Bench, name: &str, vals: Json) {
    let found = bench
        .call("res.partner", "search", args!({"domain": [["name", "=", name]]}))
        .await;
    bench
        .by_ana("res.partner", "write", args!({"ids": found, "vals": vals}))
        .await;
}

/// Takes everything away that the bench made, so that a real Odoo can be used again.
pub async fn leave(bench: &Bench) {
    let module = format!("crmferry_pipz_{}", bench.migration.spec.source.account);
    let args = args!({"domain": [["module", "=", module]], "fields": ["model", "res_id"]});
    let found = bench.call("ir.model.data", "search_read", args).await;
    let mut by_model: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    for row in found.as_array().unwrap() {
        let ids = by_model.entry(row["model"].as_str().unwrap().to_owned()).or_default();
        ids.push(row["res_id"].clone());
    }
    for (model, ids) in by_model {
        bench.call(&model, "unlink", args!({"ids": ids})).await;
    }
}

pub fn edited(bench: &Bench, object: &str) -> Vec<(String, String)> {
    let noted = bench.noted(object).into_iter();
    noted
        .filter(|(_, code, _)| code == "Edited")
        .map(|(key, _, field)| (key, field))
        .collect()
}

/// Odoo computes a probability for who says none, and dates the end of a deal to the moment of the call.
#[tokio::test]
async fn a_deal_that_ends_between_two_runs_ends_as_the_source_says() {
    let fields = with(
        same(&["name"]),
        &[
            json!({"to": "type", "constant": "opportunity"}),
            json!({"to": "probability", "from": "probability", "onEmpty": "Skip"}),
            json!({"to": "active", "from": "active"}),
            json!({"to": "date_closed", "from": "closed"}),
        ],
    );
    let deals = json!({"name": "deals", "source": {"object": "deal"}, "key": ["id"], "destination": {"model": "crm.lead"}, "fields": fields});
    for (mut bench, word) in benches(&of(&[deals])) {
        let name = |n: usize| format!("Deal {n} {word}");
        let export = |bench: &Bench, rows: [&str; 2]| {
            let rows = format!("1,{},{}\n2,{},{}\n", name(1), rows[0], name(2), rows[1]);
            bench.export("deal.csv", &format!("id,name,probability,active,closed\n{rows}"));
        };
        export(&bench, [",true,", ",true,"]);
        sound(&bench.all().await);
        bench.run = 2;
        export(
            &bench,
            ["0,false,2024-05-05T10:00:00Z", "100,true,2024-06-06T10:00:00Z"],
        );
        sound(&bench.all().await);
        for (n, probability, closed) in [(1, 0.0, "2024-05-05 10:00:00"), (2, 100.0, "2024-06-06 10:00:00")] {
            assert_eq!(
                read(&bench, "crm.lead", &name(n), "probability").await,
                probability,
                "{n}"
            );
            assert_eq!(read(&bench, "crm.lead", &name(n), "date_closed").await, closed, "{n}");
        }
        assert_eq!(read(&bench, "crm.lead", &name(1), "active").await, false);
        assert_eq!(edited(&bench, "deals"), []);
        bench.run = 3;
        let last = bench.all().await;
        assert_eq!(last[0].book.unchanged, 2, "{last:#?}");
        leave(&bench).await;
    }
}

/// What Odoo takes for no deal that is won: a probability below 100. It is told as what it is, and not as a person's.
#[tokio::test]
async fn what_odoo_refuses_for_good_is_told_until_the_source_is_mended() {
    let fields = with(
        same(&["name", "probability", "referred"]),
        &[
            json!({"to": "type", "constant": "opportunity"}),
            json!({"to": "stage_id", "from": "stage", "lookup": {"model": "crm.stage", "by": "name"}}),
        ],
    );
    let deals = json!({"name": "deals", "source": {"object": "deal"}, "key": ["id"], "destination": {"model": "crm.lead"}, "fields": fields});
    for (mut bench, word) in benches(&of(&[deals])) {
        let name = |n: usize| format!("Refused {n} {word}");
        let proved = |reports: &[ObjectReport]| {
            let verification = reports[0].verification.unwrap();
            (
                verification.mismatched,
                reports[0].book.failed,
                verification.edited_by_user,
            )
        };
        let export = |bench: &Bench, row: &str| {
            let rows = format!("1,{},{row}\n2,{},{row}\n", name(1), name(2));
            bench.export("deal.csv", &format!("id,name,probability,referred,stage\n{rows}"));
        };
        export(&bench, "25,,New");
        sound(&bench.all().await);
        let of_theirs = args!({"domain": [["name", "=", name(2)]]});
        let found = bench.call("crm.lead", "search", of_theirs).await;
        let theirs = args!({"ids": found, "vals": {"probability": 30}});
        bench.by_ana("crm.lead", "write", theirs).await;
        // sent again it is refused, with Odoo's reason
        for (run, referred, wrong) in [(2, "", (1, 0, 1)), (3, "", (0, 1, 1)), (4, "by a friend", (0, 1, 1))] {
            bench.run = run;
            export(&bench, &format!("60,{referred},Won"));
            assert_eq!(proved(&bench.all().await), wrong, "run {run}");
        }
        let lost = bench.undo("deals").await.into_iter().find(|former| former.key.0 == "2");
        assert_eq!(lost.unwrap().fields["probability"], 30.0);
        bench.run = 5;
        export(&bench, "100,by a friend,Won");
        sound(&bench.all().await);
        assert_eq!(edited(&bench, "deals"), []);
        leave(&bench).await;
    }
}

const THEIRS: &str = "<p>see <a href=\"https://theirs.example\">it</a></p>";
const SOURCE: &str = "<p>see <a href=\"\"https://source.example\"\">it</a></p>";

/// HTML that reads the same and leads elsewhere is another value: kept and told, or written over where that is asked for.
#[tokio::test]
async fn a_link_that_a_person_changed_is_theirs_whatever_the_source_does() {
    for policy in ["KeepTheirs", "Overwrite"] {
        let mut contacts = partners("contacts", &same(&["name", "email", "comment", "function"]));
        contacts["onConflict"] = json!(policy);
        for (mut bench, word) in benches(&of(&[contacts])) {
            let name = |n: usize| format!("Link {n} {word}");
            let export = |bench: &Bench, html: &str, job: &str| {
                let row = |n: usize| format!("{n},{},{n}@{word}.example,\"{html}\",{job}\n", name(n));
                bench.export(
                    "contacts.csv",
                    &format!("id,name,email,comment,function\n{}{}{}", row(1), row(2), row(3)),
                );
            };
            let adopted = json!([{"name": name(3), "email": format!("3@{word}.example"), "comment": THEIRS}]);
            bench
                .by_ana("res.partner", "create", args!({"vals_list": adopted}))
                .await;
            export(&bench, SOURCE, "j");
            sound(&bench.all().await);
            edit(&bench, &name(1), json!({"comment": THEIRS})).await;
            edit(
                &bench,
                &name(2),
                json!({"comment": "<p><img src=\"/web/image/3\"></p>"}),
            )
            .await;
            bench.run = 2;
            export(&bench, SOURCE, "j2");
            sound(&bench.all().await);
            let told = edited(&bench, "contacts");
            for n in 1..=3 {
                let html = read(&bench, "res.partner", &name(n), "comment").await;
                let is_sources = html.as_str().unwrap().contains("source.example");
                assert_eq!(is_sources, policy == "Overwrite", "{policy} {n}: {html}");
                let is_told = told.contains(&(n.to_string(), "comment".to_owned()));
                assert_eq!(is_told, policy == "KeepTheirs", "{policy} {n}: {told:?}");
                assert_eq!(read(&bench, "res.partner", &name(n), "function").await, "j2");
            }
            leave(&bench).await;
        }
    }
}

#[tokio::test]
async fn html_with_entities_and_unknown_tags_is_as_it_was_written() {
    for (mut bench, word) in benches(&of(&[partners("contacts", &same(&["name", "email", "comment"]))])) {
        let html = "<p>Jos&eacute; &copy; &hellip; &ccedil;&atilde;o<o:p></o:p> 3 &lt; 4 <label>x</label></p>";
        let row = format!("1,Entity {word},e@{word}.example,{html}\n");
        bench.export("contacts.csv", &format!("id,name,email,comment\n{row}"));
        sound(&bench.all().await);
        let found = read(&bench, "res.partner", &format!("Entity {word}"), "comment").await;
        // Odoo resolves them; in memory they stay
        let text = found.as_str().unwrap();
        assert!(text.contains("José") || text.contains("Jos&eacute;"), "{found}");
        leave(&bench).await;
    }
}

/// What a person wrote is theirs to keep, also where we wrote to the record later.
#[tokio::test]
async fn a_record_that_a_person_wrote_to_is_not_removed_because_we_wrote_to_it_later() {
    let mut contacts = partners("contacts", &same(&["name", "email", "function"]));
    contacts["onSourceDelete"] = json!("Unlink");
    for (mut bench, word) in benches(&of(&[contacts])) {
        let name = |n: usize| format!("Gone {n} {word}");
        let export = |bench: &Bench, from: usize, job: &str| {
            let rows = (from..60).fold(String::new(), |mut rows, n| {
                let _ = writeln!(rows, "{n},{},{n}@{word}.example,{job}", name(n));
                rows
            });
            bench.export("contacts.csv", &format!("id,name,email,function\n{rows}"));
        };
        export(&bench, 1, "j");
        sound(&bench.all().await);
        edit(&bench, &name(1), json!({"comment": "<p>do not lose me</p>"})).await;
        bench.run = 2;
        export(&bench, 1, "j2");
        sound(&bench.all().await);
        bench.run = 3;
        export(&bench, 2, "j2");
        sound(&bench.all().await);
        assert_eq!(
            read(&bench, "res.partner", &name(1), "comment").await,
            "<p>do not lose me</p>"
        );
        leave(&bench).await;
    }
}

/// A write of ours to another record makes us the last writer: what was written before is looked for first.
#[tokio::test]
async fn a_record_that_a_person_wrote_to_is_not_removed_though_odoo_names_us_as_its_last_writer() {
    let mut contacts = partners("contacts", &same(&["name", "email"]));
    let keep = of(std::slice::from_ref(&contacts));
    contacts["onSourceDelete"] = json!("Unlink");
    let unlink = of(&[contacts]);
    for (mut bench, word) in benches(&keep) {
        export_people(&bench, &word, 1);
        sound(&bench.all().await);
        edit(
            &bench,
            &person(1, &word),
            json!({"comment": "<p>do not lose me</p>", "function": "theirs"}),
        )
        .await;
        bench.run = 2;
        sound(&bench.all().await);
        last_written_by_us(&bench, &person(1, &word)).await;
        bench.run = 3;
        bench.mapping = serde_json::from_value(unlink.clone()).unwrap();
        export_people(&bench, &word, 2);
        sound(&bench.all().await);
        let comment = read(&bench, "res.partner", &person(1, &word), "comment").await;
        assert_eq!(comment, "<p>do not lose me</p>");
        leave(&bench).await;
    }
}

#[tokio::test]
async fn what_a_person_typed_is_theirs_also_where_the_mapping_has_the_field_only_later() {
    for (mut bench, word) in benches(&of(&[partners("contacts", &same(&["name", "email"]))])) {
        export_people(&bench, &word, 1);
        sound(&bench.all().await);
        edit(&bench, &person(1, &word), json!({"function": "theirs"})).await;
        bench.run = 2;
        sound(&bench.all().await);
        last_written_by_us(&bench, &person(1, &word)).await;
        bench.run = 3;
        let later = of(&[partners("contacts", &same(&["name", "email", "function"]))]);
        bench.mapping = serde_json::from_value(later).unwrap();
        sound(&bench.all().await);
        assert_eq!(
            read(&bench, "res.partner", &person(1, &word), "function").await,
            "theirs"
        );
        assert_eq!(read(&bench, "res.partner", &person(2, &word), "function").await, "job");
        assert_eq!(edited(&bench, "contacts"), [("1".to_owned(), "function".to_owned())]);
        leave(&bench).await;
    }
}

/// Two of ours that people made one: it is that of the one which the source still has.
#[tokio::test]
async fn a_record_that_people_made_of_two_goes_with_neither_of_them_alone() {
    for policy in ["Archive", "Unlink"] {
        let mut contacts = partners("contacts", &same(&["name", "email"]));
        contacts["onSourceDelete"] = json!(policy);
        for (mut bench, word) in benches(&of(&[contacts])) {
            export_people(&bench, &word, 1);
            sound(&bench.all().await);
            let two = person(2, &word);
            make_one(&bench, &person(1, &word), &two).await;
            bench.run = 2;
            sound(&bench.all().await);
            bench.run = 3;
            export_people(&bench, &word, 2);
            sound(&bench.all().await);
            assert_eq!(read(&bench, "res.partner", &two, "active").await, true, "{policy}");
            leave(&bench).await;
        }
    }
}

/// Whichever of the two comes first, it is the one that stayed whose values are written.
#[tokio::test]
async fn a_record_that_people_made_of_two_is_overwritten_with_the_one_that_stayed() {
    let mut contacts = partners("contacts", &same(&["name", "email"]));
    contacts["onConflict"] = json!("Overwrite");
    for (mut bench, word) in benches(&of(&[contacts])) {
        export_people(&bench, &word, 1);
        sound(&bench.all().await);
        let stayed = person(2, &word);
        make_one(&bench, &person(1, &word), &stayed).await;
        edit(&bench, &stayed, json!({"email": "person@x.example"})).await;
        for run in 2..4 {
            bench.run = run;
            sound(&bench.all().await);
            let email = read(&bench, "res.partner", &stayed, "email").await;
            assert_ne!(email, "person@x.example", "{run}");
            let merged = ("1".to_owned(), "Merged".to_owned(), String::new());
            assert!(bench.noted("contacts").contains(&merged), "{run}");
        }
        leave(&bench).await;
    }
}

/// What the wizard does: external ids of the one that goes lead to the one that stays.
async fn make_one(bench: &Bench, goes: &str, stays: &str) {
    let ids = |name: &str| args!({"domain": [["name", "=", name]]});
    let lost = bench.call("res.partner", "search", ids(goes)).await;
    let stays = bench.call("res.partner", "search", ids(stays)).await;
    let name = args!({"domain": [["model", "=", "res.partner"], ["res_id", "=", lost[0]]]});
    let name = bench.call("ir.model.data", "search", name).await;
    let moved = args!({"ids": name, "vals": {"res_id": stays[0]}});
    bench.call("ir.model.data", "write", moved).await;
    bench.by_ana("res.partner", "unlink", args!({"ids": lost})).await;
}

pub fn person(n: usize, word: &str) -> String {
    format!("Person {n} {word}")
}

/// People from one number to 59, with a job that a mapping may have or not.
fn export_people(bench: &Bench, word: &str, from: usize) {
    let rows = (from..60).fold(String::new(), |mut rows, n| {
        let _ = writeln!(rows, "{n},{},{n}@{word}.example,job", person(n, word));
        rows
    });
    bench.export("contacts.csv", &format!("id,name,email,function\n{rows}"));
}

async fn last_written_by_us(bench: &Bench, name: &str) {
    let found = bench
        .call("res.partner", "search", args!({"domain": [["name", "=", name]]}))
        .await;
    let ours = args!({"ids": found, "vals": {"color": 3}});
    bench.call("res.partner", "write", ours).await;
}

/// Where a person edited all that is mapped, nothing of the record is ours.
#[tokio::test]
async fn a_record_of_which_a_person_edited_every_field_stays_theirs() {
    let mut contacts = partners("contacts", &same(&["name", "function"]));
    contacts.as_object_mut().unwrap().remove("match");
    for (mut bench, word) in benches(&of(&[contacts])) {
        let export = |bench: &Bench, job: &str| {
            let row = format!("1,{job} {word},{job}\n");
            bench.export("contacts.csv", &format!("id,name,function\n{row}"));
        };
        export(&bench, "j1");
        sound(&bench.all().await);
        let theirs = format!("Theirs {word}");
        edit(
            &bench,
            &format!("j1 {word}"),
            json!({"name": theirs, "function": "theirs"}),
        )
        .await;
        for (run, job) in [(2, "j1"), (3, "j3"), (4, "j4")] {
            bench.run = run;
            export(&bench, job);
            sound(&bench.all().await);
            assert_eq!(
                read(&bench, "res.partner", &theirs, "function").await,
                "theirs",
                "{run}"
            );
        }
        leave(&bench).await;
    }
}

/// Who linked first keeps the link, and who took one away keeps it away, whatever else the source changes.
#[tokio::test]
async fn tags_that_people_put_or_took_away_are_theirs() {
    let tags = json!({"name": "tags", "source": {"object": "tags"}, "key": ["id"],
        "destination": {"model": "res.partner.category"}, "fields": same(&["name"])});
    let tag = json!({"to": "category_id", "from": "tag", "lookup": {"object": "tags"}});
    let mut contacts = partners("contacts", &with(same(&["name", "email", "function"]), &[tag]));
    contacts["onConflict"] = json!("Report");
    contacts["after"] = json!(["tags"]);
    for (mut bench, word) in benches(&of(&[tags, contacts])) {
        bench.export("tags.csv", &format!("id,name\n1,T1 {word}\n2,T2 {word}\n"));
        let name = |n: u8| format!("Tagged {n} {word}");
        let export = |bench: &Bench, tags: [&str; 2], job: &str| {
            let row = |n: u8| {
                format!(
                    "{n},{},{n}@{word}.example,{job},\"{}\"\n",
                    name(n),
                    tags[usize::from(n) - 1]
                )
            };
            bench.export(
                "contacts.csv",
                &format!("id,name,email,function,tag\n{}{}", row(1), row(2)),
            );
        };
        export(&bench, ["1,2", "1"], "a");
        sound(&bench.all().await);
        let t2 = bench
            .call(
                "res.partner.category",
                "search",
                args!({"domain": [["name", "=", format!("T2 {word}")]]}),
            )
            .await[0]
            .clone();
        edit(&bench, &name(1), json!({"category_id": [[3, t2, 0]]})).await;
        edit(&bench, &name(2), json!({"category_id": [[4, t2, 0]]})).await;
        // both have both, and something else changes
        bench.run = 2;
        export(&bench, ["1,2", "1,2"], "b");
        sound(&bench.all().await);
        let told = bench.noted("contacts");
        let missing = ("1".to_owned(), "Conflict".to_owned(), "category_id".to_owned());
        assert_eq!(told, [missing], "a tag is missing, and that is told");
        // and the source drops them
        bench.run = 3;
        export(&bench, ["1", "1"], "b");
        sound(&bench.all().await);
        for (n, links) in [(1, 1), (2, 2)] {
            let found = read(&bench, "res.partner", &name(n), "category_id").await;
            assert_eq!(found.as_array().unwrap().len(), links, "{n}");
        }
        leave(&bench).await;
    }
}
