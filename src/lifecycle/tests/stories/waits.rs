//! What a run waits for or stalls on, and the command that helps.

use super::*;

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
fn unlock_that_is_asked_for_while_a_job_looks_at_the_lock_is_not_made_to_wait_for_the_next_look() {
    let mut story = Story::in_phase(Phase::PreparingSchema);
    story.sees(JobSeen::Running, None).ask("unlock 1").pass(10);
    assert!(story.started().is_none());
    story.sees(JobSeen::Failed(Some(40)), None).pass(12);
    story.pass(12);
    assert!(story.started().unwrap().orders.unlock);
}

#[test]
fn exports_that_are_pushed_after_the_last_of_many_failures_are_read() {
    for (step, phase, again) in [
        (Step::Delta, Phase::Synchronising, true),
        (Step::Load, Phase::Loading, false),
    ] {
        let mut story = Story::in_phase(phase);
        let mut failed = done(attempt(step, (step == Step::Load).then_some("contacts"), 5));
        failed.ending = Some(Ending {
            verdict: Verdict::Stalled,
            reason: crate::lifecycle::attempt::RETRIES.into(),
            message: String::new(),
        });
        story.status_mut().attempt = Some(failed);
        story.pass(10);
        annotate(&mut story.observed.migration, PUSHED, at(12).to_string());
        story.pass(12);
        assert_eq!(story.started().is_some(), again, "{step:?}");
    }
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
