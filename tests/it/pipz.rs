//! The connector of Pipz against a simulator of it, over real HTTP: every doubt both ways, and every fault at once.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crmferry::{
    api::{mapping_spec::Severity, migration::Authentication},
    http::Secret,
    model::Record,
    source::{
        Item, Note, Preflight, Source, SourceError, SourceObject,
        pipz::{Options, Pipz},
    },
};
use futures::StreamExt;
use serde_json::{Value, json};

/// A simulator of a Pipz; it dies with its value.
pub struct Simulator {
    process: Child,
    /// Where it listens.
    pub url: String,
    client: reqwest::Client,
}

impl Drop for Simulator {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Simulator {
    pub fn start(arguments: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/pipz.py");
        let mut process = Command::new("python3")
            .arg("-B")
            .arg(script)
            .args(arguments.split_ascii_whitespace())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is a prerequisite");
        let mut url = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut url).unwrap();
        assert!(url.starts_with("http://"), "the simulator says {url:?}");
        Self {
            process,
            url: url.trim().to_owned(),
            client: reqwest::Client::new(),
        }
    }

    pub async fn control(&self, order: Value) {
        let request = self
            .client
            .post(format!("{}/_control", self.url))
            .body(order.to_string());
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// What was asked so far.
    pub async fn log(&self) -> Vec<Value> {
        let answer = self.client.get(format!("{}/_log", self.url)).send().await.unwrap();
        let log: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        log["requests"].as_array().unwrap().clone()
    }

    /// The account as export files: object to id to record.
    async fn truth(&self, object: &str) -> BTreeMap<String, Record> {
        let folder = tempfile::tempdir().unwrap();
        self.control(json!({"export": folder.path()})).await;
        let text = std::fs::read_to_string(folder.path().join(format!("{object}.jsonl"))).unwrap();
        let records = text.lines().map(|line| serde_json::from_str::<Record>(line).unwrap());
        records.map(|record| (identity(&record), record)).collect()
    }
}

fn identity(record: &Record) -> String {
    let id = record
        .get("id")
        .cloned()
        .unwrap_or_else(|| json!([record["list_id"], record["contact_id"]]));
    id.to_string()
}

/// A connector with keys that the simulator takes, and short seconds.
struct Account {
    pipz: Pipz,
    _scratch: tempfile::TempDir,
}

fn options(url: &str, scratch: &Path) -> Options {
    Options {
        insecure: true,
        calls_per_minute: 60_000,
        second: Duration::from_millis(2),
        ..Options::new(url, Secret::new("K-publica"), Secret::new("S-secreta"), scratch)
    }
}

impl Account {
    fn with(url: &str, change: impl FnOnce(Options) -> Options) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let pipz = Pipz::new(change(options(url, scratch.path()))).unwrap();
        Self {
            pipz,
            _scratch: scratch,
        }
    }

    fn of(simulator: &Simulator) -> Self {
        Self::with(&simulator.url, |options| options)
    }

    async fn offers(&self) -> Vec<String> {
        let objects = self.pipz.objects().await.unwrap();
        objects.into_iter().map(|object| object.name).collect()
    }

    /// The records of an object by id; none may come twice, none may be broken.
    async fn records(&self, object: &str) -> BTreeMap<String, Record> {
        let mut items = self.pipz.read(object).await.unwrap();
        let mut records = BTreeMap::new();
        while let Some(item) = items.next().await {
            match item.unwrap() {
                Item::Record(record) => {
                    let twice = records.insert(identity(&record), record);
                    assert!(twice.is_none(), "{object} twice: {twice:?}");
                }
                Item::Broken(rejection) => panic!("{rejection:?}"),
            }
        }
        records
    }

    async fn refusal(&self, object: &str) -> SourceError {
        let mut items = match self.pipz.read(object).await {
            Ok(items) => items,
            Err(error) => return error,
        };
        while let Some(item) = items.next().await {
            if let Err(error) = item {
                return error;
            }
        }
        panic!("{object} was read")
    }

    async fn message(&self, code: &str, object: &str) -> String {
        let Preflight { findings, lacking } = self.pipz.preflight().await.unwrap();
        let found = findings
            .iter()
            .find(|finding| finding.code == code && finding.path == format!("source[{object}]"));
        let lacks = lacking
            .iter()
            .find(|lacking| lacking.name == object && code == "lacking");
        found
            .map(|finding| finding.message.clone())
            .or_else(|| lacks.map(|lacking| lacking.why.clone()))
            .unwrap_or_default()
    }
}

/// Records as they should be read: without custom values that nobody has.
fn same(found: &BTreeMap<String, Record>, truth: &BTreeMap<String, Record>) {
    assert_eq!(found.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>());
    for (id, record) in found {
        let left: Record = record
            .iter()
            .filter(|(name, value)| {
                truth[id].get(*name) != Some(*value) && !(name.contains("_custom_") && value.is_null())
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        assert!(left.is_empty(), "{id} has {left:?}");
        let lacks: Vec<&String> = truth[id].keys().filter(|name| !record.contains_key(*name)).collect();
        assert!(lacks.is_empty(), "{id} lacks {lacks:?}");
    }
}

#[tokio::test]
async fn every_account_is_read_whole_however_it_writes_its_records() {
    for (switches, offered) in [
        ("", "company contact"),
        ("--fieldsets dict --meta absent", "company contact"),
        ("--custom root --meta lying", "company contact"),
        ("--custom custom_fields --auth basic", "company contact"),
        ("--custom custom_attributes --auth query", "company contact"),
        ("--custom label --order updated", "company contact"),
        ("--custom mixed --cap 7 --contactfields 404", "company contact"),
        ("--custom mixed --rows summary --parameters strict", "company contact"),
        (
            "--custom mixed --fieldsets dict --rows summary --cap 9",
            "company contact",
        ),
        (
            "--deal yes --list yes --user yes",
            "company contact deal list list_member user",
        ),
        (
            "--list bare --user unpaged --cap 50",
            "company contact list list_member user",
        ),
        (
            "--list unpaged --user bare --lists 1 --users 1 --deal other",
            "company contact list list_member user",
        ),
        (
            "--contact barePages --list barePages --user barePages --users 70 --cap 20",
            "company contact list list_member user",
        ),
        ("--smallest 20 --meta absent", "company contact"),
        ("--beyond 404 --cap 20", "company contact"),
        ("--beyond last --cap 20", "company contact"),
        ("--rows summary --detail list", "company contact"),
        ("--rows summary --detail wrapped", "company contact"),
        ("--rows fieldsets --custom mixed", "company contact"),
        ("--rows own --custom fieldsets", "company contact"),
        ("--rows own --custom custom_fields", "company contact"),
        ("--rows late", "company contact"),
        ("--rows late --meta absent", "company contact"),
        ("--rows late --meta lying", "company contact"),
        ("--rows cut", "company contact"),
        ("--list yes --members ignored", "company contact list"),
        ("--list yes --members refused", "company contact list"),
        ("--list yes --members failing", "company contact list list_member"),
        ("--company 500", "contact"),
        ("--company 404 --deal 403 --list 405", "contact"),
        ("--company 405 --contactfields 405", "contact"),
        ("--company 403 --contacts 0 --list yes", "contact list list_member"),
        ("--contact 403", "company"),
    ] {
        let simulator = Simulator::start(&format!("--contacts 47 --companies 11 --deals 9 --seed 3 {switches}"));
        let account = Account::with(&simulator.url, |options| Options {
            authentication: if switches.contains("basic") {
                Authentication::Basic
            } else {
                Authentication::Query
            },
            ..options
        });
        println!("{switches}");
        assert_eq!(account.offers().await.join(" "), offered, "{switches}");
        for object in account.offers().await {
            same(&account.records(&object).await, &simulator.truth(&object).await);
        }
        // beyond the end there may be rows again
        let notes = account.pipz.notes();
        assert!(
            notes.is_empty() || switches.contains("--beyond last"),
            "{switches} {notes:?}"
        );
        for request in simulator.log().await {
            let text = request.to_string();
            assert!(!text.contains("K-publica") && !text.contains("S-secreta"), "{text}");
        }
    }
}

#[tokio::test]
async fn an_account_without_custom_values_has_none_and_is_asked_for_no_more_than_some_records() {
    let simulator = Simulator::start("--contacts 30 --custom none");
    let account = Account::of(&simulator);
    let records = account.records("contact").await;
    assert_eq!(records.len(), 30);
    assert!(records.values().flatten().all(|(name, _)| !name.contains("custom")));
    let log = simulator.log().await;
    let details = log
        .iter()
        .filter(|request| request["path"].as_str().unwrap().contains("contact/40"));
    assert_eq!(details.count(), 10, "five of the beginning, five of the end");
}

#[tokio::test]
async fn what_must_never_be_copied_is_not() {
    let simulator = Simulator::start("--contacts 20 --custom mixed --rows summary");
    for record in Account::of(&simulator).records("contact").await.into_values() {
        assert!(
            ["password", "cookie_id", "reader"]
                .iter()
                .all(|name| !record.contains_key(*name))
        );
        assert!(!Value::Object(record).to_string().contains("never-copy"));
    }
}

#[tokio::test]
async fn preflight_says_what_is_offered_what_is_not_and_what_would_serve_instead() {
    let simulator =
        Simulator::start("--contacts 250 --companies 3 --rows summary --deal 403 --user other --contactfields 404");
    let account = Account::of(&simulator);
    let said = account.message("SourceOffers", "contact").await;
    let wanted = "offers contact: about 250 records, 254 calls, 0 s, since rows are summaries and each record is asked for by itself";
    assert_eq!(said, format!("{}/api/v1 {wanted}", simulator.url));
    for (object, why) in [
        ("deal", "it answers 403: Sem permissão"),
        ("user", "it answers 200, but no list of objects"),
        ("list", "it answers 404"),
        ("pipeline", "it has no such call"),
    ] {
        assert_eq!(account.message("lacking", object).await, why, "{object}");
    }
    let sample = account.pipz.sample("contact", 1_000, None).await.unwrap();
    assert_eq!((sample.records.len(), sample.count, sample.exact), (40, 250, false));
    let label = |name: &str| {
        sample
            .custom
            .iter()
            .find(|field| field.name == name)
            .map(|field| field.label.clone())
    };
    assert_eq!(label("contact_custom_codigo_alumni").as_deref(), Some("Código Alumni"));
    assert_eq!(label("company_custom_cnpj"), None);
    let company = account.pipz.sample("company", 1_000, None).await.unwrap();
    assert_eq!((company.records.len(), company.count, company.exact), (3, 3, true));
    assert_eq!(
        company
            .custom
            .iter()
            .map(|field| field.name.as_str())
            .collect::<Vec<_>>(),
        ["company_custom_cnpj"]
    );
    let few = Simulator::start("--contacts 250 --meta absent");
    let account = Account::of(&few);
    let sample = account.pipz.sample("contact", 120, None).await.unwrap();
    assert_eq!((sample.records.len(), sample.count, sample.exact), (120, 120, false));
    assert!(few.log().await.len() <= 60, "no more is read than the sample needs");
}

#[tokio::test]
async fn all_faults_in_one_run_lose_nothing_and_double_nothing() {
    let simulator = Simulator::start("--contacts 900 --companies 240 --custom mixed --cap 60");
    let account = Account::of(&simulator);
    account.offers().await;
    simulator
        .control(json!({"faults": [
            {"do": "429", "object": "contact", "after": 1, "times": 2},
            {"do": "429", "object": "contact", "after": 3, "times": 1, "retryAfter": 1},
            {"do": "drop", "object": "contact", "after": 4, "times": 2},
            {"do": "status", "status": 502, "object": "contact", "after": 5, "times": 4},
            {"do": "html", "object": "contact", "after": 6},
            {"do": "repeat", "object": "contact", "offset": 200, "times": 2},
            {"do": "shrink", "object": "contact", "offset": 300, "rows": 1, "times": 2},
            {"do": "shrink", "object": "contact", "offset": 400, "rows": 33},
            {"do": "change", "object": "contact", "offset": 350, "id": 4010, "set": {"name": "Mudou"}},
            {"do": "delete", "object": "contact", "offset": 420, "id": 4020},
            {"do": "delete", "object": "contact", "offset": 500, "id": 4899},
            {"do": "insert", "object": "contact", "offset": 450},
            {"do": "drop", "object": "company", "after": 1},
            {"do": "delete", "object": "company", "offset": 150, "id": 2},
        ]}))
        .await;
    let contacts = account.records("contact").await;
    let truth = simulator.truth("contact").await;
    let lost: Vec<&String> = truth.keys().filter(|id| !contacts.contains_key(*id)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    // what was read before it was deleted or changed is what it was; the next reading tells
    let more: Vec<&String> = contacts.keys().filter(|id| !truth.contains_key(*id)).collect();
    assert!(more == ["4020"] || more.is_empty(), "{more:?}");
    let companies = account.records("company").await;
    assert!(
        simulator
            .truth("company")
            .await
            .keys()
            .all(|id| companies.contains_key(id))
    );
    let faults: Vec<String> = simulator
        .log()
        .await
        .iter()
        .map(|request| request["fault"].as_str().unwrap().to_owned())
        .collect();
    for fault in [
        "429", "drop", "status", "html", "repeat", "shrink", "change", "delete", "insert",
    ] {
        assert!(faults.iter().any(|met| met == fault), "{fault} was not met: {faults:?}");
    }
    let repeated: Vec<Note> = account.pipz.notes();
    let is_repeated =
        |note: &Note| note.code == "Repeated" || (note.code, note.key.as_str()) == ("RepeatedDiffers", "4010");
    assert!(repeated.iter().all(is_repeated), "{repeated:?}");
    assert!(repeated.len() >= 60, "a repeated page is counted: {}", repeated.len());
}

#[tokio::test]
async fn a_row_that_comes_again_with_other_values_is_told_from_one_that_is_the_same() {
    let simulator = Simulator::start("--contacts 90 --cap 30");
    let account = Account::of(&simulator);
    account.offers().await;
    simulator
        .control(json!({"faults": [
            {"do": "change", "object": "contact", "offset": 29, "id": 4035, "set": {"name": "Mudou"}},
            {"do": "repeat", "object": "contact", "offset": 58},
        ]}))
        .await;
    let contacts = account.records("contact").await;
    assert_eq!(contacts.len(), 90);
    let notes: BTreeMap<String, &str> = account
        .pipz
        .notes()
        .into_iter()
        .map(|note| (note.key, note.code))
        .collect();
    assert!(notes.len() >= 29, "{notes:?}");
    for (key, code) in notes {
        assert_eq!(code == "RepeatedDiffers", key == "4035", "{key} is {code}");
    }
}

#[tokio::test]
async fn an_api_that_gives_fewer_than_it_announces_is_noted_and_believed() {
    let simulator = Simulator::start("--contacts 90 --companies 4 --meta boasting");
    let account = Account::of(&simulator);
    assert_eq!(account.records("contact").await.len(), 90);
    let notes: Vec<&str> = account.pipz.notes().iter().map(|note| note.code).collect();
    assert_eq!(notes, ["FewerThanAnnounced"]);
}

#[tokio::test]
async fn members_that_a_list_announces_and_does_not_give_are_noted_unless_every_list_announces_all() {
    for (switches, noted) in [
        ("--meta hiding", true),
        ("--meta hiding --members failing", true),
        ("--meta lying", false),
        ("--meta present", false),
    ] {
        let simulator = Simulator::start(&format!("--contacts 40 --companies 0 --list yes --lists 2 {switches}"));
        let account = Account::of(&simulator);
        account.records("list_member").await;
        let notes = account.pipz.notes();
        let told = notes
            .iter()
            .any(|note| note.code == "FewerThanAnnounced" && !note.key.is_empty());
        assert_eq!(told, noted, "{switches} {notes:?}");
    }
}

#[tokio::test]
async fn the_details_of_short_lists_are_looked_at_whole() {
    for count in 6..10 {
        let simulator = Simulator::start(&format!("--contacts {count} --companies 0 --rows late"));
        let account = Account::of(&simulator);
        same(&account.records("contact").await, &simulator.truth("contact").await);
    }
}

#[tokio::test]
async fn a_first_record_that_has_no_more_to_say_makes_no_whole_rows_of_the_others() {
    let simulator = Simulator::start("--contacts 9 --companies 0 --rows summary");
    let truth = simulator.truth("contact").await;
    let (id, first) = truth.first_key_value().unwrap();
    let in_row = ["id", "uuid", "name", "email", "company_id", "update_date"];
    let none: serde_json::Map<String, Value> = first
        .keys()
        .filter(|name| !in_row.contains(&name.as_str()))
        .map(|name| (name.clone(), Value::Null))
        .collect();
    simulator
        .control(json!({"change": {"contact": {id.as_str(): none}}}))
        .await;
    let read = Account::of(&simulator).records("contact").await;
    same(&read, &simulator.truth("contact").await);
    assert!(read.values().any(|record| record.contains_key("phone")), "{read:?}");
}

/// A record that the list has is not deleted, though its detail is not to be had.
#[tokio::test]
async fn a_detail_that_is_not_there_though_the_list_has_its_record_is_a_broken_row() {
    // be it that pages are shorter than they were asked for
    let simulator = Simulator::start("--contacts 90 --companies 0 --rows summary --cap 20");
    let account = Account::of(&simulator);
    account.offers().await;
    let lost = json!({"do": "status", "status": 404, "object": "contact", "detail": true, "after": 70, "times": 2});
    simulator.control(json!({"faults": [lost]})).await;
    let items = account.pipz.read("contact").await.unwrap();
    let items: Vec<Item> = items.map(Result::unwrap).collect().await;
    let broken: Vec<&str> = items
        .iter()
        .filter_map(|item| match item {
            Item::Broken(why) => Some(why.message.as_str()),
            Item::Record(_) => None,
        })
        .collect();
    assert_eq!((items.len(), broken.len()), (90, 2), "{broken:?}");
    assert!(broken[0].ends_with("though the list has it"), "{broken:?}");
}

/// A page that begins with a row of the page before is there: that it is not to be had is no end of the list.
#[tokio::test]
async fn a_page_that_is_not_there_where_rows_were_is_an_error() {
    let simulator = Simulator::start("--contacts 90 --companies 0 --contact barePages --cap 40");
    let account = Account::of(&simulator);
    account.offers().await;
    let lost = json!({"do": "status", "status": 404, "object": "contact", "offset": 1, "times": 1_000});
    simulator.control(json!({"faults": [lost]})).await;
    let error = account.refusal("contact").await.to_string();
    assert!(error.contains("it answers 404"), "{error}");
}

/// Of an object without records nobody knows how it is read.
#[tokio::test]
async fn an_object_that_was_empty_at_discovery_is_compared_with_its_details_when_it_has_records() {
    let simulator = Simulator::start("--contacts 0 --companies 0 --rows summary");
    let objects = Account::of(&simulator).pipz.objects().await.unwrap();
    let planned = objects.into_iter().map(|object| (object.name, object.ways)).collect();
    simulator.control(json!({"insert": {"contact": 9}})).await;
    let later = Account::of(&simulator);
    later.pipz.pin(&planned);
    let read = later.records("contact").await;
    assert_eq!(read.len(), 9);
    assert!(read.values().all(|record| record.contains_key("phone")), "{read:?}");
}

/// The oldest contacts are at the beginning of the list, and often know least of anybody.
#[tokio::test]
async fn many_bare_records_at_the_beginning_make_no_whole_rows_of_the_others() {
    let simulator = Simulator::start("--contacts 30 --companies 0 --rows summary --custom none");
    let truth = simulator.truth("contact").await;
    let in_row = ["id", "uuid", "name", "email", "company_id", "update_date"];
    let bare = |record: &Record| {
        let rest = record.keys().filter(|name| !in_row.contains(&name.as_str()));
        rest.map(|name| (name.clone(), Value::Null))
            .collect::<serde_json::Map<_, _>>()
    };
    let first: serde_json::Map<String, Value> = truth
        .iter()
        .take(12)
        .map(|(id, record)| (id.clone(), Value::Object(bare(record))))
        .collect();
    simulator.control(json!({"change": {"contact": first}})).await;
    let read = Account::of(&simulator).records("contact").await;
    for (id, record) in simulator.truth("contact").await {
        assert_eq!(read[&id]["phone"], record["phone"], "{id}");
    }
}

/// A plan knows custom fields by the names that it was made with.
#[tokio::test]
async fn a_catalogue_that_comes_after_discovery_names_nothing_and_one_that_is_emptied_is_an_error() {
    let simulator = Simulator::start("--contacts 12 --companies 0 --custom label --contactfields 403");
    let ways = |objects: Vec<SourceObject>| objects.into_iter().map(|object| (object.name, object.ways)).collect();
    let first = Account::of(&simulator);
    let planned = ways(first.pipz.objects().await.unwrap());
    let records = first.records("contact").await;
    simulator.control(json!({"options": {"contactfields": "yes"}})).await;
    let later = Account::of(&simulator);
    later.pipz.pin(&planned);
    same(&later.records("contact").await, &records);

    let named = Account::of(&simulator);
    let planned = ways(named.pipz.objects().await.unwrap());
    simulator.control(json!({"options": {"contactfields": "none"}})).await;
    let later = Account::of(&simulator);
    later.pipz.pin(&planned);
    let error = later.pipz.objects().await.unwrap_err().to_string();
    assert!(
        error.contains("named custom fields at discovery, and names none now"),
        "{error}"
    );
}

#[tokio::test]
async fn companies_at_which_the_api_fails_are_told_at_discovery_and_waited_for_later() {
    let simulator = Simulator::start("--contacts 3 --companies 2 --company 500");
    let account = Account::of(&simulator);
    let lacking = account.pipz.preflight().await.unwrap().lacking;
    let company = lacking.iter().find(|lacking| lacking.name == "company").unwrap();
    assert!(
        company.failing && company.why.starts_with("it answers 500"),
        "{company:?}"
    );
    let later = Account::of(&simulator);
    later.pipz.pin(
        &[("contact", []), ("company", [])]
            .map(|(name, ways)| (name.to_owned(), ways.into()))
            .into(),
    );
    let error = later.pipz.objects().await.unwrap_err();
    assert!(matches!(error, SourceError::Unavailable { .. }), "{error:?}");
}

/// No record takes the place of another, and what cannot be compared is told.
#[tokio::test]
async fn a_detail_that_is_not_the_records_own_is_a_broken_row_and_one_that_is_no_record_is_told() {
    let simulator = Simulator::start("--contacts 5 --companies 0 --rows summary");
    let account = Account::of(&simulator);
    account.offers().await;
    simulator.control(json!({"options": {"detail": "another"}})).await;
    let mut items = account.pipz.read("contact").await.unwrap();
    let mut broken = 0;
    while let Some(item) = items.next().await {
        match item.unwrap() {
            Item::Broken(why) => {
                broken += 1;
                // the first of them has none before it
                let what = if broken == 1 {
                    "its detail: it answers 404, though the list has it"
                } else {
                    "its detail: which is of another record"
                };
                assert!(why.message.contains(what), "{why:?}");
            }
            Item::Record(record) => panic!("{record:?}"),
        }
    }
    assert_eq!(broken, 5);
    let other = Simulator::start("--contacts 5 --companies 0 --rows summary --detail other");
    let findings = Account::of(&other).pipz.preflight().await.unwrap().findings;
    let told = findings.iter().find(|finding| finding.severity == Severity::Warning);
    let told = told.expect("a warning");
    assert!(
        told.message.contains("cannot be read (which is not one record)"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_redirect_for_a_moment_is_asked_again() {
    let simulator = Simulator::start("--contacts 90 --cap 30");
    let account = Account::of(&simulator);
    account.offers().await;
    let elsewhere = "https://manutencao.example/";
    let fault = json!({"do": "redirect", "to": elsewhere, "object": "contact", "offset": 29, "times": 3});
    simulator.control(json!({ "faults": [fault] })).await;
    assert_eq!(account.records("contact").await.len(), 90);
}

#[tokio::test]
async fn a_contact_that_moves_to_the_front_between_pages_is_read_once() {
    let simulator = Simulator::start("--contacts 400 --order updated");
    let account = Account::of(&simulator);
    account.offers().await;
    simulator.control(json!({"faults": [{"do": "change", "object": "contact", "offset": 99, "id": 4390, "set": {"name": "À frente"}}]})).await;
    same(&account.records("contact").await, &simulator.truth("contact").await);
}

#[tokio::test]
async fn contacts_deleted_between_list_and_detail_are_listed_and_no_failure() {
    let simulator = Simulator::start("--contacts 120 --rows summary");
    let account = Account::of(&simulator);
    account.offers().await;
    simulator
        .control(json!({"faults": [
            {"do": "delete", "object": "contact", "detail": false, "id": 4007},
            {"do": "status", "status": 503, "object": "contact", "detail": true, "after": 10, "times": 3},
            {"do": "drop", "object": "contact", "detail": true, "after": 30},
        ]}))
        .await;
    same(&account.records("contact").await, &simulator.truth("contact").await);
    let notes = account.pipz.notes();
    assert_eq!(
        notes
            .iter()
            .map(|note| (note.key.as_str(), note.code))
            .collect::<Vec<_>>(),
        [("4007", "Deleted")]
    );
}

#[tokio::test]
async fn keys_that_are_refused_are_told_from_keys_that_are_sent_the_other_way() {
    let simulator = Simulator::start("--auth basic");
    let refused = |error: SourceError| match error {
        SourceError::Unauthorized { message } => message,
        other => panic!("{other:?}"),
    };
    let account = Account::of(&simulator);
    let message = refused(account.pipz.objects().await.unwrap_err());
    assert!(message.contains("set source.pipz.authentication to Basic"), "{message}");
    let account = Account::with(&simulator.url, |options| Options {
        secret: Secret::new("S-errada"),
        ..options
    });
    let message = refused(account.pipz.objects().await.unwrap_err());
    assert!(
        message.contains("(401)") && !message.contains("S-errada") && !message.contains("K-publica"),
        "{message}"
    );
}

#[tokio::test]
async fn keys_are_sent_nowhere_else_and_no_message_has_them() {
    let elsewhere = Simulator::start("");
    let simulator = Simulator::start("");
    for (fault, word) in [
        (
            json!({"do": "redirect", "to": format!("{}/api/v1/contact/?api_key=K-publica", elsewhere.url), "times": 99}),
            "it redirects to http://127.0.0.1",
        ),
        (json!({"do": "status", "status": 500, "times": 99}), "it answers 500"),
        (json!({"do": "html", "times": 99}), "which is no JSON"),
        (json!({"do": "drop", "times": 99}), "the connection broke"),
        (json!({"do": "429", "times": 99}), "asks for patience"),
    ] {
        simulator.control(json!({"clear": true, "faults": [fault]})).await;
        let error = Account::of(&simulator).refusal("contact").await;
        let text = format!("{error} {error:?}");
        assert!(text.contains(word), "{text}");
        assert!(
            !text.contains("K-publica") && !text.contains("S-secreta") && !text.contains("api_key"),
            "{text}"
        );
    }
    assert_eq!(elsewhere.log().await.len(), 0);
    let gone = Account::with("http://127.0.0.1:9", |options| options);
    let text = format!("{:?}", gone.refusal("contact").await);
    assert!(
        text.contains("cannot be reached") && !text.contains("K-publica"),
        "{text}"
    );
    let plain = tempfile::tempdir().unwrap();
    let refused = Pipz::new(Options {
        insecure: false,
        ..options("http://acme.pipz.io", plain.path())
    });
    assert!(refused.err().unwrap().to_string().contains("https://"));
}

#[tokio::test]
async fn a_guess_that_fails_for_long_makes_no_run_fail() {
    let simulator = Simulator::start("--deal yes --list yes");
    simulator.control(json!({"faults": [{"do": "status", "status": 500, "object": "deal", "times": 99}, {"do": "html", "object": "list", "times": 99}]})).await;
    let account = Account::of(&simulator);
    assert_eq!(account.offers().await, ["company", "contact"]);
    assert_eq!(account.message("lacking", "deal").await, "it answers 500 text/html");
}

#[tokio::test]
async fn calls_keep_their_pace() {
    let simulator = Simulator::start("--contacts 450");
    let account = Account::with(&simulator.url, |options| Options {
        calls_per_minute: 1_200,
        ..options
    });
    account.records("contact").await;
    let log = simulator.log().await;
    let times: Vec<f64> = log.iter().map(|request| request["at"].as_f64().unwrap()).collect();
    let took = times.last().unwrap() - times.first().unwrap();
    #[expect(clippy::cast_precision_loss, reason = "a handful of calls")]
    let least = 0.05 * (times.len() - 1) as f64;
    assert!(took >= least - 0.04, "{} calls in {took} s", times.len());
}

#[tokio::test]
async fn five_thousand_contacts_take_some_eighty_calls_and_come_in_constant_memory() {
    let simulator = Simulator::start("--contacts 5000 --companies 50");
    let account = Account::of(&simulator);
    let mut items = account.pipz.read("contact").await.unwrap();
    let mut count = 0;
    while let Some(item) = items.next().await {
        assert!(matches!(item.unwrap(), Item::Record(_)));
        count += 1;
    }
    let calls = simulator.log().await.len();
    println!("{count} contacts in {calls} calls");
    assert_eq!(count, 5_000);
    assert!(calls <= 85, "{calls} calls");
}
