//! What an approval stands on: canonical JSON without a clock in it. Its SHA-256 is the evidence digest, and
//! `kubectl get configmap … -o jsonpath | sha256sum` gives the same.

use jiff::SignedDuration;
use serde::Serialize;

use crate::{
    api::{
        Book, Migration, MigrationStatus, Verification,
        migration::{Accept, ObjectState, Owners, Window},
    },
    model::digest::{Digest, canonical_json},
};

/// How long evidence is good for.
pub const VALID: SignedDuration = SignedDuration::from_hours(72);

/// Evidence, ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Canonical JSON.
    pub json: String,
    /// `sha256:<hex>` of exactly those bytes.
    pub digest: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Evidence<'a> {
    gate: &'a str,
    seal: i64,
    migration: Identity<'a>,
    run: i64,
    spec: String,
    plan: &'a str,
    mapping: &'a str,
    worker_version: &'a str,
    worker_image: &'a str,
    watermark: Option<&'a str>,
    objects: Vec<Object<'a>>,
    bounds: Bounds<'a>,
}

#[derive(Serialize)]
struct Identity<'a> {
    uid: &'a str,
    namespace: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Object<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<&'a str>,
    state: ObjectState,
    book: &'a Book,
    verification: Option<&'a Verification>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bounds<'a> {
    max_delta: i64,
    accept: &'a Accept,
    owners: Owners,
    window: Option<&'a Window>,
    valid_hours: i64,
}

/// Seals the evidence of a gate: the same Migration, status, gate and number give the same bytes.
///
/// # Panics
/// Never: everything in it can be serialised.
#[must_use]
pub fn seal(gate: &str, number: i64, migration: &Migration, status: &MigrationStatus) -> Sealed {
    let (plan, worker) = (status.plan.as_ref(), status.worker.as_ref());
    let evidence = Evidence {
        gate,
        seal: number,
        migration: Identity {
            uid: migration.metadata.uid.as_deref().unwrap_or_default(),
            namespace: migration.metadata.namespace.as_deref().unwrap_or_default(),
            name: migration.metadata.name.as_deref().unwrap_or_default(),
        },
        run: status.run,
        spec: spec_digest(migration),
        plan: plan.map_or("", |plan| &plan.digest),
        mapping: plan.map_or("", |plan| &plan.mapping_digest),
        worker_version: worker.map_or("", |worker| &worker.version),
        worker_image: worker.map_or("", |worker| &worker.image),
        watermark: status.watermark.as_deref(),
        objects: status
            .objects
            .iter()
            .map(|object| Object {
                name: &object.name,
                model: object.model.as_deref(),
                document: object.document.as_deref(),
                state: object.state,
                book: &object.book,
                verification: object.verification.as_ref(),
            })
            .collect(),
        bounds: Bounds {
            max_delta: migration.spec.cutover.max_delta,
            accept: &migration.spec.accept,
            owners: migration.spec.owners,
            window: migration.spec.cutover.window.as_ref(),
            valid_hours: VALID.as_hours(),
        },
    };
    let json = canonical_json(&evidence).expect("structs with text keys can be serialised");
    let digest = Digest::of(json.as_bytes()).to_string();
    Sealed { json, digest }
}

/// Digest of what the evidence stands on: another one makes a gate stale.
#[must_use]
pub fn basis(migration: &Migration, status: &MigrationStatus) -> String {
    let (plan, worker) = (status.plan.as_ref(), status.worker.as_ref());
    digest(&serde_json::json!({
        "uid": migration.metadata.uid,
        "run": status.run,
        "spec": spec_digest(migration),
        "plan": plan.map(|plan| &plan.digest),
        "worker": worker.map(|worker| [&worker.version, &worker.image]),
    }))
}

/// Digest of the spec as far as an approval stands on it: source, destination without limits, mappingSpecRef, accept,
/// cutover, owners and mode. Never suspend or limits.
#[must_use]
pub fn spec_digest(migration: &Migration) -> String {
    let spec = &migration.spec;
    let mut destination = spec.destination.clone();
    destination.odoo.limits = crate::api::migration::Limits::default();
    digest(&serde_json::json!({
        "source": spec.source,
        "destination": destination,
        "mappingSpecRef": spec.mapping_spec_ref,
        "accept": spec.accept,
        "cutover": spec.cutover,
        "owners": spec.owners,
        "mode": spec.mode,
    }))
}

fn digest(value: &serde_json::Value) -> String {
    Digest::of_json(value).expect("JSON can be serialised").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::migration::Profile, lifecycle::tests::a_migration};

    #[test]
    fn the_digest_is_of_exactly_the_bytes_and_the_number_changes_it() {
        let (migration, status) = (a_migration(), MigrationStatus::default());
        let sealed = seal("mapping", 1, &migration, &status);
        assert_eq!(sealed.digest, Digest::of(sealed.json.as_bytes()).to_string());
        assert_eq!(sealed, seal("mapping", 1, &migration, &status));
        assert_ne!(sealed.digest, seal("mapping", 2, &migration, &status).digest);
        assert_ne!(sealed.digest, seal("cutover", 1, &migration, &status).digest);
    }

    #[test]
    fn suspend_and_limits_change_no_basis_and_everything_an_approval_stands_on_does() {
        let (migration, status) = (a_migration(), MigrationStatus::default());
        let before = basis(&migration, &status);
        let mut same = migration.clone();
        same.spec.suspend = true;
        same.spec.destination.odoo.limits.profile = Profile::SelfHosted;
        assert_eq!(basis(&same, &status), before);
        let mut accept = migration.clone();
        accept.spec.cutover.max_delta += 1;
        assert_ne!(basis(&accept, &status), before);
        let mut owners = migration.clone();
        owners.spec.owners.on_missing = crate::api::migration::OwnersMissing::Empty;
        assert_ne!(basis(&owners, &status), before);
        let mut twin = migration.clone();
        twin.metadata.uid = Some("another".into());
        assert_ne!(basis(&twin, &status), before);
        assert_ne!(basis(&migration, &MigrationStatus { run: 2, ..status }), before);
    }
}
