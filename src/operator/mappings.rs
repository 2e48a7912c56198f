//! MappingSpecs: compiled once a generation, for their own status and for the Migrations that use them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::DeserializeGuard,
};
use serde_json::json;

use super::{Context, Error, observe::namespace};
use crate::{
    api::{
        MappingSpec, MappingSpecSpec, MappingSpecStatus, Migration, OPERATOR,
        mapping_spec::{Finding, Severity},
    },
    lifecycle::MappingSeen,
    mapping::{World, compile, merge},
    odoo::models,
};

/// Findings that a status shows.
const FINDINGS_MAX: usize = 50;

/// What compiling gave, by uid and for one generation: compiling costs more than everything else in a pass.
#[derive(Debug, Default)]
pub(super) struct Mappings(Mutex<HashMap<String, (i64, Arc<Look>)>>);

/// A spec, looked at.
#[derive(Clone, Debug, Default, PartialEq)]
struct Look {
    digest: Option<String>,
    platform: Option<String>,
    objects: Option<i64>,
    compatibility: Option<String>,
    grade: Option<String>,
    findings: Vec<Finding>,
}

impl Mappings {
    /// The MappingSpec of a Migration.
    pub(super) async fn see(&self, client: &Client, migration: &Migration) -> Result<MappingSeen, Error> {
        let specs = Api::<DeserializeGuard<MappingSpec>>::namespaced(client.clone(), &namespace(migration)?);
        let name = &migration.spec.mapping_spec_ref.name;
        let Some(found) = specs.get_opt(name).await.map_err(Error::kube("read the MappingSpec"))? else {
            return Ok(MappingSeen::Absent);
        };
        Ok(match found.0 {
            Ok(spec) => seen(&self.look(&spec)),
            Err(invalid) => MappingSeen::Invalid(vec![finding("Unreadable", invalid.error)]),
        })
    }

    fn look(&self, spec: &MappingSpec) -> Arc<Look> {
        let key = (
            spec.uid().unwrap_or_default(),
            spec.metadata.generation.unwrap_or_default(),
        );
        let known = self
            .lock()
            .get(&key.0)
            .filter(|(generation, _)| *generation == key.1)
            .map(|(_, look)| look.clone());
        known.unwrap_or_else(|| {
            let look = Arc::new(look(&spec.spec));
            self.lock().insert(key.0, (key.1, look.clone()));
            look
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (i64, Arc<Look>)>> {
        // a cache has no half-done state: a poisoned lock is as good as any
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what compiling gave into the MappingSpec's status.
pub(super) async fn reconcile(spec: &MappingSpec, context: &Context) -> Result<(), Error> {
    let status = status(spec, &context.mappings.look(spec), (context.now)());
    if spec.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let namespace = spec.namespace().ok_or(Error::Incomplete("metadata.namespace"))?;
    let patch = json!({
        "apiVersion": MappingSpec::api_version(&()),
        "kind": MappingSpec::kind(&()),
        "metadata": {"resourceVersion": spec.resource_version()},
        "status": status,
    });
    let specs = Api::<MappingSpec>::namespaced(context.client.clone(), &namespace);
    let parameters = PatchParams::apply(OPERATOR).force();
    match specs
        .patch_status(&spec.name_any(), &parameters, &Patch::Apply(patch))
        .await
    {
        Ok(_) => Ok(()),
        // somebody changed it meanwhile, and that wakes us
        Err(kube::Error::Api(answer)) if answer.is_conflict() || answer.is_not_found() => Ok(()),
        Err(error) => Err(Error::kube("apply the status")(error)),
    }
}

/// Resolves and compiles a spec against the bundled description of Odoo. Pure.
fn look(spec: &MappingSpecSpec) -> Look {
    let merged = match merge::resolve(spec) {
        Ok(merged) => merged,
        Err(findings) => {
            return Look {
                findings,
                ..Look::default()
            };
        }
    };
    let world = World {
        models: models::bundled(),
        odoo_known: false,
        source: None,
    };
    let compiled = compile::compile(&merged, world);
    let (kept, rows) = compiled.compatibility;
    Look {
        digest: Some(merged.digest.to_string()),
        platform: Some(format!("{:?}", merged.platform)),
        objects: merged
            .spec
            .objects
            .as_ref()
            .and_then(|objects| i64::try_from(objects.len()).ok()),
        compatibility: Some(format!("{kept} of {rows}")),
        grade: compiled.grade.map(String::from),
        findings: compiled.findings,
    }
}

fn seen(look: &Look) -> MappingSeen {
    let errors: Vec<_> = errors(&look.findings).cloned().collect();
    match &look.digest {
        Some(digest) if errors.is_empty() => MappingSeen::Valid { digest: digest.clone() },
        _ => MappingSeen::Invalid(errors),
    }
}

fn errors(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.severity == Severity::Error)
}

fn finding(code: &str, message: String) -> Finding {
    Finding {
        severity: Severity::Error,
        code: code.into(),
        path: String::new(),
        message,
    }
}

fn status(spec: &MappingSpec, look: &Look, now: Timestamp) -> MappingSpecStatus {
    let broken = errors(&look.findings).count();
    let (valid, reason, message) = match errors(&look.findings).next() {
        None => (true, "Compiled", "the mapping compiles".to_owned()),
        Some(first) => (
            false,
            "InvalidMapping",
            format!("{broken} errors, the first at {}: {}", first.path, first.message),
        ),
    };
    let mut conditions = spec
        .status
        .as_ref()
        .map(|status| status.conditions.clone())
        .unwrap_or_default();
    for (type_, holds) in [("Ready", valid), ("Reconciling", false), ("Stalled", !valid)] {
        upsert(
            &mut conditions,
            Condition {
                type_: type_.into(),
                status: if holds { "True" } else { "False" }.into(),
                reason: reason.into(),
                message: message.chars().take(1024).collect(),
                observed_generation: spec.metadata.generation,
                last_transition_time: Time(now),
            },
        );
    }
    MappingSpecStatus {
        observed_generation: spec.metadata.generation,
        conditions,
        digest: look.digest.clone(),
        platform: look.platform.clone(),
        objects: look.objects,
        compatibility: look.compatibility.clone(),
        grade: look.grade.clone(),
        findings: look.findings.iter().take(FINDINGS_MAX).cloned().collect(),
    }
}

/// Sets a condition; its time moves only when its status does.
fn upsert(conditions: &mut Vec<Condition>, mut new: Condition) {
    match conditions.iter_mut().find(|old| old.type_ == new.type_) {
        None => conditions.push(new),
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time.clone();
            }
            *old = new;
        }
    }
}
