//! What a pass means for a process on a laptop: wait, ask, or end. Pure.

use crate::{
    api::{
        MigrationStatus, Phase,
        migration::{Waiting, Window},
    },
    cli::error::Exit,
};

use jiff::Timestamp;

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Something is under way, or will be: look again when it is told, or in time.
    Wait,
    /// A gate waits for a person.
    Ask(String),
    /// Nothing goes on by itself.
    End(Exit),
}

/// What the status, and whether an attempt of ours is at work, mean.
#[must_use]
pub fn act(
    status: &MigrationStatus,
    window: Option<&Window>,
    at_work: bool,
    told_to_stop: bool,
    now: Timestamp,
) -> Act {
    if at_work {
        return Act::Wait;
    }
    match status.phase {
        Phase::Completed | Phase::Cancelled => return Act::End(Exit::Completed),
        Phase::Pending
        | Phase::Validating
        | Phase::Discovering
        | Phase::Extracting
        | Phase::Rehearsing
        | Phase::AwaitingMapping
        | Phase::PreparingSchema
        | Phase::Loading
        | Phase::Synchronising
        | Phase::CuttingOver => {}
    }
    if told_to_stop {
        return Act::End(Exit::Stopped);
    }
    if is(status, "Stalled") {
        let invalid = status.waiting_for.iter().any(|wait| wait.what == "InvalidMapping");
        return Act::End(if invalid { Exit::Invalid } else { Exit::Stalled });
    }
    status
        .waiting_for
        .iter()
        .find_map(|wait| ends(status, wait, window, now))
        .unwrap_or(Act::Wait)
}

/// What a wait means on a laptop, where nobody else brings exports, edits a manifest or opens a window that is over.
fn ends(status: &MigrationStatus, wait: &Waiting, window: Option<&Window>, now: Timestamp) -> Option<Act> {
    match wait.what.as_str() {
        "Approval" => {
            let gate = if status.phase == Phase::AwaitingMapping {
                "mapping"
            } else {
                "cutover"
            };
            Some(Act::Ask(gate.into()))
        }
        "MappingSpec" => Some(Act::End(Exit::Invalid)),
        "ExportMissing" | "Suspended" => Some(Act::End(Exit::Stalled)),
        // at the gate mapping it is only told
        "Owners" if status.phase == Phase::Synchronising => Some(Act::End(Exit::Stalled)),
        "Window" => {
            let over = window
                .and_then(|window| window.not_after.as_ref())
                .is_some_and(|until| now >= until.0);
            over.then_some(Act::End(Exit::Stalled))
        }
        _ => None,
    }
}

/// Whether a condition is true.
fn is(status: &MigrationStatus, condition: &str) -> bool {
    status
        .conditions
        .iter()
        .any(|found| found.type_ == condition && found.status == "True")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn status(phase: Phase, waits: &[&str], stalled: bool) -> MigrationStatus {
        let wait = |what: &&str| Waiting {
            what: (*what).into(),
            message: String::new(),
            since: Time(at(0)),
            command: String::new(),
        };
        MigrationStatus {
            phase,
            waiting_for: waits.iter().map(wait).collect(),
            conditions: vec![Condition {
                type_: "Stalled".into(),
                status: if stalled { "True" } else { "False" }.into(),
                reason: "X".into(),
                message: String::new(),
                observed_generation: None,
                last_transition_time: Time(at(0)),
            }],
            ..MigrationStatus::default()
        }
    }

    #[test]
    fn a_laptop_ends_where_nothing_goes_on_by_itself() {
        use Phase::{AwaitingMapping, Cancelled, Completed, Discovering, Loading, Pending, Synchronising, Validating};
        for (phase, waits, stalled, expected) in [
            (Completed, &[][..], false, Act::End(Exit::Completed)),
            (Cancelled, &[], false, Act::End(Exit::Completed)),
            (Loading, &["BookUnbalanced"], true, Act::End(Exit::Stalled)),
            (Validating, &["InvalidMapping"], true, Act::End(Exit::Invalid)),
            (Pending, &["MappingSpec"], false, Act::End(Exit::Invalid)),
            (Discovering, &["ExportMissing"], false, Act::End(Exit::Stalled)),
            (Loading, &["DestinationLock"], false, Act::Wait),
            (Loading, &[], false, Act::Wait),
            (AwaitingMapping, &["Approval"], false, Act::Ask("mapping".into())),
            (Synchronising, &["Approval"], false, Act::Ask("cutover".into())),
            (
                AwaitingMapping,
                &["Approval", "Owners"],
                false,
                Act::Ask("mapping".into()),
            ),
            (Synchronising, &["Owners"], false, Act::End(Exit::Stalled)),
            (Loading, &["Suspended"], false, Act::End(Exit::Stalled)),
        ] {
            assert_eq!(
                act(&status(phase, waits, stalled), None, false, false, at(9)),
                expected,
                "{phase:?} {waits:?}"
            );
        }
    }

    #[test]
    fn an_attempt_at_work_is_waited_for_whatever_else_there_is() {
        let status = status(Phase::Synchronising, &["Approval"], true);
        assert_eq!(act(&status, None, true, true, at(9)), Act::Wait);
    }

    #[test]
    fn told_to_stop_ends_once_the_attempt_is_over() {
        let status = status(Phase::Loading, &["Suspended"], false);
        assert_eq!(act(&status, None, false, true, at(9)), Act::End(Exit::Stopped));
    }

    #[test]
    fn a_window_that_opens_is_waited_for_and_one_that_is_over_is_not() {
        let status = status(Phase::Synchronising, &["Window"], false);
        let window = Window {
            not_before: Some(Time(at(20))),
            not_after: Some(Time(at(30))),
        };
        assert_eq!(act(&status, Some(&window), false, false, at(10)), Act::Wait);
        assert_eq!(
            act(&status, Some(&window), false, false, at(30)),
            Act::End(Exit::Stalled)
        );
    }
}
