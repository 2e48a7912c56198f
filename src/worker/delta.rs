//! Delta: one round. The source is read again; if anything differs, every object is loaded again: what is unchanged is
//! not sent, and everything is read back.

use super::{
    Job,
    destination::{Destination, Lock},
    error::StepError,
    extract,
    load::{self, LOADED, Loaded, Scene},
    plan::Plan,
    schema,
    tally::{most_frequent, totals},
};
use crate::{api::phase_run::Delta, mapping::Mapping, model::Digest, workspace::Manifest};

/// Carries the step out.
///
/// # Errors
/// When the source, the workspace, Odoo or the fence stops it.
pub async fn run(job: &Job) -> Result<(), StepError> {
    let plan = job.plan().await?;
    let mapping = plan.compiled()?;
    let (manifest, delta) = extract::snapshot(job, &plan, &mapping).await?;
    job.heart.update(|status| status.delta = Some(delta.clone()));
    if quiet(&delta) && already_loaded(job, &manifest).await? {
        return Ok(());
    }
    let destination = job.destination().await?;
    let lock = destination.lock(job, &plan, &mapping).await?;
    all_objects(job, &destination, &plan, &mapping, &manifest, &lock).await?;
    lock.end(job).await
}

/// Whether a round found nothing.
#[must_use]
pub const fn quiet(delta: &Delta) -> bool {
    delta.changed == 0 && delta.gone == 0
}

/// Whether a snapshot is in Odoo already. A round that was cut off after its snapshot was written is not quiet.
async fn already_loaded(job: &Job, manifest: &Manifest) -> Result<bool, StepError> {
    let loaded: Option<Digest> = job.workspace.get_json(LOADED).await?;
    Ok(loaded.is_some_and(|watermark| watermark == manifest.watermark))
}

/// Loads every object in order and reads it back; stops at the first whose books are not right.
///
/// # Errors
/// As [`run`].
pub async fn all_objects(
    job: &Job,
    destination: &Destination,
    plan: &Plan,
    mapping: &Mapping,
    manifest: &Manifest,
    lock: &Lock,
) -> Result<(), StepError> {
    let met = super::rehearse::options(job, mapping, manifest).await?;
    schema::make(job, &*destination.rpc, mapping, &met).await?;
    let scene = Scene {
        job,
        destination,
        plan,
        mapping,
        manifest,
        lock,
    };
    let mut all: Vec<Loaded> = Vec::new();
    for (place, object) in mapping.objects.iter().enumerate() {
        let last = place + 1 == mapping.objects.len();
        all.push(Box::pin(load::object_to_destination(&scene, object, last)).await?);
        tell(job, &all);
    }
    // every object is there now: what was left open is filled
    for (place, object) in mapping.objects.iter().enumerate() {
        if all[place].report.book.deferred > 0 {
            all[place] = Box::pin(load::object_to_destination(&scene, object, true)).await?;
            tell(job, &all);
        }
    }
    if all.iter().all(Loaded::is_sound) {
        job.workspace.put_json(LOADED, &manifest.watermark).await?;
    }
    Ok(())
}

fn tell(job: &Job, all: &[Loaded]) {
    let mut reasons: Vec<_> = all.iter().flat_map(|loaded| loaded.reasons.clone()).collect();
    let mut reports: Vec<_> = all.iter().map(|loaded| loaded.report.clone()).collect();
    most_frequent(&mut reasons, &mut reports);
    job.heart.update(|status| {
        status.totals = totals(reports.iter().map(|report| &report.book));
        status.objects = reports;
        status.reasons = reasons;
    });
}
