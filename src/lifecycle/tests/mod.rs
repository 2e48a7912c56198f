//! The life of a Migration as a whole: fixtures, the table of every cell, single stories, and a small world with
//! everything going wrong in it.

mod stories;
mod table;
mod world;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

use super::{AttemptSeen, EvidenceSeen, MappingSeen, Observed, PhaseRunSeen, evidence, gate, names};
use crate::api::{
    Book, Migration, MigrationSpec, MigrationStatus, Phase, PhaseRunStatus, Verification,
    migration::{
        Attempt, Claim, Cutover, Destination, Ending, Files, Gate, GateState, LocalRef, Mode, ObjectState,
        ObjectStatus, Odoo, PinnedPlan, PinnedWorker, Round, Source, Verdict, Workspace,
    },
    phase_run::{CutoverFacts, Delta, Failure, FailureReason, ObjectReport, Outcome, PlanReport, PlannedObject, Step},
};

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

pub(super) fn a_migration() -> Migration {
    let mut migration = Migration::new(
        "acme",
        MigrationSpec {
            mapping_spec_ref: LocalRef {
                name: "pipz-to-odoo".into(),
            },
            source: Source {
                account: "acme".into(),
                files: Some(Files {
                    path: "exports/".into(),
                }),
                pipz: None,
                content: None,
            },
            destination: Destination {
                odoo: Odoo {
                    url: "https://acme.example".into(),
                    database: "acme".into(),
                    ..Odoo::default()
                },
            },
            workspace: Workspace {
                persistent_volume_claim: Claim {
                    claim_name: "ferry".into(),
                },
            },
            accept: crate::api::migration::Accept::default(),
            cutover: Cutover::default(),
            owners: crate::api::migration::Owners::default(),
            mode: Mode::Migrate,
            suspend: false,
        },
    );
    migration.metadata.namespace = Some("crm".into());
    migration.metadata.uid = Some("7d3c".into());
    migration.metadata.generation = Some(1);
    migration
}

pub(super) fn observed(migration: Migration) -> Observed {
    Observed {
        evidence: migration.status.as_ref().and_then(whole),
        migration,
        mapping: MappingSeen::Valid {
            digest: "sha256:m1".into(),
        },
        attempt: AttemptSeen::default(),
        guarded: Some(true),
        worker_image: "crmferry:1".into(),
        version: "1".into(),
        laptop: false,
        taken: vec![],
    }
}

/// The evidence of the open gate, as it was sealed.
pub(super) fn whole(status: &MigrationStatus) -> Option<EvidenceSeen> {
    gate::open(&status.gates).map(|gate| EvidenceSeen {
        name: gate.evidence.clone(),
        digest: Some(gate.evidence_digest.clone()),
        sealed: true,
    })
}

pub(super) fn annotate(migration: &mut Migration, key: &str, value: impl Into<String>) {
    migration
        .metadata
        .annotations
        .get_or_insert_default()
        .insert(key.into(), value.into());
}

pub(super) fn approve(migration: &mut Migration, gate: &str, digest: &str) {
    annotate(
        migration,
        &format!("approval.crmferry.io/{gate}"),
        format!("{digest} by anna"),
    );
}

/// An attempt that was begun a minute ago.
pub(super) fn attempt(step: Step, object: Option<&str>, number: i64) -> Attempt {
    Attempt {
        name: names::attempt_name("acme", step, object, 1, number),
        number,
        step,
        object: object.map(Into::into),
        orders: crate::api::phase_run::Orders::default(),
        since: Time(at(0)),
        fruitless: 0,
        furthest: 0,
        ended: None,
        beat: None,
        running: None,
        stopped: None,
        ending: None,
    }
}

pub(super) fn done(mut attempt: Attempt) -> Attempt {
    attempt.ended = Some(Time(at(0)));
    attempt.ending = Some(Ending {
        verdict: Verdict::Done,
        reason: String::new(),
        message: String::new(),
    });
    attempt
}

pub(super) fn good_book() -> Book {
    Book {
        read: 10,
        mapped: 10,
        created: 10,
        present: 10,
        balanced: true,
        ..Book::default()
    }
}

pub(super) fn good_read_back() -> Verification {
    Verification {
        matching: 10,
        verified: true,
        ..Verification::default()
    }
}

const OBJECTS: [&str; 2] = ["contacts", "deals"];

/// A status in which everything before the phase went well, and the attempt of the phase is under way.
pub(super) fn status_in(phase: Phase) -> MigrationStatus {
    let mut status = MigrationStatus {
        observed_generation: 1,
        phase,
        ..MigrationStatus::default()
    };
    if phase > Phase::Pending {
        status.run = 1;
        status.started = Some(Time(at(-100)));
    }
    if phase > Phase::Validating {
        status.worker = Some(PinnedWorker {
            version: "1".into(),
            image: "crmferry:1".into(),
        });
    }
    if phase > Phase::Discovering {
        status.plan = Some(PinnedPlan {
            digest: "sha256:p1".into(),
            mapping_digest: "sha256:m1".into(),
            odoo: "Odoo 19.0 over JSON-2".into(),
        });
        let state = match phase {
            Phase::Extracting | Phase::Rehearsing => ObjectState::Planned,
            Phase::AwaitingMapping | Phase::PreparingSchema | Phase::Loading => ObjectState::Rehearsed,
            _ => ObjectState::Verified,
        };
        status.objects = OBJECTS
            .map(|name| ObjectStatus {
                name: name.into(),
                model: Some("res.partner".into()),
                document: None,
                state,
                book: if state == ObjectState::Planned {
                    Book::default()
                } else {
                    good_book()
                },
                verification: (state == ObjectState::Verified).then(good_read_back),
                waiting: 0,
                phase_run: String::new(),
            })
            .into();
    }
    let step = phase.step().filter(|step| *step != Step::Load);
    status.attempt = step.map(|step| attempt(step, None, 5));
    if phase == Phase::Loading {
        status.objects[0].state = ObjectState::Loading;
        status.attempt = Some(attempt(Step::Load, Some("contacts"), 5));
    }
    status.attempts = if status.attempt.is_some() || phase > Phase::Discovering {
        5
    } else {
        0
    };
    if phase >= Phase::CuttingOver {
        status.round = Some(Round {
            number: 1,
            ended: Time(at(0)),
            changed: 0,
            gone: 0,
        });
    }
    status
}

/// Adds the gate that is open in a phase, with evidence as it would be sealed.
pub(super) fn with_gate(migration: &Migration, status: &mut MigrationStatus, name: &str, state: GateState) -> String {
    let sealed = evidence::seal(name, 1, migration, status);
    status.gates.push(Gate {
        name: name.into(),
        state,
        evidence_digest: sealed.digest.clone(),
        evidence: names::evidence_name("acme", name, 1),
        sealed: 1,
        since: Some(Time(at(0))),
        approved_by: None,
        message: None,
        void: None,
        basis: evidence::basis(migration, status),
        round: status.round.as_ref().map_or(0, |round| round.number),
    });
    sealed.digest
}

/// What a worker reports that did its step well.
pub(super) fn good_report(step: Step, object: Option<&str>) -> PhaseRunStatus {
    let names: Vec<&str> = match step {
        Step::Load => object.into_iter().collect(),
        Step::Rehearse | Step::Delta | Step::Cutover => OBJECTS.to_vec(),
        _ => vec![],
    };
    let fact = (step == Step::Cutover).then(|| MicroTime(at(1)));
    PhaseRunStatus {
        heartbeat: Some(MicroTime(at(1))),
        outcome: Some(Outcome::Done),
        objects: names
            .iter()
            .map(|name| ObjectReport {
                name: (*name).into(),
                book: good_book(),
                verification: (step != Step::Rehearse).then(good_read_back),
                ..ObjectReport::default()
            })
            .collect(),
        plan: (step == Step::Discover).then(|| PlanReport {
            digest: "sha256:p1".into(),
            mapping_digest: "sha256:m1".into(),
            objects: OBJECTS
                .map(|name| PlannedObject {
                    name: name.into(),
                    model: Some("res.partner".into()),
                    document: None,
                })
                .into(),
            ..PlanReport::default()
        }),
        delta: matches!(step, Step::Extract | Step::Delta | Step::Cutover).then(|| Delta {
            changed: 3,
            gone: 0,
            watermark: "sha256:w1".into(),
            findings: Vec::new(),
        }),
        cutover: fact.map(|time| CutoverFacts {
            drained: Some(time.clone()),
            frozen: Some(time.clone()),
            verified: Some(time.clone()),
            switched: Some(time),
        }),
        ..PhaseRunStatus::default()
    }
}

pub(super) fn bad_report(outcome: Outcome, reason: FailureReason) -> PhaseRunStatus {
    PhaseRunStatus {
        heartbeat: Some(MicroTime(at(1))),
        outcome: Some(outcome),
        failure: Some(Failure {
            reason,
            message: "it did not work".into(),
        }),
        ..PhaseRunStatus::default()
    }
}

pub(super) fn reported(status: PhaseRunStatus) -> PhaseRunSeen {
    PhaseRunSeen { status, closed: false }
}

pub(super) fn condition<'a>(status: &'a MigrationStatus, type_: &str) -> (&'a str, &'a str) {
    let found = status.conditions.iter().find(|condition| condition.type_ == type_);
    found.map_or(("", ""), |condition| {
        (condition.status.as_str(), condition.reason.as_str())
    })
}

/// Whether the table (or a verb) lets a phase lead to another, in one pass of several steps.
pub(super) fn may_lead(from: Phase, to: Phase, verb: bool) -> bool {
    let forward = |from: Phase, to: Phase| {
        let mut phase = from;
        (0..12).any(|_| {
            let found = phase == to;
            phase = phase.on_success(Mode::Migrate);
            found
        }) || (from <= Phase::Rehearsing && to == Phase::Completed)
    };
    from == to
        || (!from.is_over() && (forward(from, to) || to == Phase::Cancelled))
        || (from == Phase::CuttingOver && to == Phase::Synchronising)
        // another word on owners
        || (from == Phase::AwaitingMapping && to == Phase::Rehearsing)
        || (verb && to <= Phase::Extracting.max(Phase::Discovering))
}
