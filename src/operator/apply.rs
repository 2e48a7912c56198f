//! What is changed: evidence, status, effects. Children are created, never applied; the status is applied with the
//! `resourceVersion` it was computed from.

use std::collections::BTreeMap;

use k8s_openapi::{
    NamespaceResourceScope,
    api::batch::v1::Job,
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    runtime::events::{Event, EventType, Recorder},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{Context, Error, build, observe};
use crate::{
    api::{CLOSED, LABEL_MIGRATION, Migration, MigrationStatus, OPERATOR, PhaseRun, phase_run::Step},
    chain::Chain,
    lifecycle::Effect,
};

/// PhaseRuns that are kept of each step and object.
const KEPT: usize = 3;
/// Longest note of an event.
const NOTE_MAX: usize = 1024;

/// What became of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is stored: the plan holds.
    Yes,
    /// Somebody changed the object meanwhile: the plan is void.
    Stale,
}

/// Stores what is to be approved, before the status names it. Gives the names that are taken by other evidence (a pass
/// sealed it and ended before it could say so) or by what somebody else put there.
pub(super) async fn seal(migration: &Migration, effects: &[Effect], context: &Context) -> Result<Vec<String>, Error> {
    let mut taken = Vec::new();
    for effect in effects {
        let Effect::Seal { gate: _, name, json } = effect else {
            continue;
        };
        let wanted = build::evidence(migration, name, json)?;
        let stands = match create(migration, &wanted, "ConfigMap", context).await {
            Ok(None) => true,
            Ok(Some(found)) => found.data == wanted.data && observe::is_sealed(&found, migration),
            Err(Error::Foreign { .. }) => false,
            Err(error) => return Err(error),
        };
        if !stands {
            taken.push(name.clone());
        }
    }
    Ok(taken)
}

/// Applies the whole status, if it changed.
pub(super) async fn status(
    migration: &Migration,
    status: &MigrationStatus,
    context: &Context,
) -> Result<Written, Error> {
    if migration.status.as_ref() == Some(status) {
        return Ok(Written::Yes);
    }
    match apply_status(migration, status, context).await {
        Ok(()) => Ok(Written::Yes),
        Err(kube::Error::Api(answer)) if answer.is_conflict() => Ok(Written::Stale),
        Err(kube::Error::Api(answer)) if answer.is_invalid() => {
            let refused = refused(migration, &answer.message, (context.now)());
            if migration.status.as_ref() != Some(&refused) {
                let applied = apply_status(migration, &refused, context).await;
                applied.map_err(Error::kube("say that the status was refused"))?;
            }
            Err(Error::StatusRefused(answer.message.clone()))
        }
        Err(error) => Err(Error::kube("apply the status")(error)),
    }
}

async fn apply_status(migration: &Migration, status: &MigrationStatus, context: &Context) -> Result<(), kube::Error> {
    let namespace = migration.namespace().unwrap_or_default();
    let patch = json!({
        "apiVersion": Migration::api_version(&()),
        "kind": Migration::kind(&()),
        "metadata": {"resourceVersion": migration.resource_version()},
        "status": status,
    });
    let parameters = PatchParams::apply(OPERATOR).force();
    let migrations = Api::<Migration>::namespaced(context.client.clone(), &namespace);
    migrations
        .patch_status(&migration.name_any(), &parameters, &Patch::Apply(patch))
        .await
        .map(|_| ())
}

/// The status as it was, with the condition that says what happened: what was stored before is known to be accepted.
fn refused(migration: &Migration, answer: &str, now: jiff::Timestamp) -> MigrationStatus {
    let mut status = migration.status.clone().unwrap_or_default();
    let message: String = answer.chars().take(NOTE_MAX).collect();
    for (type_, state) in [("Stalled", "True"), ("Ready", "False")] {
        let old = status.conditions.iter().position(|c| c.type_ == type_);
        let old = old.map(|place| status.conditions.remove(place));
        let since = old.filter(|c| c.status == state).map(|c| c.last_transition_time);
        status.conditions.push(Condition {
            type_: type_.into(),
            status: state.into(),
            reason: "StatusRefused".into(),
            message: message.clone(),
            observed_generation: migration.metadata.generation,
            last_transition_time: since.unwrap_or(Time(now)),
        });
    }
    status
}

/// Carries out what is left once the status is stored.
pub(super) async fn effects(migration: &Migration, effects: &[Effect], context: &Context) -> Result<(), Error> {
    for effect in effects {
        match effect {
            Effect::Seal { .. } => {}
            Effect::Start { name, spec } => {
                let phase_run = build::phase_run(migration, name, spec.clone())?;
                create(migration, &phase_run, "PhaseRun", context).await?;
                let job = build::job(migration, name, spec, &context.settings.worker)?;
                create(migration, &job, "Job", context).await?;
            }
            Effect::Stop { name, close } => stop(migration, name, *close, context).await?,
            Effect::Announce { warning, reason, note } => announce(migration, *warning, reason, note, context).await,
            Effect::Prune => prune(migration, context).await?,
        }
    }
    Ok(())
}

/// Creates a child. Gives the one that was there before, if it is ours.
async fn create<K>(migration: &Migration, wanted: &K, kind: &'static str, context: &Context) -> Result<Option<K>, Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Serialize
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let api = Api::<K>::namespaced(context.client.clone(), &observe::namespace(migration)?);
    match api.create(&PostParams::default(), wanted).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(answer)) if answer.is_already_exists() => {
            let name = wanted.name_any();
            let found = api
                .get(&name)
                .await
                .map_err(Error::kube("read a child that is there already"))?;
            if observe::is_ours(&found, migration) {
                Ok(Some(found))
            } else {
                Err(Error::Foreign { kind, name })
            }
        }
        Err(error) => Err(Error::kube("create a child")(error)),
    }
}

/// Ends an attempt. A closed one is superseded: nobody waits for its pod. Else the Job stays until its pod is gone.
async fn stop(migration: &Migration, name: &str, close: bool, context: &Context) -> Result<(), Error> {
    let namespace = observe::namespace(migration)?;
    if close {
        let phase_runs = Api::<PhaseRun>::namespaced(context.client.clone(), &namespace);
        let patch = Patch::Merge(json!({"metadata": {"annotations": {CLOSED: "true"}}}));
        let parameters = PatchParams {
            field_manager: Some(OPERATOR.into()),
            ..PatchParams::default()
        };
        let closed = phase_runs.patch_metadata(name, &parameters, &patch).await.map(|_| ());
        gone_is_fine(closed).map_err(Error::kube("close the PhaseRun"))?;
    }
    let jobs = Api::<Job>::namespaced(context.client.clone(), &namespace);
    let how = if close {
        DeleteParams::background()
    } else {
        DeleteParams::foreground()
    };
    let deleted = jobs.delete(name, &how).await.map(|_| ());
    gone_is_fine(deleted).map_err(Error::kube("delete the Job"))
}

fn gone_is_fine(answer: Result<(), kube::Error>) -> Result<(), kube::Error> {
    match answer {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        answer => answer,
    }
}

/// Tells people. The status has said it already: an event that cannot be written holds nothing up.
async fn announce(migration: &Migration, warning: bool, reason: &str, note: &str, context: &Context) {
    // a Recorder folds events of one reason into one and keeps the first note; each transition is to be told
    let recorder = Recorder::new(context.client.clone(), context.reporter.clone());
    let event = Event {
        type_: if warning { EventType::Warning } else { EventType::Normal },
        reason: reason.to_owned(),
        note: Some(bounded(note, NOTE_MAX)),
        action: "Reconcile".into(),
        secondary: None,
    };
    if let Err(error) = recorder.publish(&event, &migration.object_ref(&())).await {
        tracing::warn!(error = %Chain(&error), reason, "an event was lost");
    }
}

/// At most so many bytes, cut between characters.
fn bounded(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

async fn prune(migration: &Migration, context: &Context) -> Result<(), Error> {
    let namespace = observe::namespace(migration)?;
    let phase_runs = Api::<PhaseRun>::namespaced(context.client.clone(), &namespace);
    let jobs = Api::<Job>::namespaced(context.client.clone(), &namespace);
    let ours = ListParams::default().labels(&format!("{LABEL_MIGRATION}={}", migration.name_any()));
    let listed = phase_runs.list(&ours).await.map_err(Error::kube("list PhaseRuns"))?;
    for name in prunable(migration, &listed.items) {
        let deleted = jobs.delete(&name, &DeleteParams::background()).await.map(|_| ());
        gone_is_fine(deleted).map_err(Error::kube("delete an old Job"))?;
        let deleted = phase_runs.delete(&name, &DeleteParams::background()).await.map(|_| ());
        gone_is_fine(deleted).map_err(Error::kube("delete an old PhaseRun"))?;
    }
    Ok(())
}

/// PhaseRuns beyond the last ones of their step and object, never the current one.
fn prunable(migration: &Migration, phase_runs: &[PhaseRun]) -> Vec<String> {
    let current = migration
        .status
        .as_ref()
        .and_then(|status| status.attempt.as_ref())
        .map(|attempt| attempt.name.as_str());
    let mut kinds: BTreeMap<(Step, Option<&str>), Vec<&PhaseRun>> = BTreeMap::new();
    for run in phase_runs.iter().filter(|run| observe::is_ours(*run, migration)) {
        kinds
            .entry((run.spec.phase, run.spec.object.as_deref()))
            .or_default()
            .push(run);
    }
    let mut names = Vec::new();
    for mut runs in kinds.into_values() {
        runs.sort_by_key(|run| std::cmp::Reverse((run.spec.run, run.spec.attempt)));
        let old = runs.into_iter().skip(KEPT).map(ResourceExt::name_any);
        names.extend(old.filter(|name| Some(name.as_str()) != current));
    }
    names
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::Value;

    use super::{
        super::script::{Exchange, against, failure, migration, on},
        *,
    };
    use crate::api::{Phase, PhaseRunSpec, phase_run::Orders};

    const MIGRATION: &str = "/apis/crmferry.io/v1alpha1/namespaces/ferry/migrations/acme/status";
    const PHASE_RUNS: &str = "/apis/crmferry.io/v1alpha1/namespaces/ferry/phaseruns";
    const PHASE_RUN: &str = "/apis/crmferry.io/v1alpha1/namespaces/ferry/phaseruns/acme-load-r1a2";
    const JOBS: &str = "/apis/batch/v1/namespaces/ferry/jobs";
    const JOB: &str = "/apis/batch/v1/namespaces/ferry/jobs/acme-load-r1a2";
    const EVIDENCE: &str = "/api/v1/namespaces/ferry/configmaps/acme-evidence-mapping-1";

    fn spec() -> PhaseRunSpec {
        PhaseRunSpec {
            migration: "acme".into(),
            run: 1,
            phase: Step::Load,
            object: Some("contacts".into()),
            attempt: 2,
            plan_digest: None,
            image: "crmferry:1".into(),
            orders: Orders::default(),
        }
    }

    fn start() -> Vec<Effect> {
        vec![Effect::Start {
            name: "acme-load-r1a2".into(),
            spec: spec(),
        }]
    }

    fn phase_run(owner: &str) -> Value {
        json!({"apiVersion": "crmferry.io/v1alpha1", "kind": "PhaseRun", "spec": spec(), "metadata": {
            "name": "acme-load-r1a2", "namespace": "ferry",
            "ownerReferences": [{"apiVersion": "crmferry.io/v1alpha1", "kind": "Migration", "name": "acme", "uid": owner}],
        }})
    }

    fn loading() -> Migration {
        migration(&json!({"phase": "Loading", "run": 1}))
    }

    #[tokio::test]
    async fn an_attempt_is_created_once_and_is_ours_when_it_is_there_already() {
        let script = vec![
            on(Method::POST, PHASE_RUNS, 409, failure(409, "AlreadyExists")),
            on(Method::GET, PHASE_RUN, 200, phase_run("u1")),
            on(Method::POST, JOBS, 201, json!({"metadata": {"name": "acme-load-r1a2"}})).with(|job| {
                assert_eq!(job["metadata"]["ownerReferences"][0]["uid"], "u1");
                assert_eq!(job["spec"]["backoffLimit"], 0);
                let pod = &job["spec"]["template"]["spec"];
                assert_eq!(
                    pod["containers"][0]["args"],
                    json!(["worker", "--phase-run", "acme-load-r1a2"])
                );
            }),
        ];
        let done = against(script, async |context| effects(&loading(), &start(), &context).await).await;
        assert!(done.is_ok(), "{done:?}");
    }

    #[tokio::test]
    async fn a_child_of_somebody_else_is_named_and_nothing_starts() {
        let script = vec![
            on(Method::POST, PHASE_RUNS, 409, failure(409, "AlreadyExists")),
            on(Method::GET, PHASE_RUN, 200, phase_run("u0")),
        ];
        let done = against(script, async |context| effects(&loading(), &start(), &context).await).await;
        assert!(matches!(done, Err(Error::Foreign { kind: "PhaseRun", .. })), "{done:?}");
    }

    fn applied(code: u16, answer: Value, check: impl FnOnce(&Value) + Send + 'static) -> Exchange {
        on(Method::PATCH, MIGRATION, code, answer).with(check)
    }

    fn wanted() -> MigrationStatus {
        MigrationStatus {
            phase: Phase::Synchronising,
            ..loading().status.unwrap()
        }
    }

    #[tokio::test]
    async fn a_status_is_applied_with_the_version_it_was_made_from_and_a_conflict_voids_the_plan() {
        let script = vec![applied(409, failure(409, "Conflict"), |patch| {
            assert_eq!(patch["metadata"]["resourceVersion"], "41");
            assert_eq!(patch["status"]["phase"], "Synchronising");
            assert!(patch.get("spec").is_none());
        })];
        let written = against(script, async |context| status(&loading(), &wanted(), &context).await).await;
        assert_eq!(written.unwrap(), Written::Stale);
    }

    #[tokio::test]
    async fn an_unchanged_status_is_not_written() {
        let written = against(vec![], async |context| {
            status(&loading(), &loading().status.unwrap(), &context).await
        });
        assert_eq!(written.await.unwrap(), Written::Yes);
    }

    #[tokio::test]
    async fn a_refused_status_leaves_what_was_and_says_so_in_the_conditions() {
        let script = vec![
            applied(422, failure(422, "Invalid"), |_| {}),
            applied(200, serde_json::to_value(loading()).unwrap(), |patch| {
                assert_eq!(patch["status"]["phase"], "Loading");
                let stalled = &patch["status"]["conditions"][0];
                assert_eq!(
                    (&stalled["type"], &stalled["status"]),
                    (&json!("Stalled"), &json!("True"))
                );
                assert_eq!(stalled["reason"], "StatusRefused");
            }),
        ];
        let written = against(script, async |context| status(&loading(), &wanted(), &context).await).await;
        assert!(matches!(written, Err(Error::StatusRefused(_))), "{written:?}");
    }

    #[test]
    fn saying_again_that_a_status_was_refused_changes_nothing() {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let mut once = loading();
        once.status = Some(refused(&once, "no", now));
        let again = refused(&once, "no", now + jiff::SignedDuration::from_secs(60));
        assert_eq!(once.status, Some(again));
    }

    #[tokio::test]
    async fn a_superseded_attempt_is_closed_before_its_job_goes_and_what_is_gone_is_fine() {
        let stop = [Effect::Stop {
            name: "acme-load-r1a2".into(),
            close: true,
        }];
        let script = vec![
            on(Method::PATCH, PHASE_RUN, 200, phase_run("u1"))
                .with(|patch| assert_eq!(patch["metadata"]["annotations"][CLOSED], "true")),
            on(Method::DELETE, JOB, 404, failure(404, "NotFound"))
                .with(|options| assert_eq!(options["propagationPolicy"], "Background")),
        ];
        let done = against(script, async |context| effects(&loading(), &stop, &context).await).await;
        assert!(done.is_ok(), "{done:?}");
    }

    fn sealing() -> [Effect; 1] {
        [Effect::Seal {
            gate: "mapping".into(),
            name: "acme-evidence-mapping-1".into(),
            json: "{}".into(),
        }]
    }

    fn evidence(json: &str) -> Value {
        let mut found =
            serde_json::to_value(build::evidence(&loading(), "acme-evidence-mapping-1", json).unwrap()).unwrap();
        assert_eq!(found["immutable"], true);
        found["metadata"]["resourceVersion"] = json!("7");
        found
    }

    #[tokio::test]
    async fn evidence_that_is_sealed_already_is_success_and_a_name_that_other_evidence_has_is_given_back() {
        let passed_over = vec!["acme-evidence-mapping-1".to_owned()];
        let (mut open, mut foreign) = (evidence("{}"), evidence("{}"));
        open["immutable"] = json!(false);
        foreign["metadata"]["ownerReferences"] = json!([]);
        for (found, wanted) in [
            (evidence("{}"), vec![]),
            (evidence(r#"{"run":0}"#), passed_over.clone()),
            (open, passed_over.clone()),
            (foreign, passed_over),
        ] {
            let script = vec![
                on(
                    Method::POST,
                    "/api/v1/namespaces/ferry/configmaps",
                    409,
                    failure(409, "AlreadyExists"),
                ),
                on(Method::GET, EVIDENCE, 200, found),
            ];
            let taken = against(script, async |context| seal(&loading(), &sealing(), &context).await).await;
            assert_eq!(taken.unwrap(), wanted);
        }
    }

    #[test]
    fn the_last_three_attempts_of_each_object_are_kept_and_the_current_one() {
        let run = |object: &str, attempt: i64| -> PhaseRun {
            let mut run: PhaseRun = serde_json::from_value(phase_run("u1")).unwrap();
            run.metadata.name = Some(format!("{object}-{attempt}"));
            run.spec.object = Some(object.into());
            run.spec.attempt = attempt;
            run
        };
        let mut runs: Vec<_> = (1..=5).map(|attempt| run("contacts", attempt)).collect();
        runs.extend([run("deals", 6), run("deals", 7)]);
        let mut foreign = run("contacts", 0);
        foreign.metadata.owner_references.as_mut().unwrap()[0].uid = "u0".into();
        runs.push(foreign);
        let migration = migration(&json!({"phase": "Loading", "attempt": {
            "name": "contacts-1", "number": 1, "step": "Load", "since": "2026-01-01T00:00:00Z"}}));
        assert_eq!(prunable(&migration, &runs), ["contacts-2"]);
    }

    #[test]
    fn a_note_is_cut_between_characters() {
        assert_eq!(bounded("añb", 2), "a");
        assert_eq!(bounded("añb", 3), "añ");
        assert_eq!(bounded("añb", 9), "añb");
    }
}
