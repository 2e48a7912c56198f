//! Every phase × what is seen of its attempt × what people did meanwhile × how the gate stands.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

use super::*;
use crate::{
    api::{PhaseRunStatus, REQUEST},
    lifecycle::{Effect, JobSeen, Next, Trouble, gate::Kind, next},
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    NoJob,
    Running,
    CompleteWithReport,
    CompleteWithout,
    Failed(i32),
    FailedUnknown,
    Trouble,
    Ending,
}

const SEEN: [Seen; 13] = [
    Seen::NoJob,
    Seen::Running,
    Seen::CompleteWithReport,
    Seen::CompleteWithout,
    Seen::Failed(10),
    Seen::Failed(20),
    Seen::Failed(30),
    Seen::Failed(40),
    Seen::Failed(75),
    Seen::Failed(137),
    Seen::FailedUnknown,
    Seen::Trouble,
    Seen::Ending,
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Meanwhile {
    Nothing,
    Suspended,
    Cancelled,
    Deleted,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum GateIs {
    Approved,
    Stale,
    Unguarded,
    EvidenceGone,
}

const GATES: [GateIs; 4] = [GateIs::Approved, GateIs::Stale, GateIs::Unguarded, GateIs::EvidenceGone];

type Cell = (Phase, Seen, Meanwhile, GateIs);

fn every_cell() -> impl Iterator<Item = Cell> {
    use Meanwhile::{Cancelled, Deleted, Nothing, Suspended};
    Phase::ALL.into_iter().flat_map(|phase| {
        SEEN.into_iter().flat_map(move |seen| {
            [Nothing, Suspended, Cancelled, Deleted]
                .into_iter()
                .flat_map(move |meanwhile| GATES.map(move |gate| (phase, seen, meanwhile, gate)))
        })
    })
}

fn build((phase, seen, meanwhile, gate_is): Cell) -> Observed {
    let mut migration = a_migration();
    let mut status = status_in(phase);
    if seen == Seen::NoJob && phase == Phase::Synchronising {
        status.round = Some(Round {
            number: 1,
            ended: Time(at(0)),
            changed: 0,
            gone: 0,
        });
        status.attempt = Some(done(attempt(Step::Delta, None, 5)));
    }
    let kind = Kind::of(phase);
    if let Some(kind) = kind {
        let digest = with_gate(&migration, &mut status, kind.name(), GateState::Waiting);
        approve(&mut migration, kind.name(), &digest);
        if gate_is == GateIs::Stale {
            // Another round is what a stale gate of the cutover waits for.
            status.gates[0].basis = "sha256:another".into();
        }
    }
    let step = status
        .attempt
        .as_ref()
        .map(|attempt| (attempt.step, attempt.object.clone()));
    let (job, phase_run) = match seen {
        Seen::NoJob => (JobSeen::Absent, None),
        Seen::Running => (JobSeen::Running, Some(reported(beating()))),
        Seen::CompleteWithReport => {
            let report = step
                .as_ref()
                .map(|(step, object)| good_report(*step, object.as_deref()));
            (JobSeen::Complete, report.map(reported))
        }
        Seen::CompleteWithout => (JobSeen::Complete, Some(reported(beating()))),
        Seen::Failed(code) => (JobSeen::Failed(Some(code)), Some(reported(beating()))),
        Seen::FailedUnknown => (JobSeen::Failed(None), Some(reported(beating()))),
        Seen::Trouble => (JobSeen::Pending, Some(reported(PhaseRunStatus::default()))),
        Seen::Ending => (JobSeen::Ending, Some(reported(beating()))),
    };
    match meanwhile {
        Meanwhile::Nothing => {}
        Meanwhile::Suspended => migration.spec.suspend = true,
        Meanwhile::Cancelled => annotate(&mut migration, REQUEST, "cancel 1"),
        Meanwhile::Deleted => migration.metadata.deletion_timestamp = Some(Time(at(5))),
    }
    migration.status = Some(status);
    let mut observed = observed(migration);
    observed.guarded = Some(gate_is != GateIs::Unguarded);
    if let Some(evidence) = observed.evidence.as_mut().filter(|_| gate_is == GateIs::EvidenceGone) {
        evidence.digest = None;
    }
    observed.attempt = AttemptSeen {
        phase_run,
        job,
        troubles: vec![],
    };
    if seen == Seen::Trouble {
        observed.attempt.troubles = vec![Trouble {
            reason: "ImagePullBackOff".into(),
            message: "crmferry:1".into(),
            command: "kubectl describe pod".into(),
        }];
    }
    observed
}

fn beating() -> PhaseRunStatus {
    PhaseRunStatus {
        heartbeat: Some(MicroTime(at(9))),
        ..PhaseRunStatus::default()
    }
}

fn decide(cell: Cell) -> (Observed, Next) {
    let observed = build(cell);
    let decided = next(&observed, at(10));
    (observed, decided)
}

fn starts(decided: &Next) -> Vec<&str> {
    let started = decided.effects.iter().filter_map(|effect| match effect {
        Effect::Start { name, .. } => Some(name.as_str()),
        _ => None,
    });
    started.collect()
}

#[test]
fn in_every_cell_the_invariants_hold() {
    for cell in every_cell() {
        let (observed, decided) = decide(cell);
        let (phase, _, meanwhile, gate_is) = cell;
        let before = observed.migration.status.clone().unwrap();
        let after = &decided.status;
        let started = starts(&decided);
        assert!(started.len() <= 1, "{cell:?}: {started:?}");
        if matches!(meanwhile, Meanwhile::Suspended | Meanwhile::Deleted) {
            assert!(started.is_empty(), "{cell:?} starts {started:?}");
        }
        if meanwhile == Meanwhile::Deleted {
            assert_eq!(*after, before, "{cell:?}");
            assert!(
                decided
                    .effects
                    .iter()
                    .all(|effect| matches!(effect, Effect::Stop { .. })),
                "{cell:?}"
            );
        }
        assert!(after.attempts >= before.attempts && after.run >= before.run, "{cell:?}");
        assert!(
            may_lead(phase, after.phase, false),
            "{cell:?} leads to {:?}",
            after.phase
        );
        if gate_is != GateIs::Approved && phase == Phase::AwaitingMapping {
            assert_eq!(
                after.phase == Phase::AwaitingMapping,
                !after.phase.is_over(),
                "{cell:?}"
            );
            assert!(
                after.gates.iter().all(|gate| gate.state != GateState::Passed),
                "{cell:?}"
            );
        }
        if gate_is == GateIs::EvidenceGone && phase == Phase::Synchronising {
            assert_ne!(after.phase, Phase::CuttingOver, "{cell:?}");
        }
        if let Some(attempt) = after.attempt.as_ref().filter(|_| !started.is_empty()) {
            assert_eq!(started, [attempt.name.as_str()], "{cell:?}");
            assert_eq!(attempt.number, after.attempts, "{cell:?}");
        }
        let busy = matches!(cell.1, Seen::Running | Seen::Trouble | Seen::Ending) && before.attempt.is_some();
        if busy {
            assert!(started.is_empty(), "{cell:?}: a second writer");
        }
        if meanwhile != Meanwhile::Deleted {
            for type_ in [
                "Ready",
                "Reconciling",
                "Stalled",
                "MappingConfirmed",
                "Reconciled",
                "CutOver",
                "Completed",
            ] {
                assert_ne!(condition(after, type_).0, "", "{cell:?}: {type_} is not set");
            }
            let exclusive = ["Ready", "Reconciling", "Stalled"];
            let yes = exclusive
                .iter()
                .filter(|type_| condition(after, type_).0 == "True")
                .count();
            assert!(yes <= 1, "{cell:?}");
            assert!(
                after.waiting_for.iter().all(|wait| !wait.command.is_empty()),
                "{cell:?}"
            );
        }
    }
}

#[test]
fn in_every_cell_a_second_look_at_the_same_world_changes_nothing() {
    for cell in every_cell() {
        let (mut observed, decided) = decide(cell);
        let name = |status: &MigrationStatus| status.attempt.as_ref().map(|attempt| attempt.name.clone());
        if name(&decided.status) != name(observed.migration.status.as_ref().unwrap()) {
            observed.attempt = AttemptSeen::default();
        }
        observed.migration.status = Some(decided.status.clone());
        let again = next(&observed, at(10));
        assert_eq!(again.status, decided.status, "{cell:?}");
    }
}

#[test]
fn what_ends_well_leads_on_and_what_does_not_is_named() {
    use Phase as P;
    for (phase, to) in [
        (P::Discovering, P::Extracting),
        (P::Extracting, P::Rehearsing),
        (P::Rehearsing, P::AwaitingMapping),
        (P::PreparingSchema, P::Loading),
        (P::Loading, P::Loading),
        (P::CuttingOver, P::Completed),
    ] {
        let cell = |seen| (phase, seen, Meanwhile::Nothing, GateIs::Approved);
        assert_eq!(decide(cell(Seen::CompleteWithReport)).1.status.phase, to);
        for (seen, type_, reason) in [
            (Seen::NoJob, "Reconciling", format!("{phase:?}")),
            (Seen::Running, "Reconciling", format!("{phase:?}")),
            (Seen::CompleteWithout, "Reconciling", "Retrying".into()),
            (Seen::Failed(10), "Reconciling", "Retrying".into()),
            (Seen::Failed(20), "Stalled", "WorkerFailed".into()),
            (Seen::Failed(30), "Stalled", "WorkerFailed".into()),
            (Seen::Failed(75), "Reconciling", "Retrying".into()),
            (Seen::Failed(137), "Reconciling", "Retrying".into()),
        ] {
            let (_, decided) = decide(cell(seen));
            assert_eq!(decided.status.phase, phase, "{seen:?}");
            assert_eq!(
                condition(&decided.status, type_),
                ("True", reason.as_str()),
                "{phase:?} {seen:?}"
            );
        }
        let (_, held) = decide(cell(Seen::Failed(40)));
        assert_eq!(condition(&held.status, "Ready"), ("False", "AwaitingLock"));
        assert_eq!(held.status.attempt.unwrap().fruitless, 0, "waiting consumes no attempt");
        let (before, again) = decide(cell(Seen::NoJob));
        let name = before.migration.status.unwrap().attempt.unwrap().name;
        assert_eq!(starts(&again), [name.as_str()], "the same attempt, under the same name");
    }
}

#[test]
fn a_suspended_or_cancelled_attempt_is_told_to_end() {
    for phase in Phase::ALL.into_iter().filter(|phase| phase.step().is_some()) {
        for meanwhile in [Meanwhile::Suspended, Meanwhile::Cancelled, Meanwhile::Deleted] {
            let (observed, decided) = decide((phase, Seen::Running, meanwhile, GateIs::Approved));
            let name = observed.migration.status.unwrap().attempt.unwrap().name;
            assert!(
                decided.effects.contains(&Effect::Stop { name, close: false }),
                "{phase:?} {meanwhile:?}"
            );
            assert_eq!(decided.status.phase, phase);
        }
    }
}

#[test]
fn a_cancel_gives_the_lock_back_only_where_one_may_be_held() {
    for phase in Phase::ALL {
        let (observed, decided) = decide((phase, Seen::Failed(20), Meanwhile::Cancelled, GateIs::Approved));
        let after = &decided.status;
        if phase == Phase::Completed {
            assert!(!after.last_request.as_ref().unwrap().accepted);
        } else if phase.may_hold_lock() {
            assert_eq!(after.attempt.as_ref().unwrap().step, Step::Release, "{phase:?}");
            let Some(Effect::Start { spec, .. }) = decided.effects.iter().find(|e| matches!(e, Effect::Start { .. }))
            else {
                panic!("{phase:?}: {:?}", decided.effects);
            };
            assert!(spec.orders.release);
        } else {
            assert_eq!(after.phase, Phase::Cancelled, "{phase:?} {:?}", observed.attempt);
        }
    }
}
