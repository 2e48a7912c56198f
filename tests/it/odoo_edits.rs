//! What people changed in Odoo, met again by a ledger that was lost, by a mapping that grew, by objects that exchange records.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use crmferry::{api::phase_run::Step, args, odoo::memory::Memory, worker::destination::Door};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::{
    policies::benches,
    steps::{Bench, sound},
};

fn people(fields: &[Json]) -> Json {
    let own = [
        json!({"to": "name", "from": "name"}),
        json!({"to": "email", "from": "email"}),
    ];
    let fields: Vec<&Json> = own.iter().chain(fields).collect();
    json!({"source": {"platform": "Pipz"}, "objects": [{"name": "contacts", "source": {"object": "contact"}, "key": ["id"],
        "match": ["email"], "destination": {"model": "res.partner"}, "fields": fields}]})
}

fn phone() -> Json {
    json!({"to": "phone", "from": "phone"})
}

async fn read(bench: &Bench, email: &str, field: &str) -> Json {
    let args = args!({"domain": [["email", "=", email]], "fields": [field], "context": {"active_test": false}});
    let rows = bench.call("res.partner", "search_read", args).await;
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{email}: {rows}");
    rows[0][field].clone()
}

async fn edit(bench: &Bench, email: &str, vals: Json) -> Json {
    let domain = json!([["email", "=", email]]);
    let found = bench.call("res.partner", "search", args!({"domain": domain})).await;
    bench
        .by_ana("res.partner", "write", args!({"ids": found, "vals": vals}))
        .await;
    found[0].clone()
}

/// A clock that goes on a second whenever it is looked at.
fn ticking() -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
    let second = AtomicI64::new(1_700_000_000);
    Arc::new(move || Timestamp::from_second(second.fetch_add(1, Ordering::Relaxed)).unwrap())
}

/// A person edits one field, a later round writes another, and then the source is read anew or the workspace is gone.
#[tokio::test]
async fn an_edit_outlives_our_own_later_write_and_the_ledger() {
    for lost in [false, true] {
        for (mut bench, word) in benches(&people(&[phone()])) {
            if matches!(bench.door, Door::Memory(_)) {
                // Odoo knows times to the second, and memory is quick
                bench.memory = Arc::new(Memory::with_clock(ticking()));
                bench.door = Door::Memory(bench.memory.clone());
            }
            let email = format!("ana@{word}.example");
            let export = |bench: &Bench, name: &str, phone: &str| {
                let rows = format!("1,{name},{email},{phone}\n2,Rui,rui-{email},{phone}\n");
                bench.export("contact.csv", &format!("id,name,email,phone\n{rows}"));
            };
            export(&bench, "Ana", "p1");
            sound(&bench.all().await);
            let id = edit(&bench, &email, json!({"phone": "PERSON"})).await;
            bench.run = 2;
            export(&bench, "Ana Lima", "p1");
            sound(&bench.all().await);
            assert_eq!(read(&bench, &email, "name").await, "Ana Lima");
            if lost {
                std::fs::remove_dir_all(bench.folder()).unwrap();
            }
            bench.run = 3;
            export(&bench, "Ana Lima", "p2");
            bench.done(Step::Discover, None).await;
            bench.orders.rebuild = true;
            bench.done(Step::Extract, None).await;
            bench.orders.rebuild = false;
            bench.done(Step::Schema, None).await;
            let report = bench.load("contacts").await;
            assert!(report.book.balanced, "{report:#?}");
            assert_eq!(read(&bench, &email, "phone").await, "PERSON", "lost: {lost}");
            let untouched = read(&bench, &format!("rui-{email}"), "phone").await;
            assert_eq!(untouched, "p2", "nobody wrote it since it was made; lost: {lost}");
            bench.leave(&[id]).await;
        }
    }
}

#[tokio::test]
async fn a_field_that_the_mapping_has_later_is_filled_and_one_that_comes_back_is_ours_still() {
    for (mut bench, word) in benches(&people(&[phone()])) {
        let email = |n: usize| format!("p{n}@{word}.example");
        let rows = |phone: &str| {
            let row = |n: usize| format!("{n},Person {n},{},{phone},yes\n", email(n));
            format!("id,name,email,phone,company\n{}{}", row(1), row(2))
        };
        bench.export("contact.csv", &rows("p1"));
        sound(&bench.all().await);
        edit(&bench, &email(2), json!({"is_company": true})).await;
        let company = json!({"to": "is_company", "from": "company"});
        bench.run = 2;
        bench.mapping = serde_json::from_value(people(std::slice::from_ref(&company))).unwrap();
        sound(&bench.all().await);
        assert_eq!(read(&bench, &email(1), "is_company").await, true);
        bench.run = 3;
        bench.mapping = serde_json::from_value(people(&[company, phone()])).unwrap();
        bench.export("contact.csv", &rows("p3"));
        sound(&bench.all().await);
        assert_eq!(read(&bench, &email(1), "phone").await, "p3", "nobody but us wrote it");
        bench.leave(&[]).await;
    }
}

#[tokio::test]
async fn a_link_in_html_follows_the_source_and_one_that_a_person_changed_stays() {
    let mapping = people(&[json!({"to": "comment", "from": "about"})]);
    for (mut bench, word) in benches(&mapping) {
        let email = |n: usize| format!("p{n}@{word}.example");
        let rows = |link: &str| {
            let about = format!("<a href=\"\"https://{link}.example/1\"\">Site</a>");
            let row = |n: usize| format!("{n},Person {n},{},\"{about}\"\n", email(n));
            format!("id,name,email,about\n{}{}", row(1), row(2))
        };
        bench.export("contact.csv", &rows("old"));
        sound(&bench.all().await);
        edit(
            &bench,
            &email(2),
            json!({"comment": "<p><a href=\"https://person.example\">Site</a></p>"}),
        )
        .await;
        bench.run = 2;
        bench.export("contact.csv", &rows("new"));
        sound(&bench.all().await);
        let link = |comment: Json| comment.as_str().unwrap_or_default().to_owned();
        assert!(link(read(&bench, &email(1), "comment").await).contains("https://new.example/1"));
        assert!(link(read(&bench, &email(2), "comment").await).contains("https://person.example"));
        bench.leave(&[]).await;
    }
}

/// People and companies of one file, told apart by a column.
fn people_and_firms() -> Json {
    let object = |name: &str, of: &str, after: &[&str]| {
        json!({"name": name, "source": {"object": "contact", "where": format!("record.kind == '{of}'")}, "key": ["id"],
               "match": ["email"], "after": after, "onSourceDelete": "Archive", "destination": {"model": "res.partner"},
               "fields": [{"to": "name", "from": "name"}, {"to": "email", "from": "email"}, phone()]})
    };
    json!({"source": {"platform": "Pipz"}, "objects": [object("people", "person", &[]), object("firms", "firm", &["people"])]})
}

#[tokio::test]
async fn a_record_that_goes_from_one_object_to_another_is_not_archived_for_it() {
    for (mut bench, word) in benches(&people_and_firms()) {
        let email = |n: usize| format!("p{n}@{word}.example");
        let export = |bench: &Bench, moved: bool| {
            let rows = (1..=80).fold(String::new(), |mut rows, n| {
                let firm = (n > 40) != (moved && (n == 1 || n == 80));
                let (kind, phone) = (if firm { "firm" } else { "person" }, if moved { "new" } else { "old" });
                let _ = writeln!(rows, "{n},Number {n},{},{kind},{phone}", email(n));
                rows
            });
            bench.export("contact.csv", &format!("id,name,email,kind,phone\n{rows}"));
        };
        export(&bench, false);
        sound(&bench.all().await);
        for run in 2..4 {
            bench.run = run;
            export(&bench, true);
            sound(&bench.all().await);
            for n in [1, 80] {
                assert_eq!(read(&bench, &email(n), "active").await, true, "{n} in run {run}");
                let edited = bench.noted(if n == 1 { "firms" } else { "people" });
                assert!(
                    edited
                        .iter()
                        .any(|(key, _, field)| *key == n.to_string() && field == "phone"),
                    "kept and told"
                );
            }
        }
        bench.leave(&[]).await;
    }
}

#[tokio::test]
async fn what_happened_once_in_a_run_is_listed_after_its_last_round_too() {
    let mut bench = Bench::new(people(&[phone()]));
    for name in ["Ana", "Ana Lima"] {
        let twice = json!({"name": name, "email": "ana@acme.example"});
        bench
            .by_ana("res.partner", "create", args!({"vals_list": [twice]}))
            .await;
    }
    let archived = json!({"name": "Rui", "email": "rui@acme.example", "active": false});
    bench
        .by_ana("res.partner", "create", args!({"vals_list": [archived]}))
        .await;
    bench.export(
        "contact.csv",
        "id,name,email,phone\n1,Ana,ana@acme.example,1\n2,Rui,rui@acme.example,2\n",
    );
    sound(&bench.all().await);
    let once = |bench: &Bench| -> Vec<(String, String)> {
        let noted = bench.noted("contacts").into_iter();
        noted.map(|(key, code, _)| (key, code)).collect()
    };
    let wanted = [("1", "Ambiguous"), ("2", "AdoptedArchived")].map(|(key, code)| (key.to_owned(), code.to_owned()));
    assert_eq!(once(&bench), wanted);
    bench.export(
        "contact.csv",
        "id,name,email,phone\n1,Ana,ana@acme.example,3\n2,Rui,rui@acme.example,2\n",
    );
    bench.done(Step::Delta, None).await;
    assert_eq!(once(&bench), wanted);
    bench.run = 2;
    sound(&bench.all().await);
    assert_eq!(once(&bench), [], "it happened in another run");
}

#[tokio::test]
async fn what_agrees_with_several_is_told_so_though_it_is_held_or_rejected() {
    for policy in ["Hold", "Reject"] {
        let mut mapping = people(&[]);
        mapping["objects"][0]["onNew"] = json!(policy);
        let mut bench = Bench::new(mapping);
        let twice = json!([{"name": "Ana", "email": "ana@acme.example"}, {"name": "Ana", "email": "ana@acme.example"}]);
        bench.by_ana("res.partner", "create", args!({"vals_list": twice})).await;
        bench.export("contact.csv", "id,name,email\n1,Ana,ana@acme.example\n");
        bench.done(Step::Discover, None).await;
        bench.done(Step::Extract, None).await;
        bench.done(Step::Schema, None).await;
        bench.load("contacts").await;
        let ambiguous = ("1".to_owned(), "Ambiguous".to_owned(), "email".to_owned());
        assert_eq!(bench.noted("contacts"), [ambiguous], "{policy}");
    }
}

#[tokio::test]
async fn an_opt_out_is_one_though_odoo_once_let_the_address_go() {
    let mut bench = Bench::new(json!({"extends": "pipz-to-odoo"}));
    bench.export("contact.csv", "id,name,email,optin\n1,Ana,ana@acme.example,false\n");
    let entry = json!({"email": "ana@acme.example", "active": false});
    bench
        .by_ana("mail.blacklist", "create", args!({"vals_list": [entry]}))
        .await;
    bench.all().await;
    let args = args!({"domain": [["email", "=", "ana@acme.example"]], "fields": ["active"], "context": {"active_test": false}});
    let found = bench.call("mail.blacklist", "search_read", args).await;
    assert_eq!(
        (found.as_array().map(Vec::len), &found[0]["active"]),
        (Some(1), &json!(true))
    );
}

#[tokio::test]
async fn a_person_with_a_companys_website_is_no_company_and_pages_of_one_host_are_many() {
    let mut bench = Bench::new(json!({"extends": "pipz-to-odoo"}));
    let person = json!({"name": "Ana", "website": "https://acme.example", "is_company": false});
    bench
        .by_ana("res.partner", "create", args!({"vals_list": [person]}))
        .await;
    bench.export(
        "company.csv",
        "id,name,website\n1,Acme,acme.example\n2,Padaria,facebook.com/padaria\n3,Oficina,https://www.facebook.com/oficina/\n",
    );
    bench.export("contact.csv", "id,name,email\n1,Eva,eva@acme.example\n");
    bench.all().await;
    for name in ["Ana", "Acme", "Padaria", "Oficina"] {
        bench.find("res.partner", "name", name).await;
    }
}
