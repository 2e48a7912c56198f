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
