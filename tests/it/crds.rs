//! The checked-in CRDs are what the types say, and their rules do what they claim.

use std::{env, fs, path::Path};

use crmferry::api::{crds, render};
use kube::core::cel::Validator;
use serde_json::{Value, json};

#[test]
fn checked_in_crds_are_what_the_types_say() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    for (file, crd) in crds() {
        let wanted = render(&crd).unwrap();
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(dir.join(file), &wanted).unwrap();
        }
        let found = fs::read_to_string(dir.join(file)).unwrap_or_default();
        assert!(
            found == wanted,
            "crds/{file} is stale: run `UPDATE_GOLDEN=1 cargo test --test it crds`"
        );
    }
}

fn schema(file: &str) -> Value {
    let (_, crd) = crds().into_iter().find(|(name, _)| *name == file).unwrap();
    let schema = crd.spec.versions[0].schema.as_ref().unwrap();
    serde_json::to_value(schema.open_api_v3_schema.as_ref().unwrap()).unwrap()
}

/// Walks a schema with the path of each part.
fn walk(path: &str, schema: &Value, look: &mut impl FnMut(&str, &Value)) {
    look(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, look);
    }
    for (word, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[word].is_object() {
            walk(&format!("{path}{mark}"), &schema[word], look);
        }
    }
}

#[test]
fn everything_is_documented_bounded_and_said_in_one_way() {
    for (file, _) in crds() {
        let root = schema(file);
        for part in ["spec", "status"] {
            walk(part, &root["properties"][part], &mut |path, schema| {
                let place = format!("{file} {path}");
                let inner = path.ends_with(']') || path.ends_with('}');
                assert!(inner || schema["description"].is_string(), "{place} is not documented");
                assert!(schema["nullable"].is_null(), "{place} may be null");
                match schema["type"].as_str() {
                    Some("array") => {
                        assert!(schema["maxItems"].is_number(), "{place} has no bound");
                        assert!(schema["x-kubernetes-list-type"].is_string(), "{place} has no list type");
                    }
                    Some("string") => assert!(
                        schema["maxLength"].is_number() || schema["enum"].is_array() || schema["format"].is_string(),
                        "{place} has no bound"
                    ),
                    Some("integer") => assert!(
                        matches!(schema["format"].as_str(), Some("int32" | "int64")),
                        "{place}: the API server does not know the format"
                    ),
                    _ if schema["additionalProperties"].is_object() => {
                        assert!(schema["maxProperties"].is_number(), "{place} has no bound");
                    }
                    _ => {}
                }
            });
        }
    }
}

#[test]
fn a_report_has_room_for_every_file_of_a_hundred_objects() {
    let room = schema("phaseruns.yaml")["properties"]["status"]["properties"]["files"]["maxItems"].as_u64();
    let files = crmferry::workspace::ResultKind::ALL.len() + 1; // and reasons.csv
    assert!(room.unwrap() >= 100 * files as u64, "{room:?}");
}

#[test]
fn a_migration_is_born_with_a_status_that_no_tool_takes_for_finished() {
    let status = &schema("migrations.yaml")["properties"]["status"]["default"];
    assert_eq!(*status, json!({"observedGeneration": -1, "phase": "Pending"}));
}

/// A Migration with every default in, as the API server hands it to the rules.
fn migration(phase: &str) -> Value {
    json!({
        "apiVersion": "crmferry.io/v1alpha1", "kind": "Migration", "metadata": {"name": "acme"},
        "spec": {
            "mappingSpecRef": {"name": "pipz"},
            "source": {"account": "acme", "files": {"path": "exports/"}},
            "destination": {"odoo": {"url": "https://odoo.example", "database": "acme", "secretRef": {"name": "odoo"},
                "insecure": false, "limits": {"profile": "Online"}}},
            "workspace": {"persistentVolumeClaim": {"claimName": "ferry"}},
            "accept": {}, "cutover": {"maxDelta": 1000, "every": "15m"}, "mode": "Migrate", "suspend": false
        },
        "status": {"phase": phase}
    })
}

/// The value at a path such as `spec/mode`, set.
fn with(mut object: Value, path: &str, value: Value) -> Value {
    let (parent, last) = path.rsplit_once('/').unwrap();
    object.pointer_mut(&format!("/{parent}")).unwrap()[last] = value;
    object
}

fn refusal(file: &str, object: &Value, old: Option<&Value>) -> Option<String> {
    Validator::new()
        .validate(&schema(file), object, old)
        .err()
        .map(|refused| refused.to_string())
}

#[test]
fn what_a_run_stands_on_is_frozen_while_it_is_under_way_and_only_then() {
    let frozen = [
        ("spec/mappingSpecRef/name", json!("other")),
        ("spec/source/files/path", json!("other/")),
        (
            "spec/source/pipz",
            json!({"secretRef": {"name": "pipz"}, "authentication": "Query", "insecure": false}),
        ),
        ("spec/workspace/persistentVolumeClaim/claimName", json!("other")),
        ("spec/mode", json!("DryRun")),
        ("spec/destination/odoo/url", json!("https://other.example")),
        ("spec/destination/odoo/database", json!("other")),
        ("spec/destination/odoo/secretRef/name", json!("other")),
        ("spec/destination/odoo/insecure", json!(true)),
        (
            "spec/destination/odoo/caBundle",
            json!({"configMapKeyRef": {"name": "a", "key": "b"}}),
        ),
    ];
    for (path, value) in frozen {
        for (phase, free) in [
            ("Pending", true),
            ("Validating", true),
            ("Discovering", false),
            ("AwaitingMapping", false),
            ("CuttingOver", false),
            ("Completed", true),
            ("Cancelled", true),
        ] {
            let refused = refusal(
                "migrations.yaml",
                &with(migration(phase), path, value.clone()),
                Some(&migration(phase)),
            );
            assert_eq!(refused.is_none(), free, "{path} in {phase}: {refused:?}");
            assert!(refused.is_none_or(|text| text.contains("frozen while a run is under way")));
        }
    }
}

#[test]
fn what_people_change_live_stays_free() {
    for (path, value) in [
        ("spec/suspend", json!(true)),
        ("spec/accept/rejected", json!("1%")),
        ("spec/cutover/every", json!("1h30m")),
        (
            "spec/cutover/window",
            json!({"notBefore": "2026-12-05T20:00:00Z", "notAfter": "2026-12-06T06:00:00Z"}),
        ),
        (
            "spec/destination/odoo/limits",
            json!({"profile": "SelfHosted", "connections": 2}),
        ),
    ] {
        let refused = refusal(
            "migrations.yaml",
            &with(migration("Loading"), path, value),
            Some(&migration("Loading")),
        );
        assert_eq!(refused, None, "{path}");
    }
}

#[test]
fn what_is_part_of_every_external_id_never_changes() {
    for (path, value) in [
        ("spec/source/account", json!("other")),
        ("spec/destination/odoo/externalIdModule", json!("crmferry_other")),
    ] {
        let refused = refusal(
            "migrations.yaml",
            &with(migration("Completed"), path, value),
            Some(&migration("Completed")),
        );
        assert!(refused.is_some_and(|text| text.contains("immutable")), "{path}");
    }
}

#[test]
fn a_spec_that_cannot_be_meant_is_refused_with_a_sentence() {
    for (path, value, sentence) in [
        ("spec/destination/odoo/url", json!("http://odoo.example"), "https://"),
        ("spec/source/files/path", json!("a/../b"), ".."),
        ("spec/source/files/path", json!("ledger/x"), "files of their own"),
        ("spec/source/files/path", json!("evidence"), "files of their own"),
        ("spec/source", json!({"account": "acme"}), "say at least one"),
        (
            "spec/source/pipz",
            json!({"secretRef": {"name": "p"}, "authentication": "Query", "insecure": false, "url": "http://acme.pipz.io"}),
            "https://",
        ),
        ("spec/cutover/every", json!(""), "a time such as 15m"),
        ("spec/cutover/every", json!("0s"), "a time such as 15m"),
        (
            "spec/cutover/window",
            json!({"notBefore": "2027-01-01T00:00:00Z", "notAfter": "2026-01-01T00:00:00Z"}),
            "before notAfter",
        ),
        ("metadata/name", json!("x".repeat(41)), "40 characters"),
    ] {
        let refused = refusal("migrations.yaml", &with(migration("Pending"), path, value), None);
        assert!(
            refused.as_ref().is_some_and(|text| text.contains(sentence)),
            "{path}: {refused:?}"
        );
    }
}

#[test]
fn a_book_may_only_claim_balance_that_it_has() {
    let counters = json!({"read": 3, "filtered": 0, "rejected": 1, "deduplicated": 0, "mapped": 2, "created": 1, "adopted": 1,
        "updated": 0, "unchanged": 0, "deferred": 0, "held": 0, "failed": 0, "unprocessed": 0, "balanced": true});
    for (counter, value, fine) in [
        ("read", json!(3), true),
        ("read", json!(4), false),
        ("created", json!(0), false),
        ("held", json!(1), false),
        ("unprocessed", json!(1), false),
    ] {
        let book = with(json!({"book": counters.clone()}), &format!("book/{counter}"), value)["book"].clone();
        let claimed = with(
            migration("Loading"),
            "status/objects",
            json!([{"name": "a", "model": "m", "book": book}]),
        );
        assert_eq!(refusal("migrations.yaml", &claimed, None).is_none(), fine, "{counter}");
        let open = with(claimed, "status/objects/0/book/balanced", json!(false));
        assert_eq!(
            refusal("migrations.yaml", &open, None),
            None,
            "an open book says what it likes"
        );
    }
}

#[test]
fn the_spec_of_an_attempt_is_immutable() {
    let run = json!({"apiVersion": "crmferry.io/v1alpha1", "kind": "PhaseRun", "metadata": {"name": "a"},
        "spec": {"migration": "acme", "run": 1, "phase": "Load", "attempt": 1, "image": "i"}});
    assert_eq!(refusal("phaseruns.yaml", &run, Some(&run)), None);
    assert!(
        refusal(
            "phaseruns.yaml",
            &with(run.clone(), "spec/attempt", json!(2)),
            Some(&run)
        )
        .is_some()
    );
}

#[test]
fn a_field_has_one_origin_and_a_lookup_one_target() {
    let spec = |field: Value| {
        json!({"apiVersion": "crmferry.io/v1alpha1", "kind": "MappingSpec", "metadata": {"name": "a"},
            "spec": {"objects": [{"name": "a", "fields": [field]}]}})
    };
    for (field, fine) in [
        (json!({"to": "x", "from": "a"}), true),
        (json!({"to": "x"}), true),
        (json!({"to": "x", "from": "a", "cel": "b"}), false),
        (
            json!({"to": "x", "from": "a", "lookup": {"model": "m", "within": {"a": "b"}}}),
            true,
        ),
        (
            json!({"to": "x", "from": "a", "lookup": {"model": "m", "object": "o"}}),
            false,
        ),
        (json!({"to": "x", "from": "a", "lookup": {}}), false),
        (
            json!({"to": "x", "from": "a", "lookup": {"object": "o", "within": {"a": "b"}}}),
            false,
        ),
    ] {
        assert_eq!(
            refusal("mappingspecs.yaml", &spec(field.clone()), None).is_none(),
            fine,
            "{field}"
        );
    }
}
