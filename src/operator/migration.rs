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
