//! Single stories: what the table promises, one sentence each.

use k8s_openapi::apimachinery::pkg::{apis::meta::v1::Time, util::intstr::IntOrString};

use super::*;
use crate::{
    api::{PUSHED, PhaseRunSpec, REQUEST},
    lifecycle::{Effect, EvidenceSeen, JobSeen, Trouble, next},
};

/// A Migration that is looked at again and again.
struct Story {
    observed: Observed,
    effects: Vec<Effect>,
    /// What is found in place of the evidence, where it is not what was sealed.
    finds: Option<EvidenceSeen>,
}

impl Story {
    fn of(migration: Migration, status: MigrationStatus) -> Self {
        let mut observed = observed(migration);
        observed.migration.status = Some(status);
        Self {
            observed,
            effects: vec![],
            finds: None,
        }
    }

    fn in_phase(phase: Phase) -> Self {
        Self::of(a_migration(), status_in(phase))
    }

    /// Waits for the gate of its phase, with good evidence.
    fn at_gate(phase: Phase) -> (Self, String) {
        let mut story = Self::in_phase(phase);
        if phase == Phase::Synchronising {
            story.status_mut().round = Some(Round {
                number: 1,
                ended: Time(at(0)),
                changed: 0,
                gone: 0,
            });
            story.status_mut().attempt = Some(done(attempt(Step::Delta, None, 5)));
        }
        let gate = if phase == Phase::AwaitingMapping {
            "mapping"
        } else {
            "cutover"
        };
        let migration = story.observed.migration.clone();
        let digest = with_gate(&migration, story.status_mut(), gate, GateState::Waiting);
        (story, digest)
    }

    fn status(&self) -> &MigrationStatus {
        self.observed.migration.status.as_ref().unwrap()
    }

    fn status_mut(&mut self) -> &mut MigrationStatus {
        self.observed.migration.status.as_mut().unwrap()
    }

    fn sees(&mut self, job: JobSeen, report: Option<PhaseRunStatus>) -> &mut Self {
        self.observed.attempt = AttemptSeen {
            phase_run: report.map(reported),
            job,
            troubles: vec![],
        };
        self
    }

    /// One pass; the status is written.
    fn pass(&mut self, second: i64) -> &MigrationStatus {
        self.observed.evidence = self.finds.clone().or_else(|| whole(self.status()));
        let decided = next(&self.observed, at(second));
        let name = |status: &MigrationStatus| status.attempt.as_ref().map(|attempt| attempt.name.clone());
        if name(&decided.status) != name(self.status()) {
            self.observed.attempt = AttemptSeen::default();
        }
        *self.status_mut() = decided.status;
        self.effects = decided.effects;
        self.status()
    }

    fn ask(&mut self, request: &str) -> &mut Self {
        annotate(&mut self.observed.migration, REQUEST, request);
        self
    }

    fn edit(&mut self, change: impl FnOnce(&mut MigrationSpec)) -> &mut Self {
        change(&mut self.observed.migration.spec);
        *self.observed.migration.metadata.generation.get_or_insert_default() += 1;
        self
    }

    fn started(&self) -> Option<&PhaseRunSpec> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Start { spec, .. } => Some(spec),
            _ => None,
        })
    }

    fn gate(&self) -> &Gate {
        self.status().gates.last().unwrap()
    }

    fn announced(&self, wanted: &str) -> &str {
        let note = self.effects.iter().find_map(|effect| match effect {
            Effect::Announce { reason, note, .. } if reason == wanted => Some(note),
            _ => None,
        });
        note.map_or("", String::as_str)
    }

    fn waits_for(&self, what: &str) -> &str {
        let wait = self.status().waiting_for.iter().find(|wait| wait.what == what);
        wait.map_or("", |wait| wait.command.as_str())
    }
}

#[test]
fn a_book_over_accept_stalls_and_a_wider_accept_goes_on_without_another_attempt() {
    let mut story = Story::in_phase(Phase::Loading);
    let mut report = good_report(Step::Load, Some("contacts"));
    report.objects[0].book.read += 2;
    report.objects[0].book.rejected = 2;
    story.sees(JobSeen::Complete, Some(report)).pass(10);
    assert_eq!(condition(story.status(), "Stalled"), ("True", "Acceptance"));
    assert_eq!(
        story.waits_for("Acceptance"),
        "kubectl crmferry retry migration/acme -n crm"
    );
    assert!(story.started().is_none());
    story
        .edit(|spec| spec.accept.rejected = Some(IntOrString::Int(2)))
        .pass(20);
    assert_eq!(story.status().objects[0].state, ObjectState::Verified);
    assert_eq!(story.started().unwrap().object.as_deref(), Some("deals"));
}

#[test]
fn a_load_that_stopped_short_over_accept_is_made_again_when_accept_is_wider() {
    let mut story = Story::in_phase(Phase::Loading);
    let mut report = good_report(Step::Load, Some("contacts"));
    report.outcome = Some(Outcome::Partial);
    report.failure = bad_report(Outcome::Partial, FailureReason::Acceptance).failure;
    report.objects[0].book.created = 5;
    report.objects[0].book.unprocessed = 5;
    story.sees(JobSeen::Complete, Some(report)).pass(10);
    assert_eq!(condition(story.status(), "Stalled").0, "True");
    story
        .edit(|spec| spec.accept.rejected = Some(IntOrString::Int(5)))
        .pass(20);
    let spec = story.started().unwrap();
    assert_eq!((spec.object.as_deref(), spec.attempt), (Some("contacts"), 6));
}

#[test]
fn a_load_that_reports_nothing_of_its_object_is_not_verified_by_its_prediction() {
    let mut story = Story::in_phase(Phase::PreparingSchema);
    story
        .sees(JobSeen::Complete, Some(good_report(Step::Schema, None)))
        .pass(10);
    assert_eq!(story.status().phase, Phase::Loading);
    let report = PhaseRunStatus {
        objects: vec![],
        ..good_report(Step::Load, None)
    };
    story.sees(JobSeen::Complete, Some(report)).pass(20);
    assert_eq!(condition(story.status(), "Stalled").0, "True");
    assert_eq!(story.status().objects[0].state, ObjectState::Loading);
}

#[test]
fn an_object_with_values_left_open_lets_the_others_load_and_is_loaded_once_more_after_them() {
    let mut story = Story::in_phase(Phase::Loading);
    let mut report = good_report(Step::Load, Some("contacts"));
    report.objects[0].book.created -= 3;
    report.objects[0].book.deferred = 3;
    report.objects[0].book.balanced = false;
    story.sees(JobSeen::Complete, Some(report.clone())).pass(10);
    assert_eq!(story.status().objects[0].state, ObjectState::Open);
    assert_eq!(story.started().unwrap().object.as_deref(), Some("deals"));
    let deals = good_report(Step::Load, Some("deals"));
    story.sees(JobSeen::Complete, Some(deals)).pass(20);
    assert_eq!(
        story.started().unwrap().object.as_deref(),
        Some("contacts"),
        "once more"
    );
    // nothing more is to come: now its book must balance
    let (mut stuck, status) = (Story::in_phase(Phase::Loading), story.status().clone());
    *stuck.status_mut() = status;
    stuck.sees(JobSeen::Complete, Some(report)).pass(30);
    assert_eq!(condition(stuck.status(), "Stalled"), ("True", "BookUnbalanced"));
    let filled = good_report(Step::Load, Some("contacts"));
    story.sees(JobSeen::Complete, Some(filled)).pass(30);
    assert_eq!(story.status().phase, Phase::Synchronising);
    assert_eq!(story.status().objects[0].state, ObjectState::Verified);
}

/// A report in which two contacts are missing in Odoo, and three deals wait for them.
fn with_missing(mut report: PhaseRunStatus) -> PhaseRunStatus {
    for object in &mut report.objects {
        let (held, waiting) = if object.name == "contacts" { (2, 0) } else { (3, 3) };
        object.book.created -= held;
        object.book.present -= held;
        object.book.held = held;
        object.book.balanced = false;
        object.waiting = waiting;
        let by = if waiting == 0 { "" } else { "deals" };
        report.queue.push(crate::api::phase_run::Missing {
            object: "contacts".into(),
            key: "7".into(),
            by: by.into(),
            records: held,
        });
    }
    report
}

#[test]
fn held_records_let_everything_else_load_and_keep_the_cutover_shut_until_they_are_made_in_odoo() {
    let mut story = Story::in_phase(Phase::Loading);
    let contacts = with_missing(good_report(Step::Load, Some("contacts")));
    story.sees(JobSeen::Complete, Some(contacts)).pass(10);
    assert_eq!(story.status().objects[0].state, ObjectState::Open);
    assert_eq!(story.started().unwrap().object.as_deref(), Some("deals"));
    let deals = with_missing(good_report(Step::Load, Some("deals")));
    story.sees(JobSeen::Complete, Some(deals)).pass(20);
    assert_eq!(story.status().phase, Phase::Synchronising, "they are for the rounds");
    let round = with_missing(good_report(Step::Delta, None));
    story.sees(JobSeen::Complete, Some(round)).pass(30);
    assert_eq!(condition(story.status(), "Ready"), ("False", "AwaitingOwners"));
    assert_eq!(condition(story.status(), "Stalled").0, "False");
    assert_eq!(condition(story.status(), "Reconciled").0, "False");
    assert_eq!(
        story.waits_for("Owners"),
        "kubectl crmferry retry migration/acme -n crm"
    );
    let message = &story.status().waiting_for[0].message;
    assert!(
        message.contains("2 missing in Odoo, 3 records wait") && message.contains("owners.onMissing"),
        "{message}"
    );
    assert!(
        story.status().gates.iter().all(|gate| gate.name != "cutover"),
        "nothing to approve"
    );
    // looked for again without a person's command
    story.pass(929);
    assert!(story.started().is_none());
    story.pass(930);
    assert_eq!(story.started().unwrap().phase, Step::Delta);
    story
        .sees(JobSeen::Complete, Some(good_report(Step::Delta, None)))
        .pass(940);
    assert_eq!(
        (story.status().queue.len(), story.gate().state),
        (0, GateState::Waiting)
    );
    assert_eq!(condition(story.status(), "Reconciled").0, "True");
    assert_eq!(condition(story.status(), "Ready"), ("False", "AwaitingCutover"));
}

#[test]
fn owners_may_be_left_out_by_an_edit_which_is_followed_by_a_round_at_once() {
    let (mut story, _) = Story::at_gate(Phase::Synchronising);
    story.pass(901);
    let round = with_missing(good_report(Step::Delta, None));
    story.sees(JobSeen::Complete, Some(round)).pass(910);
    assert_eq!(story.gate().state, GateState::Stale, "what was sealed holds no longer");
    story
        .edit(|spec| spec.owners.on_missing = crate::api::migration::OwnersMissing::Empty)
        .pass(920);
    assert_eq!(story.started().unwrap().phase, Step::Delta);
    let mut round = with_missing(good_report(Step::Delta, None));
    round.objects[1] = good_report(Step::Delta, None).objects[1].clone();
    story.sees(JobSeen::Complete, Some(round)).pass(930);
    assert_eq!((story.gate().sealed, story.gate().state), (2, GateState::Waiting));
    assert_eq!(story.status().objects[0].state, ObjectState::Verified);
    assert_eq!(story.status().queue.len(), 2, "still shown");
}

#[test]
fn another_word_on_owners_at_the_gate_mapping_is_rehearsed_before_it_is_approved() {
    let mut story = Story::in_phase(Phase::Rehearsing);
    story.status_mut().attempt = None;
    story.pass(5);
    let report = with_missing(good_report(Step::Rehearse, None));
    story.sees(JobSeen::Complete, Some(report)).pass(10);
    assert_eq!(condition(story.status(), "Ready"), ("False", "AwaitingMapping"));
    assert!(
        story.waits_for("Owners").starts_with("kubectl edit"),
        "told beside the approval"
    );
    story
        .edit(|spec| spec.owners.on_missing = crate::api::migration::OwnersMissing::Reject)
        .pass(20);
    assert_eq!(story.status().phase, Phase::Rehearsing);
    assert_eq!(story.started().unwrap().phase, Step::Rehearse);
    assert_eq!(story.gate().state, GateState::Stale);
}

#[test]
fn conflicts_keep_the_gate_shut_until_they_are_accepted() {
    let (mut story, digest) = Story::at_gate(Phase::Synchronising);
    story.pass(901);
    let mut report = good_report(Step::Delta, None);
    report.objects[0].verification.as_mut().unwrap().conflicts = 1;
    approve(&mut story.observed.migration, "cutover", &digest);
    story.sees(JobSeen::Complete, Some(report)).pass(910);
    assert_eq!(
        (story.status().phase, story.gate().state),
        (Phase::Synchronising, GateState::Stale)
    );
    assert_eq!(condition(story.status(), "Stalled"), ("True", "Acceptance"));
    assert_eq!(story.status().objects[0].state, ObjectState::Verified);
    story
        .edit(|spec| spec.accept.conflicts = Some(IntOrString::Int(1)))
        .pass(920);
    story
        .sees(JobSeen::Complete, Some(good_report(Step::Delta, None)))
        .pass(930);
    assert_eq!((story.gate().sealed, story.gate().state), (2, GateState::Waiting));
}

#[test]
fn an_approval_first_seen_unguarded_is_void_and_new_evidence_is_sealed() {
    let (mut story, digest) = Story::at_gate(Phase::AwaitingMapping);
    approve(&mut story.observed.migration, "mapping", &digest);
    story.observed.guarded = Some(false);
    story.pass(10);
    assert_eq!(story.gate().state, GateState::Unguarded);
    assert_ne!(story.gate().evidence_digest, digest);
    assert_eq!(story.gate().void.as_deref(), Some(format!("{digest} by anna").as_str()));
    assert!(matches!(&story.effects[0], Effect::Seal { name, .. } if name == "acme-evidence-mapping-2"));
    story.observed.guarded = Some(true);
    story.pass(20);
    assert_eq!(
        (story.status().phase, story.gate().state),
        (Phase::AwaitingMapping, GateState::Waiting)
    );
}

#[test]
fn an_approval_heard_under_guard_outlives_a_gap_in_the_guard_but_is_not_carried_out_in_it() {
    let (mut story, digest) = Story::at_gate(Phase::AwaitingMapping);
    approve(&mut story.observed.migration, "mapping", &digest);
    story.edit(|spec| spec.suspend = true).pass(10);
    assert_eq!(story.gate().state, GateState::Approved);
    story.observed.guarded = Some(false);
    story.edit(|spec| spec.suspend = false).pass(20);
    assert_eq!(
        (story.status().phase, story.gate().state),
        (Phase::AwaitingMapping, GateState::Unguarded)
    );
    story.observed.guarded = None;
    assert_eq!(story.pass(25).phase, Phase::AwaitingMapping);
    story.observed.guarded = Some(true);
    assert_eq!(story.pass(30).phase, Phase::PreparingSchema);
}

#[test]
fn a_laptop_has_no_guard_and_other_commands() {
    let (mut story, digest) = Story::at_gate(Phase::AwaitingMapping);
    (story.observed.laptop, story.observed.guarded) = (true, None);
    story.pass(10);
    assert_eq!(story.waits_for("Approval"), "crmferry run <manifest> --approve mapping");
    approve(&mut story.observed.migration, "mapping", &digest);
    assert_eq!(story.pass(20).phase, Phase::PreparingSchema);
}

#[test]
fn evidence_is_sealed_anew_when_the_spec_it_stands_on_changes_and_not_for_limits() {
    let (mut story, digest) = Story::at_gate(Phase::AwaitingMapping);
    story
        .edit(|spec| spec.destination.odoo.limits.connections = Some(4))
        .pass(10);
    assert_eq!(story.gate().evidence_digest, digest);
    approve(&mut story.observed.migration, "mapping", &digest);
    story.edit(|spec| spec.cutover.max_delta = 7).pass(20);
    assert_eq!((story.gate().sealed, story.gate().state), (2, GateState::Waiting));
    assert_eq!(
        story.status().phase,
        Phase::AwaitingMapping,
        "the old approval names other evidence"
    );
}

#[test]
fn a_gate_is_not_passed_on_evidence_that_is_gone_or_was_replaced_and_it_is_sealed_anew() {
    for phase in [Phase::AwaitingMapping, Phase::Synchronising] {
        let gate = if phase == Phase::AwaitingMapping {
            "mapping"
        } else {
            "cutover"
        };
        for (digest, sealed, told) in [
            (Some(None), false, "is gone"),
            (Some(Some("sha256:other")), true, "is not what was sealed"),
            (None, false, "can be changed, or is another's"),
        ] {
            for approved_before in [false, true] {
                let (mut story, was) = Story::at_gate(phase);
                if approved_before {
                    story.status_mut().gates[0].state = GateState::Approved;
                    story.status_mut().gates[0].approved_by = Some("anna".into());
                }
                approve(&mut story.observed.migration, gate, &was);
                story.finds = whole(story.status()).map(|whole| EvidenceSeen {
                    digest: digest.map_or(whole.digest, |found| found.map(Into::into)),
                    sealed,
                    ..whole
                });
                assert_eq!(story.pass(20).phase, phase, "{told}");
                let name = format!("acme-evidence-{gate}-2");
                assert_eq!(
                    (story.gate().state, &story.gate().evidence),
                    (GateState::Waiting, &name)
                );
                assert_ne!(
                    story.gate().evidence_digest,
                    was,
                    "the old approval names other evidence"
                );
                assert!(matches!(&story.effects[0], Effect::Seal { name: sealed, .. } if *sealed == name));
                let cause = format!("configmap/acme-evidence-{gate}-1 {told}");
                assert!(story.announced("GateStale").contains(&cause), "{:?}", story.effects);
                assert!(story.announced("GateApproved").is_empty());
                let message = story.gate().message.clone().unwrap_or_default();
                assert_eq!(message, format!("sealed anew: {cause}"));
                let waits = story.status().waiting_for.iter().find(|wait| wait.what == "Approval");
                assert!(waits.is_some_and(|wait| wait.message.contains(&message)), "{waits:?}");
                story.finds = None;
                assert_eq!(
                    story.pass(30).gates[0].message.as_deref(),
                    Some(message.as_str()),
                    "it stays said"
                );
            }
        }
    }
}

#[test]
fn a_gate_is_not_passed_where_nobody_looked_at_its_evidence() {
    let (mut story, digest) = Story::at_gate(Phase::AwaitingMapping);
    approve(&mut story.observed.migration, "mapping", &digest);
    story.finds = Some(EvidenceSeen {
        name: "acme-evidence-mapping-7".into(),
        digest: Some(digest),
        sealed: true,
    });
    assert_eq!(story.pass(20).phase, Phase::AwaitingMapping);
    story.finds = None;
    assert_eq!(story.pass(30).phase, Phase::PreparingSchema);
}

#[test]
fn a_cutover_that_has_not_switched_goes_back_when_its_evidence_is_gone() {
    let mut story = Story::in_phase(Phase::CuttingOver);
    let migration = story.observed.migration.clone();
    let digest = with_gate(&migration, story.status_mut(), "cutover", GateState::Approved);
    approve(&mut story.observed.migration, "cutover", &digest);
    story.sees(JobSeen::Running, Some(PhaseRunStatus::default()));
    story.finds = whole(story.status()).map(|whole| EvidenceSeen { digest: None, ..whole });
    story.pass(20);
    assert!(matches!(story.effects[0], Effect::Stop { .. }), "{:?}", story.effects);
    story.sees(JobSeen::Failed(Some(75)), Some(PhaseRunStatus::default()));
    assert_eq!(story.pass(30).phase, Phase::Synchronising);
}

#[test]
fn evidence_is_looked_at_while_a_gate_waits_since_nothing_tells_us_that_it_is_gone() {
    let (story, _) = Story::at_gate(Phase::AwaitingMapping);
    let mut observed = story.observed.clone();
    observed.evidence = whole(story.status());
    let look = next(&observed, at(20)).look_again.unwrap();
    assert!(look.as_secs() <= 30, "{look}");
}

#[test]
fn evidence_older_than_72_hours_is_sealed_anew() {
    let (mut story, digest) = Story::at_gate(Phase::AwaitingMapping);
    approve(&mut story.observed.migration, "mapping", &digest);
    story.pass(72 * 3600 + 1);
    assert_eq!((story.gate().sealed, story.gate().state), (2, GateState::Waiting));
}

#[test]
fn a_number_taken_by_other_evidence_is_passed_over() {
    let mut story = Story::in_phase(Phase::AwaitingMapping);
    story.observed.taken = vec!["acme-evidence-mapping-1".into(), "acme-evidence-mapping-2".into()];
    story.pass(10);
    assert_eq!(
        (story.gate().sealed, story.gate().evidence.as_str()),
        (3, "acme-evidence-mapping-3")
    );
}

#[test]
fn a_round_over_max_delta_makes_the_gate_stale_and_the_next_round_seals_anew() {
    let (mut story, digest) = Story::at_gate(Phase::Synchronising);
    story.pass(901);
    assert_eq!(
        story.started().unwrap().phase,
        Step::Delta,
        "a round is due after 15 minutes"
    );
    let mut report = good_report(Step::Delta, None);
    report.delta.as_mut().unwrap().changed = 1001;
    approve(&mut story.observed.migration, "cutover", &digest);
    story.sees(JobSeen::Complete, Some(report)).pass(910);
    assert_eq!(
        (story.status().phase, story.gate().state),
        (Phase::Synchronising, GateState::Stale)
    );
    assert_eq!(story.started().unwrap().phase, Step::Delta, "another round at once");
    story
        .sees(JobSeen::Complete, Some(good_report(Step::Delta, None)))
        .pass(920);
    assert_eq!((story.gate().sealed, story.gate().state), (2, GateState::Waiting));
}

#[test]
fn a_push_asks_for_a_round_once() {
    let (mut story, _) = Story::at_gate(Phase::Synchronising);
    assert!(story.pass(10).attempt.as_ref().unwrap().ended.is_some());
    annotate(&mut story.observed.migration, PUSHED, at(100).to_string());
    story.pass(50);
    assert!(story.started().is_none(), "a time to come does not count yet");
    story.pass(100);
    assert!(story.started().is_some());
    story
        .sees(JobSeen::Complete, Some(good_report(Step::Delta, None)))
        .pass(110);
    assert!(story.started().is_none());
}

#[test]
fn the_cutover_waits_for_its_window_and_goes_back_when_it_shuts() {
    let (mut story, _) = Story::at_gate(Phase::Synchronising);
    let window = crate::api::migration::Window {
        not_before: Some(Time(at(200))),
        not_after: Some(Time(at(300))),
    };
    story.edit(|spec| spec.cutover.window = Some(window)).pass(10);
    let digest = story.gate().evidence_digest.clone();
    approve(&mut story.observed.migration, "cutover", &digest);
    story.pass(20);
    assert_eq!(condition(story.status(), "Ready"), ("False", "AwaitingWindow"));
    assert_eq!(story.pass(200).phase, Phase::CuttingOver);
    assert_eq!(story.started().unwrap().phase, Step::Cutover);
    story.sees(JobSeen::Running, None).pass(300);
    assert_eq!(story.status().phase, Phase::CuttingOver, "not before its Job has ended");
    assert!(matches!(story.effects[0], Effect::Stop { .. }));
    story.sees(JobSeen::Failed(Some(75)), None).pass(310);
    assert_eq!(
        (story.status().phase, story.gate().state),
        (Phase::Synchronising, GateState::Stale)
    );
}

#[test]
fn a_cutover_that_had_switched_before_it_could_be_stopped_has_happened() {
    let (mut story, digest) = Story::at_gate(Phase::CuttingOver);
    approve(&mut story.observed.migration, "cutover", &digest);
    story.sees(JobSeen::Running, None).pass(5);
    story.observed.migration.metadata.annotations = None;
    story.sees(JobSeen::Running, None).pass(10);
    assert!(
        story.effects.iter().any(|effect| matches!(effect, Effect::Stop { .. })),
        "revoking stops it"
    );
    story
        .sees(JobSeen::Failed(Some(75)), Some(good_report(Step::Cutover, None)))
        .pass(20);
    assert_eq!(story.status().phase, Phase::Completed);
    assert_eq!(condition(story.status(), "CutOver").0, "True");
}

#[test]
fn a_source_that_is_not_quiet_sends_the_cutover_back() {
    let (mut story, digest) = Story::at_gate(Phase::CuttingOver);
    approve(&mut story.observed.migration, "cutover", &digest);
    let report = bad_report(Outcome::Failed, FailureReason::NotQuiet);
    story.sees(JobSeen::Failed(Some(20)), Some(report)).pass(10);
    assert_eq!(
        (story.status().phase, story.gate().state),
        (Phase::Synchronising, GateState::Stale)
    );
    assert_eq!(story.status().cutover, None);
    assert_eq!(story.started().unwrap().phase, Step::Delta);
}

#[test]
fn the_lock_is_waited_for_and_unlock_takes_it_with_the_next_job() {
    let mut story = Story::in_phase(Phase::PreparingSchema);
    story.sees(JobSeen::Failed(Some(40)), None).pass(10);
    assert_eq!(
        story.waits_for("DestinationLock"),
        "kubectl crmferry unlock migration/acme -n crm"
    );
    assert!(story.pass(24).attempt.as_ref().unwrap().ended.is_some());
    story.ask("unlock 1").pass(24);
    let spec = story.started().unwrap();
    assert!(spec.orders.unlock && spec.attempt == 6);
    story.sees(JobSeen::Failed(Some(40)), None).pass(30);
    story.pass(45);
    assert!(!story.started().unwrap().orders.unlock, "asked for once");
}

#[test]
fn a_missing_export_waits_with_the_command_to_push_and_a_push_looks_at_once() {
    let mut story = Story::in_phase(Phase::Discovering);
    let report = bad_report(Outcome::Failed, FailureReason::ExportMissing);
    story.sees(JobSeen::Failed(Some(30)), Some(report)).pass(10);
    assert_eq!(condition(story.status(), "Ready"), ("False", "AwaitingExport"));
    assert_eq!(condition(story.status(), "Stalled").0, "False");
    assert_eq!(
        story.waits_for("ExportMissing"),
        "kubectl crmferry push DIR migration/acme -n crm"
    );
    annotate(&mut story.observed.migration, PUSHED, at(12).to_string());
    story.pass(12);
    assert!(story.started().is_some());
}

#[test]
fn a_source_that_shrank_names_the_push_and_what_to_do_where_it_is_meant() {
    for (laptop, api, push, meant) in [
        (
            false,
            false,
            "kubectl crmferry push DIR migration/acme -n crm",
            "kubectl crmferry retry migration/acme from-extract -n crm",
        ),
        (
            false,
            true,
            "kubectl crmferry retry migration/acme -n crm",
            "kubectl crmferry retry migration/acme from-extract -n crm",
        ),
        (
            true,
            false,
            "crmferry run <manifest> --exports DIR",
            "crmferry run <manifest> --retry from-extract",
        ),
    ] {
        let mut story = Story::in_phase(Phase::Extracting);
        story.observed.laptop = laptop;
        story.observed.migration.spec.source.pipz = api.then(Default::default);
        let report = bad_report(Outcome::Failed, FailureReason::SourceShrunk);
        story.sees(JobSeen::Failed(Some(20)), Some(report)).pass(10);
        assert_eq!(condition(story.status(), "Stalled"), ("True", "SourceShrunk"));
        assert_eq!(story.waits_for("SourceShrunk"), push);
        assert!(story.status().waiting_for[0].message.ends_with(meant));
    }
}

#[test]
fn an_error_finding_stalls_discovery_and_a_retry_looks_again() {
    let mut story = Story::in_phase(Phase::Discovering);
    let mut report = good_report(Step::Discover, None);
    report.plan.as_mut().unwrap().findings = vec![crate::api::mapping_spec::Finding {
        severity: crate::api::mapping_spec::Severity::Error,
        code: "UnknownField".into(),
        path: String::new(),
        message: "no such field".into(),
    }];
    story.sees(JobSeen::Complete, Some(report)).pass(10);
    assert_eq!(condition(story.status(), "Stalled"), ("True", "Preflight"));
    assert_eq!(story.status().plan, None);
    story.ask("retry 1").pass(20);
    assert_eq!(story.started().unwrap().attempt, 6);
    story
        .sees(JobSeen::Complete, Some(good_report(Step::Discover, None)))
        .pass(30);
    assert_eq!(story.status().phase, Phase::Extracting);
}

#[test]
fn retry_from_extract_keeps_the_run_and_asks_for_a_rebuild_until_it_succeeded() {
    let mut story = Story::in_phase(Phase::Loading);
    story.sees(JobSeen::Running, None).ask("retry from-extract 1").pass(10);
    assert_eq!((story.status().phase, story.status().run), (Phase::Extracting, 1));
    assert!(story.started().is_none(), "the old Job has to end first");
    story.sees(JobSeen::Failed(Some(75)), None).pass(20);
    assert!(story.started().unwrap().orders.rebuild);
    story.sees(JobSeen::Failed(Some(10)), None).pass(30);
    story.pass(40);
    let spec = story.started().unwrap();
    assert!(spec.orders.rebuild && spec.attempt == 7);
    story
        .sees(JobSeen::Complete, Some(good_report(Step::Extract, None)))
        .pass(50);
    let spec = story.started().unwrap();
    assert!(spec.phase == Step::Rehearse && spec.orders.is_none());
}

#[test]
fn trouble_is_told_while_a_worker_works_around_it_and_between_attempts() {
    let mut story = Story::in_phase(Phase::Loading);
    let trouble = bad_report(Outcome::Failed, FailureReason::DestinationUnavailable);
    let at_work = PhaseRunStatus {
        outcome: None,
        ..trouble.clone()
    };
    let told = |story: &Story| {
        story
            .status()
            .waiting_for
            .iter()
            .any(|wait| wait.what == "DestinationUnavailable")
    };
    story.sees(JobSeen::Running, Some(at_work)).pass(10);
    assert!(told(&story), "{:?}", story.status().waiting_for);
    story.sees(JobSeen::Running, Some(PhaseRunStatus::default())).pass(11);
    assert!(!told(&story), "it has passed");
    story.sees(JobSeen::Failed(Some(10)), Some(trouble)).pass(12);
    assert!(told(&story), "{:?}", story.status().waiting_for);
}

#[test]
fn an_unguarded_gate_is_looked_at_again_soon() {
    let (mut story, _) = Story::at_gate(Phase::AwaitingMapping);
    story.observed.guarded = Some(false);
    let decided = next(&story.observed, at(10));
    assert!(
        decided.look_again.is_some_and(|look| look.as_secs() <= 10),
        "{:?}",
        decided.look_again
    );
    story.pass(10);
    story.observed.guarded = Some(true);
    story.pass(20);
    assert_eq!(story.status().gates[0].state, GateState::Waiting);
}

#[test]
fn a_lost_workspace_gets_its_plan_again_before_its_snapshot() {
    let mut story = Story::in_phase(Phase::Loading);
    let mut lost = PhaseRunStatus {
        outcome: Some(Outcome::Failed),
        failure: Some(Failure {
            reason: FailureReason::WorkspaceLost,
            message: "empty".into(),
        }),
        ..PhaseRunStatus::default()
    };
    lost.worker_version = "0.1.0".into();
    story.sees(JobSeen::Failed(Some(30)), Some(lost)).pass(10);
    assert_eq!(condition(story.status(), "Stalled"), ("True", "WorkspaceLost"));
    story.ask("retry from-extract 1").pass(20);
    assert_eq!((story.status().phase, story.status().run), (Phase::Discovering, 1));
    story
        .sees(JobSeen::Complete, Some(good_report(Step::Discover, None)))
        .pass(30);
    let spec = story.started().unwrap();
    assert!(spec.phase == Step::Extract && spec.orders.rebuild);
}

#[test]
fn an_edited_mapping_only_shows_as_drift_until_replan_takes_it() {
    let (mut story, _) = Story::at_gate(Phase::Synchronising);
    story.pass(10);
    let before = story.status().clone();
    story.observed.mapping = MappingSeen::Valid {
        digest: "sha256:m2".into(),
    };
    story.pass(10);
    assert_eq!(condition(story.status(), "MappingDrifted"), ("True", "Drifted"));
    assert_eq!(
        (story.status().phase, &story.status().plan),
        (before.phase, &before.plan)
    );
    story.ask("replan 1").pass(20);
    assert_eq!(
        (story.status().phase, story.gate().state),
        (Phase::Discovering, GateState::Stale)
    );
    let spec = story.started().unwrap();
    assert_eq!((spec.phase, spec.run, &spec.plan_digest), (Step::Discover, 1, &None));
}

#[test]
fn a_pod_that_does_not_start_is_named_at_once_and_stalls_after_ten_minutes() {
    let mut story = Story::in_phase(Phase::Extracting);
    story.sees(JobSeen::Pending, None);
    let trouble = Trouble {
        reason: "FailedMount".into(),
        message: "claim ferry".into(),
        command: "kubectl get pvc".into(),
    };
    story.observed.attempt.troubles = vec![trouble];
    story.pass(10);
    assert_eq!(story.waits_for("FailedMount"), "kubectl get pvc");
    assert_eq!(condition(story.status(), "Stalled").0, "False");
    story.pass(600);
    assert_eq!(condition(story.status(), "Stalled"), ("True", "FailedMount"));
    assert_eq!(story.waits_for("Retry"), "kubectl crmferry retry migration/acme -n crm");
    story.ask("retry 1").pass(610);
    assert!(matches!(story.effects[0], Effect::Stop { .. }));
}

#[test]
fn a_silent_worker_is_closed_and_its_successor_waits_until_that_is_seen() {
    let mut story = Story::in_phase(Phase::Extracting);
    let report = PhaseRunStatus {
        heartbeat: Some(MicroTime(at(1))),
        ..PhaseRunStatus::default()
    };
    story.sees(JobSeen::Running, Some(report)).pass(10);
    story.pass(150);
    assert!(story.effects.is_empty());
    story.pass(151);
    let stop = Effect::Stop {
        name: "acme-extract-r1a5".into(),
        close: true,
    };
    assert_eq!(story.effects, std::slice::from_ref(&stop));
    story.observed.attempt.job = JobSeen::Ending;
    story.pass(152);
    assert_eq!(story.effects, [stop], "said again until it is seen");
    story.observed.attempt.phase_run.as_mut().unwrap().closed = true;
    story.pass(153);
    let attempt = story.status().attempt.clone().unwrap();
    assert_eq!(
        (attempt.ending.unwrap().verdict, attempt.fruitless),
        (Verdict::Retry, 1)
    );
    story.pass(155);
    assert_eq!(story.started().unwrap().attempt, 6);
}

#[test]
fn a_dry_run_is_completed_after_the_rehearsal_and_has_no_gate() {
    let mut story = Story::in_phase(Phase::Rehearsing);
    story.observed.migration.spec.mode = Mode::DryRun;
    story
        .sees(JobSeen::Complete, Some(good_report(Step::Rehearse, None)))
        .pass(10);
    assert_eq!(story.status().phase, Phase::Completed);
    assert!(story.status().gates.is_empty());
    assert_eq!(condition(story.status(), "Ready").0, "True");
    assert_eq!(condition(story.status(), "CutOver").0, "False");
}

#[test]
fn a_rerun_counts_on_and_seals_under_new_numbers() {
    let mut story = Story::in_phase(Phase::Completed);
    let migration = story.observed.migration.clone();
    with_gate(&migration, story.status_mut(), "mapping", GateState::Passed);
    story.observed.worker_image = "crmferry:2".into();
    story.ask("rerun 1").pass(10);
    let spec = story.started().unwrap();
    assert_eq!((spec.run, spec.attempt, spec.image.as_str()), (2, 1, "crmferry:2"));
    assert_eq!((story.gate().state, story.gate().sealed), (GateState::Stale, 1));
    assert_eq!(condition(story.status(), "MappingConfirmed").0, "False");
}

#[test]
fn a_verb_is_answered_once_per_value_and_an_unknown_one_is_refused() {
    let mut story = Story::in_phase(Phase::Extracting);
    story.sees(JobSeen::Failed(Some(20)), None).ask("retry 1").pass(10);
    assert_eq!(story.started().unwrap().attempt, 6);
    story.sees(JobSeen::Failed(Some(20)), None).pass(20);
    assert!(story.started().is_none(), "the same value asks for nothing more");
    story.ask("dance 2").pass(30);
    assert!(!story.status().last_request.as_ref().unwrap().accepted);
    story.ask("retry 3").pass(40);
    assert_eq!(story.started().unwrap().attempt, 7);
}

#[test]
fn a_cancel_releases_the_lock_and_gives_up_releasing_when_it_has_aged_out() {
    let mut story = Story::in_phase(Phase::Loading);
    story.sees(JobSeen::Running, None).ask("cancel 1").pass(10);
    story.sees(JobSeen::Failed(Some(75)), None).pass(20);
    assert_eq!(story.started().unwrap().phase, Step::Release);
    story
        .sees(JobSeen::Complete, Some(good_report(Step::Release, None)))
        .pass(30);
    assert_eq!(story.status().phase, Phase::Cancelled);
    assert_eq!(story.status().history.len(), 1);

    let mut stuck = Story::in_phase(Phase::Loading);
    stuck.sees(JobSeen::Failed(Some(20)), None).ask("cancel 1").pass(10);
    assert_eq!(stuck.sees(JobSeen::Pending, None).pass(300).phase, Phase::Loading);
    stuck.pass(610);
    assert_eq!(stuck.sees(JobSeen::Absent, None).pass(611).phase, Phase::Cancelled);
}

#[test]
fn a_mapping_with_errors_stalls_and_any_edit_of_it_tries_again() {
    let mut story = Story::in_phase(Phase::Pending);
    story.observed.mapping = MappingSeen::Absent;
    story.pass(1);
    assert_eq!(condition(story.status(), "Ready"), ("False", "AwaitingMappingSpec"));
    story.observed.mapping = MappingSeen::Invalid(vec![]);
    story.pass(2);
    assert_eq!(
        (story.status().phase, condition(story.status(), "Stalled").1),
        (Phase::Validating, "InvalidMapping")
    );
    story.observed.mapping = MappingSeen::Valid {
        digest: "sha256:m1".into(),
    };
    assert_eq!(story.pass(3).phase, Phase::Discovering);
}

#[test]
fn an_approved_gate_is_not_passed_while_nobody_knows_whether_it_is_guarded() {
    for (phase, gate) in [(Phase::AwaitingMapping, "mapping"), (Phase::Synchronising, "cutover")] {
        let (mut story, digest) = Story::at_gate(phase);
        approve(&mut story.observed.migration, gate, &digest);
        story.edit(|spec| spec.suspend = true).pass(10);
        assert_eq!(story.gate().state, GateState::Approved);
        story.observed.guarded = None;
        story.edit(|spec| spec.suspend = false);
        assert_eq!(story.pass(20).phase, phase);
        story.observed.guarded = Some(true);
        assert!(story.pass(30).phase > phase);
    }
}
