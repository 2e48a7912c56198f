//! The binary as people and scripts use it. A run here is the whole life, on an Odoo in memory.

use std::{
    fmt::Write,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use crmferry::model::Digest;
use serde_json::Value;

const MANIFESTS: &str = "\
apiVersion: crmferry.io/v1alpha1
kind: MappingSpec
metadata: {name: small}
spec:
  source: {platform: Pipz}
  objects:
  - name: companies
    source: {object: company}
    key: [id]
    destination: {model: res.partner}
    fields:
    - {to: name, from: name, onEmpty: Reject}
    - {to: is_company, constant: 'true'}
  - name: contacts
    source: {object: contact}
    key: [id]
    destination: {model: res.partner}
    fields:
    - {to: name, from: name, onEmpty: Reject}
    - {to: email, from: email}
    - {to: parent_id, from: company_id, lookup: {object: companies}, onMissing: Empty}
---
apiVersion: crmferry.io/v1alpha1
kind: Migration
metadata: {name: acme, namespace: crm}
spec:
  mappingSpecRef: {name: small}
  source: {account: acme, files: {path: exports/}}
  destination: {odoo: {url: 'https://odoo.example', database: crm, secretRef: {name: odoo}}}
  workspace: {persistentVolumeClaim: {claimName: ferry}}
  accept: {rejected: \"10%\"}
";

/// Manifests, exports and a workspace in a folder of their own.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new(contacts: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        let exports = root.path().join("from");
        fs::create_dir_all(&exports).unwrap();
        fs::write(root.path().join("acme.yaml"), MANIFESTS).unwrap();
        fs::write(
            exports.join("company.csv"),
            "id,name\n1,Acme\n2,Müller & Söhne\n3,\n".to_owned() + &more_companies(),
        )
        .unwrap();
        let mut rows = String::from("id,name,email,company_id\n");
        for id in 0..contacts {
            writeln!(rows, "{id},Person {id},p{id}@example.com,{}", id % 2 + 1).unwrap();
        }
        fs::write(exports.join("contact.csv"), rows).unwrap();
        Self { root }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    fn command(&self, extra: &[&str]) -> Command {
        let mut command = crmferry(&[]);
        command.arg("run").arg("-f").arg(self.path("acme.yaml"));
        command.arg("--workspace").arg(self.path("ws")).args(extra);
        command
    }

    fn first(&self, extra: &[&str]) -> Command {
        let mut command = self.command(extra);
        command.arg("--exports").arg(self.path("from"));
        command
    }

    fn json(&self, relative: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(relative)).unwrap()).unwrap()
    }

    /// What the books say of each object: read, present in Odoo, verified.
    fn ends(&self) -> Vec<(String, i64, i64, bool)> {
        let report = self.json("ws/report.json");
        let objects = report["objects"].as_array().unwrap();
        let end = |object: &Value| {
            let book = &object["book"];
            (
                object["name"].as_str().unwrap().to_owned(),
                book["read"].as_i64().unwrap(),
                book["present"].as_i64().unwrap(),
                object["verification"]["verified"].as_bool().unwrap(),
            )
        };
        objects.iter().map(end).collect()
    }

    fn sum(&self, count: &str) -> i64 {
        let report = self.json("ws/report.json");
        report["objects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|object| object["book"][count].as_i64().unwrap())
            .sum()
    }
}

/// Enough companies that one without a name is within `accept`.
fn more_companies() -> String {
    let mut rows = String::new();
    for id in 10..30 {
        writeln!(rows, "{id},Company {id}").unwrap();
    }
    rows
}

fn crmferry(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crmferry"));
    command.args(arguments).stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

fn done(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    (status.code().unwrap_or(-1), text)
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/samples/pipz-to-odoo")
}

const BOTH: [&str; 4] = ["--approve", "mapping", "--approve", "cutover"];

#[test]
fn help_tells_every_command_and_the_exit_codes() {
    let (code, text) = done(&mut crmferry(&["--help"]));
    assert_eq!(code, 0);
    for word in [
        "run",
        "validate",
        "plan",
        "report",
        "catalogue",
        "crds",
        "operator",
        "worker",
        "75",
    ] {
        assert!(text.contains(word), "{word}");
    }
    assert_eq!(done(&mut crmferry(&["nonsense"])).0, 2);
    let (code, text) = done(&mut crmferry(&["--version"]));
    assert_eq!((code, text), (0, format!("crmferry {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn validate_accepts_the_sample_and_names_what_is_wrong_with_nearest_name() {
    let (code, text) = done(crmferry(&["validate"]).arg(sample()));
    assert_eq!(code, 0, "{text}");
    let place = Place::new(0);
    fs::write(place.path("acme.yaml"), MANIFESTS.replace("{to: email,", "{to: emial,")).unwrap();
    let (code, text) = done(crmferry(&["validate"]).arg(place.path("acme.yaml")));
    assert_eq!(code, 5, "{text}");
    assert!(
        text.contains("objects[contacts].fields[emial]") && text.contains("email"),
        "{text}"
    );
    let (code, text) = done(crmferry(&["validate", "--output", "json"]).arg(place.path("acme.yaml")));
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, json[0]["findings"][0]["severity"].as_str()), (5, Some("Error")));
    fs::write(place.path("acme.yaml"), "kind: Migration\n  bad: [").unwrap();
    let (code, text) = done(crmferry(&["validate"]).arg(place.path("acme.yaml")));
    assert!(code == 5 && text.contains("acme.yaml:"), "{text}");
    let (code, text) = done(place.command(&[]).arg("--approve").arg("mapping"));
    assert!(code == 5 && text.contains("acme.yaml:"), "{text}");
    assert!(!place.path("ws").exists(), "nothing is half done");
}

#[test]
fn what_the_rules_of_the_api_server_refuse_is_refused_on_a_laptop_too() {
    let place = Place::new(0);
    for (good, bad, sentence) in [
        (
            "https://odoo.example",
            "http://odoo.example",
            "acme.yaml:29: url must begin with https://",
        ),
        (
            "name: acme,",
            &format!("name: {},", "x".repeat(41)),
            "the name may have 40 characters",
        ),
        ("exports/", "exports/..//../x", "may not contain '..'"),
        ("exports/", "ledger/", "files of their own"),
        (
            "  accept:",
            "  cutover: {window: {notBefore: '2027-01-01T00:00:00Z', notAfter: '2026-01-01T00:00:00Z'}}\n  accept:",
            "before notAfter",
        ),
        ("from: email}", "from: email, cel: 'email'}", "acme.yaml:"),
        (
            "{object: companies}",
            "{object: companies, model: res.partner}",
            "acme.yaml:",
        ),
        (
            "{model: res.partner}",
            "{model: res.partner, document: partners}",
            "at most one of model, document",
        ),
        (
            "{model: res.partner}",
            "{document: partners, create: {menu: crm.crm_menu_root}}",
            "those of a custom model",
        ),
    ] {
        fs::write(place.path("acme.yaml"), MANIFESTS.replace(good, bad)).unwrap();
        let file = place.path("acme.yaml");
        let told = [
            done(crmferry(&["validate"]).arg(&file)),
            done(crmferry(&["plan", "-f"]).arg(&file)),
            done(&mut place.first(&[])),
        ];
        for (code, text) in told {
            assert!(code == 5 && text.contains(sentence), "{bad}: {code} {text}");
        }
    }
    assert!(!place.path("ws").exists(), "nothing is half done");
}

#[test]
fn plan_shows_objects_in_load_order_and_tries_the_mapping_on_exports() {
    let (code, text) = done(
        crmferry(&["plan", "--show-spec", "-f"])
            .arg(sample())
            .arg("--exports")
            .arg(sample().join("exports")),
    );
    assert_eq!(code, 0, "{text}");
    assert!(
        text.find("  companies ").unwrap() < text.find("  contacts ").unwrap(),
        "{text}"
    );
    assert!(
        text.contains("digest         sha256:") && text.contains("\nSpec:\n"),
        "{text}"
    );
    let broken = "BrokenRows: source[contact]: 1 row cannot be read; the first: line 109 of contact.jsonl";
    assert_eq!(text.matches(broken).count(), 1, "{text}");
}

#[test]
fn the_catalogue_lists_and_shows_its_entries() {
    let (code, text) = done(&mut crmferry(&["catalogue"]));
    assert!(code == 0 && text.contains("pipz-to-odoo"), "{text}");
    let (code, text) = done(&mut crmferry(&["catalogue", "pipz-to-odoo"]));
    assert!(
        code == 0 && text.contains("res.partner") && text.contains("file contact") && text.contains("one to one"),
        "{text}"
    );
    let segments = text.lines().find(|line| line.contains(" segments ")).unwrap();
    assert!(
        segments.contains("handover/smart-segments.csv") && segments.ends_with("in writing"),
        "{text}"
    );
    let (code, yaml) = done(&mut crmferry(&["catalogue", "pipz-to-odoo", "--yaml"]));
    assert!(code == 0 && yaml.contains("kind: MappingSpec"));
    assert_eq!(done(&mut crmferry(&["catalogue", "pega"])).0, 2);
}

#[test]
fn crds_are_written_as_they_are_checked_in() {
    let out = tempfile::tempdir().unwrap();
    assert_eq!(done(crmferry(&["crds", "--out"]).arg(out.path())).0, 0);
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    for file in ["mappingspecs.yaml", "migrations.yaml", "phaseruns.yaml"] {
        assert!(
            fs::read(out.path().join(file)).unwrap() == fs::read(checked_in.join(file)).unwrap(),
            "{file} differs"
        );
    }
}

#[test]
fn a_run_goes_its_whole_life_and_run_again_changes_nothing() {
    let place = Place::new(40);
    let (code, text) = done(&mut place.first(&BOTH));
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("Records go to an Odoo in memory"), "{text}");
    assert!(
        text.contains("verified") && text.contains("report.md") && text.contains("without admission control"),
        "{text}"
    );
    assert_eq!((place.sum("created"), place.sum("rejected")), (62, 1));
    assert!(
        fs::read_to_string(place.path("ws/results/companies/rejected.csv"))
            .unwrap()
            .contains("\n3,")
    );
    let report = fs::read_to_string(place.path("ws/report.md")).unwrap();
    assert!(
        report.contains("approvals are given without admission control") && !report.contains("Person"),
        "{report}"
    );
    let before = place.ends();

    let (code, text) = done(&mut place.command(&BOTH));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("run 2 begins"), "{text}");
    assert_eq!(
        (place.sum("created"), place.sum("updated"), place.sum("adopted")),
        (0, 0, 0),
        "{text}"
    );
    assert_eq!(place.ends(), before);
}

#[test]
fn a_gate_waits_with_its_evidence_and_only_its_own_approval_opens_it() {
    let place = Place::new(5);
    let (code, text) = done(&mut place.first(&[]));
    assert_eq!(code, 3, "{text}");
    assert!(
        text.contains(" --approve mapping") && text.contains("--workspace"),
        "{text}"
    );
    let evidence = fs::read(place.path("ws/evidence/mapping-1.json")).unwrap();
    let status = place.json("ws/status.json");
    assert_eq!(status["phase"], "AwaitingMapping");
    assert_eq!(status["gates"][0]["evidenceDigest"], Digest::of(&evidence).as_str());
    assert_eq!(status["totals"]["read"], 23 + 5, "predicted");

    // another digest opens nothing
    fs::create_dir_all(place.path("ws/approvals")).unwrap();
    let forged = format!(
        r#"{{"digest":"{}","user":"eve","at":"2026-01-01T00:00:00Z","way":"terminal"}}"#,
        Digest::of(b"x")
    );
    fs::write(place.path("ws/approvals/mapping-1.json"), forged).unwrap();
    assert_eq!(done(&mut place.command(&[])).0, 3);
    let (code, text) = done(&mut place.command(&["--approve", "mapping"]));
    assert_eq!(code, 3, "{text}");
    assert_eq!(place.json("ws/status.json")["phase"], "Synchronising");
    let approval = place.json("ws/approvals/mapping-1.json");
    assert_eq!(
        (approval["way"].as_str(), approval["digest"].as_str()),
        (Some("--approve"), Some(Digest::of(&evidence).as_str()))
    );
    assert_eq!(done(&mut place.command(&["--approve", "cutover"])).0, 0);
}

#[test]
fn evidence_that_is_gone_or_was_edited_is_sealed_anew_at_both_gates_and_an_approval_names_the_new_one() {
    let place = Place::new(5);
    assert_eq!(done(&mut place.first(&[])).0, 3);
    let edit = |name: &str| {
        let path = place.path(&format!("ws/evidence/{name}.json"));
        fs::write(&path, [fs::read(&path).unwrap(), b"x".to_vec()].concat()).unwrap();
    };
    edit("mapping-1");
    let (code, text) = done(&mut place.command(&[]));
    assert_eq!(code, 3, "{text}");
    let told = "sealed anew: evidence/mapping-1.json is not what was sealed";
    assert!(text.contains(told) && text.contains("--approve mapping"), "{text}");
    fs::remove_file(place.path("ws/evidence/mapping-2.json")).unwrap();
    let (code, text) = done(&mut place.command(&["--approve", "mapping"]));
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("sealed anew: evidence/mapping-2.json is gone"), "{text}");
    assert_eq!(place.json("ws/status.json")["phase"], "Synchronising");
    let evidence = fs::read(place.path("ws/evidence/mapping-3.json")).unwrap();
    let approval = place.json("ws/approvals/mapping-3.json");
    assert_eq!(approval["digest"], Digest::of(&evidence).as_str());

    edit("cutover-1");
    let (code, text) = done(&mut place.command(&["--approve", "cutover"]));
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("sealed anew: evidence/cutover-1.json is not what was sealed"),
        "{text}"
    );
    assert!(place.path("ws/approvals/cutover-2.json").exists());
}

#[test]
fn a_workspace_that_lost_its_identity_is_not_locked_out_by_itself() {
    let place = Place::new(5);
    assert_eq!(done(&mut place.first(&["--approve", "mapping"])).0, 3);
    let uid = place.json("ws/migration.json")["uid"].clone();
    fs::remove_file(place.path("ws/migration.json")).unwrap();
    let (code, text) = done(&mut place.command(&["--approve", "cutover"]));
    assert_eq!(code, 0, "{text}");
    assert_eq!(place.json("ws/migration.json")["uid"], uid);
}

/// Starts a run, and does something to it while contacts are loaded: some are in the ledger, not all are.
fn disturbed(place: &Place, disturb: impl FnOnce(&mut Child)) -> i32 {
    let mut child = place
        .first(&BOTH)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.by_ref().any(|line| line.unwrap().contains("✓ load companies")),
        "it never loaded companies"
    );
    while !place.path("ws/ledger/contacts").exists() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it loaded contacts"
        );
        std::thread::yield_now();
    }
    disturb(&mut child);
    lines.for_each(drop);
    child.wait().unwrap().code().unwrap_or(-9)
}

#[test]
fn killed_in_the_middle_it_comes_to_the_same_end() {
    let (whole, killed) = (Place::new(1_500), Place::new(1_500));
    assert_eq!(done(&mut whole.first(&BOTH)).0, 0);
    assert_eq!(disturbed(&killed, |child| child.kill().unwrap()), -9);
    assert_eq!(killed.json("ws/status.json")["phase"], "Loading");
    let (code, text) = done(&mut killed.command(&BOTH));
    assert_eq!(code, 0, "{text}");
    assert_eq!(killed.ends(), whole.ends());
    assert_eq!(killed.sum("failed"), 0);
}

#[test]
fn told_to_stop_it_stops_in_order_and_the_same_command_goes_on() {
    let place = Place::new(1_500);
    let code = disturbed(&place, |child| {
        let told = Command::new("kill")
            .arg("-TERM")
            .arg(child.id().to_string())
            .status()
            .unwrap();
        assert!(told.success());
    });
    assert_eq!(code, 75);
    let (code, text) = done(&mut place.command(&BOTH));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("run 1: goes on in Loading"), "{text}");
    assert_eq!(place.ends()[1], ("contacts".to_owned(), 1_500, 1_500, true));
}

#[test]
fn a_workspace_is_for_one_process_one_migration_and_one_odoo() {
    let place = Place::new(3);
    let lock = crmferry::workspace::exclusive(&place.path("ws")).unwrap();
    let (code, text) = done(&mut place.first(&[]));
    assert!(code == 1 && text.contains("another crmferry is at work"), "{text}");
    drop(lock);
    assert_eq!(done(&mut place.first(&[])).0, 3);
    let (code, text) = done(
        place
            .command(&["--destination", "odoo", "--secrets", "x"])
            .arg("--retry"),
    );
    assert!(code == 2 && text.contains("--workspace"), "{text}");
    fs::write(
        place.path("acme.yaml"),
        MANIFESTS.replace("name: acme,", "name: other,"),
    )
    .unwrap();
    let (code, text) = done(&mut place.command(&[]));
    assert!(code == 2 && text.contains("crm/acme"), "{text}");
}

#[test]
fn without_exports_it_says_what_to_do_and_a_cancelled_run_is_followed_by_the_next() {
    let place = Place::new(3);
    let (code, text) = done(&mut place.command(&BOTH));
    assert!(code == 4 && text.contains("--exports DIR"), "{text}");
    assert_eq!(done(&mut place.first(&[])).0, 3);
    let (code, text) = done(&mut place.command(&["--cancel"]));
    assert!(code == 0 && text.contains("cancelled"), "{text}");
    let (code, text) = done(&mut place.command(&BOTH));
    assert!(code == 0 && text.contains("run 2 begins"), "{text}");
}

#[test]
fn a_run_whose_manifest_went_wrong_can_be_cancelled_whatever_the_manifest_says_now() {
    let place = Place::new(3);
    let (manifest, elsewhere) = (
        place.path("acme.yaml"),
        MANIFESTS.replace("odoo.example", "other.example"),
    );
    assert_eq!(done(&mut place.first(&[])).0, 3);
    fs::write(&manifest, &elsewhere).unwrap();
    let (code, text) = done(&mut place.command(&[]));
    assert!(code == 5 && text.contains("--cancel"), "{text}");
    fs::write(&manifest, "kind: Migration\n  bad: [").unwrap();
    let (code, text) = done(&mut place.command(&["--cancel"]));
    assert!(code == 0 && text.contains("is cancelled"), "{text}");
    fs::write(&manifest, &elsewhere).unwrap();
    let (code, text) = done(&mut place.command(&["--cancel"]));
    assert!(
        code != 0 && text.contains("Cancelled"),
        "there is nothing to cancel: {text}"
    );
    let (code, text) = done(&mut place.command(&BOTH));
    assert!(
        code == 0 && text.contains("other.example") && text.contains("run 2 begins"),
        "{text}"
    );
}

#[test]
fn over_accept_it_stalls_and_names_the_bound() {
    let place = Place::new(3);
    fs::write(place.path("acme.yaml"), MANIFESTS.replace("10%", "0%")).unwrap();
    let (code, text) = done(&mut place.first(&BOTH));
    assert!(
        code == 4 && text.contains("Acceptance") && text.contains("--retry"),
        "{text}"
    );
    fs::write(place.path("acme.yaml"), MANIFESTS).unwrap();
    let (code, text) = done(&mut place.command(&BOTH));
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_field_that_is_empty_everywhere_at_once_stalls_until_a_person_says_that_it_is_meant() {
    let place = Place::new(40);
    let exports = place.path("from").to_string_lossy().into_owned();
    let all = ["--exports", &exports, BOTH[0], BOTH[1], BOTH[2], BOTH[3]];
    let (code, text) = done(&mut place.command(&all));
    assert_eq!(code, 0, "{text}");
    let mut text = "id,name,email,company_id\n".to_owned();
    for n in 0..40 {
        writeln!(text, "{n},Person {n},,1").unwrap();
    }
    fs::write(place.path("from/contact.csv"), text).unwrap();
    let (code, text) = done(&mut place.command(&all));
    assert!(
        code == 4 && text.contains("SourceShrunk") && text.contains("contact.email (40 records had a value, 0 have)"),
        "{text}"
    );
    let (code, text) = done(&mut place.command(&["--retry", "from-extract", BOTH[0], BOTH[1], BOTH[2], BOTH[3]]));
    assert_eq!(code, 0, "{text}");
}

#[test]
fn an_export_that_shrank_stalls_until_a_person_says_that_it_is_meant() {
    let place = Place::new(40);
    let exports = place.path("from").to_string_lossy().into_owned();
    let (code, text) = done(&mut place.command(&["--exports", &exports, BOTH[0], BOTH[1], BOTH[2], BOTH[3]]));
    assert_eq!(code, 0, "{text}");
    let present = place.sum("present");
    fs::write(
        place.path("from/contact.csv"),
        "id,name,email,company_id\n0,Person 0,p0@example.com,1\n",
    )
    .unwrap();
    let (code, text) = done(&mut place.command(&["--exports", &exports]));
    assert!(
        code == 4 && text.contains("SourceShrunk") && text.contains("contact went from 40 to 1 records"),
        "{text}"
    );
    let (code, text) = done(&mut place.command(&["--retry", "from-extract", BOTH[0], BOTH[1], BOTH[2], BOTH[3]]));
    assert_eq!(code, 0, "{text}");
    assert_eq!(
        (place.sum("present"), place.sum("created")),
        (present, 0),
        "what vanished stays in Odoo"
    );
}
