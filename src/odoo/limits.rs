//! Patience with an Odoo: so many connections at once, so many calls a minute, and waiting when it asks for it.
//! What is unknown or unreachable is handed up as it is: only the caller can tell whether to send it again.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use governor::{Quota, RateLimiter, clock::Clock, middleware::NoOpMiddleware, state::InMemoryState, state::NotKeyed};
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

use super::rpc::{Args, Rpc, RpcError};
use crate::{
    api::migration::{Limits, Profile},
    http::next_pause,
};

/// Times a call waits where Odoo asks for patience.
const PATIENCE: u32 = 8;
/// Times a call is sent again after a serialisation conflict.
const CONFLICTS: u32 = 5;
/// A call that takes longer than this shows a server under strain; Odoo kills it at 120 s.
const STRAINED: Duration = Duration::from_secs(20);
/// How hard an Odoo may be pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Calls at once.
    pub connections: usize,
    /// Calls a minute; as fast as they are answered where absent.
    pub calls_per_minute: Option<u32>,
    /// Pauses between calls while the server is under strain.
    pub adaptive: bool,
}

impl LimitSettings {
    /// The settings of a profile, with what overrides it.
    #[must_use]
    pub fn of(limits: &Limits) -> Self {
        let profile = match limits.profile {
            // Odoo's policy: about one call a second, none in parallel.
            Profile::Online => Self {
                connections: 1,
                calls_per_minute: Some(60),
                adaptive: false,
            },
            // Two writers gain a fifth with two server processes, and lose nothing with one.
            Profile::SelfHosted => Self {
                connections: 2,
                calls_per_minute: None,
                adaptive: true,
            },
        };
        let given = |number: Option<i32>| {
            number
                .and_then(|number| u32::try_from(number).ok())
                .filter(|number| *number > 0)
        };
        Self {
            connections: given(limits.connections).map_or(profile.connections, |number| number as usize),
            calls_per_minute: given(limits.calls_per_minute).or(profile.calls_per_minute),
            adaptive: profile.adaptive,
        }
    }
}

/// The clock of the tokio runtime, so that tests can hold it.
#[derive(Clone, Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

type Pace = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>;

/// An Odoo that is called within limits.
pub struct Limited {
    inner: Arc<dyn Rpc>,
    connections: Semaphore,
    clock: TokioClock,
    pace: Option<Pace>,
    adaptive: bool,
    pause: Mutex<Duration>,
    /// When each running call began, by its number.
    running: Mutex<BTreeMap<u64, Instant>>,
    calls: AtomicU64,
    jitter: fn() -> f64,
}

impl Limited {
    /// Puts limits on an Odoo.
    #[must_use]
    pub fn new(inner: Arc<dyn Rpc>, settings: LimitSettings) -> Self {
        let clock = TokioClock(Instant::now());
        let quota = settings
            .calls_per_minute
            .and_then(NonZeroU32::new)
            .map(Quota::per_minute);
        Self {
            inner,
            connections: Semaphore::new(settings.connections.max(1)),
            // A burst of one: the policy asks for a steady pace.
            pace: quota.map(|quota| Pace::direct_with_clock(quota.allow_burst(NonZeroU32::MIN), clock.clone())),
            clock,
            adaptive: settings.adaptive,
            pause: Mutex::new(Duration::ZERO),
            running: Mutex::default(),
            calls: AtomicU64::new(0),
            jitter: random_share,
        }
    }

    /// Takes the share (0 to 1) that waits after conflicts are lengthened by from here.
    #[must_use]
    pub fn with_jitter(mut self, jitter: fn() -> f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// Age of the oldest running call.
    #[must_use]
    pub fn oldest_call(&self) -> Option<Duration> {
        unpoisoned(&self.running)
            .first_key_value()
            .map(|(_, began)| began.elapsed())
    }

    /// Calls sent so far, those sent again included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    async fn wait_for_turn(&self) {
        while let Some(Err(not_yet)) = self.pace.as_ref().map(Pace::check) {
            sleep(not_yet.wait_time_from(self.clock.now())).await;
        }
        let pause = *unpoisoned(&self.pause);
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }

    async fn send_once(&self, model: &str, method: &str, args: Args) -> Result<Value, RpcError> {
        let began = Instant::now();
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        unpoisoned(&self.running).insert(number, began);
        // A guard, because the call ends in the middle where its task is dropped.
        let _running = Running {
            calls: &self.running,
            number,
        };
        let answer = self.inner.call(model, method, args).await;
        if self.adaptive {
            let mut pause = unpoisoned(&self.pause);
            *pause = next_pause(*pause, is_strained(&answer, began.elapsed()));
        }
        answer
    }
}

#[async_trait]
impl Rpc for Limited {
    async fn call(&self, model: &str, method: &str, args: Args) -> Result<Value, RpcError> {
        // Held while waiting too: a server that asks one caller for patience wants less from all.
        let _connection = self.connections.acquire().await.expect("the semaphore is never closed");
        let mut tries = Tries::default();
        loop {
            self.wait_for_turn().await;
            let answer = self.send_once(model, method, args.clone()).await;
            let Err(error) = answer else { return answer };
            let Some(wait) = tries.wait_after(&error, (self.jitter)()) else {
                return Err(error);
            };
            tracing::warn!(model, method, wait_seconds = wait.as_secs_f64(), %error, "waiting for Odoo");
            sleep(wait).await;
        }
    }

    async fn version(&self) -> Result<String, RpcError> {
        let _connection = self.connections.acquire().await.expect("the semaphore is never closed");
        self.wait_for_turn().await;
        self.inner.version().await
    }
}

/// How often a call has waited already.
#[derive(Debug, Default)]
struct Tries {
    throttled: u32,
    conflicts: u32,
}

impl Tries {
    /// How long to wait before the call is sent again; `None`: it is not. `jitter` lies between 0 and 1.
    fn wait_after(&mut self, error: &RpcError, jitter: f64) -> Option<Duration> {
        match error {
            RpcError::Throttled { retry_after } if self.throttled < PATIENCE => {
                let doubling = Duration::from_secs((10 << self.throttled.min(3)).min(60));
                self.throttled += 1;
                Some(retry_after.unwrap_or(doubling))
            }
            RpcError::Conflict if self.conflicts < CONFLICTS => {
                let seconds = 1_u64 << self.conflicts;
                self.conflicts += 1;
                Some(Duration::from_secs(seconds).mul_f64(1.0 + jitter.clamp(0.0, 1.0)))
            }
            _ => None,
        }
    }
}

fn is_strained(answer: &Result<Value, RpcError>, took: Duration) -> bool {
    took > STRAINED || matches!(answer, Err(RpcError::Throttled { .. } | RpcError::Unknown { .. }))
}

/// Takes a call off the running ones, however it ends.
struct Running<'a> {
    calls: &'a Mutex<BTreeMap<u64, Instant>>,
    number: u64,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        unpoisoned(self.calls).remove(&self.number);
    }
}

/// The data under these locks is whole at every step, so a panic elsewhere does not spoil it.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Between 0 and 1. Writers must not meet again at the same moment; nothing more is asked of it.
fn random_share() -> f64 {
    f64::from(u16::try_from(RandomState::new().hash_one(0_u8) >> 48).unwrap_or(0)) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Answers from a list, then `true`; a call takes the time it is told to.
    struct Scripted {
        answers: Mutex<VecDeque<Result<Value, RpcError>>>,
        takes: Duration,
        at_once: AtomicU64,
        most_at_once: AtomicU64,
    }

    #[async_trait]
    impl Rpc for Scripted {
        async fn call(&self, _: &str, _: &str, _: Args) -> Result<Value, RpcError> {
            let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_once.fetch_max(now, Ordering::SeqCst);
            sleep(self.takes).await;
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            unpoisoned(&self.answers).pop_front().unwrap_or(Ok(Value::Bool(true)))
        }
        async fn version(&self) -> Result<String, RpcError> {
            Ok("19.0".into())
        }
    }

    fn scripted(answers: Vec<Result<Value, RpcError>>, takes: Duration) -> Arc<Scripted> {
        let answers = Mutex::new(answers.into());
        Arc::new(Scripted {
            answers,
            takes,
            at_once: AtomicU64::new(0),
            most_at_once: AtomicU64::new(0),
        })
    }

    fn limited(inner: &Arc<Scripted>, connections: usize, calls_per_minute: Option<u32>, adaptive: bool) -> Limited {
        let settings = LimitSettings {
            connections,
            calls_per_minute,
            adaptive,
        };
        Limited::new(inner.clone(), settings).with_jitter(|| 0.5)
    }

    async fn call(rpc: &Limited) -> Result<Value, RpcError> {
        rpc.call("res.partner", "search", Args::new()).await
    }

    fn throttled(seconds: Option<u64>) -> Result<Value, RpcError> {
        Err(RpcError::Throttled {
            retry_after: seconds.map(Duration::from_secs),
        })
    }

    #[test]
    fn settings_come_from_the_profile_and_explicit_numbers_win() {
        let of = |profile, connections, calls_per_minute| {
            let got = LimitSettings::of(&Limits {
                profile,
                connections,
                calls_per_minute,
            });
            (got.connections, got.calls_per_minute, got.adaptive)
        };
        assert_eq!(of(Profile::Online, None, None), (1, Some(60), false));
        assert_eq!(of(Profile::SelfHosted, None, None), (2, None, true));
        assert_eq!(of(Profile::Online, Some(3), Some(600)), (3, Some(600), false));
        assert_eq!(of(Profile::SelfHosted, Some(0), Some(-1)), (2, None, true));
    }

    #[tokio::test(start_paused = true)]
    async fn sixty_calls_a_minute_are_one_a_second() {
        let rpc = limited(&scripted(vec![], Duration::ZERO), 1, Some(60), false);
        let began = Instant::now();
        for _ in 0..5 {
            assert_eq!(call(&rpc).await, Ok(Value::Bool(true)));
        }
        let took = began.elapsed();
        assert!(
            took >= Duration::from_secs(4) && took < Duration::from_millis(4100),
            "{took:?}"
        );
        assert_eq!(rpc.calls(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_calls_run_at_once_than_there_are_connections() {
        let inner = scripted(vec![], Duration::from_secs(3));
        let rpc = limited(&inner, 2, None, false);
        let answers = futures::future::join_all((0..6).map(|_| call(&rpc))).await;
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(inner.most_at_once.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_as_long_as_odoo_asks_and_else_ten_seconds_doubling_to_sixty() {
        let inner = scripted(
            vec![throttled(Some(7)), throttled(None), throttled(None), throttled(None)],
            Duration::ZERO,
        );
        let rpc = limited(&inner, 1, None, false);
        let began = Instant::now();
        assert_eq!(call(&rpc).await, Ok(Value::Bool(true)));
        assert_eq!(began.elapsed().as_secs(), 7 + 20 + 40 + 60);
        assert_eq!(rpc.calls(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_after_eight_waits() {
        let inner = scripted((0..20).map(|_| throttled(Some(1))).collect(), Duration::ZERO);
        let rpc = limited(&inner, 1, None, false);
        assert_eq!(call(&rpc).await, throttled(Some(1)));
        assert_eq!(rpc.calls(), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn a_conflict_is_sent_again_five_times_with_growing_waits() {
        let inner = scripted((0..20).map(|_| Err(RpcError::Conflict)).collect(), Duration::ZERO);
        let rpc = limited(&inner, 1, None, false);
        let began = Instant::now();
        assert_eq!(call(&rpc).await, Err(RpcError::Conflict));
        assert_eq!(rpc.calls(), 6);
        assert_eq!(began.elapsed().as_millis(), (1 + 2 + 4 + 8 + 16) * 1500);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_unknown_unreachable_or_rejected_is_handed_up_at_once() {
        for error in [
            RpcError::Unknown { message: String::new() },
            RpcError::Unreachable { message: String::new() },
            RpcError::Rejected {
                name: String::new(),
                message: String::new(),
            },
            RpcError::Unauthorized,
        ] {
            let rpc = limited(&scripted(vec![Err(error.clone())], Duration::ZERO), 1, None, true);
            assert_eq!(call(&rpc).await, Err(error));
            assert_eq!(rpc.calls(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_running_call_has_an_age_and_a_dropped_one_has_none() {
        let rpc = limited(&scripted(vec![], Duration::from_mins(1)), 1, None, false);
        assert_eq!(rpc.oldest_call(), None);
        let age = async {
            sleep(Duration::from_secs(5)).await;
            rpc.oldest_call()
        };
        tokio::select! {
            _ = call(&rpc) => panic!("the call is slower"),
            age = age => assert_eq!(age.map(|age| age.as_secs()), Some(5)),
        }
        assert_eq!(rpc.oldest_call(), None);
    }

    #[test]
    fn the_pause_doubles_under_strain_and_halves_when_all_is_well() {
        let ms = Duration::from_millis;
        for (pause, strained, expected) in [
            (ms(0), false, ms(0)),
            (ms(0), true, ms(250)),
            (ms(250), true, ms(500)),
            (ms(20_000), true, ms(30_000)),
            (ms(500), false, ms(250)),
            (ms(250), false, ms(0)),
        ] {
            assert_eq!(next_pause(pause, strained), expected, "{pause:?} {strained}");
        }
        assert!(is_strained(&Ok(Value::Null), Duration::from_secs(21)));
        assert!(!is_strained(&Err(RpcError::Conflict), Duration::from_secs(1)));
    }

    #[test]
    fn jitter_lies_between_none_and_the_whole() {
        for _ in 0..100 {
            assert!((0.0..=1.0).contains(&random_share()));
        }
    }
}
