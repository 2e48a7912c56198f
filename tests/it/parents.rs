//! Records above one another, among them those that cannot be.

use std::fmt::Write as _;

use crmferry::{args, odoo::rpc::Rpc};
use serde_json::{Value as Json, json};

use crate::steps::{Bench, sound};

fn bench(rows: &str) -> Bench {
    let mapping = json!({
        "source": {"platform": "Pipz"},
        "objects": [{"name": "contacts", "source": {"object": "contact"}, "key": ["id"], "destination": {"model": "res.partner"},
            "fields": [{"to": "name", "from": "name"},
                       {"to": "parent_id", "from": "boss", "lookup": {"object": "contacts"}, "onMissing": "Defer"}]}],
    });
    let bench = Bench::new(mapping);
    bench.export("contact.csv", &format!("id,name,boss\n{rows}"));
    bench
}

async fn names(bench: &Bench) -> Vec<(String, String)> {
    let domain = json!([["name", "ilike", "rung"]]);
    let args = args!({"domain": domain, "fields": ["name", "parent_id"], "order": "name"});
    let found = bench.memory.call("res.partner", "search_read", args).await.unwrap();
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let rows = found.as_array().unwrap().iter();
    rows.map(|row| (text(&row["name"]), text(&row["parent_id"][1])))
        .collect()
}

#[tokio::test]
async fn of_records_in_a_ring_one_is_refused_by_odoo_and_the_books_still_balance() {
    let mut bench = bench("1,Ana,2\n2,Bia,1\n3,Caio,3\n4,Dan,2\n");
    let report = bench.all().await;
    let book = &report[0].book;
    assert_eq!((book.created, book.failed, book.present), (3, 1, 4), "{book:?}");
    assert!(book.balanced, "{book:?}");
    let proof = report[0].verification.as_ref().unwrap();
    assert_eq!(
        (proof.matching, proof.mismatched, proof.missing_in_destination),
        (3, 0, 0)
    );

    // the source is mended: what was refused is filled, nothing is made again
    bench.run = 2;
    bench.export("contact.csv", "id,name,boss\n1,Ana,2\n2,Bia,\n3,Caio,2\n4,Dan,2\n");
    let report = bench.all().await;
    sound(&report);
    let book = &report[0].book;
    assert_eq!((book.created, book.failed, book.present), (0, 0, 4), "{book:?}");
}

#[tokio::test]
async fn people_above_one_another_the_lowest_first_all_get_theirs() {
    let rows = (1..60).fold("60,Top,\n".to_owned(), |mut rows, id| {
        let _ = writeln!(rows, "{id},Rung {id},{}", id + 1);
        rows
    });
    let mut bench = bench(&rows);
    let report = bench.all().await;
    sound(&report);
    assert_eq!(report[0].book.created, 60);
    let found = names(&bench).await;
    assert!(
        found.contains(&("Rung 1".to_owned(), "Rung 3, Rung 2".to_owned())),
        "{:?}",
        &found[..4]
    );
}
