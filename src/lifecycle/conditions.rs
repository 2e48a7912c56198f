//! What people and tools are told: conditions after kstatus, and our own.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{MappingSeen, gate::Kind, run::Pass, size};
use crate::api::migration::{GateState, ObjectState, Phase};

/// How a Migration fares where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mood {
    kind: MoodKind,
    reason: String,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MoodKind {
    Done,
    Working,
    Awaiting,
    Stalled,
}

impl Mood {
    /// Nothing is left to do.
    #[must_use]
    pub fn done(message: impl Into<String>) -> Self {
        Self::new(MoodKind::Done, "Completed", message)
    }

    /// Something is under way.
    #[must_use]
    pub fn working(reason: &str, message: impl Into<String>) -> Self {
        Self::new(MoodKind::Working, reason, message)
    }

    /// A person, a window or another run has to move first, and all is well.
    #[must_use]
    pub fn awaiting(reason: &str, message: impl Into<String>) -> Self {
        Self::new(MoodKind::Awaiting, reason, message)
    }

    /// It needs repair.
    #[must_use]
    pub fn stalled(reason: &str, message: impl Into<String>) -> Self {
        Self::new(MoodKind::Stalled, reason, message)
    }

    fn new(kind: MoodKind, reason: &str, message: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
            message: message.into(),
        }
    }

    /// Whether it needs repair.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.kind == MoodKind::Stalled
    }
}

impl Pass<'_> {
    /// Writes every condition. Each is there from the first look on; its time is that of its last change.
    pub fn tell(&mut self, mood: &Mood) {
        let (phase, kind) = (self.status.phase, mood.kind);
        let Mood { reason, message, .. } = mood;
        let stalled = self
            .status
            .conditions
            .iter()
            .find(|before| before.type_ == "Stalled" && before.status == "True");
        if mood.is_stalled() && stalled.is_none_or(|before| before.reason != *reason) {
            self.announce(true, "Stalled", format!("{reason}: {message}"));
        }
        self.set("Ready", kind == MoodKind::Done, reason, message);
        self.set("Reconciling", kind == MoodKind::Working, reason, message);
        self.set("Stalled", kind == MoodKind::Stalled, reason, message);
        let confirmed = self
            .gate(Kind::Mapping)
            .is_some_and(|gate| gate.state == GateState::Passed);
        self.set(
            "MappingConfirmed",
            confirmed,
            if confirmed { "Approved" } else { "NotApproved" },
            "",
        );
        let verified = self
            .status
            .objects
            .iter()
            .filter(|object| object.state == ObjectState::Verified)
            .count();
        let reconciled = verified > 0 && verified == self.status.objects.len();
        let text = format!(
            "{verified} of {} objects balance and were read back",
            self.status.objects.len()
        );
        self.set(
            "Reconciled",
            reconciled,
            if reconciled { "Balanced" } else { "Open" },
            &text,
        );
        let switched = self.switched();
        self.set(
            "CutOver",
            switched,
            if switched { "Switched" } else { "NotSwitched" },
            "",
        );
        let completed = phase == Phase::Completed;
        self.set("Completed", completed, &format!("{phase:?}"), "");
        let (drifted, why) = self.drift();
        self.set(
            "MappingDrifted",
            drifted,
            if drifted { "Drifted" } else { "AsPlanned" },
            why,
        );
    }

    /// Whether the MappingSpec is another than the one the run was planned with.
    fn drift(&self) -> (bool, &'static str) {
        let Some(plan) = self.status.plan.as_ref().filter(|_| !self.status.phase.is_over()) else {
            return (false, "");
        };
        match &self.seen.mapping {
            MappingSeen::Absent => (true, "the MappingSpec is gone; the run goes on with its plan"),
            MappingSeen::Invalid(_) => (true, "the MappingSpec has Errors now; the run goes on with its plan"),
            MappingSeen::Valid { digest } if *digest != plan.mapping_digest => (
                true,
                "the MappingSpec changed; the run goes on with its plan (replan takes the new one)",
            ),
            MappingSeen::Valid { .. } => (false, ""),
        }
    }

    fn set(&mut self, type_: &str, yes: bool, reason: &str, message: &str) {
        let status = if yes { "True" } else { "False" };
        let before = self
            .status
            .conditions
            .iter_mut()
            .find(|condition| condition.type_ == type_);
        let condition = Condition {
            type_: type_.into(),
            status: status.into(),
            reason: if reason.is_empty() {
                "Unknown".into()
            } else {
                reason.into()
            },
            message: size::cut(message.to_owned(), size::MESSAGE),
            observed_generation: self.seen.migration.metadata.generation,
            last_transition_time: match &before {
                Some(before) if before.status == status => before.last_transition_time.clone(),
                _ => Time(self.now),
            },
        };
        match before {
            Some(before) => *before = condition,
            None => self.status.conditions.push(condition),
        }
    }
}
