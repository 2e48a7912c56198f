//! The one place that decides. It reads like a list: what became of the attempt, what people ask for, whether the
//! Migration is suspended or being cancelled, and then the phase.
//!
//! Everything is level-triggered: an executor may be killed between any two of its acts, and the next pass does what is
//! left to do. Facts go forward; only a verb or the table of phases takes anything back.

use jiff::{SignedDuration, Timestamp};

use super::{
    Effect, MappingSeen, Next, Observed,
    attempt::{self, is_at},
    book,
    conditions::Mood,
    gate::Kind,
    queue,
    run::{Pass, Work},
    size,
    verbs::Command,
};
use crate::api::{
    migration::{Ending, GateState, ObjectState, OwnersMissing, Phase, PinnedWorker, Verdict},
    phase_run::{FailureReason, Step},
};

/// Time after which Odoo's lock has aged out by itself: giving it back is pointless from then on.
const LOCK_AGE: SignedDuration = SignedDuration::from_mins(10);
/// More transitions than one pass can make.
const TRANSITIONS: usize = 32;

/// Decides what follows from what was observed. Total, and without a clock of its own.
#[must_use]
pub fn next(observed: &Observed, now: Timestamp) -> Next {
    let mut pass = Pass::new(observed, now);
    if observed.migration.metadata.deletion_timestamp.is_some() {
        if let Some(attempt) = pass.under_way() {
            pass.effects = vec![Effect::Stop {
                name: attempt.name.clone(),
                close: false,
            }];
        }
        return Next {
            status: pass.status,
            effects: pass.effects,
            look_again: None,
        };
    }
    pass.look_at_attempt();
    pass.answer();
    let mood = if pass.status.cancelling.is_some() {
        pass.cancel()
    } else if observed.migration.spec.suspend && !pass.status.phase.is_over() {
        pass.suspend()
    } else {
        pass.advance()
    };
    pass.tell(&mood);
    pass.finish_pass()
}

impl Pass<'_> {
    /// Puts the result together: evidence first, then what ends, then what begins.
    fn finish_pass(mut self) -> Next {
        self.status.observed_generation = self.seen.migration.metadata.generation.unwrap_or_default();
        self.status.waiting_for = std::mem::take(&mut self.waits);
        self.status.totals = book::totals(&self.status.objects);
        self.effects.sort_by_key(|effect| match effect {
            Effect::Seal { .. } => 0,
            Effect::Stop { .. } => 1,
            Effect::Start { .. } => 2,
            Effect::Announce { .. } => 3,
            Effect::Prune => 4,
        });
        self.effects.dedup();
        Next {
            status: size::fit(self.status),
            effects: self.effects,
            look_again: self.look,
        }
    }

    /// Ends the attempt and keeps the place. Approvals are heard, none is carried out.
    fn suspend(&mut self) -> Mood {
        self.stop();
        if let Some(kind) = Kind::of(self.status.phase) {
            self.tend(kind);
            self.gate_waits(kind);
        }
        let message = "spec.suspend is true";
        self.wait("Suspended", message, Command::Resume);
        Mood::awaiting("Suspended", message)
    }

    /// Ends the attempt, gives the lock back where one may be held, and then the run is Cancelled.
    fn cancel(&mut self) -> Mood {
        if self.switched() {
            self.status.cancelling = None;
            self.announce(
                true,
                "CancelTooLate",
                "the cutover had switched before its Job could be ended",
            );
            return self.advance();
        }
        let since = self.status.cancelling.as_ref().map_or(self.now, |since| since.0);
        let aged = self.now.duration_since(since) >= LOCK_AGE;
        let release = self.status.phase.may_hold_lock() && !self.seen.migration.spec.suspend && !aged;
        if release {
            if let Work::Busy(mood) = self.work(Step::Release, None) {
                let gives_up = self.ended().is_some_and(|(attempt, ending)| {
                    is_at(attempt, Step::Release, None) && matches!(ending.verdict, Verdict::Stalled | Verdict::Waiting)
                });
                if !gives_up {
                    self.look_at(since.saturating_add(LOCK_AGE).unwrap_or(Timestamp::MAX));
                    return mood;
                }
            }
        } else {
            self.stop();
            if self.under_way().is_some() {
                return Mood::working("Cancelling", "waits for the attempt to end");
            }
        }
        self.waits.clear();
        self.end_run(Phase::Cancelled);
        self.advance()
    }

    /// Works at the phase, and goes on to the next as long as nothing is to be waited for.
    fn advance(&mut self) -> Mood {
        for _ in 0..TRANSITIONS {
            let before = self.status.phase;
            let mood = self.phase();
            if self.status.phase == before {
                return mood;
            }
        }
        Mood::working("Working", "")
    }

    fn phase(&mut self) -> Mood {
        match self.status.phase {
            Phase::Pending => self.pending(),
            Phase::Validating => self.validating(),
            Phase::Discovering => self.discovering(),
            Phase::Extracting | Phase::PreparingSchema => self.stepping(),
            Phase::Rehearsing => self.rehearsing(),
            Phase::AwaitingMapping => self.awaiting_mapping(),
            Phase::Loading => self.loading(),
            Phase::Synchronising => self.synchronising(),
            Phase::CuttingOver => self.cutting_over(),
            Phase::Completed => Mood::done(if self.switched() {
                "switched"
            } else {
                "the rehearsal is done; nothing was written to Odoo"
            }),
            Phase::Cancelled => Mood::awaiting("Cancelled", "cancelled; what is in Odoo stays"),
        }
    }

    fn succeed(&mut self) -> Mood {
        let to = self.status.phase.on_success(self.seen.migration.spec.mode);
        if to == Phase::Completed {
            self.end_run(to);
        } else {
            self.enter(to);
        }
        Mood::working("Working", "")
    }

    fn pending(&mut self) -> Mood {
        if self.seen.mapping == MappingSeen::Absent {
            return self.await_mapping_spec();
        }
        self.begin_run();
        self.succeed()
    }

    fn await_mapping_spec(&mut self) -> Mood {
        let name = &self.seen.migration.spec.mapping_spec_ref.name;
        let message = format!("there is no MappingSpec {name}");
        self.wait("MappingSpec", message.clone(), Command::GiveMapping);
        Mood::awaiting("AwaitingMappingSpec", message)
    }

    fn validating(&mut self) -> Mood {
        self.stop();
        if self.under_way().is_some() {
            return Mood::working("Stopping", "waits for the attempt before to end");
        }
        match &self.seen.mapping {
            MappingSeen::Absent => self.await_mapping_spec(),
            MappingSeen::Invalid(findings) => {
                let name = &self.seen.migration.spec.mapping_spec_ref.name;
                let first = findings
                    .first()
                    .map_or_else(String::new, |first| format!(": {}: {}", first.path, first.message));
                let message = format!("MappingSpec {name} has Errors{first}");
                self.wait("InvalidMapping", message.clone(), Command::DescribeMapping(name));
                Mood::stalled("InvalidMapping", message)
            }
            MappingSeen::Valid { .. } => {
                if self.status.worker.is_none() {
                    self.status.worker = Some(PinnedWorker {
                        version: self.seen.version.clone(),
                        image: self.seen.worker_image.clone(),
                    });
                }
                self.succeed()
            }
        }
    }

    fn discovering(&mut self) -> Mood {
        match self.work(Step::Discover, None) {
            Work::Busy(mood) => mood,
            Work::Ended(ending) if ending.verdict == Verdict::Partial => self.stalled(&ending.reason, ending.message),
            Work::Ended(_) if self.has_error_finding() => {
                let error = self
                    .status
                    .findings
                    .iter()
                    .find(|f| f.severity == crate::api::mapping_spec::Severity::Error);
                let message = error.map_or_else(String::new, |error| format!("{}: {}", error.code, error.message));
                self.stalled(&attempt::word(FailureReason::Preflight), message)
            }
            Work::Ended(_) => self.succeed(),
        }
    }

    /// A phase that is one step, and done when the step is.
    fn stepping(&mut self) -> Mood {
        let Some(step) = self.status.phase.step() else {
            return Mood::working("Working", "");
        };
        match self.work(step, None) {
            Work::Busy(mood) => mood,
            Work::Ended(ending) if ending.verdict == Verdict::Partial => self.stalled(&ending.reason, ending.message),
            Work::Ended(_) => self.succeed(),
        }
    }

    fn rehearsing(&mut self) -> Mood {
        let ending = match self.work(Step::Rehearse, None) {
            Work::Busy(mood) => return mood,
            Work::Ended(ending) => ending,
        };
        match self.books(Kind::Mapping) {
            Ok(()) if excused(&ending) => self.succeed(),
            Ok(()) => self.stalled(&ending.reason, ending.message),
            Err(fault) if self.again_after_edit(&ending) => self.retry_now(fault.message),
            Err(fault) => self.stalled(&attempt::word(fault.reason), fault.message),
        }
    }

    fn awaiting_mapping(&mut self) -> Mood {
        self.stop();
        if self.under_way().is_some() {
            return Mood::working("Stopping", "waits for the attempt before to end");
        }
        let owners = self.seen.migration.spec.owners.on_missing;
        if self
            .status
            .rehearsed_owners
            .is_some_and(|rehearsed| rehearsed != owners)
        {
            // what was rehearsed is not what would be sent
            self.make_stale(Kind::Mapping, "spec.owners changed: it is rehearsed again", false);
            self.renew();
            self.enter(Phase::Rehearsing);
            return Mood::working("Working", "");
        }
        self.tend(Kind::Mapping);
        if self.may_pass(Kind::Mapping) {
            self.pass_gate(Kind::Mapping);
            return self.succeed();
        }
        let mood = self.gate_mood(Kind::Mapping);
        // else they are shown, and nothing waits for them
        if self.seen.migration.spec.owners.on_missing == OwnersMissing::Hold {
            self.name_the_missing();
        }
        mood
    }

    /// What a gate that is not passed yet means for the Migration.
    fn gate_mood(&mut self, kind: Kind) -> Mood {
        if let Err(fault) = self.books(kind) {
            if fault.reason == FailureReason::Held {
                self.name_the_missing();
                return Mood::awaiting("AwaitingOwners", fault.message);
            }
            return self.stalled(&attempt::word(fault.reason), fault.message);
        }
        if let Some((reason, message)) = self.gate_waits(kind) {
            return Mood::awaiting(reason, message);
        }
        Mood::working("CheckingGate", format!("gate {}", kind.name()))
    }

    /// What has to be made in Odoo, and what else may be done about it.
    fn name_the_missing(&mut self) {
        let spec = &self.seen.migration.spec;
        if let Some(message) = queue::message(&self.status.queue, spec.owners, &spec.cutover.every, self.status.phase) {
            let at_work = self.status.phase.step().is_some();
            let command = if at_work {
                Command::Request("retry")
            } else {
                Command::Edit
            };
            self.wait("Owners", message, command);
        }
    }

    fn loading(&mut self) -> Mood {
        while let Some(place) = self.to_load() {
            let name = self.status.objects[place].name.clone();
            let ending = match self.work(Step::Load, Some(&name)) {
                Work::Busy(mood) => return mood,
                Work::Ended(ending) => ending,
            };
            let spec = &self.seen.migration.spec;
            match book::judge(&self.status.objects[place], &spec.accept, spec.owners) {
                Ok(()) if excused(&ending) => {
                    self.status.objects[place].state = ObjectState::Verified;
                    self.announce(
                        false,
                        "ObjectVerified",
                        format!("{name}: its book balances and every record was read back"),
                    );
                }
                Ok(()) => return self.stalled(&ending.reason, ending.message),
                Err(_) if excused(&ending) && self.only_waits(place) => {
                    self.status.objects[place].state = ObjectState::Open;
                }
                Err(fault) if self.again_after_edit(&ending) => return self.retry_now(fault.message),
                Err(fault) => return self.stalled(&attempt::word(fault.reason), fault.message),
            }
        }
        self.succeed()
    }

    /// The object to load: the first that was not, then those with values left open once more, since all others are there.
    /// Records that are held are for the rounds.
    fn to_load(&self) -> Option<usize> {
        let objects = &self.status.objects;
        let first = |open: bool| {
            objects.iter().position(|object| match object.state {
                ObjectState::Verified => false,
                ObjectState::Open => open && object.book.deferred > 0,
                ObjectState::Planned | ObjectState::Rehearsed | ObjectState::Loading => !open,
            })
        };
        first(false).or_else(|| first(true))
    }

    /// Whether an object is as it should be but for held records, and values that an object which was not loaded yet may
    /// bring.
    fn only_waits(&self, place: usize) -> bool {
        let spec = &self.seen.migration.spec;
        let object = &self.status.objects[place];
        if !book::only_waits(object, &spec.accept, spec.owners) {
            return false;
        }
        let others = self
            .status
            .objects
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != place);
        let more_to_come = others
            .into_iter()
            .any(|(_, other)| !matches!(other.state, ObjectState::Open | ObjectState::Verified));
        more_to_come || object.book.deferred == 0
    }

    /// Whether an attempt that stopped short over `accept` is worth another, because the spec changed since.
    fn again_after_edit(&self, ending: &Ending) -> bool {
        self.spec_changed
            && ending.verdict == Verdict::Partial
            && ending.reason == attempt::word(FailureReason::Acceptance)
    }

    fn retry_now(&mut self, message: String) -> Mood {
        self.renew();
        let attempt = self.status.attempt.clone();
        let Some(attempt) = attempt else {
            return Mood::working("Retrying", message);
        };
        match self.work(attempt.step, attempt.object.as_deref()) {
            Work::Busy(mood) => mood,
            Work::Ended(_) => Mood::working("Retrying", message),
        }
    }

    fn synchronising(&mut self) -> Mood {
        if self.under_way().is_none() {
            self.settle_objects();
        }
        self.tend(Kind::Cutover);
        let delta = self.ended().filter(|(attempt, _)| is_at(attempt, Step::Delta, None));
        let settled = delta.is_some_and(|(_, ending)| matches!(ending.verdict, Verdict::Done | Verdict::Partial));
        if !settled {
            self.gate_waits(Kind::Cutover);
            return match self.work(Step::Delta, None) {
                Work::Busy(mood) => mood,
                Work::Ended(_) => Mood::working("Working", ""),
            };
        }
        let window = self.window();
        if self.may_pass(Kind::Cutover) && window == Window::Open {
            return self.succeed();
        }
        if self.round_is_due() {
            self.renew();
            self.gate_waits(Kind::Cutover);
            return match self.work(Step::Delta, None) {
                Work::Busy(mood) => mood,
                Work::Ended(_) => Mood::working("Working", ""),
            };
        }
        if self.may_pass(Kind::Cutover) {
            return self.await_window(window);
        }
        self.gate_mood(Kind::Cutover)
    }

    /// Whether another round is due: by time, by a push, or because a gate needs one. Says when to look otherwise.
    fn round_is_due(&mut self) -> bool {
        let Some(ended) = self.status.round.as_ref().map(|round| round.ended.0) else {
            return true;
        };
        let began = self.ended().map_or(ended, |(attempt, _)| attempt.since.0);
        let due = ended
            .saturating_add(every(&self.seen.migration.spec.cutover.every))
            .unwrap_or(Timestamp::MAX);
        // another word on owners is another outcome for what waits
        let owners = self.spec_changed && !self.status.queue.is_empty();
        if self.now >= due || self.pushed_since(began) || self.wants_round() || owners {
            return true;
        }
        self.look_at(due);
        false
    }

    fn window(&mut self) -> Window {
        let Some(window) = &self.seen.migration.spec.cutover.window else {
            return Window::Open;
        };
        if let Some(from) = window.not_before.as_ref().filter(|from| self.now < from.0) {
            self.look_at(from.0);
            return Window::NotYet;
        }
        if let Some(until) = &window.not_after {
            if self.now >= until.0 {
                return Window::Shut;
            }
            self.look_at(until.0);
        }
        Window::Open
    }

    fn await_window(&mut self, window: Window) -> Mood {
        let message = match window {
            Window::Shut => "approved, but spec.cutover.window is over",
            Window::NotYet | Window::Open => "approved; the cutover begins when spec.cutover.window opens",
        };
        self.wait("Window", message, Command::Edit);
        Mood::awaiting("AwaitingWindow", message)
    }

    fn cutting_over(&mut self) -> Mood {
        if self.switched() {
            if self.under_way().is_some() {
                // It has given the lock back and is about to end; nothing it does is undone.
                return match self.work(Step::Cutover, None) {
                    Work::Busy(mood) => mood,
                    Work::Ended(_) => Mood::working("Working", ""),
                };
            }
            self.pass_gate(Kind::Cutover);
            return self.succeed();
        }
        self.tend(Kind::Cutover);
        if self.window() != Window::Open {
            return self.back("the window shut before the cutover had switched");
        }
        let state = self.gate(Kind::Cutover).map(|gate| gate.state);
        match state {
            Some(GateState::Unguarded) => {
                self.stop();
                return self.gate_mood(Kind::Cutover);
            }
            Some(GateState::Approved) => {}
            _ => return self.back("the approval was revoked, or what it stood on changed"),
        }
        if self.under_way().is_none() && !self.may_pass(Kind::Cutover) {
            return self.gate_mood(Kind::Cutover);
        }
        match self.work(Step::Cutover, None) {
            Work::Busy(mood) => mood,
            Work::Ended(ending) if ending.verdict == Verdict::Partial => self.back(&ending.message),
            Work::Ended(_) => self.stalled(
                &attempt::word(FailureReason::Internal),
                "the cutover ended without having switched",
            ),
        }
    }

    /// Back to synchronising, as soon as the attempt has ended: its last word may be that it has switched.
    fn back(&mut self, cause: &str) -> Mood {
        self.stop();
        if self.under_way().is_some() {
            return Mood::working("Stopping", cause);
        }
        if !self.switched() {
            self.make_stale(Kind::Cutover, cause, true);
            self.status.cutover = None;
            self.enter(Phase::Synchronising);
            self.announce(true, "CutoverBroken", cause);
        }
        Mood::working("Stopping", cause)
    }
}

/// How the window of the cutover stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Window {
    NotYet,
    Open,
    Shut,
}

/// Whether an ending does not stand in the way of good books: Done, or short of an `accept` that is wider now.
fn excused(ending: &Ending) -> bool {
    ending.verdict == Verdict::Done || ending.reason == attempt::word(FailureReason::Acceptance)
}

/// Reads `1h30m`. What cannot be read is a quarter of an hour; less than a second is a second.
fn every(text: &str) -> SignedDuration {
    let (mut seconds, mut number) = (0_i64, String::new());
    for letter in text.chars() {
        let unit = match letter {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => {
                number.push(letter);
                continue;
            }
        };
        let Ok(count) = number.parse::<i64>() else {
            return SignedDuration::from_mins(15);
        };
        seconds = seconds.saturating_add(count.saturating_mul(unit));
        number.clear();
    }
    let readable = number.is_empty() && !text.is_empty();
    SignedDuration::from_secs(if readable { seconds.clamp(1, 366 * 86_400) } else { 900 })
}

#[cfg(test)]
mod time_tests {
    use super::*;

    #[test]
    fn the_time_between_rounds_is_read_as_the_schema_allows_it() {
        let seconds = |text| every(text).as_secs();
        assert_eq!(
            [seconds("15m"), seconds("1h30m"), seconds("90s"), seconds("0s")],
            [900, 5400, 90, 1]
        );
        assert_eq!([seconds(""), seconds("h"), seconds("12")], [900, 900, 900]);
    }
}
