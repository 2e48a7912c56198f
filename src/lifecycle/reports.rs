//! What the pod of an attempt reports becomes part of the status here, and nowhere else.

use super::{book, queue, run::Pass};
use crate::api::{
    PhaseRunStatus,
    mapping_spec::Severity,
    migration::{Attempt, ObjectState, ObjectStatus, PinnedPlan, Round, Verdict},
    phase_run::{CutoverFacts, FEWER, FailureReason, ObjectReport, PlanReport, Step, UNPLANNED},
};

impl Pass<'_> {
    /// Takes over what an attempt reports.
    pub fn take(&mut self, report: &PhaseRunStatus, attempt: &Attempt, verdict: Verdict) {
        let in_order = verdict != Verdict::Stalled;
        if let Some(plan) = report.plan.as_ref().filter(|_| attempt.step == Step::Discover) {
            self.take_plan(plan, in_order);
        }
        if let Some(delta) = report.delta.as_ref().filter(|_| in_order) {
            self.status.watermark = Some(delta.watermark.clone());
        }
        match attempt.step {
            Step::Rehearse => {
                for object in &mut self.status.objects {
                    if let Some(told) = told(report, &object.name) {
                        object.book = told.book;
                        object.waiting = told.waiting;
                        object.verification = None;
                        object.state = ObjectState::Rehearsed;
                        object.phase_run.clone_from(&attempt.name);
                    }
                }
                self.take_queue(report);
            }
            Step::Load => self.take_load(report, attempt),
            Step::Delta | Step::Cutover => {
                for object in &mut self.status.objects {
                    if let Some(told) = told(report, &object.name) {
                        object.book = told.book;
                        object.waiting = told.waiting;
                        object.verification = told.verification.or(object.verification);
                        object.phase_run.clone_from(&attempt.name);
                    }
                }
                self.take_queue(report);
                self.settle_objects();
            }
            Step::Discover | Step::Extract | Step::Schema | Step::Release => {}
        }
        if let Some(delta) = &report.delta {
            // of the last reading alone
            self.status
                .findings
                .retain(|finding| ![FEWER, UNPLANNED].contains(&finding.code.as_str()));
            self.status.findings.extend(delta.findings.iter().cloned());
        }
        if attempt.step == Step::Delta && in_order {
            let delta = report.delta.clone().unwrap_or_default();
            self.status.round = Some(Round {
                number: self.round_number() + 1,
                ended: self.time(),
                changed: delta.changed,
                gone: delta.gone,
            });
        }
    }

    pub fn take_load(&mut self, report: &PhaseRunStatus, attempt: &Attempt) {
        let own = attempt.object.as_deref().unwrap_or_default();
        let object = self.status.objects.iter_mut().find(|object| object.name == own);
        if let (Some(object), Some(told)) = (object, told(report, own)) {
            object.book = told.book;
            object.waiting = told.waiting;
            object.verification = told.verification;
            object.phase_run.clone_from(&attempt.name);
            self.take_queue(report);
        }
    }

    /// What the objects of a report wait for takes the place of what they waited for before.
    fn take_queue(&mut self, report: &PhaseRunStatus) {
        let queue = &mut self.status.queue;
        // what a queue that was cut counts for all is counted anew with all
        let all = report.objects.len() > 1;
        queue.retain(|missing| told(report, missing.who_counts()).is_none() && !(all && missing.by == queue::ANYBODY));
        queue.extend(report.queue.iter().cloned());
        queue::order(queue);
    }

    fn take_plan(&mut self, plan: &PlanReport, in_order: bool) {
        self.status.findings.clone_from(&plan.findings);
        if !in_order || self.has_error_finding() {
            return;
        }
        self.status.plan = Some(PinnedPlan {
            digest: plan.digest.clone(),
            mapping_digest: plan.mapping_digest.clone(),
            odoo: plan.odoo.clone(),
        });
        self.status.estimate_seconds = Some(plan.estimate_seconds);
        self.status.objects = plan
            .objects
            .iter()
            .map(|object| ObjectStatus {
                name: object.name.clone(),
                model: object.model.clone(),
                document: object.document.clone(),
                ..ObjectStatus::default()
            })
            .collect();
    }

    pub fn has_error_finding(&self) -> bool {
        self.status
            .findings
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }

    /// Facts of the cutover only ever come to be.
    pub fn take_facts(&mut self, told: Option<&CutoverFacts>) {
        let Some(told) = told.filter(|told| **told != CutoverFacts::default()) else {
            return;
        };
        let facts = self.status.cutover.get_or_insert_default();
        for (fact, told) in [
            (&mut facts.drained, &told.drained),
            (&mut facts.frozen, &told.frozen),
            (&mut facts.verified, &told.verified),
            (&mut facts.switched, &told.switched),
        ] {
            if fact.is_none() {
                fact.clone_from(told);
            }
        }
    }

    pub fn switched(&self) -> bool {
        self.status
            .cutover
            .as_ref()
            .is_some_and(|facts| facts.switched.is_some())
    }

    pub fn round_number(&self) -> i64 {
        self.status.round.as_ref().map_or(0, |round| round.number)
    }

    /// Once everything was loaded: an object is Verified as long as its book and its read-back say so, and Open while
    /// nothing but held records stands against that.
    pub fn settle_objects(&mut self) {
        let spec = &self.seen.migration.spec;
        for object in &mut self.status.objects {
            object.state = match book::judge(object, &spec.accept, spec.owners) {
                Ok(()) => ObjectState::Verified,
                Err(fault) if fault.reason == FailureReason::Held => ObjectState::Open,
                Err(_) => ObjectState::Loading,
            };
        }
    }
}

fn told<'r>(report: &'r PhaseRunStatus, object: &str) -> Option<&'r ObjectReport> {
    report.objects.iter().find(|told| told.name == object)
}
