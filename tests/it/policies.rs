//! What happens to values and records that people changed, and to those that the source no longer has.

use std::{collections::BTreeMap, fmt::Write as _};

use crmferry::{
    api::phase_run::{ObjectReport, Step},
    args,
    lifecycle::{Exit, book},
    odoo::rpc::{Args, Rpc as _},
    workspace::{Former, Why, Workspace},
};
use futures::TryStreamExt;
use serde_json::{Value as Json, json};

use crate::steps::{Bench, sound};

/// A person who works in Odoo; the migration's user is another.
const ANA: i64 = 6;

impl Bench {
    async fn call(&self, model: &str, method: &str, args: Args) -> Json {
        self.memory.call(model, method, args).await.unwrap()
    }

    fn by_ana(&self, model: &str, method: &str, args: &Args) -> Json {
        self.memory.call_as(ANA, model, method, args).unwrap()
    }

    /// The one record with this value, archived or not.
    async fn find(&self, model: &str, field: &str, value: &str) -> Json {
        let args = args!({"domain": [[field, "=", value]], "context": {"active_test": false}});
        let rows = self.call(model, "search_read", args).await;
        assert_eq!(rows.as_array().unwrap().len(), 1, "{field} = {value}: {rows}");
        rows[0].clone()
    }

    async fn load(&mut self, object: &str) -> ObjectReport {
        let status = self.done(Step::Load, Some(object)).await;
        status.objects[0].clone()
    }

    /// Extracts what was exported anew, and loads an object.
    async fn reload(&mut self, object: &str) -> ObjectReport {
        self.done(Step::Extract, None).await;
        self.load(object).await
    }

    fn workspace(&self) -> Workspace {
        Workspace::local(self.root.path(), "default", "acme").unwrap()
    }

    async fn undo(&self, object: &str) -> Vec<Former> {
        self.workspace().undo(object).try_collect().await.unwrap()
    }

    /// Rows of an object's `noted.csv`: key, code, field.
    fn noted(&self, object: &str) -> Vec<(String, String, String)> {
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
        bench.by_ana(
            "res.partner",
            "write",
            &args!({"ids": [id], "vals": {"phone": "person's"}}),
        );
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
    bench.by_ana(
        "res.partner",
        "write",
        &args!({"ids": [id], "vals": {"phone": "person's"}}),
    );
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
        let mut bench = Bench::new(contacts(&json!({"onConflict": policy})));
        let mut rows = String::from("id,name,email,phone\n");
        for id in 0..30 {
            writeln!(rows, "{id},Person {id},p{id}@example.com,{id}").unwrap();
        }
        bench.export("contact.csv", &rows);
        let there: Vec<Json> = (0..10)
            .map(|id| json!({"name": format!("There {id}"), "email": format!(" P{id}@Example.com")}))
            .chain([json!({"name": "Twice", "email": "p9@example.com"})])
            .collect();
        let ids = bench.by_ana("res.partner", "create", &args!({"vals_list": there}));
        let read = async |bench: &Bench| -> BTreeMap<i64, Json> {
            let args = args!({"ids": ids, "fields": ["name", "email", "phone"]});
            let rows = bench.call("res.partner", "read", args).await;
            let rows = rows.as_array().unwrap().iter();
            rows.map(|row| (row["id"].as_i64().unwrap(), row.clone())).collect()
        };
        bench.by_ana(
            "res.partner",
            "write",
            &args!({"ids": [ids[0]], "vals": {"phone": "person's"}}),
        );
        let before = read(&bench).await;

        let reports = bench.all().await;
        sound(&reports);
        let book = reports[0].book;
        assert_eq!(
            (book.adopted, book.created),
            (9, 21),
            "{policy}: the one that is there twice is not guessed at"
        );
        let partners = args!({"domain": [["email", "=ilike", "%p%@example.com"]]});
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

        // the first former value of a field is the original
        let mut original: BTreeMap<i64, serde_json::Map<String, Json>> = BTreeMap::new();
        for former in bench.undo("contacts").await {
            let fields = original.entry(former.id).or_default();
            for (field, value) in former.fields {
                fields.entry(field).or_insert(value);
            }
        }
        for (id, vals) in original {
            bench
                .call("res.partner", "write", args!({"ids": [id], "vals": vals}))
                .await;
        }
        assert_eq!(read(&bench).await, before, "{policy}");
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
        let theirs = bench.by_ana(
            "res.partner.category",
            "create",
            &args!({"vals_list": [{"name": "Friend"}]}),
        )[0]
        .clone();
        let ana = json!({"name": "Ana", "email": "ana@example.com", "category_id": [[6, 0, [theirs]]]});
        bench.by_ana("res.partner", "create", &args!({"vals_list": [ana]}));
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
    bench.by_ana("res.partner", "create", &args!({"vals_list": [adopted]}));
    bench.export("contact.csv", &rows(100, &[]));
    sound(&bench.all().await);
    let edited = bench.find("res.partner", "name", "Person 2").await["id"].clone();
    bench.by_ana(
        "res.partner",
        "write",
        &args!({"ids": [edited], "vals": {"phone": "new"}}),
    );
    let used = bench.find("res.partner", "name", "Person 3").await["id"].clone();
    bench.by_ana(
        "crm.lead",
        "create",
        &args!({"vals_list": [{"name": "Lead", "partner_id": used}]}),
    );
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
