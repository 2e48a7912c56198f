use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-03-01T12:00:00Z";

fn view(colour: bool) -> View {
    View {
        now: NOW.parse().unwrap(),
        colour,
        laptop: false,
    }
}

fn migration(status: &Value) -> Migration {
    serde_json::from_value(json!({
        "apiVersion": "crmferry.io/v1alpha1", "kind": "Migration",
        "metadata": {"name": "acme", "namespace": "crm", "uid": "u1"},
        "spec": {
            "mappingSpecRef": {"name": "pipz-to-odoo"},
            "source": {"account": "acme", "files": {"path": "exports/"}},
            "destination": {"odoo": {"url": "https://acme.odoo.com", "database": "acme", "secretRef": {"name": "odoo"}}},
            "workspace": {"persistentVolumeClaim": {"claimName": "ferry"}},
        },
        "status": status,
    }))
    .unwrap()
}

#[test]
fn at_work_is_said_only_of_what_is_at_work() {
    let mood = |migration: &Migration| {
        let text = screen(migration, &[], view(false));
        text.lines().next().unwrap_or_default().to_owned()
    };
    assert!(mood(&migration(&loading())).ends_with("(at work)"));
    let mut silent = loading();
    silent["attempt"]["since"] = json!("2026-03-01T11:50:00Z");
    assert!(
        mood(&migration(&silent)).ends_with("(no sign of life for 10 min)"),
        "{}",
        mood(&migration(&silent))
    );
    silent["attempt"]["beat"] = json!({"value": "2026-03-01T11:59:50.000000Z", "seen": "2026-03-01T11:59:50Z"});
    assert!(mood(&migration(&silent)).ends_with("(at work)"));
    let over = json!({"observedGeneration": 1, "phase": "Cancelled", "run": 1});
    assert!(
        mood(&migration(&over)).ends_with("Cancelled  (over)"),
        "{}",
        mood(&migration(&over))
    );

    let unseen = "(the operator has not seen the last change yet)";
    let mut edited = migration(&loading());
    edited.metadata.generation = Some(2);
    assert!(mood(&edited).ends_with(unseen), "{}", mood(&edited));
    let mut asked = migration(&waiting());
    asked.annotations_mut().insert(REQUEST.into(), "cancel 1".into());
    assert!(mood(&asked).ends_with(unseen), "{}", mood(&asked));
    asked.status.as_mut().unwrap().last_request =
        serde_json::from_value(json!({"request": "cancel 1", "accepted": false, "message": "", "at": NOW})).unwrap();
    assert!(mood(&asked).ends_with("(waiting)"));
}

fn loading() -> Value {
    json!({
        "observedGeneration": 1, "phase": "Loading", "run": 2,
        "started": "2026-03-01T10:00:00Z", "phaseSince": "2026-03-01T11:48:00Z", "estimateSeconds": 1200,
        "plan": {"digest": "sha256:0123456789abcdef0123", "mappingDigest": "sha256:ff"},
        "worker": {"version": "0.1.0", "image": "crmferry/crmferry:0.1.0"},
        "attempt": {"name": "acme-contacts-r2a5", "number": 5, "step": "Load", "object": "contacts",
            "since": "2026-03-01T11:57:00Z", "fruitless": 1},
        "progress": {"object": "contacts", "step": "load", "done": 5500, "total": 10000, "callSeconds": 12,
            "summary": "contacts 5500/10000"},
        "objects": [
            {"name": "companies", "model": "res.partner", "state": "Verified", "phaseRun": "acme-companies-r2a4",
                "book": {"read": 2000, "filtered": 3, "rejected": 12, "deduplicated": 5, "mapped": 1980, "created": 1900,
                    "adopted": 80, "present": 1980, "balanced": true},
                "verification": {"matching": 1978, "editedByUser": 2, "verified": true}},
            {"name": "contacts", "model": "res.partner", "state": "Loading", "phaseRun": "acme-contacts-r2a5",
                "book": {"read": 10000, "rejected": 120, "mapped": 9880, "created": 5500, "unprocessed": 4380}},
        ],
        "gates": [{"name": "mapping", "state": "Passed", "evidenceDigest": "sha256:aa", "evidence": "acme-evidence-mapping-1",
            "sealed": 1, "since": "2026-03-01T10:30:00Z", "approvedBy": "anna@example.com"}],
        "findings": [{"severity": "Warning", "code": "UnmappedField", "path": "objects[contacts]", "message": "fax is not mapped"}],
        "lastRequest": {"request": "retry 7", "accepted": true, "message": "a new attempt follows", "at": "2026-03-01T11:50:00Z"},
    })
}

fn waiting() -> Value {
    json!({
        "observedGeneration": 1, "phase": "AwaitingMapping", "run": 1,
        "conditions": [{"type": "Ready", "status": "False", "reason": "AwaitingMapping", "message": "",
            "lastTransitionTime": "2026-03-01T11:00:00Z"}],
        "queue": [{"object": "users", "key": "7", "records": 1}, {"object": "users", "key": "9", "records": 1},
            {"object": "users", "key": "9", "by": "contacts", "records": 12}, {"object": "users", "by": "deals", "records": 2}],
        "gates": [{"name": "mapping", "state": "Waiting", "evidenceDigest": "sha256:aa", "evidence": "acme-evidence-mapping-1",
            "sealed": 1, "since": "2026-03-01T11:00:00Z"}],
        "waitingFor": [{"what": "Approval", "message": "gate mapping: approve sha256:aa", "since": "2026-03-01T11:00:00Z",
            "command": "kubectl crmferry approve mapping migration/acme -n crm"}],
    })
}

fn stalled() -> Value {
    json!({
        "observedGeneration": 1, "phase": "Discovering", "run": 1,
        "conditions": [{"type": "Stalled", "status": "True", "reason": "SecretMissing",
            "message": "secret odoo needs the key apiKey\u{1b}[2J", "lastTransitionTime": "2026-03-01T11:00:00Z"}],
        "attempt": {"name": "acme-discover-r1a5", "number": 5, "step": "Discover", "since": "2026-03-01T11:57:00Z",
            "ended": "2026-03-01T11:58:00Z", "ending": {"verdict": "Stalled", "reason": "SecretMissing"}},
        "waitingFor": [{"what": "SecretMissing", "message": "secret odoo needs the key apiKey", "since": "2026-03-01T11:58:00Z",
            "command": "kubectl crmferry retry migration/acme -n crm"}],
    })
}

fn completed() -> Value {
    json!({
        "observedGeneration": 1, "phase": "Completed", "run": 1,
        "conditions": [{"type": "Ready", "status": "True", "reason": "Completed", "message": "",
            "lastTransitionTime": "2026-03-01T11:00:00Z"}],
        "round": {"number": 3, "ended": "2026-03-01T11:00:00Z", "changed": 4, "gone": 0},
        "cutover": {"drained": "2026-03-01T11:00:00.000000Z", "frozen": "2026-03-01T11:01:00.000000Z"},
    })
}

fn phase_run(name: &str, reasons: &Value) -> PhaseRun {
    serde_json::from_value(json!({
        "apiVersion": "crmferry.io/v1alpha1", "kind": "PhaseRun",
        "metadata": {"name": name, "namespace": "crm"},
        "spec": {"migration": "acme", "run": 2, "phase": "Load", "attempt": 5},
        "status": {"reasons": reasons},
    }))
    .unwrap()
}

fn runs() -> Vec<PhaseRun> {
    vec![
        phase_run(
            "acme-contacts-r2a5",
            &json!([
                {"object": "contacts", "code": "NotFound", "field": "parent_id", "count": 100, "example": "4711"},
                {"object": "contacts", "code": "TooLong", "field": "", "count": 20, "example": ""},
            ]),
        ),
        phase_run(
            "acme-companies-r2a4",
            &json!([{"object": "companies", "code": "BrokenLine", "field": "", "count": 12, "example": "companies.csv:7"},
                {"object": "contacts", "code": "NotItsOwn", "field": "", "count": 900, "example": ""}]),
        ),
        phase_run(
            "acme-contacts-r1a2",
            &json!([{"object": "contacts", "code": "OldRun", "field": "", "count": 999, "example": ""}]),
        ),
    ]
}

#[test]
fn an_approver_is_told_why_records_are_left_out_and_what_was_found() {
    let mut status = MigrationStatus::default();
    assert_eq!(beside_evidence(&status, &runs(), view(false)), "");
    status.objects = serde_json::from_value(json!([
        {"name": "contacts", "model": "res.partner", "phaseRun": "acme-contacts-r2a5"}
    ]))
    .unwrap();
    status.findings = serde_json::from_value(json!([
        {"severity": "Warning", "code": "Unmapped", "path": "contacts", "message": "phone goes nowhere"},
        {"severity": "Info", "code": "Note", "path": "contacts", "message": "nothing to see"}
    ]))
    .unwrap();
    let told = beside_evidence(&status, &runs(), view(false));
    for wanted in [
        "100  contacts.parent_id: NotFound",
        "phone goes nowhere",
        "not part of the evidence",
    ] {
        assert!(told.contains(wanted), "{told}");
    }
    assert!(!told.contains("nothing to see"), "{told}");
}

/// Compares with a golden file; with `UPDATE_GOLDEN=1` writes it.
fn golden(name: &str, text: &str) {
    let path = format!("{}/tests/fixtures/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, wanted, "{name} differs: UPDATE_GOLDEN=1 writes it");
}

#[test]
fn a_migration_fits_on_one_screen() {
    for (name, status, colour) in [
        ("status-loading.txt", loading(), false),
        ("status-loading-colour.txt", loading(), true),
        ("status-waiting.txt", waiting(), false),
        ("status-stalled.txt", stalled(), false),
        ("status-completed.txt", completed(), false),
        (
            "status-new.txt",
            json!({"observedGeneration": -1, "phase": "Pending"}),
            false,
        ),
        (
            "status-cancelled.txt",
            json!({"observedGeneration": 3, "phase": "Cancelled"}),
            false,
        ),
    ] {
        let text = screen(&migration(&status), &runs(), view(colour));
        assert!(colour || !text.contains('\x1b'), "{name} drives the terminal");
        golden(name, &text);
    }
}

#[test]
fn a_line_says_where_it_is_and_what_it_waits_for() {
    for (status, wanted) in [
        (loading(), "acme Loading run 2 | load contacts 5500/10000"),
        (
            waiting(),
            "acme AwaitingMapping run 1 | waits for Approval: gate mapping: approve sha256:aa \
             (kubectl crmferry approve mapping migration/acme -n crm)",
        ),
    ] {
        assert_eq!(line(&migration(&status)), wanted);
    }
}

#[test]
fn reasons_come_from_the_phase_run_that_counted_last_and_the_most_frequent_first() {
    let migration = migration(&loading());
    let (reasons, more) = top_reasons(migration.status.as_ref().unwrap(), &runs());
    let told: Vec<_> = reasons
        .iter()
        .map(|reason| (reason.code.as_str(), reason.count))
        .collect();
    assert_eq!(told, [("NotFound", 100), ("TooLong", 20), ("BrokenLine", 12)]);
    assert!(more.is_none());
}

#[test]
fn reasons_that_do_not_fit_on_the_screen_or_into_the_phase_run_are_told_by_their_number() {
    let migration = migration(&loading());
    let mut runs = runs();
    let status = runs[0].status.as_mut().unwrap();
    status.objects =
        serde_json::from_value(json!([{"name": "contacts", "moreReasons": {"kinds": 3, "count": 7}}])).unwrap();
    for field in 0..8 {
        let mut reason = status.reasons[0].clone();
        (reason.field, reason.count) = (format!("x_{field}"), 2);
        status.reasons.push(reason);
    }
    let (reasons, more) = top_reasons(migration.status.as_ref().unwrap(), &runs);
    assert_eq!((reasons.len(), more), (8, MoreReasons { kinds: 6, count: 13 }));
    let screen = screen(&migration, &runs, view(false));
    assert!(
        screen.contains("   13  for 6 further reasons and notes: results/<object>/reasons.csv"),
        "{screen}"
    );
}

#[test]
fn the_commands_to_go_on_are_those_it_waits_for_or_another_run() {
    for (status, wanted) in [
        (
            waiting(),
            vec!["kubectl crmferry approve mapping migration/acme -n crm"],
        ),
        (completed(), vec!["kubectl crmferry rerun migration/acme -n crm"]),
        (loading(), vec![]),
    ] {
        assert_eq!(commands(&migration(&status), false), wanted);
    }
}

#[test]
fn the_bar_is_full_only_when_all_is_done() {
    for (done, total, wanted) in [
        (0, 0, ""),
        (7, 0, "7"),
        (0, 10, "[------------------------] 0 %  0/10"),
        (999, 1000, "[#######################-] 99 %  999/1000"),
        (12, 10, "[########################] 100 %  12/10"),
        (-1, 10, ""),
    ] {
        assert_eq!(bar(done, total), wanted);
    }
}
