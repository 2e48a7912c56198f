//! The steps of a run on an Odoo in memory, one after the other, as Jobs carry them out.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use crmferry::{
    api::{
        MappingSpecSpec, Migration, PhaseRunSpec, PhaseRunStatus,
        migration::{Gate, GateState, MigrationSpec, OwnersMissing},
        phase_run::{FailureReason, ObjectReport, Orders, Outcome, Step},
    },
    lifecycle::{Exit, book},
    odoo::{
        lock::{self, Acquired, Holder},
        memory::Memory,
    },
    source::Apis,
    worker::{self, Start, destination::Door},
    workspace::Workspace,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::room::Room;

/// A Migration without a cluster.
pub(crate) struct Bench {
    pub root: tempfile::TempDir,
    pub apis: Apis,
    pub memory: Arc<Memory>,
    /// The same, or a server.
    pub door: Door,
    pub migration: Migration,
    pub mapping: MappingSpecSpec,
    plan: Option<String>,
    attempt: i64,
    pub run: i64,
    pub orders: Orders,
}

impl Bench {
    pub fn new(mapping: serde_json::Value) -> Self {
        Self::from(&json!({"account": "acme", "files": {"path": "exports/"}}), mapping)
    }

    /// With a source of its own.
    pub fn from(source: &serde_json::Value, mapping: serde_json::Value) -> Self {
        let root = tempfile::tempdir().unwrap();
        let spec: MigrationSpec = serde_json::from_value(json!({
            "mappingSpecRef": {"name": "pipz"},
            "source": source,
            "destination": {"odoo": {"url": "http://odoo.invalid", "database": "crm", "secretRef": {"name": "odoo"}, "insecure": true}},
            "workspace": {"persistentVolumeClaim": {"claimName": "ferry"}},
        }))
        .unwrap();
        let mut migration = Migration::new("acme", spec);
        migration.metadata.namespace = Some("default".into());
        migration.metadata.uid = Some("uid-1".into());
        let memory = Arc::new(Memory::new());
        Self {
            apis: Apis::new(root.path().join("secret")),
            root,
            door: Door::Memory(memory.clone()),
            memory,
            migration,
            mapping: serde_json::from_value(mapping).unwrap(),
            plan: None,
            attempt: 0,
            run: 1,
            orders: Orders::default(),
        }
    }

    pub fn folder(&self) -> PathBuf {
        self.root.path().join("default/acme")
    }

    pub fn export(&self, file: &str, text: &str) {
        let folder = self.folder().join("exports");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(file), text).unwrap();
    }

    fn export_folder(&self, from: &Path) {
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let folder = self.folder().join("exports");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
    }

    pub async fn step(&mut self, step: Step, object: Option<&str>) -> (Exit, PhaseRunStatus) {
        self.step_until(step, object, CancellationToken::new()).await
    }

    async fn step_until(
        &mut self,
        step: Step,
        object: Option<&str>,
        until: CancellationToken,
    ) -> (Exit, PhaseRunStatus) {
        self.attempt += 1;
        let room = Arc::new(Room::new(self.migration.clone(), self.mapping.clone()));
        let scratch = tempfile::tempdir().unwrap();
        let exit = worker::run(Start {
            home: room.clone(),
            name: format!("acme-{}", self.attempt),
            spec: PhaseRunSpec {
                migration: "acme".into(),
                run: self.run,
                phase: step,
                object: object.map(str::to_owned),
                attempt: self.attempt,
                plan_digest: self.plan.clone(),
                image: String::new(),
                orders: self.orders,
            },
            workspace: Workspace::local(self.root.path(), "default", "acme").unwrap(),
            door: self.door.clone(),
            apis: self.apis.clone(),
            scratch: scratch.path().to_owned(),
            stop: until,
            now: jiff::Timestamp::now,
            place: "test".into(),
        })
        .await;
        let status = room.status();
        if let Some(plan) = &status.plan {
            self.plan = Some(plan.digest.clone());
        }
        (exit, status)
    }

    pub async fn done(&mut self, step: Step, object: Option<&str>) -> PhaseRunStatus {
        let (exit, status) = self.step(step, object).await;
        assert_eq!(
            (exit, status.outcome),
            (Exit::Done, Some(Outcome::Done)),
            "{step:?} {object:?}: {:#?}",
            status.failure
        );
        status
    }

    /// Discovery to the last object; what each object's load reported.
    pub async fn all(&mut self) -> Vec<ObjectReport> {
        let plan = self.done(Step::Discover, None).await.plan.unwrap();
        self.done(Step::Extract, None).await;
        self.done(Step::Rehearse, None).await;
        self.done(Step::Schema, None).await;
        let mut reports = Vec::new();
        for object in plan.objects {
            let status = self.done(Step::Load, Some(&object.name)).await;
            println!("{:?} {:?}", status.objects, status.reasons);
            reports.extend(status.objects);
        }
        reports
    }

    pub fn approve_cutover(&mut self) {
        let status = self.migration.status.get_or_insert_default();
        status.gates = vec![Gate {
            name: "cutover".into(),
            state: GateState::Approved,
            evidence_digest: "sha256:1".into(),
            ..serde_json::from_value(json!({"name": "cutover", "state": "Approved"})).unwrap()
        }];
        let annotations = self.migration.metadata.annotations.get_or_insert_default();
        annotations.insert("approval.crmferry.io/cutover".into(), "sha256:1 by ana".into());
    }
}

pub(crate) fn sound(reports: &[ObjectReport]) {
    for report in reports {
        assert!(book::balances(&report.book) && report.book.balanced, "{report:#?}");
        assert!(
            report.verification.is_some_and(|verification| verification.verified),
            "{report:#?}"
        );
    }
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/samples/pipz-to-odoo/exports")
}

/// Users of the sample that Odoo lacks are held, and `owners` lets them be.
fn all_but_users_sound(reports: &[ObjectReport]) {
    let (users, others): (Vec<_>, Vec<_>) = reports.iter().cloned().partition(|report| report.name == "users");
    sound(&others);
    assert!(book::adds_up(&users[0].book), "{users:#?}");
    assert_eq!(
        (users[0].book.held, users[0].book.rejected, users[0].waiting),
        (4, 1, 0)
    );
}

#[tokio::test]
async fn the_sample_goes_all_the_way_and_a_second_run_changes_nothing() {
    let mut bench = Bench::new(json!({"extends": "pipz-to-odoo"}));
    bench.migration.spec.owners.on_missing = OwnersMissing::Empty;
    bench.export_folder(&sample());
    let first = bench.all().await;
    all_but_users_sound(&first);
    assert!(first.iter().map(|report| report.book.created).sum::<i64>() > 100);
    bench.done(Step::Delta, None).await;
    bench.approve_cutover();
    let cutover = bench.done(Step::Cutover, None).await.cutover.unwrap();
    assert!(cutover.switched.is_some());

    bench.run = 2;
    let second = bench.all().await;
    all_but_users_sound(&second);
    for report in &second {
        let book = report.book;
        assert_eq!((book.created, book.adopted, book.updated), (0, 0, 0), "{report:#?}");
    }
}

const CONTACTS: &str = r#"{
    "source": {"platform": "Pipz"},
    "objects": [{"name": "contacts", "source": {"object": "contact"}, "key": ["id"], "match": ["email"],
                 "destination": {"model": "res.partner"},
                 "fields": [{"to": "name", "from": "name", "onEmpty": "Reject"}, {"to": "email", "from": "email"}]}]
}"#;

#[tokio::test]
async fn a_worker_that_is_told_to_stop_keeps_its_place_and_the_next_counts_every_record_once() {
    let mut bench = Bench::new(serde_json::from_str(CONTACTS).unwrap());
    bench.export("contact.csv", &contacts(3_000));
    for step in [Step::Discover, Step::Extract, Step::Rehearse, Step::Schema] {
        bench.done(step, None).await;
    }
    let stop = CancellationToken::new();
    stop.cancel();
    let (exit, status) = bench.step_until(Step::Load, Some("contacts"), stop).await;
    assert_eq!((exit, status.outcome), (Exit::Stopped, Some(Outcome::Stopped)));
    let status = bench.done(Step::Load, Some("contacts")).await;
    sound(&status.objects);
    assert_eq!(status.objects[0].book.created, 3_000);
}

/// Contacts with ids from 0.
#[tokio::test]
async fn a_worker_that_is_told_to_stop_gives_the_lock_back_also_where_its_step_ends_well_meanwhile() {
    let mut bench = Bench::new(serde_json::from_str(CONTACTS).unwrap());
    bench.export("contact.csv", &contacts(3));
    for step in [Step::Discover, Step::Extract, Step::Rehearse] {
        bench.done(step, None).await;
    }
    let stop = CancellationToken::new();
    stop.cancel();
    let (exit, _) = bench.step_until(Step::Schema, None, stop).await;
    assert_eq!(exit, Exit::Done);
    let other = Holder {
        cluster: "another".into(),
        name: "default/other".into(),
        uid: "uid-2".into(),
        run: 1,
        beat: jiff::Timestamp::now(),
    };
    let asked = lock::acquire(&*bench.memory, &other, jiff::Timestamp::now(), false).await;
    assert!(matches!(asked, Ok(Acquired::Ours(_))), "{asked:?}");
}

fn contacts(count: usize) -> String {
    let mut rows = String::from("id,name,email\n");
    for id in 0..count {
        writeln!(rows, "{id},Person {id},p{id}@example.com").unwrap();
    }
    rows
}

#[tokio::test]
async fn what_the_source_no_longer_has_is_counted_in_a_round_and_still_when_the_ledger_is_made_anew() {
    let mut bench = Bench::new(serde_json::from_str(CONTACTS).unwrap());
    bench.export("contact.csv", &contacts(40));
    sound(&bench.all().await);

    bench.export("contact.csv", &contacts(39));
    let round = bench.done(Step::Delta, None).await.objects;
    sound(&round);
    let counts = |book: crmferry::api::Book| (book.read, book.deleted, book.present, book.removed);
    assert_eq!(counts(round[0].book), (39, 1, 40, 0));

    bench.export("contact.csv", &contacts(30));
    bench.orders.rebuild = true;
    bench.done(Step::Extract, None).await;
    bench.orders.rebuild = false;
    for _ in 0..2 {
        let again = bench.done(Step::Load, Some("contacts")).await.objects;
        sound(&again);
        assert_eq!(counts(again[0].book), (30, 10, 40, 0));
    }

    bench.run = 2;
    let next = bench.all().await;
    sound(&next);
    assert_eq!((counts(next[0].book), next[0].book.unchanged), ((30, 10, 40, 0), 30));
}

#[tokio::test]
async fn a_record_without_a_key_is_listed_by_its_place_in_the_export_in_whatever_order_it_is_read() {
    let mut mapping: serde_json::Value = serde_json::from_str(CONTACTS).unwrap();
    mapping["objects"][0]["source"]["orderBy"] = json!("name");
    let mut bench = Bench::new(mapping);
    bench.export("contact.csv", "id,name,email\n1,Zoe,\n,Rui,\n3,Ana,\n,Bea,\n");
    for step in [Step::Discover, Step::Extract, Step::Rehearse] {
        bench.done(step, None).await;
    }
    let rejected = std::fs::read_to_string(bench.folder().join("results/contacts/rejected.csv")).unwrap();
    for place in ["record 2 of contact", "record 4 of contact"] {
        assert!(rejected.contains(place), "{rejected}");
    }
}

#[tokio::test]
async fn a_record_removed_behind_our_back_is_made_again_and_a_changed_one_is_told() {
    let mut bench = Bench::new(serde_json::from_str(CONTACTS).unwrap());
    bench.export(
        "contact.csv",
        "id,name,email\n1,Ana,ana@example.com\n2,Rui,rui@example.com\n",
    );
    sound(&bench.all().await);
    let rpc: Arc<dyn crmferry::odoo::rpc::Rpc> = bench.memory.clone();
    let id = |name: &str| {
        let rpc = rpc.clone();
        let name = name.to_owned();
        async move {
            let found = rpc
                .call(
                    "res.partner",
                    "search",
                    crmferry::args!({"domain": [["name", "=", name]]}),
                )
                .await;
            found.unwrap()[0].as_i64().unwrap()
        }
    };
    // the migration user itself changes one behind the ledger's back, and another one vanishes
    let (ana, rui) = (id("Ana").await, id("Rui").await);
    rpc.call(
        "res.partner",
        "write",
        crmferry::args!({"ids": [ana], "vals": {"name": "Tampered"}}),
    )
    .await
    .unwrap();
    rpc.call("res.partner", "unlink", crmferry::args!({"ids": [rui]}))
        .await
        .unwrap();
    let status = bench.done(Step::Load, Some("contacts")).await;
    let report = &status.objects[0];
    let verification = report.verification.unwrap();
    assert_eq!(
        (verification.mismatched, verification.edited_by_user),
        (0, 1),
        "it was proved, and changed since: {report:#?}"
    );
    assert_eq!(
        report.book.created, 2,
        "made once in this run, whichever attempt made it: {report:#?}"
    );
    assert!(book::balances(&report.book), "{report:#?}");
    let noted = std::fs::read_to_string(bench.folder().join("results/contacts/noted.csv")).unwrap();
    assert_eq!(noted.matches("Remade").count(), 1, "{noted}");
}

#[tokio::test]
async fn records_that_people_made_one_are_both_looked_for_and_the_one_that_is_no_more_is_told() {
    for policy in ["KeepTheirs", "Overwrite"] {
        let mut bench = Bench::new(json!({
            "source": {"platform": "Pipz"}, "onConflict": policy,
            "objects": [{"name": "contacts", "source": {"object": "contact"}, "key": ["id"], "destination": {"model": "res.partner"},
                         "fields": [{"to": "name", "from": "name"}]}]
        }));
        bench.export("contact.csv", "id,name\n1,Ana\n2,Bia\n3,Caio\n");
        sound(&bench.all().await);
        let rpc: Arc<dyn crmferry::odoo::rpc::Rpc> = bench.memory.clone();
        let named = |name: &str| crmferry::args!({"domain": [["name", "=", name]]});
        let ana = rpc.call("res.partner", "search", named("Ana")).await.unwrap()[0].clone();
        let bia = rpc.call("res.partner", "search", named("Bia")).await.unwrap()[0].clone();
        // as Odoo's wizard does: the external id goes over to the record that stays
        let of_bia = crmferry::args!({"domain": [["model", "=", "res.partner"], ["res_id", "=", bia]]});
        let identities = rpc.call("ir.model.data", "search", of_bia).await.unwrap();
        let over = crmferry::args!({"ids": identities, "vals": {"res_id": ana}});
        rpc.call("ir.model.data", "write", over).await.unwrap();
        rpc.call("res.partner", "unlink", crmferry::args!({"ids": [bia]}))
            .await
            .unwrap();
        for run in 2..4 {
            bench.run = run;
            let second = bench.all().await;
            sound(&second);
            let (book, seen) = (second[0].book, second[0].verification.unwrap());
            assert_eq!(
                (book.unchanged, book.present, seen.matching, seen.edited_by_user),
                (3, 2, 2, 1),
                "{second:#?}"
            );
            let noted = std::fs::read_to_string(bench.folder().join("results/contacts/noted.csv")).unwrap();
            assert!(noted.contains("Merged"), "{noted}");
        }
    }
}

#[tokio::test]
async fn what_is_never_made_is_not_made_again_either_where_somebody_took_it_out_of_odoo() {
    for policy in ["Hold", "Reject"] {
        let mut bench = Bench::new(json!({
            "source": {"platform": "Pipz"},
            "objects": [{"name": "contacts", "source": {"object": "contact"}, "key": ["id"], "match": ["email"], "onNew": policy,
                         "destination": {"model": "res.partner"},
                         "fields": [{"to": "name", "from": "name"}, {"to": "email", "from": "email"}]}]
        }));
        bench.export("contact.csv", "id,name,email\n1,Ana,ana@example.com\n");
        let rpc: Arc<dyn crmferry::odoo::rpc::Rpc> = bench.memory.clone();
        let ana = crmferry::args!({"vals_list": [{"name": "Ana", "email": "ana@example.com"}]});
        let ana = rpc.call("res.partner", "create", ana).await.unwrap();
        let first = bench.all().await;
        assert_eq!(first[0].book.adopted, 1, "{policy}: {first:#?}");
        rpc.call("res.partner", "unlink", crmferry::args!({"ids": ana}))
            .await
            .unwrap();
        bench.run = 2;
        let second = bench.all().await;
        let book = second[0].book;
        assert_eq!(
            (book.created, book.held + book.rejected),
            (0, 1),
            "{policy}: {second:#?}"
        );
    }
}

const PAPER: &str = r#"{
    "source": {"platform": "Pipz"},
    "objects": [
        {"name": "deals", "source": {"object": "deal"}, "key": ["id"], "destination": {"document": "deals", "create": {"label": "Deals on paper", "help": "There is no CRM app"}}, "ignore": ["secret*"]},
        {"name": "tags", "source": {"object": "deal", "each": "tags", "orderBy": "id"}, "key": ["item"],
         "destination": {"document": "tags"}, "fields": [{"to": "tag", "from": "item"}, {"to": "kind", "from": "kind", "onEmpty": "Reject"}]},
        {"name": "contacts", "source": {"object": "contact"}, "key": ["id"], "destination": {"model": "res.partner"}, "after": ["deals"],
         "fields": [{"to": "name", "from": "name"}, {"to": "parent_id", "from": "deal", "lookup": {"object": "deals"}}]}]
}"#;

#[tokio::test]
async fn a_document_is_written_whole_read_back_and_counted_against_what_the_run_found() {
    let mut bench = Bench::new(serde_json::from_str(PAPER).unwrap());
    bench.export("contact.csv", "id,name\n1,Ana\n");
    let deals = |rows: &str| {
        format!(
            "{{\"id\": 1, \"name\": \"=HYPERLINK()\", \"tags\": [\"a\", \"b\"], \"kind\": \"x\", \"secretNote\": 1}}\n{rows}"
        )
    };
    bench.export(
        "deal.jsonl",
        &deals("{\"id\": 2, \"name\": \"São \\\"x\\\"\\nline\", \"tags\": [\"b\"], \"won\": true}\n{\"id\": 1, \"name\": \"again\"}\nbroken\n{\"name\": \"no key\"}\n"),
    );
    let first = bench.all().await;
    sound(&first);
    let counts = |reports: &[ObjectReport], name: &str| {
        let book = reports.iter().find(|report| report.name == name).unwrap().book;
        (
            [
                book.read,
                book.rejected,
                book.deduplicated,
                book.created,
                book.updated,
                book.unchanged,
            ],
            [book.present_before, book.present, book.removed, book.deleted],
        )
    };
    assert_eq!(counts(&first, "deals"), ([5, 2, 1, 2, 0, 0], [0, 2, 0, 0]));
    assert_eq!(counts(&first, "tags"), ([4, 1, 1, 2, 0, 0], [0, 2, 0, 0]));
    let read = |file: &str| std::fs::read_to_string(bench.folder().join("handover").join(file)).unwrap();
    let paper = read("deals.csv");
    assert_eq!(
        paper,
        "key,id,kind,name,tags,won\n1,1,x,'=HYPERLINK(),\"a, b\",\n2,2,,\"São \"\"x\"\"\nline\",b,true\n"
    );
    assert_eq!(read("tags.csv"), "key,tag,kind\na,a,x\nb,b,x\n");
    let document = first
        .iter()
        .find(|report| report.name == "deals")
        .unwrap()
        .document
        .clone()
        .unwrap();
    assert_eq!(
        (document.label.as_str(), document.help.as_deref(), document.width),
        ("Deals on paper", Some("There is no CRM app"), 5)
    );
    assert_eq!(
        document.file.digest,
        crmferry::model::Digest::of(paper.as_bytes()).to_string()
    );
    let results = bench.folder().join("results/deals");
    let results = |file: &str| std::fs::read_to_string(results.join(file)).unwrap();
    assert!(results("succeeded.csv").contains("1,,,Created") && results("rejected.csv").contains("NoKey"));

    // the same run counts alike however often it comes by
    let again = bench.done(Step::Load, Some("deals")).await;
    assert_eq!(counts(&again.objects, "deals"), ([5, 2, 1, 2, 0, 0], [0, 2, 0, 0]));

    // the next run finds it: nothing has changed
    bench.run = 2;
    let second = bench.all().await;
    sound(&second);
    assert_eq!(counts(&second, "deals"), ([5, 2, 1, 0, 0, 2], [2, 2, 0, 0]));
    assert_eq!(
        std::fs::read_to_string(bench.folder().join("handover/deals.csv")).unwrap(),
        paper
    );

    // one changes, one comes, one goes: predicted and done alike
    bench.run = 3;
    bench.export("deal.jsonl", &deals("{\"id\": 3}\n").replace("HYPERLINK", "SUM"));
    bench.done(Step::Discover, None).await;
    let (exit, _) = bench.step(Step::Extract, None).await;
    assert_eq!(exit, Exit::Permanent, "the export shrank");
    bench.export(
        "deal.jsonl",
        &deals("{\"id\": 3}\n{\"id\": 4}\n{\"id\": 5}\n{\"id\": 6}\n").replace("HYPERLINK", "SUM"),
    );
    bench.done(Step::Extract, None).await;
    let predicted = bench.done(Step::Rehearse, None).await;
    let third = bench.done(Step::Load, Some("deals")).await;
    sound(&third.objects);
    assert_eq!(counts(&third.objects, "deals"), ([5, 0, 0, 4, 1, 0], [2, 5, 1, 1]));
    let flow = |reports: &[ObjectReport]| counts(reports, "deals").0;
    assert_eq!(flow(&predicted.objects), flow(&third.objects));
}

#[tokio::test]
async fn a_server_that_lets_nobody_in_is_named_by_what_keeps_us_out() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut bench = Bench::new(json!({"extends": "pipz-to-odoo"}));
    bench.export_folder(&sample());
    let secret = bench.root.path().join("secret");
    std::fs::create_dir_all(&secret).unwrap();
    std::fs::write(secret.join("apiKey"), "key").unwrap();
    bench.door = Door::Server {
        ca: secret.join("none"),
        secret,
    };
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    bench.migration.spec.destination.odoo.url = format!("http://{nobody}");
    let (exit, status) = bench.step(Step::Discover, None).await;
    let failure = status.failure.unwrap();
    assert_eq!(
        (exit, failure.reason),
        (Exit::Retry, FailureReason::DestinationUnavailable)
    );
    assert!(failure.message.contains("refused"), "{}", failure.message);
}
