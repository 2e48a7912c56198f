//! Rounds of delta and the cutover.

use jiff::SignedDuration;

use super::*;

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
fn a_push_is_seen_within_its_own_second() {
    let (mut story, _) = Story::at_gate(Phase::Synchronising);
    story.pass(10);
    let pushed = at(100) + SignedDuration::from_millis(900);
    annotate(&mut story.observed.migration, PUSHED, pushed.to_string());
    story.pass(100);
    assert!(
        story.started().is_some(),
        "a laptop looks once, and ends where nothing is to be done"
    );
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
