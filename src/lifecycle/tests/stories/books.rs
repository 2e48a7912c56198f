//! Books, losses, what is held and owners: what may go on and what stalls.

use super::*;

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
