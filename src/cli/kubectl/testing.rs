//! A Migration for tests.

use serde_json::{Value, json};

use crate::api::Migration;

/// The Migration `crm/acme` with this status.
pub(super) fn migration(status: &Value) -> Migration {
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
    .expect("a Migration as the CRD has it")
}
