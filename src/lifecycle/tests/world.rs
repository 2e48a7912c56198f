//! A small world in which everything goes wrong at random: Jobs end in every way, executors are killed between any two
//! of their acts, people approve, revoke, suspend, edit and ask for things. Whatever happened, once the world behaves
//! well the Migration ends; and on the way nothing is started twice, taken back or passed unguarded.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::{
    apis::meta::v1::{MicroTime, Time},
    util::intstr::IntOrString,
};
use proptest::prelude::*;

use super::*;
use crate::{
    api::{PUSHED, PhaseRunSpec, REQUEST, migration::OwnersMissing},
    lifecycle::{Effect, EvidenceSeen, Exit, JobSeen, Next, Trouble, book, next},
    model::Digest,
};

/// Passes after which a well-behaved world must have come to an end.
const PASSES: usize = 400;

#[derive(Clone, Debug)]
enum Event {
    /// A pass that is killed after so many acts.
    Pass(usize),
    JobRuns,
    Beat,
    JobEnds(End),
    JobVanishes,
    PodTrouble,
    PodGone,
    Wait(i64),
    Approve {
        gate: usize,
        right: bool,
    },
    Revoke(usize),
    Guard(Option<bool>),
    Suspend(bool),
    Accept(i32),
    Window(i64),
    MaxDelta(i64),
    Verb(usize),
    Mapping(u8),
    Push,
    Evidence(Harm),
    /// Somebody makes the users that are missing in Odoo, or deletes them.
    Missing(bool),
    Owners(OwnersMissing),
}

/// What somebody does to the evidence of the open gate.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Delete,
    Replace,
    Unseal,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Well,
    Short(FailureReason),
    Badly(Exit, FailureReason),
    Silently(i32),
    CompleteWithout,
    Books(i64),
    ErrorFinding,
}

fn an_end() -> impl Strategy<Value = End> {
    use FailureReason as F;
    let reason = prop::sample::select(vec![
        F::ExportMissing,
        F::SecretMissing,
        F::SourceShrunk,
        F::Acceptance,
        F::DestinationLock,
        F::DestinationUnavailable,
        F::Verification,
        F::NotQuiet,
        F::Fenced,
    ]);
    let exit = prop::sample::select(vec![
        Exit::Retry,
        Exit::Permanent,
        Exit::Configuration,
        Exit::LockHeld,
        Exit::Stopped,
    ]);
    prop_oneof![
        8 => Just(End::Well),
        1 => reason.clone().prop_map(End::Short),
        2 => (exit, reason).prop_map(|(exit, reason)| End::Badly(exit, reason)),
        1 => prop::sample::select(vec![0, 1, 10, 20, 30, 40, 75, 137]).prop_map(End::Silently),
        1 => Just(End::CompleteWithout),
        1 => (0..3_i64).prop_map(End::Books),
        1 => Just(End::ErrorFinding),
    ]
}

fn an_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        20 => prop_oneof![4 => Just(99_usize), 1 => 0..4_usize].prop_map(Event::Pass),
        4 => Just(Event::JobRuns),
        2 => Just(Event::Beat),
        10 => an_end().prop_map(Event::JobEnds),
        1 => Just(Event::JobVanishes),
        1 => Just(Event::PodTrouble),
        2 => Just(Event::PodGone),
        6 => prop::sample::select(vec![1, 10, 100, 1000]).prop_map(Event::Wait),
        6 => (0..2_usize, prop::bool::weighted(0.8)).prop_map(|(gate, right)| Event::Approve { gate, right }),
        1 => (0..2_usize).prop_map(Event::Revoke),
        2 => prop::sample::select(vec![Some(true), Some(false), None]).prop_map(Event::Guard),
        2 => prop::bool::weighted(0.3).prop_map(Event::Suspend),
        1 => (0..3_i32).prop_map(Event::Accept),
        1 => prop::sample::select(vec![-1000, 0, 1000]).prop_map(Event::Window),
        1 => prop::sample::select(vec![0, 1000]).prop_map(Event::MaxDelta),
        1 => (0..VERBS.len()).prop_map(Event::Verb),
        2 => (0..2_usize).prop_map(Event::Verb),
        1 => (0..4_u8).prop_map(Event::Mapping),
        1 => Just(Event::Wait(300_000)),
        1 => Just(Event::Push),
        2 => prop::bool::weighted(0.7).prop_map(Event::Missing),
        1 => prop::sample::select(vec![OwnersMissing::Hold, OwnersMissing::Empty, OwnersMissing::Reject])
            .prop_map(Event::Owners),
        2 => prop::sample::select(vec![Harm::Delete, Harm::Replace, Harm::Unseal]).prop_map(Event::Evidence),
    ]
}

const VERBS: [&str; 7] = [
    "retry",
    "retry from-extract",
    "cancel",
    "rerun",
    "replan",
    "unlock",
    "dance",
];
const GATES: [&str; 2] = ["mapping", "cutover"];

#[derive(Clone, Debug)]
struct Job {
    state: JobSeen,
    troubled: bool,
}

struct World {
    migration: Migration,
    phase_runs: BTreeMap<String, (PhaseRunSpec, PhaseRunSeen)>,
    jobs: BTreeMap<String, Job>,
    evidence: BTreeMap<String, String>,
    unsealed: BTreeSet<String>,
    taken: Vec<String>,
    mapping: MappingSeen,
    guarded: Option<bool>,
    /// Users are missing in Odoo.
    missing: bool,
    second: i64,
    nonce: i64,
}

impl World {
    fn new() -> Self {
        Self {
            migration: a_migration(),
            phase_runs: BTreeMap::new(),
            jobs: BTreeMap::new(),
            evidence: BTreeMap::new(),
            unsealed: BTreeSet::new(),
            taken: vec![],
            mapping: MappingSeen::Valid {
                digest: "sha256:m1".into(),
            },
            guarded: Some(true),
            missing: false,
            second: 0,
            nonce: 0,
        }
    }

    fn status(&self) -> MigrationStatus {
        self.migration.status.clone().unwrap_or_default()
    }

    fn observe(&self) -> Observed {
        let name = self.status().attempt.map(|attempt| attempt.name).unwrap_or_default();
        let job = self.jobs.get(&name);
        let trouble = job
            .filter(|job| job.troubled && job.state == JobSeen::Pending)
            .map(|_| Trouble {
                reason: "Unschedulable".into(),
                message: "no node".into(),
                command: "kubectl get nodes".into(),
            });
        Observed {
            attempt: AttemptSeen {
                phase_run: self.phase_runs.get(&name).map(|(_, seen)| seen.clone()),
                job: job.map_or(JobSeen::Absent, |job| job.state),
                troubles: trouble.into_iter().collect(),
            },
            mapping: self.mapping.clone(),
            evidence: self.evidence_seen(),
            guarded: self.guarded,
            taken: self.taken.clone(),
            ..observed(self.migration.clone())
        }
    }

    /// The evidence of the open gate, as it lies there.
    fn evidence_seen(&self) -> Option<EvidenceSeen> {
        whole(&self.status()).map(|whole| EvidenceSeen {
            digest: self
                .evidence
                .get(&whole.name)
                .map(|json| Digest::of(json.as_bytes()).to_string()),
            sealed: !self.unsealed.contains(&whole.name),
            ..whole
        })
    }

    fn harm(&mut self, harm: Harm) {
        let Some(name) = whole(&self.status()).map(|whole| whole.name) else {
            return;
        };
        match harm {
            Harm::Delete => drop(self.evidence.remove(&name)),
            Harm::Replace => drop(self.evidence.insert(name, "{}".into())),
            Harm::Unseal => drop(self.unsealed.insert(name)),
        }
    }

    /// One pass of an executor that is killed after `acts` acts. Returns when it wants to look again.
    fn pass(&mut self, acts: usize) -> Next {
        let observed = self.observe();
        let decided = next(&observed, at(self.second));
        self.check(&observed, &decided);
        let mut left = acts;
        let mut act = || {
            let alive = left > 0;
            left = left.saturating_sub(1);
            alive
        };
        let (seals, others): (Vec<_>, Vec<_>) = decided
            .effects
            .clone()
            .into_iter()
            .partition(|effect| matches!(effect, Effect::Seal { .. }));
        for effect in seals {
            let Effect::Seal { name, json, .. } = effect else {
                continue;
            };
            if !act() {
                return decided;
            }
            if self.evidence.get(&name).is_some_and(|there| *there != json) || self.unsealed.contains(&name) {
                self.taken.push(name);
                return decided;
            }
            self.evidence.insert(name, json);
        }
        if !act() {
            return decided;
        }
        // What is written is what is read back.
        let json = serde_json::to_string(&decided.status).unwrap();
        self.migration.status = serde_json::from_str(&json).unwrap();
        assert_eq!(self.status(), decided.status, "status does not survive being written");
        let again = next(&self.observe(), at(self.second));
        assert_eq!(again.status, decided.status, "not idempotent");
        for effect in others {
            if !act() {
                return decided;
            }
            self.apply(effect);
        }
        decided
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Start { name, spec } => {
                let live = self.jobs.iter().filter(|(other, job)| {
                    **other != name
                        && matches!(job.state, JobSeen::Pending | JobSeen::Running | JobSeen::Ending)
                        && !self.phase_runs.get(*other).is_none_or(|(_, seen)| seen.closed)
                });
                assert_eq!(live.count(), 0, "{name} would be a second writer");
                let made = self
                    .phase_runs
                    .entry(name.clone())
                    .or_insert_with(|| (spec.clone(), PhaseRunSeen::default()));
                assert_eq!(made.0, spec, "{name} is used twice");
                self.jobs.entry(name).or_insert(Job {
                    state: JobSeen::Pending,
                    troubled: false,
                });
            }
            Effect::Stop { name, close } => {
                if let Some((_, seen)) = self.phase_runs.get_mut(&name).filter(|_| close) {
                    seen.closed = true;
                }
                if let Some(job) = self.jobs.get_mut(&name) {
                    match job.state {
                        JobSeen::Pending => drop(self.jobs.remove(&name)),
                        JobSeen::Running => job.state = JobSeen::Ending,
                        _ => {}
                    }
                }
            }
            Effect::Seal { .. } | Effect::Announce { .. } | Effect::Prune => {}
        }
    }

    fn check(&self, observed: &Observed, decided: &Next) {
        let (before, after) = (self.status(), &decided.status);
        let started = decided
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Start { .. }));
        assert!(!(started && self.migration.spec.suspend), "started while suspended");
        assert!(after.run >= before.run, "the run went back");
        assert!(
            after.run > before.run || after.attempts >= before.attempts,
            "attempts went back"
        );
        let verb = after.last_request != before.last_request;
        assert!(
            may_lead(before.phase, after.phase, verb),
            "{:?} led to {:?}",
            before.phase,
            after.phase
        );
        let passed = |status: &MigrationStatus, gate: &str| {
            status
                .gates
                .iter()
                .any(|there| there.name == gate && there.state == GateState::Passed)
        };
        if passed(after, "mapping") && !passed(&before, "mapping") {
            let gate = after.gates.iter().find(|gate| gate.name == "mapping").unwrap();
            assert_eq!(observed.guarded, Some(true), "passed unguarded");
            let annotations = observed.migration.metadata.annotations.clone().unwrap_or_default();
            let approval = annotations
                .get("approval.crmferry.io/mapping")
                .cloned()
                .unwrap_or_default();
            assert!(
                approval.starts_with(&gate.evidence_digest),
                "passed without the right approval"
            );
            self.check_evidence(observed, gate);
        }
        if after.phase == Phase::CuttingOver && before.phase != Phase::CuttingOver {
            assert_eq!(observed.guarded, Some(true), "cut over unguarded");
            let owners = observed.migration.spec.owners;
            let held = |object: &ObjectStatus| book::in_the_way(object.book.held, object.waiting, owners);
            assert_eq!(
                after.objects.iter().map(held).sum::<i64>(),
                0,
                "cut over with records held"
            );
            let gate = after.gates.iter().find(|gate| gate.name == "cutover").unwrap();
            self.check_evidence(observed, gate);
        }
        let old = before.cutover.and_then(|facts| facts.switched);
        let same_run = after.run == before.run;
        assert!(!same_run || old.is_none() || after.cutover.as_ref().is_some_and(|facts| facts.switched == old));
        let json = serde_json::to_vec(after).unwrap();
        assert!(json.len() <= 65_536);
    }

    /// What a gate is carried out on is what was sealed.
    fn check_evidence(&self, observed: &Observed, gate: &Gate) {
        let found = observed
            .evidence
            .as_ref()
            .expect("passed without a look at the evidence");
        assert_eq!(
            found.digest.as_ref(),
            Some(&gate.evidence_digest),
            "passed on other evidence"
        );
        assert!(found.sealed && found.name == gate.evidence && self.evidence.contains_key(&gate.evidence));
    }

    /// The Job of the attempt, where it has not ended.
    fn live(&mut self) -> Option<(String, PhaseRunSpec)> {
        let name = self.status().attempt.filter(|attempt| attempt.ended.is_none())?.name;
        let state = self.jobs.get(&name)?.state;
        let live = matches!(state, JobSeen::Pending | JobSeen::Running | JobSeen::Ending);
        live.then(|| (name.clone(), self.phase_runs[&name].0.clone()))
    }

    fn set_job(&mut self, name: &str, state: JobSeen) {
        self.jobs.insert(name.into(), Job { state, troubled: false });
    }

    fn report(&mut self, name: &str, status: PhaseRunStatus) {
        let seen = &mut self.phase_runs.get_mut(name).unwrap().1;
        if !seen.closed {
            seen.status = status;
        }
    }

    fn end(&mut self, end: End) {
        let Some((name, spec)) = self.live() else { return };
        let object = spec.object.as_deref();
        let mut report = good_report(spec.phase, object);
        self.hold(&mut report);
        let state = match end {
            End::Well => JobSeen::Complete,
            End::Short(reason) => {
                report.outcome = Some(Outcome::Partial);
                report.failure = bad_report(Outcome::Partial, reason).failure;
                report.cutover = None;
                JobSeen::Complete
            }
            End::Badly(exit, reason) => {
                report = bad_report(Outcome::Failed, reason);
                JobSeen::Failed(Some(i32::from(exit.code())))
            }
            End::Silently(code) => {
                report = PhaseRunStatus {
                    heartbeat: report.heartbeat,
                    ..PhaseRunStatus::default()
                };
                if code == 0 {
                    JobSeen::Failed(None)
                } else {
                    JobSeen::Failed(Some(code))
                }
            }
            End::CompleteWithout => {
                report = PhaseRunStatus {
                    heartbeat: report.heartbeat,
                    ..PhaseRunStatus::default()
                };
                JobSeen::Complete
            }
            End::Books(rejected) => {
                for object in &mut report.objects {
                    object.book.rejected = rejected;
                    object.book.read += rejected;
                }
                JobSeen::Complete
            }
            End::ErrorFinding => {
                if let Some(plan) = &mut report.plan {
                    plan.findings.push(crate::api::mapping_spec::Finding {
                        severity: crate::api::mapping_spec::Severity::Error,
                        code: "UnknownField".into(),
                        path: String::new(),
                        message: "no such field".into(),
                    });
                }
                JobSeen::Complete
            }
        };
        self.report(&name, report);
        self.set_job(&name, state);
    }

    /// While users are missing: two contacts are held, and the deals of two wait for them, where `owners` says Hold.
    fn hold(&self, report: &mut PhaseRunStatus) {
        let owners = self.migration.spec.owners;
        if !self.missing {
            return;
        }
        for object in &mut report.objects {
            let own = object.name == "contacts";
            if !own && owners.on_missing != OwnersMissing::Hold {
                continue;
            }
            object.book.created -= 2;
            object.book.present -= 2;
            object.book.held = 2;
            object.book.balanced = false;
            object.waiting = if own { 0 } else { 2 };
            report.queue.push(crate::api::phase_run::Missing {
                object: "contacts".into(),
                key: String::new(),
                by: if own { String::new() } else { object.name.clone() },
                records: 2,
            });
        }
        let held = !report.objects.is_empty() && owners.on_missing == OwnersMissing::Hold;
        if report.cutover.is_some() && held {
            // as its worker does: back to the rounds
            report.outcome = Some(Outcome::Partial);
            report.failure = bad_report(Outcome::Partial, FailureReason::NotQuiet).failure;
            report.cutover = None;
        }
    }

    fn edit(&mut self, change: impl FnOnce(&mut MigrationSpec)) {
        change(&mut self.migration.spec);
        *self.migration.metadata.generation.get_or_insert_default() += 1;
    }

    fn ask(&mut self, verb: &str) {
        self.nonce += 1;
        annotate(&mut self.migration, REQUEST, format!("{verb} {}", self.nonce));
    }

    fn push(&mut self) {
        let now = at(self.second).to_string();
        annotate(&mut self.migration, PUSHED, now);
    }

    fn approve(&mut self, gate: &str, right: bool) {
        let digest = self
            .status()
            .gates
            .iter()
            .find(|there| there.name == gate)
            .map(|gate| gate.evidence_digest.clone());
        let digest = if right {
            digest.unwrap_or_default()
        } else {
            "sha256:old".into()
        };
        approve(&mut self.migration, gate, &digest);
    }

    fn happen(&mut self, event: &Event) {
        self.second += 1;
        match *event {
            Event::Pass(acts) => drop(self.pass(acts)),
            Event::JobRuns => {
                if let Some((name, _)) = self
                    .live()
                    .filter(|(name, _)| self.jobs[name].state == JobSeen::Pending)
                {
                    self.set_job(&name, JobSeen::Running);
                }
            }
            Event::Beat => {
                let beat = MicroTime(at(self.second));
                if let Some((name, _)) = self.live() {
                    self.report(
                        &name,
                        PhaseRunStatus {
                            heartbeat: Some(beat),
                            ..PhaseRunStatus::default()
                        },
                    );
                }
            }
            Event::JobEnds(end) => self.end(end),
            Event::JobVanishes => {
                if let Some((name, _)) = self.live() {
                    self.jobs.remove(&name);
                }
            }
            Event::PodTrouble => {
                if let Some((name, _)) = self.live() {
                    self.jobs.get_mut(&name).unwrap().troubled = true;
                }
            }
            Event::PodGone => self.jobs.retain(|_, job| job.state != JobSeen::Ending),
            Event::Wait(seconds) => self.second += seconds,
            Event::Approve { gate, right } => self.approve(GATES[gate], right),
            Event::Revoke(gate) => {
                let key = format!("approval.crmferry.io/{}", GATES[gate]);
                self.migration.metadata.annotations.get_or_insert_default().remove(&key);
            }
            Event::Guard(guarded) => self.guarded = guarded,
            Event::Suspend(suspend) => self.edit(|spec| spec.suspend = suspend),
            Event::Accept(count) => self.edit(|spec| spec.accept.rejected = Some(IntOrString::Int(count))),
            Event::Window(offset) => {
                let from = at(self.second + offset);
                let until = at(self.second + offset + 500);
                let window = crate::api::migration::Window {
                    not_before: Some(Time(from)),
                    not_after: Some(Time(until)),
                };
                self.edit(|spec| spec.cutover.window = Some(window));
            }
            Event::MaxDelta(max) => self.edit(|spec| spec.cutover.max_delta = max),
            Event::Verb(verb) => self.ask(VERBS[verb]),
            Event::Mapping(which) => {
                self.mapping = match which {
                    0 => MappingSeen::Absent,
                    1 => MappingSeen::Invalid(vec![]),
                    2 => MappingSeen::Valid {
                        digest: "sha256:m1".into(),
                    },
                    _ => MappingSeen::Valid {
                        digest: "sha256:m2".into(),
                    },
                };
            }
            Event::Push => self.push(),
            Event::Evidence(harm) => self.harm(harm),
            Event::Missing(missing) => self.missing = missing,
            Event::Owners(owners) => self.edit(|spec| spec.owners.on_missing = owners),
        }
    }

    /// The world behaves: everything works, people do what `waitingFor` asks of them.
    fn behave(&mut self) {
        self.mapping = MappingSeen::Valid {
            digest: "sha256:m1".into(),
        };
        self.guarded = Some(true);
        if self.migration.spec.suspend || self.migration.spec.cutover.window.is_some() {
            self.edit(|spec| {
                spec.suspend = false;
                spec.cutover.window = None;
            });
        }
        for _ in 0..PASSES {
            self.good_turn();
            if self.status().phase.is_over() {
                return;
            }
        }
        panic!("it does not end: {:#?}", self.status());
    }

    /// A pass after which the Job ends well and people do what is asked of them.
    fn good_turn(&mut self) {
        let decided = self.pass(99);
        let wait = decided.look_again.unwrap_or(SignedDuration::from_secs(1)).as_secs();
        self.second += wait.clamp(1, 60);
        self.jobs.retain(|_, job| job.state != JobSeen::Ending);
        self.end(End::Well);
        for wait in &decided.status.waiting_for {
            if wait.what == "Owners" {
                self.missing = false;
            }
            let words: Vec<&str> = wait.command.split_whitespace().collect();
            match words.as_slice() {
                ["kubectl", "crmferry", "approve", gate, ..] => self.approve(gate, true),
                ["kubectl", "crmferry", "retry", _, "from-extract", ..] => self.ask("retry from-extract"),
                ["kubectl", "crmferry", "retry", ..] => self.ask("retry"),
                ["kubectl", "crmferry", "unlock", ..] => self.ask("unlock"),
                ["kubectl", "crmferry", "push", ..] => self.push(),
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happened_a_world_that_behaves_well_comes_to_an_end(
        good_turns in 0..12_usize,
        events in prop::collection::vec(an_event(), 0..80),
    ) {
        let mut world = World::new();
        (0..good_turns).for_each(|_| world.good_turn());
        for event in events {
            world.happen(&event);
        }
        world.behave();
        let phase = world.status().phase;
        prop_assert!(phase.is_over());
        // And again: another run with the same external ids.
        world.ask("rerun");
        world.pass(99);
        prop_assert_eq!(world.status().run >= 1, true);
        world.behave();
    }
}

#[test]
fn a_world_without_mishaps_completes_in_few_passes() {
    let mut world = World::new();
    world.behave();
    let status = world.status();
    assert_eq!((status.phase, status.run), (Phase::Completed, 1));
    assert_eq!(condition(&status, "Ready").0, "True");
    assert_eq!(condition(&status, "Reconciled").0, "True");
    assert_eq!(condition(&status, "CutOver").0, "True");
    assert_eq!(
        status.attempts, 8,
        "discover, extract, rehearse, schema, two loads, one round, cutover"
    );
    assert_eq!(world.evidence.len(), 2);
    assert!(status.waiting_for.is_empty());
}
