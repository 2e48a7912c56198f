//! Cutover: drained, frozen, verified, switched. Each step is recorded once; a later attempt goes on after the last.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use kube::ResourceExt;

use super::{
    Job,
    delta::{all_objects, quiet},
    error::{StepError, bounded},
    extract,
};
use crate::{
    api::{
        APPROVAL_PREFIX, Migration,
        migration::{GateState, Window},
        phase_run::{CutoverFacts, Delta, FailureReason, ObjectReport},
    },
    lifecycle::{book, gate::Kind, verbs},
};

/// Carries the step out.
///
/// # Errors
/// `NotQuiet` where the source does not become quiet or leaves the bounds; else as a round.
pub async fn run(job: &Job) -> Result<(), StepError> {
    let plan = job.plan().await?;
    let mapping = plan.compiled()?;
    let mut facts = job
        .migration
        .status
        .as_ref()
        .and_then(|status| status.cutover.clone())
        .unwrap_or_default();
    if facts.switched.is_some() {
        return Ok(());
    }
    let destination = job.destination().await?;
    let lock = destination.lock(job, &plan, &mapping).await?;

    let (manifest, delta) = extract::snapshot(job, &plan, &mapping).await?;
    job.heart.update(|status| status.delta = Some(delta.clone()));
    within_bounds(&delta, job.migration.spec.cutover.max_delta)?;
    all_objects(job, &destination, &plan, &mapping, &manifest, &lock, None).await?;
    record(job, &mut facts, |facts, now| facts.drained = Some(now));

    let (_, delta) = extract::snapshot(job, &plan, &mapping).await?;
    if !quiet(&delta) {
        return Err(not_quiet(&format!(
            "{} source records changed and {} went while the cutover drained: stop all writing in the source first",
            delta.changed, delta.gone
        )));
    }
    record(job, &mut facts, |facts, now| facts.frozen = Some(now));

    sound(job)?;
    record(job, &mut facts, |facts, now| facts.verified = Some(now));

    may_switch(&job.home.migration().await?, (job.now)())?;
    lock.release().await?;
    record(job, &mut facts, |facts, now| facts.switched = Some(now));
    Ok(())
}

fn record(job: &Job, facts: &mut CutoverFacts, set: impl FnOnce(&mut CutoverFacts, MicroTime)) {
    set(facts, MicroTime((job.now)()));
    job.heart.update(|status| status.cutover = Some(facts.clone()));
    job.heart.report_soon();
}

fn not_quiet(message: &str) -> StepError {
    StepError::permanent(FailureReason::NotQuiet, message)
}

fn within_bounds(delta: &Delta, max: i64) -> Result<(), StepError> {
    let found = delta.changed + delta.gone;
    if found <= max {
        return Ok(());
    }
    Err(not_quiet(&format!(
        "{found} source records changed since the last round, more than cutover.maxDelta ({max}) lets pass"
    )))
}

/// The books of the drain, which read every record back.
fn sound(job: &Job) -> Result<(), StepError> {
    let (mut unsound, mut open, mut held) = (Vec::new(), Vec::new(), Vec::new());
    job.heart.update(|status| {
        let owners = job.migration.spec.owners;
        let waits = status
            .objects
            .iter()
            .filter(|object| book::in_the_way(object.book.held, object.waiting, owners) > 0);
        held = waits.map(|object| object.name.clone()).collect();
        let accept = &job.migration.spec.accept;
        let fault =
            |object: &ObjectReport| book::unsound(&object.name, &object.book, object.verification.as_ref(), accept);
        unsound = status.objects.iter().filter_map(fault).collect();
        let conflicts = status.objects.iter().filter(|object| {
            let found = object.verification.map_or(0, |verification| verification.conflicts);
            !book::within(found, object.book.read, book::bounds(accept, &object.name).conflicts)
        });
        open = conflicts.map(|object| object.name.clone()).collect();
    });
    if !open.is_empty() {
        // what stood in the evidence was less: back to synchronising
        return Err(not_quiet(&format!(
            "{}: people changed records meanwhile, more than accept.conflicts lets pass",
            open.join(", ")
        )));
    }
    if !held.is_empty() {
        return Err(not_quiet(&format!(
            "{}: records wait for others that are not in Odoo any more, or are new in the source",
            held.join(", ")
        )));
    }
    let Some(first) = unsound.first() else { return Ok(()) };
    let all: Vec<&str> = unsound.iter().map(|fault| fault.message.as_str()).collect();
    Err(StepError::permanent(first.reason, bounded(&all.join("; "), 1_000)))
}

/// The gate is read once more just before the step that is not undone.
fn may_switch(migration: &Migration, now: jiff::Timestamp) -> Result<(), StepError> {
    let gates = migration.status.iter().flat_map(|status| &status.gates);
    let Some(gate) = gates.into_iter().find(|gate| gate.name == Kind::Cutover.name()) else {
        return Err(not_quiet("the gate cutover is gone"));
    };
    let annotation = format!("{APPROVAL_PREFIX}{}", gate.name);
    let approval = migration
        .annotations()
        .get(&annotation)
        .and_then(|text| verbs::parse_approval(text));
    let stands = matches!(gate.state, GateState::Approved | GateState::Passed);
    if !stands || approval.is_none_or(|approval| approval.digest != gate.evidence_digest) {
        return Err(not_quiet("the approval of the gate cutover was taken back"));
    }
    if !window_open(migration.spec.cutover.window.as_ref(), now) {
        return Err(not_quiet("the cutover window has closed"));
    }
    Ok(())
}

fn window_open(window: Option<&Window>, now: jiff::Timestamp) -> bool {
    window.is_none_or(|window| {
        window.not_before.as_ref().is_none_or(|time| time.0 <= now)
            && window.not_after.as_ref().is_none_or(|time| now <= time.0)
    })
}
