//! Adding a platform takes a connector of one small file, its line in the list of connectors, and a mapping.

mod fourth;

use axum::{Router, http::Uri, routing::get};
use crmferry::{api::phase_run::Step, source::Apis};
use serde_json::{Value, json};

use crate::steps::{Bench, sound};

const MAPPING: &str = r#"{
    "source": {"platform": "Pipz"},
    "objects": [{"name": "people", "source": {"object": "person"}, "key": ["id"], "destination": {"model": "res.partner"},
                 "fields": [{"to": "name", "from": "name", "onEmpty": "Reject"}, {"to": "comment", "from": "level"}]}]
}"#;

async fn people(address: Uri) -> String {
    let after: u64 = address
        .query()
        .unwrap()
        .trim_start_matches("after=")
        .parse()
        .unwrap_or(0);
    let page: Vec<Value> = (after + 1..=after + 10)
        .map(|id| json!({"id": id, "name": format!("Pessoa {id}"), "level": id}))
        .collect();
    json!({"people": page, "after": (after < 20).then(|| (after + 10).to_string())}).to_string()
}

#[tokio::test]
async fn a_fourth_platform_is_one_small_file_and_goes_all_the_way() {
    let connector = include_str!("platform/fourth.rs").lines().count();
    assert!(connector < 200, "{connector} lines");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/people", get(people))).await });
    let _ = rustls::crypto::ring::default_provider().install_default();

    let mut bench = Bench::from(&json!({"account": "acme"}), serde_json::from_str(MAPPING).unwrap());
    let secrets = bench.root.path().join("secret");
    bench.apis = Apis {
        connectors: &[fourth::CONNECTOR],
        secrets: secrets.clone(),
    };
    let (_, missing) = bench.step(Step::Discover, None).await;
    let message = missing.failure.unwrap().message;
    assert!(message.contains("needs the key token"), "{message}");
    std::fs::create_dir_all(&secrets).unwrap();
    std::fs::write(secrets.join("token"), "T\n").unwrap();
    std::fs::write(secrets.join("url"), format!("http://{address}")).unwrap();
    let reports = bench.all().await;
    sound(&reports);
    assert_eq!(reports[0].book.created, 30);
}
