//! What Jobs do, one file per step. The only place where source, mapping and Odoo meet.
//!
//! [`run`] is the driver: it starts the heart, carries the step of the PhaseRun out, and makes the last report. A step
//! is a plain async function over [`Job`]; what it did is in the workspace and in Odoo, never in memory alone.

pub mod contents;
pub mod cutover;
pub mod dedupe;
pub mod delta;
pub mod destination;
pub mod discover;
pub mod document;
pub mod error;
mod estimate;
pub mod extract;
mod gone;
pub mod heart;
pub mod home;
pub mod index;
pub mod joins;
pub mod load;
mod loader;
pub mod lookups;
pub mod matches;
mod notes;
pub mod outcome;
pub mod plan;
mod preflight;
pub mod reader;
mod recheck;
pub mod rehearse;
pub mod release;
pub mod schema;
mod sender;
pub mod stock;
pub mod tally;
mod touched;
pub mod verify;
pub mod waits;

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{
    api::{
        Migration, PhaseRunSpec,
        phase_run::{FailureReason, Outcome, Step},
    },
    chain::Chain,
    lifecycle::{
        Exit,
        verbs::{self, Command, Target},
    },
    source::Apis,
    workspace::{Manifest, Workspace},
};
use destination::{Destination, Door};
use error::StepError;
use heart::Heart;
use home::Home;
use plan::Plan;

/// Everything a step may touch.
pub struct Job {
    /// Where it reads of its Migration and reports.
    pub home: Arc<dyn Home>,
    /// Name of the PhaseRun.
    pub name: String,
    /// What is to be done.
    pub spec: PhaseRunSpec,
    /// The Migration as it was at the start.
    pub migration: Migration,
    /// Snapshot, ledger, results.
    pub workspace: Workspace,
    /// The way to Odoo.
    pub door: Door,
    /// The way to the source's API.
    pub apis: Apis,
    /// Folder for what is thrown away.
    pub scratch: PathBuf,
    /// Reports and the fence.
    pub heart: Heart,
    /// Told to stop.
    pub stop: CancellationToken,
    /// The clock.
    pub now: fn() -> Timestamp,
    /// What the lock in Odoo calls the place we run at: a cluster, or host and user.
    pub place: String,
}

/// What a worker is started with.
pub struct Start {
    /// See [`Job::home`].
    pub home: Arc<dyn Home>,
    /// Name of the PhaseRun.
    pub name: String,
    /// Its spec.
    pub spec: PhaseRunSpec,
    /// See [`Job::workspace`].
    pub workspace: Workspace,
    /// See [`Job::door`].
    pub door: Door,
    /// See [`Job::apis`].
    pub apis: Apis,
    /// See [`Job::scratch`].
    pub scratch: PathBuf,
    /// Cancelled when the process is told to stop.
    pub stop: CancellationToken,
    /// The clock.
    pub now: fn() -> Timestamp,
    /// What the lock in Odoo calls the place we run at: a cluster, or host and user.
    pub place: String,
}

/// Carries one attempt out, from the first beat to the last report; says how the process ends.
pub async fn run(start: Start) -> Exit {
    let (heart, beating) = Heart::start(start.home.clone(), start.stop.clone(), start.now);
    let step = start.spec.phase;
    let result = attempt(start, heart.clone()).await;
    let (mut exit, outcome, failure) = match &result {
        Ok(()) => (Exit::Done, Outcome::Done, None),
        Err(error) => {
            let outcome = if error.exit == Exit::Stopped {
                Outcome::Stopped
            } else {
                Outcome::Failed
            };
            tracing::error!(step = step.word(), reason = ?error.reason, error = %Chain(error), "the step ended");
            (error.exit, outcome, Some(error.failure()))
        }
    };
    let refusal = heart.refusal();
    let (outcome, failure) = match &refusal {
        Some(failure) => (Outcome::Failed, Some(failure.clone())),
        None => (outcome, failure),
    };
    let last = heart
        .finish(beating, |status| {
            status.outcome = Some(outcome);
            status.failure = failure;
        })
        .await;
    if heart.refusal().is_some() {
        exit = Exit::Configuration;
    }
    match last {
        Ok(()) => exit,
        Err(error) => {
            // without its last report the attempt counts as failed, whatever it did: it is made again
            tracing::error!(error = %Chain(&error), "the last report was never taken");
            Exit::Retry
        }
    }
}

async fn attempt(start: Start, heart: Heart) -> Result<(), StepError> {
    let migration = start.home.migration().await?;
    let job = Job {
        home: start.home,
        name: start.name,
        spec: start.spec,
        migration,
        workspace: start.workspace,
        door: start.door,
        apis: start.apis,
        scratch: start.scratch,
        heart,
        stop: start.stop.clone(),
        now: start.now,
        place: start.place,
    };
    job.workspace.probe().await?;
    let mut work = std::pin::pin!(carry_out(&job));
    tokio::select! {
        biased;
        () = start.stop.cancelled() => {}
        result = &mut work => return result,
    }
    if release::may_hold_lock(job.spec.phase) {
        // nothing new is sent any more; a call under way is let end, so that no commit of ours comes after a successor's look
        let ended = tokio::time::timeout(LAST_CALL, work).await;
        // also where the step has ended well meanwhile: who tells us to stop may go back to a gate, and people take days
        destination::give_back_on_stop(&job).await;
        if let Ok(Ok(())) = ended {
            return Ok(());
        }
    }
    Err(StepError::stopped())
}

/// How long a call under way may take once the process is told to stop; within the pod's grace.
const LAST_CALL: Duration = Duration::from_secs(15);

/// Each step's future on the heap: together they are larger than a thread's stack takes.
async fn carry_out(job: &Job) -> Result<(), StepError> {
    match job.spec.phase {
        Step::Discover => Box::pin(discover::run(job)).await,
        Step::Extract => Box::pin(extract::run(job)).await,
        Step::Rehearse => Box::pin(rehearse::run(job)).await,
        Step::Schema => Box::pin(schema::run(job)).await,
        Step::Load => Box::pin(load::run(job)).await,
        Step::Delta => Box::pin(delta::run(job)).await,
        Step::Cutover => Box::pin(cutover::run(job)).await,
        Step::Release => Box::pin(release::run(job)).await,
    }
}

impl Job {
    /// Namespace of the Migration.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.migration.metadata.namespace.as_deref().unwrap_or("default")
    }

    /// The same, where there is a cluster.
    #[must_use]
    pub fn cluster_namespace(&self) -> Option<&str> {
        (!self.home.is_laptop()).then(|| self.namespace())
    }

    /// Name of the Migration.
    #[must_use]
    pub fn migration_name(&self) -> &str {
        self.migration.metadata.name.as_deref().unwrap_or_default()
    }

    /// A command that a person types where this attempt lives.
    #[must_use]
    pub fn command(&self, command: Command<'_>) -> String {
        let target = Target {
            name: self.migration_name(),
            namespace: self.namespace(),
            laptop: self.home.is_laptop(),
        };
        verbs::command(command, target)
    }

    /// The plan that is pinned for the run.
    ///
    /// # Errors
    /// `WorkspaceLost` where the workspace is not the one the run began with.
    pub async fn plan(&self) -> Result<Plan, StepError> {
        let digest = self.spec.plan_digest.as_deref().unwrap_or_default();
        if self.workspace.marker().await?.is_none() {
            return Err(self.workspace_lost("the workspace is empty: its volume was exchanged or emptied"));
        }
        let Some(json) = self.workspace.plan(digest).await? else {
            return Err(self.workspace_lost(&format!("the workspace lacks the plan {digest} of this run")));
        };
        serde_json::from_str(&json).map_err(|error| {
            StepError::configuration(FailureReason::PlanMissing, format!("the plan cannot be read: {error}"))
        })
    }

    /// The snapshot that everything after extraction runs from.
    ///
    /// # Errors
    /// `WorkspaceLost` where there is none.
    pub async fn snapshot(&self) -> Result<Manifest, StepError> {
        let latest = self.workspace.latest_snapshot().await?;
        latest.ok_or_else(|| self.workspace_lost("the workspace holds no snapshot"))
    }

    fn workspace_lost(&self, what: &str) -> StepError {
        let message = format!(
            "{what}; push the exports again if they lay there ({}), then: {}",
            self.command(Command::Push),
            self.command(Command::Request("retry from-extract")),
        );
        StepError::configuration(FailureReason::WorkspaceLost, message)
    }

    /// The Odoo of this Migration.
    ///
    /// # Errors
    /// When the Secret lacks its key, or Odoo does not let us in.
    pub async fn destination(&self) -> Result<Destination, StepError> {
        Destination::open(self).await
    }
}
