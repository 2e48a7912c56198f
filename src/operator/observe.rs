//! What is there: the MappingSpec, the attempt's PhaseRun, Job and pod, the guard, the evidence. Reads only.

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Event, PersistentVolumeClaim, Pod},
};
use kube::{Api, Resource, ResourceExt, api::ListParams};

use super::{Context, Error, guard, troubles};
use crate::{
    api::{CLOSED, EVIDENCE_KEY, Migration, PhaseRun},
    lifecycle::{AttemptSeen, EvidenceSeen, JobSeen, Observed, PhaseRunSeen, gate},
    model::Digest,
};
use troubles::Scene;

/// Looks at everything that the next step may depend on.
pub(super) async fn observe(migration: Migration, context: &Context) -> Result<Observed, Error> {
    Ok(Observed {
        mapping: context.mappings.see(&context.client, &migration).await?,
        attempt: attempt(&migration, context).await?,
        guarded: guard::look(&migration, context).await?,
        evidence: evidence(&migration, context).await?,
        worker_image: context.settings.worker_image.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        laptop: false,
        taken: Vec::new(),
        migration,
    })
}

async fn attempt(migration: &Migration, context: &Context) -> Result<AttemptSeen, Error> {
    let namespace = namespace(migration)?;
    let Some(attempt) = migration.status.as_ref().and_then(|status| status.attempt.as_ref()) else {
        return Ok(AttemptSeen::default());
    };
    let phase_runs = Api::<PhaseRun>::namespaced(context.client.clone(), &namespace);
    let phase_run = phase_runs
        .get_opt(&attempt.name)
        .await
        .map_err(Error::kube("read the PhaseRun"))?;
    let jobs = Api::<Job>::namespaced(context.client.clone(), &namespace);
    let job = jobs.get_opt(&attempt.name).await.map_err(Error::kube("read the Job"))?;
    let job = job.filter(|job| is_ours(job, migration));

    let mut seen = troubles::job_seen(job.as_ref(), &[]);
    let mut found = Vec::new();
    if let (Some(job), JobSeen::Pending | JobSeen::Failed(_)) = (&job, seen) {
        let scene = scene(migration, job, seen, context).await?;
        seen = troubles::job_seen(Some(job), &scene.pods);
        found = troubles::troubles(&namespace, &attempt.name, seen, &scene);
    }
    Ok(AttemptSeen {
        phase_run: phase_run.filter(|run| is_ours(run, migration)).map(|run| PhaseRunSeen {
            closed: run.annotations().contains_key(CLOSED),
            status: run.status.unwrap_or_default(),
        }),
        job: seen,
        troubles: found,
    })
}

/// Pods, and while none runs whatever tells why.
async fn scene(migration: &Migration, job: &Job, seen: JobSeen, context: &Context) -> Result<Scene, Error> {
    let namespace = namespace(migration)?;
    let client = &context.client;
    let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={}", job.name_any()));
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    let pods = pods
        .list(&of_job)
        .await
        .map_err(Error::kube("list the Job's pods"))?
        .items;
    if troubles::job_seen(Some(job), &pods) != JobSeen::Pending || seen != JobSeen::Pending {
        return Ok(Scene {
            pods,
            ..Scene::default()
        });
    }
    let claim = &migration.spec.workspace.persistent_volume_claim.claim_name;
    let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), &namespace);
    let found = claims
        .get_metadata_opt(claim)
        .await
        .map_err(Error::kube("read the claim"))?;
    let about = pods
        .first()
        .map_or_else(|| job.uid(), ResourceExt::uid)
        .unwrap_or_default();
    let about = ListParams::default().fields(&format!("involvedObject.uid={about}"));
    let events = Api::<Event>::namespaced(client.clone(), &namespace);
    Ok(Scene {
        pods,
        events: events.list(&about).await.map_err(Error::kube("list events"))?.items,
        missing_claim: found.is_none().then(|| claim.clone()),
    })
}

/// What the open gate stands on, read again: nothing tells us when it is deleted.
async fn evidence(migration: &Migration, context: &Context) -> Result<Option<EvidenceSeen>, Error> {
    let gates = migration.status.as_ref().map(|status| &status.gates[..]);
    let Some(gate) = gate::open(gates.unwrap_or_default()) else {
        return Ok(None);
    };
    let config_maps = Api::<ConfigMap>::namespaced(context.client.clone(), &namespace(migration)?);
    let found = config_maps
        .get_opt(&gate.evidence)
        .await
        .map_err(Error::kube("read the evidence"))?;
    Ok(Some(EvidenceSeen {
        name: gate.evidence.clone(),
        digest: found.as_ref().and_then(digest),
        sealed: found.is_some_and(|found| is_sealed(&found, migration)),
    }))
}

/// Digest of the evidence that a ConfigMap holds.
fn digest(found: &ConfigMap) -> Option<String> {
    let text = found.data.as_ref()?.get(EVIDENCE_KEY)?;
    Some(Digest::of(text.as_bytes()).to_string())
}

/// Whether evidence is ours, and can be replaced but not changed.
pub(super) fn is_sealed(found: &ConfigMap, migration: &Migration) -> bool {
    found.immutable == Some(true) && is_ours(found, migration)
}

/// Whether a child is this Migration's, not one of the same name that is gone.
pub(super) fn is_ours(child: &impl ResourceExt, migration: &Migration) -> bool {
    let ours = |uid: &str| migration.meta().uid.as_deref() == Some(uid);
    child.owner_references().iter().any(|owner| ours(&owner.uid))
}

/// The namespace, which every object from an API server has.
pub(super) fn namespace(migration: &Migration) -> Result<String, Error> {
    migration.namespace().ok_or(Error::Incomplete("metadata.namespace"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::{build, script::migration},
        *,
    };

    #[test]
    fn evidence_is_sealed_where_it_is_ours_and_immutable_and_its_digest_is_that_of_its_bytes() {
        let migration = migration(&json!({}));
        let made = build::evidence(&migration, "acme-evidence-mapping-1", "{}").unwrap();
        assert!(is_sealed(&made, &migration));
        assert_eq!(digest(&made).as_deref(), Some(Digest::of(b"{}").as_str()));

        let open = ConfigMap {
            immutable: None,
            ..made.clone()
        };
        assert!(!is_sealed(&open, &migration));
        let mut foreign = made.clone();
        foreign.metadata.owner_references = None;
        assert!(!is_sealed(&foreign, &migration));
        let empty = ConfigMap { data: None, ..made };
        assert_eq!(digest(&empty), None);
    }
}
