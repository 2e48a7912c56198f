//! What people ask for: retry, rerun, replan, cancel.

use super::*;

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
