//! The heart of an attempt: publishes its status every few seconds, and is the fence between us and a successor.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tokio::{sync::Notify, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    error::bounded,
    home::{Home, HomeError, Published},
};
use crate::{
    api::{
        PhaseRunStatus,
        phase_run::{Failure, FailureReason, Outcome},
    },
    chain::Chain,
    lifecycle::fence::Fence,
};

/// Time between two beats.
const EVERY: Duration = Duration::from_secs(5);
/// How long one report may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the last report is tried.
const LAST_TRIES: u32 = 12;

/// What the world may be told of calls that are under way.
pub trait Pulse: Send + Sync {
    /// Age of the oldest running call to Odoo.
    fn oldest_call(&self) -> Option<Duration>;
    /// What is wrong with Odoo right now.
    fn trouble(&self) -> Option<Failure>;
}

struct Shared {
    home: Arc<dyn Home>,
    status: Mutex<PhaseRunStatus>,
    fence: Mutex<Fence>,
    /// Why the API server does not take what we report.
    refusal: Mutex<Option<Failure>>,
    pulse: Mutex<Option<Arc<dyn Pulse>>>,
    born: Instant,
    stop: CancellationToken,
    over: CancellationToken,
    wake: Notify,
    now: fn() -> Timestamp,
}

/// Handle on the heart; clones share it.
#[derive(Clone)]
pub struct Heart {
    shared: Arc<Shared>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Heart {
    /// Starts to beat. `stop` is cancelled when the attempt was superseded.
    pub fn start(home: Arc<dyn Home>, stop: CancellationToken, now: fn() -> Timestamp) -> (Self, JoinHandle<()>) {
        let status = PhaseRunStatus {
            worker_version: env!("CARGO_PKG_VERSION").into(),
            ..PhaseRunStatus::default()
        };
        let shared = Arc::new(Shared {
            home,
            status: Mutex::new(status),
            fence: Mutex::new(Fence::default()),
            refusal: Mutex::new(None),
            pulse: Mutex::new(None),
            born: Instant::now(),
            stop,
            over: CancellationToken::new(),
            wake: Notify::new(),
            now,
        });
        let heart = Self { shared };
        let task = tokio::spawn(heart.clone().beat());
        (heart, task)
    }

    /// Changes what is reported next.
    pub fn update(&self, change: impl FnOnce(&mut PhaseRunStatus)) {
        change(&mut lock(&self.shared.status));
    }

    /// Reports at once instead of at the next beat.
    pub fn report_soon(&self) {
        self.shared.wake.notify_one();
    }

    /// Lets reports tell of calls to Odoo.
    pub fn watch(&self, pulse: Arc<dyn Pulse>) {
        *lock(&self.shared.pulse) = Some(pulse);
    }

    /// Whether anything may still be sent to Odoo: nobody told us to stop, and a successor cannot have begun.
    #[must_use]
    pub fn may_send(&self) -> bool {
        !self.shared.stop.is_cancelled() && lock(&self.shared.fence).may_send(self.age())
    }

    /// Whether the fence fell: no beat was accepted for too long, or the attempt was closed.
    #[must_use]
    pub fn fenced(&self) -> bool {
        !lock(&self.shared.fence).may_send(self.age())
    }

    /// Why the attempt cannot report: nobody would learn of what it does, so it ends.
    #[must_use]
    pub fn refusal(&self) -> Option<Failure> {
        lock(&self.shared.refusal).clone()
    }

    fn refused(&self, error: &HomeError) {
        lock(&self.shared.refusal).get_or_insert_with(|| Failure {
            // a word that CRDs of every version know
            reason: FailureReason::Internal,
            message: bounded(&error.to_string(), 1024),
        });
    }

    /// Time since birth as a point in time: it never jumps, and goes on while the process is frozen.
    fn age(&self) -> Timestamp {
        let nanoseconds = i128::try_from(self.shared.born.elapsed().as_nanos()).unwrap_or(i128::MAX);
        Timestamp::from_nanosecond(nanoseconds).unwrap_or(Timestamp::MAX)
    }

    async fn beat(self) {
        loop {
            if let Err(error) = self.publish().await {
                tracing::warn!(error = %Chain(&error), "the report was not taken");
                if matches!(error, HomeError::Refused { .. }) {
                    self.refused(&error);
                    self.shared.stop.cancel();
                }
            }
            tokio::select! {
                () = self.shared.over.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
                () = self.shared.wake.notified() => {}
            }
        }
    }

    async fn publish(&self) -> Result<(), HomeError> {
        let status = {
            let mut status = lock(&self.shared.status);
            status.heartbeat = Some(MicroTime((self.shared.now)()));
            if status.outcome.is_none() {
                let pulse = lock(&self.shared.pulse).clone();
                let oldest = pulse.as_ref().and_then(|pulse| pulse.oldest_call());
                status.progress.call_seconds = oldest.map_or(0, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
                status.failure = pulse.and_then(|pulse| pulse.trouble());
            }
            status.clone()
        };
        // the beat counts from when it was sent: its answer may come late
        let sent = self.age();
        let answer = tokio::time::timeout(PATIENCE, self.shared.home.publish(&status)).await;
        match answer {
            Ok(Ok(Published::Accepted)) => lock(&self.shared.fence).accept(sent),
            Ok(Ok(Published::Closed)) => {
                lock(&self.shared.fence).close();
                self.shared.stop.cancel();
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => tracing::warn!("the report was not taken within {} s", PATIENCE.as_secs()),
        }
        Ok(())
    }

    /// Stops to beat and makes the last report; a report that is not taken is tried again for a minute. One that the API
    /// server does not understand is followed by one that says just that.
    ///
    /// # Errors
    /// When it was never taken: the attempt then counts as failed.
    pub async fn finish(&self, task: JoinHandle<()>, last: impl FnOnce(&mut PhaseRunStatus)) -> Result<(), HomeError> {
        self.shared.over.cancel();
        // the beat in flight must not overtake the last report
        drop(task.await);
        self.update(last);
        let mut tries = 1;
        loop {
            match self.publish().await {
                Err(error @ HomeError::Refused { .. }) if tries == 1 => {
                    self.refused(&error);
                    let failure = self.refusal();
                    self.update(|status| {
                        *status = PhaseRunStatus {
                            worker_version: std::mem::take(&mut status.worker_version),
                            outcome: Some(Outcome::Failed),
                            failure,
                            ..PhaseRunStatus::default()
                        };
                    });
                    tries += 1;
                    continue;
                }
                Err(error) if tries >= LAST_TRIES => return Err(error),
                Err(error) => tracing::warn!(error = %Chain(&error), "the last report was not taken"),
                Ok(()) => return Ok(()),
            }
            tries += 1;
            tokio::time::sleep(EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::api::{MappingSpec, Migration, phase_run::ObjectReport};

    /// An API server whose CRD knows no objects.
    #[derive(Default)]
    struct Older(Mutex<Vec<PhaseRunStatus>>);

    #[async_trait]
    impl Home for Older {
        async fn migration(&self) -> Result<Migration, HomeError> {
            Err(HomeError::Refused { what: String::new() })
        }
        async fn mapping_spec(&self, _: &str) -> Result<Option<MappingSpec>, HomeError> {
            Ok(None)
        }
        async fn publish(&self, status: &PhaseRunStatus) -> Result<Published, HomeError> {
            if !status.objects.is_empty() {
                let what = ".status.objects".into();
                return Err(HomeError::Refused { what });
            }
            lock(&self.0).push(status.clone());
            Ok(Published::Accepted)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_that_is_not_understood_ends_the_attempt_with_one_that_says_why() {
        let (home, stop) = (Arc::new(Older::default()), CancellationToken::new());
        let (heart, beating) = Heart::start(home.clone(), stop.clone(), Timestamp::now);
        heart.update(|status| status.objects = vec![ObjectReport::default()]);
        heart.report_soon();
        stop.cancelled().await;
        let done = heart
            .finish(beating, |status| status.outcome = Some(Outcome::Done))
            .await;
        assert!(done.is_ok());
        let last = lock(&home.0).last().cloned().unwrap();
        assert_eq!(last.outcome, Some(Outcome::Failed));
        let failure = last.failure.unwrap();
        assert_eq!(heart.refusal(), Some(failure.clone()));
        assert!(
            failure.message.contains("the CRDs are most likely older"),
            "{}",
            failure.message
        );
    }
}
