//! Reports, held against what was once read and found good. `UPDATE_GOLDEN=1` rewrites them.

use std::{env, fs, path::Path};

use crmferry::{
    api::{Migration, PhaseRunStatus},
    report::{
        books,
        whole::{self, Facts, Report},
    },
};
use serde_json::json;

fn golden(file: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/golden")
        .join(file);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, found).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{} differs; found:\n{found}", path.display());
}

fn migration() -> Migration {
    let digest = |c: char| format!("sha256:{}", c.to_string().repeat(64));
    serde_json::from_value(json!({
        "apiVersion": "crmferry.io/v1alpha1", "kind": "Migration",
        "metadata": {"name": "acme", "namespace": "crm"},
        "spec": {
            "mappingSpecRef": {"name": "pipz-to-odoo"},
            "source": {"account": "acme", "files": {"path": "exports/"}},
            "destination": {"odoo": {"url": "https://acme.odoo.com", "database": "crm", "secretRef": {"name": "odoo"}}},
            "workspace": {"persistentVolumeClaim": {"claimName": "ferry"}},
        },
        "status": {
            "observedGeneration": 1, "phase": "Synchronising", "run": 2, "started": "2026-12-05T20:00:00Z",
            "plan": {"digest": digest('a'), "mappingDigest": digest('b')},
            "worker": {"version": "0.1.0", "image": "crmferry:0.1.0"},
            "watermark": digest('c'),
            "totals": {"read": 150, "loaded": 141, "rejected": 7},
            "objects": [
                {"name": "companies", "model": "res.partner", "state": "Verified", "phaseRun": "acme-companies-r2a5",
                 "book": {"read": 50, "rejected": 2, "mapped": 48, "created": 40, "adopted": 8, "present": 48, "balanced": true},
                 "verification": {"matching": 48, "verified": true}},
                {"name": "contacts", "model": "res.partner", "state": "Loading", "phaseRun": "acme-contacts-r2a6",
                 "book": {"read": 100, "filtered": 1, "rejected": 4, "deduplicated": 1, "mapped": 94, "updated": 3, "unchanged": 90, "failed": 1,
                          "presentBefore": 93, "present": 93, "balanced": true},
                 "verification": {"matching": 92, "mismatched": 1}},
                {"name": "segments", "document": "handover/smart-segments.csv", "state": "Verified", "phaseRun": "acme-segments-r2a7",
                 "book": {"read": 12, "rejected": 1, "mapped": 11, "created": 11, "present": 11, "balanced": true},
                 "verification": {"matching": 11, "verified": true}},
            ],
            "gates": [
                {"name": "mapping", "state": "Passed", "evidenceDigest": digest('d'), "evidence": "acme-evidence-mapping-1", "sealed": 1, "approvedBy": "anna"},
                {"name": "cutover", "state": "Stale", "evidenceDigest": digest('e'), "evidence": "acme-evidence-cutover-1", "sealed": 1, "message": "contacts: 1 record differs"},
            ],
            "waitingFor": [{"what": "Verification", "message": "contacts: 1 record differs", "since": "2026-12-05T21:00:00Z",
                            "command": "kubectl crmferry retry migration/acme -n crm"}],
            "findings": [{"severity": "Warning", "code": "UnmappedSource", "path": "objects[contacts]", "message": "nothing maps fax"}],
            "cutover": {"drained": "2026-12-05T21:00:00.000000Z"},
            "history": [{"run": 1, "phase": "Cancelled", "ended": "2026-12-04T20:00:00Z", "totals": {"read": 150, "loaded": 0, "rejected": 5}}],
        },
    }))
    .unwrap()
}

fn report(laptop: bool) -> Report {
    let run = |object: &str, example: &str| -> PhaseRunStatus {
        serde_json::from_value(json!({"reasons": [
            {"object": object, "kind": "Noted", "code": "NotFound", "field": "user_id", "count": 4, "example": example},
            {"object": object, "code": "Empty", "field": "name", "count": 2, "example": example},
        ], "objects": [{"name": "contacts", "moreReasons": {"kinds": 3, "count": 31}}]}))
        .unwrap()
    };
    let segments = serde_json::from_value(json!({"objects": [{"name": "segments", "book": {"present": 11}, "document": {
        "label": "Smart segments", "help": "Each segment as it was defined", "columns": ["name", "definition"], "width": 3,
        "file": {"path": "handover/smart-segments.csv", "digest": "sha256:0f"}}}]}))
    .unwrap();
    let runs = [
        ("acme-companies-r2a5".to_owned(), run("companies", "anna@example.com")),
        ("acme-contacts-r2a6".to_owned(), run("contacts", "bob@example.com")),
        ("acme-contacts-r1a6".to_owned(), run("contacts", "old@example.com")),
        ("acme-segments-r2a7".to_owned(), segments),
    ];
    whole::report(Facts {
        migration: &migration(),
        phase_runs: &runs,
        laptop,
        memory: laptop,
    })
}

#[test]
fn the_report_reads_as_it_should() {
    golden("report.md", &whole::markdown(&report(false)));
    golden("report-laptop.md", &whole::markdown(&report(true)));
    golden("report.json", &whole::json(&report(false)));
    golden("books.txt", &books::text(&report(false).objects, false));
}

#[test]
fn no_key_of_a_record_gets_into_a_report() {
    let text = whole::markdown(&report(false)) + &whole::json(&report(true));
    assert!(!text.contains('@'), "{text}");
}
