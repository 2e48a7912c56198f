//! Records of one object that agree: one record in Odoo, its owner, and what becomes of it when they part.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::{
    language::{counts, id_of, read, report},
    steps::{Bench, sound},
};

const COMPANIES: &str = r#"{
    "source": {"platform": "Pipz"},
    "objects": [
      {"name": "companies", "source": {"object": "company"}, "key": ["id"], "dedupe": ["website"], "match": ["website"],
       "destination": {"model": "res.partner"},
       "fields": [{"to": "name", "from": "name"}, {"to": "website", "from": "site"}, {"to": "is_company", "constant": "true"}]},
      {"name": "contacts", "source": {"object": "contact"}, "key": ["id"], "destination": {"model": "res.partner"},
       "after": ["companies"],
       "fields": [{"to": "name", "from": "name"}, {"to": "parent_id", "from": "company_id", "lookup": {"object": "companies"}}]}]
}"#;

#[tokio::test]
async fn records_that_agree_are_one_and_lookups_by_any_of_their_keys_find_it() {
    let mut bench = Bench::new(serde_json::from_str(COMPANIES).unwrap());
    let companies = "id,name,site\n1,Acme,acme.com\n2,ACME Ltda,https://www.acme.com/br\n3,Other,\n4,Else,\n";
    bench.export("company.csv", companies);
    bench.export("contact.csv", "id,name,company_id\n10,Ana,1\n11,Rui,2\n12,Eva,3\n");
    let first = bench.all().await;
    sound(&first);
    assert_eq!(counts(&first, "companies"), (3, 0, 0, 1));
    assert_eq!(counts(&first, "contacts"), (3, 0, 0, 0));
    let acme = id_of(&bench, "companies_1").await.unwrap();
    assert_eq!(
        id_of(&bench, "companies_2").await,
        Some(acme),
        "an external id of its own"
    );
    let parents = read(&bench, "res.partner", json!([["parent_id", "=", acme]]), &["name"]).await;
    assert_eq!(parents.len(), 2);

    // again, and in another order: the same record stays the first
    bench.run = 2;
    bench.export(
        "company.csv",
        "id,name,site\n2,ACME Ltda,https://www.acme.com/br\n1,Acme,acme.com\n3,Other,\n4,Else,\n",
    );
    let second = bench.all().await;
    sound(&second);
    assert_eq!(counts(&second, "companies"), (0, 0, 3, 1));
    assert_eq!(id_of(&bench, "companies_2").await, Some(acme));

    // what agrees no more is a record of its own
    bench.run = 3;
    bench.export(
        "company.csv",
        "id,name,site\n1,Acme,acme.com\n2,ACME Ltda,acme.com.br\n3,Other,\n4,Else,\n",
    );
    let third = bench.all().await;
    sound(&third);
    assert_eq!(counts(&third, "companies"), (1, 0, 3, 0));
    let own = id_of(&bench, "companies_2").await.unwrap();
    assert_ne!(own, acme);
    let rui = read(&bench, "res.partner", json!([["name", "=", "Rui"]]), &["parent_id"]).await;
    assert_eq!(rui[0]["parent_id"][0], json!(own));
}

/// The record that a company leads to, and how often its website is in Odoo.
async fn companies(bench: &Bench) -> (Vec<Option<i64>>, usize) {
    let mut ids = Vec::new();
    for key in 1..=3 {
        ids.push(id_of(bench, &format!("companies_{key}")).await);
    }
    let made = read(
        bench,
        "res.partner",
        json!([["website", "ilike", "same.example"]]),
        &["name"],
    )
    .await;
    (ids, made.len())
}

#[tokio::test]
async fn when_the_first_of_several_that_agree_goes_the_next_inherits_its_record() {
    for policy in ["Keep", "Archive", "Unlink"] {
        let mut mapping: Json = serde_json::from_str(COMPANIES).unwrap();
        mapping["onSourceDelete"] = json!(policy);
        let mut bench = Bench::new(mapping);
        let many = (10..60).fold(String::new(), |mut rows, id| {
            let _ = writeln!(rows, "{id},Other {id},");
            rows
        });
        let export = |bench: &Bench, rows: &str| bench.export("company.csv", &format!("id,name,site\n{rows}{many}"));
        bench.export("contact.csv", "id,name,company_id\n20,Ana,2\n30,Rui,3\n");
        export(
            &bench,
            "1,One,same.example\n2,Two,www.same.example\n3,Three,http://same.example\n",
        );
        sound(&bench.all().await);
        let (before, _) = companies(&bench).await;
        assert!(
            before[0].is_some() && before.iter().all(|id| *id == before[0]),
            "{before:?}"
        );

        // gone: the second has the record now, with its own values
        bench.run = 2;
        export(&bench, "2,Two,www.same.example\n3,Three,http://same.example\n");
        let second = bench.all().await;
        sound(&second);
        assert_eq!(counts(&second, "companies"), (0, 1, 50, 1), "{policy}");
        assert_eq!(report(&second, "companies").book.deleted, 1);
        let (ids, made) = companies(&bench).await;
        assert_eq!((ids[1], ids[2], made), (before[0], before[0], 1), "{policy}");
        let row = read(
            &bench,
            "res.partner",
            json!([["id", "=", before[0]]]),
            &["name", "active"],
        )
        .await;
        assert_eq!(
            (&row[0]["name"], &row[0]["active"]),
            (&json!("Two"), &json!(true)),
            "{policy}"
        );
        bench.run = 3;
        let third = bench.all().await;
        assert_eq!(counts(&third, "companies"), (0, 0, 51, 1), "{policy}");

        // and when the first comes back, they are one again
        bench.run = 4;
        export(
            &bench,
            "1,One,same.example\n2,Two,www.same.example\n3,Three,http://same.example\n",
        );
        sound(&bench.all().await);
        let (ids, made) = companies(&bench).await;
        assert!(ids.iter().all(|id| *id == before[0]) && made == 1, "{policy} {ids:?}");
        bench.run = 5;
        let last = bench.all().await;
        sound(&last);
        assert_eq!(counts(&last, "companies"), (0, 0, 51, 2), "{policy}");
    }
}

#[tokio::test]
async fn when_the_first_of_several_that_agree_parts_the_others_go_together() {
    let mut bench = Bench::new(serde_json::from_str(COMPANIES).unwrap());
    bench.export("contact.csv", "id,name,company_id\n20,Ana,2\n30,Rui,3\n");
    bench.export(
        "company.csv",
        "id,name,site\n1,One,same.example\n2,Two,same.example\n3,Three,same.example\n",
    );
    sound(&bench.all().await);
    let (before, _) = companies(&bench).await;

    bench.run = 3;
    bench.export(
        "company.csv",
        "id,name,site\n1,One,moved.example\n2,Two,same.example\n3,Three,same.example\n",
    );
    let third = bench.all().await;
    sound(&third);
    assert_eq!(counts(&third, "companies"), (1, 1, 0, 1));
    let (ids, made) = companies(&bench).await;
    assert_eq!((ids[0], made), (before[0], 1));
    assert!(ids[1].is_some() && ids[1] == ids[2] && ids[1] != ids[0], "{ids:?}");
    let children = read(&bench, "res.partner", json!([["parent_id", "=", ids[1]]]), &["name"]).await;
    assert_eq!(children.len(), 2, "their contacts go with them");
    bench.run = 4;
    let last = bench.all().await;
    sound(&last);
    assert_eq!(counts(&last, "companies"), (0, 0, 2, 1));
}

/// The names in Odoo tell it where no ledger does: the first record was made, the others were named after it.
#[tokio::test]
async fn what_agrees_no_more_parts_though_the_workspace_was_lost() {
    for (first, policy) in [
        ("1,One,same.example\n", "Keep"),
        ("", "Keep"),
        ("", "Archive"),
        ("", "Unlink"),
    ] {
        let mut mapping: Json = serde_json::from_str(COMPANIES).unwrap();
        mapping["onSourceDelete"] = json!(policy);
        let mut bench = Bench::new(mapping);
        let many = (10..60).fold(String::new(), |mut rows, id| {
            let _ = writeln!(rows, "{id},Other {id},");
            rows
        });
        let export = |bench: &Bench, rows: &str| {
            bench.export("company.csv", &format!("id,name,site\n{rows}{many}"));
            bench.export("contact.csv", "id,name,company_id\n20,Ana,2\n30,Rui,3\n");
        };
        export(&bench, "1,One,same.example\n2,Two,same.example\n3,Three,same.example\n");
        sound(&bench.all().await);
        let (before, _) = companies(&bench).await;
        std::fs::remove_dir_all(bench.folder()).unwrap();

        bench.run = 2;
        export(&bench, &format!("{first}2,Two,own.example\n3,Three,same.example\n"));
        let second = bench.all().await;
        sound(&second);
        let (ids, made) = companies(&bench).await;
        assert_ne!(ids[1], ids[2], "{policy} {ids:?}");
        if first.is_empty() {
            // the record is the next one's, with the values that it has: whose they are is not known any more
            assert_eq!(
                (counts(&second, "companies"), ids[1], made),
                ((1, 0, 51, 0), before[0], 2),
                "{policy}"
            );
            let noted = bench.noted("companies");
            assert!(
                noted.iter().any(|(key, code, _)| key == "2" && code == "Edited"),
                "{noted:?}"
            );
        } else {
            assert_eq!((counts(&second, "companies"), made), ((1, 0, 51, 1), 1));
            assert_eq!((ids[0], ids[2]), (before[0], before[0]), "{ids:?}");
        }
        let rui = read(&bench, "res.partner", json!([["name", "=", "Rui"]]), &["parent_id"]).await;
        assert_eq!(rui[0]["parent_id"][0], json!(ids[2]));
        bench.run = 3;
        let third = bench.all().await;
        sound(&third);
        assert_eq!(counts(&third, "companies").0, 0, "{third:#?}");
        assert_eq!(companies(&bench).await.0[1..], ids[1..]);
    }
}

#[tokio::test]
async fn when_the_mapping_folds_nothing_any_more_each_gets_a_record_of_its_own() {
    let mut bench = Bench::new(serde_json::from_str(COMPANIES).unwrap());
    bench.export("contact.csv", "id,name,company_id\n20,Ana,2\n");
    bench.export(
        "company.csv",
        "id,name,site\n1,One,same.example\n2,Two,same.example\n3,Three,\n",
    );
    sound(&bench.all().await);
    let (before, _) = companies(&bench).await;
    bench.run = 2;
    let mut mapping: Json = serde_json::from_str(COMPANIES).unwrap();
    mapping["objects"][0].as_object_mut().unwrap().remove("dedupe");
    bench.mapping = serde_json::from_value(mapping).unwrap();
    let second = bench.all().await;
    sound(&second);
    assert_eq!(counts(&second, "companies"), (1, 0, 2, 0));
    let (ids, made) = companies(&bench).await;
    assert!(ids[0] == before[0] && ids[1] != ids[0] && made == 2, "{ids:?}");
}

#[tokio::test]
async fn a_record_that_comes_late_becomes_one_with_its_own_child() {
    let mapping = json!({"source": {"platform": "Pipz"}, "objects": [
        {"name": "companies", "source": {"object": "company"}, "key": ["id"], "dedupe": ["website"],
         "destination": {"model": "res.partner"},
         "fields": [{"to": "name", "from": "name", "onEmpty": "Reject"}, {"to": "is_company", "constant": "true"},
                    {"to": "website", "from": "site"},
                    {"to": "parent_id", "from": "above", "lookup": {"object": "companies"}, "onMissing": "Empty"}]}]});
    let mut bench = Bench::new(mapping);
    bench.export(
        "company.csv",
        "id,name,site,above\n3,Three,same.example,1\n1,,same.example,\n",
    );
    let first = bench.all().await;
    sound(&first);
    assert_eq!(report(&first, "companies").book.rejected, 1);
    bench.run = 2;
    bench.export(
        "company.csv",
        "id,name,site,above\n3,Three,same.example,1\n1,One,same.example,\n",
    );
    let second = bench.all().await;
    sound(&second);
    assert_eq!(counts(&second, "companies"), (0, 0, 1, 1), "{second:#?}");
    let (ids, made) = companies(&bench).await;
    assert!(ids[0] == ids[2] && made == 1, "{ids:?}");
}
