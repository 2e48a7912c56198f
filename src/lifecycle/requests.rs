//! Answers to verbs: each value of the annotation once, and safe to repeat.

use super::{
    attempt::{self},
    run::Pass,
    size,
    verbs::{self, Verb},
};
use crate::api::{
    REQUEST,
    migration::{Answer, GateState, MigrationStatus, ObjectState, Phase, Verdict},
    phase_run::{FailureReason, Step},
};

/// What was done, or why not.
type Answered = Result<&'static str, String>;

impl Pass<'_> {
    /// Answers a verb that was not answered yet.
    pub fn answer(&mut self) {
        let Some(request) = self.annotation(REQUEST).map(|text| size::cut(text.to_owned(), 256)) else {
            return;
        };
        if self
            .status
            .last_request
            .as_ref()
            .is_some_and(|last| last.request == request)
        {
            return;
        }
        let answered = verbs::parse(&request).and_then(|verb| self.obey(verb));
        let accepted = answered.is_ok();
        let message = size::cut(answered.map_or_else(|why| why, Into::into), 512);
        self.announce(
            !accepted,
            if accepted { "RequestAccepted" } else { "RequestRefused" },
            format!("{request}: {message}"),
        );
        self.status.last_request = Some(Answer {
            request,
            accepted,
            message,
            at: self.time(),
        });
    }

    fn obey(&mut self, verb: Verb) -> Answered {
        if self.status.cancelling.is_some() && verb != Verb::Retry {
            return Err("it is being cancelled".into());
        }
        if self.switched() && verb != Verb::Rerun {
            return Err("the cutover has switched: nothing is undone from here; rerun begins another run".into());
        }
        match verb {
            Verb::Retry => self.retry(),
            Verb::RetryFromExtract => self.back_to_extract(),
            Verb::Cancel => self.start_cancelling(),
            Verb::Rerun => self.rerun(),
            Verb::Replan => self.replan(),
            Verb::Unlock => self.unlock(),
        }
    }

    fn retry(&mut self) -> Answered {
        let phase = self.status.phase;
        if phase.is_over() {
            return Err(format!("the run is {phase:?}: rerun begins another"));
        }
        if phase.step().is_none() && self.status.cancelling.is_none() {
            return Err(format!("phase {phase:?} has nothing to retry"));
        }
        let held_up = !self.seen.attempt.troubles.is_empty();
        if self.under_way().is_some() && !held_up {
            return Err("an attempt is at work".into());
        }
        self.renew();
        Ok("a new attempt follows")
    }

    fn back_to_extract(&mut self) -> Answered {
        self.may_go_back()?;
        if self.status.plan.is_none() || self.status.phase < Phase::Extracting {
            return Err("nothing was extracted yet: retry".into());
        }
        // the plan lay in the workspace: where that is lost, it is made again first
        let lost = attempt::word(FailureReason::WorkspaceLost);
        let from = if self.ended().is_some_and(|(_, ending)| ending.reason == lost) {
            Phase::Discovering
        } else {
            Phase::Extracting
        };
        self.renew();
        for object in &mut self.status.objects {
            object.state = ObjectState::Planned;
            object.book = crate::api::Book::default();
            object.verification = None;
            object.waiting = 0;
        }
        self.status.queue.clear();
        self.status.orders.rebuild = true;
        self.gates_are_stale("the source is read again");
        self.enter(from);
        Ok("the source is read again")
    }

    fn replan(&mut self) -> Answered {
        self.may_go_back()?;
        if self.status.phase < Phase::Validating {
            return Err("there is no plan yet".into());
        }
        self.renew();
        self.gates_are_stale("the plan is made again");
        self.enter(Phase::Validating);
        Ok("the MappingSpec is taken as it is now")
    }

    /// Whether the phase may be left backwards now.
    fn may_go_back(&self) -> Result<(), String> {
        let phase = self.status.phase;
        if phase.is_over() {
            return Err(format!("the run is {phase:?}: rerun begins another"));
        }
        if phase == Phase::CuttingOver && self.under_way().is_some() {
            return Err("the cutover is at work: suspend it first".into());
        }
        Ok(())
    }

    /// What was sealed so far stands on what is made again now.
    fn gates_are_stale(&mut self, cause: &str) {
        let now = self.time();
        for gate in &mut self.status.gates {
            gate.state = GateState::Stale;
            gate.message = Some(cause.to_owned());
            gate.since = Some(now.clone());
            gate.approved_by = None;
        }
        self.status.cutover = None;
    }

    fn start_cancelling(&mut self) -> Answered {
        if self.status.phase.is_over() {
            return Err(format!("the run is {:?}", self.status.phase));
        }
        self.status.cancelling = Some(self.time());
        Ok("its Job is ended; what is in Odoo stays")
    }

    fn rerun(&mut self) -> Answered {
        if !self.status.phase.is_over() {
            return Err(format!("run {} is under way: cancel it first", self.status.run));
        }
        self.begin_run();
        self.enter(Phase::Validating);
        Ok("the next run begins")
    }

    fn unlock(&mut self) -> Answered {
        if !self.status.phase.may_hold_lock() {
            return Err(format!("phase {:?} takes no lock", self.status.phase));
        }
        self.status.orders.unlock = true;
        let waits = self.ended().is_some_and(|(attempt, ending)| {
            attempt.step != Step::Release
                && ending.verdict == Verdict::Waiting
                && ending.reason == attempt::word(FailureReason::DestinationLock)
        });
        if waits {
            self.renew();
        }
        Ok("the next Job takes the lock over")
    }

    /// Begins the next run: everything but history, seal numbers and the last answer is made anew.
    pub fn begin_run(&mut self) {
        let before = std::mem::take(&mut self.status);
        self.status = MigrationStatus {
            observed_generation: before.observed_generation,
            phase: before.phase,
            conditions: before.conditions,
            run: before.run.saturating_add(1),
            started: Some(self.time()),
            waiting_for: before.waiting_for,
            gates: before.gates,
            last_request: before.last_request,
            history: before.history,
            ..MigrationStatus::default()
        };
        self.gates_are_stale("another run began");
        for gate in &mut self.status.gates {
            gate.evidence_digest = String::new();
            gate.evidence = String::new();
            gate.round = 0;
        }
    }
}
