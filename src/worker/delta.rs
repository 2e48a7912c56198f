//! Delta: one round. The source is read again; if anything differs, every object is loaded again: what is unchanged is
//! not sent, and everything is read back. Where nothing differs, what waits for records that people make in Odoo is tried
//! again, and nothing else.

use std::collections::BTreeSet;

use super::{
    Job,
    destination::{Destination, Lock},
    error::StepError,
    extract,
    load::{self, LOADED, Loaded, Scene},
    plan::Plan,
    schema,
    tally::{most_frequent, totals},
    touched,
};
use crate::{
    api::phase_run::{Delta, Missing},
    lifecycle::queue,
    mapping::{Mapping, Object},
    model::Digest,
    workspace::Manifest,
};

/// Carries the step out.
///
/// # Errors
/// When the source, the workspace, Odoo or the fence stops it.
pub async fn run(job: &Job) -> Result<(), StepError> {
    let plan = job.plan().await?;
    let mapping = plan.compiled()?;
    let (manifest, delta) = extract::snapshot(job, &plan, &mapping).await?;
    job.heart.update(|status| status.delta = Some(delta.clone()));
    let only = if quiet(&delta) && already_loaded(job, &manifest).await? {
        let waiting = who_waits(job);
        if waiting.is_empty() {
            return Ok(());
        }
        // a queue that was cut does not say who: then everything is
        Some(waiting).filter(|waiting| !waiting.contains(queue::ANYBODY))
    } else {
        None
    };
    let destination = job.destination().await?;
    let lock = destination.lock(job, &plan, &mapping).await?;
    all_objects(job, &destination, &plan, &mapping, &manifest, &lock, only.as_ref()).await?;
    lock.end(job).await
}

/// Whether a round found nothing.
#[must_use]
pub const fn quiet(delta: &Delta) -> bool {
    delta.changed == 0 && delta.gone == 0
}

/// The objects that wait for records in Odoo, and those that these are of.
fn who_waits(job: &Job) -> BTreeSet<String> {
    let status = job.migration.status.as_ref();
    let queue = status.map_or(&[][..], |status| &status.queue);
    let both = |missing: &Missing| [missing.object.clone(), missing.by.clone()];
    queue.iter().flat_map(both).collect()
}

/// Whether a snapshot is in Odoo already. A round that was cut off after its snapshot was written is not quiet.
async fn already_loaded(job: &Job, manifest: &Manifest) -> Result<bool, StepError> {
    let loaded: Option<Digest> = job.workspace.get_json(LOADED).await?;
    Ok(loaded.is_some_and(|watermark| watermark == manifest.watermark))
}

/// Loads every object in order, or `only` some, and reads it back.
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
    only: Option<&BTreeSet<String>>,
) -> Result<(), StepError> {
    let met = super::rehearse::options(job, mapping, manifest).await?;
    schema::make(job, &*destination.rpc, mapping, &met).await?;
    touched::look(job, destination, mapping).await?;
    let scene = Scene {
        job,
        destination,
        plan,
        mapping,
        manifest,
        lock,
    };
    let meant = |object: &&Object| only.is_none_or(|only| only.contains(&object.name));
    let objects: Vec<&Object> = mapping.objects.iter().filter(meant).collect();
    let mut all: Vec<Loaded> = Vec::new();
    for (place, object) in objects.iter().enumerate() {
        // where only some are loaded, all others are there
        let last = only.is_some() || place + 1 == objects.len();
        all.push(Box::pin(load::object_to_destination(&scene, object, last)).await?);
        tell(job, &all);
    }
    // every object is there now: what was left open is filled
    for (place, object) in objects.iter().enumerate() {
        if all[place].report.book.deferred > 0 {
            all[place] = Box::pin(load::object_to_destination(&scene, object, true)).await?;
            tell(job, &all);
        }
    }
    if only.is_none() && all.iter().all(Loaded::is_sound) {
        job.workspace.put_json(LOADED, &manifest.watermark).await?;
    }
    Ok(())
}

fn tell(job: &Job, all: &[Loaded]) {
    let mut reasons: Vec<_> = all.iter().flat_map(|loaded| loaded.reasons.clone()).collect();
    let mut reports: Vec<_> = all.iter().map(|loaded| loaded.report.clone()).collect();
    let mut waits: Vec<_> = all.iter().flat_map(|loaded| loaded.queue.clone()).collect();
    queue::truncate(&mut waits, queue::MOST);
    most_frequent(&mut reasons, &mut reports);
    job.heart.update(|status| {
        status.totals = totals(reports.iter().map(|report| &report.book));
        status.objects = reports;
        status.reasons = reasons;
        status.queue = waits;
    });
}
