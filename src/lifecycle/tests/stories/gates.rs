//! Gates: evidence, approvals, guards, and when each counts no more.

use super::*;

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
