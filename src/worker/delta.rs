//! Delta: one round. The source is read again; if anything differs, every object is loaded again: what is unchanged is
//! not sent, and everything is read back.

use super::{
    Job,
    destination::{Destination, Lock},
    error::StepError,
    extract,
    load::{self, LOADED, Loaded},
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
    let (manifest, delta) = extract::snapshot(job, &mapping).await?;
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
    let mut reports = Vec::new();
    let mut reasons = Vec::new();
    let mut sound = true;
    for object in &mapping.objects {
        let loaded = load::object_into_odoo(job, destination, plan, mapping, object, manifest, lock).await?;
        sound &= loaded.is_sound();
        let Loaded { report, reasons: why } = loaded;
        reasons.extend(why);
        reports.push(report);
        most_frequent(&mut reasons, &mut reports);
        job.heart.update(|status| {
            status.totals = totals(reports.iter().map(|report| &report.book));
            status.objects.clone_from(&reports);
            status.reasons.clone_from(&reasons);
        });
    }
    if sound {
        job.workspace.put_json(LOADED, &manifest.watermark).await?;
    }
    Ok(())
}
