//! One pass of `next`: what it has seen, what it has decided so far, and how attempts are started, followed and ended.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    Effect, JobSeen, Observed, Trouble,
    attempt::{self, Judged},
    conditions::Mood,
    names,
    verbs::{self, Command, Target},
};
use crate::api::{
    PhaseRunSpec,
    migration::{Attempt, Beat, Ending, MigrationStatus, ObjectState, PastRun, Phase, Verdict, Waiting},
    phase_run::{FailureReason, Orders, Step},
};

/// How long a heartbeat in status may lag behind, so that status is not written with every beat.
const BEAT_LAG: SignedDuration = SignedDuration::from_secs(10);
/// How often a working attempt is looked at, where nothing wakes us.
const WATCH: SignedDuration = SignedDuration::from_secs(30);
/// Time between two looks at an attempt that is to end.
const SOON: SignedDuration = SignedDuration::from_secs(5);

/// One pass.
pub(super) struct Pass<'a> {
    pub seen: &'a Observed,
    /// Whole seconds: what is written is what is read back.
    pub now: Timestamp,
    pub status: MigrationStatus,
    pub effects: Vec<Effect>,
    pub look: Option<SignedDuration>,
    pub waits: Vec<Waiting>,
    /// The attempt under way has neither Job nor PhaseRun: it has to be started (again).
    pub missing: bool,
    /// The spec changed since the last pass.
    pub spec_changed: bool,
}

/// How it stands with a step.
pub(super) enum Work {
    /// It ended: Done or Partial.
    Ended(Ending),
    /// Not yet.
    Busy(Mood),
}

impl<'a> Pass<'a> {
    pub fn new(seen: &'a Observed, now: Timestamp) -> Self {
        let status = seen.migration.status.clone().unwrap_or_else(|| MigrationStatus {
            observed_generation: -1,
            ..MigrationStatus::default()
        });
        Self {
            seen,
            now: Timestamp::from_second(now.as_second()).unwrap_or(now),
            spec_changed: status.observed_generation != seen.migration.metadata.generation.unwrap_or_default(),
            status,
            effects: Vec::new(),
            look: None,
            waits: Vec::new(),
            missing: false,
        }
    }

    pub const fn time(&self) -> Time {
        Time(self.now)
    }

    pub fn name(&self) -> &'a str {
        self.seen.migration.metadata.name.as_deref().unwrap_or_default()
    }

    pub fn command(&self, command: Command<'_>) -> String {
        verbs::command(command, self.target())
    }

    fn target(&self) -> Target<'a> {
        Target {
            name: self.name(),
            namespace: self.seen.migration.metadata.namespace.as_deref().unwrap_or_default(),
            laptop: self.seen.laptop,
        }
    }

    pub fn annotation(&self, key: &str) -> Option<&'a str> {
        self.seen
            .migration
            .metadata
            .annotations
            .as_ref()?
            .get(key)
            .map(String::as_str)
    }

    /// Looks again after this time at the latest.
    pub fn look_in(&mut self, wait: SignedDuration) {
        let wait = wait.max(SignedDuration::from_secs(1));
        self.look = Some(self.look.map_or(wait, |look| look.min(wait)));
    }

    pub fn look_at(&mut self, at: Timestamp) {
        self.look_in(at.duration_since(self.now));
    }

    /// Adds something that stands in the way; the time is that of the first pass that saw it.
    pub fn wait(&mut self, what: &str, message: impl Into<String>, command: Command<'_>) {
        let command = self.command(command);
        self.push_wait(what, message.into(), command);
    }

    fn push_wait(&mut self, what: &str, message: String, command: String) {
        if self.waits.iter().any(|wait| wait.what == what) {
            return;
        }
        let before = self.status.waiting_for.iter().find(|wait| wait.what == what);
        let since = before.map_or_else(|| self.time(), |wait| wait.since.clone());
        self.waits.push(Waiting {
            what: what.into(),
            message,
            since,
            command,
        });
    }

    /// A person has to act: names the fault and the commands that may help.
    pub fn stalled(&mut self, reason: &str, message: impl Into<String>) -> Mood {
        let message = message.into();
        let phase = self.status.phase;
        let stall = verbs::Stall {
            phase,
            extracted: self.status.plan.is_some() && phase >= Phase::Extracting,
            api: self.seen.migration.spec.source.api().is_some(),
        };
        let (remedy, command) = verbs::remedy(reason, stall, self.target());
        self.wait(reason, format!("{message}; {remedy}"), command);
        Mood::stalled(reason, message)
    }

    pub fn announce(&mut self, warning: bool, reason: &str, note: impl Into<String>) {
        let note = super::size::cut(note.into(), super::size::MESSAGE);
        self.effects.push(Effect::Announce {
            warning,
            reason: reason.into(),
            note,
        });
    }

    pub fn enter(&mut self, phase: Phase) {
        self.status.phase = phase;
        self.status.phase_since = Some(self.time());
        self.announce(
            false,
            "PhaseEntered",
            format!("run {} is now {phase:?}", self.status.run),
        );
    }

    /// Ends the run.
    pub fn end_run(&mut self, phase: Phase) {
        self.enter(phase);
        self.status.cancelling = None;
        self.status.orders = Orders::default();
        if self.status.run > 0 {
            self.status.history.push(PastRun {
                run: self.status.run,
                phase,
                started: self.status.started.clone(),
                ended: self.time(),
                totals: self.status.totals,
                plan: self.status.plan.as_ref().map(|plan| plan.digest.clone()),
            });
            let surplus = self.status.history.len().saturating_sub(5);
            self.status.history.drain(..surplus);
        }
    }

    /// The attempt, while it is not known to be over.
    pub fn under_way(&self) -> Option<&Attempt> {
        self.status.attempt.as_ref().filter(|attempt| attempt.ended.is_none())
    }

    /// The attempt, once it is over.
    pub fn ended(&self) -> Option<(&Attempt, &Ending)> {
        let attempt = self.status.attempt.as_ref().filter(|attempt| attempt.ended.is_some())?;
        Some((attempt, attempt.ending.as_ref()?))
    }

    /// Judges the attempt under way, and takes over what it reports.
    pub fn look_at_attempt(&mut self) {
        let Some(mut attempt) = self.status.attempt.take() else {
            return;
        };
        if attempt.ended.is_some() {
            self.status.attempt = Some(attempt);
            return;
        }
        self.notice(&mut attempt);
        let stop = |close| Effect::Stop {
            name: attempt.name.clone(),
            close,
        };
        match attempt::judge(&attempt, &self.seen.attempt, self.now) {
            Judged::Missing => self.missing = true,
            Judged::Alive { silent_at } => {
                let told = attempt.stopped.is_some();
                if told && matches!(self.seen.attempt.job, JobSeen::Pending | JobSeen::Running) {
                    self.effects.push(stop(false));
                }
                self.look_in(if told { SOON } else { WATCH });
                if let Some(at) = silent_at {
                    self.look_at(at);
                }
            }
            Judged::Silent => {
                self.effects.push(stop(true));
                self.look_in(SOON);
            }
            Judged::Over(ending) => return self.finish(attempt, ending),
        }
        self.status.attempt = Some(attempt);
    }

    /// Notes signs of life: by when they were seen to change, rounded up so that silence is never counted too long.
    fn notice(&mut self, attempt: &mut Attempt) {
        let up = Time(
            self.now
                .saturating_add(SignedDuration::from_secs(1))
                .unwrap_or(self.now),
        );
        if self.seen.attempt.job == JobSeen::Running && attempt.running.is_none() {
            attempt.running = Some(up.clone());
        }
        let Some(report) = self.seen.attempt.phase_run.as_ref().map(|phase_run| &phase_run.status) else {
            return;
        };
        let Some(value) = report.heartbeat.clone() else { return };
        let news = attempt
            .beat
            .as_ref()
            .is_none_or(|beat| beat.value != value && self.now.duration_since(beat.seen.0) >= BEAT_LAG);
        if news {
            attempt.beat = Some(Beat { value, seen: up });
            self.status.progress = Some(report.progress.clone());
            self.take_facts(report.cutover.as_ref());
            if attempt.step == Step::Load && attempt.stopped.is_none() {
                self.take_load(report, attempt);
            }
        }
    }

    fn finish(&mut self, mut attempt: Attempt, mut ending: Ending) {
        let report = self
            .seen
            .attempt
            .phase_run
            .as_ref()
            .map(|phase_run| phase_run.status.clone());
        let report = report.unwrap_or_default();
        if attempt.step == Step::Discover && ending.verdict == Verdict::Done && report.plan.is_none() {
            ending = Ending {
                verdict: Verdict::Retry,
                reason: "NoReport".into(),
                message: "discovery ended without a plan".into(),
            };
        }
        attempt.ended = Some(self.time());
        attempt::count(&mut attempt, ending.clone(), report.progress.done);
        if report.heartbeat.is_some() {
            self.status.progress = Some(report.progress.clone());
        }
        self.take_facts(report.cutover.as_ref());
        if matches!(ending.verdict, Verdict::Done | Verdict::Partial | Verdict::Stalled) {
            self.take(&report, &attempt, ending.verdict);
        }
        let ending = attempt.ending.clone().unwrap_or(ending);
        if matches!(ending.verdict, Verdict::Retry | Verdict::Stalled | Verdict::Partial) {
            let note = format!("{}: {}: {}", attempt.name, ending.reason, ending.message);
            let stalled = ending.verdict == Verdict::Stalled;
            self.announce(true, if stalled { "AttemptStalled" } else { "AttemptFailed" }, note);
        }
        self.effects.push(Effect::Prune);
        self.status.attempt = Some(attempt);
    }

    /// Tells the attempt under way to end. It is over when it is seen to be.
    pub fn stop(&mut self) {
        let Some(mut attempt) = self.status.attempt.take() else {
            return;
        };
        if attempt.ended.is_none() {
            let first = attempt.stopped.is_none();
            attempt.stopped.get_or_insert(Time(self.now));
            if self.missing {
                // Nothing was ever seen of it; ended at once, and should something have been made unseen, it goes too.
                self.effects.push(Effect::Stop {
                    name: attempt.name.clone(),
                    close: true,
                });
                self.missing = false;
                let ending = Ending {
                    verdict: Verdict::Stopped,
                    reason: "Stopped".into(),
                    message: "it was told to end before it began".into(),
                };
                return self.finish(attempt, ending);
            }
            if first {
                self.effects.push(Effect::Stop {
                    name: attempt.name.clone(),
                    close: false,
                });
            }
            self.look_in(SOON);
        }
        self.status.attempt = Some(attempt);
    }

    /// Makes the next attempt start at once and count anew.
    pub fn renew(&mut self) {
        if let Some(attempt) = self.status.attempt.as_mut() {
            attempt.fruitless = 0;
            attempt.furthest = 0;
            if attempt.ended.is_some() {
                attempt.ending = Some(Ending {
                    verdict: Verdict::Stopped,
                    reason: "Renewed".into(),
                    message: "to be made anew".into(),
                });
            }
        }
        self.stop();
    }

    /// Works at a step: starts, follows, retries. The one place where attempts are begun.
    pub fn work(&mut self, step: Step, object: Option<&str>) -> Work {
        if let Some(attempt) = self.under_way() {
            if attempt.stopped.is_some() || !attempt::is_at(attempt, step, object) {
                self.stop();
                if self.under_way().is_some() {
                    return Work::Busy(Mood::working("Stopping", "waits for the attempt before to end"));
                }
            } else {
                return Work::Busy(self.follow());
            }
        }
        let last = self
            .ended()
            .filter(|(attempt, _)| attempt::is_at(attempt, step, object));
        let Some((attempt, ending)) = last.map(|(attempt, ending)| (attempt.clone(), ending.clone())) else {
            return Work::Busy(self.start(step, object));
        };
        let ended = attempt.ended.as_ref().map_or(self.now, |ended| ended.0);
        match ending.verdict {
            Verdict::Partial | Verdict::Waiting | Verdict::Stalled if self.pushed_for(&attempt, &ending) => {}
            Verdict::Done | Verdict::Partial => return Work::Ended(ending),
            Verdict::Stopped => {}
            Verdict::Stalled => {
                let unsaid = self.spec_changed && ending.reason == attempt::word(FailureReason::Acceptance);
                if !unsaid {
                    return Work::Busy(self.stalled(&ending.reason, ending.message));
                }
            }
            Verdict::Retry | Verdict::Waiting => {
                let waiting = ending.verdict == Verdict::Waiting;
                let since = self.status.phase_since.as_ref().map_or(ended, |since| since.0);
                let wait = if waiting {
                    attempt::patience(&ending.reason, ended.duration_since(since))
                } else {
                    attempt::backoff(attempt.fruitless)
                };
                let lock = ending.reason == attempt::word(FailureReason::DestinationLock);
                let due = if lock && self.status.orders.unlock {
                    self.now
                } else {
                    ended.saturating_add(wait).unwrap_or(Timestamp::MAX)
                };
                if self.now < due {
                    self.look_at(due);
                    return Work::Busy(if waiting {
                        self.wait_for_others(&ending)
                    } else {
                        self.wait(&ending.reason, ending.message.clone(), Command::Request("retry"));
                        retrying(&ending)
                    });
                }
            }
        }
        Work::Busy(self.start(step, object))
    }

    /// Whether new exports came since an attempt that failed for want of them began.
    fn pushed_for(&self, attempt: &Attempt, ending: &Ending) -> bool {
        let reads = matches!(attempt.step, Step::Discover | Step::Extract | Step::Delta);
        let for_want_of_them = [
            FailureReason::ExportMissing,
            FailureReason::SourceShrunk,
            FailureReason::SourceUnavailable,
        ]
        .iter()
        .any(|reason| attempt::word(*reason) == ending.reason);
        (for_want_of_them || reads && ending.reason == attempt::RETRIES) && self.pushed_since(attempt.since.0)
    }

    /// Whether new exports were pushed since then. A time in the future does not count yet.
    pub fn pushed_since(&self, then: Timestamp) -> bool {
        let pushed = self
            .annotation(crate::api::PUSHED)
            .and_then(|text| text.parse::<Timestamp>().ok());
        // our own clock goes by whole seconds
        pushed.is_some_and(|pushed| pushed > then && pushed.as_second() <= self.now.as_second())
    }

    fn wait_for_others(&mut self, ending: &Ending) -> Mood {
        let lock = ending.reason == attempt::word(FailureReason::DestinationLock);
        let command = if lock {
            Command::Request("unlock")
        } else {
            Command::Push
        };
        self.wait(&ending.reason, ending.message.clone(), command);
        Mood::awaiting(
            if lock { "AwaitingLock" } else { "AwaitingExport" },
            ending.message.clone(),
        )
    }

    /// Follows the attempt under way; starts it again where nothing of it is there.
    fn follow(&mut self) -> Mood {
        let Some(attempt) = self.under_way().cloned() else {
            return Mood::working("Working", "");
        };
        if self.missing {
            let spec = self.phase_run_spec(&attempt);
            self.effects.push(Effect::Start {
                name: attempt.name,
                spec,
            });
            self.look_in(SOON);
            return Mood::working(&format!("{:?}", self.status.phase), "starting");
        }
        let seen = self.seen;
        if let ([first, ..], JobSeen::Pending) = (&seen.attempt.troubles[..], seen.attempt.job) {
            let due = attempt
                .since
                .0
                .saturating_add(attempt::TROUBLE_MAX)
                .unwrap_or(Timestamp::MAX);
            for Trouble {
                reason,
                message,
                command,
            } in &seen.attempt.troubles
            {
                self.push_wait(reason, message.clone(), command.clone());
            }
            if self.now >= due {
                self.wait("Retry", "once it is mended", Command::Request("retry"));
                return Mood::stalled(&first.reason, first.message.clone());
            }
            self.look_at(due);
        }
        self.name_what_it_works_around(&attempt);
        Mood::working(
            &format!("{:?}", self.status.phase),
            format!("{} is at work", attempt.name),
        )
    }

    /// A worker reports trouble while it is at work, and takes it back when it has passed: people hear of it meanwhile.
    fn name_what_it_works_around(&mut self, attempt: &Attempt) {
        let seen = self.seen;
        let reported = seen.attempt.phase_run.as_ref().map(|phase_run| &phase_run.status);
        let trouble = reported
            .filter(|report| report.outcome.is_none())
            .and_then(|report| report.failure.as_ref());
        if let Some(failure) = trouble {
            let command = if seen.laptop {
                String::new()
            } else {
                let namespace = seen.migration.metadata.namespace.as_deref().unwrap_or_default();
                format!("kubectl -n {namespace} logs job/{}", attempt.name)
            };
            self.push_wait(&attempt::word(failure.reason), failure.message.clone(), command);
        }
    }

    /// Begins a new attempt, with a number that was never used.
    fn start(&mut self, step: Step, object: Option<&str>) -> Mood {
        let before = self
            .status
            .attempt
            .as_ref()
            .filter(|attempt| attempt::is_at(attempt, step, object));
        let (fruitless, furthest) = before.map_or((0, 0), |before| (before.fruitless, before.furthest));
        // Rebuilding stays asked for until it has succeeded; taking a lock over is asked for once.
        let rebuild = before.is_some_and(|before| before.orders.rebuild) || self.status.orders.rebuild;
        let orders = Orders {
            rebuild: rebuild && step == Step::Extract,
            release: step == Step::Release,
            unlock: self.status.orders.unlock && self.status.phase.may_hold_lock() && step != Step::Release,
        };
        self.status.orders.rebuild &= step != Step::Extract;
        self.status.orders.unlock &= !orders.unlock;
        let number = self.status.attempts.saturating_add(1);
        let attempt = Attempt {
            name: names::attempt_name(self.name(), step, object, self.status.run, number),
            number,
            step,
            object: object.map(Into::into),
            orders,
            since: self.time(),
            fruitless,
            furthest,
            ended: None,
            beat: None,
            running: None,
            stopped: None,
            ending: None,
        };
        if let Some(object) = self
            .status
            .objects
            .iter_mut()
            .find(|status| step == Step::Load && object == Some(&status.name))
        {
            // From here on its book is the real one: a prediction must never pass for it.
            object.book = crate::api::Book::default();
            object.verification = None;
            object.waiting = 0;
            object.state = ObjectState::Loading;
            object.phase_run.clone_from(&attempt.name);
        }
        if step == Step::Rehearse {
            // before its worker reads the spec: an edit in between makes it rehearse once more, at worst
            self.status.rehearsed_owners = Some(self.seen.migration.spec.owners.on_missing);
        }
        self.status.attempts = number;
        self.status.progress = None;
        self.status.attempt = Some(attempt);
        self.missing = true;
        self.follow()
    }

    fn phase_run_spec(&self, attempt: &Attempt) -> PhaseRunSpec {
        let plan = self.status.plan.as_ref().filter(|_| attempt.step != Step::Discover);
        PhaseRunSpec {
            migration: self.name().into(),
            run: self.status.run,
            phase: attempt.step,
            object: attempt.object.clone(),
            attempt: attempt.number,
            plan_digest: plan.map(|plan| plan.digest.clone()),
            image: self
                .status
                .worker
                .as_ref()
                .map(|worker| worker.image.clone())
                .unwrap_or_default(),
            orders: attempt.orders,
        }
    }
}

fn retrying(ending: &Ending) -> Mood {
    Mood::working("Retrying", format!("{}: {}", ending.reason, ending.message))
}
