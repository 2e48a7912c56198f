//! Joined rows: lines of a one2many, those of people among them, and rows that belong to nobody.

use std::{fmt::Write as _, sync::Arc};

use crmferry::{
    api::{PhaseRunStatus, phase_run::Step},
    args,
    odoo::rpc::Rpc,
};
use serde_json::{Value as Json, json};

use crate::{
    language::{counts, id_of, report},
    steps::{Bench, sound},
};

const LISTS: &str = r#"{
    "source": {"platform": "Pipz"},
    "objects": [
      {"name": "lists", "source": {"object": "list"}, "key": ["id"], "destination": {"model": "mailing.list"},
       "fields": [{"to": "name", "from": "name"}]},
      {"name": "listContacts",
       "source": {"object": "contact", "join": [{"name": "memberships", "object": "list_member", "by": "contact_id", "orderBy": "list_id"}],
                  "where": "size(record.memberships) > 0"},
       "key": ["id"], "destination": {"model": "mailing.contact"},
       "fields": [{"to": "email", "from": "email"},
                  {"to": "subscription_ids", "each": "memberships", "key": ["line.list_id"],
                   "fields": [{"to": "list_id", "from": "line.list_id", "lookup": {"object": "lists"}},
                              {"to": "opt_out", "from": "line.out"}]}]}]
}"#;

#[tokio::test]
async fn rows_of_a_joined_object_become_lines_that_come_change_and_go() {
    let mut bench = Bench::new(serde_json::from_str(LISTS).unwrap());
    bench.export("list.csv", "id,name\n1,News\n2,Offers\n3,Events\n");
    bench.export(
        "contact.csv",
        "id,email\n10,ana@example.com\n11,rui@example.com\n12,nobody@example.com\n",
    );
    bench.export(
        "list_member.csv",
        "contact_id,list_id,out\n11,2,false\n10,2,true\n10,1,false\n",
    );
    let first = bench.all().await;
    sound(&first);
    assert_eq!(counts(&first, "listContacts"), (2, 0, 0, 0));
    assert_eq!(report(&first, "listContacts").book.filtered, 1);
    let ana = id_of(&bench, "listContacts_10").await.unwrap();
    let subscriptions = |bench: &Bench| {
        let domain = json!([["contact_id", "=", ana]]);
        let rpc: Arc<dyn Rpc> = bench.memory.clone();
        async move {
            let args = args!({"domain": domain, "fields": ["list_id", "opt_out"], "order": "id"});
            let found = rpc.call("mailing.subscription", "search_read", args).await.unwrap();
            let of = |row: &Json| {
                (
                    row["list_id"][1].as_str().unwrap().to_owned(),
                    row["opt_out"] == json!(true),
                )
            };
            found.as_array().unwrap().iter().map(of).collect::<Vec<_>>()
        }
    };
    assert_eq!(
        subscriptions(&bench).await,
        [("News".into(), false), ("Offers".into(), true)]
    );
    let line = id_of(&bench, "listContacts_10_subscription_ids__2").await;
    assert!(line.is_some(), "a line has an external id of its own");

    bench.run = 2;
    let again = bench.all().await;
    sound(&again);
    assert_eq!(counts(&again, "listContacts"), (0, 0, 2, 0));

    // a change in a joined row is a change of the record
    bench.run = 3;
    bench.export(
        "list_member.csv",
        "contact_id,list_id,out\n11,2,false\n10,2,false\n10,3,true\n",
    );
    let third = bench.all().await;
    sound(&third);
    assert_eq!(counts(&third, "listContacts"), (0, 1, 1, 0));
    assert_eq!(
        subscriptions(&bench).await,
        [("Offers".into(), false), ("Events".into(), true)]
    );
    assert_eq!(
        id_of(&bench, "listContacts_10_subscription_ids__2").await,
        line,
        "it is the same line"
    );
    assert_eq!(id_of(&bench, "listContacts_10_subscription_ids__1").await, None);
}

#[tokio::test]
async fn a_line_that_is_tampered_with_is_told() {
    let mut bench = Bench::new(serde_json::from_str(LISTS).unwrap());
    bench.export("list.csv", "id,name\n1,News\n");
    bench.export("contact.csv", "id,email\n10,ana@example.com\n");
    bench.export("list_member.csv", "contact_id,list_id,out\n10,1,false\n");
    sound(&bench.all().await);
    let line = id_of(&bench, "listContacts_10_subscription_ids__1").await.unwrap();
    let rpc: Arc<dyn Rpc> = bench.memory.clone();
    let args = args!({"ids": [line], "vals": {"opt_out": true}});
    rpc.call("mailing.subscription", "write", args).await.unwrap();
    let status = bench.done(Step::Load, Some("listContacts")).await;
    let found = |status: &PhaseRunStatus| {
        let verification = status.objects[0].verification.unwrap();
        (
            verification.mismatched,
            verification.edited_by_user,
            verification.verified,
        )
    };
    assert_eq!(found(&status), (0, 1, true), "it was proved, and changed since");
    let noted = bench.noted("listContacts");
    assert!(
        noted
            .iter()
            .any(|(_, code, field)| code == "Edited" && field.starts_with("subscription_ids")),
        "{noted:?}"
    );

    // an attempt ended before it had read back what it wrote: this is not as it was written
    std::fs::write(
        bench.folder().join("proof/listContacts.json"),
        r#"{"proved": false, "mismatched": null}"#,
    )
    .unwrap();
    let status = bench.done(Step::Load, Some("listContacts")).await;
    assert_eq!(found(&status), (1, 0, false));
    // nobody knows who wrote it, since it was not looked at after it was sent: it stays, and is told
    let status = bench.done(Step::Load, Some("listContacts")).await;
    assert_eq!(found(&status), (0, 1, true));
}

#[tokio::test]
async fn rows_that_belong_to_no_record_are_listed() {
    let mut bench = Bench::new(serde_json::from_str(LISTS).unwrap());
    bench.export("list.csv", "id,name\n1,News\n");
    bench.export("contact.csv", "id,email\n10,ana@example.com\n");
    bench.export(
        "list_member.csv",
        "contact_id,list_id,out\n10,1,false\n77,1,false\n77,1,true\n10 ,1,false\n,1,false\n",
    );
    sound(&bench.all().await);
    let noted = bench.noted("listContacts");
    let of_nobody: Vec<&str> = noted
        .iter()
        .filter(|(_, code, _)| code == "NoOwner")
        .map(|(key, ..)| key.as_str())
        .collect();
    assert_eq!(of_nobody, ["", "10_20", "77"], "{noted:?}");
}

#[tokio::test]
async fn more_rows_than_a_record_may_have_and_broken_rows_are_rejected() {
    let mut bench = Bench::new(serde_json::from_str(LISTS).unwrap());
    bench.export("list.csv", "id,name\n1,News\n");
    bench.export("contact.csv", "id,email\n10,ana@example.com\n11,rui@example.com\n");
    let mut rows = String::from("contact_id,list_id,out\n11,1,false\nbroken\n");
    for _ in 0..10_001 {
        writeln!(rows, "10,1,false").unwrap();
    }
    bench.export("list_member.csv", &rows);
    let reports = bench.all().await;
    let book = &report(&reports, "listContacts").book;
    assert_eq!((book.created, book.rejected, book.read), (1, 2, 3));
}

/// One contact on one list, in Odoo and proved.
async fn on_a_list() -> Bench {
    let mut bench = Bench::new(serde_json::from_str(LISTS).unwrap());
    bench.export("list.csv", "id,name\n1,News\n2,Offers\n");
    bench.export("contact.csv", "id,email\n10,ana@example.com\n");
    bench.export("list_member.csv", "contact_id,list_id,out\n10,1,false\n");
    sound(&bench.all().await);
    bench
}

/// Odoo computes lines anew when their record changes: who wrote a line last is not who made it.
#[tokio::test]
async fn a_line_that_a_person_added_is_theirs_though_odoo_wrote_to_it_for_us() {
    let mut bench = on_a_list().await;
    let contact = id_of(&bench, "listContacts_10").await.unwrap();
    let offers = id_of(&bench, "lists_2").await.unwrap();
    let line = json!([{"contact_id": contact, "list_id": offers}]);
    let theirs = bench
        .by_ana("mailing.subscription", "create", args!({"vals_list": line}))
        .await;
    let by_us = args!({"ids": theirs, "vals": {"opt_out": true}});
    bench.call("mailing.subscription", "write", by_us).await;
    bench.run = 2;
    bench.export("contact.csv", "id,email\n10,ana@example.org\n");
    let report = bench.all().await.pop().unwrap();
    sound(std::slice::from_ref(&report));
    assert_eq!(report.verification.unwrap().edited_by_user, 1);
}

/// Who unsubscribes writes to the line alone, and who takes a link away may do so at its other end.
#[tokio::test]
async fn a_person_who_unsubscribes_while_the_cutover_waits_does_not_stop_it() {
    for takes_the_line_away in [false, true] {
        let mut bench = on_a_list().await;
        let line = id_of(&bench, "listContacts_10_subscription_ids__1").await.unwrap();
        let (method, args) = if takes_the_line_away {
            ("unlink", args!({"ids": [line]}))
        } else {
            ("write", args!({"ids": [line], "vals": {"opt_out": true}}))
        };
        bench.by_ana("mailing.subscription", method, args).await;
        bench.done(Step::Delta, None).await;
        bench.approve_cutover();
        let cutover = bench.done(Step::Cutover, None).await;
        assert!(cutover.cutover.unwrap().switched.is_some());
        let edited: i64 = cutover
            .objects
            .iter()
            .map(|object| object.verification.unwrap().edited_by_user)
            .sum();
        assert_eq!(edited, 1);
    }
}

/// What was a person's when it was read back is theirs, though we write to the record then.
#[tokio::test]
async fn a_person_whose_record_is_written_for_another_object_does_not_stop_the_cutover() {
    let mut bench = on_a_list().await;
    let contact = id_of(&bench, "listContacts_10").await.unwrap();
    let theirs = args!({"ids": [contact], "vals": {"email": "theirs@example.com"}});
    bench.by_ana("mailing.contact", "write", theirs).await;
    bench.run = 2;
    sound(&bench.all().await);
    let ours = args!({"ids": [contact], "vals": {"company_name": "ours"}});
    bench.call("mailing.contact", "write", ours).await;
    bench.approve_cutover();
    let cutover = bench.done(Step::Cutover, None).await;
    assert!(cutover.cutover.unwrap().switched.is_some());
}

/// What the key's own user wrote is nobody's edit: it was not proved so.
#[tokio::test]
async fn a_line_that_changed_by_our_hand_while_the_cutover_waits_stops_it() {
    let mut bench = on_a_list().await;
    let line = id_of(&bench, "listContacts_10_subscription_ids__1").await.unwrap();
    let change = args!({"ids": [line], "vals": {"opt_out": true}});
    bench.call("mailing.subscription", "write", change).await;
    bench.approve_cutover();
    let (_, status) = bench.step(Step::Cutover, None).await;
    assert!(
        status.cutover.is_none_or(|cutover| cutover.switched.is_none()),
        "{:#?}",
        status.failure
    );
}

/// What a person took away is away for good, be it that the source lets it go for a while.
#[tokio::test]
async fn a_line_that_a_person_took_away_is_not_made_again_when_the_source_has_it_again() {
    let mut bench = on_a_list().await;
    let line = id_of(&bench, "listContacts_10_subscription_ids__1").await.unwrap();
    bench
        .by_ana("mailing.subscription", "unlink", args!({"ids": [line]}))
        .await;
    for (run, members) in [(2, "10,1,true\n"), (3, "10,2,false\n"), (4, "10,1,false\n10,2,false\n")] {
        bench.run = run;
        bench.export("list_member.csv", &format!("contact_id,list_id,out\n{members}"));
        sound(&bench.all().await);
        assert_eq!(
            id_of(&bench, "listContacts_10_subscription_ids__1").await,
            None,
            "{run}"
        );
    }
}
