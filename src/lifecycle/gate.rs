//! Gates: sealed evidence, approvals, and whether anything guards them.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    Effect,
    book::{self, Fault},
    evidence, names,
    run::Pass,
    size,
    verbs::{self, Command},
};
use crate::api::{
    APPROVAL_PREFIX,
    migration::{Gate, GateState, Phase, Verdict},
    phase_run::{FailureReason, Step},
};

/// Time between two looks at the evidence of a gate that waits.
const EVIDENCE_WATCH: SignedDuration = SignedDuration::from_secs(30);

/// A gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Stands on the rehearsal; behind it lies the first write.
    Mapping,
    /// Stands on what was loaded and read back; behind it lies the cutover.
    Cutover,
}

impl Kind {
    /// Its name in status and annotations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mapping => "mapping",
            Self::Cutover => "cutover",
        }
    }

    /// The gate that is open to approvals in a phase.
    #[must_use]
    pub const fn of(phase: Phase) -> Option<Self> {
        match phase {
            Phase::AwaitingMapping => Some(Self::Mapping),
            Phase::Synchronising | Phase::CuttingOver => Some(Self::Cutover),
            _ => None,
        }
    }
}

/// The gate that is open to approvals: before it calls `next`, an executor asks whether they are guarded, and reads the
/// evidence again.
#[must_use]
pub fn open(gates: &[Gate]) -> Option<&Gate> {
    gates.iter().find(|gate| is_open(gate))
}

const fn is_open(gate: &Gate) -> bool {
    match gate.state {
        GateState::Waiting | GateState::Approved | GateState::Unguarded => true,
        GateState::Stale | GateState::Passed => false,
    }
}

impl Pass<'_> {
    pub fn gate(&self, kind: Kind) -> Option<&Gate> {
        self.status.gates.iter().find(|gate| gate.name == kind.name())
    }

    fn gate_mut(&mut self, kind: Kind) -> Option<&mut Gate> {
        self.status.gates.iter_mut().find(|gate| gate.name == kind.name())
    }

    /// Whether approvals are guarded. A laptop has no admission control, and says so in its report.
    fn guarded(&self) -> Option<bool> {
        if self.seen.laptop {
            Some(true)
        } else {
            self.seen.guarded
        }
    }

    /// Whether a gate may be carried out now: approved, certainly guarded, and on evidence that was seen to be there.
    pub fn may_pass(&self, kind: Kind) -> bool {
        let approved = self.gate(kind).filter(|gate| gate.state == GateState::Approved);
        self.guarded() == Some(true) && approved.is_some_and(|gate| self.fault_of(gate) == Some(Ok(())))
    }

    /// What is wrong with the evidence that a gate names, as it was found; `None` where nobody looked at it.
    fn fault_of(&self, gate: &Gate) -> Option<Result<(), &'static str>> {
        let found = self
            .seen
            .evidence
            .as_ref()
            .filter(|found| found.name == gate.evidence)?;
        Some(match &found.digest {
            None => Err("is gone"),
            Some(digest) if *digest != gate.evidence_digest => Err("is not what was sealed"),
            Some(_) if !found.sealed => Err("can be changed, or is another's"),
            Some(_) => Ok(()),
        })
    }

    /// A gate was carried out.
    pub fn pass_gate(&mut self, kind: Kind) {
        let mut note = None;
        if let Some(gate) = self.gate_mut(kind) {
            gate.state = GateState::Passed;
            gate.message = None;
            note = Some(format!(
                "{}, approved by {}",
                gate.name,
                gate.approved_by.as_deref().unwrap_or("-")
            ));
        }
        if let Some(note) = note {
            self.announce(false, "GatePassed", note);
        }
    }

    /// What is wrong with the books that a gate stands on.
    ///
    /// # Errors
    /// With the first fault; that records are held comes after all others.
    pub fn books(&self, kind: Kind) -> Result<(), Fault> {
        let spec = &self.seen.migration.spec;
        let judged = |object| match kind {
            Kind::Mapping => book::judge_prediction(object, &spec.accept),
            Kind::Cutover => book::judge_for_cutover(object, &spec.accept, spec.owners),
        };
        let faults = self.status.objects.iter().filter_map(|object| judged(object).err());
        // a fault that needs repair goes before what is only waited for
        let first = faults.min_by_key(|fault| fault.reason == FailureReason::Held);
        first.map_or(Ok(()), |mut fault| {
            let nothing = book::nothing_read(&self.status.objects);
            if let Some(nothing) =
                nothing.filter(|_| kind == Kind::Mapping && fault.reason == FailureReason::Acceptance)
            {
                fault.message = format!("{}; {nothing}", fault.message);
            }
            Err(fault)
        })
    }

    /// Tends a gate that is open to approvals: is what was sealed still true, who approved, is there something to seal.
    pub fn tend(&mut self, kind: Kind) {
        if let Some((cause, needs_round)) = self.stale_cause(kind) {
            self.make_stale(kind, &cause, needs_round);
        }
        self.hear_approvals(kind);
        if self.may_seal(kind) {
            self.seal(kind);
        }
        // nothing tells us when evidence goes
        if !self.seen.laptop && self.gate(kind).is_some_and(is_open) {
            self.look_in(EVIDENCE_WATCH);
        }
    }

    /// Why sealed evidence holds no longer, and whether only another round can make it hold again.
    fn stale_cause(&self, kind: Kind) -> Option<(String, bool)> {
        let gate = self.gate(kind)?;
        if matches!(gate.state, GateState::Stale | GateState::Passed) {
            return None;
        }
        if gate.basis != evidence::basis(&self.seen.migration, &self.status) {
            return Some((
                "the spec, the plan or the worker changed since it was sealed".into(),
                false,
            ));
        }
        if let Some(Err(fault)) = self.fault_of(gate) {
            let place = if self.seen.laptop {
                format!("evidence/{}-{}.json", gate.name, gate.sealed)
            } else {
                format!("configmap/{}", gate.evidence)
            };
            return Some((format!("{place} {fault}"), false));
        }
        if self.status.phase == Phase::CuttingOver {
            return None;
        }
        if let Err(fault) = self.books(kind) {
            return Some((fault.message, true));
        }
        if self.has_error_finding() {
            return Some(("an Error was found since it was sealed".into(), true));
        }
        let since = gate.since.as_ref().map_or(self.now, |since| since.0);
        if self.now.duration_since(since) > evidence::VALID {
            return Some(("it is older than 72 hours".into(), false));
        }
        let round = self
            .status
            .round
            .as_ref()
            .filter(|round| kind == Kind::Cutover && round.number > gate.round)?;
        let (moved, bound) = (
            round.changed.saturating_add(round.gone),
            self.seen.migration.spec.cutover.max_delta,
        );
        if moved > bound {
            return Some((format!("a round moved {moved} records, maxDelta is {bound}"), true));
        }
        let (_, ending) = self.ended().filter(|(attempt, _)| attempt.step == Step::Delta)?;
        (ending.verdict == Verdict::Partial).then(|| (ending.message.clone(), true))
    }

    /// Sealed evidence holds no longer.
    pub fn make_stale(&mut self, kind: Kind, cause: &str, needs_round: bool) {
        let (round, now) = (self.round_number(), self.time());
        let Some(gate) = self.gate_mut(kind) else { return };
        if gate.state == GateState::Stale {
            return;
        }
        gate.state = GateState::Stale;
        gate.message = Some(cause.to_owned());
        gate.since = Some(now);
        gate.approved_by = None;
        gate.round = if needs_round { round } else { round.saturating_sub(1) };
        self.announce(true, "GateStale", format!("{}: {cause}", kind.name()));
    }

    fn hear_approvals(&mut self, kind: Kind) {
        let guarded = self.guarded();
        let text = self.annotation(&format!("{APPROVAL_PREFIX}{}", kind.name()));
        let Some(gate) = self.gate_mut(kind) else { return };
        if matches!(gate.state, GateState::Stale | GateState::Passed) {
            return;
        }
        let by = text
            .and_then(verbs::parse_approval)
            .filter(|approval| approval.digest == gate.evidence_digest)
            .map(|approval| size::cut(approval.by.to_owned(), 256));
        let known = by.is_some() && gate.approved_by == by;
        if by.is_none() {
            gate.approved_by = None;
        }
        match (guarded, by) {
            (Some(true), by) => {
                // why it was sealed anew stays said
                if gate.state == GateState::Unguarded {
                    gate.message = None;
                }
                gate.state = if by.is_some() {
                    GateState::Approved
                } else {
                    GateState::Waiting
                };
                let news = !known && by.is_some();
                gate.approved_by.clone_from(&by);
                if let Some(by) = by.filter(|_| news) {
                    self.announce(false, "GateApproved", format!("{} by {by}", kind.name()));
                }
            }
            (Some(false), by) => {
                gate.state = GateState::Unguarded;
                gate.message = Some(format!("no policy {} guards approvals", crate::api::APPROVAL_POLICY));
                if by.is_some() && !known {
                    gate.void = text.map(|text| size::cut(text.to_owned(), 512));
                    self.make_stale(
                        kind,
                        "it was approved while nothing guarded approvals: that approval is void",
                        false,
                    );
                }
            }
            // Not known whether it is guarded: what was approved under guard stays, nothing new is heard.
            (None, None) if gate.state == GateState::Approved => gate.state = GateState::Waiting,
            (None, _) => {}
        }
    }

    /// Whether evidence can be sealed: none holds, the books are good, and for the cutover a round has ended Done.
    fn may_seal(&self, kind: Kind) -> bool {
        let gate = self.gate(kind);
        if gate.is_some_and(|gate| gate.state != GateState::Stale)
            || self.books(kind).is_err()
            || self.has_error_finding()
        {
            return false;
        }
        match kind {
            Kind::Mapping => self.status.phase == Phase::AwaitingMapping,
            Kind::Cutover => {
                self.status.phase == Phase::Synchronising
                    && self.round_number() > gate.map_or(0, |gate| gate.round)
                    && self
                        .ended()
                        .is_some_and(|(attempt, ending)| attempt.step == Step::Delta && ending.verdict == Verdict::Done)
            }
        }
    }

    /// Whether a round is wanted at once, to have something to seal.
    pub fn wants_round(&self) -> bool {
        let waits = self
            .gate(Kind::Cutover)
            .is_some_and(|gate| gate.state == GateState::Stale && self.round_number() <= gate.round);
        waits && self.books(Kind::Cutover).is_ok()
    }

    fn seal(&mut self, kind: Kind) {
        let before = self.gate(kind).cloned();
        let mut number = before.as_ref().map_or(0, |gate| gate.sealed).saturating_add(1);
        while self
            .seen
            .taken
            .contains(&names::evidence_name(self.name(), kind.name(), number))
        {
            number += 1;
        }
        let name = names::evidence_name(self.name(), kind.name(), number);
        let sealed = evidence::seal(kind.name(), number, &self.seen.migration, &self.status);
        let unguarded = self.guarded() == Some(false);
        // the first evidence of a run replaces none
        let replaced = before.as_ref().filter(|gate| !gate.evidence.is_empty());
        let cause = replaced.and_then(|gate| gate.message.as_deref());
        let message = if unguarded {
            Some(format!("no policy {} guards approvals", crate::api::APPROVAL_POLICY))
        } else {
            cause.map(|cause| size::cut(format!("sealed anew: {cause}"), 1024))
        };
        let gate = Gate {
            name: kind.name().into(),
            state: if unguarded {
                GateState::Unguarded
            } else {
                GateState::Waiting
            },
            evidence_digest: sealed.digest.clone(),
            evidence: name.clone(),
            sealed: number,
            since: Some(Time(self.now)),
            approved_by: None,
            message,
            void: before.and_then(|gate| gate.void),
            basis: evidence::basis(&self.seen.migration, &self.status),
            round: self.round_number(),
        };
        match self.gate_mut(kind) {
            Some(place) => *place = gate,
            None => self.status.gates.push(gate),
        }
        self.announce(false, "EvidenceSealed", format!("{name}: {}", sealed.digest));
        self.effects.push(Effect::Seal {
            gate: kind.name().into(),
            name,
            json: sealed.json,
        });
    }

    /// What a gate waits for, as a word for conditions; `None` where it is approved.
    pub fn gate_waits(&mut self, kind: Kind) -> Option<(&'static str, String)> {
        let gate = self.gate(kind)?.clone();
        let open = is_open(&gate);
        // nothing tells us when the guard comes back
        if open && self.guarded() != Some(true) {
            self.look_in(SignedDuration::from_secs(5));
        }
        if let Some(since) = gate.since.as_ref().filter(|_| open) {
            let over = since.0.saturating_add(evidence::VALID + SignedDuration::from_secs(1));
            self.look_at(over.unwrap_or(Timestamp::MAX));
        }
        match gate.state {
            GateState::Waiting => {
                let anew = gate.message.map_or_else(String::new, |anew| format!("{anew}; "));
                let message = format!(
                    "gate {}: {anew}approve {}, to be read in {}",
                    gate.name, gate.evidence_digest, gate.evidence
                );
                self.wait("Approval", message.clone(), Command::Approve(kind.name()));
                let reason = if kind == Kind::Mapping {
                    "AwaitingMapping"
                } else {
                    "AwaitingCutover"
                };
                Some((reason, message))
            }
            GateState::Unguarded => {
                let message = format!("gate {}: {}", gate.name, gate.message.unwrap_or_default());
                self.wait("Guard", message.clone(), Command::ShowGuard);
                Some(("AwaitingGuard", message))
            }
            GateState::Approved | GateState::Stale | GateState::Passed => None,
        }
    }
}
