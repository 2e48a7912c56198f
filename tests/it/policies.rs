//! What happens to values and records that people changed, and to those that the source no longer has.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use crmferry::{
    api::phase_run::{ObjectReport, Step},
    args,
    lifecycle::{Exit, book},
    odoo::rpc::{Args, Rpc},
    worker::destination::Door,
    workspace::{Former, Why, Workspace},
};
use futures::TryStreamExt;
use serde_json::{Value as Json, json};

use crate::{
    real,
    steps::{Bench, sound},
};

/// A person who works in Odoo; the migration's user is another.
const ANA: i64 = 6;

/// The server at `ODOO_URL`, when it is set.
fn server() -> Option<Arc<dyn Rpc>> {
    real::server().map(|odoo| odoo.json2())
}

/// A call of a user with a password, made for the purpose if need be: `[model, method, [argument, …]]`.
async fn as_person(call: &Json) -> Json {
    const LOGIN: &str = "crmferry-test-ana";
    let server = server().unwrap();
    let domain = json!([["login", "=", LOGIN]]);
    let found = server
        .call("res.users", "search", args!({"domain": domain}))
        .await
        .unwrap();
    let domain = json!([
        ["module", "in", ["base", "sales_team"]],
        [
            "name",
            "in",
            ["group_user", "group_partner_manager", "group_sale_salesman_all_leads"]
        ]
    ]);
    let groups = args!({"domain": domain, "fields": ["res_id"]});
    let groups = server.call("ir.model.data", "search_read", groups).await.unwrap();
    let groups: Vec<&Json> = groups.as_array().unwrap().iter().map(|row| &row["res_id"]).collect();
    let groups = json!([[6, 0, groups]]);
    let uid = if found[0].is_null() {
        let ana = json!({"name": "Ana", "login": LOGIN, "password": LOGIN, "group_ids": groups});
        let context = json!({"no_reset_password": true});
        let made = args!({"vals_list": [ana], "context": context});
        server.call("res.users", "create", made).await.unwrap()[0].clone()
    } else {
        let rights = args!({"ids": found, "vals": {"group_ids": groups}});
        server.call("res.users", "write", rights).await.unwrap();
        found[0].clone()
    };
    let arguments = json!([std::env::var("ODOO_DB").unwrap(), uid, LOGIN, call[0], call[1], call[2]]);
    let body = json!({"jsonrpc": "2.0", "method": "call", "id": 1,
                      "params": {"service": "object", "method": "execute_kw", "args": arguments}});
    let url = format!("{}/jsonrpc", std::env::var("ODOO_URL").unwrap());
    let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
    let answer: Json = answer.json().await.unwrap();
    assert!(answer.get("error").is_none(), "{answer:#}");
    answer["result"].clone()
}

/// A bench on the Odoo in memory, and one on the real one where there is one; with a word that no other test uses.
pub(crate) fn benches(mapping: &Json) -> Vec<(Bench, String)> {
    let mut all = vec![(Bench::new(mapping.clone()), "memory".to_owned())];
    if server().is_some() {
        let mut bench = Bench::new(mapping.clone());
        let secret = bench.root.path().join("secret");
        std::fs::create_dir_all(&secret).unwrap();
        std::fs::write(secret.join("apiKey"), std::env::var("ODOO_API_KEY").unwrap()).unwrap();
        bench.door = Door::Server {
            ca: secret.join("none"),
            secret,
        };
        let nanos = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let odoo = &mut bench.migration.spec.destination.odoo;
        odoo.url = std::env::var("ODOO_URL").unwrap();
        odoo.database = std::env::var("ODOO_DB").unwrap();
        odoo.limits = serde_json::from_value(json!({"profile": "SelfHosted"})).unwrap();
        bench.migration.spec.source.account = format!("t{nanos}");
        all.push((bench, format!("t{nanos}")));
    }
    all
}

impl Bench {
    /// Takes away what a test left on a server, lock and marks too.
    pub(crate) async fn leave(&self, partners: &[Json]) {
        if matches!(self.door, Door::Memory(_)) {
            return;
        }
        let ours = format!("crmferry_pipz_{}", self.migration.spec.source.account);
        let domain = json!([["module", "=", ours], ["model", "=", "res.partner"]]);
        let made = self
            .call(
                "ir.model.data",
                "search_read",
                args!({"domain": domain, "fields": ["res_id"]}),
            )
            .await;
        let mut ids: Vec<Json> = made
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["res_id"].clone())
            .collect();
        ids.extend(
            partners
                .iter()
                .filter(|id| !ids.contains(id))
                .cloned()
                .collect::<Vec<_>>(),
        );
        self.call("res.partner", "unlink", args!({"ids": ids})).await;
        let domain = json!([["key", "=like", "crmferry.%"]]);
        let parameters = self
            .call("ir.config_parameter", "search", args!({"domain": domain}))
            .await;
        self.call("ir.config_parameter", "unlink", args!({"ids": parameters}))
            .await;
    }

    pub(crate) async fn call(&self, model: &str, method: &str, args: Args) -> Json {
        match &self.door {
            Door::Memory(memory) => memory.call(model, method, args).await.unwrap(),
            Door::Server { .. } => server().unwrap().call(model, method, args).await.unwrap(),
        }
    }

    /// A person creates or writes.
    pub(crate) async fn by_ana(&self, model: &str, method: &str, args: Args) -> Json {
        match &self.door {
            Door::Memory(memory) => memory.call_as(ANA, model, method, &args).unwrap(),
            Door::Server { .. } => {
                let given: Vec<&Json> = ["ids", "vals", "vals_list"]
                    .iter()
                    .filter_map(|name| args.get(*name))
                    .collect();
                as_person(&json!([model, method, given])).await
            }
        }
    }

    /// The one record with this value, archived or not.
    pub(crate) async fn find(&self, model: &str, field: &str, value: &str) -> Json {
        let fields = [
            "name",
            "email",
            "phone",
            "street",
            "type",
            "parent_id",
            "category_id",
            "active",
        ];
        let domain = json!([[field, "=", value]]);
        let args = args!({"domain": domain, "fields": fields, "context": {"active_test": false}});
        let rows = self.call(model, "search_read", args).await;
        assert_eq!(rows.as_array().unwrap().len(), 1, "{field} = {value}: {rows}");
        rows[0].clone()
    }

    pub(crate) async fn load(&mut self, object: &str) -> ObjectReport {
        let status = self.done(Step::Load, Some(object)).await;
        status.objects[0].clone()
    }

    /// Extracts what was exported anew, and loads an object.
    pub(crate) async fn reload(&mut self, object: &str) -> ObjectReport {
        self.done(Step::Extract, None).await;
        self.load(object).await
    }

    fn workspace(&self) -> Workspace {
        Workspace::local(self.root.path(), "default", "acme").unwrap()
    }

    pub(crate) async fn undo(&self, object: &str) -> Vec<Former> {
        self.workspace().undo(object).try_collect().await.unwrap()
    }

    /// Puts former values back: the first of a field is the original.
    async fn restore(&self, object: &str) {
        let mut original: BTreeMap<i64, serde_json::Map<String, Json>> = BTreeMap::new();
        for former in self.undo(object).await {
            let fields = original.entry(former.id).or_default();
            for (field, value) in former.fields {
                fields.entry(field).or_insert(value);
            }
        }
        for (id, vals) in original {
            self.call("res.partner", "write", args!({"ids": [id], "vals": vals}))
                .await;
        }
    }

    /// Rows of an object's `noted.csv`: key, code, field.
    pub(crate) fn noted(&self, object: &str) -> Vec<(String, String, String)> {
        let path = self.folder().join("results").join(object).join("noted.csv");
        let mut reader = csv::Reader::from_path(path).unwrap();
        let rows = reader.records().map(|row| {
            let row = row.unwrap();
            (row[0].to_owned(), row[4].to_owned(), row[5].to_owned())
        });
        rows.collect()
    }
}

fn contacts(more: &Json) -> Json {
    let mut object = json!({
        "name": "contacts", "source": {"object": "contact"}, "key": ["id"], "match": ["email"],
        "destination": {"model": "res.partner"},
        "fields": [{"to": "name", "from": "name", "onEmpty": "Reject"}, {"to": "email", "from": "email"},
                   {"to": "phone", "from": "phone"}],
    });
    object
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"source": {"platform": "Pipz"}, "objects": [object]})
}

const TWO: &str = "id,name,email,phone\n1,Ana,ana@example.com,11\n2,Rui,rui@example.com,22\n";
const TWO_LATER: &str = "id,name,email,phone\n1,Ana,ana@example.com,12\n2,Rui,rui@example.com,23\n";

#[tokio::test]
async fn odoo_what_it_computes_from_a_field_that_changes_stays_what_the_source_says() {
    let mapping = json!({"source": {"platform": "Pipz"}, "objects": [
        {"name": "companies", "source": {"object": "company"}, "key": ["id"], "destination": {"model": "res.partner"},
         "fields": [{"to": "name", "from": "name"}, {"to": "lang", "from": "lang"}]},
        {"name": "contacts", "source": {"object": "contact"}, "key": ["id"], "destination": {"model": "res.partner"},
         "fields": [{"to": "name", "from": "name"}, {"to": "lang", "from": "lang"},
                    {"to": "parent_id", "from": "company", "lookup": {"object": "companies"}}]}]});
    for (mut bench, word) in benches(&mapping) {
        bench.export(
            "company.csv",
            &format!("id,name,lang\n1,A {word},en_US\n2,B {word},en_US\n"),
        );
        let contacts = |company: u8| format!("id,name,lang,company\n1,Ana {word},,{company}\n");
        bench.export("contact.csv", &contacts(1));
        sound(&bench.all().await);
        bench.run = 2;
        bench.export("contact.csv", &contacts(2));
        let second = bench.all().await;
        sound(&second);
        assert_eq!(second[1].book.updated, 1, "{word}");
        bench.leave(&[]).await;
    }
}

#[tokio::test]
async fn a_persons_edit_stays_is_counted_and_listed_unless_overwriting_is_asked_for() {
    for (policy, phone, edited, conflicts, code) in [
        ("KeepTheirs", "person's", 1, 0, "Edited"),
        ("Report", "person's", 1, 1, "Conflict"),
        ("Overwrite", "12", 0, 0, "Overwritten"),
    ] {
        let mut bench = Bench::new(contacts(&json!({"onConflict": policy})));
        bench.export("contact.csv", TWO);
        sound(&bench.all().await);
        let id = bench.find("res.partner", "name", "Ana").await["id"].clone();
        bench
            .by_ana(
                "res.partner",
                "write",
                args!({"ids": [id], "vals": {"phone": "person's"}}),
            )
            .await;
        bench.export("contact.csv", TWO_LATER);
        let report = bench.reload("contacts").await;
        let seen = report.verification.unwrap();
        assert!(book::balances(&report.book) && seen.verified, "{policy}: {report:#?}");
        assert_eq!((seen.edited_by_user, seen.conflicts), (edited, conflicts), "{policy}");
        assert_eq!(
            bench.find("res.partner", "name", "Ana").await["phone"],
            phone,
            "{policy}"
        );
        assert_eq!(
            bench.find("res.partner", "name", "Rui").await["phone"],
            "23",
            "{policy}"
        );
        let noted = [("1".to_owned(), code.to_owned(), "phone".to_owned())];
        assert_eq!(bench.noted("contacts"), noted, "{policy}");
        let former = bench.undo("contacts").await;
        if policy == "Overwrite" {
            let [former] = &former[..] else { panic!("{former:#?}") };
            assert_eq!((former.why, former.key.0.as_str()), (Why::Written, "1"));
            assert_eq!(json!(former.fields), json!({"phone": "person's"}));
            assert!(former.when.is_some());
        } else {
            assert!(former.is_empty(), "{policy}: {former:#?}");
        }
        // what stands is as it was left: the next reading changes nothing more
        let again = bench.load("contacts").await;
        assert_eq!(again.verification.unwrap().conflicts, conflicts, "{policy}");
        assert_eq!(bench.undo("contacts").await.len(), former.len(), "{policy}");
    }
}

#[tokio::test]
async fn a_conflict_is_decided_by_another_policy_and_a_new_plan() {
    let mut bench = Bench::new(contacts(&json!({"onConflict": "Report"})));
    bench.export("contact.csv", TWO);
    sound(&bench.all().await);
    let id = bench.find("res.partner", "name", "Ana").await["id"].clone();
    bench
        .by_ana(
            "res.partner",
            "write",
            args!({"ids": [id], "vals": {"phone": "person's"}}),
        )
        .await;
    assert_eq!(bench.load("contacts").await.verification.unwrap().conflicts, 1);
    bench.mapping = serde_json::from_value(contacts(&json!({"onConflict": "Overwrite"}))).unwrap();
    sound(&bench.all().await);
    assert_eq!(
        bench.find("res.partner", "name", "Ana").await["phone"],
        "11",
        "the source did not change"
    );
}

/// A third of the contacts is in Odoo: one as it is, one edited by a person, one twice.
#[tokio::test]
async fn records_that_odoo_has_are_adopted_none_is_doubled_and_their_former_values_can_be_restored() {
    for policy in ["KeepTheirs", "Overwrite"] {
        for (bench, word) in benches(&contacts(&json!({"onConflict": policy}))) {
            adopt_a_third(bench, policy, &word).await;
        }
    }
}

async fn adopt_a_third(mut bench: Bench, policy: &str, word: &str) {
    let mut rows = String::from("id,name,email,phone\n");
    for id in 0..30 {
        writeln!(rows, "{id},Person {id},p{id}@{word}.example.com,{id}").unwrap();
    }
    bench.export("contact.csv", &rows);
    let there: Vec<Json> = (0..10)
        .map(|id| json!({"name": format!("There {id}"), "email": format!(" P{id}@{word}.Example.com")}))
        .chain([json!({"name": "Twice", "email": format!("p9@{word}.example.com")})])
        .collect();
    let ids = bench.by_ana("res.partner", "create", args!({"vals_list": there})).await;
    let read = async |bench: &Bench| -> BTreeMap<i64, Json> {
        let args = args!({"ids": ids, "fields": ["name", "email", "phone"]});
        let rows = bench.call("res.partner", "read", args).await;
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| (row["id"].as_i64().unwrap(), row.clone())).collect()
    };
    bench
        .by_ana(
            "res.partner",
            "write",
            args!({"ids": [ids[0]], "vals": {"phone": "person's"}}),
        )
        .await;
    let before = read(&bench).await;

    let reports = bench.all().await;
    sound(&reports);
    let book = reports[0].book;
    assert_eq!(
        (book.adopted, book.created),
        (9, 21),
        "{policy}: the one that is there twice is not guessed at"
    );
    let partners = args!({"domain": [["email", "=ilike", format!("%@{word}.example.com")]]});
    assert_eq!(
        bench.call("res.partner", "search_count", partners).await,
        32,
        "11 before and 21 made"
    );
    let ambiguous: Vec<_> = bench
        .noted("contacts")
        .into_iter()
        .filter(|(_, code, _)| code == "Ambiguous")
        .collect();
    assert_eq!(ambiguous, [("9".into(), "Ambiguous".into(), "email".into())]);
    let after = read(&bench).await;
    let first = ids[0].as_i64().unwrap();
    if policy == "KeepTheirs" {
        assert_eq!(
            (&after[&first]["name"], &after[&first]["phone"]),
            (&json!("There 0"), &json!("person's"))
        );
        assert_eq!(reports[0].verification.unwrap().edited_by_user, 9);
    } else {
        assert_eq!(
            (&after[&first]["name"], &after[&first]["phone"]),
            (&json!("Person 0"), &json!("0"))
        );
    }
    assert_eq!(
        after[&ids[1].as_i64().unwrap()]["phone"],
        "1",
        "what was empty is filled"
    );

    bench.restore("contacts").await;
    assert_eq!(read(&bench).await, before, "{policy}");
    bench.leave(ids.as_array().unwrap()).await;
}

#[tokio::test]
async fn a_contact_that_odoo_has_keeps_its_address_when_it_is_given_a_company() {
    for (policy, street) in [("KeepTheirs", "Rua dela 1"), ("Overwrite", "Rua nova 2")] {
        let mut mapping = contacts(&json!({"onConflict": policy}));
        let fields = mapping["objects"][0]["fields"].as_array_mut().unwrap();
        fields.push(json!({"to": "street", "from": "street"}));
        fields.push(json!({"to": "parent_id", "from": "company", "lookup": {"object": "companies"}}));
        let companies = json!({"name": "companies", "source": {"object": "company"}, "key": ["id"],
            "destination": {"model": "res.partner"},
            "fields": [{"to": "name", "from": "name"}, {"to": "is_company", "constant": "true"},
                       {"to": "street", "from": "street"}]});
        mapping["objects"].as_array_mut().unwrap().push(companies);
        for (mut bench, word) in benches(&mapping) {
            let email = format!("ana@{word}.example.com");
            bench.export(
                "company.csv",
                &format!("id,name,street\nc,Company {word},Rua da Empresa 3\n"),
            );
            bench.export(
                "contact.csv",
                &format!("id,name,email,phone,street,company\n1,Ana,{email},1,Rua nova 2,c\n"),
            );
            let ana = json!({"name": "Ana", "email": email, "street": "Rua dela 1"});
            let ids = bench.by_ana("res.partner", "create", args!({"vals_list": [ana]})).await;
            let before = bench.find("res.partner", "email", &email).await;
            sound(&bench.all().await);
            let after = bench.find("res.partner", "email", &email).await;
            let company = bench.find("res.partner", "name", &format!("Company {word}")).await;
            assert_eq!(
                (&after["id"], &after["parent_id"][0]),
                (&ids[0], &company["id"]),
                "{policy}"
            );
            assert_eq!(
                (&after["street"], &after["type"]),
                (&json!(street), &json!("other")),
                "{policy}"
            );
            assert_eq!(company["street"], "Rua da Empresa 3", "{policy}");
            bench.restore("contacts").await;
            let restored = bench.find("res.partner", "email", &email).await;
            for field in ["name", "email", "phone", "street", "type", "parent_id"] {
                assert_eq!(restored[field], before[field], "{policy} {field}");
            }
            let company = bench.find("res.partner", "name", &format!("Company {word}")).await;
            assert_eq!(company["street"], "Rua da Empresa 3", "{policy}");
            bench.leave(ids.as_array().unwrap()).await;
        }
    }
}

#[tokio::test]
async fn tags_that_people_gave_stay_and_those_of_an_adopted_record_are_added_only_when_that_is_asked_for() {
    for (policy, tags, edited) in [("KeepTheirs", 1, 1), ("Overwrite", 2, 1)] {
        let mut mapping = contacts(&json!({"onConflict": policy, "after": ["tags"]}));
        let fields = mapping["objects"][0]["fields"].as_array_mut().unwrap();
        fields.push(json!({"to": "category_id", "from": "tag", "lookup": {"object": "tags"}}));
        let tags_object = json!({"name": "tags", "source": {"object": "contact"}, "key": ["tag"], "match": ["name"],
            "destination": {"model": "res.partner.category"}, "fields": [{"to": "name", "from": "tag"}]});
        mapping["objects"].as_array_mut().unwrap().push(tags_object);
        let mut bench = Bench::new(mapping);
        bench.export("contact.csv", "id,name,email,phone,tag\n1,Ana,ana@example.com,11,VIP\n");
        let theirs = bench
            .by_ana(
                "res.partner.category",
                "create",
                args!({"vals_list": [{"name": "Friend"}]}),
            )
            .await[0]
            .clone();
        let ana = json!({"name": "Ana", "email": "ana@example.com", "category_id": [[6, 0, [theirs]]]});
        bench.by_ana("res.partner", "create", args!({"vals_list": [ana]})).await;
        let reports = bench.all().await;
        sound(&reports);
        let seen = reports.last().unwrap().verification.unwrap();
        assert_eq!(
            (seen.mismatched, seen.edited_by_user),
            (0, edited),
            "{policy}: {seen:#?}"
        );
        let ana = bench.find("res.partner", "name", "Ana").await;
        assert_eq!(ana["category_id"].as_array().unwrap().len(), tags, "{policy}");
        assert_eq!(ana["phone"], "11");
    }
}

/// Contacts 1 to `last`, but for those left out.
fn rows(last: usize, without: &[usize]) -> String {
    let mut rows = String::from("id,name,email,phone\n");
    for id in (1..=last).filter(|id| !without.contains(id)) {
        writeln!(rows, "{id},Person {id},p{id}@example.com,{id}").unwrap();
    }
    rows
}

#[tokio::test]
async fn what_the_source_lost_is_kept_archived_or_removed_and_listed_and_the_books_balance() {
    for (policy, code, present, active) in [
        ("Keep", "Deleted", 40, true),
        ("Archive", "Archived", 40, false),
        ("Unlink", "Unlinked", 39, false),
    ] {
        let mut bench = Bench::new(contacts(&json!({"onSourceDelete": policy})));
        bench.export("contact.csv", &rows(40, &[]));
        sound(&bench.all().await);
        bench.export("contact.csv", &rows(40, &[7]));
        for round in ["the round", "the next one", "the next run"] {
            if round == "the next run" {
                bench.run = 2;
                assert_eq!(
                    bench.all().await[0].book.deleted,
                    i64::from(policy != "Unlink"),
                    "{policy} in {round}"
                );
            }
            let report = bench.reload("contacts").await;
            sound(std::slice::from_ref(&report));
            let gone = i64::from(round != "the next run" || policy != "Unlink");
            assert_eq!(
                (report.book.deleted, report.book.present),
                (gone, present),
                "{policy} in {round}: {report:#?}"
            );
        }
        if policy == "Unlink" {
            let there = bench
                .call(
                    "res.partner",
                    "search_count",
                    args!({"domain": [["name", "=", "Person 7"]]}),
                )
                .await;
            assert_eq!(there, 0);
        } else {
            assert_eq!(
                bench.find("res.partner", "name", "Person 7").await["active"],
                active,
                "{policy}"
            );
            assert_eq!(bench.noted("contacts"), [("7".into(), code.into(), String::new())]);
        }
        // it comes back
        bench.export("contact.csv", &rows(40, &[]));
        let report = bench.reload("contacts").await;
        sound(std::slice::from_ref(&report));
        assert_eq!((report.book.deleted, report.book.present), (0, 40), "{policy}");
        assert_eq!(report.book.created, i64::from(policy == "Unlink"), "{policy}");
        assert_eq!(
            bench.find("res.partner", "name", "Person 7").await["active"],
            true,
            "{policy}"
        );
        sound(&[bench.load("contacts").await]);
    }
}

#[tokio::test]
async fn what_where_no_longer_lets_in_is_gone_too_and_a_record_that_is_refused_is_not() {
    let mapping = |filter: &str, phone: &str| {
        let mut mapping = contacts(&json!({"onSourceDelete": "Unlink"}));
        mapping["objects"][0]["source"]["where"] = json!(filter);
        mapping["objects"][0]["let"] = json!({"check": phone});
        mapping
    };
    let mut bench = Bench::new(mapping("true", "record.phone"));
    bench.export("contact.csv", &rows(40, &[]));
    sound(&bench.all().await);
    bench.mapping =
        serde_json::from_value(mapping("record.id != '7'", "record.id == '8' ? lists.range(-1) : null")).unwrap();
    bench.run = 2;
    let book = bench.all().await[0].book;
    assert_eq!(
        (book.filtered, book.rejected, book.deleted, book.removed),
        (1, 1, 1, 1),
        "{book:#?}"
    );
    assert!(book::balances(&book), "{book:#?}");
    bench.find("res.partner", "name", "Person 8").await;
}

#[tokio::test]
async fn only_what_the_migration_made_and_nobody_needs_is_removed() {
    let mut bench = Bench::new(contacts(&json!({"onSourceDelete": "Unlink"})));
    let adopted = json!({"name": "There", "email": "p1@example.com"});
    bench
        .by_ana("res.partner", "create", args!({"vals_list": [adopted]}))
        .await;
    bench.export("contact.csv", &rows(100, &[]));
    sound(&bench.all().await);
    let edited = bench.find("res.partner", "name", "Person 2").await["id"].clone();
    bench
        .by_ana(
            "res.partner",
            "write",
            args!({"ids": [edited], "vals": {"phone": "new"}}),
        )
        .await;
    let used = bench.find("res.partner", "name", "Person 3").await["id"].clone();
    bench
        .by_ana(
            "crm.lead",
            "create",
            args!({"vals_list": [{"name": "Lead", "partner_id": used}]}),
        )
        .await;
    bench.export("contact.csv", &rows(100, &[1, 2, 3, 4]));
    let report = bench.reload("contacts").await;
    sound(std::slice::from_ref(&report));
    assert_eq!((report.book.deleted, report.book.present), (4, 99));
    let mut noted = bench.noted("contacts");
    noted.retain(|(_, code, _)| code != "Edited");
    let codes: Vec<(&str, &str)> = noted
        .iter()
        .map(|(key, code, _)| (key.as_str(), code.as_str()))
        .collect();
    assert_eq!(
        codes,
        [("1", "Deleted"), ("2", "Deleted"), ("3", "Deleted"), ("4", "Unlinked")]
    );
    let former = bench.undo("contacts").await;
    let last = former.last().unwrap();
    assert_eq!((last.why, &last.fields["name"]), (Why::Unlinked, &json!("Person 4")));
}

#[tokio::test]
async fn nothing_is_taken_away_when_more_than_a_twentieth_went_or_a_line_is_broken() {
    for (export, read) in [
        // other keys for the same number of records
        (rows(50, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), 40),
        (format!("{}8,\"broken", rows(40, &[8])), 40),
    ] {
        let mut bench = Bench::new(contacts(&json!({"onSourceDelete": "Unlink"})));
        bench.export("contact.csv", &rows(40, &[]));
        sound(&bench.all().await);
        bench.export("contact.csv", &export);
        let report = bench.reload("contacts").await;
        assert!(book::balances(&report.book), "{report:#?}");
        assert_eq!((report.book.read, report.book.removed), (read, 0));
        assert!(report.book.deleted > 0 && report.book.present >= 40, "{report:#?}");
        assert!(bench.noted("contacts").iter().all(|(_, code, _)| code == "Deleted"));
    }
    let mut bench = Bench::new(contacts(&json!({"onSourceDelete": "Unlink"})));
    bench.export("contact.csv", &rows(40, &[]));
    sound(&bench.all().await);
    bench.export("contact.csv", &rows(37, &[]));
    let (exit, status) = bench.step(Step::Extract, None).await;
    assert_ne!(exit, Exit::Done, "{status:#?}");
}

/// People and their teams, who know each other.
fn people_and_teams() -> Json {
    json!({"source": {"platform": "Pipz"}, "objects": [
        {"name": "people", "source": {"object": "contact"}, "key": ["id"], "destination": {"model": "res.partner"},
         "fields": [{"to": "name", "from": "name"},
                    {"to": "parent_id", "from": "boss", "lookup": {"object": "people"}, "onMissing": "Defer"},
                    {"to": "category_id", "from": "team", "lookup": {"object": "teams"}, "onMissing": "Defer"}]},
        {"name": "teams", "source": {"object": "company"}, "key": ["id"], "after": ["people"],
         "destination": {"model": "res.partner.category"},
         "fields": [{"to": "name", "from": "name"}]},
    ]})
}

#[tokio::test]
async fn a_value_left_open_is_filled_once_everything_is_there_and_what_is_not_there_even_then_is_listed() {
    let mut bench = Bench::new(people_and_teams());
    bench.export(
        "contact.csv",
        "id,name,boss,team\n1,Ana,2,x\n2,Rui,3,\n3,Eva,,gone\n4,Own,4,\n",
    );
    bench.export("company.csv", "id,name\nx,Red\n");
    let plan = bench.done(Step::Discover, None).await.plan.unwrap();
    assert_eq!(plan.objects[0].name, "people", "what is left open needs no order");
    bench.done(Step::Extract, None).await;
    let rehearsed = bench.done(Step::Rehearse, None).await;
    assert_eq!(rehearsed.objects[0].book.created, 4);
    let missing = [
        ("3".to_owned(), "NotFound".to_owned(), "category_id".to_owned()),
        ("4".to_owned(), "NotFound".to_owned(), "parent_id".to_owned()),
    ];
    assert_eq!(bench.noted("people"), missing, "the rehearsal knows already");
    bench.done(Step::Schema, None).await;
    let first = bench.load("people").await;
    assert_eq!(
        (first.book.deferred, first.book.created),
        (3, 1),
        "Rui's boss is of his own object: {first:#?}"
    );
    assert!(
        !first.book.balanced && first.verification.unwrap().verified,
        "{first:#?}"
    );
    let teams = bench.load("teams").await;
    sound(&[teams]);
    let objects_before = json!([{"name": "people", "model": "res.partner", "state": "Open"},
                        {"name": "teams", "model": "res.partner.category", "state": "Verified"}]);
    bench.migration.status.get_or_insert_default().objects = serde_json::from_value(objects_before).unwrap();
    let second = bench.load("people").await;
    sound(std::slice::from_ref(&second));
    assert_eq!((second.book.deferred, second.book.created), (0, 4), "{second:#?}");
    assert_eq!(bench.noted("people"), missing);
    let (ana, rui) = (
        bench.find("res.partner", "name", "Ana").await,
        bench.find("res.partner", "name", "Rui").await,
    );
    assert_eq!(ana["parent_id"][0], rui["id"]);
    assert_eq!(ana["category_id"].as_array().unwrap().len(), 1);
    assert_eq!(
        bench.find("res.partner", "name", "Own").await["parent_id"],
        false,
        "nobody is their own boss"
    );

    // a round brings a new pair that needs each other's objects
    bench.export(
        "contact.csv",
        "id,name,boss,team\n1,Ana,2,x\n2,Rui,3,\n3,Eva,,gone\n4,Own,4,\n5,Leo,1,y\n",
    );
    bench.export("company.csv", "id,name\nx,Red\ny,Blue\n");
    let status = bench.done(Step::Delta, None).await;
    sound(&status.objects);
    assert_eq!(
        bench.find("res.partner", "name", "Leo").await["category_id"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    bench.run = 2;
    let again = bench.all().await;
    sound(&again);
    assert_eq!(again[0].book.unchanged, 5, "{again:#?}");
}
