//! Release: gives the lock back after a cancel, and does nothing else.

use super::{Job, destination, error::StepError};
use crate::api::phase_run::Step;

/// Carries the step out.
///
/// # Errors
/// When Odoo fails.
pub async fn run(job: &Job) -> Result<(), StepError> {
    destination::release(job).await
}

/// Whether a step may hold the lock.
#[must_use]
pub const fn may_hold_lock(step: Step) -> bool {
    match step {
        Step::Schema | Step::Load | Step::Delta | Step::Cutover | Step::Release => true,
        Step::Discover | Step::Extract | Step::Rehearse => false,
    }
}
