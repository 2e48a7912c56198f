//! Faults, and what must be in Odoo after them.

use std::{collections::BTreeMap, sync::atomic::AtomicUsize};

use super::*;
use crate::{
    model::Content,
    odoo::{
        content::CALL_BYTES,
        fake::{Fake, Fault, lost},
    },
};

const MODULE: &str = "crmferry_pipz_acme";

fn write(key: &str, op: Op) -> Write {
    let key = SourceKey(key.to_owned());
    Write {
        external_id: ExternalId::of(MODULE, "tags", &key),
        key,
        op,
    }
}

fn named(name: &str) -> Vec<(String, OdooValue)> {
    vec![("name".to_owned(), OdooValue::Text(name.to_owned()))]
}

fn create(key: &str, name: &str) -> Write {
    write(key, Op::Create(named(name)))
}

fn update(key: &str, id: i64, name: &str) -> Write {
    let op = Op::Update {
        id,
        values: named(name),
        unlink: vec![],
        lines: vec![],
    };
    write(key, op)
}

fn writer(odoo: &Arc<Fake>) -> Writer {
    Writer::new(odoo.clone(), OdooModel("crm.tag".to_owned()), MODULE.to_owned())
}

fn names(odoo: &Fake) -> Vec<String> {
    odoo.all("crm.tag")
        .iter()
        .map(|record| record["name"].as_str().unwrap().to_owned())
        .collect()
}

fn outcomes(done: &Done) -> BTreeMap<&str, &'static str> {
    let word = |written: &Written| match written {
        Written::Created(_) => "created",
        Written::Updated(_) => "updated",
        Written::Adopted(_) => "adopted",
        Written::Failed(_) => "failed",
    };
    done.iter()
        .map(|(key, written)| (key.0.as_str(), word(written)))
        .collect()
}

async fn run(odoo: &Arc<Fake>, batch: Vec<Write>) -> Result<Done, Interrupted> {
    writer(odoo).write(batch, &|| true).await
}

#[tokio::test(start_paused = true)]
async fn a_batch_goes_in_by_one_call_with_its_external_ids() {
    let odoo = Arc::new(Fake::default());
    let done = run(&odoo, vec![create("1", "a"), create("2", "b")]).await.unwrap();
    assert_eq!(outcomes(&done), BTreeMap::from([("1", "created"), ("2", "created")]));
    assert_eq!(odoo.count("crm.tag.create"), 1);
    let known = identity::find_all(&*odoo, MODULE, "tags", "crm.tag").await.unwrap();
    assert_eq!(
        known.iter().map(|identity| identity.name.as_str()).collect::<Vec<_>>(),
        ["tags_1", "tags_2"]
    );
    assert_eq!(identity::count_present(&*odoo, MODULE, "tags", "crm.tag").await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_after_the_commit_makes_no_twin() {
    let odoo = Arc::new(Fake::default());
    odoo.fail("crm.tag.create", [Fault::After(lost())]);
    let unreachable = || RpcError::Unreachable { message: String::new() };
    let batch = vec![create("1", "a"), create("2", "b")];
    odoo.fail("crm.tag.search", [Fault::Before(unreachable())]);
    let done = run(&odoo, batch).await.unwrap();
    assert_eq!(outcomes(&done), BTreeMap::from([("1", "created"), ("2", "created")]));
    assert_eq!(names(&odoo), ["a", "b"]);
    assert_eq!(odoo.count("crm.tag.create"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_lost_on_the_way_is_sent_again() {
    let odoo = Arc::new(Fake::default());
    odoo.fail(
        "crm.tag.create",
        [Fault::Before(lost()), Fault::Before(RpcError::Conflict)],
    );
    let done = run(&odoo, vec![create("1", "a"), create("2", "b")]).await.unwrap();
    assert_eq!(done.len(), 2);
    assert_eq!(names(&odoo), ["a", "b"]);
    assert_eq!(odoo.count("crm.tag.create"), 3);
}

#[tokio::test(start_paused = true)]
async fn only_the_bad_rows_of_a_refused_batch_fail() {
    let odoo = Arc::new(Fake::default());
    let rows = (0..200)
        .map(|row| create(&row.to_string(), if row % 100 == 7 { "bad" } else { "good" }))
        .collect();
    let done = run(&odoo, rows).await.unwrap();
    let failed: Vec<&str> = outcomes(&done)
        .into_iter()
        .filter(|(_, word)| *word == "failed")
        .map(|(key, _)| key)
        .collect();
    assert_eq!((failed, done.len(), names(&odoo).len()), (vec!["107", "7"], 200, 198));
    assert!(odoo.count("crm.tag.create") < 30, "{}", odoo.count("crm.tag.create"));
    let why = done.iter().find_map(|(_, written)| {
        if let Written::Failed(why) = written {
            Some(why)
        } else {
            None
        }
    });
    assert_eq!(why.unwrap(), &Rejection::new("ValidationError", "", "bad is bad"));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_never_answered_fails_alone() {
    let odoo = Arc::new(Fake::default());
    let rows = (0..50)
        .map(|row| create(&row.to_string(), if row == 20 { "poison" } else { "good" }))
        .collect();
    let done = run(&odoo, rows).await.unwrap();
    assert_eq!(outcomes(&done)["20"], "failed");
    assert_eq!(names(&odoo).len(), 49);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_nothing_ends_it_and_what_is_done_is_told() {
    let odoo = Arc::new(Fake::default());
    let id = odoo.put("crm.tag", &json!({"name": "old"}));
    odoo.fail("crm.tag.web_save_multi", (0..99).map(|_| Fault::Before(lost())));
    let Interrupted { done, stop } = run(&odoo, vec![update("2", id, "b")]).await.unwrap_err();
    assert!(done.is_empty() && matches!(stop, Stop::Rpc(RpcError::Unknown { .. })));
    let ids = (0..20).map(|row| odoo.put("crm.tag", &json!({"name": format!("{row}")})));
    let updates = ids.map(|id| update(&id.to_string(), id, "b"));
    let batch = std::iter::once(create("1", "a")).chain(updates).collect();
    let Interrupted { done, stop } = run(&odoo, batch).await.unwrap_err();
    assert_eq!(outcomes(&done), BTreeMap::from([("1", "created")]));
    assert!(matches!(stop, Stop::Rpc(RpcError::Unknown { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_refused_ends_it_at_once() {
    let odoo = Arc::new(Fake::default());
    odoo.fail("crm.tag.create", [Fault::Before(RpcError::Unauthorized)]);
    let Interrupted { stop, .. } = run(&odoo, vec![create("1", "a")]).await.unwrap_err();
    assert!(matches!(stop, Stop::Rpc(RpcError::Unauthorized)));
    assert_eq!(odoo.count("crm.tag.create"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fenced_worker_sends_nothing_more() {
    let odoo = Arc::new(Fake::default());
    let asked = AtomicUsize::new(0);
    let batch = vec![create("1", "bad"), create("2", "b")];
    let twice = || asked.fetch_add(1, Ordering::Relaxed) < 2;
    let Interrupted { done, stop } = writer(&odoo).write(batch, &twice).await.unwrap_err();
    assert!(matches!(stop, Stop::Fenced));
    assert_eq!(outcomes(&done), BTreeMap::from([("1", "failed")]));
    assert_eq!(odoo.count("crm.tag.create"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_has_its_external_id_already_is_changed_not_made() {
    let odoo = Arc::new(Fake::default());
    run(&odoo, vec![create("1", "a")]).await.unwrap();
    let done = run(&odoo, vec![create("1", "b"), create("2", "c")]).await.unwrap();
    assert_eq!(outcomes(&done), BTreeMap::from([("1", "updated"), ("2", "created")]));
    assert_eq!(names(&odoo), ["b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn different_changes_travel_together_and_rows_that_are_gone_fail() {
    for old in [false, true] {
        let mut odoo = Fake::default();
        odoo.old = old;
        let odoo = Arc::new(odoo);
        let ids: Vec<i64> = ["a", "b", "c"]
            .iter()
            .map(|name| odoo.put("crm.tag", &json!({"name": name})))
            .collect();
        let batch = vec![
            update("1", ids[0], "x"),
            update("2", 99_999, "y"),
            update("3", ids[1], "bad"),
            update("4", ids[2], "z"),
        ];
        let done = run(&odoo, batch).await.unwrap();
        let wanted = [("1", "updated"), ("2", "failed"), ("3", "failed"), ("4", "updated")];
        assert_eq!(outcomes(&done), BTreeMap::from(wanted), "old: {old}");
        assert_eq!(names(&odoo), ["x", "b", "z"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_refers_to_a_record_that_is_gone_fails_alone() {
    let odoo = Arc::new(Fake::default());
    let batch = vec![create("1", "a"), create("2", "dangling"), create("3", "c")];
    let done = run(&odoo, batch).await.unwrap();
    let wanted = [("1", "created"), ("2", "failed"), ("3", "created")];
    assert_eq!(outcomes(&done), BTreeMap::from(wanted));
}

#[tokio::test(start_paused = true)]
async fn an_adopted_record_gets_values_and_a_name_that_says_so_or_neither() {
    let odoo = Arc::new(Fake::default());
    let ids: Vec<i64> = ["a", "b"]
        .iter()
        .map(|name| odoo.put("crm.tag", &json!({"name": name})))
        .collect();
    let adopt = |key: &str, id, name: &str| {
        let values = named(name);
        write(
            key,
            Op::Adopt {
                id,
                values,
                lines: vec![],
            },
        )
    };
    odoo.fail("ir.model.data.create", [Fault::After(lost())]);
    let done = run(&odoo, vec![adopt("1", ids[0], "x"), adopt("2", ids[1], "bad")])
        .await
        .unwrap();
    assert_eq!(outcomes(&done), BTreeMap::from([("1", "adopted"), ("2", "failed")]));
    let known = identity::find_all(&*odoo, MODULE, "tags", "crm.tag").await.unwrap();
    assert_eq!(known.len(), 1);
    assert!(known[0].noupdate && known[0].res_id == ids[0]);
    let again = run(&odoo, vec![adopt("1", ids[0], "x"), adopt("1", ids[1], "y")])
        .await
        .unwrap();
    assert_eq!(
        again[0].1,
        Written::Failed(Rejection::new(
            "Duplicate",
            "",
            format!("{MODULE}.tags_1 comes twice in one batch")
        ))
    );
    let other = run(&odoo, vec![adopt("1", ids[1], "y")]).await.unwrap();
    assert_eq!(
        outcomes(&other),
        BTreeMap::from([("1", "failed")]),
        "its name is another record's"
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_that_another_models_record_has_is_not_moved() {
    let odoo = Arc::new(Fake::default());
    odoo.put(
        "ir.model.data",
        &json!({"module": MODULE, "name": "tags_1", "model": "crm.team", "res_id": 7}),
    );
    let done = run(&odoo, vec![create("1", "a")]).await.unwrap();
    let why = Rejection::new("IdentityTaken", "", "the external id names crm.team 7 already");
    assert_eq!(done, [(SourceKey("1".to_owned()), Written::Failed(why))]);
    assert_eq!(odoo.count("crm.tag.create"), 0);
}

#[test]
fn rows_of_load_are_parted_by_their_fields_and_what_is_absent_is_found() {
    let row = |fields: &[&str]| Row {
        key: SourceKey("1".to_owned()),
        name: String::new(),
        id: 0,
        values: fields.iter().map(|field| ((*field).to_owned(), Json::Null)).collect(),
        contents: Vec::new(),
        then: Then::Updated,
    };
    assert_eq!(same_fields(&[row(&["a"]), row(&["a"]), row(&["a", "b"])]), [0..2, 2..3]);
    assert_eq!(absent(&[None, Some(1), None, None], 10), [10..11, 12..14]);
}

#[test]
fn a_record_comes_once_in_a_call() {
    let row = |id| Row {
        key: SourceKey("1".to_owned()),
        name: String::new(),
        id,
        values: Map::new(),
        contents: Vec::new(),
        then: Then::Updated,
    };
    let rows = [row(1), row(2), row(1)];
    let calls = once_each(&rows.iter().collect::<Vec<_>>());
    assert_eq!(calls.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn a_call_carries_no_more_content_than_is_bearable_unless_one_alone_is_larger() {
    let row = |bytes: u64| Row {
        key: SourceKey("1".to_owned()),
        name: String::new(),
        id: 0,
        values: Map::new(),
        contents: vec![("datas".to_owned(), Content::in_odoo(String::new(), bytes))],
        then: Then::Updated,
    };
    let all = CALL_BYTES;
    let rows = [
        row(1),
        row(all),
        row(0),
        row(all / 2),
        row(all / 2),
        row(1),
        row(3 * all),
        row(1),
    ];
    let calls = of_bounded_weight(&rows, vec![0..8, 2..4, 4..5, 0..0]);
    assert_eq!(calls, [0..1, 1..3, 3..5, 5..6, 6..7, 7..8, 2..4, 4..5, 0..0]);
}
