//! One pass over a Migration: observe, decide, seal, write the status, carry out, look again.

use std::time::Duration;

use kube::{Api, runtime::controller::Action};

use super::{
    Context, Error,
    apply::{self, Written},
    observe,
};
use crate::{
    api::Migration,
    lifecycle::{self, JobSeen, Next, Observed},
};

/// Looks again after this at the latest: a watch may have missed something.
const AT_LATEST: Duration = Duration::from_mins(5);
/// Looks again after this while a pod does not start: some troubles are shown by events alone, which are not watched.
const WHILE_PENDING: Duration = Duration::from_secs(5);
/// Looks again after this when the plan was void.
const SOON: Duration = Duration::from_secs(1);

/// One pass.
pub(super) async fn reconcile(cached: &Migration, context: &Context) -> Result<Action, Error> {
    let Some(migration) = current(cached, context).await? else {
        return Ok(Action::await_change());
    };
    let mut observed = observe::observe(migration, context).await?;
    let next = decide(&mut observed, context).await?;
    match apply::status(&observed.migration, &next.status, context).await? {
        Written::Stale => return Ok(Action::requeue(SOON)),
        Written::Yes => tell(&observed, &next, context),
    }
    apply::effects(&observed.migration, &next.effects, context).await?;
    Ok(Action::requeue(look_again(&observed, &next)))
}

/// Decides, and seals what was decided to seal. Evidence is there before the status that names it; a name that other
/// evidence has (a pass ended between the two) is passed over.
async fn decide(observed: &mut Observed, context: &Context) -> Result<Next, Error> {
    loop {
        let next = lifecycle::next(observed, (context.now)());
        let taken = apply::seal(&observed.migration, &next.effects, context).await?;
        if taken.is_empty() {
            return Ok(next);
        }
        observed.taken.extend(taken);
    }
}

/// The Migration as it is now. The cache may lag behind our own last write; a plan made from that would start again what
/// was stopped.
async fn current(cached: &Migration, context: &Context) -> Result<Option<Migration>, Error> {
    let migrations = Api::<Migration>::namespaced(context.client.clone(), &observe::namespace(cached)?);
    let name = cached
        .metadata
        .name
        .as_deref()
        .ok_or(Error::Incomplete("metadata.name"))?;
    migrations
        .get_opt(name)
        .await
        .map_err(Error::kube("read the Migration"))
}

fn tell(observed: &Observed, next: &Next, context: &Context) {
    let before = observed.migration.status.as_ref().map(|status| status.phase);
    if before != Some(next.status.phase) {
        context.metrics.entered(next.status.phase);
        tracing::info!(from = ?before, to = ?next.status.phase, run = next.status.run, "phase entered");
    }
}

fn look_again(observed: &Observed, next: &Next) -> Duration {
    let wanted = next
        .look_again
        .and_then(|wanted| Duration::try_from(wanted).ok())
        .unwrap_or(AT_LATEST);
    match observed.attempt.job {
        JobSeen::Pending => wanted.min(WHILE_PENDING),
        JobSeen::Absent | JobSeen::Running | JobSeen::Complete | JobSeen::Failed(_) | JobSeen::Ending => {
            wanted.min(AT_LATEST)
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::{Value, json};

    use super::{
        super::script::{Exchange, against, failure, migration, on},
        *,
    };

    const MIGRATION: &str = "/apis/crmferry.io/v1alpha1/namespaces/ferry/migrations/acme";
    const STATUS: &str = "/apis/crmferry.io/v1alpha1/namespaces/ferry/migrations/acme/status";
    const MAPPING: &str = "/apis/crmferry.io/v1alpha1/namespaces/ferry/mappingspecs/pipz";
    const PHASE_RUNS: &str = "/apis/crmferry.io/v1alpha1/namespaces/ferry/phaseruns";
    const JOBS: &str = "/apis/batch/v1/namespaces/ferry/jobs";
    const EVIDENCE: &str = "/api/v1/namespaces/ferry/configmaps/acme-evidence-mapping-1";
    const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/ferry/events";

    fn read(status: &Value) -> Exchange {
        on(
            Method::GET,
            MIGRATION,
            200,
            serde_json::to_value(migration(status)).unwrap(),
        )
    }

    fn mapping() -> Exchange {
        let spec = json!({
            "apiVersion": "crmferry.io/v1alpha1", "kind": "MappingSpec",
            "metadata": {"name": "pipz", "namespace": "ferry", "uid": "m1", "generation": 1},
            "spec": {"extends": "pipz-to-odoo"}
        });
        on(Method::GET, MAPPING, 200, spec)
    }

    fn written(check: impl FnOnce(&Value) + Send + 'static) -> Exchange {
        let answer = serde_json::to_value(migration(&json!({}))).unwrap();
        on(Method::PATCH, STATUS, 200, answer).with(check)
    }

    async fn pass(script: Vec<Exchange>) -> Result<Action, Error> {
        let cached = migration(&json!({"phase": "Pending"}));
        Box::pin(against(script, async |context| reconcile(&cached, &context).await)).await
    }

    #[tokio::test]
    async fn a_migration_that_is_gone_is_left_alone() {
        let gone = on(Method::GET, MIGRATION, 404, failure(404, "NotFound"));
        assert_eq!(pass(vec![gone]).await.unwrap(), Action::await_change());
    }

    #[tokio::test]
    async fn without_its_mapping_spec_a_migration_waits_and_says_for_what() {
        let script = vec![
            read(&json!({"observedGeneration": -1, "phase": "Pending"})),
            on(Method::GET, MAPPING, 404, failure(404, "NotFound")),
            written(|patch| {
                assert_eq!(patch["metadata"]["resourceVersion"], "41");
                assert_eq!(patch["status"]["observedGeneration"], 3);
                assert!(
                    patch["status"]["waitingFor"][0]["message"]
                        .as_str()
                        .unwrap()
                        .contains("pipz")
                );
            }),
        ];
        assert!(pass(script).await.is_ok());
    }

    #[tokio::test]
    async fn an_attempt_is_decided_on_in_the_status_before_its_job_is_made() {
        let status = json!({"observedGeneration": 3, "phase": "Validating", "run": 1});
        let script = vec![
            read(&status),
            mapping(),
            written(|patch| {
                assert_eq!(patch["status"]["phase"], "Discovering");
                assert_eq!(patch["status"]["attempt"]["name"], "acme-discover-r1a1");
            }),
            on(
                Method::POST,
                PHASE_RUNS,
                201,
                json!({
                "apiVersion": "crmferry.io/v1alpha1", "kind": "PhaseRun", "metadata": {"name": "acme-discover-r1a1"},
                "spec": {"migration": "acme", "run": 1, "phase": "Discover", "attempt": 1}}),
            ),
            on(
                Method::POST,
                JOBS,
                201,
                json!({"metadata": {"name": "acme-discover-r1a1"}}),
            ),
            on(Method::POST, EVENTS, 201, json!({"metadata": {}})),
        ];
        let action = pass(script).await;
        assert!(action.is_ok(), "{action:?}");
    }

    #[tokio::test]
    async fn a_void_plan_starts_nothing() {
        let script = vec![
            read(&json!({"observedGeneration": 3, "phase": "Validating", "run": 1})),
            mapping(),
            on(Method::PATCH, STATUS, 409, failure(409, "Conflict")),
        ];
        assert_eq!(pass(script).await.unwrap(), Action::requeue(SOON));
    }

    #[tokio::test]
    async fn while_a_gate_waits_the_guard_is_tried_without_effect() {
        let status = json!({"observedGeneration": 3, "phase": "AwaitingMapping", "run": 1, "gates": [
            {"name": "mapping", "state": "Waiting", "evidenceDigest": "sha256:aa", "evidence": "acme-evidence-mapping-1",
             "sealed": 1}]});
        let probe =
            "/apis/crmferry.io/v1alpha1/namespaces/ferry/migrations/acme?&dryRun=All&fieldManager=crmferry-operator";
        let refusal =
            "ValidatingAdmissionPolicy 'crmferry-approval' with binding 'crmferry-approval' denied request: no";
        let script = vec![
            read(&status),
            mapping(),
            on(Method::PATCH, probe, 403, failure(403, refusal)).with(|patch| {
                let approval = patch["metadata"]["annotations"]["approval.crmferry.io/mapping"]
                    .as_str()
                    .unwrap();
                assert!(approval.starts_with("sha256:aa by "));
            }),
            on(Method::GET, EVIDENCE, 404, failure(404, "NotFound")),
            on(
                Method::POST,
                "/api/v1/namespaces/ferry/configmaps",
                500,
                failure(500, "InternalError"),
            ),
        ];
        // what follows from the verdict is decided elsewhere: the script ends where the pass would go on
        assert!(pass(script).await.is_err());
    }
}
