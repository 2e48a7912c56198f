//! Runs that read a Pipz through its API, files beside it.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use crmferry::{
    api::{
        PhaseRunStatus,
        migration::OwnersMissing,
        phase_run::{FailureReason, Step},
    },
    lifecycle::Exit,
    odoo::rpc::Rpc,
};
use serde_json::{Value, json};

use crate::{
    pipz::Simulator,
    steps::{Bench, sound},
};

/// A Migration of the simulator's account, step by step on an Odoo in memory.
fn bench(simulator: &Simulator, files: bool) -> Bench {
    let mut source = json!({"account": "acme", "pipz": {
        "url": simulator.url, "secretRef": {"name": "pipz"}, "insecure": true, "callsPerMinute": 60_000,
    }});
    if files {
        source["files"] = json!({"path": "exports/"});
    }
    let mut bench = Bench::from(&source, json!({"extends": "pipz-to-odoo"}));
    // nobody of the account is in Odoo
    bench.migration.spec.owners.on_missing = OwnersMissing::Empty;
    let secrets = bench.root.path().join("secret");
    std::fs::create_dir_all(&secrets).unwrap();
    std::fs::write(secrets.join("apiKey"), "K-publica\n").unwrap();
    std::fs::write(secrets.join("apiSecret"), "S-secreta\n").unwrap();
    bench
}

fn failure(status: &PhaseRunStatus) -> (FailureReason, String) {
    let failure = status.failure.clone().unwrap();
    (failure.reason, failure.message)
}

#[tokio::test]
async fn discovery_names_the_exports_that_are_needed_and_the_files_that_are_not_read() {
    let simulator = Simulator::start("--contacts 1200 --companies 4 --deal 405");
    let mut bench = bench(&simulator, true);
    bench.export("contact.csv", "id,name\n1,Ana\n");
    bench.export("user.csv", "id,name,email\n1,Ana,ana@vendas.example\n");
    let plan = bench.done(Step::Discover, None).await.plan.unwrap();
    let told: Vec<(String, String)> = plan
        .findings
        .iter()
        .map(|finding| (finding.code.clone(), finding.path.clone()))
        .collect();
    let has = |code: &str, object: &str| told.contains(&(code.to_owned(), format!("source[{object}]")));
    assert!(
        has("ExportNeeded", "deal") && has("ExportNeeded", "stage") && has("ExportNeeded", "pipeline"),
        "{told:?}"
    );
    assert!(
        has("FileUnused", "contact") && !has("ExportNeeded", "user") && !has("ExportNeeded", "company"),
        "{told:?}"
    );
    let deal = plan
        .findings
        .iter()
        .find(|finding| finding.path == "source[deal]")
        .unwrap();
    for words in [
        "it answers 405",
        "push it into exports/ as deal.csv or deal.jsonl",
        "deal_id, name, value",
    ] {
        assert!(deal.message.contains(words), "{}", deal.message);
    }
    let scope = std::fs::read_to_string(bench.folder().join("results/scope.md")).unwrap();
    assert!(
        scope.contains("| contact | 1200 |") && scope.contains("| company | 4 |"),
        "{scope}"
    );
    assert!(scope.contains("offers contact: about 1200 records"), "{scope}");
    let calls = simulator.log().await.len();
    assert!(
        calls <= 45,
        "{calls} calls to look at 1,200 contacts: no second reading"
    );
}

#[tokio::test]
async fn an_api_without_contacts_is_no_account_unless_a_file_has_them() {
    let simulator = Simulator::start("--contacts 5 --companies 4 --contact 404");
    let mut bench = bench(&simulator, true);
    bench.export("deal.csv", "id,name\n1,Proposal\n");
    let (reason, message) = failure(&bench.step(Step::Discover, None).await.1);
    assert_eq!(reason, FailureReason::Preflight);
    for words in [
        "contact (it answers 404)",
        "is its url right?",
        "push it into exports/ as contact.csv",
    ] {
        assert!(message.contains(words), "{message}");
    }
    bench.export("contact.csv", "id,name\n1,Ana\n");
    bench.done(Step::Discover, None).await;
}

#[tokio::test]
async fn what_stands_in_the_way_of_an_api_is_said_with_what_to_do() {
    let simulator = Simulator::start("--contact 404 --company 404");
    let mut without = bench(&simulator, false);
    let (reason, message) = failure(&without.step(Step::Discover, None).await.1);
    assert_eq!(reason, FailureReason::SourceUnavailable);
    assert!(
        message.contains("contact: it answers 404") && message.contains("is its url right?"),
        "{message}"
    );
    let mut with = bench(&simulator, true);
    let (reason, message) = failure(&with.step(Step::Discover, None).await.1);
    assert_eq!(reason, FailureReason::ExportMissing);
    assert!(
        message.contains("is its url right?") && message.contains("kubectl crmferry push"),
        "{message}"
    );

    std::fs::remove_file(with.root.path().join("secret/apiSecret")).unwrap();
    let (reason, message) = failure(&with.step(Step::Discover, None).await.1);
    assert_eq!(reason, FailureReason::SecretMissing);
    assert!(
        message.contains("pipz needs the key apiSecret, in the Secret pipz"),
        "{message}"
    );
    std::fs::write(with.root.path().join("secret/apiSecret"), "S-errada").unwrap();
    let (reason, message) = failure(&with.step(Step::Discover, None).await.1);
    assert_eq!(reason, FailureReason::SourceUnauthorized);
    assert!(message.contains("put valid ones into the Secret"), "{message}");
}

#[tokio::test]
async fn an_object_that_the_api_offers_no_more_is_not_taken_for_an_empty_one() {
    let simulator = Simulator::start("--contacts 20 --companies 20");
    let mut bench = bench(&simulator, true);
    bench.done(Step::Discover, None).await;
    simulator.control(json!({"options": {"company": "404"}})).await;
    let (exit, status) = bench.step(Step::Extract, None).await;
    let (reason, message) = failure(&status);
    assert_eq!((exit, reason), (Exit::Retry, FailureReason::SourceUnavailable));
    assert!(
        message.contains("the API offered company at discovery and does not now (it answers 404)"),
        "{message}"
    );
    simulator.control(json!({"options": {"company": "yes"}})).await;
    bench.done(Step::Extract, None).await;
}

/// Each attempt asks anew what is offered: a moment's refusal must not make it read with less than was planned.
#[tokio::test]
async fn what_was_offered_at_discovery_is_read_no_less_in_a_later_attempt() {
    let simulator = Simulator::start("--contacts 60 --companies 4 --rows summary --custom label");
    let mut bench = bench(&simulator, false);
    bench.done(Step::Discover, None).await;
    bench.done(Step::Extract, None).await;
    // not a detail is tried to find that out again
    let refusal = json!({"do": "status", "status": 404, "object": "company", "detail": true, "times": 4});
    simulator.control(json!({"faults": [refusal]})).await;
    let delta = bench.done(Step::Extract, None).await.delta.unwrap();
    assert_eq!((delta.changed, delta.gone), (0, 0), "rows are summaries still");

    simulator
        .control(json!({"clear": true, "options": {"contactfields": "404"}}))
        .await;
    let (_, status) = bench.step(Step::Extract, None).await;
    let (reason, message) = failure(&status);
    assert_eq!(reason, FailureReason::SourceUnavailable);
    assert!(
        message.contains("it was there at discovery, and now it answers 404"),
        "{message}"
    );

    // what comes to be offered later has no place in the plan
    simulator
        .control(json!({"options": {"contactfields": "yes", "deal": "yes"}}))
        .await;
    let delta = bench.done(Step::Extract, None).await.delta.unwrap();
    assert_eq!((delta.changed, delta.gone), (0, 0));
}

#[tokio::test]
async fn what_is_announced_and_not_given_is_a_finding_of_the_reading() {
    let simulator = Simulator::start("--contacts 90 --companies 4 --meta boasting");
    let mut bench = bench(&simulator, false);
    bench.done(Step::Discover, None).await;
    let delta = bench.done(Step::Extract, None).await.delta.unwrap();
    let told: Vec<(&str, &str)> = delta
        .findings
        .iter()
        .map(|told| (told.code.as_str(), told.path.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("FewerThanAnnounced", "source[company]"),
            ("FewerThanAnnounced", "source[contact]")
        ]
    );
    assert!(
        delta.findings[1].message.contains("about 1080, and gave 90"),
        "{:?}",
        delta.findings
    );
}

#[tokio::test]
async fn a_round_of_delta_moves_what_changed_though_the_api_cannot_tell() {
    let simulator = Simulator::start("--contacts 60 --companies 5 --rows summary");
    let mut bench = bench(&simulator, true);
    sound(&bench.all().await);
    simulator
        .control(json!({"faults": [{"do": "delete", "object": "contact", "detail": false, "after": 1, "id": 4030}]}))
        .await;
    simulator
        .control(json!({"change": {"contact": {"4005": {"name": "Nome Novo"}}}}))
        .await;
    let status = bench.done(Step::Delta, None).await;
    let delta = status.delta.unwrap();
    assert_eq!((delta.changed, delta.gone), (1, 1));
    let rpc: Arc<dyn Rpc> = bench.memory.clone();
    let renamed = crmferry::args!({"domain": [["name", "=", "Nome Novo"]]});
    let found = rpc.call("res.partner", "search_count", renamed).await.unwrap();
    assert_eq!(found, json!(1));
    let notes = std::fs::read_to_string(bench.folder().join("results/source.csv")).unwrap();
    assert!(notes.contains("contact,4030,Deleted,"), "{notes}");
    let quiet = bench.done(Step::Delta, None).await.delta.unwrap();
    assert_eq!((quiet.changed, quiet.gone), (0, 0));
}

/// The sample of deploy/samples, with the simulator as the account.
struct Laptop {
    root: tempfile::TempDir,
}

impl Laptop {
    async fn new(simulator: &Simulator) -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        simulator.control(json!({"export": path("from")})).await;
        for (file, text) in [("apiKey", "K-publica"), ("apiSecret", "S-secreta")] {
            std::fs::create_dir_all(path("secrets/pipz")).unwrap();
            std::fs::write(path("secrets/pipz").join(file), text).unwrap();
        }
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/samples/pipz-api-to-odoo");
        std::fs::create_dir_all(path("manifests")).unwrap();
        std::fs::copy(sample.join("mapping.yaml"), path("manifests/mapping.yaml")).unwrap();
        let migration = std::fs::read_to_string(sample.join("migration.yaml")).unwrap();
        let api = format!(
            "secretRef: {{name: pipz}}\n      url: {}\n      insecure: true\n      callsPerMinute: 60000\n",
            simulator.url
        );
        let migration = migration.replacen("secretRef: {name: pipz}", &api, 1);
        std::fs::write(path("manifests/migration.yaml"), migration).unwrap();
        Self { root }
    }

    /// Runs, and gives what was printed and the report.
    fn run(&self, exports: bool) -> (String, Value) {
        let path = |name: &str| self.root.path().join(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_crmferry"));
        command
            .arg("run")
            .arg("-f")
            .arg(path("manifests"))
            .arg("--workspace")
            .arg(path("ws"));
        command
            .arg("--secrets")
            .arg(path("secrets"))
            .args(["--approve", "mapping", "--approve", "cutover"]);
        if exports {
            command.arg("--exports").arg(path("from"));
        }
        let output = command.stdin(Stdio::null()).env_remove("RUST_LOG").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        let report = std::fs::read_to_string(path("ws/report.json")).unwrap();
        (text, serde_json::from_str(&report).unwrap())
    }
}

fn book(report: &Value, object: &str, count: &str) -> i64 {
    let objects = report["objects"].as_array().unwrap();
    let object = objects.iter().find(|found| found["name"] == object).unwrap();
    object["book"][count].as_i64().unwrap()
}

#[tokio::test]
async fn a_laptop_run_takes_contacts_from_the_api_and_deals_from_files_and_again_only_what_changed() {
    let simulator = Simulator::start("--contacts 40 --companies 8 --deals 15 --custom mixed --seed 5");
    let laptop = Laptop::new(&simulator).await;
    let (text, report) = laptop.run(true);
    for (object, created) in [("contacts", 40), ("companies", 8), ("deals", 15), ("teams", 3)] {
        assert_eq!(book(&report, object, "created"), created, "{object}: {text}");
    }
    let kept = laptop.root.path().join("ws");
    let told = text + &std::fs::read_to_string(kept.join("report.md")).unwrap();
    assert!(!told.contains("K-publica") && !told.contains("S-secreta"), "{told}");

    simulator
        .control(json!({"change": {"contact": {"4007": {"name": "Nome Novo", "contact_custom_pontos": 7}}}}))
        .await;
    let (text, report) = laptop.run(false);
    for object in report["objects"].as_array().unwrap() {
        let name = object["name"].as_str().unwrap();
        let moved = ["created", "adopted", "updated"].map(|count| book(&report, name, count));
        assert_eq!(
            moved,
            [0, 0, i64::from(["contacts", "listContacts"].contains(&name))],
            "{name}: {text}"
        );
    }
    assert_eq!(book(&report, "contacts", "unchanged"), 39);
}
